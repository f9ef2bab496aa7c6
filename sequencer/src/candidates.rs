//! Blocks that may still be decided: what this node holds of them, and when it may vote.
//!
//! ```text
//! seen ─▶ structure ─▶ possession (bundles, reveals up to R) ─▶ digests, ledger ─▶ clock, origin, inclusion ─▶ engine
//!            │ broken         │ missing: fetch, wait                 │ broken            │ not yet: wait
//!            ▼                                                       ▼                   ▼
//!          invalid                                                invalid          a polka overrides
//! ```
//!
//! The left and the fourth step are [`judge`](crate::judge), a pure function; only they may say *invalid*.
//! The others merely withhold the block from the engine, whose round then times out.
//!
//! **Bounds.** [`PER_SENDER_MAX`] blocks a sender, at heights up to [`AHEAD_MAX`] above the next.
//! **Invariant.** A block reaches the engine as valid only together with writes that store it and every
//! bundle of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use conclave_consensus::{ProposedBlock, SignedProposal};
use conclave_mempool::Proposed;
use conclave_types::{
    Block, BlockId, BundleId, Digest, EncryptedBundle, Height, HeightDelta, Round, Time,
};

use crate::{
    archive::{self, ArchiveRequest, StoredCandidate},
    input::{Peer, Penalty},
    job::capsule_point,
    judge::{InvalidBlock, Rulebook},
    message::{Message, WANT_BUNDLES_MAX},
    sequencer::Sequencer,
};

/// Blocks that one sender may have under consideration: a few rounds of the current height and of the next.
const PER_SENDER_MAX: usize = 8;
/// How far ahead of the next height a block is kept: peers may be a block or two ahead.
const AHEAD_MAX: HeightDelta = HeightDelta::new(2);
/// How long to wait before asking again for what is missing.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How often to look again at a block that is withheld because of the clock or the pool.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Candidate {
    block: Arc<Block>,
    sender: Option<Peer>,
    /// Rounds in which it is proposed and which the engine has not heard of.
    rounds: BTreeSet<Round>,
    /// Rounds of which the engine has heard.
    told: BTreeSet<Round>,
    /// Objective validity, once it is known.
    verdict: Option<bool>,
    ask_at: Time,
    look_at: Time,
}

/// Blocks that may still be decided.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    blocks: BTreeMap<(Height, BlockId), Candidate>,
    /// Proposals whose block is not here: the rounds, and whom to ask.
    announced: BTreeMap<(Height, BlockId), (BTreeSet<Round>, Peer)>,
    /// Blocks for which a quorum has prevoted.
    polkas: BTreeSet<(Height, BlockId)>,
    ask_announced_at: Time,
    dirty: bool,
}

impl Candidates {
    pub(crate) fn wake_at(&self) -> Option<Time> {
        let open = self.blocks.values().filter(|c| !c.rounds.is_empty());
        let looks = open.map(|c| c.look_at.min(c.ask_at)).filter(|at| *at > Time::ZERO);
        let asks = (!self.announced.is_empty()).then_some(self.ask_announced_at);
        looks.chain(asks).min()
    }

    /// This validator's own block for a round, if it has built one: it never builds another.
    pub(crate) fn own(&self, height: Height, round: Round) -> Option<Arc<Block>> {
        let from = (height, BlockId::ZERO);
        let mut own = self.blocks.range(from..).take_while(|((at, _), _)| *at == height);
        own.find(|(_, c)| c.sender.is_none() && c.told.contains(&round))
            .map(|(_, c)| Arc::clone(&c.block))
    }

    pub(crate) fn block(&self, height: Height, id: &BlockId) -> Option<Arc<Block>> {
        self.blocks.get(&(height, *id)).map(|c| Arc::clone(&c.block))
    }

    pub(crate) fn insert_own(&mut self, round: Round, block: Arc<Block>) {
        let key = (block.header.height, block.id());
        let candidate = self.blocks.entry(key).or_insert_with(|| Candidate::new(block, None));
        candidate.verdict = Some(true);
        candidate.told.insert(round);
    }

    /// A block from the store, for which this validator may have voted before a restart.
    pub(crate) fn restore(&mut self, stored: StoredCandidate, own: bool) {
        let key = (stored.block.header.height, stored.block.id());
        let mut candidate = Candidate::new(Arc::new(stored.block), None);
        candidate.verdict = Some(true);
        if own {
            candidate.told.insert(stored.round);
        } else {
            candidate.sender = Some(Peer::Full(u64::MAX));
            candidate.rounds.insert(stored.round);
        }
        self.blocks.insert(key, candidate);
        self.dirty = true;
    }

    /// Something that a candidate may wait for has come in.
    pub(crate) const fn changed(&mut self) {
        self.dirty = true;
    }

    /// A height was decided: what is at or below it is over.
    pub(crate) fn decided(&mut self, height: Height) {
        let keep = (height.next(), BlockId::ZERO);
        self.blocks = self.blocks.split_off(&keep);
        self.announced = self.announced.split_off(&keep);
        self.polkas = self.polkas.split_off(&keep);
        self.dirty = true;
    }
}

impl Candidate {
    fn new(block: Arc<Block>, sender: Option<Peer>) -> Self {
        Self {
            block,
            sender,
            rounds: BTreeSet::new(),
            told: BTreeSet::new(),
            verdict: None,
            ask_at: Time::ZERO,
            look_at: Time::ZERO,
        }
    }
}

/// Something that a block needs is not here yet.
struct Missing;

impl Sequencer {
    pub(crate) fn on_block(&mut self, from: Peer, round: Round, block: Arc<Block>) {
        if !matches!(from, Peer::Validator(_)) {
            return self
                .penalise(from, Penalty::Invalid("a block from a node that is no validator"));
        }
        let height = block.header.height;
        let next = self.chain.next();
        if height < next || height > next.saturating_add(AHEAD_MAX) {
            return;
        }
        let limit = self.context.genesis.params.limits.block_bundles_max as usize;
        if block.body.bundles.len() > limit {
            return self.penalise(from, Penalty::Invalid("a block with too many bundles"));
        }
        let id = block.id();
        let key = (height, id);
        let announced = self.candidates.announced.remove(&key).map(|(rounds, _)| rounds);
        if !self.candidates.blocks.contains_key(&key) {
            let senders = self.candidates.blocks.values().filter(|c| c.sender == Some(from));
            if senders.count() >= PER_SENDER_MAX {
                return self.penalise(from, Penalty::Flood("too many blocks"));
            }
            self.candidates.blocks.insert(key, Candidate::new(block, Some(from)));
        }
        if let Some(candidate) = self.candidates.blocks.get_mut(&key) {
            let rounds = announced.into_iter().flatten().chain([round]);
            candidate.rounds.extend(rounds.filter(|round| !candidate.told.contains(round)));
            self.candidates.dirty = true;
        }
    }

    /// A proposal came by: its block is on its way, or must be asked for.
    pub(crate) fn note_proposal(&mut self, now: Time, from: Peer, proposal: &SignedProposal) {
        let key = (proposal.height, proposal.block);
        if proposal.height < self.chain.next()
            || proposal.height > self.chain.next().saturating_add(AHEAD_MAX)
        {
            return;
        }
        if let Some(candidate) = self.candidates.blocks.get_mut(&key) {
            if !candidate.told.contains(&proposal.round) {
                candidate.rounds.insert(proposal.round);
                self.candidates.dirty = true;
            }
            return;
        }
        let count = self.candidates.announced.len();
        if count < PER_SENDER_MAX.saturating_mul(self.context.committee.count()) {
            let entry = self.candidates.announced.entry(key);
            entry.or_insert_with(|| (BTreeSet::new(), from)).0.insert(proposal.round);
            if count == 0 {
                self.candidates.ask_announced_at = now.after(ASK_AGAIN);
            }
        }
    }

    /// A quorum prevoted for a block: clock, origin and inclusion no longer matter, possession does.
    pub(crate) fn on_polka(&mut self, now: Time, height: Height, id: BlockId) {
        let key = (height, id);
        self.candidates.polkas.insert(key);
        self.candidates.dirty = true;
        if !self.candidates.blocks.contains_key(&key) {
            self.broadcast(Message::WantBlock { height, block: id });
            self.candidates.ask_announced_at = now.after(ASK_AGAIN);
        }
    }

    pub(crate) fn on_want_block(&mut self, from: Peer, height: Height, id: BlockId) {
        let Some(candidate) = self.candidates.blocks.get(&(height, id)) else { return };
        let round = candidate.told.last().or_else(|| candidate.rounds.last());
        if let Some(round) = round {
            let message = Message::Block { round: *round, block: Arc::clone(&candidate.block) };
            self.send(from, message);
        }
    }

    pub(crate) fn on_want_bundles(&mut self, from: Peer, mut ids: Vec<BundleId>) {
        if ids.len() > WANT_BUNDLES_MAX {
            return self.penalise(from, Penalty::Flood("a request for too many bundles"));
        }
        let mut here = Vec::new();
        ids.retain(|id| match self.pool.get(id).or_else(|| self.intake.held(id)) {
            Some(bundle) => {
                here.push(Arc::clone(bundle));
                false
            }
            None => true,
        });
        if !here.is_empty() {
            self.send(from, Message::Bundles(here));
        }
        if !ids.is_empty() {
            self.ready.effects.serve.push((from, ArchiveRequest::Bundles(ids)));
        }
    }

    pub(crate) fn judge_candidates(&mut self, now: Time) {
        self.ask_for_announced(now);
        let next = self.chain.next();
        let due = |c: &Candidate| {
            !c.rounds.is_empty() && (self.candidates.dirty || c.look_at <= now || c.ask_at <= now)
        };
        let of_height = self
            .candidates
            .blocks
            .range((next, BlockId::ZERO)..)
            .take_while(|((h, _), _)| *h == next);
        // Blocks are not signed. One that nobody has signed a proposal for is not worth a look, let alone
        // asking everyone for its bundles.
        let ids: Vec<_> = of_height
            .filter(|((_, id), c)| due(c) && self.engine.is_proposed(*id))
            .map(|((_, id), _)| *id)
            .collect();
        self.candidates.dirty = false;
        for id in ids {
            self.judge(now, id);
        }
    }

    fn ask_for_announced(&mut self, now: Time) {
        if self.candidates.announced.is_empty() || self.candidates.ask_announced_at > now {
            return;
        }
        self.candidates.ask_announced_at = now.after(ASK_AGAIN);
        let asks: Vec<_> = self.candidates.announced.iter().map(|(k, (_, p))| (*k, *p)).collect();
        for ((height, block), peer) in asks {
            self.send(peer, Message::WantBlock { height, block });
        }
    }

    fn judge(&mut self, now: Time, id: BlockId) {
        let next = self.chain.next();
        let Some(candidate) = self.candidates.blocks.get(&(next, id)) else { return };
        let block = Arc::clone(&candidate.block);
        let verdict = match candidate.verdict {
            Some(verdict) => verdict,
            None => match self.verdict(now, &block, id) {
                Some(verdict) => verdict,
                None => return,
            },
        };
        if verdict && self.is_withheld(now, &block, id) {
            if let Some(candidate) = self.candidates.blocks.get_mut(&(next, id)) {
                candidate.look_at = now.after(LOOK_AGAIN);
                candidate.ask_at = candidate.look_at;
            }
            return;
        }
        self.tell_engine(now, id, verdict);
    }

    /// Objective validity; none while something is missing. A valid block is stored at once, with all
    /// its bundles.
    fn verdict(&mut self, now: Time, block: &Arc<Block>, id: BlockId) -> Option<bool> {
        let verdict = match self.check(now, block) {
            Err(Missing) => return None,
            Ok(Ok(bundles)) => {
                let round = self.first_round(id);
                let stored = StoredCandidate { block: (**block).clone(), round };
                self.write(archive::put_candidate(&stored));
                for (id, bundle) in block.body.bundles.iter().zip(&bundles) {
                    self.write(archive::put_bundle(id, bundle));
                    self.intake.hold(*id, Arc::clone(bundle));
                }
                true
            }
            Ok(Err(_)) => false,
        };
        if let Some(candidate) = self.candidates.blocks.get_mut(&(self.chain.next(), id)) {
            candidate.verdict = Some(verdict);
        }
        Some(verdict)
    }

    fn first_round(&self, id: BlockId) -> Round {
        let candidate = self.candidates.blocks.get(&(self.chain.next(), id));
        candidate.and_then(|c| c.rounds.first().copied()).unwrap_or_default()
    }

    fn check(
        &mut self,
        now: Time,
        block: &Block,
    ) -> Result<Result<Vec<Arc<EncryptedBundle>>, InvalidBlock>, Missing> {
        let rulebook = Rulebook {
            network: self.context.network,
            domain: &self.context.domain,
            epoch: self.context.epoch,
            committee: &self.context.committee,
            params: &self.context.genesis.params,
            bundles: &self.context.rules,
        };
        if let Err(broken) = rulebook.check_structure(block, &self.chain.parent) {
            return Ok(Err(broken));
        }
        if let Some(bad) = block.body.bundles.iter().find(|id| self.intake.is_bad(id)) {
            return Ok(Err(InvalidBlock::BadBundle(*bad)));
        }
        let Some(digest) = self.digest_for(block) else {
            self.ask_for_openings(now, block.header.revealed_height);
            self.postpone(now, block);
            return Err(Missing);
        };
        let bundles = self.gather(now, block)?;
        let rulebook = Rulebook {
            network: self.context.network,
            domain: &self.context.domain,
            epoch: self.context.epoch,
            committee: &self.context.committee,
            params: &self.context.genesis.params,
            bundles: &self.context.rules,
        };
        let ledger = &self.chain.ledger;
        let judged = rulebook
            .check_digests(block, &digest, &ledger.digest())
            .and_then(|()| rulebook.check_bundles(block, bundles.iter().map(Arc::as_ref), ledger));
        Ok(judged.map(|_charges| bundles))
    }

    /// The chain digest at the block's R; none if this node has not revealed so far.
    fn digest_for(&self, block: &Block) -> Option<Digest> {
        let at = block.header.revealed_height;
        self.chain.digest_at(at)
    }

    /// Every bundle of the block, verified; asks for those that are not here.
    fn gather(&mut self, now: Time, block: &Block) -> Result<Vec<Arc<EncryptedBundle>>, Missing> {
        let mut missing = Vec::new();
        let mut bundles = Vec::with_capacity(block.body.bundles.len());
        for id in &block.body.bundles {
            match self.pool.get(id).or_else(|| self.intake.held(id)) {
                Some(bundle) => bundles.push(Arc::clone(bundle)),
                None => missing.push(*id),
            }
        }
        if missing.is_empty() {
            return Ok(bundles);
        }
        for id in &missing {
            self.intake.need(*id);
        }
        missing.retain(|id| !self.intake.is_waiting(id));
        let key = (block.header.height, block.id());
        let due = self.candidates.blocks.get(&key).is_some_and(|c| c.ask_at <= now);
        if due && !missing.is_empty() {
            let proposer = Peer::Validator(block.header.proposer);
            let asked_before =
                self.candidates.blocks.get(&key).is_some_and(|c| c.ask_at > Time::ZERO);
            let message = Message::WantBundles(missing);
            if asked_before || self.context.own_index() == Some(block.header.proposer) {
                self.broadcast(message);
            } else {
                self.send(proposer, message);
            }
            self.postpone(now, block);
        }
        Err(Missing)
    }

    fn postpone(&mut self, now: Time, block: &Block) {
        let key = (block.header.height, block.id());
        if let Some(candidate) = self.candidates.blocks.get_mut(&key) {
            candidate.ask_at = now.after(ASK_AGAIN);
            candidate.look_at = candidate.ask_at;
        }
    }

    /// Whether this node's clock, L1 view or pool says: not yet. A polka overrides all three.
    fn is_withheld(&self, now: Time, block: &Block, id: BlockId) -> bool {
        if self.candidates.polkas.contains(&(block.header.height, id)) {
            return false;
        }
        let timing = &self.context.genesis.params.timing;
        let drift = Duration::from_millis(timing.clock_drift_max_ms);
        if block.header.time > now.after(drift) {
            return true;
        }
        // No L1 is followed, so the parent's origin is the only one known to be final.
        if block.header.l1_origin != self.chain.parent.l1_origin {
            return true;
        }
        self.omits_overdue(now, block)
    }

    /// The inclusion rule: a fresh block with room that omits what this validator has held too long.
    fn omits_overdue(&self, now: Time, block: &Block) -> bool {
        let params = &self.context.genesis.params;
        let height = block.header.height;
        if height.above(block.header.revealed_height) > params.limits.reveal_lag_max {
            return false;
        }
        let round = self.engine.round().map_or(0, Round::as_u32);
        let delay = params.timing.inclusion_delay(round);
        let held = |id| self.pool.get(id).or_else(|| self.intake.held(id));
        let bundles: Vec<_> = block.body.bundles.iter().filter_map(held).collect();
        let headers: Vec<_> = bundles.iter().map(|bundle| &bundle.header).collect();
        let points: Vec<_> = bundles.iter().filter_map(|bundle| capsule_point(bundle)).collect();
        let proposed = Proposed { height, headers: &headers, points: &points };
        !self.pool.omitted(now, delay, &self.chain.ledger, &proposed).is_empty()
    }

    fn tell_engine(&mut self, now: Time, id: BlockId, valid: bool) {
        let height = self.chain.next();
        let Some(candidate) = self.candidates.blocks.get_mut(&(height, id)) else { return };
        let rounds = std::mem::take(&mut candidate.rounds);
        candidate.told.extend(rounds.iter().copied());
        for round in rounds {
            let proposer = self.engine.proposer(height, round);
            let proposed = ProposedBlock { height, round, proposer, block: id, valid };
            let outputs = self.engine.value(now, proposed);
            self.absorb(now, outputs);
        }
    }
}
