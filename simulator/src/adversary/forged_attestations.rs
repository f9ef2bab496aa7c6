//! Attestations that nobody has signed.

use std::sync::Arc;

use conclave_sequencer::Message;
use conclave_types::{Attestation, BlockId, G2Bytes};

use super::{Letter, Means, Misbehaviour};

/// In the place of its own, some whose signature is another's, a point that is no signature, or no point.
pub(super) struct ForgedAttestations;

impl Misbehaviour for ForgedAttestations {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Some(attestation) = means.own_attestation(&letter.message) else { return vec![letter] };
        let mut forged = Attestation::clone(&attestation);
        let mut elsewhere = forged.commitment.clone();
        elsewhere.block = BlockId::ZERO;
        forged.signature = match means.random.below(2) {
            0 => means.attest(&elsewhere).unwrap_or_default(),
            _ => G2Bytes::ZERO,
        };
        means.count("forged_attestations");
        vec![letter.with(Message::Attestation(Arc::new(forged)))]
    }
}
