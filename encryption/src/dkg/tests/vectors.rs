//! The bytes of a sharing, pinned. Changing them is a protocol change.

use blstrs::{G1Affine, G1Projective, G2Projective};
use conclave_types::digest::keccak;
use group::Group as _;
use serde_json::{Value, json};

use super::*;
use crate::tests::vectors::pin;

fn describe(outcome: &Outcome) -> Value {
    let key = outcome.key().encryption_key();
    json!({
        "qualified": outcome.qualified().collect::<Vec<_>>(),
        "key_id": hex::encode(outcome.key().id().as_bytes()),
        "pk": hex::encode(key.public_key.as_bytes()),
        "x2": hex::encode(key.public_key_g2.as_bytes()),
        "verification_keys":
            key.verification_keys.iter().map(|key| hex::encode(key.as_bytes())).collect::<Vec<_>>(),
        "digest": hex::encode(outcome.digest().as_bytes()),
    })
}

#[test]
fn the_pinned_sharing_holds() {
    let session = session(&[2, 1, 0, 1]);
    let (mut dkg, keys) = registered(&session, |_| true);
    let registrations: Vec<Value> = [0, 1, 3]
        .into_iter()
        .map(|at: usize| {
            let registration = keys[at].registration(&session);
            json!({
                "validator": at,
                "holder_key": hex::encode(keys[at].secret.0.to_bytes_be()),
                "message": hex::encode(Message::Register(registration).encode()),
            })
        })
        .collect();
    let mut dealings = Vec::new();
    for dealer in [0, 1, 3] {
        let dealing = match dealer {
            1 => rogue(&dkg, 1, |dealing| spoil(dealing, 3)),
            _ => dkg.deal(v(dealer), &seed(dealer)).unwrap(),
        };
        dealings.push(hex::encode(Message::Deal(Box::new(dealing.clone())).encode()));
        post(&mut dkg, dealing).unwrap();
    }
    let complaint = Message::Complain(dkg.complaints(&keys[3]).remove(0));
    let event = dkg.apply(v(3), &complaint).unwrap();
    assert_eq!(event, Event::Disqualified { dealer: 1, validator: v(1) });
    let fresh = Run::finish(dkg, keys);

    let next = reshare(&fresh, &[1; 4], 2);
    let (mut dkg, keys) = registered(&next, |_| true);
    let mut reshared = Vec::new();
    for point in [3, 0, 2] {
        let dealing = dkg.reshare(point, fresh.share(point), &seed(point)).unwrap();
        reshared.push(hex::encode(Message::Deal(Box::new(dealing.clone())).encode()));
        post(&mut dkg, dealing).unwrap();
    }
    let handed_on = Run::finish(dkg, keys);
    let shares = |run: &Run| -> Vec<String> {
        run.shares.iter().map(|(_, share)| hex::encode(*share.to_bytes())).collect()
    };
    let found = json!({
        "network": hex::encode(network().as_bytes()),
        "era": 0,
        "fresh": {
            "epoch": 1,
            "round": 0,
            "tickets": [2, 1, 0, 1],
            "secrecy": session.packing().secrecy(),
            "session": hex::encode(session.digest().as_bytes()),
            "registrations": registrations,
            "dealings": dealings,
            "complaint_of_3": hex::encode(complaint.encode()),
            "shares": shares(&fresh),
            "result": describe(fresh.outcome()),
        },
        "reshared": {
            "epoch": 2,
            "round": 0,
            "tickets": [1, 1, 1, 1],
            "session": hex::encode(next.digest().as_bytes()),
            "dealings": reshared,
            "shares": shares(&handed_on),
            "result": describe(handed_on.outcome()),
        },
    });
    pin("sharing-v1.json", &found);
}

/// keccak256 of a tag and parts, joined by hand.
fn digest(tag: &str, parts: &[&[u8]]) -> Vec<u8> {
    keccak(&[tag.as_bytes(), &parts.concat()].concat()).as_bytes().to_vec()
}

/// Two digests read as one number, by long division.
fn reduced(tag: &str, parts: &[&[u8]]) -> Scalar {
    let half = |number: u8| digest(tag, &[&parts.concat(), &[number]]);
    let bytes = [half(0), half(1)].concat();
    bytes
        .iter()
        .fold(Scalar::ZERO, |sum, byte| sum * Scalar::from(256) + Scalar::from(u64::from(*byte)))
}

fn sharing(numbers: [u16; 4], tickets: &[u16]) -> Vec<u8> {
    let numbers = numbers.map(u16::to_be_bytes).concat();
    let count = (tickets.len() as u64).to_be_bytes();
    let tickets: Vec<u8> = tickets.iter().flat_map(|count| count.to_be_bytes()).collect();
    [numbers.as_slice(), &count, &tickets].concat()
}

// The specification's table of preimages, spelled out byte by byte.

/// Suite, network, era 0, epoch, round 0.
fn head(epoch: u8) -> Vec<u8> {
    [[Suite::Packed.number()].as_slice(), network().as_bytes(), &[0; 4], &[0; 7], &[epoch], &[0; 4]]
        .concat()
}

/// The attempt at a fresh key among [2, 1, 0, 1].
fn attempt() -> Vec<u8> {
    let numbers = sharing([4, 3, 2, 1], &[2, 1, 0, 1]);
    digest("conclave/sharing-session/v1", &[&head(1), &numbers, &[0]])
}

#[test]
fn attempts_and_results_are_hashed_as_specified() {
    let old = Run::fresh(&[2, 1, 0, 1]);
    assert_eq!(old.dkg.session.digest().as_bytes().as_slice(), attempt());
    let key = old.key().encryption_key();
    let keys: Vec<u8> = key.verification_keys.iter().flat_map(|key| *key.as_bytes()).collect();
    let id = old.key().id();
    let parts = [
        head(2),
        sharing([4, 3, 2, 1], &[1; 4]),
        vec![1],
        id.as_bytes().to_vec(),
        sharing([4, 3, 2, 1], &[2, 1, 0, 1]),
        keys.clone(),
    ];
    let resharing = digest("conclave/sharing-session/v1", &[&parts.concat()]);
    assert_eq!(reshare(&old, &[1; 4], 2).digest().as_bytes().as_slice(), resharing);
    let result = digest("conclave/sharing-result/v1", &[&attempt(), id.as_bytes(), &keys]);
    assert_eq!(old.outcome().digest().as_bytes().as_slice(), result);
}

/// An attempt with the dealing of validator 3.
fn dealt() -> (Dkg, Vec<HolderKey>, Dealing) {
    let (mut dkg, keys) = registered(&session(&[2, 1, 0, 1]), |_| true);
    let dealing = dkg.deal(v(3), &seed(3)).unwrap();
    post(&mut dkg, dealing.clone()).unwrap();
    (dkg, keys, dealing)
}

#[test]
fn rosters_and_dealings_are_hashed_as_specified() {
    let (dkg, _, dealing) = dealt();
    let mut keys = 3_u64.to_be_bytes().to_vec();
    for at in [0_u16, 1, 3] {
        keys.extend(at.to_be_bytes());
        keys.extend(dkg.roster.key(v(at)).unwrap().bytes.as_bytes());
    }
    let roster = digest("conclave/roster/v1", &[&attempt(), &keys]);
    assert_eq!(dkg.roster.digest(&dkg.session).as_bytes().as_slice(), roster);

    let coefficients: Vec<u8> =
        dealing.coefficients.iter().flat_map(|point| *point.as_bytes()).collect();
    let masked: Vec<u8> = dealing.evaluations.iter().flat_map(|number| number.0).collect();
    let body = [
        attempt().as_slice(),
        &roster,
        &[0, 3],
        &48_u64.to_be_bytes(),
        dealing.constant_g1.as_ref().unwrap().as_bytes(),
        dealing.constant.as_bytes(),
        &2_u64.to_be_bytes(),
        &coefficients,
        dealing.ephemeral.as_bytes(),
        &4_u64.to_be_bytes(),
        &masked,
    ]
    .concat();
    let hash = digest("conclave/dealing/v1", &[&body]);
    let checked = &dkg.dealings[&3];
    assert_eq!(checked.digest.as_bytes().as_slice(), hash);

    let proof = dealing.proof;
    let [e, z, y] = [proof.challenge, proof.of_constant, proof.of_ephemeral]
        .map(|number| number.read().unwrap());
    let in_g2 = G2Projective::generator() * z - checked.commitments.constant * e;
    let in_g1 = G1Projective::generator() * y - checked.ephemeral * e;
    let commitments = [in_g2.to_compressed().as_slice(), &in_g1.to_compressed()].concat();
    let parts = [attempt().as_slice(), &[0, 3], &hash, &commitments].concat();
    assert_eq!(e, reduced("conclave/dealing-proof/v1", &[&parts]));
}

/// What validator 1 finds at its point, which is number 2, and its complaint.
#[test]
fn masks_and_complaints_are_hashed_as_specified() {
    let (dkg, keys, dealing) = dealt();
    let checked = &dkg.dealings[&3];
    let shared = (checked.ephemeral * keys[1].secret.0).to_compressed();
    let registered = &dkg.roster.key(v(1)).unwrap().bytes;
    let preimage = [
        attempt().as_slice(),
        &[0, 3, 0, 2],
        dealing.ephemeral.as_bytes(),
        registered.as_bytes(),
        &shared,
    ]
    .concat();
    let value = checked.evaluations[2] - reduced("conclave/dealing-mask/v1", &[&preimage]);
    assert!(checked.commitments.holds(dkg.session.packing(), 2, &value));

    let complaint = Complaint::new(&dkg.session, &keys[1], checked, 2);
    let [e, z] = [complaint.proof.challenge, complaint.proof.response].map(|n| n.read().unwrap());
    let key = G1Affine::from_compressed(registered.as_bytes()).unwrap();
    let point = G1Affine::from_compressed(complaint.shared.as_bytes()).unwrap();
    let statement = [
        attempt().as_slice(),
        &[0, 3, 0, 2],
        checked.digest.as_bytes(),
        complaint.shared.as_bytes(),
        &(G1Projective::generator() * z - key * e).to_compressed(),
        &(checked.ephemeral * z - point * e).to_compressed(),
    ]
    .concat();
    assert_eq!(e, reduced("conclave/complaint-proof/v1", &[&statement]));
}
