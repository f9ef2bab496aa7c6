//! A validator's processor: a pool of cores for jobs, the thread that owns the core of the protocol, and
//! what each piece of work costs.
//!
//! Costs are fitted to measurements that stand, with their machine and command, in `data/costs.toml`.
//! Between two measured sizes the cost is interpolated, beyond the largest it grows as between the
//! last two.

mod processor;

use std::{sync::OnceLock, time::Duration};

use conclave_sequencer::Job;
use conclave_types::Time;
use serde::Deserialize;

pub(crate) use processor::Processor;

const TABLE: &str = include_str!("../data/costs.toml");

/// The size of the block of which a share costs as much as one without a block.
const ALONE_OF: u64 = 32;

/// Nanoseconds for each ciphertext, measured with so many validators and ciphertexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    validators: u64,
    bundles: u64,
    decode_ns: u64,
    verify_ns: u64,
    parse_ns: u64,
    share_ns: u64,
    combine_ns: u64,
    check_ns: u64,
    open_ns: u64,
}

/// What work costs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The machine and the command.
    source: String,
    /// Recovering a payer's key from a signature.
    payer_ns: u64,
    /// One strict ed25519 verification.
    signature_ns: u64,
    /// One step of the core, signatures apart.
    step_ns: u64,
    /// A message of a sharing: dealing, checking or receiving it, for each party.
    sharing_party_ns: u64,
    /// Signing a commitment.
    attest_ns: u64,
    /// Checking a sum of attestations.
    attestation_check_ns: u64,
    /// Adding one to a sum.
    attestation_sum_ns: u64,
    /// Hashing a thousand bytes.
    hash_kilobyte_ns: u64,
    /// What a part that begins with the beacon takes beyond its seeds.
    beacon_ns: u64,
    rows: Vec<Row>,
}

fn table() -> &'static Table {
    static PARSED: OnceLock<Table> = OnceLock::new();
    // A test reads the file, so what does not parse is not shipped.
    PARSED.get_or_init(|| toml::from_str(TABLE).unwrap_or_default())
}

/// Where the costs come from.
#[must_use]
pub fn cost_source() -> &'static str {
    &table().source
}

/// What a job takes on one core in a committee of `validators`.
#[must_use]
pub(crate) fn job_cost(job: &Job, validators: u16) -> Duration {
    let table = table();
    let count = u64::try_from(job.bundle_count()).unwrap_or(u64::MAX);
    let bytes = |bundles: &[std::sync::Arc<conclave_types::EncryptedBundle>]| {
        let bytes = bundles.iter().map(|bundle| bundle.body.len()).sum::<usize>();
        u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(table.hash_kilobyte_ns) / 1_000
    };
    let beacon = |sub_batches: &std::ops::Range<usize>| match sub_batches.start {
        0 => table.beacon_ns,
        _ => 0,
    };
    // The measured blocks have a beacon point too; an empty one is little else.
    let count = count.max(1);
    let cost = |of: fn(&Row) -> u64, count: u64| table.cost(of, u64::from(validators), count);
    let nanos = match job {
        Job::Verify(job) => cost(|row| row.decode_ns.saturating_add(row.verify_ns), count)
            .saturating_add(table.payer_ns.saturating_mul(count))
            .saturating_add(bytes(&job.bundles)),
        // As in a block of some size: the smallest ones are half a beacon point.
        Job::ShareAlone(job) => (cost(|row| row.share_ns, ALONE_OF) / ALONE_OF)
            .saturating_mul(count)
            .saturating_mul(job.secrets.points.len() as u64),
        Job::Share(job) => {
            let points = job.secrets.as_ref().map_or(0, |secrets| secrets.points.len() as u64);
            let known = u64::try_from(job.known.count()).unwrap_or(u64::MAX);
            let unknown = count.saturating_sub(known).max(1);
            let shares = cost(|row| row.share_ns, unknown).saturating_mul(points);
            cost(|row| row.parse_ns, count).saturating_add(shares)
        }
        // What it finds is checked with the multiples that it found it by.
        Job::Combine(job) => {
            cost(|row| row.combine_ns, count).saturating_add(beacon(&job.sub_batches))
        }
        Job::CheckParts(job) => {
            let beacons = job.shown.iter().map(|shown| beacon(&shown.sub_batches)).max();
            cost(|row| row.check_ns, count).saturating_add(beacons.unwrap_or(0))
        }
        Job::CheckSharing(_) | Job::Deal(_) | Job::Receive(_) => {
            table.sharing_party_ns.saturating_mul(u64::from(validators)).saturating_mul(count)
        }
        Job::Attest(_) => table.attest_ns,
        Job::Certify(_) | Job::CheckCertificate(_) => table
            .attestation_check_ns
            .saturating_add(table.attestation_sum_ns.saturating_mul(count)),
        // Every dealing is looked at.
        Job::Inspect(_) => table.sharing_party_ns.saturating_mul(u64::from(validators).pow(2)) / 2,
        Job::Open(job) => {
            let unchecked = || job.unchecked.iter().flat_map(|(_, ranges)| ranges.clone());
            let openings: usize =
                unchecked().map(|range| job.sealed.opening_range(range).len()).sum();
            let openings = u64::try_from(openings).unwrap_or(u64::MAX);
            let check = if openings == 0 { 0 } else { cost(|row| row.check_ns, openings) };
            let beacon = unchecked().map(|range| beacon(&range)).max().unwrap_or(0);
            let check = check.saturating_add(beacon);
            cost(|row| row.open_ns, count).saturating_add(check).saturating_add(bytes(&job.bundles))
        }
    };
    Duration::from_micros(nanos / 1_000)
}

/// What the thread that owns the core takes for some steps, in which so many signatures were judged and
/// so many bytes came in.
#[must_use]
pub(crate) fn turn_cost(steps: u64, signatures: u64, bytes: u64) -> Duration {
    let table = table();
    let nanos = table
        .step_ns
        .saturating_mul(steps)
        .saturating_add(table.signature_ns.saturating_mul(signatures))
        .saturating_add(table.hash_kilobyte_ns.saturating_mul(bytes) / 1_000);
    Duration::from_micros(nanos / 1_000)
}

impl Table {
    /// What `count` ciphertexts cost together.
    fn cost(&self, of: fn(&Row) -> u64, validators: u64, count: u64) -> u64 {
        let mut sizes: Vec<u64> = self.rows.iter().map(|row| row.validators).collect();
        sizes.dedup();
        let at = |size: u64| {
            let rows = self.rows.iter().filter(|row| row.validators == size);
            let points: Vec<_> =
                rows.map(|row| (row.bundles, of(row).saturating_mul(row.bundles))).collect();
            along(&points, count)
        };
        let points: Vec<_> = sizes.into_iter().map(|size| (size, at(size))).collect();
        along(&points, validators)
    }
}

/// The value at `x` of the line through `points`, which are ascending in x: level before the first, and
/// on as between the last two after the last.
fn along(points: &[(u64, u64)], x: u64) -> u64 {
    let after = points.iter().position(|(at, _)| *at >= x).unwrap_or(points.len());
    let last = points.len().saturating_sub(1);
    let (low, high) = match after {
        0 => (0, 0),
        after => (after.min(last).saturating_sub(1), after.min(last)),
    };
    let (Some((x0, y0)), Some((x1, y1))) = (points.get(low), points.get(high)) else { return 0 };
    if x1 == x0 {
        return *y0;
    }
    let [x, x0, x1, y0, y1] = [x, *x0, *x1, *y0, *y1].map(i128::from);
    let y = y0 + (x - x0) * (y1 - y0) / (x1 - x0);
    u64::try_from(y.max(0)).unwrap_or(u64::MAX)
}

/// Cores that take jobs in the order in which they come.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// When each core is free.
    free: Vec<Time>,
}

impl Pool {
    /// A pool of `cores`, at least one.
    #[must_use]
    pub(crate) fn new(cores: u16) -> Self {
        Self { free: vec![Time::ZERO; usize::from(cores.max(1))] }
    }

    /// Takes a job; returns how long it waits for a core, and when it is done.
    pub(crate) fn take(&mut self, now: Time, cost: Duration) -> (Duration, Time) {
        let Some(core) = self.free.iter_mut().min() else { return (Duration::ZERO, now) };
        let start = now.max(*core);
        *core = start.after(cost);
        (start.since(now), *core)
    }

    /// The process is gone, and its jobs with it.
    pub(crate) fn reset(&mut self) {
        self.free.fill(Time::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_every_size_ascending() {
        let table: Table = toml::from_str(TABLE).unwrap();
        let sizes: Vec<_> = table.rows.iter().map(|row| (row.validators, row.bundles)).collect();
        let mut sorted = sizes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sizes, sorted);
        assert!(table.source.contains("cargo bench"));
        assert!(sizes.first().unwrap().0 <= 4 && sizes.last().unwrap().0 >= 100);
    }

    #[test]
    fn costs_lie_on_the_line_between_measurements() {
        let points = [(10, 100), (20, 300), (40, 400)];
        let rows = [(0, 100), (10, 100), (15, 200), (20, 300), (30, 350), (40, 400), (80, 600)];
        for (x, expected) in rows {
            assert_eq!(along(&points, x), expected, "{x}");
        }
        assert_eq!(along(&[(5, 7)], 100), 7);
        assert_eq!(along(&[], 1), 0);
    }

    #[test]
    fn jobs_wait_for_the_core_that_is_free_first() {
        let at = |ms: u64| Time::from_micros(ms * 1_000);
        let ms = Duration::from_millis;
        let mut pool = Pool::new(2);
        assert_eq!(pool.take(at(0), ms(10)), (ms(0), at(10)));
        assert_eq!(pool.take(at(0), ms(4)), (ms(0), at(4)));
        assert_eq!(pool.take(at(1), ms(5)), (ms(3), at(9)));
        assert_eq!(pool.take(at(2), ms(1)), (ms(7), at(10)));
        assert_eq!(pool.take(at(50), ms(1)), (ms(0), at(51)));
        pool.reset();
        assert_eq!(pool.take(at(0), ms(10)), (ms(0), at(10)));
    }
}
