//! Validators of whose three endpoints one lies, and it is the first that they ask: what they certify settles all the
//! same, what is on L1 gets onto the chain and nothing else does, none of them pays more than it may, and nobody is accused.

use std::{path::Path, time::Duration};

use alloy::{primitives::U256, signers::local::PrivateKeySigner};
use conclave_client::{Payer, messages::L1Status};
use conclave_node::l1::{Contracts, Endpoints, Patience, election};
use conclave_types::Genesis;
use serde_json::{Value, json};

use crate::{
    harness::{
        l1::L1,
        l1_liar::{Liar, Lie},
        network::{Network, PATIENCE},
        transactions::DEV_KEYS,
        wait::until,
    },
    relay::opened_through,
};

/// Who posts.
const POSTERS: [usize; 3] = [1, 2, 3];

const GWEI: u64 = 1_000_000_000;

/// An L1 as it is, and what is there.
struct Truth {
    endpoints: Endpoints,
    contracts: Contracts,
}

impl Truth {
    async fn of(l1: &L1, stake: &str) -> Self {
        let endpoints = Endpoints::connect(&[l1.url()], None, Patience::default()).await;
        let endpoints = endpoints.expect("the L1 answers");
        let stake = stake.parse().expect("an address");
        let contracts = Contracts::find(&endpoints, stake).await.expect("contracts");
        Self { endpoints, contracts }
    }

    /// The height that settled last.
    async fn settled(&self) -> u64 {
        let head = election::head(&self.endpoints, &self.contracts).await.expect("an answer");
        head.height.to()
    }

    /// Waits until something settles above a height.
    async fn more(&self, above: u64, while_it: &str) -> u64 {
        let what = format!("more than height {above} to settle {while_it}");
        until(&what, PATIENCE, async || Some(self.settled().await).filter(|now| *now > above)).await
    }
}

/// What the account of a poster has, in wei.
fn balance(l1: &L1, index: usize) -> U256 {
    let signer: PrivateKeySigner = DEV_KEYS[index].parse().expect("a well-known key");
    let found = l1.call("eth_getBalance", json!([signer.address(), "latest"]));
    serde_json::from_value(found).expect("a quantity")
}

fn stake_of(network: &Network) -> String {
    let text = std::fs::read(network.genesis_file()).expect("a genesis");
    let genesis: Genesis = serde_json::from_slice(&text).expect("a genesis");
    format!("0x{}", alloy::hex::encode(genesis.l1_contract.as_bytes()))
}

fn standing(l1: &L1, genesis: &Path, index: usize) -> Value {
    let (genesis, number) = (genesis.to_string_lossy(), (index + 1).to_string());
    l1.run(&["stake", "status", "--genesis", &genesis, "--validator", &number])
}

fn deposit(l1: &L1, contract: &str, payer: &Payer) {
    let (key, address) = (l1.key(0), payer.address().to_string());
    let paid = ["deposit", "--contract", contract, "--account-key", &key];
    l1.run(&[&paid[..], &["--amount", "0.1", "--payer", &address]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_certified_settles_and_what_is_queued_is_carried_whatever_one_endpoint_of_three_says()
 {
    let network = settles_through(&Lie::WORDS).await;
    // Who has seen a block in whose entries it lied says so; it may have been ahead of others, who took their word.
    let said = "an L1 endpoint is not believed, most others are";
    assert!((0..4).any(|index| network.log(index).contains(said)));
    assert!((0..4).all(|index| !network.log(index).contains("agree on nothing")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_certified_settles_and_what_is_queued_is_carried_however_one_endpoint_of_three_fails()
 {
    settles_through(&Lie::MANNERS).await;
}

async fn settles_through(lies: &[Lie]) -> Network {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let l1 = L1::start(directory.path()).await;
    let liar = Liar::before(&l1.address);
    let endpoints = [liar.url(), l1.url(), l1.twin()];
    // So long an epoch that only its first end settles while this runs: no offer costs anything.
    let often = "every_heights = 10\nevery_seconds = 2\ntakeover_seconds = 2\n";
    let (l1, mut network) = opened_through(directory.path(), l1, &endpoints, 100_000, often).await;
    let truth = Truth::of(&l1, &stake_of(&network)).await;
    let before = POSTERS.map(|index| balance(&l1, index));
    // Somebody else's contracts, just like those, of which any honest endpoint tells the truth.
    let elsewhere = l1.deploy();
    liar.know(truth.contracts, Truth::of(&l1, &elsewhere).await.contracts);
    let nobody = Payer::random();
    deposit(&l1, &elsewhere, &nobody);
    let (payer, mut deposits) = (Payer::random(), 0);
    let stake = stake_of(&network);

    let mut settled = truth.more(0, "before anybody lies").await;
    for lie in lies.iter().copied() {
        liar.tell(&[lie]);
        // Whoever begins with the lie believes it no more than the others.
        network.kill(3);
        network.launch(3);
        deposit(&l1, &stake, &payer);
        deposits += 1;
        for _ in 0..2 {
            settled = truth.more(settled, &format!("through {lie:?}")).await;
        }
        let heard = format!("somebody to hear {lie:?}");
        until(&heard, PATIENCE, async || (liar.told(lie) > 0).then_some(())).await;
        for index in 0..4 {
            let seen = |l1: &L1Status| l1.settled_height >= settled && l1.forced_cursor >= deposits;
            let told = network.wait_l1(index, &format!("it sees that through {lie:?}"), seen).await;
            assert!(
                !told.relay_capped && told.forced_cursor == deposits,
                "{lie:?}, {index}: {told:?}"
            );
        }
        if lie == Lie::Flood {
            let peaks = POSTERS.map(|index| network.peak_kib(index));
            assert!(peaks.iter().all(|peak| *peak < 1 << 20), "a GiB is too much: {peaks:?}");
        }
    }
    // A posting costs some 28,000 gwei on a quiet chain, and a thousand times as much at what the liar calls a price.
    for (index, before) in POSTERS.into_iter().zip(before) {
        let spent = before - balance(&l1, index);
        assert!(spent < U256::from(5_000_000) * U256::from(GWEI), "{index} has spent {spent}");
    }
    let file = network.genesis_file();
    for index in 0..4 {
        let standing = standing(&l1, &file, index);
        let (bonded, accused) = (&standing["bonded_gwei"], &standing["accused"]);
        assert_eq!((bonded, accused), (&json!(32 * GWEI), &json!(false)), "{standing}");
    }

    let balance = async |payer: &Payer| {
        let account = network.client.account(payer.address(), 0).await;
        account.expect("an answer").balance.as_u64()
    };
    until("what was deposited to be credited", PATIENCE, async || {
        (balance(&payer).await == deposits * 100_000_000).then_some(())
    })
    .await;
    assert_eq!(balance(&nobody).await, 0, "what was deposited elsewhere");
    network
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_money_is_spent_once_however_often_a_node_is_started() {
    // A posting costs some 28,000 on a quiet chain; what is left buys ever cheaper ones.
    const DAY_GWEI: u64 = 120_000;
    const A_WHILE: Duration = Duration::from_secs(15);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let often = format!(
        "every_heights = 1\nevery_seconds = 1\ntakeover_seconds = 1\nday_cost_gwei_max = {DAY_GWEI}\n\
         posting_cost_gwei_max = 60000\n"
    );
    let l1 = L1::start(directory.path()).await;
    let endpoints = [l1.url()];
    let (l1, mut network) = opened_through(directory.path(), l1, &endpoints, 100_000, &often).await;
    let truth = Truth::of(&l1, &stake_of(&network)).await;
    let before = POSTERS.map(|index| balance(&l1, index));
    let (mut settled, mut postings) = (0, 0);
    for _ in 0..4 {
        for posting in 0..6 {
            let which = format!("in posting {posting}");
            let more = truth.more(settled, &which);
            // What is left of a day's money may be too little for another one, however cheap.
            let Ok(more) = tokio::time::timeout(A_WHILE, more).await else { break };
            (settled, postings) = (more, postings + 1);
        }
        for index in POSTERS {
            network.kill(index);
            network.launch(index);
        }
    }
    for (index, before) in POSTERS.into_iter().zip(before) {
        let spent = before - balance(&l1, index);
        assert!(spent <= U256::from(DAY_GWEI) * U256::from(GWEI), "{index} has spent {spent}");
    }
    assert!(postings >= 6, "{postings}: fewer than all of them had money for in one life");
}
