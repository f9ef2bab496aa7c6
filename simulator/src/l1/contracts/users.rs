//! What users want of L1: transactions forced into rollups, deposits, and withdrawals.

use alloy::primitives::Address;
use conclave_contracts::{
    FeeVault::depositCall,
    ForcedInclusion::{enqueueCall, requestWithdrawalCall},
    deployment::Deployed,
};
use conclave_types::PayerAddress;

use crate::{
    l1::{L1Model, evm::Call},
    random::Random,
};

/// Bytes of a forced transaction, at most.
const TRANSACTION_BYTES_MAX: u64 = 300;
/// The gas that a forced transaction asks of its rollup.
const FORCED_GAS: u64 = 100_000;
/// What is sent along with what asks for a place in the queue; what is too much comes back.
const PLACE_WEI: u128 = 10_000_000_000_000_000;
/// Gas that any of these takes at most.
const GAS: u64 = 500_000;
/// A deposit is as much as the vault takes, and up to as much again.
const DEPOSIT_GWEI: u64 = 1_000_000;
/// What a request to withdraw asks for at most, now and then more than there is.
const REQUEST_GWEI_MAX: u64 = 1_500_000;
/// One forced transaction in so many is for a rollup that nobody has registered on L1, and one for a rollup that is
/// registered there and not in the network.
const UNKNOWN_EVERY: u64 = 8;
const UNREGISTERED: u64 = 777;
const WEI: u128 = 1_000_000_000;
/// What the first payer deposits before all else, if it has to live on that.
const SAVINGS_GWEI: u64 = 1_000_000_000_000;

/// The people who use L1.
#[derive(Debug)]
pub(super) struct Crowd {
    /// The first payer of the network, and strangers.
    pub(super) depositors: Vec<Address>,
    /// Who forces transactions.
    pub(super) forcer: Address,
}

/// What they do.
#[derive(Debug)]
pub(in crate::l1) struct Users {
    crowd: Crowd,
    contracts: Deployed,
    /// Of the network.
    rollups: Vec<u64>,
    /// Registered, and of no network.
    foreign: u64,
    /// Whether the first payer has yet to deposit its savings.
    saves: bool,
}

impl Users {
    pub(super) const fn new(
        crowd: Crowd,
        contracts: Deployed,
        rollups: Vec<u64>,
        foreign: u64,
        saves: bool,
    ) -> Self {
        Self { crowd, contracts, rollups, foreign, saves }
    }

    /// What they send before the next block.
    pub(super) fn wants(&mut self, model: &L1Model, random: &mut Random) -> Vec<Call> {
        let mut calls = Vec::new();
        if std::mem::take(&mut self.saves) {
            calls.extend(
                self.crowd.depositors.first().map(|payer| self.deposit(*payer, SAVINGS_GWEI)),
            );
        }
        for _ in 0..random.below(model.forced_max.saturating_add(1)) {
            calls.push(self.force(random));
        }
        for _ in 0..random.below(model.deposits_max.saturating_add(1)) {
            let amount = DEPOSIT_GWEI.saturating_add(random.below(DEPOSIT_GWEI));
            let payer = self.depositor(random);
            let at = random.below(u64::try_from(calls.len()).unwrap_or(0).saturating_add(1));
            calls.insert(usize::try_from(at).unwrap_or(0), self.deposit(payer, amount));
        }
        for _ in 0..random.below(model.withdrawals_max.saturating_add(1)) {
            calls.push(self.request(random));
        }
        calls
    }

    fn force(&self, random: &mut Random) -> Call {
        let count = u64::try_from(self.rollups.len()).unwrap_or(0);
        let pick = usize::try_from(random.below(count)).unwrap_or(0);
        let rollup = match random.below(UNKNOWN_EVERY) {
            0 => UNREGISTERED,
            1 => self.foreign,
            _ => self.rollups.get(pick).copied().unwrap_or(UNREGISTERED),
        };
        let length = random.below(TRANSACTION_BYTES_MAX).saturating_add(1);
        let length = usize::try_from(length).unwrap_or(1);
        let transaction: Vec<u8> = random.bytes().iter().copied().cycle().take(length).collect();
        let call = enqueueCall { rollup, gasLimit: FORCED_GAS, transaction: transaction.into() };
        Call::new(self.crowd.forcer, self.contracts.forced, &call, GAS).paying(PLACE_WEI)
    }

    fn depositor(&self, random: &mut Random) -> Address {
        let count = u64::try_from(self.crowd.depositors.len()).unwrap_or(0);
        let pick = usize::try_from(random.below(count)).unwrap_or(0);
        self.crowd.depositors.get(pick).copied().unwrap_or_default()
    }

    fn deposit(&self, payer: Address, gwei: u64) -> Call {
        let call = depositCall { payer };
        Call::new(payer, self.contracts.vault, &call, GAS)
            .paying(u128::from(gwei).saturating_mul(WEI))
    }

    fn request(&self, random: &mut Random) -> Call {
        let payer = self.depositor(random);
        let amount = random.below(REQUEST_GWEI_MAX).saturating_add(1);
        let call =
            requestWithdrawalCall { amountGwei: amount, recipient: Address::repeat_byte(0xca) };
        Call::new(payer, self.contracts.forced, &call, GAS).paying(PLACE_WEI)
    }
}

/// An account on L1 is the payer of that address.
pub(super) const fn account(payer: PayerAddress) -> Address {
    Address::new(*payer.as_bytes())
}
