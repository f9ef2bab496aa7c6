//! Settling: how far L1 has come, and, on a validator with an account there, posting what is certified.
//!
//! ```text
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
mod decide;
mod judging;
mod offering;
mod report;
mod reporting;
mod standing;
mod verdicts;

use std::{convert::Infallible, sync::Arc};

use alloy::primitives::U256;
use conclave_contracts::{ConclaveInbox, ForcedInclusion, posting};
use conclave_sequencer::archive::{self, ArchiveError};
use conclave_types::{Committee, ConsensusKey, Epoch, Genesis, Height};
use futures::future::{BoxFuture, FutureExt as _};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use self::{
    account::Account,
    decide::{Action, Candidate, Relay, Settled},
    judging::Bench,
    offering::Offering,
    reporting::{Court, Reporting},
    standing::{Found, Watch},
};
use super::{
    Call, Contracts, Endpoints, L1Error, Patience, Sent, TooFew,
    evidence::{Filed, Offender, Record},
};
use crate::{
    config::L1Config,
    driver::Driver,
    errors,
    keys::KeyFileError,
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
    /// A posting is due, and the money for it is spent.
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

/// What is known once L1 was reached.
struct Session {
    endpoints: Endpoints,
    contracts: Contracts,
    watch: Watch,
    relay: Option<Relay>,
    offering: Option<Offering>,
    reporting: Option<(Reporting, Court)>,
    bench: Option<Bench>,
    /// The committee in office on L1, and its epoch.
    office: Option<(Epoch, Arc<Committee>)>,
    flight: Option<Flight>,
}

/// Something on its way.
struct Flight {
    /// Where L1 stood when it left.
    from: Settled,
    landing: BoxFuture<'static, Landed>,
}

/// What became of it.
enum Landed {
    /// The certificate of a height.
    Posted(Height, Result<Sent, L1Error>),
    /// A committee for an epoch.
    Offered(Epoch, Result<Sent, L1Error>),
    /// A report, and what its transactions have cost.
    Reported(Offender, Result<Filed, L1Error>, U256),
    /// Something that brings a case forward.
    Judged(Record, Result<Sent, L1Error>),
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug)]
enum Errand {
    /// To post the certificate of a height.
    Post(Height),
    /// To put a committee on offer for an epoch.
    Offer(Epoch),
}

impl Settler {
    /// Watches for the node of a genesis; `own` is its consensus key, if it has one.
    ///
    /// # Errors
    ///
    /// If the key of its account cannot be used.
    pub fn new(
        config: L1Config,
        genesis: Arc<Genesis>,
        own: Option<ConsensusKey>,
        (driver, reader): (Driver, Arc<RocksStore>),
        metrics: Arc<Metrics>,
    ) -> Result<(Self, watch::Receiver<Settlement>), KeyFileError> {
        let account = config.relay.clone().map(|config| Account::read(config, own));
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
        let Found { settled, final_height } = session.watch.look().await?;
        self.see(|view| (view.settled, view.final_height) = (settled.height, final_height));
        let Some(account) = self.account.as_ref().filter(|_| session.flight.is_none()) else {
            return Ok(());
        };
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

    /// What this validator is to post.
    async fn errand(
        &self,
        session: &mut Session,
        account: &Account,
        settled: &Settled,
    ) -> Result<Option<BoxFuture<'static, Landed>>, RelayError> {
        let settled = *settled;
        let office = self.office(session, Epoch::new(settled.epoch)).await?;
        let (Some(office), Some(relay)) = (office, &mut session.relay) else { return Ok(None) };
        relay.take_turns(account.turns(&office));
        let certified = self.driver.snapshot().status.certified;
        let candidate = self.read(move |store| candidate(store, certified, &settled)).await?;
        let action = relay.decide(Instant::now(), settled, candidate);
        self.see(|view| view.capped = action == Action::Capped);
        let errand = match action {
            Action::Post { height, cost_max } => {
                let call = self.call(&session.contracts, &settled, height, &office).await?;
                call.map(|call| (Errand::Post(height), call, cost_max))
            }
            Action::Rest => self.offer(session).await?,
            Action::Capped => None,
        };
        Ok(errand.map(|(what, call, cost_max)| {
            let sender = account.sender(&session.endpoints, cost_max);
            let landing = async move {
                let sent = sender.send_instead(call).await;
                match what {
                    Errand::Post(height) => Landed::Posted(height, sent),
                    Errand::Offer(epoch) => Landed::Offered(epoch, sent),
                }
            };
            landing.boxed()
        }))
    }

    /// The committee in office on L1; none before this node has come to it.
    async fn office(
        &self,
        session: &mut Session,
        epoch: Epoch,
    ) -> Result<Option<Arc<Committee>>, RelayError> {
        if let Some((known, office)) = &session.office
            && *known == epoch
        {
            return Ok(Some(Arc::clone(office)));
        }
        let found = self.read(move |store| archive::committee(store, epoch)).await?;
        session.office = found.map(|office| (epoch, Arc::new(office)));
        Ok(session.office.as_ref().map(|(_, office)| Arc::clone(office)))
    }

    /// The offer of a committee that this validator is to make now.
    async fn offer(
        &self,
        session: &mut Session,
    ) -> Result<Option<(Errand, Call, U256)>, RelayError> {
        let (Some(relay), Some(offering)) = (&mut session.relay, &mut session.offering) else {
            return Ok(None);
        };
        let wanted = self.driver.ask(|core| core.keys().wants_offer(core.status().decided)).await;
        let Ok(wanted) = wanted else { return Ok(None) };
        let now = Instant::now();
        let is_due = offering.is_due(now, relay.turns(), wanted);
        let Some(epoch) = wanted.filter(|_| is_due) else { return Ok(None) };
        offering.rest(now);
        let call = offering::call(&session.endpoints, &session.contracts, epoch).await?;
        let cost_max = relay.purse(now);
        Ok(call.map(|call| (Errand::Offer(epoch), call, cost_max)))
    }

    async fn call(
        &self,
        contracts: &Contracts,
        settled: &Settled,
        height: Height,
        office: &Committee,
    ) -> Result<Option<Call>, RelayError> {
        let below = Height::new(settled.height);
        let found = self.read(move |store| archive::posting(store, below, height)).await?;
        let posting = found.and_then(|found| {
            posting::posting(&found.certificate, (&found.peaks, &found.added), office)
        });
        let call = |posting| Call::new(contracts.inbox, &ConclaveInbox::commitCall { posting });
        Ok(posting.map(call))
    }

    async fn connect(&self) -> Result<Session, RelayError> {
        let (urls, chain_id) = (&self.config.endpoints, self.genesis.l1_chain_id);
        let endpoints = Endpoints::connect(urls, Some(chain_id), Patience::default()).await?;
        let stake = (*self.genesis.l1_contract.as_bytes()).into();
        let contracts = Contracts::find(&endpoints, stake).await?;
        let question = ForcedInclusion::forcedParametersCall {};
        let parameters = endpoints.call(contracts.forced, &question).await?;
        let relay = self.account.as_ref().map(|account| {
            let policy = account.policy(u64::from(parameters.escapeDelayBlocks));
            tracing::info!(account = %account.signer.address(), "posting to L1 in turn");
            Relay::new(policy, Instant::now())
        });
        let takeover = self.account.as_ref().map(|account| account.config.takeover());
        let offering = takeover.map(|takeover| Offering::new(takeover, Instant::now()));
        let reporting = self.account.as_ref().map(|account| {
            let from = self.genesis.l1_origin.number;
            let court = Court::new(endpoints.clone(), contracts.slasher, from);
            (Reporting::new(account.config.takeover(), account.own, Instant::now()), court)
        });
        let bench = match &self.account {
            Some(account) => {
                let from = self.genesis.l1_origin.number;
                Some(Bench::new(&endpoints, &contracts, account, from).await?)
            }
            None => None,
        };
        let watch = Watch::new(endpoints.clone(), contracts.inbox);
        Ok(Session {
            endpoints,
            contracts,
            watch,
            relay,
            offering,
            reporting,
            bench,
            office: None,
            flight: None,
        })
    }

    async fn landed(&mut self, session: &mut Session, from: Settled, landed: Landed) {
        let Some(relay) = session.relay.as_mut() else { return };
        let now = Instant::now();
        let (height, landed) = match landed {
            Landed::Posted(height, landed) => (height, landed),
            Landed::Offered(epoch, landed) => {
                relay.posted(now, landed.as_ref().map_or_else(L1Error::fee, Sent::fee));
                return self.offered(session, epoch, landed);
            }
            Landed::Reported(offender, landed, fee) => {
                relay.posted(now, fee);
                return self.reported(session, offender, landed);
            }
            Landed::Judged(record, landed) => {
                relay.posted(now, landed.as_ref().map_or_else(L1Error::fee, Sent::fee));
                return self.judged(session, &record, landed);
            }
        };
        let error = match landed {
            Ok(sent) => {
                relay.posted(now, sent.fee());
                self.stuck = None;
                self.metrics.posted();
                let (block, gas) = (sent.block(), sent.receipt.gas_used);
                tracing::info!(%height, transaction = %sent.hash(), block, gas, "posted to L1");
                return;
            }
            Err(error) => error,
        };
        relay.failed(now);
        relay.posted(now, error.fee());
        if let L1Error::TooDear { .. } = error {
            self.see(|view| view.capped = true);
        }
        let at = |settled: &Settled| (settled.epoch, settled.height);
        match session.watch.look().await {
            Ok(found) if at(&found.settled) != at(&from) => {
                tracing::debug!(%height, error = errors::chain(&error), "somebody was faster");
            }
            Ok(_) | Err(_) => self.stuck = Some(self.ill(self.stuck.as_ref(), &error.into())),
        }
    }

    fn offered(&mut self, session: &mut Session, epoch: Epoch, landed: Result<Sent, L1Error>) {
        match landed {
            Ok(sent) => {
                if let Some(offering) = &mut session.offering {
                    offering.offered(Instant::now(), epoch);
                }
                let (block, gas) = (sent.block(), sent.receipt.gas_used);
                tracing::info!(%epoch, transaction = %sent.hash(), block, gas, "committee offered on L1");
            }
            Err(error) => self.stuck = Some(self.ill(self.stuck.as_ref(), &error.into())),
        }
    }

    async fn read<T, F>(&self, read: F) -> Result<T, RelayError>
    where
        T: Send + 'static,
        F: FnOnce(&RocksStore) -> Result<T, ArchiveError<StoreError>> + Send + 'static,
    {
        let reader = Arc::clone(&self.reader);
        let done = tokio::task::spawn_blocking(move || read(&reader)).await;
        Ok(done.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?)
    }

    fn see(&self, change: impl FnOnce(&mut Settlement)) {
        self.view.send_if_modified(|view| {
            let before = view.clone();
            change(view);
            if view.capped && !before.capped {
                tracing::error!(
                    "what postings to L1 may cost is spent; raise l1.relay.day_cost_gwei_max, or others have to post"
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

/// What this node could post on top of what has settled: the end of the epoch in office if that is over, else the
/// newest that is certified.
fn candidate(
    store: &RocksStore,
    certified: Height,
    settled: &Settled,
) -> Result<Option<Candidate>, ArchiveError<StoreError>> {
    let end = archive::epoch_end(store, Epoch::new(settled.epoch))?;
    let height = end.unwrap_or(certified);
    if !settled.is_open || height.as_u64() <= settled.height {
        return Ok(None);
    }
    let found = archive::certificate(store, height)?.filter(|found| {
        let commitment = &found.commitment;
        commitment.epoch.as_u64() == settled.epoch
            && commitment.l1_origin.number >= settled.origin
            && commitment.l1_origin.number < settled.l1_block
    });
    Ok(found.map(|_| Candidate { height, ends_epoch: end.is_some() }))
}
