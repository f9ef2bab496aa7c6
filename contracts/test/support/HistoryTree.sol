// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// A history of commitments as a sequencer keeps it, written from RFC 9162 and not from the library under test.
/// Only entries that were put in are real; perfect subtrees without one have an arbitrary but fixed root, so that
/// a history of millions of entries costs nothing.
contract HistoryTree {
    mapping(uint256 index => bytes32) private entries;
    uint256[] private real;

    function put(uint256 index, bytes32 digest) external {
        entries[index] = digest;
        real.push(index);
    }

    /// Forgets the entry that was put last, as a reorganization does.
    function pop() external {
        real.pop();
    }

    function root(uint256 size) external view returns (bytes32) {
        return size == 0 ? bytes32(0) : range(0, size);
    }

    function peaks(uint256 size) external view returns (bytes32[] memory found) {
        found = new bytes32[](256);
        uint256 count = 0;
        uint256 from = 0;
        for (uint256 width = 1 << 63; width > 0; width >>= 1) {
            if (size & width == 0) continue;
            found[count++] = range(from, width);
            from += width;
        }
        return cut(found, count);
    }

    function inclusion(uint256 index, uint256 size) external view returns (bytes32[] memory) {
        (bytes32[] memory path, uint256 count) = inclusionIn(index, 0, size);
        return cut(path, count);
    }

    /// The perfect trees over the entries from `oldSize` on, each as large as its place lets it be.
    function added(uint256 oldSize, uint256 newSize) external view returns (bytes32[] memory found) {
        found = new bytes32[](256);
        uint256 count = 0;
        for (uint256 from = oldSize; from < newSize;) {
            uint256 width = 1;
            while (from % (width * 2) == 0 && from + width * 2 <= newSize) width *= 2;
            found[count++] = range(from, width);
            from += width;
        }
        return cut(found, count);
    }

    function inclusionIn(uint256 index, uint256 from, uint256 size)
        private
        view
        returns (bytes32[] memory path, uint256 count)
    {
        if (size == 1) return (new bytes32[](80), 0);
        uint256 left = split(size);
        bytes32 sibling;
        if (index < left) {
            (path, count) = inclusionIn(index, from, left);
            sibling = range(from + left, size - left);
        } else {
            (path, count) = inclusionIn(index - left, from + left, size - left);
            sibling = range(from, left);
        }
        path[count++] = sibling;
    }

    function range(uint256 from, uint256 size) private view returns (bytes32) {
        bool perfect = size & (size - 1) == 0;
        if (perfect && !holdsReal(from, size)) return keccak256(abi.encode("arbitrary", from, size));
        if (size == 1) return keccak256(abi.encodePacked(uint8(0), entries[from]));
        uint256 left = split(size);
        return keccak256(abi.encodePacked(uint8(1), range(from, left), range(from + left, size - left)));
    }

    function holdsReal(uint256 from, uint256 size) private view returns (bool) {
        for (uint256 i = 0; i < real.length; ++i) {
            if (real[i] >= from && real[i] < from + size) return true;
        }
        return false;
    }

    /// The largest power of two below `size`.
    function split(uint256 size) private pure returns (uint256 left) {
        left = 1;
        while (left * 2 < size) left *= 2;
    }

    function cut(bytes32[] memory list, uint256 count) private pure returns (bytes32[] memory) {
        assembly ("memory-safe") {
            mstore(list, count)
        }
        return list;
    }
}
