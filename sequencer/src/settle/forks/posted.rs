//! One side of a fork, and what L1 shows of the other.

use super::*;
use crate::{archive::OnL1, settle::Posted};

/// L1 shows what one side has posted.
fn posted(solo: &mut Solo, certificate: SettlementCertificate) {
    match archive::posted(&solo.store, certificate).unwrap() {
        OnL1::Other(posted) => solo.input(Input::Posted(posted)),
        of_ours => panic!("{of_ours:?}"),
    }
}

#[test]
fn what_l1_settles_of_another_side_convicts_who_is_in_both_quorums() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 7);
    let of_other = certificate(&other, 6);
    // Nothing of this side is certified here before the forger has attested it.
    posted(&mut solo, of_other.clone());
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 0));
    let told = |solo: &Solo| {
        let is_told = |event: &&Event| matches!(event, Event::Anomaly { detail, .. } if detail.contains("an L1 endpoint shows"));
        solo.events.iter().filter(is_told).count()
    };
    assert_eq!(told(&solo), 1);
    attest(&mut solo, FORGER, &one, 7);
    assert_eq!(evidence(&solo), [(vec![FORGER], 6, 7, true)]);
    posted(&mut solo, certificate(&other, 7));
    assert_eq!((evidence(&solo).len(), told(&solo)), (1, 1), "once is enough");
    // The epoch is left, and L1 shows more of it.
    let epoch = of_other.commitment.epoch.next();
    solo.core.settlement.strays.forget_before(epoch);
    posted(&mut solo, certificate(&other, 5));
    assert_eq!((evidence(&solo).len(), told(&solo)), (1, 1), "of the last epoch it is known");
    solo.core.settlement.strays.forget_before(epoch.next());
    assert!(!solo.core.settlement.strays.has_quorum(of_other.commitment.epoch));
    // The other way around: certified first, and L1 shows what is below.
    let mut solo = follower(&one, 7);
    attest(&mut solo, FORGER, &one, 7);
    posted(&mut solo, of_other);
    assert_eq!(evidence(&solo), [(vec![FORGER], 6, 7, true)]);
    assert_eq!(solo.core.status().evidence_count, 1, "it is kept, for whoever reports it");
}

#[test]
fn what_this_node_has_forgotten_of_its_own_side_its_archive_holds_against_who_is_posted() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 7);
    attest(&mut solo, FORGER, &one, 7);
    let known = archive::posted(&solo.store, certificate(&other, 6)).unwrap();
    let OnL1::Other(known) = known else { panic!("{known:?}") };
    assert_eq!(known.binding, Some(certificate(&solo.store, 7)));
    solo.core.settlement.collected.clear();
    posted(&mut solo, certificate(&other, 6));
    assert_eq!(evidence(&solo), [(vec![FORGER], 6, 7, true)]);
}

#[test]
fn what_is_posted_is_believed_for_its_signatures_alone() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 7);
    attest(&mut solo, FORGER, &one, 7);
    let good = certificate(&other, 6);
    let changes: [fn(&mut SettlementCertificate); 2] = [
        |posted| posted.commitment.forced_cursor += 1,
        |posted| posted.signers = vec![ValidatorIndex::new(OTHER)],
    ];
    for change in changes {
        let mut forged = good.clone();
        change(&mut forged);
        posted(&mut solo, forged);
    }
    // Of one that a single validator has signed, well: L1 never takes it, and it is no posting.
    let digest = SigningDomain::of(&solo.genesis).commitment(&good.commitment);
    let signature = solo.settlement_secret(OTHER).sign(&digest);
    posted(&mut solo, alone(&good.commitment, ValidatorIndex::new(OTHER), signature));
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 0));
    // What is this node's own, or not to be compared yet, the core is not told, and does not take.
    let read = |certificate| archive::posted(&solo.store, certificate).unwrap();
    assert_eq!(read(certificate(&one, 6)), OnL1::Ours);
    assert_eq!(read(certificate(&other, 9)), OnL1::NotYet);
    let OnL1::Other(known) = read(good) else { panic!("it is another side's") };
    for ours in [committed(&one, 6), committed(&one, 7)] {
        let certificate = certificate(&one, 6);
        let told = Posted { certificate, ours, ..Posted::clone(&known) };
        solo.input(Input::Posted(Box::new(told)));
    }
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 0));
}
