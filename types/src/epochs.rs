//! Which epoch a height belongs to. Known a few heights ahead, so that whoever is sent a message for one
//! of the next heights knows what it must be signed for.

use std::collections::BTreeMap;

use crate::height::{Epoch, Height};

/// The epochs of the heights that a node deals with: those in progress, some before, a few to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// The epoch of everything before the first change.
    oldest: Epoch,
    /// The first height of each later epoch.
    changes: BTreeMap<Height, Epoch>,
}

impl Epochs {
    /// One epoch, whatever the height.
    #[must_use]
    pub const fn always(epoch: Epoch) -> Self {
        Self { oldest: epoch, changes: BTreeMap::new() }
    }

    /// The epoch of a height.
    #[must_use]
    pub fn at(&self, height: Height) -> Epoch {
        let before = self.changes.range(..=height).next_back();
        before.map_or(self.oldest, |(_, epoch)| *epoch)
    }

    /// `epoch` begins at `first`.
    pub fn change(&mut self, first: Height, epoch: Epoch) {
        self.changes.insert(first, epoch);
    }

    /// Forgets the epochs that ended before `height`.
    pub fn forget_before(&mut self, height: Height) {
        self.oldest = self.at(height);
        self.changes = self.changes.split_off(&height.next());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_height_belongs_to_the_epoch_that_began_last() {
        let mut epochs = Epochs::always(Epoch::ZERO);
        epochs.change(Height::new(10), Epoch::new(1));
        epochs.change(Height::new(20), Epoch::new(2));
        let of = |epochs: &Epochs| {
            [0, 9, 10, 19, 20, 99].map(|height| epochs.at(Height::new(height)).as_u64())
        };
        assert_eq!(of(&epochs), [0, 0, 1, 1, 2, 2]);
        epochs.forget_before(Height::new(19));
        assert_eq!(of(&epochs), [1, 1, 1, 1, 2, 2]);
        epochs.forget_before(Height::new(20));
        assert_eq!(of(&epochs), [2; 6]);
    }
}
