//! A validator's word on a commitment, and the sum of a quorum's: what L1 accepts.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    certificate::bounded,
    commitment::BlockCommitment,
    committee::Committee,
    digest::SigningDomain,
    ids::{G2Bytes, ValidatorIndex},
    settlement_key::have_signed,
};

/// A commitment, signed by one validator. The commitment is there as a whole: two that differ at one height are
/// evidence, and L1 wants to see what was signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attestation {
    /// What it says.
    pub commitment: BlockCommitment,
    /// Who says so.
    pub validator: ValidatorIndex,
    /// Over the commitment's digest, by the validator's settlement key: a point of G2, compressed.
    pub signature: G2Bytes,
}

/// Why a certificate settles nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// A signer has no place in the committee.
    #[error("signer {0} is not in the committee")]
    UnknownSigner(ValidatorIndex),
    /// Signers are not strictly ascending.
    #[error("signer {0} is out of order or appears twice")]
    Order(ValidatorIndex),
    /// Too little voting power.
    #[error("the signers have voting power {found}, a quorum is {expected}")]
    NoQuorum {
        /// The least that settles.
        expected: u64,
        /// What the signers have.
        found: u64,
    },
    /// The signature is not the sum of the signers'.
    #[error("the signature is not that of all the signers together")]
    BadSignature,
}

/// A commitment, signed by a quorum of its epoch's committee.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SettlementCertificate {
    /// What it says.
    pub commitment: BlockCommitment,
    /// Who signed, ascending.
    #[borsh(deserialize_with = "bounded")]
    pub signers: Vec<ValidatorIndex>,
    /// The sum of their signatures: a point of G2, compressed.
    pub signature: G2Bytes,
}

impl SettlementCertificate {
    /// Checks that a quorum of `committee` signed.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn verify(
        &self,
        committee: &Committee,
        domain: &SigningDomain,
    ) -> Result<(), SettlementError> {
        let expected = committee.quorum_power();
        let found = committee.power_of(self.signers.iter().copied());
        if found < expected {
            return Err(SettlementError::NoQuorum { expected, found });
        }
        self.verify_signature(committee, domain)
    }

    /// Checks that all the signers signed, be they a quorum or one alone.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn verify_signature(
        &self,
        committee: &Committee,
        domain: &SigningDomain,
    ) -> Result<(), SettlementError> {
        let out_of_order = |pair: &[ValidatorIndex]| match pair {
            [first, second] if first >= second => Some(*second),
            _ => None,
        };
        if let Some(signer) = self.signers.windows(2).find_map(out_of_order) {
            return Err(SettlementError::Order(signer));
        }
        let keys = self.signers.iter().map(|signer| {
            committee.settlement_key(*signer).ok_or(SettlementError::UnknownSigner(*signer))
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let digest = domain.commitment(&self.commitment);
        if have_signed(&keys, &digest, &self.signature) {
            Ok(())
        } else {
            Err(SettlementError::BadSignature)
        }
    }
}
