// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { LibBit } from "solady/utils/LibBit.sol";

import { Merkle } from "./Merkle.sol";

/// The reveal root: one Merkle tree over the rollups that have a batch in a block, each leaf over its
/// transactions. `rollup-adapters/core/src/namespace.rs` has the layout; `docs/spec/settlement.md` writes it
/// down. Leaves ascend by rollup and hold their own index; the commitment holds their number.
library NamespaceTree {
    /// What is committed to for one rollup.
    struct Leaf {
        uint64 rollup;
        uint32 index;
        uint32 items;
        uint64 transactionBytes;
        uint64 sequence;
        uint64 previousHeight;
        bytes32 transactionRoot;
        bytes32 atomicRoot;
    }

    /// That a rollup's batch is in a block.
    struct Inclusion {
        Leaf leaf;
        bytes32[] siblings;
    }

    /// That a rollup has no batch in a block: its neighbours are next to each other, or at the edge.
    struct Absence {
        bool hasBefore;
        Inclusion before;
        bool hasAfter;
        Inclusion afterwards;
    }

    /// A run of `hashes.length` transactions of one batch, from item `first` on; `siblings` are what the run
    /// itself does not determine, left before right on each level, from the bottom up.
    struct TransactionRange {
        uint32 first;
        bytes32[] hashes;
        bytes32[] siblings;
    }

    /// That a transaction is in a block whose reveal root is known, in as few bytes as it takes: of a transaction that is
    /// nothing but this proof, data is most of the price.
    struct LeanInclusion {
        /// height u64 ‖ rollup u64 ‖ rollup count u32 ‖ index u32 ‖ items u32 ‖ item u32.
        uint256 place;
        /// transaction bytes u64 ‖ sequence u64 ‖ previous height u64.
        uint192 batch;
        bytes32 transactionHash;
        bytes32 atomicRoot;
        /// The path in the batch, ⌈log₂ items⌉ long, and behind it that of the batch.
        bytes32[] siblings;
    }

    /// One leg of a bundle where it stands in its rollup's batch.
    struct LegProof {
        Inclusion batch;
        uint32 item;
        bytes32[] transactionSiblings;
        bytes32[] atomicSiblings;
    }

    /// A leg as the legs digest names it.
    struct Leg {
        uint64 rollup;
        bytes32 transactionHash;
    }

    /// This batch of the rollup is not under the reveal root: a field, the path or the block is another.
    error NotInBlock(uint64 rollup);
    /// The neighbours leave room for a batch of the rollup.
    error NotAbsent(uint64 rollup);
    /// The transactions from this item on are others, or the batch has fewer.
    error TransactionNotInBatch(uint64 rollup, uint256 item);
    /// The leg is not at this place of its rollup's batch, or is one of another bundle.
    error LegNotInBatch(uint64 rollup, uint256 item);
    /// A bundle has 1 to 65,535 legs, and one proof for each.
    error LegCount(uint256 expected, uint256 found);
    /// The proof is one of another rollup's batch.
    error LegOfAnotherRollup(uint64 expected, uint64 found);

    /// The digest of a leaf.
    function digest(Leaf calldata leaf) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                bytes1(0x00),
                "conclave/ns/v1",
                leaf.rollup,
                leaf.index,
                leaf.items,
                leaf.transactionBytes,
                leaf.sequence,
                leaf.previousHeight,
                leaf.transactionRoot,
                leaf.atomicRoot
            )
        );
    }

    /// Whether the leaf stands under `root`, over `count` rollups.
    function isIncluded(bytes32 root, uint32 count, Inclusion calldata proof) internal pure returns (bool) {
        return
            proof.leaf.index < count
                && Merkle.verify(root, digest(proof.leaf), proof.leaf.index, proof.siblings);
    }

    /// Reverts unless the leaf stands under `root`, over `count` rollups.
    function requireIncluded(bytes32 root, uint32 count, Inclusion calldata proof) internal pure {
        if (!isIncluded(root, count, proof)) revert NotInBlock(proof.leaf.rollup);
    }

    /// Reverts unless `rollup` has no leaf under `root`, over `count` rollups.
    function requireAbsent(bytes32 root, uint32 count, uint64 rollup, Absence calldata proof) internal pure {
        uint256 from = 0;
        uint256 to = count;
        if (proof.hasBefore) {
            requireIncluded(root, count, proof.before);
            if (proof.before.leaf.rollup >= rollup) revert NotAbsent(rollup);
            from = uint256(proof.before.leaf.index) + 1;
        }
        if (proof.hasAfter) {
            requireIncluded(root, count, proof.afterwards);
            if (proof.afterwards.leaf.rollup <= rollup) revert NotAbsent(rollup);
            to = proof.afterwards.leaf.index;
        }
        if (from != to) revert NotAbsent(rollup);
    }

    /// Reverts unless the transaction with this keccak256 is item `item` of the batch. The caller has shown
    /// that `leaf` is in the block.
    function requireTransaction(
        Leaf calldata leaf,
        uint32 item,
        bytes32 transactionHash,
        bytes32[] calldata siblings
    ) internal pure {
        bool found = item < leaf.items
            && Merkle.verify(leaf.transactionRoot, transactionLeaf(transactionHash), item, siblings);
        if (!found) revert TransactionNotInBatch(leaf.rollup, item);
    }

    /// Reverts unless the transactions with these hashes are the items from `first` on, without a gap. The
    /// caller has shown that `leaf` is in the block.
    function requireTransactions(Leaf calldata leaf, TransactionRange calldata range) internal pure {
        uint256 count = range.hashes.length;
        bool fits = count > 0 && uint256(range.first) + count <= leaf.items;
        if (!fits || rangeRoot(range, leaf.items) != leaf.transactionRoot) {
            revert TransactionNotInBatch(leaf.rollup, range.first);
        }
    }

    /// What a block's reveal root and number of rollups are known by.
    function revealOf(bytes32 root, uint32 count) internal pure returns (bytes32) {
        return keccak256(abi.encode(root, count));
    }

    /// The block that a lean proof is about.
    function heightOf(LeanInclusion calldata proof) internal pure returns (uint64) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(proof.place >> 192);
    }

    /// Reverts unless the transaction is in the block that is known by `reveal` ({revealOf}). Each field goes into the
    /// root that comes of the path, so the rules are those of {requireIncluded} and {requireTransaction}.
    function requireLean(bytes32 reveal, LeanInclusion calldata proof) internal pure {
        // forge-lint: disable-start(unsafe-typecast)
        uint64 rollup = uint64(proof.place >> 128);
        uint32 count = uint32(proof.place >> 96);
        uint32 index = uint32(proof.place >> 64);
        uint32 items = uint32(proof.place >> 32);
        uint32 item = uint32(proof.place);
        // forge-lint: disable-end(unsafe-typecast)
        uint256 depth = items > 1 ? LibBit.fls(items - 1) + 1 : 0;
        if (item >= items || proof.siblings.length < depth) revert TransactionNotInBatch(rollup, item);
        // Within the tree, since the item is below its width.
        (bytes32 root,) =
            Merkle.rootFromPath(transactionLeaf(proof.transactionHash), item, proof.siblings[:depth]);
        bytes32 leaf = keccak256(
            abi.encodePacked(
                bytes1(0x00), "conclave/ns/v1", rollup, index, items, proof.batch, root, proof.atomicRoot
            )
        );
        bool fits;
        (root, fits) = Merkle.rootFromPath(leaf, index, proof.siblings[depth:]);
        if (!fits || index >= count || revealOf(root, count) != reveal) revert NotInBlock(rollup);
    }

    /// The leaf of a transaction in a batch's transaction tree.
    function transactionLeaf(bytes32 transactionHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x00), transactionHash));
    }

    /// The leaf of leg `leg` of `legs` of a bundle in a batch's atomic tree.
    function atomicLeaf(bytes32 bundle, uint16 leg, uint16 legs, bytes32 legsDigest)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(bytes1(0x00), "conclave/atom/v1", bundle, leg, legs, legsDigest));
    }

    /// The digest over all legs of an opened bundle: `Outcome::digest` in `types/src/reveal.rs`.
    function legsDigestOf(Leg[] calldata legs) internal pure returns (bytes32) {
        bytes memory preimage = abi.encodePacked("conclave/opened/v1", uint64(legs.length));
        for (uint256 i = 0; i < legs.length; ++i) {
            preimage = abi.encodePacked(preimage, legs[i].rollup, legs[i].transactionHash);
        }
        return keccak256(preimage);
    }

    /// Reverts unless all legs of `bundle` are in the block with this reveal root: each as an item of its own
    /// rollup's batch, in that batch's transactions and in its atomic tree alike. It shows that they were
    /// ordered together, not that they were executed.
    function requireAtomic(
        bytes32 root,
        uint32 count,
        bytes32 bundle,
        Leg[] calldata legs,
        LegProof[] calldata proofs
    ) internal pure {
        // Of no legs anything is true, and nothing ties the bundle's id to them.
        if (legs.length == 0 || legs.length != proofs.length || legs.length > type(uint16).max) {
            revert LegCount(legs.length, proofs.length);
        }
        bytes32 all = legsDigestOf(legs);
        for (uint256 i = 0; i < legs.length; ++i) {
            LegProof calldata proof = proofs[i];
            Leaf calldata leaf = proof.batch.leaf;
            if (leaf.rollup != legs[i].rollup) revert LegOfAnotherRollup(legs[i].rollup, leaf.rollup);
            requireIncluded(root, count, proof.batch);
            requireTransaction(leaf, proof.item, legs[i].transactionHash, proof.transactionSiblings);
            // casting to 'uint16' is safe because the number of legs was checked above
            // forge-lint: disable-next-line(unsafe-typecast)
            bytes32 place = atomicLeaf(bundle, uint16(i), uint16(legs.length), all);
            if (!Merkle.verify(leaf.atomicRoot, place, proof.item, proof.atomicSiblings)) {
                revert LegNotInBatch(leaf.rollup, proof.item);
            }
        }
    }

    /// The root over `items` leaves of which a run is known; zero if the siblings are too many or too few.
    function rangeRoot(TransactionRange calldata range, uint256 items) private pure returns (bytes32) {
        uint256 count = range.hashes.length;
        bytes32[] memory level = new bytes32[](count + 2);
        for (uint256 i = 0; i < count; ++i) {
            level[i] = transactionLeaf(range.hashes[i]);
        }
        uint256 first = range.first;
        uint256 used = 0;
        for (uint256 width = 1; width < items; width <<= 1) {
            // A run that begins on a right child needs its left sibling; one that ends on a left child
            // needs the right one.
            uint256 left = first & 1;
            uint256 right = (first + count) & 1;
            if (used + left + right > range.siblings.length) return 0;
            bytes32 before = left == 1 ? range.siblings[used] : bytes32(0);
            used += left;
            bytes32 behind = right == 1 ? range.siblings[used] : bytes32(0);
            used += right;
            uint256 above = (left + count + right) / 2;
            for (uint256 i = 0; i < above; ++i) {
                // Written in place: pair i reads entries 2i − left and above, all at or beyond entry i but
                // for the sibling, which is held apart.
                bytes32 l = left == 1 ? (i == 0 ? before : level[2 * i - 1]) : level[2 * i];
                uint256 at = 2 * i + 1 - left;
                bytes32 r = at < count ? level[at] : behind;
                level[i] = Merkle.node(l, r);
            }
            first >>= 1;
            count = above;
        }
        return used == range.siblings.length ? level[0] : bytes32(0);
    }
}
