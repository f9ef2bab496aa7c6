// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Address } from "@openzeppelin/contracts/utils/Address.sol";

import { IConclaveStake, UnbondingId } from "../interfaces/IConclaveStake.sol";
import { ValidatorId } from "../lib/Types.sol";
import { StakePool } from "./StakePool.sol";
import { StakeState } from "./StakeState.sol";

/// Stake on its way in and out: shares of a validator's bonded pool, and of its unbonding pools.
abstract contract Delegation is StakeState {
    /// Pools of one validator that are not free yet. A penalty visits each of them. Beyond that, requests share the
    /// newest pool and wait for its latest, which delays them by less than one more unbonding time.
    uint256 internal constant POOLS_MAX = 32;

    /// @inheritdoc IConclaveStake
    function deposit(ValidatorId validator) external payable {
        bond(operated(validator), validator, receivedGwei());
    }

    /// @inheritdoc IConclaveStake
    function delegate(ValidatorId validator) external payable {
        uint64 amount = receivedGwei();
        if (amount < settings.delegationMinGwei) revert StakeTooSmall(settings.delegationMinGwei, amount);
        bond(known(validator), validator, amount);
    }

    /// @inheritdoc IConclaveStake
    function reward(ValidatorId validator) external payable {
        Validator storage record = known(validator);
        uint64 amount = receivedGwei();
        if (amount == 0) revert StakeTooSmall(1, 0);
        // In escrow it would be part of a penalty, and nobody else's either: it can wait for the verdict.
        if (has(record, ACCUSED)) revert StakeSeized(validator);
        (uint64 shared, uint64 commission) = cut(amount, record.commissionBps);
        if (record.shares == 0) (shared, commission) = (0, amount);
        record.bonded += shared;
        rewards[record.operator] += commission;
        emit Rewarded(validator, amount, commission);
    }

    /// @inheritdoc IConclaveStake
    function requestUnbond(ValidatorId validator, uint128 shares) external returns (UnbondingId id) {
        Validator storage record = known(validator);
        id = unbond(record, validator, msg.sender, shares);
        if (msg.sender != record.operator || has(record, EXITED)) return id;
        uint64 left = StakePool.amountFor(sharesOf[validator][msg.sender], record.bonded, record.shares);
        if (left < settings.selfStakeMinGwei) revert SelfStakeTooSmall(settings.selfStakeMinGwei, left);
    }

    /// @inheritdoc IConclaveStake
    function claim(UnbondingId id) external nonReentrant returns (uint64 amount) {
        Unbonding memory request = unbondings[id];
        if (request.owner == address(0)) revert UnknownUnbonding(id);
        UnbondingPool storage pool = pools[request.validator][request.pool];
        uint64 until = heldUntil(pool.until);
        if (isSeized(validators[request.validator], until)) revert StakeSeized(request.validator);
        if (!isReleased(until)) revert NotReleased(id, releasedAt(until));

        amount = StakePool.amountFor(request.shares, pool.amount, pool.shares);
        pool.amount -= amount;
        pool.shares -= request.shares;
        delete unbondings[id];
        emit Claimed(id, request.owner, amount);
        Address.sendValue(payable(request.owner), uint256(amount) * 1 gwei);
    }

    /// @inheritdoc IConclaveStake
    function claimRewards() external nonReentrant returns (uint64 amount) {
        amount = rewards[msg.sender];
        if (amount == 0) revert NothingToClaim(msg.sender);
        delete rewards[msg.sender];
        emit RewardsClaimed(msg.sender, amount);
        Address.sendValue(payable(msg.sender), uint256(amount) * 1 gwei);
    }

    /// @inheritdoc IConclaveStake
    function exit(ValidatorId validator) external returns (UnbondingId id) {
        Validator storage record = operated(validator);
        if (has(record, EXITED)) revert HasExited(validator);
        record.flags |= EXITED;
        emit Exited(validator);
        id = unbond(record, validator, msg.sender, sharesOf[validator][msg.sender]);
    }

    /// @inheritdoc IConclaveStake
    function stakeOf(ValidatorId validator, address owner)
        external
        view
        returns (uint128 shares, uint64 amountGwei)
    {
        Validator storage record = known(validator);
        shares = sharesOf[validator][owner];
        amountGwei = StakePool.amountFor(shares, record.bonded, record.shares);
    }

    /// @inheritdoc IConclaveStake
    function unbondingOf(UnbondingId id)
        external
        view
        returns (address owner, ValidatorId validator, uint64 amountGwei, uint64 freeAt)
    {
        Unbonding memory request = unbondings[id];
        if (request.owner == address(0)) revert UnknownUnbonding(id);
        (owner, validator) = (request.owner, request.validator);
        UnbondingPool memory pool = pools[validator][request.pool];
        amountGwei = StakePool.amountFor(request.shares, pool.amount, pool.shares);
        freeAt = releasedAt(heldUntil(pool.until));
    }

    /// @inheritdoc IConclaveStake
    function rewardsOf(address owner) external view returns (uint64) {
        return rewards[owner];
    }

    /// Adds `amount` of the caller to the bonded pool.
    function bond(Validator storage record, ValidatorId validator, uint64 amount) internal {
        if (has(record, EXITED)) revert HasExited(validator);
        if (has(record, ACCUSED)) revert StakeSeized(validator);
        if (has(record, TOMBSTONED)) revert IsTombstoned(validator);
        if (record.shares > 0 && record.bonded == 0) revert NothingBonded(validator);
        uint128 shares = StakePool.sharesFor(amount, record.bonded, record.shares);
        record.bonded += amount;
        record.shares += shares;
        sharesOf[validator][msg.sender] += shares;
        // A price that somebody drove up must not eat what the sender brings.
        uint64 worth = StakePool.amountFor(shares, record.bonded, record.shares);
        if (amount == 0 || worth + 1 < amount) revert StakeTooSmall(amount + 1, worth);
        emit Bonded(validator, msg.sender, amount, shares);
    }

    /// Moves `shares` of `owner` from the bonded pool to an unbonding pool.
    function unbond(Validator storage record, ValidatorId validator, address owner, uint128 shares)
        private
        returns (UnbondingId id)
    {
        if (has(record, ACCUSED)) revert StakeSeized(validator);
        uint128 owned = sharesOf[validator][owner];
        if (shares > owned) revert SharesTooFew(shares, owned);
        uint64 amount = StakePool.amountFor(shares, record.bonded, record.shares);
        if (amount == 0) revert NothingToUnbond();
        record.bonded -= amount;
        record.shares -= shares;
        sharesOf[validator][owner] = owned - shares;

        (uint32 index, UnbondingPool storage pool) = poolForNow(record, pools[validator]);
        uint128 bought = StakePool.sharesFor(amount, pool.amount, pool.shares);
        pool.amount += amount;
        pool.shares += bought;
        id = UnbondingId.wrap(++unbondingCount);
        unbondings[id] = Unbonding({ owner: owner, validator: validator, pool: index, shares: bought });
        emit UnbondingRequested(id, validator, owner, amount, pool.until);
    }

    /// The pool for stake that is asked back now.
    function poolForNow(Validator storage record, UnbondingPool[] storage all)
        private
        returns (uint32 index, UnbondingPool storage pool)
    {
        uint64 until = answerableUntil();
        uint256 first = record.firstPool;
        uint256 count = all.length;
        while (first < count && isReleased(heldUntil(all[first].until))) ++first;
        // A validator's pools are made one an epoch at most; 2^32 of them take longer than the chain's time.
        // forge-lint: disable-next-line(unsafe-typecast)
        if (first != record.firstPool) record.firstPool = uint32(first);

        bool open = first < count && (all[count - 1].amount > 0 || all[count - 1].shares == 0);
        if (open && (heldUntil(all[count - 1].until) == until || count - first >= POOLS_MAX)) {
            pool = all[count - 1];
            pool.until = until;
            // forge-lint: disable-next-line(unsafe-typecast)
            return (uint32(count - 1), pool);
        }
        all.push(UnbondingPool({ until: until, amount: 0, shares: 0 }));
        // forge-lint: disable-next-line(unsafe-typecast)
        return (uint32(count), all[count]);
    }
}
