//! Proposes blocks with a bundle that nobody has.

use conclave_types::{Block, BundleId};

use super::{Means, means::forger::Forgery};

/// Whoever wants to vote looks for it in vain.
pub(super) struct UnknownBundle;

impl Forgery for UnknownBundle {
    fn change(&mut self, _: &Means, block: &mut Block) {
        block.body.bundles.push(BundleId::new([8; 32]));
    }
}
