//! A binary keccak Merkle tree: `leaf = keccak(0x00 ‖ data)`, `node = keccak(0x01 ‖ left ‖ right)`,
//! padded with zero digests to a power of two. The number of leaves is committed beside the root.

use sha3::{Digest as _, Keccak256};

use crate::ids::Digest;

/// The digest of one leaf.
#[must_use]
pub fn leaf(data: &[u8]) -> Digest {
    Digest::new(Keccak256::new_with_prefix([0]).chain_update(data).finalize().into())
}

/// The digest of an inner node.
#[must_use]
pub fn node(left: &Digest, right: &Digest) -> Digest {
    let hasher = Keccak256::new_with_prefix([1]);
    Digest::new(
        hasher.chain_update(left.as_bytes()).chain_update(right.as_bytes()).finalize().into(),
    )
}

/// The root over `leaves`; the zero digest if there are none.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    levels(leaves).last().and_then(|top| top.first()).copied().unwrap_or_default()
}

/// The siblings of leaf `index`, from the bottom up; none if there is no such leaf.
#[must_use]
pub fn path(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    if index >= leaves.len() {
        return None;
    }
    let levels = levels(leaves);
    let below_top = levels.len().saturating_sub(1);
    let siblings = levels.iter().take(below_top).enumerate();
    Some(
        siblings
            .map(|(depth, level)| level.get((index >> depth) ^ 1).copied().unwrap_or_default())
            .collect(),
    )
}

/// The root that `leaf` at `index` has under `siblings`; none if the index does not fit the path.
#[must_use]
pub fn root_from_path(leaf: Digest, index: usize, siblings: &[Digest]) -> Option<Digest> {
    let mut at = index;
    let mut hash = leaf;
    for sibling in siblings {
        hash = if at & 1 == 0 { node(&hash, sibling) } else { node(sibling, &hash) };
        at >>= 1;
    }
    (at == 0).then_some(hash)
}

/// What the run of `count` leaves from `first` on does not determine of the tree: left before right on each level, from
/// the bottom up; none if the run is empty or goes beyond the leaves.
#[must_use]
pub fn range_path(leaves: &[Digest], first: usize, count: usize) -> Option<Vec<Digest>> {
    let end = first.checked_add(count).filter(|end| *end <= leaves.len() && count > 0)?;
    let levels = levels(leaves);
    let below_top = levels.len().saturating_sub(1);
    let mut siblings = Vec::new();
    for (depth, level) in levels.iter().take(below_top).enumerate() {
        // The run's part of this level, from the node over its first leaf up to the one over its last.
        let (from, last) = (first >> depth, end.saturating_sub(1) >> depth);
        if from & 1 == 1 {
            siblings.push(*level.get(from ^ 1)?);
        }
        if last & 1 == 0 {
            siblings.push(*level.get(last ^ 1)?);
        }
    }
    Some(siblings)
}

/// The root over `size` leaves that have `run` from `first` on; none if the run does not fit, or the siblings are too
/// many or too few.
#[must_use]
pub fn root_from_range(
    run: &[Digest],
    first: usize,
    size: usize,
    siblings: &[Digest],
) -> Option<Digest> {
    let end = first.checked_add(run.len());
    end.filter(|end| *end <= size && !run.is_empty())?;
    let (mut level, mut from, mut siblings) = (run.to_vec(), first, siblings.iter());
    let mut width = 1_usize;
    while width < size {
        let mut whole = Vec::with_capacity(level.len().saturating_add(2));
        if from & 1 == 1 {
            whole.push(*siblings.next()?);
        }
        whole.append(&mut level);
        // It begins with a left child now, so it ends with one if it is odd.
        if whole.len() & 1 == 1 {
            whole.push(*siblings.next()?);
        }
        level = pairs(&whole);
        from >>= 1;
        width = width.saturating_mul(2);
    }
    siblings.next().is_none().then(|| level.first().copied()).flatten()
}

fn pairs(level: &[Digest]) -> Vec<Digest> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => node(left, right),
            _ => Digest::ZERO,
        })
        .collect()
}

fn levels(leaves: &[Digest]) -> Vec<Vec<Digest>> {
    let mut bottom = leaves.to_vec();
    bottom.resize(leaves.len().next_power_of_two(), Digest::ZERO);
    let mut levels = vec![bottom];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        levels.push(pairs(level));
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_leads_to_the_root() {
        for count in 1..=9_u8 {
            let leaves: Vec<_> = (0..count).map(|i| leaf(&[i])).collect();
            for index in 0..leaves.len() {
                let path = path(&leaves, index).unwrap();
                assert_eq!(root_from_path(leaves[index], index, &path), Some(root(&leaves)));
                assert_ne!(
                    root_from_path(leaves[index], index ^ 1, &path),
                    Some(root(&leaves)),
                    "another index leads elsewhere, count {count}"
                );
            }
            assert_eq!(super::path(&leaves, leaves.len()), None);
        }
    }

    #[test]
    fn every_run_leads_to_the_root_where_it_is_and_nowhere_else() {
        for size in 1..=9_usize {
            let leaves: Vec<_> = (0..9_u8).take(size).map(|i| leaf(&[i])).collect();
            let whole = root(&leaves);
            for first in 0..size {
                for count in 1..=size - first {
                    let path = range_path(&leaves, first, count).unwrap();
                    let run = &leaves[first..first + count];
                    assert_eq!(root_from_range(run, first, size, &path), Some(whole));
                    let moved = root_from_range(run, first + 1, size, &path);
                    assert_ne!(moved, Some(whole), "{count} from {first} of {size}");
                    let longer = [path.as_slice(), &[Digest::ZERO]].concat();
                    assert_eq!(root_from_range(run, first, size, &longer), None);
                    if let Some((_, shorter)) = path.split_last() {
                        assert_eq!(root_from_range(run, first, size, shorter), None);
                    }
                    let mut other = run.to_vec();
                    other[count - 1] = leaf(b"another");
                    assert_ne!(root_from_range(&other, first, size, &path), Some(whole));
                }
                assert_eq!(range_path(&leaves, first, size - first + 1), None);
                assert_eq!(range_path(&leaves, first, 0), None);
            }
            assert_eq!(root_from_range(&[], 0, size, &[]), None);
            assert_eq!(range_path(&leaves, usize::MAX, 2), None);
        }
    }

    #[test]
    fn an_index_beyond_the_path_has_no_root() {
        assert_eq!(root_from_path(leaf(b"x"), 2, &[Digest::ZERO]), None);
    }
}
