//! A virtual L1: blocks, reorganized until they are final, and a connection to it that is late or breaks.
//!
//! A node is shown final blocks only, so a reorganization must leave no trace in the chain. What validators
//! disagree about is how far L1 is: everyone hears of a final block at another time, or not at all.
//!
//! ```text
//!  model:     chance ────────────────▶ entries, offers ─┐
//!  contracts: users ─▶ EVM ─▶ logs ─▶ entries, offers ─┴▶ blocks ─▶ final ─▶ each validator, in its own time
//! ```

mod contracts;
mod evm;
mod model;
mod settings;

use conclave_contracts::posting::Signed;
use conclave_sequencer::{L1Block, archive::Posting};
use conclave_types::{
    Committee, Deposit, Digest, Epoch, Gwei, Height, L1Content, L1Entry, L1Origin, Member,
    NetworkId, PayerAddress, RollupId, Time,
};
use ed25519_dalek::SigningKey;

pub(crate) use self::contracts::{
    Accusation, Besides, Escape, EscapeShown, Founded, Head, Office, Proof, QueueTip, Settled,
    Stake, Witness,
};
pub(crate) use self::settings::ESCAPE_DELAY_BLOCKS;
pub use self::settings::{FeeSpike, L1Model, L1Outage, Rotation, StakeChange};
use self::{
    contracts::{Candidate, Candidates, Contracts, Founder, Plan},
    model::Model,
    settings::Offer,
};
use crate::random::Random;

/// What makes blocks.
#[derive(Debug)]
enum Source {
    Model(Model),
    Contracts(Box<Contracts>),
}

/// What an L1 is built for.
pub(crate) struct Surroundings {
    /// The rollups into which users force transactions.
    pub(crate) rollups: Vec<RollupId>,
    /// For whom they deposit.
    pub(crate) payer: Option<PayerAddress>,
    /// Whom the stake contract knows, in the order of their numbers, and their keys.
    pub(crate) staked: Vec<(Member, SigningKey)>,
    /// How many of them, the first ones, are members at first.
    pub(crate) members: usize,
    /// With their new keys, those who change them, in the scenario's order.
    pub(crate) rotated: Vec<(Member, SigningKey)>,
    /// When the network begins.
    pub(crate) begins_ms: u64,
}

/// An L1 on which a network is about to be opened.
pub(crate) struct Founding {
    model: L1Model,
    random: Random,
    delays_ms: Vec<u64>,
    stage: Stage,
}

enum Stage {
    Model(Model),
    Contracts { founder: Box<Founder>, founded: Founded },
}

impl Founding {
    /// The L1 of a run; none if its contracts do not let that network be.
    pub(crate) fn new(model: L1Model, around: Surroundings, seed: u64) -> Option<Self> {
        let mut random = Random::new(seed, 11);
        let half = model.lag_ms / 2;
        let Surroundings { rollups, payer, staked, members, rotated, begins_ms } = around;
        let machines = staked.len().saturating_add(rotated.len());
        let delays_ms = (0..machines).map(|_| random.below(half.saturating_add(1))).collect();
        let stage = if model.contracts {
            let pace = (model.block_ms, model.finality_blocks);
            let escape_delay = model.escape_delay();
            let plan = Plan { rollups, payer, begins_ms, escape_delay };
            let all = staked.into_iter().map(Candidate::new).collect();
            let rotated = rotated.into_iter().map(Candidate::new).collect();
            let candidates = Candidates { all, members, rotated };
            let founder = Founder::new(plan, pace, candidates, &mut random).ok()?;
            let founded = founder.founded().ok()?;
            Stage::Contracts { founder: Box::new(founder), founded }
        } else {
            let known = |all: Vec<(Member, SigningKey)>| {
                all.into_iter().map(|(member, _)| member).collect()
            };
            let (staked, rotated) = (known(staked), known(rotated));
            Stage::Model(Model { rollups, payer, staked, rotated })
        };
        Some(Self { model, random, delays_ms, stage })
    }

    /// What the genesis has to say about it; none if there are no contracts.
    pub(crate) const fn founded(&self) -> Option<&Founded> {
        match &self.stage {
            Stage::Model(_) => None,
            Stage::Contracts { founded, .. } => Some(founded),
        }
    }

    /// The network has an id, and is opened.
    pub(crate) fn open(self, network: NetworkId) -> Option<L1> {
        let Self { model, mut random, delays_ms, stage } = self;
        let (source, origin, blocks) = match stage {
            Stage::Model(model) => (Source::Model(model), L1Origin::default(), Vec::new()),
            Stage::Contracts { founder, founded } => {
                let opened = founder.open(network, &founded, &model, &mut random);
                let (contracts, blocks) = opened.ok()?;
                (Source::Contracts(Box::new(contracts)), founded.origin, blocks)
            }
        };
        let (blocks, shown): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        let (mined, reorgs, fault, head) = (0, 0, None, None);
        let mut l1 = L1 {
            model,
            source,
            origin,
            blocks,
            shown,
            head,
            delays_ms,
            mined,
            reorgs,
            random,
            fault,
        };
        l1.look();
        Some(l1)
    }
}

/// L1 itself, from the block after the network's first origin on.
pub(crate) struct L1 {
    model: L1Model,
    source: Source,
    /// The block that the genesis builds on.
    origin: L1Origin,
    blocks: Vec<L1Block>,
    /// What the contracts show after each of them, if there are any.
    shown: Vec<Witness>,
    /// Where settlement stands, if there are contracts.
    head: Option<Head>,
    /// How long each validator's connection takes at least.
    delays_ms: Vec<u64>,
    /// How many times its miners have made a block on top of the newest since the network began.
    mined: u64,
    reorgs: u64,
    random: Random,
    /// Why it has come to a stop.
    fault: Option<String>,
}

impl L1 {
    pub(crate) const fn model(&self) -> &L1Model {
        &self.model
    }

    /// How often it has replaced blocks.
    pub(crate) const fn reorgs(&self) -> u64 {
        self.reorgs
    }

    /// What came to be on it, by name, if it has contracts.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = match &self.source {
            Source::Model(_) => None,
            Source::Contracts(contracts) => Some(contracts.counters()),
        };
        counters.into_iter().flatten()
    }

    /// Why it has come to a stop, if it has.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The blocks after number `after` that stay, and what the contracts show after each, if there are any.
    pub(crate) fn final_after(
        &self,
        after: u64,
    ) -> impl Iterator<Item = (&L1Block, Option<&Witness>)> {
        let shown = self.shown.iter().map(Some).chain(std::iter::repeat(None));
        self.finals().iter().zip(shown).skip(self.place(after))
    }

    /// Where the block after that of a number is.
    fn place(&self, number: u64) -> usize {
        usize::try_from(number.saturating_sub(self.origin.number)).unwrap_or(usize::MAX)
    }

    /// Number of the newest block that stays.
    pub(crate) fn newest_final(&self) -> u64 {
        self.origin.number.saturating_add(u64::try_from(self.finals().len()).unwrap_or(u64::MAX))
    }

    fn finals(&self) -> &[L1Block] {
        let depth = usize::try_from(self.model.finality_blocks).unwrap_or(usize::MAX);
        let count = self.blocks.len().saturating_sub(depth);
        self.blocks.get(..count).unwrap_or_default()
    }

    /// Final blocks after number `after`, up to number `until`, as a validator's provider shows them.
    pub(crate) fn served(&self, (after, until): (u64, u64), validator: u16) -> Vec<L1Block> {
        let range = self.place(after)..self.place(until);
        let blocks = self.finals().get(range).unwrap_or_default();
        blocks.iter().map(|block| self.shown(block, validator)).collect()
    }

    fn shown(&self, block: &L1Block, validator: u16) -> L1Block {
        let mut served = block.clone();
        if self.model.false_views.contains(&validator) {
            let before =
                self.finals().iter().take_while(|b| b.origin.number <= block.origin.number);
            let next = before.map(|block| block.entries.len() as u64).sum();
            let deposit = Deposit { payer: PayerAddress::new([0xef; 20]), amount: Gwei::new(1) };
            let (l1_block, content) = (block.origin.number, L1Content::Deposit(deposit));
            served.entries.push(L1Entry { index: next, l1_block, content });
        }
        served
    }

    /// Another block; it may replace some of those that are not final, and then there is one more on top.
    pub(crate) fn mine(&mut self) {
        self.mined = self.mined.saturating_add(1);
        let here = u64::try_from(self.blocks.len()).unwrap_or(u64::MAX);
        let open = self.model.finality_blocks.min(here);
        if open > 0 && self.random.chance(self.model.reorg_permille) {
            let depth = self.random.below(open).saturating_add(1);
            for _ in 0..depth {
                self.take_back();
            }
            for _ in 0..depth {
                self.extend(true);
            }
            self.reorgs = self.reorgs.saturating_add(1);
        }
        self.extend(false);
        self.look();
    }

    /// Where settlement stands in the newest block; none if there are no contracts.
    pub(crate) const fn head(&self) -> Option<Head> {
        self.head
    }

    /// The newest height that has settled, and the root over the commitments up to it; none before there is one.
    pub(crate) fn settled(&self) -> Option<(Height, Digest)> {
        let newest = self.shown.iter().rev().find_map(|shown| shown.settled.last());
        newest.map(|settled| (Height::new(settled.height), settled.root))
    }

    /// What has been posted from a block on, if there are contracts.
    pub(crate) fn postings(&self, from: u64) -> Vec<Signed> {
        match &self.source {
            Source::Model(_) => Vec::new(),
            Source::Contracts(contracts) => contracts.postings(from),
        }
    }

    /// The relayer of a validator posts what its validator has.
    pub(crate) fn post(&mut self, validator: u32, posting: &Posting, office: &Committee) {
        if let Source::Contracts(contracts) = &mut self.source
            && let Err(fault) = contracts.post(validator, posting, office)
        {
            self.stop(&fault);
        }
    }

    /// The relayer of a validator has a committee elected for an epoch.
    pub(crate) fn offer(&mut self, validator: u32, epoch: Epoch) {
        if let Source::Contracts(contracts) = &mut self.source
            && let Err(fault) = contracts.offer(validator, epoch)
        {
            self.stop(&fault);
        }
    }

    /// The relayer of a validator reports an offender.
    pub(crate) fn report(&mut self, validator: u32, accusation: &Accusation<'_>) {
        if let Source::Contracts(contracts) = &mut self.source
            && let Err(fault) = contracts.report(validator, accusation)
        {
            self.stop(&fault);
        }
    }

    /// Whether the validator of a number has been seized, in the newest block.
    pub(crate) fn is_accused(&self, validator: u32) -> bool {
        let stakes = self.shown.last().map(|shown| shown.stakes.as_slice()).unwrap_or_default();
        stakes
            .iter()
            .any(|stake| stake.validator == validator && (stake.is_accused || stake.is_tombstoned))
    }

    /// Days later, when all cases have ended: what is left; none if there are no contracts.
    pub(crate) fn close(&mut self) -> Option<Witness> {
        let Source::Contracts(contracts) = &mut self.source else { return None };
        match contracts.close(&mut self.random) {
            Ok(witness) => Some(witness),
            Err(fault) => {
                self.stop(&fault);
                None
            }
        }
    }

    fn look(&mut self) {
        let Source::Contracts(contracts) = &self.source else { return };
        match contracts.head() {
            Ok(head) => self.head = Some(head),
            Err(fault) => self.stop(&fault),
        }
    }

    fn stop(&mut self, fault: &dyn std::error::Error) {
        self.fault.get_or_insert_with(|| chain(fault));
    }

    /// When a validator hears of what is final now.
    pub(crate) fn heard_at(&mut self, now: Time, validator: u16) -> Time {
        let own = self.delays_ms.get(usize::from(validator)).copied().unwrap_or(0);
        let more = self.random.below((self.model.lag_ms / 2).saturating_add(1));
        now.after(std::time::Duration::from_millis(own.saturating_add(more)))
    }

    fn take_back(&mut self) {
        self.blocks.pop();
        self.shown.pop();
        if let Source::Contracts(contracts) = &mut self.source
            && !contracts.undo()
        {
            self.fault.get_or_insert_with(|| "L1 cannot take back a block".into());
        }
    }

    fn extend(&mut self, replaces: bool) {
        let (model, random) = (&self.model, &mut self.random);
        let made = match &mut self.source {
            Source::Model(source) => {
                self.blocks.push(source.next(model, &self.blocks, random));
                return;
            }
            Source::Contracts(contracts) if replaces => contracts.again(random),
            Source::Contracts(contracts) => {
                contracts.next(model, self.mined.saturating_mul(model.block_ms), random)
            }
        };
        match made {
            Ok((block, shown)) => {
                self.blocks.push(block);
                self.shown.push(shown);
            }
            Err(fault) => self.stop(&fault),
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use conclave_types::{ConsensusKey, Digest, SettlementSecret};

    use super::*;

    fn staked(count: u8) -> Vec<(Member, SigningKey)> {
        let member = |number: u8| {
            let key = SigningKey::from_bytes(&[number; 32]);
            let member = Member {
                name: String::new(),
                consensus_key: ConsensusKey::new(key.verifying_key().to_bytes()),
                network_key: ConsensusKey::new([number; 32]),
                settlement_key: SettlementSecret::from_seed(key.as_bytes()).key(),
                validator: number.into(),
                power: 1,
            };
            (member, key)
        };
        (1..=count).map(member).collect()
    }

    fn l1(model: L1Model, staked: Vec<(Member, SigningKey)>) -> L1 {
        let around = Surroundings {
            rollups: vec![RollupId::new(901)],
            payer: Some(PayerAddress::new([0x77; 20])),
            members: staked.len(),
            staked,
            rotated: Vec::new(),
            begins_ms: 1_800_000_000_000,
        };
        Founding::new(model, around, 7).unwrap().open(NetworkId::new([3; 32])).unwrap()
    }

    /// Mines, and returns what is final in the end.
    fn finals_after(mut l1: L1, blocks: usize) -> (L1, Vec<L1Block>) {
        let mut before: Vec<L1Block> = Vec::new();
        for _ in 0..blocks {
            l1.mine();
            let finalized = l1.finals();
            assert!(finalized.starts_with(&before), "no final block changes");
            before = finalized.to_vec();
        }
        assert_eq!(l1.fault(), None);
        (l1, before)
    }

    /// Each block builds on the one before, and the entries are numbered without a gap. Returns how many there are.
    fn entries_in(l1: &L1, blocks: &[L1Block]) -> u64 {
        let (mut parent, mut next) = (l1.origin.hash, 0);
        for (number, block) in (l1.origin.number + 1..).zip(blocks) {
            assert_eq!((block.origin.number, block.parent), (number, parent));
            parent = block.origin.hash;
            for entry in &block.entries {
                assert_eq!((entry.index, entry.l1_block), (next, number));
                next += 1;
            }
        }
        next
    }

    #[test]
    fn what_is_final_stays_and_continues_whatever_is_reorganized() {
        let model = L1Model { reorg_permille: 500, ..L1Model::default() };
        let (l1, finals) = finals_after(l1(model, Vec::new()), 200);
        assert_eq!(l1.origin.hash, Digest::ZERO);
        assert!(l1.reorgs() > 20);
        assert!(finals.len() > 190);
        assert!(entries_in(&l1, &finals) > 200, "users use it");
    }

    #[test]
    fn contracts_are_reorganized_too_and_what_was_in_a_block_comes_again() {
        let model = L1Model {
            contracts: true,
            reorg_permille: 500,
            withdrawals_max: 1,
            first_grant_gwei: Some(1),
            block_ms: 1_000,
            ..L1Model::default()
        };
        let (l1, finals) = finals_after(l1(model, staked(4)), 60);
        assert!(l1.reorgs() > 10);
        assert!(entries_in(&l1, &finals) > 60, "users use it");
        let counters: std::collections::BTreeMap<_, _> = l1.counters().collect();
        let entries: u64 = l1.blocks.iter().map(|block| block.entries.len() as u64).sum();
        assert!(counters["l1_transactions"] > entries, "some were in more than one block");
        assert!(counters["l1_transactions_refused"] > 0, "nobody has registered that rollup");
        assert!(counters["l1_escapes_refused"] > 0, "no escape and no return was due");
        let newest = l1.shown.last().unwrap();
        assert_eq!(newest.queue.count, entries, "the contract counts as many");
        let savings = |block: &L1Block| {
            block.entries.iter().any(|entry| {
            matches!(&entry.content, L1Content::Deposit(of) if of.amount == Gwei::new(1_000_000_000_000))
        })
        };
        assert_eq!(finals.iter().filter(|block| savings(block)).count(), 1);
    }

    #[test]
    fn the_first_committee_is_who_has_staked_and_is_in_office_before_the_network_begins() {
        let model = L1Model { contracts: true, block_ms: 1_000, ..L1Model::default() };
        let around = Surroundings {
            rollups: vec![RollupId::new(901)],
            payer: None,
            staked: staked(4),
            members: 4,
            rotated: Vec::new(),
            begins_ms: 1_800_000_000_000,
        };
        let founding = Founding::new(model, around, 7).unwrap();
        let founded = founding.founded().unwrap().clone();
        let expected = staked(4).into_iter().map(|(member, _)| {
            // 32 ether for each unit of power.
            Member { power: 32_000_000_000, ..member }
        });
        assert_eq!(founded.members, expected.collect::<Vec<_>>());
        let l1 = founding.open(NetworkId::new([3; 32])).unwrap();
        let offered = l1.finals().iter().flat_map(|block| &block.offers);
        let offered: Vec<_> =
            offered.map(|offer| (offer.epoch.as_u64(), offer.members.len())).collect();
        assert_eq!(offered, [(0, 4)], "and final");
    }
}
