// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import { vm } from "../utils/Vm.sol";

/// An account that makes calls while it is being paid, and remembers how each was refused.
contract Reentrant {
    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    Call[] private again;
    bytes[] private refusals;

    /// Makes `first`, and each of `calls` whenever ether comes meanwhile.
    function run(Call calldata first, Call[] calldata calls) external {
        delete again;
        delete refusals;
        for (uint256 i = 0; i < calls.length; ++i) {
            again.push(calls[i]);
        }
        (bool ok, bytes memory reason) = make(first);
        vm.assertTrue(ok, string(reason));
    }

    receive() external payable {
        for (uint256 i = 0; i < again.length; ++i) {
            (bool ok, bytes memory reason) = make(again[i]);
            require(!ok, "entered twice");
            refusals.push(reason);
        }
    }

    /// Fails unless each call was tried once, and refused for what it was.
    function assertRefused() external view {
        vm.assertEq(refusals.length, again.length, "each was tried once");
        bytes memory expected =
            abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        for (uint256 i = 0; i < refusals.length; ++i) {
            vm.assertEq(refusals[i], expected, "refused by name");
        }
    }

    function make(Call memory call) private returns (bool ok, bytes memory answer) {
        (ok, answer) = call.to.call{ value: call.value }(call.data);
    }
}
