//! This validator's shares: of a block, and of bundles that no block has taken yet.

use std::{fmt, ops::Range, sync::Arc};

use conclave_encryption::{
    CapsulePoint, Encapsulation, PublicKey, SealedBlock, SecretShare, shares_alone,
};
use conclave_types::{BlockId, BundleId, EncryptedBundle, Epoch, G1Bytes, Height, ValidatorIndex};

use super::{BatchSeed, JobOutput};

/// Compute this validator's shares of bundles that no block has taken yet. They are the same in every block, where a
/// share serves one ciphertext.
#[derive(Debug)]
pub struct ShareAloneJob {
    /// The key.
    pub key: Arc<PublicKey>,
    /// The epoch of its sharing.
    pub epoch: Epoch,
    /// The bundles, each with its u.
    pub bundles: Vec<(BundleId, CapsulePoint)>,
    /// This validator's secrets.
    pub secrets: OwnSecrets,
}

/// Shares of bundles that no block has taken yet. Sent by nobody: they leave with a decided block's.
#[derive(Clone)]
pub struct LoneShares {
    /// The epoch of the sharing.
    pub epoch: Epoch,
    /// Each bundle's, one for each of the validator's points.
    pub shares: Vec<(BundleId, Vec<G1Bytes>)>,
}

/// Without the shares: a quorum of them opens a bundle that nobody may read yet.
impl fmt::Debug for LoneShares {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (epoch, count) = (self.epoch, self.shares.len());
        write!(formatter, "LoneShares {{ epoch: {epoch}, bundles: {count} }}")
    }
}

impl ShareAloneJob {
    pub(super) fn run(self) -> JobOutput {
        let (ids, us): (Vec<_>, Vec<_>) = self.bundles.into_iter().unzip();
        let mut shares: Vec<(BundleId, Vec<G1Bytes>)> =
            ids.into_iter().map(|id| (id, Vec::new())).collect();
        for (point, secret) in &self.secrets.points {
            let of_point = shares_alone(&self.key, secret, *point, &us);
            for ((_, known), share) in shares.iter_mut().zip(of_point) {
                known.extend(share);
            }
        }
        JobOutput::SharedAlone(LoneShares { epoch: self.epoch, shares })
    }
}

/// Prepare a decided block for opening.
#[derive(Debug)]
pub struct ShareJob {
    /// The era's key.
    pub key: Arc<PublicKey>,
    /// The height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// What each bundle's opening is about, in block order.
    pub encapsulations: Vec<Encapsulation>,
    /// This validator's secrets, if it has them and may use them.
    pub secrets: Option<OwnSecrets>,
    /// What is known of them already.
    pub known: KnownShares,
    /// The block's parts, each as its sub-batches, and a secret for the checks of them: what of these
    /// needs no openings is done now. None if the block is decided and its shares are waited for.
    pub expect: Option<(Vec<Range<usize>>, BatchSeed)>,
}

/// For each bundle of a block this validator's shares of it, one for each of its points, or nothing.
#[derive(Clone, Default)]
pub struct KnownShares(pub Vec<Vec<G1Bytes>>);

/// Without the shares, as [`LoneShares`].
impl fmt::Debug for KnownShares {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KnownShares(of {})", self.count())
    }
}

impl KnownShares {
    /// Of how many bundles the shares are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().filter(|shares| !shares.is_empty()).count()
    }

    /// The shares of the validator's point at `place`.
    fn of_point(&self, place: usize) -> Vec<Option<G1Bytes>> {
        self.0.iter().map(|shares| shares.get(place).copied()).collect()
    }
}

/// What a validator computes its shares of a block from.
#[derive(Clone, Debug)]
pub struct OwnSecrets {
    /// Whose they are.
    pub validator: ValidatorIndex,
    /// Its points, ascending, each with its share of the key.
    pub points: Vec<(u16, Arc<SecretShare>)>,
}

impl OwnSecrets {
    /// The shares of a block, of which some are known.
    #[must_use]
    pub fn share(&self, sealed: &SealedBlock, known: &KnownShares) -> Vec<G1Bytes> {
        let share = |(place, (point, secret)): (usize, &(u16, Arc<SecretShare>))| {
            sealed.share_rest(secret, *point, &known.of_point(place))
        };
        self.points.iter().enumerate().flat_map(share).collect()
    }
}

/// A block, ready to be opened once it is decided.
#[derive(Clone)]
pub struct SharedBlock {
    /// The height.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// The block's ciphertexts cut into sub-batches; none if its points are no points, which a
    /// decided block cannot have.
    pub sealed: Option<Arc<SealedBlock>>,
    /// This validator's shares, if it has secrets: all of its first point, then all of the next.
    pub shares: Option<Vec<G1Bytes>>,
}

/// Without the shares: they are computed before the decision, and a quorum of them opens what nobody may read yet.
impl fmt::Debug for SharedBlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { height, block, sealed, shares } = self;
        let count = shares.as_ref().map(Vec::len);
        write!(formatter, "SharedBlock({height}, {block}, {sealed:?}, {count:?} shares)")
    }
}

impl ShareJob {
    pub(super) fn run(self) -> JobOutput {
        // Admission has looked at every point, so the core stops if there is nothing to open.
        let sealed =
            SealedBlock::new(&self.key, self.height, self.block, &self.encapsulations).ok();
        let shares = match (&sealed, &self.secrets) {
            (Some(sealed), Some(secrets)) => Some(secrets.share(sealed, &self.known)),
            _ => None,
        };
        if self.expect.is_some() {
            // After a restart. Nobody waits for the block yet.
            self.key.sealing_key().prepare();
        }
        let sealed = match (sealed, &self.expect) {
            (Some(sealed), Some((parts, seed))) => Some(sealed.expecting(parts, seed.as_bytes())),
            (sealed, _) => sealed,
        };
        JobOutput::Shared(SharedBlock {
            height: self.height,
            block: self.block,
            sealed: sealed.map(Arc::new),
            shares,
        })
    }
}

/// What a bundle's opening is about, unchecked. Of a bundle whose capsule has another length than its suite's, which no block
/// has, it holds no point.
#[must_use]
pub fn encapsulation(bundle: &EncryptedBundle) -> Encapsulation {
    let found = Encapsulation::of(&bundle.header, &bundle.capsule);
    found.unwrap_or_else(|| G1Bytes::ZERO.into())
}

/// u, with which every capsule begins, unchecked; none if the capsule is too short to have one.
#[must_use]
pub fn capsule_point(bundle: &EncryptedBundle) -> Option<G1Bytes> {
    bundle.capsule.get(..G1Bytes::LEN).and_then(|bytes| G1Bytes::from_slice(bytes).ok())
}
