//! What committees a run may have: who is a member at first, and whom L1 offers.

use std::collections::BTreeSet;

use conclave_encryption::Suite;

use super::{
    Scenario,
    check_world::{WorldFault, ensure},
};

/// Below four members, none may fail.
const MEMBERS_MIN: u16 = 4;
/// The first epoch that L1 may offer a committee for.
const EPOCH_MIN: u64 = 2;
/// More power than that is no longer counted in 63 bits by everyone together.
const POWER_MAX: u64 = 1 << 40;

impl Scenario {
    pub(super) fn check_committees(&self) -> Result<(), WorldFault> {
        let (members, all) = (self.members(), self.validators);
        ensure(members >= MEMBERS_MIN || self.joiners == 0, "joiners", || {
            let expected = format!("expected at least {MEMBERS_MIN} members, found {members}");
            (expected, "validators counts those who join later, too".into())
        })?;
        ensure(self.joiners == 0 || self.key.on_chain, "joiners", || {
            let expected =
                "expected a key that is made on the chain, found one that the genesis brings";
            (expected.into(), "set key.on_chain: whoever joins gets a share that way".into())
        })?;
        let found = self.powers.len();
        let whole = self.powers.is_empty() || found == usize::from(members);
        ensure(
            whole && self.powers.iter().all(|power| (1..=POWER_MAX).contains(power)),
            "powers",
            || {
                let expected =
                    format!("expected a power for each of {members} members, found {found}");
                (expected, "give each member a power, or leave them out for equal ones".into())
            },
        )?;
        let suite = self.key.suite;
        ensure(Suite::of_number(suite).is_some(), "key.suite", || {
            let expected =
                format!("expected one of {:?}, found {suite}", Suite::ALL.map(Suite::number));
            (expected, "1 is the usual one, 2 the baseline".into())
        })?;
        ensure(self.powers.is_empty() || self.key.on_chain, "powers", || {
            let expected =
                "expected a key that is made on the chain, found one that the genesis brings";
            (
                expected.into(),
                "set key.on_chain: a key of the genesis has one point for each member".into(),
            )
        })?;
        self.check_rotations()?;
        let offers = self.l1.iter().flat_map(|l1| &l1.offers);
        for (index, offer) in offers.enumerate() {
            let path = format!("l1.offers.{index}");
            let found = offer.powers.len();
            ensure(found == usize::from(all), &path, || {
                let expected =
                    format!("expected a power for each of {all} validators, found {found}");
                (expected, "0 is for those who are not to be members".into())
            })?;
            ensure(offer.powers.iter().any(|power| *power > 0), &path, || {
                ("expected a member, found none".into(), "give somebody power".into())
            })?;
            ensure(offer.epoch >= EPOCH_MIN, &path, || {
                let found = offer.epoch;
                let expected = format!("expected an epoch from {EPOCH_MIN} on, found {found}");
                (expected, "the first epoch with a key has the committee of the genesis".into())
            })?;
        }
        Ok(())
    }

    fn check_rotations(&self) -> Result<(), WorldFault> {
        let rotations = self.l1.iter().flat_map(|l1| &l1.rotations);
        let mut seen = BTreeSet::new();
        for (index, rotation) in rotations.enumerate() {
            let path = format!("l1.rotations.{index}.validator");
            let (found, all) = (rotation.validator, self.validators);
            ensure(found < all && seen.insert(found), &path, || {
                let expected =
                    format!("expected another of the validators 0 to {}, found {found}", all - 1);
                (expected, "a validator changes its keys once in a run".into())
            })?;
            let crashes = self.crashes.iter().map(|crash| crash.validator);
            let liars = self.byzantine.iter().map(|liar| liar.validator);
            let is_busy = crashes.chain(liars).any(|other| other == found);
            ensure(!is_busy && self.chaos.crashes == 0, &path, || {
                let expected =
                    format!("expected that validator {found} neither crashes nor misbehaves");
                (expected, "let another validator change its keys".into())
            })?;
            let offers = self.l1.iter().any(|l1| l1.contracts || !l1.offers.is_empty());
            ensure(offers, &path, || {
                let expected = "expected offers of committees, found none".into();
                (expected, "new keys come with an offer: add [[l1.offers]]".into())
            })?;
        }
        Ok(())
    }
}
