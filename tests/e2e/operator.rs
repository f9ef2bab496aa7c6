//! What an operator gets wrong, and what a disk does: refused by name, with the remedy, and nothing lost.

use std::{fs, path::PathBuf};

use conclave_client::Level;
use conclave_types::BundleNonce;

use crate::harness::{
    load::Load,
    network::{Network, PATIENCE, make, node_command, payers},
    oracle,
    process::{complaint, conclave},
    wait::until,
};

/// Runs a validator that cannot run; what it says.
fn refusal(root: &std::path::Path, index: usize) -> String {
    let output = node_command(root, index, &[]).output().expect("conclave runs");
    assert_eq!(output.status.code(), Some(1), "{}", complaint(&output));
    complaint(&output)
}

#[test]
fn a_bad_configuration_is_refused_as_a_whole_and_by_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    make(&directory.path().join("net"), 0);
    let validator = directory.path().join("net/validator-0");
    let config = validator.join("config.toml");
    let good = fs::read_to_string(&config).expect("a configuration");
    let cases = [
        ("an unknown key", good.replace("streams_max", "stream_max"), vec!["stream_max"]),
        ("an unknown table", format!("{good}\n[p2q]\nlisten = 1\n"), vec!["p2q"]),
        ("a wrong type", good.replace("threads = 0", "threads = \"all\""), vec!["threads"]),
        ("no TOML", "data_dir = [".to_owned(), vec!["config.toml"]),
        ("nothing", String::new(), vec!["data_dir"]),
        (
            "two problems at once",
            good.replace("streams_max = 1024", "streams_max = 0")
                .replace("storage.key", "lost.key"),
            vec!["grpc.streams_max", "keys.storage", "restore it from your backup"],
        ),
    ];
    for (what, text, words) in cases {
        assert_ne!(text, good, "{what}: the case changes something");
        fs::write(&config, text).expect("a configuration can be written");
        let said = refusal(directory.path(), 0);
        for word in words {
            assert!(said.contains(word), "{what}: {said}");
        }
        assert!(!validator.join("data/db").exists(), "{what}: nothing was opened");
    }
}

/// c below f: as many as may fail could read everything early. Refused where a network is made, and where it is run.
#[test]
fn a_network_whose_faulty_could_read_early_is_refused_with_what_there_is_instead() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (net, params) = (directory.path().join("net"), directory.path().join("params.json"));
    let words = ["f = 3", "c = 2", "sharing.secrecy", "choose an even number from 4 to 6"];
    let genesis = |secrecy| {
        fs::write(&params, format!(r#"{{"sharing": {{"secrecy": {secrecy}}}}}"#))
            .expect("parameters");
        let (net, params) = (net.to_string_lossy(), params.to_string_lossy());
        conclave(&["genesis", "--out", &net, "--validators", "10", "--params", &params])
    };
    let made = genesis(2);
    let said = complaint(&made);
    assert_eq!(made.status.code(), Some(1), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert!(!net.exists(), "nothing is written");
    let made = genesis(4);
    assert!(made.status.success(), "{}", complaint(&made));
    let file = net.join("genesis.json");
    let text = fs::read_to_string(&file).expect("a genesis");
    let edited = text.replace(r#""secrecy": 4"#, r#""secrecy": 2"#);
    assert_ne!(edited, text);
    fs::write(&file, edited).expect("a genesis can be edited");
    // As a full node: a validator would not even sign for another network than it was made for.
    let config = net.join("validator-0/config.toml");
    let text = fs::read_to_string(&config).expect("a configuration");
    let of_validators = ["consensus =", "settlement =", "storage ="];
    let keeps = |line: &&str| !of_validators.iter().any(|key| line.starts_with(key));
    let text = text.lines().filter(keeps).collect::<Vec<_>>().join("\n");
    fs::write(&config, text).expect("a configuration can be written");
    fs::remove_dir_all(net.join("validator-0/data")).expect("what it has signed can go");
    let said = refusal(directory.path(), 0);
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a temporary directory");
    make(&directory.path().join("net"), 0);
    let key = directory.path().join("net/validator-0/consensus.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mode");
    let said = refusal(directory.path(), 0);
    assert!(said.contains("consensus.key") && said.contains("chmod 600"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_another_network_is_refused() {
    let mut network = Network::start().await;
    let ours = network.client.network().id().to_string();
    let other = network.directory().join("other");
    make(&other, 0);
    network.kill(0);
    let (genesis, foreign) = (network.genesis_file(), other.join("genesis.json"));
    let kept = fs::read(&genesis).expect("a genesis");
    fs::copy(&foreign, &genesis).expect("copies");
    let said = refusal(network.directory(), 0);
    assert!(said.contains(&ours), "it names the network of the directory: {said}");
    fs::write(&genesis, kept).expect("restores");
    network.launch(0);
    let height = network.height(1).await;
    network.wait_height(0, height).await;
}

/// The write-ahead log that is being written.
fn newest_log(network: &Network, index: usize) -> PathBuf {
    let files = fs::read_dir(network.data_dir(index).join("db")).expect("a database").flatten();
    let logs =
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "log"));
    logs.max().expect("a database has a log")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_log_never_leads_to_a_second_signature() {
    let mut network = Network::start().await;
    let load = Load::start(&network.client);
    let height = network.height(1).await;
    network.wait_height(1, height + 20).await;
    network.kill(1);
    let log = newest_log(&network, 1);
    let mut bytes = fs::read(&log).expect("a log");
    assert!(bytes.len() > 4_096, "there is something to damage");
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 64] {
        *byte ^= 0x5a;
    }
    fs::write(&log, bytes).expect("a log can be damaged");
    network.launch(1);
    // Records that were synced are gone. It follows again; what it signed before it must not sign anew.
    let height = network.height(0).await;
    network.wait_height(1, height + 10).await;
    network.wait_status(1, "it signs above its mark", |status| status.signing).await;
    load.stop().await;
    oracle::check(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_of_the_log_is_what_a_crash_leaves() {
    let mut network = Network::start().await;
    let load = Load::start(&network.client);
    let height = network.height(1).await;
    network.wait_height(1, height + 10).await;
    network.kill(1);
    let log = newest_log(&network, 1);
    let file = fs::OpenOptions::new().append(true).open(&log).expect("a log");
    std::io::Write::write_all(&mut &file, &[0x5a; 37]).expect("a torn record");
    network.launch(1);
    let height = network.height(0).await;
    network.wait_height(1, height + 5).await;
    network.wait_status(1, "it signs", |status| status.signing).await;
    load.stop().await;
    oracle::check(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_signer_state_is_refused_with_the_remedy() {
    let mut network = Network::start().await;
    network.kill(2);
    let state = network.data_dir(2).join("signer.state");
    let length = fs::read(&state).expect("a signer state").len();
    fs::write(&state, vec![0x5a; length]).expect("a signer state can be damaged");
    let said = refusal(network.directory(), 2);
    assert!(said.contains("signer.state") && said.contains("must not sign"), "{said}");
    assert!(said.contains("move the file away"), "it says how to go on: {said}");
    fs::remove_file(&state).expect("as it was told");
    network.launch(2);
    let height = network.height(0).await;
    network.wait_height(2, height).await;
    assert!(!network.wait_status(2, "an answer", |_| true).await.signing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_a_validator_and_nothing_is_lost() {
    let mut network = Network::start().await;
    network.kill(3);
    // No file may grow beyond this many KiB; a write beyond it fails as on a full disk.
    let limit = "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\"";
    network.launch_under(3, &["bash", "-c", limit]);
    let load = Load::start(&network.client);
    let status = network.ended(3).await;
    assert_eq!(status.code(), Some(1), "it stops in order");
    let said = network.log(3);
    assert!(said.contains("cannot write to the database"), "{said}");
    assert!(said.contains("Check free space"), "it says what to do: {said}");
    let height = network.height(0).await;
    network.wait_height(0, height + 5).await;
    network.launch(3);
    let height = network.height(0).await;
    network.wait_height(3, height).await;
    network.wait_status(3, "it signs again", |status| status.signing).await;
    let promises = load.stop().await;
    oracle::drained(&network).await;
    let places = oracle::check(&network).await;
    oracle::assert_kept(&places, &promises, &[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_json_on_request() {
    let mut network = Network::start().await;
    network.kill(1);
    let (config, before) = (network.validator_dir(1).join("config.toml"), network.log(1).len());
    let text = fs::read_to_string(&config).expect("a configuration");
    fs::write(&config, text.replace("json = false", "json = true")).expect("writes");
    network.launch(1);
    let height = network.height(0).await;
    network.wait_height(1, height + 3).await;
    network.kill(1);
    let log = network.log(1);
    let lines = log[before..].lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}"))
    });
    let lines: Vec<_> = lines.collect();
    assert!(lines.iter().any(|line| line["message"] == "decided"), "it tells of blocks");
}

#[test]
fn every_subcommand_explains_itself_with_examples() {
    let commands = [
        "genesis",
        "node",
        "devnet",
        "submit",
        "status",
        "verify",
        "bench",
        "force",
        "deposit",
        "l1 deploy",
        "l1 register-rollup",
        "l1 show",
        "evidence export",
        "evidence submit",
        "secrets rekey",
        "escape status",
        "escape latch",
        "escape resume",
        "stake new-key",
        "stake register",
        "stake deposit",
        "stake delegate",
        "stake unbond",
        "stake claim",
        "stake rotate",
        "stake exit",
        "stake unjail",
        "stake status",
    ];
    for command in commands {
        let words: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let help = conclave(&words);
        assert!(help.status.success(), "{command}");
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        assert!(text.contains("Examples:"), "{command} --help has no examples");
    }
    let told = |command| {
        let help = conclave(&[command, "--help"]).stdout;
        String::from_utf8_lossy(&help).into_owned()
    };
    assert!(told("verify").contains("Exits with 0 if everything is as it must be"));
    assert!(told("genesis").contains("nobody ever holds it"));
    let wrong = conclave(&["devnett"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(complaint(&wrong).contains("devnet"), "{}", complaint(&wrong));
}

#[tokio::test(flavor = "multi_thread")]
async fn submit_and_status_speak_json() {
    let network = Network::start().await;
    let key = network.directory().join("payer.key");
    fs::write(&key, crate::harness::transactions::DEV_KEYS[1]).expect("a key file");
    let key = key.to_string_lossy();
    let url = network.endpoints[1].as_str();
    let arguments = ["submit", "--node", url, "--payer-key", &key, "--json"];
    let legs = ["--leg", "901:0x0102", "--leg", "902:0x03"];
    let submitted = conclave(&[&arguments[..], &legs[..]].concat());
    assert!(submitted.status.success(), "{}", complaint(&submitted));
    let submitted: serde_json::Value = serde_json::from_slice(&submitted.stdout).expect("JSON");
    let id = submitted["bundle_id"].as_str().expect("an id").parse().expect("an id");
    // The command waited for the validator that it was given; this client asks another one first.
    let opened = network.client.wait(id, Level::Revealed, PATIENCE).await.expect("revealed");
    let legs = opened.progress;
    assert_eq!(legs.opened().expect("revealed").legs.as_ref().map(Vec::len), Ok(2));
    let unknown = conclave(&[&arguments[..], &["--leg", "555:0x01"]].concat());
    assert!(!unknown.status.success() && complaint(&unknown).contains("555"));

    let status = conclave(&["status", "--node", url, "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status[0]["validator"], 1);
    assert_eq!(status[0]["signing"], true);
    let nobody = conclave(&["status", "--node", "http://127.0.0.1:1", "--json"]);
    assert_eq!(nobody.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_follows_without_keys_and_takes_no_bundles() {
    let mut network = Network::start().await;
    network.kill(0);
    let validator = network.validator_dir(0);
    // The same directory without its secrets, and with an identity that the genesis does not know.
    let config = fs::read_to_string(validator.join("config.toml")).expect("a configuration");
    let config: String = config
        .lines()
        .filter(|line| !line.starts_with("consensus =") && !line.starts_with("storage ="))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(validator.join("config.toml"), config).expect("writes");
    fs::write(validator.join("network.key"), "11".repeat(32)).expect("a new identity");
    fs::remove_dir_all(network.data_dir(0)).expect("an empty disk");
    fs::create_dir(network.data_dir(0)).expect("an empty disk");
    network.launch(0);
    let height = network.height(1).await;
    network.wait_height(0, height + 5).await;
    let status = network.wait_status(0, "an answer", |_| true).await;
    assert_eq!((status.validator, status.signing), (-1, false));
    let nonce = BundleNonce { lane: 0, sequence: 0 };
    let leg =
        conclave_types::Leg { rollup: conclave_types::RollupId::new(901), transaction: vec![1] };
    let payer = &payers()[0];
    let sealed = network.clients[1].seal(payer, nonce, &[leg], &Default::default()).await;
    let refused =
        network.clients[0].submit(&sealed.expect("seals")).await.expect_err("no validator");
    assert!(refused.to_string().contains("no validator"), "{refused}");
    until("nobody to miss it", PATIENCE, async || network.status(1).await.map(drop)).await;
    oracle::check(&network).await;
}
