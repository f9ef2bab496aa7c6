//! What is where in the store: the only place that knows a key or a value's encoding.
//!
//! Writers make [`Write`]s; readers take any [`Store`]. Shells read history through this module alone:
//! to answer peers ([`answer`](fn@answer)), clients and auditors.

mod answer;
mod evidence;
mod settlement;
mod withdrawals;
mod wrong_share;

use std::{collections::BTreeSet, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_consensus::{SignedRecord, Step, WalEntry};
use conclave_derivation::Cursor;
use conclave_mempool::{Account, Till};
use conclave_types::{
    Batch, Block, BlockId, BundleId, Certificate, Digest, EncryptedBundle, Height, Opening,
    PayerAddress, RevealedBlock, RollupId, Round, ValidatorIndex,
};

use crate::{
    keys::KeysCheckpoint,
    message::ShareMessage,
    store::{Store, Table, Write},
};

pub use self::{
    answer::answer,
    evidence::{EvidenceCursor, Kept, evidence, shown},
    settlement::{
        OnL1, Posting, certificate, commitment, committee, epoch_end, history, own_attestation,
        posted, posting, settled_path, sharing,
    },
    withdrawals::{paid_to, request, withdrawals},
    wrong_share::{Judged, ShareSeat, WrongShare},
};
pub(crate) use self::{
    evidence::{put_double_attestation, put_equivocation, put_stray_shares, put_wrong_shares},
    settlement::{
        history_root, put_certificate, put_commitment, put_committee, put_epoch_end, put_history,
        put_own_attestation, put_settlement, put_sharing, settlement,
    },
    withdrawals::put_applied,
};

/// Bytes after which an answer is cut: a block more cannot pass the message limit.
pub(crate) const PAGE_BYTES: usize = 4 << 20;
/// Blocks in a page of decided blocks.
const PAGE_BLOCKS: usize = 64;

/// Why history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError<E: std::error::Error + 'static> {
    /// The store failed.
    #[error("the store cannot be read")]
    Store(#[source] E),
    /// A value does not decode, or one that must be there is not.
    #[error("table {} is damaged at key 0x{key}: {what}", table.name())]
    Damaged {
        /// The table.
        table: Table,
        /// The key, in hexadecimal.
        key: String,
        /// What is wrong.
        what: String,
    },
}

/// The result of reading history from `S`.
pub type Read<T, S> = Result<T, ArchiveError<<S as Store>::Error>>;

/// Where the chain stands. Written with every decided and every revealed block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tip {
    /// Newest decided height.
    pub decided: Height,
    /// Newest revealed height.
    pub revealed: Height,
    /// The chain digest there.
    pub reveal_digest: Digest,
    /// The ledger digest after the newest decided block.
    pub ledger_digest: Digest,
    /// What was collected by then and is not shared out yet.
    pub till: Till,
    /// Entries of the queue on L1 up to its origin.
    pub forced_cursor: u64,
}

/// A decided block as stored.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredBlock {
    /// The block.
    pub block: Block,
    /// The quorum that decided it.
    pub certificate: Certificate,
}

/// How a block was opened.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredReveal {
    /// The decided block.
    pub block: BlockId,
    /// The beacon's opening, then one for each bundle in block order.
    pub openings: Vec<Opening>,
    /// The beacon.
    pub beacon: Digest,
    /// The chain digest at this height.
    pub digest: Digest,
    /// Whose shares opened it here; empty if openings came from elsewhere.
    pub share_validators: Vec<ValidatorIndex>,
}

/// Where a bundle was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BundlePlace {
    /// The height.
    pub height: Height,
    /// Its place in block order.
    pub index: u32,
}

/// A block that may still be decided, with the rounds in which this validator proposed it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredCandidate {
    /// The block.
    pub block: Block,
    /// The round in which it was first proposed or held.
    pub round: Round,
}

/// History that a peer asks for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub enum ArchiveRequest {
    /// Decided blocks from a height on.
    Decided {
        /// The first.
        from: Height,
    },
    /// Bundles by id.
    Bundles(Vec<BundleId>),
    /// The openings of a block.
    Openings {
        /// The height.
        height: Height,
    },
    /// The certificate of a commitment.
    Certificate {
        /// The height.
        height: Height,
    },
}

const META_TIP: &[u8] = b"tip";
const META_KEYS: &[u8] = b"keys";
const META_NETWORK: &[u8] = b"network";
const META_RETURNED: &[u8] = b"returned";
const META_SETTLEMENT: &[u8] = b"settlement";

fn height_key(height: Height) -> Vec<u8> {
    height.as_u64().to_be_bytes().to_vec()
}

fn pair_key(first: u64, second: u64) -> Vec<u8> {
    [first.to_be_bytes(), second.to_be_bytes()].concat()
}

fn candidate_key(height: Height, block: &BlockId) -> Vec<u8> {
    [height.as_u64().to_be_bytes().as_slice(), block.as_bytes()].concat()
}

fn put<T: BorshSerialize>(table: Table, key: Vec<u8>, value: &T) -> Write {
    #[expect(clippy::expect_used, reason = "a Vec<u8> takes every write")]
    let value = borsh::to_vec(value).expect("encoding into memory does not fail");
    Write::Put { table, key, value }
}

fn damaged<E: std::error::Error>(table: Table, key: &[u8], what: String) -> ArchiveError<E> {
    let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
    ArchiveError::Damaged { table, key, what }
}

fn decode<T: BorshDeserialize, E: std::error::Error>(
    table: Table,
    key: &[u8],
    value: &[u8],
) -> Result<T, ArchiveError<E>> {
    borsh::from_slice(value).map_err(|error| damaged(table, key, error.to_string()))
}

fn get<T: BorshDeserialize, S: Store>(store: &S, table: Table, key: &[u8]) -> Read<Option<T>, S> {
    let value = store.get(table, key).map_err(ArchiveError::Store)?;
    value.map(|value| decode(table, key, &value)).transpose()
}

fn scan<T: BorshDeserialize, S: Store>(
    store: &S,
    table: Table,
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Read<Vec<(Vec<u8>, T)>, S> {
    let entries = store.scan(table, from, to, limit).map_err(ArchiveError::Store)?;
    entries
        .into_iter()
        .map(|(key, value)| decode(table, &key, &value).map(|value| (key, value)))
        .collect()
}

// Writers, for the core.

pub(crate) fn put_tip(tip: &Tip) -> Write {
    put(Table::Meta, META_TIP.to_vec(), tip)
}

pub(crate) fn put_keys(checkpoint: &KeysCheckpoint) -> Write {
    put(Table::Meta, META_KEYS.to_vec(), checkpoint)
}

/// Bundles that went back with the era that ended last; what was remembered of the one before is forgotten.
pub(crate) fn put_returned(bundles: &BTreeSet<BundleId>) -> Write {
    put(Table::Meta, META_RETURNED.to_vec(), bundles)
}

pub(crate) fn put_network(network: &conclave_types::NetworkId) -> Write {
    put(Table::Meta, META_NETWORK.to_vec(), network)
}

pub(crate) fn put_block(stored: &StoredBlock) -> Write {
    put(Table::Blocks, height_key(stored.block.header.height), stored)
}

pub(crate) fn put_candidate(stored: &StoredCandidate) -> Write {
    let header = &stored.block.header;
    put(Table::Candidates, candidate_key(header.height, &header.id()), stored)
}

pub(crate) fn delete_candidates(up_to: Height) -> Write {
    Write::DeleteRange {
        table: Table::Candidates,
        from: height_key(Height::ZERO),
        to: height_key(up_to.next()),
    }
}

pub(crate) fn put_bundle(id: &BundleId, bundle: &EncryptedBundle) -> Write {
    put(Table::Bundles, id.as_bytes().to_vec(), bundle)
}

pub(crate) fn put_place(id: &BundleId, place: &BundlePlace) -> Write {
    put(Table::BundleIndex, id.as_bytes().to_vec(), place)
}

pub(crate) fn put_reveal(height: Height, reveal: &StoredReveal) -> Write {
    put(Table::Reveals, height_key(height), reveal)
}

pub(crate) fn put_revealed(block: &RevealedBlock) -> Write {
    put(Table::Revealed, height_key(block.height), block)
}

pub(crate) fn put_batch(batch: &Batch) -> Write {
    put(Table::Batches, pair_key(batch.rollup.as_u64(), batch.sequence), batch)
}

pub(crate) fn put_cursor(rollup: RollupId, cursor: &Cursor) -> Write {
    put(Table::Cursors, rollup.as_u64().to_be_bytes().to_vec(), cursor)
}

pub(crate) fn put_account(address: &PayerAddress, account: &Account) -> Write {
    put(Table::Accounts, address.as_bytes().to_vec(), account)
}

pub(crate) fn put_wal(entry: WalEntry) -> Write {
    let key = pair_key(entry.height.as_u64(), entry.index);
    Write::Put { table: Table::Wal, key, value: entry.bytes }
}

pub(crate) fn delete_wal(up_to: Height) -> Write {
    Write::DeleteRange {
        table: Table::Wal,
        from: height_key(Height::ZERO),
        to: height_key(up_to.next()),
    }
}

pub(crate) fn put_signed(record: &SignedRecord) -> Write {
    let at = record.position();
    let step = match at.step {
        Step::Propose => 0,
        Step::Prevote => 1,
        Step::Precommit => 2,
    };
    let mut slot = at.round.as_u32().to_be_bytes().to_vec();
    slot.push(step);
    put(Table::Signed, signed_key(at.height, SIGNED_VOTE, &slot), record)
}

pub(crate) fn put_own_shares(message: &ShareMessage) -> Write {
    put(Table::Signed, signed_key(message.height, SIGNED_SHARES, &[]), message)
}

const SIGNED_VOTE: u8 = 0;
const SIGNED_SHARES: u8 = 1;
const SIGNED_ATTESTATION: u8 = 2;

fn signed_key(height: Height, kind: u8, slot: &[u8]) -> Vec<u8> {
    [height.as_u64().to_be_bytes().as_slice(), &[kind], slot].concat()
}

// Readers, for recovery, peers, clients and auditors.

/// Where the chain stands; none before the first block.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn tip<S: Store>(store: &S) -> Read<Option<Tip>, S> {
    get(store, Table::Meta, META_TIP)
}

/// The network whose history this is; none in a new store.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn network<S: Store>(store: &S) -> Read<Option<conclave_types::NetworkId>, S> {
    get(store, Table::Meta, META_NETWORK)
}

/// A decided block.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn block<S: Store>(store: &S, height: Height) -> Read<Option<StoredBlock>, S> {
    get(store, Table::Blocks, &height_key(height))
}

/// How a decided block was opened; none while it is sealed.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn reveal<S: Store>(store: &S, height: Height) -> Read<Option<StoredReveal>, S> {
    get(store, Table::Reveals, &height_key(height))
}

/// A decided block, opened and ordered; none while it is sealed.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn revealed<S: Store>(store: &S, height: Height) -> Read<Option<RevealedBlock>, S> {
    get(store, Table::Revealed, &height_key(height))
}

/// A sealed bundle.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn bundle<S: Store>(store: &S, id: &BundleId) -> Read<Option<EncryptedBundle>, S> {
    get(store, Table::Bundles, id.as_bytes())
}

/// Where a bundle was decided; none if it was not.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn place<S: Store>(store: &S, id: &BundleId) -> Read<Option<BundlePlace>, S> {
    get(store, Table::BundleIndex, id.as_bytes())
}

/// Up to `limit` batches of a rollup, from `sequence` on.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn batches<S: Store>(
    store: &S,
    rollup: RollupId,
    sequence: u64,
    limit: usize,
) -> Read<Vec<Batch>, S> {
    let from = pair_key(rollup.as_u64(), sequence);
    let to = pair_key(rollup.as_u64().saturating_add(1), 0);
    let found = scan(store, Table::Batches, &from, &to, limit)?;
    Ok(found.into_iter().map(|(_, batch)| batch).collect())
}

/// A rollup's cursor; none before its first batch.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn cursor<S: Store>(store: &S, rollup: RollupId) -> Read<Option<Cursor>, S> {
    get(store, Table::Cursors, &rollup.as_u64().to_be_bytes())
}

/// A payer's account; none if it was never charged nor funded by the genesis.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn account<S: Store>(store: &S, address: &PayerAddress) -> Read<Option<Account>, S> {
    get(store, Table::Accounts, address.as_bytes())
}

/// The bundles of a decided block, in block order.
///
/// # Errors
///
/// If the store fails, or a bundle that must be there is not.
pub fn block_bundles<S: Store>(store: &S, block: &Block) -> Read<Vec<Arc<EncryptedBundle>>, S> {
    let ids = block.body.bundles.iter();
    ids.map(|id| {
        let missing = || damaged(Table::Bundles, id.as_bytes(), "a decided bundle is gone".into());
        bundle(store, id)?.map(Arc::new).ok_or_else(missing)
    })
    .collect()
}

pub(crate) fn keys<S: Store>(store: &S) -> Read<Option<KeysCheckpoint>, S> {
    get(store, Table::Meta, META_KEYS)
}

pub(crate) fn returned<S: Store>(store: &S) -> Read<BTreeSet<BundleId>, S> {
    Ok(get(store, Table::Meta, META_RETURNED)?.unwrap_or_default())
}

pub(crate) fn accounts<S: Store>(store: &S) -> Read<Vec<(PayerAddress, Account)>, S> {
    let found = scan(store, Table::Accounts, &[], &[0xff; 21], usize::MAX)?;
    found
        .into_iter()
        .map(|(key, account)| {
            let address = PayerAddress::from_slice(&key)
                .map_err(|error| damaged(Table::Accounts, &key, error.to_string()))?;
            Ok((address, account))
        })
        .collect()
}

pub(crate) fn wal<S: Store>(store: &S, height: Height) -> Read<Vec<WalEntry>, S> {
    let (from, to) = (height_key(height), height_key(height.next()));
    let found = store.scan(Table::Wal, &from, &to, usize::MAX).map_err(ArchiveError::Store)?;
    found
        .into_iter()
        .map(|(key, bytes)| {
            let index =
                key.get(8..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
            let bad_key = || damaged(Table::Wal, &key, "the key is no height and index".into());
            Ok(WalEntry { height, index: index.ok_or_else(bad_key)?, bytes })
        })
        .collect()
}

pub(crate) fn candidates<S: Store>(store: &S, height: Height) -> Read<Vec<StoredCandidate>, S> {
    let (from, to) = (height_key(height), height_key(height.next()));
    let found = scan(store, Table::Candidates, &from, &to, usize::MAX)?;
    Ok(found.into_iter().map(|(_, candidate)| candidate).collect())
}

pub(crate) fn signed<S: Store>(store: &S, from: Height) -> Read<Vec<SignedRecord>, S> {
    let found = store
        .scan(Table::Signed, &height_key(from), &[0xff; 9], usize::MAX)
        .map_err(ArchiveError::Store)?;
    found
        .into_iter()
        .filter(|(key, _)| key.get(8) == Some(&SIGNED_VOTE))
        .map(|(key, value)| decode(Table::Signed, &key, &value))
        .collect()
}

/// The shares that this validator has sent for a height; none if it has not.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn own_shares<S: Store>(store: &S, height: Height) -> Read<Option<ShareMessage>, S> {
    get(store, Table::Signed, &signed_key(height, SIGNED_SHARES, &[]))
}
