//! Validators by number: who is who over the epochs, and the committees that L1 offers.
//!
//! The stake contract numbers validators, for ever. The protocol gives each its own, shorter number when it is
//! first to be a member ([`ValidatorIndex`]), so that a vote, a record or a piece of evidence means the same
//! validator in whatever epoch it is read, also after the validator has changed its keys, or has left and come
//! back. So a committee is some of those in the roster, in their order.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    committee::{Committee, CommitteeError, ConsensusKey, Member},
    digest::Hasher,
    height::Epoch,
    ids::{Digest, ValidatorIndex},
};

/// Why members cannot be seated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RosterError {
    /// A member has no number in the stake contract.
    #[error("member {place} has no number in the stake contract")]
    NoNumber {
        /// Its place among the members.
        place: usize,
    },
    /// Two members have one number.
    #[error("validator {number} appears twice")]
    Twice {
        /// The number.
        number: u32,
    },
    /// There have been as many validators as there are indices.
    #[error("there have been {count} validators, which is as many as have room")]
    Full {
        /// How many there have been.
        count: u16,
    },
    /// They are no committee.
    #[error("the members are no committee")]
    Committee(#[from] CommitteeError),
}

/// All validators that were ever to be a member, in the order in which they appeared.
///
/// **Bound.** [`Roster::VALIDATORS_MAX`]. Beyond that no new validator is seated: committees of those that are
/// known go on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Roster {
    by_number: BTreeMap<u32, ValidatorIndex>,
    count: u16,
}

impl Roster {
    /// The last index is nobody's: it stands for a node that is no validator.
    pub const VALIDATORS_MAX: u16 = u16::MAX;

    /// The members of the genesis.
    #[must_use]
    pub fn new(genesis: &Committee) -> Self {
        let numbers = genesis.iter().map(|(index, member)| (member.validator, index));
        let count = genesis.iter().map(|(index, _)| index.as_u16().saturating_add(1)).max();
        Self { by_number: numbers.collect(), count: count.unwrap_or_default() }
    }

    /// Gives each of these members its index, and who is new the next ones in the order given. Returns the
    /// roster with them in it, and their committee.
    ///
    /// # Errors
    ///
    /// Says why they are no committee.
    pub fn seat(&self, members: &[Member]) -> Result<(Self, Committee), RosterError> {
        let mut roster = self.clone();
        let mut seats = BTreeMap::new();
        for (place, member) in members.iter().enumerate().take(Committee::MEMBERS_MAX) {
            let number = member.validator;
            if number == 0 {
                return Err(RosterError::NoNumber { place });
            }
            let index = roster.index_of(number)?;
            if seats.insert(index, member.clone()).is_some() {
                return Err(RosterError::Twice { number });
            }
        }
        if members.len() > seats.len() {
            return Err(CommitteeError::Count { found: members.len() }.into());
        }
        Ok((roster, Committee::seated(with_network_keys_apart(seats))?))
    }

    /// How many validators there have been.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    fn index_of(&mut self, number: u32) -> Result<ValidatorIndex, RosterError> {
        if let Some(known) = self.by_number.get(&number) {
            return Ok(*known);
        }
        let count = self.count;
        if count == Self::VALIDATORS_MAX {
            return Err(RosterError::Full { count });
        }
        let index = ValidatorIndex::new(count);
        self.by_number.insert(number, index);
        self.count = count.saturating_add(1);
        Ok(index)
    }
}

/// Takes the network key of whoever has another's. L1 keeps consensus keys apart, but anyone can register with any
/// network key, and that must not be a way to void an offer, nor to be taken for somebody else: who has been in the
/// roster for longer keeps the key, and nobody reaches the other one until it has a key of its own.
fn with_network_keys_apart(
    mut seats: BTreeMap<ValidatorIndex, Member>,
) -> BTreeMap<ValidatorIndex, Member> {
    let mut taken: BTreeSet<_> = seats.values().map(|member| member.consensus_key).collect();
    for member in seats.values_mut() {
        if !taken.insert(member.network_key) {
            let mut hasher = Hasher::new("conclave/no-network-key/v1");
            member.network_key =
                ConsensusKey::new(*hasher.u32(member.validator).finish().as_bytes());
            taken.insert(member.network_key);
        }
    }
    seats
}

/// A committee that L1 offers for an epoch.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommitteeOffer {
    /// The epoch.
    pub epoch: Epoch,
    /// Its members, in the order of the contract.
    pub members: Vec<Member>,
}

impl CommitteeOffer {
    /// Offers that one L1 block counts for, and those that one of our blocks carries.
    pub const COUNT_MAX: usize = 2;
    /// Bytes of an offer: more than the largest committee whose names have a length for people.
    pub const BYTES_MAX: usize = 256 << 10;

    /// Of all that an L1 block offers, what counts: for each of the last epochs named, the last offer that is
    /// not too large. A contract can be made to offer often; everyone who reads a block of L1 keeps the same.
    #[must_use]
    pub fn that_count(offers: Vec<Self>) -> Vec<Self> {
        let fitting = offers.into_iter().filter(|offer| offer.size_bytes() <= Self::BYTES_MAX);
        let newest: BTreeMap<Epoch, Self> = fitting.map(|offer| (offer.epoch, offer)).collect();
        let skipped = newest.len().saturating_sub(Self::COUNT_MAX);
        newest.into_values().skip(skipped).collect()
    }

    /// What it counts for against [`CommitteeOffer::BYTES_MAX`].
    ///
    /// # Panics
    ///
    /// Never: encoding into memory does not fail.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.encoded().len()
    }

    /// Its leaf in the root of what a block carries of L1.
    ///
    /// # Panics
    ///
    /// Never: encoding into memory does not fail.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        Hasher::new("conclave/committee-offer/v1").bytes(&self.encoded()).finish()
    }

    fn encoded(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "a Vec<u8> takes every write")]
        borsh::to_vec(self).expect("encoding into memory does not fail")
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::{committee::ConsensusKey, settlement_key::SettlementSecret};

    fn member(validator: u32, key: u8) -> Member {
        let consensus_key = SigningKey::from_bytes(&[key; 32]).verifying_key().to_bytes();
        Member {
            name: format!("v{validator}"),
            consensus_key: ConsensusKey::new(consensus_key),
            network_key: ConsensusKey::new([key; 32]),
            settlement_key: SettlementSecret::from_seed(&[key; 32]).key(),
            validator,
            power: 1,
        }
    }

    fn seats(roster: &Roster, members: &[Member]) -> Result<Vec<(u16, u32)>, RosterError> {
        let (_, committee) = roster.seat(members)?;
        let seat = |(index, member): (ValidatorIndex, &Member)| (index.as_u16(), member.validator);
        Ok(committee.iter().map(seat).collect())
    }

    fn roster() -> Roster {
        Roster::new(&Committee::new(vec![member(7, 1), member(3, 2), member(5, 3)]).unwrap())
    }

    #[test]
    fn whoever_is_known_keeps_its_index_and_newcomers_get_the_next() {
        let genesis = roster();
        // 5 has changed its keys, 7 has left, 9 and 8 join.
        let members = [member(3, 2), member(5, 30), member(9, 4), member(8, 5)];
        let (roster, committee) = genesis.seat(&members).unwrap();
        assert_eq!(seats(&genesis, &members), Ok(vec![(1, 3), (2, 5), (3, 9), (4, 8)]));
        assert_eq!(
            committee.get(ValidatorIndex::new(2)).unwrap().consensus_key,
            members[1].consensus_key
        );
        assert_eq!(committee.get(ValidatorIndex::new(0)), None);
        assert_eq!((genesis.count(), roster.count()), (3, 5));
        // 7 comes back, 9 has left: nobody gets its index.
        let members = [member(7, 1), member(10, 6), member(8, 5)];
        assert_eq!(seats(&roster, &members), Ok(vec![(0, 7), (4, 8), (5, 10)]));
        let bytes = borsh::to_vec(&roster).unwrap();
        assert_eq!(borsh::from_slice::<Roster>(&bytes).unwrap(), roster);
    }

    #[test]
    fn whoever_takes_a_network_key_of_others_is_seated_without_it() {
        let roster = roster();
        let with = |number, key, network: ConsensusKey| Member {
            network_key: network,
            ..member(number, key)
        };
        let honest = member(9, 4);
        // A newcomer takes the network key of one who was there, another the consensus key of a third.
        let thieves = [
            with(2, 5, member(3, 2).network_key),
            with(4, 6, honest.consensus_key),
            with(6, 8, honest.network_key),
        ];
        let members: Vec<_> = [member(3, 2), honest.clone()].into_iter().chain(thieves).collect();
        let (_, committee) = roster.seat(&members).unwrap();
        let key_of = |number| {
            let mut found = committee.iter().filter(|(_, member)| member.validator == number);
            found.next().unwrap().1.network_key
        };
        assert_eq!((key_of(3), key_of(9)), (member(3, 2).network_key, honest.network_key));
        let keys: BTreeSet<_> = [2, 3, 4, 6, 9].map(key_of).into();
        assert_eq!(keys.len(), 5);
        assert!(!keys.contains(&honest.consensus_key));
    }

    #[test]
    fn members_that_cannot_be_seated_are_refused_by_name() {
        let roster = roster();
        let refused = |members: &[Member]| seats(&roster, members).unwrap_err();
        assert_eq!(refused(&[member(3, 2), member(0, 4)]), RosterError::NoNumber { place: 1 });
        assert_eq!(refused(&[member(3, 2), member(3, 4)]), RosterError::Twice { number: 3 });
        assert_eq!(refused(&[]), CommitteeError::Count { found: 0 }.into());
        let many: Vec<_> = (1..=1_025).map(|number| member(number, 1)).collect();
        assert_eq!(refused(&many), CommitteeError::Count { found: 1_025 }.into());
        let shared = CommitteeError::DuplicateKey(ValidatorIndex::new(3));
        assert_eq!(refused(&[member(3, 2), member(4, 2)]), shared.into());
        let full = Roster { count: Roster::VALIDATORS_MAX, ..roster.clone() };
        let expected = RosterError::Full { count: Roster::VALIDATORS_MAX };
        assert_eq!(full.seat(&[member(4, 9)]).unwrap_err(), expected);
        assert!(full.seat(&[member(3, 2)]).is_ok(), "those who are known go on");
    }

    #[test]
    fn of_many_offers_the_last_of_the_last_two_epochs_count() {
        let offer = |epoch, validator| CommitteeOffer {
            epoch: Epoch::new(epoch),
            members: vec![member(validator, 1)],
        };
        let mut large = offer(4, 1);
        large.members[0].name = "x".repeat(CommitteeOffer::BYTES_MAX);
        let offers = vec![offer(2, 1), offer(4, 2), offer(3, 3), offer(4, 4), large];
        assert_eq!(CommitteeOffer::that_count(offers), [offer(3, 3), offer(4, 4)]);
        assert_ne!(offer(2, 1).leaf(), offer(3, 1).leaf());
        assert_ne!(offer(2, 1).leaf(), offer(2, 2).leaf());
    }
}
