//! Complaints. A recipient whose evaluation does not match the commitments shows the point that it
//! shares with the dealer, and proves that it is that point. Then everyone decrypts and sees.
//!
//! The proof makes the judgement objective: the point is a function of the dealing and the recipient's
//! key, so either the dealer is proved to have dealt wrongly or the recipient to have complained for
//! nothing. What a false complaint shows are evaluations of the one who complains, and no other.

use blstrs::G1Affine;
use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{G1Bytes, digest::Hasher};

use crate::{
    curve::{decode_g1_nonzero, encode_one},
    dkg::{
        dealing::CheckedDealing,
        message::Refusal,
        proof::EqualityProof,
        registration::{HolderKey, Roster},
        session::Session,
    },
};

/// That a dealing's evaluation at a point is wrong.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Complaint {
    pub(crate) dealer: u16,
    pub(crate) point: u16,
    pub(crate) shared: G1Bytes,
    pub(crate) proof: EqualityProof,
}

/// What a complaint turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The evaluation is wrong: the dealer's offence.
    Proved,
    /// The evaluation is right: the complainer's offence.
    False,
}

impl Complaint {
    /// The complaint of the holder of `point`, whether or not there is a reason for it.
    pub(crate) fn new(
        session: &Session,
        key: &HolderKey,
        dealing: &CheckedDealing,
        point: u16,
    ) -> Self {
        let shared = encode_one(&(dealing.ephemeral * key.secret.0));
        let statement = statement(session, dealing, point, &shared);
        let proof = EqualityProof::new(&key.secret, &dealing.ephemeral, &statement);
        Self { dealer: dealing.dealer, point, shared, proof }
    }

    /// The dealing complained about.
    #[must_use]
    pub const fn dealer(&self) -> u16 {
        self.dealer
    }

    pub(crate) fn judge(
        &self,
        session: &Session,
        roster: &Roster,
        dealing: &CheckedDealing,
    ) -> Result<Verdict, Refusal> {
        let key = session.holders().holder(self.point).and_then(|holder| roster.key(holder));
        let key = key.ok_or(Refusal::NotRegistered { point: self.point })?;
        let shared: G1Affine =
            decode_g1_nonzero(&self.shared).ok_or(Refusal::Point { name: "shared point" })?;
        let statement = statement(session, dealing, self.point, &self.shared);
        if !self.proof.holds(&key.point, (&dealing.ephemeral, &shared), &statement) {
            return Err(Refusal::Proof { name: "complaint" });
        }
        let value = dealing
            .decrypt(session, roster, self.point, &self.shared)
            .ok_or(Refusal::NotRegistered { point: self.point })?;
        let right = dealing.commitments.holds(session.packing(), self.point, &value.0);
        Ok(if right { Verdict::False } else { Verdict::Proved })
    }
}

/// The dealing's digest binds ε, and with the roster also the recipient's key.
fn statement(session: &Session, dealing: &CheckedDealing, point: u16, shared: &G1Bytes) -> Hasher {
    let mut hasher = session.hasher("conclave/complaint-proof/v1");
    hasher.u16(dealing.dealer).u16(point).fixed(dealing.digest.as_bytes()).fixed(shared.as_bytes());
    hasher
}
