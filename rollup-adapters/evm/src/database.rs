//! The execution client's database, in a directory that says what chain it belongs to.
//!
//! **Restart.** The client keeps the state of its newest blocks (up to 128) in memory. After any
//! restart, clean or not, we go back to the newest block whose state is on disk and execute the ones
//! behind it again.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ethrex_blockchain::{Blockchain, BlockchainOptions, error::ChainError};
use ethrex_common::types::Genesis;
use ethrex_storage::{EngineType, Store, StoreConfig, error::StoreError};
use tracing::{info, warn};

/// RocksDB's cache of blocks, indexes and filters. The client's default is 12 GiB.
const BLOCK_CACHE_BYTES: usize = 64 << 20;

/// The rules that a data directory was made with, for people and for error messages.
pub const RULES_FILE: &str = "rules.txt";

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The directory belongs to something else.
    #[error(
        "the data directory {path} belongs to another chain; use another directory, or start with \
         the same options as before\n--- it was made with\n{found}--- expected\n{expected}"
    )]
    OtherRules {
        /// The directory.
        path: PathBuf,
        /// Our rules.
        expected: String,
        /// The rules that it was made with.
        found: String,
    },
    /// A file cannot be read or written.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The client refuses it.
    #[error("the database in {path} cannot be opened (is another process using it?)")]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// It cannot be read.
    #[error("the database fails")]
    Read(#[from] StoreError),
    /// A canonical block is not there.
    #[error("block {0} is missing from the database")]
    Missing(u64),
    /// The blocks on disk cannot be executed again.
    #[error("block {number} on disk cannot be executed again")]
    Replay {
        /// The block.
        number: u64,
        /// Why.
        #[source]
        source: ChainError,
    },
}

/// A chain's data, and the client that works on it.
#[derive(Clone, Debug)]
pub struct Database {
    /// The data.
    pub store: Store,
    /// The client.
    pub blockchain: Arc<Blockchain>,
}

impl Database {
    /// Opens the chain in `dir`, or creates it. `rules` say in words what `genesis` says: they are compared
    /// first, for a message that names what differs.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]; a directory that was made with other rules is refused untouched.
    pub async fn open(dir: &Path, rules: &str, genesis: Genesis) -> Result<Self, DatabaseError> {
        check_rules(rules, dir)?;
        let open = |source| DatabaseError::Open { path: dir.to_path_buf(), source };
        let path = dir.join("chain");
        fs::create_dir_all(&path)
            .map_err(|source| DatabaseError::File { path: path.clone(), source })?;
        let config =
            StoreConfig { rocksdb_block_cache_size: BLOCK_CACHE_BYTES, ..StoreConfig::default() };
        let mut store = Store::new_with_config(&path, EngineType::RocksDB, config).map_err(open)?;
        store.add_initial_state(genesis).await.map_err(open)?;
        let blockchain = Arc::new(Blockchain::new(store.clone(), BlockchainOptions::default()));
        let database = Self { store, blockchain };
        database.execute_tail_again().await?;
        database.blockchain.set_synced();
        Ok(database)
    }

    async fn execute_tail_again(&self) -> Result<(), DatabaseError> {
        let head = self.store.get_latest_block_number().await?;
        let mut number = head;
        while number > 0 {
            let header = self.store.get_block_header(number)?;
            let header = header.ok_or(DatabaseError::Missing(number))?;
            if self.store.has_state_root(header.state_root)? {
                break;
            }
            number = number.saturating_sub(1);
        }
        for number in number.saturating_add(1)..=head {
            let block = self.store.get_block_by_number(number).await?;
            let block = block.ok_or(DatabaseError::Missing(number))?;
            let again = self.blockchain.add_block_pipeline(block, None);
            again.map_err(|source| DatabaseError::Replay { number, source })?;
        }
        info!(head, executed_again = head.saturating_sub(number), "chain opened");
        Ok(())
    }
}

/// Compares the rules beside the data with ours, or writes them down if the directory is new. The
/// client compares the genesis hash as well.
fn check_rules(expected: &str, dir: &Path) -> Result<(), DatabaseError> {
    fs::create_dir_all(dir).map_err(|source| DatabaseError::File { path: dir.into(), source })?;
    let path = dir.join(RULES_FILE);
    match fs::read_to_string(&path) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => {
            let expected = expected.to_owned();
            Err(DatabaseError::OtherRules { path: dir.into(), expected, found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if dir.join("chain").exists() {
                warn!(path = %path.display(), "the data directory does not say its rules");
            }
            write_atomically(&path, expected).map_err(|source| DatabaseError::File { path, source })
        }
        Err(source) => Err(DatabaseError::File { path, source }),
    }
}

/// Writes a small file so that a reader sees all of it or nothing.
///
/// # Errors
///
/// As the file system says.
pub fn write_atomically(path: &Path, text: &str) -> io::Result<()> {
    let scratch = path.with_extension("new");
    fs::write(&scratch, text)?;
    fs::File::open(&scratch)?.sync_all()?;
    fs::rename(&scratch, path)
}
