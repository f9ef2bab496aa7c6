//! `conclave bench`: what a network of real processes does on this machine, load included.
//!
//! Load is open-loop at a given rate — a bundle's clock starts when it was due, not when there was
//! time for it — or saturating, with a bounded number of bundles between submission and reveal.
//! Nothing counts as revealed but plaintext that a subscriber has received over gRPC.

mod load;
mod machine;
mod report;
mod stages;

use std::{process::ExitCode, time::Duration};

use conclave_client::Client;
use conclave_encryption::Suite;
use tokio::{task::JoinSet, time::Instant};

use super::devnet::{
    Interrupted,
    error::{DevnetError, at},
    network::Devnet,
    screen::{Screen, print_json},
    setup::{Rig, Setup},
    tracker::Tracker,
};
use load::{Load, Target};
use machine::Usage;
use report::Report;

/// Load runs this long before anything is counted: connections, caches and the pool settle.
const WARM_UP: Duration = Duration::from_secs(3);

/// After the measured time, bundles under way have this long to arrive; then they are lost.
const DRAIN: Duration = Duration::from_secs(20);

/// How often processes are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Measure sealed bundles per second, latency, CPU, memory and bytes on the wire.
///
/// Starts a network of its own (like `conclave devnet`), loads it with sealed bundles of real signed
/// transactions, and reports. The machine carries everything at once: validators, rollups and load.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave bench --bundle-bytes 1024 --duration 20            (as much as goes through)
  conclave bench --bundle-bytes 1024 --duration 20 --rate 150 (latency at a given load)
  conclave bench --rate 256 --block-interval 500              (blocks of 128 bundles)
  conclave bench --bundle-bytes 65536 --duration 20 --json")]
pub(crate) struct Arguments {
    /// How many validators.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    validators: u16,
    /// Plaintext of a bundle in bytes, as it is sealed: encoded legs, before padding.
    #[arg(long, value_name = "BYTES", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(256..=131_072))]
    bundle_bytes: u32,
    /// Measured time in seconds, after a short warm-up.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    duration: u64,
    /// Bundles handed in per second; as many as go through if absent.
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Least time between two blocks in milliseconds, so that blocks are as large as wanted at a given rate; 50 if
    /// absent.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(5..=1_000))]
    block_interval: Option<u64>,
    /// Print one JSON object on standard output, everything else on standard error.
    #[arg(long)]
    json: bool,
    /// How bundles are sealed: 0x01 (the default) or 0x02, see `conclave genesis --help`.
    #[arg(long, value_name = "NUMBER", value_parser = super::genesis::parse_suite)]
    suite: Option<Suite>,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    Ok(runtime.block_on(Box::pin(bench(arguments)))?)
}

async fn bench(arguments: Arguments) -> Result<ExitCode, DevnetError> {
    let screen = if arguments.json { Screen::error() } else { Screen::output() };
    let mut interrupted = Interrupted::new()?;
    let users = load::users()?;
    let setup = Setup {
        data_dir: None,
        validators: arguments.validators,
        suite: arguments.suite,
        params: None,
        // It settles nothing yet, so it would only be noise in the figures.
        l1: super::devnet::l1::Choice::None,
        payers: users.iter().map(load::User::payer).collect(),
        alloc: Some(load::alloc(&users)),
        rig: Rig { block_interval_ms: arguments.block_interval, ..Rig::default() },
    };
    screen.line(format!("conclave bench: starting {} validators and 2 rollups", setup.validators));
    let mut devnet = tokio::select! {
        devnet = Devnet::start(&setup) => devnet?,
        () = interrupted.wait() => return Ok(ExitCode::FAILURE),
    };
    let report = tokio::select! {
        report = Box::pin(measure(&mut devnet, users, &arguments, &screen)) => Some(report),
        () = interrupted.wait() => None,
    };
    if matches!(report, Some(Err(_)))
        && let Some(path) = devnet.keep()
    {
        screen.line(format!("its logs and data are kept in {}", path.display()));
    }
    devnet.stop().await;
    let Some(report) = report.transpose()? else { return Ok(ExitCode::FAILURE) };
    if arguments.json {
        print_json(&report).map_err(at("standard output"))?;
    } else {
        report.print(&screen);
    }
    Ok(if report.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(
    devnet: &mut Devnet,
    users: Vec<load::User>,
    arguments: &Arguments,
    screen: &Screen,
) -> Result<Report, DevnetError> {
    let duration = Duration::from_secs(arguments.duration);
    let target = Target {
        bundle_bytes: arguments.bundle_bytes,
        rate: arguments.rate,
        starts: Instant::now(),
    };
    let load = Load::new(target, Tracker::default());
    let mut tasks = JoinSet::new();
    load.spawn(devnet, users, &mut tasks)?;
    screen.line(format!(
        "warming up for {} s, then measuring for {} s",
        WARM_UP.as_secs(),
        arguments.duration
    ));
    watch_over(devnet, &mut tasks, WARM_UP).await?;
    let (since, before) = (Instant::now(), Usage::read(devnet).await?);
    let stages_before = stages::read(devnet).await?;
    let delivered_before = load.delivered();
    watch_over(devnet, &mut tasks, duration).await?;
    let (until, after) = (Instant::now(), Usage::read(devnet).await?);
    let stages = stages::since(stages::read(devnet).await?, &stages_before);
    let delivered = load.delivered().since(delivered_before);
    load.stop();
    drain(devnet, &load, &mut tasks).await?;
    Ok(Report::new(report::Measured {
        arguments_bundle_bytes: arguments.bundle_bytes,
        rate: arguments.rate,
        validators: arguments.validators,
        since,
        until,
        delivered,
        usage: after.since(&before),
        stages,
        load: &load,
    }))
}

/// Lets the load run; an error if a process or the load itself dies.
async fn watch_over(
    devnet: &mut Devnet,
    tasks: &mut JoinSet<Result<(), DevnetError>>,
    time: Duration,
) -> Result<(), DevnetError> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        tokio::time::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
        devnet.check()?;
        if let Some(ended) = tasks.try_join_next() {
            ended.unwrap_or_else(|e| Err(DevnetError::Broken(format!("a task died: {e}"))))?;
        }
    }
    Ok(())
}

/// Waits until everything handed in has arrived, or has had its time.
async fn drain(
    devnet: &mut Devnet,
    load: &Load,
    tasks: &mut JoinSet<Result<(), DevnetError>>,
) -> Result<(), DevnetError> {
    let until = Instant::now() + DRAIN;
    while Instant::now() < until && load.under_way() > 0 {
        watch_over(devnet, tasks, LOOK_EVERY).await?;
    }
    Ok(())
}

/// A client that asks one validator alone: what it tells has crossed that validator's gRPC.
fn observer(devnet: &Devnet) -> &Client {
    devnet.validators.last().map_or(&devnet.client, |validator| &validator.client)
}
