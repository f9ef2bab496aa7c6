//! The process: data directory, chain, follower and RPC put together.

use std::{
    fs, io,
    net::SocketAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use conclave_grpc::doors::Doors;
use conclave_types::RollupId;
use ethrex_storage::error::StoreError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    chain::{Chain, OpenError},
    database::{RULES_FILE, write_atomically},
    follow::{FollowError, Follower, Registration, Sequencers},
    genesis::{Alloc, Rules, parse_description},
    rpc::{self, Rpc, RpcError},
};

/// File in the data directory that holds the address of the RPC server while it serves.
pub const ADDRESS_FILE: &str = "rpc.addr";

/// How to run a rollup node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The rollup; its id is the EVM chain id.
    pub rollup: RollupId,
    /// URLs of sequencer nodes, tried in turn.
    pub sequencers: Vec<String>,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where to serve JSON-RPC; port 0 takes a free one.
    pub rpc: SocketAddr,
    /// Gas of one block; as registered, if none is given.
    pub gas_limit: Option<u64>,
    /// Length of a slot in seconds.
    pub period: NonZeroU64,
    /// Accounts of the EVM genesis.
    pub alloc: Alloc,
}

/// Why a node cannot run on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A sequencer's address is no URL.
    #[error("a sequencer's address is no URL")]
    Sequencer(#[source] tonic::transport::Error),
    /// The chain cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The RPC address cannot be taken.
    #[error("cannot listen on {address}")]
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
    /// Following the stream makes no sense any more.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The RPC server fails.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The database cannot be flushed.
    #[error("the database cannot be flushed")]
    Close(#[source] StoreError),
}

/// Runs a node until `stop`, then flushes and returns.
///
/// # Errors
///
/// [`NodeError`]: what an operator must look at.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), NodeError> {
    let address_file = config.data_dir.join(ADDRESS_FILE);
    remove(&address_file)?;
    let sequencers = Sequencers::new(&config.sequencers).map_err(NodeError::Sequencer)?;
    let Some(registration) = registration(&config, &sequencers, &stop).await? else {
        return Ok(());
    };
    let rules = Rules {
        network: registration.network,
        rollup: config.rollup,
        period: config.period,
        gas_limit: config.gas_limit.unwrap_or(registration.gas_limit),
        alloc: config.alloc,
    };
    let chain = Chain::open(rules, &config.data_dir).await?;
    let (follower, progress) = Follower::new(chain.clone(), sequencers);
    let server = Rpc::new(chain.clone(), progress)?;
    let listen = |source| NodeError::Listen { address: config.rpc, source };
    let doors = Doors::open(config.rpc, rpc::BOUNDS).await.map_err(listen)?;
    let address = doors.address().map_err(listen)?;
    write_atomically(&address_file, &address.to_string())
        .map_err(|source| NodeError::File { path: address_file.clone(), source })?;
    info!(%address, chain_id = %config.rollup, "JSON-RPC listening on http://{address}");
    let ended = serve(follower, server, doors, &stop).await;
    chain.close().await.map_err(NodeError::Close)?;
    remove(&address_file)?;
    info!("stopped");
    ended
}

/// Both tasks end when either does.
async fn serve(
    follower: Follower,
    rpc: Rpc,
    doors: Doors,
    stop: &CancellationToken,
) -> Result<(), NodeError> {
    let end = stop.child_token();
    let following = async {
        let ended = Box::pin(follower.run(end.clone())).await;
        end.cancel();
        ended
    };
    let serving = async {
        let ended = Box::pin(rpc.serve(doors, end.clone())).await;
        end.cancel();
        ended
    };
    let (followed, served) = tokio::join!(following, serving);
    followed?;
    Ok(served?)
}

/// What the network says about the rollup. If no sequencer answers, a directory that was used before
/// is served as it is; the follower compares the network as soon as one does.
async fn registration(
    config: &Config,
    sequencers: &Sequencers,
    stop: &CancellationToken,
) -> Result<Option<Registration>, FollowError> {
    let asked = async {
        if let Some(registration) = sequencers.ask(config.rollup).await? {
            return Ok(registration);
        }
        if let Some(registration) = remembered(&config.data_dir) {
            warn!("no sequencer answers; serving what is on disk meanwhile");
            return Ok(registration);
        }
        sequencers.ask_until(config.rollup).await
    };
    tokio::select! {
        () = stop.cancelled() => Ok(None),
        registration = asked => registration.map(Some),
    }
}

fn remembered(dir: &Path) -> Option<Registration> {
    let text = fs::read_to_string(dir.join(RULES_FILE)).ok()?;
    let (network, gas_limit) = parse_description(&text)?;
    Some(Registration { network, gas_limit })
}

fn remove(path: &Path) -> Result<(), NodeError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(NodeError::File { path: path.into(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
