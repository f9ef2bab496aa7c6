//! What may enter a block. A sealed bundle shows who pays and how much, and nothing else, so all that
//! keeps the network from being flooded is here: form and proofs at the door, a bounded pool where
//! fees decide what stays, and a ledger that charges for inclusion whatever the bundle turns out to be.
//!
//! ```text
//! bundle ──check_form──▶ Pool::precheck ──▶ verify (a job) ──▶ Pool::insert ──select──▶ proposal
//!          cheap          cheap              signature, proof      ▲                       │
//!                            ▲                                     │ remove_included       ▼
//!                            └───────────── Ledger ◀──apply── check_block ◀──────────── decided
//! ```
//!
//! **Invariants.** Balances, what was charged and what was withdrawn add up to the genesis and the deposits. A nonce is charged once. The
//! pool never exceeds its bounds, never holds more of a payer than its balance pays for, and never
//! drops a bundle for one that pays less. Everything here is a function of its inputs: no clock, no
//! random source, ties break on ids.

pub mod admission;
mod ledger;
mod pool;
#[cfg(test)]
mod testing;

pub use ledger::{
    Account, Applied, Charge, LANES_MAX, Ledger, LedgerError, RequestOutcome, Till, Turn,
};
pub use pool::{Pool, PoolBounds, PoolError, PoolStats, Proposed, Target};
