//! What happens on Ethereum before a devnet's network has an id, and what its id then lets happen.
//!
//! ```text
//!  deploy ─▶ register ─▶ prove, enlist ─▶ who is elected, with what power ─▶ the genesis ─▶ validators start
//!                                                                              └▶ offer ─▶ open
//! ```
//!
//! The genesis names each validator as L1 knows it, so it comes after the stake. Everything behind it is found on
//! L1 and not done again, whenever a devnet was stopped or killed; before it a network begins from the beginning.

use alloy::primitives::{Address, B256};
use conclave_contracts::RollupRegistry;
use conclave_node::{
    config::{L1Config, RelayConfig},
    genesis::{self, Candidate, Seat},
    l1::{
        Call, L1Error,
        deploy::{self, RollupPlan},
        election,
        origin::first_origin,
        stake::{self, Terms},
    },
};
use conclave_types::{Genesis, PayerAddress};
use futures::future::try_join_all;

use super::{
    error::DevnetError,
    l1::{DevnetL1, STAKE_GWEI},
    network::ROLLUPS,
};

/// A validator's commission, in ten-thousandths.
const COMMISSION_BPS: u16 = 500;

/// How often validators look for a final block.
const POLL_MS: u64 = 250;

/// Commitments of a devnet settle every few of its L1's blocks, which come each second.
const RELAY_HEIGHTS: u64 = 100;
const RELAY_SECONDS: u64 = 4;
const TAKEOVER_SECONDS: u64 = 4;

impl DevnetL1 {
    /// What a genesis says about it.
    pub(super) async fn plan(&self) -> Result<genesis::L1, DevnetError> {
        let endpoints = self.funder.endpoints();
        Ok(genesis::L1 {
            chain_id: endpoints.chain_id(),
            contract: PayerAddress::new(self.contracts.stake.into_array()),
            origin: first_origin(endpoints, self.contracts.forced, None).await?,
            follow: Some(L1Config {
                endpoints: self.urls.clone(),
                poll_ms: POLL_MS,
                relay: Some(RelayConfig {
                    every_heights: RELAY_HEIGHTS,
                    every_seconds: RELAY_SECONDS,
                    takeover_seconds: TAKEOVER_SECONDS,
                    // The accounts that operate the validators, seen from their directories.
                    ..RelayConfig::new("../../operators/validator-{index}.key".into())
                }),
            }),
        })
    }

    /// Stakes for new validators, and gives them the seats that an election gives them.
    pub(super) async fn seat(
        &self,
        validators: u16,
    ) -> Result<Vec<(Candidate, Seat)>, DevnetError> {
        let joined = try_join_all((0..validators).map(|index| self.join(index))).await?;
        let elected = election::elected(self.funder.endpoints(), &self.contracts).await?;
        let seated = joined.into_iter().map(|(keys, validator)| {
            let found = elected.iter().find(|elected| elected.validator == validator);
            let found = found.ok_or_else(|| {
                DevnetError::Broken(format!("L1 does not elect validator {validator}"))
            })?;
            Ok((keys, Seat { validator, power: found.power }))
        });
        seated.collect()
    }

    async fn join(&self, index: u16) -> Result<(Candidate, u32), DevnetError> {
        let (operator, keys) = (self.operator(index)?, Candidate::generate());
        let terms = Terms { stake_gwei: STAKE_GWEI, commission_bps: COMMISSION_BPS };
        let contracts = &self.contracts;
        let (validator, _) = stake::register(&operator, contracts, keys.secrets(), terms).await?;
        stake::stand(&operator, contracts, validator, keys.secrets()).await?;
        Ok((keys, validator))
    }

    /// Puts the committee of a genesis into office, registers its rollups, and offers a committee for the epoch
    /// after the newest.
    pub(super) async fn launch(&self, genesis: &Genesis) -> Result<(), DevnetError> {
        let rollups = self.rollups_to_register().await?;
        election::launch(&self.funder, &self.contracts, genesis, rollups).await?;
        Ok(())
    }

    async fn rollups_to_register(&self) -> Result<Vec<Call>, DevnetError> {
        let (endpoints, contracts) = (self.funder.endpoints(), &self.contracts);
        let plan =
            RollupPlan { genesis_height: 1, inbox: Address::ZERO, configuration: B256::ZERO };
        let mut calls = Vec::new();
        for rollup in ROLLUPS {
            let question = RollupRegistry::rollupOfCall { rollup };
            match endpoints.call(contracts.registry, &question).await {
                Ok(_) => {}
                // The registry does not know it yet, and gives ids in ascending order.
                Err(L1Error::Reverted(_)) => {
                    calls.push(deploy::registration(endpoints, contracts, &plan).await?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(calls)
    }
}
