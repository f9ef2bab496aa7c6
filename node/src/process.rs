//! What a process of ours is told from outside.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves once the process is to stop: on SIGINT or SIGTERM, or, if it is to go with its parent, when standard input
/// ends, as it does when a supervisor that holds its other end dies. Signals are heard from the call on.
///
/// # Errors
///
/// If signals cannot be listened for.
pub fn asked_to_stop(exit_with_parent: bool) -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = parent_gone(), if exit_with_parent => {}
        }
    })
}

/// Waits until standard input ends. What comes before is of no interest.
async fn parent_gone() {
    let mut ignored = tokio::io::sink();
    if let Err(error) = tokio::io::copy(&mut tokio::io::stdin(), &mut ignored).await {
        tracing::warn!(%error, "standard input cannot be read, so the parent is taken for gone");
    }
}
