//! Certificates of votes that nobody has cast.

use std::collections::BTreeSet;

use conclave_consensus::{
    ConsensusMessage, PolkaCertificate, RoundCertificate, RoundReason, RoundVote, SignedVote,
};
use conclave_sequencer::Message;
use conclave_types::{BlockId, Height, Round, SignatureBytes, ValidatorIndex, VoteKind};

use super::{Letter, Means, Misbehaviour};

/// Rounds that it remembers; then it forgets all of them.
const MEMORY: usize = 1_024;

/// Claims with each proposal that everyone has prevoted for it, and in each round that everyone is in the
/// next one. Every vote that it makes up is signed, but by itself.
#[derive(Default)]
pub(super) struct FalseCertificates {
    seen: BTreeSet<(Height, Round)>,
}

/// What it signs in the place of others.
fn signature(
    means: &Means,
    height: Height,
    round: Round,
    block: Option<BlockId>,
) -> SignatureBytes {
    let vote = SignedVote {
        kind: VoteKind::Prevote,
        height,
        round,
        block,
        voter: ValidatorIndex::new(means.index),
        signature: SignatureBytes::new([0; 64]),
    };
    means.vote(&vote, block).signature
}

impl Misbehaviour for FalseCertificates {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Message::Consensus(ConsensusMessage::Proposal(proposal)) = &letter.message else {
            return vec![letter];
        };
        if proposal.proposer.as_u16() != means.index {
            return vec![letter];
        }
        means.count("false_certificates");
        let (height, round, block) = (proposal.height, proposal.round, proposal.block);
        let signature = signature(means, height, round, Some(block));
        let everyone = (0..means.validators).map(ValidatorIndex::new);
        let signatures = everyone.map(|voter| (voter, signature)).collect();
        let polka = PolkaCertificate { height, round, block, signatures };
        let polka = letter.with(Message::Consensus(ConsensusMessage::Polka(polka)));
        vec![letter, polka]
    }

    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Consensus(ConsensusMessage::Vote(vote)) = message else { return Vec::new() };
        if self.seen.len() >= MEMORY {
            self.seen.clear();
        }
        if !self.seen.insert((vote.height, vote.round)) {
            return Vec::new();
        }
        means.count("false_certificates");
        let (height, round) = (vote.height, vote.round.next());
        let signature = signature(means, height, round, None);
        let everyone = (0..means.validators).map(ValidatorIndex::new);
        let vote = |voter| RoundVote { kind: VoteKind::Prevote, block: None, voter, signature };
        let votes = everyone.map(vote).collect();
        let skip = RoundCertificate { height, round, reason: RoundReason::Skip, votes };
        let skip = Message::Consensus(ConsensusMessage::Round(skip));
        means.others().map(|to| Letter::new(to, skip.clone())).collect()
    }
}
