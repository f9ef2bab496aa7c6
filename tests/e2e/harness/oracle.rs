//! Was every promise kept? Restates the rules in its own arithmetic: what a rollup must receive follows from
//! the blocks, not from the streams that it judges.

use std::collections::BTreeMap;

use conclave_client::{BatchEvent, Block, Client, Start};
use conclave_types::{BundleId, Height, RollupId};

use super::{
    load::Acknowledged,
    network::{Network, PATIENCE, ROLLUPS, VALIDATORS},
};

/// A transaction as delivered: its bundle, its leg there, its bytes.
type Item = (BundleId, u16, Vec<u8>);

/// Checks, up to a height that all validators have revealed:
/// same block and same digest at every height on every validator; no bundle in two blocks; every
/// rollup's batches numbered without a gap and holding exactly what the blocks say, once, from
/// every validator; no evidence of equivocation. Returns the height of each bundle.
pub(crate) async fn check(network: &Network) -> BTreeMap<BundleId, u64> {
    let mut tips = Vec::new();
    for index in 0..VALIDATORS {
        let status = network.wait_status(index, "an answer", |_| true).await;
        assert_eq!(status.evidence_count, 0, "validator {index} saw somebody sign twice");
        tips.push(status.decided_height);
    }
    let common = tips.into_iter().max().expect("there are validators");
    for index in 0..VALIDATORS {
        network.wait_height(index, common).await;
    }
    let blocks = blocks(&network.clients[0], common).await;
    for client in &network.clients[1..] {
        assert_same_chain(&blocks, client).await;
    }
    for rollup in ROLLUPS {
        let expected = expected_items(&blocks, RollupId::new(rollup));
        for (index, client) in network.clients.iter().enumerate() {
            let delivered = delivered_items(client, RollupId::new(rollup), common).await;
            assert_eq!(delivered.len(), expected.len(), "rollup {rollup} from validator {index}");
            assert!(delivered == expected, "rollup {rollup} from validator {index}: other items");
        }
    }
    let mut places = BTreeMap::new();
    for block in &blocks {
        let height = block.decided.header.height.as_u64();
        for id in &block.decided.bundles {
            assert_eq!(places.insert(*id, height), None, "bundle {id} is in two blocks");
        }
    }
    places
}

/// Waits until no bundle waits anywhere; the load must have ended.
pub(crate) async fn drained(network: &Network) {
    for index in 0..VALIDATORS {
        network.wait_status(index, "an empty pool", |status| status.pool_bundles == 0).await;
    }
}

/// Every promise of a validator that did not die is kept: the bundle has a place.
pub(crate) fn assert_kept(
    places: &BTreeMap<BundleId, u64>,
    promises: &[Acknowledged],
    dead: &[u16],
) {
    for promise in promises {
        let lives = promise.by.is_none_or(|by| !dead.contains(&by.as_u16()));
        assert!(!lives || places.contains_key(&promise.id), "{promise:?} is in no block");
    }
}

async fn blocks(client: &Client, up_to: u64) -> Vec<Block> {
    let mut blocks = Vec::new();
    for height in 1..=up_to {
        let block = client.block(Height::new(height)).await;
        let block = block.unwrap_or_else(|error| panic!("height {height}: {error}"));
        assert!(block.reveal.is_some(), "height {height} is not revealed");
        blocks.push(block);
    }
    blocks
}

async fn assert_same_chain(blocks: &[Block], client: &Client) {
    for block in blocks {
        let height = block.decided.header.height;
        let other = client.block(height).await.expect("a block");
        assert_eq!(
            other.decided.header.id(),
            block.decided.header.id(),
            "height {height}: another block"
        );
        let digest = |block: &Block| block.reveal.as_ref().map(|reveal| reveal.chain_digest);
        assert_eq!(digest(&other), digest(block), "height {height}: another reveal");
    }
}

/// Own arithmetic: heights ascending, places ascending, legs in their order.
fn expected_items(blocks: &[Block], rollup: RollupId) -> Vec<Item> {
    let mut items = Vec::new();
    for reveal in blocks.iter().filter_map(|block| block.reveal.as_ref()) {
        let mut bundles: Vec<_> = reveal.bundles.iter().collect();
        bundles.sort_by_key(|bundle| bundle.opened.position);
        for bundle in bundles {
            let legs = bundle.opened.legs.iter().flatten();
            for (leg, number) in legs.zip(0..).filter(|(leg, _)| leg.rollup == rollup) {
                items.push((bundle.id, number, leg.transaction.clone()));
            }
        }
    }
    items
}

async fn delivered_items(client: &Client, rollup: RollupId, up_to: u64) -> Vec<Item> {
    let mut stream = client.batches(rollup, Start::Sequence(0));
    let (mut items, mut next, mut previous) = (Vec::new(), 0, Height::ZERO);
    loop {
        let event = tokio::time::timeout(PATIENCE, stream.next()).await;
        match event.expect("a stream is never silent for long").expect("a stream goes on") {
            BatchEvent::Heartbeat(height) if height.as_u64() >= up_to => return items,
            BatchEvent::Heartbeat(_) => {}
            BatchEvent::Batch(batch) if batch.height.as_u64() > up_to => return items,
            BatchEvent::Batch(batch) => {
                assert_eq!(batch.sequence, next, "rollup {rollup}: a gap or a repetition");
                assert_eq!(batch.previous_height, previous, "rollup {rollup}, batch {next}");
                assert!(!batch.items.is_empty(), "rollup {rollup}: batch {next} is empty");
                (next, previous) = (next + 1, batch.height);
                let place = |item: conclave_types::BatchItem| {
                    let leg = item.source.leg()?;
                    Some((leg.bundle, leg.leg, item.transaction))
                };
                items.extend(batch.items.into_iter().filter_map(place));
            }
        }
    }
}
