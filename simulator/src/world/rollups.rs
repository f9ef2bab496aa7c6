//! The rollups of a network whose L1 has the contracts: each derives its chain by the shipped code
//! (`conclave_derivation::Derivation`), from the batches that validators serve and from final blocks of L1.
//!
//! What is shipped is that function, and who reads the logs for it (`conclave_contracts::escape`). That a rollup looks
//! at L1 and asks for batches whenever there is another final block is the world's: it asks one honest validator after
//! another, of those that are up, for whatever comes next, as they have it on disk. Whatever is refused on its way
//! there breaks the promise, since nobody lies to it here.
//!
//! Two derive all of them, as one atomic domain: every rollup learns the same of L1, then every rollup takes what there
//! is. One looks at each L1 block; the other sleeps for up to [`SLEEP_BLOCKS_MAX`] of them and goes on from what it had
//! stored, so that it learns of a latch together with what settled behind it, of the return, or of two escapes at once.
//!
//! **Bounds.** A page of batches at a time; steps are handed to the oracle, which keeps them: as much as a run has.

use std::{collections::BTreeMap, time::Duration};

use conclave_derivation::{Derivation, EscapeError, L1Span, Need, QueueBlock, Rollback, Taken};
use conclave_sequencer::archive;
use conclave_types::{Genesis, L1Origin, RollupId};

use super::{BEGIN, World, node::Node};
use crate::{
    l1::L1,
    oracle::{Follower, Oracle},
    random::Random,
};

/// Batches that one validator is asked for at a time.
const PAGE: usize = 100;
/// L1 blocks for which the sleeper sleeps at most: an escape and both its ends.
const SLEEP_BLOCKS_MAX: u64 = 48;

/// All rollups; none if nothing settles.
#[derive(Debug)]
pub(super) struct Rollups {
    domains: [Domain; 2],
    dice: Random,
    /// The L1 block from which on the sleeper looks again, and how many times it has found more than one.
    wakes_at: u64,
    wakings: u64,
}

/// All rollups, derived by one who looks at L1 for all of them.
#[derive(Debug)]
struct Domain {
    follower: Follower,
    all: BTreeMap<RollupId, Derivation>,
    /// Who is asked first the next time.
    next: usize,
}

impl Rollups {
    /// At the beginning of a network.
    pub(super) fn new(genesis: &Genesis, l1: Option<&L1>, seed: u64) -> Self {
        let settles = l1.is_some_and(|l1| l1.model().contracts);
        let rollups = || genesis.rollups.iter().filter(|_| settles);
        let new = |id| (id, Derivation::new(id, genesis.l1_origin));
        let domain = |follower| Domain {
            follower,
            all: rollups().map(|rollup| new(rollup.id)).collect(),
            next: 0,
        };
        let domains = [Follower::Awake, Follower::Sleeper].map(domain);
        Self { domains, dice: Random::new(seed, 14), wakes_at: 0, wakings: 0 }
    }

    /// What happened, by name, if there are rollups at all.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let is_there = self.domains.iter().any(|domain| !domain.all.is_empty());
        [("rollup_wakings", self.wakings)].into_iter().filter(move |_| is_there)
    }

    /// Who looks when L1 is final up to a block.
    fn up(&mut self, newest: u64, is_end: bool) -> impl Iterator<Item = &mut Domain> {
        let wakes = is_end || newest >= self.wakes_at;
        if wakes {
            let slept = self.dice.below(SLEEP_BLOCKS_MAX);
            self.wakes_at = newest.saturating_add(1).saturating_add(slept);
            let is_behind =
                |derivation: &Derivation| derivation.l1().number.saturating_add(1) < newest;
            let sleepers =
                self.domains.iter().filter(|domain| domain.follower == Follower::Sleeper);
            let is_behind = sleepers.flat_map(|domain| domain.all.values()).any(is_behind);
            self.wakings = self.wakings.saturating_add(u64::from(is_behind));
        }
        self.domains.iter_mut().filter(move |domain| wakes || domain.follower == Follower::Awake)
    }
}

/// A domain at work.
struct Turn<'a> {
    domain: &'a mut Domain,
    l1: &'a L1,
    oracle: &'a mut Oracle,
}

impl World {
    /// Every rollup takes what there is for it, of whoever is awake: in the end everybody is.
    pub(super) fn rollups_go_on(&mut self, is_end: bool) {
        let Some(l1) = &self.l1 else { return };
        let serves = |(index, node): &(u16, &Node)| {
            node.core.is_some() && node.adversary.is_none() && !self.network.is_over(*index)
        };
        let servers: Vec<&Node> =
            (0_u16..).zip(&self.nodes).filter(serves).map(|(_, node)| node).collect();
        for domain in self.rollups.up(l1.newest_final(), is_end) {
            let mut turn = Turn { domain, l1, oracle: self.oracle.here() };
            turn.wake();
            turn.look();
            turn.take(&servers);
        }
    }
}

impl Turn<'_> {
    /// Who sleeps goes on from what is stored.
    fn wake(&mut self) {
        if self.domain.follower == Follower::Awake {
            return;
        }
        let Domain { follower, all, .. } = &mut *self.domain;
        for (rollup, derivation) in all {
            let stored = borsh::to_vec(derivation).and_then(|bytes| borsh::from_slice(&bytes));
            match stored.ok().filter(|stored: &Derivation| stored == derivation) {
                Some(stored) => *derivation = stored,
                None => self.oracle.rollup_forgets(*follower, *rollup),
            }
        }
    }

    /// All rollups look at what L1 has finalized.
    fn look(&mut self) {
        let (mut back, follower) = (Vec::new(), self.domain.follower);
        for (rollup, derivation) in &mut self.domain.all {
            match look(derivation, self.l1) {
                Ok(rollback) => back.extend(rollback.map(|rollback| (*rollup, rollback))),
                Err(error) => self.oracle.rollup_refuses(follower, *rollup, &error),
            }
        }
        self.oracle.roll_back(follower, &back);
    }

    /// All rollups take what comes next, for as long as anybody has it.
    fn take(&mut self, servers: &[&Node]) {
        let Domain { follower, all, next } = &mut *self.domain;
        let (follower, first) = (*follower, next.checked_rem(servers.len()).unwrap_or(0));
        *next = first.saturating_add(1);
        for (rollup, derivation) in all {
            let (l1, oracle) = (self.l1, &mut *self.oracle);
            let mut asking = Asking { follower, rollup: *rollup, derivation, l1, oracle };
            let mut in_turn = servers.iter().cycle().skip(first).take(servers.len());
            if let Err(error) = in_turn.try_for_each(|node| asking.ask(node)) {
                asking.oracle.rollup_refuses(follower, *rollup, &error);
            }
        }
        self.oracle.stands_together(follower);
    }
}

/// A rollup looks at what L1 has finalized.
fn look(derivation: &mut Derivation, l1: &L1) -> Result<Option<Rollback>, EscapeError> {
    let known = derivation.l1();
    let blocks = || l1.final_after(known.number);
    let Some((last, _)) = blocks().last() else { return Ok(None) };
    let events = blocks().flat_map(|(block, witness)| {
        let told = witness.map(|witness| witness.told.as_slice()).unwrap_or_default();
        told.iter().map(|event| (block.origin.number, *event))
    });
    // As the first of the new blocks has it.
    let before = blocks().next().map_or(known.hash, |(first, _)| first.parent);
    let since = L1Origin { hash: before, ..known };
    let span = L1Span { since, until: last.origin, events: events.collect() };
    derivation.observe(&span)
}

/// A rollup that asks for what comes next.
struct Asking<'a> {
    follower: Follower,
    rollup: RollupId,
    derivation: &'a mut Derivation,
    l1: &'a L1,
    oracle: &'a mut Oracle,
}

impl Asking<'_> {
    /// Takes what comes next, for as long as this validator has it.
    fn ask(&mut self, node: &Node) -> Result<(), EscapeError> {
        loop {
            let goes_on = match self.derivation.need() {
                Need::Batch { sequence, .. } => self.ask_for_batches(node, sequence)?,
                Need::Queue { above, .. } => self.ask_for_entries(above)?,
                Need::Settlement => false,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Whether the validator had anything to say.
    fn ask_for_batches(&mut self, node: &Node, from: u64) -> Result<bool, EscapeError> {
        let Ok(served) = archive::batches(&node.disk, self.rollup, from, PAGE) else {
            return Ok(false);
        };
        // Nobody has what came before it joined.
        let is_kept = served.first().is_none_or(|first| first.sequence == from);
        if !is_kept {
            return Ok(false);
        }
        let is_more = !served.is_empty();
        for batch in served {
            if let Taken::Step(step) = self.derivation.batch(batch)? {
                self.oracle.executes(self.follower, self.rollup, &step);
            }
        }
        // A disk that cannot be read says nothing, not that there is nothing.
        let Ok(Some(tip)) = archive::tip(&node.disk) else { return Ok(is_more) };
        let Ok(cursor) = archive::cursor(&node.disk, self.rollup) else { return Ok(is_more) };
        let cursor = cursor.unwrap_or_default();
        let before = self.derivation.need();
        if !is_more && cursor.next_sequence == from {
            self.derivation.brought(tip.revealed, from)?;
        }
        Ok(is_more || self.derivation.need() != before)
    }

    /// Whether L1 has more of them.
    fn ask_for_entries(&mut self, above: u64) -> Result<bool, EscapeError> {
        let newest = self.derivation.l1().number;
        let blocks = self.l1.final_after(above).map(|(block, _)| block);
        let mut blocks = blocks.take_while(|block| block.origin.number <= newest);
        let Some(block) = blocks.find(|block| !block.entries.is_empty()) else { return Ok(false) };
        let passed = block.origin.number.saturating_mul(self.l1.model().block_ms);
        let time = BEGIN.after(Duration::from_millis(passed));
        let block = QueueBlock { origin: block.origin, time, entries: block.entries.clone() };
        if let Some(step) = self.derivation.queued(&block)? {
            self.oracle.executes(self.follower, self.rollup, &step);
        }
        Ok(true)
    }
}
