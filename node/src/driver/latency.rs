//! How long bundles take from their admission here to each level, for the metrics.

use std::{collections::BTreeMap, time::Duration};

use conclave_types::{BundleId, Time};

/// Bundles whose admission is remembered. Beyond it one is forgotten for each that comes, by id, which is
/// as good as any: figures, not the protocol, lose precision.
const REMEMBERED_MAX: usize = 32_768;

/// When bundles were admitted here.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    admitted: BTreeMap<BundleId, Time>,
}

impl Latencies {
    pub(super) fn admitted(&mut self, bundle: BundleId, now: Time) {
        self.admitted.insert(bundle, now);
        if self.admitted.len() > REMEMBERED_MAX {
            self.admitted.pop_first();
        }
    }

    pub(super) fn decided(&self, bundle: &BundleId, now: Time) -> Option<Duration> {
        self.admitted.get(bundle).map(|admitted| now.since(*admitted))
    }

    pub(super) fn revealed(&mut self, bundle: &BundleId, now: Time) -> Option<Duration> {
        self.admitted.remove(bundle).map(|admitted| now.since(admitted))
    }
}
