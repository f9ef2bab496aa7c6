//! An L1 with the contracts of the network: the compiled ones, in an EVM.
//!
//! What users want of L1 they send to the contracts, and what nodes are fed is read from what the contracts tell, by
//! the code that the node reads it with (`conclave_contracts::{queue, offers}`). So a run shows that the contracts,
//! and what is made of them, fit the core, through reorganizations too: a transaction that was in a block which did
//! not stay waits again, and comes later and among others.

mod escape;
mod founding;
mod operators;
mod settlement;
mod slashing;
mod users;

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, B256, Log},
    sol_types::SolEvent as _,
};
use conclave_contracts::{
    ConclaveStake::{
        Bonded, Exited, Keys, KeysSet, Registered, UnbondingRequested, committeeOfCall,
        epochCountCall, totalsOfCall, validatorOfCall,
    },
    ForcedInclusion,
    deployment::Deployed,
    offers, queue,
};
use conclave_derivation::L1Event;
use conclave_sequencer::L1Block;
use conclave_types::{CommitteeOffer, Digest, L1Origin, Member, PayerAddress, RollupId};

use super::{
    FeeSpike, L1Model,
    evm::{Ethereum, Sealed, Slot},
};
use crate::random::Random;

use self::{escape::is_refused_escape, operators::Operators, users::Users};
pub(crate) use self::{
    escape::{Escape, EscapeShown},
    settlement::{Head, Settled},
    slashing::{Accusation, Besides, Proof},
};
pub(super) use self::{founding::Founder, operators::Candidate};

/// In wei.
const GWEI: u64 = 1_000_000_000;

/// Why L1 came to a stop: nothing that a validator or a user does may do that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum L1Fault {
    /// The EVM cannot go on.
    #[error("the EVM of L1 cannot go on")]
    Evm(#[from] ethrex_vm::EvmError),
    /// The contract refused a question that it has to answer.
    #[error("a contract has no answer to a question about L1 block {0}")]
    NoAnswer(u64),
    /// The queue's events do not make entries.
    #[error("the events of the queue in L1 block {0} are not its entries")]
    Events(u64),
}

/// How long the queue is and what it holds, as its contract says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueTip {
    /// Entries so far.
    pub(crate) count: u64,
    /// The hash over all of them.
    pub(crate) hash: Digest,
}

/// What a validator has at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stake {
    /// Its number.
    pub(crate) validator: u32,
    /// What it and its delegators have bonded, have asked back and not taken, and what is seized.
    pub(crate) whole_gwei: u64,
    /// An offence of its waits for its end.
    pub(crate) is_accused: bool,
    /// It can never serve again.
    pub(crate) is_tombstoned: bool,
}

/// Whom the contracts have in office.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Office {
    /// In which epoch.
    pub(crate) epoch: u64,
    /// The code that is the table of its committee.
    pub(crate) table: Vec<u8>,
}

/// What the contracts show after a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Witness {
    /// The queue.
    pub(crate) queue: QueueTip,
    /// What settled with the block.
    pub(crate) settled: Vec<Settled>,
    /// The stake of every validator that has registered.
    pub(crate) stakes: Vec<Stake>,
    /// Who decides, as far as L1 knows; none before the network is opened.
    pub(crate) office: Option<Office>,
    /// Whether rollups are away; none before the network is opened.
    pub(crate) escape: Option<EscapeShown>,
    /// What rollups read of settlement, escape and return in the block's logs, by the shipped code.
    pub(crate) told: Vec<L1Event>,
}

/// The contracts, and the chain that they are on.
#[derive(Debug)]
pub(super) struct Contracts {
    ethereum: Ethereum,
    deployed: Deployed,
    users: Users,
    operators: Operators,
    /// Validators that have registered or are to, whose numbers begin with 1, and those that have from the beginning.
    validators: u32,
    first_validators: u32,
    /// How many L1 blocks the settled origin may fall behind.
    escape_delay: u64,
    /// When gas is dear, and since when that time is counted.
    fee_spikes: Vec<FeeSpike>,
    begins_ms: u64,
    /// The time of block 0, were there blocks as regular as they come now from the beginning.
    zero_ms: u64,
    block_ms: u64,
    /// What the contracts refused, and how much of it was an escape or a return that was not due.
    refused: u64,
    escapes_refused: u64,
    /// What was asked of them and is in a block, some of it more than once.
    executed: u64,
    /// Blocks in which gas was dear, and how many times a transaction waited for the next.
    dear: u64,
    priced_out: u64,
}

impl Contracts {
    /// Transactions that were in blocks, how many of them a contract refused, and what operators have done on the
    /// chain as it is.
    pub(super) fn counters(&self) -> [(&'static str, u64); 10] {
        let logs = || {
            let logs = self.ethereum.blocks().iter().flat_map(|sealed| &sealed.logs);
            logs.filter(|log| log.address == self.deployed.stake)
        };
        let count = |event: B256| {
            let found = logs().filter(|log| log.topics().first() == Some(&event)).count();
            u64::try_from(found).unwrap_or(u64::MAX)
        };
        let (registered, keys) =
            (count(Registered::SIGNATURE_HASH), count(KeysSet::SIGNATURE_HASH));
        let first = u64::from(self.first_validators);
        let joined = registered.saturating_sub(first);
        [
            ("l1_transactions", self.executed),
            ("l1_transactions_refused", self.refused),
            ("l1_escapes_refused", self.escapes_refused),
            ("l1_dear_blocks", self.dear),
            ("l1_priced_out", self.priced_out),
            ("l1_registered", joined),
            ("l1_deposits_of_stake", count(Bonded::SIGNATURE_HASH).saturating_sub(registered)),
            ("l1_unbonded", count(UnbondingRequested::SIGNATURE_HASH)),
            ("l1_exits", count(Exited::SIGNATURE_HASH)),
            ("l1_key_changes", keys.saturating_sub(registered)),
        ]
    }

    /// Operators and users want something by now, in time of the network, and there is another block.
    pub(super) fn next(
        &mut self,
        model: &L1Model,
        now_ms: u64,
        random: &mut Random,
    ) -> Result<(L1Block, Witness), L1Fault> {
        for call in self.operators.want(now_ms).into_iter().chain(self.users.wants(model, random)) {
            self.ethereum.send(call);
        }
        if let Some(call) = self.escape_news(random)? {
            self.ethereum.send(call);
        }
        let made = self.seal(random, usize::MAX)?;
        if let Some(call) = self.escape_try(random) {
            self.ethereum.send(call);
        }
        Ok(made)
    }

    /// A block in place of one that was taken back. Whoever makes it has not heard of all that waits.
    pub(super) fn again(&mut self, random: &mut Random) -> Result<(L1Block, Witness), L1Fault> {
        let waiting = u64::try_from(self.ethereum.waiting()).unwrap_or(u64::MAX);
        let most = random.below(waiting.saturating_add(1));
        self.seal(random, usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Takes back the newest block.
    pub(super) fn undo(&mut self) -> bool {
        self.ethereum.undo()
    }

    fn seal(&mut self, random: &mut Random, most: usize) -> Result<(L1Block, Witness), L1Fault> {
        let number = u64::try_from(self.ethereum.blocks().len()).unwrap_or(u64::MAX);
        let at_ms = self.zero_ms.saturating_add(number.saturating_mul(self.block_ms));
        let (timestamp, salt) = (at_ms / 1_000, random.bytes());
        let price_min_wei = self.price_min_wei(at_ms);
        let forced = self.deployed.forced;
        let sealed = self.ethereum.seal(&Slot { timestamp, salt, most, price_min_wei })?;
        let count = u64::try_from(sealed.executed.len()).unwrap_or(u64::MAX);
        let refused = sealed.executed.iter().filter(|executed| executed.output.is_err()).count();
        let too_early =
            sealed.executed.iter().filter(|executed| is_refused_escape(forced, executed));
        let too_early = u64::try_from(too_early.count()).unwrap_or(u64::MAX);
        self.escapes_refused = self.escapes_refused.saturating_add(too_early);
        self.dear = self.dear.saturating_add(u64::from(sealed.is_dear()));
        let priced_out = u64::try_from(sealed.priced_out).unwrap_or(u64::MAX);
        self.priced_out = self.priced_out.saturating_add(priced_out);
        self.executed = self.executed.saturating_add(count);
        self.refused = self.refused.saturating_add(u64::try_from(refused).unwrap_or(u64::MAX));
        let number = sealed.number();
        let block = self.read(number).ok_or(L1Fault::Events(number))?;
        Ok((block, self.witness()?))
    }

    /// What others make a unit of gas cost at a time.
    fn price_min_wei(&self, at_ms: u64) -> u64 {
        let passed = at_ms.saturating_sub(self.begins_ms);
        let is_then = |spike: &&FeeSpike| (spike.from_ms..spike.until_ms).contains(&passed);
        let prices = self.fee_spikes.iter().filter(is_then).map(|spike| spike.base_fee_gwei);
        prices.max().unwrap_or(0).saturating_mul(GWEI)
    }

    /// What the contracts show in the newest block.
    fn witness(&self) -> Result<Witness, L1Fault> {
        let unanswered = |_refused| L1Fault::NoAnswer(self.number());
        let tip = self.ethereum.ask(self.deployed.forced, &ForcedInclusion::queueCall {})?;
        let tip = tip.map_err(unanswered)?;
        let stakes = (1..=self.validators).map(|validator| self.stake(validator));
        Ok(Witness {
            queue: QueueTip { count: tip.count, hash: Digest::new(tip.hash.0) },
            settled: self.settled(),
            stakes: stakes.filter_map(Result::transpose).collect::<Result<_, L1Fault>>()?,
            office: self.office()?,
            escape: Some(self.escape()?),
            told: self.told().ok_or_else(|| L1Fault::NoAnswer(self.number()))?,
        })
    }

    /// What a validator has at stake; none if it has yet to register.
    fn stake(&self, validator: u32) -> Result<Option<Stake>, L1Fault> {
        let unanswered = |_refused| L1Fault::NoAnswer(self.number());
        let found = self.ethereum.ask(self.deployed.stake, &validatorOfCall { validator })?;
        let found = match found {
            Err(_unknown) if validator > self.first_validators => return Ok(None),
            found => found.map_err(unanswered)?,
        };
        let totals = self.ethereum.ask(self.deployed.stake, &totalsOfCall { validator })?;
        let totals = totals.map_err(unanswered)?;
        Ok(Some(Stake {
            validator,
            whole_gwei: totals
                .bonded
                .saturating_add(totals.unbonding)
                .saturating_add(totals.escrow),
            is_accused: found.accused,
            is_tombstoned: found.tombstoned,
        }))
    }

    /// Whose table of a committee is in office.
    fn office(&self) -> Result<Option<Office>, L1Fault> {
        let unanswered = |_refused| L1Fault::NoAnswer(self.number());
        let count = self.ethereum.ask(self.deployed.stake, &epochCountCall {})?;
        let Some(epoch) = count.map_err(unanswered)?.checked_sub(1) else { return Ok(None) };
        let committee = self.ethereum.ask(self.deployed.stake, &committeeOfCall { epoch })?;
        let table = self.ethereum.code(committee.map_err(unanswered)?.table).to_vec();
        Ok(Some(Office { epoch, table }))
    }

    fn number(&self) -> u64 {
        self.ethereum.blocks().last().map_or(0, Sealed::number)
    }

    /// A block as a node is fed it; none if its events are not what they should be.
    fn read(&self, number: u64) -> Option<L1Block> {
        let sealed = self.ethereum.blocks().get(usize::try_from(number).ok()?)?;
        let of = |address: Address| sealed.logs.iter().filter(move |log| log.address == address);
        let elections: Vec<Log> = of(self.deployed.election).cloned().collect();
        let hash = Digest::new(sealed.hash.0);
        Some(L1Block {
            origin: L1Origin { number, hash },
            parent: Digest::new(sealed.parent().0),
            entries: queue::entries(&sealed.logs, self.deployed.forced, number)?,
            offers: self.offers(&elections),
        })
    }

    fn offers(&self, elections: &[Log]) -> Vec<CommitteeOffer> {
        let events = offers::newest(elections);
        if events.is_empty() {
            return Vec::new();
        }
        let keys = self.keys_set();
        let offer = |event| {
            let rows = offers::offered(event, self.ethereum.code(event.committee.table))?;
            offers::offer(event, &rows, &keys)
        };
        CommitteeOffer::that_count(events.iter().filter_map(offer).collect())
    }

    /// All keys that validators have set, each in the order of L1.
    fn keys_set(&self) -> BTreeMap<u32, Vec<Keys>> {
        let logs = self.ethereum.blocks().iter().flat_map(|sealed: &Sealed| &sealed.logs);
        let logs = logs.filter(|log| log.address == self.deployed.stake);
        let mut keys: BTreeMap<u32, Vec<Keys>> = BTreeMap::new();
        for event in logs.filter_map(|log| KeysSet::decode_log(log).ok()) {
            keys.entry(event.validator).or_default().push(event.keys.clone());
        }
        keys
    }
}

/// What the genesis of a network has to say about its L1.
#[derive(Clone, Debug)]
pub(crate) struct Founded {
    /// The chain.
    pub(crate) chain_id: u64,
    /// The stake contract.
    pub(crate) stake: PayerAddress,
    /// Where the network begins to see it.
    pub(crate) origin: L1Origin,
    /// Who has been elected, with the power that it has by its stake.
    pub(crate) members: Vec<Member>,
}

/// Who may come to decide on a network.
pub(crate) struct Candidates {
    /// In the order of the numbers that they get.
    pub(crate) all: Vec<Candidate>,
    /// How many of them, the first ones, register before it begins.
    pub(crate) members: usize,
    /// With their new keys, those who change them, in the scenario's order.
    pub(crate) rotated: Vec<Candidate>,
}

/// What a network on an L1 with contracts is made of.
pub(crate) struct Plan {
    /// Its rollups.
    pub(crate) rollups: Vec<RollupId>,
    /// Whose deposits and withdrawals they are, beside those of strangers.
    pub(crate) payer: Option<PayerAddress>,
    /// When it begins.
    pub(crate) begins_ms: u64,
    /// How many L1 blocks the settled origin may fall behind.
    pub(crate) escape_delay: u32,
}
