use conclave_types::{Digest, SIZE_BUCKETS, UndecryptableReason, digest::keccak};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::{
    BlockError, Capsule, CapsuleError, CapsuleStatement, SealError, Sealed, SealingKey, Suite,
    capsule::{challenge, proof_weights},
    curve::decode_on_curve,
    field::scalar_of,
    open_bundle, seal,
    seal::{encode_legs, seal_plaintext},
    seed::{cipher, exponent, masked},
    verify_capsules,
};

fn sealed(committee: &Committee, sequence: u8) -> Sealed {
    let legs = [leg(1, b"first"), leg(2, &[7; 300])];
    seal(committee.key.sealing_key(), header(sequence.into()), &legs, rng(sequence)).unwrap()
}

/// Whether a bundle is as its sealer made it: what admission asks.
fn accepts(key: &SealingKey, sealed: &Sealed) -> bool {
    let Ok(capsule) = capsule(sealed) else { return false };
    let statement =
        CapsuleStatement { label: sealed.header.label(), body: &sealed.body, capsule: &capsule };
    verify_capsules(key, &[statement], &SEED) == [true]
}

/// The opening of a bundle, by the secret key.
fn opening(committee: &Committee, sealed: &Sealed) -> Opening {
    let u = capsule(sealed).unwrap().u();
    let k = bytes(point(&u) * committee.secret);
    let label = sealed.header.label();
    if sealed.header.suite == Suite::Baseline.number() {
        return Opening::Point(k);
    }
    // By the page: the seed that k unmasks, if u is what follows from it.
    let v: [u8; 32] = sealed.capsule[224..].try_into().unwrap();
    let seed = masked(&v, &k, &u, &label);
    let r = exponent(committee.key.sealing_key(), &seed, &label);
    let is_right = bytes(G1Projective::generator() * r) == u;
    if is_right { Opening::Seed(SeedBytes::new(*seed)) } else { Opening::Point(k) }
}

fn open(committee: &Committee, sealed: &Sealed) -> Result<Vec<Leg>, UndecryptableReason> {
    let u = capsule(sealed).unwrap().u();
    let (label, opening) = (sealed.header.label(), opening(committee, sealed));
    open_bundle(&label, &u, &opening, sealed.header.suite, &sealed.body)
}

fn a_sealed_bundle_is_accepted_and_opens_to_its_legs(suite: Suite) {
    let committee = committee(suite, 4);
    let sealed = sealed(&committee, 0);
    assert_eq!(sealed.header.suite, suite.number());
    assert_eq!(sealed.header.key_id, committee.key.id());
    assert_eq!(sealed.header.body_bytes, 512 + 16);
    assert_eq!(sealed.body.len(), 512 + 16);
    assert!(accepts(committee.key.sealing_key(), &sealed));
    assert_eq!(open(&committee, &sealed), Ok(vec![leg(1, b"first"), leg(2, &[7; 300])]));
}

fn every_bucket_is_used_up_to_its_last_byte(suite: Suite) {
    let committee = committee(suite, 4);
    for bucket in SIZE_BUCKETS {
        // One leg is framed by 4 + 8 + 4 bytes.
        let largest = leg(1, &vec![1; bucket as usize - 16]);
        let key = committee.key.sealing_key();
        let sealed = seal(key, header(0), std::slice::from_ref(&largest), rng(1)).unwrap();
        assert_eq!(sealed.header.body_bytes, bucket + 16);
        assert_eq!(open(&committee, &sealed), Ok(vec![largest]));
    }
}

fn what_cannot_be_sealed_is_refused(suite: Suite) {
    let key = committee(suite, 4).key;
    let key = key.sealing_key();
    assert_eq!(seal(key, header(0), &[], rng(1)), Err(SealError::NoLegs));
    let large = leg(1, &vec![1; 131_072 - 15]);
    assert_eq!(seal(key, header(0), &[large], rng(1)), Err(SealError::TooLarge { found: 131_073 }));
    let found = NetworkId::new([9; 32]);
    let foreign = BundleHeader { network: found, ..header(0) };
    let expected = SealError::Network { expected: network(), found };
    assert_eq!(seal(key, foreign, &[leg(1, b"x")], rng(1)), Err(expected));
}

fn a_generator_that_repeats_itself_does_not_repeat_the_exponent(suite: Suite) {
    let key = committee(suite, 4).key;
    let of = |header, bytes: &[u8]| {
        seal(key.sealing_key(), header, &[leg(1, bytes)], rng(1)).unwrap().capsule[..48].to_vec()
    };
    assert_eq!(of(header(0), b"a"), of(header(0), b"a"));
    assert_ne!(of(header(0), b"a"), of(header(0), b"b"));
    assert_ne!(of(header(0), b"a"), of(header(1), b"a"));
}

fn a_capsule_with_any_byte_changed_is_refused(suite: Suite) {
    let committee = committee(suite, 4);
    let sealed = sealed(&committee, 0);
    for at in 0..Capsule::length(suite) {
        let mut mauled = sealed.clone();
        mauled.capsule[at] ^= 0x01;
        assert!(!accepts(committee.key.sealing_key(), &mauled), "byte {at}");
    }
}

fn every_part_of_a_proof_is_needed(suite: Suite) {
    let committee = committee(suite, 4);
    let sealed = sealed(&committee, 0);
    let other = self::sealed(&committee, 1);
    for (part, range) in [
        ("u", 0..48),
        ("ū", 48..96),
        ("w", 96..144),
        ("w̄", 144..192),
        ("z", 192..224),
        ("u, ū", 0..96),
        ("proof", 96..224),
    ] {
        let mut mixed = sealed.clone();
        mixed.capsule[range.clone()].copy_from_slice(&other.capsule[range]);
        assert!(!accepts(committee.key.sealing_key(), &mixed), "{part} of another bundle");
    }
}

/// A false statement, u and ū having different logarithms, proved by whoever may choose some of the
/// points after the challenge.
fn a_proof_made_backwards_is_refused(suite: Suite) {
    let committee = committee(suite, 4);
    let key = committee.key.sealing_key();
    let honest = sealed(&committee, 0);
    let (label, body_hash) = (honest.header.label(), keccak(&honest.body));
    let (g, h) = (G1Projective::generator(), *key.proof_base());
    let (z, a, b) = (Scalar::from(1_001), Scalar::from(1_003), Scalar::from(1_007));
    let join = |points: [G1Projective; 4]| points.map(|point| point.to_compressed()).concat();
    let placeholder = g * Scalar::from(5);
    let masked = if suite == Suite::Packed { &honest.capsule[224..] } else { &[] };
    let after =
        |points: [G1Projective; 4]| challenge(key, &label, &body_hash, (&join(points), masked));

    let (u, u_bar) = (g * a, h * b);
    let e = after([u, u_bar, placeholder, placeholder]);
    let commitments_last = [u, u_bar, g * z - u * e, h * z - u_bar * e];

    let (w, w_bar) = (g * a, h * b);
    let e = after([placeholder, placeholder, w, w_bar]);
    let inverse = e.invert().unwrap();
    let statement_last = [(g * z - w) * inverse, (h * z - w_bar) * inverse, w, w_bar];

    for points in [commitments_last, statement_last] {
        let capsule = [join(points), z.to_bytes_be().to_vec()].concat();
        let capsule = [capsule.as_slice(), &honest.capsule[224..]].concat();
        let forged = Sealed { capsule, ..honest.clone() };
        assert!(self::capsule(&forged).is_ok());
        assert!(!accepts(key, &forged));
    }
}

fn a_changed_body_is_refused(suite: Suite) {
    let committee = committee(suite, 4);
    let sealed = sealed(&committee, 0);
    for at in [0, 100, sealed.body.len() - 1] {
        let mut mauled = sealed.clone();
        mauled.body[at] ^= 0x80;
        assert!(!accepts(committee.key.sealing_key(), &mauled));
        assert_eq!(open(&committee, &mauled), Err(UndecryptableReason::BadCiphertext));
    }
}

fn a_ciphertext_is_worth_nothing_under_another_header(suite: Suite) {
    let committee = committee(suite, 4);
    let sealed = sealed(&committee, 0);
    type Change = fn(&mut BundleHeader);
    let thefts: [(&str, Change); 9] = [
        ("payer", |header| header.payer = PayerAddress::new([0x66; 20])),
        ("lane", |header| header.nonce.lane += 1),
        ("sequence", |header| header.nonce.sequence += 1),
        ("max fee", |header| header.max_fee = Gwei::new(1)),
        ("priority fee", |header| header.priority_fee = Gwei::new(1)),
        ("valid until", |header| header.valid_until = Height::new(1)),
        ("network", |header| header.network = NetworkId::new([9; 32])),
        ("key id", |header| header.key_id = KeyId::ZERO),
        ("length", |header| header.body_bytes += 1),
    ];
    for (field, change) in thefts {
        let mut stolen = sealed.clone();
        change(&mut stolen.header);
        assert!(!accepts(committee.key.sealing_key(), &stolen), "{field}");
        let opened = open(&committee, &stolen);
        assert_eq!(opened, Err(UndecryptableReason::BadCiphertext), "{field}");
    }
}

fn a_proof_does_not_hold_under_another_key_id_or_network(suite: Suite) {
    let committee = committee(suite, 4);
    let sealed = sealed(&committee, 0);
    let (pk, pk_g2) = (committee.raw.public_key, committee.raw.public_key_g2);
    let later_era = SealingKey::new(network(), suite.number(), Era::new(1), pk, pk_g2).unwrap();
    assert!(!accepts(&later_era, &sealed));
    let fork =
        SealingKey::new(NetworkId::new([9; 32]), suite.number(), Era::ZERO, pk, pk_g2).unwrap();
    assert!(!accepts(&fork, &sealed));
}

fn wrong_proofs_are_found_alone_wherever_they_are(suite: Suite) {
    let committee = committee(suite, 4);
    let key = committee.key.sealing_key();
    let sealed: Vec<Sealed> = (0..7).map(|sequence| sealed(&committee, sequence)).collect();
    let capsules: Vec<Capsule> = sealed.iter().map(|sealed| capsule(sealed).unwrap()).collect();
    let statements = |wrong: &[usize]| -> Vec<CapsuleStatement<'_>> {
        let each = sealed.iter().zip(&capsules).enumerate();
        each.map(|(index, (sealed, capsule))| CapsuleStatement {
            label: if wrong.contains(&index) { Digest::ZERO } else { sealed.header.label() },
            body: &sealed.body,
            capsule,
        })
        .collect()
    };
    let sets: [&[usize]; 11] = [
        &[],
        &[0],
        &[1],
        &[2],
        &[3],
        &[4],
        &[5],
        &[6],
        &[0, 6],
        &[1, 2, 5],
        &[0, 1, 2, 3, 4, 5, 6],
    ];
    for wrong in sets {
        let expected: Vec<bool> = (0..7).map(|index| !wrong.contains(&index)).collect();
        assert_eq!(verify_capsules(key, &statements(wrong), &SEED), expected);
    }
    assert_eq!(verify_capsules(key, &[], &SEED), Vec::<bool>::new());
}

fn errors_that_would_cancel_without_weights_are_found(suite: Suite) {
    let committee = committee(suite, 4);
    let mut pair = [sealed(&committee, 0), sealed(&committee, 1)];
    let shift = Scalar::from(12_345);
    for (sealed, shift) in pair.iter_mut().zip([shift, -shift]) {
        let z: [u8; 32] = sealed.capsule[192..224].try_into().unwrap();
        let z = Scalar::from_bytes_be(&z).unwrap() + shift;
        sealed.capsule[192..224].copy_from_slice(&z.to_bytes_be());
    }
    let capsules = pair.each_ref().map(|sealed| capsule(sealed).unwrap());
    let statements = [0, 1].map(|index| CapsuleStatement {
        label: pair[index].header.label(),
        body: &pair[index].body,
        capsule: &capsules[index],
    });
    for seed in 0..8 {
        assert_eq!(
            verify_capsules(committee.key.sealing_key(), &statements, &[seed; 32]),
            [false, false]
        );
    }
}

/// Responses that are wrong, made to cancel in both equations under the weights that the right ones would have, by
/// somebody who has learnt the seed.
fn weights_of_proofs_that_are_predicted_are_of_no_use(suite: Suite) {
    let committee = committee(suite, 4);
    let key = committee.key.sealing_key();
    let mut all = [0, 1, 2].map(|sequence| sealed(&committee, sequence));
    let capsules = all.each_ref().map(|sealed| capsule(sealed).unwrap());
    let statements = [0, 1, 2].map(|at: usize| CapsuleStatement {
        label: all[at].header.label(),
        body: &all[at].body,
        capsule: &capsules[at],
    });
    let hashes = all.each_ref().map(|sealed| keccak(&sealed.body));
    let weights = proof_weights(key, &statements, &hashes, &SEED);
    // ρ₁x + ρ₂y + ρ₃ = 0 and σ₁x + σ₂y + σ₃ = 0.
    let rho = [0, 2, 4].map(|at: usize| scalar_of(weights[at]));
    let sigma = [1, 3, 5].map(|at: usize| scalar_of(weights[at]));
    let minor = |a: usize, b: usize| rho[a] * sigma[b] - rho[b] * sigma[a];
    let inverse = minor(0, 1).invert().unwrap();
    let shifts = [minor(1, 2) * inverse, minor(2, 0) * inverse, Scalar::ONE];
    for of in [rho, sigma] {
        let sum: Scalar = of.iter().zip(&shifts).map(|(weight, shift)| weight * shift).sum();
        assert_eq!(sum, Scalar::ZERO);
    }
    for (sealed, shift) in all.iter_mut().zip(shifts) {
        let z: [u8; 32] = sealed.capsule[192..224].try_into().unwrap();
        let z = Scalar::from_bytes_be(&z).unwrap() + shift;
        sealed.capsule[192..224].copy_from_slice(&z.to_bytes_be());
    }
    let capsules = all.each_ref().map(|sealed| capsule(sealed).unwrap());
    let statements = [0, 1, 2].map(|at: usize| CapsuleStatement {
        label: all[at].header.label(),
        body: &all[at].body,
        capsule: &capsules[at],
    });
    assert_eq!(verify_capsules(key, &statements, &SEED), [false; 3]);
}

fn capsules_of_the_wrong_length_are_refused(suite: Suite) {
    let committee = committee(suite, 4);
    let capsule = sealed(&committee, 0).capsule;
    let expected = Capsule::length(suite);
    assert_eq!(expected, capsule.len());
    for found in [0, 47, 48, 192, 223, 224, expected - 1] {
        let error = CapsuleError::Length { expected, found };
        assert_eq!(Capsule::decode(suite, &capsule[..found]), Err(error));
    }
    for extra in [1, 31, 32, 48, 1_000] {
        let longer = [capsule.as_slice(), &vec![0; extra]].concat();
        let error = CapsuleError::Length { expected, found: expected + extra };
        assert_eq!(Capsule::decode(suite, &longer), Err(error));
    }
}

fn points_that_are_none_are_refused_in_every_part_of_a_capsule(suite: Suite) {
    let committee = committee(suite, 4);
    let capsule = sealed(&committee, 0).capsule;
    let off_curve = {
        // x = 1 has no y: 1 + 4 is no square.
        let mut bytes = [0; 48];
        (bytes[0], bytes[47]) = (0x80, 1);
        bytes
    };
    for (name, start) in [("u", 0), ("ū", 48), ("w", 96), ("w̄", 144)] {
        let part: [u8; 48] = capsule[start..start + 48].try_into().unwrap();
        let part = point(&G1Bytes::new(part));
        let mut bad = vec![off_curve, [0; 48], [0xff; 48]];
        // Not in the subgroup, the torsion being of a small order. What secrets never multiply may lie outside.
        let outside = [3, 11].map(|order| (part + torsion(order)).to_compressed());
        if name == "u" {
            bad.extend(outside);
        } else {
            for bytes in outside {
                let mut mauled = capsule.clone();
                mauled[start..start + 48].copy_from_slice(&bytes);
                assert!(Capsule::decode(suite, &mauled).is_ok());
            }
        }
        // Infinity with a stray bit.
        let mut stray = *infinity().as_bytes();
        stray[47] = 1;
        bad.push(stray);
        if start < 96 {
            bad.push(*infinity().as_bytes());
        }
        for bytes in bad {
            let mut mauled = capsule.clone();
            mauled[start..start + 48].copy_from_slice(&bytes);
            assert_eq!(Capsule::decode(suite, &mauled), Err(CapsuleError::Point(name)));
        }
    }
    let mut mauled = capsule;
    mauled[192..224].fill(0xff);
    assert_eq!(Capsule::decode(suite, &mauled), Err(CapsuleError::Scalar));
}

fn a_proof_with_commitments_at_infinity_is_judged_like_any_other(suite: Suite) {
    let committee = committee(suite, 4);
    let mut sealed = sealed(&committee, 0);
    sealed.capsule[96..144].copy_from_slice(infinity().as_bytes());
    sealed.capsule[144..192].copy_from_slice(infinity().as_bytes());
    assert!(capsule(&sealed).is_ok());
    assert!(!accepts(committee.key.sealing_key(), &sealed));
}

/// The capsule of another ciphertext with points of small order added to ū, w and w̄, proved again over those.
fn with_torsion(committee: &Committee, sealed: &Sealed, added: [G1Projective; 3]) -> Sealed {
    with_nonce(committee, sealed, Scalar::from(0x5a5a), added)
}

/// The same with a nonce that may be zero, so that what is added is all that there is of w and w̄.
fn with_nonce(
    committee: &Committee,
    sealed: &Sealed,
    n: Scalar,
    added: [G1Projective; 3],
) -> Sealed {
    let key = committee.key.sealing_key();
    let r = Scalar::from(0xa5a5);
    let (g, h) = (G1Projective::generator(), key.proof_base());
    let [in_u_bar, in_w, in_w_bar] = added;
    let points = [g * r, h * r + in_u_bar, g * n + in_w, h * n + in_w_bar];
    let points: Vec<u8> = points.iter().flat_map(|point| point.to_compressed()).collect();
    let body_hash = keccak(&sealed.body);
    let proved = (points.as_slice(), &sealed.capsule[224..]);
    let z = n + challenge(key, &sealed.header.label(), &body_hash, proved) * r;
    let mut odd = sealed.clone();
    odd.capsule[..192].copy_from_slice(&points);
    odd.capsule[192..224].copy_from_slice(&z.to_bytes_be());
    odd
}

#[test]
fn what_a_proof_says_is_judged_without_parts_of_small_order_alone_and_among_others() {
    let committee = committee(Suite::Packed, 4);
    let key = committee.key.sealing_key();
    let (zero, three, eleven) = (G1Projective::identity(), torsion(3), torsion(11));
    let combinations = [
        [zero, zero, zero],
        [three, zero, zero],
        [zero, eleven, zero],
        [zero, zero, three],
        [three, three + eleven, -three],
        [eleven, -three, eleven + eleven],
    ];
    let honest = sealed(&committee, 0);
    let odd = combinations.map(|added| with_torsion(&committee, &honest, added));
    for sealed in &odd {
        assert!(accepts(key, sealed), "a rule that a batch cannot keep is no rule");
    }
    // The same parts do not hide what is wrong.
    let mut wrong = odd.clone();
    for sealed in &mut wrong {
        sealed.capsule[223] ^= 1;
        assert!(!accepts(key, sealed));
    }
    let all: Vec<Sealed> = odd.iter().chain(&wrong).chain([&honest]).cloned().collect();
    for seed in 0..8 {
        let verdicts = verdicts(key, &all, seed);
        let expected = [[true; 6].as_slice(), &[false; 6], &[true]].concat();
        assert_eq!(verdicts, expected, "seed {seed}");
    }
}

/// Verdicts on all of these in one batch.
fn verdicts(key: &SealingKey, all: &[Sealed], seed: u8) -> Vec<bool> {
    let capsules: Vec<_> = all.iter().map(|sealed| capsule(sealed).unwrap()).collect();
    let pairs = all.iter().zip(&capsules);
    let statements: Vec<_> = pairs
        .map(|(sealed, capsule)| CapsuleStatement {
            label: sealed.header.label(),
            body: &sealed.body,
            capsule,
        })
        .collect();
    verify_capsules(key, &statements, &[seed; 32])
}

/// Somebody else's u with ū of small order, and commitments that hold if u and ū are left out of the sum: what a table
/// of multiples spoilt by infinity would do.
fn forged(committee: &Committee, victim: &Sealed, u_bar: G1Projective) -> Sealed {
    let key = committee.key.sealing_key();
    let z = Scalar::from(0x7777);
    let mut forged = victim.clone();
    forged.capsule[48..96].copy_from_slice(&u_bar.to_compressed());
    forged.capsule[96..144].copy_from_slice(&(G1Projective::generator() * z).to_compressed());
    forged.capsule[144..192].copy_from_slice(&(key.proof_base() * z).to_compressed());
    forged.capsule[192..224].copy_from_slice(&z.to_bytes_be());
    forged
}

#[test]
fn points_of_small_order_alone_neither_help_a_forger_nor_spoil_the_proofs_beside_them() {
    let committee = committee(Suite::Packed, 4);
    let key = committee.key.sealing_key();
    let honest: Vec<_> = (0..15).map(|i| sealed(&committee, i)).collect();
    let zero = G1Projective::identity();
    let eleven = torsion(11);
    let orders = (1..=5).map(|times| (0..times).fold(zero, |sum, _| sum + eleven));
    let pure = orders.chain([torsion(10_177), torsion(11) + torsion(10_177)]);
    for point in pure {
        let forged = forged(&committee, &honest[0], point);
        let odd = with_nonce(&committee, &honest[0], Scalar::ZERO, [zero, point, -point]);
        for seed in 0..24 {
            assert_eq!(verdicts(key, std::slice::from_ref(&forged), seed), [false]);
            assert_eq!(verdicts(key, std::slice::from_ref(&odd), seed), [true]);
        }
        // Beside few others, and beside so many that sums are made in another way.
        for count in [1, 6, 14, 15] {
            let beside = || honest[..count].iter().cloned();
            let all: Vec<_> = beside().chain([forged.clone(), odd.clone()]).collect();
            let expected = [vec![true; count], vec![false, true]].concat();
            for seed in 0..4 {
                assert_eq!(verdicts(key, &all, seed), expected, "{count} others, seed {seed}");
            }
        }
    }
}

#[test]
fn points_of_order_three_alone_are_refused_wherever_they_stand() {
    let committee = committee(Suite::Packed, 4);
    let sealed = sealed(&committee, 0);
    for point in [torsion(3), -torsion(3)] {
        assert_eq!(G1Affine::from(point).to_compressed()[1..], [0; 47], "x = 0");
        for (name, start) in [("u", 0), ("ū", 48), ("w", 96), ("w̄", 144)] {
            let mut odd = sealed.clone();
            odd.capsule[start..start + 48].copy_from_slice(&point.to_compressed());
            assert_eq!(capsule(&odd), Err(CapsuleError::Point(name)));
        }
        assert_eq!(decode_on_curve(&bytes(point)), None);
        assert!(decode_on_curve(&bytes(point + torsion(11))).is_some());
    }
    assert!(decode_on_curve(&infinity()).is_some());
}

#[test]
fn a_point_that_was_admitted_gives_the_shares_that_its_bytes_give() {
    let committee = committee(Suite::Packed, 16);
    let sealed: Vec<_> = (0..5).map(|i| capsule(&sealed(&committee, i)).unwrap()).collect();
    let (height, block) = (Height::new(5), BlockId::new([0x33; 32]));
    let of_bytes = bare(&sealed.iter().map(Capsule::u).collect::<Vec<_>>());
    let admitted: Vec<_> = sealed.iter().map(|it| it.encapsulation(&Digest::ZERO)).collect();
    let share = |bundles: &[Encapsulation]| {
        let block = SealedBlock::new(&committee.key, height, block, bundles).unwrap();
        block.share(&committee.shares[3], 3)
    };
    assert_eq!(share(&admitted), share(&of_bytes));
    let outside = Encapsulation::from(bytes(point(&sealed[0].u()) + torsion(3)));
    assert_eq!(
        SealedBlock::new(&committee.key, height, block, &[admitted[0], outside]).map(|_| ()),
        Err(BlockError::Point { index: 1 }),
        "what was not admitted is checked before a secret multiplies it"
    );
}

fn plaintexts_that_are_not_canonical_are_undecryptable_for_everyone(suite: Suite) {
    use UndecryptableReason::{BadEncoding, NoLegs};
    let committee = committee(suite, 4);
    let legs = encode_legs(&[leg(1, b"x")]).unwrap();
    let padded = |bytes: &[u8], last: u8| {
        let mut bytes = bytes.to_vec();
        bytes.resize(256, 0);
        bytes[255] = last;
        bytes
    };
    let cases = [
        ("stray padding", padded(&legs, 1), BadEncoding),
        ("a second list", padded(&[legs.as_slice(), &legs].concat(), 0), BadEncoding),
        ("no legs", padded(&[], 0), NoLegs),
        ("more legs than bytes", padded(&[0xff; 4], 0), BadEncoding),
        (
            "a leg longer than the rest",
            padded(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], 0),
            BadEncoding,
        ),
        ("noise", vec![0xa5; 256], BadEncoding),
    ];
    for (name, plaintext, expected) in cases {
        let key = committee.key.sealing_key();
        let sealed = seal_plaintext(key, header(0), Zeroizing::new(plaintext), &SEED).unwrap();
        // The proof is sound: nothing but the opening shows it.
        assert!(accepts(key, &sealed), "{name}");
        assert_eq!(open(&committee, &sealed), Err(expected), "{name}");
    }
}

#[test]
fn a_plaintext_between_two_buckets_is_undecryptable() {
    let suite = Suite::Packed;
    use chacha20poly1305::{
        Nonce,
        aead::{Aead as _, Payload},
    };
    let committee = committee(suite, 4);
    let sealed = sealed(&committee, 0);
    let u = capsule(&sealed).unwrap().u();
    let (label, opening) = (sealed.header.label(), opening(&committee, &sealed));
    for length in [5, 16, 255, 257, 131_073] {
        let mut plaintext = encode_legs(&[leg(1, b"")]).unwrap().to_vec();
        plaintext.resize(length, 0);
        let payload = Payload { msg: &plaintext, aad: label.as_bytes() };
        let Opening::Seed(seed) = opening else { panic!("it was sealed as it should be") };
        let body = cipher(seed.as_bytes(), &u, &label).encrypt(&Nonce::default(), payload).unwrap();
        let opened = open_bundle(&label, &u, &opening, suite.number(), &body);
        assert_eq!(opened, Err(UndecryptableReason::BadEncoding), "{length}");
    }
}

fn a_body_opens_under_its_own_opening_label_u_and_suite_only(suite: Suite) {
    let committee = committee(suite, 4);
    let sealed = sealed(&committee, 0);
    let u = capsule(&sealed).unwrap().u();
    let (label, right) = (sealed.header.label(), opening(&committee, &sealed));
    let other = points(1)[0];
    let bad = Err(UndecryptableReason::BadCiphertext);
    let number = suite.number();
    let k = bytes(point(&u) * committee.secret);
    for wrong in [Opening::Point(other), Opening::Point(k), Opening::Seed(SeedBytes::ZERO)] {
        let opened = open_bundle(&label, &u, &wrong, number, &sealed.body);
        assert_eq!(wrong != right, opened == bad, "{wrong:?}");
    }
    assert_eq!(open_bundle(&Digest::ZERO, &u, &right, number, &sealed.body), bad);
    for wrong in [0, 3 - number, 3, 0xff] {
        assert_eq!(open_bundle(&label, &u, &right, wrong, &sealed.body), bad);
    }
    // The baseline's stream depends on k alone.
    if suite == Suite::Packed {
        assert_eq!(open_bundle(&label, &other, &right, number, &sealed.body), bad);
    }
    for length in [0, 1, 15, 16, 17] {
        assert_eq!(open_bundle(&label, &u, &right, number, &sealed.body[..length]), bad);
    }
}

both_suites! {
    a_sealed_bundle_is_accepted_and_opens_to_its_legs,
    every_bucket_is_used_up_to_its_last_byte,
    what_cannot_be_sealed_is_refused,
    a_generator_that_repeats_itself_does_not_repeat_the_exponent,
    a_capsule_with_any_byte_changed_is_refused,
    every_part_of_a_proof_is_needed,
    a_proof_made_backwards_is_refused,
    a_changed_body_is_refused,
    a_ciphertext_is_worth_nothing_under_another_header,
    a_proof_does_not_hold_under_another_key_id_or_network,
    wrong_proofs_are_found_alone_wherever_they_are,
    errors_that_would_cancel_without_weights_are_found,
    weights_of_proofs_that_are_predicted_are_of_no_use,
    capsules_of_the_wrong_length_are_refused,
    points_that_are_none_are_refused_in_every_part_of_a_capsule,
    a_proof_with_commitments_at_infinity_is_judged_like_any_other,
    plaintexts_that_are_not_canonical_are_undecryptable_for_everyone,
    a_body_opens_under_its_own_opening_label_u_and_suite_only,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_legs_come_back(
        legs in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..600)), 1..6),
        seed in any::<u8>(),
        suite in prop::sample::select(Suite::ALL.to_vec()),
    ) {
        let committee = committee(suite, 4);
        let legs: Vec<Leg> = legs.iter().map(|(rollup, bytes)| leg(*rollup, bytes)).collect();
        let sealed = seal(committee.key.sealing_key(), header(0), &legs, rng(seed)).unwrap();
        prop_assert!(accepts(committee.key.sealing_key(), &sealed));
        prop_assert_eq!(open(&committee, &sealed), Ok(legs));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        capsule in prop::collection::vec(any::<u8>(), 0..400),
        exact in prop::collection::vec(any::<u8>(), 256),
        longer in prop::collection::vec(any::<u8>(), 320),
        suite in prop::sample::select(Suite::ALL.to_vec()),
        body in prop::collection::vec(any::<u8>(), 0..600),
        k in any::<[u8; 32]>(),
    ) {
        prop_assert!(Capsule::decode(suite, &capsule).is_err());
        prop_assert!(Capsule::decode(suite, &exact).is_err());
        prop_assert!(Capsule::decode(suite, &longer).is_err());
        let mut wide = [0; 48];
        wide[..32].copy_from_slice(&k);
        let wide = G1Bytes::new(wide);
        for opening in [Opening::Point(wide), Opening::Seed(SeedBytes::new(k))] {
            let label = Digest::new(k);
            prop_assert!(open_bundle(&label, &wide, &opening, suite.number(), &body).is_err());
        }
        let key = committee(suite, 1).key;
        prop_assert!(SealedBlock::new(&key, Height::new(1), BlockId::ZERO, &bare(&[wide])).is_err());
    }
}
