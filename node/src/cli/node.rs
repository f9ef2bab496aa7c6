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
  conclave node --config net/validator-0/config.toml --check")]
pub(crate) struct Arguments {
    /// The configuration; `conclave genesis` writes one with comments.
    #[arg(long)]
    config: PathBuf,
    /// Check the configuration and exit.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(&arguments.config)?;
    if arguments.check {
        super::print("the configuration is valid")?;
        return Ok(ExitCode::SUCCESS);
    }
    logging::start(&config.log)?;
    let runtime = super::runtime()?;
    let result = runtime.block_on(serve(&config));
    runtime.shutdown_timeout(STOP_PATIENCE);
    match result {
        Ok(()) => tracing::info!("stopped"),
        // The log of a supervised node must hold the reason; standard error alone may be lost.
        Err(ref error) => tracing::error!(reason = errors::chain(&**error), "the node stopped"),
    }
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let node = Node::start(config).await?;
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(node.run(stop).await?)
}
