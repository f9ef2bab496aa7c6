// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";

/// The owner of every parameter. Whoever proposes, nothing changes before {DELAY_SECONDS} have passed in public,
/// and no proposal can shorten that. It has no administrator: roles change through itself.
contract ConclaveTimelock is TimelockController {
    /// Longer than a weekend and a holiday, shorter than unbonding: who disagrees with a change has asked for
    /// its stake before it takes effect.
    uint256 public constant DELAY_SECONDS = 7 days;

    constructor(address[] memory proposers, address[] memory executors)
        TimelockController(DELAY_SECONDS, proposers, executors, address(0))
    { }

    /// @inheritdoc TimelockController
    function getMinDelay() public view override returns (uint256) {
        uint256 delay = super.getMinDelay();
        return delay < DELAY_SECONDS ? DELAY_SECONDS : delay;
    }
}
