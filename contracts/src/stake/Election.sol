// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { LibSort } from "solady/utils/LibSort.sol";
import { SafeCastLib } from "solady/utils/SafeCastLib.sol";

/// Who serves in the next epoch, and with what power.
///
/// The most staked are chosen; a member keeps its place until somebody exceeds it by a margin, so that two equals
/// do not take turns. From one committee to the next at most a third of the power may come, and at most a third
/// may go: those who trusted the one can then trust the next. Beyond that third every increase, or every
/// decrease, is cut by the same factor, and the rest follows in later epochs.
///
/// Who is accused, jailed or tombstoned goes at once and does not count: a bound on that would keep an offender in
/// office.
library Election {
    /// One who may be chosen, or is a member now.
    struct Contender {
        uint32 validator;
        /// What it would serve with.
        uint64 stake;
        /// What it serves with now; 0 if it is no member.
        uint64 power;
        /// Whether it may be chosen.
        bool eligible;
        /// Whether a member must go at once.
        bool forcedOut;
    }

    /// The power of each contender in the next committee, 0 for those who are not in it. `held` says that more
    /// than a third wanted to go, so that some serve with more than they still have bonded.
    function elect(Contender[] memory all, uint256 sizeMax, uint256 marginBps)
        internal
        pure
        returns (uint64[] memory powers, bool held)
    {
        uint256[] memory ranking = rank(all, marginBps);
        uint64[] memory targets = choose(all, ranking, sizeMax);
        (uint256 total, uint256 leaving) = departures(all, targets);
        held = leaving > total / 3;
        uint256 kept;
        (powers, kept) = keep(all, targets, leaving, total / 3);
        admit(all, ranking, targets, kept < sizeMax ? sizeMax - kept : 0);
        // There is nobody to change from before the first epoch, and no bound.
        raise(powers, targets, total == 0 ? type(uint256).max : total / 3);
    }

    /// Indices of contenders, the best last. Ties go to who registered first.
    function rank(Contender[] memory all, uint256 marginBps) private pure returns (uint256[] memory ranking) {
        ranking = new uint256[](all.length);
        for (uint256 i = 0; i < all.length; ++i) {
            Contender memory one = all[i];
            uint256 weight =
                one.eligible ? uint256(one.stake) * (one.power > 0 ? 10_000 + marginBps : 10_000) : 0;
            ranking[i] = weight << 32 | (type(uint32).max - i);
        }
        LibSort.sort(ranking);
        for (uint256 i = 0; i < all.length; ++i) {
            ranking[i] = type(uint32).max - uint32(ranking[i]);
        }
    }

    /// The stake of the first `sizeMax` in rank; 0 for everyone else.
    function choose(Contender[] memory all, uint256[] memory ranking, uint256 sizeMax)
        private
        pure
        returns (uint64[] memory targets)
    {
        targets = new uint64[](all.length);
        uint256 chosen = 0;
        for (uint256 r = all.length; r > 0 && chosen < sizeMax; --r) {
            uint256 i = ranking[r - 1];
            if (!all[i].eligible) break;
            targets[i] = all[i].stake;
            ++chosen;
        }
    }

    /// The power of the committee now, and how much of it would go without being forced to.
    function departures(Contender[] memory all, uint64[] memory targets)
        private
        pure
        returns (uint256 total, uint256 leaving)
    {
        for (uint256 i = 0; i < all.length; ++i) {
            uint64 power = all[i].power;
            total += power;
            if (!all[i].forcedOut && targets[i] < power) leaving += power - targets[i];
        }
    }

    /// What members keep, at most what they have, and how many of them stay.
    function keep(Contender[] memory all, uint64[] memory targets, uint256 leaving, uint256 limit)
        private
        pure
        returns (uint64[] memory powers, uint256 kept)
    {
        powers = new uint64[](all.length);
        for (uint256 i = 0; i < all.length; ++i) {
            uint64 power = all[i].power;
            if (power == 0 || all[i].forcedOut) continue;
            if (targets[i] < power) {
                uint256 loss = power - targets[i];
                if (leaving > limit) loss = loss * limit / leaving;
                power = SafeCastLib.toUint64(power - loss);
            }
            powers[i] = power;
            if (power > 0) ++kept;
        }
    }

    /// Leaves those without a target for whom there is no place, from the worst up.
    function admit(Contender[] memory all, uint256[] memory ranking, uint64[] memory targets, uint256 places)
        private
        pure
    {
        for (uint256 r = all.length; r > 0; --r) {
            uint256 i = ranking[r - 1];
            if (targets[i] == 0 || all[i].power > 0) continue;
            if (places == 0) targets[i] = 0;
            else --places;
        }
    }

    /// Raises powers to their targets, as far as the limit lets all of them together.
    function raise(uint64[] memory powers, uint64[] memory targets, uint256 limit) private pure {
        uint256 joining = 0;
        for (uint256 i = 0; i < powers.length; ++i) {
            if (targets[i] > powers[i]) joining += targets[i] - powers[i];
        }
        for (uint256 i = 0; i < powers.length; ++i) {
            if (targets[i] <= powers[i]) continue;
            uint256 gain = targets[i] - powers[i];
            if (joining > limit) gain = gain * limit / joining;
            powers[i] = SafeCastLib.toUint64(powers[i] + gain);
        }
    }
}
