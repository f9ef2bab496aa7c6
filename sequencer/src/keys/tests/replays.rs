//! A bundle that was ordered, opened and paid for, handed in once more.

use conclave_mempool::{
    LedgerError, PoolError,
    admission::{AdmissionError, Rules},
};
use conclave_types::{
    BundleId, EncryptedBundle, PayerAddress, StrictVerifier, digest::SigningDomain,
};

use super::*;
use crate::{
    Event,
    judge::{InvalidBlock, Rulebook},
    testing::empty_block,
};

/// Until bundles are sealed to the key of an epoch.
fn run_to_epoch(solo: &mut Solo, epoch: u64) {
    run_until(solo, |solo| {
        let next = solo.core.status().decided.next();
        let key = solo.core.keys().at(next);
        key.is_some_and(|key| key.epoch == Epoch::new(epoch))
            && solo.core.keys().takes_bundles(next)
    });
    solo.key = (*solo.core.keys().newest().unwrap().key).clone();
}

/// How often a bundle was opened.
fn opened(solo: &Solo, id: BundleId) -> usize {
    let in_block = |event: &Event| {
        let Event::Revealed { block, .. } = event else { return 0 };
        block.bundles.iter().filter(|bundle| bundle.id == id).count()
    };
    solo.events.iter().map(in_block).sum()
}

/// A bundle that an epoch has ordered and opened; the next one has begun.
fn opened_before(era_epochs: u64) -> (Solo, EncryptedBundle) {
    let mut solo = alone_with_eras(era_epochs);
    run_to_epoch(&mut solo, 1);
    let bundle = solo.bundle(0);
    solo.submit(bundle.clone()).unwrap();
    run_until(&mut solo, |solo| opened(solo, bundle.id()) == 1);
    let at = solo.core.status().decided;
    assert_eq!(solo.core.keys().epochs().at(at), Epoch::new(1));
    run_to_epoch(&mut solo, 2);
    (solo, bundle)
}

/// What a proposer hears of a block at the next height that carries the bundle all the same.
fn in_a_block(solo: &Solo, bundle: &EncryptedBundle) -> Result<usize, InvalidBlock> {
    let (domain, rules) = (SigningDomain::of(&solo.genesis), Rules::new(&solo.genesis));
    let rulebook = Rulebook {
        network: solo.genesis.network_id(),
        domain: &domain,
        keys: solo.core.keys(),
        verifier: &StrictVerifier,
        params: &solo.genesis.params,
        bundles: &rules,
    };
    let next = solo.core.status().decided.next();
    let mut block = empty_block(next);
    block.header.key_id = solo.core.keys().id_at(next);
    block.body.bundles = vec![bundle.id()];
    let charges = rulebook.check_bundles(&block, [bundle].into_iter(), &solo.core.chain.ledger);
    charges.map(|charges| charges.len())
}

fn used(payer: PayerAddress) -> (PoolError, LedgerError) {
    let (lane, expected, found) = (0, 1, 0);
    let in_pool = PoolError::Used { payer, lane, expected, found };
    (in_pool, LedgerError::Nonce { payer, lane, expected, found })
}

#[test]
fn a_bundle_that_was_opened_is_refused_in_another_epoch_of_its_era() {
    let (mut solo, bundle) = opened_before(0);
    let key = solo.core.keys().id_at(solo.core.status().decided.next());
    assert_eq!(key, bundle.header.key_id, "it is sealed to the key in force, and its proof holds");
    let (in_pool, in_block) = used(bundle.header.payer);
    for is_restarted in [false, true] {
        if is_restarted {
            solo.restart();
        }
        let again = solo.submit(bundle.clone());
        assert_eq!(again, Err(Rejection::Pool(in_pool.clone())));
        let carried = in_a_block(&solo, &bundle);
        assert_eq!(carried, Err(InvalidBlock::Ledger(in_block.clone())));
    }
    // What is new goes on: it is the nonce that is used, not the epoch that takes nothing.
    let next = solo.bundle(1);
    assert_eq!(in_a_block(&solo, &next), Ok(1));
    solo.submit(next.clone()).unwrap();
    run_until(&mut solo, |solo| opened(solo, next.id()) == 1);
    assert_eq!(opened(&solo, bundle.id()), 1);
}

#[test]
fn a_bundle_that_was_opened_is_refused_in_another_era_under_its_key_and_under_the_new_one() {
    let (mut solo, bundle) = opened_before(1);
    let (expected, found) = (solo.key.id(), bundle.header.key_id);
    assert_ne!(expected, found, "a fresh key");
    let reason = AdmissionError::Key { expected, found };
    assert_eq!(solo.submit(bundle.clone()), Err(Rejection::Admission(reason.clone())));
    let invalid = InvalidBlock::Bundle { id: bundle.id(), reason };
    assert_eq!(in_a_block(&solo, &bundle), Err(invalid));
    // Relabelled, and signed again: whoever pays twice for it gets nothing opened by that either.
    let mut relabelled = bundle.clone();
    relabelled.header.key_id = expected;
    relabelled.header.nonce.sequence = 1;
    crate::testing::Payer::new(1).sign(&mut relabelled);
    assert_eq!(solo.submit(relabelled), Err(Rejection::Admission(AdmissionError::Proof)));
    assert_eq!(opened(&solo, bundle.id()), 1);
}
