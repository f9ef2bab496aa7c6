//! Documentation that names what is not there is worse than none.

use std::collections::BTreeSet;

use crate::assert_none;

/// Endings of files that documentation names in backticks.
const ENDINGS: [&str; 8] = [".rs", ".toml", ".sol", ".proto", ".sh", ".json", ".md", ".yml"];

/// What stands between single backticks, outside fenced blocks.
fn code_spans(markdown: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut spans = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    spans
}

/// Targets of relative links, without their anchors.
fn relative_links(markdown: &str) -> Vec<&str> {
    markdown
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .map(|target| target.split_once('#').map_or(target, |(path, _)| path))
        .collect()
}

/// A path in the workspace: letters, digits and `_-./` only, so `<dir>/x.json` and `*.rs` are none.
fn is_path(span: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    span.chars().all(plain) && ENDINGS.iter().any(|ending| span.ends_with(ending))
}

/// Files named in the document at `path` that are not in `files`.
fn dead_references(path: &str, markdown: &str, files: &BTreeSet<String>) -> Vec<String> {
    let exists = |name: &str| {
        files.contains(name) || files.iter().any(|file| file.ends_with(&format!("/{name}")))
    };
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let from_here = |link: &str| {
        let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
        for part in link.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                parts.pop();
            } else {
                parts.push(part);
            }
        }
        parts.join("/")
    };
    let linked = |link: &str| {
        let target = from_here(link);
        files.contains(&target) || files.iter().any(|file| file.starts_with(&format!("{target}/")))
    };
    let spans = code_spans(markdown).into_iter().filter(|s| is_path(s) && !exists(s));
    let links = relative_links(markdown).into_iter().filter(|link| !linked(link));
    spans.chain(links).map(|name| format!("{path}: {name}")).collect()
}

/// `make` targets that `markdown` names and `makefile` lacks.
fn dead_targets(path: &str, markdown: &str, makefile: &str) -> Vec<String> {
    let spoken = code_spans(markdown).into_iter().chain(markdown.lines());
    let named: BTreeSet<&str> = spoken
        .filter_map(|span| span.trim().trim_start_matches("$ ").strip_prefix("make "))
        .filter_map(|rest| rest.split_whitespace().next())
        .collect();
    named
        .into_iter()
        .filter(|target| !makefile.lines().any(|line| line.starts_with(&format!("{target}:"))))
        .map(|target| format!("{path}: make {target}"))
        .collect()
}

/// Names of five words or more, which only tests have, that no function has.
fn dead_tests(path: &str, markdown: &str, functions: &BTreeSet<String>) -> Vec<String> {
    let is_name = |span: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        span.chars().all(plain) && span.matches('_').count() >= 4
    };
    let named = code_spans(markdown).into_iter().filter(|span| is_name(span));
    let dead = named.filter(|name| !functions.contains(*name));
    dead.map(|name| format!("{path}: {name}")).collect()
}

/// Rows of the tables under `heading` whose last cell names nothing in backticks; the rows that head them aside.
fn rows_without_a_name(markdown: &str, heading: &str) -> Vec<String> {
    let Some((_, section)) = markdown.split_once(heading) else {
        return vec![format!("there is no {heading}")];
    };
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let last = |row: &str| row.trim_end_matches('|').rsplit('|').next().unwrap_or("").to_owned();
    let is_heading = |row: &&str| row.starts_with("| **");
    let unnamed = rows.filter(|row| !is_heading(row) && code_spans(&last(row)).is_empty());
    unnamed.map(str::to_owned).collect()
}

/// What functions are called, in Rust and in Solidity.
fn functions() -> BTreeSet<String> {
    let sources = conclave_tests::workspace_files(&[".rs", ".sol"]);
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(conclave_tests::workspace_root().join(path)).expect("UTF-8")
    };
    let named = |text: &str| -> Vec<String> {
        let after = text.split("fn ").skip(1).chain(text.split("function ").skip(1));
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = |rest: &str| rest.split(|c| !is_part(c)).next().unwrap_or("").to_owned();
        after.map(name).collect()
    };
    sources.iter().flat_map(|path| named(&read(path))).collect()
}

fn workspace() -> BTreeSet<String> {
    let files = conclave_tests::workspace_files(&[""]);
    files.iter().map(|path| path.to_string_lossy().into_owned()).chain(hidden()).collect()
}

/// Hidden files that documentation may name.
fn hidden() -> impl Iterator<Item = String> {
    [".ci/run", ".config/nextest.toml"].into_iter().map(str::to_owned)
}

fn documents() -> Vec<(String, String)> {
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(conclave_tests::workspace_root().join(path));
        (path.to_string_lossy().into_owned(), text.expect("a document is UTF-8"))
    };
    conclave_tests::workspace_files(&[".md"]).iter().map(read).collect()
}

#[test]
fn documents_name_only_files_that_exist() {
    let files = workspace();
    let offences: Vec<String> = documents()
        .iter()
        .flat_map(|(path, markdown)| dead_references(path, markdown, &files))
        .collect();
    assert_none("a document names a file that is not there", &offences);
    for file in hidden() {
        assert!(conclave_tests::workspace_root().join(&file).is_file(), "{file} is gone");
    }
}

#[test]
fn documents_name_only_make_targets_that_exist() {
    let makefile = std::fs::read_to_string(conclave_tests::workspace_root().join("Makefile"));
    let makefile = makefile.expect("there is a Makefile");
    let offences: Vec<String> = documents()
        .iter()
        .flat_map(|(path, markdown)| dead_targets(path, markdown, &makefile))
        .collect();
    assert_none("a document names a make target that is not there", &offences);
}

#[test]
fn documents_name_only_tests_that_exist() {
    let functions = functions();
    let offences: Vec<String> = documents()
        .iter()
        .flat_map(|(path, markdown)| dead_tests(path, markdown, &functions))
        .collect();
    assert_none("a document names a test that is not there", &offences);
}

#[test]
fn each_attack_on_the_encryption_has_a_test() {
    let path = conclave_tests::workspace_root().join("docs/spec/encryption.md");
    let markdown = std::fs::read_to_string(path).expect("the specification is there");
    let offences = rows_without_a_name(&markdown, "## Where each attack is tested");
    assert_none("an attack names no test", &offences);
}

#[test]
fn a_dead_test_and_an_attack_without_one_are_found() {
    let functions = BTreeSet::from(["nobody_is_blamed_for_nothing".to_owned()]);
    let markdown = "## A\n\n| attack | test |\n|---|---|\n| one | `nobody_is_blamed_for_nothing` |\n\
                    | **more** | |\n| two `x` | nothing |\n\n## B\n| three | |\n\
                    Of `somebody_is_blamed_for_nothing`, `a_short_one` and `Fn_of_no_test_at_all`.\n";
    let dead = dead_tests("docs/a.md", markdown, &functions);
    assert_eq!(dead, ["docs/a.md: somebody_is_blamed_for_nothing"]);
    assert_eq!(rows_without_a_name(markdown, "## A"), ["| two `x` | nothing |"]);
    assert_eq!(rows_without_a_name(markdown, "## C"), ["there is no ## C"]);
}

#[test]
fn a_dead_reference_and_a_dead_target_are_found() {
    let files = BTreeSet::from(["docs/a.md".to_owned(), "types/src/bundle.rs".to_owned()]);
    let markdown = "See `bundle.rs`, `gone.rs`, `<dir>/genesis.json`, [a](a.md), [b](../b.md#x) \
                    and [the web](https://example.org). Run `make fly` or `make test`.\n";
    assert_eq!(
        dead_references("docs/c.md", markdown, &files),
        ["docs/c.md: gone.rs", "docs/c.md: ../b.md"]
    );
    assert_eq!(dead_targets("docs/c.md", markdown, "test: build\n"), ["docs/c.md: make fly"]);
}
