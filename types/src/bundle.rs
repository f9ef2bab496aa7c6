//! What a client seals: a header in the clear, a ciphertext with its proof, the payer's signature.
//!
//! ```text
//! header (clear) ── L = keccak(header) ──────────────┐ associated data of the ciphertext
//! body           ── ChaCha20-Poly1305(legs, padded) ─┤
//! capsule        ── u ‖ ū ‖ proof (suite 0x01)       ├─▶ EIP-712 digest ──▶ payer's signature
//!                                                    └─▶ bundle id
//! ```
//!
//! **Invariants.** Two bundles with one id are the same bytes. Whatever a third party changes — a byte
//! of the body, the proof, the price, the payer, the network — invalidates the signature or the proof.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    digest::{Hasher, keccak},
    height::Height,
    ids::{BundleId, Digest, KeyId, NetworkId, PayerAddress, RollupId},
    params::Gwei,
};

/// Plaintext sizes, in bytes, to which legs are padded: all that an observer learns about length.
pub const SIZE_BUCKETS: [u32; 10] =
    [256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072];

/// The smallest bucket that holds `bytes`; none if there is none.
#[must_use]
pub fn bucket_for(bytes: usize) -> Option<u32> {
    SIZE_BUCKETS.into_iter().find(|bucket| *bucket as usize >= bytes)
}

/// One transaction for one rollup.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Leg {
    /// Where it is to be executed.
    pub rollup: RollupId,
    /// The rollup's own transaction bytes.
    pub transaction: Vec<u8>,
}

/// Place of a bundle in its payer's order. A lost bundle blocks only its own lane.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct BundleNonce {
    /// Any number the payer likes; bundles of different lanes are independent.
    pub lane: u64,
    /// 0, 1, 2, … within the lane.
    pub sequence: u64,
}

/// The part of a bundle that everybody can read.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct BundleHeader {
    /// The network this is for.
    pub network: NetworkId,
    /// Encryption suite.
    pub suite: u8,
    /// The threshold key it is sealed to.
    pub key_id: KeyId,
    /// Who pays, and signs.
    pub payer: PayerAddress,
    /// Place in the payer's order.
    pub nonce: BundleNonce,
    /// The most that may be charged.
    pub max_fee: Gwei,
    /// Paid on top, for a better chance of inclusion; it buys no position.
    pub priority_fee: Gwei,
    /// The last height at which it may be included.
    pub valid_until: Height,
    /// Length of the ciphertext body in bytes.
    pub body_bytes: u32,
}

impl BundleHeader {
    /// L: the digest that the ciphertext and its proof are bound to.
    #[must_use]
    pub fn label(&self) -> Digest {
        Hasher::new("conclave/bundle-header/v1")
            .fixed(self.network.as_bytes())
            .u8(self.suite)
            .fixed(self.key_id.as_bytes())
            .fixed(self.payer.as_bytes())
            .u64(self.nonce.lane)
            .u64(self.nonce.sequence)
            .u64(self.max_fee.as_u64())
            .u64(self.priority_fee.as_u64())
            .u64(self.valid_until.as_u64())
            .u32(self.body_bytes)
            .finish()
    }
}

/// A recoverable secp256k1 signature: r ‖ s ‖ v, v being 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PayerSignature([u8; 65]);

impl PayerSignature {
    /// Wraps r ‖ s ‖ v.
    #[must_use]
    pub const fn new(bytes: [u8; 65]) -> Self {
        Self(bytes)
    }

    /// r ‖ s ‖ v.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }
}

impl std::fmt::Debug for PayerSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PayerSignature({}…)", hex::encode(self.0.get(..4).unwrap_or_default()))
    }
}

/// A sealed bundle as it travels. Its parts are as the sender sent them; admission says whether the
/// signature and the proof hold.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EncryptedBundle {
    /// The readable part.
    pub header: BundleHeader,
    /// Key encapsulation and validity proof, in the suite's own layout.
    pub capsule: Vec<u8>,
    /// The sealed legs.
    pub body: Vec<u8>,
    /// The payer's signature over [`EncryptedBundle::signing_digest`].
    pub signature: PayerSignature,
}

impl EncryptedBundle {
    /// No suite's capsule is longer.
    pub const CAPSULE_BYTES_MAX: usize = 512;
    /// The largest bucket with its authentication tag.
    pub const BODY_BYTES_MAX: usize = 131_072 + 16;
    /// No encoded bundle is longer: header and framing take less than 512 bytes.
    pub const ENCODED_BYTES_MAX: usize = Self::BODY_BYTES_MAX + Self::CAPSULE_BYTES_MAX + 512;

    /// The bundle's id.
    #[must_use]
    pub fn id(&self) -> BundleId {
        id((&self.header.label(), &keccak(&self.body)), &self.capsule, &self.signature)
    }

    /// What is left of it without header and body.
    #[must_use]
    pub fn outline(&self) -> BundleOutline {
        BundleOutline {
            label: self.header.label(),
            body_hash: keccak(&self.body),
            capsule: self.capsule.clone(),
            signature: self.signature,
        }
    }

    /// What the payer signs, by EIP-712.
    #[must_use]
    pub fn signing_digest(&self) -> Digest {
        typed_data_digest(&self.header, &keccak(&self.body), &keccak(&self.capsule))
    }

    /// Bytes it takes in memory and on the wire, framing aside.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.body.len().saturating_add(self.capsule.len()).saturating_add(256)
    }
}

/// What a bundle's id is the digest of, with the capsule in full: it shows what the bundle's id says of the capsule.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BundleOutline {
    /// The header's label.
    pub label: Digest,
    /// Keccak of the body.
    pub body_hash: Digest,
    /// The capsule.
    pub capsule: Vec<u8>,
    /// The payer's signature.
    pub signature: PayerSignature,
}

impl BundleOutline {
    /// The bundle's id.
    #[must_use]
    pub fn id(&self) -> BundleId {
        id((&self.label, &self.body_hash), &self.capsule, &self.signature)
    }
}

fn id(
    (label, body_hash): (&Digest, &Digest),
    capsule: &[u8],
    signature: &PayerSignature,
) -> BundleId {
    let digest = Hasher::new("conclave/bundle/v1")
        .fixed(label.as_bytes())
        .fixed(body_hash.as_bytes())
        .fixed(keccak(capsule).as_bytes())
        .fixed(signature.as_bytes())
        .finish();
    BundleId::new(*digest.as_bytes())
}

/// The EIP-712 type of what a payer signs. Wallets show these fields.
pub const BUNDLE_TYPE: &str = "SealedBundle(bytes32 keyId,uint8 suite,address payer,uint64 lane,\
uint64 sequence,uint64 maxFeeGwei,uint64 priorityFeeGwei,uint64 validUntil,uint32 bodyBytes,\
bytes32 bodyHash,bytes32 capsuleHash)";

/// The EIP-712 domain type: name "Conclave", version "1", salt the network id.
pub const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,bytes32 salt)";

/// The EIP-712 digest of a bundle's header, body hash and capsule hash.
#[must_use]
pub fn typed_data_digest(
    header: &BundleHeader,
    body_hash: &Digest,
    capsule_hash: &Digest,
) -> Digest {
    let word = |number: u64| {
        let mut word = [0_u8; 32];
        for (to, from) in word.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
            *to = *from;
        }
        word
    };
    let mut payer = [0_u8; 32];
    for (to, from) in payer.iter_mut().rev().zip(header.payer.as_bytes().iter().rev()) {
        *to = *from;
    }
    let domain: Vec<u8> = [
        *keccak(DOMAIN_TYPE.as_bytes()).as_bytes(),
        *keccak(b"Conclave").as_bytes(),
        *keccak(b"1").as_bytes(),
        *header.network.as_bytes(),
    ]
    .concat();
    let message: Vec<u8> = [
        *keccak(BUNDLE_TYPE.as_bytes()).as_bytes(),
        *header.key_id.as_bytes(),
        word(u64::from(header.suite)),
        payer,
        word(header.nonce.lane),
        word(header.nonce.sequence),
        word(header.max_fee.as_u64()),
        word(header.priority_fee.as_u64()),
        word(header.valid_until.as_u64()),
        word(u64::from(header.body_bytes)),
        *body_hash.as_bytes(),
        *capsule_hash.as_bytes(),
    ]
    .concat();
    let mut preimage = vec![0x19, 0x01];
    preimage.extend_from_slice(keccak(&domain).as_bytes());
    preimage.extend_from_slice(keccak(&message).as_bytes());
    keccak(&preimage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_bucket_that_holds_is_taken() {
        assert_eq!(bucket_for(0), Some(256));
        assert_eq!(bucket_for(256), Some(256));
        assert_eq!(bucket_for(257), Some(512));
        assert_eq!(bucket_for(131_072), Some(131_072));
        assert_eq!(bucket_for(131_073), None);
    }
}
