//! What the binaries of this crate have in common: logs, signals, and how they end.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error.
///
/// # Errors
///
/// If `filter` is none.
pub fn start_logs(filter: &str, json: bool) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("--log")?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json { logs.json().try_init() } else { logs.try_init() };
    started.map_err(|error| anyhow::anyhow!(error))
}

/// Runs a service until it ends by itself, or until it was told to stop and has stopped: by SIGINT, by SIGTERM,
/// or with `exit_with_parent` by the end of standard input.
///
/// # Errors
///
/// What the service ends with.
pub fn run<E, F>(
    exit_with_parent: bool,
    service: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<()>
where
    E: std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<(), E>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // The RPC's own bound is far below; this is for the client and the executor.
        .max_blocking_threads(64)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let running = Box::pin(service(stop.clone()));
        tokio::pin!(running);
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = parent_gone(), if exit_with_parent => {}
        }
        tracing::info!("stopping");
        stop.cancel();
        Ok(running.await?)
    })
}

/// The exit code of a binary; an error is told.
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    tracing::error!("{error:#}");
    // Where nothing is logged, be it by choice or because logging cannot start, it is said plainly.
    // If standard error is gone too, the exit code still says it.
    if !tracing::enabled!(tracing::Level::ERROR)
        && writeln!(io::stderr(), "error: {error:#}").is_err()
    {
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}

/// Waits until standard input ends. What comes before is of no interest.
async fn parent_gone() {
    let mut ignored = tokio::io::sink();
    if let Err(error) = tokio::io::copy(&mut tokio::io::stdin(), &mut ignored).await {
        tracing::warn!(%error, "standard input cannot be read, so the parent is taken for gone");
    }
}
