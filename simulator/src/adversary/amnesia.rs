//! A validator that forgets its lock: it votes and proposes in each round as if there had been none before.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use conclave_consensus::{ConsensusMessage, SignedProposal, SignedVote};
use conclave_sequencer::Message;
use conclave_types::{Block, BlockId, Height, Round, VoteKind};

use super::{Letter, Means, Misbehaviour};

/// Proposals that it remembers nevertheless; then it forgets all of them.
const MEMORY: usize = 1_024;

/// Prevotes for whatever is proposed, locked or not; and where it should propose again what a quorum has
/// prevoted for, it proposes something new.
#[derive(Default)]
pub(super) struct Amnesia {
    proposed: BTreeMap<(Height, Round), BlockId>,
}

impl Amnesia {
    fn note(&mut self, message: &Message) {
        if let Message::Consensus(ConsensusMessage::Proposal(proposal)) = message {
            if self.proposed.len() >= MEMORY {
                self.proposed.clear();
            }
            self.proposed.insert((proposal.height, proposal.round), proposal.block);
        }
    }

    fn vote(&self, means: &mut Means, vote: &SignedVote) -> Option<Message> {
        let proposed = *self.proposed.get(&(vote.height, vote.round))?;
        let later = vote.kind == VoteKind::Prevote && vote.round > Round::ZERO;
        if vote.voter.as_u16() != means.index || !later || vote.block == Some(proposed) {
            return None;
        }
        means.count("forgotten_locks");
        let vote = means.vote(vote, Some(proposed));
        Some(Message::Consensus(ConsensusMessage::Vote(vote.into())))
    }

    /// Another block than the one that it should propose again, and the proposal of it.
    fn proposal(&self, means: &mut Means, proposal: &SignedProposal) -> Option<[Message; 2]> {
        proposal.pol_round?;
        if proposal.proposer.as_u16() != means.index {
            return None;
        }
        let mut other = Block::clone(means.block(&proposal.block)?);
        other.header.time = other.header.time.after(Duration::from_micros(1));
        means.count("forgotten_locks");
        let fresh = SignedProposal { pol_round: None, ..proposal.clone() };
        let fresh = means.proposal(&fresh, other.id());
        let fresh = Message::Consensus(ConsensusMessage::Proposal(fresh.into()));
        Some([Message::Block(Arc::new(other)), fresh])
    }
}

impl Misbehaviour for Amnesia {
    fn incoming(&mut self, _: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        self.note(message);
        Vec::new()
    }

    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        self.note(&letter.message);
        match &letter.message {
            Message::Consensus(ConsensusMessage::Vote(vote)) => {
                let other = self.vote(means, vote);
                vec![other.map_or_else(|| letter.clone(), |other| letter.with(other))]
            }
            Message::Consensus(ConsensusMessage::Proposal(proposal)) => {
                match self.proposal(means, proposal) {
                    Some(other) => other.map(|message| letter.with(message)).into(),
                    None => vec![letter],
                }
            }
            _ => vec![letter],
        }
    }
}
