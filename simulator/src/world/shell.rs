//! What a shell does for a core: feed it, make durable what it wants durable, then let its effects out.
//! The only rules here are those of clocks, disks and wires.

use std::{sync::Arc, time::Duration};

use conclave_sequencer::{
    Config, Effects, Input, Job, Message, Peer, Ready, Sequencer, Table,
    archive::{self, ArchiveRequest},
};
use conclave_types::ValidatorIndex;

use super::{Happening, World};
use crate::{adversary::Letter, random::Random, scenario::Loss};

/// Bundles that an honest validator's pool may hold, whatever is thrown at it.
const POOL_MAX: usize = 16_384;
/// Rows of the consensus log and candidates that a height may take: a few dozen rounds' worth for each
/// validator.
const LOG_ROWS_EACH: usize = 150;

impl World {
    /// Feeds a core with what happens to it, if it is up and it is not too late.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are no inputs, or are void")]
    pub(super) fn input(&mut self, node: u16, life: u32, what: Happening) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        if state.core.is_none() {
            return;
        }
        let mut letters = Vec::new();
        let input = match what {
            Happening::Tick(number) if number == state.ticks => Input::Tick,
            Happening::Message { from, message } => {
                self.oracle.heard(node, from, &message);
                if let Some(adversary) = &mut state.adversary {
                    letters = adversary.incoming(self.now, from, &message);
                    for (height, block) in adversary.opened() {
                        self.oracle.opened(node, height, block);
                    }
                }
                Input::Message { from: Peer::Validator(ValidatorIndex::new(from)), message }
            }
            Happening::Job(output) if life == state.life => Input::JobDone(*output),
            Happening::Submit(bundle) => Input::Submit { ticket: 0, bundle: *bundle },
            _ => return,
        };
        self.post(node, letters);
        self.step(node, input);
    }

    fn step(&mut self, node: u16, input: Input) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let Some(core) = state.core.as_mut() else { return };
        let ready = core.step(self.now, input);
        self.carry_out(node, ready);
    }

    fn carry_out(&mut self, node: u16, ready: Ready) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let has_writes = ready.has_writes();
        let Ok(effects) = ready.persist(&mut state.disk);
        if state.dying && has_writes {
            // Durable, and not visible: the process is gone before it can say anything.
            return self.die(node);
        }
        if has_writes {
            self.measure(node);
        }
        let Effects { send, broadcast, jobs, serve, answers: _, events, penalties, halt } = effects;
        for event in events {
            self.oracle.event(self.now, node, &event);
        }
        if let Some(why) = halt {
            self.oracle.halted(node, &why);
        }
        self.oracle.penalties(node, &penalties);
        for message in broadcast {
            for to in (0..self.scenario.validators).filter(|to| *to != node) {
                self.transmit(node, to, message.clone());
            }
        }
        for (to, message) in send {
            if let Peer::Validator(to) = to {
                self.transmit(node, to.as_u16(), message);
            }
        }
        for (to, request) in serve {
            self.serve(node, to, &request);
        }
        for job in jobs {
            let at = self.now.after(cost(&job));
            let output = job.run();
            self.schedule(at, node, Happening::Job(Box::new(output)));
        }
        self.schedule_tick(node);
    }

    /// Whether what it holds is bounded.
    fn measure(&mut self, node: u16) {
        let Some(state) = self.nodes.get(usize::from(node)) else { return };
        let most = LOG_ROWS_EACH.saturating_mul(usize::from(self.scenario.validators));
        let log = state.disk.rows(Table::Wal);
        let candidates = state.disk.rows(Table::Candidates);
        self.oracle.holds(node, "rows of its consensus log", log, most);
        self.oracle.holds(node, "candidate blocks", candidates, most);
        if let Some(core) = &state.core {
            self.oracle.holds(node, "bundles", core.status().pool.bundles, POOL_MAX);
        }
    }

    fn serve(&mut self, node: u16, to: Peer, request: &ArchiveRequest) {
        let Some(state) = self.nodes.get(usize::from(node)) else { return };
        let answer = archive::answer(&state.disk, request);
        if let (Ok(Some(message)), Peer::Validator(to)) = (answer, to) {
            self.transmit(node, to.as_u16(), message);
        }
    }

    fn schedule_tick(&mut self, node: u16) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let wake = state.core.as_ref().and_then(Sequencer::wake_at).map(|at| at.max(self.now));
        let is_new = |set| wake != Some(set) || set <= self.now;
        if let Some(at) = wake.filter(|_| state.tick_at.is_none_or(is_new)) {
            // A wake-up that is due must come a little later, or time would stand still.
            let at = at.max(self.now.after(Duration::from_micros(10)));
            state.tick_at = Some(at);
            state.ticks = state.ticks.saturating_add(1);
            let number = state.ticks;
            self.schedule(at, node, Happening::Tick(number));
        }
    }

    fn transmit(&mut self, from: u16, to: u16, message: Message) {
        let adversary =
            self.nodes.get_mut(usize::from(from)).and_then(|node| node.adversary.as_mut());
        let letters = match adversary {
            Some(adversary) => adversary.outgoing(to, message),
            None => vec![Letter::new(to, message)],
        };
        self.post(from, letters);
    }

    /// Puts letters on the wire.
    fn post(&mut self, from: u16, letters: Vec<Letter>) {
        let seen = self.nodes.get(usize::from(from)).is_some_and(super::Node::is_honest);
        for Letter { to, message, delay } in letters {
            self.oracle.shown(self.now, &message);
            if seen {
                self.oracle.sent(self.now, from, to, &message);
            }
            let leaves = self.now.after(delay);
            for at in self.network.arrivals(&mut self.random, leaves, from, to) {
                let message = message.clone();
                self.schedule(at, to, Happening::Message { from, message });
            }
        }
    }

    pub(super) fn crash(&mut self, node: u16, loss: Loss, unseen: bool) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        state.loss = loss;
        if unseen {
            state.dying = true;
        } else {
            self.die(node);
        }
    }

    fn die(&mut self, node: u16) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        state.core = None;
        state.dying = false;
        state.life = state.life.saturating_add(1);
        state.tick_at = None;
        state.disk.lose(state.loss);
        self.oracle.crashed(node);
        for other in 0..self.scenario.validators {
            self.link(other, node, Input::PeerDown);
        }
    }

    pub(super) fn restart(&mut self, node: u16) {
        if self.nodes.get(usize::from(node)).is_some_and(|state| state.dying) {
            // It was to die with its next write, and there was none.
            self.die(node);
        }
        let genesis = Arc::clone(&self.genesis);
        let seed = Random::new(self.seed, 100_u64.saturating_add(u64::from(node))).bytes();
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        if state.core.is_some() {
            return;
        }
        self.oracle.recovers(self.now, node, &state.disk, state.loss);
        let config = Config { genesis, identity: Some(state.identity.clone()), seed };
        match Sequencer::recover(config, &state.disk, self.now) {
            Ok((core, ready)) => {
                state.core = Some(core);
                self.carry_out(node, ready);
                for other in 0..self.scenario.validators {
                    self.link(other, node, Input::PeerUp);
                    self.link(node, other, Input::PeerUp);
                }
            }
            Err(error) => self.oracle.halted(node, &format!("cannot recover: {error}")),
        }
    }

    /// A validator notices that a connection came up or went down.
    fn link(&mut self, node: u16, other: u16, what: fn(Peer) -> Input) {
        if node != other {
            self.step(node, what(Peer::Validator(ValidatorIndex::new(other))));
        }
    }
}

/// What a job takes on one core: a fixed part, and a part for each bundle. Measured at n = 4 with the
/// encryption crate's benchmark, and rounded.
fn cost(job: &Job) -> Duration {
    let each = match job {
        Job::Verify(_) => 300,
        Job::Share(_) => 120,
        Job::Combine(_) => 340,
        Job::Open(_) => 60,
    };
    let bundles = u64::try_from(job.bundle_count()).unwrap_or(u64::MAX);
    Duration::from_micros(bundles.saturating_mul(each).saturating_add(1_500))
}
