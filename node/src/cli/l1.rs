//! `conclave l1`: a network's contracts on Ethereum.

use std::{path::PathBuf, process::ExitCode};

use alloy::primitives::{Address, B256};
use conclave_contracts::deployment::DeploymentConfig;
use conclave_node::l1::{
    Contracts,
    deploy::{self, RollupPlan},
    election,
};
use serde_json::json;

use super::chain::{
    AccountArguments, ContractArguments, Done, EndpointArguments, Operation, Session, parse_gwei,
    tell,
};

/// The contracts of a network on Ethereum: deploy them, register rollups, look them up.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Deploy(Box<DeployArguments>),
    RegisterRollup(RegisterArguments),
    Open(OpenArguments),
    Show(ShowArguments),
}

/// Deploy the contracts of a new network, from one account that sends nothing else meanwhile.
///
/// They are what this program was built with. Nobody can change them afterwards, nor who they work with; some of
/// their parameters can be changed through a timelock of seven days by who is named as the council.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave l1 deploy --l1 http://127.0.0.1:8545 --account-key deployer.key
  conclave l1 deploy --l1 http://127.0.0.1:8545 --account-key deployer.key --first-rollup 901 \\
      --council 0x… --wait-final --json

Then make the network with what this prints:
  conclave genesis --out net --l1 http://127.0.0.1:8545 --l1-contract 0x… --rollup 901")]
struct DeployArguments {
    #[command(flatten)]
    at: EndpointArguments,
    #[command(flatten)]
    account: AccountArguments,
    /// Who may open the network, once; the deploying account if absent.
    #[arg(long, value_name = "ADDRESS")]
    launcher: Option<Address>,
    /// Who may propose changes to the timelock; the deploying account if absent.
    #[arg(long, value_name = "ADDRESS")]
    council: Option<Address>,
    /// The id of the first rollup that registers; the next ones follow.
    #[arg(long, value_name = "ID", default_value_t = 1)]
    first_rollup: u64,
    /// The least stake of a validator's own, in ether.
    #[arg(long, value_name = "ETHER", default_value = "8", value_parser = parse_gwei)]
    self_stake_min: u64,
    /// L1 blocks that settlement may fall behind before rollups may leave.
    #[arg(long, value_name = "BLOCKS", default_value_t = 7_200, value_parser = clap::value_parser!(u32).range(16..=50_400))]
    escape_delay: u32,
}

/// Register a rollup, for the registry's fee. Its id is the next one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave l1 register-rollup --l1 http://127.0.0.1:8545 --contract 0x… --account-key owner.key
  conclave l1 register-rollup --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key owner.key --json")]
struct RegisterArguments {
    #[command(flatten)]
    on: Operation,
    /// The first height that can have a batch of it.
    #[arg(long, value_name = "HEIGHT", default_value_t = 1)]
    genesis_height: u64,
    /// The rollup's own contract on L1.
    #[arg(long, value_name = "ADDRESS", default_value_t = Address::ZERO)]
    inbox: Address,
    /// Digest of whatever its nodes agree on.
    #[arg(long, value_name = "HASH", default_value_t = B256::ZERO)]
    configuration: B256,
}

/// Open a network on L1: put the committee of its genesis on offer and into office, for its launcher, once.
///
/// All of its validators must have registered, with the stake that the genesis says, and nobody else. Whatever was
/// done before stays as it is; afterwards a committee for the next epoch is on offer, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave l1 open --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key deployer.key")]
struct OpenArguments {
    #[command(flatten)]
    at: EndpointArguments,
    #[command(flatten)]
    account: AccountArguments,
    /// The network's genesis.
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
}

/// Print where the contracts of a network are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave l1 show --l1 http://127.0.0.1:8545 --contract 0x…
  conclave l1 show --l1 http://127.0.0.1:8545 --genesis net/genesis.json --json")]
struct ShowArguments {
    #[command(flatten)]
    at: EndpointArguments,
    #[command(flatten)]
    of: ContractArguments,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    match arguments.command {
        Command::Deploy(arguments) => runtime.block_on(Box::pin(deploy(*arguments))),
        Command::RegisterRollup(arguments) => runtime.block_on(Box::pin(register(arguments))),
        Command::Open(arguments) => runtime.block_on(Box::pin(open(arguments))),
        Command::Show(arguments) => runtime.block_on(show(arguments)),
    }
}

async fn deploy(arguments: DeployArguments) -> anyhow::Result<ExitCode> {
    let DeployArguments { at, account, .. } = &arguments;
    let sender = account.sender(at.connect(None, account.patience()).await?)?;
    let own = sender.address();
    let mut config = DeploymentConfig::defaults(
        arguments.launcher.unwrap_or(own),
        arguments.council.unwrap_or(own),
    );
    config.first_rollup = arguments.first_rollup;
    config.stake.selfStakeMinGwei = arguments.self_stake_min;
    config.forced.escapeDelayBlocks = arguments.escape_delay;
    let (deployed, sent) = deploy::deploy(&sender, &config, Vec::new()).await?;
    let done =
        sent.into_iter().fold(Done::default(), |done, (contract, sent)| done.sent(contract, sent));
    let done = done
        .effect("l1_chain_id", sender.endpoints().chain_id())
        .effect("l1_contract", deployed.stake.to_string())
        .effect("timelock", deployed.timelock.to_string())
        .effect("key_proofs", deployed.key_proofs.to_string());
    let contracts = Contracts::find(sender.endpoints(), deployed.stake).await?;
    with_contracts(done, &contracts).tell(&sender, account, at.json).await
}

async fn register(arguments: RegisterArguments) -> anyhow::Result<ExitCode> {
    let RegisterArguments { on, genesis_height, inbox, configuration } = arguments;
    let session = Session::open(&on).await?;
    let Session { sender, contracts } = &session;
    let plan = RollupPlan { genesis_height, inbox, configuration };
    let registered = deploy::register_rollup(sender, contracts, &plan).await?;
    let done = Done::default().sent("registered", registered.sent);
    let done =
        done.effect("rollup", registered.rollup).effect("owner", sender.address().to_string());
    session.tell(done, &on).await
}

async fn open(arguments: OpenArguments) -> anyhow::Result<ExitCode> {
    let OpenArguments { at, account, genesis } = arguments;
    let of = ContractArguments::of_genesis(genesis);
    let (endpoints, contracts) = of.find(&at, account.patience()).await?;
    let sender = account.sender(endpoints)?;
    let sent = election::launch(&sender, &contracts, &of.read_genesis()?, Vec::new()).await?;
    let done = sent.into_iter().fold(Done::default(), |done, (what, sent)| done.sent(what, sent));
    let epoch = election::next_epoch(sender.endpoints(), &contracts).await?;
    done.effect("offered_epoch", epoch).tell(&sender, &account, at.json).await
}

async fn show(arguments: ShowArguments) -> anyhow::Result<ExitCode> {
    let ShowArguments { at, of } = arguments;
    let (endpoints, contracts) = of.find(&at, conclave_node::l1::Patience::default()).await?;
    let found = json!({
        "l1_chain_id": endpoints.chain_id(),
        "stake": contracts.stake.to_string(),
        "election": contracts.election.to_string(),
        "inbox": contracts.inbox.to_string(),
        "forced": contracts.forced.to_string(),
        "vault": contracts.vault.to_string(),
        "registry": contracts.registry.to_string(),
        "slasher": contracts.slasher.to_string(),
    });
    if at.json {
        super::print(found)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (what, value) in found.as_object().into_iter().flatten() {
        tell(what, value)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn with_contracts(done: Done, contracts: &Contracts) -> Done {
    done.effect("stake", contracts.stake.to_string())
        .effect("election", contracts.election.to_string())
        .effect("inbox", contracts.inbox.to_string())
        .effect("forced", contracts.forced.to_string())
        .effect("vault", contracts.vault.to_string())
        .effect("registry", contracts.registry.to_string())
        .effect("slasher", contracts.slasher.to_string())
}
