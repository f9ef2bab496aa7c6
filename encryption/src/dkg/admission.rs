//! What the state of an attempt decides about a message before its content is looked at: whether it comes
//! at the right stage, from whom it must come, and for the first time. Cheap, and asked twice: before a
//! message is checked, and again when it is recorded, since the state may have gone on in between.

use conclave_types::{Digest, ValidatorIndex};

use crate::dkg::{Dkg, Refusal, Stage};

/// What a message is about: all that decides whether the state takes it at all.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    Key,
    Dealing { dealer: u16 },
    Complaint { dealer: u16, point: u16 },
    Disclosure { dealer: u16, point: u16 },
    Acknowledgement(Digest),
}

impl Dkg {
    /// Whether the state takes a message of `from` about `subject`, its content aside.
    pub(super) fn admit(&self, from: ValidatorIndex, subject: Subject) -> Result<(), Refusal> {
        let stage = Err(Refusal::Stage { stage: self.stage.name() });
        let holds = |point| self.session.holders().points(from).contains(&point);
        match (subject, &self.stage) {
            (Subject::Key, Stage::Registering) => {
                if self.session.holders().tickets(from) == 0 {
                    return Err(Refusal::NotAHolder { from });
                }
                refuse_if(self.roster.key(from).is_some(), Refusal::AlreadyRegistered { from })
            }
            (Subject::Dealing { dealer }, Stage::Dealing) => {
                if self.session.dealer(dealer) != Some(from) {
                    return Err(Refusal::NotTheDealer { from, dealer });
                }
                refuse_if(self.dealings.contains_key(&dealer), Refusal::AlreadyDealt { dealer })
            }
            (Subject::Complaint { dealer, point }, Stage::Dealing | Stage::Complaining)
                if holds(point) =>
            {
                self.admit_complaint(from, dealer)
            }
            (Subject::Complaint { dealer, point }, Stage::Finished(outcome)) if holds(point) => {
                let counts = outcome.qualified().any(|qualified| qualified == dealer);
                refuse_if(!counts, Refusal::NotQualified { dealer })?;
                self.admit_complaint(from, dealer)
            }
            (Subject::Disclosure { dealer, point }, Stage::Finished(_)) if holds(point) => {
                let repair = self.repairs.get(&dealer).ok_or(Refusal::NotUnderRepair { dealer })?;
                let enough = repair.is_complete(self.session.packing()) || repair.contains(point);
                refuse_if(enough, Refusal::AlreadyDisclosed { dealer, point })
            }
            (
                Subject::Complaint { point, .. },
                Stage::Dealing | Stage::Complaining | Stage::Finished(_),
            )
            | (Subject::Disclosure { point, .. }, Stage::Finished(_)) => {
                Err(Refusal::NotTheHolder { from, point })
            }
            (Subject::Acknowledgement(found), Stage::Finished(outcome)) => {
                let expected = outcome.digest();
                refuse_if(self.roster.key(from).is_none(), Refusal::NotAHolder { from })?;
                refuse_if(expected != found, Refusal::WrongResult { expected, found })?;
                let again = self.acknowledged.contains(&from);
                refuse_if(again, Refusal::AlreadyAcknowledged { from })
            }
            (Subject::Key, Stage::Dealing | Stage::Complaining | Stage::Finished(_))
            | (
                Subject::Dealing { .. },
                Stage::Registering | Stage::Complaining | Stage::Finished(_),
            )
            | (Subject::Complaint { .. }, Stage::Registering)
            | (
                Subject::Disclosure { .. } | Subject::Acknowledgement(_),
                Stage::Registering | Stage::Dealing | Stage::Complaining,
            ) => stage,
        }
    }

    fn admit_complaint(&self, from: ValidatorIndex, dealer: u16) -> Result<(), Refusal> {
        self.dealing(dealer)?;
        refuse_if(self.proved.contains(&dealer), Refusal::AlreadyProved { dealer })?;
        let again = self.complaints.contains(&(from, dealer));
        refuse_if(again, Refusal::AlreadyComplained { from, dealer })
    }
}

fn refuse_if(refused: bool, refusal: Refusal) -> Result<(), Refusal> {
    if refused { Err(refusal) } else { Ok(()) }
}
