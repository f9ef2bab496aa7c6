//! A decided block on its way to being opened.
//!
//! The block's ciphertexts, behind the **beacon point**, are cut into sub-batches of ℓ, one ciphertext
//! to a slot. Through those slots runs R(X), in the exponent; party j's share of the sub-batch is
//! S(x_j)·R(x_j), one point for ℓ ciphertexts, and the value of S·R at slot s is sk·u_s. Its degree is
//! at most c + 2ℓ − 2 < t, so t shares determine it. Slots that a short last sub-batch leaves empty hold
//! the point at infinity.
//!
//! ```text
//!   entries   u₀ (beacon) u₁ u₂ │ u₃ u₄ u₅ │ u₆ ∞ ∞       ℓ = 3, six bundles
//!   shares         pd_j,0       │  pd_j,1  │ pd_j,2        one point each
//!   points    k₀          k₁ k₂ │ k₃ k₄ k₅ │ k₆            k = sk·u
//!   openings  k₀          σ₁ σ₂ │ σ₃ k₄ σ₅ │ σ₆            u₄ was sealed wrongly
//! ```
//!
//! What shares combine to are points. The opening of a bundle under suite 0x01 is the seed that its point unmasks, if that
//! is right ([`crate::seed`]); that of all else is the point.
//!
//! Combining does not judge shares: openings are checked ([`check`]), and only if that fails
//! are the shares, one equation a party.

mod check;
mod expected;
mod judge;
mod seeds;

use std::ops::Range;

use blstrs::{G1Affine, G1Projective, Scalar};
use borsh::BorshSerialize;
use conclave_types::{BlockId, Digest, G1Bytes, Height, Opening, digest::Hasher};

use crate::{
    curve::{decode_g1, decode_on_curve, encode, normalize, sum_of_multiples, weighted_sum},
    encapsulation::{CapsulePoint, Encapsulation},
    field::{scalar_of, weights},
    interpolation::{Interpolation, Node, coefficients},
    key::{PublicKey, SealingKey},
    secret::SecretShare,
};

pub use self::judge::SubBatch;
use self::{expected::Expected, seeds::Masked};

const BEACON_DST: &[u8] = b"CONCLAVE-V1-CS01-BEACON-BLS12381G1_XMD:SHA-256_SSWU_RO_";

/// Why a block cannot be opened at all. Block validity excludes it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BlockError {
    /// A bundle's u is no point of the group, or infinity.
    #[error("the u of bundle {index} is not a point of G1 other than infinity")]
    Point {
        /// The bundle's place in the block.
        index: usize,
    },
}

/// Why shares cannot be combined. Wrong but well-formed shares show in the openings instead.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, BorshSerialize)]
pub enum CombineError {
    /// There are fewer shares than a quorum.
    #[error("{expected} parties' shares are needed, found {found}")]
    TooFew {
        /// t.
        expected: usize,
        /// Parties that sent shares.
        found: usize,
    },
    /// There is no such party.
    #[error("there is no party {party}")]
    UnknownParty {
        /// The party.
        party: u16,
    },
    /// A party stands twice in the list.
    #[error("party {party} appears twice")]
    DuplicateParty {
        /// The party.
        party: u16,
    },
    /// A party sent another number of shares than the block has sub-batches.
    #[error("party {party} sent {found} shares, expected {expected}")]
    ShareCount {
        /// The party.
        party: u16,
        /// Sub-batches of the block.
        expected: usize,
        /// Shares found.
        found: usize,
    },
    /// A share is not on the curve.
    #[error("share {index} of party {party} is not a point of the curve")]
    NotAPoint {
        /// The party.
        party: u16,
        /// The sub-batch.
        index: usize,
    },
    /// There are no such sub-batches.
    #[error("the block has {count} sub-batches, asked for {start} to {end}")]
    NoSuchSubBatch {
        /// Sub-batches of the block.
        count: usize,
        /// The first asked for.
        start: usize,
        /// One past the last asked for.
        end: usize,
    },
}

/// The ciphertexts of a decided block, parsed. Immutable; share it behind an `Arc`.
#[derive(Debug)]
pub struct SealedBlock {
    key: PublicKey,
    /// u₀ and then the bundles' u.
    entries: Vec<G1Affine>,
    /// Of each entry what its seed is masked as; none of those that are opened by their points.
    masked: Vec<Option<Masked>>,
    /// Binds key, height, block and all entries.
    digest: Digest,
    /// What of checks was computed ahead.
    expected: Vec<Expected>,
}

impl SealedBlock {
    /// Parses what bundles encapsulate, in block order, and puts the beacon point before them. A u that is known to be a
    /// point is not checked again.
    ///
    /// # Errors
    ///
    /// [`BlockError::Point`] if one of the others is no point of the group, or infinity.
    pub fn new(
        key: &PublicKey,
        height: Height,
        block: BlockId,
        bundles: &[Encapsulation],
    ) -> Result<Self, BlockError> {
        let sealing = key.sealing_key();
        let mut digest = sealing.hasher("conclave/sealed-block/v1");
        digest.u64(height.as_u64()).fixed(block.as_bytes()).u64(bundles.len() as u64);
        let mut entries = vec![beacon_point(sealing, height, block)];
        let mut masked = vec![None];
        for (index, bundle) in bundles.iter().enumerate() {
            entries.push(bundle.point.point().ok_or(BlockError::Point { index })?);
            masked.push(Masked::of(bundle));
            digest.fixed(bundle.point.bytes().as_bytes());
        }
        let digest = digest.finish();
        Ok(Self { key: key.clone(), entries, masked, digest, expected: Vec::new() })
    }

    /// Shares that each party sends: one for each sub-batch.
    #[must_use]
    pub fn share_count(&self) -> usize {
        self.entries.len().div_ceil(self.slot_count())
    }

    /// Openings of the block: the beacon point's and one for each bundle.
    #[must_use]
    pub fn opening_count(&self) -> usize {
        self.entries.len()
    }

    /// Which openings `sub_batches` have.
    #[must_use]
    pub fn opening_range(&self, sub_batches: Range<usize>) -> Range<usize> {
        let place =
            |sub_batch: usize| sub_batch.saturating_mul(self.slot_count()).min(self.entries.len());
        place(sub_batches.start)..place(sub_batches.end)
    }

    /// The shares of `party`, one for each sub-batch. Sent only once the decision is durable.
    #[must_use]
    pub fn share(&self, secret: &SecretShare, party: u16) -> Vec<G1Bytes> {
        self.share_rest(secret, party, &[])
    }

    /// The same, where the shares of some bundles are known already: `ahead` has, for each bundle in block order, what
    /// [`shares_alone`] gave for its u and this party. Where a share serves several ciphertexts it is not looked at.
    #[must_use]
    pub fn share_rest(
        &self,
        secret: &SecretShare,
        party: u16,
        ahead: &[Option<G1Bytes>],
    ) -> Vec<G1Bytes> {
        let slots = self.key.packing().slots();
        let full = Interpolation::new(&slots, Node::of_party(party));
        // The beacon point comes first, and nobody knows it before the block.
        let known = |index: usize| match slots.len() {
            1 => *ahead.get(index.checked_sub(1)?)?,
            _ => None,
        };
        let sub_batches = self.entries.chunks(self.slot_count()).enumerate();
        let unknown = sub_batches.filter(|(index, _)| known(*index).is_none());
        // Missing values at the end are infinity: they add nothing to the sum.
        let unknown: Vec<G1Projective> =
            unknown.map(|(_, entries)| full.multiple(entries, secret.scalar())).collect();
        let mut computed = encode(&unknown).into_iter();
        (0..self.share_count())
            .filter_map(|index| known(index).or_else(|| computed.next()))
            .collect()
    }

    /// The openings of `sub_batches`, out of the shares of the first t parties listed. They are to be
    /// checked: wrong shares give wrong openings, not an error.
    ///
    /// # Errors
    ///
    /// [`CombineError`] if there are too few shares or they have not the form of shares.
    pub fn combine(
        &self,
        shares: &[(u16, &[G1Bytes])],
        sub_batches: Range<usize>,
    ) -> Result<Vec<Opening>, CombineError> {
        let points = self.combine_points(shares, sub_batches.clone())?;
        Ok(self.unmask(sub_batches, &points).openings)
    }

    /// The same, checked; none if they are wrong. `seed` as in [`SealedBlock::check`]. Cheaper than one after the other: a
    /// point that was computed here need not be found again from its encoding, nor a multiple of PK computed twice.
    ///
    /// # Errors
    ///
    /// As [`SealedBlock::combine`].
    pub fn combine_checked(
        &self,
        shares: &[(u16, &[G1Bytes])],
        sub_batches: Range<usize>,
        seed: &[u8; 32],
    ) -> Result<Option<Vec<Opening>>, CombineError> {
        let points = self.combine_points(shares, sub_batches.clone())?;
        let combined = self.unmask(sub_batches, &points);
        Ok(self.is_right(&combined, seed).then_some(combined.openings))
    }

    fn combine_points(
        &self,
        shares: &[(u16, &[G1Bytes])],
        sub_batches: Range<usize>,
    ) -> Result<Vec<G1Affine>, CombineError> {
        let quorum = self.quorum(shares)?;
        let (count, Range { start, end }) = (self.share_count(), sub_batches.clone());
        if start > end || end > count {
            return Err(CombineError::NoSuchSubBatch { count, start, end });
        }
        let nodes: Vec<Node> = quorum.iter().map(|(party, _)| Node::of_party(*party)).collect();
        // Once for all sub-batches, and no slot that stays empty in all of them.
        let used = self.opening_range(sub_batches.clone()).len();
        let slots = self.key.packing().slots().into_iter().take(used);
        let slots: Vec<_> = slots.map(|slot| Interpolation::new(&nodes, slot)).collect();
        let mut openings = Vec::new();
        for index in sub_batches {
            let read = |(party, shares): &(u16, &[G1Bytes])| {
                let point = shares.get(index).and_then(decode_on_curve);
                point.ok_or(CombineError::NotAPoint { party: *party, index })
            };
            let points: Vec<G1Affine> = quorum.iter().map(read).collect::<Result<_, _>>()?;
            let filled = self.opening_range(index..index.saturating_add(1)).len();
            openings.extend(slots.iter().take(filled).map(|slot| slot.value(&points)));
        }
        Ok(normalize(&openings))
    }

    /// The first t lists of shares, if all lists have the right form.
    fn quorum<'a, 'b>(
        &self,
        shares: &'a [(u16, &'b [G1Bytes])],
    ) -> Result<&'a [(u16, &'b [G1Bytes])], CombineError> {
        let packing = self.key.packing();
        let expected = self.share_count();
        let mut seen = std::collections::BTreeSet::new();
        for (party, shares) in shares {
            let (party, found) = (*party, shares.len());
            if party >= packing.parties() {
                return Err(CombineError::UnknownParty { party });
            }
            if !seen.insert(party) {
                return Err(CombineError::DuplicateParty { party });
            }
            if found != expected {
                return Err(CombineError::ShareCount { party, expected, found });
            }
        }
        let quorum = usize::from(packing.quorum());
        shares.get(..quorum).ok_or(CombineError::TooFew { expected: quorum, found: shares.len() })
    }

    /// The parties among those listed whose shares are wrong, each listed party once. Asked only when
    /// openings turn out wrong. `seed` as in [`SealedBlock::check`].
    #[must_use]
    pub fn blame(&self, shares: &[(u16, &[G1Bytes])], seed: &[u8; 32]) -> Vec<u16> {
        let wrong = shares.iter().filter(|(party, shares)| !self.is_honest(*party, shares, seed));
        let wrong: std::collections::BTreeSet<u16> = wrong.map(|(party, _)| *party).collect();
        wrong.into_iter().collect()
    }

    /// Whether e(Σ ρ·pd_j, g₂) = e(Σ ρ·R(x_j), V_j) over all sub-batches, and all shares are points of
    /// the group. A share may be infinity: a sender can arrange that for some parties.
    fn is_honest(&self, party: u16, shares: &[G1Bytes], seed: &[u8; 32]) -> bool {
        if shares.len() != self.share_count() {
            return false;
        }
        let Some(points) = shares.iter().map(decode_g1).collect::<Option<Vec<_>>>() else {
            return false;
        };
        let mut transcript = self.transcript("conclave/share-weights/v1", seed);
        transcript.u16(party);
        for share in shares {
            transcript.fixed(share.as_bytes());
        }
        let weights = weights(transcript.finish(), shares.len());
        let at_party = coefficients(&self.key.packing().slots(), Node::of_party(party));
        let scalars: Vec<Scalar> = weights
            .iter()
            .map(|weight| scalar_of(*weight))
            .flat_map(|weight| at_party.iter().map(move |coefficient| weight * coefficient))
            .collect();
        let left = weighted_sum(&points, &weights);
        self.key.is_multiple_by(party, &left, &sum_of_multiples(&self.entries, &scalars))
    }

    /// What batch weights are derived from, up to the points that they are for.
    pub(crate) fn transcript(&self, tag: &'static str, seed: &[u8; 32]) -> Hasher {
        let mut transcript = Hasher::new(tag);
        transcript.fixed(seed).fixed(self.digest.as_bytes());
        transcript
    }

    fn slot_count(&self) -> usize {
        usize::from(self.key.packing().packing()).max(1)
    }
}

/// The shares of `party` of ciphertexts that no block has taken yet, in the order given. With ℓ = 1 a share is S(x_j)·u,
/// whatever the block; with more it depends on who shares the sub-batch, and there are none. Who computes them ahead
/// sends none of them before the decision all the same. None of a u that is no point.
#[must_use]
pub fn shares_alone(
    key: &PublicKey,
    secret: &SecretShare,
    party: u16,
    us: &[CapsulePoint],
) -> Vec<Option<G1Bytes>> {
    let slots = key.packing().slots();
    if slots.len() != 1 {
        return vec![None; us.len()];
    }
    let full = Interpolation::new(&slots, Node::of_party(party));
    let points: Vec<Option<G1Affine>> = us.iter().map(CapsulePoint::point).collect();
    let multiples: Vec<G1Projective> =
        points.iter().flatten().map(|u| full.multiple(&[*u], secret.scalar())).collect();
    let mut shares = encode(&multiples).into_iter();
    points.iter().map(|point| point.and_then(|_| shares.next())).collect()
}

/// u₀, the first entry of every block.
fn beacon_point(key: &SealingKey, height: Height, block: BlockId) -> G1Affine {
    let (network, id) = (key.network(), key.id());
    let height = height.as_u64().to_be_bytes();
    let of = [network.as_bytes().as_slice(), id.as_bytes(), &height, block.as_bytes()].concat();
    G1Projective::hash_to_curve(&of, BEACON_DST, &[]).into()
}
