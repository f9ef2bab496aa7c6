//! `sweep`: many seeds, on all cores. The first failure is shrunk to a small scenario that fails in the
//! same way, which is written down and printed with the command that plays it.

use std::{
    num::NonZeroUsize,
    ops::Range,
    path::PathBuf,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use conclave_simulator::{
    BUILTINS, Effort, Report, Scenario, Verdict, can_shrink, shrink, sweep_page,
};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Chosen,
    output::{self, say},
    supervise::{Limits, supervised},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  conclave-sim sweep equivocator --seeds 0..1000
  conclave-sim sweep all --seeds 0..20 --keep-going
  conclave-sim sweep my-scenario.toml --jobs 2 --shrink-seconds 300 --output failures
  conclave-sim sweep front-runner --seeds 0..20 --report reports";

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
    #[arg(long, value_name = "FROM..TO", default_value = "0..100")]
    seeds: Seeds,
    /// Runs at a time; as many as there are cores if not given.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Go on after a failure, and print each.
    #[arg(long)]
    keep_going: bool,
    /// Wall-clock seconds for shrinking the first failure; 0 leaves it as it is.
    #[arg(long, value_name = "N", default_value_t = 120)]
    shrink_seconds: u64,
    /// Runs for shrinking the first failure.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    shrink_runs: u64,
    /// Where the shrunk scenario is written.
    #[arg(long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Write a report on all seeds, one HTML page, into this directory.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
}

impl Sweep {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        output::make(self.report.as_ref())?;
        if self.chosen.scenario != "all" {
            return self.sweep(&self.chosen);
        }
        let mut worst = 0;
        for builtin in BUILTINS {
            let chosen = Chosen { scenario: builtin.name.into(), ..self.chosen.clone() };
            let code = self.sweep(&chosen)?;
            worst = if worst == 0 { code } else { worst };
            if worst != 0 && !self.keep_going {
                break;
            }
        }
        Ok(worst)
    }

    fn sweep(&self, chosen: &Chosen) -> anyhow::Result<u8> {
        let scenario = chosen.load()?;
        let Range { start, end } = self.seeds.0;
        let reports = self.run_all(chosen, &scenario)?;
        let markets: Vec<_> = reports.iter().filter_map(|report| report.market).collect();
        // Who gets no page still has the verdict.
        let page = self.page(chosen, &scenario, &reports);
        if let Ok(Some(path)) = &page {
            say(format!("report {}", path.display()))?;
        }
        if !markets.is_empty() {
            output::market(&markets)?;
        }
        let Some(first) = reports.iter().find(|report| report.verdict != Verdict::Held) else {
            say(format!("{:<24} holds for seeds {start}..{end}", chosen.scenario))?;
            return page.map(|_| 0);
        };
        if self.shrink_seconds > 0 && can_shrink(&first.verdict) {
            self.shrink(chosen, &scenario, first)?;
        }
        let code = first.verdict.exit_code();
        page.map_or_else(|lost| output::code_despite(lost, code), |_| Ok(code))
    }

    /// Writes the page about a sweep, if it is wanted.
    fn page(
        &self,
        chosen: &Chosen,
        scenario: &Scenario,
        reports: &[Report],
    ) -> anyhow::Result<Option<PathBuf>> {
        let Some(directory) = &self.report else { return Ok(None) };
        let Range { start, end } = self.seeds.0;
        let command = format!("{} --seeds {start}..{end}", chosen.words("sweep"));
        let page = sweep_page(reports, scenario, &command)?;
        let name = format!("{}-{start}-{end}.html", chosen.stem());
        output::write(directory, &name, &page).map(Some)
    }

    /// The reports, by seed.
    fn run_all(&self, chosen: &Chosen, scenario: &Scenario) -> anyhow::Result<Vec<Report>> {
        let Range { start, end } = self.seeds.0;
        let bar = ProgressBar::new(end.saturating_sub(start));
        bar.set_style(ProgressStyle::with_template("{msg:24} {bar:40} {pos}/{len} {eta}")?);
        bar.set_message(chosen.scenario.clone());
        let most = if self.keep_going { FAILURES_MAX } else { 1 };
        let (next, failures) = (AtomicU64::new(start), AtomicU64::new(0));
        let few = || usize::try_from(failures.load(Ordering::Relaxed)).is_ok_and(|n| n < most);
        let reports: Mutex<Vec<anyhow::Result<Report>>> = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..self.jobs().get() {
                scope.spawn(|| {
                    while few() {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end {
                            break;
                        }
                        let report = supervised(&chosen.scenario, scenario, seed, self.limits);
                        let held = |report: &Report| report.verdict == Verdict::Held;
                        if !report.as_ref().is_ok_and(held) {
                            failures.fetch_add(1, Ordering::Relaxed);
                            bar.suspend(|| announce(chosen, &report));
                        }
                        let report = report.map(without_course);
                        reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                        bar.inc(1);
                    }
                });
            }
        });
        bar.finish_and_clear();
        let reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut reports = reports.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        reports.sort_by_key(|report| report.seed);
        Ok(reports)
    }

    fn shrink(&self, chosen: &Chosen, scenario: &Scenario, first: &Report) -> anyhow::Result<()> {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("shrinking {spinner} {pos} runs, {elapsed}")?);
        bar.enable_steady_tick(Duration::from_millis(100));
        let until = Instant::now() + Duration::from_secs(self.shrink_seconds);
        let effort = Effort { runs_max: self.shrink_runs, jobs: self.jobs() };
        let shrunk = shrink(scenario, first, effort, |cut, seed| {
            let left = until.checked_duration_since(Instant::now())?;
            bar.inc(1);
            let max_seconds = self.limits.max_seconds.min(left.as_secs().saturating_add(1));
            let limits = Limits { max_seconds, ..self.limits };
            supervised(&chosen.scenario, cut, seed, limits).ok()
        });
        bar.finish_and_clear();
        let name = format!("{}-{}-shrunk.toml", chosen.stem(), first.seed);
        let path = output::write(&self.output, &name, &shrunk.scenario.to_toml()?)?;
        let small = &shrunk.scenario;
        let faults = [small.crashes.len(), small.partitions.len(), small.byzantine.len()]
            .iter()
            .sum::<usize>();
        say(format!(
            "shrunk in {} runs to {} validators, {} heights, {faults} faults: {:?}: {}",
            shrunk.runs,
            small.validators,
            small.heights,
            shrunk.report.verdict,
            shrunk.report.detail
        ))?;
        say(format!("  conclave-sim run {} --seed {}", path.display(), shrunk.seed))
    }

    fn jobs(&self) -> NonZeroUsize {
        let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.jobs.unwrap_or_else(cores)
    }
}

/// What a summary of many runs needs of one.
fn without_course(mut report: Report) -> Report {
    report.timeline.decided.clear();
    report.figures.heights.clear();
    report
}

/// Prints a failure as soon as it is found, with the command that plays it again.
fn announce(chosen: &Chosen, failure: &anyhow::Result<Report>) {
    let text = match failure {
        Ok(Report { scenario, seed, verdict, detail, .. }) => {
            let command = chosen.command(*seed);
            format!("{scenario}, seed {seed}: {verdict:?}: {detail}\n  {command}")
        }
        Err(error) => format!("{}: {error:#}", chosen.scenario),
    };
    // If nobody listens, the exit code still tells.
    drop(say(text));
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
