//! The EVM chain of one rollup: an embedded execution client with its database.
//!
//! **The head alone says where to resume.** A block's `parentBeaconBlockRoot` is the Conclave block
//! that its slot ended with, its extra data the cursor behind it. No second database has to agree.
//!
//! **Restart.** The client keeps the state of its newest blocks (up to 128) in memory. After any
//! restart, clean or not, we go back to the newest block whose state is on disk and execute the ones
//! behind it again; blocks that were not flushed before a crash come again from the stream.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use conclave_types::{BlockId, Height};
use ethrex_blockchain::{
    Blockchain, BlockchainOptions,
    error::{ChainError, InvalidForkChoice},
    fork_choice::apply_fork_choice,
};
use ethrex_common::{H256, types::BlockHeader};
use ethrex_storage::{EngineType, Store, StoreConfig, error::StoreError};
use tracing::{info, warn};

use crate::{
    execute::{self, ExecuteError, Executed},
    genesis::{GenesisError, Rules},
    outcomes::{Outcomes, OutcomesError},
    slots::{Cursor, CursorError, Slot},
};

/// RocksDB's cache of blocks, indexes and filters. The client's default is 12 GiB.
const BLOCK_CACHE_BYTES: usize = 64 << 20;

/// Blocks below the head for which the client keeps undo records. Nothing is ever undone before
/// settlement exists; this bounds the disk that the records take.
const UNDO_BLOCKS: u64 = 256;

/// The rules that a data directory was made with, for people and for error messages.
pub const RULES_FILE: &str = "rules.txt";

/// Why a chain cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory belongs to something else.
    #[error(
        "the data directory {path} belongs to another rollup or network; use another directory, or \
         start with the same options as before\n--- it was made with\n{found}--- expected\n{expected}"
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
    /// The genesis is malformed.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The client's database cannot be opened.
    #[error("the database in {path} cannot be opened (is another process using it?)")]
    Database {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The database of outcomes cannot be opened.
    #[error(transparent)]
    Outcomes(#[from] OutcomesError),
    /// The blocks on disk cannot be executed again.
    #[error("block {number} on disk cannot be executed again")]
    Replay {
        /// The block.
        number: u64,
        /// Why.
        #[source]
        source: ChainError,
    },
    /// The head cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// Why the head cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The database fails.
    #[error("the database fails")]
    Database(#[from] StoreError),
    /// A canonical block is not there.
    #[error("block {0} is missing from the database")]
    Missing(u64),
    /// It is no block of ours.
    #[error(transparent)]
    Cursor(#[from] CursorError),
}

/// Why a slot cannot be executed. All of these are for the operator: the process must stop.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// Execution failed, through no fault of a transaction.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The worker that executes ended early.
    #[error("the executing worker ended")]
    Worker(#[source] tokio::task::JoinError),
    /// The new block cannot become the head.
    #[error("block {number} cannot become the head")]
    ForkChoice {
        /// The block.
        number: u64,
        /// Why.
        #[source]
        source: InvalidForkChoice,
    },
    /// The head cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// The newest block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: H256,
    /// The state behind it.
    pub state_root: H256,
    /// Its time, in seconds.
    pub timestamp: u64,
    /// Where the stream goes on behind it.
    pub cursor: Cursor,
    /// The Conclave block that its slot ended with; zero for the genesis.
    pub block: BlockId,
}

impl Head {
    fn of(header: &BlockHeader) -> Result<Self, CursorError> {
        let genesis = header.number == 0;
        let cursor =
            if genesis { Cursor::GENESIS } else { Cursor::from_extra_data(&header.extra_data)? };
        Ok(Self {
            number: header.number,
            hash: header.hash(),
            state_root: header.state_root,
            timestamp: header.timestamp,
            cursor,
            block: BlockId::new(header.parent_beacon_block_root.unwrap_or_default().0),
        })
    }

    /// Height of the last batch that was executed.
    #[must_use]
    pub fn height(&self) -> Height {
        self.cursor.height
    }
}

/// The chain. Cheap to clone; one task at a time may advance it.
#[derive(Clone, Debug)]
pub struct Chain {
    rules: Arc<Rules>,
    store: Store,
    blockchain: Arc<Blockchain>,
    outcomes: Arc<Outcomes>,
}

impl Chain {
    /// Opens the chain in `dir`, or creates it.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; a directory that was made with other rules is refused untouched.
    pub async fn open(rules: Rules, dir: &Path) -> Result<Self, OpenError> {
        check_rules(&rules, dir)?;
        let database = |source| OpenError::Database { path: dir.to_path_buf(), source };
        let path = dir.join("chain");
        fs::create_dir_all(&path)
            .map_err(|source| OpenError::File { path: path.clone(), source })?;
        let config =
            StoreConfig { rocksdb_block_cache_size: BLOCK_CACHE_BYTES, ..StoreConfig::default() };
        let mut store =
            Store::new_with_config(&path, EngineType::RocksDB, config).map_err(database)?;
        store.add_initial_state(rules.genesis()?).await.map_err(database)?;
        let blockchain = Arc::new(Blockchain::new(store.clone(), BlockchainOptions::default()));
        let outcomes = Arc::new(Outcomes::open(&dir.join("outcomes"))?);
        let chain = Self { rules: Arc::new(rules), store, blockchain, outcomes };
        chain.execute_tail_again().await?;
        chain.blockchain.set_synced();
        Ok(chain)
    }

    /// The rules that it was opened with.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The client's database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The client.
    #[must_use]
    pub fn blockchain(&self) -> &Arc<Blockchain> {
        &self.blockchain
    }

    /// Recent outcomes.
    #[must_use]
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// The newest block.
    ///
    /// # Errors
    ///
    /// [`HeadError`] if the database fails.
    pub async fn head(&self) -> Result<Head, HeadError> {
        Ok(Head::of(&self.header().await?)?)
    }

    /// Executes a slot on top of the head and makes it the new head.
    ///
    /// # Errors
    ///
    /// [`AdvanceError`]; the head stays where it was.
    pub async fn advance(&self, slot: Slot) -> Result<(Head, Executed), AdvanceError> {
        let parent = self.header().await?;
        let chain = self.clone();
        let executed = tokio::task::spawn_blocking(move || {
            let Chain { rules, store, blockchain, outcomes } = &chain;
            execute::execute(rules, store, blockchain, outcomes, &parent, &slot)
        })
        .await
        .map_err(AdvanceError::Worker)??;
        let number = executed.header.number;
        let settled = number.saturating_sub(UNDO_BLOCKS);
        let settled = self.store.get_canonical_block_hash(settled).await;
        let settled = settled.map_err(HeadError::from)?.ok_or(HeadError::Missing(number))?;
        apply_fork_choice(&self.store, executed.header.hash(), settled, settled, None)
            .await
            .map_err(|source| AdvanceError::ForkChoice { number, source })?;
        Ok((Head::of(&executed.header).map_err(HeadError::from)?, executed))
    }

    /// Flushes everything. The chain must not be used afterwards.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the disk fails; then the tail comes again from the stream.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.store.shutdown().await
    }

    async fn header(&self) -> Result<BlockHeader, HeadError> {
        let number = self.store.get_latest_block_number().await?;
        self.store.get_block_header(number)?.ok_or(HeadError::Missing(number))
    }

    async fn execute_tail_again(&self) -> Result<(), OpenError> {
        let head = self.header().await?.number;
        let mut number = head;
        while number > 0 {
            let header = self.store.get_block_header(number).map_err(HeadError::from)?;
            let header = header.ok_or(HeadError::Missing(number))?;
            if self.store.has_state_root(header.state_root).map_err(HeadError::from)? {
                break;
            }
            number = number.saturating_sub(1);
        }
        for number in number.saturating_add(1)..=head {
            let block = self.store.get_block_by_number(number).await.map_err(HeadError::from)?;
            let block = block.ok_or(HeadError::Missing(number))?;
            let again = self.blockchain.add_block_pipeline(block, None);
            again.map_err(|source| OpenError::Replay { number, source })?;
        }
        info!(head, executed_again = head.saturating_sub(number), "chain opened");
        Ok(())
    }
}

/// Compares the rules beside the data with ours, or writes them down if the directory is new. The
/// client compares the genesis hash as well; this is for a message that says what differs.
fn check_rules(rules: &Rules, dir: &Path) -> Result<(), OpenError> {
    fs::create_dir_all(dir).map_err(|source| OpenError::File { path: dir.into(), source })?;
    let path = dir.join(RULES_FILE);
    let expected = rules.describe();
    match fs::read_to_string(&path) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(OpenError::OtherRules { path: dir.into(), expected, found }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if dir.join("chain").exists() {
                warn!(path = %path.display(), "the data directory does not say its rules");
            }
            write_atomically(&path, &expected).map_err(|source| OpenError::File { path, source })
        }
        Err(source) => Err(OpenError::File { path, source }),
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

#[cfg(test)]
mod tests;
