//! What happens when a block is decided: it is written down with its certificate, its bundles are
//! charged, its deposits credited and its withdrawals taken, and its reveal begins. Then the engine turns to the
//! next height.

use std::sync::Arc;

use conclave_mempool::{Applied, Charge, Turn};
use conclave_types::{
    Block, BundleHeader, Certificate, EncryptedBundle, Opening, SharingMessage, Time,
};

use crate::{
    archive::{self, BundlePlace, StoredBlock},
    chain::Parent,
    input::Event,
    keys::{KeyChange, Keys},
    l1::{self, Carried},
    sequencer::Sequencer,
};

impl Sequencer {
    /// The engine has decided: by possession (only a block that is held reaches it as valid), the block
    /// and its bundles are here.
    pub(crate) fn on_decided(&mut self, now: Time, certificate: Certificate) {
        if let Some(followed) = self.catch_up.take_followed(&certificate.block) {
            let (block, bundles, openings) = followed;
            self.commit_block(now, &block, certificate, bundles, openings);
            return self.next_height(now);
        }
        let whole = self.candidates.whole(certificate.height, &certificate.block);
        let Some((block, bundles)) = whole else {
            return self.halt(format!(
                "height {} was decided, but its block {} is not here as a valid one",
                certificate.height, certificate.block
            ));
        };
        self.commit_block(now, &block, certificate, bundles, None);
        self.next_height(now);
    }

    fn next_height(&mut self, now: Time) {
        if self.ready.effects.halt.is_some() {
            return;
        }
        let outputs = self.engine.start_height(now, self.chain.next());
        self.absorb(now, outputs);
    }

    /// Writes a decided block down and lets it take effect.
    pub(crate) fn commit_block(
        &mut self,
        now: Time,
        block: &Block,
        certificate: Certificate,
        bundles: Vec<Arc<EncryptedBundle>>,
        openings: Option<Vec<Opening>>,
    ) {
        let height = block.header.height;
        let headers: Vec<&BundleHeader> = bundles.iter().map(|bundle| &bundle.header).collect();
        let charges = match self.chain.ledger.check_block(&headers, &self.context.genesis.params) {
            Ok(charges) => charges,
            Err(error) => {
                return self
                    .halt(format!("decided block {height} does not fit the ledger: {error}"));
            }
        };
        let entries = &block.body.l1_entries;
        let cursor = l1::cursor_after(self.chain.parent.forced_cursor, entries);
        let turn = turn(&self.chain.keys, block, &charges);
        let applied = match self.chain.ledger.apply(&turn) {
            Ok(applied) => applied,
            Err(error) => return self.halt(format!("charges of block {height}: {error}")),
        };
        self.write_applied(block, &applied);
        let Some(changes) = self.apply_sharing(block) else { return };
        for (index, id) in (0_u32..).zip(&block.body.bundles) {
            self.write(archive::put_place(id, &BundlePlace { height, index }));
        }
        let stored = StoredBlock { block: block.clone(), certificate: certificate.clone() };
        self.write(archive::put_block(&stored));
        self.write(archive::delete_candidates(height));
        self.write(archive::delete_wal(height));
        self.chain.set_parent(Parent::block(&block.header, cursor), certificate.clone());
        self.l1_decided(now, block);
        self.write(archive::put_tip(&self.chain.tip()));
        let changed = applied.accounts.iter().map(|(payer, _)| *payer);
        self.pool.remove_included(&charges, changed, &self.chain.ledger);
        self.pool.expire(height.next());
        self.end_era(height);
        self.intake.forget_needed();
        self.candidates.decided(height);
        self.proposer.decided(now);
        self.catch_up.progressed(now);
        self.event(Event::Decided {
            header: block.header.clone(),
            block: block.id(),
            l1_entries: block.body.l1_entries.clone(),
            bundles: block.body.bundles.clone(),
            certificate,
        });
        let carried = Carried::new(cursor, entries, &self.context.rollups, applied.withdrawals);
        self.begin_reveal(now, block, carried, bundles, openings);
        self.key_changes(block, changes);
    }

    fn write_applied(&mut self, block: &Block, applied: &Applied) {
        for (address, account) in &applied.accounts {
            self.write(archive::put_account(address, account));
        }
        for write in archive::put_applied(block.header.height, applied) {
            self.write(write);
        }
    }

    /// Lets the messages of a sharing take effect, and time pass for the keys.
    fn apply_sharing(&mut self, block: &Block) -> Option<Vec<KeyChange>> {
        let height = block.header.height;
        let mut changes = Vec::new();
        for message in &block.body.sharing {
            let checked = self.judged_sharing(message);
            let taken = checked.and_then(|checked| Ok(self.chain.keys.take(message, checked)?));
            match taken {
                Ok(change) => changes.extend(change),
                Err(error) => {
                    let from = message.from;
                    self.halt(format!("decided block {height}: sharing of {from}: {error}"));
                    return None;
                }
            }
        }
        let revealed = block.header.revealed_height;
        let has_bundles = !block.body.bundles.is_empty();
        self.chain.keys.offered(&block.body.offers);
        changes.extend(self.chain.keys.end_block(height, revealed, has_bundles));
        Some(changes)
    }

    /// What follows from changes of the keys for everyone else.
    fn key_changes(&mut self, block: &Block, changes: Vec<KeyChange>) {
        let height = block.header.height;
        self.sharing.decided(block, &self.chain.keys);
        let leaves: Vec<_> = block.body.sharing.iter().map(SharingMessage::leaf).collect();
        self.sharing_decided(&leaves, &changes);
        if let Some(checkpoint) = self.chain.keys.checkpoint(height, &changes) {
            self.write(archive::put_keys(&checkpoint));
        }
        for change in changes {
            if let KeyChange::Epoch { epoch, first, .. } = &change {
                let committee = Arc::clone(self.chain.keys.committee_at(*first));
                if let Err(error) = self.engine.change_epoch(*first, *epoch, committee) {
                    return self.halt(format!("epoch {epoch}: {error}"));
                }
            }
            self.event(Event::Keys { height, change });
        }
    }
}

/// A block as the ledger takes it, `keys` being as the block before left them: an epoch's end is known long before.
pub(crate) fn turn<'a>(keys: &'a Keys, block: &'a Block, charges: &'a [Charge]) -> Turn<'a> {
    let height = block.header.height;
    let proposer = keys.committee_at(height).get(block.header.proposer);
    let epochs = keys.epochs();
    Turn {
        height,
        charges,
        entries: &block.body.l1_entries,
        proposer: proposer.map_or(0, |member| member.validator),
        cheats: keys.cheats(),
        ends_epoch: epochs.at(height) != epochs.at(height.next()),
    }
}
