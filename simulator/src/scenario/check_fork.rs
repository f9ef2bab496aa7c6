//! What a fork may be: on either side a quorum, of validators that each do one thing, and a run that goes on behind it.

use std::collections::BTreeSet;

use super::{
    Fork, Loss, Scenario,
    check_world::{WorldFault, ensure},
};

type Checked = Result<(), WorldFault>;

impl Scenario {
    pub(super) fn check_fork(&self) -> Checked {
        self.check_crossings()?;
        let Some(fork) = &self.fork else { return Ok(()) };
        self.check_forkers(fork)?;
        self.check_sides(fork)?;
        let begins = fork.from_ms.max(fork.shown_ms).saturating_add(fork.spread_ms);
        ensure(begins < self.limit_ms, "fork.from_ms", || {
            let limit = self.limit_ms;
            let expected = format!(
                "expected a fork that begins, and is shown, before limit_ms = {limit}, found {begins}"
            );
            (expected, "begin it earlier, spread_ms included, or raise limit_ms".into())
        })?;
        let is_judged = self.l1.as_ref().is_some_and(|l1| l1.contracts);
        ensure(!fork.reports || is_judged, "fork.reports", || {
            let expected = "expected contracts that take reports, found none".into();
            (expected, "set l1.contracts, or leave reports out".into())
        })?;
        ensure(self.breaks.is_none(), "breaks", || {
            let expected = "expected breaks or a fork, found both";
            let remedy = "a control ends where a promise breaks, a fork goes on: drop one of them";
            (expected.into(), remedy.into())
        })?;
        ensure(self.beyond_f, "fork.validators", || {
            let expected = "expected beyond_f = true beside a fork, found false";
            (expected.into(), "it takes more than f to fork the chain: say that they may".into())
        })
    }

    /// Everyone is one of those who fork, on one side or on the other, and does nothing else.
    fn check_forkers(&self, fork: &Fork) -> Checked {
        let mut seen = BTreeSet::new();
        let named = [("fork.validators", &fork.validators), ("fork.side", &fork.side)];
        for (path, validator) in
            named.into_iter().flat_map(|(path, list)| list.iter().map(move |one| (path, *one)))
        {
            let last = self.members().saturating_sub(1);
            ensure(validator <= last, path, || {
                let expected = format!("expected a member from 0 to {last}, found {validator}");
                (expected, "name another, or raise validators".into())
            })?;
            ensure(seen.insert(validator), path, || {
                let expected = format!("expected validator {validator} in one place, found two");
                (expected, "it is on both sides, on this one, or, unnamed, on the other".into())
            })?;
        }
        let crashes = self.crashes.iter().map(|crash| crash.validator);
        let liars = self.byzantine.iter().map(|byzantine| byzantine.validator);
        let mut others = crashes.chain(liars);
        let both = others.find(|other| fork.validators.contains(other));
        ensure(both.is_none(), "fork.validators", || {
            let found = both.unwrap_or_default();
            let expected = format!(
                "expected validator {found} to fork the chain and nothing else, found it to crash or misbehave, too"
            );
            (expected, "let another one do that".into())
        })?;
        let rotates = self.l1.as_ref().is_some_and(|l1| !l1.rotations.is_empty());
        ensure(!rotates, "l1.rotations", || {
            let expected = "expected nobody to change keys in a fork, found a rotation";
            (expected.into(), "machines of one validator would have two meanings: drop one".into())
        })
    }

    /// With those who are on both, either side decides.
    fn check_sides(&self, fork: &Fork) -> Checked {
        let power = |index: u16| self.powers.get(usize::from(index)).copied().unwrap_or(1);
        let sum = |of: &dyn Fn(u16) -> bool| {
            let members = (0..self.members()).filter(|index| of(*index));
            members.map(power).fold(0_u64, u64::saturating_add)
        };
        let total = sum(&|_| true);
        let there = sum(&|index| fork.validators.contains(&index) || fork.side.contains(&index));
        let here = sum(&|index| !fork.side.contains(&index));
        let quorum = total.saturating_mul(2) / 3 + 1;
        let honest = sum(&|index| !fork.validators.contains(&index) && !fork.side.contains(&index));
        ensure(here.min(there) >= quorum && honest > 0, "fork.side", || {
            let expected = format!(
                "expected a power of {quorum} of {total} on either side, some of it honest, found {here} and {there}"
            );
            let remedy = "who forks counts on both sides: let more of them, and halve the others";
            (expected, remedy.into())
        })
    }

    /// Whoever crosses has none of the first side's chain any more, and a side to cross to.
    fn check_crossings(&self) -> Checked {
        for (index, crash) in self.crashes.iter().enumerate() {
            let at = |key: &str| format!("crashes.{index}.{key}");
            let forks = self.fork.as_ref().map(|fork| fork.from_ms.saturating_add(fork.spread_ms));
            let is_after = forks.is_some_and(|forks| forks < crash.at_ms);
            ensure(!crash.crosses || is_after, &at("crosses"), || {
                let expected = "expected a fork before somebody crosses to its other side";
                (expected.into(), "add [fork], with an earlier from_ms, spread_ms included".into())
            })?;
            let forgets = matches!(crash.lose, Loss::Database | Loss::Disk);
            ensure(!crash.crosses || forgets, &at("lose"), || {
                let expected =
                    format!("expected a lost database beside crosses, found {:?}", crash.lose);
                let remedy = "who has one side's blocks cannot follow the other: lose = \"database\" or \"disk\"";
                (expected, remedy.into())
            })?;
            ensure(!crash.lost_state || crash.lose == Loss::Disk, &at("lost_state"), || {
                let expected =
                    format!("expected lose = \"disk\" beside lost_state, found {:?}", crash.lose);
                (expected, "who has its mark needs nobody to vouch for it".into())
            })?;
            ensure(!crash.understated || crash.lost_state, &at("understated"), || {
                let expected = "expected lost_state = true beside understated, found false".into();
                (expected, "who is not vouched for is not said to be new either".into())
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_that_cannot_be_is_refused_with_what_to_do() {
        let fork = |validators: &str, side: &str| {
            format!(
                "validators = 7\nbeyond_f = true\n[fork]\nvalidators = {validators}\nside = {side}\nfrom_ms = 5000\n"
            )
        };
        let fine = fork("[4, 5, 6]", "[2, 3]");
        let crash = |more: &str| {
            format!("{fine}[[crashes]]\nvalidator = 2\nat_ms = 9000\nuntil_ms = 9900\n{more}")
        };
        let crosses = "lose = \"database\"\ncrosses = true\n";
        let vouched = "lose = \"disk\"\nlost_state = true\ncrosses = true\n";
        for text in [fine.clone(), crash(crosses), crash(vouched)] {
            let parsed = Scenario::parse("x.toml", &text);
            assert!(parsed.is_ok(), "{text}: {parsed:?}");
        }
        let silent = "[[byzantine]]\nvalidator = 4\nbehaviours = [\"silent\"]\n";
        let rotation = "[key]\non_chain = true\nepoch_heights = 40\n[l1]\ncontracts = true\n\
                        block_ms = 1000\nrotations = [{ validator = 1, at_ms = 9 }]\n";
        for (text, expected, remedy) in [
            (
                fork("[4, 5]", "[2, 3]"),
                "5 of 7 on either side, some of it honest, found 5 and 4",
                "halve",
            ),
            (fork("[2, 3, 4, 5, 6]", "[0, 1]"), "some of it honest, found 5 and 7", "halve"),
            (fork("[4, 5, 7]", "[2, 3]"), "a member from 0 to 6, found 7", "name another"),
            (fork("[4, 5, 6]", "[2, 4]"), "validator 4 in one place, found two", "both sides"),
            (fine.replace("5000", "120000"), "before limit_ms = 120000, found 120000", "earlier"),
            (format!("{fine}reports = true"), "contracts that take reports", "l1.contracts"),
            (format!("breaks = \"agreement\"\n{fine}"), "breaks or a fork, found both", "goes on"),
            (fine.replace("beyond_f = true\n", ""), "beyond_f = true", "more than f"),
            (
                format!("{fine}{silent}"),
                "validator 4 to fork the chain and nothing else",
                "another",
            ),
            (format!("{fine}{rotation}"), "a rotation", "two meanings"),
            (crash("crosses = true\n"), "a lost database beside crosses, found Nothing", "follow"),
            (crash(crosses).replace("9000", "5000"), "a fork before somebody crosses", "earlier"),
            (crash("lose = \"database\"\nlost_state = true\n"), "found Database", "vouch"),
            (crash("understated = true\n"), "lost_state = true beside understated", "new either"),
        ] {
            let error = Scenario::parse("x.toml", &text).unwrap_err();
            assert!(error.expected.contains(expected), "{text}: {error}");
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
    }
}
