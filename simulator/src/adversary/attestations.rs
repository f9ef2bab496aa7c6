//! Attestations that contradict themselves, and some that nobody has signed.

use std::sync::Arc;

use conclave_sequencer::Message;
use conclave_types::{Attestation, Digest, G2Bytes};

use super::{Letter, Means, Misbehaviour};

fn own(means: &Means, message: &Message) -> Option<Arc<Attestation>> {
    let Message::Attestation(attestation) = message else { return None };
    (attestation.validator.as_u16() == means.index).then(|| Arc::clone(attestation))
}

/// Attests another history besides, well signed, to everyone: two commitments for each height.
pub(super) struct Contradict;

impl Misbehaviour for Contradict {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Some(attestation) = own(means, &letter.message) else { return vec![letter] };
        let mut other = Attestation::clone(&attestation);
        other.commitment.history_root = Digest::new([0xee; 32]);
        let Some(signature) = means.attest(&other.commitment) else { return vec![letter] };
        other.signature = signature;
        means.count("contradicting_attestations");
        let other = letter.with(Message::Attestation(Arc::new(other)));
        vec![letter, other]
    }
}

/// Sends attestations whose signature is another's, a point that is no signature, or no point.
pub(super) struct Forge;

impl Misbehaviour for Forge {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Some(attestation) = own(means, &letter.message) else { return vec![letter] };
        let mut forged = Attestation::clone(&attestation);
        let mut elsewhere = forged.commitment.clone();
        elsewhere.block = conclave_types::BlockId::ZERO;
        forged.signature = match means.random.below(2) {
            0 => means.attest(&elsewhere).unwrap_or_default(),
            _ => G2Bytes::ZERO,
        };
        means.count("forged_attestations");
        vec![letter.with(Message::Attestation(Arc::new(forged)))]
    }
}
