//! What was ordered, proved: by a commitment that a quorum has certified, and paths under it. Nothing that a node says
//! is believed; what it serves shows the statement, or is an error.

use conclave_derivation::{
    AbsenceProof, AtomicProof, BatchProof, LegProof, RevealRoot, TransactionProof,
};
use conclave_grpc::{
    messages::{self as v1, get_transaction_proof_request::Transaction},
    v1::settlement_service_client::SettlementServiceClient,
};
use conclave_types::{
    BlockCommitment, BundleId, Digest, Height, RollupId,
    wire::{CertifiedCommitment, HistoryProof, WireError},
};
use tonic::{Response, transport::Channel};

use crate::{Client, ClientError, MESSAGE_BYTES_MAX};

/// Which transaction of a batch is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// The one at this place, from 0.
    At(u32),
    /// The first one whose keccak256 this is.
    Hash(Digest),
}

/// A run of a batch's transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The place of the first, from 0.
    pub first: u32,
    /// How many at most, 1 to [`Run::COUNT_MAX`].
    pub count: u32,
}

impl Run {
    /// Transactions that one answer shows.
    pub const COUNT_MAX: u32 = 4_096;
}

/// Under which root the proofs of a block stand.
#[must_use]
pub const fn reveal_root(commitment: &BlockCommitment) -> RevealRoot {
    RevealRoot { root: commitment.reveal_root, count: commitment.rollup_count }
}

impl Client {
    /// The commitment of a height, with a quorum's certificate that covers it. The committees up to the one that signed
    /// are followed.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with `NOT_FOUND` or `FAILED_PRECONDITION` if it is not revealed or not certified yet;
    /// otherwise what is wrong with the certificate.
    pub async fn certified_commitment(
        &self,
        height: Height,
    ) -> Result<CertifiedCommitment, ClientError> {
        let response = self
            .endpoints()
            .call(|channel| async move {
                let request = v1::GetCertifiedCommitmentRequest { height: height.as_u64() };
                service(channel).get_certified_commitment(request).await.map(Response::into_inner)
            })
            .await?;
        let certified = CertifiedCommitment::try_from(&response)?;
        self.followed(|network| network.verify_certified(&certified, height)).await?;
        Ok(certified)
    }

    /// Where a commitment stands in the history that settled on L1 with the posting of `under`. Whether that posting is
    /// what the node says L1 alone can tell: `ConclaveInbox.proveCommitment` does.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with `FAILED_PRECONDITION` if the node is not that far, or if the height is above `under`.
    pub async fn history_proof(
        &self,
        commitment: &BlockCommitment,
        under: Height,
    ) -> Result<HistoryProof, ClientError> {
        let height = commitment.height.as_u64();
        let response = self
            .endpoints()
            .call(|channel| async move {
                let request = v1::GetCommitmentRequest { height, under: under.as_u64() };
                service(channel).get_commitment(request).await.map(Response::into_inner)
            })
            .await?;
        let proof = response.proof.as_ref().ok_or(WireError::Missing("proof"))?;
        let proof = HistoryProof::try_from(proof)?;
        if proof.commitment != *commitment {
            return Err(ClientError::Inconsistent("a height has one commitment"));
        }
        if proof.under != under {
            return Err(ClientError::Inconsistent("a path is under the posting asked for"));
        }
        Ok(proof)
    }

    /// Proves that a transaction is in a rollup's batch of the block that is committed to, and where.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with `NOT_FOUND` if the node says that there is no such transaction, which it need not
    /// show; [`ClientError::Proof`] if what it serves shows nothing.
    pub async fn transaction_proof(
        &self,
        commitment: &BlockCommitment,
        rollup: RollupId,
        item: Item,
    ) -> Result<TransactionProof, ClientError> {
        let height = commitment.height.as_u64();
        let response = self
            .endpoints()
            .call(|channel| async move {
                let transaction = Some(match item {
                    Item::At(item) => Transaction::Item(item),
                    Item::Hash(hash) => Transaction::TransactionHash(hash.as_bytes().to_vec()),
                });
                let rollup_id = rollup.as_u64();
                let request = v1::GetTransactionProofRequest { height, rollup_id, transaction };
                service(channel).get_transaction_proof(request).await.map(Response::into_inner)
            })
            .await?;
        let proof = TransactionProof::try_from(&response)?;
        check_transaction(&proof, commitment, rollup, item)?;
        Ok(proof)
    }

    /// Proves which transactions a rollup's batch has in the block that is committed to. Fewer than asked for come if the
    /// batch ends before, and its number of items says so.
    ///
    /// # Errors
    ///
    /// As [`Client::transaction_proof`].
    pub async fn batch_proof(
        &self,
        commitment: &BlockCommitment,
        rollup: RollupId,
        run: Run,
    ) -> Result<BatchProof, ClientError> {
        let (height, Run { first, count }) = (commitment.height.as_u64(), run);
        let response = self
            .endpoints()
            .call(|channel| async move {
                let rollup_id = rollup.as_u64();
                let request = v1::GetBatchProofRequest { height, rollup_id, first, count };
                service(channel).get_batch_proof(request).await.map(Response::into_inner)
            })
            .await?;
        let proof = BatchProof::try_from(&response)?;
        check_batch(&proof, commitment, rollup, run)?;
        Ok(proof)
    }

    /// Proves that all legs of a bundle are in one block; also which block, by its certified commitment.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with `NOT_FOUND` if the node says that no revealed block has the bundle, or that it did not
    /// open; else as [`Client::certified_commitment`] and [`Client::transaction_proof`].
    pub async fn atomic_proof(
        &self,
        bundle: BundleId,
    ) -> Result<(CertifiedCommitment, AtomicProof), ClientError> {
        let response = self
            .endpoints()
            .call(|channel| async move {
                let request = v1::GetAtomicProofRequest { bundle_id: bundle.as_bytes().to_vec() };
                service(channel).get_atomic_proof(request).await.map(Response::into_inner)
            })
            .await?;
        let legs = response.legs.iter().map(LegProof::try_from).collect::<Result<_, _>>()?;
        let proof = AtomicProof { bundle, legs };
        let certified = self.certified_commitment(Height::new(response.height)).await?;
        proof.verify(&reveal_root(&certified.commitment))?;
        Ok((certified, proof))
    }

    /// Proves that a rollup has no batch in the block that is committed to.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with `NOT_FOUND` if the node says that it has one; [`ClientError::Proof`] if what it serves
    /// shows nothing.
    pub async fn absence_proof(
        &self,
        commitment: &BlockCommitment,
        rollup: RollupId,
    ) -> Result<AbsenceProof, ClientError> {
        let height = commitment.height.as_u64();
        let response = self
            .endpoints()
            .call(|channel| async move {
                let request = v1::GetAbsenceProofRequest { height, rollup_id: rollup.as_u64() };
                service(channel).get_absence_proof(request).await.map(Response::into_inner)
            })
            .await?;
        let proof = AbsenceProof::try_from(&response)?;
        proof.require(rollup, &reveal_root(commitment))?;
        Ok(proof)
    }
}

fn service(channel: Channel) -> SettlementServiceClient<Channel> {
    SettlementServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

fn check_transaction(
    proof: &TransactionProof,
    commitment: &BlockCommitment,
    rollup: RollupId,
    item: Item,
) -> Result<(), ClientError> {
    let is_asked_for = match item {
        Item::At(item) => proof.item == item,
        Item::Hash(hash) => proof.transaction == hash,
    };
    if proof.batch.leaf.rollup != rollup || !is_asked_for {
        return Err(ClientError::Inconsistent("a proof is of the transaction asked for"));
    }
    Ok(proof.verify(&reveal_root(commitment))?)
}

fn check_batch(
    proof: &BatchProof,
    commitment: &BlockCommitment,
    rollup: RollupId,
    run: Run,
) -> Result<(), ClientError> {
    let leaf = &proof.batch.leaf;
    let expected = leaf.items.saturating_sub(run.first).min(run.count);
    let is_asked_for = leaf.rollup == rollup
        && proof.first == run.first
        && u32::try_from(proof.transactions.len()) == Ok(expected);
    if !is_asked_for {
        return Err(ClientError::Inconsistent("a proof is of the transactions asked for"));
    }
    Ok(proof.verify(&reveal_root(commitment))?)
}

#[cfg(test)]
mod tests;
