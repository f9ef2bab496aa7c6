//! Makes votes for nil look like votes for a block, under the voter's own signature, which is over the zero id if it
//! votes for nil.

use conclave_consensus::{ConsensusMessage, SignedVote};
use conclave_sequencer::Message;
use conclave_types::BlockId;

use super::{Letter, Means, Misbehaviour};

/// Passes on every vote for nil, to its voter too, as one for a block of the zero id.
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
