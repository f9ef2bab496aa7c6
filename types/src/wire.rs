//! Protobuf ⇄ domain types, at the public edge only. Parsing is total: a field of the wrong length or
//! a missing message is an error that names the field.

mod proofs;
mod settlement;

pub use self::{
    proofs::{CertifiedCommitment, HistoryProof, PaidOut, WithdrawalProof, bytes, digests},
    settlement::{members, seat},
};
use crate::{
    batch::{Batch, BatchItem, ForcedRef, ItemSource, LegRef},
    block::{BlockHeader, L1Origin},
    bundle::Leg,
    certificate::{Certificate, SignatureBytes},
    height::{Epoch, Height, Round},
    ids::{BlockId, BundleId, Digest, IdError, KeyId, NetworkId, RollupId, ValidatorIndex},
    proto::v1,
    time::Time,
};

/// Why a protobuf message is not what it should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    /// A message that must be there is not.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// An id of the wrong length.
    #[error("field {field}: {source}")]
    Id {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: IdError,
    },
    /// Two fields of which one at most may be set.
    #[error("fields {one} and {other} exclude each other")]
    Exclusive {
        /// One.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A number that is too large.
    #[error("field {field}: {found} is too large")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// What was found.
        found: u64,
    },
}

/// Reads an id out of `bytes`, naming `field` in the error.
///
/// # Errors
///
/// [`WireError::Id`] if the length is wrong.
pub fn id<T>(
    bytes: &[u8],
    field: &'static str,
    read: impl FnOnce(&[u8]) -> Result<T, IdError>,
) -> Result<T, WireError> {
    read(bytes).map_err(|source| WireError::Id { field, source })
}

fn small(number: u32, field: &'static str) -> Result<u16, WireError> {
    u16::try_from(number).ok().ok_or(WireError::TooLarge { field, found: u64::from(number) })
}

impl From<&L1Origin> for v1::L1Origin {
    fn from(origin: &L1Origin) -> Self {
        Self { number: origin.number, hash: origin.hash.as_bytes().to_vec() }
    }
}

impl TryFrom<&v1::L1Origin> for L1Origin {
    type Error = WireError;

    fn try_from(origin: &v1::L1Origin) -> Result<Self, WireError> {
        let hash = id(&origin.hash, "l1_origin.hash", Digest::from_slice)?;
        Ok(Self { number: origin.number, hash })
    }
}

impl From<&BlockHeader> for v1::BlockHeader {
    fn from(header: &BlockHeader) -> Self {
        Self {
            network_id: header.network.as_bytes().to_vec(),
            height: header.height.as_u64(),
            parent: header.parent.as_bytes().to_vec(),
            parent_certificate: header.parent_certificate.as_bytes().to_vec(),
            proposer: u32::from(header.proposer.as_u16()),
            time_micros: header.time.as_micros(),
            epoch: header.epoch.as_u64(),
            l1_origin: Some((&header.l1_origin).into()),
            bundle_root: header.bundle_root.as_bytes().to_vec(),
            bundle_count: header.bundle_count,
            revealed_height: header.revealed_height.as_u64(),
            reveal_digest: header.reveal_digest.as_bytes().to_vec(),
            ledger_digest: header.ledger_digest.as_bytes().to_vec(),
            l1_entries_root: header.l1_entries_root.as_bytes().to_vec(),
            key_id: header.key_id.as_bytes().to_vec(),
            sharing_root: header.sharing_root.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<&v1::BlockHeader> for BlockHeader {
    type Error = WireError;

    fn try_from(header: &v1::BlockHeader) -> Result<Self, WireError> {
        let origin = header.l1_origin.as_ref().ok_or(WireError::Missing("l1_origin"))?;
        Ok(Self {
            network: id(&header.network_id, "network_id", NetworkId::from_slice)?,
            height: Height::new(header.height),
            parent: id(&header.parent, "parent", BlockId::from_slice)?,
            parent_certificate: id(
                &header.parent_certificate,
                "parent_certificate",
                Digest::from_slice,
            )?,
            proposer: ValidatorIndex::new(small(header.proposer, "proposer")?),
            time: Time::from_micros(header.time_micros),
            epoch: Epoch::new(header.epoch),
            l1_origin: origin.try_into()?,
            l1_entries_root: id(&header.l1_entries_root, "l1_entries_root", Digest::from_slice)?,
            key_id: id(&header.key_id, "key_id", KeyId::from_slice)?,
            sharing_root: id(&header.sharing_root, "sharing_root", Digest::from_slice)?,
            bundle_root: id(&header.bundle_root, "bundle_root", Digest::from_slice)?,
            bundle_count: header.bundle_count,
            revealed_height: Height::new(header.revealed_height),
            reveal_digest: id(&header.reveal_digest, "reveal_digest", Digest::from_slice)?,
            ledger_digest: id(&header.ledger_digest, "ledger_digest", Digest::from_slice)?,
        })
    }
}

impl From<&Certificate> for v1::Certificate {
    fn from(certificate: &Certificate) -> Self {
        let signatures = certificate.signatures.iter();
        Self {
            epoch: certificate.epoch.as_u64(),
            height: certificate.height.as_u64(),
            round: certificate.round.as_u32(),
            block_id: certificate.block.as_bytes().to_vec(),
            signatures: signatures
                .map(|(validator, signature)| v1::CertificateSignature {
                    validator: u32::from(validator.as_u16()),
                    signature: signature.as_bytes().to_vec(),
                })
                .collect(),
        }
    }
}

impl TryFrom<&v1::Certificate> for Certificate {
    type Error = WireError;

    fn try_from(certificate: &v1::Certificate) -> Result<Self, WireError> {
        let signatures = certificate
            .signatures
            .iter()
            .map(|entry| {
                let bytes = <[u8; 64]>::try_from(entry.signature.as_slice()).ok();
                let bytes = bytes.ok_or(WireError::Id {
                    field: "signature",
                    source: IdError::Length { expected: 64, found: entry.signature.len() },
                })?;
                let validator = ValidatorIndex::new(small(entry.validator, "validator")?);
                Ok((validator, SignatureBytes::new(bytes)))
            })
            .collect::<Result<_, WireError>>()?;
        Ok(Self {
            epoch: Epoch::new(certificate.epoch),
            height: Height::new(certificate.height),
            round: Round::new(certificate.round),
            block: id(&certificate.block_id, "block_id", BlockId::from_slice)?,
            signatures,
        })
    }
}

impl From<&Leg> for v1::Leg {
    fn from(leg: &Leg) -> Self {
        Self { rollup_id: leg.rollup.as_u64(), transaction: leg.transaction.clone() }
    }
}

impl From<v1::Leg> for Leg {
    fn from(leg: v1::Leg) -> Self {
        Self { rollup: RollupId::new(leg.rollup_id), transaction: leg.transaction }
    }
}

impl From<&ItemSource> for v1::batch_item::Source {
    fn from(source: &ItemSource) -> Self {
        match *source {
            ItemSource::Leg(LegRef { bundle, leg, legs }) => Self::Leg(v1::LegRef {
                bundle_id: bundle.as_bytes().to_vec(),
                leg: u32::from(leg),
                legs: u32::from(legs),
            }),
            ItemSource::Forced(ForcedRef { index, gas_limit }) => {
                Self::Forced(v1::ForcedRef { index, gas_limit })
            }
        }
    }
}

impl TryFrom<v1::batch_item::Source> for ItemSource {
    type Error = WireError;

    fn try_from(source: v1::batch_item::Source) -> Result<Self, WireError> {
        Ok(match source {
            v1::batch_item::Source::Leg(leg) => Self::Leg(LegRef {
                bundle: id(&leg.bundle_id, "bundle_id", BundleId::from_slice)?,
                leg: small(leg.leg, "leg")?,
                legs: small(leg.legs, "legs")?,
            }),
            v1::batch_item::Source::Forced(v1::ForcedRef { index, gas_limit }) => {
                Self::Forced(ForcedRef { index, gas_limit })
            }
        })
    }
}

impl From<&Batch> for v1::Batch {
    fn from(batch: &Batch) -> Self {
        let items = batch.items.iter().map(|item| v1::BatchItem {
            transaction: item.transaction.clone(),
            source: Some((&item.source).into()),
        });
        Self {
            rollup_id: batch.rollup.as_u64(),
            sequence: batch.sequence,
            previous_height: batch.previous_height.as_u64(),
            height: batch.height.as_u64(),
            block_id: batch.block.as_bytes().to_vec(),
            time_micros: batch.time.as_micros(),
            l1_origin: Some((&batch.l1_origin).into()),
            randomness: batch.randomness.as_bytes().to_vec(),
            items: items.collect(),
        }
    }
}

impl TryFrom<v1::Batch> for Batch {
    type Error = WireError;

    fn try_from(batch: v1::Batch) -> Result<Self, WireError> {
        let origin = batch.l1_origin.as_ref().ok_or(WireError::Missing("l1_origin"))?;
        let items = batch.items.into_iter().map(|item| {
            let source = item.source.ok_or(WireError::Missing("source"))?;
            Ok(BatchItem { transaction: item.transaction, source: source.try_into()? })
        });
        Ok(Self {
            rollup: RollupId::new(batch.rollup_id),
            sequence: batch.sequence,
            previous_height: Height::new(batch.previous_height),
            height: Height::new(batch.height),
            block: id(&batch.block_id, "block_id", BlockId::from_slice)?,
            time: Time::from_micros(batch.time_micros),
            l1_origin: origin.try_into()?,
            randomness: id(&batch.randomness, "randomness", Digest::from_slice)?,
            items: items.collect::<Result<_, WireError>>()?,
        })
    }
}
