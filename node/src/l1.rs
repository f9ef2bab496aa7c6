//! Ethereum, as a node, its operator and its users talk to it.
//!
//! ```text
//!  commands ─▶ deploy · stake · election · queue · withdrawals · evidence · escape   what is asked of the contracts, and what it did
//!  node ─────▶ follow ─▶ observe · offers · origin    final blocks, what each added to the queue, and whom it offers
//!             relay                                  what has settled, posting what is certified, offering committees
//!                  │            │
//!               sender       contracts                one account's transactions; where the contracts are
//!                  └──── endpoints ────▶ JSON-RPC     several, each with a deadline, none trusted alone
//! ```
//!
//! **Invariants.** What is believed of contracts and transactions is what most of the endpoints say alike, and what
//! goes into a transaction is the middle of what they say. What is final is what a majority of them call final, with
//! one hash; endpoints that contradict each other about it are an error and not a choice. A transaction never costs
//! more in fees than its account's owner said, is never sent under a nonce that may be used already, and is replaced
//! only by itself. A contract that refuses is quoted by the name of its error, with what can be done.

mod agreement;
mod broadcast;
pub mod contracts;
pub mod deploy;
pub mod election;
mod endpoint;
pub mod endpoints;
mod error;
pub mod escape;
pub mod evidence;
mod finality;
pub mod follow;
mod http;
mod logs;
pub mod lost;
pub mod observe;
mod offers;
pub mod origin;
mod panel;
mod prepare;
pub mod proofs;
pub mod queue;
pub mod relay;
mod revert;
pub mod sender;
mod sent;
pub mod stake;
pub mod tasks;
pub mod withdrawals;

pub use self::{
    contracts::Contracts,
    endpoints::{BlockRef, Endpoints, Patience},
    error::{Contradiction, L1Error},
    finality::Waiting,
    panel::TooFew,
    sender::{Call, Fees, Sender},
    sent::Sent,
    tasks::L1Views,
};
