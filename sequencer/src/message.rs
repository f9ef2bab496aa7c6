//! What nodes say to each other.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_consensus::ConsensusMessage;
use conclave_types::{
    Attestation, Block, BlockId, BundleId, Certificate, Committee, Digest, EncryptedBundle, Epoch,
    G1Bytes, Height, Opening, SettlementCertificate, SharingMessage, SignatureBytes,
    StrictVerifier, ValidatorIndex, Verifier as _, digest::SigningDomain, merkle,
};

/// No encoded message is longer: a page of decided blocks with their bundles is cut to half of it, and
/// one block's bundles (4 MiB by default) fit in any case.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Longer than any message.
    #[error("a message has at most {MESSAGE_BYTES_MAX} bytes, found {found}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Not an encoding of a message.
    #[error("these bytes encode no message")]
    Malformed(#[source] std::io::Error),
}

/// One validator's shares for one decided block, signed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ShareMessage {
    /// The epoch whose sharing of the key this is.
    pub epoch: Epoch,
    /// The height.
    pub height: Height,
    /// The decided block.
    pub block: BlockId,
    /// Whose shares these are.
    pub validator: ValidatorIndex,
    /// For each point of the sharing that the validator holds, one group element for each sub-batch: all of
    /// its first point, then all of the next.
    pub shares: Vec<G1Bytes>,
    /// Over [`ShareMessage::digest`], by the validator's consensus key.
    pub signature: SignatureBytes,
}

impl ShareMessage {
    /// What is signed: the Merkle root over the shares, with where they belong.
    #[must_use]
    pub fn digest(
        domain: &SigningDomain,
        epoch: Epoch,
        height: Height,
        block: BlockId,
        shares: &[G1Bytes],
    ) -> Digest {
        domain.shares(epoch, height, block, Self::root(shares))
    }

    /// The Merkle root over shares.
    #[must_use]
    pub fn root(shares: &[G1Bytes]) -> Digest {
        let leaves: Vec<_> = shares.iter().map(|share| merkle::leaf(share.as_bytes())).collect();
        merkle::root(&leaves)
    }

    /// Whether these are shares of an epoch, signed by the member of its committee whom they name.
    #[must_use]
    pub fn is_signed(&self, committee: &Committee, domain: &SigningDomain, epoch: Epoch) -> bool {
        let Self { height, block, validator, shares, signature, .. } = self;
        let digest = Self::digest(domain, epoch, *height, *block, shares);
        let key = committee.key(*validator);
        self.epoch == epoch
            && key.is_some_and(|key| StrictVerifier.is_signed(key, &digest, signature))
    }
}

/// A part of a decided block that its sender has opened. Unsigned: a right opening proves itself, and a wrong one counts
/// nowhere.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PartialOpening {
    /// The height.
    pub height: Height,
    /// The decided block.
    pub block: BlockId,
    /// Which of its parts: everyone cuts a block in the same way.
    pub part: u16,
    /// A seed or a point for each slot in use of the part's sub-batches.
    pub openings: Vec<Opening>,
}

/// A decided block with all that is needed to follow it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DecidedBlock {
    /// The block.
    pub block: Block,
    /// The quorum that decided it.
    pub certificate: Certificate,
    /// Its bundles, in block order.
    pub bundles: Vec<EncryptedBundle>,
    /// Its openings, the beacon's first; none while it is sealed.
    pub openings: Option<Vec<Opening>>,
}

/// A message between nodes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// Votes, proposals and what keeps them alive.
    Consensus(ConsensusMessage),
    /// The block behind a proposal. Counts for nothing without one: proposals are signed, blocks are not.
    Block(Arc<Block>),
    /// Sealed bundles: dissemination, or the answer to [`Message::WantBundles`].
    Bundles(Vec<Arc<EncryptedBundle>>),
    /// Shares for a decided block.
    Shares(Arc<ShareMessage>),
    /// How far the sender has come.
    Status {
        /// Newest decided height.
        decided: Height,
        /// Newest revealed height.
        revealed: Height,
    },
    /// "Send me this block, which is being proposed."
    WantBlock {
        /// The height.
        height: Height,
        /// The block.
        block: BlockId,
    },
    /// "Send me these bundles." At most [`WANT_BUNDLES_MAX`].
    WantBundles(Vec<BundleId>),
    /// "Send me decided blocks from this height on."
    WantDecided {
        /// The first height wanted.
        from: Height,
    },
    /// "Send me what opens this block": openings if you have them, otherwise your shares.
    WantOpenings {
        /// The height.
        height: Height,
    },
    /// Decided blocks, ascending, without a gap.
    Decided(Vec<Arc<DecidedBlock>>),
    /// The openings of a decided block, the beacon's first.
    Openings {
        /// The height.
        height: Height,
        /// The block.
        block: BlockId,
        /// One point for the beacon, then one for each bundle.
        openings: Vec<Opening>,
    },
    /// A part of a decided block, opened.
    Part(Arc<PartialOpening>),
    /// A validator's contribution to making or handing on the key, on its way into a block.
    Sharing(Arc<SharingMessage>),
    /// A validator's word on the commitment to a revealed block.
    Attestation(Arc<Attestation>),
    /// "Send me the certificate of this height's commitment."
    WantCertificate {
        /// The height.
        height: Height,
    },
    /// A quorum's word on a commitment.
    Certificate(Arc<SettlementCertificate>),
}

/// Bundles that one [`Message::WantBundles`] may ask for: a full block's.
pub const WANT_BUNDLES_MAX: usize = 1_024;

impl Message {
    /// The message as bytes.
    ///
    /// # Panics
    ///
    /// Never: encoding into memory does not fail.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "a Vec<u8> takes every write")]
        borsh::to_vec(self).expect("encoding into memory does not fail")
    }

    /// Reads a message; every byte must belong to it.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if there are too many bytes or they are not a message.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong { found: bytes.len() });
        }
        borsh::from_slice(bytes).map_err(MessageError::Malformed)
    }

    /// Whether the message is large and can wait: it travels apart, so that votes never queue behind it.
    #[must_use]
    pub const fn is_bulk(&self) -> bool {
        match self {
            Self::Bundles(_) | Self::Decided(_) | Self::Openings { .. } => true,
            Self::Consensus(_)
            | Self::Block(_)
            | Self::Shares(_)
            | Self::Part(_)
            | Self::Sharing(_)
            | Self::Attestation(_)
            | Self::WantCertificate { .. }
            | Self::Certificate(_)
            | Self::Status { .. }
            | Self::WantBlock { .. }
            | Self::WantBundles(_)
            | Self::WantDecided { .. }
            | Self::WantOpenings { .. } => false,
        }
    }

    /// The kind, for logs and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Consensus(_) => "consensus",
            Self::Block(_) => "block",
            Self::Bundles(_) => "bundles",
            Self::Shares(_) => "shares",
            Self::Status { .. } => "status",
            Self::WantBlock { .. } => "want_block",
            Self::WantBundles(_) => "want_bundles",
            Self::WantDecided { .. } => "want_decided",
            Self::WantOpenings { .. } => "want_openings",
            Self::Decided(_) => "decided",
            Self::Openings { .. } => "openings",
            Self::Part(_) => "part",
            Self::Sharing(_) => "sharing",
            Self::Attestation(_) => "attestation",
            Self::WantCertificate { .. } => "want_certificate",
            Self::Certificate(_) => "certificate",
        }
    }
}
