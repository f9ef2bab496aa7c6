//! Agrees with everyone: each validator hears that it votes for the same.

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Whoever votes for something gets its vote for that.
pub(super) struct Parrot;

impl Misbehaviour for Parrot {
    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Consensus(ConsensusMessage::Vote(vote)) = message else { return Vec::new() };
        let to = vote.voter.as_u16();
        if to == means.index {
            return Vec::new();
        }
        means.count("false_votes");
        let same = means.vote(vote, vote.block);
        vec![Letter::new(to, Message::Consensus(ConsensusMessage::Vote(same.into())))]
    }
}
