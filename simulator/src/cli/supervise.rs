//! Runs under limits: one that takes too long or too much is told to stop, and one that hears nothing,
//! because a single step of it does not end, is given up. A panic anywhere is a crash of this run only.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use conclave_simulator::{
    CutShort, Report, Scenario, Stop, Tape, Verdict, guarded, run_recorded, run_until,
};

/// How often the limits are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a run may take to stop.
const GRACE: Duration = Duration::from_secs(10);
const MEBIBYTE: usize = 1 << 20;

/// What a run may take.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Limits {
    /// Wall-clock seconds that a run may take; `run` has so many for all that it does, the runs of a curve included.
    #[arg(long, value_name = "N", default_value_t = 900)]
    pub(super) max_seconds: u64,
    /// Mebibytes of memory that this process may take.
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    pub(super) max_memory_mb: usize,
    /// When the first of several runs began that have this time together.
    #[arg(skip)]
    pub(super) began: Option<Instant>,
}

impl Limits {
    /// The same for several runs together, from now on.
    pub(super) fn together(self) -> Self {
        Self { began: Some(Instant::now()), ..self }
    }

    /// Whether several runs have used up what they have together.
    pub(super) fn are_used_up(&self) -> bool {
        self.began.is_some_and(|began| self.passed(began).is_some())
    }

    /// Which limit is passed by a run that began at `started`.
    fn passed(&self, started: Instant) -> Option<String> {
        let Self { max_seconds, max_memory_mb, began } = self;
        if began.unwrap_or(started).elapsed() > Duration::from_secs(*max_seconds) {
            return Some(format!("it took longer than --max-seconds {max_seconds}"));
        }
        let memory = memory_stats::memory_stats().map_or(0, |memory| memory.physical_mem);
        let found = memory / MEBIBYTE;
        (found > *max_memory_mb)
            .then(|| format!("it took {found} MiB, more than --max-memory-mb {max_memory_mb}"))
    }
}

/// Runs a scenario from a seed under limits.
pub(super) fn supervised(
    name: &str,
    scenario: &Scenario,
    seed: u64,
    limits: Limits,
) -> anyhow::Result<Report> {
    let (own_name, own_scenario) = (name.to_owned(), scenario.clone());
    let work = move |stop| run_until(&own_name, &own_scenario, seed, stop);
    let result = supervise(limits, work)?;
    reported(result, name, scenario, seed)
}

/// Runs a scenario from a seed under limits, and records one of its validators.
pub(super) fn supervised_recorded(
    name: &str,
    scenario: &Scenario,
    seed: u64,
    limits: Limits,
    tape: &Tape,
) -> anyhow::Result<Report> {
    let (own_name, own_scenario, own_tape) = (name.to_owned(), scenario.clone(), tape.clone());
    let work = move |stop| run_recorded(&own_name, &own_scenario, seed, stop, &own_tape);
    let result = supervise(limits, work)?;
    reported(result, name, scenario, seed)
}

fn reported(
    result: Result<Option<Report>, (Verdict, String)>,
    name: &str,
    scenario: &Scenario,
    seed: u64,
) -> anyhow::Result<Report> {
    match result {
        Ok(Some(report)) => Ok(report),
        Ok(None) => anyhow::bail!("no world can be built from {name}"),
        Err(ended) => Ok(Report::ended(name, scenario, seed, ended)),
    }
}

/// Does `work` under limits; the error is how it ended if it did not come to an end by itself.
fn supervise(
    limits: Limits,
    work: impl FnOnce(Stop) -> Option<Report> + Send + 'static,
) -> anyhow::Result<Result<Option<Report>, (Verdict, String)>> {
    let stop = Stop::default();
    let told = stop.clone();
    let (done, result) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("run".into())
        // Whoever has given it up listens no more.
        .spawn(move || drop(done.send(guarded(|| work(told)))))
        .context("no thread can be started for the run")?;
    let started = Instant::now();
    let mut passed: Option<(String, Instant)> = None;
    loop {
        match result.recv_timeout(LOOK_EVERY) {
            Ok(Ok(report)) => return Ok(Ok(with_reason(report, passed))),
            Ok(Err(CutShort::Panicked(what))) => return Ok(Err((Verdict::Stopped, what))),
            Ok(Err(CutShort::Told)) | Err(RecvTimeoutError::Disconnected) => {
                return Ok(Err((Verdict::Stopped, "its thread ended without a word".into())));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some((reason, at)) = &passed {
            if at.elapsed() > GRACE {
                let detail = format!("{reason}, and its last step did not end");
                return Ok(Err((Verdict::Unfinished, detail)));
            }
        } else if let Some(reason) = limits.passed(started) {
            stop.now();
            passed = Some((reason, Instant::now()));
        }
    }
}

fn with_reason(report: Option<Report>, passed: Option<(String, Instant)>) -> Option<Report> {
    let mut report = report?;
    if let Some((reason, _)) = passed.filter(|_| report.verdict == Verdict::Unfinished) {
        report.detail = reason;
    }
    Some(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_seconds: 900, max_memory_mb: 1 << 20, began: None };

    #[test]
    fn a_panic_is_a_crash_of_the_run() {
        let ended = supervise(LIMITS, |_| panic!("lost its mind")).unwrap();
        let Err((verdict, detail)) = ended else { panic!("{ended:?}") };
        assert_eq!(verdict, Verdict::Stopped);
        assert!(detail.contains("lost its mind"), "{detail}");
    }

    #[test]
    fn a_run_past_its_limit_is_told_to_stop_and_says_which() {
        let wait = |stop: Stop| {
            while !stop.is_told() {
                thread::yield_now();
            }
            let scenario = Scenario::default();
            let ended = (Verdict::Unfinished, "it was told to stop".to_owned());
            Some(Report::ended("x", &scenario, 0, ended))
        };
        for (limits, expected) in [
            (Limits { max_seconds: 0, ..LIMITS }, "it took longer than --max-seconds 0"),
            (Limits { max_memory_mb: 0, ..LIMITS }, "more than --max-memory-mb 0"),
        ] {
            let report = supervise(limits, wait).unwrap().unwrap().unwrap();
            assert!(report.detail.contains(expected), "{}", report.detail);
        }
    }

    #[test]
    fn several_runs_have_their_time_together() {
        let limits = Limits { max_seconds: 1, ..LIMITS }.together();
        assert!(limits.began.is_some() && !limits.are_used_up());
        let long_ago = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        let later = Limits { began: Some(long_ago), ..limits };
        assert!(later.are_used_up());
        assert!(later.passed(Instant::now()).unwrap().contains("--max-seconds 1"));
        let each = Limits { began: None, ..limits };
        assert!(!each.are_used_up() && each.passed(Instant::now()).is_none());
    }
}
