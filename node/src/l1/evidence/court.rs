//! What L1 tells of convictions.

use std::collections::{BTreeMap, BTreeSet};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider as _},
    rpc::types::{Filter, Log},
    sol_types::SolEvent as _,
    transports::TransportResult,
};
use conclave_contracts::{
    ConclaveSlasher::{self, Acquitted, Convicted, Lapsed, Resolved},
    report::{PREMATURE_SHARE, WRONG_SHARE, offence_of},
};
use conclave_types::{BlockId, Epoch, Height};
use serde::Serialize;

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

    /// Whether the offence is the one that the rest of it names: whoever shows another could have it taken for that one.
    fn is_consistent(&self) -> bool {
        let (of, at) = ((self.epoch, self.kind), (self.height, self.round));
        self.offence == offence_of(self.validator, of, at)
    }

    /// What a log tells; none if it is none of a conviction, or contradicts itself.
    fn read(log: &Log) -> Option<Self> {
        let told = Convicted::decode_log(&log.inner).ok()?.data;
        let record = Self {
            offence: told.offence,
            validator: told.validator,
            epoch: told.epoch,
            kind: told.kind,
            height: told.height,
            round: told.round,
            reporter: told.reporter,
            seized_gwei: u64::try_from(told.seized).unwrap_or(u64::MAX),
            l1_block: log.block_number?,
        };
        record.is_consistent().then_some(record)
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
pub(in crate::l1) const SLASHABLE_BLOCKS: u64 = 302_400;

/// Blocks that endpoints are asked for at once by commands: a hundred pages of all but the meanest provider
/// ([`crate::l1::logs`]), which are all to be had within the patience with an endpoint.
const SPAN: u64 = 10_000;

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
    let newest = endpoints.newest().await?;
    let mut found = Vec::new();
    let mut from = newest.saturating_sub(SLASHABLE_BLOCKS);
    while from <= newest {
        let to = from.saturating_add(SPAN.saturating_sub(1)).min(newest);
        let asked = endpoints.agree("eth_getLogs", |provider| async move {
            records(&provider, slasher, (from, to), Some((validator, None))).await
        });
        found.extend(asked.await?);
        from = to.saturating_add(1);
    }
    Ok(found)
}

/// What a validator is charged with. One conviction in an epoch is enough of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::l1) enum Matter {
    /// Two messages that contradict each other.
    Contradiction,
    /// A share of another block than the chain's, of which it may be acquitted.
    PrematureShare,
    /// A share that is not what its secret gives, which costs little.
    WrongShare,
}

impl Matter {
    /// Whether a conviction of that kind makes one of this superfluous. One that may come to nothing, or costs less, does
    /// not: who brings it about himself is to answer for the rest all the same.
    const fn is_settled_by(self, kind: u8) -> bool {
        match self {
            Self::Contradiction => kind < PREMATURE_SHARE,
            Self::PrematureShare => kind <= PREMATURE_SHARE,
            Self::WrongShare => kind != PREMATURE_SHARE,
        }
    }
}

/// Who is charged with what: a validator, by its number on L1, in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::l1) struct Offender {
    /// The epoch.
    pub(in crate::l1) epoch: Epoch,
    /// The validator.
    pub(in crate::l1) validator: u32,
    /// With what.
    pub(in crate::l1) matter: Matter,
}

/// How far L1 has come with an offender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::l1) enum Verdict {
    /// Nobody has reported it, or it was acquitted of all that was.
    #[default]
    None,
    /// It is convicted, in a block that may still go away.
    Convicted,
    /// It is convicted, and may be acquitted.
    Open,
    /// For good.
    Final,
}

/// What L1 shows of an offender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::l1) struct Finding {
    /// How far it has come.
    pub(in crate::l1) verdict: Verdict,
    /// Heights of premature shares of which it is acquitted for good.
    pub(in crate::l1) excused: BTreeSet<Height>,
}

impl Finding {
    /// What convictions that settle a matter come to, with how and in which block those ended that have ended.
    fn of(records: &[Record], ends: &BTreeMap<B256, (bool, u64)>, finalized: u64) -> Self {
        let mut found = Self::default();
        for record in records {
            let end = ends.get(&record.offence).filter(|_| record.is_premature_share());
            let end = end.filter(|(_, block)| *block <= finalized);
            let verdict = match end {
                Some((true, _)) => {
                    found.excused.insert(Height::new(record.height));
                    continue;
                }
                _ if record.l1_block > finalized => Verdict::Convicted,
                None if record.is_premature_share() => Verdict::Open,
                Some((false, _)) | None => Verdict::Final,
            };
            found.verdict = found.verdict.max(verdict);
        }
        found
    }
}

/// What convictions from a block on say of a matter, since before that there can be none.
pub(in crate::l1) async fn conviction(
    provider: &DynProvider,
    slasher: Address,
    from_block: u64,
    Offender { epoch, validator, matter }: Offender,
) -> TransportResult<Finding> {
    let newest = block(provider.clone(), BlockNumberOrTag::Latest).await?;
    let finalized = block(provider.clone(), BlockNumberOrTag::Finalized).await?;
    let newest = newest.map_or(0, |newest| newest.number);
    let blocks = (from_block.min(newest), newest);
    let mut found = records(provider, slasher, blocks, Some((validator, Some(epoch)))).await?;
    found.retain(|record| matter.is_settled_by(record.kind));
    let ends = match found.iter().any(Record::is_premature_share) {
        true => ends(provider, slasher, blocks).await?,
        false => BTreeMap::new(),
    };
    Ok(Finding::of(&found, &ends, finalized.map_or(0, |finalized| finalized.number)))
}

/// Cases that have ended: whether with an acquittal, and in which block.
async fn ends(
    provider: &DynProvider,
    slasher: Address,
    blocks: (u64, u64),
) -> TransportResult<BTreeMap<B256, (bool, u64)>> {
    let signatures =
        vec![Acquitted::SIGNATURE_HASH, Resolved::SIGNATURE_HASH, Lapsed::SIGNATURE_HASH];
    let filter = Filter::new().address(slasher).event_signature(signatures);
    let logs = newest_first(provider, &filter, blocks, |_| false).await?;
    let end = |log: &Log| {
        let [signature, offence, ..] = log.topics() else { return None };
        Some((*offence, (*signature == Acquitted::SIGNATURE_HASH, log.block_number?)))
    };
    Ok(logs.iter().filter_map(end).collect())
}

/// What an endpoint has seen of all convictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::l1) struct Docket {
    /// The time of its newest block, in seconds.
    pub(in crate::l1) time: u64,
    /// The number of that block.
    pub(in crate::l1) newest: u64,
    /// Its newest final block.
    pub(in crate::l1) finalized: u64,
    /// The last of the blocks that it was asked for.
    pub(in crate::l1) last: u64,
    /// The convictions in them.
    pub(in crate::l1) records: Vec<Record>,
}

/// Every conviction in so many blocks from one on, as far back as anybody answers for anything.
pub(in crate::l1) async fn docket(
    provider: &DynProvider,
    slasher: Address,
    (from_block, count): (u64, u64),
) -> TransportResult<Docket> {
    let newest = provider.get_block_by_number(BlockNumberOrTag::Latest).await?;
    let finalized = block(provider.clone(), BlockNumberOrTag::Finalized).await?;
    let finalized = finalized.map_or(0, |finalized| finalized.number);
    let Some(newest) = newest.map(|newest| newest.header) else {
        return Ok(Docket { time: 0, newest: 0, finalized, last: 0, records: Vec::new() });
    };
    let oldest = from_block.max(newest.number.saturating_sub(SLASHABLE_BLOCKS)).min(newest.number);
    let last = oldest.saturating_add(count.saturating_sub(1)).min(newest.number);
    let records = records(provider, slasher, (oldest, last), None).await?;
    Ok(Docket { time: newest.timestamp, newest: newest.number, finalized, last, records })
}

/// The block whose decision acquits of a premature share.
///
/// # Errors
///
/// If nobody answers.
pub async fn shared_block(
    endpoints: &Endpoints,
    contracts: &Contracts,
    offence: B256,
) -> Result<BlockId, L1Error> {
    let question = ConclaveSlasher::sharedBlockOfCall { offence };
    let shared = endpoints.call(contracts.slasher, &question).await?;
    Ok(BlockId::new(shared.blockId.0))
}

async fn records(
    provider: &DynProvider,
    slasher: Address,
    blocks: (u64, u64),
    of: Option<(u32, Option<Epoch>)>,
) -> TransportResult<Vec<Record>> {
    let word = |number: u64| B256::from(U256::from(number));
    let mut filter = Filter::new().address(slasher).event_signature(Convicted::SIGNATURE_HASH);
    if let Some((validator, epoch)) = of {
        filter = filter.topic2(word(u64::from(validator)));
        filter = epoch.map_or(filter.clone(), |epoch| filter.topic3(word(epoch.as_u64())));
    }
    let logs = newest_first(provider, &filter, blocks, |_| false).await?;
    Ok(logs.iter().filter_map(Record::read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_premature_share_settles_nothing_before_it_is_too_late_for_an_acquittal() {
        let record = |kind, height, l1_block| Record {
            offence: offence_of(4, (3, kind), (height, 0)),
            validator: 4,
            epoch: 3,
            kind,
            height,
            round: 0,
            reporter: Address::ZERO,
            seized_gwei: 0,
            l1_block,
        };
        let share = |height| record(PREMATURE_SHARE, height, 5);
        let of = |height: u64| share(height).offence;
        let heights = |heights: &[u64]| heights.iter().copied().map(Height::new).collect();
        for (records, ends, verdict, excused) in [
            (vec![], vec![], Verdict::None, heights(&[])),
            (vec![share(7)], vec![], Verdict::Open, heights(&[])),
            (vec![record(PREMATURE_SHARE, 7, 11)], vec![], Verdict::Convicted, heights(&[])),
            (vec![share(7)], vec![(of(7), (false, 9))], Verdict::Final, heights(&[])),
            (vec![share(7)], vec![(of(7), (false, 11))], Verdict::Open, heights(&[])),
            (vec![share(7)], vec![(of(7), (true, 9))], Verdict::None, heights(&[7])),
            (vec![share(7)], vec![(of(7), (true, 11))], Verdict::Open, heights(&[])),
            (vec![share(7), share(8)], vec![(of(7), (true, 9))], Verdict::Open, heights(&[7])),
            (vec![share(7), record(1, 7, 5)], vec![], Verdict::Final, heights(&[])),
            (vec![share(7), record(1, 7, 11)], vec![], Verdict::Open, heights(&[])),
        ] {
            let found = Finding::of(&records, &ends.clone().into_iter().collect(), 10);
            assert_eq!(found, Finding { verdict, excused }, "{records:?}, {ends:?}");
        }
        // Nobody is acquitted of anything else.
        let votes = record(1, 7, 5);
        let ends = [(votes.offence, (true, 9))].into();
        assert_eq!(Finding::of(&[votes], &ends, 10).verdict, Verdict::Final);
    }

    #[test]
    fn a_record_whose_offence_is_another_than_it_says_is_none() {
        let honest = || Convicted {
            offence: offence_of(4, (3, PREMATURE_SHARE), (7, 2)),
            validator: 4,
            epoch: 3,
            kind: PREMATURE_SHARE,
            height: 7,
            round: 2,
            reporter: Address::ZERO,
            seized: U256::from(32),
        };
        let read = |told: Convicted| {
            let data = told.encode_log_data();
            let inner = alloy::primitives::Log { address: Address::ZERO, data };
            Record::read(&Log { inner, block_number: Some(9), ..Log::default() })
        };
        let found = read(honest());
        assert_eq!(found.map(|record| (record.validator, record.l1_block)), Some((4, 9)));
        let lies: [fn(&mut Convicted); 5] = [
            |told| told.validator = 5,
            |told| told.epoch = 4,
            |told| told.kind = WRONG_SHARE,
            |told| told.height = 8,
            |told| told.round = 0,
        ];
        for (number, lie) in lies.iter().enumerate() {
            let mut told = honest();
            lie(&mut told);
            assert_eq!(read(told), None, "lie {number}");
        }
        // Wrong shares are one offence an epoch, and the height only says which of them was shown.
        let mut wrong = honest();
        wrong.kind = WRONG_SHARE;
        wrong.offence = offence_of(4, (3, WRONG_SHARE), (8, 0));
        assert_eq!(read(wrong).map(|record| record.height), Some(7));
    }
}
