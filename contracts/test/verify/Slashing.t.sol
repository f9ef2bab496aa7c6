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
