//! The rollups of a network whose L1 has the contracts: each derives its chain by the shipped code
//! (`conclave_derivation::Derivation`), from the batches that validators serve and from final blocks of L1.
//!
//! What is shipped is that function, and who reads the logs for it (`conclave_contracts::escape`). That a rollup looks
//! at L1 and asks for batches whenever there is another final block is the world's: it asks one honest validator after
//! another, of those that are up, for whatever comes next, as they have it on disk. Whatever is refused on its way
//! there breaks the promise, since nobody lies to it here.
//!
//! **Bounds.** A page of batches at a time; steps are handed to the oracle, which keeps them: as much as a run has.

use std::{collections::BTreeMap, time::Duration};

use conclave_derivation::{Derivation, EscapeError, L1Span, Need, QueueBlock, Taken};
use conclave_sequencer::archive;
use conclave_types::{Genesis, L1Origin, RollupId};

use super::{BEGIN, World, node::Node};
use crate::{l1::L1, oracle::Oracle};

/// Batches that one validator is asked for at a time.
const PAGE: usize = 100;

/// All rollups; none if nothing settles.
#[derive(Debug)]
pub(super) struct Rollups {
    all: BTreeMap<RollupId, Derivation>,
    /// Who is asked first the next time.
    next: usize,
}

impl Rollups {
    /// At the beginning of a network.
    pub(super) fn new(genesis: &Genesis, l1: Option<&L1>) -> Self {
        let settles = l1.is_some_and(|l1| l1.model().contracts);
        let rollups = genesis.rollups.iter().filter(|_| settles);
        let new = |id| (id, Derivation::new(id, genesis.l1_origin));
        Self { all: rollups.map(|rollup| new(rollup.id)).collect(), next: 0 }
    }
}

/// A rollup at work.
struct Turn<'a> {
    rollup: RollupId,
    derivation: &'a mut Derivation,
    l1: &'a L1,
    oracle: &'a mut Oracle,
}

impl World {
    /// Every rollup takes what there is for it.
    pub(super) fn rollups_go_on(&mut self) {
        let Some(l1) = &self.l1 else { return };
        let serves = |(index, node): &(u16, &Node)| {
            node.core.is_some() && node.adversary.is_none() && !self.network.is_over(*index)
        };
        let servers: Vec<&Node> =
            (0_u16..).zip(&self.nodes).filter(serves).map(|(_, node)| node).collect();
        let Rollups { all, next } = &mut self.rollups;
        let first = next.checked_rem(servers.len()).unwrap_or(0);
        *next = first.saturating_add(1);
        for (rollup, derivation) in all {
            let mut turn = Turn { rollup: *rollup, derivation, l1, oracle: self.oracle.here() };
            let went = turn.look().and_then(|()| {
                let mut in_turn = servers.iter().cycle().skip(first).take(servers.len());
                in_turn.try_for_each(|node| turn.ask(node))
            });
            if let Err(error) = went {
                turn.oracle.rollup_refuses(*rollup, &error);
            }
        }
    }
}

impl Turn<'_> {
    /// Looks at what L1 has finalized.
    fn look(&mut self) -> Result<(), EscapeError> {
        let known = self.derivation.l1();
        let blocks = || self.l1.final_after(known.number);
        let Some((last, _)) = blocks().last() else { return Ok(()) };
        let events = blocks().flat_map(|(block, witness)| {
            let told = witness.map(|witness| witness.told.as_slice()).unwrap_or_default();
            told.iter().map(|event| (block.origin.number, *event))
        });
        // As the first of the new blocks has it.
        let before = blocks().next().map_or(known.hash, |(first, _)| first.parent);
        let since = L1Origin { hash: before, ..known };
        let span = L1Span { since, until: last.origin, events: events.collect() };
        if let Some(rollback) = self.derivation.observe(&span)? {
            self.oracle.rolls_back(self.rollup, rollback.to_sequence, rollback.steps);
        }
        Ok(())
    }

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
                self.oracle.executes(self.rollup, &step);
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
            self.oracle.executes(self.rollup, &step);
        }
        Ok(true)
    }
}
