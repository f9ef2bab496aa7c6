//! What happens in a run: how many validators, which links, which faults, what load.

use serde::Deserialize;

use crate::network::{NetworkModel, Partition};

/// A crash and a restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// Who.
    pub validator: u16,
    /// When the process dies.
    pub at_ms: u64,
    /// When it starts again.
    pub until_ms: u64,
    /// What of its disk is gone when it starts again.
    #[serde(default)]
    pub lose: Loss,
}

/// What a crash takes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Nothing that was synced.
    #[default]
    Nothing,
    /// The database, but not the signer's mark.
    Database,
    /// Everything.
    Disk,
}

/// How a Byzantine validator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Signs two votes for each step and shows them to different halves.
    Equivocate,
    /// Sends no shares.
    WithholdShares,
    /// Sends shares that are not of its key.
    WrongShares,
    /// Sends nothing at all.
    Silent,
}

/// A Byzantine validator.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Byzantine {
    /// Who.
    pub validator: u16,
    /// What it does.
    pub behaviour: Behaviour,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// One sentence: what the run is to show.
    pub purpose: String,
    /// Validators.
    pub validators: u16,
    /// Heights that every honest validator must decide and reveal.
    pub heights: u64,
    /// Virtual time after which a run that has not got there has failed.
    pub limit_ms: u64,
    /// Bundles handed in each virtual second.
    pub bundles_per_s: u64,
    /// Links.
    pub network: NetworkModel,
    /// Partitions.
    pub partitions: Vec<Partition>,
    /// Crashes.
    pub crashes: Vec<Crash>,
    /// Who misbehaves.
    pub byzantine: Vec<Byzantine>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            purpose: String::new(),
            validators: 4,
            heights: 50,
            limit_ms: 120_000,
            bundles_per_s: 20,
            network: NetworkModel::default(),
            partitions: Vec::new(),
            crashes: Vec::new(),
            byzantine: Vec::new(),
        }
    }
}
