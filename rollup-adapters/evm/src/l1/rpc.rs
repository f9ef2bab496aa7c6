//! Ethereum's JSON-RPC on the L1, and the methods that drive it.
//!
//! | method | does |
//! |---|---|
//! | `l1_info` | the finality depth, and whether production is paused |
//! | `l1_mine [n]` | makes `n` blocks at once, of what is in the pool |
//! | `l1_pause [bool]` | stops or resumes the production of blocks |
//! | `l1_advance seconds` | puts the chain's clock forward, by a year at most |
//! | `l1_reorg [{depth, blocks?, mode?, beyondFinality?}]` | replaces the newest blocks ([`super::reorg`]) |
//!
//! All but the first need `--control`.

use conclave_grpc::doors::Doors;
use ethrex_common::{Address, H256};
use ethrex_rpc::{RpcApiContext, RpcNamespace};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    chain::L1,
    reorg::{Reorg, ReorgError},
};
use crate::rpc::{
    Answer, INVALID_PARAMS, RpcError, SERVER_ERROR, failure,
    guard::{self, Tags},
    internal,
    server::{self, Methods},
};

/// Blocks that one `l1_mine` makes at most.
const MINE_MAX: u64 = 1_024;
/// Seconds that one `l1_advance` puts the clock forward at most: a year.
const ADVANCE_MAX: u64 = 365 * 86_400;

/// The JSON-RPC server of the L1.
#[derive(Clone)]
pub struct Rpc {
    l1: L1,
    context: RpcApiContext,
    control: bool,
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rpc").field("control", &self.control).finish_non_exhaustive()
    }
}

impl Rpc {
    /// A server for `l1`, with the methods that drive it if `control`.
    ///
    /// # Errors
    ///
    /// [`RpcError::Context`] if the client refuses.
    pub fn new(l1: L1, control: bool) -> Result<Self, RpcError> {
        let namespaces = [
            RpcNamespace::Eth,
            RpcNamespace::Net,
            RpcNamespace::Web3,
            RpcNamespace::Debug,
            RpcNamespace::Mempool,
        ];
        let gas_limit = l1.rules().gas_limit;
        let context = server::context(l1.store(), l1.blockchain(), gas_limit, &namespaces)?;
        Ok(Self { l1, context, control })
    }

    /// Serves whoever comes in at `doors` until `stop`.
    ///
    /// # Errors
    ///
    /// [`RpcError::Serve`] if the socket fails.
    pub async fn serve(self, doors: Doors, stop: CancellationToken) -> Result<(), RpcError> {
        server::serve(self, doors, stop).await
    }

    async fn control(&self, method: &str, params: &[Value]) -> Answer {
        if !self.control {
            return Err(failure(SERVER_ERROR, format!("{method} needs conclave-l1 --control")));
        }
        let first = params.first().unwrap_or(&Value::Null);
        match method {
            "l1_mine" => self.mine(first.as_u64().unwrap_or(1)).await,
            "l1_advance" => self.advance(first),
            "l1_pause" => {
                self.l1.pause(first.as_bool().unwrap_or(true));
                Ok(json!(true))
            }
            _ => self.reorganize(first).await,
        }
    }

    async fn mine(&self, blocks: u64) -> Answer {
        if !(1..=MINE_MAX).contains(&blocks) {
            return Err(failure(INVALID_PARAMS, format!("expected 1 to {MINE_MAX} blocks")));
        }
        let mut newest = Value::Null;
        for _ in 0..blocks {
            newest = json!(self.l1.mine().await.map_err(internal)?.hash());
        }
        Ok(newest)
    }

    fn advance(&self, seconds: &Value) -> Answer {
        let seconds = seconds.as_u64().filter(|seconds| (1..=ADVANCE_MAX).contains(seconds));
        let expected = || format!("expected 1 to {ADVANCE_MAX} seconds");
        self.l1.advance(seconds.ok_or_else(|| failure(INVALID_PARAMS, expected()))?);
        Ok(json!(true))
    }

    async fn reorganize(&self, wanted: &Value) -> Answer {
        let wanted: Reorg = serde_json::from_value(wanted.clone())
            .map_err(|error| failure(INVALID_PARAMS, error.to_string()))?;
        let replaced = self.l1.reorganize(wanted).await.map_err(|error| match error {
            ReorgError::Mine(error) => internal(error),
            asked @ (ReorgError::Depth { .. }
            | ReorgError::Finalized { .. }
            | ReorgError::Blocks { .. }) => failure(INVALID_PARAMS, asked.to_string()),
        })?;
        let block = |(number, hash): (u64, H256)| json!({ "number": number, "hash": hash });
        Ok(json!({
            "oldHead": block(replaced.old),
            "newHead": block(replaced.new),
            "returnedTransactions": replaced.returned,
        }))
    }

    async fn info(&self) -> Answer {
        let head = self.l1.head().await.map_err(internal)?;
        Ok(json!({
            "chainId": self.l1.rules().chain_id,
            "headNumber": head.number,
            "headHash": head.hash(),
            "finalityDepth": self.l1.rules().finality_depth,
            "paused": self.l1.is_paused(),
        }))
    }

    /// The nonce that a sender's next transaction needs: behind those in the pool that can be in a block. The
    /// client takes the highest, though a gap before it keeps it out for ever.
    async fn pending_nonce(&self, params: &[Value]) -> Answer {
        let address = params.first().cloned().unwrap_or(Value::Null);
        let address: Address = serde_json::from_value(address)
            .map_err(|error| failure(INVALID_PARAMS, error.to_string()))?;
        let store = self.l1.store();
        let head = store.get_latest_block_number().await.map_err(internal)?;
        let nonce = store.get_nonce_by_account_address(head, address).await.map_err(internal)?;
        let mut nonce = nonce.unwrap_or(0);
        let pool = &self.l1.blockchain().mempool;
        while pool.contains_sender_nonce(address, nonce, H256::zero()).map_err(internal)?.is_some()
        {
            nonce = nonce.saturating_add(1);
        }
        Ok(json!(format!("{nonce:#x}")))
    }
}

impl Methods for Rpc {
    fn context(&self) -> &RpcApiContext {
        &self.context
    }

    async fn health(&self) -> Answer {
        self.info().await
    }

    async fn answer(&self, method: String, mut params: Vec<Value>) -> Answer {
        match method.as_str() {
            // The client answers these only with peers and a syncer, which a chain of one lacks.
            "eth_syncing" | "eth_mining" => return Ok(json!(false)),
            "net_listening" => return Ok(json!(true)),
            "net_peerCount" | "eth_hashrate" => return Ok(json!("0x0")),
            "eth_accounts" => return Ok(json!([])),
            "l1_info" => return self.info().await,
            "l1_mine" | "l1_pause" | "l1_advance" | "l1_reorg" => {
                return self.control(&method, &params).await;
            }
            "eth_getTransactionCount" if params.get(1).is_some_and(|tag| tag == "pending") => {
                return self.pending_nonce(&params).await;
            }
            _ => {}
        }
        if let Some(answer) =
            guard::check(&self.context, Tags::OfTheChain, &method, &mut params).await?
        {
            return Ok(answer);
        }
        self.forward(&method, params).await
    }
}
