//! `conclave devnet`: the first five minutes of everyone, and a measured run for machines.

use std::{collections::BTreeSet, process::Command, time::Duration};

use serde_json::Value;

use crate::harness::{
    l1::L1,
    process::{Process, binary, complaint, conclave},
    wait::until,
};

/// The whole story is told within this, also on a busy machine.
const STORY_PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_measured_run_ends_with_a_consistent_report() {
    measured_run(&[]);
}

#[test]
fn a_network_of_the_baseline_suite_keeps_every_promise_too() {
    measured_run(&["--suite", "0x02"]);
}

/// As on its own: somebody else's Ethereum, on which the network's contracts are deployed, opened and settled on.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_settles_on_the_ethereum_that_it_is_given() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut anvil = L1::anvil(directory.path()).await;
    let (url, key) = (anvil.url(), anvil.key(0));
    measured_run(&["--l1", &url, "--l1-account-key", &key]);
    assert!(anvil.is_alive(), "it is not the network's to stop");
}

#[track_caller]
fn measured_run(more: &[&str]) {
    let run = conclave(&[&["devnet", "--blocks", "20", "--json"], more].concat());
    assert!(run.status.success(), "{}", complaint(&run));
    let report: Value = serde_json::from_slice(&run.stdout).expect("one JSON object on stdout");
    let number = |path: &str| {
        let found = report.pointer(path).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("{path} is no number in {report}"))
    };
    assert_eq!(report["consistent"], true);
    assert!(number("/heights") >= 20);
    assert!(number("/first_revealed_ms") > 0, "the key was made and a bundle opened: {report}");
    let submitted = number("/bundles/submitted");
    assert!(submitted > 0, "{report}");
    assert_eq!(number("/bundles/ordered"), submitted, "every acknowledged bundle is ordered");
    assert_eq!(
        number("/bundles/revealed") + number("/bundles/undecryptable"),
        submitted,
        "every ordered bundle is opened, or nobody can open it"
    );
    assert!(number("/transactions_executed/901") > 0 && number("/transactions_executed/902") > 0);
    assert_eq!((number("/l1/forced/entry"), number("/l1/deposited/entry")), (0, 1));
    assert_eq!(
        (number("/l1/forced/item"), &report["l1"]["forced"]["succeeded"]),
        (0, &true.into())
    );
    assert!(number("/l1/settled/height") >= number("/l1/deposited/height"));
    assert!(number("/l1/deposited/balance_gwei") < number("/l1/deposited/amount_gwei"));
    for level in ["ordered", "revealed"] {
        let quantile = |name| report["latency_ms"][level][name].as_f64().expect("a latency");
        let (p50, p95, p99) = (quantile("p50"), quantile("p95"), quantile("p99"));
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{report}");
    }
    let validators = report["validators"].as_array().expect("a list");
    assert_eq!(validators.len(), 4);
    let standing = |v: &Value| (v["height"].to_string(), v["chain_digest"].to_string());
    let standings: BTreeSet<_> = validators.iter().map(standing).collect();
    assert_eq!(standings.len(), 1, "one digest at one height: {report}");
}

#[test]
fn a_benchmark_reports_every_figure_that_it_promises() {
    let run =
        conclave(&["bench", "--bundle-bytes", "1024", "--duration", "2", "--rate", "20", "--json"]);
    assert!(run.status.success(), "{}", complaint(&run));
    let report: Value = serde_json::from_slice(&run.stdout).expect("one JSON object on stdout");
    let number = |path: &str| {
        let found = report.pointer(path).and_then(Value::as_f64);
        found.unwrap_or_else(|| panic!("{path} is no number in {report}"))
    };
    for path in ["/ordered_per_s", "/revealed_per_s", "/revealed_mb_per_s"] {
        assert!(number(path) > 0.0, "{path}: {report}");
    }
    for level in ["received", "ordered", "revealed"] {
        let quantile = |name| number(&format!("/latency_ms/{level}/{name}"));
        let (p50, p95, p99) = (quantile("p50"), quantile("p95"), quantile("p99"));
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{level}: {report}");
    }
    assert_eq!(number("/lost"), 0.0, "{report}");
    let processes = report["processes"].as_array().expect("a list");
    assert_eq!(processes.len(), 7, "four validators, two rollups and the load: {report}");
    for figure in ["stages", "wire", "machine"] {
        assert!(report[figure].is_object(), "{figure}: {report}");
    }
}

#[tokio::test]
async fn the_story_is_told_and_ctrl_c_stops_every_process() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("devnet.log");
    let mut command = Command::new(binary("conclave"));
    command.arg("devnet").arg("--data-dir").arg(directory.path().join("net"));
    let mut devnet = Process::start("devnet", &mut command, &log);
    until("the end of the story", STORY_PATIENCE, async || {
        assert_eq!(devnet.ended(), None, "the devnet ended by itself: {}", devnet.output());
        devnet.output().contains("until Ctrl-C").then_some(())
    })
    .await;
    let children = children_of(directory.path());
    assert_eq!(children.len(), 7, "four validators, two rollups and an L1: {children:?}");
    let told = devnet.output();
    assert_eq!(told.matches(": 32 ether, elected with power 32000000000").count(), 4, "{told}");
    assert_eq!(told.matches(" after this command began").count(), 1, "{told}");
    let queued = ["is entry 0 of the queue, in L1 block", "who has nothing: entry 1 of the queue"];
    let landed = ["item 1 of batch #", "0.1 ether paid for bundle", "on L1 up to height"];
    for words in queued.into_iter().chain(landed) {
        assert!(told.contains(words), "{words}: {told}");
    }
    let network = directory.path().join("net");
    let second =
        ["devnet", "--blocks", "1", "--data-dir", &network.to_string_lossy()].map(str::to_owned);
    let second = conclave(&second.each_ref().map(String::as_str));
    assert_eq!(second.status.code(), Some(1));
    assert!(complaint(&second).contains("another devnet is running in"), "{}", complaint(&second));
    assert_eq!(children_of(directory.path()), children, "the first goes on untouched");
    devnet.signal("INT");
    let status = devnet.end(Duration::from_secs(30)).await;
    assert!(status.success(), "{status}: {}", devnet.output());
    assert!(devnet.output().contains("every process has stopped"), "{}", devnet.output());
    assert_eq!(children_of(directory.path()), [], "nothing is left behind");
}

#[tokio::test]
async fn a_measured_run_whose_validator_dies_ends_with_an_error_that_names_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(binary("conclave"));
    command.args(["devnet", "--blocks", "1000000", "--data-dir"]).arg(directory.path().join("net"));
    let mut devnet = Process::start("devnet", &mut command, &directory.path().join("devnet.log"));
    until("the load", STORY_PATIENCE, async || {
        assert_eq!(devnet.ended(), None, "the devnet ended by itself: {}", devnet.output());
        devnet.output().contains("bundles handed in").then_some(())
    })
    .await;
    let children = children_of(directory.path());
    let victim = children.iter().find(|(_, line)| line.contains("validator-1/config.toml"));
    let (pid, _) = victim.expect("the validator runs");
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let status = devnet.end(STORY_PATIENCE).await;
    assert_eq!(status.code(), Some(1), "{}", devnet.output());
    assert!(devnet.output().contains("validator-1 ended by itself"), "{}", devnet.output());
    assert_eq!(children_of(directory.path()), [], "nothing is left behind");
}

/// Running processes, other than the devnet itself, whose command lines name `directory`.
fn children_of(directory: &std::path::Path) -> Vec<(u32, String)> {
    let directory = directory.to_string_lossy();
    let processes = std::fs::read_dir("/proc").expect("processes can be listed").flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // Processes come and go while one looks.
            let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            Some((pid, line.replace('\0', " ")))
        })
        .filter(|(_, line)| line.contains(&*directory) && !line.contains(" devnet "))
        .collect()
}
