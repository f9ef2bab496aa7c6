//! What this node sees of L1, and what a block may say of it.
//!
//! The shell feeds finalized L1 blocks one after the other, from the one after the chain's origin on. They
//! are held until a decided block has carried them: a proposer takes its origin and entries from here, and
//! everyone else withholds a block until it has seen that origin, with exactly these entries and offers. What is fed
//! is one provider's word; what is decided is a quorum's. Where they differ the chain goes on, this node says
//! so, and begins to observe anew from the chain's origin.
//!
//! **Bounds.** [`BLOCKS_MAX`] L1 blocks with [`BYTES_MAX`] bytes of entries. Beyond that the shell is told to
//! come back; nothing is lost, since L1 keeps it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{
    Block, BlockBody, CommitteeOffer, Digest, Height, L1Entry, L1EntryError, L1Origin,
    ORIGIN_ADVANCE_MAX, RESERVE_BYTES, RESERVE_ENTRIES, RevealedForced, RollupId, Round, Time,
    Withdrawal, check_l1_entries, check_offers,
};

use crate::{chain::Parent, input::Event, judge::InvalidBlock, sequencer::Sequencer};

/// L1 blocks that are held: more than three hours of Ethereum.
const BLOCKS_MAX: usize = 1_024;
/// Bytes of their entries and offers: at least four blocks that are as full as can be.
const BYTES_MAX: usize = 8 << 20;

/// How long a proposer has seen an L1 block before it names it, doubled with every round: the others get
/// to see it, too.
const ORIGIN_AGE: Duration = Duration::from_secs(1);
/// How long a proposer repeats its parent's origin after a block of its own that named another was not
/// decided: enough of the others see no L1, or another one. Doubled each time, up to a minute.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_DOUBLINGS_MAX: u32 = 6;

/// A finalized L1 block, as a shell has observed it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct L1Block {
    /// Its number and hash.
    pub origin: L1Origin,
    /// Hash of the block before.
    pub parent: Digest,
    /// What it added to the queue, in order.
    pub entries: Vec<L1Entry>,
    /// What it offers, as far as that counts ([`CommitteeOffer::that_count`]).
    pub offers: Vec<CommitteeOffer>,
}

/// What a block of ours carries of L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FromL1 {
    pub(crate) origin: L1Origin,
    pub(crate) entries: Vec<L1Entry>,
    pub(crate) offers: Vec<CommitteeOffer>,
}

/// How far chain and node have come with L1. A shell feeds the block after `observed`, while there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Position {
    /// The newest decided block's origin.
    pub origin: L1Origin,
    /// Entries of the queue up to there, all of them carried.
    pub forced_cursor: u64,
    /// The newest L1 block that this node knows: the next one builds on it.
    pub observed: L1Origin,
    /// Whether another one is taken now.
    pub has_room: bool,
}

/// Why an observation is not taken.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, thiserror::Error)]
pub enum L1Refusal {
    /// A gap.
    #[error("the next L1 block is {expected}, found {found}")]
    NotNext {
        /// The number that comes next.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// It builds on another block than the one before it here.
    #[error("L1 block {number} builds on {found}, expected {expected}")]
    Parent {
        /// Its number.
        number: u64,
        /// Hash of the block before, as observed or as the chain has it.
        expected: Digest,
        /// Hash of what it builds on.
        found: Digest,
    },
    /// It is another one than was observed before, or than the chain builds on. No finalized block changes.
    #[error("L1 block {number} is {found} or has other entries, expected {expected}")]
    Changed {
        /// Its number.
        number: u64,
        /// The hash that was seen first.
        expected: Digest,
        /// The hash now.
        found: Digest,
    },
    /// Its entries do not continue the queue.
    #[error(transparent)]
    Entries(#[from] L1EntryError),
    /// It comes before the chain has carried enough of those before it.
    #[error("{blocks} L1 blocks are held; feed on when the chain has carried some")]
    Full {
        /// How many there are.
        blocks: usize,
    },
}

#[derive(Debug)]
struct Seen {
    block: L1Block,
    /// Entries of the queue up to and with this block.
    cursor: u64,
    at: Time,
}

/// What this node sees of L1 beyond the chain's origin.
#[derive(Debug)]
pub(crate) struct L1View {
    origin: L1Origin,
    cursor: u64,
    /// Consecutive blocks, the first one right after `origin`.
    seen: BTreeMap<u64, Seen>,
    bytes: usize,
    /// The height at which this node last proposed another origin than the parent's.
    tried: Option<Height>,
    /// How often in a row that did not lead anywhere, and until when it is not tried again.
    failures: u32,
    retry_at: Time,
}

impl L1View {
    pub(crate) const fn new(origin: L1Origin, cursor: u64) -> Self {
        Self {
            origin,
            cursor,
            seen: BTreeMap::new(),
            bytes: 0,
            tried: None,
            failures: 0,
            retry_at: Time::ZERO,
        }
    }

    pub(crate) fn position(&self) -> L1Position {
        L1Position {
            origin: self.origin,
            forced_cursor: self.cursor,
            observed: self.newest().0,
            has_room: self.seen.len() < BLOCKS_MAX && self.bytes < BYTES_MAX,
        }
    }

    /// The newest L1 block known here, and the entries of the queue up to it.
    fn newest(&self) -> (L1Origin, u64) {
        let last = self.seen.last_key_value();
        last.map_or((self.origin, self.cursor), |(_, seen)| (seen.block.origin, seen.cursor))
    }

    /// Takes an observation in. What is known already, or behind the chain, changes nothing.
    fn observe(&mut self, now: Time, block: L1Block) -> Result<(), L1Refusal> {
        let L1Origin { number, hash } = block.origin;
        if number < self.origin.number {
            return Ok(());
        }
        let known =
            self.seen.get(&number).map(|seen| (seen.block.origin.hash, seen.block == block));
        let on_chain =
            (number == self.origin.number).then(|| (self.origin.hash, self.origin.hash == hash));
        if let Some((expected, same)) = known.or(on_chain) {
            let changed = L1Refusal::Changed { number, expected, found: hash };
            return if same { Ok(()) } else { Err(changed) };
        }
        let (before, cursor) = self.newest();
        if before.number.checked_add(1) != Some(number) {
            let expected = before.number.saturating_add(1);
            return Err(L1Refusal::NotNext { expected, found: number });
        }
        if block.parent != before.hash {
            let (expected, found) = (before.hash, block.parent);
            return Err(L1Refusal::Parent { number, expected, found });
        }
        let cursor = check_l1_entries(&block.entries, cursor, number, number)?;
        check_offers(&block.offers, number, number)?;
        if !self.position().has_room {
            return Err(L1Refusal::Full { blocks: self.seen.len() });
        }
        self.bytes = self.bytes.saturating_add(block.size_bytes());
        self.seen.insert(number, Seen { block, cursor, at: now });
        Ok(())
    }

    /// Whether this node sees the block's origin finalized, with exactly the block's entries. The parent's
    /// origin needs no seeing, and nobody who has seen nothing of L1 is in the way of it.
    pub(crate) fn confirms(&self, block: &Block) -> bool {
        let origin = block.header.l1_origin;
        if origin == self.origin {
            return true;
        }
        let is_seen = self.seen.get(&origin.number).is_some_and(|seen| seen.block.origin == origin);
        let seen = || self.seen.range(..=origin.number).map(|(_, seen)| &seen.block);
        is_seen
            && seen().flat_map(|block| &block.entries).eq(&block.body.l1_entries)
            && seen().flat_map(|block| &block.offers).eq(&block.body.offers)
    }

    /// The origin for a block of this node's own, with the entries and offers up to it: as far as they fit
    /// and the others can be expected to see it, too.
    pub(crate) fn propose(&mut self, now: Time, height: Height, round: Round) -> FromL1 {
        let mut from = FromL1 { origin: self.origin, entries: Vec::new(), offers: Vec::new() };
        let mut bytes = 0_usize;
        if now < self.retry_at || self.tried == Some(height) {
            return from;
        }
        let factor = 1_u32.checked_shl(round.as_u32()).unwrap_or(u32::MAX);
        let age = ORIGIN_AGE.saturating_mul(factor);
        let most = usize::try_from(ORIGIN_ADVANCE_MAX).unwrap_or(usize::MAX);
        for seen in self.seen.values().take(most) {
            let added = &seen.block;
            bytes = bytes.saturating_add(size_bytes(&added.entries));
            let count = from.entries.len().saturating_add(added.entries.len());
            let offers = from.offers.len().saturating_add(added.offers.len());
            let fits = count <= RESERVE_ENTRIES
                && bytes <= RESERVE_BYTES
                && offers <= CommitteeOffer::COUNT_MAX;
            if seen.at.after(age) > now || !fits {
                break;
            }
            from.entries.extend(added.entries.iter().cloned());
            from.offers.extend(added.offers.iter().cloned());
            from.origin = added.origin;
        }
        if from.origin != self.origin {
            self.tried = Some(height);
        }
        from
    }

    /// A block was decided, and the queue is carried up to `cursor`. Returns what this node has seen in
    /// place of its origin, if that is something else: then it begins to observe anew.
    pub(crate) fn decided(&mut self, now: Time, block: &Block, cursor: u64) -> Option<L1Origin> {
        let origin = block.header.l1_origin;
        let tried = self.tried.take() == Some(block.header.height);
        if origin == self.origin {
            if tried {
                let wait = RETRY_AFTER.saturating_mul(1 << self.failures.min(RETRY_DOUBLINGS_MAX));
                self.failures = self.failures.saturating_add(1);
                self.retry_at = now.after(wait);
            }
            return None;
        }
        (self.failures, self.retry_at) = (0, Time::ZERO);
        let instead = self.seen.get(&origin.number).map(|seen| seen.block.origin);
        let confirmed = self.confirms(block);
        (self.origin, self.cursor) = (origin, cursor);
        let later = self.seen.split_off(&origin.number.saturating_add(1));
        self.seen = if confirmed { later } else { BTreeMap::new() };
        self.bytes = self.seen.values().map(|seen| seen.block.size_bytes()).sum();
        instead.filter(|_| !confirmed)
    }
}

impl Sequencer {
    /// A finalized L1 block was observed.
    pub(crate) fn on_l1(&mut self, now: Time, block: L1Block) {
        let origin = block.origin;
        match self.l1.observe(now, block) {
            Ok(()) => self.candidates.changed(),
            Err(reason) => self.event(Event::L1Refused { origin, reason }),
        }
    }

    /// A decided block has carried L1 on.
    pub(crate) fn l1_decided(&mut self, now: Time, block: &Block) {
        let observed = self.l1.decided(now, block, self.chain.parent.forced_cursor);
        if let Some(observed) = observed {
            let (height, chain) = (block.header.height, block.header.l1_origin);
            self.event(Event::L1Contradicted { height, chain, observed });
        }
    }

    /// How far chain and node have come with L1: what to feed next.
    #[must_use]
    pub fn l1_position(&self) -> L1Position {
        self.l1.position()
    }
}

/// What a block says of L1, judged from it and its parent alone. Whether L1 really is so is for everyone to
/// see by itself ([`L1View::confirms`]).
pub(crate) fn check(block: &Block, parent: &Parent) -> Result<(), InvalidBlock> {
    let (origin, before) = (block.header.l1_origin, parent.l1_origin);
    if origin.number < before.number || origin.number == before.number && origin != before {
        return Err(InvalidBlock::L1Origin { parent: before.number, found: origin.number });
    }
    let most = before.number.saturating_add(ORIGIN_ADVANCE_MAX);
    if origin.number > most {
        return Err(InvalidBlock::L1Advance { most, found: origin.number });
    }
    let least = before.number.saturating_add(1);
    check_l1_entries(&block.body.l1_entries, parent.forced_cursor, least, origin.number)?;
    check_offers(&block.body.offers, least, origin.number)?;
    if block.header.l1_entries_root != block.body.l1_entries_root() {
        return Err(InvalidBlock::Root("root of L1 entries"));
    }
    Ok(())
}

/// Whether what a block carries of L1 fits into its reserve: what does not is not worth keeping.
pub(crate) fn fits(body: &BlockBody) -> bool {
    body.l1_entries.len() <= RESERVE_ENTRIES
        && size_bytes(&body.l1_entries) <= RESERVE_BYTES
        && check_offers(&body.offers, 0, 0).is_ok()
}

impl L1Block {
    /// What it takes to hold it.
    fn size_bytes(&self) -> usize {
        let offers = self.offers.iter().map(CommitteeOffer::size_bytes).sum::<usize>();
        size_bytes(&self.entries).saturating_add(offers)
    }
}

fn size_bytes(entries: &[L1Entry]) -> usize {
    entries.iter().map(L1Entry::size_bytes).sum()
}

/// Bytes of what a block carries of L1.
pub(crate) fn body_bytes(body: &BlockBody) -> usize {
    let offers = body.offers.iter().map(CommitteeOffer::size_bytes).sum::<usize>();
    size_bytes(&body.l1_entries).saturating_add(offers)
}

/// The entries of the queue up to a block that adds `entries` to those `before`.
pub(crate) fn cursor_after(before: u64, entries: &[L1Entry]) -> u64 {
    before.saturating_add(entries.len() as u64)
}

/// What a block carries of the forced queue, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Entries of the queue up to the block's origin.
    pub cursor: u64,
    /// The forced transactions, in the order of the queue. What is for an unknown rollup is among them.
    pub forced: Vec<RevealedForced>,
    /// What the block pays out on L1, to whoever asked for it and, at the end of an epoch, of its fees.
    pub withdrawals: Vec<Withdrawal>,
}

impl Carried {
    /// What `entries` come to in a block that carries the queue up to `cursor` and pays out `withdrawals`, with
    /// these rollups known.
    #[must_use]
    pub fn new(
        cursor: u64,
        entries: &[L1Entry],
        rollups: &BTreeSet<RollupId>,
        withdrawals: Vec<Withdrawal>,
    ) -> Self {
        let forced = entries.iter().filter_map(|entry| {
            let forced = entry.forced()?.clone();
            let carried = rollups.contains(&forced.rollup);
            Some(RevealedForced { index: entry.index, entry_hash: entry.hash(), forced, carried })
        });
        Self { cursor, forced: forced.collect(), withdrawals }
    }
}

#[cfg(test)]
mod tests;
