//! Who holds which points of a sharing.
//!
//! A validator holds as many points as it has tickets, one after the other, in the order of the
//! validators. Without tickets it holds none, and owes no shares.

use std::ops::Range;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::ValidatorIndex;

use crate::packing::{Packing, PackingError};

/// The points of each validator of a committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holders(Vec<Range<u16>>);

impl Holders {
    /// Gives each validator as many points as it has tickets.
    ///
    /// # Errors
    ///
    /// [`PackingError::Parties`] if there are no tickets, or more than a sharing can have parties. Validators
    /// without a ticket are not counted: they may be in between.
    pub fn new(tickets: &[u16]) -> Result<Self, PackingError> {
        let found = tickets.iter().fold(0_usize, |sum, count| sum.saturating_add((*count).into()));
        if !(1..=Packing::PARTIES_MAX).contains(&found) || tickets.len() > usize::from(u16::MAX) {
            return Err(PackingError::Parties { found });
        }
        let mut next = 0_u16;
        let ranges = tickets.iter().map(|count| {
            let start = next;
            next = next.saturating_add(*count);
            start..next
        });
        Ok(Self(ranges.collect()))
    }

    /// One point for each of `count` validators.
    ///
    /// # Errors
    ///
    /// [`PackingError::Parties`] if there are none or too many.
    pub fn one_each(count: usize) -> Result<Self, PackingError> {
        if count > Packing::PARTIES_MAX {
            return Err(PackingError::Parties { found: count });
        }
        Self::new(&vec![1; count])
    }

    /// n: all points.
    #[must_use]
    pub fn point_count(&self) -> u16 {
        self.0.last().map_or(0, |range| range.end)
    }

    /// Validators of the committee, those without a point included.
    #[must_use]
    pub const fn validator_count(&self) -> usize {
        self.0.len()
    }

    /// The points of a validator; none for one that the committee has not.
    #[must_use]
    pub fn points(&self, validator: ValidatorIndex) -> Range<u16> {
        self.0.get(validator.as_usize()).cloned().unwrap_or_default()
    }

    /// Tickets of a validator.
    #[must_use]
    pub fn tickets(&self, validator: ValidatorIndex) -> u16 {
        u16::try_from(self.points(validator).len()).unwrap_or(u16::MAX)
    }

    /// Whose point this is.
    #[must_use]
    pub fn holder(&self, point: u16) -> Option<ValidatorIndex> {
        let at = self.0.partition_point(|range| range.end <= point);
        let range = self.0.get(at)?;
        u16::try_from(at).ok().filter(|_| range.contains(&point)).map(ValidatorIndex::new)
    }

    /// Every validator with its points.
    pub fn iter(&self) -> impl Iterator<Item = (ValidatorIndex, Range<u16>)> {
        (0_u16..).map(ValidatorIndex::new).zip(self.0.iter().cloned())
    }
}

impl BorshSerialize for Holders {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        let tickets: Vec<u16> = self.iter().map(|(validator, _)| self.tickets(validator)).collect();
        tickets.serialize(writer)
    }
}

impl BorshDeserialize for Holders {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let tickets = Vec::<u16>::deserialize_reader(reader)?;
        Self::new(&tickets).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_follow_the_validators_and_lead_back_to_them() {
        let holders = Holders::new(&[2, 0, 0, 3, 1, 0]).unwrap();
        assert_eq!(holders.point_count(), 6);
        let points: Vec<_> = holders.iter().map(|(_, points)| points).collect();
        assert_eq!(points, [0..2, 2..2, 2..2, 2..5, 5..6, 6..6]);
        let of = [0, 0, 3, 3, 3, 4].map(|index| Some(ValidatorIndex::new(index)));
        assert_eq!((0..6).map(|point| holders.holder(point)).collect::<Vec<_>>(), of);
        assert_eq!(holders.holder(6), None);
        assert_eq!(holders.points(ValidatorIndex::new(6)), 0..0);
        let bytes = borsh::to_vec(&holders).unwrap();
        assert_eq!(borsh::from_slice::<Holders>(&bytes).unwrap(), holders);
    }

    #[test]
    fn no_points_and_too_many_are_refused() {
        assert_eq!(Holders::new(&[]), Err(PackingError::Parties { found: 0 }));
        assert_eq!(Holders::new(&[0, 0]), Err(PackingError::Parties { found: 0 }));
        assert_eq!(Holders::new(&[1_000, 25]), Err(PackingError::Parties { found: 1_025 }));
        assert_eq!(Holders::one_each(1_025), Err(PackingError::Parties { found: 1_025 }));
    }
}
