// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// A contract whose parameters one address may change, fixed at deployment: the timelock. Nothing else hangs
/// on that address, and it cannot be handed on: to replace the timelock is to deploy anew.
abstract contract Timelocked {
    address public immutable TIMELOCK;

    /// Only the timelock may call this: schedule it there.
    error NotTimelock(address caller);
    /// A contract that another is deployed with has no address.
    error ZeroAddress();

    constructor(address timelock) {
        if (timelock == address(0)) revert ZeroAddress();
        TIMELOCK = timelock;
    }

    modifier onlyTimelock() {
        if (msg.sender != TIMELOCK) revert NotTimelock(msg.sender);
        _;
    }
}
