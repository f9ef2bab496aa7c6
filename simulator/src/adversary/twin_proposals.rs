//! Two proposals for one height and round. There is no block behind the second one.

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour, means::votes};

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
        let other = means.proposal(proposal, votes::NO_BLOCK);
        let mut other = letter.with(Message::Consensus(ConsensusMessage::Proposal(other.into())));
        if !letter.to.is_multiple_of(2) {
            other.delay = other.delay.saturating_add(votes::LATE);
        }
        vec![letter, other]
    }
}
