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
