//! The L1 contracts for whoever calls or deploys them: bindings and creation code, from what
//! `contracts/artifacts/` holds.
//!
//! The artifacts are committed, so neither a user nor a build of this workspace needs a Solidity
//! compiler; `make contracts` fails unless they are what the sources compile to. [`deployment`] says
//! what to send to bring up a network, and [`registration`] what a validator sends to be one of it;
//! [`posting`] is what settles, and [`report`] and [`wrong_share`] what has an offender answer.
//! [`queue`], [`escape`] and [`offers`] read what the contracts tell of: whoever follows an L1, through endpoints or
//! in a simulation, reads it by them.
//!
//! Each contract is a module named like it: its calls, events and errors, the types that they mention,
//! `BYTECODE`, and an instance to call it through a provider. A type that several contracts mention,
//! such as `BlockCommitment`, is declared by each of them. Types that Solidity declares inside of an
//! interface or a library, such as `IConclaveSlasher::SignedVote`, are beside their contract in
//! [`bindings`].

pub mod bindings;
pub mod deployment;
pub mod escape;
pub mod offers;
pub mod posting;
pub mod queue;
pub mod registration;
pub mod report;
pub mod wrong_share;

pub use bindings::{
    ConclaveElection, ConclaveInbox, ConclaveSlasher, ConclaveStake, ConclaveTimelock, FeeVault,
    ForcedInclusion, KeyProofs, RollupRegistry,
};
