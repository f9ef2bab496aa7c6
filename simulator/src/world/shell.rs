//! What a shell does with the effects of a core: sends, runs jobs, serves history, tells the oracles.

use std::collections::BTreeSet;

use conclave_sequencer::{
    Effects, Event, KeyChange, Message, Peer, SecretName, Store as _, Table,
    archive::{self, ArchiveRequest},
};
use conclave_types::{Height, L1Content, L1Entry, PayerAddress};

use super::{BEGIN, Happening, World, node::Node, peers::Peers};
use crate::{adversary::Letter, oracle::Sharing, renegade::shares_among};

/// Bundles that an honest validator's pool may hold, whatever is thrown at it.
const POOL_MAX: usize = 16_384;
/// Rows of the consensus log and candidates that a height may take: a few dozen rounds' worth for each
/// validator.
const LOG_ROWS_EACH: usize = 150;

/// Whose balance an entry of L1's queue changes, if it changes one.
const fn payer_of(entry: &L1Entry) -> Option<PayerAddress> {
    match &entry.content {
        L1Content::Forced(_) => None,
        L1Content::Deposit(deposit) => Some(deposit.payer),
        L1Content::Withdrawal(request) => Some(request.payer),
    }
}

impl World {
    pub(super) fn carry_out(&mut self, node: u16, effects: Effects) {
        let Effects { send, broadcast, jobs, serve, answers, events, penalties, halt } = effects;
        self.progressed |= !events.is_empty();
        let mut touched = BTreeSet::new();
        for event in events {
            self.oracle.of(node).event(self.now, node, &event);
            self.measure.event(self.now, node, &event);
            self.timeline.event(BEGIN, self.now, node, &event);
            if let Event::Revealed { block, .. } = &event {
                self.load.revealed(block);
            }
            if let Event::Decided { header, l1_entries, .. } = &event {
                touched.extend(l1_entries.iter().filter_map(payer_of));
                self.shows(node, header.height);
            }
            if let Event::Keys { change, .. } = &event {
                self.see_attempt(node);
                self.list_validators(node);
                if let KeyChange::NextEra { until, .. } = change {
                    self.learn_next_era(node, *until);
                } else if matches!(change, KeyChange::Epoch { .. }) {
                    self.learn_key(node);
                }
            }
            if let Event::Returned { bundles, .. } = &event {
                self.returned(bundles);
            }
        }
        // Nothing but its balance shows that a payer keeps what L1 pays out to it.
        if !touched.is_empty() {
            self.compare_balances(node, touched.iter());
        }
        for (_, receipt) in answers {
            if let Ok(receipt) = receipt {
                self.measure.acknowledged(self.now, node, &receipt.bundle);
            }
        }
        if let Some(why) = halt {
            self.oracle.of(node).halted(node, &why);
        }
        self.oracle.of(node).penalties(node, &penalties);
        for message in broadcast {
            self.broadcast(node, message);
        }
        for (to, message) in send {
            self.transmit_to(node, to, message);
        }
        for (to, request) in serve {
            self.serve(node, to, &request);
        }
        for (number, job) in jobs {
            self.start_job(node, number, job);
        }
    }

    /// Whether what a validator holds is bounded.
    pub(super) fn examine(&mut self, node: u16) {
        let Some(state) = self.nodes.get(usize::from(node)) else { return };
        let most = LOG_ROWS_EACH.saturating_mul(usize::from(self.scenario.validators));
        let log = state.disk.rows(Table::Wal);
        let candidates = state.disk.rows(Table::Candidates);
        self.oracle.of(node).holds(node, "rows of its consensus log", log, most);
        self.oracle.of(node).holds(node, "candidate blocks", candidates, most);
        if let Some(core) = &state.core {
            let pooled = core.core().pool().bundles;
            self.oracle.of(node).holds(node, "bundles", pooled, POOL_MAX);
        }
    }

    fn serve(&mut self, node: u16, to: Peer, request: &ArchiveRequest) {
        let Some(state) = self.nodes.get(usize::from(node)) else { return };
        let answer = archive::answer(&state.disk, request);
        if let Ok(Some(message)) = answer {
            self.transmit_to(node, to, message);
        }
    }

    /// What is left of the keys that were changed, on the machines that had them.
    pub(super) fn search_old_machines(&mut self) {
        let old = self.machines.iter().filter(|machine| {
            let node = self.nodes.get(usize::from(machine.node));
            machine.node == machine.validator && node.is_some_and(Node::is_honest)
        });
        for node in old.map(|machine| machine.node).collect::<Vec<_>>() {
            let Some(state) = self.nodes.get(usize::from(node)) else { continue };
            let secrets = state.disk.secrets().unwrap_or_default();
            self.oracle.of(node).keeps_secrets(node, secrets.len());
        }
    }

    /// Everyone else gets the same message, kept once.
    fn broadcast(&mut self, from: u16, message: Message) {
        let is_honest = |node: &Node| node.adversary.is_none();
        let others: Vec<u16> = (0..self.scenario.nodes()).filter(|to| *to != from).collect();
        if !self.nodes.get(usize::from(from)).is_some_and(is_honest) {
            for to in others {
                self.transmit(from, to, message.clone());
            }
            return;
        }
        let first = Self::packet(from, from, message);
        self.see(&first.message);
        self.oracle.of(from).sent(self.now, from, &others, &first.message);
        self.post_to_all(&first);
    }

    /// To every machine that the sender knows as this peer.
    fn transmit_to(&mut self, from: u16, to: Peer, message: Message) {
        let Some(state) = self.nodes.get(usize::from(from)) else { return };
        let mut nodes = state.inbox.peers().nodes(to);
        // A node that has the place of another's second machine is not its own peer.
        nodes.retain(|node| *node != from);
        let last = nodes.pop();
        for node in nodes {
            self.transmit(from, node, message.clone());
        }
        if let Some(last) = last {
            self.transmit(from, last, message);
        }
    }

    fn transmit(&mut self, from: u16, to: u16, message: Message) {
        if matches!(message, Message::Sharing(_)) {
            self.see_attempt(from);
        }
        let adversary =
            self.nodes.get_mut(usize::from(from)).and_then(|node| node.adversary.as_mut());
        let letters = match adversary {
            Some(adversary) => {
                adversary.comes_to(self.now);
                adversary.outgoing(to, message)
            }
            None => vec![Letter::new(to, message)],
        };
        self.post_letters(from, letters);
    }

    /// Puts letters on the wire, now or when they are let go.
    pub(super) fn post_letters(&mut self, from: u16, letters: Vec<Letter>) {
        let seen = self.nodes.get(usize::from(from)).is_some_and(Node::is_honest);
        for Letter { to, message, delay } in letters {
            self.see(&message);
            if seen {
                self.oracle.of(from).sent(self.now, from, &[to], &message);
            }
            let packet = Self::packet(from, to, message);
            if delay.is_zero() {
                self.post(packet);
            } else {
                self.schedule(self.now.after(delay), from, Happening::Posted(packet));
            }
        }
    }

    /// A validator may have come to know of others, which were nodes like any other before.
    fn list_validators(&mut self, node: u16) {
        let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
        let Some(core) = &state.core else { return };
        let peers = Peers::of(core.core().keys(), &self.machines);
        let others = (0..self.scenario.nodes()).filter(|other| *other != node);
        state.inbox.list(peers, others);
    }

    /// Who misbehaves knows what its own core knows.
    fn see_attempt(&mut self, node: u16) {
        let Some(Node { adversary: Some(adversary), core: Some(core), disk, .. }) =
            self.nodes.get_mut(usize::from(node))
        else {
            return;
        };
        let attempt = core.core().keys().attempt().cloned();
        let of = |name: &SecretName| {
            let id = attempt.as_ref()?.session().id();
            (*name == SecretName::HolderSeed { epoch: id.epoch, round: id.round }).then_some(())
        };
        let secrets = disk.secrets().unwrap_or_default();
        let seed = secrets.iter().find(|(name, _)| of(name).is_some());
        let seed = seed.map(|(_, bytes)| *bytes.expose());
        adversary.see_attempt(attempt, seed);
    }

    /// A validator knows the key of the next era, and tells its users.
    fn learn_next_era(&mut self, node: u16, until: Height) {
        let Some(Node { core: Some(core), .. }) = self.nodes.get(usize::from(node)) else { return };
        let core = core.core();
        if let Some(key) = core.keys().next_era(core.status().decided.next()) {
            self.keyring.learn_next(key, until);
        }
    }

    /// Whether anyone still has shares of epochs that are long over.
    pub(super) fn look_for_old_shares(&mut self) {
        for (index, node) in (0_u16..).zip(&self.nodes) {
            let secrets = node.disk.secrets().unwrap_or_default();
            let epochs = shares_among(secrets).map(|(epoch, _)| epoch).collect();
            if node.core.is_some() {
                self.oracle.of(index).has_shares(index, &epochs);
            }
        }
    }

    /// Somebody reads the batches of every validator, when the run is over.
    pub(super) fn read_everyone(&mut self) {
        for (index, node) in (0_u16..).zip(&self.nodes) {
            if node.core.is_some() {
                self.oracle.of(index).reads(index, &node.disk);
            }
        }
        self.oracle.here().all_read();
    }

    /// A validator has a new key: everyone knows it, and who misbehaves has its share of it too.
    fn learn_key(&mut self, node: u16) {
        let Some(state) = self.nodes.get(usize::from(node)) else { return };
        let Some(core) = &state.core else { return };
        let keys = core.core().keys();
        self.keyring.learn(keys);
        self.oracle.of(node).shared_out(node, keys.in_use().iter().map(Sharing::of));
        for state in &mut self.nodes {
            let Some(adversary) = &mut state.adversary else { continue };
            adversary.learn_key(self.keyring.clone());
            adversary.learn_shares(shares_among(state.disk.secrets().unwrap_or_default()));
        }
    }
}
