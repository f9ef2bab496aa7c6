//! Eras: another key, who makes it, and which of two a bundle may be sealed to.

use conclave_mempool::admission::{AdmissionError, AdmittedKeys};
use conclave_types::{BlockBody, BundleId, Digest, Era, next_key_root};

use super::*;
use crate::Event;

/// A chain in its second epoch of an era of two, whose third has a key of its own.
fn before_another_era() -> Chain {
    let mut genesis = genesis();
    genesis.params.sharing.era_epochs = 2;
    genesis.params.sharing.overlap_heights = HeightDelta::new(OVERLAP);
    let mut chain = Chain::of(genesis);
    chain.make_key();
    chain.empty_until(|chain| chain.keys.attempt().is_some());
    chain.make_key();
    chain.empty_until(|chain| chain.keys.attempt().is_some());
    chain
}

/// The key of the next era is made, and a quorum has its shares.
fn fixed() -> Chain {
    let mut chain = before_another_era();
    chain.register(0..COUNT);
    chain.deal(0..COUNT);
    chain.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
    chain.acknowledge(0..COUNT);
    chain
}

#[test]
fn an_era_has_a_key_that_no_share_of_before_says_anything_about() {
    let mut chain = before_another_era();
    let before = chain.keys.newest().unwrap().clone();
    let session = chain.attempt().session().clone();
    assert_eq!((session.id().era, session.id().epoch), (Era::new(1), Epoch::new(3)));
    assert!(session.old_key().is_none(), "nothing is handed on");
    chain.make_key();
    let after = chain.keys.newest().unwrap().clone();
    assert_eq!((before.epoch, after.epoch), (Epoch::new(2), Epoch::new(3)));
    assert_ne!(before.key.encryption_key().public_key, after.key.encryption_key().public_key);
    assert_eq!(after.key.encryption_key().era, Era::new(1));
    // The epoch after that is the second of its era.
    chain.empty_until(|chain| chain.keys.attempt().is_some());
    chain.make_key();
    let newest = chain.keys.newest().unwrap();
    assert_eq!((newest.epoch, newest.key.id()), (Epoch::new(4), after.key.id()));
}

#[test]
fn bundles_under_both_keys_are_admitted_while_blocks_still_take_the_old_one() {
    let mut chain = before_another_era();
    let old = chain.keys.newest().unwrap().key.id();
    assert_eq!(chain.keys.admitted(chain.height.next()), AdmittedKeys::only(old));
    chain = fixed();
    let new = chain.attempt().outcome().unwrap().key().id();
    let until = chain.height.saturating_add(HeightDelta::new(OVERLAP));
    let epoch = Epoch::new(3);
    assert_eq!(chain.changes.last(), Some(&KeyChange::NextEra { epoch, key: new, until }));
    assert!(
        !chain.keys.is_busy(chain.height.next()),
        "an overlap is time for users, not to be hurried"
    );
    while chain.height < until {
        let next = chain.height.next();
        assert!(chain.keys.takes_bundles(next));
        assert_eq!(chain.keys.id_at(next), old, "what they carry is sealed to the key in force");
        let both = AdmittedKeys { current: old, next: Some(new) };
        assert_eq!(chain.keys.admitted(next), both);
        // Who seals now should find a block in time.
        let is_late = until.above(next) < HeightDelta::new(NOTICE.as_u64() - 1);
        let seal_to = chain.keys.seal_to(next).unwrap().id();
        assert_eq!(seal_to, if is_late { new } else { old }, "height {next}, until {until}");
        chain.revealed = next;
        chain.block(&[], true).unwrap();
    }
    let first = chain.keys.newest().unwrap().first;
    assert_eq!(first, until.saturating_add(NOTICE));
    while chain.height.next() < first {
        let next = chain.height.next();
        assert!(!chain.keys.takes_bundles(next) && chain.keys.is_busy(next));
        assert_eq!(chain.keys.admitted(next), AdmittedKeys::only(new));
        assert_eq!(chain.keys.seal_to(next).unwrap().id(), new);
        assert_eq!((chain.keys.id_at(next), chain.keys.next_key_id(next)), (old, new));
        chain.block(&[], false).unwrap();
    }
    assert!(chain.keys.takes_bundles(first));
    assert_eq!(chain.keys.admitted(first), AdmittedKeys::only(new));
    assert_eq!((chain.keys.id_at(first), chain.keys.next_key_id(first)), (new, KeyId::ZERO));
}

#[test]
fn blocks_name_the_key_of_the_next_era_from_when_it_cannot_fail_any_more() {
    let mut chain = before_another_era();
    chain.register(0..COUNT);
    chain.deal(0..COUNT);
    chain.empty_until(|chain| chain.attempt().phase() == Phase::Finished);
    assert_eq!(chain.keys.next_key_id(chain.height.next()), KeyId::ZERO, "L1 may offer others yet");
    chain.acknowledge(0..COUNT);
    let new = chain.attempt().outcome().unwrap().key().id();
    assert_eq!(chain.keys.next_key_id(chain.height.next()), new);
    let body = BlockBody { next_key: new, ..BlockBody::default() };
    assert_eq!(body.sharing_root(), next_key_root(&new, &Digest::ZERO));
    assert_ne!(body.sharing_root(), BlockBody::default().sharing_root());
}

#[test]
fn too_few_dealings_for_a_new_key_make_the_era_longer() {
    let mut chain = before_another_era();
    let old = chain.keys.newest().unwrap().key.id();
    chain.register(0..COUNT);
    chain.deal(0..2);
    chain.empty_until(|chain| chain.attempt().session().id().round == Round::new(1));
    assert!(chain.attempt().session().old_key().is_none());
    assert_eq!(chain.keys.admitted(chain.height.next()), AdmittedKeys::only(old));
    chain.make_key();
    assert_ne!(chain.keys.newest().unwrap().key.id(), old);
}

#[test]
fn a_recorded_state_goes_on_to_the_same_era() {
    let mut chain = before_another_era();
    let begins = [KeyChange::Attempt { epoch: Epoch::new(3), round: Round::ZERO }];
    let checkpoint = chain.keys.checkpoint(chain.height, &begins).expect("an attempt begins");
    chain.keys = Keys::restore(&chain.genesis, checkpoint).unwrap();
    chain.make_key();
    assert_eq!(chain.keys.newest().unwrap().key.encryption_key().era, Era::new(1));
}

/// Until the key of an epoch is in force, which bundles are sealed to from now on.
fn run_to_epoch(solo: &mut Solo, epoch: u64) {
    run_until(solo, |solo| {
        let next = solo.core.status().decided.next();
        solo.core.keys().at(next).is_some_and(|key| key.epoch == Epoch::new(epoch))
    });
    solo.key = (*solo.core.keys().newest().unwrap().key).clone();
}

#[test]
fn what_no_block_took_before_its_era_ended_is_returned_and_its_nonce_is_free() {
    let mut solo = alone_with_eras(1);
    run_to_epoch(&mut solo, 1);
    // What should go before it never comes.
    let stranded = solo.bundle(1);
    let (id, old) = (stranded.id(), stranded.header.key_id);
    solo.submit(stranded.clone()).unwrap();
    run_until(&mut solo, |solo| solo.core.status().next_key.is_some());
    assert!(solo.core.is_pooled(&id) && !solo.core.is_returned(&id), "blocks still take it");
    run_until(&mut solo, |solo| !solo.core.is_pooled(&id));
    assert!(solo.core.is_returned(&id));
    let returned =
        |event: &Event| matches!(event, Event::Returned { bundles, .. } if *bundles == [id]);
    assert_eq!(solo.events.iter().filter(|event| returned(event)).count(), 1);
    solo.restart();
    assert!(solo.core.is_returned(&id), "who asks after a crash is told so, too");
    let new = solo.core.status().next_key.unwrap();
    let refused = AdmissionError::Key { expected: new, found: old };
    assert_eq!(solo.submit(stranded), Err(Rejection::Admission(refused)));
    run_to_epoch(&mut solo, 2);
    assert_eq!((solo.core.status().key, solo.core.status().next_key), (Some(new), None));
    let again: Vec<BundleId> = [0, 1]
        .map(|sequence| {
            let bundle = solo.bundle(sequence);
            solo.submit(bundle.clone()).unwrap();
            bundle.id()
        })
        .into();
    run_until(&mut solo, |solo| again.iter().all(|id| !solo.core.is_pooled(id)));
    solo.run_to(solo.core.status().decided.as_u64());
    let opened: Vec<_> = solo
        .events
        .iter()
        .filter_map(|event| {
            let Event::Revealed { block, .. } = event else { return None };
            Some(block.bundles.iter().map(|bundle| bundle.id))
        })
        .flatten()
        .collect();
    assert_eq!(opened.len(), 2);
    assert!(again.iter().all(|id| opened.contains(id)), "under another id, and opened");
}
