//! What finalized L1 has told: how much had settled, and each time that rollups left and came back.

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Height, L1Origin};

use super::EscapeError;

/// Times that rollups left, 49 bytes each. One takes nine L1 blocks at least, with the shortest delay that a contract can
/// have, and a day with the usual one: 82 days and 180 years until there are so many.
pub const ESCAPES_MAX: usize = 1 << 16;

/// Something that the contracts tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L1Event {
    /// A commitment has settled, and every one below it.
    Settled {
        /// Its height.
        height: Height,
        /// Number of its L1 origin.
        origin: u64,
        /// Entries of the queue that are carried by then.
        cursor: u64,
    },
    /// Escape is active.
    Latched {
        /// Which one, from 0.
        escape: u64,
        /// The first L1 block at which too little had settled.
        latched_at: u64,
        /// The height that had settled.
        height: Height,
        /// Entries of the queue that were carried by then.
        cursor: u64,
    },
    /// It has ended.
    Returned {
        /// Which one.
        escape: u64,
        /// Entries below this one belong to the time away.
        resume_point: u64,
    },
}

/// What finalized L1 tells from one block to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1Span {
    /// The newest block that was known, as L1 has it now.
    pub since: L1Origin,
    /// The newest that is final.
    pub until: L1Origin,
    /// What the blocks after the first, up to the second, tell, in order, each with its block's number.
    pub events: Vec<(u64, L1Event)>,
}

/// A time that rollups were away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Escape {
    latched_at: u64,
    /// What had settled: height, origin, and entries carried.
    pub(super) height: Height,
    pub(super) origin: u64,
    pub(super) cursor: u64,
    /// The resume point, and the L1 block of the return.
    pub(super) resumed: Option<(u64, u64)>,
}

impl Escape {
    /// Entries below this one belong to it; none while it is active.
    pub(super) fn resume_point(&self) -> Option<u64> {
        self.resumed.map(|(point, _)| point)
    }
}

/// What matters of what L1 told, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Settled(Height),
    Latched,
}

/// Everything that L1 has told.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Seen {
    newest: L1Origin,
    settled: Height,
    origin: u64,
    cursor: u64,
    escapes: Vec<Escape>,
}

impl Seen {
    pub(super) const fn new(first: L1Origin) -> Self {
        let (settled, origin) = (Height::ZERO, first.number);
        Self { newest: first, settled, origin, cursor: 0, escapes: Vec::new() }
    }

    pub(super) const fn newest(&self) -> L1Origin {
        self.newest
    }

    /// The newest height that has settled.
    pub(super) const fn settled(&self) -> Height {
        self.settled
    }

    pub(super) fn escape(&self, index: u64) -> Option<&Escape> {
        self.escapes.get(usize::try_from(index).ok()?)
    }

    /// The escape that is active, or else the next.
    fn expected(&self) -> u64 {
        let is_open = self.escapes.last().is_some_and(|last| last.resumed.is_none());
        let over = self.escapes.len().saturating_sub(usize::from(is_open));
        u64::try_from(over).unwrap_or(u64::MAX)
    }

    /// With what a span tells, and what of it matters. A span that ends before the newest block is not looked at.
    pub(super) fn after(&self, span: &L1Span) -> Result<(Self, Vec<Change>), EscapeError> {
        let (known, L1Span { since, until, events }) = (self.newest, span);
        let is_same = |found: &L1Origin| match *found == known {
            true => Ok(()),
            false => Err(EscapeError::Reorganized {
                number: known.number,
                expected: known.hash,
                found: found.hash,
            }),
        };
        if until.number == known.number {
            is_same(until)?;
        }
        if until.number <= known.number {
            return Ok((self.clone(), Vec::new()));
        }
        if since.number != known.number {
            let (expected, found) = (known.number, since.number);
            return Err(EscapeError::SpanMissing { expected, found });
        }
        is_same(since)?;
        let (mut seen, mut changes) = (self.clone(), Vec::new());
        let mut from = known.number.saturating_add(1);
        for (number, event) in events {
            if !(from..=until.number).contains(number) {
                let (until, found) = (until.number, *number);
                return Err(EscapeError::EventMisplaced { from, until, found });
            }
            from = *number;
            changes.extend(seen.tells(*number, event)?);
        }
        seen.newest = *until;
        Ok((seen, changes))
    }

    fn tells(&mut self, number: u64, event: &L1Event) -> Result<Option<Change>, EscapeError> {
        match *event {
            L1Event::Settled { height, origin, cursor } => {
                if height <= self.settled || origin < self.origin || cursor < self.cursor {
                    return Err(EscapeError::SettledBack { settled: self.settled, found: height });
                }
                (self.settled, self.origin, self.cursor) = (height, origin, cursor);
                Ok(Some(Change::Settled(height)))
            }
            L1Event::Latched { escape, latched_at, height, cursor } => {
                let origin = self.origin;
                let told = Escape { latched_at, height, origin, cursor, resumed: None };
                self.latches(number, escape, told)
            }
            L1Event::Returned { escape, resume_point } => {
                self.returns(escape, (resume_point, number))?;
                Ok(None)
            }
        }
    }

    fn latches(
        &mut self,
        number: u64,
        escape: u64,
        told: Escape,
    ) -> Result<Option<Change>, EscapeError> {
        if let Some(before) = self.escape(escape) {
            // Told again, in the same words.
            let is_same = (before.latched_at, before.height, before.cursor)
                == (told.latched_at, told.height, told.cursor);
            return is_same.then_some(None).ok_or(EscapeError::EscapeChanged(escape));
        }
        let expected = self.expected();
        if escape != expected {
            return Err(EscapeError::EscapeMissing { expected, found: escape });
        }
        let is_due = self.origin < told.latched_at && told.latched_at <= number;
        if told.height != self.settled || told.cursor != self.cursor || !is_due {
            let (settled, found) = (self.settled, told.height);
            return Err(EscapeError::LatchedElsewhere { escape, settled, found });
        }
        if self.escapes.len() >= ESCAPES_MAX {
            return Err(EscapeError::TooManyEscapes(ESCAPES_MAX));
        }
        self.escapes.push(told);
        Ok(Some(Change::Latched))
    }

    fn returns(&mut self, escape: u64, resumed: (u64, u64)) -> Result<(), EscapeError> {
        let missing = EscapeError::EscapeMissing { expected: self.expected(), found: escape };
        let before = escape.checked_sub(1).and_then(|before| self.escape(before)?.resume_point());
        // A number that no list is long enough for is missing, too.
        let place = usize::try_from(escape).ok();
        let away = place.and_then(|place| self.escapes.get_mut(place)).ok_or(missing)?;
        if let Some(told) = away.resumed {
            return (told == resumed).then_some(()).ok_or(EscapeError::EscapeChanged(escape));
        }
        let (expected, found) = (away.cursor.max(before.unwrap_or(0)), resumed.0);
        if found < expected {
            return Err(EscapeError::ResumeTooLow { expected, found });
        }
        away.resumed = Some(resumed);
        Ok(())
    }
}
