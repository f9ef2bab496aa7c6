//! The promises, restated in arithmetic of their own and checked as the run goes.
//!
//! The oracle sees what validators send and what they tell their subscribers, never their state, and
//! calls none of the code it judges.

use std::collections::{BTreeMap, BTreeSet};

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::{Event, Message, Peer, Penalty};
use conclave_types::{
    Batch, BlockId, BundleId, Digest, Genesis, Height, RevealedBlock, RollupId, Time,
};
use sha3::{Digest as _, Keccak256};

use crate::scenario::Loss;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: &'static str,
    /// How.
    pub detail: String,
}

/// What a vote or proposal says at its position: kind, block, round of the polka.
type Saying = (u8, Option<BlockId>, Option<u32>);

/// Watches a run.
pub struct Oracle {
    honest: BTreeSet<u16>,
    secrecy: usize,
    violation: Option<Violation>,
    trace: Keccak256,
    decided: BTreeMap<Height, BlockId>,
    decided_at: BTreeMap<u16, Height>,
    included: BTreeMap<BundleId, Height>,
    revealed: BTreeMap<Height, Digest>,
    revealed_at: BTreeMap<u16, Height>,
    sharers: BTreeMap<(Height, BlockId), BTreeSet<u16>>,
    sayings: BTreeMap<(u16, Height, u32, u8), Saying>,
    streams: BTreeMap<(RollupId, u64), Digest>,
    lanes: BTreeMap<(u16, RollupId), u64>,
    counters: BTreeMap<&'static str, u64>,
}

impl Oracle {
    /// An oracle for a run of `genesis` in which `honest` validators keep to the protocol.
    #[must_use]
    pub fn new(_genesis: &Genesis, secrecy: u16, honest: BTreeSet<u16>) -> Self {
        Self {
            decided_at: honest.iter().map(|node| (*node, Height::ZERO)).collect(),
            revealed_at: honest.iter().map(|node| (*node, Height::ZERO)).collect(),
            honest,
            secrecy: usize::from(secrecy),
            violation: None,
            trace: Keccak256::new(),
            decided: BTreeMap::new(),
            included: BTreeMap::new(),
            revealed: BTreeMap::new(),
            sharers: BTreeMap::new(),
            sayings: BTreeMap::new(),
            streams: BTreeMap::new(),
            lanes: BTreeMap::new(),
            counters: BTreeMap::new(),
        }
    }

    /// The first promise that was broken.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The lowest height that every honest validator has revealed.
    #[must_use]
    pub fn revealed_by_all(&self) -> Height {
        self.revealed_at.values().min().copied().unwrap_or_default()
    }

    /// The highest height that an honest validator has decided.
    #[must_use]
    pub fn decided_by_any(&self) -> Height {
        self.decided_at.values().max().copied().unwrap_or_default()
    }

    /// Digest of everything that became visible.
    #[must_use]
    pub fn trace_hash(&self) -> String {
        let hash: [u8; 32] = self.trace.clone().finalize().into();
        Digest::new(hash).to_string()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.counters.clone()
    }

    /// A user handed in a bundle.
    pub fn submitted(&mut self) {
        self.count("submitted");
    }

    /// A validator's process died.
    pub fn crashed(&mut self, node: u16, loss: Loss) {
        self.count("crashes");
        if loss != Loss::Nothing {
            // It starts over: its stream to subscribers begins at the first batch again.
            self.lanes.retain(|(of, _), _| *of != node);
            self.decided_at.entry(node).and_modify(|height| *height = Height::ZERO);
            self.revealed_at.entry(node).and_modify(|height| *height = Height::ZERO);
        }
    }

    /// A validator stopped itself.
    pub fn halted(&mut self, node: u16, why: String) {
        if self.honest.contains(&node) {
            self.broken("an honest validator keeps running", format!("validator {node}: {why}"));
        }
    }

    /// A validator judged its peers.
    pub fn penalties(&mut self, node: u16, penalties: &[(Peer, Penalty)]) {
        for (peer, penalty) in penalties {
            self.count("penalties");
            if let Peer::Validator(accused) = peer
                && self.honest.contains(&node)
                && self.honest.contains(&accused.as_u16())
            {
                let detail = format!("validator {node} blames {accused}: {penalty:?}");
                self.broken("nobody honest is blamed", detail);
            }
        }
    }

    /// An honest validator sends a message.
    pub fn sent(&mut self, now: Time, from: u16, to: u16, message: &Message) {
        self.trace_event(now, from, message.kind(), &to.to_be_bytes());
        match message {
            Message::Consensus(ConsensusMessage::Vote(vote)) if vote.voter.as_u16() == from => {
                let key = (from, vote.height, vote.round.as_u32(), vote.kind.code());
                self.says(key, (vote.kind.code(), vote.block, None));
            }
            Message::Consensus(ConsensusMessage::Proposal(proposal))
                if proposal.proposer.as_u16() == from =>
            {
                let key = (from, proposal.height, proposal.round.as_u32(), 2);
                let pol_round = proposal.pol_round.map(conclave_types::Round::as_u32);
                self.says(key, (2, Some(proposal.block), pol_round));
            }
            Message::Shares(shares) => {
                self.shares(shares.validator.as_u16(), shares.height, shares.block);
            }
            _ => {}
        }
    }

    fn says(&mut self, key: (u16, Height, u32, u8), saying: Saying) {
        let before = self.sayings.entry(key).or_insert(saying);
        if *before != saying {
            let (node, height, round, _) = key;
            let detail = format!("validator {node} at height {height}, round {round}: {before:?} and {saying:?}");
            self.broken("an honest validator never contradicts itself", detail);
        }
    }

    /// Blindness: an honest validator's share is for a decided block; and more than c shares are never
    /// about before the decision.
    fn shares(&mut self, node: u16, height: Height, block: BlockId) {
        self.count("shares_sent");
        if self.decided.get(&height) != Some(&block) {
            let detail = format!("validator {node} shares block {block} at {height}, which nobody decided");
            self.broken("blind ordering", detail);
        }
        let sharers = self.sharers.entry((height, block)).or_default();
        sharers.insert(node);
        if sharers.len() > self.secrecy && self.decided.get(&height) != Some(&block) {
            self.broken("blind ordering", format!("{} shares at {height}", self.secrecy));
        }
    }

    /// A validator tells its subscribers something.
    pub fn event(&mut self, now: Time, node: u16, event: &Event) {
        if !self.honest.contains(&node) {
            return;
        }
        match event {
            Event::Decided { header, block, bundles, .. } => {
                self.trace_event(now, node, "decided", block.as_bytes());
                self.decided(node, header.height, *block, bundles);
            }
            Event::Revealed { block, batches, digest } => {
                self.trace_event(now, node, "revealed", digest.as_bytes());
                self.revealed(node, block, batches, *digest);
            }
            Event::Equivocation(evidence) => {
                self.count("equivocations");
                let offender = evidence.offender().as_u16();
                if self.honest.contains(&offender) {
                    let detail = format!("evidence against honest validator {offender}: {evidence:?}");
                    self.broken("nobody honest can be slashed", detail);
                }
            }
            Event::WrongShares { validator, height } => {
                self.count("wrong_shares");
                if self.honest.contains(&validator.as_u16()) {
                    let detail = format!("honest validator {validator} at height {height}");
                    self.broken("nobody honest can be slashed", detail);
                }
            }
            Event::Anomaly { height, detail } => {
                self.count("anomalies");
                self.trace_event(now, node, detail, &height.as_u64().to_be_bytes());
            }
            Event::Round { round, .. } if round.as_u32() > 0 => self.count("later_rounds"),
            Event::Round { .. } | Event::Admitted { .. } => {}
        }
    }

    fn decided(&mut self, node: u16, height: Height, block: BlockId, bundles: &[BundleId]) {
        let agreed = *self.decided.entry(height).or_insert(block);
        if agreed != block {
            let detail = format!("height {height}: {agreed} and, at validator {node}, {block}");
            self.broken("agreement", detail);
        }
        let expected = self.decided_at.get(&node).copied().unwrap_or_default().next();
        if height != expected {
            let detail = format!("validator {node} decides {height} where {expected} is next");
            self.broken("contiguity", detail);
        }
        self.decided_at.insert(node, height);
        for id in bundles {
            let first = *self.included.entry(*id).or_insert(height);
            if first != height {
                let detail = format!("bundle {id} at {first} and at {height}");
                self.broken("a bundle is included once", detail);
            }
        }
    }

    fn revealed(&mut self, node: u16, block: &RevealedBlock, batches: &[Batch], digest: Digest) {
        let height = block.height;
        let agreed = *self.revealed.entry(height).or_insert(digest);
        if agreed != digest {
            let detail = format!("height {height}: {agreed} and, at validator {node}, {digest}");
            self.broken("determinism", detail);
        }
        let expected = self.revealed_at.get(&node).copied().unwrap_or_default().next();
        if height != expected {
            let detail = format!("validator {node} reveals {height} where {expected} is next");
            self.broken("contiguity", detail);
        }
        self.revealed_at.insert(node, height);
        if !block.bundles.windows(2).all(|pair| match pair {
            [earlier, later] => earlier.draw <= later.draw,
            _ => true,
        }) {
            self.broken("order is the beacon's", format!("height {height} at validator {node}"));
        }
        let legs: usize = block
            .bundles
            .iter()
            .map(|bundle| match &bundle.outcome {
                conclave_types::Outcome::Opened(legs) => legs.len(),
                conclave_types::Outcome::Undecryptable(_) => 0,
            })
            .sum();
        let items: usize = batches.iter().map(|batch| batch.items.len()).sum();
        if legs != items {
            let detail = format!("height {height}: {legs} legs, {items} delivered");
            self.broken("all or nothing", detail);
        }
        let opened = u64::try_from(block.bundles.len()).unwrap_or(u64::MAX);
        *self.counters.entry("revealed_bundles").or_default() += opened;
        for batch in batches {
            self.batch(node, batch);
        }
    }

    fn batch(&mut self, node: u16, batch: &Batch) {
        let next = self.lanes.entry((node, batch.rollup)).or_default();
        let expected = *next;
        *next = batch.sequence.saturating_add(1);
        if batch.sequence != expected {
            let detail = format!(
                "validator {node}, rollup {}: batch {} where {expected} is next",
                batch.rollup, batch.sequence
            );
            self.broken("contiguity", detail);
        }
        let hash: [u8; 32] = Keccak256::digest(borsh::to_vec(batch).unwrap_or_default()).into();
        let hash = Digest::new(hash);
        let agreed = *self.streams.entry((batch.rollup, batch.sequence)).or_insert(hash);
        if agreed != hash {
            let detail = format!("rollup {}, batch {}", batch.rollup, batch.sequence);
            self.broken("determinism", detail);
        }
    }

    fn trace_event(&mut self, now: Time, node: u16, kind: &str, detail: &[u8]) {
        self.trace.update(now.as_micros().to_be_bytes());
        self.trace.update(node.to_be_bytes());
        self.trace.update(kind.as_bytes());
        self.trace.update(detail);
    }

    fn broken(&mut self, promise: &'static str, detail: String) {
        self.violation.get_or_insert(Violation { promise, detail });
    }

    fn count(&mut self, what: &'static str) {
        let counter = self.counters.entry(what).or_default();
        *counter = counter.saturating_add(1);
    }
}
