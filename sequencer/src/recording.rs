//! What one process of a sequencer was told and what it did, so that another shell can tell another core
//! the same and compare.
//!
//! A sequencer is a function of its configuration, of what it reads while it recovers, and of its inputs
//! with the times at which it was told them. A recording holds these, and of each step's writes and effects a
//! digest. If a shell had a say in anything else, a replay under another shell would differ.
//!
//! ```text
//!  shell ─▶ Recorded::step ─▶ Sequencer::step ─▶ Ready ─▶ shell
//!                 └─ now, input, digests of Ready ─▶ Recorder ─▶ file
//!
//!  magic ‖ Start ‖ Stored* ‖ Recovered ‖ Step* ‖ End?       each: length ‖ checksum ‖ borsh
//! ```
//!
//! **Jobs are done again.** A finished job is recorded by its number and a digest of what it found, so a replay
//! has to do the work that its own core asked for, and that work is compared too.
//!
//! **Secrets.** No private key and no key share is written, so whoever replays a validator needs them, and the
//! secrets that the store kept when the process began. New secrets follow from the seed and the consensus
//! key together, so a recording and that key give them away. The seed of the process is written: as long as the process lives, whoever reads it could make proofs and shares
//! that pass its batch checks, so a recording is its owner's alone until then. Everything else is what peers and
//! clients sent, and what a store holds.
//!
//! **Nothing is left out in silence.** [`Told`] and [`Outputs`] take inputs and outputs apart by name: a variant or
//! a field more does not compile until it is recorded.
//!
//! **Invariants.**
//! - Recording changes nothing: it fails by itself, and the sequencer goes on.
//! - Reading takes no more memory than a frame ([`FRAME_BYTES_MAX`]), whatever the bytes are.

mod frame;
mod outputs;
mod recorder;
mod told;
mod witness;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{ConsensusKey, Genesis, Time, ValidatorIndex};

pub use self::{
    frame::{FRAME_BYTES_MAX, MAGIC, ReadError, Reader},
    outputs::{Difference, Outputs},
    recorder::{RecordError, Recorded, Recorder},
    told::{Told, Unfit},
    witness::{Reads, Witness},
};
use crate::{
    config::{Config, LostState},
    store::{HighWater, SecretName, Table},
};

/// With which configuration a sequencer was recovered.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Start {
    /// The genesis.
    pub genesis: Genesis,
    /// Whose keys it had; none for a full node.
    pub validator: Option<ValidatorIndex>,
    /// Whether it had a share of the threshold key.
    pub has_share: bool,
    /// Whether it had a settlement key.
    pub attests: bool,
    /// What its operator said, if that its signing history is lost, and what L1 had settled.
    pub lost_state: Option<LostState>,
    /// The seed of its batch checks.
    pub seed: [u8; 32],
    /// When it was recovered.
    pub now: Time,
    /// The signer's high-water mark that it found.
    pub high_water: Option<HighWater>,
    /// The secrets that it found, by name.
    pub secrets: Vec<SecretName>,
}

impl Start {
    /// How a sequencer starts that is recovered with `config` from a store with this high-water mark and
    /// these secrets.
    #[must_use]
    pub fn new(
        config: &Config,
        now: Time,
        high_water: Option<HighWater>,
        secrets: Vec<SecretName>,
    ) -> Self {
        let Config { genesis, identity, seed } = config;
        let validator = identity.as_ref().and_then(|identity| {
            let key = ConsensusKey::new(identity.signing_key.verifying_key().to_bytes());
            let index = genesis.members.iter().position(|member| member.consensus_key == key)?;
            u16::try_from(index).ok().map(ValidatorIndex::new)
        });
        Self {
            genesis: (**genesis).clone(),
            validator,
            has_share: identity.as_ref().is_some_and(|identity| identity.secret_share.is_some()),
            attests: identity.as_ref().is_some_and(|identity| identity.settlement.is_some()),
            lost_state: identity.as_ref().and_then(|identity| identity.lost_state),
            seed: *seed,
            now,
            high_water,
            secrets,
        }
    }
}

/// An entry that recovery read.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Stored {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// One step, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Step {
    /// What time the sequencer was told.
    pub now: Time,
    /// What it was told.
    pub told: Told,
    /// What it did.
    pub outputs: Outputs,
}

/// How a recording ends, if its process did not die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Ending {
    /// The process was stopped.
    Stopped,
    /// The recording had its full size, and the process went on without it.
    Full,
}

/// What a recording consists of, in the order of the variants.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Entry {
    /// The beginning.
    Start(Box<Start>),
    /// Something that recovery read.
    Stored(Stored),
    /// What recovery asked for.
    Recovered(Box<Outputs>),
    /// A step.
    Step(Box<Step>),
    /// The end.
    End(Ending),
}

#[cfg(test)]
mod tests;
