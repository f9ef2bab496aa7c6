// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { LibBit } from "solady/utils/LibBit.sol";

import { Mmr } from "../lib/Mmr.sol";

/// Appending to a mountain range of which only the root is known. Its peaks, the roots of its perfect trees from
/// the largest on, are determined by its root and size. Whoever gives them, and then the roots of the perfect
/// trees that came after, shows a longer range that begins with it, and what the next entry makes of that.
///
/// A proof of extension and one of inclusion say the same, but share most of their digests: together they were
/// half as long again.
library Peaks {
    struct Range {
        bytes32[] peaks;
        uint256 count;
        uint256 size;
    }

    /// The range of `size` entries with this root; false if these are not its peaks.
    function open(bytes32 root, uint256 size, bytes32[] calldata peaks)
        internal
        pure
        returns (Range memory range, bool fits)
    {
        range.count = peaks.length;
        if (range.count != LibBit.popCount(size)) return (range, false);
        range.size = size;
        // A range of 2^64 entries has 64 peaks at most.
        bytes32[] memory copy = new bytes32[](65);
        assembly ("memory-safe") {
            calldatacopy(add(copy, 32), peaks.offset, shl(5, peaks.length))
        }
        range.peaks = copy;
        fits = bag(range) == root;
    }

    /// Appends the perfect trees `added`, each the largest that fits, up to `size` entries; false if they are
    /// more or fewer.
    function grow(Range memory range, uint256 size, bytes32[] calldata added) internal pure returns (bool) {
        for (uint256 i = 0; i < added.length; ++i) {
            if (range.size >= size) return false;
            uint256 largest = LibBit.fls(size - range.size);
            // Of nothing, any width is a place; that is what 256 says.
            uint256 aligned = LibBit.ffs(range.size);
            push(range, added[i], 1 << (largest < aligned ? largest : aligned));
        }
        return range.size == size;
    }

    /// Appends one entry.
    function append(Range memory range, bytes32 digest) internal pure {
        push(range, Mmr.leaf(digest), 1);
    }

    /// The root; zero of nothing.
    function bag(Range memory range) internal pure returns (bytes32 root) {
        uint256 count = range.count;
        if (count == 0) return 0;
        bytes32[] memory peaks = range.peaks;
        // {Merkle-node} from the last peak to the first, in one buffer: a third of a relayer's hashing is here.
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore8(buffer, 1)
            let at := add(peaks, shl(5, count))
            root := mload(at)
            for { } gt(sub(at, peaks), 32) { } {
                at := sub(at, 32)
                mstore(add(buffer, 1), mload(at))
                mstore(add(buffer, 33), root)
                root := keccak256(buffer, 65)
            }
        }
    }

    function push(Range memory range, bytes32 tree, uint256 width) private pure {
        bytes32[] memory peaks = range.peaks;
        uint256 size = range.size;
        uint256 count = range.count;
        range.size = size + width;
        // Each tree that is as wide as what comes becomes its left half.
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore8(buffer, 1)
            for { } and(size, width) { width := shl(1, width) } {
                mstore(add(buffer, 1), mload(add(peaks, shl(5, count))))
                mstore(add(buffer, 33), tree)
                tree := keccak256(buffer, 65)
                count := sub(count, 1)
            }
            count := add(count, 1)
            mstore(add(peaks, shl(5, count)), tree)
        }
        range.count = count;
    }
}
