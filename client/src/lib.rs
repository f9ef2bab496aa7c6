//! The SDK: seal on your side, submit anywhere, watch it to the level you need, and believe nothing
//! that is not proved.
//!
//! ```text
//!  legs ─▶ seal ─▶ submit ───────▶ receipt (signed by a validator, checked against the genesis)
//!            │        └ another validator when one is away or full; the same bundle, the same id
//!            │     watch ────────▶ received · ordered · revealed · …
//!            │     block(height) ─▶ header + certificate (checked: a quorum decided it) + reveal
//!            │     …_proof ──────▶ what was ordered, under a commitment (checked: a quorum certified it), for L1 too
//!            └ key of the genesis, whose digest is the network id you can pin
//! ```
//!
//! **Trust.** Everything follows from the network id. The genesis is checked against it by digest;
//! the genesis names the committee and the encryption key; receipts and certificates are checked
//! against the committee, bundles against their ids. What a validator merely says — a status, a
//! balance, the reveal of a block — is returned as said, and checked for contradictions only.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use conclave_client::{Client, Level, Payer, Terms};
//! use conclave_types::{Leg, RollupId};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // Any number of validators: the next one is asked when one is away.
//! let client = Client::connect(["http://127.0.0.1:9001", "http://127.0.0.1:9002"]).await?;
//!
//! // An Ethereum key that has a balance in the network's ledger. It signs by EIP-712.
//! let payer = Payer::from_hex(&std::fs::read_to_string("payer.key")?)?;
//! let wallet = client.wallet(payer);
//!
//! // A raw signed transaction of any rollup; several legs are in one block, or none is.
//! let transaction = std::fs::read("transfer.rlp")?;
//! let legs = [Leg { rollup: RollupId::new(901), transaction }];
//! let submission = wallet.submit(&legs, &Terms::default()).await?;
//! println!("{} is admitted", submission.id);
//!
//! // Should every validator lose it before it is ordered, the wallet hands it in again.
//! let mut watch = wallet.watch(&submission, Level::Revealed);
//! let status = watch.finish_within(Duration::from_secs(10)).await?;
//! let opened = status.progress.opened().ok_or("not opened")?;
//! println!("place {} in its block, drawn by the beacon", opened.position);
//! # Ok(())
//! # }
//! ```

mod client;
mod endpoints;
mod network;
mod payer;
mod sealing;
mod wallet;

mod batches;
mod block;
mod proofs;
mod reconnect;
mod status;
mod watch;

mod error;

pub use conclave_grpc::messages;

pub use batches::{BatchEvent, Batches, Start};
pub use block::{Block, BlockEvent, BlockEvents, OpenedBundle, Reveal};
pub(crate) use client::MESSAGE_BYTES_MAX;
pub use client::{Account, Admission, Client, ClientBuilder, FeeEstimate, Progression};
pub use endpoints::Retry;
pub use error::{ClientError, ElectionError};
pub use network::{DecidedBlock, Network, Receipt};
pub use payer::{Payer, PayerError};
pub use proofs::{Item, Run, reveal_root};
pub use sealing::{SealingTerms, Terms, body_bytes, seal};
pub use status::{BundleStatus, Level, LevelError, Opened, Place, Progress};
pub use wallet::{Submission, Wallet};
pub use watch::Watch;
