//! The cores of one machine that carries several validators: whatever wants to run, of whichever
//! validator, gets as much of them as the next, which is what an operating system does with threads of
//! equal rank.
//!
//! With no more tasks than cores each has a core to itself, and with more they share all cores equally.
//! As in a pipe ([`crate::network`]), this is computed in **virtual time**: what each task has been served
//! since the machine was last idle. A task ends when virtual time reaches its start plus its cost, whatever
//! comes and goes meanwhile. What else runs on the machine, all the time and a little of it, leaves less to
//! share, and slows nobody down who has a core to itself.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use conclave_types::Time;

/// Virtual time counts billionths of a second, so that sharing a microsecond leaves something.
const UNIT: u64 = 1_000;

/// Cores for tasks of type `T`.
#[derive(Debug)]
pub(crate) struct Processor<T> {
    /// What there is to share, in thousandths of a core.
    capacity: u64,
    tasks: BTreeMap<u64, T>,
    /// The tasks by the virtual time at which they are done, and then in the order in which they came.
    ends: BinaryHeap<Reverse<(u64, u64)>>,
    begun: u64,
    served: u64,
    updated: Time,
}

impl<T> Processor<T> {
    /// A machine with so many cores, at least one, of which something else takes `background` thousandths.
    #[must_use]
    pub(crate) fn new(cores: u16, background: u64) -> Self {
        let left = 1_000_u64.saturating_sub(background).max(1);
        Self {
            capacity: u64::from(cores.max(1)).saturating_mul(left),
            tasks: BTreeMap::new(),
            ends: BinaryHeap::new(),
            begun: 0,
            served: 0,
            updated: Time::ZERO,
        }
    }

    /// Begins a task that a core of its own would take `cost` for.
    pub(crate) fn push(&mut self, now: Time, cost: Duration, task: T) {
        self.advance(now);
        let cost = u64::try_from(cost.as_micros()).unwrap_or(u64::MAX).saturating_mul(UNIT);
        self.begun = self.begun.saturating_add(1);
        self.tasks.insert(self.begun, task);
        self.ends.push(Reverse((self.served.saturating_add(cost), self.begun)));
    }

    /// Takes out the next task that is done by `now`, if there is one.
    pub(crate) fn pop(&mut self, now: Time) -> Option<T> {
        self.advance(now);
        let Reverse((_, number)) = *self.ends.peek().filter(|next| next.0.0 <= self.served)?;
        self.ends.pop();
        self.tasks.remove(&number)
    }

    /// When the next task is done, if none begins before.
    #[must_use]
    pub(crate) fn next_at(&self) -> Option<Time> {
        let Reverse((end, _)) = self.ends.peek()?;
        let left = u128::from(end.saturating_sub(self.served)).saturating_mul(self.wanted());
        let micros = left.div_ceil(u128::from(self.capacity.saturating_mul(UNIT)));
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        Some(self.updated.after(Duration::from_micros(micros)))
    }

    /// Forgets the tasks that are not to be kept: their process is gone.
    pub(crate) fn retain(&mut self, now: Time, keep: impl Fn(&T) -> bool) {
        self.advance(now);
        self.tasks.retain(|_, task| keep(task));
        let tasks = &self.tasks;
        self.ends.retain(|Reverse((_, number))| tasks.contains_key(number));
    }

    /// What all tasks together would use; never less than there is, since no task runs on two cores.
    fn wanted(&self) -> u128 {
        let tasks = u128::try_from(self.ends.len()).unwrap_or(u128::MAX);
        tasks.saturating_mul(1_000).max(u128::from(self.capacity))
    }

    fn advance(&mut self, now: Time) {
        if self.ends.is_empty() {
            self.served = 0;
        } else {
            let whole = u128::from(self.capacity.saturating_mul(UNIT));
            let served = now.since(self.updated).as_micros().saturating_mul(whole) / self.wanted();
            self.served = self.served.saturating_add(u64::try_from(served).unwrap_or(u64::MAX));
        }
        self.updated = self.updated.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Runs a machine until it is idle and says in which millisecond each task was done.
    fn drain(processor: &mut Processor<&'static str>) -> Vec<(&'static str, u64)> {
        let mut done = Vec::new();
        while let Some(next) = processor.next_at() {
            assert_eq!(processor.pop(Time::from_micros(next.as_micros() - 1)), None, "not before");
            while let Some(task) = processor.pop(next) {
                done.push((task, next.as_millis()));
            }
        }
        done
    }

    #[test]
    fn tasks_have_a_core_each_while_there_are_enough() {
        let mut processor = Processor::new(2, 0);
        processor.push(at(0), ms(10), "a");
        processor.push(at(4), ms(3), "b");
        assert_eq!(drain(&mut processor), [("b", 7), ("a", 10)]);
    }

    #[test]
    fn more_tasks_than_cores_share_them_equally_and_who_is_left_speeds_up() {
        let mut processor = Processor::new(2, 0);
        for (name, cost) in [("a", 6), ("b", 6), ("c", 12), ("d", 14)] {
            processor.push(at(0), ms(cost), name);
        }
        // Half speed for all until a and b are done; then c and d have a core each.
        assert_eq!(drain(&mut processor), [("a", 12), ("b", 12), ("c", 18), ("d", 20)]);
    }

    #[test]
    fn a_background_takes_from_what_is_shared_and_not_from_who_is_alone() {
        let mut processor = Processor::new(2, 250);
        processor.push(at(0), ms(9), "alone");
        assert_eq!(drain(&mut processor), [("alone", 9)]);
        processor.push(at(20), ms(9), "a");
        processor.push(at(20), ms(9), "b");
        // One and a half cores for two.
        assert_eq!(drain(&mut processor), [("a", 32), ("b", 32)]);
    }

    #[test]
    fn a_short_task_does_not_wait_for_long_ones() {
        let mut processor = Processor::new(1, 0);
        processor.push(at(0), ms(100), "long");
        processor.push(at(10), ms(1), "short");
        assert_eq!(drain(&mut processor), [("short", 12), ("long", 101)]);
    }

    #[test]
    fn who_is_gone_leaves_the_cores_to_the_others() {
        let mut processor = Processor::new(1, 0);
        processor.push(at(0), ms(10), "stays");
        processor.push(at(0), ms(10), "dies");
        processor.retain(at(10), |task| *task == "stays");
        assert_eq!(drain(&mut processor), [("stays", 15)]);
        processor.push(at(20), ms(1), "later");
        assert_eq!(drain(&mut processor), [("later", 21)]);
    }
}
