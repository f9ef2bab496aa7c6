//! Byzantine validators: they run the shipped core, and distort what it sends.
//!
//! ```text
//! shipped core ─ letter ─▶ behaviour ─▶ behaviour ─▶ … ─▶ network
//!                            ▲ what it hears may make it write letters of its own
//! ```
//!
//! A behaviour is one way to misbehave, in a file of its own; a validator may have several, and what one
//! leaves of a letter the next gets to distort. Each counts what it did, so that a run can show that
//! the fault happened.

#![expect(clippy::wildcard_enum_match_arm, reason = "what a behaviour does not distort, it passes")]

mod amnesia;
mod attestations;
mod blocks;
mod brink;
mod bundles;
mod certificates;
mod collusion;
mod flood;
mod forced;
mod front_runner;
mod history;
mod hoard;
mod impersonation;
mod means;
mod openings;
mod progress;
mod renegade;
mod shares;
mod sharing;
mod silence;
mod twins;
mod votes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use conclave_encryption::{Dkg, SecretShare};
use conclave_sequencer::Message;
use conclave_types::{BlockId, Epoch, Height, Time};

pub(crate) use means::Means;
pub use renegade::Renegade;
pub(crate) use renegade::shares_among;

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
    behaviours: Vec<Box<dyn Misbehaviour>>,
    masked: bool,
}

impl Adversary {
    /// A validator with honest keys and bad intentions. The oracles take a masked one for honest.
    #[must_use]
    pub(crate) fn new(behaviours: &[Behaviour], masked: bool, means: Means) -> Self {
        Self { means, behaviours: behaviours.iter().map(behaviour).collect(), masked }
    }

    /// Whether the oracles take it for honest.
    #[must_use]
    pub(crate) const fn is_masked(&self) -> bool {
        self.masked
    }

    /// What it really sends instead of `message`.
    pub(crate) fn outgoing(&mut self, to: u16, message: Message) -> Vec<Letter> {
        self.means.note(&message);
        let Self { means, behaviours, .. } = self;
        let mut letters = vec![Letter::new(to, message)];
        for behaviour in behaviours {
            letters =
                letters.into_iter().flat_map(|letter| behaviour.outgoing(means, letter)).collect();
        }
        letters
    }

    /// What it sends because it hears `message`.
    pub(crate) fn incoming(&mut self, now: Time, from: u16, message: &Message) -> Vec<Letter> {
        self.means.now = now;
        self.means.note(message);
        let Self { means, behaviours, .. } = self;
        let write =
            |behaviour: &mut Box<dyn Misbehaviour>| behaviour.incoming(means, from, message);
        behaviours.iter_mut().flat_map(write).collect()
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
            self.means.secrets.entry(epoch).or_default().insert(point, share);
        }
    }

    /// What it saw since it was last asked, for whoever it tells.
    pub(crate) fn sighted(&mut self) -> Vec<Sighting> {
        std::mem::take(&mut self.means.sighted)
    }

    /// What it did, by name.
    #[must_use]
    pub(crate) const fn counters(&self) -> &BTreeMap<&'static str, u64> {
        &self.means.counters
    }
}

fn behaviour(behaviour: &Behaviour) -> Box<dyn Misbehaviour> {
    use blocks::{Forger, Forgery};
    use forced::L1Forgery;
    let l1 = |forgery| Box::new(Forger::new(Forgery::L1(forgery)));
    match behaviour {
        Behaviour::Silent => Box::new(silence::Silent),
        Behaviour::Partial => Box::new(silence::Partial),
        Behaviour::Abstain => Box::new(silence::Abstain),
        Behaviour::Dawdle => Box::new(silence::Dawdle),
        Behaviour::Brink => Box::new(brink::Brink::default()),
        Behaviour::Amnesia => Box::new(amnesia::Amnesia::default()),
        Behaviour::Impersonate => Box::new(impersonation::Impersonate),
        Behaviour::DisguiseNil => Box::new(impersonation::DisguiseNil),
        Behaviour::Equivocate => Box::new(votes::Equivocate),
        Behaviour::Parrot => Box::new(votes::Parrot),
        Behaviour::EquivocateLate => Box::new(votes::EquivocateLate),
        Behaviour::TwinProposals => Box::new(votes::TwinProposals),
        Behaviour::FalseCertificates => Box::new(certificates::FalseCertificates::default()),
        Behaviour::Twins => Box::new(twins::Twins::default()),
        Behaviour::TwinBlocks => Box::new(Forger::new(Forgery::Twin)),
        Behaviour::WrongLedger => Box::new(Forger::new(Forgery::WrongLedger)),
        Behaviour::UnknownBundle => Box::new(Forger::new(Forgery::UnknownBundle)),
        Behaviour::FutureTime => Box::new(Forger::new(Forgery::FutureTime)),
        Behaviour::UnknownOrigin => Box::new(Forger::new(Forgery::UnknownOrigin)),
        Behaviour::Censor => Box::new(Forger::new(Forgery::Censor)),
        Behaviour::EmptyBlocks => Box::new(Forger::new(Forgery::Empty)),
        Behaviour::WrongReveal => Box::new(Forger::new(Forgery::WrongReveal)),
        Behaviour::EdgeTime => Box::new(Forger::new(Forgery::EdgeTime)),
        Behaviour::Disorder => Box::new(Forger::new(Forgery::Disorder)),
        Behaviour::Replay => Box::new(Forger::new(Forgery::Replay)),
        Behaviour::OmitEntry => l1(L1Forgery::Omit),
        Behaviour::InventEntry => l1(L1Forgery::Invent),
        Behaviour::ReorderEntries => l1(L1Forgery::Reorder),
        Behaviour::RepeatEntry => l1(L1Forgery::Repeat),
        Behaviour::StaleOrigin => l1(L1Forgery::Stale),
        Behaviour::OldOrigin => l1(L1Forgery::Return),
        Behaviour::InventOffer => l1(L1Forgery::Offer),
        Behaviour::TwinBundles => Box::new(Forger::new(Forgery::TwinBundles)),
        Behaviour::FalseHistory => Box::new(history::FalseHistory),
        Behaviour::HiddenBlock => Box::new(blocks::Hidden),
        Behaviour::WithholdShares => Box::new(shares::Withhold),
        Behaviour::LateShares => Box::new(shares::Late),
        Behaviour::WrongShares => Box::new(shares::Wrong),
        Behaviour::PrematureShares => Box::new(shares::Premature),
        Behaviour::StrayShares => Box::new(shares::Stray),
        Behaviour::Collude => Box::new(collusion::Collude::default()),
        Behaviour::Hoard => Box::new(hoard::Hoard::default()),
        Behaviour::FalseOpenings => Box::new(openings::FalseOpenings),
        Behaviour::Boast => Box::new(progress::Boast),
        Behaviour::Flood => Box::new(flood::Flood::default()),
        Behaviour::Forge => Box::new(bundles::Forge),
        Behaviour::FrontRun => Box::new(front_runner::FrontRun),
        Behaviour::BadDealer => Box::new(sharing::BadDealer),
        Behaviour::FalseComplaint => Box::new(sharing::FalseComplainer::default()),
        Behaviour::DoubleAttestations => Box::new(attestations::Contradict),
        Behaviour::ForgedAttestations => Box::new(attestations::Forge),
        Behaviour::MuteDealer => Box::new(sharing::MuteDealer),
    }
}
