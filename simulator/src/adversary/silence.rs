//! Sending nothing, not to everyone, or late.

use std::time::Duration;

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Sends nothing at all.
pub(super) struct Silent;

impl Misbehaviour for Silent {
    fn outgoing(&mut self, means: &mut Means, _: Letter) -> Vec<Letter> {
        means.count("withheld_messages");
        Vec::new()
    }
}

/// Talks to half of the validators only.
pub(super) struct Partial;

impl Misbehaviour for Partial {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        if letter.to.is_multiple_of(2) {
            return vec![letter];
        }
        means.count("withheld_messages");
        Vec::new()
    }
}

/// Proposes and relays, and never votes.
pub(super) struct Abstain;

impl Misbehaviour for Abstain {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        if matches!(letter.message, Message::Consensus(ConsensusMessage::Vote(_))) {
            means.count("withheld_votes");
            return Vec::new();
        }
        vec![letter]
    }
}

/// Sends everything late, each message by a time of its own, up to the edge of the timeouts.
pub(super) struct Dawdle;

impl Misbehaviour for Dawdle {
    fn outgoing(&mut self, means: &mut Means, mut letter: Letter) -> Vec<Letter> {
        means.count("late_messages");
        let delay = Duration::from_millis(means.random.below(2_000));
        letter.delay = letter.delay.saturating_add(delay);
        vec![letter]
    }
}
