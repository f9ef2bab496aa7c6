//! No secret number is held in a type that does not erase it.

use crate::assert_none;

/// Types of the encryption that hold scalars as they are, and why they may: in `encryption/src`.
const PUBLIC: [(&str, &str); 11] = [
    ("Secret", "is what erases them"),
    ("Content", "an evaluation that was published"),
    ("Interpolation", "follows from places of points"),
    ("Weights", "follow from places of points"),
    ("Repair", "evaluations that were published"),
    ("CheckedDealing", "evaluations as the chain has them, masked"),
    ("Outcome", "weights that follow from who dealt"),
    ("Batch", "challenges and responses of proofs, and their weights"),
    ("Capsule", "the response of a proof, which is sent"),
    ("Value", "the exponent of a bundle that is being opened"),
    ("Sums", "a sum of such exponents"),
];

/// What holds a scalar by value: names of types in the lines of `source` before its tests.
fn holders_of_scalars(source: &str) -> Vec<String> {
    let mut holders = Vec::new();
    let mut current: Option<String> = None;
    for line in source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines() {
        let code = line.split("//").next().unwrap_or_default();
        let declared = code.split_once("struct ").or_else(|| code.split_once("enum "));
        if let Some((_, rest)) = declared.filter(|(before, _)| !before.starts_with(' ')) {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            current = rest.split(|c| !is_part(c)).next().map(str::to_owned);
        }
        let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '&'));
        // A variant of an error that is called so holds none.
        let is_variant = code.trim_start().starts_with("Scalar");
        if let Some(name) = &current
            && !is_variant
            && words.into_iter().any(|word| word == "Scalar")
        {
            holders.push(name.clone());
        }
        let is_over = code.starts_with('}') || (declared.is_some() && code.ends_with(';'));
        if is_over {
            current = None;
        }
    }
    holders.dedup();
    holders
}

#[test]
fn scalars_that_are_held_bare_are_public() {
    let root = conclave_tests::workspace_root();
    let sources = conclave_tests::workspace_files(&[".rs"]).into_iter().filter(|path| {
        let path = path.to_string_lossy();
        path.starts_with("encryption/src") && !path.contains("/tests")
    });
    let mut found: Vec<(String, String)> = Vec::new();
    for path in sources {
        let text = std::fs::read_to_string(root.join(&path)).expect("a source is UTF-8");
        let path = path.to_string_lossy().into_owned();
        found.extend(holders_of_scalars(&text).into_iter().map(|name| (path.clone(), name)));
    }
    let is_known = |name: &str| PUBLIC.iter().any(|(known, _)| *known == name);
    let unknown = found.iter().filter(|(_, name)| !is_known(name));
    let unknown: Vec<_> = unknown.map(|(path, name)| format!("{path}: {name}")).collect();
    assert_none("a type holds a scalar that nothing erases", &unknown);
    let is_there = |name: &str| found.iter().any(|(_, found)| found == name);
    let gone = PUBLIC.iter().filter(|(name, _)| !is_there(name));
    let gone: Vec<_> = gone.map(|(name, _)| (*name).to_owned()).collect();
    assert_none("no such type holds a scalar any more", &gone);
}

#[test]
fn a_type_that_holds_a_scalar_is_found() {
    let source = "use blstrs::Scalar;\npub(crate) struct A {\n    one: u8,\n    two: Vec<Scalar>,\n}\n\
                  struct B(Scalar);\nstruct C<'a>(&'a Scalar);\nenum D {\n    Scalar { of: u8 },\n    \
                  E(Option<Scalar>), // F\n}\nfn g(scalar: Scalar) -> Scalar {}\nstruct H; // Scalar\n\
                  #[cfg(test)]\nmod tests {\nstruct I(Scalar);\n}\n";
    assert_eq!(holders_of_scalars(source), ["A", "B", "C", "D"]);
}
