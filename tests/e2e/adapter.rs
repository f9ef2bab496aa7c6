//! A rollup node dies at any moment and ends where one that never died is.

use std::time::Duration;

use conclave_client::{Client, Level, Payer, Terms, Wallet};
use conclave_types::{Leg, RollupId};
use serde_json::{Value, json};

use crate::harness::{
    network::{Network, PATIENCE},
    rollup::Rollup,
    transactions::{DEV_KEYS, SINK, transfer},
    wait::until,
};

const CHAIN: u64 = 901;

/// Transfers in a row by one account, in bundles of one leg each.
struct Sender {
    wallet: Wallet,
    client: Client,
    nonce: u64,
}

impl Sender {
    fn new(network: &Network) -> Self {
        let payer = Payer::from_hex(DEV_KEYS[0]).expect("a well-known key");
        let client = network.client.clone();
        Self { wallet: client.wallet(payer), client, nonce: 0 }
    }

    /// Submits `count` transfers of one wei, in one lane so that they keep their order, and waits for
    /// the last to be revealed.
    async fn send(&mut self, count: u64) {
        let terms = Terms { lane: Some(1), ..Terms::default() };
        let mut last = None;
        for _ in 0..count {
            let transaction = transfer(DEV_KEYS[0], CHAIN, self.nonce, 1);
            let leg = Leg { rollup: RollupId::new(CHAIN), transaction };
            let submitted = self.wallet.submit(&[leg], &terms).await;
            last = Some(submitted.expect("a healthy network admits").id);
            self.nonce += 1;
        }
        let id = last.expect("something was sent");
        self.client.wait(id, Level::Revealed, PATIENCE).await.expect("revealed");
    }
}

fn block(rollup: &Rollup, number: u64) -> Value {
    rollup.call("eth_getBlockByNumber", json!([format!("{number:#x}"), false]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rollup_node_ends_with_the_state_of_one_that_never_died() {
    let network = Network::start().await;
    let steady = Rollup::start(&network, CHAIN, "steady").await;
    let mut victim = Rollup::start(&network, CHAIN, "victim").await;
    let mut sender = Sender::new(&network);
    // Killed while serving, while executing, and while still catching up from the last time.
    for round in 0..6 {
        sender.send(20).await;
        if round % 2 == 0 {
            let before = victim.head();
            let what = format!("the victim to execute past block {before}");
            until(&what, PATIENCE, async || (victim.head() > before).then_some(())).await;
        }
        victim.kill();
        victim.launch().await;
    }
    sender.send(5).await;
    let height = network.client.progression().await.expect("an answer").revealed.as_u64();
    steady.wait_height(height).await;
    victim.wait_height(height).await;
    let head = steady.head();
    until("the victim to have the same head", PATIENCE, async || {
        (victim.head() == head).then_some(())
    })
    .await;
    for number in 1..=head {
        let (ours, theirs) = (block(&steady, number), block(&victim, number));
        assert_eq!(ours["hash"], theirs["hash"], "block {number}");
        assert_eq!(ours["stateRoot"], theirs["stateRoot"], "block {number}");
    }
    for rollup in [&steady, &victim] {
        let balance = rollup.call("eth_getBalance", json!([SINK, "latest"]));
        assert_eq!(balance, format!("{:#x}", sender.nonce), "each transfer arrived once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollup_node_outlives_the_validators_that_it_follows() {
    let mut network = Network::start().await;
    let rollup = Rollup::start(&network, CHAIN, "rollup").await;
    let mut sender = Sender::new(&network);
    sender.send(5).await;
    // The one that it follows first, then another: there is always a quorum.
    for index in [0, 1] {
        network.kill(index);
        sender.send(5).await;
        network.launch(index);
        let height = network.height(3).await;
        network.wait_height(index, height).await;
    }
    let expected = format!("{:#x}", sender.nonce);
    until("every transfer to arrive", Duration::from_secs(30), async || {
        let balance = rollup.call("eth_getBalance", json!([SINK, "latest"]));
        (balance == expected).then_some(())
    })
    .await;
}
