//! Processes that die and start again, disks that fail, and peers that notice.

use std::{sync::Arc, time::Duration};

use conclave_sequencer::{Config, RecoverError, Shared, archive::ArchiveError};

use super::{Happening, World, node::News, peers::Peers};
use crate::{
    disk::DiskError,
    random::Random,
    scenario::{Loss, OPERATOR_MS, Tail},
    tape,
};

impl World {
    /// A validator's process dies, at once or in the middle of a commit.
    pub(super) fn crash(&mut self, node: u16, loss: Loss, tail: Option<Tail>) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        state.loss = loss;
        match tail {
            Some(tail) => {
                state.dying = true;
                state.disk.cut_power(tail);
            }
            None => self.die(node),
        }
    }

    /// A commit did not succeed: nothing of its turn has left, and the process stops.
    pub(super) fn disk_failed(&mut self, node: u16, error: DiskError) {
        let counter = match error {
            DiskError::Full => "disk_full",
            DiskError::Power => "commits_cut_short",
            DiskError::Checksum(_) => "rot_found",
        };
        let count = self.faults.entry(counter).or_default();
        *count = count.saturating_add(1);
        self.die(node);
    }

    /// A disk has no room left, or has some again. Whoever stopped for it is started by its operator.
    pub(super) fn fill_disk(&mut self, node: u16, is_full: bool) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        state.disk.set_full(is_full);
        state.loss = Loss::Nothing;
        if !is_full {
            self.restart(node);
        }
    }

    fn die(&mut self, node: u16) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        state.core = None;
        state.turn = None;
        state.inbox = super::node::Inbox::default();
        state.dying = false;
        state.life = state.life.saturating_add(1);
        state.tick_at = None;
        for pipe in state.pipes.iter_mut().flatten() {
            // What waits to be sent dies with the process, and what comes in finds nobody.
            pipe.clear(None);
        }
        self.touched.extend([(node, 0), (node, 1)]);
        let lost = u64::from(state.loss != Loss::Nothing);
        let (seed, life) = (self.seed, u64::from(state.life));
        let mut random = Random::new(seed, 10_000_u64.saturating_add(u64::from(node)) ^ life << 32);
        state.disk.lose(state.loss, &mut random);
        let losses = self.faults.entry("disk_losses").or_default();
        *losses = losses.saturating_add(lost);
        self.stop_working(node);
        self.readers.forget(node);
        self.oracle.of(node).crashed(node);
        for other in (0..self.scenario.nodes()).filter(|other| *other != node) {
            self.tell(other, News::PeerDown(node));
        }
    }

    /// A validator's process starts from what is on its disk.
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
        let config = Config { genesis, identity: Some(state.identity.clone()), seed };
        let shown = state.clock.shows(self.now);
        let founding = Some(Arc::clone(&self.founding));
        let shared = Shared { verifier: self.judge.clone(), founding };
        let tape = self.tape.as_ref().filter(|tape| tape.validator() == node);
        match tape::recover(tape, (config, shared), &mut state.disk, shown) {
            Ok((core, ready)) => {
                self.oracle.of(node).recovers(self.now, node, &state.disk, state.loss);
                let peers = Peers::of(core.core().keys(), &self.machines);
                state.inbox = super::node::Inbox::of(peers);
                state.core = Some(core);
                self.take_turn(node, ready, Duration::ZERO);
                self.schedule(self.now, node, Happening::L1Feed);
                for other in (0..self.scenario.nodes()).filter(|other| *other != node) {
                    self.tell(other, News::PeerUp(node));
                    self.tell(node, News::PeerUp(other));
                }
            }
            Err(RecoverError::Archive(ArchiveError::Store(DiskError::Checksum(_)))) => {
                // It says so and does not start; its operator does what the message says.
                let count = self.faults.entry("starts_refused").or_default();
                *count = count.saturating_add(1);
                state.disk.replace_database();
                state.loss = Loss::Database;
                self.schedule(
                    self.now.after(Duration::from_millis(OPERATOR_MS)),
                    node,
                    Happening::Restart,
                );
            }
            Err(error) => self.oracle.of(node).halted(node, &format!("cannot recover: {error}")),
        }
    }
}
