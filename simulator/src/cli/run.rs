//! `run`.

use clap::Args;
use conclave_simulator::{Report, Verdict, run};

use super::{Chosen, say};

/// Run one scenario from one seed.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    chosen: Chosen,
    /// Everything that differs between two runs follows from this number.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Run twice and compare.
    #[arg(long)]
    twice: bool,
}

impl Run {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        let scenario = self.chosen.load()?;
        let once = || {
            run(&self.chosen.scenario, &scenario, self.seed)
                .ok_or_else(|| anyhow::anyhow!("no world can be built from this scenario"))
        };
        let mut report = once()?;
        if self.twice {
            let again = once()?;
            if again != report {
                report.detail = format!("the second run's trace hash is {}", again.trace_hash);
                report.verdict = Verdict::Nondeterminism;
            }
        }
        if self.json {
            say(serde_json::to_string_pretty(&report)?)?;
        } else {
            print(&report)?;
        }
        Ok(report.verdict.exit_code())
    }
}

fn print(report: &Report) -> anyhow::Result<()> {
    let Report { scenario, seed, verdict, detail, trace_hash, heights, elapsed_ms, .. } = report;
    say(format!("{scenario}, seed {seed}: {verdict:?}"))?;
    if !detail.is_empty() {
        say(format!("  {detail}"))?;
    }
    say(format!("  {heights} heights in {elapsed_ms} ms of virtual time"))?;
    say(format!("  trace {trace_hash}"))?;
    for (name, count) in &report.counters {
        say(format!("  {name:<22} {count:>9}"))?;
    }
    for found in &report.figures.latencies {
        let [p50, p99] = [found.p50_us, found.p99_us].map(|micros| micros / 1_000);
        let (level, region) = (format!("{:?}", found.level), &found.region);
        say(format!("  {level:<15} {region:<11} p50 {p50:>6} ms  p99 {p99:>6} ms"))?;
    }
    Ok(())
}
