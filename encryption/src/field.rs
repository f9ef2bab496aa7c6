//! Scalars out of digests: challenges, exponents and batch weights.
//!
//! Batch weights must be unpredictable to whoever chose the points, else two wrong points can be made
//! to cancel. They are therefore drawn from a secret of the checking node and everything that is
//! checked.

use blstrs::Scalar;
use conclave_types::{Digest, digest::Hasher};
use ff::Field;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use zeroize::Zeroizing;

/// Reads 64 bytes as a number and reduces it: its distance from uniform is below 2⁻²⁵⁶.
fn reduce(bytes: &[u8; 64]) -> Scalar {
    let word = Scalar::from(1 << 32).square();
    bytes.chunks_exact(8).fold(Scalar::ZERO, |sum, chunk| {
        let digit = chunk.iter().fold(0_u64, |digit, byte| (digit << 8) | u64::from(*byte));
        sum * word + Scalar::from(digit)
    })
}

/// The scalar that a preimage hashes to.
pub(crate) fn hash_to_scalar(preimage: &Hasher) -> Scalar {
    let mut wide = Zeroizing::new([0_u8; 64]);
    for (half, number) in wide.chunks_exact_mut(32).zip(0_u8..) {
        half.copy_from_slice(preimage.clone().u8(number).finish().as_bytes());
    }
    reduce(&wide)
}

/// Independent weights of 128 bits, from a digest over a secret seed and all that is checked.
pub(crate) fn weights(transcript: Digest, count: usize) -> Vec<u128> {
    let mut rng = ChaCha20Rng::from_seed(*transcript.as_bytes());
    (0..count).map(|_| (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64())).collect()
}

/// A weight as a scalar.
pub(crate) fn scalar_of(number: u128) -> Scalar {
    let high = u64::try_from(number >> 64).unwrap_or(u64::MAX);
    let low = u64::try_from(number & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    Scalar::from(high) * Scalar::from(1 << 32).square() + Scalar::from(low)
}

/// The inverse of every number, at the price of one inversion; zeros stay zero.
pub(crate) fn invert_all(numbers: &[Scalar]) -> Vec<Scalar> {
    let mut product = Scalar::ONE;
    let mut before = Vec::with_capacity(numbers.len());
    for number in numbers.iter().filter(|number| !bool::from(number.is_zero())) {
        before.push(product);
        product *= number;
    }
    let mut rest = product.invert().unwrap_or(Scalar::ZERO);
    let mut inverses = Vec::with_capacity(numbers.len());
    for number in numbers.iter().rev() {
        if bool::from(number.is_zero()) {
            inverses.push(Scalar::ZERO);
        } else {
            inverses.push(before.pop().unwrap_or(Scalar::ZERO) * rest);
            rest *= number;
        }
    }
    inverses.reverse();
    inverses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduction_agrees_with_arithmetic_on_small_and_extreme_numbers() {
        let mut bytes = [0; 64];
        bytes[63] = 7;
        assert_eq!(reduce(&bytes), Scalar::from(7));
        let two_to_256 = (0..256).fold(Scalar::ONE, |number, _| number.double());
        assert_eq!(reduce(&[0xff; 64]), two_to_256.square() - Scalar::ONE);
    }

    #[test]
    fn a_weight_is_the_same_number_as_a_scalar() {
        let number = (3_u128 << 64) | 5;
        let word = (0..64).fold(Scalar::ONE, |number, _| number.double());
        assert_eq!(scalar_of(number), Scalar::from(3) * word + Scalar::from(5));
    }

    #[test]
    fn inverting_together_is_inverting_one_by_one() {
        let numbers: Vec<_> = [3, 0, 5, 1, 0, 9].map(Scalar::from).to_vec();
        let expected: Vec<_> = numbers.iter().map(|n| n.invert().unwrap_or(Scalar::ZERO)).collect();
        assert_eq!(invert_all(&numbers), expected);
    }

    #[test]
    fn weights_depend_on_the_transcript() {
        assert_ne!(weights(Digest::new([1; 32]), 2), weights(Digest::new([2; 32]), 2));
    }
}
