//! Proof that a quorum precommitted to a block: what makes a decision verifiable by anyone who knows
//! the committee.

use std::io;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    committee::Committee,
    digest::{Hasher, Position, SigningDomain},
    height::{Epoch, Height, Round},
    ids::{BlockId, Digest, ValidatorIndex},
    verifier::{StrictVerifier, Verifier},
};

/// An ed25519 signature, as raw bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SignatureBytes([u8; 64]);

impl SignatureBytes {
    /// Wraps raw bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl std::fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({}…)", hex::encode(self.0.get(..4).unwrap_or_default()))
    }
}

/// Which of the two votes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum VoteKind {
    /// "This is what I would accept."
    Prevote,
    /// "A quorum would accept this."
    Precommit,
}

impl VoteKind {
    /// The number that is signed.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Prevote => 0,
            Self::Precommit => 1,
        }
    }
}

/// Why a certificate proves nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    /// It is for nil, which is no block.
    #[error("the certificate is for nil, not for a block")]
    Nil,
    /// A signer has no place in the committee.
    #[error("signer {0} is not in the committee")]
    UnknownSigner(ValidatorIndex),
    /// Signers are not strictly ascending.
    #[error("signer {0} is out of order or appears twice")]
    Order(ValidatorIndex),
    /// A signature does not verify.
    #[error("the signature of validator {0} does not verify")]
    BadSignature(ValidatorIndex),
    /// Too little voting power.
    #[error("the signers have voting power {found}, a quorum is {expected}")]
    NoQuorum {
        /// The least that decides.
        expected: u64,
        /// What the signers have.
        found: u64,
    },
}

/// What a certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The height that was decided.
    pub height: Height,
    /// The block that was decided.
    pub block: BlockId,
}

/// Precommits of a quorum for one block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// The epoch whose committee signed.
    pub epoch: Epoch,
    /// The height.
    pub height: Height,
    /// The round in which the quorum formed.
    pub round: Round,
    /// The block.
    pub block: BlockId,
    /// Signers in ascending order, each with its precommit's signature.
    #[borsh(deserialize_with = "bounded")]
    pub signatures: Vec<(ValidatorIndex, SignatureBytes)>,
}

impl Certificate {
    /// Checks every signature and that the signers are a quorum of `committee`.
    ///
    /// # Errors
    ///
    /// Names the first signer at fault, or the voting power that is missing.
    pub fn verify(
        &self,
        committee: &Committee,
        domain: &SigningDomain,
    ) -> Result<Statement, CertificateError> {
        self.verify_by(committee, domain, &StrictVerifier)
    }

    /// [`Certificate::verify`] with another judge of the signatures.
    ///
    /// # Errors
    ///
    /// As [`Certificate::verify`].
    pub fn verify_by(
        &self,
        committee: &Committee,
        domain: &SigningDomain,
        verifier: &dyn Verifier,
    ) -> Result<Statement, CertificateError> {
        // Precommits for nil decide nothing, however many there are.
        if self.block == BlockId::ZERO {
            return Err(CertificateError::Nil);
        }
        let at = Position { epoch: self.epoch, height: self.height, round: self.round };
        let message = domain.vote(VoteKind::Precommit.code(), at, Some(self.block));
        let mut previous = None;
        let mut power = 0_u64;
        for (signer, signature) in &self.signatures {
            if previous.is_some_and(|last| last >= *signer) {
                return Err(CertificateError::Order(*signer));
            }
            previous = Some(*signer);
            let member = committee.get(*signer).ok_or(CertificateError::UnknownSigner(*signer))?;
            let key = committee.key(*signer).ok_or(CertificateError::UnknownSigner(*signer))?;
            if !verifier.is_signed(key, &message, signature) {
                return Err(CertificateError::BadSignature(*signer));
            }
            power = power.saturating_add(member.power);
        }
        let expected = committee.quorum_power();
        if power < expected {
            return Err(CertificateError::NoQuorum { expected, found: power });
        }
        Ok(Statement { height: self.height, block: self.block })
    }

    /// Digest of the certificate, for the header of the block after.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("conclave/certificate/v1");
        hasher
            .u64(self.epoch.as_u64())
            .u64(self.height.as_u64())
            .u32(self.round.as_u32())
            .fixed(self.block.as_bytes())
            .u64(self.signatures.len() as u64);
        for (signer, signature) in &self.signatures {
            hasher.u16(signer.as_u16()).fixed(signature.as_bytes());
        }
        hasher.finish()
    }
}

/// Reads at most [`Committee::MEMBERS_MAX`] items, one for each signer; a longer list is refused before anything is
/// allocated for it.
pub(crate) fn bounded<R: io::Read, T: BorshDeserialize>(reader: &mut R) -> io::Result<Vec<T>> {
    let count = u32::deserialize_reader(reader)?;
    if count as usize > Committee::MEMBERS_MAX {
        let most = Committee::MEMBERS_MAX;
        let found = format!("a certificate of {count} signers, the most is {most}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, found));
    }
    (0..count).map(|_| BorshDeserialize::deserialize_reader(reader)).collect()
}
