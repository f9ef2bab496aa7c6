//! What validators decide: a header, and a body that names bundles by id. The bundles themselves
//! travel by dissemination.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    certificate::Certificate,
    digest::Hasher,
    height::{Epoch, Height},
    ids::{BlockId, BundleId, Digest, KeyId, NetworkId, ValidatorIndex},
    l1::{L1Entry, l1_entries_root},
    merkle,
    roster::CommitteeOffer,
    sharing::SharingMessage,
    time::Time,
};

/// The finalized L1 block up to which a block has seen L1.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct L1Origin {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
}

/// A block's header. Its digest is what validators vote on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockHeader {
    /// The network.
    pub network: NetworkId,
    /// Position in the chain.
    pub height: Height,
    /// The block before; the network id, for the first block.
    pub parent: BlockId,
    /// Digest of the certificate that decided the parent; zero for the first block.
    pub parent_certificate: Digest,
    /// Who built the block. A re-proposal in a later round keeps it.
    pub proposer: ValidatorIndex,
    /// Later than the parent's.
    pub time: Time,
    /// The epoch.
    pub epoch: Epoch,
    /// The parent's, or a later finalized L1 block.
    pub l1_origin: L1Origin,
    /// Root over what L1 asks for between the parent's origin and this one; zero if that is nothing.
    pub l1_entries_root: Digest,
    /// The threshold key that opens this block; zero in an epoch that has none, whose blocks carry no
    /// bundles. So a quorum's signatures on a block vouch for the key too.
    pub key_id: KeyId,
    /// Root over the messages that make or hand on the key, in block order, and the key of the next era if it
    /// is fixed. So a quorum vouches for that, too, before it is in force.
    pub sharing_root: Digest,
    /// Root over the bundle ids, in block order.
    pub bundle_root: Digest,
    /// Number of bundles.
    pub bundle_count: u32,
    /// R: the newest height whose reveal this block builds on; the parent's ≤ R < height.
    pub revealed_height: Height,
    /// The reveal digest at R.
    pub reveal_digest: Digest,
    /// The ledger digest after the parent's charges and the deposits up to its origin.
    pub ledger_digest: Digest,
}

impl BlockHeader {
    /// The block's id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        let digest = Hasher::new("conclave/block/v1")
            .fixed(self.network.as_bytes())
            .u64(self.height.as_u64())
            .fixed(self.parent.as_bytes())
            .fixed(self.parent_certificate.as_bytes())
            .u16(self.proposer.as_u16())
            .u64(self.time.as_micros())
            .u64(self.epoch.as_u64())
            .u64(self.l1_origin.number)
            .fixed(self.l1_origin.hash.as_bytes())
            .fixed(self.l1_entries_root.as_bytes())
            .fixed(self.key_id.as_bytes())
            .fixed(self.sharing_root.as_bytes())
            .fixed(self.bundle_root.as_bytes())
            .u32(self.bundle_count)
            .u64(self.revealed_height.as_u64())
            .fixed(self.reveal_digest.as_bytes())
            .fixed(self.ledger_digest.as_bytes())
            .finish();
        BlockId::new(*digest.as_bytes())
    }
}

/// What the header's roots commit to.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockBody {
    /// The certificate that decided the parent; none for the first block.
    pub parent_certificate: Option<Certificate>,
    /// All entries of the L1 blocks after the parent's origin up to this block's, in the order of the queue.
    pub l1_entries: Vec<L1Entry>,
    /// The committees that these L1 blocks offer, in their order.
    pub offers: Vec<CommitteeOffer>,
    /// What validators contribute to making or handing on the threshold key.
    pub sharing: Vec<SharingMessage>,
    /// The key of the next era, once it is fixed; zero as long as the key in force stays.
    pub next_key: KeyId,
    /// The bundles, in block order (which is not the order of execution).
    pub bundles: Vec<BundleId>,
}

impl BlockBody {
    /// The root over the bundle ids.
    #[must_use]
    pub fn bundle_root(&self) -> Digest {
        let leaves: Vec<_> = self.bundles.iter().map(|id| merkle::leaf(id.as_bytes())).collect();
        merkle::root(&leaves)
    }

    /// The root over the messages that make or hand on the key, and the next era's key if there is one.
    #[must_use]
    pub fn sharing_root(&self) -> Digest {
        let messages = self.messages_root();
        if self.next_key == KeyId::ZERO {
            messages
        } else {
            next_key_root(&self.next_key, &messages)
        }
    }

    /// The root over the messages that make or hand on the key; zero if there is none.
    #[must_use]
    pub fn messages_root(&self) -> Digest {
        let leaves: Vec<_> =
            self.sharing.iter().map(|m| merkle::leaf(m.leaf().as_bytes())).collect();
        merkle::root(&leaves)
    }

    /// The root over what the block carries of L1: the entries, then the offers; zero if there is nothing.
    #[must_use]
    pub fn l1_entries_root(&self) -> Digest {
        l1_entries_root(&self.l1_entries, &self.offers)
    }

    /// Digest of the parent certificate; zero if there is none.
    #[must_use]
    pub fn parent_certificate_digest(&self) -> Digest {
        self.parent_certificate.as_ref().map(Certificate::digest).unwrap_or_default()
    }
}

/// The sharing root of a block that names the key of the next era. Its preimage is no node's and no leaf's, so
/// no root over messages alone can be taken for it.
#[must_use]
pub fn next_key_root(next_key: &KeyId, messages_root: &Digest) -> Digest {
    Hasher::new("conclave/next-key/v1")
        .fixed(next_key.as_bytes())
        .fixed(messages_root.as_bytes())
        .finish()
}

/// A block as proposed and stored, without its bundles.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The header.
    pub header: BlockHeader,
    /// The body.
    pub body: BlockBody,
}

impl Block {
    /// The block's id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.header.id()
    }
}
