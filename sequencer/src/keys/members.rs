//! The committee of an epoch, and which points of its key each member holds.
//!
//! Consensus counts power, a sharing counts points: members get as many as they have tickets for their power
//! ([`Tickets`]). Validators of equal power hold one each. A key that the genesis brings was shared by whoever
//! made it, one point to each member; the next sharing of it goes by power.
//!
//! A genesis may name c. It is meant for its own committee; later ones have other numbers of points, and what
//! stays is the part c/n: no committee takes over under which less than that part, rounded up, learns nothing.
//! One for which no such sharing exists is not used, and the committee in force stays.

use std::{ops::Range, sync::Arc};

use conclave_encryption::{
    Fraction, Holders, Packing, PackingError, PublicKey, Suite, TicketError, TicketRule, Tickets,
};
use conclave_types::{
    Committee, ConsensusKey, DkgResult, GenesisError, SharingParams, ValidatorIndex,
};

/// Why a committee cannot share a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SharingError {
    /// The numbers that the genesis names are no sharing among its members.
    #[error(
        "the genesis names numbers that are no sharing among its members; c is params.sharing.secrecy there, and 0 is as usual"
    )]
    Packing(#[from] PackingError),
    /// The genesis names a suite that there is not.
    #[error("the genesis names suite {found}, which is none")]
    Suite {
        /// The suite found.
        found: u8,
    },
    /// The genesis contradicts itself.
    #[error("the genesis is not valid")]
    Genesis(#[from] GenesisError),
    /// There are no tickets for these powers that keep what is promised.
    #[error("no tickets for these powers keep what the parameters promise")]
    Tickets(#[from] TicketError),
}

/// What every sharing of a network must satisfy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharingRule(TicketRule);

impl SharingRule {
    /// What `params` promise, whose c is that of a committee of `count`.
    pub(crate) fn new(params: &SharingParams, count: usize) -> Result<Self, SharingError> {
        let (secrecy, found) = (params.secrecy, params.suite);
        let suite = Suite::of_number(found).ok_or(SharingError::Suite { found })?;
        let usual = TicketRule { suite, ..TicketRule::DEFAULT };
        if secrecy == 0 {
            return Ok(Self(usual));
        }
        let parties = suite.packing(count, secrecy)?.parties();
        // With c = n/2 these are the parts that the default rule has: a half, and two fifths.
        let part = |above: u32, below: u32| {
            let (above, below) =
                (above.saturating_mul(secrecy.into()), below.saturating_mul(parties.into()));
            Fraction::new(above, below).ok_or(PackingError::Parties { found: count })
        };
        let (secrecy, privacy) = (part(1, 1)?, part(4, 5)?);
        Ok(Self(TicketRule { secrecy, privacy, ..usual }))
    }

    /// The suite of the network's keys.
    pub(crate) const fn suite(&self) -> Suite {
        self.0.suite
    }
}

/// A validator that a transport is to know: one of a committee in force, or of one that is being formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownValidator {
    /// Which.
    pub index: ValidatorIndex,
    /// What its host proves to be.
    pub network_key: ConsensusKey,
    /// Its name, for people.
    pub name: String,
}

impl KnownValidator {
    pub(super) fn all(committee: &Committee) -> impl Iterator<Item = Self> {
        committee.iter().map(|(index, member)| Self {
            index,
            network_key: member.network_key,
            name: member.name.clone(),
        })
    }
}

/// Who decides in an epoch, and who holds which points of its key.
#[derive(Clone, Debug)]
pub struct Members {
    committee: Arc<Committee>,
    holders: Holders,
    packing: Packing,
}

impl Members {
    /// A committee whose members hold points by their power.
    pub(crate) fn by_power(
        committee: Arc<Committee>,
        rule: &SharingRule,
    ) -> Result<Self, SharingError> {
        let powers: Vec<u64> = committee.members().iter().map(|member| member.power).collect();
        let SharingRule(rule) = *rule;
        let most = u16::try_from(committee.count()).unwrap_or(u16::MAX);
        let rule = TicketRule { points_max: rule.points_max.max(most), ..rule };
        let tickets = Tickets::assign(&powers, &rule)?;
        let places = (0_u16..).map(ValidatorIndex::new).zip(committee.iter());
        let held = places.map(|(place, (index, _))| (index, tickets.of(place)));
        let holders = holders(held)?;
        Ok(Self { committee, holders, packing: tickets.packing() })
    }

    /// A committee whose members hold one point each of a key that was made before.
    pub(crate) fn one_each(
        committee: Arc<Committee>,
        packing: Packing,
    ) -> Result<Self, SharingError> {
        let holders = holders(committee.iter().map(|(index, _)| (index, 1)))?;
        Ok(Self { committee, holders, packing })
    }

    /// A committee with what was recorded of its points.
    pub(crate) const fn recorded(
        committee: Arc<Committee>,
        holders: Holders,
        packing: Packing,
    ) -> Self {
        Self { committee, holders, packing }
    }

    /// Who decides.
    #[must_use]
    pub const fn committee(&self) -> &Arc<Committee> {
        &self.committee
    }

    /// Who holds which points.
    #[must_use]
    pub const fn holders(&self) -> &Holders {
        &self.holders
    }

    /// The numbers of the sharing.
    #[must_use]
    pub const fn packing(&self) -> Packing {
        self.packing
    }

    /// The points of a validator; none for one without tickets, or that is no member.
    #[must_use]
    pub fn points(&self, validator: ValidatorIndex) -> Range<u16> {
        self.holders.points(validator)
    }

    /// The sharing of `key` among these, as L1 knows it.
    pub(crate) fn dkg_result(&self, key: &PublicKey) -> DkgResult {
        let rows = self.committee.rows();
        let holders = rows.iter().map(|(index, _)| self.points(*index)).collect();
        DkgResult { key: key.encryption_key().clone(), holders }
    }

    /// How many points these validators hold together, each counted once.
    pub(crate) fn points_of<'a>(
        &self,
        validators: impl Iterator<Item = &'a ValidatorIndex>,
    ) -> usize {
        validators.map(|validator| self.points(*validator).len()).sum()
    }
}

/// Points for members, whose indices ascend.
fn holders(held: impl Iterator<Item = (ValidatorIndex, u16)>) -> Result<Holders, PackingError> {
    let mut tickets = Vec::new();
    for (index, count) in held {
        tickets.resize(index.as_usize(), 0);
        tickets.push(count);
    }
    Holders::new(&tickets)
}

#[cfg(test)]
mod tests {
    use conclave_types::{Genesis, Member, SettlementSecret};
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::testing::network;

    fn committee(seats: &[(u16, u64)]) -> Arc<Committee> {
        let (Genesis { members, .. }, _) = network(1);
        let member = |(index, power): &(u16, u64)| {
            let key = SigningKey::from_bytes(&[u8::try_from(*index).unwrap() + 1; 32]);
            let consensus_key = ConsensusKey::new(key.verifying_key().to_bytes());
            let network_key = ConsensusKey::new([u8::try_from(*index).unwrap(); 32]);
            let settlement_key =
                SettlementSecret::from_seed(&[u8::try_from(*index).unwrap() + 1; 32]).key();
            let member = Member {
                consensus_key,
                network_key,
                settlement_key,
                power: *power,
                ..members[0].clone()
            };
            (ValidatorIndex::new(*index), member)
        };
        Arc::new(Committee::seated(seats.iter().map(member)).unwrap())
    }

    fn rule(secrecy: u16, count: usize) -> Result<SharingRule, SharingError> {
        let (Genesis { params, .. }, _) = network(1);
        SharingRule::new(&SharingParams { secrecy, ..params.sharing }, count)
    }

    fn points(members: &Members) -> Vec<usize> {
        let committee = members.committee();
        committee.iter().map(|(index, _)| members.points(index).len()).collect()
    }

    #[test]
    fn equal_powers_hold_one_point_each_wherever_their_indices_are() {
        for count in 1..=40 {
            let seats: Vec<_> = (0..count).map(|place| (3 * place, 7)).collect();
            let members = Members::by_power(committee(&seats), &rule(0, 1).unwrap()).unwrap();
            assert_eq!(points(&members), vec![1; count.into()]);
            assert_eq!(members.packing(), Packing::for_parties(count.into()).unwrap());
        }
        let members =
            Members::by_power(committee(&[(2, 1), (5, 1)]), &rule(0, 1).unwrap()).unwrap();
        assert_eq!(members.points(ValidatorIndex::new(5)), 1..2);
        assert_eq!(members.points(ValidatorIndex::new(3)), 1..1);
    }

    #[test]
    fn a_large_power_holds_many_points_and_a_crumb_none() {
        let seats = [(0, 400_000), (1, 200_000), (4, 200_000), (6, 199_999), (7, 1)];
        let members = Members::by_power(committee(&seats), &rule(0, 1).unwrap()).unwrap();
        let held = points(&members);
        assert!(held[0] > held[1] && held[1] == held[2] && held[4] == 0, "{held:?}");
        let all = [0, 1, 4, 6, 7].map(ValidatorIndex::new);
        assert_eq!(members.points_of(all.iter()), usize::from(members.packing().parties()));
    }

    #[test]
    fn a_named_secrecy_is_kept_as_a_part_of_the_points() {
        let strict = rule(10, 16).unwrap();
        let of = |count: u16, power: fn(u16) -> u64| {
            let seats: Vec<_> = (0..count).map(|place| (place, power(place))).collect();
            Members::by_power(committee(&seats), &strict).map(|members| members.packing())
        };
        assert_eq!(of(16, |_| 1), Ok(Packing::new(16, 10).unwrap()));
        let larger = of(19, |_| 1).unwrap();
        assert!(larger.secrecy() * 16 >= larger.parties() * 10, "{larger:?}");
        // All but one of a quorum learn nothing: where powers are all different, no tickets are that exact.
        let strict = rule(66, 100).unwrap();
        let noise = |k: u64| k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
        let power = |place: u16| 10_000_000 / u64::from(place + 1) + noise(u64::from(place + 1));
        let seats: Vec<_> = (0..100).map(|place| (place, power(place))).collect();
        let refused =
            Members::by_power(committee(&seats), &strict).map(|members| members.packing());
        let expected = TicketError::NoneFound { points_max: 512 };
        assert_eq!(refused, Err(expected.into()));
    }

    #[test]
    fn l1_knows_who_holds_which_point_in_whatever_order_it_lists_the_members() {
        let (genesis, _) = network(4);
        let key = genesis.encryption_key.as_ref().unwrap();
        let key = PublicKey::new(genesis.network_id(), key).unwrap();
        // Seats with their numbers in the stake contract, which order the rows.
        let result = |seats: &[(u16, u32, u64)]| {
            let powers: Vec<_> = seats.iter().map(|(index, _, power)| (*index, *power)).collect();
            let committee = committee(&powers);
            let numbered = committee.iter().zip(seats).map(|((index, member), (_, number, _))| {
                (index, Member { validator: *number, ..member.clone() })
            });
            let committee = Arc::new(Committee::seated(numbered).unwrap());
            Members::by_power(committee, &rule(0, 1).unwrap()).unwrap().dkg_result(&key)
        };
        let in_order = result(&[(0, 1, 1), (2, 3, 1), (5, 4, 1), (6, 9, 1)]);
        assert_eq!(in_order.holders, [0..1, 1..2, 2..3, 3..4]);
        let newcomer = result(&[(0, 1, 1), (2, 9, 1), (5, 4, 1), (6, 3, 1)]);
        assert_eq!(newcomer.holders, [0..1, 3..4, 2..3, 1..2]);
        let weighted = result(&[(0, 5, 2), (2, 3, 1), (5, 4, 1)]);
        assert_eq!(weighted.holders, [2..3, 3..4, 0..2]);
        assert!(in_order.root() != newcomer.root() && newcomer.root() != weighted.root());
    }

    #[test]
    fn the_suite_of_the_genesis_decides_how_many_read_early() {
        let (Genesis { params, .. }, _) = network(1);
        let of = |suite, secrecy| {
            SharingRule::new(&SharingParams { suite, secrecy, ..params.sharing }, 16)
        };
        let seats: Vec<_> = (0..16).map(|place| (place, 1)).collect();
        let secrecy =
            |rule| Members::by_power(committee(&seats), &rule).unwrap().packing().secrecy();
        assert_eq!(secrecy(of(1, 0).unwrap()), 8);
        assert_eq!(secrecy(of(2, 0).unwrap()), 10);
        assert_eq!(secrecy(of(2, 10).unwrap()), 10);
        let refused = of(2, 8).unwrap_err();
        assert_eq!(refused, SharingError::Packing(PackingError::Unpacked { found: 2 }));
        assert_eq!(of(3, 0).unwrap_err(), SharingError::Suite { found: 3 });
    }

    #[test]
    fn a_secrecy_that_the_genesis_cannot_have_is_refused() {
        assert!(matches!(
            rule(9, 16),
            Err(SharingError::Packing(PackingError::Secrecy { secrecy: 9, .. }))
        ));
    }
}
