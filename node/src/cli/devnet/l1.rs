//! The Ethereum under a devnet: its contracts, and the stake of its validators.
//!
//! ```text
//! DIR/l1/…                       the embedded chain, a process of its own (unless --l1 names another)
//! DIR/operators/NAME.{key,json}  the account that operates a validator, and the number it has on L1
//! ```
//!
//! Whatever was done before a devnet was stopped or killed is found on L1 and not done again.

use std::path::{Path, PathBuf};

use alloy::{primitives::U256, signers::local::PrivateKeySigner};
use conclave_contracts::{RollupRegistry, deployment::DeploymentConfig};
use conclave_node::{
    genesis, keys,
    l1::{
        Call, Contracts, Endpoints, Fees, L1Error, Patience, Sender, deploy,
        settlement::ValidatorSecrets,
        stake::{self, Standing, Terms},
    },
};
use conclave_types::{Genesis, Member, PayerAddress};
use futures::future::try_join_all;
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use super::{
    error::{DevnetError, at},
    network::ROLLUPS,
    processes::Process,
    transactions::DEV_KEYS,
};

/// What each validator of a devnet has at stake: 32 ether.
const STAKE_GWEI: u64 = 32_000_000_000;

/// For the fees of an operator's transactions, besides its stake: an ether.
const OPERATOR_FEES_GWEI: u64 = 1_000_000_000;

/// A validator's commission, in ten-thousandths.
const COMMISSION_BPS: u16 = 500;

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
    /// Where it is.
    pub(crate) url: String,
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

/// Starts the embedded chain.
pub(crate) fn start(root: &Path, logs: &Path) -> Result<Embedded, DevnetError> {
    let program = std::env::current_exe().map_err(at("/proc/self/exe"))?;
    let program = program.with_file_name("conclave-l1");
    if !program.exists() {
        return Err(DevnetError::MissingProgram { path: program });
    }
    let directory = root.join("l1");
    let arguments = [
        "--data-dir".to_owned(),
        directory.display().to_string(),
        "--rpc".to_owned(),
        "127.0.0.1:0".to_owned(),
        "--exit-with-parent".to_owned(),
    ];
    let process = Process::start("l1", &program, &arguments, logs)?;
    Ok(Embedded { directory, process })
}

impl DevnetL1 {
    /// Connects, and finds the contracts of `genesis`; deploys new ones for a network that is yet to be made, with
    /// `validators` operators, and gives these ether.
    pub(crate) async fn open(
        root: &Path,
        (url, signer): (Vec<String>, PrivateKeySigner),
        genesis: Option<&Genesis>,
        validators: u16,
    ) -> Result<Self, DevnetError> {
        let chain_id = genesis.map(|genesis| genesis.l1_chain_id);
        let endpoints = Endpoints::connect(&url, chain_id, Patience::default()).await?;
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
                let (deployed, _) = deploy::deploy(&funder, &config).await?;
                deployed.into()
            }
        };
        let url = url.into_iter().next().unwrap_or_default();
        let l1 = Self { url, funder, contracts, process: None, root: root.to_owned() };
        if genesis.is_none() {
            l1.fund_operators(validators).await?;
        }
        Ok(l1)
    }

    /// What the genesis says about it.
    pub(crate) fn plan(&self) -> genesis::L1 {
        genesis::L1 {
            chain_id: self.funder.endpoints().chain_id(),
            contract: PayerAddress::new(self.contracts.stake.into_array()),
        }
    }

    /// Gives each operator an account with its stake and some ether for fees.
    async fn fund_operators(&self, validators: u16) -> Result<(), DevnetError> {
        let directory = self.root.join("operators");
        std::fs::create_dir_all(&directory).map_err(at(&directory))?;
        let value = STAKE_GWEI.saturating_add(OPERATOR_FEES_GWEI);
        let mut calls = Vec::new();
        for index in 0..validators {
            let operator = self.operator(&format!("validator-{index}"))?;
            let to = Some(operator.address());
            let call = Call { to, value: U256::ZERO, data: Vec::new().into(), gas: None };
            calls.push(call.with_gwei(value));
        }
        let nonce = self.funder.nonce().await?;
        self.funder.send_all(calls, nonce).await?;
        Ok(())
    }

    /// The account that operates a validator; a new one if there is none.
    fn operator(&self, name: &str) -> Result<Sender, DevnetError> {
        let path = self.root.join("operators").join(format!("{name}.key"));
        if !path.exists() {
            let mut key = Zeroizing::new([0; 32]);
            OsRng.fill_bytes(&mut *key);
            keys::write(&path, &key)?;
        }
        Ok(Sender::new(self.funder.endpoints().clone(), account(&path)?, fees()))
    }

    /// Registers all validators of a network, and its rollups; whatever is registered already stays as it is.
    /// Returns the validators' numbers on L1.
    pub(crate) async fn register(
        &self,
        genesis: &Genesis,
        network: &Path,
    ) -> Result<Vec<u32>, DevnetError> {
        let validators = genesis.members.iter().map(|member| self.stake(member, network));
        let (numbers, ()) = tokio::try_join!(try_join_all(validators), self.register_rollups())?;
        Ok(numbers)
    }

    async fn stake(&self, member: &Member, network: &Path) -> Result<u32, DevnetError> {
        let directory = network.join(&member.name);
        let secrets = ValidatorSecrets {
            consensus: keys::read_signing_key(&directory.join("consensus.key"))?,
            settlement: keys::read_settlement_key(&directory.join("settlement.key"))?,
            network: member.network_key,
        };
        let operator = self.operator(&member.name)?;
        let contracts = &self.contracts;
        let record = self.root.join("operators").join(format!("{}.json", member.name));
        let validator = match std::fs::read_to_string(&record) {
            Ok(text) => text
                .trim()
                .parse()
                .or(Err(DevnetError::BadAddress { path: record, found: text }))?,
            Err(_) => {
                let terms = Terms { stake_gwei: STAKE_GWEI, commission_bps: COMMISSION_BPS };
                let (validator, _) = stake::register(&operator, contracts, &secrets, terms).await?;
                std::fs::write(&record, validator.to_string()).map_err(at(&record))?;
                validator
            }
        };
        let standing = stake::standing(operator.endpoints(), contracts, validator).await?;
        if !standing.proven {
            stake::prove(&operator, contracts, validator, &secrets).await?;
        }
        if !standing.enlisted {
            stake::enlist(&operator, contracts, validator).await?;
        }
        Ok(validator)
    }

    async fn register_rollups(&self) -> Result<(), DevnetError> {
        for rollup in ROLLUPS {
            let question = RollupRegistry::rollupOfCall { rollup };
            let endpoints = self.funder.endpoints();
            match endpoints.call(self.contracts.registry, &question).await {
                Ok(_) => continue,
                // The registry does not know it yet.
                Err(L1Error::Reverted(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let plan = deploy::RollupPlan {
                genesis_height: 1,
                inbox: alloy::primitives::Address::ZERO,
                configuration: alloy::primitives::B256::ZERO,
            };
            let given = deploy::register_rollup(&self.funder, &self.contracts, &plan).await?.rollup;
            if given != rollup {
                return Err(DevnetError::Broken(format!(
                    "the registry gave id {given} to rollup {rollup}"
                )));
            }
        }
        Ok(())
    }

    /// What L1 says about validators.
    pub(crate) async fn standings(&self, numbers: &[u32]) -> Result<Vec<Standing>, DevnetError> {
        let endpoints = self.funder.endpoints();
        let asked =
            numbers.iter().map(|validator| stake::standing(endpoints, &self.contracts, *validator));
        Ok(try_join_all(asked).await?)
    }
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

/// Each transaction of a devnet may cost a quarter of an ether.
fn fees() -> Fees {
    Fees { cost_max: U256::from(250_000_000_000_000_000_u64), ..Fees::default() }
}
