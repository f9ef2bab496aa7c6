//! A validator's clock: set wrong by a while, and running a little fast or slow.

use std::time::Duration;

use conclave_types::Time;
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// How wrong clocks are. Each validator's is drawn from the seed, evenly between the two extremes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockModel {
    /// Set wrong by up to this much, either way.
    pub skew_ms: u64,
    /// Fast or slow by up to this many microseconds a second.
    pub drift_ppm: u64,
}

impl ClockModel {
    /// How wrong a clock may be after `ms`.
    pub(crate) fn wrong_max(&self, ms: u64) -> Duration {
        let drift = ms.saturating_mul(self.drift_ppm) / 1_000_000;
        Duration::from_millis(self.skew_ms.saturating_add(drift).saturating_add(1))
    }
}

/// One validator's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    begin: Time,
    skew_us: i64,
    drift_ppm: i64,
}

impl Clock {
    /// Draws a clock for a run that begins at `begin`.
    #[must_use]
    pub(crate) fn draw(model: &ClockModel, begin: Time, random: &mut Random) -> Self {
        let mut within = |most: u64| {
            let drawn = random.below(most.saturating_mul(2).saturating_add(1));
            i64::try_from(drawn).unwrap_or(0).saturating_sub_unsigned(most)
        };
        let skew_us = within(model.skew_ms.saturating_mul(1_000));
        Self { begin, skew_us, drift_ppm: within(model.drift_ppm) }
    }

    /// What it shows at `now`.
    #[must_use]
    pub(crate) fn shows(&self, now: Time) -> Time {
        let passed = i128::try_from(now.since(self.begin).as_micros()).unwrap_or(i128::MAX);
        // Most clocks are right, and this is asked of them at every step.
        let gained = match self.drift_ppm {
            0 => 0,
            drift => passed.saturating_mul(i128::from(drift)) / 1_000_000,
        };
        let wrong = gained.saturating_add(i128::from(self.skew_us));
        let wrong = i64::try_from(wrong).unwrap_or(0);
        Time::from_micros(now.as_micros().saturating_add_signed(wrong))
    }

    /// The first instant at which it shows `shown` or more.
    #[must_use]
    pub(crate) fn when(&self, shown: Time) -> Time {
        let own = i128::from(shown.as_micros())
            .saturating_sub(i128::from(self.begin.as_micros()))
            .saturating_sub(i128::from(self.skew_us));
        let passed = match self.drift_ppm {
            0 => own,
            drift => {
                let pace = 1_000_000_i128.saturating_add(i128::from(drift)).max(1);
                own.saturating_mul(1_000_000) / pace
            }
        };
        let passed = u64::try_from(passed.max(0)).unwrap_or(u64::MAX);
        let mut at = self.begin.after(Duration::from_micros(passed));
        // Rounding both ways leaves it a microsecond or two early.
        while self.shows(at) < shown {
            at = at.after(Duration::from_micros(1));
        }
        at
    }

    /// How far from right it was when the run began.
    #[must_use]
    pub(crate) const fn skew_us(&self) -> u64 {
        self.skew_us.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Time = Time::from_micros(1_000_000_000);

    fn later(micros: u64) -> Time {
        BEGIN.after(Duration::from_micros(micros))
    }

    #[test]
    fn a_right_clock_shows_the_time() {
        let clock = Clock::draw(&ClockModel::default(), BEGIN, &mut Random::new(1, 1));
        assert_eq!(clock.shows(later(77)), later(77));
        assert_eq!(clock.when(later(77)), later(77));
        assert_eq!(clock.skew_us(), 0);
    }

    #[test]
    fn skew_is_added_once_and_drift_all_the_time() {
        let slow = Clock { begin: BEGIN, skew_us: -2_000, drift_ppm: -100 };
        // 10 s later it has lost 1,000 µs, and was 2,000 µs behind before.
        assert_eq!(slow.shows(later(10_000_000)), later(10_000_000 - 3_000));
        let fast = Clock { begin: BEGIN, skew_us: 500, drift_ppm: 200 };
        assert_eq!(fast.shows(later(5_000_000)), later(5_000_000 + 1_500));
    }

    #[test]
    fn waking_up_is_never_too_early_and_at_most_two_microseconds_late() {
        for (skew_us, drift_ppm) in [(0, 0), (-2_000, -137), (900, 999), (123_456, -1)] {
            let clock = Clock { begin: BEGIN, skew_us, drift_ppm };
            for micros in [200_000, 1_000_001, 7_654_321, 3_600_000_000] {
                let at = clock.when(later(micros));
                assert!(clock.shows(at) >= later(micros));
                let before = Time::from_micros(at.as_micros() - 2);
                assert!(clock.shows(before) < later(micros), "{skew_us} {drift_ppm} {micros}");
            }
        }
    }

    #[test]
    fn drawn_clocks_stay_within_the_model_and_differ() {
        let model = ClockModel { skew_ms: 200, drift_ppm: 100 };
        let mut random = Random::new(3, 9);
        let clocks: Vec<_> = (0..50).map(|_| Clock::draw(&model, BEGIN, &mut random)).collect();
        assert!(clocks.iter().all(|clock| clock.skew_us.abs() <= 200_000));
        assert!(clocks.iter().all(|clock| clock.drift_ppm.abs() <= 100));
        assert!(clocks.iter().any(|clock| clock.skew_us < -50_000));
        assert!(clocks.iter().any(|clock| clock.skew_us > 50_000));
    }
}
