//! Nothing that a peer, a disk or a caller hands in breaks an engine or makes it contradict itself.

use conclave_consensus::{
    Attested, CatchUpError, ConfigError, ConsensusMessage, Engine, Evidence, Fault, HighWater,
    Output, PolkaCertificate, ProposedBlock, Record, Recovered, RoundCertificate, RoundReason,
    RoundVote, SignedProposal, SignedVote, SigningPosition, Silence, Step, WalEntry,
};
use conclave_types::{
    BlockId, Certificate, CertificateError, Digest, Epoch, Height, NetworkId, Round,
    SignatureBytes, Time, ValidatorIndex, VoteKind, digest::SigningDomain,
};
use ed25519_dalek::Signer as _;

use crate::net::{EPOCH, committee_of, config, domain, key, sign_proposal, sign_vote};

const H1: Height = Height::new(1);
const R0: Round = Round::ZERO;
const A: BlockId = BlockId::new([0xAA; 32]);
const B: BlockId = BlockId::new([0xBB; 32]);
const NOW: Time = Time::from_micros(1_000_000);
const UNSIGNED: SignatureBytes = SignatureBytes::new([0; 64]);

fn index(number: usize) -> ValidatorIndex {
    ValidatorIndex::new(number as u16)
}

fn fresh() -> Recovered {
    Recovered { may_sign: true, ..Recovered::default() }
}

fn idle(own: Option<usize>, recovered: Recovered) -> Engine {
    Engine::new(config(&committee_of(&[1; 4]), own), recovered).unwrap()
}

fn started(own: usize) -> Engine {
    let mut engine = idle(Some(own), fresh());
    engine.start_height(NOW, H1);
    engine
}

fn prevote(voter: usize, block: Option<BlockId>) -> SignedVote {
    SignedVote {
        kind: VoteKind::Prevote,
        height: H1,
        round: R0,
        block,
        voter: index(voter),
        signature: UNSIGNED,
    }
}

fn proposal(proposer: usize, block: BlockId) -> SignedProposal {
    SignedProposal {
        height: H1,
        round: R0,
        block,
        pol_round: None,
        proposer: index(proposer),
        signature: UNSIGNED,
    }
}

fn vote(vote: SignedVote) -> ConsensusMessage {
    ConsensusMessage::Vote(sign_vote(vote).into())
}

fn faults(outputs: &[Output]) -> Vec<Fault> {
    let fault = |output: &Output| match output {
        Output::Fault { from, fault } => {
            assert_eq!(*from, index(3), "the sender is blamed");
            Some(*fault)
        }
        _ => None,
    };
    outputs.iter().filter_map(fault).collect()
}

fn broadcasts(outputs: &[Output]) -> Vec<ConsensusMessage> {
    let message = |output: &Output| match output {
        Output::Broadcast(message) => Some(message.clone()),
        _ => None,
    };
    outputs.iter().filter_map(message).collect()
}

fn signed_elsewhere(vote: SignedVote, domain: &SigningDomain, epoch: Epoch) -> ConsensusMessage {
    let signature = key(vote.voter.as_usize()).sign(vote.digest(domain, epoch).as_bytes());
    let signature = SignatureBytes::new(signature.to_bytes());
    ConsensusMessage::Vote(SignedVote { signature, ..vote }.into())
}

#[test]
fn false_messages_are_the_senders_fault() {
    let other_network = SigningDomain { network: NetworkId::new([8; 32]), ..domain() };
    let other_l1 = SigningDomain { l1_chain_id: 2, ..domain() };
    let good = sign_vote(prevote(2, Some(A)));
    let early_pol = SignedProposal { round: Round::new(1), ..proposal(2, A) };
    let late_pol = SignedProposal { pol_round: Some(Round::new(1)), ..early_pol };
    let cases = [
        (ConsensusMessage::Vote(prevote(2, Some(A)).into()), Fault::BadSignature(index(2))),
        (
            ConsensusMessage::Vote(SignedVote { voter: index(0), ..good.clone() }.into()),
            Fault::BadSignature(index(0)),
        ),
        (
            ConsensusMessage::Vote(SignedVote { block: None, ..good.clone() }.into()),
            Fault::BadSignature(index(2)),
        ),
        (
            ConsensusMessage::Vote(SignedVote { kind: VoteKind::Precommit, ..good }.into()),
            Fault::BadSignature(index(2)),
        ),
        (
            signed_elsewhere(prevote(2, Some(A)), &other_network, EPOCH),
            Fault::BadSignature(index(2)),
        ),
        (signed_elsewhere(prevote(2, Some(A)), &other_l1, EPOCH), Fault::BadSignature(index(2))),
        (
            signed_elsewhere(prevote(2, Some(A)), &domain(), Epoch::new(4)),
            Fault::BadSignature(index(2)),
        ),
        (vote(prevote(4, Some(A))), Fault::UnknownValidator(index(4))),
        (
            ConsensusMessage::Vote(SignedVote { voter: index(65_535), ..prevote(0, None) }.into()),
            Fault::UnknownValidator(index(65_535)),
        ),
        (
            ConsensusMessage::Proposal(sign_proposal(proposal(2, A)).into()),
            Fault::NotProposer(index(2)),
        ),
        (ConsensusMessage::Proposal(proposal(1, A).into()), Fault::BadSignature(index(1))),
        (ConsensusMessage::Proposal(sign_proposal(late_pol).into()), Fault::BadPolRound(index(2))),
        (vote(prevote(2, Some(BlockId::ZERO))), Fault::NilAsBlock(index(2))),
        (
            ConsensusMessage::Proposal(sign_proposal(proposal(1, BlockId::ZERO)).into()),
            Fault::NilAsBlock(index(1)),
        ),
    ];
    for (message, expected) in cases {
        let mut engine = started(0);
        let outputs = engine.message(NOW, index(3), message.clone());
        assert_eq!(outputs, vec![Output::Fault { from: index(3), fault: expected }], "{message:?}");
    }
    let outputs = started(0).message(NOW, index(9), vote(prevote(2, None)));
    let stranger = Fault::UnknownValidator(index(9));
    assert_eq!(outputs, vec![Output::Fault { from: index(9), fault: stranger }]);
}

/// One signature serves for a vote for nil and for one for the zero id. Sent back as the latter, an honest vote for nil
/// must neither silence its author nor be evidence against it.
#[test]
fn a_vote_for_nil_that_comes_back_as_one_for_a_block_harms_nobody() {
    let mut engine = started(0);
    let honest = sign_vote(prevote(0, None));
    engine.message(NOW, index(3), ConsensusMessage::Vote(honest.clone().into()));
    let twin = SignedVote { block: Some(BlockId::ZERO), ..honest };
    let outputs = engine.message(NOW, index(3), ConsensusMessage::Vote(twin.clone().into()));
    assert_eq!(faults(&outputs), [Fault::NilAsBlock(index(0))]);
    let evidence = Evidence::Votes(honest, twin.clone());
    assert!(!evidence.verify(&committee_of(&[1; 4]), &domain(), EPOCH));
    let bytes = borsh::to_vec(&twin).unwrap();
    assert!(borsh::from_slice::<SignedVote>(&bytes).is_err(), "not even read");

    let vote = RoundVote {
        kind: VoteKind::Precommit,
        block: Some(BlockId::ZERO),
        voter: index(1),
        signature: UNSIGNED,
    };
    let round = RoundCertificate {
        height: H1,
        round: R0,
        reason: RoundReason::Precommit,
        votes: vec![vote],
    };
    let polka =
        PolkaCertificate { height: H1, round: R0, block: BlockId::ZERO, signatures: Vec::new() };
    for message in [ConsensusMessage::Round(round), ConsensusMessage::Polka(polka)] {
        let outputs = engine.message(NOW, index(3), message);
        assert_eq!(faults(&outputs), [Fault::BadCertificate]);
    }
}

#[test]
fn absurd_heights_and_rounds_are_ignored() {
    let mut engine = started(0);
    for (height, round) in [(1, 11), (1, u32::MAX), (0, 0), (6, 0), (u64::MAX, 0), (2, u32::MAX)] {
        let (height, round) = (Height::new(height), Round::new(round));
        let far = vote(SignedVote { height, round, ..prevote(2, None) });
        assert_eq!(engine.message(NOW, index(3), far), vec![]);
        let author = engine.proposer(height, round);
        let far = SignedProposal { height, round, proposer: author, ..proposal(0, A) };
        let far = ConsensusMessage::Proposal(sign_proposal(far).into());
        assert_eq!(engine.message(NOW, index(3), far), vec![]);
        let value = ProposedBlock { height, block: A, valid: true };
        engine.value(NOW, value);
        assert_eq!(engine.propose(NOW, height, round, A), vec![]);
    }
    for round in [1 << 30, u32::MAX] {
        let votes = (1..4).map(|voter| {
            let at = SignedVote { round: Round::new(round), ..prevote(voter, None) };
            let signature = sign_vote(at).signature;
            RoundVote { kind: VoteKind::Prevote, block: None, voter: index(voter), signature }
        });
        let certificate = RoundCertificate {
            height: H1,
            round: Round::new(round),
            reason: RoundReason::Skip,
            votes: votes.collect(),
        };
        engine.message(NOW, index(3), ConsensusMessage::Round(certificate));
        engine.tick(NOW);
    }
    assert_eq!(engine.start_height(NOW, Height::new(7)), vec![]);
    assert_eq!(engine.start_height(NOW, H1), vec![]);
    assert_eq!(engine.height(), Some(H1));
}

fn polka(voters: &[usize]) -> PolkaCertificate {
    let entry = |voter: &usize| (index(*voter), sign_vote(prevote(*voter, Some(A))).signature);
    let signatures = voters.iter().map(entry).collect();
    PolkaCertificate { height: H1, round: R0, block: A, signatures }
}

#[test]
fn false_certificates_are_the_senders_fault() {
    let stranger = (index(4), SignatureBytes::new([1; 64]));
    let forged = PolkaCertificate { block: B, ..polka(&[1, 2, 3]) };
    let mut with_stranger = polka(&[1, 2]);
    with_stranger.signatures.push(stranger);
    let flood = PolkaCertificate { signatures: vec![stranger; 1_000], ..polka(&[]) };
    for bad in [polka(&[]), polka(&[1, 2]), polka(&[1, 2, 2]), forged, with_stranger, flood] {
        let mut engine = started(0);
        let outputs = engine.message(NOW, index(3), ConsensusMessage::Polka(bad.clone()));
        assert_eq!(faults(&outputs), vec![Fault::BadCertificate], "{bad:?}");
        assert_eq!(outputs.len(), 1);
    }
    let mut engine = started(0);
    let outputs = engine.message(NOW, index(3), ConsensusMessage::Polka(polka(&[1, 2, 3])));
    assert_eq!(faults(&outputs), vec![]);
    assert!(outputs.contains(&Output::Polka { height: H1, round: R0, block: A }));

    let nil = |voter| RoundVote {
        kind: VoteKind::Prevote,
        block: None,
        voter: index(voter),
        signature: sign_vote(prevote(voter, None)).signature,
    };
    let certificate = |reason, voters: &[usize]| {
        let votes = voters.iter().copied().map(nil).collect();
        ConsensusMessage::Round(RoundCertificate { height: H1, round: R0, reason, votes })
    };
    let bad = certificate(RoundReason::Precommit, &[1, 2, 3]);
    assert_eq!(faults(&started(0).message(NOW, index(3), bad)), vec![Fault::BadCertificate]);
    let bad = certificate(RoundReason::Skip, &[1, 2, 3, 1, 2, 3]);
    assert_eq!(faults(&started(0).message(NOW, index(3), bad)), vec![Fault::BadCertificate]);
}

#[test]
fn garbage_does_not_decode_and_counts_are_bounded() {
    let message = ConsensusMessage::Polka(polka(&[1, 2, 3]));
    let bytes = borsh::to_vec(&message).unwrap();
    assert_eq!(borsh::from_slice::<ConsensusMessage>(&bytes).unwrap(), message);
    let longer = [bytes.clone(), vec![0]].concat();
    assert!(borsh::from_slice::<ConsensusMessage>(&longer).is_err(), "trailing bytes");
    for cut in 0..bytes.len() {
        assert!(borsh::from_slice::<ConsensusMessage>(&bytes[..cut]).is_err());
    }
    // Tag, height, round, block; then the count.
    let mut huge = bytes[..1 + 8 + 4 + 32].to_vec();
    huge.extend_from_slice(&u32::MAX.to_le_bytes());
    huge.resize(1 << 20, 0);
    let error = borsh::from_slice::<ConsensusMessage>(&huge).unwrap_err().to_string();
    assert_eq!(error, "4294967295 signatures, at most 1024 expected");
    let mut state = 1_u64;
    for length in 0..2_000_usize {
        let noise: Vec<u8> = (0..length % 300)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8 % if length % 2 == 0 { 4 } else { 255 }
            })
            .collect();
        if let Ok(message) = borsh::from_slice::<ConsensusMessage>(&noise) {
            assert_eq!(borsh::to_vec(&message).unwrap(), noise, "one encoding for each message");
            started(0).message(NOW, index(3), message);
        }
        assert!(borsh::from_slice::<Evidence>(&noise).is_err());
    }
}

#[test]
fn flood_of_conflicting_votes_is_one_piece_of_evidence() {
    let mut engine = started(0);
    let mut evidence = 0;
    for number in 1..=255 {
        let block = Some(BlockId::new([number; 32]));
        let outputs = engine.message(NOW, index(3), vote(prevote(2, block)));
        evidence += outputs.iter().filter(|o| matches!(o, Output::Evidence(_))).count();
        assert!(number < 3 || outputs.is_empty(), "the third costs no signature check");
    }
    assert_eq!(evidence, 1);
}

#[test]
fn false_evidence_convicts_nobody() {
    let committee = committee_of(&[1; 4]);
    let (a, b) = (sign_vote(prevote(2, Some(A))), sign_vote(prevote(2, None)));
    let judge = |pair: &Evidence| pair.verify(&committee, &domain(), EPOCH);
    assert!(judge(&Evidence::Votes(a.clone(), b.clone())));
    let precommit = sign_vote(SignedVote { kind: VoteKind::Precommit, ..b });
    let other_round = sign_vote(SignedVote { round: Round::new(1), ..b });
    let other_voter = sign_vote(SignedVote { voter: index(1), ..b });
    let forged = SignedVote { block: Some(B), ..b };
    for second in [a.clone(), precommit, other_round, other_voter, forged] {
        assert!(!judge(&Evidence::Votes(a.clone(), second)));
    }
    assert!(!Evidence::Votes(a, b).verify(&committee, &domain(), Epoch::ZERO));
}

fn certificate(voters: &[usize]) -> Certificate {
    certificate_at(H1, voters)
}

fn certificate_at(height: Height, voters: &[usize]) -> Certificate {
    let entry = |voter: &usize| {
        let vote = SignedVote { kind: VoteKind::Precommit, height, ..prevote(*voter, Some(A)) };
        (index(*voter), sign_vote(vote).signature)
    };
    let signatures = voters.iter().map(entry).collect();
    Certificate { epoch: EPOCH, height, round: R0, block: A, signatures }
}

#[test]
fn conflict_is_evidence_for_64_heights() {
    let mut engine = started(0);
    for number in 1..=65 {
        engine.catch_up(NOW, &certificate_at(Height::new(number), &[0, 1, 2])).unwrap();
    }
    let against = |height| {
        let height = Height::new(height);
        vote(SignedVote { kind: VoteKind::Precommit, height, ..prevote(1, None) })
    };
    assert_eq!(engine.message(NOW, index(3), against(1)), vec![]);
    for height in [2, 64, 65] {
        let outputs = engine.message(NOW, index(3), against(height));
        assert!(matches!(outputs[..], [Output::Evidence(_)]), "height {height}");
        assert_eq!(engine.message(NOW, index(3), against(height)), vec![], "once");
    }
}

#[test]
fn early_messages_count_when_their_height_starts() {
    let mut engine = started(0);
    let second = Height::new(2);
    for voter in 1..4 {
        let early = vote(SignedVote { height: second, ..prevote(voter, Some(A)) });
        assert_eq!(engine.message(NOW, index(3), early), vec![]);
    }
    engine.catch_up(NOW, &certificate(&[0, 1, 2])).unwrap();
    let outputs = engine.start_height(NOW, second);
    assert!(outputs.contains(&Output::Polka { height: second, round: R0, block: A }));
}

#[test]
fn junk_blocks_do_not_crowd_out_the_proposed_one() {
    let mut engine = started(0);
    let judged = |block| ProposedBlock { height: H1, block, valid: true };
    for number in 0..200 {
        let junk = judged(BlockId::new([number; 32]));
        assert_eq!(engine.value(NOW, junk), vec![]);
    }
    let signed =
        ConsensusMessage::Proposal(sign_proposal(proposal(1, BlockId::new([201; 32]))).into());
    engine.message(NOW, index(1), signed);
    assert!(engine.is_proposed(BlockId::new([201; 32])));
    let outputs = engine.value(NOW, judged(BlockId::new([201; 32])));
    let [ConsensusMessage::Vote(vote)] = &broadcasts(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!(vote.block, Some(BlockId::new([201; 32])));
    // The block may also come first.
    let mut engine = started(0);
    assert_eq!(engine.value(NOW, judged(A)), vec![]);
    let signed = ConsensusMessage::Proposal(sign_proposal(proposal(1, A)).into());
    assert_eq!(broadcasts(&engine.message(NOW, index(1), signed)).len(), 1);
}

#[test]
fn merged_mark_is_the_later_position_with_the_earlier_count() {
    let mark = |height, round, wal_entries| HighWater {
        at: SigningPosition {
            height: Height::new(height),
            round: Round::new(round),
            step: Step::Prevote,
        },
        wal_entries,
        attested: None,
    };
    assert_eq!(mark(1, 0, 3).merge(mark(1, 1, 8)), mark(1, 1, 3));
    assert_eq!(mark(1, 1, 8).merge(mark(1, 0, 3)), mark(1, 1, 3));
    assert_eq!(mark(1, 9, 3).merge(mark(2, 0, 7)), mark(2, 0, 7));
    let digest = Some(Digest::new([7; 32]));
    let bound = Some(Attested { epoch: Epoch::ZERO, height: Height::new(1), digest });
    let binding = HighWater { attested: bound, ..mark(1, 0, 3) };
    assert_eq!(binding.merge(mark(2, 0, 7)), HighWater { attested: bound, ..mark(2, 0, 7) });
}

#[test]
fn only_a_good_certificate_of_the_next_height_ends_it() {
    let mut engine = started(0);
    let good = certificate(&[0, 1, 2]);
    let wrong_height = Certificate { height: Height::new(2), ..good.clone() };
    let wrong_epoch = Certificate { epoch: Epoch::ZERO, ..good.clone() };
    let forged = Certificate { block: B, ..good.clone() };
    let cases = [
        (wrong_height, CatchUpError::Height { expected: H1, found: Height::new(2) }),
        (wrong_epoch, CatchUpError::Epoch { expected: EPOCH, found: Epoch::ZERO }),
        (forged, CatchUpError::Certificate(CertificateError::BadSignature(index(0)))),
        (
            certificate(&[0, 1]),
            CatchUpError::Certificate(CertificateError::NoQuorum { expected: 3, found: 2 }),
        ),
    ];
    for (bad, expected) in cases {
        assert_eq!(engine.catch_up(NOW, &bad), Err(expected));
    }
    let outputs = engine.catch_up(NOW, &good).unwrap();
    assert_eq!(outputs, vec![Output::Decided { certificate: good.clone() }]);
    assert_eq!((engine.tip(), engine.height(), engine.wake_at()), (H1, None, None));
    assert_eq!(
        engine.catch_up(NOW, &good),
        Err(CatchUpError::Height { expected: Height::new(2), found: H1 })
    );
    // A vote against the decided block, by one of its signers, now convicts.
    let late = SignedVote { kind: VoteKind::Precommit, ..prevote(1, None) };
    let outputs = engine.message(NOW, index(3), vote(late));
    assert!(matches!(outputs[..], [Output::Evidence(_)]));
    let outputs = engine.start_height(NOW, Height::new(2));
    assert!(matches!(outputs[..], [Output::RoundStarted { .. }]));
}

#[test]
fn second_proposal_for_a_round_is_not_signed() {
    let mut engine = idle(Some(1), fresh());
    let outputs = engine.start_height(NOW, H1);
    assert!(outputs.contains(&Output::NeedProposal { height: H1, round: R0 }));
    let first = engine.propose(NOW, H1, R0, A);
    assert_eq!(broadcasts(&first).len(), 2, "a proposal and a prevote");
    for outputs in [engine.propose(NOW, H1, R0, B), engine.propose(NOW, H1, Round::new(1), B)] {
        assert_eq!(broadcasts(&outputs), vec![]);
    }
}

/// Plays the disk: what a call made durable.
fn disk(outputs: &[Output]) -> Recovered {
    let mut disk = fresh();
    for output in outputs {
        match output {
            Output::Persist(Record::Wal(entry)) => disk.wal.push(entry.clone()),
            Output::Persist(Record::Signed(record)) => disk.signed.push(record.clone()),
            Output::Persist(Record::HighWater(mark)) => disk.high_water = Some(*mark),
            _ => {}
        }
    }
    disk
}

#[test]
fn restarted_proposer_sends_the_same_bytes() {
    let mut engine = idle(Some(1), fresh());
    engine.start_height(NOW, H1);
    let outputs = engine.propose(NOW, H1, R0, A);
    let place = |wanted: fn(&Output) -> bool| outputs.iter().position(wanted).unwrap();
    let mark = place(|output| matches!(output, Output::Persist(Record::HighWater(_))));
    let sent = place(|output| matches!(output, Output::Broadcast(_)));
    assert!(mark < sent, "durable before visible");

    let mut engine = idle(Some(1), disk(&outputs));
    let again = engine.start_height(NOW, H1);
    for message in broadcasts(&outputs) {
        assert!(broadcasts(&again).contains(&message));
    }
    assert_eq!(broadcasts(&again).len(), broadcasts(&outputs).len());
    assert!(again.contains(&Output::Repropose { height: H1, round: R0, block: A }));
    assert!(!again.iter().any(|output| matches!(output, Output::Persist(_))), "nothing is new");

    // The log is lost, the records are not: silent for this height.
    let mut engine = idle(Some(1), Recovered { wal: Vec::new(), ..disk(&outputs) });
    assert_eq!(broadcasts(&engine.start_height(NOW, H1)), vec![]);
    assert_eq!(engine.can_sign(), Err(Silence::RecordsLost { until: H1 }));
    engine.catch_up(NOW, &certificate(&[0, 1, 2])).unwrap();
    engine.start_height(NOW, Height::new(2));
    assert_eq!(engine.can_sign(), Ok(()));
}

#[test]
fn disk_rolled_back_by_heights_is_silent_up_to_the_mark() {
    let mut engine = idle(Some(1), fresh());
    engine.start_height(NOW, H1);
    let mut mark = disk(&engine.propose(NOW, H1, R0, A)).high_water.unwrap();
    mark.at.height = Height::new(9);
    let engine = idle(Some(1), Recovered { high_water: Some(mark), ..fresh() });
    assert_eq!(engine.can_sign(), Err(Silence::RecordsLost { until: Height::new(9) }));
}

#[test]
fn own_vote_from_a_forgotten_past_silences_the_height() {
    let mut engine = started(0);
    let past = SignedVote { round: Round::new(2), ..prevote(0, Some(A)) };
    let outputs = engine.message(NOW, index(3), vote(past));
    let marks: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Persist(Record::HighWater(mark)) => Some(mark.at),
            _ => None,
        })
        .collect();
    assert_eq!(marks.len(), 1);
    assert_eq!((marks[0].round, marks[0].step), (Round::new(2), Step::Prevote));
    assert_eq!(engine.can_sign(), Err(Silence::Diverged { height: H1 }));
    let later = Time::from_micros(60_000_000);
    assert_eq!(broadcasts(&engine.tick(later)), vec![]);
}

#[test]
fn nodes_that_may_not_sign_do_not() {
    for (own, recovered, why) in
        [(None, fresh(), Silence::NoKey), (Some(1), Recovered::default(), Silence::NotPermitted)]
    {
        let mut engine = idle(own, recovered);
        let mut outputs = engine.start_height(NOW, H1);
        outputs.extend(engine.propose(NOW, H1, R0, A));
        outputs.extend(engine.tick(Time::from_micros(90_000_000)));
        assert_eq!(engine.can_sign(), Err(why));
        let quiet = |output: &Output| matches!(output, Output::RoundStarted { .. });
        assert!(outputs.iter().all(quiet), "{outputs:?}");
    }
}

#[test]
fn damaged_disk_and_too_much_power_stop_the_start() {
    let mut engine = idle(Some(1), fresh());
    engine.start_height(NOW, H1);
    let good = disk(&engine.propose(NOW, H1, R0, A));
    let start = |wal| {
        let recovered = Recovered { wal, ..good.clone() };
        Engine::new(config(&committee_of(&[1; 4]), Some(1)), recovered).map(|_| ())
    };
    assert!(start(good.wal.clone()).is_ok());
    let hole = good.wal[1..].to_vec();
    let cut = |entry: &WalEntry| WalEntry { bytes: entry.bytes[1..].to_vec(), ..entry.clone() };
    let mut garbage = good.wal.clone();
    garbage[1] = cut(&garbage[1]);
    let mut forged = good.wal.clone();
    *forged[1].bytes.last_mut().unwrap() ^= 1;
    for (wal, expected) in [(hole, 0), (garbage, 1), (forged, 1)] {
        let error = start(wal).unwrap_err();
        let ConfigError::DamagedLog { height, index } = error else { panic!("{error}") };
        assert_eq!((height, index), (H1, expected));
    }
    let heavy = config(&committee_of(&[1 << 61, 1 << 61, 1 << 61]), None);
    assert!(matches!(Engine::new(heavy, fresh()), Err(ConfigError::Power { .. })));
}

#[test]
fn engine_can_be_moved_to_another_thread() {
    const fn movable<T: Send>() {}
    movable::<Engine>();
}
