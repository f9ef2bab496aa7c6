//! CPU work that a step asks for. A job is a pure function of what it carries; the node runs jobs on a
//! thread pool, the simulator in line with a modelled cost.

mod opening;
mod settlement;
mod shares;
mod sharing;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_encryption::{
    Checked, Complaint, DealError, Dealing, Dkg, SealingKey, SecretShare, ShareUnavailable,
};
use conclave_mempool::admission::{self, AdmissionError, Verified};
use conclave_types::{
    BlockId, BundleId, Digest, EncryptedBundle, G2Bytes, Height, SettlementCertificate,
    ValidatorIndex,
};

pub use self::{
    opening::{
        CheckPartsJob, CombineFailure, CombineJob, CombinedPart, OpenJob, OpenedBlock, ShownPart,
        WrongOpenings, decrypt,
    },
    settlement::{AttestJob, CertifyJob, CheckCertificateJob},
    shares::{
        KnownShares, LoneShares, OwnSecrets, ShareAloneJob, ShareJob, SharedBlock, capsule_point,
        encapsulation,
    },
    sharing::{DealJob, InspectJob, ReceiveJob, SharingCheckJob},
};
use crate::{input::Peer, keys::BadSharing, reveal::Source};

/// The place of a job among all that a sequencer has asked for since it was recovered, from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct JobNumber(u64);

impl JobNumber {
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for JobNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A piece of CPU work. What a job carries is open to the shell, which may know the answer already: a
/// simulator that runs every validator in one process has seen the others' jobs.
#[derive(Debug)]
pub enum Job {
    /// Check payer signatures and validity proofs.
    Verify(VerifyJob),
    /// Compute this validator's shares of bundles that no block has taken yet.
    ShareAlone(ShareAloneJob),
    /// Prepare a decided block for opening and compute this validator's shares of it.
    Share(ShareJob),
    /// Open a part of a decided block out of a quorum's shares.
    Combine(CombineJob),
    /// Check openings of a decided block that others have shown.
    CheckParts(CheckPartsJob),
    /// Check the openings of a decided block that others gave, and decrypt its bundles.
    Open(OpenJob),
    /// Check messages that make or hand on the key.
    CheckSharing(SharingCheckJob),
    /// Deal this validator's polynomial.
    Deal(DealJob),
    /// Look for wrong evaluations in the dealings.
    Inspect(InspectJob),
    /// Add up this validator's shares of the new key.
    Receive(ReceiveJob),
    /// Sign a commitment.
    Attest(AttestJob),
    /// Add up a quorum's attestations.
    Certify(CertifyJob),
    /// Check the certificate of a commitment that a peer has sent.
    CheckCertificate(CheckCertificateJob),
}

/// What a job found.
#[derive(Clone, Debug)]
pub enum JobOutput {
    /// One verdict for each bundle, in the order given.
    Verified(Vec<(Arc<EncryptedBundle>, Result<Verified, AdmissionError>)>),
    /// Shares of bundles that no block has taken yet.
    SharedAlone(LoneShares),
    /// A block prepared for opening.
    Shared(SharedBlock),
    /// A part of a block opened, or what stood in the way.
    Combined {
        /// The height.
        height: Height,
        /// The block.
        block: BlockId,
        /// The result.
        result: Result<CombinedPart, CombineFailure>,
    },
    /// What was shown of a block, checked, or who showed wrong openings.
    PartsChecked {
        /// The height.
        height: Height,
        /// The block.
        block: BlockId,
        /// The parts that are right, each with who showed it.
        result: Result<Vec<(usize, Source)>, WrongOpenings>,
    },
    /// A block opened, or who gave wrong openings.
    Opened {
        /// The height.
        height: Height,
        /// The block.
        block: BlockId,
        /// The result.
        result: Result<OpenedBlock, WrongOpenings>,
    },
    /// Messages of a sharing, judged.
    SharingChecked {
        /// The newest decided height when they were.
        at: Height,
        /// One for each message.
        verdicts: Vec<(Digest, Result<Checked, BadSharing>)>,
    },
    /// This validator's dealing.
    Dealt {
        /// The attempt.
        dkg: Box<Dkg>,
        /// The result.
        result: Result<Box<Dealing>, DealError>,
    },
    /// What is to be complained about.
    Inspected {
        /// The attempt.
        dkg: Box<Dkg>,
        /// The complaints.
        complaints: Vec<Complaint>,
    },
    /// This validator's shares.
    Received {
        /// The attempt.
        dkg: Box<Dkg>,
        /// The result.
        result: Result<Vec<(u16, Arc<SecretShare>)>, ShareUnavailable>,
    },
    /// A commitment, signed.
    Attested {
        /// The height.
        height: Height,
        /// The signature.
        signature: G2Bytes,
    },
    /// The sum of attestations with those who made it, or whose are wrong.
    Certified {
        /// The height.
        height: Height,
        /// The result.
        result: Result<(Vec<ValidatorIndex>, G2Bytes), Vec<ValidatorIndex>>,
    },
    /// A peer's certificate, checked.
    CertificateChecked {
        /// Who sent it.
        from: Peer,
        /// The certificate.
        certificate: Arc<SettlementCertificate>,
        /// Whether it is a quorum's.
        holds: bool,
    },
}

impl Job {
    /// Does the work.
    #[must_use]
    pub fn run(self) -> JobOutput {
        match self {
            Self::Verify(job) => job.run(),
            Self::ShareAlone(job) => job.run(),
            Self::Share(job) => job.run(),
            Self::Combine(job) => job.run(),
            Self::CheckParts(job) => job.run(),
            Self::Open(job) => job.run(),
            Self::CheckSharing(job) => job.run(),
            Self::Deal(job) => job.run(),
            Self::Inspect(job) => job.run(),
            Self::Receive(job) => job.run(),
            Self::Attest(job) => job.run(),
            Self::Certify(job) => job.run(),
            Self::CheckCertificate(job) => job.run(),
        }
    }

    /// The kind, for metrics and for the simulator's cost model.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Verify(_) => "verify",
            Self::ShareAlone(_) => "share_alone",
            Self::Share(_) => "share",
            Self::Combine(_) => "combine",
            Self::CheckParts(_) => "check_parts",
            Self::Open(_) => "open",
            Self::CheckSharing(_) => "check_sharing",
            Self::Deal(_) => "deal",
            Self::Inspect(_) => "inspect",
            Self::Receive(_) => "receive",
            Self::Attest(_) => "attest",
            Self::Certify(_) => "certify",
            Self::CheckCertificate(_) => "check_certificate",
        }
    }

    /// How many bundles or openings it works on; messages, for a job of a sharing; signers, for one of a commitment.
    #[must_use]
    pub fn bundle_count(&self) -> usize {
        match self {
            Self::Verify(job) => job.bundles.len(),
            Self::ShareAlone(job) => job.bundles.len(),
            Self::Share(job) => job.encapsulations.len(),
            Self::Combine(job) => job.sealed.opening_range(job.sub_batches.clone()).len(),
            Self::CheckParts(job) => job.shown.iter().map(|shown| shown.openings.len()).sum(),
            Self::Open(job) => job.bundles.len(),
            Self::CheckSharing(job) => job.items.len(),
            Self::Deal(_) | Self::Inspect(_) | Self::Receive(_) | Self::Attest(_) => 1,
            Self::Certify(job) => job.signatures.len(),
            Self::CheckCertificate(job) => job.certificate.signers.len(),
        }
    }
}

/// What the weights of one batch check are drawn from. Whoever knows it can make wrong things cancel, so `Debug` leaves it
/// out.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize)]
pub struct BatchSeed([u8; 32]);

impl BatchSeed {
    /// Of what is drawn at random, or follows from a secret.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For a check.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for BatchSeed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BatchSeed")
    }
}

/// Check payer signatures and validity proofs of bundles that are well formed.
#[derive(Debug)]
pub struct VerifyJob {
    /// The era's key.
    pub key: Arc<SealingKey>,
    /// Batch weights must not be predictable by whoever made the proofs.
    pub seed: BatchSeed,
    /// The bundles' ids.
    pub ids: Vec<BundleId>,
    /// The bundles.
    pub bundles: Vec<Arc<EncryptedBundle>>,
}

impl VerifyJob {
    fn run(self) -> JobOutput {
        let verdicts = admission::verify(&self.bundles, &self.key, self.seed.as_bytes());
        JobOutput::Verified(self.bundles.into_iter().zip(verdicts).collect())
    }
}
