//! What the shells of a world do with L1: hear of final blocks, each in its own time, and feed their cores
//! with what these ask for.

use std::time::Duration;

use super::{BEGIN, Happening, World, node::News};

/// Blocks that one feeding hands to a core.
const FEED_MAX: u64 = 32;
/// When to look again for what a core has not taken yet.
const FEED_AGAIN: Duration = Duration::from_millis(200);

impl World {
    /// L1 has another block, and with it perhaps another final one, of which everyone will hear.
    pub(super) fn l1_block(&mut self) {
        let Some(l1) = &mut self.l1 else { return };
        let before = l1.newest_final();
        l1.mine();
        let newest = l1.newest_final();
        let next = self.now.after(Duration::from_millis(l1.model().block_ms));
        let heard: Vec<_> =
            (0..self.scenario.nodes()).map(|node| l1.heard_at(self.now, node)).collect();
        self.tell_l1_oracle(before);
        self.rollups_go_on(false);
        self.frame();
        if newest > before {
            for (node, at) in (0_u16..).zip(heard) {
                self.schedule(at, node, Happening::L1Heard { newest });
            }
        }
        self.schedule(next, 0, Happening::L1Block);
    }

    /// What has become final after the block of this number.
    pub(super) fn tell_l1_oracle(&mut self, before: u64) {
        let Some(l1) = &self.l1 else { return };
        for (block, witness) in l1.final_after(before) {
            // Settlement is what a run may be waiting for.
            self.progressed |= witness.is_some();
            for (oracle, shown) in self.oracle.each().zip([witness, None]) {
                oracle.l1_final(block, shown);
            }
        }
    }

    /// A validator's provider says how far L1 is final.
    pub(super) fn l1_heard(&mut self, node: u16, newest: u64) {
        if let Some(state) = self.nodes.get_mut(usize::from(node)) {
            state.l1_newest = state.l1_newest.max(newest);
        }
        self.feed_l1(node);
    }

    /// Hands a core what it asks for next, as far as its provider has it.
    pub(super) fn feed_l1(&mut self, node: u16) {
        let Some(l1) = &self.l1 else { return };
        let at = |ms: u64| BEGIN.after(Duration::from_millis(ms));
        let broken = |o: &&crate::l1::L1Outage| {
            o.hits(node) && at(o.from_ms) <= self.now && self.now < at(o.until_ms)
        };
        if let Some(outage) = l1.model().outages.iter().find(broken) {
            let until = at(outage.until_ms);
            let count = self.faults.entry("l1_unreachable").or_default();
            *count = count.saturating_add(1);
            return self.schedule(until, node, Happening::L1Feed);
        }
        self.read_postings(node);
        self.relay(node);
        let Some(l1) = &self.l1 else { return };
        let Some(state) = self.nodes.get(usize::from(node)) else { return };
        let Some(core) = &state.core else { return };
        let (position, newest) = (core.core().l1_position(), state.l1_newest);
        let known = position.observed.number;
        let until = newest.min(known.saturating_add(FEED_MAX));
        let blocks = l1.served((known, until), node);
        if until < newest || !position.has_room && !blocks.is_empty() {
            self.schedule(self.now.after(FEED_AGAIN), node, Happening::L1Feed);
        }
        for block in blocks.into_iter().filter(|_| position.has_room) {
            self.tell(node, News::L1(Box::new(block)));
        }
    }
}
