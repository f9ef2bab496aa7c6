// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveStake, UnbondingId } from "../src/interfaces/IConclaveStake.sol";
import { ValidatorId } from "../src/lib/Types.sol";
import { Network } from "./support/Network.sol";
import { vm } from "./utils/Vm.sol";

/// The escrow: what an offence takes, what it leaves, and that nobody is faster.
contract PenaltiesTest is Network {
    ValidatorId private constant ONE = ValidatorId.wrap(1);
    address private alice = address(0xA11CE);
    address private reporter = address(0x4E9);

    function setUp() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        delegate(alice, ONE, 30 * ETHER);
        openNetwork();
    }

    function seize(bytes32 offence, uint64 epoch, bool tombstone) private returns (uint256) {
        vm.prank(address(net.slasher));
        return net.stake.seize(offence, ONE, epoch, tombstone);
    }

    function resolve(bytes32 offence, uint16 penaltyBps, uint16 rewardBps) private {
        vm.prank(address(net.slasher));
        net.stake.resolve(offence, penaltyBps, reporter, rewardBps);
    }

    function acquit(bytes32 offence) private {
        vm.prank(address(net.slasher));
        net.stake.acquit(offence);
    }

    function bonded() private view returns (uint64 amount) {
        (, amount,,,,,,,) = net.stake.validatorOf(ONE);
    }

    function tombstoned() private view returns (bool is_) {
        (,,,,,,, is_,) = net.stake.validatorOf(ONE);
    }

    function test_a_seizure_takes_all_that_backed_the_epoch_and_nobody_is_faster() public {
        (uint128 shares,) = net.stake.stakeOf(ONE, alice);
        vm.prank(alice);
        net.stake.requestUnbond(ONE, shares / 3);
        vm.assertEq(seize("a", 0, true), 40 * ETHER, "bonded and unbonding");
        (uint64 free, uint64 unbonding, uint64 escrow) = net.stake.totalsOf(ONE);
        vm.assertEq(free + unbonding, 0, "nothing is free");
        vm.assertEq(escrow, 40 * ETHER, "all is in escrow");

        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.StakeSeized.selector, ONE));
        net.stake.requestUnbond(ONE, 1);
        vm.prank(operator(1));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.StakeSeized.selector, ONE));
        net.stake.exit(ONE);
        vm.deal(alice, 1 ether);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.StakeSeized.selector, ONE));
        net.stake.delegate{ value: 1 ether }(ONE);
    }

    function test_seized_stake_is_not_claimed_even_when_its_time_has_come() public {
        (uint128 shares,) = net.stake.stakeOf(ONE, alice);
        vm.prank(alice);
        net.stake.requestUnbond(ONE, shares / 3);
        settleEnd(5, offer());
        vm.warp(block.timestamp + 20 days);
        seize("a", 0, true);
        vm.warp(block.timestamp + 10 days);
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.StakeSeized.selector, ONE));
        net.stake.claim(UnbondingId.wrap(1));
        resolve("a", 5000, 0);
        net.stake.claim(UnbondingId.wrap(1));
        vm.assertEq(alice.balance, 5 ether, "half");
    }

    function test_a_penalty_burns_all_but_the_reward() public {
        uint256 burnedBefore = address(0).balance;
        seize("a", 0, true);
        resolve("a", 2500, 500);
        vm.assertEq(bonded(), 30 * ETHER, "three quarters stay");
        vm.assertEq(net.stake.rewardsOf(reporter), ETHER / 2, "a twentieth of ten");
        vm.assertEq(address(0).balance - burnedBefore, 9.5 ether, "the rest is gone");
        vm.assertEq(address(net.stake).balance, 60.5 ether, "balance");
        vm.assertTrue(tombstoned(), "for ever");
        // What stays goes back to its owners, by their shares.
        unbondAll(alice, ONE);
        vm.prank(operator(1));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.IsTombstoned.selector, ONE));
        net.stake.unjail(ONE);
        vm.deal(operator(1), 1 ether);
        vm.prank(operator(1));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.IsTombstoned.selector, ONE));
        net.stake.deposit{ value: 1 ether }(ONE);
    }

    function test_nobody_leaves_jail_while_it_is_accused() public {
        seize("a", 0, false);
        resolve("a", 100, 0);
        vm.warp(block.timestamp + 1 days);
        seize("b", 0, false);
        vm.startPrank(operator(1));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.StakeSeized.selector, ONE));
        net.stake.unjail(ONE);
        vm.stopPrank();
        acquit("b");
        vm.prank(operator(1));
        net.stake.unjail(ONE);
    }

    function test_convicting_oneself_costs_nineteen_parts_of_twenty() public {
        vm.prank(address(net.slasher));
        net.stake.seize("a", ONE, 0, true);
        vm.prank(address(net.slasher));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.RewardTooHigh.selector, 500, 501));
        net.stake.resolve("a", 10_000, operator(1), 501);
        vm.prank(address(net.slasher));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.PenaltyTooHigh.selector, 10_000, 10_001));
        net.stake.resolve("a", 10_001, operator(1), 500);
        vm.prank(address(net.slasher));
        net.stake.resolve("a", 10_000, operator(1), 500);
        vm.assertEq(net.stake.rewardsOf(operator(1)), 2 * ETHER, "of forty");
    }

    function test_an_offence_pays_once() public {
        seize("a", 0, true);
        vm.prank(address(net.slasher));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.OffenceKnown.selector, bytes32("a")));
        net.stake.seize("a", ONE, 0, true);
        resolve("a", 100, 500);
        vm.prank(address(net.slasher));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.OffenceNotOpen.selector, bytes32("a")));
        net.stake.resolve("a", 100, reporter, 500);
        vm.prank(address(net.slasher));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.OffenceNotOpen.selector, bytes32("a")));
        net.stake.acquit("a");
        vm.prank(address(net.slasher));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.OffenceKnown.selector, bytes32("a")));
        net.stake.seize("a", ONE, 0, true);
    }

    function test_an_acquittal_leaves_no_trace() public {
        unbondAll(alice, ONE);
        seize("a", 0, true);
        acquit("a");
        (uint64 free, uint64 unbonding, uint64 escrow) = net.stake.totalsOf(ONE);
        vm.assertEq(free, 10 * ETHER, "bonded");
        vm.assertEq(unbonding, 30 * ETHER, "unbonding");
        vm.assertEq(escrow, 0, "escrow");
        vm.assertFalse(tombstoned(), "free");
        (,,,,,, bool accused,, uint64 jailedUntil) = net.stake.validatorOf(ONE);
        vm.assertFalse(accused, "not accused");
        vm.assertEq(jailedUntil, 0, "not jailed");
    }

    function test_an_acquittal_lifts_no_other_offence() public {
        seize("a", 0, true);
        seize("b", 0, true);
        acquit("a");
        vm.assertTrue(tombstoned(), "by b");
        (uint64 free,, uint64 escrow) = net.stake.totalsOf(ONE);
        vm.assertEq(free, 0, "b holds it");
        vm.assertEq(escrow, 40 * ETHER, "all of it");
        resolve("b", 10_000, 0);
        vm.assertEq(bonded(), 0, "b takes what a gave back");
    }

    function test_a_second_offence_takes_of_what_the_first_left() public {
        seize("a", 0, false);
        vm.assertEq(seize("b", 0, false), 40 * ETHER, "seen by both");
        resolve("a", 5000, 0);
        resolve("b", 5000, 0);
        vm.assertEq(bonded(), 10 * ETHER, "a quarter");
    }

    function test_what_left_before_the_epoch_is_not_touched() public {
        unbondAll(alice, ONE);
        settleEnd(5, offer());
        // 40 of 70 were in office and 30 wanted to go: more than a third, so epoch 1 was held.
        settleEnd(6, offer());
        settleEnd(7, offer());
        settleEnd(8, offer());
        (,, bool held) = net.election.electionNow();
        vm.assertFalse(held, "nobody is held any more");
        uint64 epoch = net.stake.epochCount() - 1;
        vm.assertEq(seize("a", epoch, true), 10 * ETHER, "only what backed it");
        resolve("a", 10_000, 0);
        vm.warp(block.timestamp + 22 days);
        net.stake.claim(UnbondingId.wrap(1));
        vm.assertEq(alice.balance, 30 ether, "whole");
    }

    function test_an_epoch_answers_until_its_window_closes() public {
        settleEnd(5, offer());
        uint64 closedAt = uint64(block.timestamp) + 21 days;
        vm.warp(closedAt - 1);
        seize("a", 0, true);
        vm.warp(closedAt);
        vm.prank(address(net.slasher));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.EpochOutsideWindow.selector, 0, closedAt));
        net.stake.seize("b", ONE, 0, true);
        vm.prank(address(net.slasher));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.NoSuchEpoch.selector, 2));
        net.stake.seize("c", ONE, 2, true);
    }

    function test_rotation_and_exit_do_not_free_what_backed_an_epoch() public {
        vm.prank(operator(1));
        net.stake.exit(ONE);
        vm.assertEq(seize("a", 0, true), 40 * ETHER, "all");
        resolve("a", 10_000, 0);
        (uint64 free, uint64 unbonding, uint64 escrow) = net.stake.totalsOf(ONE);
        vm.assertEq(free + unbonding + escrow, 0, "nothing is left");
        vm.assertEq(seize("b", 0, true), 0, "and nothing to seize, which is no failure");
        resolve("b", 10_000, 500);
    }

    function test_an_offence_left_open_lapses() public {
        seize("a", 0, true);
        uint64 lapsesAt = uint64(block.timestamp) + 30 days;
        vm.expectRevert(
            abi.encodeWithSelector(IConclaveStake.OffenceNotLapsed.selector, bytes32("a"), lapsesAt)
        );
        net.stake.lapse("a");
        vm.warp(lapsesAt);
        net.stake.lapse("a");
        vm.assertFalse(tombstoned(), "free");
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.OffenceNotOpen.selector, bytes32("a")));
        net.stake.lapse("a");
    }

    function test_a_reward_waits_while_the_validator_is_accused() public {
        seize("a", 0, false);
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.StakeSeized.selector, ONE));
        net.stake.reward{ value: 1 ether }(ONE);
        acquit("a");
        net.stake.reward{ value: 1 ether }(ONE);
        vm.assertEq(net.stake.rewardsOf(operator(1)), ETHER / 20, "its commission and no more");
        vm.assertEq(bonded(), 40 * ETHER + ETHER * 95 / 100, "the rest is everyone's");
    }

    function test_what_was_earned_before_everything_was_taken_is_still_the_delegators() public {
        seize("a", 0, false);
        resolve("a", 10_000, 0);
        vm.warp(block.timestamp + 1 days);
        vm.prank(operator(1));
        net.stake.unjail(ONE);
        // Nobody can buy into a pool without anything in it.
        vm.deal(alice, 1 ether);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.NothingBonded.selector, ONE));
        net.stake.delegate{ value: 1 ether }(ONE);
        net.stake.reward{ value: 1 ether }(ONE);
        vm.assertEq(net.stake.rewardsOf(operator(1)), ETHER / 20, "its commission and no more");
        (, uint64 amount) = net.stake.stakeOf(ONE, alice);
        vm.assertEq(amount, ETHER * 95 / 100 * 3 / 4, "three quarters of the shares");
    }

    function test_an_operator_cannot_sell_the_stake_of_its_delegators() public {
        delegate(alice, ONE, 1000 * ETHER);
        (, uint64 before) = net.stake.stakeOf(ONE, operator(1));
        for (uint256 i = 0; i < 100; ++i) {
            seize(bytes32(i), 0, true);
        }
        for (uint256 i = 0; i < 100; ++i) {
            resolve(bytes32(i), 500, 500);
        }
        (, uint64 left) = net.stake.stakeOf(ONE, operator(1));
        vm.assertLe(net.stake.rewardsOf(reporter), (before - left) / 2, "half of its own loss");
        vm.assertGe(net.stake.rewardsOf(reporter), 4 * ETHER, "which is still worth a report");
    }

    function test_of_an_operator_without_stake_of_its_own_a_report_earns_nothing() public {
        vm.prank(operator(1));
        net.stake.exit(ONE);
        uint256 burnedBefore = address(0).balance;
        seize("a", 0, true);
        resolve("a", 500, 500);
        vm.assertEq(net.stake.rewardsOf(reporter), 0, "nothing");
        vm.assertEq(address(0).balance - burnedBefore, 2 ether, "and all is burned");
    }
}
