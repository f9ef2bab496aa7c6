//! `conclave-l1`: an Ethereum chain for development, with finality, reorganizations on request, and no peers.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use conclave_evm::{
    genesis::{dev_alloc, parse_alloc},
    l1::{self, Config, chain::Rules},
    process,
};

const EXAMPLES: &str = "\
Examples:
  A chain on port 8545, with the well-known dev accounts funded:
    conclave-l1 --data-dir ./l1

  On any free port, final after two blocks, and driven by hand:
    conclave-l1 --data-dir ./l1 --rpc 127.0.0.1:0 --finality-depth 2 --control
    cast rpc --rpc-url http://$(cat l1/rpc.addr) l1_mine 3
    cast rpc --rpc-url http://$(cat l1/rpc.addr) l1_reorg '{\"depth\": 2, \"mode\": \"drop\"}'

  Deploy Conclave's contracts to it:
    conclave l1 deploy --l1 http://127.0.0.1:8545 --account-key deployer.key";

/// An Ethereum L1 for development: one process, Osaka's rules, a block each second, no peers.
///
/// Its accounts have keys that everybody knows, and it serves loopback only: never use it for anything of value.
#[derive(Debug, Parser)]
#[command(name = "conclave-l1", version, after_help = EXAMPLES)]
struct Arguments {
    /// Directory for the chain. Created if missing; refused if it belongs to another chain.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,

    /// Address on loopback to serve JSON-RPC on. With port 0 a free one is taken; see `rpc.addr` in the data
    /// directory.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8545")]
    rpc: SocketAddr,

    /// The EIP-155 chain id.
    #[arg(long, value_name = "ID", default_value_t = 31_337)]
    chain_id: u64,

    /// From one block to the next, in milliseconds. Blocks have times in whole seconds, so it is one at least.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1_000..=60_000))]
    block_ms: u64,

    /// How many blocks below the head the newest finalized one is; half as far is the newest safe one.
    #[arg(long, value_name = "BLOCKS", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    finality_depth: u64,

    /// Gas of one block.
    #[arg(long, value_name = "GAS", default_value_t = 60_000_000, value_parser = clap::value_parser!(u64).range(1_000_000..=1_000_000_000))]
    gas_limit: u64,

    /// JSON file of accounts besides the dev accounts: address to {balance, nonce, code, storage}.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,

    /// Serve the methods that drive the chain: l1_mine, l1_pause, l1_reorg.
    #[arg(long)]
    control: bool,

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

impl Arguments {
    fn config(self) -> anyhow::Result<Config> {
        let mut alloc = dev_alloc()?;
        if let Some(path) = &self.genesis {
            let context = || path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(context)?;
            alloc.extend(parse_alloc(&text).with_context(context)?);
        }
        Ok(Config {
            rules: Rules {
                chain_id: self.chain_id,
                gas_limit: self.gas_limit,
                finality_depth: self.finality_depth,
                alloc,
            },
            data_dir: self.data_dir,
            rpc: self.rpc,
            period: Duration::from_millis(self.block_ms),
            control: self.control,
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
    process::run(exit_with_parent, |stop| l1::run(config, stop))
}
