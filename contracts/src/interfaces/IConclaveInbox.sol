// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { NamespaceTree } from "../lib/NamespaceTree.sol";
import { BlockCommitment } from "../lib/Types.sol";

/// A commitment as a relayer posts it.
struct Posting {
    BlockCommitment commitment;
    /// Who signed: bit i is member i of the epoch's committee.
    uint256 signers;
    /// The sum of their signatures: a point of G2 as EIP-2537 encodes it.
    bytes signature;
    /// Peaks of the mountain range over what is settled, the largest first.
    bytes32[] peaks;
    /// Roots of the perfect trees over the commitments between that and this one, in order: each the largest that
    /// begins where the one before ends.
    bytes32[] added;
}

/// Where a commitment stands in the settled history.
struct HistoryProof {
    BlockCommitment commitment;
    /// Height of a posted commitment at or after it, whose root is still known: see {IConclaveInbox.rootAt}.
    uint64 under;
    /// Path of entry `commitment.height - 1` among `under` entries.
    bytes32[] path;
}

/// How far settlement has come, in one slot.
struct Head {
    uint40 height;
    /// Height of the posting before.
    uint40 previousHeight;
    /// The L1 block up to which the forced queue was carried, and the number of its entries until then.
    uint40 origin;
    uint40 cursor;
    uint32 epoch;
    uint40 postedAt;
    /// Which of the two places for roots is the newest one's.
    uint8 place;
    InboxState state;
}

/// Postings whose roots are kept for long, in one slot.
struct Anchors {
    /// The newest, and when it was posted.
    uint40 height;
    uint40 postedAt;
    /// The one before.
    uint40 previousHeight;
    /// Which of the two places for roots is the newest one's.
    uint8 place;
}

enum InboxState {
    Closed,
    Open,
    Abandoned
}

/// @title Settlement: the history that a quorum has certified
/// @notice Only the newest commitment is posted; it covers all before it. Three rules hold for each: a quorum of the
/// epoch in office signed it, it extends what is settled, and it carries the forced queue whole up to its L1
/// origin. There is no other rule, so a backlog of any age settles: the end of each epoch in turn, then the newest.
interface IConclaveInbox {
    /// @notice The network has begun, with the committee of epoch 0 in office.
    event Opened(bytes32 indexed network, bytes32 indexed committeeHash, bytes32 dkgResult);
    /// @notice A commitment has settled, and every one below it.
    /// @param root Root over the commitments of heights 1 to `height`, the newest included.
    event Settled(
        uint64 indexed epoch,
        uint64 indexed height,
        bytes32 commitment,
        bytes32 root,
        uint64 origin,
        uint64 cursor,
        address relayer
    );
    /// @notice The commitment at `lastHeight` ended its epoch, and named the committee and the sharing of the next
    /// one.
    event EpochEnded(uint64 indexed epoch, uint64 lastHeight, bytes32 nextCommittee, bytes32 dkgResult);
    /// @notice Nothing settles any more; `lastHeight` is the last that did.
    event Abandoned(uint64 lastHeight);
    /// @notice Transactions of the block at `height` can be proven by {proveKeptTransaction} from now on.
    event RevealKept(uint64 indexed height, bytes32 revealRoot, uint32 rollupCount);

    /// @notice Only the launcher opens the network.
    error NotLauncher(address caller);
    /// @notice The network has not been opened yet, or is abandoned.
    error NotOpen(InboxState state);
    /// @notice The network was opened before.
    error AlreadyOpen();
    /// @notice The id of a network is never zero.
    error NoNetwork();
    /// @notice The commitment is not of the epoch in office: the ends of earlier epochs settle first, in turn.
    error WrongEpoch(uint64 expected, uint64 found);
    /// @notice This height has settled, by this commitment or by one above it.
    error HeightNotAbove(uint64 settled, uint64 found);
    /// @notice What is posted does not show that the history root extends what is settled: either another history, or
    /// roots that belong to an older posting.
    error HistoryNotExtended(uint64 settled, uint64 found);
    /// @notice The peaks are not those of the settled history, which may have grown meanwhile: build them anew.
    error BadPeaks(uint64 height);
    /// @notice The L1 origin is older than the settled one.
    error OriginBehind(uint64 settled, uint64 found);
    /// @notice The L1 origin is not in the past, or L1 remembers another hash for it: the chain has seen another L1.
    error OriginUnknown(uint64 number, bytes32 found);
    /// @notice The forced queue is not carried whole up to the origin, where it has `expected` entries.
    error CursorMismatch(uint64 expected, uint64 found);
    /// @notice The queue has entries up to the origin of the genesis; open with a newer genesis.
    error QueueNotEmpty(uint64 origin, uint64 entries);
    /// @notice An end of an epoch names both the next committee and its sharing, any other commitment neither.
    error EpochEndIncomplete(bytes32 nextCommittee, bytes32 dkgResult);
    /// @notice The path does not lead from this commitment to the root posted at height `under`: another commitment,
    /// or the path of another posting.
    error NotSettled(uint64 height, uint64 under);
    /// @notice The root of this height is not kept: prove under the newest posting or the newest anchor ({head},
    /// {anchor}).
    error NotPosted(uint64 height);
    /// @notice The network has not been silent for long enough.
    error TooEarlyToAbandon(uint64 allowedAt);
    /// @notice Nobody has called {keepReveal} for this height, which anybody may.
    error RevealNotKept(uint64 height);

    /// @notice Starts the network, once: names it, and puts a committee on offer into office for epoch 0.
    /// For the launcher alone, who can do nothing else.
    /// @param origin The L1 block that the genesis begins at, up to which the queue is empty. What settles first has
    /// an origin that is no older, and may well be older than this call.
    function open(bytes32 network, bytes32 committeeHash, bytes32 dkgResult, uint64 origin) external;

    /// @notice Settles a commitment, whoever posts it.
    function commit(Posting calldata posting) external;

    /// @notice Declares the network dead if nothing has settled for {ABANDON_SECONDS}, or if it has not been opened
    /// for as long: nothing settles any more, and stake is released as if the epoch in office had ended now. Until
    /// somebody does, nothing is too late.
    function abandon() external;

    /// @notice Reverts unless the commitment is settled; returns its digest.
    function proveCommitment(HistoryProof calldata proof) external view returns (bytes32 digest);

    /// @notice Reverts unless the transaction with this hash is item `item` of its rollup's batch in the block.
    function proveTransaction(
        HistoryProof calldata proof,
        NamespaceTree.Inclusion calldata batch,
        uint32 item,
        bytes32 transactionHash,
        bytes32[] calldata siblings
    ) external view;

    /// @notice Keeps the reveal root of a settled block for good, in one slot, so that proofs of its transactions need
    /// neither the commitment nor its path any more, and stand under no posting that others could outrun. For anybody,
    /// and any number of times: a settled height has one commitment for ever.
    function keepReveal(HistoryProof calldata proof) external;

    /// @notice Reverts unless the transaction is in the block, whose reveal root was kept. It says what
    /// {proveTransaction} says, in a third of the bytes.
    function proveKeptTransaction(NamespaceTree.LeanInclusion calldata proof) external view;

    /// @notice Reverts unless a run of transactions is in its rollup's batch in the block, in order and without a
    /// gap.
    function proveTransactions(
        HistoryProof calldata proof,
        NamespaceTree.Inclusion calldata batch,
        NamespaceTree.TransactionRange calldata range
    ) external view;

    /// @notice Reverts unless all legs of a bundle are in the block. It proves that they were ordered together, not
    /// that they were executed.
    function proveAtomic(
        HistoryProof calldata proof,
        bytes32 bundle,
        NamespaceTree.Leg[] calldata legs,
        NamespaceTree.LegProof[] calldata legProofs
    ) external view;

    /// @notice Reverts unless the rollup has no batch in the block.
    function proveAbsence(HistoryProof calldata proof, uint64 rollup, NamespaceTree.Absence calldata absence)
        external
        view;

    /// @notice How far settlement has come.
    function head() external view returns (Head memory);

    /// @notice The newest posting that is kept for long. Anybody may post as often as there are blocks, so a proof
    /// under the newest posting can be outrun; one under this stands for {ANCHOR_SECONDS} from now at least, whatever
    /// is posted.
    function anchor() external view returns (Anchors memory);

    /// @notice Root over the commitments of heights 1 to `height`, if the one at `height` is the last that was
    /// posted, or the one before, or an anchor or the one before.
    function rootAt(uint64 height) external view returns (bytes32);
}
