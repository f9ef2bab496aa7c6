// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";

import { StakeParameters } from "../src/interfaces/IConclaveStake.sol";
import { Network } from "./support/Network.sol";
import { vm } from "./utils/Vm.sol";

/// Seven days, for everybody.
contract TimelockTest is Network {
    function setUp() public {
        deployNetwork();
    }

    function propose(address target, bytes memory call_, uint256 delay) private {
        vm.prank(council);
        net.timelock.schedule(target, 0, call_, 0, 0, delay);
    }

    function test_a_parameter_changes_after_seven_days_and_not_before() public {
        StakeParameters memory p = net.stake.stakeParameters();
        p.jailSeconds = 2 days;
        bytes memory call_ = abi.encodeCall(net.stake.setParameters, (p));
        vm.prank(council);
        vm.expectRevert(
            abi.encodeWithSelector(TimelockController.TimelockInsufficientDelay.selector, 7 days - 1, 7 days)
        );
        net.timelock.schedule(address(net.stake), 0, call_, 0, 0, 7 days - 1);
        propose(address(net.stake), call_, 7 days);
        vm.warp(block.timestamp + 7 days - 1);
        vm.expectPartialRevert(TimelockController.TimelockUnexpectedOperationState.selector);
        net.timelock.execute(address(net.stake), 0, call_, 0, 0);
        vm.warp(block.timestamp + 1);
        net.timelock.execute(address(net.stake), 0, call_, 0, 0);
        vm.assertEq(net.stake.stakeParameters().jailSeconds, 2 days, "set, by anybody");
    }

    function test_not_even_the_timelock_shortens_the_wait() public {
        bytes memory call_ = abi.encodeCall(TimelockController.updateDelay, (0));
        propose(address(net.timelock), call_, 7 days);
        vm.warp(block.timestamp + 7 days);
        net.timelock.execute(address(net.timelock), 0, call_, 0, 0);
        vm.assertEq(net.timelock.getMinDelay(), 7 days, "as long as before");
    }

    function test_it_has_no_administrator() public view {
        bytes32 admin = net.timelock.DEFAULT_ADMIN_ROLE();
        vm.assertFalse(net.timelock.hasRole(admin, council), "council");
        vm.assertFalse(net.timelock.hasRole(admin, address(this)), "deployer");
        vm.assertTrue(net.timelock.hasRole(admin, address(net.timelock)), "itself");
    }
}
