//! What a network shows of itself to whoever measures it, real or simulated.

use super::{ALL_REGIONS, Level, Report, Scenario};

/// A latency, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quantiles {
    pub(super) p50: u64,
    pub(super) p90: u64,
}

/// What is compared. Rates are of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) received: Quantiles,
    pub(super) ordered: Quantiles,
    pub(super) revealed: Quantiles,
    /// Processor time of all validators.
    pub(super) busy_us: u64,
    /// Mean time of a commit.
    pub(super) sync_us: u64,
}

impl Observed {
    /// The latencies, each with its level.
    pub(super) const fn levels(&self) -> [(Level, Quantiles); 3] {
        [
            (Level::BundleReceived, self.received),
            (Level::BundleOrdered, self.ordered),
            (Level::BundleRevealed, self.revealed),
        ]
    }

    /// The median time from a place in a decided block to plaintext, of bundles together.
    pub(super) const fn opening_us(&self) -> u64 {
        self.revealed.p50.saturating_sub(self.ordered.p50)
    }

    /// How far its medians are from others, each of a thousand, together.
    pub(super) fn distance(&self, other: &Self) -> u64 {
        let off = |mine: u64, its: u64| {
            mine.abs_diff(its).saturating_mul(1_000).checked_div(its).unwrap_or(u64::MAX)
        };
        let levels = self.levels().into_iter().zip(other.levels());
        levels.fold(0, |sum, ((_, mine), (_, its))| sum.saturating_add(off(mine.p50, its.p50)))
    }

    /// What a run of `scenario` showed to users: the simulator's levels end where a validator says something,
    /// a user's where it is heard.
    pub(super) fn simulated(report: &Report, scenario: &Scenario) -> Self {
        let latency = |level| {
            let found = report.figures.latency(level, ALL_REGIONS);
            let heard = |us: u64| us.saturating_add(scenario.network.user_us);
            let quantiles =
                found.map(|found| Quantiles { p50: heard(found.p50_us), p90: heard(found.p90_us) });
            quantiles.unwrap_or_default()
        };
        let nodes = &report.figures.nodes;
        let each_second =
            |total: u64| total.saturating_mul(1_000).checked_div(report.elapsed_ms).unwrap_or(0);
        let work = nodes.iter().flat_map(|node| node.work.values());
        let machine = &scenario.machine;
        let background = u64::from(machine.shared_cores)
            .saturating_mul(machine.background_permille)
            .saturating_mul(1_000);
        let commits: u64 = nodes.iter().map(|node| node.disk.count).sum();
        let syncing: u64 = nodes.iter().map(|node| node.disk.busy_us).sum();
        Self {
            received: latency(Level::BundleReceived),
            ordered: latency(Level::BundleOrdered),
            revealed: latency(Level::BundleRevealed),
            busy_us: each_second(work.map(|work| work.busy_us).sum()).saturating_add(background),
            sync_us: syncing.checked_div(commits).unwrap_or(0),
        }
    }
}
