//! Where each rollup's stream stands, and the batches that a revealed block adds to it.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{
    Batch, BatchItem, ForcedRef, Height, ItemSource, LegRef, Outcome, RevealedBlock,
    RevealedBundle, RevealedForced, RollupId,
};

/// Where one rollup's stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Cursor {
    /// The number of its next batch.
    pub next_sequence: u64,
    /// The height of its last batch; 0 before the first.
    pub last_height: Height,
}

/// Where all streams stand after some revealed block. Bounded by the number of registered rollups,
/// because legs for others never get past [`crate::judge_legs`], and forced transactions for others are not
/// carried.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Cursors {
    rollups: BTreeMap<RollupId, Cursor>,
}

impl Cursors {
    /// Where the stream of `rollup` stands.
    #[must_use]
    pub fn get(&self, rollup: RollupId) -> Cursor {
        self.rollups.get(&rollup).copied().unwrap_or_default()
    }

    /// Puts the stream of `rollup` where it stood when it was stored.
    pub fn set(&mut self, rollup: RollupId, cursor: Cursor) {
        self.rollups.insert(rollup, cursor);
    }

    /// The batches of `block`, in ascending order of rollup, and moves the streams on past them.
    /// Each revealed block is to be given once, in order of height.
    #[must_use]
    pub fn batches(&mut self, block: &RevealedBlock) -> Vec<Batch> {
        let mut slices: BTreeMap<RollupId, Vec<BatchItem>> = BTreeMap::new();
        for forced in block.forced.iter().filter(|forced| forced.carried) {
            slices.entry(forced.forced.rollup).or_default().push(forced_item(forced));
        }
        for bundle in &block.bundles {
            for (rollup, item) in items(bundle) {
                slices.entry(rollup).or_default().push(item);
            }
        }
        let advance = |(rollup, items)| {
            let cursor = self.rollups.entry(rollup).or_default();
            let Cursor { next_sequence: sequence, last_height: previous_height } = *cursor;
            *cursor =
                Cursor { next_sequence: sequence.saturating_add(1), last_height: block.height };
            Batch {
                rollup,
                sequence,
                previous_height,
                height: block.height,
                block: block.block,
                time: block.time,
                l1_origin: block.l1_origin,
                randomness: block.beacon,
                items,
            }
        };
        slices.into_iter().map(advance).collect()
    }
}

fn forced_item(RevealedForced { index, forced, .. }: &RevealedForced) -> BatchItem {
    let place = ForcedRef { index: *index, gas_limit: forced.gas_limit };
    BatchItem { transaction: forced.transaction.clone(), source: ItemSource::Forced(place) }
}

fn items(bundle: &RevealedBundle) -> impl Iterator<Item = (RollupId, BatchItem)> {
    let legs = match &bundle.outcome {
        Outcome::Opened(legs) => legs.as_slice(),
        Outcome::Undecryptable(_) => &[],
    };
    // A body of at most 128 KiB holds fewer than 2^14 legs, each with its length in front.
    let count = u16::try_from(legs.len()).unwrap_or(u16::MAX);
    (0_u16..).zip(legs).map(move |(index, leg)| {
        let place = LegRef { bundle: bundle.id, leg: index, legs: count };
        (
            leg.rollup,
            BatchItem { transaction: leg.transaction.clone(), source: ItemSource::Leg(place) },
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use conclave_types::{
        BlockId, BundleId, Digest, Epoch, ForcedTransaction, L1Origin, Leg, PayerAddress, Time,
        UndecryptableReason, digest::keccak,
    };
    use proptest::prelude::*;

    use super::*;

    const ROLLUPS: [u64; 4] = [901, 902, 903, 904];

    fn block(height: u64, bundles: Vec<RevealedBundle>) -> RevealedBlock {
        RevealedBlock {
            height: Height::new(height),
            block: BlockId::new(*keccak(&height.to_be_bytes()).as_bytes()),
            time: Time::from_micros(height * 1_000),
            epoch: Epoch::ZERO,
            l1_origin: L1Origin { number: height, hash: Digest::new([4; 32]) },
            forced_cursor: 0,
            beacon: Digest::new([8; 32]),
            forced: vec![],
            bundles,
        }
    }

    fn bundle(seed: u64, rollups: &[u64]) -> RevealedBundle {
        let leg = |(place, id): (usize, &u64)| Leg {
            rollup: RollupId::new(*id),
            transaction: [seed.to_be_bytes().as_slice(), &[u8::try_from(place).unwrap()]].concat(),
        };
        let legs = rollups.iter().enumerate().map(leg).collect();
        let registered = ROLLUPS.map(RollupId::new).into();
        RevealedBundle {
            id: BundleId::new(*keccak(&seed.to_be_bytes()).as_bytes()),
            payer: PayerAddress::ZERO,
            draw: Digest::ZERO,
            outcome: crate::judge_legs(legs, &registered),
        }
    }

    #[test]
    fn a_batch_carries_the_block_it_came_from() {
        let mut cursors = Cursors::default();
        let block = block(5, vec![bundle(1, &[902])]);
        let batches = cursors.batches(&block);
        let expected = Batch {
            rollup: RollupId::new(902),
            sequence: 0,
            previous_height: Height::ZERO,
            height: block.height,
            block: block.block,
            time: block.time,
            l1_origin: block.l1_origin,
            randomness: block.beacon,
            items: vec![BatchItem {
                transaction: vec![0, 0, 0, 0, 0, 0, 0, 1, 0],
                source: ItemSource::Leg(LegRef { bundle: block.bundles[0].id, leg: 0, legs: 1 }),
            }],
        };
        assert_eq!(batches, vec![expected]);
        let moved = Cursor { next_sequence: 1, last_height: Height::new(5) };
        assert_eq!(cursors.get(RollupId::new(902)), moved);
        assert_eq!(cursors.get(RollupId::new(901)), Cursor::default());
    }

    #[test]
    fn a_rollup_without_items_takes_no_number() {
        let mut cursors = Cursors::default();
        assert_eq!(cursors.batches(&block(1, vec![])), vec![]);
        assert_eq!(cursors.batches(&block(2, vec![bundle(1, &[901])])).len(), 1);
        assert_eq!(cursors.batches(&block(3, vec![bundle(2, &[902])])).len(), 1);
        let batches = cursors.batches(&block(9, vec![bundle(3, &[901])]));
        assert_eq!((batches[0].sequence, batches[0].previous_height), (1, Height::new(2)));
    }

    #[test]
    fn both_legs_of_a_bundle_are_in_the_same_block() {
        let id = bundle(1, &[902, 901]).id;
        let batches = Cursors::default().batches(&block(1, vec![bundle(1, &[902, 901])]));
        let legs: Vec<_> = batches.iter().map(|b| (b.rollup.as_u64(), b.items[0].source)).collect();
        let leg = |leg| ItemSource::Leg(LegRef { bundle: id, leg, legs: 2 });
        assert_eq!(legs, vec![(901, leg(1)), (902, leg(0))]);
    }

    #[test]
    fn forced_transactions_come_first_in_the_order_of_the_queue() {
        let forced = |index: u64, rollup, carried| RevealedForced {
            index,
            entry_hash: Digest::ZERO,
            forced: ForcedTransaction {
                rollup: RollupId::new(rollup),
                gas_limit: 7,
                transaction: vec![u8::try_from(index).unwrap()],
            },
            carried,
        };
        let mut block = block(1, vec![bundle(1, &[901, 902])]);
        block.forced = vec![forced(4, 902, true), forced(5, 999, false), forced(8, 902, true)];
        let batches = Cursors::default().batches(&block);
        let sources: Vec<Vec<_>> =
            batches.iter().map(|batch| batch.items.iter().map(|i| i.source).collect()).collect();
        let leg = |leg| ItemSource::Leg(LegRef { bundle: block.bundles[0].id, leg, legs: 2 });
        let entry = |index| ItemSource::Forced(ForcedRef { index, gas_limit: 7 });
        assert_eq!(sources, vec![vec![leg(0)], vec![entry(4), entry(8), leg(1)]]);
        assert_eq!(batches[1].items[1].transaction, vec![8]);
    }

    #[test]
    fn an_undecryptable_bundle_leaves_no_trace_in_a_batch() {
        let mut lost = bundle(1, &[901]);
        lost.outcome = Outcome::Undecryptable(UndecryptableReason::BadCiphertext);
        assert_eq!(Cursors::default().batches(&block(1, vec![lost])), vec![]);
    }

    /// Blocks of bundles whose legs name known, unknown and repeated rollups.
    fn chain() -> impl Strategy<Value = Vec<Vec<Vec<u64>>>> {
        let legs = prop::collection::vec(900..906_u64, 0..4);
        prop::collection::vec(prop::collection::vec(legs, 0..6), 1..40)
    }

    fn build(chain: &[Vec<Vec<u64>>]) -> Vec<RevealedBlock> {
        let mut seed = 0;
        let bundle = |legs: &Vec<u64>| {
            seed += 1;
            bundle(seed, legs)
        };
        let bundles: Vec<Vec<_>> = {
            let mut bundle = bundle;
            chain.iter().map(|legs| legs.iter().map(&mut bundle).collect()).collect()
        };
        (1..).zip(bundles).map(|(height, bundles)| block(height, bundles)).collect()
    }

    proptest! {
        #[test]
        fn every_stream_is_contiguous_over_many_blocks(chain in chain()) {
            let mut cursors = Cursors::default();
            let mut streams: BTreeMap<RollupId, Vec<Batch>> = BTreeMap::new();
            for block in build(&chain) {
                for batch in cursors.batches(&block) {
                    prop_assert!(!batch.items.is_empty());
                    streams.entry(batch.rollup).or_default().push(batch);
                }
            }
            for stream in streams.values() {
                let mut last = (None, Height::ZERO);
                for batch in stream {
                    prop_assert_eq!(batch.sequence, last.0.map_or(0, |number: u64| number + 1));
                    prop_assert_eq!(batch.previous_height, last.1);
                    prop_assert!(batch.height > last.1);
                    last = (Some(batch.sequence), batch.height);
                }
            }
        }

        #[test]
        fn a_bundle_has_all_of_its_legs_in_the_block_or_none(chain in chain()) {
            let mut cursors = Cursors::default();
            for (block, rows) in build(&chain).iter().zip(&chain) {
                let batches = cursors.batches(block);
                for (bundle, rollups) in block.bundles.iter().zip(rows) {
                    let found: BTreeSet<_> = batches
                        .iter()
                        .flat_map(|batch| batch.items.iter().map(move |item| (batch.rollup, item)))
                        .filter_map(|(rollup, item)| Some((rollup, item.source.leg()?)))
                        .filter(|(_, leg)| leg.bundle == bundle.id)
                        .map(|(rollup, leg)| (rollup.as_u64(), leg.leg, leg.legs))
                        .collect();
                    let distinct: BTreeSet<_> = rollups.iter().collect();
                    let good = distinct.len() == rollups.len()
                        && rollups.iter().all(|id| ROLLUPS.contains(id));
                    let count = u16::try_from(rollups.len()).unwrap();
                    let all = (0..).zip(rollups).map(|(leg, id)| (*id, leg, count));
                    prop_assert_eq!(found, if good { all.collect() } else { BTreeSet::new() });
                }
            }
        }

        #[test]
        fn cursors_read_back_from_disk_go_on_where_they_were(chain in chain(), cut in 0..40_usize) {
            let blocks = build(&chain);
            let mut whole = Cursors::default();
            let mut resumed = Cursors::default();
            for (index, block) in blocks.iter().enumerate() {
                if index == cut {
                    resumed = borsh::from_slice(&borsh::to_vec(&resumed).unwrap()).unwrap();
                }
                prop_assert_eq!(whole.batches(block), resumed.batches(block));
            }
        }
    }
}
