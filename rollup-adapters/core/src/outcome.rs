//! Whether the legs of an opened bundle may take effect. Judged for the bundle as a whole: a leg at
//! fault takes its siblings with it, or a cross-rollup bundle could be half executed.

use std::collections::BTreeSet;

use conclave_types::{Leg, Outcome, RollupId, UndecryptableReason};

/// What becomes of a bundle that opened to `legs`, when `registered` are the rollups of its block.
/// The first leg at fault, in the sender's order, names the reason.
#[must_use]
pub fn judge_legs(legs: Vec<Leg>, registered: &BTreeSet<RollupId>) -> Outcome {
    if legs.is_empty() {
        return Outcome::Undecryptable(UndecryptableReason::NoLegs);
    }
    let mut seen = BTreeSet::new();
    for leg in &legs {
        if !registered.contains(&leg.rollup) {
            return Outcome::Undecryptable(UndecryptableReason::UnknownRollup);
        }
        if !seen.insert(leg.rollup) {
            return Outcome::Undecryptable(UndecryptableReason::DuplicateRollup);
        }
    }
    Outcome::Opened(legs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legs(rollups: &[u64]) -> Vec<Leg> {
        let leg = |id: &u64| Leg { rollup: RollupId::new(*id), transaction: vec![1, 2, 3] };
        rollups.iter().map(leg).collect()
    }

    #[test]
    fn one_leg_at_fault_takes_the_bundle_with_it() {
        use UndecryptableReason::{DuplicateRollup, NoLegs, UnknownRollup};
        let registered = [901, 902].map(RollupId::new).into();
        let cases: [(&[u64], Option<UndecryptableReason>); 9] = [
            (&[], Some(NoLegs)),
            (&[901], None),
            (&[901, 902], None),
            (&[902, 901], None),
            (&[903], Some(UnknownRollup)),
            (&[901, 903], Some(UnknownRollup)),
            (&[901, 901], Some(DuplicateRollup)),
            (&[901, 902, 901, 903], Some(DuplicateRollup)),
            (&[901, 903, 901], Some(UnknownRollup)),
        ];
        for (rollups, reason) in cases {
            let legs = legs(rollups);
            let expected = reason.map_or(Outcome::Opened(legs.clone()), Outcome::Undecryptable);
            assert_eq!(judge_legs(legs, &registered), expected, "legs for {rollups:?}");
        }
    }

    #[test]
    fn an_empty_transaction_is_the_rollups_own_business() {
        let legs = vec![Leg { rollup: RollupId::new(901), transaction: vec![] }];
        let registered = [RollupId::new(901)].into();
        assert_eq!(judge_legs(legs.clone(), &registered), Outcome::Opened(legs));
    }
}
