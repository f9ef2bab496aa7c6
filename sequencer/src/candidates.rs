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
//! **Bounds.** Blocks with a signed proposal, of which the engine bounds the number, and
//! [`PER_SENDER_MAX`] others a sender, at heights up to [`AHEAD_MAX`] above the next.
//! **Invariant.** A block reaches the engine as valid only together with writes that store it and every
//! bundle of it.

mod withhold;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use conclave_consensus::ProposedBlock;
use conclave_types::{
    Block, BlockId, BundleId, Committee, EncryptedBundle, Height, HeightDelta, Round,
    SharingMessage, SharingParams, Time,
};

use crate::{
    archive::{self, ArchiveRequest, PAGE_BYTES, StoredCandidate},
    input::{Peer, Penalty},
    keys::Known,
    l1,
    message::{Message, WANT_BUNDLES_MAX},
    sequencer::Sequencer,
};

/// Blocks of one sender that are kept although nobody has signed a proposal for them.
const PER_SENDER_MAX: usize = 8;
/// How far ahead of the next height a block is kept: peers may be a block or two ahead.
const AHEAD_MAX: HeightDelta = HeightDelta::new(2);
/// How long to wait before asking again for what is missing.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How often to look again at a block that is withheld because of the clock or the pool.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What objective validity says of a block.
#[derive(Clone, Debug)]
enum Verdict {
    /// It is valid, and here are its bundles.
    Valid(Vec<Arc<EncryptedBundle>>),
    /// It is not.
    Invalid,
}

#[derive(Debug)]
struct Candidate {
    block: Arc<Block>,
    /// Who sent it; none for this validator's own, and for those from the store.
    sender: Option<Peer>,
    /// Rounds for which this validator built it.
    own_rounds: BTreeSet<Round>,
    /// Whether it was found to fit its parent: certificates are checked once.
    fits: bool,
    verdict: Option<Verdict>,
    /// Whether the engine has heard the verdict.
    told: bool,
    /// How often its bundles were asked for.
    asks: u32,
    /// When to look again, if nothing that it waits for comes in before.
    look_at: Option<Time>,
}

/// Blocks that may still be decided.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    blocks: BTreeMap<(Height, BlockId), Candidate>,
    /// Blocks for which a quorum has prevoted.
    polkas: BTreeSet<(Height, BlockId)>,
    /// When to ask for blocks that are proposed and not here.
    ask_at: Option<Time>,
    dirty: bool,
}

impl Candidates {
    pub(crate) fn wake_at(&self) -> Option<Time> {
        let open = self.blocks.values().filter(|candidate| !candidate.told);
        open.filter_map(|candidate| candidate.look_at).chain(self.ask_at).min()
    }

    /// This validator's own block for a round, if it has built one: it never builds another.
    pub(crate) fn own(&self, height: Height, round: Round) -> Option<Arc<Block>> {
        let mut own = self.at(height).filter(|(_, c)| c.own_rounds.contains(&round));
        own.next().map(|(_, candidate)| Arc::clone(&candidate.block))
    }

    pub(crate) fn block(&self, height: Height, id: &BlockId) -> Option<Arc<Block>> {
        self.blocks.get(&(height, *id)).map(|candidate| Arc::clone(&candidate.block))
    }

    /// A valid block with its bundles.
    pub(crate) fn whole(
        &self,
        height: Height,
        id: &BlockId,
    ) -> Option<(Arc<Block>, Vec<Arc<EncryptedBundle>>)> {
        let candidate = self.blocks.get(&(height, *id))?;
        match &candidate.verdict {
            Some(Verdict::Valid(bundles)) => Some((Arc::clone(&candidate.block), bundles.clone())),
            Some(Verdict::Invalid) | None => None,
        }
    }

    /// A bundle of a valid block.
    pub(crate) fn bundle(&self, id: &BundleId) -> Option<&Arc<EncryptedBundle>> {
        self.blocks.values().find_map(|candidate| {
            let Some(Verdict::Valid(bundles)) = &candidate.verdict else { return None };
            let ids = candidate.block.body.bundles.iter();
            ids.zip(bundles).find(|(of, _)| *of == id).map(|(_, bundle)| bundle)
        })
    }

    /// This validator's own block. It owns its bundles: whatever becomes of them in the pool, the block
    /// can be decided.
    pub(crate) fn insert_own(
        &mut self,
        round: Round,
        block: Arc<Block>,
        bundles: Vec<Arc<EncryptedBundle>>,
    ) {
        let key = (block.header.height, block.id());
        let candidate = self.blocks.entry(key).or_insert_with(|| Candidate::new(block, None));
        candidate.verdict = Some(Verdict::Valid(bundles));
        candidate.own_rounds.insert(round);
    }

    /// A valid block from the store, for which this validator may have voted before a restart.
    pub(crate) fn restore(
        &mut self,
        stored: StoredCandidate,
        bundles: Vec<Arc<EncryptedBundle>>,
        is_own: bool,
    ) {
        let key = (stored.block.header.height, stored.block.id());
        let mut candidate = Candidate::new(Arc::new(stored.block), None);
        candidate.verdict = Some(Verdict::Valid(bundles));
        candidate.own_rounds.extend(is_own.then_some(stored.round));
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
        self.polkas = self.polkas.split_off(&keep);
        self.ask_at = None;
        self.dirty = true;
    }

    fn at(&self, height: Height) -> impl Iterator<Item = (&BlockId, &Candidate)> {
        let from = (height, BlockId::ZERO);
        let blocks = self.blocks.range(from..).take_while(move |((at, _), _)| *at == height);
        blocks.map(|((_, id), candidate)| (id, candidate))
    }
}

impl Candidate {
    const fn new(block: Arc<Block>, sender: Option<Peer>) -> Self {
        Self {
            block,
            sender,
            own_rounds: BTreeSet::new(),
            fits: false,
            verdict: None,
            told: false,
            asks: 0,
            look_at: None,
        }
    }
}

/// Something that a block needs is not here yet.
struct Missing;

impl Sequencer {
    /// A block came in. Only validators are asked for blocks, so only theirs are taken; a full node that
    /// answers means well and is not blamed.
    pub(crate) fn on_block(&mut self, from: Peer, block: Arc<Block>) {
        let (height, next) = (block.header.height, self.chain.next());
        let in_reach = height >= next && height <= next.saturating_add(AHEAD_MAX);
        if !in_reach || !matches!(from, Peer::Validator(_)) {
            return;
        }
        let limit = self.context.genesis.params.limits.block_bundles_max as usize;
        let signers = block.body.parent_certificate.as_ref().map_or(0, |c| c.signatures.len());
        let sharing: usize = block.body.sharing.iter().map(SharingMessage::size_bytes).sum();
        let fits = block.body.bundles.len() <= limit
            && sharing <= SharingParams::BLOCK_BYTES_MAX
            && l1::fits(&block.body);
        if !fits || signers > Committee::MEMBERS_MAX {
            return self.penalise(from, Penalty::Invalid("a block beyond its limits"));
        }
        let key = (height, block.id());
        if self.candidates.blocks.contains_key(&key) {
            return;
        }
        self.make_room(from);
        self.candidates.blocks.insert(key, Candidate::new(block, Some(from)));
        self.candidates.dirty = true;
    }

    /// Drops the oldest block of a sender with too many that nobody has signed a proposal for. Those
    /// with a proposal stay: the engine bounds how many there can be.
    fn make_room(&mut self, from: Peer) {
        let theirs = self.candidates.blocks.iter().filter(|(_, c)| c.sender == Some(from));
        if theirs.clone().count() < PER_SENDER_MAX {
            return;
        }
        let unsigned = |(key, _): &(&(Height, BlockId), &Candidate)| {
            !self.engine.is_proposed(key.1) && !self.candidates.polkas.contains(*key)
        };
        if let Some(key) = theirs.clone().find(unsigned).map(|(key, _)| *key) {
            self.candidates.blocks.remove(&key);
        }
    }

    /// A quorum prevoted for a block: clock, origin and inclusion no longer matter, possession does.
    pub(crate) fn on_polka(&mut self, now: Time, height: Height, id: BlockId) {
        let key = (height, id);
        self.candidates.polkas.insert(key);
        self.candidates.dirty = true;
        if !self.candidates.blocks.contains_key(&key) {
            self.broadcast(Message::WantBlock { height, block: id });
            self.candidates.ask_at = Some(now.after(ASK_AGAIN));
        }
    }

    pub(crate) fn on_want_block(&mut self, from: Peer, height: Height, id: BlockId) {
        if let Some(block) = self.candidates.block(height, &id) {
            self.send(from, Message::Block(block));
        }
    }

    /// Answers with at most a page: whoever wants more asks again. What is not decided yet is for
    /// validators only.
    pub(crate) fn on_want_bundles(&mut self, from: Peer, ids: Vec<BundleId>) {
        if ids.len() > WANT_BUNDLES_MAX {
            return self.penalise(from, Penalty::Flood("a request for too many bundles"));
        }
        let mut ids: BTreeSet<BundleId> = ids.into_iter().collect();
        let mut here = Vec::new();
        let mut room = PAGE_BYTES;
        if matches!(from, Peer::Validator(_)) {
            ids.retain(|id| match self.find_bundle(id) {
                Some(bundle) => {
                    let left = room.checked_sub(bundle.size_bytes());
                    here.extend(left.map(|_| Arc::clone(bundle)));
                    room = left.unwrap_or(0);
                    false
                }
                None => true,
            });
        }
        if !here.is_empty() {
            self.send(from, Message::Bundles(here));
        }
        if !ids.is_empty() {
            let request = ArchiveRequest::Bundles(ids.into_iter().collect());
            self.ready.effects.serve.push((from, request));
        }
    }

    /// A bundle that is here, wherever.
    fn find_bundle(&self, id: &BundleId) -> Option<&Arc<EncryptedBundle>> {
        let here = self.pool.get(id).or_else(|| self.intake.held(id));
        here.or_else(|| self.candidates.bundle(id))
    }

    pub(crate) fn judge_candidates(&mut self, now: Time) {
        self.ask_for_blocks_proposed(now);
        let next = self.chain.next();
        let dirty = std::mem::take(&mut self.candidates.dirty);
        // Blocks are not signed. One that nobody has signed a proposal for is not worth a look, let alone
        // asking everyone for its bundles.
        let due = |(id, c): &(&BlockId, &Candidate)| {
            !c.told
                && (dirty || c.look_at.is_some_and(|at| at <= now))
                && self.engine.is_proposed(**id)
        };
        let ids: Vec<_> = self.candidates.at(next).filter(due).map(|(id, _)| *id).collect();
        for id in ids {
            if self.chain.next() == next {
                self.judge(now, id);
            }
        }
    }

    /// Asks for blocks that somebody signed a proposal for and that have not come by themselves: their
    /// round's proposer first, then everyone.
    fn ask_for_blocks_proposed(&mut self, now: Time) {
        let height = self.chain.next();
        let missing: Vec<BlockId> = self
            .engine
            .proposed()
            .filter(|id| !self.candidates.blocks.contains_key(&(height, *id)))
            .collect();
        if missing.is_empty() {
            self.candidates.ask_at = None;
            return;
        }
        let at = *self.candidates.ask_at.get_or_insert(now.after(ASK_AGAIN));
        if at <= now {
            self.candidates.ask_at = Some(now.after(ASK_AGAIN));
            for block in missing {
                self.broadcast(Message::WantBlock { height, block });
            }
        }
    }

    fn judge(&mut self, now: Time, id: BlockId) {
        let key = (self.chain.next(), id);
        let Some(candidate) = self.candidates.blocks.get_mut(&key) else { return };
        candidate.look_at = None;
        let block = Arc::clone(&candidate.block);
        let verdict = match candidate.verdict.clone() {
            Some(verdict) => verdict,
            None => match self.check(now, &block, id) {
                Ok(verdict) => self.settle(key, &block, verdict),
                Err(Missing) => return self.look_again(key, now.after(ASK_AGAIN)),
            },
        };
        let valid = match &verdict {
            Verdict::Invalid => false,
            Verdict::Valid(bundles) => {
                if self.is_withheld(now, &block, id, bundles) {
                    return self.look_again(key, now.after(LOOK_AGAIN));
                }
                true
            }
        };
        if let Some(candidate) = self.candidates.blocks.get_mut(&key) {
            candidate.told = true;
        }
        if let Verdict::Valid(bundles) = &verdict {
            self.share_ahead(&block, id, bundles);
        }
        let proposed = ProposedBlock { height: key.0, block: id, valid };
        let outputs = self.engine.value(now, proposed);
        self.absorb(now, outputs);
    }

    fn look_again(&mut self, key: (Height, BlockId), at: Time) {
        if let Some(candidate) = self.candidates.blocks.get_mut(&key) {
            candidate.look_at = Some(at);
        }
    }

    /// Remembers a verdict. A valid block is stored at once, with all its bundles: the engine hears of it
    /// only after that.
    fn settle(&mut self, key: (Height, BlockId), block: &Block, verdict: Verdict) -> Verdict {
        if let Verdict::Valid(bundles) = &verdict {
            let round = self.engine.round().unwrap_or_default();
            self.write(archive::put_candidate(&StoredCandidate { block: block.clone(), round }));
            for (id, bundle) in block.body.bundles.iter().zip(bundles) {
                self.write(archive::put_bundle(id, bundle));
            }
        }
        if let Some(candidate) = self.candidates.blocks.get_mut(&key) {
            candidate.verdict = Some(verdict.clone());
        }
        verdict
    }

    /// Objective validity, if everything that it takes is here; asks for what is not.
    fn check(&mut self, now: Time, block: &Block, id: BlockId) -> Result<Verdict, Missing> {
        let key = (block.header.height, id);
        let fits = self.candidates.blocks.get(&key).is_some_and(|candidate| candidate.fits);
        let rulebook = self.context.rulebook(&self.chain.keys);
        if !fits && rulebook.check_structure(block, &self.chain.parent).is_err() {
            return Ok(Verdict::Invalid);
        }
        if let Some(candidate) = self.candidates.blocks.get_mut(&key) {
            candidate.fits = true;
        }
        if block.body.bundles.iter().any(|id| self.intake.is_bad(id)) {
            return Ok(Verdict::Invalid);
        }
        let Some(digest) = self.chain.digest_at(block.header.revealed_height) else {
            self.ask_for_openings(now, block.header.revealed_height);
            return Err(Missing);
        };
        if !self.check_sharing(block)? {
            return Ok(Verdict::Invalid);
        }
        let bundles = self.gather(key, block)?;
        let rulebook = self.context.rulebook(&self.chain.keys);
        let ledger = &self.chain.ledger;
        let judged = rulebook
            .check_digests(block, &digest, &ledger.digest())
            .and_then(|()| rulebook.check_bundles(block, bundles.iter().map(Arc::as_ref), ledger));
        Ok(judged.map_or(Verdict::Invalid, |_charges| Verdict::Valid(bundles)))
    }

    /// Whether the keys take every message of a sharing that the block carries, one after the other. They
    /// are judged beside the state machine if they have not been.
    fn check_sharing(&mut self, block: &Block) -> Result<bool, Missing> {
        let mut checked = Vec::with_capacity(block.body.sharing.len());
        let mut missing = false;
        for message in &block.body.sharing {
            match self.known_sharing(message) {
                Known::Checked(verdict) => checked.push((message, verdict)),
                Known::Bad => return Ok(false),
                Known::Unknown => missing = true,
            }
        }
        if missing {
            return Err(Missing);
        }
        if checked.is_empty() {
            return Ok(true);
        }
        let mut keys = self.chain.keys.clone();
        Ok(checked.into_iter().all(|(message, verdict)| keys.take(message, verdict).is_ok()))
    }

    /// Every bundle of the block, verified; asks for those that are not here: its builder first, then
    /// everyone.
    fn gather(
        &mut self,
        key: (Height, BlockId),
        block: &Block,
    ) -> Result<Vec<Arc<EncryptedBundle>>, Missing> {
        let mut missing = Vec::new();
        let mut bundles = Vec::with_capacity(block.body.bundles.len());
        for id in &block.body.bundles {
            match self.find_bundle(id) {
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
        let own = self.own_at(key.0);
        let Some(candidate) = self.candidates.blocks.get_mut(&key) else { return Err(Missing) };
        if !missing.is_empty() {
            let builder = block.header.proposer;
            let first = candidate.asks == 0 && own != Some(builder);
            candidate.asks = candidate.asks.saturating_add(1);
            let message = Message::WantBundles(missing);
            if first {
                self.send(Peer::Validator(builder), message);
            } else {
                self.broadcast(message);
            }
        }
        Err(Missing)
    }
}
