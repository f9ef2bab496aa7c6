//! Bundles that open to their seeds, and what can be made of a capsule so that they do not, or not to everyone.

use std::ops::Range;

use conclave_types::{Digest, UndecryptableReason, digest::keccak};

use super::*;
use crate::{
    CapsuleStatement, open_bundle, seal,
    seed::{cipher, exponent, masked},
    verify_capsules,
};

/// A capsule as a client of ill will makes it: any v, any u and any body, with a proof that holds.
struct Odd {
    r: Scalar,
    v: [u8; 32],
    body: Vec<u8>,
}

impl Odd {
    fn seal(self, committee: &Committee) -> Sealed {
        let key = committee.key.sealing_key();
        let mut header = header(7);
        (header.suite, header.key_id) = (Suite::Packed.number(), key.id());
        header.body_bytes = u32::try_from(self.body.len()).unwrap();
        let (r, u) = (Secret(self.r), G1Projective::generator() * self.r);
        let (label, hash) = (header.label(), keccak(&self.body));
        let proof = Capsule::prove(key, (&r, &u), &SEED, (&label, &hash, &self.v));
        let sealed =
            Sealed { header, capsule: [proof.as_slice(), &self.v].concat(), body: self.body };
        let capsule = capsule(&sealed).unwrap();
        let statement = CapsuleStatement { label, body: &sealed.body, capsule: &capsule };
        assert_eq!(verify_capsules(key, &[statement], &SEED), [true], "it is admitted");
        sealed
    }
}

/// The label of what [`Odd`] seals with a body of this length.
fn odd_label(committee: &Committee, body: &[u8]) -> Digest {
    let mut header = header(7);
    (header.suite, header.key_id) = (Suite::Packed.number(), committee.key.id());
    header.body_bytes = u32::try_from(body.len()).unwrap();
    header.label()
}

fn honest(committee: &Committee, count: u8) -> Vec<Sealed> {
    let key = committee.key.sealing_key();
    (0..count).map(|i| seal(key, header(i.into()), &[leg(1, &[i; 40])], rng(i)).unwrap()).collect()
}

fn combined(committee: &Committee, block: &SealedBlock) -> Vec<Opening> {
    let sent = committee.send_all(block);
    let openings = block.combine_checked(&sent.list(), 0..block.share_count(), &SEED);
    let openings = openings.unwrap().expect("right shares give right openings");
    assert!(block.check(&openings, &SEED));
    openings
}

/// A bundle with this r, whose v hides `hidden` under `k`.
fn hiding(committee: &Committee, r: Scalar, hidden: &[u8; 32], k: &G1Bytes) -> Sealed {
    let body = vec![0x5a; 272];
    let u = bytes(G1Projective::generator() * r);
    let v = *masked(hidden, k, &u, &odd_label(committee, &body));
    Odd { r, v, body }.seal(committee)
}

#[test]
fn what_is_sealed_as_it_should_be_opens_to_seeds_and_the_beacon_to_its_point() {
    for parties in [1, 4, 16, 31] {
        let committee = committee(Suite::Packed, parties);
        let sealed = honest(&committee, 9);
        let block = committee.block_with(&sealed);
        let openings = combined(&committee, &block);
        assert!(matches!(openings[0], Opening::Point(_)));
        for (sealed, opening) in sealed.iter().zip(&openings[1..]) {
            let Opening::Seed(seed) = opening else { panic!("{opening:?}") };
            // The page, written out.
            let label = sealed.header.label();
            let r = exponent(committee.key.sealing_key(), seed.as_bytes(), &label);
            let u = capsule(sealed).unwrap().u();
            assert_eq!(bytes(G1Projective::generator() * r), u);
            let k = bytes(point(&u) * committee.secret);
            assert_eq!(masked(seed.as_bytes(), &k, &u, &label)[..], sealed.capsule[224..]);
            let opened = open_bundle(&label, &u, opening, sealed.header.suite, &sealed.body);
            assert!(opened.is_ok());
        }
    }
}

#[test]
fn a_bundle_has_one_opening_in_one_form() {
    let committee = committee(Suite::Packed, 4);
    let sealed = honest(&committee, 4);
    let plain = committee.block_with(&sealed);
    let right = combined(&committee, &plain);
    let ahead = committee.block_with(&sealed).expecting(&[0..2, 2..5], &SEED);
    assert!(ahead.check(&right, &SEED) && ahead.check_ranges(&[(0..2, &right[..2])], &SEED));
    for at in 1..right.len() {
        let u = capsule(&sealed[at - 1]).unwrap().u();
        let k = point(&u) * committee.secret;
        let Opening::Seed(seed) = right[at] else { panic!() };
        let mut wrong: Vec<Opening> = (0..32)
            .map(|byte| {
                let mut bytes = *seed.as_bytes();
                bytes[byte] ^= 1;
                Opening::Seed(SeedBytes::new(bytes))
            })
            .collect();
        // The right point is not its opening, nor is one that is not right.
        wrong.extend(
            [k, k + G1Projective::generator(), k + torsion(3), -k].map(bytes).map(Opening::Point),
        );
        wrong.push(Opening::Point(infinity()));
        wrong.push(right[at % (right.len() - 1) + 1]);
        for opening in wrong {
            let mut openings = right.clone();
            openings[at] = opening;
            for block in [&plain, &ahead] {
                assert!(!block.check(&openings, &SEED), "{opening:?}");
                let parts = [(2..5, &openings[2..]), (0..2, &openings[..2])];
                assert!(!block.check_ranges(&parts, &SEED));
            }
        }
    }
    let mut no_beacon = right;
    no_beacon[0] = Opening::Seed(SeedBytes::ZERO);
    assert!(!plain.check(&no_beacon, &SEED) && !ahead.check(&no_beacon, &SEED));
}

/// v is anything: nobody finds a seed that u follows from, and everybody says so.
#[test]
fn a_bundle_without_a_right_seed_opens_to_its_point_and_to_nothing_else() {
    let committee = committee(Suite::Packed, 4);
    let odd = Odd { r: Scalar::from(77), v: [0x77; 32], body: vec![0x5a; 272] }.seal(&committee);
    let mut sealed = honest(&committee, 3);
    sealed.insert(1, odd);
    let plain = committee.block_with(&sealed);
    let right = combined(&committee, &plain);
    let k = bytes(point(&capsule(&sealed[1]).unwrap().u()) * committee.secret);
    assert_eq!(right[2], Opening::Point(k));
    let label = sealed[1].header.label();
    let u = capsule(&sealed[1]).unwrap().u();
    let opened = open_bundle(&label, &u, &right[2], Suite::Packed.number(), &sealed[1].body);
    assert_eq!(opened, Err(UndecryptableReason::BadCiphertext));
    // Prepared or not, together with seeds or alone.
    let ahead = committee.block_with(&sealed).expecting(&[0..3, 3..5], &SEED);
    for block in [&plain, &ahead] {
        assert!(block.check(&right, &SEED));
        for range in [0..3, 1..4, 2..3, 3..5] {
            assert!(block.check_range(range.clone(), &right[range], &SEED));
        }
        let unmasked = *masked(&[0x77; 32], &k, &u, &label);
        let other = bytes(point(&k) + G1Projective::generator());
        for wrong in [
            Opening::Seed(SeedBytes::new(unmasked)),
            Opening::Seed(SeedBytes::ZERO),
            Opening::Point(other),
            Opening::Point(bytes(point(&k) + torsion(11))),
        ] {
            let mut openings = right.clone();
            openings[2] = wrong;
            assert!(!block.check(&openings, &SEED), "{wrong:?}");
        }
    }
}

/// The sender knows a σ with u = r·g, and hides another one, or hides it under another k: were u all that is asked of a
/// seed, who has σ from the sender would accept what those who combine shares do not find.
#[test]
fn a_seed_that_gives_u_but_is_not_what_the_capsule_hides_is_wrong() {
    let committee = committee(Suite::Packed, 4);
    let label = odd_label(&committee, &[0x5a; 272]);
    let known = [0x13; 32];
    let r = exponent(committee.key.sealing_key(), &known, &label);
    let u = G1Projective::generator() * r;
    let (k, other) = (bytes(u * committee.secret), bytes(u * Scalar::from(3)));
    for sealed in [hiding(&committee, r, &[0x14; 32], &k), hiding(&committee, r, &known, &other)] {
        let block = committee.block_with(std::slice::from_ref(&sealed));
        let right = combined(&committee, &block);
        assert_eq!(right[1], Opening::Point(k));
        assert!(!block.check(&[right[0], Opening::Seed(SeedBytes::new(known))], &SEED));
    }
    // The same seed, hidden as it should be.
    let sealed = hiding(&committee, r, &known, &k);
    let block = committee.block_with(&[sealed]);
    assert_eq!(combined(&committee, &block)[1], Opening::Seed(SeedBytes::new(known)));
}

/// A sender and a validator together: v hides under the k* that a wrong share makes of the others', so that who combines
/// that share finds a seed with u = r·g. It must not be shown to others, for whom it is wrong. Where a share serves
/// several bundles, all of its sub-batch are such.
#[test]
fn a_wrong_share_that_was_agreed_upon_with_the_sender_convinces_nobody() {
    for parties in [4, 16] {
        let committee = committee(Suite::Packed, parties);
        let packing = committee.key.packing();
        let label = odd_label(&committee, &[0x5a; 272]);
        let key = committee.key.sealing_key();
        let shift = G1Projective::generator() * Scalar::from(99);
        // What all of a quorum share, but that of 0 is off by `shift`.
        let send = |block: &SealedBlock| {
            let mut sent = committee.send(block, 0..packing.quorum());
            sent.0[0].1[1] = bytes(point(&sent.0[0].1[1]) + shift);
            sent
        };
        let known: Vec<[u8; 32]> =
            (0..packing.packing()).map(|slot| [0x13 + u8::try_from(slot).unwrap(); 32]).collect();
        let rs: Vec<_> = known.iter().map(|seed| exponent(key, seed, &label)).collect();
        // As many as are in the sub-batch of the beacon.
        let mut sealed = honest(&committee, u8::try_from(packing.packing()).unwrap() - 1);
        let mut us: Vec<_> = sealed.iter().map(|it| capsule(it).unwrap().u()).collect();
        us.extend(rs.iter().map(|r| bytes(G1Projective::generator() * r)));
        let block = committee.block(&us);
        let wrong = block.combine(&send(&block).list(), 1..2).unwrap();
        for ((r, known), wrong) in rs.iter().zip(&known).zip(&wrong) {
            sealed.push(hiding(&committee, *r, known, wrong.point().unwrap()));
        }
        let block = committee.block_with(&sealed);
        let sent = send(&block);
        let found = block.combine(&sent.list(), 1..2).unwrap();
        assert_eq!(found.len(), usize::from(packing.packing()));
        assert_eq!(found, wrong, "r·PK is another point");
        assert_eq!(block.combine_checked(&sent.list(), 1..2, &SEED), Ok(None));
        assert!(!block.check_range(1..2, &found, &SEED));
        assert_eq!(block.blame(&sent.list(), &SEED), [0]);
    }
}

/// The other way round: k* is r·PK for the seed that v hides under it, but u is another point. What else is in the
/// sub-batch the wrong share moves too.
#[test]
fn a_wrong_share_that_leads_to_a_seed_of_another_u_is_blamed() {
    for (parties, slot) in [(4, 0), (16, 0), (16, 1)] {
        let committee = committee(Suite::Packed, parties);
        let packing = committee.key.packing();
        let label = odd_label(&committee, &[0x5a; 272]);
        let known = [0x13; 32];
        let wanted = exponent(committee.key.sealing_key(), &known, &label);
        let wrong_k = point(&committee.raw.public_key) * wanted;
        // `hiding` masks for the u of 77, which is what everybody unmasks for.
        let odd = hiding(&committee, Scalar::from(77), &known, &bytes(wrong_k));
        let u = point(&capsule(&odd).unwrap().u());
        let others = packing.packing() - 1;
        let mut sealed = honest(&committee, u8::try_from(2 * others).unwrap());
        sealed.insert(usize::from(others) + slot, odd);
        let block = committee.block_with(&sealed);
        let mut sent = committee.send(&block, 0..packing.quorum());
        let right = block.combine(&sent.list(), 1..2).unwrap();
        // An error of party 0 comes out at a slot times this: slot s is at −(s + 2), party j at j + 1.
        let at = -Scalar::from(slot as u64 + 2);
        let places = (2..=u64::from(packing.quorum())).map(Scalar::from);
        let lambda: Scalar =
            places.map(|x| (at - x) * (Scalar::ONE - x).invert().unwrap()).product();
        let error = (wrong_k - u * committee.secret) * lambda.invert().unwrap();
        sent.0[0].1[1] = bytes(point(&sent.0[0].1[1]) + error);
        let found = block.combine(&sent.list(), 1..2).unwrap();
        let is_wanted = found[slot] == Opening::Seed(SeedBytes::new(known));
        assert!(is_wanted, "n = {parties}, slot {slot}: that is what the liar wanted");
        assert!(found.iter().zip(&right).all(|(found, right)| found != right));
        assert_eq!(block.combine_checked(&sent.list(), 1..2, &SEED), Ok(None));
        assert_eq!(block.blame(&sent.list(), &SEED), [0]);
        assert!(!block.check_range(1..2, &found, &SEED));
    }
}

#[test]
fn seeds_of_two_bundles_do_not_make_up_for_each_other() {
    let committee = committee(Suite::Packed, 4);
    let label = odd_label(&committee, &[0x5a; 272]);
    let key = committee.key.sealing_key();
    let known = [[0x13; 32], [0x14; 32]];
    let [a, b] = known.map(|seed| exponent(key, &seed, &label));
    // Each hides its seed under r·PK, with a u that is off by as much as the other's, the other way.
    let sealed = [(a, Scalar::ONE, known[0]), (b, -Scalar::ONE, known[1])].map(|(r, by, seed)| {
        let k = bytes(point(&committee.raw.public_key) * r);
        hiding(&committee, r + by, &seed, &k)
    });
    let openings = known.map(|seed| Opening::Seed(SeedBytes::new(seed)));
    let plain = committee.block_with(&sealed);
    let ahead = committee.block_with(&sealed).expecting(std::slice::from_ref(&(1..3)), &SEED);
    for block in [plain, ahead] {
        assert!((0..8).all(|seed| !block.check_range(1..3, &openings, &[seed; 32])));
        assert!(combined(&committee, &block)[1..].iter().all(|it| it.point().is_some()));
    }
}

#[test]
fn a_body_that_its_own_seed_does_not_open_is_undecryptable() {
    let committee = committee(Suite::Packed, 4);
    let body = vec![0x5a; 272];
    let label = odd_label(&committee, &body);
    let known = [0x13; 32];
    let r = exponent(committee.key.sealing_key(), &known, &label);
    let k = bytes(point(&committee.raw.public_key) * r);
    let sealed = hiding(&committee, r, &known, &k);
    let block = committee.block_with(std::slice::from_ref(&sealed));
    let openings = combined(&committee, &block);
    assert_eq!(openings[1], Opening::Seed(SeedBytes::new(known)));
    let u = capsule(&sealed).unwrap().u();
    let opened = open_bundle(&label, &u, &openings[1], Suite::Packed.number(), &sealed.body);
    assert_eq!(opened, Err(UndecryptableReason::BadCiphertext));
}

/// Nothing that is sealed under suite 0x02 has a seed, and none is taken for one.
#[test]
fn the_baseline_opens_to_points_alone() {
    let committee = committee(Suite::Baseline, 4);
    let sealed = honest(&committee, 3);
    let block = committee.block_with(&sealed);
    let openings = combined(&committee, &block);
    assert!(openings.iter().all(|opening| opening.point().is_some()));
    let mut wrong = openings;
    wrong[1] = Opening::Seed(SeedBytes::ZERO);
    assert!(!block.check(&wrong, &SEED));
}

#[test]
fn mask_and_cipher_depend_on_all_that_they_are_bound_to() {
    let [k, u, other] = points(3)[..] else { unreachable!() };
    let (label, another) = (Digest::new([1; 32]), Digest::new([2; 32]));
    let mask = |k: &G1Bytes, u: &G1Bytes, label: &Digest| *masked(&[0; 32], k, u, label);
    let all = [
        mask(&k, &u, &label),
        mask(&other, &u, &label),
        mask(&k, &other, &label),
        mask(&k, &u, &another),
    ];
    let stream = |seed: [u8; 32], u: &G1Bytes, label: &Digest| {
        use chacha20poly1305::{Nonce, aead::Aead as _};
        cipher(&seed, u, label).encrypt(&Nonce::default(), [0; 16].as_slice()).unwrap()
    };
    let streams = [
        stream([1; 32], &u, &label),
        stream([2; 32], &u, &label),
        stream([1; 32], &other, &label),
        stream([1; 32], &u, &another),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    let distinct_streams: std::collections::BTreeSet<_> = streams.iter().collect();
    assert_eq!((distinct.len(), distinct_streams.len()), (4, 4));
    assert_eq!(*masked(&mask(&k, &u, &label), &k, &u, &label), [0; 32]);
}

/// A block of ten, of which `wrong` are sealed so that they have no right seed, and its openings.
fn mixed(committee: &Committee, wrong: u8) -> (Vec<Sealed>, Vec<Opening>) {
    let mut sealed = honest(committee, 10);
    for (at, it) in sealed.iter_mut().take(wrong.into()).enumerate() {
        let r = Scalar::from(1_000 + at as u64);
        *it = hiding(
            committee,
            r,
            &[9; 32],
            &bytes(point(committee.key.sealing_key().public_key()) * r),
        );
    }
    let openings = combined(committee, &committee.block_with(&sealed));
    (sealed, openings)
}

#[test]
fn what_was_added_up_ahead_serves_parts_in_which_some_were_sealed_wrongly() {
    let committee = committee(Suite::Packed, 4);
    let parts = [0..4, 4..11];
    for wrong in [0, 1, 3, 4, 6, 9, 10] {
        let (sealed, right) = mixed(&committee, wrong);
        let points = right.iter().filter(|it| matches!(it, Opening::Point(_))).count();
        assert_eq!(points, usize::from(wrong) + 1, "the beacon's and theirs");
        let ahead = || committee.block_with(&sealed).expecting(&parts, &SEED);
        let given = |of: &[Opening]| parts.clone().map(|part| (part.clone(), of[part].to_vec()));
        let holds = |block: &SealedBlock, of: &[Opening]| {
            let given = given(of);
            let given: Vec<_> =
                given.iter().map(|(part, of)| (part.clone(), of.as_slice())).collect();
            block.check_ranges(&given, &SEED)
        };
        assert!(holds(&ahead(), &right), "{wrong}");
        assert!(
            !holds(&ahead().with_sums_ahead_off(), &right),
            "{wrong}: it is what is compared with"
        );
        for at in 1..right.len() {
            let mut openings = right.clone();
            openings[at] = match &right[at] {
                Opening::Point(k) => Opening::Point(bytes(point(k) + G1Projective::generator())),
                Opening::Seed(_) => right[at % 10 + 1],
            };
            assert_eq!(holds(&ahead(), &openings), openings == right, "{wrong} {at}");
        }
        // Wrong by opposites, in one part and across both.
        let places: Vec<usize> = (1..=wrong.into()).collect();
        if let [one, .., other] = places[..] {
            let mut openings = right.clone();
            for (at, by) in [(one, G1Projective::generator()), (other, -G1Projective::generator())]
            {
                let Opening::Point(k) = &right[at] else { panic!("sealed wrongly") };
                openings[at] = Opening::Point(bytes(point(k) + by));
            }
            assert!(!holds(&ahead(), &openings), "{wrong}");
        }
    }
}

/// A bundle that hides its seed under r·PK as it should, with a u that is off by `by`: whoever is shown the seed sees that it
/// is masked as v, and only the sum over all bundles that u is not r·g.
fn off_by(committee: &Committee, seed: [u8; 32], by: Scalar) -> (Sealed, Opening) {
    let label = odd_label(committee, &[0x5a; 272]);
    let r = exponent(committee.key.sealing_key(), &seed, &label);
    let k = bytes(point(&committee.raw.public_key) * r);
    (hiding(committee, r + by, &seed, &k), Opening::Seed(SeedBytes::new(seed)))
}

/// In one equation: parts that were added up ahead, parts that were not, and of either some that were sealed wrongly. One
/// false seed, wherever it is, and two that are false by opposites, wherever they are, make it fail.
#[test]
fn a_false_seed_is_found_among_parts_that_were_prepared_and_parts_that_were_not() {
    let committee = committee(Suite::Packed, 4);
    let count = 10_usize;
    // The openings of these are points: one in the first part, most in the last, where what was added up ahead is for points.
    let is_pointed = |at: usize| [2, 7, 8].contains(&at);
    let parts = [0..4, 4..8, 8..11];
    let prepared: [&[Range<usize>]; 4] =
        [&[], &parts[..1], &parts[1..], &[parts[0].clone(), parts[2].clone()]];
    let right = |at: usize| honest(&committee, u8::try_from(at).unwrap() + 1).remove(at);
    let pointed = |at: usize| {
        let k = bytes(point(&committee.raw.public_key) * Scalar::from(at as u64 + 500));
        hiding(&committee, Scalar::from(at as u64 + 500), &[9; 32], &k)
    };
    let base: Vec<Sealed> =
        (0..count).map(|at| if is_pointed(at) { pointed(at) } else { right(at) }).collect();
    let verdicts = |falses: &[(usize, Scalar)]| -> Vec<bool> {
        let mut sealed = base.clone();
        let mut shown = Vec::new();
        for (at, by) in falses {
            let seed = [0x40 + u8::try_from(*at).unwrap(); 32];
            let (bundle, opening) = off_by(&committee, seed, *by);
            sealed[*at] = bundle;
            shown.push((*at + 1, opening));
        }
        let mut openings = combined(&committee, &committee.block_with(&sealed));
        for (at, opening) in shown {
            let is_off = openings[at] != opening;
            assert!(is_off, "right shares give its point");
            openings[at] = opening;
        }
        let given: Vec<_> =
            parts.iter().map(|part| (part.clone(), &openings[part.clone()])).collect();
        let verdict = |ahead: &&[Range<usize>]| {
            committee.block_with(&sealed).expecting(ahead, &SEED).check_ranges(&given, &SEED)
        };
        prepared.iter().map(verdict).collect()
    };
    assert_eq!(verdicts(&[]), [true; 4]);
    for at in 0..count {
        assert_eq!(verdicts(&[(at, Scalar::ONE)]), [false; 4], "bundle {at}");
    }
    for (one, other) in [(0, 1), (0, 4), (1, 9), (4, 8), (3, 7), (8, 9)] {
        let opposites = [(one, Scalar::ONE), (other, -Scalar::ONE)];
        assert_eq!(verdicts(&opposites), [false; 4], "bundles {one} and {other}");
    }
}
