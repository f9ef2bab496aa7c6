// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { StakePool } from "../../src/stake/StakePool.sol";
import { vm } from "../utils/Vm.sol";

/// What holds of a pool's arithmetic whatever the numbers are. `make contracts-audit` has halmos prove each `check_`
/// for all of them at once; `forge test` passes these by.
///
/// A pool of `pooled` gwei is owned by `shares`; whoever owns a `part` of them is owed {StakePool.amountFor}.
///
/// Products of unknowns that are divided by unknowns are beyond solvers of bits: what many parts are owed together, and
/// that nobody gains by entering and leaving, is fuzzed (`test/Stake.t.sol`, `test/invariant/`).
contract StakePoolProofs {
    function check_who_leaves_last_gets_all(uint64 pooled, uint128 shares) public pure {
        vm.assume(shares > 0);
        assert(StakePool.amountFor(shares, pooled, shares) == pooled);
    }

    function check_the_first_is_owed_what_it_gave(uint64 amount) public pure {
        uint128 part = StakePool.sharesFor(amount, 0, 0);
        assert(StakePool.amountFor(part, amount, part) == amount);
    }

    function check_nobody_is_owed_anything_by_a_pool_without_shares(uint64 pooled, uint128 part) public pure {
        assert(StakePool.amountFor(part, pooled, 0) == 0);
    }

    function check_who_has_no_part_is_owed_nothing(uint64 pooled, uint128 shares) public pure {
        assert(StakePool.amountFor(0, pooled, shares) == 0);
    }

    function check_a_portion_is_rounded_down_and_by_less_than_one(uint8 amount, uint16 bps) public pure {
        vm.assume(amount < 64 && bps <= 10_000);
        uint64 taken = StakePool.portion(amount, bps);
        assert(taken <= amount);
        assert(uint256(taken) * 10_000 <= uint256(amount) * bps);
        assert(uint256(amount) * bps - uint256(taken) * 10_000 < 10_000);
    }
}
