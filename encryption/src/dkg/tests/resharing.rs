use super::*;
use crate::curve::decode_on_curve;

/// The committees that a key is handed through: tickets, and how many old points deal.
#[test]
fn the_key_survives_joins_leaves_rotation_and_strangers() {
    Suite::ALL.into_iter().for_each(survives);
}

fn survives(suite: Suite) {
    let first = Run::fresh_of(suite, &[1; 4]);
    let bundle = first.seal();
    let key = first.key().encryption_key().clone();
    let steps: [&[u16]; 7] =
        [&[1; 4], &[1; 7], &[1; 6], &[2, 0, 3, 1, 1], &[1; 16], &[1, 1, 2], &[1]];
    let mut old = first;
    assert_eq!(old.key().sealing_key().is_prepared(), suite == Suite::Baseline);
    for (epoch, tickets) in (2..).zip(steps) {
        let session = reshare(&old, tickets, epoch);
        // As many as are needed and no more; the last ones.
        let count = old.key().packing().parties();
        let dealers = (0..count).rev().take(session.required().into());
        let new = Run::reshared(&old, &session, dealers);
        new.assert_sound();
        let found = new.key().encryption_key();
        assert_eq!(found.public_key, key.public_key);
        assert_eq!(found.public_key_g2, key.public_key_g2);
        assert_eq!(new.key().id(), old.key().id());
        // What was prepared of the key is there for the next sharing of it.
        assert_eq!(new.key().sealing_key().is_prepared(), old.key().sealing_key().is_prepared());
        new.key().sealing_key().prepare();
        assert!(old.key().sealing_key().is_prepared());
        assert_ne!(found.verification_keys, old.key().encryption_key().verification_keys);
        new.assert_opens(&bundle);
        new.assert_opens(&new.seal());
        old = new;
    }
}

#[test]
fn every_set_of_old_points_that_suffices_hands_on_the_same_key() {
    let old = Run::fresh(&[1; 4]);
    let session = reshare(&old, &[1; 4], 2);
    let bundle = old.seal();
    for missing in 0..4 {
        let new = Run::reshared(&old, &session, (0..4).filter(|point| *point != missing));
        new.assert_sound();
        new.assert_opens(&bundle);
    }
}

#[test]
fn fewer_old_points_than_determine_the_key_end_the_attempt() {
    let old = Run::fresh(&[1; 16]);
    let session = reshare(&old, &[1; 4], 2);
    assert_eq!(session.required(), 10);
    let (mut dkg, _) = registered(&session, |_| true);
    old.deal(&mut dkg, 0..9);
    dkg.close_dealing().unwrap();
    let expected = AdvanceError::TooFew { required: 10, found: 9 };
    assert_eq!(dkg.finish().unwrap_err(), expected);
}

#[test]
fn a_bad_dealing_of_an_old_holder_is_passed_over() {
    let old = Run::fresh(&[2, 1, 1]);
    let (mut dkg, keys) = registered(&reshare(&old, &[1; 4], 2), |_| true);
    let wrong = rogue_with(&dkg, 1, [scalar(old.share(1)), Scalar::from(5)], |d| spoil(d, 2));
    post(&mut dkg, wrong).unwrap();
    old.deal(&mut dkg, [0, 2, 3]);
    let complaint = dkg.complaints(&keys[2]).remove(0);
    // The dealer is named by its index in the old committee.
    let event = Event::Disqualified { dealer: 1, validator: v(0) };
    assert_eq!(dkg.apply(v(2), &Message::Complain(complaint)), Ok(event));
    let new = Run::finish(dkg, keys);
    assert_eq!(new.outcome().qualified().collect::<Vec<_>>(), [0, 2, 3]);
    new.assert_sound();
    new.assert_opens(&old.seal());
}

#[test]
fn old_and_new_shares_do_not_mix() {
    let old = Run::fresh(&[1; 4]);
    let new = Run::reshared(&old, &reshare(&old, &[1; 4], 2), [0, 1, 2]);
    let (_, u) = old.seal();
    let block = SealedBlock::new(new.key(), Height::new(9), BlockId::ZERO, &bare(&[u])).unwrap();
    for stale in 0..4_u16 {
        assert!(!old.share(stale).matches(new.key(), stale));
        assert!(!new.share(stale).matches(old.key(), stale));
        let sent: Vec<_> = (0..4_u16)
            .map(|point| {
                let run = if point == stale { &old } else { &new };
                (point, block.share(run.share(point), point))
            })
            .collect();
        let list: Vec<(u16, &[G1Bytes])> = sent.iter().map(|(p, s)| (*p, s.as_slice())).collect();
        assert_eq!(block.blame(&list, &SEED), [stale]);
        let with_stale: Vec<_> = (0..3).map(|step| list[(usize::from(stale) + step) % 4]).collect();
        let openings = block.combine(&with_stale, 0..block.share_count()).unwrap();
        assert!(!block.check(&openings, &SEED));
        let without: Vec<_> = list.iter().filter(|(p, _)| *p != stale).copied().collect();
        let openings = block.combine(&without, 0..block.share_count()).unwrap();
        assert!(block.check(&openings, &SEED));
        assert!(decode_on_curve(openings[1].point().unwrap()).is_some());
    }
}

#[test]
fn a_share_that_is_stale_after_a_crash_deals_nothing() {
    let first = Run::fresh(&[1; 4]);
    let second = Run::reshared(&first, &reshare(&first, &[1; 4], 2), [0, 1, 2]);
    let (dkg, _) = registered(&reshare(&second, &[1; 4], 3), |_| true);
    let stale = dkg.reshare(1, first.share(1), &SEED).unwrap_err();
    assert_eq!(stale, DealError::StaleShare { point: 1 });
    let foreign = dkg.reshare(1, second.share(2), &SEED).unwrap_err();
    assert_eq!(foreign, DealError::StaleShare { point: 1 });
    let nobody = dkg.reshare(4, second.share(2), &SEED).unwrap_err();
    assert_eq!(nobody, DealError::NotADealer { dealer: 4 });
    assert_eq!(dkg.deal(v(0), &SEED).unwrap_err(), DealError::Resharing);
    let (fresh, _) = registered(&session(&[1; 4]), |_| true);
    assert_eq!(fresh.reshare(0, first.share(0), &SEED).unwrap_err(), DealError::Fresh);
}

#[test]
fn one_validator_changes_its_keys_by_resharing_to_the_same_committee() {
    let old = Run::fresh(&[1; 4]);
    let session = reshare(&old, &[1; 4], 2);
    let mut dkg = Dkg::new(session.clone());
    let mut keys = keys(&session);
    keys[2] = HolderKey::derive(&session, v(2), &[0xee; 32]);
    for key in &keys {
        dkg.apply(key.validator(), &Message::Register(key.registration(&session))).unwrap();
    }
    dkg.close_registration().unwrap();
    old.deal(&mut dkg, [3, 1, 0]);
    let new = Run::finish(dkg, keys);
    new.assert_sound();
    // The key that it had, or never registered, opens nothing.
    let other = HolderKey::derive(&session, v(2), &[2; 32]);
    let error = new.dkg.my_share(&other, 2).unwrap_err();
    assert_eq!(error, ShareUnavailable::OtherKey { validator: v(2) });
    assert!(new.dkg.complaints(&other).is_empty());
    let error = new.dkg.my_share(&new.keys[2], 1).unwrap_err();
    assert_eq!(error, ShareUnavailable::NotTheHolder { validator: v(2), point: 1 });
}

#[test]
fn a_resharing_of_one_sharing_is_not_one_of_another() {
    let old = Run::fresh(&[1; 4]);
    let other = Run::reshared(&old, &reshare(&old, &[1; 4], 2), [0, 1, 2]);
    // Same key, same epoch, same committee: but other shares.
    let (from_old, _) = registered(&reshare(&old, &[1; 4], 3), |_| true);
    let (mut from_other, _) = registered(&reshare(&other, &[1; 4], 3), |_| true);
    let dealing = from_old.reshare(0, old.share(0), &SEED).unwrap();
    assert_eq!(post(&mut from_other, dealing), Err(Refusal::NotTheShare { dealer: 0 }));
}
