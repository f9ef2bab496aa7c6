//! Recent outcomes, on disk: an index over what derivation says, never a second truth.
//!
//! Skipped transactions leave no trace in the EVM chain, so their outcomes are written down here,
//! with those of the included ones so that a bundle's leg can be looked up. The records of a block
//! are written (and synced) before the block itself. A crash in between leaves records of a block
//! that does not exist yet: a reader passes the head's number and does not see them, and executing
//! the slot again writes the same bytes under the same keys.
//!
//! ```text
//! n ‖ block ‖ index              -> record
//! h ‖ hash ‖ block ‖ index       -> ()            the same bytes may be ordered more than once
//! b ‖ bundle ‖ leg               -> block ‖ index
//! ```

use std::path::Path;

use conclave_types::{BundleId, Digest, ItemSource};
use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};

use crate::outcome::{Outcome, Record};

/// Blocks whose outcomes are kept: a day of one-second slots. Older ones are deleted; the receipts
/// of included transactions stay in the EVM chain for ever.
pub const OUTCOME_BLOCKS_MAX: u64 = 86_400;

/// Blocks that one write deletes at most, so that a write stays short.
const PRUNE_BLOCKS_MAX: usize = 2;

/// RocksDB memory for recent writes.
const WRITE_BUFFER_BYTES: usize = 4 << 20;

/// Records of one hash that are looked at: bytes that are ordered again and again are bad nonces.
const RECORDS_PER_HASH_MAX: usize = 64;

/// Why outcomes cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OutcomesError {
    /// The database fails.
    #[error("the database of outcomes fails")]
    Database(#[from] rocksdb::Error),
    /// A record does not decode.
    #[error("the database of outcomes holds a record that does not decode")]
    Corrupt(#[source] std::io::Error),
    /// A key has another length than we write.
    #[error("the database of outcomes holds a key of {0} bytes")]
    Key(usize),
}

/// The database of outcomes.
#[derive(Debug)]
pub struct Outcomes {
    db: DB,
    keep: u64,
}

/// A record and the number of the block that its slot became.
pub type Located = (u64, Record);

impl Outcomes {
    /// Opens or creates the database.
    ///
    /// # Errors
    ///
    /// [`OutcomesError`] if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, OutcomesError> {
        Self::open_with(path, OUTCOME_BLOCKS_MAX)
    }

    fn open_with(path: &Path, keep: u64) -> Result<Self, OutcomesError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_max_open_files(64);
        options.set_keep_log_file_num(2);
        Ok(Self { db: DB::open(&options, path)?, keep })
    }

    /// Writes all records of a block, in order, and deletes those of blocks that are too old.
    ///
    /// # Errors
    ///
    /// [`OutcomesError`]; nothing is written then.
    pub fn write(&self, block: u64, records: &[Record]) -> Result<(), OutcomesError> {
        let mut batch = WriteBatch::default();
        for (index, record) in (0_u32..).zip(records) {
            let value = borsh::to_vec(record).map_err(OutcomesError::Corrupt)?;
            let place = place(block, index);
            batch.put(key(b'n', &[&place]), value);
            batch.put(key(b'h', &[record.hash.as_bytes(), &place]), []);
            if let ItemSource::Leg(leg) = record.source {
                batch.put(leg_key(&leg.bundle, leg.leg), place);
            }
        }
        self.prune(&mut batch, block.saturating_sub(self.keep))?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.db.write_opt(batch, &options)?)
    }

    /// What became of the transaction with this hash, in blocks up to `head`. If its bytes were
    /// ordered more than once, that is where it was included, or else the last time.
    ///
    /// # Errors
    ///
    /// [`OutcomesError`] if the database fails.
    pub fn by_hash(&self, hash: &Digest, head: u64) -> Result<Option<Located>, OutcomesError> {
        let prefix = key(b'h', &[hash.as_bytes()]);
        let mut last = None;
        let entries = self.db.iterator(IteratorMode::From(&prefix, Direction::Forward));
        for entry in entries.take(RECORDS_PER_HASH_MAX) {
            let (entry_key, _) = entry?;
            let Some(place) = entry_key.strip_prefix(prefix.as_slice()) else { break };
            let Some(located) = self.at(place, head)? else { break };
            let included = matches!(located.1.outcome, Outcome::Included { .. });
            last = Some(located);
            if included {
                break;
            }
        }
        Ok(last)
    }

    /// What became of one leg of a bundle, in blocks up to `head`.
    ///
    /// # Errors
    ///
    /// [`OutcomesError`] if the database fails.
    pub fn by_leg(
        &self,
        bundle: &BundleId,
        leg: u16,
        head: u64,
    ) -> Result<Option<Located>, OutcomesError> {
        match self.db.get(leg_key(bundle, leg))? {
            Some(place) => self.at(&place, head),
            None => Ok(None),
        }
    }

    fn at(&self, place: &[u8], head: u64) -> Result<Option<Located>, OutcomesError> {
        let block = block_of(place)?;
        if block > head {
            return Ok(None);
        }
        let Some(bytes) = self.db.get(key(b'n', &[place]))? else { return Ok(None) };
        let record = borsh::from_slice(&bytes).map_err(OutcomesError::Corrupt)?;
        Ok(Some((block, record)))
    }

    /// Deletes the oldest blocks below `earliest`, a few at a time.
    fn prune(&self, batch: &mut WriteBatch, earliest: u64) -> Result<(), OutcomesError> {
        let mut blocks = Vec::new();
        for entry in self.db.iterator(IteratorMode::From(b"n", Direction::Forward)) {
            let (entry_key, value) = entry?;
            let Some(place) = entry_key.strip_prefix(b"n") else { break };
            let block = block_of(place)?;
            if block >= earliest {
                break;
            }
            if blocks.last() != Some(&block) {
                if blocks.len() == PRUNE_BLOCKS_MAX {
                    break;
                }
                blocks.push(block);
            }
            let record: Record = borsh::from_slice(&value).map_err(OutcomesError::Corrupt)?;
            batch.delete(key(b'h', &[record.hash.as_bytes(), place]));
            if let ItemSource::Leg(leg) = record.source {
                batch.delete(leg_key(&leg.bundle, leg.leg));
            }
            batch.delete(&entry_key);
        }
        Ok(())
    }
}

fn key(table: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![table];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

fn leg_key(bundle: &BundleId, leg: u16) -> Vec<u8> {
    key(b'b', &[bundle.as_bytes(), &leg.to_be_bytes()])
}

fn place(block: u64, index: u32) -> [u8; 12] {
    let mut place = [0; 12];
    let number = (u128::from(block) << 32) | u128::from(index);
    if let Some(low) = number.to_be_bytes().get(4..) {
        place.copy_from_slice(low);
    }
    place
}

fn block_of(place: &[u8]) -> Result<u64, OutcomesError> {
    match place.split_first_chunk::<8>() {
        Some((block, index)) if index.len() == 4 => Ok(u64::from_be_bytes(*block)),
        Some(_) | None => Err(OutcomesError::Key(place.len())),
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::LegRef;

    use super::*;
    use crate::outcome::SkipReason;

    fn bundle_id(byte: u8) -> BundleId {
        BundleId::new([byte; 32])
    }

    fn record(hash: u8, bundle: u8, outcome: Outcome) -> Record {
        Record {
            hash: Digest::new([hash; 32]),
            sequence: 0,
            source: ItemSource::Leg(LegRef { bundle: bundle_id(bundle), leg: 0, legs: 1 }),
            outcome,
        }
    }

    const EXECUTED: Outcome = Outcome::Included { index: 0, succeeded: true };
    const SKIPPED: Outcome = Outcome::Skipped(SkipReason::Malformed);

    #[test]
    fn records_of_blocks_above_the_head_are_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let outcomes = Outcomes::open(dir.path()).unwrap();
        let record = record(1, 1, SKIPPED);
        outcomes.write(7, std::slice::from_ref(&record)).unwrap();
        let hash = Digest::new([1; 32]);
        assert_eq!(outcomes.by_hash(&hash, 6).unwrap(), None);
        assert_eq!(outcomes.by_hash(&hash, 7).unwrap(), Some((7, record.clone())));
        assert_eq!(outcomes.by_leg(&bundle_id(1), 0, 6).unwrap(), None);
        assert_eq!(outcomes.by_leg(&bundle_id(1), 0, 7).unwrap(), Some((7, record)));
        assert_eq!(outcomes.by_leg(&bundle_id(1), 1, 7).unwrap(), None);
    }

    #[test]
    fn bytes_that_were_ordered_twice_are_found_where_they_were_included() {
        let dir = tempfile::tempdir().unwrap();
        let outcomes = Outcomes::open(dir.path()).unwrap();
        let included = record(1, 2, EXECUTED);
        outcomes.write(1, &[record(1, 1, SKIPPED)]).unwrap();
        outcomes.write(2, std::slice::from_ref(&included)).unwrap();
        outcomes.write(3, &[record(1, 3, SKIPPED)]).unwrap();
        assert_eq!(outcomes.by_hash(&Digest::new([1; 32]), 9).unwrap(), Some((2, included)));
    }

    #[test]
    fn old_blocks_are_deleted_and_rewriting_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let outcomes = Outcomes::open_with(dir.path(), 3).unwrap();
        for block in 1..=9_u8 {
            for _ in 0..2 {
                let records = [record(block, block, SKIPPED), record(0, 100 + block, SKIPPED)];
                outcomes.write(u64::from(block), &records).unwrap();
            }
        }
        for block in 1..=9_u8 {
            let found = outcomes.by_hash(&Digest::new([block; 32]), 9).unwrap();
            assert_eq!(found.is_some(), block >= 6, "block {block}");
        }
        let count = outcomes.db.iterator(IteratorMode::Start).count();
        assert_eq!(count, 4 * 2 * 3, "four blocks of two records under three keys");
    }
}
