//! `conclave devnet`: a whole network on this machine, in one command.
//!
//! Four validators, two EVM rollups and the Ethereum under them as processes of their own, real sockets,
//! real disks, real transactions. Interactive, it tells the life of a bundle and keeps running; with `--blocks` it
//! loads itself, looks everything up again and says whether every promise was kept.

mod attack;
mod audit;
mod closing;
pub(crate) mod error;
pub(crate) mod ethereum;
mod founding;
pub(crate) mod l1;
mod load;
pub(crate) mod network;
pub(crate) mod processes;
mod queue;
mod rollups;
pub(crate) mod screen;
pub(crate) mod setup;
mod story;
pub(crate) mod tracker;
pub(crate) mod transactions;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use conclave_client::{ClientError, Payer};
use conclave_encryption::Suite;
use conclave_types::{Params, PayerAddress};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::Instant,
};

use error::{DevnetError, at};
use l1::Choice;
use load::Journal;
use network::Devnet;
use screen::Screen;
use setup::{Rig, Setup};
use tracker::Tracker;

/// How often the ticker ticks, and looks after the processes.
const TICK: Duration = Duration::from_millis(500);

/// The ticker's latencies are those of this long.
const TICKER_WINDOW: Duration = Duration::from_secs(10);

/// A run of `--blocks` whose chain does not grow for this long has failed.
const STALL_PATIENCE: Duration = Duration::from_secs(60);

/// Start a whole network on this machine: validators, two EVM rollups, the Ethereum under them, users.
///
/// Interactive, it tells the life of a sealed bundle and keeps running under a light load until
/// Ctrl-C. With --blocks it runs under its own load for that many blocks, checks that every bundle was
/// revealed and every transaction met its fate, and exits; the exit code is 0 only if all of it held.
///
/// The keys are generated, those of users are well-known test keys: never send anything of value here.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  conclave devnet
  conclave devnet --data-dir ./devnet          (run it again to go on where it stopped)
  conclave devnet --l1 http://127.0.0.1:8545 --l1-account-key rich.key
  conclave devnet --blocks 50 --json | jq .latency_ms
  conclave devnet --params eras.json
  conclave devnet attack equivocate

A file of parameters names those that are other than usual. To see the key handed on, and after about 200 blocks a
fresh one: {\"sharing\": {\"epoch_heights\": 60, \"era_epochs\": 2, \"overlap_heights\": 20}}"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run for this many blocks under its own load, then report and exit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    blocks: Option<u64>,
    /// Print one JSON object on standard output, everything else on standard error.
    #[arg(long, requires = "blocks")]
    json: bool,
    /// Where the network lives; a directory that holds one is continued. A temporary one by default.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How many validators.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    validators: u16,
    /// How bundles are sealed: 0x01 (the default) or 0x02, see `conclave genesis --help`.
    #[arg(long, value_name = "NUMBER", value_parser = super::genesis::parse_suite)]
    suite: Option<Suite>,
    /// Protocol parameters as JSON, like `params` in genesis.json; what it does not name is as by default.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// JSON-RPC of an Ethereum to settle on, instead of one of its own; repeat it for others to compare with.
    #[arg(long = "l1", value_name = "URL", requires = "l1_account_key")]
    l1: Vec<String>,
    /// File with the key of an account there that pays for the contracts and the stake: 33 ether a validator.
    #[arg(long, value_name = "FILE", requires = "l1")]
    l1_account_key: Option<PathBuf>,
    /// Settle on nothing: no contracts, no stake.
    #[arg(long, conflicts_with = "l1")]
    no_l1: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Attack(attack::Arguments),
}

impl Arguments {
    fn l1(&self) -> Choice {
        match &self.l1_account_key {
            _ if self.no_l1 => Choice::None,
            Some(key) => Choice::At { urls: self.l1.clone(), key: key.clone() },
            None => Choice::Embedded,
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(Command::Attack(attack)) = &arguments.command {
        return attack::run(attack);
    }
    let params = arguments.params.as_deref().map(super::params::read).transpose()?;
    let runtime = super::runtime()?;
    // Boxed: it holds all that a devnet is.
    Ok(runtime.block_on(Box::pin(devnet(arguments, params)))?)
}

async fn devnet(arguments: Arguments, params: Option<Params>) -> Result<ExitCode, DevnetError> {
    let screen = if arguments.json { Screen::error() } else { Screen::output() };
    let mut interrupted = Interrupted::new()?;
    let payers = transactions::DEV_KEYS.iter().map(|key| payer(key)).collect::<Result<_, _>>()?;
    let setup = Setup {
        data_dir: arguments.data_dir.clone(),
        validators: arguments.validators,
        suite: arguments.suite,
        params,
        l1: arguments.l1(),
        payers,
        alloc: None,
        rig: Rig::default(),
    };
    screen.line(format!(
        "conclave devnet: starting {} validators and {} rollups{}",
        setup.validators,
        network::ROLLUPS.len(),
        match setup.l1 {
            Choice::None => ", and no L1",
            Choice::Embedded => ", and an L1",
            Choice::At { .. } => ", and deploying to an L1",
        },
    ));
    let started = tokio::select! {
        started = Devnet::start(&setup) => started?,
        () = interrupted.wait() => return Ok(ExitCode::FAILURE),
    };
    let mut devnet = started;
    screen.line(format!(
        "network {}, first block decided {} after the first validator started",
        devnet.client.network().id(),
        closing::millis(devnet.first_block_after),
    ));
    screen.line(format!(
        "key {}, made by the validators on the chain, held by nobody: {} after the first validator started",
        devnet.key,
        closing::millis(devnet.key_after),
    ));
    let work = async {
        match arguments.blocks {
            Some(blocks) => measured(&mut devnet, blocks, &arguments, &screen).await,
            None => interactive(&mut devnet, &screen).await,
        }
    };
    let result = tokio::select! {
        result = Box::pin(work) => result,
        () = interrupted.wait() => {
            // Ctrl-C ends an interactive run, and breaks off a measured one.
            screen.line("");
            if arguments.blocks.is_none() { finish(&devnet, &screen).await } else { Ok(false) }
        }
    };
    let stopped = close(devnet, result.is_err(), &screen).await;
    Ok(if result? && stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Stops every process, and keeps what they have written if somebody will want to look into it. Whether all of them
/// stopped when asked.
async fn close(mut devnet: Devnet, keeps: bool, screen: &Screen) -> bool {
    if keeps && let Some(path) = devnet.keep() {
        screen.line(format!("its logs and data are kept in {}", path.display()));
    }
    let killed = devnet.stop().await;
    for name in &killed {
        screen.line(format!("{name} did not stop when asked, and was killed"));
    }
    if killed.is_empty() {
        screen.line("every process has stopped");
    }
    killed.is_empty()
}

/// The address of a key's payer.
pub(crate) fn payer(key: &str) -> Result<PayerAddress, DevnetError> {
    Ok(Payer::from_hex(key).map_err(ClientError::from)?.address())
}

/// SIGINT, SIGTERM, or SIGHUP when the terminal is closed.
pub(crate) struct Interrupted {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Interrupted {
    /// Listens from now on.
    pub(crate) fn new() -> Result<Self, DevnetError> {
        let listen = |kind| signal(kind).map_err(at("signals"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for one of them.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Tells the story, then ticks until it is dropped or something breaks.
async fn interactive(devnet: &mut Devnet, screen: &Screen) -> Result<bool, DevnetError> {
    Box::pin(story::Story::new(devnet, screen).await?.tell()).await?;
    if !closing::print(devnet, screen).await? {
        return Err(DevnetError::Broken("the validators do not have the same chain".to_owned()));
    }
    closing::print_addresses(devnet, screen);
    screen.heading("running under a light load until Ctrl-C");
    let (tracker, journal) = (Tracker::default(), Journal::default());
    let mut tasks = spawn_load(devnet, &tracker, &journal).await?;
    loop {
        tokio::time::sleep(if screen.is_terminal() { TICK } else { TICKER_WINDOW }).await;
        devnet.check()?;
        if let Some(ended) = tasks.try_join_next() {
            return joined(ended).map(|()| false);
        }
        tick(devnet, &tracker, screen).await?;
    }
}

async fn tick(devnet: &Devnet, tracker: &Tracker, screen: &Screen) -> Result<(), DevnetError> {
    let since = Instant::now().checked_sub(TICKER_WINDOW).unwrap_or_else(Instant::now);
    tracker.forget(since);
    let ordered = tracker.latency(since, |marks| marks.ordered);
    let revealed = tracker.latency(since, |marks| marks.revealed);
    let received = tracker.latency(since, |marks| marks.received);
    let (decided, opened) = tracker.heights();
    let count = tracker.marks().len();
    let mut rollups = String::new();
    for rollup in &devnet.rollups {
        let head = rollup.status().await?.head_number;
        rollups.push_str(&format!("  {} at EVM block {head}", rollup.id));
    }
    screen.again(format!(
        "   decided {decided}  revealed {opened}{rollups}  bundles/{} s {count}  p50 ms: received \
         {:.0}  ordered {:.0}  revealed {:.0}",
        TICKER_WINDOW.as_secs(),
        received.p50,
        ordered.p50,
        revealed.p50,
    ));
    Ok(())
}

/// The closing table after Ctrl-C.
async fn finish(devnet: &Devnet, screen: &Screen) -> Result<bool, DevnetError> {
    closing::print(devnet, screen).await
}

/// Starts the users and whoever follows the blocks.
async fn spawn_load(
    devnet: &Devnet,
    tracker: &Tracker,
    journal: &Journal,
) -> Result<JoinSet<Result<(), DevnetError>>, DevnetError> {
    let height = devnet.client.progression().await?.revealed.as_u64();
    for rollup in &devnet.rollups {
        // Nonces are those after everything that was ordered before.
        rollup.wait_height(height).await?;
    }
    let mut tasks = JoinSet::new();
    let follower = devnet.validators.first().map_or(&devnet.client, |v| &v.client).clone();
    let following = tracker.clone();
    tasks.spawn(async move {
        following.follow(follower).await;
        Ok(())
    });
    for user in load::users(devnet).await? {
        tasks.spawn(user.run(journal.clone(), tracker.clone()));
    }
    Ok(tasks)
}

fn joined(
    ended: Result<Result<(), DevnetError>, tokio::task::JoinError>,
) -> Result<(), DevnetError> {
    ended.unwrap_or_else(|error| Err(DevnetError::Broken(format!("a task died: {error}"))))
}

/// Runs under load for `blocks` blocks and checks every promise. True if all of them held.
async fn measured(
    devnet: &mut Devnet,
    blocks: u64,
    arguments: &Arguments,
    screen: &Screen,
) -> Result<bool, DevnetError> {
    let since = Instant::now();
    let (tracker, journal) = (Tracker::default(), Journal::kept());
    let mut tasks = spawn_load(devnet, &tracker, &journal).await?;
    let users = tasks.len().saturating_sub(1);
    let target = devnet.start_height.saturating_add(blocks);
    let (mut highest, mut grown) = (0, Instant::now());
    while tracker.heights().0 < target || !journal.is_complete() {
        tokio::time::sleep(TICK).await;
        devnet.check()?;
        if let Some(ended) = tasks.try_join_next() {
            joined(ended)?;
        }
        let (decided, revealed) = tracker.heights();
        if decided > highest {
            (highest, grown) = (decided, Instant::now());
        }
        if grown.elapsed() > STALL_PATIENCE {
            let (what, logs) = (format!("a block after {highest}"), devnet.logs.clone());
            return Err(DevnetError::Late { what, patience: STALL_PATIENCE, logs });
        }
        screen.line(format!(
            "decided {decided} of {target}, revealed {revealed}, {} bundles handed in",
            journal.entries().len()
        ));
    }
    let queued = queue(devnet).await?;
    journal.stop();
    for _ in 0..users {
        if let Some(ended) = tasks.join_next().await {
            joined(ended)?;
        }
    }
    let report = audit::audit(devnet, &journal.entries(), (&tracker, since), queued).await?;
    for complaint in &report.complaints {
        screen.line(format!("BROKEN: {complaint}"));
    }
    closing::print(devnet, screen).await?;
    if arguments.json {
        screen::print_json(&report).map_err(at("standard output"))?;
    } else {
        print_report(&report, screen);
    }
    Ok(report.complaints.is_empty())
}

/// Goes past the validators, if there is an L1.
async fn queue(devnet: &Devnet) -> Result<Option<queue::Report>, DevnetError> {
    let Some(l1) = &devnet.l1 else { return Ok(None) };
    let Some(waiting) = queue::Waiting::enqueue(devnet, l1).await? else { return Ok(None) };
    waiting.landed().await.map(Some)
}

fn print_report(report: &audit::Report, screen: &Screen) {
    let bundles = report.bundles;
    screen.heading("result");
    if let Some(first) = report.first_revealed_ms {
        screen.step("opened", format!("a first bundle {first} ms after this command began"));
    }
    screen.step("heights", report.heights);
    screen.step(
        "bundles",
        format!(
            "{} submitted, {} ordered, {} revealed, {} undecryptable",
            bundles.submitted, bundles.ordered, bundles.revealed, bundles.undecryptable
        ),
    );
    for (rollup, count) in &report.transactions_executed {
        screen.step(&format!("on {rollup}"), format!("{count} transactions executed"));
    }
    if let Some(queue::Report { forced, deposited, settled }) = report.l1 {
        screen
            .step("forced", format!("entry {} carried at height {}", forced.entry, forced.height));
        screen.step(
            "deposited",
            format!("entry {} pays at height {}", deposited.entry, deposited.height),
        );
        screen.step("settled", format!("up to height {}", settled.height));
    }
    let levels = [("ordered", report.latency_ms.ordered), ("revealed", report.latency_ms.revealed)];
    for (level, latency) in levels {
        screen.step(
            level,
            format!(
                "p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms",
                latency.p50, latency.p95, latency.p99
            ),
        );
    }
}
