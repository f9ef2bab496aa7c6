//! The keys of a chain after a restart: a record of the last quiet moment, and the blocks since.

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_encryption::{PackingError, PublicKey};
use conclave_types::{Block, EncryptionKey, Epoch, Epochs, Genesis, Height, HeightDelta, Round};

use crate::keys::{BadSharing, EpochKey, KeyChange, Keys, messages::check_message};

/// How often to record a state in which nothing is under way.
const CHECKPOINT_EVERY: HeightDelta = HeightDelta::new(1_000);

/// All that the keys are after a block at which an attempt begins, or nothing is under way.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct KeysCheckpoint {
    /// The block.
    pub(crate) at: Height,
    /// Each epoch, its first height and its key, ascending.
    keys: Vec<(Epoch, Height, EncryptionKey)>,
    /// The epoch and round of the attempt that begins.
    attempt: Option<(Epoch, Round)>,
    last_bundles: Height,
}

/// Why keys cannot be restored. The archive is damaged, or another network's.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The parameters are no sharing.
    #[error("the genesis names numbers that are no sharing")]
    Packing(#[from] PackingError),
    /// A recorded key is none.
    #[error("a recorded key is not one")]
    Key(#[from] conclave_encryption::KeyError),
    /// A message of a decided block is not taken.
    #[error("block {height} carries a sharing message that does not hold")]
    Message {
        /// The block.
        height: Height,
        /// Why.
        #[source]
        source: BadSharing,
    },
}

impl Keys {
    /// The state after the block at `height`, if it is one to go on from.
    pub(crate) fn checkpoint(
        &self,
        height: Height,
        changes: &[KeyChange],
    ) -> Option<KeysCheckpoint> {
        let begins = changes.iter().find_map(|change| match change {
            KeyChange::Attempt { epoch, round } => Some((*epoch, *round)),
            KeyChange::Phase(_)
            | KeyChange::Failed { .. }
            | KeyChange::Epoch { .. }
            | KeyChange::Offence { .. } => None,
        });
        let is_quiet = self.attempt.is_none() && self.settled.is_none();
        let is_due = height.as_u64().is_multiple_of(CHECKPOINT_EVERY.as_u64());
        if begins.is_none() && !(is_quiet && is_due) {
            return None;
        }
        let keys = self.keys.iter();
        Some(KeysCheckpoint {
            at: height,
            keys: keys
                .map(|key| (key.epoch, key.first, key.key.encryption_key().clone()))
                .collect(),
            attempt: begins,
            last_bundles: self.last_bundles,
        })
    }

    /// The state that a checkpoint records.
    pub(crate) fn restore(
        genesis: &Genesis,
        checkpoint: KeysCheckpoint,
    ) -> Result<Self, KeysError> {
        let mut keys = Self::new(genesis, None)?;
        keys.attempt = None;
        keys.last_bundles = checkpoint.last_bundles;
        // What came before the oldest key that is kept is nobody's business any more, but for epoch 0,
        // which has none of its own.
        let oldest = checkpoint.keys.first().map(|(epoch, _, _)| *epoch).unwrap_or_default();
        keys.epochs = Epochs::always(if oldest == Epoch::new(1) { Epoch::ZERO } else { oldest });
        for (epoch, first, key) in checkpoint.keys {
            let key = PublicKey::new(keys.network, &key)?;
            keys.epochs.change(first, epoch);
            keys.keys.push(EpochKey::new(epoch, first, key));
        }
        if let Some((epoch, round)) = checkpoint.attempt {
            keys.begin(checkpoint.at, epoch, round);
        }
        Ok(keys)
    }

    /// Lets a decided block take effect, judging its messages anew.
    pub(crate) fn replay(&mut self, block: &Block) -> Result<Vec<KeyChange>, KeysError> {
        let height = block.header.height;
        let mut changes = Vec::new();
        for message in &block.body.sharing {
            let bad = |source| KeysError::Message { height, source };
            let dkg = self.sharing_of(message).map_err(bad)?;
            let checked = check_message(dkg, message).map_err(bad)?;
            changes.extend(self.take(message, checked).map_err(|refusal| bad(refusal.into()))?);
        }
        let has_bundles = !block.body.bundles.is_empty();
        changes.extend(self.end_block(height, block.header.revealed_height, has_bundles));
        Ok(changes)
    }
}
