//! The thread that owns a core, as the node runs it: a turn takes all that waits, up to a bound, and makes
//! what came of it durable at once; then its effects leave.
//!
//! ```text
//!  inbox ─▶ step, step, … ─▶ merge ─▶ (processor time, sync) ─▶ persist ─▶ effects
//!    ▲ what comes in meanwhile waits for the next turn ◀───────────┘
//! ```
//!
//! The effects of a turn exist only after its commit, so a crash in the middle of one takes them along:
//! nobody has seen anything of it.

use std::time::Duration;

use conclave_sequencer::Ready;

use super::{
    Happening, World,
    node::{News, Turn},
};
use crate::cpu;

impl World {
    /// Puts something into a validator's inbox, and begins a turn if its driver is idle.
    pub(super) fn tell(&mut self, node: u16, news: News) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        if state.core.is_none() {
            return;
        }
        if !state.inbox.push(news) {
            self.inbox_drops = self.inbox_drops.saturating_add(1);
        }
        self.begin_turn(node);
    }

    /// Begins a turn if the driver is idle and something waits.
    fn begin_turn(&mut self, node: u16) {
        let judged = self.judge.asked();
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let Some(core) = state.core.as_mut().filter(|_| state.turn.is_none()) else { return };
        let shown = state.clock.shows(self.now);
        let mut ready = Ready::default();
        let (steps, bytes) = state.inbox.drain(|input| {
            ready.append(core.step(shown, input));
        });
        if steps == 0 {
            return;
        }
        let judged = self.judge.asked().saturating_sub(judged);
        let work = cpu::turn_cost(steps, judged, bytes);
        self.take_turn(node, ready, self.scenario.machine.takes(work));
    }

    /// What a core asks for becomes durable once the processor and the disk have had their time.
    pub(super) fn take_turn(&mut self, node: u16, ready: Ready, work: Duration) {
        let has_writes = ready.has_writes();
        let machine = &self.scenario.machine;
        let sync = if has_writes { machine.sync(ready.write_bytes()) } else { Duration::ZERO };
        if has_writes {
            self.measure.committed(node, sync);
        }
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        state.turn = Some(Turn { ready, has_writes });
        if !self.start_turn(node, work, sync) {
            self.end_turn(node);
        }
    }

    /// The turn in progress is done: persists it and lets its effects out.
    pub(super) fn end_turn(&mut self, node: u16) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let Some(Turn { ready, has_writes }) = state.turn.take() else { return };
        match ready.persist(&mut state.disk) {
            Ok(effects) => {
                if has_writes {
                    self.examine(node);
                }
                self.carry_out(node, effects);
                self.schedule_tick(node);
                self.begin_turn(node);
            }
            Err(error) => self.disk_failed(node, error),
        }
    }

    fn schedule_tick(&mut self, node: u16) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let wake = state.core.as_ref().and_then(|core| core.core().wake_at());
        let Some(wake) = wake.map(|at| state.clock.when(at)) else { return };
        // A wake-up that is due must come a little later, or time would stand still.
        let wake = wake.max(self.now.after(Duration::from_micros(10)));
        if state.tick_at.is_some_and(|set| set == wake && set > self.now) {
            return;
        }
        state.tick_at = Some(wake);
        state.ticks = state.ticks.saturating_add(1);
        let number = state.ticks;
        self.schedule(wake, node, Happening::Tick(number));
    }
}
