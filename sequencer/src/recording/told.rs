//! An input as it is recorded.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Digest, EncryptedBundle};

use super::outputs::{self, brief};
use crate::{
    input::{Input, Peer},
    job::{JobNumber, JobOutput},
    l1::L1Block,
    message::Message,
    settle::Posted,
};

/// An input with which a replay makes the same input again.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Told {
    /// [`Input::Tick`].
    Tick,
    /// [`Input::Message`], as it came over the wire.
    Message {
        /// The sender.
        from: Peer,
        /// What it says.
        message: Message,
    },
    /// [`Input::PeerUp`].
    PeerUp(Peer),
    /// [`Input::PeerDown`].
    PeerDown(Peer),
    /// [`Input::Submit`].
    Submit {
        /// The shell's name for the request.
        ticket: u64,
        /// The bundle.
        bundle: EncryptedBundle,
    },
    /// [`Input::L1`].
    L1(L1Block),
    /// [`Input::JobDone`]: a replay does the job again.
    JobDone {
        /// Which job.
        job: JobNumber,
        /// Digest of what it found.
        output: Digest,
    },
    /// [`Input::Posted`].
    Posted(Box<Posted>),
}

/// Why a recorded input cannot be told again: the replay has come to differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The job is done that this core did not ask for.
    #[error("job {0} is recorded as done, and was not asked for")]
    NotAskedFor(JobNumber),
    /// The job found something else.
    #[error("job {job} is recorded with another output; it found {found}")]
    OtherOutput {
        /// Which job.
        job: JobNumber,
        /// What it found, in short.
        found: String,
    },
}

impl Told {
    /// The input as it is recorded.
    #[must_use]
    pub fn of(input: &Input) -> Self {
        match input {
            Input::Tick => Self::Tick,
            Input::Message { from, message } => {
                Self::Message { from: *from, message: message.clone() }
            }
            Input::PeerUp(peer) => Self::PeerUp(*peer),
            Input::PeerDown(peer) => Self::PeerDown(*peer),
            Input::Submit { ticket, bundle } => {
                Self::Submit { ticket: *ticket, bundle: bundle.clone() }
            }
            Input::L1(block) => Self::L1(block.clone()),
            Input::Posted(posted) => Self::Posted(posted.clone()),
            Input::JobDone { job, output } => {
                Self::JobDone { job: *job, output: outputs::of_job(output) }
            }
        }
    }

    /// The input again. `work` does a job that this replay's core asked for earlier; none if it did not.
    ///
    /// # Errors
    ///
    /// If a job was not asked for, or finds something else than the recorded one did.
    pub fn into_input(
        self,
        work: impl FnOnce(JobNumber) -> Option<JobOutput>,
    ) -> Result<Input, Unfit> {
        Ok(match self {
            Self::Tick => Input::Tick,
            Self::Message { from, message } => Input::Message { from, message },
            Self::PeerUp(peer) => Input::PeerUp(peer),
            Self::PeerDown(peer) => Input::PeerDown(peer),
            Self::Submit { ticket, bundle } => Input::Submit { ticket, bundle },
            Self::L1(block) => Input::L1(block),
            Self::Posted(posted) => Input::Posted(posted),
            Self::JobDone { job, output: recorded } => {
                let output = work(job).ok_or(Unfit::NotAskedFor(job))?;
                if outputs::of_job(&output) != recorded {
                    return Err(Unfit::OtherOutput { job, found: brief(&output) });
                }
                Input::JobDone { job, output }
            }
        })
    }
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick => write!(formatter, "a tick"),
            Self::Message { from, message } => {
                write!(formatter, "a message of kind {} from {}", message.kind(), Name(from))
            }
            Self::PeerUp(peer) => write!(formatter, "{} can be reached", Name(peer)),
            Self::PeerDown(peer) => write!(formatter, "{} cannot be reached", Name(peer)),
            Self::Submit { ticket, bundle } => {
                write!(formatter, "bundle {} is submitted with ticket {ticket}", bundle.id())
            }
            Self::L1(block) => write!(formatter, "L1 block {} is final", block.origin.number),
            Self::JobDone { job, .. } => write!(formatter, "job {job} is done"),
            Self::Posted(posted) => {
                let height = posted.certificate.commitment.height;
                write!(formatter, "L1 shows another commitment of height {height}")
            }
        }
    }
}

struct Name<'a>(&'a Peer);

impl fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Peer::Validator(index) => write!(formatter, "validator {index}"),
            Peer::Full(connection) => write!(formatter, "full node {connection}"),
        }
    }
}
