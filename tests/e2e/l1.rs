//! Nodes that follow Ethereum: what its queue holds gets onto the chain and into rollups, whatever becomes of L1, of
//! the endpoints that tell of it, and of the nodes.

use alloy::primitives::{U256, keccak256};
use conclave_client::{BatchEvent, Level, Payer, Start, Terms};
use conclave_types::{Height, ItemSource, Leg, RollupId, ValidatorIndex};
use serde_json::{Value, json};

use crate::harness::{
    http,
    l1::L1,
    l1_liar::{Liar, Lie},
    load::Load,
    network::{Network, PATIENCE},
    oracle,
    rollup::Rollup,
    transactions::{DEV_KEYS, SINK, transfer},
    wait::until,
};

/// Who follows L1, if not all do.
const MOST: [usize; 3] = [0, 1, 2];
const ALL: [usize; 4] = [0, 1, 2, 3];

/// An L1 with the contracts, where rollup 901 is registered.
async fn deployed(directory: &std::path::Path) -> (L1, String) {
    let l1 = L1::start(directory).await;
    let contract = deploy(&l1);
    (l1, contract)
}

/// Deploys the contracts, and registers rollup 901.
fn deploy(l1: &L1) -> String {
    let contract = l1.deploy();
    let key = l1.key(0);
    l1.run(&["l1", "register-rollup", "--contract", &contract, "--account-key", &key]);
    contract
}

fn number(done: &Value, name: &str) -> u64 {
    done[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {done}"))
}

/// Forces bytes into rollup 901; their place in the queue.
fn force(l1: &L1, contract: &str, transaction: &[u8]) -> u64 {
    let (key, hex) = (l1.key(1), format!("0x{}", alloy::hex::encode(transaction)));
    let forced = ["force", "--contract", contract, "--account-key", &key, "--rollup", "901", &hex];
    number(&l1.run(&forced), "entry")
}

/// What rollup 901 gets of the queue, up to so many entries; in each batch they come before all else.
async fn forced(network: &Network, count: usize) -> Vec<(u64, Vec<u8>)> {
    let mut batches = network.client.batches(RollupId::new(901), Start::Sequence(0));
    let mut found = Vec::new();
    while found.len() < count {
        let event = tokio::time::timeout(PATIENCE, batches.next()).await;
        let event = event.expect("a stream is never silent for long").expect("a stream goes on");
        let BatchEvent::Batch(batch) = event else { continue };
        let mut legs = 0;
        for item in batch.items {
            match item.source {
                ItemSource::Leg(_) => legs += 1,
                ItemSource::Forced(forced) => {
                    assert_eq!(legs, 0, "height {}: a bundle comes first", batch.height);
                    found.push((forced.index, item.transaction));
                }
            }
        }
    }
    found
}

/// The queue is carried first and in order, and a deposit pays for who had nothing (`conformance.rs`).
pub(crate) async fn carried_on(_: &std::path::Path, l1: L1) {
    let contract = deploy(&l1);
    let network = Network::start_on(&l1, &contract, &MOST).await;
    let rollup = Rollup::start(&network, 901, "rollup-901").await;
    let load = Load::start(&network.client);

    let raw = [0, 1].map(|nonce| transfer(DEV_KEYS[0], 901, nonce, 1 + nonce));
    let queued = raw.each_ref().map(|raw| force(&l1, &contract, raw));
    assert_eq!(queued, [0, 1]);
    let payer = Payer::random();
    let (key, address) = (l1.key(2), payer.address().to_string());
    let paid = l1.run(&[
        "deposit",
        "--contract",
        &contract,
        "--account-key",
        &key,
        "--amount",
        "0.1",
        "--payer",
        &address,
    ]);
    assert_eq!(number(&paid, "entry"), 2);

    let [first, second] = raw;
    let hash = keccak256(&second);
    assert_eq!(forced(&network, 2).await, [(0, first), (1, second)]);
    until("the forced transfers to be executed", PATIENCE, async || {
        let balance = rollup.call("eth_getBalance", json!([SINK, "latest"]));
        (balance == json!(U256::from(3))).then_some(())
    })
    .await;
    let receipt = rollup.call("eth_getTransactionReceipt", json!([hash]));
    assert_eq!(receipt["status"], "0x1");

    until("the deposit to be credited", PATIENCE, async || {
        let account = network.client.account(payer.address(), 0).await.ok()?;
        (account.balance.as_u64() == 100_000_000).then_some(())
    })
    .await;
    let leg = Leg { rollup: RollupId::new(902), transaction: b"paid by L1".to_vec() };
    let address = payer.address();
    let submission = network.client.wallet(payer).submit(&[leg], &Terms::default()).await;
    let id = submission.expect("it can pay").id;
    network.client.wait(id, Level::Revealed, PATIENCE).await.expect("the bundle is opened");
    let left = network.client.account(address, 0).await.expect("an answer").balance.as_u64();
    assert!((1..100_000_000).contains(&left), "{left}");

    load.settle().await;
    who_sees_no_l1_repeats_its_parents_origins(&network).await;
    oracle::check(&network).await;
}

/// The last validator follows nothing: it decides like the others, and names no origin of its own.
async fn who_sees_no_l1_repeats_its_parents_origins(network: &Network) {
    let seen = network.wait_l1(0, "the queue is carried", |l1| l1.forced_cursor == 3).await;
    assert!(seen.followed && seen.trouble.is_empty(), "{seen:?}");
    let blind = network.wait_l1(3, "the queue is carried", |l1| l1.forced_cursor == 3).await;
    assert!(!blind.followed && blind.origin_number > 0, "{blind:?}");
    assert!(network.log(3).contains("this node follows no L1"), "it says so");
    let mut origin = None;
    for height in 1..=network.height(0).await {
        let block = network.clients[0].block(Height::new(height)).await.expect("a decided block");
        let header = &block.decided.header;
        if header.proposer == ValidatorIndex::new(3) {
            assert!(origin.is_none_or(|before| before == header.l1_origin), "height {height}");
        }
        origin = Some(header.l1_origin);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ordering_goes_on_without_l1_and_nodes_catch_up_when_it_is_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (mut l1, contract) = deployed(directory.path()).await;
    let mut network = Network::start_on(&l1, &contract, &ALL).await;
    let load = Load::start(&network.client);
    assert_eq!(force(&l1, &contract, b"before the outage"), 0);
    for index in ALL {
        network.wait_l1(index, "it is carried", |l1| l1.forced_cursor == 1).await;
    }

    l1.kill();
    for index in ALL {
        let is_outage = |l1: &conclave_client::messages::L1Status| !l1.trouble.is_empty();
        let told = network.wait_l1(index, "it says so", is_outage).await;
        assert!(!told.alarm && told.trouble.contains("check that they run"), "{told:?}");
    }
    network.kill(3);
    let height = network.height(0).await;
    network.wait_height(0, height + 8).await;
    load.wait(20).await;
    network.launch(3);
    network.wait_height(3, height + 8).await;

    l1.relaunch();
    until("the L1 to serve", PATIENCE, async || http::call(&l1.address, "eth_chainId", json!([])))
        .await;
    assert_eq!(force(&l1, &contract, b"after the outage"), 1);
    for index in ALL {
        let told = network.wait_l1(index, "it is carried", |l1| l1.forced_cursor == 2).await;
        assert!(told.followed && told.trouble.is_empty(), "{told:?}");
    }
    load.settle().await;
    oracle::check(&network).await;
    let log = network.log(0);
    assert_eq!(log.matches("L1 cannot be followed").count(), 1, "once for each change");
    assert_eq!(log.matches("L1 is followed again").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hides_entries_is_named_and_believed_by_nobody_and_of_two_neither_is() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (l1, contract) = deployed(directory.path()).await;
    let mut network = Network::start_on(&l1, &contract, &ALL).await;
    let liar = Liar::before(&l1.address);
    liar.tell(&[Lie::NoLogs]);
    network.kill(0);
    let mut entries = 0;
    // It takes a quorum's word if that is faster, and then does not ask: so until it has asked about one of them.
    let hide_until = async |network: &Network, entries: &mut u64, named: &str| {
        while !network.log(0).contains(named) {
            assert_eq!(force(&l1, &contract, b"to be hidden"), *entries);
            *entries += 1;
            network.wait_l1(0, "it is carried", |l1| l1.forced_cursor == *entries).await;
        }
    };

    let three = [l1.url(), liar.url(), l1.twin()];
    network.launch_with(0, &three.each_ref().map(|url| ["--l1", url]).concat());
    let named = format!("{} differs from {} and most others", liar.url(), l1.url());
    hide_until(&network, &mut entries, &named).await;
    let told = network.wait_l1(0, "an alarm", |l1| l1.alarm).await;
    assert!(told.trouble.contains(&named), "{told:?}");
    assert!(!network.log(0).contains("L1 cannot be followed"), "it goes on");

    network.kill(0);
    network.launch_with(0, &["--l1", &l1.url(), "--l1", &liar.url()]);
    let named = format!("{} differs from {} in its hash", liar.url(), l1.url());
    hide_until(&network, &mut entries, &named).await;
    assert!(network.log(0).contains("L1 cannot be followed"), "it says so");
    // It has taken a quorum's word, and decides like the others.
    let height = network.height(0).await;
    network.wait_height(0, height + 3).await;

    network.kill(0);
    network.launch(0);
    assert_eq!(force(&l1, &contract, b"to be seen"), entries);
    let told = network.wait_l1(0, "it is seen", |l1| l1.forced_cursor > entries).await;
    assert!(told.trouble.is_empty(), "{told:?}");
}
