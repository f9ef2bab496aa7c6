//! The promises by name, and what it is to find one broken.

/// Every promise that an oracle watches over.
pub(crate) const PROMISES: [&str; 35] = [
    AGREEMENT,
    BLIND,
    CONSISTENT,
    LOCKED,
    POLKA,
    BLAMED,
    SLASHED,
    ACCOUNTABLE,
    ONCE,
    DETERMINISM,
    CONTIGUITY,
    ORDER,
    WHOLE,
    PAID,
    FORGED,
    INCLUSION,
    TIMELY,
    DURABLE,
    QUEUE,
    CREDITED,
    TAKEN,
    PAYS,
    CERTIFIED,
    SETTLED,
    NAMED,
    MEMBER,
    QUORUM,
    OFFICE,
    ESCAPE,
    SAME_KEY,
    NEW_KEY,
    SEALED_TO,
    RETURNED,
    ERASED,
    RUNS,
];

pub(super) const AGREEMENT: &str = "agreement";
pub(super) const BLIND: &str = "blind ordering";
pub(super) const CONSISTENT: &str = "an honest validator never contradicts itself";
pub(super) const LOCKED: &str = "an honest validator keeps its lock";
pub(super) const POLKA: &str = "an honest validator precommits what a quorum has prevoted";
pub(super) const BLAMED: &str = "nobody honest is blamed";
pub(super) const SLASHED: &str = "nobody honest can be slashed";
pub(super) const ACCOUNTABLE: &str = "whoever contradicts itself can be convicted";
pub(super) const ONCE: &str = "a bundle is included once";
pub(super) const DETERMINISM: &str = "determinism";
pub(super) const CONTIGUITY: &str = "contiguity";
pub(super) const ORDER: &str = "the beacon draws the order";
pub(super) const WHOLE: &str = "all or nothing";
pub(super) const PAID: &str = "every bundle pays once";
pub(super) const FORGED: &str = "what nobody paid for is not included";
pub(super) const INCLUSION: &str = "no censorship for long";
pub(super) const TIMELY: &str = "no block is from the future";
pub(super) const DURABLE: &str = "durable before visible";
pub(super) const QUEUE: &str = "what L1 asks for is carried whole, in order and first";
pub(super) const CREDITED: &str = "every deposit is credited once";
pub(super) const TAKEN: &str = "what is paid out is taken from a balance once";
pub(super) const PAYS: &str = "L1 pays what was taken or earned, and nothing else";
pub(super) const CERTIFIED: &str = "a certificate is a quorum's, and does not keep L1 waiting";
pub(super) const SETTLED: &str = "what has settled is what honest validators decided";
pub(super) const NAMED: &str = "the end of an epoch names who comes next";
pub(super) const MEMBER: &str = "an honest validator signs only where it is a member";
pub(super) const QUORUM: &str = "a quorum of its own committee decides a height";
pub(super) const OFFICE: &str = "who decides in an epoch is in office on L1";
pub(super) const ESCAPE: &str = "rollups leave when L1 waits for too long, and come back whole";
pub(super) const SAME_KEY: &str = "the key stays when validators change";
pub(super) const ERASED: &str = "a share is erased when it has served";
pub(super) const NEW_KEY: &str = "an era has a key of its own";
pub(super) const SEALED_TO: &str = "a bundle is in a block of its own key or in none";
pub(super) const RETURNED: &str = "what an era leaves over is returned";
/// An honest validator stopped by itself, or grew without bound.
pub(crate) const RUNS: &str = "an honest validator keeps running";

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: &'static str,
    /// How.
    pub detail: String,
}

/// What a check finds.
pub(super) type Check = Result<(), Violation>;

pub(super) fn ensure(holds: bool, promise: &'static str, detail: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Violation { promise, detail: detail() }) }
}
