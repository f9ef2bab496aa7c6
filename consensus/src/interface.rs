//! What goes into an engine and what comes out of it.

use conclave_types::{
    BlockId, Certificate, CertificateError, Committees, Epoch, Height, Round, TimingParams,
    ValidatorIndex, digest::SigningDomain,
};
use ed25519_dalek::SigningKey;

use crate::{
    message::{ConsensusMessage, Evidence},
    record::Record,
};

/// What an engine is.
#[derive(Debug)]
pub struct Config {
    /// What is signed for.
    pub domain: SigningDomain,
    /// The validators of the heights from the archive's oldest on, and which epoch a height belongs to.
    pub committees: Committees,
    /// The own key; none for a node that only follows. Where no committee has it, the node follows too.
    pub key: Option<SigningKey>,
    /// How long to wait for what.
    pub timing: TimingParams,
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Voting power is too large to multiply by three.
    #[error("the total voting power is {found}, at most {max} expected", max = u64::MAX / 3)]
    Power {
        /// The sum.
        found: u64,
    },
    /// The log has a hole, or an entry that no version of this crate wrote.
    #[error("write-ahead log entry {index} of height {height} is damaged")]
    DamagedLog {
        /// The height.
        height: Height,
        /// The first entry at fault.
        index: u64,
    },
}

/// Why a certificate does not end the height.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CatchUpError {
    /// It is for another height.
    #[error("certificate is for height {found}, expected {expected}")]
    Height {
        /// The height after the tip.
        expected: Height,
        /// The certificate's.
        found: Height,
    },
    /// It is for another epoch.
    #[error("certificate is of epoch {found}, expected {expected}")]
    Epoch {
        /// This engine's.
        expected: Epoch,
        /// The certificate's.
        found: Epoch,
    },
    /// It proves nothing: the peer's fault.
    #[error("certificate does not verify")]
    Certificate(#[from] CertificateError),
}

/// What is wrong with a message. Always the sender's fault: an honest node checks what it relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The author or sender has no place in the committee of the message's height.
    #[error("validator {0} is not in the committee of that height")]
    UnknownValidator(ValidatorIndex),
    /// The signature is not by the author (or for another network or epoch).
    #[error("the signature of validator {0} does not verify")]
    BadSignature(ValidatorIndex),
    /// It was not the author's turn to propose.
    #[error("validator {0} is not the proposer of that round")]
    NotProposer(ValidatorIndex),
    /// A proposal rests on a polka of its own or a later round.
    #[error("a proposal of validator {0} rests on a round that is not earlier")]
    BadPolRound(ValidatorIndex),
    /// A message names nil, which is signed as the zero id, as if it were a block. Its author may have voted for nil.
    #[error("a message of validator {0} names nil as if it were a block")]
    NilAsBlock(ValidatorIndex),
    /// A certificate has a bad signature, a stranger, a duplicate, or too little power.
    #[error("a certificate does not verify")]
    BadCertificate,
}

/// A block that the node holds and has judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposedBlock {
    /// The height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// Whether it is valid by the objective rules: a pure function of block and parent state.
    pub valid: bool,
}

/// What the engine wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make this durable before acting on what follows.
    Persist(Record),
    /// Send this to all validators (and followers).
    Broadcast(ConsensusMessage),
    /// It is our turn: make a block and call [`crate::Engine::propose`].
    NeedProposal {
        /// The height.
        height: Height,
        /// The round.
        round: Round,
    },
    /// Send this block to all once more: it is proposed again, or we are locked on it.
    Repropose {
        /// The height.
        height: Height,
        /// The round in which it is proposed again.
        round: Round,
        /// The block.
        block: BlockId,
    },
    /// A round began.
    RoundStarted {
        /// The height.
        height: Height,
        /// The round.
        round: Round,
        /// Whose turn it is.
        proposer: ValidatorIndex,
    },
    /// A quorum prevoted for a block: subjective objections to it do not matter any more.
    Polka {
        /// The height.
        height: Height,
        /// The round of the prevotes.
        round: Round,
        /// The block.
        block: BlockId,
    },
    /// The height is decided. The engine is idle until [`crate::Engine::start_height`].
    Decided {
        /// The proof.
        certificate: Certificate,
    },
    /// A validator signed two messages that contradict each other. Verified; each position once.
    Evidence(Evidence),
    /// A peer sent something that no honest node sends.
    Fault {
        /// The peer.
        from: ValidatorIndex,
        /// What was wrong.
        fault: Fault,
    },
    /// The core reported something that should not happen. For the log of the operator; safety does
    /// not depend on it.
    Anomaly {
        /// The height.
        height: Height,
        /// The core's words.
        detail: String,
    },
}
