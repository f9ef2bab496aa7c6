//! An Ethereum chain for development: the L1 of a devnet, in one process.
//!
//! ```text
//!  eth_sendRawTransaction ──▶ pool ──▶ producer (a block each period) ──▶ head ─ safe ─ finalized
//!                                          ▲                              └──── depth ────┘
//!  l1_mine, l1_pause, l1_reorg ────────────┘ (with --control)
//! ```
//!
//! It is the execution client that the rollups embed, under Osaka's rules, with a pool and a producer in
//! place of consensus. Contracts cost and answer what they do on Ethereum, so one suite of tests runs
//! here and there. Nobody else produces blocks: it is no network, and what it holds is worth nothing.
//!
//! **Invariants.** A block is on disk before anyone is told of it, so neither a kill nor a restart takes
//! back what was seen. A block that was finalized stays, unless somebody asks for the opposite by name.
//! No transaction stops the chain, and none that became stale blocks its sender. A question about a state
//! that is no longer kept is refused, never answered from another state.

pub mod chain;
pub mod reorg;
pub mod rpc;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use conclave_grpc::doors::Doors;
use ethrex_storage::error::StoreError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::info;

use self::{
    chain::{L1, MineError, Rules},
    rpc::Rpc,
};
use crate::{
    chain::OpenError,
    database::write_atomically,
    node::ADDRESS_FILE,
    rpc::{BOUNDS, RpcError},
};

/// How to run an L1.
#[derive(Clone, Debug)]
pub struct Config {
    /// What its chain is.
    pub rules: Rules,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where to serve JSON-RPC; port 0 takes a free one.
    pub rpc: SocketAddr,
    /// From one block to the next.
    pub period: Duration,
    /// Whether the methods that drive the chain are served.
    pub control: bool,
}

/// Why an L1 cannot run on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Others could drive it.
    #[error("{0} is not on loopback: this chain is for development, and its keys are known to all")]
    NotLoopback(SocketAddr),
    /// The chain cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The RPC address cannot be taken.
    #[error("cannot listen on {address}; choose another --rpc, or port 0 for any free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address file cannot be written.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Blocks cannot be produced any more.
    #[error("no block can be produced any more")]
    Mine(#[from] MineError),
    /// The RPC server fails.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The database cannot be flushed.
    #[error("the database cannot be flushed")]
    Close(#[source] StoreError),
}

/// Runs the chain until `stop`, then flushes and returns.
///
/// # Errors
///
/// [`RunError`]: what a developer must look at.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), RunError> {
    if !config.rpc.ip().is_loopback() {
        return Err(RunError::NotLoopback(config.rpc));
    }
    let address_file = config.data_dir.join(ADDRESS_FILE);
    remove(&address_file)?;
    let l1 = L1::open(config.rules, &config.data_dir).await?;
    let rpc = Rpc::new(l1.clone(), config.control)?;
    let listen = |source| RunError::Listen { address: config.rpc, source };
    let doors = Doors::open(config.rpc, BOUNDS).await.map_err(listen)?;
    let address = doors.address().map_err(listen)?;
    write_atomically(&address_file, &address.to_string())
        .map_err(|source| RunError::File { path: address_file.clone(), source })?;
    info!(%address, chain_id = l1.rules().chain_id, "JSON-RPC listening on http://{address}");
    let end = stop.child_token();
    let producing = async {
        let ended = produce(&l1, config.period, &end).await;
        end.cancel();
        ended
    };
    let serving = async {
        let ended = Box::pin(rpc.serve(doors, end.clone())).await;
        end.cancel();
        ended
    };
    let (produced, served) = tokio::join!(producing, serving);
    l1.close().await.map_err(RunError::Close)?;
    remove(&address_file)?;
    produced?;
    Ok(served?)
}

/// A block each period, the first at once.
async fn produce(l1: &L1, period: Duration, stop: &CancellationToken) -> Result<(), MineError> {
    let mut ticks = tokio::time::interval(period);
    // Blocks that a suspended machine missed are not made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        if !l1.is_paused() {
            l1.mine().await?;
        }
    }
}

fn remove(path: &Path) -> Result<(), RunError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RunError::File { path: path.into(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
