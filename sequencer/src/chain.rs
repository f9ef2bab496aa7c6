//! Where the chain stands: the newest decided block and what follows from all decided and all revealed
//! blocks. Everything here is the same on every honest node at the same heights.

use std::collections::BTreeMap;

use conclave_derivation::Cursors;
use conclave_mempool::Ledger;
use conclave_types::{BlockHeader, BlockId, Certificate, Digest, Genesis, Height, L1Origin, Time};

use crate::{archive::Tip, keys::Keys};

/// The parent of the next block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its height; 0 for the genesis.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// Its time.
    pub time: Time,
    /// Its L1 origin.
    pub l1_origin: L1Origin,
    /// Entries of the queue on L1 up to that origin, all of them carried.
    pub forced_cursor: u64,
    /// The reveal that it builds on.
    pub revealed_height: Height,
}

impl Parent {
    /// The parent of the first block.
    #[must_use]
    pub fn genesis(genesis: &Genesis) -> Self {
        Self {
            height: Height::ZERO,
            block: genesis.block_id(),
            time: genesis.time,
            l1_origin: genesis.l1_origin,
            forced_cursor: 0,
            revealed_height: Height::ZERO,
        }
    }

    /// A decided block as the parent of the next, `forced_cursor` being that of its origin.
    #[must_use]
    pub fn block(header: &BlockHeader, forced_cursor: u64) -> Self {
        Self {
            height: header.height,
            block: header.id(),
            time: header.time,
            l1_origin: header.l1_origin,
            forced_cursor,
            revealed_height: header.revealed_height,
        }
    }
}

/// The chain as this node knows it.
pub(crate) struct Chain {
    pub(crate) parent: Parent,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) ledger: Ledger,
    pub(crate) cursors: Cursors,
    pub(crate) keys: Keys,
    pub(crate) revealed: Height,
    pub(crate) digests: BTreeMap<Height, Digest>,
}

impl Chain {
    pub(crate) const fn decided(&self) -> Height {
        self.parent.height
    }

    pub(crate) const fn next(&self) -> Height {
        self.parent.height.next()
    }

    /// The chain digest at a revealed height; zero at genesis.
    pub(crate) fn digest_at(&self, height: Height) -> Option<Digest> {
        if height == Height::ZERO {
            return Some(Digest::ZERO);
        }
        self.digests.get(&height).copied()
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest_at(self.revealed).unwrap_or_default()
    }

    pub(crate) fn set_revealed(&mut self, height: Height, digest: Digest) {
        self.revealed = height;
        self.digests.insert(height, digest);
    }

    /// The next block builds on `parent`. Digests below its R can no longer be named by a block.
    pub(crate) fn set_parent(&mut self, parent: Parent, certificate: Certificate) {
        self.digests = self.digests.split_off(&parent.revealed_height.min(self.revealed));
        self.parent = parent;
        self.certificate = Some(certificate);
    }

    pub(crate) fn tip(&self) -> Tip {
        Tip {
            decided: self.decided(),
            revealed: self.revealed,
            reveal_digest: self.digest(),
            ledger_digest: self.ledger.digest(),
            till: self.ledger.till().clone(),
            forced_cursor: self.parent.forced_cursor,
        }
    }
}
