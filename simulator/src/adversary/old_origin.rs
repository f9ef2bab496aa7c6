//! Proposes blocks on the L1 origin of the genesis.

use conclave_types::Block;

use super::{
    Means,
    means::forger::{Forgery, build_on},
};

/// L1 goes back to its beginning, as far as its blocks say.
pub(super) struct OldOrigin;

impl Forgery for OldOrigin {
    fn change(&mut self, means: &Means, block: &mut Block) {
        build_on(block, means.genesis.l1_origin);
    }
}
