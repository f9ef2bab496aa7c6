//! The binary: exit codes, output, and the same run in another process.

use std::process::{Command, Output, Stdio};

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
    let expected = "expected a validator from 0 to 3, found 9; name another, or raise validators";
    assert_eq!(error, format!("error: {path}:3: {expected}\n"));

    let output = sim(&["run", "no-such-scenario"]);
    assert_eq!(code(&output), 2);
    let output = sim(&["run", "happy-4", "--validators", "2"]);
    assert_eq!(code(&output), 2);
}

#[test]
fn a_file_that_is_no_text_is_called_that() {
    let path = file("latin-1.toml", "");
    std::fs::write(&path, b"heights = 3\n# caf\xe9\n").unwrap();
    let output = sim(&["run", &path]);
    assert_eq!(code(&output), 2);
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = "expected text in UTF-8, found byte 0xe9; save it as UTF-8";
    assert_eq!(error, format!("error: {path}:2: {expected}\n"));
}

#[test]
fn an_expected_counter_that_nothing_counts_is_told_before_the_run() {
    let path = file("counter.toml", "heights = 50\n[expect]\ncrashs = 1\n");
    let output = sim(&["run", &path]);
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""));
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = "expected a counter of a run, found \"crashs\"; did you mean `crashes`?";
    assert_eq!(error, format!("error: {path}:3: {expected}\n"));
}

#[test]
fn a_report_is_written_though_nobody_listens_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let curve = ["bench", "--validators", "4", "--rates", "5", "--heights", "5"];
    let run = ["run", "happy-4", "--heights", "5"];
    for (args, name) in [(&run[..], "happy-4-0.html"), (&curve[..], "bench.html")] {
        let mut sim = Command::new(env!("CARGO_BIN_EXE_conclave-sim"));
        let sim = sim.args(args).args(["--report", path]);
        let mut child = sim.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap();
        let page = std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(page.ends_with("</html>"), "{name}: {page}");
    }
}

#[test]
fn a_page_that_cannot_be_written_takes_no_verdict_along() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let fails = file("unwritten.toml", "heights = 50\nlimit_ms = 1000\n");
    let name = std::path::Path::new(&fails).file_stem().unwrap().to_str().unwrap();
    let bench = ["bench", "--validators", "4", "--rates", "5", "--heights", "5", "--json"];
    // Where the page should be is a directory.
    for (args, page, expected, said) in [
        (&["run", "happy-4"][..], "happy-4-0.html".to_owned(), 2, "Held"),
        (&["run", &fails], format!("{name}-0.html"), 11, "Liveness"),
        (&["sweep", "idle", "--seeds", "0..1"], "idle-0-1.html".into(), 2, "holds"),
        (
            &["sweep", &fails, "--seeds", "0..1", "--shrink-seconds", "0"],
            format!("{name}-0-1.html"),
            11,
            "Liveness",
        ),
        (&bench, "bench.html".into(), 2, "offered_per_s"),
    ] {
        std::fs::create_dir(directory.path().join(&page)).unwrap();
        let output = sim(&[args, &["--report", path]].concat());
        assert!(stdout(&output).contains(said), "{args:?}: {output:?}");
        assert_eq!(code(&output), expected, "{args:?}: {output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&format!("{page} cannot be written")), "{error}");
    }
}

#[test]
fn that_there_can_be_no_page_is_told_before_the_run() {
    let path = file("no-directory", "");
    let bench = ["bench", "--validators", "4", "--rates", "5", "--heights", "5"];
    for args in [&["run", "happy-4"][..], &["sweep", "idle", "--seeds", "0..1"], &bench] {
        let output = sim(&[args, &["--report", &path]].concat());
        assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{args:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("is no directory"), "{error}");
    }
    // Nor is anything run if only some of it can be.
    let output = sim(&["bench", "--validators", "4,2", "--rates", "5", "--heights", "5"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""));
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
        let output = sim(&["sweep", &path, "--seeds", "0..2", "--shrink-seconds", "0"]);
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

#[test]
fn the_list_of_adversaries_names_each_with_a_scenario_that_has_it() {
    let output = sim(&["list", "--adversaries", "--json"]);
    assert_eq!(code(&output), 0);
    let lines: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> =
        lines.as_array().unwrap().iter().map(|line| line["name"].as_str().unwrap()).collect();
    let expected = conclave_simulator::Behaviour::ALL.iter().map(|behaviour| behaviour.name());
    assert_eq!(names, expected.collect::<Vec<_>>());
    let plain = stdout(&sim(&["list", "--adversaries"]));
    for (line, row) in plain.lines().zip(lines.as_array().unwrap()) {
        let scenarios = row["scenarios"].as_array().unwrap();
        assert!(!scenarios.is_empty(), "{row} is in no scenario");
        assert!(line.contains(row["does"].as_str().unwrap()), "{line}");
        assert!(row["does"].as_str().unwrap().ends_with('.'), "{line}");
    }
}

#[test]
fn the_first_failure_of_a_sweep_is_shrunk_to_a_scenario_that_fails_alike() {
    let directory = tempfile::tempdir().unwrap();
    // This control now names another promise than it breaks, and that is a failure. The rest is ballast.
    let control = conclave_simulator::builtin("control-equivocator").unwrap().text;
    let control = control.replace("breaks = \"an honest validator never contradicts itself\"", "");
    let text = "breaks = \"agreement\"\nvalidators = 7\nheights = 30\nspam_per_s = 2\n".to_owned()
        + &control.replace("[\"equivocate\"]", "[\"boast\", \"equivocate\"]")
        + "[[byzantine]]\nvalidator = 6\nbehaviours = [\"dawdle\"]\n\
           [network]\nloss_permille = 1\n\
           [[crashes]]\nvalidator = 2\nat_ms = 700\nuntil_ms = 900\nspread_ms = 50\n\
           [chaos]\ncrashes = 1\npartitions = 1\nuntil_ms = 2000\n";
    let path = directory.path().join("liar.toml");
    std::fs::write(&path, text).unwrap();
    let directory = directory.path().to_str().unwrap();
    let output = sim(&[
        "sweep",
        path.to_str().unwrap(),
        "--seeds",
        "0..1",
        "--output",
        directory,
        "--jobs",
        "2",
    ]);
    assert_eq!(code(&output), 10, "{}", stdout(&output));
    let shrunk = format!("{directory}/liar-0-shrunk.toml");
    let text = std::fs::read_to_string(&shrunk).unwrap();
    assert_eq!(
        text,
        "breaks = \"agreement\"\nbundles_per_s = 0\nheights = 1\npayers = 1\n\
         purpose = \"Shrunk from PATH, seed 0: an honest validator never contradicts itself.\"\n\n\
         [[byzantine]]\nbehaviours = [\"equivocate\"]\nmasked = true\nvalidator = 0\n"
            .replace("PATH", path.to_str().unwrap())
    );
    let said = stdout(&output);
    let (_, seed) = said.rsplit_once(&format!("conclave-sim run {shrunk} --seed ")).unwrap();
    let again = sim(&["run", &shrunk, "--seed", seed.trim(), "--json"]);
    assert_eq!(code(&again), 10, "{}", stdout(&again));
    let report: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(report.get("promise").unwrap(), "an honest validator never contradicts itself");
}

#[test]
fn a_run_out_of_time_or_memory_says_so_and_still_reports() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    for limit in ["--max-seconds", "--max-memory-mb"] {
        let output = sim(&["run", "chaos-7", limit, "0", "--heights", "5000", "--report", path]);
        assert_eq!(code(&output), 14, "{}", stdout(&output));
        assert!(stdout(&output).contains(limit), "{}", stdout(&output));
        let page = std::fs::read_to_string(directory.path().join("chaos-7-0.html")).unwrap();
        assert!(page.contains("unfinished") && page.contains(limit), "{page}");
    }
}

#[test]
fn a_report_is_one_page_that_needs_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let output = sim(&["run", "front-runner", "--heights", "30", "--seed", "2", "--report", path]);
    let page = std::fs::read_to_string(directory.path().join("front-runner-2.html")).unwrap();
    assert!(stdout(&output).contains("front-runner-2.html"));
    let foreign = ["<script", "<link", "<img", "<iframe", "@import", "url(", "src=", "href="];
    for foreign in foreign {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let hosts = page.matches("http").count();
    assert_eq!(hosts, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
    for wanted in [
        "conclave-sim run front-runner --heights 30 --seed 2",
        "Heights and faults",
        "Latency",
        "What sealing costs",
        "Bytes of each validator",
        "What a front-runner earns",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn a_report_has_the_curve_of_its_run_if_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let run = ["run", "happy-4", "--report", path];
    let page = || std::fs::read_to_string(directory.path().join("happy-4-0.html")).unwrap();
    let plots = |page: &str| page.matches("<svg").count();
    assert_eq!(code(&sim(&run)), 0);
    let without = page();
    assert!(without.contains("One load does not show where latency bends"), "{without}");
    let command = "conclave-sim run happy-4 --seed 0 --report DIR --curve";
    assert!(without.contains(command), "{without}");
    let output = sim(&[&run[..], &["--curve", "--rates", "5,20"]].concat());
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let with = page();
    assert_eq!(plots(&with), plots(&without) + 1);
    assert!(with.contains(&format!("{command} --rates 5,20")), "{with}");
    // The run itself, at ten a second, is a point between the two.
    let rows = |page: &str| page.matches("<tr><td>4</td><td>").count();
    assert_eq!((rows(&without), rows(&with)), (1, 3));
    let control = ["run", "control-fork", "--report", path, "--curve"];
    assert_eq!(code(&sim(&control)), 2);
}

#[test]
fn a_curve_has_no_more_time_than_its_command() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    // The run itself takes less than that, and the curve much more.
    let rates = ["--rates", "1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25"];
    let run = ["run", "happy-4", "--heights", "400", "--report", path, "--curve"];
    let started = std::time::Instant::now();
    let output = sim(&[&run[..], &rates[..], &["--max-seconds", "4"]].concat());
    assert!(started.elapsed().as_secs() < 12, "{}", stdout(&output));
    let page = std::fs::read_to_string(directory.path().join("happy-4-0.html")).unwrap();
    let rows = page.matches("<tr><td>4</td><td>").count();
    assert!((1..25).contains(&rows), "{rows} of 25");
    assert!(page.contains("unfinished"), "the last of them is cut short: {page}");
}

#[test]
fn a_searcher_earns_from_plaintext_and_not_from_sealed_bundles() {
    let output = sim(&["run", "front-runner", "--heights", "60", "--json"]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let market = report.get("market").unwrap();
    let net = |world: &str| market.get(world).unwrap().get("net_gwei").unwrap().as_i64().unwrap();
    assert!(net("plaintext") > 0, "{market}");
    assert!(net("sealed") < 0, "{market}");
    let fees = market.get("sealed").unwrap().get("fees_gwei").unwrap().as_i64().unwrap();
    assert!(fees > 0, "its bundles go through the protocol, so they pay: {market}");
}

#[test]
fn bench_draws_a_curve_of_the_rates_it_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let rates = ["--validators", "4", "--rates", "5,20", "--heights", "5"];
    let output = sim(&[&["bench"], &rates[..], &["--json", "--report", path]].concat());
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let points: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let offered: Vec<_> =
        points.as_array().unwrap().iter().map(|p| p["offered_per_s"].clone()).collect();
    assert_eq!(offered, [5, 20]);
    let page = std::fs::read_to_string(directory.path().join("bench.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("--rates 5,20"), "{page}");
}

#[test]
fn a_listed_scenario_is_its_toml() {
    let output = sim(&["list", "crash-storm"]);
    let text = conclave_simulator::builtin("crash-storm").unwrap().text;
    assert_eq!(stdout(&output).trim_end(), text.trim_end());
    let output = sim(&["list", "--json"]);
    let lines: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(lines.as_array().unwrap().len(), conclave_simulator::BUILTINS.len());
    assert_eq!(code(&sim(&["list", "no-such"])), 2);
}

#[test]
fn every_subcommand_has_examples() {
    for subcommand in ["run", "sweep", "bench", "list"] {
        let help = stdout(&sim(&[subcommand, "--help"]));
        assert!(help.contains(&format!("Examples:\n  conclave-sim {subcommand}")), "{help}");
    }
}
