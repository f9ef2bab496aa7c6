// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Blockhash } from "@openzeppelin/contracts/utils/Blockhash.sol";
import { SafeCastLib } from "solady/utils/SafeCastLib.sol";

import { Peaks } from "./history/Peaks.sol";
import {
    Anchors,
    Head,
    HistoryProof,
    IConclaveInbox,
    InboxState,
    Posting
} from "./interfaces/IConclaveInbox.sol";
import { IConclaveStake } from "./interfaces/IConclaveStake.sol";
import { IFeeVault } from "./interfaces/IFeeVault.sol";
import { IForcedInclusion } from "./interfaces/IForcedInclusion.sol";
import { ISettled, ISettledNetwork } from "./interfaces/ISlashable.sol";
import { Mmr } from "./lib/Mmr.sol";
import { NamespaceTree } from "./lib/NamespaceTree.sol";
import { QuorumCertificate } from "./lib/QuorumCertificate.sol";
import { SignBytes } from "./lib/SignBytes.sol";
import { BlockCommitment, Committee, SigningDomain } from "./lib/Types.sol";

/// The settled history, as one root: over every commitment from height 1 to the newest one. It has no owner, no
/// parameter and no pause.
contract ConclaveInbox is IConclaveInbox, ISettledNetwork {
    /// Nobody can tell a network that is silent from one that is dead. Stake waits for half a year.
    uint64 public constant ABANDON_SECONDS = 180 days;

    /// Least time between two anchors: how long a proof under one has to reach a block.
    uint64 public constant ANCHOR_SECONDS = 1 hours;

    address public immutable LAUNCHER;
    IConclaveStake public immutable STAKE;
    IForcedInclusion public immutable FORCED;
    IFeeVault public immutable VAULT;

    Head private newest;
    Committee private committee;
    // Of the newest posting and the one before: a proof must outlive the next posting.
    bytes32[2] private roots;
    // And that of whoever must not be outrun, any number of postings.
    Anchors private anchors;
    bytes32[2] private anchorRoots;
    /// @inheritdoc ISettledNetwork
    bytes32 public network;
    mapping(uint64 epoch => bytes32) private dkgResults;
    /// {NamespaceTree-revealOf} of blocks that somebody wanted kept.
    mapping(uint64 height => bytes32) private reveals;

    constructor(address launcher, IConclaveStake stake, IForcedInclusion forced, IFeeVault vault) {
        LAUNCHER = launcher;
        STAKE = stake;
        FORCED = forced;
        VAULT = vault;
        // A launcher who never comes is a silent network too, and stake that was on offer waits for it.
        newest.postedAt = uint40(block.timestamp);
    }

    /// @inheritdoc IConclaveInbox
    function open(bytes32 id, bytes32 committeeHash, bytes32 dkgResult, uint64 origin) external {
        if (msg.sender != LAUNCHER) revert NotLauncher(msg.sender);
        if (newest.state != InboxState.Closed) revert AlreadyOpen();
        if (id == 0) revert NoNetwork();
        // This block may still get entries.
        if (origin >= block.number) revert OriginUnknown(origin, 0);
        uint64 entries = FORCED.entriesUpTo(origin);
        if (entries != 0) revert QueueNotEmpty(origin, entries);
        network = id;
        newest.state = InboxState.Open;
        newest.origin = SafeCastLib.toUint40(origin);
        newest.postedAt = uint40(block.timestamp);
        dkgResults[0] = dkgResult;
        emit Opened(id, committeeHash, dkgResult);
        committee = STAKE.advanceEpoch(committeeHash);
    }

    /// @inheritdoc IConclaveInbox
    function commit(Posting calldata posting) external {
        BlockCommitment calldata c = posting.commitment;
        Head memory settled = newest;
        requireNext(settled, c);
        uint64 cursor = FORCED.beforeSettling(settled.origin, c.originNumber);
        if (c.forcedCursor != cursor) revert CursorMismatch(cursor, c.forcedCursor);
        bytes32 digest = SignBytes.commitment(domain(), c);
        QuorumCertificate.requireQuorum(committee, digest, posting.signers, posting.signature);
        bytes32 root = extend(settled, posting, digest);

        emit Settled(c.epoch, c.height, digest, root, c.originNumber, cursor, msg.sender);
        settled.place ^= 1;
        roots[settled.place] = root;
        keepAnchor(c.height, root);
        settled.previousHeight = settled.height;
        settled.height = SafeCastLib.toUint40(c.height);
        settled.origin = SafeCastLib.toUint40(c.originNumber);
        settled.cursor = SafeCastLib.toUint40(cursor);
        settled.postedAt = uint40(block.timestamp);
        if (c.nextCommittee != 0) {
            ++settled.epoch;
            newest = settled;
            endEpoch(c);
        } else {
            newest = settled;
        }
        VAULT.refund(msg.sender, c.height);
    }

    /// @inheritdoc IConclaveInbox
    function abandon() external {
        Head memory settled = newest;
        if (settled.state == InboxState.Abandoned) revert NotOpen(settled.state);
        uint64 allowedAt = settled.postedAt + ABANDON_SECONDS;
        if (block.timestamp < allowedAt) revert TooEarlyToAbandon(allowedAt);
        newest.state = InboxState.Abandoned;
        emit Abandoned(settled.height);
        STAKE.abandon();
    }

    /// @inheritdoc IConclaveInbox
    function proveCommitment(HistoryProof calldata proof) external view returns (bytes32) {
        return settledDigest(proof.commitment, proof.under, proof.path);
    }

    /// @inheritdoc IConclaveInbox
    function proveTransaction(
        HistoryProof calldata proof,
        NamespaceTree.Inclusion calldata batch,
        uint32 item,
        bytes32 transactionHash,
        bytes32[] calldata siblings
    ) external view {
        settledDigest(proof.commitment, proof.under, proof.path);
        NamespaceTree.requireIncluded(proof.commitment.revealRoot, proof.commitment.rollupCount, batch);
        NamespaceTree.requireTransaction(batch.leaf, item, transactionHash, siblings);
    }

    /// @inheritdoc IConclaveInbox
    function keepReveal(HistoryProof calldata proof) external {
        BlockCommitment calldata c = proof.commitment;
        settledDigest(c, proof.under, proof.path);
        reveals[c.height] = NamespaceTree.revealOf(c.revealRoot, c.rollupCount);
        emit RevealKept(c.height, c.revealRoot, c.rollupCount);
    }

    /// @inheritdoc IConclaveInbox
    function proveKeptTransaction(NamespaceTree.LeanInclusion calldata proof) external view {
        uint64 height = NamespaceTree.heightOf(proof);
        bytes32 reveal = reveals[height];
        if (reveal == 0) revert RevealNotKept(height);
        NamespaceTree.requireLean(reveal, proof);
    }

    /// @inheritdoc IConclaveInbox
    function proveTransactions(
        HistoryProof calldata proof,
        NamespaceTree.Inclusion calldata batch,
        NamespaceTree.TransactionRange calldata range
    ) external view {
        settledDigest(proof.commitment, proof.under, proof.path);
        NamespaceTree.requireIncluded(proof.commitment.revealRoot, proof.commitment.rollupCount, batch);
        NamespaceTree.requireTransactions(batch.leaf, range);
    }

    /// @inheritdoc IConclaveInbox
    function proveAtomic(
        HistoryProof calldata proof,
        bytes32 bundle,
        NamespaceTree.Leg[] calldata legs,
        NamespaceTree.LegProof[] calldata legProofs
    ) external view {
        settledDigest(proof.commitment, proof.under, proof.path);
        NamespaceTree.requireAtomic(
            proof.commitment.revealRoot, proof.commitment.rollupCount, bundle, legs, legProofs
        );
    }

    /// @inheritdoc IConclaveInbox
    function proveAbsence(HistoryProof calldata proof, uint64 rollup, NamespaceTree.Absence calldata absence)
        external
        view
    {
        settledDigest(proof.commitment, proof.under, proof.path);
        NamespaceTree.requireAbsent(
            proof.commitment.revealRoot, proof.commitment.rollupCount, rollup, absence
        );
    }

    /// @inheritdoc ISettled
    function requireSettled(BlockCommitment calldata commitment, uint64 under, bytes32[] calldata path)
        external
        view
    {
        settledDigest(commitment, under, path);
    }

    /// @inheritdoc ISettled
    function dkgResultOf(uint64 epoch) external view returns (bytes32) {
        return dkgResults[epoch];
    }

    /// @inheritdoc IConclaveInbox
    function head() external view returns (Head memory) {
        return newest;
    }

    /// @inheritdoc IConclaveInbox
    function anchor() external view returns (Anchors memory) {
        return anchors;
    }

    /// @inheritdoc IConclaveInbox
    function rootAt(uint64 height) public view returns (bytes32) {
        if (height == 0) revert NotPosted(height);
        Head memory settled = newest;
        if (height == settled.height) return roots[settled.place];
        if (height == settled.previousHeight) return roots[settled.place ^ 1];
        Anchors memory kept = anchors;
        if (height == kept.height) return anchorRoots[kept.place];
        if (height == kept.previousHeight) return anchorRoots[kept.place ^ 1];
        revert NotPosted(height);
    }

    /// What can be said against a commitment without its signatures.
    function requireNext(Head memory settled, BlockCommitment calldata c) private view {
        if (settled.state != InboxState.Open) revert NotOpen(settled.state);
        if (c.epoch != settled.epoch) revert WrongEpoch(settled.epoch, c.epoch);
        if (c.height <= settled.height) revert HeightNotAbove(settled.height, c.height);
        if (c.originNumber < settled.origin) revert OriginBehind(settled.origin, c.originNumber);
        if (c.originNumber >= block.number) revert OriginUnknown(c.originNumber, c.originHash);
        // L1 remembers the hashes of 8,191 blocks. An older origin stands on its number alone, which is what the
        // queue is counted by; refusing it would make an outage of a day final.
        bytes32 known = Blockhash.blockHash(c.originNumber);
        if (known != 0 && known != c.originHash) revert OriginUnknown(c.originNumber, c.originHash);
        if ((c.nextCommittee == 0) != (c.dkgResult == 0)) {
            revert EpochEndIncomplete(c.nextCommittee, c.dkgResult);
        }
    }

    /// Makes a posting an anchor if the newest one has been it for long enough. It gives way to the second after it.
    function keepAnchor(uint64 height, bytes32 root) private {
        Anchors memory kept = anchors;
        if (block.timestamp < kept.postedAt + ANCHOR_SECONDS) return;
        kept.place ^= 1;
        anchorRoots[kept.place] = root;
        kept.previousHeight = kept.height;
        kept.height = SafeCastLib.toUint40(height);
        kept.postedAt = uint40(block.timestamp);
        anchors = kept;
    }

    /// The root with the new commitment appended, if it extends what is settled.
    function extend(Head memory settled, Posting calldata posting, bytes32 digest)
        private
        view
        returns (bytes32)
    {
        BlockCommitment calldata c = posting.commitment;
        (Peaks.Range memory range, bool fits) =
            Peaks.open(roots[settled.place], settled.height, posting.peaks);
        if (!fits) revert BadPeaks(settled.height);
        bool grown = Peaks.grow(range, c.height - 1, posting.added);
        if (!grown || Peaks.bag(range) != c.historyRoot) revert HistoryNotExtended(settled.height, c.height);
        Peaks.append(range, digest);
        return Peaks.bag(range);
    }

    function endEpoch(BlockCommitment calldata c) private {
        emit EpochEnded(c.epoch, c.height, c.nextCommittee, c.dkgResult);
        dkgResults[c.epoch + 1] = c.dkgResult;
        committee = STAKE.advanceEpoch(c.nextCommittee);
    }

    function settledDigest(BlockCommitment calldata commitment, uint64 under, bytes32[] calldata path)
        private
        view
        returns (bytes32 digest)
    {
        digest = SignBytes.commitment(domain(), commitment);
        bool found = commitment.height > 0
            && Mmr.verifyInclusion(rootAt(under), under, commitment.height - 1, digest, path);
        if (!found) revert NotSettled(commitment.height, under);
    }

    function domain() private view returns (SigningDomain memory) {
        return
            SigningDomain({ network: network, l1ChainId: uint64(block.chainid), l1Contract: address(STAKE) });
    }
}
