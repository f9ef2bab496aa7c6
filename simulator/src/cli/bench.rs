//! `bench`: how fast the simulator is on this machine, and how much load the simulated network takes
//! before latency bends. One run for each committee and rate.

use std::path::PathBuf;

use clap::Args;
use conclave_simulator::{CurvePoint, Scenario, curve_page};

use super::{
    Chosen,
    curve::Curve,
    output::{self, say},
    supervise::Limits,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  conclave-sim bench
  conclave-sim bench --validators 4,16,64 --rates 10,100,1000
  conclave-sim bench happy-16 --validators 16 --heights 100 --report reports
  conclave-sim bench --json > curve.json";

/// Measure speed, and throughput against latency.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// What is run: a built-in scenario, or a TOML file.
    #[arg(value_name = "NAME|FILE.toml", default_value = "happy-4")]
    scenario: String,
    /// Committee sizes.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "4,16")]
    validators: Vec<u16>,
    /// Bundles handed in each virtual second; doubled until latency bends if not given.
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    rates: Vec<u64>,
    /// Heights of each run.
    #[arg(long, value_name = "N", default_value_t = 50)]
    heights: u64,
    /// The seed of each run.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write a report, one HTML page, into this directory.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: Limits,
}

impl Bench {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        // What cannot be run or written is told before the first run.
        output::make(self.report.as_ref())?;
        let scenarios = self.validators.iter().map(|validators| self.load(*validators));
        let scenarios = scenarios.collect::<anyhow::Result<Vec<_>>>()?;
        // Whoever has stopped listening still gets the page, and who gets no page still has the figures.
        let mut said = if self.json { Ok(()) } else { print_head() };
        let mut points = Vec::new();
        for scenario in &scenarios {
            let name = &self.scenario;
            let curve =
                Curve { name, scenario: scenario.clone(), seed: self.seed, limits: self.limits };
            points.extend(curve.measure(&self.rates, |point, report| {
                if !self.json && said.is_ok() {
                    said = print(point, &report.detail);
                }
            })?);
        }
        let page = self.report.as_ref().zip(scenarios.last()).map(|(directory, scenario)| {
            let page = curve_page(&points, scenario, &self.command())?;
            output::write(directory, "bench.html", &page)
        });
        said?;
        if self.json {
            say(serde_json::to_string_pretty(&points)?)?;
        } else if let Some(Ok(path)) = &page {
            say(format!("report {}", path.display()))?;
        }
        page.map_or(Ok(0), |page| page.map(|_| 0))
    }

    fn load(&self, validators: u16) -> anyhow::Result<Scenario> {
        let (validators, heights) = (Some(validators), Some(self.heights));
        Chosen { scenario: self.scenario.clone(), validators, heights }.load()
    }

    fn command(&self) -> String {
        let list =
            |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let validators: Vec<u64> = self.validators.iter().copied().map(u64::from).collect();
        let mut command = format!(
            "conclave-sim bench {} --validators {} --heights {} --seed {}",
            self.scenario,
            list(&validators),
            self.heights,
            self.seed
        );
        if !self.rates.is_empty() {
            command.push_str(&format!(" --rates {}", list(&self.rates)));
        }
        command
    }
}

fn print_head() -> anyhow::Result<()> {
    say(format!(
        "{:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8} {:>9} {:>10}",
        "validators",
        "offered/s",
        "revealed/s",
        "ordered",
        "revealed",
        "revealed",
        "heights",
        "wall ms",
        "heights/s"
    ))?;
    say(format!("{:>32} {:>10} {:>10} {:>10}", "", "p50 ms", "p50 ms", "p99 ms"))
}

fn print(point: &CurvePoint, detail: &str) -> anyhow::Result<()> {
    let ms = |us: u64| us / 1_000;
    let hundredths = point.heights_per_100_s;
    say(format!(
        "{:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8} {:>9} {:>7}.{:02}",
        point.validators,
        point.offered_per_s,
        point.revealed_per_s,
        ms(point.ordered_p50_us),
        ms(point.p50_us),
        ms(point.p99_us),
        point.heights,
        point.wall_ms,
        hundredths / 100,
        hundredths % 100
    ))?;
    if point.verdict != conclave_simulator::Verdict::Held {
        say(format!("{:>10} {:?}: {detail}", "", point.verdict))?;
    }
    Ok(())
}
