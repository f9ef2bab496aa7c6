//! What a run came to, for people and for programs.

mod curve;
mod market;
mod page;
mod plots;
mod timeline;

use serde::Serialize;

pub use curve::CurvePoint;
pub use market::{MarketTable, market_table};
pub use page::{curve_page, report_page, sweep_page};
pub use plots::PlotError;
pub use timeline::{FaultKind, FaultSpan, Timeline};

use crate::{
    load::MarketFigures,
    measure::Figures,
    oracle,
    scenario::Scenario,
    world::{CutShort, Outcome},
};

/// The verdict on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every promise held, and the fault happened.
    Held,
    /// A promise was broken.
    Safety,
    /// Something did not happen in time.
    Liveness,
    /// An honest validator stopped by itself, or grew without bound.
    Stopped,
    /// The same seed gave two different runs.
    Nondeterminism,
    /// The fault that the scenario is about did not happen, so that nothing was shown.
    NotShown,
    /// It took more time or memory than it was given, so that nothing was decided.
    Unfinished,
}

impl Verdict {
    /// The exit code that stands for it.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Held => 0,
            Self::NotShown => 2,
            Self::Safety => 10,
            Self::Liveness => 11,
            Self::Stopped => 12,
            Self::Nondeterminism => 13,
            Self::Unfinished => 14,
        }
    }
}

/// A run and the verdict on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// The promise that was broken, if one was.
    pub promise: Option<&'static str>,
    /// Why; empty if everything held.
    pub detail: String,
    /// Digest of everything that became visible, in order.
    pub trace_hash: String,
    /// Lowest height that all honest validators have revealed.
    pub heights: u64,
    /// Virtual time that passed, in milliseconds.
    pub elapsed_ms: u64,
    /// Counters, by name.
    pub counters: std::collections::BTreeMap<&'static str, u64>,
    /// What was measured.
    pub figures: Figures,
    /// What the searcher earned; none if nobody trades.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market: Option<MarketFigures>,
    /// Heights and faults over time.
    #[serde(skip)]
    pub timeline: Timeline,
}

impl Report {
    /// Judges a run of `scenario`.
    #[must_use]
    pub fn new(name: &str, scenario: &Scenario, seed: u64, outcome: Outcome) -> Self {
        let (verdict, detail) = judge(scenario, &outcome);
        Self {
            scenario: name.into(),
            seed,
            verdict,
            promise: outcome.violation.map(|violation| violation.promise),
            detail,
            trace_hash: outcome.trace_hash,
            heights: outcome.heights,
            elapsed_ms: u64::try_from(outcome.elapsed.as_millis()).unwrap_or(u64::MAX),
            counters: outcome.counters,
            figures: outcome.figures,
            market: outcome.market,
            timeline: outcome.timeline,
        }
    }

    /// A run of which nothing is known but how it ended.
    #[must_use]
    pub fn ended(name: &str, scenario: &Scenario, seed: u64, ended: (Verdict, String)) -> Self {
        let (verdict, detail) = ended;
        Self {
            scenario: name.into(),
            seed,
            verdict,
            promise: None,
            detail,
            trace_hash: String::new(),
            heights: 0,
            elapsed_ms: 0,
            counters: std::collections::BTreeMap::new(),
            figures: Figures::default(),
            market: None,
            timeline: Timeline::new(scenario, seed),
        }
    }
}

fn judge(scenario: &Scenario, outcome: &Outcome) -> (Verdict, String) {
    if let Some(violation) = &outcome.violation {
        let detail = format!("{}: {}", violation.promise, violation.detail);
        return match &scenario.breaks {
            Some(promise) if promise == violation.promise => (Verdict::Held, String::new()),
            _ if violation.promise == oracle::RUNS => (Verdict::Stopped, detail),
            _ => (Verdict::Safety, detail),
        };
    }
    match &outcome.cut_short {
        Some(CutShort::Panicked(what)) => {
            return (Verdict::Stopped, format!("{}: {what}", oracle::RUNS));
        }
        Some(CutShort::Told) => return (Verdict::Unfinished, "it was told to stop".into()),
        None => {}
    }
    if let Some(promise) = &scenario.breaks {
        return (Verdict::NotShown, format!("{promise}: should have been broken, and was not"));
    }
    if let Some(missed) = &outcome.missed {
        return (Verdict::Liveness, missed.clone());
    }
    for (counter, least) in &scenario.expect {
        let found = outcome.counters.get(counter.as_str()).copied().unwrap_or(0);
        if found < *least {
            let detail = format!("expected {counter} to reach {least}, found {found}");
            return (Verdict::NotShown, detail);
        }
    }
    (Verdict::Held, String::new())
}
