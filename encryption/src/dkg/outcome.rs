//! What the qualified dealings add up to.
//!
//! A fresh key is the sum of all of them. A resharing is Σ λᵢ·Sᵢ over as many old points as determine
//! the old polynomial, λᵢ being what point i contributes to the old polynomial at a slot: each Sᵢ is the
//! old share sᵢ at every new slot, so the sum is Σ λᵢ·sᵢ = sk there. Interpolation is at a slot, never at
//! zero: that is where the key is.

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};
use conclave_types::{Digest, EncryptionKey};
use ff::Field;
use group::{Group, prime::PrimeCurveAffine as _};

use crate::{
    curve::{encode_g2, encode_one, sum_of_multiples_g2},
    dkg::{
        dealing::CheckedDealing,
        polynomial::Commitments,
        progress::AdvanceError,
        session::{Old, Session},
    },
    interpolation::{Node, coefficients},
    key::PublicKey,
};

/// The public result of a sharing.
#[derive(Clone, Debug)]
pub struct Outcome {
    session: Digest,
    key: PublicKey,
    /// The dealings that the result is made of, and how often each counts.
    terms: Vec<(u16, Scalar)>,
    digest: Digest,
}

impl Outcome {
    /// The key with its verification keys.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The dealings that the result is made of, in chain order.
    pub fn qualified(&self) -> impl Iterator<Item = u16> {
        self.terms.iter().map(|(dealer, _)| *dealer)
    }

    /// Digest of the attempt, the key and its verification keys: what holders acknowledge.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn terms(&self) -> &[(u16, Scalar)] {
        &self.terms
    }

    /// Digest of the attempt that it is the outcome of.
    pub(crate) const fn session(&self) -> Digest {
        self.session
    }

    /// Adds up `dealings`, which are in chain order; of old points as many as are required.
    pub(crate) fn new(
        session: &Session,
        dealings: &[&CheckedDealing],
    ) -> Result<Self, AdvanceError> {
        let old = session.old();
        let weights = match old {
            Some(old) => resharing_weights(old, dealings),
            None => vec![Scalar::ONE; dealings.len()],
        };
        let sum = sum(session, dealings, old.is_some().then_some(weights.as_slice()));
        let packing = session.packing();
        let public_key = match old {
            Some(old) => old.key.encryption_key().public_key,
            None => {
                let constants = dealings.iter().filter_map(|dealing| dealing.constant_g1.as_ref());
                encode_one(
                    &constants.fold(G1Projective::identity(), |sum, point: &G1Affine| sum + point),
                )
            }
        };
        if old.is_some_and(|old| old.key.sealing_key().point_g2() != &sum.constant) {
            return Err(AdvanceError::KeyChanged);
        }
        let verification_keys =
            (0..packing.parties()).map(|party| encode_g2(&sum.value(packing, party))).collect();
        let key = EncryptionKey {
            suite: session.suite().number(),
            era: session.id().era,
            secrecy: packing.secrecy(),
            packing: packing.packing(),
            public_key,
            public_key_g2: encode_g2(&sum.constant.into()),
            verification_keys,
        };
        let mut hasher = session.hasher("conclave/sharing-result/v1");
        hasher.fixed(key.id(&session.id().network).as_bytes());
        for bytes in &key.verification_keys {
            hasher.fixed(bytes.as_bytes());
        }
        let digest = hasher.finish();
        let key = match old {
            Some(old) => old.key.handed_on(&key)?,
            None => PublicKey::new(session.id().network, &key)?,
        };
        let terms = dealings.iter().map(|dealing| dealing.dealer).zip(weights).collect();
        Ok(Self { session: session.digest(), key, terms, digest })
    }
}

/// What each old point contributes to the old polynomial at its first slot.
fn resharing_weights(old: &Old, dealings: &[&CheckedDealing]) -> Vec<Scalar> {
    let nodes: Vec<Node> = dealings.iter().map(|dealing| Node::of_party(dealing.dealer)).collect();
    let slot = old.key.packing().slots().first().copied();
    slot.map_or_else(Vec::new, |slot| coefficients(&nodes, slot))
}

/// The commitments of the sum; plain additions where every dealing counts once.
fn sum(session: &Session, dealings: &[&CheckedDealing], weights: Option<&[Scalar]>) -> Commitments {
    let column = |read: &dyn Fn(&CheckedDealing) -> Option<G2Affine>| {
        let points: Vec<G2Affine> = dealings
            .iter()
            .map(|dealing| read(dealing).unwrap_or_else(G2Affine::identity))
            .collect();
        let sum = match weights {
            Some(weights) => sum_of_multiples_g2(&points, weights),
            None => points.iter().fold(G2Projective::identity(), |sum, point| sum + point),
        };
        G2Affine::from(sum)
    };
    Commitments {
        constant: column(&|dealing| Some(dealing.commitments.constant)),
        coefficients: (0..usize::from(session.packing().secrecy()))
            .map(|index| column(&|dealing| dealing.commitments.coefficients.get(index).copied()))
            .collect(),
    }
}
