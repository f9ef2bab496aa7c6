//! The transport over real loopback sockets: between honest nodes, and against peers that are not.

use std::collections::VecDeque;

use conclave_sequencer::Input;
use conclave_types::{
    BundleHeader, BundleNonce, EncryptedBundle, Gwei, Height, KeyId, PayerAddress, PayerSignature,
    ValidatorIndex,
};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    PeerId, Stream, Swarm, noise,
    swarm::{
        SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
    tcp, yamux,
};

use super::{frame::Hello, *};
use crate::driver::Channels;

/// Four validators with known network keys.
struct World {
    genesis: Arc<Genesis>,
    seeds: Vec<[u8; 32]>,
}

impl World {
    fn new() -> Self {
        let seeds: Vec<_> = (1..=4).map(|byte| [byte; 32]).collect();
        let directory = tempfile::tempdir().unwrap();
        let plan = crate::genesis::Plan {
            name: "test".to_owned(),
            validators: 4,
            rollups: Vec::new(),
            accounts: Vec::new(),
            l1: None,
            params: conclave_types::Params::default(),
            base_port: 0,
            web_origins: Vec::new(),
            time: conclave_types::Time::from_micros(1),
        };
        let made = crate::genesis::make(&plan, &directory.path().join("net")).unwrap();
        let mut genesis = crate::node::read_genesis(&made.genesis).unwrap();
        for (member, seed) in genesis.members.iter_mut().zip(&seeds) {
            let key = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key();
            member.network_key = conclave_types::ConsensusKey::new(key.to_bytes());
        }
        Self { genesis: Arc::new(genesis), seeds }
    }

    fn keypair(&self, index: usize) -> Keypair {
        Keypair::ed25519_from_bytes(self.seeds[index]).unwrap()
    }

    async fn node(&self, index: usize, peers: Vec<Multiaddr>) -> TestNode {
        self.node_with(index, peers, 2).await
    }

    async fn node_with(&self, index: usize, peers: Vec<Multiaddr>, full_max: u32) -> TestNode {
        let channels = Channels::new();
        let config = NetworkConfig {
            keypair: self.keypair(index),
            genesis: Arc::clone(&self.genesis),
            network: self.genesis.network_id(),
            listen: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
            addresses: AddressBook::new(peers, None),
            full_peers_max: full_max,
        };
        let network = Network::start(config, channels.inbox(), &Essentials::new().0).await.unwrap();
        TestNode { network, channels, seen: VecDeque::new() }
    }
}

struct TestNode {
    network: Network,
    channels: Channels,
    seen: VecDeque<Input>,
}

impl TestNode {
    async fn next(&mut self) -> Input {
        while self.seen.is_empty() {
            self.seen.extend(self.channels.take().await);
        }
        self.seen.pop_front().unwrap()
    }

    async fn expect_up(&mut self) -> Peer {
        let input = self.next().await;
        let Input::PeerUp(peer) = input else { panic!("expected PeerUp, found {input:?}") };
        peer
    }

    /// The next peer that goes down; messages before it are skipped.
    async fn expect_down(&mut self) -> Peer {
        let mut input = self.next().await;
        while let Input::Message { .. } = input {
            input = self.next().await;
        }
        let Input::PeerDown(peer) = input else { panic!("expected PeerDown, found {input:?}") };
        peer
    }

    async fn expect_message(&mut self) -> (Peer, Message) {
        let input = self.next().await;
        let Input::Message { from, message } = input else {
            panic!("expected a message, found {input:?}")
        };
        (from, message)
    }
}

const fn validator(index: u16) -> Peer {
    Peer::Validator(ValidatorIndex::new(index))
}

fn status(height: u64) -> Message {
    Message::Status { decided: Height::new(height), revealed: Height::ZERO }
}

fn bundles(body_bytes: usize) -> Message {
    let header = BundleHeader {
        network: NetworkId::ZERO,
        suite: 1,
        key_id: KeyId::ZERO,
        payer: PayerAddress::ZERO,
        nonce: BundleNonce::default(),
        max_fee: Gwei::ZERO,
        priority_fee: Gwei::ZERO,
        valid_until: Height::ZERO,
        body_bytes: 0,
    };
    Message::Bundles(vec![Arc::new(EncryptedBundle {
        header,
        capsule: Vec::new(),
        body: vec![7; body_bytes],
        signature: PayerSignature::new([0; 65]),
    })])
}

/// A libp2p host that says what it likes.
struct Hostile {
    swarm: Swarm<libp2p_stream::Behaviour>,
    target: PeerId,
    address: Multiaddr,
}

impl Hostile {
    fn new(keypair: Keypair, target: &TestNode) -> Self {
        let swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .build();
        let address = target.network.address().clone();
        Self { swarm, target: target.network.peers.own, address }
    }

    /// Connects and opens one stream; none if the node refuses.
    async fn open(&mut self, lane: Lane) -> Option<Stream> {
        while self.swarm.is_connected(&self.target) {
            self.swarm.select_next_some().await;
        }
        self.swarm.dial(self.address.clone()).unwrap();
        let mut control = self.swarm.behaviour().new_control();
        loop {
            let event = self.swarm.select_next_some().await;
            if let SwarmEvent::ConnectionEstablished { .. } = event {
                break;
            }
            if let SwarmEvent::OutgoingConnectionError { .. } = event {
                return None;
            }
        }
        let opened = control.open_stream(self.target, lane.protocol());
        tokio::pin!(opened);
        loop {
            tokio::select! {
                stream = &mut opened => return stream.ok(),
                event = self.swarm.select_next_some() => {
                    if let SwarmEvent::ConnectionClosed { .. } = event {
                        return None;
                    }
                }
            }
        }
    }

    /// Opens a stream, says `hello` and then `bytes`; returns once the node has hung up.
    async fn attack(&mut self, lane: Lane, hello: Hello, bytes: Vec<u8>) {
        let Some(mut stream) = self.open(lane).await else { panic!("the node refused at once") };
        let speech = async move {
            // The node may hang up at any byte.
            if hello.write(&mut stream).await.is_ok()
                && stream.write_all(&bytes).await.is_ok()
                && stream.flush().await.is_ok()
            {
                drop(stream.read_to_end(&mut Vec::new()).await);
            }
        };
        tokio::pin!(speech);
        let mut said = false;
        loop {
            tokio::select! {
                () = &mut speech, if !said => said = true,
                event = self.swarm.select_next_some() => {
                    if let SwarmEvent::ConnectionClosed { .. } = event {
                        return;
                    }
                }
            }
        }
    }

    /// Whether the node still talks to this peer: it opens its own streams to peers that it accepts.
    async fn is_shunned(&mut self) -> bool {
        match self.open(Lane::Urgent).await {
            None => true,
            Some(mut stream) => {
                let mut byte = [0];
                let read = stream.read(&mut byte);
                tokio::pin!(read);
                loop {
                    tokio::select! {
                        _ = &mut read => return true,
                        event = self.swarm.select_next_some() => {
                            if let SwarmEvent::ConnectionClosed { .. } = event {
                                return true;
                            }
                        }
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn messages_arrive_after_the_peer_is_up_and_in_order_on_each_lane() {
    let world = World::new();
    let mut one = world.node(0, Vec::new()).await;
    let mut two = world.node(1, vec![one.network.address().clone()]).await;
    assert_eq!(one.expect_up().await, validator(1));
    assert_eq!(two.expect_up().await, validator(0));
    for height in 0..100 {
        two.network.broadcast(&status(height));
    }
    for height in 0..100 {
        assert_eq!(one.expect_message().await, (validator(1), status(height)));
    }
    one.network.send(validator(1), &bundles(100_000));
    assert_eq!(two.expect_message().await, (validator(0), bundles(100_000)));
    one.network.send(validator(3), &status(1));
    let traffic = one.network.traffic();
    assert!(traffic.iter().any(|peer| peer.connected && peer.bytes_sent > 100_000));
}

#[tokio::test]
async fn a_peer_that_stops_goes_down_and_is_found_again() {
    let world = World::new();
    let mut one = world.node(0, Vec::new()).await;
    let address = one.network.address().clone();
    let two = world.node(1, vec![address.clone()]).await;
    assert_eq!(one.expect_up().await, validator(1));
    two.network.stop().await;
    assert_eq!(one.expect_down().await, validator(1));
    let _again = world.node(1, vec![address]).await;
    assert_eq!(one.expect_up().await, validator(1));
}

#[tokio::test]
async fn hostile_bytes_cost_a_validator_its_session_and_nobody_else() {
    let world = World::new();
    let good = Hello::new(world.genesis.network_id());
    let framed = |payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap();
        [&length.to_be_bytes(), payload].concat()
    };
    let announced = |length: u32| length.to_be_bytes().to_vec();
    let mut trailing = status(1).encode();
    trailing.push(0);
    let attacks = [
        ("a frame beyond the lane's limit", Lane::Urgent, good, announced((1 << 20) + 1)),
        ("the largest length there is", Lane::Bulk, good, announced(u32::MAX)),
        ("no hello", Lane::Urgent, Hello { version: 9, ..good }, Vec::new()),
        ("another network", Lane::Urgent, Hello::new(NetworkId::ZERO), Vec::new()),
    ];
    for (what, lane, hello, bytes) in attacks {
        let mut node = world.node(0, Vec::new()).await;
        let honest = world.node(1, vec![node.network.address().clone()]).await;
        assert_eq!(node.expect_up().await, validator(1));
        let mut hostile = Hostile::new(world.keypair(2), &node);
        hostile.attack(lane, hello, bytes).await;
        assert!(hostile.is_shunned().await, "{what}");
        honest.network.broadcast(&status(7));
        assert_eq!(node.expect_message().await, (validator(1), status(7)), "{what}");
    }
    for payload in [vec![0xff; 100], Vec::new(), trailing, bundles(10).encode()] {
        let mut node = world.node(0, Vec::new()).await;
        let honest = world.node(1, vec![node.network.address().clone()]).await;
        assert_eq!(node.expect_up().await, validator(1));
        let mut hostile = Talker::new(world.keypair(2), &node, good).await;
        assert_eq!(node.expect_up().await, validator(2));
        hostile.say(&framed(&payload)).await;
        assert_eq!(node.expect_down().await, validator(2), "{payload:02x?}");
        assert!(hostile.0.is_shunned().await, "{payload:02x?}");
        honest.network.broadcast(&status(7));
        assert_eq!(node.expect_message().await, (validator(1), status(7)));
    }
}

/// A hostile peer that completes the hello on both sides, so that its messages are read.
struct Talker(Hostile, Stream, #[expect(dead_code, reason = "kept open")] Vec<Stream>);

impl Talker {
    async fn new(keypair: Keypair, target: &TestNode, hello: Hello) -> Self {
        let mut hostile = Hostile::new(keypair, target);
        let mut control = hostile.swarm.behaviour().new_control();
        let mut urgent = control.accept(Lane::Urgent.protocol()).unwrap();
        let mut bulk = control.accept(Lane::Bulk.protocol()).unwrap();
        let mut stream = hostile.open(Lane::Urgent).await.unwrap();
        let greet = async move {
            hello.write(&mut stream).await.unwrap();
            let (_, mut urgent) = urgent.next().await.unwrap();
            let (_, bulk) = bulk.next().await.unwrap();
            hello.expect(&mut urgent).await.unwrap();
            (stream, vec![urgent, bulk])
        };
        tokio::pin!(greet);
        let (stream, streams) = loop {
            tokio::select! {
                streams = &mut greet => break streams,
                _ = hostile.swarm.select_next_some() => {}
            }
        };
        Self(hostile, stream, streams)
    }

    /// Says `bytes`; returns early if the node hangs up.
    async fn say(&mut self, bytes: &[u8]) {
        let Self(hostile, stream, _) = self;
        let speech = async {
            if stream.write_all(bytes).await.is_ok() {
                drop(stream.flush().await);
            }
        };
        tokio::pin!(speech);
        loop {
            tokio::select! {
                () = &mut speech => return,
                event = hostile.swarm.select_next_some() => {
                    if let SwarmEvent::ConnectionClosed { .. } = event {
                        return;
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_frame_cut_short_is_a_lost_connection_not_an_offence() {
    let world = World::new();
    let mut node = world.node(0, Vec::new()).await;
    let good = Hello::new(world.genesis.network_id());
    let mut talker = Talker::new(world.keypair(2), &node, good).await;
    assert_eq!(node.expect_up().await, validator(2));
    talker.say(&[0, 0, 1, 0, 1, 2, 3]).await;
    drop(talker);
    assert_eq!(node.expect_down().await, validator(2));
    let _back = Talker::new(world.keypair(2), &node, good).await;
    assert_eq!(node.expect_up().await, validator(2));
}

#[tokio::test]
async fn a_peer_that_begins_anew_beside_its_old_session_is_no_offender() {
    let world = World::new();
    let mut node = world.node(0, Vec::new()).await;
    let good = Hello::new(world.genesis.network_id());
    let _dead = Talker::new(world.keypair(2), &node, good).await;
    assert_eq!(node.expect_up().await, validator(2));
    let mut reborn = Hostile::new(world.keypair(2), &node);
    // The node may hang up on both before the stream is of any use here.
    drop(reborn.open(Lane::Urgent).await);
    assert_eq!(node.expect_down().await, validator(2), "both sessions end");
    let _back = Talker::new(world.keypair(2), &node, good).await;
    assert_eq!(node.expect_up().await, validator(2), "and a new one is welcome");
}

#[tokio::test]
async fn a_stranger_that_never_says_hello_loses_its_place() {
    let world = World::new();
    let mut node = world.node_with(0, Vec::new(), 1).await;
    let good = Hello::new(world.genesis.network_id());
    let mut mute = Hostile::new(Keypair::generate_ed25519(), &node);
    let mut control = mute.swarm.behaviour().new_control();
    let _accepted = Lane::ALL.map(|lane| control.accept(lane.protocol()).unwrap());
    let stream = mute.open(Lane::Urgent).await;
    assert!(stream.is_some());
    let mut connected = true;
    while connected {
        let event = mute.swarm.select_next_some().await;
        connected = !matches!(event, SwarmEvent::ConnectionClosed { .. });
    }
    let _next = Talker::new(Keypair::generate_ed25519(), &node, good).await;
    assert_eq!(node.expect_up().await, Peer::Full(2));
}

#[tokio::test]
async fn strangers_are_limited_in_number_and_validators_are_not() {
    let world = World::new();
    let mut node = world.node_with(0, Vec::new(), 1).await;
    let good = Hello::new(world.genesis.network_id());
    let _first = Talker::new(Keypair::generate_ed25519(), &node, good).await;
    assert_eq!(node.expect_up().await, Peer::Full(1));
    let mut second = Hostile::new(Keypair::generate_ed25519(), &node);
    assert!(second.is_shunned().await);
    let _validator = Talker::new(world.keypair(3), &node, good).await;
    assert_eq!(node.expect_up().await, validator(3));
}

#[tokio::test]
async fn a_validator_too_has_a_few_connections_and_no_more() {
    let world = World::new();
    let mut node = world.node(0, Vec::new()).await;
    let good = Hello::new(world.genesis.network_id());
    let mut talker = Talker::new(world.keypair(2), &node, good).await;
    assert_eq!(node.expect_up().await, validator(2));
    let swarm = &mut talker.0.swarm;
    // Four connections in all: the one of the session, three of these.
    for _ in 0..5 {
        let again = DialOpts::peer_id(talker.0.target)
            .addresses(vec![talker.0.address.clone()])
            .condition(PeerCondition::Always)
            .build();
        swarm.dial(again).unwrap();
    }
    let mut refused = 0;
    while refused < 2 {
        let event = swarm.select_next_some().await;
        refused += u32::from(matches!(event, SwarmEvent::ConnectionClosed { .. }));
    }
    let message = status(1).encode();
    let length = u32::try_from(message.len()).unwrap();
    talker.say(&[&length.to_be_bytes(), message.as_slice()].concat()).await;
    assert_eq!(node.expect_message().await, (validator(2), status(1)), "the session goes on");
}

#[tokio::test]
async fn a_stranger_that_floods_is_slowed_down_and_then_shunned() {
    let world = World::new();
    let mut node = world.node(0, Vec::new()).await;
    let good = Hello::new(world.genesis.network_id());
    let mut stranger = Talker::new(Keypair::generate_ed25519(), &node, good).await;
    assert_eq!(node.expect_up().await, Peer::Full(1));
    let message = status(1).encode();
    let length = u32::try_from(message.len()).unwrap();
    let flood = [&length.to_be_bytes(), message.as_slice()].concat().repeat(1_000);
    stranger.say(&flood).await;
    let mut heard = 0;
    let mut input = node.next().await;
    while let Input::Message { .. } = input {
        heard += 1;
        input = node.next().await;
    }
    assert!(matches!(input, Input::PeerDown(Peer::Full(1))), "{input:?}");
    assert!(heard < 300, "the burst and little more: {heard}");
    assert!(stranger.0.is_shunned().await);
}

#[tokio::test]
async fn a_peer_that_the_core_calls_invalid_is_shunned() {
    let world = World::new();
    let mut node = world.node(0, Vec::new()).await;
    let good = Hello::new(world.genesis.network_id());
    let mut talker = Talker::new(world.keypair(2), &node, good).await;
    assert_eq!(node.expect_up().await, validator(2));
    node.network.penalize(validator(2), Penalty::Flood("more than it may"));
    node.network.penalize(validator(2), Penalty::Invalid("a forged vote"));
    assert_eq!(node.expect_down().await, validator(2));
    assert!(talker.0.is_shunned().await);
}

#[tokio::test]
async fn frames_are_read_whole_or_not_at_all() {
    let mut wire = futures::io::Cursor::new(Vec::new());
    frame::write(&mut wire, b"first").await.unwrap();
    frame::write(&mut wire, b"").await.unwrap();
    let mut bytes = wire.into_inner();
    bytes.extend([0, 0, 0, 9, 1]);
    let mut wire = futures::io::Cursor::new(bytes);
    assert_eq!(frame::read(&mut wire, 5).await.unwrap(), b"first");
    assert_eq!(frame::read(&mut wire, 5).await.unwrap(), b"");
    let error = frame::read(&mut wire, 5).await.unwrap_err();
    assert!(matches!(error, frame::FrameError::TooLong { max: 5, found: 9 }));
    let mut wire = futures::io::Cursor::new([0, 0, 0, 9, 1]);
    let error = frame::read(&mut wire, 9).await.unwrap_err();
    assert!(matches!(error, frame::FrameError::Io(_)) && !error.is_fault());
}

#[tokio::test]
async fn whoever_becomes_a_validator_connects_anew_as_one() {
    let world = World::new();
    let known = |index: u16| KnownValidator {
        index: ValidatorIndex::new(index),
        network_key: world.genesis.members[usize::from(index)].network_key,
        name: format!("v{index}"),
    };
    let mut one = world.node(0, Vec::new()).await;
    one.network.list(&[known(0), known(2)]);
    let two = world.node(1, vec![one.network.address().clone()]).await;
    assert_eq!(one.expect_up().await, Peer::Full(1));
    one.network.list(&[known(0), known(1), known(2)]);
    assert_eq!(one.expect_down().await, Peer::Full(1));
    assert_eq!(one.expect_up().await, validator(1));
    two.network.broadcast(&status(7));
    assert_eq!(one.expect_message().await, (validator(1), status(7)));
    let names: Vec<_> = one.network.traffic().into_iter().map(|peer| peer.name).collect();
    assert_eq!(names, ["v1", "v2", ""]);
    one.network.list(&[known(0), known(2)]);
    assert_eq!(one.expect_down().await, validator(1));
    assert_eq!(one.expect_up().await, Peer::Full(2), "it has left, and follows");
}

#[tokio::test]
async fn both_machines_of_a_validator_get_what_is_meant_for_it() {
    let world = World::new();
    // Validator 1 changes its keys: the new ones are on the machine with the key of member 2.
    let known = |index: u16, key: usize| KnownValidator {
        index: ValidatorIndex::new(index),
        network_key: world.genesis.members[key].network_key,
        name: format!("v{index}"),
    };
    let mut one = world.node(0, Vec::new()).await;
    one.network.list(&[known(0, 0), known(1, 1), known(1, 2)]);
    let address = vec![one.network.address().clone()];
    let mut old = world.node(1, address.clone()).await;
    let mut new = world.node(2, address).await;
    for machine in [&mut old, &mut new] {
        assert_eq!(one.expect_up().await, validator(1));
        assert_eq!(machine.expect_up().await, validator(0));
    }
    one.network.send(validator(1), &status(7));
    one.network.broadcast(&status(8));
    for machine in [&mut old, &mut new] {
        assert_eq!(machine.expect_message().await, (validator(0), status(7)));
        assert_eq!(machine.expect_message().await, (validator(0), status(8)));
    }
    new.network.stop().await;
    assert_eq!(one.expect_down().await, validator(1));
    one.network.send(validator(1), &status(9));
    assert_eq!(old.expect_message().await, (validator(0), status(9)));
}
