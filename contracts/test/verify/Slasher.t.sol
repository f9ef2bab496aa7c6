// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { ConclaveSlasher } from "../../src/ConclaveSlasher.sol";
import { IConclaveSlasher } from "../../src/interfaces/IConclaveSlasher.sol";
import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { BlockCommitment, Member, SigningDomain, ValidatorId } from "../../src/lib/Types.sol";
import { Secrets } from "../support/Secrets.sol";
import { TestBase, vm } from "../utils/Vm.sol";
import { StakeDouble } from "./StakeDouble.sol";

/// Seven members of equal power, of whom five are exactly a quorum; member i has the keys of number i + 1 in epoch 3, of number i + 101 in epoch 4
/// (everyone has rotated), and validator number i + 1 in both.
abstract contract SlasherFixture is TestBase {
    uint64 internal constant EPOCH = 3;
    uint64 internal constant HEIGHT = 1000;
    uint32 internal constant ROUND = 2;
    uint16 internal constant MEMBER = 5;
    uint256 internal constant COUNT = 7;
    bytes32 internal constant SHARED = keccak256("the block of the shares");

    StakeDouble internal stake;
    ConclaveSlasher internal slasher;

    function setUp() public virtual {
        vm.roll(100);
        stake = new StakeDouble();
        slasher = new ConclaveSlasher(stake, stake);
        stake.appoint(EPOCH, members(1));
        stake.appoint(EPOCH + 1, members(101));
    }

    function members(uint256 firstKey) internal view returns (Member[] memory list) {
        list = new Member[](COUNT);
        for (uint256 i = 0; i < COUNT; ++i) {
            list[i] = Member({
                consensusKey: Secrets.keys(firstKey + i).consensusKey,
                settlementKey: Secrets.settlementKey(firstKey + i),
                power: 1,
                validator: ValidatorId.wrap(uint32(i + 1))
            });
        }
    }

    function domain() internal view returns (SigningDomain memory) {
        return SigningDomain(stake.network(), uint64(block.chainid), address(stake));
    }

    function position() internal pure returns (IConclaveSlasher.Position memory) {
        return IConclaveSlasher.Position(EPOCH, MEMBER, HEIGHT, ROUND);
    }

    function signed(uint256 key, bytes32 message) internal pure returns (IConclaveSlasher.Signature memory) {
        (bytes32 r, bytes32 s) = Secrets.signConsensus(key, message);
        return IConclaveSlasher.Signature(r, s);
    }

    function vote(
        SigningDomain memory where,
        IConclaveSlasher.Position memory at,
        uint8 kind,
        bytes32 blockId
    ) internal pure returns (IConclaveSlasher.SignedVote memory) {
        bytes32 message = SignBytes.vote(where, at.epoch, kind, at.height, at.round, blockId);
        return IConclaveSlasher.SignedVote(blockId, signed(uint256(at.member) + 1, message));
    }

    /// Two blocks whose votes at `at` stand in ascending order.
    function ordered(IConclaveSlasher.Position memory at, uint8 kind)
        internal
        view
        returns (IConclaveSlasher.SignedVote memory first, IConclaveSlasher.SignedVote memory second)
    {
        (bytes32 a, bytes32 b) = (keccak256("block a"), keccak256("block b"));
        bytes32 left = SignBytes.vote(domain(), at.epoch, kind, at.height, at.round, a);
        bytes32 right = SignBytes.vote(domain(), at.epoch, kind, at.height, at.round, b);
        if (left > right) (a, b) = (b, a);
        (first, second) = (vote(domain(), at, kind, a), vote(domain(), at, kind, b));
    }

    function offence(IConclaveSlasher.Offence kind, uint32 round) internal view returns (bytes32) {
        return slasher.offenceOf(ValidatorId.wrap(uint32(MEMBER) + 1), EPOCH, kind, HEIGHT, round);
    }

    function sharing()
        internal
        view
        returns (IConclaveSlasher.SignedShares memory shares, BlockCommitment memory settled)
    {
        return sharingAt(HEIGHT);
    }

    function sharingAt(uint64 height)
        internal
        view
        returns (IConclaveSlasher.SignedShares memory shares, BlockCommitment memory settled)
    {
        bytes32 root = keccak256("shares");
        bytes32 message = SignBytes.shares(domain(), EPOCH, height, SHARED, root);
        shares = IConclaveSlasher.SignedShares(
            EPOCH, MEMBER, height, SHARED, root, signed(uint256(MEMBER) + 1, message)
        );
        (settled.epoch, settled.height, settled.blockId) = (EPOCH, height, keccak256("the settled block"));
    }

    function accuse() internal returns (bytes32) {
        return accuseAt(HEIGHT);
    }

    function accuseAt(uint64 height) internal returns (bytes32) {
        (IConclaveSlasher.SignedShares memory shares, BlockCommitment memory settled) = sharingAt(height);
        stake.settle(settled);
        return slasher.reportPrematureShare(shares, settled, 0, new bytes32[](0));
    }

    /// Two commitments of one height need no more.
    function nothing() internal pure returns (IConclaveSlasher.HistoryEntry memory) {
        return IConclaveSlasher.HistoryEntry(0, new bytes32[](0));
    }

    /// Another network, chain and contract.
    function otherDomains() internal view returns (SigningDomain[3] memory others) {
        others = [domain(), domain(), domain()];
        others[0].network = keccak256("another network");
        others[1].l1ChainId += 1;
        others[2].l1Contract = address(slasher);
    }

    /// Ends the epoch now, and goes on to one second behind what can still be reported; when that was.
    function outlive() internal returns (uint256 until) {
        uint64 ended = uint64(block.timestamp);
        stake.end(EPOCH, ended);
        until = ended + 14 days;
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.EvidenceTooOld.selector, ended, until));
    }

    function badSignature() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IConclaveSlasher.BadSignature.selector, MEMBER);
    }
}

contract VotesTest is SlasherFixture {
    function test_two_votes_of_one_kind_in_one_round_convict() public {
        for (uint8 kind = 0; kind < 2; ++kind) {
            (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) =
                ordered(position(), kind);
            vm.prank(address(0xBEEF));
            bytes32 id = slasher.reportVotes(position(), kind, a, b);
            vm.snapshotGasLastCall("evidence", kind == 0 ? "two prevotes" : "two precommits");
            IConclaveSlasher.Offence expected =
                kind == 0 ? IConclaveSlasher.Offence.DoublePrevote : IConclaveSlasher.Offence.DoublePrecommit;
            vm.assertEq(id, offence(expected, ROUND), "identity");
            StakeDouble.Seizure memory seizure = stake.seizureOf(id);
            vm.assertEq(ValidatorId.unwrap(seizure.validator), MEMBER + 1, "who");
            vm.assertTrue(seizure.tombstone && seizure.epoch == EPOCH, "for ever, in that epoch");
            IConclaveSlasher.Case memory found = slasher.caseOf(id);
            vm.assertEq(found.reporter, address(0xBEEF), "reporter");
            vm.assertTrue(found.state == IConclaveSlasher.State.Open, "open");
        }
    }

    function test_an_equivocation_of_however_little_power_costs_a_twentieth() public {
        Member[] memory list = members(1);
        for (uint256 i = 0; i < COUNT; ++i) {
            if (i != MEMBER) list[i].power = 1000;
        }
        stake.appoint(EPOCH, list);
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(position(), 0);
        bytes32 id = slasher.reportVotes(position(), 0, a, b);
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(id);
        vm.assertEq(stake.seizureOf(id).penaltyBps, 500, "three of 6,001 would be five ten-thousandths");
    }

    function test_a_vote_for_nil_and_one_for_a_block_convict() public {
        IConclaveSlasher.SignedVote memory a = vote(domain(), position(), 1, 0);
        IConclaveSlasher.SignedVote memory b = vote(domain(), position(), 1, keccak256("block"));
        bytes32 left = SignBytes.vote(domain(), EPOCH, 1, HEIGHT, ROUND, 0);
        bytes32 right = SignBytes.vote(domain(), EPOCH, 1, HEIGHT, ROUND, b.blockId);
        if (left > right) (a, b) = (b, a);
        slasher.reportVotes(position(), 1, a, b);
        vm.assertEq(stake.seizureCount(), 1, "seized");
    }

    function test_messages_stand_in_order_and_differ() public {
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(position(), 0);
        vm.expectPartialRevert(IConclaveSlasher.MessagesOutOfOrder.selector);
        slasher.reportVotes(position(), 0, b, a);
        vm.expectPartialRevert(IConclaveSlasher.MessagesOutOfOrder.selector);
        slasher.reportVotes(position(), 0, a, a);
    }

    function test_an_offence_is_punished_once_whatever_shows_it() public {
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(position(), 0);
        bytes32 id = slasher.reportVotes(position(), 0, a, b);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportVotes(position(), 0, a, b);
        // A third message of the same round is no further offence.
        IConclaveSlasher.SignedVote memory c = vote(domain(), position(), 0, keccak256("block c"));
        bytes32 left = SignBytes.vote(domain(), EPOCH, 0, HEIGHT, ROUND, a.blockId);
        bytes32 right = SignBytes.vote(domain(), EPOCH, 0, HEIGHT, ROUND, c.blockId);
        if (left > right) (a, c) = (c, a);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportVotes(position(), 0, a, c);
        vm.warp(block.timestamp + 4 days);
        slasher.resolve(id);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportVotes(position(), 0, a, c);
        vm.assertEq(stake.seizureCount(), 1, "seized once");
    }

    function test_every_changed_field_is_another_message() public {
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(position(), 0);
        for (uint256 field = 0; field < 9; ++field) {
            IConclaveSlasher.Position memory at = position();
            IConclaveSlasher.SignedVote memory x = a;
            IConclaveSlasher.SignedVote memory y = b;
            uint8 kind = 0;
            if (field == 0) ++at.epoch;
            if (field == 1) ++at.height;
            if (field == 2) ++at.round;
            if (field == 3) kind = 1;
            if (field == 4) --at.member;
            if (field == 5) x = change(a, bytes32(uint256(1)), 0, 0);
            if (field == 6) y = change(b, 0, 0, bytes32(uint256(1) << 255));
            if (field == 7) x = change(a, 0, bytes32(uint256(1)), 0);
            if (field == 8) y = change(b, bytes32(uint256(1) << 255), 0, 0);
            bytes32 left = SignBytes.vote(domain(), at.epoch, kind, at.height, at.round, x.blockId);
            bytes32 right = SignBytes.vote(domain(), at.epoch, kind, at.height, at.round, y.blockId);
            if (left > right) (x, y) = (y, x);
            vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.BadSignature.selector, at.member));
            slasher.reportVotes(at, kind, x, y);
        }
        IConclaveSlasher.Position memory nobody = position();
        nobody.member = uint16(COUNT);
        vm.expectRevert(abi.encodeWithSelector(CommitteeTable.NoSuchMember.selector, COUNT, COUNT));
        slasher.reportVotes(nobody, 0, a, b);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NoSuchKind.selector, 2));
        slasher.reportVotes(position(), 2, a, b);
        nobody.epoch = 9;
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NoCommittee.selector, 9));
        slasher.reportVotes(nobody, 0, a, b);
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    function test_votes_of_another_network_chain_or_contract_are_no_evidence() public {
        SigningDomain[3] memory others = [domain(), domain(), domain()];
        others[0].network = keccak256("another network");
        others[1].l1ChainId += 1;
        others[2].l1Contract = address(slasher);
        for (uint256 i = 0; i < 3; ++i) {
            IConclaveSlasher.SignedVote memory a = vote(others[i], position(), 0, keccak256("a"));
            IConclaveSlasher.SignedVote memory b = vote(others[i], position(), 0, keccak256("b"));
            bytes32 left = SignBytes.vote(domain(), EPOCH, 0, HEIGHT, ROUND, a.blockId);
            bytes32 right = SignBytes.vote(domain(), EPOCH, 0, HEIGHT, ROUND, b.blockId);
            if (left > right) (a, b) = (b, a);
            vm.expectRevert(badSignature());
            slasher.reportVotes(position(), 0, a, b);
        }
    }

    function test_evidence_counts_while_the_epoch_runs_and_for_two_weeks_after_it() public {
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(position(), 0);
        uint64 ended = uint64(block.timestamp);
        stake.end(EPOCH, ended);
        vm.warp(ended + 14 days + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IConclaveSlasher.EvidenceTooOld.selector, ended, ended + 14 days)
        );
        slasher.reportVotes(position(), 0, a, b);
        vm.warp(ended + 14 days);
        slasher.reportVotes(position(), 0, a, b);
        vm.warp(ended + 1000 days);
        IConclaveSlasher.Position memory next = position();
        next.epoch = EPOCH + 1;
        bytes32 message = SignBytes.vote(domain(), EPOCH + 1, 0, HEIGHT, ROUND, keccak256("a"));
        bytes32 other = SignBytes.vote(domain(), EPOCH + 1, 0, HEIGHT, ROUND, keccak256("b"));
        a = IConclaveSlasher.SignedVote(keccak256("a"), signed(uint256(MEMBER) + 101, message));
        b = IConclaveSlasher.SignedVote(keccak256("b"), signed(uint256(MEMBER) + 101, other));
        if (message > other) (a, b) = (b, a);
        slasher.reportVotes(next, 0, a, b);
        vm.assertEq(stake.seizureCount(), 2, "an epoch that never ended is never too old");
    }

    function test_a_key_answers_for_its_own_epoch_after_it_was_rotated_away() public {
        stake.end(EPOCH, uint64(block.timestamp));
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(position(), 0);
        IConclaveSlasher.Position memory next = position();
        next.epoch = EPOCH + 1;
        (IConclaveSlasher.SignedVote memory x, IConclaveSlasher.SignedVote memory y) = ordered(next, 0);
        vm.expectRevert(badSignature());
        slasher.reportVotes(next, 0, x, y);
        slasher.reportVotes(position(), 0, a, b);
        vm.assertEq(stake.seizureCount(), 1, "the old key, in the old epoch");
    }

    /// An honest validator signs once for each kind, height, round and epoch, under each of its networks' domains.
    /// No two of its votes convict it, under whatever position they are reported.
    function testFuzz_nobody_honest_is_convicted(uint256 seed) public {
        IConclaveSlasher.Position[2] memory at = [position(), position()];
        uint8[2] memory kinds;
        SigningDomain[2] memory where = [domain(), domain()];
        bytes32[2] memory blocks;
        for (uint256 i = 0; i < 2; ++i) {
            at[i].epoch = uint64(EPOCH + (seed & 1));
            at[i].height = HEIGHT + uint64(seed >> 1 & 1);
            at[i].round = uint32(seed >> 2 & 3);
            kinds[i] = uint8(seed >> 4 & 1);
            if (seed >> 5 & 3 == 3) where[i].network = keccak256("another network");
            // What it signs is a function of where it signs.
            blocks[i] = keccak256(abi.encode(at[i], kinds[i], where[i]));
            if (seed >> 7 & 1 == 1) blocks[i] = 0;
            seed >>= 8;
        }
        IConclaveSlasher.SignedVote[2] memory votes;
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 message =
                SignBytes.vote(where[i], at[i].epoch, kinds[i], at[i].height, at[i].round, blocks[i]);
            uint256 key = uint256(MEMBER) + (at[i].epoch == EPOCH ? 1 : 101);
            votes[i] = IConclaveSlasher.SignedVote(blocks[i], signed(key, message));
        }
        bool once = keccak256(abi.encode(at[0], kinds[0], where[0]))
                != keccak256(abi.encode(at[1], kinds[1], where[1])) || blocks[0] == blocks[1];
        vm.assume(once);
        for (uint256 i = 0; i < 2; ++i) {
            for (uint256 j = 0; j < 2; ++j) {
                vm.expectRevert();
                slasher.reportVotes(at[i], kinds[i], votes[j], votes[1 - j]);
            }
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    function change(IConclaveSlasher.SignedVote memory v, bytes32 r, bytes32 blockId, bytes32 s)
        private
        pure
        returns (IConclaveSlasher.SignedVote memory)
    {
        return IConclaveSlasher.SignedVote(
            v.blockId ^ blockId, IConclaveSlasher.Signature(v.signature.r ^ r, v.signature.s ^ s)
        );
    }
}

contract ProposalsTest is SlasherFixture {
    function test_two_proposals_in_one_round_convict() public {
        (IConclaveSlasher.SignedProposal memory a, IConclaveSlasher.SignedProposal memory b) =
            proposals(keccak256("a"), SignBytes.NO_ROUND, keccak256("b"), 1);
        bytes32 id = slasher.reportProposals(position(), a, b);
        vm.snapshotGasLastCall("evidence", "two proposals");
        vm.assertEq(id, offence(IConclaveSlasher.Offence.DoubleProposal, ROUND), "identity");
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportProposals(position(), a, b);
    }

    function test_proposals_in_order_of_their_digests_only_and_never_with_a_vote() public {
        (IConclaveSlasher.SignedProposal memory a, IConclaveSlasher.SignedProposal memory b) =
            proposals(keccak256("a"), SignBytes.NO_ROUND, keccak256("b"), SignBytes.NO_ROUND);
        vm.expectPartialRevert(IConclaveSlasher.MessagesOutOfOrder.selector);
        slasher.reportProposals(position(), b, a);
        a.polkaRound = 0;
        vm.expectRevert();
        slasher.reportProposals(position(), a, b);
        // Its vote for the same block is no proposal.
        a.polkaRound = SignBytes.NO_ROUND;
        a.signature = vote(domain(), position(), 0, a.blockId).signature;
        vm.expectRevert(badSignature());
        slasher.reportProposals(position(), a, b);
    }

    function test_proposals_of_another_network_chain_or_contract_are_no_evidence() public {
        SigningDomain[3] memory others = otherDomains();
        for (uint256 i = 0; i < 3; ++i) {
            (IConclaveSlasher.SignedProposal memory a, IConclaveSlasher.SignedProposal memory b) =
                proposalsIn(others[i], position(), position());
            vm.expectRevert(badSignature());
            slasher.reportProposals(position(), a, b);
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    /// One of the two is of another epoch, height or round than the other, or both are of another one than is said.
    function test_proposals_of_another_epoch_height_or_round_are_no_evidence() public {
        for (uint256 i = 0; i < 6; ++i) {
            IConclaveSlasher.Position memory other = position();
            if (i % 3 == 0) --other.epoch;
            if (i % 3 == 1) ++other.height;
            if (i % 3 == 2) ++other.round;
            (IConclaveSlasher.SignedProposal memory a, IConclaveSlasher.SignedProposal memory b) =
                proposalsIn(domain(), other, i < 3 ? position() : other);
            vm.expectRevert(badSignature());
            slasher.reportProposals(position(), a, b);
        }
        // Said of an epoch in which the member had another key.
        (IConclaveSlasher.SignedProposal memory x, IConclaveSlasher.SignedProposal memory y) =
            proposalsIn(domain(), position(), position());
        slasher.reportProposals(position(), x, y);
        IConclaveSlasher.Position memory next = position();
        ++next.epoch;
        (x, y) = proposalsIn(domain(), next, next);
        (x, y) = inOrder(next, x, y);
        vm.expectRevert(badSignature());
        slasher.reportProposals(next, x, y);
        next.epoch = 9;
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NoCommittee.selector, 9));
        slasher.reportProposals(next, x, y);
        vm.assertEq(stake.seizureCount(), 1, "in its own place alone");
    }

    function test_evidence_of_proposals_counts_as_long_as_any() public {
        (IConclaveSlasher.SignedProposal memory a, IConclaveSlasher.SignedProposal memory b) =
            proposalsIn(domain(), position(), position());
        uint256 until = outlive();
        slasher.reportProposals(position(), a, b);
        vm.warp(until);
        slasher.reportProposals(position(), a, b);
        vm.assertEq(stake.seizureCount(), 1, "seized");
    }

    function proposals(bytes32 left, uint32 leftPolka, bytes32 right, uint32 rightPolka)
        private
        view
        returns (IConclaveSlasher.SignedProposal memory a, IConclaveSlasher.SignedProposal memory b)
    {
        bytes32 x = SignBytes.proposal(domain(), EPOCH, HEIGHT, ROUND, left, leftPolka);
        bytes32 y = SignBytes.proposal(domain(), EPOCH, HEIGHT, ROUND, right, rightPolka);
        a = IConclaveSlasher.SignedProposal(left, leftPolka, signed(uint256(MEMBER) + 1, x));
        b = IConclaveSlasher.SignedProposal(right, rightPolka, signed(uint256(MEMBER) + 1, y));
        if (x > y) (a, b) = (b, a);
    }

    /// Two blocks' proposals as signed under `where` at `one` and `two`, in the order that the report at {position} wants.
    function proposalsIn(
        SigningDomain memory where,
        IConclaveSlasher.Position memory one,
        IConclaveSlasher.Position memory two
    )
        private
        view
        returns (IConclaveSlasher.SignedProposal memory a, IConclaveSlasher.SignedProposal memory b)
    {
        (a, b) = (proposalIn(where, one, keccak256("a")), proposalIn(where, two, keccak256("b")));
        return inOrder(position(), a, b);
    }

    function proposalIn(SigningDomain memory where, IConclaveSlasher.Position memory at, bytes32 blockId)
        private
        pure
        returns (IConclaveSlasher.SignedProposal memory)
    {
        bytes32 digest = SignBytes.proposal(where, at.epoch, at.height, at.round, blockId, SignBytes.NO_ROUND);
        return
            IConclaveSlasher.SignedProposal(blockId, SignBytes.NO_ROUND, signed(uint256(MEMBER) + 1, digest));
    }

    function inOrder(
        IConclaveSlasher.Position memory at,
        IConclaveSlasher.SignedProposal memory a,
        IConclaveSlasher.SignedProposal memory b
    ) private view returns (IConclaveSlasher.SignedProposal memory, IConclaveSlasher.SignedProposal memory) {
        bytes32 x = SignBytes.proposal(domain(), at.epoch, at.height, at.round, a.blockId, a.polkaRound);
        bytes32 y = SignBytes.proposal(domain(), at.epoch, at.height, at.round, b.blockId, b.polkaRound);
        if (x > y) return (b, a);
        return (a, b);
    }
}

contract AttestationsTest is SlasherFixture {
    function test_two_attestations_of_one_member_convict_it() public {
        uint256 bit = 1 << MEMBER;
        (IConclaveSlasher.SignedCommitment memory a, IConclaveSlasher.SignedCommitment memory b) =
            pair(bit, bit);
        slasher.reportAttestations(a, b, nothing(), bit);
        vm.snapshotGasLastCall("evidence", "two attestations");
        bytes32 id = offence(IConclaveSlasher.Offence.DoubleAttestation, 0);
        vm.assertEq(ValidatorId.unwrap(stake.seizureOf(id).validator), MEMBER + 1, "who");
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportAttestations(a, b, nothing(), bit);
    }

    function test_conflicting_certificates_convict_all_in_both_and_cost_them_everything() public {
        (IConclaveSlasher.SignedCommitment memory a, IConclaveSlasher.SignedCommitment memory b) =
            pair(0x1f, 0x7c);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotBothSigned.selector, 0x3c, 0x1c));
        slasher.reportAttestations(a, b, nothing(), 0x3c);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotBothSigned.selector, 0, 0x1c));
        slasher.reportAttestations(a, b, nothing(), 0);
        // In parts, as a committee of a hundred needs it.
        slasher.reportAttestations(a, b, nothing(), 0x14);
        // Member 2 again, which a copied report could have put in before.
        slasher.reportAttestations(a, b, nothing(), 0x0c);
        vm.assertEq(stake.seizureCount(), 3, "members 2, 3 and 4");
        vm.warp(block.timestamp + 3 days + 1);
        for (uint32 validator = 3; validator <= 5; ++validator) {
            bytes32 id = slasher.offenceOf(
                ValidatorId.wrap(validator), EPOCH, IConclaveSlasher.Offence.DoubleAttestation, HEIGHT, 0
            );
            slasher.resolve(id);
            vm.assertEq(stake.seizureOf(id).penaltyBps, 10_000, "more than a third of the power");
        }
    }

    function test_every_changed_field_is_another_commitment() public {
        uint256 bit = 1 << MEMBER;
        for (uint256 field = 0; field < 12; ++field) {
            (IConclaveSlasher.SignedCommitment memory a, IConclaveSlasher.SignedCommitment memory b) =
                pair(bit, bit);
            BlockCommitment memory c = b.commitment;
            if (field == 0) (++c.epoch, ++a.commitment.epoch);
            if (field == 1) (++c.height, ++a.commitment.height);
            if (field == 2) c.blockId ^= bytes32(uint256(1));
            if (field == 3) c.historyRoot ^= bytes32(uint256(1));
            if (field == 4) c.revealRoot ^= bytes32(uint256(1));
            if (field == 5) ++c.rollupCount;
            if (field == 6) ++c.originNumber;
            if (field == 7) c.originHash ^= bytes32(uint256(1));
            if (field == 8) ++c.forcedCursor;
            if (field == 9) c.withdrawalsRoot ^= bytes32(uint256(1));
            if (field == 10) c.nextCommittee ^= bytes32(uint256(1));
            if (field == 11) c.dkgResult ^= bytes32(uint256(1));
            bytes32 left = SignBytes.commitment(domain(), a.commitment);
            bytes32 right = SignBytes.commitment(domain(), b.commitment);
            if (left > right) (a, b) = (b, a);
            vm.expectRevert(Bls12381.BadSignature.selector);
            slasher.reportAttestations(a, b, nothing(), bit);
        }
    }

    function test_attestations_of_two_epochs_or_out_of_order_are_refused() public {
        uint256 bit = 1 << MEMBER;
        (IConclaveSlasher.SignedCommitment memory a, IConclaveSlasher.SignedCommitment memory b) =
            pair(bit, bit);
        a.commitment.height += 1;
        vm.expectRevert(
            abi.encodeWithSelector(IConclaveSlasher.HeightsOutOfOrder.selector, HEIGHT + 1, HEIGHT)
        );
        slasher.reportAttestations(a, b, nothing(), bit);
        // Which is no offence in the other order either, unless the histories differ ({HistoriesTest}).
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotInHistory.selector, HEIGHT, HEIGHT + 1));
        slasher.reportAttestations(b, a, nothing(), bit);
        (a, b) = pair(bit, bit);
        a.commitment.epoch += 1;
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportAttestations(a, b, nothing(), bit);
        (a, b) = pair(bit, bit);
        vm.expectPartialRevert(IConclaveSlasher.MessagesOutOfOrder.selector);
        slasher.reportAttestations(b, a, nothing(), bit);
        vm.expectPartialRevert(IConclaveSlasher.MessagesOutOfOrder.selector);
        slasher.reportAttestations(a, a, nothing(), bit);
    }

    function test_attestations_of_another_network_chain_or_contract_are_no_evidence() public {
        uint256 bit = 1 << MEMBER;
        SigningDomain[3] memory others = otherDomains();
        for (uint256 i = 0; i < 6; ++i) {
            (IConclaveSlasher.SignedCommitment memory a, IConclaveSlasher.SignedCommitment memory b) =
                pair(bit, bit);
            // Either of the two.
            IConclaveSlasher.SignedCommitment memory foreign = i < 3 ? a : b;
            bytes32 digest = SignBytes.commitment(others[i % 3], foreign.commitment);
            foreign.signature = Secrets.sign(Secrets.settlement(uint256(MEMBER) + 1), digest);
            vm.expectRevert(Bls12381.BadSignature.selector);
            slasher.reportAttestations(a, b, nothing(), bit);
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    function test_evidence_of_attestations_of_one_height_counts_as_long_as_any() public {
        uint256 bit = 1 << MEMBER;
        (IConclaveSlasher.SignedCommitment memory a, IConclaveSlasher.SignedCommitment memory b) =
            pair(bit, bit);
        uint256 until = outlive();
        slasher.reportAttestations(a, b, nothing(), bit);
        vm.warp(until);
        slasher.reportAttestations(a, b, nothing(), bit);
        vm.assertEq(stake.seizureCount(), 1, "seized");
    }

    function test_an_announcement_holds_against_other_sums_of_the_same_attestations() public {
        uint256 bit = 1 << MEMBER;
        (IConclaveSlasher.SignedCommitment memory a, IConclaveSlasher.SignedCommitment memory b) =
            pair(bit, bit);
        bytes32 left = SignBytes.commitment(domain(), a.commitment);
        bytes32 right = SignBytes.commitment(domain(), b.commitment);
        (address finder, address thief) = (address(0xF1), address(0x7F));
        bytes32 id = offence(IConclaveSlasher.Offence.DoubleAttestation, 0);
        uint128 evidence = uint128(uint256(keccak256(abi.encode(left, right))) >> 128);
        bytes32 seal = slasher.sealOf(id, evidence, finder, "salt");
        vm.prank(finder);
        slasher.announce(seal);
        vm.roll(block.number + 1);
        // The thief adds somebody else's attestation to one of the finder's, and is faster.
        (a, b) = pair(bit | 1, bit | 1);
        vm.prank(thief);
        slasher.reportAttestations(a, b, nothing(), bit);
        vm.prank(finder);
        slasher.claimReport(id, "salt");
        vm.assertEq(slasher.caseOf(id).reporter, finder, "the finder");
    }

    function pair(uint256 left, uint256 right)
        private
        view
        returns (IConclaveSlasher.SignedCommitment memory a, IConclaveSlasher.SignedCommitment memory b)
    {
        a = certified("a", left);
        b = certified("b", right);
        bytes32 x = SignBytes.commitment(domain(), a.commitment);
        bytes32 y = SignBytes.commitment(domain(), b.commitment);
        if (x > y) (a, b) = (b, a);
    }

    function certified(string memory name, uint256 signers)
        private
        view
        returns (IConclaveSlasher.SignedCommitment memory found)
    {
        BlockCommitment memory c;
        (c.epoch, c.height, c.blockId) = (EPOCH, HEIGHT, keccak256(bytes(name)));
        uint256 secret = 0;
        for (uint256 i = 0; i < COUNT; ++i) {
            if (signers >> i & 1 == 1) secret = addmod(secret, Secrets.settlement(i + 1), Bls12381.ORDER);
        }
        bytes memory signature = Secrets.sign(secret, SignBytes.commitment(domain(), c));
        return IConclaveSlasher.SignedCommitment(c, signers, signature);
    }
}

contract ResolutionTest is SlasherFixture {
    function test_the_reward_goes_to_the_oldest_announcement_and_not_to_who_copied() public {
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(position(), 0);
        (address finder, address thief) = (address(0xF1), address(0x7F));
        bytes32 id = offence(IConclaveSlasher.Offence.DoublePrevote, ROUND);
        uint128 evidence = uint128(uint256(keccak256(abi.encode(a.signature, b.signature))) >> 128);
        bytes32 seal = slasher.sealOf(id, evidence, finder, "salt");
        vm.prank(finder);
        slasher.announce(seal);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyAnnounced.selector, seal));
        slasher.announce(seal);
        vm.roll(block.number + 1);
        // The thief sees the finder's report and is faster, with a seal of the same block.
        bytes32 late = slasher.sealOf(id, evidence, thief, "salt");
        vm.prank(thief);
        slasher.announce(late);
        vm.prank(thief);
        slasher.reportVotes(position(), 0, a, b);
        vm.prank(thief);
        vm.expectPartialRevert(IConclaveSlasher.LaterThanTheReport.selector);
        slasher.claimReport(id, "salt");
        vm.prank(thief);
        vm.expectPartialRevert(IConclaveSlasher.NotAnnounced.selector);
        slasher.claimReport(id, "another salt");
        vm.prank(finder);
        slasher.claimReport(id, "salt");
        vm.prank(finder);
        vm.expectPartialRevert(IConclaveSlasher.LaterThanTheReport.selector);
        slasher.claimReport(id, "salt");
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(id);
        StakeDouble.Seizure memory seizure = stake.seizureOf(id);
        vm.assertEq(seizure.reporter, finder, "the finder");
        vm.assertEq(seizure.rewardBps, 500, "at most one twentieth");
        vm.assertEq(seizure.penaltyBps, 4285, "three times one seventh of the power");
    }

    function test_a_case_rests_for_three_days_and_is_resolved_once() public {
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(position(), 0);
        bytes32 id = slasher.reportVotes(position(), 0, a, b);
        uint256 until = block.timestamp + 3 days;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.TooEarly.selector, until));
        slasher.resolve(id);
        vm.warp(until + 1);
        slasher.resolve(id);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotOpen.selector, id));
        slasher.resolve(id);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotOpen.selector, id));
        slasher.claimReport(id, 0);
        bytes32 unknown = keccak256("no case");
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotOpen.selector, unknown));
        slasher.resolve(unknown);
        IConclaveSlasher.SignedPrecommit[] memory none;
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotOpen.selector, id));
        slasher.supportAcquittal(id, 0, none);
    }

    function test_shares_for_a_block_that_was_not_settled_convict() public {
        bytes32 id = accuse();
        vm.assertEq(id, offence(IConclaveSlasher.Offence.PrematureShare, 0), "identity");
        vm.assertTrue(stake.seizureOf(id).tombstone, "for ever");
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(id);
        vm.assertEq(stake.seizureOf(id).penaltyBps, 4285, "as an equivocation");
    }

    function test_shares_for_the_settled_block_or_without_a_settled_one_convict_nobody() public {
        (IConclaveSlasher.SignedShares memory shares, BlockCommitment memory settled) = sharing();
        bytes32[] memory none = new bytes32[](0);
        vm.expectRevert(abi.encodeWithSelector(StakeDouble.NotSettled.selector, HEIGHT));
        slasher.reportPrematureShare(shares, settled, 0, none);
        BlockCommitment memory same = settled;
        same.blockId = shares.blockId;
        stake.settle(same);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportPrematureShare(shares, same, 0, none);
        (shares, settled) = sharing();
        settled.height += 1;
        stake.settle(settled);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportPrematureShare(shares, settled, 0, none);
        // A chain on which that height is of another epoch: who decided the shared block may be nobody in it.
        (shares, settled) = sharing();
        settled.epoch -= 1;
        stake.settle(settled);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportPrematureShare(shares, settled, 0, none);
        // Precommits for nil would acquit of it.
        (shares, settled) = sharing();
        stake.settle(settled);
        shares.blockId = bytes32(0);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportPrematureShare(shares, settled, 0, none);
        (shares, settled) = sharing();
        shares.root ^= bytes32(uint256(1));
        vm.expectRevert(badSignature());
        slasher.reportPrematureShare(shares, settled, 0, none);
    }

    function test_shares_of_another_network_chain_contract_or_epoch_convict_nobody() public {
        SigningDomain[3] memory others = otherDomains();
        (IConclaveSlasher.SignedShares memory shares, BlockCommitment memory settled) = sharing();
        stake.settle(settled);
        bytes32[] memory none = new bytes32[](0);
        for (uint256 i = 0; i < 4; ++i) {
            SigningDomain memory where = i < 3 ? others[i] : domain();
            uint64 epoch = i < 3 ? EPOCH : EPOCH + 1;
            bytes32 message = SignBytes.shares(where, epoch, HEIGHT, SHARED, shares.root);
            shares.signature = signed(uint256(MEMBER) + 1, message);
            vm.expectRevert(badSignature());
            slasher.reportPrematureShare(shares, settled, 0, none);
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    function test_evidence_of_premature_shares_counts_as_long_as_any() public {
        (IConclaveSlasher.SignedShares memory shares, BlockCommitment memory settled) = sharing();
        stake.settle(settled);
        bytes32[] memory none = new bytes32[](0);
        uint256 until = outlive();
        slasher.reportPrematureShare(shares, settled, 0, none);
        vm.warp(until);
        slasher.reportPrematureShare(shares, settled, 0, none);
        vm.assertEq(stake.seizureCount(), 1, "seized");
    }

    function test_a_decision_certificate_in_parts_acquits() public {
        bytes32 id = accuse();
        slasher.supportAcquittal(id, 7, precommits(7, 0, 3));
        // Once more, and of another round: neither adds up.
        slasher.supportAcquittal(id, 7, precommits(7, 0, 3));
        slasher.supportAcquittal(id, 8, precommits(8, 3, 6));
        vm.assertTrue(slasher.caseOf(id).state == IConclaveSlasher.State.Open, "three of seven in a round");
        IConclaveSlasher.Tally memory shown = slasher.supportOf(id, 7);
        vm.assertEq(shown.signers, 7, "members 0 to 2");
        vm.assertEq(shown.power, 3, "of one each");
        vm.assertEq(slasher.sharedBlockOf(id).blockId, SHARED, "what it takes the decision of");
        vm.assertEq(slasher.sharedBlockOf(id).height, HEIGHT, "at that height");
        slasher.supportAcquittal(id, 7, precommits(7, 3, 4));
        vm.assertTrue(slasher.caseOf(id).state == IConclaveSlasher.State.Open, "four of seven");
        slasher.supportAcquittal(id, 7, precommits(7, 4, 5));
        vm.assertTrue(slasher.caseOf(id).state == IConclaveSlasher.State.Acquitted, "five of seven");
        vm.assertTrue(stake.seizureOf(id).acquitted, "given back");
        vm.warp(block.timestamp + 3 days + 1);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotOpen.selector, id));
        slasher.resolve(id);
        // Its power counts no longer against others of that epoch.
        IConclaveSlasher.Position memory at = position();
        at.member = 0;
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(at, 0);
        bytes32 other = slasher.reportVotes(at, 0, a, b);
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(other);
        vm.assertEq(stake.seizureOf(other).penaltyBps, 4285, "one seventh");
    }

    function test_a_case_that_nobody_ended_lapses_and_counts_no_longer_against_others() public {
        bytes32 id = accuse();
        IConclaveSlasher.Position memory at = position();
        at.member = 0;
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(at, 0);
        vm.warp(block.timestamp + 1);
        bytes32 other = slasher.reportVotes(at, 0, a, b);
        uint256 lapsesAt = block.timestamp - 1 + 30 days;
        vm.warp(lapsesAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotLapsed.selector, lapsesAt));
        slasher.lapse(id);
        vm.warp(lapsesAt);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotLapsed.selector, lapsesAt + 1));
        slasher.lapse(other);
        vm.prank(address(0xA11));
        slasher.lapse(id);
        vm.assertTrue(stake.hasLapsed(id), "given back");
        vm.assertTrue(slasher.caseOf(id).state == IConclaveSlasher.State.Lapsed, "over");
        bytes memory closed = abi.encodeWithSelector(IConclaveSlasher.NotOpen.selector, id);
        vm.expectRevert(closed);
        slasher.lapse(id);
        vm.expectRevert(closed);
        slasher.resolve(id);
        vm.expectRevert(closed);
        slasher.claimReport(id, 0);
        (IConclaveSlasher.SignedShares memory shares, BlockCommitment memory settled) = sharing();
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportPrematureShare(shares, settled, 0, new bytes32[](0));
        slasher.resolve(other);
        vm.assertEq(stake.seizureOf(other).penaltyBps, 4285, "one seventh");
    }

    function test_what_has_lapsed_in_the_stake_contract_lapses_here_and_what_was_proved_still_counts()
        public
    {
        IConclaveSlasher.Position memory at = position();
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(at, 0);
        bytes32 id = slasher.reportVotes(at, 0, a, b);
        vm.warp(block.timestamp + 30 days);
        stake.lapse(id);
        slasher.lapse(id);
        vm.assertTrue(slasher.caseOf(id).state == IConclaveSlasher.State.Lapsed, "over");
        at.member = 0;
        (a, b) = ordered(at, 0);
        bytes32 other = slasher.reportVotes(at, 0, a, b);
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(other);
        vm.assertEq(stake.seizureOf(other).penaltyBps, 8571, "two sevenths");
    }

    function test_an_acquittal_is_for_the_shared_block_in_time_and_for_premature_shares() public {
        bytes32 id = accuse();
        IConclaveSlasher.SignedPrecommit[] memory votes = precommits(7, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.BadSignature.selector, 0));
        slasher.supportAcquittal(id, 6, votes);
        bytes32 elsewhere = SignBytes.vote(domain(), EPOCH, 1, HEIGHT, 7, keccak256("another block"));
        votes[0].signature = signed(1, elsewhere);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.BadSignature.selector, 0));
        slasher.supportAcquittal(id, 7, votes);
        bytes32 prevote = SignBytes.vote(domain(), EPOCH, 0, HEIGHT, 7, SHARED);
        votes[0].signature = signed(1, prevote);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.BadSignature.selector, 0));
        slasher.supportAcquittal(id, 7, votes);
        votes[0].member = uint16(COUNT);
        vm.expectRevert(abi.encodeWithSelector(CommitteeTable.NoSuchMember.selector, COUNT, COUNT));
        slasher.supportAcquittal(id, 7, votes);
        uint256 until = block.timestamp + 3 days;
        vm.warp(until);
        slasher.supportAcquittal(id, 7, precommits(7, 0, 1));
        vm.warp(until + 1);
        votes = precommits(7, 0, 5);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.TooLate.selector, until));
        slasher.supportAcquittal(id, 7, votes);
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(position(), 0);
        bytes32 votesCase = slasher.reportVotes(position(), 0, a, b);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.supportAcquittal(votesCase, 7, votes);
    }

    function test_a_report_of_the_last_hour_has_its_answer_too() public {
        stake.end(EPOCH, uint64(block.timestamp));
        vm.warp(block.timestamp + 14 days);
        bytes32 id = accuse();
        vm.warp(block.timestamp + 2 days);
        slasher.supportAcquittal(id, 7, precommits(7, 0, 5));
        vm.assertTrue(slasher.caseOf(id).state == IConclaveSlasher.State.Acquitted, "acquitted");
    }

    /// Its power counts against others of the epoch for as long as one of the two is not answered.
    function test_an_acquittal_leaves_an_accusation_of_another_height() public {
        bytes32 one = accuse();
        bytes32 another = accuseAt(HEIGHT + 1);
        slasher.supportAcquittal(one, 7, precommits(7, 0, 5));
        vm.assertTrue(slasher.caseOf(one).state == IConclaveSlasher.State.Acquitted, "answered");
        vm.assertTrue(slasher.caseOf(another).state == IConclaveSlasher.State.Open, "not answered");
        IConclaveSlasher.Position memory at = position();
        at.member = 0;
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(at, 0);
        bytes32 votes = slasher.reportVotes(at, 0, a, b);
        uint256 open = vm.snapshotState();
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(votes);
        vm.assertEq(stake.seizureOf(votes).penaltyBps, 8571, "two sevenths");
        vm.revertToState(open);
        slasher.supportAcquittal(another, 7, precommitsAt(HEIGHT + 1, 7, 0, 5));
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(votes);
        vm.assertEq(stake.seizureOf(votes).penaltyBps, 4285, "one seventh");
        // Nor does a case that lapses.
        vm.revertToState(open);
        bytes32 third = accuseAt(HEIGHT + 2);
        vm.warp(block.timestamp + 30 days);
        slasher.lapse(another);
        uint256 lapsed = vm.snapshotState();
        slasher.resolve(votes);
        vm.assertEq(stake.seizureOf(votes).penaltyBps, 8571, "the third stands");
        vm.revertToState(lapsed);
        slasher.lapse(third);
        slasher.resolve(votes);
        vm.assertEq(stake.seizureOf(votes).penaltyBps, 4285, "none does");
    }

    function precommits(uint32 round, uint16 from, uint16 to)
        private
        view
        returns (IConclaveSlasher.SignedPrecommit[] memory)
    {
        return precommitsAt(HEIGHT, round, from, to);
    }

    function precommitsAt(uint64 height, uint32 round, uint16 from, uint16 to)
        private
        view
        returns (IConclaveSlasher.SignedPrecommit[] memory list)
    {
        list = new IConclaveSlasher.SignedPrecommit[](to - from);
        bytes32 message = SignBytes.vote(domain(), EPOCH, 1, height, round, SHARED);
        for (uint16 i = from; i < to; ++i) {
            list[i - from] = IConclaveSlasher.SignedPrecommit(i, signed(uint256(i) + 1, message));
        }
    }
}
