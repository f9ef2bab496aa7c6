//! What L1 does about a report only if somebody asks it to: acquit, while there is time, and end the case after that.
//!
//! ```text
//!  convicted ──┬─ this node has decided the block that was shared ─▶ answer, step by step ─▶ acquitted
//!              └─ the time for answers is over, and there is none ─▶ resolve ─▶ stake back or slashed, reporter paid
//! ```
//!
//! **Answers.** Who is accused of a premature share, and shared what the chain that it knows has decided, did nothing wrong,
//! and has three days to show that. Whoever holds the certificate of that block can, so everyone does, for anyone: the
//! accused at once, the others in turn, should it be away. L1 says what of the certificate it has seen, so what is left
//! to do follows from L1 and the archive, and nothing is kept here that a restart could lose.
//!
//! **Verdicts.** What was seized rests until the case is ended, and whoever reported is not rewarded before: 114,000 gas
//! (`make gas`), for which nobody is paid but by that reward. The turns are those of reports, so whoever was to report, and
//! has, is the first to end it. A node that holds an answer hastens no verdict.
//!
//! **Trust.** An endpoint that hides a conviction could keep an answer back, so what any of them shows counts; one that
//! makes one up is found out when the contract is asked.
//!
//! **Bounds.** As many cases as there are convictions; those that are closed are 32 bytes each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use alloy::primitives::B256;
use tokio::time::Instant;

use super::decide::Turns;
use crate::l1::evidence::{Acquittal, Docket, Record};

/// L1 is looked at so often: a block of Ethereum.
const LOOK_EVERY: Duration = Duration::from_secs(12);
/// What failed is repeated after this, and each time after twice as long, up to a limit.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(3_600);
/// A block may go away, and with it the end of a case. After two epochs of Ethereum and some it does not.
const LOOK_AGAIN: Duration = Duration::from_secs(1_800);

/// What is to be done about a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    /// To show L1 what acquits; whether it is for this validator itself.
    Answer(Arc<Acquittal>, bool),
    /// To have it ended.
    Resolve,
}

/// What L1 and the archive say of an open case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// When it was reported, by the clock of L1.
    pub(super) reported_at: u64,
    /// What this node holds for the accused.
    pub(super) answer: Option<Arc<Acquittal>>,
    /// Whether that is this validator.
    pub(super) is_own: bool,
}

/// How far a case is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody has ended it.
    Open(Facts),
    /// It is over.
    Closed,
    /// It is not there, or this node's own chain has not come as far.
    Unknown,
}

/// A case as it was last seen.
#[derive(Clone, Debug)]
struct Case {
    record: Record,
    facts: Option<Facts>,
    /// Since when this node knows what to do about it.
    since: Option<Instant>,
    closed_at: Option<Instant>,
    not_before: Instant,
    failures: u32,
}

/// All cases that somebody may have to see to.
#[derive(Clone, Debug)]
pub(super) struct Verdicts {
    takeover: Duration,
    /// For so long a case rests, in seconds.
    resolution: u64,
    cases: BTreeMap<B256, Case>,
    closed: BTreeSet<B256>,
    /// Convictions of blocks before this are known.
    next_block: u64,
    /// By the clock of L1.
    time: u64,
    next_look: Instant,
}

impl Verdicts {
    /// The network has no offence before `from_block`.
    pub(super) fn new(takeover: Duration, resolution: u64, from_block: u64, now: Instant) -> Self {
        Self {
            takeover,
            resolution,
            cases: BTreeMap::new(),
            closed: BTreeSet::new(),
            next_block: from_block,
            time: 0,
            next_look: now,
        }
    }

    /// From which block on convictions are to be looked for at this moment, if at all.
    pub(super) fn stale(&mut self, now: Instant) -> Option<u64> {
        let is_stale = now >= self.next_look;
        if is_stale {
            self.next_look = now + LOOK_EVERY;
        }
        is_stale.then_some(self.next_block)
    }

    /// Takes what endpoints have shown.
    pub(super) fn take(&mut self, now: Instant, dockets: Vec<Docket>) {
        // What is final to all of them is not asked for again.
        let finalized = dockets.iter().map(|docket| docket.finalized).min().unwrap_or_default();
        self.next_block = self.next_block.max(finalized.saturating_add(1));
        for docket in dockets {
            // One that is ahead of the others makes L1 refuse, and costs nothing.
            self.time = self.time.max(docket.time);
            for record in docket.records {
                let (facts, since, closed_at) = (None, None, None);
                if !self.closed.contains(&record.offence) {
                    let case =
                        Case { record, facts, since, closed_at, not_before: now, failures: 0 };
                    self.cases.entry(record.offence).or_insert(case);
                }
            }
        }
    }

    /// The cases of which this node has to learn how far they are.
    pub(super) fn questions(&self, now: Instant) -> Vec<Record> {
        let is_open = |case: &&Case| match case.closed_at {
            Some(at) => now >= at + LOOK_AGAIN,
            None => case.facts.is_none() && now >= case.not_before,
        };
        self.cases.values().filter(is_open).map(|case| case.record).collect()
    }

    /// A case is so far.
    pub(super) fn learn(&mut self, now: Instant, offence: B256, stage: Stage) {
        let Some(case) = self.cases.get_mut(&offence) else { return };
        match stage {
            Stage::Open(facts) => {
                (case.facts, case.closed_at) = (Some(facts), None);
            }
            Stage::Closed if case.closed_at.is_some() => {
                self.cases.remove(&offence);
                self.closed.insert(offence);
            }
            Stage::Closed => {
                (case.facts, case.since, case.closed_at) = (None, None, Some(now));
            }
            Stage::Unknown => case.not_before = now + LOOK_EVERY,
        }
    }

    /// What acquits, and is to be shown now.
    pub(super) fn next_answer(&mut self, now: Instant, turns: Turns) -> Option<(Record, Motion)> {
        let answer = |facts: &Facts| {
            let answer = facts.answer.as_ref()?;
            Some(Motion::Answer(Arc::clone(answer), facts.is_own))
        };
        self.due(now, turns, answer)
    }

    /// What is to be ended now.
    pub(super) fn next_verdict(&mut self, now: Instant, turns: Turns) -> Option<(Record, Motion)> {
        let (time, resolution) = (self.time, self.resolution);
        self.due(now, turns, |facts| {
            let is_over = time > facts.reported_at.saturating_add(resolution);
            (is_over && facts.answer.is_none()).then_some(Motion::Resolve)
        })
    }

    /// The accused's number says who comes first, but for the accused itself; every other one waits for as many delays as
    /// come before it.
    fn due(
        &mut self,
        now: Instant,
        turns: Turns,
        motion: impl Fn(&Facts) -> Option<Motion>,
    ) -> Option<(Record, Motion)> {
        let mut due = None;
        for case in self.cases.values_mut() {
            let Some(facts) = &case.facts else { continue };
            let Some(motion) = motion(facts) else { continue };
            let rank = match turns.seats {
                _ if facts.is_own => 0,
                // The committee in office is not known to whoever is on the other side of a fork.
                0 => 1,
                _ => turns.rank(u64::from(case.record.validator)),
            };
            let since = *case.since.get_or_insert(now);
            let turn = (since + self.takeover.saturating_mul(rank)).max(case.not_before);
            if now >= turn && due.is_none() {
                due = Some((case.record, motion));
            }
        }
        due
    }

    /// It was seen to, or could not be: not again right away, and not before L1 was asked how far it is.
    pub(super) fn rest(&mut self, now: Instant, offence: B256, has_failed: bool) {
        let Some(case) = self.cases.get_mut(&offence) else { return };
        case.facts = None;
        if has_failed {
            let factor = 1_u32.checked_shl(case.failures).unwrap_or(u32::MAX);
            case.not_before = now + RETRY.saturating_mul(factor).min(RETRY_MAX);
            case.failures = case.failures.saturating_add(1);
        } else {
            (case.not_before, case.failures) = (now, 0);
        }
    }

    /// There is nothing more to do about it.
    pub(super) fn give_up(&mut self, offence: B256) {
        self.cases.remove(&offence);
        self.closed.insert(offence);
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    const TAKEOVER: Duration = Duration::from_secs(10);
    const RESOLUTION: u64 = 1_000;
    const REPORTED: u64 = 50_000;

    fn record(validator: u32, l1_block: u64) -> Record {
        let offence = B256::with_last_byte(u8::try_from(validator).unwrap());
        Record {
            offence,
            validator,
            epoch: 3,
            kind: 5,
            height: 7,
            round: 0,
            reporter: Address::ZERO,
            seized_gwei: 32,
            l1_block,
        }
    }

    fn docket(time: u64, finalized: u64, records: &[Record]) -> Docket {
        Docket { time, finalized, records: records.to_vec() }
    }

    fn open(answer: Option<Acquittal>, is_own: bool) -> Stage {
        Stage::Open(Facts { reported_at: REPORTED, answer: answer.map(Arc::new), is_own })
    }

    const fn seat(seat: u64) -> Turns {
        Turns { seat: Some(seat), seats: 4 }
    }

    fn verdicts(now: Instant, records: &[Record]) -> Verdicts {
        let mut verdicts = Verdicts::new(TAKEOVER, RESOLUTION, 5, now);
        assert_eq!(verdicts.stale(now), Some(5), "what was before the start");
        verdicts.take(now, vec![docket(REPORTED, 20, records)]);
        verdicts
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_case_is_ended_in_turn_once_its_time_is_over() {
        let start = Instant::now();
        let mut verdicts = verdicts(start, &[record(2, 19)]);
        assert_eq!(verdicts.questions(start), [record(2, 19)]);
        verdicts.learn(start, record(2, 19).offence, open(None, false));
        assert_eq!(verdicts.questions(start), []);
        verdicts.take(start, vec![docket(REPORTED + RESOLUTION, 21, &[])]);
        assert_eq!(verdicts.next_verdict(start, seat(2)), None, "an answer may come yet");
        verdicts.take(start, vec![docket(REPORTED + RESOLUTION + 1, 21, &[])]);
        let due = Some((record(2, 19), Motion::Resolve));
        // Number 2: seat 2 comes first. Everyone counts from when it saw that the time was over.
        for (at, waits) in [(2, 0), (3, 10), (0, 20), (1, 30)] {
            let mut verdicts = verdicts.clone();
            assert_eq!(verdicts.next_verdict(start, seat(at)).is_some(), waits == 0, "{at}");
            assert_eq!(verdicts.next_verdict(after(start, waits), seat(at)), due, "{at}");
        }
        assert_eq!(verdicts.next_answer(after(start, 1_000), seat(2)), None);
    }

    #[test]
    fn whoever_holds_an_answer_gives_it_and_hastens_no_verdict() {
        let start = Instant::now();
        let late = REPORTED + RESOLUTION + 1;
        let case = record(2, 19);
        // Its own case at once, another's in turn, and if the committee is not known, after one delay.
        let unknown = Turns { seat: None, seats: 0 };
        let table =
            [(true, seat(1), 0), (false, seat(2), 0), (false, seat(0), 20), (false, unknown, 10)];
        for (is_own, turns, waits) in table {
            let mut verdicts = verdicts(start, &[case]);
            verdicts.learn(start, case.offence, open(Some(Acquittal::sample()), is_own));
            assert_eq!(verdicts.next_answer(start, turns).is_some(), waits == 0);
            let due = verdicts.next_answer(after(start, waits), turns);
            assert_eq!(due, Some((case, Motion::Answer(Arc::new(Acquittal::sample()), is_own))));
            verdicts.take(start, vec![docket(late, 20, &[])]);
            assert_eq!(verdicts.next_verdict(after(start, 1_000), turns), None);
        }
    }

    #[test]
    fn a_case_that_is_over_is_looked_at_once_more() {
        let start = Instant::now();
        let case = record(2, 19);
        let mut verdicts = verdicts(start, &[case]);
        verdicts.learn(start, case.offence, Stage::Closed);
        assert_eq!(verdicts.questions(after(start, 1_799)), []);
        let later = after(start, 1_800);
        assert_eq!(verdicts.questions(later), [case]);
        // Its end was taken back.
        verdicts.learn(later, case.offence, open(None, false));
        verdicts.take(later, vec![docket(REPORTED + RESOLUTION + 1, 20, &[])]);
        assert_eq!(verdicts.next_verdict(later, seat(2)), Some((case, Motion::Resolve)));
        verdicts.rest(later, case.offence, false);
        assert_eq!(verdicts.questions(later), [case], "what has become of it");
        verdicts.learn(later, case.offence, Stage::Closed);
        let last = after(later, 1_800);
        verdicts.learn(last, case.offence, Stage::Closed);
        verdicts.take(last, vec![docket(REPORTED, 20, &[case])]);
        assert_eq!(verdicts.questions(after(last, 10_000)), []);
    }

    #[test]
    fn what_any_endpoint_shows_counts_and_only_what_all_call_final_is_done_with() {
        let start = Instant::now();
        let mut verdicts = verdicts(start, &[]);
        assert_eq!(verdicts.stale(start), None, "not all the time");
        let shown = vec![docket(REPORTED, 40, &[]), docket(REPORTED, 30, &[record(1, 35)])];
        verdicts.take(start, shown);
        assert_eq!(verdicts.questions(start), [record(1, 35)]);
        assert_eq!(verdicts.stale(start + LOOK_EVERY), Some(31));
        // The chain of this node has not come as far.
        verdicts.learn(start, record(1, 35).offence, Stage::Unknown);
        assert_eq!(verdicts.questions(start), []);
        assert_eq!(verdicts.questions(start + LOOK_EVERY), [record(1, 35)]);
    }

    #[test]
    fn what_fails_is_repeated_ever_later() {
        let start = Instant::now();
        let case = record(2, 19);
        let mut verdicts = verdicts(start, &[case]);
        for waits in [5, 10, 20] {
            verdicts.learn(start, case.offence, open(None, false));
            verdicts.rest(start, case.offence, true);
            assert_eq!(verdicts.questions(after(start, waits - 1)), [], "{waits}");
            assert_eq!(verdicts.questions(after(start, waits)), [case], "{waits}");
        }
        verdicts.give_up(case.offence);
        verdicts.take(start, vec![docket(REPORTED, 20, &[case])]);
        assert_eq!(verdicts.questions(after(start, 10_000)), []);
    }
}
