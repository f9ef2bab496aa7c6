//! What every source file of ours looks like. Production code is what stands before a file's tests, in files that
//! are not tests themselves. Tests in a file of their own are named by a line that may stand anywhere.

use std::path::Path;

use crate::{assert_none, layers::CORE};

/// Past this many production lines there is a seam that nobody looked for.
const PRODUCTION_LINES_MAX: usize = 500;

/// Where a node may be another than honest.
const BYZANTINE: &str = "simulator/byzantine/";

/// What the core never does by itself. Each is an input, or the shell's business.
const AMBIENT: [&str; 11] = [
    "Instant::now",
    "SystemTime",
    "thread::",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "thread_rng",
    "OsRng",
    "rand::rng",
    "getrandom::",
];

/// Words of unfinished work. Split so that this file does not accuse itself.
const UNFINISHED: [&str; 10] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("TO", "DO"),
    concat!("for ", "now"),
    concat!("in a ", "real"),
    concat!("place", "holder"),
    concat!("not ", "implemented"),
    concat!("simplified ", "version"),
];

/// Names of doubles, which belong to tests.
const DOUBLES: [&str; 4] = ["Mock", "Fake", "Stub", "Dummy"];

/// What makes a build with debug assertions another one. Split so that this file does not accuse itself.
const DEBUGGING: &str = concat!("debug_", "assert");

/// A source file with its path relative to the root of the workspace.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn load_all() -> Vec<Self> {
        let load = |path: &Path| {
            let text = std::fs::read_to_string(conclave_tests::workspace_root().join(path));
            Self::new(&path.to_string_lossy(), &text.expect("a source file is UTF-8"))
        };
        conclave_tests::workspace_files(&[".rs"]).iter().map(|path| load(path)).collect()
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.contains("/benches/")
            || self.path.ends_with("/tests.rs")
    }

    /// The tests of one module, documented by the module they stand beside.
    fn is_unit_test(&self) -> bool {
        self.path.contains("/src/")
            && (self.path.ends_with("/tests.rs") || self.path.contains("/tests/"))
    }

    /// Numbered production lines; none in a file of tests.
    fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = if self.is_test() { "" } else { self.text.as_str() };
        let next = lines.lines().skip(1).chain([""]);
        (1..)
            .zip(lines.lines().zip(next))
            .take_while(|(_, (line, next))| *line != "#[cfg(test)]" || next.ends_with(';'))
            .map(|(number, (line, _))| (number, line))
    }

    /// Numbered lines of tests.
    fn tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let from = if self.is_test() { 0 } else { self.production().count() };
        (1..).zip(self.text.lines()).skip(from)
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn missing_module_docs(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| !source.is_unit_test() && !source.text.starts_with("//!"))
        .map(|source| format!("{} does not open with //!", source.path))
        .collect()
}

fn giant_files(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .map(|source| (source, source.production().count()))
        .filter(|(_, lines)| *lines > PRODUCTION_LINES_MAX)
        .map(|(source, lines)| format!("{} has {lines} production lines", source.path))
        .collect()
}

/// Who has the last word on what leaves a node, other than the honest, in a crate that is not for attacks.
fn other_conducts(sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources.iter().filter(|source| !source.path.starts_with(BYZANTINE)) {
        for (number, line) in source.production() {
            let is_one = line.contains("Conduct for ") && line.trim_start().starts_with("impl");
            if is_one && !line.contains("Conduct for Honest ") {
                offences.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    offences
}

/// Where a key is made by one process that then has every share of it, other than in simulated worlds.
fn rehearsals(sources: &[Source]) -> Vec<String> {
    let rooms = ["simulator/", "encryption/"];
    let shipped = |source: &&Source| {
        !source.path.ends_with("/testing.rs")
            && !rooms.iter().any(|room| source.path.starts_with(room))
    };
    let mut offences = Vec::new();
    for source in sources.iter().filter(shipped) {
        let named = source.production().filter(|(_, line)| names(line, "rehearse"));
        offences.extend(named.map(|(number, _)| format!("{}:{number}", source.path)));
    }
    offences
}

fn unfinished(sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources {
        for (number, line) in source.production() {
            for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
                offences.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    offences
}

fn doubles(sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources {
        for (number, line) in source.production().filter(|(_, line)| !is_comment(line)) {
            let named = |item: &str| {
                line.split(item).skip(1).any(|name| DOUBLES.iter().any(|d| name.starts_with(d)))
            };
            if named("struct ") || named("enum ") || named("trait ") {
                offences.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    offences
}

/// Directory of a core crate's sources.
fn core_directory(package: &str) -> String {
    match package {
        "conclave-derivation" => "rollup-adapters/core/src/".to_owned(),
        package => format!("{}/src/", package.trim_start_matches("conclave-")),
    }
}

fn ambient(sources: &[Source]) -> Vec<String> {
    let core: Vec<String> = CORE.iter().map(|package| core_directory(package)).collect();
    let mut offences = Vec::new();
    for source in sources.iter().filter(|s| core.iter().any(|c| s.path.starts_with(c))) {
        for (number, line) in source.production().filter(|(_, line)| !is_comment(line)) {
            for what in AMBIENT.iter().filter(|what| line.contains(**what)) {
                offences.push(format!("{}:{number}: {what}", source.path));
            }
        }
    }
    offences
}

fn hidden_or_sleeping_tests(sources: &[Source]) -> Vec<String> {
    let marks =
        [concat!("#[ig", "nore"), concat!("thread::sl", "eep("), concat!("time::sl", "eep(")];
    let mut offences = Vec::new();
    for source in sources {
        for (number, line) in source.tests() {
            for mark in marks.iter().filter(|mark| line.contains(**mark)) {
                offences.push(format!("{}:{number}: {mark}", source.path));
            }
        }
    }
    offences
}

/// Used, though no source names them: by generated code, and to have one build. (manifest, dependency)
const UNNAMED_USES: [(&str, &str); 2] =
    [("types/grpc/Cargo.toml", "tonic-prost"), ("tests/Cargo.toml", "regex-syntax")];

/// Dependencies of the manifest at `path` that no source under its directory names.
fn unused_dependencies(path: &str, manifest: &str, sources: &[Source]) -> Vec<String> {
    let directory = path.trim_end_matches("Cargo.toml");
    let mut table = "";
    let mut offences = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']);
        } else if let Some((name, _)) = line.split_once('=')
            && ["dependencies", "dev-dependencies", "build-dependencies"].contains(&table)
        {
            let name = name.trim().trim_end_matches(".workspace");
            let word = name.replace('-', "_");
            let used =
                sources.iter().any(|s| s.path.starts_with(directory) && names(&s.text, &word));
            if !used && !UNNAMED_USES.contains(&(path, name)) {
                offences.push(format!("{path}: {name}"));
            }
        }
    }
    offences
}

/// Whether `text` holds `word` as a whole identifier.
fn names(text: &str, word: &str) -> bool {
    let identifier = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(identifier) && !text[at + word.len()..].starts_with(identifier)
    })
}

#[test]
fn nobody_but_the_byzantine_binary_has_the_last_word_on_what_a_node_says() {
    assert_none(
        "a node that we ship says what its core says",
        &other_conducts(&Source::load_all()),
    );
    let liar =
        "impl Conduct for Liar {}\nimpl<T> driver::Conduct for T {}\nimpl Conduct for Honest {}";
    let found = other_conducts(&[Source::new("node/src/x.rs", liar)]);
    let expected = [
        "node/src/x.rs:1: impl Conduct for Liar {}",
        "node/src/x.rs:2: impl<T> driver::Conduct for T {}",
    ];
    assert_eq!(found, expected);
}

#[test]
fn no_network_has_a_key_whose_shares_one_process_had() {
    assert_none("a key is made over the chain", &rehearsals(&Source::load_all()));
    let line = "let (key, shares) = conclave_encryption::rehearse(suite, packing, era, &seed)?;";
    let found = ["node/src/x.rs", "simulator/src/x.rs"].map(|path| Source::new(path, line));
    assert_eq!(rehearsals(&found), ["node/src/x.rs:1"]);
}

#[test]
fn every_file_opens_with_why_it_is_there() {
    assert_none("module documentation is missing", &missing_module_docs(&Source::load_all()));
}

/// Where a build with debug assertions does something else than one without.
fn debugging(sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources {
        for (number, line) in (1..).zip(source.text.lines()).filter(|(_, line)| !is_comment(line)) {
            if line.contains(DEBUGGING) {
                offences.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    offences
}

#[test]
fn what_runs_does_not_depend_on_how_it_was_built() {
    let sources = Source::load_all();
    assert_none("a run depends on how it was built; use assert!", &debugging(&sources));
    let text = ["if cfg!(debug_", "assertions) {\n// debug_", "assert!(x)\ndebug_", "assert!(x);"];
    let found = debugging(&[Source::new("types/src/x.rs", &text.concat())]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn no_file_is_a_giant() {
    assert_none("past 500 production lines there is a seam", &giant_files(&Source::load_all()));
}

#[test]
fn production_code_is_finished() {
    assert_none("unfinished business", &unfinished(&Source::load_all()));
}

#[test]
fn doubles_live_in_tests() {
    assert_none("a double on a production path", &doubles(&Source::load_all()));
}

#[test]
fn the_core_asks_nobody_for_time_files_threads_or_randomness() {
    let sources = Source::load_all();
    assert_none("the core reaches out", &ambient(&sources));
    for package in CORE {
        let directory = core_directory(package);
        assert!(sources.iter().any(|s| s.path.starts_with(&directory)), "{directory} is empty");
    }
}

#[test]
fn no_test_sleeps_or_is_ignored() {
    assert_none("a test sleeps or is ignored", &hidden_or_sleeping_tests(&Source::load_all()));
}

#[test]
fn every_dependency_is_used() {
    let sources = Source::load_all();
    let mut offences = Vec::new();
    for path in conclave_tests::workspace_files(&["Cargo.toml"]) {
        let text = std::fs::read_to_string(conclave_tests::workspace_root().join(&path));
        let manifest = text.expect("a manifest is UTF-8");
        offences.extend(unused_dependencies(&path.to_string_lossy(), &manifest, &sources));
    }
    assert_none("a dependency that no source names", &offences);
}

#[test]
fn each_rule_finds_its_offender() {
    let long = format!("//! Long.\n{}#[cfg(test)]\n", "x\n".repeat(PRODUCTION_LINES_MAX));
    let offenders = [
        Source::new("sequencer/src/clock.rs", "let now = std::time::Instant::now();\n"),
        Source::new("node/src/later.rs", concat!("//! Later.\nto", "do!(\"write\")\n")),
        Source::new("node/src/long.rs", &long),
        Source::new("node/src/split.rs", &format!("//! Split.\n#[cfg(test)]\nmod tests;\n{long}")),
        Source::new("node/src/double.rs", concat!("//! A double.\npub struct ", "MockStore;\n")),
        Source::new(
            "types/src/lazy.rs",
            concat!("//! Lazy.\n#[cfg(test)]\nmod tests {\n#[ig", "nore]\n}\n"),
        ),
    ];
    assert_eq!(missing_module_docs(&offenders), ["sequencer/src/clock.rs does not open with //!"]);
    assert_eq!(
        giant_files(&offenders),
        ["node/src/long.rs has 501 production lines", "node/src/split.rs has 504 production lines"]
    );
    assert_eq!(unfinished(&offenders), [concat!("node/src/later.rs:2: to", "do!(")]);
    assert_eq!(doubles(&offenders), [concat!("node/src/double.rs:2: pub struct ", "MockStore;")]);
    assert_eq!(ambient(&offenders), ["sequencer/src/clock.rs:1: Instant::now"]);
    assert_eq!(
        hidden_or_sleeping_tests(&offenders),
        [concat!("types/src/lazy.rs:4: #[ig", "nore")]
    );
}

#[test]
fn what_is_allowed_is_no_offence() {
    let allowed = [
        // A comment may speak of a clock; a test may use one; a shell may too.
        Source::new(
            "sequencer/src/a.rs",
            "//! No Instant::now here.\n#[cfg(test)]\nInstant::now()\n",
        ),
        Source::new("node/src/b.rs", "//! The shell.\nlet now = std::time::Instant::now();\n"),
        Source::new("sequencer/src/b/tests.rs", "//! Tests.\nstd::fs::read(path)\n"),
    ];
    assert_none("ambient", &ambient(&allowed));
    assert_none("docs", &missing_module_docs(&allowed));
}

#[test]
fn an_unused_dependency_is_found_and_a_used_one_is_not() {
    let manifest = "[dependencies]\nserde-json = \"1\"\nserde = \"1\"\n[features]\nx = []\n";
    let sources = [Source::new("node/src/lib.rs", "use serde_json::Value;\n")];
    assert_eq!(
        unused_dependencies("node/Cargo.toml", manifest, &sources),
        ["node/Cargo.toml: serde"]
    );
}
