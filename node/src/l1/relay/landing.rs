//! What became of what was sent.

use std::sync::Arc;

use conclave_types::{Epoch, Height};
use tokio::time::Instant;

use super::{Settler, decide::Settled, session::Session};
use crate::{
    errors,
    l1::{
        L1Error, Sent,
        evidence::{Exhibit, Filed, Offender, Record},
    },
};

/// What became of it.
pub(super) enum Landed {
    /// The certificate of a height.
    Posted(Height, Result<Sent, L1Error>),
    /// A committee for an epoch.
    Offered(Epoch, Result<Sent, L1Error>),
    /// A report, by which evidence.
    Reported(Offender, Arc<Exhibit>, Result<Filed, L1Error>),
    /// Something that brings a case forward.
    Judged(Record, Result<Sent, L1Error>),
}

impl Settler {
    /// Something has landed that left when L1 stood at `from`.
    pub(super) async fn landed(&mut self, session: &mut Session, from: Settled, landed: Landed) {
        let (height, landed) = match landed {
            Landed::Posted(height, landed) => (height, landed),
            Landed::Offered(epoch, landed) => return self.offered(session, epoch, landed),
            Landed::Reported(offender, exhibit, landed) => {
                return self.reported(session, (offender, &exhibit), landed);
            }
            Landed::Judged(record, landed) => return self.judged(session, &record, landed),
        };
        let error = match landed {
            Ok(sent) => {
                self.stuck = None;
                self.metrics.posted();
                let (block, gas) = (sent.block(), sent.receipt.gas_used);
                tracing::info!(%height, transaction = %sent.hash(), block, gas, "posted to L1");
                return;
            }
            Err(error) => error,
        };
        let is_priced_out = matches!(error, L1Error::TooDear { .. });
        if let Some(relay) = &mut session.relay {
            relay.failed(Instant::now(), is_priced_out);
        }
        let at = |settled: &Settled| (settled.epoch, settled.height);
        match session.watch.look().await {
            Ok(found) if at(&found.settled) != at(&from) => {
                tracing::debug!(%height, error = errors::chain(&error), "somebody was faster");
            }
            Ok(_) | Err(_) => {
                self.see(|view| view.capped |= is_priced_out);
                self.stuck = Some(self.ill(self.stuck.as_ref(), &error.into()));
            }
        }
    }

    fn offered(&mut self, session: &mut Session, epoch: Epoch, landed: Result<Sent, L1Error>) {
        match landed {
            Ok(sent) => {
                if let Some(offering) = &mut session.offering {
                    offering.offered(Instant::now(), epoch);
                }
                let (block, gas) = (sent.block(), sent.receipt.gas_used);
                tracing::info!(%epoch, transaction = %sent.hash(), block, gas, "committee offered on L1");
            }
            Err(error) => self.stuck = Some(self.ill(self.stuck.as_ref(), &error.into())),
        }
    }
}
