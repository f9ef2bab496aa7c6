//! From our messages to Malachite's, and back.

use conclave_types::{BlockId, Round, SignatureBytes, VoteKind};
use malachitebft_core_types as mc;

use crate::{
    context::{Address, Bft, CoreHeight, Proposal, Value, Vote},
    message::{
        PolkaCertificate, RoundCertificate, RoundReason, RoundVote, SignedProposal, SignedVote,
    },
};

pub(crate) const fn round_to_core(round: Round) -> mc::Round {
    mc::Round::new(round.as_u32())
}

/// The round; Malachite's "no round" only stands for "before the first" where this is used.
pub(crate) fn round_from_core(round: mc::Round) -> Round {
    Round::new(round.as_u32().unwrap_or(0))
}

fn optional_round(round: mc::Round) -> Option<Round> {
    round.as_u32().map(Round::new)
}

const fn value_to_core(block: Option<BlockId>) -> mc::NilOrVal<BlockId> {
    match block {
        Some(block) => mc::NilOrVal::Val(block),
        None => mc::NilOrVal::Nil,
    }
}

const fn value_from_core(value: &mc::NilOrVal<BlockId>) -> Option<BlockId> {
    match value {
        mc::NilOrVal::Val(block) => Some(*block),
        mc::NilOrVal::Nil => None,
    }
}

const fn kind_to_core(kind: VoteKind) -> mc::VoteType {
    match kind {
        VoteKind::Prevote => mc::VoteType::Prevote,
        VoteKind::Precommit => mc::VoteType::Precommit,
    }
}

const fn kind_from_core(kind: mc::VoteType) -> VoteKind {
    match kind {
        mc::VoteType::Prevote => VoteKind::Prevote,
        mc::VoteType::Precommit => VoteKind::Precommit,
    }
}

pub(crate) fn vote_to_core(vote: &SignedVote) -> mc::SignedVote<Bft> {
    let message = Vote {
        kind: kind_to_core(vote.kind),
        height: CoreHeight(vote.height),
        round: round_to_core(vote.round),
        value: value_to_core(vote.block),
        voter: Address(vote.voter),
    };
    mc::SignedMessage::new(message, vote.signature)
}

pub(crate) fn vote_from_core(vote: &Vote, signature: SignatureBytes) -> SignedVote {
    SignedVote {
        kind: kind_from_core(vote.kind),
        height: vote.height.0,
        round: round_from_core(vote.round),
        block: value_from_core(&vote.value),
        voter: vote.voter.0,
        signature,
    }
}

pub(crate) fn proposal_to_core(proposal: &SignedProposal) -> mc::SignedProposal<Bft> {
    let message = Proposal {
        height: CoreHeight(proposal.height),
        round: round_to_core(proposal.round),
        value: Value(proposal.block),
        pol_round: proposal.pol_round.map_or(mc::Round::Nil, round_to_core),
        proposer: Address(proposal.proposer),
    };
    mc::SignedMessage::new(message, proposal.signature)
}

pub(crate) fn proposal_from_core(proposal: &Proposal, signature: SignatureBytes) -> SignedProposal {
    SignedProposal {
        height: proposal.height.0,
        round: round_from_core(proposal.round),
        block: proposal.value.0,
        pol_round: optional_round(proposal.pol_round),
        proposer: proposal.proposer.0,
        signature,
    }
}

pub(crate) fn polka_to_core(certificate: &PolkaCertificate) -> mc::PolkaCertificate<Bft> {
    mc::PolkaCertificate {
        height: CoreHeight(certificate.height),
        round: round_to_core(certificate.round),
        value_id: certificate.block,
        polka_signatures: certificate
            .signatures
            .iter()
            .map(|(voter, signature)| mc::PolkaSignature::new(Address(*voter), *signature))
            .collect(),
    }
}

pub(crate) fn polka_from_core(certificate: &mc::PolkaCertificate<Bft>) -> PolkaCertificate {
    PolkaCertificate {
        height: certificate.height.0,
        round: round_from_core(certificate.round),
        block: certificate.value_id,
        signatures: certificate
            .polka_signatures
            .iter()
            .map(|entry| (entry.address.0, entry.signature))
            .collect(),
    }
}

pub(crate) fn round_certificate_to_core(
    certificate: &RoundCertificate,
) -> mc::RoundCertificate<Bft> {
    mc::RoundCertificate {
        height: CoreHeight(certificate.height),
        round: round_to_core(certificate.round),
        cert_type: match certificate.reason {
            RoundReason::Skip => mc::RoundCertificateType::Skip,
            RoundReason::Precommit => mc::RoundCertificateType::Precommit,
        },
        round_signatures: certificate
            .votes
            .iter()
            .map(|vote| {
                let value = value_to_core(vote.block);
                let kind = kind_to_core(vote.kind);
                mc::RoundSignature::new(kind, value, Address(vote.voter), vote.signature)
            })
            .collect(),
    }
}

pub(crate) fn round_certificate_from_core(
    certificate: &mc::RoundCertificate<Bft>,
) -> RoundCertificate {
    RoundCertificate {
        height: certificate.height.0,
        round: round_from_core(certificate.round),
        reason: match certificate.cert_type {
            mc::RoundCertificateType::Skip => RoundReason::Skip,
            mc::RoundCertificateType::Precommit => RoundReason::Precommit,
        },
        votes: certificate
            .round_signatures
            .iter()
            .map(|entry| RoundVote {
                kind: kind_from_core(entry.vote_type),
                block: value_from_core(&entry.value_id),
                voter: entry.address.0,
                signature: entry.signature,
            })
            .collect(),
    }
}
