//! Evidence of one offender in one matter, of which L1 wants a single piece.
//!
//! What a node shows it has checked by the rules that L1 checks it by. Should L1 refuse a piece all the same, the next
//! is shown: it may be of another form, and what is wrong with one form may be right with another.
//!
//! **Invariants.** What was not refused comes before what was; a piece that was refused comes again when all others
//! were, for the reason may have been of that day.
//!
//! **Bounds.** [`OF_A_FORM_MAX`] pieces of each of seven forms. A piece beyond them takes the place of one that was
//! refused, or none. [`REFUSED_MAX`] that were refused are known again when the store is read again.

use std::{collections::VecDeque, sync::Arc};

use conclave_consensus::Evidence;
use conclave_types::VoteKind;

use crate::l1::evidence::{Exhibit, Offence};

/// Pieces of evidence of one form that are kept for one offender.
pub(super) const OF_A_FORM_MAX: usize = 2;
/// Pieces of one offender of which it is known that they were refused.
const REFUSED_MAX: usize = 32;

/// What shows an offence, as far as L1 has another way to judge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Prevotes,
    Precommits,
    Proposals,
    AttestationsOfOneHeight,
    AttestationsOfTwo,
    PrematureShare,
    WrongShare,
}

impl Form {
    pub(super) fn of(offence: &Offence) -> Self {
        match offence {
            Offence::Equivocation(evidence) => match &**evidence {
                Evidence::Votes(vote, _) if vote.kind == VoteKind::Prevote => Self::Prevotes,
                Evidence::Votes(..) => Self::Precommits,
                Evidence::Proposals(..) => Self::Proposals,
            },
            Offence::DoubleAttestation(both) => {
                let (first, second) = (&both.first.commitment, &both.second.commitment);
                if first.height == second.height {
                    Self::AttestationsOfOneHeight
                } else {
                    Self::AttestationsOfTwo
                }
            }
            Offence::PrematureShare(_) => Self::PrematureShare,
            Offence::WrongShare(_) => Self::WrongShare,
        }
    }
}

#[derive(Clone, Debug)]
struct Piece {
    exhibit: Arc<Exhibit>,
    form: Form,
    is_refused: bool,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    /// In the order in which it is shown.
    order: VecDeque<Piece>,
    /// What was refused last, also if it is not kept any more: the store still has it, and is read again.
    refused: VecDeque<Arc<Exhibit>>,
}

impl Pieces {
    pub(super) fn new(exhibit: Arc<Exhibit>) -> Self {
        let mut pieces = Self { order: VecDeque::new(), refused: VecDeque::new() };
        pieces.keep(exhibit);
        pieces
    }

    /// Keeps another piece, if it says something new and there is room.
    pub(super) fn keep(&mut self, exhibit: Arc<Exhibit>) {
        let is_known = |known: &Arc<Exhibit>| **known == *exhibit;
        if self.order.iter().any(|kept| is_known(&kept.exhibit)) {
            return;
        }
        let is_refused = self.refused.iter().any(is_known);
        let form = Form::of(&exhibit.offence);
        let count = self.order.iter().filter(|kept| kept.form == form).count();
        if count >= OF_A_FORM_MAX {
            let refused = self.order.iter().position(|kept| kept.form == form && kept.is_refused);
            let Some(refused) = refused.filter(|_| !is_refused) else { return };
            self.order.remove(refused);
        }
        let first = self.order.iter().position(|kept| kept.is_refused);
        let at = first.filter(|_| !is_refused).unwrap_or(self.order.len());
        self.order.insert(at, Piece { exhibit, form, is_refused });
    }

    /// The piece that is to be shown.
    pub(super) fn next(&self) -> Option<&Arc<Exhibit>> {
        self.order.front().map(|piece| &piece.exhibit)
    }

    /// Some are of no use any more.
    pub(super) fn drop_all(&mut self, is_useless: impl Fn(&Exhibit) -> bool) {
        self.order.retain(|piece| !is_useless(&piece.exhibit));
        self.refused.retain(|exhibit| !is_useless(exhibit));
    }

    /// L1 refuses a piece: behind all others with it.
    pub(super) fn refuse(&mut self, exhibit: &Exhibit) {
        let Some(at) = self.order.iter().position(|kept| *kept.exhibit == *exhibit) else { return };
        let Some(piece) = self.order.remove(at) else { return };
        if !piece.is_refused {
            self.refused.push_back(Arc::clone(&piece.exhibit));
            if self.refused.len() > REFUSED_MAX {
                self.refused.pop_front();
            }
        }
        self.order.push_back(Piece { is_refused: true, ..piece });
    }
}
