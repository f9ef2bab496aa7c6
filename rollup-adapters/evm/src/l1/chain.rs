//! The chain itself: how a block comes about, and which blocks count.
//!
//! A block is built from the pool, executed once more as a stranger's would be, written to disk, and only
//! then made the head. `safe` and `finalized` follow it at fixed depths.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use ethrex_blockchain::{
    Blockchain,
    error::{ChainError, InvalidForkChoice},
    fork_choice::apply_fork_choice,
    payload::{BuildPayloadArgs, create_payload},
};
use ethrex_common::{
    Address, H256,
    types::{Block, BlockHeader, ELASTICITY_MULTIPLIER, Genesis, Transaction},
};
use ethrex_crypto::NativeCrypto;
use ethrex_storage::{Store, error::StoreError};
use tokio::sync::{Mutex, MutexGuard};
use tracing::{debug, warn};

use crate::{
    chain::OpenError,
    database::Database,
    genesis::{self, Alloc, GenesisError},
};

/// What every block says about who made it.
const EXTRA_DATA: &[u8] = b"conclave-l1";

/// What an L1 is. A directory that was made with other rules is refused.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The EIP-155 chain id.
    pub chain_id: u64,
    /// Gas of one block.
    pub gas_limit: u64,
    /// How far below the head the newest finalized block is.
    pub finality_depth: u64,
    /// Accounts that exist from the start, besides the system contracts.
    pub alloc: Alloc,
}

impl Rules {
    fn genesis(&self) -> Result<Genesis, GenesisError> {
        genesis::osaka(self.chain_id, self.gas_limit, &self.alloc)
    }

    /// The rules as text, one field a line, to be kept beside the data. Finality is what a run makes of it.
    fn describe(&self) -> String {
        let accounts = genesis::describe(&self.alloc);
        format!("chain-id = {}\ngas-limit = {}\n{accounts}", self.chain_id, self.gas_limit)
    }
}

/// Why no block can be produced. All of these are the disk's or the client's fault: the process must stop.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// The database fails.
    #[error("the database fails")]
    Store(#[from] StoreError),
    /// A block that must be there is not.
    #[error("block {0:#x} is missing from the database")]
    Missing(H256),
    /// The client cannot execute.
    #[error("block {number} cannot be executed")]
    Execute {
        /// Its number.
        number: u64,
        /// Why.
        #[source]
        source: ChainError,
    },
    /// The worker that executes ended early.
    #[error("the executing worker ended")]
    Worker(#[from] tokio::task::JoinError),
    /// The block cannot become the head.
    #[error("block {number} cannot become the head")]
    ForkChoice {
        /// Its number.
        number: u64,
        /// Why.
        #[source]
        source: InvalidForkChoice,
    },
}

/// A block to be built.
pub(super) struct Plan {
    /// On top of this one.
    pub(super) parent: BlockHeader,
    /// No earlier than this, in seconds.
    pub(super) timestamp: u64,
    /// What makes it another block than its siblings with the same content.
    pub(super) mark: H256,
    /// In this order; from the pool if there are none.
    pub(super) transactions: Option<Vec<Transaction>>,
}

/// The chain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct L1 {
    rules: Arc<Rules>,
    store: Store,
    blockchain: Arc<Blockchain>,
    /// Held by whoever changes which blocks count.
    turn: Arc<Mutex<()>>,
    paused: Arc<AtomicBool>,
    /// Seconds by which its clock is ahead of the machine's.
    ahead: Arc<AtomicU64>,
}

impl L1 {
    /// Opens the chain in `dir`, or creates it.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; a directory that was made with other rules is refused untouched.
    pub async fn open(rules: Rules, dir: &Path) -> Result<Self, OpenError> {
        let Database { store, blockchain } =
            Database::open(dir, &rules.describe(), rules.genesis()?).await?;
        let (turn, paused, ahead) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { rules: Arc::new(rules), store, blockchain, turn, paused, ahead })
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

    /// Whether blocks come on request only.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    /// Stops or resumes the production of blocks by itself.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// Puts its clock forward: the next block is so much later. It is forgotten when the process ends; what has a
    /// block's time keeps it.
    pub fn advance(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Waits for the exclusive right to change which blocks count.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The newest block.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn head(&self) -> Result<BlockHeader, MineError> {
        let number = self.store.get_latest_block_number().await?;
        let header = self.store.get_block_header(number)?;
        header.ok_or(MineError::Missing(H256::zero()))
    }

    /// Makes a block of what is in the pool.
    ///
    /// # Errors
    ///
    /// [`MineError`]; never through the fault of a transaction.
    pub async fn mine(&self) -> Result<BlockHeader, MineError> {
        let _turn = self.turn().await;
        let parent = self.head().await?;
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let now = now.saturating_add(self.ahead.load(Ordering::SeqCst));
        let mark = parent.hash();
        let plan = Plan { parent, timestamp: now, mark, transactions: None };
        let block = match self.build(&plan).await {
            Ok(block) => block,
            Err(MineError::Execute { number, source: ChainError::InvalidBlock(error) }) => {
                // The client built what it does not accept itself. It shall not happen twice.
                warn!(number, %error, "a block of the pool is invalid; the pool is emptied");
                self.empty_pool()?;
                self.build(&plan).await?
            }
            Err(error) => return Err(error),
        };
        self.set_head(&block).await?;
        Ok(block.header)
    }

    /// Builds a block, executes it as a stranger's, and waits until it is on disk. It does not count yet.
    pub(super) async fn build(&self, plan: &Plan) -> Result<Block, MineError> {
        let number = plan.parent.number.saturating_add(1);
        let arguments = BuildPayloadArgs {
            parent: plan.parent.hash(),
            timestamp: plan.timestamp.max(plan.parent.timestamp.saturating_add(1)),
            fee_recipient: Address::zero(),
            random: plan.parent.hash(),
            withdrawals: Some(Vec::new()),
            beacon_root: Some(plan.mark),
            slot_number: None,
            version: 3,
            elasticity_multiplier: ELASTICITY_MULTIPLIER,
            gas_ceil: self.rules.gas_limit,
        };
        let transactions = plan.transactions.clone();
        let (blockchain, store) = (Arc::clone(&self.blockchain), self.store.clone());
        let built = tokio::task::spawn_blocking(move || {
            let empty = create_payload(&arguments, &store, EXTRA_DATA.into())?;
            let built = match transactions {
                None => blockchain.build_payload(empty)?,
                Some(these) => blockchain.build_payload_with_transactions(empty, these)?,
            };
            blockchain.add_block_pipeline(built.payload.clone(), None)?;
            Ok(built.payload)
        });
        let block = built.await?.map_err(|source| MineError::Execute { number, source })?;
        // The client writes behind our back; whoever sees this block must see it after a kill too.
        self.store.wait_for_persistence_idle().await?;
        Ok(block)
    }

    /// Makes a block that was built the newest that counts.
    pub(super) async fn set_head(&self, block: &Block) -> Result<(), MineError> {
        let depth = self.rules.finality_depth;
        let (safe, finalized) =
            (self.ancestor(&block.header, depth / 2)?, self.ancestor(&block.header, depth)?);
        let number = block.header.number;
        apply_fork_choice(&self.store, block.hash(), safe.hash(), finalized.hash(), None)
            .await
            .map_err(|source| MineError::ForkChoice { number, source })?;
        self.sweep_pool(block)?;
        debug!(number, transactions = block.body.transactions.len(), "new head");
        Ok(())
    }

    /// The block `depth` below `header`, or the genesis.
    pub(super) fn ancestor(
        &self,
        header: &BlockHeader,
        depth: u64,
    ) -> Result<BlockHeader, MineError> {
        let mut found = header.clone();
        for _ in 0..depth.min(header.number) {
            let parent = found.parent_hash;
            let header = self.store.get_block_header_by_hash(parent)?;
            found = header.ok_or(MineError::Missing(parent))?;
        }
        Ok(found)
    }

    /// Takes out of the pool what can never be in a block on top of `head`. The client leaves it in, and a
    /// nonce that was used elsewhere would block its sender for ever.
    fn sweep_pool(&self, head: &Block) -> Result<(), MineError> {
        let pool = self.blockchain.mempool.get_all_txs_by_sender()?;
        for (sender, transactions) in pool.into_iter().collect::<BTreeMap<_, _>>() {
            let account = self.store.get_account_info_by_hash(head.hash(), sender)?;
            let nonce = account.map_or(0, |account| account.nonce);
            for stale in transactions.iter().filter(|found| found.nonce() < nonce) {
                self.blockchain.remove_transaction_from_pool(&stale.hash(&NativeCrypto))?;
            }
        }
        Ok(())
    }

    fn empty_pool(&self) -> Result<(), MineError> {
        let all = self.blockchain.mempool.get_all_txs_by_sender()?;
        for transaction in all.values().flatten() {
            self.blockchain.remove_transaction_from_pool(&transaction.hash(&NativeCrypto))?;
        }
        Ok(())
    }

    /// Flushes everything. The chain must not be used afterwards.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the disk fails.
    pub async fn close(&self) -> Result<(), StoreError> {
        let _turn = self.turn().await;
        self.store.shutdown().await
    }
}
