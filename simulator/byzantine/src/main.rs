//! `conclave-byzantine`: a validator that misbehaves on purpose.
//!
//! It is the shipped node, with the configuration of any validator, its sockets, its store and its signer: only what
//! leaves it is a liar's ([`liar`]), who has the keys and distorts the letters of the shipped core, with the adversaries
//! of the simulator. So what others see is what a clever operator of a changed binary could show them. Never part of
//! an installation.

mod liar;

use std::{
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use conclave_node::{config::Config, errors, logging, node::Node, process};
use conclave_simulator::Behaviour;
use conclave_types::PayerAddress;
use tokio::signal::unix::{SignalKind, signal};

use liar::Liar;

/// How long tasks may take to notice that the node has stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// A validator that misbehaves on purpose, to attack a network of one's own.
///
/// It takes the configuration of a validator and is one, but for what it sends. `conclave devnet attack` starts it in
/// place of validators and shows what comes of it.
#[derive(Debug, Parser)]
#[command(name = "conclave-byzantine", version)]
#[command(after_help = "Examples:
  conclave-byzantine --config net/validator-3/config.toml --behaviour equivocate
  conclave-byzantine --config net/validator-3/config.toml --behaviour censor --victim 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266
  conclave-byzantine --config net/validator-3/config.toml --behaviour halt --on-signal   # kill -USR1 begins, -USR2 ends it")]
struct Arguments {
    /// The configuration of the validator that it is.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What it does.
    #[arg(long)]
    behaviour: Misdeed,
    /// Whose bundles a censor leaves out of its blocks; everybody's if nobody is named.
    #[arg(long, value_name = "ADDRESS")]
    victim: Option<PayerAddress>,
    /// Be honest until SIGUSR1, and again from SIGUSR2 on.
    #[arg(long)]
    on_signal: bool,
    /// JSON-RPC of an L1 node to follow, in place of l1.endpoints; repeat it for others to compare with.
    #[arg(long = "l1", value_name = "URL")]
    l1: Vec<String>,
    /// Stop when standard input ends, as it does when a supervisor that holds its other end dies.
    #[arg(long)]
    exit_with_parent: bool,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Misdeed {
    /// Signs two votes for each step and shows them to different validators, some of them both
    Equivocate,
    /// Follows each of its proposals by one of another block
    TwinProposals,
    /// Attests another history besides
    DoubleAttestations,
    /// Votes, and sends no decryption shares
    WithholdShares,
    /// Sends decryption shares of blocks that nobody has proposed, let alone decided
    EarlyShare,
    /// Sends decryption shares that are not what its secret gives
    WrongShares,
    /// Leaves bundles out of its blocks, however long they have waited
    Censor,
    /// Proposes, and never votes
    Halt,
}

impl Misdeed {
    const fn behaviour(self, victim: Option<PayerAddress>) -> Behaviour {
        match self {
            Self::Equivocate => Behaviour::Equivocate,
            Self::TwinProposals => Behaviour::TwinProposals,
            Self::DoubleAttestations => Behaviour::DoubleAttestations,
            Self::WithholdShares => Behaviour::WithholdShares,
            Self::EarlyShare => Behaviour::StrayShares,
            Self::WrongShares => Behaviour::WrongShares,
            Self::Censor if victim.is_some() => Behaviour::Censor,
            Self::Censor => Behaviour::EmptyBlocks,
            Self::Halt => Behaviour::Abstain,
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also if the log is not open yet.
            let told = writeln!(std::io::stderr(), "error: {}", errors::chain(&*error));
            if told.is_err() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load_with(&arguments.config, &arguments.l1)?;
    logging::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let served = runtime.block_on(serve(&config, arguments));
    runtime.shutdown_timeout(STOP_PATIENCE);
    served
}

async fn serve(config: &Config, arguments: &Arguments) -> anyhow::Result<()> {
    let lies = Arc::new(AtomicBool::new(!arguments.on_signal));
    // Listened for before anybody could send them: unheard, they end a process.
    let mut begin = signal(SignalKind::user_defined1()).context("cannot listen for SIGUSR1")?;
    let mut end = signal(SignalKind::user_defined2()).context("cannot listen for SIGUSR2")?;
    let stop = process::asked_to_stop(arguments.exit_with_parent)?;
    let behaviours = [arguments.behaviour.behaviour(arguments.victim)];
    let make = |genesis: &_, identity: Option<&_>| {
        let liar = identity.and_then(|identity| {
            Liar::new(genesis, identity, &behaviours, arguments.victim, Arc::clone(&lies))
        });
        liar.context("only a validator of the genesis can misbehave: the configuration is of none")
    };
    let node = Node::start_conducted(config, make).await?;
    tracing::warn!(behaviour = ?arguments.behaviour, on_signal = arguments.on_signal, "this validator misbehaves");
    let stop = async {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = begin.recv() => lies.store(true, Ordering::Relaxed),
                _ = end.recv() => lies.store(false, Ordering::Relaxed),
            }
            // Whoever tells a story waits for these words (`node/src/cli/devnet/attack/scene.rs`).
            match lies.load(Ordering::Relaxed) {
                true => tracing::warn!("from now on it misbehaves"),
                false => tracing::warn!("from now on it is honest"),
            }
        }
    };
    Ok(node.run(stop).await?)
}
