//! The command line of `conclave stake`.

use std::path::PathBuf;

use crate::cli::chain::{ContractArguments, EndpointArguments, Operation, parse_gwei};

/// Stake on Ethereum: register a validator, add to its stake, ask it back, look it up.
///
/// An operator registers with three keys: the one that votes, the one that signs commitments for L1, and the host's
/// identity. What they sign is answered for with the stake until 21 days after the last epoch that it backed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    NewKey(NewKeyArguments),
    Register(Box<RegisterArguments>),
    Deposit(BondArguments),
    Delegate(DelegateArguments),
    Unbond(UnbondArguments),
    Claim(ClaimArguments),
    Rotate(Box<RotateArguments>),
    Exit(ExitArguments),
    Unjail(UnjailArguments),
    Status(StatusArguments),
}

/// Key files, readable by you only (mode 0600).
#[derive(Debug, clap::Args)]
pub(super) struct KeyArguments {
    /// The validator's directory: consensus.key, settlement.key and network.key in it.
    #[arg(long, value_name = "DIR")]
    pub(super) keys: Option<PathBuf>,
    /// The key that votes, if it is elsewhere.
    #[arg(long, value_name = "FILE")]
    pub(super) consensus_key: Option<PathBuf>,
    /// The key that signs commitments, if it is elsewhere.
    #[arg(long, value_name = "FILE")]
    pub(super) settlement_key: Option<PathBuf>,
    /// The host's identity, if it is elsewhere; only its public half is announced.
    #[arg(long, value_name = "FILE")]
    pub(super) network_key: Option<PathBuf>,
}

/// Make a settlement key: the one that signs commitments for L1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake new-key --out net/validator-0/settlement.key")]
pub(super) struct NewKeyArguments {
    /// The file to write, readable by you only. Never overwritten.
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
}

/// Register a validator with its operator's own stake, prove its keys, and put it up for election.
///
/// Three transactions: the account that sends them is the operator. If one fails, --resume goes on with the number
/// that the first one gave.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake new-key --out net/validator-0/settlement.key
  conclave stake register --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key operator.key \\
      --keys net/validator-0 --stake 32 --commission-bps 500
  conclave stake register --l1 http://127.0.0.1:8545 --contract 0x… --account-key operator.key \\
      --keys net/validator-0 --resume 7 --wait-final --json")]
pub(super) struct RegisterArguments {
    #[command(flatten)]
    pub(super) on: Operation,
    #[command(flatten)]
    pub(super) keys: KeyArguments,
    /// The operator's own stake, in ether.
    #[arg(long, value_name = "ETHER", value_parser = parse_gwei, required_unless_present = "resume", default_value_t = 0, hide_default_value = true)]
    pub(super) stake: u64,
    /// What the operator keeps of its delegators' rewards, in ten-thousandths. It can be raised by 100 a week only.
    #[arg(long, value_name = "BPS", default_value_t = 500)]
    pub(super) commission_bps: u16,
    /// Go on with a registration that was broken off.
    #[arg(long, value_name = "VALIDATOR", conflicts_with = "stake")]
    pub(super) resume: Option<u32>,
}

/// Add to the operator's own stake.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake deposit --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key operator.key \\
      --validator 1 --amount 4.5")]
pub(super) struct BondArguments {
    #[command(flatten)]
    pub(super) on: Operation,
    /// The validator's number.
    #[arg(long, value_name = "VALIDATOR")]
    pub(super) validator: u32,
    /// How much, in ether.
    #[arg(long, value_name = "ETHER", value_parser = parse_gwei)]
    pub(super) amount: u64,
}

/// Add your stake to somebody's validator: it shares in its rewards and in its penalties.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake delegate --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key \\
      --validator 1 --amount 2 --wait-final")]
pub(super) struct DelegateArguments {
    #[command(flatten)]
    pub(super) on: Operation,
    /// The validator's number.
    #[arg(long, value_name = "VALIDATOR")]
    pub(super) validator: u32,
    /// How much, in ether.
    #[arg(long, value_name = "ETHER", value_parser = parse_gwei)]
    pub(super) amount: u64,
}

/// Ask stake back. It stays answerable until the last epoch that it backed is over and 21 days have passed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake unbond --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key \\
      --validator 1 --amount 0.5
  conclave stake unbond --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key \\
      --validator 1 --all --json")]
pub(super) struct UnbondArguments {
    #[command(flatten)]
    pub(super) on: Operation,
    /// The validator's number.
    #[arg(long, value_name = "VALIDATOR")]
    pub(super) validator: u32,
    /// How much, in ether.
    #[arg(long, value_name = "ETHER", value_parser = parse_gwei, required_unless_present = "all")]
    pub(super) amount: Option<u64>,
    /// All that this account has there.
    #[arg(long, conflicts_with = "amount")]
    pub(super) all: bool,
}

/// Pay out stake that is released, rewards, or what relaying is refunded with; or bring earned fees to L1.
///
/// Fees are shared out when an epoch ends. With --earned they go to a validator's stake, the operator's commission to
/// its rewards; with --pot, to what relayers are refunded from. Anyone may bring either, once the epoch's end has
/// settled.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake claim --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key --unbonding 3
  conclave stake claim --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key operator.key --rewards
  conclave stake claim --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key operator.key \\
      --node http://127.0.0.1:26601 --earned 1 --json")]
pub(super) struct ClaimArguments {
    #[command(flatten)]
    pub(super) on: Operation,
    #[command(flatten)]
    pub(super) what: ClaimWhat,
    /// The gRPC address of a node that proves what was earned.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:26601")]
    pub(super) node: String,
}

/// What is claimed.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct ClaimWhat {
    /// The number of a request to unbond; it is paid to its owner, whoever asks.
    #[arg(long, value_name = "ID")]
    pub(super) unbonding: Option<u64>,
    /// This account's commission, and its rewards for reports.
    #[arg(long)]
    pub(super) rewards: bool,
    /// This account's refunds for relaying commitments.
    #[arg(long)]
    pub(super) refunds: bool,
    /// The fees that a validator has earned, to its stake.
    #[arg(long, value_name = "VALIDATOR")]
    pub(super) earned: Option<u32>,
    /// The fees that are for relayers, to the pot that they are refunded from.
    #[arg(long)]
    pub(super) pot: bool,
}

/// Replace a validator's keys from the next election on, once an epoch. Keys are never used twice, and old ones stay
/// answerable.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake rotate --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key operator.key \\
      --validator 1 --keys new-keys")]
pub(super) struct RotateArguments {
    #[command(flatten)]
    pub(super) on: Operation,
    /// The validator's number.
    #[arg(long, value_name = "VALIDATOR")]
    pub(super) validator: u32,
    #[command(flatten)]
    pub(super) keys: KeyArguments,
}

/// End a validator for good and ask its operator's own stake back. It serves on until a committee without it takes
/// effect.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake exit --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key operator.key --validator 1")]
pub(super) struct ExitArguments {
    #[command(flatten)]
    pub(super) on: Operation,
    /// The validator's number.
    #[arg(long, value_name = "VALIDATOR")]
    pub(super) validator: u32,
}

/// Let a validator out of jail after its time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake unjail --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key operator.key --validator 1")]
pub(super) struct UnjailArguments {
    #[command(flatten)]
    pub(super) on: Operation,
    /// The validator's number.
    #[arg(long, value_name = "VALIDATOR")]
    pub(super) validator: u32,
}

/// Print what a validator is and has on L1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave stake status --l1 http://127.0.0.1:8545 --genesis net/genesis.json --validator 1
  conclave stake status --l1 http://127.0.0.1:8545 --contract 0x… --validator 1 --json | jq .bonded_gwei")]
pub(super) struct StatusArguments {
    #[command(flatten)]
    pub(super) at: EndpointArguments,
    #[command(flatten)]
    pub(super) of: ContractArguments,
    /// The validator's number.
    #[arg(long, value_name = "VALIDATOR")]
    pub(super) validator: u32,
}
