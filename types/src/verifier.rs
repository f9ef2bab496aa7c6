//! Who says whether a signature holds.
//!
//! A signature is judged in several places, and in a committee of n each of them is judged n times by n
//! processes. So the judge is handed in: a node judges by itself; a simulator, which runs all n in
//! one process, judges each signature once and remembers what it found.

use std::{any::Any, fmt, sync::Arc};

use ed25519_dalek::{Signature, VerifyingKey};

use crate::{certificate::SignatureBytes, committee::ConsensusKey, ids::Digest};

/// Judges ed25519 signatures. The verdict is a function of the three arguments, the one that
/// [`StrictVerifier`] gives.
pub trait Verifier: fmt::Debug + Send + Sync {
    /// Whether `key` signed `message`.
    fn is_signed(&self, key: &VerifyingKey, message: &Digest, signature: &SignatureBytes) -> bool;

    /// The digest of `message`, which is what `digest` makes of it and nothing else. Hashing a message costs
    /// a microsecond; a judge for many processes, which share what they were sent, may remember it.
    fn digest_of(&self, message: Arc<Whole>, digest: &dyn Fn() -> Digest) -> Digest {
        drop(message);
        digest()
    }
}

/// A message that is not changed any more, of whatever type.
pub type Whole = dyn Any + Send + Sync;

/// Judges as strictly as a contract would: no small-order points, no non-canonical encodings.
#[derive(Clone, Copy, Debug, Default)]
pub struct StrictVerifier;

impl Verifier for StrictVerifier {
    fn is_signed(&self, key: &VerifyingKey, message: &Digest, signature: &SignatureBytes) -> bool {
        let signature = Signature::from_bytes(signature.as_bytes());
        key.verify_strict(message.as_bytes(), &signature).is_ok()
    }
}

impl ConsensusKey {
    /// [`StrictVerifier`]'s verdict for a key that is still bytes; bytes that are no key have signed
    /// nothing.
    #[must_use]
    pub fn has_signed(&self, message: &Digest, signature: &SignatureBytes) -> bool {
        VerifyingKey::from_bytes(self.as_bytes())
            .is_ok_and(|key| StrictVerifier.is_signed(&key, message, signature))
    }
}
