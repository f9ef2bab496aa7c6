// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { ConclaveSlasher } from "../../src/ConclaveSlasher.sol";
import { IConclaveSlasher } from "../../src/interfaces/IConclaveSlasher.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { ValidatorId } from "../../src/lib/Types.sol";
import { Network } from "../support/Network.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";

/// The slasher on the contracts that it is deployed with.
contract SlashingTest is Network {
    ConclaveSlasher private slasher;

    function setUp() public {
        deployNetwork();
        slasher = net.slasher;
        joinMany(4, 32 * ETHER);
        openNetwork();
    }

    function test_an_equivocator_loses_its_stake_and_the_reporter_is_paid_of_it() public {
        (IConclaveSlasher.Position memory at, IConclaveSlasher.SignedVote[2] memory votes) = evidence();
        uint256 before = address(net.stake).balance;
        vm.prank(address(0xF1));
        bytes32 id = slasher.reportVotes(at, 1, votes[0], votes[1]);
        vm.snapshotGasLastCall("evidence", "two precommits, stake included");
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportVotes(at, 1, votes[0], votes[1]);
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(id);
        vm.assertTrue(slasher.caseOf(id).state == IConclaveSlasher.State.Resolved, "resolved");
        // Three times a quarter of the power, of 32 ether, less a reward of a twentieth.
        vm.assertEq(before - address(net.stake).balance, 24 ether * 95 / 100, "burned");
    }

    function test_stake_on_its_way_out_is_slashed_like_any_other() public {
        (IConclaveSlasher.Position memory at, IConclaveSlasher.SignedVote[2] memory votes) = evidence();
        ValidatorId validator = ValidatorId.wrap(2);
        (uint128 shares,) = net.stake.stakeOf(validator, operator(2));
        vm.prank(operator(2));
        net.stake.requestUnbond(validator, shares * 3 / 4);
        uint256 before = address(net.stake).balance;
        bytes32 id = slasher.reportVotes(at, 1, votes[0], votes[1]);
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(id);
        vm.assertEq(before - address(net.stake).balance, 24 ether * 95 / 100, "burned");
    }

    function test_a_case_that_nobody_ended_gives_back_what_was_seized_whoever_says_so_first() public {
        (IConclaveSlasher.Position memory at, IConclaveSlasher.SignedVote[2] memory votes) = evidence();
        ValidatorId validator = ValidatorId.wrap(2);
        bytes32 id = slasher.reportVotes(at, 1, votes[0], votes[1]);
        (,, uint64 escrow) = net.stake.totalsOf(validator);
        vm.assertEq(escrow, 32 * ETHER, "seized");
        uint256 lapsesAt = block.timestamp + 30 days;
        vm.warp(lapsesAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotLapsed.selector, lapsesAt));
        slasher.lapse(id);
        vm.warp(lapsesAt);
        uint256 left = vm.snapshotState();
        for (uint256 i = 0; i < 2; ++i) {
            if (i == 1) net.stake.lapse(id);
            slasher.lapse(id);
            uint64 free;
            (free,, escrow) = net.stake.totalsOf(validator);
            vm.assertTrue(free == 32 * ETHER && escrow == 0, "given back");
            vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotOpen.selector, id));
            slasher.resolve(id);
            vm.revertToState(left);
        }
    }

    /// However little gas is sent with it, a case is not closed while what was seized stays in escrow.
    function test_a_case_does_not_lapse_by_half_for_want_of_gas() public {
        (IConclaveSlasher.Position memory at, IConclaveSlasher.SignedVote[2] memory votes) = evidence();
        bytes32 id = slasher.reportVotes(at, 1, votes[0], votes[1]);
        vm.warp(block.timestamp + 30 days);
        bool any;
        for (uint256 gas = 10_000; gas < 120_000; gas += 500) {
            uint256 before = vm.snapshotState();
            (bool done,) = address(slasher).call{ gas: gas }(abi.encodeCall(slasher.lapse, (id)));
            (,, uint64 escrow) = net.stake.totalsOf(ValidatorId.wrap(2));
            vm.assertTrue(done == (escrow == 0), "both or neither");
            any = any || done;
            vm.revertToState(before);
        }
        vm.assertTrue(any, "with enough it does");
    }

    /// Two precommits of validator 2 at height 7, in order.
    function evidence()
        private
        view
        returns (IConclaveSlasher.Position memory at, IConclaveSlasher.SignedVote[2] memory votes)
    {
        uint16 member = memberOf(2);
        at = IConclaveSlasher.Position(0, member, 7, 0);
        bytes32[2] memory digests;
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 blockId = keccak256(abi.encode("block", i));
            digests[i] = SignBytes.vote(domain(), 0, 1, 7, 0, blockId);
            (bytes32 r, bytes32 s) = Secrets.signConsensus(2, digests[i]);
            votes[i] = IConclaveSlasher.SignedVote(blockId, IConclaveSlasher.Signature(r, s));
        }
        if (digests[0] > digests[1]) (votes[0], votes[1]) = (votes[1], votes[0]);
    }

    function memberOf(uint32 validator) private view returns (uint16 index) {
        (ValidatorId[] memory members,,) = net.election.electionNow();
        while (ValidatorId.unwrap(members[index]) != validator) ++index;
    }
}
