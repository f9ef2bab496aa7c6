//! A world from a scenario and a seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use conclave_encryption::{Packing, SecretShare, Suite, rehearse};
use conclave_sequencer::{Founding, Identity};
use conclave_types::{
    ConsensusKey, EncryptionKey, Era, Genesis, Height, Member, Params, PayerAddress, RollupId,
    RollupRegistration, SettlementSecret, Time,
};
use ed25519_dalek::SigningKey;

use super::{
    BEGIN, Stop, World, framer::Framer, node::Node, peers::Machine, postings::Readers,
    queue::Queue, relay::Relayer, rollups::Rollups, work::Shared,
};
use crate::{
    adversary::{Adversary, League, Means},
    clock::Clock,
    cpu::Pool,
    crypto::{Crypto, Judge, Workshop},
    disk::{Disk, Shelf},
    keyring::Keyring,
    l1::{self, ESCAPE_DELAY_BLOCKS, Founded, L1, L1Model, Surroundings},
    load::Load,
    measure::Measure,
    network::Network,
    oracle::{Machines, Oracle, Oracles, Sharing},
    random::Random,
    report::Timeline,
    scenario::{Behaviour, Fork, Scenario},
};

/// The rollups of every world.
const ROLLUPS: [RollupId; 2] = [RollupId::new(901), RollupId::new(902)];

impl World {
    /// Builds the world of `scenario` from `seed`; none if the scenario has too few or too many
    /// validators to share a key.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> Option<Self> {
        let scenario = scenario.clone().drawn(seed);
        let mut random = Random::new(seed, 1);
        let load = Load::of(&scenario, seed, ROLLUPS.to_vec());
        let Beginning { genesis, identities, machines, l1 } =
            beginning(&scenario, &load, &mut random, seed)?;
        let genesis = Arc::new(genesis);
        let founding = Arc::new(Founding::new(Arc::clone(&genesis)).ok()?);
        let keyring = Keyring::new(founding.keys());
        let (model, partitions) = (scenario.network.clone(), scenario.partitions.clone());
        let network = Network::new(model, partitions, scenario.nodes(), BEGIN, seed);
        let league = League::default();
        let adversary = |index: u16, identity: &Identity| {
            let (validator, masked) = liar(&scenario, index)?;
            let dice = Random::new(seed, 1_000_u64.saturating_add(u64::from(index)));
            let means = Means::new(validator, &genesis, identity, keyring.clone(), dice);
            let means = means.against(load.first_payer()).with(scenario.colluders(), &league);
            Some(Adversary::new(behaviours(&scenario, index), masked, means))
        };
        let nodes = nodes(&scenario, seed, &network, identities, adversary);
        let regions = (0..scenario.nodes()).map(|index| network.region(index).to_owned());
        let measure = Measure::new(BEGIN, regions.collect());
        let judge = Judge::new(scenario.crypto != Crypto::Real);
        let judge = judge.knowing(nodes.iter().map(|node| &node.identity.signing_key));
        let workshop = Workshop::new(scenario.crypto);
        let oracle = Oracle::new(&genesis, honest(&nodes));
        let oracle = oracle.with_sharings(founding.keys().in_use().iter().map(Sharing::of));
        let oracle = oracle.with_machines(keys_of(&machines, &nodes));
        let delay = scenario.l1.as_ref().map_or(ESCAPE_DELAY_BLOCKS, L1Model::escape_delay);
        let oracle = oracle.with_escape(delay.into()).with_rollups(l1.as_ref());
        let relayers = nodes.iter().map(|_| Relayer::default()).collect();
        let mut world = Self {
            readers: Readers::new(scenario.nodes()),
            rollups: Rollups::new(&genesis, l1.as_ref(), seed),
            timeline: Timeline::new(&scenario, seed),
            shared: Shared::new(&scenario.machine),
            oracle: Oracles::new(oracle.with_clocks(scenario.clocks.wrong_max(scenario.limit_ms))),
            framer: is_judged(&scenario).then(Framer::default),
            scenario,
            genesis,
            founding,
            keyring,
            now: BEGIN,
            queue: Queue::new(),
            nodes,
            machines,
            network,
            load,
            outstanding: BTreeMap::new(),
            heal: None,
            heal_origin: 0,
            heal_settled: Height::ZERO,
            relayers,
            l1,
            random,
            seed,
            measure,
            judge: Arc::new(judge),
            workshop,
            touched: BTreeSet::new(),
            faults: BTreeMap::new(),
            progressed: false,
            inbox_drops: 0,
            sessions_lost: 0,
            pipe_waits: 0,
            stop: Stop::default(),
            tape: None,
        };
        world.tell_l1_oracle(world.genesis.l1_origin.number);
        world.prepare();
        Some(world)
    }
}

fn nodes(
    scenario: &Scenario,
    seed: u64,
    network: &Network,
    identities: Vec<Identity>,
    adversary: impl Fn(u16, &Identity) -> Option<Adversary>,
) -> Vec<Node> {
    let shelf = Shelf::default();
    let mut clocks = Random::new(seed, 5);
    let node = |(index, identity): (u16, Identity)| {
        let adversary = adversary(index, &identity);
        let disk = Disk::new_validator().sharing(shelf.clone());
        let clock = Clock::draw(&scenario.clocks, BEGIN, &mut clocks);
        let pool = Pool::new(scenario.machine.cores);
        Node::new(identity, adversary, disk, pool, clock, network.pipes())
    };
    (0_u16..).zip(identities).map(node).collect()
}

/// Whose each machine is, and the key that it has.
fn keys_of(machines: &[Machine], nodes: &[Node]) -> Machines {
    let key = |machine: &Machine| {
        let node = nodes.get(usize::from(machine.node))?;
        let key = node.identity.signing_key.verifying_key();
        Some((machine.node, (machine.validator, ConsensusKey::new(key.to_bytes()))))
    };
    machines.iter().filter_map(key).collect()
}

fn honest(nodes: &[Node]) -> BTreeSet<u16> {
    let honest = (0_u16..).zip(nodes).filter(|(_, node)| node.is_honest());
    honest.map(|(index, _)| index).collect()
}

/// What there is before anything happens.
struct Beginning {
    genesis: Genesis,
    identities: Vec<Identity>,
    machines: Vec<Machine>,
    l1: Option<L1>,
}

/// Validators have their keys, then there is an L1 for them, then a genesis that names it, and then L1 knows the network.
fn beginning(
    scenario: &Scenario,
    load: &Load,
    random: &mut Random,
    seed: u64,
) -> Option<Beginning> {
    let (encryption_key, mut identities) = identities(scenario, random)?;
    let staked = staked(scenario, &identities);
    let (second, rotated) = second_machines(scenario, &staked, seed);
    let mut machines = machines(scenario, &staked, &rotated);
    let l1 = match scenario.l1.clone() {
        Some(model) => {
            let known = (keyed(&staked, &identities), keyed(&rotated, &second));
            Some(founding(model, load, known, scenario.members().into(), seed)?)
        }
        None => None,
    };
    identities.extend(second);
    machines.extend(doubles(scenario, &staked));
    let forkers = scenario.fork.iter().flat_map(|fork| &fork.validators);
    let copied = forkers.filter_map(|index| identities.get(usize::from(*index)).cloned());
    identities.extend(copied.collect::<Vec<_>>());
    let founded = l1.as_ref().and_then(l1::Founding::founded);
    let genesis = genesis(scenario, load, encryption_key, &staked, founded);
    let l1 = match l1 {
        Some(l1) => Some(l1.open(genesis.network_id())?),
        None => None,
    };
    Some(Beginning { genesis, identities, machines, l1 })
}

/// The identities of second machines, and who their validators are with these keys.
fn second_machines(
    scenario: &Scenario,
    staked: &[Member],
    seed: u64,
) -> (Vec<Identity>, Vec<Member>) {
    let mut random = Random::new(seed, 12);
    let rotations = scenario.l1.iter().flat_map(|l1| &l1.rotations);
    let second = (0_u8..).zip(rotations).filter_map(|(number, rotation)| {
        let before = staked.get(usize::from(rotation.validator))?;
        let seed = random.bytes();
        let signing_key = SigningKey::from_bytes(&seed);
        let settlement = SettlementSecret::from_seed(&seed);
        let mut network_key = [u8::MAX; 32];
        network_key[0] = number;
        let member = Member {
            consensus_key: ConsensusKey::new(signing_key.verifying_key().to_bytes()),
            network_key: ConsensusKey::new(network_key),
            settlement_key: settlement.key(),
            ..before.clone()
        };
        let settlement = Some(settlement);
        let identity = Identity { signing_key, secret_share: None, settlement, lost_state: None };
        Some((identity, member))
    });
    second.unzip()
}

/// Both machines of every validator that changes its keys.
fn machines(scenario: &Scenario, staked: &[Member], rotated: &[Member]) -> Vec<Machine> {
    let rotations = scenario.l1.iter().flat_map(|l1| &l1.rotations);
    let pairs = (scenario.validators..).zip(rotations.zip(rotated));
    let both = pairs.filter_map(|(node, (rotation, after))| {
        let validator = rotation.validator;
        let before = staked.get(usize::from(validator))?;
        let machine = |node: u16, member: &Member| {
            let network_key = member.network_key;
            Machine { node, validator, network_key }
        };
        Some([machine(validator, before), machine(node, after)])
    });
    both.flatten().collect()
}

/// Whose machine a node is that does not keep to the protocol, and whether it passes for honest.
fn liar(scenario: &Scenario, node: u16) -> Option<(u16, bool)> {
    let mut lies = scenario.byzantine.iter().filter(|liar| liar.validator == node);
    // Who is on both sides of a fork does on either as everyone does there.
    let forker = || scenario.fork.as_ref()?.validator(scenario.validators, node);
    match lies.next() {
        Some(liar) => Some((node, liar.masked)),
        None => forker().map(|validator| (validator, false)),
    }
}

/// How a node behaves, and when.
fn behaviours(scenario: &Scenario, node: u16) -> impl Iterator<Item = (Range<Time>, Behaviour)> {
    let lies = scenario.byzantine.iter().filter(move |liar| liar.validator == node);
    lies.flat_map(|liar| {
        let Range { start, end } = liar.span_ms();
        let at = |ms| BEGIN.after(Duration::from_millis(ms));
        liar.behaviours.iter().map(move |behaviour| (at(start)..at(end), *behaviour))
    })
}

/// Whether there are contracts that judge those who fork the chain.
fn is_judged(scenario: &Scenario) -> bool {
    scenario.fork.is_some() && scenario.l1.as_ref().is_some_and(|l1| l1.contracts)
}

/// Both machines of everyone who is on both sides of a fork.
fn doubles(scenario: &Scenario, staked: &[Member]) -> Vec<Machine> {
    let forks = scenario.fork.iter().flat_map(|fork: &Fork| fork.machines(scenario.validators));
    let both = forks.filter_map(|(second, first)| {
        let network_key = staked.get(usize::from(first))?.network_key;
        Some([first, second].map(|node| Machine { node, validator: first, network_key }))
    });
    both.flatten().collect()
}

/// The suite, and the numbers of the first committee's sharing.
fn sharing(scenario: &Scenario) -> Option<(Suite, Packing)> {
    let suite = Suite::of_number(scenario.key.suite)?;
    Some((suite, suite.packing(usize::from(scenario.members()), 0).ok()?))
}

/// The key of the genesis, if it brings one, and who the validators are.
fn identities(
    scenario: &Scenario,
    random: &mut Random,
) -> Option<(Option<EncryptionKey>, Vec<Identity>)> {
    let (suite, packing) = sharing(scenario)?;
    let (encryption_key, shares) = if scenario.key.on_chain {
        (None, (0..scenario.validators).map(|_| None).collect())
    } else {
        let (key, shares) = rehearse(suite, packing, Era::ZERO, &random.bytes()).ok()?;
        (Some(key), shares.into_iter().map(Some).collect::<Vec<Option<SecretShare>>>())
    };
    let identity = |share: Option<SecretShare>| {
        let seed = random.bytes();
        Identity {
            signing_key: SigningKey::from_bytes(&seed),
            secret_share: share.map(Arc::new),
            settlement: Some(SettlementSecret::from_seed(&seed)),
            lost_state: None,
        }
    };
    Some((encryption_key, shares.into_iter().map(identity).collect()))
}

/// Them as L1 knows them, in the order of their numbers there.
fn staked(scenario: &Scenario, identities: &[Identity]) -> Vec<Member> {
    let member = |(index, identity): (usize, &Identity)| Member {
        name: format!("validator {index}"),
        consensus_key: ConsensusKey::new(identity.signing_key.verifying_key().to_bytes()),
        network_key: ConsensusKey::new([u8::try_from(index).unwrap_or(u8::MAX); 32]),
        settlement_key: SettlementSecret::from_seed(identity.signing_key.as_bytes()).key(),
        validator: u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1),
        power: scenario.powers.get(index).copied().unwrap_or(1),
    };
    identities.iter().enumerate().map(member).collect()
}

/// Members with the keys that make them these.
type Keyed = Vec<(Member, SigningKey)>;

fn keyed(members: &[Member], identities: &[Identity]) -> Keyed {
    let keys = identities.iter().map(|identity| identity.signing_key.clone());
    members.iter().cloned().zip(keys).collect()
}

fn founding(
    model: L1Model,
    load: &Load,
    (staked, rotated): (Keyed, Keyed),
    members: usize,
    seed: u64,
) -> Option<l1::Founding> {
    let around = Surroundings {
        rollups: ROLLUPS.to_vec(),
        payer: load.first_payer(),
        staked,
        members,
        rotated,
        begins_ms: BEGIN.as_micros() / 1_000,
    };
    l1::Founding::new(model, around, seed)
}

fn genesis(
    scenario: &Scenario,
    load: &Load,
    encryption_key: Option<EncryptionKey>,
    staked: &[Member],
    founded: Option<&Founded>,
) -> Genesis {
    let offers = scenario.l1.as_ref().is_some_and(|l1| !l1.offers.is_empty());
    let offering = if offers { PayerAddress::new([0xc0; 20]) } else { PayerAddress::ZERO };
    let registration = |id: &RollupId| RollupRegistration {
        id: *id,
        name: format!("rollup {id}"),
        gas_limit: 30_000_000,
    };
    let mut params = Params::default();
    params.timing.inclusion_delay_ms = scenario.inclusion_delay_ms;
    params.limits.block_bytes_max = scenario.block_bytes_max;
    scenario.key.apply(&mut params.sharing);
    let first = || staked.iter().take(scenario.members().into()).cloned().collect();
    Genesis {
        name: "simulation".into(),
        time: BEGIN,
        l1_chain_id: founded.map_or(0, |founded| founded.chain_id),
        l1_contract: founded.map_or(offering, |founded| founded.stake),
        l1_origin: founded.map(|founded| founded.origin).unwrap_or_default(),
        params,
        members: founded.map_or_else(first, |founded| founded.members.clone()),
        encryption_key,
        rollups: ROLLUPS.iter().map(registration).collect(),
        accounts: load.accounts(),
    }
}
