//! Claims to be far ahead, so that whoever is behind asks here, in vain.

use conclave_sequencer::Message;
use conclave_types::HeightDelta;

use super::{Letter, Means, Misbehaviour};

/// Says that it has decided a thousand heights more than it has, and hands out none.
pub(super) struct Boast;

impl Misbehaviour for Boast {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        match letter.message {
            Message::Status { decided, revealed } => {
                means.count("boasts");
                let decided = decided.saturating_add(HeightDelta::new(1_000));
                vec![letter.with(Message::Status { decided, revealed })]
            }
            Message::Decided(_) => Vec::new(),
            _ => vec![letter],
        }
    }
}
