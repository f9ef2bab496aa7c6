//! What comes of an attempt: the events of its messages, and why it ends without a result.

use conclave_types::ValidatorIndex;

use crate::key::KeyError;

/// Why an attempt does not go on. Too few holders or dealings make the chain begin
/// another; the rest is the caller's mistake or does not happen.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AdvanceError {
    /// The attempt is at another stage.
    #[error("the sharing is {stage}")]
    Stage {
        /// The stage.
        stage: &'static str,
    },
    /// Those who registered hold fewer points than a quorum.
    #[error("the registered holders have {found} points, a quorum is {required}")]
    TooFewHolders {
        /// t.
        required: u16,
        /// Their points.
        found: usize,
    },
    /// The dealings that stand do not count enough.
    #[error("the dealings that stand count {found}, required are {required}")]
    TooFew {
        /// What they must count.
        required: u16,
        /// What they count.
        found: u16,
    },
    /// The dealings were added up in another state.
    #[error("the outcome is of another attempt, or of other dealings")]
    OtherState,
    /// A resharing would change the key: the verification keys of the old sharing were no sharing.
    #[error("the resharing would change the key")]
    KeyChanged,
    /// The sum is no key: its secret is zero, which happens once in 2²⁵⁵ attempts.
    #[error("the sum of the dealings is no key")]
    Key(#[from] KeyError),
}

/// What a message has brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The validator has a key for this attempt.
    Registered {
        /// The future holder.
        holder: ValidatorIndex,
    },
    /// There is another dealing.
    Dealt {
        /// Its number.
        dealer: u16,
    },
    /// The dealing is proved wrong and out: an offence of whoever made it.
    Disqualified {
        /// The dealing.
        dealer: u16,
        /// Whose it is; an index into the old committee, for a resharing.
        validator: ValidatorIndex,
    },
    /// The dealing is right: an offence of whoever complained.
    FalseComplaint {
        /// The dealing.
        dealer: u16,
        /// Who complained.
        holder: ValidatorIndex,
    },
    /// The dealing is proved wrong after the result stood: an offence, and a reason to disclose.
    ProvedLate {
        /// The dealing.
        dealer: u16,
        /// Whose it is; an index into the old committee, for a resharing.
        validator: ValidatorIndex,
    },
    /// Another evaluation of a dealing under repair is public.
    Disclosed {
        /// The dealing.
        dealer: u16,
        /// Whether everyone's evaluation can be computed now.
        complete: bool,
    },
    /// The validator has its shares.
    Acknowledged {
        /// The holder.
        holder: ValidatorIndex,
    },
}
