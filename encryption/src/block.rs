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
//!   openings  k₀          k₁ k₂ │ k₃ k₄ k₅ │ k₆            k = sk·u
//! ```
//!
//! Combining does not judge shares: openings are checked, all in one equation, and only if that fails
//! are the shares, one equation a party. The pairing alone would accept k + T for a point T of small
//! order, which is why every opening is also checked to be in the subgroup, each for itself.

mod expected;
mod judge;

use std::ops::Range;

use blstrs::{G1Affine, G1Projective, Scalar};
use borsh::BorshSerialize;
use conclave_types::{BlockId, Digest, G1Bytes, Height, digest::Hasher};
use group::Group as _;

use crate::{
    capsule::CapsulePoint,
    curve::{
        decode_g1, decode_g1_nonzero, decode_on_curve, encode, encode_affine, is_in_group,
        normalize, sum_of_multiples, weighted_sum,
    },
    field::{scalar_of, weights},
    interpolation::{Interpolation, Node, coefficients},
    key::{PublicKey, SealingKey},
    secret::SecretShare,
};

use self::expected::Expected;
pub use self::judge::SubBatch;

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
    /// Binds key, height, block and all entries.
    digest: Digest,
    /// What of checks was computed ahead.
    expected: Vec<Expected>,
}

impl SealedBlock {
    /// Parses the bundles' u, in block order, and puts the beacon point before them.
    ///
    /// # Errors
    ///
    /// [`BlockError::Point`] if one of them is no point of the group, or infinity.
    pub fn new(
        key: &PublicKey,
        height: Height,
        block: BlockId,
        us: &[G1Bytes],
    ) -> Result<Self, BlockError> {
        let points: Vec<_> = us.iter().copied().map(CapsulePoint::from).collect();
        Self::of_points(key, height, block, &points)
    }

    /// The same for a node that has admitted the bundles, or some of them: it does not check their points again.
    ///
    /// # Errors
    ///
    /// [`BlockError::Point`] if one of the others is no point of the group, or infinity.
    pub fn of_points(
        key: &PublicKey,
        height: Height,
        block: BlockId,
        points: &[CapsulePoint],
    ) -> Result<Self, BlockError> {
        let sealing = key.sealing_key();
        let mut digest = sealing.hasher("conclave/sealed-block/v1");
        digest.u64(height.as_u64()).fixed(block.as_bytes()).u64(points.len() as u64);
        let mut entries = vec![beacon_point(sealing, height, block)];
        for (index, u) in points.iter().enumerate() {
            entries.push(u.point().ok_or(BlockError::Point { index })?);
            digest.fixed(u.bytes().as_bytes());
        }
        Ok(Self { key: key.clone(), entries, digest: digest.finish(), expected: Vec::new() })
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
    ) -> Result<Vec<G1Bytes>, CombineError> {
        Ok(encode_affine(&self.combine_points(shares, sub_batches)?))
    }

    /// The same, checked; none if they are wrong. `seed` as in [`SealedBlock::check`]. Cheaper than one after the other: a
    /// point that was computed here need not be found again from its encoding.
    ///
    /// # Errors
    ///
    /// As [`SealedBlock::combine`].
    pub fn combine_checked(
        &self,
        shares: &[(u16, &[G1Bytes])],
        sub_batches: Range<usize>,
        seed: &[u8; 32],
    ) -> Result<Option<Vec<G1Bytes>>, CombineError> {
        let points = self.combine_points(shares, sub_batches.clone())?;
        let openings = encode_affine(&points);
        if !points.iter().all(is_in_group) {
            return Ok(None);
        }
        let given = Given { sub_batches, encoded: &openings, points };
        Ok(self.are_openings(&[given], seed).then_some(openings))
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

    /// Whether these are the openings of the whole block.
    ///
    /// `seed` must be secret to this node: wrong openings can be made to cancel under weights that their
    /// author can predict.
    #[must_use]
    pub fn check(&self, openings: &[G1Bytes], seed: &[u8; 32]) -> bool {
        self.check_range(0..self.share_count(), openings, seed)
    }

    /// Whether these are the openings of `sub_batches`. `seed` as in [`SealedBlock::check`].
    #[must_use]
    pub fn check_range(
        &self,
        sub_batches: Range<usize>,
        openings: &[G1Bytes],
        seed: &[u8; 32],
    ) -> bool {
        self.check_ranges(&[(sub_batches, openings)], seed)
    }

    /// Whether all of these are the openings of their sub-batches: one equation for any number of
    /// ranges. `seed` as in [`SealedBlock::check`].
    #[must_use]
    pub fn check_ranges(&self, ranges: &[(Range<usize>, &[G1Bytes])], seed: &[u8; 32]) -> bool {
        let decoded = ranges.iter().map(|(sub_batches, encoded)| {
            let points = encoded.iter().map(decode_g1_nonzero).collect::<Option<_>>()?;
            Some(Given { sub_batches: sub_batches.clone(), encoded, points })
        });
        let decoded: Option<Vec<Given<'_>>> = decoded.collect();
        decoded.is_some_and(|given| self.are_openings(&given, seed))
    }

    /// Whether these points of the group, none of them infinity, are the openings of their sub-batches.
    fn are_openings(&self, given: &[Given<'_>], seed: &[u8; 32]) -> bool {
        let mut transcript = self.transcript("conclave/opening-weights/v1", seed);
        let (mut points, mut fresh_points) = (Vec::new(), Vec::new());
        let (mut ahead, mut fresh_entries) = (Vec::new(), Vec::new());
        let mut right = G1Projective::identity();
        let mut known: Vec<&Range<usize>> = Vec::new();
        for Given { sub_batches, encoded, points: openings } in given {
            if sub_batches.start > sub_batches.end || sub_batches.end > self.share_count() {
                return false;
            }
            let range = self.opening_range(sub_batches.clone());
            let sealed = self.entries.get(range.clone());
            let Some(sealed) = sealed.filter(|entries| entries.len() == openings.len()) else {
                return false;
            };
            // Once: two versions of a part under the same weights could be wrong by opposites.
            let expected = self.expected(sub_batches).filter(|_| !known.contains(&sub_batches));
            if let Some(expected) = expected {
                known.push(sub_batches);
                points.extend_from_slice(openings);
                ahead.extend_from_slice(&expected.weights);
                right += expected.sum;
                continue;
            }
            transcript.u64(range.start as u64).u64(openings.len() as u64);
            for opening in *encoded {
                transcript.fixed(opening.as_bytes());
            }
            fresh_points.extend_from_slice(openings);
            fresh_entries.extend_from_slice(sealed);
        }
        let fresh = weights(transcript.finish(), fresh_points.len());
        right += weighted_sum(&fresh_entries, &fresh);
        points.append(&mut fresh_points);
        let left = weighted_sum(&points, &[ahead, fresh].concat());
        self.key.sealing_key().same_exponent(&left, &right)
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

/// Openings that are to be checked: as they were given, and as points.
struct Given<'a> {
    sub_batches: Range<usize>,
    encoded: &'a [G1Bytes],
    points: Vec<G1Affine>,
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
