//! More than anyone should have to hold: blocks for rounds that nobody will reach, votes from far ahead.

use std::{collections::BTreeSet, sync::Arc};

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::Message;
use conclave_types::{Height, Round};

use super::{Letter, Means, Misbehaviour};

/// Rounds for which it sends a block again.
const ROUNDS: u32 = 300;

/// Sends every block that it sees again, for hundreds of rounds; and its own votes for rounds far ahead.
#[derive(Default)]
pub(super) struct Flood {
    flooded: BTreeSet<Height>,
}

impl Misbehaviour for Flood {
    fn incoming(&mut self, means: &mut Means, message: &Message) -> Vec<Letter> {
        let Message::Block { block, .. } = message else { return Vec::new() };
        if !self.flooded.insert(block.header.height) {
            return Vec::new();
        }
        means.count("floods");
        let copies = (1..ROUNDS).map(|round| (Round::new(round.saturating_mul(1_000)), block));
        let copies =
            copies.map(|(round, block)| Message::Block { round, block: Arc::clone(block) });
        let copies: Vec<Message> = copies.collect();
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
        let mut ahead = vote.clone();
        ahead.round = Round::new(u32::try_from(means.random.below(1 << 20)).unwrap_or(1));
        let ahead = means.vote(&ahead, vote.block);
        let ahead = letter.with(Message::Consensus(ConsensusMessage::Vote(ahead)));
        vec![letter, ahead]
    }
}
