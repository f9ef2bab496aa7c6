//! Work on commitments: BLS signatures and their sums.

use std::sync::Arc;

use conclave_types::{
    Committee, Digest, G2Bytes, Height, ParsedSettlementKey, SettlementCertificate,
    SettlementSecret, ValidatorIndex, digest::SigningDomain, sum_of_signatures,
};

use super::JobOutput;
use crate::input::Peer;

/// Sign a commitment.
#[derive(Debug)]
pub struct AttestJob {
    /// The height.
    pub height: Height,
    /// The commitment's digest.
    pub digest: Digest,
    /// This validator.
    pub validator: ValidatorIndex,
    /// Its settlement key.
    pub secret: SettlementSecret,
}

impl AttestJob {
    pub(super) fn run(self) -> JobOutput {
        let Self { height, digest, validator: _, secret } = self;
        JobOutput::Attested { height, signature: secret.sign(&digest) }
    }
}

/// Add up a quorum's attestations of one commitment.
#[derive(Debug)]
pub struct CertifyJob {
    /// The height.
    pub height: Height,
    /// The commitment's digest.
    pub digest: Digest,
    /// Who signed, ascending, with its key and what it sent.
    pub signatures: Vec<(ValidatorIndex, ParsedSettlementKey, G2Bytes)>,
}

impl CertifyJob {
    /// The sum is checked at once; only if it is wrong, each by itself.
    pub(super) fn run(self) -> JobOutput {
        let Self { height, digest, signatures } = self;
        let keys: Vec<_> = signatures.iter().map(|(_, key, _)| key).collect();
        let points: Vec<_> = signatures.iter().map(|(_, _, signature)| *signature).collect();
        let result = match sum_of_signatures(&keys, &digest, &points) {
            Some(sum) => Ok((signatures.iter().map(|(validator, _, _)| *validator).collect(), sum)),
            None => Err(signatures
                .iter()
                .filter(|(_, key, signature)| !key.has_signed(&digest, signature))
                .map(|(validator, _, _)| *validator)
                .collect()),
        };
        JobOutput::Certified { height, result }
    }
}

/// Check a certificate that a peer has sent.
#[derive(Debug)]
pub struct CheckCertificateJob {
    /// Who sent it.
    pub from: Peer,
    /// The certificate.
    pub certificate: Arc<SettlementCertificate>,
    /// The committee of its epoch.
    pub committee: Arc<Committee>,
    /// What its signatures are bound to.
    pub domain: SigningDomain,
}

impl CheckCertificateJob {
    pub(super) fn run(self) -> JobOutput {
        let Self { from, certificate, committee, domain } = self;
        let holds = certificate.verify(&committee, &domain).is_ok();
        JobOutput::CertificateChecked { from, certificate, holds }
    }
}
