//! Settling: how far L1 has come, and, on a validator with an account there, posting what is certified.
//!
//! ```text
//!  each endpoint ─▶ postings ─▶ the core: those of another history are evidence
//!
//!  endpoints ─▶ watch ─▶ settled, final ─▶ status, metrics
//!                             │
//!  store ─▶ candidate ────────┴─▶ decide ─▶ sender ─▶ ConclaveInbox.commit
//!        ├▶ evidence ─▶ reporting ────────────┼─────▶ ConclaveSlasher.announce, report…
//!        └▶ decided ─▶ verdicts ──────────────┴─────▶ ConclaveSlasher.supportAcquittal, resolve
//! ```
//!
//! Any validator can post any certificate, so nothing here is trusted with anything but its own money. Whoever was
//! faster is no error: what was to settle has settled.

mod account;
mod book;
mod decide;
mod errands;
mod judging;
mod landing;
mod offering;
mod pieces;
mod postings;
mod report;
mod reporting;
mod session;
mod standing;
mod verdicts;

use std::{convert::Infallible, path::PathBuf, sync::Arc};

use conclave_sequencer::archive::ArchiveError;
use conclave_types::{ConsensusKey, Genesis};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(in crate::l1) use self::book::Page;
use self::{
    account::Account,
    decide::Settled,
    landing::Landed,
    session::{Flight, Session},
    standing::Found,
};
pub use self::{account::AccountError, book::BookError};
use super::{L1Error, TooFew};
use crate::{
    config::L1Config,
    driver::{self, Driver},
    errors,
    metrics::Metrics,
    store::{RocksStore, StoreError},
};

/// Why settlement does not go on at the moment.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    /// L1 cannot be asked, or refuses.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// It cannot be looked at.
    #[error(transparent)]
    TooFew(#[from] TooFew),
    /// What is certified cannot be read.
    #[error("the store cannot be read")]
    Archive(#[from] ArchiveError<StoreError>),
}

/// How far settlement has come, for status and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The newest height that has settled.
    pub settled: u64,
    /// The newest height that has settled for good.
    pub final_height: u64,
    /// A posting is due, and the money for it is spent, or it costs more than one may.
    pub capped: bool,
    /// Validators whom this node has evidence against, and is to report if nobody else does.
    pub accused: u64,
    /// Why a report failed; empty if the last one did not.
    pub report_trouble: String,
}

/// Who watches settlement for a node, and posts if it may.
pub struct Settler {
    config: L1Config,
    account: Option<Account>,
    genesis: Arc<Genesis>,
    driver: Driver,
    reader: Arc<RocksStore>,
    metrics: Arc<Metrics>,
    view: watch::Sender<Settlement>,
    /// What is wrong and was told: with looking at L1, and with the last transaction.
    blind: Option<String>,
    stuck: Option<String>,
}

impl Settler {
    /// Watches for the node of a genesis; `own` is its consensus key, if it has one. What its account spends is written
    /// down at `spent`.
    ///
    /// # Errors
    ///
    /// If its account cannot be used.
    pub fn new(
        config: L1Config,
        genesis: Arc<Genesis>,
        own: Option<ConsensusKey>,
        (driver, reader): (Driver, Arc<RocksStore>),
        metrics: Arc<Metrics>,
        spent: PathBuf,
    ) -> Result<(Self, watch::Receiver<Settlement>), AccountError> {
        let account = config.relay.clone().map(|config| Account::read(config, own, spent));
        let account = account.transpose()?;
        let (view, watched) = watch::channel(Settlement::default());
        let settler = Self {
            config,
            account,
            genesis,
            driver,
            reader,
            metrics,
            view,
            blind: None,
            stuck: None,
        };
        Ok((settler, watched))
    }

    /// Watches until `stop`.
    ///
    /// # Errors
    ///
    /// Never: whatever goes wrong is tried again.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.settle() => {}
        }
        Ok(())
    }

    async fn settle(&mut self) {
        let mut session = None;
        loop {
            match Box::pin(self.step(&mut session)).await {
                Ok(()) => self.blind = None,
                Err(error) => self.blind = Some(self.ill(self.blind.as_ref(), &error)),
            }
            let pause = tokio::time::sleep(self.config.poll());
            let Some(session) = session.as_mut() else {
                pause.await;
                continue;
            };
            let Some(flight) = session.flight.as_mut() else {
                pause.await;
                continue;
            };
            let landed = tokio::select! {
                landed = &mut flight.landing => landed,
                () = pause => continue,
            };
            let from = flight.from;
            session.flight = None;
            self.landed(session, from, landed).await;
        }
    }

    /// Looks at L1, tells what it shows, and posts if that is due.
    async fn step(&mut self, session: &mut Option<Session>) -> Result<(), RelayError> {
        let session = match session {
            Some(session) => session,
            None => session.insert(self.connect().await?),
        };
        // One endpoint is enough to find them, also where most say nothing.
        self.show_postings(session).await;
        let Found { settled, final_height } = session.watch.look().await?;
        self.see(|view| (view.settled, view.final_height) = (settled.height, final_height));
        let Some(account) = self.account.as_ref().filter(|_| session.flight.is_none()) else {
            return Ok(());
        };
        if let Some(relay) = &mut session.relay {
            relay.count(account.book.spent_in_a_day(driver::now()));
        }
        // Cases wait for what is to be posted, but not for what keeps it from being posted.
        let due = self.errand(session, account, &settled).await;
        let landing = match due {
            Ok(Some(landing)) => Some(landing),
            Ok(None) | Err(_) => match self.answer_if_due(session, account).await {
                Some(landing) => Some(landing),
                None => {
                    due?;
                    self.judge(session, account, &settled).await?
                }
            },
        };
        session.flight = landing.map(|landing| Flight { from: settled, landing });
        Ok(())
    }

    /// The report or the verdict that this validator is to see to; none before this node has come to the committee in
    /// office.
    async fn judge(
        &self,
        session: &mut Session,
        account: &Account,
        settled: &Settled,
    ) -> Result<Option<BoxFuture<'static, Landed>>, RelayError> {
        if session.office.is_none() {
            return Ok(None);
        }
        let report = self.report(session, account, settled).await?;
        Ok(report.or_else(|| Self::resolve(session, account)))
    }

    async fn read<T, F>(&self, read: F) -> Result<T, RelayError>
    where
        T: Send + 'static,
        F: FnOnce(&RocksStore) -> Result<T, ArchiveError<StoreError>> + Send + 'static,
    {
        let reader = Arc::clone(&self.reader);
        Ok(blocking(move || read(&reader)).await?)
    }

    fn see(&self, change: impl FnOnce(&mut Settlement)) {
        self.view.send_if_modified(|view| {
            let before = view.clone();
            change(view);
            if view.capped && !before.capped {
                tracing::error!(
                    "what postings to L1 may cost is spent, or not enough for one; raise l1.relay.day_cost_gwei_max or \
                     l1.relay.posting_cost_gwei_max, or others have to post"
                );
            }
            *view != before
        });
    }

    /// Says once that something is wrong, and returns what was said.
    fn ill(&self, before: Option<&String>, error: &RelayError) -> String {
        self.metrics.l1_trouble("settlement");
        let reason = errors::chain(error);
        if before != Some(&reason) {
            tracing::warn!(reason, "settlement on L1 does not go on");
        }
        reason
    }
}

/// Does what takes a thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}
