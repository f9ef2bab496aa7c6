//! What L1 does about a report only if somebody asks it to: acquit, while there is time, and end the case after that.
//!
//! ```text
//!  convicted ──┬─ this node has decided the block that was shared ─▶ answer, step by step ─▶ acquitted
//!              │                         └─ the time for answers is over ─▶ wait ─▶ lapse ─▶ stake back
//!              └─ it has not, and the time for answers is over ─▶ resolve ─▶ slashed, reporter paid
//!                                                                    └─ it has lapsed before ─▶ close
//! ```
//!
//! **Answers.** Who is accused of a premature share, and shared what the chain that it knows has decided, did nothing wrong,
//! and has three days to show that. Whoever holds the certificate of that block can, so everyone does, for anyone: the
//! accused at once, the others in turn, should it be away. L1 says what of the certificate it has seen, so what is left
//! to do follows from L1 and the archive, and nothing is kept here that a restart could lose.
//!
//! **Verdicts.** What was seized rests until the case is ended, and whoever reported is not rewarded before: 114,000 gas
//! (`make gas`), for which nobody is paid but by that reward. The turns are those of reports, so whoever was to report, and
//! has, is the first to end it. A node that holds an answer knows that the accused did nothing wrong: if the answer came
//! too late, because nobody who has it was there or had the money, it hastens no verdict, and has the case lapse when it
//! can. That takes thirty days, and gives back what was seized.
//!
//! **Trust.** An endpoint that hides a conviction could keep an answer back, so what any of them shows counts, if its offence
//! is what it says. Whether it is there, what was shared, what has been answered and whether it is over is what most of them
//! say alike ([`crate::l1::panel`]); a case is closed for good if most call a block final that has it closed.
//!
//! **Bounds.** As many cases as most endpoints confirm, and [`UNCONFIRMED_MAX`] that each alone may show besides: what is
//! more waits until those are asked about. Those that are closed are 32 bytes each. A step asks about [`QUESTIONS_MAX`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use alloy::primitives::{B256, U256};
use tokio::time::Instant;

use super::decide::Turns;
use crate::l1::evidence::{Acquittal, Docket, Record, SLASHABLE_BLOCKS};

/// L1 is looked at so often: a block of Ethereum.
const LOOK_EVERY: Duration = Duration::from_secs(12);
/// What failed is repeated after this, and each time after twice as long, up to a limit.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(3_600);
/// A block may go away, and with it the end of a case. After two epochs of Ethereum and some it does not.
const LOOK_AGAIN: Duration = Duration::from_secs(1_800);
/// What was sent is not sent again before this, unless L1 has moved since.
const SEND_AGAIN: Duration = Duration::from_secs(3_600);
/// Cases that are asked about in one step.
const QUESTIONS_MAX: usize = 8;
/// Records that one endpoint has shown and most have not confirmed.
const UNCONFIRMED_MAX: usize = 64;
/// Blocks below what is final that are asked for again: behind one address several machines may answer, and one that does
/// not know the newest blocks yet has no logs of them.
const MARGIN_BLOCKS: u64 = 64;

/// Blocks that an endpoint is asked for at once, if it has not failed with as many. The least are a hundred pages of the
/// meanest provider ([`crate::l1::logs`]).
const SPAN_MAX: u64 = SLASHABLE_BLOCKS + 1;
const SPAN_MIN: u64 = 1_000;

/// What is to be done about a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    /// To show L1 what acquits; whether it is for this validator itself.
    Answer(Arc<Acquittal>, bool),
    /// To have it ended: there is no answer.
    Resolve,
    /// To have it dismissed: there was one.
    Lapse,
}

/// For how long a case rests, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Until then it can be answered, and after that resolved.
    pub(super) answer: u64,
    /// From then on it can lapse.
    pub(super) lapse: u64,
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

/// How far a case is, as most endpoints say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none.
    Absent,
    /// Nobody has ended it, and this node's own chain has not come as far.
    Early,
    /// Nobody has ended it.
    Open(Facts),
    /// It is over; whether for good.
    Closed { is_final: bool },
    /// They do not agree, or do not answer.
    Unsure,
}

/// From where a case was to be moved: the members whose precommits L1 had seen, if it was by an answer.
type Place = Option<U256>;

/// A part that somebody has in a case. Each has its own turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Answer,
    End,
}

/// A case as it was last seen.
#[derive(Clone, Debug)]
struct Case {
    record: Record,
    /// The endpoint that has shown it first.
    from: String,
    /// Whether most have said that it is there.
    is_confirmed: bool,
    facts: Option<Facts>,
    /// Since when this node knows that it is to be answered, or ended.
    since: Option<(Part, Instant)>,
    not_before: Instant,
    failures: u32,
    /// From where it was moved last, and when.
    moved: Option<(Place, Instant)>,
    /// Whether what was seized was given back, so that there is nothing to resolve.
    has_lapsed: bool,
}

/// How far an endpoint has shown convictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    /// What it has shown of the blocks before is known.
    next_block: u64,
    /// So many blocks it is asked for at once.
    span: u64,
}

/// All cases that somebody may have to see to.
#[derive(Clone, Debug)]
pub(super) struct Verdicts {
    takeover: Duration,
    limits: Limits,
    cases: BTreeMap<B256, Case>,
    closed: BTreeSet<B256>,
    /// The network has no offence before that block.
    first_block: u64,
    /// How far each endpoint has shown what there is.
    reaches: BTreeMap<String, Reach>,
    /// By the clock of L1.
    time: u64,
    next_look: Instant,
}

impl Verdicts {
    /// The network has no offence before `from_block`.
    pub(super) fn new(takeover: Duration, limits: Limits, from_block: u64, now: Instant) -> Self {
        Self {
            takeover,
            limits,
            cases: BTreeMap::new(),
            closed: BTreeSet::new(),
            first_block: from_block,
            reaches: BTreeMap::new(),
            time: 0,
            next_look: now,
        }
    }

    /// Whether convictions are to be looked for at this moment.
    pub(super) fn is_stale(&mut self, now: Instant) -> bool {
        let is_stale = now >= self.next_look;
        if is_stale {
            self.next_look = now + LOOK_EVERY;
        }
        is_stale
    }

    /// Of which blocks an endpoint is to be asked for convictions: the first, and how many.
    pub(super) fn window(&self, from: &str) -> (u64, u64) {
        let Reach { next_block, span } = self.reach(from);
        (next_block, span)
    }

    /// An endpoint has not shown what it was asked for: it is asked for less.
    pub(super) fn narrow(&mut self, from: &str) {
        let reach = self.reach(from);
        let span = (reach.span / 8).max(SPAN_MIN);
        self.reaches.insert(from.to_owned(), Reach { span, ..reach });
    }

    /// Takes what some of `all` endpoints have shown, each under its address.
    pub(super) fn take(&mut self, now: Instant, dockets: Vec<(String, Docket)>, all: usize) {
        let mut times: Vec<_> = dockets.iter().map(|(_, docket)| docket.time).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        // So far most of them are.
        self.time = self.time.max(times.get(all / 2).copied().unwrap_or_default());
        for (from, docket) in dockets {
            let Docket { newest, finalized, last, records, .. } = docket;
            if last < newest {
                self.next_look = now;
            }
            let is_all = self.take_records(now, &from, records);
            let reach = self.reach(&from);
            let known = finalized.min(last).saturating_add(1).saturating_sub(MARGIN_BLOCKS);
            let next_block = if is_all { reach.next_block.max(known) } else { reach.next_block };
            let span = reach.span.saturating_mul(2).min(SPAN_MAX);
            self.reaches.insert(from, Reach { next_block, span });
        }
    }

    /// Takes what an endpoint has shown; whether there was room for all of it.
    fn take_records(&mut self, now: Instant, from: &str, records: Vec<Record>) -> bool {
        let alone = self.cases.values().filter(|case| !case.is_confirmed && case.from == from);
        let mut room = UNCONFIRMED_MAX.saturating_sub(alone.count());
        for record in records {
            let offence = record.offence;
            if self.closed.contains(&offence) || self.cases.contains_key(&offence) {
                continue;
            }
            if room == 0 {
                return false;
            }
            room = room.saturating_sub(1);
            self.cases.insert(offence, Case::new(record, from.to_owned(), now));
        }
        true
    }

    fn reach(&self, from: &str) -> Reach {
        let first = Reach { next_block: self.first_block, span: SPAN_MAX };
        self.reaches.get(from).copied().unwrap_or(first)
    }

    /// The cases of which this node has to learn how far they are: those that have waited longest, whoever has shown them.
    pub(super) fn questions(&self, now: Instant) -> Vec<Record> {
        let is_asked = |case: &&Case| case.facts.is_none() && now >= case.not_before;
        let mut asked: Vec<_> = self.cases.values().filter(is_asked).collect();
        asked.sort_by_key(|case| (case.not_before, !case.is_confirmed));
        asked.into_iter().take(QUESTIONS_MAX).map(|case| case.record).collect()
    }

    /// A case is so far.
    pub(super) fn learn(&mut self, now: Instant, offence: B256, stage: Stage) {
        let Some(case) = self.cases.get_mut(&offence) else { return };
        case.is_confirmed |= !matches!(stage, Stage::Absent | Stage::Unsure);
        match stage {
            // If it comes to be there, it is shown again.
            Stage::Absent => {
                self.cases.remove(&offence);
            }
            Stage::Open(facts) => case.facts = Some(facts),
            Stage::Closed { is_final: true } => {
                self.cases.remove(&offence);
                self.closed.insert(offence);
            }
            Stage::Closed { is_final: false } => {
                (case.since, case.not_before) = (None, now + LOOK_AGAIN);
            }
            Stage::Early | Stage::Unsure => case.not_before = now + LOOK_EVERY,
        }
    }

    /// What acquits, and is to be shown now.
    pub(super) fn next_answer(&mut self, now: Instant, turns: Turns) -> Option<(Record, Motion)> {
        let (time, limits) = (self.time, self.limits);
        self.due(now, turns, Part::Answer, |_, facts| {
            let answer = facts.answer.as_ref().filter(|_| !facts.is_over(time, limits))?;
            Some(Motion::Answer(Arc::clone(answer), facts.is_own))
        })
    }

    /// What is to be ended now, and how.
    pub(super) fn next_verdict(&mut self, now: Instant, turns: Turns) -> Option<(Record, Motion)> {
        let (time, limits) = (self.time, self.limits);
        self.due(now, turns, Part::End, |case, facts| {
            let is_over = facts.is_over(time, limits);
            let can_lapse = time >= facts.reported_at.saturating_add(limits.lapse);
            match &facts.answer {
                None if !case.has_lapsed => is_over.then_some(Motion::Resolve),
                _ => can_lapse.then_some(Motion::Lapse),
            }
        })
    }

    /// The accused's number says who comes first, but for the accused itself; every other one waits for as many delays as
    /// come before it. Of several that are due, one's own comes first, then what has waited longest.
    fn due(
        &mut self,
        now: Instant,
        turns: Turns,
        part: Part,
        motion: impl Fn(&Case, &Facts) -> Option<Motion>,
    ) -> Option<(Record, Motion)> {
        let mut due = Vec::new();
        for case in self.cases.values_mut() {
            let Some(facts) = &case.facts else { continue };
            let Some(motion) = motion(case, facts) else { continue };
            let rank = match turns.seats {
                _ if facts.is_own => 0,
                // The committee in office is not known to whoever is on the other side of a fork.
                0 => 1,
                _ => turns.rank(u64::from(case.record.validator)),
            };
            let since = match case.since {
                Some((before, since)) if before == part => since,
                Some(_) | None => {
                    case.since = Some((part, now));
                    now
                }
            };
            let turn = (since + self.takeover.saturating_mul(rank)).max(case.not_before);
            if now >= turn {
                due.push(((!facts.is_own, turn), (case.record, motion)));
            }
        }
        due.into_iter().min_by_key(|(order, _)| *order).map(|(_, due)| due)
    }

    /// Whether a case may be moved from that place now, which counts as done if so: not twice within [`SEND_AGAIN`], whatever
    /// has become of it.
    pub(super) fn may_move(&mut self, now: Instant, offence: B256, from: Place) -> bool {
        let Some(case) = self.cases.get_mut(&offence) else { return false };
        if case.moved.is_some_and(|(place, at)| place == from && now < at + SEND_AGAIN) {
            (case.facts, case.not_before) = (None, now + LOOK_EVERY);
            return false;
        }
        case.moved = Some((from, now));
        true
    }

    /// It was moved: L1 is to be asked how far it is.
    pub(super) fn moved(&mut self, now: Instant, offence: B256) {
        let Some(case) = self.cases.get_mut(&offence) else { return };
        (case.facts, case.not_before, case.failures) = (None, now, 0);
    }

    /// It was to be moved, and that failed; whether it cost something all the same.
    pub(super) fn failed(&mut self, now: Instant, offence: B256, was_sent: bool) {
        let Some(case) = self.cases.get_mut(&offence) else { return };
        if !was_sent {
            case.moved = None;
        }
        self.put_off(now, offence);
    }

    /// What was seized was given back: all that is left to do is to close the case.
    pub(super) fn has_lapsed(&mut self, offence: B256) {
        if let Some(case) = self.cases.get_mut(&offence) {
            case.has_lapsed = true;
        }
    }

    /// It cannot be moved: not again right away, and not before L1 was asked how far it is.
    pub(super) fn put_off(&mut self, now: Instant, offence: B256) {
        let Some(case) = self.cases.get_mut(&offence) else { return };
        let factor = 1_u32.checked_shl(case.failures).unwrap_or(u32::MAX);
        (case.facts, case.not_before) = (None, now + RETRY.saturating_mul(factor).min(RETRY_MAX));
        case.failures = case.failures.saturating_add(1);
    }
}

impl Facts {
    /// Whether it is too late to answer.
    const fn is_over(&self, time: u64, limits: Limits) -> bool {
        time > self.reported_at.saturating_add(limits.answer)
    }
}

impl Case {
    const fn new(record: Record, from: String, now: Instant) -> Self {
        Self {
            record,
            from,
            is_confirmed: false,
            facts: None,
            since: None,
            not_before: now,
            failures: 0,
            moved: None,
            has_lapsed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    const TAKEOVER: Duration = Duration::from_secs(10);
    const RESOLUTION: u64 = 1_000;
    const LIMITS: Limits = Limits { answer: RESOLUTION, lapse: 10_000 };
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

    /// What the only endpoint shows.
    fn docket(time: u64, finalized: u64, records: &[Record]) -> Vec<(String, Docket)> {
        vec![shown("only", time, finalized, records)]
    }

    fn shown(from: &str, time: u64, finalized: u64, records: &[Record]) -> (String, Docket) {
        let newest = finalized + 64;
        let records = records.to_vec();
        (from.to_owned(), Docket { time, newest, finalized, last: newest, records })
    }

    fn open(answer: Option<Acquittal>, is_own: bool) -> Stage {
        Stage::Open(Facts { reported_at: REPORTED, answer: answer.map(Arc::new), is_own })
    }

    const fn seat(seat: u64) -> Turns {
        Turns { seat: Some(seat), seats: 4 }
    }

    fn verdicts(now: Instant, records: &[Record]) -> Verdicts {
        let mut verdicts = Verdicts::new(TAKEOVER, LIMITS, 5, now);
        assert!(verdicts.is_stale(now));
        assert_eq!(verdicts.window("only"), (5, SPAN_MAX), "what was before the start");
        verdicts.take(now, docket(REPORTED, 20, records), 1);
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
        verdicts.take(start, docket(REPORTED + RESOLUTION, 21, &[]), 1);
        assert_eq!(verdicts.next_verdict(start, seat(2)), None, "an answer may come yet");
        verdicts.take(start, docket(REPORTED + RESOLUTION + 1, 21, &[]), 1);
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
    fn whoever_holds_an_answer_gives_it_in_time_and_its_own_at_once() {
        let start = Instant::now();
        let case = record(2, 19);
        // Its own case at once, another's in turn, and if the committee is not known, after one delay.
        let unknown = Turns { seat: None, seats: 0 };
        let table =
            [(true, seat(1), 0), (false, seat(2), 0), (false, seat(0), 20), (false, unknown, 10)];
        for (is_own, turns, waits) in table {
            let mut verdicts = verdicts(start, &[case]);
            verdicts.learn(start, case.offence, open(Some(Acquittal::sample()), is_own));
            verdicts.take(start, docket(REPORTED + RESOLUTION, 20, &[]), 1);
            assert_eq!(verdicts.next_answer(start, turns).is_some(), waits == 0);
            let due = verdicts.next_answer(after(start, waits), turns);
            assert_eq!(due, Some((case, Motion::Answer(Arc::new(Acquittal::sample()), is_own))));
            verdicts.take(start, docket(REPORTED + RESOLUTION + 1, 20, &[]), 1);
            assert_eq!(verdicts.next_answer(after(start, 1_000), turns), None, "too late");
        }
    }

    #[test]
    fn whoever_holds_an_answer_that_came_too_late_has_the_case_lapse_and_never_resolves_it() {
        let start = Instant::now();
        let case = record(2, 19);
        for (is_own, at, waits) in [(true, 1, 0), (false, 2, 0), (false, 0, 20)] {
            let mut verdicts = verdicts(start, &[case]);
            verdicts.learn(start, case.offence, open(Some(Acquittal::sample()), is_own));
            assert_eq!(verdicts.next_answer(start, seat(at)).is_some(), waits == 0);
            // Its turn to answer has come long ago.
            assert!(verdicts.next_answer(after(start, 1_000), seat(at)).is_some());
            verdicts.take(start, docket(REPORTED + LIMITS.lapse - 1, 20, &[]), 1);
            assert_eq!(verdicts.next_verdict(after(start, 2_000), seat(at)), None);
            verdicts.take(start, docket(REPORTED + LIMITS.lapse, 20, &[]), 1);
            let then = after(start, 3_000);
            assert_eq!(verdicts.next_verdict(then, seat(at)).is_some(), waits == 0, "{at}");
            let due = verdicts.next_verdict(after(then, waits), seat(at));
            assert_eq!(due, Some((case, Motion::Lapse)));
        }
    }

    #[test]
    fn what_has_lapsed_elsewhere_is_closed_and_not_resolved_again() {
        let start = Instant::now();
        let case = record(2, 19);
        let mut verdicts = verdicts(start, &[case]);
        verdicts.learn(start, case.offence, open(None, false));
        verdicts.take(start, docket(REPORTED + LIMITS.lapse, 20, &[]), 1);
        assert_eq!(verdicts.next_verdict(start, seat(2)), Some((case, Motion::Resolve)));
        verdicts.failed(start, case.offence, false);
        verdicts.has_lapsed(case.offence);
        let then = after(start, 5);
        verdicts.learn(then, case.offence, open(None, false));
        assert_eq!(verdicts.next_verdict(then, seat(2)), Some((case, Motion::Lapse)));
    }

    #[test]
    fn of_several_that_are_due_ones_own_comes_first_and_then_what_has_waited_longest() {
        let start = Instant::now();
        let cases = [record(2, 19), record(3, 19), record(4, 19)];
        let mut verdicts = verdicts(start, &cases);
        for (case, is_own) in cases.into_iter().zip([false, false, true]) {
            verdicts.learn(start, case.offence, open(Some(Acquittal::sample()), is_own));
        }
        let next = |verdicts: &mut Verdicts| {
            let (record, _) = verdicts.next_answer(after(start, 100), seat(2))?;
            verdicts.put_off(after(start, 100), record.offence);
            Some(record.validator)
        };
        assert_eq!(
            verdicts.next_answer(start, seat(2)).map(|(record, _)| record.validator),
            Some(4)
        );
        // Seat 2 is the first for number 2, and the last for number 3.
        let order: Vec<_> = std::iter::from_fn(|| next(&mut verdicts)).collect();
        assert_eq!(order, [4, 2, 3]);
    }

    #[test]
    fn a_case_is_done_with_when_most_call_its_end_final() {
        let start = Instant::now();
        let case = record(2, 19);
        let mut verdicts = verdicts(start, &[case]);
        verdicts.learn(start, case.offence, Stage::Closed { is_final: false });
        assert_eq!(verdicts.questions(after(start, 1_799)), []);
        let later = after(start, 1_800);
        assert_eq!(verdicts.questions(later), [case]);
        // Its end was taken back.
        verdicts.learn(later, case.offence, open(None, false));
        verdicts.take(later, docket(REPORTED + RESOLUTION + 1, 20, &[]), 1);
        assert_eq!(verdicts.next_verdict(later, seat(2)), Some((case, Motion::Resolve)));
        verdicts.moved(later, case.offence);
        assert_eq!(verdicts.questions(later), [case], "what has become of it");
        verdicts.learn(later, case.offence, Stage::Closed { is_final: true });
        verdicts.take(later, docket(REPORTED, 20, &[case]), 1);
        assert_eq!(verdicts.questions(after(later, 10_000)), []);
    }

    #[test]
    fn what_any_endpoint_shows_counts_and_each_is_asked_again_for_what_it_may_not_have_seen() {
        let start = Instant::now();
        let mut verdicts = verdicts(start, &[]);
        assert!(!verdicts.is_stale(start), "not all the time");
        let both = vec![
            shown("one", REPORTED, 200, &[]),
            shown("other", REPORTED, 150, &[record(1, 155)]),
        ];
        verdicts.take(start, both, 2);
        assert_eq!(verdicts.questions(start), [record(1, 155)]);
        assert!(!verdicts.is_stale(after(start, 11)) && verdicts.is_stale(after(start, 12)));
        let next = |verdicts: &Verdicts, from| verdicts.window(from).0;
        assert_eq!((next(&verdicts, "one"), next(&verdicts, "other")), (201 - 64, 151 - 64));
        // Behind one address: the machine that was asked for logs has come to block 120.
        let (_, level) = shown("one", REPORTED, 300, &[]);
        let behind = Docket { newest: 120, last: 120, ..level };
        verdicts.take(start, vec![("one".to_owned(), behind)], 2);
        assert_eq!(next(&verdicts, "one"), 201 - 64, "not back");
        // The chain of this node has not come as far.
        verdicts.learn(start, record(1, 155).offence, Stage::Early);
        assert_eq!(verdicts.questions(start), []);
        assert_eq!(verdicts.questions(start + LOOK_EVERY), [record(1, 155)]);
    }

    #[test]
    fn an_endpoint_that_cannot_show_six_weeks_at_once_shows_them_bit_by_bit() {
        let start = Instant::now();
        let mut verdicts = verdicts(start, &[]);
        assert!(verdicts.is_stale(start + LOOK_EVERY));
        for span in [SPAN_MAX / 8, SPAN_MAX / 64, SPAN_MIN, SPAN_MIN] {
            verdicts.narrow("mean");
            assert_eq!(verdicts.window("mean"), (5, span));
        }
        let case = record(2, 900);
        let (_, docket) = shown("mean", REPORTED, 50_000, &[case]);
        let part = Docket { last: 1_004, ..docket };
        let then = start + LOOK_EVERY;
        verdicts.take(then, vec![("mean".to_owned(), part)], 1);
        assert_eq!(verdicts.questions(then), [case]);
        assert_eq!(verdicts.window("mean"), (1_005 - 64, 2 * SPAN_MIN));
        assert!(verdicts.is_stale(then), "and on at once");
        assert_eq!(verdicts.window("only"), (5, SPAN_MAX), "each by itself");
    }

    #[test]
    fn what_most_say_is_not_there_is_forgotten_until_it_is_shown_again() {
        let start = Instant::now();
        let case = record(2, 19);
        let mut verdicts = verdicts(start, &[case]);
        // Some say so, which closes nothing.
        verdicts.learn(start, case.offence, Stage::Unsure);
        assert_eq!(verdicts.questions(start + LOOK_EVERY), [case]);
        verdicts.learn(start, case.offence, Stage::Absent);
        assert_eq!(verdicts.questions(after(start, 10_000)), []);
        // Most were behind.
        verdicts.take(start, docket(REPORTED, 20, &[case]), 1);
        assert_eq!(verdicts.questions(start), [case]);
    }

    #[test]
    fn one_endpoint_cannot_fill_the_docket_with_what_nobody_else_knows() {
        let start = Instant::now();
        let invented = |from: u64| -> Vec<Record> {
            let one = |height: u64| Record {
                offence: B256::from(U256::from(height)),
                height,
                ..record(1, 19)
            };
            (from..from + 1_000).map(one).collect()
        };
        let case = Record { offence: B256::repeat_byte(0xff), ..record(2, 19) };
        let mut verdicts = verdicts(start, &[]);
        let shown_by_both = |from| {
            vec![
                shown("liar", REPORTED, 500, &invented(from)),
                shown("honest", REPORTED, 500, &[case]),
            ]
        };
        verdicts.take(start, shown_by_both(1_000), 3);
        verdicts.take(start, shown_by_both(5_000), 3);
        assert_eq!(verdicts.cases.len(), UNCONFIRMED_MAX + 1);
        assert_eq!(verdicts.window("liar").0, 5, "not all was taken");
        assert_eq!(verdicts.window("honest").0, 501 - 64, "which is the liar's own business");
        // What is invented is asked about a few at a time, and does not keep the true one from its turn.
        let mut steps = 0;
        while !verdicts.cases.get(&case.offence).is_some_and(|case| case.is_confirmed) {
            let asked = verdicts.questions(after(start, steps));
            assert!(asked.len() <= QUESTIONS_MAX, "{}", asked.len());
            for record in asked {
                let stage = if record == case { Stage::Early } else { Stage::Absent };
                verdicts.learn(start, record.offence, stage);
            }
            steps += 1;
            verdicts.take(after(start, steps), shown_by_both(9_000 + 1_000 * steps), 3);
        }
        assert!(steps <= 9, "{steps}");
    }

    #[test]
    fn the_time_is_what_most_endpoints_have_come_to() {
        let start = Instant::now();
        let case = record(2, 19);
        let mut verdicts = verdicts(start, &[case]);
        verdicts.learn(start, case.offence, open(None, false));
        let (over, before) = (REPORTED + RESOLUTION + 1, REPORTED + RESOLUTION);
        let at = |times: [u64; 3]| {
            let named = ["one", "two", "three"].into_iter().zip(times);
            named.map(|(from, time)| shown(from, time, 20, &[])).collect::<Vec<_>>()
        };
        verdicts.take(start, at([u64::MAX, before, before]), 3);
        assert_eq!(verdicts.next_verdict(start, seat(2)), None);
        verdicts.take(start, at([over, before, over]), 3);
        assert_eq!(verdicts.next_verdict(start, seat(2)), Some((case, Motion::Resolve)));
    }

    #[test]
    fn what_fails_is_repeated_ever_later() {
        let start = Instant::now();
        let case = record(2, 19);
        let mut verdicts = verdicts(start, &[case]);
        for waits in [5, 10, 20] {
            verdicts.learn(start, case.offence, open(None, false));
            assert!(verdicts.may_move(start, case.offence, None), "nothing was sent");
            verdicts.failed(start, case.offence, false);
            assert_eq!(verdicts.questions(after(start, waits - 1)), [], "{waits}");
            assert_eq!(verdicts.questions(after(start, waits)), [case], "{waits}");
        }
        for _ in 0..40 {
            verdicts.failed(start, case.offence, false);
        }
        assert_eq!(verdicts.questions(start + RETRY_MAX), [case], "never for good");
    }

    #[test]
    fn what_was_sent_is_not_sent_again_for_an_hour_unless_l1_has_moved() {
        let start = Instant::now();
        let case = record(2, 19);
        let mut verdicts = verdicts(start, &[case]);
        let at = |signers: u64| Some(U256::from(signers));
        assert!(verdicts.may_move(start, case.offence, at(0)));
        verdicts.moved(start, case.offence);
        verdicts.learn(start, case.offence, open(Some(Acquittal::sample()), true));
        assert!(!verdicts.may_move(after(start, 3_599), case.offence, at(0)));
        assert_eq!(verdicts.questions(after(start, 3_600)), [], "not all the time");
        assert_eq!(verdicts.questions(after(start, 3_611)), [case], "how far it is now");
        assert!(verdicts.may_move(start, case.offence, at(3)), "it has moved");
        // What most endpoints say of it was unknown for a moment.
        verdicts.put_off(start, case.offence);
        assert!(!verdicts.may_move(start, case.offence, at(3)));
        // Undone, and paid for.
        verdicts.failed(start, case.offence, true);
        assert!(!verdicts.may_move(start, case.offence, at(3)));
        assert!(verdicts.may_move(after(start, 3_600), case.offence, at(3)));
    }
}
