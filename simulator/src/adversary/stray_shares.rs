//! Sends its decryption shares of blocks that nobody proposed, while others are proposed.

use std::{sync::Arc, time::Duration};

use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Sends its shares of a block that nobody will decide: of what it would itself have proposed in place of each
/// proposal that it hears.
pub(super) struct StrayShares;

impl Misbehaviour for StrayShares {
    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Block(block) = message else { return Vec::new() };
        let mut other = Arc::unwrap_or_clone(Arc::clone(block));
        other.header.time = other.header.time.after(Duration::from_micros(1));
        let Some(shares) = means.shares_of(&other) else { return Vec::new() };
        means.count("stray_shares");
        means.others().map(|to| Letter::new(to, shares.clone())).collect()
    }
}
