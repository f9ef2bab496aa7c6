//! Sealing bundles to the committee, and opening them together once their block is decided.
//!
//! Whoever can read a transaction before its place is fixed can trade against it. So nobody can: a
//! bundle is encrypted to a key that no party holds, and a quorum opens a whole block at once, after
//! the decision.
//!
//! ```text
//!  client                     validators, after the decision                      anyone
//!  seal ─▶ capsule, body ─▶   SealedBlock::share ─▶ SealedBlock::combine ─▶ SealedBlock::check
//!          verify_capsules    (one point for ℓ        (t shares make the      (one sum for all seeds,
//!          (at admission)      ciphertexts)            openings)               one pairing for points)
//!                                    └─ SealedBlock::blame, if the check fails     │
//!                                                            open_bundle, beacon ◀─┘
//! ```
//!
//! A network's genesis chooses the [`Suite`]. 0x01 is hashed ElGamal on BLS12-381 G1, its exponent being a hash of what it hides (Fujisaki and Okamoto, 1999), with a proof in the manner of TDH2 (Shoup and Gennaro,
//! 1998), the secret key being shared by packed Shamir sharing (Franklin and Yung, 1992; for batched
//! threshold decryption: "DKG Is All You Need", 2026). The construction as a whole is new and
//! unaudited. 0x02 is the conservative baseline: what the crate `threshold_crypto` seals, with the same proof
//! beside it, under a key that is shared as Shamir would (docs/adr/008).
//!
//! **Invariants.** Openings are unique: k = sk·u is a function of u alone, each accepted point is
//! individually in the subgroup and satisfies e(k, g₂) = e(u, X₂), and an accepted seed is the one that k unmasks ([`seed`]). So all who accept hold the same
//! bytes whatever quorum they came from. This is also why the cipher need not commit to its key: for
//! a given capsule there is one opening, hence one plaintext or one failure, for everyone and for ever.
//! No input, however hostile, makes anything here panic.

mod baseline;
mod block;
mod capsule;
mod curve;
mod dkg;
mod encapsulation;
mod field;
mod interpolation;
mod key;
mod multiples;
mod open;
mod packing;
mod seal;
mod secret;
mod seed;
mod suite;
#[cfg(test)]
mod tests;
mod tickets;

pub use block::{BlockError, CombineError, SealedBlock, SubBatch, shares_alone};
pub use capsule::{Capsule, CapsuleError, CapsuleStatement, verify_capsules};
pub use dkg::{
    AdvanceError, Checked, Complaint, DealError, Dealing, Disclosure, Dkg, Event, Fault, HolderKey,
    Holders, Message, MessageError, Outcome, Phase, Refusal, Registration, Session, SessionError,
    SessionId, ShareUnavailable,
};
#[cfg(feature = "rehearsal")]
pub use dkg::{RehearsalError, rehearse};
pub use encapsulation::{CapsulePoint, Encapsulation};
pub use key::{KeyError, PublicKey, SealingKey};
pub use open::{beacon, open_bundle};
pub use packing::{Packing, PackingError};
#[cfg(feature = "rogue")]
pub use seal::seal_wrongly;
pub use seal::{SealError, Sealed, seal};
pub use secret::{SecretShare, ShareError};
pub use suite::Suite;
pub use tickets::{Fraction, TicketError, TicketRule, Tickets};
