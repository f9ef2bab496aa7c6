//! A misbehaving validator outside of a simulated world: a process of its own, on a real network, which knows what
//! its own core and its own disk know.

use std::{collections::BTreeMap, sync::Arc};

use conclave_encryption::SecretShare;
use conclave_sequencer::{Identity, Keys, Message, SecretBytes, SecretName};
use conclave_types::{Epoch, Genesis, PayerAddress, Time};

use crate::{
    adversary::{Adversary, Letter, Means},
    keyring::Keyring,
    random::Random,
    scenario::Behaviour,
};

/// One misbehaving validator, for a shell that posts its letters.
pub struct Renegade(Adversary);

impl Renegade {
    /// A member of the committee of the genesis with honest keys and bad intentions; none if it is no member.
    #[must_use]
    pub fn new(
        genesis: &Genesis,
        identity: &Identity,
        behaviours: &[Behaviour],
        victim: Option<PayerAddress>,
        seed: u64,
    ) -> Option<Self> {
        let own = identity.signing_key.verifying_key().to_bytes();
        let mut members = genesis.members.iter();
        let index = members.position(|member| *member.consensus_key.as_bytes() == own)?;
        let index = u16::try_from(index).ok()?;
        let keys = Keys::new(genesis, None).ok()?;
        let (keyring, dice) = (Keyring::new(&keys), Random::new(seed, u64::from(index)));
        let means = Means::new(index, genesis, identity, keyring, dice).against(victim);
        let always = Time::ZERO..Time::from_micros(u64::MAX);
        let behaviours = behaviours.iter().map(|behaviour| (always.clone(), *behaviour));
        Some(Self(Adversary::new(behaviours, false, means)))
    }

    /// Which member it is.
    #[must_use]
    pub const fn index(&self) -> u16 {
        self.0.index()
    }

    /// Its core has other keys, or its disk other secrets.
    pub fn learn(
        &mut self,
        keys: &Keys,
        secrets: impl IntoIterator<Item = (SecretName, SecretBytes)>,
    ) {
        self.0.learn_key(Keyring::new(keys));
        self.0.learn_shares(shares_among(secrets));
    }

    /// What really leaves instead of a message to a validator.
    pub fn outgoing(&mut self, to: u16, message: Message) -> Vec<Letter> {
        self.0.outgoing(to, message)
    }

    /// What it sends because it hears a message of a validator.
    pub fn incoming(&mut self, now: Time, from: u16, message: &Message) -> Vec<Letter> {
        self.0.incoming(now, from, message)
    }

    /// What it did, by name.
    #[must_use]
    pub const fn counters(&self) -> &BTreeMap<&'static str, u64> {
        self.0.counters()
    }
}

/// The shares among secrets: each with its epoch and its point.
pub(crate) fn shares_among(
    secrets: impl IntoIterator<Item = (SecretName, SecretBytes)>,
) -> impl Iterator<Item = (Epoch, (u16, Arc<SecretShare>))> {
    secrets.into_iter().filter_map(|(name, bytes)| match name {
        SecretName::Share { epoch, point } => {
            let share = SecretShare::from_bytes(bytes.expose()).ok()?;
            Some((epoch, (point, Arc::new(share))))
        }
        SecretName::HolderSeed { .. } => None,
    })
}
