//! A curve: one run of a scenario for each rate, until more load only means longer waits.

use std::time::Instant;

use conclave_simulator::{CurvePoint, Report, Scenario};

use super::supervise::{Limits, supervised};

/// The rate with which a search for saturation begins.
const RATE_FIRST: u64 = 25;
/// Rates of a search, each double the one before.
pub(super) const RATES_MAX: usize = 9;

/// What is run at each rate.
pub(super) struct Curve<'a> {
    /// As the command line names it.
    pub(super) name: &'a str,
    pub(super) scenario: Scenario,
    pub(super) seed: u64,
    pub(super) limits: Limits,
}

impl Curve<'_> {
    /// Runs at each of `rates`, or, if there are none, at doubled ones until latency bends. `done` hears of each run.
    pub(super) fn measure(
        &self,
        rates: &[u64],
        mut done: impl FnMut(&CurvePoint, &Report),
    ) -> anyhow::Result<Vec<CurvePoint>> {
        let doubled = std::iter::successors(Some(RATE_FIRST), |rate| rate.checked_mul(2));
        let is_search = rates.is_empty();
        let rates: Vec<u64> =
            if is_search { doubled.take(RATES_MAX).collect() } else { rates.to_vec() };
        let mut points: Vec<CurvePoint> = Vec::new();
        for bundles_per_s in rates {
            // A fault need not happen at every rate.
            let expect = std::collections::BTreeMap::new();
            let scenario = Scenario { bundles_per_s, expect, ..self.scenario.clone() };
            let started = Instant::now();
            let report = supervised(self.name, &scenario, self.seed, self.limits)?;
            let point = CurvePoint::new(&scenario, &report, wall_ms(started));
            done(&point, &report);
            let bent = point.is_saturated(points.first().unwrap_or(&point));
            points.push(point);
            if bent && is_search || self.limits.are_used_up() {
                break;
            }
        }
        Ok(points)
    }
}

/// Milliseconds since then.
pub(super) fn wall_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
