//! Digests of what a step did, one for each kind, so that a difference can be named.

use std::{
    fmt::{self, Write as _},
    ops::Range,
    sync::Arc,
};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_encryption::SecretShare;
use conclave_types::{Digest, ValidatorIndex, digest::keccak};

use crate::{
    input::{Effects, Ready},
    job::{
        AttestJob, CertifyJob, CheckCertificateJob, CheckPartsJob, CombineJob, DealJob, InspectJob,
        Job, JobNumber, JobOutput, LoneShares, OpenJob, OwnSecrets, ReceiveJob, ShareAloneJob,
        ShareJob, SharedBlock, SharingCheckJob, ShownPart, VerifyJob,
    },
    store::SecretBytes,
};

/// Kinds of output.
const KINDS: usize = 9;
/// Characters of a value that are shown to people.
const SHOWN_MAX: usize = 2_000;

/// keccak of the borsh encoding of each kind of output, in order; none if there is no output of the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Outputs {
    /// What becomes durable.
    pub writes: Option<Digest>,
    /// Messages for one peer each.
    pub send: Option<Digest>,
    /// Messages for everyone.
    pub broadcast: Option<Digest>,
    /// Work, with its seeds.
    pub jobs: Option<Digest>,
    /// Requests for history. What is read for them depends on when a shell comes to it, and is not recorded.
    pub serve: Option<Digest>,
    /// Answers to submissions.
    pub answers: Option<Digest>,
    /// What happened.
    pub events: Option<Digest>,
    /// Who misbehaved.
    pub penalties: Option<Digest>,
    /// Why the node must stop.
    pub halt: Option<Digest>,
}

/// A kind of output in which a step and its recording differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The kind.
    pub kind: &'static str,
    /// Digest of what is recorded; none if there was nothing.
    pub recorded: Option<Digest>,
    /// What there is now, in short.
    pub found: String,
}

impl Outputs {
    /// The digests of what a step did.
    #[must_use]
    pub fn of(ready: &Ready) -> Self {
        let Ready { writes, effects } = ready;
        let Effects { send, broadcast, jobs, serve, answers, events, penalties, halt } = effects;
        let works: Vec<_> = jobs.iter().map(|(number, job)| work(*number, job)).collect();
        Self {
            writes: of_all(writes),
            send: of_all(send),
            broadcast: of_all(broadcast),
            jobs: of_all(&works),
            serve: of_all(serve),
            answers: of_all(answers),
            events: of_all(events),
            penalties: of_all(penalties),
            halt: halt.as_ref().map(digest),
        }
    }

    /// In what `ready` differs from what is recorded.
    #[must_use]
    pub fn differences(&self, ready: &Ready) -> Vec<Difference> {
        let [recorded, found] = [*self, Self::of(ready)].map(Self::kinds);
        let Ready { writes, effects } = ready;
        let Effects { send, broadcast, jobs, serve, answers, events, penalties, halt } = effects;
        let values: [&dyn fmt::Debug; KINDS] =
            [writes, send, broadcast, jobs, serve, answers, events, penalties, halt];
        let pairs = recorded.into_iter().zip(found).zip(values);
        let differ = pairs.filter(|((recorded, found), _)| recorded != found);
        differ
            .map(|(((kind, recorded), _), value)| Difference {
                kind,
                recorded,
                found: brief(value),
            })
            .collect()
    }

    fn kinds(self) -> [(&'static str, Option<Digest>); KINDS] {
        let Self { writes, send, broadcast, jobs, serve, answers, events, penalties, halt } = self;
        [
            ("writes", writes),
            ("send", send),
            ("broadcast", broadcast),
            ("jobs", jobs),
            ("serve", serve),
            ("answers", answers),
            ("events", events),
            ("penalties", penalties),
            ("halt", halt),
        ]
    }
}

/// The digest of what a job found. A prepared block stands for what is done with it: its points are
/// those of the job, and the openings that come of it are outputs of their own.
pub(super) fn of_job(output: &JobOutput) -> Digest {
    match output {
        JobOutput::Verified(verdicts) => digest(&(0_u8, verdicts)),
        JobOutput::Shared(SharedBlock { height, block, sealed, shares }) => {
            let sealed =
                sealed.as_ref().map(|sealed| (sealed.share_count(), sealed.opening_count()));
            digest(&(1_u8, height, block, sealed, shares))
        }
        JobOutput::SharedAlone(LoneShares { epoch, shares }) => digest(&(12_u8, epoch, shares)),
        JobOutput::Combined { height, block, result } => digest(&(2_u8, height, block, result)),
        JobOutput::Opened { height, block, result } => digest(&(3_u8, height, block, result)),
        JobOutput::PartsChecked { height, block, result } => {
            digest(&(11_u8, height, block, result))
        }
        JobOutput::SharingChecked { at, verdicts } => {
            // What a message is worth is in the message; that it holds is the finding.
            let verdicts: Vec<_> = verdicts
                .iter()
                .map(|(leaf, verdict)| (leaf, verdict.as_ref().err().map(ToString::to_string)))
                .collect();
            digest(&(4_u8, at, verdicts))
        }
        JobOutput::Dealt { dkg, result } => {
            let result = result.as_ref().map_err(ToString::to_string);
            digest(&(5_u8, dkg.session().digest(), result))
        }
        JobOutput::Inspected { dkg, complaints } => {
            digest(&(6_u8, dkg.session().digest(), complaints))
        }
        JobOutput::Received { dkg, result } => {
            let secret = |(point, share): &(u16, Arc<SecretShare>)| {
                (*point, SecretBytes::new(*share.to_bytes()))
            };
            let result =
                result.as_ref().map(|shares| shares.iter().map(secret).collect::<Vec<_>>());
            digest(&(7_u8, dkg.session().digest(), result.map_err(ToString::to_string)))
        }
        JobOutput::Attested { height, signature } => digest(&(8_u8, height, signature)),
        JobOutput::Certified { height, result } => digest(&(9_u8, height, result)),
        JobOutput::CertificateChecked { from, certificate, holds } => {
            digest(&(10_u8, from, certificate, holds))
        }
    }
}

/// [`work`] of a job that opens a block.
fn opening(number: JobNumber, job: &OpenJob) -> Vec<u8> {
    let OpenJob { height, block, sealed: _, openings, unchecked, ids, bundles, rollups, seed } =
        job;
    let unchecked: Vec<_> = unchecked
        .iter()
        .map(|(source, ranges)| {
            let ranges = ranges.iter().map(|range| (range.start, range.end));
            (source, ranges.collect::<Vec<_>>())
        })
        .collect();
    let given = (openings, unchecked);
    encode(&(number, 3_u8, height, block, given, ids, bundles, rollups, seed))
}

/// Whose secrets they are, and of which points.
fn points_of(OwnSecrets { validator, points }: &OwnSecrets) -> (ValidatorIndex, Vec<u16>) {
    (*validator, points.iter().map(|(point, _)| *point).collect())
}

/// A job as bytes, without what all jobs of a process have in common (the era's key), what an earlier
/// job made (a prepared block), and the secret.
fn work(number: JobNumber, job: &Job) -> Vec<u8> {
    match job {
        Job::Verify(VerifyJob { key: _, seed, ids, bundles }) => {
            encode(&(number, 0_u8, seed, ids, bundles))
        }
        Job::ShareAlone(ShareAloneJob { key: _, epoch, bundles, secrets }) => {
            encode(&(number, 12_u8, epoch, bundles, points_of(secrets)))
        }
        Job::Share(ShareJob { key: _, height, block, encapsulations, secrets, known, expect }) => {
            let points = secrets.as_ref().map(points_of);
            let expect = expect.as_ref().map(|(parts, seed)| {
                let ends = parts.iter().map(|part| (part.start, part.end));
                (ends.collect::<Vec<_>>(), seed)
            });
            encode(&(number, 1_u8, height, block, encapsulations, points, &known.0, expect))
        }
        Job::Combine(CombineJob { height, block, sealed: _, part, sub_batches, shares, seed }) => {
            let range = (sub_batches.start, sub_batches.end);
            let points = |points: &Range<u16>| (points.start, points.end);
            let shares: Vec<_> = shares.iter().map(|(of, m)| (points(of), m)).collect();
            encode(&(number, 2_u8, height, block, part, range, shares, seed))
        }
        Job::CheckParts(CheckPartsJob { height, block, sealed: _, shown, seed }) => {
            let shown = shown.iter().map(|ShownPart { part, source, sub_batches, openings }| {
                (part, source, (sub_batches.start, sub_batches.end), openings)
            });
            encode(&(number, 11_u8, height, block, shown.collect::<Vec<_>>(), seed))
        }
        Job::Open(job) => opening(number, job),
        Job::CheckSharing(SharingCheckJob { at, items }) => {
            let items: Vec<_> = items
                .iter()
                .map(|(leaf, dkg, _)| (leaf, dkg.session().digest(), dkg.phase()))
                .collect();
            encode(&(number, 4_u8, at, items))
        }
        Job::Deal(DealJob { dkg, dealer, share, seed }) => {
            encode(&(number, 5_u8, dkg.session().digest(), dealer, share.is_some(), seed))
        }
        Job::Inspect(InspectJob { dkg, key }) => {
            encode(&(number, 6_u8, dkg.session().digest(), dkg.phase(), key.validator()))
        }
        Job::Receive(ReceiveJob { dkg, key, points }) => {
            let points = (points.start, points.end);
            encode(&(number, 7_u8, dkg.session().digest(), key.validator(), points))
        }
        Job::Attest(AttestJob { height, digest, validator, secret: _ }) => {
            encode(&(number, 8_u8, height, digest, validator))
        }
        Job::Certify(CertifyJob { height, digest, signatures }) => {
            let signatures: Vec<_> =
                signatures.iter().map(|(validator, _, signature)| (validator, signature)).collect();
            encode(&(number, 9_u8, height, digest, signatures))
        }
        Job::CheckCertificate(CheckCertificateJob { from, certificate, committee, domain: _ }) => {
            encode(&(number, 10_u8, from, certificate, committee.settlement_digest()))
        }
    }
}

fn of_all<T: BorshSerialize>(items: &[T]) -> Option<Digest> {
    (!items.is_empty()).then(|| digest(&items))
}

fn digest(value: &impl BorshSerialize) -> Digest {
    keccak(&encode(value))
}

pub(super) fn encode(value: &impl BorshSerialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "a Vec<u8> takes every write")]
    borsh::to_vec(value).expect("encoding into memory does not fail")
}

/// A value for people, cut where it gets long.
pub(super) fn brief(value: &(impl fmt::Debug + ?Sized)) -> String {
    let mut brief = Brief { text: String::new(), left: SHOWN_MAX };
    if write!(brief, "{value:?}").is_err() {
        brief.text.push('…');
    }
    brief.text
}

/// Refuses to be written to once it is full, so that nobody goes on formatting.
struct Brief {
    text: String,
    left: usize,
}

impl fmt::Write for Brief {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}
