//! Bad proposals: the shipped core makes a block, a forgery changes it, and the forger shows the changed one in its
//! place and signs what belongs to it, so that nothing but the change is wrong.
//!
//! A block is forged once: whoever is shown it is shown the same. It remembers each that it forged, one for each round
//! in which it proposes.

use std::{collections::BTreeMap, sync::Arc};

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::Message;
use conclave_types::{Block, BlockId, L1Origin};

use crate::adversary::{Letter, Means, Misbehaviour};

/// What is wrong with its blocks.
pub(crate) trait Forgery: Send {
    /// Changes a block. Roots and counts in its header are made to fit its body afterwards.
    fn change(&mut self, means: &Means, block: &mut Block);

    /// Whether a validator is shown the changed block; all are, unless there are to be two.
    fn shows_to(&self, _to: u16) -> bool {
        true
    }
}

/// Shows forged blocks instead of its own, and signs what belongs to them.
pub(crate) struct Forger<F> {
    forgery: F,
    forged: BTreeMap<BlockId, Arc<Block>>,
}

impl<F: Forgery + 'static> Forger<F> {
    /// One that forges like this.
    pub(crate) fn boxed(forgery: F) -> Box<dyn Misbehaviour> {
        Box::new(Self { forgery, forged: BTreeMap::new() })
    }
}

impl<F: Forgery> Forger<F> {
    fn forge(&mut self, means: &mut Means, block: &Arc<Block>) -> Arc<Block> {
        let id = block.id();
        if let Some(forged) = self.forged.get(&id) {
            return Arc::clone(forged);
        }
        let mut forged = (**block).clone();
        self.forgery.change(means, &mut forged);
        commit(&mut forged);
        if forged.header != block.header {
            means.count("forged_blocks");
        }
        let forged = Arc::new(forged);
        self.forged.insert(id, Arc::clone(&forged));
        forged
    }

    fn forged_id(&self, id: &BlockId) -> Option<BlockId> {
        self.forged.get(id).map(|block| block.id())
    }
}

/// Lets a block build on another L1 origin, and say nothing of what came up to its own.
pub(crate) fn build_on(block: &mut Block, origin: L1Origin) {
    if origin != block.header.l1_origin {
        block.body.l1_entries.clear();
        block.body.offers.clear();
        block.header.l1_origin = origin;
    }
}

/// Makes the header fit the body again.
fn commit(block: &mut Block) {
    let header = &mut block.header;
    header.l1_entries_root = block.body.l1_entries_root();
    header.bundle_root = block.body.bundle_root();
    header.bundle_count = u32::try_from(block.body.bundles.len()).unwrap_or(u32::MAX);
}

impl<F: Forgery> Misbehaviour for Forger<F> {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        if !self.forgery.shows_to(letter.to) {
            return vec![letter];
        }
        let message = match &letter.message {
            Message::Block(block) if block.header.proposer.as_u16() == means.index => {
                Message::Block(self.forge(means, block))
            }
            Message::Consensus(ConsensusMessage::Proposal(proposal)) => {
                match self.forged_id(&proposal.block) {
                    Some(id) if proposal.proposer.as_u16() == means.index => {
                        let proposal = means.proposal(proposal, id);
                        Message::Consensus(ConsensusMessage::Proposal(proposal.into()))
                    }
                    _ => return vec![letter],
                }
            }
            Message::Consensus(ConsensusMessage::Vote(vote)) => {
                let forged = vote.block.and_then(|id| self.forged_id(&id));
                match forged {
                    Some(id) if vote.voter.as_u16() == means.index => {
                        let vote = means.vote(vote, Some(id));
                        Message::Consensus(ConsensusMessage::Vote(vote.into()))
                    }
                    _ => return vec![letter],
                }
            }
            _ => return vec![letter],
        };
        vec![letter.with(message)]
    }
}
