//! Finding the transaction that a block cannot be sealed with.
//!
//! Every transaction is executed before its block is sealed, so sealing should never fail. But the
//! builder and the validator of the execution client are two pieces of code, and wherever they
//! disagree a single transaction could halt the rollup for ever. So when a block cannot be sealed,
//! the shortest prefix of it that cannot be sealed either is searched for by halving; its last
//! transaction is skipped, and the rest is tried again. The search depends on the batch and the
//! state alone, so every node skips the same.

use std::collections::BTreeMap;

/// Culprits that are looked for one by one. Behind the last one the rest of the slot is skipped: a
/// slot full of them must not take for ever (each costs about 2·log₂(n) builds).
pub const CULPRITS_MAX: usize = 32;

/// Why an attempt to seal failed.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError<E> {
    /// A transaction in it is at fault.
    #[error("the block cannot be sealed: {0}")]
    Unsealable(String),
    /// The machine is at fault: nothing may be concluded.
    #[error(transparent)]
    Ours(E),
}

/// Items that an attempt leaves out, with the reason.
pub type Excluded = BTreeMap<usize, String>;

/// Seals as many of the first `count` items as can be sealed. `attempt(excluded, prefix)` builds and
/// seals the first `prefix` items without the excluded ones.
///
/// # Errors
///
/// What an attempt failed with, if that is not an item's fault, or not even an empty block seals.
pub fn seal<T, E>(
    count: usize,
    mut attempt: impl FnMut(&Excluded, usize) -> Result<T, AttemptError<E>>,
) -> Result<T, AttemptError<E>> {
    let mut excluded = Excluded::new();
    for culprit in 1..=CULPRITS_MAX {
        let reason = match attempt(&excluded, count) {
            Err(AttemptError::Unsealable(reason)) => reason,
            sealed_or_ours => return sealed_or_ours,
        };
        let prefix = longest_sealable(&excluded, count, &mut attempt)?;
        let end = if culprit < CULPRITS_MAX { prefix.saturating_add(1) } else { count };
        for index in prefix..end {
            excluded.entry(index).or_insert_with(|| reason.clone());
        }
    }
    attempt(&excluded, count)
}

/// The longest prefix that seals, by halving; the empty one must.
fn longest_sealable<T, E>(
    excluded: &Excluded,
    count: usize,
    attempt: &mut impl FnMut(&Excluded, usize) -> Result<T, AttemptError<E>>,
) -> Result<usize, AttemptError<E>> {
    attempt(excluded, 0)?;
    let (mut seals, mut fails) = (0_usize, count);
    while fails.saturating_sub(seals) > 1 {
        let middle = seals.midpoint(fails);
        match attempt(excluded, middle) {
            Ok(_) => seals = middle,
            Err(AttemptError::Unsealable(_)) => fails = middle,
            Err(ours @ AttemptError::Ours(_)) => return Err(ours),
        }
    }
    Ok(seals)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Attempt = Result<Vec<usize>, AttemptError<&'static str>>;

    fn without(bad: &[usize]) -> impl FnMut(&Excluded, usize) -> Attempt {
        move |excluded, prefix| {
            let taken: Vec<_> = (0..prefix).filter(|i| !excluded.contains_key(i)).collect();
            match taken.iter().find(|i| bad.contains(i)) {
                Some(_) => Err(AttemptError::Unsealable("bad".into())),
                None => Ok(taken),
            }
        }
    }

    #[test]
    fn exactly_the_culprits_are_left_out() {
        for bad in [vec![], vec![0], vec![9], vec![3, 4], vec![0, 5, 9], (0..10).collect()] {
            let sealed = seal(10, without(&bad)).unwrap();
            let expected: Vec<_> = (0..10).filter(|i| !bad.contains(i)).collect();
            assert_eq!(sealed, expected, "culprits {bad:?}");
        }
    }

    #[test]
    fn a_slot_full_of_culprits_ends_with_its_sealable_prefix() {
        let bad: Vec<_> = (100..1_000).collect();
        assert_eq!(seal(1_001, without(&bad)).unwrap(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_failing_disk_is_nobodys_fault() {
        let failing = |_: &Excluded, _| Attempt::Err(AttemptError::Ours("disk"));
        assert!(matches!(seal(10, failing), Err(AttemptError::Ours("disk"))));
    }

    #[test]
    fn if_not_even_the_empty_block_seals_it_is_an_error() {
        let hopeless = |_: &Excluded, _| Attempt::Err(AttemptError::Unsealable("header".into()));
        assert!(matches!(seal(10, hopeless), Err(AttemptError::Unsealable(_))));
        assert!(matches!(seal(0, hopeless), Err(AttemptError::Unsealable(_))));
    }
}
