//! What one attempt at a sharing is: which network, era, epoch and round, among whom, with which
//! numbers, and, for a resharing, of which key and by whom.
//!
//! All of it goes into one digest, which every key, proof, mask and challenge of the attempt is bound
//! to. So nothing that was made for one attempt is worth anything in another.

use std::sync::Arc;

use conclave_types::{Digest, Epoch, Era, NetworkId, Round, ValidatorIndex, digest::Hasher};

use crate::{dkg::holders::Holders, key::PublicKey, packing::Packing, suite::Suite};

/// Where an attempt stands. The round grows with every attempt at the same epoch and is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId {
    /// The network.
    pub network: NetworkId,
    /// The era of the key.
    pub era: Era,
    /// The epoch that the sharing is for.
    pub epoch: Epoch,
    /// The attempt, from 0.
    pub round: Round,
}

/// Why there is no such attempt.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SessionError {
    /// The sharing has not as many parties as the holders have points.
    #[error("the sharing is among {expected} points, the holders have {found}")]
    Points {
        /// n.
        expected: u16,
        /// Points of the holders.
        found: u16,
    },
    /// The old sharing has not as many parties as the dealers have points.
    #[error("the key is shared among {expected} points, the dealers have {found}")]
    Dealers {
        /// n of the old sharing.
        expected: u16,
        /// Points of the dealers.
        found: u16,
    },
    /// The suite has no such sharing.
    #[error("the suite has a packing of 1, the sharing one of {found}")]
    Unpacked {
        /// ℓ of the sharing.
        found: u16,
    },
    /// The key that is to be reshared is another network's.
    #[error("the key is of network {expected}, the session of {found}")]
    Network {
        /// The key's.
        expected: NetworkId,
        /// The session's.
        found: NetworkId,
    },
    /// The key that is to be reshared is of another era.
    #[error("the key is of era {expected}, the session of {found}")]
    Era {
        /// The key's.
        expected: Era,
        /// The session's.
        found: Era,
    },
}

/// One attempt at a sharing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Session(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    id: SessionId,
    suite: Suite,
    holders: Holders,
    packing: Packing,
    old: Option<Old>,
    digest: Digest,
}

/// What is reshared: the key and who holds its shares.
#[derive(Debug)]
pub(crate) struct Old {
    pub(crate) key: PublicKey,
    pub(crate) dealers: Holders,
}

impl Session {
    /// A fresh key of `suite` for `holders`, who are the dealers too.
    ///
    /// # Errors
    ///
    /// [`SessionError::Points`] if the holders have not n points, [`SessionError::Unpacked`] if the suite has
    /// no such sharing.
    pub fn fresh(
        id: SessionId,
        suite: Suite,
        holders: Holders,
        packing: Packing,
    ) -> Result<Self, SessionError> {
        Self::new(id, suite, holders, packing, None)
    }

    /// The same key for `holders`, out of the shares that `dealers` have of it.
    ///
    /// # Errors
    ///
    /// [`SessionError`] says what does not go together.
    pub fn reshare(
        id: SessionId,
        old: (&PublicKey, Holders),
        holders: Holders,
        packing: Packing,
    ) -> Result<Self, SessionError> {
        let (key, dealers) = old;
        let (expected, found) = (key.packing().parties(), dealers.point_count());
        if expected != found {
            return Err(SessionError::Dealers { expected, found });
        }
        let (expected, found) = (key.sealing_key().network(), id.network);
        if expected != found {
            return Err(SessionError::Network { expected, found });
        }
        let (expected, found) = (key.encryption_key().era, id.era);
        if expected != found {
            return Err(SessionError::Era { expected, found });
        }
        let old = Old { key: key.clone(), dealers };
        Self::new(id, key.sealing_key().suite(), holders, packing, Some(old))
    }

    fn new(
        id: SessionId,
        suite: Suite,
        holders: Holders,
        packing: Packing,
        old: Option<Old>,
    ) -> Result<Self, SessionError> {
        let (expected, found) = (packing.parties(), holders.point_count());
        if expected != found {
            return Err(SessionError::Points { expected, found });
        }
        if suite.check(packing).is_err() {
            return Err(SessionError::Unpacked { found: packing.packing() });
        }
        let mut hasher = Hasher::new("conclave/sharing-session/v1");
        hasher
            .u8(suite.number())
            .fixed(id.network.as_bytes())
            .u32(id.era.as_u32())
            .u64(id.epoch.as_u64())
            .u32(id.round.as_u32());
        append(&mut hasher, packing, &holders);
        hasher.u8(old.is_some().into());
        if let Some(Old { key, dealers }) = &old {
            hasher.fixed(key.id().as_bytes());
            append(&mut hasher, key.packing(), dealers);
            for bytes in &key.encryption_key().verification_keys {
                hasher.fixed(bytes.as_bytes());
            }
        }
        let digest = hasher.finish();
        Ok(Self(Arc::new(Parts { id, suite, holders, packing, old, digest })))
    }

    /// Where the attempt stands.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// The suite of the key.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.0.suite
    }

    /// Who is to hold the shares.
    #[must_use]
    pub fn holders(&self) -> &Holders {
        &self.0.holders
    }

    /// The numbers of the sharing.
    #[must_use]
    pub fn packing(&self) -> Packing {
        self.0.packing
    }

    /// Digest of everything that this attempt is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The key that is reshared; none where one is made.
    #[must_use]
    pub fn old_key(&self) -> Option<&PublicKey> {
        self.0.old.as_ref().map(|old| &old.key)
    }

    pub(crate) fn old(&self) -> Option<&Old> {
        self.0.old.as_ref()
    }

    /// Whose dealing number `dealer` is. A fresh key has one dealing for each validator with a point,
    /// under its index in the new committee; a resharing one for each old point, under the point, from
    /// the validator of the old committee that holds it.
    #[must_use]
    pub fn dealer(&self, dealer: u16) -> Option<ValidatorIndex> {
        match self.old() {
            Some(old) => old.dealers.holder(dealer),
            None => {
                let validator = ValidatorIndex::new(dealer);
                Some(validator).filter(|validator| self.0.holders.tickets(*validator) > 0)
            }
        }
    }

    /// How many dealings there can be.
    pub(crate) fn dealer_count(&self) -> usize {
        match self.old() {
            Some(old) => old.dealers.point_count().into(),
            None => self.0.holders.iter().filter(|(_, points)| !points.is_empty()).count(),
        }
    }

    /// What a dealing counts: the dealer's tickets, or the one old point.
    pub(crate) fn weight(&self, dealer: u16) -> u16 {
        match self.old() {
            Some(_) => 1,
            None => self.0.holders.tickets(ValidatorIndex::new(dealer)),
        }
    }

    /// What the qualified dealings must count: a quorum of the points, so that honest ones are among
    /// them; for a resharing as many old points as determine the old polynomial.
    #[must_use]
    pub fn required(&self) -> u16 {
        self.old().map_or(self.0.packing.quorum(), |old| old.key.packing().coefficients())
    }

    /// A preimage that is bound to this attempt.
    pub(crate) fn hasher(&self, tag: &'static str) -> Hasher {
        let mut hasher = Hasher::new(tag);
        hasher.fixed(self.0.digest.as_bytes());
        hasher
    }
}

fn append(hasher: &mut Hasher, packing: Packing, holders: &Holders) {
    hasher
        .u16(packing.parties())
        .u16(packing.quorum())
        .u16(packing.secrecy())
        .u16(packing.packing())
        .u64(holders.validator_count() as u64);
    for (validator, _) in holders.iter() {
        hasher.u16(holders.tickets(validator));
    }
}
