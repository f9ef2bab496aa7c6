//! Proposes blocks with what L1 asks for in reverse.

use conclave_types::Block;

use super::{Means, means::forger::Forgery};

/// Numbers stay, and contents change places.
pub(super) struct ReorderEntries;

impl Forgery for ReorderEntries {
    fn change(&mut self, _: &Means, block: &mut Block) {
        let entries = &mut block.body.l1_entries;
        let contents: Vec<_> = entries.iter().map(|entry| entry.content.clone()).collect();
        for (entry, content) in entries.iter_mut().zip(contents.into_iter().rev()) {
            entry.content = content;
        }
    }
}
