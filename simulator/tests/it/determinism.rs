//! A run is a function of scenario and seed.

use conclave_simulator::{Crypto, Scenario, builtin, run};

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
fn pipes_clocks_and_power_cuts_are_the_same_again() {
    for name in ["bandwidth-25mbit", "clock-skew", "torn-tail"] {
        let scenario = scenario(name, 6);
        assert_eq!(run(name, &scenario, 5), run(name, &scenario, 5), "{name}");
    }
}

#[test]
fn an_evm_is_the_same_again() {
    let scenario = scenario("l1-contracts-reorgs", 30);
    assert_eq!(run("evm", &scenario, 5), run("evm", &scenario, 5));
}

#[test]
fn how_cryptography_is_done_changes_nothing_that_is_seen() {
    let memoised = scenario("happy-4", 10);
    let real = Scenario { crypto: Crypto::Real, ..memoised.clone() };
    let hash = |scenario: &Scenario| run("happy-4", scenario, 5).unwrap().trace_hash;
    assert_eq!(hash(&real), hash(&memoised));
    let liars = scenario("wrong-shares", 10);
    let real = Scenario { crypto: Crypto::Real, ..liars.clone() };
    assert_eq!(hash(&real), hash(&liars));
}

#[test]
fn another_seed_gives_another_run() {
    let scenario = scenario("happy-4", 5);
    let hash = |seed| run("happy-4", &scenario, seed).unwrap().trace_hash;
    assert_ne!(hash(1), hash(2));
}
