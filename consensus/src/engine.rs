//! The engine: one validator's (or follower's) BFT, one height at a time.

mod attest;
mod blocks;
mod messages;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use conclave_types::{
    BlockId, Certificate, Committee, Epoch, Height, Round, StrictVerifier, Time, ValidatorIndex,
    Verifier,
};
use malachitebft_core_consensus::{Error as CoreError, Input, State, process};
use malachitebft_core_types::{Validator as _, VoteExtensionPolicy};
use malachitebft_metrics::Metrics;

use crate::{
    archive::{self, Archive},
    context::{Bft, CoreHeight},
    convert::{proposal_to_core, vote_to_core},
    digests::VoteDigests,
    handler::Shell,
    interface::{CatchUpError, Config, ConfigError, Output, ProposedBlock},
    message::ConsensusMessage,
    record::{Recovered, SignedRecord},
    recover::{as_signed, new_core, precommits, read_log},
    signer::{Signer, Silence, own_index},
    terms::{Seats, Terms},
    timers::Timers,
    wal::Logged,
};

/// Judged blocks that are kept although nobody has signed for them yet. Further ones are ignored: hand
/// them in again when [`Engine::is_proposed`].
const JUDGED_MAX: usize = 64;

/// One validator's BFT.
pub struct Engine {
    core: State<Bft>,
    metrics: Metrics,
    shell: Shell,
    /// The newest decided height.
    tip: Height,
    running: bool,
    /// The log to replay when the height after the recovered tip starts.
    replay: Vec<Logged>,
    /// Judged blocks of this height, with the verdict.
    judged: BTreeMap<BlockId, bool>,
    /// For which block and round the core has been told the verdict.
    told: BTreeSet<(BlockId, Round)>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("tip", &self.tip).field("running", &self.running).finish()
    }
}

impl Engine {
    /// Makes an engine from what is on disk. Nothing happens before [`Engine::start_height`].
    ///
    /// # Errors
    ///
    /// If configuration or log contradict themselves. A validator must not run then.
    pub fn new(config: Config, recovered: Recovered) -> Result<Self, ConfigError> {
        Self::with_verifier(config, recovered, Arc::new(StrictVerifier))
    }

    /// [`Engine::new`] with another judge of signatures.
    ///
    /// # Errors
    ///
    /// As [`Engine::new`].
    pub fn with_verifier(
        config: Config,
        recovered: Recovered,
        verifier: Arc<dyn Verifier>,
    ) -> Result<Self, ConfigError> {
        let Config { domain, committees, key, timing } = config;
        let terms = Terms::new(&committees)?;
        let tip = recovered.decided;
        let seats = terms.at(tip.next()).clone();
        let replay = read_log(&recovered, &seats, &domain, &*verifier)?;
        let index = own_index(key.as_ref(), &seats.committee);
        let own_logged: Vec<_> = replay
            .iter()
            .filter_map(as_signed)
            .filter(|record| Some(archive::author(record)) == index)
            .collect();
        let signer = Signer::recover(domain, (key, index), seats.epoch, &recovered, &own_logged);
        // A log with a hole in it is worth nothing: what it misses may be the lock.
        let replay = if signer.keeps_wal() { replay } else { Vec::new() };
        let core = new_core(tip.next(), &seats.set, signer.index());
        let shell = Shell {
            domain,
            terms,
            verifier,
            timing,
            signer,
            archive: Archive::default(),
            digests: VoteDigests::default(),
            timers: Timers::default(),
            now: Time::ZERO,
            height: tip.next(),
            out: Vec::new(),
            wal_entries: 0,
            wal_entries_before: 0,
            replayed: BTreeSet::new(),
            wanted: None,
            decided: None,
            sender: None,
            prevoted: BTreeMap::new(),
            polkas: BTreeSet::new(),
            proposed: BTreeMap::new(),
        };
        Ok(Self {
            core,
            metrics: Metrics::new(),
            shell,
            tip,
            running: false,
            replay,
            judged: BTreeMap::new(),
            told: BTreeSet::new(),
        })
    }

    /// Starts the height after the newest decided one; after a restart, replays its log. Does nothing
    /// for any other height, or while a height is in progress.
    pub fn start_height(&mut self, now: Time, height: Height) -> Vec<Output> {
        if self.running || height != self.tip.next() {
            return Vec::new();
        }
        self.running = true;
        self.shell.height = height;
        self.shell.wanted = None;
        self.shell.polkas.clear();
        self.shell.proposed.clear();
        self.judged.clear();
        self.told.clear();
        self.shell.timers.clear();
        let replay = std::mem::take(&mut self.replay);
        self.shell.wal_entries = replay.len() as u64;
        self.begin(now);
        self.take_seat(height);
        self.replay_log(height, &replay);
        // The log's votes are in the archive too, and were counted when they went in.
        self.shell.prevoted.clear();
        for record in self.shell.archive.messages(height) {
            self.shell.take_note(&record);
            self.feed_record(&record);
        }
        self.finish()
    }

    /// Answers [`Output::NeedProposal`]. Ignored if the round is over. If a block was proposed in that
    /// round before a crash, that one is proposed again, whatever is given.
    pub fn propose(
        &mut self,
        now: Time,
        height: Height,
        round: Round,
        block: BlockId,
    ) -> Vec<Output> {
        self.begin(now);
        if self.running && height == self.shell.height {
            self.feed_proposal(round, block);
        }
        self.finish()
    }

    /// Takes a block that the node holds, with the verdict on it. Only for the height in progress,
    /// since only then the parent's state is known.
    ///
    /// Blocks are not signed, but the core keeps two for each round and drops a proposal for a third.
    /// So the core hears of a block only in the rounds of its signed proposals and polkas, whatever
    /// rounds its sender named: junk crowds nothing out.
    pub fn value(&mut self, now: Time, value: ProposedBlock) -> Vec<Output> {
        self.begin(now);
        let ProposedBlock { height, block, valid } = value;
        let room = self.judged.len() < JUDGED_MAX || self.is_proposed(block);
        if self.running && height == self.shell.height && room {
            self.judged.insert(block, valid);
        }
        self.finish()
    }

    /// Ends the height after the tip by a certificate; the node must hold the block.
    ///
    /// # Errors
    ///
    /// If the certificate is for another height or epoch, or proves nothing.
    pub fn catch_up(
        &mut self,
        now: Time,
        certificate: &Certificate,
    ) -> Result<Vec<Output>, CatchUpError> {
        let (expected, found) = (self.tip.next(), certificate.height);
        if expected != found {
            return Err(CatchUpError::Height { expected, found });
        }
        let seats = self.shell.terms.at(certificate.height);
        let (expected, found) = (seats.epoch, certificate.epoch);
        if expected != found {
            return Err(CatchUpError::Epoch { expected, found });
        }
        certificate.verify_by(&seats.committee, &self.shell.domain, &*self.shell.verifier)?;
        self.begin(now);
        self.shell.height = certificate.height;
        self.shell.out.push(Output::Decided { certificate: certificate.clone() });
        self.shell.decided = Some(certificate.clone());
        for vote in precommits(certificate) {
            self.shell.admit(vote);
        }
        Ok(self.finish())
    }

    /// Lets the waits end that are due.
    pub fn tick(&mut self, now: Time) -> Vec<Output> {
        self.begin(now);
        // Each wait that ends sets at most a few new ones, all of them later than now.
        while self.running && self.shell.decided.is_none() {
            let Some((wait, round)) = self.shell.timers.pop(now) else { break };
            self.feed(Input::TimeoutElapsed(wait.to_core(round)));
        }
        self.finish()
    }

    /// When [`Engine::tick`] is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        self.shell.timers.next()
    }

    /// The newest decided height.
    #[must_use]
    pub const fn tip(&self) -> Height {
        self.tip
    }

    /// The height in progress; none between a decision and the next start.
    #[must_use]
    pub fn height(&self) -> Option<Height> {
        self.running.then_some(self.shell.height)
    }

    /// The round in progress.
    #[must_use]
    pub fn round(&self) -> Option<Round> {
        let round = self.core.round().as_u32().filter(|_| self.running)?;
        Some(Round::new(round))
    }

    /// Whose turn it is to propose.
    #[must_use]
    pub fn proposer(&self, height: Height, round: Round) -> ValidatorIndex {
        self.shell.terms.at(height).set.proposer(height, round.as_u32()).address().0
    }

    /// Whether it is our turn to propose.
    #[must_use]
    pub fn is_proposer(&self, height: Height, round: Round) -> bool {
        let own = self.shell.signer.index_in(&self.shell.terms.at(height).committee);
        own == Some(self.proposer(height, round))
    }

    /// Whether a signed proposal for, or a polka of, this block is known at the height in progress.
    #[must_use]
    pub fn is_proposed(&self, block: BlockId) -> bool {
        self.shell.proposed.contains_key(&block)
    }

    /// From `first` on, which is above all heights that messages are taken for yet, `committee` decides, and
    /// votes are of `epoch`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Power`] if the committee's power is too large. Then nothing has changed.
    pub fn change_epoch(
        &mut self,
        first: Height,
        epoch: Epoch,
        committee: Arc<Committee>,
    ) -> Result<(), ConfigError> {
        self.shell.terms.change(first, Seats::new(epoch, committee)?);
        Ok(())
    }

    /// Lets a validator that lost its signing history sign again, above `height` only. For the caller to
    /// make sure that it signed nothing higher; see DESIGN.md §4. Does nothing if the history is whole.
    pub fn resume_above(&mut self, now: Time, height: Height) -> Vec<Output> {
        self.begin(now);
        let mut records = Vec::new();
        self.shell.signer.resume_above(height, &mut records);
        self.shell.out.extend(records.into_iter().map(Output::Persist));
        self.finish()
    }

    /// Every block with a signed proposal or a polka at the height in progress: what is worth having.
    pub fn proposed(&self) -> impl Iterator<Item = BlockId> {
        self.shell.proposed.keys().copied()
    }

    /// Whether the history of what this node's key has signed is known to be whole, be it empty. Without it
    /// nothing is signed, whoever the key belongs to.
    #[must_use]
    pub const fn has_history(&self) -> bool {
        self.shell.signer.is_permitted()
    }

    /// Whether this validator signs at the current height.
    ///
    /// # Errors
    ///
    /// Says why it does not.
    pub fn can_sign(&self) -> Result<(), Silence> {
        self.shell.signer.may_sign()
    }

    /// Takes this node's seat in the committee of `height`, which is about to start. The core is bound to one
    /// place; between two heights there is nothing in it that another one lacks.
    fn take_seat(&mut self, height: Height) {
        let mut records = Vec::new();
        let before = self.shell.signer.index();
        let seats = self.shell.terms.at(height);
        self.shell.signer.start_height(height, seats, &mut records);
        let own = self.shell.signer.index();
        if own != before {
            self.core = new_core(height, &seats.set, own);
        }
        self.shell.out.extend(records.into_iter().map(Output::Persist));
    }

    fn begin(&mut self, now: Time) {
        self.shell.now = self.shell.now.max(now);
        self.shell.sender = None;
        self.shell.wal_entries_before = self.shell.wal_entries;
    }

    /// Settles what the core asked for, takes note of a decision, and hands out the outputs.
    fn finish(&mut self) -> Vec<Output> {
        if self.running && self.shell.decided.is_none() {
            self.answer_wanted();
            self.feed_values();
        }
        if let Some(certificate) = self.shell.decided.take() {
            self.tip = certificate.height;
            self.running = false;
            self.replay.clear();
            self.shell.wanted = None;
            self.shell.timers.clear();
            self.shell.archive.prune(self.tip);
            let oldest = self.tip.checked_sub(archive::HEIGHTS_KEPT).unwrap_or_default();
            self.shell.terms.forget_before(oldest);
        }
        std::mem::take(&mut self.shell.out)
    }

    fn feed_record(&mut self, record: &SignedRecord) {
        if self.shell.decided.is_some() {
            return;
        }
        match record {
            SignedRecord::Vote(vote) => self.feed(Input::Vote(vote_to_core(vote))),
            SignedRecord::Proposal(proposal) => {
                self.feed(Input::Proposal(proposal_to_core(proposal)));
            }
        }
    }

    /// Starts the core at `height` and feeds it the log, in Malachite's order: index, start, replay.
    fn replay_log(&mut self, height: Height, log: &[Logged]) {
        for record in log.iter().filter_map(as_signed) {
            self.shell.admit(record);
        }
        self.shell.replayed = log.iter().filter_map(|entry| borsh::to_vec(entry).ok()).collect();
        let inputs: Vec<_> = log.iter().map(Logged::to_core).collect();
        if !inputs.is_empty() {
            self.core.index_wal_entries(&inputs);
        }
        self.sync_enabled();
        // No target time: with one, the core reads a clock.
        let set = self.shell.terms.at(height).set.clone();
        let extensions = VoteExtensionPolicy::Disabled;
        self.feed(Input::StartHeight(CoreHeight(height), set, false, None, extensions));
        for input in inputs {
            if self.shell.decided.is_some() {
                break;
            }
            self.feed(input);
        }
        self.core.reset_entries_index();
        self.shell.replayed.clear();
        if !log.is_empty() {
            self.repeat_proposal(height);
        }
    }

    /// Replay sends our votes again, but not our proposal: nobody may have it, nor the block.
    fn repeat_proposal(&mut self, height: Height) {
        let Some(round) = self.round().filter(|_| self.shell.decided.is_none()) else { return };
        if self.shell.signer.may_sign().is_err() {
            return;
        }
        if let Some(proposal) = self.shell.signer.proposal_at(height, round) {
            let (proposal, block) = (proposal.clone(), proposal.block);
            let repeated = Output::Broadcast(ConsensusMessage::Proposal(proposal));
            if !self.shell.out.contains(&repeated) {
                self.shell.out.push(repeated);
            }
            self.shell.out.push(Output::Repropose { height, round, block });
        }
    }

    fn feed(&mut self, input: Input<Bft>) {
        let Self { core, metrics, shell, .. } = self;
        let result: Result<(), CoreError<Bft>> = process!(
            input: input,
            state: core,
            metrics: metrics,
            with: effect => Ok::<_, std::convert::Infallible>(shell.handle(effect))
        );
        if let Err(error) = result {
            if matches!(error, CoreError::ReplayDivergence(..)) {
                shell.signer.diverge();
            }
            shell.out.push(Output::Anomaly { height: shell.height, detail: error.to_string() });
        }
        self.sync_enabled();
    }

    /// A silent validator is to the core what a follower is: it asks for no block and repeats nothing.
    fn sync_enabled(&mut self) {
        self.core.params.enabled = self.shell.signer.may_sign().is_ok();
    }
}
