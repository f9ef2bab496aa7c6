//! Faults at random, drawn from the seed: what nobody thought of.

use std::collections::BTreeSet;

use super::{Crash, Loss, Scenario};
use crate::{network::Partition, random::Random};

/// Nothing happens before everyone has started.
const CALM_MS: u64 = 500;

impl Scenario {
    /// Adds the crashes and partitions that the seed draws.
    pub(super) fn draw_chaos(&mut self, random: &mut Random) {
        let chaos = self.chaos.clone();
        // Who loses signing records is silent for a height: as good as faulty.
        let most = usize::from(self.faulty_max()).saturating_sub(self.byzantine.len());
        let mut losers = BTreeSet::new();
        for _ in 0..chaos.crashes {
            let mut crash = self.draw_crash(random);
            if crash.lose != Loss::Nothing && !losers.contains(&crash.validator) {
                if losers.len() < most {
                    losers.insert(crash.validator);
                } else {
                    crash.lose = Loss::Nothing;
                }
            }
            let is_byzantine = self.byzantine.iter().any(|b| b.validator == crash.validator);
            let overlaps = self.crashes.iter().any(|other| {
                other.validator == crash.validator
                    && other.at_ms <= crash.until_ms
                    && crash.at_ms <= other.until_ms
            });
            if !is_byzantine && !overlaps {
                self.crashes.push(crash);
            }
        }
        for _ in 0..chaos.partitions {
            let (from_ms, until_ms) = self.draw_span(random);
            let side = (0..self.validators).filter(|_| random.chance(400)).collect();
            let one_way = random.chance(333);
            let against = Vec::new();
            self.partitions.push(Partition {
                from_ms,
                until_ms,
                spread_ms: 0,
                side,
                against,
                one_way,
            });
        }
    }

    fn draw_crash(&self, random: &mut Random) -> Crash {
        let validator = u16::try_from(random.below(u64::from(self.validators))).unwrap_or(0);
        let (at_ms, until_ms) = self.draw_span(random);
        let lose = if random.chance(200) { Loss::RecentDatabase } else { Loss::Nothing };
        let unseen = random.chance(500);
        Crash {
            validator,
            at_ms,
            until_ms,
            spread_ms: 0,
            lose,
            unseen,
            tail: None,
            crosses: false,
            lost_state: false,
            understated: false,
        }
    }

    /// From when to when: half of all faults are over in an instant.
    fn draw_span(&self, random: &mut Random) -> (u64, u64) {
        let last = self.chaos.until_ms.saturating_sub(CALM_MS).max(1);
        let from = CALM_MS.saturating_add(random.below(last));
        let longest = if random.chance(500) { 50 } else { 3_000 };
        let until = from.saturating_add(random.below(longest)).saturating_add(1);
        (from, until.min(self.chaos.until_ms.max(from.saturating_add(1))))
    }
}
