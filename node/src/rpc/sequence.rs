//! `SequenceService`: for rollups. Contiguous by construction: a stream is a cursor over the store, and
//! the cursor moves by one.

use std::{sync::Arc, time::Duration};

use conclave_grpc::v1::sequence_service_server::SequenceService;
use conclave_sequencer::archive::{self, ArchiveError};
use conclave_types::{
    Batch, Height, RollupId,
    proto::v1::{self, stream_batches_response::Event},
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{
    Answers, Context, Feed,
    requests::{BatchPage, BatchStream, Begin},
};
use crate::{
    driver::RevealedTip,
    store::{RocksStore, StoreError},
};

/// Bytes after which a page is cut. A page always holds one batch, whatever its size.
const PAGE_BYTES: usize = 3 << 20;
/// Batches that a stream reads ahead, and the bytes after which it reads no more of them; one may be as
/// large as a block.
const READ_AHEAD: u64 = 64;
const READ_AHEAD_BYTES: usize = 1 << 20;
/// A stream is never silent for longer, so that a quiet chain can be told from a dead connection.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

/// The service.
pub(super) struct Sequence(pub(super) Arc<Context>);

impl Context {
    fn check_rollup(&self, id: RollupId) -> Result<(), Status> {
        if self.genesis.rollups.iter().any(|rollup| rollup.id == id) {
            return Ok(());
        }
        Err(Status::not_found(format!("rollup {id} is not registered with this network")))
    }

    async fn next_sequence(&self, rollup: RollupId) -> Result<u64, Status> {
        let cursor = self.read(move |store| archive::cursor(store, rollup)).await?;
        Ok(cursor.map_or(0, |cursor| cursor.next_sequence))
    }
}

#[tonic::async_trait]
impl SequenceService for Sequence {
    type StreamBatchesStream = Answers<v1::StreamBatchesResponse>;

    async fn get_network_info(
        &self,
        _: Request<v1::GetNetworkInfoRequest>,
    ) -> Result<Response<v1::GetNetworkInfoResponse>, Status> {
        let context = &self.0;
        context.metrics.request("get_network_info");
        let snapshot = context.driver.snapshot();
        Ok(Response::new(v1::GetNetworkInfoResponse {
            network_id: context.network_id.as_bytes().to_vec(),
            genesis_json: context.genesis_json.clone(),
            decided_height: snapshot.status.decided.as_u64(),
            revealed_height: snapshot.revealed.height.as_u64(),
            // Nothing is pruned: history begins with the first block.
            earliest_height: Height::ZERO.next().as_u64(),
        }))
    }

    async fn stream_batches(
        &self,
        request: Request<v1::StreamBatchesRequest>,
    ) -> Result<Response<Self::StreamBatchesStream>, Status> {
        let context = &self.0;
        context.metrics.request("stream_batches");
        let BatchStream { rollup, begin } = request.into_inner().try_into()?;
        context.check_rollup(rollup)?;
        let mut cursor = Cursor { rollup, next: 0, after: Height::ZERO };
        match begin {
            Begin::Sequence(sequence) => cursor.next = sequence,
            Begin::After(height) => {
                cursor.after = height;
                cursor.next = context.read(move |store| first_above(store, rollup, height)).await?;
            }
            Begin::Latest => cursor.next = context.next_sequence(rollup).await?,
        }
        let task = stream(Arc::clone(context), cursor);
        Ok(Response::new(context.stream(&context.batch_streams, task)?))
    }

    async fn get_batches(
        &self,
        request: Request<v1::GetBatchesRequest>,
    ) -> Result<Response<v1::GetBatchesResponse>, Status> {
        let context = &self.0;
        context.metrics.request("get_batches");
        let wanted: BatchPage = request.into_inner().try_into()?;
        let rollup = wanted.rollup;
        context.check_rollup(rollup)?;
        let next_sequence = context.next_sequence(rollup).await?;
        let sequences = wanted.sequences(next_sequence);
        let batches = context.read(move |store| page(store, rollup, sequences, PAGE_BYTES)).await?;
        Ok(Response::new(v1::GetBatchesResponse {
            batches: batches.iter().map(Into::into).collect(),
            next_sequence,
        }))
    }
}

/// The sequence of the first batch above `height`.
pub(super) fn first_above(
    store: &RocksStore,
    rollup: RollupId,
    height: Height,
) -> Result<u64, ArchiveError<StoreError>> {
    let cursor = archive::cursor(store, rollup)?;
    // Heights rise with sequences, so half of what is left falls away with each look.
    let (mut low, mut high) = (0, cursor.map_or(0, |cursor| cursor.next_sequence));
    while low < high {
        let middle = low.midpoint(high);
        let found = archive::batches(store, rollup, middle, 1)?;
        if found.first().is_some_and(|batch| batch.height <= height) {
            low = middle.saturating_add(1);
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn size(batch: &Batch) -> usize {
    batch.items.iter().map(|item| item.transaction.len()).sum()
}

/// Batches in order, up to the first that makes them `bytes_max` or more.
fn page(
    store: &RocksStore,
    rollup: RollupId,
    sequences: std::ops::Range<u64>,
    bytes_max: usize,
) -> Result<Vec<Batch>, ArchiveError<StoreError>> {
    let mut page: Vec<Batch> = Vec::new();
    let mut bytes = 0_usize;
    for sequence in sequences {
        let found = archive::batches(store, rollup, sequence, 1)?;
        if found.is_empty() {
            break;
        }
        page.extend(found);
        bytes = bytes.saturating_add(page.last().map_or(0, size));
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(page)
}

/// Where a stream stands.
struct Cursor {
    rollup: RollupId,
    /// The sequence that it reads next.
    next: u64,
    /// Batches up to this height are passed over: it may lie in the future.
    after: Height,
}

fn stream(
    context: Arc<Context>,
    cursor: Cursor,
) -> impl FnOnce(Feed<v1::StreamBatchesResponse>) -> futures::future::BoxFuture<'static, ()> {
    move |feed| {
        Box::pin(async move {
            if let Err(status) = follow(&context, cursor, &feed).await {
                feed.fail(status).await;
            }
        })
    }
}

/// Sends every batch from the cursor on, and a heartbeat whenever all up to a revealed height were sent
/// or nothing was said for a while. Returns when the consumer leaves or the node stops.
async fn follow(
    context: &Context,
    mut cursor: Cursor,
    feed: &Feed<v1::StreamBatchesResponse>,
) -> Result<(), Status> {
    let mut snapshots = context.driver.watch();
    let mut told = None;
    let mut due = Instant::now();
    loop {
        // Taken before the store is read: every batch up to this height is in it.
        let tip = snapshots.borrow_and_update().revealed;
        let news = told != Some(tip.height);
        if news && !deliver(context, &mut cursor, feed).await? {
            return Ok(());
        }
        if news || due <= Instant::now() {
            let next_sequence = context.next_sequence(cursor.rollup).await?.min(cursor.next);
            let event = Event::Heartbeat(heartbeat(&tip, next_sequence));
            if !feed.send(v1::StreamBatchesResponse { event: Some(event) }).await {
                return Ok(());
            }
            told = Some(tip.height);
            due = Instant::now() + HEARTBEAT_EVERY;
        }
        // Too late is no error: it is time for a heartbeat.
        if let Ok(Err(_)) = tokio::time::timeout_at(due, snapshots.changed()).await {
            return Ok(());
        }
    }
}

/// Sends all batches that there are; returns whether the consumer still takes them.
async fn deliver(
    context: &Context,
    cursor: &mut Cursor,
    feed: &Feed<v1::StreamBatchesResponse>,
) -> Result<bool, Status> {
    loop {
        let (rollup, next) = (cursor.rollup, cursor.next);
        let sequences = next..next.saturating_add(READ_AHEAD);
        let read = move |store: &_| page(store, rollup, sequences, READ_AHEAD_BYTES);
        let batches = context.read(read).await?;
        if batches.is_empty() {
            return Ok(true);
        }
        for batch in batches {
            if batch.sequence != cursor.next {
                let found = batch.sequence;
                tracing::error!(%rollup, next = cursor.next, found, "a batch is missing");
                return Err(Status::data_loss("a batch is missing from this node's store"));
            }
            cursor.next = cursor.next.saturating_add(1);
            if batch.height <= cursor.after {
                continue;
            }
            let event = Event::Batch((&batch).into());
            if !feed.send(v1::StreamBatchesResponse { event: Some(event) }).await {
                return Ok(false);
            }
        }
    }
}

fn heartbeat(tip: &RevealedTip, next_sequence: u64) -> v1::Heartbeat {
    v1::Heartbeat {
        revealed_height: tip.height.as_u64(),
        time_micros: tip.time.as_micros(),
        block_id: tip.block.as_bytes().to_vec(),
        next_sequence,
    }
}
