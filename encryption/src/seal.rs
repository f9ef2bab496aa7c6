//! Sealing: legs to a capsule and a body that only a quorum can open, and only beside their header.

use blstrs::G1Projective;
use chacha20poly1305::{
    Nonce,
    aead::{Aead as _, Payload},
};
use conclave_types::{
    BundleHeader, Digest, G2Bytes, Leg, NetworkId, SIZE_BUCKETS, bucket_for, digest::keccak,
};
use group::Group;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::{
    baseline,
    capsule::Capsule,
    curve::encode_one,
    key::SealingKey,
    secret::{Secret, SecretPoint},
    seed::{SEED_BYTES, cipher, exponent, masked},
    suite::Suite,
};

/// Bytes that the cipher adds: its authentication tag.
pub(crate) const TAG_BYTES: u32 = 16;

/// Why legs cannot be sealed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// There is nothing to seal; such a bundle would only pay.
    #[error("a bundle has at least one leg")]
    NoLegs,
    /// The legs do not fit the largest bucket.
    #[error("the legs take {found} bytes, the largest bucket holds {max}", max = largest_bucket())]
    TooLarge {
        /// Bytes of the encoded legs.
        found: usize,
    },
    /// The header is for another network than the key.
    #[error("the header is for network {found}, the key is for {expected}")]
    Network {
        /// The key's network.
        expected: NetworkId,
        /// The header's network.
        found: NetworkId,
    },
    /// The cipher refused; it does so for lengths far beyond the largest bucket only.
    #[error("the cipher refused the plaintext")]
    Cipher,
}

fn largest_bucket() -> u32 {
    SIZE_BUCKETS.into_iter().max().unwrap_or_default()
}

/// A sealed bundle that is still to be signed by its payer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The header, with suite, key id and length of the body filled in.
    pub header: BundleHeader,
    /// Key encapsulation and proof.
    pub capsule: Vec<u8>,
    /// The sealed legs.
    pub body: Vec<u8>,
}

/// Seals `legs` under `header`, whose suite, key id and length of the body are filled in.
///
/// # Errors
///
/// [`SealError`] if there are no legs, they are too large, or the header is for another network.
pub fn seal(
    key: &SealingKey,
    header: BundleHeader,
    legs: &[Leg],
    mut rng: impl RngCore + CryptoRng,
) -> Result<Sealed, SealError> {
    let mut coins = Zeroizing::new([0; 32]);
    rng.fill_bytes(coins.as_mut());
    if legs.is_empty() {
        return Err(SealError::NoLegs);
    }
    seal_plaintext(key, header, encode_legs(legs)?, &coins)
}

/// The same by a sender who left the steps: v is off by a bit, so the bundle is admitted and has no right seed. For tests and
/// the simulator only: the feature `rogue` is theirs.
///
/// # Errors
///
/// As [`seal`]; under another suite than 0x01 there is no v, and [`SealError::Cipher`] says so.
#[cfg(feature = "rogue")]
pub fn seal_wrongly(
    key: &SealingKey,
    header: BundleHeader,
    legs: &[Leg],
    mut rng: impl RngCore + CryptoRng,
) -> Result<Sealed, SealError> {
    let mut coins = [0; 32];
    rng.fill_bytes(&mut coins);
    seal_altered(key, header, encode_legs(legs)?, &coins, |sealed| {
        sealed.masked.as_mut().map(|v| v[0] ^= 1)
    })
}

/// The legs as they are before padding.
///
/// # Errors
///
/// [`SealError::TooLarge`] if no bucket holds them.
pub(crate) fn encode_legs(legs: &[Leg]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    // The count; for each leg its rollup, the length of its transaction, and the transaction.
    let sizes = legs.iter().map(|leg| leg.transaction.len().saturating_add(12));
    let found = sizes.fold(4_usize, usize::saturating_add);
    let bucket = bucket_for(found).ok_or(SealError::TooLarge { found })?;
    // As much as it takes when it is padded: a vector that grows leaves copies behind.
    let capacity = usize::try_from(bucket).unwrap_or(found);
    let mut plaintext = Zeroizing::new(Vec::with_capacity(capacity));
    #[expect(
        clippy::expect_used,
        reason = "a Vec<u8> takes every write, and no length exceeds 32 bits"
    )]
    borsh::to_writer(&mut *plaintext, legs).expect("encoding into memory does not fail");
    Ok(plaintext)
}

/// Seals any plaintext, padded to its bucket. All that is drawn is drawn from `coins`.
pub(crate) fn seal_plaintext(
    key: &SealingKey,
    header: BundleHeader,
    plaintext: Zeroizing<Vec<u8>>,
    coins: &[u8; 32],
) -> Result<Sealed, SealError> {
    seal_altered(key, header, plaintext, coins, |_| Some(()))
}

/// The same with something else done to what is encapsulated before it is proved; none if that cannot be done.
fn seal_altered(
    key: &SealingKey,
    mut header: BundleHeader,
    mut plaintext: Zeroizing<Vec<u8>>,
    coins: &[u8; 32],
    alter: impl FnOnce(&mut Encapsulated) -> Option<()>,
) -> Result<Sealed, SealError> {
    let found = plaintext.len();
    let bucket = bucket_for(found).ok_or(SealError::TooLarge { found })?;
    if header.network != key.network() {
        return Err(SealError::Network { expected: key.network(), found: header.network });
    }
    plaintext.resize(found.max(usize::try_from(bucket).unwrap_or(found)), 0);
    header.suite = key.suite().number();
    header.key_id = key.id();
    header.body_bytes = bucket.saturating_add(TAG_BYTES);
    let label = header.label();
    let encapsulated = match key.suite() {
        Suite::Packed => encapsulate(key, &label, &plaintext, coins),
        Suite::Baseline => encapsulate_baseline(key, &label, &plaintext, coins),
    };
    let mut encapsulated = encapsulated.ok_or(SealError::Cipher)?;
    alter(&mut encapsulated).ok_or(SealError::Cipher)?;
    let Encapsulated { r, point, body, masked, baseline } = encapsulated;
    let masked = masked.as_ref().map_or(&[][..], |v| v);
    let proof = Capsule::prove(key, (&r, &point), coins, (&label, &keccak(&body), masked));
    let witness = baseline.as_ref().map_or(&[][..], |w| w.as_bytes());
    Ok(Sealed { header, capsule: [proof.as_slice(), masked, witness].concat(), body })
}

/// A body under a key that is encapsulated in `point` = r·g.
struct Encapsulated {
    r: Secret,
    point: G1Projective,
    body: Vec<u8>,
    /// v.
    masked: Option<[u8; SEED_BYTES]>,
    /// The baseline's own proof that r is known.
    baseline: Option<G2Bytes>,
}

/// What all that is sealed depends on. That it holds the plaintext makes up for a generator that repeats its output:
/// two different bundles never have one seed, hence neither one exponent nor one key stream.
fn secret_digest(
    key: &SealingKey,
    tag: &'static str,
    (label, plaintext): (&Digest, &[u8]),
    coins: &[u8; 32],
) -> Zeroizing<[u8; SEED_BYTES]> {
    let mut hasher = key.hasher(tag);
    hasher.fixed(coins).fixed(label.as_bytes()).bytes(plaintext);
    Zeroizing::new(*hasher.finish().as_bytes())
}

fn encapsulate(
    key: &SealingKey,
    label: &Digest,
    plaintext: &[u8],
    coins: &[u8; 32],
) -> Option<Encapsulated> {
    let seed = secret_digest(key, "conclave/capsule-seed/v1", (label, plaintext), coins);
    // It is zero for one seed in 2²⁵⁴, and refused by all then.
    let r = Secret(exponent(key, &seed, label));
    let point = G1Projective::generator() * r.0;
    let (u, k) = (encode_one(&point), SecretPoint(encode_one(&(key.point() * r.0))));
    let masked = *masked(&seed, &k.0, &u, label);
    let payload = Payload { msg: plaintext, aad: label.as_bytes() };
    let body = cipher(&seed, &u, label).encrypt(&Nonce::default(), payload).ok()?;
    Some(Encapsulated { r, point, body, masked: Some(masked), baseline: None })
}

fn encapsulate_baseline(
    key: &SealingKey,
    label: &Digest,
    plaintext: &[u8],
    coins: &[u8; 32],
) -> Option<Encapsulated> {
    let seed = secret_digest(key, "conclave/capsule-exponent/v1", (label, plaintext), coins);
    let sealed = baseline::encrypt(key.public_key(), label, plaintext, &seed)?;
    let point = G1Projective::generator() * sealed.r.0;
    // The crate drew the exponent that was drawn beside it.
    (encode_one(&point) == sealed.u).then_some(Encapsulated {
        r: sealed.r,
        point,
        body: sealed.v,
        masked: None,
        baseline: Some(sealed.w),
    })
}
