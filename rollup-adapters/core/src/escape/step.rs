//! What goes in and what comes out.

use std::ops::Range;

use conclave_types::{
    Batch, BatchItem, ForcedRef, Height, ItemSource, L1Content, L1Entry, L1Origin, RollupId, Time,
};

use super::EscapeError;

/// What a driver has to bring next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The batch of this number, or word that there is none up to a height.
    Batch {
        /// Its number.
        sequence: u64,
        /// Batches up to this height are wanted before the queue is; none if there is no escape ahead.
        until: Option<Height>,
    },
    /// Final blocks of L1 with entries, in their order.
    Queue {
        /// The next entry.
        from: u64,
        /// Its block is above this number.
        above: u64,
        /// Entries from this one on are not wanted; none while rollups are away.
        until: Option<u64>,
    },
    /// Nothing but what L1 tells: too much has been executed that has not settled.
    Settlement,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the next step.
    Step(Step),
    /// It was there before.
    Seen,
    /// It belongs behind an escape, or further ahead of settlement than anybody goes: it comes again when it is
    /// needed.
    Held,
}

/// The next thing that a rollup executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number in the rollup's chain: that of its batch until there is an escape.
    pub sequence: u64,
    /// What it is made of.
    pub content: Content,
}

/// What a step is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A batch, with the number that it was ordered under, and without entries that were taken from the queue itself.
    /// It may have nothing left. Proofs count its items with those entries.
    Batch(Batch),
    /// What was forced into the rollup in one L1 block.
    Queue(QueueSlice),
}

impl Step {
    /// What is executed, in order.
    #[must_use]
    pub fn items(&self) -> &[BatchItem] {
        match &self.content {
            Content::Batch(batch) => &batch.items,
            Content::Queue(slice) => &slice.items,
        }
    }
}

/// What was forced into a rollup in one L1 block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSlice {
    /// The L1 block.
    pub origin: L1Origin,
    /// Its time.
    pub time: Time,
    /// The transactions, in the queue's order. Not empty.
    pub items: Vec<BatchItem>,
}

/// All entries that the queue took in one L1 block, whoever they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueBlock {
    /// The L1 block.
    pub origin: L1Origin,
    /// Its time.
    pub time: Time,
    /// The entries, in their order.
    pub entries: Vec<L1Entry>,
}

impl QueueBlock {
    /// The entries are numbered without a gap, and are of this block.
    pub(super) fn is_one_block(&self) -> Result<(), EscapeError> {
        let expected = self.origin.number;
        for entry in &self.entries {
            let (index, found) = (entry.index, entry.l1_block);
            if found != expected {
                return Err(EscapeError::OtherBlock { index, expected, found });
            }
        }
        for (before, entry) in self.entries.iter().zip(self.entries.iter().skip(1)) {
            let expected = before.index.saturating_add(1);
            if entry.index != expected {
                return Err(EscapeError::EntryMisplaced { expected, found: entry.index });
            }
        }
        Ok(())
    }

    /// What is forced into a rollup by the entries of a range.
    pub(super) fn items(&self, rollup: RollupId, range: Range<u64>) -> Vec<BatchItem> {
        let entries = self.entries.iter().filter(|entry| range.contains(&entry.index));
        let item = |entry: &L1Entry| match &entry.content {
            L1Content::Forced(forced) if forced.rollup == rollup => {
                let place = ForcedRef { index: entry.index, gas_limit: forced.gas_limit };
                let transaction = forced.transaction.clone();
                Some(BatchItem { transaction, source: ItemSource::Forced(place) })
            }
            L1Content::Forced(_) | L1Content::Deposit(_) | L1Content::Withdrawal(_) => None,
        };
        entries.filter_map(item).collect()
    }
}

/// Everything from a number on is taken back: the next step has that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The number. It is this rollup's own.
    pub to_sequence: u64,
    /// How many steps that are: at least one.
    pub steps: u64,
    /// What had settled when rollups left: the place that all of them go back to. Batches above this height are taken
    /// back and no others, so of a bundle either every leg is, in whichever rollup, or none.
    pub height: Height,
}
