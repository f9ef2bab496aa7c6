//! CPU work that a step asks for. A job is a pure function of what it carries; the node runs jobs on a
//! thread pool, the simulator in line with a modelled cost.

mod settlement;
mod sharing;

use std::{collections::BTreeSet, fmt, ops::Range, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_derivation::judge_legs;
use conclave_encryption::{
    CapsulePoint, Checked, CombineError, Complaint, DealError, Dealing, Dkg, PublicKey,
    SealedBlock, SealingKey, SecretShare, ShareUnavailable, open_bundle,
};
use conclave_mempool::admission::{self, AdmissionError, Verified};
use conclave_types::{
    BlockId, BundleId, Digest, EncryptedBundle, G1Bytes, G2Bytes, Height, Outcome, RollupId,
    SettlementCertificate, UndecryptableReason, ValidatorIndex,
};

pub use self::{
    settlement::{AttestJob, CertifyJob, CheckCertificateJob},
    sharing::{DealJob, InspectJob, ReceiveJob, SharingCheckJob},
};
use crate::{input::Peer, keys::BadSharing, message::ShareMessage, reveal::Source};

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
    /// Prepare a decided block for opening and compute this validator's shares of it.
    Share(ShareJob),
    /// Open a part of a decided block out of a quorum's shares.
    Combine(CombineJob),
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
            Self::Share(job) => job.run(),
            Self::Combine(job) => job.run(),
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
            Self::Share(_) => "share",
            Self::Combine(_) => "combine",
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

    /// How many bundles it works on; messages, for a job of a sharing; signers, for one of a commitment.
    #[must_use]
    pub fn bundle_count(&self) -> usize {
        match self {
            Self::Verify(job) => job.bundles.len(),
            Self::Share(job) => job.capsule_points.len(),
            Self::Combine(job) => job.sealed.opening_range(job.sub_batches.clone()).len(),
            Self::Open(job) => job.bundles.len(),
            Self::CheckSharing(job) => job.items.len(),
            Self::Deal(_) | Self::Inspect(_) | Self::Receive(_) | Self::Attest(_) => 1,
            Self::Certify(job) => job.signatures.len(),
            Self::CheckCertificate(job) => job.certificate.signers.len(),
        }
    }
}

/// Check payer signatures and validity proofs of bundles that are well formed.
#[derive(Debug)]
pub struct VerifyJob {
    /// The era's key.
    pub key: Arc<SealingKey>,
    /// Batch weights must not be predictable by whoever made the proofs.
    pub seed: [u8; 32],
    /// The bundles' ids.
    pub ids: Vec<BundleId>,
    /// The bundles.
    pub bundles: Vec<Arc<EncryptedBundle>>,
}

impl VerifyJob {
    fn run(self) -> JobOutput {
        let verdicts = admission::verify(&self.bundles, &self.key, &self.seed);
        JobOutput::Verified(self.bundles.into_iter().zip(verdicts).collect())
    }
}

/// Prepare a decided block for opening.
#[derive(Debug)]
pub struct ShareJob {
    /// The era's key.
    pub key: Arc<PublicKey>,
    /// The height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// u of each bundle, in block order.
    pub capsule_points: Vec<CapsulePoint>,
    /// This validator's secrets, if it has them and may use them.
    pub secrets: Option<OwnSecrets>,
}

/// What a validator computes its shares of a block from.
#[derive(Clone, Debug)]
pub struct OwnSecrets {
    /// Whose they are.
    pub validator: ValidatorIndex,
    /// Its points, ascending, each with its share of the key.
    pub points: Vec<(u16, Arc<SecretShare>)>,
}

/// A decided block, ready to be opened.
#[derive(Clone, Debug)]
pub struct SharedBlock {
    /// The height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// The block's ciphertexts cut into sub-batches; none if its points are no points, which a
    /// decided block cannot have.
    pub sealed: Option<Arc<SealedBlock>>,
    /// This validator's shares, if it has secrets: all of its first point, then all of the next.
    pub shares: Option<Vec<G1Bytes>>,
}

impl ShareJob {
    fn run(self) -> JobOutput {
        // Admission has looked at every point, so the core stops if there is nothing to open.
        let sealed =
            SealedBlock::of_points(&self.key, self.height, self.block, &self.capsule_points).ok();
        let shares = match (&sealed, &self.secrets) {
            (Some(sealed), Some(OwnSecrets { points, .. })) => {
                let shares = points.iter().map(|(point, secret)| sealed.share(secret, *point));
                Some(shares.flatten().collect())
            }
            _ => None,
        };
        JobOutput::Shared(SharedBlock {
            height: self.height,
            block: self.block,
            sealed: sealed.map(Arc::new),
            shares,
        })
    }
}

/// Open a part of a decided block.
#[derive(Debug)]
pub struct CombineJob {
    /// The height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// Its ciphertexts, prepared.
    pub sealed: Arc<SealedBlock>,
    /// Which part of it.
    pub part: usize,
    /// The part's sub-batches.
    pub sub_batches: Range<usize>,
    /// A quorum's, each with the points of its sender.
    pub shares: Vec<(Range<u16>, Arc<ShareMessage>)>,
    /// Weights of the check must not be predictable by whoever made the shares.
    pub seed: [u8; 32],
}

/// The openings of a part of a block, checked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct CombinedPart {
    /// Which part.
    pub part: usize,
    /// Its openings.
    pub openings: Vec<G1Bytes>,
    /// Whose shares gave them.
    pub share_validators: Vec<ValidatorIndex>,
}

/// Why a part did not open.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub enum CombineFailure {
    /// These validators' shares do not match their public key shares.
    WrongShares(Vec<ValidatorIndex>),
    /// The openings are wrong although every share is right.
    RightShares,
    /// The shares have not the form of shares.
    Form(CombineError),
}

impl CombineJob {
    fn run(self) -> JobOutput {
        let (height, block) = (self.height, self.block);
        JobOutput::Combined { height, block, result: self.combine() }
    }

    fn combine(self) -> Result<CombinedPart, CombineFailure> {
        let count = self.sealed.share_count().max(1);
        let mut shares: Vec<(u16, &[G1Bytes])> = Vec::new();
        for (points, message) in &self.shares {
            shares.extend(points.clone().zip(message.shares.chunks(count)));
        }
        let or_blame = |otherwise| {
            let wrong = self.sealed.blame(&shares, &self.seed);
            let is_wrong = |points: &Range<u16>| wrong.iter().any(|point| points.contains(point));
            let liars = self.shares.iter().filter(|(points, _)| is_wrong(points));
            let liars: Vec<_> = liars.map(|(_, message)| message.validator).collect();
            if liars.is_empty() { otherwise } else { CombineFailure::WrongShares(liars) }
        };
        let sub_batches = self.sub_batches.clone();
        let openings = match self.sealed.combine(&shares, sub_batches.clone()) {
            Ok(openings) => openings,
            Err(error) => return Err(or_blame(CombineFailure::Form(error))),
        };
        if !self.sealed.check_range(sub_batches, &openings, &self.seed) {
            return Err(or_blame(CombineFailure::RightShares));
        }
        let share_validators = self.shares.iter().map(|(_, m)| m.validator).collect();
        Ok(CombinedPart { part: self.part, openings, share_validators })
    }
}

/// Open a decided block whose openings are all here.
#[derive(Debug)]
pub struct OpenJob {
    /// The height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// Its ciphertexts, prepared.
    pub sealed: Arc<SealedBlock>,
    /// The beacon's opening, then one for each bundle in block order.
    pub openings: Vec<G1Bytes>,
    /// Who gave openings that are not checked yet, and for which sub-batches.
    pub unchecked: Vec<(Source, Vec<Range<usize>>)>,
    /// The bundles' ids, in block order.
    pub ids: Vec<BundleId>,
    /// The bundles, in block order.
    pub bundles: Vec<Arc<EncryptedBundle>>,
    /// Rollups that a leg may name.
    pub rollups: Arc<BTreeSet<RollupId>>,
    /// Weights of the check must not be predictable by whoever made the openings.
    pub seed: [u8; 32],
}

/// A block whose openings were checked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct OpenedBlock {
    /// The beacon's opening, then one for each bundle in block order.
    pub openings: Vec<G1Bytes>,
    /// What each bundle holds, in block order.
    pub outcomes: Vec<Outcome>,
}

/// Some of these gave openings that open nothing.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct WrongOpenings(pub Vec<Source>);

impl OpenJob {
    fn run(self) -> JobOutput {
        let (height, block) = (self.height, self.block);
        JobOutput::Opened { height, block, result: self.open() }
    }

    fn open(self) -> Result<OpenedBlock, WrongOpenings> {
        let all: Vec<_> = self.unchecked.iter().flat_map(|(_, ranges)| ranges).cloned().collect();
        if !self.are_right(&all) {
            let wrong = self.unchecked.iter().filter(|(_, ranges)| !self.are_right(ranges));
            return Err(WrongOpenings(wrong.map(|(source, _)| *source).collect()));
        }
        let outcomes = self
            .bundles
            .iter()
            .zip(self.openings.iter().skip(1))
            .map(|(bundle, opening)| decrypt(bundle, opening, &self.rollups))
            .collect();
        Ok(OpenedBlock { openings: self.openings, outcomes })
    }

    fn are_right(&self, ranges: &[Range<usize>]) -> bool {
        let given = |sub_batches: &Range<usize>| {
            let openings = self.sealed.opening_range(sub_batches.clone());
            (sub_batches.clone(), self.openings.get(openings).unwrap_or_default())
        };
        let given: Vec<_> = ranges.iter().map(given).collect();
        given.is_empty() || self.sealed.check_ranges(&given, &self.seed)
    }
}

/// What a bundle holds, given its opening. Everyone who has the opening says the same.
#[must_use]
pub fn decrypt(
    bundle: &EncryptedBundle,
    opening: &G1Bytes,
    rollups: &BTreeSet<RollupId>,
) -> Outcome {
    let Some(point) = capsule_point(bundle) else {
        return Outcome::Undecryptable(UndecryptableReason::BadCiphertext);
    };
    let header = &bundle.header;
    match open_bundle(&header.label(), &point, opening, header.suite, &bundle.body) {
        Ok(legs) => judge_legs(legs, rollups),
        Err(reason) => Outcome::Undecryptable(reason),
    }
}

/// u, with which every capsule begins, unchecked; none if the capsule is too short to have one.
#[must_use]
pub fn capsule_point(bundle: &EncryptedBundle) -> Option<G1Bytes> {
    bundle.capsule.get(..G1Bytes::LEN).and_then(|bytes| G1Bytes::from_slice(bytes).ok())
}
