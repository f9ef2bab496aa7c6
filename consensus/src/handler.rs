//! Answers Malachite's effects. Infallible in type: a failure in here would be logged and ignored.
//!
//! A refused signature is answered with [`REFUSED`]. The core then finds that its own message does
//! not verify and drops it, as it would a stranger's, and [`Shell::broadcast_vote`] keeps it off the
//! wire; the state machine goes on as that of a validator whose vote was lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use conclave_types::{
    BlockId, Certificate, Digest, Height, Round, SignatureBytes, Time, TimingParams,
    ValidatorIndex, Verifier, VoteKind, digest::SigningDomain,
};
use ed25519_dalek::VerifyingKey;
use malachitebft_core_consensus::{
    ConsensusMsg, Effect, Input, LivenessMsg, MisbehaviorEvidence, Resumable, Resume,
    SignedConsensusMsg, VoteExtensionError,
};
use malachitebft_core_types::{self as mc, CommitCertificate};

use crate::{
    archive::{Archive, Insert},
    certificates::{self, Verdict},
    context::Bft,
    convert::{
        polka_from_core, proposal_from_core, round_certificate_from_core, round_from_core,
        vote_from_core,
    },
    digests::VoteDigests,
    interface::{Fault, Output},
    message::{ConsensusMessage, SignedProposal, SignedVote},
    record::{Record, SignedRecord, WalEntry},
    signer::Signer,
    terms::{Seats, Terms},
    timers::{self, Timers},
    wal::{Logged, Wait},
};

/// Stands where a signature was refused. It never verifies.
const REFUSED: SignatureBytes = SignatureBytes::new([0; 64]);

/// Everything around Malachite's state machine that its effects touch.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) domain: SigningDomain,
    pub(crate) terms: Terms,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) timing: TimingParams,
    pub(crate) signer: Signer,
    pub(crate) archive: Archive,
    pub(crate) digests: VoteDigests,
    pub(crate) timers: Timers,
    pub(crate) now: Time,
    /// The height in progress.
    pub(crate) height: Height,
    /// Outputs of the call in progress.
    pub(crate) out: Vec<Output>,
    /// Entries in the WAL of this height, this call's included.
    pub(crate) wal_entries: u64,
    /// Entries that were there before this call.
    pub(crate) wal_entries_before: u64,
    /// Encoded entries that are being replayed, and so are in the WAL already.
    pub(crate) replayed: BTreeSet<Vec<u8>>,
    /// The round for which the core wants a block of ours.
    pub(crate) wanted: Option<Round>,
    /// The decision, once there is one.
    pub(crate) decided: Option<Certificate>,
    /// Who sent the message in progress.
    pub(crate) sender: Option<ValidatorIndex>,
    /// Voting power that prevoted for a block of this height in a round. At most two for each voter and
    /// round: the archive keeps no more.
    pub(crate) prevoted: BTreeMap<(Round, BlockId), u64>,
    /// Polkas of this height that were reported. At most one for each round and equivocating third.
    pub(crate) polkas: BTreeSet<(Round, BlockId)>,
    /// Blocks of this height with a signed proposal or a polka, and the rounds of these: at most a few
    /// blocks for each round.
    pub(crate) proposed: BTreeMap<BlockId, BTreeSet<Round>>,
}

impl Shell {
    /// Handles one effect and says how the core resumes.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the next function has the other half")]
    pub(crate) fn handle(&mut self, effect: Effect<Bft>) -> Resume<Bft> {
        match effect {
            Effect::CancelAllTimeouts(resume) => {
                self.timers.clear();
                resume.resume_with(())
            }
            Effect::CancelTimeout(timeout, resume) => {
                if let Some(wait) = Wait::from_core(timeout.kind) {
                    self.timers.cancel(wait, round_from_core(timeout.round));
                }
                resume.resume_with(())
            }
            Effect::ScheduleTimeout(timeout, resume) => {
                if let Some(wait) = Wait::from_core(timeout.kind) {
                    self.schedule(wait, round_from_core(timeout.round));
                }
                resume.resume_with(())
            }
            Effect::StartRound(_, round, proposer, _, resume) => {
                self.start_round(round_from_core(round), proposer.0);
                resume.resume_with(())
            }
            Effect::GetValue(_, round, _, resume) => {
                self.wanted = Some(round_from_core(round));
                resume.resume_with(())
            }
            Effect::RestreamProposal(height, round, _, _, block, resume) => {
                let round = round_from_core(round);
                self.out.push(Output::Repropose { height: height.0, round, block });
                resume.resume_with(())
            }
            Effect::WalAppend(height, input, resume) => {
                self.log(height.0, &input);
                resume.resume_with(())
            }
            Effect::Decide(certificate, _, resume) => {
                self.decide(&certificate);
                resume.resume_with(())
            }
            Effect::Finalize(_, _, evidence, resume) => {
                self.admit_evidence(evidence);
                resume.resume_with(())
            }
            other => self.handle_message_effect(other),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the next function has the rest")]
    fn handle_message_effect(&mut self, effect: Effect<Bft>) -> Resume<Bft> {
        match effect {
            Effect::PublishConsensusMsg(message, resume) => {
                match message {
                    SignedConsensusMsg::Vote(vote) => self.broadcast_vote(&vote),
                    SignedConsensusMsg::Proposal(proposal) => self.broadcast_proposal(&proposal),
                }
                resume.resume_with(())
            }
            Effect::PublishLivenessMsg(message, resume) => {
                match message {
                    LivenessMsg::Vote(vote) => self.broadcast_vote(&vote),
                    LivenessMsg::PolkaCertificate(polka) => {
                        self.broadcast(ConsensusMessage::Polka(polka_from_core(&polka)));
                    }
                    LivenessMsg::SkipRoundCertificate(certificate) => {
                        self.broadcast_round_certificate(&certificate);
                    }
                }
                resume.resume_with(())
            }
            Effect::RepublishVote(vote, resume) => {
                self.broadcast_vote(&vote);
                resume.resume_with(())
            }
            Effect::RepublishRoundCertificate(certificate, resume) => {
                self.broadcast_round_certificate(&certificate);
                resume.resume_with(())
            }
            Effect::SignVote(vote, resume) => {
                let signature = self.sign_vote(vote_from_core(&vote, REFUSED));
                resume.resume_with(mc::SignedMessage::new(vote, signature))
            }
            Effect::SignProposal(proposal, resume) => {
                let signature = self.sign_proposal(proposal_from_core(&proposal, REFUSED));
                resume.resume_with(mc::SignedMessage::new(proposal, signature))
            }
            other => self.handle_verify_effect(other),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only value sync is left, which is never used and wants no answer"
    )]
    fn handle_verify_effect(&mut self, effect: Effect<Bft>) -> Resume<Bft> {
        match effect {
            // The key is that of the author's seat, where it is looked up.
            Effect::VerifySignature(message, _, resume) => {
                resume.resume_with(self.verify_and_admit(&message))
            }
            Effect::VerifyCommitCertificate(certificate, set, thresholds, resume) => {
                let verify = |vote: &mc::SignedVote<Bft>| self.verifies(vote);
                resume.resume_with(certificates::commit(&certificate, &set, thresholds, verify))
            }
            Effect::VerifyExtendedCommitCertificate(certificate, set, thresholds, _, resume) => {
                let certificate = certificate.trim_vote_extensions();
                let verify = |vote: &mc::SignedVote<Bft>| self.verifies(vote);
                resume.resume_with(certificates::commit(&certificate, &set, thresholds, verify))
            }
            Effect::VerifyPolkaCertificate(certificate, set, thresholds, resume) => {
                let verify = |vote: &mc::SignedVote<Bft>| self.verifies(vote);
                let verdict = certificates::polka(&certificate, &set, thresholds, verify);
                self.admit_votes(&verdict, certificate.votes(&Bft));
                if verdict.is_ok() {
                    self.report_polka(round_from_core(certificate.round), certificate.value_id);
                }
                resume.resume_with(verdict)
            }
            Effect::VerifyRoundCertificate(certificate, set, thresholds, resume) => {
                let verify = |vote: &mc::SignedVote<Bft>| self.verifies(vote);
                let verdict = certificates::round(&certificate, &set, thresholds, verify);
                self.admit_votes(&verdict, certificate.votes(&Bft));
                resume.resume_with(verdict)
            }
            Effect::ExtendVote(.., resume) => resume.resume_with(None),
            Effect::VerifyVoteExtension(.., resume) => {
                resume.resume_with(Err(VoteExtensionError::InvalidVoteExtension))
            }
            _ => Resume::Continue,
        }
    }

    fn schedule(&mut self, wait: Wait, round: Round) {
        let at = self.now.after(timers::duration(&self.timing, wait, round));
        self.timers.set(wait, round, at);
    }

    fn start_round(&mut self, round: Round, proposer: ValidatorIndex) {
        self.wanted = None;
        self.archive.enter_round(self.height, round);
        self.out.push(Output::RoundStarted { height: self.height, round, proposer });
    }

    fn log(&mut self, height: Height, input: &Input<Bft>) {
        if height != self.height || !self.signer.keeps_wal() {
            return;
        }
        let Some(bytes) = Logged::from_core(input).and_then(|entry| entry.encode()) else {
            return;
        };
        if self.replayed.contains(&bytes) {
            return;
        }
        let entry = WalEntry { height, index: self.wal_entries, bytes };
        self.wal_entries = self.wal_entries.saturating_add(1);
        self.out.push(Output::Persist(Record::Wal(entry)));
    }

    fn decide(&mut self, decision: &CommitCertificate<Bft>) {
        let mut signatures: Vec<_> = decision
            .commit_signatures
            .iter()
            .map(|entry| (entry.address.0, entry.signature))
            .collect();
        signatures.sort_unstable();
        let certificate = Certificate {
            epoch: self.terms.at(decision.height.0).epoch,
            height: decision.height.0,
            round: round_from_core(decision.round),
            block: decision.value_id,
            signatures,
        };
        self.out.push(Output::Decided { certificate: certificate.clone() });
        self.decided = Some(certificate);
    }

    fn broadcast(&mut self, message: ConsensusMessage) {
        self.out.push(Output::Broadcast(message));
    }

    fn broadcast_vote(&mut self, vote: &mc::SignedVote<Bft>) {
        if vote.signature != REFUSED {
            let vote = vote_from_core(&vote.message, vote.signature);
            self.broadcast(ConsensusMessage::Vote(vote.into()));
        }
    }

    fn broadcast_proposal(&mut self, proposal: &mc::SignedProposal<Bft>) {
        if proposal.signature != REFUSED {
            let proposal = proposal_from_core(&proposal.message, proposal.signature);
            self.broadcast(ConsensusMessage::Proposal(proposal.into()));
        }
    }

    fn broadcast_round_certificate(&mut self, certificate: &mc::RoundCertificate<Bft>) {
        let certificate = round_certificate_from_core(certificate);
        self.broadcast(ConsensusMessage::Round(certificate));
    }

    fn sign_vote(&mut self, vote: SignedVote) -> SignatureBytes {
        let mut records = Vec::new();
        let signed = self.signer.vote(vote, self.wal_entries_before, &mut records);
        self.out.extend(records.into_iter().map(Output::Persist));
        let Some(vote) = signed else { return REFUSED };
        let signature = vote.signature;
        self.admit(SignedRecord::Vote(vote));
        signature
    }

    fn sign_proposal(&mut self, proposal: SignedProposal) -> SignatureBytes {
        let round = proposal.round;
        let mut records = Vec::new();
        let signed = self.signer.proposal(proposal, self.wal_entries_before, &mut records);
        self.out.extend(records.into_iter().map(Output::Persist));
        let Some(proposal) = signed else {
            // The core has stopped waiting for a proposal, since it thinks that it made one.
            self.schedule(Wait::Propose, round);
            return REFUSED;
        };
        let signature = proposal.signature;
        self.admit(SignedRecord::Proposal(proposal));
        signature
    }

    /// Whether the signature of a vote in a certificate is good.
    fn verifies(&mut self, vote: &mc::SignedVote<Bft>) -> bool {
        let vote = vote_from_core(&vote.message, vote.signature);
        // What was verified before is not computed again.
        self.archive.verified_vote(&vote) || self.judge_vote(&vote)
    }

    /// Whether a message is signed by its author, who is a member.
    fn judge(&mut self, record: &SignedRecord) -> bool {
        match record {
            SignedRecord::Vote(vote) => self.judge_vote(vote),
            SignedRecord::Proposal(proposal) => {
                let Seats { epoch, committee, .. } = self.terms.at(proposal.height);
                let digest = proposal.digest(&self.domain, *epoch);
                let key = committee.key(proposal.proposer);
                key.is_some_and(|key| self.signs(key, &digest, &proposal.signature))
            }
        }
    }

    fn judge_vote(&mut self, vote: &SignedVote) -> bool {
        let Seats { epoch, committee, .. } = self.terms.at(vote.height);
        let digest = self.digests.of(vote, &self.domain, *epoch);
        let key = committee.key(vote.voter);
        key.is_some_and(|key| self.signs(key, &digest, &vote.signature))
    }

    fn signs(&self, key: &VerifyingKey, digest: &Digest, signature: &SignatureBytes) -> bool {
        *signature != REFUSED && self.verifier.is_signed(key, digest, signature)
    }

    /// Verifies a message and keeps it if it is good.
    fn verify_and_admit(&mut self, message: &mc::SignedMessage<Bft, ConsensusMsg<Bft>>) -> bool {
        // What was verified was admitted then: the core asks again about all that it is fed.
        match &message.message {
            ConsensusMsg::Vote(vote) => {
                let vote = vote_from_core(vote, message.signature);
                self.archive.verified_vote(&vote)
                    || self.verify_new(SignedRecord::Vote(vote.into()))
            }
            ConsensusMsg::Proposal(proposal) => {
                let proposal = proposal_from_core(proposal, message.signature);
                let record = SignedRecord::Proposal(proposal.into());
                self.archive.verified(&record) || self.verify_new(record)
            }
        }
    }

    /// The same for a message that the archive wants, and so does not have.
    pub(crate) fn verify_new(&mut self, record: SignedRecord) -> bool {
        let good = self.judge(&record);
        if good {
            self.admit(record);
        }
        good
    }

    fn admit_votes(&mut self, verdict: &Verdict, votes: impl Iterator<Item = mc::SignedVote<Bft>>) {
        match verdict {
            Ok(()) => votes.for_each(|vote| {
                let vote = vote_from_core(&vote.message, vote.signature);
                self.admit(SignedRecord::Vote(vote.into()));
            }),
            Err(_) => self.fault(Fault::BadCertificate),
        }
    }

    fn admit_evidence(&mut self, evidence: MisbehaviorEvidence<Bft>) {
        for vote in evidence.votes.into_iter().flat_map(|(_, pairs)| pairs).flat_map(<[_; 2]>::from)
        {
            let vote = vote_from_core(&vote.message, vote.signature);
            self.admit(SignedRecord::Vote(vote.into()));
        }
        let proposals = evidence.proposals.iter().flat_map(|(_, pairs)| pairs);
        for proposal in proposals.flat_map(|(first, second)| [first, second]) {
            let proposal = proposal_from_core(&proposal.message, proposal.signature);
            self.admit(SignedRecord::Proposal(proposal.into()));
        }
    }

    /// Keeps a verified message; reports the equivocation or the polka that it completes.
    pub(crate) fn admit(&mut self, record: SignedRecord) {
        match self.archive.insert(record.clone()) {
            Insert::Known => return,
            Insert::New => {}
            Insert::Conflict(evidence) => self.out.push(Output::Evidence(*evidence)),
        }
        self.take_note(&record);
    }

    /// Notes that a block is proposed, or reports the polka to which a prevote belongs.
    pub(crate) fn take_note(&mut self, record: &SignedRecord) {
        match record {
            SignedRecord::Proposal(proposal) if proposal.height == self.height => {
                self.proposed.entry(proposal.block).or_default().insert(proposal.round);
            }
            SignedRecord::Proposal(_) => {}
            SignedRecord::Vote(vote) => self.check_polka(vote),
        }
    }

    fn check_polka(&mut self, vote: &SignedVote) {
        let SignedVote { kind: VoteKind::Prevote, height, round, block: Some(block), .. } = *vote
        else {
            return;
        };
        if height != self.height || self.polkas.contains(&(round, block)) {
            return;
        }
        // Each voter once: the archive takes no vote of one voter for one block twice.
        let Seats { committee, set, .. } = self.terms.at(height);
        let power = self.prevoted.entry((round, block)).or_default();
        *power = power.saturating_add(set.power(vote.voter));
        if *power >= committee.quorum_power() {
            self.report_polka(round, block);
        }
    }

    fn report_polka(&mut self, round: Round, block: BlockId) {
        if self.polkas.insert((round, block)) {
            self.proposed.entry(block).or_default().insert(round);
            self.out.push(Output::Polka { height: self.height, round, block });
        }
    }

    /// Blames the sender of the message in progress.
    pub(crate) fn fault(&mut self, fault: Fault) {
        if let Some(from) = self.sender {
            self.out.push(Output::Fault { from, fault });
        }
    }
}
