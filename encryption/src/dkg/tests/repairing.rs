use super::*;
use crate::dkg::proof::ScalarBytes;

/// Seven holders; dealer 3 cheats point 5, whose holder was away until the key stood.
fn cheated_late() -> (Dkg, Vec<HolderKey>) {
    let (mut dkg, keys) = registered(&session(&[1; 7]), |_| true);
    for dealer in [0, 1, 2, 4, 5] {
        let dealing = dkg.deal(v(dealer), &seed(dealer)).unwrap();
        post(&mut dkg, dealing).unwrap();
    }
    let wrong = rogue(&dkg, 3, |dealing| spoil(dealing, 5));
    post(&mut dkg, wrong).unwrap();
    dkg.close_dealing().unwrap();
    dkg.finish().unwrap();
    (dkg, keys)
}

#[test]
fn a_holder_that_was_away_gets_its_share_in_spite_of_a_wrong_evaluation() {
    let (mut dkg, keys) = cheated_late();
    let before = dkg.outcome().unwrap().digest();
    let wrong = ShareUnavailable::WrongEvaluation { dealer: 3, point: 5 };
    assert_eq!(dkg.my_share(&keys[5], 5).unwrap_err(), wrong);
    let complaints = dkg.complaints(&keys[5]);
    assert_eq!(complaints.len(), 1);
    let event = dkg.apply(v(5), &Message::Complain(complaints[0].clone())).unwrap();
    assert_eq!(event, Event::ProvedLate { dealer: 3, validator: v(3) });
    assert!(dkg.disclosures(&keys[5]).is_empty());

    // c + ℓ = 5 evaluations are the polynomial.
    for (count, holder) in (1..=5).zip([6, 0, 2, 1, 4]) {
        assert_eq!(dkg.my_share(&keys[5], 5).unwrap_err(), wrong);
        let disclosures = dkg.disclosures(&keys[usize::from(holder)]);
        assert_eq!(disclosures.len(), 1);
        let event = dkg.apply(v(holder), &Message::Disclose(disclosures[0].clone())).unwrap();
        assert_eq!(event, Event::Disclosed { dealer: 3, complete: count == 5 });
    }
    let outcome = dkg.outcome().unwrap();
    assert_eq!(outcome.digest(), before);
    for (point, key) in (0..).zip(&keys) {
        assert!(dkg.my_share(key, point).unwrap().matches(outcome.key(), point));
        assert!(dkg.disclosures(key).is_empty());
    }
    let more = Disclosure { dealer: 3, point: 3, value: ScalarBytes::new(&Scalar::ONE) };
    let expected = Refusal::AlreadyDisclosed { dealer: 3, point: 3 };
    assert_eq!(dkg.apply(v(3), &Message::Disclose(more)), Err(expected));
}

#[test]
fn wrong_foreign_and_uncalled_for_disclosures_are_refused() {
    let (mut dkg, keys) = cheated_late();
    let early = Disclosure { dealer: 3, point: 0, value: ScalarBytes::new(&Scalar::ONE) };
    let refusal = dkg.apply(v(0), &Message::Disclose(early.clone())).unwrap_err();
    assert_eq!(refusal, Refusal::NotUnderRepair { dealer: 3 });
    let complaint = dkg.complaints(&keys[5]).remove(0);
    dkg.apply(v(5), &Message::Complain(complaint)).unwrap();
    let wrong = Refusal::WrongEvaluation { dealer: 3, point: 0 };
    assert_eq!(dkg.apply(v(0), &Message::Disclose(early)), Err(wrong.clone()));
    assert_eq!(wrong.fault(), Fault::Sender);
    let honest = dkg.disclosures(&keys[0]).remove(0);
    let foreign = Refusal::NotTheHolder { from: v(1), point: 0 };
    assert_eq!(dkg.apply(v(1), &Message::Disclose(honest.clone())), Err(foreign));
    let other = Disclosure { dealer: 2, ..honest };
    let refusal = dkg.apply(v(0), &Message::Disclose(other)).unwrap_err();
    assert_eq!(refusal, Refusal::NotUnderRepair { dealer: 2 });
    let large = Disclosure { value: ScalarBytes([0xff; 32]), ..honest };
    let refusal = dkg.apply(v(0), &Message::Disclose(large)).unwrap_err();
    assert_eq!(refusal, Refusal::Scalar { name: "evaluation" });
    dkg.apply(v(0), &Message::Disclose(honest.clone())).unwrap();
    let again = Refusal::AlreadyDisclosed { dealer: 3, point: 0 };
    assert_eq!(dkg.apply(v(0), &Message::Disclose(honest)), Err(again));
}

#[test]
fn a_late_complaint_is_judged_like_an_early_one() {
    let (mut dkg, keys) = cheated_late();
    let outcome = dkg.outcome().unwrap().digest();
    let session = dkg.session.clone();
    let groundless = Complaint::new(&session, &keys[0], &dkg.dealings[&3], 0);
    let event = dkg.apply(v(0), &Message::Complain(groundless)).unwrap();
    assert_eq!(event, Event::FalseComplaint { dealer: 3, holder: v(0) });
    let complaint = dkg.complaints(&keys[5]).remove(0);
    dkg.apply(v(5), &Message::Complain(complaint)).unwrap();
    // Once is enough: what is public then serves everyone.
    let second = Complaint::new(&session, &keys[1], &dkg.dealings[&3], 1);
    let refusal = dkg.apply(v(1), &Message::Complain(second)).unwrap_err();
    assert_eq!(refusal, Refusal::AlreadyProved { dealer: 3 });
    assert_eq!(dkg.outcome().unwrap().digest(), outcome);
}

#[test]
fn a_dealing_that_is_no_part_of_the_result_needs_no_repair() {
    let old = Run::fresh(&[1; 4]);
    let (mut dkg, keys) = registered(&reshare(&old, &[1; 4], 2), |_| true);
    old.deal(&mut dkg, [0, 1, 2]);
    let [constant, ephemeral] = [scalar(old.share(3)), Scalar::from(5)];
    let spare = rogue_with(&dkg, 3, [constant, ephemeral], |dealing| spoil(dealing, 1));
    post(&mut dkg, spare).unwrap();
    dkg.close_dealing().unwrap();
    let outcome = dkg.finish().unwrap();
    assert_eq!(outcome.qualified().collect::<Vec<_>>(), [0, 1, 2]);
    assert!(dkg.complaints(&keys[1]).is_empty());
    let complaint = dkg.complaint(&keys[1], 3).unwrap();
    let refusal = dkg.apply(v(1), &Message::Complain(complaint)).unwrap_err();
    assert_eq!(refusal, Refusal::NotQualified { dealer: 3 });
}
