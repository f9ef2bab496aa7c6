//! Signing again after the signing history was lost, on the operator's word that no other machine signs with these keys.
//!
//! What this validator has signed is in the hands of others. It signs nothing that could contradict it, as far as that can
//! be known:
//!
//! - **Of its own chain** it has signed nothing above M + 2, M being the highest decided height, proved, in the answers of a
//!   quorum. An answer counts once this node has followed the chain that far, certificate by certificate, so that nobody
//!   can name a height that is not there.
//! - **Of another side of a fork** it may have signed anything. So it signs only on the side that L1 has settled, which it
//!   is told at its start ([`SettledOnL1`]): whoever is shown another one, or an old state of one, waits for ever.
//! - **Of another side of a fork that is above what L1 has settled** it may have attested something, in an epoch up to the
//!   one after that in office, since a chain enters an epoch only with a committee that L1 has offered, and L1 offers none
//!   for any later one. Its own chain is in that in office or a later one by then, and it attests nothing in its own
//!   epoch and the next ([`conclave_consensus::Engine::resume_above`]).
//!
//! Not covered are votes on a side that L1 has not settled, or not yet, if that one has come higher than this: so its
//! operator must not bring it back before this one has come as high.

use std::collections::BTreeMap;

use conclave_types::{Digest, Height, HeightDelta, Time, ValidatorIndex};

use crate::{
    archive::{self, Read},
    config::SettledOnL1,
    input::{Event, Peer},
    sequencer::Sequencer,
    store::Store,
};

/// How far above M a validator without a history may sign again. If it voted at height h, it had
/// decided h − 1, so more than f honest validators, of which any quorum of answers holds at least one,
/// had precommitted at h − 1 and decided h − 2.
const RESUME_MARGIN: HeightDelta = HeightDelta::new(2);

/// This validator lost its signing history and is to sign again once it knows where it is safe.
#[derive(Debug)]
pub(crate) struct Resume {
    settled: SettledOnL1,
    /// Whether its chain is the one that L1 has settled; unknown until it has come so far.
    is_settled: Option<bool>,
    /// What each validator said first since the start.
    claims: BTreeMap<ValidatorIndex, Height>,
}

impl Resume {
    /// With the chain that a store has.
    pub(crate) fn find<S: Store>(settled: SettledOnL1, store: &S) -> Read<Self, S> {
        let root = archive::history_root(store, settled.height)?;
        let is_settled = root.map(|root| root == settled.root);
        Ok(Self { settled, is_settled, claims: BTreeMap::new() })
    }

    /// A validator says how far it is.
    pub(crate) fn hear(&mut self, peer: Peer, decided: Height) {
        if let Peer::Validator(index) = peer {
            self.claims.entry(index).or_insert(decided);
        }
    }

    /// What keeps it from signing, if that is not the others' answers.
    pub(crate) fn words(&self) -> Option<String> {
        let height = self.settled.height;
        match self.is_settled {
            Some(true) => None,
            Some(false) => Some(format!(
                "L1 has settled another chain than this node's up to height {height}: it is shown another side of a fork, and \
                 signs nothing; let it catch up, from an empty database, with those who follow the other one"
            )),
            None => Some(format!("it waits for height {height}, up to which L1 has settled")),
        }
    }
}

impl Sequencer {
    /// Its chain has come to a height, with that root of its history: so is it the one that L1 has settled?
    pub(crate) fn compare_with_l1(&mut self, height: Height, root: Digest) {
        let resume = self.catch_up.resume.as_mut();
        let Some(resume) = resume.filter(|resume| resume.settled.height == height) else { return };
        resume.is_settled = Some(resume.settled.root == root);
        if let Some(detail) = resume.words() {
            self.event(Event::Anomaly { height, detail });
        }
    }

    /// Ends the silence of a validator that lost its history, where it can have signed nothing else.
    pub(crate) fn resume_signing(&mut self, now: Time) {
        let Some(resume) = &self.catch_up.resume else { return };
        if resume.is_settled != Some(true) {
            return;
        }
        let (decided, next) = (self.chain.decided(), self.chain.next());
        let committee = self.chain.keys.committee_at(next);
        let own = self.context.own_in(committee);
        let proved = |(index, height): &(&ValidatorIndex, &Height)| {
            Some(**index) != own && **height <= decided
        };
        let answers: Vec<_> = resume.claims.iter().filter(proved).collect();
        let power = committee.power_of(answers.iter().map(|(index, _)| **index));
        let Some(highest) = answers.into_iter().map(|(_, height)| *height).max() else { return };
        if power < committee.quorum_power() {
            return;
        }
        self.catch_up.resume = None;
        let outputs = self.engine.resume_above(now, highest.saturating_add(RESUME_MARGIN));
        self.absorb(now, outputs);
    }
}
