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
pub(crate) mod guard;
pub(crate) mod server;

use conclave_grpc::doors::Doors;
use ethrex_rpc::{RpcApiContext, RpcErrorMetadata, RpcNamespace};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{envelope::Refusal, guard::Tags, server::Methods};
use crate::{chain::Chain, follow::Progress};

pub use self::server::BOUNDS;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
pub(crate) const INVALID_PARAMS: i32 = -32_602;
pub(crate) const INTERNAL_ERROR: i32 = -32_603;
pub(crate) const SERVER_ERROR: i32 = -32_000;
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
pub(crate) type Answer = Result<Value, RpcErrorMetadata>;

pub(crate) fn failure(code: i32, message: impl Into<String>) -> RpcErrorMetadata {
    RpcErrorMetadata { code, data: None, message: message.into() }
}

impl From<Refusal> for RpcErrorMetadata {
    fn from(refusal: Refusal) -> Self {
        failure(refusal.code, refusal.message)
    }
}

pub(crate) fn internal(error: impl std::fmt::Display) -> RpcErrorMetadata {
    failure(INTERNAL_ERROR, error.to_string())
}

/// The JSON-RPC server of one chain.
#[derive(Clone)]
pub struct Rpc {
    chain: Chain,
    context: RpcApiContext,
    progress: watch::Receiver<Progress>,
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
        let namespaces = [RpcNamespace::Eth, RpcNamespace::Net, RpcNamespace::Web3];
        let gas_limit = chain.rules().gas_limit;
        let context = server::context(chain.store(), chain.blockchain(), gas_limit, &namespaces)?;
        Ok(Self { chain, context, progress })
    }

    /// Serves whoever comes in at `doors` until `stop`.
    ///
    /// # Errors
    ///
    /// [`RpcError::Serve`] if the socket fails.
    pub async fn serve(self, doors: Doors, stop: CancellationToken) -> Result<(), RpcError> {
        server::serve(self, doors, stop).await
    }
}

impl Methods for Rpc {
    fn context(&self) -> &RpcApiContext {
        &self.context
    }

    async fn health(&self) -> Answer {
        self.status().await
    }

    async fn answer(&self, method: String, mut params: Vec<Value>) -> Answer {
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
        if let Some(answer) =
            guard::check(&self.context, Tags::NothingSettled, &method, &mut params).await?
        {
            return Ok(answer);
        }
        self.forward(&method, params).await
    }
}
