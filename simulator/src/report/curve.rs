//! Throughput against latency: one run for each rate, until latency bends.

use serde::Serialize;

use super::{Report, Verdict};
use crate::{
    measure::{ALL_REGIONS, Level},
    scenario::Scenario,
};

/// Latency at three times that of an idle network: it has bent.
const BENT: u64 = 3;
/// Less than so much of a hundred handed in is revealed: it is saturated.
const KEPT_UP_PERCENT: u64 = 80;

/// One run at one rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CurvePoint {
    /// Validators.
    pub validators: u16,
    /// Bundles handed in each second of virtual time.
    pub offered_per_s: u64,
    /// Bundles revealed each second of virtual time.
    pub revealed_per_s: u64,
    /// Half of the bundles were ordered within this time.
    pub ordered_p50_us: u64,
    /// Half of the bundles were revealed within this time.
    pub p50_us: u64,
    /// All but one in a hundred were revealed within this time.
    pub p99_us: u64,
    /// Heights that were revealed.
    pub heights: u64,
    /// Wall-clock time that the run took.
    pub wall_ms: u64,
    /// Heights for each hundred seconds of wall clock.
    pub heights_per_100_s: u64,
    /// How the run ended.
    pub verdict: Verdict,
}

impl CurvePoint {
    /// What a run of `scenario` that took `wall_ms` adds to the curve.
    #[must_use]
    pub fn new(scenario: &Scenario, report: &Report, wall_ms: u64) -> Self {
        let revealed = report.counters.get("revealed_bundles").copied().unwrap_or(0);
        let latency = |level| report.figures.latency(level, ALL_REGIONS);
        let found = latency(Level::BundleRevealed);
        let per = |count: u64, scale: u64, time: u64| {
            count.saturating_mul(scale).checked_div(time).unwrap_or(0)
        };
        Self {
            validators: scenario.validators,
            offered_per_s: scenario.bundles_per_s,
            revealed_per_s: per(revealed, 1_000, report.elapsed_ms),
            ordered_p50_us: latency(Level::BundleOrdered).map_or(0, |found| found.p50_us),
            p50_us: found.map_or(0, |found| found.p50_us),
            p99_us: found.map_or(0, |found| found.p99_us),
            heights: report.heights,
            wall_ms,
            heights_per_100_s: per(report.heights, 100_000, wall_ms.max(1)),
            verdict: report.verdict.clone(),
        }
    }

    /// Whether more load only means more latency, compared with the first point of the curve.
    #[must_use]
    pub fn is_saturated(&self, first: &Self) -> bool {
        let kept_up = self.offered_per_s.saturating_mul(KEPT_UP_PERCENT) / 100;
        self.verdict != Verdict::Held
            || self.revealed_per_s < kept_up
            || self.p50_us > first.p50_us.saturating_mul(BENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_where_latency_bends_or_load_is_left_over() {
        let first = CurvePoint {
            validators: 4,
            offered_per_s: 10,
            revealed_per_s: 9,
            ordered_p50_us: 100,
            p50_us: 150,
            p99_us: 200,
            heights: 50,
            wall_ms: 10,
            heights_per_100_s: 1,
            verdict: Verdict::Held,
        };
        let next = CurvePoint { offered_per_s: 100, revealed_per_s: 90, ..first.clone() };
        assert!(!next.is_saturated(&first));
        assert!(CurvePoint { p50_us: 451, ..next.clone() }.is_saturated(&first));
        assert!(CurvePoint { revealed_per_s: 79, ..next.clone() }.is_saturated(&first));
        assert!(CurvePoint { verdict: Verdict::Liveness, ..next }.is_saturated(&first));
    }
}
