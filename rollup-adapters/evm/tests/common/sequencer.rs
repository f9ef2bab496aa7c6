//! A sequencer node that serves a script of batches, as a test wants it: in chunks, again and again,
//! with connections that break, with gaps.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use alloy::primitives::keccak256;
use conclave_grpc::{
    messages::{
        GetBatchesRequest, GetBatchesResponse, GetNetworkInfoRequest, GetNetworkInfoResponse,
        Heartbeat, StreamBatchesRequest, StreamBatchesResponse, stream_batches_request::Start,
        stream_batches_response::Event,
    },
    v1::sequence_service_server::{SequenceService, SequenceServiceServer},
};
use conclave_types::{
    Batch, BatchItem, BlockId, BundleId, Digest, EncryptionKey, Era, G1Bytes, G2Bytes, Genesis,
    Height, ItemSource, L1Origin, LegRef, Params, PayerAddress, RollupId, RollupRegistration, Time,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status};

use super::{CHAIN_ID, GAS_LIMIT};

/// The first block's time, in seconds.
pub const START: u64 = 1_800_000_000;

/// What the sequencer has, and how badly it behaves.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub batches: Vec<Batch>,
    /// Time that the chain has reached, in microseconds.
    pub time_micros: u64,
    /// Start this many batches before the one that was asked for.
    pub replay: usize,
    /// Break each connection after so many batches.
    pub break_after: Option<usize>,
    /// Leave out this sequence.
    pub omit: Option<u64>,
}

/// A network's genesis that registers rollup 901.
pub fn genesis(name: &str) -> Genesis {
    let rollup = RollupRegistration {
        id: RollupId::new(CHAIN_ID),
        name: "test".into(),
        gas_limit: GAS_LIMIT,
    };
    Genesis {
        name: name.into(),
        time: Time::ZERO,
        l1_chain_id: 0,
        l1_contract: PayerAddress::ZERO,
        l1_origin: L1Origin { number: 0, hash: Digest::ZERO },
        params: Params::default(),
        members: Vec::new(),
        encryption_key: Some(EncryptionKey {
            suite: 1,
            era: Era::ZERO,
            secrecy: 1,
            packing: 1,
            public_key: G1Bytes::ZERO,
            public_key_g2: G2Bytes::ZERO,
            verification_keys: Vec::new(),
        }),
        rollups: vec![rollup],
        accounts: Vec::new(),
    }
}

#[derive(Clone, Debug)]
struct Service {
    genesis: Genesis,
    script: watch::Receiver<Script>,
    streams: Arc<Mutex<Vec<u64>>>,
}

/// The running sequencer.
#[derive(Debug)]
pub struct Sequencer {
    pub url: String,
    script: watch::Sender<Script>,
    streams: Arc<Mutex<Vec<u64>>>,
}

impl Sequencer {
    pub async fn start(script: Script) -> Self {
        Self::start_as(genesis("test"), script).await
    }

    pub async fn start_as(genesis: Genesis, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (script, view) = watch::channel(script);
        let streams = Arc::<Mutex<Vec<u64>>>::default();
        let service = Service { genesis, script: view, streams: streams.clone() };
        let server = tonic::transport::Server::builder()
            .add_service(SequenceServiceServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        Self { url: format!("http://{address}"), script, streams }
    }

    /// Orders transactions at the next height, `after_ms` after the block before.
    pub fn order(&self, after_ms: u64, transactions: Vec<Vec<u8>>) -> u64 {
        self.script.send_modify(|script| push(script, after_ms, transactions));
        self.next_sequence()
    }

    /// Lets time pass without a batch.
    pub fn pass(&self, ms: u64) {
        self.script.send_modify(|script| script.time_micros += ms * 1_000);
    }

    pub fn change(&self, change: impl FnOnce(&mut Script)) {
        self.script.send_modify(change);
    }

    pub fn next_sequence(&self) -> u64 {
        self.script.borrow().batches.len() as u64
    }

    /// The sequences that streams were asked from so far.
    pub fn streams(&self) -> Vec<u64> {
        self.streams.lock().unwrap().clone()
    }
}

/// The id of the bundle that carries item `index` of batch `sequence`.
pub fn bundle_id(sequence: u64, index: usize) -> BundleId {
    BundleId::new(keccak256(format!("bundle {sequence} {index}")).0)
}

/// Adds a batch to a script. Every third height is not ours.
pub fn push(script: &mut Script, after_ms: u64, transactions: Vec<Vec<u8>>) {
    let sequence = script.batches.len() as u64;
    script.time_micros = script.time_micros.max(START * 1_000_000) + after_ms * 1_000;
    let items = transactions.into_iter().enumerate().map(|(index, transaction)| BatchItem {
        transaction,
        source: ItemSource::Leg(LegRef { bundle: bundle_id(sequence, index), leg: 0, legs: 1 }),
    });
    let previous = script.batches.last().map_or(Height::ZERO, |batch| batch.height);
    script.batches.push(Batch {
        rollup: RollupId::new(CHAIN_ID),
        sequence,
        previous_height: previous,
        height: Height::new(previous.as_u64() + 1 + sequence % 3),
        block: BlockId::new(keccak256(format!("block {sequence}")).0),
        time: Time::from_micros(script.time_micros),
        l1_origin: L1Origin { number: 0, hash: Digest::ZERO },
        randomness: Digest::new(keccak256(format!("randomness {sequence}")).0),
        items: items.collect(),
    });
}

type Answers = Pin<Box<dyn Stream<Item = Result<StreamBatchesResponse, Status>> + Send>>;

#[tonic::async_trait]
impl SequenceService for Service {
    type StreamBatchesStream = Answers;

    async fn get_network_info(
        &self,
        _: Request<GetNetworkInfoRequest>,
    ) -> Result<Response<GetNetworkInfoResponse>, Status> {
        Ok(Response::new(GetNetworkInfoResponse {
            network_id: self.genesis.network_id().as_bytes().to_vec(),
            genesis_json: serde_json::to_string(&self.genesis).unwrap(),
            ..GetNetworkInfoResponse::default()
        }))
    }

    async fn stream_batches(
        &self,
        request: Request<StreamBatchesRequest>,
    ) -> Result<Response<Answers>, Status> {
        let Some(Start::Sequence(from)) = request.into_inner().start else {
            return Err(Status::unimplemented("only by sequence"));
        };
        self.streams.lock().unwrap().push(from);
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        tokio::spawn(play(self.script.clone(), usize::try_from(from).unwrap(), sender));
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver).map(Ok))))
    }

    async fn get_batches(
        &self,
        _: Request<GetBatchesRequest>,
    ) -> Result<Response<GetBatchesResponse>, Status> {
        Err(Status::unimplemented("not used"))
    }
}

async fn play(
    mut script: watch::Receiver<Script>,
    from: usize,
    sender: tokio::sync::mpsc::Sender<StreamBatchesResponse>,
) -> Option<()> {
    let mut next = from.saturating_sub(script.borrow().replay);
    let mut sent = 0;
    loop {
        let now = script.borrow_and_update().clone();
        for batch in now.batches.iter().skip(next) {
            if now.break_after.is_some_and(|most| sent >= most) {
                return None;
            }
            if now.omit != Some(batch.sequence) {
                let event = Some(Event::Batch(batch.into()));
                sender.send(StreamBatchesResponse { event }).await.ok()?;
                sent += 1;
            }
        }
        next = now.batches.len();
        let beat = Heartbeat {
            revealed_height: now.batches.last().map_or(0, |batch| batch.height.as_u64()),
            time_micros: now.time_micros,
            block_id: vec![0; 32],
            next_sequence: now.batches.len() as u64,
        };
        sender.send(StreamBatchesResponse { event: Some(Event::Heartbeat(beat)) }).await.ok()?;
        script.changed().await.ok()?;
    }
}
