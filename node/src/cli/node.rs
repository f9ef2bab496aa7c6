//! `conclave node`: runs a validator or a full node.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use conclave_node::{config::Config, driver::RecordTo, errors, logging, node::Node, process};
use conclave_types::Height;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
  conclave node --config net/validator-0/config.toml --l1 http://127.0.0.1:8545
  conclave node --config net/validator-0/config.toml --lost-state 123456   # after the disk was lost
  conclave node --config new/config.toml --lost-state 0   # with a consensus key that has never signed
  conclave node --config net/validator-0/config.toml --record recordings   # for conclave-sim replay")]
pub(crate) struct Arguments {
    /// The configuration; `conclave genesis` writes one with comments.
    #[arg(long)]
    config: PathBuf,
    /// Check the configuration and exit.
    #[arg(long)]
    check: bool,
    /// JSON-RPC of an L1 node to follow, in place of l1.endpoints; repeat it for others to compare with.
    #[arg(long = "l1", value_name = "URL")]
    l1: Vec<String>,
    /// The disk was lost, signer.state with it, and no other machine signs with these keys: ask L1 what has
    /// settled, catch up with that, be silent up to two heights above what a quorum had decided and above HEIGHT, then sign:
    /// HEIGHT is the highest that this validator can have decided: what its logs, its conclave_height or a node beside it last
    /// showed, and what it can have added since. 0 for a key that has never signed. Has no effect while
    /// signer.state is there.
    // The value is optional for the parser alone: what is missing takes more words than it has.
    #[arg(long, value_name = "HEIGHT", num_args = 0..=1)]
    lost_state: Option<Option<u64>>,
    /// For whoever looks into an incident: write what the core is told and a digest of what it does into a new
    /// file in this directory, for `conclave-sim replay`. Holds no key; keep it to yourself while the node
    /// runs. A recording that cannot be written is given up with a warning, and the node goes on.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Mebibytes that a recording may have; then it ends and the node goes on.
    #[arg(long, value_name = "N", default_value_t = 1_024, requires = "record")]
    record_mb_max: u64,
    /// Stop when standard input ends, as it does when a supervisor that holds its other end dies.
    #[arg(long)]
    exit_with_parent: bool,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load_with(&arguments.config, &arguments.l1)?;
    let lost_state = lost_state(arguments.lost_state)?;
    if arguments.check {
        super::print("the configuration is valid")?;
        return Ok(ExitCode::SUCCESS);
    }
    logging::start(&config.log)?;
    raise_files_max();
    warn_of_lost_state(lost_state);
    let runtime = super::runtime()?;
    let record = arguments.record.map(|directory| RecordTo {
        directory,
        bytes_max: arguments.record_mb_max.saturating_mul(1 << 20),
    });
    let serve = serve(&config, lost_state, record.as_ref(), arguments.exit_with_parent);
    let result = runtime.block_on(serve);
    runtime.shutdown_timeout(STOP_PATIENCE);
    match result {
        Ok(()) => tracing::info!("stopped"),
        // The log of a supervised node must hold the reason; standard error alone may be lost.
        Err(ref error) => tracing::error!(reason = errors::chain(&**error), "the node stopped"),
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// Why `--lost-state` alone is not enough.
#[derive(Debug, thiserror::Error)]
#[error(
    "--lost-state takes the highest height that this validator can have decided: what its logs, its metric conclave_height \
     in your monitoring, or a node that you ran beside it last showed, and 2000 / block_interval_ms more for each second from \
     then to its end. Too high costs time; too low may cost the stake, if the chain has forked. 0 says that this key has never signed. If \
     nothing is left that tells the height, do not bring this key back: make a new one, and put it in place with `conclave \
     stake rotate` (docs/operators.md, *When something breaks*)"
)]
struct NoHeight;

/// What the operator says of a lost history, if anything.
fn lost_state(said: Option<Option<u64>>) -> Result<Option<Height>, NoHeight> {
    said.map(|height| height.map(Height::new).ok_or(NoHeight)).transpose()
}

/// An option that is left in a unit file would hide the next loss, with a height that is too low by then.
fn warn_of_lost_state(lost_state: Option<Height>) {
    if let Some(height) = lost_state {
        tracing::warn!(
            %height,
            "--lost-state: should signer.state be lost, this validator signs again when its chain is above this height, \
             and not before; take the option away once it signs, and never leave it in a unit file"
        );
    }
}

/// Files that a node needs: the database keeps hundreds open, and each client and peer takes one.
const FILES_MIN: u64 = 4_096;

/// Takes as many files as the system lets this process have: a database that gets none stops the node.
fn raise_files_max() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            current
        }
    };
    if now.is_some_and(|now| now < FILES_MIN) {
        tracing::warn!(
            limit = now,
            "few open files are allowed, and many connections may use them up; allow {FILES_MIN} (LimitNOFILE, \
             ulimit -n)"
        );
    }
}

async fn serve(
    config: &Config,
    lost_state: Option<Height>,
    record: Option<&RecordTo>,
    exit_with_parent: bool,
) -> anyhow::Result<()> {
    let stop = process::asked_to_stop(exit_with_parent).context("cannot listen for signals")?;
    let node = Node::start_recorded(config, lost_state, record).await?;
    Ok(node.run(stop).await?)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn said(options: &[&str]) -> Result<Option<Height>, String> {
        let line = [&["node", "--config", "c"], options].concat();
        let parsed = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        lost_state(parsed.arguments.lost_state).map_err(|error| error.to_string())
    }

    #[test]
    fn a_lost_state_comes_with_a_height_or_with_where_to_find_one() {
        assert_eq!(said(&[]), Ok(None));
        assert_eq!(said(&["--lost-state", "0"]), Ok(Some(Height::ZERO)));
        assert_eq!(said(&["--lost-state", "123456", "--check"]), Ok(Some(Height::new(123_456))));
        for alone in [&["--lost-state"][..], &["--lost-state", "--check"]] {
            let error = said(alone).unwrap_err();
            for word in ["conclave_height", "never signed", "conclave stake rotate"] {
                assert!(error.contains(word), "{error}");
            }
        }
        for nonsense in ["-1", "1e6", "123,456", "18446744073709551616", "latest"] {
            let error = said(&[&format!("--lost-state={nonsense}")]).unwrap_err();
            assert!(error.contains("--lost-state"), "{error}");
        }
    }
}
