//! `conclave-evm`: an EVM rollup node on Conclave's ordered stream.

use std::{net::SocketAddr, num::NonZeroU64, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use conclave_evm::{
    follow::slot_seconds,
    genesis::{Alloc, dev_alloc, parse_alloc},
    node::{self, Config},
    process,
};
use conclave_types::RollupId;

const EXAMPLES: &str = "\
Examples:
  Follow rollup 901 of a local devnet, with the well-known dev accounts funded:
    conclave-evm --chain-id 901 --sequencer http://127.0.0.1:26601 --data-dir ./rollup-901 --dev-accounts

  The same with accounts of your own, two nodes to follow, and JSON logs:
    conclave-evm --chain-id 901 --sequencer http://10.0.0.1:26601 --sequencer http://10.0.0.2:26601 \\
      --data-dir /var/lib/conclave-evm --genesis alloc.json --rpc 127.0.0.1:8545 --json

  Ask it:
    cast balance --rpc-url http://127.0.0.1:8545 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266
    cast rpc --rpc-url http://127.0.0.1:8545 conclave_status

All nodes of a rollup must agree on chain id, genesis accounts, gas limit and slot length.";

/// A real EVM rollup node: executes what Conclave ordered, serves Ethereum JSON-RPC.
#[derive(Debug, Parser)]
#[command(name = "conclave-evm", version, after_help = EXAMPLES)]
struct Arguments {
    /// The rollup's id at Conclave, which is its EIP-155 chain id.
    #[arg(long, value_name = "ID")]
    chain_id: u64,

    /// gRPC address of a Conclave node; repeat it for others to fall back on.
    #[arg(long = "sequencer", value_name = "URL", required = true)]
    sequencers: Vec<String>,

    /// Directory for the chain. Created if missing; refused if it belongs to another rollup.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,

    /// Address to serve JSON-RPC on. With port 0 a free one is taken; see `rpc.addr` in the data
    /// directory.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8545")]
    rpc: SocketAddr,

    /// Gas of one block. The one in Conclave's genesis, if not given.
    #[arg(long, value_name = "GAS", value_parser = clap::value_parser!(u64).range(100_000..=10_000_000_000))]
    gas_limit: Option<u64>,

    /// JSON file of the accounts to start with: address to {balance, nonce, code, storage}, or a
    /// whole genesis.json with an `alloc`.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,

    /// Fund the ten well-known dev accounts with 10,000 ether each. Their keys are public.
    #[arg(long)]
    dev_accounts: bool,

    /// Length of an EVM slot in milliseconds, a multiple of 1000.
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = parse_slot)]
    slot_ms: NonZeroU64,

    /// Stop when standard input ends, as it does when a supervisor that holds its other end dies.
    #[arg(long)]
    exit_with_parent: bool,

    /// Logs as JSON, one object a line.
    #[arg(long)]
    json: bool,

    /// What to log, as tracing directives.
    #[arg(long, value_name = "FILTER", default_value = "warn,conclave_evm=info", env = "RUST_LOG")]
    log: String,
}

fn parse_slot(text: &str) -> Result<NonZeroU64, String> {
    let slot_ms = text.parse().map_err(|error| format!("{text:?} is no number: {error}"))?;
    slot_seconds(slot_ms)
}

impl Arguments {
    fn config(self) -> anyhow::Result<Config> {
        let mut alloc = if self.dev_accounts { dev_alloc()? } else { Alloc::new() };
        if let Some(path) = &self.genesis {
            let context = || path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(context)?;
            alloc.extend(parse_alloc(&text).with_context(context)?);
        }
        Ok(Config {
            rollup: RollupId::new(self.chain_id),
            sequencers: self.sequencers,
            data_dir: self.data_dir,
            rpc: self.rpc,
            gas_limit: self.gas_limit,
            period: self.slot_ms,
            alloc,
        })
    }
}

fn main() -> ExitCode {
    process::exit(run(Arguments::parse()))
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    process::start_logs(&arguments.log, arguments.json)?;
    let exit_with_parent = arguments.exit_with_parent;
    let config = arguments.config()?;
    process::run(exit_with_parent, |stop| node::run(config, stop))
}
