//! Proposes blocks that name another ledger digest.

use conclave_types::{Block, Digest};

use super::{Means, means::forger::Forgery};

/// Whose digest it is, nobody knows.
pub(super) struct WrongLedger;

impl Forgery for WrongLedger {
    fn change(&mut self, _: &Means, block: &mut Block) {
        block.header.ledger_digest = Digest::new([5; 32]);
    }
}
