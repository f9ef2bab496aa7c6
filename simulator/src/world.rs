//! The world: every validator's core, its disk, the links, the users and the clock, in one thread.
//!
//! Events are ordered by time and then by the order in which they were made, so a seed gives one run.

mod build;
mod shell;
mod users;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use conclave_encryption::PublicKey;
use conclave_sequencer::{Identity, JobOutput, Message, Sequencer};
use conclave_types::{BundleId, EncryptedBundle, Genesis, Height, Time};

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
/// How old the backup is that a crash brings back.
const BACKUP_AGE_MS: u64 = 500;
/// Events that wait at once. More means that messages breed: the run stops and says so.
const EVENTS_MAX: usize = 2_000_000;

enum Happening {
    Tick(u64),
    Message { from: u16, message: Message },
    Job(Box<JobOutput>),
    Submit(Box<EncryptedBundle>),
    Snapshot,
    Crash { loss: Loss, unseen: bool },
    Restart,
    Load,
    Spam,
    Healed,
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
    /// It dies after its next step is durable.
    dying: bool,
    /// What its last crash took.
    loss: Loss,
}

impl Node {
    /// Whether the oracles take it for honest.
    fn is_honest(&self) -> bool {
        self.adversary.as_ref().is_none_or(Adversary::is_masked)
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// What did not happen in time; none if everything did.
    pub missed: Option<String>,
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
    /// Bundles that users wait for, and when they last handed them in.
    outstanding: BTreeMap<BundleId, (Time, EncryptedBundle)>,
    /// By when everyone must have revealed what, after the last fault.
    heal: Option<(Time, Height)>,
    random: Random,
    seed: u64,
    oracle: Oracle,
}

impl World {
    fn prepare(&mut self) {
        for node in 0..self.scenario.validators {
            self.schedule(BEGIN, node, Happening::Restart);
        }
        let at = |ms: u64| BEGIN.after(Duration::from_millis(ms));
        for crash in self.scenario.crashes.clone() {
            let snapshot = at(crash.at_ms.saturating_sub(BACKUP_AGE_MS));
            if matches!(crash.lose, Loss::Recent | Loss::RecentDatabase) {
                self.schedule(snapshot, crash.validator, Happening::Snapshot);
            }
            let (loss, unseen) = (crash.lose, crash.unseen);
            self.schedule(at(crash.at_ms), crash.validator, Happening::Crash { loss, unseen });
            self.schedule(at(crash.until_ms), crash.validator, Happening::Restart);
        }
        self.schedule(at(self.scenario.healed_ms()), 0, Happening::Healed);
        if self.scenario.bundles_per_s > 0 {
            self.schedule(at(100), 0, Happening::Load);
        }
        if self.scenario.spam_per_s > 0 {
            self.schedule(at(200), 0, Happening::Spam);
        }
    }

    /// Runs until every honest validator has revealed the wanted heights and has got over every fault, a
    /// promise is broken, or time is up.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        let limit = BEGIN.after(Duration::from_millis(self.scenario.limit_ms));
        let mut missed = None;
        loop {
            let Some(Reverse((at, number))) = self.queue.pop() else {
                missed = Some("nothing happens any more".into());
                break;
            };
            if at > limit {
                missed = Some(self.describe_miss("the time limit"));
                break;
            }
            let Some(event) = self.scheduled.remove(&number) else { continue };
            self.now = at;
            self.handle(event);
            if self.oracle.violation().is_some() || self.is_done() {
                break;
            }
            if self.heal.is_some_and(|(by, least)| at > by && self.lags(least)) {
                missed = Some(self.describe_miss("the time to heal"));
                break;
            }
            if let Some(why) = self.oracle.missed() {
                missed = Some(why);
                break;
            }
            if self.queue.len() > EVENTS_MAX {
                missed = Some("messages breed faster than they are handled".into());
                break;
            }
        }
        self.finish(missed)
    }

    fn lags(&self, least: Height) -> bool {
        self.oracle.revealed_by_all() < least
    }

    fn is_done(&self) -> bool {
        let healed = self.heal.is_some_and(|(_, least)| !self.lags(least));
        healed && self.oracle.revealed_by_all() >= Height::new(self.scenario.heights)
    }

    fn describe_miss(&self, what: &str) -> String {
        let status = |(index, node): (u16, &Node)| match &node.core {
            None => format!("validator {index}: down"),
            Some(core) => {
                let status = core.status();
                let (decided, revealed) = (status.decided, status.revealed);
                let signs = status.not_signing.map_or_else(String::new, |why| format!(", {why}"));
                format!(
                    "validator {index}: decided {decided}, revealed {revealed}, round {}{signs}",
                    status.round
                )
            }
        };
        let statuses: Vec<_> = (0_u16..).zip(&self.nodes).map(status).collect();
        format!("{what} passed; {}", statuses.join("; "))
    }

    fn finish(mut self, missed: Option<String>) -> Outcome {
        if self.oracle.violation().is_none() {
            self.oracle.settle();
            self.compare_ledgers();
        }
        let mut counters = self.oracle.counters();
        counters.insert("messages_lost", self.network.lost);
        counters.insert("messages_blocked", self.network.blocked);
        counters.insert("messages_duplicated", self.network.duplicated);
        counters.insert("messages_delivered", self.network.delivered);
        counters.insert("commits", self.nodes.iter().map(|node| node.disk.commits()).sum());
        for adversary in self.nodes.iter().filter_map(|node| node.adversary.as_ref()) {
            for (name, count) in adversary.counters() {
                let total = counters.entry(name).or_default();
                *total = total.saturating_add(*count);
            }
        }
        Outcome {
            violation: self.oracle.violation().cloned(),
            missed,
            trace_hash: self.oracle.trace_hash(),
            heights: self.oracle.revealed_by_all().as_u64(),
            elapsed: self.now.since(BEGIN),
            counters,
        }
    }

    /// What every honest validator's ledger says in the end.
    fn compare_ledgers(&mut self) {
        let payers = self.oracle.all_payers();
        for (index, node) in (0_u16..).zip(&self.nodes) {
            let Some(core) = node.core.as_ref().filter(|_| node.is_honest()) else { continue };
            let at = core.status().decided;
            for payer in &payers {
                self.oracle.balance(index, at, payer, core.account(payer, 0).balance);
            }
        }
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
            Happening::Snapshot => {
                if let Some(state) = self.nodes.get_mut(usize::from(node)) {
                    state.disk.take_snapshot();
                }
            }
            Happening::Crash { loss, unseen } => self.crash(node, loss, unseen),
            Happening::Restart => self.restart(node),
            Happening::Load => self.users(),
            Happening::Spam => self.spammers(),
            Happening::Healed => {
                let by = self.now.after(Duration::from_millis(self.scenario.heal_ms));
                self.heal = Some((by, self.oracle.decided_by_any().next()));
                if self.scenario.network.is_calm() {
                    self.oracle.healed();
                }
            }
            Happening::Tick(_)
            | Happening::Message { .. }
            | Happening::Job(_)
            | Happening::Submit(_) => self.input(node, life, what),
        }
    }
}
