//! Proposes blocks that name another digest of what is revealed.

use conclave_types::{Block, Digest};

use super::{Means, means::forger::Forgery};

/// As if others had been opened, or in another order.
pub(super) struct WrongReveal;

impl Forgery for WrongReveal {
    fn change(&mut self, _: &Means, block: &mut Block) {
        block.header.reveal_digest = Digest::new([5; 32]);
    }
}
