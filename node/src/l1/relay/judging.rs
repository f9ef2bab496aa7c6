//! Seeing to the cases on L1: looking what there is, and doing what is due ([`super::verdicts`]).

use std::sync::Arc;

use alloy::primitives::{Address, U256};
use conclave_contracts::ConclaveSlasher;
use conclave_sequencer::archive;
use conclave_types::{Epoch, Height};
use futures::future::{BoxFuture, FutureExt as _};
use tokio::time::Instant;

use super::{
    Account, Landed, RelayError, Session, Settler,
    verdicts::{Facts, Motion, Stage, Verdicts},
};
use crate::{
    errors,
    l1::{
        Call, Contracts, Endpoints, L1Error, Sent,
        evidence::{self, Acquittal, Record},
        panel::Panel,
    },
};

/// `State` in `contracts/src/interfaces/IConclaveSlasher.sol`.
const NONE: u8 = 0;
const OPEN: u8 = 1;

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
}

impl Settler {
    /// Looks at the cases, and gives what acquits. Settling waits for it, not the other way round: whoever is on the other
    /// side of a fork has nothing to post, and every reason to answer. But what is wrong with a case stops no settlement.
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
        // More is at stake than what a day's postings may cost.
        let cost_max = if is_own { relay.reserve() } else { relay.purse(now) };
        let step = acquittal.step(&session.endpoints, &session.contracts, record.offence).await;
        if step.is_err() {
            bench.verdicts.rest(now, record.offence, true);
        }
        let step = step?;
        // All of it was shown, and that was not enough: it is of fewer than a quorum of the committee on L1.
        let Some(call) = step else {
            bench.verdicts.give_up(record.offence);
            return Ok(None);
        };
        Ok(Some(self.move_case(session, account, record, (call, cost_max))))
    }

    /// Ends a case whose time is over.
    pub(super) fn resolve(
        &self,
        session: &mut Session,
        account: &Account,
    ) -> Option<BoxFuture<'static, Landed>> {
        let (relay, bench) = (session.relay.as_mut()?, session.bench.as_mut()?);
        let now = Instant::now();
        let (record, _) = bench.verdicts.next_verdict(now, relay.turns())?;
        let cost_max = relay.purse(now);
        let offence = record.offence;
        let call = Call::new(session.contracts.slasher, &ConclaveSlasher::resolveCall { offence });
        Some(self.move_case(session, account, record, (call, cost_max)))
    }

    fn move_case(
        &self,
        session: &Session,
        account: &Account,
        record: Record,
        (call, cost_max): (Call, U256),
    ) -> BoxFuture<'static, Landed> {
        let sender = account.sender(&session.endpoints, cost_max);
        async move { Landed::Judged(record, sender.send_instead(call).await) }.boxed()
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
            bench.verdicts.take(now, dockets.into_iter().map(|(_, docket)| docket).collect());
        }
        for record in bench.verdicts.questions(now) {
            let (endpoints, contracts) = (&session.endpoints, &session.contracts);
            let stage = self.stage(endpoints, contracts, account, record).await;
            // Where nothing is known it is asked again, after a while.
            let known = stage.as_ref().map_or(Stage::Unknown, Stage::clone);
            bench.verdicts.learn(now, record.offence, known);
            stage?;
        }
        Ok(())
    }

    /// How far a case is.
    async fn stage(
        &self,
        endpoints: &Endpoints,
        contracts: &Contracts,
        account: &Account,
        record: Record,
    ) -> Result<Stage, RelayError> {
        let offence = record.offence;
        let case =
            endpoints.call(contracts.slasher, &ConclaveSlasher::caseOfCall { offence }).await?;
        match case.state {
            NONE => return Ok(Stage::Unknown),
            OPEN => {}
            _ => return Ok(Stage::Closed),
        }
        let reported_at = u64::try_from(case.reportedAt).unwrap_or(u64::MAX);
        if !record.is_premature_share() {
            return Ok(Stage::Open(Facts { reported_at, answer: None, is_own: false }));
        }
        let shared = evidence::shared_block(endpoints, contracts, offence).await?;
        let own = account.own;
        let facts = self.read(move |store| {
            // Only who has come to that height knows whether it has decided the block.
            if archive::block(store, Height::new(record.height))?.is_none() {
                return Ok(Stage::Unknown);
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
        match landed {
            Ok(sent) => {
                tell(validator, &sent);
                bench.verdicts.rest(now, offence, false);
            }
            // Somebody was faster.
            Err(error) if error.is_refusal("NotOpen") => bench.verdicts.rest(now, offence, false),
            Err(error) if error.is_refusal("TooLate") => {
                tracing::error!(validator, %offence, "what acquits is held here, and it is too late for it");
                bench.verdicts.give_up(offence);
            }
            Err(error) => {
                let reason = errors::chain(&error);
                tracing::warn!(validator, %offence, reason, "a case on L1 does not go on, and will be tried again");
                self.metrics.l1_trouble("verdict");
                bench.verdicts.rest(now, offence, true);
            }
        }
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
