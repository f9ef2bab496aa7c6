//! Checks of which half was done ahead, against those of which nothing was.

use std::ops::Range;

use super::*;

/// Two parts of a block whose checks were prepared, a third whose was not, and the openings of all.
fn prepared(suite: Suite) -> (SealedBlock, SealedBlock, Vec<Opening>) {
    let committee = committee(suite, 4);
    let us = points(8);
    let block = committee.block(&us);
    let sent = committee.send_all(&block);
    let openings = block.combine(&sent.list(), 0..block.share_count()).unwrap();
    let ahead = committee.block(&us).expecting(&[0..3, 3..6], &SEED);
    (block, ahead, openings)
}

fn both_say_the_same(suite: Suite) {
    let (block, ahead, right) = prepared(suite);
    let parts = [0..3, 3..6, 6..9, 0..6, 0..9, 2..4];
    let wrong = |at: usize, by: G1Projective| {
        let mut openings = right.clone();
        openings[at] = Opening::Point(bytes(k_of(&right[at]) + by));
        openings
    };
    let shift = G1Projective::generator();
    let mut all = vec![right.clone()];
    all.extend((0..right.len()).map(|at| wrong(at, shift)));
    all.extend((0..right.len()).map(|at| wrong(at, torsion(3))));
    let mut cancelling = wrong(1, shift);
    cancelling[2] = Opening::Point(bytes(k_of(&right[2]) - shift));
    all.push(cancelling);
    let mut across = wrong(1, shift);
    across[4] = Opening::Point(bytes(k_of(&right[4]) - shift));
    all.push(across);
    for openings in &all {
        for part in &parts {
            let given = &openings[part.clone()];
            let is_right = *given == right[part.clone()];
            assert_eq!(block.check_range(part.clone(), given, &SEED), is_right);
            assert_eq!(ahead.check_range(part.clone(), given, &SEED), is_right, "{part:?}");
        }
        // Parts that were prepared and such as were not, in one equation.
        let given = |part: Range<usize>| (part.clone(), &openings[part]);
        let together = [given(3..6), given(6..9), given(0..3)];
        assert_eq!(ahead.check_ranges(&together, &SEED), *openings == right);
        assert_eq!(block.check_ranges(&together, &SEED), *openings == right);
    }
}

#[test]
fn a_part_of_another_length_is_not_the_part() {
    let (_, ahead, right) = prepared(Suite::Packed);
    assert!(!ahead.check_range(0..3, &right[0..2], &SEED));
    assert!(!ahead.check_range(0..3, &right[0..4], &SEED));
    assert!(!ahead.check_range(3..6, &right[0..3], &SEED));
}

#[test]
fn two_versions_of_a_part_do_not_make_up_for_each_other() {
    let (block, ahead, right) = prepared(Suite::Packed);
    let shift = G1Projective::generator();
    let (mut more, mut less) = (right[0..3].to_vec(), right[0..3].to_vec());
    more[1] = Opening::Point(bytes(k_of(&right[1]) + shift));
    less[1] = Opening::Point(bytes(k_of(&right[1]) - shift));
    let both = [(0..3, more.as_slice()), (0..3, less.as_slice())];
    assert!(!block.check_ranges(&both, &SEED));
    assert!(!ahead.check_ranges(&both, &SEED));
    let twice = [(0..3, &right[0..3]), (0..3, &right[0..3])];
    assert!(ahead.check_ranges(&twice, &SEED));
}

#[test]
fn parts_that_the_block_has_not_prepare_nothing() {
    let (block, _, right) = prepared(Suite::Packed);
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let ahead = block.expecting(&[5..2, 9..12, 40..50, 4..4], &SEED);
    assert!(ahead.check(&right, &SEED));
    assert!(!ahead.check_range(9..12, &[], &SEED));
}

#[test]
fn weights_differ_from_node_to_node_and_from_block_to_block() {
    let committee = committee(Suite::Packed, 4);
    let block = |height: u64, seed: u8| {
        let id = BlockId::new([7; 32]);
        let sealed =
            SealedBlock::new(&committee.key, Height::new(height), id, &bare(&points(4))).unwrap();
        sealed.expecting(&[0..3, 3..5], &[seed; 32]).weights_ahead()
    };
    assert_eq!(block(1, 1), block(1, 1));
    assert_ne!(block(1, 1), block(1, 2));
    assert_ne!(block(1, 1), block(2, 1));
}

#[test]
fn what_is_combined_and_checked_at_once_is_what_it_is_one_after_the_other() {
    let committee = committee(Suite::Packed, 4);
    let us = points(8);
    let block = committee.block(&us).expecting(std::slice::from_ref(&(0..3)), &SEED);
    let sent = committee.send_all(&block);
    for part in [0..3, 3..9, 0..9, 0..0] {
        let openings = block.combine(&sent.list(), part.clone()).unwrap();
        assert_eq!(block.combine_checked(&sent.list(), part, &SEED), Ok(Some(openings)));
    }
    for wrong in [G1Projective::generator(), torsion(3), torsion(11)] {
        let mut sent = committee.send_all(&block);
        let share = point(&sent.0[0].1[4]) + wrong;
        sent.0[0].1[4] = bytes(share);
        assert_eq!(block.combine_checked(&sent.list(), 3..6, &SEED), Ok(None));
        assert!(block.combine_checked(&sent.list(), 0..3, &SEED).unwrap().is_some());
    }
    // Party 1 of the first three contributes −15 times its share, which is 0 of a point of order 3: nothing is wrong.
    let mut sent = committee.send_all(&block);
    sent.0[1].1[4] = bytes(point(&sent.0[1].1[4]) + torsion(3));
    let right = block.combine(&committee.send_all(&block).list(), 3..6).unwrap();
    assert_eq!(block.combine_checked(&sent.list(), 3..6, &SEED), Ok(Some(right)));
}

both_suites! { both_say_the_same }
