//! Where validators stand, and how long light takes between them: a table of measured round trips.

use std::sync::OnceLock;

use serde::Deserialize;

const TABLE: &str = include_str!("../../data/regions.toml");

/// Measured round trips.
#[derive(Debug, Default, Deserialize)]
struct Table {
    /// Who measured, and when.
    source: String,
    /// Between two zones of one region.
    within_ms: u64,
    regions: Vec<String>,
    /// From the row's region to the column's and back.
    round_trip_ms: Vec<Vec<u64>>,
}

fn table() -> &'static Table {
    static PARSED: OnceLock<Table> = OnceLock::new();
    // A test reads the file, so what does not parse is not shipped.
    PARSED.get_or_init(|| toml::from_str(TABLE).unwrap_or_default())
}

/// A region of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Region(usize);

impl Region {
    /// The region of a name.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<Self> {
        table().regions.iter().position(|region| region == name).map(Self)
    }

    /// Its name.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        table().regions.get(self.0).map_or("", String::as_str)
    }

    /// Microseconds from here to `to`: half of the round trip.
    #[must_use]
    pub(crate) fn one_way_us(self, to: Self) -> u64 {
        let table = table();
        if self == to {
            return table.within_ms.saturating_mul(500);
        }
        let row = table.round_trip_ms.get(self.0);
        row.and_then(|row| row.get(to.0)).map_or(0, |trip| trip.saturating_mul(500))
    }
}

/// The names of all regions.
pub fn region_names() -> impl Iterator<Item = &'static str> {
    table().regions.iter().map(String::as_str)
}

/// Where the figures come from.
#[must_use]
pub fn region_source() -> &'static str {
    &table().source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_square_and_has_ten_regions() {
        let table: Table = toml::from_str(TABLE).unwrap();
        let count = table.regions.len();
        assert!(count >= 10 && table.source.contains("2024"));
        assert_eq!(table.round_trip_ms.len(), count);
        for (from, row) in table.round_trip_ms.iter().enumerate() {
            assert_eq!(row.len(), count, "row {from}");
            for (to, trip) in row.iter().enumerate() {
                assert_eq!(*trip == 0, from == to, "{from} to {to}");
                let back = table.round_trip_ms[to][from];
                assert!(trip.abs_diff(back) <= 5, "{from} to {to}: {trip} and {back}");
            }
        }
    }

    #[test]
    fn half_a_round_trip_one_way() {
        let region = |name| Region::named(name).unwrap();
        assert_eq!(region("london").one_way_us(region("sydney")), 130_500);
        assert_eq!(region("london").one_way_us(region("london")), 1_000);
        assert_eq!(Region::named("atlantis"), None);
    }
}
