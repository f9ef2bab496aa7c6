//! Proposes blocks on its parent's L1 origin, whatever has become final since.

use conclave_types::Block;

use super::{
    Means,
    means::forger::{Forgery, build_on},
};

/// L1 stands still, as far as its blocks say.
pub(super) struct StaleOrigin;

impl Forgery for StaleOrigin {
    fn change(&mut self, means: &Means, block: &mut Block) {
        let parent = means.block(&block.header.parent).map(|parent| parent.header.l1_origin);
        build_on(block, parent.unwrap_or(means.genesis.l1_origin));
    }
}
