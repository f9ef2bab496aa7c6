//! Whether openings are right: one equation for all seeds, and one for all points.
//!
//! ```text
//!   seeds    (Σ ρr)·g = Σ ρu                 and each by itself: r·PK masks σ as v
//!   points   e(Σ ρk, g₂) = e(Σ ρu, X₂)       and each by itself: k is of the subgroup, and unmasks no right seed
//! ```
//!
//! Where nobody sealed wrongly, the points are the beacon's alone. What was added up ahead for a part (`expected`) serves it also where
//! bundles were sealed wrongly: Σ ρu of those, or of the others if they are fewer, is moved to the other equation.
//! The pairing alone would accept k + T for a point T of
//! small order, which is why each point is also checked to be in the subgroup; r·PK is there by itself.

use std::ops::Range;

use blstrs::{G1Affine, G1Projective, Scalar};
use conclave_types::{G1Bytes, Opening, SeedBytes};
use ff::Field as _;
use group::Group as _;

use super::{SealedBlock, expected::Expected};
use crate::{
    curve::{decode_g1_nonzero, is_in_group, weighted_sum},
    field::{scalar_of, weights},
};

/// Openings of some sub-batches, in the form of right ones.
pub(super) struct Given {
    sub_batches: Range<usize>,
    pub(super) openings: Vec<Opening>,
    values: Vec<Value>,
}

/// What an equation is about.
#[derive(Clone, Copy)]
enum Value {
    /// k.
    Point(G1Affine),
    /// r, which a seed that its bundle masks hashes to.
    Exponent(Scalar),
}

impl Given {
    pub(super) const fn new(sub_batches: Range<usize>) -> Self {
        Self { sub_batches, openings: Vec::new(), values: Vec::new() }
    }

    pub(super) fn push_seed(&mut self, seed: SeedBytes, r: Scalar) {
        self.openings.push(Opening::Seed(seed));
        self.values.push(Value::Exponent(r));
    }

    pub(super) fn push_point(&mut self, k: G1Bytes, point: G1Affine) {
        self.openings.push(Opening::Point(k));
        self.values.push(Value::Point(point));
    }
}

impl Value {
    const fn is_seed(&self) -> bool {
        matches!(self, Self::Exponent(_))
    }
}

/// Both sides of both equations, as they are added up.
struct Sums {
    /// Σ ρr.
    exponents: Option<Scalar>,
    /// Σ ρu of seeds, of those that were added up ahead.
    of_exponents: G1Projective,
    /// u of the other seeds, and their weights.
    seeds: (Vec<G1Affine>, Vec<u128>),
    /// k, and their weights.
    points: (Vec<G1Affine>, Vec<u128>),
    /// Σ ρu of points, of those that were added up ahead.
    of_points: G1Projective,
    /// u of the other points, and their weights.
    others: (Vec<G1Affine>, Vec<u128>),
    /// What belongs to the points' side and was added up ahead for the seeds', and its weights; negated, what was added
    /// up for the points' and belongs to the seeds'.
    moved: (Vec<G1Affine>, Vec<u128>),
}

impl Sums {
    fn new() -> Self {
        Self {
            exponents: None,
            of_exponents: G1Projective::identity(),
            seeds: <_>::default(),
            points: <_>::default(),
            of_points: G1Projective::identity(),
            others: <_>::default(),
            moved: <_>::default(),
        }
    }

    /// The side that is told by openings.
    fn add(&mut self, value: Value, weight: u128) {
        match value {
            Value::Exponent(r) => {
                let sum = self.exponents.unwrap_or(Scalar::ZERO);
                self.exponents = Some(sum + scalar_of(weight) * r);
            }
            Value::Point(k) => {
                self.points.0.push(k);
                self.points.1.push(weight);
            }
        }
    }

    /// Both sides of a part of which one was added up ahead, as if all bundles were alike: those that are of the other kind, of
    /// which there are fewer, are moved to where they belong.
    fn add_expected(&mut self, bundles: &[Value], entries: &[G1Affine], expected: &Expected) {
        let seeds = bundles.iter().filter(|value| value.is_seed()).count();
        let is_for_seeds = seeds > bundles.len() / 2;
        let side = if is_for_seeds { &mut self.of_exponents } else { &mut self.of_points };
        *side += expected.sum;
        for ((value, u), weight) in bundles.iter().zip(entries).zip(&expected.weights) {
            self.add(*value, *weight);
            if value.is_seed() != is_for_seeds {
                self.moved.0.push(if is_for_seeds { *u } else { -u });
                self.moved.1.push(*weight);
            }
        }
    }

    /// Both sides of one opening.
    fn add_both(&mut self, value: Value, u: G1Affine, weight: u128) {
        self.add(value, weight);
        let side = match value {
            Value::Exponent(_) => &mut self.seeds,
            Value::Point(_) => &mut self.others,
        };
        side.0.push(u);
        side.1.push(weight);
    }
}

impl SealedBlock {
    /// Whether these are the openings of the whole block.
    ///
    /// `seed` must be secret to this node: wrong openings can be made to cancel under weights that their
    /// author can predict.
    #[must_use]
    pub fn check(&self, openings: &[Opening], seed: &[u8; 32]) -> bool {
        self.check_range(0..self.share_count(), openings, seed)
    }

    /// Whether these are the openings of `sub_batches`. `seed` as in [`SealedBlock::check`].
    #[must_use]
    pub fn check_range(
        &self,
        sub_batches: Range<usize>,
        openings: &[Opening],
        seed: &[u8; 32],
    ) -> bool {
        self.check_ranges(&[(sub_batches, openings)], seed)
    }

    /// Whether all of these are the openings of their sub-batches: the equations are the same two for any number of
    /// ranges. `seed` as in [`SealedBlock::check`].
    #[must_use]
    pub fn check_ranges(&self, ranges: &[(Range<usize>, &[Opening])], seed: &[u8; 32]) -> bool {
        let given = ranges.iter().map(|(sub_batches, openings)| self.read(sub_batches, openings));
        given.collect::<Option<Vec<Given>>>().is_some_and(|given| self.holds(&given, seed))
    }

    /// Whether combined openings are right.
    pub(super) fn is_right(&self, combined: &Given, seed: &[u8; 32]) -> bool {
        let in_group = |value: &Value| match value {
            Value::Point(k) => is_in_group(k),
            Value::Exponent(_) => true,
        };
        combined.values.iter().all(in_group) && self.holds(std::slice::from_ref(combined), seed)
    }

    /// Openings that somebody gave for `sub_batches`, if each by itself could be right.
    fn read(&self, sub_batches: &Range<usize>, openings: &[Opening]) -> Option<Given> {
        if sub_batches.start > sub_batches.end || sub_batches.end > self.share_count() {
            return None;
        }
        let masked = self.masked.get(self.opening_range(sub_batches.clone()))?;
        if masked.len() != openings.len() {
            return None;
        }
        let (mut seeds, mut unmasked, mut points) = (Vec::new(), Vec::new(), Vec::new());
        for (opening, masked) in openings.iter().zip(masked) {
            match (opening, masked) {
                (Opening::Seed(seed), masked) => seeds.push((masked.as_ref()?, *seed)),
                (Opening::Point(k), masked) => {
                    let point = decode_g1_nonzero(k)?;
                    points.push(point);
                    unmasked.extend(masked.as_ref().map(|masked| (masked, *k, point)));
                }
            }
        }
        let mut exponents = self.exponents(&seeds)?.into_iter();
        if !self.unmask_nothing(&unmasked) {
            return None;
        }
        let (mut given, mut points) = (Given::new(sub_batches.clone()), points.into_iter());
        for opening in openings {
            match opening {
                Opening::Seed(seed) => given.push_seed(*seed, exponents.next()?),
                Opening::Point(k) => given.push_point(*k, points.next()?),
            }
        }
        Some(given)
    }

    /// Whether both equations hold. Points are of the subgroup, and there is an opening for each entry.
    fn holds(&self, given: &[Given], seed: &[u8; 32]) -> bool {
        let mut transcript = self.transcript("conclave/opening-weights/v1", seed);
        let mut known: Vec<&Range<usize>> = Vec::new();
        let (mut sums, mut fresh) = (Sums::new(), Vec::new());
        for Given { sub_batches, openings, values } in given {
            let range = self.opening_range(sub_batches.clone());
            let entries = self.entries.get(range.clone()).unwrap_or_default();
            let beacon = range.len().saturating_sub(self.bundle_range(sub_batches).len());
            let bundles = values.get(beacon..).unwrap_or_default();
            // Once: two versions of a part under the same weights could be wrong by opposites.
            let expected = self.expected(sub_batches).filter(|_| !known.contains(&sub_batches));
            let fresh_count = expected.map_or(values.len(), |_| beacon);
            if let Some(expected) = expected {
                known.push(sub_batches);
                sums.add_expected(bundles, entries.get(beacon..).unwrap_or_default(), expected);
            }
            transcript.u64(range.start as u64).u64(fresh_count as u64);
            for opening in openings.iter().take(fresh_count) {
                transcript.fixed(opening.as_bytes());
            }
            fresh.extend(values.iter().zip(entries).take(fresh_count));
        }
        let weights = weights(transcript.finish(), fresh.len());
        for ((value, u), weight) in fresh.into_iter().zip(weights) {
            sums.add_both(*value, *u, weight);
        }
        self.agree(&sums)
    }

    fn agree(&self, sums: &Sums) -> bool {
        let sum = |(points, weights): &(Vec<G1Affine>, Vec<u128>)| weighted_sum(points, weights);
        let moved = sum(&sums.moved);
        let seeds = sums.exponents.is_none_or(|exponents| {
            G1Projective::generator() * exponents == sums.of_exponents - moved + sum(&sums.seeds)
        });
        let key = self.key.sealing_key();
        seeds
            && (sums.points.0.is_empty()
                || key.same_exponent(
                    &sum(&sums.points),
                    &(sums.of_points + moved + sum(&sums.others)),
                ))
    }

    /// Which entries of `sub_batches` are bundles: all but the beacon point.
    pub(super) fn bundle_range(&self, sub_batches: &Range<usize>) -> Range<usize> {
        let Range { start, end } = self.opening_range(sub_batches.clone());
        start.max(1).min(end)..end
    }
}
