//! By which history this validator's attestations bind it.
//!
//! A commitment covers every height before its own, so a validator that attests one history and later in the epoch another
//! has contradicted itself, and pays for it as those who forked the chain. An honest one knows a single history, unless it
//! loses its database and is given another: by whoever catches it up, or by its operator, who copies one. So the mark, which
//! lies elsewhere, says which it attested last ([`Attested`]).
//!
//! **Invariant.** What is attested continues what was attested in that epoch before, as far as the mark says; where it
//! says that this is not known, nothing is attested until the epoch that it names is over.

use conclave_consensus::Attested;
use conclave_types::{BlockCommitment, Digest, Height, Time};

use crate::{input::Event, sequencer::Sequencer};

impl Sequencer {
    /// Whether this validator may attest a commitment of its chain.
    pub(super) fn may_attest(&self, commitment: &BlockCommitment) -> bool {
        let is_free = |bound: Attested| commitment.epoch > bound.epoch || self.has_at(bound);
        self.engine.may_attest(commitment.height) && self.engine.attested().is_none_or(is_free)
    }

    /// Whether its chain has what it is bound by.
    fn has_at(&self, bound: Attested) -> bool {
        let known = self.settlement.at_mark;
        known.is_some_and(|(height, digest)| height == bound.height && Some(digest) == bound.digest)
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
        let newest = self.settlement.collected.values().rev().find(|collected| {
            let own = self.context.own_in(&collected.committee);
            collected.own.as_ref().is_some_and(|said| Some(said.validator) == own)
        });
        let Some(collected) = newest else { return };
        let (epoch, height) = (collected.commitment.epoch, collected.commitment.height);
        let what = Attested { epoch, height, digest: Some(collected.digest) };
        let is_newer = self.engine.attested().is_none_or(|bound| bound < what);
        if is_newer && self.may_attest(&collected.commitment) {
            self.bind(now, what);
        }
    }
}
