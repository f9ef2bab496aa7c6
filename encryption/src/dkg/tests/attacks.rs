use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use conclave_types::G2Bytes;
use group::{Group, prime::PrimeCurveAffine as _};

use super::*;
use crate::{
    curve::{decode_g1, decode_g2, encode_g2, encode_one},
    dkg::proof::{DealerProof, EqualityProof, KeyProof, ScalarBytes},
    tests::{bytes, g2_outside, infinity, point, torsion},
};

fn refused(dkg: &Dkg, dealing: Dealing) -> Refusal {
    let refusal = post(&mut dkg.clone(), dealing).unwrap_err();
    assert_eq!(refusal.fault(), Fault::Sender, "{refusal}");
    refusal
}

/// Four dealers, of whom the first three have dealt.
fn three_dealt() -> (Dkg, Vec<HolderKey>, Vec<Dealing>) {
    let (mut dkg, keys) = registered(&session(&[1; 4]), |_| true);
    let dealings: Vec<_> = (0..3).map(|d| dkg.deal(v(d), &seed(d)).unwrap()).collect();
    for dealing in &dealings {
        post(&mut dkg, dealing.clone()).unwrap();
    }
    (dkg, keys, dealings)
}

fn finish(mut dkg: Dkg) -> (Dkg, Arc<Outcome>) {
    dkg.close_dealing().unwrap();
    let outcome = dkg.finish().unwrap();
    (dkg, outcome)
}

/// A dealer who waits for all others and then chooses the key: its constant is a key of its own minus
/// theirs. It knows the key that results, and not the constant.
#[test]
fn a_rushing_dealer_cannot_choose_the_key() {
    let (dkg, _, dealings) = three_dealt();
    let wanted = Scalar::from(1_234_567);
    let others_g1: G1Projective = dealings.iter().map(|d| point(&d.constant_g1.unwrap())).sum();
    let others_g2: G2Projective =
        dealings.iter().map(|d| G2Projective::from(decode_g2(&d.constant).unwrap())).sum();
    let chosen = |dealing: &mut Dealing| {
        dealing.constant_g1 = Some(encode_one(&(G1Projective::generator() * wanted - others_g1)));
        dealing.constant = encode_g2(&(G2Projective::generator() * wanted - others_g2));
    };
    // With the proof of another constant, and with every proof that is on the chain.
    let mut rushing = rogue(&dkg, 3, chosen);
    assert_eq!(refused(&dkg, rushing.clone()), Refusal::Proof { name: "dealing" });
    for dealing in &dealings {
        rushing.proof = dealing.proof;
        assert_eq!(refused(&dkg, rushing.clone()), Refusal::Proof { name: "dealing" });
    }
    // Were it taken, the key would be known to it.
    let (_, outcome) = finish(dkg);
    let taken =
        point(&outcome.key().encryption_key().public_key) + point(&rushing.constant_g1.unwrap());
    assert_eq!(taken, G1Projective::generator() * wanted);
}

/// A dealer who takes over an honest dealer's ephemeral point, deals nonsense under it, and makes a
/// recipient complain: the complaint would show what opens the honest dealing.
#[test]
fn a_copied_ephemeral_point_is_refused_before_anyone_can_complain_about_it() {
    let (dkg, keys, dealings) = three_dealt();
    let copied = rogue(&dkg, 3, |dealing| dealing.ephemeral = dealings[0].ephemeral);
    assert_eq!(refused(&dkg, copied), Refusal::Proof { name: "dealing" });
    for dealer in [3, 2] {
        // As a whole, under another dealer's name.
        let mut whole = Dealing { dealer, ..dealings[0].clone() };
        let mut fresh = dkg.clone();
        fresh.dealings.remove(&2);
        assert_eq!(refused(&fresh, whole.clone()), Refusal::Proof { name: "dealing" });
        whole.proof = rogue(&dkg, 3, |_| {}).proof;
        assert_eq!(refused(&fresh, whole), Refusal::Proof { name: "dealing" });
    }
    // Why it matters: what a complaint shows is what protects the dealing whose point it is.
    let mut oracle = (*dkg.dealings[&0]).clone();
    oracle.dealer = 3;
    let shown = Complaint::new(&dkg.session, &keys[1], &oracle, 1).shared;
    let value = dkg.dealings[&0].decrypt(&dkg.session, &dkg.roster, 1, &shown).unwrap();
    assert!(dkg.dealings[&0].commitments.holds(dkg.session.packing(), 1, &value.0));
}

#[test]
fn a_complaint_is_worth_nothing_elsewhere() {
    let (mut dkg, keys, _) = three_dealt();
    let wrong = rogue(&dkg, 3, |dealing| spoil(dealing, 1));
    post(&mut dkg, wrong).unwrap();
    let complaint = dkg.complaint(&keys[1], 3).unwrap();
    let proof = Refusal::Proof { name: "complaint" };
    // About another dealing, from another holder, with another point, or with the proof of another.
    let other = Complaint { dealer: 0, ..complaint };
    assert_eq!(dkg.apply(v(1), &Message::Complain(other)), Err(proof.clone()));
    let foreign = Refusal::NotTheHolder { from: v(2), point: 1 };
    assert_eq!(dkg.apply(v(2), &Message::Complain(complaint.clone())), Err(foreign));
    let stolen = Complaint { point: 2, ..complaint };
    assert_eq!(dkg.apply(v(2), &Message::Complain(stolen)), Err(proof.clone()));
    let invented = encode_one(&(G1Projective::generator() * Scalar::from(77)));
    let invented = Complaint { shared: invented, ..complaint };
    assert_eq!(dkg.apply(v(1), &Message::Complain(invented)), Err(proof.clone()));
    let foreign = Complaint::new(&dkg.session, &keys[2], &dkg.dealings[&3], 1);
    assert_eq!(dkg.apply(v(1), &Message::Complain(foreign)), Err(proof.clone()));
    for bad in [infinity(), G1Bytes::ZERO, bytes(point(&complaint.shared) + torsion(3))] {
        let off = Complaint { shared: bad, ..complaint.clone() };
        let expected = Err(Refusal::Point { name: "shared point" });
        assert_eq!(dkg.apply(v(1), &Message::Complain(off)), expected);
    }
    for bad in [ScalarBytes([0xff; 32]), ScalarBytes([0; 32])] {
        let mauled = EqualityProof { response: bad, ..complaint.proof };
        let mauled = Complaint { proof: mauled, ..complaint.clone() };
        assert_eq!(dkg.apply(v(1), &Message::Complain(mauled)), Err(proof.clone()));
    }
    let nothing = Complaint { dealer: 9, ..complaint };
    let expected = Err(Refusal::NoDealing { dealer: 9 });
    assert_eq!(dkg.apply(v(1), &Message::Complain(nothing)), expected);
    let event = Event::Disqualified { dealer: 3, validator: v(3) };
    assert_eq!(dkg.apply(v(1), &Message::Complain(complaint)), Ok(event));
}

#[test]
fn a_dealer_who_cheats_one_or_all_is_out_and_the_key_is_of_the_others() {
    for cheated in [vec![2], vec![0, 1, 2, 3]] {
        let (mut dkg, keys, dealings) = three_dealt();
        let wrong = rogue(&dkg, 3, |dealing| {
            cheated.iter().for_each(|position| spoil(dealing, *position));
        });
        post(&mut dkg, wrong).unwrap();
        let complaining: Vec<_> =
            keys.iter().filter(|key| !dkg.complaints(key).is_empty()).collect();
        assert_eq!(complaining.len(), cheated.len());
        let complaint = dkg.complaints(complaining[0]).remove(0);
        let event = dkg.apply(complaining[0].validator(), &Message::Complain(complaint)).unwrap();
        assert_eq!(event, Event::Disqualified { dealer: 3, validator: v(3) });
        assert!(keys.iter().all(|key| dkg.complaints(key).is_empty()));
        let (dkg, outcome) = finish(dkg);
        let sum: G1Projective = dealings.iter().map(|d| point(&d.constant_g1.unwrap())).sum();
        assert_eq!(outcome.key().encryption_key().public_key, bytes(sum));
        for (at, key) in (0..).zip(&keys) {
            assert!(dkg.my_share(key, at).unwrap().matches(outcome.key(), at));
        }
    }
}

#[test]
fn too_many_cheats_end_the_attempt() {
    let (mut dkg, keys) = registered(&session(&[1; 4]), |_| true);
    for dealer in 0..4 {
        let wrong = rogue(&dkg, dealer, |dealing| {
            if dealer > 1 {
                spoil(dealing, 0);
            }
        });
        post(&mut dkg, wrong).unwrap();
    }
    for complaint in dkg.complaints(&keys[0]) {
        dkg.apply(v(0), &Message::Complain(complaint)).unwrap();
    }
    dkg.close_dealing().unwrap();
    assert_eq!(dkg.finish().unwrap_err(), AdvanceError::TooFew { required: 3, found: 2 });
}

#[test]
fn a_false_complaint_convicts_its_author_and_shows_no_share_but_his() {
    let (mut dkg, keys, dealings) = three_dealt();
    let complaint = Complaint::new(&dkg.session, &keys[1], &dkg.dealings[&0], 1);
    for point in [0, 2, 3] {
        let value = dkg.dealings[&0].decrypt(&dkg.session, &dkg.roster, point, &complaint.shared);
        let right =
            dkg.dealings[&0].commitments.holds(dkg.session.packing(), point, &value.unwrap().0);
        assert!(!right);
    }
    let event = Event::FalseComplaint { dealer: 0, holder: v(1) };
    assert_eq!(dkg.apply(v(1), &Message::Complain(complaint)), Ok(event));
    let (_, outcome) = finish(dkg);
    assert_eq!(outcome.qualified().count(), dealings.len());
}

#[test]
fn a_polynomial_of_another_degree_is_refused() {
    let (dkg, _, _) = three_dealt();
    let more = rogue(&dkg, 3, |dealing| dealing.coefficients.push(dealing.coefficients[0]));
    assert_eq!(refused(&dkg, more), Refusal::Coefficients { expected: 2, found: 3 });
    let fewer = rogue(&dkg, 3, |dealing| dealing.coefficients.truncate(1));
    assert_eq!(refused(&dkg, fewer), Refusal::Coefficients { expected: 2, found: 1 });
    for (count, change) in [(3, true), (5, false)] {
        let other = rogue(&dkg, 3, |dealing| {
            if change {
                dealing.evaluations.truncate(count);
            } else {
                dealing.evaluations.push(dealing.evaluations[0]);
            }
        });
        assert_eq!(refused(&dkg, other), Refusal::Evaluations { expected: 4, found: count });
    }
}

#[test]
fn constants_that_disagree_or_are_missing_are_refused() {
    let (dkg, _, dealings) = three_dealt();
    let other = rogue(&dkg, 3, |dealing| dealing.constant_g1 = dealings[0].constant_g1);
    assert_eq!(refused(&dkg, other), Refusal::Disagree);
    let missing = rogue(&dkg, 3, |dealing| dealing.constant_g1 = None);
    assert_eq!(refused(&dkg, missing), Refusal::ConstantInG1);
}

#[test]
fn a_resharing_of_anything_but_the_old_share_is_refused() {
    let old = Run::fresh(&[1; 4]);
    let (mut dkg, _) = registered(&reshare(&old, &[1; 5], 2), |_| true);
    // One of its own choice, and the honest share of another point.
    let own = rogue(&dkg, 1, |_| {});
    assert_eq!(refused(&dkg, own), Refusal::NotTheShare { dealer: 1 });
    let foreign = [scalar(old.share(2)), Scalar::from(3)];
    let foreign = rogue_with(&dkg, 1, foreign, |_| {});
    assert_eq!(refused(&dkg, foreign), Refusal::NotTheShare { dealer: 1 });
    let honest = [scalar(old.share(1)), Scalar::from(3)];
    let in_g1 = rogue_with(&dkg, 1, honest, |dealing| {
        dealing.constant_g1 = Some(encode_one(&(G1Projective::generator() * honest[0])));
    });
    assert_eq!(refused(&dkg, in_g1), Refusal::ConstantInG1);
    // Somebody who knows V₁ and not the share.
    let mut unknowing = rogue_with(&dkg, 1, [Scalar::from(9), Scalar::from(3)], |_| {});
    unknowing.constant = old.key().encryption_key().verification_keys[1];
    assert_eq!(refused(&dkg, unknowing), Refusal::Proof { name: "dealing" });
    let good = rogue_with(&dkg, 1, honest, |_| {});
    assert_eq!(post(&mut dkg.clone(), good.clone()), Ok(Event::Dealt { dealer: 1 }));
    let refusal = dkg.apply(v(2), &Message::Deal(Box::new(good))).unwrap_err();
    assert_eq!(refusal, Refusal::NotTheDealer { from: v(2), dealer: 1 });
}

#[test]
fn points_and_numbers_that_are_none_are_refused_everywhere() {
    let (dkg, _, _) = three_dealt();
    let outside = encode_one(&(G1Projective::generator() + torsion(11)));
    for bad in [infinity(), G1Bytes::ZERO, G1Bytes::new([0xff; 48]), outside] {
        let ephemeral = rogue(&dkg, 3, |dealing| dealing.ephemeral = bad);
        assert_eq!(refused(&dkg, ephemeral), Refusal::Point { name: "ephemeral point" });
        let constant = rogue(&dkg, 3, |dealing| dealing.constant_g1 = Some(bad));
        assert_eq!(refused(&dkg, constant), Refusal::Point { name: "constant in G1" });
    }
    let infinity = G2Bytes::new(G2Affine::identity().to_compressed());
    for bad in [infinity, G2Bytes::ZERO, G2Bytes::new([0xff; 96]), g2_outside()] {
        let constant = rogue(&dkg, 3, |dealing| dealing.constant = bad);
        assert_eq!(refused(&dkg, constant), Refusal::Point { name: "constant" });
        if bad != infinity {
            let coefficient = rogue(&dkg, 3, |dealing| dealing.coefficients[1] = bad);
            assert_eq!(refused(&dkg, coefficient), Refusal::Point { name: "coefficient" });
        }
    }
    let evaluation = rogue(&dkg, 3, |d| d.evaluations[2] = ScalarBytes([0xff; 32]));
    assert_eq!(refused(&dkg, evaluation), Refusal::Scalar { name: "evaluation" });
    let mut proof = rogue(&dkg, 3, |_| {});
    proof.proof = DealerProof { of_ephemeral: ScalarBytes([0xff; 32]), ..proof.proof };
    assert_eq!(refused(&dkg, proof), Refusal::Proof { name: "dealing" });
}

#[test]
fn a_dealing_with_any_part_changed_is_refused() {
    let (dkg, _, dealings) = three_dealt();
    let message = Message::Deal(Box::new(dkg.deal(v(3), &seed(3)).unwrap())).encode();
    let other = Message::Deal(Box::new(dealings[0].clone())).encode();
    assert_eq!(message.len(), other.len());
    let mut changed = 0;
    for at in (0..message.len()).step_by(7).filter(|at| message[*at] != other[*at]) {
        let mut bytes = message.clone();
        bytes[at] ^= 1;
        let Ok(mauled) = Message::decode(&bytes) else { continue };
        assert!(dkg.clone().apply(v(3), &mauled).is_err(), "byte {at}");
        changed += 1;
    }
    assert!(changed > 50);
}

#[test]
fn a_registration_needs_the_secret_half() {
    let session = session(&[1; 4]);
    let keys = keys(&session);
    let mut dkg = Dkg::new(session.clone());
    let honest = keys[0].registration(&session);
    let proof = Err(Refusal::Proof { name: "holder key" });
    // Another's key as one's own: its shares would be readable by both, its complaints an oracle.
    assert_eq!(dkg.apply(v(1), &Message::Register(honest.clone())), proof);
    let mut mixed = keys[1].registration(&session);
    mixed.key = honest.key;
    assert_eq!(dkg.apply(v(1), &Message::Register(mixed)), proof);
    let mauled = KeyProof { challenge: ScalarBytes([0xff; 32]), ..honest.proof };
    let mauled = Registration { proof: mauled, ..honest };
    assert_eq!(dkg.apply(v(0), &Message::Register(mauled)), proof);
    for bad in [infinity(), G1Bytes::ZERO, bytes(point(&honest.key) + torsion(3))] {
        let off = Registration { key: bad, ..honest.clone() };
        let expected = Err(Refusal::Point { name: "holder key" });
        assert_eq!(dkg.apply(v(0), &Message::Register(off)), expected);
    }
    assert_eq!(
        dkg.apply(v(4), &Message::Register(honest)),
        Err(Refusal::NotAHolder { from: v(4) })
    );
}

#[test]
fn nothing_of_one_attempt_is_taken_in_another() {
    let session = session(&[1; 4]);
    let (mut dkg, keys) = registered(&session, |_| true);
    let wrong = rogue(&dkg, 0, |dealing| spoil(dealing, 1));
    post(&mut dkg, wrong.clone()).unwrap();
    let complaint = dkg.complaints(&keys[1]).remove(0);
    let here = id(1, 0);
    let others = [
        SessionId { network: NetworkId::new([9; 32]), ..here },
        SessionId { era: Era::new(1), ..here },
        id(2, 0),
        id(1, 1),
    ];
    for other in others {
        let other =
            Session::fresh(other, Suite::Packed, session.holders().clone(), session.packing())
                .unwrap();
        assert_ne!(other.digest(), session.digest());
        let proof = |name| Err(Refusal::Proof { name });
        let message = Message::Register(keys[0].registration(&session));
        assert_eq!(Dkg::new(other.clone()).apply(v(0), &message), proof("holder key"));
        let (mut there, _) = registered(&other, |_| true);
        assert_eq!(post(&mut there, wrong.clone()), proof("dealing"));
        // The very same dealing and the same keys, as far as anyone could have them there.
        there.dealings.clone_from(&dkg.dealings);
        there.roster = Arc::clone(&dkg.roster);
        let message = Message::Complain(complaint.clone());
        assert_eq!(there.apply(v(1), &message), proof("complaint"));
        assert!(there.complaints(&keys[1]).is_empty());
    }
}

/// The last dealer knows what its own point has got from the others, and deals so that the sum is zero.
#[test]
fn a_holder_that_arranges_its_share_to_be_zero_stops_nothing() {
    let (mut dkg, keys, dealings) = three_dealt();
    let (session, packing) = (dkg.session.clone(), dkg.session.packing());
    let received: Scalar = dealings
        .iter()
        .map(|dealing| dkg.evaluation(&keys[3], &dkg.dealings[&dealing.dealer], 3).unwrap().0)
        .sum();
    // S(x₃) = s + Z(x₃)·T(x₃): the constant makes up for the rest.
    let random = SharingPolynomial::random(packing, Secret(Scalar::ZERO), rng(0x67));
    let constant = -received - random.value(3).0;
    let last = rogue_with(&dkg, 3, [constant, Scalar::from(7)], |_| {});
    post(&mut dkg, last).unwrap();
    let run = Run::finish(dkg, keys);
    assert_eq!(scalar(run.share(3)), Scalar::ZERO);
    let infinity = G2Bytes::new(G2Affine::identity().to_compressed());
    assert_eq!(run.key().encryption_key().verification_keys[3], infinity);
    run.assert_sound();
    let bundle = run.seal();
    run.assert_opens(&bundle);
    // Its partial decryptions are infinity, and right; any other is wrong.
    let block =
        SealedBlock::new(run.key(), Height::new(9), BlockId::ZERO, &bare(&[bundle.1])).unwrap();
    let shares = block.share(run.share(3), 3);
    assert!(shares.iter().all(|share| decode_g1(share) == Some(G1Affine::identity())));
    assert_eq!(block.blame(&[(3, &shares)], &SEED), Vec::<u16>::new());
    let other = block.share(run.share(2), 3);
    assert_eq!(block.blame(&[(3, &other)], &SEED), [3]);
    let next = Run::reshared(&run, &reshare(&run, &[1; 5], 2), [3, 0, 1]);
    next.assert_sound();
    next.assert_opens(&bundle);
    assert_eq!(session.digest(), run.dkg.session.digest());
}
