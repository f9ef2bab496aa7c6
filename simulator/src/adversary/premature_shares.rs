//! Sends its decryption shares for every block that is proposed, before anything is decided.

use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Sends its shares of every block that is proposed, at once and to everyone.
pub(super) struct PrematureShares;

impl Misbehaviour for PrematureShares {
    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Block(block) = message else { return Vec::new() };
        let Some(shares) = means.shares_of(block) else { return Vec::new() };
        means.count("premature_shares");
        means.others().map(|to| Letter::new(to, shares.clone())).collect()
    }
}
