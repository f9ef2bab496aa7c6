//! From a scenario that fails to a small one that fails in the same way.
//!
//! The seed's own draw is settled first, so that faults at random become a list of faults. Then
//! ever smaller scenarios are tried, the largest cut first, and each that still breaks the same promise
//! is the next to be cut. What remains is what the failure needs.

mod cuts;

use std::{num::NonZeroUsize, thread};

use crate::{
    report::{Report, Verdict},
    scenario::Scenario,
};

/// Seeds for which a smaller scenario is tried: a cut shifts what chance decides, and a failure that
/// needs a race may need another throw.
const THROWS: u64 = 3;

/// A small scenario that fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario.
    pub scenario: Scenario,
    /// A seed from which it fails.
    pub seed: u64,
    /// How it fails.
    pub report: Report,
    /// Runs that it took to find.
    pub runs: u64,
}

/// How much to try.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Most runs.
    pub runs_max: u64,
    /// Runs at a time.
    pub jobs: NonZeroUsize,
}

/// Whether a failure can be shrunk: a run that shows nothing, or two different things, cannot.
#[must_use]
pub const fn can_shrink(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Safety | Verdict::Liveness | Verdict::Stopped)
}

/// Finds a smaller scenario that fails as `failure` did. `attempt` runs one; it gives none when there
/// is no time left.
pub fn shrink(
    scenario: &Scenario,
    failure: &Report,
    effort: Effort,
    attempt: impl Fn(&Scenario, u64) -> Option<Report> + Sync,
) -> Shrunk {
    let mut best =
        Shrunk { scenario: scenario.clone(), seed: failure.seed, report: failure.clone(), runs: 0 };
    let mut cuts = vec![settled(scenario, failure)];
    while let Some(smaller) =
        first_failing(&cuts, &mut best.runs, failure, effort, &attempt, best.seed)
    {
        best = Shrunk { runs: best.runs, ..smaller };
        cuts = cuts::of(&best.scenario, best.report.heights);
    }
    best
}

/// The scenario with every fault listed, and without what a failing run no longer has to show.
fn settled(scenario: &Scenario, failure: &Report) -> Scenario {
    let mut scenario = scenario.clone().drawn(failure.seed);
    scenario.expect.clear();
    let everyone = usize::from(scenario.validators);
    scenario.partitions.retain(|cut| (1..everyone).contains(&cut.side.len()));
    let broken = failure.promise.unwrap_or("liveness");
    scenario.purpose =
        format!("Shrunk from {}, seed {}: {broken}.", failure.scenario, failure.seed);
    scenario
}

/// The first of `cuts`, in their order, that fails as wanted; `jobs` are tried at a time, which does not
/// change the answer.
fn first_failing(
    cuts: &[Scenario],
    runs: &mut u64,
    failure: &Report,
    effort: Effort,
    attempt: &(impl Fn(&Scenario, u64) -> Option<Report> + Sync),
    seed: u64,
) -> Option<Shrunk> {
    let consistent = cuts.iter().filter(|cut| cut.is_consistent());
    let throws: Vec<(&Scenario, u64)> = consistent
        .flat_map(|cut| (0..THROWS).map(move |throw| (cut, seed.wrapping_add(throw))))
        .collect();
    for throws in throws.chunks(effort.jobs.get()) {
        if *runs >= effort.runs_max {
            return None;
        }
        *runs = runs.saturating_add(u64::try_from(throws.len()).unwrap_or(u64::MAX));
        let reports: Vec<Option<Report>> = thread::scope(|scope| {
            let run = |(scenario, seed): &(&Scenario, u64)| attempt(scenario, *seed);
            let runs: Vec<_> = throws.iter().map(|throw| scope.spawn(move || run(throw))).collect();
            runs.into_iter().map(|run| run.join().ok().flatten()).collect()
        });
        for ((scenario, seed), report) in throws.iter().zip(reports) {
            let same = |report: &Report| {
                (&report.verdict, report.promise) == (&failure.verdict, failure.promise)
            };
            if let Some(report) = report.filter(same) {
                let scenario = Scenario::clone(scenario);
                return Some(Shrunk { scenario, seed: *seed, report, runs: 0 });
            }
        }
    }
    None
}
