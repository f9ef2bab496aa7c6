//! Censorship of what L1 asks for: it votes for nil in place of a block that sees more of L1 than its parent.
//!
//! An honest validator carries what is forced as soon as a block covers it, so who wants to keep it out must keep the
//! chain's view of L1 where it is. More than a third can: of all blocks only those get a quorum that repeat their
//! parent's origin, and with `stale-origin` they propose such blocks themselves. Ordering goes on, and settles; what
//! ends it is L1, where that origin grows old and rollups leave.

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::Message;
use conclave_types::BlockId;

use super::{Letter, Means, Misbehaviour};

/// Keeps the chain from seeing more of L1.
pub(super) struct Blockade;

impl Misbehaviour for Blockade {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Message::Consensus(ConsensusMessage::Vote(vote)) = &letter.message else {
            return vec![letter];
        };
        let is_own = vote.voter.as_u16() == means.index;
        if !is_own || !vote.block.is_some_and(|id| moves_on(means, &id)) {
            return vec![letter];
        }
        means.count("blockades");
        let nil = means.vote(vote, None);
        vec![letter.with(Message::Consensus(ConsensusMessage::Vote(nil.into())))]
    }
}

/// Whether a block sees more of L1 than its parent, as far as that is known.
fn moves_on(means: &Means, id: &BlockId) -> bool {
    let Some(header) = means.block(id).map(|block| &block.header) else { return false };
    let parent = means.block(&header.parent).map(|parent| parent.header.l1_origin);
    header.l1_origin != parent.unwrap_or(means.genesis.l1_origin)
}
