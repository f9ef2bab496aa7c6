//! A judge of signatures that judges each of them once, and hashes each shared message once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use conclave_types::{Digest, SignatureBytes, StrictVerifier, Verifier, Whole};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use super::{MESSAGES_KEPT, SIGNATURE_SETS, SIGNATURES_EACH};

/// Everything that a verdict depends on, and the verdict.
#[derive(Clone, Copy, Debug)]
struct Judged {
    key: [u8; 32],
    message: Digest,
    signature: SignatureBytes,
    holds: bool,
}

/// A message and its digest. Since the message is held here, no other can come to lie where it lies.
#[derive(Debug)]
struct Hashed {
    message: Arc<Whole>,
    digest: Digest,
}

/// Signatures that some bits of them put into one place, the newest first. Several, since two that everybody judges in
/// turn would cost a verification each time if one had to make room for the other.
type Set = [Option<Judged>; SIGNATURES_EACH];

/// Judges strictly, and remembers by the whole of key, message and signature.
#[derive(Debug)]
pub(crate) struct Judge {
    remembers: bool,
    /// Keys of those who sign. What they would have signed needs no more looking at: signing again takes a third of
    /// the time of a verification.
    signers: BTreeMap<[u8; 32], SigningKey>,
    table: Mutex<Vec<Set>>,
    digests: Mutex<Vec<Option<Hashed>>>,
    asked: AtomicU64,
}

impl Judge {
    /// A judge who remembers, or one who does not.
    #[must_use]
    pub(crate) fn new(remembers: bool) -> Self {
        let sets = if remembers { SIGNATURE_SETS } else { 0 };
        let table = vec![Set::default(); sets];
        let digests = (0..MESSAGES_KEPT).map(|_| None).take_while(|_| remembers).collect();
        let (table, digests) = (Mutex::new(table), Mutex::new(digests));
        Self { remembers, signers: BTreeMap::new(), table, digests, asked: AtomicU64::new(0) }
    }

    /// The same, and it knows these keys.
    #[must_use]
    pub(crate) fn knowing<'a>(mut self, signers: impl Iterator<Item = &'a SigningKey>) -> Self {
        let known = signers.map(|key| (key.verifying_key().to_bytes(), key.clone()));
        self.signers = known.filter(|_| self.remembers).collect();
        self
    }

    fn holds(&self, key: &VerifyingKey, message: &Digest, signature: &SignatureBytes) -> bool {
        let signer = self.signers.get(key.as_bytes());
        let is_theirs = |signer: &SigningKey| {
            signer.sign(message.as_bytes()).to_bytes() == *signature.as_bytes()
        };
        signer.is_some_and(is_theirs) || StrictVerifier.is_signed(key, message, signature)
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
        let Some(set) = table.get_mut(bits % SIGNATURE_SETS) else { return false };
        let is_it = |known: &&Judged| {
            known.signature == *signature
                && known.message == *message
                && known.key == *key.as_bytes()
        };
        if let Some(known) = set.iter().flatten().find(is_it) {
            return known.holds;
        }
        let holds = self.holds(key, message, signature);
        let (key, message, signature) = (key.to_bytes(), *message, *signature);
        set.rotate_right(1);
        if let Some(newest) = set.first_mut() {
            *newest = Some(Judged { key, message, signature, holds });
        }
        holds
    }

    fn digest_of(&self, message: Arc<Whole>, digest: &dyn Fn() -> Digest) -> Digest {
        let at = |message: &Arc<Whole>| Arc::as_ptr(message).cast::<()>();
        // A holder that panicked left whole entries behind.
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        // Messages lie some hundred bytes apart.
        let place = at(&message).addr() / 64 % MESSAGES_KEPT;
        let Some(place) = digests.get_mut(place) else { return digest() };
        if let Some(known) = place
            && at(&known.message) == at(&message)
        {
            return known.digest;
        }
        let digest = digest();
        *place = Some(Hashed { message, digest });
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_the_strict_one_whatever_was_asked_before() {
        let keys = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let messages = [Digest::new([3; 32]), Digest::new([4; 32])];
        // It knows the first of them.
        let judge = Judge::new(true).knowing(keys.iter().take(1));
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

    #[test]
    fn a_message_is_hashed_once_and_another_in_its_place_anew() {
        let judge = Judge::new(true);
        let hashed = AtomicU64::new(0);
        for number in 0..3 * MESSAGES_KEPT as u64 {
            let message: Arc<Whole> = Arc::new(number);
            let digest = Digest::new([number.to_le_bytes()[0]; 32]);
            for _ in 0..2 {
                let found = judge.digest_of(Arc::clone(&message), &|| {
                    hashed.fetch_add(1, Ordering::Relaxed);
                    digest
                });
                assert_eq!(found, digest, "message {number}");
            }
            assert_eq!(hashed.load(Ordering::Relaxed), number + 1);
        }
    }
}
