//! Verification makes way for blocks, for a while.

use conclave_encryption::SealedBlock;
use conclave_types::{BlockId, VoteKind};

use super::*;
use crate::{Input, encapsulation, reveal::SOON, settle::tests::attestation, testing::Solo};

const HEIGHT: Height = Height::new(1);

/// Validator 1 of four has proposed a block of one bundle, and computes its shares for as long as a test likes.
fn voting() -> (Solo, BlockId, SealedBlock) {
    let mut solo = Solo::of(4, 1);
    let bundle = solo.bundle(0);
    let sealed_as = encapsulation(&bundle);
    solo.submit(bundle).unwrap();
    solo.held = Some(vec![]);
    let block = solo.run_to_proposal();
    let sealed = SealedBlock::new(&solo.key, HEIGHT, block, &[sealed_as]).unwrap();
    (solo, block, sealed)
}

fn hand_in(solo: &mut Solo, sequence: u64) {
    let bundle = Arc::new(solo.bundle(sequence));
    solo.hear(0, Message::Bundles(vec![bundle]));
}

/// How many bundles each job verifies that was asked for and is not done.
fn verified(solo: &Solo) -> Vec<usize> {
    let jobs = solo.held.iter().flatten();
    jobs.filter(|(_, job)| job.kind() == "verify").map(|(_, job)| job.bundle_count()).collect()
}

fn decide(solo: &mut Solo, block: BlockId) {
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for voter in [0, 2, 3] {
            solo.vote(kind, voter, block);
        }
    }
    assert_eq!(solo.core.status().decided, HEIGHT);
}

/// Others' shares come, and all work is done that is not verification.
fn open(solo: &mut Solo, block: BlockId, sealed: &SealedBlock) {
    for from in [0, 2] {
        let shares = solo.shares_of(from, (HEIGHT, block), sealed);
        solo.hear(from, Message::Shares(Arc::new(shares)));
    }
    work(solo);
}

fn work(solo: &mut Solo) {
    while let Some(place) = solo.held.iter().flatten().position(|(_, job)| job.kind() != "verify") {
        let (job, work) = solo.held.as_mut().unwrap().remove(place);
        solo.input(Input::JobDone { job, output: work.run() });
    }
}

#[test]
fn what_comes_in_while_a_block_is_on_its_way_is_verified_together_when_it_is_open() {
    let (mut solo, block, sealed) = voting();
    for sequence in 1..4 {
        hand_in(&mut solo, sequence);
    }
    assert_eq!(verified(&solo), Vec::<usize>::new());
    decide(&mut solo, block);
    assert_eq!(verified(&solo), Vec::<usize>::new(), "decided, and not open");
    open(&mut solo, block, &sealed);
    assert_eq!(solo.core.status().revealed, HEIGHT);
    assert_eq!(verified(&solo), Vec::<usize>::new(), "others may be opening it");
    for from in [0, 2] {
        let commitment = archive::commitment(&solo.store, HEIGHT).unwrap().unwrap();
        let attestation = attestation(&solo, from, commitment);
        solo.hear(from, Message::Attestation(Arc::new(attestation)));
    }
    assert_eq!(solo.core.status().certified, Height::ZERO);
    work(&mut solo);
    assert_eq!(solo.core.status().certified, HEIGHT);
    assert_eq!(verified(&solo), [3]);
    assert_eq!(solo.core.intake.wake_at(), None);
}

#[test]
fn a_block_that_is_not_opened_or_certified_soon_has_nothing_make_way() {
    for opens in [false, true] {
        let (mut solo, block, sealed) = voting();
        let decided = solo.now;
        work(&mut solo);
        decide(&mut solo, block);
        if opens {
            open(&mut solo, block, &sealed);
        }
        assert_eq!(solo.core.status().revealed == HEIGHT, opens);
        solo.now = decided.after(SOON / 2);
        hand_in(&mut solo, 1);
        assert_eq!(verified(&solo), Vec::<usize>::new());
        solo.now = decided.after(SOON);
        hand_in(&mut solo, 2);
        assert_eq!(verified(&solo), [2], "long before the first has waited for the bound");
    }
}

#[test]
fn nothing_makes_way_for_longer_than_the_bound() {
    let (mut solo, ..) = voting();
    hand_in(&mut solo, 1);
    let until = solo.now.after(YIELD_MAX);
    assert_eq!(solo.core.intake.wake_at(), Some(until));
    solo.now = solo.now.after(YIELD_MAX / 2);
    hand_in(&mut solo, 2);
    assert_eq!(solo.core.intake.wake_at(), Some(until), "the first that came counts");
    assert_eq!(verified(&solo), Vec::<usize>::new());
    solo.now = until;
    solo.input(Input::Tick);
    assert_eq!(verified(&solo), [2]);
}

#[test]
fn a_whole_batch_and_what_a_block_needs_make_no_way() {
    let (mut solo, ..) = voting();
    for sequence in 1..=64 {
        assert_eq!(verified(&solo), Vec::<usize>::new());
        hand_in(&mut solo, sequence);
    }
    assert_eq!(verified(&solo), [64]);
    let (mut solo, ..) = voting();
    hand_in(&mut solo, 1);
    let needed = Arc::new(solo.bundle(2));
    solo.core.intake.need(needed.id());
    solo.hear(0, Message::Bundles(vec![needed]));
    assert_eq!(verified(&solo), [2], "and what waits comes along");
    // Or what waits already turns out to be needed.
    let (mut solo, ..) = voting();
    hand_in(&mut solo, 1);
    let needed = Arc::new(solo.bundle(2));
    let id = needed.id();
    solo.hear(0, Message::Bundles(vec![needed]));
    assert_eq!(verified(&solo), Vec::<usize>::new());
    solo.core.intake.need(id);
    assert_eq!(solo.core.intake.queue.front(), Some(&id));
    solo.input(Input::Tick);
    assert_eq!(verified(&solo), [2]);
}
