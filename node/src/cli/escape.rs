//! `conclave escape`: the way out on Ethereum when nothing settles, which is anyone's to take.

use std::process::ExitCode;

use conclave_node::l1::{Patience, escape};

use super::{
    chain::{ContractArguments, Done, EndpointArguments, Operation, Session, tell},
    print,
};

/// Leave when nothing settles for too long, and come back: look how that stands, write it down on L1, end it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(StatusArguments),
    Latch(LatchArguments),
    Resume(ResumeArguments),
}

/// Show how the escape stands: whether it could be latched now, and if not, from which L1 block on; whether it is, and
/// what would end it.
///
/// All of it is of the newest L1 block. Rollups go by what is final.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave escape status --l1 http://127.0.0.1:8545 --genesis net/genesis.json
  conclave escape status --l1 http://127.0.0.1:8545 --contract 0x… --json")]
struct StatusArguments {
    #[command(flatten)]
    at: EndpointArguments,
    #[command(flatten)]
    of: ContractArguments,
}

/// Write down on L1 that rollups may leave, since nothing newer has settled for the escape delay; anyone may.
///
/// From then on rollups derive their chains from the queue on L1, from the height that had settled. The next posting
/// does the same, and settles all the same. Before it is due nothing is sent, and it says for which L1 block to wait.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave escape latch --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key
  conclave escape latch --l1 http://127.0.0.1:8545 --contract 0x… --account-key me.key --wait-final --json")]
struct LatchArguments {
    #[command(flatten)]
    on: Operation,
}

/// Announce on L1 that rollups come back, once what has settled is new enough; anyone may.
///
/// It is new enough within half the escape delay. Entries of the queue before the resume point belong to the time away.
/// While it is not, nothing is sent, and it says what has to settle first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave escape resume --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key
  conclave escape resume --l1 http://127.0.0.1:8545 --contract 0x… --account-key me.key --wait-final --json")]
struct ResumeArguments {
    #[command(flatten)]
    on: Operation,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    match arguments.command {
        Command::Status(arguments) => runtime.block_on(Box::pin(status(arguments))),
        Command::Latch(arguments) => runtime.block_on(Box::pin(latch(arguments.on))),
        Command::Resume(arguments) => runtime.block_on(Box::pin(resume(arguments.on))),
    }
}

async fn status(arguments: StatusArguments) -> anyhow::Result<ExitCode> {
    let StatusArguments { at, of } = arguments;
    let (endpoints, contracts) = of.find(&at, Patience::default()).await?;
    let standing = escape::standing(&endpoints, &contracts).await?;
    let standing = serde_json::to_value(standing)?;
    if at.json {
        print(standing)?;
        return Ok(ExitCode::SUCCESS);
    }
    // What comes next is a sentence for people; the figures are below it.
    if let Some(next) = standing.get("next") {
        tell("next", next)?;
    }
    let facts = standing.as_object().into_iter().flatten();
    for (what, value) in facts.filter(|(what, value)| !value.is_null() && *what != "next") {
        tell(what, value)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn latch(on: Operation) -> anyhow::Result<ExitCode> {
    let session = Session::open(&on).await?;
    let latched = escape::latch(&session.sender, &session.contracts).await?;
    let done = Done::default()
        .sent("latched", latched.sent)
        .effect("latched_at", latched.event.latchedAt)
        .effect("height", latched.event.height)
        .effect("cursor", latched.event.cursor);
    session.tell(done, &on).await
}

async fn resume(on: Operation) -> anyhow::Result<ExitCode> {
    let session = Session::open(&on).await?;
    let resumed = escape::resume(&session.sender, &session.contracts).await?;
    let done = Done::default()
        .sent("resumed", resumed.sent)
        .effect("resumed_at", resumed.event.resumedAt)
        .effect("resume_point", resumed.event.resumePoint)
        .effect("settled_height", resumed.event.settledHeight);
    session.tell(done, &on).await
}
