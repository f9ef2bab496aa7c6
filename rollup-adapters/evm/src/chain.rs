//! The EVM chain of one rollup: an embedded execution client with its database.
//!
//! **The head alone says where to resume.** A block's `parentBeaconBlockRoot` is the Conclave block
//! that its slot ended with, its extra data the cursor behind it. No second database has to agree.
//!
//! **Restart.** What a restart takes is [`Database`]'s business; blocks that were not flushed before a
//! crash come again from the stream.

use std::{path::Path, sync::Arc};

use conclave_types::{BlockId, Height};
use ethrex_blockchain::{Blockchain, error::InvalidForkChoice, fork_choice::apply_fork_choice};
use ethrex_common::{H256, types::BlockHeader};
use ethrex_storage::{Store, error::StoreError};

use crate::{
    database::{Database, DatabaseError},
    execute::{self, ExecuteError, Executed},
    genesis::{GenesisError, Rules},
    outcomes::{Outcomes, OutcomesError},
    slots::{Cursor, CursorError, Slot},
};

/// Blocks below the head for which the client keeps undo records. Nothing is ever undone before
/// settlement exists; this bounds the disk that the records take.
const UNDO_BLOCKS: u64 = 256;

/// Why a chain cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The genesis is malformed.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The client's database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database of outcomes cannot be opened.
    #[error(transparent)]
    Outcomes(#[from] OutcomesError),
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
        let Database { store, blockchain } =
            Database::open(dir, &rules.describe(), rules.genesis()?).await?;
        let outcomes = Arc::new(Outcomes::open(&dir.join("outcomes"))?);
        Ok(Self { rules: Arc::new(rules), store, blockchain, outcomes })
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
}

#[cfg(test)]
mod tests;
