//! Proposes two blocks in each of its rounds and shows them to different halves.

use std::time::Duration;

use conclave_types::Block;

use super::{Means, means::forger::Forgery};

/// Nothing is wrong with the second one: but odd validators see another one than even ones.
pub(super) struct TwinBlocks;

impl Forgery for TwinBlocks {
    fn change(&mut self, _: &Means, block: &mut Block) {
        let header = &mut block.header;
        header.time = header.time.after(Duration::from_micros(1));
    }

    fn shows_to(&self, to: u16) -> bool {
        to.is_multiple_of(2)
    }
}
