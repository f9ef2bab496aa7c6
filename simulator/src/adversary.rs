//! Byzantine validators: they run the shipped core, and distort what it sends.

use std::sync::Arc;

use conclave_consensus::{ConsensusMessage, SignedVote};
use conclave_sequencer::{Identity, Message, ShareMessage};
use conclave_types::{
    BlockId, Epoch, G1Bytes, Genesis, SignatureBytes, digest::SigningDomain,
};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::scenario::Behaviour;

/// One misbehaving validator.
pub struct Adversary {
    behaviour: Behaviour,
    domain: SigningDomain,
    index: u16,
    key: SigningKey,
}

impl Adversary {
    /// A validator with honest keys and bad intentions.
    #[must_use]
    pub fn new(behaviour: Behaviour, genesis: &Genesis, index: u16, identity: &Identity) -> Self {
        let key = identity.signing_key.clone();
        Self { behaviour, domain: SigningDomain::of(genesis), index, key }
    }

    /// What it really sends to `to` instead of `message`.
    pub fn distort(&mut self, to: u16, message: Message) -> Vec<Message> {
        match (self.behaviour, message) {
            (Behaviour::Silent, _) => Vec::new(),
            (Behaviour::WithholdShares, Message::Shares(_)) => Vec::new(),
            (Behaviour::WrongShares, Message::Shares(shares)) => vec![self.wrong(&shares)],
            (Behaviour::Equivocate, Message::Consensus(ConsensusMessage::Vote(vote))) => {
                self.double(to, vote)
            }
            (_, message) => vec![message],
        }
    }

    /// Half of the validators get the honest vote, half its opposite, and one in four both.
    fn double(&self, to: u16, vote: SignedVote) -> Vec<Message> {
        if vote.voter.as_u16() != self.index {
            return vec![Message::Consensus(ConsensusMessage::Vote(vote))];
        }
        let block = match vote.block {
            Some(_) => None,
            None => Some(BlockId::new([7; 32])),
        };
        let mut other = SignedVote { block, ..vote.clone() };
        let signature = self.key.sign(other.digest(&self.domain, Epoch::ZERO).as_bytes());
        other.signature = SignatureBytes::new(signature.to_bytes());
        let honest = Message::Consensus(ConsensusMessage::Vote(vote));
        let opposite = Message::Consensus(ConsensusMessage::Vote(other));
        match to % 4 {
            0 => vec![honest, opposite],
            1 | 3 => vec![honest],
            _ => vec![opposite],
        }
    }

    /// Points that are on the curve and in the subgroup, but not its shares: the honest ones turned
    /// round by one place, or the generator where there is but one.
    fn wrong(&self, message: &ShareMessage) -> Message {
        const GENERATOR: &str = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
        let generator: G1Bytes = GENERATOR.parse().unwrap_or_default();
        let mut shares = message.shares.clone();
        if let Some(first) = shares.first_mut() {
            *first = generator;
        }
        let digest = ShareMessage::digest(
            &self.domain,
            message.epoch,
            message.height,
            message.block,
            &shares,
        );
        let signature = SignatureBytes::new(self.key.sign(digest.as_bytes()).to_bytes());
        Message::Shares(Arc::new(ShareMessage { shares, signature, ..message.clone() }))
    }
}
