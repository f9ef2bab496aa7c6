//! From the batch stream to EVM slots.
//!
//! Conclave decides several heights a second, but EVM time is strictly increasing whole seconds. So
//! all batches whose block time falls into the same slot become one EVM block. Every node must cut
//! the stream at the same places, however it is chunked, interrupted or repeated on the way; hence
//! the cut depends on block times alone:
//!
//! ```text
//! batches   7 @12.1s   8 @12.4s   9 @12.9s │ 10 @14.0s   heartbeat @15.2s
//! slots     └──────── slot 12 ────────────┘ └─ slot 14 ─┘ (13 is empty: no EVM block)
//! ```
//!
//! A slot is over once something with a later block time has arrived: a batch, or a heartbeat, which
//! says that no batch up to its height is missing.
//!
//! Input is at-least-once. A batch that was seen before is skipped; a gap, a height or a time that
//! goes backwards is an error, and nothing of it reaches execution.

use std::num::NonZeroU64;

use conclave_types::{Batch, BlockId, Digest, Height, ItemSource, RollupId, Time};
use ethrex_crypto::keccak::keccak_hash;

/// Raw transaction bytes of one slot that are kept for execution; what comes behind is skipped with
/// an outcome. An EVM block may have 10 MiB (EIP-7934), so this leaves room for five times as much
/// that is invalid, and bounds the memory of a slot.
pub const SLOT_BYTES_MAX: usize = 48 << 20;

/// Where a rollup stands in its stream: after the batch of `height`, before `next_sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Number of the next batch.
    pub next_sequence: u64,
    /// Height of the batch before; 0 if there is none.
    pub height: Height,
}

/// Why header bytes hold no cursor.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected {expected} bytes of cursor in the block's extra data, found {found}")]
pub struct CursorError {
    expected: usize,
    found: usize,
}

impl Cursor {
    /// Before the first batch.
    pub const GENESIS: Self = Self { next_sequence: 0, height: Height::ZERO };

    /// The cursor as an EVM block carries it: `next_sequence u64 ‖ height u64`, big endian.
    #[must_use]
    pub fn to_extra_data(self) -> [u8; 16] {
        let number = (u128::from(self.next_sequence) << 64) | u128::from(self.height.as_u64());
        number.to_be_bytes()
    }

    /// Reads what [`Cursor::to_extra_data`] wrote.
    ///
    /// # Errors
    ///
    /// [`CursorError`] if the length is wrong.
    pub fn from_extra_data(bytes: &[u8]) -> Result<Self, CursorError> {
        let (sequence, height) = bytes
            .split_first_chunk::<8>()
            .and_then(|(sequence, rest)| Some((sequence, <&[u8; 8]>::try_from(rest).ok()?)))
            .ok_or(CursorError { expected: 16, found: bytes.len() })?;
        Ok(Self {
            next_sequence: u64::from_be_bytes(*sequence),
            height: Height::new(u64::from_be_bytes(*height)),
        })
    }
}

/// One transaction of a slot, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotItem {
    /// The batch that it came in.
    pub sequence: u64,
    /// Which leg of which bundle it is, or which entry of the forced queue.
    pub source: ItemSource,
    /// keccak256 of its bytes: the transaction hash, if it is a transaction.
    pub hash: Digest,
    /// Its bytes; none if it came behind [`SLOT_BYTES_MAX`].
    pub transaction: Option<Vec<u8>>,
}

/// All batches of one EVM slot: what becomes one EVM block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// EVM timestamp: the first second of the slot.
    pub timestamp: u64,
    /// Where the stream goes on behind this slot.
    pub end: Cursor,
    /// Decided block of the slot's last batch.
    pub block: BlockId,
    /// Randomness of the slot's last batch.
    pub randomness: Digest,
    /// The transactions of all its batches.
    pub items: Vec<SlotItem>,
    bytes: usize,
}

impl Slot {
    fn extend(&mut self, batch: Batch) {
        self.end = Cursor { next_sequence: batch.sequence.saturating_add(1), height: batch.height };
        self.block = batch.block;
        self.randomness = batch.randomness;
        for item in batch.items {
            let hash = Digest::new(keccak_hash(&item.transaction));
            self.bytes = self.bytes.saturating_add(item.transaction.len());
            let transaction = (self.bytes <= SLOT_BYTES_MAX).then_some(item.transaction);
            self.items.push(SlotItem {
                sequence: batch.sequence,
                source: item.source,
                hash,
                transaction,
            });
        }
    }
}

/// What a sequencer node tells about the rollup.
#[derive(Clone, Debug)]
pub enum Event {
    /// The next batch.
    Batch(Batch),
    /// Everything up to a block has been sent.
    Heartbeat {
        /// Time of that block.
        time: Time,
        /// The number that the next batch will have.
        next_sequence: u64,
    },
}

/// Why an event cannot follow the ones before. The node that sent it is at fault: reconnect and ask
/// again from the last executed cursor.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StreamError {
    /// A batch of somebody else.
    #[error("batch is for rollup {found}, expected {expected}")]
    OtherRollup {
        /// Ours.
        expected: RollupId,
        /// The batch's.
        found: RollupId,
    },
    /// A batch is missing.
    #[error("gap in the stream: expected batch {expected}, found {found}")]
    Gap {
        /// The next one.
        expected: u64,
        /// The one that came, or that a heartbeat says comes next.
        found: u64,
    },
    /// The batch does not connect to the one before.
    #[error("batch {sequence} follows height {found}, expected {expected}")]
    Disconnected {
        /// The batch.
        sequence: u64,
        /// Height of the batch that we have.
        expected: Height,
        /// Height of the batch that it claims to follow.
        found: Height,
    },
    /// The height does not grow.
    #[error("batch {sequence} is at height {height}, not above {previous}")]
    HeightNotAbove {
        /// The batch.
        sequence: u64,
        /// Its height.
        height: Height,
        /// Height of the batch before.
        previous: Height,
    },
    /// The time goes back into a slot that is over.
    #[error("batch {sequence} is for second {found}, but second {expected} was reached before")]
    TimeWentBack {
        /// The batch.
        sequence: u64,
        /// The earliest second possible.
        expected: u64,
        /// Its own.
        found: u64,
    },
}

/// Cuts a stream of events into slots. See the module's documentation for the rule.
#[derive(Debug)]
pub struct Slots {
    rollup: RollupId,
    period: NonZeroU64,
    /// First second that a batch may still have.
    earliest: u64,
    cursor: Cursor,
    open: Option<Slot>,
}

impl Slots {
    /// Starts behind an executed EVM block with this timestamp and cursor. `period` is the length of
    /// a slot in seconds.
    #[must_use]
    pub fn new(rollup: RollupId, period: NonZeroU64, cursor: Cursor, timestamp: u64) -> Self {
        Self { rollup, period, earliest: timestamp.saturating_add(1), cursor, open: None }
    }

    /// The next batch that is expected.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Transactions that wait for their slot to end.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.open.as_ref().map_or(0, |slot| slot.items.len())
    }

    /// Takes the next event; answers with a slot if this event shows that the slot is over.
    ///
    /// # Errors
    ///
    /// [`StreamError`] if the event does not follow the ones before; the state stays as it was.
    pub fn push(&mut self, event: Event) -> Result<Option<Slot>, StreamError> {
        match event {
            Event::Batch(batch) if batch.sequence < self.cursor.next_sequence => Ok(None),
            Event::Batch(batch) => {
                self.check(&batch)?;
                let timestamp = self.slot_of(batch.time);
                let over = self.close_before(timestamp);
                self.earliest = timestamp;
                let slot = self.open.get_or_insert_with(|| Slot {
                    timestamp,
                    end: self.cursor,
                    block: batch.block,
                    randomness: batch.randomness,
                    items: Vec::new(),
                    bytes: 0,
                });
                slot.extend(batch);
                self.cursor = slot.end;
                Ok(over)
            }
            Event::Heartbeat { time, next_sequence } => {
                let expected = self.cursor.next_sequence;
                if next_sequence > expected {
                    return Err(StreamError::Gap { expected, found: next_sequence });
                }
                // A node that is behind us knows nothing about our open slot.
                let current = next_sequence == expected;
                Ok(if current { self.close_before(self.slot_of(time)) } else { None })
            }
        }
    }

    fn check(&self, batch: &Batch) -> Result<(), StreamError> {
        let (sequence, previous) = (batch.sequence, self.cursor.height);
        if batch.rollup != self.rollup {
            return Err(StreamError::OtherRollup { expected: self.rollup, found: batch.rollup });
        }
        if sequence != self.cursor.next_sequence {
            let expected = self.cursor.next_sequence;
            return Err(StreamError::Gap { expected, found: sequence });
        }
        if batch.previous_height != previous {
            let found = batch.previous_height;
            return Err(StreamError::Disconnected { sequence, expected: previous, found });
        }
        if batch.height <= previous {
            return Err(StreamError::HeightNotAbove { sequence, height: batch.height, previous });
        }
        let found = self.slot_of(batch.time);
        if found < self.earliest {
            return Err(StreamError::TimeWentBack { sequence, expected: self.earliest, found });
        }
        Ok(())
    }

    fn slot_of(&self, time: Time) -> u64 {
        let seconds = time.as_secs();
        seconds.saturating_sub(seconds.checked_rem(self.period.get()).unwrap_or(0))
    }

    fn close_before(&mut self, timestamp: u64) -> Option<Slot> {
        self.open.take_if(|slot| slot.timestamp < timestamp)
    }
}

#[cfg(test)]
mod tests;
