//! `NodeService`: for operators, explorers and the curious.

use std::sync::Arc;

use conclave_grpc::v1::node_service_server::NodeService;
use conclave_sequencer::{
    L1Position,
    archive::{self, ArchiveError, StoredReveal},
};
use conclave_types::{
    Epoch, Height, Outcome, RevealedBlock, RevealedBundle,
    proto::v1::{self, Level},
    wire,
};
use tonic::{Request, Response, Status};

use super::{
    Answers, Context, Feed, damaged,
    kept::Kept,
    malformed,
    requests::{CommitteesFrom, Named},
    unanswered,
};
use crate::{
    l1::{L1Views, follow::Sight},
    store::{RocksStore, StoreError},
};

/// Committees in one answer, as the proto says: of a hundred members each, a few hundred kilobytes.
const COMMITTEES_MAX: usize = 16;

/// Committees that are kept as they are told: who follows them asks for all from some epoch on. A few MiB of them.
const KEPT_MAX: usize = 64;

/// The committees that were asked for last.
pub(super) type ElectedCommittees = Kept<Epoch, v1::ElectedCommittee, KEPT_MAX>;

/// The service.
pub(super) struct Node(pub(super) Arc<Context>);

#[tonic::async_trait]
impl NodeService for Node {
    type StreamBlocksStream = Answers<v1::StreamBlocksResponse>;

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let context = &self.0;
        context.metrics.request("get_status");
        let snapshot = context.driver.snapshot();
        let status = &snapshot.status;
        let index = status.validator;
        let member = index.and_then(|index| context.genesis.members.get(index.as_usize()));
        let name = match (index, member) {
            (Some(_), Some(member)) => member.name.clone(),
            (Some(index), None) => format!("validator {index}"),
            (None, _) => "full node".to_owned(),
        };
        let peers = context.network.traffic().into_iter().map(|peer| v1::PeerStatus {
            peer_id: peer.peer_id,
            name: peer.name,
            connected: peer.connected,
            bytes_sent: peer.bytes_sent,
            bytes_received: peer.bytes_received,
        });
        Ok(Response::new(v1::GetStatusResponse {
            network_id: context.network_id.as_bytes().to_vec(),
            name,
            validator: index.map_or(-1, |index| i32::from(index.as_u16())),
            signing: status.not_signing.is_none(),
            not_signing_reason: status.not_signing.clone().unwrap_or_default(),
            decided_height: status.decided.as_u64(),
            revealed_height: snapshot.revealed.height.as_u64(),
            round: status.round.as_u32(),
            chain_digest: status.chain_digest.as_bytes().to_vec(),
            pool_bundles: status.pool.bundles as u64,
            pool_bytes: status.pool.bytes as u64,
            peers: peers.collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            evidence_count: status.evidence_count,
            epoch: status.epoch.as_u64(),
            key_id: status.key.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
            next_key_id: status.next_key.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
            l1: (context.genesis.l1_chain_id != 0).then(|| l1_status(context, &snapshot.l1)),
        }))
    }

    async fn get_block(
        &self,
        request: Request<v1::GetBlockRequest>,
    ) -> Result<Response<v1::GetBlockResponse>, Status> {
        let context = &self.0;
        context.metrics.request("get_block");
        let height = Height::new(request.get_ref().height);
        let public = context.driver.snapshot().revealed.height;
        let found = context
            .read(move |store| {
                let Some(stored) = archive::block(store, height)? else { return Ok(None) };
                if height > public {
                    return Ok(Some((stored, None)));
                }
                let reveal = archive::reveal(store, height)?;
                Ok(Some((stored, reveal.zip(archive::revealed(store, height)?))))
            })
            .await?;
        let Some((stored, reveal)) = found else {
            return Err(Status::not_found(format!("height {height} is not decided on this node")));
        };
        let bundles = stored.block.body.bundles.iter();
        Ok(Response::new(v1::GetBlockResponse {
            block_id: stored.block.id().as_bytes().to_vec(),
            header: Some((&stored.block.header).into()),
            certificate: Some((&stored.certificate).into()),
            bundle_ids: bundles.map(|id| id.as_bytes().to_vec()).collect(),
            reveal: reveal.map(|(reveal, block)| reveal_message(&reveal, &block)),
        }))
    }

    async fn get_bundle(
        &self,
        request: Request<v1::GetBundleRequest>,
    ) -> Result<Response<v1::GetBundleResponse>, Status> {
        self.0.metrics.request("get_bundle");
        let Named(id) = request.into_inner().try_into()?;
        // The pool first: a bundle that leaves it for a block is in the store by then.
        let pooled = self.0.driver.ask(move |core| core.pooled(&id)).await.map_err(unanswered)?;
        let bundle = match pooled {
            Some(bundle) => borsh::to_vec(&*bundle),
            None => match self.0.read(move |store| archive::bundle(store, &id)).await? {
                Some(bundle) => borsh::to_vec(&bundle),
                None => return Err(Status::not_found(format!("bundle {id} is not known here"))),
            },
        };
        let bundle = bundle.map_err(|error| malformed(&error))?;
        Ok(Response::new(v1::GetBundleResponse { bundle }))
    }

    async fn stream_blocks(
        &self,
        _: Request<v1::StreamBlocksRequest>,
    ) -> Result<Response<Self::StreamBlocksStream>, Status> {
        self.0.metrics.request("stream_blocks");
        let context = Arc::clone(&self.0);
        let answers = self.0.stream(&self.0.streams, |feed| async move {
            if let Err(status) = follow(&context, &feed).await {
                feed.fail(status).await;
            }
        })?;
        Ok(Response::new(answers))
    }

    async fn get_committees(
        &self,
        request: Request<v1::GetCommitteesRequest>,
    ) -> Result<Response<v1::GetCommitteesResponse>, Status> {
        let context = &self.0;
        context.metrics.request("get_committees");
        let CommitteesFrom(first) = request.into_inner().try_into()?;
        let (mut committees, mut epoch) = (Vec::new(), first);
        while committees.len() < COMMITTEES_MAX {
            let kept = Arc::clone(context);
            let read = move |store: &_| kept.elected.get_or(epoch, || elected(store, epoch));
            let Some(elected) = context.read(read).await? else { break };
            committees.push(v1::ElectedCommittee::clone(&elected));
            epoch = epoch.next();
        }
        if committees.is_empty() {
            return Err(Status::unavailable(format!(
                "the end of epoch {} is not certified on this node yet; it is in epoch {}",
                first.as_u64().saturating_sub(1),
                context.driver.snapshot().status.epoch
            )));
        }
        Ok(Response::new(v1::GetCommitteesResponse { committees }))
    }
}

/// A committee with the commitment that names it; none while that has no certificate here.
fn elected(
    store: &RocksStore,
    epoch: Epoch,
) -> Result<Option<v1::ElectedCommittee>, ArchiveError<StoreError>> {
    let Some(before) = epoch.as_u64().checked_sub(1).map(Epoch::new) else { return Ok(None) };
    let Some(last) = archive::epoch_end(store, before)? else { return Ok(None) };
    let certificate = archive::certificate(store, last)?;
    let committee = archive::committee(store, epoch)?;
    Ok(certificate.zip(committee).map(|(certificate, committee)| v1::ElectedCommittee {
        epoch: epoch.as_u64(),
        members: wire::members(&committee),
        certificate: Some((&certificate).into()),
    }))
}

/// Tells every decided and every revealed block from now on.
async fn follow(
    context: &Arc<Context>,
    feed: &Feed<v1::StreamBlocksResponse>,
) -> Result<(), Status> {
    let mut snapshots = context.driver.watch();
    let (mut decided, mut revealed) = {
        let snapshot = snapshots.borrow_and_update();
        (snapshot.status.decided, snapshot.revealed.height)
    };
    while snapshots.changed().await.is_ok() {
        let (new_decided, new_revealed) = {
            let snapshot = snapshots.borrow_and_update();
            (snapshot.status.decided, snapshot.revealed.height)
        };
        for height in decided.up_to(new_decided) {
            if !feed.send(block_message(context, Level::Ordered, height).await?).await {
                return Ok(());
            }
        }
        for height in revealed.up_to(new_revealed) {
            if !feed.send(block_message(context, Level::Revealed, height).await?).await {
                return Ok(());
            }
        }
        (decided, revealed) = (new_decided, new_revealed);
    }
    Ok(())
}

async fn block_message(
    context: &Arc<Context>,
    level: Level,
    height: Height,
) -> Result<v1::StreamBlocksResponse, Status> {
    let reader = Arc::clone(context);
    context.blocking(move || read_block_message(&reader, level, height)).await
}

fn read_block_message(
    context: &Context,
    level: Level,
    height: Height,
) -> Result<v1::StreamBlocksResponse, Status> {
    let store = &*context.reader;
    let stored = context.recent.decided(store, height).map_err(|error| damaged(&error))?;
    let Some(stored) = stored else {
        return Err(Status::data_loss(format!("block {height} is missing from this node's store")));
    };
    let chain_digest = if level == Level::Revealed {
        let reveal = archive::reveal(store, height).map_err(|error| damaged(&error))?;
        reveal.map(|reveal| reveal.digest.as_bytes().to_vec()).unwrap_or_default()
    } else {
        Vec::new()
    };
    Ok(v1::StreamBlocksResponse {
        level: level.into(),
        height: height.as_u64(),
        block_id: stored.certificate.block.as_bytes().to_vec(),
        bundle_ids: stored.block.body.bundles.iter().map(|id| id.as_bytes().to_vec()).collect(),
        time_micros: stored.block.header.time.as_micros(),
        chain_digest,
    })
}

fn l1_status(context: &Context, position: &L1Position) -> v1::L1Status {
    let (sight, settlement) = context.l1.as_ref().map(L1Views::now).unwrap_or_default();
    let Sight { newest_final, trouble } = sight;
    v1::L1Status {
        origin_number: position.origin.number,
        origin_hash: position.origin.hash.as_bytes().to_vec(),
        forced_cursor: position.forced_cursor,
        followed: context.l1.is_some(),
        observed_number: position.observed.number,
        final_number: newest_final,
        alarm: trouble.as_ref().is_some_and(|trouble| trouble.kind.is_alarm()),
        trouble: trouble.map(|trouble| trouble.reason).unwrap_or_default(),
        settled_height: settlement.settled,
        final_height: settlement.final_height,
        relay_capped: settlement.capped,
        reports_waiting: settlement.accused,
        report_trouble: settlement.report_trouble,
    }
}

fn reveal_message(reveal: &StoredReveal, block: &RevealedBlock) -> v1::Reveal {
    v1::Reveal {
        beacon: reveal.beacon.as_bytes().to_vec(),
        chain_digest: reveal.digest.as_bytes().to_vec(),
        openings: reveal.openings.iter().map(|opening| opening.as_bytes().to_vec()).collect(),
        bundles: block.bundles.iter().map(bundle_message).collect(),
        share_validators: reveal.share_validators.iter().map(|v| u32::from(v.as_u16())).collect(),
    }
}

fn bundle_message(bundle: &RevealedBundle) -> v1::RevealedBundle {
    let (legs, undecryptable) = match &bundle.outcome {
        Outcome::Opened(legs) => (legs.iter().map(Into::into).collect(), String::new()),
        Outcome::Undecryptable(reason) => (Vec::new(), reason.to_string()),
    };
    v1::RevealedBundle {
        bundle_id: bundle.id.as_bytes().to_vec(),
        payer: bundle.payer.as_bytes().to_vec(),
        draw: bundle.draw.as_bytes().to_vec(),
        legs,
        undecryptable,
    }
}
