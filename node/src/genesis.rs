//! Making a network: keys, the genesis that all agree on, and one directory for each validator.
//!
//! ```text
//! out/genesis.json                  the same for everybody; its digest is the network id
//! out/validator-0/config.toml       commented; paths relative to it
//! out/validator-0/{consensus,network,storage,settlement}.key
//! out/validator-0/data/signer.state says that this validator has signed nothing yet
//! ```
//!
//! There is no threshold key among them: the validators make it themselves, on the chain, and nobody ever
//! holds it.

mod candidate;
mod config;

use std::path::{Path, PathBuf};

use conclave_consensus::{HighWater, SigningPosition, Step};
use conclave_encryption::{PackingError, Suite};
use conclave_types::{
    Genesis, GenesisAccount, GenesisError, Height, L1Origin, NetworkId, Params, PayerAddress,
    RollupId, RollupRegistration, Round, Time,
};
use libp2p::PeerId;

pub use self::candidate::{Candidate, Seat};
use crate::{config::L1Config, keys::KeyFileError, store::SignerError};

/// Ports that each validator gets: p2p, gRPC, metrics, and room for more.
const PORTS_EACH: u16 = 10;
/// Gas in a block of a rollup.
const GAS_LIMIT: u64 = 30_000_000;

/// Why a network cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// There is something already.
    #[error("{path} is not empty; choose another directory, keys are never overwritten")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no such suite.
    #[error("there is no suite {found}; choose one of {known:?}", known = Suite::ALL.map(Suite::number))]
    Suite {
        /// What the parameters say.
        found: u8,
    },
    /// The number of validators, or c, does not work.
    #[error(
        "no key can be shared among these validators like this; c is sharing.secrecy of the parameters, and 0 there is as usual"
    )]
    Packing(#[from] PackingError),
    /// What was asked for contradicts itself.
    #[error("this genesis cannot start a network")]
    Genesis(#[from] GenesisError),
    /// A key cannot be stored.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The signer state cannot be stored.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Ports beyond the last.
    #[error(
        "{validators} validators need {PORTS_EACH} ports each from {base} on, which is beyond 65535; choose a lower --base-port"
    )]
    Ports {
        /// How many.
        validators: u16,
        /// The first port.
        base: u16,
    },
}

/// What network to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A name for people.
    pub name: String,
    /// How many validators.
    pub validators: u16,
    /// Rollups that are registered from the start.
    pub rollups: Vec<RollupId>,
    /// Balances that exist from the start.
    pub accounts: Vec<GenesisAccount>,
    /// What it settles on, if it does.
    pub l1: Option<L1>,
    /// Parameters of the first epoch.
    pub params: Params,
    /// The first validator's first port; 0 takes any free ports, and peers find each other through
    /// `out/peers.json`, which a supervisor writes.
    pub base_port: u16,
    /// Pages that may call the validators from a browser, as `grpc.web_origins` writes them.
    pub web_origins: Vec<String>,
    /// No block is earlier.
    pub time: Time,
}

/// The L1 of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1 {
    /// Its chain id.
    pub chain_id: u64,
    /// The stake contract there.
    pub contract: PayerAddress,
    /// A final block up to which the forced queue is empty ([`crate::l1::origin`]).
    pub origin: L1Origin,
    /// How the validators follow it; none if each operator says so by himself. In the path of a key `{index}` stands
    /// for the validator's index.
    pub follow: Option<L1Config>,
}

/// A network that was made.
#[derive(Debug)]
pub struct Made {
    /// Its id.
    pub network: NetworkId,
    /// The genesis file.
    pub genesis: PathBuf,
    /// The validators, in index order.
    pub validators: Vec<MadeValidator>,
}

/// A validator that was made.
#[derive(Debug)]
pub struct MadeValidator {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// Its libp2p identity.
    pub peer_id: PeerId,
}

/// Makes keys and files under `out`, with the operating system's randomness, for validators of equal power. They
/// have no numbers on L1: what settles there names its validators as L1 seats them ([`make_with`]).
///
/// # Errors
///
/// If `out` holds something already, the plan contradicts itself, or the disk fails.
pub fn make(plan: &Plan, out: &Path) -> Result<Made, MakeError> {
    let seat = Seat { validator: 0, power: 1 };
    let seated: Vec<_> = (0..plan.validators).map(|_| (Candidate::generate(), seat)).collect();
    make_with(plan, &seated, out)
}

/// Makes files under `out` for validators that have their keys, and their seats, already.
///
/// # Errors
///
/// As [`make`].
pub fn make_with(plan: &Plan, seated: &[(Candidate, Seat)], out: &Path) -> Result<Made, MakeError> {
    let occupied = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(MakeError::NotEmpty { path: out.to_owned() });
    }
    let ports = u32::from(plan.validators).saturating_mul(u32::from(PORTS_EACH));
    if u32::from(plan.base_port).saturating_add(ports) > u32::from(u16::MAX) {
        return Err(MakeError::Ports { validators: plan.validators, base: plan.base_port });
    }
    let sharing = &plan.params.sharing;
    let found = sharing.suite;
    let suite = Suite::of_number(found).ok_or(MakeError::Suite { found })?;
    suite.packing(seated.len(), sharing.secrecy)?;
    let genesis = genesis(plan, seated);
    genesis.validate()?;
    let network = genesis.network_id();
    std::fs::create_dir_all(out).map_err(|source| io(out, source))?;
    let file = out.join("genesis.json");
    let json = serde_json::to_string_pretty(&genesis).map_err(|e| io(&file, e.into()))?;
    std::fs::write(&file, json).map_err(|source| io(&file, source))?;
    let peers: Vec<_> = (0..)
        .zip(seated)
        .map(|(index, (keys, _))| config::address(plan, index, keys.peer_id()))
        .collect();
    let validators = (0_u16..)
        .zip(seated)
        .map(|(index, (keys, _))| {
            let name = name(index);
            let directory = out.join(&name);
            keys.write(&directory, &network)?;
            let config = directory.join("config.toml");
            let text = config::text(plan, index, &peers);
            std::fs::write(&config, text).map_err(|source| io(&config, source))?;
            Ok(MadeValidator { name, directory, config, peer_id: keys.peer_id() })
        })
        .collect::<Result<_, MakeError>>()?;
    Ok(Made { network, genesis: file, validators })
}

fn genesis(plan: &Plan, seated: &[(Candidate, Seat)]) -> Genesis {
    let members =
        (0_u16..).zip(seated).map(|(index, (keys, seat))| keys.member(name(index), *seat));
    let l1 = plan.l1.as_ref();
    Genesis {
        name: plan.name.clone(),
        time: plan.time,
        l1_chain_id: l1.map_or(0, |l1| l1.chain_id),
        l1_contract: l1.map_or(PayerAddress::ZERO, |l1| l1.contract),
        l1_origin: l1.map(|l1| l1.origin).unwrap_or_default(),
        params: plan.params.clone(),
        members: members.collect(),
        encryption_key: None,
        rollups: plan.rollups.iter().map(|id| registration(*id)).collect(),
        accounts: plan.accounts.clone(),
    }
}

fn name(index: u16) -> String {
    format!("validator-{index}")
}

fn io(path: &Path, source: std::io::Error) -> MakeError {
    MakeError::Io { path: path.to_owned(), source }
}

fn registration(id: RollupId) -> RollupRegistration {
    RollupRegistration { id, name: format!("rollup-{id}"), gas_limit: GAS_LIMIT }
}

/// The mark of a validator that has signed nothing.
#[must_use]
pub const fn nothing_signed() -> HighWater {
    let at = SigningPosition { height: Height::ZERO, round: Round::ZERO, step: Step::Propose };
    HighWater { at, wal_entries: 0, attested: None }
}

#[cfg(test)]
mod tests {
    use conclave_types::ConsensusKey;

    use super::*;
    use crate::{
        config::{Config, RelayConfig},
        keys,
        store::SignerState,
    };

    fn plan(base_port: u16) -> Plan {
        Plan {
            name: "test".to_owned(),
            validators: 4,
            rollups: vec![RollupId::new(901), RollupId::new(902)],
            accounts: Vec::new(),
            l1: None,
            params: Params::default(),
            base_port,
            web_origins: Vec::new(),
            time: Time::from_micros(1),
        }
    }

    #[test]
    fn what_is_made_loads_and_belongs_together() {
        for base_port in [0, 26_600] {
            let directory = tempfile::tempdir().unwrap();
            let out = directory.path().join("net");
            let made = make(&plan(base_port), &out).unwrap();
            let genesis: Genesis =
                serde_json::from_slice(&std::fs::read(&made.genesis).unwrap()).unwrap();
            assert_eq!(genesis.network_id(), made.network);
            let committee = genesis.validate().unwrap();
            assert_eq!(genesis.encryption_key, None);
            for (index, validator) in (0_u16..).zip(&made.validators) {
                let config = Config::load(&validator.config).unwrap();
                let signing =
                    keys::read_signing_key(config.keys.consensus.as_ref().unwrap()).unwrap();
                let public = ConsensusKey::new(signing.verifying_key().to_bytes());
                assert_eq!(committee.index_of(&public).map(|i| i.as_u16()), Some(index));
                let settlement =
                    keys::read_settlement_key(config.keys.settlement.as_ref().unwrap()).unwrap();
                let member = &committee.members()[usize::from(index)];
                assert_eq!(member.settlement_key, settlement.key());
                keys::read_storage_key(config.keys.storage.as_ref().unwrap()).unwrap();
                let state = SignerState::open(&config.signer_state(), &made.network).unwrap();
                assert_eq!(state.mark(), Some(nothing_signed()));
                assert_eq!(config.p2p.peers.len(), if base_port == 0 { 0 } else { 3 });
            }
        }
    }

    #[test]
    fn validators_follow_the_l1_of_the_plan() {
        let directory = tempfile::tempdir().unwrap();
        for index in 0..4 {
            std::fs::write(directory.path().join(format!("{index}.key")), "").unwrap();
        }
        let relay = RelayConfig {
            every_heights: 7,
            day_cost_gwei_max: 8,
            ..RelayConfig::new("../../{index}.key".into())
        };
        let follow = L1Config {
            poll_ms: 250,
            relay: Some(relay.clone()),
            ..L1Config::new(vec!["http://127.0.0.1:1".to_owned()])
        };
        let origin = L1Origin { number: 5, hash: conclave_types::Digest::new([5; 32]) };
        let contract = PayerAddress::new([6; 20]);
        let l1 = L1 { chain_id: 7, contract, origin, follow: Some(follow.clone()) };
        let seat = |validator| Seat { validator, power: 10 + u64::from(validator) };
        let seated: Vec<_> = (1..5).map(|number| (Candidate::generate(), seat(number))).collect();
        let out = directory.path().join("net");
        let made = make_with(&Plan { l1: Some(l1), ..plan(0) }, &seated, &out).unwrap();
        let text = std::fs::read(&made.genesis).unwrap();
        let genesis: Genesis = serde_json::from_slice(&text).unwrap();
        assert_eq!((genesis.l1_chain_id, genesis.l1_contract), (7, contract));
        assert_eq!(genesis.l1_origin, origin);
        let seats = genesis.members.iter().map(|member| (member.validator, member.power));
        assert_eq!(seats.collect::<Vec<_>>(), [(1, 11), (2, 12), (3, 13), (4, 14)]);
        for (index, validator) in made.validators.iter().enumerate() {
            let account_key = validator.directory.join(format!("../../{index}.key"));
            let relay = Some(RelayConfig { account_key, ..relay.clone() });
            let expected = L1Config { relay, ..follow.clone() };
            assert_eq!(Config::load(&validator.config).unwrap().l1, Some(expected));
        }
    }

    #[test]
    fn the_suite_is_chosen_here_or_never() {
        let directory = tempfile::tempdir().unwrap();
        let of = |suite, secrecy| {
            let mut plan = plan(0);
            (plan.params.sharing.suite, plan.params.sharing.secrecy) = (suite, secrecy);
            make(&plan, &directory.path().join(format!("{suite}-{secrecy}")))
        };
        let genesis = std::fs::read(of(2, 0).unwrap().genesis).unwrap();
        let genesis: Genesis = serde_json::from_slice(&genesis).unwrap();
        assert_eq!(genesis.params.sharing.suite, 2);
        assert!(of(2, 2).is_ok(), "of four, c = 2 takes no packing");
        assert!(matches!(of(3, 0), Err(MakeError::Suite { found: 3 })));
    }

    #[test]
    fn a_network_in_which_fewer_read_early_than_may_fail_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let of = |suite, secrecy| {
            let mut plan = Plan { validators: 10, ..plan(0) };
            (plan.params.sharing.suite, plan.params.sharing.secrecy) = (suite, secrecy);
            let out = directory.path().join(format!("{suite}-{secrecy}"));
            make(&plan, &out).inspect_err(|_| assert!(!out.exists(), "nothing is written"))
        };
        for suite in Suite::ALL.map(Suite::number) {
            let Err(MakeError::Packing(refused)) = of(suite, 2) else {
                panic!("suite {suite} takes c = 2 of ten, three of whom may fail");
            };
            assert!(matches!(
                refused,
                PackingError::Secrecy { parties: 10, quorum: 7, secrecy: 2, .. }
            ));
            assert!(of(suite, 6).is_ok());
        }
        assert!(of(1, 4).is_ok());
    }

    #[test]
    fn keys_are_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        make(&plan(0), directory.path()).unwrap();
        assert!(matches!(make(&plan(0), directory.path()), Err(MakeError::NotEmpty { .. })));
    }

    #[test]
    fn ports_beyond_the_last_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let result = make(&plan(65_530), &directory.path().join("net"));
        assert!(matches!(result, Err(MakeError::Ports { validators: 4, base: 65_530 })));
    }
}
