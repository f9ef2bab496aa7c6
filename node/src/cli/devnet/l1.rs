//! The Ethereum under a devnet: where it is, who has an account there, and the network's contracts.
//!
//! ```text
//! DIR/l1/…                 the embedded chain, a process of its own (unless --l1 names another)
//! DIR/operators/NAME.key   the account that operates a validator
//! ```

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::{primitives::U256, signers::local::PrivateKeySigner};
use conclave_contracts::deployment::DeploymentConfig;
use conclave_node::{
    keys,
    l1::{
        Call, Contracts, Endpoints, Fees, Patience, Sender, deploy,
        stake::{self, Standing},
    },
};
use conclave_types::Genesis;
use futures::future::try_join_all;
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use super::{
    error::{DevnetError, at},
    network::ROLLUPS,
    processes::Process,
    transactions::DEV_KEYS,
};

/// How often is looked whether a transaction is in a block.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Blocks above the newest final one.
const FINALITY_DEPTH: u64 = 2;

/// What each validator of a devnet has at stake: 32 ether.
pub(super) const STAKE_GWEI: u64 = 32_000_000_000;

/// For the fees of an operator's transactions, besides its stake: an ether.
const OPERATOR_FEES_GWEI: u64 = 1_000_000_000;

/// Which Ethereum a devnet settles on.
#[derive(Clone, Debug, Default)]
pub(crate) enum Choice {
    /// None.
    None,
    /// One of its own.
    #[default]
    Embedded,
    /// Somebody else's, and who pays there.
    At {
        /// JSON-RPC endpoints.
        urls: Vec<String>,
        /// File with the key of an account that has ether.
        key: PathBuf,
    },
}

/// The Ethereum of a devnet.
#[derive(Debug)]
pub(crate) struct DevnetL1 {
    /// Its JSON-RPC endpoints.
    pub(crate) urls: Vec<String>,
    /// The account that deploys, and that pays for what the story does.
    pub(crate) funder: Sender,
    /// The network's contracts.
    pub(crate) contracts: Contracts,
    /// The chain itself, if it is ours.
    pub(crate) process: Option<Process>,
    root: PathBuf,
}

/// Where a process of ours listens, and the process.
#[derive(Debug)]
pub(crate) struct Embedded {
    pub(crate) directory: PathBuf,
    pub(crate) process: Process,
}

/// Starts the embedded chain, with the methods that drive it if somebody is to have `control`.
pub(crate) fn start(root: &Path, logs: &Path, control: bool) -> Result<Embedded, DevnetError> {
    let program = std::env::current_exe().map_err(at("/proc/self/exe"))?;
    let program = program.with_file_name("conclave-l1");
    if !program.exists() {
        return Err(DevnetError::MissingProgram { path: program });
    }
    let directory = root.join("l1");
    let mut arguments = vec![
        "--data-dir".to_owned(),
        directory.display().to_string(),
        "--rpc".to_owned(),
        "127.0.0.1:0".to_owned(),
        "--finality-depth".to_owned(),
        FINALITY_DEPTH.to_string(),
        "--exit-with-parent".to_owned(),
    ];
    arguments.extend(control.then(|| "--control".to_owned()));
    let process = Process::start("l1", &program, &arguments, logs)?;
    Ok(Embedded { directory, process })
}

impl DevnetL1 {
    /// Connects, and finds the contracts of `genesis`; deploys new ones for a network that is yet to be made, with
    /// `validators` operators, and gives these ether. The escape delay is what is usual, unless somebody says.
    pub(crate) async fn open(
        root: &Path,
        (urls, signer): (Vec<String>, PrivateKeySigner),
        genesis: Option<&Genesis>,
        (validators, escape_delay_blocks): (u16, Option<u32>),
    ) -> Result<Self, DevnetError> {
        let chain_id = genesis.map(|genesis| genesis.l1_chain_id);
        let endpoints = Endpoints::connect(&urls, chain_id, patience()).await?;
        let funder = Sender::new(endpoints, signer, fees());
        let contracts = match genesis {
            Some(genesis) => {
                let stake = (*genesis.l1_contract.as_bytes()).into();
                Contracts::find(funder.endpoints(), stake).await?
            }
            None => {
                let own = funder.address();
                let mut config = DeploymentConfig::defaults(own, own);
                let [first, ..] = ROLLUPS;
                config.first_rollup = first;
                let usual = config.forced.escapeDelayBlocks;
                config.forced.escapeDelayBlocks = escape_delay_blocks.unwrap_or(usual);
                let gifts = gifts(root, validators)?;
                let (deployed, _) = deploy::deploy(&funder, &config, gifts).await?;
                Contracts::find(funder.endpoints(), deployed.stake).await?
            }
        };
        Ok(Self { urls, funder, contracts, process: None, root: root.to_owned() })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        self.urls.first().map_or("", String::as_str)
    }

    /// The account that operates the validator of that index.
    pub(super) fn operator(&self, index: u16) -> Result<Sender, DevnetError> {
        let signer = operator(&self.root, index)?;
        Ok(Sender::new(self.funder.endpoints().clone(), signer, fees()))
    }

    /// What L1 says about validators.
    pub(crate) async fn standings(&self, numbers: &[u32]) -> Result<Vec<Standing>, DevnetError> {
        let endpoints = self.funder.endpoints();
        let asked =
            numbers.iter().map(|validator| stake::standing(endpoints, &self.contracts, *validator));
        Ok(try_join_all(asked).await?)
    }
}

/// The account that operates the validator of that index; a new one if there is none.
fn operator(root: &Path, index: u16) -> Result<PrivateKeySigner, DevnetError> {
    let directory = root.join("operators");
    let path = directory.join(format!("validator-{index}.key"));
    if !path.exists() {
        std::fs::create_dir_all(&directory).map_err(at(&directory))?;
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(&mut *key);
        keys::write(&path, &key)?;
    }
    account(&path)
}

/// What gives each operator its stake and some ether for fees.
fn gifts(root: &Path, validators: u16) -> Result<Vec<Call>, DevnetError> {
    let value = STAKE_GWEI.saturating_add(OPERATOR_FEES_GWEI);
    let gift = |index| {
        let to = Some(operator(root, index)?.address());
        let call = Call { to, value: U256::ZERO, data: Vec::new().into(), gas: None };
        Ok(call.with_gwei(value))
    };
    (0..validators).map(gift).collect()
}

/// The account that pays on the embedded chain.
pub(crate) fn rich() -> Result<PrivateKeySigner, DevnetError> {
    let [key, ..] = DEV_KEYS;
    key.parse().map_err(|error| DevnetError::Options(format!("the dev key is no key: {error}")))
}

/// The account of a key file.
pub(crate) fn account(path: &Path) -> Result<PrivateKeySigner, DevnetError> {
    let key = keys::read(path)?;
    PrivateKeySigner::from_slice(&*key).map_err(|error| {
        DevnetError::Options(format!("{} holds no secp256k1 key: {error}", path.display()))
    })
}

/// A devnet's blocks come each second.
fn patience() -> Patience {
    Patience { look_every: LOOK_EVERY, ..Patience::default() }
}

/// Each transaction of a devnet may cost a quarter of an ether.
fn fees() -> Fees {
    Fees { cost_max: U256::from(250_000_000_000_000_000_u64), ..Fees::default() }
}
