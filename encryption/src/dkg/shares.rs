//! The holders' and the dealers' side of an attempt: what depends on secrets.

use conclave_types::ValidatorIndex;

use crate::{
    curve::encode_one,
    dkg::{
        Dkg, Stage,
        complaint::Complaint,
        dealing::{CheckedDealing, Dealing, deal},
        proof::ScalarBytes,
        registration::HolderKey,
        repair::Disclosure,
    },
    secret::{Secret, SecretPoint, SecretShare},
};

/// Why nothing is dealt. A dealing that is made in spite of it would be refused, or do harm.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DealError {
    /// The attempt takes no dealings at this stage.
    #[error("the sharing is {stage}, which takes no dealing")]
    Stage {
        /// The stage.
        stage: &'static str,
    },
    /// The session is a resharing, for which a share is needed.
    #[error("the session is a resharing")]
    Resharing,
    /// The session makes a fresh key, for which no share is wanted.
    #[error("the session makes a fresh key")]
    Fresh,
    /// There is no such dealing to make.
    #[error("there is no dealer {dealer}")]
    NotADealer {
        /// The number asked for.
        dealer: u16,
    },
    /// The share is not the one that the old point has: it is stale, or of another point.
    #[error("the share does not match the verification key of point {point}")]
    StaleShare {
        /// The old point.
        point: u16,
    },
}

/// Why a holder cannot compute its share.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ShareUnavailable {
    /// There is no result.
    #[error("the sharing is {stage}")]
    Stage {
        /// The stage.
        stage: &'static str,
    },
    /// The key is not the one that was registered for this attempt.
    #[error("the key of validator {validator} is not the one on the roster")]
    OtherKey {
        /// Whose key it is.
        validator: ValidatorIndex,
    },
    /// The point is not one of the key's validator.
    #[error("point {point} is not of validator {validator}")]
    NotTheHolder {
        /// Whose key it is.
        validator: ValidatorIndex,
        /// The point.
        point: u16,
    },
    /// A dealing has a wrong evaluation for this point. A complaint about it leads to a repair.
    #[error("dealing {dealer} has a wrong evaluation at point {point}")]
    WrongEvaluation {
        /// The dealing.
        dealer: u16,
        /// The point.
        point: u16,
    },
}

impl Dkg {
    /// The dealing of `validator` for a fresh key. `seed` is fresh and secret; the same seed gives the
    /// same dealing.
    ///
    /// # Errors
    ///
    /// [`DealError`] if nothing is to be dealt.
    pub fn deal(&self, validator: ValidatorIndex, seed: &[u8; 32]) -> Result<Dealing, DealError> {
        self.may_deal()?;
        let dealer = validator.as_u16();
        if self.session.old().is_some() {
            return Err(DealError::Resharing);
        }
        if self.session.dealer(dealer).is_none() {
            return Err(DealError::NotADealer { dealer });
        }
        Ok(deal(&self.session, &self.roster, dealer, None, seed))
    }

    /// The dealing of the old `share` at the old `point`. `seed` as in [`Dkg::deal`].
    ///
    /// # Errors
    ///
    /// [`DealError`] if nothing is to be dealt; [`DealError::StaleShare`] if the share is not the
    /// point's, as after a crash that lost a resharing.
    pub fn reshare(
        &self,
        point: u16,
        share: &SecretShare,
        seed: &[u8; 32],
    ) -> Result<Dealing, DealError> {
        self.may_deal()?;
        let old = self.session.old().ok_or(DealError::Fresh)?;
        if self.session.dealer(point).is_none() {
            return Err(DealError::NotADealer { dealer: point });
        }
        if !share.matches(&old.key, point) {
            return Err(DealError::StaleShare { point });
        }
        let constant = Secret(*share.scalar());
        Ok(deal(&self.session, &self.roster, point, Some(constant), seed))
    }

    fn may_deal(&self) -> Result<(), DealError> {
        match &self.stage {
            Stage::Dealing => Ok(()),
            Stage::Registering | Stage::Complaining | Stage::Finished(_) => {
                Err(DealError::Stage { stage: self.stage.name() })
            }
        }
    }

    /// The complaint that is due about one dealing, if any evaluation for the key's holder is wrong. To
    /// be asked as soon as a dealing is on the chain; nothing but the dealing and the key enters, so
    /// dealings can be looked at side by side.
    #[must_use]
    pub fn complaint(&self, key: &HolderKey, dealer: u16) -> Option<Complaint> {
        if !key.is_in(&self.session, &self.roster) || self.proved.contains(&dealer) {
            return None;
        }
        let dealing = self.dealings.get(&dealer)?;
        let wrong = |point: &u16| self.evaluation(key, dealing, *point).is_none();
        let point = self.session.holders().points(key.validator()).find(wrong)?;
        Some(Complaint::new(&self.session, key, dealing, point))
    }

    /// The complaints that are due about all dealings on the chain; after the result stands, about those
    /// that are part of it.
    #[must_use]
    pub fn complaints(&self, key: &HolderKey) -> Vec<Complaint> {
        let counts = |dealer: u16| {
            self.outcome().is_none_or(|outcome| outcome.qualified().any(|each| each == dealer))
        };
        let dealers = self.order.iter().filter(|dealer| counts(**dealer));
        dealers.filter_map(|dealer| self.complaint(key, *dealer)).collect()
    }

    /// What the key's holder is to publish of the dealings that are under repair.
    #[must_use]
    pub fn disclosures(&self, key: &HolderKey) -> Vec<Disclosure> {
        let packing = self.session.packing();
        let open = self.repairs.iter().filter(|(_, repair)| !repair.is_complete(packing));
        let mut disclosures = Vec::new();
        for (dealer, repair) in open.filter(|_| key.is_in(&self.session, &self.roster)) {
            let Some(dealing) = self.dealings.get(dealer) else { continue };
            let points = self.session.holders().points(key.validator());
            for point in points.filter(|point| !repair.contains(*point)) {
                if let Some(value) = self.evaluation(key, dealing, point) {
                    let value = ScalarBytes::new(&value.0);
                    disclosures.push(Disclosure { dealer: *dealer, point, value });
                }
            }
        }
        disclosures
    }

    /// The share at `point`, from the dealings that the result is made of.
    ///
    /// # Errors
    ///
    /// [`ShareUnavailable`]; [`ShareUnavailable::WrongEvaluation`] calls for a complaint.
    pub fn my_share(&self, key: &HolderKey, point: u16) -> Result<SecretShare, ShareUnavailable> {
        let outcome = self.outcome().ok_or(ShareUnavailable::Stage { stage: self.stage.name() })?;
        let validator = key.validator();
        if !key.is_in(&self.session, &self.roster) {
            return Err(ShareUnavailable::OtherKey { validator });
        }
        if !self.session.holders().points(validator).contains(&point) {
            return Err(ShareUnavailable::NotTheHolder { validator, point });
        }
        let packing = self.session.packing();
        let mut sum = Secret(blstrs::Scalar::from(0));
        for (dealer, weight) in outcome.terms() {
            let repaired = self.repairs.get(dealer).and_then(|repair| repair.value(packing, point));
            let dealing = self.dealings.get(dealer);
            let value = repaired.or_else(|| self.decrypt(key, dealing?, point));
            let value =
                value.ok_or(ShareUnavailable::WrongEvaluation { dealer: *dealer, point })?;
            sum.0 += value.0 * weight;
        }
        let share = SecretShare::of_scalar(sum);
        if share.matches(outcome.key(), point) {
            return Ok(share);
        }
        // The sum being wrong, some term is: only now is each looked at.
        let wrong = |dealer: &u16| {
            let whole = self.repairs.get(dealer).is_some_and(|repair| repair.is_complete(packing));
            let dealing = self.dealings.get(dealer);
            !whole && dealing.and_then(|dealing| self.evaluation(key, dealing, point)).is_none()
        };
        let dealer = outcome.qualified().find(wrong).unwrap_or_default();
        Err(ShareUnavailable::WrongEvaluation { dealer, point })
    }

    /// The evaluation of a dealing at a point of the key's holder, if it matches the commitments.
    pub(super) fn evaluation(
        &self,
        key: &HolderKey,
        dealing: &CheckedDealing,
        point: u16,
    ) -> Option<Secret> {
        let value = self.decrypt(key, dealing, point)?;
        Some(value)
            .filter(|value| dealing.commitments.holds(self.session.packing(), point, &value.0))
    }

    fn decrypt(&self, key: &HolderKey, dealing: &CheckedDealing, point: u16) -> Option<Secret> {
        let shared = SecretPoint(encode_one(&(dealing.ephemeral * key.secret.0)));
        dealing.decrypt(&self.session, &self.roster, point, &shared.0)
    }
}
