//! Proposes blocks with one of their bundles in them twice.

use conclave_types::Block;

use super::{Means, means::forger::Forgery};

/// The first one is the last one too.
pub(super) struct TwinBundles;

impl Forgery for TwinBundles {
    fn change(&mut self, _: &Means, block: &mut Block) {
        let first = block.body.bundles.first().copied();
        block.body.bundles.extend(first);
    }
}
