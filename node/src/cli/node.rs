//! `conclave node`: runs a validator or a full node.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use conclave_node::{config::Config, errors, logging, node::Node};
use tokio::signal::unix::{SignalKind, signal};

/// How long tasks may take to notice that the node has stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Run a validator, or a full node if the configuration names no consensus key.
///
/// Stops cleanly on SIGINT and SIGTERM. Exits with 1 if it cannot start or must stop, and says why. Once it
/// listens, its addresses are in DATA_DIR/addresses.json.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave node --config net/validator-0/config.toml
  conclave node --config net/validator-0/config.toml --check
  conclave node --config net/validator-0/config.toml --lost-state   # after the disk was lost")]
pub(crate) struct Arguments {
    /// The configuration; `conclave genesis` writes one with comments.
    #[arg(long)]
    config: PathBuf,
    /// Check the configuration and exit.
    #[arg(long)]
    check: bool,
    /// The disk was lost, signer.state with it, and no other machine signs with these keys: catch up, then
    /// sign again, two heights above what a quorum had decided. Has no effect while signer.state is there.
    #[arg(long)]
    lost_state: bool,
    /// Stop when standard input ends, as it does when a supervisor that holds its other end dies.
    #[arg(long)]
    exit_with_parent: bool,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(&arguments.config)?;
    if arguments.check {
        super::print("the configuration is valid")?;
        return Ok(ExitCode::SUCCESS);
    }
    logging::start(&config.log)?;
    let runtime = super::runtime()?;
    let result = runtime.block_on(serve(&config, arguments.lost_state, arguments.exit_with_parent));
    runtime.shutdown_timeout(STOP_PATIENCE);
    match result {
        Ok(()) => tracing::info!("stopped"),
        // The log of a supervised node must hold the reason; standard error alone may be lost.
        Err(ref error) => tracing::error!(reason = errors::chain(&**error), "the node stopped"),
    }
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: &Config, lost_state: bool, exit_with_parent: bool) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let node = Node::start(config, lost_state).await?;
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = parent_gone(), if exit_with_parent => {}
        }
    };
    Ok(node.run(stop).await?)
}

/// Waits until standard input ends. What comes before is of no interest.
async fn parent_gone() {
    let mut ignored = tokio::io::sink();
    if let Err(error) = tokio::io::copy(&mut tokio::io::stdin(), &mut ignored).await {
        tracing::warn!(%error, "standard input cannot be read, so the parent is taken for gone");
    }
}
