//! Committees that L1 offers (`conclave_contracts::offers`), as its endpoints tell of them.

use std::collections::{BTreeMap, BTreeSet};

use alloy::{
    primitives::{B256, Log},
    providers::{DynProvider, Provider as _},
    rpc::{self, types::Filter},
    sol_types::SolEvent as _,
    transports::TransportResult,
};
use conclave_contracts::{
    ConclaveStake::{Keys, KeysSet},
    offers,
};
use conclave_types::CommitteeOffer;

use super::{Contracts, logs};

/// The offers that the events of a block tell of, in order; `number` is the block's.
pub(super) async fn offers(
    provider: &DynProvider,
    contracts: &Contracts,
    number: u64,
    logs: &[Log],
) -> TransportResult<Vec<CommitteeOffer>> {
    let mut found = Vec::new();
    for event in offers::newest(logs) {
        let code = provider.get_code_at(event.committee.table).await?;
        let Some(rows) = offers::offered(&event, &code) else { continue };
        let validators: Vec<u32> = rows.iter().map(|row| row.validator).collect();
        let are_its = |validator: u32, keys: &Keys| {
            let row = rows.iter().find(|row| row.validator == validator);
            row.is_some_and(|row| offers::are_of(row, &offers::keyed(validator, keys)))
        };
        let keys = keys_set(provider, contracts, &validators, number, are_its).await?;
        found.extend(offers::offer(&event, &rows, &keys));
    }
    Ok(CommitteeOffer::that_count(found))
}

/// Keys that validators have set up to a block, each in the order of L1: back to where each has set some for which
/// `are_wanted` holds. What was set before may be missing.
pub(super) async fn keys_set(
    provider: &DynProvider,
    contracts: &Contracts,
    validators: &[u32],
    up_to: u64,
    are_wanted: impl Fn(u32, &Keys) -> bool,
) -> TransportResult<BTreeMap<u32, Vec<Keys>>> {
    let topics: Vec<B256> =
        validators.iter().map(|number| B256::left_padding_from(&number.to_be_bytes())).collect();
    let filter = Filter::new()
        .address(contracts.stake)
        .event_signature(KeysSet::SIGNATURE_HASH)
        .topic1(topics);
    let mut missing: BTreeSet<u32> = validators.iter().copied().collect();
    let event =
        |log: &rpc::types::Log| KeysSet::decode_log(&log.inner).ok().map(|event| event.data);
    let is_enough = |logs: &[rpc::types::Log]| {
        let events = logs.iter().filter_map(event);
        for event in events.filter(|event| are_wanted(event.validator, &event.keys)) {
            missing.remove(&event.validator);
        }
        missing.is_empty()
    };
    let logs = logs::newest_first(provider, &filter, (contracts.since, up_to), is_enough).await?;
    let mut keys: BTreeMap<u32, Vec<Keys>> = BTreeMap::new();
    for event in logs.iter().filter_map(event) {
        keys.entry(event.validator).or_default().push(event.keys);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use alloy::{
        primitives::Address,
        providers::{ProviderBuilder, mock::Asserter},
    };

    use super::*;

    #[tokio::test]
    async fn nobody_looks_for_keys_before_the_contracts_were_there() {
        let at = Address::ZERO;
        let (stake, election, inbox, forced) = (at, at, at, at);
        let contracts = Contracts {
            stake,
            election,
            inbox,
            forced,
            vault: at,
            registry: at,
            slasher: at,
            since: 90_000,
        };
        let answers = Asserter::new();
        let provider = ProviderBuilder::default().connect_mocked_client(answers.clone()).erased();
        // Ten thousand blocks are too many, so they are asked for in ten pages; another one would be an error.
        answers.push_failure_msg("too many blocks");
        (0..10).for_each(|_| answers.push_success(&Vec::<rpc::types::Log>::new()));
        let found = keys_set(&provider, &contracts, &[1], 99_999, |_, _| true).await.unwrap();
        assert_eq!(found, BTreeMap::new());
        assert_eq!(answers.read_q().len(), 0, "back to the first block");
        // An endpoint that is behind that block is not asked.
        assert_eq!(keys_set(&provider, &contracts, &[1], 9, |_, _| true).await.unwrap().len(), 0);
    }
}
