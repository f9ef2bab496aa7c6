// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveSlasher } from "./interfaces/IConclaveSlasher.sol";
import { ISettledNetwork, ISlashable } from "./interfaces/ISlashable.sol";
import { Bls12381 } from "./lib/Bls12381.sol";
import { CommitteeTable } from "./lib/CommitteeTable.sol";
import { Mmr } from "./lib/Mmr.sol";
import { QuorumCertificate } from "./lib/QuorumCertificate.sol";
import { SignBytes } from "./lib/SignBytes.sol";
import { BlockCommitment, Committee, Member, SigningDomain, ValidatorId } from "./lib/Types.sol";
import { Ed25519Verifier } from "./verify/Ed25519Verifier.sol";
import { SealedShare } from "./verify/SealedShare.sol";
import { ShareVerifier } from "./verify/ShareVerifier.sol";

/// @title ConclaveSlasher
/// @notice See {IConclaveSlasher}. It has no owner and no parameters that change: what is an offence, and what it
/// costs, is fixed when it is deployed.
contract ConclaveSlasher is IConclaveSlasher {
    /// Which members of an epoch's committee stand convicted, bit i being member i. Who is accused of a premature
    /// share may still be acquitted, and then counts no longer.
    struct Convictions {
        uint128 proved;
        uint128 accused;
    }

    /// For this long after the commitment that ended an epoch settled, its offences can be reported. Shorter
    /// than unbonding by more than {RESOLUTION}.
    uint256 public constant EVIDENCE_AGE = 14 days;
    /// For this long after a report it can be answered, and more members of one plot be reported.
    uint256 public constant RESOLUTION = 3 days;
    /// Of what is slashed; the rest is burned, so that nobody gains by slashing himself.
    uint16 public constant REWARD_BPS = 500;
    /// The least that an equivocation costs.
    uint16 public constant EQUIVOCATION_BPS = 500;
    /// A wrong share stalls nobody: others open the block.
    uint16 public constant WRONG_SHARE_BPS = 100;
    uint16 private constant ALL_BPS = 10_000;

    ISlashable public immutable STAKE;
    ISettledNetwork public immutable INBOX;
    Ed25519Verifier public immutable ED25519;
    ShareVerifier public immutable SHARES;

    mapping(bytes32 offence => Case) private cases;
    mapping(bytes32 offence => SharedBlock) private sharedBlocks;
    mapping(bytes32 offence => mapping(uint32 round => Tally)) private tallies;
    mapping(uint64 epoch => Convictions) private convictions;
    /// Premature shares that a member stands accused of: what excuses of one does not of another height's.
    mapping(uint64 epoch => mapping(uint16 member => uint256)) private prematureShares;
    mapping(bytes32 seal => uint256 blockNumber) private announcements;

    constructor(ISlashable stake, ISettledNetwork inbox) {
        (STAKE, INBOX) = (stake, inbox);
        (ED25519, SHARES) = (new Ed25519Verifier(), new ShareVerifier());
    }

    // --- reports

    /// @inheritdoc IConclaveSlasher
    function reportVotes(
        Position calldata at,
        uint8 kind,
        SignedVote calldata first,
        SignedVote calldata second
    ) external returns (bytes32) {
        if (kind > SignBytes.PRECOMMIT) revert NoSuchKind(kind);
        Member memory accused = memberAt(at.epoch, at.member);
        SigningDomain memory domain = signingDomain();
        bytes32 left = SignBytes.vote(domain, at.epoch, kind, at.height, at.round, first.blockId);
        bytes32 right = SignBytes.vote(domain, at.epoch, kind, at.height, at.round, second.blockId);
        requireBoth(at.member, accused.consensusKey, left, first.signature, right, second.signature);
        Offence offence = kind == SignBytes.PREVOTE ? Offence.DoublePrevote : Offence.DoublePrecommit;
        return convict(accused, offence, at, evidenceOf(first.signature, second.signature));
    }

    /// @inheritdoc IConclaveSlasher
    function reportProposals(
        Position calldata at,
        SignedProposal calldata first,
        SignedProposal calldata second
    ) external returns (bytes32) {
        Member memory accused = memberAt(at.epoch, at.member);
        bytes32 left = proposalDigest(at, first);
        bytes32 right = proposalDigest(at, second);
        requireBoth(at.member, accused.consensusKey, left, first.signature, right, second.signature);
        bytes32 evidence = evidenceOf(first.signature, second.signature);
        return convict(accused, Offence.DoubleProposal, at, evidence);
    }

    /// @inheritdoc IConclaveSlasher
    function reportAttestations(
        SignedCommitment calldata first,
        SignedCommitment calldata second,
        HistoryEntry calldata held,
        uint256 accused
    ) external {
        uint256 both = first.signers & second.signers;
        if (accused == 0 || accused & ~both != 0) revert NotBothSigned(accused, both);
        BlockCommitment calldata c = first.commitment;
        SigningDomain memory domain = signingDomain();
        bytes32 left = SignBytes.commitment(domain, c);
        bytes32 right = SignBytes.commitment(domain, second.commitment);
        requireContradiction(c, left, second.commitment, right, held);
        Committee memory committee = committeeOf(c.epoch);
        // What contradicts each other differs, so one product of pairings shows both.
        bytes memory sum = Bls12381.sumOfSignatures(first.signature, second.signature);
        QuorumCertificate.requireBothSigned(committee, left, first.signers, right, second.signers, sum);
        // Not the signatures: whoever copies the report could add a third member's to one of the sums.
        bytes32 evidence = keccak256(abi.encode(left, right));
        Position memory at = Position({ epoch: c.epoch, member: 0, height: c.height, round: 0 });
        convictAll(committee, accused, at, evidence);
    }

    /// @inheritdoc IConclaveSlasher
    function reportPrematureShare(
        SignedShares calldata shares,
        BlockCommitment calldata settled,
        uint64 under,
        bytes32[] calldata path
    ) external returns (bytes32 offence) {
        // Precommits for nil are signed over the zero id: there would be a certificate to acquit of it.
        bool isOther = settled.blockId != shares.blockId && shares.blockId != bytes32(0);
        // A fork may end an epoch elsewhere, and then the committee here is not that which decided its blocks.
        bool isThere = settled.epoch == shares.epoch && settled.height == shares.height;
        if (!isThere || !isOther) revert NotAnOffence();
        INBOX.requireSettled(settled, under, path);
        Member memory accused = memberAt(shares.epoch, shares.member);
        requireShares(shares, accused.consensusKey);
        Position memory at = positionOf(shares);
        bytes32 evidence = keccak256(abi.encode(shares.signature));
        offence = offenceOf(accused.validator, at.epoch, Offence.PrematureShare, at.height, 0);
        sharedBlocks[offence] = SharedBlock({ height: shares.height, blockId: shares.blockId });
        convict(accused, Offence.PrematureShare, at, evidence);
    }

    /// @inheritdoc IConclaveSlasher
    function reportWrongShare(SignedShares calldata shares, SealedShare.Claim calldata claim)
        external
        returns (bytes32)
    {
        Member memory accused = memberAt(shares.epoch, shares.member);
        requireShares(shares, accused.consensusKey);
        SealedShare.Context memory context = SealedShare.Context({
            network: INBOX.network(),
            epoch: shares.epoch,
            member: shares.member,
            height: shares.height,
            blockId: shares.blockId,
            shareRoot: shares.root,
            dkgResult: INBOX.dkgResultOf(shares.epoch)
        });
        if (SHARES.isRight(context, claim)) revert NotAnOffence();
        bytes32 evidence = keccak256(abi.encode(shares.signature));
        return convict(accused, Offence.WrongShare, positionOf(shares), evidence);
    }

    // --- after a report

    /// @inheritdoc IConclaveSlasher
    function supportAcquittal(bytes32 offence, uint32 round, SignedPrecommit[] calldata precommits) external {
        Case storage open = openCase(offence);
        if (open.offence != Offence.PrematureShare) revert NotAnOffence();
        uint256 until = uint256(open.reportedAt) + RESOLUTION;
        if (block.timestamp > until) revert TooLate(until);
        SharedBlock memory shared = sharedBlocks[offence];
        uint64 epoch = open.epoch;
        // Whatever its age: a report of the last hour has its answer too.
        Committee memory committee = STAKE.committeeOf(epoch);
        bytes32 message = SignBytes.vote(
            signingDomain(), epoch, SignBytes.PRECOMMIT, shared.height, round, shared.blockId
        );
        Tally memory tally = tallies[offence][round];
        for (uint256 i = 0; i < precommits.length; ++i) {
            uint16 index = precommits[i].member;
            Member memory member = CommitteeTable.member(committee, index);
            if (tally.signers >> index & 1 == 1) continue;
            requireSignature(index, member.consensusKey, message, precommits[i].signature);
            tally.signers |= 1 << index;
            tally.power += member.power;
        }
        tallies[offence][round] = tally;
        emit AcquittalSupported(offence, round, tally.power);
        if (tally.power >= CommitteeTable.quorum(committee)) {
            open.state = State.Acquitted;
            excuse(epoch, open.member);
            STAKE.acquit(offence);
            emit Acquitted(offence);
        }
    }

    /// @inheritdoc IConclaveSlasher
    function announce(bytes32 seal) external {
        if (announcements[seal] != 0) revert AlreadyAnnounced(seal);
        announcements[seal] = block.number;
        emit Announced(seal);
    }

    /// @inheritdoc IConclaveSlasher
    function claimReport(bytes32 offence, bytes32 salt) external {
        Case storage open = openCase(offence);
        bytes32 seal = sealOf(offence, open.evidence, msg.sender, salt);
        uint256 announced = announcements[seal];
        if (announced == 0) revert NotAnnounced(seal);
        if (announced >= open.priority) revert LaterThanTheReport(announced, open.priority);
        // forge-lint: disable-next-line(unsafe-typecast)
        open.priority = uint40(announced);
        open.reporter = msg.sender;
        emit ReportClaimed(offence, msg.sender);
    }

    /// @inheritdoc IConclaveSlasher
    function resolve(bytes32 offence) external {
        Case storage open = openCase(offence);
        uint256 from = uint256(open.reportedAt) + RESOLUTION;
        if (block.timestamp <= from) revert TooEarly(from);
        open.state = State.Resolved;
        uint16 penalty = open.offence == Offence.WrongShare ? WRONG_SHARE_BPS : equivocationBps(open.epoch);
        address reporter = open.reporter;
        STAKE.resolve(offence, penalty, reporter, REWARD_BPS);
        emit Resolved(offence, penalty, reporter);
    }

    /// @inheritdoc IConclaveSlasher
    function lapse(bytes32 offence) external {
        Case storage open = openCase(offence);
        uint256 from = uint256(open.reportedAt) + STAKE.SEIZURE_SECONDS_MAX();
        if (block.timestamp < from) revert NotLapsed(from);
        open.state = State.Lapsed;
        if (open.offence == Offence.PrematureShare) excuse(open.epoch, open.member);
        // It fails if it has lapsed there before. Too little gas for it is too little for what comes behind it.
        try STAKE.lapse(offence) { } catch { }
        emit Lapsed(offence);
    }

    /// @inheritdoc IConclaveSlasher
    function caseOf(bytes32 offence) external view returns (Case memory) {
        return cases[offence];
    }

    /// @inheritdoc IConclaveSlasher
    function sharedBlockOf(bytes32 offence) external view returns (SharedBlock memory) {
        return sharedBlocks[offence];
    }

    /// @inheritdoc IConclaveSlasher
    function supportOf(bytes32 offence, uint32 round) external view returns (Tally memory) {
        return tallies[offence][round];
    }

    /// @inheritdoc IConclaveSlasher
    function offenceOf(ValidatorId validator, uint64 epoch, Offence kind, uint64 height, uint32 round)
        public
        pure
        returns (bytes32)
    {
        // One damaged key share makes every share of its epoch wrong, and a hundredth for each is nearly everything.
        if (kind == Offence.WrongShare) (height, round) = (0, 0);
        return keccak256(abi.encode(validator, epoch, kind, height, round));
    }

    /// @inheritdoc IConclaveSlasher
    function sealOf(bytes32 offence, uint128 evidence, address reporter, bytes32 salt)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(offence, evidence, reporter, salt));
    }

    // --- how a report becomes a case

    /// Whoever was reported before is passed over: a report of one must not undo that of all.
    function convictAll(Committee memory committee, uint256 accused, Position memory at, bytes32 evidence)
        private
    {
        bytes32 known = 0;
        bool any = false;
        for (; accused != 0; (accused >>= 1, ++at.member)) {
            if (accused & 1 == 0) continue;
            Member memory member = CommitteeTable.member(committee, at.member);
            bytes32 offence = offenceOf(member.validator, at.epoch, Offence.DoubleAttestation, at.height, 0);
            if (cases[offence].state != State.None) {
                known = offence;
            } else {
                any = true;
                convict(member, Offence.DoubleAttestation, at, evidence);
            }
        }
        if (!any) revert AlreadyReported(known);
    }

    function convict(Member memory accused, Offence kind, Position memory at, bytes32 evidence)
        private
        returns (bytes32 offence)
    {
        offence = offenceOf(accused.validator, at.epoch, kind, at.height, at.round);
        if (cases[offence].state != State.None) revert AlreadyReported(offence);
        cases[offence] = Case({
            reporter: msg.sender,
            reportedAt: uint40(block.timestamp),
            priority: uint40(block.number),
            offence: kind,
            state: State.Open,
            epoch: at.epoch,
            member: at.member,
            evidence: uint128(uint256(evidence) >> 128)
        });
        Convictions storage all = convictions[at.epoch];
        if (kind == Offence.PrematureShare) {
            all.accused |= bitOf(at.member);
            ++prematureShares[at.epoch][at.member];
        } else if (kind != Offence.WrongShare) {
            all.proved |= bitOf(at.member);
        }
        uint256 seized = STAKE.seize(offence, accused.validator, at.epoch, kind != Offence.WrongShare);
        emit Convicted(offence, accused.validator, at.epoch, kind, at.height, at.round, msg.sender, seized);
    }

    /// One premature share less that the member stands accused of.
    function excuse(uint64 epoch, uint16 member) private {
        if (--prematureShares[epoch][member] == 0) convictions[epoch].accused &= ~bitOf(member);
    }

    /// An accident convicts one; a plot convicts many. Three times the convicted share of the power, so that
    /// what it takes to fork the chain, a third, costs everything.
    function equivocationBps(uint64 epoch) private view returns (uint16) {
        Committee memory committee = STAKE.committeeOf(epoch);
        Convictions memory all = convictions[epoch];
        uint256 power = 0;
        uint256 bits = all.proved | all.accused;
        for (uint256 i = 0; bits != 0; (bits >>= 1, ++i)) {
            if (bits & 1 == 1) power += CommitteeTable.member(committee, i).power;
        }
        uint256 bps = power * 3 * ALL_BPS / committee.totalPower;
        if (bps < EQUIVOCATION_BPS) return EQUIVOCATION_BPS;
        // forge-lint: disable-next-line(unsafe-typecast)
        return bps > ALL_BPS ? ALL_BPS : uint16(bps);
    }

    /// A committee has at most 128 members.
    function bitOf(uint16 member) private pure returns (uint128) {
        return uint128(1) << member;
    }

    function openCase(bytes32 offence) private view returns (Case storage found) {
        found = cases[offence];
        if (found.state != State.Open) revert NotOpen(offence);
    }

    // --- who signed what

    /// Reverts unless there is no history that holds both. A commitment holds every one below it in its history root, so
    /// whoever attests is bound for the rest of the epoch and not at that height only.
    function requireContradiction(
        BlockCommitment calldata lower,
        bytes32 left,
        BlockCommitment calldata upper,
        bytes32 right,
        HistoryEntry calldata held
    ) private pure {
        if (lower.epoch != upper.epoch) revert NotAnOffence();
        if (lower.height > upper.height) revert HeightsOutOfOrder(lower.height, upper.height);
        if (lower.height == upper.height) {
            if (left >= right) revert MessagesOutOfOrder(left, right);
            return;
        }
        // An epoch has no height above its end, whatever its history holds.
        if (lower.nextCommittee != 0) return;
        if (held.digest == left) revert NotAnOffence();
        bool isHeld = lower.height > 0
            && Mmr.verifyInclusion(
                upper.historyRoot, upper.height - 1, lower.height - 1, held.digest, held.path
            );
        if (!isHeld) revert NotInHistory(lower.height, upper.height);
    }

    /// The committee of `epoch`, if its offences can still be reported.
    function committeeOf(uint64 epoch) private view returns (Committee memory committee) {
        committee = STAKE.committeeOf(epoch);
        if (committee.table == address(0)) revert NoCommittee(epoch);
        uint64 endedAt = STAKE.endedAt(epoch);
        if (endedAt != 0 && block.timestamp > endedAt + EVIDENCE_AGE) {
            revert EvidenceTooOld(endedAt, endedAt + EVIDENCE_AGE);
        }
    }

    function memberAt(uint64 epoch, uint16 index) private view returns (Member memory) {
        return CommitteeTable.member(committeeOf(epoch), index);
    }

    /// What this network's validators sign under: the address in the genesis is that of the stake contract.
    function signingDomain() private view returns (SigningDomain memory) {
        // Chain ids above 64 bits are refused by every client.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 chain = uint64(block.chainid);
        return SigningDomain({ network: INBOX.network(), l1ChainId: chain, l1Contract: address(STAKE) });
    }

    function proposalDigest(Position calldata at, SignedProposal calldata p) private view returns (bytes32) {
        return SignBytes.proposal(signingDomain(), at.epoch, at.height, at.round, p.blockId, p.polkaRound);
    }

    function positionOf(SignedShares calldata shares) private pure returns (Position memory) {
        return Position({ epoch: shares.epoch, member: shares.member, height: shares.height, round: 0 });
    }

    function requireShares(SignedShares calldata shares, bytes32 key) private view {
        bytes32 message =
            SignBytes.shares(signingDomain(), shares.epoch, shares.height, shares.blockId, shares.root);
        requireSignature(shares.member, key, message, shares.signature);
    }

    function requireBoth(
        uint16 member,
        bytes32 key,
        bytes32 left,
        Signature calldata leftSignature,
        bytes32 right,
        Signature calldata rightSignature
    ) private view {
        if (left >= right) revert MessagesOutOfOrder(left, right);
        requireSignature(member, key, left, leftSignature);
        requireSignature(member, key, right, rightSignature);
    }

    function requireSignature(uint16 member, bytes32 key, bytes32 message, Signature calldata signature)
        private
        view
    {
        if (!ED25519.isSigned(key, signature.r, signature.s, message)) revert BadSignature(member);
    }

    function evidenceOf(Signature calldata first, Signature calldata second) private pure returns (bytes32) {
        return keccak256(abi.encode(first, second));
    }
}
