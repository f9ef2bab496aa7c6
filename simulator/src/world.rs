//! The world: every validator's core, its disk, the links, the users and the clock, in one thread.
//!
//! Events are ordered by time and then by the order in which they were made, so a seed gives one run.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use conclave_consensus::ConsensusMessage;
use conclave_encryption::{Packing, PublicKey, SecretShare, deal};
use conclave_sequencer::{
    Config, Effects, Event, Identity, Input, Job, JobOutput, Message, Peer, Ready, Sequencer,
    archive::{self, ArchiveRequest},
};
use conclave_types::{
    BundleId, ConsensusKey, EncryptedBundle, Era, Genesis, Height, L1Origin, Member, Params,
    PayerAddress, RollupId, RollupRegistration, Time, ValidatorIndex,
};
use ed25519_dalek::SigningKey;

use crate::{
    adversary::Adversary,
    disk::Disk,
    load::Load,
    network::Network,
    oracle::{Oracle, Violation},
    random::Random,
    scenario::{Loss, Scenario},
};

/// When the world begins: any instant will do.
const BEGIN: Time = Time::from_micros(1_800_000_000_000_000);
/// How long a user waits before handing an undecided bundle to another validator.
const RESUBMIT: Duration = Duration::from_secs(2);
/// The users' own delay to a validator.
const SUBMIT_DELAY: Duration = Duration::from_millis(5);

enum Happening {
    Tick(u64),
    Message { from: u16, message: Message },
    Job(Box<JobOutput>),
    Submit(Box<EncryptedBundle>),
    Crash(Loss),
    Restart,
    Load,
}

struct Scheduled {
    node: u16,
    /// The life in which it was scheduled; what concerns an earlier life is void.
    life: u32,
    what: Happening,
}

struct Node {
    disk: Disk,
    core: Option<Sequencer>,
    identity: Identity,
    adversary: Option<Adversary>,
    life: u32,
    tick_at: Option<Time>,
    ticks: u64,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// Whether every honest validator decided and revealed all heights in time.
    pub live: bool,
    /// Digest of everything that became visible, in order.
    pub trace_hash: String,
    /// Lowest height that all honest validators have revealed.
    pub heights: u64,
    /// Virtual time that passed.
    pub elapsed: Duration,
    /// Counters, by name.
    pub counters: BTreeMap<&'static str, u64>,
}

/// The world of one run.
pub struct World {
    scenario: Scenario,
    genesis: Arc<Genesis>,
    key: PublicKey,
    now: Time,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    scheduled: BTreeMap<u64, Scheduled>,
    next_event: u64,
    nodes: Vec<Node>,
    network: Network,
    load: Load,
    outstanding: BTreeMap<BundleId, (Time, EncryptedBundle)>,
    random: Random,
    seed: u64,
    oracle: Oracle,
}

impl World {
    /// Builds the world of `scenario` from `seed`.
    #[must_use]
    pub fn new(scenario: Scenario, seed: u64) -> Option<Self> {
        let mut random = Random::new(seed, 1);
        let rollups = vec![RollupId::new(901), RollupId::new(902)];
        let load = Load::new(seed, 8, rollups.clone());
        let packing = Packing::for_parties(usize::from(scenario.validators)).ok()?;
        let (encryption_key, shares) = deal(packing, Era::ZERO, random.rng());
        let identities: Vec<Identity> = shares
            .into_iter()
            .map(|share: SecretShare| Identity {
                signing_key: SigningKey::from_bytes(&random.bytes()),
                secret_share: Some(Arc::new(share)),
                lost_state: false,
            })
            .collect();
        let member = |(index, identity): (usize, &Identity)| Member {
            name: format!("validator {index}"),
            consensus_key: ConsensusKey::new(identity.signing_key.verifying_key().to_bytes()),
            network_key: ConsensusKey::new([u8::try_from(index).unwrap_or(u8::MAX); 32]),
            power: 1,
        };
        let registration = |id: &RollupId| RollupRegistration {
            id: *id,
            name: format!("rollup {id}"),
            gas_limit: 30_000_000,
        };
        let genesis = Arc::new(Genesis {
            name: "simulation".into(),
            time: BEGIN,
            l1_chain_id: 0,
            l1_contract: PayerAddress::ZERO,
            l1_origin: L1Origin::default(),
            params: Params::default(),
            members: identities.iter().enumerate().map(member).collect(),
            encryption_key,
            rollups: rollups.iter().map(registration).collect(),
            accounts: load.accounts(),
        });
        let key = PublicKey::new(genesis.network_id(), &genesis.encryption_key).ok()?;
        let network = Network::new(scenario.network.clone(), scenario.partitions.clone(), BEGIN);
        let behaviour = |index: u16| {
            let entry = scenario.byzantine.iter().find(|byzantine| byzantine.validator == index);
            entry.map(|byzantine| byzantine.behaviour)
        };
        let nodes: Vec<Node> = (0_u16..)
            .zip(identities)
            .map(|(index, identity)| Node {
                disk: Disk::new_validator(),
                core: None,
                adversary: behaviour(index)
                    .map(|behaviour| Adversary::new(behaviour, &genesis, index, &identity)),
                identity,
                life: 0,
                tick_at: None,
                ticks: 0,
            })
            .collect();
        let honest = (0_u16..).zip(&nodes).filter(|(_, node)| node.adversary.is_none());
        let oracle =
            Oracle::new(&genesis, key.packing().secrecy(), honest.map(|(index, _)| index).collect());
        let mut world = Self {
            scenario,
            genesis,
            key,
            now: BEGIN,
            queue: BinaryHeap::new(),
            scheduled: BTreeMap::new(),
            next_event: 0,
            nodes,
            network,
            load,
            outstanding: BTreeMap::new(),
            random,
            seed,
            oracle,
        };
        world.prepare();
        Some(world)
    }

    fn prepare(&mut self) {
        for node in 0..self.scenario.validators {
            self.schedule(BEGIN, node, Happening::Restart);
        }
        for crash in self.scenario.crashes.clone() {
            let at = BEGIN.after(Duration::from_millis(crash.at_ms));
            self.schedule(at, crash.validator, Happening::Crash(crash.lose));
            let until = BEGIN.after(Duration::from_millis(crash.until_ms));
            self.schedule(until, crash.validator, Happening::Restart);
        }
        self.schedule(BEGIN.after(Duration::from_millis(100)), 0, Happening::Load);
    }

    /// Runs until every honest validator has revealed the wanted heights, a promise is broken, or the
    /// virtual time limit is reached.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        let limit = BEGIN.after(Duration::from_millis(self.scenario.limit_ms));
        let wanted = Height::new(self.scenario.heights);
        let mut live = false;
        while let Some(Reverse((at, number))) = self.queue.pop() {
            let Some(event) = self.scheduled.remove(&number) else { continue };
            if at > limit {
                break;
            }
            self.now = at;
            self.handle(event);
            if self.oracle.violation().is_some() {
                break;
            }
            if self.oracle.revealed_by_all() >= wanted && self.faults_are_over() {
                live = true;
                break;
            }
        }
        let mut counters = self.oracle.counters();
        counters.insert("messages_lost", self.network.lost);
        counters.insert("messages_blocked", self.network.blocked);
        counters.insert("messages_delivered", self.network.delivered);
        counters.insert("commits", self.nodes.iter().map(|node| node.disk.commits()).sum());
        Outcome {
            violation: self.oracle.violation().cloned(),
            live,
            trace_hash: self.oracle.trace_hash(),
            heights: self.oracle.revealed_by_all().as_u64(),
            elapsed: self.now.since(BEGIN),
            counters,
        }
    }

    /// Whether every crash and partition of the scenario has come and gone: a run that ends before its
    /// faults has shown nothing.
    fn faults_are_over(&self) -> bool {
        let elapsed = self.now.since(BEGIN).as_millis();
        let crashes = self.scenario.crashes.iter().map(|crash| crash.until_ms);
        let partitions = self.scenario.partitions.iter().map(|partition| partition.until_ms);
        crashes.chain(partitions).all(|until| u128::from(until) < elapsed)
    }

    fn schedule(&mut self, at: Time, node: u16, what: Happening) {
        let life = self.nodes.get(usize::from(node)).map_or(0, |node| node.life);
        self.next_event = self.next_event.saturating_add(1);
        self.queue.push(Reverse((at, self.next_event)));
        self.scheduled.insert(self.next_event, Scheduled { node, life, what });
    }

    fn handle(&mut self, event: Scheduled) {
        let Scheduled { node, life, what } = event;
        match what {
            Happening::Crash(loss) => return self.crash(node, loss),
            Happening::Restart => return self.restart(node),
            Happening::Load => return self.users(),
            Happening::Tick(_)
            | Happening::Message { .. }
            | Happening::Job(_)
            | Happening::Submit(_) => {}
        }
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        if state.core.is_none() {
            return;
        }
        let input = match what {
            Happening::Tick(number) if number == state.ticks => Input::Tick,
            Happening::Message { from, message } => {
                Input::Message { from: Peer::Validator(ValidatorIndex::new(from)), message }
            }
            Happening::Job(output) if life == state.life => Input::JobDone(*output),
            Happening::Submit(bundle) => Input::Submit { ticket: 0, bundle: *bundle },
            _ => return,
        };
        let Some(core) = state.core.as_mut() else { return };
        let ready = core.step(self.now, input);
        self.carry_out(node, ready);
    }

    /// What a shell does: make durable, then let the effects out.
    fn carry_out(&mut self, node: u16, ready: Ready) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let Ok(effects) = ready.persist(&mut state.disk);
        let Effects { send, broadcast, jobs, serve, answers: _, events, penalties, halt } = effects;
        for event in events {
            if let Event::Decided { bundles, .. } = &event {
                for id in bundles {
                    self.outstanding.remove(id);
                }
            }
            self.oracle.event(self.now, node, &event);
        }
        if let Some(why) = halt {
            self.oracle.halted(node, why);
        }
        self.oracle.penalties(node, &penalties);
        for message in broadcast {
            for to in (0..self.scenario.validators).filter(|to| *to != node) {
                self.transmit(node, to, message.clone());
            }
        }
        for (to, message) in send {
            if let Peer::Validator(to) = to {
                self.transmit(node, to.as_u16(), message);
            }
        }
        for (to, request) in serve {
            self.serve(node, to, &request);
        }
        for job in jobs {
            let at = self.now.after(cost(&job));
            let output = job.run();
            self.schedule(at, node, Happening::Job(Box::new(output)));
        }
        self.schedule_tick(node);
    }

    fn serve(&mut self, node: u16, to: Peer, request: &ArchiveRequest) {
        let Some(state) = self.nodes.get(usize::from(node)) else { return };
        let answer = archive::answer(&state.disk, request);
        if let (Ok(Some(message)), Peer::Validator(to)) = (answer, to) {
            self.transmit(node, to.as_u16(), message);
        }
    }

    fn schedule_tick(&mut self, node: u16) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let wake = state.core.as_ref().and_then(Sequencer::wake_at).map(|at| at.max(self.now));
        if let Some(at) = wake.filter(|at| state.tick_at.is_none_or(|set| *at != set || set <= self.now)) {
            // A wake-up that is due must come a little later, or time would stand still.
            let at = at.max(self.now.after(Duration::from_micros(10)));
            state.tick_at = Some(at);
            state.ticks = state.ticks.saturating_add(1);
            let number = state.ticks;
            self.schedule(at, node, Happening::Tick(number));
        }
    }

    fn transmit(&mut self, from: u16, to: u16, message: Message) {
        let versions = match self.nodes.get_mut(usize::from(from)).and_then(|n| n.adversary.as_mut()) {
            Some(adversary) => adversary.distort(to, message),
            None => {
                self.oracle.sent(self.now, from, to, &message);
                vec![message]
            }
        };
        for message in versions {
            for at in self.network.arrivals(&mut self.random, self.now, from, to) {
                let message = message.clone();
                self.schedule(at, to, Happening::Message { from, message });
            }
        }
    }

    fn crash(&mut self, node: u16, loss: Loss) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        state.core = None;
        state.life = state.life.saturating_add(1);
        state.tick_at = None;
        match loss {
            Loss::Nothing => {}
            Loss::Database => state.disk.wipe(false),
            Loss::Disk => state.disk.wipe(true),
        }
        self.oracle.crashed(node, loss);
    }

    fn restart(&mut self, node: u16) {
        let genesis = Arc::clone(&self.genesis);
        let seed = Random::new(self.seed, 100_u64.saturating_add(u64::from(node))).bytes();
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        if state.core.is_some() {
            return;
        }
        let config = Config { genesis, identity: Some(state.identity.clone()), seed };
        match Sequencer::recover(config, &state.disk, self.now) {
            Ok((core, ready)) => {
                state.core = Some(core);
                self.carry_out(node, ready);
            }
            Err(error) => self.oracle.halted(node, format!("cannot recover: {error}")),
        }
    }

    fn users(&mut self) {
        let rate = self.scenario.bundles_per_s;
        if rate == 0 {
            return;
        }
        let height = self.oracle.decided_by_any();
        if let Some(bundle) = self.load.next(&self.genesis, &self.key, height) {
            self.oracle.submitted();
            self.outstanding.insert(bundle.id(), (self.now, bundle.clone()));
            self.submit(bundle);
        }
        let late: Vec<BundleId> = self
            .outstanding
            .iter()
            .filter(|(_, (at, _))| self.now.since(*at) > RESUBMIT)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some((at, bundle)) = self.outstanding.get_mut(&id) {
                *at = self.now;
                let bundle = bundle.clone();
                self.submit(bundle);
            }
        }
        let wait = Duration::from_micros(1_000_000_u64.checked_div(rate).unwrap_or(1_000_000));
        self.schedule(self.now.after(wait), 0, Happening::Load);
    }

    fn submit(&mut self, bundle: EncryptedBundle) {
        let count = u64::from(self.scenario.validators);
        let to = u16::try_from(self.random.below(count)).unwrap_or(0);
        self.schedule(self.now.after(SUBMIT_DELAY), to, Happening::Submit(Box::new(bundle)));
    }
}

/// What a job takes on one core: a fixed part, and a part for each bundle. Measured at n = 4 on the
/// machine of the README with the encryption crate's benchmark, and rounded.
fn cost(job: &Job) -> Duration {
    let each = match job {
        Job::Verify(_) => 300,
        Job::Share(_) => 120,
        Job::Open(_) => 400,
    };
    let bundles = u64::try_from(job.bundle_count()).unwrap_or(u64::MAX);
    Duration::from_micros(bundles.saturating_mul(each).saturating_add(1_500))
}

/// Whether a message is a vote or a proposal, which nobody may contradict.
#[must_use]
pub const fn is_signed_statement(message: &Message) -> bool {
    matches!(
        message,
        Message::Consensus(ConsensusMessage::Vote(_) | ConsensusMessage::Proposal(_))
    )
}
