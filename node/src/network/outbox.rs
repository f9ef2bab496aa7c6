//! What waits to be sent to one peer. The driver never waits for a peer, so the queue has a bound and a
//! rule for what goes beyond it.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

/// Urgent messages that may wait: some seconds of votes and shares of a hundred validators.
const URGENT_MAX: usize = 8_192;
/// Bytes of urgent messages that may wait: a stalled peer must not cost more than a slow one.
const URGENT_BYTES_MAX: usize = 16 << 20;
/// Bytes of bulk that may wait for a peer; with a hundred peers that do not read, still below 2 GiB, since
/// broadcasts are shared between queues.
const BULK_BYTES_MAX: usize = 16 << 20;

/// Which of the two streams of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Votes, proposals, shares and requests.
    Urgent,
    /// Bundles and history.
    Bulk,
}

#[derive(Debug, Default)]
struct Queues {
    urgent: VecDeque<Bytes>,
    bulk: VecDeque<Bytes>,
    urgent_bytes: usize,
    bulk_bytes: usize,
    stuck: bool,
}

/// The queues of one session.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queues: Mutex<Queues>,
    urgent_ready: Notify,
    bulk_ready: Notify,
    stuck: Notify,
    dropped: AtomicU64,
}

impl Outbox {
    /// Queues a frame. Beyond the bound the oldest bulk goes, since whoever misses it asks again; a peer
    /// that does not even take its urgent messages is stuck, and its session ends: on the next one it
    /// catches up, whereas a vote lost in mid-session would be lost silently.
    pub(super) fn push(&self, lane: Lane, frame: Bytes) {
        let mut queues = self.lock();
        if queues.stuck {
            return;
        }
        match lane {
            Lane::Urgent
                if queues.urgent.len() >= URGENT_MAX
                    || queues.urgent_bytes.saturating_add(frame.len()) > URGENT_BYTES_MAX =>
            {
                let lost = queues.urgent.len().saturating_add(queues.bulk.len());
                self.count_dropped(lost);
                *queues = Queues { stuck: true, ..Queues::default() };
                self.stuck.notify_one();
            }
            Lane::Urgent => {
                queues.urgent_bytes = queues.urgent_bytes.saturating_add(frame.len());
                queues.urgent.push_back(frame);
                self.urgent_ready.notify_one();
            }
            Lane::Bulk => {
                queues.bulk_bytes = queues.bulk_bytes.saturating_add(frame.len());
                queues.bulk.push_back(frame);
                // A single frame is never dropped for its size: it fits a message.
                while queues.bulk_bytes > BULK_BYTES_MAX && queues.bulk.len() > 1 {
                    let lost = queues.bulk.pop_front().map_or(0, |frame| frame.len());
                    queues.bulk_bytes = queues.bulk_bytes.saturating_sub(lost);
                    self.count_dropped(1);
                }
                self.bulk_ready.notify_one();
            }
        }
    }

    /// The next frame of a lane, when there is one. One task waits on each lane.
    pub(super) async fn pop(&self, lane: Lane) -> Bytes {
        loop {
            if let Some(frame) = self.try_pop(lane) {
                return frame;
            }
            match lane {
                Lane::Urgent => self.urgent_ready.notified().await,
                Lane::Bulk => self.bulk_ready.notified().await,
            }
        }
    }

    /// The next frame of a lane, if there is one.
    pub(super) fn try_pop(&self, lane: Lane) -> Option<Bytes> {
        let mut queues = self.lock();
        match lane {
            Lane::Urgent => {
                let frame = queues.urgent.pop_front()?;
                queues.urgent_bytes = queues.urgent_bytes.saturating_sub(frame.len());
                Some(frame)
            }
            Lane::Bulk => {
                let frame = queues.bulk.pop_front()?;
                queues.bulk_bytes = queues.bulk_bytes.saturating_sub(frame.len());
                Some(frame)
            }
        }
    }

    /// Returns once the peer is stuck.
    pub(super) async fn stuck(&self) {
        self.stuck.notified().await;
    }

    /// Frames that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn count_dropped(&self, frames: usize) {
        self.dropped.fetch_add(frames as u64, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // A holder that panicked left whole queues behind: every change is one push or pop.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_beyond_the_bound_drops_the_oldest_and_counts_it() {
        let outbox = Outbox::default();
        let frame = Bytes::from(vec![0; BULK_BYTES_MAX / 2]);
        for _ in 0..2 {
            outbox.push(Lane::Bulk, frame.clone());
        }
        outbox.push(Lane::Bulk, Bytes::from_static(b"newest"));
        assert_eq!(outbox.dropped(), 1);
        assert_eq!(outbox.try_pop(Lane::Bulk), Some(frame));
        assert_eq!(outbox.try_pop(Lane::Bulk), Some(Bytes::from_static(b"newest")));
    }

    #[test]
    fn urgent_messages_are_never_dropped_one_by_one() {
        let outbox = Outbox::default();
        outbox.push(Lane::Bulk, Bytes::from_static(b"bundle"));
        for _ in 0..URGENT_MAX {
            outbox.push(Lane::Urgent, Bytes::from_static(b"vote"));
        }
        assert_eq!(outbox.dropped(), 0);
        outbox.push(Lane::Urgent, Bytes::from_static(b"vote"));
        assert_eq!(outbox.dropped(), URGENT_MAX as u64 + 1, "the session as a whole is given up");
        assert_eq!(outbox.try_pop(Lane::Urgent), None);
    }

    #[test]
    fn urgent_messages_are_bounded_by_bytes_too() {
        let outbox = Outbox::default();
        let frame = Bytes::from(vec![0; URGENT_BYTES_MAX / 2]);
        for _ in 0..10 {
            outbox.push(Lane::Urgent, frame.clone());
            assert_eq!(outbox.try_pop(Lane::Urgent), Some(frame.clone()), "what is read is free");
        }
        for _ in 0..3 {
            outbox.push(Lane::Urgent, frame.clone());
        }
        assert_eq!(outbox.dropped(), 2, "what waited is given up with the session");
        assert_eq!(outbox.try_pop(Lane::Urgent), None);
    }
}
