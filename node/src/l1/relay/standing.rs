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
    sol_types::SolCall as _,
    transports::{TransportError, TransportResult},
};
use conclave_contracts::ConclaveInbox::{Head, anchorCall, headCall};

use super::decide::Settled;
use crate::l1::{Endpoints, TooFew, endpoints::block, panel::Panel};

/// The state of an inbox that takes postings (`InboxState` in `contracts/src/interfaces/IConclaveInbox.sol`).
const OPEN: u8 = 1;

/// Where a network's settlement is watched.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    panel: Panel,
    inbox: Address,
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
    pub(super) fn new(endpoints: Endpoints, inbox: Address) -> Self {
        Self { panel: Panel::new(endpoints), inbox }
    }

    pub(super) async fn look(&mut self) -> Result<Found, TooFew> {
        let inbox = self.inbox;
        let answers =
            self.panel.ask(0, |provider| async move { look(&provider, inbox).await }).await?;
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
    // What goes with that posting is what most of those say who know just it: one alone could make it look
    // closed, or urgent.
    let same = found
        .iter()
        .map(|found| found.settled)
        .filter(|other| (other.epoch, other.height) == (settled.epoch, settled.height));
    let saying = |of: &Settled| {
        let agrees = |other: &Settled| (other.origin, other.is_open) == (of.origin, of.is_open);
        same.clone().filter(agrees).count()
    };
    settled = same.clone().max_by_key(saying).unwrap_or(settled);
    settled.anchor = least(|found| (0, found.settled.anchor)).settled.anchor;
    settled.l1_block = least(|found| (0, found.settled.l1_block)).settled.l1_block;
    let final_height = least(|found| (0, found.final_height)).final_height;
    Found { settled, final_height }
}

async fn look(provider: &DynProvider, inbox: Address) -> TransportResult<Found> {
    let newest = block(provider.clone(), BlockNumberOrTag::Latest).await?;
    let head = head(provider, inbox, BlockId::latest()).await?;
    let finalized = self::head(provider, inbox, BlockId::finalized()).await?;
    let settled = Settled {
        epoch: head.as_ref().map_or(0, |head| u64::from(head.epoch)),
        height: head.as_ref().map_or(0, |head| head.height.to()),
        anchor: anchor(provider, inbox).await?,
        origin: head.as_ref().map_or(0, |head| head.origin.to()),
        l1_block: newest.map_or(0, |newest| newest.number),
        is_open: head.is_some_and(|head| head.state == OPEN),
    };
    Ok(Found { settled, final_height: finalized.map_or(0, |head| head.height.to()) })
}

/// The height of the newest anchor; 0 before there is one.
async fn anchor(provider: &DynProvider, inbox: Address) -> TransportResult<u64> {
    let question = TransactionRequest::default().to(inbox).input(anchorCall {}.abi_encode().into());
    let answer = provider.call(question).block(BlockId::latest()).await?;
    if answer.is_empty() {
        return Ok(0);
    }
    let anchor = anchorCall::abi_decode_returns(&answer).map_err(TransportError::local_usage)?;
    Ok(anchor.height.to())
}

/// None before the contract is there.
async fn head(
    provider: &DynProvider,
    inbox: Address,
    at: BlockId,
) -> TransportResult<Option<Head>> {
    let question = TransactionRequest::default().to(inbox).input(headCall {}.abi_encode().into());
    let answer = provider.call(question).block(at).await?;
    if answer.is_empty() {
        return Ok(None);
    }
    headCall::abi_decode_returns(&answer).map(Some).map_err(TransportError::local_usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, height: u64, final_height: u64, l1_block: u64) -> Found {
        let (anchor, origin) = (height, height);
        let settled = Settled { epoch, height, anchor, origin, l1_block, is_open: true };
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
        for lie in [with(|told| told.origin = 0), with(|told| told.is_open = false)] {
            for answers in [[lie, honest, honest], [honest, lie, honest], [honest, honest, lie]] {
                assert_eq!(reached(&answers, 3), honest, "urgent, or closed: {lie:?}");
            }
        }
        // A newer epoch is further than a greater height.
        let (before, after) = (at(1, 70, 0, 100), at(2, 60, 0, 100));
        assert_eq!(reached(&[before, after, after], 3), after);
    }
}
