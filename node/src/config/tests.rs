//! Bad configurations: each error names the key and the remedy.

use super::*;

const GOOD: &str = r#"
data_dir = "data"
genesis = "genesis.json"
[keys]
network = "network.key"
[p2p]
listen = "/ip4/127.0.0.1/tcp/0"
[grpc]
listen = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"
"#;

fn load(text: &str) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    for name in ["genesis.json", "network.key"] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    let path = directory.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

fn problems(text: &str) -> Vec<&'static str> {
    match load(text) {
        Err(ConfigError::Invalid { problems, .. }) => problems.iter().map(|p| p.key).collect(),
        other => panic!("expected problems, found {other:?}"),
    }
}

#[test]
fn a_full_node_needs_little_and_paths_are_relative_to_the_file() {
    let config = load(GOOD).unwrap();
    assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("data"));
    assert_eq!(config.p2p.full_peers_max, 16);
    assert_eq!(config.keys.consensus, None);
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = load(&GOOD.replace("[grpc]", "[grpc]\nlistne = 1")).unwrap_err();
    let text = crate::errors::chain(&error);
    assert!(text.contains("unknown field `listne`") && text.contains("line 9"), "{text}");
}

#[test]
fn every_problem_is_listed_at_once() {
    let bad = GOOD
        .replace("genesis.json", "nowhere.json")
        .replace("network = \"network.key\"", "network = \"network.key\"\nconsensus = \"c.key\"")
        .replace("tcp/0\"", "udp/0\"\npeers = [\"/ip4/127.0.0.1/tcp/1\"]")
        .replace("[metrics]", "web_origins = [\"loopback\", \"wallet.example\"]\n[metrics]")
        + "[log]\nlevel = \"conclave=loud\"\n";
    let expected = [
        "keys",
        "genesis",
        "keys.consensus",
        "p2p.listen",
        "p2p.peers",
        "grpc.web_origins",
        "log.level",
    ];
    assert_eq!(problems(&bad), expected);
}

#[test]
fn two_servers_cannot_share_a_port() {
    assert_eq!(problems(&GOOD.replace("127.0.0.1:0", "127.0.0.1:7")), ["metrics.listen"]);
}

#[test]
fn a_missing_file_says_how_to_make_one() {
    let error = Config::load(Path::new("/nonexistent/config.toml")).unwrap_err();
    assert!(error.to_string().contains("conclave genesis"), "{error}");
}

#[test]
fn l1_is_followed_where_the_file_or_the_command_line_says() {
    let with = |l1: &str| format!("{GOOD}[l1]\n{l1}\n");
    assert_eq!(load(GOOD).unwrap().l1, None);
    let l1 = load(&with("endpoints = [\"http://127.0.0.1:8545\"]")).unwrap().l1.unwrap();
    assert_eq!(l1, L1Config::new(vec!["http://127.0.0.1:8545".to_owned()]));
    let bad = with("endpoints = [\"https://a\", \"http://b\", \"http://b\"]\npoll_ms = 5");
    assert_eq!(problems(&bad), ["l1.endpoints", "l1.endpoints", "l1.poll_ms"]);
    assert_eq!(problems(&with("endpoints = []")), ["l1.endpoints"]);

    let directory = tempfile::tempdir().unwrap();
    for name in ["genesis.json", "network.key"] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    let path = directory.path().join("config.toml");
    std::fs::write(&path, with("endpoints = []\npoll_ms = 200")).unwrap();
    let config = Config::load_with(&path, &["http://c".to_owned()]).unwrap();
    let expected = L1Config::new(vec!["http://c".to_owned()]);
    assert_eq!(config.l1, Some(L1Config { poll_ms: 200, ..expected }));

    let relay = with(
        "endpoints = [\"http://a\"]\n[l1.relay]\naccount_key = \"lost.key\"\nevery_heights = 0",
    );
    assert_eq!(problems(&relay), ["l1.relay.account_key", "l1.relay.every_heights"]);
    let relay = relay.replace("lost.key", "network.key").replace("= 0", "= 7");
    let relay = load(&relay).unwrap().l1.unwrap().relay.unwrap();
    assert!(relay.account_key.is_absolute());
    assert_eq!((relay.every_heights, relay.every_seconds), (7, 600));
}
