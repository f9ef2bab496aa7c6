// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Committee, G1Point, ValidatorId } from "../lib/Types.sol";

/// Names one request to unbond.
type UnbondingId is uint64;

/// The public keys of a validator.
struct Keys {
    /// Signs proposals, votes and share messages (ed25519, compressed).
    bytes32 consensusKey;
    /// Signs commitments (BLS12-381 G1).
    G1Point settlementKey;
    /// The identity of its host (ed25519). An announcement: not proved, not unique, not in the committee.
    bytes32 networkKey;
}

/// What the timelock may change. All other rules of stake are constants or fixed at deployment.
struct StakeParameters {
    /// What an operator must have at stake itself, and the least stake with which a validator is elected.
    uint64 selfStakeMinGwei;
    /// The least that can be delegated at once.
    uint64 delegationMinGwei;
    /// How long a jailed validator waits before it can ask to be let out.
    uint32 jailSeconds;
}

/// What an election asks about a validator.
struct Standing {
    /// What it would serve with.
    uint64 stakeGwei;
    /// Whether it may be chosen.
    bool eligible;
    /// Whether a member must go at once: accused, tombstoned or jailed.
    bool forcedOut;
}

/// @title Stake of validators and of those who delegate to them
/// @notice Holds ether, counted in gwei. Stake leaves in three ways only: to its owner after unbonding, to
/// nobody (burned) and to a reporter when the slasher resolves an offence. There is no fourth, for nobody.
///
/// An account's share of a validator's stake is a number of shares; rewards and penalties change what a share
/// is worth. Stake asked back leaves the bonded pool at once, and stays answerable in an unbonding pool until
/// the last epoch that it backed has ended on L1 and the unbonding time has passed.
///
/// An election ({IConclaveElection}) only *offers* a committee. It takes effect when the inbox accepts the
/// commitment by which the committee before it ended its epoch.
interface IConclaveStake {
    /// @notice A validator exists; it has its own stake and keys, and is not elected before it is enlisted.
    event Registered(ValidatorId indexed validator, address indexed operator, uint16 commissionBps);
    /// @notice The validator has these keys from now on; the consensus key is still to be proven.
    /// @dev The contract stores the hash alone: who runs an election reads the keys from here.
    event KeysSet(ValidatorId indexed validator, Keys keys);
    /// @notice The holder of the consensus key has agreed to serve as this validator.
    event ConsensusKeyProven(ValidatorId indexed validator, bytes32 consensusKey);
    /// @notice This part of rewards goes to the operator from now on.
    event CommissionSet(ValidatorId indexed validator, uint16 commissionBps);
    /// @notice Stake was added, for this many shares in the stake of the validator.
    event Bonded(ValidatorId indexed validator, address indexed owner, uint64 amountGwei, uint128 shares);
    /// @notice Stake was asked back; it answers for offences up to `untilEpoch`.
    event UnbondingRequested(
        UnbondingId indexed id,
        ValidatorId indexed validator,
        address indexed owner,
        uint64 amountGwei,
        uint64 untilEpoch
    );
    /// @notice Stake that was asked back was paid, less what was slashed.
    event Claimed(UnbondingId indexed id, address indexed owner, uint64 amountGwei);
    /// @notice Fees were added to the stake of a validator, the commission to its operator.
    event Rewarded(ValidatorId indexed validator, uint64 amountGwei, uint64 commissionGwei);
    /// @notice Rewards for reports were paid to their owner.
    event RewardsClaimed(address indexed owner, uint64 amountGwei);
    /// @notice The operator has asked back all own stake; the validator is not elected any more.
    event Exited(ValidatorId indexed validator);
    /// @notice The validator is not elected before `until`, and then only once its operator has called {unjail}.
    event Jailed(ValidatorId indexed validator, uint64 until);
    /// @notice The validator can be elected again.
    event Unjailed(ValidatorId indexed validator);
    /// @notice The committee is in office for this epoch.
    event CommitteeTookEffect(uint64 indexed epoch, bytes32 indexed committeeHash, Committee committee);
    /// @notice The network is dead, and all stake becomes free when the time of unbonding has passed.
    event Abandoned(uint64 at);
    /// @notice What backed the epoch was moved to escrow until the verdict.
    event Seized(
        bytes32 indexed offence, ValidatorId indexed validator, uint64 indexed epoch, uint64 amountGwei
    );
    /// @notice What was seized went back.
    event Acquitted(bytes32 indexed offence, ValidatorId indexed validator);
    /// @notice The verdict: so much was burned, and so much goes to the reporter; the rest of the seizure went back.
    event Resolved(
        bytes32 indexed offence,
        ValidatorId indexed validator,
        address indexed reporter,
        uint64 burnedGwei,
        uint64 rewardGwei
    );
    /// @notice These parameters hold from now on.
    event ParametersSet(StakeParameters parameters);

    /// @notice Only the inbox may call this.
    error NotInbox(address caller);
    /// @notice Only the election contract may call this.
    error NotElection(address caller);
    /// @notice Only the slasher may call this.
    error NotSlasher(address caller);
    /// @notice Only the operator of the validator may call this.
    error NotOperator(ValidatorId validator, address caller);
    /// @notice No validator has this number.
    error UnknownValidator(ValidatorId validator);
    /// @notice A parameter lies outside of its fixed bounds.
    error ParameterOutOfRange(bytes32 name, uint256 found);
    /// @notice Stake is counted in gwei: send a whole number of them.
    error NotWholeGwei(uint256 valueWei);
    /// @notice The amount is below the least that is taken, or would buy no share.
    error StakeTooSmall(uint64 expected, uint64 found);
    /// @notice The operator would keep less than the least own stake: leave it, or {exit} with all of it.
    error SelfStakeTooSmall(uint64 expected, uint64 found);
    /// @notice The commission exceeds everything, or rises by more than one step.
    error CommissionTooHigh(uint16 max, uint16 found);
    /// @notice The commission rose less than an interval ago.
    error CommissionRaisedTooEarly(uint64 allowedAt);
    /// @notice Another validator holds or has held this key: make a new one.
    error KeyInUse(ValidatorId validator);
    /// @notice These are not the keys that the validator has registered.
    error KeysUnknown(ValidatorId validator);
    /// @notice Keys rotate once an epoch: wait for the next.
    error RotatedAlready(ValidatorId validator);
    /// @notice The consensus key has not been proven: see {proveConsensusKey}.
    error ConsensusKeyNotProven(ValidatorId validator);
    /// @notice The operator has left: nothing is added to this validator, and it does not leave again.
    error HasExited(ValidatorId validator);
    /// @notice An accusation is open, and the stake rests until the verdict.
    error StakeSeized(ValidatorId validator);
    /// @notice The jail lasts until then.
    error IsJailed(ValidatorId validator, uint64 until);
    /// @notice The validator is not in jail.
    error NotJailed(ValidatorId validator);
    /// @notice The validator has equivocated and never serves again: register another one.
    error IsTombstoned(ValidatorId validator);
    /// @notice All stake of the validator was slashed, so a share in it has no price.
    error NothingBonded(ValidatorId validator);
    /// @notice The owner has fewer shares than that.
    error SharesTooFew(uint128 expected, uint128 found);
    /// @notice The shares are worth less than a gwei.
    error NothingToUnbond();
    /// @notice There is no such request, or it was paid.
    error UnknownUnbonding(UnbondingId id);
    /// @notice The stake still answers for an epoch; `releasedAt` says until when, if that is known.
    error NotReleased(UnbondingId id, uint64 releasedAt);
    /// @notice The owner has no rewards here.
    error NothingToClaim(address owner);
    /// @notice This epoch has not begun.
    error NoSuchEpoch(uint64 epoch);
    /// @notice The stake that backed this epoch is free already.
    error EpochOutsideWindow(uint64 epoch, uint64 closedAt);
    /// @notice Stake was seized for this offence before.
    error OffenceKnown(bytes32 offence);
    /// @notice No seizure is open for this offence.
    error OffenceNotOpen(bytes32 offence);
    /// @notice The seizure lapses only at that time, unless there is a verdict before.
    error OffenceNotLapsed(bytes32 offence, uint64 lapsesAt);
    /// @notice A penalty is at most everything that was seized.
    error PenaltyTooHigh(uint16 max, uint16 found);
    /// @notice A reward is at most this part of a penalty.
    error RewardTooHigh(uint16 max, uint16 found);
    /// @notice The network was abandoned: no committee takes office any more.
    error IsAbandoned();

    /// @notice Registers a validator with `msg.value` as its operator's own stake; the sender is the operator.
    /// @dev It cannot be elected before {proveConsensusKey} and {IConclaveElection-enlist}. The consensus key is reserved for
    /// nobody until then, so registering somebody else's takes nothing from them.
    /// @param possession Signature of the settlement key over chain id, this contract, the sender and the key.
    function register(Keys calldata keys, bytes calldata possession, uint16 commissionBps)
        external
        payable
        returns (ValidatorId validator);

    /// @notice Shows that the operator holds the consensus key it registered with: ed25519 signature (r, s) over
    /// chain id, this contract, the operator and the key.
    function proveConsensusKey(ValidatorId validator, Keys calldata keys, bytes32 r, bytes32 s) external;

    /// @notice Replaces the keys from the next election on. What earlier keys signed stays answerable: the tables
    /// of earlier committees stay, and no key is ever free again. Once an epoch, and once before the first.
    /// @dev Who runs an election gives the keys of everyone it chooses, and it fails if one of them has changed since:
    /// an operator that could rotate in every block could keep all elections from being held. Whoever loses the new
    /// keys waits for the next epoch. The wait costs little: of the committee in office keys never change, and whoever
    /// cannot serve in the next may be left out of it ({IConclaveElection-offerWithout}); whose new keys are stolen
    /// can still {exit}.
    function rotateKeys(
        ValidatorId validator,
        Keys calldata keys,
        bytes calldata possession,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Adds to the operator's own stake.
    function deposit(ValidatorId validator) external payable;

    /// @notice Adds stake of the sender to a validator. It shares in its rewards and its penalties, also in those
    /// for what the validator did before and nobody has reported yet.
    function delegate(ValidatorId validator) external payable;

    /// @notice Adds a reward: the commission to what the operator can claim, the rest to every share alike, or to
    /// the operator if there are none. Refused while the validator is accused.
    function reward(ValidatorId validator) external payable;

    /// @notice Asks `shares` of the sender's stake back.
    /// @return id What to {claim} once the last epoch it backs has ended and the unbonding time has passed.
    function requestUnbond(ValidatorId validator, uint128 shares) external returns (UnbondingId id);

    /// @notice Pays out a request to its owner, whoever asks.
    function claim(UnbondingId id) external returns (uint64 amountGwei);

    /// @notice Pays out the sender's commission and rewards for reports.
    function claimRewards() external returns (uint64 amountGwei);

    /// @notice Ends a validator for good and asks all of the operator's own stake back. It serves on, and is
    /// answerable, until a committee without it takes effect.
    function exit(ValidatorId validator) external returns (UnbondingId id);

    /// @notice Lets a validator out of jail after its time.
    function unjail(ValidatorId validator) external;

    /// @notice Changes the commission: down at will, up by one step an interval at most.
    function setCommission(ValidatorId validator, uint16 commissionBps) external;

    /// @notice Says that a committee was offered for the next epoch, so that stake asked back from now on is
    /// answerable for it. For the election alone.
    function noteOffer() external returns (uint64 epoch);

    /// @notice Ends the running epoch and puts an offered committee into office. For the inbox alone.
    function advanceEpoch(bytes32 committeeHash) external returns (Committee memory);

    /// @notice Declares that no epoch will end any more, so that unbonding goes on. For the inbox alone.
    function abandon() external;

    /// @notice Changes the parameters, within fixed bounds. For the timelock alone.
    function setParameters(StakeParameters calldata parameters) external;

    /// @notice Number of epochs whose committees have taken effect; the running one is the last.
    function epochCount() external view returns (uint64);

    /// @notice What an election asks about each of these.
    function standingsOf(ValidatorId[] calldata ids) external view returns (Standing[] memory standings);

    /// @notice The hash over the keys that an election gives a validator.
    function keysHashOf(ValidatorId validator) external view returns (bytes32);

    /// @notice What a validator is and has.
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
        );

    /// @notice The shares of an account, and what they are worth.
    function stakeOf(ValidatorId validator, address owner)
        external
        view
        returns (uint128 shares, uint64 amountGwei);

    /// @notice A request to unbond: what it is worth, and when it can be claimed (0: not known yet).
    function unbondingOf(UnbondingId id)
        external
        view
        returns (address owner, ValidatorId validator, uint64 amountGwei, uint64 releasedAt);

    /// @notice What an account can claim of commission and rewards for reports.
    function rewardsOf(address owner) external view returns (uint64 amountGwei);

    /// @notice What a validator has at stake for `epoch`: everything bonded, and what unbonds but backed it.
    function backingOf(ValidatorId validator, uint64 epoch) external view returns (uint64 amountGwei);

    /// @notice A validator's stake by state, in gwei.
    function totalsOf(ValidatorId validator)
        external
        view
        returns (uint64 bonded, uint64 unbonding, uint64 escrow);
}
