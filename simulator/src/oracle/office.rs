//! Who is in office on L1: the table that the stake contract has of an epoch's committee is whom the chain has decide in
//! that epoch, with the same keys and the same power. So certificates of that epoch are checked against those who sign
//! them, and a change of stake has come to both or to neither.

use std::collections::{BTreeMap, BTreeSet};

use conclave_types::{ConsensusKey, Epoch};

use super::{Check, OFFICE, Oracle, ensure};
use crate::l1::Office;

/// Key and power, by number in the stake contract.
pub(super) type Seats = BTreeMap<u32, (ConsensusKey, u64)>;

/// What has been seen of offices.
#[derive(Debug, Default)]
pub(super) struct Offices {
    /// The newest that was compared, and its seats.
    newest: Option<(u64, Seats)>,
    /// Seats that were taken by who had none, and left by who had one, from one epoch to the next.
    taken: u64,
    left: u64,
    /// Seats whose power is another than in the epoch before.
    weighed: u64,
}

impl Offices {
    /// What changed, by name; nothing if there are no contracts.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = [
            ("l1_seats_taken", self.taken),
            ("l1_seats_left", self.left),
            ("l1_seats_weighed", self.weighed),
        ];
        counters.into_iter().filter(|_| self.newest.is_some())
    }

    fn turn(&mut self, epoch: u64, seats: Seats) {
        if let Some((_, before)) = self.newest.replace((epoch, seats.clone())) {
            let numbers = |seats: &Seats| seats.keys().copied().collect::<BTreeSet<u32>>();
            let (was, is) = (numbers(&before), numbers(&seats));
            let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let is_other = |number: &&u32| {
                before.get(*number).map(|(_, power)| power)
                    != seats.get(*number).map(|(_, power)| power)
            };
            self.taken = self.taken.saturating_add(count(is.difference(&was).count()));
            self.left = self.left.saturating_add(count(was.difference(&is).count()));
            let weighed = was.intersection(&is).filter(is_other).count();
            self.weighed = self.weighed.saturating_add(count(weighed));
        }
    }
}

impl Oracle {
    /// These are in office, as the contracts show in a block that stays.
    pub(super) fn is_in_office(&mut self, office: &Office) -> Check {
        let Office { epoch, seats } = office;
        if self.offices.newest.as_ref().is_some_and(|(newest, _)| newest == epoch) {
            return Ok(());
        }
        let found: Seats =
            seats.iter().map(|seat| (seat.validator, (seat.consensus_key, seat.power))).collect();
        let expected = self.committees.seats(Epoch::new(*epoch));
        ensure(expected.as_ref() == Some(&found) && found.len() == seats.len(), OFFICE, || {
            format!("in epoch {epoch} L1 has {found:?} in office, and {expected:?} decide")
        })?;
        self.offices.turn(*epoch, found);
        Ok(())
    }
}
