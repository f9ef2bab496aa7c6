//! Sends everything late, each message by a time of its own, up to the edge of the timeouts.

use std::time::Duration;

use super::{Letter, Means, Misbehaviour};

/// No letter waits longer than this, in milliseconds: the wait for a proposal in round 0.
const LATE_MS: u64 = 2_000;

/// Letters wait, and overtake each other.
pub(super) struct Dawdle;

impl Misbehaviour for Dawdle {
    fn outgoing(&mut self, means: &mut Means, mut letter: Letter) -> Vec<Letter> {
        means.count("late_messages");
        let delay = Duration::from_millis(means.random.below(LATE_MS));
        letter.delay = letter.delay.saturating_add(delay);
        vec![letter]
    }
}
