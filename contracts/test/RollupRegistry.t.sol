// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Timelocked } from "../src/Timelocked.sol";
import { IRollupRegistry, Rollup, RollupId, RollupSettings } from "../src/interfaces/IRollupRegistry.sol";
import { Network } from "./support/Network.sol";
import { vm } from "./utils/Vm.sol";

/// Ids, owners, and changes that wait.
contract RollupRegistryTest is Network {
    address private alice = address(0xA11CE);
    RollupSettings private first = RollupSettings(address(1), "first");
    RollupSettings private second = RollupSettings(address(2), "second");
    RollupId private rollup;

    function setUp() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        openNetwork();
        rollup = net.registry.register{ value: 0.05 ether }(first, 100);
    }

    function test_ids_are_given_in_order_and_never_again() public {
        net.registry.close(rollup, 5000);
        RollupId other = net.registry.register{ value: 0.05 ether }(first, 100);
        vm.assertEq(RollupId.unwrap(rollup), 1, "first");
        vm.assertEq(RollupId.unwrap(other), 2, "second, though the first is closed");
        Rollup memory r = net.registry.rollupOf(other);
        vm.assertEq(r.owner, address(this), "owner");
        vm.assertEq(r.genesisHeight, 100, "genesis");
        (, uint256 pot) = net.vault.balances();
        vm.assertEq(pot, 0.1 ether, "fees are for relayers");
    }

    function test_registering_is_paid_and_in_the_future() public {
        vm.expectRevert(abi.encodeWithSelector(IRollupRegistry.WrongFee.selector, 0.05 ether, 0));
        net.registry.register(first, 100);
        settle(100);
        vm.expectRevert(abi.encodeWithSelector(IRollupRegistry.GenesisInThePast.selector, 100, 100));
        net.registry.register{ value: 0.05 ether }(first, 100);
    }

    function test_a_change_waits_and_a_later_one_waits_anew() public {
        net.registry.announce(rollup, second);
        vm.warp(block.timestamp + 7 days - 1);
        vm.assertEq(net.registry.rollupOf(rollup).settings.configuration, "first", "not yet");
        vm.warp(block.timestamp + 1);
        Rollup memory r = net.registry.rollupOf(rollup);
        vm.assertEq(r.settings.configuration, "second", "in effect");
        vm.assertEq(r.effectiveAt, 0, "nothing waits");
        // The change in effect outlives the next announcement and its withdrawal.
        net.registry.announce(rollup, first);
        vm.assertEq(net.registry.rollupOf(rollup).settings.configuration, "second", "still");
        net.registry.withdrawAnnouncement(rollup);
        vm.warp(block.timestamp + 8 days);
        vm.assertEq(net.registry.rollupOf(rollup).settings.configuration, "second", "withdrawn");
        vm.expectRevert(abi.encodeWithSelector(IRollupRegistry.NothingAnnounced.selector, rollup));
        net.registry.withdrawAnnouncement(rollup);
    }

    function test_an_owner_is_replaced_by_consent_of_both() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IRollupRegistry.NotNextOwner.selector, rollup, alice));
        net.registry.acceptOwner(rollup);
        net.registry.offerOwner(rollup, alice);
        vm.prank(alice);
        net.registry.acceptOwner(rollup);
        vm.assertEq(net.registry.rollupOf(rollup).owner, alice, "hers");
        vm.expectRevert(
            abi.encodeWithSelector(IRollupRegistry.NotRollupOwner.selector, rollup, address(this))
        );
        net.registry.announce(rollup, second);
    }

    function test_a_close_gives_notice_and_is_for_ever() public {
        settle(1000);
        vm.expectRevert(abi.encodeWithSelector(IRollupRegistry.ClosesTooSoon.selector, 5096, 5095));
        net.registry.close(rollup, 5095);
        net.registry.close(rollup, 5096);
        vm.expectRevert(abi.encodeWithSelector(IRollupRegistry.IsClosed.selector, rollup, 5096));
        net.registry.close(rollup, 9999);
        vm.expectRevert(abi.encodeWithSelector(IRollupRegistry.UnknownRollup.selector, 9));
        net.registry.rollupOf(RollupId.wrap(9));
    }

    function test_the_fee_is_the_timelocks_and_never_zero() public {
        vm.expectRevert(abi.encodeWithSelector(Timelocked.NotTimelock.selector, address(this)));
        net.registry.setFee(1);
        vm.startPrank(address(net.timelock));
        vm.expectRevert(
            abi.encodeWithSelector(IRollupRegistry.ParameterOutOfRange.selector, bytes32("feeGwei"), 0)
        );
        net.registry.setFee(0);
        net.registry.setFee(7);
        vm.stopPrank();
        vm.assertEq(net.registry.fee(), 7, "set");
    }
}
