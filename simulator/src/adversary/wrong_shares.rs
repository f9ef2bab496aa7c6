//! Sends decryption shares that are not of its key.

use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour, means::points};

/// Sends points that are not its shares.
pub(super) struct WrongShares;

impl Misbehaviour for WrongShares {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Message::Shares(message) = &letter.message else { return vec![letter] };
        means.count("false_shares");
        let mut shares = message.shares.clone();
        if let Some(first) = shares.first_mut() {
            *first = points::generator();
        }
        vec![letter.with(means.shares(message, shares))]
    }
}
