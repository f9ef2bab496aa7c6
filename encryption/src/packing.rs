//! The four numbers of a sharing: how many parties, how many open, how much one share serves, how many
//! may collude.

use blstrs::Scalar;
use conclave_types::{G1Bytes, SeedBytes};

use crate::interpolation::Node;

/// Bundles of a full block.
const FULL_BLOCK: usize = 512;
/// Bytes that a validator receives for each bundle of such a block, of shares and openings, at most up to a hundred
/// points at the default secrecy.
const RECEIVED_MAX: usize = 650;
/// From so many validators on a part is small, and what two show twice is as much as shares save it.
const LARGE: usize = 64;

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
        "{parties} parties, f = {faulty} of whom may fail, cannot have secrecy c = {secrecy}: choose {choices}",
        faulty = parties.saturating_sub(*quorum), choices = choices(*quorum, *least)
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
    /// More parties may fail than leave a majority, or fewer than a third of them.
    #[error("of {parties} parties at least {least} and less than half may fail, found {faulty}")]
    Faulty {
        /// Parties.
        parties: u16,
        /// ⌊(n − 1)/3⌋.
        least: u16,
        /// f, as found.
        faulty: u16,
    },
    /// The packing is zero, or takes more shares than the parties that may be counted on.
    #[error("the secrecy allows a packing of 1 to {expected}, found {found}")]
    Packing {
        /// The largest ℓ.
        expected: u16,
        /// ℓ as found.
        found: u16,
    },
    /// The suite shares one ciphertext at a time.
    #[error("the suite has a packing of 1, this secrecy makes it {found}")]
    Unpacked {
        /// ℓ as found.
        found: u16,
    },
}

/// n, t, ℓ and c of a sharing: t = n − f and c = t − 2ℓ + 1.
///
/// Among parties of equal power f = ⌊(n − 1)/3⌋. Where a party holds several points of the sharing, f is
/// the most points that less than a third of the power can hold, which rounding can make more.
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
        Self::for_secrecy(parties, count.saturating_sub(quorum), count.div_ceil(2))
    }

    /// The sharing among `parties` that is Shamir's: no fewer than a quorum open anything.
    ///
    /// # Errors
    ///
    /// [`PackingError::Parties`] if there are none or too many.
    pub fn unpacked(parties: usize) -> Result<Self, PackingError> {
        let (count, quorum) = Self::quorum_of(parties)?;
        Self::with_faulty(parties, count.saturating_sub(quorum), quorum.saturating_sub(1))
    }

    /// The sharing among `parties`, `faulty` of whom may fail, with the largest packing at which any
    /// `least` of them learn nothing. One party alone keeps no secret from itself.
    ///
    /// # Errors
    ///
    /// [`PackingError`] if no packing gives that secrecy, or the numbers are no sharing.
    pub fn for_secrecy(parties: usize, faulty: u16, least: u16) -> Result<Self, PackingError> {
        let (count, _) = Self::quorum_of(parties)?;
        let quorum = count.saturating_sub(faulty);
        let least = if count == 1 { 0 } else { least };
        let packing = (quorum.saturating_add(1).saturating_sub(least) / 2).max(1);
        let secrecy = quorum.saturating_add(1).saturating_sub(packing.saturating_mul(2));
        if secrecy < least {
            return Err(PackingError::Secrecy { parties: count, quorum, least, secrecy });
        }
        Self::with_faulty(parties, faulty, secrecy)
    }

    /// The sharing among `parties` of equal power of whom any `secrecy` learn nothing.
    ///
    /// # Errors
    ///
    /// [`PackingError`] if no packing gives that secrecy, or if it is below f.
    pub fn new(parties: usize, secrecy: u16) -> Result<Self, PackingError> {
        let (count, quorum) = Self::quorum_of(parties)?;
        Self::with_faulty(parties, count.saturating_sub(quorum), secrecy)
    }

    /// The sharing among `parties`, `faulty` of whom may fail and any `secrecy` of whom learn nothing.
    ///
    /// # Errors
    ///
    /// [`PackingError`] if no packing gives that secrecy, or if it is below `faulty`.
    pub fn with_faulty(parties: usize, faulty: u16, secrecy: u16) -> Result<Self, PackingError> {
        let (count, at_most) = Self::quorum_of(parties)?;
        let least = count.saturating_sub(at_most);
        if faulty < least || faulty.saturating_mul(2) >= count {
            return Err(PackingError::Faulty { parties: count, least, faulty });
        }
        let quorum = count.saturating_sub(faulty);
        let least = if count == 1 { 0 } else { faulty.max(1) };
        let doubled = quorum.saturating_add(1).saturating_sub(secrecy);
        if secrecy < least || doubled < 2 || !doubled.is_multiple_of(2) {
            return Err(PackingError::Secrecy { parties: count, quorum, least, secrecy });
        }
        Ok(Self { parties: count, quorum, packing: doubled / 2, secrecy })
    }

    /// The sharing of a key that names n, c and ℓ: they make t = c + 2ℓ − 1.
    pub(crate) fn of_key(parties: usize, secrecy: u16, found: u16) -> Result<Self, PackingError> {
        let (count, at_most) = Self::quorum_of(parties)?;
        let quorum = found.saturating_mul(2).saturating_add(secrecy).saturating_sub(1);
        if found == 0 || quorum > at_most {
            let expected = at_most.saturating_add(1).saturating_sub(secrecy) / 2;
            return Err(PackingError::Packing { expected, found });
        }
        Self::with_faulty(parties, count.saturating_sub(quorum), secrecy)
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

    /// Values that determine the sharing polynomial, whose degree is c + ℓ − 1.
    #[must_use]
    pub const fn coefficients(&self) -> u16 {
        self.secrecy.saturating_add(self.packing)
    }

    /// How many of so many validators show an opened part to everyone: enough that one of them is honest and awake as a
    /// rule. If none is, everyone opens the part for itself. It is two in a large committee, where a part is a small
    /// piece of a block, and wherever three would make of a full block of [`FULL_BLOCK`] bundles more than
    /// [`RECEIVED_MAX`] bytes for each, together with everyone's shares.
    #[must_use]
    pub fn shown_by(&self, validators: usize) -> usize {
        let shares = FULL_BLOCK.saturating_add(1).div_ceil(usize::from(self.packing).max(1));
        let of_others = usize::from(self.parties).saturating_sub(1);
        let shares = shares.saturating_mul(of_others).saturating_mul(G1Bytes::LEN);
        let openings = FULL_BLOCK.saturating_mul(SeedBytes::LEN).saturating_mul(3);
        let fits = shares.saturating_add(openings) <= RECEIVED_MAX.saturating_mul(FULL_BLOCK);
        if validators < LARGE && fits { 3 } else { 2 }
    }

    /// Z_D(x_j): what makes all but the constant vanish at every slot.
    pub(crate) fn vanishing(&self, party: u16) -> Scalar {
        let at = Node::of_party(party).scalar();
        self.slots().into_iter().map(|slot| at - slot.scalar()).product()
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

/// Which c there is for a quorum: t + 1 − c is even and positive.
fn choices(quorum: u16, least: u16) -> String {
    let most = quorum.saturating_sub(1);
    let least =
        if most.abs_diff(least).is_multiple_of(2) { least } else { least.saturating_add(1) };
    let kind = if most.is_multiple_of(2) { "an even" } else { "an odd" };
    match least {
        _ if least > most => {
            format!("another number of parties, this one has no such c below {quorum}")
        }
        _ if least == most => format!("{most}"),
        _ => format!("{kind} number from {least} to {most}"),
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
    fn a_bundle_of_a_full_block_takes_no_more_bytes_than_promised_in_any_committee() {
        for parties in 2..=100 {
            let packing = Packing::for_parties(parties).unwrap();
            let shares = 513_usize.div_ceil(packing.packing().into()) * 48 * (parties - 1);
            let shown = 512 * 32 * packing.shown_by(parties);
            assert!(shares + shown <= 650 * 512, "n = {parties}");
        }
        let shown_by = |parties| Packing::for_parties(parties).unwrap().shown_by(parties);
        assert_eq!([4, 12, 13, 31, 49, 63, 64, 100].map(shown_by), [3, 3, 2, 3, 2, 3, 2, 2]);
    }

    #[test]
    fn a_key_names_its_quorum_by_secrecy_and_packing() {
        for (parties, faulty, secrecy) in
            [(1, 0, 0), (4, 1, 2), (16, 5, 8), (16, 6, 9), (22, 8, 11)]
        {
            let packing = Packing::with_faulty(parties, faulty, secrecy).unwrap();
            assert_eq!(Packing::of_key(parties, secrecy, packing.packing()), Ok(packing));
        }
    }

    #[test]
    fn whoever_names_a_secrecy_that_there_is_not_is_told_which_there_are() {
        for (parties, secrecy, remedy) in [
            (4, 1, "f = 1 of whom may fail, cannot have secrecy c = 1: choose 2"),
            (
                10,
                2,
                "f = 3 of whom may fail, cannot have secrecy c = 2: choose an even number from 4 to 6",
            ),
            (
                16,
                5,
                "f = 5 of whom may fail, cannot have secrecy c = 5: choose an even number from 6 to 10",
            ),
            (
                5,
                4,
                "f = 1 of whom may fail, cannot have secrecy c = 4: choose an odd number from 1 to 3",
            ),
        ] {
            let error = Packing::new(parties, secrecy).unwrap_err().to_string();
            assert!(error.ends_with(remedy), "{error}");
        }
        // What is offered is what there is.
        for parties in 2..=64_u16 {
            let quorum = Packing::for_parties(parties.into()).unwrap().quorum();
            let good: Vec<u16> =
                (0..=64).filter(|c| Packing::new(parties.into(), *c).is_ok()).collect();
            let offered = choices(quorum, (parties - quorum).max(1));
            let numbers: Vec<u16> =
                offered.split(' ').filter_map(|word| word.parse().ok()).collect();
            let mut ends = vec![good[0], good[good.len() - 1]];
            ends.dedup();
            assert_eq!(numbers, ends, "n = {parties}: {offered}");
        }
        assert!(
            Packing::for_secrecy(16, 6, 11).unwrap_err().to_string().contains("another number")
        );
    }

    #[test]
    fn numbers_that_are_no_sharing_are_refused() {
        assert_eq!(Packing::for_parties(0), Err(PackingError::Parties { found: 0 }));
        assert_eq!(Packing::for_parties(1_025), Err(PackingError::Parties { found: 1_025 }));
        assert_eq!(Packing::new(70_000, 3), Err(PackingError::Parties { found: 70_000 }));
        for (parties, faulty) in [(4, 0), (4, 2), (16, 4), (16, 8), (1, 1), (16, u16::MAX)] {
            let error = Packing::with_faulty(parties, faulty, 9).unwrap_err();
            assert!(matches!(error, PackingError::Faulty { .. }), "{parties} {faulty}: {error}");
        }
        let error = Packing::for_secrecy(16, 6, 10).unwrap_err();
        let expected = PackingError::Secrecy { parties: 16, quorum: 10, least: 10, secrecy: 9 };
        assert_eq!(error, expected);
        for (parties, secrecy) in [(4, 0), (4, 1), (4, 3), (4, u16::MAX), (16, 3), (16, 9), (2, 0)]
        {
            let error = Packing::new(parties, secrecy).unwrap_err();
            assert!(matches!(error, PackingError::Secrecy { .. }), "{parties} {secrecy}: {error}");
        }
    }
}
