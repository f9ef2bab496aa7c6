//! How settlement stands on L1, as most endpoints show it.
//!
//! Each endpoint is asked for the newest posting that it knows, and for the newest that is final. What most of them
//! have at least reached counts: one that lags holds nobody up, and one that invents a posting keeps nobody from
//! making it.

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::Address,
    providers::{DynProvider, Provider as _},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
    transports::{TransportError, TransportResult},
};
use conclave_contracts::{
    ConclaveInbox::{Head, anchorCall, headCall},
    ForcedInclusion::forcedParametersCall,
};

use super::decide::Settled;
use crate::l1::{Contracts, Endpoints, TooFew, endpoints::block, panel::Panel};

/// The state of an inbox that takes postings (`InboxState` in `contracts/src/interfaces/IConclaveInbox.sol`).
const OPEN: u8 = 1;

/// Where a network's settlement is watched.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    panel: Panel,
    inbox: Address,
    forced: Address,
}

/// What one look at it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The newest posting.
    pub(super) settled: Settled,
    /// The newest height whose posting is final.
    pub(super) final_height: u64,
}

impl Watch {
    pub(super) fn new(endpoints: Endpoints, contracts: &Contracts) -> Self {
        let Contracts { inbox, forced, .. } = *contracts;
        Self { panel: Panel::new(endpoints), inbox, forced }
    }

    pub(super) async fn look(&mut self) -> Result<Found, TooFew> {
        let (inbox, forced) = (self.inbox, self.forced);
        let asked =
            self.panel.ask(0, |provider| async move { look(&provider, inbox, forced).await });
        let answers = asked.await?;
        let found: Vec<_> = answers.into_iter().map(|(_, found)| found).collect();
        Ok(reached(&found, self.panel.count()))
    }
}

/// What most of `all` endpoints have at least reached, of which these have answered.
fn reached(found: &[Found], all: usize) -> Found {
    let least = |key: fn(&Found) -> (u64, u64)| {
        let mut sorted = found.to_vec();
        sorted.sort_by_key(|found| std::cmp::Reverse(key(found)));
        // That one and those before it are most of all.
        sorted.get(all / 2).copied().unwrap_or_default()
    };
    let mut settled = least(|found| (found.settled.epoch, found.settled.height)).settled;
    // What goes with that posting is what most of those say who know just it. Where two know it, and one of them
    // lies, it may look closed, or urgent, until the others have come as far.
    let same = found
        .iter()
        .map(|found| found.settled)
        .filter(|other| (other.epoch, other.height) == (settled.epoch, settled.height));
    let told = |of: &Settled| (of.origin, of.is_open, of.escape_delay);
    let saying = |of: &Settled| same.clone().filter(|other| told(other) == told(of)).count();
    settled = same.clone().max_by_key(saying).unwrap_or(settled);
    settled.anchor = least(|found| (0, found.settled.anchor)).settled.anchor;
    settled.l1_block = least(|found| (0, found.settled.l1_block)).settled.l1_block;
    let final_height = least(|found| (0, found.final_height)).final_height;
    Found { settled, final_height }
}

async fn look(provider: &DynProvider, inbox: Address, forced: Address) -> TransportResult<Found> {
    let newest = block(provider.clone(), BlockNumberOrTag::Latest).await?;
    let head = head(provider, inbox, BlockId::latest()).await?;
    let finalized = self::head(provider, inbox, BlockId::finalized()).await?;
    let settled = Settled {
        epoch: head.as_ref().map_or(0, |head| u64::from(head.epoch)),
        height: head.as_ref().map_or(0, |head| head.height.to()),
        anchor: anchor(provider, inbox).await?,
        origin: head.as_ref().map_or(0, |head| head.origin.to()),
        l1_block: newest.map_or(0, |newest| newest.number),
        escape_delay: escape_delay(provider, forced).await?,
        is_open: head.is_some_and(|head| head.state == OPEN),
    };
    Ok(Found { settled, final_height: finalized.map_or(0, |head| head.height.to()) })
}

/// The height of the newest anchor; 0 before there is one.
async fn anchor(provider: &DynProvider, inbox: Address) -> TransportResult<u64> {
    let anchor = call(provider, inbox, &anchorCall {}, BlockId::latest()).await?;
    Ok(anchor.map_or(0, |anchor| anchor.height.to()))
}

/// After how many L1 blocks rollups may leave; 0 before there is a queue.
async fn escape_delay(provider: &DynProvider, forced: Address) -> TransportResult<u64> {
    let parameters = call(provider, forced, &forcedParametersCall {}, BlockId::latest()).await?;
    Ok(parameters.map_or(0, |parameters| parameters.escapeDelayBlocks.into()))
}

async fn head(
    provider: &DynProvider,
    inbox: Address,
    at: BlockId,
) -> TransportResult<Option<Head>> {
    call(provider, inbox, &headCall {}, at).await
}

/// None before the contract is there.
async fn call<C: SolCall>(
    provider: &DynProvider,
    contract: Address,
    call: &C,
    at: BlockId,
) -> TransportResult<Option<C::Return>> {
    let question = TransactionRequest::default().to(contract).input(call.abi_encode().into());
    let answer = provider.call(question).block(at).await?;
    if answer.is_empty() {
        return Ok(None);
    }
    C::abi_decode_returns(&answer).map(Some).map_err(TransportError::local_usage)
}

#[cfg(test)]
mod tests {
    use alloy::{
        primitives::Bytes,
        providers::{ProviderBuilder, mock::Asserter},
        sol_types::SolValue as _,
    };
    use conclave_contracts::ForcedInclusion::ForcedParameters;
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn each_look_sees_the_escape_delay_of_then() {
        let answers = Asserter::new();
        let provider = ProviderBuilder::default().connect_mocked_client(answers.clone()).erased();
        let parameters = |escape_delay| ForcedParameters {
            entriesMax: 32,
            depositsMax: 32,
            bytesMax: 1,
            gasMax: 1,
            entryBytesMax: 1,
            priceMinWei: 1,
            escapeDelayBlocks: escape_delay,
        };
        // The last time there is no queue yet.
        let told = [7_200, 16, 0].map(|delay| {
            let bytes = if delay == 0 { Vec::new() } else { parameters(delay).abi_encode() };
            (u64::from(delay), Bytes::from(bytes))
        });
        for (delay, bytes) in told {
            answers.push_success(&Value::Null);
            // The two heads and the anchor, of an inbox that is not there yet.
            (0..3).for_each(|_| answers.push_success(&Bytes::new()));
            answers.push_success(&bytes);
            let found = look(&provider, Address::ZERO, Address::ZERO).await.unwrap();
            assert_eq!(found.settled, Settled { escape_delay: delay, ..Settled::default() });
        }
    }

    fn at(epoch: u64, height: u64, final_height: u64, l1_block: u64) -> Found {
        let (anchor, origin) = (height, height);
        let (escape_delay, is_open) = (7_200, true);
        let settled = Settled { epoch, height, anchor, origin, l1_block, escape_delay, is_open };
        Found { settled, final_height }
    }

    #[test]
    fn what_most_endpoints_have_reached_counts() {
        let (honest, behind) = (at(2, 50, 40, 100), at(2, 45, 40, 99));
        let (inventor, denier) = (at(9, 900, 900, 900), at(0, 0, 0, 0));
        let table = [
            ("one alone", vec![honest], 1, honest),
            ("one that lags", vec![honest, behind, honest], 3, honest),
            ("most lag", vec![honest, behind, behind], 3, behind),
            ("a posting that never was", vec![inventor, honest, behind], 3, honest),
            ("and an honest one is silent", vec![inventor, honest], 3, honest),
            ("postings denied", vec![honest, denier, honest], 3, honest),
            ("two have to agree", vec![inventor, honest], 2, honest),
            ("too few", vec![honest], 3, Found::default()),
        ];
        for (case, found, all, expected) in table {
            assert_eq!(reached(&found, all), expected, "{case}");
        }
        let with = |change: fn(&mut Settled)| {
            let mut told = honest;
            change(&mut told.settled);
            told
        };
        let lies: [fn(&mut Settled); 3] =
            [|told| told.origin = 0, |told| told.is_open = false, |told| told.escape_delay = 16];
        for lie in lies.map(with) {
            for answers in [[lie, honest, honest], [honest, lie, honest], [honest, honest, lie]] {
                assert_eq!(reached(&answers, 3), honest, "urgent, or closed: {lie:?}");
            }
        }
        // A newer epoch is further than a greater height.
        let (before, after) = (at(1, 70, 0, 100), at(2, 60, 0, 100));
        assert_eq!(reached(&[before, after, after], 3), after);
    }
}
