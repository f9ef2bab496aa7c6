//! What has offenders answer: reports to the slasher, and the end of the cases that come of them.

use alloy::sol_types::SolEvent as _;
use conclave_contracts::{
    ConclaveSlasher::{Convicted, resolveCall},
    ConclaveStake::{committeeOfCall, epochCountCall},
    offers,
    report::{Seats, SharesOf, attestations, equivocation, premature_share},
    wrong_share::{ShareClaim, wrong_share},
};
use conclave_sequencer::{
    ShareMessage,
    archive::{Kept, ShareSeat, WrongShare},
};
use conclave_types::{
    BlockCommitment, Committee, Digest, Epoch, Height, ValidatorIndex, digest::SigningDomain,
};

use super::{Contracts, L1Fault, Witness, operators::operator};
use crate::{l1::evm::Call, random::Random};

/// Gas of a report: two certificates of the largest committee, or two signatures of a consensus key.
const REPORT_GAS: u64 = 4_000_000;
const RESOLVE_GAS: u64 = 1_000_000;
/// How long a case is open, and a second (`ConclaveSlasher.RESOLUTION`).
const RESOLUTION_MS: u64 = 3 * 86_400_000 + 1_000;

/// Evidence that a validator keeps, and the committee of its epoch.
pub(crate) struct Accusation<'a> {
    pub(crate) evidence: &'a Kept,
    pub(crate) accused: &'a [ValidatorIndex],
    pub(crate) epoch: Epoch,
    pub(crate) committee: &'a Committee,
    pub(crate) domain: SigningDomain,
    /// What the evidence says nothing without.
    pub(crate) besides: Besides,
}

/// What a node's own chain adds to evidence.
pub(crate) enum Besides {
    /// It speaks for itself.
    Nothing,
    /// What the chain's block at its height is.
    Settled(Box<Proof>),
    /// Which share is wrong, and what judges it.
    Wrong(Box<WrongShare>),
}

/// A commitment that has settled, and what shows it.
pub(crate) struct Proof {
    pub(crate) commitment: BlockCommitment,
    /// The height of the posting.
    pub(crate) under: Height,
    /// The path in the history that it is of.
    pub(crate) path: Vec<Digest>,
}

impl Contracts {
    /// A relayer reports an offender, if L1 has come to the epoch in which it was one.
    pub(in crate::l1) fn report(
        &mut self,
        validator: u32,
        accusation: &Accusation<'_>,
    ) -> Result<(), L1Fault> {
        let Accusation { evidence, accused, epoch, committee, domain, besides } = accusation;
        let unanswered = |_refused| L1Fault::NoAnswer(self.number());
        let epochs = self.ethereum.ask(self.deployed.stake, &epochCountCall {})?;
        if epochs.map_err(unanswered)? <= epoch.as_u64() {
            return Ok(());
        }
        let question = committeeOfCall { epoch: epoch.as_u64() };
        let table = self.ethereum.ask(self.deployed.stake, &question)?.map_err(unanswered)?.table;
        let rows = offers::rows(self.ethereum.code(table)).unwrap_or_default();
        let members = committee.iter().map(|(index, member)| (index, member.consensus_key));
        let seats = Seats::new(members, &rows);
        let shown = match evidence {
            Kept::Equivocation(evidence) => equivocation(evidence, &seats, (domain, *epoch)),
            Kept::DoubleAttestation(both) => attestations(
                [&both.first, &both.second],
                both.held.as_ref(),
                accused,
                &seats,
                domain,
            ),
            Kept::StrayShares(message) => {
                let Besides::Settled(proof) = besides else { return Ok(()) };
                let Proof { commitment, under, path } = &**proof;
                premature_share(&shares_of(message), commitment, (*under, path), &seats)
            }
            Kept::WrongShares(message) => {
                let Besides::Wrong(wrong) = besides else { return Ok(()) };
                let Some(claim) = claim(wrong, committee) else { return Ok(()) };
                wrong_share(&shares_of(message), &claim, &seats)
            }
        };
        // A member that L1 does not list has nothing at stake there.
        let Ok(shown) = shown else { return Ok(()) };
        let (from, to) = (operator(validator), Some(self.deployed.slasher));
        self.ethereum.send(Call::of(from, to, shown.call, REPORT_GAS));
        Ok(())
    }

    /// Days later: every case that was opened is ended.
    pub(in crate::l1) fn close(&mut self, random: &mut Random) -> Result<Witness, L1Fault> {
        self.zero_ms = self.zero_ms.saturating_add(RESOLUTION_MS);
        let logs = self.ethereum.blocks().iter().flat_map(|sealed| &sealed.logs);
        let of_slasher = logs.filter(|log| log.address == self.deployed.slasher);
        let offences = of_slasher.filter_map(|log| Convicted::decode_log(log).ok());
        let resolve = |offence| {
            Call::new(operator(1), self.deployed.slasher, &resolveCall { offence }, RESOLVE_GAS)
        };
        let calls: Vec<_> = offences.map(|convicted| resolve(convicted.offence)).collect();
        for call in calls {
            self.ethereum.send(call);
        }
        let mut witness = self.witness()?;
        while self.ethereum.waiting() > 0 {
            (_, witness) = self.seal(random, usize::MAX)?;
        }
        Ok(witness)
    }
}

/// What of a share message L1 is shown.
fn shares_of(message: &ShareMessage) -> SharesOf<'_> {
    let ShareMessage { epoch, height, block, validator, shares, signature } = message;
    let (epoch, height, block, validator) = (*epoch, *height, *block, *validator);
    SharesOf { epoch, height, block, validator, root: ShareMessage::root(shares), signature }
}

/// The claim that L1 judges; none if the sender of the share holds no such point.
fn claim<'a>(share: &'a WrongShare, committee: &Committee) -> Option<ShareClaim<'a>> {
    let ShareSeat { point, place, sub_batch } = share.seat(committee)?;
    let WrongShare { shares, index, header, sharing, bundles } = share;
    let (shares, index) = (shares.shares.as_slice(), usize::try_from(*index).ok()?);
    Some(ShareClaim { shares, index, point, place, sub_batch, header, sharing, bundles })
}
