//! Interpolation in the exponent, at small integers.
//!
//! A Lagrange coefficient between small integers is a fraction of small integers. Written over their
//! common denominator, the coefficients of a quorum become integers of a few bits each and one factor
//! for all: a sum of t multiples then costs a few additions and one full multiplication instead of t.
//! For sharings so large that the integers outgrow 128 bits the coefficients stay field elements.

use blstrs::{G1Affine, G1Projective, Scalar};
use ff::Field;
use group::Group;

use crate::{
    curve::sum_of_multiples,
    field::{invert_all, scalar_of},
    secret::Secret,
};

/// A place at which a sharing polynomial is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node(i32);

impl Node {
    /// x_j = j + 1.
    pub(crate) fn of_party(party: u16) -> Self {
        Self(i32::from(party).saturating_add(1))
    }

    /// d_s = −(s + 2): never where a party is, and never zero. From −1 on, one quorum of four parties in four would have
    /// coefficients with a common denominator (ADR 013).
    pub(crate) fn of_slot(slot: u16) -> Self {
        Self(i32::from(slot).saturating_add(2).saturating_neg())
    }

    pub(crate) fn scalar(self) -> Scalar {
        signed(self.0 < 0, Scalar::from(u64::from(self.0.unsigned_abs())))
    }

    /// |self − other| and whether the difference is negative.
    fn minus(self, other: Self) -> (u128, bool) {
        (u128::from(self.0.abs_diff(other.0)), self < other)
    }
}

fn signed(negative: bool, magnitude: Scalar) -> Scalar {
    if negative { -magnitude } else { magnitude }
}

/// Lagrange coefficients: what the values at some nodes contribute to the value at another.
pub(crate) struct Interpolation {
    weights: Weights,
    /// What the weighted sum is still to be multiplied with.
    factor: Scalar,
}

enum Weights {
    /// For every doubling, most significant first: which values are added, which are subtracted.
    Small(Vec<Vec<(usize, bool)>>),
    Full(Vec<Scalar>),
}

impl Interpolation {
    /// From the values at `nodes`, which are distinct, to the value at `at`, which is none of them.
    pub(crate) fn new(nodes: &[Node], at: Node) -> Self {
        match integers(nodes, at) {
            Some((integers, factor)) => {
                Self { weights: Weights::Small(schedule(&integers)), factor }
            }
            None => Self { weights: Weights::Full(coefficients(nodes, at)), factor: Scalar::ONE },
        }
    }

    /// The value at the new node, given those at the old ones.
    pub(crate) fn value(&self, values: &[G1Affine]) -> G1Projective {
        let sum = self.sum(values);
        if self.factor == Scalar::ONE { sum } else { sum * self.factor }
    }

    /// `secret` times the value. The secret enters by one multiplication of constant time.
    pub(crate) fn multiple(&self, values: &[G1Affine], secret: &Scalar) -> G1Projective {
        let multiplier = Secret(self.factor * secret);
        self.sum(values) * multiplier.0
    }

    fn sum(&self, values: &[G1Affine]) -> G1Projective {
        match &self.weights {
            Weights::Full(scalars) => sum_of_multiples(values, scalars),
            Weights::Small(steps) => steps.iter().fold(G1Projective::identity(), |sum, step| {
                let signed = step.iter().filter_map(|(at, minus)| Some((values.get(*at)?, *minus)));
                signed.fold(
                    sum.double(),
                    |sum, (value, minus)| {
                        if minus { sum - value } else { sum + value }
                    },
                )
            }),
        }
    }
}

/// All Lagrange coefficients as field elements, at the price of one inversion.
pub(crate) fn coefficients(nodes: &[Node], at: Node) -> Vec<Scalar> {
    let at = at.scalar();
    let nodes: Vec<_> = nodes.iter().map(|node| node.scalar()).collect();
    let numerator: Scalar = nodes.iter().map(|node| at - node).product();
    let denominators: Vec<Scalar> = nodes
        .iter()
        .map(|node| {
            let others = nodes.iter().filter(|other| *other != node);
            others.map(|other| node - other).product::<Scalar>() * (at - node)
        })
        .collect();
    invert_all(&denominators).into_iter().map(|inverse| numerator * inverse).collect()
}

/// The coefficients as integers with their signs, and the factor that they have in common.
fn integers(nodes: &[Node], at: Node) -> Option<(Vec<(u128, bool)>, Scalar)> {
    let fractions: Vec<Fraction> =
        nodes.iter().map(|node| Fraction::lagrange(nodes, *node, at)).collect::<Option<_>>()?;
    let common = fractions.iter().try_fold(1_u128, |common, fraction| {
        (common / gcd(common, fraction.below)).checked_mul(fraction.below)
    })?;
    let over = |fraction: &Fraction| fraction.above.checked_mul(common / fraction.below);
    let above: Vec<u128> = fractions.iter().map(over).collect::<Option<_>>()?;
    let divisor = above.iter().fold(0, |divisor, number| gcd(divisor, *number)).max(1);
    let signs = fractions.iter().map(|fraction| fraction.negative);
    let integers = above.iter().map(|number| number / divisor).zip(signs).collect();
    let inverse = scalar_of(common).invert().unwrap_or(Scalar::ZERO);
    Some((integers, scalar_of(divisor) * inverse))
}

/// ±above/below, in lowest terms.
struct Fraction {
    above: u128,
    below: u128,
    negative: bool,
}

impl Fraction {
    /// The coefficient of the value at `node`; none if it outgrows 128 bits.
    fn lagrange(nodes: &[Node], node: Node, at: Node) -> Option<Self> {
        let one = Self { above: 1, below: 1, negative: false };
        nodes.iter().filter(|other| **other != node).try_fold(one, |product, other| {
            let (above, above_negative) = at.minus(*other);
            let (below, below_negative) = node.minus(*other);
            let (left, right) = (gcd(product.above, below), gcd(above, product.below));
            let rest = gcd(above / right, below / left);
            Some(Self {
                above: (product.above / left).checked_mul(above / right / rest)?,
                below: (product.below / right).checked_mul(below / left / rest)?,
                negative: product.negative ^ above_negative ^ below_negative,
            })
        })
    }
}

/// Greatest common divisor; that of zero and a number is the number.
fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The non-adjacent forms of all integers, side by side, most significant digits first.
fn schedule(integers: &[(u128, bool)]) -> Vec<Vec<(usize, bool)>> {
    let mut steps: Vec<Vec<(usize, bool)>> = Vec::new();
    for (index, (number, negative)) in integers.iter().enumerate() {
        let (mut rest, mut place) = (*number, 0_usize);
        while rest != 0 {
            if steps.len() <= place {
                steps.push(Vec::new());
            }
            // The digit is −1 where that makes the next one zero. Halving rounds it away.
            let minus = rest & 3 == 3;
            if let Some(step) = steps.get_mut(place).filter(|_| rest & 1 == 1) {
                step.push((index, minus ^ negative));
            }
            rest = (rest >> 1).saturating_add(u128::from(minus));
            place = place.saturating_add(1);
        }
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(parties: &[u16]) -> Vec<Node> {
        parties.iter().copied().map(Node::of_party).collect()
    }

    /// g·f(x) at all nodes, for f = 3 + 5x + 7x² + … of the highest degree that they determine.
    fn values(nodes: &[Node], at: Node) -> (Vec<G1Affine>, G1Projective) {
        let f = |x: Scalar| {
            (0..nodes.len() as u64)
                .rev()
                .fold(Scalar::ZERO, |sum, i| sum * x + Scalar::from(3 + 2 * i))
        };
        let point = |node: Node| G1Projective::generator() * f(node.scalar());
        (nodes.iter().map(|node| point(*node).into()).collect(), point(at))
    }

    #[test]
    fn values_at_any_nodes_give_the_value_at_another() {
        let sets: [Vec<u16>; 7] = [
            vec![0],
            vec![5],
            vec![0, 1, 2],
            vec![1, 2, 3],
            vec![0, 2, 3],
            (0..31).filter(|party| party % 3 != 1).collect(),
            (33..100).collect(),
        ];
        for parties in sets {
            let nodes = nodes(&parties);
            for slot in [0, 1, 8] {
                let (values, expected) = values(&nodes, Node::of_slot(slot));
                let found = Interpolation::new(&nodes, Node::of_slot(slot)).value(&values);
                assert_eq!(found, expected, "{parties:?}");
            }
        }
    }

    #[test]
    fn both_kinds_of_weights_occur_and_agree_with_the_field() {
        let small = nodes(&(10..31).collect::<Vec<_>>());
        let large = nodes(&(33..100).collect::<Vec<_>>());
        let at = Node::of_slot(0);
        assert!(integers(&large, at).is_none());
        let (integers, factor) = integers(&small, at).unwrap();
        let scalars = integers.iter().map(|(n, minus)| signed(*minus, scalar_of(*n)) * factor);
        assert_eq!(scalars.collect::<Vec<_>>(), coefficients(&small, at));
    }

    #[test]
    fn no_quorum_of_four_equals_needs_a_full_multiplication() {
        for left_out in 0..4 {
            let quorum = nodes(&(0..4).filter(|party| *party != left_out).collect::<Vec<_>>());
            let combining = Interpolation::new(&quorum, Node::of_slot(0));
            assert_eq!(combining.factor, Scalar::ONE, "without party {left_out}");
            assert!(matches!(combining.weights, Weights::Small(_)));
        }
    }

    /// Quorums of so many equals whose coefficients are integers, and all quorums.
    fn easy_quorums(count: u16, slot: Node) -> (usize, usize) {
        let quorum = u32::from(count - (count - 1) / 3);
        let sets = (0_u32..1 << count).filter(|set| set.count_ones() == quorum);
        let easy = |set: &u32| {
            let quorum: Vec<_> = (0..count).filter(|party| set >> party & 1 == 1).collect();
            Interpolation::new(&nodes(&quorum), slot).factor == Scalar::ONE
        };
        (sets.clone().filter(easy).count(), sets.count())
    }

    #[test]
    fn slots_at_minus_two_suit_more_quorums_than_at_minus_one() {
        let found = [4, 5, 6, 7, 10].map(|count| {
            let (before, _) = easy_quorums(count, Node(-1));
            let (now, all) = easy_quorums(count, Node::of_slot(0));
            [before, now].map(|easy| (100 * easy + all / 2) / all)
        });
        assert_eq!(found, [[75, 100], [80, 60], [67, 83], [43, 57], [22, 30]]);
    }

    #[test]
    fn the_schedule_spells_every_number() {
        let numbers = [0, 1, 2, 3, 7, 11, 0b1011_0111, u128::from(u64::MAX), u128::MAX >> 1];
        let signed_numbers: Vec<_> = numbers.iter().map(|n| (*n, n % 2 == 1)).collect();
        let steps = schedule(&signed_numbers);
        for (index, (number, negative)) in signed_numbers.iter().enumerate() {
            let spelled = steps.iter().fold(Scalar::ZERO, |sum, step| {
                let digit = step.iter().find(|(at, _)| *at == index);
                sum.double() + digit.map_or(Scalar::ZERO, |(_, minus)| signed(*minus, Scalar::ONE))
            });
            assert_eq!(spelled, signed(*negative, scalar_of(*number)));
        }
    }
}
