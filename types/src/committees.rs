//! Which committee decides which heights.

use std::sync::Arc;

use crate::{
    committee::Committee,
    height::{Epoch, Height},
};

/// The span in which one committee decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Its first height.
    pub first: Height,
    /// The epoch.
    pub epoch: Epoch,
    /// Who decides in it.
    pub committee: Arc<Committee>,
}

/// The committees of the heights that a node deals with: those in progress, some before, a few to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committees {
    /// Decides everything before the first later term.
    oldest: Term,
    /// Ascending.
    later: Vec<Term>,
}

impl Committees {
    /// One committee, whatever the height.
    #[must_use]
    pub const fn always(epoch: Epoch, committee: Arc<Committee>) -> Self {
        Self { oldest: Term { first: Height::ZERO, epoch, committee }, later: Vec::new() }
    }

    /// The term of a height.
    #[must_use]
    pub fn at(&self, height: Height) -> &Term {
        let begun = self.later.iter().rev().find(|term| term.first <= height);
        begun.unwrap_or(&self.oldest)
    }

    /// Who decides in an epoch, if it is one of those that are known.
    #[must_use]
    pub fn of_epoch(&self, epoch: Epoch) -> Option<&Arc<Committee>> {
        self.iter().find(|term| term.epoch == epoch).map(|term| &term.committee)
    }

    /// The term that begins last.
    #[must_use]
    pub fn newest(&self) -> &Term {
        self.later.last().unwrap_or(&self.oldest)
    }

    /// The term of everything before the first later one.
    #[must_use]
    pub const fn oldest(&self) -> &Term {
        &self.oldest
    }

    /// The terms after the oldest, ascending.
    #[must_use]
    pub fn later(&self) -> &[Term] {
        &self.later
    }

    fn iter(&self) -> impl Iterator<Item = &Term> {
        std::iter::once(&self.oldest).chain(&self.later)
    }

    /// `committee` decides from `first` on, which is above all terms so far.
    pub fn change(&mut self, first: Height, epoch: Epoch, committee: Arc<Committee>) {
        self.later.retain(|term| term.first < first);
        self.later.push(Term { first, epoch, committee });
    }

    /// Forgets the terms that ended before `height`.
    pub fn forget_before(&mut self, height: Height) {
        let over = self.later.iter().take_while(|term| term.first <= height).count();
        if let Some(oldest) = self.later.drain(..over).next_back() {
            self.oldest = oldest;
        }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::{
        committee::{ConsensusKey, Member},
        ids::ValidatorIndex,
        settlement_key::SettlementSecret,
    };

    fn of_one(index: u16) -> Arc<Committee> {
        let consensus_key = SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
        let member = Member {
            name: String::new(),
            consensus_key: ConsensusKey::new(consensus_key),
            network_key: ConsensusKey::new([1; 32]),
            settlement_key: SettlementSecret::from_seed(&[1; 32]).key(),
            validator: 0,
            power: 1,
        };
        Arc::new(Committee::seated([(ValidatorIndex::new(index), member)]).unwrap())
    }

    #[test]
    fn a_height_is_decided_by_the_committee_that_began_last() {
        let mut committees = Committees::always(Epoch::ZERO, of_one(0));
        committees.change(Height::new(10), Epoch::new(1), of_one(1));
        committees.change(Height::new(20), Epoch::new(2), of_one(2));
        let of = |committees: &Committees| {
            [0, 9, 10, 19, 20, 99].map(|height| {
                let Term { epoch, committee, .. } = committees.at(Height::new(height));
                (epoch.as_u64(), committee.iter().map(|(index, _)| index.as_u16()).sum::<u16>())
            })
        };
        assert_eq!(of(&committees), [(0, 0), (0, 0), (1, 1), (1, 1), (2, 2), (2, 2)]);
        committees.forget_before(Height::new(19));
        assert_eq!(of(&committees), [(1, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 2)]);
        assert_eq!(committees.of_epoch(Epoch::ZERO), None);
        assert_eq!(committees.of_epoch(Epoch::new(2)), Some(&of_one(2)));
        committees.forget_before(Height::new(20));
        assert_eq!(of(&committees), [(2, 2); 6]);
        assert_eq!(committees.newest().epoch, Epoch::new(2));
    }
}
