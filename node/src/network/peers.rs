//! Who is connected: the roster of validators, and a link for each session.
//!
//! Who is a validator changes with the epochs, and the core says so. A link is what its peer was when it
//! connected; where that is no longer true the connection is closed, and the peer comes back as what it is.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use conclave_sequencer::{KnownValidator, Peer, Penalty};
use conclave_types::{ConsensusKey, Genesis, NetworkId, ValidatorIndex};
use libp2p::{
    PeerId,
    identity::{Keypair, PublicKey, ed25519},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{NetworkError, frame::Hello, limits::Score, outbox::Outbox, swarm::SwarmCommand};

/// Points for a message that no honest node sends: enough to be shunned at once.
const INVALID_POINTS: u32 = 100;
/// Points for sending more than one may.
const FLOOD_POINTS: u32 = 10;
/// Points for making the reader wait, for a peer that is no validator: a flood that lasts a minute.
pub(super) const WAIT_POINTS: u32 = 2;

/// Which libp2p identity is which validator.
#[derive(Clone, Debug)]
pub struct Roster {
    own: PeerId,
    validators: BTreeMap<PeerId, (ValidatorIndex, String)>,
}

impl Roster {
    /// Reads the members of the genesis.
    ///
    /// # Errors
    ///
    /// If a network key is not an ed25519 key.
    pub fn new(genesis: &Genesis, own: &Keypair) -> Result<Self, NetworkError> {
        let members = (0_u16..).map(ValidatorIndex::new).zip(&genesis.members);
        let validators = members.map(|(index, member)| {
            let peer = peer_id(&member.network_key);
            let peer = peer.ok_or_else(|| NetworkError::NetworkKey(member.name.clone()))?;
            Ok((peer, (index, member.name.clone())))
        });
        Ok(Self {
            own: own.public().to_peer_id(),
            validators: validators.collect::<Result<_, _>>()?,
        })
    }

    /// This node's identity.
    #[must_use]
    pub const fn own(&self) -> PeerId {
        self.own
    }

    /// The validator that has this identity, if there is one.
    #[must_use]
    pub fn validator(&self, peer: &PeerId) -> Option<ValidatorIndex> {
        self.validators.get(peer).map(|(index, _)| *index)
    }
}

/// The libp2p identity of a network key; none if it is not an ed25519 key.
fn peer_id(key: &ConsensusKey) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// Bytes and state of a peer, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTraffic {
    /// Its libp2p identity; empty for all peers that are no validators together.
    pub peer_id: String,
    /// The validator's name; empty if it is none.
    pub name: String,
    /// Whether messages can be sent to it.
    pub connected: bool,
    /// Bytes sent to it, frames included.
    pub bytes_sent: u64,
    /// Bytes received from it, frames included.
    pub bytes_received: u64,
    /// Frames that were dropped because it did not read them.
    pub frames_dropped: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// One peer's session, from its first connection to the loss of its last.
pub(super) struct Link {
    pub(super) id: PeerId,
    pub(super) peer: Peer,
    pub(super) outbox: Outbox,
    pub(super) counters: Arc<Counters>,
    /// Set when both sides have said hello: from then on messages flow.
    pub(super) up: CancellationToken,
    /// Set when the last connection is gone.
    pub(super) gone: CancellationToken,
    score: Mutex<Score>,
}

impl Link {
    pub(super) const fn is_validator(&self) -> bool {
        matches!(self.peer, Peer::Validator(_))
    }

    /// Adds points; returns whether the peer is to be shunned.
    pub(super) fn blame(&self, points: u32) -> bool {
        let mut score = self.score.lock().unwrap_or_else(PoisonError::into_inner);
        score.add(points, Instant::now())
    }
}

struct Table {
    roster: Roster,
    counters: BTreeMap<PeerId, Arc<Counters>>,
    /// The roster has changed since the swarm looked at it.
    changed: bool,
    by_id: BTreeMap<PeerId, Arc<Link>>,
    /// A validator that changes its keys has two machines for a while: what is meant for it goes to both.
    by_peer: BTreeMap<Peer, Vec<Arc<Link>>>,
    full_count: u32,
    next_full: u64,
}

impl Table {
    /// Each validator has counters of its own, which stay when it leaves and comes back.
    fn count_validators(&mut self, own: PeerId) {
        for id in self.roster.validators.keys().filter(|id| **id != own) {
            self.counters.entry(*id).or_default();
        }
    }
}

/// Everyone, shared by the handle, the swarm task and the sessions.
pub(super) struct Peers {
    pub(super) own: PeerId,
    pub(super) hello: Hello,
    full_max: u32,
    table: Mutex<Table>,
    others: Arc<Counters>,
}

/// What follows from a roster for connections.
#[derive(Debug, Default)]
pub(super) struct Reseated {
    /// Validators, if they are others than before.
    pub(super) validators: Vec<PeerId>,
    /// Peers that are connected as something that they are not.
    pub(super) outdated: Vec<PeerId>,
}

impl Peers {
    pub(super) fn new(roster: Roster, network: NetworkId, full_max: u32) -> Self {
        let own = roster.own;
        let table = Table {
            counters: BTreeMap::new(),
            changed: true,
            by_id: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            full_count: 0,
            next_full: 0,
            roster,
        };
        let peers = Self {
            own,
            hello: Hello::new(network),
            full_max,
            table: Mutex::new(table),
            others: Arc::default(),
        };
        peers.lock().count_validators(own);
        peers
    }

    /// The core knows these validators now. A key that is no identity is nobody's: whoever staked with it
    /// cannot be reached.
    pub(super) fn list(&self, validators: &[KnownValidator]) {
        let known = validators.iter().filter_map(|KnownValidator { index, network_key, name }| {
            Some((peer_id(network_key)?, (*index, name.clone())))
        });
        let known: BTreeMap<_, _> = known.collect();
        let mut table = self.lock();
        if table.roster.validators != known {
            table.roster.validators = known;
            table.changed = true;
            table.count_validators(self.own);
        }
    }

    /// What has become of the roster since this was last asked.
    pub(super) fn reseated(&self) -> Reseated {
        let mut table = self.lock();
        if !std::mem::take(&mut table.changed) {
            return Reseated::default();
        }
        let is_outdated = |link: &&Arc<Link>| {
            let index = table.roster.validator(&link.id);
            index.map(Peer::Validator) != Some(link.peer)
                && (index.is_some() || link.is_validator())
        };
        let outdated = table.by_id.values().filter(is_outdated).map(|link| link.id).collect();
        Reseated { validators: table.roster.validators.keys().copied().collect(), outdated }
    }

    /// Opens a link to a peer that has just connected; none if there are too many that are no validators.
    pub(super) fn connect(&self, id: PeerId) -> Option<Arc<Link>> {
        let mut table = self.lock();
        let peer = match table.roster.validator(&id) {
            Some(index) => Peer::Validator(index),
            None if table.full_count >= self.full_max => return None,
            None => {
                table.full_count = table.full_count.saturating_add(1);
                table.next_full = table.next_full.saturating_add(1);
                Peer::Full(table.next_full)
            }
        };
        let counters = Arc::clone(table.counters.get(&id).unwrap_or(&self.others));
        let link = Arc::new(Link {
            id,
            peer,
            outbox: Outbox::default(),
            counters,
            up: CancellationToken::new(),
            gone: CancellationToken::new(),
            score: Mutex::new(Score::new(Instant::now())),
        });
        table.by_peer.entry(peer).or_default().push(Arc::clone(&link));
        table.by_id.insert(id, Arc::clone(&link));
        Some(link)
    }

    /// Closes the link to a peer whose last connection is gone.
    pub(super) fn disconnect(&self, id: &PeerId) {
        let mut table = self.lock();
        let Some(link) = table.by_id.remove(id) else { return };
        if let Some(links) = table.by_peer.get_mut(&link.peer) {
            links.retain(|other| other.id != link.id);
            if links.is_empty() {
                table.by_peer.remove(&link.peer);
            }
        }
        if !link.is_validator() {
            table.full_count = table.full_count.saturating_sub(1);
        }
        link.counters.dropped.fetch_add(link.outbox.dropped(), Ordering::Relaxed);
        link.gone.cancel();
    }

    pub(super) fn outboxes_of(&self, peer: Peer) -> Vec<OutboxOf> {
        self.lock().by_peer.get(&peer).into_iter().flatten().cloned().map(OutboxOf).collect()
    }

    pub(super) fn outboxes(&self) -> Vec<OutboxOf> {
        self.lock().by_peer.values().flatten().cloned().map(OutboxOf).collect()
    }

    /// Blames a peer for what the core found.
    pub(super) fn penalize(
        &self,
        peer: Peer,
        penalty: Penalty,
        commands: &mpsc::Sender<SwarmCommand>,
    ) {
        let Some(links) = self.lock().by_peer.get(&peer).cloned() else { return };
        let (points, reason) = match penalty {
            Penalty::Invalid(reason) => (INVALID_POINTS, reason),
            Penalty::Flood(reason) => (FLOOD_POINTS, reason),
        };
        tracing::warn!(?peer, reason, points, "a peer misbehaved");
        for link in links {
            if link.blame(points) && commands.try_send(SwarmCommand::Ban(link.id)).is_err() {
                tracing::warn!(
                    ?peer,
                    "the swarm is too busy to shun the peer; it will be next time"
                );
            }
        }
    }

    pub(super) fn traffic(&self) -> Vec<PeerTraffic> {
        let table = self.lock();
        let row = |peer_id, name, link: Option<&Arc<Link>>, counters: &Counters| PeerTraffic {
            peer_id,
            name,
            connected: link.is_some_and(|link| link.up.is_cancelled()),
            bytes_sent: counters.sent.load(Ordering::Relaxed),
            bytes_received: counters.received.load(Ordering::Relaxed),
            frames_dropped: counters
                .dropped
                .load(Ordering::Relaxed)
                .saturating_add(link.map_or(0, |link| link.outbox.dropped())),
        };
        let mut rows: Vec<_> = Vec::new();
        let mut validators: Vec<_> = table.roster.validators.iter().collect();
        validators.sort_by_key(|(_, (index, _))| *index);
        for (id, (_, name)) in validators {
            if let Some(counters) = table.counters.get(id) {
                rows.push(row(id.to_string(), name.clone(), table.by_id.get(id), counters));
            }
        }
        let other = table.by_id.values().find(|link| !link.is_validator());
        rows.push(row(String::new(), String::new(), other, &self.others));
        rows
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A holder that panicked left a whole table behind: each change is a few inserts or removes.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outbox of a link.
pub(super) struct OutboxOf(Arc<Link>);

impl std::ops::Deref for OutboxOf {
    type Target = Outbox;

    fn deref(&self) -> &Outbox {
        &self.0.outbox
    }
}
