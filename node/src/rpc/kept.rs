//! A few of the things that never change once they are there, and that take work to make: those asked for last.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// At most `MAX` values by their keys; beyond that, the one that was made first goes.
pub(super) struct Kept<K, V, const MAX: usize>(Mutex<VecDeque<(K, Arc<V>)>>);

impl<K, V, const MAX: usize> Default for Kept<K, V, MAX> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + PartialEq, V, const MAX: usize> Kept<K, V, MAX> {
    /// What is kept under `key`, or what `make` makes. Whoever asks meanwhile makes it, too: nobody waits for another.
    pub(super) fn get_or<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<Option<V>, E>,
    ) -> Result<Option<Arc<V>>, E> {
        if let Some(kept) = self.get(key) {
            return Ok(Some(kept));
        }
        let made = make()?.map(Arc::new);
        if let Some(made) = &made {
            self.keep(key, made);
        }
        Ok(made)
    }

    fn get(&self, key: K) -> Option<Arc<V>> {
        // A cache that a panicking holder left behind is still a cache.
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(kept, _)| *kept == key);
        found.map(|(_, value)| Arc::clone(value))
    }

    fn keep(&self, key: K, value: &Arc<V>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(kept, _)| *kept != key);
        kept.push_back((key, Arc::clone(value)));
        if kept.len() > MAX {
            kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_last_is_kept_and_what_cannot_be_made_is_tried_again() {
        let kept = Kept::<u8, u8, 2>::default();
        let get = |key, made: Result<Option<u8>, &'static str>| {
            kept.get_or(key, || made).map(|value| value.map(|value| *value))
        };
        assert_eq!(get(1, Err("no disk")), Err("no disk"));
        assert_eq!(get(1, Ok(None)), Ok(None));
        for key in 1..=3 {
            assert_eq!(get(key, Ok(Some(key))), Ok(Some(key)));
        }
        assert_eq!(get(3, Err("made again")), Ok(Some(3)));
        assert_eq!(get(2, Err("made again")), Ok(Some(2)));
        assert_eq!(get(1, Err("made again")), Err("made again"), "two are kept");
    }
}
