//! A dealing: one dealer's polynomial, committed to in the exponent, with every recipient's evaluation
//! under that recipient's key.
//!
//! ```text
//!  [s]₂, [T]₂         c + 1 points of G2, from which anyone computes [S(x_j)]₂ for every j
//!  [s]₁               only for a fresh key, which needs PK in G1
//!  ε = [y]₁           K_v = y·E_v is known to the dealer and to the holder v of E_v
//!  S(x_j) + mask_j    the mask is a digest of K_v, the dealer, the point and the attempt
//!  proof              the dealer knows s and y; bound to all of the above
//! ```
//!
//! Without the proof of s, whoever deals last could choose s in dependence on the others' and so choose
//! the key. Without the proof of y, a dealer could copy an honest dealer's ε: recipients that then
//! complain about the copy would reveal the very K_v that protects the original.
//!
//! Commitments are in G2 because V_j must be. In G1 as well they would cost bytes, and show more than
//! anyone needs.

use blstrs::{G1Affine, G1Projective, G2Affine, G2Prepared, G2Projective, Scalar};
use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Digest, G1Bytes, G2Bytes, digest::Hasher};
use ff::Field;
use group::Group;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::{
    curve::{
        decode_g1_nonzero, decode_g2, decode_g2_nonzero, encode_g2, encode_one, pairings_agree,
    },
    dkg::{
        message::Refusal,
        polynomial::{Commitments, SharingPolynomial},
        proof::{DealerProof, ScalarBytes},
        registration::{RegisteredKey, Roster},
        session::Session,
    },
    field::hash_to_scalar,
    packing::Packing,
    secret::{Secret, SecretPoint},
};

/// What a dealer publishes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Dealing {
    pub(crate) dealer: u16,
    pub(crate) constant_g1: Option<G1Bytes>,
    pub(crate) constant: G2Bytes,
    pub(crate) coefficients: Vec<G2Bytes>,
    pub(crate) ephemeral: G1Bytes,
    pub(crate) evaluations: Vec<ScalarBytes>,
    pub(crate) proof: DealerProof,
}

impl Dealing {
    /// Bytes of a dealing to `points` recipients on chain.
    #[must_use]
    pub fn size(packing: Packing, points: usize, fresh: bool) -> usize {
        let fixed = 2 + 1 + 96 + 4 + 48 + 4 + 96;
        let constant_g1 = if fresh { 48 } else { 0 };
        let coefficients = usize::from(packing.secrecy()).saturating_mul(96);
        points.saturating_mul(32).saturating_add(coefficients).saturating_add(fixed + constant_g1)
    }

    /// The dealing's number: see [`Session::dealer`].
    #[must_use]
    pub const fn dealer(&self) -> u16 {
        self.dealer
    }

    /// Digest of everything but the proof.
    fn digest(&self, session: &Session, roster: &Roster) -> Digest {
        let mut hasher = session.hasher("conclave/dealing/v1");
        hasher
            .fixed(roster.digest(session).as_bytes())
            .u16(self.dealer)
            .bytes(self.constant_g1.as_ref().map_or(&[], |point| point.as_bytes().as_slice()))
            .fixed(self.constant.as_bytes())
            .u64(self.coefficients.len() as u64);
        for coefficient in &self.coefficients {
            hasher.fixed(coefficient.as_bytes());
        }
        hasher.fixed(self.ephemeral.as_bytes()).u64(self.evaluations.len() as u64);
        for evaluation in &self.evaluations {
            hasher.fixed(&evaluation.0);
        }
        hasher.finish()
    }

    /// Proves that the dealer knows the constant and the ephemeral exponent.
    pub(crate) fn prove(
        &mut self,
        session: &Session,
        roster: &Roster,
        (constant, ephemeral): (&Secret, &Secret),
    ) {
        let statement = statement(session, self.dealer, &self.digest(session, roster));
        self.proof = DealerProof::new(constant, ephemeral, &statement);
    }

    /// All that can be checked in public. What an evaluation decrypts to, only its recipient sees.
    pub(crate) fn check(
        &self,
        session: &Session,
        roster: &Roster,
    ) -> Result<CheckedDealing, Refusal> {
        let (expected, found) = (session.packing().secrecy(), self.coefficients.len());
        if usize::from(expected) != found {
            return Err(Refusal::Coefficients { expected, found });
        }
        let (expected, found) = (roster.points().len(), self.evaluations.len());
        if expected != found {
            return Err(Refusal::Evaluations { expected, found });
        }
        let commitments = self.read_commitments(session)?;
        let constant_g1 = self.read_constant_g1(session, &commitments)?;
        let ephemeral =
            decode_g1_nonzero(&self.ephemeral).ok_or(Refusal::Point { name: "ephemeral point" })?;
        let evaluations = self
            .evaluations
            .iter()
            .map(|evaluation| evaluation.read().ok_or(Refusal::Scalar { name: "evaluation" }))
            .collect::<Result<_, _>>()?;
        let digest = self.digest(session, roster);
        let statement = statement(session, self.dealer, &digest);
        if !self.proof.holds(&commitments.constant, &ephemeral, &statement) {
            return Err(Refusal::Proof { name: "dealing" });
        }
        Ok(CheckedDealing {
            dealer: self.dealer,
            digest,
            commitments,
            constant_g1,
            ephemeral,
            ephemeral_bytes: self.ephemeral,
            evaluations,
        })
    }

    fn read_commitments(&self, session: &Session) -> Result<Commitments, Refusal> {
        let constant = match session.old() {
            None => decode_g2_nonzero(&self.constant),
            Some(old) => {
                let key = old.key.encryption_key().verification_keys.get(usize::from(self.dealer));
                if key != Some(&self.constant) {
                    return Err(Refusal::NotTheShare { dealer: self.dealer });
                }
                // Infinity if the old share is zero.
                decode_g2(&self.constant)
            }
        };
        let coefficients = self
            .coefficients
            .iter()
            .map(|bytes| decode_g2(bytes).ok_or(Refusal::Point { name: "coefficient" }))
            .collect::<Result<_, _>>()?;
        let constant = constant.ok_or(Refusal::Point { name: "constant" })?;
        Ok(Commitments { constant, coefficients })
    }

    /// `[s]₁` with e(`[s]₁`, g₂) = e(g₁, `[s]₂`) for a fresh key, nothing for a resharing.
    fn read_constant_g1(
        &self,
        session: &Session,
        commitments: &Commitments,
    ) -> Result<Option<G1Affine>, Refusal> {
        match (&self.constant_g1, session.old()) {
            (None, Some(_)) => Ok(None),
            (Some(bytes), None) => {
                let point =
                    decode_g1_nonzero(bytes).ok_or(Refusal::Point { name: "constant in G1" })?;
                let minus_g2 = G2Prepared::from(-G2Affine::from(G2Projective::generator()));
                let agree = pairings_agree(
                    (&G1Projective::generator(), &G2Prepared::from(commitments.constant)),
                    (&point.into(), &minus_g2),
                );
                if agree { Ok(Some(point)) } else { Err(Refusal::Disagree) }
            }
            (None, None) | (Some(_), Some(_)) => Err(Refusal::ConstantInG1),
        }
    }
}

fn statement(session: &Session, dealer: u16, digest: &Digest) -> Hasher {
    let mut hasher = session.hasher("conclave/dealing-proof/v1");
    hasher.u16(dealer).fixed(digest.as_bytes());
    hasher
}

/// Deals `constant`, or a random one for a fresh key, to everyone on the roster. The same seed gives the
/// same dealing.
pub(crate) fn deal(
    session: &Session,
    roster: &Roster,
    dealer: u16,
    constant: Option<Secret>,
    seed: &[u8; 32],
) -> Dealing {
    let mut preimage = session.hasher("conclave/dealing-seed/v1");
    preimage.fixed(roster.digest(session).as_bytes()).u16(dealer).fixed(seed);
    let mut rng = ChaCha20Rng::from_seed(*preimage.finish().as_bytes());
    let constant = constant.unwrap_or_else(|| Secret(Scalar::random(&mut rng)));
    let polynomial = SharingPolynomial::random(session.packing(), constant, &mut rng);
    assemble(session, roster, dealer, &polynomial, Secret(Scalar::random(&mut rng)))
}

/// The dealing of a polynomial under an ephemeral exponent.
pub(crate) fn assemble(
    session: &Session,
    roster: &Roster,
    dealer: u16,
    polynomial: &SharingPolynomial,
    ephemeral: Secret,
) -> Dealing {
    let constant = Secret(*polynomial.constant());
    let point = encode_one(&(G1Projective::generator() * ephemeral.0));
    let mut commitments = polynomial.commit().into_iter().map(|point| encode_g2(&point));
    let fresh = session.old().is_none();
    let in_g1 = fresh.then(|| encode_one(&(G1Projective::generator() * constant.0)));
    let mut evaluations = Vec::with_capacity(roster.points().len());
    let mut last: Option<(G1Bytes, SecretPoint)> = None;
    for (recipient, key) in roster.recipients(session) {
        // A holder's points stand together: its shared point is computed once.
        let known = last.take().filter(|(of, _)| *of == key.bytes);
        let (_, shared) =
            last.insert(known.unwrap_or_else(|| {
                (key.bytes, SecretPoint(encode_one(&(key.point * ephemeral.0))))
            }));
        let mask = mask(session, dealer, &point, key, &shared.0, recipient);
        evaluations.push(ScalarBytes::new(&(polynomial.value(recipient).0 + mask.0)));
    }
    let unproved = ScalarBytes([0; 32]);
    let mut dealing = Dealing {
        dealer,
        constant_g1: in_g1,
        constant: commitments.next().unwrap_or(G2Bytes::ZERO),
        coefficients: commitments.collect(),
        ephemeral: point,
        evaluations,
        proof: DealerProof { challenge: unproved, of_constant: unproved, of_ephemeral: unproved },
    };
    dealing.prove(session, roster, (&constant, &ephemeral));
    dealing
}

/// What is added to the evaluation at `point`: a digest of what only dealer and recipient know.
fn mask(
    session: &Session,
    dealer: u16,
    ephemeral: &G1Bytes,
    recipient: &RegisteredKey,
    shared: &G1Bytes,
    point: u16,
) -> Secret {
    Secret(hash_to_scalar(
        session
            .hasher("conclave/dealing-mask/v1")
            .u16(dealer)
            .u16(point)
            .fixed(ephemeral.as_bytes())
            .fixed(recipient.bytes.as_bytes())
            .fixed(shared.as_bytes()),
    ))
}

/// A dealing that holds as far as the public can see.
#[derive(Clone, Debug)]
pub(crate) struct CheckedDealing {
    pub(crate) dealer: u16,
    pub(crate) digest: Digest,
    pub(crate) commitments: Commitments,
    pub(crate) constant_g1: Option<G1Affine>,
    pub(crate) ephemeral: G1Affine,
    pub(crate) ephemeral_bytes: G1Bytes,
    pub(crate) evaluations: Vec<Scalar>,
}

impl CheckedDealing {
    /// The evaluation at `point`, given what its holder and the dealer share.
    pub(crate) fn decrypt(
        &self,
        session: &Session,
        roster: &Roster,
        point: u16,
        shared: &G1Bytes,
    ) -> Option<Secret> {
        let holder = roster.key(session.holders().holder(point)?)?;
        let masked = self.evaluations.get(roster.position(point)?)?;
        let mask = mask(session, self.dealer, &self.ephemeral_bytes, holder, shared, point);
        Some(Secret(masked - mask.0))
    }
}
