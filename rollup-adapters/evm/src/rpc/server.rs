//! What every JSON-RPC port of ours is: the envelope around methods, with bounds, over HTTP.

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
use ethrex_blockchain::Blockchain;
use ethrex_p2p::types::{Node, NodeRecord};
use ethrex_rpc::{
    ClientVersion, GasTipEstimator, NodeData, RpcApiContext, RpcErrorMetadata, RpcNamespace,
    clean_outdated_filters, map_http_requests, rpc::FILTER_DURATION, utils::RpcRequest,
};
use ethrex_storage::Store;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;

use super::{
    Answer, INTERNAL_ERROR, INVALID_REQUEST, RpcError,
    envelope::{Call, Posted, Refusal, Request},
    failure,
};

/// A request with the largest `eth_call` that makes sense fits; what is larger is refused unread.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Wallets and explorers, each with a connection or a few that it keeps open.
pub const BOUNDS: Bounds = Bounds { connections_max: 512, idle_max: Duration::from_secs(120) };

/// Requests that are answered at once; others wait their turn. Calls run the EVM on the CPU.
const CONCURRENT_MAX: usize = 16;

/// What a port answers.
pub(crate) trait Methods: Clone + Send + Sync + 'static {
    /// The client's context, which its own methods need.
    fn context(&self) -> &RpcApiContext;

    /// Answers a call.
    fn answer(&self, method: String, params: Vec<Value>) -> impl Future<Output = Answer> + Send;

    /// Whether the chain behind it can be used, and where it stands.
    fn health(&self) -> impl Future<Output = Answer> + Send;

    /// Lets the client answer a call.
    fn forward(&self, method: &str, params: Vec<Value>) -> impl Future<Output = Answer> + Send {
        // The id is ours to echo, not the client's, which takes fewer kinds of them.
        let request = RpcRequest::new(method, Some(params));
        let context = self.context().clone();
        async move {
            let answer = Box::pin(map_http_requests(&request, context));
            answer.await.map_err(RpcErrorMetadata::from)
        }
    }
}

/// A port: what it answers, and how many questions at once.
#[derive(Clone)]
struct Port<M> {
    methods: M,
    permits: Arc<Semaphore>,
}

/// Serves whoever comes in at `doors` until `stop`.
///
/// # Errors
///
/// [`RpcError::Serve`] if the socket fails.
pub(crate) async fn serve<M: Methods>(
    methods: M,
    doors: Doors,
    stop: CancellationToken,
) -> Result<(), RpcError> {
    let filters = methods.context().active_filters.clone();
    let router = Router::new()
        .route("/", post(handle::<M>))
        .route("/health", get(health::<M>))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CorsLayer::permissive())
        .with_state(Port { methods, permits: Arc::new(Semaphore::new(CONCURRENT_MAX)) });
    let stopped = stop.clone();
    let serving =
        axum::serve(doors, router).with_graceful_shutdown(async move { stopped.cancelled().await });
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
async fn answer<M: Methods>(methods: &M, request: Request) -> Option<Value> {
    let answer = match request.call {
        Ok(Call { method, params }) => Box::pin(methods.answer(method, params)).await,
        Err(refusal) => Err(refusal.into()),
    };
    request.id.map(|id| envelope(id, answer))
}

fn envelope(id: Value, answer: Answer) -> Value {
    match answer {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    }
}

async fn handle<M: Methods>(
    State(port): State<Port<M>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
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
    let Ok(permit) = port.permits.clone().acquire_owned().await else {
        return reject(StatusCode::OK, INTERNAL_ERROR, "shutting down".into());
    };
    // The EVM runs on the CPU: away from the threads that follow the stream. A panic in the client
    // ends this request only.
    let runtime = tokio::runtime::Handle::current();
    let answered = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        runtime.block_on(answer_all(&port.methods, posted))
    });
    match answered.await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => reject(StatusCode::OK, INTERNAL_ERROR, error.to_string()),
    }
}

async fn answer_all<M: Methods>(methods: &M, posted: Posted) -> Option<Value> {
    let requests = match posted {
        Posted::One(request) => return answer(methods, request).await,
        Posted::Batch(requests) => requests,
    };
    let mut answers = Vec::new();
    for request in requests {
        answers.extend(answer(methods, request).await);
    }
    (!answers.is_empty()).then_some(Value::Array(answers))
}

async fn health<M: Methods>(State(port): State<Port<M>>) -> Response {
    match port.methods.health().await {
        Ok(status) => Json(status).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!(error))).into_response(),
    }
}

/// The client's context. Its identity fields are shown by nothing that we serve; no socket is opened
/// for them and no peer is dialled.
///
/// # Errors
///
/// [`RpcError::Context`] if the client refuses.
pub(crate) fn context(
    store: &Store,
    blockchain: &Arc<Blockchain>,
    gas_limit: u64,
    namespaces: &[RpcNamespace],
) -> Result<RpcApiContext, RpcError> {
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
        storage: store.clone(),
        blockchain: Arc::clone(blockchain),
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
        gas_ceil: gas_limit,
        block_worker_channel,
        ws: None,
        allowed_namespaces: Arc::new(namespaces.iter().copied().collect()),
    })
}
