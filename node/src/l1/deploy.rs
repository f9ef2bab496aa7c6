//! Bringing a network's contracts to L1.

use alloy::primitives::{Address, B256, Bytes, U256};
use conclave_contracts::{
    RollupRegistry::{self, RollupSettings},
    deployment::{Deployed, DeploymentConfig, creations, predict},
};

use super::{Call, Contracts, Endpoints, L1Error, Sender, Sent};

/// Deploys all contracts from the sender's account, which sends nothing else meanwhile, and sends `more` right
/// behind them.
///
/// # Errors
///
/// If a creation fails, or a contract is not where it was foretold: then the account sent something else in
/// between, and what is there already is of no use.
pub async fn deploy(
    sender: &Sender,
    config: &DeploymentConfig,
    more: Vec<Call>,
) -> Result<(Deployed, Vec<(&'static str, Sent)>), L1Error> {
    let nonce = sender.nonce().await?;
    let plan = creations(config, sender.address(), nonce)?;
    let calls = plan.iter().map(|creation| create(&creation.data)).chain(more).collect();
    let sent = sender.send_all(calls, nonce).await?;
    for (creation, sent) in plan.iter().zip(&sent) {
        let found = sent.receipt.contract_address;
        if found != Some(creation.address) {
            let (contract, expected) = (creation.contract, creation.address);
            return Err(L1Error::Elsewhere { contract, expected, found });
        }
    }
    let names = plan.iter().map(|creation| creation.contract);
    Ok((predict(sender.address(), nonce)?, names.zip(sent).collect()))
}

fn create(data: &Bytes) -> Call {
    Call { to: None, value: U256::ZERO, data: data.clone(), gas: None }
}

/// A rollup that was registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The id that it was given.
    pub rollup: u64,
    /// The transaction.
    pub sent: Sent,
}

/// What a rollup says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollupPlan {
    /// The first height that can have a batch of it.
    pub genesis_height: u64,
    /// Its own contract on L1; zero if it has none.
    pub inbox: Address,
    /// Digest of whatever its nodes agree on; zero if they publish none.
    pub configuration: B256,
}

/// Registers a rollup, for the registry's fee. Its id is the next one.
///
/// # Errors
///
/// If the registry refuses.
pub async fn register_rollup(
    sender: &Sender,
    contracts: &Contracts,
    plan: &RollupPlan,
) -> Result<Registered, L1Error> {
    let sent = sender.send(registration(sender.endpoints(), contracts, plan).await?).await?;
    let rollup = sent.event::<RollupRegistry::Registered>()?.rollup;
    Ok(Registered { rollup, sent })
}

/// The call that does it.
///
/// # Errors
///
/// If the registry does not say what it costs.
pub async fn registration(
    endpoints: &Endpoints,
    contracts: &Contracts,
    plan: &RollupPlan,
) -> Result<Call, L1Error> {
    let fee = endpoints.call(contracts.registry, &RollupRegistry::feeCall {}).await?;
    let settings = RollupSettings { inbox: plan.inbox, configuration: plan.configuration };
    let call = RollupRegistry::registerCall { settings, genesisHeight: plan.genesis_height };
    Ok(Call::new(contracts.registry, &call).with_gwei(fee))
}
