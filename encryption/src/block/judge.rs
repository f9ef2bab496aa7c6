//! Whether one share is right, each by itself: what is shown to a contract that has not seen the others.
//!
//! [`SealedBlock::blame`] finds who sent wrong shares with one equation for all that somebody sent. Whoever accuses
//! him shows one share of one sub-batch, and with it only the ciphertexts of that sub-batch.
//! `contracts/src/verify/SealedShare.sol` is the other half.

use blstrs::G1Affine;
use conclave_types::{BlockId, G1Bytes, Height};

use super::{BlockError, SealedBlock, beacon_point};
use crate::{
    curve::{decode_g1, decode_g1_nonzero, sum_of_multiples},
    interpolation::{Node, coefficients},
    key::PublicKey,
};

/// One sub-batch of a block.
#[derive(Debug)]
pub struct SubBatch {
    key: PublicKey,
    entries: Vec<G1Affine>,
}

impl SubBatch {
    /// Parses the u's of sub-batch `index`, in block order. Before the bundles of the first one comes the beacon point.
    ///
    /// # Errors
    ///
    /// [`BlockError::Point`] if one of them is no point of the group, or infinity.
    pub fn new(
        key: &PublicKey,
        (height, block): (Height, BlockId),
        index: usize,
        us: &[G1Bytes],
    ) -> Result<Self, BlockError> {
        let mut entries = Vec::new();
        if index == 0 {
            entries.push(beacon_point(key.sealing_key(), height, block));
        }
        for (index, u) in us.iter().enumerate() {
            entries.push(decode_g1_nonzero(u).ok_or(BlockError::Point { index })?);
        }
        Ok(Self { key: key.clone(), entries })
    }

    /// Whether this is the sub-batch's share at a point of the sharing.
    #[must_use]
    pub fn is_share(&self, point: u16, share: &G1Bytes) -> bool {
        is_share(&self.key, &self.entries, point, share)
    }
}

impl SealedBlock {
    /// The first sub-batch whose share at a point is wrong; none if all that are there are right.
    #[must_use]
    pub fn first_wrong(&self, point: u16, shares: &[G1Bytes]) -> Option<usize> {
        let mut pairs = shares.iter().zip(self.entries.chunks(self.slot_count()));
        pairs.position(|(share, entries)| !is_share(&self.key, entries, point, share))
    }
}

/// Whether e(share, g₂) = e(R(x_j), V_j), and the share is of the group. Slots beyond the entries hold infinity, which
/// adds nothing.
fn is_share(key: &PublicKey, entries: &[G1Affine], point: u16, share: &G1Bytes) -> bool {
    let Some(share) = decode_g1(share) else { return false };
    let at_point = coefficients(&key.packing().slots(), Node::of_party(point));
    key.is_multiple_by(point, &share.into(), &sum_of_multiples(entries, &at_point))
}
