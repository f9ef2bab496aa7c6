//! Byzantine validators: they run the shipped core, and distort what it sends.
//!
//! ```text
//! shipped core ─ letter ─▶ behaviour ─▶ behaviour ─▶ … ─▶ network
//!                            ▲ what it hears may make it write letters of its own
//! ```
//!
//! A behaviour is one way to misbehave, in a file of its own that has its name; a validator may have several, and what
//! one leaves of a letter the next gets to distort. Each counts what it did, so that a run can show that the fault
//! happened. What several have in common is in `means`.

#![expect(clippy::wildcard_enum_match_arm, reason = "what a behaviour does not distort, it passes")]

mod means;

mod abstain;
mod alternate_attestations;
mod amnesia;
mod bad_dealer;
mod blockade;
mod boast;
mod brink;
mod censor;
mod collude;
mod dawdle;
mod disguise_nil;
mod disorder;
mod double_attestations;
mod edge_time;
mod empty_blocks;
mod equivocate;
mod equivocate_late;
mod false_certificates;
mod false_complaint;
mod false_history;
mod false_openings;
mod flood;
mod forge;
mod forged_attestations;
mod front_run;
mod future_time;
mod hidden_block;
mod hoard;
mod impersonate;
mod invent_entry;
mod invent_offer;
mod late_shares;
mod mute_dealer;
mod old_origin;
mod omit_entry;
mod parrot;
mod partial;
mod premature_shares;
mod reorder_entries;
mod repeat_entry;
mod replay;
mod silent;
mod stale_origin;
mod stray_shares;
mod twin_blocks;
mod twin_bundles;
mod twin_proposals;
mod twins;
mod unknown_bundle;
mod unknown_origin;
mod withhold_shares;
mod wrong_ledger;
mod wrong_reveal;
mod wrong_shares;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use conclave_encryption::{Dkg, SecretShare};
use conclave_sequencer::Message;
use conclave_types::{BlockId, Epoch, Height, Time};

use means::forger::Forger;
pub(crate) use means::{Means, pooled::League};

use crate::{keyring::Keyring, load::Sighting, scenario::Behaviour};

/// A message on its way out.
#[derive(Clone, Debug)]
pub struct Letter {
    /// To whom.
    pub to: u16,
    /// What.
    pub message: Message,
    /// How long it is kept back.
    pub delay: Duration,
}

impl Letter {
    /// A message that leaves at once.
    #[must_use]
    pub(crate) const fn new(to: u16, message: Message) -> Self {
        Self { to, message, delay: Duration::ZERO }
    }

    /// The same letter with another message.
    #[must_use]
    pub(crate) fn with(&self, message: Message) -> Self {
        Self { message, ..self.clone() }
    }
}

/// One way to misbehave.
trait Misbehaviour: Send {
    /// What really leaves instead of a letter.
    fn outgoing(&mut self, _means: &mut Means, letter: Letter) -> Vec<Letter> {
        vec![letter]
    }

    /// What it writes when it hears something, and from whom.
    fn incoming(&mut self, _means: &mut Means, _from: u16, _message: &Message) -> Vec<Letter> {
        Vec::new()
    }
}

/// One misbehaving validator.
pub(crate) struct Adversary {
    means: Means,
    /// Each with the time for which it lasts.
    behaviours: Vec<(Range<Time>, Box<dyn Misbehaviour>)>,
    now: Time,
    masked: bool,
}

impl Adversary {
    /// A validator with honest keys and bad intentions. The oracles take a masked one for honest.
    #[must_use]
    pub(crate) fn new(
        behaviours: impl IntoIterator<Item = (Range<Time>, Behaviour)>,
        masked: bool,
        means: Means,
    ) -> Self {
        let behaviours = behaviours.into_iter().map(|(span, kind)| (span, behaviour(kind)));
        Self { means, behaviours: behaviours.collect(), now: Time::ZERO, masked }
    }

    /// What time it is; before its time a behaviour does nothing, and after it nothing any more.
    pub(crate) const fn comes_to(&mut self, now: Time) {
        self.now = now;
    }

    /// Whether the oracles take it for honest.
    #[must_use]
    pub(crate) const fn is_masked(&self) -> bool {
        self.masked
    }

    /// What it really sends instead of `message`.
    pub(crate) fn outgoing(&mut self, to: u16, message: Message) -> Vec<Letter> {
        self.means.note(&message);
        let Self { means, behaviours, now, .. } = self;
        let mut letters = vec![Letter::new(to, message)];
        for (_, behaviour) in behaviours.iter_mut().filter(|(span, _)| span.contains(now)) {
            letters =
                letters.into_iter().flat_map(|letter| behaviour.outgoing(means, letter)).collect();
        }
        letters
    }

    /// What it sends because it hears `message`.
    pub(crate) fn incoming(&mut self, now: Time, from: u16, message: &Message) -> Vec<Letter> {
        self.comes_to(now);
        self.means.now = now;
        self.means.note(message);
        let Self { means, behaviours, .. } = self;
        let present = behaviours.iter_mut().filter(|(span, _)| span.contains(&now));
        present.flat_map(|(_, behaviour)| behaviour.incoming(means, from, message)).collect()
    }

    /// Blocks that it has opened by itself since this was last asked.
    pub(crate) fn opened(&mut self) -> Vec<(Height, BlockId)> {
        std::mem::take(&mut self.means.opened)
    }

    /// The network has a new key.
    pub(crate) fn learn_key(&mut self, keyring: Keyring) {
        self.means.members.extend(keyring.members());
        self.means.keyring = keyring;
    }

    /// How far the making of a key is, and what its own core's key for it follows from.
    pub(crate) fn see_attempt(&mut self, attempt: Option<Dkg>, holder_seed: Option<[u8; 32]>) {
        self.means.attempt = attempt;
        self.means.holder_seed = holder_seed;
    }

    /// Its core has shares of the keys of these epochs, by point. It erases none.
    pub(crate) fn learn_shares(
        &mut self,
        shares: impl Iterator<Item = (Epoch, (u16, Arc<SecretShare>))>,
    ) {
        for (epoch, (point, share)) in shares {
            self.means.keep(epoch, point, share);
        }
    }

    /// What it saw since it was last asked, for whoever it tells.
    pub(crate) fn sighted(&mut self) -> Vec<Sighting> {
        std::mem::take(&mut self.means.sighted)
    }

    /// Which validator it is.
    #[must_use]
    pub(crate) const fn index(&self) -> u16 {
        self.means.index
    }

    /// What it did, by name.
    #[must_use]
    pub(crate) const fn counters(&self) -> &BTreeMap<&'static str, u64> {
        &self.means.counters
    }
}

fn behaviour(behaviour: Behaviour) -> Box<dyn Misbehaviour> {
    match behaviour {
        Behaviour::Silent => Box::new(silent::Silent),
        Behaviour::Partial => Box::new(partial::Partial),
        Behaviour::Abstain => Box::new(abstain::Abstain),
        Behaviour::Dawdle => Box::new(dawdle::Dawdle),
        Behaviour::Brink => Box::new(brink::Brink::default()),
        Behaviour::Amnesia => Box::new(amnesia::Amnesia::default()),
        Behaviour::Impersonate => Box::new(impersonate::Impersonate),
        Behaviour::DisguiseNil => Box::new(disguise_nil::DisguiseNil),
        Behaviour::Equivocate => Box::new(equivocate::Equivocate),
        Behaviour::EquivocateLate => Box::new(equivocate_late::EquivocateLate),
        Behaviour::Parrot => Box::new(parrot::Parrot),
        Behaviour::Twins => Box::new(twins::Twins::default()),
        Behaviour::TwinProposals => Box::new(twin_proposals::TwinProposals),
        Behaviour::FalseCertificates => Box::new(false_certificates::FalseCertificates::default()),
        Behaviour::TwinBlocks => Forger::boxed(twin_blocks::TwinBlocks),
        Behaviour::WrongLedger => Forger::boxed(wrong_ledger::WrongLedger),
        Behaviour::WrongReveal => Forger::boxed(wrong_reveal::WrongReveal),
        Behaviour::UnknownBundle => Forger::boxed(unknown_bundle::UnknownBundle),
        Behaviour::FutureTime => Forger::boxed(future_time::FutureTime),
        Behaviour::EdgeTime => Forger::boxed(edge_time::EdgeTime),
        Behaviour::Disorder => Forger::boxed(disorder::Disorder),
        Behaviour::Replay => Forger::boxed(replay::Replay),
        Behaviour::TwinBundles => Forger::boxed(twin_bundles::TwinBundles),
        Behaviour::UnknownOrigin => Forger::boxed(unknown_origin::UnknownOrigin),
        Behaviour::OmitEntry => Forger::boxed(omit_entry::OmitEntry),
        Behaviour::InventEntry => Forger::boxed(invent_entry::InventEntry),
        Behaviour::ReorderEntries => Forger::boxed(reorder_entries::ReorderEntries),
        Behaviour::RepeatEntry => Forger::boxed(repeat_entry::RepeatEntry::default()),
        Behaviour::StaleOrigin => Forger::boxed(stale_origin::StaleOrigin),
        Behaviour::Blockade => Box::new(blockade::Blockade),
        Behaviour::OldOrigin => Forger::boxed(old_origin::OldOrigin),
        Behaviour::InventOffer => Forger::boxed(invent_offer::InventOffer),
        Behaviour::HiddenBlock => Box::new(hidden_block::HiddenBlock),
        Behaviour::Censor => Forger::boxed(censor::Censor),
        Behaviour::EmptyBlocks => Forger::boxed(empty_blocks::EmptyBlocks),
        Behaviour::WithholdShares => Box::new(withhold_shares::WithholdShares),
        Behaviour::LateShares => Box::new(late_shares::LateShares),
        Behaviour::WrongShares => Box::new(wrong_shares::WrongShares),
        Behaviour::PrematureShares => Box::new(premature_shares::PrematureShares),
        Behaviour::StrayShares => Box::new(stray_shares::StrayShares),
        Behaviour::DoubleAttestations => Box::new(double_attestations::DoubleAttestations),
        Behaviour::AlternateAttestations => Box::new(alternate_attestations::AlternateAttestations),
        Behaviour::ForgedAttestations => Box::new(forged_attestations::ForgedAttestations),
        Behaviour::Collude => Box::new(collude::Collude::default()),
        Behaviour::Hoard => Box::new(hoard::Hoard::default()),
        Behaviour::FalseOpenings => Box::new(false_openings::FalseOpenings),
        Behaviour::FalseHistory => Box::new(false_history::FalseHistory),
        Behaviour::Boast => Box::new(boast::Boast),
        Behaviour::Flood => Box::new(flood::Flood::default()),
        Behaviour::Forge => Box::new(forge::Forge),
        Behaviour::FrontRun => Box::new(front_run::FrontRun),
        Behaviour::BadDealer => Box::new(bad_dealer::BadDealer),
        Behaviour::FalseComplaint => Box::new(false_complaint::FalseComplaint::default()),
        Behaviour::MuteDealer => Box::new(mute_dealer::MuteDealer),
    }
}
