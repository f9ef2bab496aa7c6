//! Proposes and relays, and never votes.

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Votes are kept.
pub(super) struct Abstain;

impl Misbehaviour for Abstain {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        if matches!(letter.message, Message::Consensus(ConsensusMessage::Vote(_))) {
            means.count("withheld_votes");
            return Vec::new();
        }
        vec![letter]
    }
}
