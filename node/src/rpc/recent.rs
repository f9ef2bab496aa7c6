//! The newest decided and revealed blocks, decoded once for everyone who watches them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use conclave_sequencer::archive::{self, ArchiveError, StoredBlock};
use conclave_types::{Height, RevealedBlock};

use crate::store::{RocksStore, StoreError};

/// Blocks of each kind that are kept: watchers of bundles look at the last few only.
const KEPT_MAX: usize = 4;

type Read<T> = Result<Option<Arc<T>>, ArchiveError<StoreError>>;

#[derive(Default)]
struct Blocks {
    decided: BTreeMap<Height, Arc<StoredBlock>>,
    revealed: BTreeMap<Height, Arc<RevealedBlock>>,
}

/// A small cache in front of the store.
#[derive(Default)]
pub(super) struct Recent(Mutex<Blocks>);

impl Recent {
    /// A decided block.
    pub(super) fn decided(&self, store: &RocksStore, height: Height) -> Read<StoredBlock> {
        // Held while reading, so that a hundred watchers of one block read it once.
        let mut blocks = self.lock();
        cached(&mut blocks.decided, height, || archive::block(store, height))
    }

    /// A revealed block.
    pub(super) fn revealed(&self, store: &RocksStore, height: Height) -> Read<RevealedBlock> {
        let mut blocks = self.lock();
        cached(&mut blocks.revealed, height, || archive::revealed(store, height))
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        // A cache that a panicking holder left behind is still a cache.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cached<T>(
    blocks: &mut BTreeMap<Height, Arc<T>>,
    height: Height,
    read: impl FnOnce() -> Result<Option<T>, ArchiveError<StoreError>>,
) -> Read<T> {
    if let Some(block) = blocks.get(&height) {
        return Ok(Some(Arc::clone(block)));
    }
    let Some(block) = read()?.map(Arc::new) else { return Ok(None) };
    blocks.insert(height, Arc::clone(&block));
    if blocks.len() > KEPT_MAX {
        blocks.pop_first();
    }
    Ok(Some(block))
}
