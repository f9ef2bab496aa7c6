// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { BlockCommitment, ValidatorId } from "../lib/Types.sol";
import { SealedShare } from "../verify/SealedShare.sol";

/// @title Judge of offences
/// @notice Anyone reports, with the bytes that were signed; nothing else is needed, and nobody can stop it. What a
/// validator has at stake is seized at once and stands in escrow until {resolve}.
///
/// A report is worth a reward, and a pending transaction can be copied. So who wants the reward first calls
/// {announce} with a seal over the evidence, and reports in a later block: whoever copies that report has no
/// seal as old, and {claimReport} gives the reward to the oldest.
interface IConclaveSlasher {
    /// @notice What a validator did. The number is part of an offence's identity.
    enum Offence {
        None,
        DoublePrevote,
        DoublePrecommit,
        DoubleProposal,
        DoubleAttestation,
        PrematureShare,
        WrongShare
    }

    enum State {
        None,
        Open,
        Acquitted,
        Resolved,
        Lapsed
    }

    /// @notice An ed25519 signature.
    struct Signature {
        bytes32 r;
        bytes32 s;
    }

    /// @notice Where something was signed: by member `member` of the committee of `epoch`.
    struct Position {
        uint64 epoch;
        uint16 member;
        uint64 height;
        uint32 round;
    }

    struct SignedVote {
        bytes32 blockId;
        Signature signature;
    }

    struct SignedProposal {
        bytes32 blockId;
        uint32 polkaRound;
        Signature signature;
    }

    /// @notice A commitment with the aggregate signature of `signers`, bit i being member i.
    struct SignedCommitment {
        BlockCommitment commitment;
        uint256 signers;
        bytes signature;
    }

    /// @notice What a commitment's history root holds at a height: the digest of that height's commitment, and its path.
    struct HistoryEntry {
        bytes32 digest;
        bytes32[] path;
    }

    /// @notice A signed share message: the root over one validator's shares for a block.
    struct SignedShares {
        uint64 epoch;
        uint16 member;
        uint64 height;
        bytes32 blockId;
        bytes32 root;
        Signature signature;
    }

    struct SignedPrecommit {
        uint16 member;
        Signature signature;
    }

    /// @notice One offence of one validator.
    struct Case {
        address reporter;
        uint40 reportedAt;
        /// The L1 block of the report, or of the oldest announcement that claimed it.
        uint40 priority;
        Offence offence;
        State state;
        uint64 epoch;
        uint16 member;
        /// The first half of the evidence's hash, which a seal names.
        uint128 evidence;
    }

    /// @notice What a premature share was for.
    struct SharedBlock {
        uint64 height;
        bytes32 blockId;
    }

    /// @notice What the precommits of one round that were shown for an acquittal amount to, bit i being member i.
    struct Tally {
        uint256 signers;
        uint64 power;
    }

    /// @notice No committee has been in office for this epoch.
    error NoCommittee(uint64 epoch);
    /// @notice Offences of this epoch could be reported until {EVIDENCE_AGE} after its end settled.
    error EvidenceTooOld(uint64 endedAt, uint256 acceptedUntil);
    /// @notice The offence was reported before, by whichever pair of messages; of several accused, each was.
    error AlreadyReported(bytes32 offence);
    /// @notice There is no open case of this offence: nobody has reported it, or it has ended.
    error NotOpen(bytes32 offence);
    /// @notice What was signed is no offence, or cannot be judged by this function.
    error NotAnOffence();
    /// @notice The two are one message, or stand in the wrong order: the lower digest comes first.
    error MessagesOutOfOrder(bytes32 first, bytes32 second);
    /// @notice The commitment of the lower height comes first.
    error HeightsOutOfOrder(uint64 first, uint64 second);
    /// @notice The path does not show what the history of the second commitment holds at the height of the first.
    error NotInHistory(uint64 height, uint64 under);
    /// @notice The member has not signed this message under this network, chain and contract.
    error BadSignature(uint16 member);
    /// @notice The accused are nobody, or not all of them are among the signers of both.
    error NotBothSigned(uint256 accused, uint256 both);
    /// @notice Votes are prevotes, 0, or precommits, 1.
    error NoSuchKind(uint8 kind);
    /// @notice A case can be resolved only when the time for answers is over.
    error TooEarly(uint256 notBefore);
    /// @notice The time for answers is over.
    error TooLate(uint256 notAfter);
    /// @notice A case lapses only when nobody has ended it for {ISlashable.SEIZURE_SECONDS_MAX}.
    error NotLapsed(uint256 notBefore);
    /// @notice This seal was announced before: make another one with a new salt.
    error AlreadyAnnounced(bytes32 seal);
    /// @notice This seal was never announced: check offence, sender and salt.
    error NotAnnounced(bytes32 seal);
    /// @notice The announcement is no older than the report, or than the announcement that has claimed it.
    error LaterThanTheReport(uint256 announced, uint256 reported);

    /// @notice Somebody knows the evidence under this seal.
    event Announced(bytes32 indexed seal);
    /// @notice An offence was reported and proved; `seized` gwei are in escrow. A premature share may still be
    /// excused.
    event Convicted(
        bytes32 indexed offence,
        ValidatorId indexed validator,
        uint64 indexed epoch,
        Offence kind,
        uint64 height,
        uint32 round,
        address reporter,
        uint256 seized
    );
    /// @notice The reward of this report is now that of `reporter`, who announced it first.
    event ReportClaimed(bytes32 indexed offence, address indexed reporter);
    /// @notice Precommits of `round` with this much power, all shown together, support an acquittal.
    event AcquittalSupported(bytes32 indexed offence, uint32 round, uint64 power);
    /// @notice The shared block was decided: the accused gets back what was seized.
    event Acquitted(bytes32 indexed offence);
    /// @notice The case ended with this penalty, in hundredths of a percent of what was seized.
    event Resolved(bytes32 indexed offence, uint16 penaltyBps, address reporter);
    /// @notice The case ended without a verdict, and what was seized went back.
    event Lapsed(bytes32 indexed offence);

    /// @notice Two votes of one kind in one round. `kind` is 0 for prevotes and 1 for precommits; the votes stand in
    /// ascending order of their digests.
    function reportVotes(
        Position calldata at,
        uint8 kind,
        SignedVote calldata first,
        SignedVote calldata second
    ) external returns (bytes32 offence);

    /// @notice Two proposals in one round, in ascending order of their digests.
    function reportProposals(
        Position calldata at,
        SignedProposal calldata first,
        SignedProposal calldata second
    ) external returns (bytes32 offence);

    /// @notice Two commitments of one epoch that no one history holds, each with one signature or a certificate of many:
    ///
    /// - of one height, in ascending order of their digests;
    /// - or the lower one first: the history of the second holds another at the height of the first, which is `held`;
    /// - or the first ends the epoch, and the second is of the same epoch above it.
    ///
    /// In the first and the last case `held` is not looked at. `accused` names members who signed both; they may be reported
    /// in parts, and who was reported before is passed over, unless all were. The offence is that of the lower height.
    function reportAttestations(
        SignedCommitment calldata first,
        SignedCommitment calldata second,
        HistoryEntry calldata held,
        uint256 accused
    ) external;

    /// @notice Shares for a block other than the settled one at that height, of the same epoch. Acquitted by a decision
    /// certificate for the block of the shares ({supportAcquittal}): then a fork is to blame, and not who shared.
    function reportPrematureShare(
        SignedShares calldata shares,
        BlockCommitment calldata settled,
        uint64 under,
        bytes32[] calldata path
    ) external returns (bytes32 offence);

    /// @notice A share that is not the member's secret at one of its points times what it had to multiply, for a block
    /// that names the key of its epoch's sharing. All wrong shares of a member in an epoch are one offence.
    function reportWrongShare(SignedShares calldata shares, SealedShare.Claim calldata claim)
        external
        returns (bytes32 offence);

    /// @notice Adds precommits of one round to the decision certificate that acquits of a premature share. A
    /// certificate is posted over as many transactions as it takes.
    function supportAcquittal(bytes32 offence, uint32 round, SignedPrecommit[] calldata precommits) external;

    /// @notice Notes that the sender knows evidence, without showing it: `seal` is {sealOf}.
    function announce(bytes32 seal) external;

    /// @notice Takes over a report that was made after the sender's announcement of the same evidence.
    function claimReport(bytes32 offence, bytes32 salt) external;

    /// @notice Ends an open case after {RESOLUTION}.
    function resolve(bytes32 offence) external;

    /// @notice Ends a case without a verdict if nobody has ended it within {ISlashable.SEIZURE_SECONDS_MAX} of the
    /// report: what was seized goes back, if it has not by {ISlashable.lapse}, and who was only accused counts no longer in
    /// what others of its epoch pay.
    function lapse(bytes32 offence) external;

    /// @notice The identity of an offence: whatever pair of messages shows it, it is punished once. Wrong shares are
    /// one offence in an epoch: height and round count as 0.
    function offenceOf(ValidatorId validator, uint64 epoch, Offence kind, uint64 height, uint32 round)
        external
        pure
        returns (bytes32);

    /// @notice What `reporter` announces for evidence whose hash begins with `evidence`: keccak256 of the ed25519
    /// signatures, abi-encoded, in the order of the report; for attestations of the two digests instead, because
    /// anyone can make other sums of signatures over them.
    function sealOf(bytes32 offence, uint128 evidence, address reporter, bytes32 salt)
        external
        pure
        returns (bytes32);

    /// @notice What became of an offence; all zero if nobody has reported it.
    function caseOf(bytes32 offence) external view returns (Case memory);

    /// @notice The block whose decision would acquit of a premature share.
    function sharedBlockOf(bytes32 offence) external view returns (SharedBlock memory);

    /// @notice Which precommits of a round were shown for it by {supportAcquittal}: what is left to show is the rest.
    function supportOf(bytes32 offence, uint32 round) external view returns (Tally memory);
}
