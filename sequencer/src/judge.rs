//! Objective validity: what a block must satisfy given its parent, whoever looks and whenever.
//!
//! A pure function. What depends on this node's view — what it holds, its clock, its pool — is in
//! [`candidates`](crate::candidates) and can only delay a vote: if honest validators called a block
//! invalid for a reason that others do not share, Tendermint could halt for ever.

use conclave_encryption::Packing;
use conclave_mempool::{
    Charge, Ledger, LedgerError,
    admission::{self, AdmittedKeys},
};
use conclave_types::{
    Block, BlockId, BundleHeader, BundleId, CertificateError, Digest, EncryptedBundle, Epoch,
    Height, KeyId, L1EntryError, NetworkId, Params, SharingMessage, SharingParams, Time,
    ValidatorIndex, Verifier, digest::SigningDomain,
};

use crate::{chain::Parent, keys::Keys};

/// The rules that the next block is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rulebook<'a> {
    /// The network.
    pub network: NetworkId,
    /// What signatures are bound to.
    pub domain: &'a SigningDomain,
    /// The keys after the parent, and with them the epoch and its committee.
    pub keys: &'a Keys,
    /// Who judges signatures.
    pub verifier: &'a dyn Verifier,
    /// Limits and fees.
    pub params: &'a Params,
    /// What a bundle must look like.
    pub bundles: &'a admission::Rules,
}

/// Why a block can never be decided by honest validators.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidBlock {
    /// Another network.
    #[error("the block is for network {found}, expected {expected}")]
    Network {
        /// Ours.
        expected: NetworkId,
        /// The block's.
        found: NetworkId,
    },
    /// Not the next height.
    #[error("the block has height {found}, expected {expected}")]
    Height {
        /// The next.
        expected: Height,
        /// The block's.
        found: Height,
    },
    /// Another epoch.
    #[error("the block is of epoch {found}, expected {expected}")]
    Epoch {
        /// The current.
        expected: Epoch,
        /// The block's.
        found: Epoch,
    },
    /// Another parent.
    #[error("the block builds on {found}, expected {expected}")]
    Parent {
        /// The newest decided.
        expected: BlockId,
        /// The block's.
        found: BlockId,
    },
    /// A root or count in the header does not match the body.
    #[error("the header's {0} does not match the body")]
    Root(&'static str),
    /// The header names another key than opens the block.
    #[error("the block is sealed to key {found}, expected {expected}")]
    Key {
        /// The epoch's.
        expected: KeyId,
        /// The block's.
        found: KeyId,
    },
    /// The body names another key of the next era than is fixed, or one that is not.
    #[error("the block names {found} as the next era's key, expected {expected}")]
    NextKey {
        /// What is fixed; zero if none is.
        expected: KeyId,
        /// The block's.
        found: KeyId,
    },
    /// It carries bundles although there is no key, or an epoch is about to end.
    #[error("the block carries bundles, and its height takes none")]
    NoBundles,
    /// A message that makes or hands on the key is not taken.
    #[error("a sharing message of validator {0} is not taken")]
    Sharing(ValidatorIndex),
    /// The certificate in the body does not certify the parent.
    #[error("the body holds no certificate for the parent")]
    NoParentCertificate,
    /// The certificate in the body is not valid.
    #[error("the parent's certificate does not verify")]
    ParentCertificate(#[from] CertificateError),
    /// The proposer has no place in the committee.
    #[error("proposer {0} is not in the committee")]
    Proposer(ValidatorIndex),
    /// Time does not advance.
    #[error("the block's time {found} is not later than its parent's {parent}")]
    Time {
        /// The parent's.
        parent: Time,
        /// The block's.
        found: Time,
    },
    /// The L1 origin goes back, or changes its hash at the same number.
    #[error("the block's L1 origin {found} is behind or beside its parent's {parent}")]
    L1Origin {
        /// The parent's number.
        parent: u64,
        /// The block's.
        found: u64,
    },
    /// The L1 origin moves on by more than one block may.
    #[error("the block's L1 origin is {found}, the most is {most}")]
    L1Advance {
        /// The furthest from its parent's.
        most: u64,
        /// The block's.
        found: u64,
    },
    /// The L1 entries are not what the queue may hold between the two origins.
    #[error("the block's L1 entries do not continue the queue")]
    L1Entries(#[from] L1EntryError),
    /// R is below the parent's or not below the height.
    #[error("the block builds on the reveal at {found}, expected {least} to {most}")]
    RevealedHeight {
        /// The parent's R.
        least: Height,
        /// The height before the block's.
        most: Height,
        /// The block's R.
        found: Height,
    },
    /// The chain digest at R is another.
    #[error("the block names another chain digest at its revealed height")]
    RevealDigest,
    /// The ledger digest is another.
    #[error("the block names another ledger digest")]
    LedgerDigest,
    /// More bundles, or bytes, than fit.
    #[error("the block has {found} {what}, the most is {max}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: u64,
        /// The block's.
        found: u64,
    },
    /// A bundle is named twice.
    #[error("bundle {0} appears twice")]
    DuplicateBundle(BundleId),
    /// Bundles although the reveal lags too far behind.
    #[error("the block carries bundles although the reveal is {lag} heights behind")]
    RevealLag {
        /// Height minus R.
        lag: u64,
    },
    /// A bundle is not well formed at this height.
    #[error("bundle {id} is not admissible")]
    Bundle {
        /// Which.
        id: BundleId,
        /// Why.
        #[source]
        reason: admission::AdmissionError,
    },
    /// Two bundles share a capsule point.
    #[error("bundle {0} has the same u as another")]
    DuplicatePoint(BundleId),
    /// A bundle whose signature or proof does not hold.
    #[error("bundle {0} has a signature or proof that does not hold")]
    BadBundle(BundleId),
    /// The ledger does not cover the bundles.
    #[error("the ledger does not cover the block's bundles")]
    Ledger(#[from] LedgerError),
}

impl Rulebook<'_> {
    /// What can be judged from the block and its parent alone, before any bundle is there.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check_structure(&self, block: &Block, parent: &Parent) -> Result<(), InvalidBlock> {
        let header = &block.header;
        if header.network != self.network {
            return Err(InvalidBlock::Network { expected: self.network, found: header.network });
        }
        if header.height != parent.height.next() {
            let expected = parent.height.next();
            return Err(InvalidBlock::Height { expected, found: header.height });
        }
        let expected = self.keys.epochs().at(header.height);
        if header.epoch != expected {
            return Err(InvalidBlock::Epoch { expected, found: header.epoch });
        }
        let expected = self.keys.id_at(header.height);
        if header.key_id != expected {
            return Err(InvalidBlock::Key { expected, found: header.key_id });
        }
        if header.parent != parent.block {
            return Err(InvalidBlock::Parent { expected: parent.block, found: header.parent });
        }
        if self.keys.committee_at(header.height).get(header.proposer).is_none() {
            return Err(InvalidBlock::Proposer(header.proposer));
        }
        if header.time <= parent.time {
            return Err(InvalidBlock::Time { parent: parent.time, found: header.time });
        }
        crate::l1::check(block, parent)?;
        let (least, most) = (parent.revealed_height, parent.height);
        if header.revealed_height < least || header.revealed_height > most {
            let found = header.revealed_height;
            return Err(InvalidBlock::RevealedHeight { least, most, found });
        }
        self.check_body(block, parent)
    }

    fn check_body(&self, block: &Block, parent: &Parent) -> Result<(), InvalidBlock> {
        let (header, body) = (&block.header, &block.body);
        if header.sharing_root != body.sharing_root() {
            return Err(InvalidBlock::Root("sharing root"));
        }
        let expected = self.keys.next_key_id(header.height);
        if body.next_key != expected {
            return Err(InvalidBlock::NextKey { expected, found: body.next_key });
        }
        let bytes: usize = body.sharing.iter().map(SharingMessage::size_bytes).sum();
        if bytes > SharingParams::BLOCK_BYTES_MAX {
            let (max, found) = (SharingParams::BLOCK_BYTES_MAX as u64, bytes as u64);
            return Err(InvalidBlock::TooLarge { what: "bytes of sharing messages", max, found });
        }
        if header.bundle_root != body.bundle_root() {
            return Err(InvalidBlock::Root("bundle root"));
        }
        if !body.bundles.is_empty() && !self.keys.takes_bundles(header.height) {
            return Err(InvalidBlock::NoBundles);
        }
        if u64::from(header.bundle_count) != body.bundles.len() as u64 {
            return Err(InvalidBlock::Root("bundle count"));
        }
        let limit = self.params.limits.block_bundles_max;
        if header.bundle_count > limit {
            let (max, found) = (u64::from(limit), u64::from(header.bundle_count));
            return Err(InvalidBlock::TooLarge { what: "bundles", max, found });
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(id) = body.bundles.iter().find(|id| !seen.insert(**id)) {
            return Err(InvalidBlock::DuplicateBundle(*id));
        }
        let lag = header.height.above(header.revealed_height);
        if !body.bundles.is_empty() && lag > self.params.limits.reveal_lag_max {
            return Err(InvalidBlock::RevealLag { lag: lag.as_u64() });
        }
        if header.parent_certificate != body.parent_certificate_digest() {
            return Err(InvalidBlock::Root("parent certificate"));
        }
        match &body.parent_certificate {
            None if parent.height == Height::ZERO => Ok(()),
            None => Err(InvalidBlock::NoParentCertificate),
            Some(certificate) => {
                let committee = self.keys.committee_at(parent.height);
                let statement = certificate.verify_by(committee, self.domain, self.verifier)?;
                let of_parent = statement.height == parent.height
                    && statement.block == parent.block
                    && certificate.epoch == self.keys.epochs().at(parent.height);
                if of_parent { Ok(()) } else { Err(InvalidBlock::NoParentCertificate) }
            }
        }
    }

    /// What can be judged once the reveal at R and the ledger are known: the digests that the block names.
    ///
    /// # Errors
    ///
    /// The digest that is another.
    pub fn check_digests(
        &self,
        block: &Block,
        reveal_digest: &Digest,
        ledger_digest: &Digest,
    ) -> Result<(), InvalidBlock> {
        if block.header.reveal_digest != *reveal_digest {
            return Err(InvalidBlock::RevealDigest);
        }
        if block.header.ledger_digest != *ledger_digest {
            return Err(InvalidBlock::LedgerDigest);
        }
        Ok(())
    }

    /// What can be judged once every bundle is there and its signature and proof were checked: form,
    /// size, nonces and balances. Returns the charges.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check_bundles<'b>(
        &self,
        block: &Block,
        bundles: impl Iterator<Item = &'b EncryptedBundle> + Clone,
        ledger: &Ledger,
    ) -> Result<Vec<Charge>, InvalidBlock> {
        let before = block.header.height.previous().unwrap_or_default();
        let key = AdmittedKeys::only(block.header.key_id);
        let mut bytes = 0_u64;
        let mut points = std::collections::BTreeSet::new();
        for (id, bundle) in block.body.bundles.iter().zip(bundles.clone()) {
            admission::check_form(bundle, self.bundles, &key, before)
                .map_err(|reason| InvalidBlock::Bundle { id: *id, reason })?;
            bytes = bytes.saturating_add(bundle.body.len() as u64);
            if !points.insert(crate::job::capsule_point(bundle)) {
                return Err(InvalidBlock::DuplicatePoint(*id));
            }
        }
        let max = u64::from(self.params.limits.block_bytes_max);
        if bytes > max {
            return Err(InvalidBlock::TooLarge { what: "bytes of ciphertext", max, found: bytes });
        }
        let headers: Vec<&BundleHeader> = bundles.map(|bundle| &bundle.header).collect();
        Ok(ledger.check_block(&headers, self.params)?)
    }
}

/// How many shares open a block.
#[must_use]
pub fn shares_needed(packing: &Packing) -> usize {
    usize::from(packing.quorum())
}
