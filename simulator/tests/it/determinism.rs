//! A run is a function of scenario and seed.

use conclave_simulator::{Scenario, builtin, run};

fn scenario(name: &str, heights: u64) -> Scenario {
    Scenario { heights, expect: [].into(), ..builtin(name).unwrap().scenario().unwrap() }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for name in ["happy-4", "spam-and-forger", "chaos"] {
        let scenario = scenario(name, 10);
        assert_eq!(run(name, &scenario, 5), run(name, &scenario, 5), "{name}");
    }
}

#[test]
fn another_seed_gives_another_run() {
    let scenario = scenario("happy-4", 5);
    let hash = |seed| run("happy-4", &scenario, seed).unwrap().trace_hash;
    assert_ne!(hash(1), hash(2));
}
