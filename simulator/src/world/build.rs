//! A world from a scenario and a seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use conclave_encryption::{Packing, PublicKey, SecretShare, deal};
use conclave_sequencer::Identity;
use conclave_types::{
    ConsensusKey, Era, Genesis, L1Origin, Member, Params, PayerAddress, RollupId,
    RollupRegistration,
};
use ed25519_dalek::SigningKey;

use super::{
    BEGIN, Stop, World,
    node::{Inbox, Node},
    queue::Queue,
    work::{Shared, Threads},
};
use crate::{
    adversary::{Adversary, Means},
    clock::Clock,
    cpu::Pool,
    crypto::{Crypto, Judge, Workshop},
    disk::{Disk, Shelf},
    load::Load,
    measure::Measure,
    network::Network,
    oracle::Oracle,
    random::Random,
    report::Timeline,
    scenario::{Loss, Scenario},
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
        let (genesis, identities) = genesis(&scenario, &load, &mut random)?;
        let key = PublicKey::new(genesis.network_id(), &genesis.encryption_key).ok()?;
        let validators = scenario.validators;
        let (model, partitions) = (scenario.network.clone(), scenario.partitions.clone());
        let network = Network::new(model, partitions, validators, BEGIN, seed);
        let shelf = Shelf::default();
        let mut clocks = Random::new(seed, 5);
        let nodes: Vec<Node> = (0_u16..)
            .zip(identities)
            .map(|(index, identity)| Node {
                disk: Disk::new_validator().sharing(shelf.clone()),
                core: None,
                adversary: scenario.byzantine.iter().find(|b| b.validator == index).map(|b| {
                    let dice = Random::new(seed, 1_000_u64.saturating_add(u64::from(index)));
                    let means = Means::new(index, &genesis, &identity, &key, dice);
                    let means = means.against(load.first_payer()).with(scenario.colluders());
                    Adversary::new(&b.behaviours, b.masked, means)
                }),
                identity,
                life: 0,
                tick_at: None,
                ticks: 0,
                inbox: Inbox::default(),
                turn: None,
                pool: Pool::new(scenario.machine.cores),
                threads: Threads::default(),
                clock: Clock::draw(&scenario.clocks, BEGIN, &mut clocks),
                pipes: network.pipes(),
                pipe_at: [(None, 0), (None, 0)],
                dying: false,
                loss: Loss::Nothing,
            })
            .collect();
        let regions = (0..validators).map(|index| network.region(index).to_owned());
        let measure = Measure::new(BEGIN, regions.collect());
        let judge = Arc::new(Judge::new(scenario.crypto != Crypto::Real));
        let workshop = Workshop::new(scenario.crypto);
        let oracle = Oracle::new(&genesis, key.packing().secrecy(), honest(&nodes));
        let mut world = Self {
            timeline: Timeline::new(&scenario, seed),
            shared: Shared::new(&scenario.machine),
            oracle: oracle.with_clocks(scenario.clocks.wrong_max(scenario.limit_ms)),
            scenario,
            genesis: Arc::new(genesis),
            key,
            now: BEGIN,
            queue: Queue::new(),
            nodes,
            network,
            load,
            outstanding: BTreeMap::new(),
            heal: None,
            random,
            seed,
            measure,
            judge,
            workshop,
            touched: BTreeSet::new(),
            faults: BTreeMap::new(),
            progressed: false,
            inbox_drops: 0,
            sessions_lost: 0,
            pipe_waits: 0,
            stop: Stop::default(),
        };
        world.prepare();
        Some(world)
    }
}

fn honest(nodes: &[Node]) -> BTreeSet<u16> {
    let honest = (0_u16..).zip(nodes).filter(|(_, node)| node.is_honest());
    honest.map(|(index, _)| index).collect()
}

fn genesis(
    scenario: &Scenario,
    load: &Load,
    random: &mut Random,
) -> Option<(Genesis, Vec<Identity>)> {
    let packing = Packing::for_parties(usize::from(scenario.validators)).ok()?;
    let (encryption_key, shares) = deal(packing, Era::ZERO, random.rng());
    let identities: Vec<Identity> = shares
        .into_iter()
        .map(|share: SecretShare| Identity {
            signing_key: SigningKey::from_bytes(&random.bytes()),
            secret_share: Some(Arc::new(share)),
            lost_state: false,
        })
        .collect();
    let member = |(index, identity): (usize, &Identity)| Member {
        name: format!("validator {index}"),
        consensus_key: ConsensusKey::new(identity.signing_key.verifying_key().to_bytes()),
        network_key: ConsensusKey::new([u8::try_from(index).unwrap_or(u8::MAX); 32]),
        power: 1,
    };
    let registration = |id: &RollupId| RollupRegistration {
        id: *id,
        name: format!("rollup {id}"),
        gas_limit: 30_000_000,
    };
    let mut params = Params::default();
    params.timing.inclusion_delay_ms = scenario.inclusion_delay_ms;
    params.limits.block_bytes_max = scenario.block_bytes_max;
    let genesis = Genesis {
        name: "simulation".into(),
        time: BEGIN,
        l1_chain_id: 0,
        l1_contract: PayerAddress::ZERO,
        l1_origin: L1Origin::default(),
        params,
        members: identities.iter().enumerate().map(member).collect(),
        encryption_key,
        rollups: ROLLUPS.iter().map(registration).collect(),
        accounts: load.accounts(),
    };
    Some((genesis, identities))
}
