//! The core as a whole, in a network of one. Protocol behaviour among many is tested in the simulator.

use std::sync::Arc;

use conclave_mempool::{PoolError, admission::AdmissionError};
use conclave_types::{
    Block, BundleId, Deposit, Digest, Epoch, G1Bytes, Genesis, Gwei, Height, L1Content, L1Entry,
    Leg, NetworkId, Opening, Outcome, PayerAddress, RollupId, SeedBytes, StrictVerifier, Time,
    UndecryptableReason, ValidatorIndex, VoteKind, digest::SigningDomain,
};

use crate::{
    BatchSeed, Event, Input, MESSAGE_BYTES_MAX, Message, MessageError, Peer, Rejection, Sequencer,
    Store as _, Table, Write,
    archive::{self, ArchiveRequest},
    audit::{AuditError, Auditor},
    chain::Parent,
    judge::{InvalidBlock, Rulebook},
    testing::{BEGIN, Full, Memory, Solo, empty_block, network},
};
use ed25519_dalek::Signer as _;

fn outcomes(solo: &Solo) -> Vec<(BundleId, Outcome)> {
    let revealed = solo.events.iter().filter_map(|event| {
        let Event::Revealed { block, .. } = event else { return None };
        Some(block.bundles.clone())
    });
    revealed.flatten().map(|bundle| (bundle.id, bundle.outcome)).collect()
}

#[test]
fn a_submitted_bundle_is_revealed_with_its_legs_and_its_batches() {
    let mut solo = Solo::new();
    let bundle = solo.bundle(0);
    let id = bundle.id();
    let receipt = solo.submit(bundle.clone()).unwrap();
    assert_eq!(receipt.bundle, id);
    solo.run_to(3);
    let [(revealed, Outcome::Opened(legs))] = &outcomes(&solo)[..] else {
        panic!("one bundle, opened")
    };
    assert_eq!((*revealed, legs.len()), (id, 2));
    for rollup in [901, 902] {
        let batches = archive::batches(&solo.store, RollupId::new(rollup), 0, 10).unwrap();
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].items[0].transaction, vec![1, 2, 3]);
    }
    assert_eq!(archive::bundle(&solo.store, &id).unwrap(), Some(bundle));
}

#[test]
fn a_bundle_for_an_unknown_rollup_pays_and_has_no_effect() {
    let mut solo = Solo::new();
    let header = solo.header(0);
    let legs = [901, 999].map(|id| Leg { rollup: RollupId::new(id), transaction: vec![1] });
    let bundle = solo.sealed(header, &legs);
    let payer = bundle.header.payer;
    solo.submit(bundle).unwrap();
    solo.run_to(3);
    let expected = Outcome::Undecryptable(UndecryptableReason::UnknownRollup);
    assert_eq!(outcomes(&solo).into_iter().map(|(_, o)| o).collect::<Vec<_>>(), vec![expected]);
    assert_eq!(archive::batches(&solo.store, RollupId::new(901), 0, 10).unwrap(), vec![]);
    let account = archive::account(&solo.store, &payer).unwrap().expect("it was charged");
    assert!(account.balance < Gwei::new(1_000_000_000), "an undecryptable bundle pays");
}

#[test]
fn hostile_submissions_are_turned_away_and_nothing_is_lost() {
    let mut solo = Solo::new();
    let good = solo.bundle(0);
    let admission = |result| match result {
        Err(Rejection::Admission(error)) => error,
        other => panic!("expected an admission error, got {other:?}"),
    };
    let mut other_network = good.clone();
    other_network.header.network = NetworkId::new([1; 32]);
    assert!(matches!(admission(solo.submit(other_network)), AdmissionError::Network { .. }));
    let mut repriced = good.clone();
    repriced.header.max_fee = Gwei::new(2_000_000);
    assert!(matches!(admission(solo.submit(repriced)), AdmissionError::Payer { .. }));
    let mut mauled = good.clone();
    mauled.body[0] ^= 1;
    assert!(matches!(admission(solo.submit(mauled)), AdmissionError::Payer { .. }));
    let far = solo.bundle(4_000);
    assert!(matches!(solo.submit(far), Err(Rejection::Pool(PoolError::Gap { .. }))));
    solo.submit(good.clone()).unwrap();
    solo.run_to(3);
    let again = solo.submit(good);
    assert!(matches!(again, Err(Rejection::Pool(PoolError::Used { .. }))), "{again:?}");
    assert_eq!(outcomes(&solo).len(), 1, "only the good one was included");
}

#[test]
fn a_store_that_cannot_write_lets_no_effect_out() {
    let mut solo = Solo::new();
    let bundle = solo.bundle(0);
    let ready = solo.core.step(solo.now, Input::Submit { ticket: 0, bundle });
    let mut full = Memory { is_full: true, ..solo.store.clone() };
    let effects = ready.persist(&mut full).expect("a step without writes needs no disk");
    let (job, work) = effects.jobs.into_iter().next().unwrap();
    let done = Input::JobDone { job, output: work.run() };
    let mut ready = solo.core.step(solo.now, done);
    for _ in 0..50 {
        if ready.has_writes() {
            break;
        }
        solo.now = solo.core.wake_at().unwrap_or(solo.now).max(solo.now);
        ready = ready.merge(solo.core.step(solo.now, Input::Tick));
    }
    assert!(ready.has_writes(), "a proposal is stored before it is shown");
    assert_eq!(ready.persist(&mut full).map(|_| ()), Err(Full));
}

#[test]
fn an_own_block_is_decided_although_the_pool_replaced_its_bundle() {
    // Validator 1 proposes at height 1.
    let mut solo = Solo::of(4, 1);
    let bundle = solo.bundle(0);
    let id = bundle.id();
    solo.submit(bundle).unwrap();
    let block = solo.run_to_proposal();
    let mut header = solo.header(0);
    header.priority_fee = Gwei::new(100_000);
    let dearer = solo.sealed(header, &[Leg { rollup: RollupId::new(901), transaction: vec![9] }]);
    let dearer_id = dearer.id();
    solo.submit(dearer).unwrap();
    assert!(solo.core.is_pooled(&dearer_id) && !solo.core.is_pooled(&id), "it was replaced");
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for voter in [0, 2, 3] {
            solo.vote(kind, voter, block);
        }
    }
    let decided = solo.events.iter().find_map(|event| {
        let Event::Decided { bundles, .. } = event else { return None };
        Some(bundles.clone())
    });
    assert_eq!(decided, Some(vec![id]));
}

#[test]
fn what_strangers_ask_for_and_hand_in_costs_little() {
    let mut solo = Solo::new();
    let bundle = solo.bundle(0);
    let id = bundle.id();
    solo.submit(bundle).unwrap();
    let ask =
        Input::Message { from: Peer::Full(1), message: Message::WantBundles(vec![id; 1_000]) };
    let ready = solo.core.step(solo.now, ask);
    assert!(ready.effects.send.is_empty(), "what is not decided is for validators only");
    let served: Vec<_> = ready.effects.serve.iter().map(|(_, request)| request.clone()).collect();
    assert_eq!(served, vec![ArchiveRequest::Bundles(vec![id])], "once, however often it is named");
    let stranger = solo.bundle(1);
    let message = Message::Bundles(vec![Arc::new(stranger)]);
    let ready = solo.core.step(solo.now, Input::Message { from: Peer::Full(1), message });
    assert!(ready.effects.jobs.is_empty(), "a full node has nothing to hand in");
    assert_eq!(ready.effects.penalties, vec![], "nor is it blamed for an answer");
}

#[test]
fn a_restarted_core_goes_on_where_it_was() {
    let mut solo = Solo::new();
    let bundle = solo.bundle(0);
    solo.submit(bundle).unwrap();
    solo.run_to(4);
    let before = solo.core.status();
    solo.restart();
    let after = solo.core.status();
    assert_eq!((before.decided, before.chain_digest), (after.decided, after.chain_digest));
    let bundle = solo.bundle(1);
    solo.submit(bundle).unwrap();
    solo.run_to(8);
    let batches = archive::batches(&solo.store, RollupId::new(901), 0, 10).unwrap();
    let sequences: Vec<_> = batches.iter().map(|batch| batch.sequence).collect();
    assert_eq!(sequences, vec![0, 1]);
}

#[test]
fn without_a_signing_history_a_core_does_not_sign() {
    let solo = Solo::new();
    let store = Memory { high_water: None, ..Memory::default() };
    let (core, ready) = Sequencer::recover(solo.config(), &store, BEGIN).unwrap();
    assert!(core.status().not_signing.is_some());
    assert!(
        ready.effects.broadcast.iter().all(|message| !matches!(message, Message::Consensus(_)))
    );
}

#[test]
fn a_lost_history_that_is_vouched_for_ends_above_what_a_quorum_has_proved() {
    let solo = Solo::of(4, 1);
    let store = Memory { high_water: None, ..Memory::default() };
    let mut config = solo.config();
    config.identity.as_mut().unwrap().lost_state = Some(crate::LostState::default());
    let (mut core, _) = Sequencer::recover(config, &store, BEGIN).unwrap();
    let mut now = BEGIN;
    let mut hear = |core: &mut Sequencer, from: u16, decided: u64| {
        let decided = Height::new(decided);
        let message = Message::Status { decided, revealed: Height::ZERO };
        let from = Peer::Validator(ValidatorIndex::new(from));
        let mut ready = core.step(now, Input::Message { from, message });
        now = now.after(std::time::Duration::from_secs(1));
        ready = ready.merge(core.step(now, Input::Tick));
        ready.writes.into_iter().find(|write| matches!(write, Write::HighWater(_)))
    };
    assert_eq!(hear(&mut core, 0, 0), None, "one answer is no quorum");
    assert_eq!(hear(&mut core, 2, 0), None, "nor are two");
    assert_eq!(hear(&mut core, 2, 0), None, "however often they come");
    assert!(core.status().not_signing.unwrap().contains("not permitted"));
    let Some(Write::HighWater(mark)) = hear(&mut core, 3, 0) else { panic!("a mark") };
    assert_eq!(mark.height(), Height::new(2), "two above the highest that is proved");
    assert!(core.status().not_signing.unwrap().contains("silent up to height 2"));

    // A claim that this node has not followed counts for nothing.
    let mut config = solo.config();
    config.identity.as_mut().unwrap().lost_state = Some(crate::LostState::default());
    let (mut core, _) = Sequencer::recover(config, &store, BEGIN).unwrap();
    for from in [0, 2] {
        assert_eq!(hear(&mut core, from, 0), None);
    }
    assert_eq!(hear(&mut core, 3, u64::MAX), None);
    assert!(core.status().not_signing.unwrap().contains("not permitted"));
}

#[test]
fn whoever_was_seen_higher_than_anybody_waits_and_says_so_and_writes_nothing_down() {
    for (seen, silent_up_to) in
        [(0, Some(4)), (1, Some(4)), (2, Some(4)), (3, None), (u64::MAX, None)]
    {
        let mut ahead = Solo::new();
        ahead.run_to(2);
        let mut config = ahead.config();
        let seen = crate::LostState { seen: Height::new(seen), ..Default::default() };
        // The key of somebody who is no validator, or not yet: what others have answered is all that it needs.
        let identity = config.identity.as_mut().unwrap();
        identity.signing_key = ed25519_dalek::SigningKey::from_bytes(&[77; 32]);
        (identity.secret_share, identity.settlement) = (None, None);
        identity.lost_state = Some(seen);
        let store = Memory { high_water: None, ..ahead.store.clone() };
        let (mut core, _) = Sequencer::recover(config, &store, ahead.now).unwrap();
        let mut now = ahead.now;
        let (mut marks, mut doubts) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let status = Message::Status { decided: Height::new(2), revealed: Height::new(2) };
            let from = Peer::Validator(ValidatorIndex::new(0));
            let mut ready = core.step(now, Input::Message { from, message: status });
            now = now.after(std::time::Duration::from_secs(1));
            ready = ready.merge(core.step(now, Input::Tick));
            for write in ready.writes {
                if let Write::HighWater(mark) = write {
                    marks.push(mark.height().as_u64());
                }
            }
            for event in ready.effects.events {
                if let Event::Anomaly { detail, .. } = event {
                    doubts.push(detail);
                }
            }
        }
        assert_eq!(marks, Vec::from_iter(silent_up_to), "{seen:?}");
        assert_eq!(doubts.len(), usize::from(silent_up_to.is_none()), "{seen:?}: {doubts:?}");
        assert!(doubts.iter().all(|doubt| doubt.contains("mistyped")), "{doubts:?}");
    }
}

#[test]
fn a_vote_out_of_a_lost_past_does_not_pass_for_a_signing_history() {
    let solo = Solo::new();
    let store = Memory { high_water: None, ..Memory::default() };
    let (mut core, _) = Sequencer::recover(solo.config(), &store, BEGIN).unwrap();
    let mut vote = conclave_consensus::SignedVote {
        kind: conclave_types::VoteKind::Precommit,
        height: Height::new(1),
        round: conclave_types::Round::ZERO,
        block: None,
        voter: ValidatorIndex::new(0),
        signature: conclave_types::SignatureBytes::new([0; 64]),
    };
    let digest = vote.digest(&SigningDomain::of(&solo.genesis), Epoch::ZERO);
    let signature = solo.identity.signing_key.sign(digest.as_bytes());
    vote.signature = conclave_types::SignatureBytes::new(signature.to_bytes());
    let message = Message::Consensus(conclave_consensus::ConsensusMessage::Vote(vote.into()));
    let from = Peer::Validator(ValidatorIndex::new(0));
    let ready = core.step(BEGIN, Input::Message { from, message });
    assert_eq!(ready.effects.penalties, vec![], "it is a good vote");
    assert!(!ready.writes.iter().any(|write| matches!(write, Write::HighWater(_))));
}

#[test]
fn a_store_of_another_network_is_refused() {
    let mut solo = Solo::new();
    solo.run_to(1);
    let mut config = solo.config();
    let mut genesis = Genesis::clone(&config.genesis);
    genesis.name = "another".into();
    config.genesis = Arc::new(genesis);
    let error = Sequencer::recover(config, &solo.store, BEGIN).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("holds network"), "{error}");
}

#[test]
fn a_stranger_who_votes_is_not_heard_and_not_shunned() {
    let mut solo = Solo::new();
    let vote = conclave_consensus::SignedVote {
        kind: conclave_types::VoteKind::Prevote,
        height: Height::new(1),
        round: conclave_types::Round::ZERO,
        block: None,
        voter: ValidatorIndex::new(0),
        signature: conclave_types::SignatureBytes::new([0; 64]),
    };
    let message = Message::Consensus(conclave_consensus::ConsensusMessage::Vote(vote.into()));
    solo.input(Input::Message { from: Peer::Full(1), message });
    assert_eq!(solo.penalties, 0, "it may be a member of a committee that is yet to be heard of");
}

#[test]
fn an_archive_that_was_tampered_with_fails_the_audit() {
    let mut solo = Solo::new();
    let bundle = solo.bundle(0);
    solo.submit(bundle).unwrap();
    solo.run_to(4);
    let audit = |store: &Memory| -> Result<u64, AuditError<Full>> {
        let tip = archive::tip(store)?.unwrap();
        let mut auditor =
            Auditor::new(Arc::clone(&solo.genesis), Height::new(1), BatchSeed::new([3; 32]))
                .unwrap();
        let mut bundles = 0;
        while auditor.next() <= tip.decided {
            bundles += auditor.advance(store)?.bundle_count as u64;
        }
        auditor.check_state(store, &tip)?;
        Ok(bundles)
    };
    assert_eq!(audit(&solo.store).unwrap(), 1);
    let derived = [Table::Accounts, Table::Cursors, Table::BundleIndex];
    let history = [Table::Blocks, Table::Reveals, Table::Revealed, Table::Batches, Table::Bundles];
    for table in history.into_iter().chain(derived) {
        let mut store = solo.store.clone();
        let rows = store.tables.get_mut(&table).unwrap();
        for value in rows.values_mut() {
            // Behind the block id of a reveal stand its openings; whose shares it came from is hearsay.
            let at = if table == Table::Reveals { 50 } else { value.len() - 1 };
            value[at] ^= 1;
        }
        assert!(audit(&store).is_err(), "{table:?}");
    }
    let tip = archive::tip(&solo.store).unwrap().unwrap();
    let tampered: [fn(&mut archive::Tip); 4] = [
        |tip| tip.decided = tip.decided.previous().unwrap(),
        |tip| tip.revealed = tip.revealed.previous().unwrap(),
        |tip| tip.reveal_digest = Digest::new([7; 32]),
        |tip| tip.ledger_digest = Digest::new([7; 32]),
    ];
    for (index, tamper) in tampered.iter().enumerate() {
        let mut store = solo.store.clone();
        let mut tip = tip.clone();
        tamper(&mut tip);
        store.commit(&[archive::put_tip(&tip)]).unwrap();
        let found = audit(&store);
        assert!(matches!(found, Err(AuditError::State("the tip"))), "{index}: {found:?}");
    }
}

#[test]
fn history_is_answered_from_the_store() {
    let mut solo = Solo::new();
    let bundle = solo.bundle(0);
    let id = bundle.id();
    solo.submit(bundle.clone()).unwrap();
    solo.run_to(3);
    let request = ArchiveRequest::Decided { from: Height::new(1) };
    let Some(Message::Decided(blocks)) = archive::answer(&solo.store, &request).unwrap() else {
        panic!("decided blocks")
    };
    assert!(blocks.len() >= 3);
    assert!(
        blocks
            .iter()
            .all(|block| block.openings.is_some() || block.block.header.height > Height::new(3))
    );
    let request = ArchiveRequest::Bundles(vec![BundleId::ZERO, id]);
    let answer = archive::answer(&solo.store, &request).unwrap();
    assert_eq!(answer, Some(Message::Bundles(vec![Arc::new(bundle)])));
    let request = ArchiveRequest::Openings { height: Height::new(999) };
    assert_eq!(archive::answer(&solo.store, &request).unwrap(), None);
}

#[test]
fn every_cut_and_every_byte_too_many_is_refused() {
    let message = Message::Openings {
        height: Height::new(3),
        block: conclave_types::BlockId::ZERO,
        openings: vec![Opening::Point(G1Bytes::ZERO), Opening::Seed(SeedBytes::ZERO)],
    };
    let bytes = message.encode();
    assert_eq!(Message::decode(&bytes).unwrap(), message);
    for cut in 0..bytes.len() {
        assert!(matches!(Message::decode(&bytes[..cut]), Err(MessageError::Malformed(_))), "{cut}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(Message::decode(&longer), Err(MessageError::Malformed(_))));
    let huge = vec![0; MESSAGE_BYTES_MAX + 1];
    assert!(matches!(Message::decode(&huge), Err(MessageError::TooLong { .. })));
}

/// An L1 origin with these entries, in a block that was fine without.
fn carry<const N: usize>(block: &mut Block, origin: u64, entries: [L1Entry; N]) {
    block.header.l1_origin.number = origin;
    block.body.l1_entries = entries.into();
    block.header.l1_entries_root = block.body.l1_entries_root();
}

fn entry(index: u64, l1_block: u64) -> L1Entry {
    let deposit = Deposit { payer: PayerAddress::new([1; 20]), amount: Gwei::new(7) };
    L1Entry { index, l1_block, content: L1Content::Deposit(deposit) }
}

/// A network of four before its first block, by whose rules blocks are judged.
struct Begun {
    genesis: Genesis,
    domain: SigningDomain,
    bundles: conclave_mempool::admission::Rules,
    keys: crate::Keys,
}

impl Begun {
    fn new() -> Self {
        let (genesis, _) = network(4);
        let key = genesis.encryption_key.as_ref().unwrap();
        let key = conclave_encryption::PublicKey::new(genesis.network_id(), key);
        Self {
            domain: SigningDomain::of(&genesis),
            bundles: conclave_mempool::admission::Rules::new(&genesis),
            keys: crate::Keys::new(&genesis, Some(key.unwrap())).unwrap(),
            genesis,
        }
    }

    fn rulebook(&self) -> Rulebook<'_> {
        Rulebook {
            network: self.genesis.network_id(),
            domain: &self.domain,
            keys: &self.keys,
            verifier: &StrictVerifier,
            params: &self.genesis.params,
            bundles: &self.bundles,
        }
    }

    /// What the first block builds on, and one that nothing is wrong with.
    fn first_block(&self) -> (Parent, Block) {
        let parent = Parent::genesis(&self.genesis);
        let mut good = empty_block(Height::new(1));
        good.header.network = self.genesis.network_id();
        good.header.parent = parent.block;
        good.header.proposer = ValidatorIndex::new(1);
        good.header.time = Time::from_micros(BEGIN.as_micros() + 1);
        good.header.key_id = self.keys.id_at(Height::new(1));
        (parent, good)
    }
}

/// Ids of bundles, in a block that was fine without.
fn name_bundles(block: &mut Block, count: u16) {
    let id = |number: u16| {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        BundleId::new(bytes)
    };
    block.body.bundles = (0..count).map(id).collect();
    block.header.bundle_root = block.body.bundle_root();
    block.header.bundle_count = count.into();
}

#[test]
fn each_objective_rule_is_broken_by_name() {
    let begun = Begun::new();
    let (rulebook, (parent, good)) = (begun.rulebook(), begun.first_block());
    assert_eq!(rulebook.check_structure(&good, &parent), Ok(()));
    let mut carrying = good.clone();
    carry(&mut carrying, 256, [entry(0, 1), entry(1, 256)]);
    assert_eq!(rulebook.check_structure(&carrying, &parent), Ok(()));
    type Break = fn(&mut Block);
    let cases: [(&str, Break); 21] = [
        ("is for network", |b| b.header.network = NetworkId::ZERO),
        ("has height 2", |b| b.header.height = Height::new(2)),
        ("is of epoch 1", |b| b.header.epoch = Epoch::new(1)),
        ("builds on", |b| b.header.parent = conclave_types::BlockId::ZERO),
        ("proposer 4", |b| b.header.proposer = ValidatorIndex::new(4)),
        ("not later than", |b| b.header.time = BEGIN),
        ("behind or beside", |b| b.header.l1_origin.hash = Digest::new([1; 32])),
        ("the most is 256", |b| b.header.l1_origin.number = 257),
        ("root of L1 entries", |b| b.header.l1_entries_root = Digest::new([1; 32])),
        ("do not continue the queue", |b| carry(b, 0, [entry(0, 1)])),
        ("do not continue the queue", |b| carry(b, 2, [entry(0, 3)])),
        ("do not continue the queue", |b| carry(b, 2, [entry(1, 2)])),
        ("builds on the reveal at 1", |b| b.header.revealed_height = Height::new(1)),
        ("sealed to key", |b| b.header.key_id = conclave_types::KeyId::ZERO),
        ("sharing root", |b| b.header.sharing_root = Digest::new([1; 32])),
        ("as the next era's key", |b| {
            b.body.next_key = conclave_types::KeyId::new([1; 32]);
            b.header.sharing_root = b.body.sharing_root();
        }),
        ("bytes of sharing messages, the most is 1048576", |b| {
            b.body.sharing = vec![Solo::new().sharing(0, vec![0; 1 << 20], 0)];
            b.header.sharing_root = b.body.sharing_root();
        }),
        ("513 bundles, the most is 512", |b| name_bundles(b, 513)),
        ("bundle root", |b| b.body.bundles.push(BundleId::ZERO)),
        ("bundle count", |b| b.header.bundle_count = 1),
        ("parent certificate", |b| b.header.parent_certificate = Digest::new([1; 32])),
    ];
    for (words, broken) in cases {
        let mut block = good.clone();
        broken(&mut block);
        let error = rulebook.check_structure(&block, &parent).expect_err(words);
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let other = Digest::new([1; 32]);
    let digests = |reveal, ledger| rulebook.check_digests(&good, reveal, ledger);
    assert_eq!(digests(&other, &Digest::ZERO), Err(InvalidBlock::RevealDigest));
    assert_eq!(digests(&Digest::ZERO, &other), Err(InvalidBlock::LedgerDigest));
}

#[test]
fn bundles_of_one_point_and_more_bytes_than_a_block_holds_are_no_block() {
    let mut solo = Solo::new();
    let ledger = conclave_mempool::Ledger::new(&solo.genesis);
    let rules = conclave_mempool::admission::Rules::new(&solo.genesis);
    let domain = SigningDomain::of(&solo.genesis);
    let good = solo.bundle(0);
    let rulebook = Rulebook {
        network: solo.genesis.network_id(),
        domain: &domain,
        keys: solo.core.keys(),
        verifier: &StrictVerifier,
        params: &solo.genesis.params,
        bundles: &rules,
    };
    let check = |bundles: &[conclave_types::EncryptedBundle]| {
        let mut block = empty_block(Height::new(1));
        block.header.key_id = good.header.key_id;
        block.body.bundles = bundles.iter().map(|bundle| bundle.id()).collect();
        let charges = rulebook.check_bundles(&block, bundles.iter(), &ledger);
        charges.map(|charges| charges.len())
    };
    let mut twin = good.clone();
    twin.header.nonce.sequence = 1;
    let twin_id = twin.id();
    assert_eq!(check(&[good.clone(), twin.clone()]), Err(InvalidBlock::DuplicatePoint(twin_id)));
    twin.capsule[0] ^= 1;
    assert_eq!(check(&[good.clone(), twin]), Ok(2));
    let large = |sequence: u8| {
        let mut bundle = good.clone();
        bundle.header.nonce.sequence = sequence.into();
        bundle.header.max_fee = Gwei::new(2_000_000);
        bundle.header.body_bytes = 131_072 + 16;
        bundle.body = vec![0; 131_072 + 16];
        bundle.capsule[1] = sequence;
        bundle
    };
    let all: Vec<_> = (0..32).map(large).collect();
    let (what, max, found) = ("bytes of ciphertext", 4 << 20, 32 * 131_088);
    assert_eq!(check(&all), Err(InvalidBlock::TooLarge { what, max, found }));
    assert_eq!(check(&all[..31]), Ok(31));
}

#[test]
fn bundles_are_named_once_and_wait_for_a_key_and_for_what_is_to_be_opened() {
    let begun = Begun::new();
    let (rulebook, (parent, good)) = (begun.rulebook(), begun.first_block());
    let mut twice = good.clone();
    twice.body.bundles = vec![BundleId::ZERO; 2];
    twice.header.bundle_root = twice.body.bundle_root();
    twice.header.bundle_count = 2;
    let error = rulebook.check_structure(&twice, &parent);
    assert_eq!(error, Err(InvalidBlock::DuplicateBundle(BundleId::ZERO)));
    let mut sealed = good;
    name_bundles(&mut sealed, 1);
    assert_eq!(rulebook.check_structure(&sealed, &parent), Ok(()));
    // Sixteen heights that are not opened, and one more.
    for (height, expected) in [(16, None), (17, Some(InvalidBlock::RevealLag { lag: 17 }))] {
        let behind = Parent { height: Height::new(height - 1), ..parent.clone() };
        sealed.header.height = Height::new(height);
        let expected = expected.unwrap_or(InvalidBlock::NoParentCertificate);
        assert_eq!(rulebook.check_structure(&sealed, &behind), Err(expected));
    }
    let keyless = Genesis { encryption_key: None, ..begun.genesis.clone() };
    let keys = crate::Keys::new(&keyless, None).unwrap();
    let rulebook = Rulebook { keys: &keys, ..rulebook };
    sealed.header.height = Height::new(1);
    sealed.header.key_id = conclave_types::KeyId::ZERO;
    assert_eq!(rulebook.check_structure(&sealed, &parent), Err(InvalidBlock::NoBundles));
}
