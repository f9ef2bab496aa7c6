//! Signs at most once for each position, whatever happened before.
//!
//! ```text
//!  asked to sign at p ─▶ silent here? ──────────────────────▶ refuse
//!                        a record at p, same message? ───────▶ give out the stored signature
//!                        a record at p, another message? ────▶ refuse; a vote also ends this height
//!                        p ≤ high-water mark? ───────────────▶ refuse (signed once, record lost)
//!                        otherwise ──────────────────────────▶ move the mark to p, sign, record
//! ```
//!
//! **Invariant.** The mark only grows, and a fresh signature is made only above it. Since the mark is
//! durable before the signature leaves, no crash, rollback or repeated input yields two signatures
//! for one position.
//!
//! **Attestations.** A commitment covers every height before its own, so whoever attests is bound by a history for as long
//! as the epoch lasts. The mark says by which ([`Attested`]): a validator that lost its database and is given another chain
//! attests nothing of it in that epoch. One that lost the mark too is bound by a history that it does not know.
//!
//! **Locks.** A precommit also binds what may be prevoted later, and that lock is in the WAL. So a
//! validator whose WAL of a height is incomplete must be silent for all of that height, not only up
//! to the mark: see [`Signer::recover`].

use std::{collections::BTreeMap, sync::Arc};

use conclave_types::{
    BlockId, Committee, ConsensusKey, Epoch, Height, Round, SignatureBytes, ValidatorIndex,
    digest::SigningDomain,
};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::{
    message::{SignedProposal, SignedVote},
    record::{Attested, HighWater, Record, Recovered, SignedRecord, SigningPosition, Step},
    terms::Seats,
};

/// Why a validator does not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// The node has no key, or it is none of this height's committee.
    #[error("this node has no consensus key in the committee")]
    NoKey,
    /// Its disk was empty, or the operator said so.
    #[error("signing is not permitted: the signing history is not known to be complete")]
    NotPermitted,
    /// The high-water mark names positions of which the records are gone.
    #[error("signing records were lost; silent up to height {until}")]
    RecordsLost {
        /// The last silent height.
        until: Height,
    },
    /// A vote other than the recorded one was asked for, or another instance signed with this key.
    #[error(
        "the signing history does not fit the state at height {height}; silent for that height"
    )]
    Diverged {
        /// The silent height.
        height: Height,
    },
}

/// Holds the key and the history of what it signed.
#[derive(Debug)]
pub(crate) struct Signer {
    domain: SigningDomain,
    key: Option<SigningKey>,
    /// The epoch of the current height, and which member of its committee this node is.
    epoch: Epoch,
    index: Option<ValidatorIndex>,
    permitted: bool,
    mark: Option<HighWater>,
    /// What its attestations bind it to.
    attested: Option<Attested>,
    /// The mark, if the records were found ahead of it and it is still to be written.
    overdue: Option<HighWater>,
    /// One for each position of the current height (and of later ones, if recovered).
    records: BTreeMap<SigningPosition, SignedRecord>,
    lost_until: Option<Height>,
    diverged: Option<Height>,
    height: Height,
}

impl Signer {
    /// Takes up the history found on disk. `logged` are our own messages in the recovered WAL.
    ///
    /// The history of the height after the tip is complete if the mark is not above that height, the
    /// WAL holds at least what the mark says was written before, and every signed record of the height
    /// is in the WAL too (both are written in one transaction).
    pub(crate) fn recover(
        domain: SigningDomain,
        (key, index): (Option<SigningKey>, Option<ValidatorIndex>),
        epoch: Epoch,
        recovered: &Recovered,
        logged: &[SignedRecord],
    ) -> Self {
        let next = recovered.decided.next();
        let entries = recovered.wal.iter().filter(|entry| entry.height == next).count() as u64;
        let records: BTreeMap<_, _> = recovered
            .signed
            .iter()
            .filter(|record| record.position().height >= next)
            .map(|record| (record.position(), record.clone()))
            .collect();
        let attested = recovered.high_water.and_then(|mark| mark.attested);
        let newest = records.last_key_value().map(|(at, _)| HighWater {
            at: *at,
            wal_entries: entries,
            attested,
        });
        // The machine died between the two writes; the mark must follow before the record is sent.
        let is_ahead = |newest: &HighWater| recovered.high_water.is_none_or(|it| it.at < newest.at);
        let overdue = newest.filter(is_ahead);
        let mark = overdue.or(recovered.high_water);
        let complete = |mark: &HighWater| {
            // Before the first entry nothing but a proposal and a prevote can have been signed, and
            // neither is a lock, so the mark alone is enough.
            let enough = if mark.wal_entries == 0 && entries == 0 {
                mark.at.step < Step::Precommit
            } else {
                entries >= mark.wal_entries
            };
            mark.height() == next
                && enough
                && records.values().all(|record| logged.contains(record))
        };
        let lost_until =
            mark.filter(|mark| mark.height() >= next && !complete(mark)).map(|mark| mark.height());
        Self {
            domain,
            key,
            epoch,
            index,
            permitted: recovered.may_sign,
            mark,
            attested,
            overdue,
            records,
            lost_until,
            diverged: None,
            height: next,
        }
    }

    /// The operator vouches that nothing was signed above `height`: sign there, and be silent up to it.
    pub(crate) fn resume_above(&mut self, height: Height, out: &mut Vec<Record>) {
        if self.permitted {
            return;
        }
        let at = SigningPosition { height, round: Round::ZERO, step: Step::Propose };
        self.permitted = true;
        self.lost_until = Some(height);
        self.forget_attested(height);
        // No log is ever as long as this mark says, so a restart is silent up to it as well.
        self.raise(at, u64::MAX, out);
    }

    /// It may have attested another history than its own: it attests nothing more for which that could be held against it.
    /// On another side of a fork this epoch may have ended sooner, and the next one begun.
    fn forget_attested(&mut self, height: Height) {
        let lost = Attested { epoch: self.epoch.next(), height, digest: None };
        self.attested = self.attested.max(Some(lost));
    }

    fn raise(&mut self, at: SigningPosition, wal_entries: u64, out: &mut Vec<Record>) {
        let mark = HighWater { at, wal_entries, attested: self.attested };
        self.mark = Some(mark);
        out.push(Record::HighWater(mark));
    }

    /// The own index at the current height, if this node is a member of its committee.
    pub(crate) const fn index(&self) -> Option<ValidatorIndex> {
        self.index
    }

    /// Whether the signing history is known to be whole.
    pub(crate) const fn is_permitted(&self) -> bool {
        self.permitted
    }

    /// Which member of a committee this node is, if it is one.
    pub(crate) fn index_in(&self, committee: &Committee) -> Option<ValidatorIndex> {
        own_index(self.key.as_ref(), committee)
    }

    /// Goes on to `height`, which has this committee; records of earlier heights are not needed any more.
    pub(crate) fn start_height(&mut self, height: Height, seats: &Seats, out: &mut Vec<Record>) {
        out.extend(self.overdue.take().map(Record::HighWater));
        self.height = height;
        self.epoch = seats.epoch;
        self.index = self.index_in(&seats.committee);
        self.records.retain(|position, _| position.height >= height);
    }

    /// Whether it signs at the current height, and if not, why.
    pub(crate) fn may_sign(&self) -> Result<(), Silence> {
        if self.index.is_none() {
            return Err(Silence::NoKey);
        }
        if !self.permitted {
            return Err(Silence::NotPermitted);
        }
        if let Some(until) = self.lost_until.filter(|until| self.height <= *until) {
            return Err(Silence::RecordsLost { until });
        }
        match self.diverged.filter(|height| *height == self.height) {
            Some(height) => Err(Silence::Diverged { height }),
            None => Ok(()),
        }
    }

    /// Whether the WAL of the current height is kept. It is not where records were lost: a log with a
    /// hole would look complete after the next restart.
    pub(crate) fn keeps_wal(&self) -> bool {
        self.index.is_some()
            && self.permitted
            && self.lost_until.is_none_or(|until| self.height > until)
    }

    /// Ends signing at the current height: the history and the state do not fit together.
    pub(crate) fn diverge(&mut self) {
        self.diverged = Some(self.height);
    }

    /// The proposal that was signed in this round, if one was.
    pub(crate) fn proposal_at(&self, height: Height, round: Round) -> Option<&Arc<SignedProposal>> {
        let record = self.records.get(&SigningPosition { height, round, step: Step::Propose })?;
        match record {
            SignedRecord::Proposal(proposal) => Some(proposal),
            SignedRecord::Vote(_) => None,
        }
    }

    /// The block that was proposed in this round, if one was.
    pub(crate) fn proposed(&self, height: Height, round: Round) -> Option<BlockId> {
        self.proposal_at(height, round).map(|proposal| proposal.block)
    }

    /// Whether a proposal could be signed at this position.
    pub(crate) fn may_propose(&self, height: Height, round: Round) -> bool {
        let position = SigningPosition { height, round, step: Step::Propose };
        self.may_sign().is_ok()
            && (self.records.contains_key(&position) || self.is_above_mark(position))
    }

    /// Whether this validator may attest a decided block: not where it has, or may have, lost what it signed.
    /// Whose turn that is, the height's committee says: whoever has left since attests its last heights.
    pub(crate) fn may_attest(&self, height: Height) -> bool {
        self.key.is_some()
            && self.permitted
            && self.lost_until.is_none_or(|until| height > until)
            && self.diverged.is_none_or(|at| height > at)
    }

    /// What its attestations bind it to.
    pub(crate) const fn attested(&self) -> Option<Attested> {
        self.attested
    }

    /// An attestation of a decided block is about to become durable. The mark covers it: should the database
    /// go back to before the decision, this validator is silent up to there; and it knows by which history it is bound.
    pub(crate) fn attests(&mut self, what: Attested, out: &mut Vec<Record>) {
        let height = what.height;
        self.attested = self.attested.max(Some(what));
        let at = SigningPosition { height, round: Round::new(u32::MAX), step: Step::Precommit };
        match self.mark {
            // No log is ever as long as this says. The height is decided, so nobody misses it.
            None => self.raise(at, u64::MAX, out),
            Some(mark) if mark.height() <= height && mark.at < at => self.raise(at, u64::MAX, out),
            Some(mark) if mark.attested != self.attested => {
                self.raise(mark.at, mark.wal_entries, out);
            }
            Some(_) => {}
        }
    }

    /// A message of ours came in from the network. One that is not on record was signed by a lost past
    /// or a second instance of this validator: never sign at or below it, nor at all at that height.
    pub(crate) fn observe(&mut self, record: &SignedRecord, out: &mut Vec<Record>) {
        let position = record.position();
        if position.height < self.height || self.records.get(&position) == Some(record) {
            return;
        }
        self.diverged = Some(position.height).max(self.diverged);
        // Without a whole history there must be no mark either: the next start would take it for one.
        if self.permitted && self.is_above_mark(position) {
            self.forget_attested(position.height);
            self.raise(position, u64::MAX, out);
        }
    }

    /// Signs a vote, or gives out the stored one, or refuses.
    pub(crate) fn vote(
        &mut self,
        mut vote: SignedVote,
        wal_entries: u64,
        out: &mut Vec<Record>,
    ) -> Option<Arc<SignedVote>> {
        self.may_sign().ok()?;
        let SignedVote { height, round, kind, .. } = vote;
        let position = SigningPosition { height, round, step: kind.into() };
        match self.records.get(&position) {
            Some(SignedRecord::Vote(stored)) if stored.block == vote.block => {
                return Some(Arc::clone(stored));
            }
            Some(_) => {
                self.diverge();
                return None;
            }
            None => {}
        }
        let digest = vote.digest(&self.domain, self.epoch);
        vote.signature = self.sign(position, digest.as_bytes(), wal_entries, out)?;
        let vote = Arc::new(vote);
        self.record(SignedRecord::Vote(Arc::clone(&vote)), out);
        Some(vote)
    }

    /// Signs a proposal, or gives out the stored one, or refuses.
    pub(crate) fn proposal(
        &mut self,
        mut proposal: SignedProposal,
        wal_entries: u64,
        out: &mut Vec<Record>,
    ) -> Option<Arc<SignedProposal>> {
        self.may_sign().ok()?;
        let SignedProposal { height, round, .. } = proposal;
        let position = SigningPosition { height, round, step: Step::Propose };
        if let Some(record) = self.records.get(&position) {
            return match record {
                SignedRecord::Proposal(stored)
                    if (stored.block, stored.pol_round) == (proposal.block, proposal.pol_round) =>
                {
                    Some(Arc::clone(stored))
                }
                SignedRecord::Proposal(_) | SignedRecord::Vote(_) => None,
            };
        }
        let digest = proposal.digest(&self.domain, self.epoch);
        proposal.signature = self.sign(position, digest.as_bytes(), wal_entries, out)?;
        let proposal = Arc::new(proposal);
        self.record(SignedRecord::Proposal(Arc::clone(&proposal)), out);
        Some(proposal)
    }

    fn is_above_mark(&self, position: SigningPosition) -> bool {
        self.mark.is_none_or(|mark| position > mark.at)
    }

    fn sign(
        &mut self,
        position: SigningPosition,
        digest: &[u8],
        wal_entries: u64,
        out: &mut Vec<Record>,
    ) -> Option<SignatureBytes> {
        if !self.is_above_mark(position) {
            return None;
        }
        let key = self.key.as_ref()?;
        let signature = SignatureBytes::new(key.sign(digest).to_bytes());
        self.raise(position, wal_entries, out);
        Some(signature)
    }

    fn record(&mut self, record: SignedRecord, out: &mut Vec<Record>) {
        self.records.insert(record.position(), record.clone());
        out.push(Record::Signed(record));
    }
}

/// Which member of `committee` has this key.
pub(crate) fn own_index(key: Option<&SigningKey>, committee: &Committee) -> Option<ValidatorIndex> {
    committee.index_of(&ConsensusKey::new(key?.verifying_key().to_bytes()))
}
