//! Points: decoding with all checks, sums of multiples, pairing equations.
//!
//! The multi-scalar multiplication of the library reads beyond a single point and is undefined for
//! none, so both cases, and the point at infinity, are kept away from it here.

use blst::{MultiPoint as _, blst_p1, blst_p1_affine, p1_affines};
use blstrs::{Bls12, G1Affine, G1Projective, G2Affine, G2Prepared, G2Projective, Gt, Scalar};
use conclave_types::{G1Bytes, G2Bytes};
use ff::Field as _;
use group::{Group, prime::PrimeCurveAffine};
use pairing::{MillerLoopResult, MultiMillerLoop};

use crate::field::scalar_of;

/// A point of G1, if the bytes are the one encoding of one: on the curve and in the subgroup.
pub(crate) fn decode_g1(bytes: &G1Bytes) -> Option<G1Affine> {
    G1Affine::from_compressed(bytes.as_bytes()).into()
}

/// The same, and not the point at infinity.
pub(crate) fn decode_g1_nonzero(bytes: &G1Bytes) -> Option<G1Affine> {
    decode_g1(bytes).filter(|point| !bool::from(point.is_identity()))
}

/// A point of the curve that may lie outside of the subgroup: for sums whose result is checked. A quarter of
/// what [`decode_g1`] takes.
///
/// None of order 3, which are the two with x = 0. The library's sum of few points makes a table of the double, treble, …
/// eightfold of each, with one inversion for all tables: a point that is infinity there spoils the others', and a sum
/// that leaves points out can be made to vanish. No other order of the cofactor is below nine.
pub(crate) fn decode_on_curve(bytes: &G1Bytes) -> Option<G1Affine> {
    let point: Option<G1Affine> = G1Affine::from_compressed_unchecked(bytes.as_bytes()).into();
    let has_no_x =
        |point: &G1Affine| !bool::from(point.is_identity()) && bool::from(point.x().is_zero());
    point.filter(|point| !has_no_x(point))
}

/// Whether nothing is left of a point of the curve but a part of small order: (1 − z)·P, z being the curve's
/// parameter, is infinity. The subgroup's order and 1 − z have no common divisor, and 1 − z takes every point into
/// the subgroup (Wahby and Boneh, ePrint 2019/403).
pub(crate) fn has_small_order(point: &G1Projective) -> bool {
    const EFFECTIVE_COFACTOR: u64 = 0xd201_0000_0001_0001;
    // The library's multiplication is for points of the subgroup: it splits scalars by an endomorphism.
    let bits = (0..u64::BITS).rev();
    let multiple = bits.fold(G1Projective::identity(), |sum, bit| {
        let doubled = sum.double();
        if EFFECTIVE_COFACTOR >> bit & 1 == 1 { doubled + point } else { doubled }
    });
    multiple.is_identity().into()
}

/// A point of G2, on the curve and in the subgroup.
pub(crate) fn decode_g2(bytes: &G2Bytes) -> Option<G2Affine> {
    G2Affine::from_compressed(bytes.as_bytes()).into()
}

/// The same, and not the point at infinity.
pub(crate) fn decode_g2_nonzero(bytes: &G2Bytes) -> Option<G2Affine> {
    decode_g2(bytes).filter(|point| !bool::from(point.is_identity()))
}

/// The encoding of a point of G2.
pub(crate) fn encode_g2(point: &G2Projective) -> G2Bytes {
    G2Bytes::new(point.to_compressed())
}

/// Affine coordinates of many points, at the price of one inversion.
pub(crate) fn normalize(points: &[G1Projective]) -> Vec<G1Affine> {
    if points.is_empty() {
        return Vec::new();
    }
    let raw: Vec<blst_p1> = points.iter().map(|point| *point.as_ref()).collect();
    let affine = p1_affines::from(&raw);
    let wrap = |raw: &blst_p1_affine| {
        let mut point = G1Affine::identity();
        *point.as_mut() = *raw;
        point
    };
    affine.as_slice().iter().map(wrap).collect()
}

/// The encodings of many points.
pub(crate) fn encode(points: &[G1Projective]) -> Vec<G1Bytes> {
    encode_affine(&normalize(points))
}

/// The same of points whose affine coordinates are known.
pub(crate) fn encode_affine(points: &[G1Affine]) -> Vec<G1Bytes> {
    points.iter().map(|point| G1Bytes::new(point.to_compressed())).collect()
}

/// Whether a point of the curve is one of the subgroup other than infinity.
pub(crate) fn is_in_group(point: &G1Affine) -> bool {
    !bool::from(point.is_identity()) && bool::from(point.is_torsion_free())
}

/// The encoding of a point.
pub(crate) fn encode_one(point: &G1Projective) -> G1Bytes {
    G1Bytes::new(point.to_compressed())
}

/// Σ sᵢ·Pᵢ for public scalars: its running time depends on them.
pub(crate) fn sum_of_multiples(points: &[G1Affine], scalars: &[Scalar]) -> G1Projective {
    let mut bytes = Vec::with_capacity(points.len().saturating_mul(32));
    let mut finite = Vec::with_capacity(points.len());
    for (point, scalar) in points.iter().zip(scalars).filter(|(p, _)| !bool::from(p.is_identity()))
    {
        finite.push(*point.as_ref());
        bytes.extend_from_slice(&scalar.to_bytes_le());
    }
    match finite.as_slice() {
        [] => G1Projective::identity(),
        [_] => points.iter().zip(scalars).map(|(point, scalar)| point * scalar).sum(),
        several => wrap(several.mult(&bytes, 255)),
    }
}

/// Σ ρᵢ·Pᵢ for batch weights of 128 bits, in half the time.
pub(crate) fn weighted_sum(points: &[G1Affine], weights: &[u128]) -> G1Projective {
    let mut bytes = Vec::with_capacity(points.len().saturating_mul(16));
    let mut finite = Vec::with_capacity(points.len());
    for (point, weight) in points.iter().zip(weights).filter(|(p, _)| !bool::from(p.is_identity()))
    {
        finite.push(*point.as_ref());
        bytes.extend_from_slice(&weight.to_le_bytes());
    }
    match finite.as_slice() {
        [] => G1Projective::identity(),
        [_] => points.iter().zip(weights).map(|(point, w)| point * scalar_of(*w)).sum(),
        several => wrap(several.mult(&bytes, 128)),
    }
}

/// Σ sᵢ·Pᵢ in G2 for public scalars: its running time depends on them.
pub(crate) fn sum_of_multiples_g2(points: &[G2Affine], scalars: &[Scalar]) -> G2Projective {
    let (finite, scalars): (Vec<G2Projective>, Vec<Scalar>) = points
        .iter()
        .zip(scalars)
        .filter(|(point, _)| !bool::from(point.is_identity()))
        .map(|(point, scalar)| (G2Projective::from(point), *scalar))
        .unzip();
    match (finite.as_slice(), scalars.as_slice()) {
        ([], _) | (_, []) => G2Projective::identity(),
        ([point], [scalar, ..]) => point * scalar,
        (several, scalars) => G2Projective::multi_exp(several, scalars),
    }
}

/// A multiple by a small public number, in a few doublings.
pub(crate) fn small_multiple_g2(point: &G2Projective, number: u16) -> G2Projective {
    let bits = (0..u16::BITS.saturating_sub(number.leading_zeros())).rev();
    bits.fold(G2Projective::identity(), |sum, bit| {
        let doubled = sum.double();
        if number >> bit & 1 == 1 { doubled + point } else { doubled }
    })
}

fn wrap(raw: blst_p1) -> G1Projective {
    let mut point = G1Projective::identity();
    *point.as_mut() = raw;
    point
}

/// Whether e(a, a₂) = e(b, b₂), the negative of b₂ being given.
pub(crate) fn pairings_agree(
    (a, a2): (&G1Projective, &G2Prepared),
    (b, minus_b2): (&G1Projective, &G2Prepared),
) -> bool {
    let (a, b) = (G1Affine::from(a), G1Affine::from(b));
    Bls12::multi_miller_loop(&[(&a, a2), (&b, minus_b2)]).final_exponentiation() == Gt::identity()
}
