//! Public keys, parsed and checked once.
//!
//! A sealer needs PK and X₂ ([`SealingKey`]); a committee also needs the verification keys V_j, by
//! which shares are judged ([`PublicKey`]). Both are checked as a whole: PK and X₂ have one discrete
//! logarithm, and the V_j lie on one polynomial of the right degree that is sk at every slot. So a key
//! that parses can be opened by any quorum.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use blstrs::{G1Affine, G1Projective, G2Affine, G2Prepared, G2Projective, Scalar};
use conclave_types::{EncryptionKey, Era, G1Bytes, G2Bytes, KeyId, NetworkId, digest::Hasher};
use ff::Field;
use group::Group;

use crate::{
    curve::{decode_g1_nonzero, decode_g2, decode_g2_nonzero, pairings_agree, sum_of_multiples_g2},
    field::{hash_to_scalar, invert_all},
    multiples::Multiples,
    packing::{Packing, PackingError},
    suite::Suite,
};

const PROOF_BASE_DST: &[u8] = b"CONCLAVE-V1-CS01-PROOF-BASE-BLS12381G1_XMD:SHA-256_SSWU_RO_";

/// Why a public key is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// There is no such suite.
    #[error("the key is for suite {found}, which is none")]
    Suite {
        /// The suite found.
        found: u8,
    },
    /// The key is for another suite than its network's.
    #[error("the key is for suite {found}, the network's is {expected}")]
    AnotherSuite {
        /// The network's.
        expected: u8,
        /// The suite found.
        found: u8,
    },
    /// PK is no point of the group, or infinity.
    #[error("the public key is not a point of G1 other than infinity")]
    PublicKey,
    /// X₂ is no point of the group, or infinity.
    #[error("the public key in G2 is not a point of G2 other than infinity")]
    PublicKeyG2,
    /// PK and X₂ are of different secrets.
    #[error("the public keys in G1 and in G2 are of different secrets")]
    Disagree,
    /// V_j is no point of the group.
    #[error("the verification key of party {party} is not a point of G2")]
    VerificationKey {
        /// j.
        party: usize,
    },
    /// The numbers are no sharing.
    #[error("the key's numbers are no sharing")]
    Packing(#[from] PackingError),
    /// The verification keys are not values of one sharing polynomial of this key.
    #[error("the verification keys are not a sharing of this key")]
    NotASharing,
}

/// What a client needs to seal, and anyone to check capsules and openings. Cheap to clone.
#[derive(Clone)]
pub struct SealingKey(Arc<SealingParts>);

struct SealingParts {
    suite: Suite,
    network: NetworkId,
    era: Era,
    id: KeyId,
    pk_bytes: G1Bytes,
    pk: G1Affine,
    /// ḡ: the second base of the proofs. Nobody knows its logarithm.
    proof_base: G1Projective,
    x2_bytes: G2Bytes,
    x2: G2Affine,
    x2_prepared: G2Prepared,
    minus_g2: G2Prepared,
    /// Those of PK, once seeds are to be checked.
    multiples: OnceLock<Multiples>,
}

impl SealingKey {
    /// Parses the key of `network` for `era`, as PK in G1 and X₂ in G2.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if there is no such suite, a point is none, or the points disagree.
    pub fn new(
        network: NetworkId,
        suite: u8,
        era: Era,
        pk: G1Bytes,
        pk_g2: G2Bytes,
    ) -> Result<Self, KeyError> {
        let key = EncryptionKey {
            suite,
            era,
            secrecy: 0,
            packing: 0,
            public_key: pk,
            public_key_g2: pk_g2,
            verification_keys: Vec::new(),
        };
        Self::parse(network, &key)
    }

    fn parse(network: NetworkId, key: &EncryptionKey) -> Result<Self, KeyError> {
        let suite = Suite::of_number(key.suite).ok_or(KeyError::Suite { found: key.suite })?;
        let pk = decode_g1_nonzero(&key.public_key).ok_or(KeyError::PublicKey)?;
        let x2 = decode_g2_nonzero(&key.public_key_g2).ok_or(KeyError::PublicKeyG2)?;
        let id = key.id(&network);
        let base =
            [network.as_bytes(), id.as_bytes(), key.public_key.as_bytes().as_slice()].concat();
        let parts = SealingParts {
            suite,
            network,
            era: key.era,
            id,
            pk_bytes: key.public_key,
            pk,
            proof_base: G1Projective::hash_to_curve(&base, PROOF_BASE_DST, &[]),
            x2_bytes: key.public_key_g2,
            x2,
            x2_prepared: G2Prepared::from(x2),
            minus_g2: G2Prepared::from(-G2Affine::from(G2Projective::generator())),
            multiples: OnceLock::new(),
        };
        let parsed = Self(Arc::new(parts));
        if parsed.same_exponent(&G1Projective::from(pk), &G1Projective::generator()) {
            Ok(parsed)
        } else {
            Err(KeyError::Disagree)
        }
    }

    /// Whether `multiple` = sk·`point`: e(multiple, g₂) = e(point, X₂). Both are in the subgroup.
    pub(crate) fn same_exponent(&self, multiple: &G1Projective, point: &G1Projective) -> bool {
        pairings_agree((point, &self.0.x2_prepared), (multiple, &self.0.minus_g2))
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.0.network
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.0.id
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.0.suite
    }

    /// The era that it is the key of.
    #[must_use]
    pub fn era(&self) -> Era {
        self.0.era
    }

    /// PK.
    #[must_use]
    pub fn public_key(&self) -> &G1Bytes {
        &self.0.pk_bytes
    }

    /// X₂.
    #[must_use]
    pub fn public_key_g2(&self) -> &G2Bytes {
        &self.0.x2_bytes
    }

    pub(crate) fn point(&self) -> &G1Affine {
        &self.0.pk
    }

    /// Computes now what openings that are seeds are compared with, once for all clones of this key: some milliseconds
    /// that the first such comparison takes otherwise, while a block waits for it.
    pub fn prepare(&self) {
        if self.suite() == Suite::Packed {
            self.multiples();
        }
    }

    /// Whether nothing is left to be prepared.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.suite() != Suite::Packed || self.0.multiples.get().is_some()
    }

    /// r·PK for public r.
    pub(crate) fn multiples(&self) -> &Multiples {
        self.0.multiples.get_or_init(|| Multiples::of(&self.0.pk))
    }

    pub(crate) fn point_g2(&self) -> &G2Affine {
        &self.0.x2
    }

    pub(crate) fn proof_base(&self) -> &G1Projective {
        &self.0.proof_base
    }

    /// A preimage that binds suite, network, key id and PK.
    pub(crate) fn hasher(&self, tag: &'static str) -> Hasher {
        let mut hasher = Hasher::new(tag);
        hasher
            .u8(self.0.suite.number())
            .fixed(self.0.network.as_bytes())
            .fixed(self.0.id.as_bytes())
            .fixed(self.0.pk_bytes.as_bytes());
        hasher
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.0.id).finish_non_exhaustive()
    }
}

/// A threshold key with all that is needed to check shares and openings. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey {
    sealing: SealingKey,
    packing: Packing,
    shared: Arc<(EncryptionKey, Vec<G2Affine>)>,
}

impl PublicKey {
    /// Parses the key of `network`; there is one party for each verification key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong with it.
    pub fn new(network: NetworkId, key: &EncryptionKey) -> Result<Self, KeyError> {
        Self::with(SealingKey::parse(network, key)?, key)
    }

    /// Parses another sharing of this key, which goes on with what was prepared of it; if it is of another key, as
    /// [`PublicKey::new`].
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong with it.
    pub fn handed_on(&self, key: &EncryptionKey) -> Result<Self, KeyError> {
        let network = self.sealing.network();
        let is_same = key.id(&network) == self.id() && key.suite == self.sealing.suite().number();
        let sealing = if is_same { self.sealing.clone() } else { SealingKey::parse(network, key)? };
        Self::with(sealing, key)
    }

    fn with(sealing: SealingKey, key: &EncryptionKey) -> Result<Self, KeyError> {
        let packing = Packing::of_key(key.verification_keys.len(), key.secrecy, key.packing)?;
        let packing = sealing.suite().check(packing)?;
        // V_j may be infinity: whoever deals last can arrange that its own share is zero. Such a share
        // is as good as another, and refusing the key would let its holder stop every key.
        let parse = |(party, bytes)| decode_g2(bytes).ok_or(KeyError::VerificationKey { party });
        let keys: Vec<G2Affine> =
            key.verification_keys.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        if !is_sharing(&sealing, packing, &keys, key) {
            return Err(KeyError::NotASharing);
        }
        Ok(Self { sealing, packing, shared: Arc::new((key.clone(), keys)) })
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.sealing.id()
    }

    /// The numbers of the sharing.
    #[must_use]
    pub const fn packing(&self) -> Packing {
        self.packing
    }

    /// The part that sealing needs.
    #[must_use]
    pub const fn sealing_key(&self) -> &SealingKey {
        &self.sealing
    }

    /// The key as it was given.
    #[must_use]
    pub fn encryption_key(&self) -> &EncryptionKey {
        &self.shared.0
    }

    /// V_j.
    pub(crate) fn verification_key(&self, party: u16) -> Option<&G2Affine> {
        self.shared.1.get(usize::from(party))
    }

    /// Whether `multiple` = S(x_j)·`point`. Both are in the subgroup.
    pub(crate) fn is_multiple_by(
        &self,
        party: u16,
        multiple: &G1Projective,
        point: &G1Projective,
    ) -> bool {
        self.verification_key(party).is_some_and(|key| {
            pairings_agree((point, &G2Prepared::from(*key)), (multiple, &self.sealing.0.minus_g2))
        })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("id", &self.id())
            .field("packing", &self.packing)
            .finish_non_exhaustive()
    }
}

/// Whether the verification keys and X₂, at the parties' places and at every slot, are values of one
/// polynomial of degree c + ℓ − 1: its values are orthogonal to the dual code (Cascudo and David,
/// SCRAPE, 2017), of which a random word is tried. The word is drawn from the key itself, which its
/// maker cannot turn in his favour but with probability 2⁻²⁵⁵ a trial.
fn is_sharing(
    sealing: &SealingKey,
    packing: Packing,
    keys: &[G2Affine],
    key: &EncryptionKey,
) -> bool {
    let mut transcript = sealing.hasher("conclave/sharing/v1");
    transcript.u16(packing.parties()).u16(packing.secrecy());
    for bytes in &key.verification_keys {
        transcript.fixed(bytes.as_bytes());
    }
    // n + ℓ values of a polynomial with c + ℓ coefficients: the dual word is one of n − c coefficients.
    let word: Vec<Scalar> = (0..packing.parties().saturating_sub(packing.secrecy()))
        .map(|number| hash_to_scalar(transcript.clone().u16(number)))
        .collect();
    let nodes: Vec<Scalar> =
        packing.places().into_iter().chain(packing.slots()).map(|node| node.scalar()).collect();
    let products: Vec<Scalar> = nodes
        .iter()
        .map(|node| nodes.iter().filter(|other| *other != node).map(|other| node - other).product())
        .collect();
    let inverses = invert_all(&products);
    let weights: Vec<Scalar> = nodes
        .iter()
        .zip(&inverses)
        .map(|(node, inverse)| {
            word.iter().rev().fold(Scalar::ZERO, |sum, c| sum * node + c) * inverse
        })
        .collect();
    let (of_parties, of_slots) = weights.split_at(keys.len().min(weights.len()));
    let points: Vec<G2Affine> = keys.iter().chain(Some(&sealing.0.x2)).copied().collect();
    let mut scalars = of_parties.to_vec();
    scalars.push(of_slots.iter().sum());
    sum_of_multiples_g2(&points, &scalars).is_identity().into()
}
