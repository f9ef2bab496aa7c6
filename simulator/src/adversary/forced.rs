//! Proposals that carry something else than L1 asks for.

use conclave_types::{
    Block, CommitteeOffer, Deposit, Gwei, L1Content, L1Entry, L1Origin, PayerAddress,
    RESERVE_ENTRIES,
};

use super::Means;

/// What is wrong with what its blocks say of L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum L1Forgery {
    /// The first entry is left out, and the others move up.
    Omit,
    /// A deposit that nobody has made.
    Invent,
    /// The last entry in the place of the first.
    Reorder,
    /// The last entry of an earlier block once more.
    Repeat,
    /// The parent's origin, whatever has become final since.
    Stale,
    /// The origin of the genesis.
    Return,
    /// A committee that nobody has offered: its own validator, and the next.
    Offer,
}

/// Changes what a block says of L1. `earlier` is an entry that was carried before.
pub(super) fn change(
    forgery: L1Forgery,
    means: &Means,
    earlier: &mut Option<L1Entry>,
    block: &mut Block,
) {
    let parent = means.block(&block.header.parent).map(|parent| parent.header.l1_origin);
    let last = block.body.l1_entries.last().cloned();
    let entries = &mut block.body.l1_entries;
    match forgery {
        L1Forgery::Omit => {
            if !entries.is_empty() {
                entries.remove(0);
            }
            for entry in entries {
                entry.index = entry.index.saturating_sub(1);
            }
        }
        L1Forgery::Invent => {
            let next = last.map(|entry| entry.index.saturating_add(1));
            let (payer, amount) = (PayerAddress::new([0xee; 20]), Gwei::new(1_000_000_000));
            let content = L1Content::Deposit(Deposit { payer, amount });
            let l1_block = block.header.l1_origin.number;
            if let Some(index) = next.filter(|_| entries.len() < RESERVE_ENTRIES) {
                entries.push(L1Entry { index, l1_block, content });
            }
        }
        L1Forgery::Reorder => {
            let contents: Vec<_> = entries.iter().map(|entry| entry.content.clone()).collect();
            for (entry, content) in entries.iter_mut().zip(contents.into_iter().rev()) {
                entry.content = content;
            }
        }
        L1Forgery::Repeat => {
            let l1_block = block.header.l1_origin.number;
            if let Some(entry) = earlier.take() {
                entries.push(L1Entry { l1_block, ..entry });
            }
            *earlier = last;
        }
        L1Forgery::Offer => {
            if parent.is_some_and(|parent| parent != block.header.l1_origin) {
                let own = usize::from(means.index);
                let members = means.genesis.members.iter().skip(own).take(2).cloned().collect();
                block.body.offers.truncate(CommitteeOffer::COUNT_MAX.saturating_sub(1));
                block
                    .body
                    .offers
                    .push(CommitteeOffer { epoch: block.header.epoch.next(), members });
            }
        }
        L1Forgery::Stale | L1Forgery::Return => {
            let origin = if forgery == L1Forgery::Stale { parent } else { None };
            let origin = origin.unwrap_or(means.genesis.l1_origin);
            if origin != block.header.l1_origin {
                entries.clear();
                block.body.offers.clear();
                block.header.l1_origin = origin;
            }
        }
    }
}

/// The L1 block after an origin, as nobody else sees it.
pub(super) const fn beside(origin: L1Origin) -> L1Origin {
    L1Origin { number: origin.number.saturating_add(1), hash: conclave_types::Digest::new([6; 32]) }
}
