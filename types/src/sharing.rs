//! A message of a key generation or resharing, as blocks carry it. What it says is for the encryption
//! crate to read; who says it, and for which attempt, stands outside and is signed.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    certificate::SignatureBytes,
    digest::{Hasher, SigningDomain, keccak},
    height::{Epoch, Round},
    ids::{Digest, ValidatorIndex},
};

/// A validator's contribution to making or handing on the threshold key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SharingMessage {
    /// The epoch that the sharing is for.
    pub epoch: Epoch,
    /// The attempt.
    pub round: Round,
    /// Who says it.
    pub from: ValidatorIndex,
    /// What it says.
    pub content: Vec<u8>,
    /// Over [`SharingMessage::digest`], by the sender's consensus key.
    pub signature: SignatureBytes,
}

impl SharingMessage {
    /// What is signed.
    #[must_use]
    pub fn digest(&self, domain: &SigningDomain) -> Digest {
        domain
            .hasher("conclave/sharing-message/v1")
            .u64(self.epoch.as_u64())
            .u32(self.round.as_u32())
            .u16(self.from.as_u16())
            .fixed(keccak(&self.content).as_bytes())
            .finish()
    }

    /// The message's leaf in a block's sharing root: everything, the signature included.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        Hasher::new("conclave/sharing-leaf/v1")
            .u64(self.epoch.as_u64())
            .u32(self.round.as_u32())
            .u16(self.from.as_u16())
            .bytes(&self.content)
            .fixed(self.signature.as_bytes())
            .finish()
    }

    /// What it adds to a block.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.content.len().saturating_add(8 + 4 + 2 + 4 + 64)
    }
}
