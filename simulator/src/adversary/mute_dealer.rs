//! Registers for a sharing and says nothing more, so that others wait for it.

use std::sync::Arc;

use conclave_encryption::Message as Content;
use conclave_sequencer::Message;
use conclave_types::SharingMessage;

use super::{Letter, Means, Misbehaviour, means::dealings::carries_dealing_of};

/// Never deals, and does not acknowledge either.
pub(super) struct MuteDealer;

impl Misbehaviour for MuteDealer {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let says_more = |message: &Arc<SharingMessage>| {
            !matches!(Content::decode(&message.content), Ok(Content::Register(_)))
        };
        match &letter.message {
            Message::Sharing(message) if says_more(message) => {
                means.count("withheld_dealings");
                Vec::new()
            }
            Message::Block(block) if carries_dealing_of(block, means.index) => Vec::new(),
            _ => vec![letter],
        }
    }
}
