//! From a decided block to an opened, ordered one.
//!
//! ```text
//! admitted ─▶ lone shares, where ℓ = 1
//! valid ─▶ share job, ahead of the decision
//! decided ─▶ own shares signed, stored, sent ──────────────┬─▶ combine jobs ─▶ parts, shown to all ─┐
//!                         shares of others ────────────────┘   parts of others ─▶ check jobs ───────┼─▶ open job ─▶ order ─▶ revealed
//!                                                              openings that somebody has ──────────┘
//! ```
//!
//! Several heights may be on their way at once; they are revealed in order. Who combines what is in
//! [`parts`], what is computed before the decision in [`alone`] and [`ahead`]; what others send in [`shares`] and [`shown`],
//! how long others are waited for in [`grace`], what makes way for that in [`close`],
//! and what becomes of an open block in [`written`].
//!
//! **Invariants.** A share leaves only for a decided block, in the same commit as the decision or a
//! later one. Who signs shares of another block than is decided is evidence. Wrong shares are found by one pairing check a sender, recorded and left out; the honest
//! ones are enough. A part is shown only after it was checked: nobody honest shows a wrong one.
//! **Bounds.** Shares of at most [`EARLY_MAX`] heights that are not decided here yet, one a validator;
//! parts of at most [`EARLY_PARTS_MAX`], as many openings a validator as a block can have.

mod ahead;
mod alone;
mod close;
mod grace;
mod parts;
mod shares;
mod shown;
mod written;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use conclave_encryption::{PublicKey, SealedBlock};
use conclave_types::{
    Block, BlockHeader, BlockId, BundleId, EncryptedBundle, Epoch, Height, HeightDelta, Opening,
    SignatureBytes, Time, ValidatorIndex,
};
use ed25519_dalek::Signer as _;

use crate::{
    archive,
    input::{Peer, Penalty},
    job::{
        CheckPartsJob, CombineFailure, CombineJob, CombinedPart, Job, OpenJob, OpenedBlock,
        ShareJob, SharedBlock, WrongOpenings,
    },
    judge::shares_needed,
    keys::{EpochKey, Members},
    l1::Carried,
    message::{Message, PartialOpening, ShareMessage},
    sequencer::Sequencer,
};

#[cfg(test)]
pub(crate) use self::close::SOON;
use self::{
    ahead::{AheadBlocks, Share},
    alone::Alone,
    close::Close,
    grace::Grace,
    parts::{Cut, Parts},
};
pub use self::{parts::Source, written::reveal};

/// Others may decide a few heights before this node does; their shares are kept until it has caught up.
const EARLY_MAX: HeightDelta = HeightDelta::new(8);
/// Parts are of use for a moment only: whoever is further behind asks for openings.
const EARLY_PARTS_MAX: HeightDelta = HeightDelta::new(2);

/// One job at a time works on a block's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Combining,
    Checking,
}

struct Pending {
    key: Arc<PublicKey>,
    members: Arc<Members>,
    header: BlockHeader,
    block: BlockId,
    ids: Vec<BundleId>,
    bundles: Vec<Arc<EncryptedBundle>>,
    sealed: Option<Arc<SealedBlock>>,
    shares: BTreeMap<ValidatorIndex, Arc<ShareMessage>>,
    liars: BTreeSet<ValidatorIndex>,
    /// Who has signed shares of another block of this height.
    strays: BTreeSet<ValidatorIndex>,
    carried: Carried,
    parts: Parts,
    /// How long others are waited for, who begin with the parts that are missing.
    grace: Grace,
    /// Whose shares gave the parts that were combined here.
    combined_from: Vec<ValidatorIndex>,
    /// Whether this node has asked for openings or shares.
    asked: bool,
    /// What a job is doing about parts.
    work: Option<Work>,
    opening: bool,
    opened: Option<OpenedBlock>,
    decided: Time,
    since: Time,
}

/// Decided blocks that are not revealed yet.
#[derive(Default)]
pub(crate) struct Reveals {
    pending: BTreeMap<Height, Pending>,
    early: BTreeMap<(Height, ValidatorIndex), Arc<ShareMessage>>,
    early_parts: BTreeMap<(Height, ValidatorIndex), Vec<Arc<PartialOpening>>>,
    ahead: AheadBlocks,
    alone: Alone,
    close: Close,
}

impl Reveals {
    /// Whether a job is under way for a block that is voted on or opened: everybody waits for its shares, and then for
    /// its openings. And whether one is to be expected at once, here or at others ([`close`]).
    fn is_busy(&self, now: Time, certified: Height) -> bool {
        let has_job = |pending: &Pending| {
            pending.sealed.is_none()
                || pending.work.is_some()
                || pending.opening && pending.opened.is_none()
                || pending.opened.is_none() && self.close.is_next_due(now, pending.decided)
        };
        self.ahead.is_busy()
            || self.pending.values().any(has_job)
            || self.close.others_open(now, certified)
    }

    /// When somebody has been waited for long enough.
    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.pending.values().filter_map(|pending| pending.grace.until()).min()
    }

    /// The lowest heights that have been waiting since before `before`.
    pub(crate) fn stuck(&self, before: Time, limit: usize) -> Vec<Height> {
        let stuck = self.pending.iter().filter(|(_, p)| p.opened.is_none() && p.since <= before);
        stuck.map(|(height, _)| *height).take(limit).collect()
    }

    /// The secrets of these epochs are erased: what was computed from them goes, too.
    pub(crate) fn erase_epochs(&mut self, over: &[Epoch]) {
        self.alone.erase(over);
    }

    pub(crate) fn asked(&mut self, height: Height, now: Time) {
        if let Some(pending) = self.pending.get_mut(&height) {
            pending.since = now;
            pending.asked = true;
        }
    }
}

impl Sequencer {
    /// Whether the cores are a block's: what can wait makes way.
    pub(crate) fn is_opening(&self, now: Time) -> bool {
        self.reveals.is_busy(now, self.settlement.certified())
    }

    pub(crate) fn begin_reveal(
        &mut self,
        now: Time,
        block: &Block,
        carried: Carried,
        bundles: Vec<Arc<EncryptedBundle>>,
        openings: Option<Vec<Opening>>,
    ) {
        let height = block.header.height;
        let id = block.id();
        let Some(EpochKey { key, members, .. }) = self.chain.keys.at(height).cloned() else {
            return self.reveal_unsealed(block, &carried);
        };
        let ahead = self.reveals.ahead.decided(height, id, &key);
        if matches!(ahead, Share::Unasked) {
            let encapsulations = self.encapsulations(&block.body.bundles, &bundles);
            let secrets = self.secrets(block.header.epoch, &members, openings.is_some());
            let known = self.reveals.alone.known(block.header.epoch, &key, &block.body.bundles);
            let key = Arc::clone(&key);
            let expect = None;
            let job = ShareJob { key, height, block: id, encapsulations, secrets, known, expect };
            self.ask(Job::Share(job));
        }
        self.reveals.alone.decided(&block.body.bundles);
        let (mut shares, mut strays) = (BTreeMap::new(), BTreeSet::new());
        let later = self.reveals.early.split_off(&(height.next(), ValidatorIndex::default()));
        for ((at, validator), message) in std::mem::replace(&mut self.reveals.early, later) {
            if at == height && message.block == id {
                shares.insert(validator, message);
            } else if at == height {
                strays.insert(validator);
                self.keep_stray_shares(&message);
            }
        }
        let opening_count = bundles.len().saturating_add(1);
        let mut parts =
            Parts::new(Cut::new(opening_count, &key.packing(), members.committee().count()));
        if let Some(openings) = openings {
            parts.take_whole(Source::Block, &openings);
        }
        let pending = Pending {
            key,
            members,
            header: block.header.clone(),
            block: id,
            ids: block.body.bundles.clone(),
            bundles,
            sealed: None,
            shares,
            liars: BTreeSet::new(),
            strays,
            carried,
            parts,
            grace: Grace::default(),
            combined_from: Vec::new(),
            asked: false,
            work: None,
            opening: false,
            opened: None,
            decided: now,
            since: now,
        };
        self.reveals.pending.insert(height, pending);
        if let Share::Ready(shared) = ahead {
            self.on_shared(shared);
        }
        let later = self.reveals.early_parts.split_off(&(height.next(), ValidatorIndex::default()));
        for ((at, validator), parts) in std::mem::replace(&mut self.reveals.early_parts, later) {
            for part in parts.into_iter().filter(|_| at == height) {
                self.on_part(Peer::Validator(validator), part);
            }
        }
    }

    pub(crate) fn on_shared(&mut self, shared: SharedBlock) {
        let Some(pending) = self.reveals.pending.get_mut(&shared.height) else {
            return self.reveals.ahead.done(shared);
        };
        if pending.block != shared.block {
            return;
        }
        let Some(sealed) = shared.sealed else {
            let height = shared.height;
            return self.halt(format!("decided block {height} holds a capsule that is no point"));
        };
        pending.sealed = Some(sealed);
        let Some(shares) = shared.shares else { return };
        let own = self.context.own_in(pending.members.committee());
        let Some((validator, identity)) = own.zip(self.context.identity.as_ref()) else { return };
        let epoch = pending.header.epoch;
        let digest =
            ShareMessage::digest(&self.context.domain, epoch, shared.height, shared.block, &shares);
        let signature = identity.signing_key.sign(digest.as_bytes());
        let message = Arc::new(ShareMessage {
            epoch,
            height: shared.height,
            block: shared.block,
            validator,
            shares,
            signature: SignatureBytes::new(signature.to_bytes()),
        });
        pending.shares.insert(validator, Arc::clone(&message));
        self.write(archive::put_own_shares(&message));
        self.broadcast(Message::Shares(message));
    }

    /// Starts what can be started, and reveals what is next in order.
    pub(crate) fn advance_reveals(&mut self, now: Time) {
        self.reveals.pending.values_mut().for_each(|pending| pending.grace.expire(now));
        let waits =
            |(_, p): &(&Height, &Pending)| p.sealed.is_some() && !p.opening && p.opened.is_none();
        let ready: Vec<Height> =
            self.reveals.pending.iter().filter(waits).map(|(height, _)| *height).collect();
        for height in ready {
            self.start_opening(height);
            self.start_checking(height);
            self.start_combining(now, height);
        }
        while let Some(pending) = self.reveals.pending.first_entry() {
            if *pending.key() != self.chain.revealed.next() || pending.get().opened.is_none() {
                break;
            }
            let (_, pending) = pending.remove_entry();
            self.finish_reveal(now, pending);
        }
    }

    /// Opens a block whose parts are all there: what came from others is checked, the bundles are decrypted.
    fn start_opening(&mut self, height: Height) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        let (Some(sealed), Some(openings)) = (&pending.sealed, pending.parts.whole()) else {
            return;
        };
        if pending.work == Some(Work::Checking) {
            return;
        }
        let cut = pending.parts.cut();
        let ranges =
            |parts: Vec<usize>| parts.into_iter().map(|part| cut.sub_batches(part)).collect();
        let unchecked = pending.parts.unchecked();
        let unchecked =
            unchecked.into_iter().map(|(source, parts)| (source, ranges(parts))).collect();
        pending.opening = true;
        let job = OpenJob {
            height,
            block: pending.block,
            sealed: Arc::clone(sealed),
            openings,
            unchecked,
            ids: pending.ids.clone(),
            bundles: pending.bundles.clone(),
            rollups: Arc::clone(&self.context.rollups),
            seed: self.context.next_seed(),
        };
        self.ask(Job::Open(job));
    }

    /// Checks what others have shown, while parts are missing: who has nothing of its own to open does that before it
    /// opens what others are about to show.
    fn start_checking(&mut self, height: Height) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        let Some(sealed) = &pending.sealed else { return };
        let committee = pending.members.committee();
        let own = self.context.own_place(committee);
        let owes = own.is_some_and(|own| pending.parts.owes(own, committee.count()));
        let held = pending.members.points_of(pending.shares.keys());
        let can_combine = held >= shares_needed(&pending.key.packing());
        if pending.work.is_some() || pending.opening || owes && can_combine {
            return;
        }
        let shown = pending.parts.shown();
        if shown.is_empty() {
            return;
        }
        pending.work = Some(Work::Checking);
        let (block, sealed) = (pending.block, Arc::clone(sealed));
        let seed = self.context.next_seed();
        self.ask(Job::CheckParts(CheckPartsJob { height, block, sealed, shown, seed }));
    }

    pub(crate) fn on_parts_checked(
        &mut self,
        height: Height,
        block: BlockId,
        result: Result<Vec<(usize, Source)>, WrongOpenings>,
    ) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        if pending.block != block {
            return;
        }
        pending.work = None;
        match result {
            Ok(right) => pending.parts.mark_right(&right),
            Err(WrongOpenings(sources)) => self.reject(height, sources),
        }
    }

    /// Combines the next part that is missing, if a quorum's shares are here.
    fn start_combining(&mut self, now: Time, height: Height) {
        let Some(pending) = self.reveals.pending.get(&height) else { return };
        let needed = shares_needed(&pending.key.packing());
        let Some(sealed) = &pending.sealed else { return };
        let members = &pending.members;
        if pending.work.is_some()
            || pending.opening
            || members.points_of(pending.shares.keys()) < needed
        {
            return;
        }
        let count = sealed.share_count();
        let owed = |validator| members.points(validator).len().saturating_mul(count);
        let misfits: Vec<_> = pending
            .shares
            .iter()
            .filter(|(validator, message)| message.shares.len() != owed(**validator))
            .map(|(validator, _)| *validator)
            .collect();
        self.leave_out(height, misfits);
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        let Some(sealed) = &pending.sealed else { return };
        let members = &pending.members;
        let mut held = 0_usize;
        let mut shares = Vec::new();
        for (validator, message) in &pending.shares {
            if held < needed {
                let points = members.points(*validator);
                held = held.saturating_add(points.len());
                shares.push((points, Arc::clone(message)));
            }
        }
        let committee = members.committee();
        let own = self.context.own_place(committee);
        let next = pending.parts.next(own.unwrap_or_default(), committee.count());
        let Some(part) = next.filter(|_| held >= needed) else { return };
        if own.is_some_and(|own| pending.parts.owes(own, committee.count())) {
            pending.grace.begin(now);
        } else if pending.grace.until().is_some() {
            return;
        }
        pending.work = Some(Work::Combining);
        let job = CombineJob {
            height,
            block: pending.block,
            sealed: Arc::clone(sealed),
            part,
            sub_batches: pending.parts.cut().sub_batches(part),
            shares,
            seed: self.context.next_seed(),
        };
        self.ask(Job::Combine(job));
    }

    pub(crate) fn on_combined(
        &mut self,
        now: Time,
        height: Height,
        block: BlockId,
        result: Result<CombinedPart, CombineFailure>,
    ) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        if pending.block != block {
            return;
        }
        pending.work = None;
        match result {
            Ok(combined) => self.show_part(now, height, combined),
            Err(CombineFailure::WrongShares(liars)) => self.put_out(height, liars),
            Err(CombineFailure::RightShares) => {
                self.halt(format!("height {height}: right shares give wrong openings"));
            }
            Err(CombineFailure::Form(error)) => {
                self.halt(format!("height {height}: shares cannot be combined: {error}"));
            }
        }
    }

    /// Keeps a part that was combined and checked here, and shows it to everyone if that is up to this
    /// validator and nobody else was faster.
    fn show_part(&mut self, now: Time, height: Height, combined: CombinedPart) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        let CombinedPart { part, openings, share_validators } = combined;
        pending.combined_from = share_validators;
        let is_new = pending.parts.take(part, Source::Own, openings.clone());
        let block = pending.block;
        let committee = pending.members.committee();
        let own = self.context.own_place(committee);
        if own.is_some_and(|own| !pending.parts.owes(own, committee.count())) {
            pending.grace.done(now);
        }
        let is_mine =
            own.is_some_and(|own| pending.parts.is_shown_by(part, own, committee.count()));
        if let (true, Ok(part)) = (is_new && is_mine, u16::try_from(part)) {
            let part = PartialOpening { height, block, part, openings };
            self.broadcast(Message::Part(Arc::new(part)));
        }
    }

    pub(crate) fn on_opened(
        &mut self,
        height: Height,
        block: BlockId,
        result: Result<OpenedBlock, WrongOpenings>,
    ) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        if pending.block != block {
            return;
        }
        pending.opening = false;
        match result {
            Ok(opened) => pending.opened = Some(opened),
            Err(WrongOpenings(sources)) => self.reject(height, sources),
        }
    }

    /// Drops what these have shown of a block: some of it opens nothing.
    fn reject(&mut self, height: Height, sources: Vec<Source>) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        for source in sources {
            pending.parts.reject(source);
            if let Source::Peer(liar) = source {
                let penalty = Penalty::Invalid("openings that open nothing");
                self.ready.effects.penalties.push((liar, penalty));
            }
        }
        self.share_after_all(height);
    }
}
