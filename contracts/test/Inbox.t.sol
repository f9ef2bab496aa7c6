// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Candidate, IConclaveElection } from "../src/interfaces/IConclaveElection.sol";
import {
    Head,
    HistoryProof,
    IConclaveInbox,
    InboxState,
    Posting
} from "../src/interfaces/IConclaveInbox.sol";
import { IConclaveStake, UnbondingId } from "../src/interfaces/IConclaveStake.sol";
import { Bls12381 } from "../src/lib/Bls12381.sol";
import { NamespaceTree } from "../src/lib/NamespaceTree.sol";
import { QuorumCertificate } from "../src/lib/QuorumCertificate.sol";
import { SignBytes } from "../src/lib/SignBytes.sol";
import { BlockCommitment, ValidatorId } from "../src/lib/Types.sol";
import { Network } from "./support/Network.sol";
import { Secrets } from "./support/Secrets.sol";
import { vm } from "./utils/Vm.sol";

/// What settles, and what does not.
contract InboxTest is Network {
    function setUp() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        openNetwork();
        vm.roll(block.number + 10);
    }

    function refuse(Posting memory p, bytes memory error) private {
        vm.expectRevert(error);
        net.inbox.commit(p);
    }

    function next() private view returns (Posting memory) {
        return certified(commitmentAt(settledHeight() + 5), everyone());
    }

    // --- opening

    function test_only_the_launcher_opens_and_only_once() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        bytes32 hash = offer();
        vm.prank(council);
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotLauncher.selector, council));
        net.inbox.open(NETWORK, hash, DKG, lastBlock());
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NoNetwork.selector));
        net.inbox.open(0, hash, DKG, lastBlock());
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.NotOffered.selector, 0, bytes32("x")));
        net.inbox.open(NETWORK, "x", DKG, lastBlock());
        net.inbox.open(NETWORK, hash, DKG, lastBlock());
        vm.assertEq(net.inbox.dkgResultOf(0), DKG, "sharing of epoch 0");
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.AlreadyOpen.selector));
        net.inbox.open(NETWORK, hash, DKG, lastBlock());
    }

    function test_a_network_begins_at_a_past_block_up_to_which_the_queue_is_empty() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        bytes32 hash = offer();
        uint64 origin = lastBlock();
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.OriginUnknown.selector, origin + 1, 0));
        net.inbox.open(NETWORK, hash, DKG, origin + 1);
        net.vault.deposit{ value: 1 ether }(council);
        vm.roll(block.number + 5);
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.QueueNotEmpty.selector, origin + 1, 1));
        net.inbox.open(NETWORK, hash, DKG, origin + 1);
        net.inbox.open(NETWORK, hash, DKG, origin);
        vm.assertEq(net.inbox.head().origin, origin, "older than the call");
        vm.roll(block.number + 1);
        settle(1);
    }

    function test_nothing_settles_before_it_is_open() public {
        Posting memory p = next();
        deployNetwork();
        refuse(p, abi.encodeWithSelector(IConclaveInbox.NotOpen.selector, InboxState.Closed));
    }

    // --- what settles

    function test_the_newest_commitment_settles_all_before_it() public {
        settle(1);
        settle(2);
        BlockCommitment memory c = settle(1_000_000);
        Head memory head = net.inbox.head();
        vm.assertEq(head.height, 1_000_000, "height");
        vm.assertEq(head.origin, c.originNumber, "origin");
        vm.assertEq(net.inbox.rootAt(1_000_000), history.root(1_000_000), "root over all");
    }

    function test_a_backlog_of_any_age_settles() public {
        settle(7);
        bytes32 second = offer();
        // Three epochs end while nobody relays for a year.
        vm.warp(block.timestamp + 365 days);
        vm.roll(block.number + 365 * 7200);
        settleEnd(500_000, second);
        settleEnd(900_000, offer());
        settleEnd(1_300_000, offer());
        settle(2_000_000);
        vm.assertEq(net.inbox.head().epoch, 3, "epoch");
        vm.assertEq(net.inbox.dkgResultOf(1), keccak256(abi.encode("sharing", uint64(500_000))), "sharing");
    }

    function test_exactly_a_quorum_is_enough() public {
        Posting memory p = certified(commitmentAt(5), 7);
        net.inbox.commit(p);
        vm.assertEq(settledHeight(), 5, "three of four");
    }

    // --- certificates that are none

    function test_power_below_a_quorum_is_refused() public {
        Posting memory p = certified(commitmentAt(5), 3);
        refuse(
            p,
            abi.encodeWithSelector(
                QuorumCertificate.NoQuorum.selector, uint64(40 * ETHER) * 2 / 3 + 1, 20 * ETHER
            )
        );
    }

    function test_bits_beyond_the_members_are_refused() public {
        Posting memory p = next();
        p.signers = 31;
        refuse(p, abi.encodeWithSelector(QuorumCertificate.UnknownSigners.selector, 31, 4));
        p.signers |= 1 << 255;
        refuse(p, abi.encodeWithSelector(QuorumCertificate.UnknownSigners.selector, p.signers, 4));
    }

    function test_nobodys_signature_at_infinity_is_refused() public {
        Posting memory p = next();
        (p.signers, p.signature) = (0, new bytes(256));
        refuse(p, abi.encodeWithSelector(QuorumCertificate.NoSigners.selector));
        p.signers = 15;
        refuse(p, abi.encodeWithSelector(Bls12381.SignatureIsInfinity.selector));
        p.signature = new bytes(255);
        refuse(p, abi.encodeWithSelector(Bls12381.SignatureLength.selector, 255));
    }

    function test_a_signature_of_others_than_named_is_refused() public {
        Posting memory p = certified(commitmentAt(5), 7);
        p.signers = 14;
        refuse(p, abi.encodeWithSelector(Bls12381.BadSignature.selector));
    }

    /// Each field is under the signature.
    function test_no_field_can_be_changed_after_signing() public {
        bytes memory bad = abi.encodeWithSelector(Bls12381.BadSignature.selector);
        bytes memory clean = abi.encode(next());
        Posting memory p = abi.decode(clean, (Posting));
        p.commitment.blockId = "x";
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        p.commitment.revealRoot = "x";
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        p.commitment.rollupCount ^= 1;
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        p.commitment.withdrawalsRoot = "x";
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        p.commitment.historyRoot = "x";
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        p.commitment.height += 1;
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        p.commitment.originNumber -= 1;
        p.commitment.originHash = blockhash(p.commitment.originNumber);
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        (p.commitment.nextCommittee, p.commitment.dkgResult) = ("x", "y");
        refuse(p, bad);
        // L1 knows what the origin's hash is, and the queue what the cursor.
        p = abi.decode(clean, (Posting));
        p.commitment.originHash ^= bytes32(uint256(1));
        uint64 origin = p.commitment.originNumber;
        refuse(
            p, abi.encodeWithSelector(IConclaveInbox.OriginUnknown.selector, origin, p.commitment.originHash)
        );
        p = abi.decode(clean, (Posting));
        ++p.commitment.forcedCursor;
        refuse(p, abi.encodeWithSelector(IConclaveInbox.CursorMismatch.selector, 0, 1));
        p = abi.decode(clean, (Posting));
        ++p.commitment.epoch;
        refuse(p, abi.encodeWithSelector(IConclaveInbox.WrongEpoch.selector, 0, 1));
        p = abi.decode(clean, (Posting));
        p.commitment.nextCommittee = "x";
        refuse(p, abi.encodeWithSelector(IConclaveInbox.EpochEndIncomplete.selector, bytes32("x"), 0));
        p = abi.decode(clean, (Posting));
        p.commitment.dkgResult = "y";
        refuse(p, abi.encodeWithSelector(IConclaveInbox.EpochEndIncomplete.selector, 0, bytes32("y")));
    }

    /// Nor what an end of an epoch names, nor the hash of an origin that L1 has forgotten: only the signature tells.
    function test_no_field_of_an_end_can_be_changed_alone_after_signing() public {
        bytes memory bad = abi.encodeWithSelector(Bls12381.BadSignature.selector);
        bytes32 offered = offer();
        vm.roll(block.number + 1);
        BlockCommitment memory c = commitmentAt(5);
        (c.nextCommittee, c.dkgResult) = (offered, DKG);
        bytes memory clean = abi.encode(certified(c, everyone()));
        Posting memory p = abi.decode(clean, (Posting));
        p.commitment.nextCommittee ^= bytes32(uint256(1));
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        p.commitment.dkgResult ^= bytes32(uint256(1));
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        vm.roll(block.number + 8192);
        p.commitment.originHash ^= bytes32(uint256(1));
        refuse(p, bad);
        p = abi.decode(clean, (Posting));
        net.inbox.commit(p);
        vm.assertEq(net.inbox.head().epoch, 1, "as it was signed");
    }

    function test_a_certificate_of_another_network_is_refused() public {
        BlockCommitment memory c = commitmentAt(5);
        Posting memory p = certified(c, everyone());
        bytes32 elsewhere = SignBytes.commitment(keyDomain(), c);
        p.signature = Secrets.sign(secretOf(everyone()), elsewhere);
        refuse(p, abi.encodeWithSelector(Bls12381.BadSignature.selector));
    }

    // --- epochs

    function test_another_epoch_is_refused() public {
        BlockCommitment memory c = commitmentAt(5);
        c.epoch = 1;
        refuse(certified(c, everyone()), abi.encodeWithSelector(IConclaveInbox.WrongEpoch.selector, 0, 1));
    }

    function test_the_old_set_settles_nothing_after_its_end() public {
        bytes32 second = offer();
        Posting memory late = certified(commitmentAt(20), everyone());
        settleEnd(10, second);
        refuse(late, abi.encodeWithSelector(IConclaveInbox.WrongEpoch.selector, 1, 0));
    }

    function test_a_committee_that_was_not_offered_does_not_take_effect() public {
        BlockCommitment memory c = commitmentAt(5);
        (c.nextCommittee, c.dkgResult) = ("clique", DKG);
        refuse(
            certified(c, everyone()),
            abi.encodeWithSelector(IConclaveElection.NotOffered.selector, 1, bytes32("clique"))
        );
    }

    function test_an_epoch_end_names_committee_and_sharing() public {
        BlockCommitment memory c = commitmentAt(5);
        c.nextCommittee = offer();
        refuse(
            certified(c, everyone()),
            abi.encodeWithSelector(IConclaveInbox.EpochEndIncomplete.selector, c.nextCommittee, bytes32(0))
        );
    }

    // --- one history

    function test_a_height_settles_once() public {
        settle(5);
        Posting memory p = certified(commitmentAt(6), everyone());
        p.commitment.height = 5;
        refuse(p, abi.encodeWithSelector(IConclaveInbox.HeightNotAbove.selector, 5, 5));
    }

    function test_a_history_that_leaves_out_what_is_settled_is_refused() public {
        settle(5);
        bytes32[] memory peaks = history.peaks(5);
        // The same quorum, of another past: entry 4 is not what was settled.
        history.pop();
        vm.roll(block.number + 1);
        Posting memory p = certified(commitmentAt(9), everyone());
        refuse(p, abi.encodeWithSelector(IConclaveInbox.BadPeaks.selector, 5));
        p.peaks = peaks;
        refuse(p, abi.encodeWithSelector(IConclaveInbox.HistoryNotExtended.selector, 5, 9));
    }

    function test_peaks_that_are_not_those_of_the_history_are_refused() public {
        settle(5);
        bytes memory clean = abi.encode(certified(commitmentAt(9), everyone()));
        Posting memory p = abi.decode(clean, (Posting));
        p.peaks[0] = "x";
        refuse(p, abi.encodeWithSelector(IConclaveInbox.BadPeaks.selector, 5));
        p.peaks = new bytes32[](0);
        refuse(p, abi.encodeWithSelector(IConclaveInbox.BadPeaks.selector, 5));
    }

    function test_a_history_with_a_hole_or_too_much_is_refused() public {
        settle(5);
        bytes memory error = abi.encodeWithSelector(IConclaveInbox.HistoryNotExtended.selector, 5, 9);
        bytes memory clean = abi.encode(certified(commitmentAt(9), everyone()));
        Posting memory p = abi.decode(clean, (Posting));
        p.added[1] = "x";
        refuse(p, error);
        p.added = new bytes32[](0);
        refuse(p, error);
        p.added = new bytes32[](9);
        refuse(p, error);
        bytes32[] memory whole = abi.decode(clean, (Posting)).added;
        p.added = new bytes32[](whole.length + 1);
        for (uint256 i = 0; i < whole.length; ++i) {
            p.added[i] = whole[i];
        }
        refuse(p, error);
    }

    /// Every pair of a settled height and a next one up to forty: the trees grow as RFC 9162 says.
    function test_histories_of_all_lengths_grow() public {
        uint256 clean = vm.snapshotState();
        for (uint64 first = 1; first < 40; first += 3) {
            for (uint64 second = first + 1; second <= 40; second += 4) {
                settle(first);
                settle(second);
                vm.assertEq(net.inbox.rootAt(second), history.root(second), "root");
                vm.revertToState(clean);
            }
        }
    }

    // --- origin and queue

    function test_an_origin_that_is_no_ancestor_is_refused() public {
        vm.setBlockhash(block.number - 2, keccak256("ours"));
        BlockCommitment memory c = commitmentAt(5);
        c.originNumber = uint64(block.number) - 2;
        c.originHash = keccak256("theirs");
        refuse(
            certified(c, everyone()),
            abi.encodeWithSelector(IConclaveInbox.OriginUnknown.selector, c.originNumber, c.originHash)
        );
        c.originNumber = uint64(block.number);
        refuse(
            certified(c, everyone()),
            abi.encodeWithSelector(IConclaveInbox.OriginUnknown.selector, c.originNumber, c.originHash)
        );
        c.originNumber = uint64(block.number) - 2;
        c.originHash = keccak256("ours");
        net.inbox.commit(certified(c, everyone()));
    }

    /// L1 has forgotten its hash: it stands on its number, or an outage of a day would be for ever.
    function test_an_origin_that_l1_has_forgotten_settles_by_its_number() public {
        settle(5);
        uint64 origin = uint64(block.number);
        vm.roll(origin + 8192);
        BlockCommitment memory c = commitmentAt(9);
        (c.originNumber, c.originHash) = (origin, keccak256("forgotten"));
        c.forcedCursor = net.forced.entriesUpTo(origin);
        post(certified(c, everyone()));
        vm.assertEq(net.inbox.head().origin, origin, "settled");
    }

    function test_an_origin_behind_the_settled_one_is_refused() public {
        BlockCommitment memory c = settle(5);
        BlockCommitment memory back = commitmentAt(6);
        back.originNumber = c.originNumber - 1;
        refuse(
            certified(back, everyone()),
            abi.encodeWithSelector(IConclaveInbox.OriginBehind.selector, c.originNumber, c.originNumber - 1)
        );
    }

    function test_the_queue_is_carried_whole_up_to_the_origin_and_no_further() public {
        net.vault.deposit{ value: 1 ether }(address(this));
        vm.roll(block.number + 1);
        net.vault.deposit{ value: 1 ether }(address(this));
        BlockCommitment memory c = commitmentAt(5);
        vm.assertEq(c.forcedCursor, 1, "the second is in this block");
        c.forcedCursor = 0;
        refuse(certified(c, everyone()), abi.encodeWithSelector(IConclaveInbox.CursorMismatch.selector, 1, 0));
        c.forcedCursor = 2;
        refuse(certified(c, everyone()), abi.encodeWithSelector(IConclaveInbox.CursorMismatch.selector, 1, 2));
        settle(5);
        vm.assertEq(net.inbox.head().cursor, 2, "both, a block later");
    }

    // --- proofs

    function test_older_commitments_are_proved_under_the_newest_posting_and_the_one_before() public {
        BlockCommitment memory first = settle(3);
        net.inbox.proveCommitment(proofOf(first, 3));
        settle(1000);
        net.inbox.proveCommitment(proofOf(first, 3));
        net.inbox.proveCommitment(proofOf(first, 1000));
        BlockCommitment memory last = settle(60_000);
        bytes32 digest = net.inbox.proveCommitment(proofOf(last, 60_000));
        vm.assertEq(digest, SignBytes.commitment(domain(), last), "the newest too");
        net.inbox.requireSettled(first, 1000, history.inclusion(2, 1000));
        net.inbox.requireSettled(first, 60_000, history.inclusion(2, 60_000));
        HistoryProof memory old = proofOf(last, 60_000);
        settle(70_000);
        net.inbox.proveCommitment(old);
        settle(80_000);
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotPosted.selector, 60_000));
        net.inbox.proveCommitment(old);
    }

    function test_a_proof_under_an_anchor_is_not_outrun() public {
        BlockCommitment memory first = settle(3);
        vm.assertEq(net.inbox.anchor().height, 3, "the first posting is one");
        uint256 begin = block.timestamp;
        // Somebody posts as often as he can until the last second of two hours.
        uint64 height = 3;
        uint64 second;
        for (uint256 i = 0; i < 20; ++i) {
            vm.warp(begin + i * 360);
            settle(++height);
            if (block.timestamp == begin + 1 hours) second = height;
            net.inbox.proveCommitment(proofOf(first, 3));
            // What is an anchor now is one for an hour.
            vm.assertEq(net.inbox.anchor().height, second == 0 ? 3 : second, "an hour between two");
        }
        vm.warp(begin + 2 hours - 1);
        settle(++height);
        net.inbox.proveCommitment(proofOf(first, 3));
        vm.warp(begin + 2 hours);
        settle(++height);
        vm.assertEq(net.inbox.anchor().height, height, "the third");
        vm.assertEq(net.inbox.anchor().previousHeight, second, "the second");
        net.inbox.proveCommitment(proofOf(first, second));
        net.inbox.proveCommitment(proofOf(first, height));
        HistoryProof memory old = proofOf(first, 3);
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotPosted.selector, 3));
        net.inbox.proveCommitment(old);
    }

    function test_what_was_not_settled_is_not_proved() public {
        BlockCommitment memory c = settle(3);
        settle(10);
        HistoryProof memory p = proofOf(c, 10);
        p.commitment.blockId = "x";
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotSettled.selector, 3, 10));
        net.inbox.proveCommitment(p);
        p = proofOf(c, 10);
        p.commitment.height = 0;
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotSettled.selector, 0, 10));
        net.inbox.proveCommitment(p);
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotPosted.selector, 0));
        net.inbox.rootAt(0);
    }

    function test_no_field_of_a_proof_can_be_changed() public {
        BlockCommitment memory settled = settle(3);
        settle(10);
        bytes memory clean = abi.encode(proofOf(settled, 10));
        for (uint256 field = 0; field < 17; ++field) {
            HistoryProof memory p = abi.decode(clean, (HistoryProof));
            BlockCommitment memory c = p.commitment;
            bytes32 bit = bytes32(uint256(1));
            if (field == 0) ++c.epoch;
            if (field == 1) ++c.height;
            if (field == 2) c.blockId ^= bit;
            if (field == 3) c.historyRoot ^= bit;
            if (field == 4) c.revealRoot ^= bit;
            if (field == 5) ++c.rollupCount;
            if (field == 6) ++c.originNumber;
            if (field == 7) c.originHash ^= bit;
            if (field == 8) ++c.forcedCursor;
            if (field == 9) c.withdrawalsRoot ^= bit;
            if (field == 10) c.nextCommittee ^= bit;
            if (field == 11) c.dkgResult ^= bit;
            // Under the posting before, the path is another one.
            if (field == 12) p.under = 3;
            if (field == 13) p.path[0] ^= bit;
            if (field == 14) p.path[p.path.length - 1] ^= bit;
            if (field == 15) p.path = firstOf(p.path, p.path.length - 1);
            if (field == 16) p.path = firstOf(p.path, p.path.length + 1);
            vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotSettled.selector, c.height, p.under));
            net.inbox.proveCommitment(p);
        }
        HistoryProof memory elsewhere = abi.decode(clean, (HistoryProof));
        elsewhere.under = 9;
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotPosted.selector, 9));
        net.inbox.proveCommitment(elsewhere);
        net.inbox.proveCommitment(abi.decode(clean, (HistoryProof)));
    }

    /// Filled up with zeros if there are fewer.
    function firstOf(bytes32[] memory path, uint256 count) private pure returns (bytes32[] memory some) {
        some = new bytes32[](count);
        for (uint256 i = 0; i < count && i < path.length; ++i) {
            some[i] = path[i];
        }
    }

    function test_transactions_pairs_and_absence_are_proved_from_a_settled_block() public {
        // One block with two rollups, each with one transaction: two legs of one bundle.
        bytes32 bundle = keccak256("bundle");
        NamespaceTree.Leg[] memory legs = new NamespaceTree.Leg[](2);
        legs[0] = NamespaceTree.Leg(901, keccak256("on 901"));
        legs[1] = NamespaceTree.Leg(905, keccak256("on 905"));
        bytes32 all = keccak256(
            abi.encodePacked(
                "conclave/opened/v1",
                uint64(2),
                uint64(901),
                legs[0].transactionHash,
                uint64(905),
                legs[1].transactionHash
            )
        );
        NamespaceTree.LegProof[] memory proofs = new NamespaceTree.LegProof[](2);
        bytes32[2] memory leaves;
        for (uint16 i = 0; i < 2; ++i) {
            NamespaceTree.Leaf memory leaf = NamespaceTree.Leaf({
                rollup: legs[i].rollup,
                index: i,
                items: 1,
                transactionBytes: 6,
                sequence: 0,
                previousHeight: 0,
                transactionRoot: keccak256(abi.encodePacked(uint8(0), legs[i].transactionHash)),
                atomicRoot: keccak256(
                    abi.encodePacked(uint8(0), "conclave/atom/v1", bundle, i, uint16(2), all)
                )
            });
            leaves[i] = keccak256(
                abi.encodePacked(
                    uint8(0),
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
            proofs[i].batch.leaf = leaf;
            proofs[i].batch.siblings = new bytes32[](1);
        }
        (proofs[0].batch.siblings[0], proofs[1].batch.siblings[0]) = (leaves[1], leaves[0]);
        vm.roll(block.number + 1);
        BlockCommitment memory c = commitmentAt(5);
        c.revealRoot = keccak256(abi.encodePacked(uint8(1), leaves[0], leaves[1]));
        c.rollupCount = 2;
        post(certified(c, everyone()));
        settle(90);
        HistoryProof memory p = proofOf(c, 90);

        bytes32[] memory none = new bytes32[](0);
        net.inbox.proveTransaction(p, proofs[0].batch, 0, legs[0].transactionHash, none);
        NamespaceTree.TransactionRange memory run = NamespaceTree.TransactionRange(0, new bytes32[](1), none);
        run.hashes[0] = legs[1].transactionHash;
        net.inbox.proveTransactions(p, proofs[1].batch, run);
        net.inbox.proveAtomic(p, bundle, legs, proofs);
        NamespaceTree.Absence memory absence =
            NamespaceTree.Absence(true, proofs[0].batch, true, proofs[1].batch);
        net.inbox.proveAbsence(p, 903, absence);

        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.NotAbsent.selector, 905));
        net.inbox.proveAbsence(p, 905, absence);
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.TransactionNotInBatch.selector, 901, 0));
        net.inbox.proveTransaction(p, proofs[0].batch, 0, legs[1].transactionHash, none);
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.LegNotInBatch.selector, 901, 0));
        net.inbox.proveAtomic(p, "another", legs, proofs);
        run.hashes[0] = legs[0].transactionHash;
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.TransactionNotInBatch.selector, 905, 0));
        net.inbox.proveTransactions(p, proofs[1].batch, run);
        run.hashes[0] = legs[1].transactionHash;
        // A batch with these transactions, which is not the block's.
        ++proofs[0].batch.leaf.sequence;
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.NotInBlock.selector, 901));
        net.inbox.proveTransaction(p, proofs[0].batch, 0, legs[0].transactionHash, none);
        --proofs[0].batch.leaf.sequence;
        ++proofs[1].batch.leaf.sequence;
        vm.expectRevert(abi.encodeWithSelector(NamespaceTree.NotInBlock.selector, 905));
        net.inbox.proveTransactions(p, proofs[1].batch, run);
        --proofs[1].batch.leaf.sequence;

        // Everything in a block that has not settled.
        ++p.commitment.originNumber;
        bytes memory unsettled = abi.encodeWithSelector(IConclaveInbox.NotSettled.selector, 5, 90);
        vm.expectRevert(unsettled);
        net.inbox.proveTransaction(p, proofs[0].batch, 0, legs[0].transactionHash, none);
        vm.expectRevert(unsettled);
        net.inbox.proveTransactions(p, proofs[1].batch, run);
        vm.expectRevert(unsettled);
        net.inbox.proveAtomic(p, bundle, legs, proofs);
        vm.expectRevert(unsettled);
        net.inbox.proveAbsence(p, 903, absence);
    }

    /// The block of `settlement-v1.json`, and the calls of `kept-transactions-v1.json`, which Rust writes byte for byte.
    function test_a_reveal_that_is_kept_needs_no_commitment_and_no_posting_any_more() public {
        string memory block_ = vm.readFile("../tests/vectors/settlement-v1.json");
        string memory json = vm.readFile("../tests/vectors/kept-transactions-v1.json");
        uint64 height = uint64(vm.parseJsonUint(json, ".height"));
        vm.roll(block.number + 1);
        BlockCommitment memory c = commitmentAt(height);
        c.revealRoot = vm.parseJsonBytes32(block_, ".namespaces.root");
        c.rollupCount = uint32(vm.parseJsonUint(block_, ".namespaces.count"));
        post(certified(c, everyone()));
        HistoryProof memory p = proofOf(c, height);
        (bool done, bytes memory answer) = address(net.inbox).call(callOf(json, 0));
        vm.assertFalse(done, "nobody has kept it");
        vm.assertEq(answer, abi.encodeWithSelector(IConclaveInbox.RevealNotKept.selector, height), "why");
        ++p.commitment.rollupCount;
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotSettled.selector, height, height));
        net.inbox.keepReveal(p);
        --p.commitment.rollupCount;
        vm.prank(address(0xA11));
        net.inbox.keepReveal(p);
        net.inbox.keepReveal(p);
        // Whatever is posted behind it.
        for (uint64 i = 1; i < 4; ++i) {
            vm.warp(block.timestamp + 1 hours);
            settle(height + i);
        }
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotPosted.selector, height));
        net.inbox.proveCommitment(p);
        for (uint256 i = 0; i < 4; ++i) {
            bytes memory call = callOf(json, i);
            (done,) = address(net.inbox).call(call);
            vm.assertTrue(done, "shown");
            for (uint256 word = 36; word < call.length; word += 32) {
                bytes memory changed = bytes.concat(call);
                changed[word + 31] ^= 0x01;
                (done,) = address(net.inbox).call(changed);
                vm.assertFalse(done, "shown with a word changed");
            }
        }
        // Of a height that has none.
        bytes memory other = callOf(json, 0);
        other[4 + 32 + 7] ^= 0x01;
        (done, answer) = address(net.inbox).call(other);
        vm.assertEq(answer, abi.encodeWithSelector(IConclaveInbox.RevealNotKept.selector, height ^ 1), "why");
    }

    function callOf(string memory json, uint256 index) private pure returns (bytes memory) {
        return vm.parseJsonBytes(json, string.concat(".calls[", vm.toString(index), "].call"));
    }

    // --- the end

    function test_a_silent_network_is_abandoned_by_somebody_or_not_at_all() public {
        settle(5);
        vm.prank(operator(1));
        UnbondingId id = net.stake.exit(ValidatorId.wrap(1));
        uint64 allowedAt = uint64(block.timestamp) + 180 days;
        vm.warp(allowedAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.TooEarlyToAbandon.selector, allowedAt));
        net.inbox.abandon();
        vm.warp(allowedAt + 100 days);
        settle(6);
        vm.warp(block.timestamp + 180 days);
        Posting memory p = next();
        net.inbox.abandon();
        refuse(p, abi.encodeWithSelector(IConclaveInbox.NotOpen.selector, InboxState.Abandoned));
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotOpen.selector, InboxState.Abandoned));
        net.inbox.abandon();
        Candidate[] memory list = candidates();
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.IsAbandoned.selector));
        net.election.snapshotEpoch(list);
        vm.warp(block.timestamp + 21 days);
        net.stake.claim(id);
        vm.assertEq(operator(1).balance, 10 ether, "stake comes back from a dead network");
    }

    function test_a_network_that_nobody_opens_gives_its_stake_back() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        bytes32 offered = offer();
        vm.prank(operator(1));
        UnbondingId id = net.stake.exit(ValidatorId.wrap(1));
        uint64 allowedAt = uint64(block.timestamp) + 180 days;
        vm.warp(allowedAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.NotReleased.selector, id, 0));
        net.stake.claim(id);
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.TooEarlyToAbandon.selector, allowedAt));
        net.inbox.abandon();
        vm.warp(allowedAt);
        net.inbox.abandon();
        vm.expectRevert(IConclaveInbox.AlreadyOpen.selector);
        net.inbox.open(NETWORK, offered, DKG, lastBlock());
        vm.warp(block.timestamp + 21 days);
        net.stake.claim(id);
        vm.assertEq(operator(1).balance, 10 ether, "stake comes back from what never was");
    }
}
