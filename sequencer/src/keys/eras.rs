//! Eras: when the key itself changes, and which of two keys bundles may be sealed to meanwhile.
//!
//! More than c members of one committee of the past who kept what they should have erased can open everything
//! under the key that they had shares of, however often it was handed on since. So the first epoch of each later
//! era has a key that is made from nothing, by those who are to hold it: no share of before says anything about it.
//!
//! ```text
//!   ... attempt at the first epoch of an era ─▶ fixed ── overlap ──▶ drain ─▶ notice ─┤ next era
//!  bundles under the old key   admitted, taken ────────────────────▌ returned
//!  bundles under the new key                      ▐ admitted ────────────────────────── taken ───
//! ```
//!
//! A block is opened by one key and carries no bundle of another, so nobody has to hold shares of both for longer
//! than of any two epochs. Bodies name the key to come as soon as it is fixed, so that a quorum vouches for it before
//! anything is sealed to it.

use std::sync::Arc;

use conclave_encryption::{SealingKey, Session, SessionId};
use conclave_mempool::admission::AdmittedKeys;
use conclave_types::{Epoch, Era, Height, HeightDelta, KeyId, Round};

use super::{Attempt, EpochKey, KeyChange, Keys, NOTICE, members::Members};

/// That a quorum's points are acknowledged: the attempt cannot come to nothing any more.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    /// The last height whose block may carry bundles before the epoch ends.
    until: Height,
    /// The key, if it is not the one in force.
    key: Option<Arc<SealingKey>>,
}

impl Attempt {
    /// Whether the block at `height` may carry no bundles because the epoch is about to end.
    pub(super) fn drains(&self, height: Height) -> bool {
        self.fixed.as_ref().is_some_and(|fixed| height > fixed.until)
    }
}

impl Keys {
    /// The key whose shares are handed on to the holders of an epoch; none if they make one.
    pub(super) fn reshared(&self, epoch: Epoch) -> Option<&EpochKey> {
        self.newest().filter(|_| !self.params.opens_era(epoch))
    }

    /// The next attempt. The parts fit one another: each epoch's points are those of its key.
    pub(super) fn session(&self, epoch: Epoch, round: Round, holders: &Members) -> Option<Session> {
        let (packing, holders) = (holders.packing(), holders.holders().clone());
        let newest = self.newest().map(era);
        let id = |era| SessionId { network: self.network, era, epoch, round };
        let session = match self.reshared(epoch) {
            None => {
                let era = newest.map_or(Era::ZERO, Era::next);
                Session::fresh(id(era), self.rule.suite(), holders, packing)
            }
            Some(old) => {
                let dealers = old.members.holders().clone();
                Session::reshare(id(era(old)), (&old.key, dealers), holders, packing)
            }
        };
        session.ok()
    }

    /// Fixes the key of an attempt after the block at `height`, if a quorum's points are acknowledged by it.
    pub(super) fn fix_if_due(&mut self, height: Height) -> Option<KeyChange> {
        let in_force = self.newest().map(|key| key.key.id());
        let overlap = self.params.overlap_heights;
        let attempt = self.attempt.as_mut().filter(|attempt| attempt.fixed.is_none())?;
        let session = attempt.dkg.session();
        if attempt.dkg.acknowledged_points() < session.packing().quorum() {
            return None;
        }
        let (epoch, key) = (session.id().epoch, attempt.dkg.outcome()?.key());
        let id = key.id();
        let ends_era = in_force.is_some_and(|in_force| in_force != id);
        let until = if ends_era { height.saturating_add(overlap) } else { height };
        let key = ends_era.then(|| Arc::new(key.sealing_key().clone()));
        attempt.fixed = Some(Fixed { until, key });
        ends_era.then_some(KeyChange::NextEra { epoch, key: id, until })
    }

    /// The key of the next era, if it is fixed before the block at `height` and not in force there.
    #[must_use]
    pub fn next_era(&self, height: Height) -> Option<&Arc<SealingKey>> {
        let fixed = self.attempt.as_ref().and_then(|attempt| attempt.fixed.as_ref());
        let announced = || {
            let newest = self.newest().filter(|key| key.first > height)?;
            let is_other = self.at(height).is_some_and(|key| key.key.id() != newest.key.id());
            is_other.then_some(&newest.sealing)
        };
        fixed.and_then(|fixed| fixed.key.as_ref()).or_else(announced)
    }

    /// What the block at `height` has to name as the key of the next era; zero for none.
    #[must_use]
    pub fn next_key_id(&self, height: Height) -> KeyId {
        self.next_era(height).map_or(KeyId::ZERO, |key| key.id())
    }

    /// What a bundle may be sealed to that is to be in the block at `height`, the next, or later.
    #[must_use]
    pub fn admitted(&self, height: Height) -> AdmittedKeys {
        let newest = self.newest().map_or(KeyId::ZERO, |key| key.key.id());
        match self.next_era(height).map(|key| key.id()) {
            // Some block may still take what is sealed to the key in force.
            Some(next) if self.takes_bundles(height) => {
                AdmittedKeys { current: self.id_at(height), next: Some(next) }
            }
            Some(next) => AdmittedKeys::only(next),
            None => AdmittedKeys::only(newest),
        }
    }

    /// What to seal to now, the block at `height` being the next: the key in force, or that of the next era once
    /// a bundle under this one would hardly be in a block in time.
    #[must_use]
    pub fn seal_to(&self, height: Height) -> Option<&Arc<SealingKey>> {
        let soon = height.saturating_add(HeightDelta::new(NOTICE.as_u64().saturating_sub(1)));
        let is_over = !self.takes_bundles(soon);
        let next = self.next_era(height).filter(|_| is_over);
        next.or_else(|| self.newest().map(|key| &key.sealing))
    }

    /// A key that bundles here may be sealed to, or could have been lately.
    pub(crate) fn sealing_key(&self, id: &KeyId) -> Option<&Arc<SealingKey>> {
        let fixed = self.attempt.iter().filter_map(|attempt| attempt.fixed.as_ref()?.key.as_ref());
        let known = self.keys.iter().rev().map(|key| &key.sealing);
        fixed.chain(known).find(|key| key.id() == *id)
    }
}

fn era(key: &EpochKey) -> Era {
    key.key.encryption_key().era
}
