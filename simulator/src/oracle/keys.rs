//! The making and handing on of the key, as validators tell it.

use conclave_encryption::Phase;
use conclave_sequencer::{KeyChange, SharingOffence};
use std::collections::BTreeSet;

use conclave_types::{BlockHeader, BundleId, Epoch, Height, HeightDelta, KeyId, Time};

use super::{Check, DETERMINISM, ERASED, NEW_KEY, Oracle, RETURNED, SAME_KEY, SLASHED, ensure};

/// Heights, opened after its last, for which a node may keep shares of an epoch.
const KEPT_MAX: u64 = 64;

/// Heights after its last by which a validator that leaves must have erased its shares.
const OWED_MAX: HeightDelta = HeightDelta::new(16);

impl Oracle {
    /// The key goes on: everyone says the same of it, and nobody honest is found guilty.
    pub(super) fn keys_changed(
        &mut self,
        now: Time,
        node: u16,
        height: Height,
        change: &KeyChange,
    ) -> Check {
        self.trace_event(now, node, &format!("{change:?}"), &height.as_u64().to_be_bytes());
        let first = self.keys.entry(height).or_default();
        if !first.contains(change) {
            first.push(change.clone());
            match change {
                KeyChange::Epoch { epoch, first, .. } => {
                    self.inclusion.epoch_begins(*first);
                    self.committees.begins(*epoch, *first);
                    self.count("epochs");
                }
                KeyChange::Attempt { epoch, .. } => {
                    self.committees.attempt(*epoch, self.queue.origin_at(height));
                }
                KeyChange::Phase(Phase::Finished) => self.inclusion.epoch_ends(height),
                KeyChange::NextEra { until, .. } => {
                    self.count("next_eras");
                    self.inclusion.epoch_ends(*until);
                }
                KeyChange::Failed { .. } => self.count("failed_sharings"),
                KeyChange::Offence { validator, offence } => {
                    self.payers.cheated(self.committees.number(validator.as_u16()));
                    self.count(match offence {
                        SharingOffence::BadDealing => "bad_dealings",
                        SharingOffence::FalseComplaint => "false_complaints",
                    });
                }
                KeyChange::Phase(_) => {}
            }
        }
        match change {
            KeyChange::Offence { validator, offence } => {
                ensure(!self.honest.contains(&validator.as_u16()), SLASHED, || {
                    format!(
                        "validator {validator} is honest, and {offence:?} is laid to its charge"
                    )
                })
            }
            KeyChange::Epoch { epoch, first, key } => {
                self.key_of(*epoch, *key)?;
                let known = *self.epochs.entry(*epoch).or_insert((*first, *key));
                ensure(known == (*first, *key), DETERMINISM, || {
                    format!(
                        "epoch {epoch} begins at {} under {}, and at {first} under {key}",
                        known.0, known.1
                    )
                })
            }
            KeyChange::NextEra { .. }
            | KeyChange::Attempt { .. }
            | KeyChange::Phase(_)
            | KeyChange::Failed { .. } => Ok(()),
        }
    }

    /// The key changes with the first epoch of an era, and never else.
    fn key_of(&mut self, epoch: Epoch, key: KeyId) -> Check {
        let earlier = self.epochs.range(..epoch);
        let before = earlier.clone().next_back().map(|(_, (_, key))| *key);
        let number = epoch.as_u64();
        let opens_era =
            self.era_epochs > 0 && number > 1 && number % self.era_epochs == 1 % self.era_epochs;
        if !opens_era {
            return ensure(before.is_none_or(|before| before == key), SAME_KEY, || {
                format!("epoch {epoch} has key {key}, and one before has {before:?}")
            });
        }
        let is_new = earlier.clone().all(|(_, (_, known))| *known != key);
        if !self.epochs.contains_key(&epoch) {
            self.count("era_turns");
        }
        ensure(is_new, NEW_KEY, || {
            format!("epoch {epoch} opens an era, and key {key} was one before")
        })
    }

    /// An honest validator tells users that no block has taken these, and none will.
    pub(super) fn returned(
        &mut self,
        now: Time,
        node: u16,
        height: Height,
        bundles: &[BundleId],
    ) -> Check {
        for bundle in bundles {
            self.trace_event(now, node, "returned", bundle.as_bytes());
        }
        self.count_more("returned_bundles", u64::try_from(bundles.len()).unwrap_or(u64::MAX));
        self.inclusion.returned(node, bundles);
        self.payers.returned(bundles);
        let taken = bundles.iter().find(|id| self.payers.is_included(id));
        ensure(taken.is_none(), RETURNED, || {
            format!("validator {node}, height {height}: {taken:?} comes back, and was included")
        })
    }

    /// A validator has decided a block. If its key is not the one before, nothing that it had admitted under
    /// that one is left without a word.
    pub(super) fn left_over(&self, node: u16, header: &BlockHeader) -> Check {
        let mut epochs = self.epochs.values();
        if !epochs.any(|(first, key)| *first == header.height && *key == header.key_id) {
            return Ok(());
        }
        let left = self.inclusion.left_over(node, header, &self.payers);
        ensure(left.is_none(), RETURNED, || {
            let height = header.height;
            format!("validator {node}, height {height}: bundle {left:?} has vanished with its era")
        })
    }

    /// At the end of the run: how many secrets of sharings are on a machine's disk. One that signs for nobody any more
    /// owes shares for the last blocks of its time, and nothing after that.
    pub(crate) fn keeps_secrets(&mut self, node: u16, found: usize) {
        let Some(left) = self.committees.left_at(node) else { return };
        let revealed = self.chain.revealed_at(node);
        let is_due = left.saturating_add(OWED_MAX) < revealed;
        self.note(ensure(found == 0 || !is_due, ERASED, || {
            format!(
                "machine {node} has left with {left}, is at {revealed} and keeps {found} secrets"
            )
        }));
    }

    /// What a validator has on its disk when a run is over: shares of these epochs.
    pub(crate) fn has_shares(&mut self, node: u16, epochs: &BTreeSet<Epoch>) {
        if self.honest.contains(&node) {
            self.note(self.erased(node, self.chain.revealed_at(node), epochs));
        }
    }

    pub(super) fn erased(&self, node: u16, revealed: Height, epochs: &BTreeSet<Epoch>) -> Check {
        let is_over = |epoch: &&Epoch| {
            let next = self.epochs.get(&epoch.next());
            next.is_some_and(|(first, _)| revealed.above(*first).as_u64() > KEPT_MAX)
        };
        let old = epochs.iter().find(is_over).copied();
        ensure(old.is_none(), ERASED, || {
            format!("validator {node}, at {revealed}, has shares of epoch {old:?}")
        })
    }
}
