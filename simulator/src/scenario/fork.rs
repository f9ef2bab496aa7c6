//! A fork by more than f: agreement is expected to break, and the run goes on behind that.
//!
//! Those who fork the chain run the shipped core twice, with one key: from some instant on each has a second machine, that
//! begins with a copy of what the first has on its disk. Then there are two networks. On either are some of those who keep to
//! the protocol, and one machine of each of those who do not, and together they are a quorum. So both decide, reveal, certify
//! and begin epochs, each as if the others were down.
//!
//! ```text
//!            ┌─ first machines ── the other honest ones ─▶ A ─▶ L1
//!  chain ────┤                          ▲ a crash, `crosses = true`
//!            └─ second machines ── `side` ───────────────▶ B
//! ```

use serde::{Deserialize, Serialize};

use super::is_default;

/// Who forks the chain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// Who is on both sides.
    pub validators: Vec<u16>,
    /// Who keeps to the protocol, on the side of the second machines.
    pub side: Vec<u16>,
    /// Since when there are second machines.
    pub from_ms: u64,
    /// Since when somebody who has heard everything shows it to L1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shown_ms: u64,
    /// L1 is shown nothing but what relayers on the side of the second machines report of what their validators have.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reports: bool,
    /// Both are later by up to this much, drawn from the seed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spread_ms: u64,
}

impl Fork {
    /// Of each that is on both sides, its second machine and its first; machines before `first` are others.
    pub(crate) fn machines(&self, first: u16) -> impl Iterator<Item = (u16, u16)> {
        (first..).zip(self.validators.iter().copied())
    }

    /// Whose machine a node is, the machines before `first` being those of validators and of nobody here.
    pub(crate) fn validator(&self, first: u16, node: u16) -> Option<u16> {
        let is_it = |(second, validator): &(u16, u16)| *second == node || *validator == node;
        self.machines(first).find(is_it).map(|(_, validator)| validator)
    }
}
