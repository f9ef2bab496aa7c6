//! Reading a scenario: every error names the file, the line, what was expected there and the remedy.

use std::{collections::BTreeSet, ops::RangeInclusive};

use crate::counters::COUNTERS;

use super::{
    Byzantine, Crash, Loss, Scenario,
    check_world::WorldFault,
    place::{Place, Text},
};

/// Below four validators, none may fail; beyond the most, a run takes longer than anyone waits.
const VALIDATORS: RangeInclusive<u16> = 4..=256;
/// Longest run, in virtual time: a day.
const LIMIT_MS_MAX: u64 = 86_400_000;
/// Largest pool of a market; the products of two such amounts still fit a number.
const RESERVE_MAX: u64 = 1_000_000;
/// A height takes a proposal, prevotes and precommits, one after the other.
const HOPS_PER_HEIGHT: u64 = 3;
/// A name that differs by more letters is another name.
const TYPING_ERRORS_MAX: usize = 3;

/// Why a file is no scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {expected}; {remedy}")]
pub struct ScenarioError {
    /// Where.
    pub place: Place,
    /// What was expected, and what was found.
    pub expected: String,
    /// What to do about it.
    pub remedy: String,
}

/// Values that the command line puts in the place of a scenario's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Validators.
    pub validators: Option<u16>,
    /// Heights.
    pub heights: Option<u64>,
}

/// A contradiction: which entry, what was expected, and what to do.
struct Fault {
    path: String,
    expected: String,
    remedy: String,
}

type Checked = Result<(), Fault>;

fn ensure(
    holds: bool,
    path: impl Into<String>,
    fault: impl FnOnce() -> (String, String),
) -> Checked {
    if holds {
        return Ok(());
    }
    let (expected, remedy) = fault();
    Err(Fault { path: path.into(), expected, remedy })
}

impl Scenario {
    /// Reads a scenario from the text of `file`.
    ///
    /// # Errors
    ///
    /// If the text is no TOML, a key or value is unknown, or the scenario contradicts itself.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        Self::parse_with(file, text, Replaced::default())
    }

    /// Reads a scenario from the text of `file` and replaces values in it.
    ///
    /// # Errors
    ///
    /// If the text is no TOML, a key or value is unknown, or the scenario contradicts itself or what
    /// was replaced in it.
    pub fn parse_with(file: &str, text: &str, replaced: Replaced) -> Result<Self, ScenarioError> {
        let Replaced { validators, heights } = replaced;
        let flags = [("validators", validators.is_some()), ("heights", heights.is_some())];
        let flags = flags.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag);
        let places = Text::new(file, text, flags.collect());
        let mut scenario: Self = toml::from_str(text).map_err(|fault| {
            let (expected, remedy) = explain(fault.message());
            let byte = fault.span().map_or(text.len(), |span| span.start);
            ScenarioError { place: places.at(byte), expected, remedy }
        })?;
        scenario.validators = validators.unwrap_or(scenario.validators);
        scenario.heights = heights.unwrap_or(scenario.heights);
        scenario.check().map_err(|Fault { path, expected, remedy }| ScenarioError {
            place: places.place(&path),
            expected,
            remedy,
        })?;
        Ok(scenario)
    }

    /// Whether the scenario contradicts itself: for one that no file holds.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.check().is_ok()
    }

    fn check(&self) -> Checked {
        let Self { validators, heights, limit_ms, payers, .. } = self;
        ensure(VALIDATORS.contains(validators), "validators", || {
            let (least, most) = (VALIDATORS.start(), VALIDATORS.end());
            let expected = format!("expected {least} to {most} validators, found {validators}");
            (expected, "below four none may fail, above a run takes too long".into())
        })?;
        ensure(*heights > 0, "heights", || {
            ("expected at least one height".into(), "a run without heights shows nothing".into())
        })?;
        ensure((1..=LIMIT_MS_MAX).contains(limit_ms), "limit_ms", || {
            let expected = format!("expected a limit of 1 to {LIMIT_MS_MAX} ms, found {limit_ms}");
            (expected, "it is virtual time, a day at most".into())
        })?;
        ensure(*payers > 0 || self.bundles_per_s == 0, "payers", || {
            let expected = "expected payers for the bundles, found none".into();
            (expected, "set payers, or bundles_per_s = 0".into())
        })?;
        self.check_network()?;
        self.check_market()?;
        self.check_partitions()?;
        self.check_crashes()?;
        self.check_chaos()?;
        let world = self.check_world();
        world.map_err(|WorldFault { path, expected, remedy }| Fault { path, expected, remedy })?;
        self.check_byzantine()?;
        self.check_faulty()?;
        self.check_breaks()?;
        self.check_expect()
    }

    fn check_network(&self) -> Checked {
        let network = &self.network;
        let (least, most) = (network.latency_min_ms, network.latency_max_ms);
        ensure(least <= most, "network.latency_min_ms", || {
            let expected =
                format!("expected latency_min_ms <= latency_max_ms, found {least} and {most}");
            (expected, "swap them, or set both".into())
        })?;
        let shares = [
            ("network.loss_permille", network.loss_permille),
            ("network.duplicate_permille", network.duplicate_permille),
        ];
        for (path, share) in shares {
            ensure(share < 1_000, path, || {
                let expected = format!("expected less than 1000 of 1000 messages, found {share}");
                (expected, "where every message is lost or doubled, nothing is decided".into())
            })?;
        }
        let placed = !network.regions.is_empty() || !network.region_counts.is_empty();
        let least = if placed { 0 } else { least };
        let fastest = least.saturating_mul(HOPS_PER_HEIGHT).saturating_mul(self.heights);
        ensure(fastest <= self.limit_ms, "heights", || {
            let (heights, limit) = (self.heights, self.limit_ms);
            let expected = format!(
                "expected heights that fit into limit_ms = {limit}, found {heights}, which take \
                 {fastest} ms at {HOPS_PER_HEIGHT} messages of {least} ms each"
            );
            (expected, "ask for fewer heights, or raise limit_ms".into())
        })
    }

    fn check_market(&self) -> Checked {
        let Some(market) = &self.market else { return Ok(()) };
        let reserve = market.reserve_ether;
        ensure((1..=RESERVE_MAX).contains(&reserve), "market.reserve_ether", || {
            let expected = format!("expected a pool of 1 to {RESERVE_MAX} ether, found {reserve}");
            (expected, "trades are of 1 to 128 ether".into())
        })?;
        let parts = [
            ("fee_bps", market.fee_bps, 9_999, "it is hundredths of a percent"),
            ("tolerance_bps", market.tolerance_bps, 10_000, "it is hundredths of a percent"),
            ("habit_permille", market.habit_permille, 1_000, "it is of a thousand"),
        ];
        for (key, found, most, unit) in parts {
            ensure(found <= most, format!("market.{key}"), || {
                let below = most + 1;
                (format!("expected {key} below {below}, found {found}"), unit.into())
            })?;
        }
        Ok(())
    }

    fn check_partitions(&self) -> Checked {
        for (index, partition) in self.partitions.iter().enumerate() {
            let at = |key: &str| format!("partitions.{index}.{key}");
            let (from, until) = (partition.from_ms, partition.until_ms);
            ensure(from < until, at("until_ms"), || {
                let expected = format!("expected from_ms < until_ms, found {from} and {until}");
                (expected, "a partition heals after it began".into())
            })?;
            self.check_end(until.saturating_add(partition.spread_ms), at("until_ms"))?;
            for validator in &partition.side {
                self.check_validator(*validator, at("side"))?;
            }
            for validator in &partition.against {
                self.check_validator(*validator, at("against"))?;
            }
            let side: BTreeSet<_> = partition.side.iter().collect();
            let both = !side.is_empty() && side.len() < usize::from(self.validators);
            ensure(both, at("side"), || {
                let (found, all) = (side.len(), self.validators);
                let expected =
                    format!("expected some validators on either side, found {found} of {all}");
                (expected, "list the validators of one side only".into())
            })?;
        }
        Ok(())
    }

    fn check_crashes(&self) -> Checked {
        for (index, crash) in self.crashes.iter().enumerate() {
            let at = |key: &str| format!("crashes.{index}.{key}");
            self.check_validator(crash.validator, at("validator"))?;
            let (from, until) = (crash.at_ms, crash.until_ms);
            ensure(from < until, at("until_ms"), || {
                let expected = format!("expected at_ms < until_ms, found {from} and {until}");
                (expected, "a validator starts again after it crashed".into())
            })?;
            let end = |crash: &Crash| crash.until_ms.saturating_add(crash.spread_ms);
            self.check_end(end(crash), at("until_ms"))?;
            let overlaps = self.crashes.iter().take(index).any(|other| {
                other.validator == crash.validator
                    && other.at_ms <= end(crash)
                    && crash.at_ms <= end(other)
            });
            ensure(!overlaps, at("at_ms"), || {
                let expected = format!(
                    "expected validator {} to be up when it crashes again",
                    crash.validator
                );
                (expected, "leave time between its crashes, spread_ms included".into())
            })?;
        }
        Ok(())
    }

    fn check_chaos(&self) -> Checked {
        let until = self.chaos.until_ms;
        self.check_end(until, "chaos.until_ms".into())?;
        let harmless = self.chaos.crashes == 0 && self.chaos.partitions == 0;
        ensure(harmless || until > 1_000, "chaos.until_ms", || {
            let expected = format!("expected chaos to last more than 1000 ms, found {until}");
            (expected, "set until_ms: nothing fails before everyone has started".into())
        })
    }

    fn check_byzantine(&self) -> Checked {
        for (index, byzantine) in self.byzantine.iter().enumerate() {
            let at = |key: &str| format!("byzantine.{index}.{key}");
            let validator = byzantine.validator;
            self.check_validator(validator, at("validator"))?;
            ensure(!byzantine.behaviours.is_empty(), at("behaviours"), || {
                ("expected at least one behaviour".into(), "name one, or drop the entry".into())
            })?;
            let span = byzantine.span_ms();
            ensure(!span.is_empty(), at("until_ms"), || {
                let expected = format!("expected a time after {}, found {}", span.start, span.end);
                (expected, "let it misbehave for a while, or leave until_ms out".into())
            })?;
            let (until, limit) = (byzantine.until_ms, self.limit_ms);
            ensure(until < limit, at("until_ms"), || {
                let expected =
                    format!("expected it to end before limit_ms = {limit}, found {until}");
                (expected, "end it earlier, raise limit_ms, or leave until_ms out".into())
            })?;
            let others = self.byzantine.iter().take(index);
            let twice = others.filter(|other| other.validator == validator).any(|other| {
                let other = other.span_ms();
                other.start < span.end && span.start < other.end
            });
            ensure(!twice, at("validator"), || {
                let expected =
                    format!("expected one entry for validator {validator} at a time, found two");
                (expected, "list all its behaviours in one, or set from_ms and until_ms".into())
            })?;
            let crashes = self.crashes.iter().any(|crash| crash.validator == validator);
            ensure(!crashes, at("validator"), || {
                let expected = format!(
                    "expected validator {validator} to be Byzantine or to crash, found both"
                );
                (expected, "let another validator crash".into())
            })?;
            let mut others = self.byzantine.iter().take(index);
            let is_other = |other: &Byzantine| {
                other.validator == validator && other.masked != byzantine.masked
            };
            ensure(!others.any(is_other), at("validator"), || {
                let expected = format!("expected one word on validator {validator}, found two");
                (expected, "say masked in all its entries, or in none".into())
            })?;
            ensure(!byzantine.masked || self.breaks.is_some(), at("masked"), || {
                let expected = "expected breaks beside masked = true, found none".into();
                (expected, "a masked liar makes an oracle fail: name its promise".into())
            })?;
        }
        Ok(())
    }

    /// No more faulty validators than the protocol bears, unless that is what is asked for.
    fn check_faulty(&self) -> Checked {
        let silenced = self.crashes.iter().filter(|crash| crash.silences());
        let byzantine = self.byzantine.iter().map(|byzantine| byzantine.validator);
        let faulty: BTreeSet<_> = byzantine.chain(silenced.map(|crash| crash.validator)).collect();
        let (most, found) = (usize::from(self.faulty_max()), faulty.len());
        let last = |list: &str, count: usize| format!("{list}.{}", count.saturating_sub(1));
        let at = match self.byzantine.len() {
            0 => last("crashes", self.crashes.len()),
            count => last("byzantine", count),
        };
        ensure(self.beyond_f || found <= most, at, || {
            let n = self.validators;
            let expected = format!(
                "expected at most f = {most} of {n} validators to misbehave or lose their disk, \
                 found {found}"
            );
            let enough = found.saturating_mul(3).saturating_add(1);
            let remedy = format!("drop some, set validators = {enough}, or set beyond_f = true");
            (expected, remedy)
        })?;
        let lie = self.crashes.iter().position(|crash| crash.lose == Loss::Recent);
        let at = format!("crashes.{}.lose", lie.unwrap_or(0));
        ensure(lie.is_none() || self.breaks.is_some(), at, || {
            let expected = "expected breaks beside lose = \"recent\", found none".into();
            (expected, "no software survives a disk that lies: name the promise".into())
        })
    }

    fn check_breaks(&self) -> Checked {
        let known = |promise: &String| crate::oracle::PROMISES.contains(&promise.as_str());
        ensure(self.breaks.iter().all(known), "breaks", || {
            let found = self.breaks.as_deref().unwrap_or_default();
            let expected = format!("expected breaks to be a promise, found {found:?}");
            (expected, format!("the promises are: {}", crate::oracle::PROMISES.join("; ")))
        })
    }

    fn check_expect(&self) -> Checked {
        let is_counted = |name: &&String| COUNTERS.binary_search(&name.as_str()).is_ok();
        let Some(unknown) = self.expect.keys().find(|name| !is_counted(name)) else {
            return Ok(());
        };
        let expected = format!("expected a counter of a run, found {unknown:?}");
        let remedy = match nearest(unknown, COUNTERS.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the counters are: {}", COUNTERS.join(", ")),
        };
        Err(Fault { path: format!("expect.{unknown}"), expected, remedy })
    }

    fn check_validator(&self, validator: u16, path: String) -> Checked {
        ensure(validator < self.validators, path, || {
            let last = self.validators.saturating_sub(1);
            let expected = format!("expected a validator from 0 to {last}, found {validator}");
            (expected, "name another, or raise validators".into())
        })
    }

    fn check_end(&self, end: u64, path: String) -> Checked {
        ensure(end < self.limit_ms, path, || {
            let limit = self.limit_ms;
            let expected =
                format!("expected the fault to end before limit_ms = {limit}, found {end}");
            (expected, "end it earlier, spread_ms included, or raise limit_ms".into())
        })
    }
}

/// What the parser found, in the words of someone who writes scenarios, and what to do about it.
fn explain(message: &str) -> (String, String) {
    let message = message.trim().replace('\n', ", ");
    let mut names = message.split('`').skip(1).step_by(2);
    let found = names.next().unwrap_or_default();
    if message.starts_with("unknown ") {
        let remedy = match nearest(found, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "use one of these".into(),
        };
        return (message, remedy);
    }
    if message.starts_with("missing ") {
        return (format!("{message}, which every such entry needs"), format!("add {found} = …"));
    }
    if message.starts_with("invalid ") {
        let plain = message.replace("expected u64", "expected a whole number from 0");
        let plain = plain.replace("expected u16", "expected a whole number from 0 to 65535");
        let remedy = if message.starts_with("invalid type") {
            "numbers stand without quotes, lists in brackets"
        } else {
            "times are milliseconds since the start, shares are of a thousand"
        };
        return (plain, remedy.into());
    }
    (format!("expected TOML, found: {message}"), "write key = value, [table] or [[list]]".into())
}

/// What somebody who wrote `found` has probably meant.
fn nearest<'a>(found: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &str| match name.starts_with(found) {
        true => 0,
        false => strsim::damerau_levenshtein(found, name),
    };
    let near = names.map(|name| (distance(name), name)).min();
    near.filter(|(distance, _)| *distance <= TYPING_ERRORS_MAX).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Scenario::parse("x.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_scenario_is_the_default() {
        assert_eq!(Scenario::parse("x.toml", ""), Ok(Scenario::default()));
    }

    #[test]
    fn a_bad_scenario_is_told_where_what_was_expected_and_what_to_do() {
        let crash = "[[crashes]]\nvalidator = 1\nat_ms = 100\nuntil_ms = 200\n";
        let silent = "[[byzantine]]\nvalidator = 1\nbehaviours = [\"silent\"]\n";
        let cut = "[[partitions]]\nfrom_ms = 100\nuntil_ms = 200\nside = [0]\n";
        let far = "below four none may fail, above a run takes too long";
        let units = "times are milliseconds since the start, shares are of a thousand";
        let rows = [
            ("\nvalidators = 3\n".to_owned(), format!("2: expected 4 to 256 validators, found 3; {far}")),
            ("validators = 257".to_owned(), format!("1: expected 4 to 256 validators, found 257; {far}")),
            ("\n\nheights = 0".to_owned(), "3: expected at least one height; a run without heights shows nothing".to_owned()),
            ("heights = -1".to_owned(), format!("1: invalid value: integer `-1`, expected a whole number from 0; {units}")),
            (crash.replace("100", "-5"), format!("3: invalid value: integer `-5`, expected a whole number from 0; {units}")),
            (crash.replace("= 1\n", "= 70000\n"), format!("2: invalid value: integer `70000`, expected a whole number from 0 to 65535; {units}")),
            ("validators = \"four\"".to_owned(), "1: invalid type: string \"four\", expected a whole number from 0 to 65535; numbers stand without quotes, lists in brackets".to_owned()),
            (cut.replace("side", "sides"), "4: unknown field `sides`, expected one of `from_ms`, `until_ms`, `spread_ms`, `side`, `against`, `one_way`; did you mean `side`?".to_owned()),
            ("[market]\nhabit = 3".to_owned(), "2: unknown field `habit`, expected one of `reserve_ether`, `fee_bps`, `tolerance_bps`, `habit_permille`; did you mean `habit_permille`?".to_owned()),
            ("[market]\ndepth = 3".to_owned(), "2: unknown field `depth`, expected one of `reserve_ether`, `fee_bps`, `tolerance_bps`, `habit_permille`; use one of these".to_owned()),
            (crash.replace("at_ms = 100\n", ""), "1: missing field `at_ms`, which every such entry needs; add at_ms = …".to_owned()),
            ("limit_ms = 0".to_owned(), "1: expected a limit of 1 to 86400000 ms, found 0; it is virtual time, a day at most".to_owned()),
            ("heights = 100000".to_owned(), "1: expected heights that fit into limit_ms = 120000, found 100000, which take 1500000 ms at 3 messages of 5 ms each; ask for fewer heights, or raise limit_ms".to_owned()),
            ("payers = 0".to_owned(), "1: expected payers for the bundles, found none; set payers, or bundles_per_s = 0".to_owned()),
            ("[network]\nloss_permille = 1000".to_owned(), "2: expected less than 1000 of 1000 messages, found 1000; where every message is lost or doubled, nothing is decided".to_owned()),
            ("[network]\nlatency_min_ms = 50".to_owned(), "2: expected latency_min_ms <= latency_max_ms, found 50 and 40; swap them, or set both".to_owned()),
            (crash.replace("= 1\n", "= 4\n"), "2: expected a validator from 0 to 3, found 4; name another, or raise validators".to_owned()),
            (crash.replace("= 200", "= 100"), "4: expected at_ms < until_ms, found 100 and 100; a validator starts again after it crashed".to_owned()),
            (crash.replace("= 200", "= 120000"), "4: expected the fault to end before limit_ms = 120000, found 120000; end it earlier, spread_ms included, or raise limit_ms".to_owned()),
            (format!("{crash}{crash}"), "7: expected validator 1 to be up when it crashes again; leave time between its crashes, spread_ms included".to_owned()),
            (format!("{crash}lose = \"recent\""), "5: expected breaks beside lose = \"recent\", found none; no software survives a disk that lies: name the promise".to_owned()),
            (format!("{crash}{silent}"), "6: expected validator 1 to be Byzantine or to crash, found both; let another validator crash".to_owned()),
            (format!("{silent}{silent}"), "5: expected one entry for validator 1 at a time, found two; list all its behaviours in one, or set from_ms and until_ms".to_owned()),
            (format!("{silent}until_ms = 200\n{silent}from_ms = 199"), "6: expected one entry for validator 1 at a time, found two; list all its behaviours in one, or set from_ms and until_ms".to_owned()),
            (format!("{silent}until_ms = 200\n{silent}from_ms = 200\nmasked = true"), "6: expected one word on validator 1, found two; say masked in all its entries, or in none".to_owned()),
            (format!("{silent}from_ms = 200\nuntil_ms = 200"), "5: expected a time after 200, found 200; let it misbehave for a while, or leave until_ms out".to_owned()),
            (format!("{silent}until_ms = 120000"), "4: expected it to end before limit_ms = 120000, found 120000; end it earlier, raise limit_ms, or leave until_ms out".to_owned()),
            (format!("{silent}{}", silent.replace("= 1", "= 2")), "4: expected at most f = 1 of 4 validators to misbehave or lose their disk, found 2; drop some, set validators = 7, or set beyond_f = true".to_owned()),
            (silent.replace("\"silent\"", ""), "3: expected at least one behaviour; name one, or drop the entry".to_owned()),
            (format!("{silent}masked = true"), "4: expected breaks beside masked = true, found none; a masked liar makes an oracle fail: name its promise".to_owned()),
            (cut.replace("[0]", "[0, 1, 2, 3]"), "4: expected some validators on either side, found 4 of 4; list the validators of one side only".to_owned()),
            (cut.replace("= 200", "= 100"), "3: expected from_ms < until_ms, found 100 and 100; a partition heals after it began".to_owned()),
            ("[chaos]\ncrashes = 3".to_owned(), "1: expected chaos to last more than 1000 ms, found 0; set until_ms: nothing fails before everyone has started".to_owned()),
            ("[market]\nfee_bps = 10000".to_owned(), "2: expected fee_bps below 10000, found 10000; it is hundredths of a percent".to_owned()),
            ("[market]\nreserve_ether = 0".to_owned(), "2: expected a pool of 1 to 1000000 ether, found 0; trades are of 1 to 128 ether".to_owned()),
            ("validators = ".to_owned(), "1: expected TOML, found: string values must be quoted, expected literal string; write key = value, [table] or [[list]]".to_owned()),
        ];
        for (text, expected) in rows {
            assert_eq!(error(&text), format!("x.toml:{expected}"), "{text}");
        }
    }

    #[test]
    fn names_that_do_not_exist_come_with_those_that_do() {
        let silent = "[[byzantine]]\nvalidator = 1\nbehaviours = [\"slient\"]\n";
        let found = error(silent);
        assert!(
            found.starts_with("x.toml:3: unknown variant `slient`, expected one of"),
            "{found}"
        );
        assert!(found.ends_with("; did you mean `silent`?"), "{found}");
        let found = error("\nbreaks = \"luck\"");
        let expected = "x.toml:2: expected breaks to be a promise, found \"luck\"; the promises are: agreement;";
        assert!(found.starts_with(expected), "{found}");
        let found = error("heights = 9\n\n[expect]\nepochs = 1\ncrashs = 1\n");
        let expected =
            "x.toml:5: expected a counter of a run, found \"crashs\"; did you mean `crashes`?";
        assert_eq!(found, expected);
        let found = error("expect = { things_that_happened = 1 }");
        assert!(found.contains("the counters are: alternating_attestations, "), "{found}");
        let found = error("height = 1");
        assert!(found.ends_with("; did you mean `heights`?"), "{found}");
    }

    #[test]
    fn what_the_command_line_replaced_is_named_by_its_flag() {
        let replaced = Replaced { validators: Some(2), heights: None };
        let error = Scenario::parse_with("x.toml", "validators = 7", replaced).unwrap_err();
        assert_eq!(error.place, Place::Flag("validators"));
        assert_eq!(
            error.to_string(),
            "--validators: expected 4 to 256 validators, found 2; \
             below four none may fail, above a run takes too long"
        );
    }
}
