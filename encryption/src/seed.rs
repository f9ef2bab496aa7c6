//! The seed σ of a bundle under suite 0x01, and what follows from it.
//!
//! ```text
//!   σ ─H─▶ r ─▶ u = r·g         k = r·PK = sk·u ─HKDF─▶ mask      v = σ xor mask       in the capsule
//!   └─HKDF─▶ key of the cipher
//! ```
//!
//! So whoever finds k finds σ, and who is shown σ of a decided bundle computes u, k and v again and compares: this takes a
//! multiplication where checking k itself takes a square root, a test of membership and its part of a pairing
//! equation. The exponent out of the message is Fujisaki and Okamoto's (CRYPTO 1999); as a key
//! encapsulation it is the transform of Hofheinz, Hövelmanns and Kiltz (TCC 2017).
//!
//! **Invariants.** For given capsule and label at most one σ is right, and k determines it: v xor the mask of k. A σ that
//! only satisfies u = r·g is *not* right: its maker could have put anything into v, and whoever combines shares would find
//! another.

use blstrs::Scalar;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use conclave_types::{Digest, G1Bytes, SeedBytes};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{field::hash_to_scalar, key::SealingKey, suite::Suite};

/// Bytes of a seed, and of its mask.
pub(crate) const SEED_BYTES: usize = SeedBytes::LEN;

/// r.
pub(crate) fn exponent(key: &SealingKey, seed: &[u8; SEED_BYTES], label: &Digest) -> Scalar {
    hash_to_scalar(key.hasher("conclave/capsule-exponent/v1").fixed(seed).fixed(label.as_bytes()))
}

/// `seed` masked, or what is masked laid open: either is the other one xor the mask of k.
pub(crate) fn masked(
    seed: &[u8; SEED_BYTES],
    k: &G1Bytes,
    u: &G1Bytes,
    label: &Digest,
) -> Zeroizing<[u8; SEED_BYTES]> {
    let mut masked = derive(k.as_bytes(), u, label, b"conclave/seed-mask/v1");
    for (to, from) in masked.iter_mut().zip(seed) {
        *to ^= from;
    }
    masked
}

/// The cipher of one bundle. Its key is used once, so the nonce is zero.
pub(crate) fn cipher(seed: &[u8; SEED_BYTES], u: &G1Bytes, label: &Digest) -> ChaCha20Poly1305 {
    let key = derive(seed, u, label, b"conclave/dem-key/v1");
    ChaCha20Poly1305::new(key.as_slice().into())
}

fn derive(secret: &[u8], u: &G1Bytes, label: &Digest, info: &[u8]) -> Zeroizing<[u8; 32]> {
    let suite = [Suite::Packed.number()];
    let input = Zeroizing::new([secret, u.as_bytes(), label.as_bytes(), suite.as_slice()].concat());
    let mut key = Zeroizing::new([0; 32]);
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes")]
    Hkdf::<Sha256>::new(None, &input).expand(info, key.as_mut()).expect("32 bytes can be expanded");
    key
}
