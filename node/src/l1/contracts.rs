//! Where the contracts of a network are. One address says it all: each contract names those that it works with,
//! and nobody can change that.

use alloy::primitives::Address;
use conclave_contracts::{ConclaveElection, ConclaveInbox, ConclaveStake, ForcedInclusion};

use super::{Endpoints, L1Error};

/// The contracts of a network that are found from its stake contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contracts {
    /// `ConclaveStake`, the address in the genesis.
    pub stake: Address,
    /// `ConclaveElection`.
    pub election: Address,
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
    /// No block before it holds anything of the stake contract.
    pub since: u64,
}

impl Contracts {
    /// Asks the stake contract at `stake`.
    ///
    /// # Errors
    ///
    /// If it is none, or nobody answers.
    pub async fn find(endpoints: &Endpoints, stake: Address) -> Result<Self, L1Error> {
        let no_stake = |error| {
            let is_other = matches!(error, L1Error::Reverted(_) | L1Error::Abi { .. });
            if is_other { L1Error::OtherContract(stake) } else { error }
        };
        let election = endpoints.call(stake, &ConclaveStake::ELECTIONCall {}).await;
        let election = election.map_err(no_stake)?;
        let inbox = endpoints.call(stake, &ConclaveStake::INBOXCall {}).await.map_err(no_stake)?;
        let slasher = endpoints.call(stake, &ConclaveStake::SLASHERCall {}).await?;
        let forced = endpoints.call(inbox, &ConclaveInbox::FORCEDCall {}).await?;
        let vault = endpoints.call(inbox, &ConclaveInbox::VAULTCall {}).await?;
        let registry = endpoints.call(forced, &ForcedInclusion::REGISTRYCall {}).await?;
        let since = endpoints.call(election, &ConclaveElection::DEPLOYED_ATCall {}).await?;
        Ok(Self { stake, election, inbox, forced, vault, registry, slasher, since })
    }
}
