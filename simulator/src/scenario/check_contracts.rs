//! What a run may ask of an L1 that has the contracts: they decide for themselves who is elected and when.

use super::{
    Scenario,
    check_world::{WorldFault, ensure},
};
use crate::crypto::Crypto;

impl Scenario {
    pub(super) fn check_contracts(&self) -> Result<(), WorldFault> {
        let Some(l1) = self.l1.as_ref().filter(|l1| l1.contracts) else { return Ok(()) };
        ensure(l1.block_ms.is_multiple_of(1_000), "l1.block_ms", || {
            let expected = format!("expected whole seconds, found {} ms", l1.block_ms);
            (expected, "contracts read the time of their block in seconds".into())
        })?;
        ensure(l1.offers.is_empty() && l1.rotations.is_empty(), "l1.offers", || {
            let expected = "expected no offers and no rotations, found some".into();
            (expected, "the contracts elect by stake; leave contracts out to say who is".into())
        })?;
        ensure(self.joiners == 0, "joiners", || {
            let expected = format!("expected no joiners, found {}", self.joiners);
            (expected, "whoever has staked is elected; let them be members".into())
        })?;
        ensure(self.crypto != Crypto::Modelled, "crypto", || {
            let expected = "expected signatures that contracts accept, found modelled ones".into();
            (expected, "set crypto to memoised or real".into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contracts_would_not_do_is_refused_with_what_to_do() {
        let contracts = "l1.contracts = true\nl1.block_ms = 1000\n";
        assert!(Scenario::parse("x.toml", contracts).is_ok());
        for (text, expected, remedy) in [
            ("l1.contracts = true".into(), "expected whole seconds, found 500 ms", "in seconds"),
            (format!("{contracts}joiners = 1\nvalidators = 5"), "found 1", "be members"),
            (format!("{contracts}crypto = \"modelled\""), "found modelled", "memoised"),
            (
                format!("{contracts}[[l1.offers]]\nat_ms = 1\nepoch = 2\npowers = [1, 1, 1, 1]"),
                "expected no offers and no rotations",
                "elect by stake",
            ),
        ] {
            let error = Scenario::parse("x.toml", &text).unwrap_err();
            assert!(error.expected.contains(expected), "{text}: {error}");
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
    }
}
