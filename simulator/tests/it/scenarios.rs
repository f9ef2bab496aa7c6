//! Each built-in scenario over a seed or a few, and the core ones over more.

use std::collections::BTreeSet;

use conclave_encryption::{Packing, Suite, TicketRule, Tickets};
use conclave_simulator::{
    BUILTINS, Behaviour, Byzantine, COUNTERS, Crash, Loss, Scenario, Verdict, builtin, run,
};
use conclave_types::ValidatorIndex;

fn holds(name: &str, seeds: std::ops::Range<u64>) {
    let scenario = builtin(name).unwrap().scenario().unwrap();
    for seed in seeds {
        let report = run(name, &scenario, seed).unwrap();
        assert_eq!(report.verdict, Verdict::Held, "{name}, seed {seed}: {}", report.detail);
        for counter in report.counters.keys() {
            assert!(COUNTERS.contains(counter), "{name} counts {counter}, which is not listed");
        }
    }
}

/// Counters of what should not happen in a run that holds, or that is counted beside what is expected.
const BESIDES: [&str; 6] = [
    "anomalies",
    "failed_sharings",
    "misattestations",
    "next_eras",
    "rollup_late_rollbacks",
    "rot_found",
];

/// No scenario expects it from every seed: who sleeps through a whole escape has nothing to take back.
#[test]
fn rollups_that_look_at_l1_now_and_then_go_back_too() {
    let scenario = builtin("l1-escape-unsettled").unwrap().scenario().unwrap();
    let report = run("l1-escape-unsettled", &scenario, 0).unwrap();
    assert!(report.counters["rollup_late_rollbacks"] > 0, "{:?}", report.counters);
}

#[test]
fn whatever_can_be_expected_is_counted_by_some_run() {
    let scenario = builtin("happy-4").unwrap().scenario().unwrap();
    let report = run("happy-4", &Scenario { heights: 3, ..scenario }, 0).unwrap();
    let all: Vec<_> = BUILTINS.iter().map(|builtin| builtin.scenario().unwrap()).collect();
    for counter in COUNTERS {
        let is_expected = all.iter().any(|scenario| scenario.expect.contains_key(counter));
        let is_counted = is_expected || report.counters.contains_key(counter);
        assert!(is_counted || BESIDES.contains(&counter), "nobody counts {counter}");
    }
}

macro_rules! scenarios {
    ($($test:ident $name:literal $seeds:expr;)*) => {
        $(#[test]
        fn $test() {
            holds($name, $seeds);
        })*

        #[test]
        fn no_scenario_is_left_out() {
            let tested = [$($name,)* "wan-100-1mb", "peers-25mbit"];
            for builtin in BUILTINS {
                assert!(tested.contains(&builtin.name), "{} has no test", builtin.name);
            }
        }
    };
}

#[test]
fn a_block_is_held_back_by_those_only_who_had_waited_when_it_was_first_shown() {
    // A broadcast shows a block too. The oracle took it for shown when somebody asked for it, seconds later.
    holds("delay", 5_003..5_005);
    holds("crash-locked", 5_001..5_002);
}

#[test]
fn rollups_that_do_not_come_back_are_a_miss_when_the_time_to_heal_is_over() {
    // No file may say so: when an origin is final, it is too late already to return on top of it.
    let mut scenario = builtin("l1-escape-unsettled").unwrap().scenario().unwrap();
    let l1 = scenario.l1.as_mut().unwrap();
    (l1.finality_blocks, l1.escape_delay_blocks) = (10, Some(16));
    let outage = l1.outages.first_mut().unwrap();
    (outage.from_ms, outage.until_ms) = (5_000, 30_000);
    let scenario = Scenario { heights: 120, heal_ms: 30_000, ..scenario };
    let report = run("no-return", &scenario, 0).unwrap();
    assert_eq!(report.verdict, Verdict::Liveness, "{}", report.detail);
    assert!(report.detail.starts_with("the time to heal passed"), "{}", report.detail);
    assert!(report.detail.ends_with("rollups are away"), "{}", report.detail);
    assert!(report.counters["l1_escapes"] > 0 && report.counters["l1_returns"] == 0);
}

#[test]
fn who_misbehaves_does_so_in_its_time_and_keeps_to_the_protocol_before_and_after() {
    let said_nothing = |from_ms, until_ms| {
        let lie = |validator| {
            let behaviours = vec![Behaviour::Silent];
            Byzantine { validator, behaviours, from_ms, until_ms, masked: false }
        };
        // A quorum is silent: while it is nothing is decided.
        let byzantine = [0, 1, 2].map(lie).into();
        let scenario = Scenario { byzantine, beyond_f: true, ..Scenario::default() };
        let report = run("silent-for-a-while", &scenario, 0).unwrap();
        assert_eq!(report.verdict, Verdict::Held, "{}", report.detail);
        let count = report.counters.get("withheld_messages").copied().unwrap_or_default();
        (count, report.elapsed_ms)
    };
    let (never, undisturbed) = said_nothing(100_000, 100_001);
    let (once, held_up) = said_nothing(1_000, 9_000);
    assert!(never == 0 || undisturbed >= 100_000, "{never} in {undisturbed} ms");
    assert!(once > 100 && held_up > 12_000, "{once} in {held_up} ms");
}

#[test]
fn a_fork_that_does_not_come_about_is_a_miss() {
    // Whoever keeps to the protocol on the other side leaves it before anything is decided there.
    let mut scenario = builtin("l1-forked").unwrap().scenario().unwrap();
    let from_ms = scenario.fork.as_ref().unwrap().from_ms;
    for crash in &mut scenario.crashes {
        (crash.at_ms, crash.until_ms, crash.spread_ms) = (from_ms + 1, from_ms + 1_000, 0);
    }
    scenario.fork.as_mut().unwrap().spread_ms = 0;
    let report = run("no-fork", &Scenario { l1: None, heights: 60, ..scenario }, 0).unwrap();
    assert_eq!(report.verdict, Verdict::Liveness, "{}", report.detail);
    assert_eq!(report.detail, "the chain was to fork, and it did not");
    assert_eq!(report.counters["crossings"], 2);
}

/// A height of these takes seconds; `conclave-sim sweep` runs all fifty.
fn begins(name: &str, heights: u64) {
    let scenario = Scenario { heights, ..builtin(name).unwrap().scenario().unwrap() };
    let report = run(name, &scenario, 0).unwrap();
    assert_eq!(report.verdict, Verdict::Held, "{name}: {}", report.detail);
}

#[test]
fn wan_100_1mb_slow() {
    begins("wan-100-1mb", 8);
}

#[test]
fn peers_25mbit_slow() {
    begins("peers-25mbit", 4);
}

#[test]
fn a_price_that_an_urgent_posting_pays_keeps_rollups_from_leaving_and_a_higher_one_does_not() {
    let scenario = builtin("l1-fee-spike").unwrap().scenario().unwrap();
    for (base_fee_gwei, escapes) in [(500, 0), (5_000, 1)] {
        let mut scenario = Scenario { expect: [].into(), ..scenario.clone() };
        let l1 = scenario.l1.as_mut().unwrap();
        l1.escape_delay_blocks = Some(32);
        l1.fee_spikes[0].base_fee_gwei = base_fee_gwei;
        let report = run("l1-fee-spike", &scenario, 0).unwrap();
        assert_eq!(report.verdict, Verdict::Held, "{base_fee_gwei} gwei: {}", report.detail);
        assert_eq!(report.counters["l1_escapes"], escapes, "{base_fee_gwei} gwei");
    }
}

#[test]
fn each_scenario_says_what_it_shows_and_runs_for_fifty_heights() {
    for builtin in BUILTINS {
        let scenario = builtin.scenario().unwrap();
        assert!(scenario.purpose.ends_with('.'), "{} has no sentence of purpose", builtin.name);
        assert!(scenario.heights >= 50, "{} is too short", builtin.name);
        let shown = !scenario.expect.is_empty() || scenario.breaks.is_some();
        assert!(shown, "{} does not say how to see that its fault happened", builtin.name);
    }
}

/// The points that its colluders hold of the first committee's key, and c.
fn points_of_colluders(scenario: &Scenario) -> (u16, u16) {
    let suite = Suite::of_number(scenario.key.suite).unwrap();
    let powers = (0..scenario.members().into())
        .map(|index| scenario.powers.get(index).copied().unwrap_or(1))
        .collect::<Vec<_>>();
    let tickets = Tickets::assign(&powers, &TicketRule { suite, ..TicketRule::DEFAULT }).unwrap();
    let liars = scenario.byzantine.iter().filter(|b| b.behaviours.contains(&Behaviour::Collude));
    let held = liars.map(|liar| tickets.of(ValidatorIndex::new(liar.validator))).sum();
    (held, tickets.packing().secrecy())
}

#[test]
fn colluders_hold_what_a_key_withstands_and_in_controls_one_point_more() {
    let mut packed = BTreeSet::new();
    for builtin in BUILTINS {
        let scenario = builtin.scenario().unwrap();
        if !scenario.byzantine.iter().any(|b| b.behaviours.contains(&Behaviour::Collude)) {
            continue;
        }
        let (held, secrecy) = points_of_colluders(&scenario);
        let name = builtin.name;
        let says_so = scenario.purpose.contains("as many as");
        match scenario.breaks {
            Some(_) => assert_eq!(held, secrecy + 1, "{name}"),
            None if says_so => assert_eq!(held, secrecy, "{name}"),
            None => assert!(held <= secrecy, "{name}: {held} points, {secrecy} tell nothing"),
        }
        if Packing::for_parties(scenario.members().into()).unwrap().packing() > 1 {
            packed.insert((scenario.breaks.is_some(), says_so));
        }
    }
    assert_eq!(packed, BTreeSet::from([(false, true), (true, false)]), "where a share serves two");
}

/// The counters that show that a behaviour was really one; one of them is enough.
fn shows(behaviour: Behaviour) -> &'static [&'static str] {
    match behaviour {
        Behaviour::Silent | Behaviour::Partial => &["withheld_messages"],
        Behaviour::Abstain => &["withheld_votes"],
        Behaviour::Dawdle => &["late_messages"],
        Behaviour::Brink => &["late_proposals"],
        Behaviour::Amnesia => &["forgotten_locks"],
        Behaviour::Impersonate => &["forged_votes"],
        Behaviour::DisguiseNil => &["disguised_votes"],
        Behaviour::Equivocate | Behaviour::EquivocateLate | Behaviour::Parrot => &["false_votes"],
        Behaviour::TwinProposals => &["false_proposals"],
        Behaviour::FalseCertificates => &["false_certificates"],
        Behaviour::Twins => &["twin_messages"],
        Behaviour::TwinBlocks
        | Behaviour::WrongLedger
        | Behaviour::WrongReveal
        | Behaviour::UnknownBundle
        | Behaviour::FutureTime
        | Behaviour::EdgeTime
        | Behaviour::Disorder
        | Behaviour::Replay
        | Behaviour::TwinBundles
        | Behaviour::UnknownOrigin
        | Behaviour::OmitEntry
        | Behaviour::InventEntry
        | Behaviour::ReorderEntries
        | Behaviour::RepeatEntry
        | Behaviour::StaleOrigin
        | Behaviour::OldOrigin
        | Behaviour::InventOffer
        | Behaviour::Censor
        | Behaviour::EmptyBlocks => &["forged_blocks"],
        Behaviour::HiddenBlock => &["hidden_blocks"],
        Behaviour::WithholdShares => &["withheld_shares"],
        Behaviour::LateShares => &["late_shares"],
        Behaviour::WrongShares => &["false_shares"],
        Behaviour::PrematureShares => &["premature_shares"],
        Behaviour::StrayShares => &["stray_shares"],
        Behaviour::Collude => &["attempts_to_open", "key_attempts", "short_attempts"],
        Behaviour::Hoard => &["hoarded_attempts"],
        Behaviour::FalseOpenings => &["false_openings", "false_parts"],
        Behaviour::FalseHistory => &["false_histories"],
        Behaviour::Boast => &["boasts"],
        Behaviour::Flood => &["floods"],
        Behaviour::Forge => &["forged_bundles"],
        Behaviour::FrontRun => &["sighted_bundles"],
        Behaviour::BadDealer => &["wrong_dealings"],
        Behaviour::FalseComplaint => &["unfounded_complaints"],
        Behaviour::DoubleAttestations => &["contradicting_attestations"],
        Behaviour::AlternateAttestations => &["alternating_attestations"],
        Behaviour::ForgedAttestations => &["forged_attestations"],
        Behaviour::MuteDealer => &["withheld_dealings"],
        Behaviour::Blockade => &["blockades"],
    }
}

/// For each kind of fault in a scenario, the counters of which one must be expected.
fn owed(scenario: &Scenario) -> Vec<&'static [&'static str]> {
    let Scenario { network, crashes, chaos, .. } = scenario;
    let churn = network.churn.as_ref();
    let loses = |crash: &Crash| crash.lose != Loss::Nothing;
    let spikes = scenario.l1.as_ref().is_some_and(|l1| !l1.fee_spikes.is_empty());
    let crosses = crashes.iter().any(|crash| crash.crosses);
    let faults: [(bool, &[&str]); 14] = [
        (scenario.fork.is_some(), &["forked_heights"]),
        (crosses, &["crossings"]),
        (spikes, &["l1_priced_out"]),
        (!crashes.is_empty() || chaos.crashes > 0, &["crashes"]),
        (crashes.iter().any(loses), &["disk_losses", "starts_refused"]),
        (!scenario.full_disks.is_empty(), &["disk_full"]),
        (!scenario.partitions.is_empty(), &["messages_blocked"]),
        (network.loss_permille > 0, &["messages_lost"]),
        (network.duplicate_permille > 0, &["messages_duplicated"]),
        (churn.is_some_and(|churn| churn.down_permille > 0), &["messages_churned"]),
        (churn.is_some_and(|churn| churn.detour_permille > 0), &["messages_detoured"]),
        (network.up_mbit.is_some_and(|mbit| mbit <= 25), &["pipe_waits"]),
        (scenario.clocks.skew_ms > 0, &["skew_us_max"]),
        (scenario.spam_per_s > 0, &["spam"]),
    ];
    let faults = faults.into_iter().filter(|(is_there, _)| *is_there).map(|(_, owed)| owed);
    let behaviours = scenario.byzantine.iter().flat_map(|byzantine| &byzantine.behaviours);
    faults.chain(behaviours.map(|behaviour| shows(*behaviour))).collect()
}

#[test]
fn each_fault_of_a_scenario_must_be_seen_to_happen() {
    for builtin in BUILTINS {
        let scenario = builtin.scenario().unwrap();
        // A control's fault is seen by what it breaks.
        if scenario.breaks.is_some() {
            continue;
        }
        for owed in owed(&scenario) {
            let is_expected =
                |counter: &&str| scenario.expect.get(*counter).is_some_and(|least| *least > 0);
            let name = builtin.name;
            assert!(owed.iter().any(is_expected), "{name} does not expect one of {owed:?}");
        }
    }
}

/// Crashes at random instants, on links that lose messages: what a few seeds may miss.
macro_rules! sweeps {
    ($($test:ident $name:literal;)*) => {
        $(#[test]
        fn $test() {
            holds($name, 20..40);
        })*
    };
}

sweeps! {
    chaos_sweep_slow "chaos";
    crash_unseen_sweep_slow "crash-unseen";
    equivocator_with_loss_sweep_slow "equivocator-with-loss";
    chaos_with_equivocator_sweep_slow "chaos-with-equivocator";
}

scenarios! {
    happy_4 "happy-4" 0..3;
    double_attestations "double-attestations" 0..2;
    alternate_attestations "alternate-attestations" 0..2;
    forged_attestations "forged-attestations" 0..2;
    happy_16 "happy-16" 0..1;
    key_made "key-made" 0..3;
    key_made_16_slow "key-made-16" 0..1;
    key_handed_on "key-handed-on" 0..2;
    era_turn "era-turn" 0..2;
    era_and_committees "era-and-committees" 0..1;
    era_and_crashes "era-and-crashes" 0..2;
    colluders_era "colluders-era" 0..1;
    hoarders_era "hoarders-era" 0..1;
    baseline "baseline" 0..2;
    key_and_crashes "key-and-crashes" 0..3;
    key_without_quorum "key-without-quorum" 0..3;
    bad_dealer "bad-dealer" 0..3;
    false_complaint "false-complaint" 0..3;
    mute_dealers "mute-dealers" 0..3;
    key_rotation "key-rotation" 0..2;
    committee_join_leave "committee-join-leave" 0..2;
    committee_swap_third "committee-swap-third" 0..2;
    committee_whale "committee-whale" 0..2;
    committee_crashes "committee-crashes" 0..3;
    committee_churn "committee-churn" 0..2;
    offer_invented "offer-invented" 0..2;
    l1_happy "l1-happy" 0..2;
    withdrawals "withdrawals" 0..2;
    cheat_unpaid "cheat-unpaid" 0..2;
    l1_reorgs "l1-reorgs" 0..2;
    l1_outage "l1-outage" 0..2;
    l1_crashes "l1-crashes" 0..2;
    l1_false_view "l1-false-view" 0..2;
    l1_contracts "l1-contracts" 0..2;
    l1_contracts_reorgs "l1-contracts-reorgs" 0..2;
    l1_contracts_outage "l1-contracts-outage" 0..1;
    l1_fee_spike "l1-fee-spike" 0..1;
    l1_escape "l1-escape" 0..1;
    l1_escape_unsettled "l1-escape-unsettled" 0..1;
    l1_escape_twice_slow "l1-escape-twice" 0..1;
    l1_halt_twice_slow "l1-halt-twice" 0..1;
    l1_forked_apart "l1-forked-apart" 0..1;
    l1_false_postings "l1-false-postings" 0..1;
    l1_blockade "l1-blockade" 0..1;
    l1_blockade_then_halt "l1-blockade-then-halt" 0..1;
    l1_stakes "l1-stakes" 0..2;
    l1_key_rotation "l1-key-rotation" 0..2;
    l1_slashed "l1-slashed" 0..2;
    l1_leaver_slashed "l1-leaver-slashed" 0..1;
    l1_alternate_attestations "l1-alternate-attestations" 0..2;
    l1_stray_shares "l1-stray-shares" 0..2;
    l1_wrong_shares "l1-wrong-shares" 0..1;
    l1_framed "l1-framed" 0..2;
    l1_forked "l1-forked" 0..2;
    l1_forked_ahead "l1-forked-ahead" 0..2;
    l1_forked_behind "l1-forked-behind" 0..2;
    forced_through_censors "forced-through-censors" 0..2;
    entry_omitted "entry-omitted" 0..2;
    entry_invented "entry-invented" 0..2;
    entries_reordered "entries-reordered" 0..2;
    entry_repeated "entry-repeated" 0..2;
    stale_origin "stale-origin" 0..2;
    old_origin "old-origin" 0..2;
    one_sided_origin "one-sided-origin" 0..2;
    happy_100_slow "happy-100" 0..1;
    devnet "devnet" 0..1;
    idle "idle" 0..1;
    loss "loss" 0..1;
    heavy_loss "heavy-loss" 0..1;
    duplicates "duplicates" 0..1;
    delay "delay" 0..1;
    crash_one "crash-one" 0..1;
    crash_unseen "crash-unseen" 0..1;
    crash_all "crash-all" 0..3;
    crash_locked "crash-locked" 0..1;
    crash_storm "crash-storm" 0..1;
    lost_disk "lost-disk" 0..1;
    lost_database "lost-database" 0..3;
    old_backup "old-backup" 0..1;
    partition "partition" 0..1;
    minority_partition "minority-partition" 0..1;
    one_way_partition "one-way-partition" 0..1;
    equivocator "equivocator" 0..3;
    equivocator_with_loss "equivocator-with-loss" 0..1;
    late_equivocator "late-equivocator" 0..1;
    twins "twins" 0..1;
    twin_blocks "twin-blocks" 0..1;
    twin_proposals "twin-proposals" 0..1;
    parrot "parrot" 0..1;
    false_certificates "false-certificates" 0..1;
    amnesiac "amnesiac" 0..1;
    impersonator "impersonator" 0..1;
    disguised_nil "disguised-nil" 0..1;
    disguised_echo "disguised-echo" 0..2;
    coalition "coalition" 0..1;
    colluders "colluders" 0..1;
    colluders_by_power "colluders-by-power" 0..1;
    colluders_key_handed_on "colluders-key-handed-on" 0..1;
    colluders_packed "colluders-packed" 0..1;
    silent "silent" 0..1;
    partial "partial" 0..1;
    abstainer "abstainer" 0..1;
    dawdler "dawdler" 0..1;
    brink "brink" 0..1;
    withheld_shares "withheld-shares" 0..1;
    late_shares "late-shares" 0..1;
    wrong_shares "wrong-shares" 0..1;
    wrong_shares_with_loss "wrong-shares-with-loss" 0..1;
    premature_shares "premature-shares" 0..1;
    stray_shares "stray-shares" 0..1;
    false_openings "false-openings" 0..1;
    cooperative_opening "cooperative-opening" 0..1;
    boaster "boaster" 0..1;
    false_history "false-history" 0..1;
    wrong_ledger "wrong-ledger" 0..1;
    wrong_reveal "wrong-reveal" 0..1;
    unknown_bundle "unknown-bundle" 0..1;
    disorder "disorder" 0..1;
    replay "replay" 0..1;
    twin_bundles "twin-bundles" 0..1;
    future_time "future-time" 0..1;
    edge_time "edge-time" 0..1;
    unknown_origin "unknown-origin" 0..1;
    hidden_block "hidden-block" 0..1;
    censor "censor" 0..1;
    empty_blocks "empty-blocks" 0..1;
    flood "flood" 0..1;
    forger "forger" 0..1;
    spam "spam" 0..1;
    spam_and_forger "spam-and-forger" 0..1;
    outbid "outbid" 0..1;
    front_runner "front-runner" 0..1;
    chaos "chaos" 0..1;
    chaos_with_equivocator "chaos-with-equivocator" 0..1;
    chaos_7 "chaos-7" 0..1;
    wan_10_regions "wan-10-regions" 0..1;
    wan_100_slow "wan-100" 0..1;
    wan_100_worst_third_slow "wan-100-worst-third" 0..1;
    bandwidth_25mbit "bandwidth-25mbit" 0..1;
    disk_full_one "disk-full-one" 0..1;
    torn_tail "torn-tail" 0..1;
    bit_rot "bit-rot" 0..1;
    clock_skew "clock-skew" 0..1;
    link_churn "link-churn" 0..1;
    partial_partition "partial-partition" 0..1;
    control_fork "control-fork" 0..1;
    control_collusion "control-collusion" 0..1;
    control_collusion_majority "control-collusion-majority" 0..1;
    control_collusion_on_chain "control-collusion-on-chain" 0..1;
    control_collusion_packed "control-collusion-packed" 0..1;
    control_hoarders "control-hoarders" 0..1;
    control_early_shares "control-early-shares" 0..1;
    control_equivocator "control-equivocator" 0..1;
    control_double_attestation "control-double-attestation" 0..1;
    control_framed "control-framed" 0..1;
    control_lying_disk "control-lying-disk" 0..1;
}
