//! What opens a bundle of a decided block, or the block's beacon.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::ids::{G1Bytes, IdError, SeedBytes};

/// An opening, not yet checked to be the right one. Every bundle and every beacon has one right opening
/// (`docs/spec/sealed-bundle.md`, *Opening*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Opening {
    /// k = sk·u: of a beacon, of a bundle that has no right seed, and of every bundle under suite 0x02.
    Point(G1Bytes),
    /// σ: of a bundle that was sealed as it should be under suite 0x01.
    Seed(SeedBytes),
}

impl Opening {
    /// Its bytes: 48 of a point, 32 of a seed.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Point(point) => point.as_bytes(),
            Self::Seed(seed) => seed.as_bytes(),
        }
    }

    /// Reads the bytes; their number says what they are.
    ///
    /// # Errors
    ///
    /// [`IdError`] if they are neither a point's nor a seed's.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        match SeedBytes::from_slice(bytes) {
            Ok(seed) => Ok(Self::Seed(seed)),
            Err(_) => G1Bytes::from_slice(bytes).map(Self::Point),
        }
    }

    /// The point, if it is one.
    #[must_use]
    pub const fn point(&self) -> Option<&G1Bytes> {
        match self {
            Self::Point(point) => Some(point),
            Self::Seed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_are_written_and_no_others() {
        for opening in
            [Opening::Point(G1Bytes::new([7; 48])), Opening::Seed(SeedBytes::new([8; 32]))]
        {
            assert_eq!(Opening::from_slice(opening.as_bytes()), Ok(opening));
        }
        for length in (0..100).filter(|length| ![32, 48].contains(length)) {
            assert!(Opening::from_slice(&vec![1; length]).is_err(), "{length}");
        }
    }
}
