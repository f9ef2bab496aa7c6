//! What several points of a sharing come to together: the arithmetic of a coalition. It is written out here and shares
//! nothing with the code that it attacks but the curve.
//!
//! Slot s is at d_s = −(s + 2), point j at x_j = j + 1, and Z vanishes at every slot. Fewer values than a quorum
//! determine two polynomials (`docs/spec/encryption.md`, *Numbers*):
//!
//! | polynomial | its values | unknowns |
//! |---|---|---|
//! | S = sk + Z·T, T with c coefficients | key shares | c + 1 |
//! | S·R = Σ k_s·L_s + E·Z·W, E vanishing at the slots that are empty, W with c + m − 1 coefficients | shares of a sub-batch with m slots filled | c + 2m − 1 |
//!
//! As many values as unknowns are one linear system; fewer leave every sk and every k_s possible.

use std::{
    collections::BTreeMap,
    iter,
    sync::{Arc, Mutex, PoisonError},
};

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};
use conclave_encryption::{Packing, SealingKey, SecretShare};
use conclave_types::{Epoch, G1Bytes};
use ff::Field;
use group::Group;

/// Key shares, by epoch and point.
pub(crate) type KeyShares = BTreeMap<Epoch, BTreeMap<u16, Arc<SecretShare>>>;

/// The key shares of all who are in league, each epoch's by itself. As many as there were points: none is erased.
#[derive(Clone, Debug, Default)]
pub(crate) struct League(Arc<Mutex<KeyShares>>);

impl League {
    /// Somebody brings a share.
    pub(crate) fn bring(&self, epoch: Epoch, point: u16, share: &Arc<SecretShare>) {
        // A holder that panicked left whole entries behind.
        let mut pooled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pooled.entry(epoch).or_default().insert(point, Arc::clone(share));
    }

    /// All there are.
    pub(super) fn shares(&self) -> KeyShares {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a polynomial is at one place: how much of each of its unknowns.
type Row = Vec<Scalar>;

fn place(point: u16) -> Scalar {
    Scalar::from(u64::from(point).saturating_add(1))
}

fn slots(packing: Packing) -> Vec<Scalar> {
    (0..packing.packing()).map(|slot| -Scalar::from(u64::from(slot).saturating_add(2))).collect()
}

/// The product of x − d.
fn distance<'a>(x: Scalar, from: impl IntoIterator<Item = &'a Scalar>) -> Scalar {
    from.into_iter().map(|at| x - at).product()
}

fn powers(x: Scalar, times: Scalar) -> impl Iterator<Item = Scalar> {
    iter::successors(Some(times), move |power| Some(*power * x))
}

/// Of S at a point: sk, and coefficients of T, so many unknowns in all.
fn key_row(packing: Packing, unknowns: usize, point: u16) -> Row {
    let x = place(point);
    let of_noise = powers(x, distance(x, &slots(packing)));
    iter::once(Scalar::ONE).chain(of_noise).take(unknowns).collect()
}

/// Key shares that determine the key.
pub(crate) fn key_needs(packing: Packing) -> usize {
    usize::from(packing.secrecy()).saturating_add(1)
}

/// Of S·R at a point, R being that of a sub-batch with so many slots filled: the k_s, and the coefficients of W.
fn share_row(packing: Packing, filled: usize, point: u16) -> Option<Row> {
    let (x, slots) = (place(point), slots(packing));
    let lagrange = |own: &Scalar| {
        let others = || slots.iter().filter(|slot| *slot != own);
        let inverse = Option::<Scalar>::from(distance(*own, others()).invert())?;
        Some(distance(x, others()) * inverse)
    };
    let noise = distance(x, &slots) * distance(x, slots.iter().skip(filled));
    let unknown = share_needs(packing, filled).saturating_sub(filled);
    let of_openings = slots.iter().take(filled).map(lagrange);
    of_openings.chain(powers(x, noise).take(unknown).map(Some)).collect()
}

/// Shares that determine a sub-batch with so many slots filled: a quorum if all are.
pub(crate) fn share_needs(packing: Packing, filled: usize) -> usize {
    let more = filled.saturating_mul(2).saturating_sub(1);
    usize::from(packing.secrecy()).saturating_add(more)
}

/// For each of `wanted`, with which weights `rows` add up to it; none if there are not as many rows as unknowns or they
/// depend on one another.
fn weights(rows: &[Row], wanted: &[Row]) -> Option<Vec<Vec<Scalar>>> {
    // An equation for each unknown, with a column for each weight and then one for each that is wanted.
    let equation = |unknown: usize| {
        let of_all = rows.iter().chain(wanted).map(|row| row.get(unknown).copied());
        of_all.collect::<Option<Vec<Scalar>>>()
    };
    let unknowns = rows.first().map_or(0, Vec::len);
    let mut left: Vec<Vec<Scalar>> = (0..unknowns).map(equation).collect::<Option<_>>()?;
    let mut solved: Vec<Vec<Scalar>> = Vec::new();
    for column in 0..rows.len() {
        let has = |equation: &Vec<Scalar>| {
            equation.get(column).is_some_and(|factor| *factor != Scalar::ZERO)
        };
        let mut pivot = left.swap_remove(left.iter().position(has)?);
        let inverse = Option::<Scalar>::from(pivot.get(column)?.invert())?;
        pivot.iter_mut().for_each(|factor| *factor *= inverse);
        for equation in left.iter_mut().chain(&mut solved) {
            let times = *equation.get(column)?;
            equation.iter_mut().zip(&pivot).for_each(|(from, factor)| *from -= times * factor);
        }
        solved.push(pivot);
    }
    let of = |which: usize| {
        let column = rows.len().saturating_add(which);
        solved.iter().map(|equation| equation.get(column).copied()).collect()
    };
    left.is_empty().then(|| (0..wanted.len()).map(of).collect())?
}

/// The secret key, if these are right and T has one coefficient fewer than these are: values of S. As a share it is that
/// of everybody in a sharing of the same key in which S is constant.
pub(crate) fn secret_key(packing: Packing, shares: &[(u16, &SecretShare)]) -> Option<SecretShare> {
    let row = |(point, _): &(u16, &SecretShare)| key_row(packing, shares.len(), *point);
    let rows: Vec<Row> = shares.iter().map(row).collect();
    let key: Row = (0..shares.len()).map(|at| Scalar::from(u64::from(at == 0))).collect();
    let weights = weights(&rows, &[key])?.into_iter().next()?;
    let weighted = shares.iter().zip(&weights).map(|((_, share), weight)| {
        Option::<Scalar>::from(Scalar::from_bytes_be(&share.to_bytes())).map(|s| s * weight)
    });
    let secret: Scalar = weighted.sum::<Option<Scalar>>()?;
    SecretShare::from_bytes(&secret.to_bytes_be()).ok()
}

/// Whether a number is the secret of a key. Anyone can tell.
pub(crate) fn is_secret_of(secret: &SecretShare, key: &SealingKey) -> bool {
    let scalar = Option::<Scalar>::from(Scalar::from_bytes_be(&secret.to_bytes()));
    let found = scalar.map(|scalar| G2Affine::from(G2Projective::generator() * scalar));
    found.is_some_and(|found| found.to_compressed() == *key.public_key_g2().as_bytes())
}

/// What the points in `missing` would say of a sub-batch, if these are right: shares of it, as many as [`share_needs`].
pub(crate) fn shares_of_others(
    packing: Packing,
    filled: usize,
    known: &[(u16, G1Bytes)],
    missing: &[u16],
) -> Option<Vec<G1Bytes>> {
    let row = |point: &u16| share_row(packing, filled, *point);
    let rows: Vec<Row> = known.iter().map(|(point, _)| row(point)).collect::<Option<_>>()?;
    let wanted: Vec<Row> = missing.iter().map(row).collect::<Option<_>>()?;
    let decode = |bytes: &G1Bytes| Option::from(G1Affine::from_compressed(bytes.as_bytes()));
    let points: Vec<G1Affine> = known.iter().map(|(_, it)| decode(it)).collect::<Option<_>>()?;
    let of = |weights: Vec<Scalar>| {
        let sum: G1Projective = points.iter().zip(&weights).map(|(it, weight)| it * weight).sum();
        G1Bytes::new(sum.to_compressed())
    };
    Some(weights(&rows, &wanted)?.into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use conclave_encryption::{PublicKey, SealedBlock, Suite, rehearse};
    use conclave_types::{BlockId, Era, Height, NetworkId};

    use super::*;

    fn key_of(parties: usize) -> (PublicKey, Vec<SecretShare>, Packing) {
        let packing = Packing::for_parties(parties).unwrap();
        let (key, shares) = rehearse(Suite::Packed, packing, Era::ZERO, &[1; 32]).unwrap();
        (PublicKey::new(NetworkId::new([3; 32]), &key).unwrap(), shares, packing)
    }

    fn some(shares: &[SecretShare], count: usize) -> Vec<(u16, &SecretShare)> {
        let mut all: Vec<_> = (0_u16..).zip(shares).collect();
        all.split_off(all.len() - count)
    }

    #[test]
    fn one_value_more_than_may_collude_gives_the_key_and_no_fewer_do() {
        for parties in [4, 7, 16, 31] {
            let (key, shares, packing) = key_of(parties);
            let needed = key_needs(packing);
            let secret = secret_key(packing, &some(&shares, needed)).unwrap();
            assert!(is_secret_of(&secret, key.sealing_key()), "n = {parties}");
            for fewer in 0..needed {
                let found = secret_key(packing, &some(&shares, fewer));
                assert!(!found.is_some_and(|it| is_secret_of(&it, key.sealing_key())), "{fewer}");
            }
            // With a guess in the place of one of them it is another number.
            let mut guessed = some(&shares, needed);
            guessed[0].1 = &shares[0];
            let guessed = secret_key(packing, &guessed).unwrap();
            assert!(!is_secret_of(&guessed, key.sealing_key()), "n = {parties}");
        }
    }

    #[test]
    fn a_sub_batch_is_determined_by_as_many_shares_as_its_filled_slots_say() {
        for (parties, bundles) in [(7, 0), (16, 2), (16, 1), (31, 0), (31, 1), (31, 2)] {
            let (key, shares, packing) = key_of(parties);
            let point = |k: usize| G1Projective::generator() * Scalar::from(k as u64 + 5);
            let us: Vec<_> =
                (0..bundles).map(|k| G1Bytes::new(point(k).to_compressed()).into()).collect();
            let id = BlockId::new([9; 32]);
            let sealed = SealedBlock::new(&key, Height::new(4), id, &us).unwrap();
            let count = sealed.share_count();
            let filled = sealed.opening_range(count - 1..count).len();
            let of = |point: u16| *sealed.share(&shares[usize::from(point)], point).last().unwrap();
            let needed = share_needs(packing, filled);
            let is_full = filled == usize::from(packing.packing());
            assert_eq!(needed == usize::from(packing.quorum()), is_full);
            let known: Vec<_> = (0..u16::try_from(needed).unwrap()).map(|p| (p, of(p))).collect();
            let missing: Vec<u16> = (packing.parties() - 3..packing.parties()).collect();
            let found = shares_of_others(packing, filled, &known, &missing).unwrap();
            let right: Vec<_> = missing.iter().map(|point| of(*point)).collect();
            assert_eq!(found, right, "n = {parties}, {bundles} bundles");
            assert!(shares_of_others(packing, filled, &known[1..], &missing).is_none());
        }
    }
}
