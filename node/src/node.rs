//! One node, put together: from a configuration to a process that runs until it is told to stop or must.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use conclave_sequencer::{
    Config as CoreConfig, Identity, LostState, Ready, RecoverError,
    archive::{self, ArchiveError},
};
use conclave_types::{ConsensusKey, Genesis, Height, NetworkId, digest::SigningDomain};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    driver::{self, Channels, Conduct, Driver, DriverError, Honest, RecordTo, RevealedTip, Tape},
    essential::{Essentials, TaskError},
    keys::{self, KeyFileError},
    l1::{
        self,
        lost::{LostError, settled_on_l1},
        relay::AccountError,
    },
    metrics::{self, Metrics, MetricsError},
    network::{AddressBook, Network, NetworkConfig, NetworkError},
    rekey,
    rpc::{self, ReceiptSigner, RpcError},
    store::{RocksStore, SecretFiles, SignerError, SignerState, StoreError},
};

/// How long a stopping node waits for its last turn.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How long a stopping node waits for its clients to hang up.
const CLIENT_PATIENCE: Duration = Duration::from_secs(2);

/// Why a node cannot start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The genesis is not one.
    #[error("{path} is no genesis; copy the network's genesis.json there")]
    Genesis {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The account that posts to L1 cannot be used.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A validator that has lost what it signed cannot tell on which chain it may sign.
    #[error(transparent)]
    Lost(#[from] LostError),
    /// The network key is not the one that the genesis names for this validator.
    #[error(
        "keys.network is not the network key that the genesis names for {0}; its peers would refuse it. Restore the key from your backup"
    )]
    NetworkKey(String),
    /// The signer state cannot be used.
    #[error("this validator refuses to sign, so the node does not start")]
    Signer(#[from] SignerError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store cannot be read.
    #[error(
        "the store cannot be read; move data_dir/db away (keep signer.state) and let the node catch up"
    )]
    Archive(#[from] ArchiveError<StoreError>),
    /// The core cannot start from the store.
    #[error("the node cannot continue from its store")]
    Recover(#[from] RecoverError<StoreError>),
    /// The transport cannot start.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The API cannot start.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The metrics cannot be served.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The driver stopped by itself.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A task that the node cannot do without is gone.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Where a node really listens, as it writes it to `data_dir/addresses.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// As a multiaddress that ends with the peer id: an entry for a peers file.
    pub p2p: String,
    /// The public API, as host and port.
    pub grpc: String,
    /// Prometheus, as host and port.
    pub metrics: String,
}

/// A running node.
pub struct Node {
    addresses: Addresses,
    driver: Driver,
    network: Network,
    stop: CancellationToken,
    tasks: TaskTracker,
    deaths: mpsc::Receiver<TaskError>,
    end: oneshot::Receiver<Result<(), DriverError>>,
}

impl Node {
    /// Starts a node: opens and recovers its store, then listens. `lost_state` is the operator's word that
    /// no other machine signs with these keys, and the highest height that this validator can have decided; it lets one
    /// without a signing history sign again, above what it can have signed before, on the chain that L1 has settled, which
    /// is asked for that.
    ///
    /// # Errors
    ///
    /// Says what is wrong and what the operator can do.
    pub async fn start(config: &Config, lost_state: Option<Height>) -> Result<Self, NodeError> {
        Self::start_recorded(config, lost_state, None).await
    }

    /// [`Node::start`], with a recording of what the core is told and does.
    ///
    /// # Errors
    ///
    /// As [`Node::start`]; a recording that cannot be made is none.
    pub async fn start_recorded(
        config: &Config,
        lost_state: Option<Height>,
        record: Option<&RecordTo>,
    ) -> Result<Self, NodeError> {
        let honest = |_: &Genesis, _: Option<&Identity>| Ok::<_, NodeError>(Honest);
        // Whoever has its mark knows what it has signed, whatever its operator says.
        let lost_state = match lost_state.filter(|_| !config.signer_state().exists()) {
            Some(seen) => {
                let genesis = read_genesis(&config.genesis)?;
                Some(LostState {
                    seen,
                    settled: settled_on_l1(config.l1.as_ref(), &genesis).await?,
                })
            }
            None => None,
        };
        let (recovered, conduct) = Recovered::from_disk(config, lost_state, record, honest)?;
        Self::start_recovered(config, recovered, conduct).await
    }

    /// [`Node::start`], with somebody who has the last word on what leaves the node: `make` gets the genesis and the
    /// node's identity, if it has one. For nodes that are to misbehave.
    ///
    /// # Errors
    ///
    /// As [`Node::start`], and as `make`.
    pub async fn start_conducted<C, E, M>(config: &Config, make: M) -> Result<Self, E>
    where
        C: Conduct,
        E: From<NodeError>,
        M: FnOnce(&Genesis, Option<&Identity>) -> Result<C, E>,
    {
        let (recovered, conduct) = Recovered::from_disk(config, None, None, make)?;
        Ok(Self::start_recovered(config, recovered, conduct).await?)
    }

    async fn start_recovered<C: Conduct>(
        config: &Config,
        recovered: Recovered,
        conduct: C,
    ) -> Result<Self, NodeError> {
        let Recovered { genesis, keypair, store, receipts, own, sequencer, first, revealed } =
            recovered;
        let channels = Channels::new();
        let network = network_config(config, keypair, &genesis);
        let (essentials, deaths) = Essentials::new();
        let network = Network::start(network, channels.inbox(), &essentials).await?;
        let metrics = Arc::new(Metrics::new());
        let (reader, l1_reader) = (store.reader(), store.reader());
        let parts = driver::Parts {
            sequencer,
            store,
            network: network.clone(),
            metrics: Arc::clone(&metrics),
            first,
            revealed,
            job_threads: config.jobs.threads,
            conduct,
        };
        let (driver, end) = driver::start(parts, channels)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let l1 = l1::tasks::Parts {
            genesis: Arc::clone(&genesis),
            own,
            driver: driver.clone(),
            reader: l1_reader,
            spent: config.l1_spent(),
            metrics: Arc::clone(&metrics),
            tasks: tasks.clone(),
            essentials: essentials.clone(),
            stop: stop.clone(),
        };
        let l1 = l1::tasks::start(config.l1.as_ref(), l1)?;
        let page = metrics::Page {
            metrics: Arc::clone(&metrics),
            driver: driver.clone(),
            network: network.clone(),
            l1: l1.clone(),
        };
        let page = metrics::serve(config.metrics.listen, page, &essentials, stop.clone()).await?;
        let parts = rpc::Parts {
            genesis,
            driver: driver.clone(),
            reader,
            network: network.clone(),
            signer: receipts,
            l1,
            metrics,
            streams_max: config.grpc.streams_max,
            batch_streams_max: config.grpc.batch_streams_max,
            web_origins: config.grpc.origins(),
            tasks: tasks.clone(),
            essentials,
        };
        let grpc = rpc::serve(config.grpc.listen, parts, stop.clone()).await?;
        let addresses = Addresses {
            p2p: network.address().to_string(),
            grpc: grpc.to_string(),
            metrics: page.to_string(),
        };
        write_addresses(&config.addresses(), &addresses)?;
        tracing::info!(
            p2p = addresses.p2p,
            grpc = addresses.grpc,
            metrics = addresses.metrics,
            "listening"
        );
        tasks.close();
        Ok(Self { addresses, driver, network, stop, tasks, deaths, end })
    }

    /// Where the node really listens.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// A handle on the driver.
    #[must_use]
    pub const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Runs until `stop` resolves or the node must stop, then closes everything in order: no new
    /// requests, the last turn, the connections.
    ///
    /// # Errors
    ///
    /// If the node had to stop by itself.
    #[expect(clippy::cognitive_complexity, reason = "what the macros of tracing expand to")]
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), NodeError> {
        let (mut ended, mut death) = (None, None);
        tokio::select! {
            () = stop => tracing::info!("stopping"),
            end = &mut self.end => ended = Some(end),
            Some(task) = self.deaths.recv() => death = Some(task),
        }
        self.stop.cancel();
        let end = match ended {
            Some(end) => end,
            None => {
                self.driver.stop().await;
                let last = tokio::time::timeout(STOP_PATIENCE, &mut self.end).await;
                last.or(Err(DriverError::Stuck))?
            }
        };
        self.network.stop().await;
        // They hold the store; whoever starts the node again needs it.
        if tokio::time::timeout(CLIENT_PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::debug!("clients hold on to their connections");
        }
        end.or(Err(DriverError::Gone))??;
        death.map_or(Ok(()), |death| Err(death.into()))
    }
}

fn network_config(
    config: &Config,
    keypair: libp2p::identity::Keypair,
    genesis: &Arc<Genesis>,
) -> NetworkConfig {
    NetworkConfig {
        keypair,
        genesis: Arc::clone(genesis),
        network: genesis.network_id(),
        listen: config.p2p.listen.clone(),
        addresses: AddressBook::new(config.p2p.peers.clone(), config.p2p.peers_file.clone()),
        full_peers_max: config.p2p.full_peers_max,
    }
}

/// What a node finds on its disk before it talks to anyone.
struct Recovered {
    genesis: Arc<Genesis>,
    keypair: libp2p::identity::Keypair,
    store: RocksStore,
    receipts: Option<ReceiptSigner>,
    own: Option<ConsensusKey>,
    sequencer: Tape,
    first: Ready,
    revealed: RevealedTip,
}

impl Recovered {
    /// And who has the last word on what leaves, as `make` says.
    fn from_disk<C, E: From<NodeError>>(
        config: &Config,
        lost_state: Option<LostState>,
        record: Option<&RecordTo>,
        make: impl FnOnce(&Genesis, Option<&Identity>) -> Result<C, E>,
    ) -> Result<(Self, C), E> {
        let genesis = Arc::new(read_genesis(&config.genesis)?);
        let identity = read_identity(config, lost_state)?;
        let conduct = make(&genesis, identity.as_ref())?;
        Ok((Self::open(config, genesis, identity, record)?, conduct))
    }

    fn open(
        config: &Config,
        genesis: Arc<Genesis>,
        identity: Option<Identity>,
        record: Option<&RecordTo>,
    ) -> Result<Self, NodeError> {
        let network = genesis.network_id();
        let signer = SignerState::open(&config.signer_state(), &network)?;
        let store = RocksStore::open(&config.database_dir(), signer, &network)?;
        let store = store.with_secrets(open_secrets(config, &network)?);
        let keypair = keys::read_network_key(&config.keys.network)?;
        let own = identity.as_ref().map(public);
        let receipts = identity.as_ref().map(|identity| ReceiptSigner {
            key: identity.signing_key.clone(),
            domain: SigningDomain::of(&genesis),
        });
        if let Some(own) = &own {
            check_network_key(&genesis, own, &keypair)?;
        }
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        let core = CoreConfig { genesis: Arc::clone(&genesis), identity, seed };
        let (sequencer, first, store) = Tape::recover(core, store, driver::now(), record)?;
        let status = sequencer.core().status();
        tracing::info!(%network, decided = %status.decided, revealed = %status.revealed, "recovered");
        if let Some(reason) = &status.not_signing {
            tracing::warn!(reason, "this node does not sign");
        }
        let revealed = revealed_tip(&genesis, &store, status.revealed)?;
        Ok(Self { genesis, keypair, store, receipts, own, sequencer, first, revealed })
    }
}

fn open_secrets(config: &Config, network: &NetworkId) -> Result<Option<SecretFiles>, NodeError> {
    let Some(path) = &config.keys.storage else { return Ok(None) };
    let key = keys::read_storage_key(path)?;
    if let Some(old) = rekey::leftover(path) {
        let old = old.display();
        tracing::warn!(%old, "an old storage key is there, which opens what was copied under it; make a backup of keys.storage, then run `conclave secrets rekey --erase-old`");
    }
    Ok(Some(SecretFiles::open(&config.secrets_dir(), network, &key).map_err(StoreError::from)?))
}

/// Reads and checks a genesis file.
///
/// # Errors
///
/// If it cannot be read or is no genesis. Whether it contradicts itself is the core's to say.
pub fn read_genesis(path: &Path) -> Result<Genesis, NodeError> {
    let bytes =
        std::fs::read(path).map_err(|source| NodeError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes)
        .map_err(|source| NodeError::Genesis { path: path.to_owned(), source })
}

fn read_identity(
    config: &Config,
    lost_state: Option<LostState>,
) -> Result<Option<Identity>, NodeError> {
    let Some(consensus) = &config.keys.consensus else { return Ok(None) };
    let signing_key = keys::read_signing_key(consensus)?;
    let settlement =
        config.keys.settlement.as_deref().map(keys::read_settlement_key).transpose()?;
    Ok(Some(Identity { signing_key, secret_share: None, settlement, lost_state }))
}

fn public(identity: &Identity) -> ConsensusKey {
    ConsensusKey::new(identity.signing_key.verifying_key().to_bytes())
}

/// Whoever is in the genesis is known by the network key that stands there.
fn check_network_key(
    genesis: &Genesis,
    own: &ConsensusKey,
    keypair: &libp2p::identity::Keypair,
) -> Result<(), NodeError> {
    let member = genesis.members.iter().find(|member| member.consensus_key == *own);
    let Some(member) = member else { return Ok(()) };
    let public = keypair.public().try_into_ed25519().ok().map(|key| key.to_bytes());
    if public.as_ref() == Some(member.network_key.as_bytes()) {
        Ok(())
    } else {
        Err(NodeError::NetworkKey(member.name.clone()))
    }
}

fn revealed_tip(
    genesis: &Genesis,
    store: &RocksStore,
    revealed: Height,
) -> Result<RevealedTip, NodeError> {
    let stored = archive::block(store, revealed)?;
    Ok(stored.map_or(
        RevealedTip { height: Height::ZERO, block: genesis.block_id(), time: genesis.time },
        |stored| RevealedTip {
            height: revealed,
            block: stored.block.id(),
            time: stored.block.header.time,
        },
    ))
}

/// Written whole or not at all, since a supervisor waits for it.
fn write_addresses(path: &Path, addresses: &Addresses) -> Result<(), NodeError> {
    let io = |source| NodeError::Io { path: path.to_owned(), source };
    let draft = path.with_extension("json.new");
    let json = serde_json::to_vec_pretty(addresses).map_err(|error| io(error.into()))?;
    let mut file = std::fs::File::create(&draft).map_err(io)?;
    file.write_all(&json).and_then(|()| file.sync_all()).map_err(io)?;
    std::fs::rename(&draft, path).map_err(io)
}

#[cfg(test)]
mod tests {
    use conclave_types::Params;

    use super::*;
    use crate::genesis::{Plan, make};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_whose_transport_is_gone_stops_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let plan = Plan {
            name: "one".to_owned(),
            validators: 1,
            rollups: Vec::new(),
            accounts: Vec::new(),
            l1: None,
            params: Params::default(),
            base_port: 0,
            web_origins: Vec::new(),
            time: driver::now(),
        };
        make(&plan, &directory.path().join("net")).unwrap();
        let config = directory.path().join("net/validator-0/config.toml");
        let node = Node::start(&Config::load(&config).unwrap(), None).await.unwrap();
        node.network.stop().await;
        let error = node.run(std::future::pending()).await.unwrap_err();
        assert!(matches!(error, NodeError::Task(TaskError::Ended("p2p transport"))), "{error:?}");
    }
}
