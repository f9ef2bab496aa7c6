//! Commitments, their certificates, and committees that L1 has elected.

use super::{WireError, id, small};
use crate::{
    attestation::SettlementCertificate,
    commitment::{BlockCommitment, EpochEnd},
    committee::{Committee, ConsensusKey, Member},
    height::{Epoch, Height},
    ids::{BlockId, Digest, G2Bytes, IdError, ValidatorIndex},
    proto::v1,
    settlement_key::SettlementKey,
};

impl From<&EpochEnd> for v1::EpochEnd {
    fn from(end: &EpochEnd) -> Self {
        Self {
            next_committee: end.next_committee.as_bytes().to_vec(),
            dkg_result: end.dkg_result.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<&v1::EpochEnd> for EpochEnd {
    type Error = WireError;

    fn try_from(end: &v1::EpochEnd) -> Result<Self, WireError> {
        Ok(Self {
            next_committee: id(&end.next_committee, "next_committee", Digest::from_slice)?,
            dkg_result: id(&end.dkg_result, "dkg_result", Digest::from_slice)?,
        })
    }
}

impl From<&BlockCommitment> for v1::BlockCommitment {
    fn from(commitment: &BlockCommitment) -> Self {
        Self {
            epoch: commitment.epoch.as_u64(),
            height: commitment.height.as_u64(),
            block_id: commitment.block.as_bytes().to_vec(),
            history_root: commitment.history_root.as_bytes().to_vec(),
            reveal_root: commitment.reveal_root.as_bytes().to_vec(),
            rollup_count: commitment.rollup_count,
            l1_origin: Some((&commitment.l1_origin).into()),
            forced_cursor: commitment.forced_cursor,
            withdrawals_root: commitment.withdrawals_root.as_bytes().to_vec(),
            epoch_end: commitment.epoch_end.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<&v1::BlockCommitment> for BlockCommitment {
    type Error = WireError;

    fn try_from(commitment: &v1::BlockCommitment) -> Result<Self, WireError> {
        let origin = commitment.l1_origin.as_ref().ok_or(WireError::Missing("l1_origin"))?;
        let digest = |bytes, field| id(bytes, field, Digest::from_slice);
        Ok(Self {
            epoch: Epoch::new(commitment.epoch),
            height: Height::new(commitment.height),
            block: id(&commitment.block_id, "block_id", BlockId::from_slice)?,
            history_root: digest(&commitment.history_root, "history_root")?,
            reveal_root: digest(&commitment.reveal_root, "reveal_root")?,
            rollup_count: commitment.rollup_count,
            l1_origin: origin.try_into()?,
            forced_cursor: commitment.forced_cursor,
            withdrawals_root: digest(&commitment.withdrawals_root, "withdrawals_root")?,
            epoch_end: commitment.epoch_end.as_ref().map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<&SettlementCertificate> for v1::SettlementCertificate {
    fn from(certificate: &SettlementCertificate) -> Self {
        Self {
            commitment: Some((&certificate.commitment).into()),
            signers: certificate.signers.iter().map(|v| u32::from(v.as_u16())).collect(),
            signature: certificate.signature.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<&v1::SettlementCertificate> for SettlementCertificate {
    type Error = WireError;

    fn try_from(certificate: &v1::SettlementCertificate) -> Result<Self, WireError> {
        let commitment = certificate.commitment.as_ref();
        let signers = certificate.signers.iter().map(|signer| small(*signer, "signers"));
        Ok(Self {
            commitment: commitment.ok_or(WireError::Missing("commitment"))?.try_into()?,
            signers: signers.map(|v| v.map(ValidatorIndex::new)).collect::<Result<_, _>>()?,
            signature: id(&certificate.signature, "signature", G2Bytes::from_slice)?,
        })
    }
}

/// The members of a committee with their indices, as the public is told.
#[must_use]
pub fn members(committee: &Committee) -> Vec<v1::CommitteeMember> {
    let seats = committee.iter();
    seats
        .map(|(index, member)| v1::CommitteeMember {
            validator: u32::from(index.as_u16()),
            number: member.validator,
            power: member.power,
            consensus_key: member.consensus_key.as_bytes().to_vec(),
            settlement_key: member.settlement_key.as_bytes().to_vec(),
            network_key: member.network_key.as_bytes().to_vec(),
            name: member.name.clone(),
        })
        .collect()
}

/// A member with its index, as a node tells of it.
///
/// # Errors
///
/// Names the field that is malformed.
pub fn seat(member: &v1::CommitteeMember) -> Result<(ValidatorIndex, Member), WireError> {
    let key = |bytes: &[u8], field| {
        id(bytes, field, Digest::from_slice).map(|key| ConsensusKey::new(*key.as_bytes()))
    };
    let settlement_key = <[u8; 96]>::try_from(member.settlement_key.as_slice());
    let settlement_key = settlement_key.ok().ok_or(WireError::Id {
        field: "settlement_key",
        source: IdError::Length { expected: 96, found: member.settlement_key.len() },
    })?;
    let index = ValidatorIndex::new(small(member.validator, "validator")?);
    let seated = Member {
        name: member.name.clone(),
        consensus_key: key(&member.consensus_key, "consensus_key")?,
        network_key: key(&member.network_key, "network_key")?,
        settlement_key: SettlementKey::new(settlement_key),
        validator: member.number,
        power: member.power,
    };
    Ok((index, seated))
}
