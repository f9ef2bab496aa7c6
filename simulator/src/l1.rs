//! A virtual L1: blocks with queue entries, reorganized until they are final, and a connection to it that
//! is late or breaks.
//!
//! A node is shown final blocks only, so a reorganization must leave no trace in the chain. What validators
//! disagree about is how far L1 is: everyone hears of a final block at another time, or not at all.

use conclave_sequencer::L1Block;
use conclave_types::{
    CommitteeOffer, Deposit, Digest, Epoch, ForcedTransaction, Gwei, L1Content, L1Entry, L1Origin,
    Member, PayerAddress, RollupId, Time, WithdrawalRequest,
};
use serde::{Deserialize, Serialize};
use sha3::{Digest as _, Keccak256};

use crate::{random::Random, scenario::is_default};

/// A rollup that nobody has registered.
const UNKNOWN_ROLLUP: RollupId = RollupId::new(777);
/// One forced transaction in so many is for it.
const UNKNOWN_EVERY: u64 = 8;
/// Bytes of a forced transaction, at most.
const TRANSACTION_BYTES_MAX: u64 = 300;
/// Depositors that the genesis does not know.
const STRANGERS: u64 = 4;
/// What the first payer deposits in the first block, if it has to live on that.
const SAVINGS: Gwei = Gwei::new(1_000_000_000_000);
/// What a request to withdraw asks for at most, now and then more than there is.
const REQUEST_GWEI_MAX: u64 = 1_500_000;

/// A time during which validators do not reach L1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct L1Outage {
    /// Whose connection is broken; everyone's, if nobody is named.
    #[serde(default, skip_serializing_if = "is_default")]
    pub validators: Vec<u16>,
    /// Since when.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// Both are later by up to this much, drawn from the seed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spread_ms: u64,
}

impl L1Outage {
    /// Whether it concerns a validator.
    #[must_use]
    pub fn hits(&self, validator: u16) -> bool {
        self.validators.is_empty() || self.validators.contains(&validator)
    }
}

/// A committee that the stake contract offers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// In the first block from then on.
    pub at_ms: u64,
    /// For which epoch.
    pub epoch: u64,
    /// The power of each validator; 0 for those who are not to be members.
    pub powers: Vec<u64>,
}

/// A validator changes its keys. The new ones run on a machine of their own, which joins as a newcomer does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Who.
    pub validator: u16,
    /// From then on the stake contract offers it with its new keys.
    pub at_ms: u64,
}

/// What L1 is like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct L1Model {
    /// Time between two blocks.
    pub block_ms: u64,
    /// A block with so many on top of it is final.
    pub finality_blocks: u64,
    /// Blocks that replace some that are not final, of a thousand.
    pub reorg_permille: u64,
    /// How late a validator hears of a final block, at most; everyone has a delay of its own.
    pub lag_ms: u64,
    /// Forced transactions in a block, at most.
    pub forced_max: u64,
    /// Deposits in a block, at most.
    pub deposits_max: u64,
    /// Requests to withdraw in a block, at most; some are of payers who have nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub withdrawals_max: u64,
    /// What the genesis grants the first payer, who then deposits and lives on that; plenty, if absent.
    #[serde(skip_serializing_if = "is_default")]
    pub first_grant_gwei: Option<u64>,
    /// Validators whose provider invents a deposit in every block that it serves.
    pub false_views: Vec<u16>,
    /// When who does not reach L1.
    pub outages: Vec<L1Outage>,
    /// Whom the stake contract offers for which epoch. With any, no epoch after the first begins without one.
    pub offers: Vec<Offer>,
    /// Who changes its keys.
    #[serde(skip_serializing_if = "is_default")]
    pub rotations: Vec<Rotation>,
}

impl Default for L1Model {
    fn default() -> Self {
        Self {
            block_ms: 500,
            finality_blocks: 3,
            reorg_permille: 0,
            lag_ms: 300,
            forced_max: 3,
            deposits_max: 2,
            withdrawals_max: 0,
            first_grant_gwei: None,
            false_views: Vec::new(),
            outages: Vec::new(),
            offers: Vec::new(),
            rotations: Vec::new(),
        }
    }
}

/// L1 itself, from block 1 on; the genesis builds on block 0.
pub(crate) struct L1 {
    model: L1Model,
    rollups: Vec<RollupId>,
    payer: Option<PayerAddress>,
    /// Whom the stake contract knows, in the order of their numbers.
    staked: Vec<Member>,
    /// With their new keys, those who change them, in the scenario's order.
    rotated: Vec<Member>,
    blocks: Vec<L1Block>,
    /// How long each validator's connection takes at least.
    delays_ms: Vec<u64>,
    reorgs: u64,
    random: Random,
}

impl L1 {
    /// The L1 of a run, on which users force transactions into `rollups` and deposit for `payer`.
    pub(crate) fn new(
        model: L1Model,
        rollups: Vec<RollupId>,
        payer: Option<PayerAddress>,
        (staked, rotated): (Vec<Member>, Vec<Member>),
        seed: u64,
    ) -> Self {
        let mut random = Random::new(seed, 11);
        let half = model.lag_ms / 2;
        let machines = staked.iter().chain(&rotated);
        let delays_ms = machines.map(|_| random.below(half.saturating_add(1))).collect();
        let blocks = Vec::new();
        Self { model, rollups, payer, staked, rotated, blocks, delays_ms, reorgs: 0, random }
    }

    pub(crate) const fn model(&self) -> &L1Model {
        &self.model
    }

    pub(crate) const fn reorgs(&self) -> u64 {
        self.reorgs
    }

    /// The blocks that stay.
    pub(crate) fn finalized(&self) -> &[L1Block] {
        let depth = usize::try_from(self.model.finality_blocks).unwrap_or(usize::MAX);
        let count = self.blocks.len().saturating_sub(depth);
        self.blocks.get(..count).unwrap_or_default()
    }

    /// A final block as a validator's provider shows it.
    pub(crate) fn served(&self, block: &L1Block, validator: u16) -> L1Block {
        let mut served = block.clone();
        if self.model.false_views.contains(&validator) {
            let before =
                self.finalized().iter().take_while(|b| b.origin.number <= block.origin.number);
            let next = before.map(|block| block.entries.len() as u64).sum();
            let deposit = Deposit { payer: PayerAddress::new([0xef; 20]), amount: Gwei::new(1) };
            let (l1_block, content) = (block.origin.number, L1Content::Deposit(deposit));
            served.entries.push(L1Entry { index: next, l1_block, content });
        }
        served
    }

    /// Another block; it may replace some of those that are not final, and then there is one more on top.
    pub(crate) fn mine(&mut self) {
        let here = u64::try_from(self.blocks.len()).unwrap_or(u64::MAX);
        let open = self.model.finality_blocks.min(here);
        if open > 0 && self.random.chance(self.model.reorg_permille) {
            let depth = self.random.below(open).saturating_add(1);
            for _ in 0..depth {
                self.blocks.pop();
            }
            for _ in 0..depth {
                self.extend();
            }
            self.reorgs = self.reorgs.saturating_add(1);
        }
        self.extend();
    }

    /// When a validator hears of what is final now.
    pub(crate) fn heard_at(&mut self, now: Time, validator: u16) -> Time {
        let own = self.delays_ms.get(usize::from(validator)).copied().unwrap_or(0);
        let more = self.random.below((self.model.lag_ms / 2).saturating_add(1));
        now.after(std::time::Duration::from_millis(own.saturating_add(more)))
    }

    fn extend(&mut self) {
        let parent = self.blocks.last().map_or(Digest::ZERO, |block| block.origin.hash);
        let number = u64::try_from(self.blocks.len()).unwrap_or(u64::MAX).saturating_add(1);
        let carried = self.blocks.iter().rev().find_map(|block| block.entries.last());
        let first = carried.map_or(0, |entry| entry.index.saturating_add(1));
        let forced = self.random.below(self.model.forced_max.saturating_add(1));
        let deposits = self.random.below(self.model.deposits_max.saturating_add(1));
        let mut contents: Vec<L1Content> = (0..forced).map(|_| self.forced()).collect();
        for _ in 0..deposits {
            let deposit = self.deposit();
            let at =
                self.random.below(u64::try_from(contents.len()).unwrap_or(0).saturating_add(1));
            contents.insert(usize::try_from(at).unwrap_or(0), deposit);
        }
        // Whoever asks for none draws none, so that its runs are what they were.
        if self.model.withdrawals_max > 0 {
            let count = self.random.below(self.model.withdrawals_max.saturating_add(1));
            contents.extend((0..count).map(|_| self.request()).collect::<Vec<_>>());
        }
        if number == 1 && self.model.first_grant_gwei.is_some() {
            let savings = self.payer.map(|payer| Deposit { payer, amount: SAVINGS });
            contents.extend(savings.map(L1Content::Deposit));
        }
        let entry = |(index, content)| L1Entry { index, l1_block: number, content };
        let entries = (first..).zip(contents).map(entry).collect();
        let salt = self.random.bytes();
        let hasher = Keccak256::new_with_prefix(parent.as_bytes());
        let hash = hasher.chain_update(number.to_be_bytes()).chain_update(salt).finalize();
        let origin = L1Origin { number, hash: Digest::new(hash.into()) };
        self.blocks.push(L1Block { origin, parent, entries, offers: self.offers(number) });
    }

    /// What the stake contract offers in the block of this number, whichever block that comes to be.
    fn offers(&self, number: u64) -> Vec<CommitteeOffer> {
        let is_in =
            |offer: &&Offer| offer.at_ms.div_ceil(self.model.block_ms.max(1)).max(1) == number;
        let offered = self.model.offers.iter().filter(is_in).map(|offer| {
            let powers = self.staked.iter().zip(&offer.powers).filter(|(_, power)| **power > 0);
            let members = powers.map(|(member, power)| {
                let mut changes = self.model.rotations.iter().zip(&self.rotated);
                let is_due = |(rotation, rotated): &(&Rotation, &Member)| {
                    rotation.at_ms <= offer.at_ms && rotated.validator == member.validator
                };
                let newest = changes.find(is_due).map_or(member, |(_, rotated)| rotated);
                Member { power: *power, ..newest.clone() }
            });
            CommitteeOffer { epoch: Epoch::new(offer.epoch), members: members.collect() }
        });
        CommitteeOffer::that_count(offered.collect())
    }

    fn forced(&mut self) -> L1Content {
        let count = u64::try_from(self.rollups.len()).unwrap_or(0);
        let pick = usize::try_from(self.random.below(count)).unwrap_or(0);
        let known = self.rollups.get(pick).copied().unwrap_or(UNKNOWN_ROLLUP);
        let rollup = if self.random.below(UNKNOWN_EVERY) == 0 { UNKNOWN_ROLLUP } else { known };
        let length = self.random.below(TRANSACTION_BYTES_MAX).saturating_add(1);
        let bytes = self.random.bytes();
        let length = usize::try_from(length).unwrap_or(1);
        let transaction = bytes.iter().copied().cycle().take(length).collect();
        L1Content::Forced(ForcedTransaction { rollup, gas_limit: 100_000, transaction })
    }

    /// The first payer, or a stranger.
    fn depositor(&mut self) -> PayerAddress {
        let stranger = self.random.below(STRANGERS.saturating_add(1));
        let stranger = u8::try_from(stranger).unwrap_or(0).saturating_add(0xd0);
        let unknown = PayerAddress::new([stranger; 20]);
        self.payer.filter(|_| stranger == 0xd0).unwrap_or(unknown)
    }

    fn request(&mut self) -> L1Content {
        let payer = self.depositor();
        let recipient = PayerAddress::new([0xca; 20]);
        let amount = Gwei::new(self.random.below(REQUEST_GWEI_MAX).saturating_add(1));
        L1Content::Withdrawal(WithdrawalRequest { payer, recipient, amount })
    }

    fn deposit(&mut self) -> L1Content {
        let payer = self.depositor();
        let amount = Gwei::new(self.random.below(1_000_000).saturating_add(1));
        L1Content::Deposit(Deposit { payer, amount })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_stays_and_continues_whatever_is_reorganized() {
        let model = L1Model { reorg_permille: 500, ..L1Model::default() };
        let mut l1 = L1::new(model, vec![RollupId::new(901)], None, (Vec::new(), Vec::new()), 7);
        let mut before: Vec<L1Block> = Vec::new();
        for _ in 0..200 {
            l1.mine();
            let finalized = l1.finalized();
            assert!(finalized.starts_with(&before), "no final block changes");
            before = finalized.to_vec();
        }
        assert!(l1.reorgs() > 20);
        assert!(before.len() > 190);
        let (mut parent, mut next) = (Digest::ZERO, 0);
        for (number, block) in (1..).zip(&before) {
            assert_eq!((block.origin.number, block.parent), (number, parent));
            parent = block.origin.hash;
            for entry in &block.entries {
                assert_eq!((entry.index, entry.l1_block), (next, number));
                next += 1;
            }
        }
        assert!(next > 200, "users use it");
    }
}
