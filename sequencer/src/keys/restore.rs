//! The keys of a chain after a restart: a record of the last quiet moment, and the blocks since.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_encryption::{Holders, PublicKey};
use conclave_types::{
    Block, Committee, CommitteeError, CommitteeOffer, Committees, EncryptionKey, Epoch, Epochs,
    Genesis, Height, HeightDelta, Member, Roster, Round, Term, ValidatorIndex,
};

use crate::keys::{
    BadSharing, EpochKey, KeyChange, Keys, SharingError, members::Members, messages::check_message,
};

/// How often to record a state in which nothing is under way.
const CHECKPOINT_EVERY: HeightDelta = HeightDelta::new(1_000);

/// All that the keys are after a block at which an attempt begins, or nothing is under way.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct KeysCheckpoint {
    /// The block.
    pub(crate) at: Height,
    /// Each epoch, its first height, its key and who holds its points, ascending.
    keys: Vec<(Epoch, Height, EncryptionKey, Holders)>,
    /// The committees of these epochs, and of the one before if its heights may still be asked about.
    terms: Vec<RecordedTerm>,
    roster: Roster,
    offers: Vec<CommitteeOffer>,
    /// The epoch and round of the attempt that begins.
    attempt: Option<(Epoch, Round)>,
    last_bundles: Height,
    cheats: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct RecordedTerm {
    first: Height,
    epoch: Epoch,
    seats: Vec<(ValidatorIndex, Member)>,
}

impl RecordedTerm {
    fn new(Term { first, epoch, committee }: &Term) -> Self {
        let seats = committee.iter().map(|(index, member)| (index, member.clone())).collect();
        Self { first: *first, epoch: *epoch, seats }
    }

    fn restore(self) -> Result<Term, KeysError> {
        let committee = Arc::new(Committee::seated(self.seats)?);
        Ok(Term { first: self.first, epoch: self.epoch, committee })
    }
}

/// Why keys cannot be restored. The archive is damaged, or another network's.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The members of the genesis cannot share a key as it says.
    #[error("the members of the genesis cannot share a key")]
    Sharing(#[from] SharingError),
    /// A recorded committee is none.
    #[error("a recorded committee is not one")]
    Committee(#[from] CommitteeError),
    /// The committee of a recorded key is not recorded.
    #[error("the committee of epoch {0} is not recorded")]
    NoCommittee(Epoch),
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
            | KeyChange::NextEra { .. }
            | KeyChange::Epoch { .. }
            | KeyChange::Offence { .. } => None,
        });
        let is_quiet = self.attempt.is_none() && self.settled.is_none();
        let is_due = height.as_u64().is_multiple_of(CHECKPOINT_EVERY.as_u64());
        if begins.is_none() && !(is_quiet && is_due) {
            return None;
        }
        let record = |key: &EpochKey| {
            let holders = key.members.holders().clone();
            (key.epoch, key.first, key.key.encryption_key().clone(), holders)
        };
        let (oldest, later) = (self.committees.oldest(), self.committees.later());
        Some(KeysCheckpoint {
            at: height,
            keys: self.keys.iter().map(record).collect(),
            terms: std::iter::once(oldest).chain(later).map(RecordedTerm::new).collect(),
            roster: self.roster.clone(),
            offers: self.offers.clone(),
            attempt: begins,
            last_bundles: self.last_bundles,
            cheats: self.cheats.clone(),
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
        keys.cheats = checkpoint.cheats;
        // What came before the oldest key that is kept is nobody's business any more, but for epoch 0,
        // which has none of its own.
        let oldest = checkpoint.keys.first().map(|(epoch, ..)| *epoch).unwrap_or_default();
        keys.epochs = Epochs::always(if oldest == Epoch::new(1) { Epoch::ZERO } else { oldest });
        keys.restore_committees(checkpoint.terms)?;
        for (epoch, first, key, holders) in checkpoint.keys {
            let key = PublicKey::new(keys.network, &key)?;
            let committee = keys.committees.of_epoch(epoch).map(Arc::clone);
            let committee = committee.ok_or(KeysError::NoCommittee(epoch))?;
            let members = Arc::new(Members::recorded(committee, holders, key.packing()));
            keys.epochs.change(first, epoch);
            keys.keys.push(EpochKey::new(epoch, first, key, members));
        }
        keys.roster = checkpoint.roster;
        keys.offers = checkpoint.offers;
        if let Some((epoch, round)) = checkpoint.attempt {
            keys.begin(checkpoint.at, epoch, round);
        }
        Ok(keys)
    }

    fn restore_committees(&mut self, terms: Vec<RecordedTerm>) -> Result<(), KeysError> {
        let mut terms = terms.into_iter().map(RecordedTerm::restore);
        if let Some(oldest) = terms.next() {
            let Term { epoch, committee, .. } = oldest?;
            self.committees = Committees::always(epoch, committee);
        }
        for term in terms {
            let Term { first, epoch, committee } = term?;
            self.committees.change(first, epoch, committee);
        }
        let newest = Arc::clone(&self.committees.newest().committee);
        self.members = Arc::new(Members::by_power(newest, &self.rule)?);
        Ok(())
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
        self.offered(&block.body.offers);
        changes.extend(self.end_block(height, block.header.revealed_height, has_bundles));
        Ok(changes)
    }
}
