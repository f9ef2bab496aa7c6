//! `bench`: how many heights the simulator itself gets through in a second of wall clock, with real
//! cryptography on one core.

use std::time::Instant;

use clap::Args;
use conclave_simulator::{Scenario, run};

use super::say;

/// Measure how fast the simulator is.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Committee sizes.
    #[arg(long, value_delimiter = ',', default_value = "4,16,31")]
    validators: Vec<u16>,
    /// Heights of each run.
    #[arg(long, default_value_t = 50)]
    heights: u64,
    /// Bundles handed in each virtual second.
    #[arg(long, default_value_t = 10)]
    bundles_per_s: u64,
}

impl Bench {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        say("one core, real cryptography; wall clock of this machine")?;
        say(format!(
            "{:>10} {:>8} {:>10} {:>12}",
            "validators", "heights", "wall ms", "heights/s"
        ))?;
        for validators in &self.validators {
            let scenario = Scenario {
                validators: *validators,
                heights: self.heights,
                bundles_per_s: self.bundles_per_s,
                ..Scenario::default()
            };
            let scenario = scenario.checked("bench")?;
            let started = Instant::now();
            let report = run("bench", &scenario, 0);
            let wall = started.elapsed().as_millis().max(1);
            let heights = report.map_or(0, |report| report.heights);
            let tenths = u128::from(heights).saturating_mul(10_000).checked_div(wall).unwrap_or(0);
            let (whole, tenth) = (tenths / 10, tenths % 10);
            say(format!("{validators:>10} {heights:>8} {wall:>10} {whole:>10}.{tenth}"))?;
        }
        Ok(0)
    }
}
