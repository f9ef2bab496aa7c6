//! The queue that nobody can keep a transaction out of: forced transactions, deposits to the fee ledger, and requests
//! to withdraw from it.

use alloy::primitives::{Address, Bytes, U256};
use conclave_contracts::{FeeVault, ForcedInclusion};

use super::{Call, Contracts, L1Error, Sender, Sent};

/// Gas that an entry counts at least, and for each byte of it (`contracts/src/ForcedInclusion.sol`).
const GAS_BASE: u64 = 21_000;
const GAS_PER_BYTE: u64 = 16;

/// The least gas that the queue takes a transaction with.
#[must_use]
pub fn gas_floor(transaction: &[u8]) -> u64 {
    let bytes = u64::try_from(transaction.len()).unwrap_or(u64::MAX);
    bytes.saturating_mul(GAS_PER_BYTE).saturating_add(GAS_BASE)
}

/// An entry of the queue.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Its place.
    pub index: u64,
    /// The transaction.
    pub sent: Sent,
}

/// Forces a transaction into a rollup.
///
/// # Errors
///
/// If the queue refuses it.
pub async fn force(
    sender: &Sender,
    contracts: &Contracts,
    rollup: u64,
    transaction: &[u8],
    gas: u64,
) -> Result<Queued, L1Error> {
    let fee = fee(sender, contracts, gas).await?;
    let transaction = Bytes::copy_from_slice(transaction);
    let call = ForcedInclusion::enqueueCall { rollup, gasLimit: gas, transaction };
    let call = Call { value: fee, ..Call::new(contracts.forced, &call) };
    let sent = sender.send(call).await?;
    Ok(Queued { index: sent.event::<ForcedInclusion::TransactionForced>()?.index, sent })
}

/// What a place costs that counts `gas`, with a margin: each full block raises the price by an eighth, and what is
/// too much comes back.
async fn fee(sender: &Sender, contracts: &Contracts, gas: u64) -> Result<U256, L1Error> {
    let question = ForcedInclusion::priceCall {};
    let price = sender.endpoints().call(contracts.forced, &question).await?;
    let fee = U256::from(gas).saturating_mul(U256::from(price));
    Ok(fee.saturating_add(fee.checked_div(U256::from(4)).unwrap_or_default()))
}

/// Asks for up to `gwei` of the sender's fee balance, to be paid to `recipient`.
///
/// # Errors
///
/// If the queue refuses it.
pub async fn request_withdrawal(
    sender: &Sender,
    contracts: &Contracts,
    recipient: Address,
    gwei: u64,
) -> Result<Queued, L1Error> {
    let value = fee(sender, contracts, GAS_BASE).await?;
    let call = ForcedInclusion::requestWithdrawalCall { amountGwei: gwei, recipient };
    let call = Call { value, ..Call::new(contracts.forced, &call) };
    let sent = sender.send(call).await?;
    Ok(Queued { index: sent.event::<ForcedInclusion::WithdrawalRequested>()?.index, sent })
}

/// Deposits for the fee balance of `payer`.
///
/// # Errors
///
/// If the vault refuses it.
pub async fn deposit(
    sender: &Sender,
    contracts: &Contracts,
    payer: Address,
    gwei: u64,
) -> Result<Queued, L1Error> {
    let call = FeeVault::depositCall { payer };
    let sent = sender.send(Call::new(contracts.vault, &call).with_gwei(gwei)).await?;
    Ok(Queued { index: sent.event::<FeeVault::Deposited>()?.entry, sent })
}
