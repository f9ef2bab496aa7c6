//! Validators die without a warning and come back.

use std::collections::BTreeMap;

use conclave_types::{Height, ValidatorIndex};

use crate::harness::{
    load::Load,
    network::{Network, VALIDATORS},
    oracle,
    process::{complaint, conclave},
};

#[tokio::test(flavor = "multi_thread")]
async fn one_of_four_killed_under_load_halts_nothing_and_catches_up() {
    let mut network = Network::start().await;
    let load = Load::start(&network.client);
    load.wait(30).await;
    for _ in 0..2 {
        network.kill(3);
        let height = network.height(0).await;
        network.wait_height(0, height + 8).await;
        load.wait(30).await;
        network.launch(3);
        let height = network.height(0).await;
        network.wait_height(3, height).await;
        network.wait_status(3, "it signs again", |status| status.signing).await;
    }
    let promises = load.stop().await;
    oracle::drained(&network).await;
    let places = oracle::check(&network).await;
    oracle::assert_kept(&places, &promises, &[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_killed_at_once_go_on_from_where_they_were() {
    let mut network = Network::start().await;
    let load = Load::start(&network.client);
    load.wait(60).await;
    let before = network.height(0).await;
    let mut ids = BTreeMap::new();
    for height in 1..=before {
        let block = network.clients[0].block(Height::new(height)).await.expect("a decided block");
        ids.insert(height, block.decided.header.id());
    }
    network.restart_all();
    for index in 0..VALIDATORS {
        network.wait_height(index, before + 10).await;
        network.wait_status(index, "it signs again", |status| status.signing).await;
    }
    load.wait(30).await;
    // What was only in pools is gone with them; the users' wallets hand it in again.
    let settled = load.settle().await;
    for (height, id) in ids {
        let block = network.clients[2].block(Height::new(height)).await.expect("a decided block");
        assert_eq!(block.decided.header.id(), id, "height {height} was decided before the crash");
    }
    // Every decided bundle is delivered exactly once to each of its rollups: the oracle's business.
    let places = oracle::check(&network).await;
    assert!(places.len() >= settled, "{} places for {settled} bundles", places.len());
    verify_archives(&mut network);
}

/// `conclave verify` re-derives what the validators wrote, without asking them.
fn verify_archives(network: &mut Network) {
    let genesis = network.genesis_file();
    for index in [0, 3] {
        network.kill(index);
        let data = network.data_dir(index);
        let arguments = [
            "verify",
            "--data-dir",
            &data.to_string_lossy(),
            "--genesis",
            &genesis.to_string_lossy(),
            "--json",
        ]
        .map(str::to_owned);
        let found = conclave(&arguments.each_ref().map(String::as_str));
        let printed = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(found.status.success(), "validator {index}: {printed}{}", complaint(&found));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_with_an_emptied_disk_follows_and_does_not_sign() {
    let mut network = Network::start().await;
    let load = Load::start(&network.client);
    load.wait(30).await;
    network.kill(2);
    std::fs::remove_dir_all(network.data_dir(2)).expect("a disk can be emptied");
    std::fs::create_dir(network.data_dir(2)).expect("a new disk");
    network.launch(2);
    let height = network.height(0).await;
    network.wait_height(2, height).await;
    let status = network.wait_status(2, "an answer", |_| true).await;
    assert!(!status.signing, "a validator that may have signed anything signs nothing");
    assert!(!status.not_signing_reason.is_empty(), "it says why");
    let from = network.height(0).await + 1;
    load.wait(30).await;
    network.wait_height(0, from + 10).await;
    load.stop().await;
    oracle::check(&network).await;
    for height in from..=from + 10 {
        let block = network.clients[0].block(Height::new(height)).await.expect("a decided block");
        let signers = block.decided.certificate.signatures.iter().map(|(index, _)| *index);
        assert!(
            !signers.into_iter().any(|index| index == ValidatorIndex::new(2)),
            "height {height}"
        );
        assert_ne!(block.decided.header.proposer, ValidatorIndex::new(2), "height {height}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_with_lost_state_signs_again_only_where_it_cannot_have_signed() {
    let mut network = Network::start().await;
    let load = Load::start(&network.client);
    load.wait(30).await;
    network.kill(2);
    // It may have signed up to two heights above what was decided when it died.
    let died = network.height(0).await;
    std::fs::remove_dir_all(network.data_dir(2)).expect("a disk can be emptied");
    std::fs::create_dir(network.data_dir(2)).expect("a new disk");
    let mut known = died;
    for index in [0, 1, 3] {
        network.wait_height(index, died + 10).await;
        known = known.max(network.height(index).await);
    }
    network.launch_with(2, &["--lost-state", &died.to_string()]);
    network.wait_status(2, "it signs again", |status| status.signing).await;
    let signed = signed_by(&network, ValidatorIndex::new(2), died + 3).await;
    // A quorum had decided at least `known` when it was asked, so nothing up to two above is signed.
    assert!(signed > known + 2, "height {signed} is signed, {known} was decided before");
    load.settle().await;
    oracle::drained(&network).await;
    oracle::check(&network).await;
}

/// The first height from `from` on whose certificate holds a signature of `validator`; waits for it.
async fn signed_by(network: &Network, validator: ValidatorIndex, from: u64) -> u64 {
    let mut height = from;
    loop {
        network.wait_height(0, height).await;
        let block = network.clients[0].block(Height::new(height)).await.expect("a decided block");
        let mut signers = block.decided.certificate.signatures.iter();
        if signers.any(|(signer, _)| *signer == validator) {
            return height;
        }
        height += 1;
    }
}
