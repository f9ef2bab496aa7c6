//! Whether the simulator tells the truth about a network that one can measure.
//!
//! `conclave bench` runs a devnet: real processes with their users and rollups on one machine. What it says
//! of one rate and size fits the few numbers of the machine that no benchmark of a part gives
//! ([`calibrate`]); what it says of other rates and sizes is compared with what the simulator then predicts.
//!
//! | fitted | so that this agrees with the devnet |
//! |---|---|
//! | `bundle_us` | the processor time of users and rollups (taken over, not searched) |
//! | `background_permille` | the processor time of all validators |
//! | `fsync_us` | the mean time of a commit |
//! | `user_us` | the median time to a receipt |
//! | `jitter_us` | the median time to a place in a decided block |
//! | `work_permille` | the median time from there to plaintext |
//!
//! They are searched all at once, a step each after each run, since each shifts the others a little. Runs
//! are not smooth in them (a bundle that just misses a block waits for the next), so the best run is kept.

mod bench;
mod observed;

use std::collections::BTreeMap;

use serde::Serialize;

use bench::Point;
pub use bench::{BenchError, BenchRun};
use observed::Observed;

use crate::{
    measure::{ALL_REGIONS, Level},
    report::{Report, Verdict},
    scenario::Scenario,
};

/// Steps of the search, the best of which is kept.
const STEPS: usize = 14;
/// Heights of each run: some ten seconds, and a thousand bundles at a hundred a second.
const HEIGHTS: u64 = 200;
/// The users of `conclave bench`.
const PAYERS: u64 = 128;
/// Framing of a bundle's legs, which counts in the devnet's sizes and not in a scenario's.
const FRAMING_BYTES: u32 = 32;
/// Hops that a bundle waits for between its proposal and its decision: the block, prevotes, precommits.
const HOPS: i64 = 3;
/// Beyond, a machine is too busy to measure anything on it.
const BACKGROUND_MAX: u64 = 800;
/// The longest delay that can be fitted; what needs more has another cause.
const OVERHEAD_US_MAX: u64 = 50_000;

/// How far a prediction is from what was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// What.
    pub level: Level,
    /// Which percentile.
    pub percentile: u8,
    /// On the devnet.
    pub measured_us: u64,
    /// In the simulator.
    pub predicted_us: u64,
    /// The prediction less the measurement, of a thousand of the measurement.
    pub error_permille: i64,
}

/// One rate and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PointFigures {
    /// Plaintext of a bundle.
    pub bundle_bytes: u32,
    /// Bundles due each second.
    pub rate: u32,
    /// Runs of the devnet that were averaged.
    pub runs: usize,
    /// Whether the machine was fitted to this point.
    pub is_fitted: bool,
    /// The latencies.
    pub latencies: Vec<Comparison>,
}

impl PointFigures {
    /// The largest error, of a thousand. Receipts do not count: a few milliseconds, most of them the user's
    /// own, of which the model knows nothing but one number.
    #[must_use]
    pub fn worst_permille(&self) -> u64 {
        let counts = |found: &&Comparison| found.level != Level::BundleReceived;
        let errors = self.latencies.iter().filter(counts).map(|found| found.error_permille);
        errors.map(i64::unsigned_abs).max().unwrap_or(0)
    }
}

/// What came of a calibration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Calibration {
    /// The machine that was measured.
    pub machine: String,
    /// The scenario with what was fitted.
    pub scenario: Scenario,
    /// The fitted point first.
    pub points: Vec<PointFigures>,
}

/// Why there is no calibration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    /// The measurements do not fit together.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// A run of the simulator with these numbers does not end well.
    #[error("the simulated devnet at {rate} bundles of {bundle_bytes} bytes a second: {detail}")]
    Run {
        /// The rate.
        rate: u32,
        /// The size.
        bundle_bytes: u32,
        /// Why.
        detail: String,
    },
}

/// Fits `base` to the first point of `runs` and compares it with all of them.
///
/// # Errors
///
/// If the runs are not of one machine and open-loop, there is no second point, or the simulated devnet does
/// not get on.
pub fn calibrate(base: &Scenario, runs: &[BenchRun]) -> Result<Calibration, CalibrationError> {
    let (machine, points) = bench::points(runs)?;
    let mut scenario = base.clone();
    let mut figures = Vec::new();
    for (index, point) in points.iter().enumerate() {
        if index == 0 {
            scenario = fit(scenario, point)?;
        }
        let found = observe(&scenario, point)?;
        figures.push(compare(point, &found, index == 0));
    }
    if let Some(first) = points.first() {
        // How long a run of it is, and what it is to show, is the scenario's own.
        let Scenario { heights, expect, .. } = base.clone();
        scenario = Scenario { heights, expect, ..at_point(&scenario, first) };
    }
    Ok(Calibration { machine, scenario, points: figures })
}

fn fit(mut scenario: Scenario, point: &Point) -> Result<Scenario, CalibrationError> {
    scenario.machine.shared_cores = point.cores;
    scenario.machine.cores = point.cores;
    scenario.machine.bundle_us = point.users_us;
    let mut best: Option<(u64, Scenario)> = None;
    for _ in 0..STEPS {
        let found = match (observe(&scenario, point), &best) {
            (Ok(found), _) => found,
            (Err(error), None) => return Err(error),
            // A step too far: such a machine does not keep up.
            (Err(_), Some((_, best))) => {
                go_back(&mut scenario, best);
                continue;
            }
        };
        let off = found.distance(&point.observed);
        if best.as_ref().is_none_or(|(least, _)| off < *least) {
            best = Some((off, scenario.clone()));
        }
        adjust(&mut scenario, &point.observed, &found);
    }
    Ok(best.map_or(scenario, |(_, best)| best))
}

/// Goes half of the way back to `best`.
fn go_back(scenario: &mut Scenario, best: &Scenario) {
    let half = |from: u64, to: u64| from.midpoint(to);
    let (machine, network) = (&mut scenario.machine, &mut scenario.network);
    machine.work_permille = half(machine.work_permille, best.machine.work_permille);
    machine.background_permille =
        half(machine.background_permille, best.machine.background_permille);
    machine.fsync_us = half(machine.fsync_us, best.machine.fsync_us);
    network.user_us = half(network.user_us, best.network.user_us);
    network.jitter_us = half(network.jitter_us, best.network.jitter_us);
}

/// Moves each number by half of what its own measurement is off: by all of it, they overshoot together.
fn adjust(scenario: &mut Scenario, wanted: &Observed, found: &Observed) {
    let gap =
        |of: fn(&Observed) -> u64| of(wanted).cast_signed().saturating_sub(of(found).cast_signed());
    let moved = |value: u64, by: i64| value.saturating_add_signed(by / 2).min(OVERHEAD_US_MAX);
    let (machine, network) = (&mut scenario.machine, &mut scenario.network);
    let (now, then) = (found.opening_us(), wanted.opening_us());
    let work = machine.work_permille.saturating_mul(now.saturating_add(then));
    machine.work_permille = work.checked_div(now.saturating_mul(2)).unwrap_or(0).clamp(100, 10_000);
    let more =
        gap(|seen| seen.busy_us) / i64::from(machine.shared_cores.max(1)).saturating_mul(1_000);
    machine.background_permille = moved(machine.background_permille, more).min(BACKGROUND_MAX);
    machine.fsync_us = moved(machine.fsync_us, gap(|seen| seen.sync_us));
    // There and back.
    network.user_us = moved(network.user_us, gap(|seen| seen.received.p50) / 2);
    // Of a delay of anything up to it, half is the mean.
    network.jitter_us =
        moved(network.jitter_us, gap(|seen| seen.ordered.p50).saturating_mul(2) / HOPS);
}

/// The scenario as the devnet ran at a point.
fn at_point(scenario: &Scenario, point: &Point) -> Scenario {
    Scenario {
        validators: point.validators,
        heights: HEIGHTS,
        payers: PAYERS,
        bundles_per_s: u64::from(point.rate),
        bundle_bytes: point.bundle_bytes.saturating_sub(FRAMING_BYTES),
        expect: BTreeMap::new(),
        ..scenario.clone()
    }
}

fn observe(scenario: &Scenario, point: &Point) -> Result<Observed, CalibrationError> {
    let scenario = at_point(scenario, point);
    let failed = |detail: String| CalibrationError::Run {
        rate: point.rate,
        bundle_bytes: point.bundle_bytes,
        detail,
    };
    let report = crate::run("devnet", &scenario, 0);
    let report: Report = report.ok_or_else(|| failed("no world can be built from it".into()))?;
    if report.verdict != Verdict::Held {
        return Err(failed(report.detail));
    }
    Ok(Observed::simulated(&report, &scenario))
}

fn compare(point: &Point, found: &Observed, is_fitted: bool) -> PointFigures {
    let comparison = |level, percentile, measured_us: u64, predicted_us: u64| {
        let off = predicted_us.cast_signed().saturating_sub(measured_us.cast_signed());
        let error_permille = off.saturating_mul(1_000).checked_div(measured_us.cast_signed());
        let error_permille = error_permille.unwrap_or(0);
        Comparison { level, percentile, measured_us, predicted_us, error_permille }
    };
    let pairs = point.observed.levels().into_iter().zip(found.levels());
    let latencies = pairs.flat_map(|((level, measured), (_, predicted))| {
        [
            comparison(level, 50, measured.p50, predicted.p50),
            comparison(level, 90, measured.p90, predicted.p90),
        ]
    });
    PointFigures {
        bundle_bytes: point.bundle_bytes,
        rate: point.rate,
        runs: point.runs,
        is_fitted,
        latencies: latencies.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_moves_by_half_of_what_its_own_measurement_is_off() {
        let quantiles = |p50| observed::Quantiles { p50, p90: 2 * p50 };
        let found = Observed {
            received: quantiles(4_000),
            ordered: quantiles(40_000),
            revealed: quantiles(50_000),
            busy_us: 600_000,
            sync_us: 500,
        };
        let wanted = Observed {
            received: quantiles(3_000),
            ordered: quantiles(43_000),
            revealed: quantiles(48_000),
            busy_us: 700_000,
            sync_us: 650,
        };
        let mut scenario = crate::builtin("devnet").unwrap().scenario().unwrap();
        scenario.machine.work_permille = 1_000;
        scenario.machine.background_permille = 50;
        scenario.machine.fsync_us = 1_000;
        scenario.network.user_us = 300;
        scenario.network.jitter_us = 200;
        adjust(&mut scenario, &wanted, &found);
        let (machine, network) = (&scenario.machine, &scenario.network);
        let moved = [machine.work_permille, machine.background_permille, machine.fsync_us];
        assert_eq!(moved, [750, 75, 1_075]);
        assert_eq!([network.user_us, network.jitter_us], [50, 1_200]);
        scenario.network.user_us = 100;
        adjust(&mut scenario, &wanted, &found);
        assert_eq!(scenario.network.user_us, 0, "no delay is below nothing");
        let before = scenario.clone();
        adjust(&mut scenario, &found, &found);
        assert_eq!(scenario, before, "what agrees stays");
    }

    #[test]
    fn an_error_is_of_the_measurement_and_receipts_do_not_count() {
        let quantiles = |p50| observed::Quantiles { p50, p90: 2 * p50 };
        let observed = |received, ordered| Observed {
            received: quantiles(received),
            ordered: quantiles(ordered),
            revealed: quantiles(50_000),
            ..Observed::default()
        };
        let point = Point {
            validators: 4,
            bundle_bytes: 1_024,
            rate: 9,
            cores: 2,
            runs: 2,
            users_us: 1,
            observed: observed(2_000, 40_000),
        };
        let figures = compare(&point, &observed(3_000, 38_000), false);
        let errors: Vec<_> = figures.latencies.iter().map(|found| found.error_permille).collect();
        assert_eq!(errors, [500, 500, -50, -50, 0, 0]);
        assert_eq!(figures.worst_permille(), 50);
    }
}
