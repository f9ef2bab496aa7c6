//! Who has the last word on what leaves a node.
//!
//! In every binary that we ship nobody has: [`Honest`] is the only conduct in this crate, and `tests/tidy` sees to
//! it. `conclave-byzantine` is this node with another one, so that an attack on a network is made of real
//! messages on real sockets, and nothing here has a switch for it. A conduct sees messages only: what the core
//! decides, writes and signs is out of its reach.

use conclave_sequencer::{Keys, Message, Peer};
use conclave_types::Time;

use crate::store::RocksStore;

/// Messages on their way out.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// For one peer.
    pub send: Vec<(Peer, Message)>,
    /// For every connected peer.
    pub broadcast: Vec<Message>,
}

/// How a node behaves towards others. Whoever overrides nothing is honest.
pub trait Conduct: Send + 'static {
    /// The core has come to other keys; the store has the secrets that belong to them.
    fn learn(&mut self, _keys: &Keys, _store: &RocksStore) {}

    /// What is said to a message besides what the core says.
    fn hear(&mut self, _now: Time, _from: Peer, _message: &Message) -> Vec<(Peer, Message)> {
        Vec::new()
    }

    /// What leaves instead of what the core says.
    fn speak(&mut self, said: Outgoing) -> Outgoing {
        said
    }
}

/// Says what the core says.
#[derive(Clone, Copy, Debug)]
pub struct Honest;

impl Conduct for Honest {}
