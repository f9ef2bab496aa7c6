//! The order inside a block is what the beacon draws, and every rollup gets its legs in that order.

use std::collections::BTreeMap;

use conclave_types::{
    Batch, BatchItem, Digest, ForcedRef, ItemSource, LegRef, Outcome, RevealedBlock, RollupId,
};
use sha3::{Digest as _, Keccak256};

use super::{Check, ORDER, QUEUE, WHOLE, ensure, payers::Payers};

/// Draws the order again: keccak of a tag, the beacon and the bundle's id; the draws of a payer's lane,
/// ascending, go to its bundles by nonce.
pub(super) fn drawn(block: &RevealedBlock, payers: &Payers) -> Check {
    let mut lanes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for bundle in &block.bundles {
        let Some((payer, lane, sequence)) = payers.place(&bundle.id) else { continue };
        let mut hasher = Keccak256::new();
        hasher.update(b"conclave/draw/v1");
        hasher.update(block.beacon.as_bytes());
        hasher.update(bundle.id.as_bytes());
        let draw = Digest::new(hasher.finalize().into());
        lanes.entry((payer, lane)).or_default().push((sequence, bundle.id, draw));
    }
    let mut expected = Vec::new();
    for mut lane in lanes.into_values() {
        let mut draws: Vec<_> = lane.iter().map(|(_, _, draw)| *draw).collect();
        draws.sort_unstable();
        lane.sort_unstable();
        expected.extend(draws.into_iter().zip(lane).map(|(draw, (_, id, _))| (draw, id)));
    }
    expected.sort_unstable();
    let found: Vec<_> = block.bundles.iter().map(|bundle| (bundle.draw, bundle.id)).collect();
    ensure(found == expected, ORDER, || {
        format!("height {}: expected {expected:?}, found {found:?}", block.height)
    })
}

/// Cuts the block into the rollups' slices again: what was forced, then every leg of every opened bundle, in
/// order.
pub(super) fn sliced(block: &RevealedBlock, batches: &[Batch]) -> Check {
    let mut first: BTreeMap<RollupId, Vec<BatchItem>> = BTreeMap::new();
    for forced in block.forced.iter().filter(|forced| forced.carried) {
        let place = ForcedRef { index: forced.index, gas_limit: forced.forced.gas_limit };
        let (source, rollup) = (ItemSource::Forced(place), forced.forced.rollup);
        let item = BatchItem { transaction: forced.forced.transaction.clone(), source };
        first.entry(rollup).or_default().push(item);
    }
    let mut expected = first.clone();
    for bundle in &block.bundles {
        let Outcome::Opened(legs) = &bundle.outcome else { continue };
        let count = u16::try_from(legs.len()).unwrap_or(u16::MAX);
        for (index, leg) in (0_u16..).zip(legs) {
            let place = LegRef { bundle: bundle.id, leg: index, legs: count };
            let source = ItemSource::Leg(place);
            let item = BatchItem { transaction: leg.transaction.clone(), source };
            expected.entry(leg.rollup).or_default().push(item);
        }
    }
    let found: BTreeMap<_, _> =
        batches.iter().map(|batch| (batch.rollup, batch.items.clone())).collect();
    let leads = |(rollup, items): (&RollupId, &Vec<BatchItem>)| {
        found.get(rollup).is_some_and(|batch: &Vec<BatchItem>| batch.starts_with(items))
    };
    ensure(first.iter().all(leads), QUEUE, || {
        format!("height {}: expected {first:?} at the front of {found:?}", block.height)
    })?;
    ensure(found == expected && found.len() == batches.len(), WHOLE, || {
        format!("height {}: expected {expected:?}, found {found:?}", block.height)
    })?;
    let fits = batches.iter().all(|batch| {
        (batch.height, batch.block, batch.time, batch.randomness)
            == (block.height, block.block, block.time, block.beacon)
    });
    ensure(fits, WHOLE, || format!("height {}: a batch of another block", block.height))
}
