//! What L1 asks for is carried: from each origin to the next, everything that L1 has finalized in between, in
//! the queue's order and nothing else; forced transactions stand first.

use std::collections::{BTreeMap, BTreeSet};

use conclave_sequencer::L1Block;
use conclave_types::{
    BlockHeader, Digest, Genesis, Height, L1Content, L1Entry, L1Origin, RevealedBlock, RollupId,
};
use sha3::{Digest as _, Keccak256};

use super::{Check, QUEUE, ensure};
use crate::l1::QueueTip;

/// L1 as it is, and how far the chain has carried it.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    rollups: BTreeSet<RollupId>,
    /// What the genesis builds on, and the final blocks after it.
    first: L1Origin,
    finalized: Vec<L1Block>,
    /// The hash over all entries of these.
    hash: [u8; 32],
    entries: u64,
    origin: u64,
    decided: Height,
    /// Each height's origin, entries of the queue up to it, and what it carries.
    carried: BTreeMap<Height, (u64, u64, Vec<L1Entry>)>,
    forced: u64,
    deposits: u64,
    requests: u64,
    advances: u64,
}

impl Queue {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            rollups: genesis.rollups.iter().map(|rollup| rollup.id).collect(),
            first: genesis.l1_origin,
            finalized: Vec::new(),
            hash: [0; 32],
            entries: 0,
            origin: genesis.l1_origin.number,
            decided: Height::ZERO,
            carried: BTreeMap::new(),
            forced: 0,
            deposits: 0,
            requests: 0,
            advances: 0,
        }
    }

    /// A block is final. What it asks for is what the contract holds, if there is one, which keeps one hash over all.
    pub(super) fn finalized(&mut self, block: &L1Block, tip: Option<QueueTip>) -> Check {
        self.finalized.push(block.clone());
        for entry in &block.entries {
            self.hash = hash(&[&self.hash, &entry_hash(entry)]);
            self.entries = self.entries.saturating_add(1);
        }
        let found = QueueTip { count: self.entries, hash: Digest::new(self.hash) };
        ensure(tip.is_none_or(|tip| tip == found), QUEUE, || {
            format!("L1 block {} makes {found:?}, the contract has {tip:?}", block.origin.number)
        })
    }

    /// Number of the block that the genesis builds on.
    pub(super) const fn first(&self) -> u64 {
        self.first.number
    }

    /// Entries in the final blocks up to a number.
    pub(super) fn entries_up_to(&self, number: u64) -> u64 {
        let count = usize::try_from(number.saturating_sub(self.first.number));
        let blocks = self.finalized.iter().take(count.unwrap_or(usize::MAX));
        blocks.map(|block| u64::try_from(block.entries.len()).unwrap_or(u64::MAX)).sum()
    }

    /// Entries in all final blocks.
    pub(super) fn entries(&self) -> impl Iterator<Item = &L1Entry> {
        self.finalized.iter().flat_map(|block| &block.entries)
    }

    /// Rollups that there are.
    pub(super) fn rollups(&self) -> BTreeSet<RollupId> {
        self.rollups.clone()
    }

    /// Entries that the chain has carried up to a height.
    pub(super) fn cursor_at(&self, height: Height) -> u64 {
        self.carried.get(&height).map_or(0, |(_, cursor, _)| *cursor)
    }

    /// Number of the newest final block.
    pub(super) fn newest(&self) -> u64 {
        let count = u64::try_from(self.finalized.len()).unwrap_or(u64::MAX);
        self.first.number.saturating_add(count)
    }

    /// The origin of a decided height.
    pub(super) fn origin_at(&self, height: Height) -> u64 {
        self.carried.get(&height).map_or(self.first.number, |(origin, _, _)| *origin)
    }

    pub(super) const fn counters(&self) -> [(&'static str, u64); 4] {
        [
            ("forced_carried", self.forced),
            ("deposits_carried", self.deposits),
            ("requests_carried", self.requests),
            ("origin_advances", self.advances),
        ]
    }

    /// A height was decided; what it carries is looked at once.
    pub(super) fn decided(&mut self, header: &BlockHeader, entries: &[L1Entry]) -> Check {
        let (height, number) = (header.height, header.l1_origin.number);
        if height != self.decided.next() {
            return Ok(());
        }
        self.decided = height;
        let before = self.origin;
        ensure(number >= before, QUEUE, || {
            format!("height {height} goes back from L1 block {before} to {number}")
        })?;
        let index = |number: u64| {
            usize::try_from(number.saturating_sub(self.first.number)).unwrap_or(usize::MAX)
        };
        let hash = match index(number).checked_sub(1) {
            Some(place) => self.finalized.get(place).map(|block| block.origin.hash),
            None => Some(self.first.hash),
        };
        ensure(hash == Some(header.l1_origin.hash), QUEUE, || {
            format!("height {height} builds on L1 block {number}, which is not final or another")
        })?;
        let between = self.finalized.get(index(before)..index(number)).unwrap_or_default();
        let asked: Vec<_> = between.iter().flat_map(|block| &block.entries).collect();
        ensure(asked.iter().copied().eq(entries), QUEUE, || {
            format!("height {height}: L1 asks for {asked:?}, carried is {entries:?}")
        })?;
        self.origin = number;
        self.advances = self.advances.saturating_add(u64::from(number > before));
        for entry in entries {
            let count = match entry.content {
                L1Content::Forced(_) => &mut self.forced,
                L1Content::Deposit(_) => &mut self.deposits,
                L1Content::Withdrawal(_) => &mut self.requests,
            };
            *count = count.saturating_add(1);
        }
        let cursor = self.deposits.saturating_add(self.forced).saturating_add(self.requests);
        self.carried.insert(height, (number, cursor, entries.to_vec()));
        Ok(())
    }

    /// A block was revealed: its forced transactions are those that it carries, for rollups that there are.
    pub(super) fn revealed(&self, block: &RevealedBlock) -> Check {
        let height = block.height;
        let Some((_, cursor, entries)) = self.carried.get(&height) else { return Ok(()) };
        ensure(block.forced_cursor == *cursor, QUEUE, || {
            format!("height {height} names cursor {}, {cursor} entries came", block.forced_cursor)
        })?;
        let asked = entries.iter().filter_map(|entry| match &entry.content {
            L1Content::Forced(forced) => {
                Some((entry.index, forced, self.rollups.contains(&forced.rollup)))
            }
            L1Content::Deposit(_) | L1Content::Withdrawal(_) => None,
        });
        let found = block.forced.iter().map(|f| (f.index, &f.forced, f.carried));
        ensure(asked.eq(found), QUEUE, || {
            format!("height {height}: of {entries:?}, {:?} came out", block.forced)
        })
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    Keccak256::digest(parts.concat()).into()
}

/// An entry's hash, as `docs/spec/settlement.md` has it.
fn entry_hash(entry: &L1Entry) -> [u8; 32] {
    let place = [entry.index.to_be_bytes(), entry.l1_block.to_be_bytes()].concat();
    match &entry.content {
        L1Content::Forced(forced) => hash(&[
            b"conclave/forced/v1",
            &place,
            &forced.rollup.as_u64().to_be_bytes(),
            &forced.gas_limit.to_be_bytes(),
            &hash(&[&forced.transaction]),
        ]),
        L1Content::Deposit(deposit) => hash(&[
            b"conclave/deposit/v1",
            &place,
            deposit.payer.as_bytes(),
            &deposit.amount.as_u64().to_be_bytes(),
        ]),
        L1Content::Withdrawal(request) => hash(&[
            b"conclave/withdraw/v1",
            &place,
            request.payer.as_bytes(),
            request.recipient.as_bytes(),
            &request.amount.as_u64().to_be_bytes(),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::{
        BlockId, Deposit, Epoch, ForcedTransaction, Gwei, NetworkId, PayerAddress, RevealedForced,
        Time, ValidatorIndex,
    };

    use super::*;

    fn queue() -> Queue {
        let forced = |index, rollup| {
            let rollup = RollupId::new(rollup);
            let forced = ForcedTransaction { rollup, gas_limit: 7, transaction: vec![1] };
            L1Entry { index, l1_block: 1, content: L1Content::Forced(forced) }
        };
        let deposit = Deposit { payer: PayerAddress::ZERO, amount: Gwei::new(3) };
        let deposit = L1Entry { index: 2, l1_block: 2, content: L1Content::Deposit(deposit) };
        let blocks = [vec![forced(0, 901), forced(1, 777)], vec![deposit], vec![]];
        let block = |(number, entries)| L1Block {
            origin: origin(number),
            parent: Digest::ZERO,
            entries,
            offers: Vec::new(),
        };
        let mut queue = Queue {
            rollups: [RollupId::new(901)].into(),
            first: L1Origin::default(),
            finalized: vec![],
            hash: [0; 32],
            entries: 0,
            origin: 0,
            decided: Height::ZERO,
            carried: BTreeMap::new(),
            forced: 0,
            deposits: 0,
            requests: 0,
            advances: 0,
        };
        for block in (1..).zip(blocks).map(block) {
            assert_eq!(broken(queue.finalized(&block, None)), None);
        }
        queue
    }

    const fn origin(number: u64) -> L1Origin {
        let byte = if number == 0 { 0 } else { 9 };
        L1Origin { number, hash: Digest::new([byte; 32]) }
    }

    fn header(height: u64, l1_origin: L1Origin) -> BlockHeader {
        BlockHeader {
            network: NetworkId::ZERO,
            height: Height::new(height),
            parent: BlockId::ZERO,
            parent_certificate: Digest::ZERO,
            proposer: ValidatorIndex::new(0),
            time: Time::ZERO,
            epoch: Epoch::ZERO,
            l1_origin,
            l1_entries_root: Digest::ZERO,
            key_id: conclave_types::KeyId::ZERO,
            sharing_root: Digest::ZERO,
            bundle_root: Digest::ZERO,
            bundle_count: 0,
            revealed_height: Height::ZERO,
            reveal_digest: Digest::ZERO,
            ledger_digest: Digest::ZERO,
        }
    }

    fn broken(check: Check) -> Option<&'static str> {
        check.err().map(|violation| violation.promise)
    }

    #[test]
    fn whoever_carries_something_else_than_l1_asks_for_is_seen() {
        let asked = |queue: &Queue, blocks| {
            let between = queue.finalized.iter().take(blocks);
            between.flat_map(|block| block.entries.clone()).collect::<Vec<_>>()
        };
        let good = asked(&queue(), 2);
        let mut reordered = good.clone();
        reordered.swap(0, 1);
        let cases = [
            (origin(2), good.clone(), None),
            (origin(0), vec![], None),
            (origin(2), good[..2].to_vec(), Some(QUEUE)),
            (origin(2), reordered, Some(QUEUE)),
            (origin(1), good.clone(), Some(QUEUE)),
            (origin(4), good.clone(), Some(QUEUE)),
            (L1Origin { number: 2, hash: Digest::ZERO }, good.clone(), Some(QUEUE)),
        ];
        for (origin, entries, promise) in cases {
            let found = broken(queue().decided(&header(1, origin), &entries));
            assert_eq!(found, promise, "{origin:?}, {entries:?}");
        }
        let mut queue = queue();
        assert_eq!(broken(queue.decided(&header(1, origin(2)), &good)), None);
        assert_eq!(broken(queue.decided(&header(2, origin(2)), &good[2..])), Some(QUEUE), "twice");
        let mut queue = self::queue();
        assert_eq!(broken(queue.decided(&header(1, origin(2)), &good)), None);
        assert_eq!(broken(queue.decided(&header(2, origin(1)), &[])), Some(QUEUE), "back");
    }

    #[test]
    fn what_nodes_are_fed_and_the_contract_does_not_hold_is_seen() {
        let block = |entries: &[L1Entry]| L1Block {
            origin: origin(4),
            parent: Digest::ZERO,
            entries: entries.to_vec(),
            offers: Vec::new(),
        };
        let deposit = |amount| {
            let deposit = Deposit { payer: PayerAddress::ZERO, amount: Gwei::new(amount) };
            L1Entry { index: 3, l1_block: 4, content: L1Content::Deposit(deposit) }
        };
        let mut honest = queue();
        assert_eq!(broken(honest.finalized(&block(&[deposit(5)]), None)), None);
        let tip = QueueTip { count: 4, hash: Digest::new(honest.hash) };
        for (entries, promise) in [
            (vec![deposit(5)], None),
            (vec![deposit(6)], Some(QUEUE)),
            (vec![], Some(QUEUE)),
            (vec![deposit(5), deposit(5)], Some(QUEUE)),
        ] {
            let found = broken(queue().finalized(&block(&entries), Some(tip)));
            assert_eq!(found, promise, "{entries:?}");
        }
    }

    #[test]
    fn a_reveal_that_drops_or_moves_a_forced_transaction_is_seen() {
        let mut queue = queue();
        let entries: Vec<_> = queue.finalized[0].entries.clone();
        assert_eq!(broken(queue.decided(&header(1, origin(1)), &entries)), None);
        let forced = |(entry, carried): (&L1Entry, bool)| RevealedForced {
            index: entry.index,
            entry_hash: entry.hash(),
            forced: entry.forced().unwrap().clone(),
            carried,
        };
        let block = RevealedBlock {
            height: Height::new(1),
            block: BlockId::ZERO,
            time: Time::ZERO,
            epoch: Epoch::ZERO,
            l1_origin: origin(1),
            forced_cursor: 2,
            beacon: Digest::ZERO,
            forced: entries.iter().zip([true, false]).map(forced).collect(),
            bundles: vec![],
        };
        assert_eq!(broken(queue.revealed(&block)), None);
        type Break = fn(&mut RevealedBlock);
        let breaks: [Break; 4] = [
            |block| block.forced_cursor = 1,
            |block| block.forced.reverse(),
            |block| block.forced[1].carried = true,
            |block| block.forced.truncate(1),
        ];
        for (number, change) in breaks.iter().enumerate() {
            let mut other = block.clone();
            change(&mut other);
            assert_eq!(broken(queue.revealed(&other)), Some(QUEUE), "break {number}");
        }
    }
}
