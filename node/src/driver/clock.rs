//! The time that the core is told: the wall clock, except that it never steps back.
//!
//! Every deadline of consensus compares with it. Were a wall clock that is set back passed on, nothing
//! would time out until it has caught up, and a quorum of such machines would stand still.

use std::time::{Duration, Instant};

use conclave_types::Time;

/// Steps up to this are what disciplined clocks do all day.
const STEP_TOLD: Duration = Duration::from_secs(1);

/// A clock that was started once.
pub(super) struct Clock {
    started: Instant,
    course: Course,
}

impl Clock {
    /// Starts at the wall clock's time.
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), course: Course::new(super::now()) }
    }

    /// The time.
    pub(super) fn now(&mut self) -> Time {
        self.course.follow(self.started.elapsed(), super::now())
    }
}

/// What the time is, given how much has passed and what the wall clock says.
#[derive(Debug)]
struct Course {
    /// What the time was when nothing had passed, as far as is known now.
    start: Time,
    /// How far the wall clock is known to be behind.
    behind: Duration,
}

impl Course {
    const fn new(start: Time) -> Self {
        Self { start, behind: Duration::ZERO }
    }

    /// Moves on with what has `elapsed`; a wall clock that is ahead is followed.
    fn follow(&mut self, elapsed: Duration, wall: Time) -> Time {
        let steady = self.start.after(elapsed);
        let (ahead, behind) = (wall.since(steady), steady.since(wall));
        if ahead > STEP_TOLD {
            tracing::warn!(?ahead, "the wall clock was set forward");
        }
        if behind > self.behind.saturating_add(STEP_TOLD) {
            tracing::warn!(
                ?behind,
                "the wall clock was set back; this node goes on as before until it is started again"
            );
        }
        self.behind = behind;
        self.start = self.start.after(ahead);
        steady.max(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_micros(1_000_000_000_000);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn time_follows_the_wall_forward() {
        let mut course = Course::new(START);
        assert_eq!(course.follow(seconds(1), START.after(seconds(1))), START.after(seconds(1)));
        assert_eq!(course.follow(seconds(2), START.after(seconds(60))), START.after(seconds(60)));
        assert_eq!(course.follow(seconds(3), START.after(seconds(61))), START.after(seconds(61)));
    }

    #[test]
    fn time_goes_on_evenly_when_the_wall_is_set_back() {
        let mut course = Course::new(START);
        let set_back = Time::from_micros(START.as_micros() - 3_600_000_000);
        for second in 0..100 {
            let wall = set_back.after(seconds(second));
            assert_eq!(course.follow(seconds(second), wall), START.after(seconds(second)));
        }
        assert_eq!(course.follow(seconds(100), Time::from_micros(0)), START.after(seconds(100)));
    }

    #[test]
    fn time_never_runs_backwards_whatever_the_wall_does() {
        let mut course = Course::new(START);
        let mut last = START;
        for step in 0_u64..1_000 {
            let wall = Time::from_micros(START.as_micros() ^ step.wrapping_mul(0x9e37_79b9));
            let now = course.follow(Duration::from_millis(step), wall);
            assert!(now >= last);
            last = now;
        }
    }
}
