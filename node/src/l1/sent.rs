//! A transaction in a block, as most endpoints tell of it.

use alloy::{
    primitives::{B256, LogData, U256},
    rpc::types::TransactionReceipt,
    sol_types::SolEvent,
};

use super::{Endpoints, L1Error, prepare::Signed};

/// A transaction in a block.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What it did.
    pub receipt: TransactionReceipt,
    /// Its nonce.
    pub nonce: u64,
    /// What it could cost.
    fee_max: U256,
    raw: Vec<u8>,
}

impl Sent {
    pub(super) fn new(receipt: TransactionReceipt, nonce: u64, version: &Signed) -> Self {
        Self { receipt, nonce, fee_max: version.cost, raw: version.raw.clone() }
    }

    /// Its hash.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.receipt.transaction_hash
    }

    /// The number of its block.
    #[must_use]
    pub fn block(&self) -> u64 {
        self.receipt.block_number.unwrap_or_default()
    }

    /// What it cost in fees, in wei: never more than it could.
    #[must_use]
    pub fn fee(&self) -> U256 {
        U256::from(self.receipt.gas_used)
            .saturating_mul(U256::from(self.receipt.effective_gas_price))
            .min(self.fee_max)
    }

    /// The transaction itself.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// What it told of the kind `E`.
    ///
    /// # Errors
    ///
    /// If it told nothing of the kind.
    pub fn event<E: SolEvent>(&self) -> Result<E, L1Error> {
        let found = self.receipt.decoded_log::<E>();
        found.map(|log| log.data).ok_or_else(|| L1Error::Missing {
            what: format!("{} of transaction {}", E::SIGNATURE, self.hash()),
        })
    }

    /// All that it told of the kind `E`.
    #[must_use]
    pub fn events<E: SolEvent>(&self) -> Vec<E> {
        let logs = self.receipt.logs().iter();
        logs.filter_map(|log| E::decode_log(&log.inner).ok()).map(|log| log.data).collect()
    }
}

/// What endpoints tell of a transaction.
pub(super) struct Told {
    /// Its receipt, if most of all tell the same of it.
    pub(super) receipt: Option<TransactionReceipt>,
    /// How many answer.
    pub(super) answering: usize,
    /// How many of them say that it is in no block.
    pub(super) denying: usize,
}

/// The receipt of a transaction, if most endpoints tell the same of it: one alone could say that it is in a block, and
/// what it cost there.
pub(super) async fn receipt(endpoints: &Endpoints, hash: B256) -> Result<Told, L1Error> {
    use alloy::providers::Provider as _;
    let told = endpoints
        .ask_all("eth_getTransactionReceipt", |provider| async move {
            provider.get_transaction_receipt(hash).await
        })
        .await?;
    let answering = told.len();
    let denying = told.iter().filter(|(_, receipt)| receipt.is_none()).count();
    let told: Vec<_> = told
        .into_iter()
        .filter_map(|(_, receipt)| receipt)
        .filter(|receipt| receipt.transaction_hash == hash)
        .collect();
    let saying = |of: &TransactionReceipt| {
        told.iter().filter(|other| Outcome::of(of) == Outcome::of(other)).count()
    };
    let most = told.iter().position(|receipt| endpoints.is_majority(saying(receipt)));
    let receipt = most.and_then(|most| told.into_iter().nth(most));
    Ok(Told { receipt, answering, denying })
}

/// What a receipt says that everybody knows alike.
#[derive(PartialEq)]
struct Outcome<'a> {
    block: (Option<u64>, Option<B256>),
    is_done: bool,
    gas: (u64, u128),
    logs: Vec<&'a alloy::primitives::Log<LogData>>,
}

impl<'a> Outcome<'a> {
    fn of(receipt: &'a TransactionReceipt) -> Self {
        Self {
            block: (receipt.block_number, receipt.block_hash),
            is_done: receipt.status(),
            gas: (receipt.gas_used, receipt.effective_gas_price),
            logs: receipt.logs().iter().map(|log| &log.inner).collect(),
        }
    }
}
