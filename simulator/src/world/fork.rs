//! The chain forks: second machines start, and from then on there are two networks.

use std::collections::BTreeSet;

use conclave_sequencer::{LostState, SettledOnL1};
use conclave_types::Height;

use super::{World, node::Node};
use crate::{
    l1::L1,
    scenario::{Crash, Fork},
};

/// What an operator says of a validator whose disk is lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum Vouched {
    /// What monitoring knows.
    AsShown,
    /// That it has never signed.
    AsNew,
}

impl Vouched {
    /// What is said after a crash, if anything.
    pub(super) fn of(crash: &Crash) -> Option<Self> {
        let said = if crash.understated { Self::AsNew } else { Self::AsShown };
        crash.lost_state.then_some(said)
    }
}

impl World {
    /// The second machines of those who fork the chain, each with the first.
    pub(super) fn doubles(&self) -> Vec<(u16, u16)> {
        let first = self.scenario.validators;
        self.scenario.fork.iter().flat_map(|fork| fork.machines(first)).collect()
    }

    /// Whoever forks the chain copies its disk, and starts another machine from that.
    pub(super) fn fork(&mut self) {
        let side = self.scenario.fork.iter().flat_map(|fork: &Fork| fork.side.iter().copied());
        let mut over: BTreeSet<u16> = side.collect();
        let doubles = self.doubles();
        for (second, first) in &doubles {
            let copied = self.nodes.get(usize::from(*first));
            let copied = copied.map(|first| (first.disk.clone(), first.l1_newest));
            let double = self.nodes.get_mut(usize::from(*second));
            let Some((Node { disk, l1_newest, .. }, copied)) = double.zip(copied) else { continue };
            (*disk, *l1_newest) = copied;
            over.insert(*second);
        }
        self.network.part(over.clone());
        self.oracle.fork(over);
        for (second, _) in doubles {
            self.restart(second);
        }
    }

    /// How a process that is down is to come back.
    pub(super) fn comes(&mut self, node: u16, crosses: bool, vouched: Option<Vouched>) {
        if crosses {
            self.network.cross(node);
            self.oracle.cross(node);
        }
        let reached = self.oracle.of(node).decided_by_any();
        // Its operator looks at L1 first, and at what it showed before it died.
        let settled = self.l1.as_ref().and_then(L1::settled);
        let Some((vouched, state)) = vouched.zip(self.nodes.get_mut(usize::from(node))) else {
            return;
        };
        let seen = match vouched {
            Vouched::AsShown => state.shown,
            Vouched::AsNew => Height::ZERO,
        };
        let settled = settled.map(|(height, root)| SettledOnL1 { height, root });
        let settled = settled.unwrap_or_default();
        state.identity.lost_state = Some(LostState { seen, settled });
        if reached < seen {
            let count = self.faults.entry("comebacks_below").or_default();
            *count = count.saturating_add(1);
        }
    }

    /// A validator has told a height as decided.
    pub(super) fn shows(&mut self, node: u16, height: Height) {
        if let Some(state) = self.nodes.get_mut(usize::from(node)) {
            state.shown = state.shown.max(height);
        }
    }

    /// How many of those whose operators vouched for them sign again.
    pub(super) fn signing_again(&self) -> u64 {
        let vouched = self.nodes.iter().filter(|state| state.identity.lost_state.is_some());
        let signs = |state: &&Node| {
            let status = state.core.as_ref().map(|core| core.core().status());
            status.is_some_and(|status| status.not_signing.is_none())
        };
        u64::try_from(vouched.filter(signs).count()).unwrap_or(u64::MAX)
    }

    /// Why the run does not show what a fork does: there was none.
    pub(super) fn is_whole(&self) -> Option<String> {
        let is_whole = self.scenario.fork.is_some() && self.oracle.forked_heights() == 0;
        is_whole.then(|| "the chain was to fork, and it did not".to_owned())
    }

    /// Whether a node is on the side that does not settle.
    pub(super) fn is_over(&self, node: u16) -> bool {
        self.network.is_over(node)
    }
}
