//! A height is decided by the committee of its epoch, and by nobody else.

use std::sync::Arc;

use conclave_consensus::{
    CatchUpError, Config, ConsensusMessage, Engine, Fault, Output, Recovered, SignedVote, Silence,
};
use conclave_types::{
    BlockId, Certificate, CertificateError, Committee, Epoch, Height, Round, SignatureBytes, Time,
    ValidatorIndex, VoteKind,
};
use ed25519_dalek::Signer as _;

use crate::net::{EPOCH, committee_of, config, domain, key};

const NEXT: Epoch = Epoch::new(4);
const LAST: Height = Height::new(1);
const FIRST: Height = Height::new(2);
const A: BlockId = BlockId::new([0xAA; 32]);
const NOW: Time = Time::from_micros(1_000_000);

fn index(number: usize) -> ValidatorIndex {
    ValidatorIndex::new(number as u16)
}

/// Validator 0 leaves, validator 4 joins.
fn changed() -> Committee {
    let everyone = committee_of(&[1; 5]);
    let seats = everyone.iter().skip(1).map(|(index, member)| (index, member.clone()));
    Committee::seated(seats).unwrap()
}

/// An engine with the key of validator `own`, before the last height of four validators, of whom one leaves
/// and for whom another joins.
fn before_the_change(own: usize) -> Engine {
    let recovered = Recovered { may_sign: true, ..Recovered::default() };
    let config = Config { key: Some(key(own)), ..config(&committee_of(&[1; 4]), None) };
    let mut engine = Engine::new(config, recovered).unwrap();
    engine.change_epoch(FIRST, NEXT, Arc::new(changed())).unwrap();
    engine.start_height(NOW, LAST);
    engine
}

fn vote(voter: usize, kind: VoteKind, height: Height, epoch: Epoch) -> SignedVote {
    let mut vote = SignedVote {
        kind,
        height,
        round: Round::ZERO,
        block: Some(A),
        voter: index(voter),
        signature: SignatureBytes::new([0; 64]),
    };
    let signature = key(voter).sign(vote.digest(&domain(), epoch).as_bytes());
    vote.signature = SignatureBytes::new(signature.to_bytes());
    vote
}

fn certificate(voters: &[usize], height: Height, epoch: Epoch) -> Certificate {
    let signed =
        |voter: &usize| (index(*voter), vote(*voter, VoteKind::Precommit, height, epoch).signature);
    let signatures = voters.iter().map(signed).collect();
    Certificate { epoch, height, round: Round::ZERO, block: A, signatures }
}

fn after_the_change(own: usize) -> Engine {
    let mut engine = before_the_change(own);
    engine.catch_up(NOW, &certificate(&[0, 1, 2], LAST, EPOCH)).unwrap();
    engine.start_height(NOW, FIRST);
    engine
}

#[test]
fn who_joins_signs_from_its_first_height_on_and_who_leaves_not_any_more() {
    let mut joiner = before_the_change(4);
    assert_eq!(joiner.can_sign(), Err(Silence::NoKey));
    assert!(before_the_change(0).can_sign().is_ok());
    joiner.catch_up(NOW, &certificate(&[0, 1, 2], LAST, EPOCH)).unwrap();
    joiner.start_height(NOW, FIRST);
    assert_eq!(joiner.can_sign(), Ok(()));
    assert_eq!(after_the_change(0).can_sign(), Err(Silence::NoKey));
    // Everyone else has a polka for a block that the joiner has judged: it votes, under the new epoch.
    let mut outputs = Vec::new();
    outputs.extend(
        joiner
            .value(NOW, conclave_consensus::ProposedBlock { height: FIRST, block: A, valid: true }),
    );
    for voter in 1..4 {
        let prevote = vote(voter, VoteKind::Prevote, FIRST, NEXT);
        outputs.extend(joiner.message(NOW, index(voter), ConsensusMessage::Vote(prevote.into())));
    }
    let polka = Output::Polka { height: FIRST, round: Round::ZERO, block: A };
    assert!(outputs.contains(&polka), "{outputs:?}");
}

#[test]
fn early_votes_count_for_the_committee_of_their_height() {
    let mut engine = before_the_change(1);
    let early = |voter| ConsensusMessage::Vote(vote(voter, VoteKind::Prevote, FIRST, NEXT).into());
    assert_eq!(engine.message(NOW, index(4), early(4)), vec![], "the joiner's is kept");
    let stranger = |from| {
        vec![Output::Fault { from: index(from), fault: Fault::UnknownValidator(index(from)) }]
    };
    assert_eq!(engine.message(NOW, index(0), early(0)), stranger(0), "the leaver's is not");
    let late = ConsensusMessage::Vote(vote(4, VoteKind::Prevote, LAST, EPOCH).into());
    assert_eq!(
        engine.message(NOW, index(4), late),
        stranger(4),
        "nor the joiner's before its time"
    );
    // A member passes a stranger's vote on.
    let passed = Output::Fault { from: index(2), fault: Fault::UnknownValidator(index(0)) };
    assert_eq!(engine.message(NOW, index(2), early(0)), vec![passed]);
}

#[test]
fn a_leavers_vote_does_not_complete_a_polka() {
    let mut engine = after_the_change(1);
    for voter in [0, 2, 3] {
        let prevote = ConsensusMessage::Vote(vote(voter, VoteKind::Prevote, FIRST, NEXT).into());
        let outputs = engine.message(NOW, index(voter), prevote);
        let polka = outputs.iter().any(|output| matches!(output, Output::Polka { .. }));
        assert!(!polka, "two of four members have voted");
    }
}

#[test]
fn a_certificate_is_judged_by_the_committee_of_its_height() {
    let by = |voters: &[usize], epoch| {
        let mut engine = after_the_change(3);
        engine.catch_up(NOW, &certificate(voters, FIRST, epoch)).map(|_| engine.tip())
    };
    assert_eq!(by(&[1, 2, 4], NEXT), Ok(FIRST));
    let expected = CatchUpError::Epoch { expected: NEXT, found: EPOCH };
    assert_eq!(by(&[0, 1, 2], EPOCH), Err(expected));
    let stranger = CertificateError::UnknownSigner(index(0));
    assert_eq!(by(&[0, 1, 2], NEXT), Err(CatchUpError::Certificate(stranger)));
}

#[test]
fn committees_of_past_heights_are_kept_as_long_as_votes_of_them_are_evidence() {
    let mut engine = after_the_change(1);
    for height in 2..=LAST.as_u64() + 63 {
        engine.catch_up(NOW, &certificate(&[1, 2, 4], Height::new(height), NEXT)).unwrap();
        engine.start_height(NOW, Height::new(height + 1));
    }
    let contradict = |engine: &mut Engine| {
        let other = SignedVote { block: None, ..vote(0, VoteKind::Precommit, LAST, EPOCH) };
        let signature = key(0).sign(other.digest(&domain(), EPOCH).as_bytes());
        let signature = SignatureBytes::new(signature.to_bytes());
        let other = SignedVote { signature, ..other };
        engine.message(NOW, index(2), ConsensusMessage::Vote(other.into()))
    };
    assert!(matches!(&*contradict(&mut engine), [Output::Evidence(_)]));
}
