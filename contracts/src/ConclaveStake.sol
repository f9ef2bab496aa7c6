// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Timelocked } from "./Timelocked.sol";
import { IConclaveElection } from "./interfaces/IConclaveElection.sol";
import { IConclaveStake, Keys, StakeParameters, Standing } from "./interfaces/IConclaveStake.sol";
import { IKeyProofs } from "./interfaces/IKeyProofs.sol";
import { Committee, ValidatorId } from "./lib/Types.sol";
import { Delegation } from "./stake/Delegation.sol";
import { Penalties } from "./stake/Penalties.sol";
import { StakeState } from "./stake/StakeState.sol";

/// Validators and their committees. {Delegation} has the ways of stake in and out, {Penalties} the escrow.
contract ConclaveStake is Delegation, Penalties {
    uint16 public constant COMMISSION_BPS_MAX = 10_000;
    /// Leaving takes three intervals: whoever dislikes the first step is gone before the fourth.
    uint16 public constant COMMISSION_STEP_BPS = 100;
    uint40 public constant COMMISSION_INTERVAL = 7 days;

    /// Who has this much stays eligible, whatever the timelock asks for: above it, it could end every election.
    uint64 private constant SELF_STAKE_GWEI_MAX = 64 ether / 1 gwei;
    uint64 private constant DELEGATION_GWEI_MAX = 32 ether / 1 gwei;
    uint32 private constant JAIL_SECONDS_MAX = 30 days;

    IKeyProofs public immutable KEY_PROOFS;
    IConclaveElection public immutable ELECTION;

    constructor(
        address timelock,
        address inbox,
        address slasher,
        IKeyProofs keyProofs,
        IConclaveElection election,
        uint64 unbondingSeconds,
        StakeParameters memory parameters
    ) Timelocked(timelock) StakeState(inbox, slasher, unbondingSeconds) {
        if (address(keyProofs) == address(0) || address(election) == address(0)) revert ZeroAddress();
        KEY_PROOFS = keyProofs;
        ELECTION = election;
        setWithinBounds(parameters);
    }

    /// @inheritdoc IConclaveStake
    function register(Keys calldata keys, bytes calldata possession, uint16 commissionBps)
        external
        payable
        returns (ValidatorId validator)
    {
        uint64 amount = receivedGwei();
        if (amount < settings.selfStakeMinGwei) revert StakeTooSmall(settings.selfStakeMinGwei, amount);
        if (commissionBps > COMMISSION_BPS_MAX) revert CommissionTooHigh(COMMISSION_BPS_MAX, commissionBps);
        validator = ValidatorId.wrap(++validatorCount);
        Validator storage record = validators[validator];
        (record.operator, record.commissionBps) = (msg.sender, commissionBps);
        record.commissionRaisedAt = uint40(block.timestamp);
        emit Registered(validator, msg.sender, commissionBps);
        setKeys(record, validator, keys);
        bond(record, validator, amount);
        KEY_PROOFS.requireSettlementKey(msg.sender, keys.settlementKey, possession);
    }

    /// @inheritdoc IConclaveStake
    function proveConsensusKey(ValidatorId validator, Keys calldata keys, bytes32 r, bytes32 s) external {
        Validator storage record = known(validator);
        if (record.keysHash != hashOf(keys)) revert KeysUnknown(validator);
        proveConsensus(record, validator, keys.consensusKey, r, s);
    }

    /// @inheritdoc IConclaveStake
    function rotateKeys(
        ValidatorId validator,
        Keys calldata keys,
        bytes calldata possession,
        bytes32 r,
        bytes32 s
    ) external {
        Validator storage record = operated(validator);
        if (epochs < record.rotatesFrom) revert RotatedAlready(validator);
        record.rotatesFrom = epochs + 1;
        setKeys(record, validator, keys);
        KEY_PROOFS.requireSettlementKey(msg.sender, keys.settlementKey, possession);
        proveConsensus(record, validator, keys.consensusKey, r, s);
    }

    /// @inheritdoc IConclaveStake
    function unjail(ValidatorId validator) external {
        Validator storage record = operated(validator);
        if (has(record, TOMBSTONED)) revert IsTombstoned(validator);
        if (has(record, ACCUSED)) revert StakeSeized(validator);
        uint40 until = record.jailedUntil;
        if (until == 0) revert NotJailed(validator);
        if (block.timestamp < until) revert IsJailed(validator, until);
        record.jailedUntil = 0;
        emit Unjailed(validator);
    }

    /// @inheritdoc IConclaveStake
    function setCommission(ValidatorId validator, uint16 commissionBps) external {
        Validator storage record = operated(validator);
        if (commissionBps > record.commissionBps) {
            uint16 max = record.commissionBps + COMMISSION_STEP_BPS;
            if (max > COMMISSION_BPS_MAX) max = COMMISSION_BPS_MAX;
            if (commissionBps > max) revert CommissionTooHigh(max, commissionBps);
            uint64 allowedAt = record.commissionRaisedAt + COMMISSION_INTERVAL;
            if (block.timestamp < allowedAt) revert CommissionRaisedTooEarly(allowedAt);
            record.commissionRaisedAt = uint40(block.timestamp);
        }
        record.commissionBps = commissionBps;
        emit CommissionSet(validator, commissionBps);
    }

    /// @inheritdoc IConclaveStake
    function noteOffer() external returns (uint64 epoch) {
        if (msg.sender != address(ELECTION)) revert NotElection(msg.sender);
        if (abandonedAt != 0) revert IsAbandoned();
        epoch = epochs;
        // Whoever asks stake back from now on is counted on by this offer.
        offeredUntil = epoch + 1;
    }

    /// @inheritdoc IConclaveStake
    function advanceEpoch(bytes32 committeeHash) external onlyInbox returns (Committee memory committee) {
        if (abandonedAt != 0) revert IsAbandoned();
        uint64 epoch = epochs;
        bool held;
        ValidatorId[] memory absent;
        (committee, held, absent) = ELECTION.offered(epoch, committeeHash);
        if (epoch > 0) epochRecords[epoch - 1].endedAt = uint64(block.timestamp);
        EpochRecord storage record = epochRecords[epoch];
        (record.committee, record.held) = (committee, held);
        epochs = epoch + 1;
        jail(absent);
        emit CommitteeTookEffect(epoch, committeeHash, committee);
    }

    /// @inheritdoc IConclaveStake
    function abandon() external onlyInbox {
        if (abandonedAt != 0) revert IsAbandoned();
        abandonedAt = uint64(block.timestamp);
        emit Abandoned(abandonedAt);
    }

    /// @inheritdoc IConclaveStake
    function setParameters(StakeParameters calldata parameters) external onlyTimelock {
        setWithinBounds(parameters);
    }

    /// @inheritdoc IConclaveStake
    function epochCount() external view returns (uint64) {
        return epochs;
    }

    /// @inheritdoc IConclaveStake
    function validatorOf(ValidatorId validator)
        external
        view
        returns (
            address operator,
            uint64 bondedGwei,
            uint128 shares,
            uint16 commissionBps,
            bool proven,
            bool exited,
            bool accused,
            bool tombstoned,
            uint64 jailedUntil
        )
    {
        Validator storage record = known(validator);
        (operator, bondedGwei, shares) = (record.operator, record.bonded, record.shares);
        (commissionBps, jailedUntil) = (record.commissionBps, record.jailedUntil);
        (proven, exited) = (has(record, PROVEN), has(record, EXITED));
        (accused, tombstoned) = (has(record, ACCUSED), has(record, TOMBSTONED));
    }

    /// @inheritdoc IConclaveStake
    function standingsOf(ValidatorId[] calldata ids) external view returns (Standing[] memory standings) {
        standings = new Standing[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            Validator storage record = validators[ids[i]];
            standings[i] = Standing({
                stakeGwei: record.bonded,
                eligible: isEligible(record),
                forcedOut: has(record, ACCUSED | TOMBSTONED) || record.jailedUntil != 0
            });
        }
    }

    /// @inheritdoc IConclaveStake
    function keysHashOf(ValidatorId validator) external view returns (bytes32) {
        return validators[validator].keysHash;
    }

    /// What the timelock has set.
    function stakeParameters() external view returns (StakeParameters memory) {
        return settings;
    }

    function hashOf(Keys calldata keys) private pure returns (bytes32) {
        return keccak256(abi.encode(keys));
    }

    /// Stores new keys, with the settlement key taken for good. The caller has it proved.
    function setKeys(Validator storage record, ValidatorId validator, Keys calldata keys) private {
        take(validator, keccak256(abi.encode(keys.settlementKey)));
        record.keysHash = hashOf(keys);
        record.flags &= ~PROVEN;
        emit KeysSet(validator, keys);
    }

    function proveConsensus(
        Validator storage record,
        ValidatorId validator,
        bytes32 key,
        bytes32 r,
        bytes32 s
    ) private {
        take(validator, key);
        record.flags |= PROVEN;
        emit ConsensusKeyProven(validator, key);
        KEY_PROOFS.requireConsensusKey(record.operator, key, r, s);
    }

    /// A key has one owner for ever, who may come back to it.
    function take(ValidatorId validator, bytes32 key) private {
        ValidatorId owner = keyOwners[key];
        if (owner == validator) return;
        if (ValidatorId.unwrap(owner) != 0) revert KeyInUse(owner);
        keyOwners[key] = validator;
    }

    function jail(ValidatorId[] memory absent) private {
        uint64 until = uint64(block.timestamp) + settings.jailSeconds;
        for (uint256 i = 0; i < absent.length; ++i) {
            validators[absent[i]].jailedUntil = uint40(until);
            emit Jailed(absent[i], until);
        }
    }

    function setWithinBounds(StakeParameters memory p) private {
        requireBetween("selfStakeMinGwei", p.selfStakeMinGwei, SELF_STAKE_GWEI_MAX);
        requireBetween("delegationMinGwei", p.delegationMinGwei, DELEGATION_GWEI_MAX);
        requireBetween("jailSeconds", p.jailSeconds, JAIL_SECONDS_MAX);
        settings = p;
        emit ParametersSet(p);
    }

    /// Above zero, and at most `max`.
    function requireBetween(bytes32 name, uint64 found, uint64 max) private pure {
        if (found == 0 || found > max) revert ParameterOutOfRange(name, found);
    }
}
