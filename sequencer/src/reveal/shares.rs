//! Shares: who gives its own, what is kept of those that others send, and what of them is evidence.

use std::sync::Arc;

use conclave_types::{Epoch, Height, ValidatorIndex};

use super::EARLY_MAX;
use crate::{
    archive,
    input::{Event, Peer, Penalty},
    job::{Job, KnownShares, OwnSecrets, ShareJob},
    keys::{EpochKey, Members},
    message::ShareMessage,
    sequencer::Sequencer,
};

impl Sequencer {
    /// The secret shares, if this validator has one for each of its points and may use them. Sharing a decided
    /// block contradicts nothing, so gaps in the history of votes do not matter, and whoever has left since
    /// owes it all the same; a machine without any history stays silent altogether. A block that already has
    /// openings needs no more shares.
    pub(super) fn secrets(
        &self,
        epoch: Epoch,
        members: &Members,
        has_openings: bool,
    ) -> Option<OwnSecrets> {
        if has_openings || !self.engine.has_history() {
            return None;
        }
        let validator = self.context.own_in(members.committee())?;
        let points = self.own_sharing.shares(epoch, members.points(validator))?;
        (!points.is_empty()).then_some(OwnSecrets { validator, points })
    }

    /// The reveal is stuck, or openings that were promised are wrong: this validator's shares are needed,
    /// if it has not given them.
    pub(crate) fn share_after_all(&mut self, height: Height) {
        let Some(pending) = self.reveals.pending.get(&height) else { return };
        let secrets = self.secrets(pending.header.epoch, &pending.members, false);
        let Some(OwnSecrets { validator, .. }) = &secrets else { return };
        if pending.shares.contains_key(validator) {
            return;
        }
        let job = ShareJob {
            key: Arc::clone(&pending.key),
            height,
            block: pending.block,
            encapsulations: self.encapsulations(&pending.ids, &pending.bundles),
            secrets,
            known: KnownShares::default(),
            expect: None,
        };
        self.ask(Job::Share(job));
    }

    pub(crate) fn on_shares(&mut self, from: Peer, message: Arc<ShareMessage>) {
        let height = message.height;
        if height <= self.chain.revealed
            || height > self.chain.decided().saturating_add(EARLY_MAX)
            || message.epoch != self.chain.keys.epochs().at(height)
        {
            return;
        }
        if let Some(pending) = self.reveals.pending.get(&height) {
            let is_stray = pending.block != message.block;
            let known = pending.opened.is_some()
                || pending.shares.contains_key(&message.validator)
                || pending.liars.contains(&message.validator);
            if if is_stray { pending.strays.contains(&message.validator) } else { known } {
                return;
            }
        } else if self.reveals.early.contains_key(&(height, message.validator)) {
            return;
        }
        if !self.is_signed(&message) {
            return self.penalise(from, Penalty::Invalid("shares with a bad signature"));
        }
        match self.reveals.pending.get_mut(&height) {
            Some(pending) if pending.block != message.block => {
                pending.strays.insert(message.validator);
                self.keep_stray_shares(&message);
            }
            Some(pending) => {
                pending.shares.insert(message.validator, message);
            }
            None => {
                self.reveals.early.insert((height, message.validator), message);
            }
        }
    }

    /// Keeps signed shares of the chain's block that are not what their sender's secret gives.
    fn keep_wrong_shares(&mut self, message: &ShareMessage) {
        self.evidence_count = self.evidence_count.saturating_add(1);
        self.write(archive::put_wrong_shares(message));
        let (height, validator) = (message.height, message.validator);
        self.event(Event::WrongShares { height, validator });
    }

    /// Takes the shares of these validators out of a block's for good.
    pub(super) fn put_out(
        &mut self,
        height: Height,
        liars: impl IntoIterator<Item = ValidatorIndex>,
    ) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        let mut wrong = Vec::new();
        for validator in liars {
            pending.liars.insert(validator);
            wrong.extend(pending.shares.remove(&validator));
        }
        for message in wrong {
            self.keep_wrong_shares(&message);
        }
    }

    /// Leaves out the shares of these validators, which are more or fewer than each owes. They are no evidence: whoever
    /// sends too few could have sent none.
    pub(super) fn leave_out(&mut self, height: Height, misfits: Vec<ValidatorIndex>) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        for validator in &misfits {
            pending.liars.insert(*validator);
            pending.shares.remove(validator);
        }
        for validator in misfits {
            self.event(Event::WrongShares { height, validator });
        }
    }

    /// Keeps signed shares of a block that was not decided: whoever is honest shares what was.
    pub(super) fn keep_stray_shares(&mut self, message: &ShareMessage) {
        self.evidence_count = self.evidence_count.saturating_add(1);
        self.write(archive::put_stray_shares(message));
        let (height, validator) = (message.height, message.validator);
        self.event(Event::StrayShares { height, validator });
    }

    fn is_signed(&self, message: &Arc<ShareMessage>) -> bool {
        let ShareMessage { epoch, height, block, validator, shares, signature } = &**message;
        let most = self.context.genesis.params.limits.block_bundles_max as usize;
        let Some(EpochKey { members, .. }) = self.chain.keys.at(*height) else { return false };
        let points = members.points(*validator).len();
        if points == 0 || shares.len() > most.saturating_add(1).saturating_mul(points) {
            return false;
        }
        let Some(key) = members.committee().key(*validator) else { return false };
        let verifier = &self.context.verifier;
        let domain = &self.context.domain;
        let digest = || ShareMessage::digest(domain, *epoch, *height, *block, shares);
        let digest = verifier.digest_of(Arc::<ShareMessage>::clone(message), &digest);
        verifier.is_signed(key, &digest, signature)
    }
}
