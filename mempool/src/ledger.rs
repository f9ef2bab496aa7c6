//! Who can pay, and what was paid. A bundle pays on inclusion, before anyone can read it and whatever
//! it turns out to be: otherwise filling blocks with rubbish would be free.
//!
//! Checking and charging are the same code over a draft, so that what a block was found to cost is
//! what it costs. Deposits of a block come after its charges: they pay for the next. The digest chains
//! all charges and deposits since the genesis; a header carries it, so that
//! validators who disagree on a balance find out at the next block.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{
    BundleHeader, BundleNonce, Deposit, Digest, FeeParams, Genesis, Gwei, Height, Params,
    PayerAddress, digest::Hasher,
};

/// Lanes that an account may ever use. Each takes 16 bytes in every validator's state for good, so
/// 256 of them keep an account under 4 KiB; a bundle that would open one more cannot be included.
pub const LANES_MAX: usize = 256;

/// A payer's balance and the next sequence of each of its lanes.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Account {
    /// What it can spend.
    pub balance: Gwei,
    /// The next sequence of every lane that was used.
    pub lanes: BTreeMap<u64, u64>,
}

impl Account {
    const EMPTY: Self = Self { balance: Gwei::ZERO, lanes: BTreeMap::new() };

    /// The sequence that comes next in `lane`.
    #[must_use]
    pub fn next(&self, lane: u64) -> u64 {
        self.lanes.get(&lane).copied().unwrap_or_default()
    }

    /// Whether `lane` was used.
    #[must_use]
    pub fn has_lane(&self, lane: u64) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// A balance is full at 2^64 gwei, a hundred times all ether: what L1 says can always be taken in.
    fn credit(&mut self, amount: Gwei) {
        self.balance = self.balance.checked_add(amount).unwrap_or(Gwei::new(u64::MAX));
    }

    fn pay(&mut self, charge: &Charge) -> Result<(), LedgerError> {
        let Charge { payer, nonce, amount } = *charge;
        let BundleNonce { lane, sequence } = nonce;
        let expected = self.next(lane);
        let wrong = LedgerError::Nonce { payer, lane, expected, found: sequence };
        let Some(next) = sequence.checked_add(1).filter(|_| sequence == expected) else {
            return Err(wrong);
        };
        if self.lanes.len() >= LANES_MAX && !self.has_lane(lane) {
            return Err(LedgerError::Lanes { payer, lane });
        }
        let found = self.balance;
        let short = LedgerError::Balance { payer, expected: amount, found };
        self.balance = found.checked_sub(amount).ok_or(short)?;
        self.lanes.insert(lane, next);
        Ok(())
    }
}

/// What one bundle pays for its inclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Charge {
    /// Who pays.
    pub payer: PayerAddress,
    /// The nonce that is used up.
    pub nonce: BundleNonce,
    /// How much.
    pub amount: Gwei,
}

impl Charge {
    /// What a bundle with this header pays.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Fee`] if that is more than the header allows.
    pub fn of(header: &BundleHeader, fees: &FeeParams) -> Result<Self, LedgerError> {
        let BundleHeader { payer, nonce, max_fee, .. } = *header;
        let expected = fees.charge(header.body_bytes, header.priority_fee);
        let amount = expected.filter(|amount| *amount <= max_fee).ok_or(LedgerError::Fee {
            payer,
            expected,
            found: max_fee,
        })?;
        Ok(Self { payer, nonce, amount })
    }
}

/// Why a bundle cannot be charged for.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, BorshSerialize)]
pub enum LedgerError {
    /// The charge is more than the sender allows.
    #[error("{payer} allows a fee of {found}, expected at least {}", .expected.map_or_else(|| "more than exists".to_owned(), |fee| fee.to_string()))]
    Fee {
        /// Who would pay.
        payer: PayerAddress,
        /// The charge; none if it does not fit 64 bits.
        expected: Option<Gwei>,
        /// The most that may be charged.
        found: Gwei,
    },
    /// The nonce is not the next one in its lane.
    #[error("lane {lane} of {payer} is at sequence {expected}, found {found}")]
    Nonce {
        /// Who would pay.
        payer: PayerAddress,
        /// The lane.
        lane: u64,
        /// The next sequence.
        expected: u64,
        /// The bundle's sequence.
        found: u64,
    },
    /// The account used up its lanes.
    #[error("{payer} uses {LANES_MAX} lanes already, lane {lane} is not one of them")]
    Lanes {
        /// Who would pay.
        payer: PayerAddress,
        /// The lane.
        lane: u64,
    },
    /// The balance does not cover the charge.
    #[error("{payer} is to pay {expected}, its balance is {found}")]
    Balance {
        /// Who would pay.
        payer: PayerAddress,
        /// The charge.
        expected: Gwei,
        /// What is left.
        found: Gwei,
    },
}

/// All accounts after some block, and the digest of how they came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    accounts: BTreeMap<PayerAddress, Account>,
    digest: Digest,
}

impl Ledger {
    /// The ledger that a network starts from.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let account = |balance| Account { balance, lanes: BTreeMap::new() };
        let accounts = genesis.accounts.iter();
        Self {
            accounts: accounts.map(|entry| (entry.address, account(entry.balance))).collect(),
            digest: Hasher::new("conclave/ledger-genesis/v1")
                .fixed(genesis.network_id().as_bytes())
                .finish(),
        }
    }

    /// The ledger as it was stored: every account that [`Ledger::apply`] ever returned, in its last
    /// state, over those of the genesis, and the digest that stood beside them.
    #[must_use]
    pub fn restore(
        accounts: impl IntoIterator<Item = (PayerAddress, Account)>,
        digest: Digest,
    ) -> Self {
        Self { accounts: accounts.into_iter().collect(), digest }
    }

    /// The account of `payer`; an empty one if there is none.
    #[must_use]
    pub fn account(&self, payer: &PayerAddress) -> &Account {
        const EMPTY: &Account = &Account::EMPTY;
        self.accounts.get(payer).unwrap_or(EMPTY)
    }

    /// Every account, in order of address.
    pub fn accounts(&self) -> impl Iterator<Item = (&PayerAddress, &Account)> {
        self.accounts.iter()
    }

    /// The hash chain over all charges and deposits so far, height by height.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What a block with these bundles charges, in block order. Objective: every validator with the
    /// same ledger finds the same.
    ///
    /// # Errors
    ///
    /// The first bundle that cannot be charged for makes the block invalid.
    pub fn check_block(
        &self,
        headers: &[&BundleHeader],
        params: &Params,
    ) -> Result<Vec<Charge>, LedgerError> {
        let mut draft = Draft::new(self);
        headers.iter().map(|header| draft.charge(header, &params.fees)).collect()
    }

    /// Takes the charges of the decided block at `height`, then credits the deposits that it carries, and
    /// returns the accounts that changed. To be called for every height, also without either.
    ///
    /// # Errors
    ///
    /// If the charges were not found by [`Ledger::check_block`] on this very ledger; then nothing
    /// changes.
    pub fn apply(
        &mut self,
        height: Height,
        charges: &[Charge],
        deposits: &[Deposit],
    ) -> Result<Vec<(PayerAddress, Account)>, LedgerError> {
        let mut draft = Draft::new(self);
        charges.iter().try_for_each(|charge| draft.pay(charge))?;
        for Deposit { payer, amount } in deposits {
            draft.account(payer).credit(*amount);
        }
        let changed: Vec<_> = draft.accounts.into_iter().collect();
        self.accounts.extend(changed.iter().cloned());
        self.digest = self.digest_after(height, charges, deposits);
        Ok(changed)
    }

    fn digest_after(&self, height: Height, charges: &[Charge], deposits: &[Deposit]) -> Digest {
        let mut hasher = Hasher::new("conclave/ledger/v1");
        hasher.fixed(self.digest.as_bytes()).u64(height.as_u64()).u64(charges.len() as u64);
        for charge in charges {
            hasher
                .fixed(charge.payer.as_bytes())
                .u64(charge.nonce.lane)
                .u64(charge.nonce.sequence)
                .u64(charge.amount.as_u64());
        }
        hasher.u64(deposits.len() as u64);
        for Deposit { payer, amount } in deposits {
            hasher.fixed(payer.as_bytes()).u64(amount.as_u64());
        }
        hasher.finish()
    }
}

/// Accounts as they would be after some charges, over a ledger that stays as it is.
pub(crate) struct Draft<'a> {
    ledger: &'a Ledger,
    accounts: BTreeMap<PayerAddress, Account>,
}

impl<'a> Draft<'a> {
    pub(crate) const fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, accounts: BTreeMap::new() }
    }

    /// Charges for one more bundle; on an error nothing changes.
    pub(crate) fn charge(
        &mut self,
        header: &BundleHeader,
        fees: &FeeParams,
    ) -> Result<Charge, LedgerError> {
        let charge = Charge::of(header, fees)?;
        self.pay(&charge)?;
        Ok(charge)
    }

    fn pay(&mut self, charge: &Charge) -> Result<(), LedgerError> {
        self.account(&charge.payer).pay(charge)
    }

    fn account(&mut self, payer: &PayerAddress) -> &mut Account {
        self.accounts.entry(*payer).or_insert_with(|| self.ledger.account(payer).clone())
    }
}

#[cfg(test)]
mod tests;
