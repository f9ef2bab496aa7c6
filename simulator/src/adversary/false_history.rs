//! A history that never was: whoever catches up here is shown other blocks than were decided.

use std::{sync::Arc, time::Duration};

use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Changes the first of the decided blocks that it hands out, and puts the old signatures under the new id.
pub(super) struct FalseHistory;

impl Misbehaviour for FalseHistory {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Message::Decided(blocks) = &letter.message else { return vec![letter] };
        let mut blocks = blocks.clone();
        if let Some(first) = blocks.first_mut() {
            means.count("false_histories");
            let decided = Arc::make_mut(first);
            let time = &mut decided.block.header.time;
            *time = time.after(Duration::from_micros(1));
            decided.certificate.block = decided.block.id();
        }
        vec![letter.with(Message::Decided(blocks))]
    }
}
