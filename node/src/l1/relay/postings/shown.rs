//! What one endpoint has shown of postings. What another one says changes nothing of it: one that lies can only keep
//! back what is its own to tell.
//!
//! **Bounds.** Of the events in a span [`EVENTS_MAX`], the newest. [`OPEN_MAX`] whose transactions are not read yet, those
//! of the lowest heights: what settles later contradicts as much. [`DONE_MAX`] that are done with, of the blocks that are
//! read again; of those that are forgotten the transaction is asked for again. About a quarter of a megabyte.

use std::{cmp::Reverse, collections::BTreeMap, num::Saturating};

use alloy::{
    primitives::{Address, B256},
    providers::{DynProvider, Provider as _},
    rpc::types::{Filter, Log},
    sol_types::SolEvent as _,
    transports::TransportResult,
};
use conclave_contracts::{
    ConclaveInbox::Settled,
    posting::{self, Signed},
};
use conclave_types::Height;

use crate::l1::logs::each_page;

/// Blocks that are read in one look: a hundred pages of the meanest provider, and fewer of one that is too slow for that.
const SPAN: u64 = 1_000;
const SPAN_LEAST: u64 = 2 * AGAIN;
/// Blocks below the next that are read again: what a reorganization puts there was not there before.
const AGAIN: u64 = 64;
/// Events of one span.
const EVENTS_MAX: usize = 1_024;
/// Postings whose transactions are not read yet.
const OPEN_MAX: usize = 1_024;
/// Postings that are done with.
const DONE_MAX: usize = 1_024;
/// Transactions that are asked for in one look, one after the other: an answer may be long.
pub(super) const LOOK_MAX: usize = 4;
/// So often a transaction is asked for that the endpoint does not show.
const TRIES_MAX: u32 = 3;

/// What an event says of a posting: of which height, by which commitment, in which transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event {
    pub(super) height: Height,
    pub(super) commitment: B256,
    pub(super) transaction: B256,
}

impl Event {
    /// What a log tells, with its block; none if it is none of a posting.
    fn read(log: &Log) -> Option<(Self, u64)> {
        let told = Settled::decode_log(&log.inner).ok()?.data;
        let (height, commitment) = (Height::new(told.height), told.commitment);
        Some((Self { height, commitment, transaction: log.transaction_hash? }, log.block_number?))
    }
}

/// What one endpoint has shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The first block that was not read yet.
    next: Option<u64>,
    /// How many blocks it is asked for.
    span: u64,
    /// Whose transactions are to be read, with the block and how often it was tried.
    open: BTreeMap<Event, (u64, Saturating<u32>)>,
    /// Those that are done with, with the block.
    done: BTreeMap<Event, u64>,
}

impl Shown {
    pub(super) const fn new() -> Self {
        Self { next: None, span: SPAN, open: BTreeMap::new(), done: BTreeMap::new() }
    }

    /// The blocks that it is to be asked for, `since` being the first of use.
    pub(super) fn blocks(&self, since: u64, newest: u64) -> (u64, u64) {
        let from = self.next.map_or(since, |next| next.saturating_sub(AGAIN).max(since));
        (from, from.saturating_add(self.span.saturating_sub(1)).min(newest))
    }

    /// Whether some of the blocks up to that are yet to be read.
    pub(super) fn is_behind(&self, newest: u64) -> bool {
        self.next.is_none_or(|next| next <= newest)
    }

    /// It has answered for these blocks.
    pub(super) fn hear(&mut self, (from, to): (u64, u64), events: Vec<(Event, u64)>) {
        for (event, l1_block) in events {
            if (from..=to).contains(&l1_block) && !self.done.contains_key(&event) {
                self.open.entry(event).or_insert((l1_block, Saturating(0)));
            }
        }
        while self.open.len() > OPEN_MAX {
            self.open.pop_last();
        }
        let next = to.saturating_add(1);
        self.next = Some(next);
        self.span = self.span.saturating_mul(2).min(SPAN);
        self.done.retain(|_, l1_block| *l1_block >= next.saturating_sub(AGAIN));
    }

    /// It has not.
    pub(super) fn miss(&mut self) {
        self.span = (self.span / 2).max(SPAN_LEAST);
    }

    /// The postings that can be compared with the chain up to a height.
    pub(super) fn ready(&self, revealed: Height) -> impl Iterator<Item = &Event> {
        self.open.keys().take_while(move |event| event.height <= revealed)
    }

    /// The next of them whose transactions are to be read.
    pub(super) fn wanted(&self, revealed: Height) -> Vec<Event> {
        let mut wanted: Vec<_> = self.ready(revealed).copied().collect();
        wanted.sort_by_key(|event| {
            self.open.get(event).map(|(l1_block, tries)| (*tries, Reverse(*l1_block)))
        });
        wanted.truncate(LOOK_MAX);
        wanted
    }

    /// There is nothing more to do about one.
    pub(super) fn finish(&mut self, event: &Event) {
        let Some((l1_block, _)) = self.open.remove(event) else { return };
        self.done.insert(*event, l1_block);
        if self.done.len() > DONE_MAX {
            self.done.pop_first();
        }
    }

    /// The transaction of one is not shown.
    pub(super) fn fail(&mut self, event: &Event) {
        let Some((_, tries)) = self.open.get_mut(event) else { return };
        *tries += 1;
        if tries.0 >= TRIES_MAX {
            self.finish(event);
        }
    }
}

/// What an endpoint tells of postings in these blocks.
pub(super) async fn events(
    provider: &DynProvider,
    inbox: Address,
    blocks: (u64, u64),
) -> TransportResult<Vec<(Event, u64)>> {
    let filter = Filter::new().address(inbox).event_signature(Settled::SIGNATURE_HASH);
    let mut found = Vec::new();
    let take = |logs: Vec<Log>| {
        let room = EVENTS_MAX.saturating_sub(found.len());
        // Whatever it is that was answered, so much of it is enough.
        found.extend(logs.iter().rev().take(room).map(Event::read));
        found.len() >= EVENTS_MAX
    };
    each_page(provider, &filter, blocks, take).await?;
    Ok(found.into_iter().flatten().collect())
}

/// What an endpoint shows of the data of these transactions; of those that it does not have, or refuses, nothing.
pub(super) async fn transactions(
    provider: &DynProvider,
    wanted: Vec<Event>,
) -> TransportResult<Vec<(Event, Option<Vec<Signed>>)>> {
    let mut shown = Vec::new();
    for event in wanted {
        let found = provider.get_transaction_by_hash(event.transaction).await;
        if let Err(error) = &found {
            tracing::debug!(
                reason = crate::errors::chain(error),
                "a posting's transaction is not shown"
            );
        }
        let found = found.ok().flatten();
        let read = found.map(|transaction| {
            posting::postings(alloy::consensus::Transaction::input(&transaction)).collect()
        });
        shown.push((event, read));
    }
    Ok(shown)
}
