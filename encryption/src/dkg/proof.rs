//! Proofs of knowledge of logarithms (Schnorr, 1991) and of equal logarithms (Chaum and Pedersen,
//! 1992), made non-interactive by hashing (Fiat and Shamir).
//!
//! A proof is its challenge and its responses; the verifier computes the commitments back. Nonces are
//! digests of secret and statement, so none serves two statements, whatever the random source does.

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};
use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::digest::Hasher;
use group::Group;
use zeroize::Zeroizing;

use crate::{field::hash_to_scalar, secret::Secret};

/// A number below the group's order, most significant byte first. Checked when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ScalarBytes(pub(crate) [u8; 32]);

impl ScalarBytes {
    pub(crate) fn new(scalar: &Scalar) -> Self {
        Self(scalar.to_bytes_be())
    }

    pub(crate) fn read(&self) -> Option<Scalar> {
        Scalar::from_bytes_be(&self.0).into()
    }
}

/// Knowledge of x with X = `[x]₁`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct KeyProof {
    pub(crate) challenge: ScalarBytes,
    pub(crate) response: ScalarBytes,
}

impl KeyProof {
    /// `statement` names everything that the proof is about, X included.
    pub(crate) fn new(secret: &Secret, statement: &Hasher) -> Self {
        let nonce = nonce(&[secret], statement, 0);
        let commitment = G1Projective::generator() * nonce.0;
        let challenge = challenge(statement, &[&commitment.to_compressed()]);
        let response = ScalarBytes::new(&(nonce.0 + challenge * secret.0));
        Self { challenge: ScalarBytes::new(&challenge), response }
    }

    pub(crate) fn holds(&self, public: &G1Affine, statement: &Hasher) -> bool {
        let (Some(e), Some(z)) = (self.challenge.read(), self.response.read()) else {
            return false;
        };
        let commitment = G1Projective::generator() * z - public * e;
        e == challenge(statement, &[&commitment.to_compressed()])
    }
}

/// Knowledge of s and y with S = `[s]₂` and ε = `[y]₁`: two proofs under one challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct DealerProof {
    pub(crate) challenge: ScalarBytes,
    pub(crate) of_constant: ScalarBytes,
    pub(crate) of_ephemeral: ScalarBytes,
}

impl DealerProof {
    /// `statement` names everything that the proof is about, S and ε included.
    pub(crate) fn new(constant: &Secret, ephemeral: &Secret, statement: &Hasher) -> Self {
        let secrets = [constant, ephemeral];
        let (k, l) = (nonce(&secrets, statement, 0), nonce(&secrets, statement, 1));
        let (in_g2, in_g1) = (G2Projective::generator() * k.0, G1Projective::generator() * l.0);
        let e = challenge(statement, &[&in_g2.to_compressed(), &in_g1.to_compressed()]);
        Self {
            challenge: ScalarBytes::new(&e),
            of_constant: ScalarBytes::new(&(k.0 + e * constant.0)),
            of_ephemeral: ScalarBytes::new(&(l.0 + e * ephemeral.0)),
        }
    }

    pub(crate) fn holds(
        &self,
        constant: &G2Affine,
        ephemeral: &G1Affine,
        statement: &Hasher,
    ) -> bool {
        let read = (self.challenge.read(), self.of_constant.read(), self.of_ephemeral.read());
        let (Some(e), Some(z), Some(v)) = read else { return false };
        let in_g2 = G2Projective::generator() * z - constant * e;
        let in_g1 = G1Projective::generator() * v - ephemeral * e;
        e == challenge(statement, &[&in_g2.to_compressed(), &in_g1.to_compressed()])
    }
}

/// That X = `[x]₁` and Y = x·B have one logarithm, for a base B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct EqualityProof {
    pub(crate) challenge: ScalarBytes,
    pub(crate) response: ScalarBytes,
}

impl EqualityProof {
    /// `statement` names everything that the proof is about, X, B and Y included.
    pub(crate) fn new(secret: &Secret, base: &G1Affine, statement: &Hasher) -> Self {
        let nonce = nonce(&[secret], statement, 0);
        let (w, w_base) = (G1Projective::generator() * nonce.0, base * nonce.0);
        let e = challenge(statement, &[&w.to_compressed(), &w_base.to_compressed()]);
        let response = ScalarBytes::new(&(nonce.0 + e * secret.0));
        Self { challenge: ScalarBytes::new(&e), response }
    }

    pub(crate) fn holds(
        &self,
        public: &G1Affine,
        (base, multiple): (&G1Affine, &G1Affine),
        statement: &Hasher,
    ) -> bool {
        let (Some(e), Some(z)) = (self.challenge.read(), self.response.read()) else {
            return false;
        };
        let w = G1Projective::generator() * z - public * e;
        let w_base = base * z - multiple * e;
        e == challenge(statement, &[&w.to_compressed(), &w_base.to_compressed()])
    }
}

fn nonce(secrets: &[&Secret], statement: &Hasher, number: u8) -> Secret {
    let mut preimage = Hasher::new("conclave/sharing-nonce/v1");
    preimage.fixed(statement.finish().as_bytes()).u8(number);
    for secret in secrets {
        preimage.fixed(&*Zeroizing::new(secret.0.to_bytes_be()));
    }
    Secret(hash_to_scalar(&preimage))
}

fn challenge(statement: &Hasher, commitments: &[&[u8]]) -> Scalar {
    let mut preimage = statement.clone();
    for commitment in commitments {
        preimage.fixed(commitment);
    }
    hash_to_scalar(&preimage)
}
