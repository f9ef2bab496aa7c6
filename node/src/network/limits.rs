//! How fast a peer is read, and when it is shunned.

use std::time::Duration;

use tokio::time::Instant;

use super::outbox::Lane;

/// What a peer may send on one lane without being slowed down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Messages a second.
    pub(super) messages: u32,
    /// Bytes a second.
    pub(super) bytes: u32,
}

impl Allowance {
    /// A hundred validators' votes at twenty heights a second, relayed; history at the speed of a disk.
    const VALIDATOR_URGENT: Self = Self { messages: 20_000, bytes: 64 << 20 };
    const VALIDATOR_BULK: Self = Self { messages: 20_000, bytes: 256 << 20 };
    /// A full node asks for what it misses and repeats what it was told.
    const FULL_URGENT: Self = Self { messages: 200, bytes: 1 << 20 };
    const FULL_BULK: Self = Self { messages: 50, bytes: 8 << 20 };

    pub(super) const fn of(validator: bool, lane: Lane) -> Self {
        match (validator, lane) {
            (true, Lane::Urgent) => Self::VALIDATOR_URGENT,
            (true, Lane::Bulk) => Self::VALIDATOR_BULK,
            (false, Lane::Urgent) => Self::FULL_URGENT,
            (false, Lane::Bulk) => Self::FULL_BULK,
        }
    }
}

/// One second's allowance may be used at once; beyond it, the reader waits.
#[derive(Debug)]
pub(super) struct Bucket {
    allowance: Allowance,
    /// Until when the allowance is used up, were it spent evenly.
    spent_until: Instant,
}

const BURST: Duration = Duration::from_secs(1);

impl Bucket {
    pub(super) const fn new(allowance: Allowance, now: Instant) -> Self {
        Self { allowance, spent_until: now }
    }

    /// Accounts for a frame; returns how long to wait before the next is read.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        let by_count = BURST / self.allowance.messages.max(1);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let by_bytes = BURST.saturating_mul(bytes) / self.allowance.bytes.max(1);
        self.spent_until = self.spent_until.max(now) + by_count.max(by_bytes);
        (self.spent_until - now).saturating_sub(BURST)
    }
}

/// Points against a peer. They fade, one each second.
#[derive(Debug)]
pub(super) struct Score {
    points: u32,
    since: Instant,
}

/// A peer with this many points is shunned.
const POINTS_MAX: u32 = 100;

impl Score {
    pub(super) const fn new(now: Instant) -> Self {
        Self { points: 0, since: now }
    }

    /// Adds points; returns whether the peer is to be shunned.
    pub(super) fn add(&mut self, points: u32, now: Instant) -> bool {
        let faded = u32::try_from((now - self.since).as_secs()).unwrap_or(u32::MAX);
        self.points = self.points.saturating_sub(faded).saturating_add(points);
        self.since = now;
        self.points >= POINTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_a_flood_waits() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Allowance { messages: 10, bytes: 1_000 }, now);
        for _ in 0..10 {
            assert_eq!(bucket.take(1, now), Duration::ZERO);
        }
        assert_eq!(bucket.take(1, now), Duration::from_millis(100));
        assert_eq!(bucket.take(1_000, now), Duration::from_millis(1_100));
    }

    #[test]
    fn points_fade_with_time() {
        let now = Instant::now();
        let mut score = Score::new(now);
        assert!(!score.add(60, now));
        assert!(!score.add(60, now + Duration::from_secs(40)));
        assert!(score.add(60, now + Duration::from_secs(40)));
    }
}
