//! Waiting for a condition, never for time to pass.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// What `look` finds, or a failure that says what was waited for.
pub(crate) async fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A question that hangs is a condition that does not hold.
        if let Ok(Some(found)) = tokio::time::timeout_at(deadline, look()).await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
    }
}
