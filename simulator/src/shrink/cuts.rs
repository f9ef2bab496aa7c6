//! What can be cut from a scenario: validators, faults, load, heights and time, the largest piece first.
//! Every cut makes it smaller, so that cutting ends.

use crate::{network::Partition, scenario::Scenario};

/// Sizes of a committee in which one, two, three, five and ten may fail.
const COMMITTEES: [u16; 5] = [4, 7, 10, 16, 31];
/// A shorter fault says no more.
const WINDOW_MS_MIN: u64 = 20;

/// Every scenario that is one cut smaller, given how many heights everyone reached before it failed.
pub(super) fn of(scenario: &Scenario, reached: u64) -> Vec<Scenario> {
    let heights = scenario.heights.min(reached.saturating_add(1));
    // It fails before it gets further, so this costs a run and makes every other one shorter.
    let mut cuts = vec![Scenario { heights, ..scenario.clone() }];
    cuts.extend(faults(scenario));
    cuts.extend(committees(scenario));
    cuts.extend(fewer_heights(scenario));
    cuts.extend(load(scenario));
    cuts.extend(behaviours(scenario));
    cuts.extend(windows(scenario));
    cuts.retain(|cut| cut != scenario);
    cuts
}

/// Pieces of a list of `count`: all of it, then halves, then quarters, down to each by itself.
fn pieces(count: usize) -> Vec<std::ops::Range<usize>> {
    let mut pieces = Vec::new();
    let mut size = count;
    while size > 0 {
        pieces.extend((0..count).step_by(size).map(|from| from..from.saturating_add(size)));
        size /= 2;
    }
    pieces
}

fn without<T: Clone>(list: &[T], piece: &std::ops::Range<usize>) -> Vec<T> {
    let outside = |(index, _): &(usize, &T)| !piece.contains(index);
    list.iter().enumerate().filter(outside).map(|(_, entry)| entry.clone()).collect()
}

fn faults(scenario: &Scenario) -> Vec<Scenario> {
    let mut cuts = Vec::new();
    for piece in pieces(scenario.crashes.len()) {
        let crashes = without(&scenario.crashes, &piece);
        cuts.push(Scenario { crashes, ..scenario.clone() });
    }
    for piece in pieces(scenario.partitions.len()) {
        let partitions = without(&scenario.partitions, &piece);
        cuts.push(Scenario { partitions, ..scenario.clone() });
    }
    for piece in pieces(scenario.full_disks.len()) {
        let full_disks = without(&scenario.full_disks, &piece);
        cuts.push(Scenario { full_disks, ..scenario.clone() });
    }
    for piece in pieces(scenario.l1.as_ref().map_or(0, |l1| l1.outages.len())) {
        let mut cut = scenario.clone();
        if let Some(l1) = &mut cut.l1 {
            l1.outages = without(&l1.outages, &piece);
        }
        cuts.push(cut);
    }
    for piece in pieces(scenario.l1.as_ref().map_or(0, |l1| l1.fee_spikes.len())) {
        let mut cut = scenario.clone();
        if let Some(l1) = &mut cut.l1 {
            l1.fee_spikes = without(&l1.fee_spikes, &piece);
        }
        cuts.push(cut);
    }
    for piece in pieces(scenario.l1.as_ref().map_or(0, |l1| l1.stakes.len())) {
        let mut cut = scenario.clone();
        if let Some(l1) = &mut cut.l1 {
            l1.stakes = without(&l1.stakes, &piece);
        }
        cuts.push(cut);
    }
    if scenario.l1.is_some() {
        cuts.push(Scenario { l1: None, ..scenario.clone() });
    }
    for piece in pieces(scenario.byzantine.len()) {
        let byzantine = without(&scenario.byzantine, &piece);
        cuts.push(Scenario { byzantine, ..scenario.clone() });
    }
    cuts
}

fn behaviours(scenario: &Scenario) -> Vec<Scenario> {
    let mut cuts = Vec::new();
    for (index, byzantine) in scenario.byzantine.iter().enumerate() {
        for piece in pieces(byzantine.behaviours.len()) {
            let mut cut = scenario.clone();
            if let Some(liar) = cut.byzantine.get_mut(index) {
                liar.behaviours = without(&liar.behaviours, &piece);
                cuts.push(cut);
            }
        }
    }
    cuts
}

fn committees(scenario: &Scenario) -> Vec<Scenario> {
    let fewer = COMMITTEES.into_iter().chain([scenario.validators.saturating_sub(1)]);
    fewer.filter(|count| *count < scenario.validators).map(|n| committee(scenario, n)).collect()
}

/// The scenario among `count` validators. Those to whom something happens come first; what happens to
/// those who are left out does not happen.
fn committee(scenario: &Scenario, count: u16) -> Scenario {
    let concerned = |index: u16| {
        scenario.byzantine.iter().any(|liar| liar.validator == index)
            || scenario.crashes.iter().any(|crash| crash.validator == index)
            || scenario.full_disks.iter().any(|full| full.validator == index)
    };
    let mut order: Vec<u16> = (0..scenario.validators).collect();
    order.sort_by_key(|index| !concerned(*index));
    let place = |index: u16| {
        let place = order.iter().position(|other| *other == index)?;
        u16::try_from(place).ok().filter(|place| *place < count)
    };
    let mut cut = Scenario { validators: count, ..scenario.clone() };
    cut.crashes.retain_mut(|crash| relabel(&mut crash.validator, place));
    cut.byzantine.retain_mut(|liar| relabel(&mut liar.validator, place));
    cut.full_disks.retain_mut(|full| relabel(&mut full.validator, place));
    if let Some(l1) = &mut cut.l1 {
        l1.false_views.retain_mut(|validator| relabel(validator, place));
        l1.false_postings.retain_mut(|validator| relabel(validator, place));
    }
    for outage in cut.l1.iter_mut().flat_map(|l1| &mut l1.outages) {
        outage.validators.retain_mut(|validator| relabel(validator, place));
    }
    // Counts would no longer add up; everyone is in one place then.
    cut.network.region_counts.clear();
    cut.partitions.retain_mut(|partition: &mut Partition| {
        let everyone = partition.against.is_empty();
        partition.side.retain_mut(|validator| relabel(validator, place));
        partition.against.retain_mut(|validator| relabel(validator, place));
        (1..usize::from(count)).contains(&partition.side.len())
            && everyone == partition.against.is_empty()
    });
    cut
}

fn relabel(validator: &mut u16, place: impl Fn(u16) -> Option<u16>) -> bool {
    let place = place(*validator);
    *validator = place.unwrap_or_default();
    place.is_some()
}

fn fewer_heights(scenario: &Scenario) -> Vec<Scenario> {
    let heights = scenario.heights;
    let cuts =
        [heights / 8, heights / 2, heights.saturating_sub(heights / 4), heights.saturating_sub(1)];
    let fewer = cuts.into_iter().filter(|fewer| (1..heights).contains(fewer));
    fewer.map(|heights| Scenario { heights, ..scenario.clone() }).collect()
}

/// Less to do, and links as they are by default.
fn load(scenario: &Scenario) -> Vec<Scenario> {
    let default = Scenario::default();
    let mut quiet = scenario.clone();
    (quiet.bundles_per_s, quiet.spam_per_s) = (0, 0);
    let mut lossless = scenario.clone();
    lossless.network.loss_permille = 0;
    let mut single = scenario.clone();
    single.network.duplicate_permille = 0;
    let mut steady = scenario.clone();
    steady.network.churn = None;
    vec![
        quiet,
        Scenario { bundle_bytes: 0, ..scenario.clone() },
        Scenario { clocks: default.clocks, ..scenario.clone() },
        Scenario { machine: default.machine, ..scenario.clone() },
        steady,
        Scenario { spam_per_s: 0, ..scenario.clone() },
        Scenario { network: default.network, ..scenario.clone() },
        lossless,
        single,
        Scenario { inclusion_delay_ms: default.inclusion_delay_ms, ..scenario.clone() },
        Scenario { payers: scenario.payers.min(1), ..scenario.clone() },
    ]
}

/// Faults that are over sooner, or begin later.
fn windows(scenario: &Scenario) -> Vec<Scenario> {
    let half = |from: u64, until: u64| {
        let length = until.saturating_sub(from);
        (length > WINDOW_MS_MIN).then(|| from.saturating_add(length / 2))
    };
    let mut cuts = Vec::new();
    for (index, crash) in scenario.crashes.iter().enumerate() {
        let mut cut = scenario.clone();
        let shorter = cut.crashes.get_mut(index).zip(half(crash.at_ms, crash.until_ms));
        if let Some((crash, middle)) = shorter {
            crash.until_ms = middle;
            cuts.push(cut);
        }
    }
    for (index, partition) in scenario.partitions.iter().enumerate() {
        let Some(middle) = half(partition.from_ms, partition.until_ms) else { continue };
        let (mut shorter, mut later) = (scenario.clone(), scenario.clone());
        if let Some(partition) = shorter.partitions.get_mut(index) {
            partition.until_ms = middle;
        }
        if let Some(partition) = later.partitions.get_mut(index) {
            partition.from_ms = middle;
        }
        cuts.extend([shorter, later]);
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_go_from_all_to_each() {
        assert_eq!(pieces(4), [0..4, 0..2, 2..4, 0..1, 1..2, 2..3, 3..4]);
        assert_eq!(pieces(0), []);
    }

    #[test]
    fn those_concerned_keep_their_faults_in_a_smaller_committee() {
        let text = "validators = 16\n[[byzantine]]\nvalidator = 11\nbehaviours = [\"silent\"]\n\
                    [[partitions]]\nfrom_ms = 1\nuntil_ms = 9\nside = [11, 12]\n\
                    [[crashes]]\nvalidator = 12\nat_ms = 1\nuntil_ms = 9\n";
        let scenario = Scenario::parse("x.toml", text).unwrap();
        let cut = committee(&scenario, 4);
        assert_eq!(cut.byzantine.first().unwrap().validator, 0);
        assert_eq!(cut.crashes.first().unwrap().validator, 1);
        assert_eq!(cut.partitions.first().unwrap().side, [0, 1]);
    }

    #[test]
    fn cutting_ends() {
        let mut scenario = crate::builtin("chaos-7").unwrap().scenario().unwrap().drawn(3);
        let mut steps = 0;
        while let Some(cut) = of(&scenario, u64::MAX).into_iter().find(Scenario::is_consistent) {
            scenario = cut;
            steps += 1;
            assert!(steps < 1_000, "{scenario:?}");
        }
        assert_eq!((scenario.validators, scenario.heights), (4, 1));
        assert!(scenario.crashes.is_empty() && scenario.byzantine.is_empty());
    }
}
