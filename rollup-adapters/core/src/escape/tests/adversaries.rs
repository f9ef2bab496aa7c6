//! What hostile nodes and endpoints bring: each is refused by name, and changes nothing.

use super::*;

/// Refused by name, and nothing has changed.
fn refuses<T: std::fmt::Debug + PartialEq>(
    derivation: &Derivation,
    expected: EscapeError,
    bring: impl FnOnce(&mut Derivation) -> Result<T, EscapeError>,
) {
    let mut after = derivation.clone();
    assert_eq!(bring(&mut after), Err(expected));
    assert_eq!(after, *derivation);
}

#[test]
fn a_node_that_serves_unsettled_batches_after_the_latch_gets_none_of_them_executed() {
    let mut derivation = away();
    let before = derivation.clone();
    for sequence in 2..6 {
        assert_eq!(derivation.batch(at(sequence)), Ok(Taken::Held), "batch {sequence}");
    }
    for sequence in 0..2 {
        assert_eq!(derivation.batch(at(sequence)), Ok(Taken::Seen), "batch {sequence}");
    }
    assert_eq!(derivation.brought(Height::new(99), 40), Ok(()));
    assert_eq!(derivation, before);
}

#[test]
fn batches_that_do_not_follow_are_refused() {
    let mut derivation = derivation();
    follow(&mut derivation, 0..2);
    let other = Batch { rollup: RollupId::new(902), ..at(2) };
    let (expected, found) = (ROLLUP, RollupId::new(902));
    refuses(&derivation, EscapeError::OtherRollup { expected, found }, |d| d.batch(other));
    refuses(&derivation, EscapeError::Gap { expected: 2, found: 3 }, |d| d.batch(at(3)));
    let gap = EscapeError::Gap { expected: 2, found: 3 };
    refuses(&derivation, gap, |d| d.brought(Height::new(9), 3));
    for (previous, height) in [(3, 6), (4, 4)] {
        let [expected, found] = [4, previous].map(Height::new);
        let error = EscapeError::Disconnected { sequence: 2, expected, found };
        refuses(&derivation, error, |d| d.batch(batch(2, (previous, height), &[])));
    }
}

#[test]
fn a_batch_of_before_the_latch_that_was_left_out_is_refused_once_rollups_have_left() {
    let mut derivation = derivation();
    follow(&mut derivation, 0..1);
    let events = [(5, settled(4, 3, 2)), (25, latched(0, 20, 4, 2))];
    assert_eq!(derivation.observe(&span(1, 30, &events)), Ok(None));
    // A liar says that there is none at height 4.
    assert_eq!(derivation.brought(Height::new(99), 1), Ok(()));
    let [latch, found] = [4, 4].map(Height::new);
    let error = EscapeError::BatchLate { sequence: 1, latch, found };
    refuses(&derivation, error, |d| d.batch(at(1)));
    assert_eq!(derivation.batch(at(2)), Ok(Taken::Held), "what it comes before tells nothing");
    derivation.queued(&queue(7, 2..5)).unwrap().unwrap();
    assert_eq!(derivation.observe(&span(30, 31, &[(31, returned(0, 5))])), Ok(None));
    refuses(&derivation, error, |d| d.batch(at(1)));
    let next = batch(1, (2, 5), &[]);
    assert!(matches!(derivation.batch(next), Ok(Taken::Step(_))));
}

#[test]
fn a_latch_that_l1_takes_back_before_it_is_final_changes_nothing() {
    let mut derivation = derivation();
    follow(&mut derivation, 0..4);
    // L1 block 25 had the latch on one branch, and a settlement on the other, which stays.
    assert_eq!(derivation.observe(&span(1, 24, &[(5, settled(4, 3, 2))])), Ok(None));
    assert_eq!(derivation.observe(&span(24, 30, &[(25, settled(8, 20, 2))])), Ok(None));
    assert_eq!((derivation.next_sequence(), derivation.settled_sequence()), (4, 4));
}

#[test]
fn a_final_block_that_is_another_by_now_is_refused() {
    let derivation = away();
    let (expected, found) = (l1(30, 0).hash, l1(30, 1).hash);
    let error = EscapeError::Reorganized { number: 30, expected, found };
    let events = vec![(31, returned(0, 8))];
    let later = L1Span { since: l1(30, 1), until: l1(31, 1), events };
    refuses(&derivation, error, |d| d.observe(&later));
    let same = L1Span { since: l1(1, 0), until: l1(30, 1), events: Vec::new() };
    refuses(&derivation, error, |d| d.observe(&same));
}

#[test]
fn what_l1_told_before_may_come_again() {
    let mut derivation = away();
    let before = derivation.clone();
    let events = [(5, settled(4, 3, 2)), (25, latched(0, 20, 4, 2))];
    for until in [25, 30] {
        assert_eq!(derivation.observe(&span(1, until, &events)), Ok(None));
        assert_eq!(derivation, before);
    }
    // The same escape, told of once more, takes nothing back for a second time.
    assert_eq!(derivation.observe(&span(30, 33, &[(33, latched(0, 20, 4, 2))])), Ok(None));
    assert_eq!(derivation.need(), before.need());
    assert_eq!(derivation.next_sequence(), before.next_sequence());
    assert_eq!(derivation.observe(&span(33, 35, &[(35, returned(0, 2))])), Ok(None));
    let after = derivation.clone();
    refuses(&after, EscapeError::EscapeChanged(0), |d| {
        d.observe(&span(35, 36, &[(36, returned(0, 2))]))
    });
}

#[test]
fn a_span_that_contradicts_is_refused_whole() {
    let away = away();
    let at = |events: &[(u64, L1Event)]| span(30, 40, events);
    let back = EscapeError::SettledBack { settled: Height::new(4), found: Height::new(9) };
    let same = EscapeError::SettledBack { settled: Height::new(4), found: Height::new(4) };
    let missing = |expected, found| EscapeError::EscapeMissing { expected, found };
    let misplaced = |from, found| EscapeError::EventMisplaced { from, until: 40, found };
    for (events, error) in [
        (vec![(35, settled(4, 9, 2))], same),
        (vec![(35, settled(9, 2, 2))], back),
        (vec![(35, settled(9, 9, 1))], back),
        (vec![(35, latched(0, 21, 4, 2))], EscapeError::EscapeChanged(0)),
        (vec![(35, latched(1, 20, 4, 2))], missing(0, 1)),
        (vec![(35, returned(1, 9))], missing(0, 1)),
        (vec![(35, returned(0, 1))], EscapeError::ResumeTooLow { expected: 2, found: 1 }),
        (vec![(35, returned(0, 9)), (36, returned(0, 8))], EscapeError::EscapeChanged(0)),
        (vec![(30, returned(0, 9))], misplaced(31, 30)),
        (vec![(41, returned(0, 9))], misplaced(31, 41)),
        (vec![(35, returned(0, 9)), (34, settled(9, 9, 2))], misplaced(35, 34)),
        (vec![(35, returned(0, 9)), (36, latched(2, 36, 4, 2))], missing(1, 2)),
    ] {
        refuses(&away, error, |d| d.observe(&at(&events)));
    }
    let hole = EscapeError::SpanMissing { expected: 30, found: 31 };
    refuses(&away, hole, |d| d.observe(&span(31, 40, &[])));
}

#[test]
fn a_latch_on_anything_but_what_had_settled_is_refused() {
    let mut derivation = derivation();
    follow(&mut derivation, 0..4);
    derivation.observe(&span(1, 24, &[(5, settled(4, 3, 2))])).unwrap();
    for (latched_at, height, cursor) in [(20, 3, 2), (20, 5, 2), (20, 4, 1), (26, 4, 2), (3, 4, 2)]
    {
        let [settled, found] = [4, height].map(Height::new);
        let error = EscapeError::LatchedElsewhere { escape: 0, settled, found };
        let event = latched(0, latched_at, height, cursor);
        refuses(&derivation, error, |d| d.observe(&span(24, 30, &[(25, event)])));
    }
}

#[test]
fn entries_come_in_the_queues_order_and_once() {
    let mut derivation = away();
    let missing = |expected, found| EscapeError::EntryMisplaced { expected, found };
    refuses(&derivation, missing(2, 3), |d| d.queued(&queue(7, 3..5)));
    let mut swapped = queue(7, 2..5);
    swapped.entries.swap(0, 1);
    refuses(&derivation, missing(4, 2), |d| d.queued(&swapped));
    let mut twice = queue(7, 2..5);
    twice.entries.extend(queue(7, 4..5).entries);
    refuses(&derivation, missing(5, 4), |d| d.queued(&twice));
    let mut hole = queue(7, 2..6);
    hole.entries.remove(1);
    refuses(&derivation, missing(3, 4), |d| d.queued(&hole));
    let mut other = queue(7, 2..5);
    other.entries[1].l1_block = 8;
    let error = EscapeError::OtherBlock { index: 3, expected: 7, found: 8 };
    refuses(&derivation, error, |d| d.queued(&other));
    let error = EscapeError::NotFinal { newest: 30, found: 31 };
    refuses(&derivation, error, |d| d.queued(&queue(31, 2..5)));
    derivation.queued(&queue(7, 2..5)).unwrap().unwrap();
    let before = derivation.clone();
    assert_eq!(derivation.queued(&queue(7, 2..5)), Ok(None), "it was there");
    assert_eq!(derivation.queued(&queue(9, 5..5)), Ok(None), "it says nothing");
    assert_eq!(derivation, before);
    refuses(&derivation, missing(5, 7), |d| d.queued(&queue(9, 7..9)));
    refuses(&derivation, missing(5, 3), |d| d.queued(&queue(9, 3..7)));
    // Back from the queue, nobody takes anything from it.
    derivation.observe(&span(30, 31, &[(31, returned(0, 5))])).unwrap();
    let before = derivation.clone();
    assert_eq!(derivation.queued(&queue(9, 5..7)), Ok(None));
    assert_eq!(derivation, before);
}

#[test]
fn half_an_l1_block_is_no_block_and_what_is_left_out_is_missed_later() {
    let mut derivation = away();
    derivation.queued(&queue(7, 2..3)).unwrap().unwrap();
    let before = derivation.clone();
    assert_eq!(derivation.queued(&queue(7, 3..5)), Ok(None), "no second step of one block");
    assert_eq!(derivation, before);
    let error = EscapeError::EntryMisplaced { expected: 3, found: 5 };
    refuses(&derivation, error, |d| d.queued(&queue(8, 5..6)));
}

#[test]
fn a_return_below_entries_that_were_executed_is_refused() {
    let mut derivation = away();
    derivation.queued(&queue(7, 2..5)).unwrap().unwrap();
    let error = EscapeError::ResumeTooLow { expected: 5, found: 4 };
    refuses(&derivation, error, |d| d.observe(&span(30, 31, &[(31, returned(0, 4))])));
    // Whoever has not come so far sees that it is below what had settled.
    let events = [(5, settled(4, 3, 2)), (25, latched(0, 20, 4, 2)), (26, returned(0, 1))];
    let error = EscapeError::ResumeTooLow { expected: 2, found: 1 };
    refuses(&super::derivation(), error, |d| d.observe(&span(1, 30, &events)));
}

#[test]
fn a_second_return_below_the_first_is_refused_however_it_is_told() {
    let mut derivation = away();
    derivation.queued(&queue(7, 2..7)).unwrap().unwrap();
    assert_eq!(derivation.observe(&span(30, 31, &[(31, returned(0, 7))])), Ok(None));
    let events = [(33, settled(7, 30, 4)), (60, latched(1, 50, 7, 4)), (61, returned(1, 5))];
    let error = EscapeError::ResumeTooLow { expected: 7, found: 5 };
    refuses(&derivation, error, |d| d.observe(&span(31, 61, &events)));
    derivation.observe(&span(31, 60, &events[..2])).unwrap();
    refuses(&derivation, error, |d| d.observe(&span(60, 61, &events[2..])));
}

#[test]
fn nobody_can_have_it_keep_more_escapes_than_the_limit() {
    let mut derivation = derivation();
    derivation.observe(&span(1, 5, &[(5, settled(4, 3, 2))])).unwrap();
    let most = u64::try_from(ESCAPES_MAX).unwrap();
    let event = |escape| [(6, latched(escape, 6, 4, 2)), (6, returned(escape, 2))];
    let events: Vec<_> = (0..=most).flat_map(event).collect();
    let all = events.split_last_chunk::<2>().unwrap().0;
    let error = EscapeError::TooManyEscapes(ESCAPES_MAX);
    refuses(&derivation, error, |d| d.observe(&span(5, 6, &events)));
    assert_eq!(derivation.observe(&span(5, 6, all)), Ok(None));
}
