//! Announces proposals and never hands out their blocks.

use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Its own blocks are kept; those of others it passes on.
pub(super) struct HiddenBlock;

impl Misbehaviour for HiddenBlock {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        match &letter.message {
            Message::Block(block) if block.header.proposer.as_u16() == means.index => {
                means.count("hidden_blocks");
                Vec::new()
            }
            _ => vec![letter],
        }
    }
}
