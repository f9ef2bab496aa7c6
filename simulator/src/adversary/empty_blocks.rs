//! Leaves all bundles out of its blocks, however long they have waited.

use conclave_types::Block;

use super::{Means, means::forger::Forgery};

/// Everybody is censored.
pub(super) struct EmptyBlocks;

impl Forgery for EmptyBlocks {
    fn change(&mut self, _: &Means, block: &mut Block) {
        block.body.bundles.clear();
    }
}
