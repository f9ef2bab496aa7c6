//! A judge of signatures that judges each of them once.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use conclave_types::{Digest, SignatureBytes, StrictVerifier, Verifier};
use ed25519_dalek::VerifyingKey;

use super::SIGNATURES_KEPT;

/// Everything that a verdict depends on, and the verdict.
#[derive(Clone, Debug)]
struct Judged {
    key: [u8; 32],
    message: Digest,
    signature: SignatureBytes,
    holds: bool,
}

/// Judges strictly, and remembers by the whole of key, message and signature. A place in the table is
/// chosen by some bits of the signature; whoever comes later takes it.
#[derive(Debug)]
pub(crate) struct Judge {
    remembers: bool,
    table: Mutex<Vec<Option<Judged>>>,
    asked: AtomicU64,
}

impl Judge {
    /// A judge who remembers, or one who does not.
    #[must_use]
    pub(crate) fn new(remembers: bool) -> Self {
        let table = if remembers { vec![None; SIGNATURES_KEPT] } else { Vec::new() };
        Self { remembers, table: Mutex::new(table), asked: AtomicU64::new(0) }
    }

    /// How often it was asked.
    #[must_use]
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Verifier for Judge {
    fn is_signed(&self, key: &VerifyingKey, message: &Digest, signature: &SignatureBytes) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if !self.remembers {
            return StrictVerifier.is_signed(key, message, signature);
        }
        let [a, b, c, d, ..] = *signature.as_bytes();
        let bits = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(0);
        // A holder that panicked left whole entries behind.
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = table.get_mut(bits % SIGNATURES_KEPT) else { return false };
        if let Some(known) = place
            && known.key == *key.as_bytes()
            && known.message == *message
            && known.signature == *signature
        {
            return known.holds;
        }
        let holds = StrictVerifier.is_signed(key, message, signature);
        let (key, message, signature) = (key.to_bytes(), *message, *signature);
        *place = Some(Judged { key, message, signature, holds });
        holds
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    #[test]
    fn a_verdict_is_the_strict_one_whatever_was_asked_before() {
        let keys = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let messages = [Digest::new([3; 32]), Digest::new([4; 32])];
        let judge = Judge::new(true);
        for _ in 0..2 {
            for signer in &keys {
                for signed in &messages {
                    let signature = signer.sign(signed.as_bytes()).to_bytes();
                    // The first four bytes choose the place: all of these share one.
                    let mut bent = signature;
                    bent[40] ^= 1;
                    for signature in [signature, bent].map(SignatureBytes::new) {
                        for key in &keys {
                            for message in &messages {
                                let key = key.verifying_key();
                                let expected = StrictVerifier.is_signed(&key, message, &signature);
                                assert_eq!(judge.is_signed(&key, message, &signature), expected);
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(judge.asked(), 64);
    }
}
