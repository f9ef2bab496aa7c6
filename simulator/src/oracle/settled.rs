//! What the contracts hold in the end: commitments to what honest validators decided, each above the last, with the
//! queue carried whole up to its origin; and the stake of whoever keeps to the protocol, whole.

use std::collections::BTreeMap;

use conclave_types::{Digest, Height};

use super::{ACCOUNTABLE, Check, Oracle, SETTLED, SLASHED, ensure};
use crate::l1::{Settled, Stake, Witness};

/// Within so many L1 blocks whoever there is evidence against has been seized. It takes the settlement of an epoch, a
/// report that waits for its turn, and finality.
const SEIZED_WITHIN: u64 = 60;

/// What L1 has shown for good.
#[derive(Clone, Debug, Default)]
pub(super) struct OnL1 {
    newest: Option<Settled>,
    postings: u64,
    epochs: u64,
    /// What each validator had at stake, by its number.
    stakes: BTreeMap<u32, Stake>,
    /// Since which L1 block there is evidence against whom, by its number.
    guilty: BTreeMap<u32, u64>,
    /// What was taken from whom, when its cases had ended.
    taken: BTreeMap<u32, u64>,
}

impl OnL1 {
    /// The newest height that has settled for good.
    pub(super) fn height(&self) -> Height {
        self.newest.map_or(Height::ZERO, |newest| Height::new(newest.height))
    }

    /// What happened there, by name, if there are contracts.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let seized = self.stakes.values().filter(|stake| stake.is_accused || stake.is_tombstoned);
        let seized = u64::try_from(seized.count()).unwrap_or(u64::MAX);
        let slashed = u64::try_from(self.taken.len()).unwrap_or(u64::MAX);
        let counters = [
            ("l1_postings", self.postings),
            ("l1_epochs_ended", self.epochs),
            ("l1_seized", seized),
            ("l1_slashed", slashed),
        ];
        counters.into_iter().filter(|_| !self.stakes.is_empty())
    }

    fn is_seized(&self, validator: u32) -> bool {
        let stake = self.stakes.get(&validator);
        stake.is_some_and(|stake| stake.is_accused || stake.is_tombstoned)
    }

    fn goes_on_with(&self, found: &Settled) -> Check {
        let Some(Settled { epoch, height, origin, cursor, .. }) = self.newest else {
            return Ok(());
        };
        let goes_on = found.height > height
            && (epoch..=epoch.saturating_add(1)).contains(&found.epoch)
            && found.origin >= origin
            && found.cursor >= cursor;
        ensure(goes_on, SETTLED, || format!("{found:?} settles after {:?}", self.newest))
    }
}

impl Oracle {
    /// What the contracts show after a block that stays.
    pub(super) fn witness(&mut self, witness: &Witness) -> Check {
        let (number, revealed) = (self.queue.newest(), self.chain.revealed_by_all());
        self.escapes.comes_to(number, self.on_l1.newest.as_ref(), revealed);
        // The settled one before the block, and after each commitment that settles with it.
        let mut origins =
            vec![self.on_l1.newest.map_or(self.queue.first(), |newest| newest.origin)];
        for found in &witness.settled {
            self.on_l1.goes_on_with(found)?;
            self.is_decided(found)?;
            let ended = self.on_l1.newest.is_some_and(|newest| newest.epoch < found.epoch);
            self.on_l1.epochs = self.on_l1.epochs.saturating_add(u64::from(ended));
            self.on_l1.postings = self.on_l1.postings.saturating_add(1);
            self.on_l1.newest = Some(*found);
            origins.push(found.origin);
        }
        if let Some(shown) = &witness.escape {
            let entries = [number.saturating_sub(1), number].map(|of| self.queue.entries_up_to(of));
            self.escapes.look(number, &origins, entries.into(), shown)?;
        }
        witness.stakes.iter().try_for_each(|stake| self.is_whole(stake))?;
        if let Some(office) = &witness.office {
            self.is_in_office(office)?;
        }
        let (now, on_l1) = (self.queue.newest(), &self.on_l1);
        let free = on_l1.guilty.iter().find(|(validator, since)| {
            now > since.saturating_add(SEIZED_WITHIN) && !on_l1.is_seized(**validator)
        });
        ensure(free.is_none(), ACCOUNTABLE, || {
            format!("there is evidence against validator and since {free:?}, and L1 is at {now}")
        })
    }

    /// An honest validator has evidence that L1 takes against the validator of an index.
    pub(crate) fn accuses(&mut self, index: u16) {
        let since = self.queue.newest();
        self.on_l1.guilty.entry(u32::from(index).saturating_add(1)).or_insert(since);
    }

    /// Whether somebody against whom there is evidence has not been seized.
    #[must_use]
    pub(crate) fn is_somebody_at_large(&self) -> bool {
        let guilty = self.on_l1.guilty.keys();
        guilty.into_iter().any(|validator| !self.on_l1.is_seized(*validator))
    }

    /// All cases have ended: whoever was seized has less than before, and nobody else.
    pub(crate) fn ended(&mut self, witness: &Witness) {
        let before = self.on_l1.stakes.clone();
        for stake in &witness.stakes {
            let number = stake.validator;
            let had = before.get(&number).map_or(0, |before| before.whole_gwei);
            let is_seized = self.on_l1.is_seized(number);
            let check = self.is_whole(stake);
            self.note(check);
            let loses = stake.whole_gwei < had;
            if loses {
                self.on_l1.taken.insert(number, had.saturating_sub(stake.whole_gwei));
            }
            self.note(ensure(loses == is_seized, ACCOUNTABLE, || {
                format!("L1 has {stake:?} in the end, before it was {:?}", before.get(&number))
            }));
        }
        self.on_l1.stakes = before;
    }

    /// What has settled is what an honest validator revealed, on top of everything before it.
    fn is_decided(&self, found: &Settled) -> Check {
        let height = Height::new(found.height);
        let expected = self.settlement.settles(height);
        let cursor = self.queue.entries_up_to(found.origin);
        let expected = expected.map(|(commitment, digest, root)| Settled {
            epoch: commitment.epoch.as_u64(),
            height: found.height,
            digest: Digest::new(digest),
            root: Digest::new(root),
            origin: commitment.l1_origin.number,
            cursor,
        });
        ensure(expected == Some(*found), SETTLED, || {
            format!("L1 holds {found:?}, honest validators make {expected:?}")
        })
    }

    /// Nobody takes anything from whoever keeps to the protocol: what its operator asks back it still has, until the
    /// time is over for which that answers, which no run sees.
    fn is_whole(&mut self, found: &Stake) -> Check {
        let before = self.on_l1.stakes.insert(found.validator, *found);
        let index = found.validator.checked_sub(1).and_then(|index| u16::try_from(index).ok());
        let is_honest = index.is_some_and(|index| self.honest.contains(&index));
        let falls = before.is_some_and(|before| found.whole_gwei < before.whole_gwei);
        ensure(!is_honest || !(falls || found.is_accused || found.is_tombstoned), SLASHED, || {
            format!("L1 has {found:?} of an honest validator, before it was {before:?}")
        })
    }

    /// The newest height that has settled for good.
    #[must_use]
    pub(crate) fn settled_on_l1(&self) -> Height {
        self.on_l1.height()
    }

    /// The newest height that is certified.
    #[must_use]
    pub(crate) fn certified(&self) -> Height {
        self.settlement.newest()
    }
}
