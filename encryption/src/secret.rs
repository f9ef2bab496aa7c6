//! Scalars and points that nobody else may learn.

use std::{fmt, hint::black_box};

use blstrs::{G2Affine, G2Projective, Scalar};
use conclave_types::G1Bytes;
use ff::Field;
use group::Group;
use zeroize::Zeroizing;

use crate::key::PublicKey;

/// A scalar that is overwritten when it goes.
pub(crate) struct Secret(pub(crate) Scalar);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0 = Scalar::ZERO;
        // The write must not be optimised away.
        black_box(&self.0);
    }
}

/// The encoding of a point that keys something. Overwritten when it goes.
pub(crate) struct SecretPoint(pub(crate) G1Bytes);

impl Drop for SecretPoint {
    fn drop(&mut self) {
        self.0 = G1Bytes::ZERO;
        black_box(&self.0);
    }
}

/// Why bytes are no share.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ShareError {
    /// The number is not below the group's order.
    #[error("the secret share is not a canonical scalar")]
    NotCanonical,
}

/// S(x_j): one party's part of the secret key. Overwritten when dropped, never shown.
pub struct SecretShare(Secret);

impl SecretShare {
    /// Number of bytes.
    pub const BYTES: usize = 32;

    /// Reads a share, most significant byte first.
    ///
    /// # Errors
    ///
    /// [`ShareError::NotCanonical`] if the number is not below the group's order.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self, ShareError> {
        let scalar: Option<Scalar> = Scalar::from_bytes_be(bytes).into();
        scalar.map(|scalar| Self(Secret(scalar))).ok_or(ShareError::NotCanonical)
    }

    /// The share, most significant byte first.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::BYTES]> {
        Zeroizing::new(self.0.0.to_bytes_be())
    }

    /// Whether this is the share of `party`: [S(x_j)]₂ = V_j. A stale or corrupt share must stay
    /// silent, so this is asked before anything is sent.
    #[must_use]
    pub fn matches(&self, key: &PublicKey, party: u16) -> bool {
        let found = G2Affine::from(G2Projective::generator() * self.0.0);
        key.verification_key(party) == Some(&found)
    }

    pub(crate) fn of_scalar(scalar: Secret) -> Self {
        Self(scalar)
    }

    pub(crate) fn scalar(&self) -> &Scalar {
        &self.0.0
    }
}

impl fmt::Debug for SecretShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretShare(…)")
    }
}
