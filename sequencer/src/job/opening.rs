//! Jobs that open a decided block: combine a part, check what others show, decrypt.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use borsh::BorshSerialize;
use conclave_derivation::judge_legs;
use conclave_encryption::{CombineError, SealedBlock, open_bundle};
use conclave_types::{
    BlockId, BundleId, EncryptedBundle, G1Bytes, Height, Opening, Outcome, OutcomeHashes, RollupId,
    UndecryptableReason, ValidatorIndex,
};

use super::{BatchSeed, JobOutput, capsule_point};
use crate::{message::ShareMessage, reveal::Source};

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
    pub seed: BatchSeed,
}

/// The openings of a part of a block, checked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct CombinedPart {
    /// Which part.
    pub part: usize,
    /// Its openings.
    pub openings: Vec<Opening>,
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
    pub(super) fn run(self) -> JobOutput {
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
            let wrong = self.sealed.blame(&shares, self.seed.as_bytes());
            let is_wrong = |points: &Range<u16>| wrong.iter().any(|point| points.contains(point));
            let liars = self.shares.iter().filter(|(points, _)| is_wrong(points));
            let liars: Vec<_> = liars.map(|(_, message)| message.validator).collect();
            if liars.is_empty() { otherwise } else { CombineFailure::WrongShares(liars) }
        };
        let sub_batches = self.sub_batches.clone();
        let openings = match self.sealed.combine_checked(&shares, sub_batches, self.seed.as_bytes())
        {
            Ok(Some(openings)) => openings,
            Ok(None) => return Err(or_blame(CombineFailure::RightShares)),
            Err(error) => return Err(or_blame(CombineFailure::Form(error))),
        };
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
    pub openings: Vec<Opening>,
    /// Who gave openings that are not checked yet, and for which sub-batches.
    pub unchecked: Vec<(Source, Vec<Range<usize>>)>,
    /// The bundles' ids, in block order.
    pub ids: Vec<BundleId>,
    /// The bundles, in block order.
    pub bundles: Vec<Arc<EncryptedBundle>>,
    /// Rollups that a leg may name.
    pub rollups: Arc<BTreeSet<RollupId>>,
    /// Weights of the check must not be predictable by whoever made the openings.
    pub seed: BatchSeed,
}

/// A block whose openings were checked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct OpenedBlock {
    /// The beacon's opening, then one for each bundle in block order.
    pub openings: Vec<Opening>,
    /// What each bundle holds, in block order.
    pub outcomes: Vec<Outcome>,
    /// What is hashed of these.
    #[borsh(skip)]
    hashes: Vec<OutcomeHashes>,
}

impl OpenedBlock {
    /// Hashes what was opened: the driver has other things to do.
    #[must_use]
    pub fn new(openings: Vec<Opening>, outcomes: Vec<Outcome>) -> Self {
        let hashes = outcomes.iter().map(Outcome::hashes).collect();
        Self { openings, outcomes, hashes }
    }

    /// Each outcome in block order, with what is hashed of it.
    pub(crate) fn into_outcomes(self) -> impl Iterator<Item = (Outcome, OutcomeHashes)> {
        self.outcomes.into_iter().zip(self.hashes)
    }
}

/// Some of these gave openings that open nothing.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct WrongOpenings(pub Vec<Source>);

impl OpenJob {
    pub(super) fn run(self) -> JobOutput {
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
        Ok(OpenedBlock::new(self.openings, outcomes))
    }

    fn are_right(&self, ranges: &[Range<usize>]) -> bool {
        let given = |sub_batches: &Range<usize>| {
            let openings = self.sealed.opening_range(sub_batches.clone());
            (sub_batches.clone(), self.openings.get(openings).unwrap_or_default())
        };
        let given: Vec<_> = ranges.iter().map(given).collect();
        given.is_empty() || self.sealed.check_ranges(&given, self.seed.as_bytes())
    }
}

/// Check what others have shown of a decided block while parts of it are still missing.
#[derive(Debug)]
pub struct CheckPartsJob {
    /// The height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// Its ciphertexts, prepared.
    pub sealed: Arc<SealedBlock>,
    /// What was shown.
    pub shown: Vec<ShownPart>,
    /// Weights of the check must not be predictable by whoever made the openings.
    pub seed: BatchSeed,
}

/// A part as somebody shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPart {
    /// Which part.
    pub part: usize,
    /// Who shows it.
    pub source: Source,
    /// Its sub-batches.
    pub sub_batches: Range<usize>,
    /// Its openings.
    pub openings: Vec<Opening>,
}

impl CheckPartsJob {
    pub(super) fn run(self) -> JobOutput {
        let (height, block) = (self.height, self.block);
        JobOutput::PartsChecked { height, block, result: self.check() }
    }

    fn check(&self) -> Result<Vec<(usize, Source)>, WrongOpenings> {
        if self.are_right(|_| true) {
            return Ok(self.shown.iter().map(|shown| (shown.part, shown.source)).collect());
        }
        let mut sources: Vec<Source> = Vec::new();
        for shown in &self.shown {
            if !sources.contains(&shown.source) {
                sources.push(shown.source);
            }
        }
        sources.retain(|source| !self.are_right(|of| of == *source));
        Err(WrongOpenings(sources))
    }

    fn are_right(&self, of: impl Fn(Source) -> bool) -> bool {
        let shown = self.shown.iter().filter(|shown| of(shown.source));
        let given: Vec<_> =
            shown.map(|it| (it.sub_batches.clone(), it.openings.as_slice())).collect();
        self.sealed.check_ranges(&given, self.seed.as_bytes())
    }
}

/// What a bundle holds, given its opening. Everyone who has the opening says the same.
#[must_use]
pub fn decrypt(
    bundle: &EncryptedBundle,
    opening: &Opening,
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
