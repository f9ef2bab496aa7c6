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

/// Draw another storage key and seal all secrets under it; then, with --erase-old, erase the old key. The node must be
/// stopped; it loses no share by this. Run it as the node's user.
///
/// The old key is kept beside the new one, as FILE.old, for as long as you have no backup of the new one. What was copied of
/// DATA_DIR/secrets before is worth nothing once no copy of the old key is left: destroy its backups, too. If it is broken off,
/// run it again: it goes on where it ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave secrets rekey --config net/validator-0/config.toml
  conclave secrets rekey --config net/validator-0/config.toml --erase-old")]
struct RekeyArguments {
    /// The node's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Overwrite and remove the old key instead: once there is a backup of the new one.
    #[arg(long)]
    erase_old: bool,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Command::Rekey(RekeyArguments { config, erase_old }) = arguments.command;
    let config = Config::load(&config)?;
    let genesis = read_genesis(&config.genesis)?;
    let rekey = Rekey::begin(&config, genesis.network_id())?;
    let (key, old) = (rekey.key().display(), rekey.old().display());
    print(if erase_old {
        let count = rekey.erase_old()?;
        format!("{old} is overwritten and removed; {key} opens all {count} secrets")
    } else {
        let count = rekey.finish()?;
        format!(
            "{key} is a new key, under which {count} secrets were sealed by this run; make a backup of it, then erase {old} with --erase-old"
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
