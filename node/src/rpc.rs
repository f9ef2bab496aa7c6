//! The public API: the four gRPC services of `types/proto`, with reflection and health; as gRPC-Web too,
//! if pages in a browser are to call it.
//!
//! Answers come from the store, which readers share with the driver; only submissions and the pool are
//! the driver's. **Streams are level-triggered:** they watch the snapshot, read what is new from the store
//! and wait. A slow consumer therefore costs one waiting message, loses nothing, and needs no replay
//! buffer; live and history are the same path.

mod kept;
mod proofs;
mod recent;
pub mod requests;
mod sequence;
mod settlement;
mod status;
mod submit;
mod view;
pub(crate) mod web;

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use conclave_grpc::{
    doors::{Bounds, Doors},
    v1::{
        node_service_server::NodeServiceServer, sequence_service_server::SequenceServiceServer,
        settlement_service_server::SettlementServiceServer,
        submit_service_server::SubmitServiceServer,
    },
};
use conclave_sequencer::archive::ArchiveError;
use conclave_types::{EncryptedBundle, Genesis, NetworkId, digest::SigningDomain};
use ed25519_dalek::{Signer as _, SigningKey};
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, service::InterceptorLayer, transport::Server};
use tonic_web::GrpcWebLayer;

use self::{proofs::Trees, recent::Recent, status::ElectedCommittees, web::WebOrigin};
use crate::{
    driver::{AskError, Driver},
    essential::Essentials,
    l1::L1Views,
    metrics::Metrics,
    network::Network,
    store::{RocksStore, StoreError},
};

/// A request holds one bundle or a few ids.
const REQUEST_BYTES_MAX: usize = EncryptedBundle::ENCODED_BYTES_MAX + 1_024;
/// Messages that wait for a slow consumer of a stream; each may be a batch of some MiB.
const STREAM_QUEUE_MAX: usize = 1;
/// Reads of the store at once; each may yield a block of some MiB.
const READS_MAX: usize = 32;
/// A call, or the beginning of a stream, takes no longer.
const CALL_PATIENCE: Duration = Duration::from_secs(30);
/// Calls at once on one connection.
const CALLS_PER_CONNECTION_MAX: u32 = 512;
/// A connection that says nothing is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// One connection carries all calls of a client. A quarter of the files that a node needs at least may be
/// clients; one that does not even answer [`KEEPALIVE`] is gone well before it counts as idle.
const BOUNDS: Bounds = Bounds { connections_max: 1_024, idle_max: Duration::from_secs(60) };

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The address cannot be listened on.
    #[error("cannot listen on grpc.listen = {address}; choose a free port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The descriptors for reflection are damaged: the program was built wrongly.
    #[error("the descriptors for reflection cannot be read")]
    Reflection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The genesis cannot be written as JSON.
    #[error("the genesis cannot be written as JSON")]
    Genesis(#[from] serde_json::Error),
}

/// What signs receipts while this node is a member of the committee.
pub struct ReceiptSigner {
    /// Its consensus key.
    pub key: SigningKey,
    /// What separates this network's signatures from others'.
    pub domain: SigningDomain,
}

impl ReceiptSigner {
    fn sign(&self, digest: &conclave_types::Digest) -> Vec<u8> {
        self.key.sign(digest.as_bytes()).to_bytes().to_vec()
    }
}

/// What the API is made of.
pub struct Parts {
    /// The genesis.
    pub genesis: Arc<Genesis>,
    /// The driver.
    pub driver: Driver,
    /// The store, for reading.
    pub reader: RocksStore,
    /// The transport, for status.
    pub network: Network,
    /// Signs receipts; none on a full node.
    pub signer: Option<ReceiptSigner>,
    /// What the node sees of L1, if it follows one.
    pub l1: Option<L1Views>,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
    /// Streams of blocks and of bundles' fates that may be open at once.
    pub streams_max: u32,
    /// Streams of batches that may be open at once.
    pub batch_streams_max: u32,
    /// Pages that may call from a browser, as `grpc.web_origins` writes them.
    pub(crate) web_origins: Vec<WebOrigin>,
    /// Tasks that the node waits for when it stops.
    pub tasks: TaskTracker,
    /// Where the server itself is looked after.
    pub essentials: Essentials,
}

/// What every service needs.
pub(crate) struct Context {
    genesis: Arc<Genesis>,
    genesis_json: String,
    network_id: NetworkId,
    driver: Driver,
    reader: Arc<RocksStore>,
    recent: Recent,
    trees: Trees,
    elected: ElectedCommittees,
    network: Network,
    signer: Option<ReceiptSigner>,
    l1: Option<L1Views>,
    metrics: Arc<Metrics>,
    /// Apart, so that whoever watches never keeps a rollup from its batches.
    streams: Arc<Semaphore>,
    batch_streams: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where a stream's task puts its answers.
struct Feed<T> {
    answers: mpsc::Sender<Result<T, Status>>,
    _permit: OwnedSemaphorePermit,
}

impl<T> Feed<T> {
    /// Sends one answer, waiting while the consumer is slow. False once it is gone.
    async fn send(&self, answer: T) -> bool {
        self.answers.send(Ok(answer)).await.is_ok()
    }

    /// Ends the stream with an error.
    async fn fail(&self, status: Status) {
        if self.answers.send(Err(status)).await.is_err() {
            tracing::trace!("the consumer of a stream left before its error");
        }
    }
}

impl Context {
    /// Runs `task` as the source of a stream; it ends with the node or the consumer.
    fn stream<T, F, Task>(&self, places: &Arc<Semaphore>, task: F) -> Result<Answers<T>, Status>
    where
        T: Send + 'static,
        F: FnOnce(Feed<T>) -> Task,
        Task: Future<Output = ()> + Send + 'static,
    {
        let Ok(permit) = Arc::clone(places).try_acquire_owned() else {
            return Err(Status::resource_exhausted(
                "all such streams of this node are taken; try another node, or raise \
                 grpc.streams_max or grpc.batch_streams_max",
            ));
        };
        let (answers, consumer) = mpsc::channel(STREAM_QUEUE_MAX);
        let left = answers.clone();
        let task = task(Feed { answers, _permit: permit });
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = left.closed() => {}
                () = stop.cancelled() => {
                    let stopping = Err(Status::unavailable("the node is stopping"));
                    if left.try_send(stopping).is_err() {
                        tracing::trace!("the consumer of a stream is slow or gone");
                    }
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(consumer)))
    }

    /// Reads what may be large away from the threads that serve the network, and not much at once.
    async fn read<T, F>(&self, read: F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: FnOnce(&RocksStore) -> Result<T, ArchiveError<StoreError>> + Send + 'static,
    {
        let reader = Arc::clone(&self.reader);
        self.blocking(move || read(&reader).map_err(|error| damaged(&error))).await
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Status> + Send + 'static,
    {
        let permit = Arc::clone(&self.reads).acquire_owned().await.or(Err(stopping()))?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a read failed");
            Err(Status::internal("the read failed; see the node's log"))
        })
    }
}

/// Tells the operator what is damaged, and the client that something is.
fn damaged(error: &ArchiveError<StoreError>) -> Status {
    tracing::error!(error = error as &dyn std::error::Error, "cannot read the store");
    Status::internal("the node cannot read its store; see its log")
}

fn stopping() -> Status {
    Status::unavailable("the node is stopping")
}

fn unanswered(error: AskError) -> Status {
    match error {
        AskError::Busy => Status::resource_exhausted(error.to_string()),
        AskError::Stopping => stopping(),
    }
}

fn malformed(error: &dyn std::error::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Serves the API until `stop`; returns the address that it really listens on.
///
/// # Errors
///
/// If the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    parts: Parts,
    stop: CancellationToken,
) -> Result<SocketAddr, RpcError> {
    let refused = |source| RpcError::Listen { address, source };
    let doors = Doors::open(address, BOUNDS).await.map_err(refused)?;
    let bound = doors.address().map_err(refused)?;
    let context = Arc::new(Context {
        genesis_json: serde_json::to_string(&*parts.genesis)?,
        network_id: parts.genesis.network_id(),
        genesis: parts.genesis,
        driver: parts.driver,
        reader: Arc::new(parts.reader),
        recent: Recent::default(),
        trees: Trees::default(),
        elected: ElectedCommittees::default(),
        network: parts.network,
        signer: parts.signer,
        l1: parts.l1,
        metrics: parts.metrics,
        streams: Arc::new(Semaphore::new(parts.streams_max as usize)),
        batch_streams: Arc::new(Semaphore::new(parts.batch_streams_max as usize)),
        reads: Arc::new(Semaphore::new(READS_MAX)),
        tasks: parts.tasks.clone(),
        stop: stop.clone(),
    });
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(conclave_grpc::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| RpcError::Reflection(Box::new(error)))?;
    let submit = SubmitServiceServer::new(submit::Submit(Arc::clone(&context)));
    let sequence = SequenceServiceServer::new(sequence::Sequence(Arc::clone(&context)));
    let settlement = SettlementServiceServer::new(settlement::Settlement(Arc::clone(&context)));
    let node = NodeServiceServer::new(status::Node(context));
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SubmitServiceServer<submit::Submit>>().await;
    health.set_serving::<SequenceServiceServer<sequence::Sequence>>().await;
    health.set_serving::<SettlementServiceServer<settlement::Settlement>>().await;
    health.set_serving::<NodeServiceServer<status::Node>>().await;
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .max_concurrent_streams(Some(CALLS_PER_CONNECTION_MAX))
        .timeout(CALL_PATIENCE)
        // Browsers speak HTTP/1.1 to a port without TLS; nobody else needs it.
        .accept_http1(!parts.web_origins.is_empty())
        .layer(InterceptorLayer::new(web::guard(&parts.web_origins)))
        .layer(web::cors(&parts.web_origins))
        .layer(GrpcWebLayer::new())
        .add_service(health_service)
        .add_service(reflection)
        .add_service(submit.max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(sequence.max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(settlement.max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(node.max_decoding_message_size(REQUEST_BYTES_MAX));
    let served = router.serve_with_incoming_shutdown(doors.guests(), stop.cancelled_owned());
    parts.tasks.spawn(parts.essentials.watch("gRPC server", served));
    Ok(bound)
}

#[cfg(test)]
mod tests;
