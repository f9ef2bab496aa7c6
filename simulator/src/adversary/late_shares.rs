//! Sends its decryption shares when the others have asked for them, and after.

use std::time::Duration;

use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Sends its shares when the others have asked for them, and after.
pub(super) struct LateShares;

impl Misbehaviour for LateShares {
    fn outgoing(&mut self, means: &mut Means, mut letter: Letter) -> Vec<Letter> {
        if matches!(letter.message, Message::Shares(_)) {
            means.count("late_shares");
            let delay = Duration::from_millis(means.random.below(3_000));
            letter.delay = letter.delay.saturating_add(delay);
        }
        vec![letter]
    }
}
