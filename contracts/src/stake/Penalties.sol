// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Address } from "@openzeppelin/contracts/utils/Address.sol";

import { IConclaveStake } from "../interfaces/IConclaveStake.sol";
import { ISlashable } from "../interfaces/ISlashable.sol";
import { Committee, ValidatorId } from "../lib/Types.sol";
import { StakePool } from "./StakePool.sol";
import { StakeState } from "./StakeState.sol";

/// The escrow. Stake in it stays where it is and belongs to whom it belonged, but nobody can move it: not its
/// owners, not by being first. So giving it back is exact, and several offences of one validator each take their
/// part of what the others left.
abstract contract Penalties is StakeState, ISlashable {
    enum OffenceState {
        Unknown,
        Open,
        Closed
    }

    struct Offence {
        ValidatorId validator;
        uint64 epoch;
        uint64 seizedAt;
        bool tombstone;
        OffenceState state;
    }

    /// Who convicts itself loses nineteen parts of twenty, or half of its own if others bear the most.
    uint16 public constant REWARD_BPS_MAX = 500;
    uint16 private constant BPS_MAX = 10_000;
    /// Several times what any challenge takes. A slasher that leaves an offence open must not keep stake for ever.
    uint64 public constant SEIZURE_SECONDS_MAX = 30 days;
    /// Nobody's address, so that a penalty enriches nobody.
    address private constant BURNED = address(0);

    mapping(bytes32 offence => Offence) private offences;

    /// @inheritdoc ISlashable
    function committeeOf(uint64 epoch) external view returns (Committee memory) {
        return epochRecords[epoch].committee;
    }

    /// @inheritdoc ISlashable
    function endedAt(uint64 epoch) external view returns (uint64) {
        return epoch < epochs ? endOf(epoch) : 0;
    }

    /// @inheritdoc ISlashable
    function seize(bytes32 offence, ValidatorId validator, uint64 epoch, bool tombstone)
        external
        onlySlasher
        returns (uint256 amount)
    {
        Validator storage record = known(validator);
        if (offences[offence].state != OffenceState.Unknown) revert OffenceKnown(offence);
        requireOpenWindow(epoch);
        offences[offence] = Offence({
            validator: validator,
            epoch: epoch,
            seizedAt: uint64(block.timestamp),
            tombstone: tombstone,
            state: OffenceState.Open
        });
        Accusations memory held = record.accusations;
        held.fromEpoch = held.open == 0 || epoch < held.fromEpoch ? epoch : held.fromEpoch;
        ++held.open;
        if (tombstone) ++held.tombstones;
        record.accusations = held;
        record.flags |= tombstone ? ACCUSED | TOMBSTONED : ACCUSED;
        uint64 backing = backingFor(record, validator, epoch);
        emit Seized(offence, validator, epoch, backing);
        return backing;
    }

    /// @inheritdoc ISlashable
    function acquit(bytes32 offence) external onlySlasher {
        dismiss(offence);
    }

    /// @inheritdoc ISlashable
    function lapse(bytes32 offence) external {
        Offence memory charge = offences[offence];
        if (charge.state != OffenceState.Open) revert OffenceNotOpen(offence);
        uint64 lapsesAt = charge.seizedAt + SEIZURE_SECONDS_MAX;
        if (block.timestamp < lapsesAt) revert OffenceNotLapsed(offence, lapsesAt);
        dismiss(offence);
    }

    /// @inheritdoc ISlashable
    function resolve(bytes32 offence, uint16 penaltyBps, address reporter, uint16 rewardBps)
        external
        onlySlasher
        nonReentrant
    {
        if (penaltyBps > BPS_MAX) revert PenaltyTooHigh(BPS_MAX, penaltyBps);
        if (rewardBps > REWARD_BPS_MAX) revert RewardTooHigh(REWARD_BPS_MAX, rewardBps);
        (Offence memory charge, Validator storage record) = close(offence);
        uint64 most = rewardMost(record, charge.validator, penaltyBps);
        uint64 taken = penalize(record, charge, penaltyBps);
        // A convict sits out, also after a penalty of nothing.
        uint64 until = uint64(block.timestamp) + settings.jailSeconds;
        record.jailedUntil = uint40(until);
        emit Jailed(charge.validator, until);

        (uint64 burned, uint64 rewarded) = cut(taken, rewardBps);
        if (rewarded > most) (burned, rewarded) = (taken - most, most);
        rewards[reporter] += rewarded;
        emit Resolved(offence, charge.validator, reporter, burned, rewarded);
        if (burned > 0) Address.sendValue(payable(BURNED), uint256(burned) * 1 gwei);
    }

    /// @inheritdoc IConclaveStake
    function backingOf(ValidatorId validator, uint64 epoch) external view returns (uint64) {
        return backingFor(known(validator), validator, epoch);
    }

    /// @inheritdoc IConclaveStake
    function totalsOf(ValidatorId validator)
        external
        view
        returns (uint64 bonded, uint64 unbonding, uint64 escrow)
    {
        Validator storage record = known(validator);
        if (has(record, ACCUSED)) escrow = record.bonded;
        else bonded = record.bonded;
        UnbondingPool[] storage all = pools[validator];
        for (uint256 i = 0; i < all.length; ++i) {
            if (isSeized(record, all[i].until)) escrow += all[i].amount;
            else unbonding += all[i].amount;
        }
    }

    /// Reverts unless stake still answers for `epoch`.
    function requireOpenWindow(uint64 epoch) private view {
        if (epoch >= epochs) revert NoSuchEpoch(epoch);
        uint64 end = endOf(epoch);
        if (end == 0) return;
        uint64 closedAt = end + UNBONDING_SECONDS;
        if (block.timestamp >= closedAt) revert EpochOutsideWindow(epoch, closedAt);
    }

    function backingFor(Validator storage record, ValidatorId validator, uint64 epoch)
        private
        view
        returns (uint64 amount)
    {
        amount = record.bonded;
        UnbondingPool[] storage all = pools[validator];
        for (uint256 i = record.firstPool; i < all.length; ++i) {
            if (heldUntil(all[i].until) > epoch) amount += all[i].amount;
        }
    }

    /// Takes `bps` of everything that backed the epoch of the offence.
    function penalize(Validator storage record, Offence memory charge, uint16 bps)
        private
        returns (uint64 taken)
    {
        (record.bonded, taken) = cut(record.bonded, bps);
        UnbondingPool[] storage all = pools[charge.validator];
        for (uint256 i = record.firstPool; i < all.length; ++i) {
            if (heldUntil(all[i].until) <= charge.epoch) continue;
            uint64 part;
            (all[i].amount, part) = cut(all[i].amount, bps);
            taken += part;
        }
    }

    /// The most that a conviction may earn: half of what the operator itself still has bonded and loses. A
    /// twentieth of what a thousand delegators lose is worth an operator's own stake many times over.
    function rewardMost(Validator storage record, ValidatorId validator, uint16 bps)
        private
        view
        returns (uint64)
    {
        uint128 shares = sharesOf[validator][record.operator];
        return StakePool.portion(StakePool.amountFor(shares, record.bonded, record.shares), bps) / 2;
    }

    function dismiss(bytes32 offence) private {
        (Offence memory charge, Validator storage record) = close(offence);
        if (charge.tombstone && --record.accusations.tombstones == 0) {
            record.flags &= ~TOMBSTONED;
        }
        emit Acquitted(offence, charge.validator);
    }

    function close(bytes32 offence) private returns (Offence memory charge, Validator storage record) {
        charge = offences[offence];
        if (charge.state != OffenceState.Open) revert OffenceNotOpen(offence);
        offences[offence].state = OffenceState.Closed;
        record = validators[charge.validator];
        if (--record.accusations.open == 0) record.flags &= ~ACCUSED;
    }
}
