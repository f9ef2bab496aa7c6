//! What an account has spent on L1, and may have: one small file, so that to start a node again gives it no new money.
//!
//! ```text
//!  may cost (nonce, most) ─▶ written down ─▶ broadcast ─▶ in a block ─▶ has cost (nonce, fee) ─▶ written down
//! ```
//!
//! **Invariant.** A version of a transaction is not sent before the most that it can cost is in the file. Of all that were
//! ever sent under one nonce one is executed at most, so a nonce counts once, with the dearest of them until a block
//! tells what it was.
//!
//! **Bounds.** [`ENTRIES_MAX`] transactions; beyond that the two oldest count as one of the later one's time.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy::primitives::{Address, B256, U256};
use conclave_types::Time;
use serde::{Deserialize, Serialize};

/// What postings cost is counted for so long.
const DAY: Duration = Duration::from_secs(86_400);
/// What a case has cost is known for so long: it rests for three days, and is over then.
const KEPT: Duration = Duration::from_secs(8 * 86_400);
const ENTRIES_MAX: usize = 2_048;

/// Why what is spent cannot be known or written down.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The file cannot be read or written.
    #[error(
        "cannot use {path}, which has what this node's account spent on L1; check the disk and its permissions"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no such file.
    #[error(
        "{path} is damaged, and had what this node's account spent on L1; move it away: then a day's money may be spent again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// What one nonce has cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    account: Address,
    nonce: u64,
    /// When it was sent last, in microseconds.
    sent_at: u64,
    wei: U256,
    /// The offence whose case it brought forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offence: Option<B256>,
}

/// What was spent, as a function of what was sent and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ledger(BTreeMap<(Address, u64), Entry>);

impl Ledger {
    /// A version of a transaction is about to be sent.
    fn may_cost(
        &mut self,
        now: Time,
        (account, nonce): (Address, u64),
        most: U256,
        of: Option<B256>,
    ) {
        let before = self.0.get(&(account, nonce)).map_or(U256::ZERO, |before| before.wei);
        let (sent_at, wei) = (now.as_micros(), before.max(most));
        self.0.insert((account, nonce), Entry { account, nonce, sent_at, wei, offence: of });
        self.0.retain(|_, entry| is_within(now, entry, KEPT));
        while self.0.len() > ENTRIES_MAX {
            self.merge_oldest();
        }
    }

    /// One of those is in a block.
    fn has_cost(&mut self, key: (Address, u64), fee: U256) {
        if let Some(entry) = self.0.get_mut(&key) {
            entry.wei = fee;
        }
    }

    fn spent_in_a_day(&self, now: Time) -> U256 {
        self.sum(|entry| is_within(now, entry, DAY))
    }

    fn spent_on(&self, offence: B256) -> U256 {
        self.sum(|entry| entry.offence == Some(offence))
    }

    fn sum(&self, counts: impl Fn(&Entry) -> bool) -> U256 {
        let counted = self.0.values().filter(|entry| counts(entry));
        counted.fold(U256::ZERO, |sum, entry| sum.saturating_add(entry.wei))
    }

    fn merge_oldest(&mut self) {
        let oldest = |ledger: &Self| {
            let found = ledger.0.iter().min_by_key(|(_, entry)| entry.sent_at);
            found.map(|(key, _)| *key)
        };
        let merged = oldest(self).and_then(|key| self.0.remove(&key));
        let into = oldest(self).and_then(|key| self.0.get_mut(&key));
        if let (Some(merged), Some(into)) = (merged, into) {
            into.wei = into.wei.saturating_add(merged.wei);
        }
    }
}

/// A clock that was set back makes nothing forgotten.
fn is_within(now: Time, entry: &Entry, span: Duration) -> bool {
    now.since(Time::from_micros(entry.sent_at)) < span
}

/// The file. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::l1) struct Book {
    path: Arc<Path>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Book {
    /// Opens the book at `path`; an empty one if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is damaged.
    pub(in crate::l1) fn open(path: PathBuf) -> Result<Self, BookError> {
        let entries: Vec<Entry> = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| BookError::Damaged { path: path.clone(), source })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(BookError::Io { path, source }),
        };
        let keyed = entries.into_iter().map(|entry| ((entry.account, entry.nonce), entry));
        let ledger = Ledger(keyed.collect());
        Ok(Self { path: path.into(), ledger: Arc::new(Mutex::new(ledger)) })
    }

    /// What was spent within a day, or may have been.
    pub(super) fn spent_in_a_day(&self, now: Time) -> U256 {
        self.lock().spent_in_a_day(now)
    }

    /// What was spent on the case of an offence, or may have been.
    pub(super) fn spent_on(&self, offence: B256) -> U256 {
        self.lock().spent_on(offence)
    }

    /// For what is sent to bring the case of an offence forward, or for anything else.
    pub(super) fn page(&self, offence: Option<B256>) -> Page {
        Page { book: self.clone(), offence }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn change(&self, change: impl FnOnce(&mut Ledger)) -> Result<(), BookError> {
        let entries: Vec<Entry> = {
            let mut ledger = self.lock();
            change(&mut ledger);
            ledger.0.values().cloned().collect()
        };
        let path = Arc::clone(&self.path);
        let written = tokio::task::spawn_blocking(move || write(&path, &entries)).await;
        written.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }
}

/// Where a sender writes down what its transactions cost.
#[derive(Clone, Debug)]
pub(in crate::l1) struct Page {
    book: Book,
    offence: Option<B256>,
}

impl Page {
    /// A version of the transaction with that nonce is about to be sent, and costs so much at most.
    ///
    /// # Errors
    ///
    /// If that cannot be written down: then it must not be sent.
    pub(in crate::l1) async fn may_cost(
        &self,
        of: (Address, u64),
        most: U256,
    ) -> Result<(), BookError> {
        let (now, offence) = (crate::driver::now(), self.offence);
        self.book.change(|ledger| ledger.may_cost(now, of, most, offence)).await
    }

    /// It is in a block, for that fee.
    ///
    /// # Errors
    ///
    /// If that cannot be written down.
    pub(in crate::l1) async fn has_cost(
        &self,
        of: (Address, u64),
        fee: U256,
    ) -> Result<(), BookError> {
        self.book.change(|ledger| ledger.has_cost(of, fee)).await
    }
}

/// Whole or not at all.
fn write(path: &Path, entries: &[Entry]) -> Result<(), BookError> {
    let io = |source| BookError::Io { path: path.to_owned(), source };
    let json = serde_json::to_vec_pretty(entries).map_err(|error| io(error.into()))?;
    let draft = path.with_extension("json.new");
    let mut file = File::create(&draft).map_err(io)?;
    file.write_all(&json).and_then(|()| file.sync_all()).map_err(io)?;
    std::fs::rename(&draft, path).map_err(io)?;
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Address = Address::repeat_byte(7);
    const START: Time = Time::from_micros(1_700_000_000_000_000);

    fn at(seconds: u64) -> Time {
        START.after(Duration::from_secs(seconds))
    }

    fn wei(amount: u64) -> U256 {
        U256::from(amount)
    }

    #[test]
    fn a_nonce_counts_once_with_its_dearest_version_until_a_block_tells_what_it_was() {
        let mut ledger = Ledger::default();
        for most in [30, 40, 35] {
            ledger.may_cost(at(0), (ACCOUNT, 7), wei(most), None);
        }
        ledger.may_cost(at(1), (ACCOUNT, 8), wei(2), None);
        assert_eq!(ledger.spent_in_a_day(at(2)), wei(42));
        ledger.has_cost((ACCOUNT, 7), wei(11));
        assert_eq!(ledger.spent_in_a_day(at(2)), wei(13));
        // The block went away, and the same nonce is used again.
        ledger.may_cost(at(3), (ACCOUNT, 7), wei(9), None);
        assert_eq!(ledger.spent_in_a_day(at(4)), wei(13), "no less than it was");
        ledger.may_cost(at(4), (Address::ZERO, 7), wei(5), None);
        assert_eq!(ledger.spent_in_a_day(at(5)), wei(18), "another account's");
    }

    #[test]
    fn a_day_after_it_was_sent_it_counts_no_longer_and_a_clock_set_back_makes_nothing_forgotten() {
        let mut ledger = Ledger::default();
        ledger.may_cost(at(0), (ACCOUNT, 1), wei(5), None);
        assert_eq!(ledger.spent_in_a_day(at(86_399)), wei(5));
        assert_eq!(ledger.spent_in_a_day(at(86_400)), wei(0));
        assert_eq!(ledger.spent_in_a_day(Time::from_micros(1)), wei(5));
        // Raised later, it counts from then.
        ledger.may_cost(at(60), (ACCOUNT, 1), wei(5), None);
        assert_eq!(ledger.spent_in_a_day(at(86_459)), wei(5));
    }

    #[test]
    fn what_a_case_has_cost_is_known_for_longer_than_a_day() {
        let (offence, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let mut ledger = Ledger::default();
        ledger.may_cost(at(0), (ACCOUNT, 1), wei(5), Some(offence));
        ledger.may_cost(at(0), (ACCOUNT, 2), wei(6), Some(other));
        ledger.may_cost(at(3 * 86_400), (ACCOUNT, 3), wei(7), Some(offence));
        assert_eq!((ledger.spent_on(offence), ledger.spent_on(other)), (wei(12), wei(6)));
        assert_eq!(ledger.spent_in_a_day(at(3 * 86_400)), wei(7), "of all cases and postings");
        ledger.may_cost(at(9 * 86_400), (ACCOUNT, 4), wei(1), None);
        assert_eq!(ledger.0.len(), 2, "what is over is dropped");
    }

    #[test]
    fn of_more_transactions_than_are_kept_the_oldest_count_as_one_and_no_wei_is_lost() {
        let mut ledger = Ledger::default();
        let count = 3 * u64::try_from(ENTRIES_MAX).unwrap();
        for nonce in 0..count {
            ledger.may_cost(at(nonce), (ACCOUNT, nonce), wei(1), None);
        }
        assert_eq!(ledger.0.len(), ENTRIES_MAX);
        assert_eq!(ledger.spent_in_a_day(at(count)), wei(count));
    }

    #[tokio::test]
    async fn whoever_opens_the_book_again_finds_what_may_have_been_sent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l1-spent.json");
        let offence = B256::repeat_byte(9);
        let book = Book::open(path.clone()).unwrap();
        book.page(Some(offence)).may_cost((ACCOUNT, 1), wei(7)).await.unwrap();
        book.page(None).may_cost((ACCOUNT, 2), U256::MAX >> 1).await.unwrap();
        book.page(None).has_cost((ACCOUNT, 2), wei(3)).await.unwrap();
        let again = Book::open(path.clone()).unwrap();
        assert_eq!(*again.lock(), *book.lock());
        let now = crate::driver::now();
        assert_eq!((again.spent_in_a_day(now), again.spent_on(offence)), (wei(10), wei(7)));
        std::fs::write(&path, b"[{}]").unwrap();
        let damaged = Book::open(path.clone()).unwrap_err();
        assert!(
            matches!(&damaged, BookError::Damaged { path: of, .. } if *of == path),
            "{damaged}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_written_down_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gone").join("l1-spent.json");
        let book = Book::open(path.clone()).unwrap();
        let error = book.page(None).may_cost((ACCOUNT, 1), wei(7)).await.unwrap_err();
        assert!(matches!(&error, BookError::Io { path: of, .. } if *of == path), "{error}");
    }
}
