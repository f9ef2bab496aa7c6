//! Messages on their way: through the sender's uplink, over the link, through the receiver's downlink.

use std::sync::Arc;

use conclave_sequencer::Message;

use super::{
    Happening, World,
    node::{Flight, News, Packet},
};
use crate::network::{Pushed, Stream};

/// The length that stands before every message.
const FRAME_BYTES: u64 = 4;

/// The two directions.
const UP: usize = 0;
const DOWN: usize = 1;

impl World {
    /// A message leaves a validator's process.
    pub(super) fn post(&mut self, packet: Packet) {
        let Packet { from, to, bytes, .. } = packet;
        self.measure.sent(from, packet.message.kind(), bytes);
        if let Message::Block(block) = &*packet.message {
            self.measure.proposed(self.now, block.header.height);
        }
        let stream = Stream { peer: to, bulk: packet.message.is_bulk() };
        if let Some(packet) = self.enter(from, UP, stream, packet) {
            self.cross(packet);
        }
    }

    /// A message is on the link: lost, or some time later at the other end.
    fn cross(&mut self, packet: Packet) {
        let delays = self.network.delays(&mut self.random, self.now, packet.from, packet.to);
        for delay in delays.into_iter().flatten() {
            let packet = packet.clone();
            self.schedule(self.now.after(delay), packet.to, Happening::Arrived(packet));
        }
    }

    /// The same message leaves a validator's process for everyone else.
    pub(super) fn post_to_all(&mut self, packet: &Packet) {
        let from = packet.from;
        let others = (0..self.scenario.nodes()).filter(|to| *to != from);
        let is_limited = |node: &super::Node| node.pipes.first().is_some_and(Option::is_some);
        if self.nodes.get(usize::from(from)).is_some_and(is_limited) {
            return others.for_each(|to| self.post(Packet { to, ..packet.clone() }));
        }
        let mut arrivals = Vec::with_capacity(self.nodes.len());
        for to in others {
            self.measure.sent(from, packet.message.kind(), packet.bytes);
            let delays = self.network.delays(&mut self.random, self.now, from, to);
            let delays = delays.into_iter().flatten();
            arrivals.extend(delays.map(|delay| (self.now.after(delay), to)));
        }
        if let Message::Block(block) = &*packet.message {
            self.measure.proposed(self.now, block.header.height);
        }
        arrivals.sort_unstable_by(|one, other| other.cmp(one));
        self.take_off(Box::new(Flight { packet: packet.clone(), arrivals }));
    }

    fn take_off(&mut self, flight: Box<Flight>) {
        if let Some((at, to)) = flight.arrivals.last().copied() {
            self.schedule(at, to, Happening::Landed(flight));
        }
    }

    /// One of many is at its receiver's end.
    pub(super) fn landed(&mut self, mut flight: Box<Flight>) {
        let next = flight.arrivals.pop().map(|(_, to)| Packet { to, ..flight.packet.clone() });
        self.take_off(flight);
        if let Some(packet) = next {
            self.arrived(packet);
        }
    }

    /// A message is at the receiver's end of the link.
    pub(super) fn arrived(&mut self, packet: Packet) {
        let Packet { from, to, .. } = packet;
        let stream = Stream { peer: from, bulk: packet.message.is_bulk() };
        if let Some(packet) = self.enter(to, DOWN, stream, packet) {
            self.deliver(packet);
        }
    }

    /// Puts a message into one of a validator's pipes; gives it back if there is none.
    fn enter(&mut self, node: u16, way: usize, stream: Stream, packet: Packet) -> Option<Packet> {
        let bytes = packet.bytes;
        let state = self.nodes.get_mut(usize::from(node))?;
        let Some(pipe) = state.pipes.get_mut(way).and_then(Option::as_mut) else {
            return Some(packet);
        };
        self.pipe_waits = self.pipe_waits.saturating_add(u64::from(pipe.is_busy()));
        let pushed = pipe.push(self.now, stream, packet, bytes);
        self.touched.insert((node, way));
        match pushed {
            Pushed::Queued => {}
            Pushed::Dropped(messages, bytes) => self.measure.dropped(node, messages, bytes),
            Pushed::Stuck(messages, bytes) => {
                self.measure.dropped(node, messages, bytes);
                self.sessions_lost = self.sessions_lost.saturating_add(1);
                // Both ends notice, and begin another.
                for (one, other) in [(node, stream.peer), (stream.peer, node)] {
                    self.tell(one, News::PeerDown(other));
                    self.tell(one, News::PeerUp(other));
                }
            }
        }
        None
    }

    /// Something may be through a pipe.
    pub(super) fn departed(&mut self, node: u16, way: usize, number: u64) {
        let now = self.now;
        let mut through = Vec::new();
        {
            let Some(state) = self.nodes.get_mut(usize::from(node)) else { return };
            let Some(at) = state.pipe_at.get_mut(way).filter(|at| at.1 == number) else { return };
            at.0 = None;
            let Some(pipe) = state.pipes.get_mut(way).and_then(Option::as_mut) else { return };
            through.extend(std::iter::from_fn(|| pipe.pop(now)));
        }
        self.touched.insert((node, way));
        for packet in through {
            if way == UP {
                self.cross(packet);
            } else {
                self.deliver(packet);
            }
        }
    }

    /// Schedules the next departure of every pipe that has changed. Once for each event, since a
    /// broadcast changes a pipe a hundred times.
    pub(super) fn settle_pipes(&mut self) {
        while let Some((node, way)) = self.touched.pop_first() {
            let Some(state) = self.nodes.get_mut(usize::from(node)) else { continue };
            let pipe = state.pipes.get(way).and_then(Option::as_ref);
            let next = pipe.and_then(crate::network::Pipe::next_at).map(|at| at.max(self.now));
            let Some((at, number)) = state.pipe_at.get_mut(way) else { continue };
            if *at == next {
                continue;
            }
            *at = next;
            *number = number.saturating_add(1);
            let number = *number;
            if let Some(next) = next {
                self.schedule(next, node, Happening::Departed { way, number });
            }
        }
    }

    /// A message has reached a process.
    fn deliver(&mut self, packet: Packet) {
        let Packet { to, bytes, .. } = packet;
        let Some(state) = self.nodes.get_mut(usize::from(to)) else { return };
        if state.core.is_none() {
            return;
        }
        self.measure.received(to, packet.message.kind(), bytes);
        self.oracle.of(to).heard(self.now, to, packet.from, &packet.message);
        if let Some(adversary) = &mut state.adversary {
            let letters = adversary.incoming(self.now, packet.from, &packet.message);
            for (height, block) in adversary.opened() {
                self.oracle.of(to).opened(to, height, block);
            }
            self.post_letters(to, letters);
        }
        self.tell(to, News::Message(packet));
        self.search(to);
    }

    /// The packet in which a message travels. Its size is worked out here, once for all who get it.
    pub(super) fn packet(from: u16, to: u16, message: Message) -> Packet {
        let bytes = borsh::object_length(&message).unwrap_or(0);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(FRAME_BYTES);
        Packet { from, to, message: Arc::new(message), bytes }
    }
}
