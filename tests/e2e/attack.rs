//! `conclave devnet attack`: validators that are processes of `conclave-byzantine`, and what Ethereum shows of them.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::process::{complaint, conclave};

/// Tells the story of an attack in a directory; what it ends with.
fn attack(attack: &str, directory: &Path) -> Value {
    attack_with(attack, directory, &[])
}

fn attack_with(attack: &str, directory: &Path, more: &[&str]) -> Value {
    let network = directory.join("net").to_string_lossy().into_owned();
    let told = ["devnet", "attack", attack, "--json", "--data-dir", &network];
    let run = conclave(&[&told[..], more].concat());
    assert!(run.status.success(), "{}", complaint(&run));
    assert!(complaint(&run).contains("every process has stopped"), "{}", complaint(&run));
    let report: Value = serde_json::from_slice(&run.stdout).expect("one JSON object on stdout");
    assert_eq!(report["attack"], json!(attack));
    report
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {value}"))
}

/// The names of those who misbehaved.
fn byzantine(report: &Value) -> Vec<&str> {
    let byzantine = report["byzantine"].as_array().expect("a list");
    byzantine.iter().map(|one| one["name"].as_str().expect("a name")).collect()
}

/// What a story says of everybody's stake at one of its moments: the offender's, then the others'.
fn stakes(report: &Value, moment: usize) -> (&Value, Vec<&Value>) {
    let offender = &report["byzantine"][0]["validator"];
    let all = report["stake"][moment].as_array().expect("a list").iter();
    let (its, others): (Vec<_>, Vec<_>) = all.partition(|stake| stake["validator"] == *offender);
    (its[0], others)
}

/// Nobody else lost anything, or is accused of anything.
fn only_the_offender_has_lost_anything(report: &Value) {
    for stake in (0..3).flat_map(|moment| stakes(report, moment).1) {
        let amounts = (number(stake, "bonded_gwei"), number(stake, "escrow_gwei"));
        assert_eq!(amounts, (32_000_000_000, 0), "{report}");
        assert_eq!((&stake["accused"], &stake["tombstoned"]), (&json!(false), &json!(false)));
    }
}

/// The story of an offence: convicted once an epoch, three quarters of the stake gone, and out.
fn convicted(report: &Value, kinds: &[u64]) {
    assert_eq!(byzantine(report), ["validator-3"]);
    let [before, accused, after] = [0, 1, 2].map(|moment| stakes(report, moment).0);
    assert_eq!(number(before, "bonded_gwei"), 32_000_000_000);
    let seized = (number(accused, "bonded_gwei"), number(accused, "escrow_gwei"));
    assert_eq!(seized, (0, 32_000_000_000));
    assert_eq!((&accused["accused"], &accused["tombstoned"]), (&json!(true), &json!(true)));
    // A quarter of the power: three quarters of the stake. The rest is in escrow again if another epoch of it was
    // reported by then.
    assert_eq!(number(after, "bonded_gwei") + number(after, "escrow_gwei"), 8_000_000_000);
    assert_eq!(number(report, "slashed_gwei"), 24_000_000_000);
    assert!(number(after, "jailed_until") > 0 && number(after, "elected_power") == 0, "{after}");
    only_the_offender_has_lost_anything(report);
    let convictions = report["convictions"].as_array().expect("a list");
    let mut epochs: Vec<_> = convictions.iter().map(|one| number(one, "epoch")).collect();
    epochs.dedup();
    assert_eq!(epochs.len(), convictions.len(), "one report an epoch: {report}");
    assert!(convictions.iter().all(|one| kinds.contains(&number(one, "kind"))), "{report}");
    let committee = report["committee"].as_array().expect("a list");
    assert!(committee.len() == 3 && !committee.contains(&report["byzantine"][0]["validator"]));
}

/// What the honest validators of a story in a directory can show to others: so many pieces of evidence, all of them
/// against the last validator.
fn exported(directory: &Path) -> usize {
    let network = directory.join("net/network");
    let export = |index: usize| {
        let (data, genesis, out) = (
            network.join(format!("validator-{index}/data")),
            network.join("genesis.json"),
            directory.join(format!("evidence-{index}")),
        );
        let paths = [data, genesis, out].map(|path| path.to_string_lossy().into_owned());
        let [data, genesis, out] = &paths;
        let export = ["evidence", "export", "--data-dir", data, "--genesis", genesis, "--out", out];
        let exported = conclave(&export);
        assert!(exported.status.success(), "{}", complaint(&exported));
        let told = String::from_utf8_lossy(&exported.stdout).into_owned();
        let piece = |line: &str| serde_json::from_str::<Value>(line).expect("JSON in each line");
        let pieces: Vec<Value> = told.lines().map(piece).collect();
        assert!(pieces.iter().all(|piece| piece["validators"] == json!([3])), "{told}");
        pieces.len()
    };
    (0..3).map(export).sum()
}

#[test]
fn an_equivocator_is_reported_once_convicted_and_out_of_the_next_committee() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let report = attack("equivocate", directory.path());
    convicted(&report, &[1, 2]);

    assert!(exported(directory.path()) > 0);
}

#[test]
fn who_shares_what_was_not_decided_is_convicted_by_what_has_settled() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let report = attack("early-share", directory.path());
    convicted(&report, &[5]);
}

#[test]
fn who_sends_wrong_shares_is_convicted_loses_a_hundredth_and_is_out_of_the_next_committee() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let report = attack("wrong-shares", directory.path());
    convicted_of_wrong_shares(&report);
    assert!(exported(directory.path()) > 0);
}

#[test]
fn who_sends_wrong_shares_under_the_baseline_is_convicted_too() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let report = attack_with("wrong-shares", directory.path(), &["--suite", "0x02"]);
    convicted_of_wrong_shares(&report);
    let genesis = std::fs::read(directory.path().join("net/network/genesis.json"));
    let genesis: Value = serde_json::from_slice(&genesis.expect("a genesis")).expect("JSON");
    assert_eq!(genesis["params"]["sharing"]["suite"], json!(2));
    assert!(exported(directory.path()) > 0);
}

fn convicted_of_wrong_shares(report: &Value) {
    assert_eq!(byzantine(report), ["validator-3"]);
    let [before, accused, after] = [0, 1, 2].map(|moment| stakes(report, moment).0);
    assert_eq!(number(before, "bonded_gwei"), 32_000_000_000);
    let seized = (number(accused, "bonded_gwei"), number(accused, "escrow_gwei"));
    assert_eq!(seized, (0, 32_000_000_000));
    assert_eq!((&accused["accused"], &accused["tombstoned"]), (&json!(true), &json!(false)));
    let convictions = report["convictions"].as_array().expect("a list");
    assert!(convictions.iter().all(|one| number(one, "kind") == 6), "{report}");
    // A hundredth of what is left for each epoch in which it did so.
    let left = convictions.iter().fold(32_000_000_000, |left, _| left - left / 100);
    assert_eq!(number(report, "slashed_gwei"), 32_000_000_000 - left);
    assert!(number(after, "jailed_until") > 0 && number(after, "elected_power") == 0, "{after}");
    only_the_offender_has_lost_anything(report);
    let committee = report["committee"].as_array().expect("a list");
    assert!(committee.len() == 3 && !committee.contains(&report["byzantine"][0]["validator"]));
}

#[test]
fn what_a_validator_withholds_the_others_do_without_and_it_costs_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let report = attack("withhold-shares", directory.path());
    assert_eq!(report["missing"], json!([3]));
    let opened = report["opened"].as_array().expect("a list");
    let quorum = |one: &Value| one["shares"].as_array().expect("a list").len() >= 3;
    assert!(opened.len() >= 3 && opened.iter().all(quorum), "{report}");
    assert_eq!(report["stake"][0], report["stake"][1]);
}

#[test]
fn what_a_censor_leaves_out_lands_all_the_same() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let report = attack("censor", directory.path());
    assert!(report["landed"].as_array().expect("a list").len() >= 8, "{report}");
    assert!(number(&report, "censored_blocks") >= 2, "{report}");
    assert_eq!(report["forced"]["succeeded"], json!(true));
}

#[test]
fn rollups_may_leave_a_chain_that_halts_until_it_returns() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let report = attack("halt", directory.path());
    assert_eq!(byzantine(&report), ["validator-2", "validator-3"]);
    let escape = &report["escape"];
    let [latched, resumed] = ["latched_at", "resumed_at"].map(|name| number(escape, name));
    assert!(latched < resumed, "{report}");
    let [left, back] = ["height", "settled_height"].map(|name| number(escape, name));
    assert!(left <= number(&report, "halted_at") && left < back, "{report}");
    assert!(number(&report, "landed") > number(&report, "halted_at"), "{report}");
}
