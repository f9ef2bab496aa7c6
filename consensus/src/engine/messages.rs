//! How messages of others reach the core: within bounds, by members of the committee of their height, once.

use conclave_types::{BlockId, Height, Round, Time, ValidatorIndex};
use malachitebft_core_consensus::Input;

use super::Engine;
use crate::{
    archive::{self, Archive},
    convert::{polka_to_core, round_certificate_to_core},
    interface::{Fault, Output},
    message::ConsensusMessage,
    record::SignedRecord,
};

/// Certificates of higher rounds are dropped: the core counts rounds in 32 bits and adds to them.
const ROUND_MAX: u32 = 1 << 30;

impl Engine {
    /// Takes a message that `from` sent (its author may be another).
    pub fn message(
        &mut self,
        now: Time,
        from: ValidatorIndex,
        message: ConsensusMessage,
    ) -> Vec<Output> {
        self.begin(now);
        self.shell.sender = Some(from);
        let height = message.height();
        if !Archive::accepts_height(self.tip, height) {
            return self.finish();
        }
        if self.shell.terms.at(height).committee.place_of(from).is_none() {
            self.shell.fault(Fault::UnknownValidator(from));
            return self.finish();
        }
        match message {
            ConsensusMessage::Vote(vote) => self.signed_message(SignedRecord::Vote(vote)),
            ConsensusMessage::Proposal(proposal) => {
                self.signed_message(SignedRecord::Proposal(proposal));
            }
            ConsensusMessage::Polka(polka) => {
                let is_nil = polka.block == BlockId::ZERO;
                if is_nil {
                    self.shell.fault(Fault::BadCertificate);
                } else if self.takes_certificate(polka.height, polka.round, polka.signatures.len())
                {
                    self.feed(Input::PolkaCertificate(polka_to_core(&polka)));
                }
            }
            ConsensusMessage::Round(round) => {
                let is_disguised = round.votes.iter().any(|vote| vote.block == Some(BlockId::ZERO));
                if is_disguised {
                    self.shell.fault(Fault::BadCertificate);
                } else if self.takes_certificate(round.height, round.round, round.votes.len()) {
                    self.feed(Input::RoundCertificate(round_certificate_to_core(&round)));
                }
            }
        }
        self.finish()
    }

    /// Handles a vote or proposal: bounds, then signature, then archive, then the core.
    fn signed_message(&mut self, record: SignedRecord) {
        let position = record.position();
        let author = archive::author(&record);
        let wanted = Archive::accepts_height(self.tip, position.height)
            && self.shell.archive.accepts_round(position.height, position.round)
            && self.shell.archive.wants(&record);
        if !wanted {
            return;
        }
        if self.shell.terms.at(position.height).committee.place_of(author).is_none() {
            return self.shell.fault(Fault::UnknownValidator(author));
        }
        if let Some(fault) = self.malformed(&record) {
            return self.shell.fault(fault);
        }
        if !self.shell.verify_new(record.clone()) {
            return self.shell.fault(Fault::BadSignature(author));
        }
        if Some(author) == self.shell.signer.index() {
            let mut records = Vec::new();
            self.shell.signer.observe(&record, &mut records);
            self.shell.out.extend(records.into_iter().map(Output::Persist));
        }
        if self.running && position.height == self.shell.height {
            self.feed_record(&record);
        }
    }

    /// What is wrong with a message whatever its signature.
    fn malformed(&self, record: &SignedRecord) -> Option<Fault> {
        let proposal = match record {
            SignedRecord::Vote(vote) => {
                // One signature would serve for both, and make of an honest vote for nil two that differ.
                let is_disguised = vote.block == Some(BlockId::ZERO);
                return is_disguised.then_some(Fault::NilAsBlock(vote.voter));
            }
            SignedRecord::Proposal(proposal) if proposal.block == BlockId::ZERO => {
                return Some(Fault::NilAsBlock(proposal.proposer));
            }
            SignedRecord::Proposal(proposal) => proposal,
        };
        if self.proposer(proposal.height, proposal.round) != proposal.proposer {
            return Some(Fault::NotProposer(proposal.proposer));
        }
        let late = proposal.pol_round.is_some_and(|pol_round| pol_round >= proposal.round);
        late.then_some(Fault::BadPolRound(proposal.proposer))
    }

    /// Whether a certificate is worth judging: for the height in progress, and not oversized.
    fn takes_certificate(&mut self, height: Height, round: Round, signatures: usize) -> bool {
        if signatures > self.shell.terms.at(height).committee.count() {
            self.shell.fault(Fault::BadCertificate);
            return false;
        }
        self.running && height == self.shell.height && round.as_u32() <= ROUND_MAX
    }
}
