//! A deployment, as the transactions that make it: `contracts/script/Deployment.sol` for whoever has no
//! Solidity.
//!
//! The contracts name each other and nobody can change that later, so each is told the addresses of those
//! that come after it: an account's creations are at addresses that follow from its nonce. All nine must
//! therefore be sent from one account, one nonce after the other, with nothing in between. Whoever sends
//! them checks that each receipt names the address that is foretold here.

use alloy::{
    primitives::{Address, Bytes, aliases::U24},
    sol_types::SolConstructor,
};

use crate::{
    ConclaveElection::{self, ElectionParameters},
    ConclaveInbox, ConclaveSlasher,
    ConclaveStake::{self, StakeParameters},
    ConclaveTimelock,
    FeeVault::{self, VaultParameters},
    ForcedInclusion::{self, ForcedParameters},
    KeyProofs, RollupRegistry,
};

/// Contracts of a deployment.
pub const CONTRACTS: usize = 9;

const ETHER_GWEI: u64 = 1_000_000_000;
const DAY_SECONDS: u32 = 86_400;

/// Why nothing can be deployed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeploymentError {
    /// The account has too few nonces left.
    #[error("a deployment takes {CONTRACTS} nonces, and there are not as many from {0} on")]
    NonceTooHigh(u64),
}

/// What a deployment is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentConfig {
    /// Opens the network, once.
    pub launcher: Address,
    /// Who may propose to the timelock.
    pub proposers: Vec<Address>,
    /// Who may carry out what has waited; the zero address stands for anyone.
    pub executors: Vec<Address>,
    /// How long stake waits after the last epoch that it backed.
    pub unbonding_seconds: u64,
    /// Id of the first rollup that registers.
    pub first_rollup: u64,
    /// What registering a rollup costs.
    pub rollup_fee_gwei: u64,
    /// Of `ConclaveStake`.
    pub stake: StakeParameters,
    /// Of `ConclaveElection`.
    pub election: ElectionParameters,
    /// Of `ForcedInclusion`.
    pub forced: ForcedParameters,
    /// Of `FeeVault`.
    pub vault: VaultParameters,
}

impl DeploymentConfig {
    /// The parameters that `docs/spec/settlement.md` gives reasons for. Anyone may carry out what `council`
    /// proposed, once it has waited.
    #[must_use]
    pub fn defaults(launcher: Address, council: Address) -> Self {
        Self {
            launcher,
            proposers: vec![council],
            executors: vec![Address::ZERO],
            unbonding_seconds: 21 * u64::from(DAY_SECONDS),
            first_rollup: 1,
            rollup_fee_gwei: ETHER_GWEI / 20,
            stake: StakeParameters {
                selfStakeMinGwei: 8 * ETHER_GWEI,
                delegationMinGwei: ETHER_GWEI / 10,
                jailSeconds: DAY_SECONDS,
            },
            election: ElectionParameters { committeeSizeMax: 100, replacementMarginBps: 500 },
            forced: ForcedParameters {
                entriesMax: 32,
                depositsMax: 32,
                bytesMax: 128 << 10,
                gasMax: 15_000_000,
                entryBytesMax: 64 << 10,
                priceMinWei: 10_000_000,
                escapeDelayBlocks: 7200,
            },
            vault: VaultParameters {
                depositMinGwei: ETHER_GWEI / 1000,
                refundGas: 350_000,
                refundPriceMaxWei: 100_000_000_000,
                refundIntervalHeights: U24::from_limbs([600]),
            },
        }
    }
}

/// The contracts of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// `ConclaveTimelock`.
    pub timelock: Address,
    /// `KeyProofs`.
    pub key_proofs: Address,
    /// `ConclaveElection`.
    pub election: Address,
    /// `ConclaveStake`, the address in the signing domain.
    pub stake: Address,
    /// `ConclaveInbox`.
    pub inbox: Address,
    /// `ForcedInclusion`.
    pub forced: Address,
    /// `FeeVault`.
    pub vault: Address,
    /// `RollupRegistry`.
    pub registry: Address,
    /// `ConclaveSlasher`.
    pub slasher: Address,
}

/// A transaction that creates a contract. It sends no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The contract's name, for people.
    pub contract: &'static str,
    /// The nonce that it must have.
    pub nonce: u64,
    /// Where the contract will be.
    pub address: Address,
    /// Creation code and constructor arguments.
    pub data: Bytes,
}

/// Where the contracts will be if `deployer` creates them from `nonce` on.
///
/// # Errors
///
/// [`DeploymentError::NonceTooHigh`].
pub fn predict(deployer: Address, nonce: u64) -> Result<Deployed, DeploymentError> {
    // EIP-2681: no account ever uses the last number.
    let end = nonce.checked_add(CONTRACTS as u64);
    end.filter(|end| *end < u64::MAX).ok_or(DeploymentError::NonceTooHigh(nonce))?;
    let at = |place: u64| deployer.create(nonce.saturating_add(place));
    Ok(Deployed {
        timelock: at(0),
        key_proofs: at(1),
        election: at(2),
        stake: at(3),
        inbox: at(4),
        forced: at(5),
        vault: at(6),
        registry: at(7),
        slasher: at(8),
    })
}

/// What `deployer` has to send, in this order.
///
/// # Errors
///
/// [`DeploymentError::NonceTooHigh`].
pub fn creations(
    config: &DeploymentConfig,
    deployer: Address,
    nonce: u64,
) -> Result<[Creation; CONTRACTS], DeploymentError> {
    let d = predict(deployer, nonce)?;
    let with =
        |code: &Bytes, arguments: Vec<u8>| Bytes::from([code, arguments.as_slice()].concat());
    let parts: [(&'static str, Address, Bytes); CONTRACTS] = [
        ("ConclaveTimelock", d.timelock, with(&ConclaveTimelock::BYTECODE, timelock(config))),
        ("KeyProofs", d.key_proofs, KeyProofs::BYTECODE.clone()),
        ("ConclaveElection", d.election, with(&ConclaveElection::BYTECODE, election(config, &d))),
        ("ConclaveStake", d.stake, with(&ConclaveStake::BYTECODE, stake(config, &d))),
        ("ConclaveInbox", d.inbox, with(&ConclaveInbox::BYTECODE, inbox(config, &d))),
        ("ForcedInclusion", d.forced, with(&ForcedInclusion::BYTECODE, forced(config, &d))),
        ("FeeVault", d.vault, with(&FeeVault::BYTECODE, vault(config, &d))),
        ("RollupRegistry", d.registry, with(&RollupRegistry::BYTECODE, registry(config, &d))),
        ("ConclaveSlasher", d.slasher, with(&ConclaveSlasher::BYTECODE, slasher(&d))),
    ];
    let mut nonces = nonce..;
    Ok(parts.map(|(contract, address, data)| Creation {
        contract,
        nonce: nonces.next().unwrap_or(u64::MAX),
        address,
        data,
    }))
}

fn timelock(config: &DeploymentConfig) -> Vec<u8> {
    ConclaveTimelock::constructorCall {
        proposers: config.proposers.clone(),
        executors: config.executors.clone(),
    }
    .abi_encode()
}

fn election(config: &DeploymentConfig, d: &Deployed) -> Vec<u8> {
    ConclaveElection::constructorCall {
        timelock: d.timelock,
        stake: d.stake,
        parameters: config.election.clone(),
    }
    .abi_encode()
}

fn stake(config: &DeploymentConfig, d: &Deployed) -> Vec<u8> {
    ConclaveStake::constructorCall {
        timelock: d.timelock,
        inbox: d.inbox,
        slasher: d.slasher,
        keyProofs: d.key_proofs,
        election: d.election,
        unbondingSeconds: config.unbonding_seconds,
        parameters: config.stake.clone(),
    }
    .abi_encode()
}

fn inbox(config: &DeploymentConfig, d: &Deployed) -> Vec<u8> {
    ConclaveInbox::constructorCall {
        launcher: config.launcher,
        stake: d.stake,
        forced: d.forced,
        vault: d.vault,
    }
    .abi_encode()
}

fn forced(config: &DeploymentConfig, d: &Deployed) -> Vec<u8> {
    ForcedInclusion::constructorCall {
        timelock: d.timelock,
        inbox: d.inbox,
        vault: d.vault,
        registry: d.registry,
        parameters: config.forced.clone(),
    }
    .abi_encode()
}

fn vault(config: &DeploymentConfig, d: &Deployed) -> Vec<u8> {
    FeeVault::constructorCall {
        timelock: d.timelock,
        inbox: d.inbox,
        forced: d.forced,
        stake: d.stake,
        parameters: config.vault.clone(),
    }
    .abi_encode()
}

fn registry(config: &DeploymentConfig, d: &Deployed) -> Vec<u8> {
    RollupRegistry::constructorCall {
        timelock: d.timelock,
        inbox: d.inbox,
        vault: d.vault,
        firstId: config.first_rollup,
        feeGwei: config.rollup_fee_gwei,
    }
    .abi_encode()
}

fn slasher(d: &Deployed) -> Vec<u8> {
    ConclaveSlasher::constructorCall { stake: d.stake, inbox: d.inbox }.abi_encode()
}
