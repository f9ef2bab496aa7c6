//! What became of each ordered transaction.
//!
//! The order is Conclave's and is never changed: a transaction that cannot be executed at its place
//! is skipped with a reason, never moved and never silently dropped. Skipping is part of derivation,
//! so every node gives the same outcome for the same bytes.

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Digest, ItemSource};
use serde_json::{Value, json};

use crate::slots::SlotItem;

/// Why a transaction is in no block. The texts are for people; [`SkipReason::code`] is for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
pub enum SkipReason {
    /// No canonical EIP-2718 encoding of a transaction.
    #[error("not a canonically encoded EIP-2718 transaction")]
    Malformed,
    /// A type that this chain does not have: blobs, and types that only other stacks know.
    #[error("transactions of type {0:#04x} do not exist on this chain")]
    TypeNotAllowed(u8),
    /// Signed for another chain.
    #[error("signed for chain {found}, this is chain {expected}")]
    WrongChain {
        /// Ours.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// The signature recovers to no address.
    #[error("the signature is invalid")]
    BadSignature,
    /// Its gas limit is above what the block has left.
    #[error("its gas limit {wanted} is above the {left} gas that the block has left")]
    BlockGas {
        /// The transaction's gas limit.
        wanted: u64,
        /// What the block has left.
        left: u64,
    },
    /// The block would be larger than EIP-7934 allows.
    #[error("the block is full: {found} bytes with it, at most {limit} are allowed")]
    BlockBytes {
        /// The block's size with it.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// It came behind the bytes that a slot takes.
    #[error("the slot is full")]
    SlotFull,
    /// The EVM refuses it: nonce, balance, fee or intrinsic gas.
    #[error("{0}")]
    Refused(String),
    /// The block cannot be sealed with it in.
    #[error("no valid block contains it: {0}")]
    Unsealable(String),
    /// A forced transaction may spend what was paid for on L1, no more.
    #[error("its gas limit {wanted} is above the {paid} gas that was paid for on L1")]
    UnpaidGas {
        /// The transaction's gas limit.
        wanted: u64,
        /// What was paid for.
        paid: u64,
    },
}

impl SkipReason {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TypeNotAllowed(_) => "type_not_allowed",
            Self::WrongChain { .. } => "wrong_chain",
            Self::BadSignature => "bad_signature",
            Self::BlockGas { .. } => "block_gas",
            Self::BlockBytes { .. } => "block_bytes",
            Self::SlotFull => "slot_full",
            Self::Refused(text) if text.contains("Nonce") => "bad_nonce",
            Self::Refused(text) if text.contains("Insufficient account funds") => "underfunded",
            Self::Refused(text) if text.contains("max fee per gas") => "fee_too_low",
            Self::Refused(_) => "refused",
            Self::Unsealable(_) => "unsealable",
            Self::UnpaidGas { .. } => "unpaid_gas",
        }
    }
}

/// What became of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Outcome {
    /// It is in the block, at `index`.
    Included {
        /// Its place among the block's transactions.
        index: u32,
        /// Whether it succeeded; a reverted one is included and pays.
        succeeded: bool,
    },
    /// It is in no block.
    Skipped(SkipReason),
}

/// The outcome of one item of the stream.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// keccak256 of the transaction's bytes.
    pub hash: Digest,
    /// The batch that it came in.
    pub sequence: u64,
    /// Where it came from.
    pub source: ItemSource,
    /// What became of it.
    pub outcome: Outcome,
}

impl Record {
    /// The record of `item`.
    #[must_use]
    pub fn new(item: &SlotItem, outcome: Outcome) -> Self {
        let SlotItem { sequence, source, hash, .. } = item;
        Self { hash: *hash, sequence: *sequence, source: *source, outcome }
    }

    /// The record as JSON-RPC shows it. `block` is the number of the block whose slot it was in.
    #[must_use]
    pub fn to_json(&self, block: u64) -> Value {
        let mut json = json!({
            "transactionHash": self.hash.to_string(),
            "sequence": self.sequence,
            "blockNumber": format!("{block:#x}"),
        });
        let from = match self.source {
            ItemSource::Leg(leg) => json!({ "bundleId": leg.bundle.to_string(), "leg": leg.leg }),
            ItemSource::Forced(forced) => json!({ "forcedIndex": forced.index }),
        };
        let more = match &self.outcome {
            Outcome::Included { index, succeeded } => json!({
                "status": if *succeeded { "executed" } else { "reverted" },
                "transactionIndex": format!("{index:#x}"),
            }),
            Outcome::Skipped(reason) => json!({
                "status": "skipped",
                "reason": reason.code(),
                "message": reason.to_string(),
            }),
        };
        for fields in [from, more] {
            if let (Some(json), Value::Object(fields)) = (json.as_object_mut(), fields) {
                json.extend(fields);
            }
        }
        json
    }
}
