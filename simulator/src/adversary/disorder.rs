//! Proposes blocks with a payer's later bundles before its earlier ones.

use conclave_types::Block;

use super::{Means, means::forger::Forgery};

/// The bundles come in reverse.
pub(super) struct Disorder;

impl Forgery for Disorder {
    fn change(&mut self, _: &Means, block: &mut Block) {
        block.body.bundles.reverse();
    }
}
