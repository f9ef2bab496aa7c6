//! A validator's disk: the tables of the store in memory, plus the file that holds the high-water mark.
//!
//! A commit is atomic and synced, so a crash keeps exactly the commits that returned. What a crash can
//! take is decided by the world: the whole database ([`Disk::wipe`]) with or without the signer's mark.

use std::{collections::BTreeMap, convert::Infallible};

use conclave_consensus::{HighWater, SigningPosition, Step};
use conclave_sequencer::{Entry, Store, Table, Write};
use conclave_types::{Height, Round};

/// One validator's disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
    high_water: Option<HighWater>,
    commits: u64,
}

impl Disk {
    /// The disk of a validator that has never signed, and knows it.
    #[must_use]
    pub fn new_validator() -> Self {
        let at = SigningPosition { height: Height::ZERO, round: Round::ZERO, step: Step::Propose };
        Self { high_water: Some(HighWater { at, wal_entries: 0 }), ..Self::default() }
    }

    /// Loses the database; `with_mark` says whether the signer's mark goes too.
    pub fn wipe(&mut self, with_mark: bool) {
        self.tables.clear();
        if with_mark {
            self.high_water = None;
        }
    }

    /// How many commits were synced.
    #[must_use]
    pub const fn commits(&self) -> u64 {
        self.commits
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
                    rows.retain(|key, _| key < from || key >= to);
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
