//! The world: every validator's core, its disk, the links, the users and the clock, in one thread.
//!
//! Events are ordered by time and then by the order in which they were made, so a seed gives one run.

mod build;
mod faults;
mod fork;
mod framer;
mod guard;
mod l1;
mod node;
mod peers;
mod postings;
mod queue;
mod relay;
mod rollups;
mod shell;
mod turn;
mod users;
mod wire;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use conclave_sequencer::{Founding, JobNumber, JobOutput};
use conclave_types::{BundleId, EncryptedBundle, Genesis, Height, PayerAddress, Time};

pub use guard::{CutShort, Stop, guarded};

use self::{
    fork::Vouched,
    framer::Framer,
    node::{Flight, News, Node, Packet},
    peers::Machine,
    postings::Readers,
    queue::Queue,
    relay::Relayer,
    rollups::Rollups,
    work::Shared,
};
use crate::{
    crypto::{Judge, Workshop},
    keyring::Keyring,
    l1::L1,
    load::{Handed, Load, MarketFigures},
    measure::{Figures, Measure},
    network::Network,
    oracle::{Oracles, Violation},
    random::Random,
    report::Timeline,
    scenario::{Crash, Loss, Scenario, Tail},
    tape::{Core, Tape},
};

/// When the world begins: any instant will do.
const BEGIN: Time = Time::from_micros(1_800_000_000_000_000);
/// How old the backup is that a crash brings back.
const BACKUP_AGE_MS: u64 = 500;
/// Events that wait at once. More means that messages breed: the run stops and says so.
const EVENTS_MAX: usize = 4_000_000;

enum Happening {
    Tick(u64),
    /// A message leaves its sender's process, later than it was written.
    Posted(Packet),
    /// A message is at the receiver's end of the link.
    Arrived(Packet),
    /// The next of many equal messages is at its receiver's end.
    Landed(Box<Flight>),
    /// Something is through a pipe.
    Departed {
        way: usize,
        number: u64,
    },
    Job(JobNumber, Box<JobOutput>),
    /// A driver's turn has had its time on processor and disk.
    Turned,
    /// The cores that all validators share may be done with something.
    Processed(u64),
    Submit(Box<EncryptedBundle>),
    Snapshot,
    Crash {
        loss: Loss,
        tail: Option<Tail>,
    },
    /// The chain forks.
    Fork,
    /// How a process that is down is to come back: on the first side of a fork, and with its operator's word.
    Comes {
        crosses: bool,
        vouched: Option<Vouched>,
    },
    Disk {
        is_full: bool,
    },
    Restart,
    Load,
    Spam,
    /// L1 has another block.
    L1Block,
    /// A validator hears how far L1 is final.
    L1Heard {
        newest: u64,
    },
    /// A validator looks for what its core has not seen of L1.
    L1Feed,
    Healed,
}

struct Scheduled {
    node: u16,
    /// The life in which it was scheduled; what concerns an earlier life is void.
    life: u32,
    what: Happening,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// What did not happen in time; none if everything did.
    pub missed: Option<String>,
    /// Why it ended early, if it did.
    pub cut_short: Option<CutShort>,
    /// Digest of everything that became visible, in order.
    pub trace_hash: String,
    /// Lowest height that all honest validators have revealed.
    pub heights: u64,
    /// Virtual time that passed.
    pub elapsed: Duration,
    /// Counters, by name.
    pub counters: BTreeMap<&'static str, u64>,
    /// What was measured.
    pub figures: Figures,
    /// Heights and faults over time.
    pub timeline: Timeline,
    /// What the searcher earned; none if nobody trades.
    pub market: Option<MarketFigures>,
}

/// The world of one run.
pub struct World {
    scenario: Scenario,
    genesis: Arc<Genesis>,
    /// The same, checked once for everybody.
    founding: Arc<Founding>,
    keyring: Keyring,
    now: Time,
    queue: Queue<Scheduled>,
    nodes: Vec<Node>,
    /// Those of validators that change their keys.
    machines: Vec<Machine>,
    /// The cores that all validators share, if they do.
    shared: Option<Shared>,
    network: Network,
    load: Load,
    /// Bundles that users wait for, and when they last handed them in.
    outstanding: BTreeMap<BundleId, (Time, Handed)>,
    /// By when everyone must have revealed what, after the last fault.
    heal: Option<(Time, Height)>,
    /// Which L1 block they must have got to by then.
    heal_origin: u64,
    l1: Option<L1>,
    /// Of each validator, who takes to L1 what it has.
    relayers: Vec<Relayer>,
    /// Of each node, who reads what others post there.
    readers: Readers,
    /// Who executes what is ordered, if there are contracts.
    rollups: Rollups,
    /// What must have settled by the time to heal, if there are contracts.
    heal_settled: Height,
    random: Random,
    seed: u64,
    oracle: Oracles,
    /// Who shows L1 whatever contradicts itself, if the chain forks.
    framer: Option<Framer>,
    measure: Measure,
    judge: Arc<Judge>,
    workshop: Workshop,
    /// Pipes in which something changed during the event in progress.
    touched: BTreeSet<(u16, usize)>,
    /// Faults of disks that happened, by name.
    faults: BTreeMap<&'static str, u64>,
    /// Something happened after which the run may be over.
    progressed: bool,
    inbox_drops: u64,
    sessions_lost: u64,
    /// Messages that found others before them on a pipe.
    pipe_waits: u64,
    timeline: Timeline,
    stop: Stop,
    /// Records one validator, if somebody asked for it.
    tape: Option<Tape>,
}

impl World {
    /// The same world, which ends early when it is told to.
    #[must_use]
    pub fn until(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// The same world, which records one of its validators. Nothing else is different.
    #[must_use]
    pub fn recorded(mut self, tape: &Tape) -> Self {
        if let Some(node) = self.nodes.get(usize::from(tape.validator())) {
            tape.keep_keys(&node.identity);
        }
        self.tape = Some(tape.clone());
        self
    }

    fn prepare(&mut self) {
        let doubles = self.doubles();
        for node in
            (0..self.scenario.nodes()).filter(|node| doubles.iter().all(|(of, _)| of != node))
        {
            self.schedule(BEGIN, node, Happening::Restart);
        }
        let at = |ms: u64| BEGIN.after(Duration::from_millis(ms));
        for crash in self.scenario.crashes.clone() {
            let snapshot = at(crash.at_ms.saturating_sub(BACKUP_AGE_MS));
            if matches!(crash.lose, Loss::Recent | Loss::RecentDatabase) {
                self.schedule(snapshot, crash.validator, Happening::Snapshot);
            }
            let (loss, tail) = (crash.lose, crash.tail());
            self.schedule(at(crash.at_ms), crash.validator, Happening::Crash { loss, tail });
            let Crash { validator, crosses, .. } = crash;
            let comes = Happening::Comes { crosses, vouched: Vouched::of(&crash) };
            self.schedule(at(crash.until_ms), validator, comes);
            self.schedule(at(crash.until_ms), validator, Happening::Restart);
        }
        if let Some(fork) = &self.scenario.fork {
            self.schedule(at(fork.from_ms), 0, Happening::Fork);
        }
        for full in self.scenario.full_disks.clone() {
            for (ms, is_full) in [(full.from_ms, true), (full.until_ms, false)] {
                self.schedule(at(ms), full.validator, Happening::Disk { is_full });
            }
        }
        self.schedule(at(self.scenario.healed_ms()), 0, Happening::Healed);
        if self.scenario.bundles_per_s > 0 {
            self.schedule(at(100), 0, Happening::Load);
        }
        if self.scenario.spam_per_s > 0 {
            self.schedule(at(200), 0, Happening::Spam);
        }
        if let Some(l1) = &self.scenario.l1 {
            self.schedule(at(l1.block_ms), 0, Happening::L1Block);
        }
    }

    /// Runs until every honest validator has revealed the wanted heights and has got over every fault, a
    /// promise is broken, or time is up.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        let limit = BEGIN.after(Duration::from_millis(self.scenario.limit_ms));
        let (mut missed, mut cut_short) = (None, None);
        loop {
            if self.stop.is_told() {
                cut_short = Some(CutShort::Told);
                break;
            }
            let Some((at, event)) = self.queue.pop() else {
                missed = Some("nothing happens any more".into());
                break;
            };
            if at > limit {
                missed = Some(self.describe_miss("the time limit"));
                break;
            }
            self.now = at;
            cut_short = guarded(|| {
                self.handle(event);
                self.settle_pipes();
                self.settle_cores();
            })
            .err();
            if cut_short.is_some() {
                break;
            }
            if self.oracle.violation().is_some()
                || (std::mem::take(&mut self.progressed) && self.is_done())
            {
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
            if let Some(why) = self.l1.as_ref().and_then(L1::fault) {
                missed = Some(why.to_owned());
                break;
            }
            if self.queue.len() > EVENTS_MAX {
                missed = Some("messages breed faster than they are handled".into());
                break;
            }
        }
        self.finish(missed, cut_short)
    }

    fn lags(&self, least: Height) -> bool {
        let lacks_l1 = self.oracle.l1_revealed_by_all() < self.heal_origin;
        let lacks_settlement = self.settled() < self.heal_settled;
        let lags = lacks_l1 || lacks_settlement || self.oracle.revealed_by_all() < least;
        lags || self.oracle.is_away()
    }

    /// What has settled for good; everything, if nothing is to.
    fn settled(&self) -> Height {
        let settles = self.l1.as_ref().is_some_and(|l1| l1.model().contracts);
        if settles { self.oracle.settled_on_l1() } else { Height::new(u64::MAX) }
    }

    fn is_done(&self) -> bool {
        let healed = self.heal.is_some_and(|(_, least)| !self.lags(least));
        let wanted = Height::new(self.scenario.heights);
        let settles = self.l1.as_ref().is_some_and(|l1| l1.model().contracts);
        let is_free = settles && self.oracle.is_somebody_at_large();
        healed && !is_free && self.oracle.revealed_by_all() >= wanted && self.settled() >= wanted
    }

    fn describe_miss(&self, what: &str) -> String {
        let status = |(index, node): (u16, &Node)| match &node.core {
            None => format!("validator {index}: down"),
            Some(core) => {
                let status = core.core().status();
                let (decided, revealed) = (status.decided, status.revealed);
                let signs = status.not_signing.map_or_else(String::new, |why| format!(", {why}"));
                format!(
                    "validator {index}: decided {decided}, revealed {revealed}, round {}{signs}",
                    status.round
                )
            }
        };
        let settled = self.l1.as_ref().and_then(L1::head).map(|head| {
            let height = self.oracle.settled_on_l1();
            format!("settled for good is {height}, L1 stands at {head:?}")
        });
        let away = self.oracle.is_away().then(|| "rollups are away".to_owned());
        let statuses = (0_u16..).zip(&self.nodes).map(status).chain(settled).chain(away);
        let statuses: Vec<_> = statuses.collect();
        format!("{what} passed; {}", statuses.join("; "))
    }

    fn finish(mut self, mut missed: Option<String>, cut_short: Option<CutShort>) -> Outcome {
        if self.oracle.violation().is_none() && cut_short.is_none() {
            self.oracle.settle(self.now);
            missed = missed.or_else(|| self.is_whole());
            if let Some(witness) = self.l1.as_mut().and_then(L1::close).filter(|_| missed.is_none())
            {
                self.oracle.here().ended(&witness);
            }
            let fault = self.l1.as_ref().and_then(L1::fault);
            missed = missed.or_else(|| fault.map(str::to_owned));
            self.compare_ledgers();
            self.search_old_machines();
            self.look_for_old_shares();
            self.rollups_go_on(true);
            self.read_everyone();
        }
        let signing_again = self.signing_again();
        self.stop_recording();
        let mut counters = self.oracle.counters();
        counters.insert("signing_again", signing_again);
        counters.extend(self.faults.iter().map(|(name, count)| (*name, *count)));
        counters.insert("messages_lost", self.network.lost);
        counters.insert("messages_blocked", self.network.blocked);
        counters.insert("messages_churned", self.network.churned);
        counters.insert("messages_detoured", self.network.detoured);
        counters.insert("messages_duplicated", self.network.duplicated);
        counters.insert("messages_delivered", self.network.delivered);
        counters.insert("commits", self.nodes.iter().map(|node| node.disk.commits()).sum());
        counters.insert("jobs_remembered", self.workshop.remembered);
        counters.insert("inbox_drops", self.inbox_drops);
        counters.insert("pipe_waits", self.pipe_waits);
        counters.insert("queue_drops", self.measure.dropped_messages());
        counters.insert("l1_reorgs", self.l1.as_ref().map_or(0, L1::reorgs));
        counters.extend(self.l1.iter().flat_map(L1::counters));
        counters.extend(self.readers.counters());
        counters.extend(self.rollups.counters());
        counters.extend(self.framer.iter().flat_map(Framer::counters));
        counters.insert("regions", self.network.region_count());
        counters.insert("sessions_lost", self.sessions_lost);
        let skews = self.nodes.iter().map(|node| node.clock.skew_us());
        counters.insert("skew_us_max", skews.max().unwrap_or(0));
        for adversary in self.nodes.iter().filter_map(|node| node.adversary.as_ref()) {
            for (name, count) in adversary.counters() {
                let total = counters.entry(name).or_default();
                *total = total.saturating_add(*count);
            }
        }
        Outcome {
            violation: self.oracle.violation().cloned(),
            missed,
            cut_short,
            trace_hash: self.oracle.trace_hash(),
            heights: self.oracle.revealed_by_all().as_u64(),
            elapsed: self.now.since(BEGIN),
            counters,
            figures: self.measure.finish(),
            timeline: self.timeline,
            market: self.load.market_figures(),
        }
    }

    fn stop_recording(&mut self) {
        let Some(tape) = &self.tape else { return };
        let node = self.nodes.get_mut(usize::from(tape.validator()));
        if let Some(core) = node.and_then(|node| node.core.take()) {
            tape.note(core.finish());
        }
    }

    /// What every validator's ledger says in the end.
    fn compare_ledgers(&mut self) {
        let payers = self.oracle.all_payers();
        for node in 0..self.scenario.nodes() {
            self.compare_balances(node, payers.iter());
        }
    }

    /// What a validator's ledger, if it is honest, says that some payers have.
    fn compare_balances<'a>(&mut self, node: u16, payers: impl Iterator<Item = &'a PayerAddress>) {
        let Some(state) = self.nodes.get(usize::from(node)).filter(|state| state.is_honest())
        else {
            return;
        };
        let Some(core) = state.core.as_ref().map(Core::core) else { return };
        let at = core.status().decided;
        for payer in payers {
            self.oracle.of(node).balance(node, at, payer, core.account(payer, 0).balance);
        }
    }

    fn schedule(&mut self, at: Time, node: u16, what: Happening) {
        let life = self.nodes.get(usize::from(node)).map_or(0, |node| node.life);
        self.queue.push(at, Scheduled { node, life, what });
    }

    fn handle(&mut self, event: Scheduled) {
        let Scheduled { node, life, what } = event;
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let is_void = life != state.life;
        match what {
            Happening::Tick(number) if number == state.ticks => self.tell(node, News::Tick),
            Happening::Tick(_) => {}
            Happening::Posted(packet) => self.post(packet),
            Happening::Arrived(packet) => self.arrived(packet),
            Happening::Landed(flight) => self.landed(flight),
            Happening::Departed { way, number } => self.departed(node, way, number),
            Happening::Job(job, output) if !is_void => self.tell(node, News::Job(job, output)),
            Happening::Turned if !is_void => self.end_turn(node),
            Happening::Job(..) | Happening::Turned => {}
            Happening::Processed(number) => self.processed(number),
            Happening::Submit(bundle) => self.tell(node, News::Submit(bundle)),
            Happening::Snapshot => state.disk.take_snapshot(),
            Happening::Crash { loss, tail } => self.crash(node, loss, tail),
            Happening::Fork => self.fork(),
            Happening::Comes { crosses, vouched } => self.comes(node, crosses, vouched),
            Happening::Disk { is_full } => self.fill_disk(node, is_full),
            Happening::Restart => self.restart(node),
            Happening::Load => self.users(),
            Happening::Spam => self.spammers(),
            Happening::L1Block => self.l1_block(),
            Happening::L1Heard { newest } => self.l1_heard(node, newest),
            Happening::L1Feed => self.feed_l1(node),
            Happening::Healed => {
                let by = self.now.after(Duration::from_millis(self.scenario.heal_ms));
                self.heal = Some((by, self.oracle.decided_by_any().next()));
                self.heal_origin = self.oracle.l1_newest();
                if self.l1.as_ref().is_some_and(|l1| l1.model().contracts) {
                    self.heal_settled = self.oracle.certified();
                }
                if self.scenario.network.is_calm() {
                    self.oracle.here().healed();
                }
                self.progressed = true;
            }
        }
    }
}
