//! `SequenceService`: for rollups. Contiguous by construction: a stream is a cursor over the store, and
//! the cursor moves by one.

use std::sync::Arc;

use conclave_grpc::v1::sequence_service_server::SequenceService;
use conclave_sequencer::archive;
use conclave_types::{
    Batch, Height, RollupId,
    proto::v1::{self, stream_batches_request::Start, stream_batches_response::Event},
};
use tonic::{Request, Response, Status};

use super::{Answers, Context, Feed};
use crate::driver::RevealedTip;

/// Batches that a page may hold, as the proto says.
const PAGE_BATCHES_MAX: u32 = 100;
/// Bytes after which a page is cut. A page always holds one batch, whatever its size.
const PAGE_BYTES: usize = 3 << 20;
/// Batches that a stream reads ahead; one may be as large as a block.
const READ_AHEAD: usize = 4;

/// The service.
pub(super) struct Sequence(pub(super) Arc<Context>);

impl Context {
    fn known_rollup(&self, id: u64) -> Result<RollupId, Status> {
        let id = RollupId::new(id);
        if self.genesis.rollups.iter().any(|rollup| rollup.id == id) {
            return Ok(id);
        }
        Err(Status::not_found(format!("rollup {id} is not registered with this network")))
    }

    async fn next_sequence(&self, rollup: RollupId) -> Result<u64, Status> {
        let cursor = self.read(move |store| archive::cursor(store, rollup)).await?;
        Ok(cursor.map_or(0, |cursor| cursor.next_sequence))
    }

    /// The sequence of the first batch above `height`.
    async fn first_above(&self, rollup: RollupId, height: Height) -> Result<u64, Status> {
        let next = self.next_sequence(rollup).await?;
        self.read(move |store| {
            // Heights rise with sequences, so half of what is left falls away with each look.
            let (mut low, mut high) = (0, next);
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
        })
        .await
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
        let request = request.into_inner();
        let rollup = context.known_rollup(request.rollup_id)?;
        let next = match request.start {
            Some(Start::Sequence(sequence)) => sequence,
            Some(Start::AfterHeight(height)) => {
                context.first_above(rollup, Height::new(height)).await?
            }
            Some(Start::Latest(_)) => context.next_sequence(rollup).await?,
            None => return Err(Status::invalid_argument("field start is missing")),
        };
        let task = stream(Arc::clone(context), rollup, next);
        Ok(Response::new(context.stream(task)?))
    }

    async fn get_batches(
        &self,
        request: Request<v1::GetBatchesRequest>,
    ) -> Result<Response<v1::GetBatchesResponse>, Status> {
        let context = &self.0;
        context.metrics.request("get_batches");
        let request = request.get_ref();
        let rollup = context.known_rollup(request.rollup_id)?;
        let (from, count) = (request.from_sequence, request.count);
        if count == 0 || count > PAGE_BATCHES_MAX {
            return Err(Status::invalid_argument(format!(
                "count is 1 to {PAGE_BATCHES_MAX}, found {count}"
            )));
        }
        let next_sequence = context.next_sequence(rollup).await?;
        let batches = context
            .read(move |store| {
                let mut page: Vec<Batch> = Vec::new();
                let mut bytes = 0_usize;
                for sequence in (from..next_sequence).take(count as usize) {
                    page.extend(archive::batches(store, rollup, sequence, 1)?);
                    bytes = bytes.saturating_add(page.last().map_or(0, size));
                    if bytes >= PAGE_BYTES {
                        break;
                    }
                }
                Ok(page)
            })
            .await?;
        Ok(Response::new(v1::GetBatchesResponse {
            batches: batches.iter().map(Into::into).collect(),
            next_sequence,
        }))
    }
}

fn size(batch: &Batch) -> usize {
    batch.items.iter().map(|item| item.transaction.len()).sum()
}

fn stream(
    context: Arc<Context>,
    rollup: RollupId,
    next: u64,
) -> impl FnOnce(Feed<v1::StreamBatchesResponse>) -> futures::future::BoxFuture<'static, ()> {
    move |feed| {
        Box::pin(async move {
            if let Err(status) = follow(&context, rollup, next, &feed).await {
                feed.fail(status).await;
            }
        })
    }
}

/// Sends every batch from `next` on, and a heartbeat whenever all up to a revealed height were sent.
/// Returns when the consumer leaves or the node stops.
async fn follow(
    context: &Context,
    rollup: RollupId,
    mut next: u64,
    feed: &Feed<v1::StreamBatchesResponse>,
) -> Result<(), Status> {
    let mut snapshots = context.driver.watch();
    let mut told = None;
    loop {
        // Taken before the store is read: every batch up to this height is in it.
        let tip = snapshots.borrow_and_update().revealed;
        if told != Some(tip.height) {
            loop {
                let read = move |store: &_| archive::batches(store, rollup, next, READ_AHEAD);
                let batches = context.read(read).await?;
                if batches.is_empty() {
                    break;
                }
                for batch in batches {
                    if batch.sequence != next {
                        tracing::error!(%rollup, next, found = batch.sequence, "a batch is missing");
                        return Err(Status::data_loss("a batch is missing from this node's store"));
                    }
                    next = next.saturating_add(1);
                    let event = Event::Batch((&batch).into());
                    if !feed.send(v1::StreamBatchesResponse { event: Some(event) }).await {
                        return Ok(());
                    }
                }
            }
            let next_sequence = context.next_sequence(rollup).await?.min(next);
            let event = Event::Heartbeat(heartbeat(&tip, next_sequence));
            if !feed.send(v1::StreamBatchesResponse { event: Some(event) }).await {
                return Ok(());
            }
            told = Some(tip.height);
        }
        if snapshots.changed().await.is_err() {
            return Ok(());
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
