//! `SubmitService`: for users and wallets.

use std::{sync::Arc, time::Duration};

use conclave_encryption::SealingKey;
use conclave_grpc::v1::submit_service_server::SubmitService;
use conclave_mempool::{LedgerError, PoolError};
use conclave_sequencer::{
    Rejection,
    archive::{self, StoredBlock},
};
use conclave_types::{
    BlockBody, BundleId, Digest, Gwei, Height, SIZE_BUCKETS,
    proto::v1::{self, Level},
};
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use super::{
    Answers, Context, Feed,
    requests::{Following, LaneOf, Named, Priced, RequestError, Submission},
    unanswered,
};
use crate::{
    driver::{AskError, Snapshot, SubmitError},
    errors,
};

/// A bundle that is not known here, or no longer, is waited for this long: it may have been handed in
/// somewhere else a moment ago. Then the watch ends, since a bundle that nobody has may never come.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(10);
/// How often a bundle that does not move is looked at all the same: it may have been dropped.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The service.
pub(super) struct Submit(pub(super) Arc<Context>);

#[tonic::async_trait]
impl SubmitService for Submit {
    type WatchBundleStream = Answers<v1::WatchBundleResponse>;

    async fn get_encryption_key(
        &self,
        _: Request<v1::GetEncryptionKeyRequest>,
    ) -> Result<Response<v1::GetEncryptionKeyResponse>, Status> {
        let context = &self.0;
        context.metrics.request("get_encryption_key");
        let (decided, key) = context.key_to_seal_to().await?;
        let VouchedKey { key, certified, messages_root } = key.ok_or_else(no_key)?;
        Ok(Response::new(v1::GetEncryptionKeyResponse {
            network_id: context.network_id.as_bytes().to_vec(),
            key_id: key.id().as_bytes().to_vec(),
            suite: u32::from(key.suite().number()),
            era: key.era().as_u32(),
            public_key: key.public_key().as_bytes().to_vec(),
            public_key_g2: key.public_key_g2().as_bytes().to_vec(),
            decided_height: decided.as_u64(),
            bundle_lifetime_max: context.genesis.params.limits.bundle_lifetime_max.as_u64(),
            size_buckets: SIZE_BUCKETS.to_vec(),
            header: certified.as_ref().map(|stored| (&stored.block.header).into()),
            certificate: certified.as_ref().map(|stored| (&stored.certificate).into()),
            messages_root: messages_root.map(|root| root.as_bytes().to_vec()).unwrap_or_default(),
        }))
    }

    async fn submit_bundle(
        &self,
        request: Request<v1::SubmitBundleRequest>,
    ) -> Result<Response<v1::SubmitBundleResponse>, Status> {
        let context = &self.0;
        context.metrics.request("submit_bundle");
        let validator = context.driver.snapshot().status.validator;
        let Some((signer, validator)) = context.signer.as_ref().zip(validator) else {
            return Err(Status::failed_precondition(
                "this node is no validator and signs no receipts; submit to a validator",
            ));
        };
        let Submission(bundle) = request.into_inner().try_into()?;
        let id = bundle.id();
        if let Some(place) = context.read(move |store| archive::place(store, &id)).await? {
            return Err(Status::already_exists(format!(
                "bundle {id} was included at height {}",
                place.height
            )));
        }
        let body = context.driver.submit(bundle).await.map_err(|error| refusal(&error))?;
        let micros = body.received.as_micros();
        let digest = signer.domain.receipt(&body.bundle, micros, body.deadline);
        Ok(Response::new(v1::SubmitBundleResponse {
            receipt: Some(v1::Receipt {
                bundle_id: body.bundle.as_bytes().to_vec(),
                validator: u32::from(validator.as_u16()),
                received_micros: micros,
                deadline_height: body.deadline.as_u64(),
                signature: signer.sign(&digest),
            }),
        }))
    }

    async fn get_bundle_status(
        &self,
        request: Request<v1::GetBundleStatusRequest>,
    ) -> Result<Response<v1::GetBundleStatusResponse>, Status> {
        self.0.metrics.request("get_bundle_status");
        let Named(id) = request.into_inner().try_into()?;
        let status = self.0.bundle_status(id).await?;
        Ok(Response::new(v1::GetBundleStatusResponse { status: Some(status) }))
    }

    async fn watch_bundle(
        &self,
        request: Request<v1::WatchBundleRequest>,
    ) -> Result<Response<Self::WatchBundleStream>, Status> {
        self.0.metrics.request("watch_bundle");
        let Following { id, until } = request.into_inner().try_into()?;
        if until > Level::Certified && self.0.l1.is_none() {
            return Err(RequestError::Unsettled(until).into());
        }
        let context = Arc::clone(&self.0);
        let answers = self.0.stream(&self.0.streams, |feed| watch(context, id, until, feed))?;
        Ok(Response::new(answers))
    }

    async fn estimate_fee(
        &self,
        request: Request<v1::EstimateFeeRequest>,
    ) -> Result<Response<v1::EstimateFeeResponse>, Status> {
        self.0.metrics.request("estimate_fee");
        let Priced { body_bytes } = request.into_inner().try_into()?;
        let fee = self.0.genesis.params.fees.charge(body_bytes, Gwei::ZERO);
        Ok(Response::new(v1::EstimateFeeResponse {
            body_bytes,
            fee_gwei: fee.map_or(u64::MAX, Gwei::as_u64),
        }))
    }

    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        self.0.metrics.request("get_account");
        let LaneOf { payer, lane } = request.into_inner().try_into()?;
        let account = self.0.driver.ask(move |core| core.account(&payer, lane)).await;
        let account = account.map_err(unanswered)?;
        Ok(Response::new(v1::GetAccountResponse {
            balance_gwei: account.balance.as_u64(),
            next_sequence: account.next_sequence,
            next_sequence_pending: account.next_sequence_pending,
            withdrawable_gwei: account.withdrawable.as_u64(),
        }))
    }
}

/// Tells every rise of a bundle's level until it is at the wanted one. A bundle that was received and then
/// lost its place in the pool is as one that was never there: whoever hands it in again has it received
/// again, and if nobody does the watch ends.
async fn watch(
    context: Arc<Context>,
    id: BundleId,
    until: Level,
    feed: Feed<v1::WatchBundleResponse>,
) {
    let mut snapshots = context.driver.watch();
    let mut told = None;
    let mut seen: Option<Arc<Snapshot>> = None;
    let mut looked = Looked::default();
    loop {
        // Taken before the store is read: what comes later wakes this task again.
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let due = looked.is_due(told);
        if due || seen.is_none_or(|seen| may_have_risen(told, &seen, &snapshot)) {
            let status = match look(&context, id, told, due).await {
                Ok(status) => status,
                // There will be another block, and another look.
                Err(status) if told.is_some() && status.code() == Code::ResourceExhausted => None,
                Err(status) => return feed.fail(status).await,
            };
            if let Some(status) = status {
                if status.returned.is_empty() && looked.has_been_unknown(status.level()) {
                    return feed.fail(unknown(&id)).await;
                }
                let is_returned = !status.returned.is_empty();
                if told < Some(status.level()) || is_returned {
                    told = Some(status.level());
                    let answer = v1::WatchBundleResponse { status: Some(status) };
                    if !feed.send(answer).await || is_returned {
                        return;
                    }
                }
            }
        }
        seen = Some(snapshot);
        if told >= Some(until) {
            return;
        }
        // Too late is no error: it is time to look again.
        if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, snapshots.changed()).await {
            return;
        }
    }
}

fn unknown(id: &BundleId) -> Status {
    Status::not_found(format!(
        "bundle {id} has not been known here for {} s: it was never handed in, was dropped, or has expired; hand \
         it in again, or seal it again if the era of its key is over",
        UNKNOWN_PATIENCE.as_secs()
    ))
}

/// When a bundle was last looked for in the pool, and since when it has not been found.
#[derive(Default)]
struct Looked {
    last: Option<Instant>,
    missing_since: Option<Instant>,
}

impl Looked {
    /// Whether to look although nothing has happened here.
    fn is_due(&mut self, told: Option<Level>) -> bool {
        // What L1 does is no event of the chain, and what is in no block can be lost.
        let due = (told <= Some(Level::Received) || told >= Some(Level::Certified))
            && self.last.is_none_or(|last| last.elapsed() >= LOOK_EVERY);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }

    /// Notes what was found; returns whether the bundle has been unknown for too long.
    fn has_been_unknown(&mut self, found: Level) -> bool {
        if found > Level::Unspecified {
            self.missing_since = None;
            return false;
        }
        let since = *self.missing_since.get_or_insert_with(Instant::now);
        since.elapsed() >= UNKNOWN_PATIENCE
    }
}

/// Whether what has changed can concern a bundle of this level. Few changes do, and thousands may watch.
fn may_have_risen(told: Option<Level>, before: &Snapshot, now: &Snapshot) -> bool {
    let decided = before.status.decided != now.status.decided;
    let revealed = before.revealed != now.revealed;
    let certified = before.status.certified != now.status.certified;
    match told {
        None | Some(Level::Unspecified) => decided || before.status.pool != now.status.pool,
        Some(Level::Received) => decided,
        Some(Level::Ordered) => revealed,
        Some(Level::Revealed) => certified,
        Some(Level::Certified | Level::Settled | Level::Final) => false,
    }
}

/// The status, if it can be above what was told, or if it is to be known whether the bundle is still there.
async fn look(
    context: &Arc<Context>,
    id: BundleId,
    told: Option<Level>,
    whole: bool,
) -> Result<Option<v1::BundleStatus>, Status> {
    if told >= Some(Level::Received) && !whole {
        return context.decided_status(id).await;
    }
    context.bundle_status(id).await.map(Some)
}

/// The key to seal to, and a block that names it.
struct VouchedKey {
    key: Arc<SealingKey>,
    /// None if the genesis alone speaks for it.
    certified: Option<StoredBlock>,
    /// What the block names it beside, if it is not in force there yet.
    messages_root: Option<Digest>,
}

impl Context {
    async fn key_to_seal_to(&self) -> Result<(Height, Option<VouchedKey>), Status> {
        let ask = self.driver.ask(|core| {
            let (decided, keys) = (core.status().decided, core.keys());
            let key = keys.seal_to(decided.next()).map(Arc::clone);
            // Before the first block, the genesis alone speaks for a key.
            let begun = keys.at(decided.max(Height::ZERO.next()));
            let begun = begun.map(|epoch| (epoch.first, epoch.key.id()));
            (decided, key.map(|key| (begun.filter(|(_, id)| *id == key.id()), key)))
        });
        let (decided, key) = ask.await.map_err(unanswered)?;
        let Some((begun, key)) = key else { return Ok((decided, None)) };
        let named_at = begun.map_or(decided, |(first, _)| first);
        let certified = self.read(move |store| archive::block(store, named_at)).await?;
        if begun.is_some() {
            return Ok((decided, Some(VouchedKey { key, certified, messages_root: None })));
        }
        let body = certified.as_ref().map(|stored| &stored.block.body);
        let names_it = body.filter(|body| body.next_key == key.id());
        let messages_root = names_it.map(BlockBody::messages_root);
        let vouched = messages_root.map(|_| VouchedKey { key, certified, messages_root });
        Ok((decided, vouched))
    }
}

/// There is none, or nobody vouches for it yet.
fn no_key() -> Status {
    Status::unavailable(Rejection::NoKey.to_string())
}

/// A rejection as the proto documents it.
fn refusal(error: &SubmitError) -> Status {
    let code = match error {
        SubmitError::Ask(AskError::Stopping) | SubmitError::Rejected(Rejection::NoKey) => {
            Code::Unavailable
        }
        SubmitError::Ask(AskError::Busy) | SubmitError::Rejected(Rejection::Busy { .. }) => {
            Code::ResourceExhausted
        }
        SubmitError::Rejected(Rejection::Admission(reason)) if reason.is_permanent() => {
            Code::InvalidArgument
        }
        SubmitError::Rejected(Rejection::Admission(_)) => Code::FailedPrecondition,
        SubmitError::Rejected(Rejection::Pool(reason)) => pool_code(reason),
    };
    Status::new(code, errors::chain(error))
}

const fn pool_code(reason: &PoolError) -> Code {
    match reason {
        PoolError::Known(_) => Code::AlreadyExists,
        PoolError::Full | PoolError::PayerFull(_) => Code::ResourceExhausted,
        PoolError::Used { .. }
        | PoolError::SamePoint(_)
        | PoolError::Ledger(LedgerError::Fee { .. } | LedgerError::Lanes { .. }) => {
            Code::InvalidArgument
        }
        PoolError::Gap { .. }
        | PoolError::Underpriced { .. }
        | PoolError::Ledger(LedgerError::Nonce { .. } | LedgerError::Balance { .. }) => {
            Code::FailedPrecondition
        }
    }
}
