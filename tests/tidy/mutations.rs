//! Every mutant still fits the source that it breaks, and names a scenario and a promise that exist; and no promise is
//! without a mutant.
//! Whether the oracles see it takes a build for each: `make mutants`.

use std::{collections::BTreeMap, path::Path};

use conclave_tests::mutation::{Edit, LIVENESS, MEMBERS, Mutant, package_directory};

use crate::assert_none;

/// The least number of guards: fewer, and a guard was left out to get a patch out of the way.
const MUTANTS_MIN: usize = 24;

/// What is wrong with a mutant, given the text of each file that it may patch and the oracles' source.
fn misfits(
    mutant: &Mutant,
    has_scenario: bool,
    oracles: &str,
    text: impl Fn(&Edit) -> Option<String>,
) -> Vec<String> {
    let Mutant { name, guard, scenario, promise, edits } = mutant;
    let mut offences = Vec::new();
    if !has_scenario {
        offences.push(format!("{name}: there is no scenario {scenario}"));
    }
    if promise != LIVENESS && !oracles.contains(&format!("= \"{promise}\";")) {
        offences.push(format!("{name}: no oracle watches over {promise:?}"));
    }
    if !guard.ends_with('.') || edits.is_empty() {
        offences.push(format!("{name}: says in no sentence what it breaks, or breaks nothing"));
    }
    for edit in edits {
        let file = &edit.file;
        match text(edit).map(|text| edit.apply(&text)) {
            None => offences.push(format!("{name}: there is no file {file}")),
            Some(Err(found)) => {
                offences.push(format!("{name}: what it breaks is {found} times in {file}"));
            }
            Some(Ok(_)) if edit.find == edit.replace => {
                offences.push(format!("{name}: changes nothing in {file}"));
            }
            Some(Ok(_)) => {}
        }
    }
    offences
}

fn oracles(root: &Path) -> String {
    std::fs::read_to_string(root.join("simulator/src/oracle/promises.rs"))
        .expect("there are oracles")
}

#[test]
fn every_mutant_still_fits_what_it_breaks() {
    let root = conclave_tests::workspace_root();
    let (mutants, oracles) = (Mutant::load_all(root), oracles(root));
    assert!(mutants.len() >= MUTANTS_MIN, "{} mutants are left", mutants.len());
    let packages: BTreeMap<&str, _> = mutants
        .iter()
        .flat_map(|mutant| &mutant.edits)
        .filter_map(|edit| edit.package.as_deref())
        .map(|package| (package, package_directory(root, package)))
        .collect();
    let text = |edit: &Edit| {
        let directory = edit.package.as_deref().map_or(root, |package| &packages[package]);
        std::fs::read_to_string(directory.join(&edit.file)).ok()
    };
    let scenario = |mutant: &Mutant| {
        root.join(format!("simulator/scenarios/{}.toml", mutant.scenario)).is_file()
    };
    let offences: Vec<String> =
        mutants.iter().flat_map(|m| misfits(m, scenario(m), &oracles, text)).collect();
    assert_none("a mutant does not fit", &offences);
}

/// The promises that oracles watch over, by the constants that name them.
fn promises(oracles: &str) -> Vec<&str> {
    let named = oracles.lines().filter(|line| line.starts_with("pub"));
    named.filter_map(|line| line.split_once(": &str = \"")?.1.strip_suffix("\";")).collect()
}

/// Promises that no mutant breaks, so that nobody knows whether their oracles see.
fn unbroken<'a>(promises: &[&'a str], mutants: &[Mutant]) -> Vec<&'a str> {
    let is_broken = |promise: &&&str| mutants.iter().any(|mutant| mutant.promise == ***promise);
    promises.iter().filter(|promise| !is_broken(promise)).copied().collect()
}

#[test]
fn every_promise_has_a_mutant_that_breaks_it() {
    let root = conclave_tests::workspace_root();
    let oracles = oracles(root);
    let promises = promises(&oracles);
    let listed = format!("const PROMISES: [&str; {}]", promises.len());
    assert!(
        oracles.contains(&listed),
        "{} are named, and another number is listed",
        promises.len()
    );
    let blind = unbroken(&promises, &Mutant::load_all(root));
    let blind: Vec<String> = blind.into_iter().map(str::to_owned).collect();
    assert_none("no mutant shows that an oracle sees", &blind);
}

#[test]
fn a_promise_that_no_mutant_breaks_is_an_offence() {
    let oracles = "/// Kept.\npub(super) const ORDER: &str = \"order\";\n\
                   pub(crate) const LUCK: &str = \"luck\";\nconst NONE: u8 = 1;\n";
    let promises = promises(oracles);
    assert_eq!(promises, ["order", "luck"]);
    let toml = "guard = \"It holds.\"\nscenario = \"none\"\npromise = \"luck\"\nedits = []\n";
    let mutants = [Mutant::parse("m", toml).expect("a mutant")];
    assert_eq!(unbroken(&promises, &mutants), ["order"]);
    assert_eq!(unbroken(&promises, &[]), ["order", "luck"]);
}

/// The directories of this workspace's crates that a crate of it depends on.
fn dependencies(root: &Path, member: &str) -> Vec<String> {
    let read = |path: &Path| -> toml::Table {
        let text =
            std::fs::read_to_string(path.join("Cargo.toml")).expect("a crate has a manifest");
        text.parse().expect("a manifest is TOML")
    };
    let (all, own) = (read(root), read(&root.join(member)));
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let names =
        tables.iter().filter_map(|table| own.get(*table)?.as_table()).flat_map(toml::Table::keys);
    let path = |name: &String| {
        let path = all["workspace"]["dependencies"].get(name)?.get("path")?;
        path.as_str().map(str::to_owned)
    };
    names.filter_map(path).collect()
}

#[test]
fn mutants_are_built_from_everything_that_the_simulator_stands_on() {
    let root = conclave_tests::workspace_root();
    let is_there = |path: &String| MEMBERS.iter().any(|(member, _)| member == path);
    let missing = MEMBERS.iter().flat_map(|(member, _)| {
        let missing = dependencies(root, member).into_iter().filter(|path| !is_there(path));
        missing.map(move |path| format!("{member} depends on {path}, which is not copied"))
    });
    assert_none("mutants do not build", &missing.collect::<Vec<_>>());
}

#[test]
fn a_mutant_that_fits_nothing_is_an_offence() {
    let toml = "guard = \"It holds.\"\nscenario = \"none\"\npromise = \"luck\"\n\
                [[edits]]\nfile = \"a.rs\"\nfind = \"x\"\nreplace = \"y\"\n\
                [[edits]]\nfile = \"b.rs\"\nfind = \"x\"\nreplace = \"x\"\n\
                [[edits]]\nfile = \"c.rs\"\nfind = \"x\"\nreplace = \"y\"\n";
    let mutant = Mutant::parse("m", toml).expect("a mutant");
    let text = |edit: &Edit| match edit.file.as_str() {
        "a.rs" => Some("x and x".to_owned()),
        "b.rs" => Some("x".to_owned()),
        _ => None,
    };
    assert_eq!(
        misfits(&mutant, false, "const LUCK: &str = \"order\";", text),
        [
            "m: there is no scenario none",
            "m: no oracle watches over \"luck\"",
            "m: what it breaks is 2 times in a.rs",
            "m: changes nothing in b.rs",
            "m: there is no file c.rs",
        ]
    );
}
