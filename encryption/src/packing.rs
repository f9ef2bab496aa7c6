//! The four numbers of a sharing: how many parties, how many open, how much one share serves, how many
//! may collude.

use crate::interpolation::Node;

/// Why numbers are no sharing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PackingError {
    /// There are no parties, or too many.
    #[error("a sharing has 1 to {max} parties, found {found}", max = Packing::PARTIES_MAX)]
    Parties {
        /// Parties found.
        found: usize,
    },
    /// The secrecy threshold does not go with the number of parties.
    #[error(
        "{parties} parties with quorum {quorum} cannot have secrecy {secrecy}: it must be at least \
         {least}, and {quorum} + 1 − secrecy must be even and positive"
    )]
    Secrecy {
        /// Parties.
        parties: u16,
        /// t.
        quorum: u16,
        /// The least c.
        least: u16,
        /// c, as found.
        secrecy: u16,
    },
    /// The packing does not follow from the other numbers.
    #[error("secrecy and quorum make the packing {expected}, found {found}")]
    Packing {
        /// ℓ that follows.
        expected: u16,
        /// ℓ as found.
        found: u16,
    },
}

/// n, t, ℓ and c of a sharing: t = n − ⌊(n − 1)/3⌋ and c = t − 2ℓ + 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    parties: u16,
    quorum: u16,
    packing: u16,
    secrecy: u16,
}

impl Packing {
    /// As many parties as a committee may have members.
    pub const PARTIES_MAX: usize = 1_024;

    /// The sharing among `parties` with the largest packing at which opening early takes a majority.
    ///
    /// # Errors
    ///
    /// [`PackingError::Parties`] if there are none or too many.
    pub fn for_parties(parties: usize) -> Result<Self, PackingError> {
        let (count, quorum) = Self::quorum_of(parties)?;
        let majority = count.div_ceil(2);
        // One party alone keeps no secret from itself; with two or three, c = t − 1 is a majority.
        let packing = (quorum.saturating_add(1).saturating_sub(majority) / 2).max(1);
        let secrecy = quorum.saturating_add(1).saturating_sub(packing.saturating_mul(2));
        Self::new(parties, secrecy)
    }

    /// The sharing among `parties` of whom any `secrecy` learn nothing.
    ///
    /// # Errors
    ///
    /// [`PackingError`] if no packing gives that secrecy, or if it is below f.
    pub fn new(parties: usize, secrecy: u16) -> Result<Self, PackingError> {
        let (count, quorum) = Self::quorum_of(parties)?;
        let faulty = count.saturating_sub(quorum);
        let least = if count == 1 { 0 } else { faulty.max(1) };
        let doubled = quorum.saturating_add(1).saturating_sub(secrecy);
        if secrecy < least || doubled < 2 || !doubled.is_multiple_of(2) {
            return Err(PackingError::Secrecy { parties: count, quorum, least, secrecy });
        }
        Ok(Self { parties: count, quorum, packing: doubled / 2, secrecy })
    }

    /// n and n − f.
    fn quorum_of(parties: usize) -> Result<(u16, u16), PackingError> {
        match u16::try_from(parties) {
            Ok(count @ 1..) if parties <= Self::PARTIES_MAX => {
                Ok((count, count.saturating_sub(count.saturating_sub(1) / 3)))
            }
            _ => Err(PackingError::Parties { found: parties }),
        }
    }

    /// n: the parties.
    #[must_use]
    pub const fn parties(&self) -> u16 {
        self.parties
    }

    /// t = n − f: shares that open a block.
    #[must_use]
    pub const fn quorum(&self) -> u16 {
        self.quorum
    }

    /// ℓ: ciphertexts that one share serves.
    #[must_use]
    pub const fn packing(&self) -> u16 {
        self.packing
    }

    /// c: shares that say nothing. c + 1 of them give the key.
    #[must_use]
    pub const fn secrecy(&self) -> u16 {
        self.secrecy
    }

    /// Where the slots are: d_s.
    pub(crate) fn slots(&self) -> Vec<Node> {
        (0..self.packing).map(Node::of_slot).collect()
    }

    /// Where the parties are: x_j.
    pub(crate) fn places(&self) -> Vec<Node> {
        (0..self.parties).map(Node::of_party).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_table_of_the_specification() {
        let table = [(4, 1, 2), (16, 2, 8), (31, 3, 16), (64, 6, 32), (100, 9, 50)];
        for (parties, packing, secrecy) in table {
            let found = Packing::for_parties(parties).unwrap();
            assert_eq!((found.packing(), found.secrecy()), (packing, secrecy), "n = {parties}");
        }
    }

    #[test]
    fn every_number_of_parties_has_a_default_and_it_keeps_the_promises() {
        for parties in 1..=Packing::PARTIES_MAX {
            let found = Packing::for_parties(parties).unwrap();
            let faulty = (parties - 1) / 3;
            assert_eq!(usize::from(found.quorum()), parties - faulty);
            assert_eq!(found.secrecy() + 2 * found.packing(), found.quorum() + 1);
            assert!(parties == 1 || usize::from(found.secrecy()) >= parties.div_ceil(2));
            assert!(usize::from(found.secrecy()) >= faulty);
        }
    }

    #[test]
    fn numbers_that_are_no_sharing_are_refused() {
        assert_eq!(Packing::for_parties(0), Err(PackingError::Parties { found: 0 }));
        assert_eq!(Packing::for_parties(1_025), Err(PackingError::Parties { found: 1_025 }));
        assert_eq!(Packing::new(70_000, 3), Err(PackingError::Parties { found: 70_000 }));
        for (parties, secrecy) in [(4, 0), (4, 1), (4, 3), (4, u16::MAX), (16, 3), (16, 9), (2, 0)]
        {
            let error = Packing::new(parties, secrecy).unwrap_err();
            assert!(matches!(error, PackingError::Secrecy { .. }), "{parties} {secrecy}: {error}");
        }
    }
}
