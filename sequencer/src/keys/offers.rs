//! Whom the next epoch is for: what L1 offers, as far as the chain has carried it.
//!
//! L1 decides who has a stake, and how fast a committee may change; the chain decides when. An offer is noted
//! when a block carries it, and fixed when an attempt at its epoch begins; an attempt that fails makes room for
//! a newer one. What is no committee, or none that can share the key, is as good as not offered.
//!
//! **Bound.** One offer for the next epoch, and one for that after it: L1 may be ahead of a key in the making.

use std::sync::Arc;

use conclave_encryption::Phase;
use conclave_types::{CommitteeOffer, Epoch, Height, HeightDelta, Roster, Round};

use super::{Attempt, KeyChange, Keys, members::Members};

/// Consensus multiplies power by three.
const POWER_MAX: u64 = u64::MAX / 3;
/// The first epoch that has a key. It is the genesis committee's.
const FIRST: Epoch = Epoch::new(1);

impl Keys {
    /// Notes the committees that a block of ours has carried.
    pub(crate) fn offered(&mut self, offers: &[CommitteeOffer]) {
        let next = self.next_epoch();
        for offer in offers {
            let is_near = offer.epoch == next || offer.epoch == next.next();
            if is_near && offer.epoch > FIRST && self.seated(offer).is_some() {
                let is_new = self.offers.iter().all(|other| other != offer);
                if let Some(attempt) = &mut self.attempt {
                    attempt.outdated |= offer.epoch == next && is_new;
                }
                self.offers.retain(|other| other.epoch != offer.epoch);
                self.offers.push(offer.clone());
            }
        }
    }

    fn next_epoch(&self) -> Epoch {
        self.newest().map(|key| key.epoch).unwrap_or_default().next()
    }

    /// The newest offer for the next epoch.
    fn offer(&self) -> Option<&CommitteeOffer> {
        let next = self.next_epoch();
        self.offers.iter().find(|offer| offer.epoch == next)
    }

    /// An epoch's key is made: what was offered for it has served.
    pub(super) fn forget_offers(&mut self) {
        let next = self.next_epoch();
        self.offers.retain(|offer| offer.epoch >= next);
    }

    /// The epoch for which somebody should have L1 offer a committee: the next one, once three quarters of this
    /// one are over, as long as the chain has carried no offer for it; and again while the one that it carried
    /// does not get on, since too few of its members are there. None on a network without an L1.
    #[must_use]
    pub fn wants_offer(&self, height: Height) -> Option<Epoch> {
        let newest = self.newest()?;
        let (next, after) = (newest.epoch.next(), self.params.epoch_heights.as_u64());
        let lead = after.saturating_sub(after / 4);
        let is_near = height.above(newest.first).as_u64() >= lead;
        let is_free = match &self.attempt {
            None => self.offer().is_none(),
            Some(attempt) => self.is_stuck(attempt, height) && !attempt.outdated,
        };
        (self.needs_offer && after > 0 && next > FIRST && is_near && is_free).then_some(next)
    }

    /// Whether an attempt waits for members that do not come.
    fn is_stuck(&self, attempt: &Attempt, height: Height) -> bool {
        let has_waited = height.above(attempt.since) >= self.params.stage_heights;
        match attempt.dkg.phase() {
            Phase::Registering => attempt.extended,
            Phase::Dealing | Phase::Complaining => false,
            Phase::Finished => attempt.fixed.is_none() && has_waited,
        }
    }

    /// Gives up an attempt whose members do not come, if L1 has offered others meanwhile; and one whose result too few
    /// have their shares of, once nothing can be repaired any more: the same members may do better.
    pub(super) fn give_up(&mut self, height: Height) -> Option<Vec<KeyChange>> {
        let attempt = self.attempt.as_ref()?;
        let is_vain = attempt.dkg.phase() == Phase::Finished
            && attempt.fixed.is_none()
            && height.above(attempt.since) >= self.params.repair_heights;
        let reason = if attempt.outdated && self.is_stuck(attempt, height) {
            "too few came, and L1 offers another committee"
        } else if is_vain {
            "too few have their shares of the result"
        } else {
            return None;
        };
        let id = attempt.dkg.session().id();
        Some(self.begin_again(height, id, reason.to_owned()))
    }

    pub(super) fn begin_if_due(&mut self, height: Height) -> Option<KeyChange> {
        let newest = self.newest()?;
        let after = self.params.epoch_heights;
        if after == HeightDelta::new(0) || height.above(newest.first) < after {
            return None;
        }
        let (epoch, round) = (newest.epoch.next(), Round::ZERO);
        if self.needs_offer && epoch > FIRST && self.offer().is_none() {
            return None;
        }
        self.begin(height, epoch, round);
        self.attempt.is_some().then_some(KeyChange::Attempt { epoch, round })
    }

    /// Whom the attempt that begins is for. Whoever is new gets an index with it, which stays, whatever
    /// becomes of the attempt.
    pub(super) fn next_members(&mut self) -> Arc<Members> {
        let seated = self.offer().and_then(|offer| self.seated(offer));
        let Some((roster, members)) = seated else { return Arc::clone(&self.members) };
        self.roster = roster;
        Arc::new(members)
    }

    /// The members of an offer in their seats, with their points, if they can be a committee.
    fn seated(&self, offer: &CommitteeOffer) -> Option<(Roster, Members)> {
        let (roster, committee) = self.roster.seat(&offer.members).ok()?;
        if committee.total_power() > POWER_MAX {
            return None;
        }
        let members = Members::by_power(Arc::new(committee), &self.rule).ok()?;
        Some((roster, members))
    }
}
