//! Finalized L1 blocks, one after the other from a given origin on, with what each added to the forced queue:
//! what the core takes as an input.
//!
//! A block is passed on when most of the endpoints call it final and give the same entries for it, it builds on the
//! one before, its entries go on where those before ended, each has the hash that the contract gave it, and there are
//! as many as the contract counts. Anything else is an error: what is final does not change, so either most endpoints
//! lie or the observer was given another chain's origin. An endpoint that merely lags is waited for, one that is silent
//! is passed over, and one that says something else is too, and remembered: it lies or is broken.
//!
//! Each block is asked for once, and only when it is known to be final; while there is none, all that is asked is
//! what is final.

use std::{collections::BTreeMap, fmt, time::Duration};

use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Log},
    providers::{DynProvider, Provider as _},
    rpc::types::{Filter, TransactionRequest},
    sol_types::SolCall as _,
    transports::{TransportError, TransportErrorKind, TransportResult},
};
use conclave_contracts::{ForcedInclusion::entriesUpToCall, queue};
use conclave_sequencer::L1Block;
use conclave_types::{CommitteeOffer, Digest, L1Entry, L1EntryError, L1Origin, check_l1_entries};
use tokio::time::Instant;

use super::{
    Contracts, Endpoints,
    endpoints::block,
    offers,
    panel::{Panel, TooFew},
};

/// For so long who has differed from most others is remembered, whatever it says since. Longer than anybody takes to look
/// at an alarm; and who was put right need not be taken out.
const DISSENT_REMEMBERED: Duration = Duration::from_secs(3_600);

/// Why the observation cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// L1 cannot be asked.
    #[error(transparent)]
    TooFew(#[from] TooFew),
    /// Endpoints give different blocks or entries, and none is what most give.
    #[error(
        "L1 endpoints contradict each other about final block {number}, and most of them agree on nothing: {other} differs from {one} in its hash or its entries; one of them lies or is broken, take it out"
    )]
    Contradiction {
        /// The block.
        number: u64,
        /// One of them.
        one: String,
        /// One that differs from it.
        other: String,
    },
    /// The block builds on another one.
    #[error(
        "final L1 block {number} builds on {found}, observed was {expected}: the L1 changed what was final, or is another one"
    )]
    Parent {
        /// The block.
        number: u64,
        /// What was observed below it.
        expected: Digest,
        /// What it builds on.
        found: Digest,
    },
    /// The entries are not those that come next.
    #[error("the entries of final L1 block {number} do not go on where those before ended")]
    Entries {
        /// The block.
        number: u64,
        /// What is wrong with them.
        #[source]
        source: L1EntryError,
    },
    /// An event is none of the queue's.
    #[error(
        "{url} gives an event of final L1 block {number} that is no entry, or whose hash is not that of its content; it lies or is broken, take it out"
    )]
    Event {
        /// Who gives it.
        url: String,
        /// The block.
        number: u64,
    },
    /// Entries are missing.
    #[error(
        "the queue has {expected} entries up to final L1 block {number}, its events make {found}"
    )]
    Incomplete {
        /// The block.
        number: u64,
        /// What the contract counts.
        expected: u64,
        /// What was observed.
        found: u64,
    },
}

/// What an endpoint says about a block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    hash: Digest,
    parent: Digest,
    entries: Vec<L1Entry>,
    /// Entries of the queue up to and with this block, as the contract counts.
    count: u64,
    /// Committees that it offers.
    offers: Vec<CommitteeOffer>,
}

/// That an endpoint says something else of a final block than most others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dissent {
    /// Who.
    pub url: String,
    /// One of the others.
    pub one: String,
    /// Of which block, the last time.
    pub number: u64,
    since: Instant,
}

impl fmt::Display for Dissent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, one, number, .. } = self;
        write!(
            f,
            "L1 endpoint {url} differs from {one} and most others about final block {number}, in its hash or its entries; it lies or is broken, take it out"
        )
    }
}

/// Follows L1 from an origin on.
#[derive(Clone, Debug)]
pub struct Observer {
    panel: Panel,
    contracts: Contracts,
    origin: L1Origin,
    cursor: u64,
    /// By who it is of: one each.
    dissents: BTreeMap<String, Dissent>,
}

impl Observer {
    /// An observer of the queue, and of elections, that goes on after the L1 block `origin`, up to which the queue had
    /// `cursor` entries.
    #[must_use]
    pub fn new(endpoints: Endpoints, contracts: Contracts, origin: L1Origin, cursor: u64) -> Self {
        let panel = Panel::new(endpoints);
        Self { panel, contracts, origin, cursor, dissents: BTreeMap::new() }
    }

    /// Goes on after another block than the last.
    pub const fn restart(&mut self, origin: L1Origin, cursor: u64) {
        (self.origin, self.cursor) = (origin, cursor);
    }

    /// The block that was observed last, and the entries of the queue up to it.
    #[must_use]
    pub const fn position(&self) -> (L1Origin, u64) {
        (self.origin, self.cursor)
    }

    /// The newest block that most endpoints were heard to call final.
    #[must_use]
    pub fn newest_final(&self) -> u64 {
        self.panel.newest_final()
    }

    /// The endpoints that failed when they were asked last, and how.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.panel.failures()
    }

    /// Who has differed from most others within the last hour.
    pub fn dissents(&self) -> impl Iterator<Item = &Dissent> {
        let is_recent = |dissent: &&Dissent| dissent.since.elapsed() < DISSENT_REMEMBERED;
        self.dissents.values().filter(is_recent)
    }

    /// The next block, if most endpoints call it final by now.
    ///
    /// # Errors
    ///
    /// [`ObserveError`]; the position stays where it was.
    pub async fn next(&mut self) -> Result<Option<L1Block>, ObserveError> {
        let number = self.origin.number.saturating_add(1);
        if self.newest_final() < number {
            self.panel.look().await?;
        }
        if self.newest_final() < number {
            return Ok(None);
        }
        let contracts = self.contracts;
        let asked = self.panel.agree(number, |provider| async move {
            Ok(look(provider, contracts, number).await?.read(contracts.forced, number))
        });
        let views = asked.await?;
        let Some((one, block)) = views.agreed else {
            let (one, other) = views.opponents();
            return Err(ObserveError::Contradiction { number, one, other });
        };
        let Some(block) = block else { return Err(ObserveError::Event { url: one, number }) };
        let cursor = self.check(number, &block)?;
        for (url, _) in views.others {
            let (url, one, since) = (url.clone(), one.clone(), Instant::now());
            self.dissents.insert(url.clone(), Dissent { url, one, number, since });
        }
        let Seen { hash, parent, entries, offers, .. } = block;
        self.origin = L1Origin { number, hash };
        self.cursor = cursor;
        Ok(Some(L1Block { origin: self.origin, parent, entries, offers }))
    }

    fn check(&self, number: u64, block: &Seen) -> Result<u64, ObserveError> {
        if block.parent != self.origin.hash {
            let (expected, found) = (self.origin.hash, block.parent);
            return Err(ObserveError::Parent { number, expected, found });
        }
        let cursor = check_l1_entries(&block.entries, self.cursor, number, number)
            .map_err(|source| ObserveError::Entries { number, source })?;
        if cursor != block.count {
            let (expected, found) = (block.count, cursor);
            return Err(ObserveError::Incomplete { number, expected, found });
        }
        Ok(cursor)
    }
}

/// What an endpoint sends about a block.
struct Raw {
    hash: B256,
    parent: B256,
    logs: Vec<Log>,
    count: u64,
    offers: Vec<CommitteeOffer>,
}

/// Asks an endpoint for a block that it calls final.
async fn look(provider: DynProvider, contracts: Contracts, number: u64) -> TransportResult<Raw> {
    let found = block(provider.clone(), number.into()).await?.ok_or_else(|| {
        TransportErrorKind::custom_str("it calls a block final that it does not have")
    })?;
    let addresses = vec![contracts.forced, contracts.election];
    let filter = Filter::new().at_block_hash(found.hash).address(addresses);
    let logs = provider.get_logs(&filter).await?.into_iter().map(|log| log.inner);
    let of = |address: Address| move |log: &Log| log.address == address;
    let (logs, elections): (Vec<_>, Vec<_>) = logs.partition(of(contracts.forced));
    let count = entries_up_to(&provider, contracts.forced, number).await?;
    let offers = offers::offers(&provider, &contracts, number, &elections).await?;
    Ok(Raw { hash: found.hash, parent: found.parent, logs, count, offers })
}

/// Entries of the queue at `forced` up to a final block, as the contract counts.
pub(super) async fn entries_up_to(
    provider: &DynProvider,
    forced: Address,
    number: u64,
) -> TransportResult<u64> {
    let question = entriesUpToCall { number }.abi_encode();
    let question = TransactionRequest::default().to(forced).input(question.into());
    // The contract remembers the count of every block, so no old state is needed.
    let answer = provider.call(question).block(BlockId::finalized()).await?;
    if answer.is_empty() {
        // Where the contract is yet to come its queue is empty.
        return Ok(0);
    }
    entriesUpToCall::abi_decode_returns(&answer).map_err(TransportError::local_usage)
}

impl Raw {
    /// None if an event is no entry of the queue at `forced`.
    fn read(self, forced: Address, number: u64) -> Option<Seen> {
        let entries = queue::entries(&self.logs, forced, number)?;
        let (hash, parent) = (Digest::new(self.hash.0), Digest::new(self.parent.0));
        Some(Seen { hash, parent, entries, count: self.count, offers: self.offers })
    }
}
