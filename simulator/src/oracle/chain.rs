//! Agreement, contiguity and determinism: one chain, told in order and without a gap by every honest
//! validator, and byte for byte the same.

use std::collections::{BTreeMap, BTreeSet};

use conclave_sequencer::archive;
use conclave_types::{
    Batch, BlockHeader, BlockId, BundleId, Digest, Height, RevealedBlock, RollupId,
};
use sha3::{Digest as _, Keccak256};

use super::{AGREEMENT, CONTIGUITY, Check, DETERMINISM, DURABLE, ONCE, ensure};
use crate::disk::Disk;

/// What honest validators have told.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    blocks: BTreeMap<Height, BlockId>,
    decided_at: BTreeMap<u16, Height>,
    included: BTreeMap<BundleId, Height>,
    digests: BTreeMap<Height, Digest>,
    revealed_at: BTreeMap<u16, Height>,
    batches: BTreeMap<(RollupId, u64), Digest>,
    next: BTreeMap<(u16, RollupId), u64>,
    unseen: u64,
}

impl Chain {
    pub(super) fn new(honest: &BTreeSet<u16>) -> Self {
        let zero: BTreeMap<_, _> = honest.iter().map(|node| (*node, Height::ZERO)).collect();
        Self {
            blocks: BTreeMap::new(),
            decided_at: zero.clone(),
            included: BTreeMap::new(),
            digests: BTreeMap::new(),
            revealed_at: zero,
            batches: BTreeMap::new(),
            next: BTreeMap::new(),
            unseen: 0,
        }
    }

    /// Whether a rollup has had a batch.
    pub(super) fn has_batches(&self, rollup: RollupId) -> bool {
        let first = self.batches.range((rollup, 0)..).next();
        first.is_some_and(|((found, _), _)| *found == rollup)
    }

    /// From now on it is not told by these.
    pub(super) fn leave(&mut self, is_gone: impl Fn(u16) -> bool) {
        self.decided_at.retain(|node, _| !is_gone(*node));
        self.revealed_at.retain(|node, _| !is_gone(*node));
        self.next.retain(|(node, _), _| !is_gone(*node));
    }

    /// From now on it is told by this one, too, from the beginning.
    pub(super) fn join(&mut self, node: u16) {
        self.decided_at.insert(node, Height::ZERO);
        self.revealed_at.insert(node, Height::ZERO);
    }

    /// Whether it is told by a validator.
    pub(super) fn is_told_by(&self, node: u16) -> bool {
        self.decided_at.contains_key(&node)
    }

    /// What was decided, by height.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (Height, BlockId)> {
        self.blocks.iter().map(|(height, block)| (*height, *block))
    }

    /// The block that was decided at a height.
    pub(super) fn block(&self, height: Height) -> Option<BlockId> {
        self.blocks.get(&height).copied()
    }

    pub(super) fn decided_at(&self, node: u16) -> Height {
        self.decided_at.get(&node).copied().unwrap_or_default()
    }

    pub(super) fn revealed_at(&self, node: u16) -> Height {
        self.revealed_at.get(&node).copied().unwrap_or_default()
    }

    pub(super) fn revealed_by_all(&self) -> Height {
        self.revealed_at.values().min().copied().unwrap_or_default()
    }

    pub(super) fn decided_by_any(&self) -> Height {
        self.decided_at.values().max().copied().unwrap_or_default()
    }

    pub(super) fn is_first_reveal(&self, height: Height) -> bool {
        !self.digests.contains_key(&height)
    }

    /// The batch that a validator will tell next, for each rollup.
    pub(super) fn next_batches(&self, node: u16) -> Vec<(RollupId, u64)> {
        let rollups: BTreeSet<_> = self.batches.keys().map(|(rollup, _)| *rollup).collect();
        let next = |rollup| self.next.get(&(node, rollup)).copied().unwrap_or(0);
        rollups.into_iter().map(|rollup| (rollup, next(rollup))).collect()
    }

    /// Something was durable before a crash and had not been told.
    pub(super) const fn saw_unseen(&mut self) {
        self.unseen = self.unseen.saturating_add(1);
    }

    pub(super) const fn unseen(&self) -> u64 {
        self.unseen
    }

    pub(super) fn decided(
        &mut self,
        node: u16,
        height: Height,
        block: BlockId,
        bundles: &[BundleId],
    ) -> Check {
        let agreed = *self.blocks.entry(height).or_insert(block);
        ensure(agreed == block, AGREEMENT, || {
            format!("height {height}: {agreed} and, at validator {node}, {block}")
        })?;
        let expected = self.decided_at(node).next();
        ensure(height == expected, CONTIGUITY, || {
            format!("validator {node} decides {height} where {expected} is next")
        })?;
        self.decided_at.insert(node, height);
        for id in bundles {
            let first = *self.included.entry(*id).or_insert(height);
            ensure(first == height, ONCE, || format!("bundle {id} at {first} and at {height}"))?;
        }
        let distinct: BTreeSet<_> = bundles.iter().collect();
        ensure(distinct.len() == bundles.len(), ONCE, || format!("a bundle twice at {height}"))
    }

    /// What a decided block says of the reveal that it builds on, if anyone has told that reveal.
    pub(super) fn builds_on(&self, header: &BlockHeader) -> Check {
        let (at, found) = (header.revealed_height, header.reveal_digest);
        let told = if at == Height::ZERO { Some(Digest::ZERO) } else { self.digest(at) };
        ensure(told.is_none_or(|told| told == found), DETERMINISM, || {
            format!("height {} names another digest of the reveal at {at}", header.height)
        })
    }

    fn digest(&self, height: Height) -> Option<Digest> {
        self.digests.get(&height).copied()
    }

    pub(super) fn revealed(&mut self, node: u16, block: &RevealedBlock, digest: Digest) -> Check {
        let height = block.height;
        ensure(self.blocks.get(&height) == Some(&block.block), AGREEMENT, || {
            format!("validator {node} reveals {} at {height}, which was not decided", block.block)
        })?;
        let agreed = *self.digests.entry(height).or_insert(digest);
        ensure(agreed == digest, DETERMINISM, || {
            format!("height {height}: {agreed} and, at validator {node}, {digest}")
        })?;
        let expected = self.revealed_at(node).next();
        ensure(height == expected, CONTIGUITY, || {
            format!("validator {node} reveals {height} where {expected} is next")
        })?;
        self.revealed_at.insert(node, height);
        Ok(())
    }

    pub(super) fn batch(&mut self, node: u16, batch: &Batch) -> Check {
        let (rollup, sequence) = (batch.rollup, batch.sequence);
        let expected = self.next.insert((node, rollup), sequence.saturating_add(1)).unwrap_or(0);
        ensure(sequence == expected, CONTIGUITY, || {
            format!("validator {node}, rollup {rollup}: batch {sequence} where {expected} is next")
        })?;
        let bytes = borsh::to_vec(batch).unwrap_or_default();
        let hash = Digest::new(Keccak256::digest(bytes).into());
        let agreed = *self.batches.entry((rollup, sequence)).or_insert(hash);
        ensure(agreed == hash, DETERMINISM, || format!("rollup {rollup}, batch {sequence}"))
    }

    /// A validator starts again from its disk: what it told is there, unless the disk lost something.
    pub(super) fn recovers(&mut self, node: u16, disk: &Disk, keeps: bool) -> Check {
        let tip = archive::tip(disk).ok().flatten();
        let (decided, revealed) =
            tip.map_or_else(Default::default, |tip| (tip.decided, tip.revealed));
        let told = (self.decided_at(node), self.revealed_at(node));
        ensure(!keeps || told == (decided, revealed), DURABLE, || {
            format!("validator {node} told {told:?} and has {decided}, {revealed} on its disk")
        })?;
        self.decided_at.insert(node, decided);
        self.revealed_at.insert(node, revealed);
        for (rollup, told) in self.next_batches(node) {
            let kept = archive::batches(disk, rollup, 0, usize::MAX).unwrap_or_default();
            let kept = u64::try_from(kept.len()).unwrap_or(u64::MAX);
            ensure(!keeps || kept == told, DURABLE, || {
                format!("validator {node}, rollup {rollup}: told {told} batches and has {kept}")
            })?;
            self.next.insert((node, rollup), kept);
        }
        Ok(())
    }
}
