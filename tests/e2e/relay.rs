//! Settlement on Ethereum: validators stake, their network is opened there, and what they certify settles.

use std::{path::Path, time::Duration};

use alloy::{
    primitives::{B256, U256},
    rpc::types::Log,
    sol_types::SolEvent as _,
};
use conclave_client::messages::{GetStatusResponse, L1Status};
use conclave_contracts::{ConclaveInbox, posting};
use conclave_node::store::RocksStore;
use conclave_sequencer::archive;
use conclave_types::{
    Height, HeightDelta, Params, SharingParams, TimingParams, digest::SigningDomain,
};
use serde_json::{Value, json};

use crate::harness::{
    l1::L1,
    network::{Network, PATIENCE},
    wait::until,
};

const ALL: [usize; 4] = [0, 1, 2, 3];

/// How whoever posts in most tests does.
pub(crate) const OFTEN: &str = "every_heights = 20\nevery_seconds = 2\ntakeover_seconds = 2\n";

/// An L1 with the contracts, and a network on it that was opened there. All but the first validator post, each from
/// the account that registered it; the first one's account launches.
pub(crate) async fn opened(directory: &Path) -> (L1, Network) {
    // Short epochs; everything else as usual.
    opened_with(directory, 40, OFTEN).await
}

/// The same with epochs of so many heights and other lines for who posts.
pub(crate) async fn opened_with(
    directory: &Path,
    epoch_heights: u64,
    relay: &str,
) -> (L1, Network) {
    let l1 = L1::start(directory).await;
    opened_on(directory, l1, epoch_heights, relay).await
}

/// The same on an L1 that runs.
pub(crate) async fn opened_on(
    directory: &Path,
    l1: L1,
    epoch_heights: u64,
    relay: &str,
) -> (L1, Network) {
    let endpoints = [l1.url()];
    opened_through(directory, l1, &endpoints, epoch_heights, relay).await
}

/// The same on an L1 that runs, of which the validators ask these endpoints.
pub(crate) async fn opened_through(
    directory: &Path,
    l1: L1,
    endpoints: &[String],
    epoch_heights: u64,
    relay: &str,
) -> (L1, Network) {
    opened_by(directory, l1, endpoints, &epochs_of(epoch_heights), relay).await
}

/// Epochs of so many heights; everything else as usual.
pub(crate) fn epochs_of(heights: u64) -> Params {
    let epoch_heights = HeightDelta::new(heights);
    Params {
        sharing: SharingParams { epoch_heights, ..Params::default().sharing },
        ..Params::default()
    }
}

/// The same with these parameters.
async fn opened_by(
    directory: &Path,
    l1: L1,
    endpoints: &[String],
    params: &Params,
    relay: &str,
) -> (L1, Network) {
    let contract = l1.deploy();
    opened_at(directory, (l1, &contract), endpoints, params, relay).await
}

/// The same with contracts that are deployed.
pub(crate) async fn opened_at(
    directory: &Path,
    (l1, contract): (L1, &str),
    endpoints: &[String],
    params: &Params,
    relay: &str,
) -> (L1, Network) {
    let file = directory.join("params.json");
    let text = serde_json::to_vec(params).expect("parameters are JSON");
    std::fs::write(&file, text).expect("parameters are written");
    let options = ["--params", &file.to_string_lossy()];
    let (only, all) = (format!("[{:?}]", l1.url()), format!("{endpoints:?}"));
    let network = Network::start_settling(&l1, contract, &options, |index, config| {
        assert!(config.contains(&only), "{config}");
        let config = config.replace(&only, &all);
        match index {
            0 => config,
            index => format!("{config}\n[l1.relay]\naccount_key = {:?}\n{relay}", l1.key(index)),
        }
    })
    .await;
    let genesis = network.genesis_file().to_string_lossy().into_owned();
    for index in ALL {
        let (keys, key) = (network.validator_dir(index), l1.key(index));
        let keys = keys.to_string_lossy();
        let register = ["stake", "register", "--genesis", &genesis, "--stake", "32"];
        let with = ["--keys", &keys, "--account-key", &key];
        let registered = l1.run(&[&register[..], &with[..]].concat());
        assert_eq!(registered["validator"], json!(index + 1), "in the order of the genesis");
    }
    let open = ["l1", "open", "--genesis", &genesis, "--account-key"];
    let done = l1.run(&[&open[..], &[&l1.key(0)]].concat());
    let sent: Vec<_> = done["transactions"].as_array().expect("a list").iter().collect();
    let what: Vec<&Value> = sent.iter().map(|sent| &sent["what"]).collect();
    assert_eq!(what, ["offered", "opened"], "for epoch 1 the same is on offer");
    // What was done is not done again.
    let again = l1.run(&[&open[..], &[&l1.key(0)]].concat());
    assert_eq!(again["transactions"], json!([]));
    (l1, network)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_epoch_has_a_committee_on_offer_and_its_end_settles() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (_l1, network) = opened(directory.path()).await;
    // Epoch 2 and what comes after it wait for committees that L1 offers.
    for epoch in 1..=3 {
        let begun = |status: &GetStatusResponse| status.epoch >= epoch;
        let status = network.wait_status(3, &format!("epoch {epoch}"), begun).await;
        let height = status.decided_height;
        let settled = |l1: &L1Status| l1.settled_height >= height;
        network.wait_l1(0, &format!("height {height} settles"), settled).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_certified_settles_whoever_is_alive_and_whatever_l1_takes_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (l1, mut network) = opened(directory.path()).await;
    // The end of the first epoch, by itself, and then the newest.
    let first = network.height(0).await;
    for index in ALL {
        let settled = |l1: &L1Status| l1.settled_height >= first;
        let told = network.wait_l1(index, "what was there has settled", settled).await;
        assert!(!told.relay_capped && told.final_height <= told.settled_height, "{told:?}");
    }

    // Among so many postings there is the turn of the dead, in which somebody takes over.
    network.kill(2);
    let mut settled = network.wait_l1(0, "an answer", |_| true).await.settled_height;
    for _ in 0..4 {
        let more = network.wait_l1(0, "more settles", |l1| l1.settled_height > settled).await;
        settled = more.settled_height;
    }
    network.launch(2);

    // The newest posting goes away with its block, and comes back with another.
    let before = network.wait_l1(0, "an answer", |_| true).await.settled_height;
    let newest = network.wait_l1(0, "more settles", |l1| l1.settled_height > before).await;
    l1.call("l1_reorg", json!([{ "depth": 2, "mode": "drop" }]));
    let target = newest.settled_height + 20;
    let told =
        network.wait_l1(0, "it settles again, for good", |l1| l1.final_height >= target).await;
    assert!(told.trouble.is_empty() && !told.relay_capped, "{told:?}");
    let heights = told.settled_height;
    network.wait_l1(2, "whoever was away sees it, too", |l1| l1.settled_height >= heights).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_its_disk_signs_again_on_the_chain_that_l1_has_settled() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (_l1, mut network) = opened(directory.path()).await;
    let settled = network
        .wait_l1(0, "something has settled", |l1| l1.settled_height > 0)
        .await
        .settled_height;
    network.kill(3);
    std::fs::remove_dir_all(network.data_dir(3)).expect("a disk can be emptied");
    std::fs::create_dir(network.data_dir(3)).expect("a new disk");
    // As its operator's monitoring would have it, with a margin that the chain has yet to come to.
    let seen = network.height(0).await + 20;
    network.launch_with(3, &["--lost-state", &(1_000 * seen).to_string()]);
    let silent = format!("silent up to height {}", 1_000 * seen + 2);
    let waits = |status: &GetStatusResponse| status.not_signing_reason.contains(&silent);
    network.wait_status(3, "it says up to where it is silent", waits).await;
    let others = || network.log(3).contains("silent until the chain has come from height");
    until("it says how far the others are", PATIENCE, async || others().then_some(())).await;
    // That was mistyped, and nothing of it is left.
    network.kill(3);
    network.launch_with(3, &["--lost-state", &seen.to_string()]);
    let status = network.wait_status(3, "it signs again", |status| status.signing).await;
    assert!(status.decided_height > settled.max(seen), "{status:?}");
    // Now it knows what it has signed, and asks nobody.
    network.kill(3);
    network.launch(3);
    network.wait_status(3, "it goes on signing", |status| status.signing).await;
}

/// Longer than a thousand heights take.
const THOUSAND: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_heights_that_certified_while_l1_was_away_settle_by_one_transaction() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let l1 = L1::start(directory.path()).await;
    let defaults = Params::default();
    let params = Params {
        timing: TimingParams { idle_interval_ms: 10, block_interval_ms: 10, ..defaults.timing },
        ..defaults
    };
    let endpoints = [l1.url()];
    let (mut l1, mut network) = opened_by(directory.path(), l1, &endpoints, &params, OFTEN).await;
    network.wait_l1(0, "epoch 0 has ended", |l1| l1.settled_height > 0).await;
    l1.kill();
    let before = network.wait_l1(0, "an answer", |_| true).await.settled_height;
    until("more than a thousand heights are certified", THOUSAND, async || {
        let status = network.status(0).await?;
        (status.revealed_height > before + 1_100).then_some(())
    })
    .await;
    l1.relaunch();
    network.wait_l1(0, "they settle", |l1| l1.settled_height > before + 1_000).await;
    for index in ALL {
        network.kill(index);
    }

    let genesis = network.genesis();
    let (sender, contracts) = l1.witness(&genesis).await;
    let endpoints = sender.endpoints();
    let filter = json!([{
        "address": contracts.inbox, "fromBlock": "0x0", "toBlock": "latest",
        "topics": [ConclaveInbox::Settled::SIGNATURE_HASH],
    }]);
    let logs: Vec<Log> = serde_json::from_value(l1.call("eth_getLogs", filter)).expect("logs");
    let settled: Vec<_> = logs
        .iter()
        .map(|log| ConclaveInbox::Settled::decode_log(&log.inner).expect("its event").height)
        .collect();
    let jump = settled.windows(2).find(|pair| pair[1] - pair[0] >= 1_000);
    let [below, above] = jump.expect("one posting settles them all") else { panic!("a pair") };
    assert!(*below >= before, "{settled:?}");

    // What came before it is proved against the newest posting.
    let database = network.data_dir(0).join("db");
    let store = RocksStore::open_read_only(&database, &genesis.network_id()).expect("an archive");
    let under = *settled.last().expect("a posting");
    for height in [1, below + 1, below + 500, *above] {
        let (height, under) = (Height::new(height), Height::new(under));
        let commitment = archive::commitment(&store, height).expect("the archive reads");
        let commitment = commitment.expect("it was revealed");
        let path = archive::settled_path(&store, height, under).expect("the archive reads");
        let path = path.expect("the history has come so far");
        let proof = ConclaveInbox::HistoryProof {
            commitment: posting::commitment(&commitment),
            under: under.as_u64(),
            path: path.iter().map(|digest| B256::from(*digest.as_bytes())).collect(),
        };
        let call = ConclaveInbox::proveCommitmentCall { proof };
        let proven = endpoints.call(contracts.inbox, &call).await.expect("it has settled");
        let digest = SigningDomain::of(&genesis).commitment(&commitment);
        assert_eq!(proven.0, *digest.as_bytes(), "height {height}");
    }
}

/// Keeps the price of gas where it is, one block after the other.
fn price(l1: &L1, wei: u64) {
    l1.call("anvil_setNextBlockBaseFeePerGas", json!([format!("{wei:#x}")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gas_costs_too_much_for_waits_under_an_alarm_until_rollups_are_about_to_leave() {
    const SPIKE_WEI: u64 = 200_000_000_000;
    const HALF_THE_ESCAPE_DELAY: u64 = 3_600;
    const POSTING_GWEI_MAX: u64 = 5_000_000;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let l1 = L1::anvil(directory.path()).await;
    // At that price a posting costs some sixty million gwei: more than one may, less than those of a day.
    let relay = format!(
        "every_heights = 10\nevery_seconds = 1\ntakeover_seconds = 1\n\
         posting_cost_gwei_max = {POSTING_GWEI_MAX}\nday_cost_gwei_max = 500000000\n"
    );
    let (l1, network) = opened_on(directory.path(), l1, 100_000, &relay).await;
    network.wait_l1(1, "something settles", |l1| l1.settled_height > 0).await;
    let dear = async |accept: &dyn Fn(&L1Status) -> bool, what: &str| {
        until(what, 2 * PATIENCE, async || {
            price(&l1, SPIKE_WEI);
            let found = network.status(1).await?.l1?;
            accept(&found).then_some(found)
        })
        .await
    };
    dear(&|l1| l1.relay_capped, "an alarm").await;
    let said = "what postings to L1 may cost is spent, or not enough for one";
    assert!(network.log(1).contains(said), "{}", network.log(1));
    // Whenever somebody looks, between attempts too, and nothing settles.
    let mut settled = None;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..100 {
        ticks.tick().await;
        price(&l1, SPIKE_WEI);
        let Some(status) = network.status(1).await else { continue };
        let found = status.l1.expect("the network has an L1");
        assert!(found.relay_capped, "{found:?}");
        assert_eq!(*settled.get_or_insert(found.settled_height), found.settled_height);
    }
    let settled = settled.expect("an answer");

    for _ in 0..HALF_THE_ESCAPE_DELAY {
        price(&l1, SPIKE_WEI);
        l1.call("anvil_mine", json!(["0x1"]));
    }
    dear(&|l1| l1.settled_height > settled, "it settles, whatever it costs").await;
    let newest = l1.call("eth_getBlockByNumber", json!(["latest", false]));
    let newest: U256 = serde_json::from_value(newest["number"].clone()).expect("a number");
    let from = format!("{:#x}", newest.to::<u64>().saturating_sub(200));
    let topics = [ConclaveInbox::Settled::SIGNATURE_HASH];
    let filter = json!([{ "fromBlock": from, "toBlock": "latest", "topics": topics }]);
    let logs: Vec<Log> = serde_json::from_value(l1.call("eth_getLogs", filter)).expect("logs");
    let posted = logs.first().expect("a posting").transaction_hash.expect("it is in a block");
    let receipt = l1.call("eth_getTransactionReceipt", json!([posted]));
    let [wei, gas] = ["effectiveGasPrice", "gasUsed"]
        .map(|name| serde_json::from_value::<U256>(receipt[name].clone()).expect("an amount"));
    let gwei = wei * gas / U256::from(1_000_000_000);
    assert!(gwei > U256::from(POSTING_GWEI_MAX), "more than one may cost by far: {gwei}");
}
