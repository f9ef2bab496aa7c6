//! From a decided block to an opened, ordered one.
//!
//! ```text
//! decided ─▶ share job ─▶ own shares signed, stored, sent ─┐
//!                         shares of others ────────────────┼─▶ open job ─▶ order ─▶ batches ─▶ revealed
//!                         openings that somebody has ──────┘
//! ```
//!
//! Several heights may be on their way at once; they are revealed in order.
//!
//! **Invariants.** A share leaves only for a decided block, in the same commit as the decision or a
//! later one. Wrong shares are found by one pairing check a sender, recorded and left out; the honest
//! ones are enough.
//! **Bounds.** Shares of at most [`EARLY_MAX`] heights that are not decided here yet, one a validator.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use conclave_consensus::Silence;
use conclave_derivation::{Drawable, order};
use conclave_encryption::{SealedBlock, beacon};
use conclave_types::{
    Block, BlockHeader, BlockId, EncryptedBundle, G1Bytes, Height, HeightDelta, RevealedBlock,
    RevealedBundle, SignatureBytes, Time, ValidatorIndex,
};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};

use crate::{
    archive::{self, ArchiveRequest, StoredReveal},
    input::{Event, Peer, Penalty},
    job::{Job, OpenFailure, OpenFrom, OpenJob, OpenedBlock, ShareJob, SharedBlock, capsule_point},
    judge::shares_needed,
    message::{Message, ShareMessage},
    sequencer::Sequencer,
};

/// Others may decide a few heights before this node does; their shares are kept until it has caught up.
const EARLY_MAX: HeightDelta = HeightDelta::new(8);

struct Pending {
    header: BlockHeader,
    block: BlockId,
    bundles: Vec<Arc<EncryptedBundle>>,
    sealed: Option<Arc<SealedBlock>>,
    shares: BTreeMap<ValidatorIndex, Arc<ShareMessage>>,
    liars: BTreeSet<ValidatorIndex>,
    /// Openings that somebody sent, and who; none for those that came with the block itself.
    openings: Option<(Option<Peer>, Vec<G1Bytes>)>,
    /// Whether this node has asked for openings or shares.
    asked: bool,
    opening: bool,
    opened: Option<OpenedBlock>,
    since: Time,
}

/// Decided blocks that are not revealed yet.
#[derive(Default)]
pub(crate) struct Reveals {
    pending: BTreeMap<Height, Pending>,
    early: BTreeMap<(Height, ValidatorIndex), Arc<ShareMessage>>,
}

impl Reveals {
    /// The lowest heights that have been waiting since before `before`.
    pub(crate) fn stuck(&self, before: Time, limit: usize) -> Vec<Height> {
        let stuck = self.pending.iter().filter(|(_, p)| p.opened.is_none() && p.since <= before);
        stuck.map(|(height, _)| *height).take(limit).collect()
    }

    pub(crate) fn asked(&mut self, height: Height, now: Time) {
        if let Some(pending) = self.pending.get_mut(&height) {
            pending.since = now;
            pending.asked = true;
        }
    }
}

impl Sequencer {
    pub(crate) fn begin_reveal(
        &mut self,
        now: Time,
        block: &Block,
        bundles: Vec<Arc<EncryptedBundle>>,
        openings: Option<Vec<G1Bytes>>,
    ) {
        let height = block.header.height;
        let id = block.id();
        let capsule_points =
            bundles.iter().map(|bundle| capsule_point(bundle).unwrap_or_default()).collect();
        let secret = self.secret(openings.is_some());
        let job = ShareJob {
            key: Arc::clone(&self.context.key),
            height,
            block: id,
            capsule_points,
            secret,
        };
        self.ready.effects.jobs.push(Job::Share(job));
        let mut shares = BTreeMap::new();
        let later = self.reveals.early.split_off(&(height.next(), ValidatorIndex::default()));
        for ((at, validator), message) in std::mem::replace(&mut self.reveals.early, later) {
            if at == height && message.block == id {
                shares.insert(validator, message);
            }
        }
        let pending = Pending {
            header: block.header.clone(),
            block: id,
            bundles,
            sealed: None,
            shares,
            liars: BTreeSet::new(),
            openings: openings.map(|openings| (None, openings)),
            asked: false,
            opening: false,
            opened: None,
            since: now,
        };
        self.reveals.pending.insert(height, pending);
    }

    /// The secret share, if this validator has one and may use it. Sharing a decided block contradicts
    /// nothing, so gaps in the history of votes do not matter; a machine without any history stays
    /// silent altogether. A block that already has openings needs no more shares.
    fn secret(
        &self,
        has_openings: bool,
    ) -> Option<(ValidatorIndex, Arc<conclave_encryption::SecretShare>)> {
        let barred = matches!(self.engine.can_sign(), Err(Silence::NoKey | Silence::NotPermitted));
        if has_openings || barred {
            return None;
        }
        let (index, identity) = self.context.own.as_ref()?;
        identity.secret_share.as_ref().map(|share| (*index, Arc::clone(share)))
    }

    pub(crate) fn on_shared(&mut self, shared: SharedBlock) {
        let Some(pending) = self.reveals.pending.get_mut(&shared.height) else { return };
        let Some(sealed) = shared.sealed else {
            let height = shared.height;
            return self.halt(format!("decided block {height} holds a capsule that is no point"));
        };
        pending.sealed = Some(sealed);
        let Some(shares) = shared.shares else { return };
        let Some((validator, identity)) = &self.context.own else { return };
        let epoch = pending.header.epoch;
        let digest =
            ShareMessage::digest(&self.context.domain, epoch, shared.height, shared.block, &shares);
        let signature = identity.signing_key.sign(digest.as_bytes());
        let message = Arc::new(ShareMessage {
            epoch,
            height: shared.height,
            block: shared.block,
            validator: *validator,
            shares,
            signature: SignatureBytes::new(signature.to_bytes()),
        });
        pending.shares.insert(*validator, Arc::clone(&message));
        self.write(archive::put_own_shares(&message));
        self.broadcast(Message::Shares(message));
    }

    pub(crate) fn on_shares(&mut self, from: Peer, message: Arc<ShareMessage>) {
        let height = message.height;
        if height <= self.chain.revealed
            || height > self.chain.decided().saturating_add(EARLY_MAX)
            || message.epoch != self.context.epoch
        {
            return;
        }
        if let Some(pending) = self.reveals.pending.get(&height) {
            let known = pending.opened.is_some()
                || pending.shares.contains_key(&message.validator)
                || pending.liars.contains(&message.validator);
            if known || pending.block != message.block {
                return;
            }
        } else if self.reveals.early.contains_key(&(height, message.validator)) {
            return;
        }
        if !self.is_signed(&message) {
            return self.penalise(from, Penalty::Invalid("shares with a bad signature"));
        }
        match self.reveals.pending.get_mut(&height) {
            Some(pending) => {
                pending.shares.insert(message.validator, message);
            }
            None => {
                self.reveals.early.insert((height, message.validator), message);
            }
        }
    }

    fn is_signed(&self, message: &ShareMessage) -> bool {
        let ShareMessage { epoch, height, block, validator, shares, signature } = message;
        let most = self.context.genesis.params.limits.block_bundles_max as usize;
        if shares.len() > most.saturating_add(1) {
            return false;
        }
        let Some(member) = self.context.committee.get(*validator) else { return false };
        let digest = ShareMessage::digest(&self.context.domain, *epoch, *height, *block, shares);
        VerifyingKey::from_bytes(member.consensus_key.as_bytes()).is_ok_and(|key| {
            let signature = Signature::from_bytes(signature.as_bytes());
            key.verify_strict(digest.as_bytes(), &signature).is_ok()
        })
    }

    pub(crate) fn on_openings(
        &mut self,
        from: Peer,
        height: Height,
        block: BlockId,
        openings: Vec<G1Bytes>,
    ) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        let wanted = pending.asked && pending.openings.is_none() && pending.opened.is_none();
        if pending.block != block || !wanted {
            return;
        }
        if openings.len() != pending.bundles.len().saturating_add(1) {
            return self.penalise(from, Penalty::Invalid("openings of the wrong number"));
        }
        pending.openings = Some((Some(from), openings));
    }

    pub(crate) fn on_want_openings(&mut self, from: Peer, height: Height) {
        let own = self.context.own_index();
        let pending = self.reveals.pending.get(&height);
        let shares = pending.and_then(|p| own.and_then(|own| p.shares.get(&own)));
        match shares {
            Some(shares) => self.send(from, Message::Shares(Arc::clone(shares))),
            None if height <= self.chain.revealed => {
                self.ready.effects.serve.push((from, ArchiveRequest::Openings { height }));
            }
            None => {}
        }
    }

    /// Starts what can be started, and reveals what is next in order.
    pub(crate) fn advance_reveals(&mut self) {
        let needed = shares_needed(&self.context.key.packing());
        let ready: Vec<Height> = self
            .reveals
            .pending
            .iter()
            .filter(|(_, p)| p.sealed.is_some() && !p.opening && p.opened.is_none())
            .filter(|(_, p)| p.openings.is_some() || p.shares.len() >= needed)
            .map(|(height, _)| *height)
            .collect();
        for height in ready {
            self.start_opening(height, needed);
        }
        while let Some(pending) = self.reveals.pending.first_entry() {
            if *pending.key() != self.chain.revealed.next() || pending.get().opened.is_none() {
                break;
            }
            let (height, pending) = pending.remove_entry();
            self.finish_reveal(height, pending);
        }
    }

    fn start_opening(&mut self, height: Height, needed: usize) {
        let seed = self.context.next_seed();
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        let Some(sealed) = &pending.sealed else { return };
        let count = sealed.share_count();
        let misfits: Vec<_> = pending
            .shares
            .iter()
            .filter(|(_, m)| m.shares.len() != count)
            .map(|(v, _)| *v)
            .collect();
        for validator in misfits {
            if let Some(message) = pending.shares.remove(&validator) {
                self.ready.writes.push(archive::put_wrong_shares(&message));
            }
            pending.liars.insert(validator);
        }
        // Shares name their sender and cannot be wrong unnoticed, so they go before openings.
        let from = match &pending.openings {
            _ if pending.shares.len() >= needed => {
                OpenFrom::Shares(pending.shares.values().take(needed).cloned().collect())
            }
            Some((_, openings)) => OpenFrom::Openings(openings.clone()),
            None => return,
        };
        pending.opening = true;
        let job = OpenJob {
            height,
            block: pending.block,
            sealed: Arc::clone(sealed),
            from,
            bundles: pending.bundles.clone(),
            rollups: Arc::clone(&self.context.rollups),
            seed,
        };
        self.ready.effects.jobs.push(Job::Open(job));
    }

    pub(crate) fn on_opened(
        &mut self,
        height: Height,
        block: BlockId,
        result: Result<OpenedBlock, OpenFailure>,
    ) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        if pending.block != block {
            return;
        }
        pending.opening = false;
        match result {
            Ok(opened) => pending.opened = Some(opened),
            Err(OpenFailure::WrongOpenings) => {
                if let Some((Some(liar), _)) = pending.openings.take() {
                    self.penalise(liar, Penalty::Invalid("openings that open nothing"));
                }
                self.share_after_all(height);
            }
            Err(OpenFailure::WrongShares(liars)) => {
                if liars.is_empty() {
                    let why = format!("height {height}: right shares give wrong openings");
                    return self.halt(why);
                }
                for validator in liars {
                    pending.liars.insert(validator);
                    if let Some(message) = pending.shares.remove(&validator) {
                        self.ready.writes.push(archive::put_wrong_shares(&message));
                    }
                    self.ready.effects.events.push(Event::WrongShares { height, validator });
                }
            }
            Err(OpenFailure::Combine(error)) => {
                self.halt(format!("height {height}: shares cannot be combined: {error}"));
            }
        }
    }

    /// The reveal is stuck, or openings that were promised are wrong: this validator's shares are needed,
    /// if it has not given them.
    pub(crate) fn share_after_all(&mut self, height: Height) {
        let secret = self.secret(false);
        let Some(pending) = self.reveals.pending.get(&height) else { return };
        let own = self.context.own_index();
        if secret.is_none() || own.is_some_and(|own| pending.shares.contains_key(&own)) {
            return;
        }
        let points = pending.bundles.iter().map(|bundle| capsule_point(bundle).unwrap_or_default());
        let job = ShareJob {
            key: Arc::clone(&self.context.key),
            height,
            block: pending.block,
            capsule_points: points.collect(),
            secret,
        };
        self.ready.effects.jobs.push(Job::Share(job));
    }

    fn finish_reveal(&mut self, height: Height, pending: Pending) {
        let Some(opened) = pending.opened else { return };
        let block = reveal(&pending.header, pending.block, &pending.bundles, &opened);
        let batches = self.chain.cursors.batches(&block);
        let digest = block.digest(&self.chain.digest());
        self.chain.set_revealed(height, digest);
        let stored = StoredReveal {
            block: pending.block,
            openings: opened.openings,
            beacon: block.beacon,
            digest,
            share_validators: opened.share_validators,
        };
        self.write(archive::put_reveal(height, &stored));
        self.write(archive::put_revealed(&block));
        for batch in &batches {
            self.write(archive::put_batch(batch));
            let cursor = self.chain.cursors.get(batch.rollup);
            self.write(archive::put_cursor(batch.rollup, &cursor));
        }
        self.write(archive::put_tip(&self.chain.tip()));
        self.candidates.changed();
        self.proposer.pool_changed();
        self.event(Event::Revealed { block, batches, digest });
    }
}

/// The revealed block that follows from a decided block and its openings. A pure function: every node
/// and every auditor gets the same.
#[must_use]
pub fn reveal(
    header: &BlockHeader,
    block: BlockId,
    bundles: &[Arc<EncryptedBundle>],
    opened: &OpenedBlock,
) -> RevealedBlock {
    let beacon = opened.openings.first().map(beacon).unwrap_or_default();
    let ids: Vec<_> = bundles.iter().map(|bundle| bundle.id()).collect();
    let drawables: Vec<Drawable> = bundles
        .iter()
        .zip(&ids)
        .map(|(bundle, id)| Drawable {
            id: *id,
            payer: bundle.header.payer,
            nonce: bundle.header.nonce,
        })
        .collect();
    let places = order(&beacon, &drawables);
    let bundles = places
        .into_iter()
        .filter_map(|drawn| {
            let drawable = drawables.get(drawn.index)?;
            Some(RevealedBundle {
                id: drawable.id,
                payer: drawable.payer,
                draw: drawn.draw,
                outcome: opened.outcomes.get(drawn.index)?.clone(),
            })
        })
        .collect();
    RevealedBlock {
        height: header.height,
        block,
        time: header.time,
        epoch: header.epoch,
        l1_origin: header.l1_origin,
        beacon,
        bundles,
    }
}
