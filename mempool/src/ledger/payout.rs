//! What leaves the ledger: what payers withdraw, and, at the end of each epoch, the fees that were collected in it.
//!
//! A fifth of the fees goes to the pot that refunds relayers. The rest goes to validators' stake, to each for the
//! blocks of the epoch that it built: whoever is absent builds none. What a block costs does not matter for that,
//! since a proposer that got the fees of its own block could fill it for next to nothing. What no whole gwei can
//! be made of stays for the next epoch, and so does what would be for a validator that the chain has proved to cheat.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Gwei, Height, Payee, PayerAddress, Withdrawal};

use super::Account;

/// One part in so many of the fees goes to the pot.
const POT_PART: u64 = 5;

/// What was collected and is not shared out yet.
///
/// **Bounds.** An entry for each validator of one epoch's committee, and one for each that was proved to cheat and has
/// earned nothing since.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Till {
    /// Fees that were paid out of deposits.
    pub fees: Gwei,
    /// Blocks of this epoch that each validator built, by its number in the stake contract.
    pub built: BTreeMap<u32, u64>,
    /// Validators that are not paid for what they build in the next epoch for which they would be.
    pub forfeited: BTreeSet<u32>,
    /// Withdrawals so far, so the index of the next.
    pub withdrawals: u64,
}

/// What became of a request to withdraw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RequestOutcome {
    /// The height that carries it.
    pub height: Height,
    /// The withdrawal; none if there was nothing to be withdrawn.
    pub index: Option<u64>,
}

/// What a block has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Accounts that are not what they were.
    pub accounts: Vec<(PayerAddress, Account)>,
    /// What it pays out, in the order of the indices.
    pub withdrawals: Vec<Withdrawal>,
    /// Requests to withdraw that it carries, by their place in the queue.
    pub requests: Vec<(u64, RequestOutcome)>,
}

impl Till {
    /// There is less than 2^64 gwei to be deposited, a hundred times all ether.
    pub(super) fn collect(&mut self, fee: Gwei) {
        self.fees = self.fees.checked_add(fee).unwrap_or(Gwei::new(u64::MAX));
    }

    pub(super) fn proposed(&mut self, validator: u32) {
        if validator != 0 {
            let built = self.built.entry(validator).or_default();
            *built = built.saturating_add(1);
        }
    }

    /// These were proved to cheat.
    pub(super) fn forfeit(&mut self, cheats: &[u32]) {
        self.forfeited.extend(cheats.iter().filter(|validator| **validator != 0));
    }

    /// The next withdrawal, if it is one of anything.
    pub(super) fn pay_out(&mut self, recipient: PayerAddress, amount: Gwei) -> Option<Withdrawal> {
        self.pay(Payee::Account(recipient), amount)
    }

    /// The epoch is over: shares out what was collected. Without validators on L1 there is nobody to pay.
    pub(super) fn share_out(&mut self) -> Vec<Withdrawal> {
        let built = std::mem::take(&mut self.built);
        let blocks: u128 = built.values().copied().map(u128::from).sum();
        if blocks == 0 {
            return Vec::new();
        }
        let collected = self.fees.as_u64();
        let pot = collected.checked_div(POT_PART).unwrap_or_default();
        let rest = collected.saturating_sub(pot);
        let part = |own: u64| {
            let part = u128::from(rest).saturating_mul(u128::from(own)).checked_div(blocks);
            part.and_then(|part| u64::try_from(part).ok()).unwrap_or_default()
        };
        let forfeited = &mut self.forfeited;
        let shares: Vec<_> = built
            .into_iter()
            .filter(|(validator, _)| !forfeited.remove(validator))
            .map(|(validator, own)| (Payee::Stake(validator), part(own)))
            .collect();
        let parts = shares.into_iter().chain([(Payee::Pot, pot)]);
        let paid = parts.filter_map(|(payee, gwei)| self.pay(payee, Gwei::new(gwei)));
        let paid: Vec<_> = paid.collect();
        let sum = paid.iter().map(|withdrawal| withdrawal.amount.as_u64()).sum();
        self.fees = self.fees.checked_sub(Gwei::new(sum)).unwrap_or_default();
        paid
    }

    fn pay(&mut self, payee: Payee, amount: Gwei) -> Option<Withdrawal> {
        if amount == Gwei::ZERO {
            return None;
        }
        let index = self.withdrawals;
        self.withdrawals = index.saturating_add(1);
        Some(Withdrawal { index, payee, amount })
    }
}
