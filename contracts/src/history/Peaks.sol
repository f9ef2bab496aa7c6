// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { LibBit } from "solady/utils/LibBit.sol";

import { Merkle } from "../lib/Merkle.sol";
import { Mmr } from "../lib/Mmr.sol";

/// Appending to a mountain range of which only the root is known. Its peaks, the roots of its perfect trees from
/// the largest on, determine the root of the range, and that of the range with one more entry.
library Peaks {
    /// The root once `digest` is appended to a range of `size` entries with this root. `fit` is false if these are
    /// not its peaks.
    function append(bytes32 root, uint256 size, bytes32[] calldata peaks, bytes32 digest)
        internal
        pure
        returns (bytes32 appended, bool fit)
    {
        uint256 count = peaks.length;
        if (count != LibBit.popCount(size) || bag(peaks, count) != root) return (0, false);
        appended = Mmr.leaf(digest);
        // The new entry closes one tree for every trailing one of the size.
        for (; size & 1 == 1; size >>= 1) {
            appended = Merkle.node(peaks[--count], appended);
        }
        while (count > 0) appended = Merkle.node(peaks[--count], appended);
        fit = true;
    }

    /// The root over peaks; zero if there are none.
    function bag(bytes32[] calldata peaks, uint256 count) private pure returns (bytes32 root) {
        if (count == 0) return 0;
        root = peaks[--count];
        while (count > 0) root = Merkle.node(peaks[--count], root);
    }
}
