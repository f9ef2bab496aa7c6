//! What a validator did wrong, out of a node and onto L1: by the nodes themselves, and by hand.

use std::{path::Path, time::Duration};

use conclave_contracts::{ConclaveInbox, posting::posting};
use conclave_node::{
    l1::{
        Call,
        evidence::{self, Record},
    },
    store::RocksStore,
};
use conclave_sequencer::archive::{self, EvidenceCursor, Kept, Posting};
use conclave_types::{Committee, Height};
use serde_json::{Value, json};

use crate::{
    harness::{
        l1::L1,
        network::Network,
        process::{complaint, conclave},
        wait::until,
    },
    relay::{OFTEN, opened_with},
};

const STAKE_GWEI: u64 = 32_000_000_000;
/// A proposal of its, its height's settlement, two turns, and two transactions.
const PATIENCE: Duration = Duration::from_secs(120);
/// They post the end of epoch 0, and then nothing for a day.
const SELDOM: &str = "every_heights = 1000000\nevery_seconds = 86400\ntakeover_seconds = 2\n";

fn standing(l1: &L1, genesis: &Path, validator: u32) -> Value {
    let (genesis, number) = (genesis.to_string_lossy(), validator.to_string());
    l1.run(&["stake", "status", "--genesis", &genesis, "--validator", &number])
}

async fn convictions(l1: &L1, network: &Network, validator: u32) -> Vec<Record> {
    let (sender, contracts) = l1.witness(&network.genesis()).await;
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

/// Heights of which a node keeps shares of another block, and has the certificate of the chain's.
fn shared(store: &RocksStore) -> Option<Height> {
    let (kept, _) = archive::evidence(store, &EvidenceCursor::at(Height::ZERO), 1_024).ok()?;
    let mut heights = kept.iter().filter_map(|kept| match kept {
        Kept::StrayShares(shares) => Some(shares.height),
        Kept::Equivocation(_) | Kept::WrongShares(_) | Kept::DoubleAttestation(_) => None,
    });
    heights.find(|height| archive::certificate(store, *height).is_ok_and(|found| found.is_some()))
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_of_a_block_that_is_not_the_chains_are_exported_and_submitted_by_hand() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (l1, mut network) = opened_with(directory.path(), 10_000, SELDOM).await;
    let begun = network.wait_l1(0, "epoch 1 is in office", |l1| l1.settled_height > 0).await;
    network.kill(3);
    network.launch_byzantine(3, "early-share");
    let genesis = network.genesis();
    let open = || {
        let database = network.data_dir(0).join("db");
        // A file of it may go while it is opened, as the node works on it.
        RocksStore::open_read_only(&database, &genesis.network_id()).ok()
    };
    let height = until("shares of no block to be kept", PATIENCE, async || shared(&open()?)).await;
    let settled = Height::new(begun.settled_height);
    let found = async || archive::posting(&open()?, settled, height).ok();
    let found = until("the archive to be read", PATIENCE, found).await;
    // Nobody is left who would report by itself.
    for index in [1, 2, 3] {
        network.kill(index);
    }

    let [data, file, out] =
        [network.data_dir(0), network.genesis_file(), directory.path().join("out")];
    let [data, file, out] = [data, file, out].map(|path| path.to_string_lossy().into_owned());
    let export = ["evidence", "export", "--data-dir", &data, "--genesis", &file, "--out", &out];
    let exported = conclave(&export);
    assert!(exported.status.success(), "{}", complaint(&exported));
    let told: Value = serde_json::from_slice(&exported.stdout).expect("one piece, as JSON");
    assert_eq!((&told["validators"], &told["height"]), (&json!([3]), &json!(height.as_u64())));
    let piece = told["file"].as_str().expect("a path");

    let key = l1.key(0);
    let submit = ["evidence", "submit", "--genesis", &file, "--account-key", &key, piece];
    let said = l1.refusal(&submit);
    assert!(said.contains("name a node that has it, with --node URL"), "{said}");
    let node = &network.endpoints[0];
    let submit = [&submit[..], &["--node", node, "--timeout", "1"]].concat();
    let said = l1.refusal(&submit);
    assert!(said.contains("has not settled"), "{said}");

    let Posting { certificate, peaks, added } = found.expect("it is certified and not settled");
    let committee = Committee::new(genesis.members.clone()).expect("a committee");
    let posting = posting(&certificate, (&peaks, &added), &committee).expect("a quorum signed");
    let (sender, contracts) = l1.witness(&genesis).await;
    let commit = Call::new(contracts.inbox, &ConclaveInbox::commitCall { posting });
    sender.send(commit).await.expect("anybody may post");
    assert_eq!(standing(&l1, Path::new(&file), 4)["bonded_gwei"], json!(STAKE_GWEI));
    let submit = [&submit[..submit.len() - 1], &["60"]].concat();
    let report = l1.run(&submit);
    assert_eq!((&report["validator"], &report["seized_gwei"]), (&json!(4), &json!(STAKE_GWEI)));
    let after = standing(&l1, Path::new(&file), 4);
    let amounts = (&after["bonded_gwei"], &after["escrow_gwei"], &after["accused"]);
    assert_eq!(amounts, (&json!(0), &json!(STAKE_GWEI), &json!(true)), "{after}");
    let kinds: Vec<_> = convictions(&l1, &network, 4).await.iter().map(|case| case.kind).collect();
    assert_eq!(kinds, [5]);
}
