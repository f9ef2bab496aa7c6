//! The key under which a validator receives its evaluations: one for each attempt, destroyed together
//! with the share that it protected. A key that lived longer would, if it leaked, open every dealing
//! that the chain still remembers.

use std::{collections::BTreeMap, fmt};

use blstrs::{G1Affine, G1Projective};
use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Digest, G1Bytes, ValidatorIndex, digest::Hasher};
use group::Group;
use zeroize::ZeroizeOnDrop;

use crate::{
    curve::{decode_g1_nonzero, encode_one},
    dkg::{message::Refusal, proof::KeyProof, session::Session},
    field::hash_to_scalar,
    secret::Secret,
};

/// The secret half of a validator's key for one attempt. Overwritten when dropped, never shown.
#[derive(ZeroizeOnDrop)]
pub struct HolderKey {
    #[zeroize(skip)]
    validator: ValidatorIndex,
    #[zeroize(skip)]
    session: Digest,
    pub(crate) secret: Secret,
    #[zeroize(skip)]
    public: G1Bytes,
}

impl HolderKey {
    /// The key of `validator` in `session`, from a seed that is fresh and secret: whoever has the seed
    /// has the shares. The same seed gives the same key, so that a restart finds it again.
    #[must_use]
    pub fn derive(session: &Session, validator: ValidatorIndex, seed: &[u8; 32]) -> Self {
        let mut preimage = session.hasher("conclave/holder-key/v1");
        let secret = Secret(hash_to_scalar(preimage.u16(validator.as_u16()).fixed(seed)));
        let public = encode_one(&(G1Projective::generator() * secret.0));
        Self { validator, session: session.digest(), secret, public }
    }

    /// Whose key it is.
    #[must_use]
    pub const fn validator(&self) -> ValidatorIndex {
        self.validator
    }

    /// The message that makes the key known.
    #[must_use]
    pub fn registration(&self, session: &Session) -> Registration {
        let statement = statement(session, self.validator, &self.public);
        Registration { key: self.public, proof: KeyProof::new(&self.secret, &statement) }
    }

    /// Whether the key is for `session` and is what the roster has for its validator.
    pub(crate) fn is_in(&self, session: &Session, roster: &Roster) -> bool {
        self.session == session.digest()
            && roster.key(self.validator).is_some_and(|key| key.bytes == self.public)
    }
}

impl fmt::Debug for HolderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HolderKey({}, …)", self.validator)
    }
}

fn statement(session: &Session, validator: ValidatorIndex, key: &G1Bytes) -> Hasher {
    let mut hasher = session.hasher("conclave/holder-key-proof/v1");
    hasher.u16(validator.as_u16()).fixed(key.as_bytes());
    hasher
}

/// A validator's key for this attempt, with the proof that it has the secret half.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Registration {
    pub(crate) key: G1Bytes,
    pub(crate) proof: KeyProof,
}

impl Registration {
    pub(crate) fn check(
        &self,
        session: &Session,
        from: ValidatorIndex,
    ) -> Result<RegisteredKey, Refusal> {
        let point = decode_g1_nonzero(&self.key).ok_or(Refusal::Point { name: "holder key" })?;
        if !self.proof.holds(&point, &statement(session, from, &self.key)) {
            return Err(Refusal::Proof { name: "holder key" });
        }
        Ok(RegisteredKey { point, bytes: self.key })
    }
}

/// A validator's public key for this attempt.
#[derive(Clone, Debug)]
pub(crate) struct RegisteredKey {
    pub(crate) point: G1Affine,
    pub(crate) bytes: G1Bytes,
}

/// The keys that were registered in time. Dealings have an evaluation for every point of these
/// validators and for no other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    keys: BTreeMap<ValidatorIndex, RegisteredKey>,
    /// The points of the validators above, in ascending order.
    points: Vec<u16>,
}

impl Roster {
    pub(crate) fn insert(
        &mut self,
        session: &Session,
        validator: ValidatorIndex,
        key: RegisteredKey,
    ) {
        self.keys.insert(validator, key);
        self.points.extend(session.holders().points(validator));
        self.points.sort_unstable();
    }

    pub(crate) fn key(&self, validator: ValidatorIndex) -> Option<&RegisteredKey> {
        self.keys.get(&validator)
    }

    pub(crate) fn points(&self) -> &[u16] {
        &self.points
    }

    /// Every point with the key of its holder.
    pub(crate) fn recipients(
        &self,
        session: &Session,
    ) -> impl Iterator<Item = (u16, &RegisteredKey)> {
        self.points.iter().filter_map(|point| {
            let holder = session.holders().holder(*point)?;
            Some((*point, self.keys.get(&holder)?))
        })
    }

    /// Where in a dealing the evaluation at `point` stands.
    pub(crate) fn position(&self, point: u16) -> Option<usize> {
        self.points.binary_search(&point).ok()
    }

    pub(crate) fn digest(&self, session: &Session) -> Digest {
        let mut hasher = session.hasher("conclave/roster/v1");
        hasher.u64(self.keys.len() as u64);
        for (validator, key) in &self.keys {
            hasher.u16(validator.as_u16()).fixed(key.bytes.as_bytes());
        }
        hasher.finish()
    }
}
