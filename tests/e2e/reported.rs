//! What a validator did wrong, out of the nodes and onto L1, by the nodes themselves.

use std::{path::Path, time::Duration};

use conclave_node::l1::{
    Contracts, Endpoints, Fees, Patience, Sender,
    evidence::{self, Record},
};
use conclave_types::Genesis;
use serde_json::{Value, json};

use crate::{
    harness::{l1::L1, network::Network, transactions::DEV_KEYS, wait::until},
    relay::{OFTEN, opened_with},
};

const STAKE_GWEI: u64 = 32_000_000_000;
/// A proposal of its, its height's settlement, two turns, and two transactions.
const PATIENCE: Duration = Duration::from_secs(120);

fn genesis(network: &Network) -> Genesis {
    let text = std::fs::read(network.genesis_file()).expect("a genesis");
    serde_json::from_slice(&text).expect("a genesis")
}

fn standing(l1: &L1, genesis: &Path, validator: u32) -> Value {
    let (genesis, number) = (genesis.to_string_lossy(), validator.to_string());
    l1.run(&["stake", "status", "--genesis", &genesis, "--validator", &number])
}

async fn witness(l1: &L1, genesis: &Genesis) -> (Sender, Contracts) {
    let endpoints = Endpoints::connect(&[l1.url()], None, Patience::default()).await;
    let endpoints = endpoints.expect("the L1 answers");
    let stake = (*genesis.l1_contract.as_bytes()).into();
    let contracts = Contracts::find(&endpoints, stake).await.expect("contracts");
    let signer = DEV_KEYS[0].parse().expect("a well-known key");
    (Sender::new(endpoints, signer, Fees::default()), contracts)
}

async fn convictions(l1: &L1, network: &Network, validator: u32) -> Vec<Record> {
    let (sender, contracts) = witness(l1, &genesis(network)).await;
    let found = evidence::convictions(sender.endpoints(), &contracts, validator).await;
    found.expect("an answer")
}

/// Whoever misbehaves like that loses its stake for an offence of that kind, and nobody else any.
async fn reported(behaviour: &str, kind: u8) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (l1, mut network) = opened_with(directory.path(), 10_000, OFTEN).await;
    let file = network.genesis_file();
    assert_eq!(standing(&l1, &file, 4)["bonded_gwei"], json!(STAKE_GWEI));
    network.kill(3);
    network.launch_byzantine(3, behaviour);
    until("the offender to be accused", PATIENCE, async || {
        (standing(&l1, &file, 4)["accused"] == json!(true)).then_some(())
    })
    .await;
    let after = standing(&l1, &file, 4);
    let amounts = (&after["bonded_gwei"], &after["escrow_gwei"], &after["tombstoned"]);
    assert_eq!(amounts, (&json!(0), &json!(STAKE_GWEI), &json!(true)), "{after}");
    let found = convictions(&l1, &network, 4).await;
    assert!(!found.is_empty() && found.iter().all(|record| record.kind == kind), "{found:?}");
    for other in 1..=3 {
        let standing = standing(&l1, &file, other);
        let amounts = (&standing["bonded_gwei"], &standing["accused"]);
        assert_eq!(amounts, (&json!(STAKE_GWEI), &json!(false)), "{standing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_proposes_twice_in_a_round_loses_its_stake() {
    reported("twin-proposals", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_attests_another_history_besides_loses_its_stake() {
    reported("double-attestations", 4).await;
}
