//! How settlement stands on L1, as most endpoints show it.
//!
//! Each endpoint is asked for the newest posting that it knows, and for the newest that is final. What most of them
//! have at least reached counts: one that lags holds nobody up, and one that invents a posting keeps nobody from
//! making it.
//!
//! So with each thing that is told, by itself. What goes with a posting is not taken from whoever tells of just that
//! posting: where two honest endpoints are a block apart, the liar is one of two, and there is no telling which. Of three
//! values the one in the middle lies between two honest ones, or is one, whatever the liar says.
//!
//! Of two it is the lower, while one of three is silent: for a height that is as good, but a low origin or escape delay
//! makes a posting look urgent, and an inbox that is not open needs none. Of these nothing less counts than what was seen
//! when all had answered last. What that does not cover: the first looks until all have answered once, and an endpoint that
//! is silent for half an escape delay, after which the origin that was seen then is old enough to look urgent, if one of the
//! two others lies.

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
    /// What was found when all had answered last.
    whole: Option<Settled>,
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
        Self { panel: Panel::new(endpoints), inbox, forced, whole: None }
    }

    pub(super) async fn look(&mut self) -> Result<Found, TooFew> {
        let (inbox, forced) = (self.inbox, self.forced);
        let asked =
            self.panel.ask(0, |provider| async move { look(&provider, inbox, forced).await });
        let answers = asked.await?;
        let found: Vec<_> = answers.into_iter().map(|(_, found)| found).collect();
        Ok(counted(&found, self.panel.count(), &mut self.whole))
    }
}

/// What these answers of `all` endpoints come to, and in what is urgent no less than `whole`, unless they are all.
fn counted(found: &[Found], all: usize, whole: &mut Option<Settled>) -> Found {
    let mut counted = reached(found, all);
    let settled = &mut counted.settled;
    if found.len() >= all {
        *whole = Some(*settled);
    } else if let Some(whole) = whole {
        settled.origin = settled.origin.max(whole.origin);
        settled.escape_delay = settled.escape_delay.max(whole.escape_delay);
        settled.is_open |= whole.is_open;
    }
    counted
}

/// How it stands as most of `all` endpoints show it, of which these have answered.
fn reached(found: &[Found], all: usize) -> Found {
    let number = |key: fn(&Found) -> u64| most(found, all, key);
    let (epoch, height) = most(found, all, |found| (found.settled.epoch, found.settled.height));
    let settled = Settled {
        epoch,
        height,
        anchor: number(|found| found.settled.anchor),
        origin: number(|found| found.settled.origin),
        l1_block: number(|found| found.settled.l1_block),
        escape_delay: number(|found| found.settled.escape_delay),
        is_open: most(found, all, |found| found.settled.is_open),
    };
    Found { settled, final_height: number(|found| found.final_height) }
}

/// What most of `all` endpoints have at least reached of one thing; nothing if too few have answered.
fn most<K: Ord + Default>(found: &[Found], all: usize, key: fn(&Found) -> K) -> K {
    let mut told: Vec<K> = found.iter().map(key).collect();
    told.sort_unstable_by(|one, other| other.cmp(one));
    // That one and those before it are most of all.
    told.into_iter().nth(all / 2).unwrap_or_default()
}

async fn look(provider: &DynProvider, inbox: Address, forced: Address) -> TransportResult<Found> {
    // The head first: what settles between the two questions makes nothing look older than it is.
    let head = head(provider, inbox, BlockId::latest()).await?;
    let newest = block(provider.clone(), BlockNumberOrTag::Latest).await?;
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
            // The head, the newest block, the final head and the anchor, of an inbox that is not there yet.
            answers.push_success(&Bytes::new());
            answers.push_success(&Value::Null);
            (0..2).for_each(|_| answers.push_success(&Bytes::new()));
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
        // One is silent, and the liar is one of two.
        for lie in lies.map(with) {
            let mut whole = None;
            assert_eq!(counted(&[honest, honest, lie], 3, &mut whole), honest);
            for answers in [[lie, honest], [honest, lie]] {
                assert_eq!(counted(&answers, 3, &mut whole), honest, "{lie:?}");
            }
            // All answer again: what they say counts, also if it is less.
            assert_eq!(counted(&[behind, behind, lie], 3, &mut whole).settled.origin, 45);
            assert_eq!(counted(&[behind, behind], 3, &mut whole), behind);
        }
        // The others are a block apart, and the liar tells of the posting of one of them.
        for (lie, like) in lies.into_iter().flat_map(|lie| [(lie, honest), (lie, behind)]) {
            let mut liar = like;
            lie(&mut liar.settled);
            for answers in [
                [liar, honest, behind],
                [liar, behind, honest],
                [honest, liar, behind],
                [behind, liar, honest],
                [honest, behind, liar],
                [behind, honest, liar],
            ] {
                let settled = reached(&answers, 3).settled;
                assert!(settled.is_open && settled.escape_delay == 7_200, "{liar:?}");
                assert!((45..=50).contains(&settled.origin), "urgent: {settled:?} by {liar:?}");
                assert!((45..=50).contains(&settled.height), "{settled:?}");
            }
        }
        // A newer epoch is further than a greater height.
        let (before, after) = (at(1, 70, 0, 100), at(2, 60, 0, 100));
        assert_eq!(reached(&[before, after, after], 3), after);
    }
}
