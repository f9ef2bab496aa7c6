//! Seeing to the cases on L1: looking what there is, and doing what is due ([`super::verdicts`]).

use std::{sync::Arc, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, U256},
    sol_types::SolCall,
};
use conclave_contracts::ConclaveSlasher;
use conclave_sequencer::archive;
use conclave_types::{BlockId, Epoch, Height};
use futures::future::{BoxFuture, FutureExt as _};
use tokio::time::Instant;

use super::{
    Account, Landed, Relay, RelayError, Session, Settler,
    verdicts::{Facts, Motion, Stage, Verdicts},
};
use crate::{
    errors,
    l1::{
        Call, Contracts, Endpoints, L1Error, Sent, TooFew,
        evidence::{self, Acquittal, Record},
        panel::Panel,
    },
};

/// `State` in `contracts/src/interfaces/IConclaveSlasher.sol`.
const NONE: u8 = 0;
const OPEN: u8 = 1;

/// No case is asked about any more in a step that has taken so long: postings wait for its end.
const ASKING_MAX: Duration = Duration::from_secs(10);

/// The cases, and whom to ask about them.
pub(super) struct Bench {
    pub(super) verdicts: Verdicts,
    panel: Panel,
    slasher: Address,
}

impl Bench {
    /// The network has no offence before `from_block`; every node waits for `takeover` for each that comes before it.
    pub(super) async fn new(
        endpoints: &Endpoints,
        contracts: &Contracts,
        account: &Account,
        from_block: u64,
    ) -> Result<Self, L1Error> {
        let slasher = contracts.slasher;
        let resolution = endpoints.call(slasher, &ConclaveSlasher::RESOLUTIONCall {}).await?;
        let resolution = u64::try_from(resolution).unwrap_or(u64::MAX);
        let takeover = account.config.takeover();
        let verdicts = Verdicts::new(takeover, resolution, from_block, Instant::now());
        Ok(Self { verdicts, panel: Panel::new(endpoints.clone()), slasher })
    }

    /// What most endpoints say alike; none if they do not.
    async fn ask<C: SolCall>(
        &mut self,
        call: &C,
        at: BlockNumberOrTag,
    ) -> Result<Option<C::Return>, TooFew> {
        self.panel.call(self.slasher, call, at).await
    }
}

impl Settler {
    /// Looks at the cases, and gives what acquits, when nothing is to be posted: whoever is on the other side of a fork has
    /// nothing to post, and every reason to answer. What is wrong with a case stops no settlement.
    pub(super) async fn answer_if_due(
        &self,
        session: &mut Session,
        account: &Account,
    ) -> Option<BoxFuture<'static, Landed>> {
        match self.answer(session, account).await {
            Ok(landing) => landing,
            Err(error) => {
                let reason = errors::chain(&error);
                tracing::warn!(
                    reason,
                    "cases on L1 cannot be seen to, and will be looked at again"
                );
                self.metrics.l1_trouble("verdict");
                None
            }
        }
    }

    async fn answer(
        &self,
        session: &mut Session,
        account: &Account,
    ) -> Result<Option<BoxFuture<'static, Landed>>, RelayError> {
        self.look_at_cases(session, account).await?;
        let (Some(relay), Some(bench)) = (&mut session.relay, &mut session.bench) else {
            return Ok(None);
        };
        let now = Instant::now();
        let Some((record, motion)) = bench.verdicts.next_answer(now, relay.turns()) else {
            return Ok(None);
        };
        let Motion::Answer(acquittal, is_own) = motion else { return Ok(None) };
        let offence = record.offence;
        let cost_max = if is_own {
            // More is at stake than what a day's postings may cost: as much again for each transaction that it takes,
            // and once more.
            let times = U256::from(acquittal.steps().saturating_add(1));
            let all = relay.reserve().saturating_mul(times);
            relay.reserve().min(all.saturating_sub(bench.verdicts.spent(offence)))
        } else {
            relay.spare(now)
        };
        if cost_max.is_zero() {
            bench.verdicts.put_off(now, offence);
            return Ok(None);
        }
        let shown = bench.ask(&acquittal.question(offence), BlockNumberOrTag::Latest).await;
        let step = match &shown {
            Ok(Some(shown)) => {
                acquittal.step(&session.contracts, offence, shown).map(|call| (call, shown.signers))
            }
            Ok(None) | Err(_) => None,
        };
        let Some((call, signers)) = step else {
            // All of it was shown, and that was not enough: it is of fewer than a quorum of the committee on L1. Or nobody
            // knows what was shown.
            bench.verdicts.put_off(now, offence);
            shown?;
            return Ok(None);
        };
        let may_move = bench.verdicts.may_move(now, offence, Some(signers));
        Ok(may_move.then(|| Self::move_case(session, account, record, (call, cost_max))).flatten())
    }

    /// Ends a case whose time is over.
    pub(super) fn resolve(
        session: &mut Session,
        account: &Account,
    ) -> Option<BoxFuture<'static, Landed>> {
        let (relay, bench) = (session.relay.as_mut()?, session.bench.as_mut()?);
        let now = Instant::now();
        let (record, _) = bench.verdicts.next_verdict(now, relay.turns())?;
        let (cost_max, offence) = (relay.spare(now), record.offence);
        if cost_max.is_zero() {
            bench.verdicts.put_off(now, offence);
            return None;
        }
        let call = Call::new(session.contracts.slasher, &ConclaveSlasher::resolveCall { offence });
        let may_move = bench.verdicts.may_move(now, offence, None);
        may_move.then(|| Self::move_case(session, account, record, (call, cost_max))).flatten()
    }

    fn move_case(
        session: &Session,
        account: &Account,
        record: Record,
        (call, cost_max): (Call, U256),
    ) -> Option<BoxFuture<'static, Landed>> {
        let first = session.bench.as_ref()?.verdicts.first_asked(record.offence);
        let sender = account.sender(&session.endpoints.beginning_with(first), cost_max);
        Some(async move { Landed::Judged(record, sender.send_instead(call).await) }.boxed())
    }

    async fn look_at_cases(
        &self,
        session: &mut Session,
        account: &Account,
    ) -> Result<(), RelayError> {
        let Some(bench) = &mut session.bench else { return Ok(()) };
        let now = Instant::now();
        if let Some(from) = bench.verdicts.stale(now) {
            let slasher = bench.slasher;
            let question =
                |provider| async move { evidence::docket(&provider, slasher, from).await };
            let dockets = bench.panel.ask(0, question).await?;
            bench.verdicts.take(now, dockets, bench.panel.count());
        }
        for record in bench.verdicts.questions(now) {
            if now.elapsed() >= ASKING_MAX {
                break;
            }
            let stage = self.stage(bench, account, record).await;
            // Where nothing is known it is asked again, after a while.
            let known = stage.as_ref().map_or(Stage::Unsure, Stage::clone);
            bench.verdicts.learn(now, record.offence, known);
            stage?;
        }
        Ok(())
    }

    /// How far a case is.
    async fn stage(
        &self,
        bench: &mut Bench,
        account: &Account,
        record: Record,
    ) -> Result<Stage, RelayError> {
        use BlockNumberOrTag::{Finalized, Latest};
        let offence = record.offence;
        let question = ConclaveSlasher::caseOfCall { offence };
        let Some(case) = bench.ask(&question, Latest).await? else { return Ok(Stage::Unsure) };
        match case.state {
            NONE => return Ok(Stage::Absent),
            OPEN => {}
            _ => {
                let before = bench.ask(&question, Finalized).await?;
                let is_final = before.is_some_and(|before| ![NONE, OPEN].contains(&before.state));
                return Ok(Stage::Closed { is_final });
            }
        }
        let reported_at = u64::try_from(case.reportedAt).unwrap_or(u64::MAX);
        if !record.is_premature_share() {
            return Ok(Stage::Open(Facts { reported_at, answer: None, is_own: false }));
        }
        let question = ConclaveSlasher::sharedBlockOfCall { offence };
        let shared =
            bench.ask(&question, Latest).await?.map(|shared| BlockId::new(shared.blockId.0));
        let Some(shared) = shared.filter(|shared| *shared != BlockId::ZERO) else {
            return Ok(Stage::Unsure);
        };
        let own = account.own;
        let facts = self.read(move |store| {
            // Only who has come to that height knows whether it has decided the block.
            if archive::block(store, Height::new(record.height))?.is_none() {
                return Ok(Stage::Early);
            }
            let answer = Acquittal::of(store, &record, shared)?.map(Arc::new);
            let committee = archive::committee(store, Epoch::new(record.epoch))?;
            let is_own = committee.is_some_and(|committee| {
                let mut members = committee.members().iter();
                let accused = members.find(|member| member.validator == record.validator);
                accused.is_some_and(|member| own == Some(member.consensus_key))
            });
            Ok(Stage::Open(Facts { reported_at, answer, is_own }))
        });
        facts.await
    }

    /// What became of it.
    pub(super) fn judged(
        &self,
        session: &mut Session,
        record: &Record,
        landed: Result<Sent, L1Error>,
    ) {
        let Some(bench) = &mut session.bench else { return };
        let (offence, validator) = (record.offence, record.validator);
        let now = Instant::now();
        // What it has cost is an endpoint's word, and it could not cost more than it might.
        let fee_max = session.relay.as_ref().map_or(U256::ZERO, Relay::reserve);
        let fee = landed.as_ref().map_or_else(L1Error::fee, Sent::fee).min(fee_max);
        let error = match landed {
            Ok(sent) => {
                tell(validator, &sent);
                return bench.verdicts.moved(now, offence, fee);
            }
            Err(error) => error,
        };
        // That somebody was faster, or that it is too late, is what one endpoint says: it is tried again until most do.
        bench.verdicts.failed(now, offence, fee);
        if error.is_refusal("NotOpen") {
            return;
        }
        if error.is_refusal("TooLate") {
            tracing::error!(validator, %offence, "what acquits is held here, and it is too late for it");
            return;
        }
        let reason = errors::chain(&error);
        tracing::warn!(validator, %offence, reason, "a case on L1 does not go on, and will be tried again");
        self.metrics.l1_trouble("verdict");
    }
}

/// Says what a transaction has done.
fn tell(validator: u32, sent: &Sent) {
    let (block, gas) = (sent.block(), sent.receipt.gas_used);
    let what = if sent.event::<ConclaveSlasher::Acquitted>().is_ok() {
        "acquitted on L1, by the certificate of the block that was shared"
    } else if sent.event::<ConclaveSlasher::Resolved>().is_ok() {
        "a case on L1 is ended"
    } else {
        "a part of what acquits was shown to L1"
    };
    tracing::info!(validator, transaction = %sent.hash(), block, gas, "{what}");
}
