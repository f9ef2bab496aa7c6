//! What is hashed and signed. Every layout here is fixed-width or length-prefixed and can be rebuilt
//! by a contract with `abi.encodePacked`; `tests/vectors/` pins each of them.
//!
//! Integers are big-endian. A tag opens every preimage, so that no digest of one kind can be taken
//! for another.

use sha3::{Digest as _, Keccak256};

use crate::{
    genesis::Genesis,
    height::{Epoch, Height, Round},
    ids::{BlockId, Digest, NetworkId},
};

/// keccak256 over a tagged, fixed layout.
#[derive(Clone)]
pub struct Hasher(Keccak256);

impl Hasher {
    /// Starts a preimage with `tag`.
    #[must_use]
    pub fn new(tag: &'static str) -> Self {
        Self(Keccak256::new_with_prefix(tag))
    }

    /// Appends bytes whose number the layout fixes.
    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// Appends bytes of any number, behind their length as 64 bits.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u64(bytes.len() as u64).fixed(bytes)
    }

    /// Appends one byte.
    pub fn u8(&mut self, number: u8) -> &mut Self {
        self.fixed(&[number])
    }

    /// Appends 16 bits.
    pub fn u16(&mut self, number: u16) -> &mut Self {
        self.fixed(&number.to_be_bytes())
    }

    /// Appends 32 bits.
    pub fn u32(&mut self, number: u32) -> &mut Self {
        self.fixed(&number.to_be_bytes())
    }

    /// Appends 64 bits.
    pub fn u64(&mut self, number: u64) -> &mut Self {
        self.fixed(&number.to_be_bytes())
    }

    /// The digest of what was appended.
    #[must_use]
    pub fn finish(&self) -> Digest {
        Digest::new(self.0.clone().finalize().into())
    }
}

/// keccak256 of raw bytes, without a tag: for payloads whose digest stands inside a tagged preimage.
#[must_use]
pub fn keccak(bytes: &[u8]) -> Digest {
    Digest::new(Keccak256::digest(bytes).into())
}

/// What separates the signatures of this network from those of every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningDomain {
    /// The network.
    pub network: NetworkId,
    /// Chain id of the L1 it settles on.
    pub l1_chain_id: u64,
    /// Address of the stake contract there: what is signed is answered for with that stake.
    pub l1_contract: [u8; 20],
}

impl SigningDomain {
    /// The domain of a network.
    #[must_use]
    pub fn of(genesis: &Genesis) -> Self {
        Self {
            network: genesis.network_id(),
            l1_chain_id: genesis.l1_chain_id,
            l1_contract: *genesis.l1_contract.as_bytes(),
        }
    }

    pub(crate) fn hasher(&self, tag: &'static str) -> Hasher {
        let mut hasher = Hasher::new(tag);
        hasher.fixed(self.network.as_bytes()).u64(self.l1_chain_id).fixed(&self.l1_contract);
        hasher
    }

    /// What a prevote (type 0) or precommit (type 1) signs; nil is the zero block id.
    #[must_use]
    pub fn vote(&self, kind: u8, at: Position, block: Option<BlockId>) -> Digest {
        self.hasher("conclave/vote/v1")
            .u64(at.epoch.as_u64())
            .u8(kind)
            .u64(at.height.as_u64())
            .u32(at.round.as_u32())
            .fixed(block.unwrap_or(BlockId::ZERO).as_bytes())
            .finish()
    }

    /// What a proposal signs; the round of the polka it rests on, or none, is 2^32 − 1.
    #[must_use]
    pub fn proposal(&self, at: Position, block: BlockId, pol_round: Option<Round>) -> Digest {
        self.hasher("conclave/proposal/v1")
            .u64(at.epoch.as_u64())
            .u64(at.height.as_u64())
            .u32(at.round.as_u32())
            .fixed(block.as_bytes())
            .u32(pol_round.map_or(u32::MAX, Round::as_u32))
            .finish()
    }

    /// What a share message signs: the Merkle root of one validator's shares for a block.
    #[must_use]
    pub fn shares(&self, epoch: Epoch, height: Height, block: BlockId, root: Digest) -> Digest {
        self.hasher("conclave/shares/v1")
            .u64(epoch.as_u64())
            .u64(height.as_u64())
            .fixed(block.as_bytes())
            .fixed(root.as_bytes())
            .finish()
    }

    /// What a submission receipt signs.
    #[must_use]
    pub fn receipt(
        &self,
        bundle: &crate::BundleId,
        received_micros: u64,
        deadline: Height,
    ) -> Digest {
        self.hasher("conclave/receipt/v1")
            .fixed(bundle.as_bytes())
            .u64(received_micros)
            .u64(deadline.as_u64())
            .finish()
    }
}

/// Where in the protocol something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The epoch whose committee signs.
    pub epoch: Epoch,
    /// The height.
    pub height: Height,
    /// The round.
    pub round: Round,
}
