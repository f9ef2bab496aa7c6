//! What L1 has settled, for a validator that does not know any more what it has signed.
//!
//! It signs again only on a chain that holds this ([`SettledOnL1`]). Any answer from after the loss will do, and a later
//! one is no less safe; so the core is told once, at its start. How high it had come, on whatever side of a fork, L1 cannot
//! know: that its operator says.

use alloy::primitives::B256;
use conclave_contracts::ConclaveInbox::rootAtCall;
use conclave_sequencer::SettledOnL1;
use conclave_types::{Digest, Genesis, Height};

use super::{Contracts, Endpoints, L1Error, Patience, election};
use crate::config::L1Config;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum LostError {
    /// The configuration names no endpoint.
    #[error(
        "--lost-state: this network settles on L1, and without asking it this validator cannot tell on which chain it may \
         sign; name endpoints in [l1], or with --l1"
    )]
    NoEndpoint,
    /// L1 does not say.
    #[error(
        "--lost-state: L1 does not say what has settled, so this validator cannot tell on which chain it may sign; start it \
         again when the endpoints answer"
    )]
    L1(#[source] L1Error),
}

/// The newest posting, as most endpoints have it; none, at height zero, if the network has no L1.
///
/// # Errors
///
/// If there is an L1 and it does not say.
pub async fn settled_on_l1(
    config: Option<&L1Config>,
    genesis: &Genesis,
) -> Result<SettledOnL1, LostError> {
    if genesis.l1_chain_id == 0 {
        return Ok(SettledOnL1::default());
    }
    let urls = &config.ok_or(LostError::NoEndpoint)?.endpoints;
    ask(urls, genesis).await.map_err(LostError::L1)
}

async fn ask(urls: &[String], genesis: &Genesis) -> Result<SettledOnL1, L1Error> {
    let chain_id = Some(genesis.l1_chain_id);
    let endpoints = Endpoints::connect(urls, chain_id, Patience::default()).await?;
    let stake = (*genesis.l1_contract.as_bytes()).into();
    let contracts = Contracts::find(&endpoints, stake).await?;
    let height = election::head(&endpoints, &contracts).await?.height.to::<u64>();
    let root = match height {
        0 => B256::ZERO,
        // The inbox keeps it for one more posting at least.
        height => endpoints.call(contracts.inbox, &rootAtCall { height }).await?,
    };
    Ok(SettledOnL1 { height: Height::new(height), root: Digest::new(root.0) })
}

#[cfg(test)]
mod tests {
    use conclave_types::{L1Origin, Params, PayerAddress, Time};

    use super::*;

    fn genesis(l1_chain_id: u64) -> Genesis {
        Genesis {
            name: "lost".into(),
            time: Time::ZERO,
            l1_chain_id,
            l1_contract: PayerAddress::ZERO,
            l1_origin: L1Origin::default(),
            params: Params::default(),
            members: Vec::new(),
            encryption_key: None,
            rollups: Vec::new(),
            accounts: Vec::new(),
        }
    }

    #[tokio::test]
    async fn who_has_an_l1_and_does_not_ask_it_does_not_start() {
        assert_eq!(settled_on_l1(None, &genesis(0)).await.unwrap(), SettledOnL1::default());
        let error = settled_on_l1(None, &genesis(31_337)).await.unwrap_err();
        assert!(matches!(error, LostError::NoEndpoint), "{error}");
        let endpoints = vec!["http://127.0.0.1:1".into()];
        let config = L1Config { endpoints, poll_ms: 1_000, relay: None };
        let error = settled_on_l1(Some(&config), &genesis(31_337)).await.unwrap_err();
        assert!(matches!(error, LostError::L1(_)), "{error}");
    }
}
