//! Each adversary has its file, a scenario that has it, and its line in the manual.

use std::{collections::BTreeSet, path::Path};

use crate::{builtin::BUILTINS, oracle::PROMISES, scenario::Behaviour};

const MANUAL: &str = include_str!("../../../docs/simulator.md");

/// Files here that are no adversary.
const ROOMS: [&str; 2] = ["means.rs", "tests.rs"];

fn file(behaviour: Behaviour) -> String {
    format!("{}.rs", behaviour.name().replace('-', "_"))
}

/// The built-in scenarios in which validators behave like this.
fn scenarios(behaviour: Behaviour) -> BTreeSet<&'static str> {
    let has = |builtin: &&crate::builtin::Builtin| {
        let scenario = builtin.scenario().unwrap();
        scenario.byzantine.iter().any(|liar| liar.behaviours.contains(&behaviour))
    };
    BUILTINS.iter().filter(has).map(|builtin| builtin.name).collect()
}

#[test]
fn an_adversary_is_called_in_a_scenario_what_its_name_says() {
    for behaviour in Behaviour::ALL {
        let text = format!("[[byzantine]]\nvalidator = 1\nbehaviours = [\"{}\"]", behaviour.name());
        let scenario: crate::scenario::Scenario = toml::from_str(&text).unwrap();
        assert_eq!(scenario.byzantine[0].behaviours, [*behaviour]);
        let does = behaviour.does();
        assert!(does.ends_with('.') && !does.contains("  "), "{does:?} is no sentence");
    }
}

#[test]
fn every_adversary_is_one_file_and_every_file_one_adversary() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adversary");
    let files = std::fs::read_dir(here).unwrap().map(|entry| entry.unwrap().file_name());
    let files: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
    let files = files.into_iter().filter(|name| name.ends_with(".rs"));
    let files: BTreeSet<String> = files.filter(|name| !ROOMS.contains(&name.as_str())).collect();
    let expected: BTreeSet<String> = Behaviour::ALL.iter().copied().map(file).collect();
    assert_eq!(files, expected);
    assert_eq!(expected.len(), Behaviour::ALL.len());
}

#[test]
fn the_manual_says_of_each_adversary_where_it_is_who_has_it_and_what_has_to_hold() {
    for behaviour in Behaviour::ALL {
        let start = format!("| `{}` | `{}` | ", behaviour.name(), file(*behaviour));
        let row = MANUAL.lines().find_map(|line| line.strip_prefix(&start));
        let row = row.unwrap_or_else(|| panic!("docs/simulator.md has no line with {start}"));
        let (named, promise) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        let used = scenarios(*behaviour);
        assert!(!used.is_empty(), "no built-in scenario has {}", behaviour.name());
        assert_eq!(named.split(", ").collect::<BTreeSet<_>>(), used, "{}", behaviour.name());
        let is_watched = promise == "liveness" || PROMISES.contains(&promise);
        assert!(is_watched, "no oracle watches over {promise:?}");
    }
}
