//! The boundary between core and shell: what can happen to a sequencer, and what it asks for.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_consensus::Evidence;
use conclave_mempool::{PoolError, PoolStats, admission::AdmissionError};
use conclave_types::{
    Batch, BlockCommitment, BlockHeader, BlockId, BundleId, Certificate, Digest, EncryptedBundle,
    Epoch, Gwei, Height, KeyId, L1Entry, L1Origin, RevealedBlock, Round, SettlementCertificate,
    Time, ValidatorIndex,
};

use crate::{
    archive::ArchiveRequest,
    job::{Job, JobNumber, JobOutput},
    keys::KeyChange,
    l1::{L1Block, L1Refusal},
    message::Message,
    settle::{DoubleAttestation, Posted},
    store::{Store, Write},
};

/// Another node, as the transport has authenticated it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Peer {
    /// A member of the committee.
    Validator(ValidatorIndex),
    /// Any other node, by a number that the shell gave its connection.
    Full(u64),
}

/// Everything that can happen to a sequencer.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed: [`Sequencer::wake_at`](crate::Sequencer::wake_at) is due.
    Tick,
    /// A peer's message arrived.
    Message {
        /// The authenticated sender.
        from: Peer,
        /// What it says.
        message: Message,
    },
    /// A peer can be reached.
    PeerUp(Peer),
    /// A peer can no longer be reached.
    PeerDown(Peer),
    /// A client hands in a bundle. Answered under the same ticket.
    Submit {
        /// The shell's name for the request.
        ticket: u64,
        /// The bundle.
        bundle: EncryptedBundle,
    },
    /// A job that an earlier step asked for is done.
    JobDone {
        /// The number under which it was asked for.
        job: JobNumber,
        /// What it found.
        output: JobOutput,
    },
    /// L1 finalized its next block. [`Sequencer::l1_position`](crate::Sequencer::l1_position) says which
    /// one that is; also after a restart, since nothing of L1 is kept beside what the chain has carried.
    L1(L1Block),
    /// L1 shows a certificate of another commitment than this node's chain has at that height
    /// ([`archive::posted`](crate::archive::posted)).
    Posted(Box<Posted>),
}

/// What a validator promises to whoever submitted a bundle. The shell signs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub struct ReceiptBody {
    /// The bundle.
    pub bundle: BundleId,
    /// When it was admitted.
    pub received: Time,
    /// The height by which it should be included.
    pub deadline: Height,
}

/// Why a submission was turned away.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, thiserror::Error)]
pub enum Rejection {
    /// The bundle can never be admitted, or not at this height.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// The pool does not take it now.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// There is no key to seal to yet.
    #[error("the validators are still making the network's key; try again in a moment")]
    NoKey,
    /// More submissions are waiting to be verified than this node queues.
    #[error("{waiting} bundles are waiting to be verified; try again in a moment")]
    Busy {
        /// How many are waiting.
        waiting: usize,
    },
}

/// What a peer did wrong. The shell decides how long to shun it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub enum Penalty {
    /// It sent something that no honest node sends.
    Invalid(&'static str),
    /// It sent more than it may.
    Flood(&'static str),
}

/// Something that happened, for subscribers, metrics and logs.
#[derive(Clone, Debug, BorshSerialize)]
#[expect(clippy::large_enum_variant, reason = "a block is what most events are about")]
pub enum Event {
    /// A bundle entered the pool.
    Admitted {
        /// The bundle.
        bundle: BundleId,
    },
    /// The era of their key takes no more bundles, and no block had taken these: they are not in the pool any
    /// more, not charged, and their nonces are free.
    Returned {
        /// The block after which that was so.
        height: Height,
        /// The bundles.
        bundles: Vec<BundleId>,
    },
    /// A round began.
    Round {
        /// The height.
        height: Height,
        /// The round.
        round: Round,
        /// Who proposes in it.
        proposer: ValidatorIndex,
    },
    /// A block was decided: its bundles are ordered.
    Decided {
        /// The header.
        header: BlockHeader,
        /// Its id.
        block: BlockId,
        /// What it carries of L1: its deposits are credited from now on.
        l1_entries: Vec<L1Entry>,
        /// The bundles, in block order.
        bundles: Vec<BundleId>,
        /// The quorum.
        certificate: Certificate,
    },
    /// A decided block was opened.
    Revealed {
        /// The block, in drawn order.
        block: RevealedBlock,
        /// Each rollup's slice.
        batches: Vec<Batch>,
        /// The chain digest at this height.
        digest: Digest,
    },
    /// The consensus core reported something that should not happen; safety does not rest on it.
    Anomaly {
        /// The height.
        height: Height,
        /// Its words.
        detail: String,
    },
    /// The making or handing on of the key has gone on.
    Keys {
        /// The block that did it.
        height: Height,
        /// What has changed.
        change: KeyChange,
    },
    /// This node has committed to a block that it is about to tell as revealed.
    Committed(Box<BlockCommitment>),
    /// A quorum has attested the commitment to a block: it and everything before it is certified.
    Certified(Arc<SettlementCertificate>),
    /// A validator attested another commitment than the one that follows from the chain.
    Misattested {
        /// The height.
        height: Height,
        /// Who.
        validator: ValidatorIndex,
    },
    /// Validators attested two commitments for one height.
    DoubleAttestation(Box<DoubleAttestation>),
    /// A validator contradicted itself.
    Equivocation(Box<Evidence>),
    /// An observation of L1 was not taken: the shell fed the wrong block, or its L1 contradicts itself.
    L1Refused {
        /// The L1 block.
        origin: L1Origin,
        /// Why.
        reason: L1Refusal,
    },
    /// What this node saw of L1 is not what a quorum decided. It observes anew from the chain's origin on.
    L1Contradicted {
        /// The height.
        height: Height,
        /// The decided block's origin.
        chain: L1Origin,
        /// What was observed at its number.
        observed: L1Origin,
    },
    /// A validator has signed shares of a block that is not the chain's.
    StrayShares {
        /// The height.
        height: Height,
        /// Who.
        validator: ValidatorIndex,
    },
    /// A validator sent shares that do not match its public key share.
    WrongShares {
        /// The height.
        height: Height,
        /// Who.
        validator: ValidatorIndex,
    },
}

/// What a step asks of the shell. May be carried out in any order.
#[derive(Debug, Default)]
pub struct Effects {
    /// Messages for one peer.
    pub send: Vec<(Peer, Message)>,
    /// Messages for every connected peer.
    pub broadcast: Vec<Message>,
    /// CPU work; its output comes back as [`Input::JobDone`] under the same number.
    pub jobs: Vec<(JobNumber, Job)>,
    /// History to read from the store and send: see [`archive::answer`](crate::archive::answer).
    pub serve: Vec<(Peer, ArchiveRequest)>,
    /// Answers to submissions, by ticket.
    pub answers: Vec<(u64, Result<ReceiptBody, Rejection>)>,
    /// What happened.
    pub events: Vec<Event>,
    /// Peers that misbehaved.
    pub penalties: Vec<(Peer, Penalty)>,
    /// The node must stop, and why: its own state contradicts the chain.
    pub halt: Option<String>,
}

/// The outcome of a step: writes, and the effects that may become visible once they are durable.
#[must_use = "nothing happens until it is persisted"]
#[derive(Debug, Default)]
pub struct Ready {
    pub(crate) writes: Vec<Write>,
    pub(crate) effects: Effects,
}

impl Ready {
    /// This outcome, then `later`: persisted together, so that one sync serves several inputs.
    pub fn merge(mut self, later: Self) -> Self {
        self.append(later);
        self
    }

    /// [`Ready::merge`] where it is: for whoever takes thousands of steps.
    pub fn append(&mut self, later: Self) {
        let Effects { send, broadcast, jobs, serve, answers, events, penalties, halt } =
            later.effects;
        join(&mut self.writes, later.writes);
        join(&mut self.effects.send, send);
        join(&mut self.effects.broadcast, broadcast);
        join(&mut self.effects.jobs, jobs);
        join(&mut self.effects.serve, serve);
        join(&mut self.effects.answers, answers);
        join(&mut self.effects.events, events);
        join(&mut self.effects.penalties, penalties);
        if let Some(why) = halt {
            self.effects.halt.get_or_insert(why);
        }
    }

    /// Whether anything must be made durable.
    #[must_use]
    pub const fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Bytes of keys and values that must be made durable.
    #[must_use]
    pub fn write_bytes(&self) -> usize {
        self.writes.iter().map(Write::size_bytes).sum()
    }

    /// Makes the writes durable and releases the effects.
    ///
    /// # Errors
    ///
    /// Returns the store's error; the effects are lost, and the node must stop and start again from
    /// its store.
    pub fn persist<S: Store>(self, store: &mut S) -> Result<Effects, S::Error> {
        if !self.writes.is_empty() {
            store.commit_all(self.writes)?;
        }
        Ok(self.effects)
    }
}

/// Appends `later`. Most steps ask for nothing of most kinds, and then nothing is moved.
fn join<T>(list: &mut Vec<T>, later: Vec<T>) {
    if later.is_empty() {
        return;
    }
    if list.is_empty() {
        *list = later;
    } else {
        list.extend(later);
    }
}

/// Where a sequencer stands, for status pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Newest decided height.
    pub decided: Height,
    /// Newest revealed height.
    pub revealed: Height,
    /// Newest height whose commitment a quorum has attested; everything up to it is certified.
    pub certified: Height,
    /// The current round.
    pub round: Round,
    /// The chain digest at `revealed`.
    pub chain_digest: Digest,
    /// The epoch of the newest decided block.
    pub epoch: Epoch,
    /// The key that opens the next block; none if its epoch has none.
    pub key: Option<KeyId>,
    /// The key of the next era, once it is fixed and until it is in force.
    pub next_key: Option<KeyId>,
    /// Which member of the next block's committee this node is, if it is one.
    pub validator: Option<ValidatorIndex>,
    /// Whether this node signs; if not, why.
    pub not_signing: Option<String>,
    /// The pool.
    pub pool: PoolStats,
    /// Equivocations seen since the start of the process.
    pub evidence_count: u64,
}

/// What a payer has, for whoever chooses a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// What it has after the newest decided block.
    pub balance: Gwei,
    /// The part of that which can be withdrawn.
    pub withdrawable: Gwei,
    /// The next sequence of the lane, by decided bundles.
    pub next_sequence: u64,
    /// The one after those that wait in the pool.
    pub next_sequence_pending: u64,
}
