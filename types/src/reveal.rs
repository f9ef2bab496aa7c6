//! A decided block after its bundles were opened and put in the order that the beacon draws.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    block::L1Origin,
    bundle::Leg,
    digest::{Hasher, keccak},
    height::{Epoch, Height},
    ids::{BlockId, BundleId, Digest, PayerAddress, RollupId},
    l1::ForcedTransaction,
    time::Time,
};

/// Why an included bundle has no legs. Part of the protocol: every validator says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum UndecryptableReason {
    /// The body does not decrypt under the key that was sealed with it.
    BadCiphertext,
    /// The plaintext is not a canonical encoding of legs with zero padding.
    BadEncoding,
    /// There are no legs.
    NoLegs,
    /// A leg names a rollup that is not registered, or was closed.
    UnknownRollup,
    /// Two legs name one rollup.
    DuplicateRollup,
}

impl UndecryptableReason {
    /// The number that is hashed.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::BadCiphertext => 1,
            Self::BadEncoding => 2,
            Self::NoLegs => 3,
            Self::UnknownRollup => 4,
            Self::DuplicateRollup => 5,
        }
    }
}

impl fmt::Display for UndecryptableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadCiphertext => "the body does not decrypt",
            Self::BadEncoding => "the plaintext is not a list of legs",
            Self::NoLegs => "the bundle has no legs",
            Self::UnknownRollup => "a leg is for an unknown rollup",
            Self::DuplicateRollup => "two legs are for one rollup",
        })
    }
}

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Outcome {
    /// Its legs.
    Opened(Vec<Leg>),
    /// It pays, and has no effect.
    Undecryptable(UndecryptableReason),
}

impl Outcome {
    /// Digest of the outcome, legs included.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.hashes().digest
    }

    /// The same, with the digests of transactions that are hashed on the way.
    #[must_use]
    pub fn hashes(&self) -> OutcomeHashes {
        match self {
            Self::Opened(legs) => {
                let transactions: Vec<_> =
                    legs.iter().map(|leg| keccak(&leg.transaction)).collect();
                let rollups = legs.iter().map(|leg| leg.rollup);
                let digest = legs_digest(rollups.zip(transactions.iter().copied()));
                OutcomeHashes { transactions, digest }
            }
            Self::Undecryptable(reason) => {
                let digest = Hasher::new("conclave/undecryptable/v1").u8(reason.code()).finish();
                OutcomeHashes { transactions: Vec::new(), digest }
            }
        }
    }
}

/// What of an outcome is hashed: each transaction once, however many trees it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeHashes {
    /// The keccak256 of each leg's transaction.
    pub transactions: Vec<Digest>,
    /// [`Outcome::digest`].
    pub digest: Digest,
}

/// Digest of a bundle that opened: over each leg's rollup and the keccak256 of its transaction, in their order.
#[must_use]
pub fn legs_digest(legs: impl ExactSizeIterator<Item = (RollupId, Digest)>) -> Digest {
    let mut hasher = Hasher::new("conclave/opened/v1");
    hasher.u64(legs.len() as u64);
    for (rollup, transaction) in legs {
        hasher.u64(rollup.as_u64()).fixed(transaction.as_bytes());
    }
    hasher.finish()
}

/// A bundle in its drawn place.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RevealedBundle {
    /// The bundle.
    pub id: BundleId,
    /// Who pays for it.
    pub payer: PayerAddress,
    /// What was drawn for it: its place follows from this alone.
    pub draw: Digest,
    /// What became of it.
    pub outcome: Outcome,
}

/// A forced transaction in its place.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RevealedForced {
    /// Its place in the queue.
    pub index: u64,
    /// The queue's hash of the entry.
    pub entry_hash: Digest,
    /// The transaction.
    pub forced: ForcedTransaction,
    /// Whether its rollup is known. If not, it is in no batch, and the cursor counts it all the same.
    pub carried: bool,
}

/// A decided block, opened and ordered.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RevealedBlock {
    /// Position in the chain.
    pub height: Height,
    /// The decided block.
    pub block: BlockId,
    /// The decided block's time.
    pub time: Time,
    /// The epoch.
    pub epoch: Epoch,
    /// The decided block's L1 origin.
    pub l1_origin: L1Origin,
    /// Entries of the queue up to that origin, whatever they ask for: all of them carried.
    pub forced_cursor: u64,
    /// A random value that nobody knew when the block was proposed.
    pub beacon: Digest,
    /// The forced transactions, in the order of the queue: they come before all bundles.
    pub forced: Vec<RevealedForced>,
    /// The bundles, in the order that the beacon drew.
    pub bundles: Vec<RevealedBundle>,
}

impl RevealedBlock {
    /// The reveal digest at this height, given the one before: it commits to the whole chain so far,
    /// blocks, beacons, order and contents.
    #[must_use]
    pub fn digest(&self, previous: &Digest) -> Digest {
        self.digest_of(previous, &self.hashes())
    }

    /// The same, given [`RevealedBlock::hashes`].
    #[must_use]
    pub fn digest_of(&self, previous: &Digest, hashes: &[OutcomeHashes]) -> Digest {
        let mut hasher = Hasher::new("conclave/reveal/v1");
        hasher
            .fixed(previous.as_bytes())
            .u64(self.height.as_u64())
            .fixed(self.block.as_bytes())
            .fixed(self.beacon.as_bytes())
            .u64(self.forced_cursor)
            .u64(self.forced.len() as u64);
        for forced in &self.forced {
            hasher.fixed(forced.entry_hash.as_bytes()).u8(u8::from(forced.carried));
        }
        hasher.u64(self.bundles.len() as u64);
        for (bundle, hashes) in self.bundles.iter().zip(hashes) {
            hasher.fixed(bundle.id.as_bytes()).fixed(hashes.digest.as_bytes());
        }
        hasher.finish()
    }

    /// Those of its bundles, in their order.
    #[must_use]
    pub fn hashes(&self) -> Vec<OutcomeHashes> {
        self.bundles.iter().map(|bundle| bundle.outcome.hashes()).collect()
    }
}
