//! `conclave secrets`: what a validator keeps encrypted on its disk.

use std::{path::PathBuf, process::ExitCode};

use conclave_node::{config::Config, node::read_genesis, rekey::Rekey};

use super::print;

/// A validator's shares of the threshold key on disk: seal them under another key.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Rekey(RekeyArguments),
}

/// Draw another storage key, seal all secrets under it and erase the old key. The node must be stopped; it loses no share by
/// this.
///
/// What was copied of DATA_DIR/secrets before is worth nothing once no copy of the old key is left: destroy its backups, and
/// make one of the new key. If it is broken off, run it again: it goes on where it ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave secrets rekey --config net/validator-0/config.toml")]
struct RekeyArguments {
    /// The node's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Command::Rekey(RekeyArguments { config }) = arguments.command;
    let config = Config::load(&config)?;
    let genesis = read_genesis(&config.genesis)?;
    let count = Rekey::begin(&config, genesis.network_id())?.finish()?;
    print(format!(
        "{count} secrets are sealed under a new storage key, and the old one is erased here"
    ))?;
    Ok(ExitCode::SUCCESS)
}
