//! What can go wrong, sorted by who has to act.

use conclave_derivation::ProofError;
use conclave_encryption::SealError;
use conclave_types::{
    BundleId, CertificateError, CommitteeError, Digest, Epoch, GenesisError, Gwei, KeyId,
    NetworkId, RollupId, SettlementError, ValidatorIndex, wire::WireError,
};

use crate::PayerError;

/// Why a call did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No endpoint was given.
    #[error("no endpoint was given; name at least one validator, such as http://127.0.0.1:9000")]
    NoEndpoints,
    /// An endpoint is not a URL.
    #[error("{endpoint:?} is no endpoint; expected something like http://127.0.0.1:9000")]
    BadEndpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
    /// Nobody answered, although each endpoint was tried several times.
    #[error(
        "none of {endpoints} endpoints could do it after {attempts} attempts; the last one said \
         {:?}: {}", .last.code(), .last.message()
    )]
    Unavailable {
        /// Endpoints that were tried.
        endpoints: usize,
        /// Attempts over all of them.
        attempts: u32,
        /// The last refusal.
        last: Box<tonic::Status>,
    },
    /// The validator said no, and would say so again.
    #[error("the validator refused ({:?}): {}", .0.code(), .0.message())]
    Refused(Box<tonic::Status>),
    /// No validator has the bundle.
    #[error(
        "no validator knows bundle {id}: it was never handed in, was dropped, or has expired; hand it in again"
    )]
    Unknown {
        /// The bundle.
        id: BundleId,
    },
    /// The era of the bundle's key ended before a block took it. A [`Wallet`](crate::Wallet) seals it again by
    /// itself as long as its watch goes on.
    #[error("bundle {id} has come back: {reason}")]
    Returned {
        /// The bundle.
        id: BundleId,
        /// As the validator put it.
        reason: String,
    },
    /// A wait took longer than it was allowed to.
    #[error("bundle {id} was not {wanted} in time; the last known level is {found}")]
    TimedOut {
        /// The bundle.
        id: BundleId,
        /// The wanted level.
        wanted: crate::Level,
        /// How far it had come.
        found: String,
    },
    /// The endpoint serves another network than the caller pinned.
    #[error("the endpoint serves network {found}, expected {expected}")]
    WrongNetwork {
        /// The pinned network.
        expected: NetworkId,
        /// What the endpoint serves.
        found: NetworkId,
    },
    /// The genesis that was served is not the one that the network id names.
    #[error("the genesis that was served has digest {found}, but the network id is {expected}")]
    GenesisDigest {
        /// The network id that was served with it.
        expected: NetworkId,
        /// The digest of what was served.
        found: NetworkId,
    },
    /// The genesis cannot be read.
    #[error("the genesis that was served is not readable")]
    GenesisJson(#[source] serde_json::Error),
    /// The genesis contradicts itself.
    #[error("the genesis that was served is not valid")]
    Genesis(#[source] GenesisError),
    /// The key that was served is not one that the genesis vouches for.
    #[error(
        "the validator offers encryption key {found}, but the network's is {expected}: \
         sealing to it would let its owner read the bundle"
    )]
    ForeignKey {
        /// The key that the genesis, or a quorum, vouches for.
        expected: KeyId,
        /// What was served.
        found: KeyId,
    },
    /// A key does not hold together.
    #[error("the network's encryption key is not usable")]
    Key(#[source] conclave_encryption::KeyError),
    /// The legs cannot be sealed.
    #[error("the legs cannot be sealed")]
    Seal(#[source] SealError),
    /// A leg names a rollup that the network does not know.
    #[error(
        "rollup {found} is not registered with this network; registered: {registered}. \
         The bundle would be charged and have no effect"
    )]
    UnknownRollup {
        /// The rollup of the leg.
        found: RollupId,
        /// Those that exist.
        registered: String,
    },
    /// The fee is above what the caller allowed.
    #[error("the fee is {fee}, above the limit of {max_fee}")]
    FeeAboveLimit {
        /// The charge for this bundle.
        fee: Gwei,
        /// What the caller allows.
        max_fee: Gwei,
    },
    /// The payer's key does not work.
    #[error("the payer cannot sign")]
    Payer(#[from] PayerError),
    /// An answer breaks the protocol.
    #[error("the answer of the validator is malformed")]
    Wire(#[from] WireError),
    /// An answer contradicts what it is an answer to.
    #[error("the answer of the validator cannot be true: {0}")]
    Inconsistent(&'static str),
    /// A receipt is not signed by the validator that it names.
    #[error("the receipt for bundle {id} is not signed by validator {validator}")]
    BadReceipt {
        /// The bundle.
        id: BundleId,
        /// The validator that is said to have signed.
        validator: ValidatorIndex,
    },
    /// The block is of an epoch whose committee is not known yet.
    #[error(
        "epoch {epoch} has a committee that L1 has elected, and nothing has shown yet who is in it; follow the committees up to it"
    )]
    UnknownCommittee {
        /// The epoch.
        epoch: Epoch,
    },
    /// Somebody says whom L1 has elected, and nothing shows that it did.
    #[error("it is not shown that this committee was elected for epoch {epoch}")]
    Election {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        #[source]
        why: ElectionError,
    },
    /// A certificate does not prove the decision.
    #[error("the certificate does not prove the block")]
    Certificate(#[from] CertificateError),
    /// A certificate does not prove the commitment.
    #[error("the certificate does not prove the commitment")]
    Settlement(#[from] SettlementError),
    /// What is served as a proof of the order shows nothing.
    #[error("the proof that was served does not hold")]
    Proof(#[from] ProofError),
}

/// Why a committee is not believed to be elected.
#[derive(Debug, thiserror::Error)]
pub enum ElectionError {
    /// It is not of the epoch after those that are known.
    #[error("the next epoch whose committee can be checked is {expected}")]
    OutOfOrder {
        /// The next one.
        expected: Epoch,
    },
    /// The certificate is of another epoch than the one before.
    #[error("the certificate is of epoch {found}")]
    OtherEpoch {
        /// Of which one.
        found: Epoch,
    },
    /// The certificate is not of the last commitment of its epoch.
    #[error("the certificate does not end its epoch")]
    NotTheEnd,
    /// The certificate settles nothing.
    #[error("the certificate of the commitment that names it does not hold")]
    Certificate(#[from] SettlementError),
    /// The members cannot sit together.
    #[error("its members are no committee")]
    Members(#[from] CommitteeError),
    /// It is another committee than the commitment names.
    #[error("the commitment names committee {expected}, this one is {found}")]
    OtherCommittee {
        /// What the commitment names.
        expected: Digest,
        /// What was found.
        found: Digest,
    },
}
