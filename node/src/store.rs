//! The disk of a node: RocksDB for everything, and one small file apart from it for the signer.
//!
//! ```text
//!  data_dir/secrets/…      keys for sharings, shares    ── 1. one file each, fsync ─┐
//!  data_dir/db             one column family a table    ── 2. one batch, fsync ◀────┤
//!  data_dir/signer.state   high-water mark, two slots   ── 3. written, fdatasync ◀──┘
//! ```
//!
//! **Durable before visible.** [`RocksStore::commit`](Store::commit) returns once all are on disk. The
//! tables go before the mark: after a crash between the two nothing was sent, and recovery raises the mark to the
//! records; a mark without its records would silence the validator for that height, and the network, if
//! all lost power at once. So a mark above what the database knows means that the database lost synced
//! records. Its log recovers to the last whole record (a torn tail is what every crash leaves), and a
//! validator whose mark says that there was more does not sign.
//!
//! **Memory.** One validator should stay below 300 MB, so write buffers share 48 MiB, blocks of tables
//! share a cache of 16 MiB, and bundles, reveals and batches live in blob files: their bytes are written
//! to the log and once more, never rewritten by compaction.

mod signer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use conclave_sequencer::{Entry, HighWater, SecretBytes, SecretName, Store, Table, Write};
use conclave_types::NetworkId;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBRecoveryMode, Direction,
    ErrorKind, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};

pub use conclave_secrets::{SecretFiles, SecretsError};
pub use signer::{SignerError, SignerState};

/// Bytes of fresh writes in memory, all tables together.
const WRITE_BUFFERS_BYTES: usize = 48 << 20;
/// Bytes of fresh writes in memory for a table of large values.
const BULK_BUFFER_BYTES: usize = 16 << 20;
/// Bytes of fresh writes in memory for any other table.
const SMALL_BUFFER_BYTES: usize = 4 << 20;
/// Bytes of table blocks kept in memory.
const BLOCK_CACHE_BYTES: usize = 16 << 20;
/// The write-ahead log is cut when it is longer: what a restart has to replay.
const WAL_BYTES_MAX: u64 = 128 << 20;
/// Values at least this long live in blob files.
const BLOB_BYTES_MIN: u64 = 1_024;
/// File descriptors that the database may hold.
const OPEN_FILES_MAX: i32 = 512;

/// The version of the layout on disk; it changes when old directories cannot be read any more.
const FORMAT: &[u8] = b"conclave/1";
const FORMAT_KEY: &[u8] = b"format";
const NETWORK_KEY: &[u8] = b"network_id";

/// Why the disk cannot be used, and what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the database open.
    #[error(
        "{path} is in use by another process; stop that node, or give this one its own data_dir"
    )]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// There is no database where one is expected.
    #[error("there is no database in {path}; check data_dir")]
    Absent {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// The database belongs to another network.
    #[error(
        "{path} belongs to network {found}, the genesis says {expected}; use the genesis of that network, or another data_dir"
    )]
    OtherNetwork {
        /// The database.
        path: PathBuf,
        /// The network of the genesis.
        expected: NetworkId,
        /// The network whose data this is, as hexadecimal.
        found: String,
    },
    /// The layout is of another version.
    #[error(
        "{path} has layout {found:?}, this version reads \"conclave/1\"; move it away and let the node catch up"
    )]
    Format {
        /// The database.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// The database is damaged.
    #[error(
        "{path} is damaged; move it away (keep signer.state) and start again: the node catches up from its peers and signs above its high-water mark only"
    )]
    Corrupted {
        /// The database.
        path: PathBuf,
        /// Where it is damaged.
        #[source]
        source: rocksdb::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the database {path}")]
    Open {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: rocksdb::Error,
    },
    /// The directory cannot be made.
    #[error("cannot create {path}")]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A commit failed: nothing of it may become visible.
    #[error(
        "cannot write to the database; nothing that was not durable has left this node. Check free space and the disk, then start again: it continues from its last commit"
    )]
    Commit(#[source] rocksdb::Error),
    /// A read failed.
    #[error("cannot read table {table}; check the disk")]
    Read {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: rocksdb::Error,
    },
    /// The database lacks a table: it was not made by this program.
    #[error("the database has no table {0}; move it away and let the node catch up")]
    NoTable(&'static str),
    /// The signer's file failed.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The secrets failed.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// This handle only reads.
    #[error("this handle only reads")]
    ReadOnly,
}

/// The node's store. The driver owns the one that writes; readers are handles on the same database.
#[derive(Debug)]
pub struct RocksStore {
    db: Arc<DB>,
    signer: Option<SignerState>,
    secrets: Option<SecretFiles>,
    commits: u64,
}

impl RocksStore {
    /// Opens the database of `network` at `path`, creating it if there is none, with the signer's state beside it.
    ///
    /// # Errors
    ///
    /// Says what is wrong and what the operator can do.
    pub fn open(path: &Path, signer: SignerState, network: &NetworkId) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path)
            .map_err(|source| StoreError::Create { path: path.to_owned(), source })?;
        let db = DB::open_cf_descriptors(&database_options(), path, tables())
            .map_err(|source| open_error(path, source))?;
        let store = Self { db: Arc::new(db), signer: Some(signer), secrets: None, commits: 0 };
        if store.identify(path, network)? {
            store.claim(network)?;
        }
        Ok(store)
    }

    /// And a validator's secrets. Their key is read when the database is open: until then it may be changed.
    #[must_use]
    pub fn with_secrets(self, secrets: Option<SecretFiles>) -> Self {
        Self { secrets, ..self }
    }

    /// Opens the database of `network` at `path` for reading; a node may be running on it.
    ///
    /// # Errors
    ///
    /// Says what is wrong and what the operator can do.
    pub fn open_read_only(path: &Path, network: &NetworkId) -> Result<Self, StoreError> {
        if !path.join("CURRENT").is_file() {
            return Err(StoreError::Absent { path: path.to_owned() });
        }
        let mut options = database_options();
        options.create_if_missing(false);
        let db = DB::open_cf_descriptors_read_only(&options, path, tables(), false)
            .map_err(|source| open_error(path, source))?;
        let store = Self { db: Arc::new(db), signer: None, secrets: None, commits: 0 };
        if store.identify(path, network)? {
            return Err(StoreError::Absent { path: path.to_owned() });
        }
        Ok(store)
    }

    /// Another handle, for reading only.
    #[must_use]
    pub fn reader(&self) -> Self {
        Self { db: Arc::clone(&self.db), signer: None, secrets: None, commits: 0 }
    }

    /// How many commits this handle has made.
    #[must_use]
    pub const fn commits(&self) -> u64 {
        self.commits
    }

    /// Whether the database is new; an error if it is somebody else's.
    fn identify(&self, path: &Path, network: &NetworkId) -> Result<bool, StoreError> {
        let read =
            |key| self.db.get(key).map_err(|source| StoreError::Read { table: "default", source });
        let Some(format) = read(FORMAT_KEY)? else { return Ok(true) };
        if format != FORMAT {
            let found = String::from_utf8_lossy(&format).into_owned();
            return Err(StoreError::Format { path: path.to_owned(), found });
        }
        let found = read(NETWORK_KEY)?.unwrap_or_default();
        if found != network.as_bytes() {
            return Err(StoreError::OtherNetwork {
                path: path.to_owned(),
                expected: *network,
                found: hex::encode(found),
            });
        }
        Ok(false)
    }

    fn claim(&self, network: &NetworkId) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put(FORMAT_KEY, FORMAT);
        batch.put(NETWORK_KEY, network.as_bytes());
        self.db.write_opt(batch, &synced()).map_err(StoreError::Commit)
    }

    fn table(&self, table: Table) -> Result<&ColumnFamily, StoreError> {
        self.db.cf_handle(table.name()).ok_or(StoreError::NoTable(table.name()))
    }

    fn batch(&self, writes: &[Write]) -> Result<WriteBatch, StoreError> {
        let mut batch = WriteBatch::default();
        for write in writes {
            match write {
                Write::Put { table, key, value } => batch.put_cf(self.table(*table)?, key, value),
                Write::Delete { table, key } => batch.delete_cf(self.table(*table)?, key),
                Write::DeleteRange { table, from, to } => {
                    batch.delete_range_cf(self.table(*table)?, from, to);
                }
                Write::HighWater(_) | Write::PutSecret { .. } | Write::EraseSecret { .. } => {}
            }
        }
        Ok(batch)
    }
}

impl Store for RocksStore {
    type Error = StoreError;

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let batch = self.batch(writes)?;
        let signer = self.signer.as_mut().ok_or(StoreError::ReadOnly)?;
        let secrets = || self.secrets.as_ref().ok_or(SecretsError::NoKey);
        let (mut marks, mut erased) = (Vec::new(), Vec::new());
        for write in writes {
            match write {
                Write::HighWater(mark) => marks.push(mark),
                Write::PutSecret { name, value } => {
                    secrets()?.put(&name.to_string(), value.expose())?;
                }
                Write::EraseSecret { name } => erased.push(*name),
                Write::Put { .. } | Write::Delete { .. } | Write::DeleteRange { .. } => {}
            }
        }
        self.commits = self.commits.saturating_add(1);
        if !batch.is_empty() {
            self.db.write_opt(batch, &synced()).map_err(StoreError::Commit)?;
        }
        if let Some(mark) = marks.into_iter().max() {
            signer.raise(mark)?;
        }
        for name in erased {
            self.secrets.as_ref().map_or(Ok(()), |secrets| secrets.erase(&name.to_string()))?;
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db
            .get_cf(self.table(table)?, key)
            .map_err(|source| StoreError::Read { table: table.name(), source })
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        // The database refuses an iterator whose bounds cross.
        if from >= to {
            return Ok(Vec::new());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to);
        let start = IteratorMode::From(from, Direction::Forward);
        self.db
            .iterator_cf_opt(self.table(table)?, options, start)
            .take(limit)
            .map(|entry| match entry {
                Ok((key, value)) => Ok((key.into_vec(), value.into_vec())),
                Err(source) => Err(StoreError::Read { table: table.name(), source }),
            })
            .collect()
    }

    fn high_water(&self) -> Result<Option<HighWater>, StoreError> {
        let signer = self.signer.as_ref().ok_or(StoreError::ReadOnly)?;
        Ok(signer.mark())
    }

    fn secrets(&self) -> Result<Vec<(SecretName, SecretBytes)>, StoreError> {
        let Some(secrets) = &self.secrets else { return Ok(Vec::new()) };
        // Whatever else lies there is none of ours.
        let known = secrets.all()?.into_iter().filter_map(|(name, secret)| {
            Some((SecretName::parse(&name)?, SecretBytes::new(*secret)))
        });
        Ok(known.collect())
    }
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn open_error(path: &Path, source: rocksdb::Error) -> StoreError {
    let path = path.to_owned();
    if source.kind() == ErrorKind::Corruption {
        return StoreError::Corrupted { path, source };
    }
    // The binding has no kind of its own for a lock that is taken.
    if source.kind() == ErrorKind::IOError && source.as_ref().contains("lock") {
        return StoreError::Locked { path };
    }
    StoreError::Open { path, source }
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(4 << 20);
    options
}

fn tables() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    let own = ColumnFamilyDescriptor::new("default", table_options(None, &cache));
    let tables = Table::ALL
        .into_iter()
        .map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(Some(table), &cache)));
    std::iter::once(own).chain(tables).collect()
}

fn table_options(table: Option<Table>, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options.set_max_write_buffer_number(2);
    let bulk = matches!(table, Some(Table::Bundles | Table::Revealed | Table::Batches));
    if bulk {
        options.set_write_buffer_size(BULK_BUFFER_BYTES);
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_enable_blob_gc(true);
    } else {
        options.set_write_buffer_size(SMALL_BUFFER_BYTES);
    }
    options
}

#[cfg(test)]
mod tests;
