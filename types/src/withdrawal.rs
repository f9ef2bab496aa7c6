//! What the fee ledger pays out on L1. A payer asks for it through the forced queue ([`WithdrawalRequest`]), which
//! nobody can keep it out of; the block that carries the request takes the amount from the payer's balance, and its
//! commitment holds a root over what it pays. With a settled commitment and a path anyone can have `FeeVault` pay.
//!
//! Fees leave the ledger the same way, at the end of each epoch: to validators' stake, and to the pot that refunds
//! relayers.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    digest::Hasher,
    ids::{Digest, PayerAddress},
    merkle,
    params::Gwei,
};

/// What a payer asks of L1, in an entry of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WithdrawalRequest {
    /// Whose balance it is taken from: the account that asked.
    pub payer: PayerAddress,
    /// Who is to be paid on L1.
    pub recipient: PayerAddress,
    /// How much, at most: if the balance is less, all of it.
    pub amount: Gwei,
}

/// Who is paid.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Payee {
    /// An account on L1.
    Account(PayerAddress),
    /// The stake of the validator with this number in the stake contract.
    Stake(u32),
    /// The pot from which `FeeVault` refunds relayers.
    Pot,
}

/// One payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Withdrawal {
    /// Its number among all withdrawals ever: `FeeVault` pays each once.
    pub index: u64,
    /// Who is paid.
    pub payee: Payee,
    /// How much.
    pub amount: Gwei,
}

impl Payee {
    /// Recipient and validator, as L1 takes them: neither is the pot.
    #[must_use]
    pub const fn on_l1(self) -> (PayerAddress, u32) {
        match self {
            Self::Account(recipient) => (recipient, 0),
            Self::Stake(validator) => (PayerAddress::ZERO, validator),
            Self::Pot => (PayerAddress::ZERO, 0),
        }
    }
}

impl Withdrawal {
    /// The digest of its leaf.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        let (recipient, validator) = self.payee.on_l1();
        Hasher::new("\0conclave/withdrawal/v1")
            .u64(self.index)
            .fixed(recipient.as_bytes())
            .u32(validator)
            .u64(self.amount.as_u64())
            .finish()
    }
}

/// The root over what a block pays, in the order of the indices; zero if that is nothing.
#[must_use]
pub fn withdrawals_root(withdrawals: &[Withdrawal]) -> Digest {
    merkle::root(&leaves(withdrawals))
}

/// The siblings of the withdrawal at `place`, from the bottom up; none if there is none.
#[must_use]
pub fn withdrawal_path(withdrawals: &[Withdrawal], place: usize) -> Option<Vec<Digest>> {
    merkle::path(&leaves(withdrawals), place)
}

fn leaves(withdrawals: &[Withdrawal]) -> Vec<Digest> {
    withdrawals.iter().map(Withdrawal::leaf).collect()
}
