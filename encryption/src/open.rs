//! What follows from an accepted opening: the legs of a bundle, the beacon of a block.
//!
//! Every outcome here is part of the protocol. An accepted opening is unique, so all who hold the block
//! find the same legs, or the same reason why there are none.

use borsh::BorshDeserialize as _;
use chacha20poly1305::{
    Nonce,
    aead::{Aead as _, Payload},
};
use conclave_types::{
    Digest, G1Bytes, Leg, Opening, SIZE_BUCKETS, UndecryptableReason, digest::Hasher,
};
use zeroize::Zeroizing;

use crate::{baseline, seed::cipher, suite::Suite};

/// Opens a bundle's body under an accepted opening of its u.
///
/// # Errors
///
/// [`UndecryptableReason::BadCiphertext`], [`UndecryptableReason::BadEncoding`] or
/// [`UndecryptableReason::NoLegs`]: the bundle as a whole has no legs, for everyone.
pub fn open_bundle(
    label: &Digest,
    u: &G1Bytes,
    opening: &Opening,
    suite: u8,
    body: &[u8],
) -> Result<Vec<Leg>, UndecryptableReason> {
    let plaintext = match (Suite::of_number(suite), opening) {
        (Some(Suite::Packed), Opening::Seed(seed)) => {
            let payload = Payload { msg: body, aad: label.as_bytes() };
            let opened = cipher(seed.as_bytes(), u, label).decrypt(&Nonce::default(), payload);
            opened.ok().map(Zeroizing::new)
        }
        (Some(Suite::Baseline), Opening::Point(k)) => baseline::decrypt(k, label, body),
        // Under suite 0x01 a point opens what has no right seed: it was sealed to nobody.
        (Some(Suite::Packed), Opening::Point(_))
        | (Some(Suite::Baseline), Opening::Seed(_))
        | (None, _) => None,
    };
    decode_legs(&plaintext.ok_or(UndecryptableReason::BadCiphertext)?)
}

/// Reads legs that are padded with zeros to a bucket, and nothing else.
fn decode_legs(plaintext: &[u8]) -> Result<Vec<Leg>, UndecryptableReason> {
    if !SIZE_BUCKETS.iter().any(|bucket| usize::try_from(*bucket) == Ok(plaintext.len())) {
        return Err(UndecryptableReason::BadEncoding);
    }
    let mut rest = plaintext;
    #[expect(
        clippy::map_err_ignore,
        reason = "the reason is part of the protocol, its cause is not"
    )]
    let legs = Vec::<Leg>::deserialize(&mut rest).map_err(|_| UndecryptableReason::BadEncoding)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(UndecryptableReason::BadEncoding);
    }
    if legs.is_empty() { Err(UndecryptableReason::NoLegs) } else { Ok(legs) }
}

/// The beacon of a block, from the accepted opening of its beacon point.
#[must_use]
pub fn beacon(opening: &Opening) -> Digest {
    Hasher::new("conclave/beacon/v1").fixed(opening.as_bytes()).finish()
}
