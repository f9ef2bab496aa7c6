//! The protocol core: consensus, mempool, decryption and derivation composed into one state machine.
//!
//! ```text
//!            Input                              Ready
//! shell ───────────────▶ Sequencer::step ───────────────▶ shell
//! (node | simulator)      no I/O, no clock      persist ▸ send ▸ run jobs ▸ serve ▸ tell
//!
//!  Submit, Bundles ─▶ intake ─▶ pool ─▶ propose ─▶ candidates ─▶ engine (BFT) ─▶ decide
//!                                                    judge                         │
//!                        settle ◀─ batches ◀─ order ◀─ open ◀─ shares ◀─ reveal ┘
//!                        (commit, attest, certify)
//! ```
//!
//! **Invariants.**
//! - `step` is a function of (state, now, input): two runs with the same inputs give the same results.
//! - Durable before visible: the effects of a step are inside [`Ready`], and [`Ready::persist`] is the only way
//!   to get at them.
//! - Shares of a block are computed and signed only after its decision is among the same or earlier
//!   writes; what is shared was decided.
//! - Only a pure function of block and parent state may call a block invalid ([`judge`]); everything
//!   that depends on this node's view merely delays its vote.
//! - Every buffer has a bound, named where it is declared.

pub mod archive;
pub mod audit;
mod candidates;
mod catchup;
mod chain;
mod config;
mod decide;
mod input;
mod intake;
mod job;
pub mod judge;
mod keys;
mod l1;
mod message;
mod propose;
pub mod recording;
mod recover;
mod resume;
mod reveal;
mod sequencer;
mod settle;
mod store;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError, Founding, Identity, LostState, SettledOnL1, Shared};
pub use input::{
    AccountView, Effects, Event, Input, Peer, Penalty, Ready, ReceiptBody, Rejection, Status,
};
pub use job::{
    AttestJob, BatchSeed, CertifyJob, CheckCertificateJob, CheckPartsJob, CombineFailure,
    CombineJob, CombinedPart, DealJob, InspectJob, Job, JobNumber, JobOutput, KnownShares,
    LoneShares, OpenJob, OpenedBlock, OwnSecrets, ReceiveJob, ShareAloneJob, ShareJob, SharedBlock,
    SharingCheckJob, ShownPart, VerifyJob, WrongOpenings, capsule_point, decrypt, encapsulation,
};
pub use keys::{
    BadSharing, EpochKey, KeyChange, Keys, KeysError, KnownValidator, Members, SharingError,
    SharingOffence,
};
pub use l1::{Carried, L1Block, L1Position, L1Refusal};
pub use message::{
    DecidedBlock, MESSAGE_BYTES_MAX, Message, MessageError, PartialOpening, ShareMessage,
    WANT_BUNDLES_MAX,
};
pub use recover::RecoverError;
pub use reveal::{Source, reveal};
pub use sequencer::Sequencer;
pub use settle::{DoubleAttestation, Posted};
pub use store::{Entry, HighWater, SecretBytes, SecretName, Store, Table, Write};
