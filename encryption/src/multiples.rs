//! Multiples of one point by many public numbers.
//!
//! What a seed says of a bundle is compared with r·PK, of every bundle of every block under one key. The multiples of PK
//! that all of these are sums of are therefore computed once, 4,096 points or 384 KiB for a key: then a
//! multiple is 32 additions and no doubling.
//!
//! **Not for secrets**: what is read, and how long it takes, depends on the number.

use blstrs::{G1Affine, G1Projective, Scalar};
use group::Group as _;

use crate::curve::normalize;

/// Digits run from −127 to 128.
const HALF: usize = 128;

/// The multiples of a point P, one row for each byte of a number: row i holds d·256ⁱ·P for d from 1 to 128.
pub(crate) struct Multiples(Vec<G1Affine>);

impl Multiples {
    /// Those of `point`.
    pub(crate) fn of(point: &G1Affine) -> Self {
        let mut base = G1Projective::from(point);
        let mut multiples = Vec::with_capacity(HALF.saturating_mul(32));
        for _ in 0..32 {
            let mut multiple = base;
            for _ in 0..HALF {
                multiples.push(multiple);
                multiple += base;
            }
            // 129·base, less one, twice.
            base = (multiple - base).double();
        }
        Self(normalize(&multiples))
    }

    /// s·P for each s.
    pub(crate) fn by_each(&self, scalars: &[Scalar]) -> Vec<G1Affine> {
        let multiples: Vec<G1Projective> = scalars.iter().map(|scalar| self.by(scalar)).collect();
        normalize(&multiples)
    }

    fn by(&self, scalar: &Scalar) -> G1Projective {
        let mut carry = 0;
        let mut sum = G1Projective::identity();
        // The group's order is below 0x74·256³¹, so nothing is carried out of the highest byte.
        for (byte, row) in scalar.to_bytes_le().into_iter().zip(self.0.chunks_exact(HALF)) {
            let digit = usize::from(byte).saturating_add(carry);
            carry = usize::from(digit > HALF);
            let (distance, is_negative) = match digit.checked_sub(HALF) {
                Some(1..) => (HALF.saturating_mul(2).saturating_sub(digit), true),
                Some(0) | None => (digit, false),
            };
            let Some(multiple) = distance.checked_sub(1).and_then(|place| row.get(place)) else {
                continue;
            };
            if is_negative {
                sum -= multiple;
            } else {
                sum += multiple;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use ff::Field as _;
    use proptest::prelude::*;

    use super::*;

    fn scalar(bytes: [u8; 32]) -> Scalar {
        let base = Scalar::from(256);
        bytes.iter().fold(Scalar::ZERO, |sum, byte| sum * base + Scalar::from(u64::from(*byte)))
    }

    #[test]
    fn extreme_numbers_have_their_multiples() {
        let point = G1Affine::from(G1Projective::generator() * Scalar::from(77));
        let multiples = Multiples::of(&point);
        let near = |number: u64| [number - 1, number, number + 1].map(Scalar::from);
        let powers: Vec<Scalar> =
            (0..255).map(|exponent| Scalar::from(2).pow([exponent])).collect();
        let mut scalars = vec![Scalar::ZERO, -Scalar::ONE, -Scalar::from(2), scalar([0x80; 32])];
        scalars.extend([127_u64, 255, 256, 511, 0x8080, 0xffff].into_iter().flat_map(near));
        scalars.extend(powers.iter().flat_map(|power| [*power, power - Scalar::ONE, -power]));
        for (scalar, found) in scalars.iter().zip(multiples.by_each(&scalars)) {
            assert_eq!(found, G1Affine::from(point * scalar), "{scalar:?}");
        }
        assert!(multiples.by_each(&[]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_number_has_its_multiple(bytes: [u8; 32]) {
            let point = G1Affine::from(G1Projective::generator());
            let scalar = scalar(bytes);
            let found = Multiples::of(&point).by_each(&[scalar]);
            prop_assert_eq!(found, vec![G1Affine::from(point * scalar)]);
        }
    }
}
