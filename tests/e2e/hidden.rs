//! Secrets stay where they belong: not in the log of a validator, whatever its level, not in what it says when it
//! cannot use them, and nowhere else on its disk.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use conclave_node::{keys, store::SecretFiles};
use conclave_types::NetworkId;

use crate::harness::{
    load::Load,
    needles::Needles,
    network::{Network, PATIENCE, VALIDATORS, make, node_command},
    process::conclave,
    wait::until,
};

const KEYS: [&str; 4] = ["consensus", "network", "settlement", "storage"];

/// The keys that `conclave genesis` has made for a validator.
fn keys_of(validator: &Path) -> BTreeMap<String, [u8; 32]> {
    let read = |name: &&str| {
        let key = keys::read(&validator.join(format!("{name}.key"))).expect("a key file");
        ((*name).to_owned(), *key)
    };
    KEYS.iter().map(read).collect()
}

/// What a running validator keeps encrypted: shares of the key, and what its dealings and its keys as a holder follow from.
struct Kept {
    directory: PathBuf,
    files: SecretFiles,
}

impl Kept {
    fn of(network: &Network, index: usize) -> Self {
        let storage = keys::read_storage_key(&network.validator_dir(index).join("storage.key"));
        let directory = network.data_dir(index).join("secrets");
        let id: NetworkId = network.client.network().id();
        let files = SecretFiles::open(&directory, &id, &storage.expect("a key file"));
        Self { directory, files: files.expect("a directory of secrets") }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).expect("a directory reads").flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name != "draft").collect()
    }

    /// Adds what is there now. It may be gone by the time one looks.
    fn note(&self, secrets: &mut BTreeMap<String, [u8; 32]>) {
        for name in self.names() {
            if !secrets.contains_key(&name)
                && let Ok(Some(secret)) = self.files.get(&name)
            {
                secrets.insert(name, *secret);
            }
        }
    }
}

/// Every file below `directory`.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory reads").flatten();
    let paths = entries.map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Two epochs with users and a restart under the highest log level of everything that logs, then a start with another's storage key
/// and one with a damaged share.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_validator_prints_or_stores_has_a_secret_in_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let params = directory.path().join("params.json");
    let text = r#"{"sharing": {"complaint_heights": 10, "epoch_heights": 40, "era_epochs": 0}}"#;
    fs::write(&params, text).expect("a file can be written");
    let params = params.to_string_lossy();
    // As a filter it is about libraries, too.
    let level = r#"level = "trace,conclave=trace""#;
    let mut network = Network::start_edited(&["--params", &params], |_, config| {
        config.replace(r#"level = "info""#, level)
    })
    .await;
    let load = Load::start(&network.client);
    let kept: Vec<Kept> = (0..VALIDATORS).map(|index| Kept::of(&network, index)).collect();
    let mut secrets: Vec<_> =
        (0..VALIDATORS).map(|index| keys_of(&network.validator_dir(index))).collect();
    until("epoch 2 and its shares", PATIENCE * 2, async || {
        for (kept, secrets) in kept.iter().zip(&mut secrets) {
            kept.note(secrets);
        }
        let is_there = |secrets: &BTreeMap<String, [u8; 32]>| {
            let has = |prefix| secrets.keys().any(|name| name.starts_with(prefix));
            has("holder-1-") && has("holder-2-") && has("share-1-") && has("share-2-")
        };
        secrets.iter().all(is_there).then_some(())
    })
    .await;
    network.kill(1);
    network.launch(1);
    let height = network.height(0).await;
    network.wait_height(1, height + 3).await;
    load.stop().await;
    // What it cannot use is not shown either.
    for index in [2, 3] {
        network.kill(index);
    }
    let storage = network.validator_dir(2).join("storage.key");
    fs::copy(network.validator_dir(1).join("storage.key"), storage).expect("a key can be mixed up");
    let share = kept[3].names().into_iter().find(|name| name.starts_with("share-"));
    let share = kept[3].directory.join(share.expect("a share"));
    let mut bytes = fs::read(&share).expect("a secret reads");
    bytes[30] ^= 1;
    fs::write(&share, bytes).expect("a secret can be damaged");
    for index in [2, 3] {
        network.launch(index);
        assert!(!network.ended(index).await.success());
    }
    // A database that is in use has files that come and go.
    for index in [0, 1] {
        network.kill(index);
    }
    assert_hidden(&network, &secrets);
}

fn assert_hidden(network: &Network, secrets: &[BTreeMap<String, [u8; 32]>]) {
    let mut needles = Needles::default();
    for (index, secrets) in secrets.iter().enumerate() {
        for (name, secret) in secrets {
            needles.add(&format!("{name} of validator {index}"), secret);
        }
    }
    assert!(needles.count() >= VALIDATORS * 8 * 26, "{}", needles.count());
    for index in 0..VALIDATORS {
        let log = network.directory().join(format!("validator-{index}.log"));
        let (shown, length) = needles.shown_in_file(&log);
        assert_eq!(shown, [""; 0], "in the log of validator {index}");
        // It is not for want of words: every message of the sharing is told of, and what libraries do.
        assert!(length > 1 << 20, "{length} bytes of log");
        let is_key = |path: &PathBuf| path.extension().is_some_and(|end| end == "key");
        for path in files_below(&network.validator_dir(index)) {
            if !is_key(&path) {
                let (shown, _) = needles.shown_in_file(&path);
                assert_eq!(shown, [""; 0], "in {}", path.display());
            }
        }
    }
    let mine = network.validator_dir(0).join("consensus.key");
    assert!(!needles.shown_in_file(&mine).0.is_empty(), "a key is found where it is");
}

/// A key file that is damaged in any way is refused without a word of what is in it.
#[test]
fn a_key_that_cannot_be_used_is_not_shown() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a temporary directory");
    make(&directory.path().join("net"), 0);
    let validator = directory.path().join("net/validator-0");
    let keys = keys_of(&validator);
    let mut needles = Needles::default();
    keys.iter().for_each(|(name, key)| needles.add(name, key));
    let assert_silent = |what: &str, output: std::process::Output| {
        assert!(!output.status.success(), "{what}");
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(needles.shown_in(&said), [""; 0], "{what}: {}", String::from_utf8_lossy(&said));
        assert!(!said.is_empty(), "{what}: it says why");
    };
    for (name, key) in &keys {
        let path = validator.join(format!("{name}.key"));
        let good = fs::read_to_string(&path).expect("a key file");
        let digits = good.trim();
        let cases: [(&str, Vec<u8>, u32); 6] = [
            ("a letter that is no digit", format!("{}g\n", &digits[..63]).into(), 0o600),
            ("a digit too few", digits[..63].into(), 0o600),
            ("twice", format!("{digits}{digits}").into(), 0o600),
            ("as JSON", format!("{{\"key\": \"{digits}\"}}").into(), 0o600),
            ("bytes", key.to_vec(), 0o600),
            ("for all to read", good.clone().into(), 0o644),
        ];
        for (what, text, mode) in cases {
            fs::write(&path, text).expect("a key can be damaged");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            let mut command = node_command(directory.path(), 0, &[]);
            command.env("RUST_BACKTRACE", "full");
            assert_silent(&format!("{name}: {what}"), command.output().expect("conclave runs"));
        }
        fs::write(&path, good).expect("a key can be restored");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    // A payer's, and the one of an account on L1.
    let bad = directory.path().join("bad.key");
    let digits: String = keys["consensus"].iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&bad, format!("{digits}g")).expect("a file can be written");
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o600)).expect("a mode");
    let (bad, url) = (bad.to_string_lossy(), "http://127.0.0.1:1");
    let submit = ["submit", "--node", url, "--payer-key", &bad, "--leg", "901:0x00"];
    assert_silent("submit", conclave(&submit));
    let devnet = ["devnet", "--blocks", "1", "--l1", url, "--l1-account-key", &bad];
    assert_silent("devnet", conclave(&devnet));
}
