use super::*;

#[test]
fn a_key_is_made_by_all_held_by_none_and_opens_what_is_sealed_to_it() {
    let each = |suite| [1, 2, 3, 4, 7, 16].map(|count| (suite, count));
    for (suite, count) in Suite::ALL.into_iter().flat_map(each) {
        let run = Run::fresh_of(suite, &vec![1; count]);
        run.assert_sound();
        assert_eq!(run.key().sealing_key().suite(), suite);
        assert_eq!(run.outcome().qualified().count(), count);
        run.assert_opens(&run.seal());
    }
}

#[test]
fn a_validator_holds_as_many_points_as_it_has_tickets() {
    let run = Run::fresh(&[3, 0, 1, 2, 1]);
    run.assert_sound();
    assert_eq!(run.outcome().qualified().collect::<Vec<_>>(), [0, 2, 3, 4]);
    assert_eq!(run.shares.len(), 7);
    run.assert_opens(&run.seal());
    // Four points of seven are no quorum, five are, and three validators hold them.
    let bundle = run.seal();
    assert_eq!(run.open(&bundle, &[0, 1, 2, 4]), None);
    assert!(run.open(&bundle, &[0, 1, 2, 4, 5]).is_some());
}

#[test]
fn a_validator_without_tickets_takes_no_part() {
    let session = session(&[2, 0, 1, 1]);
    let mut dkg = Dkg::new(session.clone());
    let message = Message::Register(keys(&session)[1].registration(&session));
    assert_eq!(dkg.apply(v(1), &message), Err(Refusal::NotAHolder { from: v(1) }));
    let (mut dkg, keys) = registered(&session, |_| true);
    assert_eq!(dkg.deal(v(1), &SEED).unwrap_err(), DealError::NotADealer { dealer: 1 });
    let foreign = rogue(&dkg, 1, |_| {});
    let refusal = dkg.apply(v(1), &Message::Deal(Box::new(foreign))).unwrap_err();
    assert_eq!(refusal, Refusal::NotTheDealer { from: v(1), dealer: 1 });
    assert_eq!(refusal.fault(), Fault::Sender);
    assert!(dkg.complaints(&keys[1]).is_empty());
}

#[test]
fn absent_holders_and_dealers_are_borne_up_to_f_points() {
    // The third validator is away all the time, the first deals and is not registered.
    let (mut dkg, keys) = registered(&session(&[1; 7]), |holder| holder != 0 && holder != 2);
    for dealer in [0, 1, 3, 4, 5] {
        let dealing = dkg.deal(v(dealer), &seed(dealer)).unwrap();
        assert_eq!(post(&mut dkg, dealing), Ok(Event::Dealt { dealer }));
    }
    let mut finished = dkg.clone();
    finished.close_dealing().unwrap();
    let outcome = finished.finish().unwrap();
    let absent = finished.my_share(&keys[2], 2).unwrap_err();
    assert_eq!(absent, ShareUnavailable::OtherKey { validator: v(2) });
    for (point, key) in [(1, &keys[1]), (3, &keys[3]), (4, &keys[4]), (6, &keys[6])] {
        assert!(finished.my_share(key, point).unwrap().matches(outcome.key(), point));
    }
}

#[test]
fn too_few_holders_and_too_few_dealings_end_the_attempt() {
    let session = session(&[1; 7]);
    let mut dkg = Dkg::new(session.clone());
    for key in &keys(&session)[..4] {
        let message = Message::Register(key.registration(&session));
        dkg.apply(key.validator(), &message).unwrap();
    }
    let expected = AdvanceError::TooFewHolders { required: 5, found: 4 };
    assert_eq!(dkg.close_registration(), Err(expected));

    let (mut dkg, _) = registered(&session, |_| true);
    for dealer in 0..4 {
        let dealing = dkg.deal(v(dealer), &seed(dealer)).unwrap();
        post(&mut dkg, dealing).unwrap();
    }
    dkg.close_dealing().unwrap();
    assert_eq!(dkg.standing(), 4);
    let expected = AdvanceError::TooFew { required: 5, found: 4 };
    assert_eq!(dkg.finish().unwrap_err(), expected);
    assert!(dkg.outcome().is_none());
}

#[test]
fn the_result_follows_from_the_messages_alone() {
    let session = session(&[2, 1, 1]);
    let keys = keys(&session);
    let mut log: Vec<(ValidatorIndex, Vec<u8>)> = Vec::new();
    let mut dkg = Dkg::new(session.clone());
    let apply = |dkg: &mut Dkg, log: &mut Vec<_>, from, message: Message| {
        log.push((from, message.encode()));
        dkg.apply(from, &message).unwrap()
    };
    for key in &keys {
        let message = Message::Register(key.registration(&session));
        apply(&mut dkg, &mut log, key.validator(), message);
    }
    dkg.close_registration().unwrap();
    for dealer in [2, 0] {
        let dealing = dkg.deal(v(dealer), &seed(dealer)).unwrap();
        apply(&mut dkg, &mut log, v(dealer), Message::Deal(Box::new(dealing)));
    }
    let wrong = rogue(&dkg, 1, |dealing| spoil(dealing, 2));
    apply(&mut dkg, &mut log, v(1), Message::Deal(Box::new(wrong)));
    let complaints = dkg.complaints(&keys[1]);
    let event = apply(&mut dkg, &mut log, v(1), Message::Complain(complaints[0].clone()));
    assert_eq!(event, Event::Disqualified { dealer: 1, validator: v(1) });
    dkg.close_dealing().unwrap();
    let outcome = dkg.finish().unwrap();

    let mut late = Dkg::new(session);
    for (at, (from, bytes)) in log.iter().enumerate() {
        if at == 3 {
            late.close_registration().unwrap();
        }
        late.apply(*from, &Message::decode(bytes).unwrap()).unwrap();
    }
    late.close_dealing().unwrap();
    let found = late.finish().unwrap();
    assert_eq!(found.digest(), outcome.digest());
    assert_eq!(found.key().encryption_key(), outcome.key().encryption_key());
    assert_eq!(found.qualified().collect::<Vec<_>>(), [2, 0]);
}

#[test]
fn a_message_can_be_checked_beside_the_state_and_recorded_later() {
    let session = session(&[1; 4]);
    let (mut dkg, _) = registered(&session, |_| true);
    let dealings: Vec<_> = (0..4).map(|d| dkg.deal(v(d), &seed(d)).unwrap()).collect();
    let snapshot = dkg.clone();
    let check = |d: usize| {
        let message = Message::Deal(Box::new(dealings[d].clone()));
        snapshot.check(v(dealings[d].dealer()), &message).unwrap()
    };
    for (dealer, dealing) in (0..4).zip(0..4).rev() {
        assert_eq!(dkg.record(check(dealing)), Ok(Event::Dealt { dealer }));
    }
    assert_eq!(dkg.record(check(1)), Err(Refusal::AlreadyDealt { dealer: 1 }));
    // Not into an attempt with other registrations, nor into another attempt.
    let (mut other, _) = registered(&session, |holder| holder != 3);
    assert_eq!(other.record(check(0)), Err(Refusal::OtherAttempt));
    let again =
        Session::fresh(id(1, 1), Suite::Packed, session.holders().clone(), session.packing())
            .unwrap();
    let (mut other, _) = registered(&again, |_| true);
    assert_eq!(other.record(check(0)), Err(Refusal::OtherAttempt));
    let registration = Message::Register(keys(&session)[0].registration(&session));
    let key = Dkg::new(session).check(v(0), &registration).unwrap();
    assert_eq!(Dkg::new(again).record(key), Err(Refusal::OtherAttempt));
}

#[test]
fn the_sum_can_be_computed_beside_the_state() {
    let (mut dkg, keys) = registered(&session(&[1; 4]), |_| true);
    for dealer in 0..3 {
        let dealing = dkg.deal(v(dealer), &seed(dealer)).unwrap();
        post(&mut dkg, dealing).unwrap();
    }
    let wrong = rogue(&dkg, 3, |dealing| spoil(dealing, 0));
    post(&mut dkg, wrong).unwrap();
    assert_eq!(dkg.add_up().unwrap_err(), AdvanceError::Stage { stage: "dealing" });
    dkg.close_dealing().unwrap();
    let early = dkg.add_up().unwrap();
    let complaint = dkg.complaints(&keys[0]).remove(0);
    dkg.apply(v(0), &Message::Complain(complaint)).unwrap();
    assert_eq!(dkg.finish_with(early).unwrap_err(), AdvanceError::OtherState);
    let foreign = Run::fresh(&[1; 4]).outcome().clone();
    assert_eq!(dkg.finish_with(foreign).unwrap_err(), AdvanceError::OtherState);
    let outcome = dkg.add_up().unwrap();
    let digest = outcome.digest();
    assert_eq!(dkg.finish_with(outcome.clone()).unwrap().digest(), digest);
    let finished = AdvanceError::Stage { stage: "finished" };
    assert_eq!(dkg.finish_with(outcome).unwrap_err(), finished);
}

#[test]
fn messages_at_the_wrong_stage_or_twice_are_refused_and_nobodys_fault() {
    let session = session(&[1; 4]);
    let registration = |validator: u16| {
        Message::Register(keys(&session)[usize::from(validator)].registration(&session))
    };
    let stage = |stage| Err(Refusal::Stage { stage });
    let run = Run::fresh(&[1; 4]);
    let acknowledgement = Message::Acknowledge(run.outcome().digest());
    let (mut dkg, keys) = registered(&session, |holder| holder != 3);
    let dealing = dkg.deal(v(0), &seed(0)).unwrap();
    let deal = Message::Deal(Box::new(dealing));
    assert_eq!(Dkg::new(session.clone()).apply(v(0), &deal), stage("registering"));
    assert_eq!(dkg.apply(v(3), &registration(3)), stage("dealing"));
    dkg.apply(v(0), &deal).unwrap();
    assert_eq!(dkg.apply(v(0), &deal), Err(Refusal::AlreadyDealt { dealer: 0 }));
    let complaint = Complaint::new(&session, &keys[1], &dkg.dealings[&0], 1);
    let complaint = Message::Complain(complaint);
    assert_eq!(Dkg::new(session.clone()).apply(v(1), &complaint), stage("registering"));
    let event = Event::FalseComplaint { dealer: 0, holder: v(1) };
    assert_eq!(dkg.apply(v(1), &complaint), Ok(event));
    let again = Refusal::AlreadyComplained { from: v(1), dealer: 0 };
    assert_eq!(dkg.apply(v(1), &complaint), Err(again.clone()));
    assert_eq!(again.fault(), Fault::Nobody);
    assert_eq!(dkg.apply(v(1), &acknowledgement), stage("dealing"));
    assert_eq!(dkg.close_registration(), Err(AdvanceError::Stage { stage: "dealing" }));
    assert_eq!(dkg.finish().unwrap_err(), AdvanceError::Stage { stage: "dealing" });
    dkg.close_dealing().unwrap();
    assert_eq!(dkg.apply(v(0), &deal), stage("complaining"));
    assert_eq!(dkg.deal(v(0), &SEED).unwrap_err(), DealError::Stage { stage: "complaining" });
    assert_eq!(dkg.close_dealing(), Err(AdvanceError::Stage { stage: "complaining" }));
    assert_eq!(
        dkg.my_share(&keys[0], 0).unwrap_err(),
        ShareUnavailable::Stage { stage: "complaining" }
    );

    let mut fresh = Dkg::new(session.clone());
    fresh.apply(v(0), &registration(0)).unwrap();
    let again = Err(Refusal::AlreadyRegistered { from: v(0) });
    assert_eq!(fresh.apply(v(0), &registration(0)), again);
}

#[test]
fn holders_acknowledge_the_result_once() {
    let mut dkg = Run::fresh(&[1; 4]).dkg;
    let digest = dkg.outcome().unwrap().digest();
    let message = Message::Acknowledge(digest);
    assert_eq!(dkg.apply(v(2), &message), Ok(Event::Acknowledged { holder: v(2) }));
    assert_eq!(dkg.acknowledged().collect::<Vec<_>>(), [v(2)]);
    assert_eq!(dkg.apply(v(2), &message), Err(Refusal::AlreadyAcknowledged { from: v(2) }));
    assert_eq!(dkg.apply(v(9), &message), Err(Refusal::NotAHolder { from: v(9) }));
    let refusal = Refusal::WrongResult { expected: digest, found: Digest::ZERO };
    assert_eq!(dkg.apply(v(1), &Message::Acknowledge(Digest::ZERO)), Err(refusal));
}

#[test]
fn the_same_seed_deals_the_same_and_another_attempt_deals_something_else() {
    let session = session(&[1; 4]);
    let (dkg, _) = registered(&session, |_| true);
    let dealing = dkg.deal(v(0), &SEED).unwrap();
    assert_eq!(dkg.deal(v(0), &SEED).unwrap(), dealing);
    let (fewer, _) = registered(&session, |holder| holder != 3);
    let again =
        Session::fresh(id(1, 1), Suite::Packed, session.holders().clone(), session.packing())
            .unwrap();
    let (again, _) = registered(&again, |_| true);
    let others = [
        dkg.deal(v(1), &SEED).unwrap(),
        dkg.deal(v(0), &[1; 32]).unwrap(),
        fewer.deal(v(0), &SEED).unwrap(),
        again.deal(v(0), &SEED).unwrap(),
    ];
    for other in others {
        assert_ne!(other.ephemeral, dealing.ephemeral);
        assert_ne!(other.constant, dealing.constant);
        assert_ne!(other.coefficients, dealing.coefficients);
    }
}

/// Under one mask the difference of two evaluations would be in the open.
#[test]
fn no_two_evaluations_have_one_mask() {
    let (mut dkg, keys) = registered(&session(&[2, 1, 1]), |_| true);
    for dealer in 0..3 {
        let dealing = dkg.deal(v(dealer), &SEED).unwrap();
        post(&mut dkg, dealing).unwrap();
    }
    let mut masks = BTreeSet::new();
    for dealing in dkg.dealings.values() {
        for point in 0..4_u16 {
            let key = &keys[dkg.session.holders().holder(point).unwrap().as_usize()];
            let value = dkg.evaluation(key, dealing, point).unwrap();
            let masked = dealing.evaluations[usize::from(point)];
            masks.insert((masked - value.0).to_bytes_be());
        }
    }
    assert_eq!(masks.len(), 3 * 4);
}

#[test]
fn sessions_that_do_not_fit_are_refused() {
    let packing = Packing::for_parties(4).unwrap();
    let five = Holders::one_each(5).unwrap();
    let sixteen = Holders::new(&[1; 16]).unwrap();
    let packed = Packing::for_parties(16).unwrap();
    let error = Session::fresh(id(1, 0), Suite::Baseline, sixteen, packed).unwrap_err();
    assert_eq!(error, SessionError::Unpacked { found: 2 });
    let error = Session::fresh(id(1, 0), Suite::Packed, five.clone(), packing).unwrap_err();
    assert_eq!(error, SessionError::Points { expected: 4, found: 5 });
    let run = Run::fresh(&[1; 4]);
    let four = Holders::one_each(4).unwrap();
    let session = |id, dealers: &Holders| {
        Session::reshare(id, (run.key(), dealers.clone()), four.clone(), packing)
    };
    let error = session(id(2, 0), &five).unwrap_err();
    assert_eq!(error, SessionError::Dealers { expected: 4, found: 5 });
    let found = NetworkId::new([9; 32]);
    let error = session(SessionId { network: found, ..id(2, 0) }, &four).unwrap_err();
    assert_eq!(error, SessionError::Network { expected: network(), found });
    let found = Era::new(1);
    let error = session(SessionId { era: found, ..id(2, 0) }, &four).unwrap_err();
    assert_eq!(error, SessionError::Era { expected: Era::ZERO, found });
}

#[test]
fn no_secret_shows_in_debug_output() {
    let run = Run::fresh(&[2, 1, 1]);
    let shown = format!("{:?} {:#?} {:?} {:?}", run.dkg, run.dkg, run.keys, run.outcome());
    let reshared = reshare(&run, &[1; 4], 2);
    let (dkg, keys) = registered(&reshared, |_| true);
    let dealing = dkg.reshare(0, run.share(0), &SEED).unwrap();
    let shown = format!("{shown} {dkg:?} {keys:?} {dealing:?}").to_lowercase();
    let secrets = run.shares.iter().map(|(_, share)| scalar(share));
    let holder_keys = run.keys.iter().chain(&keys).map(|key| key.secret.0);
    let mut looked_at = BTreeSet::new();
    for secret in secrets.chain(holder_keys).chain([run.secret()]) {
        let (big, little) = (secret.to_bytes_be(), secret.to_bytes_le());
        assert!(looked_at.insert(big));
        for bytes in [big, little] {
            assert!(!shown.contains(&hex::encode(bytes)));
            assert!(!shown.contains(&hex::encode(&bytes[8..16])));
            let list = format!("{}, {}, {}, {}", bytes[8], bytes[9], bytes[10], bytes[11]);
            assert!(!shown.contains(&list));
        }
    }
    assert_eq!(looked_at.len(), 4 + 3 + 4 + 1);
    assert!(shown.contains("holderkey(0, …)"));
}
