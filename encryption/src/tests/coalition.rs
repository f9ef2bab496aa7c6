//! What a coalition has: with c points nothing, with c + 1 what the documents say.

use super::*;

/// Where slot s and party j are.
fn slot(number: u16) -> Scalar {
    -Scalar::from(u64::from(number) + 2)
}

fn place(party: u16) -> Scalar {
    Scalar::from(u64::from(party) + 1)
}

/// The product of x − a over these.
fn distance(x: Scalar, from: impl IntoIterator<Item = Scalar>) -> Scalar {
    from.into_iter().map(|at| x - at).product()
}

/// Some coalitions of so many: the first, the last, and every other one around the circle.
fn coalitions(parties: u16, count: u16) -> [Vec<u16>; 3] {
    let step = if parties.is_multiple_of(2) { 3 } else { 2 };
    let around = (0..parties).map(|at| 1 + at * step);
    let (around, last) = (around.map(|at| at % parties), parties - count..parties);
    [(0..count).collect(), last.collect(), around.take(count.into()).collect()]
}

/// The shares of another sharing, of sk + δ, in which these c parties have the shares that they have in this one: S + δ·Q,
/// Q being zero at their places and one at every slot.
fn other_sharing(committee: &Committee, coalition: &[u16], by: Scalar) -> Vec<SecretShare> {
    let packing = committee.key.packing();
    let held = || coalition.iter().map(|party| place(*party));
    let q = |x: Scalar| -> Scalar {
        let of_slot = |own: u16| {
            let others = || (0..packing.packing()).filter(move |other| *other != own).map(slot);
            let below = distance(slot(own), held()) * distance(slot(own), others());
            distance(x, held()) * distance(x, others()) * below.invert().unwrap()
        };
        (0..packing.packing()).map(of_slot).sum()
    };
    assert!((0..packing.packing()).all(|number| q(slot(number)) == Scalar::ONE));
    let share = |(party, share): (u16, &SecretShare)| {
        let value = scalar(share) + by * q(place(party));
        SecretShare::from_bytes(&value.to_bytes_be()).unwrap()
    };
    (0..).zip(&committee.shares).map(share).collect()
}

/// The first step of the proof. Whatever c parties do with their shares of the key, and so with those of blocks, comes
/// out the same under another key: they do not determine it.
fn c_shares_are_those_of_another_key_too(suite: Suite) {
    for parties in [2, 4, 7, 16, 31] {
        let committee = committee(suite, parties);
        let packing = committee.key.packing();
        let us = points(2 * usize::from(packing.packing()));
        let block = committee.block(&us);
        for coalition in coalitions(packing.parties(), packing.secrecy()) {
            let by = Scalar::from(12_345);
            let secret = committee.secret + by;
            let shares = other_sharing(&committee, &coalition, by);
            // It is a sharing, of that key: degree, and the same value at every slot.
            let raw = key_of(suite, packing, Era::ZERO, &secret, &shares);
            let key = PublicKey::new(network(), &raw).expect("another sharing of the same form");
            assert_eq!(secret_of(&shares, packing), secret);
            assert_ne!(key.id(), committee.key.id());
            let mut others = 0;
            for (party, (one, other)) in (0..).zip(committee.shares.iter().zip(&shares)) {
                let same = one.to_bytes() == other.to_bytes();
                assert_eq!(same, coalition.contains(&party), "n = {parties}, party {party}");
                assert_eq!(block.share(one, party) == block.share(other, party), same);
                others += usize::from(!same);
            }
            assert_eq!(others, parties - usize::from(packing.secrecy()));
            // And its quorums open every bundle of the block to another k.
            let sent = (0..packing.quorum())
                .map(|party| (party, block.share(&shares[usize::from(party)], party)));
            let openings = block.combine(&Sent(sent.collect()).list(), 0..block.share_count());
            let expected: Vec<_> = us.iter().map(|u| bytes(point(u) * secret)).collect();
            let found: Vec<_> =
                openings.unwrap()[1..].iter().map(|it| *it.point().unwrap()).collect();
            assert_eq!(found, expected);
        }
    }
}

/// The documented limit, which is why c and not t is the promise: pd_j is S(x_j)·L(x_j)·u with L known, and what c + 1
/// values of S give of sk they give of sk·u in the exponent.
#[test]
fn c_plus_one_shares_open_a_sub_batch_with_a_single_filled_slot() {
    for parties in [4, 16, 31, 64] {
        let committee = committee(Suite::Packed, parties);
        let packing = committee.key.packing();
        let us = points(usize::from(packing.packing()));
        let block = committee.block(&us);
        assert_eq!((block.share_count(), block.opening_range(1..2).len()), (2, 1));
        for coalition in coalitions(packing.parties(), packing.secrecy() + 1) {
            let places: Vec<_> = coalition.iter().map(|party| place(*party)).collect();
            let (mut above, mut below) = (G1Projective::identity(), Scalar::ZERO);
            for (party, x) in coalition.iter().zip(&places) {
                let share = block.share(&committee.shares[usize::from(*party)], *party)[1];
                let empty = || (1..packing.packing()).map(slot);
                let lagrange = distance(*x, empty()) * distance(slot(0), empty()).invert().unwrap();
                // As in `secret_of`.
                let z = distance(*x, (0..packing.packing()).map(slot));
                let others = places.iter().copied().filter(|other| other != x);
                let weight = (z * distance(*x, others)).invert().unwrap();
                above += point(&share) * (weight * lagrange.invert().unwrap());
                below += weight;
            }
            let k = bytes(above * below.invert().unwrap());
            assert_eq!(k, bytes(point(us.last().unwrap()) * committee.secret), "n = {parties}");
            assert!(block.check_range(1..2, &[Opening::Point(k)], &SEED));
        }
    }
}

both_suites! { c_shares_are_those_of_another_key_too }
