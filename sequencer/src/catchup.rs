//! Keeping up with the others: after a restart, a partition, or a lost message.
//!
//! Everyone says now and then how far it is. Whoever is behind asks one peer at a time for decided
//! blocks, each of which proves itself by its certificate; whoever waits too long for a reveal asks all
//! for openings or shares.
//!
//! **Bounds.** One request for blocks at a time; [`PEERS_MAX`] peers are remembered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use conclave_types::{Block, BlockId, BundleId, EncryptedBundle, Height, Opening, Round, Time};

use crate::{
    archive::{self, ArchiveRequest},
    input::{Peer, Penalty},
    message::{DecidedBlock, Message},
    resume::Resume,
    sequencer::Sequencer,
};

/// Peers whose progress is remembered: a full committee and as many full nodes.
const PEERS_MAX: usize = 2_048;
/// How often this node says how far it is, and looks at how far the others are.
const STATUS_EVERY: Duration = Duration::from_millis(250);
/// How long a peer may take to answer a request for blocks.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long consensus may take to close a gap of one height by itself.
const PATIENCE: Duration = Duration::from_millis(750);
/// How long shares may take before everyone is asked.
const REVEAL_PATIENCE: Duration = Duration::from_millis(500);
/// Overdue bundles that are passed on at a time: at most 4 MiB.
const PASS_ON_MAX: usize = 32;
/// Bundles that are remembered as passed on: a full pool.
const PASSED_ON_MAX: usize = 16_384;
/// Heights whose openings are asked for at once.
const OPENINGS_MAX: usize = 8;

/// A decided block that came with its proof: the block, its bundles, its openings if it has them.
type Followed = (Arc<Block>, Vec<Arc<EncryptedBundle>>, Option<Vec<Opening>>);

/// How far the others are, and what was asked of them.
#[derive(Debug, Default)]
pub(crate) struct CatchUp {
    /// Each peer's newest decided height, by its own account.
    peers: BTreeMap<Peer, Height>,
    asked: Option<(Peer, Time)>,
    progressed_at: Time,
    next_status: Time,
    turn: usize,
    passed_on: BTreeSet<BundleId>,
    /// This validator lost its signing history and is to sign again once it knows where it is safe.
    pub(crate) resume: Option<Resume>,
    /// The block that the engine is being told to take as decided.
    followed: Option<Followed>,
}

impl CatchUp {
    pub(crate) fn wake_at(&self) -> Option<Time> {
        Some(self.next_status)
    }

    pub(crate) fn peer_down(&mut self, peer: Peer) {
        self.peers.remove(&peer);
        self.asked = self.asked.filter(|(asked, _)| *asked != peer);
    }

    pub(crate) fn peer_status(&mut self, peer: Peer, decided: Height) {
        if let Some(resume) = &mut self.resume {
            resume.hear(peer, decided);
        }
        if self.peers.len() < PEERS_MAX || self.peers.contains_key(&peer) {
            self.peers.insert(peer, decided);
        }
    }

    pub(crate) const fn progressed(&mut self, now: Time) {
        self.progressed_at = now;
    }

    pub(crate) fn take_followed(&mut self, id: &BlockId) -> Option<Followed> {
        self.followed.take_if(|(block, _, _)| block.id() == *id)
    }

    /// Some peer, another one with every `turn`.
    pub(crate) fn any_peer(&self, turn: usize) -> Option<Peer> {
        let pick = turn.checked_rem(self.peers.len())?;
        self.peers.keys().nth(pick).copied()
    }

    /// A peer that claims to be ahead, another one each time; a validator, if there is one.
    fn ahead_of(&mut self, height: Height) -> Option<(Peer, Height)> {
        let ahead = |of: fn(&Peer) -> bool| -> Vec<(&Peer, &Height)> {
            self.peers.iter().filter(|(peer, theirs)| of(peer) && **theirs > height).collect()
        };
        let validators = ahead(|peer| matches!(peer, Peer::Validator(_)));
        let ahead = if validators.is_empty() { ahead(|_| true) } else { validators };
        self.turn = self.turn.wrapping_add(1);
        let pick = self.turn.checked_rem(ahead.len())?;
        ahead.get(pick).map(|(peer, theirs)| (**peer, **theirs))
    }
}

impl Sequencer {
    pub(crate) fn on_peer_up(&mut self, peer: Peer) {
        let status = self.status_message();
        self.send(peer, status);
    }

    fn status_message(&self) -> Message {
        Message::Status { decided: self.chain.decided(), revealed: self.chain.revealed }
    }

    pub(crate) fn catch_up_turn(&mut self, now: Time) {
        if now < self.catch_up.next_status {
            return;
        }
        self.catch_up.next_status = now.after(STATUS_EVERY);
        let status = self.status_message();
        self.broadcast(status);
        self.resume_signing(now);
        self.pass_on_overdue(now);
        self.say_sharing_again(now);
        self.ask_for_blocks(now);
        self.ask_for_stuck_reveals(now);
        self.settle_again(now);
    }

    fn ask_for_blocks(&mut self, now: Time) {
        if self.catch_up.asked.is_some_and(|(_, at)| now < at.after(ANSWER_WITHIN)) {
            return;
        }
        if let Some((silent, _)) = self.catch_up.asked.take() {
            // It claimed to be ahead and has nothing to show for it.
            self.catch_up.peers.remove(&silent);
        }
        let decided = self.chain.decided();
        let Some((peer, theirs)) = self.catch_up.ahead_of(decided) else { return };
        let gap_of_one = theirs <= decided.next();
        if gap_of_one && now < self.catch_up.progressed_at.after(PATIENCE) {
            return;
        }
        self.request_blocks(now, peer);
    }

    fn request_blocks(&mut self, now: Time, peer: Peer) {
        self.catch_up.asked = Some((peer, now));
        self.send(peer, Message::WantDecided { from: self.chain.next() });
    }

    fn ask_for_stuck_reveals(&mut self, now: Time) {
        let before = Time::from_micros(
            now.as_micros().saturating_sub(REVEAL_PATIENCE.as_micros().try_into().unwrap_or(0)),
        );
        for height in self.reveals.stuck(before, OPENINGS_MAX) {
            self.reveals.asked(height, now);
            self.share_after_all(height);
            self.broadcast(Message::WantOpenings { height });
        }
    }

    /// Shows the next proposer what has waited for a while and it may not have: whoever brought it here
    /// need not have told everyone. Each bundle is passed on once.
    fn pass_on_overdue(&mut self, now: Time) {
        let patience = self.context.genesis.params.timing.inclusion_delay(0) / 4;
        let next = self.chain.next();
        let proposer = self.engine.proposer(next.next(), Round::ZERO);
        let own = self.own_at(next);
        if Some(proposer) == own || own.is_none() {
            return;
        }
        let overdue = self.pool.overdue(now, patience, &self.chain.ledger, &self.next_target());
        if self.catch_up.passed_on.len() > PASSED_ON_MAX {
            self.catch_up.passed_on.clear();
        }
        let fresh = overdue.into_iter().filter(|id| !self.catch_up.passed_on.contains(id));
        let ids: Vec<_> = fresh.take(PASS_ON_MAX).collect();
        let bundles: Vec<_> = ids.iter().filter_map(|id| self.pool.get(id).cloned()).collect();
        self.catch_up.passed_on.extend(ids);
        if !bundles.is_empty() {
            self.send(Peer::Validator(proposer), Message::Bundles(bundles));
        }
    }

    /// A block builds on a reveal that this node does not have.
    pub(crate) fn ask_for_openings(&mut self, now: Time, up_to: Height) {
        let waiting: Vec<_> = self.chain.revealed.up_to(up_to).take(OPENINGS_MAX).collect();
        for height in waiting {
            if self.reveals.stuck(now, usize::MAX).contains(&height) {
                self.reveals.asked(height, now);
                self.broadcast(Message::WantOpenings { height });
            }
        }
    }

    pub(crate) fn on_want_decided(&mut self, from: Peer, height: Height) {
        if height <= self.chain.decided() {
            self.ready.effects.serve.push((from, ArchiveRequest::Decided { from: height }));
        }
    }

    pub(crate) fn on_decided_blocks(
        &mut self,
        now: Time,
        from: Peer,
        blocks: Vec<Arc<DecidedBlock>>,
    ) {
        let asked = self.catch_up.asked.is_some_and(|(peer, _)| peer == from);
        if !asked {
            return;
        }
        self.catch_up.asked = None;
        if blocks.is_empty() {
            self.catch_up.peers.remove(&from);
        }
        let before = self.chain.decided();
        for decided in blocks {
            if decided.block.header.height != self.chain.next() {
                continue;
            }
            if let Err(fault) = self.follow(now, &decided) {
                return self.penalise(from, Penalty::Invalid(fault));
            }
        }
        let behind =
            self.catch_up.peers.get(&from).is_some_and(|theirs| *theirs > self.chain.decided());
        if behind && self.chain.decided() > before {
            self.request_blocks(now, from);
        }
    }

    /// Follows a decided block that proves itself: its certificate is the authority, its bundles are
    /// those that the header commits to.
    fn follow(&mut self, now: Time, decided: &DecidedBlock) -> Result<(), &'static str> {
        let DecidedBlock { block, certificate, bundles, openings } = decided;
        let id = block.id();
        if certificate.block != id || certificate.height != block.header.height {
            return Err("a decided block with the certificate of another");
        }
        if block.header.bundle_root != block.body.bundle_root()
            || block.header.sharing_root != block.body.sharing_root()
            || block.header.parent_certificate != block.body.parent_certificate_digest()
            || block.header.l1_entries_root != block.body.l1_entries_root()
        {
            return Err("a decided block with a wrong body");
        }
        let same = bundles.len() == block.body.bundles.len()
            && bundles.iter().zip(&block.body.bundles).all(|(bundle, id)| bundle.id() == *id);
        if !same {
            return Err("a decided block with the wrong bundles");
        }
        // The certificate is checked by the engine before anything takes effect.
        let Ok(outputs) = self.engine.catch_up(now, certificate) else {
            return Err("a decided block whose certificate does not verify");
        };
        for (id, bundle) in block.body.bundles.iter().zip(bundles) {
            self.write(archive::put_bundle(id, bundle));
        }
        let bundles = bundles.iter().cloned().map(Arc::new).collect();
        let count = block.body.bundles.len().saturating_add(1);
        let openings = openings.clone().filter(|openings| openings.len() == count);
        self.catch_up.followed = Some((Arc::new(block.clone()), bundles, openings));
        self.absorb(now, outputs);
        Ok(())
    }
}
