//! Taking evidence to L1: announced first, then reported, and taken over from whoever copied the report.
//!
//! ```text
//!  announce(seal) ─▶ in a block ─▶ report ─▶ convicted
//!                                    └─ AlreadyReported ─▶ claimReport ─▶ ours, if the seal is older
//! ```
//!
//! Whoever sees a report that waits can copy it and be first; a seal shows nothing, and the older one wins. So
//! nothing of the evidence leaves before its seal is in a block, not even to have the gas of the report estimated.
//!
//! **Invariant.** All of it can be broken off anywhere and done again, by the same account: the salt of a seal
//! follows from the account's key, and what L1 has is not sent again.

use alloy::primitives::B256;
use conclave_contracts::{
    ConclaveSlasher::{self, Convicted},
    bindings::slasher::IConclaveSlasher::Case,
};
use conclave_types::{Genesis, digest::SigningDomain};

use super::{Exhibit, report::Report};
use crate::l1::{Call, Contracts, L1Error, Sender, Sent, election};

/// The state of an offence that nobody has reported (`State` in `contracts/src/interfaces/IConclaveSlasher.sol`).
const NONE: u8 = 0;

/// A conviction that came of a report.
#[derive(Clone, Copy, Debug)]
pub struct Conviction {
    /// The offence's identity on L1.
    pub offence: B256,
    /// The validator's number on L1.
    pub validator: u32,
    /// What was seized, in gwei.
    pub seized_gwei: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Filed {
    /// L1 has convicted them.
    Convicted(Vec<Conviction>),
    /// Somebody else's report was first, and became ours: these offences.
    TakenOver(Vec<B256>),
}

/// One piece of evidence on its way to L1.
pub struct Filing<'a> {
    sender: &'a Sender,
    contracts: &'a Contracts,
    /// Whether to send in place of what waits.
    instead: bool,
    sent: Vec<(&'static str, Sent)>,
}

impl<'a> Filing<'a> {
    /// From that account, behind whatever else it has sent.
    #[must_use]
    pub const fn new(sender: &'a Sender, contracts: &'a Contracts) -> Self {
        Self { sender, contracts, instead: false, sent: Vec::new() }
    }

    /// In place of whatever of the account waits ([`Sender::send_instead`]).
    #[must_use]
    pub(in crate::l1) fn instead(self) -> Self {
        Self { instead: true, ..self }
    }

    /// The transactions that were sent, each under a word for what it is.
    #[must_use]
    pub fn into_sent(self) -> Vec<(&'static str, Sent)> {
        self.sent
    }

    /// Announces, reports, and takes over. What the offenders have at stake is seized at once.
    ///
    /// # Errors
    ///
    /// [`L1Error::Reported`] if somebody else did before; else if the contract refuses, or it costs too much.
    pub async fn file(&mut self, exhibit: &Exhibit, genesis: &Genesis) -> Result<Filed, L1Error> {
        let report = self.report(exhibit, genesis).await?;
        if self.is_known(&report).await? {
            return self.take_over(&report).await;
        }
        self.announce_all(&report).await?;
        match self.send("reported", report.call.clone()).await {
            Ok(()) => Ok(Filed::Convicted(self.convictions())),
            Err(error) if error.is_refusal("AlreadyReported") => self.take_over(&report).await,
            Err(error) => Err(error),
        }
    }

    /// Only announces.
    ///
    /// # Errors
    ///
    /// If the contract refuses, or it costs too much.
    pub async fn announce(&mut self, exhibit: &Exhibit, genesis: &Genesis) -> Result<(), L1Error> {
        let report = self.report(exhibit, genesis).await?;
        self.announce_all(&report).await
    }

    async fn report(&self, exhibit: &Exhibit, genesis: &Genesis) -> Result<Report, L1Error> {
        let endpoints = self.sender.endpoints();
        let rows = election::serving(endpoints, self.contracts, exhibit.epoch).await?;
        Report::of(exhibit, &rows, &SigningDomain::of(genesis), self.contracts)
    }

    /// Whether each of the offences was reported before.
    async fn is_known(&self, report: &Report) -> Result<bool, L1Error> {
        for offence in &report.offences {
            if self.case(*offence).await?.state == NONE {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn case(&self, offence: B256) -> Result<Case, L1Error> {
        let question = ConclaveSlasher::caseOfCall { offence };
        self.sender.endpoints().call(self.contracts.slasher, &question).await
    }

    async fn announce_all(&mut self, report: &Report) -> Result<(), L1Error> {
        for offence in &report.offences {
            let salt = self.sender.salt(*offence);
            let seal = report.seal(*offence, self.sender.address(), salt);
            let call = ConclaveSlasher::announceCall { seal };
            match self.send("announced", Call::new(self.contracts.slasher, &call)).await {
                Err(error) if error.is_refusal("AlreadyAnnounced") => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Claims the report of each offence that was announced from here before somebody else reported it.
    async fn take_over(&mut self, report: &Report) -> Result<Filed, L1Error> {
        let mut ours = Vec::new();
        for offence in &report.offences {
            if self.case(*offence).await?.reporter == self.sender.address() {
                continue;
            }
            let salt = self.sender.salt(*offence);
            let call = ConclaveSlasher::claimReportCall { offence: *offence, salt };
            match self.send("taken over", Call::new(self.contracts.slasher, &call)).await {
                Ok(()) => ours.push(*offence),
                // Not announced, or not before; or the case is closed.
                Err(error)
                    if ["NotAnnounced", "LaterThanTheReport", "NotOpen"]
                        .iter()
                        .any(|name| error.is_refusal(name)) => {}
                Err(error) => return Err(error),
            }
        }
        match (ours.is_empty(), report.offences.first()) {
            (true, Some(offence)) => Err(L1Error::Reported { offence: *offence }),
            (true, None) | (false, _) => Ok(Filed::TakenOver(ours)),
        }
    }

    async fn send(&mut self, what: &'static str, call: Call) -> Result<(), L1Error> {
        let sent = if self.instead {
            self.sender.send_instead(call).await
        } else {
            self.sender.send(call).await
        };
        self.sent.push((what, sent?));
        Ok(())
    }

    fn convictions(&self) -> Vec<Conviction> {
        let told = self.sent.last().map(|(_, sent)| sent.events::<Convicted>());
        let conviction = |told: Convicted| Conviction {
            offence: told.offence,
            validator: told.validator,
            seized_gwei: u64::try_from(told.seized).unwrap_or(u64::MAX),
        };
        told.into_iter().flatten().map(conviction).collect()
    }
}
