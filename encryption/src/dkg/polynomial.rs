//! A packed sharing polynomial, S(X) = s + Z(X)·T(X), in secret and in public.
//!
//! Z vanishes at every slot and T has exactly c coefficients. What is published is s and T in the
//! exponent, so that the degree and the value at every slot cannot be anything else: a dealer who wants
//! a wrong degree or a wrong constant has no way to say so.

use blstrs::{G2Affine, G2Projective, Scalar};
use ff::Field;
use group::Group;
use rand_core::{CryptoRng, RngCore};
use zeroize::ZeroizeOnDrop;

use crate::{curve::small_multiple_g2, interpolation::Node, packing::Packing, secret::Secret};

/// s and the coefficients of T.
#[derive(ZeroizeOnDrop)]
pub(crate) struct SharingPolynomial {
    #[zeroize(skip)]
    packing: Packing,
    constant: Secret,
    coefficients: Vec<Secret>,
}

impl SharingPolynomial {
    pub(crate) fn random(
        packing: Packing,
        constant: Secret,
        mut rng: impl RngCore + CryptoRng,
    ) -> Self {
        let coefficients = (0..packing.secrecy()).map(|_| Secret(Scalar::random(&mut rng)));
        Self { packing, constant, coefficients: coefficients.collect() }
    }

    pub(crate) fn constant(&self) -> &Scalar {
        &self.constant.0
    }

    /// S(x_j).
    pub(crate) fn value(&self, party: u16) -> Secret {
        let x = Node::of_party(party).scalar();
        let random = self.coefficients.iter().rev().fold(Scalar::ZERO, |sum, c| sum * x + c.0);
        Secret(self.constant.0 + self.packing.vanishing(party) * random)
    }

    /// s and T in the exponent, s first.
    pub(crate) fn commit(&self) -> Vec<G2Projective> {
        let all = std::iter::once(&self.constant).chain(&self.coefficients);
        all.map(|secret| G2Projective::generator() * secret.0).collect()
    }
}

/// `[s]₂` and the coefficients of `[T]₂`.
#[derive(Clone, Debug)]
pub(crate) struct Commitments {
    pub(crate) constant: G2Affine,
    pub(crate) coefficients: Vec<G2Affine>,
}

impl Commitments {
    /// `[S(x_j)]₂`, in Horner's way: x_j is small.
    pub(crate) fn value(&self, packing: Packing, party: u16) -> G2Projective {
        let x = party.saturating_add(1);
        let random = self
            .coefficients
            .iter()
            .rev()
            .fold(G2Projective::identity(), |sum, c| small_multiple_g2(&sum, x) + c);
        random * packing.vanishing(party) + self.constant
    }

    /// Whether `value` = S(x_j).
    pub(crate) fn holds(&self, packing: Packing, party: u16, value: &Scalar) -> bool {
        G2Projective::generator() * value == self.value(packing, party)
    }
}
