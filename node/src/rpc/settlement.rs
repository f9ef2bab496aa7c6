//! `SettlementService`: what proves something to L1.

use std::sync::Arc;

use conclave_derivation::{AtomicProof, BatchProof, TransactionProof};
use conclave_grpc::v1::settlement_service_server::SettlementService;
use conclave_sequencer::archive;
use conclave_types::{
    BlockCommitment, BundleId, Height, RollupId, Withdrawal,
    proto::v1,
    wire::{HistoryProof, PaidOut, WithdrawalProof},
    withdrawal_path,
};
use tonic::{Request, Response, Status};

use super::{
    Context,
    proofs::unrevealed,
    requests::{BatchRun, Opened, Transaction, WhichTransaction, WithdrawalPage},
};

/// The service.
pub(super) struct Settlement(pub(super) Arc<Context>);

#[tonic::async_trait]
impl SettlementService for Settlement {
    async fn get_commitment(
        &self,
        request: Request<v1::GetCommitmentRequest>,
    ) -> Result<Response<v1::GetCommitmentResponse>, Status> {
        self.0.metrics.request("get_commitment");
        let v1::GetCommitmentRequest { height, under } = request.into_inner();
        let (proof, _) = self.0.settled(Height::new(height), under).await?;
        Ok(Response::new(v1::GetCommitmentResponse { proof: Some((&proof).into()) }))
    }

    async fn get_request_outcome(
        &self,
        request: Request<v1::GetRequestOutcomeRequest>,
    ) -> Result<Response<v1::GetRequestOutcomeResponse>, Status> {
        self.0.metrics.request("get_request_outcome");
        let v1::GetRequestOutcomeRequest { entry } = request.into_inner();
        let found = self.0.read(move |store| {
            let Some(outcome) = archive::request(store, entry)? else { return Ok(None) };
            Ok(Some((outcome, archive::withdrawals(store, outcome.height)?)))
        });
        let Some((outcome, paid)) = found.await? else {
            return Err(Status::not_found(format!(
                "no block carries a request to withdraw at entry {entry} of the queue yet"
            )));
        };
        let height = outcome.height;
        let paid = paid.into_iter().find(|paid| Some(paid.index) == outcome.index);
        Ok(Response::new(v1::GetRequestOutcomeResponse {
            height: height.as_u64(),
            withdrawal: paid.map(|withdrawal| (&PaidOut { withdrawal, height }).into()),
        }))
    }

    async fn list_withdrawals(
        &self,
        request: Request<v1::ListWithdrawalsRequest>,
    ) -> Result<Response<v1::ListWithdrawalsResponse>, Status> {
        self.0.metrics.request("list_withdrawals");
        let WithdrawalPage { payee, from, count } = request.into_inner().try_into()?;
        let count = count as usize;
        let found = self.0.read(move |store| archive::paid_to(store, payee, from, count)).await?;
        let paid = found.iter().map(|(height, withdrawal)| {
            (&PaidOut { withdrawal: *withdrawal, height: *height }).into()
        });
        Ok(Response::new(v1::ListWithdrawalsResponse { withdrawals: paid.collect() }))
    }

    async fn get_withdrawal_proof(
        &self,
        request: Request<v1::GetWithdrawalProofRequest>,
    ) -> Result<Response<v1::GetWithdrawalProofResponse>, Status> {
        self.0.metrics.request("get_withdrawal_proof");
        let v1::GetWithdrawalProofRequest { height, index, under } = request.into_inner();
        let (history, paid) = self.0.settled(Height::new(height), under).await?;
        let proof = proof(history, &paid, index);
        let proof = proof.ok_or_else(|| {
            Status::not_found(format!("height {height} pays no withdrawal {index}"))
        })?;
        Ok(Response::new((&proof).into()))
    }

    async fn get_certified_commitment(
        &self,
        request: Request<v1::GetCertifiedCommitmentRequest>,
    ) -> Result<Response<v1::GetCertifiedCommitmentResponse>, Status> {
        self.0.metrics.request("get_certified_commitment");
        let certified = self.0.certified(Height::new(request.get_ref().height)).await?;
        Ok(Response::new((&certified).into()))
    }

    async fn get_transaction_proof(
        &self,
        request: Request<v1::GetTransactionProofRequest>,
    ) -> Result<Response<v1::GetTransactionProofResponse>, Status> {
        self.0.metrics.request("get_transaction_proof");
        let Transaction { height, rollup, which } = request.into_inner().try_into()?;
        let tree = self.0.tree(height).await?;
        let proof = self.0.blocking(move || {
            let item = match which {
                WhichTransaction::Item(item) => Some(item),
                WhichTransaction::Hash(hash) => tree.find(rollup, &hash),
            };
            let proof = item.and_then(|item| tree.transaction(rollup, item));
            let proof: TransactionProof = proof.ok_or_else(|| match tree.batch(rollup) {
                None => no_batch(rollup, height),
                Some(batch) => Status::not_found(format!(
                    "the batch of rollup {rollup} at height {height} has {} items, and no {which}",
                    batch.items.len()
                )),
            })?;
            Ok(proof)
        });
        Ok(Response::new((&proof.await?).into()))
    }

    async fn get_batch_proof(
        &self,
        request: Request<v1::GetBatchProofRequest>,
    ) -> Result<Response<v1::GetBatchProofResponse>, Status> {
        self.0.metrics.request("get_batch_proof");
        let BatchRun { height, rollup, first, count } = request.into_inner().try_into()?;
        let tree = self.0.tree(height).await?;
        let proof = self.0.blocking(move || {
            let proof = tree.run(rollup, first, count);
            let proof: BatchProof = proof.ok_or_else(|| match tree.batch(rollup) {
                None => no_batch(rollup, height),
                Some(batch) => Status::not_found(format!(
                    "the batch of rollup {rollup} at height {height} has {} items, and no item {first}",
                    batch.items.len()
                )),
            })?;
            Ok(proof)
        });
        Ok(Response::new((&proof.await?).into()))
    }

    async fn get_atomic_proof(
        &self,
        request: Request<v1::GetAtomicProofRequest>,
    ) -> Result<Response<v1::GetAtomicProofResponse>, Status> {
        self.0.metrics.request("get_atomic_proof");
        let Opened(bundle) = request.into_inner().try_into()?;
        let height = self.0.height_of(bundle).await?;
        let tree = self.0.tree(height).await?;
        let AtomicProof { legs, .. } = self
            .0
            .blocking(move || tree.atomic(bundle).ok_or_else(|| unopened(bundle, height)))
            .await?;
        Ok(Response::new(v1::GetAtomicProofResponse {
            height: height.as_u64(),
            legs: legs.iter().map(Into::into).collect(),
        }))
    }

    async fn get_absence_proof(
        &self,
        request: Request<v1::GetAbsenceProofRequest>,
    ) -> Result<Response<v1::GetAbsenceProofResponse>, Status> {
        self.0.metrics.request("get_absence_proof");
        let v1::GetAbsenceProofRequest { height, rollup_id } = request.into_inner();
        let (height, rollup) = (Height::new(height), RollupId::new(rollup_id));
        let proof = self.0.tree(height).await?.absence(rollup).ok_or_else(|| {
            Status::not_found(format!("rollup {rollup} has a batch at height {height}"))
        })?;
        Ok(Response::new((&proof).into()))
    }
}

fn no_batch(rollup: RollupId, height: Height) -> Status {
    Status::not_found(format!("rollup {rollup} has no batch at height {height}"))
}

fn unopened(bundle: BundleId, height: Height) -> Status {
    Status::not_found(format!(
        "bundle {bundle} is in the block of height {height} and did not open"
    ))
}

fn proof(history: HistoryProof, paid: &[Withdrawal], index: u64) -> Option<WithdrawalProof> {
    let place = paid.iter().position(|withdrawal| withdrawal.index == index)?;
    let (withdrawal, siblings) = (*paid.get(place)?, withdrawal_path(paid, place)?);
    Some(WithdrawalProof { history, withdrawal, place: place as u64, siblings })
}

impl Context {
    /// The commitment of a height in the history that settled with `under` (0: with the newest posting that this
    /// node has seen), and what the height pays.
    async fn settled(
        &self,
        height: Height,
        under: u64,
    ) -> Result<(HistoryProof, Vec<Withdrawal>), Status> {
        Self::check_kept(height)?;
        let seen = || self.l1.as_ref().map(|views| views.now().1.settled).unwrap_or_default();
        let under = Height::new(if under == 0 { seen() } else { under });
        let found = self.read(move |store| {
            let Some(commitment) = archive::commitment(store, height)? else { return Ok(None) };
            let path = archive::settled_path(store, height, under)?;
            Ok(Some((commitment, path, archive::withdrawals(store, height)?)))
        });
        let (commitment, path, paid): (BlockCommitment, _, _) =
            found.await?.ok_or_else(|| unrevealed(height))?;
        let Some(path) = path else {
            return Err(Status::failed_precondition(if under < height {
                format!("height {height} has not settled: what has is {under}")
            } else {
                format!("this node has not revealed height {under} yet; try again in a moment")
            }));
        };
        Ok((HistoryProof { commitment, under, path }, paid))
    }
}
