//! Judges certificates: distinct members, good signatures, enough voting power.

use std::collections::BTreeSet;

use conclave_types::ValidatorIndex;
use malachitebft_core_types::{
    self as mc, CertificateError, CommitCertificate, NilOrVal, PolkaCertificate, RoundCertificate,
    RoundCertificateType, SignedVote, ThresholdParam, ThresholdParams, ValidatorSet as _, VoteType,
};

use crate::context::{Address, Bft, ValidatorSet, Vote};

/// The verdict on a certificate.
pub(crate) type Verdict = Result<(), CertificateError<Bft>>;

/// Checks that `votes` are by distinct members, that `verify` accepts each, and that their voting
/// power meets `threshold`.
fn judge(
    votes: impl Iterator<Item = SignedVote<Bft>>,
    set: &ValidatorSet,
    threshold: ThresholdParam,
    mut verify: impl FnMut(&SignedVote<Bft>) -> bool,
) -> Verdict {
    let total = set.total_voting_power();
    let mut seen = BTreeSet::<ValidatorIndex>::new();
    let mut signed = 0_u64;
    for vote in votes {
        let Address(voter) = vote.message.voter;
        if !seen.insert(voter) {
            return Err(CertificateError::DuplicateVote(Address(voter)));
        }
        if set.get_by_address(&Address(voter)).is_none() {
            return Err(CertificateError::UnknownValidator(Address(voter)));
        }
        if !verify(&vote) {
            let entry = mc::CommitSignature::new(Address(voter), vote.signature);
            return Err(CertificateError::InvalidCommitSignature(entry));
        }
        signed = signed.saturating_add(set.power(voter));
    }
    if threshold.is_met(signed, total) {
        return Ok(());
    }
    let expected = threshold.min_expected(total);
    Err(CertificateError::NotEnoughVotingPower { signed, total, expected })
}

/// Judges precommits of one block.
pub(crate) fn commit(
    certificate: &CommitCertificate<Bft>,
    set: &ValidatorSet,
    thresholds: ThresholdParams,
    verify: impl FnMut(&SignedVote<Bft>) -> bool,
) -> Verdict {
    let votes = certificate.commit_signatures.iter().map(|entry| {
        let vote = Vote {
            kind: VoteType::Precommit,
            height: certificate.height,
            round: certificate.round,
            value: NilOrVal::Val(certificate.value_id),
            voter: entry.address,
        };
        SignedVote::new(vote, entry.signature)
    });
    judge(votes, set, thresholds.quorum, verify)
}

/// Judges prevotes of one block.
pub(crate) fn polka(
    certificate: &PolkaCertificate<Bft>,
    set: &ValidatorSet,
    thresholds: ThresholdParams,
    verify: impl FnMut(&SignedVote<Bft>) -> bool,
) -> Verdict {
    judge(certificate.votes(&Bft), set, thresholds.quorum, verify)
}

/// Judges votes that justify entering a round.
pub(crate) fn round(
    certificate: &RoundCertificate<Bft>,
    set: &ValidatorSet,
    thresholds: ThresholdParams,
    verify: impl FnMut(&SignedVote<Bft>) -> bool,
) -> Verdict {
    let threshold = match certificate.cert_type {
        RoundCertificateType::Precommit => {
            let stray = certificate
                .round_signatures
                .iter()
                .find(|entry| entry.vote_type == VoteType::Prevote);
            if let Some(stray) = stray {
                return Err(CertificateError::InvalidVoteType(stray.address));
            }
            thresholds.quorum
        }
        RoundCertificateType::Skip => thresholds.honest,
    };
    judge(certificate.votes(&Bft), set, threshold, verify)
}
