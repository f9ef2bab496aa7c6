//! The engine's own alarm clock, in virtual time: at most one alarm for each wait and round.

use std::{collections::BTreeMap, time::Duration};

use conclave_types::{Round, Time, TimingParams};

use crate::wal::Wait;

/// No wait is longer than this, however high the round.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The alarms that are set. All belong to the current height, and Malachite clears them with every
/// round, so there are a handful.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    alarms: BTreeMap<(Wait, Round), Time>,
}

impl Timers {
    pub(crate) fn clear(&mut self) {
        self.alarms.clear();
    }

    pub(crate) fn cancel(&mut self, wait: Wait, round: Round) {
        self.alarms.remove(&(wait, round));
    }

    pub(crate) fn set(&mut self, wait: Wait, round: Round, at: Time) {
        self.alarms.insert((wait, round), at);
    }

    /// When the next alarm is due.
    pub(crate) fn next(&self) -> Option<Time> {
        self.alarms.values().min().copied()
    }

    /// Takes out the earliest alarm that is due.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(Wait, Round)> {
        let (key, _) = self
            .alarms
            .iter()
            .filter(|(_, at)| **at <= now)
            .min_by_key(|(key, at)| (**at, **key))?;
        let key = *key;
        self.alarms.remove(&key);
        Some(key)
    }
}

/// How long to wait in a round: longer each round, so that rounds become long enough for any delay.
pub(crate) fn duration(timing: &TimingParams, wait: Wait, round: Round) -> Duration {
    let first = match wait {
        Wait::Propose => timing.propose_timeout_ms,
        Wait::Prevote | Wait::Precommit => timing.vote_timeout_ms,
        // Twice a vote's wait: rarer than the traffic it repairs, sooner than the next round.
        Wait::Rebroadcast => timing.vote_timeout_ms.saturating_mul(2),
    };
    let more = match wait {
        Wait::Propose | Wait::Prevote | Wait::Precommit => timing.timeout_step_ms,
        Wait::Rebroadcast => 0,
    };
    let wait_ms = first.saturating_add(more.saturating_mul(u64::from(round.as_u32())));
    // A wait of nothing would make a tick spin.
    Duration::from_millis(wait_ms).clamp(Duration::from_millis(1), WAIT_MAX)
}
