//! What one validator sends another.

use std::sync::Arc;

use conclave_consensus::{
    ConsensusMessage, HighWater, PolkaCertificate, RoundCertificate, RoundReason, RoundVote,
    SignedProposal, SignedRecord, SignedVote, WalEntry,
};
use conclave_sequencer::{DecidedBlock, Message, PartialOpening, ShareMessage};
use conclave_types::{
    BlockId, BundleId, Epoch, G1Bytes, Height, Opening, Round, SeedBytes, SignatureBytes,
    ValidatorIndex, VoteKind,
};

use crate::{borsh_bytes::canonical, fuzz, samples};

const SIGNATURE: SignatureBytes = SignatureBytes::new([13; 64]);

fn consensus_messages() -> Vec<ConsensusMessage> {
    let (height, round) = (Height::new(42), Round::new(1));
    let (block, voter) = (BlockId::new([21; 32]), ValidatorIndex::new(2));
    let vote = RoundVote { kind: VoteKind::Precommit, block: None, voter, signature: SIGNATURE };
    vec![
        ConsensusMessage::Vote(Arc::new(SignedVote {
            kind: VoteKind::Prevote,
            height,
            round,
            block: Some(block),
            voter,
            signature: SIGNATURE,
        })),
        ConsensusMessage::Proposal(Arc::new(SignedProposal {
            height,
            round,
            block,
            pol_round: Some(Round::new(0)),
            proposer: voter,
            signature: SIGNATURE,
        })),
        ConsensusMessage::Polka(PolkaCertificate {
            height,
            round,
            block,
            signatures: vec![(voter, SIGNATURE); 3],
        }),
        ConsensusMessage::Round(RoundCertificate {
            height,
            round,
            reason: RoundReason::Skip,
            votes: vec![vote; 2],
        }),
    ]
}

fn openings() -> Vec<Opening> {
    vec![Opening::Point(G1Bytes::new([8; 48])), Opening::Seed(SeedBytes::new([9; 32]))]
}

fn messages() -> Vec<Message> {
    let (height, block) = (Height::new(42), BlockId::new([21; 32]));
    let decided = DecidedBlock {
        block: samples::block(),
        certificate: samples::certificate(3),
        bundles: vec![samples::bundle(272)],
        openings: Some(openings()),
    };
    let shares = ShareMessage {
        epoch: Epoch::new(1),
        height,
        block,
        validator: ValidatorIndex::new(2),
        shares: vec![G1Bytes::new([8; 48]); 3],
        signature: SIGNATURE,
    };
    let mut messages: Vec<_> = consensus_messages().into_iter().map(Message::Consensus).collect();
    messages.extend([
        Message::Block(Arc::new(samples::block())),
        Message::Sharing(Arc::new(samples::sharing_message())),
        Message::Attestation(Arc::new(samples::attestation())),
        Message::Certificate(Arc::new(samples::settlement_certificate())),
        Message::WantCertificate { height },
        Message::Bundles(vec![Arc::new(samples::bundle(272)), Arc::new(samples::bundle(16))]),
        Message::Shares(Arc::new(shares)),
        Message::Status { decided: height, revealed: height },
        Message::WantBlock { height, block },
        Message::WantBundles(vec![BundleId::new([14; 32]); 3]),
        Message::WantDecided { from: height },
        Message::WantOpenings { height },
        Message::Decided(vec![Arc::new(decided)]),
        Message::Openings { height, block, openings: openings() },
        Message::Part(Arc::new(PartialOpening { height, block, part: 3, openings: openings() })),
    ]);
    messages
}

#[test]
fn message() {
    let corpus: Vec<_> = messages().iter().map(Message::encode).collect();
    fuzz("message", &corpus, |bytes| {
        if let Ok(message) = Message::decode(bytes) {
            assert_eq!(message.encode(), bytes, "two encodings of one message");
            assert_eq!(message.is_bulk(), message.is_bulk());
        }
    });
}

#[test]
fn consensus_message() {
    let corpus: Vec<_> =
        consensus_messages().iter().map(|m| borsh::to_vec(m).expect("writes")).collect();
    fuzz("consensus message", &corpus, |bytes| {
        if let Some(message) = canonical::<ConsensusMessage>(bytes) {
            assert_eq!(message.height(), message.height());
        }
    });
}

#[test]
fn what_a_validator_wrote_down() {
    // From the disk rather than the network; a damaged record must be an error, not a panic.
    let corpus = [vec![0; 64], vec![1; 128], vec![2; 256]];
    fuzz("records", &corpus, |bytes| {
        let _entry = canonical::<WalEntry>(bytes);
        let _record = canonical::<SignedRecord>(bytes);
        let _mark = canonical::<HighWater>(bytes);
    });
}
