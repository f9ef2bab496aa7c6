//! Scalars and points that nobody else may learn.
//!
//! **Invariant.** What is secret is held in one of these, which are overwritten when they go, or in `Zeroizing`. A type that
//! is kept and holds a secret derives `ZeroizeOnDrop`, which erases its fields but for those that are skipped in so many
//! words; and no other type of this crate may hold a bare scalar, unless `tests/tidy/secrets.rs` says why it is public.

use std::{fmt, hint::black_box};

use blstrs::{G2Affine, G2Projective, Scalar};
use conclave_types::G1Bytes;
use ff::Field;
use group::Group;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::key::PublicKey;

/// A scalar that is overwritten when it goes.
pub(crate) struct Secret(pub(crate) Scalar);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0 = Scalar::ZERO;
        // The write must not be optimised away.
        black_box(&self.0);
        #[cfg(test)]
        tests::saw(&self.0.to_bytes_be());
    }
}

impl ZeroizeOnDrop for Secret {}

/// The encoding of a point that keys something. Overwritten when it goes.
pub(crate) struct SecretPoint(pub(crate) G1Bytes);

impl Drop for SecretPoint {
    fn drop(&mut self) {
        self.0 = G1Bytes::ZERO;
        black_box(&self.0);
        #[cfg(test)]
        tests::saw(self.0.as_bytes());
    }
}

impl ZeroizeOnDrop for SecretPoint {}

/// Why bytes are no share.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ShareError {
    /// The number is not below the group's order.
    #[error("the secret share is not a canonical scalar")]
    NotCanonical,
}

/// S(x_j): one party's part of the secret key. Overwritten when dropped, never shown.
#[derive(ZeroizeOnDrop)]
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use blstrs::G1Projective;
    use conclave_types::Era;

    use super::*;
    use crate::{
        Packing, SealingKey, Suite,
        curve::{encode_g2, encode_one},
        dkg::{HolderKey, SharingPolynomial},
        seal,
        tests::{header, leg, network, rng},
    };

    thread_local! {
        static GONE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    }

    /// What a secret is when it has gone.
    pub(super) fn saw(bytes: &[u8]) {
        GONE.with_borrow_mut(|gone| gone.push(bytes.to_vec()));
    }

    /// How many secrets go while this is done. All that is left of each is zeros.
    fn gone(act: impl FnOnce()) -> usize {
        GONE.with_borrow_mut(Vec::clear);
        act();
        GONE.with_borrow(|gone| {
            assert!(gone.iter().flatten().all(|byte| *byte == 0), "{gone:?}");
            gone.len()
        })
    }

    fn secret() -> Secret {
        Secret(Scalar::random(rng(3)))
    }

    #[test]
    fn what_goes_leaves_zeros() {
        assert_eq!(gone(|| drop(secret())), 1);
        assert_eq!(gone(|| drop(SecretPoint(G1Bytes::new([7; 48])))), 1);
        assert_eq!(gone(|| drop(SecretShare::from_bytes(&[7; 32]))), 1);
        let packing = Packing::for_parties(16).unwrap();
        let polynomial = SharingPolynomial::random(packing, secret(), rng(4));
        let coefficients = usize::from(packing.secrecy());
        assert_eq!(gone(|| drop(polynomial)), 1 + coefficients);
    }

    /// The exponent, k, and the nonce of the proof.
    #[test]
    fn sealing_leaves_nothing_of_its_exponent() {
        let sk = Scalar::from(77);
        let pk = encode_one(&(G1Projective::generator() * sk));
        let pk_g2 = encode_g2(&(G2Projective::generator() * sk));
        let key = SealingKey::new(network(), Suite::Packed.number(), Era::ZERO, pk, pk_g2).unwrap();
        let seal = || {
            seal(&key, header(0), &[leg(1, b"x")], rng(1)).unwrap();
        };
        assert_eq!(gone(seal), 3);
    }

    /// By type, so that whoever makes one of these hold more has to say of each field what it is.
    #[test]
    fn what_holds_a_secret_is_erased_with_it() {
        fn erased<T: ZeroizeOnDrop>() {}
        erased::<Secret>();
        erased::<SecretPoint>();
        erased::<SecretShare>();
        erased::<SharingPolynomial>();
        erased::<HolderKey>();
        erased::<chacha20poly1305::ChaCha20Poly1305>();
    }
}
