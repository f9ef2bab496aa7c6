//! The task that owns the libp2p swarm: listens, dials, and starts and ends sessions.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Stream, Swarm, allow_block_list, connection_limits, identify, noise, ping,
    swarm::{
        ConnectionId, NetworkBehaviour, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
    tcp, yamux,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::{
    BAN, NetworkConfig, NetworkError,
    addresses::AddressBook,
    outbox::Lane,
    peers::{Peers, Reseated},
    session::{STREAMS_MAX, Session},
};
use crate::driver::Inbox;

/// How often the node looks for peers that it should be connected to.
const DIAL_TICK: Duration = Duration::from_millis(200);
/// The wait after a dial that failed; it doubles up to [`DIAL_WAIT_MAX`].
const DIAL_WAIT_MIN: Duration = Duration::from_millis(200);
/// A validator that comes back is found again within this.
const DIAL_WAIT_MAX: Duration = Duration::from_secs(2);
/// Of two peers that know each other, the one with the greater id dials this much later, so that one
/// connection forms instead of two.
const DIAL_DEFERENCE: Duration = Duration::from_millis(600);
/// Connections that have not finished their handshake.
const PENDING_MAX: u32 = 64;
/// Connections of one peer: two that cross, and two that have not noticed yet that they are dead.
const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// A connection without streams is closed after this: the spare one of two that crossed.
const IDLE: Duration = Duration::from_secs(10);
/// How often a connection is asked whether it lives, and how long it may take to answer: a link that went
/// dead without a word takes votes into a hole until TCP gives up, a quarter of an hour later.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_PATIENCE: Duration = Duration::from_secs(10);
/// Peers whose identity is remembered as shunned; the earliest is forgiven first.
const BANNED_MAX: usize = 1_024;

/// What the sessions and the handle ask of the swarm.
#[derive(Debug)]
pub(super) enum SwarmCommand {
    /// Close a peer's connections; it may come back.
    Disconnect(PeerId),
    /// Close a peer's connections and refuse it for a while.
    Ban(PeerId),
    /// Close everything.
    Stop,
}

/// Why the transport cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum SwarmError {
    #[error("the stream protocols are taken")]
    Protocols,
    #[error("the listener closed, so nobody can connect any more")]
    Listener(#[source] Option<std::io::Error>),
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    strangers: connection_limits::Behaviour,
    each_peer: connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    stream: libp2p_stream::Behaviour,
}

/// Listens; returns the task, to be run, and the address that it really listens on.
pub(super) async fn start(
    config: NetworkConfig,
    peers: Arc<Peers>,
    commands: mpsc::Sender<SwarmCommand>,
    inbox: Inbox,
) -> Result<(SwarmTask, Multiaddr), NetworkError> {
    let mut swarm = build(&config)?;
    let wanted = config.listen;
    swarm.listen_on(wanted.clone()).map_err(|source| NetworkError::Listen {
        address: wanted.clone(),
        source: Box::new(source),
    })?;
    let own = *swarm.local_peer_id();
    let address = loop {
        let event = swarm.select_next_some().await;
        if let SwarmEvent::NewListenAddr { address, .. } = event {
            break address.with_p2p(own);
        }
        if let SwarmEvent::ListenerClosed { .. } = event {
            return Err(NetworkError::Closed { address: wanted });
        }
    };
    let task = SwarmTask {
        swarm,
        peers,
        addresses: config.addresses,
        dials: BTreeMap::new(),
        banned: BTreeMap::new(),
        inbound: BTreeMap::new(),
        sessions: JoinSet::new(),
        commands,
        inbox,
    };
    // Only an address that names another peer is refused, and this one names none or us.
    Ok((task, address.unwrap_or(wanted)))
}

fn build(config: &NetworkConfig) -> Result<Swarm<Behaviour>, NetworkError> {
    let transport =
        |error: Box<dyn std::error::Error + Send + Sync>| NetworkError::Transport(error);
    let members = u32::try_from(config.genesis.members.len()).unwrap_or(u32::MAX);
    let peers_max = members.saturating_add(config.full_peers_max);
    let everyone = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_MAX))
        .with_max_established(Some(peers_max.saturating_mul(CONNECTIONS_PER_PEER_MAX)));
    // Strangers cannot use up the connections that validators need: those are let past as they are known.
    let strangers = connection_limits::Behaviour::new(everyone);
    // Nobody is above this one: a validator may be as broken or as hostile as anyone.
    let each = connection_limits::ConnectionLimits::default()
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX));
    let public = config.keypair.public();
    let identify = identify::Config::new("/conclave/1".to_owned(), public)
        .with_agent_version(concat!("conclave/", env!("CARGO_PKG_VERSION")).to_owned());
    let behaviour = Behaviour {
        blocked: allow_block_list::Behaviour::default(),
        strangers,
        each_peer: connection_limits::Behaviour::new(each),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(PING_EVERY).with_timeout(PING_PATIENCE),
        ),
        stream: libp2p_stream::Behaviour::new(),
    };
    let swarm = libp2p::SwarmBuilder::with_existing_identity(config.keypair.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|error| transport(Box::new(error)))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| transport(Box::new(error)))?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(IDLE))
        .build();
    Ok(swarm)
}

/// When to dial a peer again.
#[derive(Clone, Copy)]
struct Dial {
    at: Instant,
    wait: Duration,
}

/// The task, before it runs.
pub(super) struct SwarmTask {
    swarm: Swarm<Behaviour>,
    peers: Arc<Peers>,
    addresses: AddressBook,
    dials: BTreeMap<PeerId, Dial>,
    banned: BTreeMap<PeerId, Instant>,
    /// Hands each session the streams that its peer opens.
    inbound: BTreeMap<PeerId, mpsc::Sender<(Lane, Stream)>>,
    /// Running sessions: whose each is, and at its end whether it panicked.
    sessions: JoinSet<(PeerId, bool)>,
    commands: mpsc::Sender<SwarmCommand>,
    inbox: Inbox,
}

impl SwarmTask {
    /// Runs until it is told to stop.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<SwarmCommand>,
    ) -> Result<(), SwarmError> {
        let mut control = self.swarm.behaviour().stream.new_control();
        let lanes = Lane::ALL.map(|lane| control.accept(lane.protocol()));
        let [Ok(mut urgent), Ok(mut bulk)] = lanes else { return Err(SwarmError::Protocols) };
        self.reseat();
        let mut tick = tokio::time::interval(DIAL_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(SwarmCommand::Disconnect(peer)) => self.disconnect(peer),
                    Some(SwarmCommand::Ban(peer)) => self.ban(peer),
                    Some(SwarmCommand::Stop) | None => break,
                },
                event = self.swarm.select_next_some() => self.on_event(event)?,
                Some(ended) = self.sessions.join_next() => self.on_session_end(ended),
                Some((peer, stream)) = urgent.next() => self.on_stream(peer, Lane::Urgent, stream),
                Some((peer, stream)) = bulk.next() => self.on_stream(peer, Lane::Bulk, stream),
                _ = tick.tick() => {
                    self.reseat();
                    self.forgive();
                    self.dial_missing();
                }
            }
        }
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            self.peers.disconnect(&peer);
        }
        Ok(())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "libp2p tells much that concerns nobody here"
    )]
    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) -> Result<(), SwarmError> {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, num_established, .. } => {
                self.dials.remove(&peer_id);
                if num_established.get() == 1 {
                    self.start_session(peer_id);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.inbound.remove(&peer_id);
                self.peers.disconnect(&peer_id);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                peer,
                connection,
                result: Err(error),
            })) => self.on_ping_failure(peer, connection, &error),
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                tracing::debug!(%peer, %error, "cannot reach a peer");
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "the p2p listener failed");
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                return Err(SwarmError::Listener(reason.err()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Follows the roster: validators are let past the limits, and whoever has become one, or is none any
    /// more, is to connect anew.
    fn reseat(&mut self) {
        let Reseated { validators, outdated } = self.peers.reseated();
        for validator in validators {
            self.swarm.behaviour_mut().strangers.bypass_peer_id(&validator);
        }
        for peer in outdated {
            tracing::info!(%peer, "the peer has another place in the network now; it connects anew");
            self.disconnect(peer);
        }
    }

    fn start_session(&mut self, peer: PeerId) {
        let Some(link) = self.peers.connect(peer) else {
            tracing::debug!(%peer, "refused a peer: too many that are no validators");
            self.disconnect(peer);
            return;
        };
        let (streams, incoming) = mpsc::channel(STREAMS_MAX);
        self.inbound.insert(peer, streams);
        let session = Session {
            link,
            peers: Arc::clone(&self.peers),
            control: self.swarm.behaviour().stream.new_control(),
            inbox: self.inbox.clone(),
            commands: self.commands.clone(),
        };
        self.sessions.spawn(async move {
            let panicked = tokio::spawn(session.run(incoming)).await.is_err();
            (peer, panicked)
        });
    }

    /// A session that panicked would leave its peer connected and unheard: both sides begin anew.
    fn on_session_end(&mut self, ended: Result<(PeerId, bool), tokio::task::JoinError>) {
        if let Ok((peer, true)) = ended {
            tracing::error!(%peer, "a session panicked");
            self.disconnect(peer);
        }
    }

    fn on_stream(&mut self, peer: PeerId, lane: Lane, stream: Stream) {
        let Some(session) = self.inbound.get(&peer) else { return };
        if session.try_send((lane, stream)).is_err() {
            tracing::debug!(%peer, "dropped a stream of a peer that opens too many");
        }
    }

    /// Closes a connection that is dead. One that merely does not speak ping proves nothing.
    fn on_ping_failure(&mut self, peer: PeerId, connection: ConnectionId, error: &ping::Failure) {
        if matches!(error, ping::Failure::Unsupported) {
            return;
        }
        tracing::info!(%peer, %error, "a connection is dead");
        if !self.swarm.close_connection(connection) {
            tracing::trace!(%peer, "the connection was gone already");
        }
    }

    fn disconnect(&mut self, peer: PeerId) {
        if self.swarm.disconnect_peer_id(peer).is_err() {
            tracing::trace!(%peer, "the peer was gone already");
        }
    }

    fn ban(&mut self, peer: PeerId) {
        if self.banned.len() >= BANNED_MAX {
            let earliest = self.banned.iter().min_by_key(|(_, until)| **until);
            if let Some(peer) = earliest.map(|(peer, _)| *peer) {
                self.banned.remove(&peer);
                self.swarm.behaviour_mut().blocked.unblock_peer(peer);
            }
        }
        self.banned.insert(peer, Instant::now() + BAN);
        self.swarm.behaviour_mut().blocked.block_peer(peer);
        self.disconnect(peer);
    }

    fn forgive(&mut self) {
        let now = Instant::now();
        let blocked = &mut self.swarm.behaviour_mut().blocked;
        self.banned.retain(|peer, until| {
            let keep = *until > now;
            if !keep {
                blocked.unblock_peer(*peer);
            }
            keep
        });
    }

    fn dial_missing(&mut self) {
        let now = Instant::now();
        let own = self.peers.own;
        for (peer, addresses) in self.addresses.read() {
            if peer == own || self.swarm.is_connected(&peer) || self.banned.contains_key(&peer) {
                continue;
            }
            let deference = if own > peer { DIAL_DEFERENCE } else { Duration::ZERO };
            let dial =
                self.dials.entry(peer).or_insert(Dial { at: now + deference, wait: DIAL_WAIT_MIN });
            if dial.at > now {
                continue;
            }
            dial.at = now + dial.wait;
            dial.wait = dial.wait.saturating_mul(2).min(DIAL_WAIT_MAX);
            let options = DialOpts::peer_id(peer)
                .addresses(addresses)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build();
            if let Err(error) = self.swarm.dial(options) {
                tracing::trace!(%peer, %error, "not dialling");
            }
        }
    }
}
