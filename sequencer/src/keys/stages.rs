//! The stages of an attempt: what each block's end does to the key in the making.

use std::{mem, sync::Arc};

use conclave_encryption::{Dkg, Phase, SessionId};
use conclave_types::{Epoch, Height, HeightDelta, Round, Term};

use super::{Attempt, EpochKey, KeyChange, Keys, NOTICE, Parties, Settled};

impl Keys {
    /// Ends the block at `height`, whose messages were taken: time has passed.
    pub(crate) fn end_block(
        &mut self,
        height: Height,
        revealed_height: Height,
        has_bundles: bool,
    ) -> Vec<KeyChange> {
        if has_bundles {
            self.last_bundles = height;
        }
        self.cheats = mem::take(&mut self.proving);
        self.settled.take_if(|settled| settled.until <= height);
        if let Some(changes) = self.give_up(height) {
            return changes;
        }
        let Some(attempt) = &mut self.attempt else {
            return self.begin_if_due(height).into_iter().collect();
        };
        let waited = height.above(attempt.since);
        let complete = attempt.dkg.is_complete();
        let turn = turn(self.committees.at(height));
        let stage = self.params.stage_heights.max(turn);
        match attempt.dkg.phase() {
            Phase::Registering if complete || waited >= stage => {
                attempt.since = height;
                // Too few: they get as long again.
                match attempt.dkg.close_registration() {
                    Ok(()) => vec![KeyChange::Phase(Phase::Dealing)],
                    Err(_too_few) => {
                        attempt.extended = true;
                        Vec::new()
                    }
                }
            }
            Phase::Dealing if complete || waited >= stage => {
                attempt.since = height;
                let closed = attempt.dkg.close_dealing();
                closed.map_or_else(|_| Vec::new(), |()| vec![KeyChange::Phase(Phase::Complaining)])
            }
            Phase::Complaining if waited >= self.params.complaint_heights.max(turn) => {
                self.finish(height)
            }
            Phase::Finished => {
                let fixed = self.fix_if_due(height);
                fixed.into_iter().chain(self.switch_if_due(height, revealed_height)).collect()
            }
            Phase::Registering | Phase::Dealing | Phase::Complaining => Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, height: Height, epoch: Epoch, round: Round) {
        self.settled = None;
        let in_force = Arc::clone(self.members.committee());
        let holders = self.next_members();
        let makes_key = self.reshared(epoch).is_none();
        let dealers = if makes_key { Arc::clone(holders.committee()) } else { in_force };
        let parties = Parties { dealers, holders };
        self.attempt = self.session(epoch, round, &parties.holders).map(|session| Attempt {
            dkg: Dkg::new(session),
            parties,
            since: height,
            extended: false,
            fixed: None,
            outdated: false,
        });
    }

    fn finish(&mut self, height: Height) -> Vec<KeyChange> {
        let Some(attempt) = &mut self.attempt else { return Vec::new() };
        attempt.since = height;
        let reason = match attempt.dkg.finish() {
            Ok(_) => return vec![KeyChange::Phase(Phase::Finished)],
            Err(error) => error.to_string(),
        };
        let id = attempt.dkg.session().id();
        self.begin_again(height, id, reason)
    }

    /// The next attempt at the epoch of one that has come to nothing.
    pub(super) fn begin_again(
        &mut self,
        height: Height,
        failed: SessionId,
        reason: String,
    ) -> Vec<KeyChange> {
        let SessionId { epoch, round, .. } = failed;
        let next = round.next();
        self.begin(height, epoch, next);
        vec![KeyChange::Failed { epoch, round, reason }, KeyChange::Attempt { epoch, round: next }]
    }

    fn switch_if_due(&mut self, height: Height, revealed_height: Height) -> Option<KeyChange> {
        let is_due = |attempt: &mut Attempt| attempt.drains(height.next());
        if revealed_height < self.last_bundles {
            return None;
        }
        let Attempt { dkg, parties, .. } = self.attempt.take_if(is_due)?;
        let outcome = dkg.outcome()?;
        let (epoch, first) = (dkg.session().id().epoch, height.saturating_add(NOTICE));
        let members = Arc::clone(&parties.holders);
        let key = EpochKey::new(epoch, first, outcome.key().clone(), Arc::clone(&members));
        let id = key.key.id();
        self.keys.push(key);
        self.epochs.change(first, epoch);
        self.committees.change(first, epoch, Arc::clone(members.committee()));
        self.members = members;
        self.forget_offers();
        let until = first.saturating_add(self.params.repair_heights);
        self.settled = Some(Settled { dkg, parties, until });
        Some(KeyChange::Epoch { epoch, first, key: id })
    }
}

/// As long as everyone takes to propose once: what fewer than a third can keep out of their own blocks comes in time.
fn turn(term: &Term) -> HeightDelta {
    HeightDelta::new(term.committee.count() as u64)
}
