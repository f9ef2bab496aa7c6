use conclave_types::{
    BlockId, Epoch, ForcedTransaction, Height, L1Origin, Leg, PayerAddress, RevealedBundle,
    RevealedForced, Time, UndecryptableReason, proto::v1, wire::WireError,
};

use super::*;
use crate::Cursors;

const THREE: [u64; 3] = [10, 20, 30];

fn bundle(byte: u8, rollups: &[u64]) -> RevealedBundle {
    let leg = |rollup: &u64| Leg {
        rollup: RollupId::new(*rollup),
        transaction: [&[byte], rollup.to_be_bytes().as_slice()].concat(),
    };
    RevealedBundle {
        id: BundleId::new([byte; 32]),
        payer: PayerAddress::ZERO,
        draw: Digest::ZERO,
        outcome: Outcome::Opened(rollups.iter().map(leg).collect()),
    }
}

/// A forced transaction for rollup 20, then a bundle for three rollups, one that does not open, and three for rollup 20.
fn prover() -> Prover {
    let failed = Outcome::Undecryptable(UndecryptableReason::BadCiphertext);
    let forced = ForcedTransaction {
        rollup: RollupId::new(20),
        gas_limit: 21_000,
        transaction: b"forced".to_vec(),
    };
    let entry_hash = Digest::new([6; 32]);
    let block = RevealedBlock {
        height: Height::new(7),
        block: BlockId::new([1; 32]),
        time: Time::ZERO,
        epoch: Epoch::ZERO,
        l1_origin: L1Origin::default(),
        forced_cursor: 1,
        beacon: Digest::ZERO,
        forced: vec![RevealedForced { index: 0, entry_hash, forced, carried: true }],
        bundles: vec![
            bundle(1, &[30, 10, 20]),
            RevealedBundle { outcome: failed, ..bundle(2, &[]) },
            bundle(3, &[20]),
            bundle(4, &[20]),
            bundle(5, &[20]),
        ],
    };
    let batches = Cursors::default().batches(&block);
    Prover::new(block, batches).unwrap()
}

/// What somebody may change about the batch of a proof.
fn changes() -> Vec<fn(&mut NamespaceProof)> {
    vec![
        |batch| batch.leaf.rollup = RollupId::new(batch.leaf.rollup.as_u64() + 1),
        |batch| batch.leaf.index ^= 1,
        |batch| batch.leaf.index += 4,
        |batch| batch.leaf.items += 1,
        |batch| batch.leaf.bytes += 1,
        |batch| batch.leaf.sequence += 1,
        |batch| batch.leaf.previous_height = Height::new(1),
        |batch| batch.leaf.transaction_root = Digest::new([9; 32]),
        |batch| batch.leaf.atomic_root = Digest::new([9; 32]),
        |batch| batch.siblings[0] = Digest::new([9; 32]),
        |batch| batch.siblings.push(Digest::ZERO),
        |batch| batch.siblings.clear(),
    ]
}

#[test]
fn every_transaction_is_proved_where_it_is_and_nothing_else_is() {
    let prover = prover();
    let root = prover.root();
    for rollup in THREE.map(RollupId::new) {
        let items = u32::try_from(prover.batch(rollup).unwrap().items.len()).unwrap();
        for item in 0..items {
            let proof = prover.transaction(rollup, item).unwrap();
            assert_eq!(proof.verify(&root), Ok(()));
            assert_eq!(prover.find(rollup, &proof.transaction), Some(item));
            for change in changes() {
                let mut bad = proof.clone();
                change(&mut bad.batch);
                let rollup = bad.batch.leaf.rollup;
                assert_eq!(bad.verify(&root), Err(ProofError::NotInBlock { rollup }));
            }
            for moved in (0..items + 4).filter(|moved| *moved != item) {
                let bad = TransactionProof { item: moved, ..proof.clone() };
                let refused = ProofError::TransactionNotInBatch { rollup, item: moved };
                assert_eq!(bad.verify(&root), Err(refused));
            }
            let refused = ProofError::TransactionNotInBatch { rollup, item };
            let other = TransactionProof { transaction: Digest::new([9; 32]), ..proof.clone() };
            let mut longer = proof.clone();
            longer.siblings.push(Digest::ZERO);
            for bad in [other, longer] {
                assert_eq!(bad.verify(&root), Err(refused));
            }
            for bad in [RevealRoot { count: 0, ..root }, RevealRoot { root: Digest::ZERO, ..root }]
            {
                assert_eq!(proof.verify(&bad), Err(ProofError::NotInBlock { rollup }));
            }
        }
        assert_eq!(prover.transaction(rollup, items), None);
    }
    assert_eq!(prover.transaction(RollupId::new(11), 0), None);
    assert_eq!(prover.find(RollupId::new(10), &Digest::new([9; 32])), None);
}

#[test]
fn padding_is_no_transaction() {
    let prover = prover();
    let rollup = RollupId::new(20);
    let five = prover.transaction(rollup, 4).unwrap();
    assert_eq!(five.batch.leaf.items, 5);
    // The leaf beside the last one is zero, and nobody knows a transaction with that leaf; the items end before it.
    let hash = five.siblings[0];
    let bad = TransactionProof { item: 5, transaction: hash, ..five };
    let refused = ProofError::TransactionNotInBatch { rollup, item: 5 };
    assert_eq!(bad.verify(&prover.root()), Err(refused));
}

#[test]
fn every_run_of_a_batch_is_proved_and_only_the_whole_one_says_so() {
    let prover = prover();
    let (root, rollup) = (prover.root(), RollupId::new(20));
    for first in 0..5 {
        for count in 1..=7 {
            let proof = prover.run(rollup, first, count).unwrap();
            assert_eq!(proof.verify(&root), Ok(()), "{count} from {first}");
            assert_eq!(proof.transactions.len(), (5 - first).min(count) as usize);
            assert_eq!(proof.is_whole(), first == 0 && count >= 5);
            let refused = ProofError::TransactionNotInBatch { rollup, item: first };
            let mut cut = proof.clone();
            cut.transactions.pop();
            let mut other = proof.clone();
            other.transactions[0] = Digest::new([9; 32]);
            let mut longer = proof.clone();
            longer.siblings.push(Digest::ZERO);
            for bad in [cut, other, longer] {
                assert_eq!(bad.verify(&root), Err(refused), "{count} from {first}");
            }
            let moved = BatchProof { first: first + 1, ..proof.clone() };
            let refused = ProofError::TransactionNotInBatch { rollup, item: first + 1 };
            assert_eq!(moved.verify(&root), Err(refused));
            for change in changes() {
                let mut bad = proof.clone();
                change(&mut bad.batch);
                let rollup = bad.batch.leaf.rollup;
                assert_eq!(bad.verify(&root), Err(ProofError::NotInBlock { rollup }));
            }
        }
    }
    assert_eq!(prover.run(rollup, 5, 1), None);
    assert_eq!(prover.run(rollup, 0, 0), None);
    assert_eq!(prover.run(RollupId::new(11), 0, 1), None);
}

#[test]
fn a_bundle_is_proved_by_all_of_its_legs_in_their_order_and_by_no_others() {
    let prover = prover();
    let root = prover.root();
    for byte in [1, 3, 4, 5] {
        let proof = prover.atomic(BundleId::new([byte; 32])).unwrap();
        assert_eq!(proof.verify(&root), Ok(()));
    }
    let proof = prover.atomic(BundleId::new([1; 32])).unwrap();
    let rollups = proof.legs.iter().map(|leg| leg.batch.leaf.rollup.as_u64());
    assert_eq!(rollups.collect::<Vec<_>>(), [30, 10, 20]);
    let leg = |index: usize| {
        let leg = &proof.legs[index];
        ProofError::LegNotInBatch { rollup: leg.batch.leaf.rollup, item: leg.item }
    };
    type Change = fn(&mut AtomicProof);
    let table: [(Change, ProofError); 8] = [
        (|proof| proof.bundle = BundleId::new([3; 32]), leg(0)),
        (|proof| proof.legs.swap(0, 1), leg(1)),
        (|proof| drop(proof.legs.pop()), leg(0)),
        (|proof| proof.legs.push(proof.legs[0].clone()), leg(0)),
        (|proof| proof.legs.clear(), ProofError::LegCount { found: 0 }),
        (|proof| proof.legs[2].atomic_siblings[0] = Digest::new([9; 32]), leg(2)),
        (
            |proof| proof.legs[2].transaction_siblings[0] = Digest::new([9; 32]),
            ProofError::TransactionNotInBatch { rollup: RollupId::new(20), item: 1 },
        ),
        (
            |proof| proof.legs[2].item = 2,
            ProofError::TransactionNotInBatch { rollup: RollupId::new(20), item: 2 },
        ),
    ];
    for (change, refused) in table {
        let mut bad = proof.clone();
        change(&mut bad);
        assert_eq!(bad.verify(&root), Err(refused));
    }
    for change in changes() {
        let mut bad = proof.clone();
        change(&mut bad.legs[2].batch);
        // Whose batch it is stands in the digest over all legs, too.
        assert!(matches!(
            bad.verify(&root),
            Err(ProofError::NotInBlock { .. } | ProofError::LegNotInBatch { .. })
        ));
    }
    let many = AtomicProof { legs: vec![proof.legs[0].clone(); 65_536], ..proof };
    assert_eq!(many.verify(&root), Err(ProofError::LegCount { found: 65_536 }));
    assert_eq!(prover.atomic(BundleId::new([2; 32])), None, "it did not open");
    assert_eq!(prover.atomic(BundleId::new([9; 32])), None, "it is not in the block");
}

#[test]
fn legs_of_two_bundles_are_no_bundle() {
    let prover = prover();
    let first = prover.atomic(BundleId::new([3; 32])).unwrap();
    let second = prover.atomic(BundleId::new([4; 32])).unwrap();
    let legs = [first.legs, second.legs].concat();
    let forged = AtomicProof { bundle: first.bundle, legs };
    let refused = ProofError::LegNotInBatch { rollup: RollupId::new(20), item: 2 };
    assert_eq!(forged.verify(&prover.root()), Err(refused));
}

#[test]
fn a_forced_transaction_is_proved_and_is_no_leg() {
    let prover = prover();
    let rollup = RollupId::new(20);
    let forced = prover.transaction(rollup, 0).unwrap();
    assert_eq!(forced.transaction, keccak(b"forced"));
    let mut bad = prover.atomic(BundleId::new([3; 32])).unwrap();
    bad.legs[0].item = 0;
    bad.legs[0].transaction = forced.transaction;
    bad.legs[0].transaction_siblings = forced.siblings;
    let refused = ProofError::LegNotInBatch { rollup, item: 0 };
    assert_eq!(bad.verify(&prover.root()), Err(refused));
}

#[test]
fn absence_is_required_by_name() {
    let prover = prover();
    let root = prover.root();
    for id in [1, 15, 25, 31] {
        let rollup = RollupId::new(id);
        let proof = prover.absence(rollup).unwrap();
        assert_eq!(proof.require(rollup, &root), Ok(()));
        for present in THREE.map(RollupId::new) {
            let refused = ProofError::NotAbsent { rollup: present };
            assert_eq!(proof.require(present, &root), Err(refused));
        }
        for change in changes() {
            for side in [0, 1] {
                let mut bad = proof.clone();
                let batch = if side == 0 { &mut bad.before } else { &mut bad.after };
                let Some(batch) = batch else { continue };
                change(batch);
                assert_eq!(bad.require(rollup, &root), Err(ProofError::NotAbsent { rollup }));
            }
        }
    }
    assert_eq!(prover.absence(RollupId::new(20)), None);
}

#[test]
fn proofs_come_back_from_the_wire_as_they_went() {
    let prover = prover();
    let rollup = RollupId::new(20);
    let transaction = prover.transaction(rollup, 3).unwrap();
    let message = v1::GetTransactionProofResponse::from(&transaction);
    assert_eq!(TransactionProof::try_from(&message), Ok(transaction));
    let run = prover.run(rollup, 1, 3).unwrap();
    assert_eq!(BatchProof::try_from(&v1::GetBatchProofResponse::from(&run)), Ok(run));
    for leg in prover.atomic(BundleId::new([1; 32])).unwrap().legs {
        assert_eq!(LegProof::try_from(&v1::LegProof::from(&leg)), Ok(leg));
    }
    for id in [1, 15, 31] {
        let absence = prover.absence(RollupId::new(id)).unwrap();
        let message = v1::GetAbsenceProofResponse::from(&absence);
        assert_eq!(AbsenceProof::try_from(&message), Ok(absence));
    }
    let none = v1::GetTransactionProofResponse { batch: None, ..message };
    assert_eq!(TransactionProof::try_from(&none), Err(WireError::Missing("batch")));
}
