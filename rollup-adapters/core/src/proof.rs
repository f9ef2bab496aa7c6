//! What shows, to whoever knows a commitment, what was ordered: each statement that `ConclaveInbox` can be shown, with
//! what it takes besides the commitment's place in the history.
//!
//! ```text
//! commitment ── reveal root ── NamespaceProof ─┬─ transaction root ── this transaction is item i      TransactionProof
//!                   │                          ├─ transaction root ── these are the items from i on   BatchProof
//!                   │                          └─ both roots, of each leg's batch ── all legs         AtomicProof
//!                   └── two neighbours ─────────────────────────────── no batch of this rollup        AbsenceProof
//! ```
//!
//! The rules are those of `contracts/src/lib/NamespaceTree.sol`, and so are the names of the errors.

use conclave_types::{
    Batch, BundleId, Digest, LegRef, Outcome, RevealedBlock, RollupId, digest::keccak, legs_digest,
    merkle,
};

use crate::{
    AbsenceProof, NamespaceError, NamespaceProof, RevealRoot, RevealTree, Sources, atomic_leaf,
    namespace::hash_leaf,
};

/// Why a proof shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The batch is not under the reveal root.
    #[error("this batch of rollup {rollup} is not in the block")]
    NotInBlock {
        /// The rollup.
        rollup: RollupId,
    },
    /// The neighbours leave room for a batch of the rollup, or are not in the block.
    #[error("it is not shown that rollup {rollup} has no batch in the block")]
    NotAbsent {
        /// The rollup.
        rollup: RollupId,
    },
    /// The transactions are not those of the batch.
    #[error("the transaction is not item {item} of the batch of rollup {rollup}")]
    TransactionNotInBatch {
        /// The rollup.
        rollup: RollupId,
        /// The item, or the first of several.
        item: u32,
    },
    /// The item is no such leg of the bundle.
    #[error("item {item} of the batch of rollup {rollup} is not that leg of the bundle")]
    LegNotInBatch {
        /// The rollup.
        rollup: RollupId,
        /// The item.
        item: u32,
    },
    /// No bundle has so many legs.
    #[error("a bundle has 1 to 65535 legs, found {found}")]
    LegCount {
        /// How many there are.
        found: usize,
    },
}

/// That a transaction is in a rollup's batch, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionProof {
    /// The batch.
    pub batch: NamespaceProof,
    /// Its place, from 0.
    pub item: u32,
    /// The keccak256 of the transaction.
    pub transaction: Digest,
    /// Siblings of its leaf, from the bottom up.
    pub siblings: Vec<Digest>,
}

impl TransactionProof {
    /// Checks it against the reveal root of a block.
    ///
    /// # Errors
    ///
    /// What is not shown.
    pub fn verify(&self, root: &RevealRoot) -> Result<(), ProofError> {
        require_included(&self.batch, root)?;
        require_transaction(&self.batch, self.item, &self.transaction, &self.siblings)
    }
}

/// Which transactions a rollup's batch has, from one on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchProof {
    /// The batch.
    pub batch: NamespaceProof,
    /// The place of the first, from 0.
    pub first: u32,
    /// The keccak256 of each, without a gap.
    pub transactions: Vec<Digest>,
    /// What they do not determine of the tree: left before right on each level, from the bottom up.
    pub siblings: Vec<Digest>,
}

impl BatchProof {
    /// Whether these are all transactions of the batch.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.first == 0 && u32::try_from(self.transactions.len()) == Ok(self.batch.leaf.items)
    }

    /// Checks it against the reveal root of a block.
    ///
    /// # Errors
    ///
    /// What is not shown.
    pub fn verify(&self, root: &RevealRoot) -> Result<(), ProofError> {
        require_included(&self.batch, root)?;
        let leaf = &self.batch.leaf;
        let run: Vec<_> = self.transactions.iter().map(hash_leaf).collect();
        let place = usize::try_from(self.first).ok().zip(usize::try_from(leaf.items).ok());
        let found = place
            .and_then(|(first, items)| merkle::root_from_range(&run, first, items, &self.siblings));
        if found == Some(leaf.transaction_root) {
            return Ok(());
        }
        Err(ProofError::TransactionNotInBatch { rollup: leaf.rollup, item: self.first })
    }
}

/// A leg of a bundle where it stands in its rollup's batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegProof {
    /// The batch, of the leg's rollup.
    pub batch: NamespaceProof,
    /// The keccak256 of its transaction.
    pub transaction: Digest,
    /// Its place in the batch, from 0.
    pub item: u32,
    /// Siblings of its transaction, from the bottom up.
    pub transaction_siblings: Vec<Digest>,
    /// Siblings of its place in the bundle, from the bottom up.
    pub atomic_siblings: Vec<Digest>,
}

/// That all legs of a bundle are in a block. It shows that they were ordered together, not that they were executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtomicProof {
    /// The bundle.
    pub bundle: BundleId,
    /// Its legs, all of them and in their order.
    pub legs: Vec<LegProof>,
}

impl AtomicProof {
    /// Checks it against the reveal root of a block.
    ///
    /// # Errors
    ///
    /// What is not shown.
    pub fn verify(&self, root: &RevealRoot) -> Result<(), ProofError> {
        let found = self.legs.len();
        // Of no legs anything is true, and nothing ties the bundle's id to them.
        let legs = u16::try_from(found).ok().filter(|legs| *legs > 0);
        let legs = legs.ok_or(ProofError::LegCount { found })?;
        let all = self.legs.iter().map(|leg| (leg.batch.leaf.rollup, leg.transaction));
        let digest = legs_digest(all);
        for (index, leg) in (0_u16..).zip(&self.legs) {
            require_included(&leg.batch, root)?;
            let transaction = (&leg.transaction, leg.transaction_siblings.as_slice());
            require_transaction(&leg.batch, leg.item, transaction.0, transaction.1)?;
            let place = LegRef { bundle: self.bundle, leg: index, legs };
            let place = atomic_leaf(&place, &digest);
            if root_of(place, leg.item, &leg.atomic_siblings) != Some(leg.batch.leaf.atomic_root) {
                let rollup = leg.batch.leaf.rollup;
                return Err(ProofError::LegNotInBatch { rollup, item: leg.item });
            }
        }
        Ok(())
    }
}

impl AbsenceProof {
    /// [`AbsenceProof::verify`], with an error to hand on.
    ///
    /// # Errors
    ///
    /// [`ProofError::NotAbsent`].
    pub fn require(&self, rollup: RollupId, root: &RevealRoot) -> Result<(), ProofError> {
        if self.verify(rollup, root) { Ok(()) } else { Err(ProofError::NotAbsent { rollup }) }
    }
}

fn root_of(leaf: Digest, item: u32, siblings: &[Digest]) -> Option<Digest> {
    merkle::root_from_path(leaf, usize::try_from(item).ok()?, siblings)
}

fn require_included(batch: &NamespaceProof, root: &RevealRoot) -> Result<(), ProofError> {
    if batch.verify(root) {
        return Ok(());
    }
    Err(ProofError::NotInBlock { rollup: batch.leaf.rollup })
}

fn require_transaction(
    batch: &NamespaceProof,
    item: u32,
    transaction: &Digest,
    siblings: &[Digest],
) -> Result<(), ProofError> {
    let leaf = &batch.leaf;
    let found = root_of(hash_leaf(transaction), item, siblings);
    if item < leaf.items && found == Some(leaf.transaction_root) {
        return Ok(());
    }
    Err(ProofError::TransactionNotInBatch { rollup: leaf.rollup, item })
}

/// A block with its batches: all that can be shown of it.
#[derive(Clone, Debug)]
pub struct Prover {
    block: RevealedBlock,
    batches: Vec<Batch>,
    tree: RevealTree,
}

impl Prover {
    /// Of `block`, whose batches are those in ascending order of rollup.
    ///
    /// # Errors
    ///
    /// If they are in another order, or of another block.
    pub fn new(block: RevealedBlock, batches: Vec<Batch>) -> Result<Self, NamespaceError> {
        let tree = RevealTree::new(&block, &batches)?;
        Ok(Self { block, batches, tree })
    }

    /// What all proofs stand under.
    #[must_use]
    pub fn root(&self) -> RevealRoot {
        self.tree.root()
    }

    /// The rollup's batch, if it has one.
    #[must_use]
    pub fn batch(&self, rollup: RollupId) -> Option<&Batch> {
        let place = self.batches.binary_search_by_key(&rollup, |batch| batch.rollup).ok()?;
        self.batches.get(place)
    }

    /// The place of the first transaction in the rollup's batch that has this keccak256.
    #[must_use]
    pub fn find(&self, rollup: RollupId, transaction: &Digest) -> Option<u32> {
        let items = &self.batch(rollup)?.items;
        let found = items.iter().position(|item| keccak(&item.transaction) == *transaction)?;
        u32::try_from(found).ok()
    }

    /// Proves which transaction is at a place of the rollup's batch, if there is one.
    #[must_use]
    pub fn transaction(&self, rollup: RollupId, item: u32) -> Option<TransactionProof> {
        let (batch, hashes) = (self.tree.prove(rollup)?, self.hashes(rollup)?);
        let place = usize::try_from(item).ok()?;
        let transaction = *hashes.get(place)?;
        let siblings = merkle::path(&leaves(&hashes), place)?;
        Some(TransactionProof { batch, item, transaction, siblings })
    }

    /// Proves which transactions the rollup's batch has from `first` on, up to `count` of them; none if it ends before.
    #[must_use]
    pub fn run(&self, rollup: RollupId, first: u32, count: u32) -> Option<BatchProof> {
        let (batch, hashes) = (self.tree.prove(rollup)?, self.hashes(rollup)?);
        let (from, count) = (usize::try_from(first).ok()?, usize::try_from(count).ok()?);
        let transactions: Vec<_> = hashes.iter().skip(from).take(count).copied().collect();
        let siblings = merkle::range_path(&leaves(&hashes), from, transactions.len())?;
        Some(BatchProof { batch, first, transactions, siblings })
    }

    /// Proves that all legs of a bundle are in the block, if it is there and opened.
    #[must_use]
    pub fn atomic(&self, bundle: BundleId) -> Option<AtomicProof> {
        let revealed = self.block.bundles.iter().find(|revealed| revealed.id == bundle)?;
        let Outcome::Opened(legs) = &revealed.outcome else { return None };
        let sources = Sources::of(&self.block);
        let prove = |(leg, rollup)| self.leg(&sources, bundle, leg, rollup);
        let legs = (0_u16..).zip(legs.iter().map(|leg| leg.rollup)).map(prove);
        Some(AtomicProof { bundle, legs: legs.collect::<Option<_>>()? })
    }

    fn leg(
        &self,
        sources: &Sources,
        bundle: BundleId,
        leg: u16,
        rollup: RollupId,
    ) -> Option<LegProof> {
        let items = &self.batch(rollup)?.items;
        let is_it = |place: &LegRef| place.bundle == bundle && place.leg == leg;
        let place = items.iter().position(|item| item.source.leg().is_some_and(is_it))?;
        let proof = self.transaction(rollup, u32::try_from(place).ok()?)?;
        let places = items.iter().map(|item| sources.leaf(rollup, &item.source).ok());
        let atomic_siblings = merkle::path(&places.collect::<Option<Vec<_>>>()?, place)?;
        let TransactionProof { batch, item, transaction, siblings } = proof;
        Some(LegProof { batch, transaction, item, transaction_siblings: siblings, atomic_siblings })
    }

    /// Proves that the rollup has no batch in the block, if it has none.
    #[must_use]
    pub fn absence(&self, rollup: RollupId) -> Option<AbsenceProof> {
        self.tree.prove_absence(rollup)
    }

    fn hashes(&self, rollup: RollupId) -> Option<Vec<Digest>> {
        let items = self.batch(rollup)?.items.iter();
        Some(items.map(|item| keccak(&item.transaction)).collect())
    }
}

fn leaves(hashes: &[Digest]) -> Vec<Digest> {
    hashes.iter().map(hash_leaf).collect()
}

#[cfg(test)]
mod tests;
