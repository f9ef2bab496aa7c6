//! The transport: authenticated, long-lived streams to every validator, on libp2p.
//!
//! ```text
//!            Network (handle)                 swarm task                    session of one peer
//!  driver ── send / broadcast ──▶ outbox ◀── connected, banned, redial ──▶ 2 writers, 2 readers ──▶ driver
//!                                  (bounded)                                urgent │ bulk
//! ```
//!
//! Each node opens two streams to each peer, `/conclave/1/urgent` and `/conclave/1/bulk`, so that a vote
//! never queues behind 64 KiB bundles; what the peer sends comes on the two that it opened. A stream
//! starts with a [`frame::Hello`] and goes on with length-prefixed messages.
//!
//! **Invariants.** A peer is a validator because the noise handshake proved the network key that the
//! genesis names, never because it says so. Every queue is bounded: a peer that does not read loses bulk
//! first and then its session; a peer that sends too much is read more slowly, and shunned if it keeps
//! on; a peer that sends garbage is shunned at once. Nothing that a peer sends can stop the node.

mod addresses;
pub mod frame;
mod limits;
mod outbox;
mod peers;
mod session;
mod swarm;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use conclave_sequencer::{KnownValidator, Message, Peer, Penalty};
use conclave_types::{Genesis, NetworkId};
use libp2p::{Multiaddr, identity::Keypair};
use tokio::sync::mpsc;

pub use addresses::AddressBook;
pub use outbox::Lane;
pub use peers::{PeerTraffic, Roster};

use self::{peers::Peers, swarm::SwarmCommand};
use crate::{driver::Inbox, essential::Essentials};

/// Commands that may wait for the swarm; more than that means that it is gone.
const COMMANDS_MAX: usize = 1_024;
/// How long a peer that sent garbage or flooded is shunned.
const BAN: Duration = Duration::from_secs(30);

/// Why the transport cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The address cannot be listened on.
    #[error("cannot listen on p2p.listen = {address}; choose a free port")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why.
        #[source]
        source: Box<libp2p::TransportError<std::io::Error>>,
    },
    /// The listener failed before it had an address.
    #[error("the listener on p2p.listen = {address} closed at once; choose a free port")]
    Closed {
        /// The address.
        address: Multiaddr,
    },
    /// The transport cannot be put together.
    #[error("cannot set up the p2p transport")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A key in the genesis is no network identity.
    #[error("the network key of member {0} in the genesis is not an ed25519 key")]
    NetworkKey(String),
}

/// What the transport is told once.
pub struct NetworkConfig {
    /// This node's identity.
    pub keypair: Keypair,
    /// Who the validators are.
    pub genesis: Arc<Genesis>,
    /// The network that every peer must be of.
    pub network: NetworkId,
    /// Where to listen.
    pub listen: Multiaddr,
    /// Whom to keep connected to.
    pub addresses: AddressBook,
    /// Peers that are no validators, at most.
    pub full_peers_max: u32,
}

/// A handle on the running transport.
#[derive(Clone)]
pub struct Network {
    peers: Arc<Peers>,
    commands: mpsc::Sender<SwarmCommand>,
    address: Multiaddr,
}

impl Network {
    /// Starts the transport; inbound messages go to `inbox`.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on or the genesis holds a bad network key.
    pub async fn start(
        config: NetworkConfig,
        inbox: Inbox,
        essentials: &Essentials,
    ) -> Result<Self, NetworkError> {
        let roster = Roster::new(&config.genesis, &config.keypair)?;
        let peers = Arc::new(Peers::new(roster, config.network, config.full_peers_max));
        let (commands, orders) = mpsc::channel(COMMANDS_MAX);
        let (task, address) =
            swarm::start(config, Arc::clone(&peers), commands.clone(), inbox).await?;
        tokio::spawn(essentials.clone().watch("p2p transport", task.run(orders)));
        Ok(Self { peers, commands, address })
    }

    /// Where the node really listens, with its peer id.
    #[must_use]
    pub const fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// Queues `message` for one peer; without effect if it is not connected.
    pub fn send(&self, to: Peer, message: &Message) {
        let outboxes = self.peers.outboxes_of(to);
        if outboxes.is_empty() {
            return;
        }
        let Some(frame) = encoded(message) else { return };
        for outbox in outboxes {
            outbox.push(lane(message), frame.clone());
        }
    }

    /// Queues `message` for every connected peer. It is encoded once.
    pub fn broadcast(&self, message: &Message) {
        let Some(frame) = encoded(message) else { return };
        for outbox in self.peers.outboxes() {
            outbox.push(lane(message), frame.clone());
        }
    }

    /// Shuns a peer for what the core found in its messages.
    pub fn penalize(&self, peer: Peer, penalty: Penalty) {
        self.peers.penalize(peer, penalty, &self.commands);
    }

    /// Who the validators are from now on.
    pub fn list(&self, validators: &[KnownValidator]) {
        self.peers.list(validators);
    }

    /// Bytes and state of every validator, and of the other peers together.
    #[must_use]
    pub fn traffic(&self) -> Vec<PeerTraffic> {
        self.peers.traffic()
    }

    /// Closes every connection.
    pub async fn stop(&self) {
        // The swarm task may be gone already, which is what is wanted.
        if self.commands.send(SwarmCommand::Stop).await.is_err() {
            tracing::debug!("the p2p transport had stopped before");
        }
    }
}

/// None for a message that every peer would call an offence.
fn encoded(message: &Message) -> Option<Bytes> {
    let (bytes, max) = (message.encode(), lane(message).frame_bytes_max());
    if bytes.len() > max {
        let (kind, found) = (message.kind(), bytes.len());
        tracing::error!(kind, found, max, "a message is too long to be sent");
        return None;
    }
    Some(Bytes::from(bytes))
}

const fn lane(message: &Message) -> Lane {
    if message.is_bulk() { Lane::Bulk } else { Lane::Urgent }
}

#[cfg(test)]
mod tests;
