//! What validators say to each other about a height, and the evidence that two sayings make.
//!
//! A vote or proposal names its author by index and carries one ed25519 signature over a digest of
//! [`SigningDomain`]; network and epoch stand in that digest, not in the message, so a message of
//! another network or epoch fails as a bad signature. The author need not be the peer that sent it:
//! locked validators relay proposals, and certificates are bundles of other validators' votes.
//!
//! **Bounds.** A certificate holds at most [`Committee::MEMBERS_MAX`] signatures when decoded, and at
//! most one for each member when judged.

use std::{io, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{
    BlockId, Committee, Digest, Epoch, Height, Round, SignatureBytes, StrictVerifier,
    ValidatorIndex, Verifier as _, VoteKind,
    digest::{Position, SigningDomain},
};

/// A prevote or precommit with its author's signature.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedVote {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// The height.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The block voted for; none is a vote for nil. Never the zero id, by which nil is signed: one signature would
    /// serve for both.
    #[borsh(deserialize_with = "block_or_nil")]
    pub block: Option<BlockId>,
    /// Who votes.
    pub voter: ValidatorIndex,
    /// The voter's signature over [`SigningDomain::vote`].
    pub signature: SignatureBytes,
}

impl SignedVote {
    /// What the signature covers.
    #[must_use]
    pub fn digest(&self, domain: &SigningDomain, epoch: Epoch) -> Digest {
        let at = Position { epoch, height: self.height, round: self.round };
        domain.vote(self.kind.code(), at, self.block)
    }
}

/// A proposal with its author's signature.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedProposal {
    /// The height.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The block proposed.
    pub block: BlockId,
    /// The earlier round whose polka justifies proposing the block again; none for a fresh block.
    pub pol_round: Option<Round>,
    /// Who proposes.
    pub proposer: ValidatorIndex,
    /// The proposer's signature over [`SigningDomain::proposal`].
    pub signature: SignatureBytes,
}

impl SignedProposal {
    /// What the signature covers.
    #[must_use]
    pub fn digest(&self, domain: &SigningDomain, epoch: Epoch) -> Digest {
        let at = Position { epoch, height: self.height, round: self.round };
        domain.proposal(at, self.block, self.pol_round)
    }
}

/// Prevotes of a quorum for one block: lets a validator that missed them accept a re-proposal.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PolkaCertificate {
    /// The height.
    pub height: Height,
    /// The round of the prevotes.
    pub round: Round,
    /// The block they are for.
    pub block: BlockId,
    /// Each voter with its prevote's signature.
    #[borsh(deserialize_with = "bounded")]
    pub signatures: Vec<(ValidatorIndex, SignatureBytes)>,
}

/// Why a round may be left or skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RoundReason {
    /// More than a third of the voting power already is in the round.
    Skip,
    /// A quorum precommitted in the round, to whatever.
    Precommit,
}

/// One vote of a [`RoundCertificate`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundVote {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// The block voted for, or nil; never the zero id.
    #[borsh(deserialize_with = "block_or_nil")]
    pub block: Option<BlockId>,
    /// Who voted.
    pub voter: ValidatorIndex,
    /// The vote's signature.
    pub signature: SignatureBytes,
}

/// Votes that let everyone enter a round: brings validators together again after losses.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundCertificate {
    /// The height.
    pub height: Height,
    /// The round of the votes.
    pub round: Round,
    /// What the votes justify.
    pub reason: RoundReason,
    /// The votes.
    #[borsh(deserialize_with = "bounded")]
    pub votes: Vec<RoundVote>,
}

/// Everything that travels between the engines of validators.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ConsensusMessage {
    /// A vote.
    Vote(Arc<SignedVote>),
    /// A proposal (the block itself travels apart).
    Proposal(Arc<SignedProposal>),
    /// A polka.
    Polka(PolkaCertificate),
    /// Votes that justify a round.
    Round(RoundCertificate),
}

impl ConsensusMessage {
    /// The height it is about.
    #[must_use]
    pub fn height(&self) -> Height {
        match self {
            Self::Vote(vote) => vote.height,
            Self::Proposal(proposal) => proposal.height,
            Self::Polka(certificate) => certificate.height,
            Self::Round(certificate) => certificate.height,
        }
    }

    /// The round it is about.
    #[must_use]
    pub fn round(&self) -> Round {
        match self {
            Self::Vote(vote) => vote.round,
            Self::Proposal(proposal) => proposal.round,
            Self::Polka(certificate) => certificate.round,
            Self::Round(certificate) => certificate.round,
        }
    }
}

/// Two messages of one author that an honest validator cannot both have signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Evidence {
    /// Two votes for one height, round and step.
    Votes(SignedVote, SignedVote),
    /// Two proposals for one height and round.
    Proposals(SignedProposal, SignedProposal),
}

impl Evidence {
    /// Who signed both.
    #[must_use]
    pub const fn offender(&self) -> ValidatorIndex {
        match self {
            Self::Votes(first, _) => first.voter,
            Self::Proposals(first, _) => first.proposer,
        }
    }

    /// Where.
    #[must_use]
    pub const fn at(&self) -> (Height, Round) {
        match self {
            Self::Votes(first, _) => (first.height, first.round),
            Self::Proposals(first, _) => (first.height, first.round),
        }
    }

    /// Whether the two messages convict their author: same author and position, different content,
    /// both signatures good.
    #[must_use]
    pub fn verify(&self, committee: &Committee, domain: &SigningDomain, epoch: Epoch) -> bool {
        let Some(key) = committee.key(self.offender()) else { return false };
        let signed_by = |digest: &Digest, signature: &SignatureBytes| {
            StrictVerifier.is_signed(key, digest, signature)
        };
        match self {
            Self::Votes(a, b) => {
                (a.kind, a.height, a.round, a.voter) == (b.kind, b.height, b.round, b.voter)
                    && a.digest(domain, epoch) != b.digest(domain, epoch)
                    && [a, b]
                        .iter()
                        .all(|vote| signed_by(&vote.digest(domain, epoch), &vote.signature))
            }
            Self::Proposals(a, b) => {
                (a.height, a.round, a.proposer) == (b.height, b.round, b.proposer)
                    && a.digest(domain, epoch) != b.digest(domain, epoch)
                    && [a, b].iter().all(|proposal| {
                        signed_by(&proposal.digest(domain, epoch), &proposal.signature)
                    })
            }
        }
    }
}

/// Reads what a vote is for. No block has the zero id.
fn block_or_nil<R: io::Read>(reader: &mut R) -> io::Result<Option<BlockId>> {
    let block = Option::<BlockId>::deserialize_reader(reader)?;
    if block == Some(BlockId::ZERO) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "nil in the guise of a block"));
    }
    Ok(block)
}

/// Reads a list of at most [`Committee::MEMBERS_MAX`] items; a longer one is refused before anything
/// is allocated for it.
fn bounded<T: BorshDeserialize, R: io::Read>(reader: &mut R) -> io::Result<Vec<T>> {
    let count = u32::deserialize_reader(reader)?;
    let fits = usize::try_from(count).is_ok_and(|count| count <= Committee::MEMBERS_MAX);
    if !fits {
        let found = format!("{count} signatures, at most {} expected", Committee::MEMBERS_MAX);
        return Err(io::Error::new(io::ErrorKind::InvalidData, found));
    }
    (0..count).map(|_| T::deserialize_reader(reader)).collect()
}
