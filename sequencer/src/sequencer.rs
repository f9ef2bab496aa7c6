//! The state machine itself: takes an input, lets each part do its share, hands out what came of it.

use std::{mem, sync::Arc};

use conclave_consensus::{ConsensusMessage, Engine, Fault, Output, Record, Silence};
use conclave_mempool::{Pool, PoolStats};
use conclave_types::{
    BundleId, Digest, EncryptedBundle, Height, PayerAddress, Time, ValidatorIndex,
};

use crate::{
    archive,
    candidates::Candidates,
    catchup::CatchUp,
    chain::Chain,
    config::Context,
    input::{AccountView, Event, Input, Peer, Penalty, Ready, Status},
    intake::Intake,
    job::{Job, JobNumber, JobOutput},
    keys::{Gossip, Keys, OwnSharing},
    l1::L1View,
    message::Message,
    propose::Proposer,
    reveal::Reveals,
    settle::Settlement,
    store::Write,
};

/// One node's protocol state.
pub struct Sequencer {
    pub(crate) context: Context,
    pub(crate) engine: Engine,
    pub(crate) chain: Chain,
    pub(crate) pool: Pool,
    pub(crate) intake: Intake,
    pub(crate) proposer: Proposer,
    pub(crate) candidates: Candidates,
    pub(crate) reveals: Reveals,
    pub(crate) catch_up: CatchUp,
    pub(crate) sharing: Gossip,
    pub(crate) own_sharing: OwnSharing,
    pub(crate) l1: L1View,
    pub(crate) settlement: Settlement,
    pub(crate) evidence_count: u64,
    pub(crate) next_job: JobNumber,
    pub(crate) ready: Ready,
}

impl Sequencer {
    /// Advances the state machine by one input.
    pub fn step(&mut self, now: Time, input: Input) -> Ready {
        match input {
            Input::Tick => {}
            Input::Message { from, message } => self.on_message(now, from, message),
            Input::PeerUp(peer) => self.on_peer_up(peer),
            Input::PeerDown(peer) => self.catch_up.peer_down(peer),
            Input::Submit { ticket, bundle } => self.on_submit(now, ticket, bundle),
            Input::JobDone { job: _, output } => self.on_job_done(now, output),
            Input::L1(block) => self.on_l1(now, block),
            Input::Posted(posted) => self.on_posted(*posted),
        }
        self.turn(now);
        mem::take(&mut self.ready)
    }

    /// When to come back with [`Input::Tick`] if nothing else happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        let waits = [
            self.engine.wake_at(),
            self.intake.wake_at(),
            self.reveals.wake_at(),
            self.proposer.wake_at(),
            self.candidates.wake_at(),
            self.catch_up.wake_at(),
        ];
        waits.into_iter().flatten().min()
    }

    /// Where this node stands.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            decided: self.chain.decided(),
            revealed: self.chain.revealed,
            certified: self.settlement.certified(),
            round: self.engine.round().unwrap_or_default(),
            chain_digest: self.chain.digest(),
            epoch: self.chain.keys.epochs().at(self.chain.decided()),
            key: self.chain.keys.at(self.chain.next()).map(|key| key.key.id()),
            next_key: self.chain.keys.next_era(self.chain.next()).map(|key| key.id()),
            validator: self.own_at(self.chain.next()),
            not_signing: self.engine.can_sign().err().map(|silence| self.words(&silence)),
            pool: self.pool.stats(),
            evidence_count: self.evidence_count,
        }
    }

    /// Why it does not sign, and what keeps it from signing again.
    fn words(&self, silence: &Silence) -> String {
        let more =
            self.catch_up.resume.as_ref().and_then(|resume| resume.words(self.chain.decided()));
        more.map_or_else(|| silence.to_string(), |more| format!("{silence}; {more}"))
    }

    /// Which member of a height's committee this node is, if it is one.
    pub(crate) fn own_at(&self, height: Height) -> Option<ValidatorIndex> {
        self.context.own_in(self.chain.keys.committee_at(height))
    }

    /// What waits here to be included.
    #[must_use]
    pub fn pool(&self) -> PoolStats {
        self.pool.stats()
    }

    /// Whether a bundle waits here to be included.
    #[must_use]
    pub fn is_pooled(&self, id: &BundleId) -> bool {
        self.pool.contains(id)
    }

    /// Whether a bundle waited here until the era of its key took no more. It is in no block, and never will be.
    #[must_use]
    pub fn is_returned(&self, id: &BundleId) -> bool {
        self.intake.is_returned(id)
    }

    /// A bundle that waits here to be included: sealed, as everyone may see it.
    #[must_use]
    pub fn pooled(&self, id: &BundleId) -> Option<Arc<EncryptedBundle>> {
        self.pool.get(id).cloned()
    }

    /// A payer's balance and the next nonce of a lane.
    #[must_use]
    pub fn account(&self, payer: &PayerAddress, lane: u64) -> AccountView {
        let account = self.chain.ledger.account(payer);
        let next_sequence = account.next(lane);
        AccountView {
            balance: account.balance,
            withdrawable: account.withdrawable(),
            next_sequence,
            next_sequence_pending: self.pool.next_pending(payer, lane, next_sequence),
        }
    }

    /// The threshold keys, and what is under way to make the next one.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.chain.keys
    }

    /// The chain digest at a revealed height, if it is recent.
    #[must_use]
    pub fn chain_digest_at(&self, height: Height) -> Option<Digest> {
        self.chain.digest_at(height)
    }

    /// What is due or has become possible. Each part looks only at its own state, so the order of the
    /// calls is one of convenience: engine first, since it may ask for a proposal.
    fn turn(&mut self, now: Time) {
        if self.engine.wake_at().is_some_and(|at| at <= now) {
            let outputs = self.engine.tick(now);
            self.absorb(now, outputs);
        }
        self.judge_candidates(now);
        self.sharing_turn(now);
        self.judge_sharing();
        self.try_propose(now);
        self.advance_reveals(now);
        // Behind what they make way for.
        self.verify_waiting(now);
        self.share_waiting(now);
        self.catch_up_turn(now);
    }

    fn on_message(&mut self, now: Time, from: Peer, message: Message) {
        match message {
            Message::Consensus(message) => self.on_consensus(now, from, message),
            Message::Block(block) => self.on_block(from, block),
            Message::Bundles(bundles) => self.on_bundles(now, from, bundles),
            Message::Shares(shares) => self.on_shares(from, shares),
            Message::Status { decided, .. } => self.catch_up.peer_status(from, decided),
            Message::WantBlock { height, block } => self.on_want_block(from, height, block),
            Message::WantBundles(ids) => self.on_want_bundles(from, ids),
            Message::WantDecided { from: height } => self.on_want_decided(from, height),
            Message::WantOpenings { height } => self.on_want_openings(from, height),
            Message::Decided(blocks) => self.on_decided_blocks(now, from, blocks),
            Message::Openings { height, block, openings } => {
                self.on_openings(from, height, block, openings);
            }
            Message::Part(part) => self.on_part(from, part),
            Message::Sharing(message) => self.on_sharing(from, message),
            Message::Attestation(attestation) => self.on_attestation(from, attestation),
            Message::WantCertificate { height } => self.on_want_certificate(from, height),
            Message::Certificate(certificate) => self.on_certificate(from, certificate),
        }
    }

    fn on_consensus(&mut self, now: Time, from: Peer, message: ConsensusMessage) {
        // Who is no validator here may be a member of a committee that this node has yet to hear of.
        let Peer::Validator(sender) = from else { return };
        if matches!(message, ConsensusMessage::Proposal(_)) {
            self.candidates.changed();
        }
        let outputs = self.engine.message(now, sender, message);
        self.absorb(now, outputs);
    }

    fn on_job_done(&mut self, now: Time, output: JobOutput) {
        match output {
            JobOutput::Verified(verdicts) => self.on_verified(now, verdicts),
            JobOutput::SharedAlone(shares) => self.on_shared_alone(shares),
            JobOutput::Shared(shared) => self.on_shared(shared),
            JobOutput::Combined { height, block, result } => {
                self.on_combined(now, height, block, result);
            }
            JobOutput::PartsChecked { height, block, result } => {
                self.on_parts_checked(height, block, result);
            }
            JobOutput::Opened { height, block, result } => self.on_opened(height, block, result),
            JobOutput::SharingChecked { at, verdicts } => self.on_sharing_checked(at, verdicts),
            JobOutput::Dealt { dkg, result } => self.on_dealt(now, &dkg, result),
            JobOutput::Inspected { dkg, complaints } => self.on_inspected(now, &dkg, complaints),
            JobOutput::Received { dkg, result } => self.on_received(now, &dkg, result),
            JobOutput::Attested { height, signature } => self.on_attested(now, height, signature),
            JobOutput::Certified { height, result } => self.on_certified(height, result),
            JobOutput::CertificateChecked { from, certificate, holds } => {
                self.on_certificate_checked(from, certificate, holds);
            }
        }
    }

    /// Carries out what the engine asks for, in its order: records before what they make visible.
    pub(crate) fn absorb(&mut self, now: Time, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Persist(record) => self.record(record),
                Output::Broadcast(message) => self.broadcast(Message::Consensus(message)),
                Output::NeedProposal { height, round } => self.need_proposal(now, height, round),
                Output::Repropose { height, block, .. } => self.repropose(height, block),
                Output::Polka { height, block, .. } => self.on_polka(now, height, block),
                Output::Decided { certificate } => self.on_decided(now, certificate),
                Output::RoundStarted { height, round, proposer } => {
                    self.proposer.round_started();
                    self.event(Event::Round { height, round, proposer });
                }
                Output::Evidence(evidence) => self.on_evidence(evidence),
                Output::Fault { from, fault } => {
                    self.penalise(Peer::Validator(from), Penalty::Invalid(describe(fault)));
                }
                Output::Anomaly { height, detail } => self.event(Event::Anomaly { height, detail }),
            }
        }
    }

    fn record(&mut self, record: Record) {
        let write = match record {
            Record::Wal(entry) => archive::put_wal(entry),
            Record::Signed(record) => archive::put_signed(&record),
            Record::HighWater(mark) => Write::HighWater(mark),
        };
        self.write(write);
    }

    fn on_evidence(&mut self, evidence: conclave_consensus::Evidence) {
        self.evidence_count = self.evidence_count.saturating_add(1);
        self.write(archive::put_equivocation(&evidence));
        self.event(Event::Equivocation(Box::new(evidence)));
    }

    /// Asks the shell for work.
    pub(crate) fn ask(&mut self, job: Job) {
        let next = self.next_job.next();
        let number = mem::replace(&mut self.next_job, next);
        self.ready.effects.jobs.push((number, job));
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.ready.writes.push(write);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.ready.effects.events.push(event);
    }

    pub(crate) fn send(&mut self, to: Peer, message: Message) {
        self.ready.effects.send.push((to, message));
    }

    pub(crate) fn broadcast(&mut self, message: Message) {
        self.ready.effects.broadcast.push(message);
    }

    pub(crate) fn penalise(&mut self, peer: Peer, penalty: Penalty) {
        self.ready.effects.penalties.push((peer, penalty));
    }

    /// Stops the node: its own state contradicts the chain.
    pub(crate) fn halt(&mut self, why: String) {
        self.ready.effects.halt.get_or_insert(why);
    }
}

const fn describe(fault: Fault) -> &'static str {
    match fault {
        Fault::UnknownValidator(_) => "a consensus message by a stranger",
        Fault::BadSignature(_) => "a consensus message with a bad signature",
        Fault::NotProposer(_) => "a proposal out of turn",
        Fault::NilAsBlock(_) => "a message that names nil as a block",
        Fault::BadPolRound(_) => "a proposal that rests on a later round",
        Fault::BadCertificate => "a certificate that does not verify",
    }
}
