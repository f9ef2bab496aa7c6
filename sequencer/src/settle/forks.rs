//! Two histories, and validators who are caught between them, or attest both. Validator 0 has the power to decide alone, and
//! the key of a forger: what it decides on two machines are the sides of a fork.

#![expect(clippy::wildcard_enum_match_arm, reason = "the rest is not what a test is about")]

mod posted;

use std::{sync::Arc, time::Duration};

use conclave_consensus::{Attested, HighWater};
use conclave_types::{
    Attestation, BlockCommitment, Epoch, Genesis, Height, SettlementCertificate, ValidatorIndex,
    contradict, digest::SigningDomain,
};

use super::{
    DoubleAttestation,
    strays::{Strays, alone},
};
use crate::{
    archive::{self, ArchiveRequest},
    config::{LostState, SettledOnL1},
    input::{Event, Input, Peer, Ready},
    message::Message,
    sequencer::Sequencer,
    store::Write,
    testing::{Memory, Solo},
};

/// The last height that both sides have in common.
const FORK: u64 = 4;
const FORGER: u16 = 0;
const HONEST: u16 = 1;
const OTHER: u16 = 2;

/// One validator of four that make their key first, of whom the forger alone is a quorum.
fn lopsided(index: u16) -> Solo {
    let mut solo = Solo::keyless(4, usize::from(index));
    let mut genesis = Genesis::clone(&solo.genesis);
    genesis.members[0].power = 9;
    solo.genesis = Arc::new(genesis);
    solo.store = Memory::new();
    solo.events.clear();
    solo.restart();
    solo
}

/// The sides of a fork, as they were decided up to a height.
fn sides(height: u64) -> [Memory; 2] {
    let mut one = lopsided(FORGER);
    one.run_to(FORK);
    let mut other = lopsided(FORGER);
    other.store = one.store.clone();
    // A second later it builds another block.
    other.now = one.now.after(Duration::from_secs(1));
    other.restart();
    for side in [&mut one, &mut other] {
        side.run_to(height);
    }
    assert_eq!(committed(&one.store, FORK), committed(&other.store, FORK));
    assert_ne!(committed(&one.store, FORK + 1), committed(&other.store, FORK + 1));
    [one.store, other.store]
}

fn committed(side: &Memory, height: u64) -> BlockCommitment {
    archive::commitment(side, Height::new(height)).unwrap().unwrap()
}

fn certificate(side: &Memory, height: u64) -> SettlementCertificate {
    archive::certificate(side, Height::new(height)).unwrap().unwrap()
}

/// The honest validator is caught up by whoever shows it a side, up to a height.
fn follow(solo: &mut Solo, side: &Memory, to: u64) {
    let tip = archive::tip(side).unwrap().unwrap();
    solo.now = solo.now.after(Duration::from_secs(3_600));
    for _ in 0..100 {
        let decided = solo.core.status().decided;
        if decided >= Height::new(to) {
            return;
        }
        let status = Message::Status { decided: tip.decided, revealed: tip.revealed };
        solo.hear(FORGER, status);
        solo.now = solo.now.after(Duration::from_millis(300));
        solo.input(Input::Tick);
        let answer = archive::answer(side, &ArchiveRequest::Decided { from: decided.next() });
        let Some(Message::Decided(mut blocks)) = answer.unwrap() else { panic!("blocks") };
        blocks.retain(|block| block.block.header.height <= Height::new(to));
        solo.hear(FORGER, Message::Decided(blocks));
    }
    panic!("{:?}", solo.core.status());
}

/// The honest validator, having followed a side up to a height.
fn follower(side: &Memory, to: u64) -> Solo {
    let mut solo = lopsided(HONEST);
    follow(&mut solo, side, to);
    solo
}

/// A validator attests a height of a side.
fn attest(solo: &mut Solo, by: u16, side: &Memory, height: u64) {
    let commitment = committed(side, height);
    let digest = SigningDomain::of(&solo.genesis).commitment(&commitment);
    let signature = solo.settlement_secret(by).sign(&digest);
    let said = Attestation { commitment, validator: ValidatorIndex::new(by), signature };
    solo.hear(by, Message::Attestation(Arc::new(said)));
}

/// Evidence against validators, each with the two heights and whether it convicts as L1 is shown it.
fn evidence(solo: &Solo) -> Vec<(Vec<u16>, u64, u64, bool)> {
    let domain = SigningDomain::of(&solo.genesis);
    let committee = solo.genesis.validate().unwrap();
    let told = solo.events.iter().filter_map(|event| match event {
        Event::DoubleAttestation(evidence) => Some(DoubleAttestation::clone(evidence)),
        _ => None,
    });
    let describe = |evidence: DoubleAttestation| {
        let accused = evidence.accused().iter().map(|signer| signer.as_u16()).collect();
        let shown = archive::shown(&solo.store, &domain, evidence).unwrap().unwrap();
        let (first, second) = (&shown.first.commitment, &shown.second.commitment);
        let is_signed = [&shown.first, &shown.second]
            .iter()
            .all(|said| said.verify_signature(&committee, &domain) == Ok(()));
        let convicts = is_signed && contradict([first, second], shown.held.as_ref(), &domain);
        (accused, first.height.as_u64(), second.height.as_u64(), convicts)
    };
    told.map(describe).collect()
}

fn attested(solo: &Solo) -> Vec<u64> {
    let is_own = |height: &u64| {
        archive::own_attestation(&solo.store, Height::new(*height)).unwrap().is_some()
    };
    (1..=30).filter(is_own).collect()
}

#[test]
fn who_attests_another_history_and_later_this_one_is_convicted_of_both() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 9);
    attest(&mut solo, OTHER, &other, 6);
    assert_eq!(evidence(&solo), [], "it may be somebody honest on the other side");
    attest(&mut solo, OTHER, &one, 5);
    assert_eq!(evidence(&solo), [], "what shows that is the other side's to show");
    attest(&mut solo, OTHER, &one, 8);
    assert_eq!(evidence(&solo), [(vec![OTHER], 6, 8, true)]);
    attest(&mut solo, OTHER, &one, 9);
    attest(&mut solo, OTHER, &other, 7);
    assert_eq!(evidence(&solo).len(), 1, "one of an epoch is enough");
    assert_eq!((solo.core.status().evidence_count, solo.penalties), (1, 0));
}

#[test]
fn it_counts_whichever_is_heard_first_and_in_whatever_it_stands() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 9);
    attest(&mut solo, OTHER, &one, 8);
    attest(&mut solo, OTHER, &other, 6);
    assert_eq!(evidence(&solo), [(vec![OTHER], 6, 8, true)]);
    // The forger is a quorum, so what it attests is a certificate.
    attest(&mut solo, FORGER, &one, 7);
    assert_eq!(solo.core.status().certified, Height::new(7));
    attest(&mut solo, FORGER, &other, 6);
    assert_eq!(evidence(&solo)[1..], [(vec![FORGER], 6, 7, true)]);
}

#[test]
fn at_one_height_it_is_evidence_as_ever() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 9);
    attest(&mut solo, OTHER, &one, 8);
    attest(&mut solo, OTHER, &other, 8);
    assert_eq!(evidence(&solo), [(vec![OTHER], 8, 8, true)]);
}

#[test]
fn what_comes_before_the_reveal_is_held_against_its_author_then() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 5);
    attest(&mut solo, OTHER, &other, 6);
    attest(&mut solo, OTHER, &one, 8);
    assert_eq!(evidence(&solo), []);
    follow(&mut solo, &one, 9);
    assert_eq!(evidence(&solo), [(vec![OTHER], 6, 8, true)]);
}

#[test]
fn who_attests_one_history_alone_is_accused_of_nothing() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 9);
    for height in 1..=9 {
        let side = if height > FORK { &other } else { &one };
        attest(&mut solo, OTHER, side, height);
        attest(&mut solo, 3, &one, height);
    }
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 0));
    // And what nobody has signed counts for nothing.
    let mut forged = Attestation {
        commitment: committed(&other, 6),
        validator: ValidatorIndex::new(3),
        signature: certificate(&other, 6).signature,
    };
    solo.hear(3, Message::Attestation(Arc::new(forged.clone())));
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 1));
    forged.validator = ValidatorIndex::new(FORGER);
    solo.hear(3, Message::Attestation(Arc::new(forged)));
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 2), "nobody attests for another");
}

/// Lets a second pass; says whom it asks for which certificate.
fn asks(solo: &mut Solo) -> Vec<(Peer, u64)> {
    let mut ready = Ready::default();
    for _ in 0..4 {
        solo.now = solo.now.after(Duration::from_millis(250));
        ready = ready.merge(solo.core.step(solo.now, Input::Tick));
    }
    let effects = ready.persist(&mut solo.store).unwrap();
    let asked = effects.send.into_iter().filter_map(|(peer, message)| match message {
        Message::WantCertificate { height } => Some((peer, height.as_u64())),
        _ => None,
    });
    asked.collect()
}

#[test]
fn who_follows_another_side_is_asked_whose_work_it_is() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 9);
    // The forger attests odd heights here; nobody has told what it attests there.
    attest(&mut solo, FORGER, &one, 7);
    attest(&mut solo, OTHER, &other, 6);
    let from = Peer::Validator(ValidatorIndex::new(OTHER));
    assert!(asks(&mut solo).contains(&(from, 6)));
    let show = |solo: &mut Solo, by: u16, certificate: &SettlementCertificate| {
        solo.hear(by, Message::Certificate(Arc::new(certificate.clone())));
    };
    let of_other = certificate(&other, 6);
    show(&mut solo, 3, &of_other);
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 0), "it was not asked");
    let mut wrong = of_other.clone();
    wrong.commitment = committed(&other, 5);
    wrong.commitment.height = Height::new(6);
    show(&mut solo, OTHER, &wrong);
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 1));
    show(&mut solo, OTHER, &of_other);
    assert_eq!(evidence(&solo), [], "it answers once");
    assert!(asks(&mut solo).contains(&(from, 6)));
    show(&mut solo, OTHER, &of_other);
    assert_eq!(evidence(&solo), [(vec![FORGER], 6, 7, true)]);
    assert!(!asks(&mut solo).contains(&(from, 6)), "one is enough");
}

#[test]
fn a_certificate_of_another_side_is_kept_until_its_signers_attest_this_one() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 9);
    attest(&mut solo, OTHER, &other, 6);
    let _asked = asks(&mut solo);
    solo.hear(OTHER, Message::Certificate(Arc::new(certificate(&other, 6))));
    assert_eq!(evidence(&solo), []);
    attest(&mut solo, FORGER, &one, 9);
    assert_eq!(evidence(&solo), [(vec![FORGER], 6, 9, true)]);
}

/// Starts the honest validator again with a database, and the mark that it had or none.
fn restart(solo: &mut Solo, database: &Memory, keeps_mark: bool) {
    let high_water = solo.store.high_water.filter(|_| keeps_mark);
    solo.store = Memory { high_water, ..database.clone() };
    solo.events.clear();
    solo.restart();
}

fn empty() -> Memory {
    Memory { high_water: None, ..Memory::default() }
}

#[test]
fn whoever_lost_its_database_goes_on_attesting_the_history_that_it_attested_before() {
    let [one, other] = sides(12);
    let mut solo = follower(&one, 7);
    assert_eq!(attested(&solo), (1..=7).collect::<Vec<_>>());
    restart(&mut solo, &empty(), true);
    follow(&mut solo, &one, 12);
    assert_eq!(attested(&solo), (8..=12).collect::<Vec<_>>(), "silent up to the mark");
    // The same, and it is shown the other side of a fork.
    let mut solo = follower(&one, 7);
    restart(&mut solo, &empty(), true);
    follow(&mut solo, &other, 12);
    assert_eq!(attested(&solo), [0; 0], "it would contradict what it attested");
    let warned = solo.events.iter().any(|event| {
        matches!(event, Event::Anomaly { height, detail } if *height == Height::new(7)
            && detail.contains("another history"))
    });
    assert!(warned);
    // Nor after another start.
    solo.restart();
    follow(&mut solo, &other, 12);
    assert_eq!(attested(&solo), [0; 0]);
}

#[test]
fn whoever_is_given_the_database_of_another_side_attests_nothing_of_it() {
    let [one, other] = sides(12);
    let mut solo = follower(&one, 7);
    // Of the forger, even with what that one attested.
    restart(&mut solo, &other, true);
    assert_eq!(solo.core.status().revealed, Height::new(12));
    let of_forger = attested(&solo);
    let [_, longer] = sides(14);
    follow(&mut solo, &longer, 14);
    assert_eq!(attested(&solo), of_forger);
    // And of its own side it does.
    let mut solo = follower(&one, 7);
    let [longer, _] = sides(14);
    restart(&mut solo, &one, true);
    follow(&mut solo, &longer, 14);
    assert!(attested(&solo).contains(&14));
}

#[test]
fn whoever_lost_its_mark_attests_nothing_in_that_epoch() {
    let (short, long) = (sides(12), sides(16));
    for (short_side, long_side) in short.iter().zip(&long) {
        let mut solo = follower(&short[0], 7);
        solo.identity.lost_state = Some(LostState::default());
        restart(&mut solo, &empty(), false);
        follow(&mut solo, short_side, 12);
        solo.now = solo.now.after(Duration::from_millis(300));
        solo.input(Input::Tick);
        let mark = solo.store.high_water.expect("it signs again");
        assert_eq!(mark.height(), Height::new(14), "two above what a quorum has proved");
        let bound = mark.attested.expect("it may have attested");
        assert_eq!((bound.epoch.as_u64(), bound.digest), (1, None), "the next one, too");
        follow(&mut solo, long_side, 16);
        assert!(solo.core.engine.may_attest(Height::new(16)), "above the mark");
        assert_eq!(attested(&solo), [0; 0]);
    }
}

/// What L1 shows of a side that it has settled up to a height.
fn settled(side: &Memory, height: u64) -> SettledOnL1 {
    let height = Height::new(height);
    SettledOnL1 { height, root: archive::history_root(side, height).unwrap().unwrap() }
}

#[test]
fn whoever_lost_its_mark_signs_on_the_side_that_l1_has_settled_and_on_no_other() {
    let [one, other] = sides(12);
    assert_eq!(settled(&one, FORK), settled(&other, FORK));
    assert_ne!(settled(&one, FORK + 1), settled(&other, FORK + 1));
    for (on_l1, has_database, expected) in [
        (settled(&one, 9), false, Ok(())),
        (settled(&one, 9), true, Ok(())),
        (settled(&one, FORK), false, Ok(())),
        (SettledOnL1::default(), false, Ok(())),
        (settled(&other, 9), false, Err("another side of a fork")),
        (settled(&other, 9), true, Err("another side of a fork")),
        (
            SettledOnL1 { height: Height::new(13), ..settled(&one, 9) },
            false,
            Err("waits for height 13"),
        ),
    ] {
        let mut solo = follower(&one, 7);
        solo.identity.lost_state = Some(LostState { seen: Height::new(7), settled: on_l1 });
        let database = if has_database { one.clone() } else { empty() };
        restart(&mut solo, &database, false);
        follow(&mut solo, &one, 12);
        let tip = archive::tip(&one).unwrap().unwrap();
        let status = Message::Status { decided: tip.decided, revealed: tip.revealed };
        solo.hear(FORGER, status);
        solo.now = solo.now.after(Duration::from_millis(300));
        solo.input(Input::Tick);
        let signs = solo.store.high_water.is_some();
        let why = solo.core.status().not_signing.unwrap();
        assert_eq!(signs, expected.is_ok(), "{on_l1:?}, {has_database}: {why}");
        assert!(expected.is_ok() || why.contains(expected.unwrap_err()), "{why}");
    }
}

#[test]
fn whoever_voted_on_a_side_that_does_not_settle_is_silent_here_as_high_as_there() {
    let [_, other] = sides(12);
    // L1 has settled the other side, so it signs there: not below 12, at which it was seen here.
    for (height, expected) in [(8, None), (11, None), (12, Some(14)), (13, Some(15))] {
        let mut solo = follower(&other, 12);
        for _ in 0..20 {
            solo.now = solo.core.wake_at().unwrap_or(solo.now).max(solo.now);
            solo.input(Input::Tick);
        }
        let voted = solo.store.high_water.expect("it has voted").height();
        assert_eq!(voted, Height::new(13));
        let [side, _] = sides(height);
        let settled = settled(&side, FORK + 1);
        solo.identity.lost_state = Some(LostState { seen: Height::new(12), settled });
        restart(&mut solo, &empty(), false);
        follow(&mut solo, &side, height);
        solo.now = solo.now.after(Duration::from_millis(300));
        solo.input(Input::Tick);
        let mark = solo.store.high_water.map(|mark| mark.height().as_u64());
        let why = solo.core.status().not_signing.unwrap();
        assert_eq!(mark, expected, "{height}: {why}");
        let silent = format!("silent up to height {}", expected.unwrap_or(14));
        assert!(why.contains(&silent), "{height}: {why}");
    }
}

#[test]
fn an_attestation_that_died_before_its_mark_binds_all_the_same() {
    let [one, _] = sides(9);
    let mut solo = follower(&one, 7);
    // The mark of the last height was not written any more; the attestation was.
    let before = follower(&one, 6).store.high_water;
    solo.store.high_water = before;
    let (_, ready) = Sequencer::recover(solo.config(), &solo.store, solo.now).unwrap();
    let marks = ready.writes.iter().filter_map(|write| match write {
        Write::HighWater(mark) => mark.attested.map(|bound| bound.height),
        _ => None,
    });
    assert_eq!(marks.max(), Some(Height::new(7)));
}

#[test]
fn nobody_turns_back_to_an_epoch_in_which_it_was_silent() {
    let [one, other] = sides(12);
    // In the next epoch it has attested a side, of which its database knows whether it was silent in this one.
    for (side, keeps_database, expected) in
        [(&other, false, vec![]), (&one, true, (1..=12).collect()), (&one, false, vec![])]
    {
        let mut solo = follower(&one, 7);
        let digest = SigningDomain::of(&solo.genesis).commitment(&committed(side, 9));
        let (epoch, height) = (Epoch::new(1), Height::new(9));
        let bound = Attested { epoch, height, digest: Some(digest) };
        let mark = solo.store.high_water.map(|mark| HighWater { attested: Some(bound), ..mark });
        solo.store.high_water = mark;
        let database = if keeps_database { solo.store.clone() } else { empty() };
        restart(&mut solo, &database, true);
        follow(&mut solo, side, 12);
        solo.restart();
        assert_eq!(attested(&solo), expected, "{keeps_database}");
    }
}

#[test]
fn what_accuses_fewer_replaces_nothing_and_of_strays_the_lowest_stays() {
    let [one, other] = sides(9);
    let both = |first: &[u16], second: &[u16]| {
        let side = |of: &Memory, signers: &[u16]| SettlementCertificate {
            signers: signers.iter().copied().map(ValidatorIndex::new).collect(),
            ..certificate(of, 6)
        };
        DoubleAttestation { first: side(&one, first), second: side(&other, second), held: None }
    };
    let key = |evidence: &DoubleAttestation| match archive::put_double_attestation(evidence) {
        Write::Put { key, .. } => key,
        _ => panic!("it is put"),
    };
    let keys = [both(&[0, 1, 2], &[0, 2]), both(&[0], &[0, 2]), both(&[0, 2], &[0, 2])];
    let [two, fewer, same] = keys.map(|evidence| key(&evidence));
    assert_ne!(two, fewer);
    assert_eq!(two, same);

    let signature = certificate(&other, 6).signature;
    let stray =
        |by: u16, height| alone(&committed(&other, height), ValidatorIndex::new(by), signature);
    let mut strays = Strays::default();
    for (by, height) in [(1, 7), (2, 6), (1, 6), (1, 5), (1, 8), (2, 9)] {
        strays.keep(stray(by, height), false);
    }
    let kept = strays.of(committed(&other, 6).epoch).iter();
    let kept = kept.map(|stray| (stray.signers[0].as_u16(), stray.commitment.height.as_u64()));
    assert_eq!(kept.collect::<Vec<_>>(), [(2, 6), (1, 5)]);
}

#[test]
fn a_bad_signature_below_a_certificate_is_looked_at_once() {
    let [one, other] = sides(9);
    let mut solo = follower(&one, 9);
    let forged = |height| Attestation {
        commitment: committed(&one, height),
        validator: ValidatorIndex::new(OTHER),
        signature: certificate(&other, 5).signature,
    };
    for height in 6..=9 {
        solo.hear(OTHER, Message::Attestation(Arc::new(forged(height))));
    }
    assert_eq!(solo.penalties, 0, "they are certified without it");
    attest(&mut solo, OTHER, &other, 6);
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 3), "7, 8 and 9");
    // What is signed comes too late at heights where it lied, and counts at any other.
    attest(&mut solo, OTHER, &one, 9);
    assert_eq!((evidence(&solo), solo.penalties), (vec![], 3));
}
