mod adversaries;
mod any_order;
mod together;

use conclave_types::{
    BatchItem, BlockId, BundleId, Digest, ForcedTransaction, L1Content, L1Entry, LegRef, Time,
    digest::keccak,
};

use super::*;

const ROLLUP: RollupId = RollupId::new(901);

/// L1 block `number` as it is on branch `branch`.
fn l1(number: u64, branch: u8) -> L1Origin {
    L1Origin { number, hash: keccak(&[&number.to_be_bytes()[..], &[branch]].concat()) }
}

fn derivation() -> Derivation {
    Derivation::new(ROLLUP, l1(1, 0))
}

fn span(since: u64, until: u64, events: &[(u64, L1Event)]) -> L1Span {
    L1Span { since: l1(since, 0), until: l1(until, 0), events: events.to_vec() }
}

const fn settled(height: u64, origin: u64, cursor: u64) -> L1Event {
    L1Event::Settled { height: Height::new(height), origin, cursor }
}

const fn latched(escape: u64, latched_at: u64, height: u64, cursor: u64) -> L1Event {
    L1Event::Latched { escape, latched_at, height: Height::new(height), cursor }
}

const fn returned(escape: u64, resume_point: u64) -> L1Event {
    L1Event::Returned { escape, resume_point }
}

const fn back(to_sequence: u64, steps: u64, height: u64) -> Rollback {
    Rollback { to_sequence, steps, height: Height::new(height) }
}

/// Something that a rollup executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Forced(u64),
    Leg(u8),
}

fn items(step: &Step) -> Vec<Item> {
    let of = |item: &BatchItem| match item.source {
        ItemSource::Forced(forced) => Item::Forced(forced.index),
        ItemSource::Leg(leg) => Item::Leg(leg.bundle.as_bytes()[0]),
    };
    step.items().iter().map(of).collect()
}

fn batch(sequence: u64, (previous, height): (u64, u64), made_of: &[Item]) -> Batch {
    let source = |item: &Item| match *item {
        Item::Forced(index) => ItemSource::Forced(ForcedRef { index, gas_limit: 7 }),
        Item::Leg(seed) => {
            ItemSource::Leg(LegRef { bundle: BundleId::new([seed; 32]), leg: 0, legs: 1 })
        }
    };
    let item = |item| BatchItem { transaction: Vec::new(), source: source(item) };
    Batch {
        rollup: ROLLUP,
        sequence,
        previous_height: Height::new(previous),
        height: Height::new(height),
        block: BlockId::ZERO,
        time: Time::from_micros(height),
        l1_origin: L1Origin::default(),
        randomness: Digest::ZERO,
        items: made_of.iter().map(item).collect(),
    }
}

/// An L1 block with these entries; those with an odd index are for another rollup.
fn queue(number: u64, indices: std::ops::Range<u64>) -> QueueBlock {
    let entry = |index: u64| {
        let rollup = RollupId::new(901 + index % 2);
        let forced = ForcedTransaction { rollup, gas_limit: 7, transaction: Vec::new() };
        L1Entry { index, l1_block: number, content: L1Content::Forced(forced) }
    };
    let (origin, time) = (l1(number, 0), Time::from_micros(number));
    QueueBlock { origin, time, entries: indices.map(entry).collect() }
}

/// Four batches at heights 2, 4, 6 and 8; then L1 tells that height 4 had settled and escape is active.
fn away() -> Derivation {
    let mut derivation = derivation();
    follow(&mut derivation, 0..4);
    let events = [(5, settled(4, 3, 2)), (25, latched(0, 20, 4, 2))];
    let rollback = derivation.observe(&span(1, 30, &events));
    assert_eq!(rollback, Ok(Some(back(2, 2, 4))));
    derivation
}

/// Takes the batches of these numbers.
fn follow(derivation: &mut Derivation, sequences: std::ops::Range<u64>) {
    for sequence in sequences {
        let taken = derivation.batch(at(sequence));
        assert!(matches!(taken, Ok(Taken::Step(_))), "{sequence}: {taken:?}");
    }
}

/// The batch of a number, at twice its height plus two, with the entry of twice its number.
fn at(sequence: u64) -> Batch {
    let height = 2 * sequence + 2;
    let leg = Item::Leg(u8::try_from(sequence).unwrap());
    batch(sequence, (height - 2, height), &[Item::Forced(2 * sequence), leg])
}

#[test]
fn what_had_not_settled_is_taken_back_and_the_queue_comes_in_its_place() {
    let mut derivation = away();
    assert_eq!(derivation.need(), Need::Queue { from: 2, above: 3, until: None });
    assert_eq!(derivation.queued(&queue(3, 0..2)), Ok(None), "that block is settled");
    let step = derivation.queued(&queue(7, 2..5)).unwrap().unwrap();
    assert_eq!((step.sequence, items(&step)), (2, vec![Item::Forced(2), Item::Forced(4)]));
    assert_eq!(derivation.queued(&queue(8, 5..6)), Ok(None), "nothing in it is ours");
    assert_eq!(derivation.next_sequence(), 3);
    assert_eq!(derivation.settled_sequence(), 3, "the queue is never taken back");
    // The return is in the middle of L1 block 31.
    assert_eq!(derivation.observe(&span(30, 31, &[(31, returned(0, 8))])), Ok(None));
    assert_eq!(derivation.need(), Need::Queue { from: 6, above: 8, until: Some(8) });
    let step = derivation.queued(&queue(31, 6..10)).unwrap().unwrap();
    assert_eq!((step.sequence, items(&step)), (3, vec![Item::Forced(6)]));
    // The batches come again, with new numbers, and without the entries that were there.
    let found: Vec<_> = (2..6)
        .map(|sequence| match derivation.batch(at(sequence)) {
            Ok(Taken::Step(step)) => (step.sequence, items(&step)),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (4, vec![Item::Leg(2)]),
        (5, vec![Item::Leg(3)]),
        (6, vec![Item::Forced(8), Item::Leg(4)]),
        (7, vec![Item::Forced(10), Item::Leg(5)]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_step_is_what_was_forced_and_ordered_to_the_byte() {
    let mut derivation = derivation();
    let mut ordered = batch(0, (0, 2), &[Item::Forced(0), Item::Leg(1)]);
    ordered.items[1].transaction = vec![5, 6];
    let step = Step { sequence: 0, content: Content::Batch(ordered.clone()) };
    assert_eq!(derivation.batch(ordered), Ok(Taken::Step(step)));
    let events = [(5, settled(2, 3, 2)), (25, latched(0, 20, 2, 2))];
    assert_eq!(derivation.observe(&span(1, 30, &events)), Ok(None));
    assert_eq!(derivation.brought(Height::new(2), 1), Ok(()));
    let mut block = queue(7, 2..3);
    let forced = ForcedTransaction { rollup: ROLLUP, gas_limit: 9, transaction: vec![7, 8] };
    block.entries[0].content = L1Content::Forced(forced);
    let source = ItemSource::Forced(ForcedRef { index: 2, gas_limit: 9 });
    let items = vec![BatchItem { transaction: vec![7, 8], source }];
    let slice = QueueSlice { origin: l1(7, 0), time: Time::from_micros(7), items };
    let step = Step { sequence: 1, content: Content::Queue(slice) };
    assert_eq!(derivation.queued(&block), Ok(Some(step)));
}

#[test]
fn without_an_escape_steps_are_batches_and_nothing_is_taken_back() {
    let mut derivation = derivation();
    follow(&mut derivation, 0..9);
    let events = [(5, settled(4, 3, 2)), (9, settled(11, 8, 6))];
    assert_eq!(derivation.observe(&span(1, 9, &events)), Ok(None));
    assert_eq!((derivation.next_sequence(), derivation.settled_sequence()), (9, 5));
    assert_eq!(derivation.need(), Need::Batch { sequence: 9, until: None });
}

#[test]
fn who_has_less_than_had_settled_takes_that_first_and_takes_nothing_back() {
    let mut derivation = derivation();
    follow(&mut derivation, 0..1);
    let events = [(5, settled(4, 3, 2)), (25, latched(0, 20, 4, 2))];
    assert_eq!(derivation.observe(&span(1, 30, &events)), Ok(None));
    let until = Some(Height::new(4));
    assert_eq!(derivation.need(), Need::Batch { sequence: 1, until });
    follow(&mut derivation, 1..2);
    assert_eq!(derivation.need(), Need::Queue { from: 2, above: 3, until: None });
}

#[test]
fn a_heartbeat_at_the_latch_says_that_the_queue_is_next() {
    let mut derivation = derivation();
    follow(&mut derivation, 0..1);
    // Height 3 has nothing for the rollup.
    let events = [(5, settled(3, 3, 2)), (25, latched(0, 20, 3, 2))];
    assert_eq!(derivation.observe(&span(1, 30, &events)), Ok(None));
    assert_eq!(derivation.brought(Height::new(2), 1), Ok(()));
    assert!(matches!(derivation.need(), Need::Batch { sequence: 1, .. }), "height 3 may have one");
    assert_eq!(derivation.brought(Height::new(9), 2), Ok(()), "one above the latch may be meant");
    assert!(matches!(derivation.need(), Need::Batch { sequence: 1, .. }));
    let mut by_batch = derivation.clone();
    assert_eq!(derivation.brought(Height::new(3), 1), Ok(()));
    assert_eq!(by_batch.batch(at(1)), Ok(Taken::Held), "a later batch says it, too");
    for derivation in [derivation, by_batch] {
        assert_eq!(derivation.need(), Need::Queue { from: 2, above: 3, until: None });
    }
}

#[test]
fn rollups_leave_again_on_top_of_what_had_settled_by_then() {
    let mut derivation = away();
    derivation.queued(&queue(7, 2..7)).unwrap().unwrap();
    assert_eq!(derivation.observe(&span(30, 31, &[(31, returned(0, 7))])), Ok(None));
    follow(&mut derivation, 2..5);
    // Of the batches after the return, the one at height 6 settles.
    let events = [(33, settled(7, 30, 4)), (60, latched(1, 50, 7, 4))];
    let rollback = derivation.observe(&span(31, 60, &events));
    assert_eq!(rollback, Ok(Some(back(4, 2, 7))));
    assert_eq!(derivation.need(), Need::Queue { from: 7, above: 30, until: None });
    // The block of the return has entries on both sides of its point.
    let step = derivation.queued(&queue(31, 6..9)).unwrap().unwrap();
    assert_eq!((step.sequence, items(&step)), (4, vec![Item::Forced(8)]));
}

#[test]
fn an_escape_that_nothing_was_queued_in_is_over_at_once() {
    let mut derivation = derivation();
    follow(&mut derivation, 0..4);
    let events = [
        (5, settled(4, 3, 2)),
        (25, latched(0, 20, 4, 2)),
        (26, settled(6, 24, 2)),
        (27, returned(0, 2)),
    ];
    let rollback = derivation.observe(&span(1, 30, &events));
    assert_eq!(rollback, Ok(Some(back(2, 2, 4))));
    follow(&mut derivation, 2..5);
    assert_eq!(derivation.settled_sequence(), 3);
}

#[test]
fn it_goes_on_where_it_was_after_a_restart() {
    let mut derivation = away();
    derivation.queued(&queue(7, 2..5)).unwrap().unwrap();
    let bytes = borsh::to_vec(&derivation).unwrap();
    assert_eq!(borsh::from_slice::<Derivation>(&bytes).unwrap(), derivation);
}

#[test]
fn who_is_too_far_ahead_of_settlement_waits_for_it() {
    let mut derivation = derivation();
    let heights = (1..=u64::try_from(UNSETTLED_MAX).unwrap()).map(Height::new);
    derivation.unsettled.extend(heights);
    let most = u64::try_from(UNSETTLED_MAX).unwrap();
    assert_eq!(derivation.need(), Need::Settlement);
    let next = || batch(most, (most, most + 1), &[]);
    assert_eq!(derivation.batch(next()), Ok(Taken::Held));
    assert_eq!(derivation.brought(Height::new(most + 1), most + 1), Ok(()));
    assert_eq!(derivation.observe(&span(1, 5, &[(5, settled(1, 3, 2))])), Ok(None));
    assert!(matches!(derivation.batch(next()), Ok(Taken::Step(_))));
}
