//! Finding the transaction that a block cannot be sealed with.
//!
//! Every transaction is executed before its block is sealed, so sealing should never fail. But the
//! builder and the validator of the execution client are two pieces of code, and wherever they
//! disagree a single transaction could halt the rollup for ever. So when a block cannot be sealed,
//! the shortest prefix of it that cannot be sealed either is searched for by halving; its last
//! transaction is skipped, and the rest is tried again. The search depends on the batch and the
//! state alone, so every node skips the same.
//!
//! A machine that is short of threads or memory fails too, once or for a while. Nobody else would skip
//! what it skips, so a failure counts only if it comes again: the whole is tried twice before a search,
//! and a culprit is one only if its prefix still fails when the search is over.

use std::collections::BTreeMap;

/// Culprits that are looked for one by one. Behind the last one the rest of the slot is skipped: a
/// slot full of them must not take for ever (each costs about 2·log₂(n) builds).
pub const CULPRITS_MAX: usize = 32;

/// Searches that may find that there is no culprit. Then the machine is not to be trusted.
const EXCUSES_MAX: usize = 3;

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
    let mut excuses: usize = 0;
    let mut culprit: usize = 1;
    while culprit <= CULPRITS_MAX {
        match attempt(&excluded, count) {
            Err(AttemptError::Unsealable(_)) => {}
            sealed_or_ours => return sealed_or_ours,
        }
        let reason = match attempt(&excluded, count) {
            Err(AttemptError::Unsealable(reason)) => reason,
            sealed_or_ours => return sealed_or_ours,
        };
        let prefix = longest_sealable(&excluded, count, &mut attempt)?;
        match attempt(&excluded, prefix.saturating_add(1).min(count)) {
            // It seals after all: whatever failed was not this item, nor any before it.
            Ok(_) if excuses < EXCUSES_MAX => {
                excuses = excuses.saturating_add(1);
                continue;
            }
            // A machine on which the same fails now and then cannot tell whose fault it is.
            Ok(_) => return Err(AttemptError::Unsealable(reason)),
            Err(AttemptError::Unsealable(_)) => {}
            Err(ours @ AttemptError::Ours(_)) => return Err(ours),
        }
        let end = if culprit < CULPRITS_MAX { prefix.saturating_add(1) } else { count };
        for index in prefix..end {
            excluded.entry(index).or_insert_with(|| reason.clone());
        }
        culprit = culprit.saturating_add(1);
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

    /// Attempts fail by chance where `fails` says so, counted from zero.
    fn unsteady(
        bad: &[usize],
        fails: impl Fn(usize) -> bool,
    ) -> impl FnMut(&Excluded, usize) -> Attempt {
        let mut honest = without(bad);
        let mut count = 0;
        move |excluded, prefix| {
            count += 1;
            if fails(count - 1) && prefix > 0 {
                return Err(AttemptError::Unsealable("no thread to be had".into()));
            }
            honest(excluded, prefix)
        }
    }

    #[test]
    fn what_fails_once_is_not_skipped() {
        for failing in 0..12 {
            let sealed = seal(10, unsteady(&[4], |attempt| attempt == failing));
            let expected: Vec<_> = (0..10).filter(|i| *i != 4).collect();
            assert_eq!(sealed.unwrap(), expected, "attempt {failing}");
        }
        assert_eq!(seal(10, unsteady(&[], |attempt| attempt == 0)).unwrap().len(), 10);
    }

    #[test]
    fn a_machine_that_fails_for_a_while_skips_nothing() {
        for length in 2..6 {
            let sealed = seal(10, unsteady(&[], |attempt| attempt < length));
            assert_eq!(sealed.unwrap().len(), 10, "{length} failures in a row");
        }
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
