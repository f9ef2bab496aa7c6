//! The reveal root that L1 checks proofs against, pinned in `tests/vectors/settlement-v1.json` for Rust and
//! Solidity alike. The file was computed apart from both. Changing it is a protocol change.

#![expect(clippy::unwrap_used, reason = "tests are free to panic; this lets their helpers too")]

use std::collections::BTreeMap;

use conclave_derivation::{Prover, RevealRoot, RevealTree};
use conclave_types::{
    Batch, BatchItem, BlockId, BundleId, Digest, Epoch, Height, ItemSource, L1Origin, Leg, LegRef,
    Outcome, PayerAddress, RevealedBlock, RevealedBundle, RollupId, Time,
};
use serde_json::Value;

fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

/// The pinned bundles in their order, and where each of their legs stands.
fn revealed(row: &Value) -> (RevealedBlock, BTreeMap<RollupId, Vec<BatchItem>>) {
    let mut items: BTreeMap<RollupId, Vec<BatchItem>> = BTreeMap::new();
    let mut bundles = Vec::new();
    for bundle in list(&row["bundles"]) {
        let id: BundleId = read(&bundle["id"]);
        let parse = |leg: &Value| Leg {
            rollup: RollupId::new(number(&leg["rollup"])),
            transaction: bytes(&leg["transaction"]),
        };
        let legs: Vec<Leg> = list(&bundle["legs"]).iter().map(parse).collect();
        let count = u16::try_from(legs.len()).unwrap();
        for (leg, index) in legs.iter().zip(0..) {
            let place = LegRef { bundle: id, leg: index, legs: count };
            let source = ItemSource::Leg(place);
            let item = BatchItem { source, transaction: leg.transaction.clone() };
            items.entry(leg.rollup).or_default().push(item);
        }
        let outcome = Outcome::Opened(legs);
        assert_eq!(outcome.digest(), read(&bundle["digest"]));
        let (payer, draw) = (PayerAddress::ZERO, Digest::ZERO);
        bundles.push(RevealedBundle { id, payer, draw, outcome });
    }
    let block = RevealedBlock {
        height: Height::new(7),
        block: BlockId::ZERO,
        time: Time::ZERO,
        epoch: Epoch::ZERO,
        l1_origin: L1Origin::default(),
        forced_cursor: 0,
        beacon: Digest::ZERO,
        forced: vec![],
        bundles,
    };
    (block, items)
}

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/settlement-v1.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all.get("namespaces").unwrap().clone()
}

/// The pinned block and its batches.
fn pinned(row: &Value) -> (RevealedBlock, Vec<Batch>) {
    let (block, mut items) = revealed(row);
    let batch = |rollup: &Value| {
        let id = RollupId::new(number(&rollup["rollup"]));
        Batch {
            rollup: id,
            sequence: number(&rollup["sequence"]),
            previous_height: Height::new(number(&rollup["previous_height"])),
            height: block.height,
            block: block.block,
            time: block.time,
            l1_origin: block.l1_origin,
            randomness: block.beacon,
            items: items.remove(&id).unwrap(),
        }
    };
    let batches = list(&row["rollups"]).iter().map(batch).collect();
    (block, batches)
}

fn digests(value: &Value) -> Vec<Digest> {
    list(value).iter().map(read).collect()
}

#[test]
fn the_pinned_block_has_the_pinned_reveal_root() {
    let row = vectors();
    let (block, batches) = pinned(&row);
    let tree = RevealTree::new(&block, &batches).unwrap();
    let root = tree.root();
    assert_eq!(root, RevealRoot { root: read(&row["root"]), count: number(&row["count"]) });
    for rollup in list(&row["rollups"]) {
        let proof = tree.prove(RollupId::new(number(&rollup["rollup"]))).unwrap();
        assert_eq!(proof.leaf.digest(), read(&rollup["digest"]));
        assert_eq!(proof.siblings, digests(&rollup["path"]));
    }
}

#[test]
fn transactions_runs_and_bundles_are_proved_by_the_pinned_paths() {
    let row = vectors();
    let (block, batches) = pinned(&row);
    let prover = Prover::new(block, batches).unwrap();
    let root = prover.root();
    for rollup in list(&row["rollups"]) {
        let id = RollupId::new(number(&rollup["rollup"]));
        for (item, path) in (0..).zip(list(&rollup["transaction_paths"])) {
            let proof = prover.transaction(id, item).unwrap();
            assert_eq!(proof.siblings, digests(path));
            assert_eq!(proof.verify(&root), Ok(()));
        }
    }
    for range in list(&row["ranges"]) {
        let (first, count) = (number(&range["first"]), number(&range["count"]));
        let proof = prover.run(RollupId::new(number(&range["rollup"])), first, count).unwrap();
        assert_eq!(proof.siblings, digests(&range["siblings"]));
        assert_eq!(proof.verify(&root), Ok(()));
    }
    for bundle in list(&row["bundles"]) {
        let proof = prover.atomic(read(&bundle["id"])).unwrap();
        assert_eq!(proof.verify(&root), Ok(()));
        for leg in &proof.legs {
            let index = usize::try_from(leg.batch.leaf.index).unwrap();
            let item = usize::try_from(leg.item).unwrap();
            let rollup = &row["rollups"][index];
            assert_eq!(leg.atomic_siblings, digests(&rollup["atomic_paths"][item]));
            assert_eq!(leg.transaction_siblings, digests(&rollup["transaction_paths"][item]));
        }
    }
}
