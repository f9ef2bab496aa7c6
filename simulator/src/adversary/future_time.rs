//! Proposes blocks from the future, further ahead than any clock may be.

use std::time::Duration;

use conclave_types::Block;

use super::{Means, means::forger::Forgery};

/// How far ahead of its clock.
const AHEAD: Duration = Duration::from_secs(10);

/// Nobody takes them until their time has come.
pub(super) struct FutureTime;

impl Forgery for FutureTime {
    fn change(&mut self, _: &Means, block: &mut Block) {
        let header = &mut block.header;
        header.time = header.time.after(AHEAD);
    }
}
