//! What the fee ledger pays out on L1, and what became of those who asked.

use conclave_mempool::{Applied, RequestOutcome};
use conclave_types::{Height, Payee, Withdrawal};

use super::{Read, damaged, get, height_key, put, scan};
use crate::store::{Store, Table, Write};

/// What is paid out at a height, and what became of the requests that its block carries.
pub(crate) fn put_applied(height: Height, applied: &Applied) -> Vec<Write> {
    let Applied { withdrawals, requests, .. } = applied;
    let mut writes = Vec::new();
    if !withdrawals.is_empty() {
        writes.push(put(Table::Withdrawals, height_key(height), withdrawals));
    }
    for withdrawal in withdrawals {
        writes.push(put(Table::Payees, payee_key(withdrawal.payee, withdrawal.index), &height));
    }
    for (entry, outcome) in requests {
        writes.push(put(Table::Requests, entry.to_be_bytes().to_vec(), outcome));
    }
    writes
}

fn payee_key(payee: Payee, index: u64) -> Vec<u8> {
    let (recipient, validator) = payee.on_l1();
    let key = [recipient.as_bytes().as_slice(), &validator.to_be_bytes(), &index.to_be_bytes()];
    key.concat()
}

/// What is paid out at a decided height, in the order of the leaves under its commitment's root.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn withdrawals<S: Store>(store: &S, height: Height) -> Read<Vec<Withdrawal>, S> {
    Ok(get(store, Table::Withdrawals, &height_key(height))?.unwrap_or_default())
}

/// What became of the request at a place of the queue; none if no block carries it yet, or it is none.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn request<S: Store>(store: &S, entry: u64) -> Read<Option<RequestOutcome>, S> {
    get(store, Table::Requests, &entry.to_be_bytes())
}

/// Up to `limit` withdrawals that pay `payee`, from `index` on, each with the height that pays it out.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn paid_to<S: Store>(
    store: &S,
    payee: Payee,
    index: u64,
    limit: usize,
) -> Read<Vec<(Height, Withdrawal)>, S> {
    // No index is that large: each takes an entry of the queue, or its part of an epoch.
    let (first, end) = (payee_key(payee, index), payee_key(payee, u64::MAX));
    let mut found = Vec::new();
    for (key, height) in scan::<Height, S>(store, Table::Payees, &first, &end, limit)? {
        let index = key.last_chunk().copied().map(u64::from_be_bytes);
        let paid = withdrawals(store, height)?;
        let paid = paid.into_iter().find(|withdrawal| Some(withdrawal.index) == index);
        let missing = || damaged(Table::Payees, &key, "its height does not pay it out".into());
        found.push((height, paid.ok_or_else(missing)?));
    }
    Ok(found)
}
