//! The door. What a stranger sends is checked in order of cost: form first (no cryptography), then the
//! pool's and the ledger's view of it ([`crate::Pool::precheck`]), then the payer's signature and the
//! validity proof, the latter for many bundles at once.
//!
//! **Invariants.** [`Verified`] exists only for bundles that passed. Form and proofs depend on the
//! bundle and the network alone, so a bundle that is fetched for a proposal is judged by everyone as
//! it was at the door.

use std::sync::Arc;

use borsh::BorshSerialize;
use conclave_encryption::{
    Capsule, CapsuleError, CapsuleStatement, Encapsulation, SealingKey, Suite, verify_capsules,
};
use conclave_types::{
    BundleId, EncryptedBundle, FeeParams, Genesis, Gwei, Height, KeyId, LimitParams, NetworkId,
    PayerAddress, SIZE_BUCKETS, digest::keccak,
};
use secp256k1::{
    Message, Secp256k1, VerifyOnly,
    ecdsa::{RecoverableSignature, RecoveryId},
};

/// Bytes that sealing adds to the padded legs: the authentication tag.
const TAG_BYTES: u32 = 16;

/// What a network asks of a bundle's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The network.
    pub network: NetworkId,
    /// The suite in use.
    pub suite: u8,
    /// Fees.
    pub fees: FeeParams,
    /// Sizes and lifetimes.
    pub limits: LimitParams,
}

impl Rules {
    /// The rules of the first epoch.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let network = genesis.network_id();
        Self {
            network,
            suite: genesis.params.sharing.suite,
            fees: genesis.params.fees.clone(),
            limits: genesis.params.limits.clone(),
        }
    }
}

/// The keys that a bundle may be sealed to. There are two while one era ends and the next has its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdmittedKeys {
    /// The one to seal to; zero while there is none, when no bundle fits.
    pub current: KeyId,
    /// That of the next era, whose blocks are yet to come.
    pub next: Option<KeyId>,
}

impl AdmittedKeys {
    /// One key and no other.
    #[must_use]
    pub const fn only(current: KeyId) -> Self {
        Self { current, next: None }
    }

    /// Whether a bundle may be sealed to `key`.
    #[must_use]
    pub fn admit(&self, key: &KeyId) -> bool {
        *key == self.current || self.next.as_ref() == Some(key)
    }
}

/// Why a bundle is turned away, whoever asks.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, BorshSerialize)]
pub enum AdmissionError {
    /// Sealed for another network.
    #[error("the bundle is for network {found}, expected {expected}")]
    Network {
        /// This network.
        expected: NetworkId,
        /// The bundle's.
        found: NetworkId,
    },
    /// Sealed with another suite.
    #[error("the bundle is sealed with suite {found}, expected {expected}")]
    Suite {
        /// The suite in use.
        expected: u8,
        /// The bundle's.
        found: u8,
    },
    /// Sealed to another key.
    #[error(
        "the bundle is sealed to key {found}, expected {expected}: a key serves one era and no other; ask for \
         the key to seal to, and seal again"
    )]
    Key {
        /// The key to seal to.
        expected: KeyId,
        /// The bundle's.
        found: KeyId,
    },
    /// The capsule is longer than any suite's.
    #[error("the capsule has {found} bytes, expected at most {expected}")]
    CapsuleLength {
        /// The most there may be.
        expected: usize,
        /// What there are.
        found: usize,
    },
    /// The body has another length than its header says.
    #[error("the body has {found} bytes, its header says {expected}")]
    BodyLength {
        /// What the header says.
        expected: u32,
        /// What there are.
        found: usize,
    },
    /// The body is not padded to a size bucket.
    #[error("the body has {found} bytes, expected {TAG_BYTES} more than one of {SIZE_BUCKETS:?}")]
    Bucket {
        /// What there are.
        found: u32,
    },
    /// No block could hold it.
    #[error("the body has {found} bytes, a block holds {expected}")]
    BlockLimit {
        /// What a block holds.
        expected: u32,
        /// What there are.
        found: u32,
    },
    /// It can no longer be included.
    #[error("the bundle was valid until height {found}, the next block is at {expected}")]
    Expired {
        /// The next block.
        expected: Height,
        /// The bundle's last height.
        found: Height,
    },
    /// It asks to stay valid for too long.
    #[error("the bundle asks to be valid until height {found}, expected at most {expected}")]
    Lifetime {
        /// The latest that may be asked for.
        expected: Height,
        /// What was asked for.
        found: Height,
    },
    /// The most that may be charged is less than what inclusion costs.
    #[error("the bundle allows a fee of {found}, expected at least {expected}")]
    Fee {
        /// What inclusion costs; the largest amount if it costs more than that.
        expected: Gwei,
        /// What the bundle allows.
        found: Gwei,
    },
    /// The signature is not one that Ethereum would take.
    #[error("the payer's signature is malformed")]
    Signature(#[source] SignatureError),
    /// Somebody else signed, or something else was signed.
    #[error("the signature is by {found} or for another bundle, expected {expected}")]
    Payer {
        /// The payer in the header.
        expected: PayerAddress,
        /// Whom the signature leads to.
        found: PayerAddress,
    },
    /// The capsule is not one of this suite.
    #[error("the capsule is malformed")]
    Capsule(#[source] CapsuleError),
    /// The proof does not hold: the ciphertext was sealed under another header, body or key.
    #[error("the validity proof does not hold for this header, body and key")]
    Proof,
}

impl AdmissionError {
    /// Whether the same bytes can never be admitted. If not, the sender may try again later.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        // A node that lags behind takes a lifetime for too long that others accept.
        !matches!(self, Self::Lifetime { .. })
    }
}

/// Why a signature leads to no address.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq, BorshSerialize)]
pub enum SignatureError {
    /// v is neither of the two.
    #[error("v is {0}, expected 27 or 28")]
    RecoveryId(u8),
    /// s has a smaller twin: whoever sees a signature could make another one.
    #[error("s is in the upper half of the order")]
    HighS,
    /// r and s are no signature of anyone.
    #[error("r and s lead to no public key")]
    NoKey,
}

/// That a bundle passed [`verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Verified {
    id: BundleId,
    encapsulation: Encapsulation,
}

impl Verified {
    #[cfg(test)]
    pub(crate) fn for_test(id: BundleId, u: conclave_types::G1Bytes) -> Self {
        Self { id, encapsulation: u.into() }
    }

    /// The bundle's id.
    #[must_use]
    pub const fn id(&self) -> BundleId {
        self.id
    }

    /// What its opening is about, u being checked. u is unique within a block.
    #[must_use]
    pub const fn encapsulation(&self) -> &Encapsulation {
        &self.encapsulation
    }
}

/// Checks what needs no cryptography, for inclusion in the block after `decided` or later ones.
///
/// # Errors
///
/// Says what was expected and what was found.
pub fn check_form(
    bundle: &EncryptedBundle,
    rules: &Rules,
    keys: &AdmittedKeys,
    decided: Height,
) -> Result<(), AdmissionError> {
    let header = &bundle.header;
    if header.network != rules.network {
        return Err(AdmissionError::Network { expected: rules.network, found: header.network });
    }
    if header.suite != rules.suite {
        return Err(AdmissionError::Suite { expected: rules.suite, found: header.suite });
    }
    if !keys.admit(&header.key_id) {
        return Err(AdmissionError::Key { expected: keys.current, found: header.key_id });
    }
    check_sizes(bundle, rules)?;
    let next = decided.next();
    if header.valid_until < next {
        return Err(AdmissionError::Expired { expected: next, found: header.valid_until });
    }
    let latest = decided.saturating_add(rules.limits.bundle_lifetime_max);
    if header.valid_until > latest {
        return Err(AdmissionError::Lifetime { expected: latest, found: header.valid_until });
    }
    let charge = rules.fees.charge(header.body_bytes, header.priority_fee);
    if charge.is_none_or(|charge| charge > header.max_fee) {
        let expected = charge.unwrap_or(Gwei::new(u64::MAX));
        return Err(AdmissionError::Fee { expected, found: header.max_fee });
    }
    Ok(())
}

fn check_sizes(bundle: &EncryptedBundle, rules: &Rules) -> Result<(), AdmissionError> {
    let expected = EncryptedBundle::CAPSULE_BYTES_MAX;
    if bundle.capsule.len() > expected {
        return Err(AdmissionError::CapsuleLength { expected, found: bundle.capsule.len() });
    }
    let found = bundle.header.body_bytes;
    if u32::try_from(bundle.body.len()) != Ok(found) {
        return Err(AdmissionError::BodyLength { expected: found, found: bundle.body.len() });
    }
    let plain = found.checked_sub(TAG_BYTES);
    if plain.is_none_or(|plain| !SIZE_BUCKETS.contains(&plain)) {
        return Err(AdmissionError::Bucket { found });
    }
    if found > rules.limits.block_bytes_max {
        return Err(AdmissionError::BlockLimit { expected: rules.limits.block_bytes_max, found });
    }
    Ok(())
}

/// Checks the payer's signature and the validity proof of every bundle: what [`check_form`] leaves. Pure
/// work for a job. `seed` weighs the proofs against each other and must be one that no sender knows.
#[must_use]
pub fn verify(
    bundles: &[Arc<EncryptedBundle>],
    key: &SealingKey,
    seed: &[u8; 32],
) -> Vec<Result<Verified, AdmissionError>> {
    let curve = Secp256k1::verification_only();
    let suite = key.suite();
    let opened: Vec<_> = bundles.iter().map(|bundle| read_capsule(&curve, suite, bundle)).collect();
    let readable = bundles.iter().zip(&opened);
    let statements: Vec<_> = readable
        .filter_map(|(bundle, capsule)| {
            let capsule = capsule.as_ref().ok()?;
            Some(CapsuleStatement { label: bundle.header.label(), body: &bundle.body, capsule })
        })
        .collect();
    let mut proved = verify_capsules(key, &statements, seed).into_iter();
    let judge = |(bundle, capsule): (&Arc<EncryptedBundle>, Result<Capsule, _>)| {
        let capsule = capsule?;
        if !proved.next().unwrap_or(false) {
            return Err(AdmissionError::Proof);
        }
        let encapsulation = capsule.encapsulation(&bundle.header.label());
        Ok(Verified { id: bundle.id(), encapsulation })
    };
    bundles.iter().zip(opened).map(judge).collect()
}

fn read_capsule(
    curve: &Secp256k1<VerifyOnly>,
    suite: Suite,
    bundle: &EncryptedBundle,
) -> Result<Capsule, AdmissionError> {
    check_payer(curve, bundle)?;
    Capsule::decode(suite, &bundle.capsule).map_err(AdmissionError::Capsule)
}

/// Recovers who signed `bundle` and compares with who is to pay.
fn check_payer(
    curve: &Secp256k1<VerifyOnly>,
    bundle: &EncryptedBundle,
) -> Result<(), AdmissionError> {
    let found = signer(curve, bundle).map_err(AdmissionError::Signature)?;
    let expected = bundle.header.payer;
    if found == expected { Ok(()) } else { Err(AdmissionError::Payer { expected, found }) }
}

fn signer(
    curve: &Secp256k1<VerifyOnly>,
    bundle: &EncryptedBundle,
) -> Result<PayerAddress, SignatureError> {
    let [compact @ .., v] = bundle.signature.as_bytes();
    let parity = match v {
        27 => RecoveryId::Zero,
        28 => RecoveryId::One,
        other => return Err(SignatureError::RecoveryId(*other)),
    };
    let signature =
        RecoverableSignature::from_compact(compact, parity).or(Err(SignatureError::NoKey))?;
    let plain = signature.to_standard();
    let mut low = plain;
    low.normalize_s();
    if low != plain {
        return Err(SignatureError::HighS);
    }
    let message = Message::from_digest(*bundle.signing_digest().as_bytes());
    let key = curve.recover_ecdsa(&message, &signature).or(Err(SignatureError::NoKey))?;
    Ok(address(&key))
}

/// The Ethereum address of a public key.
fn address(key: &secp256k1::PublicKey) -> PayerAddress {
    let [_, point @ ..] = key.serialize_uncompressed();
    let [_, _, _, _, _, _, _, _, _, _, _, _, address @ ..] = *keccak(&point).as_bytes();
    PayerAddress::new(address)
}

#[cfg(test)]
mod tests;
