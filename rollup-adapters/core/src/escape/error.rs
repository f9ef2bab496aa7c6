//! What contradicts itself, or what came before.

use conclave_types::{Digest, Height, RollupId};

/// Why something that was brought is refused. Nothing has changed then. What a node served is that node's fault: ask
/// another one. What L1 told is either its endpoint's or, if others say the same, L1's, and then people have to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EscapeError {
    /// A batch of somebody else.
    #[error("batch is for rollup {found}, expected {expected}")]
    OtherRollup {
        /// Ours.
        expected: RollupId,
        /// The batch's.
        found: RollupId,
    },
    /// A batch is missing.
    #[error("gap in the batches: expected {expected}, found {found}")]
    Gap {
        /// The next one.
        expected: u64,
        /// The one that came, or is said to come next.
        found: u64,
    },
    /// The batch does not connect to the one before.
    #[error(
        "batch {sequence} follows height {found}, or is not above it; expected to follow {expected}"
    )]
    Disconnected {
        /// The batch.
        sequence: u64,
        /// Height of the batch that we have.
        expected: Height,
        /// Height of the batch that it claims to follow.
        found: Height,
    },
    /// A batch had settled before rollups left, and comes after they did: an earlier batch or heartbeat was a lie, and
    /// what was executed since is not the rollup's chain. Derive it again from the beginning, from another node.
    #[error(
        "batch {sequence} of height {found} comes late: rollups left at height {latch}, and somebody said that there \
         is none; derive again from the beginning, from another node"
    )]
    BatchLate {
        /// The batch.
        sequence: u64,
        /// The height that had settled at the latch.
        latch: Height,
        /// The batch's height.
        found: Height,
    },
    /// An entry of the queue is missing, or there for a second time.
    #[error("the queue does not go on: expected entry {expected}, found {found}")]
    EntryMisplaced {
        /// The next one.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// An entry is said to be in another L1 block than the one that it came with.
    #[error("entry {index} is of L1 block {found}, expected {expected}")]
    OtherBlock {
        /// The entry.
        index: u64,
        /// The block that it came with.
        expected: u64,
        /// Its own.
        found: u64,
    },
    /// The entries come from an L1 block that is not known to be final.
    #[error("entries of L1 block {found}, and {newest} is the newest that is known to be final")]
    NotFinal {
        /// The newest that is known.
        newest: u64,
        /// The entries' block.
        found: u64,
    },
    /// A final block of L1 is another one by now.
    #[error("L1 block {number} was final as {expected}, and is {found}")]
    Reorganized {
        /// The block.
        number: u64,
        /// Its hash as we know it.
        expected: Digest,
        /// Its hash now.
        found: Digest,
    },
    /// Blocks of L1 are left out.
    #[error("L1 is told from block {found} on, expected from {expected}")]
    SpanMissing {
        /// The newest that is known.
        expected: u64,
        /// Where the span begins.
        found: u64,
    },
    /// An event is outside of its span, or before the one that it is told after.
    #[error("an event of L1 block {found} is told among those of {from} to {until}")]
    EventMisplaced {
        /// The earliest that it could be of.
        from: u64,
        /// The latest.
        until: u64,
        /// Its block.
        found: u64,
    },
    /// What settles does not go on with what has settled.
    #[error("height {found} settles after {settled}, or carries less of L1 or of the queue")]
    SettledBack {
        /// What has settled.
        settled: Height,
        /// What is said to settle next.
        found: Height,
    },
    /// An escape, or a return from one, that is not the next.
    #[error("escape {found} is told of, expected {expected}")]
    EscapeMissing {
        /// The next, or the one that is active.
        expected: u64,
        /// The one that was told of.
        found: u64,
    },
    /// An escape is told of in two ways, or a return from it.
    #[error("escape {0} is told of twice, and not alike")]
    EscapeChanged(u64),
    /// The latch names something else than what had settled, or a time that is none.
    #[error(
        "escape {escape} latches on height {found}, and {settled} had settled; or its cursor or its block is another"
    )]
    LatchedElsewhere {
        /// The escape.
        escape: u64,
        /// What had settled.
        settled: Height,
        /// What it names.
        found: Height,
    },
    /// A resume point below entries that belong to the time away.
    #[error("the resume point is {found}, expected {expected} or above")]
    ResumeTooLow {
        /// The first that could be.
        expected: u64,
        /// The one that is told.
        found: u64,
    },
    /// There are more escapes than anybody lives to see.
    #[error("more than {0} escapes")]
    TooManyEscapes(usize),
}
