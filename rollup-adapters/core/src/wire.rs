//! Proofs ⇄ protobuf, at the public edge only. Parsing is total, and checks nothing but form.

use conclave_types::{
    Digest, Height, RollupId,
    proto::v1,
    wire::{self, WireError},
};

use crate::{AbsenceProof, BatchProof, LegProof, NamespaceLeaf, NamespaceProof, TransactionProof};

fn digest(bytes: &[u8], field: &'static str) -> Result<Digest, WireError> {
    wire::id(bytes, field, Digest::from_slice)
}

fn batch(proof: Option<&v1::NamespaceProof>) -> Result<NamespaceProof, WireError> {
    proof.ok_or(WireError::Missing("batch"))?.try_into()
}

impl From<&NamespaceProof> for v1::NamespaceProof {
    fn from(proof: &NamespaceProof) -> Self {
        let leaf = &proof.leaf;
        let leaf = v1::NamespaceLeaf {
            rollup_id: leaf.rollup.as_u64(),
            index: leaf.index,
            items: leaf.items,
            transaction_bytes: leaf.bytes,
            sequence: leaf.sequence,
            previous_height: leaf.previous_height.as_u64(),
            transaction_root: leaf.transaction_root.as_bytes().to_vec(),
            atomic_root: leaf.atomic_root.as_bytes().to_vec(),
        };
        Self { leaf: Some(leaf), siblings: wire::bytes(&proof.siblings) }
    }
}

impl TryFrom<&v1::NamespaceProof> for NamespaceProof {
    type Error = WireError;

    fn try_from(proof: &v1::NamespaceProof) -> Result<Self, WireError> {
        let leaf = proof.leaf.as_ref().ok_or(WireError::Missing("leaf"))?;
        let leaf = NamespaceLeaf {
            rollup: RollupId::new(leaf.rollup_id),
            index: leaf.index,
            items: leaf.items,
            bytes: leaf.transaction_bytes,
            sequence: leaf.sequence,
            previous_height: Height::new(leaf.previous_height),
            transaction_root: digest(&leaf.transaction_root, "transaction_root")?,
            atomic_root: digest(&leaf.atomic_root, "atomic_root")?,
        };
        Ok(Self { leaf, siblings: wire::digests(&proof.siblings, "siblings")? })
    }
}

impl From<&TransactionProof> for v1::GetTransactionProofResponse {
    fn from(proof: &TransactionProof) -> Self {
        Self {
            batch: Some((&proof.batch).into()),
            item: proof.item,
            transaction_hash: proof.transaction.as_bytes().to_vec(),
            siblings: wire::bytes(&proof.siblings),
        }
    }
}

impl TryFrom<&v1::GetTransactionProofResponse> for TransactionProof {
    type Error = WireError;

    fn try_from(response: &v1::GetTransactionProofResponse) -> Result<Self, WireError> {
        Ok(Self {
            batch: batch(response.batch.as_ref())?,
            item: response.item,
            transaction: digest(&response.transaction_hash, "transaction_hash")?,
            siblings: wire::digests(&response.siblings, "siblings")?,
        })
    }
}

impl From<&BatchProof> for v1::GetBatchProofResponse {
    fn from(proof: &BatchProof) -> Self {
        Self {
            batch: Some((&proof.batch).into()),
            first: proof.first,
            transaction_hashes: wire::bytes(&proof.transactions),
            siblings: wire::bytes(&proof.siblings),
        }
    }
}

impl TryFrom<&v1::GetBatchProofResponse> for BatchProof {
    type Error = WireError;

    fn try_from(response: &v1::GetBatchProofResponse) -> Result<Self, WireError> {
        Ok(Self {
            batch: batch(response.batch.as_ref())?,
            first: response.first,
            transactions: wire::digests(&response.transaction_hashes, "transaction_hashes")?,
            siblings: wire::digests(&response.siblings, "siblings")?,
        })
    }
}

impl From<&LegProof> for v1::LegProof {
    fn from(leg: &LegProof) -> Self {
        Self {
            batch: Some((&leg.batch).into()),
            transaction_hash: leg.transaction.as_bytes().to_vec(),
            item: leg.item,
            transaction_siblings: wire::bytes(&leg.transaction_siblings),
            atomic_siblings: wire::bytes(&leg.atomic_siblings),
        }
    }
}

impl TryFrom<&v1::LegProof> for LegProof {
    type Error = WireError;

    fn try_from(leg: &v1::LegProof) -> Result<Self, WireError> {
        Ok(Self {
            batch: batch(leg.batch.as_ref())?,
            transaction: digest(&leg.transaction_hash, "transaction_hash")?,
            item: leg.item,
            transaction_siblings: wire::digests(&leg.transaction_siblings, "transaction_siblings")?,
            atomic_siblings: wire::digests(&leg.atomic_siblings, "atomic_siblings")?,
        })
    }
}

impl From<&AbsenceProof> for v1::GetAbsenceProofResponse {
    fn from(proof: &AbsenceProof) -> Self {
        Self {
            before: proof.before.as_ref().map(Into::into),
            after: proof.after.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<&v1::GetAbsenceProofResponse> for AbsenceProof {
    type Error = WireError;

    fn try_from(response: &v1::GetAbsenceProofResponse) -> Result<Self, WireError> {
        Ok(Self {
            before: response.before.as_ref().map(TryInto::try_into).transpose()?,
            after: response.after.as_ref().map(TryInto::try_into).transpose()?,
        })
    }
}
