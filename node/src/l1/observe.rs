//! Finalized L1 blocks, one after the other from a given origin on, with what each added to the forced queue:
//! what the core takes as an input.
//!
//! A block is passed on when most of the endpoints call it final and give the same entries for it, nobody says
//! otherwise, it builds on the one before, its entries go on where those before ended, each has the hash that the
//! contract gave it, and there are as many as the contract counts. Anything else is an error: what is final does
//! not change, so either an endpoint lies or the observer was given another chain's origin. An endpoint that
//! merely lags is waited for, and one that is silent is passed over, as long as most of them answer.
//!
//! Each block is asked for once, and only when it is known to be final; while there is none, all that is asked is
//! what is final.

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

use super::{
    Contracts, Endpoints,
    endpoints::block,
    offers,
    panel::{Panel, TooFew},
};

/// Why the observation cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// L1 cannot be asked.
    #[error(transparent)]
    TooFew(#[from] TooFew),
    /// Endpoints give different blocks or entries.
    #[error(
        "L1 endpoints contradict each other about final block {number}: {other} differs from {one} in its hash or its entries; one of them lies or is broken, take it out"
    )]
    Contradiction {
        /// The block.
        number: u64,
        /// One of those that agree with most others.
        one: String,
        /// One that does not agree.
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

/// Follows L1 from an origin on.
#[derive(Clone, Debug)]
pub struct Observer {
    panel: Panel,
    contracts: Contracts,
    origin: L1Origin,
    cursor: u64,
}

impl Observer {
    /// An observer of the queue, and of elections, that goes on after the L1 block `origin`, up to which the queue had
    /// `cursor` entries.
    #[must_use]
    pub fn new(endpoints: Endpoints, contracts: Contracts, origin: L1Origin, cursor: u64) -> Self {
        Self { panel: Panel::new(endpoints), contracts, origin, cursor }
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
        let answers = self.panel.ask(number, |provider| look(provider, contracts, number)).await?;
        let mut seen = Vec::new();
        for (url, raw) in answers {
            let Some(block) = raw.read(number) else {
                return Err(ObserveError::Event { url, number });
            };
            seen.push((url, block));
        }
        let agreeing = |block: &Seen| seen.iter().filter(|(_, other)| other == block).count();
        // Of as many on either side the first is quoted.
        let most = seen.iter().rev().max_by_key(|(_, block)| agreeing(block));
        let Some((one, block)) = most else { return Ok(None) };
        if let Some((other, _)) = seen.iter().find(|(_, other)| other != block) {
            let (one, other) = (one.clone(), other.clone());
            return Err(ObserveError::Contradiction { number, one, other });
        }
        let cursor = self.check(number, block)?;
        let Seen { hash, parent, entries, offers, .. } = block.clone();
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
    /// None if an event is no entry.
    fn read(self, number: u64) -> Option<Seen> {
        let entries = queue::entries(&self.logs, number)?;
        let (hash, parent) = (Digest::new(self.hash.0), Digest::new(self.parent.0));
        Some(Seen { hash, parent, entries, count: self.count, offers: self.offers })
    }
}
