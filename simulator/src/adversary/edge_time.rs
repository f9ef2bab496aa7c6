//! A one-sided clock: proposes blocks at the edge of what the others' clocks allow.

use std::time::Duration;

use conclave_types::Block;

use super::{Means, means::forger::Forgery};

/// A little more than half a second, by which a block's time may be ahead of a clock: on its way, a block
/// gets older by the rest or it does not.
const CLOCK_DRIFT_MAX: Duration = Duration::from_millis(520);

/// Some take them at once, and some do not.
pub(super) struct EdgeTime;

impl Forgery for EdgeTime {
    fn change(&mut self, _: &Means, block: &mut Block) {
        let header = &mut block.header;
        header.time = header.time.after(CLOCK_DRIFT_MAX);
    }
}
