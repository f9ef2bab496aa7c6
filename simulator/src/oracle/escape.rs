//! Rollups may leave when what has settled has fallen too far behind L1, and come back when it has caught up: at just
//! the blocks that `docs/spec/settlement.md` has for it, whoever writes it down, and whenever.
//!
//! A rollup's chain then follows from L1 and from what any validator serves:
//!
//! ```text
//! batches settled at the latch ‖ queue from there to the resume point ‖ batches after the latch, without those entries
//! ```
//!
//! The shipped derivation makes each rollup's chain while it goes on ([`super::rollups`]). The oracle makes it once more
//! in the end, whether rollups left or not: every honest validator is read, all of them make one chain, and
//! nothing is lost, doubled or moved, by a way out and back or without: every entry is in it as the queue has it, and every leg
//! as it was told when its block was revealed, whatever a store makes of its batches later. Who followed the batches
//! live has to take back those above the latch.

use std::collections::BTreeMap;

use conclave_sequencer::archive;
use conclave_types::{
    Batch, BundleId, Height, ItemSource, L1Content, Outcome, RevealedBundle, RollupId,
};

use super::{Check, ESCAPE, Oracle, ensure, l1::Queue};
use crate::{
    disk::Disk,
    l1::{Escape, EscapeShown, Settled},
};

/// A time that rollups are away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Away {
    /// As the contract has to write it down.
    expected: Escape,
    /// What everyone had revealed when it began.
    revealed: Height,
}

/// What stands in a rollup's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An entry of the queue.
    Forced(u64),
    /// A leg of a bundle.
    Leg(BundleId, u16),
}

/// All times that rollups were away.
#[derive(Clone, Debug)]
pub(super) struct Escapes {
    /// How many L1 blocks the settled origin may fall behind.
    delay: u64,
    /// The origin before anything has settled.
    first: u64,
    times: Vec<Away>,
    /// How many of them are written down.
    written: u64,
    /// L1 blocks that were looked at, and those of them during which rollups were away.
    blocks: u64,
    blocks_away: u64,
    /// Batches that were told of, and that rollups take back.
    rolled_back: u64,
    /// Batches on top of one time away and below the next.
    between: u64,
    chains: BTreeMap<RollupId, Vec<Item>>,
    /// Legs of bundles, as the first validator told of each height that it revealed: as many as a run has.
    legs: BTreeMap<RollupId, Vec<(Height, Item)>>,
}

impl Escapes {
    pub(super) const fn new(delay: u64, first: u64) -> Self {
        Self {
            delay,
            first,
            times: Vec::new(),
            written: 0,
            blocks: 0,
            blocks_away: 0,
            rolled_back: 0,
            between: 0,
            chains: BTreeMap::new(),
            legs: BTreeMap::new(),
        }
    }

    /// What happened, by name, if there are contracts.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let returned = self.times.iter().filter(|away| away.expected.resumed_at > 0).count();
        let counters = [
            ("l1_escapes", count(self.times.len())),
            ("l1_returns", count(returned)),
            ("l1_escape_blocks", self.blocks_away),
            ("batches_rolled_back", self.rolled_back),
            ("batches_between_escapes", self.between),
        ];
        counters.into_iter().filter(|_| self.blocks > 0)
    }

    /// A block is revealed for the first time.
    pub(super) fn revealed(&mut self, height: Height, bundles: &[RevealedBundle]) {
        for bundle in bundles {
            let Outcome::Opened(legs) = &bundle.outcome else { continue };
            for (index, leg) in (0_u16..).zip(legs) {
                let told = self.legs.entry(leg.rollup).or_default();
                told.push((height, Item::Leg(bundle.id, index)));
            }
        }
    }

    /// The heights that had settled each time.
    pub(super) fn latches(&self) -> Vec<u64> {
        self.times.iter().map(|away| away.expected.height).collect()
    }

    /// Whether L1 shows each time to rollups, which go by that.
    fn is_written(&self) -> bool {
        u64::try_from(self.times.len()).is_ok_and(|all| all == self.written)
    }

    /// The height that had settled when rollups left, if they have not come back and L1 says so.
    pub(super) fn away_at(&self) -> Option<u64> {
        let last = self.times.last().filter(|_| self.is_written())?;
        (last.expected.resumed_at == 0).then_some(last.expected.height)
    }

    fn is_away(&self) -> bool {
        self.times.last().is_some_and(|away| away.expected.resumed_at == 0)
    }

    /// The time that has not ended.
    fn open(&mut self) -> Option<&mut Escape> {
        let last = self.times.last_mut().map(|away| &mut away.expected);
        last.filter(|expected| expected.resumed_at == 0)
    }

    /// L1 comes to a block, with that settled before it.
    pub(super) fn comes_to(&mut self, number: u64, settled: Option<&Settled>, revealed: Height) {
        let (height, origin, cursor) = settled
            .map_or((0, self.first, 0), |settled| (settled.height, settled.origin, settled.cursor));
        let due = origin.saturating_add(self.delay).saturating_add(1);
        if !self.is_away() && number >= due {
            let expected = Escape { latched_at: due, height, cursor, ..Escape::default() };
            self.times.push(Away { expected, revealed });
        }
    }

    /// The contract shows that after a block: `origins` are the settled one before the block and after each commitment
    /// that settles with it, and `entries` are in the queue before the block and after it. A return counts from where
    /// it stands among those commitments.
    pub(super) fn look(
        &mut self,
        number: u64,
        origins: &[u64],
        entries: (u64, u64),
        shown: &EscapeShown,
    ) -> Check {
        let wrong = |what: &str, expected: &dyn std::fmt::Debug| {
            format!("L1 block {number}: {what}, expected {expected:?}, the contract has {shown:?}")
        };
        let delay = self.delay;
        if let Some(newest) = shown.newest.filter(|newest| newest.resumed_at == number) {
            let point = newest.resume_point;
            let origin = shown.returned_after.and_then(|settled| origins.get(settled));
            let is_near = origin.is_some_and(|origin| origin.saturating_add(delay / 2) >= number);
            let fits = self.is_away() && is_near && (entries.0..=entries.1).contains(&point);
            ensure(fits, ESCAPE, || wrong("a return that is none", &(origins, entries)))?;
            if let Some(expected) = self.open() {
                (expected.resumed_at, expected.resume_point) = (number, point);
            }
        }
        self.written = shown.count;
        let is_away = self.is_away();
        self.blocks = self.blocks.saturating_add(1);
        self.blocks_away = self.blocks_away.saturating_add(u64::from(is_away));
        ensure(shown.is_active == is_away, ESCAPE, || wrong("active or not", &is_away))?;
        let all = u64::try_from(self.times.len()).unwrap_or(u64::MAX);
        // The next transaction that has to know writes it down.
        let may_lack = is_away && origins.len() == 1;
        let written = usize::try_from(shown.count).unwrap_or(usize::MAX);
        let fits = shown.count == all || may_lack && shown.count.saturating_add(1) == all;
        ensure(fits, ESCAPE, || wrong("times that rollups left", &all))?;
        let expected = written.checked_sub(1).and_then(|last| self.times.get(last));
        let expected = expected.map(|away| away.expected);
        ensure(shown.newest == expected, ESCAPE, || wrong("the last of them", &expected))
    }

    /// Of a rollup's batches, what was told of and taken back each time, and what came in between.
    fn count_batches(&mut self, batches: &[Batch]) {
        let heights = || batches.iter().map(|batch| batch.height);
        let back = self.times.iter().map(|away| {
            let latch = Height::new(away.expected.height);
            heights().filter(|height| latch < *height && *height <= away.revealed).count()
        });
        let latches = self.latches();
        let between = latches.iter().zip(latches.iter().skip(1)).map(|(one, next)| {
            heights().filter(|height| *one < height.as_u64() && height.as_u64() <= *next).count()
        });
        let sum = |counts: usize| u64::try_from(counts).unwrap_or(u64::MAX);
        let (back, between) = (sum(back.sum()), sum(between.sum()));
        self.rolled_back = self.rolled_back.saturating_add(back);
        self.between = self.between.saturating_add(between);
    }

    /// A rollup's chain, by its batches and by its entries in the queue.
    fn chain(&self, batches: &[Batch], entries: &[u64]) -> Vec<Item> {
        let (mut chain, mut rest, mut from) = (Vec::new(), batches, 0);
        for Away { expected, .. } in &self.times {
            let settled = rest.partition_point(|batch| batch.height.as_u64() <= expected.height);
            let (before, after) = rest.split_at_checked(settled).unwrap_or_default();
            chain.extend(items(before).filter(|item| is_above(item, from)));
            let is_open = expected.resumed_at == 0;
            let until = if is_open { u64::MAX } else { expected.resume_point };
            let since = expected.cursor.max(from);
            let queued = entries.iter().filter(|index| since <= **index && **index < until);
            chain.extend(queued.copied().map(Item::Forced));
            (rest, from) = (after, from.max(until));
            if is_open {
                return chain;
            }
        }
        chain.extend(items(rest).filter(|item| is_above(item, from)));
        chain
    }

    /// Every entry of the queue that is carried or forced on a rollup, and every leg that it was told of, up to a
    /// height that everyone has revealed; each once, in the queue's order and in that of the blocks.
    fn everything(
        &self,
        rollup: RollupId,
        entries: &[u64],
        (height, carried): (Height, u64),
    ) -> (Vec<Item>, Vec<Item>) {
        let last = self.times.last().map(|away| away.expected);
        let (until, latched) = match last {
            Some(last) if last.resumed_at == 0 => (u64::MAX, Height::new(last.height)),
            Some(last) => (carried.max(last.resume_point), height),
            None => (carried, height),
        };
        let forced = entries.iter().filter(|index| **index < until).copied().map(Item::Forced);
        let told = self.legs.get(&rollup).map(Vec::as_slice).unwrap_or_default();
        let legs = told.iter().filter(|(at, _)| *at <= height.min(latched));
        (forced.collect(), legs.map(|(_, leg)| *leg).collect())
    }
}

fn items(batches: &[Batch]) -> impl Iterator<Item = Item> {
    batches.iter().flat_map(|batch| &batch.items).map(|item| of_source(&item.source))
}

pub(super) const fn of_source(source: &ItemSource) -> Item {
    match source {
        ItemSource::Forced(forced) => Item::Forced(forced.index),
        ItemSource::Leg(leg) => Item::Leg(leg.bundle, leg.leg),
    }
}

/// Whether an item is none of the entries before `from`.
const fn is_above(item: &Item, from: u64) -> bool {
    match item {
        Item::Forced(index) => *index >= from,
        Item::Leg(..) => true,
    }
}

impl Oracle {
    /// With another delay than that of a network as it is deployed.
    #[must_use]
    pub(crate) const fn with_escape(mut self, delay: u64) -> Self {
        self.escapes.delay = delay;
        self
    }

    /// Whether rollups are away.
    #[must_use]
    pub(crate) fn is_away(&self) -> bool {
        self.escapes.is_away()
    }

    /// The run is over, and somebody reads a validator's batches of every rollup.
    pub(crate) fn reads(&mut self, node: u16, disk: &Disk) {
        if !self.honest.contains(&node) {
            return;
        }
        for rollup in self.queue.rollups() {
            let batches = archive::batches(disk, rollup, 0, usize::MAX).unwrap_or_default();
            let check = self.chain_holds(node, rollup, batches);
            self.note(check);
        }
    }

    /// All have been read: of no rollup that has batches is there nobody who has them from the first on.
    pub(crate) fn all_read(&mut self) {
        let lost = self.queue.rollups().into_iter().find(|rollup| {
            self.chain.has_batches(*rollup) && !self.escapes.chains.contains_key(rollup)
        });
        self.note(ensure(lost.is_none(), ESCAPE, || {
            format!("nobody has the batches of a rollup from the first one on: {lost:?}")
        }));
    }

    fn chain_holds(&mut self, node: u16, rollup: RollupId, mut batches: Vec<Batch>) -> Check {
        // Everyone has come so far.
        let until = self.chain.revealed_by_all();
        batches.retain(|batch| batch.height <= until);
        if batches.first().is_some_and(|first| first.sequence > 0) {
            // It has nothing of what came before it joined, or lost its disk.
            return Ok(());
        }
        let entries = entries_of(&self.queue, rollup);
        let escapes = &mut self.escapes;
        let chain = escapes.chain(&batches, &entries);
        let carried = self.queue.cursor_at(until);
        let (forced, legs) = escapes.everything(rollup, &entries, (until, carried));
        let (is_forced, is_leg): (Vec<_>, Vec<_>) =
            chain.iter().copied().partition(|item| matches!(item, Item::Forced(_)));
        let is_first = !escapes.chains.contains_key(&rollup);
        let before = escapes.chains.entry(rollup).or_insert_with(|| chain.clone());
        let is_same = *before == chain;
        ensure(is_same && is_forced == forced && is_leg == legs, ESCAPE, || {
            format!(
                "validator {node}, rollup {rollup}: {} entries and {} legs make its chain, \
                 expected {} and {}; the same as of the first reader: {is_same}",
                is_forced.len(),
                is_leg.len(),
                forced.len(),
                legs.len()
            )
        })?;
        if !is_first {
            return Ok(());
        }
        escapes.count_batches(&batches);
        // What L1 has not written down yet, rollups cannot know.
        let followers = self.followers.up_to(rollup, until);
        for (who, executed) in followers.into_iter().filter(|_| self.escapes.is_written()) {
            ensure(executed == chain, ESCAPE, || {
                let place = executed.iter().zip(&chain).take_while(|(a, b)| a == b).count();
                format!(
                    "{who:?}: rollup {rollup} has executed {} items, expected {}; from {place} on it has {:?}, \
                     expected {:?}",
                    executed.len(),
                    chain.len(),
                    executed.get(place),
                    chain.get(place)
                )
            })?;
        }
        Ok(())
    }
}

/// The places in the queue of what was forced into a rollup.
fn entries_of(queue: &Queue, rollup: RollupId) -> Vec<u64> {
    let is_of = |content: &L1Content| match content {
        L1Content::Forced(forced) => forced.rollup == rollup,
        L1Content::Deposit(_) | L1Content::Withdrawal(_) => false,
    };
    queue.entries().filter(|entry| is_of(&entry.content)).map(|entry| entry.index).collect()
}

#[cfg(test)]
mod tests {
    use conclave_types::{
        BatchItem, BlockId, Digest, ForcedRef, L1Origin, Leg, LegRef, PayerAddress, Time,
    };

    use super::*;

    const fn settled(height: u64, origin: u64, cursor: u64) -> Settled {
        let digest = Digest::ZERO;
        Settled { epoch: 0, height, digest, root: digest, origin, cursor }
    }

    const fn escape(latched_at: u64, resumed: (u64, u64)) -> Escape {
        let (resumed_at, resume_point) = resumed;
        Escape { latched_at, height: 5, cursor: 3, resumed_at, resume_point }
    }

    const fn shown(is_active: bool, count: u64, newest: Option<Escape>) -> EscapeShown {
        EscapeShown { is_active, count, newest, returned_after: None }
    }

    /// With height 5 and entries up to 3 settled, whose origin is L1 block 10, and a delay of 16: what is due at 27.
    fn at(number: u64, found: EscapeShown) -> bool {
        let mut escapes = Escapes::new(16, 1);
        let before = settled(5, 10, 3);
        escapes.comes_to(number, Some(&before), Height::new(7));
        escapes.look(number, &[10], (3, 4), &found).is_ok()
    }

    #[test]
    fn rollups_are_away_from_the_block_on_at_which_too_little_had_settled() {
        let none = shown(false, 0, None);
        for (number, found, expected) in [
            (26, none, true),
            (26, shown(true, 0, None), false),
            (27, none, false),
            (27, shown(true, 0, None), true),
            (28, shown(true, 1, Some(escape(27, (0, 0)))), true),
            (28, shown(true, 1, Some(escape(28, (0, 0)))), false),
            (28, shown(true, 2, Some(escape(27, (0, 0)))), false),
            (28, shown(false, 1, Some(escape(27, (28, 4)))), false),
        ] {
            assert_eq!(at(number, found), expected, "{number}, {found:?}");
        }
        // Before anything has settled the network's own origin counts.
        let mut escapes = Escapes::new(16, 1);
        escapes.comes_to(18, None, Height::ZERO);
        assert!(escapes.open().is_some_and(|open| open.latched_at == 18 && open.height == 0));
    }

    #[test]
    fn what_settles_writes_it_down_and_the_return_ends_it() {
        let away = || {
            let mut escapes = Escapes::new(16, 1);
            escapes.comes_to(30, Some(&settled(5, 10, 3)), Height::new(7));
            escapes
        };
        let unwritten = shown(true, 0, None);
        assert!(away().look(30, &[10], (3, 4), &unwritten).is_ok());
        assert!(away().look(30, &[10, 29], (3, 4), &unwritten).is_err(), "a posting writes it");
        let back = |point, returned_after| EscapeShown {
            returned_after,
            ..shown(false, 1, Some(escape(27, (30, point))))
        };
        let returns = |origins: &[u64], point, after| {
            away().look(30, origins, (3, 4), &back(point, after)).is_ok()
        };
        assert!(returns(&[10, 22], 4, Some(1)));
        assert!(returns(&[10, 21, 22], 4, Some(2)));
        assert!(!returns(&[10, 21], 4, Some(1)), "it is too far behind");
        assert!(!returns(&[10, 22], 4, Some(0)), "what catches up comes after it");
        assert!(!returns(&[10, 21, 22], 4, Some(1)), "the same with two postings");
        assert!(!returns(&[10, 22], 4, None), "the block has no return");
        assert!(!returns(&[10, 22], 5, Some(1)), "there is no such entry");
        assert!(!returns(&[10, 22], 2, Some(1)), "that one is old");
        let mut escapes = away();
        assert!(escapes.look(30, &[10, 22], (3, 4), &back(4, Some(1))).is_ok());
        escapes.comes_to(31, Some(&settled(9, 22, 4)), Height::new(9));
        assert!(!escapes.is_away());
        let counters: BTreeMap<_, _> = escapes.counters().collect();
        assert_eq!((counters["l1_escapes"], counters["l1_returns"]), (1, 1));
    }

    fn batch(height: u64, forced: &[u64], bundle: Option<u8>) -> Batch {
        let source = |source| BatchItem { transaction: Vec::new(), source };
        let entry =
            |index: &u64| source(ItemSource::Forced(ForcedRef { index: *index, gas_limit: 7 }));
        let leg = |seed: u8| {
            let bundle = BundleId::new([seed; 32]);
            source(ItemSource::Leg(LegRef { bundle, leg: 1, legs: 2 }))
        };
        Batch {
            rollup: RollupId::new(901),
            sequence: 0,
            previous_height: Height::ZERO,
            height: Height::new(height),
            block: BlockId::ZERO,
            time: Time::from_micros(0),
            l1_origin: L1Origin::default(),
            randomness: Digest::ZERO,
            items: forced.iter().map(entry).chain(bundle.map(leg)).collect(),
        }
    }

    /// A bundle with a leg for each of two rollups.
    fn opened(seed: u8) -> RevealedBundle {
        let leg = |rollup| Leg { rollup: RollupId::new(rollup), transaction: Vec::new() };
        RevealedBundle {
            id: BundleId::new([seed; 32]),
            payer: PayerAddress::new([0; 20]),
            draw: Digest::ZERO,
            outcome: Outcome::Opened(vec![leg(902), leg(901)]),
        }
    }

    fn times(expected: &[Escape]) -> Escapes {
        let mut escapes = Escapes::new(16, 1);
        let away = |expected: &Escape| Away { expected: *expected, revealed: Height::new(7) };
        escapes.times.extend(expected.iter().map(away));
        escapes
    }

    #[test]
    fn a_chain_is_what_had_settled_and_the_queue_and_then_the_rest_without_what_it_has() {
        let leg = |seed| Item::Leg(BundleId::new([seed; 32]), 1);
        let forced = Item::Forced;
        let batches = [
            batch(2, &[0], Some(1)),
            batch(5, &[2], None),
            batch(6, &[], Some(2)),
            batch(8, &[3, 5, 6], Some(3)),
        ];
        // Entries 1 and 4 are of others.
        let entries = [0, 2, 3, 5, 6, 7];
        let away = escape(27, (40, 6));
        let expected =
            [forced(0), leg(1), forced(2), forced(3), forced(5), leg(2), forced(6), leg(3)];
        assert_eq!(times(&[away]).chain(&batches, &entries), expected);
        let all = [forced(0), leg(1), forced(2), leg(2), forced(3), forced(5), forced(6), leg(3)];
        assert_eq!(times(&[]).chain(&batches, &entries), all);
        // They left again before anything more had settled.
        let again = [away, Escape { resumed_at: 0, ..away }];
        let open = times(&again).chain(&batches, &entries);
        assert_eq!(
            open,
            [forced(0), leg(1), forced(2), forced(3), forced(5), forced(6), forced(7)]
        );
        let rollup = RollupId::new(901);
        for mut escapes in [times(&[]), times(&[away]), times(&again)] {
            for (height, seed) in [(2, 1), (6, 2), (8, 3), (9, 4)] {
                escapes.revealed(Height::new(height), &[opened(seed)]);
            }
            let chain = escapes.chain(&batches, &entries);
            // Somebody is at height 8 yet.
            let (forced, legs) = escapes.everything(rollup, &entries, (Height::new(8), 7));
            let is_forced = |item: &&Item| matches!(item, Item::Forced(_));
            assert!(chain.iter().filter(is_forced).eq(&forced), "{chain:?}");
            assert!(chain.iter().filter(|item| !is_forced(item)).eq(&legs), "{chain:?}");
        }
    }
}
