// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveSlasher } from "../../src/interfaces/IConclaveSlasher.sol";
import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { BlockCommitment } from "../../src/lib/Types.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";
import { SlasherFixture } from "./Slasher.t.sol";

/// Nobody honest is framed: what an honest validator has signed when it crashed, lost its disk, was cut off, came back
/// from an old backup, saw L1 change its mind, or stood between the sides of a fork. Whoever holds all of it, and
/// reports any two of it at the place of either, convicts nobody. The simulator runs the same circumstances
/// (docs/spec/settlement.md has the table).
contract HonestTest is SlasherFixture {
    enum What {
        Prevote,
        Precommit,
        Proposal
    }

    /// A message of the honest member. `polkaRound` is of proposals.
    struct Said {
        What what;
        uint64 height;
        uint32 round;
        bytes32 blockId;
        uint32 polkaRound;
    }

    bytes32 private constant NIL = 0;
    bytes32 private constant A = keccak256("block a");
    bytes32 private constant B = keccak256("block b");
    uint32 private constant FRESH = SignBytes.NO_ROUND;

    Said[] private said;

    /// A height in two rounds: the first decides nothing for want of precommits, the second takes the same block up.
    function height(uint64 at) private {
        says(Said(What.Proposal, at, 0, A, FRESH));
        says(Said(What.Prevote, at, 0, A, FRESH));
        says(Said(What.Precommit, at, 0, A, FRESH));
        says(Said(What.Proposal, at, 1, A, 0));
        says(Said(What.Prevote, at, 1, A, FRESH));
        says(Said(What.Precommit, at, 1, A, FRESH));
    }

    function test_a_crash_at_every_step_repeats_what_was_signed() public {
        uint256 steps = 6;
        for (uint256 step = 0; step < steps; ++step) {
            delete said;
            height(HEIGHT);
            // What its log holds is sent again, byte for byte, in whatever order it is read.
            for (uint256 i = 0; i <= step; ++i) {
                says(said[step - i]);
            }
            convictsNobody();
        }
    }

    function test_an_empty_disk_keeps_silent_until_it_knows_what_was_signed() public {
        says(Said(What.Prevote, HEIGHT, 0, A, FRESH));
        says(Said(What.Precommit, HEIGHT, 0, NIL, FRESH));
        // The machine that comes back has no history: it signs again behind the heights that others may have heard of.
        says(Said(What.Prevote, HEIGHT + 3, 0, B, FRESH));
        says(Said(What.Precommit, HEIGHT + 3, 0, B, FRESH));
        convictsNobody();
    }

    function test_a_partition_is_voted_through_with_nil() public {
        for (uint32 round = 0; round < 3; ++round) {
            says(Said(What.Prevote, HEIGHT, round, NIL, FRESH));
            says(Said(What.Precommit, HEIGHT, round, NIL, FRESH));
        }
        says(Said(What.Proposal, HEIGHT, 3, B, FRESH));
        says(Said(What.Prevote, HEIGHT, 3, B, FRESH));
        says(Said(What.Precommit, HEIGHT, 3, B, FRESH));
        convictsNobody();
    }

    function test_an_old_backup_says_nothing_where_it_may_have_spoken() public {
        height(HEIGHT);
        // Restored from before the second round: of that, the high-water mark of the signer lets nothing out.
        says(Said(What.Precommit, HEIGHT, 2, NIL, FRESH));
        says(Said(What.Prevote, HEIGHT + 1, 0, B, FRESH));
        convictsNobody();
    }

    function test_another_view_of_l1_gives_another_block_in_another_round_only() public {
        // The block of round 0 builds on an L1 block that others do not see; that of round 1 on one that they do.
        says(Said(What.Proposal, HEIGHT, 0, A, FRESH));
        says(Said(What.Prevote, HEIGHT, 0, A, FRESH));
        says(Said(What.Precommit, HEIGHT, 0, NIL, FRESH));
        says(Said(What.Proposal, HEIGHT, 1, B, FRESH));
        says(Said(What.Prevote, HEIGHT, 1, B, FRESH));
        says(Said(What.Precommit, HEIGHT, 1, B, FRESH));
        convictsNobody();
        // What it attests is a function of what was decided. Another origin is another height's.
        uint256 bit = 1 << MEMBER;
        IConclaveSlasher.SignedCommitment memory one = attested(commitmentOn(A, HEIGHT, 50), bit);
        IConclaveSlasher.SignedCommitment memory next = attested(commitmentOn(B, HEIGHT + 1, 51), bit);
        vm.expectPartialRevert(IConclaveSlasher.NotInHistory.selector);
        slasher.reportAttestations(one, next, nothing(), bit);
        vm.expectPartialRevert(IConclaveSlasher.MessagesOutOfOrder.selector);
        slasher.reportAttestations(one, one, nothing(), bit);
    }

    /// Three of seven sign both sides, which is more than f; members 0 and 1 have followed one, 5 and 6 the other.
    function test_a_fork_by_more_than_f_costs_those_on_both_sides_and_nobody_else() public {
        says(Said(What.Prevote, HEIGHT, 0, A, FRESH));
        says(Said(What.Precommit, HEIGHT, 0, A, FRESH));
        // It has decided and is not there for the other side's round.
        says(Said(What.Prevote, HEIGHT + 1, 0, B, FRESH));
        convictsNobody();
        (IConclaveSlasher.SignedCommitment memory left, IConclaveSlasher.SignedCommitment memory right) =
            (attested(commitmentOn(A, HEIGHT, 50), 0x1f), attested(commitmentOn(B, HEIGHT, 50), 0x7c));
        if (digestOf(left) > digestOf(right)) (left, right) = (right, left);
        for (uint256 honest = 0; honest < COUNT; ++honest) {
            uint256 accused = 1 << honest;
            if (accused & 0x1c != 0) continue;
            vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotBothSigned.selector, accused, 0x1c));
            slasher.reportAttestations(left, right, nothing(), accused);
        }
        vm.assertEq(stake.seizureCount(), 0, "nobody honest");
        slasher.reportAttestations(left, right, nothing(), 0x1c);
        vm.assertEq(stake.seizureCount(), 3, "members 2, 3 and 4");
    }

    /// That the cases above could convict: the one message that honest code never signs does.
    function test_a_second_block_in_one_round_would_convict() public {
        height(HEIGHT);
        says(Said(What.Precommit, HEIGHT, 1, B, FRESH));
        Said memory first = said[said.length - 2];
        vm.assertEq(bytes32(report(first, said[said.length - 1])), 0, "convicted");
        vm.assertEq(stake.seizureCount(), 1, "seized");
    }

    // --- what it said, and what becomes of it

    function says(Said memory message) private {
        said.push(message);
    }

    function convictsNobody() private {
        for (uint256 i = 0; i < said.length; ++i) {
            for (uint256 j = 0; j < said.length; ++j) {
                (Said memory first, Said memory second) = (said[i], said[j]);
                IConclaveSlasher.Position memory at =
                    IConclaveSlasher.Position(EPOCH, MEMBER, first.height, first.round);
                bool isSame = messageAt(first, at, first) == messageAt(first, at, second);
                bytes4 expected = isSame
                    ? IConclaveSlasher.MessagesOutOfOrder.selector
                    : IConclaveSlasher.BadSignature.selector;
                vm.assertEq(bytes32(report(first, second)), bytes32(expected), "the refusal by its name");
            }
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    /// Reports two messages as if the second stood where the first does. The error's name, or nothing if it convicts.
    function report(Said memory first, Said memory second) private returns (bytes4) {
        IConclaveSlasher.Position memory at =
            IConclaveSlasher.Position(EPOCH, MEMBER, first.height, first.round);
        IConclaveSlasher.Signature memory one = signatureOf(first);
        IConclaveSlasher.Signature memory other = signatureOf(second);
        bool isAscending = messageAt(first, at, first) <= messageAt(first, at, second);
        if (!isAscending) (first, second, one, other) = (second, first, other, one);
        if ((isAscending ? first : second).what == What.Proposal) {
            try slasher.reportProposals(
                at,
                IConclaveSlasher.SignedProposal(first.blockId, first.polkaRound, one),
                IConclaveSlasher.SignedProposal(second.blockId, second.polkaRound, other)
            ) returns (
                bytes32
            ) {
                return 0;
            } catch (bytes memory reason) {
                return bytes4(reason);
            }
        }
        uint8 kind = uint8((isAscending ? first : second).what);
        try slasher.reportVotes(
            at,
            kind,
            IConclaveSlasher.SignedVote(first.blockId, one),
            IConclaveSlasher.SignedVote(second.blockId, other)
        ) returns (
            bytes32
        ) {
            return 0;
        } catch (bytes memory reason) {
            return bytes4(reason);
        }
    }

    /// What the slasher takes `message` for if it is said to stand at `at` and to be of the kind of `claimed`.
    function messageAt(Said memory claimed, IConclaveSlasher.Position memory at, Said memory message)
        private
        view
        returns (bytes32)
    {
        if (claimed.what == What.Proposal) {
            return SignBytes.proposal(
                domain(), EPOCH, at.height, at.round, message.blockId, message.polkaRound
            );
        }
        return SignBytes.vote(domain(), EPOCH, uint8(claimed.what), at.height, at.round, message.blockId);
    }

    function signatureOf(Said memory message) private view returns (IConclaveSlasher.Signature memory) {
        IConclaveSlasher.Position memory own =
            IConclaveSlasher.Position(EPOCH, MEMBER, message.height, message.round);
        return signed(uint256(MEMBER) + 1, messageAt(message, own, message));
    }

    function commitmentOn(bytes32 blockId, uint64 at, uint64 origin)
        private
        pure
        returns (BlockCommitment memory c)
    {
        (c.epoch, c.height, c.blockId, c.originNumber) = (EPOCH, at, blockId, origin);
    }

    function attested(BlockCommitment memory c, uint256 signers)
        private
        view
        returns (IConclaveSlasher.SignedCommitment memory)
    {
        uint256 secret;
        for (uint256 i = 0; i < COUNT; ++i) {
            if (signers >> i & 1 == 0) continue;
            secret = addmod(secret, Secrets.settlement(i + 1), Bls12381.ORDER);
        }
        bytes32 message = SignBytes.commitment(domain(), c);
        return IConclaveSlasher.SignedCommitment(c, signers, Secrets.sign(secret, message));
    }

    function digestOf(IConclaveSlasher.SignedCommitment memory s) private view returns (bytes32) {
        return SignBytes.commitment(domain(), s.commitment);
    }
}
