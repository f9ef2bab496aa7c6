//! A rollup as a wallet sees it: standard Ethereum JSON-RPC, and Conclave's own word on what became of
//! a transaction that is in no block.

use std::time::Duration;

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    providers::{DynProvider, Provider as _, ProviderBuilder},
    rpc::types::{TransactionReceipt, TransactionRequest},
    transports::TransportError,
};
use serde::Deserialize;
use tokio::time::Instant;

use super::error::DevnetError;

/// An EVM block is sealed once its slot of a second is over; this is several.
const EXECUTION_PATIENCE: Duration = Duration::from_secs(20);
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A rollup's JSON-RPC.
#[derive(Clone, Debug)]
pub(crate) struct Rollup {
    /// Its chain id.
    pub(crate) id: u64,
    /// Its address.
    pub(crate) url: String,
    provider: DynProvider,
}

/// Where a rollup stands in its stream.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RollupStatus {
    /// Nothing up to this height is missing.
    pub(crate) revealed_height: u64,
    /// Received, in a slot that is not over yet.
    pub(crate) waiting_transactions: u64,
    /// Its newest block.
    pub(crate) head_number: u64,
}

/// What became of a transaction.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Outcome {
    /// `executed`, `reverted` or `skipped`.
    pub(crate) status: String,
    /// Why it was skipped, for programs.
    #[serde(default)]
    pub(crate) reason: String,
    /// Why it was skipped, for people.
    #[serde(default)]
    pub(crate) message: String,
}

impl Rollup {
    /// None if `url` is no URL.
    pub(crate) fn new(id: u64, url: &str) -> Option<Self> {
        let provider = ProviderBuilder::new().connect_http(url.parse().ok()?).erased();
        Some(Self { id, url: url.to_owned(), provider })
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(TransportError) -> DevnetError + use<> {
        let rollup = self.id;
        move |source| DevnetError::Rpc { rollup, what, source: Box::new(source) }
    }

    /// `eth_getBalance`.
    pub(crate) async fn balance(&self, of: Address) -> Result<U256, DevnetError> {
        self.provider.get_balance(of).await.map_err(self.failed("eth_getBalance"))
    }

    /// `eth_getTransactionCount`.
    pub(crate) async fn nonce(&self, of: Address) -> Result<u64, DevnetError> {
        let nonce = self.provider.get_transaction_count(of).await;
        nonce.map_err(self.failed("eth_getTransactionCount"))
    }

    /// `eth_call` without arguments.
    pub(crate) async fn call(&self, contract: Address) -> Result<Bytes, DevnetError> {
        let request = TransactionRequest::default().to(contract);
        self.provider.call(request).await.map_err(self.failed("eth_call"))
    }

    /// `eth_getTransactionReceipt`.
    pub(crate) async fn receipt(
        &self,
        hash: B256,
    ) -> Result<Option<TransactionReceipt>, DevnetError> {
        let receipt = self.provider.get_transaction_receipt(hash).await;
        receipt.map_err(self.failed("eth_getTransactionReceipt"))
    }

    /// `conclave_getTransactionOutcome`.
    pub(crate) async fn outcome(&self, hash: B256) -> Result<Option<Outcome>, DevnetError> {
        let method = "conclave_getTransactionOutcome";
        let outcome = self.provider.raw_request(method.into(), [hash]).await;
        outcome.map_err(self.failed(method))
    }

    /// `conclave_status`.
    pub(crate) async fn status(&self) -> Result<RollupStatus, DevnetError> {
        let method = "conclave_status";
        let nothing: [(); 0] = [];
        let status = self.provider.raw_request(method.into(), nothing).await;
        status.map_err(self.failed(method))
    }

    /// Waits until the rollup has executed everything up to a height.
    pub(crate) async fn wait_height(&self, height: u64) -> Result<RollupStatus, DevnetError> {
        let started = Instant::now();
        let mut status = self.status().await?;
        while status.revealed_height < height || status.waiting_transactions > 0 {
            if started.elapsed() > EXECUTION_PATIENCE {
                return Err(DevnetError::Broken(format!(
                    "rollup {} has not executed everything up to height {height} after \
                     {EXECUTION_PATIENCE:?}: {status:?}",
                    self.id
                )));
            }
            tokio::time::sleep(ASK_EVERY).await;
            status = self.status().await?;
        }
        Ok(status)
    }

    /// Waits until a transaction is in a block.
    pub(crate) async fn wait_receipt(&self, hash: B256) -> Result<TransactionReceipt, DevnetError> {
        let started = Instant::now();
        while started.elapsed() < EXECUTION_PATIENCE {
            if let Some(receipt) = self.receipt(hash).await? {
                return Ok(receipt);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        let told = self.outcome(hash).await?;
        Err(DevnetError::Broken(format!(
            "transaction {hash} is in no block of rollup {} after {EXECUTION_PATIENCE:?}; its \
             outcome is {told:?}",
            self.id
        )))
    }

    /// Waits until the rollup knows what became of a transaction, in a block or not.
    pub(crate) async fn wait_outcome(&self, hash: B256) -> Result<Outcome, DevnetError> {
        let started = Instant::now();
        while started.elapsed() < EXECUTION_PATIENCE {
            if let Some(outcome) = self.outcome(hash).await? {
                return Ok(outcome);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Err(DevnetError::Broken(format!(
            "rollup {} has no outcome for transaction {hash} after {EXECUTION_PATIENCE:?}",
            self.id
        )))
    }
}
