//! What happens in a run: how many validators, which links, which faults, what load, and what the run
//! is expected to show.
//!
//! A scenario is a TOML file. Anything in it may be spread at random over a window (`spread_ms`), so
//! that a sweep over seeds hits a different instant each time; [`Scenario::drawn`] settles it.

mod behaviour;
mod chaos;
mod check;
mod check_committees;
mod check_contracts;
mod check_fork;
mod check_world;
mod fork;
mod machine;
mod place;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use serde::{Deserialize, Serialize};

pub use behaviour::Behaviour;
pub use check::{Replaced, ScenarioError};
pub use fork::Fork;
pub use machine::Machine;
pub use place::Place;

use crate::{
    clock::ClockModel,
    crypto::Crypto,
    keyring::KeyModel,
    l1::L1Model,
    load::MarketModel,
    network::{NetworkModel, Partition},
    random::Random,
};

/// How long an operator takes to move a database away that a validator does not start from.
pub(crate) const OPERATOR_MS: u64 = 500;

/// A crash and a restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// Who.
    pub validator: u16,
    /// When the process dies.
    pub at_ms: u64,
    /// When it starts again.
    pub until_ms: u64,
    /// Both are later by up to this much, drawn from the seed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spread_ms: u64,
    /// What of its disk is gone when it starts again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lose: Loss,
    /// It dies between making its next step durable and letting anything of it become visible: short
    /// for `tail = "unseen"`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unseen: bool,
    /// It dies in the middle of its next commit, and this is what becomes of that.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tail: Option<Tail>,
    /// It comes back among those on the other side of a fork.
    #[serde(default, skip_serializing_if = "is_default")]
    pub crosses: bool,
    /// Its operator vouches that no other machine signs with its keys, and so it signs again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lost_state: bool,
    /// That operator says of it that it has never signed, which is wrong.
    #[serde(default, skip_serializing_if = "is_default")]
    pub understated: bool,
}

impl Crash {
    /// In the middle of which commit it dies, if it does.
    #[must_use]
    pub const fn tail(&self) -> Option<Tail> {
        if self.unseen { Some(Tail::Unseen) } else { self.tail }
    }

    /// Whether it signs nothing any more when it comes back.
    #[must_use]
    pub const fn silences(&self) -> bool {
        self.lose.silences() && !self.lost_state
    }
}

/// What becomes of a commit during which power is lost. The database keeps a batch whole or not at all,
/// so this is all that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// Nothing of it is on the disk.
    Lost,
    /// The batch is, and the signer's mark that goes with it is not: it dies at its next signature.
    Torn,
    /// All of it is, and nobody has seen anything of it.
    Unseen,
}

/// A time during which a disk has no room. The validator stops at its first commit in it, and its
/// operator starts it again when there is room.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FullDisk {
    /// Whose.
    pub validator: u16,
    /// Since when.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// Both are later by up to this much, drawn from the seed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spread_ms: u64,
}

/// What an entry of a list leaves out when it is written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a crash takes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Nothing that was synced.
    #[default]
    Nothing,
    /// Bits: one value that recovery reads does not fit its checksum. The validator refuses to start, and
    /// half a second later its operator has moved the database away.
    BitRot,
    /// The database, but not the signer's mark.
    Database,
    /// Everything.
    Disk,
    /// Half a second of the database, but not of the signer's mark: a backup was restored.
    RecentDatabase,
    /// Half a second of everything, mark included: a disk that lied about syncing. No software can
    /// keep its promises on such a disk; it is here so that the oracles can be seen to notice.
    Recent,
}

impl Loss {
    /// Whether the validator knows, after this loss, that it must not sign.
    #[must_use]
    pub const fn silences(self) -> bool {
        matches!(self, Self::Disk)
    }
}

/// A Byzantine validator.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Byzantine {
    /// Who.
    pub validator: u16,
    /// What it does; what one leaves of a message, the next gets to distort.
    pub behaviours: Vec<Behaviour>,
    /// Since when.
    #[serde(default, skip_serializing_if = "is_default")]
    pub from_ms: u64,
    /// Until when; to the end, if it is 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub until_ms: u64,
    /// The oracles take it for honest. Only in scenarios that show what the oracles see.
    #[serde(default, skip_serializing_if = "is_default")]
    pub masked: bool,
}

impl Byzantine {
    /// When it is: since then, and before then.
    #[must_use]
    pub fn span_ms(&self) -> Range<u64> {
        self.from_ms..if self.until_ms == 0 { u64::MAX } else { self.until_ms }
    }
}

/// Faults at random: who, when and for how long is drawn from the seed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chaos {
    /// Crashes; one in two is unseen, one in five loses half a second of the database.
    pub crashes: u64,
    /// Partitions; one in three is one-way.
    pub partitions: u64,
    /// Everything is over by then.
    pub until_ms: u64,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// One sentence: what the run is to show.
    pub purpose: String,
    /// Validators.
    pub validators: u16,
    /// How many of them, the last ones, are no members at first: they follow, until L1 offers them a place.
    pub joiners: u16,
    /// Voting power of each member at first; 1 each, if none is given.
    pub powers: Vec<u64>,
    /// Heights that every honest validator must decide and reveal.
    pub heights: u64,
    /// Virtual time after which a run that has not got there has failed.
    pub limit_ms: u64,
    /// After the last fault, every honest validator must have revealed something new within this time.
    pub heal_ms: u64,
    /// Who hands in bundles.
    pub payers: u64,
    /// Bundles handed in each virtual second.
    pub bundles_per_s: u64,
    /// Hostile bundles handed in each virtual second: junk, stolen, re-priced, replayed, unpaid.
    pub spam_per_s: u64,
    /// D of the inclusion rule.
    pub inclusion_delay_ms: u64,
    /// The validator to which all users hand their bundles first; at random if none is given.
    pub entry: Option<u16>,
    /// Bytes of transactions in a bundle; a few dozen if it is 0.
    pub bundle_bytes: u32,
    /// Bytes of ciphertext that fit in a block.
    pub block_bytes_max: u32,
    /// How cryptographic work is done.
    pub crypto: Crypto,
    /// How validators come to their key.
    pub key: KeyModel,
    /// What validators run on.
    pub machine: Machine,
    /// How wrong their clocks are.
    pub clocks: ClockModel,
    /// Disks without room.
    pub full_disks: Vec<FullDisk>,
    /// What users trade, if they do: then a searcher tries to profit from it.
    pub market: Option<MarketModel>,
    /// The L1 that validators follow, if there is one.
    pub l1: Option<L1Model>,
    /// Links.
    pub network: NetworkModel,
    /// Partitions.
    pub partitions: Vec<Partition>,
    /// Those who fork the chain, if somebody does.
    pub fork: Option<Fork>,
    /// Crashes.
    pub crashes: Vec<Crash>,
    /// Faults at random, beside those that are listed.
    pub chaos: Chaos,
    /// Who misbehaves.
    pub byzantine: Vec<Byzantine>,
    /// More validators may misbehave or lose their memory than the protocol bears.
    pub beyond_f: bool,
    /// The promise that must break: a control, which shows that the oracle sees.
    pub breaks: Option<String>,
    /// Counters, each with the least that a run must reach: proof that the fault happened.
    pub expect: BTreeMap<String, u64>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            purpose: String::new(),
            validators: 4,
            joiners: 0,
            powers: Vec::new(),
            heights: 50,
            limit_ms: 120_000,
            heal_ms: 30_000,
            payers: 8,
            bundles_per_s: 10,
            spam_per_s: 0,
            inclusion_delay_ms: 4_000,
            entry: None,
            bundle_bytes: 0,
            block_bytes_max: 4 << 20,
            crypto: Crypto::default(),
            key: KeyModel::default(),
            machine: Machine::default(),
            clocks: ClockModel::default(),
            full_disks: Vec::new(),
            market: None,
            l1: None,
            network: NetworkModel::default(),
            partitions: Vec::new(),
            fork: None,
            crashes: Vec::new(),
            chaos: Chaos::default(),
            byzantine: Vec::new(),
            beyond_f: false,
            breaks: None,
            expect: BTreeMap::new(),
        }
    }
}

impl Scenario {
    /// Members of the first committee.
    #[must_use]
    pub const fn members(&self) -> u16 {
        self.validators.saturating_sub(self.joiners)
    }

    /// Machines: one for each validator, and then another for each that changes its keys or is on both sides of a fork.
    #[must_use]
    pub fn nodes(&self) -> u16 {
        let rotations = self.l1.iter().map(|l1| l1.rotations.len()).sum::<usize>();
        let forkers = self.fork.iter().map(|fork| fork.validators.len()).sum::<usize>();
        let second = u16::try_from(rotations.saturating_add(forkers)).unwrap_or(u16::MAX);
        self.validators.saturating_add(second)
    }

    /// f: how many validators may fail.
    #[must_use]
    pub const fn faulty_max(&self) -> u16 {
        self.members().saturating_sub(1) / 3
    }

    /// Who pools what it knows with others.
    pub(crate) fn colluders(&self) -> Vec<u16> {
        let in_league = [Behaviour::Collude, Behaviour::Hoard];
        let collude = |b: &&Byzantine| in_league.iter().any(|one| b.behaviours.contains(one));
        let among: BTreeSet<_> =
            self.byzantine.iter().filter(collude).map(|b| b.validator).collect();
        among.into_iter().collect()
    }

    /// The scenario with every instant drawn from the seed.
    #[must_use]
    pub fn drawn(mut self, seed: u64) -> Self {
        let mut random = Random::new(seed, 7);
        for crash in &mut self.crashes {
            let shift = random.below(std::mem::take(&mut crash.spread_ms).saturating_add(1));
            crash.at_ms = crash.at_ms.saturating_add(shift);
            crash.until_ms = crash.until_ms.saturating_add(shift);
        }
        for partition in &mut self.partitions {
            let shift = random.below(std::mem::take(&mut partition.spread_ms).saturating_add(1));
            partition.from_ms = partition.from_ms.saturating_add(shift);
            partition.until_ms = partition.until_ms.saturating_add(shift);
        }
        if let Some(fork) = &mut self.fork {
            let shift = random.below(std::mem::take(&mut fork.spread_ms).saturating_add(1));
            fork.from_ms = fork.from_ms.saturating_add(shift);
            fork.shown_ms = fork.shown_ms.saturating_add(shift);
        }
        for full in &mut self.full_disks {
            let shift = random.below(std::mem::take(&mut full.spread_ms).saturating_add(1));
            full.from_ms = full.from_ms.saturating_add(shift);
            full.until_ms = full.until_ms.saturating_add(shift);
        }
        for outage in self.l1.iter_mut().flat_map(|l1| &mut l1.outages) {
            let shift = random.below(std::mem::take(&mut outage.spread_ms).saturating_add(1));
            outage.from_ms = outage.from_ms.saturating_add(shift);
            outage.until_ms = outage.until_ms.saturating_add(shift);
        }
        for spike in self.l1.iter_mut().flat_map(|l1| &mut l1.fee_spikes) {
            let shift = random.below(std::mem::take(&mut spike.spread_ms).saturating_add(1));
            spike.from_ms = spike.from_ms.saturating_add(shift);
            spike.until_ms = spike.until_ms.saturating_add(shift);
        }
        self.draw_chaos(&mut random);
        self.chaos = Chaos::default();
        self
    }

    /// When the last fault that ends is over.
    #[must_use]
    pub fn healed_ms(&self) -> u64 {
        let crashes = self.crashes.iter().map(|crash| {
            let rots = u64::from(crash.lose == Loss::BitRot);
            crash.until_ms.saturating_add(rots.saturating_mul(OPERATOR_MS))
        });
        let disks = self.full_disks.iter().map(|full| full.until_ms);
        let fork = self.fork.iter().map(|fork| fork.from_ms.max(fork.shown_ms));
        let churn = self.network.churn.iter().map(|churn| churn.until_ms);
        let liars = self.byzantine.iter().map(|liar| liar.until_ms);
        let partitions = self.partitions.iter().map(|partition| partition.until_ms);
        let outages = self.l1.iter().flat_map(|l1| &l1.outages).map(|outage| outage.until_ms);
        let spikes = self.l1.iter().flat_map(|l1| &l1.fee_spikes).map(|spike| spike.until_ms);
        let on_l1 = outages.chain(spikes);
        crashes
            .chain(partitions)
            .chain(liars)
            .chain(fork)
            .chain(disks)
            .chain(churn)
            .chain(on_l1)
            .max()
            .unwrap_or(0)
    }
}
