//! From a decided, opened block to what each rollup executes. Every full node, adapter, auditor and
//! simulator derives the same bytes from the same blocks, so all of this is pure: no clock, no
//! store, no choice.
//!
//! ```text
//! beacon + bundles ──order──▶ drawn places ┐
//! opened legs ────judge_legs──▶ outcomes   ├─▶ RevealedBlock ──Cursors::batches──▶ Batch per rollup
//!                             registry ────┘                         │
//!                                                                    └─RevealTree─▶ reveal root
//! reveal root + Prover's proofs ──▶ what was ordered, to whoever has neither block nor batch
//! batches + what L1 has finalized ──Derivation──▶ what a rollup executes, through an escape and back
//! ```
//!
//! **Invariants.** Nothing buys position: a bundle's place follows from the beacon and its id, within
//! a lane from its nonce, never from a fee or from its place in the block. All or nothing: a bundle
//! has all of its legs in the block, or none. Contiguity: a rollup's batches are numbered 0, 1, 2, …
//! and each names the height of the one before; what a rollup executes is, too, but for an explicit
//! [`Rollback`] after an escape on L1.

mod cursors;
mod escape;
mod namespace;
mod order;
mod outcome;
mod proof;
mod wire;

pub use cursors::{Cursor, Cursors};
pub use escape::{
    Content, Derivation, ESCAPES_MAX, EscapeError, L1Event, L1Span, Need, QueueBlock, QueueSlice,
    Rollback, Step, Taken, UNSETTLED_MAX,
};
pub use namespace::{
    AbsenceProof, NamespaceError, NamespaceLeaf, NamespaceProof, RevealRoot, RevealTree, Sources,
    atomic_leaf, batch_leaf, forced_leaf, reveal_root, transaction_leaf,
};
pub use order::{Drawable, Drawn, order};
pub use outcome::judge_legs;
pub use proof::{AtomicProof, BatchProof, LegProof, ProofError, Prover, TransactionProof};
