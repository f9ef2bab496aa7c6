//! Every verified message of the last heights, so that a second, conflicting one is caught.
//!
//! Malachite drops votes of past heights; an equivocator need only be 400 ms late to go free. So every
//! vote and proposal passes here first, for the heights `tip − K ..= tip + F`. The archive is also the
//! one buffer for messages that are early, and the memory of which signatures were verified.
//!
//! **Bounds.** For each height, at most two different messages for each position (author,
//! round, step); a third can prove nothing that two do not. Rounds are bounded relative to the
//! highest round reached ([`Archive::accepts_round`]). So one author can occupy only its own places.

use std::collections::BTreeMap;

use conclave_types::{Height, HeightDelta, Round, ValidatorIndex};

use crate::{
    message::{Evidence, SignedProposal, SignedVote},
    record::{SignedRecord, SigningPosition, Step},
};

/// K: how many decided heights are remembered. At a height each second, a vote a minute late is still
/// evidence; at 100 validators and 150 bytes a message the archive is about 3 MB.
pub(crate) const HEIGHTS_KEPT: HeightDelta = HeightDelta::new(64);

/// F: how far ahead of the tip messages are kept. Whoever is further behind needs certificates anyway.
pub(crate) const HEIGHTS_AHEAD: HeightDelta = HeightDelta::new(4);

/// How far ahead of the highest round reached messages are kept; Malachite draws the same line.
pub(crate) const ROUNDS_AHEAD: u32 = 10;

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Insert {
    /// The first for its position.
    New,
    /// It contradicts the first; together they convict.
    Conflict(Box<Evidence>),
    /// Nothing new.
    Known,
}

/// What one author said at one position. Nearly always that is one thing, so the other is kept apart.
#[derive(Debug)]
struct Said {
    first: SignedRecord,
    contradicted_by: Option<Box<SignedRecord>>,
}

impl Said {
    fn iter(&self) -> impl Iterator<Item = &SignedRecord> {
        [&self.first].into_iter().chain(self.contradicted_by.as_deref())
    }

    /// Whether `record` says what is not said yet, and a conviction still lacks.
    fn wants(&self, record: &SignedRecord) -> bool {
        self.contradicted_by.is_none() && !same(&self.first, record)
    }
}

/// What was said in one step of a round: the authors, ascending, and in the same places what each of them said. Apart,
/// since this is looked through for every message, and is as fast as what is looked at lies close together.
#[derive(Debug, Default)]
struct Sayings {
    authors: Vec<ValidatorIndex>,
    said: Vec<Said>,
}

impl Sayings {
    /// Where an author is, or would be.
    fn place(&self, author: ValidatorIndex) -> Result<usize, usize> {
        self.authors.binary_search(&author)
    }

    fn of(&self, author: ValidatorIndex) -> Option<&Said> {
        self.said.get(self.place(author).ok()?)
    }
}

#[derive(Debug, Default)]
struct HeightMessages {
    round_reached: Round,
    steps: BTreeMap<(Round, Step), Sayings>,
}

/// The archive.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    heights: BTreeMap<Height, HeightMessages>,
}

impl Archive {
    /// Whether a message of this height is kept, `tip` being the newest decided height.
    pub(crate) fn accepts_height(tip: Height, height: Height) -> bool {
        height > Height::ZERO
            && height <= tip.saturating_add(HEIGHTS_AHEAD)
            && tip.above(height) < HEIGHTS_KEPT
    }

    /// Whether a message of this round is kept.
    pub(crate) fn accepts_round(&self, height: Height, round: Round) -> bool {
        let reached = self.heights.get(&height).map_or(Round::ZERO, |kept| kept.round_reached);
        round.as_u32() <= reached.as_u32().saturating_add(ROUNDS_AHEAD)
    }

    /// Notes that `round` was entered.
    pub(crate) fn enter_round(&mut self, height: Height, round: Round) {
        let kept = self.heights.entry(height).or_default();
        kept.round_reached = kept.round_reached.max(round);
    }

    /// Forgets what is too old.
    pub(crate) fn prune(&mut self, tip: Height) {
        self.heights.retain(|height, _| tip.above(*height) < HEIGHTS_KEPT);
    }

    /// Whether `record` says something that is not yet known: only then is its signature worth checking.
    pub(crate) fn wants(&self, record: &SignedRecord) -> bool {
        self.at(record).is_none_or(|said| said.wants(record))
    }

    /// Whether exactly this message, signature included, was verified before.
    pub(crate) fn verified(&self, record: &SignedRecord) -> bool {
        self.at(record).is_some_and(|said| said.iter().any(|known| known == record))
    }

    /// [`Archive::verified`] for a vote.
    pub(crate) fn verified_vote(&self, vote: &SignedVote) -> bool {
        let (height, round, step) = (vote.height, vote.round, vote.kind.into());
        let said = self.said(SigningPosition { height, round, step }, vote.voter);
        let is_it = |known: &SignedRecord| match known {
            SignedRecord::Vote(known) => **known == *vote,
            SignedRecord::Proposal(_) => false,
        };
        said.is_some_and(|said| said.iter().any(is_it))
    }

    /// Keeps a message whose signature was verified.
    pub(crate) fn insert(&mut self, record: SignedRecord) -> Insert {
        let position = record.position();
        let kept = self.heights.entry(position.height).or_default();
        let sayings = kept.steps.entry((position.round, position.step)).or_default();
        let author = author(&record);
        let place = match sayings.place(author) {
            Ok(place) => place,
            Err(place) => {
                sayings.authors.insert(place, author);
                sayings.said.insert(place, Said { first: record, contradicted_by: None });
                return Insert::New;
            }
        };
        let Some(said) = sayings.said.get_mut(place).filter(|said| said.wants(&record)) else {
            return Insert::Known;
        };
        let outcome = conflict(&said.first, &record);
        said.contradicted_by = Some(Box::new(record));
        outcome
    }

    /// The messages of a height in a fixed order.
    pub(crate) fn messages(&self, height: Height) -> Vec<SignedRecord> {
        let kept = self.heights.get(&height);
        kept.into_iter()
            .flat_map(|kept| kept.steps.values().flat_map(|step| &step.said))
            .flat_map(Said::iter)
            .cloned()
            .collect()
    }

    fn at(&self, record: &SignedRecord) -> Option<&Said> {
        self.said(record.position(), author(record))
    }

    fn said(&self, at: SigningPosition, author: ValidatorIndex) -> Option<&Said> {
        self.heights.get(&at.height)?.steps.get(&(at.round, at.step))?.of(author)
    }
}

/// Who signed a message.
pub(crate) fn author(record: &SignedRecord) -> ValidatorIndex {
    match record {
        SignedRecord::Vote(vote) => vote.voter,
        SignedRecord::Proposal(proposal) => proposal.proposer,
    }
}

/// Whether two messages of one position say the same. A signer can make many signatures of one
/// message, so they are left out.
fn same(a: &SignedRecord, b: &SignedRecord) -> bool {
    match (a, b) {
        (SignedRecord::Vote(a), SignedRecord::Vote(b)) => a.block == b.block,
        (SignedRecord::Proposal(a), SignedRecord::Proposal(b)) => {
            (a.block, a.pol_round) == (b.block, b.pol_round)
        }
        (SignedRecord::Vote(_), SignedRecord::Proposal(_))
        | (SignedRecord::Proposal(_), SignedRecord::Vote(_)) => false,
    }
}

fn conflict(first: &SignedRecord, second: &SignedRecord) -> Insert {
    match (first, second) {
        (SignedRecord::Vote(a), SignedRecord::Vote(b)) => votes(a, b),
        (SignedRecord::Proposal(a), SignedRecord::Proposal(b)) => proposals(a, b),
        (SignedRecord::Vote(_), SignedRecord::Proposal(_))
        | (SignedRecord::Proposal(_), SignedRecord::Vote(_)) => Insert::New,
    }
}

fn votes(a: &SignedVote, b: &SignedVote) -> Insert {
    Insert::Conflict(Box::new(Evidence::Votes(a.clone(), b.clone())))
}

fn proposals(a: &SignedProposal, b: &SignedProposal) -> Insert {
    Insert::Conflict(Box::new(Evidence::Proposals(a.clone(), b.clone())))
}
