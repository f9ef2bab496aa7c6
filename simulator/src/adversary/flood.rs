//! More than anyone should have to hold: blocks that nobody proposes, votes from far ahead.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use conclave_consensus::{ConsensusMessage, SignedVote};
use conclave_sequencer::Message;
use conclave_types::{Block, Height, Round};

use super::{Letter, Means, Misbehaviour};

/// Copies of a block that it makes, each another block.
const COPIES: u64 = 300;

/// Sends hundreds of variants of every block that it sees; and its own votes for rounds far ahead.
#[derive(Default)]
pub(super) struct Flood {
    flooded: BTreeSet<Height>,
}

impl Misbehaviour for Flood {
    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Block(block) = message else { return Vec::new() };
        if !self.flooded.insert(block.header.height) {
            return Vec::new();
        }
        means.count("floods");
        let copy = |later: u64| {
            let mut copy = Block::clone(block);
            copy.header.time = copy.header.time.after(Duration::from_micros(later));
            Message::Block(Arc::new(copy))
        };
        let copies: Vec<Message> = (1..COPIES).map(copy).collect();
        let to = means.others();
        to.flat_map(|to| copies.iter().map(move |copy| Letter::new(to, copy.clone()))).collect()
    }

    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Message::Consensus(ConsensusMessage::Vote(vote)) = &letter.message else {
            return vec![letter];
        };
        if vote.voter.as_u16() != means.index {
            return vec![letter];
        }
        let mut ahead = SignedVote::clone(vote);
        ahead.round = Round::new(u32::try_from(means.random.below(1 << 20)).unwrap_or(1));
        let ahead = means.vote(&ahead, vote.block);
        let ahead = letter.with(Message::Consensus(ConsensusMessage::Vote(ahead.into())));
        vec![letter, ahead]
    }
}
