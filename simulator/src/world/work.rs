//! Processor time: each validator's own cores, or those of one machine that carries everybody.
//!
//! On a machine of its own a validator's driver has a core, and jobs have the others. On a shared one
//! ([`Machine::shared_cores`]) drivers, jobs and users all run on the same few: a validator
//! then has as many threads for jobs as the scenario gives it cores, and what runs on a thread gets its
//! share of the machine.

use std::{collections::VecDeque, time::Duration};

use conclave_sequencer::{Job, JobNumber, JobOutput};
use conclave_types::{EncryptedBundle, Time};

use super::{Happening, World, node::News};
use crate::{
    cpu::{self, Processor},
    measure::{DRIVER, Spent},
    scenario::Machine,
};

/// What runs on the shared cores.
pub(super) struct Task {
    node: u16,
    since: Time,
    cost: Duration,
    waited: Duration,
    what: Occupation,
}

enum Occupation {
    Job {
        kind: &'static str,
        number: JobNumber,
        output: Box<JobOutput>,
    },
    /// A driver's turn, which then takes so long to be durable.
    Turn {
        sync: Duration,
    },
    /// Somebody who makes a bundle for the validator.
    User(Box<EncryptedBundle>),
}

/// One machine's cores, and when they are next done with something.
pub(super) struct Shared {
    processor: Processor<Task>,
    at: Option<Time>,
    number: u64,
}

impl Shared {
    /// The cores of a machine that carries everybody; none if there is no such machine.
    pub(super) fn new(machine: &Machine) -> Option<Self> {
        let Machine { shared_cores: cores, background_permille, .. } = *machine;
        let processor = || Processor::new(cores, background_permille);
        (cores > 0).then(|| Self { processor: processor(), at: None, number: 0 })
    }
}

/// A validator's threads for jobs on a shared machine.
#[derive(Default)]
pub(super) struct Threads {
    busy: u16,
    waiting: VecDeque<Task>,
}

impl World {
    pub(super) fn start_job(&mut self, node: u16, number: JobNumber, job: Job) {
        let (kind, machine) = (job.kind(), &self.scenario.machine);
        let cost = machine.takes(cpu::job_cost(&job, self.scenario.validators));
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let output = Box::new(self.workshop.run(job));
        if self.shared.is_some() {
            let what = Occupation::Job { kind, number, output };
            let task = Task { node, since: self.now, cost, waited: Duration::ZERO, what };
            state.threads.waiting.push_back(task);
            return self.feed_threads(node);
        }
        let (waited, done) = state.pool.take(self.now, cost);
        self.measure.worked(node, kind, Spent { busy: cost, waited, ..Spent::default() });
        self.schedule(done, node, Happening::Job(number, output));
    }

    /// Begins a driver's turn that takes `work` and then `sync`; false if it takes no time at all.
    pub(super) fn start_turn(&mut self, node: u16, work: Duration, sync: Duration) -> bool {
        if work.saturating_add(sync).is_zero() {
            return false;
        }
        if let Some(shared) = &mut self.shared {
            let what = Occupation::Turn { sync };
            let task = Task { node, since: self.now, cost: work, waited: Duration::ZERO, what };
            shared.processor.push(self.now, work, task);
            return true;
        }
        if self.scenario.machine.costs {
            self.measure.worked(node, DRIVER, Spent { busy: work, ..Spent::default() });
        }
        self.schedule(self.now.after(work.saturating_add(sync)), node, Happening::Turned);
        true
    }

    /// A user makes a bundle, which takes its time if the machine is shared, and sends it to a validator.
    pub(super) fn send_in(&mut self, to: u16, bundle: EncryptedBundle) {
        let cost = Duration::from_micros(self.scenario.machine.bundle_us);
        match self.shared.as_mut().filter(|_| !cost.is_zero()) {
            Some(shared) => {
                let what = Occupation::User(Box::new(bundle));
                let (node, since, waited) = (to, self.now, Duration::ZERO);
                shared.processor.push(self.now, cost, Task { node, since, cost, waited, what });
            }
            None => self.on_its_way(to, Box::new(bundle)),
        }
    }

    fn on_its_way(&mut self, to: u16, bundle: Box<EncryptedBundle>) {
        let way = Duration::from_micros(self.scenario.network.user_us);
        self.schedule(self.now.after(way), to, Happening::Submit(bundle));
    }

    /// Gives waiting jobs to the threads that are free.
    fn feed_threads(&mut self, node: u16) {
        let most = self.scenario.machine.cores;
        let state = self.nodes.get_mut(usize::from(node));
        let Some((shared, state)) = self.shared.as_mut().zip(state) else { return };
        while state.threads.busy < most {
            let Some(task) = state.threads.waiting.pop_front() else { return };
            state.threads.busy = state.threads.busy.saturating_add(1);
            let waited = self.now.since(task.since);
            let task = Task { since: self.now, waited, ..task };
            shared.processor.push(self.now, task.cost, task);
        }
    }

    /// The shared cores may be done with something.
    pub(super) fn processed(&mut self, number: u64) {
        let Some(shared) = self.shared.as_mut().filter(|shared| shared.number == number) else {
            return;
        };
        shared.at = None;
        while let Some(task) = self.shared.as_mut().and_then(|s| s.processor.pop(self.now)) {
            self.processed_task(task);
        }
    }

    fn processed_task(&mut self, task: Task) {
        let Task { node, since, cost, waited, what } = task;
        let shared = self.now.since(since).saturating_sub(cost);
        let spent = Spent { busy: cost, waited, shared };
        match what {
            Occupation::User(bundle) => self.on_its_way(node, bundle),
            Occupation::Turn { sync } => {
                self.measure.worked(node, DRIVER, spent);
                if sync.is_zero() {
                    self.end_turn(node);
                } else {
                    self.schedule(self.now.after(sync), node, Happening::Turned);
                }
            }
            Occupation::Job { kind, number, output } => {
                self.measure.worked(node, kind, spent);
                if let Some(state) = self.nodes.get_mut(usize::from(node)) {
                    state.threads.busy = state.threads.busy.saturating_sub(1);
                }
                self.tell(node, News::Job(number, output));
                self.feed_threads(node);
            }
        }
    }

    /// A process is gone, and what it did with it. Users live elsewhere.
    pub(super) fn stop_working(&mut self, node: u16) {
        if let Some(state) = self.nodes.get_mut(usize::from(node)) {
            state.pool.reset();
            state.threads = Threads::default();
        }
        if let Some(shared) = &mut self.shared {
            let stays = |task: &Task| task.node != node || matches!(task.what, Occupation::User(_));
            shared.processor.retain(self.now, stays);
        }
    }

    /// Schedules when the shared cores are next done with something, after an event that may have changed
    /// it.
    pub(super) fn settle_cores(&mut self) {
        let Some(shared) = &mut self.shared else { return };
        let next = shared.processor.next_at().map(|at| at.max(self.now));
        if shared.at == next {
            return;
        }
        shared.at = next;
        shared.number = shared.number.saturating_add(1);
        let number = shared.number;
        if let Some(next) = next {
            self.schedule(next, 0, Happening::Processed(number));
        }
    }
}
