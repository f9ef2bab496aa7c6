//! What recovery reads, seen in passing.

use std::{cell::RefCell, collections::BTreeMap};

use super::Stored;
use crate::store::{Entry, HighWater, SecretBytes, SecretName, Store, Table, Write};

/// Entries of a store that were read.
#[derive(Clone, Debug, Default)]
pub struct Reads(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl Reads {
    pub(super) fn into_entries(self) -> impl Iterator<Item = Stored> {
        self.0.into_iter().map(|((table, key), value)| Stored { table, key, value })
    }

    fn keep(&mut self, table: Table, key: &[u8], value: &[u8]) {
        if may_be_shown(table) {
            self.0.insert((table, key.to_vec()), value.to_vec());
        }
    }
}

/// Whether a table's values may stand in a recording. A table of secrets may not: then whoever replays must
/// give them, as it gives the keys.
const fn may_be_shown(table: Table) -> bool {
    match table {
        Table::Meta
        | Table::Blocks
        | Table::Candidates
        | Table::Bundles
        | Table::BundleIndex
        | Table::Reveals
        | Table::Revealed
        | Table::Batches
        | Table::Cursors
        | Table::Accounts
        | Table::Withdrawals
        | Table::Payees
        | Table::Requests
        | Table::Wal
        | Table::Signed
        | Table::Evidence
        | Table::Commitments
        | Table::Certificates
        | Table::History
        | Table::EpochEnds
        | Table::Committees
        | Table::Sharings => true,
    }
}

/// A store that remembers what is read from it. What is not there needs no memory: a store that holds just
/// what was read answers the same questions in the same way.
#[derive(Debug)]
pub struct Witness<S> {
    store: S,
    reads: RefCell<Reads>,
}

impl<S> Witness<S> {
    /// Watches a store.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self { store, reads: RefCell::default() }
    }

    /// The store again, and what was read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Reads) {
        (self.store, self.reads.into_inner())
    }
}

impl<S: Store> Store for Witness<S> {
    type Error = S::Error;

    fn commit(&mut self, writes: &[Write]) -> Result<(), S::Error> {
        self.store.commit(writes)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, S::Error> {
        let found = self.store.get(table, key)?;
        if let Some(value) = &found {
            self.reads.borrow_mut().keep(table, key, value);
        }
        Ok(found)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, S::Error> {
        let found = self.store.scan(table, from, to, limit)?;
        let mut reads = self.reads.borrow_mut();
        for (key, value) in &found {
            reads.keep(table, key, value);
        }
        Ok(found)
    }

    fn high_water(&self) -> Result<Option<HighWater>, S::Error> {
        self.store.high_water()
    }

    fn secrets(&self) -> Result<Vec<(SecretName, SecretBytes)>, S::Error> {
        self.store.secrets()
    }
}
