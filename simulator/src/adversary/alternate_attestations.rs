//! Attests another history at odd heights and its own at even ones: never two commitments at one height.

use std::sync::Arc;

use conclave_sequencer::Message;
use conclave_types::{Attestation, BlockCommitment, Digest};

use super::{Letter, Means, Misbehaviour};

/// The ends of epochs it attests as they are, since nobody follows a chain whose epoch has none.
pub(super) struct AlternateAttestations;

impl AlternateAttestations {
    const fn lies_at(commitment: &BlockCommitment) -> bool {
        !commitment.height.as_u64().is_multiple_of(2) && commitment.epoch_end.is_none()
    }
}

impl Misbehaviour for AlternateAttestations {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        // Its own core knows nothing of the other history, and would show who asks that it has attested this one, too.
        if let Message::Certificate(certificate) = &letter.message {
            return if Self::lies_at(&certificate.commitment) { vec![] } else { vec![letter] };
        }
        let Some(attestation) = means.own_attestation(&letter.message) else { return vec![letter] };
        if !Self::lies_at(&attestation.commitment) {
            return vec![letter];
        }
        let mut other = Attestation::clone(&attestation);
        other.commitment.history_root = Digest::new([0xee; 32]);
        let Some(signature) = means.attest(&other.commitment) else { return vec![letter] };
        other.signature = signature;
        means.count("alternating_attestations");
        vec![letter.with(Message::Attestation(Arc::new(other)))]
    }
}
