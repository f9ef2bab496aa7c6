//! Carrying out effects: nothing here waits, so the driver's thread is free for the next turn.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use conclave_sequencer::{
    Effects, Input, Job, JobNumber, Keys, Peer, Rejection,
    archive::{self, ArchiveRequest},
};
use conclave_types::EncryptedBundle;
use tokio::sync::mpsc;

use super::{
    DriverError,
    inbox::{Control, Reply},
};
use crate::{metrics::Metrics, network::Network, store::RocksStore};

/// Submissions that wait for their verdict.
const TICKETS_MAX: usize = 4_096;
/// Requests for history that are read at once: each may be a page of some MiB.
const SERVED_MAX: u32 = 12;
/// Of these, for one peer.
const SERVED_PER_PEER_MAX: u32 = 3;

/// The hands of the driver.
pub(super) struct Carrier {
    network: Network,
    reader: Arc<RocksStore>,
    control: mpsc::Sender<Control>,
    metrics: Arc<Metrics>,
    pool: rayon::ThreadPool,
    tickets: BTreeMap<u64, Reply>,
    next_ticket: u64,
    serving: Arc<Serving>,
    runtime: tokio::runtime::Handle,
}

impl Carrier {
    pub(super) fn new(
        network: Network,
        reader: RocksStore,
        control: mpsc::Sender<Control>,
        metrics: Arc<Metrics>,
        threads: usize,
    ) -> Result<Self, DriverError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("job-{index}"))
            .build()
            .map_err(|error| DriverError::Thread(std::io::Error::other(error)))?;
        Ok(Self {
            network,
            reader: Arc::new(reader),
            control,
            metrics,
            pool,
            tickets: BTreeMap::new(),
            next_ticket: 0,
            serving: Arc::default(),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// Tells the transport who the validators are.
    pub(super) fn list_validators(&self, keys: &Keys) {
        self.network.list(&keys.known_validators());
    }

    /// Makes a submission an input, and remembers whom to answer.
    pub(super) fn submission(&mut self, bundle: EncryptedBundle, reply: Reply) -> Input {
        if self.tickets.len() >= TICKETS_MAX {
            // The core bounds what it verifies well below this, so only answers that were lost could
            // fill it; the oldest is told to try again.
            if let Some((_, oldest)) = self.tickets.pop_first() {
                answer(oldest, Err(Rejection::Busy { waiting: TICKETS_MAX }));
            }
        }
        self.next_ticket = self.next_ticket.saturating_add(1);
        self.tickets.insert(self.next_ticket, reply);
        Input::Submit { ticket: self.next_ticket, bundle }
    }

    pub(super) fn carry_out(&mut self, effects: Effects) {
        for message in &effects.broadcast {
            self.network.broadcast(message);
        }
        for (peer, message) in &effects.send {
            self.network.send(*peer, message);
        }
        for (number, job) in effects.jobs {
            self.run(number, job);
        }
        for (peer, request) in effects.serve {
            self.serve(peer, request);
        }
        for (ticket, result) in effects.answers {
            if let Some(reply) = self.tickets.remove(&ticket) {
                answer(reply, result);
            }
        }
        for (peer, penalty) in effects.penalties {
            self.network.penalize(peer, penalty);
        }
    }

    fn run(&self, number: JobNumber, job: Job) {
        let (control, metrics) = (self.control.clone(), Arc::clone(&self.metrics));
        self.pool.spawn(move || {
            let kind = job.kind();
            let started = std::time::Instant::now();
            let output = job.run();
            metrics.job(kind, started.elapsed());
            let done = Control::Input(Box::new(Input::JobDone { job: number, output }));
            if control.blocking_send(done).is_err() {
                tracing::debug!("a job finished after the driver");
            }
        });
    }

    fn serve(&self, peer: Peer, request: ArchiveRequest) {
        let Some(slot) = Serving::enter(&self.serving, peer) else {
            tracing::debug!(?peer, "busy serving history; the peer will ask again");
            return;
        };
        let (reader, network) = (Arc::clone(&self.reader), self.network.clone());
        self.runtime.spawn_blocking(move || {
            match archive::answer(&*reader, &request) {
                Ok(Some(message)) => network.send(peer, &message),
                Ok(None) => tracing::debug!(?peer, ?request, "asked for history that is not here"),
                Err(error) => tracing::error!(%error, "cannot read history for a peer"),
            }
            drop(slot);
        });
    }
}

fn answer(reply: Reply, result: Result<conclave_sequencer::ReceiptBody, Rejection>) {
    if reply.send(result).is_err() {
        tracing::debug!("a client left before its bundle was admitted");
    }
}

/// Who is being served.
#[derive(Default)]
struct Serving(Mutex<BTreeMap<Peer, u32>>);

impl Serving {
    /// Takes a place; none if all are taken, or all of this peer's.
    fn enter(serving: &Arc<Self>, peer: Peer) -> Option<Slot> {
        let mut places = serving.lock();
        let taken: u32 = places.values().sum();
        let own = places.entry(peer).or_default();
        if taken >= SERVED_MAX || *own >= SERVED_PER_PEER_MAX {
            return None;
        }
        *own = own.saturating_add(1);
        Some(Slot { serving: Arc::clone(serving), peer })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Peer, u32>> {
        // A count that a panicking holder left behind is still a count.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, given back when dropped.
struct Slot {
    serving: Arc<Serving>,
    peer: Peer,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut places = self.serving.lock();
        if let Some(own) = places.get_mut(&self.peer) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                places.remove(&self.peer);
            }
        }
    }
}
