//! The order inside a block. Whoever builds a block chooses what is in it, but not what comes first:
//! every bundle draws a number from a beacon that nobody knew at the proposal, and numbers decide.
//!
//! One exception, for the sender's own sake: bundles of one lane depend on each other, so the draws
//! of a lane are sorted and dealt out in nonce order. This moves no one else: the places that a lane
//! holds are the same whoever of its bundles sits in them.

use std::collections::BTreeMap;

use conclave_types::{BundleId, BundleNonce, Digest, PayerAddress, digest::Hasher};

/// What the order of a bundle depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawable {
    /// The bundle.
    pub id: BundleId,
    /// Who pays for it.
    pub payer: PayerAddress,
    /// Its place in its payer's own order.
    pub nonce: BundleNonce,
}

/// A bundle in its drawn place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Where it stands in the block, and in the slice given to [`order`].
    pub index: usize,
    /// The draw that decides its place.
    pub draw: Digest,
}

/// Puts `bundles` in the order that `beacon` draws. The result does not depend on the order in which
/// they are given, as long as their ids are distinct.
#[must_use]
pub fn order(beacon: &Digest, bundles: &[Drawable]) -> Vec<Drawn> {
    let mut lanes: BTreeMap<(PayerAddress, u64), Vec<usize>> = BTreeMap::new();
    for (index, bundle) in bundles.iter().enumerate() {
        lanes.entry((bundle.payer, bundle.nonce.lane)).or_default().push(index);
    }
    let key = |index: &usize| bundles.get(*index).map(|bundle| (bundle.nonce.sequence, bundle.id));
    let id = |index: &usize| bundles.get(*index).map(|bundle| bundle.id);
    let mut drawn = Vec::with_capacity(bundles.len());
    for mut members in lanes.into_values() {
        members.sort_by_key(key);
        let mut draws: Vec<_> = members.iter().filter_map(id).map(|id| draw(beacon, &id)).collect();
        draws.sort_unstable();
        drawn.extend(members.into_iter().zip(draws).map(|(index, draw)| Drawn { index, draw }));
    }
    drawn.sort_by_key(|place| (place.draw, id(&place.index), place.index));
    drawn
}

fn draw(beacon: &Digest, id: &BundleId) -> Digest {
    Hasher::new("conclave/draw/v1").fixed(beacon.as_bytes()).fixed(id.as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use conclave_types::digest::keccak;
    use proptest::prelude::*;

    use super::*;

    fn bundle(seed: u64, payer: u8, lane: u64, sequence: u64) -> Drawable {
        Drawable {
            id: BundleId::new(*keccak(&seed.to_be_bytes()).as_bytes()),
            payer: PayerAddress::new([payer; 20]),
            nonce: BundleNonce { lane, sequence },
        }
    }

    /// Distinct ids; few payers and lanes, so that lanes fill up; nonces may repeat.
    fn bundles() -> impl Strategy<Value = Vec<Drawable>> {
        prop::collection::vec((0..4_u8, 0..3_u64, 0..40_u64), 0..80).prop_map(|rows| {
            let numbered = (0..).zip(rows);
            numbered.map(|(seed, (payer, lane, seq))| bundle(seed, payer, lane, seq)).collect()
        })
    }

    fn ids(beacon: &Digest, bundles: &[Drawable]) -> Vec<BundleId> {
        order(beacon, bundles).iter().map(|drawn| bundles[drawn.index].id).collect()
    }

    #[test]
    fn an_empty_block_has_an_empty_order() {
        assert_eq!(order(&Digest::ZERO, &[]), vec![]);
    }

    #[test]
    fn a_draw_is_the_tagged_hash_of_beacon_and_id() {
        let only = bundle(7, 1, 0, 0);
        let beacon = Digest::new([9; 32]);
        let preimage = [b"conclave/draw/v1".as_slice(), &[9; 32], only.id.as_bytes()].concat();
        assert_eq!(order(&beacon, &[only]), vec![Drawn { index: 0, draw: keccak(&preimage) }]);
    }

    #[test]
    fn bundles_of_different_lanes_are_ordered_by_their_own_draws() {
        let beacon = Digest::new([3; 32]);
        let bundles: Vec<_> = (0..50).map(|seed| bundle(seed, 1, seed, 0)).collect();
        let mut expected: Vec<_> = bundles
            .iter()
            .map(|b| {
                let parts = [b"conclave/draw/v1".as_slice(), &[3; 32], b.id.as_bytes()];
                (*keccak(&parts.concat()).as_bytes(), b.id)
            })
            .collect();
        expected.sort_unstable();
        let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids(&beacon, &bundles), expected);
    }

    #[test]
    fn another_beacon_draws_another_order() {
        let bundles: Vec<_> = (0..50).map(|seed| bundle(seed, 1, seed, 0)).collect();
        assert_ne!(ids(&Digest::new([1; 32]), &bundles), ids(&Digest::new([2; 32]), &bundles));
    }

    #[test]
    fn a_lane_holds_the_same_places_whatever_its_nonces_are() {
        let beacon = Digest::new([5; 32]);
        let others = (10..30).map(|seed| bundle(seed, 2, seed, 0));
        let forward: Vec<_> = (0..5).map(|s| bundle(s, 1, 0, s)).chain(others.clone()).collect();
        let backward: Vec<_> = (0..5).map(|s| bundle(s, 1, 0, 9 - s)).chain(others).collect();
        let places = |bundles: &[Drawable]| -> Vec<_> {
            let drawn = order(&beacon, bundles);
            drawn.iter().map(|place| bundles[place.index].payer).collect()
        };
        assert_eq!(places(&forward), places(&backward));
    }

    proptest! {
        #[test]
        fn every_bundle_is_drawn_once(bundles in bundles(), beacon: [u8; 32]) {
            let drawn = order(&Digest::new(beacon), &bundles);
            let indices: BTreeSet<_> = drawn.iter().map(|place| place.index).collect();
            prop_assert_eq!(drawn.len(), bundles.len());
            prop_assert_eq!(indices, (0..bundles.len()).collect());
            prop_assert!(drawn.is_sorted_by_key(|place| place.draw));
        }

        #[test]
        fn nonces_ascend_within_a_lane(bundles in bundles(), beacon: [u8; 32]) {
            let mut last = std::collections::BTreeMap::new();
            for place in order(&Digest::new(beacon), &bundles) {
                let bundle = bundles[place.index];
                let lane = (bundle.payer, bundle.nonce.lane);
                if let Some(before) = last.insert(lane, bundle.nonce.sequence) {
                    prop_assert!(before <= bundle.nonce.sequence);
                }
            }
        }

        #[test]
        fn the_order_of_the_block_makes_no_difference(
            (bundles, shuffled) in bundles()
                .prop_flat_map(|bundles| (Just(bundles.clone()), Just(bundles).prop_shuffle())),
            beacon: [u8; 32],
        ) {
            let beacon = Digest::new(beacon);
            prop_assert_eq!(ids(&beacon, &bundles), ids(&beacon, &shuffled));
        }
    }
}
