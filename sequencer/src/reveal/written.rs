//! What a block was found to contain, in its order: derived, written, told.

use std::sync::Arc;

use conclave_derivation::{Drawable, Sources, order};
use conclave_encryption::beacon;
use conclave_types::{
    Block, BlockHeader, BlockId, BundleId, EncryptedBundle, Opening, OutcomeHashes, RevealedBlock,
    RevealedBundle, Time, ValidatorIndex, Withdrawal,
};

use super::Pending;
use crate::{
    archive::{self, StoredReveal},
    input::Event,
    job::OpenedBlock,
    l1::Carried,
    sequencer::Sequencer,
};

impl Sequencer {
    /// A block of an epoch without a key: there is nothing to open, and no beacon. What L1 asks for is
    /// carried all the same.
    pub(super) fn reveal_unsealed(&mut self, block: &Block, carried: &Carried) {
        let height = block.header.height;
        if height != self.chain.revealed.next() {
            return self.halt(format!("height {height} has no key, and one before it is sealed"));
        }
        let opened = OpenedBlock::new(Vec::new(), Vec::new());
        let revealed = reveal((&block.header, block.id()), carried, &[], &[], opened);
        self.write_reveal(revealed, &carried.withdrawals, Vec::new(), Vec::new());
    }

    pub(super) fn finish_reveal(&mut self, now: Time, pending: Pending) {
        let Pending {
            header,
            block: id,
            ids,
            bundles,
            carried,
            combined_from,
            opened,
            decided,
            ..
        } = pending;
        self.reveals.close.opened(now, header.height, decided);
        let Some(opened) = opened else { return };
        let openings = opened.openings.clone();
        let revealed = reveal((&header, id), &carried, &ids, &bundles, opened);
        self.write_reveal(revealed, &carried.withdrawals, openings, combined_from);
    }

    fn write_reveal(
        &mut self,
        (block, hashes): (RevealedBlock, Vec<OutcomeHashes>),
        withdrawals: &[Withdrawal],
        openings: Vec<Opening>,
        share_validators: Vec<ValidatorIndex>,
    ) {
        let height = block.height;
        let batches = self.chain.cursors.batches(&block);
        let digest = block.digest_of(&self.chain.digest(), &hashes);
        self.chain.set_revealed(height, digest);
        let stored = StoredReveal {
            block: block.block,
            openings,
            beacon: block.beacon,
            digest,
            share_validators,
        };
        self.write(archive::put_reveal(height, &stored));
        self.write(archive::put_revealed(&block));
        for batch in &batches {
            self.write(archive::put_batch(batch));
            let cursor = self.chain.cursors.get(batch.rollup);
            self.write(archive::put_cursor(batch.rollup, &cursor));
        }
        self.commit_to(&Sources::with(&block, hashes), &block, &batches, withdrawals);
        self.write(archive::put_tip(&self.chain.tip()));
        let oldest = self.settlement.oldest().unwrap_or(height);
        let over = self.chain.keys.forget(height, oldest);
        self.erase_epochs(&over);
        self.candidates.changed();
        self.proposer.pool_changed();
        self.event(Event::Revealed { block, batches, digest });
    }
}

/// The revealed block that follows from a decided block (header and id), what it carries of L1, its bundles
/// with their ids, and its openings; with what is hashed of its outcomes.
/// A pure function: every node and every auditor gets the same.
#[must_use]
pub fn reveal(
    (header, block): (&BlockHeader, BlockId),
    carried: &Carried,
    ids: &[BundleId],
    bundles: &[Arc<EncryptedBundle>],
    opened: OpenedBlock,
) -> (RevealedBlock, Vec<OutcomeHashes>) {
    let beacon = opened.openings.first().map(beacon).unwrap_or_default();
    let mut outcomes: Vec<_> = opened.into_outcomes().map(Some).collect();
    let drawables: Vec<Drawable> = bundles
        .iter()
        .zip(ids)
        .map(|(bundle, id)| Drawable {
            id: *id,
            payer: bundle.header.payer,
            nonce: bundle.header.nonce,
        })
        .collect();
    let places = order(&beacon, &drawables);
    let (bundles, hashes) = places
        .into_iter()
        .filter_map(|drawn| {
            let Drawable { id, payer, .. } = *drawables.get(drawn.index)?;
            let (outcome, hashes) = outcomes.get_mut(drawn.index)?.take()?;
            Some((RevealedBundle { id, payer, draw: drawn.draw, outcome }, hashes))
        })
        .unzip();
    let block = RevealedBlock {
        height: header.height,
        block,
        time: header.time,
        epoch: header.epoch,
        l1_origin: header.l1_origin,
        forced_cursor: carried.cursor,
        beacon,
        forced: carried.forced.clone(),
        bundles,
    };
    (block, hashes)
}
