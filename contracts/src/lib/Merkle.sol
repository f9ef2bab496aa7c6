// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// The binary keccak tree of `types/src/merkle.rs`: `leaf = keccak(0x00 ‖ data)`, `node = keccak(0x01 ‖ left
/// ‖ right)`, padded with zero digests to a power of two. The number of leaves is committed beside the root.
library Merkle {
    /// The digest of one leaf.
    function leaf(bytes memory data) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x00), data));
    }

    /// The digest of an inner node.
    function node(bytes32 left, bytes32 right) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            // The scratch space ends at 0x40; the 65th byte belongs to the free memory pointer.
            let pointer := mload(0x40)
            mstore8(pointer, 1)
            mstore(add(pointer, 1), left)
            mstore(add(pointer, 33), right)
            digest := keccak256(pointer, 65)
        }
    }

    /// The root that `digest` at `index` has under `siblings`, listed from the bottom up. `fits` is false if
    /// the index lies beyond the path.
    function rootFromPath(bytes32 digest, uint256 index, bytes32[] calldata siblings)
        internal
        pure
        returns (bytes32 root, bool fits)
    {
        root = digest;
        for (uint256 i = 0; i < siblings.length; ++i) {
            root = index & 1 == 0 ? node(root, siblings[i]) : node(siblings[i], root);
            index >>= 1;
        }
        fits = index == 0;
    }

    /// Whether `digest` is leaf `index` under `root`. The caller checks the index against the number of
    /// leaves: padding has paths too.
    function verify(bytes32 root, bytes32 digest, uint256 index, bytes32[] calldata siblings)
        internal
        pure
        returns (bool)
    {
        (bytes32 found, bool fits) = rootFromPath(digest, index, siblings);
        return fits && found == root;
    }
}
