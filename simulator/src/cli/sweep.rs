//! `sweep`: many seeds, on all cores; the first failure is printed with the command that plays it again.

use std::{
    ops::Range,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use clap::Args;
use conclave_simulator::{BUILTINS, Report, Scenario, Verdict, run};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Chosen, say};

/// Failures of one scenario after which its sweep stops, if it is not to stop at the first.
const FAILURES_MAX: usize = 20;

/// Seeds from one to, not including, another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seeds(Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = text.split_once("..").and_then(|(from, to)| {
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            (from < to).then_some(Self(from..to))
        });
        range.ok_or_else(|| format!("expected seeds such as 0..1000, found {text:?}"))
    }
}

/// Run one scenario from many seeds.
#[derive(Debug, Args)]
pub(super) struct Sweep {
    #[command(flatten)]
    chosen: Chosen,
    /// The seeds: the first, two dots, and one more than the last.
    #[arg(long, default_value = "0..100")]
    seeds: Seeds,
    /// Runs at a time; as many as there are cores if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Go on after a failure, and print each.
    #[arg(long)]
    keep_going: bool,
}

impl Sweep {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        if self.chosen.scenario != "all" {
            let scenario = self.chosen.load()?;
            return self.sweep(&self.chosen, &scenario);
        }
        let mut worst = 0;
        for builtin in BUILTINS {
            let chosen = Chosen { scenario: builtin.name.into(), ..self.chosen.clone() };
            let code = self.sweep(&chosen, &chosen.load()?)?;
            worst = if worst == 0 { code } else { worst };
            if worst != 0 && !self.keep_going {
                break;
            }
        }
        Ok(worst)
    }

    fn sweep(&self, chosen: &Chosen, scenario: &Scenario) -> anyhow::Result<u8> {
        let Range { start, end } = self.seeds.0;
        let bar = ProgressBar::new(end.saturating_sub(start));
        bar.set_style(ProgressStyle::with_template("{msg:24} {bar:40} {pos}/{len} {eta}")?);
        bar.set_message(chosen.scenario.clone());
        let next = AtomicU64::new(start);
        let failures: Mutex<Vec<Report>> = Mutex::new(Vec::new());
        let failed = || failures.lock().unwrap_or_else(PoisonError::into_inner);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..self.jobs.unwrap_or(cores).max(1) {
                scope.spawn(|| {
                    let most = if self.keep_going { FAILURES_MAX } else { 1 };
                    while failed().len() < most {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end {
                            break;
                        }
                        let report = run(&chosen.scenario, scenario, seed);
                        if let Some(failure) = report.filter(|r| r.verdict != Verdict::Held) {
                            bar.suspend(|| announce(chosen, &failure));
                            failed().push(failure);
                        }
                        bar.inc(1);
                    }
                });
            }
        });
        bar.finish_and_clear();
        let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        failures.sort_by_key(|report| report.seed);
        match failures.first() {
            Some(first) => Ok(first.verdict.exit_code()),
            None => {
                say(format!("{:<24} holds for seeds {start}..{end}", chosen.scenario)).map(|()| 0)
            }
        }
    }
}

/// Prints a failure as soon as it is found, with the command that plays it again.
fn announce(chosen: &Chosen, failure: &Report) {
    let Report { scenario, seed, verdict, detail, .. } = failure;
    let command = chosen.command(*seed);
    // If nobody listens, the exit code still tells.
    drop(say(format!("{scenario}, seed {seed}: {verdict:?}: {detail}\n  {command}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range() {
        assert_eq!("3..10".parse(), Ok(Seeds(3..10)));
        for bad in ["", "3", "3..", "..3", "10..3", "3..3", "a..b", "-1..3"] {
            assert!(bad.parse::<Seeds>().is_err_and(|error| error.contains("0..1000")), "{bad}");
        }
    }
}
