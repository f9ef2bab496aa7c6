//! One endpoint, asked for itself, at its own pace: its newest block, its events, its transactions.
//!
//! Of what it tells, and of when, nothing depends on another endpoint, and it makes no other one wait. One that is slow here
//! is not called late elsewhere, and one that keeps something back, or lies, does so for itself.
//!
//! **Invariants.** What is found is signed by a quorum of its epoch's committee on this node's chain, and is of another
//! history. An event is done with only when what its transaction has of it was compared and handed over: what the endpoint
//! cannot be asked for, what the chain has not come to and what the store fails at is tried again.
//!
//! **Bounds.** One question at a time, for as long as the patience with an endpoint, and [`PAUSE`] after each; [`REST`] after a
//! failure. Of an answer up to 32 MiB are read (`http.rs`), of a transaction eight calls, each a signature to verify. Besides
//! [`Shown`] nothing is kept; who takes what is found is waited for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use alloy::{
    primitives::{Address, B256, Bytes},
    providers::{DynProvider, Provider as _},
    rpc::types::Filter,
    sol_types::SolEvent as _,
    transports::{TransportError, TransportResult},
};
use conclave_contracts::{
    ConclaveInbox::Settled,
    posting::{self, Signed},
};
use conclave_sequencer::{
    Posted, Store,
    archive::{self, ArchiveError, OnL1, Read},
};
use conclave_types::{Epoch, Height, digest::SigningDomain};
use tokio::{sync::mpsc, time::Instant};

use super::shown::{Event, Shown};
use crate::{
    driver::Driver,
    errors,
    l1::{
        endpoint::{Endpoint, is_answer},
        http::is_too_long,
    },
    metrics::Metrics,
    store::{RocksStore, StoreError},
};

/// Between two steps of an endpoint that has more to show: a question for blocks and one for a transaction each.
const PAUSE: Duration = Duration::from_millis(250);
/// For so long an endpoint is left alone that failed.
const REST: Duration = Duration::from_secs(30);

/// A certificate of another history, with what tells it from every other.
pub(super) type Found = (B256, Posted);

/// What is compared with: this node's chain.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) driver: Driver,
    pub(super) store: Arc<RocksStore>,
    pub(super) domain: SigningDomain,
}

impl Chain {
    async fn read<T, F>(&self, read: F) -> Result<T, ArchiveError<StoreError>>
    where
        T: Send + 'static,
        F: FnOnce(&RocksStore, &SigningDomain) -> Read<T, RocksStore> + Send + 'static,
    {
        let (store, domain) = (Arc::clone(&self.store), self.domain);
        super::super::blocking(move || read(&store, &domain)).await
    }

    /// How far it has come; none before there is anything to compare with.
    async fn tip(&self) -> Result<Option<(Epoch, Height)>, ArchiveError<StoreError>> {
        let revealed = self.driver.snapshot().status.revealed;
        let newest = self.read(move |store, _| archive::commitment(store, revealed)).await?;
        Ok(newest.map(|newest| (newest.epoch, revealed)))
    }
}

/// Why an endpoint is left alone for a while.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It says no, or what is no answer.
    #[error("it refuses")]
    Refused(#[source] TransportError),
    /// It is out of reach.
    #[error("it cannot be asked")]
    Unreached(#[source] TransportError),
    /// It is silent.
    #[error("{0}")]
    Late(String),
    /// What it shows cannot be compared.
    #[error("the store cannot be read")]
    Archive(#[from] ArchiveError<StoreError>),
}

/// What the transaction of an event comes to.
#[derive(Debug, Default)]
struct Compared {
    others: Vec<Found>,
    /// Whether the chain has yet to come to what the event tells of.
    is_early: bool,
}

/// Who reads the postings that one endpoint shows.
pub(super) struct Reader {
    pub(super) endpoint: Endpoint,
    pub(super) patience: Duration,
    pub(super) look_every: Duration,
    pub(super) inbox: Address,
    pub(super) chain: Chain,
    pub(super) metrics: Arc<Metrics>,
    pub(super) found: mpsc::Sender<Found>,
    pub(super) shown: Shown,
    /// The newest block that it has named.
    pub(super) newest: Option<u64>,
    pub(super) next_look: Instant,
}

impl Reader {
    /// Reads for as long as there is somebody to take what is found.
    pub(super) async fn run(mut self) {
        while !self.found.is_closed() {
            let pause = match self.step().await {
                Ok(true) => PAUSE,
                Ok(false) => self.look_every,
                Err(error) => {
                    self.metrics.l1_trouble("postings");
                    let (url, reason) = (&self.endpoint.url, errors::chain(&error));
                    tracing::debug!(url, reason, "postings on L1 cannot be read");
                    REST
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads a transaction and some blocks, if there are any to read; says so. Neither waits for the other to succeed.
    pub(super) async fn step(&mut self) -> Result<bool, Trouble> {
        let (read, looked) = (self.read_next().await, self.look().await);
        Ok(read? | looked?)
    }

    /// Asks for the next events.
    async fn look(&mut self) -> Result<bool, Trouble> {
        if self.newest.is_none_or(|newest| self.shown.is_through(newest)) {
            let now = Instant::now();
            if now < self.next_look {
                return Ok(false);
            }
            self.next_look = now + self.look_every;
            let newest = self.ask(|provider| async move { provider.get_block_number().await });
            self.newest = Some(newest.await?);
            self.shown.turn_back();
        }
        let blocks = self.newest.and_then(|newest| self.shown.blocks(newest));
        let (Some(blocks), inbox) = (blocks, self.inbox) else { return Ok(false) };
        match self.ask(|provider| async move { events(&provider, inbox, blocks).await }).await {
            Ok(events) => self.shown.hear(Instant::now(), blocks, events),
            Err(trouble) => {
                let can_narrow = self.shown.narrow(blocks);
                if !(can_narrow && matches!(trouble, Trouble::Refused(_))) {
                    return Err(trouble);
                }
            }
        }
        Ok(true)
    }

    /// Passes over what is the chain's own, and reads the transaction of one that is not.
    async fn read_next(&mut self) -> Result<bool, Trouble> {
        if self.shown.is_idle() {
            return Ok(false);
        }
        let Some(tip) = self.chain.tip().await? else { return Ok(false) };
        let ready = self.shown.ready(Instant::now(), tip);
        if ready.is_empty() {
            return Ok(false);
        }
        let of = ready.clone();
        let own = self.chain.read(move |store, domain| ours(store, domain, of)).await?;
        own.iter().for_each(|event| self.shown.finish(event));
        if let Some(event) = ready.into_iter().find(|event| !own.contains(event)) {
            self.read_transaction(event).await?;
        }
        Ok(true)
    }

    async fn read_transaction(&mut self, event: Event) -> Result<(), Trouble> {
        let hash = event.transaction;
        let told = self.ask(|provider| async move { data(&provider, hash).await }).await;
        let now = Instant::now();
        let data = match told {
            Ok(Some(data)) => data,
            Ok(None) | Err(Trouble::Refused(_)) => {
                self.shown.refuse(now, &event);
                return Ok(());
            }
            Err(trouble) => {
                self.shown.put_off(now, &event);
                return Err(trouble);
            }
        };
        let compared = self.chain.read(move |store, domain| {
            let calls = posting::postings(&data).map(|signed| (signed.id(), signed)).collect();
            compare(store, domain, &event, calls)
        });
        let Compared { others, is_early } = compared.await?;
        for found in others {
            if self.found.send(found).await.is_err() {
                return Ok(());
            }
        }
        if is_early {
            self.shown.put_off(now, &event);
        } else {
            self.shown.finish(&event);
        }
        Ok(())
    }

    async fn ask<T, F>(&self, question: impl Fn(DynProvider) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let question = |_: &str, provider| question(provider);
        match self.endpoint.put(self.patience, &question).await {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(error)) if is_said(&error) => Err(Trouble::Refused(error)),
            Ok(Err(error)) => Err(Trouble::Unreached(error)),
            Err(late) => Err(Trouble::Late(late)),
        }
    }
}

/// Whether that is what it says, if it is nothing of use.
fn is_said(error: &TransportError) -> bool {
    is_answer(error) || is_too_long(error) || matches!(error, TransportError::DeserError { .. })
}

/// What an endpoint tells of postings in these blocks.
async fn events(
    provider: &DynProvider,
    inbox: Address,
    (from, to): (u64, u64),
) -> TransportResult<Vec<Event>> {
    let filter = Filter::new().address(inbox).event_signature(Settled::SIGNATURE_HASH);
    let logs = provider.get_logs(&filter.from_block(from).to_block(to)).await?;
    Ok(logs.iter().filter_map(Event::read).collect())
}

/// What is read of a transaction, of whatever type it is.
#[derive(Clone, Debug, serde::Deserialize)]
struct Transaction {
    input: Bytes,
}

/// The data of a transaction; none if the endpoint does not know it.
async fn data(provider: &DynProvider, hash: B256) -> TransportResult<Option<Bytes>> {
    let asked = provider.raw_request("eth_getTransactionByHash".into(), (hash,));
    let found: Option<Transaction> = asked.await?;
    Ok(found.map(|transaction| transaction.input))
}

/// Those of some events that tell of what this node has itself.
fn ours<S: Store>(store: &S, domain: &SigningDomain, of: Vec<Event>) -> Read<BTreeSet<Event>, S> {
    let mut ours = BTreeSet::new();
    for event in of {
        let own = archive::commitment(store, event.height)?.map(|own| domain.commitment(&own));
        if own.is_some_and(|own| *own.as_bytes() == event.commitment.0) {
            ours.insert(event);
        }
    }
    Ok(ours)
}

/// Those calls in the transaction of an event that are of another history than this node's, and signed by a quorum.
fn compare<S: Store>(
    store: &S,
    domain: &SigningDomain,
    event: &Event,
    calls: BTreeMap<B256, Signed>,
) -> Read<Compared, S> {
    let mut compared = Compared::default();
    for (id, signed) in calls {
        // Of what else the transaction has an event of its own tells, if it has settled.
        let is_told_of = signed.place() == (event.epoch, event.height);
        let Some(committee) = archive::committee(store, signed.place().0)? else {
            compared.is_early |= is_told_of;
            continue;
        };
        let Some(certificate) = posting::certificate(&signed, &committee) else { continue };
        match archive::posted(store, certificate)? {
            OnL1::Other(posted) => {
                if posted.certificate.verify(&committee, domain).is_ok() {
                    compared.others.push((id, *posted));
                }
            }
            OnL1::NotYet => compared.is_early |= is_told_of,
            OnL1::Ours => {}
        }
    }
    Ok(compared)
}
