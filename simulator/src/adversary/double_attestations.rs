//! Attests another history besides: two commitments for each height, both well signed.

use std::sync::Arc;

use conclave_sequencer::Message;
use conclave_types::{Attestation, Digest};

use super::{Letter, Means, Misbehaviour};

/// Everyone gets both.
pub(super) struct DoubleAttestations;

impl Misbehaviour for DoubleAttestations {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Some(attestation) = means.own_attestation(&letter.message) else { return vec![letter] };
        let mut other = Attestation::clone(&attestation);
        other.commitment.history_root = Digest::new([0xee; 32]);
        let Some(signature) = means.attest(&other.commitment) else { return vec![letter] };
        other.signature = signature;
        means.count("contradicting_attestations");
        let other = letter.with(Message::Attestation(Arc::new(other)));
        vec![letter, other]
    }
}
