//! When each bundle reached each level, as one validator's public stream tells it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use conclave_client::{Client, Level};
use conclave_types::BundleId;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

/// Pause before a stream that ended is opened again.
const REOPEN_AFTER: Duration = Duration::from_millis(100);

/// Instants of one bundle. Events may come before the receipt does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// When its sealing began.
    pub(crate) submitted: Option<Instant>,
    /// When its receipt was there.
    pub(crate) received: Option<Instant>,
    /// The height of its block.
    pub(crate) height: Option<u64>,
    /// When its block was told to be decided.
    pub(crate) ordered: Option<Instant>,
    /// When its block was told to be revealed.
    pub(crate) revealed: Option<Instant>,
    /// When a subscriber had its plaintext.
    pub(crate) delivered: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    bundles: BTreeMap<BundleId, Marks>,
    decided: u64,
    revealed: u64,
}

/// Shared between whoever submits and whoever follows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker {
    state: Arc<Mutex<State>>,
}

/// Latencies since submission, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Percentiles {
    /// Half are faster.
    pub(crate) p50: f64,
    /// Nine in ten are faster.
    pub(crate) p90: f64,
    /// 95 of 100 are faster.
    pub(crate) p95: f64,
    /// 99 of 100 are faster.
    pub(crate) p99: f64,
}

impl Tracker {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single insertion: there is no half-made state to find.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bundle was handed in and acknowledged.
    pub(crate) fn submitted(&self, id: BundleId, at: Instant) {
        let mut state = self.state();
        let marks = state.bundles.entry(id).or_default();
        marks.submitted = Some(at);
        marks.received = Some(Instant::now());
    }

    /// A subscriber received a bundle's plaintext; says whether for the first time.
    pub(crate) fn delivered(&self, id: BundleId, at: Instant) -> bool {
        let mut state = self.state();
        state.bundles.entry(id).or_default().delivered.replace(at).is_none()
    }

    /// Follows the validator's blocks until it is dropped.
    pub(crate) async fn follow(self, client: Client) {
        loop {
            match client.block_events().await {
                Ok(mut events) => {
                    while let Ok(Some(event)) = events.next().await {
                        self.take(&event);
                    }
                }
                Err(error) => tracing::debug!(%error, "no block events"),
            }
            tokio::time::sleep(REOPEN_AFTER).await;
        }
    }

    fn take(&self, event: &conclave_client::BlockEvent) {
        let now = Instant::now();
        let mut state = self.state();
        let height = event.height.as_u64();
        let is_revealed = event.level >= Level::Revealed;
        if is_revealed {
            state.revealed = state.revealed.max(height);
        }
        state.decided = state.decided.max(height);
        for id in &event.bundles {
            let marks = state.bundles.entry(*id).or_default();
            marks.height.get_or_insert(height);
            marks.ordered.get_or_insert(now);
            if is_revealed {
                marks.revealed.get_or_insert(now);
            }
        }
    }

    /// Newest decided and newest revealed height.
    pub(crate) fn heights(&self) -> (u64, u64) {
        let state = self.state();
        (state.decided, state.revealed)
    }

    /// What was submitted, with its instants.
    pub(crate) fn marks(&self) -> Vec<(BundleId, Marks)> {
        let state = self.state();
        let submitted = state.bundles.iter().filter(|(_, marks)| marks.submitted.is_some());
        submitted.map(|(id, marks)| (*id, *marks)).collect()
    }

    /// When the first of what was submitted was told to be revealed.
    pub(crate) fn first_revealed(&self) -> Option<Instant> {
        self.marks().into_iter().filter_map(|(_, marks)| marks.revealed).min()
    }

    /// Forgets what happened before `before`: a devnet may run for days.
    pub(crate) fn forget(&self, before: Instant) {
        let is_recent = |at: Option<Instant>| at.is_some_and(|at| at >= before);
        self.state().bundles.retain(|_, marks| {
            is_recent(marks.submitted) || is_recent(marks.ordered) || is_recent(marks.revealed)
        });
    }

    /// Latencies from submission to a level, of bundles submitted at `since` or later.
    pub(crate) fn latency(
        &self,
        since: Instant,
        level: impl Fn(&Marks) -> Option<Instant>,
    ) -> Percentiles {
        let marks = self.marks();
        let latencies = marks.iter().filter_map(|(_, marks)| {
            let submitted = marks.submitted.filter(|at| *at >= since)?;
            Some(level(marks)?.saturating_duration_since(submitted))
        });
        percentiles(latencies)
    }
}

/// No latency that matters is longer: an hour, in microseconds.
const LATENCY_MAX: u64 = 3_600_000_000;

/// Percentiles with three significant digits.
#[expect(clippy::float_arithmetic, reason = "microseconds become milliseconds for people")]
pub(crate) fn percentiles(latencies: impl Iterator<Item = Duration>) -> Percentiles {
    // These bounds and three digits are within what the constructor accepts.
    let Ok(mut histogram) = Histogram::<u64>::new_with_max(LATENCY_MAX, 3) else {
        return Percentiles::default();
    };
    for latency in latencies {
        histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }
    let at = |quantile| {
        let micros = u32::try_from(histogram.value_at_quantile(quantile)).unwrap_or(u32::MAX);
        f64::from(micros) / 1_000.0
    };
    Percentiles { p50: at(0.50), p90: at(0.90), p95: at(0.95), p99: at(0.99) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds() {
        let figures = percentiles((1..=100).map(Duration::from_millis));
        let near = |found: f64, expected: f64| (found - expected).abs() < 0.2;
        assert!(near(figures.p50, 50.0) && near(figures.p90, 90.0));
        assert!(near(figures.p95, 95.0) && near(figures.p99, 99.0));
        assert_eq!(percentiles(std::iter::empty()).p99, 0.0);
    }

    #[test]
    fn the_first_that_is_open_is_of_those_that_were_handed_in_here() {
        let (tracker, at) = (Tracker::default(), Instant::now());
        let event = |height, level, id: u8| conclave_client::BlockEvent {
            height: conclave_types::Height::new(height),
            level,
            block: conclave_types::BlockId::new([id; 32]),
            bundles: vec![BundleId::new([id; 32])],
            time: conclave_types::Time::from_micros(height),
        };
        for id in [1, 2] {
            tracker.submitted(BundleId::new([id; 32]), at);
        }
        tracker.take(&event(1, Level::Revealed, 3));
        tracker.take(&event(2, Level::Ordered, 1));
        assert_eq!(tracker.first_revealed(), None);
        tracker.take(&event(2, Level::Revealed, 1));
        let first = tracker.first_revealed().unwrap();
        tracker.take(&event(3, Level::Revealed, 2));
        assert_eq!(tracker.first_revealed(), Some(first));
    }

    #[tokio::test]
    async fn a_level_told_before_the_receipt_counts_all_the_same() {
        let tracker = Tracker::default();
        let id = BundleId::new([1; 32]);
        let at = Instant::now();
        assert!(tracker.delivered(id, at + Duration::from_millis(30)));
        assert!(tracker.marks().is_empty(), "somebody else's bundle, so far");
        tracker.submitted(id, at);
        assert_eq!(tracker.marks().len(), 1);
        let latency = tracker.latency(at, |marks| marks.delivered);
        assert!((latency.p50 - 30.0).abs() < 0.2);
    }
}
