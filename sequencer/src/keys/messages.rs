//! Judging one message of a sharing: form, attempt, then what it claims, which may take long.

use conclave_encryption::{Checked, Dkg, Message, Refusal};
use conclave_types::{Digest, SharingMessage};

use crate::keys::Keys;

/// Why a sharing's message is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSharing {
    /// It is for no attempt that is under way or still repaired.
    #[error("it is for epoch {epoch}, round {round}, which nobody waits for")]
    OtherAttempt {
        /// The epoch that it is for.
        epoch: u64,
        /// The attempt.
        round: u32,
    },
    /// The sender did not sign it.
    #[error("validator {0} did not sign it")]
    Signature(conclave_types::ValidatorIndex),
    /// Its bytes are no message.
    #[error("its bytes are no message: {detail}")]
    Malformed {
        /// What is wrong with them.
        detail: String,
    },
    /// The sharing does not take it.
    #[error("the sharing does not take it")]
    Refused(#[from] Refusal),
}

impl Keys {
    /// The sharing that a message is about.
    pub(crate) fn sharing_of(&self, message: &SharingMessage) -> Result<&Dkg, BadSharing> {
        self.sharing(message.epoch, message.round).ok_or(BadSharing::OtherAttempt {
            epoch: message.epoch.as_u64(),
            round: message.round.as_u32(),
        })
    }
}

/// Judges what a message says, its signature aside. For a dealing among a hundred that takes several
/// milliseconds.
pub(crate) fn check_message(dkg: &Dkg, message: &SharingMessage) -> Result<Checked, BadSharing> {
    let content = Message::decode(&message.content);
    let content = content.map_err(|error| BadSharing::Malformed { detail: error.to_string() })?;
    Ok(dkg.check(message.from, &content)?)
}

/// What came of judging messages, each under the digest of all its bytes.
pub(crate) type Verdicts = Vec<(Digest, Result<Checked, BadSharing>)>;
