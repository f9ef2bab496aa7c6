//! The liar in the node: letters of the shipped core, as an adversary of the simulator leaves them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use conclave_node::{
    driver::{Conduct, Outgoing},
    store::RocksStore,
};
use conclave_sequencer::{Identity, Keys, Message, Peer, Store as _};
use conclave_simulator::{Behaviour, Letter, Renegade};
use conclave_types::{Genesis, PayerAddress, Time, ValidatorIndex};

/// Who has the last word in this process.
pub(crate) struct Liar {
    renegade: Renegade,
    own: u16,
    validators: u16,
    /// Whether it misbehaves at the moment.
    lies: Arc<AtomicBool>,
}

impl Liar {
    /// None if the identity is of no member of the genesis.
    pub(crate) fn new(
        genesis: &Genesis,
        identity: &Identity,
        behaviours: &[Behaviour],
        victim: Option<PayerAddress>,
        lies: Arc<AtomicBool>,
    ) -> Option<Self> {
        let renegade = Renegade::new(genesis, identity, behaviours, victim, 0)?;
        let own = renegade.index();
        let validators = u16::try_from(genesis.members.len()).ok()?;
        Some(Self { renegade, own, validators, lies })
    }

    fn lies(&self) -> bool {
        self.lies.load(Ordering::Relaxed)
    }

    /// What it says to each of the others instead of a message to everyone. Who is no validator hears nothing of it,
    /// and learns from the honest.
    fn distort(&mut self, message: Message, out: &mut Outgoing) {
        let others = (0..self.validators).filter(|other| *other != self.own);
        let others: Vec<u16> = others.collect();
        let mut said = Vec::new();
        for to in others {
            said.extend(self.renegade.outgoing(to, message.clone()));
        }
        out.send.extend(said.into_iter().map(posted));
    }
}

fn posted(letter: Letter) -> (Peer, Message) {
    (Peer::Validator(ValidatorIndex::new(letter.to)), letter.message)
}

impl Conduct for Liar {
    fn learn(&mut self, keys: &Keys, store: &RocksStore) {
        match store.secrets() {
            Ok(secrets) => self.renegade.learn(keys, secrets),
            Err(error) => tracing::warn!(%error, "the secrets cannot be read"),
        }
    }

    fn hear(&mut self, now: Time, from: Peer, message: &Message) -> Vec<(Peer, Message)> {
        let Peer::Validator(from) = from else { return Vec::new() };
        // It listens all the time, to know what it needs when its time comes.
        let letters = self.renegade.incoming(now, from.as_u16(), message);
        if self.lies() { letters.into_iter().map(posted).collect() } else { Vec::new() }
    }

    fn speak(&mut self, said: Outgoing) -> Outgoing {
        if !self.lies() {
            return said;
        }
        let mut out = Outgoing::default();
        for (to, message) in said.send {
            match to {
                Peer::Validator(to) => {
                    let letters = self.renegade.outgoing(to.as_u16(), message);
                    out.send.extend(letters.into_iter().map(posted));
                }
                Peer::Full(_) => out.send.push((to, message)),
            }
        }
        for message in said.broadcast {
            self.distort(message, &mut out);
        }
        out
    }
}
