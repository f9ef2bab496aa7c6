// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { SafeCastLib } from "solady/utils/SafeCastLib.sol";

/// The arithmetic of a pool of stake that many own by shares. Every rounding is in favour of those who stay: who
/// enters gets the shares rounded down, who leaves the amount rounded down, and who leaves last gets all.
library StakePool {
    /// So fine that rounding costs less than a gwei, whatever a penalty or a reward did to the price.
    uint256 internal constant SHARES_PER_GWEI = 1e9;
    uint256 internal constant BPS = 10_000;

    /// The shares that `amount` buys of a pool of `pooled` in `shares`. A pool with shares and nothing in it
    /// sells none: it divides by zero.
    function sharesFor(uint64 amount, uint64 pooled, uint128 shares) internal pure returns (uint128) {
        if (shares == 0) return SafeCastLib.toUint128(uint256(amount) * SHARES_PER_GWEI);
        return SafeCastLib.toUint128(uint256(amount) * shares / pooled);
    }

    /// What `part` of the `shares` of a pool of `pooled` is worth.
    function amountFor(uint128 part, uint64 pooled, uint128 shares) internal pure returns (uint64) {
        if (shares == 0) return 0;
        // part <= shares, so the result is at most `pooled`.
        return SafeCastLib.toUint64(uint256(part) * pooled / shares);
    }

    /// `bps` ten-thousandths of `amount`, rounded down.
    function portion(uint64 amount, uint16 bps) internal pure returns (uint64) {
        return SafeCastLib.toUint64(uint256(amount) * bps / BPS);
    }
}
