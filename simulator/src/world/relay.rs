//! Who takes to L1 what validators have: each has a relayer that posts certificates and has committees elected, when
//! it is its turn.
//!
//! These relayers are a part of the world, as users are. The shipped ones are tasks around endpoints, accounts and
//! purses (`node/src/l1/relay.rs`); what both read of a validator, and the words in which L1 takes it, is one code
//! (`archive::posting`, `Keys::wants_offer`, `conclave_contracts::{posting, offers}`). Modelled is when they post:
//!
//! - what is due: the end of an epoch at once, else so many heights above the last, or any after a while;
//! - whose turn it is: that changes with each settled height, and every other one waits for as many delays as its rank;
//! - that nobody knows whether a transaction will be in a block: what has not settled after a while is sent again.

use std::collections::{BTreeMap, BTreeSet};

use conclave_sequencer::archive::{self, EvidenceCursor, Judged, Kept, WrongShare};
use conclave_types::{Committee, Epoch, Height, ValidatorIndex, digest::SigningDomain};

use super::{World, node::Node};
use crate::{
    disk::Disk,
    l1::{Accusation, Besides, Head, Proof},
};

/// A commitment so many heights above the last is worth a posting.
const EVERY_HEIGHTS: u64 = 16;
/// And any, after so many L1 blocks.
const EVERY_BLOCKS: u64 = 8;
/// How many L1 blocks a relayer waits for each that comes before it, and until it sends again.
const TAKEOVER_BLOCKS: u64 = 2;
/// Pieces of evidence that a relayer looks at. A liar makes more than that, and one is enough.
const EVIDENCE_MAX: usize = 4_096;

/// What a relayer remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Relayer {
    /// Where settlement stood when it looked last, and since which L1 block.
    stands: (u64, u64),
    since: u64,
    /// Since when a posting is due.
    due: Option<u64>,
    /// Since when an offer for an epoch is wanted.
    wanted: Option<(Epoch, u64)>,
    /// Before which L1 block it sends nothing of either kind again.
    rests: [u64; 2],
    /// Since when an offender is to be reported, and before which block that is not done again.
    offenders: BTreeMap<(Epoch, ValidatorIndex), (u64, u64)>,
}

impl Relayer {
    /// L1 stands there.
    fn look(&mut self, head: &Head) {
        let stands = (head.epoch, head.height);
        if self.stands != stands {
            // Forward, or back: L1 takes back what is not final.
            (self.stands, self.since, self.due) = (stands, head.number, None);
        }
    }

    /// Whether to post a height that is `ahead` others behind in its turn.
    fn posts(&mut self, head: &Head, (height, ends_epoch): (Height, bool), ahead: u64) -> bool {
        let above = height.as_u64().saturating_sub(head.height);
        let waited = head.number.saturating_sub(self.since);
        let is_due = ends_epoch || above >= EVERY_HEIGHTS || above > 0 && waited >= EVERY_BLOCKS;
        if !is_due {
            self.due = None;
            return false;
        }
        let due = *self.due.get_or_insert(head.number);
        self.acts(0, head, due, ahead)
    }

    /// Whether to have a committee elected for an epoch.
    fn offers(&mut self, head: &Head, epoch: Epoch, ahead: u64) -> bool {
        let since = match self.wanted {
            Some((of, since)) if of == epoch => since,
            Some(_) | None => {
                self.wanted = Some((epoch, head.number));
                head.number
            }
        };
        self.acts(1, head, since, ahead)
    }

    /// Whether to report an offender.
    fn reports(&mut self, head: &Head, offender: (Epoch, ValidatorIndex), ahead: u64) -> bool {
        let (since, rests) = self.offenders.entry(offender).or_insert((head.number, 0));
        let turn = since.saturating_add(ahead.saturating_mul(TAKEOVER_BLOCKS));
        let acts = head.number >= turn.max(*rests);
        if acts {
            *rests = head.number.saturating_add(TAKEOVER_BLOCKS);
        }
        acts
    }

    fn acts(&mut self, errand: usize, head: &Head, since: u64, ahead: u64) -> bool {
        let turn = since.saturating_add(ahead.saturating_mul(TAKEOVER_BLOCKS));
        let Some(rests) = self.rests.get_mut(errand) else { return false };
        let acts = head.number >= turn.max(*rests);
        if acts {
            *rests = head.number.saturating_add(TAKEOVER_BLOCKS);
        }
        acts
    }
}

/// How many of a committee come before a member in the turn of a number.
fn ahead(committee: &Committee, validator: u16, turn: u64) -> u64 {
    let seats = u64::try_from(committee.count()).unwrap_or(u64::MAX);
    let Some(seat) = committee.place_of(ValidatorIndex::new(validator)) else { return seats };
    let first = turn.checked_rem(seats).unwrap_or(0);
    let seat = u64::try_from(seat).unwrap_or(u64::MAX);
    seat.saturating_add(seats).saturating_sub(first).checked_rem(seats).unwrap_or(0)
}

/// What a validator could have posted on top of what has settled, and whether an epoch ends with it.
fn candidate(disk: &Disk, certified: Height, head: &Head) -> Option<(Height, bool)> {
    let end = archive::epoch_end(disk, Epoch::new(head.epoch)).ok()?;
    let height = end.unwrap_or(certified);
    if height.as_u64() <= head.height {
        return None;
    }
    let commitment = archive::certificate(disk, height).ok()??.commitment;
    let fits = commitment.epoch.as_u64() == head.epoch
        && commitment.l1_origin.number >= head.origin
        && commitment.l1_origin.number < head.number;
    fits.then_some((height, end.is_some()))
}

/// What shows that the commitment of a height is among those up to `under`, which have settled.
fn proof(disk: &Disk, height: Height, under: Height) -> Option<Proof> {
    let path = archive::settled_path(disk, height, under).ok()??;
    let commitment = archive::commitment(disk, height).ok()??;
    Some(Proof { commitment, under, path })
}

/// What L1 has to be shown besides a piece of evidence; none if it does not show anything by what has settled.
fn besides(disk: &Disk, evidence: &Kept, under: Height) -> Option<Besides> {
    match evidence {
        Kept::Equivocation(_) | Kept::DoubleAttestation(_) => Some(Besides::Nothing),
        Kept::StrayShares(shares) => {
            proof(disk, shares.height, under).map(Box::new).map(Besides::Settled)
        }
        Kept::WrongShares(shares) => {
            let judged = WrongShare::find(disk, (**shares).clone()).ok()?;
            match judged {
                Judged::Wrong(share) => Some(Besides::Wrong(share)),
                Judged::Right | Judged::NotYet => None,
            }
        }
    }
}

/// Evidence with what this validator's history adds to it.
fn shown(disk: &Disk, domain: &SigningDomain, kept: Kept) -> Option<Kept> {
    let Kept::DoubleAttestation(both) = kept else { return Some(kept) };
    let shown = archive::shown(disk, domain, *both).ok()??;
    Some(Kept::DoubleAttestation(Box::new(shown)))
}

/// Members who signed what contradicts itself, shares of a block that is not the one that has settled, or wrong shares,
/// with evidence of one such case for each of an epoch. Of wrong shares L1 knows the key once an epoch has ended before
/// theirs.
fn offenders(disk: &Disk, settled: Height) -> Vec<(Epoch, Vec<ValidatorIndex>, Kept)> {
    let from = EvidenceCursor::at(Height::ZERO);
    let Ok((kept, _)) = archive::evidence(disk, &from, EVIDENCE_MAX) else { return Vec::new() };
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for kept in kept {
        // What was signed about a height that has not come belongs to no epoch yet.
        let epoch_of = |height| {
            let block = archive::block(disk, height).ok().flatten();
            block.map(|block| block.block.header.epoch)
        };
        let (epoch, accused) = match &kept {
            Kept::Equivocation(evidence) => (epoch_of(evidence.at().0), vec![evidence.offender()]),
            Kept::DoubleAttestation(both) => (Some(both.first.commitment.epoch), both.accused()),
            Kept::StrayShares(shares) if shares.height <= settled => {
                (epoch_of(shares.height), vec![shares.validator])
            }
            Kept::WrongShares(shares) if shares.epoch > Epoch::ZERO => {
                (Some(shares.epoch), vec![shares.validator])
            }
            Kept::StrayShares(_) | Kept::WrongShares(_) => continue,
        };
        let Some(epoch) = epoch else { continue };
        if accused.iter().any(|index| seen.insert((epoch, *index))) {
            found.push((epoch, accused, kept));
        }
    }
    found
}

impl World {
    /// The relayer of a validator looks at L1. Those of liars do nothing for anybody; and an operator has one, beside
    /// the first of two machines.
    pub(super) fn relay(&mut self, node: u16) {
        if node >= self.scenario.validators {
            return;
        }
        // Of two sides the first is the one that settles: those on the other do not come to L1 in time.
        if self.is_over(node) {
            if self.scenario.fork.as_ref().is_some_and(|fork| fork.reports) {
                self.report(node);
            }
            return;
        }
        let Some(l1) = &mut self.l1 else { return };
        let Some(head) = l1.head() else { return };
        let state = self.nodes.get(usize::from(node)).filter(|state| state.is_honest());
        let Some(Node { core: Some(core), disk, .. }) = state else { return };
        let Some(relayer) = self.relayers.get_mut(usize::from(node)) else { return };
        let (core, office) = (core.core(), archive::committee(disk, Epoch::new(head.epoch)));
        // Whoever has not come to the committee in office yet has nothing for it.
        let Ok(Some(office)) = office else { return };
        relayer.look(&head);
        let status = core.status();
        if let Some(found) = candidate(disk, status.certified, &head) {
            let rank = ahead(&office, node, head.height);
            let below = Height::new(head.height);
            if relayer.posts(&head, found, rank)
                && let Ok(Some(posting)) = archive::posting(disk, below, found.0)
            {
                l1.post(u32::from(node).saturating_add(1), &posting, &office);
            }
        }
        if let Some(epoch) = core.keys().wants_offer(status.decided) {
            let rank = ahead(&office, node, epoch.as_u64());
            if relayer.offers(&head, epoch, rank) {
                l1.offer(u32::from(node).saturating_add(1), epoch);
            }
        }
        self.report(node);
    }

    /// The relayer takes to L1 what its validator has against others, unless somebody has.
    fn report(&mut self, node: u16) {
        let is_over = self.is_over(node);
        let Some(l1) = &mut self.l1 else { return };
        let Some(head) = l1.head() else { return };
        let state = self.nodes.get(usize::from(node)).filter(|state| state.is_honest());
        let Some(Node { core: Some(core), disk, .. }) = state else { return };
        let Some(relayer) = self.relayers.get_mut(usize::from(node)) else { return };
        if core.core().status().evidence_count == 0 && relayer.offenders.is_empty() {
            return;
        }
        let under = Height::new(head.height);
        for (epoch, accused, evidence) in offenders(disk, under) {
            let Ok(Some(committee)) = archive::committee(disk, epoch) else { continue };
            let number = |index| committee.get(index).map_or(0, |member| member.validator);
            let is_free = |index: &&ValidatorIndex| !l1.is_accused(number(**index));
            let Some(first) = accused.iter().find(is_free) else { continue };
            let rank = ahead(&committee, node, head.height);
            if relayer.reports(&head, (epoch, *first), rank) {
                let domain = SigningDomain::of(&self.genesis);
                let Some(evidence) = shown(disk, &domain, evidence) else { continue };
                let Some(besides) = besides(disk, &evidence, under) else { continue };
                let (evidence, accused, committee) = (&evidence, accused.as_slice(), &committee);
                let accusation =
                    Accusation { evidence, accused, epoch, committee, domain, besides };
                l1.report(u32::from(node).saturating_add(1), &accusation);
                // The first side does not know of it.
                let told = accused.iter().filter(|_| is_over).map(|index| index.as_u16());
                told.for_each(|index| self.oracle.here().accuses(index));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn head(number: u64, height: u64) -> Head {
        Head { epoch: 0, height, origin: 3, number }
    }

    #[test]
    fn a_posting_is_due_for_its_heights_its_age_or_the_end_of_an_epoch() {
        let above = |height| (Height::new(height), false);
        let mut relayer = Relayer::default();
        relayer.look(&head(10, 100));
        assert!(!relayer.posts(&head(10, 100), above(115), 0));
        assert!(relayer.posts(&head(10, 100), above(116), 0));
        assert!(!relayer.posts(&head(11, 100), above(116), 0), "it is on its way");
        assert!(relayer.posts(&head(12, 100), above(116), 0), "and has not arrived");
        relayer.look(&head(13, 116));
        assert!(!relayer.posts(&head(20, 116), above(117), 0));
        assert!(relayer.posts(&head(21, 116), above(117), 0), "it is the eighth block");
        assert!(relayer.posts(&head(24, 116), (Height::new(117), true), 0));
    }

    #[test]
    fn who_comes_later_waits_and_whatever_settles_begins_another_turn() {
        let mut relayer = Relayer::default();
        let found = (Height::new(140), false);
        relayer.look(&head(10, 100));
        assert!(!relayer.posts(&head(10, 100), found, 2));
        assert!(!relayer.posts(&head(13, 100), found, 2));
        relayer.look(&head(14, 120));
        assert!(!relayer.posts(&head(14, 120), found, 2), "somebody else has posted");
        assert!(relayer.posts(&head(18, 120), found, 2));
    }
}
