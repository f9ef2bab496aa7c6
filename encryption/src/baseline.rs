//! Suite 0x02: what `threshold_crypto` does, and how this crate's bytes become the crate's and back.
//!
//! The crate seals a message to u ‖ v ‖ w: u = r·g, v the message under a stream keyed by k = r·PK, and
//! w = r·H(u, v), which shows that the sender knows r. It neither lets associated data in nor r out. But
//! what binds a ciphertext to its header must be seen *before* it is opened: whoever puts somebody else's
//! ciphertext under a header of his own has read it once it is opened, whatever is found wrong with it then.
//! So a capsule carries, beside w, the proof of suite 0x01, whose challenge hashes label and body, and for
//! which r is needed. r is the first that the crate draws from the generator that it is handed: drawn once
//! more from a generator in the same state, it is at hand, and is compared with u.
//!
//! A digest of label and plaintext stands in the message as well, so that a message is worth nothing under
//! another header even where nobody has checked the proof.
//!
//! Only sealing, w and the stream are the crate's. Shares are multiplied, combined and checked as in the
//! other suite: the crate's multiplication is not of constant time, and it opens a message without
//! ever showing k, which is what a block publishes.

use blstrs::Scalar;
use conclave_types::{Digest, G1Bytes, G2Bytes, digest::Hasher};
use rand_chacha_02::{ChaCha20Rng, rand_core::SeedableRng as _};
use serde::de::DeserializeOwned;
use threshold_crypto::{
    Ciphertext, DecryptionShare, Fr, PublicKey, PublicKeySet,
    ff::{Field as _, PrimeField as _},
    poly::Poly,
};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Bytes of the digest in a message: as many as the other suite's cipher adds.
const DIGEST_BYTES: usize = 16;

/// A message sealed by the crate, with the exponent that it drew.
pub(crate) struct Encrypted {
    pub(crate) r: Secret,
    pub(crate) u: G1Bytes,
    pub(crate) v: Vec<u8>,
    pub(crate) w: G2Bytes,
}

/// Seals `plaintext`, bound to `label`, to `key`. All that is drawn is drawn from `seed`; none if the key is no
/// point, or bytes are not what they must be.
pub(crate) fn encrypt(
    key: &G1Bytes,
    label: &Digest,
    plaintext: &[u8],
    seed: &[u8; 32],
) -> Option<Encrypted> {
    let key = PublicKey::from_bytes(key.as_bytes()).ok()?;
    let mut rng = ChaCha20Rng::from_seed(*seed);
    let r = exponent(Fr::random(&mut rng.clone()))?;
    let message = Zeroizing::new([plaintext, &binding(label, plaintext)].concat());
    let sealed = bincode::serialize(&key.encrypt_with_rng(&mut rng, message.as_slice())).ok()?;
    let (u, rest) = sealed.split_first_chunk::<{ G1Bytes::LEN }>()?;
    let (rest, w) = rest.split_last_chunk::<{ G2Bytes::LEN }>()?;
    let (_, v) = rest.split_first_chunk::<8>()?;
    Some(Encrypted { r, u: G1Bytes::new(*u), v: v.to_vec(), w: G2Bytes::new(*w) })
}

/// Whether the crate takes u ‖ v ‖ w for a ciphertext that its sender knows the exponent of.
pub(crate) fn is_valid(u: &G1Bytes, v: &[u8], w: &G2Bytes) -> bool {
    ciphertext(u.as_bytes(), v, w.as_bytes()).is_some_and(|ciphertext| ciphertext.verify())
}

/// The plaintext under an accepted opening; none if the message is not one for this label.
pub(crate) fn decrypt(k: &G1Bytes, label: &Digest, v: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // One share of a key that nobody shares is k itself. The crate looks at nothing of the ciphertext but v.
    let whole = PublicKeySet::from(Poly::one().commitment());
    let share: DecryptionShare = read(k.as_bytes())?;
    let ciphertext =
        ciphertext(&infinity::<{ G1Bytes::LEN }>(), v, &infinity::<{ G2Bytes::LEN }>())?;
    let mut message = Zeroizing::new(whole.decrypt([(0_u64, &share)], &ciphertext).ok()?);
    let (plaintext, found) = message.split_last_chunk::<DIGEST_BYTES>()?;
    if *found != binding(label, plaintext) {
        return None;
    }
    let plaintext_bytes = plaintext.len();
    message.truncate(plaintext_bytes);
    Some(message)
}

/// What binds a plaintext to its label inside the message.
fn binding(label: &Digest, plaintext: &[u8]) -> [u8; DIGEST_BYTES] {
    let digest = Hasher::new("conclave/baseline-binding/v1")
        .fixed(label.as_bytes())
        .fixed(plaintext)
        .finish();
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

fn exponent(r: Fr) -> Option<Secret> {
    let limbs = Zeroizing::new(r.into_repr().0);
    Option::from(Scalar::from_u64s_le(&limbs)).map(Secret)
}

/// The crate's own type out of the bytes that it would write: a list has its length before it.
fn ciphertext(u: &[u8], v: &[u8], w: &[u8]) -> Option<Ciphertext> {
    let length = u64::try_from(v.len()).ok()?.to_le_bytes();
    read(&[u, &length, v, w].concat())
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    bincode::deserialize(bytes).ok()
}

/// The encoding of infinity in a group whose points take `BYTES`.
fn infinity<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    if let Some(first) = bytes.first_mut() {
        *first = 0xc0;
    }
    bytes
}
