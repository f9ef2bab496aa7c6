//! A whole network on one machine: validators and rollups as processes, over loopback.
//!
//! ```text
//! DIR/network/genesis.json, peers.json, validator-i/{config.toml, data/addresses.json, …}
//! DIR/l1/rpc.addr, …             DIR/operators/… ([`super::l1`])
//! DIR/rollup-901/rpc.addr, …      DIR/rollup-902/…      DIR/logs/*.log      DIR/devnet.lock
//! ```
//!
//! Every port is one that was free: a process says which it took in a file of its own, and this one
//! tells the validators about each other in `peers.json`. A directory that holds a network already is
//! continued.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use conclave_client::{Client, Retry};
use conclave_node::genesis::{Plan, make, make_with};
use conclave_types::{
    ConsensusKey, Genesis, GenesisAccount, Gwei, KeyId, PayerAddress, RollupId, Time,
};
use libp2p::{Multiaddr, PeerId, identity, multiaddr::Protocol};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    error::{DevnetError, at},
    ethereum::Rollup,
    l1::{self, Choice, DevnetL1},
    processes::{Process, stop},
    rollups,
    setup::{Byzantine, Setup},
};

/// The rollups of a devnet.
pub(crate) const ROLLUPS: [u64; 2] = [901, 902];

/// How long validators may take to make the key.
const KEY_PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not come up within this does not come up.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How often files and processes are looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Fee balance of each payer: a thousand ether.
const PAYER_BALANCE: Gwei = Gwei::new(1_000_000_000_000);

/// A validator that runs.
#[derive(Debug)]
pub(crate) struct Validator {
    /// Its name in the genesis.
    pub(crate) name: String,
    /// Its public API.
    pub(crate) grpc: String,
    /// Its metrics.
    pub(crate) metrics: String,
    /// A client that asks this one alone.
    pub(crate) client: Client,
}

/// A network that runs.
#[derive(Debug)]
pub(crate) struct Devnet {
    /// Talks to all validators.
    pub(crate) client: Client,
    /// In index order.
    pub(crate) validators: Vec<Validator>,
    /// In the order of [`ROLLUPS`].
    pub(crate) rollups: Vec<Rollup>,
    /// What it settles on.
    pub(crate) l1: Option<DevnetL1>,
    /// The validators' numbers there.
    pub(crate) staked: Vec<u32>,
    /// All processes: validators first.
    pub(crate) processes: Vec<Process>,
    /// Logs of all processes.
    pub(crate) logs: PathBuf,
    /// When this command set about it, before there was any process.
    pub(crate) began: Instant,
    /// From the start of the first validator to the first block decided since.
    pub(crate) first_block_after: Duration,
    /// The threshold key.
    pub(crate) key: KeyId,
    /// From the start of the first validator until it could be sealed to.
    pub(crate) key_after: Duration,
    /// The height before the first block since.
    pub(crate) start_height: u64,
    /// Removed when the network is dropped.
    temporary: Option<tempfile::TempDir>,
    /// Says that a devnet runs here.
    #[expect(dead_code, reason = "held for as long as the network runs")]
    lock: Option<File>,
}

#[derive(Deserialize)]
struct Addresses {
    p2p: Multiaddr,
    grpc: String,
    metrics: String,
}

impl Devnet {
    /// Starts every process and waits for the first block. If it fails, its logs are kept: errors point
    /// at them.
    pub(crate) async fn start(setup: &Setup) -> Result<Self, DevnetError> {
        let began = Instant::now();
        let (root, mut temporary) = root(setup)?;
        match Box::pin(Self::start_in(setup, &root)).await {
            Ok(devnet) => Ok(Self { began, temporary, ..devnet }),
            Err(error) => {
                keep(&mut temporary);
                Err(error)
            }
        }
    }

    async fn start_in(setup: &Setup, root: &Path) -> Result<Self, DevnetError> {
        let lock = lock(root)?;
        let logs = root.join("logs");
        std::fs::create_dir_all(&logs).map_err(at(&logs))?;
        let network = root.join("network");
        let l1 = Box::pin(open_l1(setup, root, &logs)).await?;
        let genesis = prepare(setup, &network, l1.as_ref()).await?;
        let launching = async {
            match &l1 {
                Some(l1) => l1.launch(&genesis).await,
                None => Ok(()),
            }
        };
        let urls = l1.as_ref().map(|l1| l1.urls.as_slice()).unwrap_or_default();
        let starting = Self::start_network(setup, root, &logs, (&genesis, urls));
        let (devnet, ()) = tokio::try_join!(Box::pin(starting), Box::pin(launching))?;
        let staked = genesis.members.iter().map(|member| member.validator);
        let staked = staked.filter(|validator| *validator != 0).collect();
        Ok(Self { l1, staked, lock: Some(lock), ..devnet })
    }

    async fn start_network(
        setup: &Setup,
        root: &Path,
        logs: &Path,
        (genesis, l1): (&Genesis, &[String]),
    ) -> Result<Self, DevnetError> {
        let network = root.join("network");
        let started = Instant::now();
        let byzantine = setup.rig.byzantine.as_ref();
        let mut processes = start_validators((genesis, l1), byzantine, &network, logs)?;
        let validators = connect_validators(genesis, &network, logs, &mut processes).await?;
        let endpoints: Vec<_> = validators.iter().map(|v| v.grpc.clone()).collect();
        let client = Client::connect(endpoints.iter().cloned()).await?;
        let start_height = client.progression().await?.decided.as_u64();
        processes.extend(rollups::start(setup, root, logs, &endpoints)?);
        first_block(&client, start_height, logs, &mut processes).await?;
        let first_block_after = started.elapsed();
        let key = client.wait_for_key(KEY_PATIENCE).await?.id();
        let key_after = started.elapsed();
        let rollups = rollups::connect(root, logs, &mut processes).await?;
        Ok(Self {
            client,
            validators,
            rollups,
            l1: None,
            staked: Vec::new(),
            processes,
            logs: logs.to_owned(),
            began: started,
            first_block_after,
            key,
            key_after,
            start_height,
            temporary: None,
            lock: None,
        })
    }

    /// Keeps the temporary directory for whoever looks into a failure; says where it is.
    pub(crate) fn keep(&mut self) -> Option<PathBuf> {
        keep(&mut self.temporary)
    }

    /// An error if any process has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), DevnetError> {
        let l1 = self.l1.iter_mut().flat_map(|l1| &mut l1.process);
        self.processes.iter_mut().chain(l1).try_for_each(Process::check)
    }

    /// Stops every process; says which had to be killed.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        // Rollups first: they would only complain about validators that are gone.
        let mut processes = std::mem::take(&mut self.processes);
        let rollups = processes.split_off(self.validators.len().min(processes.len()));
        let mut killed = stop(rollups).await;
        killed.extend(stop(processes).await);
        killed.extend(stop(self.l1.take().and_then(|l1| l1.process).into_iter().collect()).await);
        killed
    }
}

fn keep(temporary: &mut Option<tempfile::TempDir>) -> Option<PathBuf> {
    temporary.take().map(tempfile::TempDir::keep)
}

fn root(setup: &Setup) -> Result<(PathBuf, Option<tempfile::TempDir>), DevnetError> {
    if let Some(path) = &setup.data_dir {
        std::fs::create_dir_all(path).map_err(at(path))?;
        return Ok((path.canonicalize().map_err(at(path))?, None));
    }
    let made = tempfile::Builder::new().prefix("conclave-devnet-").tempdir();
    let directory = made.map_err(at(std::env::temp_dir()))?;
    Ok((directory.path().to_owned(), Some(directory)))
}

/// Taken for as long as a devnet runs in `root`: a second one would take away the addresses of the first, and
/// fail over its databases. The system gives it back when the process ends, however it ends.
fn lock(root: &Path) -> Result<File, DevnetError> {
    let path = root.join("devnet.lock");
    let file = File::options().create(true).append(true).open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DevnetError::InUse { path: root.to_owned() }),
        Err(TryLockError::Error(error)) => Err(at(path)(error)),
    }
}

/// What the network settles on, with its contracts: those that its genesis names, or new ones.
async fn open_l1(setup: &Setup, root: &Path, logs: &Path) -> Result<Option<DevnetL1>, DevnetError> {
    let genesis = read_genesis(&root.join("network"))?;
    let settles = genesis.as_ref().map(|genesis| genesis.l1_chain_id != 0);
    let path = || root.to_owned();
    if matches!(setup.l1, Choice::None) {
        return match settles {
            Some(true) => Err(DevnetError::OtherL1 { path: path(), found: "with an L1" }),
            Some(false) | None => Ok(None),
        };
    }
    if settles == Some(false) {
        return Err(DevnetError::OtherL1 { path: path(), found: "with --no-l1" });
    }
    let validators = setup.validators;
    let escape = setup.rig.escape_delay_blocks;
    let open =
        |urls, signer| DevnetL1::open(root, (urls, signer), genesis.as_ref(), (validators, escape));
    match &setup.l1 {
        Choice::None => Ok(None),
        Choice::At { urls, key } => Ok(Some(open(urls.clone(), l1::account(key)?).await?)),
        Choice::Embedded => {
            // Who attacks puts its clock forward.
            let mut ours = l1::start(root, logs, setup.rig.byzantine.is_some())?;
            let address = ours.directory.join("rpc.addr");
            let text = written(&address, logs, std::slice::from_mut(&mut ours.process)).await?;
            let mut opened = open(vec![format!("http://{text}")], l1::rich()?).await?;
            opened.process = Some(ours.process);
            Ok(Some(opened))
        }
    }
}

fn read_genesis(network: &Path) -> Result<Option<Genesis>, DevnetError> {
    let file = network.join("genesis.json");
    if !file.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&file).map_err(at(&file))?;
    let genesis = serde_json::from_str(&text);
    genesis.map(Some).map_err(|source| DevnetError::BadGenesis { path: file, source })
}

/// The genesis in `network`; a new one if there is none.
async fn prepare(
    setup: &Setup,
    network: &Path,
    l1: Option<&DevnetL1>,
) -> Result<Genesis, DevnetError> {
    if read_genesis(network)?.is_none() {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
        let balance =
            |address: &PayerAddress| GenesisAccount { address: *address, balance: PAYER_BALANCE };
        let mut plan = Plan {
            name: "devnet".to_owned(),
            validators: setup.validators,
            rollups: ROLLUPS.map(RollupId::new).to_vec(),
            accounts: setup.payers.iter().map(balance).collect(),
            l1: None,
            params: setup.params(),
            base_port: 0,
            // Whoever develops a page serves it from this machine.
            web_origins: vec!["loopback".to_owned()],
            time: Time::from_micros(u64::try_from(now).unwrap_or_default()),
        };
        match l1 {
            Some(l1) => {
                let seated = l1.seat(setup.validators).await?;
                plan.l1 = Some(l1.plan().await?);
                make_with(&plan, &seated, network)?;
            }
            None => drop(make(&plan, network)?),
        }
    }
    let missing = || DevnetError::Broken("a genesis that was just made is gone".to_owned());
    let genesis = read_genesis(network)?.ok_or_else(missing)?;
    if genesis.members.len() != usize::from(setup.validators) {
        let path = network.to_owned();
        return Err(DevnetError::OtherShape { path, found: genesis.members.len() });
    }
    let found = genesis.params.sharing.suite;
    if setup.suite.is_some_and(|suite| suite.number() != found) {
        return Err(DevnetError::OtherSuite { path: network.to_owned(), found });
    }
    if setup.params.is_some() && genesis.params != setup.params() {
        return Err(DevnetError::OtherParams { path: network.to_owned() });
    }
    Ok(genesis)
}

fn start_validators(
    (genesis, l1): (&Genesis, &[String]),
    byzantine: Option<&Byzantine>,
    network: &Path,
    logs: &Path,
) -> Result<Vec<Process>, DevnetError> {
    let program = std::env::current_exe().map_err(at("/proc/self/exe"))?;
    // Addresses of an earlier run would send everybody to closed ports.
    forget(&network.join("peers.json"))?;
    for member in &genesis.members {
        forget(&addresses_file(network, &member.name))?;
    }
    let start = |(index, member): (u16, &conclave_types::Member)| {
        let config = network.join(&member.name).join("config.toml");
        let misbehaves = byzantine.filter(|byzantine| byzantine.validators.contains(&index));
        let (program, command) = match misbehaves {
            Some(Byzantine { behaviour, victim, .. }) => {
                let mut options =
                    ["--behaviour", behaviour, "--on-signal"].map(str::to_owned).to_vec();
                let victim = victim.map(|victim| ["--victim".to_owned(), victim.to_string()]);
                options.extend(victim.into_iter().flatten());
                (program.with_file_name("conclave-byzantine"), options)
            }
            None => (program.clone(), vec!["node".to_owned()]),
        };
        if !program.exists() {
            return Err(DevnetError::MissingProgram { path: program });
        }
        let shared =
            ["--config".to_owned(), config.display().to_string(), "--exit-with-parent".to_owned()];
        // The embedded one has another port in each run.
        let l1 = l1.iter().flat_map(|url| ["--l1".to_owned(), url.clone()]);
        let arguments: Vec<_> = command.into_iter().chain(shared).chain(l1).collect();
        Process::start(&member.name, &program, &arguments, logs)
    };
    (0..).zip(&genesis.members).map(start).collect()
}

pub(super) fn forget(path: &Path) -> Result<(), DevnetError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn addresses_file(network: &Path, name: &str) -> PathBuf {
    network.join(name).join("data").join("addresses.json")
}

async fn connect_validators(
    genesis: &Genesis,
    network: &Path,
    logs: &Path,
    processes: &mut [Process],
) -> Result<Vec<Validator>, DevnetError> {
    let mut addresses = Vec::new();
    for member in &genesis.members {
        let path = addresses_file(network, &member.name);
        let text = written(&path, logs, processes).await?;
        let found: Addresses =
            serde_json::from_str(&text).or(Err(DevnetError::BadAddress { path, found: text }))?;
        addresses.push(found);
    }
    let peers = genesis.members.iter().zip(&addresses).filter_map(|(member, addresses)| {
        let peer = peer_id(&member.network_key)?;
        let mut address = addresses.p2p.clone();
        if !address.iter().any(|part| matches!(part, Protocol::P2p(_))) {
            address.push(Protocol::P2p(peer));
        }
        Some(address.to_string())
    });
    write_peers(network, &peers.collect::<Vec<_>>())?;
    let mut validators = Vec::new();
    for (member, addresses) in genesis.members.iter().zip(addresses) {
        let grpc = format!("http://{}", addresses.grpc);
        let client = Client::builder()
            .endpoint(&grpc)
            .pin(genesis.network_id())
            .retry(Retry { rounds: 60, ..Retry::default() })
            .connect()
            .await?;
        let metrics = format!("http://{}/metrics", addresses.metrics);
        validators.push(Validator { name: member.name.clone(), grpc, metrics, client });
    }
    Ok(validators)
}

/// Written beside and renamed, so that no validator reads half of it.
fn write_peers(network: &Path, peers: &[String]) -> Result<(), DevnetError> {
    let (path, draft) = (network.join("peers.json"), network.join("peers.json.new"));
    let text = serde_json::Value::from(peers.to_vec()).to_string();
    std::fs::write(&draft, text).map_err(at(&draft))?;
    std::fs::rename(&draft, &path).map_err(at(path))
}

fn peer_id(key: &ConsensusKey) -> Option<PeerId> {
    let key = identity::ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// Waits until a process has written `path`.
pub(super) async fn written(
    path: &Path,
    logs: &Path,
    processes: &mut [Process],
) -> Result<String, DevnetError> {
    let started = Instant::now();
    while started.elapsed() < START_PATIENCE {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
        processes.iter_mut().try_for_each(Process::check)?;
    }
    let what = format!("{} to be written", path.display());
    Err(DevnetError::Late { what, patience: START_PATIENCE, logs: logs.to_owned() })
}

async fn first_block(
    client: &Client,
    start_height: u64,
    logs: &Path,
    processes: &mut [Process],
) -> Result<(), DevnetError> {
    let started = Instant::now();
    while started.elapsed() < START_PATIENCE {
        if client.progression().await?.decided.as_u64() > start_height {
            return Ok(());
        }
        processes.iter_mut().try_for_each(Process::check)?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let what = "the first block".to_owned();
    Err(DevnetError::Late { what, patience: START_PATIENCE, logs: logs.to_owned() })
}
