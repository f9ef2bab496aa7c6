//! The words of the protocol (layer 0): every crate above speaks in these types.
//!
//! ```text
//!  ids · height · time ─▶ committee ─▶ bundle ─▶ block ─▶ certificate ─▶ batch
//!                                        │          │          │
//!                                        └── digest: what is hashed and signed (fixed layout, keccak)
//!                                            wire:   protobuf <-> these types, at the public edge only
//! ```
//!
//! **Invariants.** A value of a type that has a fallible constructor is valid by construction. Nothing
//! here reads a clock, a file or a random source. Whatever is hashed or signed has a fixed layout
//! written down in [`digest`]; protobuf and borsh bytes are never signed.
//!
//! Between validators and on disk these types travel as [borsh](https://borsh.io), which is canonical
//! (one encoding for each value) and refuses trailing bytes; the public gRPC API is protobuf
//! (docs/adr/003).

mod attestation;
mod batch;
mod block;
mod bundle;
mod certificate;
mod commitment;
mod committee;
mod committees;
mod contradiction;
pub mod digest;
mod dkg_result;
mod epochs;
mod genesis;
mod height;
mod ids;
pub mod json;
mod l1;
pub mod merkle;
pub mod mmr;
mod opening;
mod params;
pub mod proto;
mod reveal;
mod roster;
mod settlement_key;
mod sharing;
mod time;
mod verifier;
pub mod wire;
mod withdrawal;

pub use attestation::{Attestation, SettlementCertificate, SettlementError};
pub use batch::{Batch, BatchItem, ForcedRef, ItemSource, LegRef};
pub use block::{Block, BlockBody, BlockHeader, L1Origin, next_key_root};
pub use bundle::{
    BUNDLE_TYPE, BundleHeader, BundleNonce, BundleOutline, DOMAIN_TYPE, EncryptedBundle, Leg,
    PayerSignature, SIZE_BUCKETS, bucket_for, typed_data_digest,
};
pub use certificate::{Certificate, CertificateError, SignatureBytes, Statement, VoteKind};
pub use commitment::{BlockCommitment, EpochEnd, SettlementMember, settlement_committee};
pub use committee::{Committee, CommitteeError, ConsensusKey, Member};
pub use committees::{Committees, Term};
pub use contradiction::{HistoryEntry, contradict};
pub use dkg_result::DkgResult;
pub use epochs::Epochs;
pub use genesis::{EncryptionKey, Genesis, GenesisAccount, GenesisError, RollupRegistration};
pub use height::{Epoch, Era, Height, HeightDelta, Round};
pub use ids::{
    BlockId, BundleId, Digest, G1Bytes, G2Bytes, IdError, KeyId, NetworkId, PayerAddress, RollupId,
    SeedBytes, ValidatorIndex,
};
pub use l1::{
    Deposit, ForcedTransaction, L1_BLOCK_ENTRIES_MAX, L1_BLOCK_TRANSACTION_BYTES_MAX, L1Content,
    L1Entry, L1EntryError, ORIGIN_ADVANCE_MAX, RESERVE_BYTES, RESERVE_ENTRIES, check_l1_entries,
    check_offers, l1_entries_root, queue_hash,
};
pub use opening::Opening;
pub use params::{FeeParams, Gwei, LimitParams, Params, SharingParams, TimingParams};
pub use reveal::{
    Outcome, OutcomeHashes, RevealedBlock, RevealedBundle, RevealedForced, UndecryptableReason,
    legs_digest,
};
pub use roster::{CommitteeOffer, Roster, RosterError};
pub use settlement_key::{
    ParsedSettlementKey, SettlementKey, SettlementSecret, add_signatures, eip2537_g1, eip2537_g2,
    g2_of_eip2537, sum_of_signatures,
};
pub use sharing::SharingMessage;
pub use time::Time;
pub use verifier::{StrictVerifier, Verifier, Whole};
pub use withdrawal::{Payee, Withdrawal, WithdrawalRequest, withdrawal_path, withdrawals_root};
