//! `run`.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use conclave_simulator::{Crypto, CurvePoint, Report, Scenario, Tape, Verdict, report_page};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Chosen,
    curve::{Curve, RATES_MAX, wall_ms},
    output::{self, say},
    supervise::{Limits, supervised, supervised_recorded},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  conclave-sim run happy-4
  conclave-sim run crash-storm --seed 7 --twice --json
  conclave-sim run my-scenario.toml --validators 7 --heights 100
  conclave-sim run front-runner --report reports
  conclave-sim run wan-10-regions --report reports --curve
  conclave-sim run crash-one --record recordings --record-validator 1
  conclave-sim run chaos --seed 3 --max-seconds 60 --max-memory-mb 2048";

/// Run one scenario from one seed.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    chosen: Chosen,
    /// Everything that differs between two runs follows from this number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write a report, one HTML page, into this directory.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Run it at other loads too, and put throughput against latency into the report.
    #[arg(long, requires = "report")]
    curve: bool,
    /// The loads, in bundles handed in each virtual second; doubled until latency bends if not given.
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "curve")]
    rates: Vec<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Run twice and compare; a second run that is cut short is no comparison.
    #[arg(long, conflicts_with = "record")]
    twice: bool,
    /// Record one validator into new files in this directory, one for each time that it starts, with its
    /// keys beside them, for `replay`.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Which validator to record.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "record")]
    record_validator: u16,
    #[command(flatten)]
    limits: Limits,
}

impl Run {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        let scenario = self.chosen.load()?;
        anyhow::ensure!(
            !self.curve || scenario.breaks.is_none(),
            "--curve: a control ends where its promise breaks; choose a scenario without breaks"
        );
        output::make(self.report.as_ref())?;
        let tape = self.tape(&scenario)?;
        let name = &self.chosen.scenario;
        let limits = self.limits.together();
        let once = || match &tape {
            None => supervised(name, &scenario, self.seed, limits),
            Some(tape) => supervised_recorded(name, &scenario, self.seed, limits, tape),
        };
        let started = Instant::now();
        let mut report = once()?;
        let own = CurvePoint::new(&scenario, &report, wall_ms(started));
        let recordings = tape.as_ref().map(Tape::files).transpose();
        if self.twice && report.verdict != Verdict::Unfinished {
            report = compared(report, &once()?);
        }
        // Whoever has stopped listening still has the page, and who gets no file still has the verdict.
        let page = self.page(&scenario, &report, own, limits);
        let code = report.verdict.exit_code();
        if self.json {
            say(serde_json::to_string_pretty(&report)?)?;
        } else {
            print(&report)?;
            if let Ok(Some(path)) = &page {
                say(format!("  report {}", path.display()))?;
            }
            for path in recordings.iter().flatten().flatten() {
                say(format!("  recording {}", path.display()))?;
            }
        }
        page.and(recordings.map_err(Into::into))
            .map_or_else(|lost| output::code_despite(lost, code), |_| Ok(code))
    }

    /// Writes the page about a run, if it is wanted.
    fn page(
        &self,
        scenario: &Scenario,
        report: &Report,
        own: CurvePoint,
        limits: Limits,
    ) -> anyhow::Result<Option<PathBuf>> {
        let Some(directory) = &self.report else { return Ok(None) };
        let curve = self.measure(scenario, own, limits)?;
        let commands = (self.chosen.command(self.seed), self.curve_command());
        let page = report_page(report, scenario, (&commands.0, &commands.1), &curve)?;
        let name = format!("{}-{}.html", self.chosen.stem(), self.seed);
        output::write(directory, &name, &page).map(Some)
    }

    /// The run itself as a point of a curve, and those at other loads if they are asked for.
    fn measure(
        &self,
        scenario: &Scenario,
        own: CurvePoint,
        limits: Limits,
    ) -> anyhow::Result<Vec<CurvePoint>> {
        let mut points = Vec::new();
        if self.curve && !limits.are_used_up() {
            let (name, scenario) = (self.chosen.scenario.as_str(), scenario.clone());
            let most = if self.rates.is_empty() { RATES_MAX } else { self.rates.len() };
            let bar = ProgressBar::new(u64::try_from(most).unwrap_or(u64::MAX));
            let style = "{msg:24} {bar:40} {pos} of at most {len} loads, {elapsed}";
            bar.set_style(ProgressStyle::with_template(style)?);
            bar.set_message(name.to_owned());
            let curve = Curve { name, scenario, seed: self.seed, limits };
            points = curve.measure(&self.rates, |_, _| bar.inc(1))?;
            bar.finish_and_clear();
        }
        if own.offered_per_s > 0 && points.iter().all(|p| p.offered_per_s != own.offered_per_s) {
            points.push(own);
            points.sort_by_key(|point| point.offered_per_s);
        }
        Ok(points)
    }

    /// What measures the curve of the same run.
    fn curve_command(&self) -> String {
        let mut command = format!("{} --report DIR --curve", self.chosen.command(self.seed));
        if !self.rates.is_empty() {
            let rates: Vec<_> = self.rates.iter().map(u64::to_string).collect();
            command.push_str(&format!(" --rates {}", rates.join(",")));
        }
        command
    }

    fn tape(&self, scenario: &Scenario) -> anyhow::Result<Option<Tape>> {
        let Some(directory) = &self.record else { return Ok(None) };
        let (validators, chosen) = (scenario.validators, self.record_validator);
        anyhow::ensure!(
            chosen < validators,
            "--record-validator {chosen}: the scenario has validators 0 to {}",
            validators.saturating_sub(1)
        );
        anyhow::ensure!(
            scenario.crypto != Crypto::Modelled,
            "a recording is replayed with real cryptography, and this scenario's is modelled; \
             set crypto = \"memoised\""
        );
        Ok(Some(Tape::new(directory, chosen)))
    }
}

/// What a run that was done twice has come to. One that was not done to its end twice is compared with nothing.
fn compared(mut first: Report, again: &Report) -> Report {
    if again.verdict == Verdict::Unfinished {
        first.detail =
            format!("the second run did not end, so nothing is compared: {}", again.detail);
        first.verdict = Verdict::Unfinished;
    } else if *again != first {
        first.detail = format!("the second run's trace hash is {}", again.trace_hash);
        first.verdict = Verdict::Nondeterminism;
    }
    first
}

fn print(report: &Report) -> anyhow::Result<()> {
    let Report { scenario, seed, verdict, detail, heights, elapsed_ms, .. } = report;
    say(format!("{scenario}, seed {seed}: {verdict:?}"))?;
    if !detail.is_empty() {
        say(format!("  {detail}"))?;
    }
    say(format!("  {heights} heights in {elapsed_ms} ms of virtual time"))?;
    say(format!("  trace {}", report.trace_hash))?;
    for (name, count) in &report.counters {
        say(format!("  {name:<22} {count:>9}"))?;
    }
    for found in &report.figures.latencies {
        let [p50, p99] = [found.p50_us, found.p99_us].map(|micros| micros / 1_000);
        let (level, region) = (format!("{:?}", found.level), &found.region);
        say(format!("  {level:<15} {region:<11} p50 {p50:>6} ms  p99 {p99:>6} ms"))?;
    }
    if let Some(market) = &report.market {
        output::market(&[*market])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_the_same_twice_only_if_both_have_ended_and_are_equal() {
        let ended = |verdict, detail: &str| {
            Report::ended("x", &Scenario::default(), 3, (verdict, detail.to_owned()))
        };
        let held = || ended(Verdict::Held, "");
        let other = Report { trace_hash: "another".into(), ..held() };
        let cut_short = ended(Verdict::Unfinished, "it took longer than --max-seconds 1");
        for (again, verdict, detail) in [
            (held(), Verdict::Held, ""),
            (other, Verdict::Nondeterminism, "the second run's trace hash is another"),
            (cut_short, Verdict::Unfinished, "it took longer than --max-seconds 1"),
        ] {
            let report = compared(held(), &again);
            assert_eq!(report.verdict, verdict);
            assert!(report.detail.contains(detail), "{}", report.detail);
        }
    }
}
