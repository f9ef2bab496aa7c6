//! What an operator and its delegators ask of `ConclaveStake`.

use alloy::primitives::{Address, U256};
use conclave_contracts::{
    ConclaveElection, ConclaveStake,
    registration::{Deployment, ValidatorSecrets},
};
use conclave_types::PayerAddress;
use serde::Serialize;

use super::{Call, Contracts, Endpoints, L1Error, Sender, Sent};

/// More than it takes to put a validator on a list that is full.
const ENLIST_GAS: u64 = 400_000;

/// What a validator starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Its operator's own stake.
    pub stake_gwei: u64,
    /// Its commission on what its delegators earn, in ten-thousandths.
    pub commission_bps: u16,
}

/// Registers a validator; returns its number. It cannot be elected before [`prove`] and [`enlist`].
///
/// # Errors
///
/// If the contract refuses.
pub async fn register(
    sender: &Sender,
    contracts: &Contracts,
    secrets: &ValidatorSecrets,
    terms: Terms,
) -> Result<(u32, Sent), L1Error> {
    let call = ConclaveStake::registerCall {
        keys: secrets.keys(),
        possession: secrets.settlement_proof(deployment(sender, contracts), &owner(sender)),
        commissionBps: terms.commission_bps,
    };
    let call = Call::new(contracts.stake, &call).with_gwei(terms.stake_gwei);
    let sent = sender.send(call).await?;
    Ok((sent.event::<ConclaveStake::Registered>()?.validator, sent))
}

/// Shows that the operator has the consensus key that the validator is registered with.
///
/// # Errors
///
/// If the contract refuses.
pub async fn prove(
    sender: &Sender,
    contracts: &Contracts,
    validator: u32,
    secrets: &ValidatorSecrets,
) -> Result<Sent, L1Error> {
    sender.send(proving(sender, contracts, validator, secrets)).await
}

fn proving(
    sender: &Sender,
    contracts: &Contracts,
    validator: u32,
    secrets: &ValidatorSecrets,
) -> Call {
    let (r, s) = secrets.consensus_proof(deployment(sender, contracts), &owner(sender));
    let call = ConclaveStake::proveConsensusKeyCall { validator, keys: secrets.keys(), r, s };
    Call::new(contracts.stake, &call)
}

/// Puts a validator on the list that elections read. If the list is full, the one with the least stake has to
/// go, which the contract allows only to who has clearly more.
///
/// # Errors
///
/// If the contract refuses.
pub async fn enlist(
    sender: &Sender,
    contracts: &Contracts,
    validator: u32,
) -> Result<Sent, L1Error> {
    sender.send(enlisting(sender, contracts, validator).await?).await
}

async fn enlisting(
    sender: &Sender,
    contracts: &Contracts,
    validator: u32,
) -> Result<Call, L1Error> {
    let place = weakest(sender.endpoints(), contracts).await?;
    let call = ConclaveElection::enlistCall { validator, place };
    Ok(Call::new(contracts.election, &call))
}

/// [`prove`] and [`enlist`], the second right behind the first: both may be in one block.
///
/// # Errors
///
/// If the contracts refuse.
pub async fn stand(
    sender: &Sender,
    contracts: &Contracts,
    validator: u32,
    secrets: &ValidatorSecrets,
) -> Result<(), L1Error> {
    let proof = proving(sender, contracts, validator, secrets);
    // Before the proof is in a block nobody can say what this takes.
    let listing = enlisting(sender, contracts, validator).await?;
    let listing = Call { gas: Some(ENLIST_GAS), ..listing };
    let nonce = sender.nonce().await?;
    sender.send_all(vec![proof, listing], nonce).await?;
    Ok(())
}

async fn weakest(endpoints: &Endpoints, contracts: &Contracts) -> Result<U256, L1Error> {
    let max = endpoints.call(contracts.election, &ConclaveElection::ENLISTED_MAXCall {}).await?;
    let list = enlisted(endpoints, contracts).await?;
    if U256::from(list.len()) < max {
        return Ok(U256::ZERO);
    }
    let standings = ConclaveStake::standingsOfCall { ids: list };
    let standings = endpoints.call(contracts.stake, &standings).await?;
    let worth = |(_, standing): &(usize, &ConclaveStake::Standing)| {
        if standing.eligible { standing.stakeGwei } else { 0 }
    };
    let weakest = standings.iter().enumerate().min_by_key(worth);
    Ok(U256::from(weakest.map_or(0, |(place, _)| place)))
}

async fn enlisted(endpoints: &Endpoints, contracts: &Contracts) -> Result<Vec<u32>, L1Error> {
    endpoints.call(contracts.election, &ConclaveElection::enlistedValidatorsCall {}).await
}

/// Replaces a validator's keys from the next election on.
///
/// # Errors
///
/// If the contract refuses.
pub async fn rotate(
    sender: &Sender,
    contracts: &Contracts,
    validator: u32,
    secrets: &ValidatorSecrets,
) -> Result<Sent, L1Error> {
    let at = deployment(sender, contracts);
    let (r, s) = secrets.consensus_proof(at, &owner(sender));
    let possession = secrets.settlement_proof(at, &owner(sender));
    let keys = secrets.keys();
    let call = ConclaveStake::rotateKeysCall { validator, keys, possession, r, s };
    sender.send(Call::new(contracts.stake, &call)).await
}

/// How much of somebody's stake is asked back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    All,
    /// As much as is worth this, in gwei, or a share less.
    Gwei(u64),
}

/// A request to unbond.
#[derive(Clone, Debug)]
pub struct Unbonding {
    /// What to claim.
    pub id: u64,
    /// What it is worth.
    pub amount_gwei: u64,
    /// The transaction.
    pub sent: Sent,
}

/// Asks the sender's stake with a validator back.
///
/// # Errors
///
/// If the sender has less, or the contract refuses.
pub async fn unbond(
    sender: &Sender,
    contracts: &Contracts,
    validator: u32,
    part: Part,
) -> Result<Unbonding, L1Error> {
    let question = ConclaveStake::stakeOfCall { validator, owner: sender.address() };
    let own = sender.endpoints().call(contracts.stake, &question).await?;
    let shares = match part {
        Part::All => own.shares,
        Part::Gwei(wanted) => shares(own.shares, own.amountGwei, wanted)
            .ok_or_else(|| too_little(sender.address(), wanted, own.amountGwei))?,
    };
    let call = ConclaveStake::requestUnbondCall { validator, shares };
    unbonding(sender.send(Call::new(contracts.stake, &call)).await?)
}

fn shares(owned: u128, worth: u64, wanted: u64) -> Option<u128> {
    if wanted > worth {
        return None;
    }
    let product = U256::from(owned).checked_mul(U256::from(wanted))?;
    u128::try_from(product.checked_div(U256::from(worth))?).ok()
}

fn too_little(account: Address, wanted: u64, found: u64) -> L1Error {
    let what = format!("stake of {account} worth {wanted} gwei (it has {found} gwei)");
    L1Error::Missing { what }
}

/// Ends a validator for good and asks its operator's own stake back.
///
/// # Errors
///
/// If the contract refuses.
pub async fn exit(
    sender: &Sender,
    contracts: &Contracts,
    validator: u32,
) -> Result<Unbonding, L1Error> {
    let call = ConclaveStake::exitCall { validator };
    unbonding(sender.send(Call::new(contracts.stake, &call)).await?)
}

fn unbonding(sent: Sent) -> Result<Unbonding, L1Error> {
    let requested = sent.event::<ConclaveStake::UnbondingRequested>()?;
    Ok(Unbonding { id: requested.id, amount_gwei: requested.amountGwei, sent })
}

/// A validator as L1 knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its number.
    pub validator: u32,
    /// Who operates it.
    pub operator: Address,
    /// Stake that counts.
    pub bonded_gwei: u64,
    /// Stake on its way out.
    pub unbonding_gwei: u64,
    /// Stake in escrow.
    pub escrow_gwei: u64,
    /// What the operator keeps of its delegators' rewards, in ten-thousandths.
    pub commission_bps: u16,
    /// Whether its consensus key is proven.
    pub proven: bool,
    /// Whether it is on the list that elections read.
    pub enlisted: bool,
    /// Whether an election at this moment would choose it, and with what power.
    pub elected_power: u64,
    /// Whether it left for good.
    pub exited: bool,
    /// Whether an accusation is open.
    pub accused: bool,
    /// Whether it can never serve again.
    pub tombstoned: bool,
    /// Until when it is jailed, in seconds; 0 if it is not.
    pub jailed_until: u64,
    /// What its operator can claim of commission and rewards for reports.
    pub rewards_gwei: u64,
}

/// Looks a validator up.
///
/// # Errors
///
/// If there is none of that number.
pub async fn standing(
    endpoints: &Endpoints,
    contracts: &Contracts,
    validator: u32,
) -> Result<Standing, L1Error> {
    let at = contracts.stake;
    let record = endpoints.call(at, &ConclaveStake::validatorOfCall { validator }).await?;
    let totals = endpoints.call(at, &ConclaveStake::totalsOfCall { validator }).await?;
    let rewards = ConclaveStake::rewardsOfCall { owner: record.operator };
    let rewards_gwei = endpoints.call(at, &rewards).await?;
    let elected = endpoints.call(contracts.election, &ConclaveElection::electionNowCall {}).await?;
    let powers = elected.members.iter().zip(&elected.powers);
    let power = powers.filter(|(member, _)| **member == validator).map(|(_, power)| *power).next();
    Ok(Standing {
        validator,
        operator: record.operator,
        bonded_gwei: totals.bonded,
        unbonding_gwei: totals.unbonding,
        escrow_gwei: totals.escrow,
        commission_bps: record.commissionBps,
        proven: record.proven,
        enlisted: enlisted(endpoints, contracts).await?.contains(&validator),
        elected_power: power.unwrap_or(0),
        exited: record.exited,
        accused: record.accused,
        tombstoned: record.tombstoned,
        jailed_until: record.jailedUntil,
        rewards_gwei,
    })
}

fn deployment(sender: &Sender, contracts: &Contracts) -> Deployment {
    let l1_chain_id = sender.endpoints().chain_id();
    Deployment { l1_chain_id, stake: contracts.stake.into_array() }
}

fn owner(sender: &Sender) -> PayerAddress {
    PayerAddress::new(sender.address().into_array())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_stake_is_never_worth_more_than_was_asked_for() {
        assert_eq!(shares(1_000, 100, 50), Some(500));
        assert_eq!(shares(1_000, 3, 2), Some(666));
        assert_eq!(shares(u128::MAX, u64::MAX, u64::MAX), Some(u128::MAX));
        assert_eq!(shares(1_000, 100, 101), None);
        assert_eq!(shares(0, 0, 0), None, "nothing of nothing");
    }
}
