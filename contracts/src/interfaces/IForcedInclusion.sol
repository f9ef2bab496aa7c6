// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { RollupId } from "./IRollupRegistry.sol";

/// What the timelock may change, within bounds that keep the queue open and escape possible.
struct ForcedParameters {
    /// Transactions and requests to withdraw, and deposits, that one L1 block may add; together they fit into a
    /// block's reserve.
    uint8 entriesMax;
    uint8 depositsMax;
    /// Bytes and gas of the transactions that one L1 block may add.
    uint32 bytesMax;
    uint32 gasMax;
    uint32 entryBytesMax;
    /// The least price of a unit of gas, in wei.
    uint64 priceMinWei;
    /// How far, in L1 blocks, the settled origin may fall behind.
    uint32 escapeDelayBlocks;
}

/// One time that rollups left.
struct Escape {
    /// The first L1 block at which the settled origin was too far behind.
    uint64 latchedAt;
    /// What was settled then: the last height, and the entries of the queue that it carries.
    uint64 height;
    uint64 cursor;
    /// The L1 block of the return; 0 while rollups are away.
    uint64 resumedAt;
    /// Entries of the queue before this one belong to the time away.
    uint64 resumePoint;
}

/// @title Transactions that must be carried, and the way out if they are not
/// @notice An entry takes its place when its L1 block is there. Every block of Conclave whose L1 origin covers that
/// block carries it, in order; the inbox settles nothing else. If the settled origin falls too far behind, escape
/// is active: rollups derive their chains from this queue until an announced return.
///
/// Entries are kept as one running hash and their number by L1 block; their content is in the events.
interface IForcedInclusion {
    /// @notice A transaction has a place in the queue, and every block whose origin covers this L1 block carries it.
    /// @param entryHash keccak("conclave/forced/v1" ‖ index u64 ‖ L1 block u64 ‖ rollup u64 ‖ gas u64 ‖
    /// keccak(transaction))
    event TransactionForced(
        uint64 indexed index,
        RollupId indexed rollup,
        address indexed sender,
        uint64 gasLimit,
        bytes transaction,
        bytes32 entryHash
    );
    /// @notice A deposit has a place in the queue, and is credited by the block that carries it.
    /// @param entryHash keccak("conclave/deposit/v1" ‖ index u64 ‖ L1 block u64 ‖ payer ‖ gwei u64)
    event DepositQueued(uint64 indexed index, address indexed payer, uint64 amountGwei, bytes32 entryHash);
    /// @notice A request to withdraw has a place in the queue; the block that carries it takes the amount, or what there is.
    /// @param entryHash keccak("conclave/withdraw/v1" ‖ index u64 ‖ L1 block u64 ‖ payer ‖ recipient ‖ gwei u64)
    event WithdrawalRequested(
        uint64 indexed index,
        address indexed payer,
        address indexed recipient,
        uint64 amountGwei,
        bytes32 entryHash
    );
    /// @notice Escape is active: rollups go on from this settled height and cursor by the queue alone.
    event EscapeLatched(uint256 indexed escape, uint64 latchedAt, uint64 height, uint64 cursor);
    /// @notice The escape has ended: entries below the resume point belong to the time away.
    event Returned(uint256 indexed escape, uint64 resumedAt, uint64 resumePoint, uint64 settledHeight);
    /// @notice These parameters hold from now on.
    event ParametersSet(ForcedParameters parameters);

    /// @notice Only the inbox may call this.
    error NotInbox(address caller);
    /// @notice Only the fee vault may call this.
    error NotVault(address caller);
    /// @notice A parameter lies outside of its fixed bounds.
    error ParameterOutOfRange(bytes32 name, uint256 found);
    /// @notice A forced transaction has bytes.
    error EmptyTransaction();
    /// @notice The transaction is longer than an entry may be.
    error EntryTooLarge(uint256 max, uint256 found);
    /// @notice The gas is below what a transaction of this length uses at least.
    error GasTooLow(uint64 floor, uint64 found);
    /// @notice The request is to withdraw nothing.
    error NothingRequested();
    /// @notice The zero address receives nothing.
    error NoRecipient();
    /// @notice The price of a place is higher by now: send `expected` wei or more.
    error FeeTooLow(uint256 expected, uint256 found);
    /// @notice This L1 block has no place, bytes or gas left for entries of this kind: the next one has.
    error BlockIsFull(uint64 number);
    /// @notice Settlement is not behind by the escape delay, or escape is active already.
    error EscapeNotDue();
    /// @notice There is no escape to return from.
    error EscapeNotActive();
    /// @notice The settled origin is more than half the escape delay behind: settle something newer first.
    error StillBehind(uint64 origin, uint64 number);

    /// @notice Forces a transaction into a rollup. What `msg.value` exceeds the fee by comes back.
    /// @param gasLimit Gas that the rollup may spend on it; what the fee is for, too.
    function enqueue(RollupId rollup, uint64 gasLimit, bytes calldata transaction)
        external
        payable
        returns (uint64 index);

    /// @notice Asks for up to `amountGwei` of the sender's fee balance back, to be claimed from the vault by
    /// `recipient`. If there is less when it is carried, it is for all there is. Costs what a transaction of 21,000
    /// gas does; what `msg.value` exceeds that by comes back.
    function requestWithdrawal(uint64 amountGwei, address recipient) external payable returns (uint64 index);

    /// @notice Queues the credit of a deposit. For the vault alone, which holds it.
    function enqueueDeposit(address payer, uint64 amountGwei) external returns (uint64 index);

    /// @notice Latches escape if it was due before the commitment that the inbox is settling, and returns how many
    /// entries that commitment must carry. For the inbox alone.
    function beforeSettling(uint64 settledOrigin, uint64 origin) external returns (uint64 cursor);

    /// @notice Records that escape is active, for all to see; it is so without that.
    function latch() external;

    /// @notice Announces the return, when the settled origin has caught up to within half the escape delay.
    function resume() external;

    /// @notice Changes the parameters, within fixed bounds. For the timelock alone.
    function setParameters(ForcedParameters calldata parameters) external;

    /// @notice Whether rollups derive from the queue now.
    function escapeActive() external view returns (bool);

    /// @notice Number of times that escape was latched.
    function escapeCount() external view returns (uint256);

    /// @notice One of them.
    function escapeAt(uint256 index) external view returns (Escape memory);

    /// @notice Number of entries that were queued up to the end of an L1 block.
    function entriesUpTo(uint64 number) external view returns (uint64);

    /// @notice Number of entries so far, and the running hash over them:
    /// hash(n + 1) = keccak(hash(n) ‖ entry hash).
    function queue() external view returns (uint64 count, bytes32 runningHash);

    /// @notice The price of a unit of gas in this block, in wei.
    function price() external view returns (uint64);

    /// @notice What the timelock has set.
    function forcedParameters() external view returns (ForcedParameters memory);
}
