//! The threshold key of a world: made by the validators before the first block, or by blocks, and handed on.

use std::sync::Arc;

use conclave_encryption::{SealingKey, Suite};
use conclave_sequencer::{EpochKey, Keys, Members};
use conclave_types::{Epoch, Epochs, Height, HeightDelta, KeyId, SharingParams};
use serde::{Deserialize, Serialize};

/// How validators come to their key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyModel {
    /// The encryption suite.
    pub suite: u8,
    /// Epoch 0 makes the key. Otherwise they have made it among themselves, with nobody missing, and the genesis brings it,
    /// which saves the first blocks.
    pub on_chain: bool,
    /// Heights within which validators register, and then deal.
    pub stage_heights: u64,
    /// Heights in which dealings are complained about.
    pub complaint_heights: u64,
    /// Heights after which the key is handed on; 0 for never.
    pub epoch_heights: u64,
    /// Epochs after which another key is made; 0 for never.
    pub era_epochs: u64,
    /// Heights for which bundles under the old one are still taken then.
    pub overlap_heights: u64,
}

impl Default for KeyModel {
    fn default() -> Self {
        Self {
            suite: Suite::Packed.number(),
            on_chain: false,
            stage_heights: 100,
            complaint_heights: 10,
            epoch_heights: 0,
            era_epochs: 0,
            overlap_heights: 20,
        }
    }
}

impl KeyModel {
    pub(crate) fn apply(&self, params: &mut SharingParams) {
        params.suite = self.suite;
        params.stage_heights = HeightDelta::new(self.stage_heights);
        params.complaint_heights = HeightDelta::new(self.complaint_heights);
        params.epoch_heights = HeightDelta::new(self.epoch_heights);
        params.era_epochs = self.era_epochs;
        params.overlap_heights = HeightDelta::new(self.overlap_heights);
    }
}

/// What everyone may know of the keys.
#[derive(Clone, Debug)]
pub(crate) struct Keyring {
    /// Of the last epochs, ascending.
    keys: Vec<EpochKey>,
    epochs: Epochs,
    /// That of the next era, from when it is fixed until it is in force, and the last height whose block may
    /// carry bundles under the one before.
    next: Option<(Arc<SealingKey>, Height)>,
}

impl Keyring {
    pub(crate) fn new(keys: &Keys) -> Self {
        Self { keys: keys.in_use().to_vec(), epochs: keys.epochs().clone(), next: None }
    }

    /// What a validator tells after a block that has changed them.
    pub(crate) fn learn(&mut self, keys: &Keys) {
        let newest = |keys: &[EpochKey]| keys.last().map(|key| key.epoch);
        if newest(keys.in_use()) < newest(&self.keys) {
            return;
        }
        self.epochs = keys.epochs().clone();
        if !keys.in_use().is_empty() {
            self.keys = keys.in_use().to_vec();
        }
        let is_in_force =
            |key: &Arc<SealingKey>| self.keys.iter().any(|known| known.key.id() == key.id());
        self.next.take_if(|(key, _)| is_in_force(key));
    }

    /// What a validator tells when the key of the next era is fixed.
    pub(crate) fn learn_next(&mut self, key: &Arc<SealingKey>, until: Height) {
        if !self.keys.iter().any(|known| known.key.id() == key.id()) {
            self.next = Some((Arc::clone(key), until));
        }
    }

    /// What to seal to at a height; none before there is anything. `early` is for the next era's if there is a
    /// choice.
    pub(crate) fn key(&self, height: Height, early: impl FnOnce() -> bool) -> Option<&SealingKey> {
        let in_force = self.keys.last().map(|key| &*key.sealing);
        let next = self.next.as_ref().filter(|(_, until)| height >= *until || early());
        next.map(|(key, _)| &**key).or(in_force)
    }

    /// Whether no block will take what is sealed to this key any more.
    pub(crate) fn is_over(&self, height: Height, key: KeyId) -> bool {
        let is_next = self.next.as_ref().is_some_and(|(next, _)| next.id() == key);
        let is_in_force = self.keys.last().is_some_and(|known| known.key.id() == key)
            && self.next.as_ref().is_none_or(|(_, until)| height < *until);
        !is_next && !is_in_force
    }

    /// What opens the block at a height.
    pub(crate) fn at(&self, height: Height) -> Option<&EpochKey> {
        self.keys.iter().rev().find(|key| key.first <= height)
    }

    /// Who holds the shares of which of these epochs.
    pub(crate) fn members(&self) -> impl Iterator<Item = (Epoch, Arc<Members>)> {
        self.keys.iter().map(|key| (key.epoch, Arc::clone(&key.members)))
    }

    pub(crate) const fn epochs(&self) -> &Epochs {
        &self.epochs
    }
}
