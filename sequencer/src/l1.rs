//! What this node sees of L1, and what a block may say of it.
//!
//! The shell feeds finalized L1 blocks one after the other, from the one after the chain's origin on. They
//! are held until a decided block has carried them: a proposer takes its origin and entries from here, and
//! everyone else withholds a block until it has seen that origin, with exactly these entries. What is fed
//! is one provider's word; what is decided is a quorum's. Where they differ the chain goes on, this node says
//! so, and begins to observe anew from the chain's origin.
//!
//! **Bounds.** [`BLOCKS_MAX`] L1 blocks with [`BYTES_MAX`] bytes of entries. Beyond that the shell is told to
//! come back; nothing is lost, since L1 keeps it.

use std::collections::BTreeMap;

use conclave_types::{Digest, L1Entry, L1EntryError, L1Origin, Time, check_l1_entries};

use crate::{input::Event, sequencer::Sequencer};

/// L1 blocks that are held: more than three hours of Ethereum.
const BLOCKS_MAX: usize = 1_024;
/// Bytes of their entries: at least four blocks that are as full as can be.
const BYTES_MAX: usize = 8 << 20;

/// A finalized L1 block, as a shell has observed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1Block {
    /// Its number and hash.
    pub origin: L1Origin,
    /// Hash of the block before.
    pub parent: Digest,
    /// What it added to the queue, in order.
    pub entries: Vec<L1Entry>,
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
}

/// What this node sees of L1 beyond the chain's origin.
#[derive(Debug)]
pub(crate) struct L1View {
    origin: L1Origin,
    cursor: u64,
    /// Consecutive blocks, the first one right after `origin`.
    seen: BTreeMap<u64, Seen>,
    bytes: usize,
}

impl L1View {
    pub(crate) const fn new(origin: L1Origin, cursor: u64) -> Self {
        Self { origin, cursor, seen: BTreeMap::new(), bytes: 0 }
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
    fn observe(&mut self, block: L1Block) -> Result<(), L1Refusal> {
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
        if !self.position().has_room {
            return Err(L1Refusal::Full { blocks: self.seen.len() });
        }
        let bytes = block.entries.iter().map(L1Entry::size_bytes).sum();
        self.bytes = self.bytes.saturating_add(bytes);
        self.seen.insert(number, Seen { block, cursor });
        Ok(())
    }
}

impl Sequencer {
    /// A finalized L1 block was observed.
    pub(crate) fn on_l1(&mut self, block: L1Block) {
        let origin = block.origin;
        match self.l1.observe(block) {
            Ok(()) => self.candidates.changed(),
            Err(reason) => self.event(Event::L1Refused { origin, reason }),
        }
    }

    /// How far chain and node have come with L1: what to feed next.
    #[must_use]
    pub fn l1_position(&self) -> L1Position {
        self.l1.position()
    }
}

#[cfg(test)]
mod tests;
