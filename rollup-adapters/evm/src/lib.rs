//! A real EVM rollup on Conclave's ordered stream.
//!
//! ```text
//!  SequenceService ──▶ follow ──▶ slots ──▶ chain ──▶ execute ──▶ embedded execution client
//!   (gRPC, pulled)     resume     pure      head      order,      (state trie, receipts, RocksDB)
//!                                           cursor    skip rule            ▲
//!                                                        └▶ outcomes ──▶ rpc ──▶ wallets
//! ```
//!
//! The rollup executes exactly what Conclave ordered, in that order, and adds nothing: it has no
//! mempool. Its blocks are a pure function of the batches ([`slots`]) and the rules ([`genesis`]),
//! so any two nodes that follow the same network have the same block hashes.
//!
//! The same client, with a pool and a producer in place of the stream, is the L1 of a devnet: [`l1`].
//!
//! **Invariants.** The newest EVM block alone says where to resume ([`chain`]). Input may repeat;
//! each batch is executed once. A gap is never executed. No transaction, however malformed, halts
//! the chain ([`transaction`], [`culprit`]). A failing disk stops the process instead of changing an
//! outcome ([`execute`]).

pub mod chain;
pub mod culprit;
pub mod database;
pub mod execute;
pub mod follow;
pub mod genesis;
pub mod l1;
pub mod node;
pub mod outcome;
pub mod outcomes;
pub mod process;
pub mod rpc;
pub mod slots;
pub mod transaction;
