//! Committees on L1: who an election would choose, what is on offer, and how a network is opened.
//!
//! L1 only offers. An offer takes effect when the committee in office names it in the last commitment of its epoch;
//! for epoch 0, when the launcher opens the network. Offers are for the next epoch alone, so each epoch needs one, but
//! for epoch 1: the committee of epoch 0 is on offer for it as well.

use alloy::{primitives::B256, providers::Provider as _};
use conclave_contracts::{ConclaveElection, ConclaveInbox, ConclaveStake, offers};
use conclave_types::{Digest, Epoch, Genesis, Member, SettlementMember, settlement_committee};

use super::{Call, Contracts, Endpoints, L1Error, Sender, Sent};

/// The state of an inbox that waits for its launcher (`InboxState` in `contracts/src/interfaces/IConclaveInbox.sol`).
const CLOSED: u8 = 0;

/// A validator that an election chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elected {
    /// Its number in the stake contract.
    pub validator: u32,
    /// The power that it gets.
    pub power: u64,
}

/// Who an election at this moment would choose, ascending by number.
///
/// # Errors
///
/// If nobody answers.
pub async fn elected(
    endpoints: &Endpoints,
    contracts: &Contracts,
) -> Result<Vec<Elected>, L1Error> {
    let found = endpoints.call(contracts.election, &ConclaveElection::electionNowCall {}).await?;
    let rows = found.members.into_iter().zip(found.powers);
    Ok(rows.map(|(validator, power)| Elected { validator, power }).collect())
}

/// The digest by which L1 knows a committee of these; none if `members` do not tell the keys of one of them.
#[must_use]
pub fn committee(elected: &[Elected], members: &[Member]) -> Option<Digest> {
    let row = |elected: &Elected| {
        let member = members.iter().find(|member| member.validator == elected.validator)?;
        Some(SettlementMember {
            consensus_key: member.consensus_key,
            validator: elected.validator,
            power: elected.power,
            settlement_key: member.settlement_key,
        })
    };
    let rows: Option<Vec<_>> = elected.iter().map(row).collect();
    Some(settlement_committee(&rows?))
}

/// The epoch that offers are for: the first that has no committee yet.
///
/// # Errors
///
/// If nobody answers.
pub async fn next_epoch(endpoints: &Endpoints, contracts: &Contracts) -> Result<u64, L1Error> {
    endpoints.call(contracts.stake, &ConclaveStake::epochCountCall {}).await
}

/// Whether a committee is on offer for an epoch.
///
/// # Errors
///
/// If nobody answers.
pub async fn is_offered(
    endpoints: &Endpoints,
    contracts: &Contracts,
    epoch: u64,
    committee: &Digest,
) -> Result<bool, L1Error> {
    let committee_hash = B256::from(*committee.as_bytes());
    let question = ConclaveElection::offeredCall { epoch, committeeHash: committee_hash };
    match endpoints.call(contracts.election, &question).await {
        Ok(_) => Ok(true),
        // That is how the contract says no.
        Err(L1Error::Reverted(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The call that elects, and offers the committee for the next epoch. `members` are at least all who are elected.
#[must_use]
pub fn offer(contracts: &Contracts, members: &[Member]) -> Call {
    Call::new(contracts.election, &offers::snapshot(members))
}

/// What a launch did.
pub type Launched = Vec<(&'static str, Sent)>;

/// Opens the network of a genesis: puts its committee on offer and into office, and sees to it that one is on offer
/// for the next epoch. Whatever was done before stays as it is. `more` is sent along with the first offer. For the
/// launcher.
///
/// # Errors
///
/// If a contract refuses, or L1 elects another committee than the genesis names.
pub async fn launch(
    sender: &Sender,
    contracts: &Contracts,
    genesis: &Genesis,
    more: Vec<Call>,
) -> Result<Launched, L1Error> {
    let endpoints = sender.endpoints();
    let named = named(&genesis.members);
    let mut done = Vec::new();
    let head = head(endpoints, contracts).await?;
    if head.state == CLOSED {
        let mut calls = more;
        let is_new = !is_offered(endpoints, contracts, 0, &named).await?;
        if is_new {
            calls.insert(0, offer(contracts, &genesis.members));
        }
        let sent = sender.send_all(calls, sender.nonce().await?).await?;
        done.extend(sent.into_iter().take(usize::from(is_new)).map(|sent| ("offered", sent)));
        if !is_offered(endpoints, contracts, 0, &named).await? {
            let elected = elected(endpoints, contracts).await?;
            return Err(L1Error::OtherCommittee { elected });
        }
        done.push(("opened", open(sender, contracts, genesis, &named).await?));
    }
    done.extend(offer_next(sender, contracts, genesis).await?.map(|sent| ("offered", sent)));
    Ok(done)
}

/// The digest by which L1 knows a committee of all these.
fn named(members: &[Member]) -> Digest {
    let mut all: Vec<_> = members
        .iter()
        .map(|member| Elected { validator: member.validator, power: member.power })
        .collect();
    all.sort_by_key(|elected| elected.validator);
    committee(&all, members).unwrap_or_default()
}

async fn open(
    sender: &Sender,
    contracts: &Contracts,
    genesis: &Genesis,
    committee: &Digest,
) -> Result<Sent, L1Error> {
    let call = ConclaveInbox::openCall {
        id: B256::from(*genesis.network_id().as_bytes()),
        committeeHash: B256::from(*committee.as_bytes()),
        // The key is made in epoch 0: its commitment comes with the first end of an epoch.
        dkgResult: B256::ZERO,
        origin: genesis.l1_origin.number,
    };
    sender.send(Call::new(contracts.inbox, &call)).await
}

async fn offer_next(
    sender: &Sender,
    contracts: &Contracts,
    genesis: &Genesis,
) -> Result<Option<Sent>, L1Error> {
    let endpoints = sender.endpoints();
    let epoch = next_epoch(endpoints, contracts).await?;
    let elected = elected(endpoints, contracts).await?;
    // Whoever joined since has keys that the genesis does not know, and sees to an offer himself.
    let Some(committee) = committee(&elected, &genesis.members) else { return Ok(None) };
    if is_offered(endpoints, contracts, epoch, &committee).await? {
        return Ok(None);
    }
    sender.send(offer(contracts, &genesis.members)).await.map(Some)
}

/// The committee of an epoch that has begun on L1, as L1 lists it.
///
/// # Errors
///
/// If it has not, or nobody answers.
pub async fn serving(
    endpoints: &Endpoints,
    contracts: &Contracts,
    epoch: Epoch,
) -> Result<Vec<SettlementMember>, L1Error> {
    let question = ConclaveStake::committeeOfCall { epoch: epoch.as_u64() };
    let table = endpoints.call(contracts.stake, &question).await?.table;
    let code =
        endpoints.agree("eth_getCode", |provider| async move { provider.get_code_at(table).await });
    offers::rows(&code.await?).filter(|rows| !rows.is_empty()).ok_or_else(|| L1Error::Missing {
        what: format!(
            "the committee of epoch {epoch} on L1: the end of the epoch before has not settled"
        ),
    })
}

/// Where settlement stands.
///
/// # Errors
///
/// If nobody answers.
pub async fn head(
    endpoints: &Endpoints,
    contracts: &Contracts,
) -> Result<ConclaveInbox::Head, L1Error> {
    endpoints.call(contracts.inbox, &ConclaveInbox::headCall {}).await
}
