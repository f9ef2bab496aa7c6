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

fn levels(leaves: &[Digest]) -> Vec<Vec<Digest>> {
    let mut bottom = leaves.to_vec();
    bottom.resize(leaves.len().next_power_of_two(), Digest::ZERO);
    let mut levels = vec![bottom];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        let above = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node(left, right),
                _ => Digest::ZERO,
            })
            .collect();
        levels.push(above);
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
    fn an_index_beyond_the_path_has_no_root() {
        assert_eq!(root_from_path(leaf(b"x"), 2, &[Digest::ZERO]), None);
    }
}
