//! The disk: what survives, and what is refused.

use std::{fs, os::unix::fs::FileExt as _};

use conclave_consensus::{SigningPosition, Step};
use conclave_types::{Height, Round};
use tempfile::TempDir;

use super::*;
use crate::genesis::nothing_signed;

const NETWORK: NetworkId = NetworkId::new([1; 32]);

struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        SignerState::create(&disk.signer(), &NETWORK, &nothing_signed()).unwrap();
        disk
    }

    fn signer(&self) -> PathBuf {
        self.0.path().join("signer.state")
    }

    fn db(&self) -> PathBuf {
        self.0.path().join("db")
    }

    fn open_as(&self, network: &NetworkId) -> Result<RocksStore, StoreError> {
        let signer = SignerState::open(&self.signer(), network)?;
        RocksStore::open(&self.db(), signer, network)
    }

    fn open(&self) -> RocksStore {
        self.open_as(&NETWORK).unwrap()
    }

    /// The newest write-ahead log.
    fn log(&self) -> PathBuf {
        let files = fs::read_dir(self.db()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.max().unwrap()
    }
}

fn put(table: Table, key: &[u8], value: &[u8]) -> Write {
    Write::Put { table, key: key.to_vec(), value: value.to_vec() }
}

fn mark(height: u64) -> HighWater {
    let at =
        SigningPosition { height: Height::new(height), round: Round::ZERO, step: Step::Prevote };
    HighWater { at, wal_entries: 1, attested: None }
}

#[test]
fn a_commit_survives_reopening_with_all_its_parts() {
    let disk = Disk::new();
    let mut store = disk.open();
    store.commit(&[put(Table::Wal, b"a", b"1"), put(Table::Wal, b"b", b"2")]).unwrap();
    let range = Write::DeleteRange { table: Table::Wal, from: b"a".into(), to: b"b".into() };
    let large = vec![7; 100_000];
    store
        .commit(&[
            range,
            put(Table::Bundles, b"x", &large),
            Write::HighWater(mark(2)),
            Write::HighWater(mark(1)),
        ])
        .unwrap();
    drop(store);
    let store = disk.open();
    assert_eq!(store.get(Table::Wal, b"a").unwrap(), None);
    assert_eq!(store.get(Table::Wal, b"b").unwrap(), Some(b"2".to_vec()));
    assert_eq!(store.get(Table::Bundles, b"x").unwrap(), Some(large));
    assert_eq!(store.high_water().unwrap(), Some(mark(2)), "the highest mark counts");
}

#[test]
fn a_scan_is_ordered_bounded_and_stays_in_its_range() {
    let disk = Disk::new();
    let mut store = disk.open();
    let writes: Vec<_> = [3, 1, 2, 4].map(|key| put(Table::Blocks, &[key], &[key])).into();
    store.commit(&writes).unwrap();
    let keys = |from: &[u8], to: &[u8], limit| -> Vec<u8> {
        let found = store.scan(Table::Blocks, from, to, limit).unwrap();
        found.into_iter().map(|(key, _)| key[0]).collect()
    };
    assert_eq!(keys(&[1], &[4], 10), [1, 2, 3]);
    assert_eq!(keys(&[2], &[9], 2), [2, 3]);
    assert_eq!(keys(&[], &[9], usize::MAX), [1, 2, 3, 4]);
    assert_eq!(keys(&[4], &[2], 10), [0; 0], "bounds that cross hold nothing");
    assert!(store.scan(Table::Wal, &[], &[9], 10).unwrap().is_empty());
}

#[test]
fn the_directory_of_another_network_is_refused() {
    let disk = Disk::new();
    drop(disk.open());
    let other = NetworkId::new([2; 32]);
    let signer = disk.open_as(&other);
    assert!(matches!(
        signer,
        Err(StoreError::Signer(SignerError::OtherNetwork { found: NETWORK, .. }))
    ));
    fs::remove_file(disk.signer()).unwrap();
    assert!(matches!(disk.open_as(&other), Err(StoreError::OtherNetwork { .. })));
}

#[test]
fn a_directory_in_use_is_refused_but_can_be_read() {
    let disk = Disk::new();
    let mut store = disk.open();
    assert!(matches!(disk.open_as(&NETWORK), Err(StoreError::Locked { .. })));
    store.commit(&[put(Table::Meta, b"k", b"v")]).unwrap();
    let mut reader = RocksStore::open_read_only(&disk.db(), &NETWORK).unwrap();
    assert_eq!(reader.get(Table::Meta, b"k").unwrap(), Some(b"v".to_vec()));
    assert!(matches!(reader.commit(&[]), Err(StoreError::ReadOnly)));
    assert!(matches!(store.reader().commit(&[]), Err(StoreError::ReadOnly)));
}

#[test]
fn reading_where_there_is_no_database_says_so_and_creates_none() {
    let disk = Disk::new();
    let result = RocksStore::open_read_only(&disk.db(), &NETWORK);
    assert!(matches!(result, Err(StoreError::Absent { .. })));
    assert!(!disk.db().exists());
}

#[test]
fn a_torn_tail_loses_the_last_commit_and_the_mark_tells() {
    let disk = Disk::new();
    let mut store = disk.open();
    store.commit(&[put(Table::Signed, b"1", b"vote"), Write::HighWater(mark(1))]).unwrap();
    store.commit(&[put(Table::Signed, b"2", b"vote"), Write::HighWater(mark(2))]).unwrap();
    drop(store);
    let log = fs::OpenOptions::new().write(true).open(disk.log()).unwrap();
    let length = log.metadata().unwrap().len();
    log.set_len(length - 3).unwrap();
    let store = disk.open();
    assert_eq!(store.get(Table::Signed, b"1").unwrap(), Some(b"vote".to_vec()));
    assert_eq!(store.get(Table::Signed, b"2").unwrap(), None);
    assert_eq!(store.high_water().unwrap(), Some(mark(2)), "above what the database knows");
}

#[test]
fn a_damaged_log_never_yields_what_comes_after_the_damage() {
    let disk = Disk::new();
    let mut store = disk.open();
    for key in 0..20_u8 {
        store.commit(&[put(Table::Wal, &[key], &[key; 100])]).unwrap();
    }
    drop(store);
    let log = fs::OpenOptions::new().write(true).open(disk.log()).unwrap();
    let middle = log.metadata().unwrap().len() / 2;
    log.write_all_at(&[0xff; 8], middle).unwrap();
    match disk.open_as(&NETWORK) {
        Err(StoreError::Corrupted { .. }) => {}
        Ok(store) => {
            let found = store.scan(Table::Wal, &[], &[0xff], usize::MAX).unwrap();
            let keys: Vec<_> = found.iter().map(|(key, _)| key[0]).collect();
            let whole: Vec<_> = (0..20).take(keys.len()).collect();
            assert!(keys.len() < 20 && keys == whole, "a prefix: {keys:?}");
        }
        Err(error) => panic!("unexpected {error}"),
    }
}

#[test]
fn a_database_that_is_garbage_is_refused_with_a_remedy() {
    let disk = Disk::new();
    drop(disk.open());
    fs::write(disk.db().join("CURRENT"), "garbage\n").unwrap();
    let error = disk.open_as(&NETWORK).unwrap_err();
    assert!(matches!(error, StoreError::Corrupted { .. } | StoreError::Open { .. }), "{error}");
}

#[test]
fn a_torn_mark_falls_back_to_the_one_before_and_both_damaged_refuse() {
    let disk = Disk::new();
    let mut state = SignerState::open(&disk.signer(), &NETWORK).unwrap();
    for height in 1..=3 {
        state.raise(&mark(height)).unwrap();
    }
    let file = fs::OpenOptions::new().write(true).open(disk.signer()).unwrap();
    // Mark 3 has counter 3 and so stands in the second slot.
    file.write_all_at(&[0xff; 4], 4_096 + 60).unwrap();
    let state = SignerState::open(&disk.signer(), &NETWORK).unwrap();
    assert_eq!(state.mark(), Some(mark(2)));
    file.write_all_at(&[0xff; 4], 60).unwrap();
    let state = SignerState::open(&disk.signer(), &NETWORK);
    assert!(matches!(state, Err(SignerError::Damaged { .. })));
}

#[test]
fn a_truncated_or_empty_signer_state_is_damage_not_a_new_validator() {
    let disk = Disk::new();
    for length in [0, 10, 100] {
        let file = fs::OpenOptions::new().write(true).open(disk.signer()).unwrap();
        file.set_len(length).unwrap();
        let state = SignerState::open(&disk.signer(), &NETWORK);
        assert!(matches!(state, Err(SignerError::Damaged { .. })), "{length} bytes");
    }
}

#[test]
fn a_signer_state_is_created_once_and_a_missing_one_is_no_mark() {
    let disk = Disk::new();
    let again = SignerState::create(&disk.signer(), &NETWORK, &nothing_signed());
    assert!(matches!(again, Err(SignerError::Exists { .. })));
    fs::remove_file(disk.signer()).unwrap();
    assert_eq!(disk.open().high_water().unwrap(), None);
}

#[test]
fn a_mark_where_there_was_none_begins_the_file() {
    let disk = Disk::new();
    fs::remove_file(disk.signer()).unwrap();
    let mut store = disk.open();
    store.commit(&[Write::HighWater(mark(9))]).unwrap();
    drop(store);
    assert_eq!(disk.open().high_water().unwrap(), Some(mark(9)));
}

#[test]
fn a_signer_state_that_cannot_be_written_fails_the_commit() {
    let disk = Disk::new();
    fs::remove_file(disk.signer()).unwrap();
    let mut store = disk.open();
    fs::create_dir(disk.signer()).unwrap();
    let refused = store.commit(&[Write::HighWater(mark(1))]);
    assert!(matches!(refused, Err(StoreError::Signer(SignerError::Exists { .. }))));
}
