//! A network's first hours on L1: the contracts are deployed, rollups registered, validators staked and elected; then
//! the network has a genesis, and its launcher opens it. All of that is final before the network begins.

use alloy::primitives::{Address, B256};
use conclave_contracts::{
    ConclaveElection::electionNowCall,
    ConclaveInbox::openCall,
    FeeVault::fundCall,
    RollupRegistry::{self, registerCall as registerRollupCall},
    deployment::{Deployed, DeploymentConfig, DeploymentError, creations, predict},
    offers,
};
use conclave_sequencer::L1Block;
use conclave_types::{Digest, L1Origin, Member, NetworkId, PayerAddress, settlement_committee};

use super::{
    Candidates, Contracts, Founded, L1Fault, Plan, Users, Witness,
    operators::{Candidate, Operators, operator},
    settlement::row,
    users::{Crowd, account},
};
use crate::{
    l1::{
        L1Model,
        evm::{CHAIN_ID, Call, Ethereum, Slot, TRANSACTION_GAS_MAX},
    },
    random::Random,
};

const DEPLOYER: Address = Address::repeat_byte(0xde);
const COUNCIL: Address = Address::repeat_byte(0xc0);
/// Who forces transactions.
pub(super) const FORCER: Address = Address::repeat_byte(0xf0);
/// Depositors that the genesis does not know.
const STRANGERS: [u8; 4] = [0xd1, 0xd2, 0xd3, 0xd4];
const WEI: u128 = 1_000_000_000;
/// What relayers are refunded from.
const POT_WEI: u128 = 1_000_000_000_000_000_000;
/// Gas of what a rollup does to be there.
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

/// Founds a network.
pub(in crate::l1) struct Founder {
    ethereum: Ethereum,
    deployed: Deployed,
    plan: Plan,
    candidates: Candidates,
    zero_ms: u64,
    block_ms: u64,
}

impl Founder {
    /// Everything up to the election. Candidates have the numbers that they get by registering in this order.
    pub(in crate::l1) fn new(
        plan: Plan,
        (block_ms, finality): (u64, u64),
        candidates: Candidates,
        random: &mut Random,
    ) -> Result<Self, FoundingError> {
        let zero_ms = plan.begins_ms.saturating_sub(BLOCKS_MAX.saturating_mul(block_ms));
        let operators = candidates.all.iter().map(|candidate| operator(candidate.member.validator));
        let depositors =
            plan.payer.map(account).into_iter().chain(STRANGERS.map(Address::repeat_byte));
        let funded = operators.chain(depositors).chain([DEPLOYER, FORCER]);
        let undo_max = usize::try_from(finality).unwrap_or(usize::MAX);
        let ethereum = Ethereum::new(funded, zero_ms / 1_000, undo_max);
        let deployed = predict(DEPLOYER, 0)?;
        let mut founder = Self { ethereum, deployed, plan, candidates, zero_ms, block_ms };
        let first = founder.plan.rollups.iter().map(|rollup| rollup.as_u64()).min().unwrap_or(1);
        let mut config = DeploymentConfig {
            first_rollup: first,
            ..DeploymentConfig::defaults(DEPLOYER, COUNCIL)
        };
        config.forced.escapeDelayBlocks = founder.plan.escape_delay;
        for creation in creations(&config, DEPLOYER, 0)? {
            let gas = TRANSACTION_GAS_MAX;
            founder.ethereum.send(Call::of(DEPLOYER, None, creation.data, gas));
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
            members: self.candidates.all.iter().filter_map(member).collect(),
        })
    }

    /// Opens the network, and lets blocks come on top of that until it is final. Returns the blocks since its origin.
    pub(in crate::l1) fn open(
        mut self,
        network: NetworkId,
        founded: &Founded,
        model: &L1Model,
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
        for _ in 0..model.finality_blocks {
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
        let saves = model.first_grant_gwei.is_some();
        let users = Users::new(crowd, self.deployed, rollups, foreign, saves);
        let Candidates { all, members, rotated } = self.candidates;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (validators, first_validators) = (count(all.len()), count(members));
        let operators = Operators::new(model, self.deployed, (all, members), rotated);
        let contracts = Contracts {
            ethereum: self.ethereum,
            deployed: self.deployed,
            users,
            operators,
            validators,
            first_validators,
            escape_delay: self.plan.escape_delay.into(),
            fee_spikes: model.fee_spikes.clone(),
            begins_ms: self.plan.begins_ms,
            zero_ms,
            block_ms: self.block_ms,
            refused: 0,
            escapes_refused: 0,
            executed: 0,
            dear: 0,
            priced_out: 0,
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

    /// Each member at first with its stake, its keys and the proofs that it has them.
    fn register_validators(&mut self) {
        for candidate in self.candidates.all.iter().take(self.candidates.members) {
            for call in candidate.registers(&self.deployed, candidate.member.power) {
                self.ethereum.send(call);
            }
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
        let (timestamp, salt, most) = (at_ms / 1_000, random.bytes(), usize::MAX);
        let sealed = self.ethereum.seal(&Slot { timestamp, salt, most, price_min_wei: 0 });
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
