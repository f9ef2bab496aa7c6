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
mod clock;
mod cpu;
mod crypto;
mod disk;
mod load;
mod measure;
mod network;
mod oracle;
mod random;
mod report;
mod scenario;
mod world;

pub use builtin::{BUILTINS, Builtin, builtin};
pub use clock::ClockModel;
pub use cpu::cost_source;
pub use crypto::Crypto;
pub use measure::{Figures, HeightFigures, LatencyFigures, Level, NodeFigures, Traffic, Work};
pub use network::{Churn, NetworkModel, Partition, region_names, region_source};
pub use oracle::Violation;
pub use report::{Report, Verdict};
pub use scenario::{
    Behaviour, Byzantine, Chaos, Crash, FullDisk, Loss, Machine, Scenario, ScenarioError, Tail,
};
pub use world::{Outcome, World};

/// Runs a scenario from a seed and judges it; none if no world can be built from it, which
/// [`Scenario::parse`] does not let happen.
#[must_use]
pub fn run(name: &str, scenario: &Scenario, seed: u64) -> Option<Report> {
    let outcome = World::new(scenario, seed)?.run();
    Some(Report::new(name, scenario, seed, outcome))
}
