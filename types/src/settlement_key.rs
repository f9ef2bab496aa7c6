//! Keys that sign commitments for L1: BLS12-381 with keys in G1 and signatures in G2, because EIP-2537 lets a
//! contract check the sum of a quorum's signatures with two pairings.
//!
//! Ciphersuite `BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_` (draft-irtf-cfrg-bls-signature). Signatures of one
//! message are added up, which is safe only among keys whose owners have shown that they hold them: on L1 the
//! stake contract asks for that; who signs a genesis by hand checks it by hand.

use std::fmt;

use blst::{
    BLST_ERROR,
    min_pk::{AggregateSignature, PublicKey, SecretKey, Signature},
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::ids::{Digest, G1Bytes, G2Bytes, IdError};

const SUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
/// Separates proofs of possession from attestations.
const POSSESSION_SUITE: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// A key that signs commitments: a point of G1 as x ‖ y, 48 bytes each, which is what L1 computes with. Not
/// checked to be a point; [`ParsedSettlementKey`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SettlementKey([u8; 96]);

impl SettlementKey {
    /// Wraps raw bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 96]) -> Self {
        Self(bytes)
    }

    /// x ‖ y.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 96] {
        &self.0
    }

    /// The key as a point: on the curve, in the subgroup, and not infinity, which would go with anything.
    #[must_use]
    pub fn parse(&self) -> Option<ParsedSettlementKey> {
        let key = PublicKey::deserialize(&self.0).ok()?;
        // The library reads a compressed point from the first half of as many bytes, too.
        let is_whole = key.serialize() == self.0;
        (is_whole && key.validate().is_ok()).then_some(ParsedSettlementKey(key))
    }
}

impl fmt::Debug for SettlementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SettlementKey({}…)", hex::encode(self.0.get(..4).unwrap_or_default()))
    }
}

impl Serialize for SettlementKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{}", hex::encode(self.0)))
    }
}

impl<'de> Deserialize<'de> for SettlementKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        let bytes = text.parse::<HexBytes>().map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.0))
    }
}

struct HexBytes([u8; 96]);

impl std::str::FromStr for HexBytes {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // As many bytes as a point of G2: the same reader, the same errors.
        text.parse::<G2Bytes>().map(|bytes| Self(*bytes.as_bytes()))
    }
}

/// A [`SettlementKey`] that is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedSettlementKey(PublicKey);

/// A settlement key's secret. Overwritten when dropped, never shown.
#[derive(Clone)]
pub struct SettlementSecret(SecretKey);

impl fmt::Debug for SettlementSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SettlementSecret(…)")
    }
}

impl SettlementSecret {
    /// The secret that follows from 32 bytes of randomness (`KeyGen` of the draft).
    ///
    /// # Panics
    ///
    /// Never: 32 bytes are enough.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "the only error is a seed of fewer than 32 bytes")]
        let secret = SecretKey::key_gen(seed, &[]).expect("32 bytes are a seed");
        Self(secret)
    }

    /// Reads a scalar, big-endian; none if it is zero or not below the order.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        SecretKey::from_bytes(bytes).ok().map(Self)
    }

    /// The scalar, big-endian, for whoever stores it.
    #[must_use]
    pub fn expose(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> SettlementKey {
        SettlementKey(self.0.sk_to_pk().serialize())
    }

    /// Signs a commitment, given its digest.
    #[must_use]
    pub fn sign(&self, digest: &Digest) -> G2Bytes {
        G2Bytes::new(self.0.sign(digest.as_bytes(), SUITE, &[]).compress())
    }

    /// Signs under the tag for proofs of possession.
    #[must_use]
    pub fn possess(&self, message: &Digest) -> G2Bytes {
        G2Bytes::new(self.0.sign(message.as_bytes(), POSSESSION_SUITE, &[]).compress())
    }
}

impl ParsedSettlementKey {
    /// Whether this key signed `digest`: the signature is of the subgroup, and not infinity.
    #[must_use]
    pub fn has_signed(&self, digest: &Digest, signature: &G2Bytes) -> bool {
        have_signed(&[self], digest, signature)
    }
}

/// Whether the sum of `keys` signed `digest`.
#[must_use]
pub(crate) fn have_signed(
    keys: &[&ParsedSettlementKey],
    digest: &Digest,
    signature: &G2Bytes,
) -> bool {
    let points: Vec<&PublicKey> = keys.iter().map(|key| &key.0).collect();
    Signature::sig_validate(signature.as_bytes(), true).is_ok_and(|signature| {
        let found = signature.fast_aggregate_verify(false, digest.as_bytes(), SUITE, &points);
        found == BLST_ERROR::BLST_SUCCESS
    })
}

/// The sum of signatures; none if one of them is no point of the curve, or there are none. It says nothing about
/// who signed what.
#[must_use]
pub fn add_signatures(signatures: &[G2Bytes]) -> Option<G2Bytes> {
    let points =
        signatures.iter().map(|signature| Signature::uncompress(signature.as_bytes()).ok());
    let points = points.collect::<Option<Vec<_>>>()?;
    let sum = AggregateSignature::aggregate(&points.iter().collect::<Vec<_>>(), false).ok()?;
    Some(G2Bytes::new(sum.to_signature().compress()))
}

/// The sum of signatures of `digest`, if the sum of `keys` made it. The summands need not be of the subgroup one by
/// one: the sum is, and that is all that anybody checks.
#[must_use]
pub fn sum_of_signatures(
    keys: &[&ParsedSettlementKey],
    digest: &Digest,
    signatures: &[G2Bytes],
) -> Option<G2Bytes> {
    add_signatures(signatures).filter(|sum| have_signed(keys, digest, sum))
}

/// A point of G1 as EIP-2537 encodes it: x ‖ y, each behind 16 zero bytes, or zeros alone for infinity. None if it is
/// no point of the curve.
#[must_use]
pub fn eip2537_g1(point: &G1Bytes) -> Option<[u8; 128]> {
    let point = PublicKey::uncompress(point.as_bytes()).ok()?.serialize();
    let mut encoded = [0; 128];
    if is_infinity(&point) {
        return Some(encoded);
    }
    for (word, coordinate) in encoded.chunks_exact_mut(64).zip(point.chunks_exact(48)) {
        word.get_mut(16..)?.copy_from_slice(coordinate);
    }
    Some(encoded)
}

/// A point of G2, such as a signature, as EIP-2537 encodes it: x₀ ‖ x₁ ‖ y₀ ‖ y₁, each behind 16 zero bytes, or zeros
/// alone for infinity. None if it is no point of the curve.
#[must_use]
pub fn eip2537_g2(point: &G2Bytes) -> Option<[u8; 256]> {
    let point = Signature::uncompress(point.as_bytes()).ok()?.serialize();
    let mut encoded = [0; 256];
    if is_infinity(&point) {
        return Some(encoded);
    }
    // The usual encoding has the coefficient of the higher power first: x₁ ‖ x₀ ‖ y₁ ‖ y₀.
    for (word, part) in encoded.chunks_exact_mut(64).zip([1, 0, 3, 2]) {
        let coefficient = point.chunks_exact(48).nth(part)?;
        word.get_mut(16..)?.copy_from_slice(coefficient);
    }
    Some(encoded)
}

/// The point of G2 that EIP-2537 encodes so ([`eip2537_g2`]). None if it is no point of the curve, or encoded otherwise.
#[must_use]
pub fn g2_of_eip2537(encoded: &[u8; 256]) -> Option<G2Bytes> {
    if *encoded == [0; 256] {
        return Some(G2Bytes::new(INFINITY));
    }
    let mut point = [0; 192];
    for (word, part) in encoded.chunks_exact(64).zip([1, 0, 3, 2]) {
        let (zeros, coefficient) = word.split_at_checked(16)?;
        if zeros.iter().any(|byte| *byte != 0) {
            return None;
        }
        point.chunks_exact_mut(48).nth(part)?.copy_from_slice(coefficient);
    }
    let read = Signature::deserialize(&point).ok()?;
    // The library reads flags out of bits that are zero in every coefficient.
    (read.serialize() == point).then(|| G2Bytes::new(read.compress()))
}

/// Infinity, compressed.
const INFINITY: [u8; 96] = {
    let mut bytes = [0; 96];
    bytes[0] = 0xc0;
    bytes
};

/// Whether an uncompressed encoding has the flag for infinity.
fn is_infinity(encoded: &[u8]) -> bool {
    encoded.first().is_some_and(|first| first & 0x40 != 0)
}
