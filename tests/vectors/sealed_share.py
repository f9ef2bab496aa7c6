#!/usr/bin/env python3
"""Computes what in `settlement-v1.json` follows from the block, the key and the secret share of `sealed_share`.

The ids, the beacon point and the shares are computed here apart from the Rust and the Solidity that they are
compared with; keep it so. After a change of the header: change HEADER and the fields in the file, then

    pip install py_ecc==8.0.0 pycryptodome
    tests/vectors/sealed_share.py
"""

import json
from hashlib import sha256
from pathlib import Path

from Crypto.Hash import keccak
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, decompress_G1
from py_ecc.optimized_bls12_381 import Z1, add, curve_order, multiply

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
            path.append(level[place ^ 1])
        places = [place >> 1 for place in places]
        level = [digest(b"\x01", left, right) for left, right in zip(level[::2], level[1::2])]
    return level[0], paths


def at_party(points, packing, party):
    """The points stand at -1, -2, ..., infinity where there are none; their interpolation at party + 1."""
    x, total = party + 1, Z1
    for slot, point in enumerate(points):
        above = below = 1
        for other in range(packing):
            if other != slot:
                above = above * (x + other + 1) % curve_order
                below = below * (other - slot) % curve_order
        total = add(total, multiply(point, above * pow(below, -1, curve_order) % curve_order))
    return total


def fill(row):
    network, header = data(row["network"]), row["header"]
    pk, x2 = data(row["public_key"]), data(row["public_key_g2"])
    key_id = digest(b"conclave/key/v1", network, fixed(row["era"], 4), pk, x2)
    header["key_id"] = text(key_id)
    assert set(header) == {*HEADER, "id"}, "the header has other fields"
    fields = [fixed(header[name], width) for name, width in HEADER.items()]
    block = digest(b"conclave/block/v1", network, *fields)
    header["id"] = text(block)

    beacon = hash_to_G1(network + key_id + fixed(header["height"], 8) + block, BEACON, sha256)
    capsules = [data(bundle["capsule"])[:48] for bundle in row["bundles"]]
    entries = [beacon, *(decompress_G1(int.from_bytes(u, "big")) for u in capsules)]
    secret, packing = int.from_bytes(data(row["secret_share"]), "big"), row["packing"]
    batches = [entries[i : i + packing] for i in range(0, len(entries), packing)]
    points = [multiply(at_party(batch, packing, row["party"]), secret) for batch in batches]
    shares = [compress_G1(point).to_bytes(48, "big") for point in points]
    root, paths = tree(shares)
    row["shares"] = [text(share) for share in shares]
    row["share_root"] = text(root)
    row["share_paths"] = [[text(node) for node in path] for path in paths]


def main():
    vectors = json.loads(FILE.read_text())
    fill(vectors["sealed_share"])
    FILE.write_text(json.dumps(vectors, indent=2, sort_keys=True) + "\n")


main()
