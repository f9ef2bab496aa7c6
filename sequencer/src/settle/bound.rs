//! By which history this validator's attestations bind it.
//!
//! A commitment covers every height before its own, so a validator that attests one history and later in the epoch another
//! has contradicted itself, and pays for it as those who forked the chain. An honest one knows a single history, unless it
//! loses its database and is given another: by whoever catches it up, or by its operator, who copies one. So the mark, which
//! lies elsewhere, says which it attested last ([`Attested`]).
//!
//! The mark says so of one epoch, the newest. Of one before it the database must say it: who has an attestation of its own
//! there, on the chain of the mark, has lost nothing since. So nobody turns back to an epoch in which it was silent.
//!
//! **Invariant.** What is attested continues what was attested in that epoch before, as far as mark and database say; where
//! the mark says that this is not known, nothing is attested until the epoch that it names is over.

use std::cmp::Ordering;

use conclave_consensus::Attested;
use conclave_types::{BlockCommitment, Digest, Epoch, Height, Time};

use super::Collected;
use crate::{input::Event, sequencer::Sequencer};

impl Sequencer {
    /// Whether this validator may attest a commitment of its chain.
    pub(super) fn may_attest(&self, commitment: &BlockCommitment) -> bool {
        let is_free = |bound: Attested| match commitment.epoch.cmp(&bound.epoch) {
            Ordering::Greater => true,
            Ordering::Equal => self.has_at(bound),
            Ordering::Less => self.has_at(bound) && self.has_attested_in(commitment.epoch),
        };
        self.engine.may_attest(commitment.height) && self.engine.attested().is_none_or(is_free)
    }

    /// Whether its chain has what it is bound by.
    fn has_at(&self, bound: Attested) -> bool {
        let known = self.settlement.at_mark;
        known.is_some_and(|(height, digest)| height == bound.height && Some(digest) == bound.digest)
    }

    /// Whether its database has an attestation of its own of that epoch.
    fn has_attested_in(&self, epoch: Epoch) -> bool {
        let of_epoch = |collected: &&Collected| collected.commitment.epoch == epoch;
        self.settlement.collected.values().filter(of_epoch).any(|it| self.is_attested_here(it))
    }

    /// Whether it was this validator that signed what its database calls its own.
    fn is_attested_here(&self, collected: &Collected) -> bool {
        let own = self.context.own_in(&collected.committee);
        collected.own.as_ref().is_some_and(|said| Some(said.validator) == own)
    }

    /// It attests, and is bound by that.
    pub(super) fn bind(&mut self, now: Time, what: Attested) {
        let marks = self.engine.attests(what);
        self.absorb(now, marks);
        if self.engine.attested() == Some(what) {
            self.settlement.at_mark = what.digest.map(|digest| (what.height, digest));
        }
    }

    /// Its chain has come to a height: so is it the one that it is bound by?
    pub(super) fn compare_with_mark(&mut self, height: Height, digest: Digest) {
        let Some(bound) = self.engine.attested().filter(|bound| bound.height == height) else {
            return;
        };
        self.settlement.at_mark = Some((height, digest));
        if bound.digest.is_some_and(|attested| attested != digest) {
            let epoch = bound.epoch;
            let detail = format!(
                "this validator has attested another history, and attests nothing until epoch {epoch} is over"
            );
            self.event(Event::Anomaly { height, detail });
        }
    }

    /// The machine died when an attestation was in the database and not in the mark yet. It is about to be sent again.
    pub(super) fn bind_overdue(&mut self, now: Time) {
        let mut newest_first = self.settlement.collected.values().rev();
        let newest = newest_first.find(|collected| self.is_attested_here(collected));
        let Some(collected) = newest else { return };
        let (epoch, height) = (collected.commitment.epoch, collected.commitment.height);
        let what = Attested { epoch, height, digest: Some(collected.digest) };
        let is_newer = self.engine.attested().is_none_or(|bound| bound < what);
        if is_newer && self.may_attest(&collected.commitment) {
            self.bind(now, what);
        }
    }
}
