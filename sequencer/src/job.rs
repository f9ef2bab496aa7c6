//! CPU work that a step asks for. A job is a pure function of what it carries; the node runs jobs on a
//! thread pool, the simulator in line with a modelled cost.

use std::{collections::BTreeSet, sync::Arc};

use conclave_derivation::judge_legs;
use conclave_encryption::{
    CombineError, PublicKey, SealedBlock, SealingKey, SecretShare, open_bundle,
};
use conclave_mempool::admission::{self, AdmissionError, Verified};
use conclave_types::{
    BlockId, EncryptedBundle, G1Bytes, Height, Outcome, RollupId, UndecryptableReason,
    ValidatorIndex,
};

use crate::message::ShareMessage;

/// A piece of CPU work.
#[derive(Debug)]
pub enum Job {
    /// Check payer signatures and validity proofs.
    Verify(VerifyJob),
    /// Prepare a decided block for opening and compute this validator's shares of it.
    Share(ShareJob),
    /// Open a decided block and decrypt its bundles.
    Open(OpenJob),
}

/// What a job found.
#[derive(Clone, Debug)]
pub enum JobOutput {
    /// One verdict for each bundle, in the order given.
    Verified(Vec<(Arc<EncryptedBundle>, Result<Verified, AdmissionError>)>),
    /// A block prepared for opening.
    Shared(SharedBlock),
    /// A block opened, or what stood in the way.
    Opened {
        /// The height.
        height: Height,
        /// The block.
        block: BlockId,
        /// The result.
        result: Result<OpenedBlock, OpenFailure>,
    },
}

impl Job {
    /// Does the work.
    #[must_use]
    pub fn run(self) -> JobOutput {
        match self {
            Self::Verify(job) => job.run(),
            Self::Share(job) => job.run(),
            Self::Open(job) => job.run(),
        }
    }

    /// The kind, for metrics and for the simulator's cost model.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Verify(_) => "verify",
            Self::Share(_) => "share",
            Self::Open(_) => "open",
        }
    }

    /// How many bundles it works on.
    #[must_use]
    pub const fn bundle_count(&self) -> usize {
        match self {
            Self::Verify(job) => job.bundles.len(),
            Self::Share(job) => job.capsule_points.len(),
            Self::Open(job) => job.bundles.len(),
        }
    }
}

/// Check payer signatures and validity proofs of bundles that are well formed.
#[derive(Debug)]
pub struct VerifyJob {
    pub(crate) key: Arc<SealingKey>,
    /// Batch weights must not be predictable by whoever made the proofs.
    pub(crate) seed: [u8; 32],
    pub(crate) bundles: Vec<Arc<EncryptedBundle>>,
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
    pub(crate) key: Arc<PublicKey>,
    pub(crate) height: Height,
    pub(crate) block: BlockId,
    /// u of each bundle, in block order.
    pub(crate) capsule_points: Vec<G1Bytes>,
    /// This validator's secret, if it has one and may use it.
    pub(crate) secret: Option<(ValidatorIndex, Arc<SecretShare>)>,
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
    /// This validator's shares, if it has a secret.
    pub shares: Option<Vec<G1Bytes>>,
}

impl ShareJob {
    fn run(self) -> JobOutput {
        let sealed =
            SealedBlock::new(&self.key, self.height, self.block, &self.capsule_points).ok();
        let shares = match (&sealed, &self.secret) {
            (Some(sealed), Some((party, secret))) => Some(sealed.share(secret, party.as_u16())),
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

/// What a block is opened from.
#[derive(Clone, Debug)]
pub enum OpenFrom {
    /// Shares of at least a quorum.
    Shares(Vec<Arc<ShareMessage>>),
    /// Openings that somebody published.
    Openings(Vec<G1Bytes>),
}

/// Open a decided block and decrypt its bundles.
#[derive(Debug)]
pub struct OpenJob {
    pub(crate) height: Height,
    pub(crate) block: BlockId,
    pub(crate) sealed: Arc<SealedBlock>,
    pub(crate) from: OpenFrom,
    /// The bundles, in block order.
    pub(crate) bundles: Vec<Arc<EncryptedBundle>>,
    /// Rollups that a leg may name.
    pub(crate) rollups: Arc<BTreeSet<RollupId>>,
    pub(crate) seed: [u8; 32],
}

/// A block whose openings were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedBlock {
    /// The beacon's opening, then one for each bundle in block order.
    pub openings: Vec<G1Bytes>,
    /// What each bundle holds, in block order.
    pub outcomes: Vec<Outcome>,
    /// Whose shares opened it; empty if it was opened from published openings.
    pub share_validators: Vec<ValidatorIndex>,
}

/// Why a block did not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenFailure {
    /// These validators' shares do not match their public key shares.
    WrongShares(Vec<ValidatorIndex>),
    /// The published openings do not pass the check.
    WrongOpenings,
    /// The shares could not be combined.
    Combine(CombineError),
}

impl OpenJob {
    fn run(self) -> JobOutput {
        let (height, block) = (self.height, self.block);
        JobOutput::Opened { height, block, result: self.open() }
    }

    fn open(&self) -> Result<OpenedBlock, OpenFailure> {
        let (openings, share_validators) = match &self.from {
            OpenFrom::Openings(openings) => {
                if !self.sealed.check(openings, &self.seed) {
                    return Err(OpenFailure::WrongOpenings);
                }
                (openings.clone(), Vec::new())
            }
            OpenFrom::Shares(messages) => self.combine(messages)?,
        };
        let outcomes = self
            .bundles
            .iter()
            .zip(openings.iter().skip(1))
            .map(|(bundle, opening)| decrypt(bundle, opening, &self.rollups))
            .collect();
        Ok(OpenedBlock { openings, outcomes, share_validators })
    }

    fn combine(
        &self,
        messages: &[Arc<ShareMessage>],
    ) -> Result<(Vec<G1Bytes>, Vec<ValidatorIndex>), OpenFailure> {
        let shares: Vec<(u16, &[G1Bytes])> =
            messages.iter().map(|m| (m.validator.as_u16(), m.shares.as_slice())).collect();
        let blame = || {
            let wrong = self.sealed.blame(&shares, &self.seed);
            OpenFailure::WrongShares(wrong.into_iter().map(ValidatorIndex::new).collect())
        };
        let openings = match self.sealed.combine(&shares, 0..self.sealed.share_count()) {
            Ok(openings) => openings,
            Err(error) => {
                let OpenFailure::WrongShares(wrong) = blame() else {
                    return Err(OpenFailure::Combine(error));
                };
                return Err(if wrong.is_empty() {
                    OpenFailure::Combine(error)
                } else {
                    OpenFailure::WrongShares(wrong)
                });
            }
        };
        if !self.sealed.check(&openings, &self.seed) {
            return Err(blame());
        }
        Ok((openings, messages.iter().map(|m| m.validator).collect()))
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
