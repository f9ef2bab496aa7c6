//! Two votes for one height, round and step, or two proposals for one height and round.

use std::time::Duration;

use conclave_consensus::{ConsensusMessage, SignedVote};
use conclave_sequencer::Message;
use conclave_types::BlockId;

use super::{Letter, Means, Misbehaviour};

/// How late a late vote is: the height is over by then.
const LATE: Duration = Duration::from_millis(450);

/// Its own vote in a letter, and the opposite of it.
fn opposite(means: &Means, letter: &Letter) -> Option<Letter> {
    let Message::Consensus(ConsensusMessage::Vote(vote)) = &letter.message else { return None };
    if vote.voter.as_u16() != means.index {
        return None;
    }
    let vote: SignedVote = match vote.block {
        Some(_) => means.vote(vote, None),
        None => means.vote(vote, Some(BlockId::new([7; 32]))),
    };
    Some(letter.with(Message::Consensus(ConsensusMessage::Vote(vote.into()))))
}

/// Half of the validators get the honest vote, half its opposite, and one in four both.
pub(super) struct Equivocate;

impl Misbehaviour for Equivocate {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Some(opposite) = opposite(means, &letter) else { return vec![letter] };
        means.count("false_votes");
        match letter.to % 4 {
            0 => vec![letter, opposite],
            1 | 3 => vec![letter],
            _ => vec![opposite],
        }
    }
}

/// Everyone gets the honest vote at once, and its opposite when the height is over.
pub(super) struct EquivocateLate;

impl Misbehaviour for EquivocateLate {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Some(mut opposite) = opposite(means, &letter) else { return vec![letter] };
        means.count("false_votes");
        opposite.delay = opposite.delay.saturating_add(LATE);
        vec![letter, opposite]
    }
}

/// Each proposal is followed by one of another block, at once or when the height is over.
pub(super) struct TwinProposals;

impl Misbehaviour for TwinProposals {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Message::Consensus(ConsensusMessage::Proposal(proposal)) = &letter.message else {
            return vec![letter];
        };
        if proposal.proposer.as_u16() != means.index {
            return vec![letter];
        }
        means.count("false_proposals");
        let other = means.proposal(proposal, BlockId::new([7; 32]));
        let mut other = letter.with(Message::Consensus(ConsensusMessage::Proposal(other.into())));
        if !letter.to.is_multiple_of(2) {
            other.delay = other.delay.saturating_add(LATE);
        }
        vec![letter, other]
    }
}

/// Agrees with everyone: whoever votes for something gets its vote for the same.
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
