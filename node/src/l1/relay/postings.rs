//! What others have settled, held against this node's chain: the certificates in the calldata of postings.
//!
//! ```text
//!  Settled events ─▶ of a height that was revealed here, and not our commitment?
//!                     └─▶ their transactions ─▶ well signed certificates in the data ─▶ the core: evidence
//! ```
//!
//! Of a fork L1 settles one side, and who follows the other may hear of the first from nobody else. What is read is
//! evidence by its signatures alone, so any one endpoint is enough to show it, final or not. What each has shown is kept
//! apart ([`Shown`]): one that lies can keep back nothing but its own.
//!
//! **What is not seen**: what the inbox refused, since nothing tells of it; a posting through a contract that has not the
//! whole call in its own data; one in a transaction of more than 128 KiB ([`posting::DATA_BYTES_MAX`]) or behind eight
//! others of it; of an endpoint whose event tells another height or our commitment, and of one that is too slow for the
//! others, that one's word. At the start, what was posted before the epoch before the newest revealed one. The event alone
//! is no evidence: no signature is in it.
//!
//! **Invariants.** The core is shown what a quorum of the epoch's committee has signed, checked here, off its thread.
//!
//! **Bounds.** What is kept of each endpoint ([`Shown`]); in one look [`shown::LOOK_MAX`] transactions of each, and of a
//! transaction eight calls of less than a kilobyte. [`TOLD_MAX`] that the core was told of, for not to tell it again.
//! After a failure nothing is asked for [`REST`].

mod shown;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use alloy::primitives::{Address, B256};
use conclave_contracts::posting::{self, Signed};
use conclave_sequencer::{
    Posted, Store,
    archive::{self, OnL1, Read},
};
use conclave_types::{Epoch, Height, digest::SigningDomain};
use tokio::time::Instant;

use self::shown::{Shown, events, transactions};
use super::{RelayError, Settler, session::Session};
use crate::l1::{Contracts, Endpoints, TooFew, panel::Panel};

/// Certificates that the core was told of.
const TOLD_MAX: usize = 1_024;
/// For so long nothing is asked after too few have answered.
const REST: Duration = Duration::from_secs(30);

/// What was read of postings.
#[derive(Clone, Debug)]
pub(super) struct Postings {
    panel: Panel,
    inbox: Address,
    /// How L1 stood at the last look.
    seen: Option<(u64, u64)>,
    /// Whether an endpoint that answers has shown less than all blocks.
    is_behind: bool,
    rests_until: Instant,
    /// By endpoint.
    shown: BTreeMap<String, Shown>,
    told: BTreeSet<(Height, B256)>,
}

impl Postings {
    pub(super) fn new(endpoints: Endpoints, contracts: &Contracts) -> Self {
        let shown = endpoints.urls().map(|url| (url.to_owned(), Shown::new())).collect();
        Self {
            panel: Panel::new(endpoints),
            inbox: contracts.inbox,
            seen: None,
            is_behind: false,
            rests_until: Instant::now(),
            shown,
            told: BTreeSet::new(),
        }
    }

    /// Whether L1 stands elsewhere than at the last look, or that was not all.
    fn is_due(&self, stand: (u64, u64)) -> bool {
        self.is_behind || self.seen != Some(stand)
    }

    /// Reads what was posted up to a block, or the next part of it, `since` being the first block that can be of use.
    async fn look(&mut self, since: u64, newest: u64) -> Result<(), TooFew> {
        let (inbox, shown) = (self.inbox, &self.shown);
        let blocks = |url: &str| shown.get(url).map_or((0, 0), |shown| shown.blocks(since, newest));
        let asked = self.panel.ask_by_address(0, |url, provider| {
            let blocks = blocks(url);
            async move { Ok((blocks, events(&provider, inbox, blocks).await?)) }
        });
        let mut answers: BTreeMap<_, _> = asked.await?.into_iter().collect();
        self.is_behind = false;
        for (url, shown) in &mut self.shown {
            let Some((blocks, events)) = answers.remove(url) else {
                shown.miss();
                continue;
            };
            shown.hear(blocks, events);
            self.is_behind |= shown.is_behind(newest);
        }
        Ok(())
    }

    /// What can be compared with the chain up to a height: heights and commitments.
    fn ready(&self, revealed: Height) -> BTreeSet<(Height, B256)> {
        let ready = self.shown.values().flat_map(|shown| shown.ready(revealed));
        ready.map(|event| (event.height, event.commitment)).collect()
    }

    /// These are the chain's own: there is nothing in them.
    fn pass(&mut self, revealed: Height, ours: &BTreeSet<(Height, B256)>) {
        for shown in self.shown.values_mut() {
            let own = shown.ready(revealed).copied();
            let own: Vec<_> =
                own.filter(|event| ours.contains(&(event.height, event.commitment))).collect();
            own.iter().for_each(|event| shown.finish(event));
        }
    }

    /// Reads the transactions of some of the others.
    async fn read(&mut self, revealed: Height) -> Result<Vec<Signed>, TooFew> {
        let shown = &self.shown;
        let wanted = |url: &str| shown.get(url).map_or(Vec::new(), |shown| shown.wanted(revealed));
        if shown.keys().all(|url| wanted(url).is_empty()) {
            return Ok(Vec::new());
        }
        let asked = self.panel.ask_by_address(0, |url, provider| {
            let wanted = wanted(url);
            async move { transactions(&provider, wanted).await }
        });
        let answers = asked.await?;
        let mut posted = BTreeMap::new();
        for (url, transactions) in answers {
            let Some(shown) = self.shown.get_mut(&url) else { continue };
            for (event, read) in transactions {
                match read {
                    Some(read) => {
                        shown.finish(&event);
                        posted.extend(read.into_iter().map(|signed| (signed.id(), signed)));
                    }
                    None => shown.fail(&event),
                }
            }
        }
        posted.retain(|id, signed| !self.told.contains(&(signed.place().1, *id)));
        Ok(posted.into_values().collect())
    }

    /// The core is told of one.
    fn tell(&mut self, height: Height, id: B256) {
        self.told.insert((height, id));
        if self.told.len() > TOLD_MAX {
            self.told.pop_first();
        }
    }
}

/// Those of some heights and commitments that are this node's.
fn ours<S: Store>(
    store: &S,
    domain: &SigningDomain,
    of: BTreeSet<(Height, B256)>,
) -> Read<BTreeSet<(Height, B256)>, S> {
    let mut ours = BTreeSet::new();
    for (height, commitment) in of {
        let own = archive::commitment(store, height)?.map(|own| domain.commitment(&own));
        if own.is_some_and(|own| *own.as_bytes() == commitment.0) {
            ours.insert((height, commitment));
        }
    }
    Ok(ours)
}

/// Those of some postings that are of another history than this node's, and signed by a quorum.
fn others<S: Store>(
    store: &S,
    domain: &SigningDomain,
    postings: Vec<Signed>,
) -> Read<Vec<(B256, Posted)>, S> {
    let mut others = Vec::new();
    for signed in postings {
        let Some(committee) = archive::committee(store, signed.place().0)? else { continue };
        let Some(certificate) = posting::certificate(&signed, &committee) else { continue };
        let OnL1::Other(posted) = archive::posted(store, certificate)? else { continue };
        if posted.certificate.verify(&committee, domain).is_ok() {
            others.push((signed.id(), *posted));
        }
    }
    Ok(others)
}

impl Settler {
    /// Reads what was posted since, and tells the core of what is not of its history. `stand` is how L1 stands, in epochs
    /// and heights.
    pub(super) async fn read_postings(
        &self,
        session: &mut Session,
        stand: (u64, u64),
        newest: u64,
    ) -> Result<(), RelayError> {
        if Instant::now() < session.postings.rests_until {
            return Ok(());
        }
        let read = self.read_next_postings(session, stand, newest).await;
        if read.is_err() {
            session.postings.rests_until = Instant::now() + REST;
        }
        read
    }

    async fn read_next_postings(
        &self,
        session: &mut Session,
        stand: (u64, u64),
        newest: u64,
    ) -> Result<(), RelayError> {
        let revealed = self.driver.snapshot().status.revealed;
        let postings = &mut session.postings;
        if postings.is_due(stand) {
            let epoch = self.read(move |store| archive::commitment(store, revealed)).await?;
            let epoch = epoch.map_or(0, |commitment| commitment.epoch.as_u64());
            // What was posted of the epoch that has just ended counts as well.
            let since = self.begun(Epoch::new(epoch.saturating_sub(1))).await?;
            postings.look(since, newest).await?;
            postings.seen = Some(stand);
        }
        let (ready, domain) = (postings.ready(revealed), SigningDomain::of(&self.genesis));
        if ready.is_empty() {
            return Ok(());
        }
        let own = self.read(move |store| ours(store, &domain, ready)).await?;
        postings.pass(revealed, &own);
        let read = postings.read(revealed).await?;
        if read.is_empty() {
            return Ok(());
        }
        for (id, posted) in self.read(move |store| others(store, &domain, read)).await? {
            let height = posted.certificate.commitment.height;
            tracing::debug!(%height, "L1 shows another commitment than this node has");
            // A node that is stopping needs no evidence any more.
            if self.driver.show(posted).await.is_err() {
                break;
            }
            postings.tell(height, id);
            if let Some((reporting, _)) = &mut session.reporting {
                reporting.expect_from(height);
            }
        }
        Ok(())
    }
}
