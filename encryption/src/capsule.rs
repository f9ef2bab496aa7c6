//! The capsule of a bundle: u = r·g with a proof that whoever sealed it knows r.
//!
//! Without the proof an attacker could submit a function of somebody else's u and read the other
//! bundle's key off his own opening. The proof shows that u and ū = r·ḡ have one logarithm, for a base
//! ḡ of the key; a simulator that knows ḡ's relation to the key can open from ū alone, which is what
//! makes chosen ciphertexts harmless (Shoup and Gennaro, "Securing threshold cryptosystems against
//! chosen ciphertext attack", TDH2). The challenge binds the header's label and the body, so a capsule
//! is worth nothing beside another header or body, nor under another key or network.
//!
//! Under suite 0x01 the capsule ends with v, the masked seed ([`crate::seed`]), which the challenge binds, too.
//!
//! The commitments w and w̄ are carried rather than the challenge: then the equations
//! z·g = w + e·u and z·ḡ = w̄ + e·ū are linear in points, and a whole block is checked in one sum.
//!
//! Secrets multiply u and nothing else, so u alone is checked to be in the subgroup. ū, w and w̄ are read by this proof
//! only, whose equations hold *up to points of small order*: what is left of the sum is multiplied by the cofactor. So a
//! capsule is judged alike by itself and among others, and what its proof says of the parts of order q is what it
//! would say without the rest (docs/adr/010-proofs-hold-up-to-the-cofactor.md).

use std::{fmt, ops::Range};

use blstrs::{G1Affine, G1Projective, Scalar};
use borsh::BorshSerialize;
use conclave_types::{Digest, G1Bytes, G2Bytes, digest::keccak};
use ff::Field;
use group::{Group, prime::PrimeCurveAffine};

use crate::{
    baseline,
    curve::{
        decode_g1_nonzero, decode_g2, decode_on_curve, encode, has_small_order, sum_of_multiples,
        weighted_sum,
    },
    encapsulation::{CapsulePoint, Encapsulation, MaskedSeed},
    field::{hash_to_scalar, scalar_of, weights},
    key::SealingKey,
    secret::Secret,
    seed::SEED_BYTES,
    suite::Suite,
};

/// Why bytes are no capsule.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, BorshSerialize)]
pub enum CapsuleError {
    /// The length is another.
    #[error("a capsule has {expected} bytes, found {found}")]
    Length {
        /// Bytes of this suite's.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A point is not on the curve, not canonically encoded, or is infinity where it must not be; or u or W is not
    /// in its subgroup.
    #[error("{0} is not an acceptable point of its group")]
    Point(&'static str),
    /// z is not below the group's order.
    #[error("the response z is not a canonical scalar")]
    Scalar,
}

/// u ‖ ū ‖ w ‖ w̄ ‖ z, and behind it v, or W under the baseline suite. u and W are in their subgroups, the other points
/// on the curve. Says nothing about the proof yet, nor about v, of which only the opening tells.
#[derive(Clone, PartialEq, Eq)]
pub struct Capsule {
    u: G1Affine,
    u_bar: G1Affine,
    w: G1Affine,
    w_bar: G1Affine,
    z: Scalar,
    tail: Tail,
    bytes: Vec<u8>,
}

/// What follows the proof.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// v: the masked seed.
    Masked([u8; SEED_BYTES]),
    /// W: what the baseline's own check is about.
    Baseline(G2Bytes),
}

impl Capsule {
    /// Bytes of u and the proof.
    const PROOF_BYTES: usize = 4 * 48 + 32;

    /// Number of bytes.
    #[must_use]
    pub const fn length(suite: Suite) -> usize {
        match suite {
            Suite::Packed => Self::PROOF_BYTES + SEED_BYTES,
            Suite::Baseline => Self::PROOF_BYTES + G2Bytes::LEN,
        }
    }

    /// Reads a capsule of `suite` and checks its points.
    ///
    /// # Errors
    ///
    /// [`CapsuleError`] names the part that is wrong.
    pub fn decode(suite: Suite, bytes: &[u8]) -> Result<Self, CapsuleError> {
        let (expected, found) = (Self::length(suite), bytes.len());
        let wrong = CapsuleError::Length { expected, found };
        let proof = bytes.split_first_chunk::<{ Self::PROOF_BYTES }>();
        let Some((proof, rest)) = proof.filter(|_| found == expected) else { return Err(wrong) };
        let (points, rest_of_proof) = proof.as_chunks::<48>();
        let ([u, u_bar, w, w_bar], Some(z)) = (points, rest_of_proof.first_chunk::<32>()) else {
            return Err(wrong);
        };
        let read = |bytes: &[u8; 48], name| {
            decode_on_curve(&G1Bytes::new(*bytes)).ok_or(CapsuleError::Point(name))
        };
        let is_infinity = |point: &G1Affine| bool::from(point.is_identity());
        let u_bar = read(u_bar, "ū")?;
        Ok(Self {
            u: decode_g1_nonzero(&G1Bytes::new(*u)).ok_or(CapsuleError::Point("u"))?,
            u_bar: Some(u_bar).filter(|p| !is_infinity(p)).ok_or(CapsuleError::Point("ū"))?,
            w: read(w, "w")?,
            w_bar: read(w_bar, "w̄")?,
            z: Option::from(Scalar::from_bytes_be(z)).ok_or(CapsuleError::Scalar)?,
            tail: match suite {
                Suite::Packed => Tail::Masked(*rest.first_chunk().ok_or(wrong)?),
                Suite::Baseline => Tail::Baseline(read_baseline(rest.first_chunk().ok_or(wrong)?)?),
            },
            bytes: bytes.to_vec(),
        })
    }

    /// u and the proof for exponent r, u being r·g, bound to label, body and masked seed, if there is one. The proof's nonce
    /// is a digest of coins, r, label and body, so it never serves two statements.
    pub(crate) fn prove(
        key: &SealingKey,
        (r, u): (&Secret, &G1Projective),
        coins: &[u8; 32],
        (label, body_hash, masked): (&Digest, &Digest, &[u8]),
    ) -> [u8; Self::PROOF_BYTES] {
        let nonce = Secret(hash_to_scalar(
            key.hasher("conclave/capsule-nonce/v1")
                .fixed(coins)
                .fixed(&*zeroize::Zeroizing::new(r.0.to_bytes_be()))
                .fixed(label.as_bytes())
                .fixed(body_hash.as_bytes()),
        ));
        let (g, h) = (G1Projective::generator(), key.proof_base());
        let points = encode(&[*u, h * r.0, g * nonce.0, h * nonce.0]);
        let mut bytes = [0; Self::PROOF_BYTES];
        let (heads, tail) = bytes.split_at_mut(4 * 48);
        for (to, from) in heads.chunks_exact_mut(48).zip(&points) {
            to.copy_from_slice(from.as_bytes());
        }
        let z = nonce.0 + challenge(key, label, body_hash, (heads, masked)) * r.0;
        tail.copy_from_slice(&z.to_bytes_be());
        bytes
    }

    /// u, by which a block's ciphertexts are known.
    #[must_use]
    pub fn u(&self) -> G1Bytes {
        let mut u = [0; 48];
        for (to, from) in u.iter_mut().zip(&self.bytes) {
            *to = *from;
        }
        G1Bytes::new(u)
    }

    /// What the opening of a bundle with this capsule and label is about, u being checked.
    #[must_use]
    pub fn encapsulation(&self, label: &Digest) -> Encapsulation {
        let point = CapsulePoint::checked(self.u(), self.u);
        let masked = match self.tail {
            Tail::Masked(v) => Some(MaskedSeed { v, label: *label }),
            Tail::Baseline(_) => None,
        };
        Encapsulation { point, masked }
    }

    /// The encoded capsule.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this is what `suite` has, and `body` a ciphertext that the baseline's own check accepts, if
    /// that is the suite.
    fn is_of(&self, suite: Suite, body: &[u8]) -> bool {
        match (suite, &self.tail) {
            (Suite::Packed, Tail::Masked(_)) => true,
            (Suite::Baseline, Tail::Baseline(w)) => baseline::is_valid(&self.u(), body, w),
            (Suite::Packed, Tail::Baseline(_)) | (Suite::Baseline, Tail::Masked(_)) => false,
        }
    }

    /// What the proof is about besides label and body: u, ū, w, w̄, and v, if there is one.
    fn proved(&self) -> (&[u8], &[u8]) {
        let masked = match &self.tail {
            Tail::Masked(v) => v.as_slice(),
            Tail::Baseline(_) => &[],
        };
        (self.bytes.get(..4 * 48).unwrap_or_default(), masked)
    }
}

impl fmt::Debug for Capsule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capsule({})", self.u().short())
    }
}

/// W, which is infinity for no capsule whose u is not.
fn read_baseline(bytes: &[u8; G2Bytes::LEN]) -> Result<G2Bytes, CapsuleError> {
    let bytes = G2Bytes::new(*bytes);
    decode_g2(&bytes).map(|_| bytes).ok_or(CapsuleError::Point("W"))
}

/// e: the digest of everything that a proof is about; `points` are u, ū, w, w̄, `masked` is v, and empty where there is none.
pub(crate) fn challenge(
    key: &SealingKey,
    label: &Digest,
    body_hash: &Digest,
    (points, masked): (&[u8], &[u8]),
) -> Scalar {
    hash_to_scalar(
        key.hasher("conclave/capsule-proof/v1")
            .fixed(label.as_bytes())
            .fixed(body_hash.as_bytes())
            .fixed(points)
            .fixed(masked),
    )
}

/// A capsule and what its proof must be bound to.
#[derive(Clone, Copy, Debug)]
pub struct CapsuleStatement<'a> {
    /// The header's label, L.
    pub label: Digest,
    /// The body.
    pub body: &'a [u8],
    /// The capsule.
    pub capsule: &'a Capsule,
}

/// Whether each proof holds. All are checked in one sum, which costs a fraction of checking each; if it
/// fails, halves are checked until the wrong ones are alone. The baseline's own check comes on top, one by one.
///
/// `seed` must be secret to this node: wrong proofs can be made to cancel under weights that their
/// author can predict.
#[must_use]
pub fn verify_capsules(
    key: &SealingKey,
    statements: &[CapsuleStatement<'_>],
    seed: &[u8; 32],
) -> Vec<bool> {
    let suite = key.suite();
    let batch = Batch::new(key, statements, seed);
    let mut verdicts = vec![false; statements.len()];
    // A half is finished before the other is begun: as many ranges are open as one can be halved.
    let mut open: Vec<Range<usize>> = std::iter::once(0..statements.len()).collect();
    while let Some(range) = open.pop() {
        if range.is_empty() {
            continue;
        }
        if batch.holds(&range) {
            if let Some(verdicts) = verdicts.get_mut(range) {
                verdicts.fill(true);
            }
        } else if range.len() > 1 {
            let middle = range.start.midpoint(range.end);
            open.extend([range.start..middle, middle..range.end]);
        }
    }
    let pairs = verdicts.into_iter().zip(statements);
    pairs.map(|(holds, it)| holds && it.capsule.is_of(suite, it.body)).collect()
}

/// Weights of both equations of each statement, drawn from a secret and all that they are to weigh.
pub(crate) fn proof_weights(
    key: &SealingKey,
    statements: &[CapsuleStatement<'_>],
    body_hashes: &[Digest],
    seed: &[u8; 32],
) -> Vec<u128> {
    let mut transcript = key.hasher("conclave/capsule-weights/v1");
    transcript.fixed(seed).u64(statements.len() as u64);
    for (CapsuleStatement { label, capsule, .. }, body_hash) in statements.iter().zip(body_hashes) {
        transcript.fixed(label.as_bytes()).fixed(body_hash.as_bytes()).fixed(capsule.as_bytes());
    }
    weights(transcript.finish(), statements.len().saturating_mul(2))
}

/// Both equations of every statement, weighted, with the terms of each statement side by side.
struct Batch<'a> {
    key: &'a SealingKey,
    /// w and w̄, two for each statement, and their weights.
    commitments: Vec<G1Affine>,
    weights: Vec<u128>,
    /// u and ū, two for each statement, and weight times challenge.
    points: Vec<G1Affine>,
    challenges: Vec<Scalar>,
    /// Weight times z, of both equations.
    responses: Vec<[Scalar; 2]>,
}

impl<'a> Batch<'a> {
    fn new(key: &'a SealingKey, statements: &[CapsuleStatement<'_>], seed: &[u8; 32]) -> Self {
        let hashes: Vec<Digest> = statements.iter().map(|it| keccak(it.body)).collect();
        let weights = proof_weights(key, statements, &hashes, seed);
        let mut batch = Self {
            key,
            commitments: Vec::with_capacity(weights.len()),
            points: Vec::with_capacity(weights.len()),
            challenges: Vec::with_capacity(weights.len()),
            responses: Vec::with_capacity(statements.len()),
            weights,
        };
        let (pairs, _) = batch.weights.as_chunks::<2>();
        let hashed = statements.iter().zip(&hashes);
        for ((CapsuleStatement { label, capsule, .. }, body_hash), pair) in hashed.zip(pairs) {
            let e = challenge(key, label, body_hash, capsule.proved());
            let [rho, sigma] = pair.map(scalar_of);
            batch.commitments.extend([capsule.w, capsule.w_bar]);
            batch.points.extend([capsule.u, capsule.u_bar]);
            batch.challenges.extend([rho * e, sigma * e]);
            batch.responses.push([rho * capsule.z, sigma * capsule.z]);
        }
        batch
    }

    /// Whether Σ ρ(w + e·u) + σ(w̄ + e·ū) = (Σ ρz)·g + (Σ σz)·ḡ over the statements in `range`, up to points of
    /// small order: those that cancel in one sum need not cancel in another.
    fn holds(&self, range: &Range<usize>) -> bool {
        let terms = range.start.saturating_mul(2)..range.end.saturating_mul(2);
        let parts = (
            self.commitments.get(terms.clone()),
            self.weights.get(terms.clone()),
            self.points.get(terms.clone()),
            self.challenges.get(terms),
            self.responses.get(range.clone()),
        );
        let (Some(commitments), Some(weights), Some(points), Some(challenges), Some(responses)) =
            parts
        else {
            return false;
        };
        let right = weighted_sum(commitments, weights) + sum_of_multiples(points, challenges);
        let [z, z_bar] = responses
            .iter()
            .fold([Scalar::ZERO; 2], |[z, z_bar], [next, next_bar]| [z + next, z_bar + next_bar]);
        let left = G1Projective::generator() * z + self.key.proof_base() * z_bar;
        has_small_order(&(left - right))
    }
}
