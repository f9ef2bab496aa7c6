use std::{sync::Arc, time::Duration};

use conclave_consensus::{Evidence, SignedProposal, SignedVote};
use conclave_encryption::{Packing, Suite, rehearse};
use conclave_sequencer::{Event, L1Block, ShareMessage};
use conclave_types::{
    Batch, BlockCommitment, BlockHeader, BlockId, BundleHeader, BundleNonce, Certificate, Deposit,
    EncryptedBundle, Epoch, Era, GenesisAccount, KeyId, L1Content, L1Entry, L1Origin, Leg,
    NetworkId, Outcome, Params, Payee, PayerSignature, RevealedBlock, RevealedBundle, RollupId,
    Round, SignatureBytes, ValidatorIndex, VoteKind, Withdrawal, WithdrawalRequest,
    withdrawals_root,
};

use super::*;
use crate::load::Standing;

const PAYER: PayerAddress = PayerAddress::new([1; 20]);
const ROLLUP: RollupId = RollupId::new(901);
const START: Time = Time::from_micros(1_000_000_000);

fn genesis() -> Genesis {
    let packing = Packing::for_parties(4).unwrap();
    let (encryption_key, _) = rehearse(Suite::Packed, packing, Era::ZERO, &[1; 32]).unwrap();
    let member = |index: u8| conclave_types::Member {
        name: index.to_string(),
        consensus_key: conclave_types::ConsensusKey::new([index; 32]),
        network_key: conclave_types::ConsensusKey::new([index; 32]),
        settlement_key: conclave_types::SettlementKey::new([index; 96]),
        validator: 0,
        power: 1,
    };
    Genesis {
        name: "oracle".into(),
        time: START,
        l1_chain_id: 0,
        l1_contract: PayerAddress::ZERO,
        l1_origin: L1Origin::default(),
        params: Params::default(),
        members: (0..4).map(member).collect(),
        encryption_key: Some(encryption_key),
        rollups: Vec::new(),
        accounts: vec![GenesisAccount { address: PAYER, balance: Gwei::new(1_000_000) }],
    }
}

fn oracle() -> Oracle {
    Oracle::new(&genesis(), (0..4).collect())
}

fn promise(oracle: &Oracle) -> Option<&'static str> {
    oracle.violation().map(|violation| violation.promise)
}

fn header(height: u64, salt: u64) -> BlockHeader {
    BlockHeader {
        network: NetworkId::new([0; 32]),
        height: Height::new(height),
        parent: BlockId::ZERO,
        parent_certificate: Digest::ZERO,
        proposer: ValidatorIndex::new(0),
        time: Time::from_micros(salt),
        epoch: Epoch::ZERO,
        l1_origin: L1Origin::default(),
        l1_entries_root: Digest::ZERO,
        key_id: KeyId::ZERO,
        sharing_root: Digest::ZERO,
        bundle_root: Digest::ZERO,
        bundle_count: 0,
        revealed_height: Height::new(height - 1),
        reveal_digest: Digest::ZERO,
        ledger_digest: genesis_ledger(),
    }
}

/// The ledger digest before the first block.
fn genesis_ledger() -> Digest {
    let network = genesis().network_id();
    let bytes = [b"conclave/ledger-genesis/v1".as_slice(), network.as_bytes()].concat();
    Digest::new(Keccak256::digest(bytes).into())
}

fn decided(header: &BlockHeader, bundles: &[BundleId]) -> Event {
    let certificate = Certificate {
        epoch: Epoch::ZERO,
        height: header.height,
        round: Round::ZERO,
        block: header.id(),
        signatures: (0..3)
            .map(|signer| (ValidatorIndex::new(signer), SignatureBytes::new([0; 64])))
            .collect(),
    };
    let bundles = bundles.to_vec();
    let (header, block) = (header.clone(), header.id());
    Event::Decided { header, block, l1_entries: Vec::new(), bundles, certificate }
}

fn handed(sequence: u64) -> Handed {
    let header = BundleHeader {
        network: NetworkId::new([0; 32]),
        suite: 1,
        key_id: KeyId::ZERO,
        payer: PAYER,
        nonce: BundleNonce { lane: 0, sequence },
        max_fee: Gwei::new(1_000_000),
        priority_fee: Gwei::ZERO,
        valid_until: Height::new(1_000),
        body_bytes: 100,
    };
    let signature = PayerSignature::new([0; 65]);
    let bundle = EncryptedBundle { header, capsule: Vec::new(), body: Vec::new(), signature };
    Handed { id: bundle.id(), bundle, standing: Standing::Good(legs()) }
}

fn legs() -> Vec<Leg> {
    vec![Leg { rollup: ROLLUP, transaction: vec![1, 2, 3] }]
}

fn vote(kind: VoteKind, voter: u16, block: Option<BlockId>) -> SignedVote {
    SignedVote {
        kind,
        height: Height::new(1),
        round: Round::ZERO,
        block,
        voter: ValidatorIndex::new(voter),
        signature: SignatureBytes::new([0; 64]),
    }
}

fn send_vote(oracle: &mut Oracle, now: Time, vote: SignedVote) {
    let from = vote.voter.as_u16();
    oracle.sent(now, from, &[3], &Message::Consensus(ConsensusMessage::Vote(vote.into())));
}

fn send_share(oracle: &mut Oracle, from: u16, header: &BlockHeader) {
    let message = ShareMessage {
        epoch: Epoch::ZERO,
        height: header.height,
        block: header.id(),
        validator: ValidatorIndex::new(from),
        shares: Vec::new(),
        signature: SignatureBytes::new([0; 64]),
    };
    oracle.sent(START, from, &[3], &Message::Shares(Arc::new(message)));
}

/// A block with bundles in the order in which a fair beacon draws them.
fn revealed(header: &BlockHeader, bundles: &[BundleId]) -> (RevealedBlock, Vec<Batch>) {
    let beacon = Digest::new([3; 32]);
    let draw = |id: &BundleId| {
        let bytes = [b"conclave/draw/v1".as_slice(), beacon.as_bytes(), id.as_bytes()].concat();
        Digest::new(Keccak256::digest(bytes).into())
    };
    let mut draws: Vec<_> = bundles.iter().map(draw).collect();
    draws.sort_unstable();
    let opened = bundles.iter().zip(draws).map(|(id, draw)| RevealedBundle {
        id: *id,
        payer: PAYER,
        draw,
        outcome: Outcome::Opened(legs()),
    });
    let block = RevealedBlock {
        height: header.height,
        block: header.id(),
        time: header.time,
        epoch: Epoch::ZERO,
        l1_origin: L1Origin::default(),
        forced_cursor: 0,
        beacon,
        forced: Vec::new(),
        bundles: opened.collect(),
    };
    let item = |id: &BundleId| conclave_types::BatchItem {
        transaction: vec![1, 2, 3],
        source: conclave_types::ItemSource::Leg(conclave_types::LegRef {
            bundle: *id,
            leg: 0,
            legs: 1,
        }),
    };
    let batch = Batch {
        rollup: ROLLUP,
        sequence: 0,
        previous_height: Height::ZERO,
        height: header.height,
        block: header.id(),
        time: header.time,
        l1_origin: L1Origin::default(),
        randomness: beacon,
        items: bundles.iter().map(item).collect(),
    };
    (block, if bundles.is_empty() { Vec::new() } else { vec![batch] })
}

/// An oracle that has seen a height with two bundles decided, and what should be revealed there.
fn with_two_bundles() -> (Oracle, RevealedBlock, Vec<Batch>) {
    let mut oracle = oracle();
    let (first, second) = (handed(0), handed(1));
    oracle.handed_in(&first);
    oracle.handed_in(&second);
    let header = header(1, 5);
    oracle.event(START, 0, &decided(&header, &[first.id, second.id]));
    let (block, batches) = revealed(&header, &[first.id, second.id]);
    (oracle, block, batches)
}

fn reveal(oracle: &mut Oracle, block: RevealedBlock, batches: Vec<Batch>) {
    oracle.event(START, 0, &Event::Revealed { block, batches, digest: Digest::new([4; 32]) });
}

#[test]
fn an_honest_run_breaks_nothing() {
    let (mut oracle, block, batches) = with_two_bundles();
    reveal(&mut oracle, block, batches);
    send_share(&mut oracle, 0, &header(1, 5));
    oracle.balance(0, Height::new(1), &PAYER, Gwei::new(1_000_000 - 2 * (1_000 + 100 * 10)));
    assert_eq!(oracle.violation(), None);
}

#[test]
fn two_blocks_at_one_height_break_agreement() {
    let mut oracle = oracle();
    oracle.event(START, 0, &decided(&header(1, 5), &[]));
    oracle.event(START, 1, &decided(&header(1, 6), &[]));
    assert_eq!(promise(&oracle), Some(AGREEMENT));
}

#[test]
fn a_skipped_height_breaks_contiguity() {
    let mut oracle = oracle();
    oracle.event(START, 0, &decided(&header(2, 5), &[]));
    assert_eq!(promise(&oracle), Some(CONTIGUITY));
}

#[test]
fn a_skipped_batch_breaks_contiguity() {
    let (mut oracle, block, mut batches) = with_two_bundles();
    batches[0].sequence = 1;
    reveal(&mut oracle, block, batches);
    assert_eq!(promise(&oracle), Some(CONTIGUITY));
}

#[test]
fn another_digest_breaks_determinism() {
    let mut oracle = oracle();
    let header = header(1, 5);
    for node in 0..2 {
        oracle.event(START, node, &decided(&header, &[]));
        let (block, batches) = revealed(&header, &[]);
        let digest = Digest::new([u8::try_from(node).unwrap(); 32]);
        oracle.event(START, node, &Event::Revealed { block, batches, digest });
    }
    assert_eq!(promise(&oracle), Some(DETERMINISM));
}

#[test]
fn a_bundle_in_two_blocks_or_without_a_payer_is_seen() {
    let mut oracle = oracle();
    let bundle = handed(0);
    oracle.handed_in(&bundle);
    oracle.event(START, 0, &decided(&header(1, 5), &[bundle.id]));
    oracle.event(START, 0, &decided(&header(2, 5), &[bundle.id]));
    assert_eq!(promise(&oracle), Some(ONCE), "whatever its nonce");

    let mut oracle = self::oracle();
    oracle.handed_in(&bundle);
    oracle.event(START, 0, &decided(&header(1, 5), &[bundle.id, bundle.id]));
    assert_eq!(promise(&oracle), Some(ONCE));

    let mut oracle = self::oracle();
    oracle.event(START, 0, &decided(&header(1, 5), &[BundleId::new([9; 32])]));
    assert_eq!(promise(&oracle), Some(FORGED));
}

#[test]
fn a_nonce_gap_is_seen() {
    let mut oracle = oracle();
    let bundle = handed(1);
    oracle.handed_in(&bundle);
    oracle.event(START, 0, &decided(&header(1, 5), &[bundle.id]));
    assert_eq!(promise(&oracle), Some(PAID));
}

#[test]
fn a_fee_charged_twice_is_seen() {
    let (mut oracle, ..) = with_two_bundles();
    oracle.balance(0, Height::new(1), &PAYER, Gwei::new(1_000_000 - 3 * 2_000));
    assert_eq!(promise(&oracle), Some(PAID));
}

const RECIPIENT: PayerAddress = PayerAddress::new([2; 20]);

/// An oracle that has seen the payer deposit 500 gwei and ask 400 of them back, and the header of the height, 1.
fn with_a_withdrawal() -> (Oracle, BlockHeader) {
    let mut oracle = oracle();
    let deposit = Deposit { payer: PAYER, amount: Gwei::new(500) };
    let (recipient, amount) = (RECIPIENT, Gwei::new(400));
    let request = WithdrawalRequest { payer: PAYER, recipient, amount };
    let contents = [L1Content::Deposit(deposit), L1Content::Withdrawal(request)];
    let entry = |(index, content)| L1Entry { index, l1_block: 1, content };
    let entries: Vec<_> = (0..).zip(contents).map(entry).collect();
    let origin = L1Origin { number: 1, hash: Digest::new([8; 32]) };
    let parent = Digest::ZERO;
    let block = L1Block { origin, parent, entries: entries.clone(), offers: Vec::new() };
    oracle.l1_final(&block, None);
    let header = BlockHeader { l1_origin: origin, ..header(1, 5) };
    let mut event = decided(&header, &[]);
    if let Event::Decided { l1_entries, .. } = &mut event {
        *l1_entries = entries;
    }
    oracle.event(START, 0, &event);
    (oracle, header)
}

#[test]
fn a_balance_that_keeps_what_was_paid_out_is_seen() {
    let (mut oracle, _) = with_a_withdrawal();
    oracle.balance(0, Height::new(1), &PAYER, Gwei::new(1_000_100));
    assert_eq!(oracle.violation(), None);
    oracle.balance(0, Height::new(1), &PAYER, Gwei::new(1_000_500));
    assert_eq!(promise(&oracle), Some(TAKEN));
}

#[test]
fn a_root_over_other_payments_is_seen() {
    for (amount, expected) in [(399, PAYS), (400, DETERMINISM)] {
        let (mut oracle, header) = with_a_withdrawal();
        let paid =
            Withdrawal { index: 0, payee: Payee::Account(RECIPIENT), amount: Gwei::new(amount) };
        let commitment = BlockCommitment {
            epoch: header.epoch,
            height: header.height,
            block: header.id(),
            history_root: Digest::new([7; 32]),
            reveal_root: Digest::ZERO,
            rollup_count: 0,
            l1_origin: header.l1_origin,
            forced_cursor: 0,
            withdrawals_root: withdrawals_root(&[paid]),
            epoch_end: None,
        };
        oracle.event(START, 0, &Event::Committed(Box::new(commitment)));
        let (mut block, batches) = revealed(&header, &[]);
        (block.l1_origin, block.forced_cursor) = (header.l1_origin, 2);
        reveal(&mut oracle, block, batches);
        assert_eq!(promise(&oracle), Some(expected), "{amount} gwei, and the history of another");
    }
}

#[test]
fn another_order_than_the_beacons_is_seen() {
    let (mut oracle, mut block, batches) = with_two_bundles();
    block.bundles.swap(0, 1);
    reveal(&mut oracle, block, batches);
    assert_eq!(promise(&oracle), Some(ORDER));

    let (mut oracle, mut block, batches) = with_two_bundles();
    block.bundles[0].draw = Digest::ZERO;
    reveal(&mut oracle, block, batches);
    assert_eq!(promise(&oracle), Some(ORDER));
}

#[test]
fn a_leg_that_is_dropped_or_changed_is_seen() {
    let (mut oracle, block, mut batches) = with_two_bundles();
    batches[0].items.pop();
    reveal(&mut oracle, block, batches);
    assert_eq!(promise(&oracle), Some(WHOLE));

    let (mut oracle, mut block, batches) = with_two_bundles();
    block.bundles[0].outcome = Outcome::Opened(Vec::new());
    reveal(&mut oracle, block, batches);
    assert_eq!(promise(&oracle), Some(WHOLE));
}

#[test]
fn a_share_before_the_senders_own_decision_breaks_blindness() {
    let header = header(1, 5);
    let mut oracle = oracle();
    send_share(&mut oracle, 1, &header);
    assert_eq!(promise(&oracle), Some(BLIND), "nobody has decided");

    let mut oracle = self::oracle();
    oracle.event(START, 0, &decided(&header, &[]));
    send_share(&mut oracle, 0, &header);
    assert_eq!(promise(&oracle), None);
    send_share(&mut oracle, 1, &header);
    assert_eq!(promise(&oracle), Some(BLIND), "the sender has not decided");
}

#[test]
fn what_counts_of_early_shares_is_points_of_the_sharing_in_office() {
    let sharing = |first, secrecy, points: [usize; 4]| Sharing {
        first: Height::new(first),
        secrecy,
        points: (0..).zip(points).collect(),
    };
    // Validator 3 lies. Of four points two tell nothing; in the next sharing, of twelve, six.
    let sharings = || [sharing(1, 2, [1; 4]), sharing(9, 6, [4, 2, 1, 5])].into_iter();
    let oracle = || Oracle::new(&genesis(), (0..3).collect()).with_sharings(sharings());
    let detail = |oracle: &Oracle| {
        let violation = oracle.violation().unwrap();
        assert_eq!(violation.promise, BLIND);
        violation.detail.clone()
    };
    for (height, sharer, points) in [
        (8, 0, None),
        (8, 2, None),
        (9, 0, Some(9)),
        (9, 1, Some(7)),
        (9, 2, None),
        (20, 1, Some(7)),
    ] {
        let mut oracle = oracle();
        send_share(&mut oracle, sharer, &header(height, 5));
        let found = detail(&oracle);
        // One early share is enough to break the promise, and more than c tell everything.
        let expected = points.map_or("has not decided".into(), |points: usize| {
            format!("shares of {points} points of block {}", header(height, 5).id())
        });
        assert!(found.contains(&expected), "height {height}, {sharer}: {found}");
    }
    for (height, expected) in [(8, "hold 1 points, and 2"), (9, "hold 5 points, and 6")] {
        let mut oracle = oracle();
        oracle.opened(3, Height::new(height), header(height, 5).id());
        assert!(detail(&oracle).contains(expected), "height {height}");
    }
}

#[test]
fn a_block_that_liars_open_before_it_is_decided_is_seen() {
    let header = header(1, 5);
    let mut oracle = oracle();
    oracle.event(START, 0, &decided(&header, &[]));
    oracle.opened(3, header.height, header.id());
    assert_eq!(promise(&oracle), None, "what is decided may be opened");
    oracle.opened(3, header.height, BlockId::new([1; 32]));
    assert_eq!(promise(&oracle), Some(BLIND));
}

#[test]
fn two_votes_at_one_position_are_seen_across_a_crash() {
    let mut oracle = oracle();
    send_vote(&mut oracle, START, vote(VoteKind::Precommit, 0, None));
    oracle.crashed(0);
    send_vote(&mut oracle, START, vote(VoteKind::Precommit, 0, None));
    assert_eq!(promise(&oracle), None, "the same again is no contradiction");
    send_vote(&mut oracle, START, vote(VoteKind::Precommit, 0, Some(BlockId::new([1; 32]))));
    assert_eq!(promise(&oracle), Some(CONSISTENT));
}

#[test]
fn what_was_told_and_is_not_on_the_disk_was_not_durable() {
    let mut oracle = oracle();
    oracle.event(START, 0, &decided(&header(1, 5), &[]));
    oracle.crashed(0);
    oracle.recovers(START, 0, &Disk::new_validator(), Loss::Nothing);
    assert_eq!(promise(&oracle), Some(DURABLE));
}

#[test]
fn evidence_or_blame_against_the_honest_is_seen() {
    let (prevote, other) = (VoteKind::Prevote, Some(BlockId::new([1; 32])));
    let evidence = Evidence::Votes(vote(prevote, 1, None), vote(prevote, 1, other));
    let mut oracle = oracle();
    oracle.event(START, 0, &Event::Equivocation(Box::new(evidence)));
    assert_eq!(promise(&oracle), Some(SLASHED));

    let mut oracle = self::oracle();
    let accused = Peer::Validator(ValidatorIndex::new(1));
    oracle.penalties(0, &[(accused, Penalty::Invalid("nothing"))]);
    assert_eq!(promise(&oracle), Some(BLAMED));
}

#[test]
fn a_block_that_omits_what_its_voters_held_too_long_is_seen() {
    let delay = Duration::from_millis(Params::default().timing.inclusion_delay_ms);
    let cases = [(Duration::from_millis(1), Some(INCLUSION)), (Duration::ZERO, None)];
    for (beyond, expected) in cases {
        let mut oracle = oracle();
        let bundle = handed(0);
        oracle.handed_in(&bundle);
        let block = header(1, 5);
        let voted = START.after(delay).after(beyond);
        let body = conclave_types::BlockBody::default();
        let shown = conclave_types::Block { header: block.clone(), body };
        oracle.shown(voted, &Message::Block(Arc::new(shown)));
        for node in 0..3 {
            oracle.event(START, node, &Event::Admitted { bundle: bundle.id });
            send_vote(&mut oracle, voted, vote(VoteKind::Prevote, node, Some(block.id())));
        }
        oracle.event(voted, 0, &decided(&block, &[]));
        assert_eq!(promise(&oracle), expected);
    }
}

fn in_round(vote: SignedVote, round: u32) -> SignedVote {
    SignedVote { round: Round::new(round), ..vote }
}

/// Validator 0 precommits what it and two others prevote.
fn lock(oracle: &mut Oracle, block: Option<BlockId>) {
    for voter in 1..3 {
        send_vote(oracle, START, vote(VoteKind::Prevote, voter, block));
    }
    send_vote(oracle, START, vote(VoteKind::Precommit, 0, block));
    send_vote(oracle, START, vote(VoteKind::Prevote, 0, block));
}

#[test]
fn a_precommit_without_a_quorum_of_prevotes_is_seen() {
    let block = Some(BlockId::new([1; 32]));
    let mut oracle = oracle();
    lock(&mut oracle, block);
    assert_eq!(promise(&oracle), None, "its own prevote counts, whenever it leaves");
    send_vote(&mut oracle, START, in_round(vote(VoteKind::Precommit, 1, block), 1));
    assert_eq!(promise(&oracle), Some(POLKA), "the quorum was in another round");
}

#[test]
fn a_block_from_the_future_is_seen() {
    let drift = Duration::from_millis(Params::default().timing.clock_drift_max_ms);
    let wrong = Duration::from_millis(20);
    for (beyond, expected) in [(0, None), (1, Some(TIMELY))] {
        let mut oracle = oracle().with_clocks(wrong);
        let now = header(1, 5).time;
        let time = now.after(drift).after(wrong).after(Duration::from_micros(beyond));
        oracle.event(now, 0, &decided(&BlockHeader { time, ..header(1, 5) }, &[]));
        assert_eq!(promise(&oracle), expected);
    }
}

#[test]
fn a_prevote_against_ones_own_lock_is_seen_unless_a_later_quorum_frees_it() {
    let (first, second) = (Some(BlockId::new([1; 32])), Some(BlockId::new([2; 32])));
    let prevote = VoteKind::Prevote;
    let mut oracle = oracle();
    lock(&mut oracle, first);
    send_vote(&mut oracle, START, in_round(vote(prevote, 0, first), 1));
    send_vote(&mut oracle, START, in_round(vote(prevote, 0, None), 2));
    assert_eq!(promise(&oracle), None, "it votes for its lock, or for nothing");
    for voter in 1..4 {
        send_vote(&mut oracle, START, in_round(vote(prevote, voter, second), 2));
    }
    send_vote(&mut oracle, START, in_round(vote(prevote, 0, second), 3));
    assert_eq!(promise(&oracle), None, "a quorum in round 2 frees it");

    let mut oracle = self::oracle();
    lock(&mut oracle, first);
    for voter in 1..3 {
        send_vote(&mut oracle, START, in_round(vote(prevote, voter, second), 1));
    }
    oracle.crashed(0);
    send_vote(&mut oracle, START, in_round(vote(prevote, 0, second), 2));
    assert_eq!(promise(&oracle), Some(LOCKED), "two are no quorum");
}

#[test]
fn a_header_that_names_another_state_breaks_determinism() {
    let mut oracle = oracle();
    let wrong = BlockHeader { ledger_digest: Digest::new([1; 32]), ..header(1, 5) };
    oracle.event(START, 0, &decided(&wrong, &[]));
    assert_eq!(promise(&oracle), Some(DETERMINISM), "of the ledger");

    let mut oracle = self::oracle();
    let wrong = BlockHeader { reveal_digest: Digest::new([1; 32]), ..header(1, 5) };
    oracle.event(START, 0, &decided(&wrong, &[]));
    assert_eq!(promise(&oracle), Some(DETERMINISM), "of what is revealed");
}

/// An oracle for which validator 3 is a liar, of whom validator 0 has heard two votes.
fn with_an_equivocator(height: u64) -> (Oracle, Evidence) {
    let mut oracle = Oracle::new(&genesis(), (0..3).collect());
    let (prevote, other) = (VoteKind::Prevote, Some(BlockId::new([1; 32])));
    let sayings = [vote(prevote, 3, None), vote(prevote, 3, other)];
    let [first, second] = sayings.map(|vote| SignedVote { height: Height::new(height), ..vote });
    for vote in [&first, &second] {
        oracle.heard(START, 0, 3, &Message::Consensus(ConsensusMessage::Vote(vote.clone().into())));
    }
    (oracle, Evidence::Votes(first, second))
}

#[test]
fn an_equivocator_that_gets_away_is_seen() {
    let (mut oracle, _) = with_an_equivocator(1);
    oracle.settle(START.after(Duration::from_secs(2)));
    assert_eq!(promise(&oracle), Some(ACCOUNTABLE));

    let (mut oracle, evidence) = with_an_equivocator(1);
    oracle.event(START, 0, &Event::Equivocation(Box::new(evidence)));
    oracle.settle(START.after(Duration::from_secs(2)));
    assert_eq!(promise(&oracle), None, "it is convicted");

    let (mut oracle, _) = with_an_equivocator(1);
    oracle.crashed(0);
    oracle.settle(START.after(Duration::from_secs(2)));
    assert_eq!(promise(&oracle), None, "who heard it is gone");

    let (mut oracle, _) = with_an_equivocator(90);
    oracle.settle(START.after(Duration::from_secs(2)));
    assert_eq!(promise(&oracle), None, "nobody keeps what is so far ahead");
}

#[test]
fn a_proposer_that_gets_away_with_two_proposals_is_seen() {
    let proposal = |salt: u8, pol_round: Option<u32>| SignedProposal {
        height: Height::new(1),
        round: Round::new(3),
        block: BlockId::new([salt; 32]),
        pol_round: pol_round.map(Round::new),
        proposer: ValidatorIndex::new(3),
        signature: SignatureBytes::new([0; 64]),
    };
    let cases = [
        (proposal(1, None), 3, None),
        (proposal(2, None), 3, Some(ACCOUNTABLE)),
        (proposal(1, Some(2)), 3, Some(ACCOUNTABLE)),
        // Somebody else passes it on: the validator need not have looked at it.
        (proposal(2, None), 2, None),
    ];
    for (second, from, expected) in cases {
        let mut oracle = Oracle::new(&genesis(), (0..2).collect());
        for (from, proposal) in [(3, proposal(1, None)), (from, second)] {
            let message = ConsensusMessage::Proposal(proposal.into());
            oracle.heard(START, 0, from, &Message::Consensus(message));
        }
        oracle.settle(START.after(Duration::from_secs(2)));
        assert_eq!(promise(&oracle), expected);
    }
}

#[test]
fn what_names_the_zero_id_is_no_second_statement() {
    let said = |first: Option<BlockId>, second: BlockId| {
        let mut oracle = Oracle::new(&genesis(), (0..3).collect());
        for block in [first, Some(second)] {
            let vote = vote(VoteKind::Prevote, 3, block);
            let vote = SignedVote { height: Height::new(1), ..vote };
            oracle.heard(START, 0, 3, &Message::Consensus(ConsensusMessage::Vote(vote.into())));
        }
        oracle.settle(START.after(Duration::from_secs(2)));
        promise(&oracle)
    };
    let block = |salt: u8| BlockId::new([salt; 32]);
    assert_eq!(said(None, BlockId::ZERO), None);
    assert_eq!(said(Some(block(1)), BlockId::ZERO), None);
    assert_eq!(said(None, block(1)), Some(ACCOUNTABLE));
    assert_eq!(said(Some(block(2)), block(1)), Some(ACCOUNTABLE));
}

#[test]
fn whoever_shares_what_nobody_decides_and_gets_away_is_seen() {
    let stray = |height: u64| ShareMessage {
        epoch: Epoch::ZERO,
        height: Height::new(height),
        block: BlockId::new([9; 32]),
        validator: ValidatorIndex::new(3),
        shares: Vec::new(),
        signature: SignatureBytes::new([0; 64]),
    };
    // How many come, through whom, and whether one is kept.
    let cases = [
        (3, 3, false, Some(ACCOUNTABLE)),
        (3, 3, true, None),
        (2, 3, false, None),
        (3, 2, false, None),
    ];
    for (count, from, is_kept, expected) in cases {
        let mut chain = Chain::new(&(0..3).collect());
        let mut accountability = Accountability::default();
        for height in 1..=count {
            let decided = chain.decided_at(0);
            accountability.sent_shares((0, from), &stray(height), decided);
            // Whatever comes later for that height is not looked at.
            let second = ShareMessage { block: BlockId::new([8; 32]), ..stray(height) };
            accountability.sent_shares((0, from), &second, decided);
            let block = header(height, 5).id();
            assert_eq!(chain.decided(0, Height::new(height), block, &[]), Ok(()));
            let (block, _) = revealed(&header(height, 5), &[]);
            assert_eq!(chain.revealed(0, &block, Digest::ZERO), Ok(()));
        }
        if is_kept {
            accountability.kept_stray(0, 3);
        }
        let check = accountability.settle(START, &chain);
        assert_eq!(check.err().map(|found| found.promise), expected, "{count} through {from}");
    }
}

#[test]
fn evidence_that_convicts_nobody_is_seen() {
    let (mut oracle, _) = with_an_equivocator(1);
    let same = vote(VoteKind::Prevote, 3, None);
    let evidence = Evidence::Votes(same.clone(), same);
    oracle.event(START, 0, &Event::Equivocation(Box::new(evidence)));
    assert_eq!(promise(&oracle), Some(ACCOUNTABLE));
}

#[test]
fn ten_honest_rounds_without_a_block_after_the_faults_are_too_many() {
    let round = |height: u64, round: u32, proposer: u16| Event::Round {
        height: Height::new(height),
        round: Round::new(round),
        proposer: ValidatorIndex::new(proposer),
    };
    let mut oracle = Oracle::new(&genesis(), (0..3).collect());
    oracle.healed();
    for number in 0..10 {
        oracle.event(START, 0, &round(1, number, 0));
        oracle.event(START, 1, &round(1, number, 0));
        oracle.event(START, 0, &round(1, 100 + number, 3));
    }
    assert_eq!(oracle.missed(), None, "the tenth is not over, and a liar's rounds do not count");
    oracle.event(START, 0, &round(1, 10, 1));
    assert!(oracle.missed().is_some());
    oracle.event(START, 0, &decided(&header(1, 5), &[]));
    assert!(oracle.missed().is_some(), "decided is not revealed");
    let (block, batches) = revealed(&header(1, 5), &[]);
    reveal(&mut oracle, block, batches);
    assert_eq!(oracle.missed(), None);
}

#[test]
fn a_validator_that_stops_or_grows_is_seen() {
    let mut oracle = oracle();
    oracle.halted(2, "its disk is on fire");
    assert_eq!(promise(&oracle), Some(RUNS));
    let mut oracle = self::oracle();
    oracle.holds(2, "bundles", 11, 10);
    assert_eq!(promise(&oracle), Some(RUNS));
}

/// An oracle for a network whose eras have two epochs each.
fn with_eras() -> Oracle {
    Oracle { era_epochs: 2, ..oracle() }
}

fn epoch_begins(oracle: &mut Oracle, epoch: u64, first: u64, key: u8) {
    let change = KeyChange::Epoch {
        epoch: Epoch::new(epoch),
        first: Height::new(first),
        key: KeyId::new([key; 32]),
    };
    let height = Height::new(first.saturating_sub(8));
    oracle.event(START, 0, &Event::Keys { height, change });
}

#[test]
fn the_key_changes_with_an_era_and_never_else() {
    for (keys, expected) in [
        (&[1, 1, 2, 2, 3][..], None),
        (&[1, 2], Some(SAME_KEY)),
        (&[1, 1, 1], Some(NEW_KEY)),
        (&[1, 1, 2, 2, 1], Some(NEW_KEY)),
    ] {
        let mut oracle = with_eras();
        for (epoch, key) in (1..).zip(keys) {
            epoch_begins(&mut oracle, epoch, 10 * epoch, *key);
        }
        assert_eq!(promise(&oracle), expected, "{keys:?}");
    }
}

#[test]
fn a_bundle_in_a_block_of_another_key_is_seen() {
    let mut oracle = oracle();
    let handed = handed(0);
    oracle.handed_in(&handed);
    let other = BlockHeader { key_id: KeyId::new([1; 32]), ..header(1, 1) };
    oracle.event(START, 0, &decided(&other, &[handed.id]));
    assert_eq!(promise(&oracle), Some(SEALED_TO));
}

#[test]
fn what_is_returned_is_in_no_block_and_what_is_in_none_is_returned() {
    let next = |oracle: &mut Oracle, says: bool| {
        let handed = handed(0);
        oracle.handed_in(&handed);
        oracle.event(START, 0, &Event::Admitted { bundle: handed.id });
        if says {
            let returned = Event::Returned { height: Height::ZERO, bundles: vec![handed.id] };
            oracle.event(START, 0, &returned);
        }
        epoch_begins(oracle, 3, 1, 1);
        handed.id
    };
    let new = BlockHeader { key_id: KeyId::new([1; 32]), ..header(1, 1) };
    for (says, expected) in [(true, None), (false, Some(RETURNED))] {
        let mut oracle = with_eras();
        next(&mut oracle, says);
        oracle.event(START, 0, &decided(&new, &[]));
        assert_eq!(promise(&oracle), expected, "{says}");
    }
    let mut oracle = with_eras();
    let id = next(&mut oracle, true);
    oracle.event(START, 1, &decided(&header(1, 1), &[id]));
    assert_eq!(promise(&oracle), Some(RETURNED));
}

#[test]
fn shares_of_an_epoch_that_is_long_over_are_seen() {
    let mut oracle = with_eras();
    epoch_begins(&mut oracle, 2, 1, 1);
    let kept = [Epoch::new(1), Epoch::new(2)].into();
    let broken = |revealed, epochs| {
        let check = oracle.erased(0, Height::new(revealed), epochs);
        check.err().map(|violation| violation.promise)
    };
    assert_eq!(broken(65, &kept), None, "late messages are still told from forged ones");
    assert_eq!(broken(66, &kept), Some(ERASED));
    assert_eq!(broken(1_000, &[Epoch::new(2)].into()), None);
}

/// What L1 shows: this has settled, and so much is at stake for validator 0, whose number there is 1.
fn witness(settled: Option<crate::l1::Settled>, whole_gwei: u64, is_accused: bool) -> Witness {
    let is_tombstoned = is_accused;
    let stake = crate::l1::Stake { validator: 1, whole_gwei, is_accused, is_tombstoned };
    Witness { settled: settled.into_iter().collect(), stakes: vec![stake], ..Witness::default() }
}

/// The settlement of the first height, in the words of the specification.
fn settled(oracle: &Oracle, block: &RevealedBlock) -> crate::l1::Settled {
    let (_, digest, root) = oracle.settlement.settles(Height::new(1)).unwrap();
    crate::l1::Settled {
        epoch: block.epoch.as_u64(),
        height: 1,
        digest: Digest::new(digest),
        root: Digest::new(root),
        origin: block.l1_origin.number,
        cursor: 0,
    }
}

#[test]
fn what_has_settled_and_no_honest_validator_made_is_seen() {
    let revealed = || {
        let (mut oracle, block, batches) = with_two_bundles();
        reveal(&mut oracle, block.clone(), batches);
        let settled = settled(&oracle, &block);
        (oracle, settled)
    };
    type Break = fn(&mut crate::l1::Settled);
    let breaks: [(Break, Option<&str>); 7] = [
        (|_| {}, None),
        (|settled| settled.digest = Digest::ZERO, Some(SETTLED)),
        (|settled| settled.root = settled.digest, Some(SETTLED)),
        (|settled| settled.height = 2, Some(SETTLED)),
        (|settled| settled.epoch = 1, Some(SETTLED)),
        (|settled| settled.origin = 9, Some(SETTLED)),
        (|settled| settled.cursor = 1, Some(SETTLED)),
    ];
    for (number, (change, expected)) in breaks.into_iter().enumerate() {
        let (mut oracle, mut found) = revealed();
        change(&mut found);
        let check = oracle.witness(&witness(Some(found), 5, false));
        oracle.note(check);
        assert_eq!(promise(&oracle), expected, "break {number}");
        assert_eq!(oracle.settled_on_l1(), Height::new(u64::from(expected.is_none())));
    }
    let (mut oracle, found) = revealed();
    for _ in 0..2 {
        let check = oracle.witness(&witness(Some(found), 5, false));
        oracle.note(check);
    }
    assert_eq!(promise(&oracle), Some(SETTLED), "the same again settles nothing");
}

#[test]
fn stake_of_the_honest_that_falls_or_is_held_is_seen_and_stake_of_liars_is_not() {
    for (liar, stakes, expected) in [
        (false, [(5, false), (6, false)], None),
        (false, [(5, false), (4, false)], Some(SLASHED)),
        (false, [(5, false), (5, true)], Some(SLASHED)),
        (true, [(5, false), (4, true)], None),
    ] {
        let honest = (u16::from(liar)..4).collect();
        let mut oracle = Oracle::new(&genesis(), honest);
        for (bonded, is_accused) in stakes {
            let check = oracle.witness(&witness(None, bonded, is_accused));
            oracle.note(check);
        }
        assert_eq!(promise(&oracle), expected, "{liar}, {stakes:?}");
    }
}

#[test]
fn a_liar_that_keeps_its_stake_is_seen() {
    let accused = |blocks: u64, is_seized: bool| {
        let mut oracle = Oracle::new(&genesis(), (1..4).collect());
        let other = Some(BlockId::new([1; 32]));
        let votes = [None, other].map(|block| vote(VoteKind::Prevote, 0, block));
        let [one, two] = votes;
        let evidence = Evidence::Votes(one, two);
        oracle.event(START, 1, &Event::Equivocation(Box::new(evidence)));
        assert!(oracle.is_somebody_at_large());
        for number in 1..=blocks {
            let origin = L1Origin { number, hash: Digest::ZERO };
            let (parent, entries, offers) = (Digest::ZERO, Vec::new(), Vec::new());
            oracle.l1_final(&L1Block { origin, parent, entries, offers }, None);
            let check = oracle.witness(&witness(None, 5, is_seized));
            oracle.note(check);
        }
        oracle
    };
    assert_eq!(promise(&accused(60, false)), None);
    assert_eq!(promise(&accused(61, false)), Some(ACCOUNTABLE));
    for (left, expected) in [(4, None), (5, Some(ACCOUNTABLE))] {
        let mut oracle = accused(61, true);
        assert!(!oracle.is_somebody_at_large());
        oracle.ended(&witness(None, left, false));
        assert_eq!(promise(&oracle), expected, "the case ends, and {left} of 5 are left");
    }
}
