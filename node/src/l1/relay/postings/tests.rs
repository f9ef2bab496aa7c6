//! What endpoints show of postings, and what of it comes to the core.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::{SolCall as _, SolEvent as _},
};
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use conclave_contracts::{
    ConclaveInbox::{Settled, commitCall},
    posting,
};
use conclave_sequencer::{Input, Store as _, Table, Write};
use conclave_types::{
    BlockCommitment, BlockId, Committee, ConsensusKey, Digest, Genesis, L1Origin, Member, Params,
    RollupId, SettlementCertificate, SettlementSecret, Time, ValidatorIndex, add_signatures,
};
use serde_json::{Value, json};

use super::{
    reader::Trouble,
    shown::{Event, REFUSALS_MAX},
    *,
};
use crate::{
    config::L1Config,
    driver::Channels,
    genesis::{Plan, make, nothing_signed},
    l1::{
        Patience,
        relay::{
            reporting::{Court, Kept, Reporting},
            standing::Watch,
        },
    },
    metrics::Metrics,
    store::{RocksStore, SignerState},
};

const CHAIN_ID: u64 = 31_337;
/// This node has revealed so much.
const REVEALED: u64 = 9;
/// The newest L1 block.
const NEWEST: u64 = 500;
/// Nobody reports before that.
const TAKEOVER: Duration = Duration::from_secs(3_600);

fn word(of: u64) -> B256 {
    B256::from(U256::from(of))
}

fn log(event: &Event) -> Value {
    let settled = Settled {
        epoch: event.epoch.as_u64(),
        height: event.height.as_u64(),
        commitment: event.commitment,
        root: word(2),
        origin: 3,
        cursor: 0,
        relayer: Address::ZERO,
    };
    let told = settled.encode_log_data();
    json!({
        "address": Address::ZERO, "topics": told.topics(), "data": told.data,
        "blockHash": word(9), "blockNumber": format!("{:#x}", event.l1_block),
        "transactionHash": event.transaction, "transactionIndex": "0x0", "logIndex": "0x0",
        "removed": false,
    })
}

fn committee() -> Committee {
    let member = |index: u8| Member {
        name: String::new(),
        consensus_key: ConsensusKey::new(
            ed25519_dalek::SigningKey::from_bytes(&[index + 1; 32]).verifying_key().to_bytes(),
        ),
        network_key: ConsensusKey::new([index; 32]),
        settlement_key: SettlementSecret::from_seed(&[index + 1; 32]).key(),
        validator: u32::from(index) + 1,
        power: 1,
    };
    Committee::new((0..4).map(member).collect()).unwrap()
}

/// What a side has at a height.
fn commitment(height: u64, side: u8) -> BlockCommitment {
    let digest = |byte| Digest::new([byte; 32]);
    BlockCommitment {
        epoch: Epoch::new(1),
        height: Height::new(height),
        block: BlockId::new([side; 32]),
        history_root: digest(2),
        reveal_root: digest(3),
        rollup_count: 4,
        l1_origin: L1Origin { number: 5, hash: digest(6) },
        forced_cursor: 9,
        withdrawals_root: digest(10),
        epoch_end: None,
    }
}

/// Signed by three of four, or one that the fourth has made up.
fn certificate(
    commitment: BlockCommitment,
    domain: &SigningDomain,
    is_genuine: bool,
) -> SettlementCertificate {
    let digest = domain.commitment(&commitment);
    let signed = |seed: u8| SettlementSecret::from_seed(&[seed; 32]).sign(&digest);
    let seeds = if is_genuine { [1, 2, 3] } else { [4, 4, 4] };
    let signature = add_signatures(&seeds.map(signed)).unwrap();
    SettlementCertificate {
        commitment,
        signers: [0, 1, 2].map(ValidatorIndex::new).into(),
        signature,
    }
}

/// How an endpoint takes a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// It says no.
    Refuses,
    /// It is there, and out of order.
    Fails,
    /// It never answers.
    Silent,
    /// It does not know.
    Ignorant,
}

/// What an endpoint shows: events, with the data of their transactions.
#[derive(Default)]
struct Script {
    events: Vec<(Event, Vec<u8>)>,
    newest: u64,
    /// Blocks that it serves at once.
    page: u64,
    moods: BTreeMap<&'static str, Mood>,
    /// What it was asked: for blocks from one on, for transactions.
    blocks: Vec<u64>,
    transactions: Vec<B256>,
}

#[derive(Clone, Default)]
struct Shows(Arc<Mutex<Script>>);

const HEAD: &str = "eth_blockNumber";
const LOGS: &str = "eth_getLogs";
const TRANSACTION: &str = "eth_getTransactionByHash";

impl Shows {
    fn new() -> Self {
        let shows = Self::default();
        shows.change(|script| (script.newest, script.page) = (NEWEST, u64::MAX));
        shows
    }

    fn change<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn is(&self, method: &'static str, mood: Mood) {
        self.change(|script| script.moods.insert(method, mood));
    }

    fn is_well(&self) {
        self.change(|script| script.moods.clear());
    }

    /// It shows a posting in a block.
    fn posted(&self, posted: &SettlementCertificate, domain: &SigningDomain, block: u64) -> B256 {
        let commitment = B256::from(*domain.commitment(&posted.commitment).as_bytes());
        let posting = posting::posting(posted, (&[], &[]), &committee()).unwrap();
        let event = Event {
            l1_block: block,
            epoch: posted.commitment.epoch,
            height: posted.commitment.height,
            commitment,
            transaction: word(block),
        };
        self.change(|script| script.events.push((event, commitCall { posting }.abi_encode())));
        event.transaction
    }

    fn asked(&self) -> Vec<B256> {
        self.change(|script| script.transactions.clone())
    }

    async fn serve(self) -> String {
        let handle = async |State(shows): State<Self>, Json(request): Json<Value>| {
            let (mood, answer) = shows.change(|script| {
                let mood = script.moods.get(request["method"].as_str().unwrap()).copied();
                (mood, script.answer(&request))
            });
            let answer = match (mood, answer) {
                (None, Some(answer)) => json!({"result": answer}),
                (Some(Mood::Ignorant), _) => json!({"result": Value::Null}),
                (Some(Mood::Refuses), _) | (None, None) => {
                    json!({"error": {"code": -32_005, "message": "too much"}})
                }
                (Some(Mood::Fails), _) => return Err(StatusCode::BAD_GATEWAY),
                (Some(Mood::Silent), _) => std::future::pending().await,
            };
            let mut whole = json!({"jsonrpc": "2.0", "id": request["id"]});
            whole.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
            Ok(Json(whole))
        };
        let router = Router::new().route("/", post(handle)).with_state(self);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

impl Script {
    fn answer(&mut self, request: &Value) -> Option<Value> {
        let number = |value: &Value| serde_json::from_value::<U256>(value.clone()).unwrap().to();
        Some(match request["method"].as_str().unwrap() {
            "eth_chainId" => json!(format!("{CHAIN_ID:#x}")),
            HEAD => json!(format!("{:#x}", self.newest)),
            LOGS => {
                let blocks = &request["params"][0];
                let (from, to): (u64, u64) =
                    (number(&blocks["fromBlock"]), number(&blocks["toBlock"]));
                self.blocks.push(from);
                if to - from >= self.page {
                    return None;
                }
                let asked =
                    self.events.iter().filter(|(event, _)| (from..=to).contains(&event.l1_block));
                asked.map(|(event, _)| log(event)).collect()
            }
            TRANSACTION => {
                let hash: B256 = serde_json::from_value(request["params"][0].clone()).unwrap();
                self.transactions.push(hash);
                let found = self.events.iter().find(|(event, _)| event.transaction == hash);
                // Of a type that nobody knows yet.
                found.map_or(Value::Null, |(_, data)| {
                    json!({"hash": hash, "type": "0x7f", "input": Bytes::copy_from_slice(data)})
                })
            }
            // It is asked for more than that, and knows nothing of it.
            _ => return None,
        })
    }
}

/// A node that has revealed one side up to [`REVEALED`], who settles for it, and what comes to its core.
struct Node {
    settler: Settler,
    session: Session,
    readers: Vec<Reader>,
    channels: Channels,
    store: RocksStore,
}

fn genesis(directory: &std::path::Path) -> Genesis {
    let plan = Plan {
        name: "test".to_owned(),
        validators: 4,
        rollups: vec![RollupId::new(901)],
        accounts: Vec::new(),
        l1: None,
        params: Params::default(),
        base_port: 0,
        web_origins: Vec::new(),
        time: Time::from_micros(1),
    };
    let made = make(&plan, &directory.join("net")).unwrap();
    serde_json::from_slice(&std::fs::read(&made.genesis).unwrap()).unwrap()
}

fn put(table: Table, key: u64, value: Vec<u8>) -> Write {
    Write::Put { table, key: key.to_be_bytes().into(), value }
}

fn seats() -> Vec<u8> {
    let seats: Vec<_> = committee().iter().map(|(index, member)| (index, member.clone())).collect();
    borsh::to_vec(&seats).unwrap()
}

fn store(directory: &std::path::Path, genesis: &Genesis) -> RocksStore {
    let (network, signer) = (genesis.network_id(), directory.join("signer.state"));
    SignerState::create(&signer, &network, &nothing_signed()).unwrap();
    let signer = SignerState::open(&signer, &network).unwrap();
    let mut store = RocksStore::open(&directory.join("db"), signer, &network).unwrap();
    let own = |height| borsh::to_vec(&commitment(height, 1)).unwrap();
    let mut writes: Vec<_> =
        (1..=REVEALED).map(|height| put(Table::Commitments, height, own(height))).collect();
    writes.push(put(Table::Committees, 1, seats()));
    store.commit(&writes).unwrap();
    store
}

/// Of which epochs the end is known.
type IsKnown = dyn Fn(u64) -> bool;

/// What a chain commits to whose epochs end at so many L1 blocks each, one height an epoch.
fn ends(epochs: u64, l1_blocks: u64, is_known: impl Fn(u64) -> bool) -> Vec<Write> {
    let mut writes = Vec::new();
    for epoch in 0..=epochs {
        let (height, number) = (epoch + 1, (epoch + 1) * l1_blocks);
        let own = commitment(height, 1);
        let l1_origin = L1Origin { number, ..own.l1_origin };
        let own = BlockCommitment { epoch: Epoch::new(epoch), l1_origin, ..own };
        writes.push(put(Table::Commitments, height, borsh::to_vec(&own).unwrap()));
        if epoch < epochs && is_known(epoch) {
            let end = borsh::to_vec(&Height::new(height)).unwrap();
            writes.push(put(Table::EpochEnds, epoch, end));
        }
    }
    writes
}

#[tokio::test]
async fn what_was_posted_of_any_epoch_that_may_still_be_judged_is_read_by_who_starts() {
    const DAY: u64 = 7_200;
    let table: [(u64, u64, &IsKnown, u64); 6] = [
        // The end of epoch 39 has seen block 40 days, and the newest height block 61 days.
        (60, DAY, &|_| true, 39),
        (6_000, DAY / 100, &|_| true, 3_900),
        (10, DAY, &|_| true, 0),
        (0, DAY, &|_| true, 0),
        // Of long epochs that which has just ended.
        (3, 30 * DAY, &|_| true, 2),
        // Whose end is not known may be judged.
        (60, DAY, &|epoch| epoch != 29, 29),
    ];
    for (epochs, l1_blocks, is_known, oldest) in table {
        let scene = Scene::new();
        let mut store = store(scene.directory.path(), &scene.genesis);
        store.commit(&ends(epochs, l1_blocks, is_known)).unwrap();
        let found = oldest_answerable(&store, Height::new(epochs + 1)).unwrap();
        assert!(found == Epoch::new(oldest), "{epochs} of {l1_blocks}: {found} for {oldest}");
    }
}

/// What a test is about: a directory, and what is signed there.
struct Scene {
    directory: tempfile::TempDir,
    genesis: Genesis,
    domain: SigningDomain,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let genesis = genesis(directory.path());
        let domain = SigningDomain::of(&genesis);
        Self { directory, genesis, domain }
    }

    fn posted(&self, height: u64, side: u8) -> SettlementCertificate {
        certificate(commitment(height, side), &self.domain, true)
    }

    async fn node(&self, scripts: &[Shows]) -> Node {
        Node::new(self.directory.path(), self.genesis.clone(), scripts).await
    }
}

impl Node {
    async fn new(directory: &std::path::Path, genesis: Genesis, scripts: &[Shows]) -> Self {
        let mut urls = Vec::new();
        for script in scripts {
            urls.push(script.clone().serve().await);
        }
        let patience = Patience { request: Duration::from_millis(500), ..Patience::default() };
        let endpoints = Endpoints::connect(&urls, Some(CHAIN_ID), patience).await.unwrap();
        let channels = Channels::new();
        let config = L1Config { endpoints: urls, poll_ms: 100, relay: None };
        let driver = channels.handle(Height::new(REVEALED));
        let store = store(directory, &genesis);
        let reader = Arc::new(store.reader());
        let (genesis, metrics) = (Arc::new(genesis), Arc::new(Metrics::new()));
        let spent = directory.join("spent");
        let made = Settler::new(config, genesis, None, (driver, reader), metrics, spent);
        let settler = made.unwrap().0;
        let zero = Address::ZERO;
        let contracts = Contracts {
            stake: zero,
            election: zero,
            inbox: zero,
            forced: zero,
            vault: zero,
            registry: zero,
            slasher: zero,
            since: 0,
        };
        let made = settler.readers(&endpoints, &contracts).await.unwrap();
        let (postings, mut readers) = Postings::new(made);
        readers.iter_mut().for_each(|reader| reader.look_every = Duration::ZERO);
        let reporting = Reporting::new(TAKEOVER, None, Instant::now());
        let session = Session {
            watch: Watch::new(endpoints.clone(), &contracts),
            postings,
            reporting: Some((reporting, Court::new(endpoints.clone(), zero))),
            endpoints,
            contracts,
            relay: None,
            offering: None,
            bench: None,
            office: None,
            flight: None,
        };
        Self { settler, session, readers, channels, store }
    }

    /// A step of each endpoint, one after the other; whatever becomes of it.
    async fn read(&mut self) -> Vec<Result<bool, Trouble>> {
        let mut steps = Vec::new();
        for reader in &mut self.readers {
            reader.shown.skip_waiting(Instant::now());
            steps.push(reader.step().await);
        }
        steps
    }

    /// What the core is told of.
    async fn told(&mut self) -> Vec<SettlementCertificate> {
        self.settler.show_postings(&mut self.session).await;
        // Behind what was shown, so that there is something to take.
        self.channels.inbox().peer_up(conclave_sequencer::Peer::Full(1)).await;
        let told = self.channels.take().await.into_iter().filter_map(|input| {
            let Input::Posted(posted) = input else {
                assert!(matches!(input, Input::PeerUp(_)), "{input:?}");
                return None;
            };
            let height = posted.certificate.commitment.height.as_u64();
            assert_eq!(posted.ours, commitment(height, 1));
            assert_eq!(posted.committee.len(), 4);
            Some(posted.certificate)
        });
        told.collect()
    }

    /// What the core is told of in so many steps.
    async fn steps(&mut self, count: usize) -> Vec<SettlementCertificate> {
        let mut told = Vec::new();
        for _ in 0..count {
            self.read().await;
            told.extend(self.told().await);
        }
        told
    }
}

#[tokio::test]
async fn what_one_endpoint_shows_of_another_side_comes_to_the_core_once() {
    let (scene, [honest, liar, nobody]) = (Scene::new(), [(); 3].map(|()| Shows::new()));
    honest.posted(&scene.posted(4, 1), &scene.domain, 40);
    let other = honest.posted(&scene.posted(6, 2), &scene.domain, 60);
    honest.posted(&scene.posted(REVEALED + 1, 2), &scene.domain, 90);
    // It invents postings of the lowest heights.
    for of in 0..100 {
        let invented = certificate(commitment(1 + of % 4, 7), &scene.domain, false);
        liar.posted(&invented, &scene.domain, 100 + of);
    }
    let mut node = scene.node(&[liar.clone(), honest.clone(), nobody]).await;
    assert_eq!(node.steps(3).await, [scene.posted(6, 2)]);
    assert_eq!(honest.asked(), [other], "neither of our own nor of what is not revealed");
    assert_eq!(liar.asked().len(), 2, "it is heard out, one at a time");
    assert_eq!(node.steps(3).await, []);
    assert_eq!((honest.asked().len(), liar.asked().len()), (1, 5));
}

#[tokio::test]
async fn what_several_endpoints_show_is_told_once() {
    let (scene, [one, again]) = (Scene::new(), [(); 2].map(|()| Shows::new()));
    let posted = scene.posted(6, 2);
    one.posted(&posted, &scene.domain, 60);
    for block in 60..66 {
        again.posted(&posted, &scene.domain, block);
    }
    let mut node = scene.node(&[one, again.clone()]).await;
    assert_eq!(node.steps(9).await, [posted]);
    assert_eq!(again.asked().len(), 6);
}

#[tokio::test]
async fn who_reports_expects_evidence_of_what_is_posted() {
    let (scene, shows) = (Scene::new(), Shows::new());
    shows.posted(&scene.posted(6, 2), &scene.domain, 60);
    let mut node = scene.node(&[shows]).await;
    let start = Instant::now();
    let stale = |node: &mut Node, count| {
        let (reporting, _) = node.session.reporting.as_mut().unwrap();
        reporting.stale(start + TAKEOVER, count).map(Height::as_u64)
    };
    let read = Kept { count: 0, decided: Height::new(5_000), is_early: false };
    let (reporting, _) = node.session.reporting.as_mut().unwrap();
    reporting.take(start, Vec::new(), read);
    assert_eq!(node.steps(3).await.len(), 1);
    assert_eq!(stale(&mut node, 1), Some(6), "not only of what is late");
}

/// Which heights one of two endpoints is heard to tell of, the other one taking a question like that, or naming that block.
async fn heard_beside(sulk: Option<(&'static str, Mood)>, newest: u64) -> Vec<u64> {
    let (scene, [honest, other]) = (Scene::new(), [(); 2].map(|()| Shows::new()));
    honest.change(|script| script.page = 10);
    for height in 5..8 {
        honest.posted(&scene.posted(height, 2), &scene.domain, 10 * height);
        other.posted(&scene.posted(height, 3), &scene.domain, 10 * height);
    }
    if let Some((method, mood)) = sulk {
        other.is(method, mood);
    }
    other.change(|script| script.newest = newest);
    let mut node = scene.node(&[honest, other]).await;
    let [honest, other] = &mut node.readers[..] else { panic!("two") };
    let is_silent = sulk.is_some_and(|(_, mood)| mood == Mood::Silent);
    if is_silent {
        other.patience = Duration::from_millis(100);
    }
    // The other one comes first, and is asked as often, unless it never answers.
    for reader in [other, honest] {
        for _ in 0..40 {
            if matches!(reader.step().await, Err(Trouble::Late(_))) {
                assert!(is_silent, "of 127.0.0.1");
                break;
            }
        }
    }
    let is_late = node.session.endpoints.each().any(|endpoint| endpoint.is_late());
    assert!(!is_late, "nobody is late elsewhere for being slow here");
    let told = node.told().await.into_iter().map(|told| told.commitment);
    let honest = told.filter(|told| told.block == BlockId::new([2; 32]));
    honest.map(|told| told.height.as_u64()).collect()
}

#[tokio::test]
async fn nothing_that_one_endpoint_says_or_keeps_back_changes_what_another_is_heard_to_say() {
    for method in [HEAD, LOGS, TRANSACTION] {
        for mood in [Mood::Refuses, Mood::Fails, Mood::Silent, Mood::Ignorant] {
            let heard = heard_beside(Some((method, mood)), NEWEST).await;
            assert_eq!(heard, [5, 6, 7], "{method} {mood:?}");
        }
    }
    for newest in [0, 30, NEWEST, u64::MAX] {
        assert_eq!(heard_beside(None, newest).await, [5, 6, 7], "{newest}");
    }
}

#[tokio::test]
async fn one_endpoint_is_read_while_another_never_answers() {
    let (scene, [honest, other]) = (Scene::new(), [(); 2].map(|()| Shows::new()));
    honest.posted(&scene.posted(6, 2), &scene.domain, 60);
    let mut node = scene.node(&[other.clone(), honest]).await;
    [HEAD, LOGS, TRANSACTION].into_iter().for_each(|method| other.is(method, Mood::Silent));
    let readers = std::mem::take(&mut node.readers);
    node.session.postings =
        std::mem::replace(&mut node.session.postings, Postings::new([]).0).start(readers);
    let (_, found) = node.session.postings.found[1].recv().await.unwrap();
    assert_eq!(found.certificate, scene.posted(6, 2));
}

#[tokio::test]
async fn what_one_endpoint_shows_comes_to_the_core_where_most_say_nothing() {
    let (scene, [honest, other]) = (Scene::new(), [(); 2].map(|()| Shows::new()));
    honest.posted(&scene.posted(6, 2), &scene.domain, 60);
    let mut node = scene.node(&[honest, other]).await;
    node.read().await;
    node.read().await;
    let Node { mut settler, session, mut channels, .. } = node;
    let step = Box::pin(settler.step(&mut Some(session))).await;
    assert!(matches!(step, Err(RelayError::TooFew(_))), "{step:?}");
    channels.inbox().peer_up(conclave_sequencer::Peer::Full(1)).await;
    let told = channels.take().await;
    assert!(matches!(told[..], [Input::Posted(_), Input::PeerUp(_)]), "{told:?}");
}

#[tokio::test]
async fn an_endpoint_that_was_away_goes_on_where_it_was() {
    let (scene, shows) = (Scene::new(), Shows::new());
    shows.posted(&scene.posted(6, 2), &scene.domain, 60);
    let mut node = scene.node(std::slice::from_ref(&shows)).await;
    node.readers[0].shown = Shown::new(50);
    for mood in [Mood::Refuses, Mood::Fails, Mood::Ignorant] {
        shows.is(LOGS, mood);
        assert_eq!(node.steps(5).await, [], "{mood:?}");
    }
    // Meanwhile the chain has come a long way.
    let later = BlockCommitment { epoch: Epoch::new(70), ..commitment(REVEALED, 1) };
    let later = put(Table::Commitments, REVEALED, borsh::to_vec(&later).unwrap());
    node.store.commit(&[later]).unwrap();
    shows.is_well();
    assert_eq!(node.steps(30).await, [scene.posted(6, 2)]);
    let lowest = shows.change(|script| script.blocks.iter().min().copied());
    assert_eq!(lowest, Some(50), "and nothing before");
}

#[tokio::test]
async fn a_transaction_that_cannot_be_asked_for_is_never_given_up() {
    let (scene, shows) = (Scene::new(), Shows::new());
    shows.posted(&scene.posted(6, 2), &scene.domain, 60);
    let mut node = scene.node(std::slice::from_ref(&shows)).await;
    shows.is(TRANSACTION, Mood::Fails);
    assert!(matches!(node.read().await[..], [Ok(true)]), "the event");
    let looks = || shows.change(|script| script.blocks.len());
    for _ in 0..3 * REFUSALS_MAX {
        let before = looks();
        assert!(matches!(node.read().await[..], [Err(Trouble::Unreached(_))]));
        assert_eq!(looks(), before + 1, "nor does it keep more from being heard");
    }
    shows.is_well();
    assert_eq!(node.steps(1).await, [scene.posted(6, 2)]);
}

#[tokio::test]
async fn a_transaction_that_is_refused_is_asked_for_a_while() {
    for mood in [Mood::Refuses, Mood::Ignorant] {
        let (scene, shows) = (Scene::new(), Shows::new());
        shows.change(|script| script.newest = 100);
        let hash = shows.posted(&scene.posted(6, 2), &scene.domain, 60);
        let mut node = scene.node(std::slice::from_ref(&shows)).await;
        shows.is(TRANSACTION, mood);
        node.read().await;
        // It keeps no later one from being read.
        for refusals in 1..REFUSALS_MAX {
            assert!(matches!(node.read().await[..], [Ok(true)]), "{mood:?}");
            assert_eq!(shows.asked().len(), usize::try_from(refusals).unwrap());
        }
        shows.is_well();
        assert_eq!(node.steps(1).await, [scene.posted(6, 2)], "{mood:?}");
        // One that is given up is read if L1 has it in another block.
        let hash_again = shows.posted(&scene.posted(7, 2), &scene.domain, 70);
        assert_ne!(hash, hash_again);
        shows.is(TRANSACTION, mood);
        node.steps(1 + usize::try_from(REFUSALS_MAX).unwrap()).await;
        shows.is_well();
        assert_eq!(node.steps(3).await, [], "{mood:?}");
        shows.change(|script| script.events[1].0.l1_block = 71);
        assert_eq!(node.steps(3).await, [scene.posted(7, 2)], "{mood:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_compared_yet_is_compared_later() {
    let (scene, shows) = (Scene::new(), Shows::new());
    // Their epoch has ended earlier.
    let next = BlockCommitment { epoch: Epoch::new(2), ..commitment(6, 2) };
    let posted = certificate(next, &scene.domain, true);
    shows.posted(&posted, &scene.domain, 60);
    let mut node = scene.node(std::slice::from_ref(&shows)).await;
    assert_eq!(node.steps(20).await, []);
    assert!(shows.asked().is_empty(), "there is nothing to compare it with");
    let own = BlockCommitment { epoch: Epoch::new(2), ..commitment(REVEALED, 1) };
    let own = put(Table::Commitments, REVEALED, borsh::to_vec(&own).unwrap());
    node.store.commit(&[own]).unwrap();
    // The store does not have it all, and then fails.
    assert_eq!(node.steps(20).await, []);
    assert_eq!(shows.asked().len(), 20);
    node.store.commit(&[put(Table::Committees, 2, vec![1])]).unwrap();
    for _ in 0..20 {
        assert!(matches!(node.read().await[..], [Err(Trouble::Archive(_))]));
    }
    node.store.commit(&[put(Table::Committees, 2, seats())]).unwrap();
    assert_eq!(node.steps(1).await, [posted]);
    assert_eq!(node.steps(5).await, []);
    assert_eq!(shows.asked().len(), 41, "and then it is done with");
}

#[tokio::test]
#[should_panic(expected = "a bug")]
async fn a_reader_that_dies_is_no_secret() {
    let mut postings = Postings::new([]).0;
    postings.readers.spawn(async { panic!("a bug") });
    for _ in 0..100 {
        tokio::task::yield_now().await;
        postings.take();
    }
}
