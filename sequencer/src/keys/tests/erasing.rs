//! What becomes of this validator's secrets when they have served.

use std::time::Duration;

use super::*;
use crate::{Job, testing::Memory};

const TICK: Duration = Duration::from_micros(10);

/// A validator alone, which makes its key.
fn alone() -> Solo {
    let mut solo = Solo::keyless(1, 0);
    let mut network = (*solo.genesis).clone();
    network.params.sharing = genesis().params.sharing;
    solo.genesis = Arc::new(network);
    solo.store = Memory::new();
    solo.restart();
    solo
}

/// Names of the secrets of an epoch that the store has.
fn secrets(solo: &Solo, of: u64) -> Vec<SecretName> {
    let names = solo.store.secrets.keys().filter(|name| {
        let (SecretName::HolderSeed { epoch, .. } | SecretName::Share { epoch, .. }) = name;
        *epoch == Epoch::new(of)
    });
    names.copied().collect()
}

#[test]
fn secrets_are_erased_with_their_epoch_and_what_a_crash_left_over_at_the_next_start() {
    let mut solo = alone();
    let newest = |solo: &Solo| solo.core.keys().newest().map(|key| key.epoch.as_u64());
    run_until(&mut solo, |solo| newest(solo) == Some(1));
    let kept = solo.store.secrets.clone();
    assert_eq!(secrets(&solo, 1).len(), 2, "a seed and a share");
    let is_over = |solo: &Solo| solo.core.keys().in_use()[0].epoch == Epoch::new(2);
    run_until(&mut solo, |solo| {
        assert_eq!(secrets(solo, 1).is_empty(), is_over(solo));
        is_over(solo)
    });
    assert!(!secrets(&solo, 2).is_empty());
    // The blocks were written, and not yet erased what they made an end of. What is recorded of the keys may be
    // from before that, or from after it.
    let attempt = |solo: &Solo| solo.core.keys().attempt().map(|dkg| dkg.session().id().epoch);
    for times in 0..2 {
        solo.store.secrets.extend(kept.clone());
        solo.restart();
        solo.run_to(solo.core.status().revealed.as_u64() + 1 - times);
        assert_eq!(secrets(&solo, 1), []);
        let newest = Epoch::new(newest(&solo).unwrap());
        run_until(&mut solo, |solo| attempt(solo).is_some_and(|epoch| epoch > newest.next()));
    }
    // What is ahead of the blocks, as after an old backup of those, may serve yet.
    run_until(&mut solo, |solo| solo.core.keys().attempt().is_some());
    let id = solo.core.keys().attempt().unwrap().session().id();
    let seed = |epoch, round| SecretName::HolderSeed { epoch, round };
    let to_come = [seed(id.epoch, Round::new(7)), seed(id.epoch.next(), Round::ZERO)];
    for name in to_come {
        solo.store.secrets.insert(name, SecretBytes::new([7; 32]));
    }
    solo.restart();
    assert!(to_come.iter().all(|name| solo.store.secrets.contains_key(name)));
}

#[test]
fn the_seed_of_an_attempt_that_failed_is_erased_at_once_or_at_the_next_start() {
    let mut solo = alone();
    let name = |round| SecretName::HolderSeed { epoch: Epoch::new(1), round: Round::new(round) };
    let round = |solo: &Solo| solo.core.keys().attempt().unwrap().session().id().round;
    // Nothing is dealt, so the attempt fails.
    solo.held = Some(vec![]);
    let mut seed = None;
    while round(&solo) == Round::ZERO {
        assert!(solo.core.status().decided < Height::new(100));
        solo.now = solo.core.wake_at().unwrap_or(solo.now).max(solo.now.after(TICK));
        solo.input(Input::Tick);
        for (job, work) in solo.held.replace(vec![]).unwrap_or_default() {
            if !matches!(work, Job::Deal(_)) {
                solo.input(Input::JobDone { job, output: work.run() });
            }
        }
        seed = solo.store.secrets.get(&name(0)).cloned().or(seed);
    }
    assert_eq!(secrets(&solo, 1), [name(1)]);
    solo.store.secrets.insert(name(0), seed.unwrap());
    solo.restart();
    assert_eq!(secrets(&solo, 1), [name(1)]);
}
