//! The committees of the heights that messages are taken for, each as Malachite wants it.

use std::sync::Arc;

use conclave_types::{Committee, Committees, Epoch, Height, Term};

use crate::{context::ValidatorSet, interface::ConfigError};

/// The committee of one height, as it is judged by.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    pub(crate) epoch: Epoch,
    pub(crate) committee: Arc<Committee>,
    pub(crate) set: ValidatorSet,
}

/// Which committee a height has.
#[derive(Debug)]
pub(crate) struct Terms {
    oldest: Seats,
    /// With their first heights, ascending.
    later: Vec<(Height, Seats)>,
}

impl Terms {
    pub(crate) fn new(committees: &Committees) -> Result<Self, ConfigError> {
        let seats = |term: &Term| Seats::new(term.epoch, Arc::clone(&term.committee));
        let later = committees.later().iter().map(|term| Ok((term.first, seats(term)?)));
        Ok(Self { oldest: seats(committees.oldest())?, later: later.collect::<Result<_, _>>()? })
    }

    /// The committee of a height.
    pub(crate) fn at(&self, height: Height) -> &Seats {
        let begun = self.later.iter().rev().find(|(first, _)| *first <= height);
        begun.map_or(&self.oldest, |(_, seats)| seats)
    }

    pub(crate) fn change(&mut self, first: Height, seats: Seats) {
        self.later.retain(|(before, _)| *before < first);
        self.later.push((first, seats));
    }

    /// Forgets the committees that have no height from `height` on.
    pub(crate) fn forget_before(&mut self, height: Height) {
        let over = self.later.iter().take_while(|(first, _)| *first <= height).count();
        if let Some((_, seats)) = self.later.drain(..over).next_back() {
            self.oldest = seats;
        }
    }
}

impl Seats {
    pub(crate) fn new(epoch: Epoch, committee: Arc<Committee>) -> Result<Self, ConfigError> {
        let found = committee.total_power();
        if found > u64::MAX / 3 {
            return Err(ConfigError::Power { found });
        }
        Ok(Self { epoch, set: ValidatorSet::new(&committee), committee })
    }
}
