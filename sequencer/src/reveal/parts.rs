//! Cooperative opening: who opens which part of a block, and what has come in of it.
//!
//! Combining shares is the dear step of a reveal, and its result proves itself. So it is done once by
//! somebody rather than by everyone: the block's sub-batches are cut into parts, each validator begins
//! with another one, shows everyone what it opened and skips what others have shown.
//!
//! ```text
//!   parts        0 ── 1 ── 2 ── 3 ── 4 ── 5 ── 6 ── 7        two for each of four validators
//!   validator 1            ●    ●    ↓                       its own, then one that nobody has shown
//! ```
//!
//! There are no timeouts: whoever waits for a part that does not come opens it meanwhile. With everyone
//! there, the work is shared out among all; with one's own shares alone, it is what it would have been
//! without this. A part is shown by the validator that begins with it and by the few that follow it in
//! the committee; everyone else who opens it keeps it, or a network whose links are slower than its
//! processors would send each part as often as it has validators.
//!
//! Who has opened what it begins with checks what others have shown meanwhile, before it opens more: as a rule the
//! rest is on its way, and a check costs less than opening it once more.
//!
//! **Invariants.** What others show is checked before it counts, all that is there in one equation; if that fails, one
//! sender at a time, and a sender of something wrong is not heard again on this block. A part that was wrong once is taken from no peer again, so every liar costs at
//! most one more check, and together they cost at most what one validator alone would have computed.
//! **Bounds.** [`PARTS_MAX`] parts for each block.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use borsh::BorshSerialize;
use conclave_encryption::Packing;
use conclave_types::Opening;

use crate::{input::Peer, job::ShownPart};

/// Point multiplications that a part is worth, or at least half as many: a few milliseconds, several times what a
/// message and a pairing check cost. A block below that is opened by everyone for itself.
const PART_MULTIPLICATIONS: usize = 96;
/// Parts of a block; beyond that, parts grow.
const PARTS_MAX: usize = 128;
/// Openings of a part from which on its side of a check is worth computing by itself: sums of fewer points cost as much again
/// as they would in one.
const EXPECTED_MIN: usize = 24;

/// How a block's sub-batches are cut: the same for everyone, a function of the block and its committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    openings: usize,
    slots: usize,
    /// Of about as many sub-batches each.
    parts: usize,
    /// How many validators show each.
    shown_by: usize,
}

impl Cut {
    /// The cut of a block with so many openings, the beacon's among them, which so many validators open.
    pub(crate) fn new(openings: usize, packing: &Packing, validators: usize) -> Self {
        let slots = usize::from(packing.packing()).max(1);
        let sub_batch = slots.saturating_mul(usize::from(packing.quorum())).max(1);
        let worth_it = PART_MULTIPLICATIONS.div_ceil(sub_batch);
        let sub_batches = openings.div_ceil(slots);
        let most = sub_batches.div_ceil(worth_it.max(1)).clamp(1, PARTS_MAX);
        // All would wait for parts that are left over when everyone has opened as many as everyone else.
        let over = if most > validators { most.checked_rem(validators).unwrap_or(0) } else { 0 };
        let shown_by = packing.shown_by(validators);
        Self { openings, slots, parts: most.saturating_sub(over), shown_by }
    }

    /// Sub-batches of the block.
    pub(crate) fn sub_batch_count(&self) -> usize {
        self.openings.div_ceil(self.slots)
    }

    /// Parts of the block.
    pub(crate) const fn count(&self) -> usize {
        self.parts
    }

    /// The sub-batches of a part.
    pub(crate) fn sub_batches(&self, part: usize) -> Range<usize> {
        let count = self.sub_batch_count();
        let at = |part: usize| {
            count.saturating_mul(part).checked_div(self.parts).unwrap_or(count).min(count)
        };
        at(part)..at(part.saturating_add(1))
    }

    /// The openings of a part.
    pub(crate) fn openings(&self, part: usize) -> Range<usize> {
        let Range { start, end } = self.sub_batches(part);
        let at = |sub_batch: usize| sub_batch.saturating_mul(self.slots).min(self.openings);
        at(start)..at(end)
    }

    /// The parts, as sub-batches, whose side of a check is computed ahead: all or none.
    pub(crate) fn worth_expecting(&self) -> Vec<Range<usize>> {
        let is_worth_it = self.openings >= self.parts.saturating_mul(EXPECTED_MIN);
        let parts = if is_worth_it { 0..self.parts } else { 0..0 };
        parts.map(|part| self.sub_batches(part)).collect()
    }

    /// How many places the validator at `own` of `validators` stands behind the one that begins with `part`.
    fn rank(&self, part: usize, own: usize, validators: usize) -> usize {
        let ends = part.saturating_add(1).saturating_mul(validators).div_ceil(self.count().max(1));
        let first = ends.saturating_sub(1);
        own.saturating_add(validators).saturating_sub(first).checked_rem(validators).unwrap_or(0)
    }
}

/// Where a part comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub enum Source {
    /// Combined and checked here.
    Own,
    /// It came with the block itself, from whoever handed that out.
    Block,
    /// A peer showed it.
    Peer(Peer),
}

/// What is open of a part.
#[derive(Debug)]
struct Piece {
    source: Source,
    openings: Vec<Opening>,
    /// Combined here, or checked since.
    is_right: bool,
}

/// What is open of a block.
#[derive(Debug)]
pub(crate) struct Parts {
    cut: Cut,
    open: BTreeMap<usize, Piece>,
    /// Parts that were wrong once.
    distrusted: BTreeSet<usize>,
    /// Peers that showed something wrong.
    unheard: BTreeSet<Peer>,
}

impl Parts {
    pub(crate) const fn new(cut: Cut) -> Self {
        Self { cut, open: BTreeMap::new(), distrusted: BTreeSet::new(), unheard: BTreeSet::new() }
    }

    pub(crate) const fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Whether there is work to share out.
    pub(crate) fn is_shared_out(&self) -> bool {
        self.cut.count() > 1
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.open.len() == self.cut.count()
    }

    /// Whether `peer` may show `part`.
    pub(crate) fn is_welcome(&self, part: usize, peer: Peer) -> bool {
        self.is_shared_out()
            && part < self.cut.count()
            && !self.open.contains_key(&part)
            && !self.distrusted.contains(&part)
            && !self.unheard.contains(&peer)
    }

    /// Takes a part unless there is one; says whether there was none. What was combined and checked here
    /// replaces what others showed: theirs may be wrong. The caller has checked its length.
    pub(crate) fn take(&mut self, part: usize, source: Source, openings: Vec<Opening>) -> bool {
        let is_new = !self.open.contains_key(&part);
        if is_new || source == Source::Own {
            let is_right = source == Source::Own;
            self.open.insert(part, Piece { source, openings, is_right });
        }
        is_new
    }

    /// Takes all that is missing out of the openings of the whole block; from nobody who lied about it.
    pub(crate) fn take_whole(&mut self, source: Source, openings: &[Opening]) {
        if matches!(source, Source::Peer(peer) if self.unheard.contains(&peer)) {
            return;
        }
        for part in 0..self.cut.count() {
            if let Some(openings) = openings.get(self.cut.openings(part)) {
                self.take(part, source, openings.to_vec());
            }
        }
    }

    /// The part that the validator at `own` of `validators` opens next: one of those that it shows,
    /// its own first, then any that is missing, another for each validator.
    pub(crate) fn next(&self, own: usize, validators: usize) -> Option<usize> {
        let missing: Vec<usize> =
            (0..self.cut.count()).filter(|part| !self.open.contains_key(part)).collect();
        let rank = |part: &&usize| self.cut.rank(**part, own, validators);
        let shown = missing.iter().filter(|part| rank(part) < self.cut.shown_by).min_by_key(rank);
        let pick = own.checked_rem(missing.len()).unwrap_or(0);
        shown.or_else(|| missing.get(pick)).copied()
    }

    /// Whether the validator at `own` of `validators` shows `part` when it has opened it.
    pub(crate) fn is_shown_by(&self, part: usize, own: usize, validators: usize) -> bool {
        self.is_shared_out() && self.cut.rank(part, own, validators) < self.cut.shown_by
    }

    /// The openings of the whole block, if it is whole.
    pub(crate) fn whole(&self) -> Option<Vec<Opening>> {
        let openings = || self.open.values().flat_map(|piece| &piece.openings).copied();
        self.is_whole().then(|| openings().collect())
    }

    /// Whether a part is missing that the validator at `own` of `validators` is to begin with.
    pub(crate) fn owes(&self, own: usize, validators: usize) -> bool {
        self.is_shared_out()
            && (0..self.cut.count()).any(|part| {
                !self.open.contains_key(&part) && self.cut.rank(part, own, validators) == 0
            })
    }

    /// What others have shown and nobody here has checked.
    pub(crate) fn shown(&self) -> Vec<ShownPart> {
        let unchecked = self.open.iter().filter(|(_, piece)| !piece.is_right);
        let shown = |(part, piece): (&usize, &Piece)| ShownPart {
            part: *part,
            source: piece.source,
            sub_batches: self.cut.sub_batches(*part),
            openings: piece.openings.clone(),
        };
        unchecked.map(shown).collect()
    }

    /// These were checked, as these sources had shown them.
    pub(crate) fn mark_right(&mut self, right: &[(usize, Source)]) {
        for (part, source) in right {
            if let Some(piece) = self.open.get_mut(part).filter(|piece| piece.source == *source) {
                piece.is_right = true;
            }
        }
    }

    /// The same by source: each with the parts that it gave.
    pub(crate) fn unchecked(&self) -> Vec<(Source, Vec<usize>)> {
        let mut by_source: Vec<(Source, Vec<usize>)> = Vec::new();
        for (part, Piece { source, .. }) in self.open.iter().filter(|(_, piece)| !piece.is_right) {
            match by_source.iter_mut().find(|(known, _)| known == source) {
                Some((_, parts)) => parts.push(*part),
                None => by_source.push((*source, vec![*part])),
            }
        }
        by_source
    }

    /// Drops what `source` gave and nobody has checked: some of it was wrong.
    pub(crate) fn reject(&mut self, source: Source) {
        let is_its = |piece: &Piece| piece.source == source && !piece.is_right;
        let wrong: Vec<usize> =
            self.open.iter().filter(|(_, piece)| is_its(piece)).map(|(part, _)| *part).collect();
        for part in wrong {
            self.open.remove(&part);
            self.distrusted.insert(part);
        }
        if let Source::Peer(peer) = source {
            self.unheard.insert(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::SeedBytes;
    use conclave_types::ValidatorIndex;

    use super::*;

    fn cut(openings: usize, parties: usize) -> Cut {
        Cut::new(openings, &Packing::for_parties(parties).unwrap(), parties)
    }

    fn peer(index: u16) -> Peer {
        Peer::Validator(ValidatorIndex::new(index))
    }

    fn seeds(count: usize, byte: u8) -> Vec<Opening> {
        vec![Opening::Seed(SeedBytes::new([byte; 32])); count]
    }

    #[test]
    fn parts_cover_a_block_once_whatever_its_size() {
        for parties in [1, 4, 16, 31, 64, 100] {
            for openings in [1, 2, 9, 33, 129, 513, 1_025] {
                let cut = cut(openings, parties);
                assert!(cut.count() <= PARTS_MAX, "n = {parties}, {openings} openings");
                let mut next = (0, 0);
                for part in 0..cut.count() {
                    let (sub_batches, range) = (cut.sub_batches(part), cut.openings(part));
                    assert_eq!((sub_batches.start, range.start), next, "no gap, no overlap");
                    assert!(!range.is_empty());
                    next = (sub_batches.end, range.end);
                }
                assert_eq!(next, (cut.sub_batch_count(), openings));
            }
        }
    }

    #[test]
    fn small_blocks_are_not_shared_out() {
        assert_eq!(cut(32, 4).count(), 1);
        assert_eq!(cut(33, 4).count(), 2);
        assert_eq!(cut(513, 100).count(), 57);
    }

    #[test]
    fn everyone_opens_as_many_parts_as_everyone_else_if_there_are_enough() {
        assert_eq!(cut(129, 4).count(), 4, "not five, the last of one opening");
        assert_eq!(cut(512, 4).count(), 16);
        for parties in [4, 10, 16, 25, 31, 100] {
            for openings in 1..=1_025 {
                let cut = cut(openings, parties);
                let (count, sub_batches) = (cut.count(), cut.sub_batch_count());
                let fits = count <= parties || count.is_multiple_of(parties);
                assert!(fits, "n = {parties}, {openings} openings: {count} parts");
                let sizes = (0..count).map(|part| cut.sub_batches(part).len());
                let (least, most) = (sizes.clone().min(), sizes.max());
                assert_eq!(least, Some(sub_batches / count));
                assert_eq!(most, Some(sub_batches.div_ceil(count)));
            }
        }
    }

    #[test]
    fn everyone_begins_with_another_part_and_then_takes_what_is_missing() {
        let cut = cut(512, 4);
        assert_eq!(cut.count(), 16);
        let mut parts = Parts::new(cut);
        for own in 0..4 {
            assert_eq!(parts.next(own, 4), Some(own * 4));
        }
        for part in 4..8 {
            assert!(parts.take(part, Source::Own, seeds(32, 1)));
        }
        assert_eq!(parts.next(1, 4), Some(0), "it stands right behind validator 0");
        for part in (0..4).chain(12..16) {
            assert!(parts.take(part, Source::Block, seeds(32, 1)));
        }
        let next: Vec<_> = (0..4).filter_map(|own| parts.next(own, 4)).collect();
        assert_eq!(next, [8, 9, 8, 8], "whoever shows nothing of it begins elsewhere");
        for part in 8..12 {
            parts.take(part, Source::Block, seeds(32, 2));
        }
        assert_eq!(parts.next(1, 4), None);
    }

    #[test]
    fn each_part_is_shown_by_few_and_opened_first_by_those() {
        for (openings, parties) in [(65, 16), (129, 31), (65, 100), (513, 100), (1_025, 100)] {
            let parts = Parts::new(cut(openings, parties));
            for part in 0..parts.cut().count() {
                let shows = |own: &usize| parts.is_shown_by(part, *own, parties);
                let expected = if parties == 100 { 2 } else { 3 };
                assert_eq!((0..parties).filter(shows).count(), expected, "n = {parties}, {part}");
            }
            let begun: BTreeSet<_> =
                (0..parties).filter_map(|own| parts.next(own, parties)).collect();
            let most = parties.min(parts.cut().count());
            assert_eq!(begun.len(), most, "n = {parties}, {openings} openings");
        }
        let few = Parts::new(cut(129, 4));
        assert!((0..4).all(|own| (0..4).filter(|part| few.is_shown_by(*part, own, 4)).count() > 2));
        assert!(!Parts::new(cut(32, 4)).is_shown_by(0, 0, 4), "nothing is shared out");
    }

    #[test]
    fn a_liar_is_dropped_as_a_whole_and_not_heard_again() {
        let mut parts = Parts::new(cut(512, 4));
        let (liar, honest) = (peer(2), peer(3));
        for part in 0..16 {
            let source = match part {
                0 => Source::Own,
                1 | 5 => Source::Peer(liar),
                _ => Source::Peer(honest),
            };
            assert!(parts.take(part, source, seeds(32, 1)));
        }
        let unchecked = parts.unchecked();
        assert_eq!(unchecked[0], (Source::Peer(liar), vec![1, 5]));
        assert_eq!(unchecked.len(), 2);
        parts.reject(Source::Peer(liar));
        assert!(!parts.is_whole());
        assert!(!parts.is_welcome(1, honest), "a part that was wrong once is combined here");
        assert!(parts.take(1, Source::Own, seeds(32, 1)));
        parts.take_whole(Source::Peer(liar), &seeds(512, 9));
        assert!(!parts.is_whole(), "a liar's whole is no better");
        parts.take_whole(Source::Peer(honest), &seeds(512, 1));
        assert_eq!(parts.whole(), Some(seeds(512, 1)));
    }

    #[test]
    fn what_was_checked_stays_whatever_its_sender_shows_later() {
        let mut parts = Parts::new(cut(512, 4));
        let (one, other) = (Source::Peer(peer(2)), Source::Peer(peer(3)));
        parts.take(1, one, seeds(32, 1));
        parts.take(2, other, seeds(32, 2));
        let seen: Vec<_> = parts.shown().iter().map(|shown| (shown.part, shown.source)).collect();
        assert_eq!(seen, [(1, one), (2, other)]);
        // What was marked is what that source had shown, and nothing else.
        parts.mark_right(&[(1, one), (2, one), (9, one)]);
        assert_eq!(parts.unchecked(), [(other, vec![2])]);
        parts.take(5, one, seeds(32, 9));
        parts.reject(one);
        assert!(parts.is_welcome(3, peer(3)) && !parts.is_welcome(3, peer(2)));
        assert!(!parts.is_welcome(1, peer(3)), "the part that was right is still there");
        assert!(!parts.is_welcome(5, peer(3)), "what was wrong once is combined here");
    }

    #[test]
    fn a_validator_owes_the_parts_that_it_begins_with_until_they_are_there() {
        let mut parts = Parts::new(cut(512, 4));
        for part in 4..8 {
            assert!(parts.owes(1, 4));
            parts.take(part, if part == 5 { Source::Own } else { Source::Block }, seeds(32, 1));
        }
        assert!(!parts.owes(1, 4), "its four are there, whoever gave them");
        assert!(parts.owes(0, 4));
        assert!(!Parts::new(cut(32, 4)).owes(0, 4), "nothing is shared out");
    }

    #[test]
    fn what_was_checked_here_replaces_what_was_shown() {
        let mut parts = Parts::new(cut(64, 4));
        assert!(parts.take(0, Source::Peer(peer(2)), seeds(32, 9)));
        assert!(!parts.take(0, Source::Own, seeds(32, 1)), "it was there, and may be wrong");
        assert!(!parts.take(0, Source::Peer(peer(2)), seeds(32, 9)));
        assert!(parts.take(1, Source::Peer(peer(3)), seeds(32, 1)));
        assert_eq!(parts.unchecked(), [(Source::Peer(peer(3)), vec![1])]);
        assert_eq!(parts.whole(), Some(seeds(64, 1)));
    }

    #[test]
    fn what_is_there_or_is_no_part_is_not_welcome() {
        let mut parts = Parts::new(cut(512, 4));
        assert!(parts.is_welcome(15, peer(1)));
        assert!(!parts.is_welcome(16, peer(1)));
        parts.take(15, Source::Own, seeds(32, 1));
        assert!(!parts.is_welcome(15, peer(1)));
        assert!(!parts.take(15, Source::Peer(peer(1)), seeds(32, 2)), "the first stays");
        assert!(!Parts::new(cut(32, 4)).is_welcome(0, peer(1)), "nothing is shared out");
    }
}
