//! What the parties of a sharing put on the chain, and why the chain does not take it.

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Digest, ValidatorIndex};

use crate::{
    dkg::{complaint::Complaint, dealing::Dealing, registration::Registration, repair::Disclosure},
    packing::Packing,
};

/// A message of a sharing. Its sender's signature and the network are the chain's business; everything
/// else that it must be bound to is bound inside.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A holder's key for this attempt.
    Register(Registration),
    /// A dealer's polynomial.
    Deal(Box<Dealing>),
    /// That a dealing is wrong.
    Complain(Complaint),
    /// An evaluation of a dealing that was proved wrong too late.
    Disclose(Disclosure),
    /// That the sender has all its shares of the result with this digest. What protected the sharing
    /// before may be destroyed.
    Acknowledge(Digest),
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// There are more bytes than any message has.
    #[error("a message has at most {max} bytes, found {found}", max = Message::BYTES_MAX)]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// The bytes are not the encoding of one message.
    #[error("the bytes are not a message")]
    Encoding(#[from] std::io::Error),
}

impl Message {
    /// More than the largest dealing has: a coefficient and an evaluation for each party, and the rest.
    pub const BYTES_MAX: usize = Packing::PARTIES_MAX * (96 + 32) + 512;

    /// Reads a message and nothing behind it.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if there are too many bytes, or they are not one message.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let found = bytes.len();
        if found > Self::BYTES_MAX {
            return Err(MessageError::Length { found });
        }
        Ok(borsh::from_slice(bytes)?)
    }

    /// The one encoding of the message.
    ///
    /// # Panics
    ///
    /// Never: encoding into memory does not fail.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "a Vec<u8> takes every write")]
        borsh::to_vec(self).expect("encoding into memory does not fail")
    }
}

/// Whose fault a refused message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Only a faulty sender makes such a message.
    Sender,
    /// It came too late, too early or twice, which happens to honest senders too.
    Nobody,
}

/// Why a message is not taken. A block that carries it is invalid either way.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The attempt does not take such messages at this stage.
    #[error("the sharing is {stage}, which takes no such message")]
    Stage {
        /// The stage.
        stage: &'static str,
    },
    /// It was checked against another state than it is to be recorded in.
    #[error("the message was checked for another attempt or other registrations")]
    OtherAttempt,
    /// The sender has registered already.
    #[error("validator {from} has registered")]
    AlreadyRegistered {
        /// The sender.
        from: ValidatorIndex,
    },
    /// The dealing is on the chain already.
    #[error("dealing {dealer} is on the chain")]
    AlreadyDealt {
        /// The dealing.
        dealer: u16,
    },
    /// A complaint about the dealing is proved already.
    #[error("dealing {dealer} is proved wrong")]
    AlreadyProved {
        /// The dealing.
        dealer: u16,
    },
    /// The sender has complained about this dealing already.
    #[error("validator {from} has complained about dealing {dealer}")]
    AlreadyComplained {
        /// The sender.
        from: ValidatorIndex,
        /// The dealing.
        dealer: u16,
    },
    /// The evaluation is published already, or enough others are.
    #[error("dealing {dealer} needs no evaluation at point {point}")]
    AlreadyDisclosed {
        /// The dealing.
        dealer: u16,
        /// The point.
        point: u16,
    },
    /// The sender has acknowledged already.
    #[error("validator {from} has acknowledged")]
    AlreadyAcknowledged {
        /// The sender.
        from: ValidatorIndex,
    },
    /// The dealing is no part of the result.
    #[error("dealing {dealer} is no part of the result")]
    NotQualified {
        /// The dealing.
        dealer: u16,
    },
    /// No complaint about the dealing was proved after the result stood.
    #[error("dealing {dealer} is not under repair")]
    NotUnderRepair {
        /// The dealing.
        dealer: u16,
    },
    /// The sender is to hold no points.
    #[error("validator {from} holds no point")]
    NotAHolder {
        /// The sender.
        from: ValidatorIndex,
    },
    /// The sender has no such dealing to make.
    #[error("dealing {dealer} is not of validator {from}")]
    NotTheDealer {
        /// The sender.
        from: ValidatorIndex,
        /// The dealing.
        dealer: u16,
    },
    /// The point is another validator's.
    #[error("point {point} is not of validator {from}")]
    NotTheHolder {
        /// The sender.
        from: ValidatorIndex,
        /// The point.
        point: u16,
    },
    /// The point's holder did not register in time.
    #[error("the holder of point {point} is not registered")]
    NotRegistered {
        /// The point.
        point: u16,
    },
    /// There is no such dealing on the chain.
    #[error("there is no dealing {dealer}")]
    NoDealing {
        /// The dealing.
        dealer: u16,
    },
    /// A point is not on the curve, not in the subgroup, not canonically encoded, or is infinity where
    /// it must not be.
    #[error("the {name} is not an acceptable point")]
    Point {
        /// What it is.
        name: &'static str,
    },
    /// A number is not below the group's order.
    #[error("the {name} is not a canonical scalar")]
    Scalar {
        /// What it is.
        name: &'static str,
    },
    /// The polynomial has another degree.
    #[error("a dealing has {expected} coefficients, found {found}")]
    Coefficients {
        /// c.
        expected: u16,
        /// Coefficients found.
        found: usize,
    },
    /// There is not one evaluation for each registered point.
    #[error("a dealing has {expected} evaluations, found {found}")]
    Evaluations {
        /// Registered points.
        expected: usize,
        /// Evaluations found.
        found: usize,
    },
    /// A fresh key lacks the constant in G1, or a resharing has one.
    #[error("a dealing of a fresh key, and of no other, has its constant in G1")]
    ConstantInG1,
    /// The constants in G1 and in G2 are of different secrets.
    #[error("the constants in G1 and in G2 are of different secrets")]
    Disagree,
    /// What is reshared is not the share of the old point.
    #[error("the constant is not the verification key of old point {dealer}")]
    NotTheShare {
        /// The old point.
        dealer: u16,
    },
    /// A proof does not hold.
    #[error("the proof of the {name} does not hold")]
    Proof {
        /// What it belongs to.
        name: &'static str,
    },
    /// A published evaluation does not match the commitments.
    #[error("the evaluation of dealing {dealer} at point {point} does not match")]
    WrongEvaluation {
        /// The dealing.
        dealer: u16,
        /// The point.
        point: u16,
    },
    /// Another result is acknowledged than there is.
    #[error("the result is {expected}, the acknowledgement is of {found}")]
    WrongResult {
        /// The result's digest.
        expected: Digest,
        /// As acknowledged.
        found: Digest,
    },
}

impl Refusal {
    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Stage { .. }
            | Self::OtherAttempt
            | Self::AlreadyRegistered { .. }
            | Self::AlreadyDealt { .. }
            | Self::AlreadyProved { .. }
            | Self::AlreadyComplained { .. }
            | Self::AlreadyDisclosed { .. }
            | Self::AlreadyAcknowledged { .. }
            | Self::NotQualified { .. }
            | Self::NotUnderRepair { .. } => Fault::Nobody,
            Self::NotAHolder { .. }
            | Self::NotTheDealer { .. }
            | Self::NotTheHolder { .. }
            | Self::NotRegistered { .. }
            | Self::NoDealing { .. }
            | Self::Point { .. }
            | Self::Scalar { .. }
            | Self::Coefficients { .. }
            | Self::Evaluations { .. }
            | Self::ConstantInG1
            | Self::Disagree
            | Self::NotTheShare { .. }
            | Self::Proof { .. }
            | Self::WrongEvaluation { .. }
            | Self::WrongResult { .. } => Fault::Sender,
        }
    }
}
