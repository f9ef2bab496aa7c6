//! Making a network: keys, the genesis that all agree on, and one directory for each validator.
//!
//! ```text
//! out/genesis.json                  the same for everybody; its digest is the network id
//! out/validator-0/config.toml       commented; paths relative to it
//! out/validator-0/{consensus,network,settlement,storage}.key
//! out/validator-0/data/signer.state says that this validator has signed nothing yet
//! ```
//!
//! There is no threshold key among them: the validators make it themselves, on the chain, and nobody ever
//! holds it.

use std::path::{Path, PathBuf};

use conclave_consensus::{HighWater, SigningPosition, Step};
use conclave_encryption::{Packing, PackingError};
use conclave_types::{
    ConsensusKey, Genesis, GenesisAccount, GenesisError, Height, L1Origin, Member, NetworkId,
    Params, PayerAddress, RollupId, RollupRegistration, Round, SettlementSecret, Time,
};
use ed25519_dalek::SigningKey;
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use crate::{
    keys::{self, KeyFileError},
    store::{SignerError, SignerState},
};

/// Ports that each validator gets: p2p, gRPC, metrics, and room for more.
const PORTS_EACH: u16 = 10;
/// Gas in a block of a rollup.
const GAS_LIMIT: u64 = 30_000_000;

/// Why a network cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// There is something already.
    #[error("{path} is not empty; choose another directory, keys are never overwritten")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The number of validators, or c, does not work.
    #[error("no key can be shared among these validators like this")]
    Packing(#[from] PackingError),
    /// What was asked for contradicts itself.
    #[error("this genesis cannot start a network")]
    Genesis(#[from] GenesisError),
    /// A key cannot be stored.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The signer state cannot be stored.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Ports beyond the last.
    #[error(
        "{validators} validators need {PORTS_EACH} ports each from {base} on, which is beyond 65535; choose a lower --base-port"
    )]
    Ports {
        /// How many.
        validators: u16,
        /// The first port.
        base: u16,
    },
}

/// What network to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A name for people.
    pub name: String,
    /// How many validators, of equal power.
    pub validators: u16,
    /// Rollups that are registered from the start.
    pub rollups: Vec<RollupId>,
    /// Balances that exist from the start.
    pub accounts: Vec<GenesisAccount>,
    /// What it settles on.
    pub l1: L1,
    /// Parameters of the first epoch.
    pub params: Params,
    /// The first validator's first port; 0 takes any free ports, and peers find each other through
    /// `out/peers.json`, which a supervisor writes.
    pub base_port: u16,
    /// Pages that may call the validators from a browser, as `grpc.web_origins` writes them.
    pub web_origins: Vec<String>,
    /// No block is earlier.
    pub time: Time,
}

/// The L1 of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1 {
    /// Its chain id; 0 if the network has none.
    pub chain_id: u64,
    /// The stake contract there; zero if there is none.
    pub contract: PayerAddress,
}

/// A network that was made.
#[derive(Debug)]
pub struct Made {
    /// Its id.
    pub network: NetworkId,
    /// The genesis file.
    pub genesis: PathBuf,
    /// The validators, in index order.
    pub validators: Vec<MadeValidator>,
}

/// A validator that was made.
#[derive(Debug)]
pub struct MadeValidator {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// Its libp2p identity.
    pub peer_id: PeerId,
}

struct Seeds {
    name: String,
    consensus: Zeroizing<[u8; 32]>,
    network: Zeroizing<[u8; 32]>,
    /// Signs commitments for L1.
    settlement: SettlementSecret,
    /// Encrypts shares of the threshold key on disk.
    storage: Zeroizing<[u8; 32]>,
}

impl Seeds {
    fn generate(index: u16) -> Self {
        let mut seeds = Self {
            name: format!("validator-{index}"),
            consensus: Zeroizing::new([0; 32]),
            network: Zeroizing::new([0; 32]),
            settlement: keys::new_settlement_key(),
            storage: Zeroizing::new([0; 32]),
        };
        OsRng.fill_bytes(&mut *seeds.consensus);
        OsRng.fill_bytes(&mut *seeds.network);
        OsRng.fill_bytes(&mut *seeds.storage);
        seeds
    }

    fn member(&self) -> Member {
        let public = |seed| SigningKey::from_bytes(seed).verifying_key().to_bytes();
        Member {
            name: self.name.clone(),
            consensus_key: ConsensusKey::new(public(&self.consensus)),
            network_key: ConsensusKey::new(public(&self.network)),
            settlement_key: self.settlement.key(),
            validator: 0,
            power: 1,
        }
    }

    fn peer_id(&self) -> PeerId {
        let mut seed = self.network.clone();
        #[expect(clippy::expect_used, reason = "any 32 bytes are an ed25519 seed")]
        let keypair = Keypair::ed25519_from_bytes(&mut *seed).expect("32 bytes are a seed");
        keypair.public().to_peer_id()
    }
}

/// Makes keys and files under `out`, with the operating system's randomness.
///
/// # Errors
///
/// If `out` holds something already, the plan contradicts itself, or the disk fails.
pub fn make(plan: &Plan, out: &Path) -> Result<Made, MakeError> {
    let occupied = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(MakeError::NotEmpty { path: out.to_owned() });
    }
    let ports = u32::from(plan.validators).saturating_mul(u32::from(PORTS_EACH));
    if u32::from(plan.base_port).saturating_add(ports) > u32::from(u16::MAX) {
        return Err(MakeError::Ports { validators: plan.validators, base: plan.base_port });
    }
    let seeds: Vec<_> = (0..plan.validators).map(Seeds::generate).collect();
    match plan.params.sharing.secrecy {
        0 => Packing::for_parties(seeds.len())?,
        secrecy => Packing::new(seeds.len(), secrecy)?,
    };
    let genesis = Genesis {
        name: plan.name.clone(),
        time: plan.time,
        l1_chain_id: plan.l1.chain_id,
        l1_contract: plan.l1.contract,
        l1_origin: L1Origin::default(),
        params: plan.params.clone(),
        members: seeds.iter().map(Seeds::member).collect(),
        encryption_key: None,
        rollups: plan.rollups.iter().map(|id| registration(*id)).collect(),
        accounts: plan.accounts.clone(),
    };
    genesis.validate()?;
    let network = genesis.network_id();
    std::fs::create_dir_all(out).map_err(|source| io(out, source))?;
    let file = out.join("genesis.json");
    let json = serde_json::to_string_pretty(&genesis).map_err(|e| io(&file, e.into()))?;
    std::fs::write(&file, json).map_err(|source| io(&file, source))?;
    let peers: Vec<_> = (0..).zip(&seeds).map(|(i, s)| address(plan, i, s)).collect();
    let validators = (0_u16..)
        .zip(&seeds)
        .map(|(index, seeds)| {
            let directory = out.join(&seeds.name);
            write_keys(&directory, seeds, &network)?;
            let config = directory.join("config.toml");
            let text = config_text(plan, index, &peers);
            std::fs::write(&config, text).map_err(|source| io(&config, source))?;
            let (name, peer_id) = (seeds.name.clone(), seeds.peer_id());
            Ok(MadeValidator { name, directory, config, peer_id })
        })
        .collect::<Result<_, MakeError>>()?;
    Ok(Made { network, genesis: file, validators })
}

fn io(path: &Path, source: std::io::Error) -> MakeError {
    MakeError::Io { path: path.to_owned(), source }
}

fn registration(id: RollupId) -> RollupRegistration {
    RollupRegistration { id, name: format!("rollup-{id}"), gas_limit: GAS_LIMIT }
}

/// The mark of a validator that has signed nothing.
#[must_use]
pub const fn nothing_signed() -> HighWater {
    let at = SigningPosition { height: Height::ZERO, round: Round::ZERO, step: Step::Propose };
    HighWater { at, wal_entries: 0 }
}

fn write_keys(directory: &Path, seeds: &Seeds, network: &NetworkId) -> Result<(), MakeError> {
    let data = directory.join("data");
    std::fs::create_dir_all(&data).map_err(|source| io(&data, source))?;
    keys::write(&directory.join("consensus.key"), &seeds.consensus)?;
    keys::write(&directory.join("network.key"), &seeds.network)?;
    keys::write_settlement_key(&directory.join("settlement.key"), &seeds.settlement)?;
    keys::write(&directory.join("storage.key"), &seeds.storage)?;
    SignerState::create(&data.join("signer.state"), network, &nothing_signed())?;
    Ok(())
}

fn port(plan: &Plan, index: u16, offset: u16) -> u16 {
    if plan.base_port == 0 {
        return 0;
    }
    // `make` has checked that the last one fits.
    plan.base_port.saturating_add(index.saturating_mul(PORTS_EACH)).saturating_add(offset)
}

fn address(plan: &Plan, index: u16, seeds: &Seeds) -> Multiaddr {
    Multiaddr::empty()
        .with(libp2p::multiaddr::Protocol::Ip4(std::net::Ipv4Addr::LOCALHOST))
        .with(libp2p::multiaddr::Protocol::Tcp(port(plan, index, 0)))
        .with(libp2p::multiaddr::Protocol::P2p(seeds.peer_id()))
}

fn config_text(plan: &Plan, index: u16, peers: &[Multiaddr]) -> String {
    let others = (0_u16..).zip(peers).filter(|(other, _)| *other != index && plan.base_port != 0);
    let peers: String = others.map(|(_, address)| format!("\n  \"{address}\",")).collect();
    let peers_file = if plan.base_port == 0 {
        "peers_file = \"../peers.json\""
    } else {
        "# peers_file = \"../peers.json\""
    };
    let (p2p, grpc, metrics) = (port(plan, index, 0), port(plan, index, 1), port(plan, index, 2));
    format!(
        r#"# Conclave validator {index} of "{name}". Paths are relative to this file.
# Unknown keys are refused, so a misspelt one cannot be overlooked.

# Database, signer state and the addresses in use. Never run two nodes with the same keys, and never copy
# or restore data/signer.state: an older one makes this validator sign twice, which costs its stake. If it
# is lost, see `conclave node --lost-state`.
data_dir = "data"
# The same file for every node of the network.
genesis = "../genesis.json"

# 32 bytes of hexadecimal each, mode 0600. A full node has a network key only. `consensus` signs votes,
# `settlement` signs commitments for L1: never run either on two machines. `storage` encrypts this
# validator's shares of the threshold key in data/secrets: keep the two apart in backups.
[keys]
network = "network.key"
consensus = "consensus.key"
settlement = "settlement.key"
storage = "storage.key"

# Where other nodes connect. Port 0 takes any free port; see data/addresses.json for the one in use.
[p2p]
listen = "/ip4/127.0.0.1/tcp/{p2p}"
# Whom to keep connected to: every other validator, with its peer id.
peers = [{peers}
]
# A JSON array of such addresses, read again before each attempt: for ports not known in advance.
{peers_file}
# Nodes that are no validators, at most.
full_peers_max = 16

# The public API. It has no authentication of its own: keep it on loopback, or behind a proxy.
[grpc]
listen = "127.0.0.1:{grpc}"
# Streams of blocks and of bundles' fates that may be open at once.
streams_max = 1024
# Streams of batches that may be open at once: one for each node of a rollup. Each may hold some MiB.
batch_streams_max = 64
# Origins of pages that may call from a browser, by gRPC-Web, such as "https://wallet.example"; "loopback"
# stands for any page that this machine serves. Without any, no browser is served.
web_origins = {web_origins:?}

# Prometheus, at /metrics.
[metrics]
listen = "127.0.0.1:{metrics}"

# level: error, warn, info, debug or trace of this program, or a filter such as "conclave_node=debug,info".
[log]
level = "info"
json = false

# Threads for cryptography; 0 takes one for each core.
[jobs]
threads = 0
"#,
        name = plan.name.escape_default(),
        web_origins = plan.web_origins,
        peers = if peers.is_empty() { String::new() } else { peers },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn plan(base_port: u16) -> Plan {
        Plan {
            name: "test".to_owned(),
            validators: 4,
            rollups: vec![RollupId::new(901), RollupId::new(902)],
            accounts: Vec::new(),
            l1: L1::default(),
            params: Params::default(),
            base_port,
            web_origins: Vec::new(),
            time: Time::from_micros(1),
        }
    }

    #[test]
    fn what_is_made_loads_and_belongs_together() {
        for base_port in [0, 26_600] {
            let directory = tempfile::tempdir().unwrap();
            let out = directory.path().join("net");
            let made = make(&plan(base_port), &out).unwrap();
            let genesis: Genesis =
                serde_json::from_slice(&std::fs::read(&made.genesis).unwrap()).unwrap();
            assert_eq!(genesis.network_id(), made.network);
            let committee = genesis.validate().unwrap();
            assert_eq!(genesis.encryption_key, None);
            for (index, validator) in (0_u16..).zip(&made.validators) {
                let config = Config::load(&validator.config).unwrap();
                let signing =
                    keys::read_signing_key(config.keys.consensus.as_ref().unwrap()).unwrap();
                let public = ConsensusKey::new(signing.verifying_key().to_bytes());
                assert_eq!(committee.index_of(&public).map(|i| i.as_u16()), Some(index));
                let settlement =
                    keys::read_settlement_key(config.keys.settlement.as_ref().unwrap()).unwrap();
                let member = &committee.members()[usize::from(index)];
                assert_eq!(member.settlement_key, settlement.key());
                keys::read_storage_key(config.keys.storage.as_ref().unwrap()).unwrap();
                let state = SignerState::open(&config.signer_state(), &made.network).unwrap();
                assert_eq!(state.mark(), Some(nothing_signed()));
                assert_eq!(config.p2p.peers.len(), if base_port == 0 { 0 } else { 3 });
            }
        }
    }

    #[test]
    fn keys_are_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        make(&plan(0), directory.path()).unwrap();
        assert!(matches!(make(&plan(0), directory.path()), Err(MakeError::NotEmpty { .. })));
    }

    #[test]
    fn ports_beyond_the_last_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let result = make(&plan(65_530), &directory.path().join("net"));
        assert!(matches!(result, Err(MakeError::Ports { validators: 4, base: 65_530 })));
    }
}
