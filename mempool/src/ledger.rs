//! Who can pay, and what was paid. A bundle pays on inclusion, before anyone can read it and whatever
//! it turns out to be: otherwise filling blocks with rubbish would be free.
//!
//! Checking and charging are the same code over a draft, so that what a block was found to cost is
//! what it costs. What L1 asks for comes after a block's charges, in the order of the queue: a deposit pays for the
//! next block, and a withdrawal leaves what this one costs. Then, at the end of an epoch, what was collected
//! is shared out ([`payout`]). The digest chains all charges, deposits and withdrawals since the genesis; a header
//! carries it, so that validators who disagree on a balance find out at the next block.
//!
//! **Invariant: what was deposited is what balances hold beyond the genesis's grants, what was collected and is not
//! shared out yet, and what was withdrawn.** So L1 is never asked to pay more than was deposited there: a grant, which
//! nobody put ether behind, buys inclusion and is spent first, but is never paid out, nor are fees paid from it.

mod payout;

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{
    BundleHeader, BundleNonce, Deposit, Digest, FeeParams, Genesis, Gwei, Height, L1Content,
    L1Entry, Params, PayerAddress, Withdrawal, digest::Hasher,
};

pub use self::payout::{Applied, RequestOutcome, Till};

/// Lanes that an account may ever use. Each takes 16 bytes in every validator's state for good, so
/// 256 of them keep an account under 4 KiB; a bundle that would open one more cannot be included.
pub const LANES_MAX: usize = 256;

/// A payer's balance and the next sequence of each of its lanes.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Account {
    /// What it can spend.
    pub balance: Gwei,
    /// What is left of the genesis's grant in that: spent first, never paid out.
    pub granted: Gwei,
    /// The next sequence of every lane that was used.
    pub lanes: BTreeMap<u64, u64>,
}

impl Account {
    const EMPTY: Self = Self { balance: Gwei::ZERO, granted: Gwei::ZERO, lanes: BTreeMap::new() };

    /// Whether it is as if there had never been one.
    fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

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

    /// What can be withdrawn: the part of the balance that was deposited.
    #[must_use]
    pub fn withdrawable(&self) -> Gwei {
        self.balance.checked_sub(self.granted).unwrap_or_default()
    }

    /// Takes up to `amount` of what was deposited; returns how much.
    fn withdraw(&mut self, amount: Gwei) -> Gwei {
        let taken = amount.min(self.withdrawable());
        self.balance = self.balance.checked_sub(taken).unwrap_or_default();
        taken
    }

    /// Takes a charge; returns what of it was deposited.
    fn pay(&mut self, charge: &Charge) -> Result<Gwei, LedgerError> {
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
        let granted = self.granted.min(amount);
        self.granted = self.granted.checked_sub(granted).unwrap_or_default();
        Ok(amount.checked_sub(granted).unwrap_or_default())
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

/// A decided block, as far as balances go.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Its height.
    pub height: Height,
    /// What its bundles pay, as [`Ledger::check_block`] found it.
    pub charges: &'a [Charge],
    /// What it carries of the queue on L1.
    pub entries: &'a [L1Entry],
    /// The number in the stake contract of the validator who built it; 0 if that has none.
    pub proposer: u32,
    /// The numbers of those of whom the block before has proved that they cheated in a sharing of the key.
    pub cheats: &'a [u32],
    /// Whether its epoch ends with it.
    pub ends_epoch: bool,
}

/// All accounts after some block, what was collected, and the digest of how that came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    accounts: BTreeMap<PayerAddress, Account>,
    till: Till,
    digest: Digest,
}

impl Ledger {
    /// The ledger that a network starts from.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let account = |balance| Account { balance, granted: balance, lanes: BTreeMap::new() };
        let accounts = genesis.accounts.iter();
        let accounts = accounts.map(|entry| (entry.address, account(entry.balance)));
        let digest = Hasher::new("conclave/ledger-genesis/v1")
            .fixed(genesis.network_id().as_bytes())
            .finish();
        Self::restore(accounts, Till::default(), digest)
    }

    /// The ledger as it was stored: every account that [`Ledger::apply`] ever returned, in its last
    /// state, over those of the genesis, and the till and the digest that stood beside them.
    #[must_use]
    pub fn restore(
        accounts: impl IntoIterator<Item = (PayerAddress, Account)>,
        till: Till,
        digest: Digest,
    ) -> Self {
        let accounts: BTreeMap<_, _> = accounts.into_iter().collect();
        let accounts = accounts.into_iter().filter(|(_, account)| !account.is_empty()).collect();
        Self { accounts, till, digest }
    }

    /// The account of `payer`; an empty one if there is none.
    #[must_use]
    pub fn account(&self, payer: &PayerAddress) -> &Account {
        const EMPTY: &Account = &Account::EMPTY;
        self.accounts.get(payer).unwrap_or(EMPTY)
    }

    /// Every account with a balance or a nonce, in order of address.
    pub fn accounts(&self) -> impl Iterator<Item = (&PayerAddress, &Account)> {
        self.accounts.iter()
    }

    /// What was collected and is not shared out yet.
    #[must_use]
    pub const fn till(&self) -> &Till {
        &self.till
    }

    /// The hash chain over all charges, deposits and withdrawals so far, height by height.
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

    /// Takes the charges of a decided block, then does what L1 asks for in it, then shares out what was collected
    /// if its epoch is over. Returns what changed. To be called for every height, also without any of that.
    ///
    /// # Errors
    ///
    /// If the charges were not found by [`Ledger::check_block`] on this very ledger; then nothing
    /// changes.
    pub fn apply(&mut self, turn: &Turn<'_>) -> Result<Applied, LedgerError> {
        let mut draft = Draft::new(self);
        let mut till = self.till.clone();
        for charge in turn.charges {
            till.collect(draft.pay(charge)?);
        }
        till.proposed(turn.proposer);
        till.forfeit(turn.cheats);
        let (mut withdrawals, mut requests) = (Vec::new(), Vec::new());
        for L1Entry { index: entry, content, .. } in turn.entries {
            match content {
                L1Content::Forced(_) => {}
                L1Content::Deposit(Deposit { payer, amount }) => {
                    draft.account(payer).credit(*amount);
                }
                L1Content::Withdrawal(request) => {
                    let taken = draft.account(&request.payer).withdraw(request.amount);
                    let withdrawal = till.pay_out(request.recipient, taken);
                    let index = withdrawal.map(|withdrawal| withdrawal.index);
                    requests.push((*entry, RequestOutcome { height: turn.height, index }));
                    withdrawals.extend(withdrawal);
                }
            }
        }
        if turn.ends_epoch {
            withdrawals.extend(till.share_out());
        }
        // Anybody may ask to withdraw: who has nothing, and had nothing, leaves nothing behind.
        let changed = draft.accounts.into_iter();
        let accounts: Vec<_> = changed
            .filter(|(payer, account)| !account.is_empty() || self.accounts.contains_key(payer))
            .collect();
        for (payer, account) in &accounts {
            if account.is_empty() {
                self.accounts.remove(payer);
            } else {
                self.accounts.insert(*payer, account.clone());
            }
        }
        self.till = till;
        self.digest = self.digest_after(turn, &withdrawals);
        Ok(Applied { accounts, withdrawals, requests })
    }

    fn digest_after(&self, turn: &Turn<'_>, withdrawals: &[Withdrawal]) -> Digest {
        let Turn { height, charges, entries, .. } = turn;
        let mut hasher = Hasher::new("conclave/ledger/v1");
        hasher.fixed(self.digest.as_bytes()).u64(height.as_u64()).u64(charges.len() as u64);
        for charge in *charges {
            hasher
                .fixed(charge.payer.as_bytes())
                .u64(charge.nonce.lane)
                .u64(charge.nonce.sequence)
                .u64(charge.amount.as_u64());
        }
        let deposits: Vec<_> = entries.iter().filter_map(L1Entry::deposit).collect();
        hasher.u64(deposits.len() as u64);
        for Deposit { payer, amount } in deposits {
            hasher.fixed(payer.as_bytes()).u64(amount.as_u64());
        }
        hasher.u64(withdrawals.len() as u64);
        for withdrawal in withdrawals {
            hasher.fixed(withdrawal.leaf().as_bytes());
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

    fn pay(&mut self, charge: &Charge) -> Result<Gwei, LedgerError> {
        self.account(&charge.payer).pay(charge)
    }

    fn account(&mut self, payer: &PayerAddress) -> &mut Account {
        self.accounts.entry(*payer).or_insert_with(|| self.ledger.account(payer).clone())
    }
}

#[cfg(test)]
mod tests;
