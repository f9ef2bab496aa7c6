//! Sends no decryption shares: a quorum has to do without it.

use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Sends no shares.
pub(super) struct WithholdShares;

impl Misbehaviour for WithholdShares {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        if matches!(letter.message, Message::Shares(_)) {
            means.count("withheld_shares");
            return Vec::new();
        }
        vec![letter]
    }
}
