//! Evidence as one takes it to L1, in the words of `ConclaveSlasher`.
//!
//! A node keeps what it saw. What leaves the node names the epoch and its committee besides, so that whoever gets it
//! can check it by the genesis alone; L1 believes neither, and checks it by the committee that it had in office.

mod acquittal;
mod court;
mod filing;
mod report;
#[cfg(test)]
mod tests;
mod wrong_share;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_consensus::Evidence;
use conclave_sequencer::{
    DoubleAttestation, ShareMessage, Store,
    archive::{self, Judged, Kept, Read},
};
use conclave_types::{
    BlockCommitment, BlockId, Committee, Digest, Epoch, Genesis, Height, Member,
    SettlementCertificate, ValidatorIndex, contradict, digest::SigningDomain,
};

pub(super) use self::court::{
    Docket, Finding, Matter, Offender, SLASHABLE_BLOCKS, Verdict, conviction, docket,
};
pub use self::{
    acquittal::Acquittal,
    court::{Record, convictions, shared_block},
    filing::{Conviction, Filed, Filing},
};
use super::L1Error;
pub use conclave_sequencer::archive::WrongShare;

/// What validators did.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Offence {
    /// One signed two votes or two proposals.
    Equivocation(Box<Evidence>),
    /// Some attested two commitments.
    DoubleAttestation(Box<DoubleAttestation>),
    /// One signed shares of a block that is not the chain's.
    PrematureShare(Box<PrematureShare>),
    /// One signed shares that are not what its secret gives.
    WrongShare(Box<WrongShare>),
}

/// Shares of a block that is not the chain's, and what shows what the chain's is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PrematureShare {
    /// The shares.
    pub shares: ShareMessage,
    /// The commitment of their height.
    pub commitment: BlockCommitment,
    /// That it has settled; none before it has. L1 takes one under an anchor for an hour at least, any other until two
    /// more postings have settled.
    pub settled: Option<SettledProof>,
}

/// What shows that a commitment has settled.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SettledProof {
    /// The height of the posting: the newest, an anchor (`ConclaveInbox.anchor`), or the one before either.
    pub under: Height,
    /// The path in the history.
    pub path: Vec<Digest>,
}

/// Evidence outside of a node.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Exhibit {
    /// The epoch in which it was done.
    pub epoch: Epoch,
    /// Its committee.
    pub committee: Vec<(ValidatorIndex, Member)>,
    /// What was done.
    pub offence: Offence,
}

/// A piece of evidence that a node keeps, for L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It is one.
    Exhibit(Exhibit),
    /// The chain of this node has not come as far as that.
    NotYet,
    /// L1 has no judge for it in this form.
    Never,
}

impl PrematureShare {
    fn convicts(&self, committee: &Committee, domain: &SigningDomain, epoch: Epoch) -> bool {
        let ShareMessage { height, block, .. } = &self.shares;
        let decided = &self.commitment;
        let is_other =
            (decided.epoch, decided.height) == (epoch, *height) && decided.block != *block;
        let is_block = *block != BlockId::ZERO;
        is_other && is_block && self.shares.is_signed(committee, domain, epoch)
    }
}

impl Exhibit {
    /// A piece of evidence that a node keeps, with what its chain says of then.
    ///
    /// # Errors
    ///
    /// If the store fails or is damaged.
    pub fn of<S: Store>(store: &S, domain: &SigningDomain, kept: Kept) -> Read<Shown, S> {
        let offence = match kept {
            Kept::Equivocation(evidence) => Offence::Equivocation(evidence),
            Kept::DoubleAttestation(evidence) => match archive::shown(store, domain, *evidence)? {
                Some(shown) => Offence::DoubleAttestation(Box::new(shown)),
                None => return Ok(Shown::NotYet),
            },
            Kept::StrayShares(shares) => {
                let Some(commitment) = archive::commitment(store, shares.height)? else {
                    return Ok(Shown::NotYet);
                };
                let share = PrematureShare { shares: *shares, commitment, settled: None };
                Offence::PrematureShare(Box::new(share))
            }
            Kept::WrongShares(shares) => match WrongShare::find(store, *shares)? {
                Judged::Wrong(share) => Offence::WrongShare(share),
                Judged::NotYet => return Ok(Shown::NotYet),
                Judged::Right => return Ok(Shown::Never),
            },
        };
        // Of one that says so itself it may be another than this node's chain has at that height.
        let epoch = match &offence {
            Offence::DoubleAttestation(both) => both.first.commitment.epoch,
            Offence::Equivocation(_) | Offence::PrematureShare(_) | Offence::WrongShare(_) => {
                let Some(block) = archive::block(store, offence.height())? else {
                    return Ok(Shown::NotYet);
                };
                block.block.header.epoch
            }
        };
        let Some(committee) = archive::committee(store, epoch)? else { return Ok(Shown::NotYet) };
        let committee = committee.iter().map(|(index, member)| (index, member.clone())).collect();
        Ok(Shown::Exhibit(Self { epoch, committee, offence }))
    }

    /// The same with what L1 asks for besides the signatures, when everything up to `settled` has settled there; none
    /// if that is not enough.
    ///
    /// # Errors
    ///
    /// If the store fails or is damaged.
    pub fn proven<S: Store>(&self, store: &S, settled: Height) -> Read<Option<Self>, S> {
        let mut proven = self.clone();
        if let Offence::PrematureShare(share) = &mut proven.offence {
            let path = archive::settled_path(store, share.shares.height, settled)?;
            let Some(path) = path else { return Ok(None) };
            share.settled = Some(SettledProof { under: settled, path });
        }
        Ok(Some(proven))
    }

    /// Whether it convicts whoever it accuses, on the network of that domain.
    #[must_use]
    pub fn convicts(&self, domain: &SigningDomain) -> bool {
        let committee = Committee::seated(self.committee.clone());
        committee.is_ok_and(|committee| self.offence.convicts(&committee, domain, self.epoch))
    }

    /// The members whom it accuses.
    pub fn accused(&self) -> impl Iterator<Item = (ValidatorIndex, &Member)> {
        let accused = self.offence.accused();
        let members = self.committee.iter().map(|(index, member)| (*index, member));
        members.filter(move |(index, _)| accused.contains(index))
    }
}

impl Offence {
    /// What it is on L1.
    pub(super) const fn matter(&self) -> Matter {
        match self {
            Self::Equivocation(_) | Self::DoubleAttestation(_) => Matter::Contradiction,
            Self::PrematureShare(_) => Matter::PrematureShare,
            Self::WrongShare(_) => Matter::WrongShare,
        }
    }

    /// The height of what was signed; the lower one, if there are two.
    #[must_use]
    pub const fn height(&self) -> Height {
        match self {
            Self::Equivocation(evidence) => evidence.at().0,
            Self::DoubleAttestation(evidence) => evidence.first.commitment.height,
            Self::PrematureShare(share) => share.shares.height,
            Self::WrongShare(share) => share.shares.height,
        }
    }

    /// Whom it convicts, if it convicts anybody.
    #[must_use]
    pub fn accused(&self) -> Vec<ValidatorIndex> {
        match self {
            Self::Equivocation(evidence) => vec![evidence.offender()],
            Self::PrematureShare(share) => vec![share.shares.validator],
            Self::WrongShare(share) => vec![share.shares.validator],
            Self::DoubleAttestation(both) => both.accused(),
        }
    }

    /// Whether the signatures convict whoever is accused.
    #[must_use]
    pub fn convicts(&self, committee: &Committee, domain: &SigningDomain, epoch: Epoch) -> bool {
        match self {
            Self::Equivocation(evidence) => evidence.verify(committee, domain, epoch),
            Self::PrematureShare(share) => share.convicts(committee, domain, epoch),
            Self::WrongShare(share) => share.convicts(committee, domain, epoch),
            Self::DoubleAttestation(both) => {
                let DoubleAttestation { first, second, held } = &**both;
                let pair = [&first.commitment, &second.commitment];
                let contradict = contradict(pair, held.as_ref(), domain);
                let signed = |certificate: &SettlementCertificate| {
                    certificate.commitment.epoch == epoch
                        && certificate.verify_signature(committee, domain).is_ok()
                };
                contradict && !self.accused().is_empty() && signed(first) && signed(second)
            }
        }
    }
}

/// What a file of evidence begins with: the layout of the rest.
const MAGIC: &[u8] = b"conclave/evidence/v1";

/// Evidence as a file.
///
/// # Panics
///
/// Never: memory takes every write.
#[must_use]
pub fn file(exhibit: &Exhibit) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "a Vec<u8> takes every write")]
    let exhibit = borsh::to_vec(exhibit).expect("encoding into memory does not fail");
    [MAGIC, &exhibit].concat()
}

/// Evidence out of a file, unchecked.
fn decode(bytes: &[u8]) -> Result<Exhibit, L1Error> {
    let exhibit = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        let name = String::from_utf8_lossy(MAGIC);
        L1Error::Evidence(format!("this is no evidence: it does not begin with `{name}`"))
    })?;
    borsh::from_slice(exhibit).map_err(|error| {
        L1Error::Evidence(format!(
            "this is no evidence as `conclave evidence export` writes it ({error})"
        ))
    })
}

/// Reads evidence and checks it as a node of the network of `genesis` would: what this refuses L1 refuses too.
///
/// # Errors
///
/// If it is none, or convicts nobody there.
pub fn read(bytes: &[u8], genesis: &Genesis) -> Result<Exhibit, L1Error> {
    let exhibit = decode(bytes)?;
    let committee = Committee::seated(exhibit.committee.clone())
        .map_err(|error| L1Error::Evidence(error.to_string()))?;
    let domain = SigningDomain::of(genesis);
    if exhibit.offence.convicts(&committee, &domain, exhibit.epoch) {
        return Ok(exhibit);
    }
    let accused: Vec<_> = exhibit.offence.accused().iter().map(ToString::to_string).collect();
    Err(L1Error::Evidence(format!(
        "this does not convict validator {} of network {}; check that the genesis is that of the evidence",
        accused.join(", "),
        domain.network
    )))
}
