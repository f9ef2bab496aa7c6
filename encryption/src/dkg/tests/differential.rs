//! At ℓ = 1 the sharing is Shamir's with the secret at −2, and the commitments are Feldman's. Here both
//! are written out in their own arithmetic, on the whole polynomial rather than on s and T.

use blstrs::G2Projective;
use group::Group;
use proptest::prelude::*;

use super::*;
use crate::curve::decode_g2;

/// The coefficients of S in the exponent: S(X) = s + (X + 2)·T(X).
fn feldman(dealing: &Dealing) -> Vec<G2Projective> {
    let read = |bytes| G2Projective::from(decode_g2(bytes).unwrap());
    let t: Vec<_> = dealing.coefficients.iter().map(read).collect();
    let mut coefficients = vec![G2Projective::identity(); t.len() + 1];
    for (power, t) in t.iter().enumerate() {
        coefficients[power] += t.double();
        coefficients[power + 1] += t;
    }
    coefficients[0] += read(&dealing.constant);
    coefficients
}

/// Σ aₖ·xᵏ, term by term.
fn evaluate(coefficients: &[G2Projective], x: Scalar) -> G2Projective {
    (0_u64..).zip(coefficients).map(|(k, a)| a * x.pow_vartime([k])).sum()
}

/// Shamir's reconstruction at `at`.
fn shamir(shares: &[(Scalar, Scalar)], at: Scalar) -> Scalar {
    let term = |(x, y): &(Scalar, Scalar)| {
        let others = shares.iter().filter(|(other, _)| other != x);
        others.fold(*y, |y, (other, _)| y * (at - other) * (x - other).invert().unwrap())
    };
    shares.iter().map(term).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_packing_it_is_feldman_and_shamir(
        count in 2_u16..8,
        salt in any::<u8>(),
        skipped in any::<prop::sample::Index>(),
    ) {
        // ℓ = 1 whatever the default is: c = t − 1.
        let holders = Holders::one_each(count.into()).unwrap();
        let quorum = count - (count - 1) / 3;
        let packing = Packing::new(count.into(), quorum - 1).unwrap();
        prop_assert_eq!(packing.packing(), 1);
        let session = Session::fresh(id(1, 0), Suite::Packed, holders, packing).unwrap();
        let (mut dkg, keys) = registered(&session, |_| true);
        let mut sum = vec![G2Projective::identity(); usize::from(quorum)];
        for dealer in 0..count {
            let dealing = dkg.deal(v(dealer), &[salt ^ dealer.to_be_bytes()[1]; 32]).unwrap();
            for (sum, coefficient) in sum.iter_mut().zip(feldman(&dealing)) {
                *sum += coefficient;
            }
            post(&mut dkg, dealing).unwrap();
        }
        let run = Run::finish(dkg, keys);
        let shares: Vec<(Scalar, Scalar)> = run
            .shares
            .iter()
            .map(|(point, share)| (Scalar::from(u64::from(*point) + 1), scalar(share)))
            .collect();
        let raw = run.key().encryption_key();
        for ((x, y), key) in shares.iter().zip(&raw.verification_keys) {
            prop_assert_eq!(evaluate(&sum, *x), G2Projective::generator() * y);
            prop_assert_eq!(G2Projective::from(decode_g2(key).unwrap()), evaluate(&sum, *x));
        }
        // Any t of the shares, around the circle.
        let start = skipped.index(shares.len());
        let some: Vec<_> =
            shares.iter().cycle().skip(start).take(quorum.into()).copied().collect();
        let secret = shamir(&some, -Scalar::from(2));
        let key = G2Projective::generator() * secret;
        prop_assert_eq!(G2Projective::from(decode_g2(&raw.public_key_g2).unwrap()), key);
        prop_assert_eq!(evaluate(&sum, -Scalar::from(2)), key);
    }

    /// c shares go with every key: for any c of them and any other secret there is a polynomial.
    #[test]
    fn c_shares_are_consistent_with_every_key(
        count in 2_u16..20,
        first in any::<prop::sample::Index>(),
        other in any::<[u8; 31]>(),
    ) {
        let packing = Packing::for_parties(count.into()).unwrap();
        let polynomial = SharingPolynomial::random(packing, Secret(Scalar::from(5)), rng(3));
        let start = first.index(count.into());
        let known: Vec<u16> =
            (0..count).cycle().skip(start).take(packing.secrecy().into()).collect();
        let mut wide = [0; 32];
        wide[1..].copy_from_slice(&other);
        let secret = Scalar::from_bytes_be(&wide).unwrap();
        // T′ through (S(x) − sk′)/Z(x) at the c places: it has c coefficients.
        let place = |party: u16| Scalar::from(u64::from(party) + 1);
        let vanishing = |x: Scalar| -> Scalar {
            (2..=packing.packing() + 1).map(|slot| x + Scalar::from(u64::from(slot))).product()
        };
        let t: Vec<(Scalar, Scalar)> = known
            .iter()
            .map(|party| {
                let x = place(*party);
                (x, (polynomial.value(*party).0 - secret) * vanishing(x).invert().unwrap())
            })
            .collect();
        let simulated = |x: Scalar| secret + vanishing(x) * shamir(&t, x);
        for party in &known {
            prop_assert_eq!(simulated(place(*party)), polynomial.value(*party).0);
        }
        for slot in 2..=packing.packing() + 1 {
            prop_assert_eq!(simulated(-Scalar::from(u64::from(slot))), secret);
        }
    }
}
