//! What rollups execute, as the shipped derivation says: numbered without a gap, taken back only by an announced
//! rollback, never below what had settled when they left; and in the end the very chain that [`super::escape`] makes
//! by the specification.

use std::collections::BTreeMap;

use conclave_derivation::{Content, EscapeError, Step};
use conclave_types::{Height, RollupId};

use super::{
    Check, ESCAPE, Oracle, ensure,
    escape::{Item, of_source},
};

/// A step that was executed.
#[derive(Clone, Debug)]
struct Executed {
    /// Of its batch; none if it is of the queue.
    height: Option<Height>,
    items: Vec<Item>,
}

/// What all rollups have executed.
#[derive(Clone, Debug, Default)]
pub(super) struct Executions {
    chains: BTreeMap<RollupId, Vec<Executed>>,
    /// Times that a rollup took something back, and how much that was.
    rollbacks: u64,
    taken_back: u64,
    /// Steps that were taken from the queue itself.
    queued: u64,
}

impl Executions {
    /// What happened, by name, if there are rollups at all.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = [
            ("rollup_queue_steps", self.queued),
            ("rollup_rollbacks", self.rollbacks),
            ("rollup_steps_taken_back", self.taken_back),
        ];
        counters.into_iter().filter(|_| !self.chains.is_empty())
    }

    /// Everything that a rollup has executed, but for batches above a height.
    pub(super) fn up_to(&self, rollup: RollupId, height: Height) -> Vec<Item> {
        let all = self.chains.get(&rollup).map(Vec::as_slice).unwrap_or_default();
        let below = all.iter().filter(|step| step.height.is_none_or(|at| at <= height));
        below.flat_map(|step| step.items.iter().copied()).collect()
    }

    fn executes(&mut self, rollup: RollupId, step: &Step) -> Check {
        let chain = self.chains.entry(rollup).or_default();
        let expected = count(chain.len());
        let height = match &step.content {
            Content::Batch(batch) => Some(batch.height),
            Content::Queue(_) => None,
        };
        let items = step.items().iter().map(|item| of_source(&item.source)).collect();
        self.queued = self.queued.saturating_add(u64::from(height.is_none()));
        chain.push(Executed { height, items });
        ensure(step.sequence == expected, ESCAPE, || {
            format!("rollup {rollup} executes step {}, expected {expected}", step.sequence)
        })
    }

    /// `latches` are heights that had settled each time that rollups left.
    fn rolls_back(&mut self, rollup: RollupId, (to, steps): (u64, u64), latches: &[u64]) -> Check {
        let chain = self.chains.entry(rollup).or_default();
        let back = chain.split_off(chain.len().min(usize::try_from(to).unwrap_or(usize::MAX)));
        self.rollbacks = self.rollbacks.saturating_add(1);
        self.taken_back = self.taken_back.saturating_add(count(back.len()));
        let may = |step: &Executed| {
            let latch = latches.last().copied();
            step.height.zip(latch).is_some_and(|(height, latch)| height.as_u64() > latch)
        };
        let is_right = !back.is_empty() && count(back.len()) == steps && back.iter().all(may);
        ensure(is_right, ESCAPE, || {
            format!(
                "rollup {rollup} goes back to step {to}, which takes back {steps} of {back:?}; \
                 heights that had settled when rollups left: {latches:?}"
            )
        })
    }
}

impl Oracle {
    /// A rollup executes something.
    pub(crate) fn executes(&mut self, rollup: RollupId, step: &Step) {
        let check = self.executions.executes(rollup, step);
        self.note(check);
    }

    /// A rollup takes back so many steps, from a number on.
    pub(crate) fn rolls_back(&mut self, rollup: RollupId, to: u64, steps: u64) {
        let latches = self.escapes.latches();
        let check = self.executions.rolls_back(rollup, (to, steps), &latches);
        self.note(check);
    }

    /// A rollup refuses what an honest validator or L1 told it.
    pub(crate) fn rollup_refuses(&mut self, rollup: RollupId, error: &EscapeError) {
        self.note(ensure(false, ESCAPE, || format!("rollup {rollup} cannot go on: {error}")));
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use conclave_derivation::QueueSlice;
    use conclave_types::{
        Batch, BatchItem, BlockId, Digest, ForcedRef, ItemSource, L1Origin, Time,
    };

    use super::*;

    const ROLLUP: RollupId = RollupId::new(901);

    fn item(index: u64) -> BatchItem {
        let source = ItemSource::Forced(ForcedRef { index, gas_limit: 7 });
        BatchItem { transaction: Vec::new(), source }
    }

    fn step(sequence: u64, height: Option<u64>) -> Step {
        let (origin, time, items) =
            (L1Origin::default(), Time::from_micros(0), vec![item(sequence)]);
        let batch = |height| Batch {
            rollup: ROLLUP,
            sequence,
            previous_height: Height::ZERO,
            height: Height::new(height),
            block: BlockId::ZERO,
            time,
            l1_origin: origin,
            randomness: Digest::ZERO,
            items: items.clone(),
        };
        let content = match height {
            Some(height) => Content::Batch(batch(height)),
            None => Content::Queue(QueueSlice { origin, time, items }),
        };
        Step { sequence, content }
    }

    /// Heights 2, 4 and 6, and then the queue.
    fn executed() -> Executions {
        let mut executions = Executions::default();
        for (sequence, height) in (0..).zip([Some(2), Some(4), Some(6), None]) {
            assert_eq!(executions.executes(ROLLUP, &step(sequence, height)), Ok(()));
        }
        executions
    }

    #[test]
    fn a_number_that_is_not_the_next_is_seen() {
        for sequence in [0, 3, 5] {
            let check = executed().executes(ROLLUP, &step(sequence, Some(8)));
            assert!(check.is_err(), "{sequence}");
        }
    }

    #[test]
    fn only_batches_that_had_not_settled_are_taken_back_and_all_that_are_said_to_be() {
        let all = executed();
        let mut batches = all.clone();
        batches.chains.get_mut(&ROLLUP).map(Vec::pop);
        for (executions, to, steps, latches, expected) in [
            (&batches, 1, 2, &[2][..], true),
            (&batches, 1, 2, &[2, 3][..], true),
            (&batches, 1, 2, &[2, 4][..], false),
            (&batches, 1, 1, &[2][..], false),
            (&batches, 0, 3, &[2][..], false),
            (&batches, 3, 0, &[2][..], false),
            (&batches, 1, 2, &[][..], false),
            (&all, 1, 3, &[2][..], false),
        ] {
            let check = executions.clone().rolls_back(ROLLUP, (to, steps), latches);
            assert_eq!(check.is_ok(), expected, "{to}, {steps}, {latches:?}: {check:?}");
        }
        let mut back = batches;
        assert_eq!(back.rolls_back(ROLLUP, (1, 2), &[2]), Ok(()));
        assert_eq!(back.executes(ROLLUP, &step(1, None)), Ok(()));
        assert_eq!(back.up_to(ROLLUP, Height::new(1)), [Item::Forced(1)]);
        assert_eq!(back.up_to(ROLLUP, Height::new(2)), [Item::Forced(0), Item::Forced(1)]);
        let counters: BTreeMap<_, _> = back.counters().collect();
        assert_eq!((counters["rollup_rollbacks"], counters["rollup_steps_taken_back"]), (1, 2));
    }
}
