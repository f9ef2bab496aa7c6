//! An honest validator never signs two statements for one position, whatever happens to it in between;
//! it precommits only to what a quorum has prevoted for; and once it has precommitted to a block, it prevotes
//! for another only after a later quorum did.

use std::collections::{BTreeMap, BTreeSet};

use conclave_consensus::{SignedProposal, SignedVote};
use conclave_types::{BlockId, Height, Round, VoteKind};

use super::{
    CONSISTENT, Check, LOCKED, POLKA,
    committees::{Powers, quorum, sum},
    ensure,
};

/// What a vote or proposal says at its position: block, and round of the polka.
type Saying = (Option<BlockId>, Option<u32>);

/// Height, round and block of a vote.
type Place = (Height, u32, BlockId);

/// Validator, height, round, and which of the three statements.
type Position = (u16, Height, u32, u8);

/// Everything that honest validators have signed.
#[derive(Clone, Debug)]
pub(super) struct Votes {
    honest: BTreeSet<u16>,
    sayings: BTreeMap<Position, Saying>,
    prevoters: BTreeMap<Place, BTreeSet<u16>>,
    locks: BTreeMap<u16, Place>,
}

impl Votes {
    /// Whoever is not honest is taken to vote for everything.
    pub(super) const fn new(honest: BTreeSet<u16>) -> Self {
        Self {
            honest,
            sayings: BTreeMap::new(),
            prevoters: BTreeMap::new(),
            locks: BTreeMap::new(),
        }
    }

    /// `powers` are those of the committee of the vote's height.
    pub(super) fn vote(&mut self, from: u16, vote: &SignedVote, powers: &Powers) -> Check {
        let (height, round) = (vote.height, vote.round.as_u32());
        let code = match vote.kind {
            VoteKind::Prevote => 1,
            VoteKind::Precommit => 2,
        };
        self.says((from, height, round, code), (vote.block, None))?;
        let Some(block) = vote.block else { return Ok(()) };
        match vote.kind {
            VoteKind::Prevote => {
                self.keeps_lock(from, (height, round, block), powers)?;
                self.prevoters.entry((height, round, block)).or_default().insert(from);
            }
            VoteKind::Precommit => {
                self.follows_polka(from, (height, round, block), powers)?;
                let lock = self.locks.entry(from).or_insert((height, round, block));
                *lock = (*lock).max((height, round, block));
            }
        }
        Ok(())
    }

    /// Its own prevote counts, although it may leave after the precommit, in the same turn.
    fn follows_polka(&self, from: u16, at: Place, powers: &Powers) -> Check {
        let most = self.prevoted(at, std::iter::once(&from), powers);
        ensure(most >= quorum(powers), POLKA, || {
            let (height, round, block) = at;
            format!(
                "validator {from} precommits {block} at {height}, round {round}, for which at most \
                 {most} have prevoted"
            )
        })
    }

    /// The power that may have prevoted, if every liar did, and these.
    fn prevoted<'a>(
        &'a self,
        at: Place,
        more: impl Iterator<Item = &'a u16>,
        powers: &'a Powers,
    ) -> u64 {
        let voters = self.prevoters.get(&at).into_iter().flatten();
        let liars = powers.keys().filter(|index| !self.honest.contains(index));
        sum(powers, voters.chain(liars).chain(more))
    }

    fn keeps_lock(&self, from: u16, at: Place, powers: &Powers) -> Check {
        let (height, round, block) = at;
        let Some((_, locked_in, locked)) = self.locks.get(&from).filter(|lock| lock.0 == height)
        else {
            return Ok(());
        };
        if *locked_in >= round || *locked == block {
            return Ok(());
        }
        let is_polka =
            |polka| self.prevoted((height, polka, block), [].iter(), powers) >= quorum(powers);
        let unlocks = (*locked_in..round).any(is_polka);
        ensure(unlocks, LOCKED, || {
            format!(
                "validator {from}, height {height}: precommits {locked} in round {locked_in} and \
                 prevotes {block} in round {round}"
            )
        })
    }

    pub(super) fn proposal(&mut self, from: u16, proposal: &SignedProposal) -> Check {
        let polka = proposal.pol_round.map(Round::as_u32);
        let position = (from, proposal.height, proposal.round.as_u32(), 0);
        self.says(position, (Some(proposal.block), polka))
    }

    fn says(&mut self, position: Position, saying: Saying) -> Check {
        let before = *self.sayings.entry(position).or_insert(saying);
        ensure(before == saying, CONSISTENT, || {
            let (node, height, round, _) = position;
            format!("validator {node}, height {height}, round {round}: {before:?}, then {saying:?}")
        })
    }
}
