//! A validator's disk: the tables of the store in memory, plus the file that holds the high-water mark.
//!
//! It promises what the shipped store does, and loses no more: a commit is one batch of a database that
//! recovers to the last whole record, and then, synced apart, the mark. So a crash during a commit leaves
//! none of it ([`Tail::Lost`], also what a batch torn in the middle comes to), the batch without its mark
//! ([`Tail::Torn`]), or all of it without anybody having seen it ([`Tail::Unseen`]). What a crash can
//! take beyond that is decided by the scenario ([`Loss`]).
//!
//! ```text
//!  commit ─▶ batch, synced ─▶ mark, synced ─▶ effects leave
//!         ▲                ▲               ▲
//!        lost             torn           unseen
//! ```
//!
//! Validators store the same bundles and blocks, so their values are kept once for all disks ([`Shelf`]).

mod rows;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};

use conclave_consensus::{HighWater, SigningPosition, Step};
use conclave_sequencer::{Entry, SecretBytes, SecretName, Store, Table, Write};
use conclave_types::{Height, Round};

use rows::Rows;
pub(crate) use shelf::Shelf;

use crate::{
    random::Random,
    scenario::{Loss, Tail},
};

type Tables = BTreeMap<Table, Rows>;

/// Why a disk does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiskError {
    /// There is no room. Nothing of the commit is kept.
    #[error("no space is left on the disk")]
    Full,
    /// Power was lost while it wrote.
    #[error("power was lost during a commit")]
    Power,
    /// A checksum does not fit: bits have changed.
    #[error("a checksum does not fit in table {0}")]
    Checksum(&'static str),
}

/// One validator's disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    tables: Tables,
    high_water: Option<HighWater>,
    secrets: BTreeMap<SecretName, SecretBytes>,
    earlier: Option<(Tables, Option<HighWater>)>,
    rotten: BTreeSet<(Table, Vec<u8>)>,
    /// What becomes of the next commit.
    tail: Option<Tail>,
    is_full: bool,
    shelf: Shelf,
    commits: u64,
}

impl Disk {
    /// The disk of a validator that has never signed, and knows it.
    #[must_use]
    pub(crate) fn new_validator() -> Self {
        let at = SigningPosition { height: Height::ZERO, round: Round::ZERO, step: Step::Propose };
        let mark = HighWater { at, wal_entries: 0, attested: None };
        Self { high_water: Some(mark), ..Self::default() }
    }

    /// A disk with this mark on it, or without one.
    #[must_use]
    pub(crate) fn found(high_water: Option<HighWater>) -> Self {
        Self { high_water, ..Self::default() }
    }

    /// The signer's mark.
    #[must_use]
    pub(crate) const fn mark(&self) -> Option<HighWater> {
        self.high_water
    }

    /// Keeps a secret.
    pub(crate) fn put_secret(&mut self, name: SecretName, value: SecretBytes) {
        self.secrets.insert(name, value);
    }

    /// Sets a key.
    pub(crate) fn put(&mut self, table: Table, key: Vec<u8>, value: &[u8]) {
        let value = self.shelf.keep(table, &key, value.to_vec());
        self.tables.entry(table).or_default().insert(key, value);
    }

    /// The same disk, which keeps on `shelf` what others hold too.
    #[must_use]
    pub(crate) fn sharing(mut self, shelf: Shelf) -> Self {
        self.shelf = shelf;
        self
    }

    /// Remembers what is on it, for a crash that brings it back.
    pub(crate) fn take_snapshot(&mut self) {
        self.earlier = Some((self.tables.clone(), self.high_water));
    }

    /// Power will go during the next commit that it can catch in the middle.
    pub(crate) const fn cut_power(&mut self, tail: Tail) {
        self.tail = Some(tail);
    }

    /// From now on there is no room; or there is again.
    pub(crate) const fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// Loses what a crash takes. One bit of a value that recovery reads rots, drawn from `random`.
    pub(crate) fn lose(&mut self, loss: Loss, random: &mut Random) {
        self.tail = None;
        let (tables, high_water) = self.earlier.take().unwrap_or_default();
        match loss {
            Loss::Nothing => {}
            Loss::BitRot => self.rot(random),
            Loss::Database => self.tables.clear(),
            Loss::Disk => {
                self.tables.clear();
                self.secrets.clear();
                self.high_water = None;
            }
            Loss::RecentDatabase => self.tables = tables,
            Loss::Recent => {
                self.tables = tables;
                self.high_water = high_water;
            }
        }
    }

    /// The operator moves the database away, and keeps the mark.
    pub(crate) fn replace_database(&mut self) {
        self.tables.clear();
        self.rotten.clear();
    }

    fn rot(&mut self, random: &mut Random) {
        // What recovery cannot do without.
        let read = [Table::Meta, Table::Accounts, Table::Cursors, Table::Wal];
        let rows = |table: Table| {
            let rows = self.tables.get(&table).into_iter().flat_map(Rows::keys);
            rows.map(move |key| (table, key.clone()))
        };
        let all: Vec<_> = read.into_iter().flat_map(rows).collect();
        let pick = random.below(u64::try_from(all.len()).unwrap_or(0));
        self.rotten.extend(usize::try_from(pick).ok().and_then(|pick| all.into_iter().nth(pick)));
    }

    /// How many commits were synced.
    #[must_use]
    pub(crate) const fn commits(&self) -> u64 {
        self.commits
    }

    /// Rows of a table.
    #[must_use]
    pub(crate) fn rows(&self, table: Table) -> usize {
        self.tables.get(&table).map_or(0, Rows::len)
    }

    fn check(&self, table: Table, key: &[u8]) -> Result<(), DiskError> {
        let is_rotten = self.rotten.iter().any(|(at, rotten)| *at == table && rotten == key);
        if is_rotten { Err(DiskError::Checksum(table.name())) } else { Ok(()) }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Put { table, key, value } => {
                let value = self.shelf.keep(table, &key, value);
                if !self.rotten.is_empty() {
                    self.rotten.remove(&(table, key.clone()));
                }
                self.tables.entry(table).or_default().insert(key, value);
            }
            Write::Delete { table, key } => {
                self.tables.entry(table).or_default().remove(&key);
            }
            Write::DeleteRange { table, from, to } => {
                self.tables.entry(table).or_default().remove_range(&from, &to);
            }
            Write::HighWater(mark) => self.high_water = Some(mark),
            Write::PutSecret { name, value } => {
                self.secrets.insert(name, value);
            }
            Write::EraseSecret { name } => {
                self.secrets.remove(&name);
            }
        }
    }
}

impl Store for Disk {
    type Error = DiskError;

    fn commit(&mut self, writes: &[Write]) -> Result<(), DiskError> {
        self.commit_all(writes.to_vec())
    }

    fn commit_all(&mut self, writes: Vec<Write>) -> Result<(), DiskError> {
        if self.is_full {
            return Err(DiskError::Full);
        }
        let is_mark = |write: &&Write| matches!(write, Write::HighWater(_));
        match self.tail {
            Some(Tail::Lost) => return Err(DiskError::Power),
            Some(Tail::Torn) if writes.iter().any(|write| is_mark(&write)) => {
                let rest = writes.into_iter().filter(|write| !is_mark(&write));
                rest.for_each(|write| self.write(write));
                return Err(DiskError::Power);
            }
            Some(Tail::Torn | Tail::Unseen) | None => {}
        }
        self.commits = self.commits.saturating_add(1);
        writes.into_iter().for_each(|write| self.write(write));
        if self.tail == Some(Tail::Unseen) { Err(DiskError::Power) } else { Ok(()) }
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        self.check(table, key)?;
        Ok(self.tables.get(&table).and_then(|rows| rows.get(key)).map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, DiskError> {
        let Some(rows) = self.tables.get(&table) else { return Ok(Vec::new()) };
        let range = rows.from(from).take_while(|(key, _)| key.as_slice() < to);
        range
            .take(limit)
            .map(|(key, value)| self.check(table, key).map(|()| (key.clone(), value.to_vec())))
            .collect()
    }

    fn high_water(&self) -> Result<Option<HighWater>, DiskError> {
        Ok(self.high_water)
    }

    fn secrets(&self) -> Result<Vec<(SecretName, SecretBytes)>, DiskError> {
        Ok(self.secrets.iter().map(|(name, value)| (*name, value.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: u8, value: &[u8]) -> Write {
        Write::Put { table: Table::Meta, key: vec![key], value: value.to_vec() }
    }

    fn mark(height: u64) -> HighWater {
        let at = SigningPosition {
            height: Height::new(height),
            round: Round::ZERO,
            step: Step::Prevote,
        };
        HighWater { at, wal_entries: 1, attested: None }
    }

    fn disk() -> Disk {
        let mut disk = Disk::new_validator();
        assert_eq!(disk.commit(&[put(1, b"old"), Write::HighWater(mark(1))]), Ok(()));
        disk
    }

    fn state(disk: &Disk) -> (Option<Vec<u8>>, Option<HighWater>) {
        (disk.get(Table::Meta, &[1]).unwrap(), disk.high_water().unwrap())
    }

    #[test]
    fn a_commit_in_a_power_cut_is_whole_or_without_its_mark_or_gone() {
        let rows = [
            (Tail::Lost, "old", 1),
            // Records without their mark can be completed; a mark without records cannot.
            (Tail::Torn, "new", 1),
            (Tail::Unseen, "new", 2),
        ];
        for (tail, value, height) in rows {
            let mut disk = disk();
            disk.cut_power(tail);
            let commit = [put(1, b"new"), Write::HighWater(mark(2))];
            assert_eq!(disk.commit(&commit), Err(DiskError::Power), "{tail:?}");
            disk.lose(Loss::Nothing, &mut Random::new(1, 1));
            assert_eq!(state(&disk), (Some(value.into()), Some(mark(height))), "{tail:?}");
            assert_eq!(disk.commit(&[put(1, b"newest")]), Ok(()), "power is back");
        }
    }

    #[test]
    fn a_torn_tail_waits_for_a_commit_with_a_mark() {
        let mut disk = disk();
        disk.cut_power(Tail::Torn);
        assert_eq!(disk.commit(&[put(1, b"new")]), Ok(()));
        assert_eq!(disk.commit(&[Write::HighWater(mark(3))]), Err(DiskError::Power));
        assert_eq!(state(&disk), (Some(b"new".to_vec()), Some(mark(1))));
    }

    #[test]
    fn a_full_disk_keeps_nothing_of_a_commit_and_all_of_the_earlier_ones() {
        let mut disk = disk();
        disk.set_full(true);
        let commit = [put(1, b"new"), Write::HighWater(mark(2))];
        assert_eq!(disk.commit(&commit), Err(DiskError::Full));
        assert_eq!(state(&disk), (Some(b"old".to_vec()), Some(mark(1))));
        disk.set_full(false);
        assert_eq!(disk.commit(&commit), Ok(()));
        assert_eq!(state(&disk), (Some(b"new".to_vec()), Some(mark(2))));
    }

    #[test]
    fn rot_is_noticed_by_whoever_reads_it_and_gone_with_the_database() {
        let mut disk = disk();
        disk.lose(Loss::BitRot, &mut Random::new(1, 1));
        assert_eq!(disk.get(Table::Meta, &[1]), Err(DiskError::Checksum("meta")));
        assert_eq!(disk.scan(Table::Meta, &[], &[9], 9), Err(DiskError::Checksum("meta")));
        assert_eq!(disk.get(Table::Meta, &[2]), Ok(None));
        disk.replace_database();
        assert_eq!(state(&disk), (None, Some(mark(1))), "the mark stays");
    }

    #[test]
    fn a_range_is_deleted_from_its_first_key_up_to_its_last() {
        let mut disk = Disk::default();
        let writes: Vec<_> = (0..6).map(|key| put(key, &[key])).collect();
        disk.commit(&writes).unwrap();
        let range = Write::DeleteRange { table: Table::Meta, from: vec![1], to: vec![4] };
        disk.commit(&[range]).unwrap();
        let keys: Vec<_> = disk.scan(Table::Meta, &[], &[9], 9).unwrap().into_iter().collect();
        let keys: Vec<_> = keys.into_iter().map(|(key, _)| key[0]).collect();
        assert_eq!(keys, [0, 4, 5]);
        let inverted = Write::DeleteRange { table: Table::Meta, from: vec![5], to: vec![2] };
        disk.commit(&[inverted]).unwrap();
        assert_eq!(disk.rows(Table::Meta), 3);
    }
}
