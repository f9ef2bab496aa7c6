//! What a run is measured by: bytes, processor time, waits, and how long users waited for what.
//!
//! Everything is a whole number of microseconds or bytes of virtual time and modelled links, so two
//! runs of one seed give the same figures, digit for digit. Nothing here feeds back into the run.
//!
//! **Bounds.** A sample for each bundle and level and for each height and validator, up to
//! [`SAMPLES_MAX`] a level and region; what comes later is counted and not sampled.

use std::{collections::BTreeMap, time::Duration};

use conclave_sequencer::Event;
use conclave_types::{BundleId, Height, Time};
use serde::Serialize;

/// Samples of one level in one region. Past it a percentile does not move any more.
const SAMPLES_MAX: usize = 1 << 20;

/// Messages and their bytes, as encoded on the wire with their frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// How many messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Traffic {
    fn add(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Work of one kind on one validator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Work {
    /// How often it was done.
    pub count: u64,
    /// Time that it took, all together.
    pub busy_us: u64,
    /// Time that it waited for a free core, all together.
    pub waited_us: u64,
    /// Time that it left its core to others which share it, all together.
    pub shared_us: u64,
}

/// The work of the thread that owns a core; other kinds are jobs.
pub(crate) const DRIVER: &str = "driver";

/// What one piece of work took, as [`Work`] counts it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) busy: Duration,
    pub(crate) waited: Duration,
    pub(crate) shared: Duration,
}

/// What one validator did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeFigures {
    /// Where it stands; empty in a scenario without regions.
    pub region: String,
    /// What it put on the wire, by kind of message.
    pub sent: BTreeMap<&'static str, Traffic>,
    /// What reached it, by kind of message.
    pub received: BTreeMap<&'static str, Traffic>,
    /// What its own full queues made it drop.
    pub dropped: Traffic,
    /// Processor time, by kind of job; `driver` is the thread that owns the core.
    pub work: BTreeMap<&'static str, Work>,
    /// Commits and the time that they took.
    pub disk: Work,
}

/// How long something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// From a user's sending a bundle to its receipt's leaving the validator it was handed to.
    BundleReceived,
    /// From a user's sending a bundle to its place being fixed, at the validator it was handed to.
    BundleOrdered,
    /// From a user's sending a bundle to its being opened, at the validator it was handed to.
    BundleRevealed,
    /// From a block's being shown for the first time to its decision, at every validator.
    BlockDecided,
    /// From a block's being shown for the first time to its being opened, at every validator.
    BlockRevealed,
}

/// How long something took in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LatencyFigures {
    /// What.
    pub level: Level,
    /// The region of the validator; `all` is everyone together.
    pub region: String,
    /// How many samples.
    pub count: u64,
    /// Half of them took no longer.
    pub p50_us: u64,
    /// Nine in ten took no longer.
    pub p90_us: u64,
    /// All but one in a hundred took no longer.
    pub p99_us: u64,
    /// None took longer.
    pub max_us: u64,
}

/// One height, as the first validator saw it. Instants count from the beginning of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeightFigures {
    /// The height.
    pub height: u64,
    /// When a block was first shown.
    pub proposed_us: u64,
    /// When the first validator decided.
    pub decided_us: u64,
    /// When the first validator opened it; 0 if none did.
    pub revealed_us: u64,
    /// Bundles in it.
    pub bundles: u64,
    /// Bytes of ciphertext in it.
    pub bytes: u64,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Each validator, by index.
    pub nodes: Vec<NodeFigures>,
    /// Latencies, by level and then by region, `all` first.
    pub latencies: Vec<LatencyFigures>,
    /// The heights that were decided, ascending.
    pub heights: Vec<HeightFigures>,
}

impl Figures {
    /// The latencies of a level in a region, or of `all`.
    #[must_use]
    pub fn latency(&self, level: Level, region: &str) -> Option<&LatencyFigures> {
        self.latencies.iter().find(|found| found.level == level && found.region == region)
    }
}

/// Latencies of everyone together.
pub const ALL_REGIONS: &str = "all";

/// A bundle on its way.
#[derive(Clone, Copy, Debug)]
struct Pending {
    since: Time,
    node: u16,
    bytes: u64,
    has_receipt: bool,
}

/// Takes the measurements of a run.
#[derive(Debug)]
pub(crate) struct Measure {
    begin: Time,
    nodes: Vec<NodeFigures>,
    /// What is counted at every message and job, so in lists of the few kinds that there are.
    counts: Vec<Counts>,
    pending: BTreeMap<BundleId, Pending>,
    heights: BTreeMap<Height, HeightFigures>,
    samples: BTreeMap<(Level, String), Vec<u64>>,
}

impl Measure {
    /// Measures a run that begins at `begin`, with one validator in each of `regions`.
    #[must_use]
    pub(crate) fn new(begin: Time, regions: Vec<String>) -> Self {
        let node = |region| NodeFigures { region, ..NodeFigures::default() };
        Self {
            begin,
            counts: regions.iter().map(|_| Counts::default()).collect(),
            nodes: regions.into_iter().map(node).collect(),
            pending: BTreeMap::new(),
            heights: BTreeMap::new(),
            samples: BTreeMap::new(),
        }
    }

    /// A message leaves a validator.
    pub(crate) fn sent(&mut self, from: u16, kind: &'static str, bytes: u64) {
        if let Some(node) = self.counts.get_mut(usize::from(from)) {
            of_kind(&mut node.sent, kind).add(bytes);
        }
    }

    /// A message reaches a validator.
    pub(crate) fn received(&mut self, to: u16, kind: &'static str, bytes: u64) {
        if let Some(node) = self.counts.get_mut(usize::from(to)) {
            of_kind(&mut node.received, kind).add(bytes);
        }
    }

    /// A validator worked.
    pub(crate) fn worked(&mut self, node: u16, kind: &'static str, spent: Spent) {
        if let Some(node) = self.counts.get_mut(usize::from(node)) {
            add_work(of_kind(&mut node.work, kind), spent);
        }
    }

    /// A validator made something durable.
    pub(crate) fn committed(&mut self, node: u16, took: Duration) {
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            add_work(&mut node.disk, Spent { busy: took, ..Spent::default() });
        }
    }

    /// A validator's full queues made it drop something.
    pub(crate) fn dropped(&mut self, node: u16, messages: u64, bytes: u64) {
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.dropped.messages = node.dropped.messages.saturating_add(messages);
            node.dropped.bytes = node.dropped.bytes.saturating_add(bytes);
        }
    }

    /// What full queues made all validators drop.
    pub(crate) fn dropped_messages(&self) -> u64 {
        self.nodes.iter().map(|node| node.dropped.messages).sum()
    }

    /// A block is shown to a validator.
    pub(crate) fn proposed(&mut self, now: Time, height: Height) {
        let at = self.at(now);
        self.heights.entry(height).or_insert_with(|| HeightFigures {
            height: height.as_u64(),
            proposed_us: at,
            ..HeightFigures::default()
        });
    }

    /// A user sends a bundle to a validator. Whoever sends it again has waited since the first time.
    pub(crate) fn submitted(&mut self, now: Time, node: u16, bundle: BundleId, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let first = Pending { since: now, node, bytes, has_receipt: false };
        self.pending.entry(bundle).or_insert(first).node = node;
    }

    /// A validator sends a user the receipt for a bundle.
    pub(crate) fn acknowledged(&mut self, now: Time, node: u16, bundle: &BundleId) {
        let Some(pending) = self.pending.get_mut(bundle) else { return };
        if !std::mem::replace(&mut pending.has_receipt, true) {
            self.bundles(now, node, Level::BundleReceived, [bundle].into_iter());
        }
    }

    /// A validator tells its subscribers something.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are not measured")]
    pub(crate) fn event(&mut self, now: Time, node: u16, event: &Event) {
        match event {
            Event::Decided { header, bundles, .. } => {
                let at = self.at(now);
                let sizes = bundles.iter().filter_map(|id| self.pending.get(id));
                let bytes = sizes.map(|pending| pending.bytes).sum();
                if let Some(figures) = self.heights.get_mut(&header.height) {
                    if figures.decided_us == 0 {
                        figures.decided_us = at;
                        figures.bundles = u64::try_from(bundles.len()).unwrap_or(u64::MAX);
                        figures.bytes = bytes;
                    }
                    let took = at.saturating_sub(figures.proposed_us);
                    self.sample(Level::BlockDecided, node, took);
                }
                self.bundles(now, node, Level::BundleOrdered, bundles.iter());
            }
            Event::Revealed { block, .. } => {
                let at = self.at(now);
                if let Some(figures) = self.heights.get_mut(&block.height) {
                    if figures.revealed_us == 0 {
                        figures.revealed_us = at;
                    }
                    let took = at.saturating_sub(figures.proposed_us);
                    self.sample(Level::BlockRevealed, node, took);
                }
                let ids = block.bundles.iter().map(|bundle| &bundle.id);
                self.bundles(now, node, Level::BundleRevealed, ids.clone());
                for id in ids {
                    if self.pending.get(id).is_some_and(|pending| pending.node == node) {
                        self.pending.remove(id);
                    }
                }
            }
            _ => {}
        }
    }

    /// The figures of the run.
    #[must_use]
    pub(crate) fn finish(mut self) -> Figures {
        for (node, counts) in self.nodes.iter_mut().zip(self.counts) {
            node.sent = counts.sent.into_iter().collect();
            node.received = counts.received.into_iter().collect();
            node.work = counts.work.into_iter().collect();
        }
        let latencies = self
            .samples
            .into_iter()
            .map(|((level, region), samples)| percentiles(level, region, samples));
        let mut latencies: Vec<_> = latencies.collect();
        latencies.sort_by_key(|found| (found.level, found.region != ALL_REGIONS));
        let decided = |figures: &HeightFigures| figures.decided_us > 0;
        Figures {
            nodes: self.nodes,
            latencies,
            heights: self.heights.into_values().filter(decided).collect(),
        }
    }

    fn at(&self, now: Time) -> u64 {
        now.as_micros().saturating_sub(self.begin.as_micros())
    }

    fn bundles<'a>(
        &mut self,
        now: Time,
        node: u16,
        level: Level,
        ids: impl Iterator<Item = &'a BundleId>,
    ) {
        for id in ids {
            let pending = self.pending.get(id).copied().filter(|pending| pending.node == node);
            if let Some(Pending { since, .. }) = pending {
                let took = now.as_micros().saturating_sub(since.as_micros());
                self.sample(level, node, took);
            }
        }
    }

    fn sample(&mut self, level: Level, node: u16, took: u64) {
        let region = self.nodes.get(usize::from(node)).map(|node| node.region.clone());
        let regions = region.filter(|region| !region.is_empty()).into_iter();
        for region in regions.chain([ALL_REGIONS.to_owned()]) {
            let samples = self.samples.entry((level, region)).or_default();
            if samples.len() < SAMPLES_MAX {
                samples.push(took);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    sent: Vec<(&'static str, Traffic)>,
    received: Vec<(&'static str, Traffic)>,
    work: Vec<(&'static str, Work)>,
}

fn of_kind<'a, T: Default>(list: &'a mut Vec<(&'static str, T)>, kind: &'static str) -> &'a mut T {
    // A kind is one constant, so its address nearly always tells.
    let known = list.iter().position(|(known, _)| std::ptr::eq(*known, kind) || *known == kind);
    let place = known.unwrap_or(list.len());
    if known.is_none() {
        list.push((kind, T::default()));
    }
    #[expect(clippy::indexing_slicing, reason = "the place was found or made a line above")]
    &mut list[place].1
}

fn add_work(work: &mut Work, Spent { busy, waited, shared }: Spent) {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    work.count = work.count.saturating_add(1);
    work.busy_us = work.busy_us.saturating_add(micros(busy));
    work.waited_us = work.waited_us.saturating_add(micros(waited));
    work.shared_us = work.shared_us.saturating_add(micros(shared));
}

/// Percentiles by rank: the smallest sample that at least so many are no larger than.
fn percentiles(level: Level, region: String, mut samples: Vec<u64>) -> LatencyFigures {
    samples.sort_unstable();
    let rank = |percent: usize| {
        let rank = samples.len().saturating_mul(percent).div_ceil(100);
        samples.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    };
    LatencyFigures {
        level,
        region,
        count: u64::try_from(samples.len()).unwrap_or(u64::MAX),
        p50_us: rank(50),
        p90_us: rank(90),
        p99_us: rank(99),
        max_us: rank(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_rank() {
        let figures = percentiles(Level::BlockDecided, "all".into(), (1..=200).rev().collect());
        let LatencyFigures { count, p50_us, p90_us, p99_us, max_us, .. } = figures;
        assert_eq!([count, p50_us, p90_us, p99_us, max_us], [200, 100, 180, 198, 200]);
        let figures = percentiles(Level::BlockDecided, "all".into(), vec![7]);
        assert_eq!([figures.p50_us, figures.p99_us, figures.max_us], [7, 7, 7]);
        let figures = percentiles(Level::BlockDecided, "all".into(), Vec::new());
        assert_eq!([figures.count, figures.p50_us, figures.max_us], [0, 0, 0]);
    }
}
