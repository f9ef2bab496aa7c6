//! Ethereum JSON-RPC for wallets, over HTTP.
//!
//! The methods are the execution client's own. This module adds the envelope (single and batch
//! requests, size limits, proper errors for garbage), the guards in [`guard`] for questions that the
//! client would answer wrongly, and what is Conclave's: where the rollup stands and what became of
//! an ordered transaction.
//!
//! There is no mempool: the rollup executes what Conclave ordered and nothing else, so a raw
//! transaction handed in here is refused with the way to submit it.

mod conclave;
pub mod envelope;
mod guard;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use conclave_grpc::doors::{Bounds, Doors};
use ethrex_p2p::types::{Node, NodeRecord};
use ethrex_rpc::{
    ClientVersion, GasTipEstimator, NodeData, RpcApiContext, RpcErrorMetadata, RpcNamespace,
    clean_outdated_filters, map_http_requests, rpc::FILTER_DURATION, utils::RpcRequest,
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;

use self::envelope::{Call, Posted, Refusal, Request};
use crate::{chain::Chain, follow::Progress};

/// A request with the largest `eth_call` that makes sense fits; what is larger is refused unread.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Wallets and explorers, each with a connection or a few that it keeps open.
pub const BOUNDS: Bounds = Bounds { connections_max: 512, idle_max: Duration::from_secs(120) };

/// Requests that are answered at once; others wait their turn. Calls run the EVM on the CPU.
const CONCURRENT_MAX: usize = 16;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const INVALID_PARAMS: i32 = -32_602;
const INTERNAL_ERROR: i32 = -32_603;
const SERVER_ERROR: i32 = -32_000;
const LIMIT_EXCEEDED: i32 = -32_005;

const NO_MEMPOOL: &str = "this rollup is sequenced by Conclave and has no mempool of its own: seal \
    the transaction and submit it to the Conclave network, for example with `conclave submit`";

/// Why the RPC server cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The client's context cannot be built.
    #[error("the RPC context cannot be built: {0}")]
    Context(String),
    /// The server fails.
    #[error("the RPC server fails")]
    Serve(#[source] std::io::Error),
}

/// What a method answers.
type Answer = Result<Value, RpcErrorMetadata>;

fn failure(code: i32, message: impl Into<String>) -> RpcErrorMetadata {
    RpcErrorMetadata { code, data: None, message: message.into() }
}

impl From<Refusal> for RpcErrorMetadata {
    fn from(refusal: Refusal) -> Self {
        failure(refusal.code, refusal.message)
    }
}

fn internal(error: impl std::fmt::Display) -> RpcErrorMetadata {
    failure(INTERNAL_ERROR, error.to_string())
}

/// The JSON-RPC server of one chain.
#[derive(Clone)]
pub struct Rpc {
    chain: Chain,
    context: RpcApiContext,
    progress: watch::Receiver<Progress>,
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rpc").field("rollup", &self.chain.rules().rollup).finish_non_exhaustive()
    }
}

impl Rpc {
    /// A server for `chain`.
    ///
    /// # Errors
    ///
    /// [`RpcError::Context`] if the client refuses.
    pub fn new(chain: Chain, progress: watch::Receiver<Progress>) -> Result<Self, RpcError> {
        let context = context(&chain)?;
        let permits = Arc::new(Semaphore::new(CONCURRENT_MAX));
        Ok(Self { chain, context, progress, permits })
    }

    /// Serves whoever comes in at `doors` until `stop`.
    ///
    /// # Errors
    ///
    /// [`RpcError::Serve`] if the socket fails.
    pub async fn serve(self, doors: Doors, stop: CancellationToken) -> Result<(), RpcError> {
        let filters = self.context.active_filters.clone();
        let router = Router::new()
            .route("/", post(handle))
            .route("/health", get(health))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(CorsLayer::permissive())
            .with_state(self);
        let stopped = stop.clone();
        let serving = axum::serve(doors, router)
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        let cleaning = async {
            while tokio::time::timeout(FILTER_DURATION, stop.cancelled()).await.is_err() {
                clean_outdated_filters(filters.clone(), FILTER_DURATION);
            }
        };
        tokio::select! {
            // Open keep-alive connections must not hold up a shutdown.
            () = cleaning => Ok(()),
            served = serving.into_future() => served.map_err(RpcError::Serve),
        }
    }

    /// Answers one request. None for a notification.
    async fn answer(&self, request: Request) -> Option<Value> {
        let answer = match request.call {
            Ok(Call { method, params }) => Box::pin(self.dispatch(method, params)).await,
            Err(refusal) => Err(refusal.into()),
        };
        request.id.map(|id| envelope(id, answer))
    }

    async fn dispatch(&self, method: String, mut params: Vec<Value>) -> Answer {
        match method.as_str() {
            // The client answers these only with peers and a syncer, which a rollup node lacks.
            "eth_syncing" | "eth_mining" => return Ok(json!(false)),
            "net_listening" => return Ok(json!(true)),
            "net_peerCount" | "eth_hashrate" => return Ok(json!("0x0")),
            "eth_accounts" => return Ok(json!([])),
            "eth_sendRawTransaction" | "eth_sendTransaction" => {
                return Err(failure(SERVER_ERROR, NO_MEMPOOL));
            }
            "conclave_status" => return self.status().await,
            "conclave_getTransactionOutcome" => return self.outcome(&params).await,
            _ => {}
        }
        if let Some(answer) = guard::check(&self.context, &method, &mut params).await? {
            return Ok(answer);
        }
        // The id is ours to echo, not the client's, which takes fewer kinds of them.
        let request = RpcRequest::new(&method, Some(params));
        let answer = Box::pin(map_http_requests(&request, self.context.clone()));
        answer.await.map_err(RpcErrorMetadata::from)
    }
}

fn envelope(id: Value, answer: Answer) -> Value {
    match answer {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    }
}

async fn handle(State(rpc): State<Rpc>, body: Result<Bytes, BytesRejection>) -> Response {
    let reject = |status, code, message: String| {
        (status, Json(envelope(Value::Null, Err(failure(code, message))))).into_response()
    };
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            return reject(rejection.status(), INVALID_REQUEST, rejection.body_text());
        }
    };
    let posted = match Posted::parse(&body) {
        Ok(posted) => posted,
        Err(Refusal { code, message }) => return reject(StatusCode::OK, code, message),
    };
    let Ok(permit) = rpc.permits.clone().acquire_owned().await else {
        return reject(StatusCode::OK, INTERNAL_ERROR, "shutting down".into());
    };
    // The EVM runs on the CPU: away from the threads that follow the stream. A panic in the client
    // ends this request only.
    let runtime = tokio::runtime::Handle::current();
    let answered = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        runtime.block_on(answer_all(&rpc, posted))
    });
    match answered.await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => reject(StatusCode::OK, INTERNAL_ERROR, error.to_string()),
    }
}

async fn answer_all(rpc: &Rpc, posted: Posted) -> Option<Value> {
    let requests = match posted {
        Posted::One(request) => return rpc.answer(request).await,
        Posted::Batch(requests) => requests,
    };
    let mut answers = Vec::new();
    for request in requests {
        answers.extend(rpc.answer(request).await);
    }
    (!answers.is_empty()).then_some(Value::Array(answers))
}

async fn health(State(rpc): State<Rpc>) -> Response {
    match rpc.status().await {
        Ok(status) => Json(status).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!(error))).into_response(),
    }
}

/// The client's context. Its identity fields are shown by nothing that we serve; no socket is opened
/// for them and no peer is dialled.
fn context(chain: &Chain) -> Result<RpcApiContext, RpcError> {
    let broken = |error: String| RpcError::Context(error);
    let secret = secp256k1::SecretKey::from_byte_array(&[0xcd; 32])
        .map_err(|error| broken(error.to_string()))?;
    let secp = secp256k1::Secp256k1::new();
    let public = secret.public_key(&secp).serialize_uncompressed();
    let url = format!("enode://{}@127.0.0.1:1", hex::encode(public.get(1..).unwrap_or_default()));
    let node = Node::from_enode_url(&url).map_err(|error| broken(format!("{error:?}")))?;
    let record = NodeRecord::from_node(&node, 1, &secret);
    #[expect(clippy::disallowed_methods, reason = "engine_* is not served: nothing is ever sent")]
    let (block_worker_channel, _) = tokio::sync::mpsc::unbounded_channel();
    let version = ClientVersion::new(
        env!("CARGO_PKG_NAME").into(),
        env!("CARGO_PKG_VERSION").into(),
        String::new(),
        "00000000".into(),
        std::env::consts::OS.into(),
        String::new(),
    );
    Ok(RpcApiContext {
        storage: chain.store().clone(),
        blockchain: chain.blockchain().clone(),
        active_filters: Arc::default(),
        syncer: None,
        peer_handler: None,
        node_data: NodeData {
            jwt_secret: Bytes::new(),
            local_p2p_node: node,
            local_node_record: record.map_err(|error| broken(format!("{error:?}")))?,
            client_version: version,
            extra_data: Bytes::new(),
        },
        gas_tip_estimator: Arc::new(tokio::sync::Mutex::new(GasTipEstimator::new())),
        log_filter_handler: None,
        gas_ceil: chain.rules().gas_limit,
        block_worker_channel,
        ws: None,
        allowed_namespaces: Arc::new(
            [RpcNamespace::Eth, RpcNamespace::Net, RpcNamespace::Web3].into_iter().collect(),
        ),
    })
}
