//! When each validator decided which height, and what was wrong meanwhile.

use conclave_sequencer::Event;
use conclave_types::Time;

use crate::scenario::Scenario;

/// Points of one validator; further heights are not drawn.
const POINTS_MAX: usize = 100_000;

/// A fault, from when to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpan {
    /// What it is.
    pub kind: FaultKind,
    /// Whom it concerns.
    pub validators: Vec<u16>,
    /// When it begins, in virtual milliseconds.
    pub from_ms: u64,
    /// When it ends; none if it never does.
    pub until_ms: Option<u64>,
    /// What it is, in words.
    pub label: String,
}

/// Kinds of faults, as a picture tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A validator is down.
    Crash,
    /// Some validators cannot reach the others.
    Partition,
    /// A validator's disk has no room.
    FullDisk,
    /// Validators do not reach L1.
    L1Outage,
    /// Gas on L1 is dear.
    FeeSpike,
    /// A validator misbehaves.
    Byzantine,
}

/// The course of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// For each validator, virtual milliseconds and the height that it decided then, ascending.
    pub decided: Vec<Vec<(u64, u64)>>,
    /// What was wrong, and when.
    pub faults: Vec<FaultSpan>,
}

impl Timeline {
    /// The faults of a run of `scenario` from `seed`, before it begins.
    #[must_use]
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Self {
        let drawn = scenario.clone().drawn(seed);
        let crashes = drawn.crashes.iter().map(|crash| FaultSpan {
            kind: FaultKind::Crash,
            validators: vec![crash.validator],
            from_ms: crash.at_ms,
            until_ms: Some(crash.until_ms),
            label: format!("validator {} is down", crash.validator),
        });
        let partitions = drawn.partitions.iter().map(|partition| FaultSpan {
            kind: FaultKind::Partition,
            validators: partition.side.clone(),
            from_ms: partition.from_ms,
            until_ms: Some(partition.until_ms),
            label: format!(
                "{:?} {} {}",
                partition.side,
                if partition.one_way { "not heard by" } else { "cut off from" },
                if partition.against.is_empty() {
                    "everyone else".to_owned()
                } else {
                    format!("{:?}", partition.against)
                }
            ),
        });
        let full = drawn.full_disks.iter().map(|full| FaultSpan {
            kind: FaultKind::FullDisk,
            validators: vec![full.validator],
            from_ms: full.from_ms,
            until_ms: Some(full.until_ms),
            label: format!("validator {}'s disk is full", full.validator),
        });
        let everyone: Vec<u16> = (0..drawn.validators).collect();
        let outages = drawn.l1.iter().flat_map(|l1| &l1.outages).map(|outage| FaultSpan {
            kind: FaultKind::L1Outage,
            validators: everyone.iter().copied().filter(|v| outage.hits(*v)).collect(),
            from_ms: outage.from_ms,
            until_ms: Some(outage.until_ms),
            label: match outage.validators.as_slice() {
                [] => "nobody reaches L1".to_owned(),
                some => format!("{some:?} do not reach L1"),
            },
        });
        let spikes = drawn.l1.iter().flat_map(|l1| &l1.fee_spikes).map(|spike| FaultSpan {
            kind: FaultKind::FeeSpike,
            validators: everyone.clone(),
            from_ms: spike.from_ms,
            until_ms: Some(spike.until_ms),
            label: format!("gas on L1 costs {} gwei", spike.base_fee_gwei),
        });
        let liars = drawn.byzantine.iter().map(|liar| FaultSpan {
            kind: FaultKind::Byzantine,
            validators: vec![liar.validator],
            from_ms: liar.from_ms,
            until_ms: Some(liar.until_ms).filter(|until| *until > 0),
            label: format!("validator {}: {:?}", liar.validator, liar.behaviours),
        });
        let on_l1 = outages.chain(spikes);
        let mut faults: Vec<_> = crashes.chain(partitions).chain(full).chain(on_l1).collect();
        faults.sort_by_key(|fault| (fault.from_ms, fault.until_ms));
        Self {
            decided: vec![Vec::new(); usize::from(drawn.nodes())],
            faults: liars.chain(faults).collect(),
        }
    }

    /// A validator tells its subscribers something, `begin` being the start of the run.
    pub(crate) fn event(&mut self, begin: Time, now: Time, node: u16, event: &Event) {
        let Event::Decided { header, .. } = event else { return };
        let at = u64::try_from(now.since(begin).as_millis()).unwrap_or(u64::MAX);
        let points = self.decided.get_mut(usize::from(node));
        if let Some(points) = points.filter(|points| points.len() < POINTS_MAX) {
            points.push((at, header.height.as_u64()));
        }
    }
}
