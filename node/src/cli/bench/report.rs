//! The figures, for people and for programs.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    super::devnet::{
        screen::Screen,
        tracker::{Marks, Percentiles, percentiles},
    },
    load::{Delivered, Load},
    machine::{Machine, ProcessUsage, Usage, Wire},
    stages::Stages,
};

/// Everything a report is made of.
pub(super) struct Measured<'a> {
    pub(super) arguments_bundle_bytes: u32,
    pub(super) rate: Option<u32>,
    pub(super) validators: u16,
    pub(super) since: Instant,
    pub(super) until: Instant,
    pub(super) delivered: Delivered,
    pub(super) usage: Usage,
    pub(super) stages: Stages,
    pub(super) load: &'a Load,
}

/// Latencies of bundles from when each was due.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Latency {
    received: Percentiles,
    ordered: Percentiles,
    revealed: Percentiles,
    /// Not from when it was due, but from its block's decision to the plaintext, as one validator tells of both.
    opening: Percentiles,
}

/// The result of a benchmark.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    validators: u16,
    bundle_bytes: u32,
    /// Bundles due per second; none when the load saturates.
    rate: Option<u32>,
    duration_s: f64,
    /// Handed in and admitted, warm-up included.
    submitted: u64,
    /// Refused after all attempts.
    rejected: u64,
    /// Due, but with too much under way to be handed in on time.
    late: u64,
    /// Admitted, and never received by a subscriber.
    pub(super) lost: u64,
    ordered_per_s: f64,
    revealed_per_s: f64,
    /// Half of the blocks with any have no more bundles.
    block_bundles_p50: u64,
    /// Plaintext that subscribers received; a megabyte is 10⁶ bytes.
    revealed_mb_per_s: f64,
    latency_ms: Latency,
    processes: Vec<ProcessUsage>,
    /// Where validators' time went, all of them together.
    stages: Stages,
    /// Between validators, all of them together.
    wire: Wire,
    machine: Machine,
}

impl Report {
    pub(super) fn new(measured: Measured<'_>) -> Self {
        let Measured { since, until, load, delivered, usage, stages, .. } = measured;
        let marks: Vec<Marks> = load.tracker.marks().into_iter().map(|(_, marks)| marks).collect();
        let is_within = |at: Option<Instant>| at.is_some_and(|at| at >= since && at < until);
        let count = |level: fn(&Marks) -> Option<Instant>| {
            let within = marks.iter().filter(|marks| is_within(level(marks))).count();
            u64::try_from(within).unwrap_or(u64::MAX)
        };
        let due_within = || marks.iter().filter(|marks| is_within(marks.submitted));
        let latency = |level: fn(&Marks) -> Option<Instant>| {
            percentiles(due_within().filter_map(|marks| {
                Some(level(marks)?.saturating_duration_since(marks.submitted?))
            }))
        };
        let time = until.saturating_duration_since(since);
        let (submitted, rejected, late) = load.handed_in();
        Self {
            validators: measured.validators,
            bundle_bytes: measured.arguments_bundle_bytes,
            rate: measured.rate,
            duration_s: time.as_secs_f64(),
            submitted,
            rejected,
            late,
            lost: u64::try_from(load.under_way()).unwrap_or(u64::MAX),
            ordered_per_s: per_second(count(|marks| marks.ordered), time),
            revealed_per_s: per_second(delivered.bundles, time),
            block_bundles_p50: median(bundles_of_blocks(
                marks.iter().filter(|marks| is_within(marks.ordered)),
            )),
            revealed_mb_per_s: millionth(per_second(delivered.bytes, time)),
            latency_ms: Latency {
                received: latency(|marks| marks.received),
                ordered: latency(|marks| marks.ordered),
                revealed: latency(|marks| marks.delivered),
                opening: percentiles(due_within().filter_map(|marks| {
                    Some(marks.revealed?.saturating_duration_since(marks.ordered?))
                })),
            },
            processes: usage.processes,
            stages,
            wire: usage.wire,
            machine: Machine::read(),
        }
    }

    #[expect(clippy::float_arithmetic, reason = "milliseconds for people")]
    pub(super) fn print(&self, screen: &Screen) {
        let machine = &self.machine;
        screen.heading(format!(
            "{} validators, {} byte bundles, {}, {:.0} s",
            self.validators,
            self.bundle_bytes,
            self.rate.map_or("saturated".to_owned(), |rate| format!("{rate} due per second")),
            self.duration_s,
        ));
        screen.step(
            "machine",
            format!(
                "{} × {}, {} MiB, Linux {}",
                machine.cores, machine.cpu, machine.memory_mib, machine.kernel
            ),
        );
        screen.step("ordered", format!("{:.1} bundles/s", self.ordered_per_s));
        screen.step(
            "revealed",
            format!("{:.1} bundles/s, {:.2} MB/s", self.revealed_per_s, self.revealed_mb_per_s),
        );
        screen.step(
            "bundles",
            format!(
                "{} admitted, {} refused, {} late, {} lost; half of the blocks have {} or fewer",
                self.submitted, self.rejected, self.late, self.lost, self.block_bundles_p50
            ),
        );
        screen.line("");
        screen.line("   latency       p50 ms    p95 ms    p99 ms");
        let latency = self.latency_ms;
        let levels = [
            ("received", latency.received),
            ("ordered", latency.ordered),
            ("revealed", latency.revealed),
            ("opening", latency.opening),
        ];
        for (level, figures) in levels {
            screen.line(format!(
                "   {level:<11} {:>8.1}  {:>8.1}  {:>8.1}",
                figures.p50, figures.p95, figures.p99
            ));
        }
        screen.line("");
        screen.line("   process       CPU s   peak MiB");
        for process in &self.processes {
            let cpu = Duration::from_millis(process.cpu_ms).as_secs_f64();
            screen.line(format!("   {:<12} {cpu:>6.1}  {:>9}", process.name, process.peak_rss_mib));
        }
        screen.line("");
        screen.line("   stage         count    total s   each ms   (all validators)");
        for (kind, stage) in &self.stages {
            let total = Duration::from_micros(stage.total_us);
            let each = total.checked_div(u32::try_from(stage.count).unwrap_or(u32::MAX));
            screen.line(format!(
                "   {kind:<12} {:>6}  {:>9.2}  {:>8.2}",
                stage.count,
                total.as_secs_f64(),
                each.unwrap_or_default().as_secs_f64() * 1_000.0,
            ));
        }
        screen.line("");
        screen.step(
            "wire",
            format!(
                "{} bytes sent and {} received between validators",
                self.wire.sent_bytes, self.wire.received_bytes
            ),
        );
    }
}

/// How many bundles there are in each block that has any.
fn bundles_of_blocks<'a>(marks: impl Iterator<Item = &'a Marks>) -> Vec<u64> {
    let mut blocks = BTreeMap::<u64, u64>::new();
    for height in marks.filter_map(|marks| marks.height) {
        let bundles = blocks.entry(height).or_default();
        *bundles = bundles.saturating_add(1);
    }
    blocks.into_values().collect()
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::float_arithmetic, reason = "a rate for people")]
fn per_second(count: u64, time: Duration) -> f64 {
    // Above 2³² the last digits are lost, which no reader of a rate misses.
    let (high, low) = (count >> 32, count & u64::from(u32::MAX));
    let [high, low] = [high, low].map(|half| f64::from(u32::try_from(half).unwrap_or(u32::MAX)));
    (high * 4_294_967_296.0 + low) / time.as_secs_f64().max(f64::EPSILON)
}

#[expect(clippy::float_arithmetic, reason = "a rate for people")]
fn millionth(rate: f64) -> f64 {
    rate / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_count_over_time_also_for_large_counts() {
        assert!((per_second(300, Duration::from_secs(2)) - 150.0).abs() < 1e-9);
        let large = per_second(3 << 33, Duration::from_secs(1));
        assert!((large - 25_769_803_776.0).abs() < 1.0);
        assert!(per_second(1, Duration::ZERO).is_finite());
    }

    #[test]
    fn blocks_count_once_whatever_their_bundles_were_and_bundles_without_a_block_do_not() {
        let heights = [Some(7), Some(7), None, Some(8), Some(9), Some(9), Some(9)];
        let marks = heights.map(|height| Marks { height, ..Marks::default() });
        assert_eq!(bundles_of_blocks(marks.iter()), [2, 1, 3]);
        assert_eq!(median(bundles_of_blocks(marks.iter())), 2);
        assert_eq!(median(Vec::new()), 0);
    }
}
