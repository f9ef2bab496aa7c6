//! The chain forks: second machines start, and from then on there are two networks.

use std::collections::BTreeSet;

use conclave_sequencer::SettledOnL1;

use super::{World, node::Node};
use crate::{l1::L1, scenario::Fork};

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
    pub(super) fn comes(&mut self, node: u16, crosses: bool, lost_state: bool) {
        // Its operator looks at L1 first.
        let settled = self.l1.as_ref().and_then(L1::settled);
        if let Some(state) = self.nodes.get_mut(usize::from(node)).filter(|_| lost_state) {
            let settled = settled.map(|(height, root)| SettledOnL1 { height, root });
            state.identity.lost_state = Some(settled.unwrap_or_default());
        }
        if crosses {
            self.network.cross(node);
            self.oracle.cross(node);
        }
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
