//! What the core asks of a disk: an ordered key-value store with atomic, durable commits, and a small
//! separate place for the signer's high-water mark.
//!
//! The core never touches a disk. A step returns [`Write`]s inside its [`Ready`](crate::Ready), and the only way to get
//! at the step's effects is to commit them. Reading happens at recovery and when history is served;
//! both go through the same trait, so node and simulator share every line that knows a key or a value
//! (see [`archive`](crate::archive)).
//!
//! **Invariant: durable before visible.** When `commit` returns, all its writes survive a crash, or
//! none of them does and the process stops.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
pub use conclave_consensus::HighWater;
use conclave_types::{Epoch, Round, digest::Hasher};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A family of keys. The node maps each to a column family of its database.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Table {
    /// Single values: network id, tip.
    Meta,
    /// height → decided block with its certificate.
    Blocks,
    /// height ‖ block id → block that may still be decided.
    Candidates,
    /// bundle id → sealed bundle.
    Bundles,
    /// bundle id → height and place of its decided block.
    BundleIndex,
    /// height → openings, beacon, chain digest.
    Reveals,
    /// height → revealed block.
    Revealed,
    /// rollup ‖ sequence → batch.
    Batches,
    /// rollup → cursor.
    Cursors,
    /// payer → account.
    Accounts,
    /// height → what it pays out.
    Withdrawals,
    /// recipient ‖ validator ‖ index → height that pays it out.
    Payees,
    /// place in the queue of a request to withdraw → what became of it.
    Requests,
    /// height ‖ index → entry of the consensus log.
    Wal,
    /// height ‖ what → everything that this validator has signed.
    Signed,
    /// Equivocations and wrong shares, as seen.
    Evidence,
    /// height → commitment to its revealed block.
    Commitments,
    /// height → quorum's signature of its commitment.
    Certificates,
    /// level ‖ index → root of a full subtree over the commitments.
    History,
    /// epoch → its last height.
    EpochEnds,
    /// epoch → its committee.
    Committees,
    /// epoch → its key, and who holds its points.
    Sharings,
}

impl Table {
    /// All tables, for a store that must create them.
    pub const ALL: [Self; 22] = [
        Self::Meta,
        Self::Blocks,
        Self::Candidates,
        Self::Bundles,
        Self::BundleIndex,
        Self::Reveals,
        Self::Revealed,
        Self::Batches,
        Self::Cursors,
        Self::Accounts,
        Self::Withdrawals,
        Self::Payees,
        Self::Requests,
        Self::Wal,
        Self::Signed,
        Self::Evidence,
        Self::Commitments,
        Self::Certificates,
        Self::History,
        Self::EpochEnds,
        Self::Committees,
        Self::Sharings,
    ];

    /// The table's name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Blocks => "blocks",
            Self::Candidates => "candidates",
            Self::Bundles => "bundles",
            Self::BundleIndex => "bundle_index",
            Self::Reveals => "reveals",
            Self::Revealed => "revealed",
            Self::Batches => "batches",
            Self::Cursors => "cursors",
            Self::Accounts => "accounts",
            Self::Withdrawals => "withdrawals",
            Self::Payees => "payees",
            Self::Requests => "requests",
            Self::Wal => "wal",
            Self::Signed => "signed",
            Self::Evidence => "evidence",
            Self::Commitments => "commitments",
            Self::Certificates => "certificates",
            Self::History => "history",
            Self::EpochEnds => "epoch_ends",
            Self::Committees => "committees",
            Self::Sharings => "sharings",
        }
    }
}

/// Which secret.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum SecretName {
    /// What this validator's key for one attempt at a sharing follows from.
    HolderSeed {
        /// The epoch that the sharing is for.
        epoch: Epoch,
        /// The attempt.
        round: Round,
    },
    /// Its share of an epoch's key at one of its points.
    Share {
        /// The epoch.
        epoch: Epoch,
        /// The point.
        point: u16,
    },
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HolderSeed { epoch, round } => write!(f, "holder-{epoch}-{round}"),
            Self::Share { epoch, point } => write!(f, "share-{epoch}-{point}"),
        }
    }
}

impl SecretName {
    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = match text.split_once('-')? {
            ("holder", rest) => {
                let (epoch, round) = rest.split_once('-')?;
                let epoch = Epoch::new(epoch.parse().ok()?);
                Self::HolderSeed { epoch, round: Round::new(round.parse().ok()?) }
            }
            ("share", rest) => {
                let (epoch, point) = rest.split_once('-')?;
                Self::Share { epoch: Epoch::new(epoch.parse().ok()?), point: point.parse().ok()? }
            }
            _ => return None,
        };
        (name.to_string() == text).then_some(name)
    }
}

/// A secret of 32 bytes. Overwritten when dropped, never shown.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct SecretBytes(Zeroizing<[u8; 32]>);

impl SecretBytes {
    /// Wraps a secret.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret, for whoever stores or uses it.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl BorshSerialize for SecretBytes {
    /// A digest: a secret is told from another, and not written down.
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        let mut hasher = Hasher::new("conclave/secret-digest/v1");
        hasher.fixed(self.expose()).finish().serialize(writer)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

/// One change of the store.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub enum Write {
    /// Sets a key.
    Put {
        /// The table.
        table: Table,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes a key, if it is there.
    Delete {
        /// The table.
        table: Table,
        /// The key.
        key: Vec<u8>,
    },
    /// Removes every key from `from` up to, not including, `to`.
    DeleteRange {
        /// The table.
        table: Table,
        /// The first key that goes.
        from: Vec<u8>,
        /// The first key that stays.
        to: Vec<u8>,
    },
    /// Raises the signer's high-water mark, which lives apart from the tables. Becomes durable after the
    /// tables and before anything is sent: records without their mark can be completed, a mark without
    /// its records silences a validator for that height.
    HighWater(HighWater),
    /// Keeps a secret, apart from the tables and encrypted. Becomes durable before them.
    PutSecret {
        /// Which.
        name: SecretName,
        /// The secret.
        value: SecretBytes,
    },
    /// Erases a secret, if it is there, after the tables are durable.
    EraseSecret {
        /// Which.
        name: SecretName,
    },
}

impl Write {
    /// Bytes of its keys and values.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len().saturating_add(value.len()),
            Self::Delete { key, .. } => key.len(),
            Self::DeleteRange { from, to, .. } => from.len().saturating_add(to.len()),
            Self::PutSecret { .. } => 32,
            Self::HighWater(_) | Self::EraseSecret { .. } => 0,
        }
    }
}

/// A key with its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// An ordered, durable key-value store. Implemented by the node's database and the simulator's disk.
pub trait Store {
    /// Why the store failed. A validator that cannot write stops.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Makes every [`Write::PutSecret`] durable, then all `writes` to tables, or none, then the highest
    /// [`Write::HighWater`] among them; then erases.
    ///
    /// # Errors
    ///
    /// Fails when durability cannot be promised.
    fn commit(&mut self, writes: &[Write]) -> Result<(), Self::Error>;

    /// [`Store::commit`] for a store that keeps what it is given instead of a copy.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    fn commit_all(&mut self, writes: Vec<Write>) -> Result<(), Self::Error> {
        self.commit(&writes)
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Up to `limit` entries from `from` up to, not including, `to`, in key order.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, Self::Error>;

    /// The signer's high-water mark; none if this machine has no signing history, not even an empty one.
    ///
    /// # Errors
    ///
    /// Fails when the disk does, or the mark is damaged.
    fn high_water(&self) -> Result<Option<HighWater>, Self::Error>;

    /// Every secret that is kept, in any order.
    ///
    /// # Errors
    ///
    /// Fails when the disk does, or one cannot be decrypted.
    fn secrets(&self) -> Result<Vec<(SecretName, SecretBytes)>, Self::Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_name_and_is_never_shown() {
        let names = [
            SecretName::HolderSeed { epoch: Epoch::new(12), round: Round::new(3) },
            SecretName::Share { epoch: Epoch::new(12), point: 7 },
        ];
        for name in names {
            assert_eq!(SecretName::parse(&name.to_string()), Some(name));
        }
        for other in
            ["share", "share-1", "share-1-02", "share-1-2-3", "holder-1", "holder-1-+2", "draft"]
        {
            assert_eq!(SecretName::parse(other), None, "{other}");
        }
        let [name, _] = names;
        let write = Write::PutSecret { name, value: SecretBytes::new([0xab; 32]) };
        assert!(!format!("{write:?}").contains("ab") && !format!("{write:?}").contains("171"));
    }

    #[test]
    fn what_a_validator_keeps_is_erased_with_it() {
        fn erased<T: ZeroizeOnDrop>() {}
        erased::<SecretBytes>();
        erased::<ed25519_dalek::SigningKey>();
        erased::<conclave_encryption::SecretShare>();
        erased::<conclave_encryption::HolderKey>();
        // Its library overwrites it and has no type that says so: all that can be seen is that something is done.
        assert!(std::mem::needs_drop::<conclave_types::SettlementSecret>());
    }
}
