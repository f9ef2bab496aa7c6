//! The one thread that owns the core and writes to the disk.
//!
//! ```text
//!  network ─▶ urgent ─┐
//!  network ─▶ bulk  ──┤  drain ─▶ step, step, … ─▶ merge ─▶ persist (one sync) ─▶ send · run · serve · answer
//!  jobs ─▶ control ───┤                                                            └▶ snapshot (watch), metrics
//!  rpc ─▶ public ─────┘
//! ```
//!
//! **Group commit.** A turn takes everything that is waiting, up to a bound, and makes all that came of
//! it durable at once: under load one sync serves many inputs, when idle an input does not wait.
//!
//! **Durable before visible.** Effects exist only after `persist`. If it fails the driver stops with the
//! store's error and the process with it; there is no path on which a validator goes on.
//!
//! **The public comes last.** Its submissions and questions have a queue of their own, from which a turn
//! takes few; when it is full they are refused. Questions are answered at the end of a turn, from what is
//! durable.
//!
//! Readers never ask this thread for history: they watch the [`Snapshot`] and read from the store, which
//! holds all that the snapshot speaks of.

mod carry;
mod clock;
mod conduct;
mod inbox;
mod latency;
mod log;
mod tape;

use std::{mem::take, sync::Arc};

use conclave_sequencer::{
    Effects, Event, Input, KeyChange, L1Block, L1Position, Message, Peer, Posted, Ready,
    ReceiptBody, Rejection, Sequencer, Status,
};
use conclave_types::{BlockId, EncryptedBundle, Height, Time};
use tokio::sync::{mpsc, oneshot, watch};

pub use conduct::{Conduct, Honest, Outgoing};
pub use inbox::Inbox;
pub use tape::{RecordTo, Tape};

use self::{
    carry::Carrier,
    clock::Clock,
    inbox::{Control, Inputs, Public, Turn},
    latency::Latencies,
};
use crate::{
    metrics::Metrics,
    network::Network,
    store::{RocksStore, StoreError},
};

/// Why the driver stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The disk failed: what was to be sent must not be.
    #[error("the node stops because its store failed")]
    Store(#[from] StoreError),
    /// The core found its own state contradicted.
    #[error(
        "the node stops because its state contradicts the chain: {0}; keep data_dir for analysis, then start from an empty one without signer.state"
    )]
    Halt(String),
    /// The thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The last turn does not end.
    #[error("the last turn takes too long; what is durable stays so")]
    Stuck,
    /// The thread ended without saying why.
    #[error("the driver thread ended unexpectedly")]
    Gone,
}

/// Why a submission has no receipt.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The core turned it away.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The node does not come to it.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Too many ask at once.
    #[error("too many requests wait for this node; try again, or another node")]
    Busy,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl<T> From<mpsc::error::TrySendError<T>> for AskError {
    fn from(error: mpsc::error::TrySendError<T>) -> Self {
        match error {
            mpsc::error::TrySendError::Full(_) => Self::Busy,
            mpsc::error::TrySendError::Closed(_) => Self::Stopping,
        }
    }
}

/// The newest revealed block, for heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevealedTip {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// Its time.
    pub time: Time,
}

/// Where the node stands: everything up to it is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What the core says of itself.
    pub status: Status,
    /// The newest revealed block.
    pub revealed: RevealedTip,
    /// How far chain and node have come with L1.
    pub l1: L1Position,
}

/// A handle on the running driver.
#[derive(Clone)]
pub struct Driver {
    control: mpsc::Sender<Control>,
    public: mpsc::Sender<Public>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl Driver {
    /// Hands in a bundle; returns once it is admitted or turned away.
    ///
    /// # Errors
    ///
    /// If it is turned away, or the node is busy or stopping.
    pub async fn submit(&self, bundle: EncryptedBundle) -> Result<ReceiptBody, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let submit = Public::Submit { bundle: Box::new(bundle), reply };
        self.public.try_send(submit).map_err(AskError::from)?;
        Ok(answer.await.or(Err(AskError::Stopping))??)
    }

    /// Asks the core something that only it knows.
    ///
    /// # Errors
    ///
    /// If the node is busy or stopping.
    pub async fn ask<T, F>(&self, question: F) -> Result<T, AskError>
    where
        T: Send + 'static,
        F: FnOnce(&Sequencer) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let question = move |sequencer: &Sequencer| {
            // Whoever asked may have gone away meanwhile.
            if reply.send(question(sequencer)).is_err() {
                tracing::trace!("nobody waits for the answer");
            }
        };
        self.public.try_send(Public::Ask(Box::new(question)))?;
        answer.await.or(Err(AskError::Stopping))
    }

    /// Hands in the next finalized L1 block. Returns how far chain and node have come with L1 then: if this block
    /// is not the newest that is observed, the core did not take it.
    ///
    /// # Errors
    ///
    /// If the node is stopping.
    pub async fn feed(&self, block: L1Block) -> Result<L1Position, AskError> {
        let (reply, answer) = oneshot::channel();
        let feed = Control::L1 { block, reply };
        self.control.send(feed).await.or(Err(AskError::Stopping))?;
        answer.await.or(Err(AskError::Stopping))
    }

    /// Tells of a certificate on L1 that is of another history than this node's.
    ///
    /// # Errors
    ///
    /// If the node is stopping.
    pub async fn show(&self, posted: Posted) -> Result<(), AskError> {
        let told = Control::Input(Box::new(Input::Posted(Box::new(posted))));
        self.control.send(told).await.or(Err(AskError::Stopping))
    }

    /// Where the node stands, and every change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Where the node stands.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Asks the driver to stop after the present turn.
    pub async fn stop(&self) {
        if self.control.send(Control::Stop).await.is_err() {
            tracing::debug!("the driver had stopped before");
        }
    }
}

/// The mouth of the driver, before it runs: the network needs it first.
pub struct Channels {
    inputs: Inputs,
    inbox: Inbox,
}

impl Channels {
    /// Makes the queues.
    #[must_use]
    pub fn new() -> Self {
        let (inputs, inbox) = inbox::channels();
        Self { inputs, inbox }
    }

    /// Where messages go.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }
}

#[cfg(test)]
impl Channels {
    /// A handle that puts in what this takes, of a node that has revealed up to a height.
    pub(crate) fn handle(&self, revealed: Height) -> Driver {
        let status = Status {
            decided: revealed,
            revealed,
            certified: revealed,
            round: conclave_types::Round::ZERO,
            chain_digest: conclave_types::Digest::ZERO,
            epoch: conclave_types::Epoch::new(1),
            key: None,
            next_key: None,
            validator: None,
            not_signing: None,
            pool: conclave_mempool::PoolStats::default(),
            evidence_count: 0,
        };
        let origin = conclave_types::L1Origin::default();
        let l1 = L1Position { origin, forced_cursor: 0, observed: origin, has_room: true };
        let time = Time::from_micros(0);
        let tip = RevealedTip { height: revealed, block: BlockId::ZERO, time };
        let snapshot = Arc::new(Snapshot { status, revealed: tip, l1 });
        let (_, snapshot) = watch::channel(snapshot);
        Driver { control: self.inbox.control(), public: self.inbox.public(), snapshot }
    }

    /// What the network has put in, as the driver would take it.
    pub(crate) async fn take(&mut self) -> Vec<Input> {
        let Turn { controls, messages, .. } = self.inputs.next(None).await;
        let controls = controls.into_iter().filter_map(|control| match control {
            Control::Input(input) => Some(*input),
            Control::L1 { block, .. } => Some(Input::L1(block)),
            Control::Stop => None,
        });
        let messages = messages
            .into_iter()
            .map(|received| Input::Message { from: received.from, message: received.message });
        controls.chain(messages).collect()
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self::new()
    }
}

/// What the driver works with.
pub struct Parts<C> {
    /// The core, recovered from the store, behind what may record it.
    pub sequencer: Tape,
    /// The store.
    pub store: RocksStore,
    /// The transport.
    pub network: Network,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
    /// What recovery asks for, to be made durable and carried out first.
    pub first: Ready,
    /// The newest revealed block in the store.
    pub revealed: RevealedTip,
    /// Threads for jobs; 0 takes one for each core.
    pub job_threads: usize,
    /// Who has the last word on what leaves.
    pub conduct: C,
}

/// Starts the driver on its own thread. The receiver yields how it ended.
///
/// # Errors
///
/// If threads cannot be started.
pub fn start<C: Conduct>(
    parts: Parts<C>,
    channels: Channels,
) -> Result<(Driver, oneshot::Receiver<Result<(), DriverError>>), DriverError> {
    let Channels { inputs, inbox } = channels;
    let core = parts.sequencer.core();
    let snapshot =
        Snapshot { status: core.status(), revealed: parts.revealed, l1: core.l1_position() };
    let (publish, snapshot) = watch::channel(Arc::new(snapshot));
    let driver = Driver { control: inbox.control(), public: inbox.public(), snapshot };
    let carrier = Carrier::new(
        parts.network,
        parts.store.reader(),
        inbox.control(),
        Arc::clone(&parts.metrics),
        parts.job_threads,
    )?;
    let core = Core {
        sequencer: parts.sequencer,
        store: parts.store,
        inputs,
        carrier,
        latencies: Latencies::default(),
        metrics: parts.metrics,
        revealed: parts.revealed,
        publish,
        conduct: parts.conduct,
        asides: Vec::new(),
    };
    let first = parts.first;
    let runtime = tokio::runtime::Handle::current();
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new()
        .name("driver".to_owned())
        .spawn(move || {
            if ended.send(core.run(first, &runtime)).is_err() {
                tracing::debug!("nobody waits for the driver's end");
            }
        })
        .map_err(DriverError::Thread)?;
    Ok((driver, end))
}

struct Core<C> {
    sequencer: Tape,
    store: RocksStore,
    inputs: Inputs,
    carrier: Carrier,
    latencies: Latencies,
    metrics: Arc<Metrics>,
    revealed: RevealedTip,
    publish: watch::Sender<Arc<Snapshot>>,
    conduct: C,
    /// What the conduct has to say, besides the core, at the end of the turn.
    asides: Vec<(Peer, Message)>,
}

impl<C: Conduct> Core<C> {
    fn run(mut self, first: Ready, runtime: &tokio::runtime::Handle) -> Result<(), DriverError> {
        let mut clock = Clock::start();
        self.learn_keys();
        self.finish(clock.now(), first)?;
        loop {
            let now = clock.now();
            let wait = self.sequencer.core().wake_at().map(|at| at.since(now));
            let turn = runtime.block_on(self.inputs.next(wait));
            if !self.turn(clock.now(), turn)? {
                self.sequencer.finish();
                return Ok(());
            }
        }
    }

    /// Takes one turn; returns whether to go on.
    fn turn(&mut self, now: Time, turn: Turn) -> Result<bool, DriverError> {
        let Turn { controls, messages, publics } = turn;
        let (mut ready, mut fed) = (Ready::default(), Vec::new());
        for control in controls {
            match control {
                Control::Input(input) => ready = ready.merge(self.sequencer.step(now, *input)),
                Control::L1 { block, reply } => {
                    ready = ready.merge(self.sequencer.step(now, Input::L1(block)));
                    fed.push(reply);
                }
                Control::Stop => return Ok(false),
            }
        }
        for received in messages {
            self.asides.extend(self.conduct.hear(now, received.from, &received.message));
            let input = Input::Message { from: received.from, message: received.message };
            ready = ready.merge(self.sequencer.step(now, input));
        }
        let mut questions = Vec::new();
        for public in publics {
            match public {
                Public::Submit { bundle, reply } => {
                    let input = self.carrier.submission(*bundle, reply);
                    ready = ready.merge(self.sequencer.step(now, input));
                }
                Public::Ask(question) => questions.push(question),
            }
        }
        if self.sequencer.core().wake_at().is_some_and(|at| at <= now) {
            ready = ready.merge(self.sequencer.step(now, Input::Tick));
        }
        self.finish(now, ready)?;
        // Only now does the core know nothing that the store does not.
        for question in questions {
            question(self.sequencer.core());
        }
        let position = self.sequencer.core().l1_position();
        for reply in fed {
            if reply.send(position).is_err() {
                tracing::trace!("nobody waits to feed the next L1 block");
            }
        }
        Ok(true)
    }

    fn finish(&mut self, now: Time, ready: Ready) -> Result<(), DriverError> {
        // What becomes visible stands in the recording.
        self.sequencer.flush();
        let (commits, started) = (self.store.commits(), std::time::Instant::now());
        let mut effects = ready.persist(&mut self.store)?;
        if self.store.commits() > commits {
            self.metrics.persisted(started.elapsed());
        }
        let Effects { events, halt, .. } = &effects;
        let halt = halt.clone();
        let is_new = |event: &Event| {
            matches!(
                event,
                Event::Keys { change: KeyChange::Attempt { .. } | KeyChange::Epoch { .. }, .. }
            )
        };
        if events.iter().any(is_new) {
            self.learn_keys();
        }
        for event in events {
            self.observe(now, event);
        }
        self.have_the_last_word(&mut effects);
        self.carrier.carry_out(effects);
        self.publish();
        halt.map_or(Ok(()), |reason| Err(DriverError::Halt(reason)))
    }

    /// The core knows other validators than before, or has other keys.
    fn learn_keys(&mut self) {
        let keys = self.sequencer.core().keys();
        self.carrier.list_validators(keys);
        self.conduct.learn(keys, &self.store);
    }

    fn have_the_last_word(&mut self, effects: &mut Effects) {
        let (send, broadcast) = (take(&mut effects.send), take(&mut effects.broadcast));
        let said = self.conduct.speak(Outgoing { send, broadcast });
        (effects.send, effects.broadcast) = (said.send, said.broadcast);
        effects.send.append(&mut self.asides);
    }

    fn observe(&mut self, now: Time, event: &Event) {
        match event {
            Event::Admitted { bundle } => self.latencies.admitted(*bundle, now),
            Event::Decided { bundles, .. } => {
                for latency in bundles.iter().filter_map(|id| self.latencies.decided(id, now)) {
                    self.metrics.ordered(latency);
                }
            }
            Event::Revealed { block, .. } => {
                self.revealed =
                    RevealedTip { height: block.height, block: block.block, time: block.time };
                let bundles = block.bundles.iter();
                for latency in bundles.filter_map(|b| self.latencies.revealed(&b.id, now)) {
                    self.metrics.revealed(latency);
                }
            }
            Event::Round { .. }
            | Event::Returned { .. }
            | Event::Equivocation(_)
            | Event::StrayShares { .. }
            | Event::WrongShares { .. }
            | Event::Committed(_)
            | Event::Certified(_)
            | Event::Misattested { .. }
            | Event::DoubleAttestation(_)
            | Event::Keys { .. }
            | Event::L1Refused { .. }
            | Event::L1Contradicted { .. }
            | Event::Anomaly { .. } => {}
        }
        log::progress(event);
        log::fault(event);
    }

    fn publish(&mut self) {
        let core = self.sequencer.core();
        let next =
            Snapshot { status: core.status(), revealed: self.revealed, l1: core.l1_position() };
        self.publish.send_if_modified(|snapshot| {
            let changed = **snapshot != next;
            if changed {
                if snapshot.status.not_signing != next.status.not_signing {
                    match &next.status.not_signing {
                        Some(reason) => tracing::warn!(reason, "this node does not sign"),
                        None => tracing::info!("this validator signs"),
                    }
                }
                *snapshot = Arc::new(next);
            }
            changed
        });
    }
}

/// The wall clock. The only place where the node reads it for the core.
#[must_use]
pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 is a clock that is not set; peers will refuse such times anyway.
    let micros = since.map_or(0, |since| since.as_micros());
    Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
