//! What contradicts a vote, and when a contradiction is late.

use std::time::Duration;

use conclave_consensus::{ConsensusMessage, SignedVote};
use conclave_sequencer::Message;
use conclave_types::BlockId;

use crate::adversary::{Letter, Means};

/// How late a late vote or proposal is: the height is over by then.
pub(crate) const LATE: Duration = Duration::from_millis(450);

/// A block that nobody has made.
pub(crate) const NO_BLOCK: BlockId = BlockId::new([7; 32]);

/// If a letter is its own vote, the opposite of it, to the same.
pub(crate) fn opposite(means: &Means, letter: &Letter) -> Option<Letter> {
    let Message::Consensus(ConsensusMessage::Vote(vote)) = &letter.message else { return None };
    if vote.voter.as_u16() != means.index {
        return None;
    }
    let vote: SignedVote = match vote.block {
        Some(_) => means.vote(vote, None),
        None => means.vote(vote, Some(NO_BLOCK)),
    };
    Some(letter.with(Message::Consensus(ConsensusMessage::Vote(vote.into()))))
}
