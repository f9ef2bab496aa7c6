//! What a transaction will cost, before it is signed.

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEnvelope},
    eips::{BlockNumberOrTag, eip2718::Encodable2718 as _},
    primitives::{B256, TxKind, U256},
    providers::Provider as _,
    rpc::types::TransactionRequest,
    signers::{SignerSync as _, local::PrivateKeySigner},
};

use super::{Call, Endpoints, L1Error, endpoints::block};

/// What EIP-7825 allows one transaction.
const TRANSACTION_GAS_MAX: u64 = 1 << 24;

/// What a block's state may have changed by since the estimate: a quarter, and two slots that are written for the
/// first time. An estimate is made in the newest block, and the first entry of the next one costs more than a
/// second entry of that one.
const GAS_MARGIN: u64 = 4;
const GAS_MARGIN_FIXED: u64 = 60_000;

/// A tip that producers take on a quiet chain, where some clients suggest none.
const TIP_MIN_WEI: u128 = 100_000_000;

/// Prices of a unit of gas, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prices {
    pub(super) max: u128,
    pub(super) tip: u128,
}

impl Prices {
    /// What the next block takes: a tip, and a base fee that may double until then. At most `cap`, unless not
    /// even the present base fee fits.
    pub(super) async fn now(endpoints: &Endpoints, cap: u128) -> Result<Option<Self>, L1Error> {
        let base = base_fee(endpoints).await?;
        let suggested = endpoints
            .middle("eth_maxPriorityFeePerGas", |provider| async move {
                provider.get_max_priority_fee_per_gas().await
            })
            .await?;
        Ok(Self::within(base, suggested, cap))
    }

    fn within(base: u128, suggested: u128, cap: u128) -> Option<Self> {
        // A suggestion far above the base fee is a mistake, or somebody's hope.
        let tip = suggested.clamp(TIP_MIN_WEI, base.max(TIP_MIN_WEI).saturating_mul(2));
        let max = base.saturating_mul(2).saturating_add(tip).min(cap);
        (max > base).then(|| Self { max, tip: tip.min(max) })
    }

    /// Prices that replace a transaction with these: an eighth more, and a little for rounding. None if the cap
    /// does not allow it.
    pub(super) fn raised(self, cap: u128) -> Option<Self> {
        let more =
            |price: u128| price.saturating_add(price.checked_div(8).unwrap_or(0)).saturating_add(1);
        let raised = Self { max: more(self.max), tip: more(self.tip) };
        (raised.max <= cap).then_some(raised)
    }
}

/// The price of the newest block.
pub(super) async fn base_fee(endpoints: &Endpoints) -> Result<u128, L1Error> {
    let price = endpoints.middle("eth_getBlockByNumber", |provider| async move {
        let newest = block(provider, BlockNumberOrTag::Latest).await?;
        Ok(newest.map_or(0, |newest| newest.base_fee))
    });
    price.await.map(u128::from)
}

/// The gas that a call is given.
///
/// # Errors
///
/// If the contract refuses, or nobody answers.
pub(super) async fn gas(
    endpoints: &Endpoints,
    signer: &PrivateKeySigner,
    call: &Call,
) -> Result<u64, L1Error> {
    if let Some(gas) = call.gas {
        return Ok(gas);
    }
    let request = request(signer, call);
    let estimate = endpoints
        .middle("eth_estimateGas", |provider| {
            let request = request.clone();
            async move { provider.estimate_gas(request).await }
        })
        .await?;
    Ok(with_margin(estimate))
}

fn with_margin(estimate: u64) -> u64 {
    let margin = estimate.checked_div(GAS_MARGIN).unwrap_or(0).saturating_add(GAS_MARGIN_FIXED);
    estimate.saturating_add(margin).min(TRANSACTION_GAS_MAX)
}

/// A call as a question.
pub(super) fn request(signer: &PrivateKeySigner, call: &Call) -> TransactionRequest {
    let mut request = TransactionRequest::default()
        .from(signer.address())
        .value(call.value)
        .input(call.data.clone().into());
    request.to = Some(call.to.map_or(TxKind::Create, TxKind::Call));
    request
}

/// A signed transaction.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) raw: Vec<u8>,
    pub(super) hash: B256,
    pub(super) prices: Prices,
    /// What it costs at most in fees, in wei.
    pub(super) cost: U256,
}

/// Signs a call.
///
/// # Errors
///
/// If the key cannot sign.
pub(super) fn sign(
    signer: &PrivateKeySigner,
    chain_id: u64,
    (nonce, gas, prices): (u64, u64, Prices),
    call: &Call,
) -> Result<Signed, L1Error> {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: gas,
        max_fee_per_gas: prices.max,
        max_priority_fee_per_gas: prices.tip,
        to: call.to.map_or(TxKind::Create, TxKind::Call),
        value: call.value,
        input: call.data.clone(),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    let cost = U256::from(gas).saturating_mul(U256::from(prices.max));
    Ok(Signed { raw: envelope.encoded_2718(), hash: *envelope.hash(), prices, cost })
}

/// The highest price of a unit of gas at which `gas` of it costs no more than `cost`.
pub(super) fn price_cap(cost: U256, gas: u64) -> u128 {
    let price = cost.checked_div(U256::from(gas.max(1))).unwrap_or_default();
    u128::try_from(price).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;

    #[test]
    fn prices_leave_room_for_a_rising_base_fee_up_to_the_cap() {
        let table = [
            // base, suggested, cap, expected max and tip
            (10 * GWEI, GWEI, 100 * GWEI, Some((21 * GWEI, GWEI))),
            (10 * GWEI, GWEI, 15 * GWEI, Some((15 * GWEI, GWEI))),
            (10 * GWEI, GWEI, 10 * GWEI, None),
            // An idle chain: seven wei, and no suggestion.
            (7, 0, 100 * GWEI, Some((TIP_MIN_WEI + 14, TIP_MIN_WEI))),
            // Somebody asks for the moon.
            (GWEI, 500 * GWEI, 100 * GWEI, Some((4 * GWEI, 2 * GWEI))),
        ];
        for (base, suggested, cap, expected) in table {
            let expected = expected.map(|(max, tip)| Prices { max, tip });
            assert_eq!(Prices::within(base, suggested, cap), expected, "base fee {base}");
        }
    }

    #[test]
    fn a_replacement_pays_more_than_a_tenth_more_and_never_more_than_the_cap() {
        let prices = Prices { max: 80, tip: 8 };
        assert_eq!(prices.raised(91), Some(Prices { max: 91, tip: 10 }));
        assert_eq!(prices.raised(90), None);
    }

    #[test]
    fn a_transaction_is_given_more_gas_than_its_estimate_and_no_more_than_is_allowed() {
        assert_eq!(with_margin(100_000), 185_000);
        assert_eq!(with_margin(TRANSACTION_GAS_MAX - 1), TRANSACTION_GAS_MAX);
    }

    #[test]
    fn a_cost_bounds_the_price() {
        assert_eq!(price_cap(U256::from(1_000), 10), 100);
        assert_eq!(price_cap(U256::MAX, 1), u128::MAX);
        assert_eq!(price_cap(U256::from(5), 0), 5);
    }
}
