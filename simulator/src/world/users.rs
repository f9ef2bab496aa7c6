//! What users do: hand in bundles, wait, and hand them in again elsewhere.

use std::time::Duration;

use conclave_types::{BundleId, EncryptedBundle};

use super::{Happening, World};
use crate::load::{Handed, Standing};

/// How long a user waits before handing an undecided bundle to another validator.
const RESUBMIT: Duration = Duration::from_secs(2);
/// One of so many bundles is sealed to the next era's key as soon as there is one.
const EARLY: u64 = 4;

impl World {
    pub(super) fn users(&mut self) {
        let height = self.oracle.decided_by_any();
        let early = || self.random.below(EARLY) == 0;
        let key = self.keyring.key(height, early);
        let handed = key.and_then(|key| self.load.next(&self.genesis, key, height));
        if let Some(handed) = handed {
            self.hand_in(handed);
        }
        self.hand_in_again();
        self.again(self.scenario.bundles_per_s, Happening::Load);
    }

    pub(super) fn spammers(&mut self) {
        let height = self.oracle.decided_by_any();
        let key = self.keyring.key(height, || false);
        let spam = key.map(|key| self.load.spam(&self.genesis, key, height));
        for handed in spam.unwrap_or_default() {
            self.oracle.here().spammed();
            self.hand_in(handed);
        }
        self.again(self.scenario.spam_per_s, Happening::Spam);
    }

    fn again(&mut self, rate: u64, what: Happening) {
        let wait = Duration::from_micros(1_000_000_u64.checked_div(rate).unwrap_or(1_000_000));
        self.schedule(self.now.after(wait), 0, what);
    }

    fn hand_in(&mut self, handed: Handed) {
        self.oracle.each().for_each(|oracle| oracle.handed_in(&handed));
        if let Standing::Good(legs) = &handed.standing {
            self.workshop.sealed(handed.id, legs);
        }
        // Only who plays by the rules has a reason to insist.
        let waits =
            matches!(handed.standing, Standing::Good(_) | Standing::Dud | Standing::Unopenable);
        if waits && !self.oracle.is_included(&handed.id) {
            self.outstanding.insert(handed.id, (self.now, handed.clone()));
        }
        if matches!(handed.standing, Standing::Rival(_)) {
            return self.submit_everywhere(&handed.bundle);
        }
        match self.scenario.entry {
            Some(entry) => self.submit_to(entry, handed.bundle),
            None => self.submit(handed.bundle),
        }
    }

    /// Each validator gets it at another time: some before, some after they have voted for its rival.
    fn submit_everywhere(&mut self, bundle: &EncryptedBundle) {
        for to in 0..self.scenario.validators {
            let at = self.now.after(Duration::from_millis(self.random.below(300)));
            self.measure.submitted(self.now, to, bundle.id(), bundle.size_bytes());
            self.schedule(at, to, Happening::Submit(Box::new(bundle.clone())));
        }
    }

    /// A validator that colludes with the searcher has told it what it saw; the searcher hands in what it
    /// makes of that, at every validator, so as to be early everywhere.
    pub(super) fn search(&mut self, node: u16) {
        let adversary =
            self.nodes.get_mut(usize::from(node)).and_then(|node| node.adversary.as_mut());
        let Some(adversary) = adversary else { return };
        for sighting in adversary.sighted() {
            self.load.sighted(&sighting);
        }
        let height = self.oracle.decided_by_any();
        let key = self.keyring.key(height, || false);
        let searched = key.map(|key| self.load.searched(&self.genesis, key, height));
        for handed in searched.unwrap_or_default() {
            self.oracle.each().for_each(|oracle| oracle.handed_in(&handed));
            if let Standing::Good(legs) = &handed.standing {
                self.workshop.sealed(handed.id, legs);
            }
            self.oracle.here().searched();
            self.outstanding.insert(handed.id, (self.now, handed.clone()));
            for to in 0..self.scenario.validators {
                self.send_in(to, handed.bundle.clone());
            }
        }
    }

    fn hand_in_again(&mut self) {
        self.outstanding.retain(|id, _| !self.oracle.is_included(id));
        let late = |(_, (at, _)): &(&BundleId, &mut (_, Handed))| self.now.since(*at) > RESUBMIT;
        let mut waiting = Vec::new();
        for (_, (at, handed)) in self.outstanding.iter_mut().filter(late) {
            *at = self.now;
            waiting.push(handed.clone());
        }
        let height = self.oracle.decided_by_any();
        for handed in waiting {
            // A validator refuses it, and says why: who lost it with a crash cannot have returned it.
            if self.keyring.is_over(height, handed.bundle.header.key_id) {
                self.seal_again(&handed);
            } else {
                self.submit(handed.bundle);
            }
        }
    }

    /// A validator returns bundles: the era of their key is over.
    pub(super) fn returned(&mut self, bundles: &[BundleId]) {
        let of_users: Vec<_> =
            bundles.iter().filter_map(|id| Some(self.outstanding.get(id)?.1.clone())).collect();
        for handed in of_users {
            self.seal_again(&handed);
        }
    }

    fn seal_again(&mut self, returned: &Handed) {
        let height = self.oracle.decided_by_any();
        let key = self.keyring.key(height, || true);
        let Some(again) = key.and_then(|key| self.load.again(key, returned)) else { return };
        self.outstanding.remove(&returned.id);
        self.oracle.here().sealed_again();
        self.hand_in(again);
    }

    fn submit(&mut self, bundle: EncryptedBundle) {
        let count = u64::from(self.scenario.validators);
        let to = u16::try_from(self.random.below(count)).unwrap_or(0);
        self.submit_to(to, bundle);
    }

    fn submit_to(&mut self, to: u16, bundle: EncryptedBundle) {
        self.measure.submitted(self.now, to, bundle.id(), bundle.size_bytes());
        self.send_in(to, bundle);
    }
}
