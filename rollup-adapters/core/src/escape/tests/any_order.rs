//! Whenever somebody comes to know of an escape, its chain is the same in the end: that of the specification, written
//! down here once more.

use proptest::{prelude::*, sample::Index};

use super::*;

const SECOND: RollupId = RollupId::new(902);

/// Entries up to an L1 block.
fn entries_up_to(entries: &[u64], number: u64) -> u64 {
    let place = usize::try_from(number.saturating_sub(1)).unwrap();
    entries.get(place).or(entries.last()).copied().unwrap()
}

/// A network's whole life: its batches, and L1.
#[derive(Clone, Debug)]
pub(super) struct Life {
    /// What entries of the queue leave over by 2 that are for the rollup: 0, or 1 for the second one.
    parity: u64,
    pub(super) batches: Vec<Batch>,
    /// From L1 block 2 on, how many entries the queue has up to each.
    entries: Vec<u64>,
    events: Vec<(u64, L1Event)>,
    /// Height and cursor at the latch, and resume point, if there was a return.
    pub(super) escapes: Vec<(u64, u64, Option<u64>)>,
}

impl Life {
    /// `gaps` are heights between batches, `queue` entries of each L1 block, and `turns` what happens on L1: how many
    /// L1 blocks pass, how many heights settle, and whether rollups leave or come back.
    pub(super) fn new(gaps: &[u64], queue: &[u64], turns: &[(usize, u64, bool)]) -> Self {
        let mut entries: Vec<u64> = vec![0];
        for count in queue {
            entries.push(entries.last().unwrap() + count);
        }
        let up_to = |number| entries_up_to(&entries, number);
        let (mut batches, mut height, mut carried) = (Vec::new(), 0, 0);
        for (sequence, gap) in (0..).zip(gaps) {
            let previous = height;
            height += gap;
            // A block's origin is half its height.
            let now = up_to(1 + height / 2);
            let forced = (carried..now).filter(|index| index % 2 == 0).map(Item::Forced);
            let leg = Item::Leg(u8::try_from(sequence).unwrap());
            let items: Vec<_> = forced.chain([leg]).collect();
            batches.push(batch(sequence, (previous, height), &items));
            carried = now;
        }
        let (mut settled_at, mut number, mut cursor, mut origin) = (0, 1_u64, 0, 1);
        let mut events = Vec::new();
        let mut escapes: Vec<(u64, u64, Option<u64>)> = Vec::new();
        for (pass, more, turns) in turns {
            number += u64::try_from(*pass).unwrap();
            let last = u64::try_from(queue.len()).unwrap();
            if number > last {
                break;
            }
            let at = (settled_at + more).min(2 * (number - 1)).min(height);
            if at > settled_at {
                origin = 1 + at / 2;
                (settled_at, cursor) = (at, up_to(origin));
                events.push((number, settled(settled_at, origin, cursor)));
            }
            if !turns {
                continue;
            }
            let escape = u64::try_from(escapes.len()).unwrap();
            match escapes.last_mut() {
                Some((_, _, resumed @ None)) => {
                    // Entries of this very block come after it, as well.
                    let point = (up_to(number - 1) + up_to(number)).div_ceil(2).max(cursor);
                    *resumed = Some(point);
                    events.push((number, returned(escape - 1, point)));
                }
                Some(_) | None if origin < number => {
                    escapes.push((settled_at, cursor, None));
                    events.push((number, latched(escape, number, settled_at, cursor)));
                }
                Some(_) | None => {}
            }
        }
        Self { parity: 0, batches, entries, events, escapes }
    }

    /// The same network and L1 for a second rollup, for which are the other entries, and in some blocks the other leg
    /// of the first one's bundle.
    pub(super) fn sibling(&self, has_leg: &[bool]) -> Self {
        let (mut batches, mut previous, mut carried): (Vec<Batch>, u64, u64) = (Vec::new(), 0, 0);
        for (of_first, has_leg) in self.batches.iter().zip(has_leg) {
            let height = of_first.height.as_u64();
            let now = entries_up_to(&self.entries, 1 + height / 2);
            let forced = (carried..now).filter(|index| index % 2 == 1).map(Item::Forced);
            let leg = Item::Leg(u8::try_from(of_first.sequence).unwrap());
            let items: Vec<_> = forced.chain(has_leg.then_some(leg)).collect();
            carried = now;
            if !items.is_empty() {
                let sequence = u64::try_from(batches.len()).unwrap();
                let of_second = batch(sequence, (previous, height), &items);
                batches.push(Batch { rollup: SECOND, ..of_second });
                previous = height;
            }
        }
        Self { parity: 1, batches, ..self.clone() }
    }

    pub(super) fn last_block(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    /// As the specification has it.
    pub(super) fn chain(&self) -> Vec<Item> {
        let of = |batch: &Batch| {
            let step = Step { sequence: 0, content: Content::Batch(batch.clone()) };
            items(&step)
        };
        let (mut chain, mut from, mut below) = (Vec::new(), 0, 0);
        let mut batches = self.batches.iter().peekable();
        let is_above = |item: &Item, below: u64| !matches!(item, Item::Forced(i) if *i < below);
        for (height, cursor, resumed) in &self.escapes {
            while let Some(batch) = batches.next_if(|batch| batch.height.as_u64() <= *height) {
                chain.extend(of(batch).into_iter().filter(|item| is_above(item, below)));
            }
            let until = resumed.unwrap_or(*self.entries.last().unwrap());
            from = (*cursor).max(from);
            let is_ours = |index: &u64| index % 2 == self.parity;
            chain.extend((from..until).filter(is_ours).map(Item::Forced));
            (from, below) = (from.max(until), below.max(until));
            if resumed.is_none() {
                return chain;
            }
        }
        chain.extend(batches.flat_map(of).filter(|item| is_above(item, below)));
        chain
    }

    fn block(&self, number: u64) -> QueueBlock {
        let place = usize::try_from(number).unwrap();
        queue(number, self.entries[place - 2]..self.entries[place - 1])
    }
}

/// A rollup, and whoever brings it things.
pub(super) struct Rollup {
    pub(super) derivation: Derivation,
    pub(super) executed: Vec<Vec<Item>>,
    /// Numbers below were settled on L1, and must stay.
    settled: u64,
}

impl Rollup {
    pub(super) fn new(life: &Life) -> Self {
        let derivation = Derivation::new(RollupId::new(901 + life.parity), l1(1, 0));
        Self { derivation, executed: Vec::new(), settled: 0 }
    }

    pub(super) fn learns(&mut self, life: &Life, until: u64) -> Option<Rollback> {
        let since = self.derivation.l1().number;
        let is_in = |(number, _): &&(u64, L1Event)| (since + 1..=until).contains(number);
        let events: Vec<_> = life.events.iter().filter(is_in).copied().collect();
        let rollback = self.derivation.observe(&span(since, until, &events)).unwrap();
        if let Some(Rollback { to_sequence, steps, .. }) = rollback {
            assert!(to_sequence >= self.settled, "{to_sequence} is below {}", self.settled);
            let to = usize::try_from(to_sequence).unwrap();
            assert_eq!(self.executed.len() - to, usize::try_from(steps).unwrap());
            assert!(steps > 0);
            self.executed.truncate(to);
        }
        self.settled = self.derivation.settled_sequence();
        assert!(self.derivation.next_sequence() >= self.settled);
        rollback
    }

    fn executes(&mut self, step: Step) {
        assert_eq!(step.sequence, u64::try_from(self.executed.len()).unwrap(), "without a gap");
        self.executed.push(items(&step));
    }

    /// Takes what comes next; whether there was anything.
    pub(super) fn goes_on(&mut self, life: &Life) -> bool {
        match self.derivation.need() {
            Need::Batch { sequence, .. } => {
                let place = usize::try_from(sequence).unwrap();
                let Some(batch) = life.batches.get(place) else {
                    let before = self.derivation.need();
                    let last = life.batches.last().map_or(0, |batch| batch.height.as_u64());
                    self.derivation.brought(Height::new(last.max(999)), sequence).unwrap();
                    return self.derivation.need() != before;
                };
                match self.derivation.batch(batch.clone()).unwrap() {
                    Taken::Step(step) => self.executes(step),
                    // Behind an escape that was over at once it may be the next, after all.
                    Taken::Held => {}
                    Taken::Seen => panic!("batch {sequence} was asked for"),
                }
                true
            }
            Need::Queue { above, .. } => {
                let next = (above + 1..=self.derivation.l1().number)
                    .map(|number| life.block(number))
                    .find(|block| !block.entries.is_empty());
                let Some(block) = next else { return false };
                if let Some(step) = self.derivation.queued(&block).unwrap() {
                    self.executes(step);
                }
                true
            }
            Need::Settlement => panic!("nobody is that far ahead"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_chain_is_the_same_whenever_somebody_learns_of_an_escape(
        gaps in prop::collection::vec(1..4_u64, 1..30),
        queue in prop::collection::vec(0..4_u64, 1..40),
        turns in prop::collection::vec((0..6_usize, 0..8_u64, any::<bool>()), 0..16),
        moves in prop::collection::vec((any::<Index>(), 0..6_usize, any::<bool>()), 0..20),
    ) {
        let life = Life::new(&gaps, &queue, &turns);
        let mut rollup = Rollup::new(&life);
        for (place, steps, restarts) in moves {
            let (newest, last) = (rollup.derivation.l1().number, life.last_block());
            let until = newest + u64::try_from(place.index(4)).unwrap();
            rollup.learns(&life, until.min(last));
            for _ in 0..steps {
                rollup.goes_on(&life);
            }
            if restarts {
                let bytes = borsh::to_vec(&rollup.derivation).unwrap();
                rollup.derivation = borsh::from_slice(&bytes).unwrap();
                // What came last comes again.
                let next = match rollup.derivation.need() {
                    Need::Batch { sequence, .. } => usize::try_from(sequence).unwrap(),
                    Need::Queue { .. } | Need::Settlement => usize::MAX,
                };
                for batch in life.batches.iter().take(next) {
                    let taken = rollup.derivation.batch(batch.clone());
                    prop_assert!(matches!(taken, Ok(Taken::Seen | Taken::Held)));
                }
            }
        }
        rollup.learns(&life, life.last_block());
        while rollup.goes_on(&life) {}
        prop_assert_eq!(rollup.executed.concat(), life.chain());
    }
}
