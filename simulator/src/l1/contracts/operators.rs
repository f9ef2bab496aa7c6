//! What operators of validators do on L1: they register, stake more, ask stake back, change their keys, and leave. They
//! send the transactions that the node's commands send (`node/src/l1/stake.rs`), with the proofs that these make.
//!
//! Transactions are sent in the order of the scenario's times, and one that was in a block which did not stay waits
//! again before all others. So whoever registers first has the lower number, whatever is reorganized. What a contract
//! refuses is lost; a scenario that asks for what is refused does not show what it expects.
//!
//! **Bounds.** A scenario has finitely many changes, and each is sent once.

use std::collections::{BTreeMap, VecDeque};

use alloy::primitives::{Address, U256};
use conclave_contracts::{
    ConclaveElection::enlistCall,
    ConclaveStake::{
        depositCall, exitCall, proveConsensusKeyCall, registerCall, requestUnbondCall,
        rotateKeysCall,
    },
    deployment::Deployed,
    registration::{Deployment, ValidatorSecrets},
};
use conclave_types::{Member, PayerAddress, SettlementSecret};
use ed25519_dalek::SigningKey;

use crate::l1::{
    L1Model,
    evm::{CHAIN_ID, Call},
};

/// What a validator stakes for each unit of the power that the scenario gives it.
const STAKE_GWEI: u64 = 32_000_000_000;
const WEI: u128 = 1_000_000_000;
/// Shares of a pool that had neither reward nor penalty (`StakePool.SHARES_PER_GWEI`).
const SHARES_PER_GWEI: u128 = 1_000_000_000;
const COMMISSION_BPS: u16 = 500;
/// Gas of the dearest of these: a proof of a consensus key.
const GAS: u64 = 1_500_000;

/// A validator and its secrets.
#[derive(Debug)]
pub(in crate::l1) struct Candidate {
    pub(super) member: Member,
    secrets: ValidatorSecrets,
}

impl Candidate {
    /// Its settlement key is of the same seed as the other, as everywhere in a simulation.
    pub(in crate::l1) fn new((member, consensus): (Member, SigningKey)) -> Self {
        let settlement = SettlementSecret::from_seed(consensus.as_bytes());
        let secrets = ValidatorSecrets { consensus, settlement, network: member.network_key };
        Self { member, secrets }
    }

    /// Registers with a stake, proves the consensus key, and stands for election.
    pub(super) fn registers(&self, deployed: &Deployed, power: u64) -> [Call; 3] {
        let (validator, from) = (self.member.validator, operator(self.member.validator));
        let (at, owner) = (place(deployed), PayerAddress::new(from.into_array()));
        let (keys, possession) = (self.secrets.keys(), self.secrets.settlement_proof(at, &owner));
        let call = registerCall { keys: keys.clone(), possession, commissionBps: COMMISSION_BPS };
        let register = Call::new(from, deployed.stake, &call, GAS).paying(wei(power));
        let (r, s) = self.secrets.consensus_proof(at, &owner);
        let prove = proveConsensusKeyCall { validator, keys, r, s };
        let prove = Call::new(from, deployed.stake, &prove, GAS);
        let call = enlistCall { validator, place: U256::ZERO };
        [register, prove, Call::new(from, deployed.election, &call, GAS)]
    }

    /// Replaces the keys that its validator has had.
    fn rotates(&self, deployed: &Deployed) -> Call {
        let (validator, from) = (self.member.validator, operator(self.member.validator));
        let (at, owner) = (place(deployed), PayerAddress::new(from.into_array()));
        let (keys, possession) = (self.secrets.keys(), self.secrets.settlement_proof(at, &owner));
        let (r, s) = self.secrets.consensus_proof(at, &owner);
        let call = rotateKeysCall { validator, keys, possession, r, s };
        Call::new(from, deployed.stake, &call, GAS)
    }
}

/// The account of a validator's operator.
pub(in crate::l1) fn operator(validator: u32) -> Address {
    let mut bytes = [0x0e; 20];
    let (_, number) = bytes.split_at_mut(16);
    number.copy_from_slice(&validator.to_be_bytes());
    Address::new(bytes)
}

const fn place(deployed: &Deployed) -> Deployment {
    Deployment { l1_chain_id: CHAIN_ID, stake: deployed.stake.into_array() }
}

fn wei(power: u64) -> u128 {
    u128::from(STAKE_GWEI.saturating_mul(power)).saturating_mul(WEI)
}

/// What an operator wants from a moment on.
#[derive(Debug)]
enum Wish {
    /// A stake of its validator, by the place of that among the candidates.
    Stake { place: usize, power: u64 },
    /// Other keys.
    Keys(Box<Candidate>),
}

/// All of them.
#[derive(Debug)]
pub(super) struct Operators {
    deployed: Deployed,
    /// In the order of their numbers; the last ones join later.
    candidates: Vec<Candidate>,
    /// What each has staked, in units of power, if it has registered.
    staked: BTreeMap<usize, u64>,
    /// What is still to be done, and when.
    wishes: VecDeque<(u64, Wish)>,
}

impl Operators {
    /// Those of `candidates`, of whom the first `members` have registered; `rotated` have the new keys of those who
    /// change them, in the scenario's order.
    pub(super) fn new(
        model: &L1Model,
        deployed: Deployed,
        (candidates, members): (Vec<Candidate>, usize),
        rotated: Vec<Candidate>,
    ) -> Self {
        let stakes = model.stakes.iter().map(|change| {
            let place = usize::from(change.validator);
            (change.at_ms, Wish::Stake { place, power: change.power })
        });
        let keys = model.rotations.iter().zip(rotated);
        let keys = keys.map(|(rotation, new)| (rotation.at_ms, Wish::Keys(Box::new(new))));
        let mut wishes: Vec<_> = stakes.chain(keys).collect();
        wishes.sort_by_key(|(at_ms, _)| *at_ms);
        let registered = candidates.iter().take(members).enumerate();
        let staked = registered.map(|(place, candidate)| (place, candidate.member.power));
        Self { deployed, staked: staked.collect(), candidates, wishes: wishes.into() }
    }

    /// What they send before the block of a moment.
    pub(super) fn want(&mut self, now_ms: u64) -> Vec<Call> {
        let mut calls = Vec::new();
        let due = self.wishes.partition_point(|(at_ms, _)| *at_ms <= now_ms);
        for (_, wish) in self.wishes.drain(..due).collect::<Vec<_>>() {
            match wish {
                Wish::Keys(candidate) => calls.push(candidate.rotates(&self.deployed)),
                Wish::Stake { place, power } => calls.extend(self.stakes(place, power)),
            }
        }
        calls
    }

    /// What it takes to have that stake.
    fn stakes(&mut self, place: usize, power: u64) -> Vec<Call> {
        let Some(candidate) = self.candidates.get(place) else { return Vec::new() };
        let validator = candidate.member.validator;
        let (from, to) = (operator(validator), self.deployed.stake);
        let Some(before) = self.staked.insert(place, power) else {
            return candidate.registers(&self.deployed, power).into();
        };
        let call = if power > before {
            let more = wei(power.saturating_sub(before));
            Call::new(from, to, &depositCall { validator }, GAS).paying(more)
        } else if power == 0 {
            Call::new(from, to, &exitCall { validator }, GAS)
        } else {
            let less = STAKE_GWEI.saturating_mul(before.saturating_sub(power));
            let shares = u128::from(less).saturating_mul(SHARES_PER_GWEI);
            Call::new(from, to, &requestUnbondCall { validator, shares }, GAS)
        };
        vec![call]
    }
}
