use std::sync::Arc;

use conclave_mempool::RequestOutcome;
use conclave_types::{
    Deposit, Epoch, ForcedRef, ForcedTransaction, Gwei, ItemSource, L1Content, Payee, PayerAddress,
    VoteKind, WithdrawalRequest, merkle, mmr, withdrawal_path,
};

use super::*;
use crate::{
    BatchSeed, Input, archive,
    audit::{AuditError, Auditor},
    store::Table,
    testing::Solo,
};

const HASH: Digest = Digest::new([0xaa; 32]);

fn hash(number: u64) -> Digest {
    Digest::new([u8::try_from(number % 251).unwrap(); 32])
}

fn entry(index: u64, l1_block: u64) -> L1Entry {
    let deposit = Deposit { payer: PayerAddress::new([1; 20]), amount: Gwei::new(7) };
    L1Entry { index, l1_block, content: L1Content::Deposit(deposit) }
}

/// Block `number` with the entries `from..to` of the queue, on the chain that starts at block 10.
fn block(number: u64, from: u64, to: u64) -> L1Block {
    let parent = if number == 11 { HASH } else { hash(number - 1) };
    let entries = (from..to).map(|index| entry(index, number)).collect();
    L1Block { origin: L1Origin { number, hash: hash(number) }, parent, entries, offers: vec![] }
}

fn view() -> L1View {
    L1View::new(L1Origin { number: 10, hash: HASH }, 3)
}

#[test]
fn observations_are_taken_in_order_and_once() {
    let mut view = view();
    assert_eq!(view.observe(Time::ZERO, block(11, 3, 5)), Ok(()));
    assert_eq!(view.observe(Time::ZERO, block(12, 5, 5)), Ok(()));
    assert_eq!(view.observe(Time::ZERO, block(11, 3, 5)), Ok(()), "again, and it changes nothing");
    assert_eq!(view.observe(Time::ZERO, block(13, 5, 6)), Ok(()));
    let expected = L1Position {
        origin: L1Origin { number: 10, hash: HASH },
        forced_cursor: 3,
        observed: L1Origin { number: 13, hash: hash(13) },
        has_room: true,
    };
    assert_eq!(view.position(), expected);
    assert_eq!(view.bytes, 3 * 72);
}

#[test]
fn what_does_not_follow_is_refused_and_says_why() {
    let index = |expected, found| L1Refusal::Entries(L1EntryError::Index { expected, found });
    let mut foreign = block(11, 3, 3);
    foreign.origin.number = 12;
    foreign.parent = hash(77);
    let mut strange = block(12, 5, 6);
    strange.entries[0].l1_block = 11;
    let of_another = L1EntryError::Block { index: 5, least: 12, most: 12, found: 11 };
    let cases = [
        (block(13, 5, 5), L1Refusal::NotNext { expected: 12, found: 13 }),
        (foreign, L1Refusal::Parent { number: 12, expected: hash(11), found: hash(77) }),
        (block(12, 6, 7), index(5, 6)),
        (block(12, 4, 5), index(5, 4)),
        (strange, L1Refusal::Entries(of_another)),
        (block(11, 3, 4), L1Refusal::Changed { number: 11, expected: hash(11), found: hash(11) }),
        (block(10, 0, 0), L1Refusal::Changed { number: 10, expected: HASH, found: hash(10) }),
    ];
    for (block, refusal) in cases {
        let mut view = view();
        assert_eq!(view.observe(Time::ZERO, self::block(11, 3, 5)), Ok(()));
        let before = view.position();
        assert_eq!(view.observe(Time::ZERO, block), Err(refusal));
        assert_eq!(view.position(), before);
    }
    assert_eq!(
        view().observe(Time::ZERO, block(9, 0, 9)),
        Ok(()),
        "what is behind the chain is old news"
    );
}

#[test]
fn only_so_much_is_held() {
    let mut view = view();
    for number in 11..11 + 1_024 {
        assert!(view.position().has_room);
        assert_eq!(view.observe(Time::ZERO, block(number, 3, 3)), Ok(()));
    }
    assert!(!view.position().has_room);
    assert_eq!(
        view.observe(Time::ZERO, block(1_035, 3, 3)),
        Err(L1Refusal::Full { blocks: 1_024 })
    );
}

/// A decided block with this origin and these entries.
fn decided(origin: L1Origin, entries: Vec<L1Entry>) -> Block {
    let mut block = crate::testing::empty_block(Height::new(1));
    block.header.l1_origin = origin;
    block.body.l1_entries = entries;
    block
}

fn at(number: u64) -> L1Origin {
    L1Origin { number, hash: hash(number) }
}

const LATER: Time = Time::from_micros(10_000_000);

fn seen() -> L1View {
    let mut view = view();
    for block in [block(11, 3, 5), block(12, 5, 5), block(13, 5, 6)] {
        assert_eq!(view.observe(Time::ZERO, block), Ok(()));
    }
    view
}

fn entries(rows: &[(u64, u64)]) -> Vec<L1Entry> {
    rows.iter().map(|(index, l1_block)| entry(*index, *l1_block)).collect()
}

#[test]
fn a_block_is_confirmed_with_exactly_what_was_observed() {
    let view = seen();
    let origin = L1Origin { number: 10, hash: HASH };
    let all = [(3, 11), (4, 11), (5, 13)];
    let other = L1Origin { number: 13, hash: hash(99) };
    let cases = [
        ("the parent's origin", origin, entries(&[]), true),
        ("all of it", at(13), entries(&all), true),
        ("part of the blocks, whole", at(12), entries(&all[..2]), true),
        ("one entry left out", at(13), entries(&all[..2]), false),
        ("another order", at(13), entries(&[(4, 11), (3, 11), (5, 13)]), false),
        ("one too many", at(12), entries(&all), false),
        ("an origin that is not seen", at(14), entries(&all), false),
        ("another block at its number", other, entries(&all), false),
    ];
    for (what, origin, entries, confirmed) in cases {
        assert_eq!(view.confirms(&decided(origin, entries)), confirmed, "{what}");
    }
}

/// Three L1 blocks after 10, of which the first and the last offer something.
fn offering() -> (L1View, Vec<CommitteeOffer>) {
    let mut view = L1View::new(L1Origin { number: 10, hash: HASH }, 0);
    let offer = |epoch, name: &str| {
        let (genesis, _) = crate::testing::network(1);
        let mut members = genesis.members;
        members[0].name = name.into();
        CommitteeOffer { epoch: Epoch::new(epoch), members }
    };
    let offers = vec![offer(2, "a"), offer(2, "b"), offer(3, "c")];
    for (number, offers) in [(11, &offers[..1]), (12, &offers[..0]), (13, &offers[1..])] {
        let seen = L1Block { offers: offers.to_vec(), ..block(number, 0, 0) };
        assert_eq!(view.observe(Time::ZERO, seen), Ok(()));
    }
    (view, offers)
}

#[test]
fn a_block_is_confirmed_with_exactly_the_offers_that_were_seen() {
    let (view, offers) = offering();
    let with = |origin, offers: &[CommitteeOffer]| {
        let mut block = decided(origin, vec![]);
        block.body.offers = offers.to_vec();
        view.confirms(&block)
    };
    assert!(with(at(12), &offers[..1]) && with(at(13), &offers));
    assert!(!with(at(12), &[]), "one left out");
    assert!(!with(at(12), &offers[1..2]), "another");
    assert!(!with(at(12), &offers[..2]), "one too early");
    assert!(!with(at(13), &[offers[1].clone(), offers[0].clone(), offers[2].clone()]));
}

#[test]
fn no_more_offers_are_proposed_than_a_block_takes() {
    let (mut view, offers) = offering();
    let from = view.propose(LATER, Height::new(1), Round::ZERO);
    assert_eq!((from.origin, &from.offers[..]), (at(12), &offers[..1]));
    let many = L1Block { offers, ..block(14, 0, 0) };
    let error = L1EntryError::TooMany { what: "offers", max: 2, found: 3 };
    assert_eq!(view.observe(Time::ZERO, many), Err(L1Refusal::Entries(error)));
}

#[test]
fn what_a_block_says_is_offered_is_bounded_and_committed_to() {
    let (_, offers) = offering();
    let (genesis, _) = crate::testing::network(1);
    let parent = Parent { l1_origin: at(10), ..Parent::genesis(&genesis) };
    let judge = |origin, offers: &[CommitteeOffer]| {
        let mut block = decided(origin, vec![]);
        block.body.offers = offers.to_vec();
        block.header.l1_entries_root = block.body.l1_entries_root();
        check(&block, &parent)
    };
    assert_eq!(judge(at(11), &offers[..2]), Ok(()));
    let error =
        |max, found| InvalidBlock::L1Entries(L1EntryError::TooMany { what: "offers", max, found });
    assert_eq!(judge(at(11), &offers), Err(error(2, 3)));
    assert_eq!(judge(at(10), &offers[..1]), Err(error(0, 1)), "nothing of L1 is covered");
    let mut block = decided(at(11), vec![]);
    block.body.offers = offers[..1].to_vec();
    assert_eq!(check(&block, &parent), Err(InvalidBlock::Root("root of L1 entries")));
}

fn proposal(
    view: &mut L1View,
    now: Time,
    height: Height,
    round: Round,
) -> (L1Origin, Vec<L1Entry>) {
    let FromL1 { origin, entries, .. } = view.propose(now, height, round);
    (origin, entries)
}

#[test]
fn a_proposer_names_what_the_others_can_have_seen() {
    let mut view = seen();
    let late = block(14, 6, 7);
    let just_before = Time::from_micros(9_500_000);
    assert_eq!(view.observe(just_before, late), Ok(()));
    let (height, all) = (Height::new(1), entries(&[(3, 11), (4, 11), (5, 13)]));
    assert_eq!(proposal(&mut view, LATER, height, Round::ZERO), (at(13), all));
    view.tried = None;
    let more = entries(&[(3, 11), (4, 11), (5, 13), (6, 14)]);
    let second_later = LATER.after(Duration::from_secs(1));
    assert_eq!(proposal(&mut view, second_later, height, Round::ZERO), (at(14), more));
    view.tried = None;
    let none = (L1Origin { number: 10, hash: HASH }, vec![]);
    assert_eq!(proposal(&mut view, LATER, height, Round::new(4)), none, "seen for less than 16 s");
}

#[test]
fn what_was_not_decided_is_not_tried_again_at_once() {
    let mut view = seen();
    let none = (L1Origin { number: 10, hash: HASH }, vec![]);
    let (first, second) = (Height::new(1), Height::new(2));
    assert_ne!(proposal(&mut view, LATER, first, Round::ZERO), none);
    assert_eq!(proposal(&mut view, LATER, first, Round::new(1)), none, "once a height");
    assert_eq!(view.decided(LATER, &decided(none.0, vec![]), 3), None);
    assert_eq!(proposal(&mut view, LATER, second, Round::ZERO), none);
    let retry = LATER.after(Duration::from_secs(1));
    assert_ne!(proposal(&mut view, retry, second, Round::ZERO), none);
}

#[test]
fn what_fits_the_reserve_is_proposed_and_no_l1_block_is_cut() {
    let mut view = L1View::new(L1Origin { number: 10, hash: HASH }, 0);
    for (number, from) in (11..14).zip((0..).step_by(500)) {
        assert_eq!(view.observe(Time::ZERO, block(number, from, from + 500)), Ok(()));
    }
    let (origin, entries) = proposal(&mut view, LATER, Height::new(1), Round::ZERO);
    assert_eq!((origin, entries.len()), (at(12), 1_000));
}

#[test]
fn what_a_quorum_decides_goes_before_what_was_seen() {
    let mut view = seen();
    assert_eq!(view.decided(LATER, &decided(at(11), entries(&[(3, 11), (4, 11)])), 5), None);
    assert_eq!(view.position().origin, at(11));
    assert_eq!(view.position().observed, at(13), "what comes after is still there");
    assert_eq!(view.bytes, 72);

    let mut view = seen();
    let other = L1Origin { number: 12, hash: hash(99) };
    assert_eq!(view.decided(LATER, &decided(other, vec![]), 3), Some(at(12)));
    let expected = L1Position { origin: other, forced_cursor: 3, observed: other, has_room: true };
    assert_eq!(view.position(), expected, "it observes anew");

    let mut view = seen();
    assert_eq!(view.decided(LATER, &decided(at(20), vec![]), 9), None, "further than it saw");
    assert_eq!(view.position().observed, at(20));
    assert_eq!(view.observe(LATER, block(21, 9, 9)), Ok(()));
}

/// A network of one that has seen an L1 block with a deposit, two forced transactions for rollup 901 and one
/// for a rollup that nobody knows; and a bundle for 901 besides.
fn carried() -> (Solo, L1Block) {
    let forced = |(index, rollup)| {
        let transaction = vec![u8::try_from(index).unwrap(); 3];
        let rollup = RollupId::new(rollup);
        let forced = ForcedTransaction { rollup, gas_limit: 50_000, transaction };
        L1Entry { index, l1_block: 1, content: L1Content::Forced(forced) }
    };
    let later = [(1, 901), (2, 777), (3, 901)].map(forced);
    let entries = std::iter::once(entry(0, 1)).chain(later).collect();
    let l1 = L1Block { origin: at(1), parent: Digest::ZERO, entries, offers: vec![] };
    let mut solo = Solo::new();
    // Blocks come every half second; the third one, with the bundle, is the first that may name the origin.
    solo.now = solo.now.after(Duration::from_millis(300));
    solo.input(Input::L1(l1.clone()));
    solo.run_to(2);
    solo.now = solo.now.after(Duration::from_millis(400));
    let bundle = solo.bundle(0);
    assert_eq!(solo.submit(bundle).map(|receipt| receipt.deadline > Height::ZERO), Ok(true));
    solo.run_to(4);
    (solo, l1)
}

#[test]
fn forced_transactions_are_carried_first_and_deposits_credited() {
    let (solo, l1) = carried();
    let reveals = solo.events.iter().filter_map(|event| {
        let Event::Revealed { block, batches, .. } = event else { return None };
        (!block.forced.is_empty()).then(|| (block.clone(), batches.clone()))
    });
    let reveals: Vec<_> = reveals.collect();
    let [(block, batches)] = reveals.as_slice() else { panic!("carried once: {reveals:?}") };
    assert_eq!((block.l1_origin, block.forced_cursor), (at(1), 4));
    let outcomes: Vec<_> = block.forced.iter().map(|f| (f.index, f.carried)).collect();
    assert_eq!(outcomes, vec![(1, true), (2, false), (3, true)]);
    assert_eq!(block.forced[1].entry_hash, l1.entries[2].hash());
    let rollups: Vec<_> = batches.iter().map(|batch| batch.rollup.as_u64()).collect();
    assert_eq!(rollups, vec![901, 902], "and none for a rollup that nobody knows");
    let place = |index| ItemSource::Forced(ForcedRef { index, gas_limit: 50_000 });
    let items = &batches[0].items;
    assert_eq!(items.len(), 3, "two forced ones and a leg");
    assert_eq!((items[0].source, items[1].source), (place(1), place(3)));
    assert_eq!(items[0].transaction, vec![1; 3]);
    assert!(items[2].source.leg().is_some());
    let account = solo.core.account(&PayerAddress::new([1; 20]), 0);
    assert_eq!(account.balance, Gwei::new(7));
}

#[test]
fn a_restart_goes_on_from_the_chains_origin() {
    let (mut solo, l1) = carried();
    let expected = L1Position { origin: at(1), forced_cursor: 4, observed: at(1), has_room: true };
    assert_eq!(solo.core.l1_position(), expected);
    solo.restart();
    assert_eq!(solo.core.l1_position(), expected);
    let on = |number, entries| L1Block {
        origin: at(number),
        parent: at(number - 1).hash,
        entries,
        offers: vec![],
    };
    let stale = on(2, vec![entry(3, 2)]);
    solo.input(Input::L1(stale));
    let refused =
        |event: &Event| matches!(event, Event::L1Refused { origin, .. } if *origin == at(2));
    assert!(solo.events.iter().any(refused));
    solo.input(Input::L1(l1));
    solo.input(Input::L1(on(2, vec![])));
    let next = on(3, vec![entry(4, 3)]);
    solo.input(Input::L1(next));
    let height = solo.core.status().revealed.as_u64();
    solo.run_to(height + 4);
    assert_eq!(solo.core.l1_position().origin, at(3));
    assert_eq!(solo.core.l1_position().forced_cursor, 5);
    assert_eq!(solo.core.account(&PayerAddress::new([1; 20]), 0).balance, Gwei::new(14));
}

#[test]
fn a_block_that_is_decided_and_sealed_carries_after_a_restart() {
    let (mut solo, _) = carried();
    let entries = vec![entry(4, 2)];
    let l1 = L1Block { origin: at(2), parent: at(1).hash, entries, offers: vec![] };
    solo.input(Input::L1(l1));
    let height = solo.core.status().decided;
    solo.held = Some(vec![]);
    while solo.core.l1_position().origin != at(2) {
        let wake = solo.core.wake_at().unwrap_or(solo.now);
        solo.now = wake.max(solo.now.after(Duration::from_micros(10)));
        solo.input(Input::Tick);
    }
    assert!(solo.core.status().revealed <= height, "what carries it is sealed");
    solo.held = None;
    solo.restart();
    solo.run_to(solo.core.status().decided.as_u64());
    let cursors = solo.events.iter().filter_map(|event| {
        let Event::Revealed { block, .. } = event else { return None };
        Some((block.l1_origin.number, block.forced_cursor))
    });
    let last: Vec<_> = cursors.filter(|(origin, _)| *origin > 0).collect();
    assert!(last.contains(&(1, 4)) && last.contains(&(2, 5)), "{last:?}");
    assert!(last.iter().all(|(origin, cursor)| *cursor == origin + 3), "{last:?}");
}

#[test]
fn an_audit_covers_what_l1_asked_for() {
    let (solo, _) = carried();
    let mut auditor =
        Auditor::new(Arc::clone(&solo.genesis), Height::ZERO, BatchSeed::new([3; 32])).unwrap();
    let tip = archive::tip(&solo.store).unwrap().unwrap();
    assert_eq!(tip.forced_cursor, 4);
    while auditor.next() <= tip.decided {
        auditor.advance(&solo.store).unwrap();
    }
    auditor.check_state(&solo.store, &tip).unwrap();
    let wrong = archive::Tip { forced_cursor: 3, ..tip };
    let error = auditor.check_state(&solo.store, &wrong);
    assert!(matches!(error, Err(AuditError::State("the tip"))));
}

/// A validator of four that is not the first proposer, and a block of whoever is: it names L1 block 1.
fn proposed() -> (Solo, Arc<Block>) {
    let first = |solo: &Solo| solo.core.engine.proposer(Height::new(1), Round::ZERO);
    let mut solo = Solo::of(4, 1);
    if solo.core.own_at(Height::new(1)) == Some(first(&solo)) {
        solo = Solo::of(4, 2);
    }
    let mut block = crate::testing::empty_block(Height::new(1));
    block.header.network = solo.genesis.network_id();
    block.header.parent = solo.genesis.block_id();
    block.header.proposer = first(&solo);
    block.header.time = solo.genesis.time.after(Duration::from_micros(1));
    block.header.ledger_digest = solo.core.chain.ledger.digest();
    block.header.key_id = solo.core.keys().id_at(Height::new(1));
    block.header.l1_origin = at(1);
    block.body.l1_entries = vec![entry(0, 1)];
    block.header.l1_entries_root = block.body.l1_entries_root();
    let block = Arc::new(block);
    solo.propose(&block);
    (solo, block)
}

#[test]
fn a_block_is_withheld_until_its_origin_is_seen_with_its_entries() {
    let l1 = |entries| {
        Input::L1(L1Block { origin: at(1), parent: Digest::ZERO, entries, offers: vec![] })
    };
    let (mut solo, block) = proposed();
    assert_eq!(solo.votes, vec![]);
    solo.input(l1(vec![entry(0, 1)]));
    assert_eq!(solo.votes, vec![(VoteKind::Prevote, Some(block.id()))]);

    let (mut solo, _) = proposed();
    solo.input(l1(vec![]));
    assert_eq!(solo.votes, vec![], "its L1 says something else");
    assert_eq!(solo.penalties, 0, "and nobody is to blame for that");
}

#[test]
fn a_quorum_of_prevotes_goes_before_what_was_not_seen() {
    let (mut solo, block) = proposed();
    let own = solo.core.own_at(Height::new(1)).unwrap().as_u16();
    for voter in (0..4).filter(|voter| *voter != own) {
        assert_eq!(solo.votes, vec![]);
        solo.vote(VoteKind::Prevote, voter, block.id());
    }
    assert!(solo.votes.contains(&(VoteKind::Precommit, Some(block.id()))), "{:?}", solo.votes);
    for voter in (0..4).filter(|voter| *voter != own) {
        solo.vote(VoteKind::Precommit, voter, block.id());
    }
    assert_eq!(solo.core.l1_position().observed, at(1), "it goes on from there");
    assert_eq!(solo.core.account(&PayerAddress::new([1; 20]), 0).balance, Gwei::new(7));
}

fn asked(index: u64, gwei: u64) -> L1Entry {
    let request = WithdrawalRequest {
        payer: PayerAddress::new([1; 20]),
        recipient: PayerAddress::new([2; 20]),
        amount: Gwei::new(gwei),
    };
    L1Entry { index, l1_block: 1, content: L1Content::Withdrawal(request) }
}

/// A network of one in which a payer has deposited 7 gwei and asked for 4, 5 and 1 of them, in one L1 block.
fn withdrawn() -> (Solo, Height) {
    let entries = vec![entry(0, 1), asked(1, 4), asked(2, 5), asked(3, 1)];
    let mut solo = Solo::new();
    solo.now = solo.now.after(Duration::from_millis(300));
    let parent = Digest::ZERO;
    solo.input(Input::L1(L1Block { origin: at(1), parent, entries, offers: vec![] }));
    solo.run_to(5);
    let carrier = solo.events.iter().find_map(|event| {
        let Event::Decided { header, l1_entries, .. } = event else { return None };
        (!l1_entries.is_empty()).then_some(header.height)
    });
    (solo, carrier.unwrap())
}

#[test]
fn what_is_withdrawn_is_in_the_commitment_of_the_block_that_carries_the_request() {
    let (solo, height) = withdrawn();
    let payee = Payee::Account(PayerAddress::new([2; 20]));
    let paid = |index, gwei| Withdrawal { index, payee, amount: Gwei::new(gwei) };
    let found = archive::withdrawals(&solo.store, height).unwrap();
    assert_eq!(found, vec![paid(0, 4), paid(1, 3)], "all there is, and then nothing");
    let outcome = |entry| archive::request(&solo.store, entry).unwrap();
    let carried = |index| Some(RequestOutcome { height, index });
    let expected = [None, carried(Some(0)), carried(Some(1)), carried(None), None];
    assert_eq!([0, 1, 2, 3, 4].map(outcome), expected);
    let listed = |from, limit| archive::paid_to(&solo.store, payee, from, limit).unwrap();
    assert_eq!(listed(0, 9), vec![(height, found[0]), (height, found[1])]);
    assert_eq!(listed(1, 9), listed(0, 9)[1..]);
    assert_eq!(listed(0, 1), listed(0, 9)[..1]);
    assert_eq!(archive::paid_to(&solo.store, Payee::Pot, 0, 9).unwrap(), vec![]);

    let tip = solo.core.status().revealed;
    let domain = conclave_types::digest::SigningDomain::of(&solo.genesis);
    let mut history = mmr::Peaks::default();
    for revealed in Height::ZERO.up_to(tip) {
        let commitment = archive::commitment(&solo.store, revealed).unwrap().unwrap();
        history.append(&domain.commitment(&commitment));
        if revealed != height {
            assert_eq!(commitment.withdrawals_root, Digest::ZERO);
        }
    }
    let commitment = archive::commitment(&solo.store, height).unwrap().unwrap();
    for (place, withdrawal) in found.iter().enumerate() {
        let path = withdrawal_path(&found, place).unwrap();
        let root = merkle::root_from_path(withdrawal.leaf(), place, &path);
        assert_eq!(root, Some(commitment.withdrawals_root));
    }
    // What L1 checks once `tip` has settled.
    let path = archive::settled_path(&solo.store, height, tip).unwrap().unwrap();
    let digest = domain.commitment(&commitment);
    let (size, index) = (tip.as_u64(), height.as_u64() - 1);
    assert!(mmr::verify_inclusion(&history.root(), size, index, &digest, &path));
    assert_eq!(archive::settled_path(&solo.store, tip, height).unwrap(), None, "not settled");
    assert_eq!(archive::settled_path(&solo.store, height, tip.next()).unwrap(), None, "not here");
}

#[test]
fn an_audit_covers_what_is_paid_out() {
    let (solo, _) = withdrawn();
    let audit = |store: &crate::testing::Memory| {
        let mut auditor =
            Auditor::new(Arc::clone(&solo.genesis), Height::ZERO, BatchSeed::new([3; 32])).unwrap();
        let tip = archive::tip(store).unwrap().unwrap();
        while auditor.next() <= tip.decided {
            auditor.advance(store)?;
        }
        auditor.check_state(store, &tip)
    };
    audit(&solo.store).unwrap();
    for table in [Table::Withdrawals, Table::Payees, Table::Requests] {
        let mut store = solo.store.clone();
        let rows = store.tables.get_mut(&table).unwrap();
        rows.pop_first();
        audit(&store).expect_err(table.name());
    }
    let mut store = solo.store.clone();
    for value in store.tables.get_mut(&Table::Withdrawals).unwrap().values_mut() {
        *value.last_mut().unwrap() ^= 1;
    }
    assert!(matches!(audit(&store), Err(AuditError::Derived("withdrawals"))));
}

#[test]
fn a_block_that_is_decided_and_sealed_pays_after_a_restart() {
    let mut solo = Solo::new();
    solo.run_to(1);
    solo.now = solo.now.after(Duration::from_secs(1));
    let (entries, parent) = (vec![entry(0, 1), asked(1, 4)], Digest::ZERO);
    solo.input(Input::L1(L1Block { origin: at(1), parent, entries, offers: vec![] }));
    solo.held = Some(vec![]);
    while solo.core.l1_position().origin != at(1) {
        let wake = solo.core.wake_at().unwrap_or(solo.now);
        solo.now = wake.max(solo.now.after(Duration::from_micros(10)));
        solo.input(Input::Tick);
    }
    let height = solo.core.status().decided;
    assert!(solo.core.status().revealed < height);
    solo.held = None;
    solo.restart();
    solo.run_to(height.as_u64());
    let commitment = archive::commitment(&solo.store, height).unwrap().unwrap();
    let paid = archive::withdrawals(&solo.store, height).unwrap();
    assert_eq!(paid.len(), 1);
    assert_eq!(commitment.withdrawals_root, paid[0].leaf());
    assert_eq!(solo.core.account(&PayerAddress::new([1; 20]), 0).withdrawable, Gwei::new(3));
    // The numbers go on where they were.
    let more = vec![L1Entry { l1_block: 2, ..asked(2, 1) }];
    let parent = at(1).hash;
    solo.input(Input::L1(L1Block { origin: at(2), parent, entries: more, offers: vec![] }));
    solo.run_to(height.as_u64() + 6);
    let payee = Payee::Account(PayerAddress::new([2; 20]));
    let all = archive::paid_to(&solo.store, payee, 0, 9).unwrap();
    let all: Vec<_> = all.iter().map(|(_, paid)| (paid.index, paid.amount.as_u64())).collect();
    assert_eq!(all, vec![(0, 4), (1, 1)]);
}
