//! Making the report that is due, and learning what became of it.

use std::sync::Arc;

use alloy::primitives::U256;
use conclave_sequencer::archive;
use conclave_types::{Epoch, Genesis, digest::SigningDomain};
use futures::future::{BoxFuture, FutureExt as _};
use tokio::time::Instant;

use super::{
    Account, RelayError, Settler,
    decide::Settled,
    landing::Landed,
    reporting::{self, Kept},
    session::Session,
};
use crate::{
    errors,
    l1::{
        Contracts, L1Error, Sender,
        evidence::{Exhibit, Filed, Filing, Offender},
    },
};

/// Why a report waits for another day.
const SPENT: &str = "what postings to L1 may cost today is spent (l1.relay.day_cost_gwei_max)";

impl Settler {
    /// The report of an offender that this validator is to make now.
    pub(super) async fn report(
        &self,
        session: &mut Session,
        account: &Account,
        settled: &Settled,
    ) -> Result<Option<BoxFuture<'static, Landed>>, RelayError> {
        let (Some(relay), Some((reporting, court))) = (&mut session.relay, &mut session.reporting)
        else {
            return Ok(None);
        };
        let now = Instant::now();
        let status = self.driver.snapshot().status.clone();
        if let Some(from) = reporting.stale(now, status.evidence_count) {
            let domain = SigningDomain::of(&self.genesis);
            let excused = reporting.excused();
            let found = self.read(move |store| reporting::read(store, &domain, from, &excused));
            let (found, is_early) = found.await?;
            let (count, decided) = (status.evidence_count, status.decided);
            reporting.take(now, found, Kept { count, decided, is_early });
        }
        for offender in reporting.next_questions(now) {
            let from = self.begun(offender.epoch).await?;
            reporting.learn(now, offender, court.verdict(offender, from).await?);
        }
        let accused = reporting.waiting();
        self.see(|view| {
            view.accused = accused;
            if accused == 0 {
                view.report_trouble.clear();
            }
        });
        let Some((offender, exhibit)) = reporting.due(now, relay.turns()) else { return Ok(None) };
        // Somebody may have reported it since.
        let from = self.begun(offender.epoch).await?;
        reporting.learn(now, offender, court.verdict(offender, from).await?);
        // Of what is left of the day's money, an announcement and a report take half each at most.
        let cost_max = relay.purse() / U256::from(2);
        if reporting.due(now, relay.turns()).is_none_or(|(due, _)| due != offender) {
            return Ok(None);
        }
        if cost_max.is_zero() {
            reporting.rest(now, offender);
            self.see(|view| SPENT.clone_into(&mut view.report_trouble));
            return Ok(None);
        }
        let at = settled.posting_to_prove_under(exhibit.offence.height());
        let shown = Arc::clone(&exhibit);
        let proven = self.read(move |store| exhibit.proven(store, at)).await?;
        let Some(proven) = proven else {
            // It takes what has not settled yet.
            reporting.put_off(now, offender);
            return Ok(None);
        };
        let sender = account.sender(&session.endpoints, cost_max, None);
        let (contracts, genesis) = (session.contracts, Arc::clone(&self.genesis));
        let filed = file(sender, contracts, genesis, proven);
        Ok(Some(filed.map(move |filed| Landed::Reported(offender, shown, filed)).boxed()))
    }

    /// A block of L1 before that in which an epoch was put into office, and so before any conviction of its members.
    pub(super) async fn begun(&self, epoch: Epoch) -> Result<u64, RelayError> {
        let Some(before) = epoch.as_u64().checked_sub(1).map(Epoch::new) else {
            return Ok(self.genesis.l1_origin.number);
        };
        let origin = self.read(move |store| {
            let Some(end) = archive::epoch_end(store, before)? else { return Ok(None) };
            let commitment = archive::commitment(store, end)?;
            Ok(commitment.map(|end| end.l1_origin.number))
        });
        Ok(origin.await?.unwrap_or(self.genesis.l1_origin.number))
    }

    /// What became of a report.
    #[expect(clippy::cognitive_complexity, reason = "what the macros of tracing expand to")]
    pub(super) fn reported(
        &mut self,
        session: &mut Session,
        (offender, exhibit): (Offender, &Exhibit),
        landed: Result<Filed, L1Error>,
    ) {
        let Offender { epoch, validator, .. } = offender;
        let trouble = match landed {
            Ok(Filed::Convicted(convictions)) => {
                self.metrics.reported();
                for conviction in convictions {
                    let (offence, seized_gwei) = (conviction.offence, conviction.seized_gwei);
                    tracing::info!(validator, %epoch, %offence, seized_gwei, "reported to L1");
                }
                String::new()
            }
            Ok(Filed::TakenOver(offences)) => {
                self.metrics.reported();
                tracing::info!(validator, %epoch, ?offences, "a copied report on L1 is ours");
                String::new()
            }
            Err(L1Error::Reported { offence }) => {
                tracing::debug!(validator, %epoch, %offence, "somebody was faster");
                if let Some((reporting, _)) = &mut session.reporting {
                    // Should it come to nothing there, other evidence is shown.
                    reporting.refuse(offender, exhibit);
                }
                String::new()
            }
            Err(error) if error.is_refusal("EvidenceTooOld") => {
                tracing::warn!(validator, %epoch, "evidence is too old to be reported to L1");
                if let Some((reporting, _)) = &mut session.reporting {
                    reporting.give_up(offender);
                }
                String::new()
            }
            Err(error) => {
                let reason = errors::chain(&error);
                tracing::warn!(validator, %epoch, reason, "a report to L1 failed, and will be repeated");
                self.metrics.l1_trouble("report");
                if let Some((reporting, _)) = &mut session.reporting
                    && error.is_about_content()
                {
                    reporting.refuse(offender, exhibit);
                }
                format!("report of validator {validator} in epoch {epoch}: {reason}")
            }
        };
        // L1 shows a conviction from now on; if it does not, there is a reason to try again.
        if let Some((reporting, _)) = &mut session.reporting {
            reporting.rest(Instant::now(), offender);
        }
        self.see(|view| view.report_trouble = trouble);
    }
}

async fn file(
    sender: Sender,
    contracts: Contracts,
    genesis: Arc<Genesis>,
    exhibit: Exhibit,
) -> Result<Filed, L1Error> {
    let mut filing = Filing::new(&sender, &contracts).instead();
    filing.file(&exhibit, &genesis).await
}
