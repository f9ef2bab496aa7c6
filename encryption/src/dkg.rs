//! Making a key that nobody ever holds, and handing it on, over the chain.
//!
//! The chain is the broadcast channel: all see the same messages in the same order, so all derive the
//! same public result from the blocks alone, and time is nothing but height. One attempt goes through
//! four stages, which the chain ends at heights that it fixes beforehand:
//!
//! ```text
//!  registering   every future holder posts a key for this attempt              Register
//!  dealing       every dealer posts a polynomial, encrypted to those keys      Deal, Complain
//!  complaining   whoever received a wrong evaluation proves it                 Complain
//!  finished      Σ of the dealings that stand, if they count enough            Complain, Disclose,
//!                                                                              Acknowledge
//! ```
//!
//! In a fresh sharing the holders deal random polynomials, whose sum is the key's. In a resharing the
//! holders of the old shares deal those, and the weighted sum is the same key under new shares. Too few
//! dealings end an attempt; the next one has another round number, and shares nothing with it.
//!
//! The sharing is packed (Franklin and Yung, 1992), made verifiable by commitments to the polynomial
//! (Feldman, 1987), and the key is the sum of everyone's (Pedersen, 1991). That whoever deals last can
//! bias such a sum (Gennaro, Jarecki, Krawczyk and Rabin, 1999) does no harm here: see
//! `docs/spec/encryption.md`.
//!
//! **Invariants.** Everything is a function of session and messages. A message is checked by
//! [`Dkg::check`], which may take long, runs on any thread and changes nothing, and taken by
//! [`Dkg::record`], which is quick. A message that is refused leaves no trace, and a block that carries
//! one is invalid. An honest dealer is never disqualified, an honest complaint never an offence.

mod admission;
mod complaint;
mod dealing;
mod holders;
mod message;
mod outcome;
mod polynomial;
mod progress;
mod proof;
mod registration;
#[cfg(feature = "rehearsal")]
mod rehearsal;
mod repair;
#[cfg(any(test, feature = "rogue"))]
mod rogue;
mod session;
mod shares;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use blstrs::Scalar;
use borsh::BorshSerialize;
use conclave_types::{Digest, ValidatorIndex};

#[cfg(test)]
pub(crate) use self::polynomial::SharingPolynomial;
#[cfg(feature = "rehearsal")]
pub use self::rehearsal::{RehearsalError, rehearse};
use self::{
    admission::Subject,
    complaint::Verdict,
    dealing::CheckedDealing,
    registration::{RegisteredKey, Roster},
    repair::Repair,
};
pub use self::{
    complaint::Complaint,
    dealing::Dealing,
    holders::Holders,
    message::{Fault, Message, MessageError, Refusal},
    outcome::Outcome,
    progress::{AdvanceError, Event},
    registration::{HolderKey, Registration},
    repair::Disclosure,
    session::{Session, SessionError, SessionId},
    shares::{DealError, ShareUnavailable},
};

/// Where an attempt is.
#[derive(Clone, Debug)]
enum Stage {
    Registering,
    Dealing,
    Complaining,
    Finished(Arc<Outcome>),
}

impl Stage {
    const fn name(&self) -> &'static str {
        match self {
            Self::Registering => "registering",
            Self::Dealing => "dealing",
            Self::Complaining => "complaining",
            Self::Finished(_) => "finished",
        }
    }
}

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub enum Phase {
    /// Keys of the holders.
    Registering,
    /// Dealings.
    Dealing,
    /// Complaints.
    Complaining,
    /// Nothing: there is a result. Late complaints and acknowledgements are taken.
    Finished,
}

/// One attempt at a sharing, as the blocks so far make it. Cheap to clone but for its bookkeeping.
#[derive(Clone, Debug)]
pub struct Dkg {
    session: Session,
    stage: Stage,
    roster: Arc<Roster>,
    /// By number.
    dealings: BTreeMap<u16, Arc<CheckedDealing>>,
    /// Numbers in chain order.
    order: Vec<u16>,
    proved: BTreeSet<u16>,
    complaints: BTreeSet<(ValidatorIndex, u16)>,
    repairs: BTreeMap<u16, Repair>,
    acknowledged: BTreeSet<ValidatorIndex>,
}

/// A message that was checked. Only [`Dkg::record`] looks inside.
#[derive(Clone, Debug)]
pub struct Checked {
    from: ValidatorIndex,
    session: Digest,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Key(RegisteredKey),
    Dealing(Arc<CheckedDealing>, Digest),
    Complaint { dealer: u16, point: u16, verdict: Verdict },
    Disclosure { dealer: u16, point: u16, value: Scalar },
    Acknowledgement(Digest),
}

impl Dkg {
    /// An attempt that nobody has sent anything for.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self {
            session,
            stage: Stage::Registering,
            roster: Arc::default(),
            dealings: BTreeMap::new(),
            order: Vec::new(),
            proved: BTreeSet::new(),
            complaints: BTreeSet::new(),
            repairs: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
        }
    }

    /// The attempt.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The result, once there is one.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.stage {
            Stage::Finished(outcome) => Some(outcome),
            Stage::Registering | Stage::Dealing | Stage::Complaining => None,
        }
    }

    /// What the attempt waits for.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.stage {
            Stage::Registering => Phase::Registering,
            Stage::Dealing => Phase::Dealing,
            Stage::Complaining => Phase::Complaining,
            Stage::Finished(_) => Phase::Finished,
        }
    }

    /// Whether nothing more can come in this phase, so that it need not be waited out. Complaints can come
    /// until their time is over.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self.stage {
            Stage::Registering => {
                self.roster.points().len() == usize::from(self.session.holders().point_count())
            }
            Stage::Dealing => self.dealings.len() == self.session.dealer_count(),
            Stage::Complaining | Stage::Finished(_) => false,
        }
    }

    /// Whether a holder has registered.
    #[must_use]
    pub fn is_registered(&self, holder: ValidatorIndex) -> bool {
        self.roster.key(holder).is_some()
    }

    /// Whether this dealing is on the chain.
    #[must_use]
    pub fn has_dealing(&self, dealer: u16) -> bool {
        self.dealings.contains_key(&dealer)
    }

    /// Whether a holder has complained about this dealing.
    #[must_use]
    pub fn has_complained(&self, holder: ValidatorIndex, dealer: u16) -> bool {
        self.complaints.contains(&(holder, dealer))
    }

    /// Whether a holder has confirmed its shares.
    #[must_use]
    pub fn has_acknowledged(&self, holder: ValidatorIndex) -> bool {
        self.acknowledged.contains(&holder)
    }

    /// The points whose holders have confirmed their shares.
    #[must_use]
    pub fn acknowledged_points(&self) -> u16 {
        let tickets =
            self.acknowledged.iter().map(|holder| self.session.holders().tickets(*holder));
        tickets.fold(0, u16::saturating_add)
    }

    /// The holders that have confirmed their shares.
    pub fn acknowledged(&self) -> impl Iterator<Item = ValidatorIndex> {
        self.acknowledged.iter().copied()
    }

    /// What the dealings that stand count so far, of [`Session::required`].
    #[must_use]
    pub fn standing(&self) -> u16 {
        let weights = self.qualified().map(|dealing| self.session.weight(dealing.dealer));
        weights.fold(0, u16::saturating_add)
    }

    /// Ends the registration: who is not on the roster receives no share of this attempt.
    ///
    /// # Errors
    ///
    /// [`AdvanceError::TooFewHolders`] if the registered points are no quorum, and
    /// [`AdvanceError::Stage`] if the registration had ended.
    pub fn close_registration(&mut self) -> Result<(), AdvanceError> {
        if !matches!(self.stage, Stage::Registering) {
            return Err(AdvanceError::Stage { stage: self.stage.name() });
        }
        let (required, found) = (self.session.packing().quorum(), self.roster.points().len());
        if found < usize::from(required) {
            return Err(AdvanceError::TooFewHolders { required, found });
        }
        self.stage = Stage::Dealing;
        Ok(())
    }

    /// Ends the dealing.
    ///
    /// # Errors
    ///
    /// [`AdvanceError::Stage`] if it had not begun, or had ended.
    pub fn close_dealing(&mut self) -> Result<(), AdvanceError> {
        if !matches!(self.stage, Stage::Dealing) {
            return Err(AdvanceError::Stage { stage: self.stage.name() });
        }
        self.stage = Stage::Complaining;
        Ok(())
    }

    /// Adds the dealings up that stand, and finishes with that.
    ///
    /// # Errors
    ///
    /// [`AdvanceError::TooFew`] if they do not count enough, and [`AdvanceError::Stage`] if complaints
    /// were not awaited. The rest does not happen.
    pub fn finish(&mut self) -> Result<Arc<Outcome>, AdvanceError> {
        self.finish_with(self.add_up()?)
    }

    /// What the dealings that stand add up to. For many points that takes long; it changes nothing, so
    /// it can run beside the state.
    ///
    /// # Errors
    ///
    /// As [`Dkg::finish`].
    pub fn add_up(&self) -> Result<Outcome, AdvanceError> {
        self.awaiting_complaints()?;
        let (required, found) = (self.session.required(), self.standing());
        if found < required {
            return Err(AdvanceError::TooFew { required, found });
        }
        Outcome::new(&self.session, &self.counting())
    }

    /// Finishes with what [`Dkg::add_up`] has found for this state.
    ///
    /// # Errors
    ///
    /// [`AdvanceError::OtherState`] if a complaint has been proved since, or the outcome is another
    /// attempt's, and [`AdvanceError::Stage`] as [`Dkg::finish`].
    pub fn finish_with(&mut self, outcome: Outcome) -> Result<Arc<Outcome>, AdvanceError> {
        self.awaiting_complaints()?;
        let counting = self.counting().into_iter().map(|dealing| dealing.dealer);
        if outcome.session() != self.session.digest() || !outcome.qualified().eq(counting) {
            return Err(AdvanceError::OtherState);
        }
        let outcome = Arc::new(outcome);
        self.stage = Stage::Finished(Arc::clone(&outcome));
        Ok(outcome)
    }

    fn awaiting_complaints(&self) -> Result<(), AdvanceError> {
        match &self.stage {
            Stage::Complaining => Ok(()),
            Stage::Registering | Stage::Dealing | Stage::Finished(_) => {
                Err(AdvanceError::Stage { stage: self.stage.name() })
            }
        }
    }

    /// Checks a message of `from` and takes it.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why it is not taken and whose fault that is.
    pub fn apply(&mut self, from: ValidatorIndex, message: &Message) -> Result<Event, Refusal> {
        self.record(self.check(from, message)?)
    }

    /// Checks a message of `from`, which is an index into the committee of the holders, or, for a
    /// dealing of a resharing, into that of the dealers. The caller has checked the sender's signature.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why it would not be taken and whose fault that is.
    pub fn check(&self, from: ValidatorIndex, message: &Message) -> Result<Checked, Refusal> {
        let (session, roster) = (&self.session, &self.roster);
        let content = match message {
            Message::Register(registration) => {
                self.admit(from, Subject::Key)?;
                Content::Key(registration.check(session, from)?)
            }
            Message::Deal(dealing) => {
                self.admit(from, Subject::Dealing { dealer: dealing.dealer })?;
                let checked = Arc::new(dealing.check(session, roster)?);
                Content::Dealing(checked, roster.digest(session))
            }
            Message::Complain(complaint) => {
                let Complaint { dealer, point, .. } = *complaint;
                self.admit(from, Subject::Complaint { dealer, point })?;
                let verdict = complaint.judge(session, roster, self.dealing(dealer)?)?;
                Content::Complaint { dealer, point, verdict }
            }
            Message::Disclose(Disclosure { dealer, point, value }) => {
                let (dealer, point) = (*dealer, *point);
                self.admit(from, Subject::Disclosure { dealer, point })?;
                let value = value.read().ok_or(Refusal::Scalar { name: "evaluation" })?;
                if !self.dealing(dealer)?.commitments.holds(session.packing(), point, &value) {
                    return Err(Refusal::WrongEvaluation { dealer, point });
                }
                Content::Disclosure { dealer, point, value }
            }
            Message::Acknowledge(digest) => {
                self.admit(from, Subject::Acknowledgement(*digest))?;
                Content::Acknowledgement(*digest)
            }
        };
        Ok(Checked { from, session: session.digest(), content })
    }

    /// Takes a message that was checked, here or in an earlier state of this attempt.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the state does not take it any more.
    pub fn record(&mut self, checked: Checked) -> Result<Event, Refusal> {
        let Checked { from, session, content } = checked;
        if session != self.session.digest() {
            return Err(Refusal::OtherAttempt);
        }
        match content {
            Content::Key(key) => {
                self.admit(from, Subject::Key)?;
                Arc::make_mut(&mut self.roster).insert(&self.session, from, key);
                Ok(Event::Registered { holder: from })
            }
            Content::Dealing(dealing, roster) => {
                let dealer = dealing.dealer;
                self.admit(from, Subject::Dealing { dealer })?;
                if roster != self.roster.digest(&self.session) {
                    return Err(Refusal::OtherAttempt);
                }
                self.order.push(dealer);
                self.dealings.insert(dealer, dealing);
                Ok(Event::Dealt { dealer })
            }
            Content::Complaint { dealer, point, verdict } => {
                self.admit(from, Subject::Complaint { dealer, point })?;
                Ok(self.judged(from, dealer, verdict))
            }
            Content::Disclosure { dealer, point, value } => {
                self.admit(from, Subject::Disclosure { dealer, point })?;
                let repair = self.repairs.entry(dealer).or_default();
                repair.insert(point, value);
                let complete = repair.is_complete(self.session.packing());
                Ok(Event::Disclosed { dealer, complete })
            }
            Content::Acknowledgement(digest) => {
                self.admit(from, Subject::Acknowledgement(digest))?;
                self.acknowledged.insert(from);
                Ok(Event::Acknowledged { holder: from })
            }
        }
    }

    fn judged(&mut self, holder: ValidatorIndex, dealer: u16, verdict: Verdict) -> Event {
        self.complaints.insert((holder, dealer));
        let validator = self.session.dealer(dealer).unwrap_or(holder);
        match (verdict, &self.stage) {
            (Verdict::False, _) => Event::FalseComplaint { dealer, holder },
            (Verdict::Proved, Stage::Finished(_)) => {
                self.proved.insert(dealer);
                self.repairs.insert(dealer, Repair::default());
                Event::ProvedLate { dealer, validator }
            }
            (Verdict::Proved, Stage::Registering | Stage::Dealing | Stage::Complaining) => {
                self.proved.insert(dealer);
                Event::Disqualified { dealer, validator }
            }
        }
    }

    fn dealing(&self, dealer: u16) -> Result<&Arc<CheckedDealing>, Refusal> {
        self.dealings.get(&dealer).ok_or(Refusal::NoDealing { dealer })
    }

    /// The dealings that the result is made of: all that stand, or, of old points, the first that
    /// determine the old polynomial.
    fn counting(&self) -> Vec<&CheckedDealing> {
        let count = match self.session.old() {
            Some(_) => self.session.required().into(),
            None => usize::MAX,
        };
        self.qualified().take(count).collect()
    }

    /// The dealings that no complaint was proved about, in chain order.
    fn qualified(&self) -> impl Iterator<Item = &CheckedDealing> {
        let standing = self.order.iter().filter(|dealer| !self.proved.contains(dealer));
        standing.filter_map(|dealer| self.dealings.get(dealer)).map(Arc::as_ref)
    }
}
