//! What one endpoint has shown of postings, and what it is to be asked next. Nothing of it depends on what another one says.
//!
//! ```text
//!            floor    at ─▶ next                    newest, as it says itself
//!  ────────────┴───────┴─────┴───────────────────────┴─▶ L1 blocks
//!   forgotten    known  again  never read
//! ```
//!
//! Blocks are read upwards, in pages that the endpoint serves, to the newest that it names; then again from a little below,
//! for what a reorganization has put there. What does not fit in is not passed over: reading waits until there is room, and
//! goes on where it was.
//!
//! **Invariants.** `next` never falls, and no block below it has an event that was not taken in, as the endpoint told it then.
//! An event leaves only when its transaction was read and compared, or was refused [`REFUSALS_MAX`] times.
//!
//! **Bounds.** [`OPEN_MAX`] events whose transactions are not read yet, and [`DONE_MAX`] that are done with: a quarter of a
//! megabyte. Blocks with events that are done with and forgotten are not read again, so whoever posts a great deal shortens
//! what is read again, and makes nobody read anything twice. Of one block more than [`OPEN_MAX`] events may be passed over;
//! one of Ethereum has room for some two hundred postings.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::Saturating,
    time::Duration,
};

use alloy::{primitives::B256, rpc::types::Log, sol_types::SolEvent as _};
use conclave_contracts::ConclaveInbox::Settled;
use conclave_types::{Epoch, Height};
use tokio::time::Instant;

/// Blocks of a page at most: what a node of one's own serves at once.
const SPAN_MAX: u64 = 10_000;
/// Blocks below the next that are read again: what a reorganization puts there was not there before.
pub(super) const AGAIN: u64 = 64;
/// Postings whose transactions are not read yet.
pub(super) const OPEN_MAX: usize = 1_024;
/// Postings that are done with.
pub(super) const DONE_MAX: usize = 1_024;
/// Postings that are looked up at once.
pub(super) const READY_MAX: usize = 64;
/// A transaction that the endpoint does not show is asked for again after this, and each time after twice as long; one that it
/// could not be asked for after just this.
pub(super) const RETRY: Duration = Duration::from_secs(30);
/// So often it is asked for: the last time a day and a half after the first.
pub(super) const REFUSALS_MAX: u32 = 13;

/// What an event says of a posting: in which L1 block, of which height, by which commitment, in which transaction. Told in
/// another block it is another event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event {
    pub(super) l1_block: u64,
    pub(super) epoch: Epoch,
    pub(super) height: Height,
    pub(super) commitment: B256,
    pub(super) transaction: B256,
}

impl Event {
    /// What a log tells; none if it is none of a posting.
    pub(super) fn read(log: &Log) -> Option<Self> {
        let told = Settled::decode_log(&log.inner).ok()?.data;
        Some(Self {
            l1_block: log.block_number?,
            epoch: Epoch::new(told.epoch),
            height: Height::new(told.height),
            commitment: told.commitment,
            transaction: log.transaction_hash?,
        })
    }
}

/// When a transaction is asked for, and how often it was not shown.
#[derive(Clone, Copy, Debug)]
struct Turn {
    not_before: Instant,
    refusals: Saturating<u32>,
}

/// What one endpoint has shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The first block that was never read.
    next: u64,
    /// The block to ask for next: that one, or one below which is read again.
    at: u64,
    /// The first block of which nothing was forgotten.
    floor: u64,
    /// How many blocks it is asked for at once.
    span: u64,
    /// Whose transactions are to be read.
    open: BTreeMap<Event, Turn>,
    /// Those that are done with.
    done: BTreeSet<Event>,
}

impl Shown {
    /// Nothing yet; `since` is the first block of use.
    pub(super) const fn new(since: u64) -> Self {
        Self {
            next: since,
            at: since,
            floor: since,
            span: SPAN_MAX,
            open: BTreeMap::new(),
            done: BTreeSet::new(),
        }
    }

    /// Whether all blocks up to that one were read.
    pub(super) const fn is_through(&self, newest: u64) -> bool {
        self.at > newest
    }

    /// Begins again, a little below what was read.
    pub(super) fn turn_back(&mut self) {
        self.at = self.next.saturating_sub(AGAIN).max(self.floor);
        self.done.retain(|event| event.l1_block >= self.at);
    }

    /// The blocks to ask for; none if it has shown all up to its newest, or as much as there is room for.
    pub(super) fn blocks(&self, newest: u64) -> Option<(u64, u64)> {
        let is_wanted = !self.is_through(newest) && self.open.len() < OPEN_MAX;
        is_wanted
            .then(|| (self.at, self.at.saturating_add(self.span.saturating_sub(1)).min(newest)))
    }

    /// It has answered for these blocks.
    pub(super) fn hear(&mut self, now: Instant, (from, to): (u64, u64), mut events: Vec<Event>) {
        events.retain(|event| (from..=to).contains(&event.l1_block));
        // Where there is no more room, what comes first in the chain is in.
        events.sort_unstable();
        self.span = self.span.saturating_add(self.span / 16 + 1).min(SPAN_MAX);
        for event in events {
            if self.open.contains_key(&event) || self.done.contains(&event) {
                continue;
            }
            if self.open.len() >= OPEN_MAX {
                return self.reach(event.l1_block);
            }
            self.open.insert(event, Turn { not_before: now, refusals: Saturating(0) });
        }
        self.reach(to.saturating_add(1));
    }

    fn reach(&mut self, block: u64) {
        self.at = block;
        self.next = self.next.max(block);
    }

    /// It has not, and is asked for fewer; says whether it can be.
    pub(super) fn narrow(&mut self, (from, to): (u64, u64)) -> bool {
        let beyond_first = to.saturating_sub(from);
        self.span = (beyond_first / 2).max(1);
        beyond_first > 0
    }

    /// Whether no transaction is to be read.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// The postings that can be compared with a chain that has come to an epoch and a height, and whose turn it is.
    pub(super) fn ready(&self, now: Instant, (epoch, revealed): (Epoch, Height)) -> Vec<Event> {
        let known = self.open.iter().filter(|(event, turn)| {
            event.epoch <= epoch && event.height <= revealed && turn.not_before <= now
        });
        let mut ready: Vec<_> = known.map(|(event, turn)| (turn.not_before, *event)).collect();
        // What was put off comes behind what has waited since.
        ready.sort_unstable();
        ready.into_iter().take(READY_MAX).map(|(_, event)| event).collect()
    }

    /// There is nothing more to do about one.
    pub(super) fn finish(&mut self, event: &Event) {
        if self.open.remove(event).is_none() {
            return;
        }
        self.done.insert(*event);
        if self.done.len() > DONE_MAX
            && let Some(forgotten) = self.done.pop_first()
        {
            self.floor = self.floor.max(forgotten.l1_block.saturating_add(1));
        }
    }

    /// The transaction of one could not be asked for, or not be compared: later.
    pub(super) fn put_off(&mut self, now: Instant, event: &Event) {
        if let Some(turn) = self.open.get_mut(event) {
            turn.not_before = now + RETRY;
        }
    }

    /// The transaction of one is not shown: ever later, and at last not any more.
    pub(super) fn refuse(&mut self, now: Instant, event: &Event) {
        let Some(turn) = self.open.get_mut(event) else { return };
        let factor = 1_u32.checked_shl(turn.refusals.0).unwrap_or(u32::MAX);
        turn.not_before = now + RETRY.saturating_mul(factor);
        turn.refusals += 1;
        if turn.refusals.0 >= REFUSALS_MAX {
            self.finish(event);
        }
    }
}

#[cfg(test)]
impl Shown {
    /// Whatever waits need not any more.
    pub(super) fn skip_waiting(&mut self, now: Instant) {
        self.open.values_mut().for_each(|turn| turn.not_before = now);
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;

    use super::*;

    const FAR: (Epoch, Height) = (Epoch::new(9), Height::new(u64::MAX));

    fn event(l1_block: u64, height: u64) -> Event {
        let word = |of: u64| B256::from(U256::from(of));
        Event {
            l1_block,
            epoch: Epoch::new(1),
            height: Height::new(height),
            commitment: word(height),
            transaction: word(height),
        }
    }

    /// An endpoint answers for the blocks that it is asked for.
    fn answer(shown: &mut Shown, newest: u64, chain: &[Event]) -> (u64, u64) {
        let blocks = shown.blocks(newest).unwrap();
        shown.hear(Instant::now(), blocks, chain.to_vec());
        blocks
    }

    /// Reads whatever is open, and says what it was.
    fn finish(shown: &mut Shown) -> Vec<u64> {
        let mut finished = Vec::new();
        loop {
            let ready = shown.ready(Instant::now(), FAR);
            if ready.is_empty() {
                return finished;
            }
            ready.iter().for_each(|event| shown.finish(event));
            finished.extend(ready.iter().map(|event| event.height.as_u64()));
        }
    }

    #[test]
    fn blocks_are_read_upwards_to_the_newest_and_then_a_few_of_them_again() {
        let mut shown = Shown::new(100);
        assert_eq!(answer(&mut shown, 25_000, &[]), (100, 10_099));
        assert_eq!(answer(&mut shown, 25_000, &[]), (10_100, 20_099));
        assert_eq!(answer(&mut shown, 25_000, &[]), (20_100, 25_000));
        assert!(shown.is_through(25_000) && shown.blocks(25_000).is_none());
        shown.turn_back();
        assert_eq!(answer(&mut shown, 25_003, &[]), (24_937, 25_003));
        // It names an old block, or none: what was read stays read.
        for newest in [0, 99, 24_000] {
            shown.turn_back();
            assert_eq!(shown.blocks(newest), None);
        }
        shown.turn_back();
        assert_eq!(answer(&mut shown, 24_950, &[]), (24_940, 24_950));
        shown.turn_back();
        assert_eq!(answer(&mut shown, 25_010, &[]), (24_940, 25_010));
    }

    #[test]
    fn pages_become_as_long_as_they_are_served() {
        let mut shown = Shown::new(0);
        let mut refusals = 0;
        while !shown.is_through(20_000) {
            let (from, to) = shown.blocks(20_000).unwrap();
            if to - from < 10 {
                shown.hear(Instant::now(), (from, to), Vec::new());
            } else {
                refusals += 1;
                assert!(shown.narrow((from, to)));
            }
        }
        assert!(refusals < 600, "{refusals}");
        shown.turn_back();
        let (from, to) = shown.blocks(20_000).unwrap();
        assert!(from == 19_937 && to < 20_000);
        assert!(!shown.narrow((7, 7)), "one block is the least");
        assert_eq!(shown.blocks(20_000), Some((19_937, 19_937)));
    }

    #[test]
    fn what_does_not_fit_in_is_read_when_there_is_room() {
        // Ten in each block, told in whatever order.
        let chain: Vec<_> = (0..3_000).rev().map(|of| event(500 + of / 10, of)).collect();
        let (mut shown, mut finished, mut answers) = (Shown::new(0), Vec::new(), 0);
        while !shown.is_through(2_000) {
            answer(&mut shown, 2_000, &chain);
            answers += 1;
            assert!(shown.open.len() <= OPEN_MAX && shown.done.len() <= DONE_MAX);
            if !shown.is_through(2_000) {
                assert_eq!(shown.blocks(2_000), None, "there is no room");
            }
            finished.extend(finish(&mut shown));
        }
        assert_eq!(finished, (0..3_000).collect::<Vec<_>>(), "each once, none is lost");
        assert_eq!(answers, 3);
        // Those of the last blocks are told again, and nothing of them is read twice.
        for _ in 0..3 {
            shown.turn_back();
            answer(&mut shown, 2_000, &chain);
            assert!(shown.is_idle());
        }
    }

    #[test]
    fn however_much_is_posted_in_a_few_blocks_it_is_read_once_and_reading_goes_on() {
        // More than are remembered, in blocks of which all would be read again.
        let chain: Vec<_> = (0..4_000).map(|of| event(1_000 + of / 100, of)).collect();
        let (mut shown, mut finished) = (Shown::new(0), Vec::new());
        for newest in 1_000..1_050 {
            shown.turn_back();
            while !shown.is_through(newest) {
                answer(&mut shown, newest, &chain);
                finished.extend(finish(&mut shown));
            }
        }
        assert_eq!(finished, (0..4_000).collect::<Vec<_>>());
        // What a reorganization puts where nothing was forgotten is seen.
        shown.turn_back();
        answer(&mut shown, 1_050, &[event(1_039, 9_999)]);
        assert_eq!(finish(&mut shown), [9_999]);
    }

    #[test]
    fn only_what_was_asked_for_is_heard_and_what_can_be_compared_is_ready() {
        let now = Instant::now();
        let mut shown = Shown::new(100);
        let later = Event { epoch: Epoch::new(2), ..event(130, 6) };
        let told = vec![event(99, 1), event(150, 9), event(140, 8), later, event(10_100, 2)];
        answer(&mut shown, 20_000, &told);
        let heights = |ready: Vec<Event>| -> Vec<_> {
            ready.into_iter().map(|event| event.height.as_u64()).collect()
        };
        let ready = |epoch, height| {
            heights(shown.ready(now + RETRY, (Epoch::new(epoch), Height::new(height))))
        };
        assert_eq!(ready(1, 7), [0; 0]);
        assert_eq!(ready(1, 8), [8]);
        assert_eq!(ready(1, 9), [8, 9]);
        assert_eq!(ready(2, 9), [6, 8, 9], "as the chain has them");
    }

    #[test]
    fn a_transaction_that_is_not_shown_is_asked_for_ever_later_and_keeps_no_other_waiting() {
        let start = Instant::now();
        let mut shown = Shown::new(0);
        let [first, second] = [event(10, 1), event(11, 2)];
        shown.hear(start, (0, 20), vec![first, second]);
        let mut now = start;
        assert_eq!(shown.ready(now, FAR), [first, second]);
        // Twelve seconds of trouble, or years of it, are no refusal.
        for _ in 0..100 {
            shown.put_off(now, &first);
            assert_eq!(shown.ready(now, FAR), [second]);
            now += RETRY;
            assert_eq!(shown.ready(now, FAR), [second, first], "behind what has waited");
        }
        let asked_first = now;
        for refusal in 0..REFUSALS_MAX - 1 {
            shown.refuse(now, &first);
            let waits = RETRY * 2_u32.pow(refusal);
            assert_eq!(shown.ready(now + waits - Duration::from_secs(1), FAR), [second]);
            now += waits;
            assert_eq!(shown.ready(now, FAR), [second, first]);
        }
        assert!(now - asked_first > Duration::from_secs(86_400));
        shown.refuse(now, &first);
        assert_eq!(shown.ready(now + RETRY * 10_000, FAR), [second]);
        // Told again it is done with; in another block it is another event.
        shown.turn_back();
        let moved = Event { l1_block: 12, ..first };
        shown.hear(now, (0, 20), vec![first, second, moved]);
        assert_eq!(shown.ready(now, FAR), [second, moved]);
    }
}
