use std::{collections::BTreeSet, ops::Range};

use conclave_types::{Digest, digest::Hasher};

use super::*;
use crate::{
    BlockError, CapsulePoint, CombineError, beacon,
    curve::decode_on_curve,
    field::{scalar_of, weights},
    interpolation::{Interpolation, Node},
    open_bundle, seal, shares_alone,
};

/// The naive formula: k = sk·u.
fn expected(committee: &Committee, us: &[G1Bytes]) -> Vec<Opening> {
    us.iter().map(|u| Opening::Point(bytes(point(u) * committee.secret))).collect()
}

/// Some quorums: for few parties all of them, else as many as there are parties, each missing others.
fn quorums(committee: &Committee) -> Vec<Vec<u16>> {
    let parties = committee.key.packing().parties();
    let quorum = committee.quorum();
    if parties <= 7 {
        let sets = (0_u32..1 << parties).filter(|set| set.count_ones() as usize == quorum);
        return sets
            .map(|set| (0..parties).filter(|party| set >> party & 1 == 1).collect())
            .collect();
    }
    // Every fifth party, around the circle: quorums with gaps, in no order.
    let around = |first: u16| (0..parties).map(move |step| (first + step * 5) % parties);
    (0..parties).map(|first| around(first).take(quorum).collect()).collect()
}

fn every_quorum_opens_every_block_to_the_naive_formula(suite: Suite) {
    for parties in [1, 2, 3, 4, 7, 16, 31] {
        let committee = committee(suite, parties);
        let packing = usize::from(committee.key.packing().packing());
        for count in BTreeSet::from([0, 1, 2, packing - 1, packing, 2 * packing + 1]) {
            let us = points(count);
            let block = committee.block(&us);
            assert_eq!(block.opening_count(), count + 1);
            assert_eq!(block.share_count(), (count + 1).div_ceil(packing));
            let sent = committee.send_all(&block);
            let mut beacons = BTreeSet::new();
            for quorum in quorums(&committee) {
                let of_quorum = |party: &u16| (*party, sent.0[usize::from(*party)].1.as_slice());
                let shares: Vec<_> = quorum.iter().map(of_quorum).collect();
                let openings = block.combine(&shares, 0..block.share_count()).unwrap();
                assert_eq!(openings[1..], expected(&committee, &us), "n = {parties}, {quorum:?}");
                assert!(block.check(&openings, &SEED));
                beacons.insert(beacon(&openings[0]));
            }
            assert_eq!(beacons.len(), 1);
        }
    }
}

fn a_full_block_opens(suite: Suite) {
    let us = points(512);
    for (parties, missing) in [(4, 2), (16, 5), (100, 50)] {
        if parties == 100 && suite == Suite::Baseline {
            // Nothing is packed, so it is nine times the work of the other suite and no other code.
            continue;
        }
        let committee = committee(suite, parties);
        let block = committee.block(&us);
        // The last of them first, and none from the middle.
        let quorum = u16::try_from(committee.quorum()).unwrap();
        let present = (0..=quorum).rev().filter(|party| *party != missing);
        let sent = committee.send(&block, present);
        let openings = block.combine(&sent.list(), 0..block.share_count()).unwrap();
        assert_eq!(openings[1..], expected(&committee, &us));
        assert!(block.check(&openings, &SEED));
        assert_eq!(block.blame(&sent.list()[..3], &SEED), Vec::<u16>::new());
    }
}

/// As validators do it: sealed bundles, in parts, each combined by whoever begins with it and checked by the others, who had
/// prepared for that. One wrong opening anywhere is found, in whichever part.
fn a_full_block_of_sealed_bundles_opens_in_parts(suite: Suite) {
    // The baseline seals twenty times as slowly, and packs nothing.
    let (sizes, count) = if suite == Suite::Packed { ([16, 100], 512) } else { ([4, 16], 24) };
    for parties in sizes {
        let committee = committee(suite, parties);
        let key = committee.key.sealing_key();
        let sealed: Vec<_> = (0_u64..count)
            .map(|i| {
                let coins = [i.to_be_bytes().as_slice(), &[0x77; 24]].concat();
                let rng = ChaCha20Rng::from_seed(coins.try_into().unwrap());
                seal(key, header(i), &[leg(i, &i.to_be_bytes())], rng).unwrap()
            })
            .collect();
        let all = committee.block_with(&sealed).share_count();
        let step = all.div_ceil(16);
        let parts: Vec<_> =
            (0..all).step_by(step).map(|start| start..(start + step).min(all)).collect();
        let block = committee.block_with(&sealed).expecting(&parts, &SEED);
        let sent = committee.send(&block, 0..u16::try_from(committee.quorum()).unwrap());
        let opened: Vec<_> = parts
            .iter()
            .map(|part| {
                let openings = block.combine_checked(&sent.list(), part.clone(), &SEED);
                (part.clone(), openings.unwrap().expect("right shares"))
            })
            .collect();
        let given = |opened: &[(Range<usize>, Vec<Opening>)]| {
            let given = opened.iter().map(|(part, openings)| (part.clone(), openings.as_slice()));
            block.check_ranges(&given.collect::<Vec<_>>(), &SEED)
        };
        assert!(given(&opened));
        let openings: Vec<Opening> = opened.iter().flat_map(|(_, it)| it.clone()).collect();
        assert_eq!(openings.len(), sealed.len() + 1);
        assert!(block.check(&openings, &SEED));
        for ((i, sealed), opening) in (0_u64..).zip(&sealed).zip(&openings[1..]) {
            let (label, u) = (sealed.header.label(), capsule(sealed).unwrap().u());
            let legs = open_bundle(&label, &u, opening, suite.number(), &sealed.body);
            assert_eq!(legs, Ok(vec![leg(i, &i.to_be_bytes())]));
        }
        for part in [0, opened.len() / 2, opened.len() - 1] {
            let mut wrong = opened.clone();
            let last = wrong[part].1.last_mut().unwrap();
            *last = openings[1];
            assert_eq!(given(&wrong), openings[1] == *opened[part].1.last().unwrap());
        }
    }
}

fn a_hundred_parties_open_with_coefficients_that_outgrow_integers(suite: Suite) {
    let committee = committee(suite, 100);
    let us = points(10);
    let block = committee.block(&us);
    let sent = committee.send(&block, 33..100);
    let openings = block.combine(&sent.list(), 0..block.share_count()).unwrap();
    assert_eq!(openings[1..], expected(&committee, &us));
    assert!(block.check(&openings, &SEED));
    assert_eq!(block.blame(&sent.list()[..3], &SEED), Vec::<u16>::new());
}

fn sealed_bundles_open_end_to_end_with_a_party_missing_in_each_position(suite: Suite) {
    for parties in [4, 7, 16] {
        let committee = committee(suite, parties);
        let key = committee.key.sealing_key();
        let legs: Vec<Vec<Leg>> = (0..5).map(|i| vec![leg(i.into(), &[i; 40])]).collect();
        let sealed: Vec<_> = (0_u8..)
            .zip(&legs)
            .map(|(i, legs)| seal(key, header(i.into()), legs, rng(i)).unwrap())
            .collect();
        let us: Vec<_> = sealed.iter().map(|s| capsule(s).unwrap().u()).collect();
        let block = committee.block_with(&sealed);
        for missing in 0..committee.key.packing().parties() {
            let present = (0..committee.key.packing().parties()).filter(|party| *party != missing);
            let sent = committee.send(&block, present);
            let openings = block.combine(&sent.list(), 0..block.share_count()).unwrap();
            assert!(block.check(&openings, &SEED));
            for (index, sealed) in sealed.iter().enumerate() {
                let (label, opening) = (sealed.header.label(), &openings[index + 1]);
                let opened = open_bundle(&label, &us[index], opening, suite.number(), &sealed.body);
                assert_eq!(opened.as_ref(), Ok(&legs[index]));
            }
        }
    }
}

#[test]
fn shares_known_before_the_block_are_those_of_the_block_where_one_serves_one_ciphertext() {
    for (suite, parties, are_there) in
        [(Suite::Packed, 4, true), (Suite::Packed, 16, false), (Suite::Baseline, 16, true)]
    {
        let committee = committee(suite, parties);
        let us = points(5);
        let block = committee.block(&us);
        let no_point = CapsulePoint::from(G1Bytes::new([0xff; 48]));
        let asked: Vec<CapsulePoint> =
            us.iter().map(|u| CapsulePoint::from(*u)).chain([no_point]).collect();
        for party in [0, 2] {
            let secret = &committee.shares[usize::from(party)];
            let expected = block.share(secret, party);
            let alone = shares_alone(&committee.key, secret, party, &asked);
            assert_eq!(alone.last(), Some(&None), "of what is no point there is no share");
            let alone = &alone[..us.len()];
            let known: Vec<_> = expected[1..].iter().copied().map(Some).collect();
            assert_eq!(are_there, alone == known, "{suite:?}, n = {parties}");
            assert_eq!(are_there, alone.iter().all(Option::is_some));
            // Whatever is known of it, and of whatever else.
            for ahead in [alone.to_vec(), vec![alone[0], None, alone[2]], [alone, &[None]].concat()]
            {
                assert_eq!(block.share_rest(secret, party, &ahead), expected);
            }
        }
    }
}

#[test]
fn parts_of_a_block_are_combined_and_checked_alone() {
    let committee = committee(Suite::Packed, 16);
    let block = committee.block(&points(6));
    let sent = committee.send_all(&block);
    let all = block.combine(&sent.list(), 0..4).unwrap();
    for (start, end) in [(0, 0), (0, 1), (1, 3), (3, 4), (2, 4), (4, 4)] {
        let part = block.combine(&sent.list(), start..end).unwrap();
        assert_eq!(part, all[block.opening_range(start..end)]);
        assert!(block.check_range(start..end, &part, &SEED));
    }
    let part = block.combine(&sent.list(), 1..2).unwrap();
    assert!(!block.check_range(0..1, &part, &SEED));
    assert!(!block.check_range(1..3, &part, &SEED));
    assert!(!block.check_range(1..5, &part, &SEED));
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let reversed = 3..1;
    assert!(!block.check_range(reversed, &[], &SEED));
}

fn wrong_openings_are_refused_in_every_place(suite: Suite) {
    let committee = committee(suite, 16);
    let us = points(4);
    let block = committee.block(&us);
    let sent = committee.send_all(&block);
    let right = block.combine(&sent.list(), 0..block.share_count()).unwrap();
    assert!(block.check(&right, &SEED));
    for at in 0..right.len() {
        let k = k_of(&right[at]);
        let wrong = [
            bytes(k + G1Projective::generator()),
            bytes(-k),
            bytes(k + torsion(3)),
            bytes(k + torsion(11)),
            infinity(),
            G1Bytes::ZERO,
            G1Bytes::new([0xff; 48]),
        ];
        let wrong = wrong.map(Opening::Point).into_iter();
        let wrong = wrong.chain([right[(at + 1) % right.len()], Opening::Seed(SeedBytes::ZERO)]);
        for opening in wrong {
            let mut openings = right.clone();
            openings[at] = opening;
            assert!(!block.check(&openings, &SEED));
        }
    }
    let mut swapped = right.clone();
    swapped.swap(1, 2);
    assert!(!block.check(&swapped, &SEED));
    assert!(!block.check(&right[1..], &SEED));
    assert!(!block.check(&[right.as_slice(), &right[..1]].concat(), &SEED));
    assert!(!block.check(&[], &SEED));
    // Errors that cancel in a plain sum.
    let shift = G1Projective::generator();
    let mut cancelling = right.clone();
    cancelling[1] = Opening::Point(bytes(k_of(&right[1]) + shift));
    cancelling[2] = Opening::Point(bytes(k_of(&right[2]) - shift));
    assert!((0..8).all(|seed| !block.check(&cancelling, &[seed; 32])));
}

/// Errors made to cancel under the weights that the right openings or shares would have, by somebody who
/// has learnt the seed: the weights depend on what is checked, so the errors move them.
fn weights_that_are_predicted_are_of_no_use(suite: Suite) {
    let committee = committee(suite, 4);
    let block = committee.block(&points(3));
    let sent = committee.send_all(&block);
    let right = block.combine(&sent.list(), 0..block.share_count()).unwrap();
    let cancel = |points: &[G1Bytes], mut transcript: Hasher| {
        for bytes in points {
            transcript.fixed(bytes.as_bytes());
        }
        let weights = weights(transcript.finish(), points.len());
        let inverse = |number: u128| scalar_of(number).invert().unwrap();
        let error = G1Projective::generator();
        let mut wrong = points.to_vec();
        wrong[1] = bytes(point(&points[1]) + error * inverse(weights[1]));
        wrong[2] = bytes(point(&points[2]) - error * inverse(weights[2]));
        // Under those very weights the sum is what it was.
        let sum = |points: &[G1Bytes]| -> G1Projective {
            let scalars = weights.iter().map(|weight| scalar_of(*weight));
            points.iter().zip(scalars).map(|(bytes, weight)| point(bytes) * weight).sum()
        };
        assert_eq!(sum(&wrong), sum(points));
        wrong
    };
    let mut transcript = block.transcript("conclave/opening-weights/v1", &SEED);
    transcript.u64(0).u64(right.len() as u64);
    let points: Vec<_> = right.iter().map(|opening| *opening.point().unwrap()).collect();
    let wrong: Vec<_> = cancel(&points, transcript).into_iter().map(Opening::Point).collect();
    assert!(!block.check(&wrong, &SEED));
    let mut forged = sent.clone();
    let mut transcript = block.transcript("conclave/share-weights/v1", &SEED);
    transcript.u16(2);
    forged.0[2].1 = cancel(&sent.0[2].1, transcript);
    assert_eq!(block.blame(&forged.list(), &SEED), [2]);
}

fn the_pairing_alone_lets_torsion_through_which_is_why_the_subgroup_is_checked(suite: Suite) {
    let committee = committee(suite, 4);
    let u = point(&points(1)[0]);
    for order in [3, 11] {
        let wrong = bytes(u * committee.secret + torsion(order));
        let k = G1Projective::from(decode_on_curve(&wrong).unwrap());
        assert!(committee.key.sealing_key().same_exponent(&k, &u));
    }
}

fn shares_that_are_wrong_are_blamed_on_their_parties_and_on_no_other(suite: Suite) {
    for (parties, step) in [(4, 1), (7, 2), (16, 5)] {
        let committee = committee(suite, parties);
        let block = committee.block(&points(5));
        let honest = committee.send_all(&block);
        assert_eq!(block.blame(&honest.list(), &SEED), Vec::<u16>::new());
        let last = block.share_count() - 1;
        for liar in (0..committee.key.packing().parties()).step_by(step) {
            // Beside the liar some honest parties suffice: each is judged alone.
            let judged = |sent: &Sent| {
                let list = sent.list();
                let near = |at: usize| list[(usize::from(liar) + at) % parties];
                block.blame(&[near(1), near(0), near(2)], &SEED)
            };
            let share = point(&honest.0[usize::from(liar)].1[last]);
            let wrong = [
                bytes(share + G1Projective::generator()),
                bytes(share + torsion(3)),
                bytes(share + torsion(11)),
                infinity(),
                G1Bytes::ZERO,
            ];
            for share in wrong {
                let mut sent = honest.clone();
                sent.0[usize::from(liar)].1[last] = share;
                assert_eq!(judged(&sent), [liar]);
            }
            let mut sent = honest.clone();
            sent.0[usize::from(liar)].1.pop();
            assert_eq!(judged(&sent), [liar]);
            // Those of another party, and those of the same party for another block.
            let mut sent = honest.clone();
            let neighbour = (usize::from(liar) + 1) % parties;
            sent.0[usize::from(liar)].1 = honest.0[neighbour].1.clone();
            assert_eq!(judged(&sent), [liar]);
        }
    }
}

fn a_wrong_share_shows_in_the_openings_and_the_block_opens_without_its_sender(suite: Suite) {
    for order in [None, Some(3), Some(11)] {
        let committee = committee(suite, 7);
        let us = points(3);
        let block = committee.block(&us);
        let mut sent = committee.send_all(&block);
        let error = order.map_or_else(G1Projective::generator, torsion);
        for share in &mut sent.0[2].1 {
            *share = bytes(point(share) + error);
        }
        let openings = block.combine(&sent.list(), 0..block.share_count()).unwrap();
        // A multiple of the point's order as coefficient takes torsion out again; then they are right.
        let right = openings[1..] == expected(&committee, &us);
        assert_eq!(block.check(&openings, &SEED), right);
        assert!(order == Some(3) || !right);
        assert_eq!(block.blame(&sent.list(), &SEED), [2]);
        sent.0.remove(2);
        let openings = block.combine(&sent.list(), 0..block.share_count()).unwrap();
        assert!(block.check(&openings, &SEED));
        assert_eq!(openings[1..], expected(&committee, &us));
    }
}

fn errors_that_would_cancel_within_a_party_are_blamed(suite: Suite) {
    let committee = committee(suite, 4);
    let block = committee.block(&points(3));
    let mut sent = committee.send_all(&block);
    let shares = &mut sent.0[1].1;
    shares[0] = bytes(point(&shares[0]) + G1Projective::generator());
    shares[1] = bytes(point(&shares[1]) - G1Projective::generator());
    assert!((0..8).all(|seed| block.blame(&sent.list(), &[seed; 32]) == [1]));
}

#[test]
fn a_share_that_a_sender_arranged_to_be_infinity_is_nobodys_fault() {
    let committee = committee(Suite::Packed, 16);
    let party = 5_u16;
    // R(x) = L₀(x)·a + L₁(x)·b with slots at −2 and −3: L₀ = x + 3, L₁ = −(x + 2).
    let x = Scalar::from(u64::from(party) + 1);
    let a = G1Projective::generator() * Scalar::from(77);
    let ratio = (x + Scalar::from(3)) * (x + Scalar::from(2)).invert().unwrap();
    let filler = points(1)[0];
    let us = [filler, bytes(a), bytes(a * ratio)];
    let block = committee.block(&us);
    let sent = committee.send_all(&block);
    assert_eq!(sent.0[usize::from(party)].1[1], infinity());
    assert_eq!(block.blame(&sent.list(), &SEED), Vec::<u16>::new());
    for quorum in [0..11, 5..16] {
        let openings = block.combine(&sent.list()[quorum], 0..2).unwrap();
        assert!(block.check(&openings, &SEED));
        assert_eq!(openings[1..], expected(&committee, &us));
    }
}

fn a_u_that_stands_twice_in_a_block_opens_twice(suite: Suite) {
    for parties in [4, 16] {
        let committee = committee(suite, parties);
        let u = points(1)[0];
        let us = [u; 5];
        let block = committee.block(&us);
        let sent = committee.send_all(&block);
        let openings = block.combine(&sent.list(), 0..block.share_count()).unwrap();
        assert!(block.check(&openings, &SEED));
        assert_eq!(openings[1..], expected(&committee, &us));
        assert_eq!(block.blame(&sent.list(), &SEED), Vec::<u16>::new());
    }
}

fn a_block_with_a_u_that_is_no_point_is_refused(suite: Suite) {
    let committee = committee(suite, 4);
    let good = points(3);
    for bad in [infinity(), G1Bytes::ZERO, bytes(point(&good[1]) + torsion(3))] {
        let us = [good[0], bad, good[2]];
        let block = SealedBlock::new(&committee.key, Height::new(1), BlockId::ZERO, &bare(&us));
        assert_eq!(block.unwrap_err(), BlockError::Point { index: 1 });
    }
}

fn lists_that_are_no_quorum_are_refused_with_what_is_wrong(suite: Suite) {
    let committee = committee(suite, 4);
    let block = committee.block(&points(2));
    let sent = committee.send_all(&block);
    let list = sent.list();
    let refuse = |list: &[(u16, &[G1Bytes])], end| block.combine(list, 0..end).unwrap_err();
    assert_eq!(refuse(&list[..2], 3), CombineError::TooFew { expected: 3, found: 2 });
    assert_eq!(refuse(&[], 3), CombineError::TooFew { expected: 3, found: 0 });
    let twice = [list[0], list[1], list[0]];
    assert_eq!(refuse(&twice, 3), CombineError::DuplicateParty { party: 0 });
    let stranger = [list[0], list[1], (4, list[2].1)];
    assert_eq!(refuse(&stranger, 3), CombineError::UnknownParty { party: 4 });
    let short = [list[0], list[1], (2, &list[2].1[..2])];
    let expected = CombineError::ShareCount { party: 2, expected: 3, found: 2 };
    assert_eq!(refuse(&short, 3), expected);
    let expected = CombineError::NoSuchSubBatch { count: 3, start: 0, end: 4 };
    assert_eq!(refuse(&list, 4), expected);
    let garbage = [list[2].1[0], G1Bytes::new([0xff; 48]), list[2].1[2]];
    let bad = [list[0], list[1], (2, garbage.as_slice())];
    assert_eq!(refuse(&bad, 3), CombineError::NotAPoint { party: 2, index: 1 });
}

fn fewer_shares_than_a_quorum_open_nothing_in_a_full_sub_batch(suite: Suite) {
    for parties in [4, 7, 16, 31] {
        let committee = committee(suite, parties);
        let packing = committee.key.packing();
        let us = points(2 * usize::from(packing.packing()));
        let block = committee.block(&us);
        let sent = committee.send_all(&block);
        let right = expected(&committee, &us);
        for count in [packing.secrecy(), packing.quorum() - 1] {
            let nodes: Vec<Node> = (0..count).map(Node::of_party).collect();
            let first = usize::from(packing.packing());
            for slot in 0..packing.packing() {
                let shares: Vec<_> = sent.0[..usize::from(count)]
                    .iter()
                    .map(|(_, shares)| decode_on_curve(&shares[1]).unwrap())
                    .collect();
                let found = Interpolation::new(&nodes, Node::of_slot(slot)).value(&shares);
                let found = Opening::Point(bytes(found));
                assert_ne!(found, right[first - 1 + usize::from(slot)], "n = {parties}");
            }
        }
    }
}

fn the_beacon_is_of_its_network_key_height_and_block(suite: Suite) {
    let committee = committee(suite, 4);
    let beacon_of = |key: &PublicKey, height: u64, block: u8| {
        let block =
            SealedBlock::new(key, Height::new(height), BlockId::new([block; 32]), &[]).unwrap();
        let sent = committee.send(&block, 0..3);
        beacon(&block.combine(&sent.list(), 0..1).unwrap()[0])
    };
    let other_era = EncryptionKey { era: Era::new(1), ..committee.raw.clone() };
    let other_era = PublicKey::new(network(), &other_era).unwrap();
    let fork = PublicKey::new(NetworkId::new([9; 32]), &committee.raw).unwrap();
    let found: BTreeSet<Digest> = [
        beacon_of(&committee.key, 1, 1),
        beacon_of(&committee.key, 2, 1),
        beacon_of(&committee.key, 1, 2),
        beacon_of(&other_era, 1, 1),
        beacon_of(&fork, 1, 1),
    ]
    .into();
    assert_eq!(found.len(), 5);
    assert_eq!(beacon_of(&committee.key, 1, 1), beacon_of(&committee.key, 1, 1));
}

fn openings_of_one_block_are_not_those_of_another(suite: Suite) {
    let committee = committee(suite, 4);
    let us = points(2);
    let block = committee.block(&us);
    let sent = committee.send(&block, 0..3);
    let openings = block.combine(&sent.list(), 0..3).unwrap();
    let other =
        SealedBlock::new(&committee.key, Height::new(6), BlockId::new([0x33; 32]), &bare(&us))
            .unwrap();
    assert!(!other.check(&openings, &SEED));
    assert_eq!(other.blame(&sent.list(), &SEED), [0, 1, 2]);
    // The bundles alone open alike in either: k is a function of u.
    assert!(other.check_range(1..3, &openings[1..], &SEED));
}

both_suites! {
    every_quorum_opens_every_block_to_the_naive_formula,
    a_full_block_opens,
    a_full_block_of_sealed_bundles_opens_in_parts,
    a_hundred_parties_open_with_coefficients_that_outgrow_integers,
    sealed_bundles_open_end_to_end_with_a_party_missing_in_each_position,
    wrong_openings_are_refused_in_every_place,
    weights_that_are_predicted_are_of_no_use,
    the_pairing_alone_lets_torsion_through_which_is_why_the_subgroup_is_checked,
    shares_that_are_wrong_are_blamed_on_their_parties_and_on_no_other,
    a_wrong_share_shows_in_the_openings_and_the_block_opens_without_its_sender,
    errors_that_would_cancel_within_a_party_are_blamed,
    a_u_that_stands_twice_in_a_block_opens_twice,
    a_block_with_a_u_that_is_no_point_is_refused,
    lists_that_are_no_quorum_are_refused_with_what_is_wrong,
    fewer_shares_than_a_quorum_open_nothing_in_a_full_sub_batch,
    the_beacon_is_of_its_network_key_height_and_block,
    openings_of_one_block_are_not_those_of_another,
}
