#!/usr/bin/env python3
"""Computes what in `settlement-v1.json` follows from the block, the numbers and the holders of each of `sealed_shares`.

The keys, the sharings, the ids, the beacon point and the shares are computed here apart from the Rust and the Solidity
that they are compared with; keep it so. After a change of the header: change HEADER and the fields in the file, then

    pip install py_ecc==8.0.0 pycryptodome
    tests/vectors/sealed_share.py
"""

import json
from hashlib import sha256
from pathlib import Path

from Crypto.Hash import keccak
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, compress_G2, decompress_G1
from py_ecc.optimized_bls12_381 import G1, G2, Z1, add, curve_order, multiply, normalize

FILE = Path(__file__).with_name("settlement-v1.json")
BEACON = b"CONCLAVE-V1-CS01-BEACON-BLS12381G1_XMD:SHA-256_SSWU_RO_"

# What a block's id is the digest of, behind the tag and the network, and how many bytes each has.
HEADER = {
    "height": 8,
    "parent": 32,
    "parent_certificate": 32,
    "proposer": 2,
    "time_micros": 8,
    "epoch": 8,
    "l1_number": 8,
    "l1_hash": 32,
    "l1_entries_root": 32,
    "key_id": 32,
    "sharing_root": 32,
    "bundle_root": 32,
    "bundle_count": 4,
    "revealed_height": 8,
    "reveal_digest": 32,
    "ledger_digest": 32,
}


def digest(*parts):
    return keccak.new(digest_bits=256, data=b"".join(parts)).digest()


def data(value):
    return bytes.fromhex(value.removeprefix("0x"))


def text(value):
    return "0x" + value.hex()


def fixed(value, width):
    raw = value.to_bytes(width, "big") if isinstance(value, int) else data(value)
    assert len(raw) == width, value
    return raw


def tree(leaves):
    """The root over the leaves, and each one's path."""
    level = [digest(b"\x00", leaf) for leaf in leaves]
    while len(level) & (len(level) - 1):
        level.append(bytes(32))
    paths, places = [[] for _ in leaves], list(range(len(leaves)))
    while len(level) > 1:
        for path, place in zip(paths, places):
            path.append(text(level[place ^ 1]))
        places = [place >> 1 for place in places]
        level = [digest(b"\x01", left, right) for left, right in zip(level[::2], level[1::2])]
    return level[0], paths


def g1(point):
    return compress_G1(point).to_bytes(48, "big")


def g2(point):
    return b"".join(half.to_bytes(48, "big") for half in compress_G2(point))


def eip2537(point):
    x, y = normalize(point)
    return b"".join(int(part).to_bytes(64, "big") for part in (*x.coeffs, *y.coeffs))


def at_point(points, packing, point):
    """The points stand at -2, -3, ..., infinity where there are none; their interpolation at point + 1."""
    x, total = point + 1, Z1
    for slot, value in enumerate(points):
        above = below = 1
        for other in range(packing):
            if other != slot:
                above = above * (x + other + 2) % curve_order
                below = below * (other - slot) % curve_order
        total = add(total, multiply(value, above * pow(below, -1, curve_order) % curve_order))
    return total


def sharing(row, parties):
    """A key, and S(X) = sk + Z(X)·T(X) at each point, Z vanishing at the slots; T has as many coefficients as `secrecy`."""

    def draw(number):
        seed = row["name"].encode() + number.to_bytes(2, "big")
        return int.from_bytes(digest(seed, b"\x00") + digest(seed, b"\x01"), "big") % curve_order

    key, shares = draw(0), []
    for x in range(1, parties + 1):
        vanishing = 1
        for slot in range(row["packing"]):
            vanishing = vanishing * (x + slot + 2) % curve_order
        noise = sum(draw(k + 1) * pow(x, k, curve_order) for k in range(row["secrecy"]))
        shares.append((key + vanishing * noise) % curve_order)
    return key, shares


def result(row, pk, x2, verification_keys):
    """The tree over a key and the points of its sharing, each with who holds it."""
    parties, leaves = len(verification_keys), {}
    for number, (start, end) in enumerate(row["holders"]):
        for place, point in enumerate(range(start, end)):
            holder = number.to_bytes(2, "big") + place.to_bytes(2, "big")
            leaves[point] = b"conclave/dkg-point/v1" + holder + verification_keys[point]
    widths = {"suite": 1, "era": 4, "secrecy": 2, "packing": 2}
    numbers = [fixed(row[name], width) for name, width in widths.items()]
    head = b"".join([b"conclave/dkg/v1", *numbers, parties.to_bytes(2, "big"), pk, x2])
    return tree([head, *(leaves[point] for point in range(parties))])


def fill(row):
    network, header = data(row["network"]), row["header"]
    row["parties"] = parties = sum(end - start for start, end in row["holders"])
    secret, secrets = sharing(row, parties)
    pk, x2 = g1(multiply(G1, secret)), g2(multiply(G2, secret))
    row["public_key"], row["public_key_g2"] = text(pk), text(x2)
    points = [multiply(G2, share) for share in secrets]
    verification_keys = [g2(point) for point in points]
    row["verification_keys"] = [text(key) for key in verification_keys]
    root, paths = result(row, pk, x2, verification_keys)
    row["dkg_result"], row["key_path"] = text(root), paths[0]

    key_id = digest(b"conclave/key/v1", network, fixed(row["era"], 4), pk, x2)
    header["key_id"] = text(key_id)
    assert set(header) == {*HEADER, "id"}, "the header has other fields"
    fields = [fixed(header[name], width) for name, width in HEADER.items()]
    block = digest(b"conclave/block/v1", network, *fields)
    header["id"] = text(block)

    beacon = hash_to_G1(network + key_id + fixed(header["height"], 8) + block, BEACON, sha256)
    capsules = [data(bundle["capsule"])[:48] for bundle in row["bundles"]]
    entries = [beacon, *(decompress_G1(int.from_bytes(u, "big")) for u in capsules)]
    packing = row["packing"]
    batches = [entries[i : i + packing] for i in range(0, len(entries), packing)]
    start, end = row["holders"][row["member"]]
    held = range(start, end)
    shares = [
        g1(multiply(at_point(batch, packing, point), secrets[point])) for point in held for batch in batches
    ]
    root, share_paths = tree(shares)
    row["shares"], row["share_root"] = [text(share) for share in shares], text(root)
    row["share_paths"] = share_paths
    row["points"] = [
        {
            "secret_share": text(secrets[point].to_bytes(32, "big")),
            "verification_key": text(eip2537(points[point])),
            "verification_path": paths[1 + point],
        }
        for point in held
    ]


def main():
    vectors = json.loads(FILE.read_text())
    for row in vectors["sealed_shares"]:
        fill(row)
    FILE.write_text(json.dumps(vectors, indent=2, sort_keys=True) + "\n")


main()
