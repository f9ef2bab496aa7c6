//! One dealer makes a key and shares it out: for a genesis, and for tests. Whoever deals knows the key.
//!
//! S(X) = sk + Z(X)·T(X), Z vanishing at every slot and T having c random coefficients. So S is sk at
//! all ℓ slots at once, and any c of its values at the parties' places are independent of sk.

use std::{fmt, hint::black_box};

use blstrs::{G1Projective, G2Affine, G2Projective, Scalar};
use conclave_types::{EncryptionKey, Era, G1Bytes};
use ff::Field;
use group::Group;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::{
    curve::encode_g2, dkg::SharingPolynomial, key::PublicKey, packing::Packing, suite::Suite,
};

/// A scalar that is overwritten when it goes.
pub(crate) struct Secret(pub(crate) Scalar);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0 = Scalar::ZERO;
        // The write must not be optimised away.
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

/// Makes a key of `suite` for `era` and the share of every party, in the parties' order.
#[must_use]
pub fn deal(
    suite: Suite,
    packing: Packing,
    era: Era,
    mut rng: impl RngCore + CryptoRng,
) -> (EncryptionKey, Vec<SecretShare>) {
    let secret = Secret(Scalar::random(&mut rng));
    let polynomial = SharingPolynomial::random(packing, secret, &mut rng);
    let shares: Vec<SecretShare> =
        (0..packing.parties()).map(|party| SecretShare(polynomial.value(party))).collect();
    let in_g2 = |scalar: &Scalar| encode_g2(&(G2Projective::generator() * scalar));
    let key = EncryptionKey {
        suite: suite.number(),
        era,
        secrecy: packing.secrecy(),
        packing: packing.packing(),
        public_key: G1Bytes::new(
            (G1Projective::generator() * polynomial.constant()).to_compressed(),
        ),
        public_key_g2: in_g2(polynomial.constant()),
        verification_keys: shares.iter().map(|share| in_g2(share.scalar())).collect(),
    };
    (key, shares)
}
