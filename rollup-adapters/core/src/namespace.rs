//! The reveal root: one keccak Merkle tree over the rollups that have a batch in a block, so that a
//! contract or a light client can be shown one rollup's slice without the others.
//!
//! ```text
//! reveal root ── node* ── leaf(rollup 901): index, count, bytes, sequence, previous height, ┬─ tx root ── leaf(keccak(tx 0)), …
//!            └── node* ── leaf(rollup 902): …                                               └─ atomic root ── leaf(leg of item 0), …
//!
//! namespace leaf   = keccak(0x00 ‖ "conclave/ns/v1" ‖ rollup u64 ‖ index u32 ‖ items u32 ‖ bytes u64
//!                           ‖ sequence u64 ‖ previous height u64 ‖ tx root ‖ atomic root)
//! transaction leaf = keccak(0x00 ‖ keccak(transaction))
//! atomic leaf      = keccak(0x00 ‖ "conclave/atom/v1" ‖ bundle id ‖ leg u16 ‖ legs u16 ‖ legs digest)
//!                  | keccak(0x00 ‖ "conclave/force/v1" ‖ entry hash), for an item of the forced queue
//! node             = keccak(0x01 ‖ left ‖ right), padded with zero digests to a power of two
//! ```
//!
//! Leaves ascend by rollup, and each holds its own index; with the count beside the root, two
//! neighbours prove that nothing lies between them. Transaction `i` and atomic leaf `i` are the same
//! item. The legs digest ([`conclave_types::Outcome::digest`]) covers every leg's rollup and
//! transaction, so one leg's proof names its siblings, and each sibling's own proof under the same
//! root shows that it is in the block. This proves co-ordering, not co-execution. The queue's hash of an
//! entry holds its index, so L1 can be shown which item carries it; no leg can pass for one.

use std::collections::BTreeMap;

use conclave_types::{
    Batch, BatchItem, BundleId, Digest, Height, ItemSource, LegRef, OutcomeHashes, RevealedBlock,
    RollupId, digest::keccak, merkle,
};

/// Why batches have no tree.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NamespaceError {
    /// An item comes from a bundle that is not in the block.
    #[error(
        "the batch of rollup {rollup} has an item of bundle {bundle}, which is not in the block"
    )]
    ForeignItem {
        /// The batch.
        rollup: RollupId,
        /// The bundle.
        bundle: BundleId,
    },
    /// An item comes from an entry of the forced queue that the block does not carry.
    #[error("the batch of rollup {rollup} has entry {index} of L1, which is not in the block")]
    ForeignEntry {
        /// The batch.
        rollup: RollupId,
        /// The entry.
        index: u64,
    },
    /// Batches do not strictly ascend by rollup.
    #[error("the batch of rollup {0} is out of order or appears twice")]
    Order(RollupId),
}

/// What is committed to for one rollup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceLeaf {
    /// The rollup.
    pub rollup: RollupId,
    /// Its place among the rollups of the block, from 0.
    pub index: u32,
    /// Number of items.
    pub items: u32,
    /// Bytes of all transactions together.
    pub bytes: u64,
    /// Number of the batch in the rollup's stream.
    pub sequence: u64,
    /// Height of the batch before.
    pub previous_height: Height,
    /// Root over the transactions.
    pub transaction_root: Digest,
    /// Root over the items' places in their bundles.
    pub atomic_root: Digest,
}

impl NamespaceLeaf {
    /// The digest that stands in the tree.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let layout = [
            b"conclave/ns/v1".as_slice(),
            &self.rollup.as_u64().to_be_bytes(),
            &self.index.to_be_bytes(),
            &self.items.to_be_bytes(),
            &self.bytes.to_be_bytes(),
            &self.sequence.to_be_bytes(),
            &self.previous_height.as_u64().to_be_bytes(),
            self.transaction_root.as_bytes(),
            self.atomic_root.as_bytes(),
        ];
        merkle::leaf(&layout.concat())
    }
}

/// The root over a block's batches, with the number of leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevealRoot {
    /// The root; zero if there are no batches.
    pub root: Digest,
    /// Number of rollups with a batch.
    pub count: u32,
}

/// That a rollup's batch is in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceProof {
    /// What is committed to.
    pub leaf: NamespaceLeaf,
    /// Siblings, from the bottom up.
    pub siblings: Vec<Digest>,
}

impl NamespaceProof {
    /// Whether the leaf stands under `root`.
    #[must_use]
    pub fn verify(&self, root: &RevealRoot) -> bool {
        let index = usize::try_from(self.leaf.index);
        let found = index
            .ok()
            .and_then(|index| merkle::root_from_path(self.leaf.digest(), index, &self.siblings));
        self.leaf.index < root.count && found == Some(root.root)
    }
}

/// That a rollup has no batch in a block: its neighbours are next to each other, or at the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsenceProof {
    /// The last rollup before it, unless it would be the first.
    pub before: Option<NamespaceProof>,
    /// The first rollup after it, unless it would be the last.
    pub after: Option<NamespaceProof>,
}

impl AbsenceProof {
    /// Whether `rollup` has no leaf under `root`.
    #[must_use]
    pub fn verify(&self, rollup: RollupId, root: &RevealRoot) -> bool {
        let proved = |proof: &NamespaceProof| proof.verify(root);
        if !self.before.iter().chain(&self.after).all(proved) {
            return false;
        }
        // The place where the rollup would stand: right after `before`, right at `after`.
        let from = match &self.before {
            Some(proof) if proof.leaf.rollup < rollup => proof.leaf.index.checked_add(1),
            Some(_) => None,
            None => Some(0),
        };
        let to = match &self.after {
            Some(proof) if proof.leaf.rollup > rollup => Some(proof.leaf.index),
            Some(_) => None,
            None => Some(root.count),
        };
        from.is_some() && from == to
    }
}

/// The tree over a block's batches.
#[derive(Clone, Debug)]
pub struct RevealTree {
    leaves: Vec<NamespaceLeaf>,
    digests: Vec<Digest>,
}

impl RevealTree {
    /// The tree over `batches`, which are those of `block` in ascending order of rollup.
    ///
    /// # Errors
    ///
    /// If they are in another order, or of another block.
    pub fn new(block: &RevealedBlock, batches: &[Batch]) -> Result<Self, NamespaceError> {
        Self::of(&Sources::of(block), batches)
    }

    /// The same, given what the items of the block's batches come from.
    ///
    /// # Errors
    ///
    /// Those of [`RevealTree::new`].
    pub fn of(sources: &Sources, batches: &[Batch]) -> Result<Self, NamespaceError> {
        let pair = |window: &[Batch]| match window {
            [left, right] if left.rollup >= right.rollup => Some(right.rollup),
            _ => None,
        };
        if let Some(rollup) = batches.windows(2).find_map(pair) {
            return Err(NamespaceError::Order(rollup));
        }
        let leaves: Vec<_> = (0_u32..)
            .zip(batches)
            .map(|(index, batch)| batch_leaf(batch, index, sources))
            .collect::<Result<_, _>>()?;
        let digests = leaves.iter().map(NamespaceLeaf::digest).collect();
        Ok(Self { leaves, digests })
    }

    /// The root, with the number of leaves.
    #[must_use]
    pub fn root(&self) -> RevealRoot {
        let count = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
        RevealRoot { root: merkle::root(&self.digests), count }
    }

    /// Proves that `rollup` has a batch in the block, if it does.
    #[must_use]
    pub fn prove(&self, rollup: RollupId) -> Option<NamespaceProof> {
        let index = self.leaves.binary_search_by_key(&rollup, |leaf| leaf.rollup).ok()?;
        self.proof_at(index)
    }

    /// Proves that `rollup` has no batch in the block, if it has none.
    #[must_use]
    pub fn prove_absence(&self, rollup: RollupId) -> Option<AbsenceProof> {
        let place = self.leaves.binary_search_by_key(&rollup, |leaf| leaf.rollup).err()?;
        let before = place.checked_sub(1).and_then(|index| self.proof_at(index));
        Some(AbsenceProof { before, after: self.proof_at(place) })
    }

    fn proof_at(&self, index: usize) -> Option<NamespaceProof> {
        let leaf = self.leaves.get(index)?.clone();
        Some(NamespaceProof { leaf, siblings: merkle::path(&self.digests, index)? })
    }
}

/// The root over the batches of `block`.
///
/// # Errors
///
/// Those of [`RevealTree::new`].
pub fn reveal_root(block: &RevealedBlock, batches: &[Batch]) -> Result<RevealRoot, NamespaceError> {
    RevealTree::new(block, batches).map(|tree| tree.root())
}

/// What the items of a block's batches come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What is hashed of each bundle's outcome.
    pub legs: BTreeMap<BundleId, OutcomeHashes>,
    /// The queue's hash of each forced transaction, by its index.
    pub forced: BTreeMap<u64, Digest>,
}

impl Sources {
    /// Those of `block`.
    #[must_use]
    pub fn of(block: &RevealedBlock) -> Self {
        Self::with(block, block.hashes())
    }

    /// The same, given [`RevealedBlock::hashes`].
    #[must_use]
    pub fn with(block: &RevealedBlock, hashes: Vec<OutcomeHashes>) -> Self {
        Self {
            legs: block.bundles.iter().map(|bundle| bundle.id).zip(hashes).collect(),
            forced: block.forced.iter().map(|f| (f.index, f.entry_hash)).collect(),
        }
    }

    /// The keccak256 of an item of a batch of `rollup`.
    fn transaction(&self, rollup: RollupId, item: &BatchItem) -> Result<Digest, NamespaceError> {
        let ItemSource::Leg(leg) = &item.source else { return Ok(keccak(&item.transaction)) };
        let foreign = NamespaceError::ForeignItem { rollup, bundle: leg.bundle };
        let hashes = self.legs.get(&leg.bundle);
        let hash = hashes.and_then(|hashes| hashes.transactions.get(usize::from(leg.leg)));
        hash.copied().ok_or(foreign)
    }

    /// The leaf in the atomic tree.
    pub(crate) fn leaf(
        &self,
        rollup: RollupId,
        source: &ItemSource,
    ) -> Result<Digest, NamespaceError> {
        match source {
            ItemSource::Leg(leg) => {
                let foreign = NamespaceError::ForeignItem { rollup, bundle: leg.bundle };
                let hashes = self.legs.get(&leg.bundle).ok_or(foreign)?;
                Ok(atomic_leaf(leg, &hashes.digest))
            }
            ItemSource::Forced(forced) => {
                let foreign = NamespaceError::ForeignEntry { rollup, index: forced.index };
                self.forced.get(&forced.index).map(forced_leaf).ok_or(foreign)
            }
        }
    }
}

/// What is committed to for `batch` at `index`, whose items come from `sources`.
///
/// # Errors
///
/// If an item comes from elsewhere.
pub fn batch_leaf(
    batch: &Batch,
    index: u32,
    sources: &Sources,
) -> Result<NamespaceLeaf, NamespaceError> {
    let leaf = |item| Ok(hash_leaf(&sources.transaction(batch.rollup, item)?));
    let transactions: Vec<_> = batch.items.iter().map(leaf).collect::<Result<_, _>>()?;
    let places: Vec<_> = batch
        .items
        .iter()
        .map(|item| sources.leaf(batch.rollup, &item.source))
        .collect::<Result<_, _>>()?;
    Ok(NamespaceLeaf {
        rollup: batch.rollup,
        index,
        // A block has far fewer than 2^32 items: its bodies are bounded by 32 bits of bytes.
        items: u32::try_from(batch.items.len()).unwrap_or(u32::MAX),
        bytes: batch.items.iter().map(|item| item.transaction.len() as u64).sum(),
        sequence: batch.sequence,
        previous_height: batch.previous_height,
        transaction_root: merkle::root(&transactions),
        atomic_root: merkle::root(&places),
    })
}

/// The leaf of a transaction in a batch's transaction tree.
#[must_use]
pub fn transaction_leaf(transaction: &[u8]) -> Digest {
    hash_leaf(&keccak(transaction))
}

/// The same, given the keccak256 of the transaction.
pub(crate) fn hash_leaf(transaction: &Digest) -> Digest {
    merkle::leaf(transaction.as_bytes())
}

/// The leaf of an item in a batch's atomic tree; `legs` is the outcome digest of its bundle.
#[must_use]
pub fn atomic_leaf(place: &LegRef, legs: &Digest) -> Digest {
    let layout = [
        b"conclave/atom/v1".as_slice(),
        place.bundle.as_bytes(),
        &place.leg.to_be_bytes(),
        &place.legs.to_be_bytes(),
        legs.as_bytes(),
    ];
    merkle::leaf(&layout.concat())
}

/// The leaf of a place in the atomic tree that an entry of the forced queue takes.
#[must_use]
pub fn forced_leaf(entry_hash: &Digest) -> Digest {
    merkle::leaf(&[b"conclave/force/v1".as_slice(), entry_hash.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use conclave_types::{
        BlockId, Epoch, ForcedTransaction, L1Origin, Leg, Outcome, PayerAddress, RevealedBundle,
        RevealedForced, Time,
    };

    use super::*;
    use crate::Cursors;

    fn block(rollups: &[u64]) -> (RevealedBlock, Vec<Batch>) {
        let legs = rollups
            .iter()
            .map(|id| Leg { rollup: RollupId::new(*id), transaction: id.to_be_bytes().to_vec() });
        let block = RevealedBlock {
            height: Height::new(7),
            block: BlockId::new([1; 32]),
            time: Time::ZERO,
            epoch: Epoch::ZERO,
            l1_origin: L1Origin::default(),
            forced_cursor: 0,
            beacon: Digest::ZERO,
            forced: vec![],
            bundles: vec![RevealedBundle {
                id: BundleId::new([2; 32]),
                payer: PayerAddress::ZERO,
                draw: Digest::ZERO,
                outcome: Outcome::Opened(legs.collect()),
            }],
        };
        let batches = Cursors::default().batches(&block);
        (block, batches)
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let (block, batches) = block(&[0x0385]);
        let transaction = 0x0385_u64.to_be_bytes();
        let transaction_root = keccak(&[&[0], keccak(&transaction).as_bytes().as_slice()].concat());
        let transaction_hash = keccak(&transaction);
        let opened = [
            b"conclave/opened/v1".as_slice(),
            &1_u64.to_be_bytes(),
            &0x0385_u64.to_be_bytes(),
            transaction_hash.as_bytes(),
        ];
        let legs = keccak(&opened.concat());
        let atom =
            [&[0], b"conclave/atom/v1".as_slice(), &[2; 32], &[0, 0], &[0, 1], legs.as_bytes()];
        let atomic_root = keccak(&atom.concat());
        let leaf = [
            &[0],
            b"conclave/ns/v1".as_slice(),
            &0x0385_u64.to_be_bytes(),
            &0_u32.to_be_bytes(),
            &1_u32.to_be_bytes(),
            &8_u64.to_be_bytes(),
            &0_u64.to_be_bytes(),
            &0_u64.to_be_bytes(),
            transaction_root.as_bytes(),
            atomic_root.as_bytes(),
        ];
        let expected = RevealRoot { root: keccak(&leaf.concat()), count: 1 };
        assert_eq!(reveal_root(&block, &batches), Ok(expected));
    }

    #[test]
    fn a_block_without_batches_has_the_zero_root() {
        let (block, batches) = block(&[]);
        let expected = RevealRoot { root: Digest::ZERO, count: 0 };
        assert_eq!(reveal_root(&block, &batches), Ok(expected));
    }

    #[test]
    fn every_rollup_is_proved_present_or_absent_and_never_both() {
        for count in 0..=9_u64 {
            let rollups: Vec<_> = (1..=count).map(|i| i * 10).collect();
            let (block, batches) = block(&rollups);
            let tree = RevealTree::new(&block, &batches).unwrap();
            let root = tree.root();
            for id in 0..=count * 10 + 5 {
                let rollup = RollupId::new(id);
                let present = rollups.contains(&id);
                assert_eq!(tree.prove(rollup).is_some(), present, "rollup {id} of {count}");
                assert!(tree.prove(rollup).is_none_or(|proof| proof.verify(&root)));
                let absence = tree.prove_absence(rollup);
                assert_eq!(absence.is_some(), !present, "rollup {id} of {count}");
                assert!(absence.is_none_or(|proof| proof.verify(rollup, &root)));
            }
        }
    }

    #[test]
    fn a_present_rollup_is_never_proved_absent() {
        let (block, batches) = block(&[10, 20, 30, 40, 50]);
        let tree = RevealTree::new(&block, &batches).unwrap();
        let root = tree.root();
        let sides: Vec<_> = (0..5).map(|i| tree.proof_at(i)).chain([None]).collect();
        for target in [10, 20, 30, 40, 50] {
            for before in &sides {
                for after in &sides {
                    let proof = AbsenceProof { before: before.clone(), after: after.clone() };
                    assert!(!proof.verify(RollupId::new(target), &root), "{target}: {proof:?}");
                }
            }
        }
    }

    #[test]
    fn a_proof_of_another_sequence_root_or_padding_fails() {
        let (block, batches) = block(&[10, 20, 30]);
        let tree = RevealTree::new(&block, &batches).unwrap();
        let root = tree.root();
        let good = tree.prove(RollupId::new(20)).unwrap();
        let mut moved = good.clone();
        moved.leaf.sequence += 1;
        let mut shifted = good.clone();
        shifted.leaf.index += 1;
        let mut beyond = good.clone();
        beyond.leaf.index += 4;
        for bad in [moved, shifted, beyond] {
            assert!(!bad.verify(&root), "{bad:?}");
        }
        assert!(!good.verify(&RevealRoot { root: Digest::ZERO, ..root }));
        assert!(!good.verify(&RevealRoot { count: 1, ..root }), "an index beyond the count");
    }

    #[test]
    fn a_forced_transaction_takes_the_place_of_its_entry() {
        let (mut block, _) = block(&[10]);
        let forced = ForcedTransaction {
            rollup: RollupId::new(10),
            gas_limit: 7,
            transaction: vec![1, 2, 3],
        };
        let entry_hash = Digest::new([6; 32]);
        block.forced = vec![RevealedForced { index: 4, entry_hash, forced, carried: true }];
        let batches = Cursors::default().batches(&block);
        let leaf = batch_leaf(&batches[0], 0, &Sources::of(&block)).unwrap();
        let place = keccak(&[&[0], b"conclave/force/v1".as_slice(), &[6; 32]].concat());
        let ItemSource::Leg(leg) = &batches[0].items[1].source else { panic!() };
        let second = atomic_leaf(leg, &block.bundles[0].outcome.digest());
        assert_eq!(leaf.atomic_root, merkle::node(&place, &second));
        assert_eq!((leaf.items, leaf.bytes), (2, 3 + 8));
        block.forced.clear();
        let foreign = NamespaceError::ForeignEntry { rollup: RollupId::new(10), index: 4 };
        assert_eq!(reveal_root(&block, &batches), Err(foreign));
    }

    #[test]
    fn batches_of_another_block_have_no_tree() {
        let (block, mut batches) = block(&[10, 20]);
        let ItemSource::Leg(leg) = &mut batches[1].items[0].source else { panic!() };
        let foreign = |bundle| {
            let rollup = RollupId::new(20);
            Err(NamespaceError::ForeignItem { rollup, bundle })
        };
        leg.leg = 7;
        let bundle = leg.bundle;
        assert_eq!(reveal_root(&block, &batches), foreign(bundle), "it has no such leg");
        let ItemSource::Leg(leg) = &mut batches[1].items[0].source else { panic!() };
        leg.bundle = BundleId::new([9; 32]);
        assert_eq!(reveal_root(&block, &batches), foreign(BundleId::new([9; 32])));
        batches.swap(0, 1);
        assert_eq!(reveal_root(&block, &batches), Err(NamespaceError::Order(RollupId::new(10))));
    }
}
