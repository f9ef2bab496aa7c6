//! Proposes blocks with an entry of L1 that was carried before.

use conclave_types::{Block, L1Entry};

use super::{Means, means::forger::Forgery};

/// Remembers the last entry of its own block before.
#[derive(Default)]
pub(super) struct RepeatEntry {
    earlier: Option<L1Entry>,
}

impl Forgery for RepeatEntry {
    fn change(&mut self, _: &Means, block: &mut Block) {
        let last = block.body.l1_entries.last().cloned();
        let l1_block = block.header.l1_origin.number;
        if let Some(entry) = self.earlier.take() {
            block.body.l1_entries.push(L1Entry { l1_block, ..entry });
        }
        self.earlier = last;
    }
}
