//! One validator of a world: its core, and the five things that a shell owns.

use std::{collections::VecDeque, sync::Arc};

use conclave_sequencer::{Identity, Input, JobNumber, JobOutput, L1Block, Message, Posted, Ready};
use conclave_types::{EncryptedBundle, Height, Time};

use super::{peers::Peers, work::Threads};
use crate::{
    adversary::Adversary, clock::Clock, cpu::Pool, disk::Disk, network::Pipe, scenario::Loss,
    tape::Core,
};

/// Inputs of a kind that one turn takes, as in the node: what one sync serves.
const TURN_MAX: usize = 256;
/// Of what users hand in.
const PUBLIC_TURN_MAX: usize = 64;
/// Messages that may wait for a busy validator. The node stops reading its peers long before; here
/// what is beyond is dropped and counted.
const WAITING_MAX: usize = 1 << 16;

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) from: u16,
    pub(super) to: u16,
    pub(super) message: Arc<Message>,
    pub(super) bytes: u64,
}

/// The same message on its way to many: one event that goes from arrival to arrival, so that what waits
/// in the queue is broadcasts and not their hundred copies.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) packet: Packet,
    /// When it is where, the next at the end.
    pub(super) arrivals: Vec<(Time, u16)>,
}

/// Something that a core is to be told.
pub(super) enum News {
    /// That it is to look at the clock.
    Tick,
    /// A peer can be reached.
    PeerUp(u16),
    /// A peer cannot be reached any more.
    PeerDown(u16),
    Job(JobNumber, Box<JobOutput>),
    L1(Box<L1Block>),
    /// A provider shows what somebody has posted on L1.
    Posted(Box<Posted>),
    Submit(Box<EncryptedBundle>),
    Message(Packet),
}

/// Inputs that wait for the driver's next turn.
#[derive(Default)]
pub(super) struct Inbox {
    control: VecDeque<Input>,
    urgent: VecDeque<Packet>,
    bulk: VecDeque<Packet>,
    public: VecDeque<Box<EncryptedBundle>>,
    tick: bool,
    peers: Peers,
}

impl Inbox {
    /// For a core that knows its peers as these.
    pub(super) fn of(peers: Peers) -> Self {
        Self { peers, ..Self::default() }
    }

    /// Whom its core knows as what.
    pub(super) const fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Its core knows them as these now: some of the `others` are other peers than before.
    pub(super) fn list(&mut self, peers: Peers, others: impl Iterator<Item = u16>) {
        let before = std::mem::replace(&mut self.peers, peers);
        for node in others {
            let (was, is) = (before.peer(node), self.peers.peer(node));
            if was == is {
                continue;
            }
            // Where another machine still is what this one was, nobody has gone.
            if !self.peers.nodes(was).iter().any(|other| self.peers.peer(*other) == was) {
                self.control.push_back(Input::PeerDown(was));
            }
            self.control.push_back(Input::PeerUp(is));
        }
    }

    /// Puts something in; false if there is no room.
    pub(super) fn push(&mut self, news: News) -> bool {
        match news {
            News::Tick => self.tick = true,
            News::PeerUp(other) => {
                self.control.push_back(Input::PeerUp(self.peers.peer(other)));
            }
            News::PeerDown(other) => {
                self.control.push_back(Input::PeerDown(self.peers.peer(other)));
            }
            News::Job(job, output) => {
                self.control.push_back(Input::JobDone { job, output: *output });
            }
            News::L1(block) => self.control.push_back(Input::L1(*block)),
            News::Posted(posted) => self.control.push_back(Input::Posted(posted)),
            News::Submit(bundle) => self.public.push_back(bundle),
            News::Message(packet) => {
                let bulk = packet.message.is_bulk();
                let queue = if bulk { &mut self.bulk } else { &mut self.urgent };
                if queue.len() >= WAITING_MAX {
                    return false;
                }
                queue.push_back(packet);
            }
        }
        true
    }

    /// Hands what the next turn takes to `step`, in the node's order. Returns how many inputs and how
    /// many large bytes that were.
    pub(super) fn drain(&mut self, mut step: impl FnMut(Input)) -> (u64, u64) {
        let Self { control, urgent, bulk, public, tick, peers } = self;
        let (mut steps, mut bytes) = (0_u64, 0_u64);
        let mut count = |input, size: u64| {
            steps = steps.saturating_add(1);
            bytes = bytes.saturating_add(size);
            step(input);
        };
        control.drain(..).for_each(|input| count(input, 0));
        for queue in [urgent, bulk] {
            for packet in queue.drain(..queue.len().min(TURN_MAX)) {
                let Packet { from, message, bytes, .. } = packet;
                let size = if message.is_bulk() { bytes } else { 0 };
                let message = Arc::unwrap_or_clone(message);
                count(Input::Message { from: peers.peer(from), message }, size);
            }
        }
        for bundle in public.drain(..public.len().min(PUBLIC_TURN_MAX)) {
            let size = u64::try_from(bundle.size_bytes()).unwrap_or(0);
            count(Input::Submit { ticket: 0, bundle: *bundle }, size);
        }
        if std::mem::take(tick) && steps == 0 {
            steps = 1;
            step(Input::Tick);
        }
        (steps, bytes)
    }
}

/// A turn of the driver that is not durable yet.
pub(super) struct Turn {
    pub(super) ready: Ready,
    pub(super) has_writes: bool,
}

/// One validator.
pub(super) struct Node {
    pub(super) disk: Disk,
    pub(super) core: Option<Core>,
    pub(super) identity: Identity,
    pub(super) adversary: Option<Adversary>,
    pub(super) life: u32,
    pub(super) tick_at: Option<Time>,
    pub(super) ticks: u64,
    pub(super) inbox: Inbox,
    /// The turn in progress: the driver is busy until it is durable.
    pub(super) turn: Option<Turn>,
    pub(super) pool: Pool,
    /// Its threads for jobs, if it shares its cores.
    pub(super) threads: Threads,
    pub(super) clock: Clock,
    /// The uplink and the downlink, if they are limited.
    pub(super) pipes: [Option<Pipe<Packet>>; 2],
    /// For which instant each pipe's next departure is scheduled, and under which number.
    pub(super) pipe_at: [(Option<Time>, u64); 2],
    /// It dies when its next commit can be cut short.
    pub(super) dying: bool,
    /// What its last crash took.
    pub(super) loss: Loss,
    /// The newest height that it has told as decided: what its operator's monitoring knows.
    pub(super) shown: Height,
    /// Number of the newest final L1 block that its provider has told it of.
    pub(super) l1_newest: u64,
}

impl Node {
    /// A validator that has not been started.
    pub(super) fn new(
        identity: Identity,
        adversary: Option<Adversary>,
        disk: Disk,
        pool: Pool,
        clock: Clock,
        pipes: [Option<Pipe<Packet>>; 2],
    ) -> Self {
        Self {
            disk,
            core: None,
            identity,
            adversary,
            life: 0,
            tick_at: None,
            ticks: 0,
            inbox: Inbox::default(),
            turn: None,
            pool,
            threads: Threads::default(),
            clock,
            pipes,
            pipe_at: [(None, 0), (None, 0)],
            dying: false,
            loss: Loss::Nothing,
            shown: Height::ZERO,
            l1_newest: 0,
        }
    }

    /// Whether the oracles take it for honest.
    pub(super) fn is_honest(&self) -> bool {
        self.adversary.as_ref().is_none_or(Adversary::is_masked)
    }
}
