//! Signing again after the signing history was lost, on the operator's word that no other machine signs with these keys, and
//! how high this validator can have come ([`LostState`]).
//!
//! What this validator has signed is in the hands of others. It signs nothing that could contradict it, as far as that can
//! be known:
//!
//! - **Of its own chain** it has signed nothing above M + 2, M being the highest decided height, proved, in the answers of a
//!   quorum. An answer counts once this node has followed the chain that far, certificate by certificate, so that nobody
//!   can name a height that is not there.
//! - **Of another side of a fork** it may have voted for anything up to the height after the last one that it decided there,
//!   and nobody whom it can ask need have heard of that side. So its operator says how high it can have come at most,
//!   `seen`, and it signs nothing before its chain is as high, nor up to seen + 2.
//! - It signs only on the side that L1 has settled, which it is told at its start: whoever is shown another one, or an old
//!   state of one, waits for ever.
//! - **Of another side of a fork that is above what L1 has settled** it may have attested something, in an epoch up to the
//!   one after that in office, since a chain enters an epoch only with a committee that L1 has offered, and L1 offers none
//!   for any later one. Its own chain is in that in office or a later one by then, and it attests nothing in its own
//!   epoch and the next ([`conclave_consensus::Engine::resume_above`]).
//!
//! **Nothing is written down while it waits.** The silence could be made durable at once, and would then outlive a restart
//! without the word. But a height that was mistyped would, too, and silence this validator for as long as it says: so it is
//! taken back by another start with the right one. Too high a height costs that wait and nothing else; too low a one, after
//! a fork, may cost the stake.

use std::collections::BTreeMap;

use conclave_types::{Committee, Digest, Height, HeightDelta, Time, ValidatorIndex};

use crate::{
    archive::{self, Read},
    config::LostState,
    input::{Event, Peer},
    sequencer::Sequencer,
    store::Store,
};

/// How far above M, and above what it was seen at, a validator without a history may sign again.
///
/// Of M: if it voted at height h, it had decided h − 1, so more than f honest validators, of which any quorum of answers
/// holds at least one, had precommitted at h − 1 and decided h − 2. Of `seen`: it votes one above what it has decided, and
/// may have decided one more that nobody has seen. What else it can have decided between when it was last looked at and
/// its end, its operator adds: how often that is, and at which pace, only operators know.
const RESUME_MARGIN: HeightDelta = HeightDelta::new(2);

/// This validator lost its signing history and is to sign again once it knows where it is safe.
#[derive(Debug)]
pub(crate) struct Resume {
    lost: LostState,
    /// Whether its chain is the one that L1 has settled; unknown until it has come so far.
    is_settled: Option<bool>,
    /// What each validator said first since the start.
    claims: BTreeMap<ValidatorIndex, Height>,
    /// Whether it was told that nobody has come as high as it is to wait for.
    is_told: bool,
}

impl Resume {
    /// With the chain that a store has.
    pub(crate) fn find<S: Store>(lost: LostState, store: &S) -> Read<Self, S> {
        let root = archive::history_root(store, lost.settled.height)?;
        let is_settled = root.map(|root| root == lost.settled.root);
        Ok(Self { lost, is_settled, claims: BTreeMap::new(), is_told: false })
    }

    /// A validator says how far it is.
    pub(crate) fn hear(&mut self, peer: Peer, decided: Height) {
        if let Peer::Validator(index) = peer {
            self.claims.entry(index).or_insert(decided);
        }
    }

    /// What keeps it from signing, its chain being as high as this, if that is not the others' answers.
    pub(crate) fn words(&self, decided: Height) -> Option<String> {
        let LostState { seen, settled } = self.lost;
        let height = settled.height;
        let silent = (decided < seen).then(|| {
            let until = seen.saturating_add(RESUME_MARGIN);
            format!(
                "silent up to height {until}, since it was at height {seen}, as its operator says"
            )
        });
        match self.is_settled {
            Some(true) => silent,
            Some(false) => Some(format!(
                "L1 has settled another chain than this node's up to height {height}: it is shown another side of a fork, and \
                 signs nothing; let it catch up, from an empty database, with those who follow the other one"
            )),
            None => {
                let waits = format!("it waits for height {height}, up to which L1 has settled");
                Some(silent.map_or_else(|| waits.clone(), |silent| format!("{waits}; {silent}")))
            }
        }
    }

    /// The highest height that is claimed in answers that count, if those are of a quorum.
    fn highest(
        &self,
        committee: &Committee,
        counts: impl Fn(ValidatorIndex, Height) -> bool,
    ) -> Option<Height> {
        let answers = self.claims.iter().filter(|(index, height)| counts(**index, **height));
        let power = committee.power_of(answers.clone().map(|(index, _)| *index));
        let highest = answers.map(|(_, height)| *height).max()?;
        (power >= committee.quorum_power()).then_some(highest)
    }

    /// The highest height that a quorum has come to, if it is to wait for a higher one: there is a margin in it, the chain
    /// has forked, or it is mistyped.
    fn below_seen(&self, committee: &Committee) -> Option<Height> {
        self.highest(committee, |_, _| true).filter(|highest| *highest < self.lost.seen)
    }
}

impl Sequencer {
    /// Its chain has come to a height, with that root of its history: so is it the one that L1 has settled?
    pub(crate) fn compare_with_l1(&mut self, height: Height, root: Digest) {
        let resume = self.catch_up.resume.as_mut();
        let Some(resume) = resume.filter(|resume| resume.lost.settled.height == height) else {
            return;
        };
        let is_settled = resume.lost.settled.root == root;
        resume.is_settled = Some(is_settled);
        if let Some(detail) = resume.words(height).filter(|_| !is_settled) {
            self.event(Event::Anomaly { height, detail });
        }
    }

    /// Ends the silence of a validator that lost its history, where it can have signed nothing else.
    pub(crate) fn resume_signing(&mut self, now: Time) {
        let Some(resume) = &self.catch_up.resume else { return };
        let (decided, next) = (self.chain.decided(), self.chain.next());
        let committee = self.chain.keys.committee_at(next);
        let own = self.context.own_in(committee);
        let seen = resume.lost.seen;
        let is_safe = resume.is_settled == Some(true) && decided >= seen;
        let is_proved = |index, height| Some(index) != own && height <= decided;
        let highest = resume.highest(committee, is_proved).filter(|_| is_safe);
        let below = resume.below_seen(committee).filter(|_| !resume.is_told);
        if let Some(others) = below {
            self.tell_wait(seen, others);
        }
        let Some(highest) = highest else { return };
        self.catch_up.resume = None;
        let above = highest.max(seen).saturating_add(RESUME_MARGIN);
        let outputs = self.engine.resume_above(now, above);
        self.absorb(now, outputs);
    }

    /// Says once that nobody is as high as this validator is said to have been, and how far they are.
    fn tell_wait(&mut self, seen: Height, others: Height) {
        if let Some(resume) = &mut self.catch_up.resume {
            resume.is_told = true;
        }
        let detail = format!(
            "silent until the chain has come from height {others} to {seen}, at which this validator can have been, as its \
             operator says: a margin takes that time, and a fork. Never give a lower height to be faster; only if it was \
             mistyped, start it again with the right one (nothing was written down)"
        );
        self.event(Event::Anomaly { height: self.chain.next(), detail });
    }
}
