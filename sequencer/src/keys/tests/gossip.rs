//! Messages on their way into a block, of senders who say more than they should.

use conclave_types::Digest;

use super::*;
use crate::{Job, JobNumber, job::SharingCheckJob, keys::Known, testing::empty_block};

/// What is being judged, by leaf.
fn judged(held: &[(JobNumber, Job)]) -> Vec<Digest> {
    let items = held.iter().filter_map(|(_, job)| {
        let Job::CheckSharing(SharingCheckJob { items, .. }) = job else { return None };
        Some(items.iter().map(|(leaf, ..)| *leaf))
    });
    items.flatten().collect()
}

/// Does the work that is held; what follows from it is held.
fn work(solo: &mut Solo) {
    for (job, work) in solo.held.replace(Vec::new()).unwrap_or_default() {
        solo.input(Input::JobDone { job, output: work.run() });
    }
}

#[test]
fn whoever_says_much_keeps_nobody_else_waiting() {
    let mut solo = Solo::keyless(4, 0);
    solo.held = Some(vec![]);
    solo.input(Input::Tick);
    for number in 0..400_u16 {
        let junk = solo.sharing(2, number.to_be_bytes().to_vec(), 0);
        solo.hear(2, Said::Sharing(Arc::new(junk)));
    }
    // Behind all of that in order of digests, which its author is free to choose.
    let last = (0..=u16::MAX).map(|number| solo.sharing(1, number.to_be_bytes().to_vec(), 0));
    let last = last.take(4_000).max_by_key(SharingMessage::leaf).unwrap();
    let leaf = last.leaf();
    solo.hear(1, Said::Sharing(Arc::new(last)));
    // What came first is being judged by itself.
    work(&mut solo);
    let judged = judged(solo.held.as_ref().unwrap());
    assert!(judged.len() > 1 && judged.contains(&leaf), "of {} it is not one", judged.len());
}

#[test]
fn what_was_proposed_in_vain_is_kept_within_the_bounds_of_its_sender() {
    let mut solo = Solo::keyless(4, 0);
    solo.held = Some(vec![]);
    for number in 0..600_u16 {
        let message = solo.sharing(3, number.to_be_bytes().to_vec(), 0);
        solo.core.known_sharing(&message);
    }
    let before = solo.core.sharing.len();
    assert!(before >= 600, "a block that may be decided needs them: {before}");
    let keys = solo.core.keys().clone();
    solo.core.sharing.decided(&empty_block(Height::new(1)), &keys);
    assert_eq!(solo.core.sharing.len(), before - (600 - 512));
}

#[test]
fn a_block_does_not_speak_for_who_has_not_signed() {
    let mut solo = Solo::keyless(4, 0);
    let forged = SharingMessage { from: ValidatorIndex::new(2), ..solo.sharing(1, vec![1], 0) };
    assert!(matches!(solo.core.known_sharing(&forged), Known::Bad));
    let signed = solo.sharing(1, vec![1], 0);
    assert!(matches!(solo.core.known_sharing(&signed), Known::Unknown), "it is judged");
}
