//! Seeds of a block: found from points, and compared with what bundles hold.

use std::ops::Range;

use blstrs::{G1Affine, Scalar};
use conclave_types::{Digest, G1Bytes, SeedBytes};

use super::{SealedBlock, check::Given};
use crate::{
    curve::encode_affine,
    encapsulation::Encapsulation,
    seed::{SEED_BYTES, exponent, masked},
};

/// What is known of a bundle's seed before the block is opened.
#[derive(Debug)]
pub(super) struct Masked {
    v: [u8; SEED_BYTES],
    label: Digest,
    u: G1Bytes,
}

impl Masked {
    pub(super) fn of(bundle: &Encapsulation) -> Option<Self> {
        let masked = bundle.masked?;
        Some(Self { v: masked.v, label: masked.label, u: *bundle.point.bytes() })
    }

    /// The seed that k unmasks.
    fn seed(&self, k: &G1Bytes) -> SeedBytes {
        SeedBytes::new(*masked(&self.v, k, &self.u, &self.label))
    }

    /// Whether this seed is masked by k as v.
    fn is_masked(&self, seed: &SeedBytes, k: &G1Bytes) -> bool {
        self.seed(k) == *seed
    }
}

impl SealedBlock {
    /// The openings that these points give, one for each entry of `sub_batches`: a seed where r·PK is the point itself. Of
    /// right points, that says that r·g is u.
    pub(super) fn unmask(&self, sub_batches: Range<usize>, points: &[G1Affine]) -> Given {
        let range = self.opening_range(sub_batches.clone());
        let encoded = encode_affine(points);
        let masked = self.masked.get(range).unwrap_or_default();
        let seeds: Vec<Option<(SeedBytes, Scalar)>> = masked
            .iter()
            .zip(&encoded)
            .map(|(masked, k)| {
                let masked = masked.as_ref()?;
                let seed = masked.seed(k);
                Some((seed, self.exponent(masked, &seed)))
            })
            .collect();
        let exponents: Vec<Scalar> = seeds.iter().flatten().map(|(_, r)| *r).collect();
        let mut multiples = self.multiples(&exponents).into_iter();
        let mut given = Given::new(sub_batches);
        for ((point, k), seed) in points.iter().zip(encoded).zip(seeds) {
            let seed = seed.filter(|_| multiples.next().as_ref() == Some(point));
            match seed {
                Some((seed, r)) => given.push_seed(seed, r),
                None => given.push_point(k, *point),
            }
        }
        given
    }

    /// Whether these points unmask nothing: it is the openings of bundles without a right seed that are points.
    pub(super) fn unmask_nothing(&self, masked: &[(&Masked, G1Bytes, G1Affine)]) -> bool {
        let exponents: Vec<Scalar> =
            masked.iter().map(|(it, k, _)| self.exponent(it, &it.seed(k))).collect();
        let multiples = self.multiples(&exponents);
        masked.iter().zip(multiples).all(|((_, _, point), multiple)| *point != multiple)
    }

    /// r of each seed; none if one of them is not masked as its bundle says. Whether u is r·g is still to be seen.
    pub(super) fn exponents(&self, seeds: &[(&Masked, SeedBytes)]) -> Option<Vec<Scalar>> {
        let exponents: Vec<Scalar> =
            seeds.iter().map(|(masked, seed)| self.exponent(masked, seed)).collect();
        let multiples = self.multiples(&exponents);
        let encoded = encode_affine(&multiples);
        let agree = seeds.iter().zip(&encoded).all(|((masked, seed), k)| masked.is_masked(seed, k));
        agree.then_some(exponents)
    }

    /// r·PK of each; none of them, as under suite 0x02, and the table is not needed.
    fn multiples(&self, exponents: &[Scalar]) -> Vec<G1Affine> {
        if exponents.is_empty() {
            return Vec::new();
        }
        self.key.sealing_key().multiples().by_each(exponents)
    }

    fn exponent(&self, masked: &Masked, seed: &SeedBytes) -> Scalar {
        exponent(self.key.sealing_key(), seed.as_bytes(), &masked.label)
    }
}
