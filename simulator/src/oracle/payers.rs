//! What users handed in and what became of it: nonces without a gap, every fee once, nothing that
//! nobody paid for, and inside what was sealed. What was deposited is spent, paid out on L1, or still there.

use std::collections::{BTreeMap, BTreeSet};

use conclave_types::{
    BlockHeader, BundleId, Digest, FeeParams, Genesis, Gwei, Height, KeyId, L1Content, L1Entry,
    Outcome, PayerAddress, RevealedBlock, UndecryptableReason,
};
use sha3::{Digest as _, Keccak256};

use super::{
    CREDITED, Check, DETERMINISM, FORGED, PAID, RETURNED, SEALED_TO, TAKEN, WHOLE, ensure,
};
use crate::load::{Handed, Standing};

/// A bundle as its user knows it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) payer: PayerAddress,
    pub(super) lane: u64,
    pub(super) sequence: u64,
    pub(super) bytes: u64,
    pub(super) key: KeyId,
    charge: u64,
    standing: Standing,
}

/// What else a block does to balances, beside what it carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    /// The number in the stake contract of who built it.
    pub(super) builder: u32,
    /// Whether an epoch ends with it.
    pub(super) is_last: bool,
}

/// What L1 holds for the chain, and what of it is promised to whom.
#[derive(Clone, Debug, Default)]
struct Vault {
    /// What is left of each payer's grant, and of its deposits.
    purses: BTreeMap<PayerAddress, (u64, u64)>,
    /// Paid out of deposits, and not shared out yet.
    fees: u64,
    /// Who built the blocks of this epoch.
    builders: Vec<u32>,
    /// Who cheated in a sharing, and has not been left out for it yet.
    cheats: BTreeSet<u32>,
    forfeits: u64,
    /// Payments so far.
    payments: u64,
    rewards: u64,
    /// The leaves of each height that pays anything.
    leaves: BTreeMap<Height, Vec<[u8; 32]>>,
}

/// All bundles and accounts.
#[derive(Clone, Debug)]
pub(super) struct Payers {
    fees: FeeParams,
    funds: BTreeMap<PayerAddress, u64>,
    known: BTreeMap<BundleId, Known>,
    included: BTreeMap<BundleId, Height>,
    /// Of which an honest validator has said that no block will take them.
    returned: BTreeSet<BundleId>,
    next: BTreeMap<(PayerAddress, u64), u64>,
    decided: Height,
    /// What was credited, and at which height.
    deposits: Vec<(Height, PayerAddress, u64)>,
    /// What was taken to be paid out, and at which height.
    withdrawals: Vec<(Height, PayerAddress, u64)>,
    vault: Vault,
    /// The hash chain over all charges, deposits and payments so far.
    ledger: Digest,
}

impl Payers {
    pub(super) fn new(genesis: &Genesis) -> Self {
        let funds =
            genesis.accounts.iter().map(|account| (account.address, account.balance.as_u64()));
        let funds: BTreeMap<_, _> = funds.collect();
        let purses = funds.iter().map(|(payer, granted)| (*payer, (*granted, 0))).collect();
        Self {
            fees: genesis.params.fees.clone(),
            vault: Vault { purses, ..Vault::default() },
            withdrawals: Vec::new(),
            funds,
            known: BTreeMap::new(),
            included: BTreeMap::new(),
            returned: BTreeSet::new(),
            next: BTreeMap::new(),
            decided: Height::ZERO,
            deposits: Vec::new(),
            ledger: hash(&[b"conclave/ledger-genesis/v1", genesis.network_id().as_bytes()]),
        }
    }

    pub(super) fn register(&mut self, handed: &Handed) {
        let header = &handed.bundle.header;
        let bytes = u64::from(header.body_bytes);
        let known = Known {
            payer: header.payer,
            lane: header.nonce.lane,
            sequence: header.nonce.sequence,
            bytes,
            key: header.key_id,
            charge: self
                .fees
                .bundle_fee_gwei
                .saturating_add(self.fees.byte_fee_gwei.saturating_mul(bytes))
                .saturating_add(header.priority_fee.as_u64()),
            standing: handed.standing.clone(),
        };
        // A replay is known as what it was the first time.
        self.known.entry(handed.id).or_insert(known);
    }

    /// Payer, lane and sequence of a bundle.
    pub(super) fn place(&self, id: &BundleId) -> Option<(PayerAddress, u64, u64)> {
        self.known.get(id).map(|known| (known.payer, known.lane, known.sequence))
    }

    /// Bundles that must not be kept waiting, with what is known of them.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&BundleId, &Known)> {
        self.known.iter().filter(|(id, known)| {
            matches!(known.standing, Standing::Good(_) | Standing::Dud | Standing::Unopenable)
                && !self.is_included(id)
        })
    }

    pub(super) fn bytes(&self, id: &BundleId) -> u64 {
        self.known.get(id).map_or(0, |known| known.bytes)
    }

    /// The next sequence of a lane, by decided bundles.
    pub(super) fn next(&self, payer: PayerAddress, lane: u64) -> u64 {
        self.next.get(&(payer, lane)).copied().unwrap_or(0)
    }

    pub(super) fn returned(&mut self, bundles: &[BundleId]) {
        self.returned.extend(bundles);
    }

    pub(super) fn is_included(&self, id: &BundleId) -> bool {
        self.included.contains_key(id)
    }

    /// A height was decided; what it includes is looked at once.
    pub(super) fn decided(
        &mut self,
        header: &BlockHeader,
        entries: &[L1Entry],
        bundles: &[BundleId],
        closing: Closing,
    ) -> Check {
        let height = header.height;
        if height != self.decided.next() {
            return Ok(());
        }
        self.decided = height;
        let mut charges = Vec::new();
        for id in bundles {
            let known = self.known.get(id);
            ensure(known.is_some(), FORGED, || {
                format!("height {height} includes unknown bundle {id}")
            })?;
            let Some(known) = known else { continue };
            ensure(known.standing != Standing::Forged, FORGED, || {
                let Known { payer, lane, sequence, .. } = known;
                format!("height {height} includes {id} of {payer}, lane {lane}, nonce {sequence}")
            })?;
            ensure(known.key == header.key_id, SEALED_TO, || {
                let (expected, found) = (known.key, header.key_id);
                format!("height {height} under {found} includes {id}, sealed to {expected}")
            })?;
            ensure(!self.returned.contains(id), RETURNED, || {
                format!("height {height} includes {id}, which was returned")
            })?;
            let next = self.next.entry((known.payer, known.lane)).or_insert(0);
            let (expected, found) = (*next, known.sequence);
            *next = expected.saturating_add(1);
            self.included.insert(*id, height);
            self.vault.spend(known.payer, known.charge);
            charges.extend_from_slice(known.payer.as_bytes());
            for number in [known.lane, known.sequence, known.charge] {
                charges.extend_from_slice(&number.to_be_bytes());
            }
            ensure(expected == found, PAID, || {
                format!(
                    "height {height}, payer {}: nonce {found} where {expected} is next",
                    known.payer
                )
            })?;
        }
        let count = u64::try_from(bundles.len()).unwrap_or(u64::MAX).to_be_bytes();
        let at = height.as_u64().to_be_bytes();
        let before = self.ledger;
        let deposits = self.deposited(height, entries);
        let payments = self.paid_out(height, entries, closing);
        let tag = b"conclave/ledger/v1".as_slice();
        let parts = [tag, before.as_bytes(), &at, &count, &charges, &deposits, &payments];
        self.ledger = hash(&parts);
        let found = header.ledger_digest;
        ensure(found == before, DETERMINISM, || {
            format!("height {height} names ledger digest {found} where {before} follows")
        })
    }

    /// Notes what a block credits; returns how the ledger's hash chain covers it.
    fn deposited(&mut self, height: Height, entries: &[L1Entry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut count = 0_u64;
        for entry in entries {
            let L1Content::Deposit(deposit) = &entry.content else { continue };
            count = count.saturating_add(1);
            bytes.extend_from_slice(deposit.payer.as_bytes());
            bytes.extend_from_slice(&deposit.amount.as_u64().to_be_bytes());
            self.deposits.push((height, deposit.payer, deposit.amount.as_u64()));
        }
        [count.to_be_bytes().as_slice(), &bytes].concat()
    }

    /// Takes what L1 asks back, in the queue's order, and shares out an epoch's fees; returns how the ledger's
    /// hash chain covers it.
    fn paid_out(&mut self, height: Height, entries: &[L1Entry], closing: Closing) -> Vec<u8> {
        let mut leaves = Vec::new();
        for entry in entries {
            match &entry.content {
                L1Content::Forced(_) => {}
                L1Content::Deposit(deposit) => {
                    self.vault.save(deposit.payer, deposit.amount.as_u64());
                }
                L1Content::Withdrawal(request) => {
                    let payer = request.payer;
                    let amount = self.vault.take(payer, request.amount.as_u64());
                    if amount > 0 {
                        self.withdrawals.push((height, payer, amount));
                        leaves.push(self.vault.pay(request.recipient.as_bytes(), 0, amount));
                    }
                }
            }
        }
        if closing.builder > 0 {
            self.vault.builders.push(closing.builder);
        }
        if closing.is_last {
            leaves.extend(self.vault.share_out());
        }
        let count = u64::try_from(leaves.len()).unwrap_or(u64::MAX).to_be_bytes();
        let bytes = [count.as_slice(), &leaves.concat()].concat();
        self.vault.leaves.insert(height, leaves);
        bytes
    }

    /// The newest block proves that a validator, by its number in the stake contract, cheated in a sharing.
    pub(super) fn cheated(&mut self, validator: u32) {
        if validator > 0 {
            self.vault.cheats.insert(validator);
        }
    }

    /// Leaves of what a decided height pays on L1.
    pub(super) fn payouts(&self, height: Height) -> &[[u8; 32]] {
        self.vault.leaves.get(&height).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn counters(&self) -> [(&'static str, u64); 3] {
        let withdrawn = u64::try_from(self.withdrawals.len()).unwrap_or(u64::MAX);
        let Vault { rewards, forfeits, .. } = self.vault;
        [("withdrawals", withdrawn), ("rewards", rewards), ("forfeits", forfeits)]
    }

    /// What is inside is what was sealed.
    pub(super) fn opened(&self, block: &RevealedBlock) -> Check {
        for bundle in &block.bundles {
            let Some(known) = self.known.get(&bundle.id) else { continue };
            let fits = match (&known.standing, &bundle.outcome) {
                (Standing::Good(sealed) | Standing::Rival(sealed), Outcome::Opened(legs)) => {
                    sealed == legs
                }
                (Standing::Dud, Outcome::Undecryptable(_))
                | (
                    Standing::Unopenable,
                    Outcome::Undecryptable(UndecryptableReason::BadCiphertext),
                ) => true,
                _ => false,
            };
            ensure(fits, WHOLE, || {
                let (id, sealed) = (bundle.id, &known.standing);
                format!("bundle {id}: {sealed:?} was sealed, {:?} came out", bundle.outcome)
            })?;
        }
        let here = self.included.values().filter(|height| **height == block.height).count();
        ensure(here == block.bundles.len(), WHOLE, || {
            format!(
                "height {}: {here} bundles went in, {} came out",
                block.height,
                block.bundles.len()
            )
        })
    }

    pub(super) fn all(&self) -> Vec<PayerAddress> {
        let given = self.deposits.iter().map(|(_, payer, _)| *payer);
        self.funds.keys().copied().chain(given).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Balances are the genesis's and the deposits less one fee for each bundle and what was withdrawn, up to a
    /// height.
    pub(super) fn balance(
        &self,
        node: u16,
        at: Height,
        payer: &PayerAddress,
        found: Gwei,
    ) -> Check {
        let paid = self.included.iter().filter(|(_, height)| **height <= at);
        let paid = paid.filter_map(|(id, _)| self.known.get(id)).filter(|k| k.payer == *payer);
        let paid = paid.fold(0_u64, |sum, known| sum.saturating_add(known.charge));
        let funds = self.funds.get(payer).copied().unwrap_or(0);
        let given = self.deposits.iter().filter(|(height, to, _)| *height <= at && to == payer);
        let funds = given.fold(funds, |sum, (_, _, amount)| sum.saturating_add(*amount));
        let taken = self.withdrawals.iter().filter(|(height, of, _)| *height <= at && of == payer);
        let taken = taken.fold(0_u64, |sum, (_, _, amount)| sum.saturating_add(*amount));
        let expected = Gwei::new(funds.saturating_sub(paid).saturating_sub(taken));
        let has_deposits = self.deposits.iter().any(|(_, to, _)| to == payer);
        let promise = match (taken, has_deposits) {
            (1.., _) => TAKEN,
            (0, true) => CREDITED,
            (0, false) => PAID,
        };
        ensure(expected == found, promise, || {
            format!("validator {node}, height {at}: payer {payer} has {found}, expected {expected}")
        })
    }
}

impl Vault {
    fn purse(&mut self, payer: PayerAddress) -> &mut (u64, u64) {
        self.purses.entry(payer).or_default()
    }

    fn save(&mut self, payer: PayerAddress, amount: u64) {
        let (_, saved) = self.purse(payer);
        *saved = saved.saturating_add(amount);
    }

    fn take(&mut self, payer: PayerAddress, asked: u64) -> u64 {
        let (_, saved) = self.purse(payer);
        let amount = asked.min(*saved);
        *saved = saved.saturating_sub(amount);
        amount
    }

    /// The grant goes first, and nothing of it is ever paid out.
    fn spend(&mut self, payer: PayerAddress, charge: u64) {
        let (granted, saved) = self.purse(payer);
        let rest = charge.saturating_sub(*granted);
        *granted = granted.saturating_sub(charge);
        *saved = saved.saturating_sub(rest);
        self.fees = self.fees.saturating_add(rest);
    }

    fn pay(&mut self, recipient: &[u8], validator: u32, amount: u64) -> [u8; 32] {
        let index = self.payments.to_be_bytes();
        self.payments = self.payments.saturating_add(1);
        let tag = b"\0conclave/withdrawal/v1".as_slice();
        let (validator, amount) = (validator.to_be_bytes(), amount.to_be_bytes());
        *hash(&[tag, &index, recipient, &validator, &amount]).as_bytes()
    }

    /// A fifth goes to the pot, the rest to who built the epoch's blocks; what a cheat built is for the next epoch.
    fn share_out(&mut self) -> Vec<[u8; 32]> {
        let builders = std::mem::take(&mut self.builders);
        if builders.is_empty() {
            return Vec::new();
        }
        let blocks = u64::try_from(builders.len()).unwrap_or(u64::MAX);
        let pot = self.fees / 5;
        let rest = self.fees.saturating_sub(pot);
        let mut leaves = Vec::new();
        for validator in builders.iter().copied().collect::<BTreeSet<_>>() {
            if self.cheats.remove(&validator) {
                self.forfeits = self.forfeits.saturating_add(1);
                continue;
            }
            let own = builders.iter().filter(|builder| **builder == validator).count();
            let own = u64::try_from(own).unwrap_or(u64::MAX);
            let amount = rest.saturating_mul(own) / blocks;
            self.fees = self.fees.saturating_sub(amount);
            if amount > 0 {
                self.rewards = self.rewards.saturating_add(1);
                leaves.push(self.pay(&[0; 20], validator, amount));
            }
        }
        self.fees = self.fees.saturating_sub(pot);
        if pot > 0 {
            leaves.push(self.pay(&[0; 20], 0, pot));
        }
        leaves
    }
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest::new(hasher.finalize().into())
}
