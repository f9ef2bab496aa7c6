//! Proposes blocks without the first entry that L1 asks for.

use conclave_types::Block;

use super::{Means, means::forger::Forgery};

/// The others move up.
pub(super) struct OmitEntry;

impl Forgery for OmitEntry {
    fn change(&mut self, _: &Means, block: &mut Block) {
        let entries = &mut block.body.l1_entries;
        if !entries.is_empty() {
            entries.remove(0);
        }
        for entry in entries {
            entry.index = entry.index.saturating_sub(1);
        }
    }
}
