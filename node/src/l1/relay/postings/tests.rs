//! What endpoints show of postings, and what of it comes to the core.

use std::sync::{Arc, Mutex};

use alloy::{
    primitives::{Bytes, U256},
    providers::{DynProvider, Provider as _, ProviderBuilder, mock::Asserter},
    sol_types::{SolCall as _, SolEvent as _},
};
use axum::{Json, Router, extract::State, routing::post};
use conclave_contracts::ConclaveInbox::{Settled, commitCall};
use conclave_sequencer::{Input, Table, Write};
use conclave_types::{
    BlockCommitment, BlockId, Committee, ConsensusKey, Digest, Genesis, L1Origin, Member, Params,
    RollupId, SettlementCertificate, SettlementSecret, Time, ValidatorIndex, add_signatures,
};
use serde_json::{Value, json};

use super::{
    shown::{Event, LOOK_MAX},
    *,
};
use crate::{
    config::L1Config,
    driver::Channels,
    genesis::{Plan, make, nothing_signed},
    l1::{Patience, relay::standing::Watch},
    metrics::Metrics,
    store::{RocksStore, SignerState},
};

const CHAIN_ID: u64 = 31_337;
/// This node has revealed so much.
const REVEALED: u64 = 9;

fn word(of: u64) -> B256 {
    B256::from(U256::from(of))
}

const fn event(height: u64, commitment: B256, transaction: B256) -> Event {
    Event { height: Height::new(height), commitment, transaction }
}

fn log(event: &Event, block: u64) -> Value {
    let settled = Settled {
        epoch: 1,
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
        "blockHash": word(9), "blockNumber": format!("{block:#x}"),
        "transactionHash": event.transaction, "transactionIndex": "0x0", "logIndex": "0x0",
        "removed": false,
    })
}

fn transaction(hash: B256, input: &[u8]) -> Value {
    json!({
        "hash": hash, "nonce": "0x0", "blockHash": word(9), "blockNumber": "0x5",
        "transactionIndex": "0x0", "from": Address::ZERO, "to": Address::ZERO, "value": "0x0",
        "gasPrice": "0x1", "gas": "0x5208", "input": Bytes::copy_from_slice(input), "type": "0x0",
        "v": "0x1b", "r": "0x1", "s": "0x1", "chainId": null,
    })
}

fn mocked(answers: &Asserter) -> DynProvider {
    ProviderBuilder::default().connect_mocked_client(answers.clone()).erased()
}

#[tokio::test]
async fn a_transaction_that_is_not_shown_keeps_no_other_from_being_read() {
    let answers = Asserter::new();
    answers.push_failure_msg("pruned");
    answers.push_success(&Value::Null);
    answers.push_success(&transaction(word(3), &[]));
    let wanted: Vec<_> = (1..4).map(|of| event(of, word(0), word(of))).collect();
    let shown = transactions(&mocked(&answers), wanted.clone()).await.unwrap();
    let expected = [None, None, Some(Vec::new())];
    assert_eq!(shown, wanted.into_iter().zip(expected).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_endpoint_that_tells_too_much_is_heard_so_far_and_the_newest_counts() {
    let answers = Asserter::new();
    let many = (0..3_000).map(|of| log(&event(of, word(1), word(of)), of)).collect();
    answers.push_success(&Value::Array(many));
    let found = events(&mocked(&answers), Address::ZERO, (0, 2_999)).await.unwrap();
    assert_eq!((found.len(), found[0].1, found.last().unwrap().1), (1_024, 2_999, 1_976));

    let mut shown = Shown::new();
    let blocks = shown.blocks(100, 1_000_000);
    assert_eq!(blocks, (100, 1_099), "a span at once");
    let told = (0..3_000).map(|of| (event(of, word(1), word(of)), of % 1_200)).collect();
    shown.hear(blocks, told);
    let ready: Vec<_> = shown.ready(Height::new(u64::MAX)).map(|it| it.height.as_u64()).collect();
    let asked_for = (0..3_000).filter(|of| (100..1_100).contains(&(of % 1_200)));
    assert_eq!(ready, asked_for.take(1_024).collect::<Vec<_>>(), "the lowest of those blocks");
    assert!(shown.is_behind(1_100) && !shown.is_behind(1_099));
    assert_eq!(shown.blocks(100, 1_000_000), (1_036, 2_035), "a few of them again");
    assert_eq!(shown.blocks(1_050, 1_060), (1_050, 1_060));
    // One that is too slow is asked for less.
    (0..9).for_each(|_| shown.miss());
    assert_eq!(shown.blocks(100, 1_000_000), (1_036, 1_163));
}

#[test]
fn every_transaction_has_its_turn_and_none_for_ever() {
    let mut shown = Shown::new();
    let told = |of: u64| (event(of, word(1), word(of)), 80 + of);
    let blocks = shown.blocks(0, 99);
    shown.hear(blocks, (1..=10).map(told).collect());
    let wanted = |shown: &Shown, revealed| -> Vec<_> {
        let wanted = shown.wanted(Height::new(revealed)).into_iter();
        wanted.map(|event| event.height.as_u64()).collect()
    };
    assert_eq!(wanted(&shown, 0), [0; 0]);
    assert_eq!(wanted(&shown, 6), [6, 5, 4, 3], "the newest of what is revealed");
    shown.finish(&told(6).0);
    shown.fail(&told(5).0);
    assert_eq!(wanted(&shown, 6), [4, 3, 2, 1], "what failed comes later");
    (0..2).for_each(|_| shown.fail(&told(5).0));
    (1..=4).for_each(|of| shown.finish(&told(of).0));
    assert_eq!(wanted(&shown, 6), [0; 0]);
    // They are told again, and are done with.
    shown.hear(shown.blocks(0, 99), (1..=10).map(told).collect());
    assert_eq!(wanted(&shown, 6), [0; 0]);
    assert_eq!(wanted(&shown, 10), [10, 9, 8, 7], "what was not revealed is kept");
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

/// What an endpoint shows: events with their blocks and the data of their transactions.
#[derive(Clone, Default)]
struct Script {
    events: Vec<(Event, u64, Vec<u8>)>,
    /// The transactions that it was asked for.
    asked: Arc<Mutex<Vec<B256>>>,
}

impl Script {
    /// It shows a posting.
    fn shows(
        &mut self,
        posted: &SettlementCertificate,
        domain: &SigningDomain,
        block: u64,
    ) -> B256 {
        let commitment = B256::from(*domain.commitment(&posted.commitment).as_bytes());
        let posting = posting::posting(posted, (&[], &[]), &committee()).unwrap();
        let (data, hash) = (commitCall { posting }.abi_encode(), word(block));
        let event = event(posted.commitment.height.as_u64(), commitment, hash);
        self.events.push((event, block, data));
        hash
    }

    fn answer(&self, request: &Value) -> Value {
        let result = match request["method"].as_str().unwrap() {
            "eth_chainId" => json!(format!("{CHAIN_ID:#x}")),
            "eth_getLogs" => {
                self.events.iter().map(|(event, block, _)| log(event, *block)).collect()
            }
            "eth_getTransactionByHash" => {
                let hash: B256 = serde_json::from_value(request["params"][0].clone()).unwrap();
                self.asked.lock().unwrap().push(hash);
                let found = self.events.iter().find(|(event, ..)| event.transaction == hash);
                found.map_or(Value::Null, |(_, _, data)| transaction(hash, data))
            }
            other => panic!("{other}"),
        };
        json!({"jsonrpc": "2.0", "id": request["id"], "result": result})
    }

    async fn serve(self) -> String {
        let handle = async |State(script): State<Self>, Json(request): Json<Value>| {
            Json(script.answer(&request))
        };
        let router = Router::new().route("/", post(handle)).with_state(self);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

/// A node that has revealed one side up to [`REVEALED`], who settles for it, and what comes to its core.
struct Node {
    settler: Settler,
    session: Session,
    channels: Channels,
    domain: SigningDomain,
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

fn store(directory: &std::path::Path, genesis: &Genesis) -> RocksStore {
    let (network, signer) = (genesis.network_id(), directory.join("signer.state"));
    SignerState::create(&signer, &network, &nothing_signed()).unwrap();
    let signer = SignerState::open(&signer, &network).unwrap();
    let mut store = RocksStore::open(&directory.join("db"), signer, None, &network).unwrap();
    let put = |table, key: u64, value| Write::Put { table, key: key.to_be_bytes().into(), value };
    let own = |height| borsh::to_vec(&commitment(height, 1)).unwrap();
    let mut writes: Vec<_> =
        (1..=REVEALED).map(|height| put(Table::Commitments, height, own(height))).collect();
    let seats: Vec<_> = committee().iter().map(|(index, member)| (index, member.clone())).collect();
    writes.push(put(Table::Committees, 1, borsh::to_vec(&seats).unwrap()));
    store.commit(&writes).unwrap();
    store
}

impl Node {
    async fn new(directory: &std::path::Path, genesis: Genesis, scripts: Vec<Script>) -> Self {
        let mut urls = Vec::new();
        for script in scripts {
            urls.push(script.serve().await);
        }
        let endpoints =
            Endpoints::connect(&urls, Some(CHAIN_ID), Patience::default()).await.unwrap();
        let (domain, channels) = (SigningDomain::of(&genesis), Channels::new());
        let config = L1Config { endpoints: urls, poll_ms: 100, relay: None };
        let driver = channels.handle(Height::new(REVEALED));
        let reader = Arc::new(store(directory, &genesis));
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
        let session = Session {
            watch: Watch::new(endpoints.clone(), &contracts),
            postings: Postings::new(endpoints.clone(), &contracts),
            endpoints,
            contracts,
            relay: None,
            offering: None,
            reporting: None,
            bench: None,
            office: None,
            flight: None,
        };
        Self { settler, session, channels, domain }
    }

    /// What the core is told of in a step.
    async fn step(&mut self) -> Vec<SettlementCertificate> {
        self.settler.read_postings(&mut self.session, (1, 8), 500).await.unwrap();
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
}

#[tokio::test]
async fn what_one_endpoint_shows_of_another_side_comes_to_the_core_once() {
    let directory = tempfile::tempdir().unwrap();
    let genesis = genesis(directory.path());
    let domain = SigningDomain::of(&genesis);
    let (mut honest, mut liar) = (Script::default(), Script::default());
    let posted = |height, side| certificate(commitment(height, side), &domain, true);
    let own = honest.shows(&posted(4, 1), &domain, 40);
    let other = honest.shows(&posted(6, 2), &domain, 60);
    let later = honest.shows(&posted(REVEALED + 1, 2), &domain, 90);
    // It invents postings of the lowest heights, all the time.
    for of in 0..100 {
        let invented = certificate(commitment(of % 5, 7), &domain, false);
        liar.shows(&invented, &domain, 100 + of);
    }
    let (asked, lies) = (Arc::clone(&honest.asked), Arc::clone(&liar.asked));
    let scripts = vec![liar, honest, Script::default()];
    let mut node = Node::new(directory.path(), genesis, scripts).await;
    assert_eq!(node.domain, domain);
    assert_eq!(node.step().await, [posted(6, 2)]);
    assert_eq!(*asked.lock().unwrap(), [other], "neither {own} nor {later}");
    assert_eq!(lies.lock().unwrap().len(), LOOK_MAX);
    for _ in 0..3 {
        assert_eq!(node.step().await, []);
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert_eq!(lies.lock().unwrap().len(), 4 * LOOK_MAX, "it is heard out, a few at a time");
}

#[tokio::test]
async fn what_several_endpoints_show_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let genesis = genesis(directory.path());
    let domain = SigningDomain::of(&genesis);
    let mut script = Script::default();
    let posted = certificate(commitment(6, 2), &domain, true);
    script.shows(&posted, &domain, 60);
    // The same certificate again and again, in more transactions than are read in a look.
    let mut again = script.clone();
    for block in 61..=66 {
        again.shows(&posted, &domain, block);
    }
    let mut node = Node::new(directory.path(), genesis, vec![script, again]).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        told.extend(node.step().await);
    }
    assert_eq!(told, [posted]);
}
