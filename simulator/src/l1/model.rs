//! Blocks of an L1 without contracts: what these would tell of is drawn.

use conclave_sequencer::L1Block;
use conclave_types::{
    CommitteeOffer, Deposit, Digest, Epoch, ForcedTransaction, Gwei, L1Content, L1Entry, L1Origin,
    Member, PayerAddress, RollupId, WithdrawalRequest,
};
use sha3::{Digest as _, Keccak256};

use super::{L1Model, Offer, Rotation};
use crate::random::Random;

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

/// Makes up blocks.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) rollups: Vec<RollupId>,
    pub(super) payer: Option<PayerAddress>,
    /// Whom the stake contract knows, in the order of their numbers.
    pub(super) staked: Vec<Member>,
    /// With their new keys, those who change them, in the scenario's order.
    pub(super) rotated: Vec<Member>,
}

impl Model {
    /// The block after these, the first of which is number 1.
    pub(super) fn next(&self, model: &L1Model, before: &[L1Block], random: &mut Random) -> L1Block {
        let parent = before.last().map_or(Digest::ZERO, |block| block.origin.hash);
        let number = u64::try_from(before.len()).unwrap_or(u64::MAX).saturating_add(1);
        let carried = before.iter().rev().find_map(|block| block.entries.last());
        let first = carried.map_or(0, |entry| entry.index.saturating_add(1));
        let forced = random.below(model.forced_max.saturating_add(1));
        let deposits = random.below(model.deposits_max.saturating_add(1));
        let mut contents: Vec<L1Content> = (0..forced).map(|_| self.forced(random)).collect();
        for _ in 0..deposits {
            let deposit = self.deposit(random);
            let at = random.below(u64::try_from(contents.len()).unwrap_or(0).saturating_add(1));
            contents.insert(usize::try_from(at).unwrap_or(0), deposit);
        }
        // Whoever asks for none draws none, so that its runs are what they were.
        if model.withdrawals_max > 0 {
            let count = random.below(model.withdrawals_max.saturating_add(1));
            contents.extend((0..count).map(|_| self.request(random)).collect::<Vec<_>>());
        }
        if number == 1 && model.first_grant_gwei.is_some() {
            let savings = self.payer.map(|payer| Deposit { payer, amount: SAVINGS });
            contents.extend(savings.map(L1Content::Deposit));
        }
        let entry = |(index, content)| L1Entry { index, l1_block: number, content };
        let entries = (first..).zip(contents).map(entry).collect();
        let salt = random.bytes();
        let hasher = Keccak256::new_with_prefix(parent.as_bytes());
        let hash = hasher.chain_update(number.to_be_bytes()).chain_update(salt).finalize();
        let origin = L1Origin { number, hash: Digest::new(hash.into()) };
        L1Block { origin, parent, entries, offers: self.offers(model, number) }
    }

    /// What the stake contract offers in the block of this number, whichever block that comes to be.
    fn offers(&self, model: &L1Model, number: u64) -> Vec<CommitteeOffer> {
        let is_in = |offer: &&Offer| offer.at_ms.div_ceil(model.block_ms.max(1)).max(1) == number;
        let offered = model.offers.iter().filter(is_in).map(|offer| {
            let powers = self.staked.iter().zip(&offer.powers).filter(|(_, power)| **power > 0);
            let members = powers.map(|(member, power)| {
                let mut changes = model.rotations.iter().zip(&self.rotated);
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

    fn forced(&self, random: &mut Random) -> L1Content {
        let count = u64::try_from(self.rollups.len()).unwrap_or(0);
        let pick = usize::try_from(random.below(count)).unwrap_or(0);
        let known = self.rollups.get(pick).copied().unwrap_or(UNKNOWN_ROLLUP);
        let rollup = if random.below(UNKNOWN_EVERY) == 0 { UNKNOWN_ROLLUP } else { known };
        let length = random.below(TRANSACTION_BYTES_MAX).saturating_add(1);
        let bytes = random.bytes();
        let length = usize::try_from(length).unwrap_or(1);
        let transaction = bytes.iter().copied().cycle().take(length).collect();
        L1Content::Forced(ForcedTransaction { rollup, gas_limit: 100_000, transaction })
    }

    /// The first payer, or a stranger.
    fn depositor(&self, random: &mut Random) -> PayerAddress {
        let stranger = random.below(STRANGERS.saturating_add(1));
        let stranger = u8::try_from(stranger).unwrap_or(0).saturating_add(0xd0);
        let unknown = PayerAddress::new([stranger; 20]);
        self.payer.filter(|_| stranger == 0xd0).unwrap_or(unknown)
    }

    fn request(&self, random: &mut Random) -> L1Content {
        let payer = self.depositor(random);
        let recipient = PayerAddress::new([0xca; 20]);
        let amount = Gwei::new(random.below(REQUEST_GWEI_MAX).saturating_add(1));
        L1Content::Withdrawal(WithdrawalRequest { payer, recipient, amount })
    }

    fn deposit(&self, random: &mut Random) -> L1Content {
        let payer = self.depositor(random);
        let amount = Gwei::new(random.below(1_000_000).saturating_add(1));
        L1Content::Deposit(Deposit { payer, amount })
    }
}
