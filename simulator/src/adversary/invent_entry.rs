//! Proposes blocks with a deposit that nobody has made.

use conclave_types::{Block, Deposit, Gwei, L1Content, L1Entry, PayerAddress, RESERVE_ENTRIES};

use super::{Means, means::forger::Forgery};

/// It comes after the last entry of a block that has room for one more.
pub(super) struct InventEntry;

impl Forgery for InventEntry {
    fn change(&mut self, _: &Means, block: &mut Block) {
        let entries = &mut block.body.l1_entries;
        let next = entries.last().map(|entry| entry.index.saturating_add(1));
        let (payer, amount) = (PayerAddress::new([0xee; 20]), Gwei::new(1_000_000_000));
        let content = L1Content::Deposit(Deposit { payer, amount });
        let l1_block = block.header.l1_origin.number;
        if let Some(index) = next.filter(|_| entries.len() < RESERVE_ENTRIES) {
            entries.push(L1Entry { index, l1_block, content });
        }
    }
}
