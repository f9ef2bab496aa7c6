//! How far a bundle has come, as a value that cannot contradict itself.

use std::{fmt, str::FromStr};

use conclave_grpc::messages as v1;
use conclave_types::{
    BlockId, BundleId, Digest, Gwei, Height, Leg,
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};

use crate::ClientError;

/// A level to wait for. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A validator has it and has signed a receipt.
    Received,
    /// It is in a decided block; its contents are still sealed.
    Ordered,
    /// It was opened and has its place in the order of execution.
    Revealed,
    /// A BLS quorum has signed the commitment to its block.
    Certified,
    /// The commitment was accepted on L1.
    Settled,
    /// That L1 block is finalized.
    Final,
}

impl Level {
    const ALL: [Self; 6] = [
        Self::Received,
        Self::Ordered,
        Self::Revealed,
        Self::Certified,
        Self::Settled,
        Self::Final,
    ];

    /// The level as the API writes it.
    #[must_use]
    pub const fn to_wire(self) -> v1::Level {
        match self {
            Self::Received => v1::Level::Received,
            Self::Ordered => v1::Level::Ordered,
            Self::Revealed => v1::Level::Revealed,
            Self::Certified => v1::Level::Certified,
            Self::Settled => v1::Level::Settled,
            Self::Final => v1::Level::Final,
        }
    }

    /// Reads the API's number; none for "not known here" and for levels of a later version.
    #[must_use]
    pub fn from_wire(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.to_wire() as i32 == number)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Received => "received",
            Self::Ordered => "ordered",
            Self::Revealed => "revealed",
            Self::Certified => "certified",
            Self::Settled => "settled",
            Self::Final => "final",
        })
    }
}

/// What is no level.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no level; expected received, ordered, revealed, certified, settled or final")]
pub struct LevelError(String);

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let wanted = text.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|level| level.to_string() == wanted)
            .ok_or_else(|| LevelError(text.chars().take(40).collect()))
    }
}

/// Where an ordered bundle stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The height of its block.
    pub height: Height,
    /// Its block.
    pub block: BlockId,
    /// What its payer was charged.
    pub fee: Gwei,
}

/// What became of a bundle when its block was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its place in the order of execution, from 0.
    pub position: u32,
    /// What was drawn for it.
    pub draw: Digest,
    /// Its legs, or why there are none.
    pub legs: Result<Vec<Leg>, String>,
}

/// How far a bundle has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The validator does not know it.
    Unknown,
    /// The era of its key ended before a block took it, so none ever will. It is not charged, and its nonce is
    /// free. In the validator's words.
    Returned(String),
    /// It is in the pool.
    Received,
    /// It is in a decided block.
    Ordered(Place),
    /// It was opened; the level says how firmly.
    Revealed {
        /// `Revealed` or above.
        level: Level,
        /// Its block.
        place: Place,
        /// What became of it.
        opened: Opened,
    },
}

impl Progress {
    /// The level reached; none if the bundle is not known, or has come back.
    #[must_use]
    pub const fn level(&self) -> Option<Level> {
        match self {
            Self::Unknown | Self::Returned(_) => None,
            Self::Received => Some(Level::Received),
            Self::Ordered(_) => Some(Level::Ordered),
            Self::Revealed { level, .. } => Some(*level),
        }
    }

    /// Its block, from `Ordered` on.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Unknown | Self::Returned(_) | Self::Received => None,
            Self::Ordered(place) | Self::Revealed { place, .. } => Some(place),
        }
    }

    /// What became of it, from `Revealed` on.
    #[must_use]
    pub const fn opened(&self) -> Option<&Opened> {
        match self {
            Self::Unknown | Self::Returned(_) | Self::Received | Self::Ordered(_) => None,
            Self::Revealed { opened, .. } => Some(opened),
        }
    }
}

/// A bundle and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleStatus {
    /// The bundle.
    pub id: BundleId,
    /// How far it has come.
    pub progress: Progress,
}

impl BundleStatus {
    /// What a validator answers about `id`.
    pub(crate) fn of(
        answer: v1::GetBundleStatusResponse,
        id: BundleId,
    ) -> Result<Self, ClientError> {
        let status =
            answer.status.ok_or(ClientError::Inconsistent("a status answer has a status"))?;
        let status = Self::try_from(status)?;
        if status.id != id {
            return Err(ClientError::Inconsistent("a status is of the bundle asked for"));
        }
        Ok(status)
    }
}

impl TryFrom<v1::BundleStatus> for BundleStatus {
    type Error = ClientError;

    fn try_from(status: v1::BundleStatus) -> Result<Self, ClientError> {
        let id = wire::id(&status.bundle_id, "bundle_id", BundleId::from_slice)?;
        let progress = match Level::from_wire(status.level) {
            // Not "unknown": whoever believed that would hand in again what is far on its way.
            None if status.level != 0 => {
                return Err(ClientError::Inconsistent("a level is one of the protocol"));
            }
            None if !status.returned.is_empty() => Progress::Returned(status.returned),
            None => Progress::Unknown,
            Some(Level::Received) => Progress::Received,
            Some(Level::Ordered) => Progress::Ordered(place(&status)?),
            Some(level) => {
                Progress::Revealed { level, place: place(&status)?, opened: opened(status)? }
            }
        };
        Ok(Self { id, progress })
    }
}

fn place(status: &v1::BundleStatus) -> Result<Place, WireError> {
    Ok(Place {
        height: Height::new(status.height),
        block: wire::id(&status.block_id, "block_id", BlockId::from_slice)?,
        fee: Gwei::new(status.fee_charged_gwei),
    })
}

fn opened(status: v1::BundleStatus) -> Result<Opened, ClientError> {
    let draw = wire::id(&status.draw, "draw", Digest::from_slice)?;
    let legs = match (status.legs.is_empty(), status.undecryptable.is_empty()) {
        (false, true) => Ok(status.legs.into_iter().map(Leg::from).collect()),
        (true, false) => Err(status.undecryptable),
        (true, true) => {
            return Err(ClientError::Inconsistent("a revealed bundle has legs or a reason"));
        }
        (false, false) => {
            return Err(ClientError::Inconsistent("an undecryptable bundle has no legs"));
        }
    };
    Ok(Opened { position: status.position, draw, legs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revealed() -> v1::BundleStatus {
        v1::BundleStatus {
            bundle_id: vec![1; 32],
            level: Level::Revealed.to_wire() as i32,
            height: 7,
            block_id: vec![2; 32],
            position: 3,
            draw: vec![4; 32],
            legs: vec![v1::Leg { rollup_id: 901, transaction: vec![5] }],
            undecryptable: String::new(),
            fee_charged_gwei: 11,
            returned: String::new(),
        }
    }

    #[test]
    fn what_has_come_back_has_no_level_and_a_reason() {
        let returned = "its era is over".to_owned();
        let status = v1::BundleStatus {
            bundle_id: vec![1; 32],
            returned: returned.clone(),
            ..v1::BundleStatus::default()
        };
        let status = BundleStatus::try_from(status).unwrap();
        assert_eq!(status.progress, Progress::Returned(returned));
        assert_eq!(status.progress.level(), None);
    }

    #[test]
    fn a_revealed_status_has_a_place_and_an_outcome() {
        let status = BundleStatus::try_from(revealed()).unwrap();
        assert_eq!(status.progress.level(), Some(Level::Revealed));
        assert_eq!(status.progress.place().unwrap().height, Height::new(7));
        assert_eq!(status.progress.opened().unwrap().position, 3);
    }

    #[test]
    fn a_status_that_contradicts_itself_is_refused() {
        let both = v1::BundleStatus { undecryptable: "no".into(), ..revealed() };
        let neither = v1::BundleStatus { legs: vec![], ..revealed() };
        for status in [both, neither] {
            let error = BundleStatus::try_from(status).unwrap_err();
            assert!(matches!(error, ClientError::Inconsistent(_)), "{error}");
        }
        let short = v1::BundleStatus { block_id: vec![2; 31], ..revealed() };
        let error = BundleStatus::try_from(short).unwrap_err();
        assert!(matches!(error, ClientError::Wire(WireError::Id { field: "block_id", .. })));
    }

    #[test]
    fn a_level_reads_back_from_its_name_and_number() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(Level::from_wire(level.to_wire() as i32), Some(level));
        }
        assert_eq!(Level::from_wire(0), None);
        assert_eq!(Level::from_wire(99), None);
        assert!("finalised".parse::<Level>().is_err());
    }
}
