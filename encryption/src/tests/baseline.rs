//! What suite 0x02 seals is what `threshold_crypto` seals, and the crate opens it with our shares.

use conclave_types::{UndecryptableReason, digest::keccak};
use threshold_crypto::{
    Ciphertext, Fr, FrRepr, PublicKeySet, SecretKey, SecretKeyShare, ff::PrimeField as _,
    poly::Poly, serde_impl::SerdeSecret,
};

use super::*;
use crate::{CapsuleStatement, open_bundle, seal, secret::Secret, verify_capsules};

const SUITE: Suite = Suite::Baseline;

fn sealed(committee: &Committee) -> Sealed {
    seal(committee.key.sealing_key(), header(0), &[leg(1, b"sealed")], rng(5)).unwrap()
}

/// The crate's ciphertext in a bundle.
fn ciphertext(sealed: &Sealed) -> Ciphertext {
    let length = (sealed.body.len() as u64).to_le_bytes();
    let (u, w) = (&sealed.capsule[..48], &sealed.capsule[224..]);
    bincode::deserialize(&[u, &length, &sealed.body, w].concat()).unwrap()
}

fn number(scalar: Scalar) -> Fr {
    let limbs = scalar.to_bytes_le();
    let limbs = limbs.as_chunks::<8>().0.iter().map(|limb| u64::from_le_bytes(*limb));
    Fr::from_repr(FrRepr(limbs.collect::<Vec<_>>().try_into().unwrap())).unwrap()
}

/// Our own admission and opening of a bundle.
fn accepts(committee: &Committee, sealed: &Sealed) -> bool {
    let capsule = capsule(sealed).unwrap();
    let label = sealed.header.label();
    let statement = CapsuleStatement { label, body: &sealed.body, capsule: &capsule };
    verify_capsules(committee.key.sealing_key(), &[statement], &SEED) == [true]
}

fn open(committee: &Committee, sealed: &Sealed) -> Result<Vec<Leg>, UndecryptableReason> {
    let u = capsule(sealed).unwrap().u();
    let k = bytes(point(&u) * committee.secret);
    let k = Opening::Point(k);
    open_bundle(&sealed.header.label(), &u, &k, sealed.header.suite, &sealed.body)
}

#[test]
fn the_crate_opens_what_is_sealed_with_the_key_alone() {
    let committee = committee(SUITE, 4);
    let sealed = sealed(&committee);
    let ciphertext = ciphertext(&sealed);
    assert!(ciphertext.verify());
    let key = SecretKey::from_mut(&mut number(committee.secret));
    assert_eq!(key.public_key().to_bytes(), *committee.raw.public_key.as_bytes());
    let message = key.decrypt(&ciphertext).unwrap();
    assert_eq!(message.len(), 256 + 16);
    let tag = b"conclave/baseline-binding/v1".as_slice();
    let label = sealed.header.label();
    let binding = keccak(&[tag, label.as_bytes(), &message[..256]].concat());
    assert_eq!(message[256..], binding.as_bytes()[..16]);
    assert_eq!(message[..4], [1, 0, 0, 0], "a list with one leg");
}

/// Party j is the crate's participant j + 2: it interpolates at zero over places i + 1, we at −2 over j + 1.
#[test]
fn the_crate_opens_with_our_shares_and_makes_the_same() {
    for parties in [4, 7, 16] {
        let committee = committee(SUITE, parties);
        let sealed = sealed(&committee);
        let ciphertext = ciphertext(&sealed);
        let block = committee.block(&[capsule(&sealed).unwrap().u()]);
        let shares: Vec<_> = (0_u16..)
            .zip(&committee.shares)
            .map(|(party, ours)| {
                let theirs = SecretKeyShare::from_mut(&mut number(scalar(ours)));
                let share = theirs.decrypt_share_no_verify(&ciphertext);
                let found = bincode::serialize(&share).unwrap();
                assert_eq!(found, block.share(ours, party)[1].as_bytes());
                (u64::from(party) + 2, share)
            })
            .collect();
        let threshold = usize::from(committee.key.packing().secrecy());
        let keys =
            PublicKeySet::from(Poly::from(vec![number(Scalar::ONE); threshold + 1]).commitment());
        let key = SecretKey::from_mut(&mut number(committee.secret));
        let expected = key.decrypt(&ciphertext).unwrap();
        for from in [0, parties - committee.quorum()] {
            let quorum = shares[from..].iter().take(committee.quorum());
            let quorum = quorum.map(|(place, share)| (*place, share));
            assert_eq!(keys.decrypt(quorum, &ciphertext).unwrap(), expected, "n = {parties}");
        }
        let too_few = shares.iter().take(threshold).map(|(place, share)| (*place, share));
        assert!(keys.decrypt(too_few, &ciphertext).is_err());
    }
}

#[test]
fn the_crates_own_proof_is_needed_beside_ours() {
    let committee = committee(SUITE, 4);
    let sealed = sealed(&committee);
    assert!(accepts(&committee, &sealed));
    let other = seal(committee.key.sealing_key(), header(1), &[leg(1, b"x")], rng(5)).unwrap();
    let generator = group::prime::PrimeCurveAffine::generator();
    for w in [
        other.capsule[224..].to_vec(),
        <G2Affine as PrimeCurveAffine>::to_curve(&generator).to_compressed().to_vec(),
        G2Affine::identity().to_compressed().to_vec(),
    ] {
        let mut wrong = sealed.clone();
        wrong.capsule[224..].copy_from_slice(&w);
        assert!(!accepts(&committee, &wrong));
    }
    for w in [g2_outside().as_bytes().to_vec(), vec![0; 96], vec![0xff; 96]] {
        let mut wrong = sealed.clone();
        wrong.capsule[224..].copy_from_slice(&w);
        assert_eq!(capsule(&wrong), Err(CapsuleError::Point("W")));
    }
}

/// W alone says nothing of the header: a thief who keeps the ciphertext as it is passes the crate's check.
#[test]
fn a_stolen_ciphertext_passes_the_crates_check_and_not_ours() {
    let committee = committee(SUITE, 4);
    let mut stolen = sealed(&committee);
    stolen.header.payer = PayerAddress::new([0x66; 20]);
    assert!(ciphertext(&stolen).verify());
    assert!(!accepts(&committee, &stolen));
    assert_eq!(open(&committee, &stolen), Err(UndecryptableReason::BadCiphertext));
}

/// A sealer who proves one label and seals another only harms himself, alike for everyone.
#[test]
fn a_message_under_another_label_is_undecryptable_however_well_it_is_proved() {
    let committee = committee(SUITE, 4);
    let key = committee.key.sealing_key();
    let honest = sealed(&committee);
    let (label, seed) = (honest.header.label(), keccak(b"seed"));
    let sealed_under = |inner| {
        let made =
            crate::baseline::encrypt(key.public_key(), &inner, &[0; 256], seed.as_bytes()).unwrap();
        let r = Secret(made.r.0);
        let u = G1Projective::generator() * r.0;
        let hash = keccak(&made.v);
        let proof = Capsule::prove(key, (&r, &u), &SEED, (&label, &hash, &[]));
        let capsule = [proof.as_slice(), made.w.as_bytes()].concat();
        Sealed { capsule, body: made.v, ..honest.clone() }
    };
    let right = sealed_under(label);
    assert!(accepts(&committee, &right));
    assert_eq!(open(&committee, &right), Err(UndecryptableReason::NoLegs));
    let wrong = sealed_under(keccak(b"another"));
    assert!(accepts(&committee, &wrong));
    assert_eq!(open(&committee, &wrong), Err(UndecryptableReason::BadCiphertext));
}

#[test]
fn capsules_of_one_suite_are_none_of_the_other() {
    let (packed, baseline) = (committee(Suite::Packed, 4), committee(SUITE, 4));
    let longer = sealed(&baseline).capsule;
    let shorter = seal(packed.key.sealing_key(), header(0), &[leg(1, b"x")], rng(5)).unwrap();
    let error = CapsuleError::Length { expected: 256, found: 320 };
    assert_eq!(Capsule::decode(Suite::Packed, &longer), Err(error));
    let error = CapsuleError::Length { expected: 320, found: 256 };
    assert_eq!(Capsule::decode(SUITE, &shorter.capsule), Err(error));
    // Nor where a caller has read it by the wrong suite.
    let capsule = capsule(&shorter).unwrap();
    let label = shorter.header.label();
    let statement = CapsuleStatement { label, body: &shorter.body, capsule: &capsule };
    let of =
        |committee: &Committee| verify_capsules(committee.key.sealing_key(), &[statement], &SEED);
    assert_eq!((of(&packed), of(&baseline)), (vec![true], vec![false]));
}

#[test]
fn the_crates_numbers_are_ours() {
    let scalar = Scalar::from(0x1234_5678_9abc_def0).square() + Scalar::ONE;
    let key = SerdeSecret(SecretKey::from_mut(&mut number(scalar)));
    assert_eq!(bincode::serialize(&key).unwrap(), scalar.to_bytes_le());
    let point = key.public_key().to_bytes();
    assert_eq!(point, (G1Projective::generator() * scalar).to_compressed());
}
