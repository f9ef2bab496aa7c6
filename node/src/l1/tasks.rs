//! What a running node does with L1: one task follows it, another watches settlement and posts.

use std::{path::PathBuf, sync::Arc};

use conclave_types::{ConsensusKey, Genesis};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    follow::{Follower, Sight},
    relay::{AccountError, Settlement, Settler},
};
use crate::{
    config::L1Config, driver::Driver, essential::Essentials, metrics::Metrics, store::RocksStore,
};

/// What the tasks work with.
pub struct Parts {
    /// The genesis.
    pub genesis: Arc<Genesis>,
    /// This validator's consensus key; none on a full node.
    pub own: Option<ConsensusKey>,
    /// What takes final blocks, and says how far the chain has come.
    pub driver: Driver,
    /// The store, for reading.
    pub reader: RocksStore,
    /// Where it is written down what the node spends on L1.
    pub spent: PathBuf,
    /// Where failures and postings are counted.
    pub metrics: Arc<Metrics>,
    /// Tasks that the node waits for when it stops.
    pub tasks: TaskTracker,
    /// Where the tasks are looked after.
    pub essentials: Essentials,
    /// Ends them.
    pub stop: CancellationToken,
}

/// What a node sees of L1, to be watched.
#[derive(Clone, Debug)]
pub struct L1Views {
    sight: watch::Receiver<Sight>,
    settlement: watch::Receiver<Settlement>,
}

impl L1Views {
    /// What they show now: how well the node follows, and how far settlement has come.
    #[must_use]
    pub fn now(&self) -> (Sight, Settlement) {
        (self.sight.borrow().clone(), self.settlement.borrow().clone())
    }
}

/// Starts the tasks, if there is an L1 to follow and the configuration says where; says so once if not.
///
/// # Errors
///
/// If the account that posts cannot be used.
pub fn start(config: Option<&L1Config>, parts: Parts) -> Result<Option<L1Views>, AccountError> {
    let Parts { genesis, own, driver, reader, spent, metrics, tasks, essentials, stop } = parts;
    let config = match (config, genesis.l1_chain_id) {
        (None, 0) => return Ok(None),
        (Some(_), 0) => {
            tracing::warn!("[l1] is of no use: the genesis names no L1");
            return Ok(None);
        }
        (None, _) => {
            tracing::warn!(
                "this node follows no L1: its blocks carry nothing from there, and it takes a quorum's word for \
                 what others' do; name endpoints in [l1]"
            );
            return Ok(None);
        }
        (Some(config), _) => config.clone(),
    };
    let handles = (driver.clone(), Arc::new(reader));
    let (for_settler, counted) = (Arc::clone(&genesis), Arc::clone(&metrics));
    let (settler, settlement) =
        Settler::new(config.clone(), for_settler, own, handles, counted, spent)?;
    let (follower, sight) = Follower::new(config, &genesis, driver, metrics);
    let watched = essentials.clone();
    tasks.spawn(watched.watch("follower of L1", follower.run(stop.clone())));
    tasks.spawn(essentials.watch("watch over settlement", settler.run(stop)));
    Ok(Some(L1Views { sight, settlement }))
}
