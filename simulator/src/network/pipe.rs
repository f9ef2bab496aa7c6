//! One direction of a validator's connection to the world: so many bytes a second, shared equally among
//! the streams that have something to send.
//!
//! A stream is a pair of validators and a lane, as in the node: urgent messages and bulk never wait for
//! each other, and within a stream messages go one after another. Processor sharing is computed in
//! **virtual time**: what each active stream has been served since the pipe was last idle, which grows
//! at capacity / active streams. A message whose stream is up finishes when virtual time reaches its
//! start plus its size, whatever happens to the others in between, so an arrival or departure costs
//! one heap operation and not a new rate for everyone.
//!
//! ```text
//!  real    0────────────2────────────4──────6        1 B/s; A: 3 B at 0, B: 1 B at 2
//!  active  A            A B          A               B is served from V = 2 to 3, A from 0 to 3
//!  V       0────────────2────────────3               both end at 4 s
//! ```
//!
//! **Bounds** are those of the node's outbox: bulk beyond [`BULK_BYTES_MAX`] on a stream drops that
//! stream's oldest waiting message; urgent beyond [`URGENT_MAX`] or [`URGENT_BYTES_MAX`] ends the
//! session, with all that waited on it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use conclave_types::Time;

/// Urgent messages that may wait on a stream.
const URGENT_MAX: usize = 8_192;
/// Their bytes.
const URGENT_BYTES_MAX: u64 = 16 << 20;
/// Bytes of bulk that may wait on a stream.
const BULK_BYTES_MAX: u64 = 16 << 20;

/// Virtual time counts millionths of a byte, so that a microsecond of the slowest pipe is not nothing.
const UNIT: u64 = 1_000_000;

/// The other end, and the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stream {
    /// The other validator.
    pub(crate) peer: u16,
    /// Whether large messages go here.
    pub(crate) bulk: bool,
}

#[derive(Debug)]
struct Waiting<P> {
    packets: VecDeque<(P, u64)>,
    bytes: u64,
}

/// What became of a packet that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits, or is on its way.
    Queued,
    /// It waits, and older bulk was dropped: so many messages and bytes.
    Dropped(u64, u64),
    /// The session was given up with all that waited: so many messages and bytes.
    Stuck(u64, u64),
}

/// A pipe for packets of type `P`.
#[derive(Debug)]
pub(crate) struct Pipe<P> {
    bytes_per_s: u64,
    streams: BTreeMap<Stream, Waiting<P>>,
    /// The streams that are served, by the virtual time at which their first packet is through.
    active: BinaryHeap<Reverse<(u64, Stream)>>,
    served: u64,
    updated: Time,
}

impl<P> Pipe<P> {
    /// A pipe of a capacity; at least one byte a second.
    #[must_use]
    pub(crate) fn new(bytes_per_s: u64) -> Self {
        Self {
            bytes_per_s: bytes_per_s.max(1),
            streams: BTreeMap::new(),
            active: BinaryHeap::new(),
            served: 0,
            updated: Time::ZERO,
        }
    }

    /// Whether something is on its way.
    #[must_use]
    pub(crate) fn is_busy(&self) -> bool {
        !self.active.is_empty()
    }

    /// Puts a packet of `bytes` in.
    pub(crate) fn push(&mut self, now: Time, stream: Stream, packet: P, bytes: u64) -> Pushed {
        self.advance(now);
        let waiting = self
            .streams
            .entry(stream)
            .or_insert_with(|| Waiting { packets: VecDeque::new(), bytes: 0 });
        let is_idle = waiting.packets.is_empty();
        let total = waiting.bytes.saturating_add(bytes);
        if !stream.bulk && (waiting.packets.len() >= URGENT_MAX || total > URGENT_BYTES_MAX) {
            return self.give_up(stream.peer);
        }
        waiting.packets.push_back((packet, bytes));
        waiting.bytes = total;
        let (mut lost, mut lost_bytes) = (0_u64, 0_u64);
        // The first is on its way already, and a single message is never dropped for its size.
        while stream.bulk && waiting.bytes > BULK_BYTES_MAX && waiting.packets.len() > 2 {
            let gone = waiting.packets.remove(1).map_or(0, |(_, bytes)| bytes);
            waiting.bytes = waiting.bytes.saturating_sub(gone);
            lost = lost.saturating_add(1);
            lost_bytes = lost_bytes.saturating_add(gone);
        }
        if is_idle {
            self.active.push(Reverse((self.served.saturating_add(size(bytes)), stream)));
        }
        if lost == 0 { Pushed::Queued } else { Pushed::Dropped(lost, lost_bytes) }
    }

    /// Takes out the next packet that is through by `now`, if there is one.
    pub(crate) fn pop(&mut self, now: Time) -> Option<P> {
        self.advance(now);
        let Reverse((end, stream)) = *self.active.peek().filter(|next| next.0.0 <= self.served)?;
        self.active.pop();
        let waiting = self.streams.get_mut(&stream)?;
        let (packet, bytes) = waiting.packets.pop_front()?;
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        match waiting.packets.front() {
            // From the very end of the one before, not from the microsecond in which that is noticed.
            Some((_, next)) => self.active.push(Reverse((end.saturating_add(size(*next)), stream))),
            None => {
                self.streams.remove(&stream);
            }
        }
        Some(packet)
    }

    /// When the next packet is through, if nothing is put in before.
    #[must_use]
    pub(crate) fn next_at(&self) -> Option<Time> {
        let Reverse((end, _)) = self.active.peek()?;
        let left = u128::from(end.saturating_sub(self.served));
        let micros = left.saturating_mul(self.sharers()).div_ceil(u128::from(self.bytes_per_s));
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        Some(self.updated.after(Duration::from_micros(micros)))
    }

    /// Forgets all that waits: the process is gone, or the session with `peer` if one is named.
    pub(crate) fn clear(&mut self, peer: Option<u16>) -> (u64, u64) {
        let (mut lost, mut bytes) = (0_u64, 0_u64);
        self.streams.retain(|stream, waiting| {
            let stays = peer.is_some_and(|peer| peer != stream.peer);
            if !stays {
                lost = lost.saturating_add(u64::try_from(waiting.packets.len()).unwrap_or(0));
                bytes = bytes.saturating_add(waiting.bytes);
            }
            stays
        });
        let streams = &self.streams;
        self.active.retain(|Reverse((_, stream))| streams.contains_key(stream));
        (lost, bytes)
    }

    fn give_up(&mut self, peer: u16) -> Pushed {
        let (lost, bytes) = self.clear(Some(peer));
        Pushed::Stuck(lost.saturating_add(1), bytes)
    }

    fn sharers(&self) -> u128 {
        u128::try_from(self.active.len()).unwrap_or(1)
    }

    fn advance(&mut self, now: Time) {
        if self.active.is_empty() {
            self.served = 0;
        } else {
            let micros = now.since(self.updated).as_micros();
            let served = micros.saturating_mul(u128::from(self.bytes_per_s)) / self.sharers();
            self.served = self.served.saturating_add(u64::try_from(served).unwrap_or(u64::MAX));
        }
        self.updated = self.updated.max(now);
    }
}

const fn size(bytes: u64) -> u64 {
    bytes.saturating_mul(UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn urgent(peer: u16) -> Stream {
        Stream { peer, bulk: false }
    }

    const fn bulk(peer: u16) -> Stream {
        Stream { peer, bulk: true }
    }

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    /// Runs a pipe dry and says in which millisecond each packet was through.
    fn drain(pipe: &mut Pipe<&'static str>) -> Vec<(&'static str, u64)> {
        let mut out = Vec::new();
        while let Some(next) = pipe.next_at() {
            assert_eq!(pipe.pop(Time::from_micros(next.as_micros() - 1)), None, "not before");
            while let Some(packet) = pipe.pop(next) {
                out.push((packet, next.as_millis()));
            }
        }
        out
    }

    #[test]
    fn a_lone_packet_has_the_whole_pipe() {
        let mut pipe = Pipe::new(1_000);
        assert_eq!(pipe.push(at(0), urgent(1), "a", 500), Pushed::Queued);
        assert_eq!(drain(&mut pipe), [("a", 500)]);
    }

    #[test]
    fn two_streams_share_equally_and_who_is_left_speeds_up() {
        let mut pipe = Pipe::new(1_000);
        pipe.push(at(0), bulk(1), "a", 1_000);
        pipe.push(at(0), bulk(2), "b", 300);
        // Both at 500 B/s until b is through at 600 ms; a has 700 B left, at 1,000 B/s: 1,300 ms.
        assert_eq!(drain(&mut pipe), [("b", 600), ("a", 1_300)]);
    }

    #[test]
    fn who_comes_later_takes_its_share_from_then_on() {
        let mut pipe = Pipe::new(1_000);
        pipe.push(at(0), bulk(1), "a", 3_000);
        pipe.push(at(2_000), bulk(2), "b", 1_000);
        // a is alone for 2 s (2,000 B), then both have 1,000 B left at 500 B/s: 4 s.
        assert_eq!(drain(&mut pipe), [("a", 4_000), ("b", 4_000)]);
        let mut pipe = Pipe::new(1_000);
        pipe.push(at(0), bulk(1), "a", 3_000);
        pipe.push(at(2_000), bulk(2), "b", 200);
        // b: 200 B at 500 B/s, 2,400 ms; a then has 800 B left: 3,200 ms.
        assert_eq!(drain(&mut pipe), [("b", 2_400), ("a", 3_200)]);
    }

    #[test]
    fn a_stream_sends_one_after_another_and_counts_once() {
        let mut pipe = Pipe::new(1_000);
        for name in ["a1", "a2", "a3"] {
            pipe.push(at(0), urgent(1), name, 100);
        }
        pipe.push(at(0), urgent(2), "b", 300);
        // Two streams with 300 B each: both are through after 600 ms, a's first at 200.
        assert_eq!(drain(&mut pipe), [("a1", 200), ("a2", 400), ("a3", 600), ("b", 600)]);
    }

    #[test]
    fn urgent_messages_do_not_wait_behind_bulk() {
        let mut pipe = Pipe::new(1_000);
        pipe.push(at(0), bulk(1), "bundles", 10_000);
        pipe.push(at(0), urgent(1), "vote", 50);
        assert_eq!(drain(&mut pipe), [("vote", 100), ("bundles", 10_050)]);
    }

    #[test]
    fn an_idle_pipe_owes_nothing() {
        let mut pipe = Pipe::new(1_000);
        pipe.push(at(0), urgent(1), "a", 100);
        assert_eq!(drain(&mut pipe), [("a", 100)]);
        pipe.push(at(10_000), urgent(1), "b", 100);
        assert_eq!(drain(&mut pipe), [("b", 10_100)]);
    }

    #[test]
    fn bulk_beyond_the_bound_drops_the_oldest_that_waits() {
        let mut pipe = Pipe::new(1_000);
        let half = BULK_BYTES_MAX / 2;
        assert_eq!(pipe.push(at(0), bulk(1), "on its way", half), Pushed::Queued);
        assert_eq!(pipe.push(at(0), bulk(1), "oldest", half), Pushed::Queued);
        assert_eq!(pipe.push(at(0), bulk(1), "newest", 10), Pushed::Dropped(1, half));
        let names: Vec<_> = drain(&mut pipe).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["on its way", "newest"]);
    }

    #[test]
    fn a_peer_that_takes_no_urgent_messages_loses_the_session() {
        let mut pipe = Pipe::new(1);
        pipe.push(at(0), bulk(1), "bundles", 7);
        pipe.push(at(0), urgent(2), "other", 1);
        for _ in 0..URGENT_MAX {
            assert_eq!(pipe.push(at(0), urgent(1), "vote", 1), Pushed::Queued);
        }
        let lost = URGENT_MAX as u64 + 2;
        let bytes = URGENT_MAX as u64 + 7;
        assert_eq!(pipe.push(at(0), urgent(1), "vote", 1), Pushed::Stuck(lost, bytes));
        assert_eq!(drain(&mut pipe).len(), 1, "the other peer's session goes on");
    }
}
