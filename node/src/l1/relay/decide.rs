//! Whether to post now, and what it may cost: a function of what L1 shows, what this node could post, and what it
//! has spent.
//!
//! **Turns.** Everyone may post, and all but the first waste a transaction. So each settled height makes an order of
//! the validators: the first posts as soon as there is something to post, every other one waits for as many delays as
//! its rank. Who is first changes with each posting; nobody has to know whether the others live.
//!
//! **What is due.** The end of an epoch at once, since nothing after it settles without it; else a commitment that is
//! far enough above the last, or any after a while.
//!
//! **Money.** A day's transactions cost no more than the operator said; offers leave a quarter of it to the rest. So it
//! is until the origin that has settled is half the
//! escape delay behind: then rollups are about to leave, and each posting may cost as much as a day's.

use std::time::Duration;

use alloy::primitives::U256;
use conclave_types::Height;
use tokio::time::Instant;

/// A failed attempt is repeated after this.
const RETRY: Duration = Duration::from_secs(5);

/// How settlement stands on L1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// The epoch in office.
    pub(super) epoch: u64,
    /// The height that settled last.
    pub(super) height: u64,
    /// The height of the newest posting that stands for long (`IConclaveInbox.anchor`).
    pub(super) anchor: u64,
    /// The L1 block up to which that has seen L1.
    pub(super) origin: u64,
    /// The newest L1 block.
    pub(super) l1_block: u64,
    /// L1 blocks after which rollups may leave, which the timelock may change; 0 if that is not known.
    pub(super) escape_delay: u64,
    /// Whether the launcher has opened the network.
    pub(super) is_open: bool,
}

impl Settled {
    /// Under which posting a height is best proved: one that nobody can outrun, if it covers it.
    pub(super) const fn posting_to_prove_under(&self, height: Height) -> Height {
        let covers = self.anchor >= height.as_u64();
        Height::new(if covers { self.anchor } else { self.height })
    }
}

/// What this node could post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its height.
    pub(super) height: Height,
    /// Whether it ends the epoch in office.
    pub(super) ends_epoch: bool,
}

/// When and how this node posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// A commitment so many heights above the last is worth a posting.
    pub(super) every_heights: u64,
    /// And any, after this.
    pub(super) every: Duration,
    /// How long a validator waits for each that comes before it.
    pub(super) takeover: Duration,
    /// What the postings of a day may cost, in wei.
    pub(super) day_max: U256,
    /// What one posting may cost while it is not urgent.
    pub(super) posting_max: U256,
}

/// Among whom turns are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turns {
    /// This validator's place in the committee in office; none for whoever is no member.
    pub(super) seat: Option<u64>,
    /// How many members there are.
    pub(super) seats: u64,
}

impl Turns {
    /// How many come before this validator in the turn of that number. Whoever is no member comes after all.
    pub(super) fn rank(&self, turn: u64) -> u32 {
        let Self { seat, seats } = *self;
        let Some(seat) = seat else { return u32::try_from(seats).unwrap_or(u32::MAX) };
        let first = turn.checked_rem(seats).unwrap_or_default();
        let ahead = seat.saturating_add(seats).saturating_sub(first);
        u32::try_from(ahead.checked_rem(seats).unwrap_or_default()).unwrap_or(u32::MAX)
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Rest,
    /// Post this height, for at most so many wei.
    Post {
        /// The height.
        height: Height,
        /// The most that it may cost.
        cost_max: U256,
    },
    /// It is due, and the day's money is spent.
    Capped,
}

/// What is remembered from one look at L1 to the next.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    policy: Policy,
    turns: Turns,
    settled: Settled,
    /// Since when L1 stands there.
    since: Instant,
    /// Since when something is due.
    due: Option<Instant>,
    not_before: Instant,
    /// What the account has spent within a day, or may have.
    spent: U256,
    /// Whether an attempt at what is due would have cost more than it may.
    is_priced_out: bool,
}

impl Relay {
    pub(super) const fn new(policy: Policy, now: Instant) -> Self {
        let turns = Turns { seat: None, seats: 0 };
        let settled = Settled {
            epoch: 0,
            height: 0,
            anchor: 0,
            origin: 0,
            l1_block: 0,
            escape_delay: 0,
            is_open: false,
        };
        let spent = U256::ZERO;
        let (since, due, not_before) = (now, None, now);
        Self { policy, turns, settled, since, due, not_before, spent, is_priced_out: false }
    }

    /// What to do now that L1 stands at `settled`.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        settled: Settled,
        candidate: Option<Candidate>,
    ) -> Action {
        let is_there = |of: &Settled| (of.epoch, of.height);
        if is_there(&self.settled) != is_there(&settled) {
            // Forward, or back: L1 may take back what is not final.
            (self.since, self.due, self.is_priced_out) = (now, None, false);
        }
        self.settled = settled;
        let Some(candidate) = candidate.filter(|found| self.is_due(now, found)) else {
            (self.due, self.is_priced_out) = (None, false);
            return Action::Rest;
        };
        let due = *self.due.get_or_insert(now);
        if now < self.turn(due) {
            return Action::Rest;
        }
        let (height, purse) = (candidate.height, self.purse());
        if purse.is_zero() {
            return Action::Capped;
        }
        let posting_max = if self.is_urgent() { purse } else { self.policy.posting_max };
        Action::Post { height, cost_max: purse.min(posting_max) }
    }

    /// Says among whom turns are taken from now on.
    pub(super) const fn take_turns(&mut self, turns: Turns) {
        self.turns = turns;
    }

    /// Says what was spent within a day, or may have been.
    pub(super) const fn count(&mut self, spent: U256) {
        self.spent = spent;
    }

    /// Among whom turns are taken.
    pub(super) const fn turns(&self) -> Turns {
        self.turns
    }

    /// What may be spent now.
    pub(super) fn purse(&self) -> U256 {
        if self.is_urgent() {
            // As much again for each posting, whatever was spent before, and no more: what is urgent is an
            // endpoint's word, and so is what things cost.
            return self.reserve();
        }
        self.policy.day_max.saturating_sub(self.spent)
    }

    /// What may be spent now on what others' cases take: half of a day's money is for postings, and what is urgent for
    /// them leaves nothing. As many offences as somebody likes to commit cost those who end the cases no more.
    pub(super) fn spare(&self) -> U256 {
        (self.policy.day_max / U256::from(2)).saturating_sub(self.spent)
    }

    /// What may be spent now on an offer: a quarter of a day's money is for postings alone, whatever is urgent for them.
    /// Anybody can make an offer outdated, or have it fail in a block, with a gwei of stake, and have it made again; so
    /// offers must not keep this validator from posting. And cases leave a quarter for offers ([`Self::spare`]).
    pub(super) fn for_offers(&self) -> U256 {
        let quarter = self.policy.day_max / U256::from(4);
        self.policy.day_max.saturating_sub(quarter).saturating_sub(self.spent)
    }

    /// What may be spent on what cannot wait, whatever was spent before.
    pub(super) fn reserve(&self) -> U256 {
        self.policy.day_max.max(self.policy.posting_max)
    }

    /// When it is this validator's turn with what is due since then.
    fn turn(&self, due: Instant) -> Instant {
        (due + self.policy.takeover.saturating_mul(self.turns.rank(self.settled.height)))
            .max(self.not_before)
    }

    /// An attempt failed: it would have cost more than it may, or for another reason, which says nothing of what it costs.
    pub(super) fn failed(&mut self, now: Instant, is_priced_out: bool) {
        self.not_before = now + RETRY;
        self.is_priced_out |= is_priced_out;
    }

    /// Whether money is what keeps this validator from posting what is due: the day's is spent, or a posting costs more
    /// than it may. Between two attempts nothing is done, and it is so all the same: whoever looks now and then must see it.
    pub(super) fn is_capped(&self, action: Action) -> bool {
        action == Action::Capped || self.is_priced_out
    }

    fn is_due(&self, now: Instant, candidate: &Candidate) -> bool {
        let above = candidate.height.as_u64().saturating_sub(self.settled.height);
        candidate.ends_epoch
            || above >= self.policy.every_heights
            || above > 0 && now.duration_since(self.since) >= self.policy.every
    }

    fn is_urgent(&self) -> bool {
        let Settled { origin, l1_block, escape_delay, .. } = self.settled;
        escape_delay > 0 && l1_block.saturating_sub(origin) > escape_delay / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        every_heights: 100,
        every: Duration::from_secs(60),
        takeover: Duration::from_secs(10),
        day_max: U256::from_limbs([1_000, 0, 0, 0]),
        posting_max: U256::from_limbs([400, 0, 0, 0]),
    };

    const fn settled(height: u64) -> Settled {
        let (l1_block, escape_delay) = (60, 7_200);
        Settled { epoch: 0, height, anchor: 0, origin: 50, l1_block, escape_delay, is_open: true }
    }

    fn candidate(height: u64) -> Option<Candidate> {
        Some(Candidate { height: Height::new(height), ends_epoch: false })
    }

    fn post(height: u64, cost_max: u64) -> Action {
        Action::Post { height: Height::new(height), cost_max: U256::from(cost_max) }
    }

    /// A relay that has seen L1 at a settled height at second 0.
    fn relay(settled: Settled) -> (Relay, impl Fn(u64) -> Instant) {
        seated(Some(2), settled)
    }

    fn seated(seat: Option<u64>, settled: Settled) -> (Relay, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let mut relay = Relay::new(POLICY, start);
        relay.take_turns(Turns { seat, seats: 4 });
        assert_eq!(relay.decide(start, settled, None), Action::Rest);
        (relay, move |seconds| start + Duration::from_secs(seconds))
    }

    #[test]
    fn between_attempts_at_what_costs_too_much_the_alarm_stays() {
        let start = Instant::now();
        let mut relay = Relay::new(POLICY, start);
        relay.take_turns(Turns { seat: Some(0), seats: 1 });
        let at = |seconds| start + Duration::from_secs(seconds);
        let action = relay.decide(at(1), settled(200), candidate(300));
        assert!(!relay.is_capped(action), "{action:?}");
        relay.failed(at(1), true);
        for second in 1..6 {
            let action = relay.decide(at(second), settled(200), candidate(300));
            assert!(action == Action::Rest && relay.is_capped(action), "{second}: {action:?}");
        }
        let action = relay.decide(at(6), settled(200), candidate(300));
        assert!(action == post(300, 400) && relay.is_capped(action), "it may still cost too much");
        relay.failed(at(6), false);
        assert!(relay.is_capped(Action::Rest), "an endpoint was silent, which lowers no price");
        let action = relay.decide(at(8), settled(300), candidate(301));
        assert!(!relay.is_capped(action), "somebody has paid");
    }

    #[test]
    fn each_validator_has_its_turn_and_the_next_takes_over_after_a_delay() {
        // At height 200 of four the first is seat 0, at 201 seat 1, and so on.
        let table = [
            (200, Some(0), 0),
            (200, Some(2), 20),
            (201, Some(0), 30),
            (202, Some(2), 0),
            (203, Some(2), 30),
            // Whoever is no member comes after all of them.
            (203, None, 40),
        ];
        for (height, seat, delay) in table {
            let (mut relay, at) = seated(seat, settled(height));
            let next = candidate(height + 100);
            if delay > 0 {
                assert_eq!(relay.decide(at(1), settled(height), next), Action::Rest);
                assert_eq!(relay.decide(at(delay), settled(height), next), Action::Rest);
            }
            let now = at(1 + delay);
            assert_eq!(
                relay.decide(now, settled(height), next),
                post(height + 100, 400),
                "{height}, {seat:?}"
            );
        }
    }

    #[test]
    fn a_posting_is_due_for_its_heights_its_age_or_the_end_of_an_epoch() {
        let (mut relay, at) = relay(settled(202));
        assert_eq!(relay.decide(at(1), settled(202), candidate(301)), Action::Rest);
        assert_eq!(relay.decide(at(2), settled(202), candidate(302)), post(302, 400));
        assert_eq!(relay.decide(at(3), settled(302), candidate(303)), Action::Rest);
        assert_eq!(relay.decide(at(62), settled(302), candidate(303)), Action::Rest);
        assert_eq!(relay.decide(at(63), settled(302), candidate(303)), post(303, 400));
        assert_eq!(relay.decide(at(90), settled(302), candidate(302)), Action::Rest, "nothing new");
        let end = Some(Candidate { height: Height::new(303), ends_epoch: true });
        assert_eq!(relay.decide(at(91), settled(302), end), post(303, 400));
        assert_eq!(relay.decide(at(92), settled(302), None), Action::Rest);
    }

    #[test]
    fn whoever_is_faster_begins_the_next_turn_and_so_does_a_reorganization() {
        let (mut relay, at) = relay(settled(200));
        assert_eq!(relay.decide(at(1), settled(200), candidate(300)), Action::Rest);
        // Somebody posted 300: its order begins with seat 0, this one is third.
        assert_eq!(relay.decide(at(20), settled(300), candidate(400)), Action::Rest);
        // Taken back: from the beginning.
        assert_eq!(relay.decide(at(39), settled(200), candidate(400)), Action::Rest);
        assert_eq!(relay.decide(at(58), settled(200), candidate(400)), Action::Rest);
        assert_eq!(relay.decide(at(59), settled(200), candidate(400)), post(400, 400));
    }

    #[test]
    fn a_failed_attempt_is_repeated_after_a_while() {
        let (mut relay, at) = relay(settled(202));
        relay.failed(at(10), false);
        assert_eq!(relay.decide(at(11), settled(202), candidate(302)), Action::Rest);
        assert_eq!(relay.decide(at(15), settled(202), candidate(302)), post(302, 400));
    }

    #[test]
    fn a_days_postings_cost_no_more_than_they_may_until_rollups_are_about_to_leave() {
        let (mut relay, at) = relay(settled(202));
        relay.count(U256::from(700));
        assert_eq!(
            relay.decide(at(1), settled(202), candidate(302)),
            post(302, 300),
            "what is left"
        );
        relay.count(U256::from(1_000));
        assert_eq!(relay.decide(at(2), settled(202), candidate(302)), Action::Capped);
        let late = |l1_block| Settled { l1_block, ..settled(202) };
        assert_eq!(relay.decide(at(3), late(50 + 3_600), candidate(302)), Action::Capped);
        let urgent = Action::Post { height: Height::new(302), cost_max: U256::from(1_000) };
        assert_eq!(relay.decide(at(4), late(50 + 3_601), candidate(302)), urgent);
        relay.count(U256::from(300));
        assert_eq!(relay.decide(at(5), settled(202), candidate(302)), post(302, 400), "a new day");
    }

    #[test]
    fn what_is_urgent_follows_the_escape_delay_that_l1_has_now() {
        let (mut relay, at) = relay(settled(202));
        relay.count(U256::from(1_000));
        let with = |escape_delay| Settled { l1_block: 50 + 101, escape_delay, ..settled(202) };
        let urgent = Action::Post { height: Height::new(302), cost_max: U256::from(1_000) };
        // The timelock shortens it, lengthens it again, and an inbox without a queue has none.
        let table =
            [(7_200, Action::Capped), (200, urgent), (202, Action::Capped), (0, Action::Capped)];
        for (second, (escape_delay, expected)) in (1..).zip(table) {
            let found = relay.decide(at(second), with(escape_delay), candidate(302));
            assert_eq!(found, expected, "{escape_delay}");
        }
    }

    #[test]
    fn a_quarter_of_a_days_money_is_for_postings_whatever_offers_would_take() {
        let (mut relay, at) = relay(settled(202));
        for (spent, for_offers) in [(0, 750), (500, 250), (740, 10), (750, 0), (900, 0)] {
            relay.count(U256::from(spent));
            assert_eq!(relay.for_offers(), U256::from(for_offers), "{spent}");
        }
        // Whatever an adversary has offers cost, there is money to post with.
        let (mut spent, mut offers) = (U256::ZERO, 0);
        relay.count(spent);
        while relay.for_offers() >= U256::from(60) {
            spent += relay.for_offers().min(U256::from(60));
            offers += 1;
            relay.count(spent);
        }
        assert_eq!((offers, relay.for_offers()), (12, U256::from(30)));
        assert_eq!(relay.decide(at(3), settled(202), candidate(302)), post(302, 280));
        // Nor is more to be had by what is urgent for postings.
        let late = Settled { l1_block: 50 + 3_601, ..settled(202) };
        assert_eq!(relay.decide(at(4), late, None), Action::Rest);
        assert_eq!((relay.purse(), relay.for_offers()), (U256::from(1_000), U256::from(30)));
    }

    #[test]
    fn half_of_a_days_money_is_for_postings_whatever_others_cases_would_take() {
        let (mut relay, at) = relay(settled(202));
        for (spent, spare) in [(0, 500), (450, 50), (500, 0), (600, 0)] {
            relay.count(U256::from(spent));
            assert_eq!(relay.spare(), U256::from(spare), "{spent}");
        }
        assert_eq!(relay.decide(at(3), settled(202), candidate(302)), post(302, 400));
        // What is urgent is so for postings.
        let late = Settled { l1_block: 50 + 3_601, ..settled(202) };
        assert_eq!(relay.decide(at(4), late, None), Action::Rest);
        assert_eq!((relay.purse(), relay.spare()), (U256::from(1_000), U256::ZERO));
    }
}
