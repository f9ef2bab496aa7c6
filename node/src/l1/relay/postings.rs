//! What others have settled, held against this node's chain: the certificates in the calldata of postings.
//!
//! ```text
//!  each endpoint: Settled events ─▶ of a height that was revealed here, and not our commitment?
//!                                    └─▶ the transaction ─▶ well signed certificates in its data ─┐
//!  step ─▶ the core: evidence ◀── one queue of each endpoint ◀────────────────────────────────────┘
//! ```
//!
//! Of a fork L1 settles one side, and who follows the other may hear of the first from nobody else. What is read is
//! evidence by its signatures alone, so any one endpoint is enough to show it, final or not.
//!
//! **Invariants.** Each endpoint is asked for itself, at its own pace, by a task of its own ([`Reader`]), and what one says or
//! keeps back changes nothing of what another is heard to say. The core is shown what a quorum of the epoch's committee has
//! signed, checked here, off its thread. Who reports is told of a height before the core is.
//!
//! **What is not seen**: what the inbox refused, since nothing tells of it; a posting through a contract that has not the
//! whole call in its own data; one in a transaction of more than 128 KiB ([`posting::DATA_BYTES_MAX`]) or behind eight
//! others of it; of an endpoint what it does not show, or calls our own, or names another epoch or height of. What was
//! posted before the oldest epoch that may still be judged on L1 when this node starts ([`ANSWERABLE_BLOCKS`]). Nothing
//! before the contracts are found, which takes most endpoints, once. The event alone is no evidence: no signature is in it.
//!
//! **Bounds.** Those of a reader for each endpoint, and a queue of [`QUEUE`]. [`TOLD_MAX`] that the core was told of, for not
//! to tell it again.
//!
//! [`posting::DATA_BYTES_MAX`]: conclave_contracts::posting::DATA_BYTES_MAX

mod reader;
mod shown;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use alloy::primitives::B256;
use conclave_sequencer::{
    Store,
    archive::{self, Read},
};
use conclave_types::{Epoch, Height, digest::SigningDomain};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use self::{
    reader::{Chain, Found, Reader},
    shown::Shown,
};
use super::{RelayError, Settler, session::Session};
use crate::l1::{Contracts, Endpoints};

/// Certificates of one endpoint that wait for the next step: those of one transaction.
const QUEUE: usize = 8;
/// L1 blocks after which nothing of an epoch counts any more: an epoch is judged for 14 days after its end has settled, and a
/// week is for that end to settle. Every twelve seconds one, and fewer if some are missed: then more days are read.
const ANSWERABLE_BLOCKS: u64 = 21 * 7_200;
/// Certificates that the core was told of.
const TOLD_MAX: usize = 1_024;
/// A posting is looked for after so many looks at how L1 stands, and within a minute.
const LOOKS: u32 = 3;
const LOOK_EVERY_MAX: Duration = Duration::from_secs(60);

/// What is read of postings.
pub(super) struct Postings {
    readers: JoinSet<()>,
    /// What each has found.
    found: Vec<mpsc::Receiver<Found>>,
    told: BTreeSet<(Height, B256)>,
}

impl Postings {
    /// Nothing yet, and who is to read.
    fn new(
        readers: impl IntoIterator<Item = (Reader, mpsc::Receiver<Found>)>,
    ) -> (Self, Vec<Reader>) {
        let (readers, found) = readers.into_iter().unzip();
        (Self { readers: JoinSet::new(), found, told: BTreeSet::new() }, readers)
    }

    fn start(mut self, readers: Vec<Reader>) -> Self {
        for reader in readers {
            self.readers.spawn(reader.run());
        }
        self
    }

    /// What was found since, once each; of each endpoint no more than its queue holds.
    fn take(&mut self) -> Vec<Found> {
        while let Some(ended) = self.readers.try_join_next() {
            if let Err(ended) = ended
                && let Ok(panicked) = ended.try_into_panic()
            {
                std::panic::resume_unwind(panicked);
            }
        }
        let mut found = Vec::new();
        for queue in &mut self.found {
            found.extend(std::iter::from_fn(|| queue.try_recv().ok()).take(QUEUE));
        }
        found.retain(|(id, posted)| {
            let is_new = self.told.insert((posted.certificate.commitment.height, *id));
            if self.told.len() > TOLD_MAX {
                self.told.pop_first();
            }
            is_new
        });
        found
    }
}

impl Settler {
    /// Begins to read what is posted.
    pub(super) async fn read_postings(
        &self,
        endpoints: &Endpoints,
        contracts: &Contracts,
    ) -> Result<Postings, RelayError> {
        let (postings, readers) = Postings::new(self.readers(endpoints, contracts).await?);
        Ok(postings.start(readers))
    }

    async fn readers(
        &self,
        endpoints: &Endpoints,
        contracts: &Contracts,
    ) -> Result<Vec<(Reader, mpsc::Receiver<Found>)>, RelayError> {
        let revealed = self.driver.snapshot().status.revealed;
        let oldest = self.read(move |store| oldest_answerable(store, revealed)).await?;
        let since = self.begun(oldest).await?;
        let chain = Chain {
            driver: self.driver.clone(),
            store: Arc::clone(&self.reader),
            domain: SigningDomain::of(&self.genesis),
        };
        let readers = endpoints.each().map(|endpoint| {
            let (sender, queue) = mpsc::channel(QUEUE);
            let reader = Reader {
                endpoint,
                patience: endpoints.patience().request,
                look_every: self.config.poll().saturating_mul(LOOKS).min(LOOK_EVERY_MAX),
                inbox: contracts.inbox,
                chain: chain.clone(),
                metrics: Arc::clone(&self.metrics),
                found: sender,
                shown: Shown::new(since),
                newest: None,
                next_look: Instant::now(),
            };
            (reader, queue)
        });
        Ok(readers.collect())
    }

    /// Tells the core of what was found since.
    pub(super) async fn show_postings(&self, session: &mut Session) {
        for (_, posted) in session.postings.take() {
            let height = posted.certificate.commitment.height;
            tracing::debug!(%height, "L1 shows another commitment than this node has");
            if let Some((reporting, _)) = &mut session.reporting {
                reporting.expect_from(height);
            }
            // A node that is stopping needs no evidence any more.
            if self.driver.show(posted).await.is_err() {
                return;
            }
        }
    }
}

/// The oldest epoch of a chain that may still be judged on L1, by the L1 blocks that its ends have seen: those of all epochs
/// from it on are recent. At most the one before the newest.
///
/// A fork that began while nobody of this side ran would else never be held against who made it, and who starts last would
/// have to have read everything before. L1 has seen an end after the block that the end has seen, so this is early rather
/// than late, unless what an epoch ends with takes longer than a week to settle.
fn oldest_answerable<S: Store>(store: &S, revealed: Height) -> Read<Epoch, S> {
    let Some(newest) = archive::commitment(store, revealed)? else { return Ok(Epoch::ZERO) };
    let horizon = newest.l1_origin.number.saturating_sub(ANSWERABLE_BLOCKS);
    // Ends see L1 in order: of the epochs [0, low) all have ended before the horizon, none of those from `high` on.
    let (mut low, mut high) = (0, newest.epoch.as_u64().saturating_sub(1));
    while low < high {
        let middle = low.midpoint(high);
        let end = archive::epoch_end(store, Epoch::new(middle))?;
        let end = end.map_or(Ok(None), |end| archive::commitment(store, end))?;
        // One that is not known is read rather than passed over.
        if end.is_some_and(|end| end.l1_origin.number < horizon) {
            low = middle.saturating_add(1);
        } else {
            high = middle;
        }
    }
    Ok(Epoch::new(low))
}
