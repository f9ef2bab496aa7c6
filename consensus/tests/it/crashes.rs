//! Whatever dies when: nobody honest signs twice, and those that may sign do.

use std::time::Duration;

use crate::net::{Conduct, Death, Loss, Net, Options};

const DEATHS: [Death; 5] = [
    Death::BeforeWrites,
    Death::AfterRecords,
    Death::AfterCommit,
    Death::WhileSending,
    Death::AfterMark,
];

fn options(seed: u64, loss: Loss) -> Options {
    let mix = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let death = 50 + (mix >> 33) % 1_500;
    let restart = death + 30 + (mix >> 20) % 900;
    let how = DEATHS[(seed / 4 % 5) as usize];
    let crashes = vec![((seed % 4) as usize, death, how, restart, loss)];
    Options { seed, crashes, loss_percent: 2, heights: 12, ..Options::new(4) }
}

#[test]
fn restart_from_records_never_signs_twice() {
    let (mut silent, mut anomalies) = (0, Vec::new());
    for seed in 0..200 {
        let mut net = Net::new(options(seed, Loss::Nothing));
        net.run();
        for node in &mut net.nodes {
            silent += node.silent_heights.len();
            anomalies.append(&mut node.anomalies);
        }
    }
    assert_eq!(anomalies, Vec::<String>::new());
    // Only a death between the mark and the database costs a height: at most one each.
    assert!(silent <= 40, "{silent} silent heights in 40 such deaths");
}

#[test]
fn lost_records_with_the_mark_kept_are_silence_not_a_second_signature() {
    let mut silent = 0;
    for seed in 0..200 {
        let mut net = Net::new(options(seed, Loss::Records));
        net.run();
        silent += net.nodes.iter().map(|node| node.silent_heights.len()).sum::<usize>();
    }
    // Where nothing but a proposal or a prevote was signed yet, the mark alone is enough.
    assert!(silent >= 50, "lost records silenced {silent} restarts of 200");
}

#[test]
fn without_the_mark_the_oracle_finds_double_signing() {
    let mut contradicted = 0;
    for seed in 0..100 {
        let mut net = Net::new(options(seed, Loss::Everything));
        net.run_for(30_000);
        contradicted += net.contradicted.len();
    }
    assert!(contradicted > 5, "a test that cannot fail proves nothing: {contradicted} of 100");
}

#[test]
fn whole_network_that_loses_power_goes_on() {
    for seed in 0..100_u64 {
        let at = 60 + seed * 17;
        let crash = |node: usize| {
            // All but the last, which is the wrong order.
            let how = DEATHS[(seed as usize / 3 + node * (seed as usize % 3)) % 4];
            (node, at, how, at + 700 + 10 * node as u64, Loss::Nothing)
        };
        let crashes = (0..4).map(crash).collect();
        let mut net = Net::new(Options { seed, crashes, heights: 12, ..Options::new(4) });
        net.run();
    }
}

#[test]
fn crashes_beside_a_liar_are_outlived() {
    let conducts = [
        Conduct::Splits,
        Conduct::Withholds,
        Conduct::ProposesInvalid,
        Conduct::Equivocates { after: Duration::from_millis(150) },
        Conduct::Silent,
    ];
    for seed in 0..25_u64 {
        let liar = (seed % 4) as usize;
        let crash = |number: u64| {
            let node = (liar + 1 + ((seed / 4 + number) % 3) as usize) % 4;
            let at = 70 + 190 * number + 13 * (seed % 11);
            (node, at, DEATHS[((seed / 3 + number) % 4) as usize], at + 250, Loss::Nothing)
        };
        let mut net = Net::new(Options {
            seed,
            conduct: [(liar, conducts[(seed % 5) as usize])].into(),
            crashes: (0..4).map(crash).collect(),
            loss_percent: 4,
            heights: 10,
            ..Options::new(4)
        });
        net.run();
    }
}

#[test]
fn many_deaths_of_many_validators() {
    for seed in 0..40 {
        let mut crashes = Vec::new();
        for number in 0..12_u64 {
            let at = 150 * number + 37 * (seed % 7);
            let how = DEATHS[((seed + number) % 5) as usize];
            let node = ((seed + number) % 4) as usize;
            let loss = if number % 5 == 4 { Loss::Records } else { Loss::Nothing };
            crashes.push((node, at, how, at + 120, loss));
        }
        let mut net =
            Net::new(Options { seed, crashes, loss_percent: 2, heights: 10, ..Options::new(4) });
        net.run_for(60_000);
        let decided = net.nodes.iter().map(|node| node.decided.len()).max();
        assert!(decided >= Some(1), "someone decides something");
    }
}
