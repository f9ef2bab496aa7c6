//! Whether what can wait makes way between the jobs of a block, too.
//!
//! Where validators are near each other these jobs follow each other closely, perhaps on cores that several validators
//! share, and who has opened a block leaves these to others until it is certified. Where validators are far apart a block
//! waits for messages and the cores are idle: whatever made way would do so for nothing, and would miss the next block.
//! A last block that took long to open says that they are far apart, or that there is too much to do for it to help.
//!
//! **Bounds.** [`SOON`] after a decision.

use std::time::Duration;

use conclave_types::{Height, Time};

/// For so long after a decision at most: longer than four validators with two cores between them take that are not
/// overloaded, and shorter than messages that go to another continent and back.
pub(crate) const SOON: Duration = Duration::from_millis(40);

/// The block that was opened last.
#[derive(Debug, Default)]
pub(super) struct Close {
    last: Option<(Height, Time)>,
    /// It took longer than [`SOON`] to open.
    is_far: bool,
}

impl Close {
    /// A block is open, here.
    pub(super) fn opened(&mut self, now: Time, height: Height, decided: Time) {
        self.last = Some((height, decided));
        self.is_far = now >= decided.after(SOON);
    }

    /// Whether the next job of a block that is not open is to be expected at once.
    pub(super) fn is_next_due(&self, now: Time, decided: Time) -> bool {
        !self.is_far && now < decided.after(SOON)
    }

    /// Whether others may be opening the last block still: it is not `certified`, which says that they have.
    pub(super) fn others_open(&self, now: Time, certified: Height) -> bool {
        let is_due = |(height, decided)| certified < height && self.is_next_due(now, decided);
        self.last.is_some_and(is_due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_took_long_to_open_has_nothing_make_way_between_jobs_until_one_did_not() {
        let at = |ms: u64| Time::from_micros(ms * 1_000);
        let height = Height::new;
        let mut close = Close::default();
        assert!(close.is_next_due(at(1_039), at(1_000)), "nothing is known yet");
        assert!(!close.is_next_due(at(1_040), at(1_000)));
        assert!(!close.others_open(at(1_039), height(0)));
        close.opened(at(1_039), height(1), at(1_000));
        assert!(close.others_open(at(1_039), height(0)));
        assert!(!close.others_open(at(1_039), height(1)), "certified");
        assert!(!close.others_open(at(1_040), height(0)));
        close.opened(at(1_140), height(2), at(1_100));
        assert!(!close.others_open(at(1_101), height(1)));
        assert!(!close.is_next_due(at(1_200), at(1_200)));
        close.opened(at(1_210), height(3), at(1_200));
        assert!(close.others_open(at(1_210), height(2)));
        assert!(close.is_next_due(at(1_300), at(1_300)));
    }
}
