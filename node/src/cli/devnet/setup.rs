//! What network to start: its size, how bundles are sealed, what it settles on, and what is other than usual.

use std::path::PathBuf;

use conclave_encryption::Suite;
use conclave_types::{HeightDelta, Params, PayerAddress};

use super::l1::Choice;

/// What network to start.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Where it lives; a temporary directory that goes away with it, if none is named.
    pub(crate) data_dir: Option<PathBuf>,
    /// How many validators.
    pub(crate) validators: u16,
    /// How bundles are sealed; as the network in the directory does, or as is usual, if none is named.
    pub(crate) suite: Option<Suite>,
    /// Protocol parameters; as the network in the directory has them, or as is usual, if none are named.
    pub(crate) params: Option<Params>,
    /// What it settles on.
    pub(crate) l1: Choice,
    /// Who can pay for bundles.
    pub(crate) payers: Vec<PayerAddress>,
    /// Accounts of the rollups, funded: a JSON file that the rollups read; the well-known ones if
    /// there is none.
    pub(crate) alloc: Option<serde_json::Value>,
    /// What is other than usual.
    pub(crate) rig: Rig,
}

/// What is other than usual in a network that is attacked or measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rig {
    /// Who misbehaves.
    pub(crate) byzantine: Option<Byzantine>,
    /// Heights of an epoch.
    pub(crate) epoch_heights: Option<HeightDelta>,
    /// Least time between two proposals while there are bundles.
    pub(crate) block_interval_ms: Option<u64>,
    /// L1 blocks behind what has settled after which rollups may leave.
    pub(crate) escape_delay_blocks: Option<u32>,
}

/// Validators that are processes of `conclave-byzantine`, honest until they are told.
#[derive(Clone, Debug)]
pub(crate) struct Byzantine {
    /// What they do then.
    pub(crate) behaviour: &'static str,
    /// Who they are.
    pub(crate) validators: Vec<u16>,
    /// Whom they do it to, if it is somebody.
    pub(crate) victim: Option<PayerAddress>,
}

impl Setup {
    /// The parameters of its genesis.
    pub(super) fn params(&self) -> Params {
        let mut params = self.params.clone().unwrap_or_default();
        let sharing = &mut params.sharing;
        sharing.epoch_heights = self.rig.epoch_heights.unwrap_or(sharing.epoch_heights);
        sharing.suite = self.suite.map_or(sharing.suite, Suite::number);
        let timing = &mut params.timing;
        timing.block_interval_ms = self.rig.block_interval_ms.unwrap_or(timing.block_interval_ms);
        params
    }
}
