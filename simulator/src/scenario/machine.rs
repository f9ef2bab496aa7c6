//! What validators run on: a machine each, or one for all of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a validator runs on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// Cores that take jobs, beside the one of the driver; with `shared_cores`, jobs at a time.
    pub cores: u16,
    /// Cores of the one machine that carries all validators and their users, evenly shared; 0 if each
    /// validator has a machine of its own.
    pub shared_cores: u16,
    /// What work takes, of a thousand of what was measured.
    pub work_permille: u64,
    /// What everything that is not simulated takes of the shared cores, of a thousand: databases, sockets,
    /// rollups.
    pub background_permille: u64,
    /// Processor time of the shared cores that a bundle takes from its user and its rollup.
    pub bundle_us: u64,
    /// How long a commit takes to be durable, however small it is.
    pub fsync_us: u64,
    /// Megabytes that the disk writes in a second, on top of that.
    pub disk_mb_per_s: u64,
    /// Whether work takes time: see `data/costs.toml`.
    pub costs: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cores: 4,
            shared_cores: 0,
            work_permille: 1_000,
            background_permille: 0,
            bundle_us: 0,
            fsync_us: 1_000,
            disk_mb_per_s: 500,
            costs: true,
        }
    }
}

impl Machine {
    /// How long work takes here that takes `measured` where costs were measured.
    #[must_use]
    pub fn takes(&self, measured: Duration) -> Duration {
        if !self.costs {
            return Duration::ZERO;
        }
        let micros = u64::try_from(measured.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(micros.saturating_mul(self.work_permille) / 1_000)
    }

    /// How long a commit of so many bytes takes to be durable.
    #[must_use]
    pub fn sync(&self, bytes: usize) -> Duration {
        // A megabyte a second is a byte a microsecond.
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let writing = bytes.checked_div(self.disk_mb_per_s).unwrap_or(0);
        Duration::from_micros(self.fsync_us.saturating_add(writing))
    }
}
