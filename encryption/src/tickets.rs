//! From voting power to points of a sharing.
//!
//! Consensus counts power, a sharing counts points. Validators therefore get tickets in proportion to
//! their power, each ticket a point; and as tickets are whole numbers, a coalition can hold a larger part
//! of the tickets than of the power. How much larger is the question that decides both promises:
//!
//! - *liveness*: a quorum of power must hold t points. So f is not assumed, it is computed: the most
//!   tickets that validators with less than a third of the power hold, and t = n − f.
//! - *secrecy*: validators with less than a stated part β of the power must hold at most c points.
//!
//! Neither implies the other. The number of tickets is raised until both hold, and each is judged
//! exactly, over all coalitions at once: the least power that k tickets take is a knapsack, solved in
//! validators × tickets steps. (Rounding for weighted protocols, and why the part must be allowed to
//! grow a little: Tonkikh and Freitas, "Swiper", 2024. At exactly a third against a third, rounding works
//! for hardly any distribution of more than a dozen different powers.)

use conclave_types::ValidatorIndex;

use crate::{
    dkg::Holders,
    packing::{Packing, PackingError},
    suite::Suite,
};

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    above: u32,
    below: u32,
}

impl Fraction {
    /// above/below; none unless 0 < above ≤ below.
    #[must_use]
    pub const fn new(above: u32, below: u32) -> Option<Self> {
        if above > 0 && above <= below { Some(Self { above, below }) } else { None }
    }

    /// Whether `part` of `whole` is less than this.
    fn exceeds(self, part: u128, whole: u128) -> bool {
        part.saturating_mul(self.below.into()) < whole.saturating_mul(self.above.into())
    }

    /// The least whole number that is at least this part of `whole`.
    fn ceiling_of(self, whole: u16) -> u16 {
        let product = u64::from(whole).saturating_mul(self.above.into());
        u16::try_from(product.div_ceil(u64::from(self.below).max(1))).unwrap_or(u16::MAX)
    }
}

/// What an assignment of tickets must satisfy. Parameters of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketRule {
    /// The suite of the key.
    pub suite: Suite,
    /// The part of the points of which a coalition learns nothing: c is at least this part of n.
    pub secrecy: Fraction,
    /// β: a coalition with less than this part of the power holds at most c points.
    pub privacy: Fraction,
    /// More points than this are not assigned.
    pub points_max: u16,
}

impl TicketRule {
    /// A majority of the points and two fifths of the power are needed to read early.
    pub const DEFAULT: Self = Self {
        suite: Suite::Packed,
        secrecy: Fraction { above: 1, below: 2 },
        privacy: Fraction { above: 2, below: 5 },
        points_max: 512,
    };
}

/// Less than a third of the power holds at most this part of the tickets: what rounding may add.
const FAULTY_MAX: Fraction = Fraction { above: 3, below: 8 };

/// Why there is no assignment.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TicketError {
    /// There are no validators, or one has no power.
    #[error("validator {validator} has no voting power")]
    NoPower {
        /// The validator.
        validator: usize,
    },
    /// There are more validators than a sharing has parties.
    #[error("there are {found} validators, at most {max} can share", max = Packing::PARTIES_MAX)]
    Validators {
        /// Validators found.
        found: usize,
    },
    /// No number of points up to the bound satisfies the rule.
    #[error("no assignment of up to {points_max} points satisfies the rule")]
    NoneFound {
        /// The bound.
        points_max: u16,
    },
}

/// Who holds how many points, of which sharing, and what that is worth in power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tickets {
    holders: Holders,
    packing: Packing,
    reading_power: u128,
}

impl Tickets {
    /// Assigns tickets to validators of the given powers: as few as satisfy `rule`, at least as many as
    /// there are validators where the bound allows it.
    ///
    /// # Errors
    ///
    /// [`TicketError`] if the powers are none, or no assignment within the bound satisfies the rule.
    pub fn assign(powers: &[u64], rule: &TicketRule) -> Result<Self, TicketError> {
        if let Some(validator) = powers.iter().position(|power| *power == 0) {
            return Err(TicketError::NoPower { validator });
        }
        let first = match u16::try_from(powers.len()) {
            Ok(0) => return Err(TicketError::NoPower { validator: 0 }),
            Ok(count) if powers.len() <= Packing::PARTIES_MAX => count,
            _ => return Err(TicketError::Validators { found: powers.len() }),
        };
        let last = usize::from(rule.points_max).min(Packing::PARTIES_MAX);
        let last = u16::try_from(last).unwrap_or(u16::MAX);
        (first.min(last)..=last)
            .find_map(|points| Self::judge(powers, &apportion(powers, points), rule))
            .ok_or(TicketError::NoneFound { points_max: rule.points_max })
    }

    /// These tickets, if they satisfy the rule.
    fn judge(powers: &[u64], tickets: &[u16], rule: &TicketRule) -> Option<Self> {
        let holders = Holders::new(tickets).ok()?;
        let points = holders.point_count();
        let least = least_power(powers, tickets, points);
        let total: u128 = powers.iter().map(|power| u128::from(*power)).sum();
        let third = Fraction { above: 1, below: 3 };
        let under_a_third = least.iter().filter(|power| third.exceeds(**power, total)).count();
        // The first entry is for no tickets at all.
        let held = u16::try_from(under_a_third).unwrap_or(u16::MAX).saturating_sub(1);
        let faulty = held.max(points.saturating_sub(1) / 3);
        let too_many = u128::from(faulty).saturating_mul(FAULTY_MAX.below.into())
            > u128::from(points).saturating_mul(FAULTY_MAX.above.into());
        if too_many {
            return None;
        }
        let packing = packing(points, faulty, rule).ok()?;
        let to_read = usize::from(packing.secrecy()).saturating_add(1);
        let reading_power = least.get(to_read).copied()?;
        (!rule.privacy.exceeds(reading_power, total)).then_some(Self {
            holders,
            packing,
            reading_power,
        })
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

    /// The least power with which a coalition holds c + 1 points and can read early.
    #[must_use]
    pub const fn reading_power(&self) -> u128 {
        self.reading_power
    }

    /// Tickets of a validator.
    #[must_use]
    pub fn of(&self, validator: ValidatorIndex) -> u16 {
        self.holders.tickets(validator)
    }
}

fn packing(points: u16, faulty: u16, rule: &TicketRule) -> Result<Packing, PackingError> {
    let least = rule.secrecy.ceiling_of(points).max(faulty);
    rule.suite.packing_for(points, faulty, least)
}

/// `points` tickets in proportion to power: everyone's whole part, and one more to those of whom the
/// largest part was cut off, the first of equals first.
fn apportion(powers: &[u64], points: u16) -> Vec<u16> {
    let total: u128 = powers.iter().map(|power| u128::from(*power)).sum::<u128>().max(1);
    let exact = |power: &u64| u128::from(*power).saturating_mul(points.into());
    let mut tickets: Vec<u16> = powers
        .iter()
        .map(|power| u16::try_from(exact(power) / total).unwrap_or(u16::MAX))
        .collect();
    let given = tickets.iter().fold(0_u16, |sum, count| sum.saturating_add(*count));
    let mut order: Vec<usize> = (0..powers.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(powers.get(*at).map(|power| exact(power) % total)));
    for at in order.into_iter().take(points.saturating_sub(given).into()) {
        if let Some(count) = tickets.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }
    tickets
}

/// At k: the least power of validators who together hold at least k tickets.
fn least_power(powers: &[u64], tickets: &[u16], points: u16) -> Vec<u128> {
    let mut least = vec![u128::MAX; usize::from(points).saturating_add(1)];
    if let Some(none) = least.first_mut() {
        *none = 0;
    }
    let held = powers.iter().zip(tickets).filter(|(_, count)| **count > 0);
    for (power, count) in held {
        // From the top, so that nobody is counted twice.
        for target in (1..least.len()).rev() {
            let rest = least.get(target.saturating_sub((*count).into())).copied();
            let with = rest.unwrap_or(u128::MAX).saturating_add((*power).into());
            if let Some(entry) = least.get_mut(target).filter(|entry| with < **entry) {
                *entry = with;
            }
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Power and tickets of every coalition.
    fn coalitions(powers: &[u64], tickets: &[u16]) -> Vec<(u128, u16)> {
        let members = |set: u32| (0..powers.len()).filter(move |at| set >> at & 1 == 1);
        (0..1_u32 << powers.len())
            .map(|set| {
                let power = members(set).map(|at| u128::from(powers[at])).sum();
                (power, members(set).map(|at| tickets[at]).sum())
            })
            .collect()
    }

    fn tickets(assigned: &Tickets) -> Vec<u16> {
        assigned.holders().iter().map(|(validator, _)| assigned.of(validator)).collect()
    }

    #[test]
    fn equal_powers_get_one_ticket_each_and_the_default_sharing() {
        for count in [1, 4, 7, 16, 31, 64, 100] {
            let assigned = Tickets::assign(&vec![1_000; count], &TicketRule::DEFAULT).unwrap();
            assert_eq!(tickets(&assigned), vec![1; count]);
            assert_eq!(assigned.packing(), Packing::for_parties(count).unwrap());
            let reading = u128::from(assigned.packing().secrecy()) + 1;
            assert_eq!(assigned.reading_power(), reading * 1_000);
        }
    }

    #[test]
    fn proportional_powers_get_proportional_tickets_and_crumbs_get_none() {
        let powers = [3_000_000, 2_000_000, 1_000_000, 1_000_000, 1];
        let assigned = Tickets::assign(&powers, &TicketRule::DEFAULT).unwrap();
        assert_eq!(tickets(&assigned), [2, 2, 1, 1, 0]);
        assert_eq!((assigned.packing().quorum(), assigned.packing().secrecy()), (4, 3));
    }

    /// Powers that fall off like 1/k, with some noise: few large ones, many small ones.
    #[test]
    fn large_and_unequal_committees_share_within_a_few_points_each() {
        for count in [16_u64, 31, 64, 100] {
            let noise = |k: u64| k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
            let powers: Vec<u64> = (1..=count).map(|k| 10_000_000 / k + noise(k)).collect();
            let assigned = Tickets::assign(&powers, &TicketRule::DEFAULT).unwrap();
            let points = u64::from(assigned.packing().parties());
            assert!(points <= 4 * count, "{points} points for {count} validators");
        }
    }

    #[test]
    fn powers_that_are_none_and_rules_that_cannot_hold_are_refused() {
        let rule = TicketRule::DEFAULT;
        assert_eq!(Tickets::assign(&[], &rule), Err(TicketError::NoPower { validator: 0 }));
        assert_eq!(Tickets::assign(&[5, 0], &rule), Err(TicketError::NoPower { validator: 1 }));
        let many = vec![1; 1_025];
        let expected = TicketError::Validators { found: 1_025 };
        assert_eq!(Tickets::assign(&many, &rule), Err(expected));
        // Nobody can promise that all but the whole power learns nothing.
        let privacy = Fraction::new(1, 1).unwrap();
        let strict = TicketRule { privacy, points_max: 40, ..rule };
        let expected = TicketError::NoneFound { points_max: 40 };
        assert_eq!(Tickets::assign(&[5, 4, 3, 3], &strict), Err(expected));
        assert_eq!(Fraction::new(0, 3), None);
        assert_eq!(Fraction::new(4, 3), None);
    }

    #[test]
    fn the_largest_powers_do_not_overflow() {
        let powers = vec![u64::MAX; 5];
        let assigned = Tickets::assign(&powers, &TicketRule::DEFAULT).unwrap();
        assert_eq!(tickets(&assigned), [1; 5]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// The two promises, by trying every coalition.
        #[test]
        fn no_coalition_holds_more_than_it_is_said_to(
            powers in prop::collection::vec(
                prop_oneof![1_u64..20, 1_u64..10_000, 1_u64..u64::MAX / 16],
                1..11,
            ),
        ) {
            let rule = TicketRule::DEFAULT;
            let Ok(assigned) = Tickets::assign(&powers, &rule) else {
                return Err(TestCaseError::fail(format!("none for {powers:?}")));
            };
            let (packing, tickets) = (assigned.packing(), tickets(&assigned));
            let total: u128 = powers.iter().map(|power| u128::from(*power)).sum();
            let points: u16 = tickets.iter().sum();
            prop_assert_eq!(points, packing.parties());
            prop_assert!(usize::from(points) >= powers.len());
            let faulty = points - packing.quorum();
            prop_assert!(packing.secrecy() >= faulty);
            prop_assert!(points == 1 || 2 * packing.secrecy() >= points);
            let mut least_to_read = u128::MAX;
            for (power, held) in coalitions(&powers, &tickets) {
                if 3 * power < total {
                    prop_assert!(held <= faulty);
                }
                if 3 * power > 2 * total {
                    prop_assert!(held >= packing.quorum());
                }
                if 5 * power < 2 * total {
                    prop_assert!(held <= packing.secrecy());
                }
                if held > packing.secrecy() {
                    least_to_read = least_to_read.min(power);
                }
            }
            prop_assert_eq!(assigned.reading_power(), least_to_read);
        }

        #[test]
        fn the_least_power_is_what_trying_every_coalition_finds(
            held in prop::collection::vec((1_u64..1_000, 0_u16..6), 1..10),
        ) {
            let (powers, tickets): (Vec<u64>, Vec<u16>) = held.into_iter().unzip();
            let points: u16 = tickets.iter().sum();
            let all = coalitions(&powers, &tickets);
            for (count, found) in (0_u16..).zip(least_power(&powers, &tickets, points)) {
                let enough = all.iter().filter(|(_, held)| *held >= count);
                prop_assert_eq!(found, enough.map(|(power, _)| *power).min().unwrap());
            }
        }

        #[test]
        fn everyone_is_within_one_ticket_of_the_exact_part(
            powers in prop::collection::vec(1_u64..1_000_000, 1..40),
            points in 1_u16..600,
        ) {
            let tickets = apportion(&powers, points);
            prop_assert_eq!(tickets.iter().map(|count| u32::from(*count)).sum::<u32>(), u32::from(points));
            let total: u128 = powers.iter().map(|power| u128::from(*power)).sum();
            for (power, count) in powers.iter().zip(&tickets) {
                let exact = u128::from(*power) * u128::from(points);
                prop_assert!(u128::from(*count) * total < exact + total);
                prop_assert!((u128::from(*count) + 1) * total > exact);
            }
        }
    }
}
