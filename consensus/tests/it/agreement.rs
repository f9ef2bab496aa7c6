//! Everyone decides the same blocks, under loss, delay, silence and bad proposals.

use conclave_types::{Height, Round, ValidatorIndex};

use crate::net::{Conduct, Net, Options, committee_of, config};

fn run(options: Options) -> Net {
    let mut net = Net::new(options);
    net.run();
    for node in &net.nodes {
        assert_eq!(node.faults, vec![], "nobody is blamed for a bad network");
        assert_eq!(node.anomalies, Vec::<String>::new());
    }
    net
}

#[test]
fn four_and_seven_validators_decide_in_round_0() {
    for count in [1, 4, 7] {
        let net = run(Options::new(count));
        assert_eq!(net.rounds_max, 0);
        assert!(net.nodes.iter().all(|node| node.polkas >= 19), "each decision follows a polka");
    }
}

#[test]
fn loss_of_5_and_10_percent_delays_but_does_not_stop() {
    for loss_percent in [5, 10] {
        for seed in 0..10 {
            run(Options { loss_percent, seed, heights: 15, ..Options::new(4) });
        }
        run(Options { loss_percent, seed: 77, heights: 15, ..Options::new(7) });
    }
}

#[test]
fn delays_longer_than_the_waits_are_outgrown() {
    let net = run(Options { latency_ms: (100, 900), heights: 10, ..Options::new(4) });
    assert!(net.rounds_max > 0, "the waits of round 0 are too short for this network");
}

#[test]
fn silent_third_costs_rounds_only() {
    let conduct = [(2, Conduct::Silent)].into();
    let net = run(Options { conduct, ..Options::new(4) });
    assert_eq!(net.rounds_max, 1, "the next proposer is not silent");
    let conduct = [(1, Conduct::Silent), (4, Conduct::Silent)].into();
    run(Options { conduct, loss_percent: 5, heights: 10, ..Options::new(7) });
}

#[test]
fn invalid_block_gets_nil_votes_and_is_not_decided() {
    let conduct = [(1, Conduct::ProposesInvalid)].into();
    let net = run(Options { conduct, ..Options::new(4) });
    let first = &net.nodes[0].decided[&Height::new(1)];
    assert_eq!(first.round, Round::new(1), "validator 1 proposes height 1 in round 0");
}

#[test]
fn withheld_block_costs_a_round() {
    let conduct = [(1, Conduct::Withholds)].into();
    let net = run(Options { conduct, ..Options::new(4) });
    let first = &net.nodes[0].decided[&Height::new(1)];
    assert_eq!(first.round, Round::new(1));
}

#[test]
fn follower_without_a_key_decides() {
    let net = run(Options { followers: 2, loss_percent: 5, ..Options::new(4) });
    assert!(net.nodes[4..].iter().all(|node| node.decided.len() == 20));
}

#[test]
fn same_seed_same_trace() {
    let options = |seed| Options { seed, loss_percent: 5, ..Options::new(7) };
    let trace = |seed| Net::new(options(seed)).run();
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

#[test]
fn unequal_powers_decide_and_propose_by_power() {
    let powers = vec![5, 1, 1, 3, 2];
    let net = run(Options { powers: powers.clone(), ..Options::new(5) });
    assert_eq!(net.nodes[0].decided.len(), 20);
    let engine = net.nodes[0].engine.as_ref().unwrap();
    let mut turns = [0_u64; 5];
    for height in 1..=12_000 {
        turns[engine.proposer(Height::new(height), Round::ZERO).as_usize()] += 1;
    }
    for (turns, power) in turns.iter().zip(powers) {
        assert!(turns.abs_diff(power * 1_000) < 150, "{turns} turns for power {power}");
    }
}

#[test]
fn equal_powers_take_turns() {
    let committee = committee_of(&[3; 4]);
    let engine = conclave_consensus::Engine::new(config(&committee, None), Default::default());
    let engine = engine.unwrap();
    for number in 0..12 {
        let expected = ValidatorIndex::new((number % 4) as u16);
        assert_eq!(engine.proposer(Height::new(number), Round::ZERO), expected);
        assert_eq!(engine.proposer(Height::ZERO, Round::new(number as u32)), expected);
    }
    assert_eq!(engine.proposer(Height::new(u64::MAX), Round::new(u32::MAX)).as_u16(), 2);
}
