//! What rollups execute, as the shipped derivation says: numbered without a gap, taken back only by an announced
//! rollback, to just what had settled when they left; all to one place, so that of no bundle a leg stays while another
//! goes; and in the end the very chain that [`super::escape`] makes by the specification, escape or none.

use std::collections::BTreeMap;

use conclave_derivation::{Content, EscapeError, Rollback, Step};
use conclave_types::{BundleId, Height, ItemSource, RollupId};

use super::{
    Check, ESCAPE, Oracle, ensure,
    escape::{Item, of_source},
};
use crate::l1::L1;

/// Who derives all rollups, as one atomic domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Follower {
    /// Looks at every L1 block.
    Awake,
    /// Looks now and then, and goes on from what it had stored.
    Sleeper,
}

/// A step that was executed.
#[derive(Clone, Debug)]
struct Executed {
    /// Of its batch; none if it is of the queue.
    height: Option<Height>,
    items: Vec<Item>,
    /// The bundle of each leg in it that is not its bundle's only one, and how many legs that has.
    across: Vec<(BundleId, u16)>,
}

impl Executed {
    fn new(step: &Step) -> Self {
        let height = match &step.content {
            Content::Batch(batch) => Some(batch.height),
            Content::Queue(_) => None,
        };
        let across = |source: &ItemSource| match source {
            ItemSource::Leg(leg) => (leg.legs > 1).then_some((leg.bundle, leg.legs)),
            ItemSource::Forced(_) => None,
        };
        let sources = || step.items().iter().map(|item| &item.source);
        Self {
            height,
            items: sources().map(of_source).collect(),
            across: sources().filter_map(across).collect(),
        }
    }
}

/// A bundle of which some legs are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Apart {
    height: Height,
    missing: u16,
}

/// What the rollups of one follower have executed.
#[derive(Clone, Debug, Default)]
struct Executions {
    chains: BTreeMap<RollupId, Vec<Executed>>,
    /// Bundles of which a leg is executed and another is not.
    apart: BTreeMap<BundleId, Apart>,
    /// Times that a rollup took something back, and how much that was.
    rollbacks: u64,
    taken_back: u64,
    /// Bundles with several legs all of which were taken back.
    bundles_back: u64,
    /// Steps that were taken from the queue itself.
    queued: u64,
}

impl Executions {
    fn executes(&mut self, rollup: RollupId, step: &Step) -> Check {
        let chain = self.chains.entry(rollup).or_default();
        let (expected, executed) = (count(chain.len()), Executed::new(step));
        self.queued = self.queued.saturating_add(u64::from(executed.height.is_none()));
        for (bundle, legs) in &executed.across {
            let height = executed.height.unwrap_or_default();
            let apart = self.apart.entry(*bundle).or_insert(Apart { height, missing: *legs });
            apart.missing = apart.missing.saturating_sub(1);
            if apart.missing == 0 {
                self.apart.remove(bundle);
            }
        }
        chain.push(executed);
        ensure(step.sequence == expected, ESCAPE, || {
            format!("rollup {rollup} executes step {}, expected {expected}", step.sequence)
        })
    }

    /// All rollups have looked at L1, and these went back. `latches` are heights that had settled each time that rollups
    /// left, and `away` is the last of them if they have not come back.
    fn roll_back(
        &mut self,
        back: &[(RollupId, Rollback)],
        latches: &[u64],
        away: Option<u64>,
    ) -> Check {
        let before = self.apart.clone();
        for (rollup, rollback) in back {
            self.rolls_back(*rollup, rollback, latches)?;
        }
        let first = back.first().map(|(_, first)| first.height);
        let is_one = back.iter().all(|(_, rollback)| Some(rollback.height) == first);
        ensure(is_one, ESCAPE, || format!("rollups go back to different places: {back:?}"))?;
        let torn = self.apart.iter().find(|(bundle, _)| !before.contains_key(*bundle));
        ensure(torn.is_none(), ESCAPE, || {
            format!("of a bundle, one rollup takes back a leg and another keeps its own: {torn:?}")
        })?;
        let stays = |(rollup, chain): (&RollupId, &Vec<Executed>)| {
            let newest = chain.iter().rev().find_map(|step| step.height)?.as_u64();
            away.filter(|latch| newest > *latch).map(|latch| (*rollup, newest, latch))
        };
        let stays = self.chains.iter().find_map(stays);
        ensure(stays.is_none(), ESCAPE, || {
            format!(
                "while rollups are away, one keeps what had not settled (rollup, its height, what had): {stays:?}"
            )
        })
    }

    fn rolls_back(&mut self, rollup: RollupId, rollback: &Rollback, latches: &[u64]) -> Check {
        let Rollback { to_sequence, steps, height } = *rollback;
        let chain = self.chains.entry(rollup).or_default();
        let to = chain.len().min(usize::try_from(to_sequence).unwrap_or(usize::MAX));
        let back = chain.split_off(to);
        let had_settled = |step: &Executed| step.height.is_some_and(|at| at <= height);
        let stays_right = chain.iter().all(|step| step.height.is_none() || had_settled(step));
        let goes_right = back.iter().all(|step| step.height.is_some() && !had_settled(step));
        self.rollbacks = self.rollbacks.saturating_add(1);
        self.taken_back = self.taken_back.saturating_add(count(back.len()));
        for executed in &back {
            self.undo(executed);
        }
        let is_right = stays_right
            && goes_right
            && latches.contains(&height.as_u64())
            && !back.is_empty()
            && count(back.len()) == steps;
        ensure(is_right, ESCAPE, || {
            let heights: Vec<_> = back.iter().map(|step| step.height).collect();
            format!(
                "rollup {rollup}: {rollback:?} takes back {heights:?}; heights that had settled when rollups left: \
                 {latches:?}"
            )
        })
    }

    fn undo(&mut self, executed: &Executed) {
        for (bundle, legs) in &executed.across {
            let height = executed.height.unwrap_or_default();
            let apart = self.apart.entry(*bundle).or_insert(Apart { height, missing: 0 });
            apart.missing = apart.missing.saturating_add(1);
            if apart.missing == *legs {
                self.apart.remove(bundle);
                self.bundles_back = self.bundles_back.saturating_add(1);
            }
        }
    }

    /// Every rollup has taken what there is: none is past a bundle that it has not all of its legs of.
    fn stands_together(&self) -> Check {
        let newest = |chain: &Vec<Executed>| chain.iter().rev().find_map(|step| step.height);
        let all_past = self.chains.values().map(newest).min().flatten();
        let torn = self.apart.iter().find(|(_, apart)| Some(apart.height) < all_past);
        ensure(torn.is_none(), ESCAPE, || {
            format!(
                "all rollups are past height {all_past:?}, and of a bundle not every leg is executed: {torn:?}"
            )
        })
    }
}

/// What all rollups have executed, by who derives them; none if nobody does.
#[derive(Clone, Debug, Default)]
pub(super) struct Followers(BTreeMap<Follower, Executions>);

impl Followers {
    /// What happened, by name, if there are rollups at all. But for one, of who is awake.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let late = self.0.get(&Follower::Sleeper).map_or(0, |all| all.rollbacks);
        let counters = self.0.get(&Follower::Awake).map(|all| {
            [
                ("rollup_bundles_taken_back", all.bundles_back),
                ("rollup_late_rollbacks", late),
                ("rollup_queue_steps", all.queued),
                ("rollup_rollbacks", all.rollbacks),
                ("rollup_steps_taken_back", all.taken_back),
            ]
        });
        counters.into_iter().flatten()
    }

    /// Everything that a rollup has executed, but for batches above a height, by each follower.
    pub(super) fn up_to(&self, rollup: RollupId, height: Height) -> Vec<(Follower, Vec<Item>)> {
        let items = |(follower, all): (&Follower, &Executions)| {
            let chain = all.chains.get(&rollup).map(Vec::as_slice).unwrap_or_default();
            let below = chain.iter().filter(|step| step.height.is_none_or(|at| at <= height));
            (*follower, below.flat_map(|step| step.items.iter().copied()).collect())
        };
        self.0.iter().map(items).collect()
    }
}

impl Oracle {
    /// For a world in which rollups are derived, if its L1 has contracts.
    #[must_use]
    pub(crate) fn with_rollups(mut self, l1: Option<&L1>) -> Self {
        if l1.is_some_and(|l1| l1.model().contracts) {
            let all = [Follower::Awake, Follower::Sleeper].map(|who| (who, Executions::default()));
            self.followers = Followers(all.into());
        }
        self
    }

    /// A rollup executes something.
    pub(crate) fn executes(&mut self, who: Follower, rollup: RollupId, step: &Step) {
        let check = self.follower(who, |all| all.executes(rollup, step));
        self.note(check);
    }

    /// All rollups have looked at L1, and take this back.
    pub(crate) fn roll_back(&mut self, who: Follower, back: &[(RollupId, Rollback)]) {
        let (latches, away) = (self.escapes.latches(), self.escapes.away_at());
        let check = self.follower(who, |all| all.roll_back(back, &latches, away));
        self.note(check);
    }

    /// All rollups have taken what there is.
    pub(crate) fn stands_together(&mut self, who: Follower) {
        let check = self.follower(who, |all| all.stands_together());
        self.note(check);
    }

    fn follower(&mut self, who: Follower, judge: impl FnOnce(&mut Executions) -> Check) -> Check {
        let check = self.followers.0.get_mut(&who).map_or(Ok(()), judge);
        check.map_err(|mut violation| {
            violation.detail = format!("{who:?}: {}", violation.detail);
            violation
        })
    }

    /// A rollup refuses what an honest validator or L1 told it.
    pub(crate) fn rollup_refuses(&mut self, who: Follower, rollup: RollupId, error: &EscapeError) {
        let detail = || format!("{who:?}: rollup {rollup} cannot go on: {error}");
        self.note(ensure(false, ESCAPE, detail));
    }

    /// What a rollup stored is not what it was.
    pub(crate) fn rollup_forgets(&mut self, who: Follower, rollup: RollupId) {
        let detail = || format!("{who:?}: rollup {rollup} is not what it stored");
        self.note(ensure(false, ESCAPE, detail));
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use conclave_derivation::QueueSlice;
    use conclave_types::{Batch, BatchItem, BlockId, Digest, ForcedRef, L1Origin, LegRef, Time};

    use super::*;

    const ROLLUP: RollupId = RollupId::new(901);
    const OTHER: RollupId = RollupId::new(902);

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

    /// A leg of a bundle that has two.
    fn leg(seed: u8) -> BatchItem {
        let leg = LegRef { bundle: BundleId::new([seed; 32]), leg: 0, legs: 2 };
        BatchItem { transaction: Vec::new(), source: ItemSource::Leg(leg) }
    }

    fn with(step: Step, item: BatchItem) -> Step {
        let Step { sequence, content: Content::Batch(mut batch) } = step else { return step };
        batch.items.push(item);
        Step { sequence, content: Content::Batch(batch) }
    }

    const fn back(to_sequence: u64, steps: u64, height: u64) -> Rollback {
        Rollback { to_sequence, steps, height: Height::new(height) }
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
        for (executions, rollback, latches, expected) in [
            (&batches, back(1, 2, 2), &[2][..], true),
            (&batches, back(1, 2, 3), &[2, 3][..], true),
            (&batches, back(1, 2, 2), &[2, 4][..], true),
            (&batches, back(1, 2, 3), &[2, 4][..], false),
            (&batches, back(1, 2, 4), &[2, 4][..], false),
            (&batches, back(2, 1, 2), &[2][..], false),
            (&batches, back(1, 1, 2), &[2][..], false),
            (&batches, back(0, 3, 2), &[2][..], false),
            (&batches, back(3, 0, 6), &[6][..], false),
            (&batches, back(1, 2, 2), &[][..], false),
            (&all, back(1, 3, 2), &[2][..], false),
        ] {
            let check = executions.clone().roll_back(&[(ROLLUP, rollback)], latches, None);
            assert_eq!(check.is_ok(), expected, "{rollback:?}, {latches:?}: {check:?}");
        }
        let mut taken = batches;
        assert_eq!(taken.roll_back(&[(ROLLUP, back(1, 2, 2))], &[2], Some(2)), Ok(()));
        assert_eq!(taken.executes(ROLLUP, &step(1, None)), Ok(()));
        assert_eq!((taken.rollbacks, taken.taken_back), (1, 2));
        let followers = Followers([(Follower::Awake, taken)].into());
        let expected = |items: &[Item]| vec![(Follower::Awake, items.to_vec())];
        assert_eq!(followers.up_to(ROLLUP, Height::new(1)), expected(&[Item::Forced(1)]));
        let both = [Item::Forced(0), Item::Forced(1)];
        assert_eq!(followers.up_to(ROLLUP, Height::new(2)), expected(&both));
    }

    #[test]
    fn whoever_keeps_what_had_not_settled_while_rollups_are_away_is_seen() {
        for (away, expected) in [(None, true), (Some(6), true), (Some(5), false)] {
            let check = executed().roll_back(&[], &[5, 6], away);
            assert_eq!(check.is_ok(), expected, "{away:?}: {check:?}");
        }
    }

    /// Two rollups; a bundle with a leg in each at height 4, and one at height 6.
    fn domain() -> Executions {
        let mut executions = Executions::default();
        for rollup in [ROLLUP, OTHER] {
            for (sequence, height, seed) in [(0, 4, 1), (1, 6, 2)] {
                let step = with(step(sequence, Some(height)), leg(seed));
                assert_eq!(executions.executes(rollup, &step), Ok(()));
            }
        }
        executions
    }

    #[test]
    fn a_bundle_that_one_rollup_takes_back_and_another_keeps_is_seen() {
        let both = [(ROLLUP, back(1, 1, 4)), (OTHER, back(1, 1, 4))];
        let mut together = domain();
        assert_eq!(together.roll_back(&both, &[4, 5], None), Ok(()));
        assert_eq!((together.apart.len(), together.bundles_back), (0, 1));
        for one in both {
            assert!(domain().roll_back(&[one], &[4, 5], None).is_err(), "{one:?}");
        }
        let other_place = [(ROLLUP, back(1, 1, 4)), (OTHER, back(1, 1, 5))];
        assert!(domain().roll_back(&other_place, &[4, 5], None).is_err());
    }

    #[test]
    fn a_leg_that_another_rollup_has_passed_without_is_seen() {
        let mut executions = domain();
        assert_eq!(executions.stands_together(), Ok(()));
        let ahead = with(step(2, Some(8)), leg(3));
        assert_eq!(executions.executes(ROLLUP, &ahead), Ok(()));
        assert_eq!(executions.stands_together(), Ok(()), "the other is behind");
        let mut late = executions.clone();
        for (executions, step) in
            [(&mut executions, with(step(2, Some(8)), leg(3))), (&mut late, step(2, Some(8)))]
        {
            assert_eq!(executions.executes(OTHER, &step), Ok(()));
            assert_eq!(executions.executes(ROLLUP, &self::step(3, Some(9))), Ok(()));
            assert_eq!(executions.executes(OTHER, &self::step(3, Some(9))), Ok(()));
        }
        assert_eq!(executions.stands_together(), Ok(()));
        assert!(late.stands_together().is_err());
    }
}
