#!/usr/bin/env python3
"""Seals the bundle of `encryption-baseline-v1.json` again, from docs/spec/sealed-bundle.md alone, and compares.

Apart from the Rust and the crate that it is compared with; keep it so.

    pip install py_ecc==8.0.0 pycryptodome
    tests/vectors/sealed_baseline.py
"""

import json
from hashlib import sha256, sha3_256
from pathlib import Path

from Crypto.Cipher import ChaCha20
from Crypto.Hash import keccak
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, compress_G2, decompress_G1
from py_ecc.fields import optimized_bls12_381_FQ2 as FQ2
from py_ecc.optimized_bls12_381 import G1, curve_order, field_modulus, is_inf, multiply

FILE = Path(__file__).with_name("encryption-baseline-v1.json")
PROOF_BASE = b"CONCLAVE-V1-CS01-PROOF-BASE-BLS12381G1_XMD:SHA-256_SSWU_RO_"
COFACTOR_G2 = int(
    "5d543a95414e7f1091d50792876a202cd91de4547085abaa68a205b2e5a7ddfa628f1cb4d9e82ef21537e293a6691ae"
    "1616ec6e786f0c70cf1c38e31c7238e5",
    16,
)


def digest(*parts):
    return keccak.new(digest_bits=256, data=b"".join(parts)).digest()


def to_scalar(*parts):
    halves = digest(*parts, b"\x00") + digest(*parts, b"\x01")
    return int.from_bytes(halves, "big") % curve_order


def g1(point):
    return compress_G1(point).to_bytes(48, "big")


def g2(point):
    first, second = compress_G2(point)
    return first.to_bytes(48, "big") + second.to_bytes(48, "big")


class Words:
    """ChaCha20's key stream, 32 bits at a time."""

    def __init__(self, key):
        self.cipher = ChaCha20.new(key=key, nonce=bytes(8))

    def word(self):
        return int.from_bytes(self.cipher.encrypt(bytes(4)), "little")

    def field(self, limbs, spare_bits, modulus):
        """A number below the modulus, times the inverse of the limbs' range."""
        bits = 64 * limbs
        while True:
            number = sum(self.word() << 32 * i for i in range(2 * limbs)) % (1 << bits - spare_bits)
            if number < modulus:
                return number * pow(1 << bits, -1, modulus) % modulus


def sqrt(value):
    """A square root in Fp2, if there is one; p is 3 modulo 4."""
    p = field_modulus
    a1 = value ** ((p - 3) // 4)
    x0 = a1 * value
    alpha = a1 * x0
    if alpha == FQ2([p - 1, 0]):
        root = FQ2([0, 1]) * x0
    else:
        root = (FQ2.one() + alpha) ** ((p - 1) // 2) * x0
    return root if root * root == value else None


def hash_g2(message):
    words = Words(sha3_256(message).digest())
    while True:
        x = FQ2([words.field(6, 3, field_modulus), words.field(6, 3, field_modulus)])
        larger = words.word() % 2 == 1
        y = sqrt(x * x * x + FQ2([4, 4]))
        if y is None:
            continue
        order = lambda root: tuple(int(c) for c in reversed(root.coeffs))
        y = (max if larger else min)([y, -y], key=order)
        point = multiply((x, y, FQ2.one()), COFACTOR_G2)
        if not is_inf(point):
            return point


def main():
    row = {k: bytes.fromhex(v) if isinstance(v, str) else v for k, v in json.loads(FILE.read_text()).items()}
    seed, label, pk = row["seed"], row["label"], row["pk"]
    bound = bytes([row["suite"]]) + row["network"] + row["key_id"] + pk
    plain = row["legs"].ljust(256, b"\x00")
    message = plain + digest(b"conclave/baseline-binding/v1", label, plain)[:16]
    drawn = digest(b"conclave/capsule-exponent/v1", bound, seed, label, len(plain).to_bytes(8, "big"), plain)
    r = Words(drawn).field(4, 1, curve_order)
    base = hash_to_G1(row["network"] + row["key_id"] + pk, PROOF_BASE, sha256)
    u, u_bar = g1(multiply(G1, r)), g1(multiply(base, r))
    k = g1(multiply(decompress_G1(int.from_bytes(pk, "big")), r))
    stream = Words(sha3_256(k).digest())
    body = bytes(byte ^ stream.word() & 0xFF for byte in message)
    w_g2 = g2(multiply(hash_g2(sha3_256(body).digest() + u), r))
    nonce = to_scalar(b"conclave/capsule-nonce/v1", bound, seed, r.to_bytes(32, "big"), label, digest(body))
    points = u + u_bar + g1(multiply(G1, nonce)) + g1(multiply(base, nonce))
    e = to_scalar(b"conclave/capsule-proof/v1", bound, label, digest(body), points)
    z = (nonce + e * r) % curve_order
    assert k == row["opening"], "opening"
    assert body == row["body"], "body"
    assert points + z.to_bytes(32, "big") + w_g2 == row["capsule"], "capsule"
    print("the bundle is what the page says")


main()
