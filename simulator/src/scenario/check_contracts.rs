//! What a run may ask of an L1 that has the contracts: they decide for themselves who is elected and when. What
//! operators stake is up to the scenario.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use super::{
    Scenario,
    check_world::{WorldFault, ensure},
};
use crate::{crypto::Crypto, l1::L1Model};

/// What the contract takes as the escape delay, in L1 blocks.
const ESCAPE_DELAY: RangeInclusive<u32> = 16..=50_400;
/// Blocks until a commitment has settled and somebody can return on top of it, beside those until its origin is final
/// and everyone has heard of it: it is ordered, revealed and certified, posted in the next block, and the return comes
/// in one after that.
const RETURN_BLOCKS: u64 = 4;
/// The dearest gas; ten thousand times of what is usual.
const BASE_FEE_GWEI_MAX: u64 = 100_000;
/// What an operator stakes at most, in units of 32 ether: as much as half of what it has.
const STAKE_MAX: u64 = 15_000;

type Checked = Result<(), WorldFault>;

impl Scenario {
    pub(super) fn check_contracts(&self) -> Checked {
        let Some(l1) = &self.l1 else { return Ok(()) };
        if !l1.contracts {
            ensure(l1.escape_delay_blocks.is_none(), "l1.escape_delay_blocks", || {
                let expected = "expected no escape without contracts, found its delay".into();
                (expected, "set l1.contracts, or leave the delay out".into())
            })?;
            ensure(l1.fee_spikes.is_empty(), "l1.fee_spikes.0", || {
                let expected = "expected no price of gas without contracts, found one".into();
                (expected, "set l1.contracts, or drop the entry".into())
            })?;
            ensure(l1.false_postings.is_empty(), "l1.false_postings", || {
                let expected = "expected no postings without contracts, found false ones".into();
                (expected, "set l1.contracts, or leave them out".into())
            })?;
            return ensure(l1.stakes.is_empty(), "l1.stakes", || {
                let expected = "expected no stakes without contracts, found some".into();
                (expected, "set l1.contracts, or say in [[l1.offers]] who is elected".into())
            });
        }
        ensure(l1.block_ms.is_multiple_of(1_000), "l1.block_ms", || {
            let expected = format!("expected whole seconds, found {} ms", l1.block_ms);
            (expected, "contracts read the time of their block in seconds".into())
        })?;
        let (least, most) = (ESCAPE_DELAY.start(), ESCAPE_DELAY.end());
        let delay = l1.escape_delay();
        ensure(ESCAPE_DELAY.contains(&delay), "l1.escape_delay_blocks", || {
            let expected =
                format!("expected a delay of {least} to {most} L1 blocks, found {delay}");
            (expected, "the contract takes no other".into())
        })?;
        let heard = l1.lag_ms.checked_div(l1.block_ms).unwrap_or(0);
        let behind = l1.finality_blocks.saturating_add(heard).saturating_add(RETURN_BLOCKS);
        ensure(u64::from(delay / 2) >= behind, "l1.escape_delay_blocks", || {
            let needed = behind.saturating_mul(2);
            let expected =
                format!("expected a delay of at least {needed} L1 blocks, found {delay}");
            let finality = l1.finality_blocks;
            let why =
                format!("rollups return at half of it, and a block is {finality} old when final");
            (expected, format!("{why}: raise it, or lower l1.finality_blocks or l1.lag_ms"))
        })?;
        let stranger = l1.false_postings.iter().find(|node| **node >= self.validators);
        ensure(stranger.is_none(), "l1.false_postings", || {
            let (last, found) = (self.validators.saturating_sub(1), stranger.copied());
            let found = found.unwrap_or_default();
            let expected = format!("expected validators from 0 to {last}, found {found}");
            (expected, "choose some that there are".into())
        })?;
        ensure(l1.offers.is_empty(), "l1.offers", || {
            let expected = "expected no offers, found some".into();
            (expected, "the contracts elect by stake: say in [[l1.stakes]] who has how much".into())
        })?;
        ensure(self.crypto != Crypto::Modelled, "crypto", || {
            let expected = "expected signatures that contracts accept, found modelled ones".into();
            (expected, "set crypto to memoised or real".into())
        })?;
        ensure(self.powers.iter().all(|power| *power <= STAKE_MAX), "powers", || {
            let expected = format!("expected stakes of at most {STAKE_MAX}, found more");
            (expected, "a power is a stake of as many times 32 ether".into())
        })?;
        let changes = !l1.stakes.is_empty() || !l1.rotations.is_empty();
        ensure(!changes || self.key.on_chain && self.key.epoch_heights > 0, "key", || {
            let expected = "expected a key that is made on the chain and handed on, found another";
            let remedy = "set key.on_chain and key.epoch_heights: an election is for an epoch";
            (expected.into(), remedy.into())
        })?;
        self.check_fee_spikes(l1)?;
        self.check_stakes(l1)?;
        self.check_joining(l1)
    }

    /// Prices that somebody could ask, for a time that ends.
    fn check_fee_spikes(&self, l1: &L1Model) -> Checked {
        for (index, spike) in l1.fee_spikes.iter().enumerate() {
            let path = format!("l1.fee_spikes.{index}");
            let (from, until, price) = (spike.from_ms, spike.until_ms, spike.base_fee_gwei);
            ensure((1..=BASE_FEE_GWEI_MAX).contains(&price), &path, || {
                let most = BASE_FEE_GWEI_MAX;
                let expected = format!("expected a price of 1 to {most} gwei, found {price}");
                (expected, "100 is what people pay, and 1000 what is paid if it is urgent".into())
            })?;
            ensure(from < until, &path, || {
                let expected = format!("expected from_ms < until_ms, found {from} and {until}");
                (expected, "let gas be cheap again after it was dear".into())
            })?;
            let end = until.saturating_add(spike.spread_ms);
            ensure(end < self.limit_ms, &path, || {
                let limit = self.limit_ms;
                let expected =
                    format!("expected gas to be cheap before limit_ms = {limit}, found {end}");
                (expected, "raise limit_ms, or let it end earlier".into())
            })?;
        }
        Ok(())
    }

    /// Each change is of a validator that there is, and of a stake that it can still change.
    fn check_stakes(&self, l1: &L1Model) -> Checked {
        let mut left = BTreeSet::new();
        let mut newest = BTreeMap::new();
        for (index, change) in l1.stakes.iter().enumerate() {
            let path = format!("l1.stakes.{index}");
            let (found, last) = (change.validator, self.validators.saturating_sub(1));
            ensure(found <= last, &path, || {
                let expected = format!("expected a validator from 0 to {last}, found {found}");
                (expected, "choose one that there is".into())
            })?;
            ensure(change.power <= STAKE_MAX, &path, || {
                let expected =
                    format!("expected a stake of at most {STAKE_MAX}, found {}", change.power);
                (expected, "it is counted in units of 32 ether".into())
            })?;
            ensure(!left.contains(&found), &path, || {
                let expected = format!("expected no more of validator {found}, which has left");
                (expected, "whoever has left L1 does not come back; let another one join".into())
            })?;
            let before = newest.insert(found, change.at_ms).unwrap_or(0);
            ensure(before <= change.at_ms, &path, || {
                let at = change.at_ms;
                let expected = format!("expected a time from {before} on, found {at}");
                (expected, "list the changes of a validator in their order".into())
            })?;
            if change.power == 0 {
                left.insert(found);
            }
        }
        Ok(())
    }

    /// Who joins registers, one after the other: the contract numbers them in that order.
    fn check_joining(&self, l1: &L1Model) -> Checked {
        let mut before = 0;
        for joiner in self.members()..self.validators {
            let first = l1.stakes.iter().find(|change| change.validator == joiner);
            let found = first.filter(|change| change.power > 0 && change.at_ms >= before);
            ensure(found.is_some(), "joiners", || {
                let expected = format!(
                    "expected a stake of validator {joiner} from {before} ms on, with which it \
                     registers, found {}",
                    first.map_or("none".into(), |change| format!("one of {}", change.power)),
                );
                (expected, "give each joiner an entry in [[l1.stakes]], in their order".into())
            })?;
            before = found.map_or(before, |change| change.at_ms);
        }
        let stranger = l1.rotations.iter().position(|change| change.validator >= self.members());
        ensure(stranger.is_none(), &format!("l1.rotations.{}", stranger.unwrap_or(0)), || {
            let expected =
                "expected that a member of the beginning changes its keys, found a joiner";
            (expected.into(), "let another validator change its keys".into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contracts_would_not_do_is_refused_with_what_to_do() {
        let contracts = "l1.contracts = true\nl1.block_ms = 1000\n";
        let key = "key.on_chain = true\nkey.epoch_heights = 40\n";
        assert!(Scenario::parse("x.toml", contracts).is_ok());
        let stake = |validator: u16, at_ms: u64, power: u64| {
            format!("[[l1.stakes]]\nvalidator = {validator}\nat_ms = {at_ms}\npower = {power}\n")
        };
        let with = |stakes: &[String]| format!("{contracts}{key}{}", stakes.concat());
        let joins = |stakes: &[String]| {
            format!("validators = 6\njoiners = 2\n{contracts}{key}{}", stakes.concat())
        };
        let fine = [
            with(&[stake(1, 5, 2), stake(2, 5, 0)]),
            joins(&[stake(4, 5, 1), stake(5, 5, 1), stake(4, 9, 0)]),
            format!("{contracts}{key}[[l1.rotations]]\nvalidator = 1\nat_ms = 5\n"),
            format!("{contracts}l1.escape_delay_blocks = 28\nl1.finality_blocks = 10"),
            format!("{contracts}l1.escape_delay_blocks = 16"),
        ];
        for text in fine {
            let parsed = Scenario::parse("x.toml", &text);
            assert!(parsed.is_ok(), "{text}: {parsed:?}");
        }
        let spike = |before: &str, (from, until, price): (u64, u64, u64)| {
            let times = format!("from_ms = {from}\nuntil_ms = {until}\nbase_fee_gwei = {price}\n");
            format!("{before}[[l1.fee_spikes]]\n{times}")
        };
        let late = "[[l1.rotations]]\nvalidator = 5\nat_ms = 5\n";
        for (text, expected, remedy) in [
            ("l1.contracts = true".into(), "expected whole seconds, found 500 ms", "in seconds"),
            (format!("{contracts}crypto = \"modelled\""), "found modelled", "memoised"),
            (
                format!("{contracts}[[l1.offers]]\nat_ms = 1\nepoch = 2\npowers = [1, 1, 1, 1]"),
                "expected no offers",
                "elect by stake",
            ),
            (stake(1, 1, 1), "without contracts", "l1.offers"),
            (format!("{contracts}{}", stake(1, 1, 1)), "handed on", "epoch_heights"),
            ("l1.escape_delay_blocks = 32".into(), "no escape without contracts", "l1.contracts"),
            (format!("{contracts}l1.escape_delay_blocks = 15"), "16 to 50400", "no other"),
            (
                format!("{contracts}l1.escape_delay_blocks = 27\nl1.finality_blocks = 10"),
                "at least 28 L1 blocks, found 27",
                "raise it",
            ),
            (
                format!("{contracts}l1.escape_delay_blocks = 23\nl1.lag_ms = 5000"),
                "at least 24 L1 blocks, found 23",
                "raise it",
            ),
            (spike("", (1, 9, 500)), "no price of gas without contracts", "drop"),
            (spike(contracts, (1, 9, 0)), "1 to 100000 gwei, found 0", "urgent"),
            (spike(contracts, (9, 9, 500)), "found 9 and 9", "cheap again"),
            (spike(contracts, (1, 200_000, 500)), "before limit_ms = 120000", "end earlier"),
            (with(&[stake(4, 1, 1)]), "from 0 to 3, found 4", "that there is"),
            (with(&[stake(1, 1, 15_001)]), "at most 15000, found 15001", "32 ether"),
            (with(&[stake(1, 1, 0), stake(1, 2, 1)]), "which has left", "come back"),
            (with(&[stake(1, 2, 2), stake(1, 1, 1)]), "from 2 on, found 1", "order"),
            (joins(&[stake(4, 1, 1)]), "of validator 5 from 1 ms on", "each joiner"),
            (joins(&[stake(4, 2, 1), stake(5, 1, 1)]), "of validator 5 from 2 ms", "each joiner"),
            (joins(&[stake(4, 1, 0), stake(5, 1, 1)]), "found one of 0", "each joiner"),
            (joins(&[stake(4, 1, 1), stake(5, 1, 1), late.into()]), "found a joiner", "another"),
        ] {
            let error = Scenario::parse("x.toml", &text).unwrap_err();
            assert!(error.expected.contains(expected), "{text}: {error}");
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
    }

    #[test]
    fn postings_are_invented_for_somebody_who_reads_them() {
        for (text, expected, remedy) in [
            ("l1.false_postings = [1]", "no postings without", "l1.contracts"),
            (
                "l1.contracts = true\nl1.block_ms = 1000\nl1.false_postings = [4]",
                "from 0 to 3, found 4",
                "that there are",
            ),
        ] {
            let error = Scenario::parse("x.toml", text).unwrap_err();
            assert!(error.expected.contains(expected), "{text}: {error}");
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
    }
}
