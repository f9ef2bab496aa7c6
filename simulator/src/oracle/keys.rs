//! The making and handing on of the key, as validators tell it.

use conclave_encryption::Phase;
use conclave_sequencer::{KeyChange, SharingOffence};
use conclave_types::{Height, Time};

use super::{Check, DETERMINISM, Oracle, SAME_KEY, SLASHED, ensure};

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
                KeyChange::Failed { .. } => self.count("failed_sharings"),
                KeyChange::Offence { offence: SharingOffence::BadDealing, .. } => {
                    self.count("bad_dealings");
                }
                KeyChange::Offence { offence: SharingOffence::FalseComplaint, .. } => {
                    self.count("false_complaints");
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
                let before = self.epochs.values().next_back().map(|(_, key)| *key);
                ensure(before.is_none_or(|before| before == *key), SAME_KEY, || {
                    format!("epoch {epoch} has key {key}, and one before has {before:?}")
                })?;
                let known = *self.epochs.entry(*epoch).or_insert((*first, *key));
                ensure(known == (*first, *key), DETERMINISM, || {
                    format!(
                        "epoch {epoch} begins at {} under {}, and at {first} under {key}",
                        known.0, known.1
                    )
                })
            }
            KeyChange::Attempt { .. } | KeyChange::Phase(_) | KeyChange::Failed { .. } => Ok(()),
        }
    }
}
