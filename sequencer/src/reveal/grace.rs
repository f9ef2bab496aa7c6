//! How long a validator that has opened what it begins with waits for what others begin with.
//!
//! They need about as long as it did itself, so they get as long again. Who begins with theirs at once, as it could,
//! takes the time of cores that several validators share, or that its own next check needs, for work that is under way
//! elsewhere. Who is silent or slow holds nobody up for longer than that.
//!
//! **Bounds.** [`GRACE_MAX`], however busy the machine was.

use std::time::Duration;

use conclave_types::Time;

const GRACE_MAX: Duration = Duration::from_millis(20);

/// Of one block.
#[derive(Debug, Default)]
pub(super) struct Grace {
    began: Option<Time>,
    until: Option<Time>,
}

impl Grace {
    /// A part is combined that this validator begins with.
    pub(super) fn begin(&mut self, now: Time) {
        self.began.get_or_insert(now);
    }

    /// Nothing is left of what this validator begins with.
    pub(super) fn done(&mut self, now: Time) {
        if let Some(began) = self.began.take() {
            self.until = Some(now.after(now.since(began).min(GRACE_MAX)));
        }
    }

    /// Until when others are waited for.
    pub(super) const fn until(&self) -> Option<Time> {
        self.until
    }

    /// Ends what is over by `now`.
    pub(super) fn expire(&mut self, now: Time) {
        self.until = self.until.filter(|until| now < *until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_get_as_long_as_it_took_and_no_longer_than_the_bound() {
        let at = |ms: u64| Time::from_micros(ms * 1_000);
        let mut grace = Grace::default();
        grace.done(at(5));
        assert_eq!(grace.until(), None, "there was nothing to begin with");
        grace.begin(at(10));
        grace.begin(at(12));
        grace.done(at(16));
        assert_eq!(grace.until(), Some(at(22)));
        grace.done(at(19));
        grace.expire(at(21));
        assert_eq!(grace.until(), Some(at(22)));
        grace.expire(at(22));
        assert_eq!(grace.until(), None);
        grace.begin(at(100));
        grace.done(at(900));
        assert_eq!(grace.until(), Some(at(920)));
    }
}
