//! When two commitments contradict each other: if there is no history that holds both.
//!
//! A commitment covers every one below it through its history root. So whoever attests is bound by it for the rest of the
//! epoch, and not at that height only: who attests even heights of one chain and odd heights of another has signed both.
//! `ConclaveSlasher.reportAttestations` judges by the same rule.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{commitment::BlockCommitment, digest::SigningDomain, height::Height, ids::Digest, mmr};

/// What the history under a commitment holds at a height.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HistoryEntry {
    /// The digest of that height's commitment.
    pub digest: Digest,
    /// Its path ([`mmr::prove_inclusion`]). One that is too long for the history is of no use, and refused.
    pub path: Vec<Digest>,
}

impl HistoryEntry {
    /// Whether the history under `upper` holds it at `height`.
    #[must_use]
    pub fn is_held_by(&self, upper: &BlockCommitment, height: Height) -> bool {
        let before = |height: Height| height.as_u64().checked_sub(1);
        let Some((size, index)) = before(upper.height).zip(before(height)) else { return false };
        mmr::verify_inclusion(&upper.history_root, size, index, &self.digest, &self.path)
    }
}

/// Whether commitments of one epoch, the lower one first, are of no one history: two of one height; or the lower one ends
/// the epoch; or another one is held at its height, which `held` shows.
#[must_use]
pub fn contradict(
    [lower, upper]: [&BlockCommitment; 2],
    held: Option<&HistoryEntry>,
    domain: &SigningDomain,
) -> bool {
    if lower.epoch != upper.epoch || lower.height > upper.height {
        return false;
    }
    let digest = domain.commitment(lower);
    if lower.height == upper.height {
        return digest != domain.commitment(upper);
    }
    let is_other =
        |held: &HistoryEntry| held.digest != digest && held.is_held_by(upper, lower.height);
    // An epoch has no height above its end, whatever its history holds.
    lower.ends_epoch() || held.is_some_and(is_other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        block::L1Origin,
        commitment::EpochEnd,
        height::Epoch,
        ids::{BlockId, NetworkId},
        merkle,
        mmr::Peaks,
    };
    use std::collections::BTreeMap;

    const COUNT: u64 = 9;
    /// The last height that two chains have in common.
    const FORK: u64 = 3;

    type Subtrees = BTreeMap<mmr::Subtree, Digest>;

    fn domain() -> SigningDomain {
        let (network, l1_contract) = (NetworkId::new([1; 32]), [2; 20]);
        SigningDomain { network, l1_chain_id: 1, l1_contract }
    }

    /// The commitments of a chain, and its history.
    fn chain(salt: u8) -> (Vec<BlockCommitment>, Subtrees) {
        let (mut peaks, mut subtrees, mut all) = (Peaks::default(), Subtrees::new(), Vec::new());
        for height in 1..=COUNT {
            let salt = if height <= FORK { 0 } else { salt };
            let block = merkle::leaf(&[height.to_be_bytes().as_slice(), &[salt]].concat());
            let commitment = BlockCommitment {
                epoch: Epoch::new(1),
                height: Height::new(height),
                block: BlockId::new(*block.as_bytes()),
                history_root: peaks.root(),
                reveal_root: Digest::ZERO,
                rollup_count: 0,
                l1_origin: L1Origin::default(),
                forced_cursor: 0,
                withdrawals_root: Digest::ZERO,
                epoch_end: None,
            };
            subtrees.extend(peaks.append(&domain().commitment(&commitment)));
            all.push(commitment);
        }
        (all, subtrees)
    }

    fn entry(
        (all, subtrees): &(Vec<BlockCommitment>, Subtrees),
        height: u64,
        under: u64,
    ) -> HistoryEntry {
        let path = mmr::prove_inclusion(under - 1, height - 1, |at| subtrees.get(&at).copied());
        let digest = domain().commitment(&all[usize::try_from(height - 1).unwrap()]);
        HistoryEntry { digest, path: path.unwrap() }
    }

    #[test]
    fn any_two_commitments_of_two_histories_contradict_each_other_and_no_two_of_one() {
        let chains = [chain(1), chain(2)];
        for (low, high) in (1..=COUNT).flat_map(|low| (low..=COUNT).map(move |high| (low, high))) {
            for (own, other) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let at = |side: usize, height: u64| {
                    &chains[side].0[usize::try_from(height - 1).unwrap()]
                };
                let pair = [at(own, low), at(other, high)];
                let held = (low < high).then(|| entry(&chains[other], low, high));
                let is_other = own != other && low > FORK;
                let what = format!("{low} of {own}, {high} of {other}");
                assert_eq!(contradict(pair, held.as_ref(), &domain()), is_other, "{what}");
                // Nothing is said without what shows it, nor the other way around.
                assert_eq!(contradict(pair, None, &domain()), is_other && low == high, "{what}");
                let [lower, upper] = pair;
                let turned = contradict([upper, lower], held.as_ref(), &domain());
                assert_eq!(turned, is_other && low == high, "{what}");
            }
        }
    }

    #[test]
    fn what_shows_it_is_of_that_height_in_that_history() {
        let (ours, theirs) = (chain(1), chain(2));
        let pair = [&ours.0[4], &theirs.0[7]];
        assert!(contradict(pair, Some(&entry(&theirs, 5, 8)), &domain()));
        let mut wrong = vec![entry(&theirs, 4, 8), entry(&theirs, 6, 8), entry(&theirs, 5, 9)];
        for level in 0..entry(&theirs, 5, 8).path.len() {
            let mut changed = entry(&theirs, 5, 8);
            changed.path[level] = Digest::ZERO;
            wrong.push(changed);
        }
        let mut longer = entry(&theirs, 5, 8);
        longer.path.push(Digest::ZERO);
        let mut shorter = entry(&theirs, 5, 8);
        shorter.path.pop();
        wrong.extend([longer, shorter, HistoryEntry { digest: Digest::ZERO, path: Vec::new() }]);
        for held in wrong {
            assert!(!contradict(pair, Some(&held), &domain()), "{held:?}");
        }
        let mut zero = ours.0[4].clone();
        zero.height = Height::ZERO;
        assert!(!contradict([&zero, pair[1]], Some(&entry(&theirs, 5, 8)), &domain()));
    }

    #[test]
    fn an_epoch_has_no_height_above_its_end_and_every_epoch_has_one() {
        let (ours, _) = chain(1);
        let mut end = ours[3].clone();
        let (next_committee, dkg_result) = (Digest::new([7; 32]), Digest::new([8; 32]));
        end.epoch_end = Some(EpochEnd { next_committee, dkg_result });
        assert!(contradict([&end, &ours[4]], None, &domain()));
        // What L1 takes for no end is none here, and is no commitment in a message.
        let mut half = end.clone();
        half.epoch_end = Some(EpochEnd { next_committee: Digest::ZERO, dkg_result });
        assert!(!contradict([&half, &ours[4]], None, &domain()));
        let read = |commitment: &BlockCommitment| {
            borsh::from_slice::<BlockCommitment>(&borsh::to_vec(commitment).unwrap())
        };
        assert_eq!(read(&end).unwrap(), end);
        for epoch_end in [
            EpochEnd { next_committee: Digest::ZERO, dkg_result },
            EpochEnd { next_committee, dkg_result: Digest::ZERO },
        ] {
            half.epoch_end = Some(epoch_end);
            assert!(read(&half).is_err(), "{epoch_end:?}");
        }
        assert!(!contradict([&ours[2], &end], None, &domain()));
        let next = BlockCommitment { epoch: Epoch::new(2), ..ours[4].clone() };
        assert!(!contradict([&end, &next], None, &domain()));
    }
}
