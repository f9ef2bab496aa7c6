//! A rollup's chain through an escape on L1: what it executes, in which order, and what it takes back.
//!
//! Rollups follow batches as they are revealed, and may leave when too little of them has settled
//! (`docs/spec/settlement.md`, "Escape and return"). Then L1 alone says how their chain goes on:
//!
//! ```text
//! batches settled at the latch ‖ queue from there to the resume point ‖ batches after the latch, without those entries
//!                              ▲
//!            Rollback { to_sequence }: what was executed of later batches before the latch was known
//! ```
//!
//! A driver holds a [`Derivation`] over time and does what [`Derivation::need`] says: it brings what L1 tells, the
//! next batch, or the next entries of the queue. Nothing is fetched, stored or waited for here, and nothing of what
//! does not fit yet is kept: a batch that belongs behind an escape is [`Taken::Held`] and asked for again later.
//!
//! **Only finalized L1 counts.** A latch, a return and an entry that L1 may still take back are not brought. So a
//! reorganization of the latch undoes nothing here, and a rollup rolls back later than it could, by L1's finality, but
//! never in vain. If what was brought as final is replaced all the same, [`EscapeError::Reorganized`] ends it: people
//! have to look. A latch counts when somebody has written it down, which what settles next does at the latest.
//!
//! **Invariants.** Steps are numbered 0, 1, 2, … without a gap; only a [`Rollback`] sets the number back, once an
//! escape at most, to no less than what had settled on finalized L1. Whenever a driver came to know of an escape, the
//! chain behind it is the same, by number and content. Each entry of the queue is in it once and in the queue's order,
//! each leg once and in the blocks' order. Whatever comes again changes nothing; what contradicts is refused by name,
//! and leaves all as it was.
//!
//! **Together.** Where an escape sends a rollup back to is a height, the same for all that are told the same of L1, however
//! far each had come: what is above is taken back and what is not stays. A bundle has all legs in one block, so it stays
//! in all of its rollups or in none, and comes again in all. Nobody tells several derivations at one instant: who runs
//! rollups that must not be seen apart brings all of them the same spans, batches up to the same heights and the same
//! blocks of the queue, one after another, and then they stand at one place after each.
//!
//! **Not here.** That a batch is what was ordered, and that none is left out below what a node says it has revealed,
//! is for proofs to show ([`crate::Prover`]); that a log is L1's, for whoever reads it. Times of batches that come
//! after the queue may lie before those of its blocks.

mod error;
mod seen;
mod step;

use std::collections::VecDeque;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Batch, ForcedRef, Height, ItemSource, L1Origin, RollupId};

use self::seen::{Change, Escape, Seen};
use crate::Cursor;

pub use self::{
    error::EscapeError,
    seen::{ESCAPES_MAX, L1Event, L1Span},
    step::{Content, Need, QueueBlock, QueueSlice, Rollback, Step, Taken},
};

/// Batches that a rollup executes before they settle: 8 bytes each, 32 MiB. At five a second that is more than a week,
/// the longest escape delay there may be. Beyond it a rollup waits for settlement ([`Need::Settlement`]).
pub const UNSETTLED_MAX: usize = 1 << 22;

/// A place in a rollup's chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Place {
    /// Number of the next step.
    sequence: u64,
    /// Where it stands among the batches.
    cursor: Cursor,
    /// Entries below this one were taken from the queue itself, or before.
    entries: u64,
    /// Those from this one on are in L1 blocks above this number.
    above: u64,
    /// Escapes that lie behind it.
    escapes: u64,
}

/// A rollup takes its transactions from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Away {
    /// The next entry.
    next: u64,
    /// It is in an L1 block above this number.
    above: u64,
}

/// The derivation of one rollup's chain.
///
#[doc = include_str!("escape/example.md")]
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Derivation {
    rollup: RollupId,
    seen: Seen,
    /// Behind everything that can never be taken back.
    base: Place,
    /// Heights of the batches after that, ascending, each above what has settled. At most [`UNSETTLED_MAX`].
    unsettled: VecDeque<Height>,
    /// None while batches are followed. Nothing is unsettled while there is one.
    away: Option<Away>,
}

impl Derivation {
    /// Before the first batch of a network whose genesis builds on the L1 block `first`.
    #[must_use]
    pub fn new(rollup: RollupId, first: L1Origin) -> Self {
        Self {
            rollup,
            seen: Seen::new(first),
            base: Place { above: first.number, ..Place::default() },
            unsettled: VecDeque::new(),
            away: None,
        }
    }

    /// Number of the next step.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.base.sequence.saturating_add(self.ahead())
    }

    /// Steps below this number are never taken back.
    #[must_use]
    pub const fn settled_sequence(&self) -> u64 {
        self.base.sequence
    }

    /// The newest L1 block that it knows: the next span begins with it.
    #[must_use]
    pub const fn l1(&self) -> L1Origin {
        self.seen.newest()
    }

    /// What has to be brought for the next step. Besides, what L1 tells is always welcome, and should come first.
    #[must_use]
    pub fn need(&self) -> Need {
        let pending = self.pending();
        if let Some(Away { next, above }) = self.away {
            let until = pending.and_then(Escape::resume_point);
            return Need::Queue { from: next, above, until };
        }
        if self.unsettled.len() >= UNSETTLED_MAX {
            return Need::Settlement;
        }
        let until = pending.map(|escape| escape.height);
        Need::Batch { sequence: self.cursor().next_sequence, until }
    }

    /// L1 has finalized more blocks.
    ///
    /// # Errors
    ///
    /// [`EscapeError`] if the span does not go on from [`Derivation::l1`], or contradicts itself or what came before.
    pub fn observe(&mut self, span: &L1Span) -> Result<Option<Rollback>, EscapeError> {
        let (seen, changes) = self.seen.after(span)?;
        if let Some(Away { next, .. }) = self.away {
            let point = seen.escape(self.base.escapes).and_then(Escape::resume_point);
            if let Some(point) = point.filter(|point| *point < next) {
                return Err(EscapeError::ResumeTooLow { expected: next, found: point });
            }
        }
        self.seen = seen;
        let mut rollback = None;
        for change in changes {
            match change {
                Change::Settled(height) => self.settles(height),
                Change::Latched => rollback = rollback.or(self.latched()),
            }
        }
        self.move_on();
        Ok(rollback)
    }

    /// Here is a batch: the step that it makes, or why there is none.
    ///
    /// # Errors
    ///
    /// [`EscapeError`] if it does not follow the batches before.
    pub fn batch(&mut self, mut batch: Batch) -> Result<Taken, EscapeError> {
        if batch.rollup != self.rollup {
            let (expected, found) = (self.rollup, batch.rollup);
            return Err(EscapeError::OtherRollup { expected, found });
        }
        if batch.sequence < self.cursor().next_sequence {
            return Ok(Taken::Seen);
        }
        self.is_not_late(&batch)?;
        if self.holds() {
            return Ok(Taken::Held);
        }
        self.follows(&batch)?;
        if self.pending().is_some_and(|escape| batch.height > escape.height) {
            // No batch is missing before this one, so all that had settled at the latch is there.
            self.leave();
            return Ok(Taken::Held);
        }
        let (sequence, from) = (self.next_sequence(), self.base.entries);
        batch.items.retain(|item| match item.source {
            ItemSource::Forced(ForcedRef { index, .. }) => index >= from,
            ItemSource::Leg(_) => true,
        });
        self.unsettled.push_back(batch.height);
        self.settles(self.seen.settled());
        self.move_on();
        Ok(Taken::Step(Step { sequence, content: Content::Batch(batch) }))
    }

    /// Whoever serves the batches says that all up to a height were brought, and what number comes next: a heartbeat's
    /// height and next sequence.
    ///
    /// # Errors
    ///
    /// [`EscapeError::Gap`] if some were not.
    pub fn brought(&mut self, height: Height, next_sequence: u64) -> Result<(), EscapeError> {
        let expected = self.cursor().next_sequence;
        let latch = self.pending().map(|escape| escape.height);
        if self.holds() || next_sequence < expected {
            return Ok(());
        }
        if next_sequence > expected {
            // What is missing may be above the latch, and is not wanted then.
            let is_missing = latch.is_none_or(|latch| height <= latch);
            let gap = EscapeError::Gap { expected, found: next_sequence };
            return (!is_missing).then_some(()).ok_or(gap);
        }
        if latch.is_some_and(|latch| latch <= height) {
            self.leave();
        }
        Ok(())
    }

    /// Here are all entries that the queue took in a final L1 block: the step that they make, if one is for this
    /// rollup.
    ///
    /// # Errors
    ///
    /// [`EscapeError`] if the block is not final yet, or its entries do not go on with the queue.
    pub fn queued(&mut self, block: &QueueBlock) -> Result<Option<Step>, EscapeError> {
        let number = block.origin.number;
        let newest = self.seen.newest().number;
        if number > newest {
            return Err(EscapeError::NotFinal { newest, found: number });
        }
        block.is_one_block()?;
        let Some(Away { next, above }) = self.away else { return Ok(None) };
        let Some(first) = block.entries.first().map(|entry| entry.index) else { return Ok(None) };
        if number <= above {
            return Ok(None);
        }
        // The block of the return before may have entries of that time, too; no other has any that were taken.
        let is_split = number == self.base.above.saturating_add(1);
        if first > next || first < next && !is_split {
            return Err(EscapeError::EntryMisplaced { expected: next, found: first });
        }
        let until = self.pending().and_then(Escape::resume_point).unwrap_or(u64::MAX);
        let after = block.entries.last().map_or(next, |last| last.index.saturating_add(1));
        let items = block.items(self.rollup, next..until);
        self.away = Some(Away { next: after.max(next), above: number });
        let step = (!items.is_empty()).then(|| {
            let sequence = self.base.sequence;
            self.base.sequence = sequence.saturating_add(1);
            let slice = QueueSlice { origin: block.origin, time: block.time, items };
            Step { sequence, content: Content::Queue(slice) }
        });
        self.move_on();
        Ok(step)
    }

    fn ahead(&self) -> u64 {
        u64::try_from(self.unsettled.len()).unwrap_or(u64::MAX)
    }

    /// Where it stands among the batches.
    fn cursor(&self) -> Cursor {
        let Cursor { next_sequence, last_height } = self.base.cursor;
        Cursor {
            next_sequence: next_sequence.saturating_add(self.ahead()),
            last_height: self.unsettled.back().copied().unwrap_or(last_height),
        }
    }

    /// The first escape that does not lie behind.
    fn pending(&self) -> Option<&Escape> {
        self.seen.escape(self.base.escapes)
    }

    /// Whether no batch is wanted.
    fn holds(&self) -> bool {
        self.away.is_some() || self.unsettled.len() >= UNSETTLED_MAX
    }

    /// A batch goes on where the ones before end.
    fn follows(&self, batch: &Batch) -> Result<(), EscapeError> {
        let Cursor { next_sequence, last_height } = self.cursor();
        let Batch { sequence, previous_height, height, .. } = *batch;
        if sequence != next_sequence {
            return Err(EscapeError::Gap { expected: next_sequence, found: sequence });
        }
        if previous_height != last_height || height <= last_height {
            let found = previous_height;
            return Err(EscapeError::Disconnected { sequence, expected: last_height, found });
        }
        Ok(())
    }

    /// A batch does not come behind an escape that it comes before, or while rollups are away: whoever served those
    /// before it left it out.
    fn is_not_late(&self, batch: &Batch) -> Result<(), EscapeError> {
        let behind = self.base.escapes.checked_sub(1).and_then(|last| self.seen.escape(last));
        let is_next = batch.sequence == self.cursor().next_sequence;
        let during = self.pending().filter(|_| self.away.is_some() && is_next);
        let latest = behind.into_iter().chain(during).map(|escape| escape.height).max();
        match latest.filter(|latch| batch.height <= *latch) {
            Some(latch) => {
                let (sequence, found) = (batch.sequence, batch.height);
                Err(EscapeError::BatchLate { sequence, latch, found })
            }
            None => Ok(()),
        }
    }

    /// What has settled is never taken back.
    fn settles(&mut self, height: Height) {
        while let Some(first) = self.unsettled.front().copied().filter(|first| *first <= height) {
            self.unsettled.pop_front();
            let base = &mut self.base;
            base.sequence = base.sequence.saturating_add(1);
            let next_sequence = base.cursor.next_sequence.saturating_add(1);
            base.cursor = Cursor { next_sequence, last_height: first };
        }
    }

    /// An escape has come to be known, right after what had settled then.
    fn latched(&mut self) -> Option<Rollback> {
        let (steps, height) = (self.ahead(), self.pending()?.height);
        if steps == 0 {
            return None;
        }
        // Something above what had settled was there, so all of that was.
        self.unsettled.clear();
        self.leave();
        Some(Rollback { to_sequence: self.base.sequence, steps, height })
    }

    /// All batches that had settled at the latch are there: the queue comes next.
    fn leave(&mut self) {
        self.away = self.away.or_else(|| self.way_out());
        self.move_on();
    }

    /// Where the queue is read from.
    fn way_out(&self) -> Option<Away> {
        let escape = self.pending()?;
        let next = escape.cursor.max(self.base.entries);
        Some(Away { next, above: escape.origin.max(self.base.above) })
    }

    /// Leaves and comes back for as long as nothing more is needed for it: at most once for each escape.
    fn move_on(&mut self) {
        while let Some(escape) = self.pending().copied() {
            let is_there = self.cursor().last_height >= escape.height;
            self.away = self.away.or_else(|| self.way_out().filter(|_| is_there));
            let (Some(Away { next, .. }), Some((point, resumed_at))) = (self.away, escape.resumed)
            else {
                return;
            };
            if next < point {
                return;
            }
            self.away = None;
            let base = &mut self.base;
            base.escapes = base.escapes.saturating_add(1);
            base.entries = base.entries.max(point);
            // The entries from there on may be in the very block of the return.
            base.above = base.above.max(resumed_at.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests;
