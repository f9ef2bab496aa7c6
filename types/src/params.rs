//! Protocol parameters: part of the genesis, the same for every validator of an epoch.

use std::{fmt, time::Duration};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::height::{Epoch, HeightDelta};

/// An amount of ether in units of 10⁻⁹ ether.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct Gwei(u64);

impl Gwei {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Wraps a number of gwei.
    #[must_use]
    pub const fn new(gwei: u64) -> Self {
        Self(gwei)
    }

    /// The number of gwei.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The sum, or none if it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or none if there is too little.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }
}

impl fmt::Display for Gwei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gwei", self.0)
    }
}

/// What a bundle pays for its inclusion, whatever becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeParams {
    /// Fee for each bundle, so that every further draw costs a full fee.
    pub bundle_fee_gwei: u64,
    /// Fee for each byte of ciphertext.
    pub byte_fee_gwei: u64,
}

impl FeeParams {
    /// The charge for a ciphertext of `ciphertext_bytes` with a priority fee, or none on overflow.
    #[must_use]
    pub fn charge(&self, ciphertext_bytes: u32, priority_fee: Gwei) -> Option<Gwei> {
        let bytes = self.byte_fee_gwei.checked_mul(u64::from(ciphertext_bytes))?;
        let base = self.bundle_fee_gwei.checked_add(bytes)?;
        Gwei(base).checked_add(priority_fee)
    }
}

/// How much fits where.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitParams {
    /// Bundles in a block.
    pub block_bundles_max: u32,
    /// Bytes of ciphertext in a block, all bundles together.
    pub block_bytes_max: u32,
    /// How many heights a bundle may ask to stay valid.
    pub bundle_lifetime_max: HeightDelta,
    /// If a decided block is more than this far above the newest revealed one, blocks carry no bundles.
    pub reveal_lag_max: HeightDelta,
}

impl LimitParams {
    /// Bundles in a block that any genesis may allow: peers ask for no more at once.
    pub const BLOCK_BUNDLES_MAX: u32 = 1_024;
    /// Bytes in a block that any genesis may allow: a block with its bundles fits one message between nodes.
    pub const BLOCK_BYTES_MAX: u32 = 8 << 20;
}

/// How long to wait for what. All in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingParams {
    /// Least time between two proposals while there are bundles.
    pub block_interval_ms: u64,
    /// Time between two proposals while there is nothing to order.
    pub idle_interval_ms: u64,
    /// How long a validator waits for a proposal in round 0.
    pub propose_timeout_ms: u64,
    /// How long it waits for more votes in round 0.
    pub vote_timeout_ms: u64,
    /// How much longer each wait is in each further round.
    pub timeout_step_ms: u64,
    /// D: a validator withholds a proposal that omits what it has held longer than D·2^round.
    pub inclusion_delay_ms: u64,
    /// How far a block's time may be ahead of a validator's clock.
    pub clock_drift_max_ms: u64,
}

impl TimingParams {
    /// D·2^round, saturating.
    #[must_use]
    pub fn inclusion_delay(&self, round: u32) -> Duration {
        let factor = 1_u64.checked_shl(round).unwrap_or(u64::MAX);
        Duration::from_millis(self.inclusion_delay_ms.saturating_mul(factor))
    }
}

/// How the threshold key is made and handed on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharingParams {
    /// The encryption suite.
    pub suite: u8,
    /// c: how many validators may collude and learn nothing; 0 for half of them, rounded up.
    pub secrecy: u16,
    /// Heights within which validators register, and then deal. Either ends as soon as all have, or not before
    /// everyone has had a turn to propose: not below the number of members.
    pub stage_heights: HeightDelta,
    /// Heights within which a wrong dealing can be complained about before the result stands, not below the number
    /// of members either; a complaint that is later leads to a repair.
    pub complaint_heights: HeightDelta,
    /// Heights of an epoch in which late complaints about its sharing are still taken, and for which a result waits
    /// until a quorum's points are acknowledged.
    pub repair_heights: HeightDelta,
    /// Heights of an epoch after which the key is handed on to the next; 0 for never.
    pub epoch_heights: HeightDelta,
    /// Epochs of an era. The first of each later era has a new key, which no committee before had shares of;
    /// 0 for one era that never ends.
    pub era_epochs: u64,
    /// Heights from the moment when the next era's key is fixed for which blocks still take bundles under the
    /// old one. Those under either are admitted meanwhile.
    pub overlap_heights: HeightDelta,
}

impl SharingParams {
    /// Bytes of these messages in one block. The largest fits several times.
    pub const BLOCK_BYTES_MAX: usize = 1 << 20;

    /// Whether an epoch begins an era with a key of its own. Epoch 0 makes the first key, or has one from the
    /// genesis; either way the first era goes up to epoch `era_epochs`.
    #[must_use]
    pub const fn opens_era(&self, epoch: Epoch) -> bool {
        let Some(before) = epoch.as_u64().checked_sub(1) else { return false };
        before > 0 && self.era_epochs > 0 && before.is_multiple_of(self.era_epochs)
    }
}

/// All parameters of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Fees.
    pub fees: FeeParams,
    /// Sizes.
    pub limits: LimitParams,
    /// Waits.
    pub timing: TimingParams,
    /// The threshold key.
    pub sharing: SharingParams,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            fees: FeeParams { bundle_fee_gwei: 1_000, byte_fee_gwei: 10 },
            limits: LimitParams {
                block_bundles_max: 512,
                block_bytes_max: 4 << 20,
                bundle_lifetime_max: HeightDelta::new(10_000),
                reveal_lag_max: HeightDelta::new(16),
            },
            timing: TimingParams {
                block_interval_ms: 50,
                idle_interval_ms: 500,
                propose_timeout_ms: 2_000,
                vote_timeout_ms: 500,
                timeout_step_ms: 500,
                inclusion_delay_ms: 4_000,
                clock_drift_max_ms: 500,
            },
            sharing: SharingParams {
                suite: 1,
                secrecy: 0,
                stage_heights: HeightDelta::new(100),
                complaint_heights: HeightDelta::new(20),
                repair_heights: HeightDelta::new(1_000),
                epoch_heights: HeightDelta::new(100_000),
                era_epochs: 36,
                overlap_heights: HeightDelta::new(1_000),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eras_begin_after_as_many_epochs_each() {
        let opening = |era_epochs| {
            let sharing = SharingParams { era_epochs, ..Params::default().sharing };
            (0..8).filter(|epoch| sharing.opens_era(Epoch::new(*epoch))).collect::<Vec<_>>()
        };
        assert_eq!(opening(1), [2, 3, 4, 5, 6, 7]);
        assert_eq!(opening(3), [4, 7]);
        assert!(opening(0).is_empty() && opening(u64::MAX).is_empty());
    }
}
