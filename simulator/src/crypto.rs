//! How cryptographic work is done in a world where one process is everybody.
//!
//! | mode | signatures | bundles at admission | shares | openings |
//! |---|---|---|---|---|
//! | `real` | each judged by each validator | proved by each | computed by each | combined, checked, decrypted by each |
//! | `memoised` | each judged once | each proved once | computed by each | each part combined once, each block checked and decrypted once |
//! | `modelled` | each judged once | each proved once | tokens | tokens; what users sealed comes out |
//!
//! **Memoised** gives what real gives, byte for byte, because each remembered answer is a function of
//! what it is remembered under: a bundle's id commits to all of it, and openings are unique whichever
//! right shares they come from. A share that its validator's own job did not compute is never taken for
//! right: then the job is run as it is, and blames whom it blames.
//!
//! Attestations are signed by each who signs, and in the first two modes added up by each. Only `real` checks a sum of
//! which every summand is known to be right; `modelled` has tokens here, too.
//!
//! **Modelled** leaves out the group operations of shares and openings. A share is a hash of its place,
//! right if it is that hash; an opening likewise; and what is inside a bundle is what its user put in.
//! So who shares when, what is missing, and who lies are simulated, and that the algebra works is not.
//!
//! What a job costs in virtual time does not depend on the mode.
//!
//! **Bounds.** Blocks are remembered for [`HEIGHTS_KEPT`] heights, verdicts on [`VERDICTS_MAX`] bundles and
//! [`SIGNATURE_SETS`] times [`SIGNATURES_EACH`] signatures, and the digests of [`MESSAGES_KEPT`] messages; what was forgotten is
//! worked out again.

mod memory;
mod settlement;

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use conclave_encryption::{Checked, SealedBlock};
use conclave_mempool::admission::{AdmissionError, Verified};
use conclave_sequencer::{
    BadSharing, CheckPartsJob, CombineFailure, CombineJob, CombinedPart, Job, JobOutput,
    LoneShares, OpenJob, OpenedBlock, ShareAloneJob, ShareJob, ShareMessage, SharedBlock,
    SharingCheckJob, ShownPart, Source, VerifyJob, WrongOpenings,
};
use conclave_types::{
    BlockId, BundleId, Digest, G1Bytes, Height, HeightDelta, Leg, Opening, Outcome, SeedBytes,
    UndecryptableReason, ValidatorIndex,
};
use serde::{Deserialize, Serialize};
use sha3::{Digest as _, Keccak256};

pub(crate) use memory::Judge;
use settlement::Attestations;

/// Heights for which a block's shares and openings are remembered.
const HEIGHTS_KEPT: HeightDelta = HeightDelta::new(32);
/// Bundles whose verdict is remembered; when there are more, all are forgotten.
const VERDICTS_MAX: usize = 1 << 16;
/// Signatures whose verdict is remembered: so many sets, a power of two, of so many each.
const SIGNATURE_SETS: usize = 1 << 12;
const SIGNATURES_EACH: usize = 4;
/// Messages whose digest is remembered.
const MESSAGES_KEPT: usize = 1 << 12;

/// How cryptographic work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crypto {
    /// Everybody does everything.
    Real,
    /// What is the same for everybody is done once.
    #[default]
    Memoised,
    /// Shares and openings are tokens.
    Modelled,
}

type Place = (Height, BlockId);

/// Does the jobs of all validators.
#[derive(Debug)]
pub(crate) struct Workshop {
    mode: Crypto,
    verdicts: BTreeMap<BundleId, Result<Verified, AdmissionError>>,
    sealed: BTreeMap<Place, Arc<SealedBlock>>,
    shares: BTreeMap<(Place, ValidatorIndex), Vec<G1Bytes>>,
    /// What stands for a validator's shares.
    tokens: BTreeMap<(Place, ValidatorIndex), Arc<[G1Bytes]>>,
    /// What stands for openings.
    opening_tokens: BTreeMap<Place, Arc<[Opening]>>,
    /// Openings of parts, by place and sub-batches.
    combined: BTreeMap<(Place, usize, usize), Vec<Opening>>,
    opened: BTreeMap<Place, OpenedBlock>,
    /// What users sealed, for as long as the run lasts: the users remember it too.
    inside: BTreeMap<BundleId, Vec<Leg>>,
    /// What messages of a sharing are worth at a height.
    sharing: BTreeMap<(Height, Digest), Option<Result<Checked, BadSharing>>>,
    attestations: Attestations,
    /// Jobs whose answer was known.
    pub(crate) remembered: u64,
}

impl Workshop {
    /// A workshop that works in a mode.
    #[must_use]
    pub(crate) const fn new(mode: Crypto) -> Self {
        Self {
            mode,
            verdicts: BTreeMap::new(),
            sealed: BTreeMap::new(),
            shares: BTreeMap::new(),
            tokens: BTreeMap::new(),
            opening_tokens: BTreeMap::new(),
            combined: BTreeMap::new(),
            opened: BTreeMap::new(),
            inside: BTreeMap::new(),
            sharing: BTreeMap::new(),
            attestations: Attestations::new(),
            remembered: 0,
        }
    }

    /// A user has sealed `legs`.
    pub(crate) fn sealed(&mut self, bundle: BundleId, legs: &[Leg]) {
        if self.mode == Crypto::Modelled {
            self.inside.insert(bundle, legs.to_vec());
        }
    }

    /// Does a job.
    pub(crate) fn run(&mut self, job: Job) -> JobOutput {
        match (self.mode, job) {
            (Crypto::Real, job) => job.run(),
            (_, Job::Verify(job)) => self.verify(job),
            (Crypto::Modelled, Job::ShareAlone(job)) => tokens_alone(job),
            (Crypto::Modelled, Job::Receive(job)) => job.add_up(),
            (_, Job::Share(job)) => self.share(job),
            (_, Job::Combine(job)) => self.combine(job),
            (_, Job::CheckParts(job)) => self.check_parts(job),
            (_, Job::Open(job)) => self.open(job),
            (_, Job::CheckSharing(job)) => self.check_sharing(job),
            (mode, Job::Attest(job)) => self.attestations.attest(mode, &job),
            (mode, Job::Certify(job)) => self.attestations.certify(mode, job),
            (mode, Job::CheckCertificate(job)) => self.attestations.check(mode, job),
            (_, job @ (Job::ShareAlone(_) | Job::Deal(_) | Job::Inspect(_) | Job::Receive(_))) => {
                job.run()
            }
        }
    }

    fn verify(&mut self, job: VerifyJob) -> JobOutput {
        let VerifyJob { key, seed, ids, bundles } = job;
        if self.verdicts.len() > VERDICTS_MAX {
            self.verdicts.clear();
        }
        let pairs = || ids.iter().zip(&bundles);
        let unknown = || pairs().filter(|(id, _)| !self.verdicts.contains_key(id));
        let fresh = VerifyJob {
            key,
            seed,
            ids: unknown().map(|(id, _)| *id).collect(),
            bundles: unknown().map(|(_, bundle)| Arc::clone(bundle)).collect(),
        };
        if fresh.bundles.is_empty() {
            self.remembered = self.remembered.saturating_add(1);
        } else {
            let fresh_ids = fresh.ids.clone();
            if let JobOutput::Verified(found) = Job::Verify(fresh).run() {
                let found = found.into_iter().map(|(_, verdict)| verdict);
                self.verdicts.extend(fresh_ids.into_iter().zip(found));
            }
        }
        let known = pairs().filter_map(|(id, bundle)| {
            self.verdicts.get(id).map(|verdict| (Arc::clone(bundle), verdict.clone()))
        });
        JobOutput::Verified(known.collect())
    }

    /// All validators judge a message in the same state of the chain, so what one found holds for all.
    fn check_sharing(&mut self, job: SharingCheckJob) -> JobOutput {
        let at = job.at;
        if self.sharing.len() > VERDICTS_MAX {
            self.sharing.clear();
        }
        let verdicts = job.items.into_iter().map(|(leaf, dkg, message)| {
            let verdict = self.sharing.entry((at, leaf)).or_insert_with(|| {
                let job = SharingCheckJob { at, items: vec![(leaf, dkg, message)] };
                let found = Job::CheckSharing(job).run();
                let JobOutput::SharingChecked { verdicts, .. } = found else { return None };
                verdicts.into_iter().next().map(|(_, verdict)| verdict)
            });
            verdict.clone().map(|verdict| (leaf, verdict))
        });
        JobOutput::SharingChecked { at, verdicts: verdicts.flatten().collect() }
    }

    fn share(&mut self, job: ShareJob) -> JobOutput {
        let ShareJob { key, height, block, encapsulations, secrets, known, expect } = job;
        let place = (height, block);
        self.forget_below(height);
        let prepared = self.sealed.get(&place).cloned();
        let sealed = prepared.or_else(|| {
            let sealed = SealedBlock::new(&key, height, block, &encapsulations).ok()?;
            let sealed = Arc::new(match expect {
                Some((parts, seed)) if self.mode != Crypto::Modelled => {
                    sealed.expecting(&parts, seed.as_bytes())
                }
                _ => sealed,
            });
            self.sealed.insert(place, Arc::clone(&sealed));
            Some(sealed)
        });
        let shares = sealed.as_ref().zip(secrets).map(|(sealed, secrets)| {
            let validator = secrets.validator;
            if self.mode == Crypto::Modelled {
                let count = sealed.share_count().saturating_mul(secrets.points.len());
                return self.tokens(place, validator, count).to_vec();
            }
            let shares = self.shares.entry((place, validator));
            shares.or_insert_with(|| secrets.share(sealed, &known)).clone()
        });
        JobOutput::Shared(SharedBlock { height, block, sealed, shares })
    }

    fn combine(&mut self, job: CombineJob) -> JobOutput {
        let (height, block) = (job.height, job.block);
        let place = (height, block);
        let Range { start, end } = job.sub_batches;
        let known = match self.mode {
            Crypto::Modelled => Some(self.combine_tokens(place, &job)),
            Crypto::Real | Crypto::Memoised => {
                let is_right = |(_, message): &(Range<u16>, Arc<ShareMessage>)| {
                    self.shares.get(&(place, message.validator)) == Some(&message.shares)
                };
                let known = self.combined.get(&(place, start, end));
                known.filter(|_| job.shares.iter().all(is_right)).map(|openings| {
                    let share_validators = job.shares.iter().map(|(_, m)| m.validator).collect();
                    Ok(CombinedPart {
                        part: job.part,
                        openings: openings.clone(),
                        share_validators,
                    })
                })
            }
        };
        if let Some(result) = known {
            self.remembered = self.remembered.saturating_add(1);
            return JobOutput::Combined { height, block, result };
        }
        let output = Job::Combine(job).run();
        if let JobOutput::Combined { result: Ok(part), .. } = &output {
            self.combined.insert((place, start, end), part.openings.clone());
        }
        output
    }

    fn check_parts(&mut self, job: CheckPartsJob) -> JobOutput {
        let (height, block) = (job.height, job.block);
        let place = (height, block);
        let right = match self.mode {
            Crypto::Modelled => Some(self.opening_tokens(place, job.sealed.opening_count())),
            Crypto::Real | Crypto::Memoised => {
                self.opened.get(&place).map(|opened| opened.openings.as_slice().into())
            }
        };
        let Some(right) = right else { return Job::CheckParts(job).run() };
        self.remembered = self.remembered.saturating_add(1);
        let is_right = |shown: &&ShownPart| {
            let places = job.sealed.opening_range(shown.sub_batches.clone());
            right.get(places) == Some(shown.openings.as_slice())
        };
        let wrong = job.shown.iter().filter(|shown| !is_right(shown)).map(|shown| shown.source);
        let mut sources: Vec<Source> = Vec::new();
        for source in wrong {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        let right = job.shown.iter().map(|shown| (shown.part, shown.source)).collect();
        let result = if sources.is_empty() { Ok(right) } else { Err(WrongOpenings(sources)) };
        JobOutput::PartsChecked { height, block, result }
    }

    fn open(&mut self, job: OpenJob) -> JobOutput {
        let (height, block) = (job.height, job.block);
        let place = (height, block);
        let known = match self.mode {
            Crypto::Modelled => {
                let right = self.opening_tokens(place, job.sealed.opening_count());
                let wrong = judge_openings(&job, &right);
                wrong.or_else(|| Some(Ok(self.open_tokens(&job, right.to_vec()))))
            }
            Crypto::Real | Crypto::Memoised => self.opened.get(&place).and_then(|opened| {
                let is_it = job.openings == opened.openings;
                if is_it {
                    Some(Ok(opened.clone()))
                } else {
                    judge_openings(&job, &opened.openings)
                }
            }),
        };
        if let Some(result) = known {
            self.remembered = self.remembered.saturating_add(1);
            return JobOutput::Opened { height, block, result };
        }
        let output = Job::Open(job).run();
        if let JobOutput::Opened { result: Ok(opened), .. } = &output {
            self.opened.insert(place, opened.clone());
        }
        output
    }

    fn open_tokens(&self, job: &OpenJob, openings: Vec<Opening>) -> OpenedBlock {
        let inside = |id: &BundleId| match self.inside.get(id) {
            Some(legs) => Outcome::Opened(legs.clone()),
            None => Outcome::Undecryptable(UndecryptableReason::BadCiphertext),
        };
        OpenedBlock::new(openings, job.ids.iter().map(inside).collect())
    }

    /// As the real thing: only shares of the part's own sub-batches spoil it, and who spoils it is looked
    /// for in all of them.
    fn combine_tokens(
        &mut self,
        place: Place,
        job: &CombineJob,
    ) -> Result<CombinedPart, CombineFailure> {
        let count = job.sealed.share_count();
        let range = job.sub_batches.clone();
        let (mut spoilt, mut liars) = (false, Vec::new());
        for (points, message) in &job.shares {
            let owed = count.saturating_mul(points.len());
            let right = self.tokens(place, message.validator, owed);
            if message.shares[..] != right[..] {
                liars.push(message.validator);
                let given = message.shares.chunks(count.max(1));
                let mut pairs = given.zip(right.chunks(count.max(1)));
                spoilt |= pairs
                    .any(|(given, right)| given.get(range.clone()) != right.get(range.clone()));
            }
        }
        if spoilt {
            return Err(CombineFailure::WrongShares(liars));
        }
        let openings = self.opening_tokens(place, job.sealed.opening_count());
        let range = job.sealed.opening_range(range);
        Ok(CombinedPart {
            part: job.part,
            openings: openings.get(range).unwrap_or_default().to_vec(),
            share_validators: job.shares.iter().map(|(_, message)| message.validator).collect(),
        })
    }

    /// [`tokens`], each worked out once: everyone combines the same shares.
    fn tokens(&mut self, place: Place, of: ValidatorIndex, count: usize) -> Arc<[G1Bytes]> {
        let known = self.tokens.get(&(place, of)).filter(|tokens| tokens.len() == count);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let fresh: Arc<[G1Bytes]> = tokens(place, Some(of), count).into();
        self.tokens.insert((place, of), Arc::clone(&fresh));
        fresh
    }

    /// What stands for the openings of a block: the beacon's point, and a seed for each bundle.
    fn opening_tokens(&mut self, place: Place, count: usize) -> Arc<[Opening]> {
        let known = self.opening_tokens.get(&place).filter(|tokens| tokens.len() == count);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let points = tokens(place, None, count).into_iter().enumerate();
        let opening = |(index, point): (usize, G1Bytes)| match point.as_bytes().first_chunk() {
            Some(seed) if index > 0 => Opening::Seed(SeedBytes::new(*seed)),
            _ => Opening::Point(point),
        };
        let fresh: Arc<[Opening]> = points.map(opening).collect();
        self.opening_tokens.insert(place, Arc::clone(&fresh));
        fresh
    }

    fn forget_below(&mut self, height: Height) {
        let Some(least) = height.checked_sub(HEIGHTS_KEPT) else { return };
        let place = (least, BlockId::ZERO);
        self.sealed = self.sealed.split_off(&place);
        self.tokens = self.tokens.split_off(&(place, ValidatorIndex::new(0)));
        self.opening_tokens = self.opening_tokens.split_off(&place);
        self.combined = self.combined.split_off(&(place, 0, 0));
        self.opened = self.opened.split_off(&place);
        self.shares = self.shares.split_off(&(place, ValidatorIndex::new(0)));
    }
}

/// Whose unchecked openings are not the right ones, if anyone's are not.
fn judge_openings(job: &OpenJob, right: &[Opening]) -> Option<Result<OpenedBlock, WrongOpenings>> {
    let is_wrong = |sub_batches: &Range<usize>| {
        let places = job.sealed.opening_range(sub_batches.clone());
        job.openings.get(places.clone()) != right.get(places)
    };
    let wrong = job.unchecked.iter().filter(|(_, ranges)| ranges.iter().any(is_wrong));
    let wrong: Vec<Source> = wrong.map(|(source, _)| *source).collect();
    (!wrong.is_empty()).then_some(Err(WrongOpenings(wrong)))
}

/// What stands for shares of bundles that no block has taken: in a block, its own tokens stand for them.
fn tokens_alone(job: ShareAloneJob) -> JobOutput {
    let of_each = vec![G1Bytes::ZERO; job.secrets.points.len()];
    let shares = job.bundles.into_iter().map(|(id, _)| (id, of_each.clone())).collect();
    JobOutput::SharedAlone(LoneShares { epoch: job.epoch, shares })
}

/// What stands for the shares of a validator, or for the openings of a block: as many hashes as there
/// are, of the bytes of a point.
fn tokens(place: Place, of: Option<ValidatorIndex>, count: usize) -> Vec<G1Bytes> {
    let (height, block) = place;
    let mut seed = Keccak256::new();
    seed.update(b"conclave-sim/token");
    seed.update(height.as_u64().to_be_bytes());
    seed.update(block.as_bytes());
    seed.update([u8::from(of.is_some())]);
    seed.update(of.map_or(0, ValidatorIndex::as_u16).to_be_bytes());
    let token = |index: u64| {
        let first: [u8; 32] = seed.clone().chain_update(index.to_be_bytes()).finalize().into();
        let mut bytes = [0; G1Bytes::LEN];
        for (to, from) in bytes.iter_mut().zip(first.iter().cycle()) {
            *to = *from;
        }
        G1Bytes::new(bytes)
    };
    (0..).take(count).map(token).collect()
}

#[cfg(test)]
mod tests;
