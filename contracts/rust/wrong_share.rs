//! A wrong share as `ConclaveSlasher` judges it: by the header of its block, the bundles of its sub-batch, the key, and
//! who holds which of its points (`SealedShare.sol`).

use alloy::primitives::{B256, Bytes, U256};
use conclave_types::{
    BlockHeader, BundleOutline, Digest, DkgResult, G1Bytes, eip2537_g1, eip2537_g2, merkle,
};

use crate::{
    ConclaveSlasher::{G1Point, reportWrongShareCall},
    bindings::slasher::SealedShare::{Bundle, Claim, Header, Key},
    report::{
        Contradiction, ReportError, Seats, SharesOf, WRONG_SHARE, encode, first_half, identity,
    },
};

/// One share of those that a validator has signed, and all that judges it.
#[derive(Clone, Copy, Debug)]
pub struct ShareClaim<'a> {
    /// All that were signed together.
    pub shares: &'a [G1Bytes],
    /// Which of them it is.
    pub index: usize,
    /// At which point of the key it is.
    pub point: u16,
    /// Which of its sender's points that is.
    pub place: u16,
    /// For which sub-batch of the block.
    pub sub_batch: u32,
    /// The header of the block.
    pub header: &'a BlockHeader,
    /// The key of its epoch, and who holds its points.
    pub sharing: &'a DkgResult,
    /// The bundles of the sub-batch, each with its path in the block's bundle root.
    pub bundles: &'a [(BundleOutline, Vec<Digest>)],
}

impl ShareClaim<'_> {
    /// The same as L1 takes it; none if it is of no point.
    #[must_use]
    pub fn on_l1(&self) -> Option<Claim> {
        let Self { shares, index, header, sharing, bundles, point, .. } = *self;
        let DkgResult { key, .. } = sharing;
        let verification_key = key.verification_keys.get(usize::from(point))?;
        let share = shares.get(index)?;
        let leaves: Vec<_> = shares.iter().map(|share| merkle::leaf(share.as_bytes())).collect();
        let bundles = bundles.iter().map(|(bundle, path)| {
            let u = eip2537_g1(&point_of(&bundle.capsule)?)?;
            Some(Bundle {
                label: word(&bundle.label),
                bodyHash: word(&bundle.body_hash),
                capsule: bundle.capsule.clone().into(),
                signature: Bytes::copy_from_slice(bundle.signature.as_bytes()),
                u: point_on_l1(&u),
                path: words(path),
            })
        });
        Some(Claim {
            header: header_on_l1(header),
            key: Key {
                suite: key.suite,
                era: key.era.as_u32(),
                secrecy: key.secrecy,
                packing: key.packing,
                parties: u16::try_from(key.verification_keys.len()).ok()?,
                publicKey: Bytes::copy_from_slice(key.public_key.as_bytes()),
                publicKeyG2: Bytes::copy_from_slice(key.public_key_g2.as_bytes()),
                path: words(&sharing.key_path()),
            },
            point,
            place: self.place,
            verificationKey: Bytes::copy_from_slice(&eip2537_g2(verification_key)?),
            verificationPath: words(&sharing.point_path(point)?),
            subBatch: self.sub_batch,
            share: Bytes::copy_from_slice(share.as_bytes()),
            sharePath: words(&merkle::path(&leaves, index)?),
            bundles: bundles.collect::<Option<_>>()?,
        })
    }
}

/// A share that is not what its sender's secret gives.
///
/// # Errors
///
/// [`ReportError`].
pub fn wrong_share(
    shares: &SharesOf<'_>,
    claim: &ShareClaim<'_>,
    seats: &Seats,
) -> Result<Contradiction, ReportError> {
    let claim = claim.on_l1().ok_or(ReportError::NoShare)?;
    let (signed, at) = shares.on_l1(seats)?;
    let offences = vec![identity(seats.number(shares.validator)?, WRONG_SHARE, &at)];
    let call = encode(&reportWrongShareCall { shares: signed, claim });
    Ok(Contradiction { call, offences, evidence: first_half(shares.signature.as_bytes()) })
}

/// u, with which every capsule begins.
fn point_of(capsule: &[u8]) -> Option<G1Bytes> {
    capsule.get(..G1Bytes::LEN).and_then(|bytes| G1Bytes::from_slice(bytes).ok())
}

fn header_on_l1(header: &BlockHeader) -> Header {
    Header {
        height: header.height.as_u64(),
        parent: B256::from(*header.parent.as_bytes()),
        parentCertificate: word(&header.parent_certificate),
        proposer: header.proposer.as_u16(),
        timeMicros: header.time.as_micros(),
        epoch: header.epoch.as_u64(),
        originNumber: header.l1_origin.number,
        originHash: word(&header.l1_origin.hash),
        l1EntriesRoot: word(&header.l1_entries_root),
        keyId: B256::from(*header.key_id.as_bytes()),
        sharingRoot: word(&header.sharing_root),
        bundleRoot: word(&header.bundle_root),
        bundleCount: header.bundle_count,
        revealedHeight: header.revealed_height.as_u64(),
        revealDigest: word(&header.reveal_digest),
        ledgerDigest: word(&header.ledger_digest),
    }
}

fn point_on_l1(encoded: &[u8; 128]) -> G1Point {
    let mut words = encoded.chunks_exact(32).map(U256::from_be_slice);
    let mut next = || words.next().unwrap_or_default();
    G1Point { xHigh: next(), xLow: next(), yHigh: next(), yLow: next() }
}

fn word(digest: &Digest) -> B256 {
    B256::from(*digest.as_bytes())
}

fn words(path: &[Digest]) -> Vec<B256> {
    path.iter().map(word).collect()
}
