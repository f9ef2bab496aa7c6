//! What votes sign, worked out once for all votes that say the same.
//!
//! A vote's digest does not name its voter, and nearly all votes of a height are for one block: in a
//! committee of a hundred, two digests serve two hundred signatures.

use conclave_types::{BlockId, Digest, Epoch, Height, Round, VoteKind, digest::SigningDomain};

use crate::message::SignedVote;

/// Digests that are remembered: prevotes and precommits, for a block and for nil, of two rounds.
const REMEMBERED: usize = 8;

/// Everything that a digest depends on, beside the domain; the height says which epoch it is.
type Saying = (VoteKind, Height, Round, Option<BlockId>);

/// The digests that were asked for last.
#[derive(Debug, Default)]
pub(crate) struct VoteDigests {
    recent: Vec<(Saying, Digest)>,
    /// Which of them is the next to go.
    oldest: usize,
}

impl VoteDigests {
    /// What `vote` signs. The domain is the engine's, always the same, and `epoch` that of its height.
    pub(crate) fn of(&mut self, vote: &SignedVote, domain: &SigningDomain, epoch: Epoch) -> Digest {
        let saying = (vote.kind, vote.height, vote.round, vote.block);
        if let Some((_, known)) = self.recent.iter().find(|(known, _)| *known == saying) {
            return *known;
        }
        let digest = vote.digest(domain, epoch);
        match self.recent.get_mut(self.oldest) {
            Some(place) => *place = (saying, digest),
            None => self.recent.push((saying, digest)),
        }
        self.oldest = self.oldest.saturating_add(1) % REMEMBERED;
        digest
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::{NetworkId, SignatureBytes, ValidatorIndex};

    use super::*;

    #[test]
    fn every_vote_gets_its_own_digest_however_many_were_asked_for() {
        let domain = SigningDomain {
            network: NetworkId::new([3; 32]),
            l1_chain_id: 1,
            l1_contract: [4; 20],
        };
        let mut digests = VoteDigests::default();
        let rounds = (0..20).chain(0..20);
        for (number, round) in rounds.flat_map(|round| (0..3_u8).map(move |kind| (kind, round))) {
            for kind in [VoteKind::Prevote, VoteKind::Precommit] {
                let vote = SignedVote {
                    kind,
                    height: Height::new(u64::from(number) / 2),
                    round: Round::new(round),
                    block: (number > 0).then(|| BlockId::new([number; 32])),
                    voter: ValidatorIndex::new(0),
                    signature: SignatureBytes::new([0; 64]),
                };
                let expected = vote.digest(&domain, Epoch::ZERO);
                for _ in 0..2 {
                    assert_eq!(digests.of(&vote, &domain, Epoch::ZERO), expected, "{vote:?}");
                }
                assert!(digests.recent.len() <= REMEMBERED);
            }
        }
    }
}
