//! Votes in the name of others: whoever takes one without looking believes that an honest validator contradicts
//! itself.

use conclave_consensus::{ConsensusMessage, SignedVote};
use conclave_sequencer::Message;
use conclave_types::BlockId;

use super::{Letter, Means, Misbehaviour};

/// Under its own signature. Passes on every vote that it hears, and the opposite of it beside it, in the voter's name.
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

/// Under the voter's own signature, which is over the zero id if it votes for nil: passes on every vote for nil, to its
/// voter too, as one for a block of that id.
pub(super) struct DisguiseNil;

impl Misbehaviour for DisguiseNil {
    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Consensus(ConsensusMessage::Vote(vote)) = message else { return Vec::new() };
        if vote.block.is_some() {
            return Vec::new();
        }
        means.count("disguised_votes");
        let disguised = SignedVote { block: Some(BlockId::ZERO), ..(**vote).clone() };
        let disguised = Message::Consensus(ConsensusMessage::Vote(disguised.into()));
        means.others().map(|to| Letter::new(to, disguised.clone())).collect()
    }
}
