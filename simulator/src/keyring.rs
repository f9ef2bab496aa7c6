//! The threshold key of a world: dealt at the start, or made and handed on by the validators themselves.

use conclave_encryption::{PublicKey, Suite};
use conclave_sequencer::{EpochKey, Keys};
use conclave_types::{Epochs, Height, HeightDelta, SharingParams};
use serde::{Deserialize, Serialize};

/// How validators come to their key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyModel {
    /// The encryption suite.
    pub suite: u8,
    /// Epoch 0 makes the key. Otherwise the genesis brings one, which saves the first blocks.
    pub on_chain: bool,
    /// Heights within which validators register, and then deal.
    pub stage_heights: u64,
    /// Heights in which dealings are complained about.
    pub complaint_heights: u64,
    /// Heights after which the key is handed on; 0 for never.
    pub epoch_heights: u64,
}

impl Default for KeyModel {
    fn default() -> Self {
        Self {
            suite: Suite::Packed.number(),
            on_chain: false,
            stage_heights: 100,
            complaint_heights: 10,
            epoch_heights: 0,
        }
    }
}

impl KeyModel {
    pub(crate) fn apply(&self, params: &mut SharingParams) {
        params.suite = self.suite;
        params.stage_heights = HeightDelta::new(self.stage_heights);
        params.complaint_heights = HeightDelta::new(self.complaint_heights);
        params.epoch_heights = HeightDelta::new(self.epoch_heights);
    }
}

/// What everyone may know of the keys.
#[derive(Clone, Debug)]
pub(crate) struct Keyring {
    /// Of the last epochs, ascending.
    keys: Vec<EpochKey>,
    epochs: Epochs,
}

impl Keyring {
    pub(crate) fn new(keys: &Keys) -> Self {
        Self { keys: keys.in_use().to_vec(), epochs: keys.epochs().clone() }
    }

    /// What a validator tells after a block that has changed them.
    pub(crate) fn learn(&mut self, keys: &Keys) {
        self.epochs = keys.epochs().clone();
        if !keys.in_use().is_empty() {
            self.keys = keys.in_use().to_vec();
        }
    }

    /// What to seal to; none before there is one.
    pub(crate) fn key(&self) -> Option<&PublicKey> {
        self.keys.last().map(|key| &*key.key)
    }

    /// What opens the block at a height.
    pub(crate) fn at(&self, height: Height) -> Option<&EpochKey> {
        self.keys.iter().rev().find(|key| key.first <= height)
    }

    pub(crate) const fn epochs(&self) -> &Epochs {
        &self.epochs
    }
}
