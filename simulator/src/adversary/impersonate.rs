//! Votes in the name of others, under its own signature: whoever takes one without looking believes that an honest
//! validator contradicts itself.

use conclave_consensus::{ConsensusMessage, SignedVote};
use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Passes on every vote that it hears, and the opposite of it beside it, in the voter's name.
pub(super) struct Impersonate;

impl Misbehaviour for Impersonate {
    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Consensus(ConsensusMessage::Vote(vote)) = message else { return Vec::new() };
        if vote.voter.as_u16() == means.index || vote.block.is_none() {
            return Vec::new();
        }
        means.count("forged_votes");
        let mut forged = means.vote(vote, None);
        forged.voter = vote.voter;
        let forged: SignedVote = forged;
        let forged = Message::Consensus(ConsensusMessage::Vote(forged.into()));
        means.others().map(|to| Letter::new(to, forged.clone())).collect()
    }
}
