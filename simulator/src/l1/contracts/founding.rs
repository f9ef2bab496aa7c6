//! A network's first hours on L1: the contracts are deployed, rollups registered, validators staked and elected; then
//! the network has a genesis, and its launcher opens it. All of that is final before the network begins.

use alloy::primitives::{Address, B256, U256};
use conclave_contracts::{
    ConclaveElection::{electionNowCall, enlistCall},
    ConclaveInbox::openCall,
    ConclaveStake::{proveConsensusKeyCall, registerCall},
    FeeVault::fundCall,
    RollupRegistry::{self, registerCall as registerRollupCall},
    deployment::{Deployed, DeploymentConfig, DeploymentError, creations, predict},
    offers,
    registration::{Deployment, ValidatorSecrets},
};
use conclave_sequencer::L1Block;
use conclave_types::{
    Digest, L1Origin, Member, NetworkId, PayerAddress, SettlementSecret, settlement_committee,
};
use ed25519_dalek::SigningKey;

use super::{
    Contracts, Founded, L1Fault, Plan, Users, Witness,
    settlement::row,
    users::{Crowd, account},
};
use crate::{
    l1::evm::{CHAIN_ID, Call, Ethereum, TRANSACTION_GAS_MAX},
    random::Random,
};

const DEPLOYER: Address = Address::repeat_byte(0xde);
const COUNCIL: Address = Address::repeat_byte(0xc0);
const FORCER: Address = Address::repeat_byte(0xf0);
/// Depositors that the genesis does not know.
const STRANGERS: [u8; 4] = [0xd1, 0xd2, 0xd3, 0xd4];
/// What a validator stakes for each unit of the power that the scenario gives it.
const STAKE_GWEI: u64 = 32_000_000_000;
const COMMISSION_BPS: u16 = 500;
const WEI: u128 = 1_000_000_000;
/// What relayers are refunded from.
const POT_WEI: u128 = 1_000_000_000_000_000_000;
/// Gas of what one validator or rollup does to be there.
const GAS: u64 = 1_500_000;
/// Blocks that all of this has room for, before the time at which the network begins.
const BLOCKS_MAX: u64 = 1_024;

/// Why a network could not be founded.
#[derive(Debug, thiserror::Error)]
pub(in crate::l1) enum FoundingError {
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    #[error(transparent)]
    Fault(#[from] L1Fault),
    #[error("in L1 block {number} a contract refused: {reason}")]
    Refused { number: u64, reason: String },
    #[error("it takes more than {BLOCKS_MAX} blocks")]
    TooLong,
}

/// A validator and its secrets.
pub(in crate::l1) struct Candidate {
    member: Member,
    secrets: ValidatorSecrets,
}

impl Candidate {
    /// Its settlement key is of the same seed as the other, as everywhere in a simulation.
    pub(in crate::l1) fn new((member, consensus): (Member, SigningKey)) -> Self {
        let settlement = SettlementSecret::from_seed(consensus.as_bytes());
        let secrets = ValidatorSecrets { consensus, settlement, network: member.network_key };
        Self { member, secrets }
    }
}

/// Founds a network.
pub(in crate::l1) struct Founder {
    ethereum: Ethereum,
    deployed: Deployed,
    plan: Plan,
    candidates: Vec<Candidate>,
    zero_ms: u64,
    block_ms: u64,
}

/// The account of a validator's operator.
pub(in crate::l1) fn operator(validator: u32) -> Address {
    let mut bytes = [0x0e; 20];
    let (_, number) = bytes.split_at_mut(16);
    number.copy_from_slice(&validator.to_be_bytes());
    Address::new(bytes)
}

impl Founder {
    /// Everything up to the election. `candidates` have the numbers that they get by registering in this order.
    pub(in crate::l1) fn new(
        plan: Plan,
        (block_ms, finality): (u64, u64),
        candidates: Vec<Candidate>,
        random: &mut Random,
    ) -> Result<Self, FoundingError> {
        let zero_ms = plan.begins_ms.saturating_sub(BLOCKS_MAX.saturating_mul(block_ms));
        let operators = candidates.iter().map(|candidate| operator(candidate.member.validator));
        let depositors =
            plan.payer.map(account).into_iter().chain(STRANGERS.map(Address::repeat_byte));
        let funded = operators.chain(depositors).chain([DEPLOYER, FORCER]);
        let undo_max = usize::try_from(finality).unwrap_or(usize::MAX);
        let ethereum = Ethereum::new(funded, zero_ms / 1_000, undo_max);
        let deployed = predict(DEPLOYER, 0)?;
        let mut founder = Self { ethereum, deployed, plan, candidates, zero_ms, block_ms };
        let first = founder.plan.rollups.iter().map(|rollup| rollup.as_u64()).min().unwrap_or(1);
        let config = DeploymentConfig {
            first_rollup: first,
            ..DeploymentConfig::defaults(DEPLOYER, COUNCIL)
        };
        for creation in creations(&config, DEPLOYER, 0)? {
            let data = creation.data;
            let gas = TRANSACTION_GAS_MAX;
            founder.ethereum.send(Call { from: DEPLOYER, to: None, value_wei: 0, data, gas });
        }
        founder.register_rollups(u128::from(config.rollup_fee_gwei).saturating_mul(WEI));
        founder.register_validators();
        founder.settle(random)?;
        Ok(founder)
    }

    /// What a genesis has to say about it.
    pub(in crate::l1) fn founded(&self) -> Result<Founded, FoundingError> {
        let number = self.number();
        let elected = self.ethereum.ask(self.deployed.election, &electionNowCall {});
        let elected = elected.map_err(L1Fault::from)?;
        let elected = elected.map_err(|_refused| L1Fault::NoAnswer(number))?;
        let power = |member: &Member| {
            let place = elected.members.iter().position(|number| *number == member.validator)?;
            elected.powers.get(place).copied()
        };
        let member = |candidate: &Candidate| {
            let member = &candidate.member;
            Some(Member { power: power(member)?, ..member.clone() })
        };
        let hash = self.ethereum.blocks().last().map_or(B256::ZERO, |sealed| sealed.hash);
        Ok(Founded {
            chain_id: CHAIN_ID,
            stake: PayerAddress::new(self.deployed.stake.into_array()),
            origin: L1Origin { number, hash: Digest::new(hash.0) },
            members: self.candidates.iter().filter_map(member).collect(),
        })
    }

    /// Opens the network, and lets `finality` blocks come on top of that. Returns the blocks since its origin.
    pub(in crate::l1) fn open(
        mut self,
        network: NetworkId,
        founded: &Founded,
        (finality, saves): (u64, bool),
        random: &mut Random,
    ) -> Result<(Contracts, Vec<(L1Block, Witness)>), FoundingError> {
        let snapshot = offers::snapshot(&founded.members);
        let rows: Vec<_> = founded.members.iter().map(row).collect();
        let open = openCall {
            id: B256::from(*network.as_bytes()),
            committeeHash: B256::from(*settlement_committee(&rows).as_bytes()),
            // As on a network whose key is made in epoch 0: its commitment comes with the first end of an epoch.
            dkgResult: B256::ZERO,
            origin: founded.origin.number,
        };
        let Deployed { election, inbox, .. } = self.deployed;
        self.ethereum.send(Call::new(DEPLOYER, election, &snapshot, TRANSACTION_GAS_MAX));
        self.ethereum.send(Call::new(DEPLOYER, inbox, &open, TRANSACTION_GAS_MAX));
        self.settle(random)?;
        for _ in 0..finality {
            self.seal(random)?;
        }
        let rollups: Vec<u64> = self.plan.rollups.iter().map(|rollup| rollup.as_u64()).collect();
        let foreign = rollups.iter().max().copied().unwrap_or(0).saturating_add(1);
        let depositors = self.plan.payer.map(account).into_iter();
        let depositors = depositors.chain(STRANGERS.map(Address::repeat_byte)).collect();
        let crowd = Crowd { depositors, forcer: FORCER };
        // From now on blocks come at the network's times.
        let number = self.number();
        let passed = number.saturating_mul(self.block_ms);
        let zero_ms = self.plan.begins_ms.saturating_sub(passed);
        let users = Users::new(crowd, self.deployed, rollups, foreign, saves);
        let validators = u32::try_from(self.candidates.len()).unwrap_or(u32::MAX);
        let contracts = Contracts {
            ethereum: self.ethereum,
            deployed: self.deployed,
            users,
            validators,
            zero_ms,
            block_ms: self.block_ms,
            refused: 0,
            executed: 0,
        };
        let first = founded.origin.number.saturating_add(1);
        let block = |number| {
            let block = contracts.read(number).ok_or(L1Fault::Events(number))?;
            Ok((block, Witness::default()))
        };
        let blocks = (first..=number).map(block).collect::<Result<_, FoundingError>>()?;
        Ok((contracts, blocks))
    }

    /// The network's, and one that is of no network.
    fn register_rollups(&mut self, fee_wei: u128) {
        let settings =
            RollupRegistry::RollupSettings { inbox: Address::ZERO, configuration: B256::ZERO };
        for _ in 0..=self.plan.rollups.len() {
            let call = registerRollupCall { settings: settings.clone(), genesisHeight: 1 };
            let call = Call::new(DEPLOYER, self.deployed.registry, &call, GAS);
            self.ethereum.send(call.paying(fee_wei));
        }
        let call = Call::new(DEPLOYER, self.deployed.vault, &fundCall {}, GAS);
        self.ethereum.send(call.paying(POT_WEI));
    }

    /// Each with its stake, its keys and the proofs that it has them.
    fn register_validators(&mut self) {
        let stake = self.deployed.stake.into_array();
        let at = Deployment { l1_chain_id: CHAIN_ID, stake };
        for Candidate { member, secrets } in &self.candidates {
            let (validator, from) = (member.validator, operator(member.validator));
            let owner = PayerAddress::new(from.into_array());
            let (keys, possession) = (secrets.keys(), secrets.settlement_proof(at, &owner));
            let call =
                registerCall { keys: keys.clone(), possession, commissionBps: COMMISSION_BPS };
            let stake_wei = u128::from(STAKE_GWEI.saturating_mul(member.power)).saturating_mul(WEI);
            let call = Call::new(from, self.deployed.stake, &call, GAS).paying(stake_wei);
            self.ethereum.send(call);
            let (r, s) = secrets.consensus_proof(at, &owner);
            let proof = proveConsensusKeyCall { validator, keys, r, s };
            self.ethereum.send(Call::new(from, self.deployed.stake, &proof, GAS));
            let call = enlistCall { validator, place: U256::ZERO };
            self.ethereum.send(Call::new(from, self.deployed.election, &call, GAS));
        }
    }

    /// Blocks, until nothing waits.
    fn settle(&mut self, random: &mut Random) -> Result<(), FoundingError> {
        while self.ethereum.waiting() > 0 {
            self.seal(random)?;
        }
        Ok(())
    }

    fn seal(&mut self, random: &mut Random) -> Result<(), FoundingError> {
        let number = self.number().saturating_add(1);
        if number > BLOCKS_MAX {
            return Err(FoundingError::TooLong);
        }
        let at_ms = self.zero_ms.saturating_add(number.saturating_mul(self.block_ms));
        let sealed = self.ethereum.seal(at_ms / 1_000, random.bytes(), usize::MAX);
        let sealed = sealed.map_err(L1Fault::from)?;
        match sealed.executed.iter().find_map(|executed| executed.output.as_ref().err()) {
            Some(reason) => Err(FoundingError::Refused { number, reason: reason.to_string() }),
            None => Ok(()),
        }
    }

    fn number(&self) -> u64 {
        self.ethereum.blocks().last().map_or(0, super::Sealed::number)
    }
}
