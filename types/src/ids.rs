//! Identifiers. Each is a newtype, so that a block id can never stand where a bundle id is meant.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a string is not an identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// The text holds something else than hexadecimal digits.
    #[error("expected {expected} bytes of hexadecimal, found {found:?}")]
    NotHex {
        /// Bytes that the identifier has.
        expected: usize,
        /// The offending text, cut to 80 characters.
        found: String,
    },
    /// The text has another length.
    #[error("expected {expected} bytes, found {found}")]
    Length {
        /// Bytes that the identifier has.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
        )]
        pub struct $name([u8; $len]);

        impl $name {
            /// All bytes zero.
            pub const ZERO: Self = Self([0; $len]);
            /// Number of bytes.
            pub const LEN: usize = $len;

            /// Wraps raw bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Reads exactly the right number of bytes.
            ///
            /// # Errors
            ///
            /// [`IdError::Length`] if there are more or fewer.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(
                    |_| IdError::Length { expected: $len, found: bytes.len() },
                )
            }

            /// The first eight hexadecimal digits, for logs.
            #[must_use]
            pub fn short(&self) -> String {
                hex::encode(self.0.get(..4).unwrap_or_default())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ZERO
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let bytes = hex::decode(digits).map_err(
                    |_| IdError::NotHex {
                        expected: $len,
                        found: text.chars().take(80).collect(),
                    },
                )?;
                Self::from_slice(&bytes)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

bytes_id!(
    /// keccak256 of something that has no id of its own.
    Digest, 32
);
bytes_id!(
    /// Digest of the genesis: what makes this network another than all others.
    NetworkId, 32
);
bytes_id!(
    /// Digest of a block header. What validators vote on.
    BlockId, 32
);
bytes_id!(
    /// Digest of a sealed bundle, its ciphertext, proof and payer signature included.
    BundleId, 32
);
bytes_id!(
    /// Digest of a threshold public key: H(network, era, PK, X₂).
    KeyId, 32
);
bytes_id!(
    /// The Ethereum address that pays for a bundle and signs its header.
    PayerAddress, 20
);
bytes_id!(
    /// A compressed point of BLS12-381 G1, not yet checked to be one.
    G1Bytes, 48
);
bytes_id!(
    /// σ: what a bundle's exponent and the key of its cipher are hashes of, as an opening shows it.
    SeedBytes, 32
);
bytes_id!(
    /// A compressed point of BLS12-381 G2, not yet checked to be one.
    G2Bytes, 96
);

/// Identifies a rollup. For an EVM rollup it is the chain id.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct RollupId(u64);

impl RollupId {
    /// Wraps a registry number.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The registry number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RollupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A validator, by its place among all that there have been: the members of the genesis come first, from
/// 0, and whoever joins later gets the next number. It stays the validator's when it leaves and comes back,
/// and is never another's.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct ValidatorIndex(u16);

impl ValidatorIndex {
    /// Wraps an index.
    #[must_use]
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The index as stored.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// The index into a slice of members.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ValidatorIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = BundleId::new([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_short_id_is_refused_with_both_lengths() {
        assert_eq!("0xabcd".parse::<BlockId>(), Err(IdError::Length { expected: 32, found: 2 }));
    }
}
