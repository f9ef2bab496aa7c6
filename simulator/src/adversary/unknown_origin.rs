//! A one-sided origin: proposes blocks on an L1 block that nobody has seen.

use conclave_types::{Block, Digest, L1Origin};

use super::{Means, means::forger::Forgery};

/// The L1 block after the origin, as nobody else sees it.
pub(super) struct UnknownOrigin;

impl Forgery for UnknownOrigin {
    fn change(&mut self, _: &Means, block: &mut Block) {
        let number = block.header.l1_origin.number.saturating_add(1);
        block.header.l1_origin = L1Origin { number, hash: Digest::new([6; 32]) };
    }
}
