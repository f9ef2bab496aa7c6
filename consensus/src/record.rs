//! What must be on disk before anyone may see it.
//!
//! Three kinds of record, because they fail apart. The **WAL** holds every input of the current height
//! that moved the state machine, so that a restarted validator is in the same state with the same
//! lock. A **signed record** holds each message that this validator signed, so that it can be sent
//! again, and never another in its place. The **high-water mark** is the last position at which it
//! signed; it lives apart from the database, so that a validator whose database was lost or rolled
//! back knows where it must be silent.
//!
//! **Order.** Transaction (WAL and signed records), then mark, then messages. A machine that dies
//! before the mark finds the newer position in the records and goes on. The other order is safe too,
//! but a machine that dies between finds a mark without a record and must refuse that position; if
//! more than a third do so at one precommit, as after a loss of power, that round never ends.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Digest, Epoch, Height, Round, VoteKind};

use crate::message::{SignedProposal, SignedVote};

/// What is signed within a round, in the order in which it is signed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Step {
    /// A proposal.
    Propose,
    /// A prevote.
    Prevote,
    /// A precommit.
    Precommit,
}

impl From<VoteKind> for Step {
    fn from(kind: VoteKind) -> Self {
        match kind {
            VoteKind::Prevote => Self::Prevote,
            VoteKind::Precommit => Self::Precommit,
        }
    }
}

/// Where an honest validator signs at most one message.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct SigningPosition {
    /// The height.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The step.
    pub step: Step,
}

/// The last position at which this validator signed. Grows strictly; kept apart from the database.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct HighWater {
    /// The position.
    pub at: SigningPosition,
    /// WAL entries of that height written by earlier steps. A restarted validator that finds fewer
    /// has lost inputs that others saw it act on.
    pub wal_entries: u64,
    /// The newest commitment that it attested; none before the first.
    pub attested: Option<Attested>,
}

/// What a validator is bound by that has attested: a commitment covers every height before its own.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Attested {
    /// The epoch for which it binds.
    pub epoch: Epoch,
    /// The height.
    pub height: Height,
    /// The commitment's digest; none if it was lost with the mark, and no history is known to be that one.
    pub digest: Option<Digest>,
}

impl HighWater {
    /// The height of the mark.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.at.height
    }

    /// The mark to write when the records of several calls go into one transaction: the later
    /// position, and the entries that were there before the first of them.
    #[must_use]
    pub fn merge(self, later: Self) -> Self {
        let attested = self.attested.max(later.attested);
        let (first, last) = if self.at <= later.at { (self, later) } else { (later, self) };
        if first.height() == last.height() {
            let wal_entries = first.wal_entries.min(last.wal_entries);
            Self { at: last.at, wal_entries, attested }
        } else {
            Self { attested, ..last }
        }
    }
}

/// A message that this validator signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SignedRecord {
    /// A vote.
    Vote(Arc<SignedVote>),
    /// A proposal.
    Proposal(Arc<SignedProposal>),
}

impl SignedRecord {
    /// Where it was signed. One record is kept for each position.
    #[must_use]
    pub fn position(&self) -> SigningPosition {
        match self {
            Self::Vote(vote) => {
                SigningPosition { height: vote.height, round: vote.round, step: vote.kind.into() }
            }
            Self::Proposal(proposal) => SigningPosition {
                height: proposal.height,
                round: proposal.round,
                step: Step::Propose,
            },
        }
    }
}

/// One entry of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WalEntry {
    /// The height it belongs to; the log of a decided height can be deleted.
    pub height: Height,
    /// Its place within the height, from 0, without gaps.
    pub index: u64,
    /// The input, opaque outside this crate.
    pub bytes: Vec<u8>,
}

/// What the shell must make durable before it acts on any later output of the same step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An input of the current height.
    Wal(WalEntry),
    /// A message that was signed. Needed until its height is decided.
    Signed(SignedRecord),
    /// The new high-water mark. Written apart, after the transaction with the two others.
    HighWater(HighWater),
}

/// What a validator finds on its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The newest decided height whose block is stored; zero before the first.
    pub decided: Height,
    /// The high-water mark, if there is one.
    pub high_water: Option<HighWater>,
    /// Whether the operator and the disk permit signing. A validator whose disk was empty follows and
    /// decides, but does not sign.
    pub may_sign: bool,
    /// The write-ahead log of the height after `decided`, in order.
    pub wal: Vec<WalEntry>,
    /// The signed records of the heights after `decided`.
    pub signed: Vec<SignedRecord>,
}
