//! Shares of a block that may be decided, computed while the votes on it are under way.
//!
//! ```text
//!  valid ─▶ share job ─▶ kept here, unsigned ─┬─ decided ─▶ signed, stored and sent with the decision
//!                                             └─ another block, or none in that round ─▶ forgotten
//! ```
//!
//! A share costs a multiplication for each bundle, as long as several messages take. What is computed before the
//! decision is not waited for after it. Nor is what checks of openings need beside the openings.
//!
//! **Invariants.** What is here is signed by nobody and stored nowhere: it leaves through [`Sequencer::on_shared`] alone,
//! which asks for the decision. An epoch's key is fixed before its first block is valid, so the key cannot have changed since.
//! **Bounds.** [`BLOCKS_MAX`] blocks of one height: a proposer who shows many makes nobody work for all of them.

use std::{collections::BTreeMap, sync::Arc};

use conclave_encryption::{Encapsulation, PublicKey};
use conclave_types::{Block, BlockId, BundleId, EncryptedBundle, Height};

use crate::{
    job::{Job, ShareJob, SharedBlock, encapsulation},
    keys::EpochKey,
    reveal::parts::Cut,
    sequencer::Sequencer,
};

/// The block of round 0 as a rule, and one more if that round fails.
const BLOCKS_MAX: usize = 2;

/// A block whose shares are, or will be, here before it is decided.
pub(super) struct Ahead {
    key: Arc<PublicKey>,
    /// None while the job runs.
    shared: Option<SharedBlock>,
}

/// What is known of a decided block's shares.
pub(super) enum Share {
    /// Nothing: they are to be computed.
    Unasked,
    /// They are being computed.
    Asked,
    /// They are here.
    Ready(SharedBlock),
}

/// Blocks of the next height whose shares are computed ahead.
#[derive(Default)]
pub(super) struct AheadBlocks {
    blocks: BTreeMap<(Height, BlockId), Ahead>,
}

impl AheadBlocks {
    /// Whether shares are being computed.
    pub(super) fn is_busy(&self) -> bool {
        self.blocks.values().any(|ahead| ahead.shared.is_none())
    }

    fn has_room_for(&self, block: (Height, BlockId)) -> bool {
        !self.blocks.contains_key(&block)
            && self.blocks.keys().filter(|(height, _)| *height == block.0).count() < BLOCKS_MAX
    }

    /// Whether a block's shares are to be computed, which the caller then sees to.
    pub(super) fn insert(&mut self, block: (Height, BlockId), key: Arc<PublicKey>) -> bool {
        let has_room = self.has_room_for(block);
        if has_room {
            self.blocks.insert(block, Ahead { key, shared: None });
        }
        has_room
    }

    /// Keeps what a job found of a block that is not decided, if it was asked for.
    pub(super) fn done(&mut self, shared: SharedBlock) {
        if let Some(ahead) = self.blocks.get_mut(&(shared.height, shared.block)) {
            ahead.shared = Some(shared);
        }
    }

    /// A block was decided: what is known of it under this key. The rest, at or below its height, is forgotten.
    pub(super) fn decided(&mut self, height: Height, id: BlockId, key: &Arc<PublicKey>) -> Share {
        let ahead = self.blocks.remove(&(height, id));
        self.blocks = self.blocks.split_off(&(height.next(), BlockId::ZERO));
        match ahead {
            Some(ahead) if Arc::ptr_eq(&ahead.key, key) => {
                ahead.shared.map_or(Share::Asked, Share::Ready)
            }
            Some(_) | None => Share::Unasked,
        }
    }
}

impl Sequencer {
    /// Has this validator's shares of a block computed that was found valid and may be decided.
    pub(crate) fn share_ahead(
        &mut self,
        block: &Block,
        id: BlockId,
        bundles: &[Arc<EncryptedBundle>],
    ) {
        let Block { header, body } = block;
        let height = header.height;
        let Some(EpochKey { key, members, .. }) = self.chain.keys.at(height).cloned() else {
            return;
        };
        let Some(secrets) = self.secrets(header.epoch, &members, false) else { return };
        if !self.reveals.ahead.insert((height, id), Arc::clone(&key)) {
            return;
        }
        let encapsulations = self.encapsulations(&body.bundles, bundles);
        let known = self.reveals.alone.known(header.epoch, &key, &body.bundles);
        let secrets = Some(secrets);
        let openings = bundles.len().saturating_add(1);
        let cut = Cut::new(openings, &key.packing(), members.committee().count());
        let expect = Some((cut.worth_expecting(), self.context.next_seed()));
        let block = id;
        let job = ShareJob { key, height, block, encapsulations, secrets, known, expect };
        self.ask(Job::Share(job));
    }

    /// What the openings of a block's bundles are about: u of those that the pool holds was checked when they were admitted.
    pub(super) fn encapsulations(
        &self,
        ids: &[BundleId],
        bundles: &[Arc<EncryptedBundle>],
    ) -> Vec<Encapsulation> {
        let pairs = ids.iter().zip(bundles);
        pairs
            .map(|(id, it)| self.pool.encapsulation(id).unwrap_or_else(|| encapsulation(it)))
            .collect()
    }
}
