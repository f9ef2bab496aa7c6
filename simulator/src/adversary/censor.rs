//! Leaves the bundles of one payer out of its blocks.

use conclave_types::{Block, BundleId};

use super::{Means, means::forger::Forgery};

/// Whose they are, its means say.
pub(super) struct Censor;

impl Forgery for Censor {
    fn change(&mut self, means: &Means, block: &mut Block) {
        let payer = |id: &BundleId| means.bundle(id).map(|bundle| bundle.header.payer);
        block.body.bundles.retain(|id| payer(id).is_none() || payer(id) != means.victim);
    }
}
