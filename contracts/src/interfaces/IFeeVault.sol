// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { ValidatorId } from "../lib/Types.sol";
import { HistoryProof } from "./IConclaveInbox.sol";

/// What the timelock may change.
struct VaultParameters {
    /// The least deposit.
    uint64 depositMinGwei;
    /// A refund counts this much gas ...
    uint32 refundGas;
    /// ... at the block's base fee, but at most at this price ...
    uint64 refundPriceMaxWei;
    /// ... and once for this many heights.
    uint24 refundIntervalHeights;
}

/// One payment out of the fee ledger of Conclave. A block's commitment holds a Merkle root over its withdrawals,
/// leaf = keccak(0x00 ‖ "conclave/withdrawal/v1" ‖ index u64 ‖ recipient ‖ validator u32 ‖ gwei u64).
struct Withdrawal {
    /// Its number among all withdrawals ever.
    uint64 index;
    /// Who is paid. Zero if `validator` is not; if both are zero it is the pot that refunds relayers.
    address recipient;
    /// Whose stake is rewarded instead, or 0.
    ValidatorId validator;
    uint64 amountGwei;
}

/// @title The ether behind the balances in Conclave's fee ledger
/// @notice Deposits come in here and are credited on Conclave through the forced queue. What the ledger pays out is
/// claimed here by proof, once. Apart from the deposits stands a pot that refunds relayers.
interface IFeeVault {
    /// @notice A deposit is entry `entry` of the queue; Conclave credits the payer when a block carries it.
    event Deposited(address indexed payer, uint64 amountGwei, uint64 indexed entry);
    /// @notice A withdrawal was paid: to the recipient, the stake of the validator, or the pot.
    event Withdrawn(
        uint64 indexed index, address indexed recipient, ValidatorId validator, uint64 amountGwei
    );
    /// @notice The pot that refunds relayers has so much more.
    event Funded(address indexed from, uint256 amountWei);
    /// @notice A relayer was paid its refunds.
    event RefundClaimed(address indexed relayer, uint256 amountWei);
    /// @notice These parameters hold from now on.
    event ParametersSet(VaultParameters parameters);

    /// @notice Only the inbox may call this.
    error NotInbox(address caller);
    /// @notice A parameter lies outside of its fixed bounds.
    error ParameterOutOfRange(bytes32 name, uint256 found);
    /// @notice Deposits are counted in gwei: send a whole number of them.
    error NotWholeGwei(uint256 valueWei);
    /// @notice The deposit is below the least that is taken.
    error DepositTooSmall(uint64 expected, uint64 found);
    /// @notice The zero address pays for nothing.
    error NoPayer();
    /// @notice The withdrawal is not under the withdrawals root of this commitment, at this place.
    error NotInRoot(uint64 index);
    /// @notice The withdrawal was paid before, whichever block showed it.
    error AlreadyWithdrawn(uint64 index);
    /// @notice A withdrawal to stake names no recipient.
    error BadRecipient(address recipient, ValidatorId validator);
    /// @notice More would be paid than was deposited: the commitment is false, and nothing of others is paid for it.
    error MoreThanDeposited(uint64 depositedGwei, uint64 amountGwei);
    /// @notice The relayer has no refunds to claim.
    error NothingToClaim(address relayer);

    /// @notice Deposits `msg.value` for the fee balance of `payer`.
    /// @return entry Its place in the forced queue.
    function deposit(address payer) external payable returns (uint64 entry);

    /// @notice Pays a withdrawal, whoever asks.
    /// @param place Its place among the leaves of the block's withdrawals.
    function withdraw(
        Withdrawal calldata withdrawal,
        HistoryProof calldata proof,
        uint256 place,
        bytes32[] calldata siblings
    ) external;

    /// @notice Adds to the pot for relayers.
    function fund() external payable;

    /// @notice Credits a relayer for settling `height`. For the inbox alone.
    function refund(address relayer, uint64 height) external;

    /// @notice Pays out the sender's refunds.
    function claimRefunds() external returns (uint256 amountWei);

    /// @notice Changes the parameters, within fixed bounds. For the timelock alone.
    function setParameters(VaultParameters calldata parameters) external;

    /// @notice Ether that backs the ledger, and ether in the pot. What is credited to relayers is neither.
    function balances() external view returns (uint64 depositedGwei, uint256 potWei);

    /// @notice Whether a withdrawal was paid.
    function isWithdrawn(uint64 index) external view returns (bool);

    /// @notice What a relayer can claim.
    function refundsOf(address relayer) external view returns (uint256 amountWei);
}
