//! A validator's disk: the tables of the store in memory, plus the file that holds the high-water mark.
//!
//! A commit is atomic and synced, so a crash keeps exactly the commits that returned. What a crash can
//! take beyond that is decided by the scenario ([`Loss`]).

use std::{collections::BTreeMap, convert::Infallible};

use conclave_consensus::{HighWater, SigningPosition, Step};
use conclave_sequencer::{Entry, Store, Table, Write};
use conclave_types::{Height, Round};

use crate::scenario::Loss;

type Tables = BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;

/// One validator's disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    tables: Tables,
    high_water: Option<HighWater>,
    earlier: Option<(Tables, Option<HighWater>)>,
    commits: u64,
}

impl Disk {
    /// The disk of a validator that has never signed, and knows it.
    #[must_use]
    pub(crate) fn new_validator() -> Self {
        let at = SigningPosition { height: Height::ZERO, round: Round::ZERO, step: Step::Propose };
        Self { high_water: Some(HighWater { at, wal_entries: 0 }), ..Self::default() }
    }

    /// Remembers what is on it, for a crash that brings it back.
    pub(crate) fn take_snapshot(&mut self) {
        self.earlier = Some((self.tables.clone(), self.high_water));
    }

    /// Loses what a crash takes.
    pub(crate) fn lose(&mut self, loss: Loss) {
        let (tables, high_water) = self.earlier.take().unwrap_or_default();
        match loss {
            Loss::Nothing => {}
            Loss::Database => self.tables.clear(),
            Loss::Disk => {
                self.tables.clear();
                self.high_water = None;
            }
            Loss::RecentDatabase => self.tables = tables,
            Loss::Recent => {
                self.tables = tables;
                self.high_water = high_water;
            }
        }
    }

    /// How many commits were synced.
    #[must_use]
    pub(crate) const fn commits(&self) -> u64 {
        self.commits
    }

    /// Rows of a table.
    #[must_use]
    pub(crate) fn rows(&self, table: Table) -> usize {
        self.tables.get(&table).map_or(0, BTreeMap::len)
    }
}

impl Store for Disk {
    type Error = Infallible;

    fn commit(&mut self, writes: &[Write]) -> Result<(), Infallible> {
        self.commits = self.commits.saturating_add(1);
        for write in writes {
            match write {
                Write::Put { table, key, value } => {
                    self.tables.entry(*table).or_default().insert(key.clone(), value.clone());
                }
                Write::Delete { table, key } => {
                    self.tables.entry(*table).or_default().remove(key);
                }
                Write::DeleteRange { table, from, to } => {
                    let rows = self.tables.entry(*table).or_default();
                    let gone: Vec<_> = rows
                        .range(from.clone()..)
                        .map(|(key, _)| key)
                        .take_while(|key| *key < to)
                        .cloned()
                        .collect();
                    for key in gone {
                        rows.remove(&key);
                    }
                }
                Write::HighWater(mark) => self.high_water = Some(*mark),
            }
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, Infallible> {
        let Some(rows) = self.tables.get(&table) else { return Ok(Vec::new()) };
        let range = rows.range(from.to_vec()..).take_while(|(key, _)| key.as_slice() < to);
        Ok(range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn high_water(&self) -> Result<Option<HighWater>, Infallible> {
        Ok(self.high_water)
    }
}
