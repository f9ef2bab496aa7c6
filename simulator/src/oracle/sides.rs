//! The oracles of a run in which the chain may fork: one for each side.
//!
//! Beyond f, agreement breaks. What is promised to those who keep to the protocol is promised to each side by itself all
//! the same: on it there is one chain, told in order, certified by a quorum, with nothing lost. So when the chain forks, the
//! oracle is doubled with all that it knows, and from then on each looks at what those on its side do. Whoever crosses is
//! looked at by the other one from then on.
//!
//! ```text
//!  here ──┬───────────────▶ here: the side that settles on L1
//!         └▶ (a copy) ────▶ there
//! ```
//!
//! What holds across both is judged by L1: whoever signs two things that contradict each other, wherever, loses stake for
//! it if anybody shows both, and somebody does ([`crate::world`]). Nobody honest may.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

use conclave_types::{Digest, Time};
use sha3::{Digest as _, Keccak256};

use super::{Oracle, Violation, rollups::Followers};

/// An oracle for each side.
pub(crate) struct Oracles {
    here: Oracle,
    there: Option<Box<Oracle>>,
    /// Who is on the other side.
    over: BTreeSet<u16>,
    crossings: u64,
}

/// What stands on the first side, which is all there is if nobody forks the chain.
impl Deref for Oracles {
    type Target = Oracle;

    fn deref(&self) -> &Oracle {
        &self.here
    }
}

impl Oracles {
    /// Of a chain that has not forked.
    pub(crate) const fn new(here: Oracle) -> Self {
        Self { here, there: None, over: BTreeSet::new(), crossings: 0 }
    }

    /// The oracle that looks at a node.
    pub(crate) fn of(&mut self, node: u16) -> &mut Oracle {
        match self.there.as_mut().filter(|_| self.over.contains(&node)) {
            Some(there) => there,
            None => &mut self.here,
        }
    }

    /// Of the first side.
    pub(crate) const fn here(&mut self) -> &mut Oracle {
        &mut self.here
    }

    /// Both, for what is seen on both sides.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Oracle> {
        std::iter::once(&mut self.here).chain(self.there.as_deref_mut())
    }

    /// From now on there are two sides, and these are on the other one.
    pub(crate) fn fork(&mut self, over: BTreeSet<u16>) {
        let mut there = self.here.clone();
        there.chain.leave(|node| !over.contains(&node));
        self.here.chain.leave(|node| over.contains(&node));
        there.counters.clear();
        // Rollups follow the side that settles.
        there.followers = Followers::default();
        self.there = Some(Box::new(there));
        self.over = over;
    }

    /// A node that is down comes back on the side on which it was not.
    pub(crate) fn cross(&mut self, node: u16) {
        self.of(node).chain.leave(|other| other == node);
        if !self.over.remove(&node) {
            self.over.insert(node);
        }
        self.of(node).chain.join(node);
        self.crossings = self.crossings.saturating_add(1);
    }

    /// The first promise that was broken, on whichever side.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        let there = self.there.as_deref().and_then(Oracle::violation);
        self.here.violation().or(there)
    }

    /// Digest of everything that became visible.
    pub(crate) fn trace_hash(&self) -> String {
        let here = self.here.trace_hash();
        let Some(there) = &self.there else { return here };
        let both = [here, there.trace_hash()].concat();
        Digest::new(Keccak256::digest(both).into()).to_string()
    }

    /// Heights at which two blocks were decided.
    pub(crate) fn forked_heights(&self) -> u64 {
        let Some(there) = &self.there else { return 0 };
        let forked = self.here.chain.blocks().filter(|(height, block)| {
            there.chain.block(*height).is_some_and(|other| other != *block)
        });
        u64::try_from(forked.count()).unwrap_or(u64::MAX)
    }

    /// The run is over.
    pub(crate) fn settle(&mut self, now: Time) {
        self.each().for_each(|oracle| oracle.settle(now));
    }

    /// What was counted.
    pub(crate) fn counters(&self) -> BTreeMap<&'static str, u64> {
        let mut counters = self.here.counters();
        if let Some(there) = &self.there {
            for (name, count) in &there.counters {
                let total = counters.entry(name).or_default();
                *total = total.saturating_add(*count);
            }
            counters.insert("forked_heights", self.forked_heights());
            counters.insert("crossings", self.crossings);
            counters.insert("certified_there", there.settlement.newest().as_u64());
        }
        counters
    }
}
