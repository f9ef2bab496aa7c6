//! Attestations: signed once, judged by having been signed here.

use std::{collections::BTreeMap, sync::Arc};

use conclave_sequencer::{AttestJob, CertifyJob, CheckCertificateJob, Job, JobOutput};
use conclave_types::{
    Digest, G2Bytes, Height, SettlementCertificate, ValidatorIndex, add_signatures,
};
use sha3::{Digest as _, Keccak256};

use super::{Crypto, HEIGHTS_KEPT};

/// What validators have signed of late.
#[derive(Debug)]
pub(super) struct Attestations {
    signed: BTreeMap<(Height, Digest, ValidatorIndex), G2Bytes>,
    /// Certificates that were made here.
    sums: BTreeMap<(Height, Digest, Vec<ValidatorIndex>), G2Bytes>,
}

impl Attestations {
    pub(super) const fn new() -> Self {
        Self { signed: BTreeMap::new(), sums: BTreeMap::new() }
    }

    pub(super) fn attest(&mut self, mode: Crypto, job: &AttestJob) -> JobOutput {
        let AttestJob { height, digest, validator, secret } = job;
        if let Some(least) = height.checked_sub(HEIGHTS_KEPT) {
            let first = ValidatorIndex::default();
            self.signed = self.signed.split_off(&(least, Digest::ZERO, first));
            self.sums = self.sums.split_off(&(least, Digest::ZERO, Vec::new()));
        }
        let signature = *self.signed.entry((*height, *digest, *validator)).or_insert_with(|| {
            if mode == Crypto::Modelled {
                token(digest, &[*validator])
            } else {
                secret.sign(digest)
            }
        });
        JobOutput::Attested { height: *height, signature }
    }

    fn is_right(&self, at: (Height, Digest), validator: ValidatorIndex, found: &G2Bytes) -> bool {
        self.signed.get(&(at.0, at.1, validator)) == Some(found)
    }

    pub(super) fn certify(&mut self, mode: Crypto, job: CertifyJob) -> JobOutput {
        let (height, digest) = (job.height, job.digest);
        let wrong: Vec<_> = job
            .signatures
            .iter()
            .filter(|(validator, _, found)| !self.is_right((height, digest), *validator, found))
            .map(|(validator, _, _)| *validator)
            .collect();
        if !wrong.is_empty() {
            // Somebody else may have signed it, though: an adversary by itself.
            return match mode {
                Crypto::Modelled => JobOutput::Certified { height, result: Err(wrong) },
                Crypto::Real | Crypto::Memoised => Job::Certify(job).run(),
            };
        }
        let signers: Vec<_> = job.signatures.iter().map(|(validator, _, _)| *validator).collect();
        let known = self.sums.entry((height, digest, signers.clone()));
        let sum = *known.or_insert_with(|| {
            let points: Vec<_> = job.signatures.iter().map(|(_, _, found)| *found).collect();
            let sum = (mode != Crypto::Modelled).then(|| add_signatures(&points)).flatten();
            sum.unwrap_or_else(|| token(&digest, &signers))
        });
        JobOutput::Certified { height, result: Ok((signers, sum)) }
    }

    pub(super) fn check(&self, mode: Crypto, job: CheckCertificateJob) -> JobOutput {
        let digest = job.domain.commitment(&job.certificate.commitment);
        let SettlementCertificate { commitment, signers, signature } = &*job.certificate;
        let known = self.sums.get(&(commitment.height, digest, signers.clone()));
        let power = job.committee.power_of(signers.iter().copied());
        let holds = known == Some(signature) && power >= job.committee.quorum_power();
        if holds || mode == Crypto::Modelled {
            let (from, certificate) = (job.from, Arc::clone(&job.certificate));
            return JobOutput::CertificateChecked { from, certificate, holds };
        }
        Job::CheckCertificate(job).run()
    }
}

/// What stands for an attestation, or for a sum of them.
fn token(digest: &Digest, signers: &[ValidatorIndex]) -> G2Bytes {
    let mut hasher = Keccak256::new();
    hasher.update(b"conclave-sim/attestation");
    hasher.update(digest.as_bytes());
    for signer in signers {
        hasher.update(signer.as_u16().to_be_bytes());
    }
    let hash: [u8; 32] = hasher.finalize().into();
    let mut bytes = [0; G2Bytes::LEN];
    for (to, from) in bytes.iter_mut().zip(hash.iter().cycle()) {
        *to = *from;
    }
    G2Bytes::new(bytes)
}
