//! One validator, the others being played by the test, in an epoch without a key: what is decided is revealed.

#![expect(clippy::wildcard_enum_match_arm, reason = "the rest is not what a test is about")]

use std::sync::Arc;

use conclave_types::{
    Attestation, BlockCommitment, BlockId, Digest, G2Bytes, Height, ValidatorIndex, VoteKind,
    digest::SigningDomain, mmr,
};

use crate::{
    DoubleAttestation, Event, Input, Job, Message, Peer, Ready, Sequencer, Write,
    archive::{self, ArchiveRequest},
    testing::Solo,
};

const FIRST: Height = Height::new(1);

/// A validator that has decided height 1 and is about to attest it: the work is held.
fn about_to_attest() -> Solo {
    let mut solo = (0..4)
        .map(|index| Solo::keyless(4, index))
        .find_map(|mut solo| solo.is_first_proposer().then_some(solo))
        .unwrap();
    let block = solo.run_to_proposal();
    solo.held = Some(Vec::new());
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for voter in others(&solo) {
            solo.vote(kind, voter, block);
        }
    }
    assert_eq!(solo.core.status().revealed, FIRST);
    solo
}

fn own(solo: &Solo) -> ValidatorIndex {
    let key = solo.identity.signing_key.verifying_key().to_bytes();
    let members = solo.genesis.members.iter();
    let found = members.clone().position(|member| *member.consensus_key.as_bytes() == key);
    ValidatorIndex::new(u16::try_from(found.unwrap()).unwrap())
}

fn others(solo: &Solo) -> Vec<u16> {
    (0..4).filter(|index| *index != own(solo).as_u16()).collect()
}

fn commitment(solo: &Solo) -> BlockCommitment {
    archive::commitment(&solo.store, FIRST).unwrap().unwrap()
}

/// What another validator sends.
pub(crate) fn attestation(solo: &Solo, from: u16, commitment: BlockCommitment) -> Attestation {
    let secret = solo.settlement_secret(from);
    let digest = SigningDomain::of(&solo.genesis).commitment(&commitment);
    let validator = ValidatorIndex::new(from);
    Attestation { commitment, validator, signature: secret.sign(&digest) }
}

fn hear(solo: &mut Solo, from: u16, attestation: Attestation) {
    solo.hear(from, Message::Attestation(Arc::new(attestation)));
}

/// A validator attests, by itself.
fn attests(solo: &mut Solo, author: u16, commitment: &BlockCommitment) {
    let said = attestation(solo, author, commitment.clone());
    hear(solo, author, said);
}

fn certified(solo: &Solo) -> Vec<Height> {
    let events = solo.events.iter().filter_map(|event| match event {
        Event::Certified(certificate) => Some(certificate.commitment.height),
        _ => None,
    });
    events.collect()
}

/// Takes the one job that waits for the core, does it, and returns what comes of it before it is persisted.
fn attest(solo: &mut Solo) -> Ready {
    let held = solo.held.take().unwrap();
    let attest = |(number, job)| matches!(job, Job::Attest(_)).then_some((number, job));
    let mut jobs = held.into_iter().filter_map(attest);
    let (job, work) = jobs.next().expect("a commitment to sign");
    assert!(jobs.next().is_none());
    solo.core.step(solo.now, Input::JobDone { job, output: work.run() })
}

#[test]
fn an_attestation_is_durable_with_its_mark_before_it_is_sent() {
    let mut solo = about_to_attest();
    let ready = attest(&mut solo);
    let marks = ready.writes.iter().filter_map(|write| match write {
        Write::HighWater(mark) => Some(mark.height()),
        _ => None,
    });
    assert_eq!(marks.collect::<Vec<_>>(), [FIRST]);
    let effects = ready.persist(&mut solo.store).unwrap();
    let stored = archive::own_attestation(&solo.store, FIRST).unwrap().unwrap();
    assert_eq!(stored, attestation(&solo, own(&solo).as_u16(), commitment(&solo)));
    assert!(effects.broadcast.contains(&Message::Attestation(Arc::new(stored))));
}

#[test]
fn a_quorum_of_attestations_is_a_certificate() {
    let mut solo = about_to_attest();
    solo.work();
    let committed = commitment(&solo);
    let [first, second, _] = others(&solo)[..] else { panic!("three others") };
    attests(&mut solo, first, &committed);
    assert_eq!(certified(&solo), []);
    attests(&mut solo, second, &committed);
    assert_eq!(certified(&solo), [FIRST]);
    assert_eq!(solo.core.status().certified, FIRST);
    let certificate = archive::certificate(&solo.store, FIRST).unwrap().unwrap();
    let committee = solo.genesis.validate().unwrap();
    assert_eq!(certificate.verify(&committee, &SigningDomain::of(&solo.genesis)), Ok(()));
    assert_eq!(certificate.commitment, committed);
    assert_eq!(solo.penalties, 0);
}

#[test]
fn who_signs_wrongly_is_found_out_and_left_out() {
    let mut solo = about_to_attest();
    solo.work();
    let committed = commitment(&solo);
    let [first, second, third] = others(&solo)[..] else { panic!("three others") };
    let mut wrong = attestation(&solo, first, committed.clone());
    wrong.signature = attestation(&solo, second, committed.clone()).signature;
    hear(&mut solo, first, wrong);
    attests(&mut solo, second, &committed);
    assert_eq!((certified(&solo), solo.penalties), (vec![], 1));
    // Its right one comes too late: it has lied once.
    attests(&mut solo, first, &committed);
    assert_eq!(certified(&solo), []);
    attests(&mut solo, third, &committed);
    assert_eq!((certified(&solo), solo.penalties), (vec![FIRST], 1));
}

#[test]
fn nobody_attests_for_another() {
    let mut solo = about_to_attest();
    solo.work();
    let committed = commitment(&solo);
    let [first, second, third] = others(&solo)[..] else { panic!("three others") };
    for author in [first, second] {
        let said = attestation(&solo, author, committed.clone());
        hear(&mut solo, third, said);
    }
    assert_eq!((certified(&solo), solo.penalties), (vec![], 2));
}

fn double_attestations(solo: &Solo) -> Vec<DoubleAttestation> {
    let evidence = solo.events.iter().filter_map(|event| match event {
        Event::DoubleAttestation(evidence) => Some((**evidence).clone()),
        _ => None,
    });
    evidence.collect()
}

#[test]
fn two_commitments_of_one_validator_are_evidence_whichever_comes_first() {
    let other = |seed, committed: &BlockCommitment| BlockCommitment {
        block: BlockId::new([seed; 32]),
        ..committed.clone()
    };
    // The right one first, or last, or both of them wrong; said twice, it is one contradiction.
    for order in [[0, 7, 7], [7, 7, 0], [7, 8, 7], [7, 0, 8]] {
        let mut solo = about_to_attest();
        solo.work();
        let committed = commitment(&solo);
        let [first, second, third] = others(&solo)[..] else { panic!("three others") };
        for author in [second, third] {
            attests(&mut solo, author, &committed);
        }
        for seed in order {
            let said = if seed == 0 { committed.clone() } else { other(seed, &committed) };
            let said = attestation(&solo, first, said);
            hear(&mut solo, first, said);
        }
        let accused = |event: &&Event| matches!(event, Event::Misattested { validator, .. } if validator.as_u16() == first);
        assert_eq!(solo.events.iter().filter(accused).count(), 1, "{order:?}");
        let [evidence] = &double_attestations(&solo)[..] else { panic!("{order:?}") };
        assert_ne!(evidence.first.commitment, evidence.second.commitment);
        for half in [&evidence.first, &evidence.second] {
            assert_eq!(half.signers, [ValidatorIndex::new(first)]);
            let committee = solo.genesis.validate().unwrap();
            let domain = SigningDomain::of(&solo.genesis);
            assert_eq!(half.verify_signature(&committee, &domain), Ok(()));
        }
        assert_eq!(solo.core.status().evidence_count, 1);
        assert_eq!(solo.penalties, 0, "it is for L1 to punish");
    }
}

#[test]
fn a_forged_contradiction_convicts_nobody() {
    let mut solo = about_to_attest();
    solo.work();
    let committed = commitment(&solo);
    let [first, ..] = others(&solo)[..] else { panic!("three others") };
    attests(&mut solo, first, &committed);
    let other = BlockCommitment { block: BlockId::new([7; 32]), ..committed };
    let mut forged = attestation(&solo, first, other);
    forged.signature = G2Bytes::new([0xc0; 96]);
    hear(&mut solo, first, forged);
    assert_eq!((solo.core.status().evidence_count, solo.penalties), (0, 1));
}

#[test]
fn what_comes_before_the_reveal_counts_after_it() {
    let mut solo = about_to_attest();
    let committed = commitment(&solo);
    let mut early = Solo::keyless(4, own(&solo).as_usize());
    let block = early.run_to_proposal();
    let [first, second, third] = others(&solo)[..] else { panic!("three others") };
    for author in [first, second] {
        let said = attestation(&solo, author, committed.clone());
        hear(&mut early, author, said);
    }
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for voter in [first, second, third] {
            early.vote(kind, voter, block);
        }
    }
    assert_eq!(commitment(&early), committed, "the same seed, the same block");
    assert_eq!(certified(&early), [FIRST]);
    solo.held = None;
}

#[test]
fn two_commitments_that_come_before_the_reveal_are_evidence_after_it() {
    for order in [[0, 7, 8], [7, 0, 8], [7, 8, 0]] {
        let mut solo = about_to_attest();
        solo.held = None;
        let committed = commitment(&solo);
        let mut early = Solo::keyless(4, own(&solo).as_usize());
        let block = early.run_to_proposal();
        let [first, second, third] = others(&solo)[..] else { panic!("three others") };
        for seed in order {
            let mut said = committed.clone();
            if seed != 0 {
                said.block = BlockId::new([seed; 32]);
            }
            let said = attestation(&solo, first, said);
            hear(&mut early, first, said);
        }
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            for voter in [first, second, third] {
                early.vote(kind, voter, block);
            }
        }
        assert_eq!(commitment(&early), committed, "the same seed, the same block");
        assert_eq!(double_attestations(&early).len(), 1, "{order:?}");
    }
}

#[test]
fn a_validator_goes_on_where_it_was_and_asks_for_what_it_lacks() {
    let mut solo = about_to_attest();
    solo.held = None;
    // It died before it attested.
    solo.restart();
    let stored = archive::own_attestation(&solo.store, FIRST).unwrap();
    assert!(stored.is_some(), "nothing speaks against attesting now");
    // It died after it had, and hears of nobody.
    solo.restart();
    let from = Peer::Validator(ValidatorIndex::new(others(&solo)[0]));
    let message = Message::Status { decided: FIRST, revealed: FIRST };
    let mut ready = solo.core.step(solo.now, Input::Message { from, message });
    for _ in 0..11 {
        solo.now = solo.now.after(std::time::Duration::from_millis(250));
        ready = ready.merge(solo.core.step(solo.now, Input::Tick));
    }
    let effects = ready.persist(&mut solo.store).unwrap();
    let again = effects.broadcast.iter().filter_map(|message| match message {
        Message::Attestation(attestation) => Some(Attestation::clone(attestation)),
        _ => None,
    });
    let again: Vec<_> = again.collect();
    let stored = stored.unwrap();
    assert!(again.len() >= 2 && again.iter().all(|said| *said == stored), "{again:?}");
    assert!(effects.send.contains(&(from, Message::WantCertificate { height: FIRST })));
}

#[test]
fn a_certificate_that_a_peer_shows_is_checked_and_passed_on() {
    let mut solo = about_to_attest();
    solo.work();
    let committed = commitment(&solo);
    let [first, second, third] = others(&solo)[..] else { panic!("three others") };
    let domain = SigningDomain::of(&solo.genesis);
    let certificate = {
        let mut other = about_to_attest();
        other.work();
        for author in [first, second] {
            let attestation = attestation(&other, author, committed.clone());
            hear(&mut other, author, attestation);
        }
        archive::certificate(&other.store, FIRST).unwrap().unwrap()
    };
    assert_eq!(certificate.verify(&solo.genesis.validate().unwrap(), &domain), Ok(()));
    let show = |solo: &mut Solo, certificate| {
        solo.hear(third, Message::Certificate(Arc::new(certificate)));
    };
    // Nobody has asked yet.
    show(&mut solo, certificate.clone());
    assert_eq!(certified(&solo), []);
    for _ in 0..2 {
        solo.now = solo.now.after(std::time::Duration::from_millis(250));
        solo.input(Input::Tick);
    }
    let mut wrong = certificate.clone();
    wrong.signers.pop();
    show(&mut solo, wrong);
    assert_eq!((certified(&solo), solo.penalties), (vec![], 1));
    show(&mut solo, certificate.clone());
    assert_eq!((certified(&solo), solo.penalties), (vec![FIRST], 1));
    let from = Peer::Validator(ValidatorIndex::new(first));
    let message = Message::WantCertificate { height: FIRST };
    let ready = solo.core.step(solo.now, Input::Message { from, message });
    let request = ArchiveRequest::Certificate { height: FIRST };
    assert_eq!(ready.effects.serve, [(from, request.clone())]);
    let answer = archive::answer(&solo.store, &request).unwrap();
    assert_eq!(answer, Some(Message::Certificate(Arc::new(certificate))));
}

#[test]
fn where_records_may_be_lost_nothing_is_attested() {
    let mut solo = about_to_attest();
    let before = solo.store.clone();
    let ready = attest(&mut solo);
    let _effects = ready.persist(&mut solo.store).unwrap();
    // The database goes back to before the first block; the mark lies elsewhere and stays.
    let mut store = before;
    store.tables.clear();
    store.high_water = solo.store.high_water;
    let (mut core, _) = Sequencer::recover(solo.config(), &store, solo.now).unwrap();
    assert!(!core.engine.may_attest(FIRST));
    assert!(core.engine.may_attest(FIRST.next()));
    let ready = core.step(solo.now, Input::Tick);
    let attests = |(_, job): &(_, Job)| matches!(job, Job::Attest(_));
    assert!(!ready.effects.jobs.iter().any(attests));
}

#[test]
fn a_posting_shows_that_it_extends_what_has_settled() {
    let mut solo = Solo::new();
    solo.run_to(21);
    let digest = |height: u64| {
        let commitment = archive::commitment(&solo.store, Height::new(height)).unwrap().unwrap();
        SigningDomain::of(&solo.genesis).commitment(&commitment)
    };
    for settled in 0..21 {
        let mut peaks = mmr::Peaks::default();
        for height in 1..=settled {
            peaks.append(&digest(height));
        }
        for height in settled + 1..=20 {
            let at = |height| Height::new(height);
            let posting = archive::posting(&solo.store, at(settled), at(height)).unwrap().unwrap();
            // What the contract does: the peaks join to the settled root, and with what was added to the next one.
            assert_eq!(posting.peaks.len(), settled.count_ones() as usize);
            let mut all = peaks.clone();
            for between in settled + 1..height {
                all.append(&digest(between));
            }
            assert_eq!(posting.certificate.commitment.history_root, all.root());
            assert_eq!(joined(&posting.peaks), peaks.root());
            assert_eq!(
                grown((settled, height - 1), &posting.peaks, &posting.added),
                all.root(),
                "{settled} to {height}"
            );
        }
        let none = archive::posting(&solo.store, Height::new(settled), Height::new(settled));
        assert_eq!(none.unwrap(), None);
    }
}

/// `Peaks.bag`: peaks joined from the last to the first.
fn joined(peaks: &[Digest]) -> Digest {
    let mut peaks = peaks.iter().rev();
    let last = peaks.next().copied().unwrap_or_default();
    peaks.fold(last, |right, left| conclave_types::merkle::node(left, &right))
}

/// `Peaks.grow`: each added tree is the largest that fits, and trees as wide as what comes become its left half.
fn grown((mut at, to): (u64, u64), peaks: &[Digest], added: &[Digest]) -> Digest {
    let mut trees: Vec<(u64, Digest)> = Vec::new();
    let mut rest = at;
    for peak in peaks {
        let width = 1 << rest.ilog2();
        trees.push((width, *peak));
        rest -= width;
    }
    for tree in added {
        let largest = 1 << (to - at).ilog2();
        let mut width = if at == 0 { largest } else { largest.min(1 << at.trailing_zeros()) };
        at += width;
        let mut tree = *tree;
        while trees.last().is_some_and(|(other, _)| *other == width) {
            let (_, left) = trees.pop().unwrap();
            tree = conclave_types::merkle::node(&left, &tree);
            width *= 2;
        }
        trees.push((width, tree));
    }
    assert_eq!(at, to);
    joined(&trees.into_iter().map(|(_, tree)| tree).collect::<Vec<_>>())
}
