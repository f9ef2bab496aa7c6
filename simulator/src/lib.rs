//! Runs the shipped protocol core of every validator in one thread, on virtual time, from one seed.
//!
//! Nothing that runs in production is replaced but what a shell owns: clock, network, disk and CPU
//! pool. So a fault that a run survives is one that the shipped code survives, and a fault that breaks
//! it can be played again from its seed.
//!
//! ```text
//! scenario + seed ─▶ world ─┬─ disk, network, load, adversary
//!                           ├─ Sequencer × n (the crate that the node ships)
//!                           └─ oracle ─▶ verdict, trace hash, counters
//! ```

mod adversary;
mod builtin;
mod calibrate;
mod clock;
mod counters;
mod cpu;
mod crypto;
mod disk;
mod keyring;
mod l1;
mod load;
mod measure;
mod network;
mod oracle;
mod random;
mod renegade;
mod replay;
mod report;
mod scenario;
mod shrink;
mod tape;
mod world;

pub use adversary::Letter;
pub use builtin::{BUILTINS, Builtin, builtin};
pub use calibrate::{
    BenchError, BenchRun, Calibration, CalibrationError, Comparison, PointFigures, calibrate,
};
pub use clock::ClockModel;
pub use counters::COUNTERS;
pub use cpu::cost_source;
pub use crypto::Crypto;
pub use l1::{FeeSpike, L1Model, L1Outage, Rotation, StakeChange};
pub use load::{Earnings, MarketFigures, MarketModel};
pub use measure::{
    ALL_REGIONS, Figures, HeightFigures, LatencyFigures, Level, NodeFigures, Traffic, Work,
};
pub use network::{Churn, NetworkModel, Partition, region_names, region_source};
pub use oracle::Violation;
pub use renegade::Renegade;
pub use replay::{Departure, KeyError, Keys, Replay, ReplayError, replay};
pub use report::{
    CurvePoint, FaultKind, FaultSpan, MarketTable, PlotError, Report, Timeline, Verdict,
    curve_page, market_table, report_page, sweep_page,
};
pub use scenario::{
    Behaviour, Byzantine, Chaos, Crash, Fork, FullDisk, Loss, Machine, Place, Replaced, Scenario,
    ScenarioError, Tail,
};
pub use shrink::{Effort, Shrunk, can_shrink, shrink};
pub use tape::{Tape, TapeError};
pub use world::{CutShort, Outcome, Stop, World, guarded};

/// Runs a scenario from a seed and judges it; none if no world can be built from it, which
/// [`Scenario::parse`] does not let happen.
#[must_use]
pub fn run(name: &str, scenario: &Scenario, seed: u64) -> Option<Report> {
    run_until(name, scenario, seed, Stop::default())
}

/// Runs a scenario from a seed until it ends or is told to, and judges it.
#[must_use]
pub fn run_until(name: &str, scenario: &Scenario, seed: u64, stop: Stop) -> Option<Report> {
    let outcome = World::new(scenario, seed)?.until(stop).run();
    Some(Report::new(name, scenario, seed, outcome))
}

/// [`run_until`], while one validator is recorded.
#[must_use]
pub fn run_recorded(
    name: &str,
    scenario: &Scenario,
    seed: u64,
    stop: Stop,
    tape: &Tape,
) -> Option<Report> {
    let outcome = World::new(scenario, seed)?.until(stop).recorded(tape).run();
    Some(Report::new(name, scenario, seed, outcome))
}
