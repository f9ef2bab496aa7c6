//! What a scenario says of its L1.

use serde::{Deserialize, Serialize};

use crate::scenario::is_default;

/// A time during which validators do not reach L1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct L1Outage {
    /// Whose connection is broken; everyone's, if nobody is named.
    #[serde(default, skip_serializing_if = "is_default")]
    pub validators: Vec<u16>,
    /// Since when.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// Both are later by up to this much, drawn from the seed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spread_ms: u64,
}

impl L1Outage {
    /// Whether it concerns a validator.
    #[must_use]
    pub fn hits(&self, validator: u16) -> bool {
        self.validators.is_empty() || self.validators.contains(&validator)
    }
}

/// A committee that the stake contract offers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// In the first block from then on.
    pub at_ms: u64,
    /// For which epoch.
    pub epoch: u64,
    /// The power of each validator; 0 for those who are not to be members.
    pub powers: Vec<u64>,
}

/// A validator changes its keys. The new ones run on a machine of their own, which joins as a newcomer does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Who.
    pub validator: u16,
    /// From then on the stake contract offers it with its new keys; with contracts, its operator then replaces them.
    pub at_ms: u64,
}

/// A validator's operator wants to have another stake, and sends the contracts what that takes: a registration, a
/// deposit, a request to unbond, or its exit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StakeChange {
    /// Whose.
    pub validator: u16,
    /// Before the first block from then on.
    pub at_ms: u64,
    /// What the stake is to be, in units of 32 ether as the powers of the first members are; 0 is to leave for good.
    pub power: u64,
}

/// A time during which gas on L1 is dear, because others want it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FeeSpike {
    /// Since when.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// Both are later by up to this much, drawn from the seed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spread_ms: u64,
    /// What a unit of gas costs at least, in gwei.
    pub base_fee_gwei: u64,
}

/// How many L1 blocks the settled origin may fall behind before rollups may leave, on a network as it is deployed.
pub(crate) const ESCAPE_DELAY_BLOCKS: u32 = 7_200;

/// What L1 is like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct L1Model {
    /// The contracts are there, in an EVM; otherwise what they would tell of is drawn.
    #[serde(skip_serializing_if = "is_default")]
    pub contracts: bool,
    /// Time between two blocks.
    pub block_ms: u64,
    /// A block with so many on top of it is final.
    pub finality_blocks: u64,
    /// Blocks that replace some that are not final, of a thousand.
    pub reorg_permille: u64,
    /// How late a validator hears of a final block, at most; everyone has a delay of its own.
    pub lag_ms: u64,
    /// Forced transactions in a block, at most.
    pub forced_max: u64,
    /// Deposits in a block, at most.
    pub deposits_max: u64,
    /// Requests to withdraw in a block, at most; some are of payers who have nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub withdrawals_max: u64,
    /// What the genesis grants the first payer, who then deposits and lives on that; plenty, if absent.
    #[serde(skip_serializing_if = "is_default")]
    pub first_grant_gwei: Option<u64>,
    /// Validators whose provider invents a deposit in every block that it serves.
    pub false_views: Vec<u16>,
    /// Validators whose provider shows, beside each posting, others that nobody has signed, if there are contracts.
    #[serde(skip_serializing_if = "is_default")]
    pub false_postings: Vec<u16>,
    /// When who does not reach L1.
    pub outages: Vec<L1Outage>,
    /// Whom the stake contract offers for which epoch. With any, no epoch after the first begins without one.
    pub offers: Vec<Offer>,
    /// Who changes its keys.
    #[serde(skip_serializing_if = "is_default")]
    pub rotations: Vec<Rotation>,
    /// Who stakes more or less, if there are contracts.
    #[serde(skip_serializing_if = "is_default")]
    pub stakes: Vec<StakeChange>,
    /// How many L1 blocks the settled origin may fall behind before rollups may leave, if there are contracts; a day
    /// of them, if absent.
    #[serde(skip_serializing_if = "is_default")]
    pub escape_delay_blocks: Option<u32>,
    /// When gas is dear, if there are contracts.
    #[serde(skip_serializing_if = "is_default")]
    pub fee_spikes: Vec<FeeSpike>,
}

impl L1Model {
    /// How many L1 blocks the settled origin may fall behind before rollups may leave.
    #[must_use]
    pub fn escape_delay(&self) -> u32 {
        self.escape_delay_blocks.unwrap_or(ESCAPE_DELAY_BLOCKS)
    }
}

impl Default for L1Model {
    fn default() -> Self {
        Self {
            contracts: false,
            block_ms: 500,
            finality_blocks: 3,
            reorg_permille: 0,
            lag_ms: 300,
            forced_max: 3,
            deposits_max: 2,
            withdrawals_max: 0,
            first_grant_gwei: None,
            false_views: Vec::new(),
            false_postings: Vec::new(),
            outages: Vec::new(),
            offers: Vec::new(),
            rotations: Vec::new(),
            stakes: Vec::new(),
            escape_delay_blocks: None,
            fee_spikes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use conclave_contracts::deployment::DeploymentConfig;

    use super::*;

    #[test]
    fn without_a_word_the_escape_delay_is_that_of_a_deployment() {
        let config = DeploymentConfig::defaults(Address::ZERO, Address::ZERO);
        assert_eq!(L1Model::default().escape_delay(), config.forced.escapeDelayBlocks);
    }
}
