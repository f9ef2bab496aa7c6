#!/usr/bin/env python3
"""Computes `withdrawals` in `settlement-v1.json`: requests as the forced queue hashes them, and the leaves, roots and
paths of what blocks pay.

Nothing here comes from the Rust or the Solidity that it is compared with; keep it so. After a change:

    pip install pycryptodome
    tests/vectors/withdrawals.py
"""

import json
from pathlib import Path

from Crypto.Hash import keccak

FILE = Path(__file__).with_name("settlement-v1.json")

ALICE, BOB, NOBODY = b"\xa1" * 20, b"\xb0" * 20, bytes(20)

# Place in the queue, L1 block, payer, recipient, gwei.
REQUESTS = [(0, 19_000_000, ALICE, ALICE, 1), (2**40 + 7, 2**33, BOB, ALICE, 2**64 - 1)]

# Index, recipient, validator, gwei: a payer's, what goes to a validator's stake, what goes to the pot.
TREES = [
    [(0, ALICE, 0, 1_000_000)],
    [(1, BOB, 0, 2**63 + 5), (2, NOBODY, 3, 123_456_789), (3, NOBODY, 0, 1)],
]


def hash_of(*parts: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=b"".join(parts)).digest()


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def text(value: bytes) -> str:
    return "0x" + value.hex()


def request(index: int, block: int, payer: bytes, recipient: bytes, gwei: int) -> dict:
    digest = hash_of(
        b"conclave/withdraw/v1", number(index, 8), number(block, 8), payer, recipient, number(gwei, 8)
    )
    return {
        "index": index,
        "l1_block": block,
        "payer": text(payer),
        "recipient": text(recipient),
        "amount_gwei": str(gwei),
        "hash": text(digest),
    }


def leaf(index: int, recipient: bytes, validator: int, gwei: int) -> bytes:
    fields = number(index, 8) + recipient + number(validator, 4) + number(gwei, 8)
    return hash_of(b"\x00", b"conclave/withdrawal/v1", fields)


def tree(rows: list) -> dict:
    leaves = [leaf(*row) for row in rows]
    width = 1
    while width < len(leaves):
        width *= 2
    level = leaves + [bytes(32)] * (width - len(leaves))
    paths = [[] for _ in rows]
    depth = 0
    while len(level) > 1:
        for place, path in enumerate(paths):
            path.append(level[(place >> depth) ^ 1])
        level = [hash_of(b"\x01", *level[i : i + 2]) for i in range(0, len(level), 2)]
        depth += 1
    withdrawals = [
        {
            "index": index,
            "recipient": text(recipient),
            "validator": validator,
            "amount_gwei": str(gwei),
            "leaf": text(digest),
            "path": [text(sibling) for sibling in path],
        }
        for (index, recipient, validator, gwei), digest, path in zip(rows, leaves, paths)
    ]
    return {"withdrawals": withdrawals, "root": text(level[0])}


def main() -> None:
    vectors = json.loads(FILE.read_text())
    vectors["withdrawals"] = {
        "requests": [request(*row) for row in REQUESTS],
        "trees": [tree(rows) for rows in TREES],
    }
    FILE.write_text(json.dumps(vectors, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
