use conclave_types::{BatchItem, BundleId, L1Origin, LegRef};

use super::*;

const ROLLUP: RollupId = RollupId::new(901);

/// A batch whose height is `3 * sequence + 5`, with one transaction.
fn batch(sequence: u64, time_ms: u64) -> Batch {
    let height = |sequence: u64| Height::new(3 * sequence + 5);
    let byte = u8::try_from(sequence % 251).unwrap();
    Batch {
        rollup: ROLLUP,
        sequence,
        previous_height: sequence.checked_sub(1).map_or(Height::ZERO, height),
        height: height(sequence),
        block: BlockId::new([byte; 32]),
        time: Time::from_micros(time_ms * 1_000),
        l1_origin: L1Origin { number: 0, hash: Digest::ZERO },
        randomness: Digest::new([byte ^ 0xff; 32]),
        items: vec![BatchItem {
            transaction: vec![byte; 3],
            source: ItemSource::Leg(LegRef { bundle: BundleId::new([byte; 32]), leg: 0, legs: 1 }),
        }],
    }
}

fn beat(time_ms: u64, next_sequence: u64) -> Event {
    Event::Heartbeat { time: Time::from_micros(time_ms * 1_000), next_sequence }
}

fn slots(period: u64) -> Slots {
    Slots::new(ROLLUP, NonZeroU64::new(period).unwrap(), Cursor::GENESIS, 0)
}

/// (timestamp, sequences, next sequence) of a slot.
fn outline(slot: &Slot) -> (u64, Vec<u64>, u64) {
    let sequences = slot.items.iter().map(|item| item.sequence).collect();
    (slot.timestamp, sequences, slot.end.next_sequence)
}

fn run(slots: &mut Slots, events: impl IntoIterator<Item = Event>) -> Vec<Slot> {
    events.into_iter().filter_map(|event| slots.push(event).unwrap()).collect()
}

#[test]
fn batches_of_one_second_become_one_slot() {
    let times = [12_100, 12_400, 12_900, 14_000, 15_200];
    let events = (0..).zip(times).map(|(sequence, time)| Event::Batch(batch(sequence, time)));
    let over = run(&mut slots(1), events);
    let outlines: Vec<_> = over.iter().map(outline).collect();
    assert_eq!(outlines, [(12, vec![0, 1, 2], 3), (14, vec![3], 4)]);
    let last = batch(2, 12_900);
    assert_eq!((over[0].block, over[0].randomness), (last.block, last.randomness));
    assert_eq!(over[0].end, Cursor { next_sequence: 3, height: last.height });
}

#[test]
fn a_longer_slot_starts_at_a_multiple_of_its_length() {
    let times = [11_999, 12_000, 13_999, 14_000];
    let events = (0..).zip(times).map(|(sequence, time)| Event::Batch(batch(sequence, time)));
    let outlines: Vec<_> = run(&mut slots(2), events).iter().map(outline).collect();
    assert_eq!(outlines, [(10, vec![0], 1), (12, vec![1, 2], 3)]);
}

#[test]
fn a_heartbeat_ends_a_slot_only_from_a_later_one() {
    let mut slots = slots(1);
    assert_eq!(slots.push(Event::Batch(batch(0, 12_100))), Ok(None));
    assert_eq!(slots.push(beat(12_999, 1)), Ok(None), "still in the slot");
    assert_eq!(slots.push(beat(13_500, 0)), Ok(None), "from a node that lacks the batch");
    let over = slots.push(beat(13_000, 1)).unwrap().unwrap();
    assert_eq!(outline(&over), (12, vec![0], 1));
    assert_eq!(slots.push(beat(99_000, 1)), Ok(None), "an empty slot is no block");
}

#[test]
fn heartbeats_duplicates_and_restarts_change_no_slot() {
    let times = [1_000, 1_001, 1_999, 2_000, 4_500, 4_600, 7_000, 7_999, 8_000, 12_345];
    let batches: Vec<_> = (0..).zip(times).map(|(s, time)| batch(s, time)).collect();
    let end = beat(20_000, 10);
    let mut plain: Vec<_> = batches.iter().cloned().map(Event::Batch).collect();
    plain.push(end.clone());
    let expected = run(&mut slots(1), plain);

    // Every batch again after each batch, and heartbeats all over.
    let mut noisy = Vec::new();
    for (at, next) in batches.iter().enumerate() {
        noisy.extend(batches[..at].iter().cloned().map(Event::Batch));
        noisy.push(beat(next.time.as_millis() - 1, next.sequence));
        noisy.push(Event::Batch(next.clone()));
        noisy.push(beat(next.time.as_millis(), next.sequence + 1));
    }
    noisy.push(end.clone());
    assert_eq!(run(&mut slots(1), noisy), expected);

    // A crash after each number of events: what was sealed stays, the rest comes again.
    for crash in 0..=batches.len() {
        let before = batches[..crash].iter().cloned().map(Event::Batch);
        let mut sealed = run(&mut slots(1), before);
        let (cursor, timestamp) =
            sealed.last().map_or((Cursor::GENESIS, 0), |slot| (slot.end, slot.timestamp));
        let mut again = Slots::new(ROLLUP, NonZeroU64::MIN, cursor, timestamp);
        let mut events: Vec<_> = batches.iter().cloned().map(Event::Batch).collect();
        events.push(end.clone());
        sealed.extend(run(&mut again, events));
        assert_eq!(sealed, expected, "crash after {crash} batches");
    }
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let mut slots = slots(1);
    slots.push(Event::Batch(batch(0, 5_000))).unwrap();
    let next = batch(1, 6_000);
    let height = batch(0, 0).height;
    let cases = [
        (
            Event::Batch(Batch { rollup: RollupId::new(902), ..next.clone() }),
            StreamError::OtherRollup { expected: ROLLUP, found: RollupId::new(902) },
        ),
        (Event::Batch(batch(2, 6_000)), StreamError::Gap { expected: 1, found: 2 }),
        (beat(9_000, 2), StreamError::Gap { expected: 1, found: 2 }),
        (
            Event::Batch(Batch { previous_height: Height::new(4), ..next.clone() }),
            StreamError::Disconnected { sequence: 1, expected: height, found: Height::new(4) },
        ),
        (
            Event::Batch(Batch { height, ..next.clone() }),
            StreamError::HeightNotAbove { sequence: 1, height, previous: height },
        ),
        (
            Event::Batch(batch(1, 4_999)),
            StreamError::TimeWentBack { sequence: 1, expected: 5, found: 4 },
        ),
    ];
    for (event, error) in cases {
        assert_eq!(slots.push(event), Err(error));
    }
    let over = slots.push(Event::Batch(next)).unwrap().unwrap();
    assert_eq!(outline(&over), (5, vec![0], 1));
}

#[test]
fn a_batch_for_a_second_that_was_executed_is_refused() {
    let cursor = Cursor { next_sequence: 1, height: batch(0, 0).height };
    let mut slots = Slots::new(ROLLUP, NonZeroU64::MIN, cursor, 5);
    let error = StreamError::TimeWentBack { sequence: 1, expected: 6, found: 5 };
    assert_eq!(slots.push(Event::Batch(batch(1, 5_900))), Err(error));
}

#[test]
fn transactions_behind_the_bytes_of_a_slot_are_not_kept() {
    let mut slots = slots(1);
    let mut large = batch(0, 5_000);
    large.items[0].transaction = vec![7; SLOT_BYTES_MAX];
    large.items.push(batch(1, 0).items.remove(0));
    let hash = Digest::new(keccak_hash(&large.items[1].transaction));
    slots.push(Event::Batch(large)).unwrap();
    let over = slots.push(beat(6_000, 1)).unwrap().unwrap();
    assert!(over.items[0].transaction.is_some());
    assert_eq!((over.items[1].transaction.clone(), over.items[1].hash), (None, hash));
}

#[test]
fn a_cursor_reads_back_from_extra_data_and_nothing_else_does() {
    let cursor = Cursor { next_sequence: u64::MAX - 1, height: Height::new(0x0102_0304) };
    assert_eq!(Cursor::from_extra_data(&cursor.to_extra_data()), Ok(cursor));
    for found in [0, 8, 15, 17, 32] {
        let error = CursorError { expected: 16, found };
        assert_eq!(Cursor::from_extra_data(&vec![0; found]), Err(error));
    }
}
