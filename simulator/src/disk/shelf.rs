//! What many disks hold alike, kept once: a hundred validators store the same bundles.

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use conclave_sequencer::Table;

/// Values shorter than this are kept by each disk.
const SHARED_BYTES_MIN: usize = 512;

/// A value on a disk.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Own(Box<[u8]>),
    Shared(Arc<[u8]>),
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

type Newest = BTreeMap<(Table, Vec<u8>), Weak<[u8]>>;

/// The newest long value of each key, as long as some disk holds it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Arc<Mutex<Newest>>);

impl Shelf {
    /// The value as a disk keeps it: the bytes that another disk has under the same key, if they are the
    /// same.
    pub(super) fn keep(&self, table: Table, key: &[u8], value: Vec<u8>) -> Value {
        if value.len() < SHARED_BYTES_MIN {
            return Value::Own(value.into());
        }
        // A holder that panicked left whole entries behind.
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shelf.entry((table, key.to_vec())).or_insert_with(|| Weak::<[u8; 0]>::new());
        if let Some(bytes) = known.upgrade().filter(|bytes| **bytes == *value) {
            return Value::Shared(bytes);
        }
        let bytes: Arc<[u8]> = value.into();
        *known = Arc::downgrade(&bytes);
        Value::Shared(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_long_values_of_one_key_are_one_and_others_are_not() {
        let shelf = Shelf::default();
        let long = vec![7; SHARED_BYTES_MIN];
        let other = vec![8; SHARED_BYTES_MIN];
        let keep = |key: u8, value: &[u8]| match shelf.keep(Table::Bundles, &[key], value.to_vec())
        {
            Value::Shared(bytes) => bytes,
            Value::Own(bytes) => panic!("{} bytes are kept apart", bytes.len()),
        };
        let first = keep(1, &long);
        assert!(Arc::ptr_eq(&first, &keep(1, &long)));
        let second = keep(1, &other);
        assert!(!Arc::ptr_eq(&first, &second) && *second == *other && *first == *long);
        assert!(!Arc::ptr_eq(&second, &keep(2, &other)));
        assert!(matches!(shelf.keep(Table::Bundles, &[1], b"short".to_vec()), Value::Own(_)));
    }
}
