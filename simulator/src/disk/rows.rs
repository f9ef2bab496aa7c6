//! The rows of a table, in the order of their keys.
//!
//! Most of what is written is the log of consensus: a row for each vote, each after the one before, and all of them
//! gone with the next decision. So rows that come in order lie in a list behind the others, where writing one costs
//! no search and deleting a run of them is one step. It is short: a row may also come to lie between two of it.
//!
//! ```text
//!  earlier: a tree, any order        newest: a list, each key above all before
//!  ──────────────────────────── < ────────────────────────────
//! ```

use std::collections::BTreeMap;

use super::shelf::Value;

/// Rows in the list. When there are more, all go into the tree.
const NEWEST_MAX: usize = 1_024;

type Key = Vec<u8>;

/// Rows by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    earlier: BTreeMap<Key, Value>,
    newest: Vec<(Key, Value)>,
}

impl Rows {
    /// Sets a row.
    pub(super) fn insert(&mut self, key: Key, value: Value) {
        let last = self.newest.last().map(|(last, _)| last);
        let last = last.or_else(|| self.earlier.last_key_value().map(|(last, _)| last));
        if last.is_none_or(|last| *last < key) {
            if self.newest.len() >= NEWEST_MAX {
                self.earlier.extend(self.newest.drain(..));
            }
            self.newest.push((key, value));
            return;
        }
        match self.find(&key) {
            Ok(place) => {
                if let Some((_, known)) = self.newest.get_mut(place) {
                    *known = value;
                }
            }
            Err(0) => {
                self.earlier.insert(key, value);
            }
            Err(place) => self.newest.insert(place, (key, value)),
        }
    }

    /// Removes a row, if it is there.
    pub(super) fn remove(&mut self, key: &[u8]) {
        match self.find(key) {
            Ok(place) => {
                self.newest.remove(place);
            }
            Err(_) => {
                self.earlier.remove(key);
            }
        }
    }

    /// Removes every row from one key up to, not including, another.
    pub(super) fn remove_range(&mut self, from: &[u8], to: &[u8]) {
        if from >= to {
            return;
        }
        let place = |key: &[u8]| self.newest.partition_point(|(row, _)| row.as_slice() < key);
        let (first, end) = (place(from), place(to));
        self.newest.drain(first..end);
        if self.earlier.last_key_value().is_some_and(|(last, _)| last.as_slice() >= from) {
            let mut tail = self.earlier.split_off(from);
            self.earlier.append(&mut tail.split_off(to));
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Value> {
        match self.find(key) {
            Ok(place) => self.newest.get(place).map(|(_, value)| value),
            Err(_) => self.earlier.get(key),
        }
    }

    /// The rows from a key on.
    pub(super) fn from(&self, key: &[u8]) -> impl Iterator<Item = (&Key, &Value)> {
        let place = self.newest.partition_point(|(row, _)| row.as_slice() < key);
        let newest = self.newest.iter().skip(place).map(|(key, value)| (key, value));
        self.earlier.range(key.to_vec()..).chain(newest)
    }

    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.from(&[]).map(|(key, _)| key)
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.earlier.len().saturating_add(self.newest.len())
    }

    /// Where in the list a key is, or would be.
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.newest.binary_search_by(|(row, _)| row.as_slice().cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn rows_are_those_of_a_tree_whatever_is_done_in_whatever_order() {
        for seed in 0..64 {
            let mut random = Random::new(seed, 1);
            let (mut rows, mut tree) = (Rows::default(), BTreeMap::new());
            // Some in order, some not; more than the list takes.
            let step = if seed % 2 == 0 { 3 } else { 0 };
            for number in 0..3_000_u64 {
                let key = |random: &mut Random| {
                    let key = number * step + random.below(40 + 400 * (seed % 3));
                    key.to_be_bytes().to_vec()
                };
                match random.below(12) {
                    0 => {
                        let key = key(&mut random);
                        rows.remove(&key);
                        tree.remove(&key);
                    }
                    1 => {
                        let (from, to) = (key(&mut random), key(&mut random));
                        rows.remove_range(&from, &to);
                        tree.retain(|key, _| *key < from || *key >= to);
                    }
                    _ => {
                        let (key, value) = (key(&mut random), number.to_be_bytes());
                        rows.insert(key.clone(), Value::Own(value.into()));
                        tree.insert(key, value);
                    }
                }
                if number % 64 != 0 {
                    continue;
                }
                let from = key(&mut random);
                let found: Vec<_> = rows.from(&from).map(|(key, v)| (key, v.to_vec())).collect();
                let expected = tree.range(from.clone()..).map(|(key, v)| (key, v.to_vec()));
                assert_eq!(found, expected.collect::<Vec<_>>(), "seed {seed}, step {number}");
                assert_eq!(
                    rows.get(&from).map(|v| v.to_vec()),
                    tree.get(&from).map(|v| v.to_vec())
                );
                assert_eq!(rows.len(), tree.len());
                assert!(rows.newest.len() <= NEWEST_MAX + 1_000, "{}", rows.newest.len());
            }
            assert!(rows.keys().eq(tree.keys()));
        }
    }
}
