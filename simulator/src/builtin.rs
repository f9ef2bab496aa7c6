//! The scenarios that come with the binary, from nothing wrong to everything at once. Those named
//! `control-…` break a promise on purpose, to show that the oracles see.

use crate::scenario::{Scenario, ScenarioError};

/// A scenario that comes with the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl Builtin {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// If it contradicts itself; a test makes sure that none does.
    pub fn scenario(&self) -> Result<Scenario, ScenarioError> {
        Scenario::parse(&format!("{}.toml", self.name), self.text)
    }
}

macro_rules! built_in {
    ($name:literal) => {
        Builtin { name: $name, text: include_str!(concat!("../scenarios/", $name, ".toml")) }
    };
}

/// All of them.
pub const BUILTINS: &[Builtin] = &[
    built_in!("happy-4"),
    built_in!("happy-16"),
    built_in!("happy-100"),
    built_in!("devnet"),
    built_in!("idle"),
    built_in!("key-made"),
    built_in!("key-made-16"),
    built_in!("key-handed-on"),
    built_in!("era-turn"),
    built_in!("era-and-committees"),
    built_in!("era-and-crashes"),
    built_in!("colluders-era"),
    built_in!("hoarders-era"),
    built_in!("baseline"),
    built_in!("key-and-crashes"),
    built_in!("key-without-quorum"),
    built_in!("bad-dealer"),
    built_in!("false-complaint"),
    built_in!("mute-dealers"),
    built_in!("loss"),
    built_in!("heavy-loss"),
    built_in!("duplicates"),
    built_in!("delay"),
    built_in!("crash-one"),
    built_in!("crash-unseen"),
    built_in!("crash-all"),
    built_in!("crash-locked"),
    built_in!("crash-storm"),
    built_in!("lost-disk"),
    built_in!("lost-database"),
    built_in!("old-backup"),
    built_in!("partition"),
    built_in!("minority-partition"),
    built_in!("one-way-partition"),
    built_in!("equivocator"),
    built_in!("equivocator-with-loss"),
    built_in!("late-equivocator"),
    built_in!("twins"),
    built_in!("twin-blocks"),
    built_in!("twin-proposals"),
    built_in!("parrot"),
    built_in!("false-certificates"),
    built_in!("amnesiac"),
    built_in!("impersonator"),
    built_in!("disguised-nil"),
    built_in!("disguised-echo"),
    built_in!("coalition"),
    built_in!("colluders"),
    built_in!("colluders-by-power"),
    built_in!("colluders-key-handed-on"),
    built_in!("silent"),
    built_in!("partial"),
    built_in!("abstainer"),
    built_in!("dawdler"),
    built_in!("brink"),
    built_in!("withheld-shares"),
    built_in!("late-shares"),
    built_in!("wrong-shares"),
    built_in!("wrong-shares-with-loss"),
    built_in!("premature-shares"),
    built_in!("stray-shares"),
    built_in!("double-attestations"),
    built_in!("alternate-attestations"),
    built_in!("forged-attestations"),
    built_in!("control-double-attestation"),
    built_in!("false-openings"),
    built_in!("cooperative-opening"),
    built_in!("boaster"),
    built_in!("false-history"),
    built_in!("wrong-ledger"),
    built_in!("wrong-reveal"),
    built_in!("unknown-bundle"),
    built_in!("disorder"),
    built_in!("replay"),
    built_in!("twin-bundles"),
    built_in!("future-time"),
    built_in!("edge-time"),
    built_in!("unknown-origin"),
    built_in!("hidden-block"),
    built_in!("censor"),
    built_in!("empty-blocks"),
    built_in!("flood"),
    built_in!("forger"),
    built_in!("spam"),
    built_in!("spam-and-forger"),
    built_in!("outbid"),
    built_in!("front-runner"),
    built_in!("chaos"),
    built_in!("chaos-with-equivocator"),
    built_in!("chaos-7"),
    built_in!("wan-10-regions"),
    built_in!("wan-100"),
    built_in!("wan-100-worst-third"),
    built_in!("wan-100-1mb"),
    built_in!("bandwidth-25mbit"),
    built_in!("peers-25mbit"),
    built_in!("disk-full-one"),
    built_in!("torn-tail"),
    built_in!("bit-rot"),
    built_in!("clock-skew"),
    built_in!("link-churn"),
    built_in!("partial-partition"),
    built_in!("l1-happy"),
    built_in!("withdrawals"),
    built_in!("cheat-unpaid"),
    built_in!("l1-reorgs"),
    built_in!("l1-outage"),
    built_in!("l1-crashes"),
    built_in!("l1-false-view"),
    built_in!("l1-contracts"),
    built_in!("l1-contracts-reorgs"),
    built_in!("l1-contracts-outage"),
    built_in!("l1-fee-spike"),
    built_in!("l1-escape"),
    built_in!("l1-escape-unsettled"),
    built_in!("l1-blockade"),
    built_in!("l1-blockade-then-halt"),
    built_in!("l1-stakes"),
    built_in!("l1-key-rotation"),
    built_in!("l1-slashed"),
    built_in!("l1-leaver-slashed"),
    built_in!("l1-alternate-attestations"),
    built_in!("l1-stray-shares"),
    built_in!("l1-wrong-shares"),
    built_in!("l1-framed"),
    built_in!("l1-forked"),
    built_in!("l1-forked-behind"),
    built_in!("l1-forked-apart"),
    built_in!("l1-false-postings"),
    built_in!("forced-through-censors"),
    built_in!("entry-omitted"),
    built_in!("entry-invented"),
    built_in!("entries-reordered"),
    built_in!("entry-repeated"),
    built_in!("stale-origin"),
    built_in!("old-origin"),
    built_in!("one-sided-origin"),
    built_in!("key-rotation"),
    built_in!("committee-join-leave"),
    built_in!("committee-swap-third"),
    built_in!("committee-whale"),
    built_in!("committee-crashes"),
    built_in!("committee-churn"),
    built_in!("offer-invented"),
    built_in!("control-fork"),
    built_in!("control-collusion"),
    built_in!("control-collusion-on-chain"),
    built_in!("control-hoarders"),
    built_in!("control-early-shares"),
    built_in!("control-equivocator"),
    built_in!("control-framed"),
    built_in!("control-lying-disk"),
];

/// The scenario of a name.
#[must_use]
pub fn builtin(name: &str) -> Option<Builtin> {
    BUILTINS.iter().copied().find(|builtin| builtin.name == name)
}
