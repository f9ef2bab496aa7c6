//! What is known once L1 was reached: where the contracts are, and how everything that is seen to stands there.

use std::sync::Arc;

use conclave_types::{Committee, Epoch};
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{
    RelayError, Settler,
    decide::{Relay, Settled},
    judging::Bench,
    landing::Landed,
    offering::Offering,
    postings::Postings,
    reporting::{Court, Reporting},
    standing::Watch,
};
use crate::l1::{Contracts, Endpoints, Patience};

/// What is known once L1 was reached.
pub(super) struct Session {
    pub(super) endpoints: Endpoints,
    pub(super) contracts: Contracts,
    pub(super) watch: Watch,
    pub(super) postings: Postings,
    pub(super) relay: Option<Relay>,
    pub(super) offering: Option<Offering>,
    pub(super) reporting: Option<(Reporting, Court)>,
    pub(super) bench: Option<Bench>,
    /// The committee in office on L1, and its epoch.
    pub(super) office: Option<(Epoch, Arc<Committee>)>,
    pub(super) flight: Option<Flight>,
}

/// Something on its way.
pub(super) struct Flight {
    /// Where L1 stood when it left.
    pub(super) from: Settled,
    pub(super) landing: BoxFuture<'static, Landed>,
}

impl Settler {
    /// Finds the contracts, and begins to see to everything.
    pub(super) async fn connect(&self) -> Result<Session, RelayError> {
        let (urls, chain_id) = (&self.config.endpoints, self.genesis.l1_chain_id);
        let endpoints = Endpoints::connect(urls, Some(chain_id), Patience::default()).await?;
        let stake = (*self.genesis.l1_contract.as_bytes()).into();
        let contracts = Contracts::find(&endpoints, stake).await?;
        let relay = self.account.as_ref().map(|account| {
            let policy = account.policy();
            tracing::info!(account = %account.signer.address(), "posting to L1 in turn");
            Relay::new(policy, Instant::now())
        });
        let takeover = self.account.as_ref().map(|account| account.config.takeover());
        let offering = takeover.map(|takeover| Offering::new(takeover, Instant::now()));
        let reporting = self.account.as_ref().map(|account| {
            let court = Court::new(endpoints.clone(), contracts.slasher);
            (Reporting::new(account.config.takeover(), account.own, Instant::now()), court)
        });
        let bench = match &self.account {
            Some(account) => {
                let from = self.genesis.l1_origin.number;
                Some(Bench::new(&endpoints, &contracts, account, from).await?)
            }
            None => None,
        };
        let watch = Watch::new(endpoints.clone(), &contracts);
        let postings = self.read_postings(&endpoints, &contracts).await?;
        Ok(Session {
            endpoints,
            contracts,
            watch,
            postings,
            relay,
            offering,
            reporting,
            bench,
            office: None,
            flight: None,
        })
    }
}
