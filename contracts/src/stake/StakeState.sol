// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import { Timelocked } from "../Timelocked.sol";
import { IConclaveStake, StakeParameters, UnbondingId } from "../interfaces/IConclaveStake.sol";
import { Committee, ValidatorId } from "../lib/Types.sol";
import { StakePool } from "./StakePool.sol";

/// What ConclaveStake stores, and the rules that all of its parts share: who is who, which epochs count, and
/// when stake is free.
abstract contract StakeState is IConclaveStake, Timelocked, ReentrancyGuardTransient {
    struct Validator {
        address operator;
        uint16 commissionBps;
        uint40 commissionRaisedAt;
        // Unbonding pools before this one are empty of claims that matter to a penalty.
        uint32 firstPool;
        // What an election reads, in one slot.
        uint64 bonded;
        uint128 shares;
        uint40 jailedUntil;
        uint8 flags;
        bytes32 keysHash;
        Accusations accusations;
        // Its keys may rotate again once so many epochs have begun.
        uint64 rotatesFrom;
    }

    /// Offences of a validator that the slasher has not closed, and those that tombstone it.
    struct Accusations {
        uint32 open;
        uint32 tombstones;
        // Whatever backed this epoch or a later one is in escrow while an accusation is open.
        uint64 fromEpoch;
    }

    /// Stake that was asked back while the same epochs counted.
    struct UnbondingPool {
        // Answerable for the epochs before this one.
        uint64 until;
        uint64 amount;
        uint128 shares;
    }

    struct Unbonding {
        address owner;
        ValidatorId validator;
        uint32 pool;
        uint128 shares;
    }

    struct EpochRecord {
        Committee committee;
        uint64 endedAt;
        // Whether leavers were kept: their stake backs this epoch as it did the one before.
        bool held;
    }

    uint8 internal constant PROVEN = 1;
    uint8 internal constant EXITED = 2;
    uint8 internal constant ACCUSED = 4;
    uint8 internal constant TOMBSTONED = 8;

    address public immutable INBOX;
    address public immutable SLASHER;
    /// From the end of the last epoch that stake backed to its release. Fixed: shortening it would free stake that
    /// voted, and lengthening it would seize stake that trusted the shorter one.
    uint64 public immutable UNBONDING_SECONDS;

    StakeParameters internal settings;
    uint32 internal validatorCount;
    uint64 internal epochs;
    // Epochs that stake asked back now is answerable for, as far as offers tell.
    uint64 internal offeredUntil;
    uint64 internal abandonedAt;
    uint64 internal unbondingCount;

    mapping(ValidatorId validator => Validator) internal validators;
    mapping(bytes32 keyHash => ValidatorId) internal keyOwners;
    mapping(ValidatorId validator => mapping(address owner => uint128)) internal sharesOf;
    mapping(ValidatorId validator => UnbondingPool[]) internal pools;
    mapping(UnbondingId id => Unbonding) internal unbondings;
    mapping(address owner => uint64) internal rewards;
    mapping(uint64 epoch => EpochRecord) internal epochRecords;

    constructor(address inbox, address slasher, uint64 unbondingSeconds) {
        if (inbox == address(0) || slasher == address(0)) revert ZeroAddress();
        INBOX = inbox;
        SLASHER = slasher;
        UNBONDING_SECONDS = unbondingSeconds;
    }

    modifier onlyInbox() {
        if (msg.sender != INBOX) revert NotInbox(msg.sender);
        _;
    }

    modifier onlySlasher() {
        if (msg.sender != SLASHER) revert NotSlasher(msg.sender);
        _;
    }

    /// The record of a validator that exists.
    function known(ValidatorId validator) internal view returns (Validator storage record) {
        record = validators[validator];
        if (record.operator == address(0)) revert UnknownValidator(validator);
    }

    /// The record of a validator whose operator is the caller.
    function operated(ValidatorId validator) internal view returns (Validator storage record) {
        record = known(validator);
        if (record.operator != msg.sender) revert NotOperator(validator, msg.sender);
    }

    function has(Validator storage record, uint8 flag) internal view returns (bool) {
        return record.flags & flag != 0;
    }

    /// Whether elections may choose it.
    function isEligible(Validator storage record) internal view returns (bool) {
        return record.flags & (PROVEN | EXITED | ACCUSED | TOMBSTONED) == PROVEN && record.jailedUntil == 0
            && record.bonded >= settings.selfStakeMinGwei;
    }

    /// The value of a call, in gwei.
    function receivedGwei() internal view returns (uint64) {
        if (msg.value % 1 gwei != 0) revert NotWholeGwei(msg.value);
        // All ether there is, in gwei, has 57 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(msg.value / 1 gwei);
    }

    /// When an epoch that took effect ended; 0 while it runs.
    function endOf(uint64 epoch) internal view returns (uint64) {
        uint64 ended = epochRecords[epoch].endedAt;
        return ended == 0 ? abandonedAt : ended;
    }

    /// For which epochs stake that is asked back now is answerable: those before the result.
    function answerableUntil() internal view returns (uint64) {
        return offeredUntil > epochs ? offeredUntil : epochs;
    }

    /// The same for a pool, counting epochs that held their leavers since.
    function heldUntil(uint64 until) internal view returns (uint64) {
        while (epochRecords[until].held) ++until;
        return until;
    }

    /// When stake that is answerable for the epochs before `until` is free; 0 if that is not known yet.
    function releasedAt(uint64 until) internal view returns (uint64) {
        // Stake that no committee ever counted on was free from the start.
        if (until == 0) return 1;
        uint64 end = endOf(until - 1);
        return end == 0 ? 0 : end + UNBONDING_SECONDS;
    }

    function isReleased(uint64 until) internal view returns (bool) {
        uint64 at = releasedAt(until);
        return at != 0 && at <= block.timestamp;
    }

    /// Whether stake of a pool is in escrow. What backs an epoch is seized; what left before it is not.
    function isSeized(Validator storage record, uint64 until) internal view returns (bool) {
        return record.accusations.open > 0 && heldUntil(until) > record.accusations.fromEpoch;
    }

    /// Takes `bps` of `amount`.
    function cut(uint64 amount, uint16 bps) internal pure returns (uint64 rest, uint64 taken) {
        taken = StakePool.portion(amount, bps);
        rest = amount - taken;
    }
}
