//! What is still to happen, in order: by time, and then by the order in which it was scheduled.
//!
//! The heap holds three numbers an event and the events lie still in a slab, since a hundred validators
//! have some hundred thousand messages under way and moving them about is what a naive heap spends
//! its time on.

use std::{cmp::Reverse, collections::BinaryHeap};

use conclave_types::Time;

/// Events in order.
#[derive(Debug)]
pub(super) struct Queue<E> {
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    slab: Vec<Option<E>>,
    free: Vec<usize>,
    scheduled: u64,
}

impl<E> Queue<E> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), slab: Vec::new(), free: Vec::new(), scheduled: 0 }
    }

    pub(super) fn push(&mut self, at: Time, event: E) {
        let slot = self.free.pop().unwrap_or(self.slab.len());
        match self.slab.get_mut(slot) {
            Some(place) => *place = Some(event),
            None => self.slab.push(Some(event)),
        }
        self.scheduled = self.scheduled.saturating_add(1);
        self.heap.push(Reverse((at, self.scheduled, slot)));
    }

    pub(super) fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        let event = self.slab.get_mut(slot).and_then(Option::take)?;
        self.free.push(slot);
        Some((at, event))
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_scheduling() {
        let mut queue = Queue::new();
        for (at, name) in [(5, "c"), (3, "a"), (5, "d"), (3, "b")] {
            queue.push(Time::from_micros(at), name);
        }
        assert_eq!(queue.pop(), Some((Time::from_micros(3), "a")));
        queue.push(Time::from_micros(4), "between");
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, name)| name).collect();
        assert_eq!(rest, ["b", "between", "c", "d"]);
        assert_eq!(queue.len(), 0);
        assert!(queue.slab.len() <= 4, "places are used again");
    }
}
