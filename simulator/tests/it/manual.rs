//! The manual names every key and value that a scenario may have.

use conclave_simulator::{BUILTINS, Scenario};

const MANUAL: &str = include_str!("../../../docs/simulator.md");

/// The names that the parser offers instead of one that does not exist.
fn offered(text: &str) -> Vec<String> {
    let error = Scenario::parse("x.toml", text).unwrap_err();
    assert!(error.expected.starts_with("unknown "), "{text}: {error}");
    error.expected.split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
}

#[test]
fn every_key_and_every_behaviour_is_in_the_manual() {
    let texts = [
        "nonsense = 1",
        "[network]\nnonsense = 1",
        "[network.churn]\nnonsense = 1",
        "[chaos]\nnonsense = 1",
        "[machine]\nnonsense = 1",
        "[clocks]\nnonsense = 1",
        "[[full_disks]]\nnonsense = 1",
        "crypto = \"nonsense\"",
        "[market]\nnonsense = 1",
        "[l1]\nnonsense = 1",
        "[[l1.outages]]\nnonsense = 1",
        "[[l1.offers]]\nnonsense = 1",
        "[[l1.rotations]]\nnonsense = 1",
        "[[l1.stakes]]\nnonsense = 1",
        "[[l1.fee_spikes]]\nnonsense = 1",
        "[[crashes]]\nnonsense = 1",
        "[[partitions]]\nnonsense = 1",
        "[[byzantine]]\nnonsense = 1",
        "[[byzantine]]\nvalidator = 1\nbehaviours = [\"nonsense\"]",
        "[[crashes]]\nvalidator = 1\nat_ms = 1\nuntil_ms = 2\nlose = \"nonsense\"",
        "[[crashes]]\nvalidator = 1\nat_ms = 1\nuntil_ms = 2\ntail = \"nonsense\"",
    ];
    for text in texts {
        for name in offered(text) {
            let tables = [format!("`{name}`"), format!("`[{name}]`"), format!("`[[{name}]]`")];
            let named = tables.iter().any(|name| MANUAL.contains(name));
            assert!(named, "docs/simulator.md does not say what {name} is");
        }
    }
}

#[test]
fn the_scenarios_that_the_manual_runs_exist() {
    let after = |words: &'static str| MANUAL.split(words).skip(1);
    for command in after("conclave-sim run ").chain(after("conclave-sim sweep ")) {
        let name = command.split_whitespace().next().unwrap();
        let built_in = BUILTINS.iter().any(|builtin| builtin.name == name);
        assert!(built_in || name == "mine.toml" || name.starts_with('#'), "{name}");
    }
}
