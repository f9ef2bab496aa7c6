//! The validator set of an epoch, and the one place where quorums are computed.

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::{
    commitment::{SettlementMember, settlement_committee},
    digest,
    ids::{Digest, ValidatorIndex},
    settlement_key::{ParsedSettlementKey, SettlementKey},
};

/// An ed25519 public key, as raw bytes. Checked to be a point when a [`Committee`] is made.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct ConsensusKey([u8; 32]);

impl ConsensusKey {
    /// Wraps raw bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Serialize for ConsensusKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Digest::new(self.0))
    }
}

impl<'de> Deserialize<'de> for ConsensusKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Digest as Deserialize>::deserialize(deserializer).map(|bytes| Self(*bytes.as_bytes()))
    }
}

/// One validator of a committee.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// A name for people. Not unique, not trusted.
    pub name: String,
    /// Signs proposals, votes and share messages.
    pub consensus_key: ConsensusKey,
    /// The ed25519 identity of its libp2p host.
    pub network_key: ConsensusKey,
    /// Signs commitments for L1.
    pub settlement_key: SettlementKey,
    /// Its number in the stake contract; 0 in a network that settles nowhere.
    pub validator: u32,
    /// Voting power. At least 1.
    pub power: u64,
}

/// Why a list of members is not a committee.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommitteeError {
    /// There are no members, or more than [`Committee::MEMBERS_MAX`].
    #[error("a committee has 1 to {max} members, found {found}", max = Committee::MEMBERS_MAX)]
    Count {
        /// Members given.
        found: usize,
    },
    /// A member has no voting power.
    #[error("member {0} has no voting power")]
    NoPower(ValidatorIndex),
    /// The sum of voting power does not fit 63 bits.
    #[error("the voting power adds up to more than 2^63 - 1")]
    TotalPower,
    /// The members are not in the order of their indices, or one appears twice.
    #[error("member {0} is out of order or appears twice")]
    Order(ValidatorIndex),
    /// A key appears twice.
    #[error("member {0} has a key that another member has too")]
    DuplicateKey(ValidatorIndex),
    /// A consensus key is not a point, or is one of small order.
    #[error("member {0} has a consensus key that is not a valid ed25519 key")]
    BadKey(ValidatorIndex),
    /// A settlement key is not a point, or is infinity.
    #[error("member {0} has a settlement key that is not a valid BLS12-381 key in G1")]
    BadSettlementKey(ValidatorIndex),
}

/// The members of an epoch, in index order. Valid by construction: at least one member, each with
/// power, keys distinct and well formed.
///
/// An index is a validator's for ever, and a committee is some of the validators that there have been: its
/// indices ascend, with gaps. A member's *place* is its position among the members, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    indices: Vec<ValidatorIndex>,
    members: Vec<Member>,
    /// The members' consensus keys, parsed once.
    keys: Vec<VerifyingKey>,
    /// Likewise their settlement keys.
    settlement_keys: Vec<ParsedSettlementKey>,
    total_power: u64,
}

impl Committee {
    /// Indices are 16 bits and a certificate's bitmap must stay small.
    pub const MEMBERS_MAX: usize = 1_024;

    /// Checks `members` and makes them a committee; their order gives their index.
    ///
    /// # Errors
    ///
    /// Says which member is at fault.
    pub fn new(members: Vec<Member>) -> Result<Self, CommitteeError> {
        Self::seated((0_u16..).map(ValidatorIndex::new).zip(members))
    }

    /// Checks members with their indices, which ascend, and makes them a committee.
    ///
    /// # Errors
    ///
    /// Says which member is at fault.
    pub fn seated(
        seats: impl IntoIterator<Item = (ValidatorIndex, Member)>,
    ) -> Result<Self, CommitteeError> {
        let most = Self::MEMBERS_MAX.saturating_add(1);
        let (indices, members): (Vec<_>, Vec<_>) = seats.into_iter().take(most).unzip();
        if members.is_empty() || members.len() > Self::MEMBERS_MAX {
            return Err(CommitteeError::Count { found: members.len() });
        }
        let mut total_power = 0_u64;
        let mut distinct = std::collections::BTreeSet::new();
        let mut settlement_distinct = std::collections::BTreeSet::new();
        let mut keys = Vec::with_capacity(members.len());
        let mut settlement_keys = Vec::with_capacity(members.len());
        let mut previous = None;
        for (index, member) in indices.iter().copied().zip(&members) {
            if previous.replace(index).is_some_and(|before| before >= index) {
                return Err(CommitteeError::Order(index));
            }
            if member.power == 0 {
                return Err(CommitteeError::NoPower(index));
            }
            total_power = total_power
                .checked_add(member.power)
                .filter(|total| *total <= i64::MAX.unsigned_abs())
                .ok_or(CommitteeError::TotalPower)?;
            let is_new = distinct.insert(member.consensus_key)
                && distinct.insert(member.network_key)
                && settlement_distinct.insert(member.settlement_key);
            if !is_new {
                return Err(CommitteeError::DuplicateKey(index));
            }
            let key = VerifyingKey::from_bytes(member.consensus_key.as_bytes());
            let usable = key.ok().filter(|key| !key.is_weak());
            keys.push(usable.ok_or(CommitteeError::BadKey(index))?);
            let key = member.settlement_key.parse();
            settlement_keys.push(key.ok_or(CommitteeError::BadSettlementKey(index))?);
        }
        Ok(Self { indices, members, keys, settlement_keys, total_power })
    }

    /// The members, in index order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Each member with its index.
    pub fn iter(&self) -> impl Iterator<Item = (ValidatorIndex, &Member)> {
        self.indices.iter().copied().zip(&self.members)
    }

    /// The place of the member with this index, from 0 and without gaps; none for a stranger.
    #[must_use]
    pub fn place_of(&self, index: ValidatorIndex) -> Option<usize> {
        // Before anybody has left, that is the index itself.
        let first = index.as_usize();
        if self.indices.get(first) == Some(&index) {
            return Some(first);
        }
        self.indices.binary_search(&index).ok()
    }

    /// The member at `index`, if there is one.
    #[must_use]
    pub fn get(&self, index: ValidatorIndex) -> Option<&Member> {
        self.members.get(self.place_of(index)?)
    }

    /// The consensus key of the member at `index`, if there is one.
    #[must_use]
    pub fn key(&self, index: ValidatorIndex) -> Option<&VerifyingKey> {
        self.keys.get(self.place_of(index)?)
    }

    /// The settlement key of the member at `index`, if there is one.
    #[must_use]
    pub fn settlement_key(&self, index: ValidatorIndex) -> Option<&ParsedSettlementKey> {
        self.settlement_keys.get(self.place_of(index)?)
    }

    /// The members as L1 lists them: ascending by their numbers there. Bit i of a certificate's bitmap is row i.
    #[must_use]
    pub fn rows(&self) -> Vec<(ValidatorIndex, SettlementMember)> {
        let mut rows: Vec<_> = self
            .iter()
            .map(|(index, member)| {
                let Member { consensus_key, settlement_key, validator, power, .. } = member;
                let (consensus_key, settlement_key) = (*consensus_key, *settlement_key);
                let (validator, power) = (*validator, *power);
                let row = SettlementMember { consensus_key, validator, power, settlement_key };
                (index, row)
            })
            .collect();
        rows.sort_by_key(|(index, row)| (row.validator, *index));
        rows
    }

    /// The digest by which L1 knows the committee.
    #[must_use]
    pub fn settlement_digest(&self) -> Digest {
        let rows: Vec<_> = self.rows().into_iter().map(|(_, row)| row).collect();
        settlement_committee(&rows)
    }

    /// The index of the member with this consensus key.
    #[must_use]
    pub fn index_of(&self, key: &ConsensusKey) -> Option<ValidatorIndex> {
        self.iter().find(|(_, member)| member.consensus_key == *key).map(|(index, _)| index)
    }

    /// Number of members.
    #[must_use]
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Sum of the members' voting power.
    #[must_use]
    pub const fn total_power(&self) -> u64 {
        self.total_power
    }

    /// The least voting power that is more than two thirds: what decides.
    #[must_use]
    pub const fn quorum_power(&self) -> u64 {
        // total < 2^63, so doubling does not overflow.
        self.total_power * 2 / 3 + 1
    }

    /// The most voting power that is less than one third: what may be Byzantine.
    #[must_use]
    pub const fn fault_power(&self) -> u64 {
        (self.total_power - 1) / 3
    }

    /// The most members out of `count` of equal power that may be Byzantine.
    #[must_use]
    pub const fn fault_count(count: usize) -> usize {
        count.saturating_sub(1) / 3
    }

    /// Voting power of the given members, each counted once.
    #[must_use]
    pub fn power_of(&self, members: impl IntoIterator<Item = ValidatorIndex>) -> u64 {
        let distinct: std::collections::BTreeSet<_> = members.into_iter().collect();
        distinct.into_iter().filter_map(|index| self.get(index)).map(|member| member.power).sum()
    }

    /// Digest of the committee, for the records that must name it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = digest::Hasher::new("conclave/committee/v1");
        for member in &self.members {
            hasher.fixed(member.consensus_key.as_bytes()).u64(member.power);
        }
        hasher.finish()
    }
}
