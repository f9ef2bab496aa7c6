// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveSlasher } from "../src/interfaces/IConclaveSlasher.sol";
import { IConclaveStake } from "../src/interfaces/IConclaveStake.sol";
import { SignBytes } from "../src/lib/SignBytes.sol";
import { BlockCommitment, ValidatorId } from "../src/lib/Types.sol";
import { Network } from "./support/Network.sol";
import { Secrets } from "./support/Secrets.sol";
import { vm } from "./utils/Vm.sol";

/// All contracts together, with real signatures: from a deposit of stake to the end of an offender.
contract LoopTest is Network {
    address private alice = address(0xA11CE);
    address private reporter = address(0x4E9);
    ValidatorId private constant ONE = ValidatorId.wrap(1);

    function setUp() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        delegate(alice, ONE, 10 * ETHER);
        openNetwork();
    }

    function precommit(uint64 height, bytes32 blockId)
        private
        view
        returns (bytes32 digest, IConclaveSlasher.SignedVote memory vote)
    {
        digest = SignBytes.vote(domain(), 0, SignBytes.PRECOMMIT, height, 0, blockId);
        (bytes32 r, bytes32 s) = Secrets.signConsensus(1, digest);
        vote = IConclaveSlasher.SignedVote(blockId, IConclaveSlasher.Signature(r, s));
    }

    /// Two precommits of a height, in order.
    function pair(uint64 height)
        private
        view
        returns (IConclaveSlasher.SignedVote memory left, IConclaveSlasher.SignedVote memory right)
    {
        bytes32 a;
        bytes32 b;
        (a, left) = precommit(height, "one block");
        (b, right) = precommit(height, "another");
        if (a > b) (left, right) = (right, left);
    }

    function report(uint64 height) private returns (bytes32) {
        (IConclaveSlasher.SignedVote memory left, IConclaveSlasher.SignedVote memory right) = pair(height);
        vm.prank(reporter);
        return net.slasher.reportVotes(IConclaveSlasher.Position(0, 0, height, 0), 1, left, right);
    }

    function inOffice(ValidatorId v) private view returns (bool) {
        (ValidatorId[] memory members,,) = net.election.electionNow();
        for (uint256 i = 0; i < members.length; ++i) {
            if (members[i] == v) return true;
        }
        return false;
    }

    function test_an_equivocator_loses_stake_office_and_its_place_for_ever() public {
        bytes32 offence = report(77);
        (,, uint64 escrow) = net.stake.totalsOf(ONE);
        vm.assertEq(escrow, 20 * ETHER, "seized, delegations included");
        settleEnd(100, offer());
        vm.assertEq(committee().count, 3, "out of the next committee");

        vm.warp(block.timestamp + 3 days + 1);
        net.slasher.resolve(offence);
        // Two fifths of the power stand convicted: that is a fork, and costs everything.
        (uint64 bonded, uint64 unbonding, uint64 left) = net.stake.totalsOf(ONE);
        vm.assertEq(bonded + unbonding + left, 0, "everything");
        vm.prank(reporter);
        vm.assertEq(net.stake.claimRewards(), ETHER, "a twentieth");
        vm.assertFalse(inOffice(ONE), "never again");
        vm.warp(block.timestamp + 365 days);
        vm.prank(operator(1));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.IsTombstoned.selector, ONE));
        net.stake.unjail(ONE);
    }

    function test_evidence_counts_after_rotation_exit_and_in_unbonding() public {
        bytes memory proof = possession(101, operator(1));
        (bytes32 r, bytes32 s) = consensusProof(101, operator(1));
        vm.startPrank(operator(1));
        net.stake.rotateKeys(ONE, Secrets.keys(101), proof, r, s);
        net.stake.exit(ONE);
        vm.stopPrank();
        vm.warp(block.timestamp + 10 days);
        report(5);
        (,, uint64 escrow) = net.stake.totalsOf(ONE);
        vm.assertEq(escrow, 20 * ETHER, "signed with the old key, while leaving");
    }

    /// It has rotated its key and left, another committee is in office, and another key is in its place.
    function test_evidence_counts_after_the_epoch_and_the_office_until_the_window_ends() public {
        // So that its stake is not too much to let go at once.
        for (uint256 number = 5; number <= 8; ++number) {
            join(number, 10 * ETHER);
        }
        settleEnd(50, offer());
        uint64 ended = uint64(block.timestamp);
        bytes memory proof = possession(101, operator(1));
        (bytes32 r, bytes32 s) = consensusProof(101, operator(1));
        vm.startPrank(operator(1));
        net.stake.rotateKeys(ONE, Secrets.keys(101), proof, r, s);
        net.stake.exit(ONE);
        vm.stopPrank();
        vm.warp(block.timestamp + 1 days);
        settleEnd(100, offer());
        vm.assertEq(committee().count, 7, "out of office");
        vm.assertFalse(inOffice(ONE), "and of the next election");
        vm.assertEq(net.stake.endedAt(0), ended, "the epoch is over");
        settleEnd(200, offer());
        uint256 until = uint256(ended) + net.slasher.EVIDENCE_AGE();

        // One L1 block after the window.
        vm.warp(until + 12);
        (IConclaveSlasher.SignedVote memory left, IConclaveSlasher.SignedVote memory right) = pair(5);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.EvidenceTooOld.selector, ended, until));
        net.slasher.reportVotes(IConclaveSlasher.Position(0, 0, 5, 0), 1, left, right);
        (,, uint64 escrow) = net.stake.totalsOf(ONE);
        vm.assertEq(escrow, 0, "too late");

        // The last block of it.
        vm.warp(until);
        bytes32 offence = report(5);
        (,, escrow) = net.stake.totalsOf(ONE);
        vm.assertEq(escrow, 20 * ETHER, "out of office and not out of reach");
        vm.warp(block.timestamp + 3 days + 1);
        net.slasher.resolve(offence);
        (uint64 bonded, uint64 unbonding, uint64 escrowed) = net.stake.totalsOf(ONE);
        vm.assertEq(bonded + unbonding + escrowed, 0, "everything");
    }

    function test_evidence_of_another_network_convicts_nobody() public {
        bytes32 a = SignBytes.vote(keyDomain(), 0, SignBytes.PRECOMMIT, 5, 0, "one block");
        bytes32 b = SignBytes.vote(keyDomain(), 0, SignBytes.PRECOMMIT, 5, 0, "another");
        IConclaveSlasher.SignedVote memory left;
        IConclaveSlasher.SignedVote memory right;
        (left.blockId, right.blockId) = ("one block", "another");
        (left.signature.r, left.signature.s) = Secrets.signConsensus(1, a);
        (right.signature.r, right.signature.s) = Secrets.signConsensus(1, b);
        (bytes32 here,) = precommit(5, "one block");
        (bytes32 there,) = precommit(5, "another");
        if (here > there) (left, right) = (right, left);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.BadSignature.selector, 0));
        net.slasher.reportVotes(IConclaveSlasher.Position(0, 0, 5, 0), 1, left, right);
    }

    function test_a_deposit_a_forced_cursor_and_a_settled_history_fit_together() public {
        vm.roll(block.number + 1);
        uint64 entry = net.vault.deposit{ value: 2 ether }(alice);
        BlockCommitment memory c = settle(10);
        vm.assertEq(c.forcedCursor, entry + 1, "carried");
        net.inbox.requireSettled(c, 10, history.inclusion(9, 10));
        vm.assertEq(net.inbox.dkgResultOf(0), DKG, "what shares are checked by");
    }
}
