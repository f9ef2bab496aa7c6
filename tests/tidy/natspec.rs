//! Whoever is refused by a contract reads the error's sentence in a block explorer, and nothing else.

use crate::assert_none;

/// Errors and events of the contract at `path` that no sentence stands above. Those of an interface have it as `@notice`,
/// which is what tools show.
fn unexplained(path: &str, contract: &str) -> Vec<String> {
    let lines: Vec<&str> = contract.lines().map(str::trim).collect();
    let declares = |line: &str| line.starts_with("error ") || line.starts_with("event ");
    let says = |line: &str| match line.strip_prefix("/// ") {
        Some(text) if path.contains("/interfaces/") => text.starts_with("@notice "),
        Some(text) => !text.starts_with('@'),
        None => false,
    };
    let explained = |at: usize| {
        let above = lines.iter().take(at).rev().take_while(|line| line.starts_with("///"));
        above.last().is_some_and(|first| says(first))
    };
    let offences = lines.iter().enumerate().filter(|(at, line)| declares(line) && !explained(*at));
    offences.map(|(at, line)| format!("{path}:{}: {line}", at + 1)).collect()
}

#[test]
fn every_error_and_event_of_a_contract_says_what_it_means() {
    let files = conclave_tests::workspace_files(&[".sol"]);
    let sources: Vec<_> = files.iter().filter(|path| path.starts_with("contracts/src")).collect();
    assert!(sources.len() > 20, "the contracts are where they were");
    let read = |path: &std::path::Path| {
        let text = std::fs::read_to_string(conclave_tests::workspace_root().join(path));
        unexplained(&path.to_string_lossy(), &text.expect("a source is UTF-8"))
    };
    let offences: Vec<String> = sources.into_iter().flat_map(|path| read(path)).collect();
    assert_none("an error or event is without a sentence of natspec", &offences);
}

#[test]
fn an_error_without_a_sentence_is_found() {
    let contract = "/// @notice Said.\nerror A();\nerror B();\n    /// @param x Not why.\n    event C(\n\
                    /// Said, but not to tools.\nerror D();\n";
    let found = ["error B();", "event C(", "error D();"];
    let of = |path: &str, known: &[(usize, &str)]| -> Vec<String> {
        known.iter().map(|(line, text)| format!("{path}:{line}: {text}")).collect()
    };
    let path = "contracts/src/interfaces/IX.sol";
    let all = [(3, found[0]), (5, found[1]), (7, found[2])];
    assert_eq!(unexplained(path, contract), of(path, &all));
    let path = "contracts/src/lib/X.sol";
    let some = [(2, "error A();"), (3, found[0]), (5, found[1])];
    assert_eq!(unexplained(path, contract), of(path, &some));
}
