//! One TOML file says how a node runs; everything that all validators must agree on is in the genesis.
//!
//! The file is checked as a whole before anything is opened: every problem is listed at once, each
//! with the key at fault and what to do about it. Paths are relative to the file itself, so that a
//! validator's directory can be moved.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

use crate::{l1::endpoints, rpc::web::WebOrigin};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}; write one with `conclave genesis`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not the TOML that is expected: bad syntax, an unknown key, a wrong type.
    #[error("the configuration {path} is not valid")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Names the line and the key.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Values that cannot work, all of them.
    #[error("the configuration {path} cannot work:{}", Problem::list(.problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

/// One value that cannot work.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with its value.
    pub problem: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Problem {
    fn list(problems: &[Self]) -> String {
        problems.iter().map(|p| format!("\n  {}: {}; {}", p.key, p.problem, p.remedy)).collect()
    }
}

/// Everything that one node needs to know besides the genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the node keeps its database, its signer state and its addresses.
    pub data_dir: PathBuf,
    /// The genesis of the network.
    pub genesis: PathBuf,
    /// Key files.
    pub keys: KeyFiles,
    /// The port that other nodes talk to.
    pub p2p: P2pConfig,
    /// The public API.
    pub grpc: GrpcConfig,
    /// Prometheus.
    pub metrics: MetricsConfig,
    /// How the node follows the network's L1. Without it the node repeats what others see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l1: Option<L1Config>,
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogConfig,
    /// CPU.
    #[serde(default)]
    pub jobs: JobsConfig,
}

/// Where the keys are. A full node has a network key only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFiles {
    /// The ed25519 identity towards other nodes.
    pub network: PathBuf,
    /// The ed25519 key that votes. Absent on a full node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consensus: Option<PathBuf>,
    /// The BLS12-381 key that signs commitments for L1. Without it a validator attests nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement: Option<PathBuf>,
    /// The key under which this validator's shares of the threshold key are stored. Absent on a full node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<PathBuf>,
}

/// The port that other nodes talk to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct P2pConfig {
    /// Where to listen; port 0 takes any free port.
    pub listen: Multiaddr,
    /// Whom to keep connected to; each address ends with `/p2p/<peer id>`.
    #[serde(default)]
    pub peers: Vec<Multiaddr>,
    /// A JSON array of such addresses, read again before each attempt: for peers whose ports are
    /// not known in advance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers_file: Option<PathBuf>,
    /// Peers that are no validators, at most.
    #[serde(default = "P2pConfig::default_full_peers_max")]
    pub full_peers_max: u32,
}

impl P2pConfig {
    const fn default_full_peers_max() -> u32 {
        16
    }
}

/// The public API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcConfig {
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// Streams of blocks and of bundles' fates that may be open at once.
    #[serde(default = "GrpcConfig::default_streams_max")]
    pub streams_max: u32,
    /// Streams of batches that may be open at once: one for each node of a rollup. Each may hold some MiB.
    #[serde(default = "GrpcConfig::default_batch_streams_max")]
    pub batch_streams_max: u32,
    /// Origins of pages that may call from a browser, by gRPC-Web; `loopback` stands for any page that this
    /// machine serves. Without any, no browser is served.
    #[serde(default)]
    pub web_origins: Vec<String>,
}

impl GrpcConfig {
    const fn default_streams_max() -> u32 {
        1_024
    }

    const fn default_batch_streams_max() -> u32 {
        64
    }

    /// The origins, without those that are none: [`Config::load`] refuses them.
    pub(crate) fn origins(&self) -> Vec<WebOrigin> {
        self.web_origins.iter().filter_map(|origin| origin.parse().ok()).collect()
    }
}

/// Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// Where `/metrics` is served; port 0 takes any free port.
    pub listen: SocketAddr,
}

/// How a node follows L1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L1Config {
    /// JSON-RPC endpoints. What most of them agree on is believed; one that contradicts the others is an alarm.
    pub endpoints: Vec<String>,
    /// How often they are asked for a new final block, in milliseconds.
    #[serde(default = "L1Config::default_poll_ms")]
    pub poll_ms: u64,
    /// How this node takes part in posting what is certified. Without it the node leaves that to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayConfig>,
}

/// How a validator posts to L1 what is certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    /// The key of the account that pays. Nothing else may send from it.
    pub account_key: PathBuf,
    /// Something so many heights above what has settled is posted.
    #[serde(default = "RelayConfig::default_every_heights")]
    pub every_heights: u64,
    /// And anything, after so many seconds.
    #[serde(default = "RelayConfig::default_every_seconds")]
    pub every_seconds: u64,
    /// How long this validator waits for each whose turn is before its own, in seconds.
    #[serde(default = "RelayConfig::default_takeover_seconds")]
    pub takeover_seconds: u64,
    /// What the postings of a day may cost, until rollups are about to leave.
    #[serde(default = "RelayConfig::default_day_cost_gwei_max")]
    pub day_cost_gwei_max: u64,
    /// What one of them may cost.
    #[serde(default = "RelayConfig::default_posting_cost_gwei_max")]
    pub posting_cost_gwei_max: u64,
}

impl RelayConfig {
    /// An account, and what is usual.
    #[must_use]
    pub const fn new(account_key: PathBuf) -> Self {
        Self {
            account_key,
            every_heights: Self::default_every_heights(),
            every_seconds: Self::default_every_seconds(),
            takeover_seconds: Self::default_takeover_seconds(),
            day_cost_gwei_max: Self::default_day_cost_gwei_max(),
            posting_cost_gwei_max: Self::default_posting_cost_gwei_max(),
        }
    }

    /// As often as `FeeVault` refunds a posting.
    const fn default_every_heights() -> u64 {
        600
    }

    const fn default_every_seconds() -> u64 {
        600
    }

    /// Five blocks of Ethereum.
    const fn default_takeover_seconds() -> u64 {
        60
    }

    /// Half an ether.
    const fn default_day_cost_gwei_max() -> u64 {
        500_000_000
    }

    /// A twentieth of an ether: 130 gwei a unit of gas.
    const fn default_posting_cost_gwei_max() -> u64 {
        50_000_000
    }

    pub(crate) const fn every(&self) -> Duration {
        Duration::from_secs(self.every_seconds)
    }

    pub(crate) const fn takeover(&self) -> Duration {
        Duration::from_secs(self.takeover_seconds)
    }
}

impl L1Config {
    const POLL_MS_MIN: u64 = 100;
    const POLL_MS_MAX: u64 = 60_000;

    /// These endpoints, asked as often as is usual.
    #[must_use]
    pub const fn new(endpoints: Vec<String>) -> Self {
        Self { endpoints, poll_ms: Self::default_poll_ms(), relay: None }
    }

    const fn default_poll_ms() -> u64 {
        4_000
    }

    pub(crate) const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |key, problem, remedy| problems.push(Problem { key, problem, remedy });
        let key = "l1.endpoints";
        if self.endpoints.is_empty() {
            let remedy = "name at least one, or take [l1] out: the node then sees nothing of L1";
            add(key, "there is none".to_owned(), remedy);
        }
        for (index, url) in self.endpoints.iter().enumerate() {
            if let Err(error) = endpoints::check_url(url) {
                add(key, error.to_string(), "write it like http://127.0.0.1:8545");
            }
            if self.endpoints.iter().take(index).any(|before| before == url) {
                add(key, format!("{url} is there twice"), "name each once: most of them decide");
            }
        }
        if !(Self::POLL_MS_MIN..=Self::POLL_MS_MAX).contains(&self.poll_ms) {
            let problem = format!("{} ms is no sensible interval", self.poll_ms);
            add("l1.poll_ms", problem, "choose 100 to 60000; a block of Ethereum takes 12000");
        }
        if self.relay.as_ref().is_some_and(|relay| relay.every_heights == 0) {
            let remedy = "choose at least 1; each posting costs its gas";
            add("l1.relay.every_heights", "0 is no distance".to_owned(), remedy);
        }
        problems
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A filter such as `info` or `conclave_node=debug,info`.
    pub level: String,
    /// One JSON object a line instead of text.
    pub json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), json: false }
    }
}

/// CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobsConfig {
    /// Threads for cryptography; 0 takes one for each core.
    pub threads: usize,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    ///
    /// Names the key at fault and the remedy; lists every problem at once.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, &[])
    }

    /// [`Config::load`], with these L1 endpoints, if there are any, in place of those in the file.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_with(path: &Path, l1: &[String]) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        if !l1.is_empty() {
            config.l1.get_or_insert_with(|| L1Config::new(Vec::new())).endpoints = l1.to_vec();
        }
        let mut problems = config.problems();
        problems.extend(config.l1.iter().flat_map(L1Config::problems));
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Invalid { path: path.to_owned(), problems })
        }
    }

    fn resolve(&mut self, base: &Path) {
        let keys = &mut self.keys;
        let paths = [&mut self.data_dir, &mut self.genesis, &mut keys.network];
        let optional = [
            &mut keys.consensus,
            &mut keys.settlement,
            &mut keys.storage,
            &mut self.p2p.peers_file,
        ];
        let relay = self.l1.iter_mut().filter_map(|l1| l1.relay.as_mut());
        let relay = relay.map(|relay| &mut relay.account_key);
        for path in paths.into_iter().chain(optional.into_iter().flatten()).chain(relay) {
            *path = base.join(&*path);
        }
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add =
            |key, problem: String, remedy| problems.push(Problem { key, problem, remedy });
        if self.keys.consensus.is_some() != self.keys.storage.is_some() {
            add(
                "keys",
                "a validator has both a consensus key and a storage key".to_owned(),
                "give both, or neither for a full node",
            );
        }
        for (key, path, remedy) in self.files() {
            if !path.is_file() {
                add(key, format!("there is no file {}", path.display()), remedy);
            }
        }
        if !is_tcp(&self.p2p.listen) {
            add(
                "p2p.listen",
                format!("{} is no TCP address", self.p2p.listen),
                "write it like /ip4/127.0.0.1/tcp/26600",
            );
        }
        for peer in &self.p2p.peers {
            if !is_tcp(peer) || !matches!(peer.iter().last(), Some(Protocol::P2p(_))) {
                add(
                    "p2p.peers",
                    format!("{peer} does not say whom to expect there"),
                    "write it like /ip4/192.0.2.1/tcp/26600/p2p/12D3KooW…",
                );
            }
        }
        if self.grpc.listen == self.metrics.listen && self.grpc.listen.port() != 0 {
            add(
                "metrics.listen",
                format!("{} is taken by grpc.listen", self.metrics.listen),
                "choose another port",
            );
        }
        if self.grpc.streams_max == 0 {
            add("grpc.streams_max", "nobody could watch".to_owned(), "allow at least one");
        }
        if self.grpc.batch_streams_max == 0 {
            add(
                "grpc.batch_streams_max",
                "no rollup could follow".to_owned(),
                "allow at least one",
            );
        }
        for origin in &self.grpc.web_origins {
            if let Err(error) = origin.parse::<WebOrigin>() {
                add(
                    "grpc.web_origins",
                    error.to_string(),
                    "write it like https://wallet.example:8443, without a path, or loopback",
                );
            }
        }
        if let Err(error) = self.log.level.parse::<tracing_subscriber::EnvFilter>() {
            add("log.level", error.to_string(), "write it like info or conclave_node=debug,info");
        }
        problems
    }

    /// The files that must be there, each with its key here and what to do if it is not.
    fn files(&self) -> Vec<(&'static str, &Path, &'static str)> {
        let keys = &self.keys;
        let secrets = [
            ("keys.consensus", keys.consensus.as_deref()),
            ("keys.settlement", keys.settlement.as_deref()),
            ("keys.storage", keys.storage.as_deref()),
        ];
        let relay = self.l1.as_ref().and_then(|l1| l1.relay.as_ref());
        let backup = "restore it from your backup";
        let mut files = vec![
            ("genesis", &*self.genesis, "copy the network's genesis.json there"),
            ("keys.network", &*keys.network, backup),
        ];
        let remedy = "make a key, mode 0600, and send its account ether";
        files.extend(relay.map(|relay| ("l1.relay.account_key", &*relay.account_key, remedy)));
        files.extend(secrets.into_iter().filter_map(|(key, path)| Some((key, path?, backup))));
        files
    }

    /// The database's directory.
    #[must_use]
    pub fn database_dir(&self) -> PathBuf {
        self.data_dir.join("db")
    }

    /// The directory of a validator's secrets.
    #[must_use]
    pub fn secrets_dir(&self) -> PathBuf {
        self.data_dir.join("secrets")
    }

    /// The signer's high-water mark, apart from the database.
    #[must_use]
    pub fn signer_state(&self) -> PathBuf {
        self.data_dir.join("signer.state")
    }

    /// Where the node writes the addresses that it really listens on.
    #[must_use]
    pub fn addresses(&self) -> PathBuf {
        self.data_dir.join("addresses.json")
    }

    /// Where a node writes down what its account spends on L1.
    #[must_use]
    pub fn l1_spent(&self) -> PathBuf {
        self.data_dir.join("l1-spent.json")
    }
}

fn is_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Tcp(_)))
}

#[cfg(test)]
mod tests;
