//! What the fee ledger pays out on L1, and what became of those who asked.

use conclave_mempool::{Applied, RequestOutcome};
use conclave_types::{Height, Payee, Withdrawal};

use super::{Read, damaged, get, height_key, put, scan};
use crate::store::{Store, Table, Write};

/// Withdrawals that are read for one page of those that pay somebody. A height may pay a thousand others as well, and
/// with each that somebody has filled on L1 a small question would cost as much as a large one.
const LEAVES_MAX: usize = 16_384;

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

/// Withdrawals that pay `payee`, from `index` on, each with the height that pays it out: up to `limit`, and no more from
/// the height on with which [`LEAVES_MAX`] were read. None if there are none.
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
    let (mut found, mut leaves) = (Vec::new(), 0_usize);
    // Indices rise with the heights, so each height is read once.
    let mut read: Option<(Height, Vec<Withdrawal>)> = None;
    for (key, height) in scan::<Height, S>(store, Table::Payees, &first, &end, limit)? {
        let index = key.last_chunk().copied().map(u64::from_be_bytes);
        let paid = match read.take() {
            Some((of, paid)) if of == height => paid,
            _ if leaves >= LEAVES_MAX => break,
            _ => {
                let paid = withdrawals(store, height)?;
                leaves = leaves.saturating_add(paid.len());
                paid
            }
        };
        let place = paid.binary_search_by_key(&index, |withdrawal| Some(withdrawal.index));
        let withdrawal = place.ok().and_then(|place| paid.get(place)).copied();
        let missing = || damaged(Table::Payees, &key, "its height does not pay it out".into());
        found.push((height, withdrawal.ok_or_else(missing)?));
        read = Some((height, paid));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use conclave_consensus::HighWater;
    use conclave_types::{Gwei, PayerAddress};

    use super::*;
    use crate::{
        store::{Entry, SecretBytes, SecretName},
        testing::{Full, Memory},
    };

    /// A store that counts how often each height's withdrawals are read.
    #[derive(Default)]
    struct Counting {
        memory: Memory,
        read: RefCell<Vec<Vec<u8>>>,
    }

    impl Store for Counting {
        type Error = Full;

        fn commit(&mut self, writes: &[Write]) -> Result<(), Full> {
            self.memory.commit(writes)
        }

        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Full> {
            self.read.borrow_mut().push(key.to_vec());
            self.memory.get(table, key)
        }

        fn scan(
            &self,
            table: Table,
            from: &[u8],
            to: &[u8],
            limit: usize,
        ) -> Result<Vec<Entry>, Full> {
            self.memory.scan(table, from, to, limit)
        }

        fn high_water(&self) -> Result<Option<HighWater>, Full> {
            self.memory.high_water()
        }

        fn secrets(&self) -> Result<Vec<(SecretName, SecretBytes)>, Full> {
            self.memory.secrets()
        }
    }

    const OTHER: Payee = Payee::Account(PayerAddress::new([2; 20]));

    /// Heights that each pay somebody `own` times, and others as often as there is room for in a thousand.
    fn filled(heights: u64, payee: Payee, own: u64) -> Counting {
        let mut store = Counting::default();
        for height in 1..=heights {
            let one = |place: u64| Withdrawal {
                index: height * 1_000 + place,
                payee: if place < own { payee } else { OTHER },
                amount: Gwei::new(place),
            };
            let withdrawals = (0..1_000).map(one).collect();
            let applied = Applied { withdrawals, ..Applied::default() };
            store.commit(&put_applied(Height::new(height), &applied)).unwrap();
        }
        store
    }

    #[test]
    fn a_height_is_read_once_however_many_of_a_page_it_pays() {
        let payee = Payee::Stake(7);
        let store = filled(3, payee, 40);
        let found = paid_to(&store, payee, 0, 100).unwrap();
        let indices: Vec<_> = found.iter().map(|(_, withdrawal)| withdrawal.index).collect();
        let expected: Vec<_> =
            (1..=3).flat_map(|height| (0..40).map(move |place| height * 1_000 + place)).collect();
        assert_eq!(indices, expected[..100]);
        assert!(found.iter().all(|(height, paid)| height.as_u64() == paid.index / 1_000));
        assert_eq!(store.read.borrow().len(), 3);
    }

    #[test]
    fn a_page_is_cut_where_it_would_take_too_much_to_read_and_the_next_goes_on_there() {
        let store = filled(40, Payee::Pot, 1);
        let (mut from, mut pages, mut heights) = (0, Vec::new(), Vec::new());
        loop {
            let page = paid_to(&store, Payee::Pot, from, 100).unwrap();
            let Some((_, last)) = page.last() else { break };
            from = last.index + 1;
            pages.push(page.len());
            heights.extend(page.iter().map(|(height, _)| height.as_u64()));
        }
        assert_eq!(pages, [17, 17, 6]);
        assert_eq!(heights, (1..=40).collect::<Vec<_>>());
    }
}
