//! What of an admitted bundle its opening is about.

use blstrs::G1Affine;
use borsh::BorshSerialize;
use conclave_types::{BundleHeader, Digest, G1Bytes};

use crate::{capsule::Capsule, curve::decode_g1_nonzero, seed::SEED_BYTES, suite::Suite};

/// u of a bundle: the point that its key is encapsulated in. Who has checked that it is one keeps it as a point; who has
/// the bytes alone has them checked where they are used.
#[derive(Clone, Copy, Debug)]
pub struct CapsulePoint {
    bytes: G1Bytes,
    /// In the subgroup and not infinity.
    point: Option<G1Affine>,
}

impl CapsulePoint {
    /// A point that was checked.
    pub(crate) const fn checked(bytes: G1Bytes, point: G1Affine) -> Self {
        Self { bytes, point: Some(point) }
    }

    /// The encoding.
    #[must_use]
    pub const fn bytes(&self) -> &G1Bytes {
        &self.bytes
    }

    /// The point, decoded and checked if that is still to be done; none if it is no point of the group, or infinity.
    pub(crate) fn point(&self) -> Option<G1Affine> {
        self.point.or_else(|| decode_g1_nonzero(&self.bytes))
    }
}

/// Unchecked.
impl From<G1Bytes> for CapsulePoint {
    fn from(bytes: G1Bytes) -> Self {
        Self { bytes, point: None }
    }
}

impl PartialEq for CapsulePoint {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for CapsulePoint {}

/// As bytes: what is known of them is nobody else's business.
impl BorshSerialize for CapsulePoint {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.bytes.serialize(writer)
    }
}

/// u and, if the bundle is opened by a seed, what the seed is to agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Encapsulation {
    pub(crate) point: CapsulePoint,
    pub(crate) masked: Option<MaskedSeed>,
}

/// v, and the label under which it was masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub(crate) struct MaskedSeed {
    pub(crate) v: [u8; SEED_BYTES],
    pub(crate) label: Digest,
}

impl Encapsulation {
    /// That of a bundle, unchecked; none if the capsule is not as long as its suite's.
    #[must_use]
    pub fn of(header: &BundleHeader, capsule: &[u8]) -> Option<Self> {
        let suite = Suite::of_number(header.suite)?;
        let u = capsule.first_chunk().filter(|_| capsule.len() == Capsule::length(suite))?;
        let masked = match suite {
            Suite::Packed => Some(MaskedSeed { v: *capsule.last_chunk()?, label: header.label() }),
            Suite::Baseline => None,
        };
        Some(Self { point: G1Bytes::new(*u).into(), masked })
    }

    /// u, with what is known of it.
    #[must_use]
    pub const fn point(&self) -> &CapsulePoint {
        &self.point
    }

    /// u.
    #[must_use]
    pub const fn u(&self) -> &G1Bytes {
        &self.point.bytes
    }
}

/// Of a ciphertext that is opened by its point alone, as all are under suite 0x02.
impl From<G1Bytes> for Encapsulation {
    fn from(u: G1Bytes) -> Self {
        Self { point: u.into(), masked: None }
    }
}
