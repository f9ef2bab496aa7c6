//! Agreement on one block id for each height (layer 1).
//!
//! # Why
//!
//! The protocol core must be a function: same inputs, same outputs, in the node and in the simulator.
//! Malachite's core is a Tendermint that is already written as inputs and effects; this crate drives
//! it and adds what a validator with a stake needs around it:
//!
//! ```text
//!                 ┌──────────────────────────── Engine ───────────────────────────┐
//!  message ─────▶ │ archive: verify, bound, deduplicate, catch equivocation        │
//!  value, propose │    │                                                          │
//!  tick ────────▶ │    ▼                                                          │ ─▶ Vec<Output>
//!  catch_up ────▶ │ Malachite core ──effects──▶ signer · wal · timers · messages   │
//!                 └───────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Committees
//!
//! A height has the committee of its epoch, and so have the votes and certificates of that height, whenever
//! they come in: the committees of all heights that messages are taken for are known, since the caller says
//! what changes ([`Engine::change_epoch`]) further ahead than that. Which member this node is, if it is one,
//! follows from its key and the committee of the height; a node that is none follows.
//!
//! # Rules for the caller
//!
//! - Outputs are in order. Whatever follows an [`Output::Persist`] may be acted upon only once that
//!   record is durable. The records of one call are written in one transaction, then the last
//!   [`Record::HighWater`] to a file apart from the database, and only then anything is sent.
//! - [`Engine::value`] says `valid: false` only for what any validator would call invalid: a pure
//!   function of the block and its parent's state. A block that is merely missing, early or unwelcome
//!   is not handed in until it is acceptable.
//! - After [`Output::Decided`] the engine is idle until [`Engine::start_height`] with the next height.
//!
//! # Catching up
//!
//! A lost proposal is not sent again, and votes of a decided height are not either: a validator that
//! missed them needs the decision itself. [`Engine::catch_up`] takes a [`Certificate`], verifies it
//! with [`Certificate::verify`] and ends the height. Malachite has a path for this too, but it
//! decides only after a second input with the block, asks for the certificate's verification again
//! and can be blocked by an earlier verdict on the block; a verified certificate needs none of that,
//! and Malachite forgets the height when the next one starts.
//!
//! # Invariants
//!
//! - No two signatures for one position, whatever crashes: see [`Silence`] and the signer.
//! - The effect handler cannot fail: Malachite's driver loop logs a handler's error and goes on.
//! - Malachite is never given a target time, since that makes it read a clock.
//! - Evidence is verified, names each (validator, height, round, step) once, and is found up to 64
//!   heights late.
//!
//! Reference: Buchman, Kwon, Milosevic, *The latest gossip on BFT consensus* (2018).
//!
//! [`Certificate`]: conclave_types::Certificate
//! [`Certificate::verify`]: conclave_types::Certificate::verify

mod archive;
mod certificates;
mod context;
mod convert;
mod digests;
mod engine;
mod handler;
mod interface;
mod message;
mod record;
mod recover;
mod signer;
mod terms;
mod timers;
mod wal;

pub use engine::Engine;
pub use interface::{CatchUpError, Config, ConfigError, Fault, Output, ProposedBlock};
pub use message::{
    ConsensusMessage, Evidence, PolkaCertificate, RoundCertificate, RoundReason, RoundVote,
    SignedProposal, SignedVote,
};
pub use record::{
    Attested, HighWater, Record, Recovered, SignedRecord, SigningPosition, Step, WalEntry,
};
pub use signer::Silence;
