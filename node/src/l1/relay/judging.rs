//! Seeing to the cases on L1: looking what there is, and doing what is due ([`super::verdicts`]).

use std::{sync::Arc, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, U256},
    sol_types::SolCall,
};
use conclave_contracts::{ConclaveSlasher, ConclaveStake};
use conclave_sequencer::archive;
use conclave_types::{BlockId, Epoch, Height};
use futures::future::{BoxFuture, FutureExt as _};
use tokio::time::Instant;

use super::{
    Account, RelayError, Settler,
    decide::Relay,
    landing::Landed,
    session::Session,
    verdicts::{Facts, Limits, Motion, Stage, Verdicts},
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
        let answer = endpoints.call(slasher, &ConclaveSlasher::RESOLUTIONCall {}).await?;
        let lapse = ConclaveStake::SEIZURE_SECONDS_MAXCall {};
        let limits = Limits {
            answer: u64::try_from(answer).unwrap_or(u64::MAX),
            lapse: endpoints.call(contracts.stake, &lapse).await?,
        };
        let takeover = account.config.takeover();
        let verdicts = Verdicts::new(takeover, limits, from_block, Instant::now());
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
        let spent = account.book.spent_on(offence);
        let cost_max =
            if is_own { defence(relay, acquittal.steps(), spent) } else { relay.spare() };
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
        Ok(may_move.then(|| Self::move_case(session, account, record, (call, cost_max))))
    }

    /// Ends a case whose time is over.
    pub(super) fn resolve(
        session: &mut Session,
        account: &Account,
    ) -> Option<BoxFuture<'static, Landed>> {
        let (relay, bench) = (session.relay.as_mut()?, session.bench.as_mut()?);
        let now = Instant::now();
        let (record, motion) = bench.verdicts.next_verdict(now, relay.turns())?;
        let (cost_max, offence) = (relay.spare(), record.offence);
        if cost_max.is_zero() {
            bench.verdicts.put_off(now, offence);
            return None;
        }
        let call = match motion {
            Motion::Resolve => {
                Call::new(session.contracts.slasher, &ConclaveSlasher::resolveCall { offence })
            }
            Motion::Lapse => {
                Call::new(session.contracts.slasher, &ConclaveSlasher::lapseCall { offence })
            }
            Motion::Answer(..) => return None,
        };
        let may_move = bench.verdicts.may_move(now, offence, None);
        may_move.then(|| Self::move_case(session, account, record, (call, cost_max)))
    }

    fn move_case(
        session: &Session,
        account: &Account,
        record: Record,
        (call, cost_max): (Call, U256),
    ) -> BoxFuture<'static, Landed> {
        let sender = account.sender(&session.endpoints, cost_max, Some(record.offence));
        async move { Landed::Judged(record, sender.send_instead(call).await) }.boxed()
    }

    async fn look_at_cases(
        &self,
        session: &mut Session,
        account: &Account,
    ) -> Result<(), RelayError> {
        let Some(bench) = &mut session.bench else { return Ok(()) };
        let now = Instant::now();
        if bench.verdicts.is_stale(now) {
            let (slasher, verdicts) = (bench.slasher, &bench.verdicts);
            let question = |from: &str, provider| {
                let blocks = verdicts.window(from);
                async move { evidence::docket(&provider, slasher, blocks).await }
            };
            let dockets = bench.panel.ask_by_address(0, question).await;
            let failed: Vec<String> =
                bench.panel.failures().map(|(from, _)| from.to_owned()).collect();
            for from in failed {
                bench.verdicts.narrow(&from);
            }
            bench.verdicts.take(now, dockets?, bench.panel.count());
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
        if case.state != OPEN {
            let before = bench.ask(&question, Finalized).await?;
            return Ok(over(case.state, before.map(|before| before.state)));
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
        let was_sent = landed.as_ref().map_or_else(|error| !error.fee().is_zero(), |_| true);
        let error = match landed {
            Ok(sent) => {
                tell(validator, &sent);
                return bench.verdicts.moved(now, offence);
            }
            Err(error) => error,
        };
        bench.verdicts.failed(now, offence, was_sent);
        // Somebody was faster.
        if error.is_refusal("NotOpen") {
            return;
        }
        // Nobody ended it in time, and somebody has had the stake contract give back what was seized.
        if error.is_refusal("OffenceNotOpen") {
            return bench.verdicts.has_lapsed(offence);
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

/// What may be spent now to show what acquits this validator itself, if so much was before. More is at stake than what a
/// day's postings may cost: as much again for each transaction that it takes, and once more.
fn defence(relay: &Relay, steps: usize, spent: U256) -> U256 {
    let times = U256::from(steps.saturating_add(1));
    let all = relay.reserve().saturating_mul(times);
    relay.reserve().min(all.saturating_sub(spent))
}

/// How far a case is that is not open, if that is what most endpoints said of the newest final block.
fn over(state: u8, finally: Option<u8>) -> Stage {
    if state == NONE {
        return Stage::Absent;
    }
    Stage::Closed { is_final: finally.is_some_and(|finally| ![NONE, OPEN].contains(&finally)) }
}

/// Says what a transaction has done.
fn tell(validator: u32, sent: &Sent) {
    let (block, gas) = (sent.block(), sent.receipt.gas_used);
    let what = if sent.event::<ConclaveSlasher::Acquitted>().is_ok() {
        "acquitted on L1, by the certificate of the block that was shared"
    } else if sent.event::<ConclaveSlasher::Lapsed>().is_ok() {
        "a case on L1 has lapsed, and whoever was accused has its stake back"
    } else if sent.event::<ConclaveSlasher::Resolved>().is_ok() {
        "a case on L1 is ended"
    } else {
        "a part of what acquits was shown to L1"
    };
    tracing::info!(validator, transaction = %sent.hash(), block, gas, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l1::relay::decide::Policy;

    #[test]
    fn a_case_is_over_for_good_if_most_call_that_final() {
        let closed = |is_final| Stage::Closed { is_final };
        // Acquitted, resolved and lapsed.
        for state in [2, 3, 4] {
            for (finally, is_final) in
                [(None, false), (Some(NONE), false), (Some(OPEN), false), (Some(state), true)]
            {
                assert_eq!(over(state, finally), closed(is_final), "{state}, {finally:?}");
            }
        }
        assert_eq!(over(NONE, Some(3)), Stage::Absent, "it went away");
    }

    #[test]
    fn ones_own_defence_may_cost_a_days_money_for_each_step_and_once_more() {
        let policy = Policy {
            every_heights: 1,
            every: Duration::ZERO,
            takeover: Duration::ZERO,
            day_max: U256::from(1_000),
            posting_max: U256::from(400),
        };
        let mut relay = Relay::new(policy, Instant::now());
        relay.count(U256::from(5_000));
        for (steps, spent, expected) in
            [(1, 0, 1_000), (1, 1_000, 1_000), (1, 1_300, 700), (1, 2_000, 0), (3, 3_500, 500)]
        {
            let allowed = defence(&relay, steps, U256::from(spent));
            assert_eq!(allowed, U256::from(expected), "{steps} steps, {spent} spent");
        }
    }
}
