//! Evidence as one reports it: the calls of `conclave_contracts::report`, and those that take what a node's store shows.

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol_types::SolValue as _,
};
use conclave_contracts::{
    report::{
        Contradiction, ReportError, Seats, SharesOf, attestations, equivocation, premature_share,
    },
    wrong_share::wrong_share,
};
use conclave_sequencer::ShareMessage;
use conclave_types::{Committee, SettlementMember, digest::SigningDomain};

use super::{Exhibit, Offence, PrematureShare, SettledProof, WrongShare, wrong_share::claim};
use crate::l1::{Call, Contracts, L1Error};

/// A report, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// What reports it.
    pub(super) call: Call,
    /// Each offence that it shows, by its identity on L1.
    pub(super) offences: Vec<B256>,
    /// The first half of the evidence's hash, as a number.
    evidence: U256,
}

impl Report {
    /// The report of an exhibit, `rows` being the committee of its epoch as L1 lists it.
    pub(super) fn of(
        exhibit: &Exhibit,
        rows: &[SettlementMember],
        domain: &SigningDomain,
        contracts: &Contracts,
    ) -> Result<Self, L1Error> {
        let members = exhibit.committee.iter();
        let members = members.map(|(index, member)| (*index, member.consensus_key));
        let (seats, epoch) = (Seats::new(members, rows), exhibit.epoch);
        match &exhibit.offence {
            Offence::Equivocation(evidence) => {
                let shown = equivocation(evidence, &seats, (domain, epoch));
                Ok(Self::contradiction(shown.map_err(refused)?, contracts))
            }
            Offence::DoubleAttestation(both) => {
                let accused = exhibit.offence.accused();
                let shown = attestations(
                    [&both.first, &both.second],
                    both.held.as_ref(),
                    &accused,
                    &seats,
                    domain,
                );
                Ok(Self::contradiction(shown.map_err(refused)?, contracts))
            }
            Offence::PrematureShare(share) => premature(share, &seats, contracts),
            Offence::WrongShare(share) => wrong(share, exhibit, &seats, contracts),
        }
    }

    fn contradiction(shown: Contradiction, contracts: &Contracts) -> Self {
        let Contradiction { call, offences, evidence } = shown;
        let to = Some(contracts.slasher);
        let call = Call { to, value: U256::ZERO, data: call, gas: None };
        Self { call, offences, evidence }
    }

    /// What `reporter` announces before it reports one of the offences.
    pub(super) fn seal(&self, offence: B256, reporter: Address, salt: B256) -> B256 {
        keccak256((offence, self.evidence, reporter, salt).abi_encode())
    }
}

/// Why L1 cannot be told, in the words of the node.
fn refused(error: ReportError) -> L1Error {
    match error {
        ReportError::Stranger(_) => L1Error::Missing { what: error.to_string() },
        ReportError::NoPoint | ReportError::NoShare => L1Error::Evidence(error.to_string()),
    }
}

fn premature(
    share: &PrematureShare,
    seats: &Seats,
    contracts: &Contracts,
) -> Result<Report, L1Error> {
    let Some(SettledProof { under, path }) = &share.settled else {
        let what = format!(
            "a proof that height {} has settled: a validator that keeps this evidence reports it with one",
            share.shares.height
        );
        return Err(L1Error::Missing { what });
    };
    let shares = shares_of(&share.shares);
    let shown = premature_share(&shares, &share.commitment, (*under, path), seats);
    Ok(Report::contradiction(shown.map_err(refused)?, contracts))
}

fn wrong(
    share: &WrongShare,
    exhibit: &Exhibit,
    seats: &Seats,
    contracts: &Contracts,
) -> Result<Report, L1Error> {
    let committee = Committee::seated(exhibit.committee.clone());
    let committee = committee.map_err(|error| L1Error::Evidence(error.to_string()))?;
    let claim = claim(share, &committee).ok_or_else(|| refused(ReportError::NoShare))?;
    let shown = wrong_share(&shares_of(&share.shares), &claim, seats);
    Ok(Report::contradiction(shown.map_err(refused)?, contracts))
}

/// What of a share message L1 is shown.
fn shares_of(message: &ShareMessage) -> SharesOf<'_> {
    let ShareMessage { epoch, height, block, validator, shares, signature } = message;
    let (epoch, height, block, validator) = (*epoch, *height, *block, *validator);
    SharesOf { epoch, height, block, validator, root: ShareMessage::root(shares), signature }
}
