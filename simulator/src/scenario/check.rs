//! Reading a scenario: every error names the file, the line and what was expected there.

use std::{collections::BTreeSet, ops::Range};

use serde::Deserialize;
use toml::Spanned;

use super::{Scenario, check_world::WorldFault};

/// Fewest validators: below four, none may fail.
const VALIDATORS_MIN: u16 = 4;
/// Most validators: beyond, a run takes longer than anyone waits.
const VALIDATORS_MAX: u16 = 256;
/// Longest run, in virtual time: a day.
const LIMIT_MS_MAX: u64 = 86_400_000;

/// Why a file is no scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {expected}")]
pub struct ScenarioError {
    /// The file.
    pub file: String,
    /// The line, from 1; 1 if the fault is in no single place.
    pub line: usize,
    /// What was expected, and what was found.
    pub expected: String,
}

/// Where in the text the entries are.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Places {
    validators: Option<Spanned<toml::Value>>,
    heights: Option<Spanned<toml::Value>>,
    limit_ms: Option<Spanned<toml::Value>>,
    payers: Option<Spanned<toml::Value>>,
    network: Option<Spanned<toml::Value>>,
    partitions: Vec<Spanned<toml::Value>>,
    crashes: Vec<Spanned<toml::Value>>,
    chaos: Option<Spanned<toml::Value>>,
    byzantine: Vec<Spanned<toml::Value>>,
    breaks: Option<Spanned<toml::Value>>,
    crypto: Option<Spanned<toml::Value>>,
    machine: Option<Spanned<toml::Value>>,
    clocks: Option<Spanned<toml::Value>>,
    bundle_bytes: Option<Spanned<toml::Value>>,
    block_bytes_max: Option<Spanned<toml::Value>>,
    full_disks: Vec<Spanned<toml::Value>>,
}

impl Places {
    /// A broken rule of the world, at the entry that it names.
    fn fault(&self, fault: WorldFault) -> Fault {
        let WorldFault { path, expected, remedy } = fault;
        let mut names = path.split('.');
        let (first, second) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let list = |list: &[Spanned<toml::Value>]| {
            second.parse().ok().and_then(|index: usize| list.get(index).map(Spanned::span))
        };
        let one = |place: &Option<Spanned<toml::Value>>| place.as_ref().map(Spanned::span);
        let at = match first {
            "network" => one(&self.network),
            "machine" => one(&self.machine),
            "clocks" => one(&self.clocks),
            "crypto" => one(&self.crypto),
            "bundle_bytes" => one(&self.bundle_bytes),
            "block_bytes_max" => one(&self.block_bytes_max),
            "full_disks" => list(&self.full_disks),
            "crashes" => list(&self.crashes),
            _ => None,
        };
        Fault { at, expected: format!("{expected}; {remedy}") }
    }
}

/// A contradiction: what was expected, and where.
struct Fault {
    at: Option<Range<usize>>,
    expected: String,
}

type Checked = Result<(), Fault>;

fn ensure(
    holds: bool,
    at: Option<&Spanned<toml::Value>>,
    expected: impl Fn() -> String,
) -> Checked {
    if holds {
        return Ok(());
    }
    Err(Fault { at: at.map(Spanned::span), expected: expected() })
}

impl Scenario {
    /// Reads a scenario from the text of `file`.
    ///
    /// # Errors
    ///
    /// If the text is no TOML, a key or value is unknown, or the scenario contradicts itself.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let error = |at: Option<Range<usize>>, expected: String| {
            let before = text.get(..at.map_or(0, |span| span.start)).unwrap_or_default();
            let line = before.matches('\n').count().saturating_add(1);
            ScenarioError { file: file.into(), line, expected }
        };
        let scenario: Self = toml::from_str(text)
            .map_err(|fault| error(fault.span(), fault.message().trim().replace('\n', "; ")))?;
        let places: Places = toml::from_str(text).unwrap_or_default();
        scenario.check(&places).map_err(|fault| error(fault.at, fault.expected))?;
        Ok(scenario)
    }

    /// Checks a scenario after values in it were replaced from the command line.
    ///
    /// # Errors
    ///
    /// If it contradicts itself.
    pub fn checked(self, name: &str) -> Result<Self, ScenarioError> {
        let error =
            |fault: Fault| ScenarioError { file: name.into(), line: 1, expected: fault.expected };
        self.check(&Places::default()).map_err(error)?;
        Ok(self)
    }

    fn check(&self, places: &Places) -> Checked {
        let Self { validators, heights, limit_ms, payers, .. } = self;
        let range = VALIDATORS_MIN..=VALIDATORS_MAX;
        ensure(range.contains(validators), places.validators.as_ref(), || {
            format!("expected {VALIDATORS_MIN} to {VALIDATORS_MAX} validators, found {validators}")
        })?;
        ensure(*heights > 0, places.heights.as_ref(), || {
            "expected at least one height: a run without heights shows nothing".into()
        })?;
        ensure((1..=LIMIT_MS_MAX).contains(limit_ms), places.limit_ms.as_ref(), || {
            format!("expected a limit of 1 to {LIMIT_MS_MAX} ms, found {limit_ms}")
        })?;
        ensure(*payers > 0 || self.bundles_per_s == 0, places.payers.as_ref(), || {
            "expected payers for the bundles, found none; or set bundles_per_s = 0".into()
        })?;
        self.check_network(places.network.as_ref())?;
        self.check_partitions(&places.partitions)?;
        self.check_crashes(&places.crashes)?;
        self.check_end(self.chaos.until_ms, places.chaos.as_ref())?;
        let harmless = self.chaos.crashes == 0 && self.chaos.partitions == 0;
        ensure(harmless || self.chaos.until_ms > 1_000, places.chaos.as_ref(), || {
            "expected chaos to last more than 1000 ms: set until_ms".into()
        })?;
        self.check_world().map_err(|fault| places.fault(fault))?;
        self.check_byzantine(&places.byzantine)?;
        self.check_faulty(places)
    }

    fn check_network(&self, at: Option<&Spanned<toml::Value>>) -> Checked {
        let network = &self.network;
        ensure(network.latency_min_ms <= network.latency_max_ms, at, || {
            let (least, most) = (network.latency_min_ms, network.latency_max_ms);
            format!("expected latency_min_ms <= latency_max_ms, found {least} and {most}")
        })?;
        let shares = [network.loss_permille, network.duplicate_permille];
        ensure(shares.iter().all(|share| *share < 1_000), at, || {
            "expected less than 1000 of 1000 messages lost or duplicated".into()
        })
    }

    fn check_partitions(&self, places: &[Spanned<toml::Value>]) -> Checked {
        for (index, partition) in self.partitions.iter().enumerate() {
            let at = places.get(index);
            ensure(partition.from_ms < partition.until_ms, at, || {
                let (from, until) = (partition.from_ms, partition.until_ms);
                format!("expected from_ms < until_ms, found {from} and {until}")
            })?;
            let end = partition.until_ms.saturating_add(partition.spread_ms);
            self.check_end(end, at)?;
            for validator in &partition.side {
                self.check_validator(*validator, at)?;
            }
            let side: BTreeSet<_> = partition.side.iter().collect();
            ensure(!side.is_empty() && side.len() < usize::from(self.validators), at, || {
                "expected some validators on either side of the partition".into()
            })?;
        }
        Ok(())
    }

    fn check_crashes(&self, places: &[Spanned<toml::Value>]) -> Checked {
        for (index, crash) in self.crashes.iter().enumerate() {
            let at = places.get(index);
            self.check_validator(crash.validator, at)?;
            ensure(crash.at_ms < crash.until_ms, at, || {
                let (from, until) = (crash.at_ms, crash.until_ms);
                format!("expected at_ms < until_ms, found {from} and {until}")
            })?;
            self.check_end(crash.until_ms.saturating_add(crash.spread_ms), at)?;
            let end = |crash: &super::Crash| crash.until_ms.saturating_add(crash.spread_ms);
            let overlaps = self.crashes.iter().take(index).any(|other| {
                other.validator == crash.validator
                    && other.at_ms <= end(crash)
                    && crash.at_ms <= end(other)
            });
            ensure(!overlaps, at, || {
                format!("expected validator {} to be up when it crashes again", crash.validator)
            })?;
        }
        Ok(())
    }

    fn check_byzantine(&self, places: &[Spanned<toml::Value>]) -> Checked {
        for (index, byzantine) in self.byzantine.iter().enumerate() {
            let at = places.get(index);
            let validator = byzantine.validator;
            self.check_validator(validator, at)?;
            ensure(!byzantine.behaviours.is_empty(), at, || {
                "expected at least one behaviour".into()
            })?;
            let twice = self.byzantine.iter().take(index).any(|b| b.validator == validator);
            ensure(!twice, at, || {
                format!(
                    "expected one entry for validator {validator}: list all its behaviours there"
                )
            })?;
            let crashes = self.crashes.iter().any(|crash| crash.validator == validator);
            ensure(!crashes, at, || {
                format!("validator {validator} is Byzantine and crashes: expected one or the other")
            })?;
            ensure(!byzantine.masked || self.breaks.is_some(), at, || {
                "masked = true blames an honest validator: expected breaks = \"…\" beside it".into()
            })?;
        }
        Ok(())
    }

    /// No more faulty validators than the protocol bears, unless that is what is asked for.
    fn check_faulty(&self, places: &Places) -> Checked {
        let silenced = self.crashes.iter().filter(|crash| crash.lose.silences());
        let byzantine = self.byzantine.iter().map(|byzantine| byzantine.validator);
        let faulty: BTreeSet<_> = byzantine.chain(silenced.map(|crash| crash.validator)).collect();
        let (most, found) = (usize::from(self.faulty_max()), faulty.len());
        let at = places.byzantine.last().or_else(|| places.crashes.last());
        ensure(self.beyond_f || found <= most, at, || {
            let n = self.validators;
            format!(
                "{found} of {n} validators misbehave or lose their disk: expected at most f = {most}, \
                 or beyond_f = true"
            )
        })?;
        let lies = self.crashes.iter().any(|crash| crash.lose == super::Loss::Recent);
        ensure(!lies || self.breaks.is_some(), places.crashes.last(), || {
            "lose = \"recent\" is a disk that lies: expected breaks = \"…\" beside it".into()
        })?;
        let known = |promise: &String| crate::oracle::PROMISES.contains(&promise.as_str());
        ensure(self.breaks.iter().all(known), places.breaks.as_ref(), || {
            format!("expected breaks to be one of: {}", crate::oracle::PROMISES.join("; "))
        })
    }

    fn check_validator(&self, validator: u16, at: Option<&Spanned<toml::Value>>) -> Checked {
        ensure(validator < self.validators, at, || {
            let last = self.validators.saturating_sub(1);
            format!("expected a validator from 0 to {last}, found {validator}")
        })
    }

    fn check_end(&self, end: u64, at: Option<&Spanned<toml::Value>>) -> Checked {
        ensure(end < self.limit_ms, at, || {
            format!("expected the fault to end before limit_ms = {}, found {end}", self.limit_ms)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> (usize, String) {
        let error = Scenario::parse("x.toml", text).unwrap_err();
        assert_eq!(error.file, "x.toml");
        (error.line, error.expected)
    }

    #[test]
    fn an_empty_scenario_is_the_default() {
        assert_eq!(Scenario::parse("x.toml", ""), Ok(Scenario::default()));
    }

    #[test]
    fn contradictions_name_their_line_and_what_was_expected() {
        let crash = "[[crashes]]\nvalidator = 1\nat_ms = 100\nuntil_ms = 200\n";
        let silent = "[[byzantine]]\nvalidator = 1\nbehaviours = [\"silent\"]\n";
        let rows = [
            ("\nvalidators = 3\n".to_owned(), 2, "expected 4 to 256 validators, found 3"),
            ("validators = 257".to_owned(), 1, "expected 4 to 256 validators, found 257"),
            ("\n\nheights = 0".to_owned(), 3, "expected at least one height"),
            ("heights = -1".to_owned(), 1, "invalid value"),
            ("height = 1".to_owned(), 1, "unknown field `height`"),
            ("limit_ms = 0".to_owned(), 1, "expected a limit of 1 to"),
            ("payers = 0".to_owned(), 1, "expected payers"),
            ("[network]\nloss_permille = 1000".to_owned(), 1, "less than 1000 of 1000"),
            ("[network]\nlatency_min_ms = 50".to_owned(), 1, "found 50 and 40"),
            (crash.replace("= 1\n", "= 4\n"), 1, "expected a validator from 0 to 3, found 4"),
            (crash.replace("= 200", "= 100"), 1, "expected at_ms < until_ms, found 100 and 100"),
            (crash.replace("= 200", "= 120000"), 1, "expected the fault to end before"),
            (format!("{crash}{crash}"), 5, "expected validator 1 to be up"),
            (format!("{crash}{silent}"), 5, "expected one or the other"),
            (format!("{silent}{silent}"), 4, "expected one entry for validator 1"),
            (format!("{silent}{}", silent.replace("= 1", "= 2")), 4, "expected at most f = 1"),
            (silent.replace("\"silent\"", ""), 1, "at least one behaviour"),
            (silent.replace("silent", "rude"), 3, "unknown variant `rude`"),
            (format!("{silent}masked = true"), 1, "expected breaks"),
            (format!("{crash}lose = \"recent\""), 1, "expected breaks"),
            ("breaks = \"luck\"".to_owned(), 1, "expected breaks to be one of"),
            ("validators = ".to_owned(), 1, ""),
        ];
        for (text, line, expected) in rows {
            let (found_line, found) = error(&text);
            assert!(found.contains(expected), "{text}: {found}");
            assert_eq!(found_line, line, "{text}: {found}");
        }
    }
}
