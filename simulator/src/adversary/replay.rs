//! Proposes blocks with a bundle of an earlier block in them.

use conclave_types::Block;

use super::{Means, means::forger::Forgery};

/// A bundle that was paid for is ordered once more.
pub(super) struct Replay;

impl Forgery for Replay {
    fn change(&mut self, means: &Means, block: &mut Block) {
        let here = &mut block.body.bundles;
        here.extend(means.decided_bundle().filter(|id| !here.contains(id)));
    }
}
