//! What `conclave bench --json` prints, and what is needed of it.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::observed::{Observed, Quantiles};

/// Ten times the least time between two blocks: a network that takes longer does not keep up.
const REVEALED_MS_MAX: u64 = 500;

/// One run of `conclave bench`.
#[derive(Clone, Debug, Deserialize)]
pub struct BenchRun {
    validators: u16,
    bundle_bytes: u32,
    rate: Option<u32>,
    duration_s: f64,
    lost: u64,
    late: u64,
    latency_ms: Latencies,
    processes: Vec<Process>,
    stages: BTreeMap<String, Stage>,
    machine: Machine,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Latencies {
    received: Percentiles,
    ordered: Percentiles,
    revealed: Percentiles,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct Process {
    name: String,
    cpu_ms: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Stage {
    count: u64,
    total_us: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Machine {
    cpu: String,
    cores: u16,
    memory_mib: u64,
    kernel: String,
}

/// Why runs cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BenchError {
    /// Nothing is left to predict.
    #[error(
        "expected runs at two rates or sizes at least, found {found}: one to fit, others to predict"
    )]
    TooFew {
        /// Rates and sizes found.
        found: usize,
    },
    /// Latency under a load that fills whatever there is says little.
    #[error("expected runs at a rate, found one that saturates; give conclave bench a --rate")]
    Saturated,
    /// Not everything that was due arrived, so the latencies are those of the lucky.
    #[error(
        "expected every bundle in time, found {late} late and {lost} lost at {rate} a second; lower --rate"
    )]
    Overloaded {
        /// The rate.
        rate: u32,
        /// Bundles that were not handed in when they were due.
        late: u64,
        /// Bundles that did not arrive.
        lost: u64,
    },
    /// Queues grow, so the latencies say how long it was measured.
    #[error(
        "expected bundles to be revealed within {max_ms} ms, found half of them later than {found_ms} ms at {rate} a second; lower --rate, or let the machine do nothing else"
    )]
    Busy {
        /// The rate.
        rate: u32,
        /// The median.
        found_ms: u64,
        /// What is still taken.
        max_ms: u64,
    },
    /// Two machines, or two committees.
    #[error(
        "expected all runs with one committee on one machine, found others; measure them again together"
    )]
    Mixed,
}

/// A rate and size, averaged over its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) validators: u16,
    pub(super) bundle_bytes: u32,
    pub(super) rate: u32,
    pub(super) cores: u16,
    pub(super) runs: usize,
    /// Processor time that users and rollups take for a bundle.
    pub(super) users_us: u64,
    pub(super) observed: Observed,
}

/// The machine, and the points in the order in which they first come.
pub(super) fn points(runs: &[BenchRun]) -> Result<(String, Vec<Point>), BenchError> {
    let mut groups: Vec<((u32, u32), Vec<&BenchRun>)> = Vec::new();
    for run in runs {
        let rate = run.rate.ok_or(BenchError::Saturated)?;
        if run.late > 0 || run.lost > 0 {
            return Err(BenchError::Overloaded { rate, late: run.late, lost: run.lost });
        }
        let found_ms = millis(run.latency_ms.revealed.p50) / 1_000;
        if found_ms > REVEALED_MS_MAX {
            return Err(BenchError::Busy { rate, found_ms, max_ms: REVEALED_MS_MAX });
        }
        let place = (rate, run.bundle_bytes);
        match groups.iter_mut().find(|(known, _)| *known == place) {
            Some((_, group)) => group.push(run),
            None => groups.push((place, vec![run])),
        }
    }
    let first = runs.first().filter(|_| groups.len() > 1);
    let first = first.ok_or(BenchError::TooFew { found: groups.len() })?;
    let differs =
        |run: &BenchRun| (run.validators, &run.machine) != (first.validators, &first.machine);
    if runs.iter().any(differs) {
        return Err(BenchError::Mixed);
    }
    let Machine { cpu, cores, memory_mib, kernel } = &first.machine;
    // The rest of a version is the distribution's.
    let kernel = kernel.split('.').take(2).collect::<Vec<_>>().join(".");
    let machine = format!("{cores} × {cpu}, {memory_mib} MiB, Linux {kernel}");
    Ok((machine, groups.iter().map(|((rate, _), group)| Point::new(*rate, first, group)).collect()))
}

impl Point {
    fn new(rate: u32, first: &BenchRun, group: &[&BenchRun]) -> Self {
        let mean = |of: &dyn Fn(&BenchRun) -> u64| {
            let total: u64 = group.iter().map(|run| of(run)).sum();
            let count = u64::try_from(group.len()).unwrap_or(u64::MAX);
            total.checked_div(count).unwrap_or(0)
        };
        let quantiles = |of: fn(&Latencies) -> &Percentiles| Quantiles {
            p50: mean(&|run| millis(of(&run.latency_ms).p50)),
            p90: mean(&|run| millis(of(&run.latency_ms).p90)),
        };
        let is_validator = |process: &Process| process.name.starts_with("validator-");
        Self {
            validators: first.validators,
            bundle_bytes: group.first().map_or(0, |run| run.bundle_bytes),
            rate,
            cores: first.machine.cores,
            runs: group.len(),
            users_us: mean(&|run| {
                let users = run.processor_us(|process| !is_validator(process));
                run.each_second(users).checked_div(u64::from(rate)).unwrap_or(0)
            }),
            observed: Observed {
                received: quantiles(|latencies| &latencies.received),
                ordered: quantiles(|latencies| &latencies.ordered),
                revealed: quantiles(|latencies| &latencies.revealed),
                busy_us: mean(&|run| run.each_second(run.processor_us(is_validator))),
                sync_us: mean(&BenchRun::sync_us),
            },
        }
    }
}

impl BenchRun {
    fn processor_us(&self, counts: impl Fn(&Process) -> bool) -> u64 {
        let counted = self.processes.iter().filter(|process| counts(process));
        counted.map(|process| process.cpu_ms.saturating_mul(1_000)).sum()
    }

    fn sync_us(&self) -> u64 {
        let persist = self.stages.get("persist");
        persist.and_then(|stage| stage.total_us.checked_div(stage.count)).unwrap_or(0)
    }

    fn each_second(&self, total_us: u64) -> u64 {
        let duration = Duration::try_from_secs_f64(self.duration_s).unwrap_or_default();
        let duration_us = duration.as_micros();
        let each = u128::from(total_us).saturating_mul(1_000_000).checked_div(duration_us);
        u64::try_from(each.unwrap_or(0)).unwrap_or(u64::MAX)
    }
}

/// Milliseconds with decimals, in whole microseconds.
#[expect(clippy::float_arithmetic, reason = "what people read is in milliseconds")]
fn millis(ms: f64) -> u64 {
    let time = Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or_default();
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(
        rate: Option<u32>,
        bundle_bytes: u32,
        change: impl Fn(&mut serde_json::Value),
    ) -> BenchRun {
        let quantiles = |p50: f64| json!({ "p50": p50, "p90": 76.5, "p95": 1.0, "p99": 1.0 });
        let mut text = json!({
            "validators": 4, "bundle_bytes": bundle_bytes, "rate": rate, "duration_s": 2.0,
            "lost": 0, "late": 0, "submitted": 7,
            "latency_ms": {
                "received": quantiles(3.5), "ordered": quantiles(38.25), "revealed": quantiles(46.0)
            },
            "processes": [
                { "name": "validator-0", "cpu_ms": 300, "peak_rss_mib": 1 },
                { "name": "validator-1", "cpu_ms": 100, "peak_rss_mib": 1 },
                { "name": "rollup-901", "cpu_ms": 20, "peak_rss_mib": 1 },
                { "name": "load", "cpu_ms": 180, "peak_rss_mib": 1 },
            ],
            "stages": {
                "persist": { "count": 100, "total_us": 66_000 },
                "share": { "count": 9, "total_us": 40_000 },
                "verify": { "count": 9, "total_us": 60_000 },
            },
            "machine": { "cpu": "a cpu", "cores": 2, "memory_mib": 9, "kernel": "6.18.4-some" },
        });
        change(&mut text);
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn runs_at_one_rate_and_size_are_averaged_and_rates_are_of_a_second() {
        let slow =
            |text: &mut serde_json::Value| text["latency_ms"]["ordered"]["p50"] = json!(40.25);
        let runs =
            [run(Some(100), 1_024, |_| {}), run(Some(50), 9, |_| {}), run(Some(100), 1_024, slow)];
        let (machine, points) = points(&runs).unwrap();
        assert_eq!(machine, "2 × a cpu, 9 MiB, Linux 6.18");
        assert_eq!(
            points.iter().map(|p| (p.rate, p.runs)).collect::<Vec<_>>(),
            [(100, 2), (50, 1)]
        );
        let Point { users_us, observed, cores, .. } = points[0];
        assert_eq!((users_us, cores), (1_000, 2), "200 ms over 200 bundles");
        assert_eq!(observed.ordered, Quantiles { p50: 39_250, p90: 76_500 });
        assert_eq!([observed.busy_us, observed.sync_us], [200_000, 660]);
    }

    #[test]
    fn runs_that_cannot_be_compared_are_refused_with_what_to_do() {
        let good = run(Some(100), 1_024, |_| {});
        let with = |other: BenchRun| points(&[good.clone(), other]).unwrap_err();
        assert_eq!(with(good.clone()), BenchError::TooFew { found: 1 });
        assert_eq!(with(run(None, 1_024, |_| {})), BenchError::Saturated);
        let late = run(Some(9), 1_024, |text| text["late"] = json!(3));
        assert_eq!(with(late), BenchError::Overloaded { rate: 9, late: 3, lost: 0 });
        let slow = run(Some(9), 1_024, |text| text["latency_ms"]["revealed"]["p50"] = json!(900.5));
        assert_eq!(with(slow), BenchError::Busy { rate: 9, found_ms: 900, max_ms: 500 });
        let other = run(Some(9), 1_024, |text| text["machine"]["cores"] = json!(8));
        assert_eq!(with(other), BenchError::Mixed);
        let other = run(Some(9), 1_024, |text| text["validators"] = json!(7));
        assert_eq!(with(other), BenchError::Mixed);
        assert_eq!(points(&[]).unwrap_err(), BenchError::TooFew { found: 0 });
    }
}
