//! The network, the disks and the oracle.
//!
//! The oracle keeps every vote and proposal that leaves a validator, in its own map, and stops the
//! test when an honest one says two different things at one position, or two blocks are decided at
//! one height.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use conclave_consensus::{
    Config, ConsensusMessage, Engine, Evidence, Fault, HighWater, Output, ProposedBlock, Record,
    Recovered, SignedProposal, SignedRecord, SignedVote, SigningPosition, WalEntry,
};
use conclave_types::{
    BlockId, Certificate, Committee, Committees, ConsensusKey, Digest, Epoch, Height, Member,
    NetworkId, Round, SettlementSecret, SignatureBytes, Time, TimingParams, ValidatorIndex,
    digest::Hasher, digest::SigningDomain,
};
use ed25519_dalek::{Signer as _, SigningKey};

pub(crate) const EPOCH: Epoch = Epoch::new(3);

pub(crate) fn domain() -> SigningDomain {
    SigningDomain { network: NetworkId::new([7; 32]), l1_chain_id: 1, l1_contract: [9; 20] }
}

pub(crate) fn key(index: usize) -> SigningKey {
    SigningKey::from_bytes(&[index as u8 + 1; 32])
}

pub(crate) fn committee_of(powers: &[u64]) -> Committee {
    let member = |(index, power): (usize, &u64)| Member {
        name: format!("v{index}"),
        consensus_key: ConsensusKey::new(key(index).verifying_key().to_bytes()),
        network_key: ConsensusKey::new(
            SigningKey::from_bytes(&[index as u8 + 101; 32]).verifying_key().to_bytes(),
        ),
        settlement_key: SettlementSecret::from_seed(&[index as u8 + 1; 32]).key(),
        validator: 0,
        power: *power,
    };
    Committee::new(powers.iter().enumerate().map(member).collect()).unwrap()
}

pub(crate) fn timing() -> TimingParams {
    TimingParams {
        block_interval_ms: 50,
        idle_interval_ms: 50,
        propose_timeout_ms: 600,
        vote_timeout_ms: 200,
        timeout_step_ms: 200,
        inclusion_delay_ms: 4_000,
        clock_drift_max_ms: 500,
    }
}

pub(crate) fn config(committee: &Committee, own: Option<usize>) -> Config {
    Config {
        domain: domain(),
        committees: Committees::always(EPOCH, Arc::new(committee.clone())),
        key: own.map(key),
        timing: timing(),
    }
}

pub(crate) fn sign_vote(mut vote: SignedVote) -> SignedVote {
    let digest = vote.digest(&domain(), EPOCH);
    let signature = key(vote.voter.as_usize()).sign(digest.as_bytes());
    vote.signature = SignatureBytes::new(signature.to_bytes());
    vote
}

pub(crate) fn sign_proposal(mut proposal: SignedProposal) -> SignedProposal {
    let digest = proposal.digest(&domain(), EPOCH);
    let signature = key(proposal.proposer.as_usize()).sign(digest.as_bytes());
    proposal.signature = SignatureBytes::new(signature.to_bytes());
    proposal
}

/// What a validator of the test does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    Honest,
    /// Never sends anything.
    Silent,
    /// Sends a second, conflicting message after each of its own, this much later.
    Equivocates {
        after: Duration,
    },
    /// Tells the two halves of the network different things.
    Splits,
    /// Announces proposals but keeps the blocks.
    Withholds,
    /// Proposes blocks that are invalid.
    ProposesInvalid,
}

/// Where in the handling of one call the machine dies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Nothing was written.
    BeforeWrites,
    /// The mark was written, the database was not: a shell that writes in the other order.
    AfterMark,
    /// The database was written, the mark was not.
    AfterRecords,
    /// All was written, nothing was sent.
    AfterCommit,
    /// Half of the messages were sent.
    WhileSending,
}

/// What of the disk survives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    /// Log and signed records are gone, the mark is not.
    Records,
    /// The mark is gone too, and the operator lies about it: what the mark is there to prevent.
    Everything,
}

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) powers: Vec<u64>,
    pub(crate) followers: usize,
    pub(crate) conduct: BTreeMap<usize, Conduct>,
    pub(crate) loss_percent: u64,
    pub(crate) latency_ms: (u64, u64),
    pub(crate) seed: u64,
    pub(crate) heights: u64,
    /// (node, death at ms, way to die, restart at ms, what is lost)
    pub(crate) crashes: Vec<(usize, u64, Death, u64, Loss)>,
}

impl Options {
    pub(crate) fn new(validators: usize) -> Self {
        Self {
            powers: vec![1; validators],
            followers: 0,
            conduct: BTreeMap::new(),
            loss_percent: 0,
            latency_ms: (20, 80),
            seed: 1,
            heights: 20,
            crashes: Vec::new(),
        }
    }
}

#[derive(Default)]
struct Disk {
    high_water: Option<HighWater>,
    wal: Vec<WalEntry>,
    signed: Vec<SignedRecord>,
}

pub(crate) struct Node {
    pub(crate) engine: Option<Engine>,
    disk: Disk,
    conduct: Conduct,
    dying: Option<Death>,
    wake: Option<Time>,
    held: BTreeMap<Height, BTreeMap<BlockId, ProposedBlock>>,
    pub(crate) decided: BTreeMap<Height, Certificate>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) faults: Vec<(ValidatorIndex, Fault)>,
    pub(crate) anomalies: Vec<String>,
    pub(crate) polkas: usize,
    pub(crate) synced: usize,
    pub(crate) silent_heights: BTreeSet<Height>,
}

enum Event {
    Message(usize, ConsensusMessage),
    Value(ProposedBlock),
    Wake,
    Start(Height),
    Propose(Height, Round),
    Sync,
    Certificate(Certificate),
    Die(Death),
    Restart(Loss),
}

pub(crate) struct Net {
    options: Options,
    committee: Committee,
    pub(crate) nodes: Vec<Node>,
    queue: BTreeMap<(Time, u64), (usize, Event)>,
    count: u64,
    random: u64,
    pub(crate) now: Time,
    invalid: BTreeSet<BlockId>,
    signed: BTreeMap<(usize, SigningPosition), Digest>,
    blocks: BTreeMap<Height, BlockId>,
    trace: Hasher,
    pub(crate) rounds_max: u32,
    /// Validators that contradicted themselves, which only a test that destroys marks tolerates.
    pub(crate) contradicted: BTreeSet<usize>,
}

impl Net {
    pub(crate) fn new(options: Options) -> Self {
        let committee = committee_of(&options.powers);
        let mut net = Self {
            random: options.seed,
            committee,
            nodes: Vec::new(),
            queue: BTreeMap::new(),
            count: 0,
            now: Time::from_micros(1_000_000),
            invalid: BTreeSet::new(),
            signed: BTreeMap::new(),
            blocks: BTreeMap::new(),
            trace: Hasher::new("trace"),
            rounds_max: 0,
            contradicted: BTreeSet::new(),
            options,
        };
        let validators = net.options.powers.len();
        for index in 0..validators + net.options.followers {
            let own = (index < validators).then_some(index);
            let recovered = Recovered { may_sign: own.is_some(), ..Recovered::default() };
            let engine = Engine::new(config(&net.committee, own), recovered).unwrap();
            net.nodes.push(Node {
                engine: Some(engine),
                disk: Disk::default(),
                conduct: *net.options.conduct.get(&index).unwrap_or(&Conduct::Honest),
                dying: None,
                wake: None,
                held: BTreeMap::new(),
                decided: BTreeMap::new(),
                evidence: Vec::new(),
                faults: Vec::new(),
                anomalies: Vec::new(),
                polkas: 0,
                synced: 0,
                silent_heights: BTreeSet::new(),
            });
            net.push(0, index, Event::Start(Height::new(1)));
            net.push(300_000, index, Event::Sync);
        }
        for (index, death_ms, death, restart_ms, loss) in net.options.crashes.clone() {
            net.push(death_ms * 1_000, index, Event::Die(death));
            net.push(restart_ms * 1_000, index, Event::Restart(loss));
        }
        net
    }

    /// Runs until every node that takes part has decided all heights; returns the trace's hash.
    pub(crate) fn run(&mut self) -> Digest {
        let until = self.now.after(Duration::from_secs(3_600));
        while !self.done() {
            let ((at, _), (index, event)) = self.queue.pop_first().unwrap();
            assert!(at < until, "no progress in a virtual hour: {:?}", self.state());
            self.now = at;
            self.handle(index, event);
        }
        self.trace.finish()
    }

    /// Runs for a while, done or not.
    pub(crate) fn run_for(&mut self, ms: u64) {
        let until = self.now.after(Duration::from_millis(ms));
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
            self.now = entry.key().0;
            let (index, event) = entry.remove();
            self.handle(index, event);
        }
        self.now = until;
    }

    fn state(&self) -> Vec<String> {
        let state = |node: &Node| {
            let engine = node.engine.as_ref();
            let at = engine.map(|engine| (engine.tip(), engine.round(), engine.can_sign()));
            format!("{at:?} {:?} {:?}", node.disk.high_water, node.anomalies)
        };
        self.nodes.iter().map(state).collect()
    }

    fn done(&self) -> bool {
        let target = self.options.heights as usize;
        self.nodes
            .iter()
            .all(|node| node.conduct == Conduct::Silent || node.decided.len() >= target)
            && !self.queue.values().any(|(_, event)| matches!(event, Event::Restart(_)))
    }

    fn handle(&mut self, index: usize, event: Event) {
        match event {
            Event::Die(death) => {
                self.nodes[index].dying = Some(death);
                return;
            }
            Event::Restart(loss) => return self.restart(index, loss),
            Event::Sync => return self.sync(index),
            Event::Wake => self.nodes[index].wake = None,
            Event::Message(..)
            | Event::Value(_)
            | Event::Start(_)
            | Event::Propose(..)
            | Event::Certificate(_) => {}
        }
        let now = self.now;
        let proposal = match &event {
            Event::Propose(height, round) => Some(self.make_block(index, *height, *round)),
            _ => None,
        };
        let Some(mut engine) = self.nodes[index].engine.take() else { return };
        let outputs = match event {
            Event::Message(from, message) => {
                engine.message(now, ValidatorIndex::new(from as u16), message)
            }
            Event::Value(value) => {
                let held = self.nodes[index].held.entry(value.height).or_default();
                held.insert(value.block, value);
                engine.value(now, value)
            }
            Event::Wake => engine.tick(now),
            Event::Start(height) if height.as_u64() > self.options.heights => Vec::new(),
            Event::Start(height) => {
                let mut outputs = engine.start_height(now, height);
                for value in self.nodes[index].held.entry(height).or_default().values() {
                    outputs.extend(engine.value(now, *value));
                }
                if engine.can_sign().is_err() {
                    self.nodes[index].silent_heights.insert(height);
                }
                outputs
            }
            Event::Propose(height, round) => {
                let value = proposal.unwrap();
                let held = self.nodes[index].held.entry(height).or_default();
                held.insert(value.block, value);
                engine.propose(now, height, round, value.block)
            }
            Event::Certificate(certificate) => {
                let outputs = engine.catch_up(now, &certificate).unwrap_or_default();
                self.nodes[index].synced += usize::from(!outputs.is_empty());
                outputs
            }
            Event::Die(_) | Event::Restart(_) | Event::Sync => unreachable!(),
        };
        self.nodes[index].engine = Some(engine);
        self.perform(index, outputs);
        self.set_wake(index);
    }

    fn set_wake(&mut self, index: usize) {
        let wake = self.nodes[index].engine.as_ref().and_then(Engine::wake_at);
        if let Some(at) = wake.filter(|at| self.nodes[index].wake.is_none_or(|set| *at < set)) {
            self.nodes[index].wake = Some(at);
            let delay = at.since(self.now).as_micros() as u64;
            self.push(delay, index, Event::Wake);
        }
    }

    fn perform(&mut self, index: usize, outputs: Vec<Output>) {
        let deadly = outputs.iter().any(|output| matches!(output, Output::Persist(_)));
        let death = if deadly { self.nodes[index].dying.take() } else { None };
        if death == Some(Death::BeforeWrites) {
            self.nodes[index].engine = None;
            return;
        }
        let records: Vec<_> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Persist(record) => Some(record.clone()),
                _ => None,
            })
            .collect();
        for record in records.iter().filter(|_| death != Some(Death::AfterRecords)) {
            if let Record::HighWater(mark) = record {
                let old = self.nodes[index].disk.high_water.replace(*mark);
                assert!(old < Some(*mark), "the mark grows");
            }
        }
        if death == Some(Death::AfterMark) {
            self.nodes[index].engine = None;
            return;
        }
        let disk = &mut self.nodes[index].disk;
        for record in records {
            match record {
                Record::Wal(entry) => disk.wal.push(entry),
                Record::Signed(record) => disk.signed.push(record),
                Record::HighWater(_) => {}
            }
        }
        if matches!(death, Some(Death::AfterCommit | Death::AfterRecords)) {
            // A decision is persisted in the same transaction.
            self.store_decision(index, &outputs);
            self.nodes[index].engine = None;
            return;
        }
        let half = outputs.len() / 2;
        for (place, output) in outputs.into_iter().enumerate() {
            if death == Some(Death::WhileSending) && place >= half {
                if let Output::Decided { .. } = &output {
                    self.store_decision(index, std::slice::from_ref(&output));
                }
                continue;
            }
            self.act(index, output);
        }
        if death.is_some() {
            self.nodes[index].engine = None;
        }
    }

    fn store_decision(&mut self, index: usize, outputs: &[Output]) {
        for output in outputs {
            if let Output::Decided { certificate } = output {
                self.decide(index, certificate);
            }
        }
    }

    fn act(&mut self, index: usize, output: Output) {
        match output {
            Output::Persist(_) => {}
            Output::Broadcast(message) => self.broadcast(index, message),
            Output::NeedProposal { height, round } => {
                self.push(5_000, index, Event::Propose(height, round));
            }
            Output::Repropose { height, block, .. } => {
                let value = self.nodes[index].held[&height][&block];
                self.send_block(index, value);
            }
            Output::RoundStarted { round, .. } => {
                self.rounds_max = self.rounds_max.max(round.as_u32());
            }
            Output::Polka { .. } => self.nodes[index].polkas += 1,
            Output::Decided { certificate } => {
                self.decide(index, &certificate);
                self.push(0, index, Event::Start(certificate.height.next()));
            }
            Output::Evidence(evidence) => {
                assert!(evidence.verify(&self.committee, &domain(), EPOCH));
                let conduct = self.nodes[evidence.offender().as_usize()].conduct;
                let honest = conduct == Conduct::Honest && !self.marks_lost();
                assert!(!honest, "evidence against an honest validator");
                self.nodes[index].evidence.push(evidence);
            }
            Output::Fault { from, fault } => self.nodes[index].faults.push((from, fault)),
            Output::Anomaly { detail, .. } => self.nodes[index].anomalies.push(detail),
        }
    }

    fn decide(&mut self, index: usize, certificate: &Certificate) {
        certificate.verify(&self.committee, &domain()).expect("a decision's certificate is good");
        let block = *self.blocks.entry(certificate.height).or_insert(certificate.block);
        assert_eq!(block, certificate.block, "two blocks at height {}", certificate.height);
        assert!(!self.invalid.contains(&block), "an invalid block was decided");
        let height = certificate.height;
        self.nodes[index].decided.insert(height, certificate.clone());
        let disk = &mut self.nodes[index].disk;
        disk.wal.retain(|entry| entry.height > height);
        disk.signed.retain(|record| record.position().height > height);
        self.trace.u64(index as u64).u64(height.as_u64()).fixed(block.as_bytes());
        self.trace.u64(self.now.as_micros());
    }

    fn restart(&mut self, index: usize, loss: Loss) {
        self.nodes[index].dying = None;
        let disk = &mut self.nodes[index].disk;
        if loss != Loss::Nothing {
            disk.wal.clear();
            disk.signed.clear();
        }
        if loss == Loss::Everything {
            disk.high_water = None;
        }
        let decided = self.nodes[index].decided.keys().last().copied().unwrap_or_default();
        let disk = &self.nodes[index].disk;
        let recovered = Recovered {
            decided,
            high_water: disk.high_water,
            may_sign: true,
            wal: disk.wal.clone(),
            signed: disk.signed.clone(),
        };
        let engine = Engine::new(config(&self.committee, Some(index)), recovered).unwrap();
        self.nodes[index].engine = Some(engine);
        self.push(0, index, Event::Start(decided.next()));
    }

    /// Asks a random peer for the next decision, as the sequencer would.
    fn sync(&mut self, index: usize) {
        self.push(300_000, index, Event::Sync);
        let peer = self.random(self.nodes.len() as u64) as usize;
        let Some(engine) = &self.nodes[index].engine else { return };
        let wanted = engine.tip().next();
        let up = self.nodes[peer].engine.is_some();
        let found = self.nodes[peer].decided.get(&wanted).filter(|_| up && peer != index).cloned();
        if let Some(certificate) = found {
            let delay = self.latency() + self.latency();
            self.push(delay, index, Event::Certificate(certificate));
        }
    }

    fn make_block(&mut self, index: usize, height: Height, round: Round) -> ProposedBlock {
        // Salted, so that a restarted proposer would propose another block if it could.
        let salt = self.random(u64::MAX);
        let digest = Hasher::new("block")
            .u64(height.as_u64())
            .u32(round.as_u32())
            .u64(index as u64)
            .u64(salt)
            .finish();
        let block = BlockId::new(*digest.as_bytes());
        let valid = self.nodes[index].conduct != Conduct::ProposesInvalid;
        if !valid {
            self.invalid.insert(block);
        }
        let value = ProposedBlock { height, block, valid };
        if self.nodes[index].conduct != Conduct::Withholds {
            self.send_block(index, value);
        }
        value
    }

    fn send_block(&mut self, from: usize, value: ProposedBlock) {
        for to in 0..self.nodes.len() {
            if to != from && !self.lost() {
                let delay = self.latency();
                self.push(delay, to, Event::Value(value));
            }
        }
    }

    fn broadcast(&mut self, from: usize, message: ConsensusMessage) {
        let conduct = self.nodes[from].conduct;
        if conduct == Conduct::Silent {
            return;
        }
        if conduct == Conduct::Honest {
            self.check_signed_once(from, &message);
        }
        // What travels is bytes.
        let bytes = borsh::to_vec(&message).unwrap();
        let message: ConsensusMessage = borsh::from_slice(&bytes).unwrap();
        match (conduct, contradiction(from, &message)) {
            (Conduct::Equivocates { after }, Some(other)) => {
                self.send_all(from, &message, |_| true, Duration::ZERO);
                self.send_all(from, &other, |_| true, after);
            }
            (Conduct::Splits, Some(other)) => {
                self.send_all(from, &message, |to| to % 2 == 0, Duration::ZERO);
                self.send_all(from, &other, |to| to % 2 == 1, Duration::ZERO);
            }
            _ => self.send_all(from, &message, |_| true, Duration::ZERO),
        }
    }

    fn send_all(
        &mut self,
        from: usize,
        message: &ConsensusMessage,
        to_whom: impl Fn(usize) -> bool,
        after: Duration,
    ) {
        for to in (0..self.nodes.len()).filter(|to| *to != from && to_whom(*to)) {
            if !self.lost() {
                let delay = self.latency() + after.as_micros() as u64;
                self.push(delay, to, Event::Message(from, message.clone()));
            }
        }
    }

    fn check_signed_once(&mut self, from: usize, message: &ConsensusMessage) {
        let record = match message {
            ConsensusMessage::Vote(vote) => SignedRecord::Vote(vote.clone()),
            ConsensusMessage::Proposal(proposal) => SignedRecord::Proposal(proposal.clone()),
            ConsensusMessage::Polka(_) | ConsensusMessage::Round(_) => return,
        };
        let (author, said) = match &record {
            SignedRecord::Vote(vote) => (vote.voter, vote.digest(&domain(), EPOCH)),
            SignedRecord::Proposal(proposal) => {
                (proposal.proposer, proposal.digest(&domain(), EPOCH))
            }
        };
        // A locked validator relays the proposal of another.
        if author.as_usize() == from {
            let first = *self.signed.entry((from, record.position())).or_insert(said);
            if first != said {
                assert!(
                    self.marks_lost(),
                    "validator {from} signed twice: {:?}",
                    record.position()
                );
                self.contradicted.insert(from);
            }
        }
    }

    fn marks_lost(&self) -> bool {
        self.options.crashes.iter().any(|crash| crash.4 == Loss::Everything)
    }

    fn push(&mut self, delay_micros: u64, index: usize, event: Event) {
        let at = self.now.after(Duration::from_micros(delay_micros));
        self.count += 1;
        self.queue.insert((at, self.count), (index, event));
    }

    fn latency(&mut self) -> u64 {
        let (least, most) = self.options.latency_ms;
        (least + self.random(most - least + 1)) * 1_000
    }

    fn lost(&mut self) -> bool {
        self.options.loss_percent > 0 && self.random(100) < self.options.loss_percent
    }

    /// splitmix64
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

/// A message of the same author and position that says something else.
fn contradiction(author: usize, message: &ConsensusMessage) -> Option<ConsensusMessage> {
    let other = BlockId::new([0xEE; 32]);
    match message {
        ConsensusMessage::Vote(vote) if vote.voter.as_usize() == author => {
            let block = vote.block.is_none().then_some(other);
            let vote = SignedVote { block, ..SignedVote::clone(vote) };
            Some(ConsensusMessage::Vote(sign_vote(vote).into()))
        }
        ConsensusMessage::Proposal(proposal) if proposal.proposer.as_usize() == author => {
            let proposal = SignedProposal { block: other, ..SignedProposal::clone(proposal) };
            Some(ConsensusMessage::Proposal(sign_proposal(proposal).into()))
        }
        _ => None,
    }
}
