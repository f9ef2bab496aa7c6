//! What L1 tells the chain: the entries of the forced queue, as the events of its contract give them.
//!
//! One queue numbers forced transactions, deposits and requests to withdraw alike, and every L1 block adds to its end. A block
//! of ours carries, whole and in order, what the L1 blocks after its parent's origin up to its own have
//! added. An entry here holds exactly what the contract hashes, so that nobody who serves events can add to
//! it; who sent a forced transaction is in no hash, and no part of it.
//!
//! **Bounds.** The contract counts the entries of an L1 block in two bytes and lets them have 2^20 bytes of
//! transactions, whatever its parameters are; [`RESERVE_ENTRIES`] and [`RESERVE_BYTES`] of a block of ours
//! are more than that, so the next L1 block always fits.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    digest::{Hasher, keccak},
    ids::{Digest, PayerAddress, RollupId},
    merkle,
    params::Gwei,
    roster::CommitteeOffer,
    withdrawal::WithdrawalRequest,
};

/// Entries that one L1 block can add: 255 transactions or requests, and as many deposits.
pub const L1_BLOCK_ENTRIES_MAX: usize = 2 * 255;
/// Bytes of transactions that one L1 block can add.
pub const L1_BLOCK_TRANSACTION_BYTES_MAX: usize = 1 << 20;
/// Entries in one of our blocks.
pub const RESERVE_ENTRIES: usize = 1_024;
/// Bytes of entries in one of our blocks, beside those of its bundles.
pub const RESERVE_BYTES: usize = 2 << 20;
/// How many L1 blocks an origin may move on by from one of our blocks to the next: what a validator must
/// have seen of L1 to judge a block stays bounded, also after an outage of days.
pub const ORIGIN_ADVANCE_MAX: u64 = 256;
/// What an entry takes beside its transaction, at most.
const ENTRY_OVERHEAD_BYTES: usize = 72;

const _: () = assert!(
    L1_BLOCK_ENTRIES_MAX <= RESERVE_ENTRIES
        && L1_BLOCK_TRANSACTION_BYTES_MAX + L1_BLOCK_ENTRIES_MAX * ENTRY_OVERHEAD_BYTES
            <= RESERVE_BYTES,
    "an L1 block always fits into a block's reserve"
);

/// A transaction that somebody put into the queue for a rollup.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ForcedTransaction {
    /// Which rollup is to execute it.
    pub rollup: RollupId,
    /// Gas of the rollup that was paid for on L1.
    pub gas_limit: u64,
    /// The rollup's own transaction bytes.
    pub transaction: Vec<u8>,
}

/// Ether that was put into the vault for a fee balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Deposit {
    /// Whose balance grows.
    pub payer: PayerAddress,
    /// By how much.
    pub amount: Gwei,
}

/// What an entry of the queue asks for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum L1Content {
    /// That a transaction is carried.
    Forced(ForcedTransaction),
    /// That a deposit is credited.
    Deposit(Deposit),
    /// That a balance is paid out.
    Withdrawal(WithdrawalRequest),
}

/// One entry of the queue.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct L1Entry {
    /// Its place in the queue, from 0. All that can be asked for share the numbers.
    pub index: u64,
    /// Number of the L1 block that it is in.
    pub l1_block: u64,
    /// What it asks for.
    pub content: L1Content,
}

impl L1Entry {
    /// The contract's entry hash.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let tag = match &self.content {
            L1Content::Forced(_) => "conclave/forced/v1",
            L1Content::Deposit(_) => "conclave/deposit/v1",
            L1Content::Withdrawal(_) => "conclave/withdraw/v1",
        };
        let mut hasher = Hasher::new(tag);
        hasher.u64(self.index).u64(self.l1_block);
        match &self.content {
            L1Content::Forced(forced) => hasher
                .u64(forced.rollup.as_u64())
                .u64(forced.gas_limit)
                .fixed(keccak(&forced.transaction).as_bytes()),
            L1Content::Deposit(Deposit { payer, amount }) => {
                hasher.fixed(payer.as_bytes()).u64(amount.as_u64())
            }
            L1Content::Withdrawal(WithdrawalRequest { payer, recipient, amount }) => {
                hasher.fixed(payer.as_bytes()).fixed(recipient.as_bytes()).u64(amount.as_u64())
            }
        };
        hasher.finish()
    }

    /// What it counts for against [`RESERVE_BYTES`].
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        match &self.content {
            L1Content::Forced(forced) => {
                ENTRY_OVERHEAD_BYTES.saturating_add(forced.transaction.len())
            }
            L1Content::Deposit(_) | L1Content::Withdrawal(_) => ENTRY_OVERHEAD_BYTES,
        }
    }

    /// The forced transaction, if it is one.
    #[must_use]
    pub const fn forced(&self) -> Option<&ForcedTransaction> {
        match &self.content {
            L1Content::Forced(forced) => Some(forced),
            L1Content::Deposit(_) | L1Content::Withdrawal(_) => None,
        }
    }

    /// The deposit, if it is one.
    #[must_use]
    pub const fn deposit(&self) -> Option<&Deposit> {
        match &self.content {
            L1Content::Deposit(deposit) => Some(deposit),
            L1Content::Forced(_) | L1Content::Withdrawal(_) => None,
        }
    }
}

/// The contract's running hash after one more entry; zero before the first. Whoever reads the queue from a
/// provider that it does not trust compares this with what the contract says at a block that it trusts.
#[must_use]
pub fn queue_hash(before: &Digest, entry: &L1Entry) -> Digest {
    keccak(&[before.as_bytes().as_slice(), entry.hash().as_bytes()].concat())
}

/// The root over what one of our blocks carries of L1: the entries, then the offers; zero if there is nothing.
/// The two are told apart by what their hashes begin with.
#[must_use]
pub fn l1_entries_root(entries: &[L1Entry], offers: &[CommitteeOffer]) -> Digest {
    let entries = entries.iter().map(L1Entry::hash);
    let leaves = entries.chain(offers.iter().map(CommitteeOffer::leaf));
    let leaves: Vec<_> = leaves.map(|hash| merkle::leaf(hash.as_bytes())).collect();
    merkle::root(&leaves)
}

/// Why entries are not those of consecutive L1 blocks.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, thiserror::Error)]
pub enum L1EntryError {
    /// The queue has no gaps, and nothing is in it twice.
    #[error("the queue goes on with entry {expected}, found {found}")]
    Index {
        /// The next entry.
        expected: u64,
        /// The one that is there.
        found: u64,
    },
    /// An entry of an L1 block that is not among those covered, or stands before an earlier one.
    #[error("entry {index} is of L1 block {found}, expected {least} to {most}")]
    Block {
        /// The entry.
        index: u64,
        /// The L1 block of the entry before, or the first that is covered.
        least: u64,
        /// The last that is covered.
        most: u64,
        /// The entry's.
        found: u64,
    },
    /// More than fits.
    #[error("there are {found} {what} of L1, the most is {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most.
        max: usize,
        /// How many there are.
        found: usize,
    },
}

/// Checks that `entries` are what the queue may hold from entry `next` on in L1 blocks `least` to `most`,
/// and that they fit into the reserve of one block of ours. Returns the entry that comes after them.
///
/// # Errors
///
/// The first rule that is broken.
pub fn check_l1_entries(
    entries: &[L1Entry],
    next: u64,
    least: u64,
    most: u64,
) -> Result<u64, L1EntryError> {
    let (mut expected, mut least) = (next, least);
    for L1Entry { index, l1_block, .. } in entries {
        if *index != expected {
            return Err(L1EntryError::Index { expected, found: *index });
        }
        if *l1_block < least || *l1_block > most {
            return Err(L1EntryError::Block { index: *index, least, most, found: *l1_block });
        }
        expected = expected.saturating_add(1);
        least = *l1_block;
    }
    let bytes = entries.iter().map(L1Entry::size_bytes).sum();
    for (what, found, max) in
        [("entries", entries.len(), RESERVE_ENTRIES), ("bytes", bytes, RESERVE_BYTES)]
    {
        if found > max {
            return Err(L1EntryError::TooMany { what, max, found });
        }
    }
    Ok(expected)
}

/// Checks that `offers` are as many and as large as one of our blocks, or an L1 block, may have, and that there
/// are none where no L1 block is covered.
///
/// # Errors
///
/// The first rule that is broken.
pub fn check_offers(offers: &[CommitteeOffer], least: u64, most: u64) -> Result<(), L1EntryError> {
    let fits = if least > most { 0 } else { CommitteeOffer::COUNT_MAX };
    if offers.len() > fits {
        let (max, found) = (fits, offers.len());
        return Err(L1EntryError::TooMany { what: "offers", max, found });
    }
    let largest = offers.iter().map(CommitteeOffer::size_bytes).max().unwrap_or_default();
    if largest > CommitteeOffer::BYTES_MAX {
        let (max, found) = (CommitteeOffer::BYTES_MAX, largest);
        return Err(L1EntryError::TooMany { what: "bytes of an offer", max, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forced(index: u64, l1_block: u64, bytes: usize) -> L1Entry {
        let transaction = vec![7; bytes];
        let forced =
            ForcedTransaction { rollup: RollupId::new(901), gas_limit: 50_000, transaction };
        L1Entry { index, l1_block, content: L1Content::Forced(forced) }
    }

    fn deposit(index: u64, l1_block: u64) -> L1Entry {
        let deposit = Deposit { payer: PayerAddress::new([3; 20]), amount: Gwei::new(5) };
        L1Entry { index, l1_block, content: L1Content::Deposit(deposit) }
    }

    fn withdrawal(index: u64, l1_block: u64) -> L1Entry {
        let (payer, recipient) = (PayerAddress::new([3; 20]), PayerAddress::new([4; 20]));
        let request = WithdrawalRequest { payer, recipient, amount: Gwei::new(6) };
        L1Entry { index, l1_block, content: L1Content::Withdrawal(request) }
    }

    #[test]
    fn an_entry_hash_is_the_contracts() {
        let transaction = keccak(&[7, 7]);
        let preimage = [
            b"conclave/forced/v1".as_slice(),
            &4_u64.to_be_bytes(),
            &17_u64.to_be_bytes(),
            &901_u64.to_be_bytes(),
            &50_000_u64.to_be_bytes(),
            transaction.as_bytes(),
        ];
        assert_eq!(forced(4, 17, 2).hash(), keccak(&preimage.concat()));
        let preimage = [
            b"conclave/deposit/v1".as_slice(),
            &5_u64.to_be_bytes(),
            &18_u64.to_be_bytes(),
            &[3; 20],
            &5_u64.to_be_bytes(),
        ];
        assert_eq!(deposit(5, 18).hash(), keccak(&preimage.concat()));
    }

    #[test]
    fn an_encoded_entry_is_no_larger_than_it_counts_for() {
        for entry in [forced(1, 2, 0), forced(1, 2, 1_000), deposit(1, 2), withdrawal(1, 2)] {
            assert!(borsh::to_vec(&entry).unwrap().len() <= entry.size_bytes(), "{entry:?}");
        }
    }

    #[test]
    fn entries_continue_the_queue_through_the_blocks_that_are_covered() {
        let good = [forced(3, 10, 1), deposit(4, 10), forced(5, 12, 1)];
        assert_eq!(check_l1_entries(&good, 3, 10, 12), Ok(6));
        assert_eq!(check_l1_entries(&[], 3, 10, 12), Ok(3));
        let index = |expected, found| L1EntryError::Index { expected, found };
        let block = |index, least, most, found| L1EntryError::Block { index, least, most, found };
        let [a, b, c] = good;
        let cases = [
            (vec![b, a.clone()], index(3, 4)),
            (vec![a.clone(), c], index(4, 5)),
            (vec![a.clone(), a], index(4, 3)),
            (vec![forced(3, 9, 1)], block(3, 10, 12, 9)),
            (vec![forced(3, 13, 1)], block(3, 10, 12, 13)),
            (vec![forced(3, 12, 1), forced(4, 11, 1)], block(4, 12, 12, 11)),
        ];
        for (entries, error) in cases {
            assert_eq!(check_l1_entries(&entries, 3, 10, 12), Err(error));
        }
    }

    #[test]
    fn what_does_not_fit_the_reserve_is_refused() {
        let many: Vec<_> = (0..=1_024).map(|index| deposit(index, 10)).collect();
        let expected = L1EntryError::TooMany { what: "entries", max: 1_024, found: 1_025 };
        assert_eq!(check_l1_entries(&many, 0, 10, 10), Err(expected));
        let large = [forced(0, 10, 1 << 20), forced(1, 10, 1 << 20)];
        let found = (2 << 20) + 144;
        let expected = L1EntryError::TooMany { what: "bytes", max: 2 << 20, found };
        assert_eq!(check_l1_entries(&large, 0, 10, 10), Err(expected));
    }

    #[test]
    fn the_running_hash_chains_entry_hashes() {
        let first = queue_hash(&Digest::ZERO, &deposit(0, 1));
        let entry = deposit(0, 1).hash();
        assert_eq!(first, keccak(&[[0; 32], *entry.as_bytes()].concat()));
    }
}
