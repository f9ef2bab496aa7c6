//! What L1 tells of convictions.

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, B256, U256},
    providers::DynProvider,
    rpc::types::Filter,
    sol_types::SolEvent as _,
    transports::TransportResult,
};
use conclave_contracts::ConclaveSlasher::Convicted;
use conclave_types::Epoch;
use serde::Serialize;

use super::report::PREMATURE_SHARE;
use crate::l1::{Contracts, Endpoints, L1Error, endpoints::block, logs::newest_first};

/// A conviction, as L1 has recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The offence's identity.
    pub offence: B256,
    /// The validator's number.
    pub validator: u32,
    /// The epoch in which it was done.
    pub epoch: u64,
    /// What was done, by its number (`docs/spec/settlement.md`).
    pub kind: u8,
    /// The height of what was signed.
    pub height: u64,
    /// Its round.
    pub round: u32,
    /// Who reported it first.
    pub reporter: Address,
    /// What was seized, in gwei.
    pub seized_gwei: u64,
    /// The L1 block of the report.
    pub l1_block: u64,
}

impl Record {
    /// Whether it is of shares of a block that is not the chain's, which its decision would excuse.
    #[must_use]
    pub const fn is_premature_share(&self) -> bool {
        self.kind == PREMATURE_SHARE
    }

    /// What was done, in words.
    #[must_use]
    pub const fn words(&self) -> &'static str {
        match self.kind {
            1 => "two prevotes",
            2 => "two precommits",
            3 => "two proposals",
            4 => "two attestations",
            PREMATURE_SHARE => "a premature share",
            WRONG_SHARE => "a wrong share",
            _ => "an offence of another version",
        }
    }
}

/// Six weeks of blocks every twelve seconds: longer than stake that voted can be slashed.
const SLASHABLE_BLOCKS: u64 = 302_400;

/// Every conviction of a validator in the newest [`SLASHABLE_BLOCKS`], in the order of L1.
///
/// # Errors
///
/// If nobody answers.
pub async fn convictions(
    endpoints: &Endpoints,
    contracts: &Contracts,
    validator: u32,
) -> Result<Vec<Record>, L1Error> {
    let slasher = contracts.slasher;
    let newest = endpoints.block(BlockNumberOrTag::Latest).await?.map_or(0, |block| block.number);
    let asked = endpoints.ask("eth_getLogs", |provider| async move {
        let oldest = newest.saturating_sub(SLASHABLE_BLOCKS);
        records(&provider, slasher, (oldest, newest), (validator, None)).await
    });
    asked.await
}

/// A wrong share costs little, and who makes one up against himself is to answer for the rest all the same.
const WRONG_SHARE: u8 = 6;

/// Where the first conviction of a validator in an epoch is, of those from a block on; and the newest final block. One
/// of a wrong share does not count.
pub(in crate::l1) async fn conviction(
    provider: &DynProvider,
    slasher: Address,
    from_block: u64,
    (epoch, validator): (Epoch, u32),
) -> TransportResult<(Option<u64>, u64)> {
    let newest = block(provider.clone(), BlockNumberOrTag::Latest).await?;
    let finalized = block(provider.clone(), BlockNumberOrTag::Finalized).await?;
    let newest = newest.map_or(0, |newest| newest.number);
    let blocks = (from_block.min(newest), newest);
    let found = records(provider, slasher, blocks, (validator, Some(epoch))).await?;
    let grave = found.iter().filter(|record| record.kind != WRONG_SHARE);
    let first = grave.map(|record| record.l1_block).min();
    Ok((first, finalized.map_or(0, |finalized| finalized.number)))
}

async fn records(
    provider: &DynProvider,
    slasher: Address,
    blocks: (u64, u64),
    (validator, epoch): (u32, Option<Epoch>),
) -> TransportResult<Vec<Record>> {
    let word = |number: u64| B256::from(U256::from(number));
    let mut filter = Filter::new()
        .address(slasher)
        .event_signature(Convicted::SIGNATURE_HASH)
        .topic2(word(u64::from(validator)));
    if let Some(epoch) = epoch {
        filter = filter.topic3(word(epoch.as_u64()));
    }
    let logs = newest_first(provider, &filter, blocks, |_| false).await?;
    let record = |log: &alloy::rpc::types::Log| {
        let told = Convicted::decode_log(&log.inner).ok()?.data;
        Some(Record {
            offence: told.offence,
            validator: told.validator,
            epoch: told.epoch,
            kind: told.kind,
            height: told.height,
            round: told.round,
            reporter: told.reporter,
            seized_gwei: u64::try_from(told.seized).unwrap_or(u64::MAX),
            l1_block: log.block_number?,
        })
    };
    Ok(logs.iter().filter_map(record).collect())
}
