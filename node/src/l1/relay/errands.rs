//! What a validator posts in its turn: the certificate of a height, or the offer of a committee.

use std::sync::Arc;

use alloy::primitives::U256;
use conclave_contracts::{ConclaveInbox, posting};
use conclave_sequencer::archive::{self, ArchiveError};
use conclave_types::{Committee, Epoch, Height};
use futures::future::{BoxFuture, FutureExt as _};
use tokio::time::Instant;

use super::{
    Account, RelayError, Settler,
    decide::{Action, Candidate, Settled},
    landing::Landed,
    offering,
    session::Session,
};
use crate::{
    l1::{Call, Contracts},
    store::{RocksStore, StoreError},
};

/// What a transaction is for.
#[derive(Clone, Copy, Debug)]
enum Errand {
    /// To post the certificate of a height.
    Post(Height),
    /// To put a committee on offer for an epoch.
    Offer(Epoch),
}

impl Settler {
    /// What this validator is to post.
    pub(super) async fn errand(
        &self,
        session: &mut Session,
        account: &Account,
        settled: &Settled,
    ) -> Result<Option<BoxFuture<'static, Landed>>, RelayError> {
        let settled = *settled;
        let office = self.office(session, Epoch::new(settled.epoch)).await?;
        let (Some(office), Some(relay)) = (office, &mut session.relay) else { return Ok(None) };
        relay.take_turns(account.turns(&office));
        let certified = self.driver.snapshot().status.certified;
        let candidate = self.read(move |store| candidate(store, certified, &settled)).await?;
        let action = relay.decide(Instant::now(), settled, candidate);
        let is_capped = relay.is_capped(action);
        self.see(|view| view.capped = is_capped);
        let errand = match action {
            Action::Post { height, cost_max } => {
                let call = self.call(&session.contracts, &settled, height, &office).await?;
                call.map(|call| (Errand::Post(height), call, cost_max))
            }
            Action::Rest => self.offer(session).await?,
            Action::Capped => None,
        };
        Ok(errand.map(|(what, call, cost_max)| {
            let sender = account.sender(&session.endpoints, cost_max, None);
            let landing = async move {
                let sent = sender.send_instead(call).await;
                match what {
                    Errand::Post(height) => Landed::Posted(height, sent),
                    Errand::Offer(epoch) => Landed::Offered(epoch, sent),
                }
            };
            landing.boxed()
        }))
    }

    /// The committee in office on L1; none before this node has come to it.
    async fn office(
        &self,
        session: &mut Session,
        epoch: Epoch,
    ) -> Result<Option<Arc<Committee>>, RelayError> {
        if let Some((known, office)) = &session.office
            && *known == epoch
        {
            return Ok(Some(Arc::clone(office)));
        }
        let found = self.read(move |store| archive::committee(store, epoch)).await?;
        session.office = found.map(|office| (epoch, Arc::new(office)));
        Ok(session.office.as_ref().map(|(_, office)| Arc::clone(office)))
    }

    /// The offer of a committee that this validator is to make now.
    async fn offer(
        &self,
        session: &mut Session,
    ) -> Result<Option<(Errand, Call, U256)>, RelayError> {
        let (Some(relay), Some(offering)) = (&mut session.relay, &mut session.offering) else {
            return Ok(None);
        };
        let wanted = self.driver.ask(|core| core.keys().wants_offer(core.status().decided)).await;
        let Ok(wanted) = wanted else { return Ok(None) };
        let now = Instant::now();
        let is_due = offering.is_due(now, relay.turns(), wanted);
        let Some(epoch) = wanted.filter(|_| is_due) else { return Ok(None) };
        offering.rest(now);
        let cost_max = relay.for_offers();
        if cost_max.is_zero() {
            offering.cannot_pay(epoch);
            return Ok(None);
        }
        let call = offering::call(&session.endpoints, &session.contracts, epoch).await?;
        Ok(call.map(|call| (Errand::Offer(epoch), call, cost_max)))
    }

    async fn call(
        &self,
        contracts: &Contracts,
        settled: &Settled,
        height: Height,
        office: &Committee,
    ) -> Result<Option<Call>, RelayError> {
        let below = Height::new(settled.height);
        let found = self.read(move |store| archive::posting(store, below, height)).await?;
        let posting = found.and_then(|found| {
            posting::posting(&found.certificate, (&found.peaks, &found.added), office)
        });
        let call = |posting| Call::new(contracts.inbox, &ConclaveInbox::commitCall { posting });
        Ok(posting.map(call))
    }
}

/// What this node could post on top of what has settled: the end of the epoch in office if that is over, else the
/// newest that is certified.
fn candidate(
    store: &RocksStore,
    certified: Height,
    settled: &Settled,
) -> Result<Option<Candidate>, ArchiveError<StoreError>> {
    let end = archive::epoch_end(store, Epoch::new(settled.epoch))?;
    let height = end.unwrap_or(certified);
    if !settled.is_open || height.as_u64() <= settled.height {
        return Ok(None);
    }
    let found = archive::certificate(store, height)?.filter(|found| {
        let commitment = &found.commitment;
        commitment.epoch.as_u64() == settled.epoch
            && commitment.l1_origin.number >= settled.origin
            && commitment.l1_origin.number < settled.l1_block
    });
    Ok(found.map(|_| Candidate { height, ends_epoch: end.is_some() }))
}
