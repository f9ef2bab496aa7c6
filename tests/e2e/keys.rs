//! The threshold key: made by the validators, handed on, and nowhere else.

use std::{collections::BTreeMap, fs, path::Path};

use conclave_types::{HeightDelta, KeyId, Params, proto::v1::GetStatusResponse};

use crate::harness::{
    load::Load,
    network::{Network, PATIENCE, VALIDATORS},
    oracle,
    process::{complaint, conclave},
};

/// Writes parameters under which a key is handed on every `epoch_heights` heights, and another one made after
/// `era_epochs` times that.
fn params(directory: &Path, epoch_heights: u64, era_epochs: u64) -> String {
    let mut params = Params::default();
    params.sharing.complaint_heights = HeightDelta::new(10);
    params.sharing.epoch_heights = HeightDelta::new(epoch_heights);
    params.sharing.era_epochs = era_epochs;
    params.sharing.overlap_heights = HeightDelta::new(20);
    let path = directory.join("params.json");
    let text = serde_json::to_vec(&params).expect("parameters are JSON");
    fs::write(&path, text).expect("a file can be written");
    path.to_string_lossy().into_owned()
}

/// A validator's secrets, by name.
fn secrets(network: &Network, index: usize) -> BTreeMap<String, Vec<u8>> {
    let directory = network.data_dir(index).join("secrets");
    let entries = fs::read_dir(directory).expect("a validator keeps secrets");
    entries
        .map(|entry| {
            let entry = entry.expect("a directory reads");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("a secret reads"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_through_crashes_and_no_genesis_has_it() {
    let mut network = Network::start_with(&[]).await;
    // In the middle of it, two validators die, one after the other, and come back.
    for index in [1, 2] {
        network.kill(index);
        network.launch(index);
        network.wait_status(index, "an answer", |_| true).await;
    }
    let key = network.client.wait_for_key(PATIENCE).await.expect("the validators make a key").id();
    for index in 0..VALIDATORS {
        let status = network.wait_status(index, "epoch 1", |status| status.epoch == 1).await;
        assert_eq!(KeyId::from_slice(&status.key_id), Ok(key));
    }
    let genesis = fs::read_to_string(network.genesis_file()).expect("the genesis reads");
    assert!(genesis.contains("\"encryption_key\": null"), "nobody dealt a key");
    let load = Load::start(&network.client);
    load.wait(30).await;
    let promises = load.stop().await;
    oracle::drained(&network).await;
    oracle::assert_kept(&oracle::check(&network).await, &promises, &[]);
}

/// Goes through two ends of epochs, with a validator that crashes after the first; everyone's status then.
async fn into_epoch_3(network: &mut Network) -> Vec<GetStatusResponse> {
    for index in 0..VALIDATORS {
        network.wait_status(index, "epoch 2", |status| status.epoch >= 2).await;
    }
    network.kill(3);
    network.launch(3);
    let mut statuses = Vec::new();
    for index in 0..VALIDATORS {
        statuses.push(network.wait_status(index, "epoch 3", |status| status.epoch >= 3).await);
    }
    statuses
}

fn furthest(statuses: &[GetStatusResponse]) -> u64 {
    statuses.iter().map(|status| status.decided_height).max().unwrap_or_default()
}

/// Stops a validator, and derives again all that it has kept.
fn assert_verified(network: &mut Network) {
    network.kill(0);
    let data = network.data_dir(0);
    let verified = conclave(&["verify", "--data-dir", &data.to_string_lossy()]);
    assert!(verified.status.success(), "{}", complaint(&verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_handed_on_with_bundles_in_flight_and_old_shares_are_gone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let params = params(directory.path(), 60, 0);
    let mut network = Network::start_with(&["--params", &params]).await;
    let key = network.client.wait_for_key(PATIENCE).await.expect("the validators make a key").id();
    let load = Load::start(&network.client);
    let statuses = into_epoch_3(&mut network).await;
    for status in &statuses {
        assert_eq!(KeyId::from_slice(&status.key_id), Ok(key), "the key stays the same");
    }
    let decided = furthest(&statuses);
    // A share is kept for a while after its epoch, for those who are behind.
    for index in 0..VALIDATORS {
        network.wait_height(index, decided + 70).await;
    }
    let promises = load.stop().await;
    for index in 0..VALIDATORS {
        let secrets = secrets(&network, index);
        let is_first = |name: &String| name.starts_with("share-1-");
        assert!(!secrets.keys().any(is_first), "validator {index} has {:?}", secrets.keys());
        assert!(secrets.keys().any(|name| name.starts_with("share-")), "{:?}", secrets.keys());
        assert!(secrets.values().all(|bytes| bytes.len() == 24 + 32 + 16), "encrypted, each alone");
    }
    oracle::drained(&network).await;
    oracle::assert_kept(&oracle::check(&network).await, &promises, &[3]);
    assert_verified(&mut network);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_era_has_a_key_of_its_own_and_no_bundle_is_lost_with_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let params = params(directory.path(), 40, 1);
    let mut network = Network::start_with(&["--params", &params]).await;
    let first = network.client.wait_for_key(PATIENCE).await.expect("the validators make a key");
    let load = Load::start(&network.client);
    let decided = furthest(&into_epoch_3(&mut network).await);
    load.wait(30).await;
    let newest = network.client.wait_for_key(PATIENCE).await.expect("a quorum vouches for it");
    assert!(newest.era().as_u32() >= 2 && newest.id() != first.id(), "{newest:?}");
    // Whatever came back was sealed again, and opened.
    assert!(load.settle().await > 0);
    for index in 0..VALIDATORS {
        network.wait_height(index, decided + 70).await;
        let secrets = secrets(&network, index);
        let is_old = |name: &String| name.starts_with("share-1-") || name.starts_with("share-2-");
        assert!(!secrets.keys().any(is_old), "validator {index} has {:?}", secrets.keys());
    }
    oracle::drained(&network).await;
    oracle::check(&network).await;
    assert_verified(&mut network);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_under_another_storage_key_are_refused_by_name() {
    let mut network = Network::start().await;
    network.wait_status(2, "epoch 1", |status| status.epoch == 1).await;
    network.kill(2);
    let file = network.validator_dir(2).join("storage.key");
    let other = network.validator_dir(1).join("storage.key");
    fs::copy(other, file).expect("a key can be mixed up");
    network.launch(2);
    assert!(!network.ended(2).await.success());
    let log = network.log(2);
    assert!(log.contains("does not open with this keys.storage"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rekey_waits_for_the_node_to_stop_and_erases_the_old_key_when_it_is_told_to() {
    let mut network = Network::start().await;
    network.wait_status(2, "epoch 1", |status| status.epoch == 1).await;
    let (validator, medium) = (network.validator_dir(2), network.directory().join("medium"));
    let (link, key) = (validator.join("storage.key"), medium.join("storage.key"));
    let (old, config) = (medium.join("storage.key.old"), validator.join("config.toml"));
    fs::create_dir(&medium).expect("a directory");
    fs::rename(&link, &key).expect("a key can be moved");
    std::os::unix::fs::symlink(&key, &link).expect("a link");
    let before = fs::read(&key).expect("a key");
    let config = config.to_str().expect("a path in UTF-8");
    let rekey = |option: &[&str], is_done: bool, words: &str| {
        let run = conclave(&[&["secrets", "rekey", "--config", config], option].concat());
        let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), complaint(&run));
        assert_eq!(run.status.success(), is_done, "{said}");
        assert!(said.contains(words), "{said}");
    };
    rekey(&[], false, "a node is running on");
    rekey(&["--erase-old"], false, "a node is running on");
    assert_eq!((fs::read(&key).expect("a key"), old.exists()), (before.clone(), false));

    network.kill(2);
    rekey(&["--erase-old"], false, "there is no");
    rekey(&[], true, "make a backup of it");
    assert_ne!(fs::read(&key).expect("a key"), before);
    assert_eq!(fs::read(&old).expect("the old key"), before);
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    rekey(&[], false, "nothing was changed");

    network.launch(2);
    let height = network.height(0).await;
    network.wait_height(2, height).await;
    assert!(network.log(2).contains("an old storage key is there"));
    network.kill(2);
    rekey(&["--erase-old"], true, "is overwritten and removed");
    assert!(!old.exists());
    network.launch(2);
    let height = network.height(0).await;
    network.wait_height(2, height).await;
}
