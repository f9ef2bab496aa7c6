//! Which nodes are which peers, as one node sees it.
//!
//! A node is known as a validator once the core has heard of that validator; before, it is a node like any other. A
//! validator that changes its keys runs the new ones on a second machine: until nobody needs the old ones any more, two
//! nodes are the same peer, and what is meant for the validator goes to both.

use conclave_sequencer::{Keys, Peer};
use conclave_types::{ConsensusKey, ValidatorIndex};

/// One of the two machines of a validator that changes its keys.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) node: u16,
    pub(super) validator: u16,
    /// What its host proves to be.
    pub(super) network_key: ConsensusKey,
}

/// Whom a node knows as what.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    /// How many validators its core knows of: who comes after them is any other node.
    listed: u16,
    /// The machines of those that change their keys, and whether it knows them as validators.
    machines: Vec<(u16, u16, bool)>,
}

impl Peers {
    /// As a core knows them.
    pub(super) fn of(keys: &Keys, machines: &[Machine]) -> Self {
        let known = if machines.is_empty() { Vec::new() } else { keys.known_validators() };
        let machines = machines.iter().map(|machine| {
            let is_it = known.iter().any(|known| known.network_key == machine.network_key);
            (machine.node, machine.validator, is_it)
        });
        Self { listed: keys.roster().count(), machines: machines.collect() }
    }

    /// What a node is.
    pub(super) fn peer(&self, node: u16) -> Peer {
        let validator = match self.machines.iter().find(|(machine, ..)| *machine == node) {
            Some((_, validator, is_known)) => is_known.then_some(*validator),
            None => (node < self.listed).then_some(node),
        };
        match validator {
            Some(validator) => Peer::Validator(ValidatorIndex::new(validator)),
            None => Peer::Full(node.into()),
        }
    }

    /// The nodes that a core means.
    pub(super) fn nodes(&self, peer: Peer) -> Vec<u16> {
        let node = match peer {
            Peer::Validator(index) => index.as_u16(),
            Peer::Full(number) => return vec![u16::try_from(number).unwrap_or(u16::MAX)],
        };
        let has_two = self.machines.iter().any(|(_, validator, _)| *validator == node);
        if !has_two {
            return vec![node];
        }
        let known =
            self.machines.iter().filter(|(_, validator, known)| *validator == node && *known);
        known.map(|(machine, ..)| *machine).collect()
    }
}
