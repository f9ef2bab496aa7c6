//! Reorganizations on purpose, for whoever must survive one: the newest blocks are replaced by siblings.

use ethrex_common::{
    H256,
    types::{Block, BlockHeader, Transaction},
};
use serde::Deserialize;

use super::chain::{L1, MineError, Plan};

/// States are kept for 128 blocks; deeper down nothing can be built upon.
const DEPTH_MAX: u64 = 96;

/// Siblings that replace what is taken away, at most.
const BLOCKS_MAX: u64 = 128;

/// What becomes of the transactions in blocks that are taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Each is in the sibling of its block.
    Keep,
    /// They are forgotten.
    Drop,
    /// They wait in the pool again.
    #[default]
    Return,
}

/// A reorganization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reorg {
    /// How many blocks are taken away.
    pub depth: u64,
    /// How many take their place; one more, if not given.
    #[serde(default)]
    pub blocks: Option<u64>,
    /// What becomes of their transactions.
    #[serde(default)]
    pub mode: Mode,
    /// Whether finalized blocks may be among them.
    #[serde(default)]
    pub beyond_finality: bool,
}

/// What a reorganization did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The head before.
    pub old: (u64, H256),
    /// The head now.
    pub new: (u64, H256),
    /// Transactions that wait in the pool again.
    pub returned: usize,
}

/// Why nothing was reorganized.
#[derive(Debug, thiserror::Error)]
pub enum ReorgError {
    /// There are not as many blocks, or their states are gone.
    #[error("depth is {found}, expected 1 to {max}")]
    Depth {
        /// The most.
        max: u64,
        /// What was asked for.
        found: u64,
    },
    /// It would take back what is finalized.
    #[error(
        "depth is {found}, and what is {finality} below the head is finalized; say beyondFinality to mean it"
    )]
    Finalized {
        /// The finality depth.
        finality: u64,
        /// What was asked for.
        found: u64,
    },
    /// No client follows a shorter chain.
    #[error("blocks is {found}, expected more than depth ({depth}) and at most {BLOCKS_MAX}")]
    Blocks {
        /// The blocks taken away.
        depth: u64,
        /// What was asked for.
        found: u64,
    },
    /// The chain itself failed.
    #[error(transparent)]
    Mine(#[from] MineError),
}

impl L1 {
    /// Replaces the newest blocks by siblings.
    ///
    /// # Errors
    ///
    /// [`ReorgError`]; the head stays where it was.
    pub async fn reorganize(&self, reorg: Reorg) -> Result<Replaced, ReorgError> {
        let _turn = self.turn().await;
        let old = self.head().await?;
        let blocks = self.check(&reorg, &old)?;
        let orphans = self.newest(&old, reorg.depth).await?;
        let mut parent = self.ancestor(&old, reorg.depth)?;
        let mut newest = None;
        for place in 0..blocks {
            let orphan = usize::try_from(place).ok().and_then(|place| orphans.get(place));
            let block = self.build(&sibling(parent, orphan, reorg.mode)).await?;
            parent = block.header.clone();
            newest = Some(block);
        }
        let Some(newest) = newest else {
            return Err(ReorgError::Blocks { depth: reorg.depth, found: 0 });
        };
        self.set_head(&newest).await?;
        let returned = match reorg.mode {
            Mode::Return => self.return_to_pool(&orphans).await,
            Mode::Keep | Mode::Drop => 0,
        };
        let at = |header: &BlockHeader| (header.number, header.hash());
        Ok(Replaced { old: at(&old), new: at(&newest.header), returned })
    }

    fn check(&self, reorg: &Reorg, head: &BlockHeader) -> Result<u64, ReorgError> {
        let found = reorg.depth;
        let max = DEPTH_MAX.min(head.number);
        if !(1..=max).contains(&found) {
            return Err(ReorgError::Depth { max, found });
        }
        let finality = self.rules().finality_depth;
        if found > finality && !reorg.beyond_finality {
            return Err(ReorgError::Finalized { finality, found });
        }
        let blocks = reorg.blocks.unwrap_or(found.saturating_add(1));
        if blocks <= found || blocks > BLOCKS_MAX {
            return Err(ReorgError::Blocks { depth: found, found: blocks });
        }
        Ok(blocks)
    }

    /// The newest `depth` blocks, oldest first.
    async fn newest(&self, head: &BlockHeader, depth: u64) -> Result<Vec<Block>, MineError> {
        let mut blocks = Vec::new();
        for below in (0..depth).rev() {
            let hash = self.ancestor(head, below)?.hash();
            let block = self.store().get_block_by_hash(hash).await?;
            blocks.push(block.ok_or(MineError::Missing(hash))?);
        }
        Ok(blocks)
    }

    async fn return_to_pool(&self, orphans: &[Block]) -> usize {
        let mut returned = 0_usize;
        for transaction in orphans.iter().flat_map(|block| &block.body.transactions) {
            match self.blockchain().add_transaction_to_pool(transaction.clone()).await {
                Ok(_) => returned = returned.saturating_add(1),
                Err(error) => tracing::debug!(%error, "a transaction does not come back"),
            }
        }
        returned
    }
}

fn sibling(parent: BlockHeader, orphan: Option<&Block>, mode: Mode) -> Plan {
    let transactions: Vec<Transaction> = match orphan {
        Some(block) if mode == Mode::Keep => block.body.transactions.clone(),
        Some(_) | None => Vec::new(),
    };
    Plan {
        timestamp: orphan.map_or(parent.timestamp, |block| block.header.timestamp),
        // A block that is hashed into another is not that block.
        mark: orphan.map_or_else(|| parent.hash(), Block::hash),
        transactions: Some(transactions),
        parent,
    }
}
