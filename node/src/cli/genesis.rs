//! `conclave genesis`: makes a network.

use std::{path::PathBuf, process::ExitCode, str::FromStr};

use alloy::primitives::Address;
use anyhow::{Context as _, anyhow};
use conclave_encryption::Suite;
use conclave_node::{
    config::L1Config,
    driver,
    genesis::{self, Candidate, Seat},
    l1::{Contracts, Endpoints, Patience, origin::first_origin},
};
use conclave_types::{GenesisAccount, Gwei, Params, PayerAddress, RollupId};
use serde_json::json;

use super::{chain::parse_gwei, note, print};

/// Make a network: keys, genesis, one directory for each validator.
///
/// There is no threshold key among them. The validators make it themselves in the first blocks of the
/// network, and nobody ever holds it; bundles are taken from then on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave genesis --out net --rollup 901 --rollup 902
  conclave genesis --out net --validators 7 --rollup 901 \\
      --account 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266=1000000000
  conclave genesis --out net --base-port 0 --rollup 901 --json
  conclave genesis --out net --rollup 901 --l1 http://127.0.0.1:8545 --l1-contract 0x…   # see `conclave l1 deploy`

Then, for each validator:
  conclave node --config net/validator-0/config.toml")]
pub(crate) struct Arguments {
    /// Where to write; must be empty or absent.
    #[arg(long)]
    out: PathBuf,
    /// A name for people.
    #[arg(long, default_value = "conclave")]
    name: String,
    /// How many validators, of equal power.
    #[arg(long, default_value_t = 4)]
    validators: u16,
    /// A rollup to register, by its chain id; repeat for more.
    #[arg(long = "rollup", value_name = "ID")]
    rollups: Vec<u64>,
    /// A payer and its balance in gwei; repeat for more.
    #[arg(long = "account", value_name = "ADDRESS=GWEI")]
    accounts: Vec<Account>,
    /// The first validator's first port, each takes ten; 0 takes any free ports, and the validators read
    /// their peers from OUT/peers.json.
    #[arg(long, default_value_t = 26_600)]
    base_port: u16,
    #[command(flatten)]
    l1: L1Arguments,
    /// How bundles are sealed: 0x01, packed threshold ElGamal, or 0x02, the baseline on `threshold_crypto`. As the
    /// parameters say if absent, by default 0x01; it stays for as long as the network lives.
    #[arg(long, value_name = "NUMBER", value_parser = parse_suite)]
    suite: Option<Suite>,
    /// Protocol parameters as JSON, like `params` in genesis.json; what it does not name is as by default.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What the network settles on.
#[derive(Debug, clap::Args)]
struct L1Arguments {
    /// JSON-RPC of an L1 node, http://HOST:PORT, which the validators follow; repeat it for others to compare with.
    #[arg(long = "l1", value_name = "URL", requires = "l1_contract")]
    urls: Vec<String>,
    /// The network's ConclaveStake contract there, as `conclave l1 deploy` prints it.
    #[arg(long, value_name = "ADDRESS", requires = "urls")]
    l1_contract: Option<Address>,
    /// Its chain id, to refuse any other.
    #[arg(long, value_name = "ID", requires = "urls", value_parser = clap::value_parser!(u64).range(1..))]
    l1_chain_id: Option<u64>,
    /// The L1 block that the first block builds on: final, and before the first entry of the forced queue. The newest
    /// such block if absent.
    #[arg(long, value_name = "NUMBER", requires = "urls")]
    l1_origin: Option<u64>,
    /// What each validator will have at stake, in ether: its power. The validators are numbered in the order in which
    /// they register, `conclave stake register --keys OUT/validator-0 --stake …` first.
    #[arg(long, value_name = "ETHER", default_value = "32", value_parser = parse_gwei)]
    stake: u64,
}

impl L1Arguments {
    /// What the genesis says of it.
    async fn find(&self, contract: Address) -> anyhow::Result<genesis::L1> {
        let patience = Patience::default();
        let endpoints = Endpoints::connect(&self.urls, self.l1_chain_id, patience).await?;
        let contracts = Contracts::find(&endpoints, contract).await?;
        Ok(genesis::L1 {
            chain_id: endpoints.chain_id(),
            contract: PayerAddress::new(contract.into_array()),
            origin: first_origin(&endpoints, contracts.forced, self.l1_origin).await?,
            follow: Some(L1Config::new(self.urls.clone())),
        })
    }
}

/// Reads a suite as the documentation writes it, or as a plain number.
pub(crate) fn parse_suite(text: &str) -> Result<Suite, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.ok().and_then(Suite::of_number).ok_or_else(|| "expected 0x01 or 0x02".to_owned())
}

#[derive(Clone, Debug)]
struct Account(GenesisAccount);

impl FromStr for Account {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (address, balance) =
            text.split_once('=').ok_or_else(|| anyhow!("expected ADDRESS=GWEI"))?;
        let address: PayerAddress = address.parse().context("the address")?;
        let balance = Gwei::new(balance.parse().context("the balance in gwei")?);
        Ok(Self(GenesisAccount { address, balance }))
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut params = match &arguments.params {
        None => Params::default(),
        Some(path) => super::params::read(path)?,
    };
    if let Some(suite) = arguments.suite {
        params.sharing.suite = suite.number();
    }
    let plan = genesis::Plan {
        name: arguments.name,
        validators: arguments.validators,
        rollups: arguments.rollups.into_iter().map(RollupId::new).collect(),
        accounts: arguments.accounts.into_iter().map(|account| account.0).collect(),
        l1: match arguments.l1.l1_contract {
            Some(contract) => Some(super::runtime()?.block_on(arguments.l1.find(contract))?),
            None => None,
        },
        params,
        base_port: arguments.base_port,
        web_origins: Vec::new(),
        time: driver::now(),
    };
    let made = if plan.l1.is_some() {
        let seats = (1..=u32::from(plan.validators)).map(|validator| {
            (Candidate::generate(), Seat { validator, power: arguments.l1.stake })
        });
        genesis::make_with(&plan, &seats.collect::<Vec<_>>(), &arguments.out)?
    } else {
        genesis::make(&plan, &arguments.out)?
    };
    if arguments.json {
        let validators = made.validators.iter().map(|validator| {
            json!({
                "name": validator.name,
                "directory": validator.directory,
                "config": validator.config,
                "peer_id": validator.peer_id.to_string(),
            })
        });
        print(json!({
            "network_id": made.network,
            "genesis": made.genesis,
            "validators": validators.collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(format_args!("network  {}", made.network))?;
    print(format_args!("genesis  {}", made.genesis.display()))?;
    for validator in &made.validators {
        let config = validator.config.display();
        print(format_args!("{}  {}  {config}", validator.name, validator.peer_id))?;
    }
    note(
        "This command has made the keys of all validators, which suits development. For a network of several \
          operators, let each make its own and put only public keys into the genesis.",
    )?;
    Ok(ExitCode::SUCCESS)
}
