//! What a quorum signs about a decided block, for L1: a contract that knows the committee needs nothing
//! else to accept it. `docs/spec/settlement.md` has every layout; `contracts/src/lib/` rebuilds them.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    block::L1Origin,
    committee::ConsensusKey,
    digest::{Hasher, SigningDomain},
    height::{Epoch, Height},
    ids::{BlockId, Digest, PayerAddress},
    settlement_key::SettlementKey,
};

/// What the last commitment of an epoch adds: who comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EpochEnd {
    /// [`settlement_committee`] of the next epoch.
    pub next_committee: Digest,
    /// [`DkgResult::root`](crate::DkgResult::root) of the key and shares that serve in it.
    pub dkg_result: Digest,
}

/// A decided and revealed block, as L1 knows it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockCommitment {
    /// The epoch whose committee signs.
    pub epoch: Epoch,
    /// The height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// Root over the commitments of all heights before ([`crate::mmr`]).
    pub history_root: Digest,
    /// Root over the rollups with a batch in this block; zero if there is none.
    pub reveal_root: Digest,
    /// Number of those rollups.
    pub rollup_count: u32,
    /// The L1 block up to which this block has seen L1.
    pub l1_origin: L1Origin,
    /// Entries of the forced queue, whatever they ask for, up to that origin: all of them carried. A
    /// function of the origin, which L1 compares with its own count ([`crate::RevealedBlock::forced_cursor`]).
    pub forced_cursor: u64,
    /// Root over what the block pays out on L1 ([`crate::withdrawals_root`]).
    pub withdrawals_root: Digest,
    /// In the last commitment of an epoch. Neither half is zero: all others are signed by zeros, so one signature would
    /// serve for both, and L1 takes what has no committee for no end.
    #[borsh(deserialize_with = "none_or_some")]
    pub epoch_end: Option<EpochEnd>,
}

impl BlockCommitment {
    /// Whether it ends its epoch, as L1 sees it.
    #[must_use]
    pub fn ends_epoch(&self) -> bool {
        self.epoch_end.is_some_and(|end| end.next_committee != Digest::ZERO)
    }
}

impl EpochEnd {
    /// What stands in its place in the digest of a commitment that has none.
    const NONE: Self = Self { next_committee: Digest::ZERO, dkg_result: Digest::ZERO };
}

fn none_or_some<R: std::io::Read>(reader: &mut R) -> std::io::Result<Option<EpochEnd>> {
    let end = Option::<EpochEnd>::deserialize_reader(reader)?;
    // L1 knows an end by its committee, and takes none that has not both.
    let is_whole =
        |end: EpochEnd| end.next_committee != Digest::ZERO && end.dkg_result != Digest::ZERO;
    if end.is_some_and(|end| !is_whole(end)) {
        let kind = std::io::ErrorKind::InvalidData;
        return Err(std::io::Error::new(kind, "the end of an epoch that is none, or half of one"));
    }
    Ok(end)
}

impl SigningDomain {
    /// What an attestation signs with the settlement key: the digest of a commitment.
    #[must_use]
    pub fn commitment(&self, commitment: &BlockCommitment) -> Digest {
        let end = commitment.epoch_end.unwrap_or(EpochEnd::NONE);
        self.hasher("\u{2}conclave/hdr/v1")
            .u64(commitment.epoch.as_u64())
            .u64(commitment.height.as_u64())
            .fixed(commitment.block.as_bytes())
            .fixed(commitment.history_root.as_bytes())
            .fixed(commitment.reveal_root.as_bytes())
            .u32(commitment.rollup_count)
            .u64(commitment.l1_origin.number)
            .fixed(commitment.l1_origin.hash.as_bytes())
            .u64(commitment.forced_cursor)
            .fixed(commitment.withdrawals_root.as_bytes())
            .fixed(end.next_committee.as_bytes())
            .fixed(end.dkg_result.as_bytes())
            .finish()
    }

    /// What a consensus key signs to show that `owner` holds it.
    #[must_use]
    pub fn consensus_key_possession(&self, owner: &PayerAddress, key: &ConsensusKey) -> Digest {
        self.hasher("conclave/consensus-key/v1")
            .fixed(owner.as_bytes())
            .fixed(key.as_bytes())
            .finish()
    }

    /// What a settlement key signs, under the tag for proofs of possession, to show that `owner` holds it.
    #[must_use]
    pub fn settlement_key_possession(&self, owner: &PayerAddress, key: &SettlementKey) -> Digest {
        self.hasher("conclave/settlement-key/v1")
            .fixed(owner.as_bytes())
            .fixed(key.as_bytes())
            .finish()
    }
}

/// One member of a committee as L1 lists it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SettlementMember {
    /// Signs proposals, votes and share messages.
    pub consensus_key: ConsensusKey,
    /// Its number in the stake contract.
    pub validator: u32,
    /// Voting power.
    pub power: u64,
    /// Signs commitments.
    pub settlement_key: SettlementKey,
}

/// The digest by which an epoch-end commitment names the next committee.
#[must_use]
pub fn settlement_committee(members: &[SettlementMember]) -> Digest {
    let mut hasher = Hasher::new("conclave/settlement-committee/v1");
    for member in members {
        hasher
            .fixed(member.consensus_key.as_bytes())
            .u32(member.validator)
            .u64(member.power)
            .fixed(member.settlement_key.as_bytes());
    }
    hasher.finish()
}
