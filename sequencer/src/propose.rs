//! Building a block when it is this validator's turn.
//!
//! The proposer does not answer at once: it waits for the block interval to pass, and, while there is
//! nothing to order, for the idle interval. What has waited longest goes in first (half the inclusion
//! delay is enough), so that an honest proposer never runs into the inclusion rule.

use std::{sync::Arc, time::Duration};

use conclave_mempool::Target;
use conclave_types::{
    Block, BlockBody, BlockHeader, BlockId, BundleId, Height, Round, SharingMessage, Time,
};

use crate::{
    archive::{self, StoredCandidate},
    l1::FromL1,
    message::Message,
    sequencer::Sequencer,
};

/// What the engine waits for, and since when.
#[derive(Debug, Default)]
pub(crate) struct Proposer {
    wanted: Option<Wanted>,
    /// When the newest block was decided, by this node's clock.
    decided_at: Time,
    pool_changed: bool,
    wake_at: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    height: Height,
    round: Round,
}

impl Proposer {
    pub(crate) const fn wake_at(&self) -> Option<Time> {
        self.wake_at
    }

    pub(crate) fn round_started(&mut self) {
        self.wanted = None;
        self.wake_at = None;
    }

    pub(crate) fn decided(&mut self, now: Time) {
        self.decided_at = now;
        self.round_started();
    }

    /// A bundle came in: an idle proposer need not wait any longer.
    pub(crate) const fn pool_changed(&mut self) {
        self.pool_changed = true;
    }
}

impl Sequencer {
    pub(crate) fn need_proposal(&mut self, now: Time, height: Height, round: Round) {
        self.proposer.wanted = Some(Wanted { height, round });
        self.proposer.pool_changed = true;
        self.try_propose(now);
    }

    pub(crate) fn try_propose(&mut self, now: Time) {
        let Some(wanted) = self.proposer.wanted else { return };
        if wanted.height != self.chain.next() {
            return;
        }
        if let Some(block) = self.candidates.own(wanted.height, wanted.round) {
            return self.publish(now, wanted, block);
        }
        // A block may not go back behind what its parent builds on: first reveal that far.
        if self.chain.revealed < self.chain.parent.revealed_height {
            return self.ask_for_openings(now, self.chain.parent.revealed_height);
        }
        let Some((sharing, bundles)) = self.content_if_due(now, wanted.round) else { return };
        let block = Arc::new(self.build(now, wanted.round, sharing, bundles));
        self.publish(now, wanted, block);
    }

    /// What to propose, if it is time: after the block interval with bundles, after the idle interval
    /// without, at once in a later round. Choosing costs something, so it is done only when the pool
    /// has changed since the last time.
    fn content_if_due(
        &mut self,
        now: Time,
        round: Round,
    ) -> Option<(Vec<SharingMessage>, Vec<BundleId>)> {
        if round > Round::ZERO {
            return Some((self.choose_sharing(), self.choose_bundles(now)));
        }
        let timing = &self.context.genesis.params.timing;
        let busy_at =
            self.proposer.decided_at.after(Duration::from_millis(timing.block_interval_ms));
        let idle_at =
            self.proposer.decided_at.after(Duration::from_millis(timing.idle_interval_ms));
        if now < busy_at {
            self.proposer.wake_at = Some(busy_at);
            return None;
        }
        // A key in the making is waited for: heights are its clock. But a network that has just been started
        // has not found itself yet, and a proposal that few get costs a round.
        let has_begun = self.chain.decided() > Height::ZERO;
        let hurries = has_begun && self.chain.keys.is_busy(self.chain.next());
        self.proposer.wake_at = Some(idle_at);
        if now < idle_at && !self.proposer.pool_changed && !hurries {
            return None;
        }
        self.proposer.pool_changed = false;
        let (sharing, bundles) = (self.choose_sharing(), self.choose_bundles(now));
        let waits = !bundles.is_empty() || has_begun && !sharing.is_empty();
        let is_due = now >= idle_at || hurries || waits;
        is_due.then_some((sharing, bundles))
    }

    fn choose_bundles(&self, now: Time) -> Vec<BundleId> {
        let params = &self.context.genesis.params;
        let next = self.chain.next();
        if !self.chain.keys.takes_bundles(next)
            || next.above(self.chain.revealed) > params.limits.reveal_lag_max
        {
            return Vec::new();
        }
        let patience = params.timing.inclusion_delay(0) / 2;
        let target = self.next_target();
        let urgent = self.pool.overdue(now, patience, &self.chain.ledger, &target);
        self.pool.select_after(&urgent, &self.chain.ledger, &target)
    }

    /// The next block, as far as bundles are concerned.
    pub(crate) fn next_target(&self) -> Target {
        let height = self.chain.next();
        Target { height, key: self.chain.keys.id_at(height) }
    }

    fn build(
        &mut self,
        now: Time,
        round: Round,
        sharing: Vec<SharingMessage>,
        bundles: Vec<BundleId>,
    ) -> Block {
        let FromL1 { origin, entries, offers } = self.l1.propose(now, self.chain.next(), round);
        let parent = &self.chain.parent;
        let parent_certificate = self.chain.certificate.clone();
        let next_key = self.chain.keys.next_key_id(self.chain.next());
        let body = BlockBody {
            parent_certificate,
            l1_entries: entries,
            offers,
            sharing,
            next_key,
            bundles,
        };
        let next_instant = parent.time.after(Duration::from_micros(1));
        let header = BlockHeader {
            network: self.context.network,
            height: self.chain.next(),
            parent: parent.block,
            parent_certificate: body.parent_certificate_digest(),
            proposer: self.own_at(self.chain.next()).unwrap_or_default(),
            time: now.max(next_instant),
            epoch: self.chain.keys.epochs().at(self.chain.next()),
            l1_origin: origin,
            l1_entries_root: body.l1_entries_root(),
            key_id: self.chain.keys.id_at(self.chain.next()),
            sharing_root: body.sharing_root(),
            bundle_root: body.bundle_root(),
            bundle_count: u32::try_from(body.bundles.len()).unwrap_or(u32::MAX),
            revealed_height: self.chain.revealed,
            reveal_digest: self.chain.digest(),
            ledger_digest: self.chain.ledger.digest(),
        };
        Block { header, body }
    }

    /// Stores the block with its bundles, shows it to everyone and hands its id to the engine.
    fn publish(&mut self, now: Time, wanted: Wanted, block: Arc<Block>) {
        self.proposer.wanted = None;
        self.proposer.wake_at = None;
        let id = block.id();
        let known = self.candidates.whole(wanted.height, &id).map(|(_, bundles)| bundles);
        let from_pool = || block.body.bundles.iter().map(|id| self.pool.get(id).cloned()).collect();
        let Some(bundles) = known.or_else(from_pool) else { return };
        let stored = StoredCandidate { block: (*block).clone(), round: wanted.round };
        self.write(archive::put_candidate(&stored));
        for (id, bundle) in block.body.bundles.iter().zip(&bundles) {
            self.write(archive::put_bundle(id, bundle));
        }
        self.share_ahead(&block, id, &bundles);
        self.candidates.insert_own(wanted.round, Arc::clone(&block), bundles);
        self.broadcast(Message::Block(block));
        let outputs = self.engine.propose(now, wanted.height, wanted.round, id);
        self.absorb(now, outputs);
    }

    /// The engine proposes a block again, in a later round: show it to those who missed it.
    pub(crate) fn repropose(&mut self, height: Height, id: BlockId) {
        if let Some(block) = self.candidates.block(height, &id) {
            self.broadcast(Message::Block(block));
        }
    }
}
