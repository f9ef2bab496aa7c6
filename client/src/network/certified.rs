//! Commitments that a quorum has signed for: what proofs of the order stand under, before L1 has settled them and for
//! whoever does not ask it.

use conclave_types::{BlockCommitment, Epoch, Height, mmr, wire::CertifiedCommitment};

use super::Network;
use crate::ClientError;

impl Network {
    /// Checks that a quorum has signed the commitment of `height`, be it through a later one whose history it is in.
    ///
    /// # Errors
    ///
    /// [`ClientError::UnknownCommittee`] if it has not been shown yet who could have signed, [`ClientError::Settlement`]
    /// if a quorum has not, or what does not fit.
    pub fn verify_certified(
        &self,
        certified: &CertifiedCommitment,
        height: Height,
    ) -> Result<(), ClientError> {
        let CertifiedCommitment { commitment, certificate, path } = certified;
        if commitment.height != height {
            return Err(ClientError::Inconsistent("a commitment is of the height asked for"));
        }
        let signed = &certificate.commitment;
        let epoch: Epoch = signed.epoch;
        let committee = self.committee_of(epoch);
        let committee = committee.ok_or(ClientError::UnknownCommittee { epoch })?;
        certificate.verify(&committee, &self.domain)?;
        let is_covered = if signed.height == height {
            signed == commitment && path.is_empty()
        } else {
            self.is_in_history_of(signed, certified)
        };
        if is_covered {
            return Ok(());
        }
        Err(ClientError::Inconsistent("the certificate covers the commitment"))
    }

    /// Whether the history of the signed commitment has the other one as the entry of its height.
    fn is_in_history_of(&self, signed: &BlockCommitment, certified: &CertifiedCommitment) -> bool {
        let CertifiedCommitment { commitment, path, .. } = certified;
        let entries = signed.height.previous().map(Height::as_u64);
        let entry = commitment.height.previous().map(Height::as_u64);
        let Some((entries, entry)) = entries.zip(entry) else { return false };
        let digest = self.domain.commitment(commitment);
        mmr::verify_inclusion(&signed.history_root, entries, entry, &digest, path)
    }
}
