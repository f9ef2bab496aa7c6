//! Who is in office on L1: the table that the stake contract has of an epoch's committee is whom the chain has decide in
//! that epoch, with the same keys and the same power. So certificates of that epoch are checked against those who sign
//! them, and a change of stake has come to both or to neither.
//!
//! A table is the code of an account (`docs/spec/settlement.md`), cut here and not by the code with which a node reads
//! it:
//!
//! ```text
//! 0x00 ‖ sum of the settlement keys (96) ‖ rows: consensus key (32) ‖ number (4) ‖ power (8) ‖ settlement key (96)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use conclave_types::{ConsensusKey, Epoch, SettlementKey};

use super::{Check, OFFICE, Oracle, ensure};
use crate::l1::Office;

/// Keys and power, by number in the stake contract.
pub(super) type Seats = BTreeMap<u32, (ConsensusKey, SettlementKey, u64)>;

/// Bytes of a table before its rows, and of a row.
const HEAD_BYTES: usize = 97;
const ROW_BYTES: usize = 140;

/// What has been seen of offices.
#[derive(Clone, Debug, Default)]
pub(super) struct Offices {
    /// The newest that was compared, and its seats.
    newest: Option<(u64, Seats)>,
    /// Seats that were taken by who had none, and left by who had one, from one epoch to the next.
    taken: u64,
    left: u64,
    /// Seats whose power is another than in the epoch before.
    weighed: u64,
}

impl Offices {
    /// What changed, by name; nothing if there are no contracts.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = [
            ("l1_seats_taken", self.taken),
            ("l1_seats_left", self.left),
            ("l1_seats_weighed", self.weighed),
        ];
        counters.into_iter().filter(|_| self.newest.is_some())
    }

    fn turn(&mut self, epoch: u64, seats: Seats) {
        if let Some((_, before)) = self.newest.replace((epoch, seats.clone())) {
            let numbers = |seats: &Seats| seats.keys().copied().collect::<BTreeSet<u32>>();
            let (was, is) = (numbers(&before), numbers(&seats));
            let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let is_other = |number: &&u32| {
                before.get(*number).map(|(.., power)| power)
                    != seats.get(*number).map(|(.., power)| power)
            };
            self.taken = self.taken.saturating_add(count(is.difference(&was).count()));
            self.left = self.left.saturating_add(count(was.difference(&is).count()));
            let weighed = was.intersection(&is).filter(is_other).count();
            self.weighed = self.weighed.saturating_add(count(weighed));
        }
    }
}

impl Oracle {
    /// These are in office, as the contracts show in a block that stays.
    pub(super) fn is_in_office(&mut self, office: &Office) -> Check {
        let Office { epoch, table } = office;
        if self.offices.newest.as_ref().is_some_and(|(newest, _)| newest == epoch) {
            return Ok(());
        }
        let found = seats_of(table);
        let expected = self.committees.seats(Epoch::new(*epoch));
        ensure(expected.is_some() && expected == found, OFFICE, || {
            format!("in epoch {epoch} L1 has {found:?} in office, and {expected:?} decide")
        })?;
        self.offices.turn(*epoch, found.unwrap_or_default());
        Ok(())
    }
}

/// Who is in a table; none if that is no table, or has somebody twice.
fn seats_of(table: &[u8]) -> Option<Seats> {
    let (head, rows) = table.split_at_checked(HEAD_BYTES)?;
    let rows = rows.chunks(ROW_BYTES);
    let count = rows.len();
    let seats: Seats = rows.map(seat_of).collect::<Option<_>>()?;
    (head.first() == Some(&0) && seats.len() == count).then_some(seats)
}

fn seat_of(row: &[u8]) -> Option<(u32, (ConsensusKey, SettlementKey, u64))> {
    let consensus_key = ConsensusKey::new(row.get(..32)?.try_into().ok()?);
    let number = u32::from_be_bytes(row.get(32..36)?.try_into().ok()?);
    let power = u64::from_be_bytes(row.get(36..44)?.try_into().ok()?);
    let settlement_key = SettlementKey::new(row.get(44..)?.try_into().ok()?);
    Some((number, (consensus_key, settlement_key, power)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(u8, u32, u64)]) -> Vec<u8> {
        let row = |(seed, number, power): &(u8, u32, u64)| {
            [&[*seed; 32][..], &number.to_be_bytes(), &power.to_be_bytes(), &[seed + 1; 96]]
                .concat()
        };
        [vec![0; HEAD_BYTES], rows.iter().flat_map(row).collect()].concat()
    }

    #[test]
    fn a_table_is_whole_rows_of_different_members() {
        let power = (1 << 40) + 5;
        let whole = table(&[(7, 3, power), (9, 1, 2)]);
        let seat = |seed: u8, power| {
            (ConsensusKey::new([seed; 32]), SettlementKey::new([seed + 1; 96]), power)
        };
        let expected: Seats = [(1, seat(9, 2)), (3, seat(7, power))].into();
        assert_eq!(seats_of(&whole), Some(expected));
        assert_eq!(seats_of(&table(&[])), Some(Seats::new()));
        let (short, [last]) = whole.split_at(whole.len() - 1) else { panic!("it has a last byte") };
        for wrong in [short, &[short, &[*last, 0]].concat(), &whole[1..], &whole[..96], &[]] {
            assert_eq!(seats_of(wrong), None, "{} bytes", wrong.len());
        }
        assert_eq!(seats_of(&table(&[(7, 3, 1), (9, 3, 1)])), None, "one of them twice");
        let started = [&[1], &whole[1..]].concat();
        assert_eq!(seats_of(&started), None, "it could be run");
    }
}
