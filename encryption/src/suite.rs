//! How the bundles of a network are sealed: one choice, made in its genesis.
//!
//! | | [`Suite::Packed`], 0x01 | [`Suite::Baseline`], 0x02 |
//! |---|---|---|
//! | cipher | ours, on an audited AEAD | that of `threshold_crypto`, as it is |
//! | validity | proof that u and ū have one logarithm | the same proof, and the crate's own |
//! | sharing | packed: one share for ℓ ciphertexts | Shamir's: ℓ = 1, c = t − 1 |
//!
//! Both encapsulate a bundle's key in u = r·g and open to k = sk·u, so all that happens to a block between
//! its decision and its openings is the same code, and so is the making of the key. No key serves both: the
//! suite is in the genesis, hence in the network id, which every key id, label and proof is bound to.

use crate::packing::{Packing, PackingError};

/// How the bundles of a network are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Packed threshold ElGamal.
    Packed,
    /// Baek and Zheng's scheme, as `threshold_crypto` has it.
    Baseline,
}

impl Suite {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Packed, Self::Baseline];

    /// The suite that headers, keys and genesis files call so; none if there is none.
    #[must_use]
    pub const fn of_number(number: u8) -> Option<Self> {
        match number {
            0x01 => Some(Self::Packed),
            0x02 => Some(Self::Baseline),
            _ => None,
        }
    }

    /// What headers, keys and genesis files call it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Packed => 0x01,
            Self::Baseline => 0x02,
        }
    }

    /// The sharing among `parties` of equal power of whom any `secrecy` learn nothing; 0 for what is usual.
    ///
    /// # Errors
    ///
    /// [`PackingError`] if there is no such sharing under this suite.
    pub fn packing(self, parties: usize, secrecy: u16) -> Result<Packing, PackingError> {
        let packing = match (self, secrecy) {
            (Self::Packed, 0) => Packing::for_parties(parties)?,
            (Self::Baseline, 0) => Packing::unpacked(parties)?,
            (_, secrecy) => Packing::new(parties, secrecy)?,
        };
        self.check(packing)
    }

    /// The sharing among `parties`, `faulty` of whom may fail and any `least` of whom learn nothing.
    pub(crate) fn packing_for(
        self,
        parties: u16,
        faulty: u16,
        least: u16,
    ) -> Result<Packing, PackingError> {
        match self {
            Self::Packed => Packing::for_secrecy(parties.into(), faulty, least),
            Self::Baseline => {
                let secrecy = parties.saturating_sub(faulty).saturating_sub(1);
                Packing::for_secrecy(parties.into(), faulty, secrecy.max(least))
            }
        }
    }

    /// The sharing, if the suite has such.
    pub(crate) const fn check(self, packing: Packing) -> Result<Packing, PackingError> {
        let found = packing.packing();
        match self {
            Self::Baseline if found != 1 => Err(PackingError::Unpacked { found }),
            Self::Packed | Self::Baseline => Ok(packing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_one_suite() {
        let named: Vec<u8> =
            (0..=u8::MAX).filter(|number| Suite::of_number(*number).is_some()).collect();
        assert_eq!(named, Suite::ALL.map(Suite::number));
    }

    #[test]
    fn a_quorum_and_no_fewer_read_under_the_baseline() {
        for parties in 1..=Packing::PARTIES_MAX {
            let found = Suite::Baseline.packing(parties, 0).unwrap();
            assert_eq!((found.packing(), found.secrecy() + 1), (1, found.quorum()));
            assert_eq!(found.quorum(), Suite::Packed.packing(parties, 0).unwrap().quorum());
        }
        // 16 points, t = 11: c = 10 is ℓ = 1, and c = 8 is ℓ = 2.
        assert!(Suite::Baseline.packing(16, 10).is_ok());
        assert_eq!(Suite::Baseline.packing(16, 8), Err(PackingError::Unpacked { found: 2 }));
        assert_eq!(Suite::Packed.packing(16, 8).unwrap().packing(), 2);
    }
}
