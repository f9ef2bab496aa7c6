//! A process that is killed between any two steps of a slot. What a kill leaves behind is the directory
//! as it stands at that moment, so each test works on a copy taken while the chain is still open.

use std::{fs, num::NonZeroU64};

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718 as _,
    primitives::{Address, TxKind, U256},
    signers::{SignerSync as _, local::PrivateKeySigner},
};
use conclave_types::{
    Batch, BatchItem, BundleId, Digest, ItemSource, L1Origin, LegRef, NetworkId, RollupId, Time,
};

use super::*;
use crate::{
    genesis::dev_alloc,
    slots::{Event, Slots},
};

const ROLLUP: RollupId = RollupId::new(901);
/// The first dev account.
const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const BEGIN_S: u64 = 1_800_000_000;

fn rules() -> Rules {
    Rules {
        network: NetworkId::new([7; 32]),
        rollup: ROLLUP,
        period: NonZeroU64::MIN,
        gas_limit: 30_000_000,
        alloc: dev_alloc().unwrap(),
    }
}

fn transfer(nonce: u64) -> Vec<u8> {
    let signer: PrivateKeySigner = KEY.parse().unwrap();
    let transaction = TxEip1559 {
        chain_id: ROLLUP.as_u64(),
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::repeat_byte(0xaa)),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&transaction.signature_hash()).unwrap();
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
}

/// Three slots of one second, each with a transfer and something that is no transaction.
fn slots() -> Vec<Slot> {
    let mut slots = Slots::new(ROLLUP, NonZeroU64::MIN, Cursor::GENESIS, 0);
    let mut closed = Vec::new();
    for sequence in 0..4_u64 {
        let leg = |leg| ItemSource::Leg(LegRef { bundle: BundleId::new([9; 32]), leg, legs: 2 });
        let batch = Batch {
            rollup: ROLLUP,
            sequence,
            previous_height: Height::new(sequence),
            height: Height::new(sequence + 1),
            block: BlockId::new([u8::try_from(sequence).unwrap() + 1; 32]),
            time: Time::from_micros((BEGIN_S + sequence) * 1_000_000),
            l1_origin: L1Origin { number: 0, hash: Digest::ZERO },
            randomness: Digest::new([1; 32]),
            items: vec![
                BatchItem { transaction: transfer(sequence), source: leg(0) },
                BatchItem { transaction: vec![0xff; 3], source: leg(1) },
            ],
        };
        closed.extend(slots.push(Event::Batch(batch)).unwrap());
    }
    closed
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// How far a process has come with a slot when it is killed.
#[derive(Clone, Copy, Debug)]
enum Step {
    Nothing,
    Imported,
    Recorded,
    Canonical,
}

/// Does the slot's work up to and including `step`.
async fn work(chain: &Chain, slot: &Slot, step: Step, elsewhere: &Path) {
    let parent = chain.header().await.unwrap();
    let Chain { rules, store, blockchain, outcomes } = chain;
    match step {
        Step::Nothing => {}
        Step::Imported => {
            // The block is imported; its outcomes never reach this process's own database.
            let lost = Outcomes::open(elsewhere).unwrap();
            execute::execute(rules, store, blockchain, &lost, &parent, slot).unwrap();
        }
        Step::Recorded => {
            execute::execute(rules, store, blockchain, outcomes, &parent, slot).unwrap();
        }
        Step::Canonical => {
            chain.advance(slot.clone()).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_after_any_step_of_a_slot_ends_where_one_that_was_not_does() {
    let slots = slots();
    let scratch = tempfile::tempdir().unwrap();
    let dir = |name: &str| scratch.path().join(name);
    let base = Chain::open(rules(), &dir("base")).await.unwrap();
    base.advance(slots[0].clone()).await.unwrap();
    let steps = [Step::Nothing, Step::Imported, Step::Recorded, Step::Canonical];
    for step in steps {
        copy(&dir("base"), &dir(&format!("{step:?}")));
    }
    base.advance(slots[1].clone()).await.unwrap();
    let (expected, _) = base.advance(slots[2].clone()).await.unwrap();

    for step in steps {
        let name = format!("{step:?}");
        let alive = Chain::open(rules(), &dir(&name)).await.unwrap();
        assert_eq!(alive.head().await.unwrap().cursor, slots[0].end, "{name}");
        work(&alive, &slots[1], step, &dir(&format!("{name}-lost"))).await;
        let killed = dir(&format!("{name}-killed"));
        copy(&dir(&name), &killed);

        let chain = Chain::open(rules(), &killed).await.unwrap();
        let resume = chain.head().await.unwrap().cursor;
        let missing: Vec<_> =
            slots.iter().filter(|slot| slot.end.next_sequence > resume.next_sequence).collect();
        let done = slots.len() - missing.len();
        assert_eq!(done, if matches!(step, Step::Canonical) { 2 } else { 1 }, "{name}");
        for slot in missing {
            chain.advance(slot.clone()).await.unwrap();
        }
        let head = chain.head().await.unwrap();
        assert_eq!((head.hash, head.state_root), (expected.hash, expected.state_root), "{name}");
        for item in slots.iter().flat_map(|slot| &slot.items) {
            let outcome = chain.outcomes().by_hash(&item.hash, head.number).unwrap();
            assert!(outcome.is_some(), "{name}: the outcome of item {:?} is gone", item.source);
        }
    }
}
