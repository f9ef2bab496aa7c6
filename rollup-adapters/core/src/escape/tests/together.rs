//! Rollups of one atomic domain go back together: to one height, so that of no bundle a leg stays and another goes.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::Index};

use super::{
    any_order::{Life, Rollup},
    *,
};

/// The bundles of which a rollup has executed a leg.
fn bundles(rollup: &Rollup) -> BTreeSet<u8> {
    let leg = |item: &Item| match item {
        Item::Leg(seed) => Some(*seed),
        Item::Forced(_) => None,
    };
    rollup.executed.iter().flatten().filter_map(leg).collect()
}

/// Two rollups that look at L1 together, and the bundles that have a leg in both.
struct Domain {
    lives: [Life; 2],
    rollups: [Rollup; 2],
    across: BTreeSet<u8>,
}

impl Domain {
    fn new(life: Life, has_leg: &[bool]) -> Self {
        let lives = [life.clone(), life.sibling(has_leg)];
        let rollups = [0, 1].map(|index: usize| Rollup::new(&lives[index]));
        let legs = (0_u8..).zip(has_leg).take(life.batches.len());
        let across = legs.filter(|(_, has_leg)| **has_leg).map(|(seed, _)| seed).collect();
        Self { lives, rollups, across }
    }

    /// Bundles of which one rollup has executed a leg, and the other has none.
    fn apart(&self) -> BTreeSet<u8> {
        let [one, other] = [0, 1].map(|index: usize| bundles(&self.rollups[index]));
        one.symmetric_difference(&other)
            .copied()
            .filter(|seed| self.across.contains(seed))
            .collect()
    }

    /// Both learn what L1 tells up to a block.
    fn learns(&mut self, until: u64) {
        let before = [0, 1].map(|index: usize| bundles(&self.rollups[index]));
        let back = [0, 1].map(|index: usize| self.rollups[index].learns(&self.lives[index], until));
        let places: BTreeSet<_> = back.iter().flatten().map(|back| back.height.as_u64()).collect();
        let Some(place) = places.first() else { return };
        assert_eq!(places.len(), 1, "they go back to one height: {back:?}");
        let mut latches = self.lives[0].escapes.iter().map(|(height, _, _)| height);
        assert!(latches.any(|latch| latch == place), "{place} had settled when rollups left");
        for (index, before) in before.iter().enumerate() {
            let life = &self.lives[0];
            let height = |seed: &u8| life.batches[usize::from(*seed)].height.as_u64();
            let expected: BTreeSet<_> =
                before.iter().copied().filter(|seed| height(seed) <= *place).collect();
            assert_eq!(bundles(&self.rollups[index]), expected, "rollup {index} to {place}");
        }
    }

    /// Both take what there is.
    fn goes_on(&mut self) {
        for (rollup, life) in self.rollups.iter_mut().zip(&self.lives) {
            while rollup.goes_on(life) {}
        }
    }
}

#[test]
fn a_domain_goes_back_to_one_height_and_each_rollup_to_a_number_of_its_own() {
    // The second rollup has nothing in the second of four blocks; the third is the last that had settled.
    let turns = [(1, 0, false), (4, 3, false), (8, 0, true)];
    let life = Life::new(&[1, 1, 1, 1], &[1; 20], &turns);
    assert_eq!(life.escapes, [(3, 1, None)]);
    let mut domain = Domain::new(life, &[true, false, true, true]);
    domain.goes_on();
    assert_eq!(domain.rollups.each_ref().map(|rollup| rollup.executed.len()), [4, 3]);
    assert_eq!(domain.apart(), BTreeSet::new());
    let [first, second] = [0, 1].map(|index: usize| {
        let life = &domain.lives[index];
        domain.rollups[index].learns(life, life.last_block()).unwrap()
    });
    assert_eq!((first, second), (back(3, 1, 3), back(2, 1, 3)));
    assert_eq!(domain.apart(), BTreeSet::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_bundle_is_taken_back_by_one_rollup_and_kept_by_another(
        gaps in prop::collection::vec(1..4_u64, 1..30),
        queue in prop::collection::vec(0..4_u64, 1..40),
        turns in prop::collection::vec((0..6_usize, 0..8_u64, any::<bool>()), 0..16),
        has_leg in prop::collection::vec(any::<bool>(), 30),
        // How far L1 comes each time, and whether both take what there is, or one by one some of it.
        moves in prop::collection::vec((any::<Index>(), [0..6_usize, 0..6], any::<bool>()), 0..20),
    ) {
        let mut domain = Domain::new(Life::new(&gaps, &queue, &turns), &has_leg);
        let last = domain.lives[0].last_block();
        for (place, steps, in_step) in moves {
            let newest = domain.rollups[0].derivation.l1().number;
            let until = newest + u64::try_from(place.index(6)).unwrap();
            let together = domain.apart().is_empty();
            domain.learns(until.min(last));
            prop_assert!(!together || domain.apart().is_empty(), "L1 alone tears nothing apart");
            if in_step {
                domain.goes_on();
                prop_assert_eq!(domain.apart(), BTreeSet::new());
            }
            for index in [0, 1] {
                for _ in 0..steps[index] {
                    domain.rollups[index].goes_on(&domain.lives[index]);
                }
            }
        }
        domain.learns(last);
        domain.goes_on();
        prop_assert_eq!(domain.apart(), BTreeSet::new());
        for (rollup, life) in domain.rollups.iter().zip(&domain.lives) {
            prop_assert_eq!(rollup.executed.concat(), life.chain());
        }
    }
}
