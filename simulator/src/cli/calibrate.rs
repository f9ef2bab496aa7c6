//! `calibrate`: fits the simulated machine to a measured devnet at one rate and size, and says how far its
//! predictions for others are from what was measured.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use conclave_simulator::{BenchRun, Calibration, Comparison, PointFigures, Verdict, calibrate};

use super::{Chosen, output::say};

pub(super) const EXAMPLES: &str = "\
Examples:
  conclave bench --bundle-bytes 1024 --rate 150 --duration 20 --json > fit.json
  conclave bench --bundle-bytes 1024 --rate 300 --duration 20 --json > rate.json
  conclave bench --bundle-bytes 65536 --rate 50 --duration 20 --json > size.json
  conclave-sim calibrate --fit fit.json --predict rate.json size.json
  make calibrate                                      (all of it, on a machine that does nothing else)";

/// Fit the simulated machine to a measured devnet, and predict others.
#[derive(Debug, Args)]
pub(super) struct Calibrate {
    /// What `conclave bench --json` printed at the rate and size to fit to; several runs are averaged.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    fit: Vec<PathBuf>,
    /// The same at other rates and sizes, which are predicted.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    predict: Vec<PathBuf>,
    /// Where the search begins, and everything that is not fitted.
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "devnet")]
    scenario: String,
    /// Write the scenario with the fitted machine to this file.
    #[arg(long, value_name = "FILE.toml")]
    output: Option<PathBuf>,
    /// The day of the measurement, for the first line of what is written.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "output")]
    date: Option<String>,
    /// Time to a decided or revealed block that is predicted further off than this many percent is a failure.
    #[arg(long, value_name = "PERCENT", default_value_t = 20)]
    within: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Calibrate {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        let scenario = self.scenario.clone();
        let base = Chosen { scenario, validators: None, heights: None }.load()?;
        let files = self.fit.iter().chain(&self.predict);
        let runs = files.map(read).collect::<anyhow::Result<Vec<_>>>()?;
        let calibration = calibrate(&base, &runs)?;
        if self.json {
            say(serde_json::to_string_pretty(&calibration)?)?;
        } else {
            print(&calibration)?;
        }
        if let Some(path) = &self.output {
            let day = self.date.as_ref().map_or_else(String::new, |date| format!(", {date}"));
            let head =
                format!("# Fitted by `conclave-sim calibrate` on {}{day}.\n", calibration.machine);
            let text = head + &calibration.scenario.to_toml()?;
            std::fs::write(path, text)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        let predicted = calibration.points.iter().filter(|point| !point.is_fitted);
        let worst = predicted.map(PointFigures::worst_permille).max().unwrap_or(0);
        let is_shown = worst <= self.within.saturating_mul(10);
        if !self.json {
            let (whole, tenths) = (worst / 10, worst % 10);
            let word = if is_shown { "within" } else { "NOT within" };
            let within = self.within;
            say(format!(
                "predictions (but for receipts) are {word} {within}%: worst {whole}.{tenths}%"
            ))?;
        }
        Ok(if is_shown { 0 } else { Verdict::NotShown.exit_code() })
    }
}

fn read(path: &PathBuf) -> anyhow::Result<BenchRun> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not what conclave bench --json prints", path.display()))
}

fn print(calibration: &Calibration) -> anyhow::Result<()> {
    let (machine, network) = (&calibration.scenario.machine, &calibration.scenario.network);
    say(format!("measured on {}", calibration.machine))?;
    say(format!(
        "fitted: work_permille = {}, background_permille = {}, fsync_us = {}, bundle_us = {}, user_us = {}, \
         jitter_us = {}",
        machine.work_permille,
        machine.background_permille,
        machine.fsync_us,
        machine.bundle_us,
        network.user_us,
        network.jitter_us
    ))?;
    say(format!(
        "{:<8} {:<15} {:>4} {:>12} {:>12} {:>8}",
        "", "level", "", "measured ms", "predicted ms", "error"
    ))?;
    for point in &calibration.points {
        let PointFigures { bundle_bytes, rate, runs, is_fitted, latencies } = point;
        let what = if *is_fitted { "fitted" } else { "predicted" };
        say(format!("{rate}/s of {bundle_bytes} bytes, {what}, {runs} runs"))?;
        for Comparison { level, percentile, measured_us, predicted_us, error_permille } in latencies
        {
            let level = format!("{level:?}");
            let ms = |us: &u64| format!("{}.{}", us / 1_000, us % 1_000 / 100);
            let sign = if *error_permille < 0 { '-' } else { '+' };
            let off = error_permille.unsigned_abs();
            let error = format!("{sign}{}.{}%", off / 10, off % 10);
            say(format!(
                "{:<8} {level:<15} p{percentile:<3} {:>12} {:>12} {error:>8}",
                "",
                ms(measured_us),
                ms(predicted_us)
            ))?;
        }
    }
    Ok(())
}
