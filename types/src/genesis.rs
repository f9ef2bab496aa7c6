//! The genesis: all that the members of a network agreed on before its first block.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    block::L1Origin,
    committee::{Committee, CommitteeError, Member},
    digest::Hasher,
    height::Era,
    ids::{BlockId, G1Bytes, G2Bytes, KeyId, NetworkId, PayerAddress, RollupId, ValidatorIndex},
    params::{Gwei, LimitParams, Params},
    time::Time,
};

/// A threshold encryption key with what is needed to check shares of it. Points are raw bytes here;
/// the encryption crate checks them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptionKey {
    /// The suite.
    pub suite: u8,
    /// The era of this key.
    pub era: Era,
    /// c: this many shares say nothing about the key.
    pub secrecy: u16,
    /// ℓ: ciphertexts that one share serves.
    pub packing: u16,
    /// `PK = [sk]₁`.
    pub public_key: G1Bytes,
    /// `X₂ = [sk]₂`.
    pub public_key_g2: G2Bytes,
    /// `V_j = [S(x_j)]₂`, one for each member of the committee.
    pub verification_keys: Vec<G2Bytes>,
}

impl EncryptionKey {
    /// The key's id in `network`.
    #[must_use]
    pub fn id(&self, network: &NetworkId) -> KeyId {
        let digest = Hasher::new("conclave/key/v1")
            .fixed(network.as_bytes())
            .u32(self.era.as_u32())
            .fixed(self.public_key.as_bytes())
            .fixed(self.public_key_g2.as_bytes())
            .finish();
        KeyId::new(*digest.as_bytes())
    }
}

/// A rollup that is registered from the start.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollupRegistration {
    /// Its id; the chain id, for an EVM rollup.
    pub id: RollupId,
    /// A name for people.
    pub name: String,
    /// Gas in one of its blocks.
    pub gas_limit: u64,
}

/// A balance that exists from the start.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// The payer.
    pub address: PayerAddress,
    /// Its balance.
    pub balance: Gwei,
}

/// Why a genesis cannot start a network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GenesisError {
    /// The members are no committee.
    #[error("the members are no committee")]
    Committee(#[from] CommitteeError),
    /// Two rollups have one id.
    #[error("rollup {0} is registered twice")]
    DuplicateRollup(RollupId),
    /// Two accounts have one address.
    #[error("account {0} appears twice")]
    DuplicateAccount(PayerAddress),
    /// Blocks would not fit the messages between nodes.
    #[error("a block may have at most {max} {what}, the genesis says {found}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The most.
        max: u32,
        /// What the genesis says.
        found: u32,
    },
    /// Two members have one number on L1.
    #[error("member {0} has a number in the stake contract that another member has too")]
    ValidatorNumber(ValidatorIndex),
    /// The key of the first epoch is sealed by another suite than the parameters name.
    #[error("the encryption key is of suite {found}, the parameters say {expected}")]
    Suite {
        /// As the parameters say.
        expected: u8,
        /// The key's.
        found: u8,
    },
    /// The key has another number of verification keys than there are members.
    #[error(
        "the encryption key has {found} verification keys, expected one for each of {expected} members"
    )]
    VerificationKeys {
        /// Members.
        expected: usize,
        /// Verification keys.
        found: usize,
    },
}

/// What a network starts from. Its digest is the network id.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// A name for people.
    pub name: String,
    /// No block is earlier.
    pub time: Time,
    /// Chain id of the L1 that the network settles on; 0 if none.
    pub l1_chain_id: u64,
    /// The contract there; zero if none.
    pub l1_contract: PayerAddress,
    /// The L1 block that the first block builds on.
    pub l1_origin: L1Origin,
    /// Parameters of the first epoch.
    pub params: Params,
    /// The first committee.
    pub members: Vec<Member>,
    /// The threshold key of epoch 0, if the network begins with one that an earlier key generation made.
    /// Usually there is none: epoch 0 makes the key, and bundles begin with epoch 1.
    pub encryption_key: Option<EncryptionKey>,
    /// Registered rollups.
    pub rollups: Vec<RollupRegistration>,
    /// Fee balances.
    pub accounts: Vec<GenesisAccount>,
}

impl Genesis {
    /// The network's id.
    ///
    /// # Panics
    ///
    /// Never: encoding into memory does not fail.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        #[expect(clippy::expect_used, reason = "a Vec<u8> takes every write")]
        let encoded = borsh::to_vec(self).expect("encoding into memory does not fail");
        let digest = Hasher::new("conclave/genesis/v1").bytes(&encoded).finish();
        NetworkId::new(*digest.as_bytes())
    }

    /// The parent of the first block.
    #[must_use]
    pub fn block_id(&self) -> BlockId {
        BlockId::new(*self.network_id().as_bytes())
    }

    /// Checks the genesis as a whole and returns its committee.
    ///
    /// # Errors
    ///
    /// Says what contradicts what.
    pub fn validate(&self) -> Result<Committee, GenesisError> {
        let committee = Committee::new(self.members.clone())?;
        let mut numbers = std::collections::BTreeSet::new();
        for (index, member) in committee.iter() {
            if member.validator != 0 && !numbers.insert(member.validator) {
                return Err(GenesisError::ValidatorNumber(index));
            }
        }
        if let Some(key) = &self.encryption_key {
            let (expected, found) = (committee.count(), key.verification_keys.len());
            if found != expected {
                return Err(GenesisError::VerificationKeys { expected, found });
            }
            let (expected, found) = (self.params.sharing.suite, key.suite);
            if found != expected {
                return Err(GenesisError::Suite { expected, found });
            }
        }
        let limits = &self.params.limits;
        for (what, found, max) in [
            ("bundles", limits.block_bundles_max, LimitParams::BLOCK_BUNDLES_MAX),
            ("bytes", limits.block_bytes_max, LimitParams::BLOCK_BYTES_MAX),
        ] {
            if found > max {
                return Err(GenesisError::Limit { what, max, found });
            }
        }
        let mut rollups = std::collections::BTreeSet::new();
        if let Some(rollup) = self.rollups.iter().find(|rollup| !rollups.insert(rollup.id)) {
            return Err(GenesisError::DuplicateRollup(rollup.id));
        }
        let mut accounts = std::collections::BTreeSet::new();
        if let Some(account) = self.accounts.iter().find(|a| !accounts.insert(a.address)) {
            return Err(GenesisError::DuplicateAccount(account.address));
        }
        Ok(committee)
    }
}
