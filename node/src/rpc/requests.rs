//! What callers of the public API may ask, as values that make sense: protobuf is parsed here, once, before a
//! handler looks at it. Pure, so that hostile bytes can be tried on it without a node.

use std::fmt;

use conclave_types::{
    BundleId, Digest, EncryptedBundle, Epoch, Height, Payee, PayerAddress, RollupId, SIZE_BUCKETS,
    bucket_for,
    proto::v1::{self, Level, get_transaction_proof_request, stream_batches_request::Start},
    wire::{self, WireError},
};
use tonic::Status;

/// Batches, or withdrawals, that a page may hold, as the proto says.
const PAGE_MAX: u32 = 100;
/// Transactions that one proof shows, as the proto says: 128 KiB of hashes.
const RUN_MAX: u32 = 4_096;
/// Bytes that authenticated encryption adds to a bucket.
const TAG_BYTES: u32 = 16;

/// Why a request makes no sense. The caller's fault, always.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A field is missing or malformed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// No bundle is that large.
    #[error("a bundle has at most {max} bytes, found {found}")]
    BundleBytes {
        /// The most.
        max: usize,
        /// What was sent.
        found: usize,
    },
    /// Not the one encoding of a bundle.
    #[error("these bytes are no canonical bundle: {0}")]
    Bundle(#[source] std::io::Error),
    /// A level that no proto names.
    #[error("{0} is no level")]
    Level(i32),
    /// A level that needs settlement.
    #[error(
        "this node follows no L1, so it does not know what has settled there: it comes as far as LEVEL_CERTIFIED, not {}", .0.as_str_name()
    )]
    Unsettled(Level),
    /// No bundle holds that much.
    #[error("a bundle holds at most {max} bytes of legs, found {found}")]
    PlaintextBytes {
        /// The most.
        max: u32,
        /// What was asked for.
        found: u32,
    },
    /// A page of nothing, or of too much.
    #[error("count is 1 to {PAGE_MAX}, found {0}")]
    Count(u32),
    /// A proof of no transactions, or of too many.
    #[error("count is 1 to {RUN_MAX}, found {0}")]
    Run(u32),
    /// Nobody elects the genesis's committee.
    #[error("from_epoch is at least 1: the genesis names the committee of epoch 0")]
    EpochOfGenesis,
}

impl From<RequestError> for Status {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Unsettled(_) => Self::unimplemented(error.to_string()),
            RequestError::Wire(_)
            | RequestError::BundleBytes { .. }
            | RequestError::Bundle(_)
            | RequestError::Level(_)
            | RequestError::PlaintextBytes { .. }
            | RequestError::Count(_)
            | RequestError::Run(_)
            | RequestError::EpochOfGenesis => Self::invalid_argument(error.to_string()),
        }
    }
}

fn bundle_id(bytes: &[u8]) -> Result<BundleId, RequestError> {
    Ok(wire::id(bytes, "bundle_id", BundleId::from_slice)?)
}

/// A bundle to be admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission(pub EncryptedBundle);

impl TryFrom<v1::SubmitBundleRequest> for Submission {
    type Error = RequestError;

    fn try_from(request: v1::SubmitBundleRequest) -> Result<Self, RequestError> {
        let (max, found) = (EncryptedBundle::ENCODED_BYTES_MAX, request.bundle.len());
        if found > max {
            return Err(RequestError::BundleBytes { max, found });
        }
        Ok(Self(borsh::from_slice(&request.bundle).map_err(RequestError::Bundle)?))
    }
}

/// The bundle whose status or bytes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named(pub BundleId);

impl TryFrom<v1::GetBundleStatusRequest> for Named {
    type Error = RequestError;

    fn try_from(request: v1::GetBundleStatusRequest) -> Result<Self, RequestError> {
        Ok(Self(bundle_id(&request.bundle_id)?))
    }
}

impl TryFrom<v1::GetBundleRequest> for Named {
    type Error = RequestError;

    fn try_from(request: v1::GetBundleRequest) -> Result<Self, RequestError> {
        Ok(Self(bundle_id(&request.bundle_id)?))
    }
}

/// A bundle to be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    /// The bundle.
    pub id: BundleId,
    /// Up to this level.
    pub until: Level,
}

impl TryFrom<v1::WatchBundleRequest> for Following {
    type Error = RequestError;

    fn try_from(request: v1::WatchBundleRequest) -> Result<Self, RequestError> {
        let id = bundle_id(&request.bundle_id)?;
        let until = match Level::try_from(request.until) {
            Ok(Level::Unspecified) => Level::Revealed,
            Ok(level) => level,
            Err(_) => return Err(RequestError::Level(request.until)),
        };
        Ok(Self { id, until })
    }
}

/// A ciphertext to be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priced {
    /// Its bytes after padding.
    pub body_bytes: u32,
}

impl TryFrom<v1::EstimateFeeRequest> for Priced {
    type Error = RequestError;

    fn try_from(request: v1::EstimateFeeRequest) -> Result<Self, RequestError> {
        let found = request.plaintext_bytes;
        let bucket = usize::try_from(found).ok().and_then(bucket_for);
        let Some(bucket) = bucket else {
            let max = SIZE_BUCKETS.into_iter().max().unwrap_or_default();
            return Err(RequestError::PlaintextBytes { max, found });
        };
        Ok(Self { body_bytes: bucket.saturating_add(TAG_BYTES) })
    }
}

/// A lane of a payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneOf {
    /// The payer.
    pub payer: PayerAddress,
    /// The lane.
    pub lane: u64,
}

impl TryFrom<v1::GetAccountRequest> for LaneOf {
    type Error = RequestError;

    fn try_from(request: v1::GetAccountRequest) -> Result<Self, RequestError> {
        let payer = wire::id(&request.address, "address", PayerAddress::from_slice)?;
        Ok(Self { payer, lane: request.lane })
    }
}

/// Where a stream of batches begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this number.
    Sequence(u64),
    /// Above this height.
    After(Height),
    /// With what comes from now on.
    Latest,
}

/// A stream of a rollup's batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchStream {
    /// The rollup, which may not exist.
    pub rollup: RollupId,
    /// Where it begins.
    pub begin: Begin,
}

impl TryFrom<v1::StreamBatchesRequest> for BatchStream {
    type Error = RequestError;

    fn try_from(request: v1::StreamBatchesRequest) -> Result<Self, RequestError> {
        let begin = match request.start {
            Some(Start::Sequence(sequence)) => Begin::Sequence(sequence),
            Some(Start::AfterHeight(height)) => Begin::After(Height::new(height)),
            Some(Start::Latest(_)) => Begin::Latest,
            None => return Err(WireError::Missing("start").into()),
        };
        Ok(Self { rollup: RollupId::new(request.rollup_id), begin })
    }
}

/// A page of a rollup's batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPage {
    /// The rollup, which may not exist.
    pub rollup: RollupId,
    /// The first number.
    pub from: u64,
    /// How many: one at least, and no more than a page holds.
    pub count: u32,
}

impl BatchPage {
    /// The numbers of the page in a rollup that has numbers below `next`.
    #[must_use]
    pub fn sequences(&self, next: u64) -> std::ops::Range<u64> {
        self.from..next.min(self.from.saturating_add(self.count.into()))
    }
}

impl TryFrom<v1::GetBatchesRequest> for BatchPage {
    type Error = RequestError;

    fn try_from(request: v1::GetBatchesRequest) -> Result<Self, RequestError> {
        let count = request.count;
        if count == 0 || count > PAGE_MAX {
            return Err(RequestError::Count(count));
        }
        let rollup = RollupId::new(request.rollup_id);
        Ok(Self { rollup, from: request.from_sequence, count })
    }
}

/// Committees from this epoch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitteesFrom(pub Epoch);

impl TryFrom<v1::GetCommitteesRequest> for CommitteesFrom {
    type Error = RequestError;

    fn try_from(request: v1::GetCommitteesRequest) -> Result<Self, RequestError> {
        match request.from_epoch {
            0 => Err(RequestError::EpochOfGenesis),
            epoch => Ok(Self(Epoch::new(epoch))),
        }
    }
}

/// A page of what pays somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WithdrawalPage {
    /// Who is paid.
    pub payee: Payee,
    /// The first index.
    pub from: u64,
    /// How many: one at least, and no more than a page holds.
    pub count: u32,
}

impl TryFrom<v1::ListWithdrawalsRequest> for WithdrawalPage {
    type Error = RequestError;

    fn try_from(request: v1::ListWithdrawalsRequest) -> Result<Self, RequestError> {
        let count = request.count;
        if count == 0 || count > PAGE_MAX {
            return Err(RequestError::Count(count));
        }
        Ok(Self { payee: Payee::try_from(&request)?, from: request.from_index, count })
    }
}

/// Which transaction of a batch is to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichTransaction {
    /// The one at this place.
    Item(u32),
    /// The first whose keccak256 this is.
    Hash(Digest),
}

impl fmt::Display for WhichTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(item) => write!(f, "item {item}"),
            Self::Hash(hash) => write!(f, "transaction {hash}"),
        }
    }
}

/// A transaction to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// At this height.
    pub height: Height,
    /// In the batch of this rollup.
    pub rollup: RollupId,
    /// Which one.
    pub which: WhichTransaction,
}

impl TryFrom<v1::GetTransactionProofRequest> for Transaction {
    type Error = RequestError;

    fn try_from(request: v1::GetTransactionProofRequest) -> Result<Self, RequestError> {
        use get_transaction_proof_request::Transaction as Wire;
        let which = match request.transaction.ok_or(WireError::Missing("transaction"))? {
            Wire::Item(item) => WhichTransaction::Item(item),
            Wire::TransactionHash(hash) => {
                WhichTransaction::Hash(wire::id(&hash, "transaction_hash", Digest::from_slice)?)
            }
        };
        let (height, rollup) = (Height::new(request.height), RollupId::new(request.rollup_id));
        Ok(Self { height, rollup, which })
    }
}

/// Transactions of a batch to be proved, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRun {
    /// At this height.
    pub height: Height,
    /// In the batch of this rollup.
    pub rollup: RollupId,
    /// The place of the first.
    pub first: u32,
    /// How many: one at least, and no more than an answer holds.
    pub count: u32,
}

impl TryFrom<v1::GetBatchProofRequest> for BatchRun {
    type Error = RequestError;

    fn try_from(request: v1::GetBatchProofRequest) -> Result<Self, RequestError> {
        let v1::GetBatchProofRequest { height, rollup_id, first, count } = request;
        if count == 0 || count > RUN_MAX {
            return Err(RequestError::Run(count));
        }
        Ok(Self { height: Height::new(height), rollup: RollupId::new(rollup_id), first, count })
    }
}

/// A bundle whose legs are to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened(pub BundleId);

impl TryFrom<v1::GetAtomicProofRequest> for Opened {
    type Error = RequestError;

    fn try_from(request: v1::GetAtomicProofRequest) -> Result<Self, RequestError> {
        Ok(Self(bundle_id(&request.bundle_id)?))
    }
}
