use std::time::Duration;

use conclave_types::{
    BundleHeader, Deposit, KeyId, L1Content, L1Entry, WithdrawalRequest, digest::keccak,
};
use proptest::prelude::*;

use super::*;
use crate::{
    LedgerError, Turn,
    testing::{bundle, header, ledger, params, payer, turn, verified},
};

const NOW: Time = Time::from_micros(1_000_000);
const NEXT: Height = Height::new(10);

/// A block that the key of all bundles here opens.
const fn target(height: Height) -> Target {
    Target { height, key: KeyId::ZERO }
}

fn bounds(bundles_max: usize, payer_bundles_max: usize) -> PoolBounds {
    PoolBounds { bundles_max, payer_bundles_max, ..PoolBounds::default() }
}

fn pool(bundles_max: usize, payer_bundles_max: usize) -> Pool {
    Pool::new(bounds(bundles_max, payer_bundles_max), &params())
}

fn rich(payers: u16) -> Ledger {
    ledger(&(0..payers).map(|number| (payer(number), 1 << 40)).collect::<Vec<_>>())
}

fn id(header: &BundleHeader) -> BundleId {
    bundle(header.clone()).id()
}

fn put(
    pool: &mut Pool,
    ledger: &Ledger,
    header: &BundleHeader,
) -> Result<Vec<BundleId>, PoolError> {
    put_at(pool, ledger, header, NOW)
}

fn put_at(
    pool: &mut Pool,
    ledger: &Ledger,
    header: &BundleHeader,
    now: Time,
) -> Result<Vec<BundleId>, PoolError> {
    let bundle = bundle(header.clone());
    let seen = pool.precheck(&bundle, &bundle.id(), ledger);
    let verified = verified(&bundle);
    let inserted = pool.insert(bundle, verified, now, ledger);
    assert_eq!(seen.err(), inserted.clone().err(), "the precheck says what the insertion says");
    check_invariants(pool);
    inserted
}

/// The invariants of the module's head, in their own arithmetic.
fn check_invariants(pool: &Pool) {
    let entries = &pool.entries;
    let size: usize = entries.values().map(|entry| entry.bundle.size_bytes()).sum();
    assert_eq!((pool.total.bundles, pool.total.bytes), (entries.len(), size));
    assert!(entries.len() <= pool.bounds.bundles_max && size <= pool.bounds.bytes_max);
    assert_eq!(pool.arrivals.len(), entries.len());
    assert_eq!(pool.expiries.len(), entries.len());
    assert_eq!(pool.points.len(), entries.len());
    let mut by_lane: BTreeMap<LaneKey, Vec<(u64, BundleId)>> = BTreeMap::new();
    for (id, entry) in entries {
        by_lane.entry(entry.lane()).or_default().push((entry.sequence(), *id));
    }
    assert_eq!(pool.lanes.keys().collect::<Vec<_>>(), by_lane.keys().collect::<Vec<_>>());
    let mut tails = BTreeSet::new();
    let mut heads = BTreeSet::new();
    for (key, mut members) in by_lane {
        members.sort_unstable();
        let lane = &pool.lanes[&key];
        assert_eq!(lane.places, members.iter().copied().collect());
        let mut before = None;
        for (sequence, id) in &members {
            let standing = pool.entries[id].standing;
            assert!(before.is_none_or(|before| standing <= before), "a standing rose along a lane");
            before = Some(standing);
            if *sequence == lane.next {
                heads.insert(*id);
            }
        }
        tails.insert(members.last().unwrap().1);
    }
    assert_eq!(pool.heads.iter().map(Head::id).collect::<BTreeSet<_>>(), heads);
    assert_eq!(pool.tails.iter().map(Tail::id).collect::<BTreeSet<_>>(), tails);
    for (payer, usage) in &pool.payers {
        let of = entries.values().filter(|entry| entry.bundle.header.payer == *payer);
        assert_eq!(usage.bundles, of.clone().count());
        assert!(usage.bundles <= pool.bounds.payer_bundles_max);
        assert_eq!(usage.charges, of.map(|entry| u128::from(entry.charge.as_u64())).sum::<u128>());
    }
}

#[test]
fn a_bundle_is_held_once() {
    let (mut pool, ledger) = (pool(10, 10), rich(1));
    let first = header(payer(0), 0, 0, 5);
    assert_eq!(put(&mut pool, &ledger, &first), Ok(vec![]));
    assert_eq!(put(&mut pool, &ledger, &first), Err(PoolError::Known(id(&first))));
    assert_eq!(pool.get(&id(&first)).map(|bundle| bundle.header.clone()), Some(first));
    assert_eq!(pool.stats(), PoolStats { bundles: 1, bytes: 272 + 224 + 256, payers: 1, lanes: 1 });
}

#[test]
fn who_cannot_pay_for_all_of_his_bundles_does_not_get_in() {
    let broke = payer(1);
    let ledger = ledger(&[(payer(0), 2_500)]);
    let mut pool = pool(10, 10);
    let balance = |payer, expected, found| {
        let (expected, found) = (Gwei::new(expected), Gwei::new(found));
        Err(PoolError::Ledger(LedgerError::Balance { payer, expected, found }))
    };
    assert_eq!(put(&mut pool, &ledger, &header(broke, 0, 0, 0)), balance(broke, 1_000, 0));
    assert_eq!(put(&mut pool, &ledger, &header(payer(0), 0, 0, 0)), Ok(vec![]));
    assert_eq!(put(&mut pool, &ledger, &header(payer(0), 1, 0, 0)), Ok(vec![]));
    let third = header(payer(0), 2, 0, 0);
    assert_eq!(put(&mut pool, &ledger, &third), balance(payer(0), 3_000, 2_500));
    let mut stingy = header(payer(0), 2, 0, 0);
    stingy.max_fee = Gwei::new(999);
    let fee = LedgerError::Fee {
        payer: payer(0),
        expected: Some(Gwei::new(1_000)),
        found: Gwei::new(999),
    };
    assert_eq!(put(&mut pool, &ledger, &stingy), Err(PoolError::Ledger(fee)));
}

#[test]
fn a_used_nonce_and_one_too_far_ahead_are_refused() {
    let mut ledger = rich(1);
    let mut pool = pool(10, 4);
    let first = header(payer(0), 0, 0, 0);
    let charges = ledger.check_block(&[&first], &params()).unwrap();
    ledger.apply(&turn(Height::new(1), &charges)).unwrap();
    let used = PoolError::Used { payer: payer(0), lane: 0, expected: 1, found: 0 };
    assert!(used.is_permanent());
    assert_eq!(put(&mut pool, &ledger, &first), Err(used));
    let gap = PoolError::Gap { payer: payer(0), lane: 0, expected: 4, found: 5 };
    assert!(!gap.is_permanent());
    assert_eq!(put(&mut pool, &ledger, &header(payer(0), 0, 5, 0)), Err(gap));
    let gap = PoolError::Gap { payer: payer(0), lane: 0, expected: 4, found: u64::MAX };
    assert_eq!(put(&mut pool, &ledger, &header(payer(0), 0, u64::MAX, 0)), Err(gap));
    assert_eq!(put(&mut pool, &ledger, &header(payer(0), 0, 4, 0)), Ok(vec![]));
}

#[test]
fn what_waits_behind_a_hole_is_held_and_not_selected() {
    let (mut pool, ledger) = (pool(10, 10), rich(1));
    let lane: Vec<_> = (0..4).map(|sequence| header(payer(0), 0, sequence, 0)).collect();
    for sequence in [3, 0, 2] {
        assert_eq!(put(&mut pool, &ledger, &lane[sequence]), Ok(vec![]));
    }
    assert_eq!(pool.select(&ledger, &target(NEXT)), vec![id(&lane[0])]);
    assert_eq!(put(&mut pool, &ledger, &lane[1]), Ok(vec![]));
    assert_eq!(pool.select(&ledger, &target(NEXT)), lane.iter().map(id).collect::<Vec<_>>());
}

#[test]
fn the_best_fee_per_byte_is_selected_first_and_ties_go_to_the_smaller_id() {
    let (mut pool, ledger) = (pool(20, 20), rich(8));
    let mut long = header(payer(0), 0, 0, 300);
    long.body_bytes = 528;
    let short = header(payer(1), 0, 0, 200);
    let mut equal: Vec<_> = (2..6).map(|number| header(payer(number), 0, 0, 100)).collect();
    for header in equal.iter().chain([&long, &short]) {
        assert_eq!(put(&mut pool, &ledger, header), Ok(vec![]));
    }
    equal.sort_by_key(id);
    let expected: Vec<_> = [short, long].iter().chain(&equal).map(id).collect();
    assert_eq!(pool.select(&ledger, &target(NEXT)), expected);
}

#[test]
fn a_dear_bundle_does_not_overtake_a_cheap_one_of_its_lane() {
    let (mut pool, ledger) = (pool(20, 20), rich(2));
    let lane = [header(payer(0), 0, 0, 1), header(payer(0), 0, 1, 900)];
    let other = header(payer(1), 0, 0, 50);
    for header in lane.iter().chain([&other]) {
        assert_eq!(put(&mut pool, &ledger, header), Ok(vec![]));
    }
    assert_eq!(pool.select(&ledger, &target(NEXT)), vec![id(&other), id(&lane[0]), id(&lane[1])]);
}

#[test]
fn a_selection_is_no_larger_than_a_block() {
    let mut params = params();
    params.limits.block_bytes_max = 272 * 3 + 100;
    let ledger = rich(8);
    let mut pool = Pool::new(bounds(20, 20), &params);
    let mut large = header(payer(7), 0, 0, 9_000);
    large.body_bytes = 1_040;
    assert_eq!(put(&mut pool, &ledger, &large), Ok(vec![]));
    for number in 0..5 {
        put(&mut pool, &ledger, &header(payer(number), 0, 0, 0)).unwrap();
    }
    let selected = pool.select(&ledger, &target(NEXT));
    assert_eq!(selected.len(), 3, "three small ones, past the large one that does not fit");
    assert!(!selected.contains(&id(&large)));
}

#[test]
fn the_expired_are_not_selected_and_then_dropped() {
    let (mut pool, ledger) = (pool(20, 20), rich(1));
    let mut lane: Vec<_> = (0..3).map(|sequence| header(payer(0), 0, sequence, 0)).collect();
    lane[1].valid_until = Height::new(9);
    for header in &lane {
        put(&mut pool, &ledger, header).unwrap();
    }
    assert_eq!(pool.select(&ledger, &target(Height::new(9))).len(), 3);
    assert_eq!(pool.select(&ledger, &target(Height::new(10))), vec![id(&lane[0])]);
    assert_eq!(pool.expire(Height::new(9)), vec![]);
    assert_eq!(pool.expire(Height::new(10)), vec![id(&lane[1])]);
    check_invariants(&pool);
    assert_eq!(pool.select(&ledger, &target(Height::new(10))), vec![id(&lane[0])]);
}

#[test]
fn replacing_takes_a_tenth_more() {
    let (mut pool, ledger) = (pool(20, 20), rich(1));
    let first = header(payer(0), 0, 0, 0);
    put(&mut pool, &ledger, &first).unwrap();
    put(&mut pool, &ledger, &header(payer(0), 0, 1, 0)).unwrap();
    let underpriced = |found| {
        let (expected, found) = (Gwei::new(1_100), Gwei::new(found));
        Err(PoolError::Underpriced { occupant: id(&first), expected, found })
    };
    assert_eq!(put(&mut pool, &ledger, &header(payer(0), 0, 0, 99)), underpriced(1_099));
    let mut same_price = first.clone();
    same_price.valid_until = Height::new(50);
    assert_eq!(put(&mut pool, &ledger, &same_price), underpriced(1_000));
    let dearer = header(payer(0), 0, 0, 100);
    assert_eq!(put(&mut pool, &ledger, &dearer), Ok(vec![id(&first)]));
    assert_eq!(pool.select(&ledger, &target(NEXT)).len(), 2);
}

#[test]
fn a_larger_replacement_may_not_pay_less_per_byte() {
    let (mut pool, ledger) = (pool(20, 20), rich(1));
    let first = header(payer(0), 0, 0, 1_000);
    put(&mut pool, &ledger, &first).unwrap();
    let mut large = header(payer(0), 0, 0, 1_300);
    large.body_bytes = 131_088;
    let expected = PoolError::Underpriced {
        occupant: id(&first),
        expected: Gwei::new(2_200),
        found: Gwei::new(2_300),
    };
    assert_eq!(put(&mut pool, &ledger, &large), Err(expected));
}

#[test]
fn two_bundles_of_one_point_are_not_held_together() {
    let (mut pool, ledger) = (pool(20, 20), rich(2));
    let (first, second) = (bundle(header(payer(0), 0, 0, 0)), bundle(header(payer(1), 0, 0, 0)));
    let point = G1Bytes::new([7; 48]);
    let proved = |bundle: &EncryptedBundle| Verified::for_test(bundle.id(), point);
    pool.insert(first.clone(), proved(&first), NOW, &ledger).unwrap();
    let found = pool.insert(second.clone(), proved(&second), NOW, &ledger);
    assert_eq!(found, Err(PoolError::SamePoint(first.id())));
    let dearer = bundle(header(payer(0), 0, 0, 500));
    let found = pool.insert(dearer.clone(), proved(&dearer), NOW, &ledger);
    assert_eq!(found, Ok(vec![first.id()]), "a replacement may keep its point");
}

#[test]
fn a_full_pool_drops_the_least_fee_for_a_better_one_only() {
    let (mut pool, ledger) = (pool(4, 4), rich(10));
    let held: Vec<_> = (0..4).map(|n| header(payer(n), 0, 0, 100 + u64::from(n))).collect();
    for header in &held {
        put(&mut pool, &ledger, header).unwrap();
    }
    assert_eq!(put(&mut pool, &ledger, &header(payer(9), 0, 0, 100)), Err(PoolError::Full));
    assert_eq!(put(&mut pool, &ledger, &header(payer(9), 0, 0, 101)), Ok(vec![id(&held[0])]));
    let behind_hole = header(payer(8), 0, 1, 1 << 30);
    assert_eq!(put(&mut pool, &ledger, &behind_hole), Err(PoolError::Full), "whatever it offers");
}

#[test]
fn a_flood_of_one_payer_stays_within_its_share() {
    let (mut pool, ledger) = (pool(16, 4), rich(20));
    for number in 0..12 {
        put(&mut pool, &ledger, &header(payer(number), 0, 0, 10)).unwrap();
    }
    let flooder = payer(19);
    let mut refused = 0;
    for lane in 0..50 {
        match put(&mut pool, &ledger, &header(flooder, lane, 0, 1_000)) {
            Ok(displaced) => assert_eq!(displaced, vec![]),
            Err(error) => {
                assert_eq!(error, PoolError::PayerFull(flooder));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 46);
    let selected = pool.select(&ledger, &target(NEXT));
    assert_eq!(selected.len(), 8, "the flooder pays for four places, the rest go to others");
    // A higher bid of the flooder displaces its own, never another's.
    let displaced = put(&mut pool, &ledger, &header(flooder, 60, 0, 2_000)).unwrap();
    assert_eq!(pool.stats().bundles, 16);
    assert_eq!(displaced.len(), 1);
    assert_eq!((0..12).filter(|n| pool.contains(&id(&header(payer(*n), 0, 0, 10)))).count(), 12);
}

#[test]
fn what_waits_behind_a_hole_goes_first() {
    let (mut pool, ledger) = (pool(6, 4), rich(10));
    let hoarded: Vec<_> = (1..4).map(|sequence| header(payer(9), 0, sequence, 1 << 20)).collect();
    for header in &hoarded {
        put(&mut pool, &ledger, header).unwrap();
    }
    for number in 0..3 {
        put(&mut pool, &ledger, &header(payer(number), 0, 0, 0)).unwrap();
    }
    let found = put(&mut pool, &ledger, &header(payer(5), 0, 0, 0));
    assert_eq!(found, Ok(vec![id(&hoarded[2])]), "the last of them first");
    let first = header(payer(9), 0, 0, 1 << 20);
    let displaced = put(&mut pool, &ledger, &first);
    assert_eq!(displaced.map(|gone| gone.len()), Ok(1), "a hole is filled even in a full pool");
    assert_eq!(pool.select(&ledger, &target(NEXT)).first(), Some(&id(&first)));
}

#[test]
fn a_cheap_lane_is_not_sheltered_by_a_dear_tail() {
    let (mut pool, ledger) = (pool(6, 6), rich(10));
    let mut lane: Vec<_> = (0..5).map(|sequence| header(payer(0), 0, sequence, 0)).collect();
    lane.push(header(payer(0), 0, 5, 1 << 20));
    for header in &lane {
        put(&mut pool, &ledger, header).unwrap();
    }
    for (number, gone) in (1..4).zip(lane.iter().rev()) {
        let found = put(&mut pool, &ledger, &header(payer(number), 0, 0, 1));
        assert_eq!(found, Ok(vec![id(gone)]));
    }
}

#[test]
fn a_refused_newcomer_displaces_nobody() {
    let mut params = params();
    params.limits.block_bytes_max = 1 << 20;
    let limits = PoolBounds { bytes_max: 4 * 752, ..bounds(100, 100) };
    let mut pool = Pool::new(limits, &params);
    let ledger = rich(10);
    for (number, fee) in [(0, 1), (1, 2), (2, 9_000), (3, 9_000)] {
        put(&mut pool, &ledger, &header(payer(number), 0, 0, fee)).unwrap();
    }
    // It stands above two of them, but needs the room of three.
    let mut large = header(payer(4), 0, 0, 500);
    large.body_bytes = 1_040 + 512;
    assert_eq!(put(&mut pool, &ledger, &large), Err(PoolError::Full));
    assert_eq!(pool.stats().bundles, 4);
    large.body_bytes = 528;
    assert_eq!(put(&mut pool, &ledger, &large).map(|gone| gone.len()), Ok(2));
}

#[test]
fn lanes_that_cannot_be_charged_take_no_room() {
    let (mut pool, ledger) = (pool(1_000, 1_000), rich(1));
    for lane in 0..LANES_MAX as u64 {
        let bundle = bundle(header(payer(0), lane, 0, 0));
        let verified = verified(&bundle);
        pool.insert(bundle, verified, NOW, &ledger).unwrap();
    }
    let beyond = LedgerError::Lanes { payer: payer(0), lane: 999 };
    let found = put(&mut pool, &ledger, &header(payer(0), 999, 0, 0));
    assert_eq!(found, Err(PoolError::Ledger(beyond)));
    assert_eq!(put(&mut pool, &ledger, &header(payer(0), 3, 1, 0)), Ok(vec![]));
}

#[test]
fn a_decided_block_takes_what_it_made_stale() {
    let (mut pool, mut ledger) = (pool(20, 20), ledger(&[(payer(0), 5_000), (payer(1), 5_000)]));
    let lane: Vec<_> = (0..4).map(|sequence| header(payer(0), 0, sequence, 0)).collect();
    for header in lane.iter().skip(1) {
        put(&mut pool, &ledger, header).unwrap();
    }
    let other = header(payer(1), 0, 0, 0);
    put(&mut pool, &ledger, &other).unwrap();
    // The block holds 0, which is unknown here, and another bundle for 1, which spends the rest.
    let mut variant = lane[1].clone();
    variant.priority_fee = Gwei::new(1_500);
    variant.max_fee = Gwei::new(2_500);
    let charges = ledger.check_block(&[&lane[0], &variant], &params()).unwrap();
    ledger.apply(&turn(NEXT, &charges)).unwrap();
    let dropped = pool.remove_included(&charges, [], &ledger);
    check_invariants(&pool);
    assert_eq!(dropped, vec![id(&lane[1]), id(&lane[3])], "stale, and beyond the balance");
    let mut expected = vec![id(&lane[2]), id(&other)];
    expected.sort_unstable();
    assert_eq!(pool.select(&ledger, &target(NEXT.next())), expected);
}

#[test]
fn what_its_payer_has_withdrawn_the_fee_of_is_dropped() {
    let (mut pool, mut ledger) = (pool(20, 20), ledger(&[(payer(1), 5_000)]));
    let amount = Gwei::new(2_500);
    let deposit = L1Content::Deposit(Deposit { payer: payer(0), amount });
    let request =
        WithdrawalRequest { payer: payer(0), recipient: payer(9), amount: Gwei::new(501) };
    let [deposit, request] = [deposit, L1Content::Withdrawal(request)]
        .map(|content| [L1Entry { index: 0, l1_block: 1, content }]);
    ledger.apply(&Turn { entries: &deposit, ..turn(NEXT, &[]) }).unwrap();
    let lane = [header(payer(0), 0, 0, 0), header(payer(0), 0, 1, 0)];
    for header in lane.iter().chain([&header(payer(1), 0, 0, 0)]) {
        put(&mut pool, &ledger, header).unwrap();
    }
    ledger.apply(&Turn { entries: &request, ..turn(NEXT.next(), &[]) }).unwrap();
    let dropped = pool.remove_included(&[], [payer(0)], &ledger);
    check_invariants(&pool);
    assert_eq!(dropped, vec![id(&lane[1])], "of two, 1,999 gwei pay for one");
}

#[test]
fn only_what_could_be_included_is_overdue() {
    let (mut pool, ledger) = (pool(20, 20), rich(4));
    let delay = Duration::from_secs(4);
    let old = [header(payer(0), 0, 0, 0), header(payer(0), 0, 1, 0)];
    let behind_hole = header(payer(1), 0, 1, 0);
    let mut expired = header(payer(2), 0, 0, 0);
    expired.valid_until = Height::new(9);
    for header in old.iter().chain([&behind_hole, &expired]) {
        put_at(&mut pool, &ledger, header, NOW).unwrap();
    }
    put_at(&mut pool, &ledger, &header(payer(3), 0, 0, 0), NOW.after(Duration::from_micros(1)))
        .unwrap();
    let at = |micros| NOW.after(delay).as_micros() - 1 + micros;
    let overdue =
        |micros| pool.overdue(Time::from_micros(at(micros)), delay, &ledger, &target(NEXT));
    assert_eq!(overdue(0), vec![]);
    assert_eq!(overdue(1), vec![id(&old[0]), id(&old[1])]);
    assert_eq!(overdue(2).len(), 3);
    assert_eq!(pool.overdue(Time::ZERO, delay, &ledger, &target(NEXT)), vec![]);
}

#[test]
fn the_urgent_go_first_and_the_rest_of_the_block_is_filled() {
    let (mut pool, ledger) = (pool(20, 20), rich(4));
    let lane = [header(payer(0), 0, 0, 0), header(payer(0), 0, 1, 0)];
    let rich_one = header(payer(1), 0, 0, 1_000);
    for header in lane.iter().chain([&rich_one]) {
        put(&mut pool, &ledger, header).unwrap();
    }
    let selected = pool.select_after(&[id(&lane[0])], &ledger, &target(NEXT));
    assert_eq!(selected, vec![id(&lane[0]), id(&rich_one), id(&lane[1])]);
    assert_eq!(
        pool.select_after(&[BundleId::ZERO], &ledger, &target(NEXT)),
        pool.select(&ledger, &target(NEXT))
    );
}

#[test]
fn who_has_waited_longest_is_urgent_first_whatever_his_address() {
    let (mut pool, ledger) = (pool(20, 20), rich(3));
    let later = |by| NOW.after(Duration::from_micros(by));
    let headers = [2, 0, 1].map(|number| header(payer(number), 0, 0, 0));
    for (by, header) in (0..).zip(&headers) {
        put_at(&mut pool, &ledger, header, later(by)).unwrap();
    }
    let second = header(payer(0), 0, 1, 0);
    put_at(&mut pool, &ledger, &second, later(9)).unwrap();
    let overdue = pool.overdue(later(100), Duration::ZERO, &ledger, &target(NEXT));
    let expected = [&headers[0], &headers[1], &second, &headers[2]].map(id);
    assert_eq!(overdue, expected, "by the age of the lane's first, and in order within a lane");
}

#[test]
fn a_proposal_omits_what_would_fit_behind_it() {
    let (mut pool, ledger) = (pool(20, 20), rich(12));
    let held = [header(payer(0), 0, 0, 0), header(payer(0), 0, 1, 0), header(payer(1), 0, 0, 0)];
    for header in &held {
        put(&mut pool, &ledger, header).unwrap();
    }
    let omitted = |headers: &[&BundleHeader], points: &[G1Bytes]| {
        let proposal = Proposed { target: target(NEXT), headers, points };
        pool.omitted(NOW, Duration::ZERO, &ledger, &proposal)
    };
    let rest: BTreeSet<_> = omitted(&[&held[0]], &[]).into_iter().collect();
    assert_eq!(rest, BTreeSet::from([id(&held[1]), id(&held[2])]));
    assert_eq!(omitted(&[&held[2], &held[0], &held[1]], &[]), vec![]);
    let variant = header(payer(1), 0, 0, 7);
    assert_eq!(omitted(&[&held[0], &held[1], &variant], &[]), vec![], "its nonce is taken");
    let twin = *verified(&bundle(held[2].clone())).encapsulation().u();
    assert_eq!(omitted(&[&held[0], &held[1]], &[twin]), vec![], "its point is taken");
    assert_eq!(omitted(&[&held[1]], &[]), vec![], "an invalid proposal is invalid, no more");
    let others: Vec<_> = (2..10).map(|number| header(payer(number), 0, 0, 0)).collect();
    assert_eq!(omitted(&others.iter().collect::<Vec<_>>(), &[]), vec![], "the block is full");
}

#[test]
fn a_block_is_selected_from_thousands_without_looking_at_all_pairs() {
    let ledger = rich(64);
    let mut params = params();
    params.limits.block_bundles_max = 512;
    let mut pool = Pool::new(PoolBounds::default(), &params);
    for number in 0..64_u8 {
        for sequence in 0..128 {
            let fee = u64::from(keccak(&[number, sequence]).as_bytes()[0]);
            let bundle = bundle(header(payer(number.into()), 0, u64::from(sequence), fee));
            let verified = verified(&bundle);
            pool.insert(bundle, verified, NOW, &ledger).unwrap();
        }
    }
    check_invariants(&pool);
    let selected = pool.select(&ledger, &target(NEXT));
    assert_eq!(selected.len(), 512);
    let headers: Vec<_> = selected.iter().map(|id| &pool.get(id).unwrap().header).collect();
    assert_eq!(ledger.check_block(&headers, &params).map(|charges| charges.len()), Ok(512));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_comes_the_pool_keeps_its_promises(
        steps in prop::collection::vec(
            (0..6_u16, 0..3_u64, 0..6_u64, 0..40_u64, 0..10_u8), 1..150,
        ),
    ) {
        let balances: Vec<_> = (0..6).map(|number| (payer(number), 4_000 + 9_000 * u64::from(number))).collect();
        let mut ledger = ledger(&balances);
        let mut pool = pool(12, 5);
        let mut height = Height::new(1);
        for (who, lane, sequence, fee, action) in steps {
            if action == 0 {
                let selected = pool.select(&ledger, &target(height));
                let headers: Vec<_> = selected.iter().map(|id| pool.get(id).unwrap().header.clone()).collect();
                let headers: Vec<_> = headers.iter().collect();
                let charges = ledger.check_block(&headers, &params());
                prop_assert!(charges.is_ok(), "a selection is a valid block: {:?}", charges);
                let charges = charges.unwrap();
                ledger.apply(&turn(height, &charges)).unwrap();
                pool.remove_included(&charges, [], &ledger);
                prop_assert!(selected.iter().all(|id| !pool.contains(id)));
                height = height.next();
                pool.expire(height);
                check_invariants(&pool);
            } else {
                let mut header = header(payer(who), lane, sequence, fee * 25);
                header.valid_until = Height::new(1 + fee / 4);
                let before = pool.stats().bundles;
                if let Ok(displaced) = put(&mut pool, &ledger, &header) {
                    prop_assert!(pool.contains(&id(&header)));
                    prop_assert_eq!(pool.stats().bundles + displaced.len(), before + 1);
                } else {
                    prop_assert_eq!(pool.stats().bundles, before);
                }
            }
        }
    }
}

#[test]
fn a_block_takes_what_its_key_opens_and_the_end_of_an_era_returns_the_rest() {
    let (old, new) = (KeyId::ZERO, KeyId::new([1; 32]));
    let (ledger, mut pool) = (rich(2), pool(9, 9));
    let sealed = |number: u16, sequence, key_id| BundleHeader {
        key_id,
        ..header(payer(number), 0, sequence, 0)
    };
    let first = sealed(0, 0, old);
    // The one that goes before it is of the era before: it waits, also where its own key is in force.
    let behind = sealed(0, 1, new);
    let other = sealed(1, 0, new);
    for header in [&first, &behind, &other] {
        put(&mut pool, &ledger, header).unwrap();
    }
    let of = |key| Target { height: NEXT, key };
    assert_eq!(pool.select(&ledger, &of(old)), [id(&first)]);
    assert_eq!(pool.select(&ledger, &of(new)), [id(&other)]);
    let later = Time::from_micros(NOW.as_micros() + 1);
    let overdue = |pool: &Pool, key| pool.overdue(later, Duration::ZERO, &ledger, &of(key));
    assert_eq!(overdue(&pool, old), [id(&first)]);
    assert_eq!(
        overdue(&pool, new),
        [id(&other)],
        "nobody is blamed for what no such block can have"
    );
    let both = AdmittedKeys { current: old, next: Some(new) };
    assert_eq!(pool.retire(&both), []);
    assert_eq!(pool.retire(&AdmittedKeys::only(new)), [id(&first)]);
    check_invariants(&pool);
    let again = sealed(0, 0, new);
    put(&mut pool, &ledger, &again).unwrap();
    let all: BTreeSet<_> = pool.select(&ledger, &of(new)).into_iter().collect();
    assert_eq!(all, [id(&again), id(&behind), id(&other)].into(), "its nonce was free again");
}
