// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Merkle } from "./Merkle.sol";

/// A Merkle mountain range whose peaks are joined from the right: the root over n leaves is that of RFC 9162,
/// `root(n) = node(root of the first 2^k leaves, root of the rest)` with 2^k the largest power of two below
/// n. A proof that a leaf is in, or that one list extends another, has at most ⌈log₂ n⌉ + 1 digests. The root
/// does not say how many leaves there are: here that follows from a height, and callers pass it.
library Mmr {
    /// The digest of a leaf: that of {Merkle}, over a 32-byte digest.
    function leaf(bytes32 digest) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x00), digest));
    }

    /// Whether `digest` is entry `index` of the list of `size` entries with this root (RFC 9162, 2.1.3.2).
    function verifyInclusion(
        bytes32 root,
        uint256 size,
        uint256 index,
        bytes32 digest,
        bytes32[] calldata path
    ) internal pure returns (bool) {
        if (index >= size) return false;
        uint256 at = index;
        uint256 last = size - 1;
        bytes32 hash = leaf(digest);
        for (uint256 i = 0; i < path.length; ++i) {
            if (last == 0) return false;
            if (at & 1 == 1 || at == last) {
                hash = Merkle.node(path[i], hash);
                // Levels where the node has no right sibling pass it on unchanged.
                while (at & 1 == 0 && at != 0) {
                    at >>= 1;
                    last >>= 1;
                }
            } else {
                hash = Merkle.node(hash, path[i]);
            }
            at >>= 1;
            last >>= 1;
        }
        return last == 0 && hash == root;
    }

    /// Whether the list of `newSize` entries begins with the list of `oldSize` entries (RFC 9162, 2.1.4.2).
    /// Every list begins with the empty one, whose root is zero.
    function verifyExtension(
        bytes32 oldRoot,
        uint256 oldSize,
        bytes32 newRoot,
        uint256 newSize,
        bytes32[] calldata path
    ) internal pure returns (bool) {
        if (oldSize > newSize) return false;
        if (oldSize == 0) return oldRoot == 0 && path.length == 0;
        if (oldSize == newSize) return oldRoot == newRoot && path.length == 0;
        uint256 at = oldSize - 1;
        uint256 last = newSize - 1;
        while (at & 1 == 1) {
            at >>= 1;
            last >>= 1;
        }
        // An old list of 2^k entries is a subtree of the new one: its root need not be sent.
        bool whole = at == 0;
        if (!whole && path.length == 0) return false;
        bytes32 old = whole ? oldRoot : path[0];
        bytes32 hash = old;
        for (uint256 i = whole ? 0 : 1; i < path.length; ++i) {
            if (last == 0) return false;
            if (at & 1 == 1 || at == last) {
                old = Merkle.node(path[i], old);
                hash = Merkle.node(path[i], hash);
                while (at & 1 == 0 && at != 0) {
                    at >>= 1;
                    last >>= 1;
                }
            } else {
                hash = Merkle.node(hash, path[i]);
            }
            at >>= 1;
            last >>= 1;
        }
        return last == 0 && old == oldRoot && hash == newRoot;
    }
}
