//! The binary: exit codes, output, and the same run in another process.

use std::process::{Command, Output};

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conclave-sim")).args(args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn file(name: &str, text: &str) -> String {
    let path = std::env::temp_dir().join(format!("conclave-sim-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn two_processes_print_the_same_run() {
    let args = ["run", "loss", "--seed", "3", "--heights", "15", "--json"];
    let (first, second) = (sim(&args), sim(&args));
    assert_eq!(stdout(&first), stdout(&second));
    let report: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    for key in ["verdict", "trace_hash", "heights", "seed", "counters"] {
        assert!(report.get(key).is_some(), "{key} is missing from {report}");
    }
    let other = sim(&["run", "loss", "--seed", "4", "--heights", "15", "--json"]);
    assert_ne!(stdout(&first), stdout(&other));
}

#[test]
fn a_run_done_twice_holds() {
    let output = sim(&["run", "happy-4", "--twice"]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    assert!(stdout(&output).starts_with("happy-4, seed 0: Held"));
}

#[test]
fn a_bad_scenario_is_named_with_its_line() {
    let path =
        file("bad.toml", "heights = 10\n[[crashes]]\nvalidator = 9\nat_ms = 1\nuntil_ms = 2\n");
    let output = sim(&["run", &path]);
    assert_eq!(code(&output), 2);
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = format!("{path}:2: expected a validator from 0 to 3, found 9");
    assert!(error.contains(&expected), "{error}");

    let output = sim(&["run", "no-such-scenario"]);
    assert_eq!(code(&output), 2);
    let output = sim(&["run", "happy-4", "--validators", "2"]);
    assert_eq!(code(&output), 2);
}

#[test]
fn a_fault_that_did_not_happen_shows_nothing() {
    let path = file("none.toml", "heights = 3\nexpect = { crashes = 1 }\n");
    let output = sim(&["run", &path]);
    assert_eq!(code(&output), 2);
    assert!(stdout(&output).contains("expected crashes to reach 1, found 0"));
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    let liar = |text: &str| format!("heights = 30\nbreaks = \"agreement\"\n{text}");
    let masked = "[[byzantine]]\nvalidator = 1\nbehaviours = [\"equivocate\"]\nmasked = true\n";
    let rows = [
        ("safety.toml", liar(masked), 10),
        ("liveness.toml", "heights = 50\nlimit_ms = 1000\n".to_owned(), 11),
    ];
    for (name, text, expected) in rows {
        let path = file(name, &text);
        let output = sim(&["run", &path]);
        assert_eq!(code(&output), expected, "{}", stdout(&output));
        let output = sim(&["sweep", &path, "--seeds", "0..2"]);
        assert_eq!(code(&output), expected);
        assert!(stdout(&output).contains(&format!("conclave-sim run {path} --seed ")));
    }
}

#[test]
fn the_list_names_every_scenario() {
    let output = sim(&["list"]);
    assert_eq!(code(&output), 0);
    for builtin in conclave_simulator::BUILTINS {
        assert!(stdout(&output).contains(builtin.name), "{}", builtin.name);
    }
}
