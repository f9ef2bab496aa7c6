//! The queue that nobody can keep a transaction out of: forced transactions, and deposits to the fee ledger.

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
    let question = ForcedInclusion::priceCall {};
    let price = sender.endpoints().call(contracts.forced, &question).await?;
    // Each full block raises the price by an eighth; what is too much comes back.
    let fee = U256::from(gas).saturating_mul(U256::from(price));
    let fee = fee.saturating_add(fee.checked_div(U256::from(4)).unwrap_or_default());
    let transaction = Bytes::copy_from_slice(transaction);
    let call = ForcedInclusion::enqueueCall { rollup, gasLimit: gas, transaction };
    let call = Call { value: fee, ..Call::new(contracts.forced, &call) };
    let sent = sender.send(call).await?;
    Ok(Queued { index: sent.event::<ForcedInclusion::TransactionForced>()?.index, sent })
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
