//! The links between validators: latency with jitter, loss, partitions.

use std::time::Duration;

use conclave_types::Time;
use serde::Deserialize;

use crate::random::Random;

/// How links behave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkModel {
    /// Least one-way delay.
    pub latency_min_ms: u64,
    /// Most one-way delay.
    pub latency_max_ms: u64,
    /// Messages lost, in a thousand.
    pub loss_permille: u64,
    /// Messages delivered twice, in a thousand.
    pub duplicate_permille: u64,
}

impl Default for NetworkModel {
    fn default() -> Self {
        Self { latency_min_ms: 5, latency_max_ms: 40, loss_permille: 0, duplicate_permille: 0 }
    }
}

impl NetworkModel {
    /// Whether a round is long enough, as a rule, for everything in it to arrive.
    pub(crate) const fn is_calm(&self) -> bool {
        self.latency_max_ms <= 250 && self.loss_permille <= 20
    }
}

/// A time during which some validators cannot reach the others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// When it begins.
    pub from_ms: u64,
    /// When it heals.
    pub until_ms: u64,
    /// Both are later by up to this much, drawn from the seed.
    #[serde(default)]
    pub spread_ms: u64,
    /// One side; the other side is everyone else.
    pub side: Vec<u16>,
    /// The side hears the others, but is not heard.
    #[serde(default)]
    pub one_way: bool,
}

impl Partition {
    fn separates(&self, from: u16, to: u16) -> bool {
        let (from, to) = (self.side.contains(&from), self.side.contains(&to));
        from != to && (from || !self.one_way)
    }
}

/// The links.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    model: NetworkModel,
    partitions: Vec<Partition>,
    started: Time,
    /// Messages that were lost.
    pub(crate) lost: u64,
    /// Messages that a partition kept back.
    pub(crate) blocked: u64,
    /// Messages that arrived twice.
    pub(crate) duplicated: u64,
    /// Messages that were handed over.
    pub(crate) delivered: u64,
}

impl Network {
    /// Links that begin at `started`.
    #[must_use]
    pub(crate) const fn new(
        model: NetworkModel,
        partitions: Vec<Partition>,
        started: Time,
    ) -> Self {
        Self { model, partitions, started, lost: 0, blocked: 0, duplicated: 0, delivered: 0 }
    }

    /// When a message sent now arrives; more than once if it is duplicated, never if it is lost.
    pub(crate) fn arrivals(
        &mut self,
        random: &mut Random,
        now: Time,
        from: u16,
        to: u16,
    ) -> Vec<Time> {
        if self.is_cut(now, from, to) {
            self.blocked = self.blocked.saturating_add(1);
            return Vec::new();
        }
        if random.chance(self.model.loss_permille) {
            self.lost = self.lost.saturating_add(1);
            return Vec::new();
        }
        let copies = if random.chance(self.model.duplicate_permille) { 2 } else { 1 };
        self.duplicated = self.duplicated.saturating_add(copies - 1);
        self.delivered = self.delivered.saturating_add(1);
        (0..copies).map(|_| now.after(self.delay(random))).collect()
    }

    fn delay(&self, random: &mut Random) -> Duration {
        let least = self.model.latency_min_ms.saturating_mul(1_000);
        let spread = self.model.latency_max_ms.saturating_mul(1_000).saturating_sub(least);
        Duration::from_micros(least.saturating_add(random.below(spread.saturating_add(1))))
    }

    fn is_cut(&self, now: Time, from: u16, to: u16) -> bool {
        let elapsed = u64::try_from(now.since(self.started).as_millis()).unwrap_or(u64::MAX);
        self.partitions.iter().any(|partition| {
            (partition.from_ms..partition.until_ms).contains(&elapsed)
                && partition.separates(from, to)
        })
    }
}
