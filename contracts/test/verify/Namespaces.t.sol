// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Merkle } from "../../src/lib/Merkle.sol";
import { NamespaceTree } from "../../src/lib/NamespaceTree.sol";
import { TestBase, vm } from "../utils/Vm.sol";

/// What can be shown, and what cannot, about one rollup's slice of a block: on the block of
/// `tests/vectors/settlement-v1.json`, with batches of rollups 10, 20 and 30.
contract NamespacesTest is TestBase {
    string private json;
    bytes32 private root;
    uint32 private count;

    function setUp() public {
        json = vm.readFile("../tests/vectors/settlement-v1.json");
        root = vm.parseJsonBytes32(json, ".namespaces.root");
        count = uint32(vm.parseJsonUint(json, ".namespaces.count"));
    }

    function test_the_pinned_batches_are_in_the_pinned_block() public view {
        for (uint256 i = 0; i < count; ++i) {
            bytes32 expected = vm.parseJsonBytes32(json, string.concat(rollupAt(i), ".digest"));
            vm.assertEq(this.digest(batch(i).leaf), expected, "digest");
            this.requireIncluded(root, count, batch(i));
        }
    }

    function test_a_changed_field_path_index_or_count_is_no_batch() public {
        for (uint256 field = 0; field < 10; ++field) {
            NamespaceTree.Inclusion memory proof = batch(1);
            if (field == 0) ++proof.leaf.rollup;
            if (field == 1) ++proof.leaf.index;
            if (field == 2) ++proof.leaf.items;
            if (field == 3) ++proof.leaf.transactionBytes;
            if (field == 4) ++proof.leaf.sequence;
            if (field == 5) ++proof.leaf.previousHeight;
            if (field == 6) proof.leaf.transactionRoot ^= bytes32(uint256(1));
            if (field == 7) proof.leaf.atomicRoot ^= bytes32(uint256(1));
            if (field == 8) proof.siblings[0] ^= bytes32(uint256(1));
            if (field == 9) proof.leaf.index += 4;
            vm.expectRevert(abi.encodeWithSelector(NamespaceTree.NotInBlock.selector, proof.leaf.rollup));
            this.requireIncluded(root, count, proof);
        }
        NamespaceTree.Inclusion memory whole = batch(1);
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.NotInBlock.selector, 20));
        this.requireIncluded(root, 1, whole);
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.NotInBlock.selector, 20));
        this.requireIncluded(bytes32(0), count, whole);
    }

    function test_every_rollup_is_present_or_absent_and_never_both() public {
        NamespaceTree.Inclusion[3] memory all = [batch(0), batch(1), batch(2)];
        for (uint64 rollup = 5; rollup <= 35; ++rollup) {
            bool shown = false;
            // Whatever two neighbours are offered: none, or one of the three, on either side.
            for (uint256 pick = 0; pick < 16; ++pick) {
                (uint256 before, uint256 behind) = (pick & 3, pick >> 2);
                try this.requireAbsent(root, count, rollup, neighbours(all, before, behind)) {
                    shown = true;
                } catch { }
            }
            vm.assertTrue(shown == (rollup % 10 != 0), "absent");
        }
        NamespaceTree.Absence memory none = neighbours(all, 3, 3);
        this.requireAbsent(bytes32(0), 0, 10, none);
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.NotAbsent.selector, 15));
        this.requireAbsent(root, count, 15, none);
    }

    function test_every_transaction_is_where_it_is_and_nowhere_else() public {
        for (uint256 i = 0; i < count; ++i) {
            NamespaceTree.Leaf memory leaf = batch(i).leaf;
            bytes[] memory transactions =
                vm.parseJsonBytesArray(json, string.concat(rollupAt(i), ".transactions"));
            for (uint32 item = 0; item < leaf.items; ++item) {
                bytes32[] memory path = pathOf(i, ".transaction_paths", item);
                bytes32 hash = keccak256(transactions[item]);
                this.requireTransaction(leaf, item, hash, path);
                bytes memory error =
                    abi.encodeWithSelector(NamespaceTree.TransactionNotInBatch.selector, leaf.rollup, item);
                vm.expectRevert(error);
                this.requireTransaction(leaf, item, keccak256("another"), path);
                error = abi.encodeWithSelector(
                    NamespaceTree.TransactionNotInBatch.selector, leaf.rollup, uint32(item ^ 1)
                );
                vm.expectRevert(error);
                this.requireTransaction(leaf, item ^ 1, hash, path);
            }
        }
    }

    function test_every_transaction_is_shown_leanly_too() public view {
        for (uint256 i = 0; i < count; ++i) {
            for (uint32 item = 0; item < batch(i).leaf.items; ++item) {
                this.requireLean(NamespaceTree.revealOf(root, count), lean(i, item));
            }
        }
    }

    function test_a_changed_field_of_a_lean_proof_is_no_transaction() public {
        bytes32 reveal = NamespaceTree.revealOf(root, count);
        bytes memory absent = abi.encodeWithSelector(NamespaceTree.NotInBlock.selector, 20);
        for (uint256 bit = 0; bit < 256; ++bit) {
            // The height is that of the block looked up, which is not looked at here.
            if (bit >= 192) break;
            NamespaceTree.LeanInclusion memory proof = lean(1, 5);
            proof.place ^= 1 << bit;
            vm.expectRevert();
            this.requireLean(reveal, proof);
            proof = lean(1, 5);
            proof.batch ^= uint192(1 << bit);
            vm.expectRevert(absent);
            this.requireLean(reveal, proof);
        }
        NamespaceTree.LeanInclusion memory other = lean(1, 5);
        other.transactionHash ^= bytes32(uint256(1));
        vm.expectRevert(absent);
        this.requireLean(reveal, other);
        other = lean(1, 5);
        other.atomicRoot ^= bytes32(uint256(1));
        vm.expectRevert(absent);
        this.requireLean(reveal, other);
        for (uint256 i = 0; i < 5; ++i) {
            other = lean(1, 5);
            other.siblings[i] ^= bytes32(uint256(1));
            vm.expectRevert(absent);
            this.requireLean(reveal, other);
        }
        other = lean(1, 5);
        vm.expectRevert(absent);
        this.requireLean(NamespaceTree.revealOf(root, count + 1), other);
        vm.expectRevert(absent);
        this.requireLean(NamespaceTree.revealOf(keccak256("another"), count), other);
    }

    function test_a_lean_path_is_neither_cut_nor_stretched_nor_beyond_the_items() public {
        bytes32 reveal = NamespaceTree.revealOf(root, count);
        bytes32[] memory whole = lean(1, 5).siblings;
        for (uint256 length = 0; length <= 6; ++length) {
            if (length == 5) continue;
            NamespaceTree.LeanInclusion memory proof = lean(1, 5);
            proof.siblings = new bytes32[](length);
            for (uint256 i = 0; i < length && i < 5; ++i) {
                proof.siblings[i] = whole[i];
            }
            vm.expectRevert(
                length < 3
                    ? abi.encodeWithSelector(NamespaceTree.TransactionNotInBatch.selector, 20, 5)
                    : abi.encodeWithSelector(NamespaceTree.NotInBlock.selector, 20)
            );
            this.requireLean(reveal, proof);
        }
        // Items 6 and 7 of six are padding, which has a path.
        NamespaceTree.LeanInclusion memory beyond = lean(1, 5);
        ++beyond.place;
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.TransactionNotInBatch.selector, 20, 6));
        this.requireLean(reveal, beyond);
        // Nobody has a batch of no items.
        beyond.place = uint256(20) << 128;
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.TransactionNotInBatch.selector, 20, 0));
        this.requireLean(reveal, beyond);
    }

    /// A certified root may hold what no honest one does: a leaf that names another place than its own, or one behind the last.
    function test_a_lean_proof_is_of_the_place_that_its_leaf_names() public {
        bytes32[] memory above = new bytes32[](2);
        (above[0], above[1]) = (keccak256("a neighbour"), keccak256("two more"));
        uint32[3] memory named = [uint32(1), 5, 3];
        for (uint256 i = 0; i < 3; ++i) {
            NamespaceTree.LeanInclusion memory proof;
            (proof.transactionHash, proof.atomicRoot) = (keccak256("it"), keccak256("atomic"));
            proof.place = uint256(20) << 128 | uint256(count) << 96 | uint256(named[i]) << 64 | 1 << 32;
            proof.siblings = above;
            NamespaceTree.Leaf memory leaf;
            (leaf.rollup, leaf.index, leaf.items) = (20, named[i], 1);
            leaf.transactionRoot = keccak256(abi.encodePacked(uint8(0), proof.transactionHash));
            leaf.atomicRoot = proof.atomicRoot;
            bytes32 top = Merkle.node(above[0], this.digest(leaf));
            top = i == 2 ? Merkle.node(above[1], top) : Merkle.node(top, above[1]);
            if (i > 0) vm.expectRevert(abi.encodeWithSelector(NamespaceTree.NotInBlock.selector, 20));
            this.requireLean(NamespaceTree.revealOf(top, count), proof);
        }
    }

    function test_every_run_of_transactions_is_shown_whole() public {
        NamespaceTree.Leaf memory leaf = batch(1).leaf;
        bytes[] memory transactions = vm.parseJsonBytesArray(json, ".namespaces.rollups[1].transactions");
        uint256 at = 0;
        for (uint32 first = 0; first < leaf.items; ++first) {
            for (uint256 length = 1; first + length <= leaf.items; ++length) {
                bytes32[] memory hashes = new bytes32[](length);
                for (uint256 i = 0; i < length; ++i) {
                    hashes[i] = keccak256(transactions[first + i]);
                }
                string memory name = string.concat(".namespaces.ranges[", vm.toString(at++), "].siblings");
                bytes32[] memory siblings = vm.parseJsonBytes32Array(json, name);
                this.requireTransactions(leaf, NamespaceTree.TransactionRange(first, hashes, siblings));
                bytes memory error =
                    abi.encodeWithSelector(NamespaceTree.TransactionNotInBatch.selector, leaf.rollup, first);
                hashes[length - 1] ^= bytes32(uint256(1));
                vm.expectRevert(error);
                this.requireTransactions(leaf, NamespaceTree.TransactionRange(first, hashes, siblings));
                hashes[length - 1] ^= bytes32(uint256(1));
                bytes32[] memory longer = new bytes32[](siblings.length + 1);
                for (uint256 i = 0; i < siblings.length; ++i) {
                    longer[i] = siblings[i];
                }
                vm.expectRevert(error);
                this.requireTransactions(leaf, NamespaceTree.TransactionRange(first, hashes, longer));
                bytes32[] memory more = new bytes32[](leaf.items - first + 1);
                vm.expectRevert(error);
                this.requireTransactions(leaf, NamespaceTree.TransactionRange(first, more, siblings));
            }
        }
        vm.expectRevert();
        this.requireTransactions(leaf, NamespaceTree.TransactionRange(0, new bytes32[](0), new bytes32[](0)));
    }

    function test_all_legs_of_a_bundle_are_shown_together() public {
        // Bundles 0 (rollups 10 and 30) and 6 (30, 20 and 10).
        for (uint256 bundle = 0; bundle < 7; bundle += 6) {
            (bytes32 id, NamespaceTree.Leg[] memory legs, NamespaceTree.LegProof[] memory proofs) =
                legsOf(bundle);
            this.requireAtomic(root, count, id, legs, proofs);
            vm.snapshotGasLastCall(
                "verify", bundle == 0 ? "atomic pair of 3 rollups" : "atomic triple of 3 rollups"
            );
            vm.expectPartialRevert(NamespaceTree.LegNotInBatch.selector);
            this.requireAtomic(root, count, keccak256("another bundle"), legs, proofs);
            NamespaceTree.LegProof memory kept = proofs[1];
            proofs[1] = proofs[0];
            vm.expectPartialRevert(NamespaceTree.LegOfAnotherRollup.selector);
            this.requireAtomic(root, count, id, legs, proofs);
            proofs[1] = kept;
            NamespaceTree.Leg memory leg = legs[1];
            legs[1] = NamespaceTree.Leg(leg.rollup, keccak256("another transaction"));
            vm.expectPartialRevert(NamespaceTree.LegNotInBatch.selector);
            this.requireAtomic(root, count, id, legs, proofs);
            legs[1] = leg;
            NamespaceTree.Leg[] memory fewer = new NamespaceTree.Leg[](1);
            fewer[0] = legs[0];
            vm.expectRevert(abi.encodeWithSelector(NamespaceTree.LegCount.selector, 1, proofs.length));
            this.requireAtomic(root, count, id, fewer, proofs);
            NamespaceTree.LegProof[] memory one = new NamespaceTree.LegProof[](1);
            one[0] = proofs[0];
            vm.expectPartialRevert(NamespaceTree.LegNotInBatch.selector);
            this.requireAtomic(root, count, id, fewer, one);
        }
    }

    function test_no_legs_show_nothing_about_a_bundle() public {
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.LegCount.selector, 0, 0));
        this.requireAtomic(
            root,
            count,
            keccak256("a bundle that nobody ordered"),
            new NamespaceTree.Leg[](0),
            new NamespaceTree.LegProof[](0)
        );
    }

    /// A tree of 1,024 rollups, as large as one block's may well be.
    function test_a_batch_among_a_thousand_is_shown_within_its_price() public {
        NamespaceTree.Inclusion memory proof = batch(1);
        proof.siblings = new bytes32[](10);
        proof.leaf.index = 700;
        bytes32 hash = this.digest(proof.leaf);
        for (uint256 i = 0; i < 10; ++i) {
            proof.siblings[i] = keccak256(abi.encode(i));
            hash = 700 >> i & 1 == 0
                ? Merkle.node(hash, proof.siblings[i])
                : Merkle.node(proof.siblings[i], hash);
        }
        this.requireIncluded(hash, 1024, proof);
        vm.assertLe(vm.snapshotGasLastCall("verify", "batch among 1024 rollups"), 24_000, "gas");
    }

    // --- through calls, so that memory becomes calldata and reverts can be expected

    function digest(NamespaceTree.Leaf calldata leaf) external pure returns (bytes32) {
        return NamespaceTree.digest(leaf);
    }

    function requireIncluded(bytes32 r, uint32 n, NamespaceTree.Inclusion calldata proof) external pure {
        NamespaceTree.requireIncluded(r, n, proof);
    }

    function requireAbsent(bytes32 r, uint32 n, uint64 rollup, NamespaceTree.Absence calldata proof)
        external
        pure
    {
        NamespaceTree.requireAbsent(r, n, rollup, proof);
    }

    function requireTransaction(
        NamespaceTree.Leaf calldata leaf,
        uint32 item,
        bytes32 hash,
        bytes32[] calldata siblings
    ) external pure {
        NamespaceTree.requireTransaction(leaf, item, hash, siblings);
    }

    function requireLean(bytes32 reveal, NamespaceTree.LeanInclusion calldata proof) external pure {
        NamespaceTree.requireLean(reveal, proof);
    }

    function requireTransactions(
        NamespaceTree.Leaf calldata leaf,
        NamespaceTree.TransactionRange calldata range
    ) external pure {
        NamespaceTree.requireTransactions(leaf, range);
    }

    function requireAtomic(
        bytes32 r,
        uint32 n,
        bytes32 bundle,
        NamespaceTree.Leg[] calldata legs,
        NamespaceTree.LegProof[] calldata proofs
    ) external pure {
        NamespaceTree.requireAtomic(r, n, bundle, legs, proofs);
    }

    // --- reading the vectors

    function rollupAt(uint256 index) private pure returns (string memory) {
        return string.concat(".namespaces.rollups[", vm.toString(index), "]");
    }

    function pathOf(uint256 index, string memory name, uint256 item) private view returns (bytes32[] memory) {
        return
            vm.parseJsonBytes32Array(json, string.concat(rollupAt(index), name, "[", vm.toString(item), "]"));
    }

    function batch(uint256 index) private view returns (NamespaceTree.Inclusion memory proof) {
        string memory at = rollupAt(index);
        NamespaceTree.Leaf memory leaf;
        leaf.rollup = uint64(vm.parseJsonUint(json, string.concat(at, ".rollup")));
        leaf.index = uint32(vm.parseJsonUint(json, string.concat(at, ".index")));
        leaf.items = uint32(vm.parseJsonUint(json, string.concat(at, ".items")));
        leaf.transactionBytes = uint64(vm.parseJsonUint(json, string.concat(at, ".bytes")));
        leaf.sequence = uint64(vm.parseJsonUint(json, string.concat(at, ".sequence")));
        leaf.previousHeight = uint64(vm.parseJsonUint(json, string.concat(at, ".previous_height")));
        leaf.transactionRoot = vm.parseJsonBytes32(json, string.concat(at, ".transaction_root"));
        leaf.atomicRoot = vm.parseJsonBytes32(json, string.concat(at, ".atomic_root"));
        bytes32[] memory siblings = vm.parseJsonBytes32Array(json, string.concat(at, ".path"));
        return NamespaceTree.Inclusion(leaf, siblings);
    }

    function lean(uint256 index, uint32 item)
        private
        view
        returns (NamespaceTree.LeanInclusion memory proof)
    {
        NamespaceTree.Leaf memory leaf = batch(index).leaf;
        bytes[] memory transactions =
            vm.parseJsonBytesArray(json, string.concat(rollupAt(index), ".transactions"));
        bytes32[] memory own = pathOf(index, ".transaction_paths", item);
        bytes32[] memory above = batch(index).siblings;
        proof.place = uint256(leaf.rollup) << 128 | uint256(count) << 96 | uint256(leaf.index) << 64
            | uint256(leaf.items) << 32 | item;
        proof.batch =
            uint192(leaf.transactionBytes) << 128 | uint192(leaf.sequence) << 64 | leaf.previousHeight;
        (proof.transactionHash, proof.atomicRoot) = (keccak256(transactions[item]), leaf.atomicRoot);
        proof.siblings = new bytes32[](own.length + above.length);
        for (uint256 i = 0; i < proof.siblings.length; ++i) {
            proof.siblings[i] = i < own.length ? own[i] : above[i - own.length];
        }
    }

    /// Batches `before` and `behind` as neighbours; 3 stands for none.
    function neighbours(NamespaceTree.Inclusion[3] memory all, uint256 before, uint256 behind)
        private
        pure
        returns (NamespaceTree.Absence memory proof)
    {
        if (before < 3) (proof.hasBefore, proof.before) = (true, all[before]);
        if (behind < 3) (proof.hasAfter, proof.afterwards) = (true, all[behind]);
    }

    function legsOf(uint256 bundle)
        private
        view
        returns (bytes32 id, NamespaceTree.Leg[] memory legs, NamespaceTree.LegProof[] memory proofs)
    {
        id = vm.parseJsonBytes32(json, string.concat(".namespaces.bundles[", vm.toString(bundle), "].id"));
        // Rollup 10 has bundle 0 and 6 as items 0 and 1, rollup 30 likewise; rollup 20 has bundle 6 as item 5.
        uint256[3] memory batches = bundle == 0 ? [uint256(0), 2, 0] : [uint256(2), 1, 0];
        uint256 length = bundle == 0 ? 2 : 3;
        (legs, proofs) = (new NamespaceTree.Leg[](length), new NamespaceTree.LegProof[](length));
        for (uint256 i = 0; i < length; ++i) {
            uint256 index = batches[i];
            uint32 item = bundle == 0 ? 0 : index == 1 ? 5 : 1;
            NamespaceTree.Inclusion memory proof = batch(index);
            bytes[] memory transactions =
                vm.parseJsonBytesArray(json, string.concat(rollupAt(index), ".transactions"));
            legs[i] = NamespaceTree.Leg(proof.leaf.rollup, keccak256(transactions[item]));
            proofs[i] = NamespaceTree.LegProof(
                proof, item, pathOf(index, ".transaction_paths", item), pathOf(index, ".atomic_paths", item)
            );
        }
    }
}
