//! A Merkle mountain range whose peaks are joined from the right: the list of all commitments so far.
//!
//! ```text
//!            root                 size 7: peaks over 4, 2 and 1 leaves
//!          ┌──┴──────┐
//!        peak        ·            root(n) = node(root of the first 2^k leaves, root of the rest),
//!      ┌──┴──┐    ┌──┴──┐         2^k the largest power of two below n
//!      ·     ·   peak   │
//!     ┌┴┐   ┌┴┐  ┌┴┐    │
//!     0 1   2 3  4 5   peak 6
//! ```
//!
//! That is the tree of RFC 9162, so its proofs are those of that document: that a leaf is in, and that one
//! list extends another, each with at most ⌈log₂ n⌉ + 1 digests. Subtrees that are full never change:
//! appending names the few that became full ([`Peaks::append`]), the owner keeps them wherever it keeps
//! things, and proofs are made from them alone.
//!
//! The root does not say how many leaves there are. Whoever checks knows it: the list that a commitment
//! of height h holds has h − 1 entries.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{ids::Digest, merkle};

/// A full subtree: its leaves are those from `index`·2^`level` on, 2^`level` of them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Subtree {
    /// Height of the subtree; 0 is a leaf.
    pub level: u8,
    /// Its place among the subtrees of that height.
    pub index: u64,
}

/// The leaves from `from` up to, not including, `to`.
#[derive(Clone, Copy)]
struct Range {
    from: u64,
    to: u64,
}

impl Range {
    const fn count(self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// The first 2^k leaves and the rest, 2^k being the largest power of two below their number.
    fn split(self) -> (Self, Self) {
        let half = self.count().saturating_sub(1).checked_ilog2().map_or(0, |bits| 1 << bits);
        let middle = self.from.saturating_add(half);
        (Self { from: self.from, to: middle }, Self { from: middle, to: self.to })
    }

    /// The full subtree over exactly these leaves, if there is one.
    fn full(self) -> Option<Subtree> {
        let level = self.count().checked_ilog2()?;
        let fits = self.count().is_power_of_two() && self.from.trailing_zeros() >= level;
        let level = u8::try_from(level).ok()?;
        fits.then_some(Subtree { level, index: self.from >> level })
    }
}

/// The full subtrees that the leaves from `from` up to, not including, `to` consist of, in order: each the largest
/// that begins where the one before ends.
#[must_use]
pub fn full_subtrees(from: u64, to: u64) -> Vec<Subtree> {
    let mut subtrees = Vec::new();
    let mut at = from;
    // A place that is even at level k is the beginning of a subtree of that level; zero is one of any.
    while let Some(largest) = to.checked_sub(at).and_then(u64::checked_ilog2) {
        let level = at.trailing_zeros().min(largest);
        let Ok(narrow) = u8::try_from(level) else { break };
        subtrees.push(Subtree { level: narrow, index: at >> level });
        at = at.saturating_add(1 << level);
    }
    subtrees
}

/// The digest of a leaf that stands for `digest`.
#[must_use]
pub fn leaf(digest: &Digest) -> Digest {
    merkle::leaf(digest.as_bytes())
}

/// All that is needed to append: the roots of the full subtrees that the list consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Peaks {
    count: u64,
    /// Largest first; one for each bit of `count`.
    digests: Vec<Digest>,
}

impl Peaks {
    /// Number of leaves.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Appends a digest; returns the subtrees that became full, to be kept for proofs.
    pub fn append(&mut self, digest: &Digest) -> Vec<(Subtree, Digest)> {
        let mut hash = leaf(digest);
        let mut full = vec![(Subtree { level: 0, index: self.count }, hash)];
        for level in 1..=self.count.trailing_ones() {
            let Some(left) = self.digests.pop() else { break };
            hash = merkle::node(&left, &hash);
            // A number of 64 bits has at most 64 trailing ones.
            let level = u8::try_from(level).unwrap_or(u8::MAX);
            full.push((Subtree { level, index: self.count >> level }, hash));
        }
        self.digests.push(hash);
        self.count = self.count.saturating_add(1);
        full
    }

    /// The root; zero if there are no leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut peaks = self.digests.iter().rev();
        let last = peaks.next().copied().unwrap_or_default();
        peaks.fold(last, |right, left| merkle::node(left, &right))
    }
}

/// Shows that entry `index` is in the list of the first `size`, out of full subtrees; none if one of those
/// is missing or there is no such entry.
pub fn prove_inclusion(
    size: u64,
    index: u64,
    mut subtree: impl FnMut(Subtree) -> Option<Digest>,
) -> Option<Vec<Digest>> {
    if index >= size {
        return None;
    }
    let mut range = Range { from: 0, to: size };
    let mut path = Vec::new();
    while range.count() > 1 {
        let (left, right) = range.split();
        let (within, beside) = if index < left.to { (left, right) } else { (right, left) };
        path.push(root_of(beside, &mut subtree)?);
        range = within;
    }
    path.reverse();
    Some(path)
}

/// Shows that the list of the first `new` entries begins with that of the first `old`; none if a subtree is
/// missing or it does not.
pub fn prove_extension(
    old: u64,
    new: u64,
    mut subtree: impl FnMut(Subtree) -> Option<Digest>,
) -> Option<Vec<Digest>> {
    if old > new {
        return None;
    }
    if old == 0 || old == new {
        return Some(Vec::new());
    }
    let mut range = Range { from: 0, to: new };
    let mut path = Vec::new();
    while range.to != old {
        let (left, right) = range.split();
        let (within, beside) = if old <= left.to { (left, right) } else { (right, left) };
        path.push(root_of(beside, &mut subtree)?);
        range = within;
    }
    // The checker knows the old root; what it cannot know is the part of it that ends where the old list
    // does, unless that part is the whole.
    if range.from > 0 {
        path.push(root_of(range, &mut subtree)?);
    }
    path.reverse();
    Some(path)
}

fn root_of(range: Range, subtree: &mut impl FnMut(Subtree) -> Option<Digest>) -> Option<Digest> {
    // Only the right edge is ragged, so this walks down one side and is no deeper than 64.
    let mut lefts = Vec::new();
    let mut rest = range;
    while rest.full().is_none() {
        let (left, right) = rest.split();
        lefts.push(subtree(left.full()?)?);
        rest = right;
    }
    let last = subtree(rest.full()?)?;
    Some(lefts.iter().rev().fold(last, |right, left| merkle::node(left, &right)))
}

/// Whether `digest` is entry `index` of the list of `size` entries with this root (RFC 9162, 2.1.3.2).
#[must_use]
pub fn verify_inclusion(
    root: &Digest,
    size: u64,
    index: u64,
    digest: &Digest,
    path: &[Digest],
) -> bool {
    if index >= size {
        return false;
    }
    let mut walk = Walk { at: index, last: size.saturating_sub(1) };
    let mut hash = leaf(digest);
    for sibling in path {
        let Some(side) = walk.up() else { return false };
        hash = side.node(&hash, sibling);
    }
    walk.last == 0 && hash == *root
}

/// Whether the list of `new` = (size, root) begins with that of `old` (RFC 9162, 2.1.4.2). Every list begins
/// with the empty one, whose root is zero.
#[must_use]
pub fn verify_extension(old: (u64, &Digest), new: (u64, &Digest), path: &[Digest]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 {
        return path.is_empty() && *old_root == Digest::ZERO;
    }
    if old_size >= new_size {
        return path.is_empty() && old == new;
    }
    let shift = old_size.saturating_sub(1).trailing_ones();
    let mut walk = Walk {
        at: old_size.saturating_sub(1).checked_shr(shift).unwrap_or(0),
        last: new_size.saturating_sub(1).checked_shr(shift).unwrap_or(0),
    };
    let (first, siblings) = if walk.at == 0 {
        (*old_root, path)
    } else {
        let Some((first, siblings)) = path.split_first() else { return false };
        (*first, siblings)
    };
    let (mut before, mut hash) = (first, first);
    for sibling in siblings {
        let Some(side) = walk.up() else { return false };
        if side == Side::Left {
            before = side.node(&before, sibling);
        }
        hash = side.node(&hash, sibling);
    }
    walk.last == 0 && before == *old_root && hash == *new_root
}

/// On which side a sibling stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    fn node(self, hash: &Digest, sibling: &Digest) -> Digest {
        match self {
            Self::Left => merkle::node(sibling, hash),
            Self::Right => merkle::node(hash, sibling),
        }
    }
}

/// Where a path is on its way up: at which node of its level, and which is the last one there.
struct Walk {
    at: u64,
    last: u64,
}

impl Walk {
    /// The side of the next sibling; none if the path is at the top already.
    fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.at & 1 == 1 || self.at == self.last { Side::Left } else { Side::Right };
        if side == Side::Left {
            // Levels where the node has no right sibling pass it on unchanged.
            while self.at & 1 == 0 && self.at != 0 {
                self.at >>= 1;
                self.last >>= 1;
            }
        }
        self.at >>= 1;
        self.last >>= 1;
        Some(side)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const COUNT: u64 = 40;

    fn entry(index: u64) -> Digest {
        merkle::leaf(&index.to_be_bytes())
    }

    /// The definition, by recursion over the leaves themselves.
    fn defined(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::ZERO,
            [one] => leaf(one),
            several => {
                let mut half = 1;
                while half * 2 < several.len() {
                    half *= 2;
                }
                merkle::node(&defined(&several[..half]), &defined(&several[half..]))
            }
        }
    }

    fn grown() -> (BTreeMap<Subtree, Digest>, Vec<Digest>) {
        let (mut peaks, mut subtrees) = (Peaks::default(), BTreeMap::new());
        let mut roots = vec![peaks.root()];
        for index in 0..COUNT {
            subtrees.extend(peaks.append(&entry(index)));
            roots.push(peaks.root());
        }
        (subtrees, roots)
    }

    #[test]
    fn appending_gives_the_root_that_the_definition_gives() {
        let entries: Vec<_> = (0..COUNT).map(entry).collect();
        let (_, roots) = grown();
        for (size, root) in roots.iter().enumerate() {
            assert_eq!(*root, defined(&entries[..size]), "size {size}");
        }
    }

    #[test]
    fn every_entry_of_every_list_is_proved_and_no_other_is() {
        let (subtrees, roots) = grown();
        for size in 0..=COUNT {
            let root = &roots[usize::try_from(size).unwrap()];
            for index in 0..=COUNT {
                let path = prove_inclusion(size, index, |at| subtrees.get(&at).copied());
                assert_eq!(path.is_some(), index < size, "entry {index} of {size}");
                let Some(path) = path else { continue };
                for claimed in 0..=COUNT {
                    assert_eq!(
                        verify_inclusion(root, size, claimed, &entry(index), &path),
                        claimed == index,
                        "entry {index} of {size} as {claimed}"
                    );
                }
                assert!(!verify_inclusion(root, size, index, &entry(index + 1), &path));
                let longer = [path.as_slice(), &[Digest::ZERO]].concat();
                assert!(!verify_inclusion(root, size, index, &entry(index), &longer));
            }
        }
    }

    #[test]
    fn a_list_extends_its_beginnings_and_nothing_else() {
        let (subtrees, roots) = grown();
        let root = |size: u64| &roots[usize::try_from(size).unwrap()];
        for new in 0..=COUNT {
            for old in 0..=COUNT {
                let path = prove_extension(old, new, |at| subtrees.get(&at).copied());
                assert_eq!(path.is_some(), old <= new, "{old} of {new}");
                let Some(path) = path else { continue };
                assert!(verify_extension((old, root(old)), (new, root(new)), &path), "{old} {new}");
                let other = merkle::leaf(b"another history");
                assert!(!verify_extension((old, &other), (new, root(new)), &path), "{old} {new}");
                // The empty list is the beginning of whatever the new root stands for.
                if old > 0 {
                    assert!(!verify_extension((old, root(old)), (new, &other), &path));
                }
                let longer = [path.as_slice(), &[Digest::ZERO]].concat();
                assert!(!verify_extension((old, root(old)), (new, root(new)), &longer));
            }
        }
    }

    #[test]
    fn a_missing_subtree_gives_no_proof() {
        let (subtrees, _) = grown();
        let gone = Subtree { level: 2, index: 1 };
        let kept = |at: Subtree| subtrees.get(&at).copied().filter(|_| at != gone);
        assert_eq!(prove_inclusion(8, 0, kept), None);
        assert!(prove_inclusion(8, 4, kept).is_some(), "the path of entry 4 does not need it");
        assert_eq!(prove_extension(4, 8, kept), None);
    }
}
